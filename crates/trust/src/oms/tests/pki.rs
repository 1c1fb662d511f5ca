//! A public key infrastructure for tests, written in DER by hand.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{DateTime, Encode as _};

use crate::oms::pem;
use crate::oms::{Curve, EcPublicKey, EcSecretKey};

/// 2024-01-01.
pub(in crate::oms) const START: u64 = 1_704_067_200;
pub(in crate::oms) const DAY: u64 = 86_400;

pub(in crate::oms) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(der::Length::try_from(content.len()).unwrap().to_der().unwrap());
    out.extend_from_slice(content);
    out
}

pub(in crate::oms) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(in crate::oms) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

pub(in crate::oms) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, content)
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

pub(in crate::oms) fn utf8(text: &str) -> Vec<u8> {
    tlv(12, text.as_bytes())
}

pub(in crate::oms) fn name(common: &str) -> Vec<u8> {
    seq(&[tlv(0x31, &seq(&[oid("2.5.4.3"), utf8(common)]))])
}

pub(in crate::oms) fn time(seconds: u64) -> Vec<u8> {
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).unwrap();
    match UtcTime::from_date_time(time) {
        Ok(time) => time.to_der().unwrap(),
        Err(_) => GeneralizedTime::from_date_time(time).to_der().unwrap(),
    }
}

pub(in crate::oms) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(vec![1, 1, 0xff]);
    }
    parts.push(octets(value));
    seq(&parts)
}

pub(in crate::oms) fn authority(path_len: Option<u8>) -> Vec<u8> {
    let mut parts = vec![vec![1, 1, 0xff]];
    parts.extend(path_len.map(|len| vec![2, 1, len]));
    extension("2.5.29.19", true, &seq(&parts))
}

/// `bit` is counted from the left, as in RFC 5280.
pub(in crate::oms) fn key_usage(bit: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &[3, 2, 7 - bit, 0x80 >> bit])
}

pub(in crate::oms) const DIGITAL_SIGNATURE: u8 = 0;
pub(in crate::oms) const KEY_CERT_SIGN: u8 = 5;

pub(in crate::oms) fn purpose(id: &str) -> Vec<u8> {
    extension("2.5.29.37", false, &seq(&[oid(id)]))
}

pub(in crate::oms) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub(in crate::oms) const SERVER: &str = "1.3.6.1.5.5.7.3.1";

pub(in crate::oms) fn spki(key: &EcPublicKey) -> Vec<u8> {
    pem::blocks(&key.to_pem()).unwrap()[0].der.to_vec()
}

fn algorithm(curve: Curve) -> Vec<u8> {
    seq(&[oid(match curve {
        Curve::P256 => "1.2.840.10045.4.3.2",
        Curve::P384 => "1.2.840.10045.4.3.3",
        Curve::P521 => "1.2.840.10045.4.3.4",
    })])
}

/// A certificate to be.
#[derive(Clone)]
pub(in crate::oms) struct Draft {
    pub(in crate::oms) subject: String,
    pub(in crate::oms) from: u64,
    pub(in crate::oms) to: u64,
    pub(in crate::oms) extensions: Vec<Vec<u8>>,
}

impl Draft {
    pub(in crate::oms) fn new(subject: &str, extensions: Vec<Vec<u8>>) -> Self {
        Self { subject: subject.to_owned(), from: START, to: START + 36_500 * DAY, extensions }
    }

    pub(in crate::oms) fn tbs(&self, key: &EcPublicKey, issuer: &str, issuer_curve: Curve) -> Vec<u8> {
        seq(&[
            vec![0xa0, 3, 2, 1, 2],
            vec![2, 1, 7],
            algorithm(issuer_curve),
            name(issuer),
            seq(&[time(self.from), time(self.to)]),
            name(&self.subject),
            spki(key),
            tlv(0xa3, &seq(&self.extensions)),
        ])
    }

    pub(in crate::oms) fn sign(&self, key: &EcPublicKey, issuer: &str, issuer_key: &EcSecretKey) -> Vec<u8> {
        signed(self.tbs(key, issuer, issuer_key.public().curve()), issuer_key)
    }

    /// Of version 1: no version and no extensions.
    pub(in crate::oms) fn sign_as_version_1(&self, key: &EcSecretKey) -> Vec<u8> {
        let tbs = seq(&[
            vec![2, 1, 7],
            algorithm(key.public().curve()),
            name(&self.subject),
            seq(&[time(self.from), time(self.to)]),
            name(&self.subject),
            spki(&key.public()),
        ]);
        signed(tbs, key)
    }
}

fn signed(tbs: Vec<u8>, key: &EcSecretKey) -> Vec<u8> {
    let signature = key.sign(&tbs);
    seq(&[tbs, algorithm(key.public().curve()), bits(&signature)])
}

pub(in crate::oms) fn to_pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// Root, intermediate and signer.
pub(in crate::oms) struct Chain {
    pub(in crate::oms) root: Draft,
    pub(in crate::oms) middle: Draft,
    pub(in crate::oms) leaf: Draft,
    pub(in crate::oms) root_key: EcSecretKey,
    pub(in crate::oms) middle_key: EcSecretKey,
    pub(in crate::oms) leaf_key: EcSecretKey,
}

impl Chain {
    pub(in crate::oms) fn new(root: Curve, middle: Curve, leaf: Curve) -> Self {
        let key = |curve| EcSecretKey::generate(curve).unwrap();
        Self {
            root: Draft::new("root", vec![authority(None), key_usage(KEY_CERT_SIGN)]),
            middle: Draft::new("middle", vec![authority(Some(0)), key_usage(KEY_CERT_SIGN)]),
            leaf: Draft::new("signer", vec![key_usage(DIGITAL_SIGNATURE), purpose(CODE_SIGNING)]),
            root_key: key(root),
            middle_key: key(middle),
            leaf_key: key(leaf),
        }
    }

    pub(in crate::oms) fn root_der(&self) -> Vec<u8> {
        self.root.sign(&self.root_key.public(), &self.root.subject, &self.root_key)
    }

    pub(in crate::oms) fn middle_der(&self) -> Vec<u8> {
        self.middle.sign(&self.middle_key.public(), &self.root.subject, &self.root_key)
    }

    pub(in crate::oms) fn leaf_der(&self) -> Vec<u8> {
        self.leaf.sign(&self.leaf_key.public(), &self.middle.subject, &self.middle_key)
    }
}
