//! A Sigstore of our own: an authority, a certificate log, a transparency log, and a signature; then one thing after
//! another is wrong with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::tests::pki::{
    CODE_SIGNING, Chain, DIGITAL_SIGNATURE, Draft, SERVER, START, extension, key_usage, octets, purpose,
    spki, tlv, to_pem, utf8,
};
use super::super::{Curve, EcSecretKey, OmsError, SignedBy, SigstoreTrust, Trust, TrustedRoot, authenticate};
use super::log::{Promise, leaf_hash, node_hash};
use super::sct::signed_data;
use crate::canonical_json;
use crate::dsse::{IN_TOTO_PAYLOAD_TYPE, pre_authentication_encoding};

const WHO: &str = "dev@example.com";
const ISSUER: &str = "https://login.example.com";
const SIGNED_AT: u64 = START + 300;

fn key() -> EcSecretKey {
    EcSecretKey::generate(Curve::P256).unwrap()
}

fn log_id(key: &EcSecretKey) -> Vec<u8> {
    Sha256::digest(spki(&key.public())).to_vec()
}

fn log_json(key: &EcSecretKey, from: &str) -> Value {
    json!({
        "baseUrl": "https://log.example.com",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": STANDARD.encode(spki(&key.public())),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": from}
        },
        "logId": {"keyId": STANDARD.encode(log_id(key))}
    })
}

/// Everything that goes into a signature, to be changed before it is put together.
struct World {
    chain: Chain,
    names: Vec<u8>,
    certificate_log: EcSecretKey,
    /// Who signs the certificate's timestamp in the certificate log's name; nothing for no timestamp.
    timestamp_by: Option<EcSecretKey>,
    log: EcSecretKey,
    payload: Vec<u8>,
    /// The body of the log entry is changed by this.
    body: fn(&mut Value),
    time: u64,
    authority_end: &'static str,
}

fn copy(key: &EcSecretKey) -> EcSecretKey {
    EcSecretKey::from_pem(&key.to_pem(None).unwrap(), None).unwrap()
}

impl World {
    fn new() -> Self {
        let mut chain = Chain::new(Curve::P384, Curve::P384, Curve::P256);
        chain.middle.extensions.push(purpose(CODE_SIGNING));
        (chain.leaf.from, chain.leaf.to) = (START, START + 600);
        let certificate_log = key();
        Self {
            chain,
            names: tlv(0x81, WHO.as_bytes()),
            timestamp_by: Some(copy(&certificate_log)),
            certificate_log,
            log: key(),
            payload: br#"{"_type":"https://in-toto.io/Statement/v1"}"#.to_vec(),
            body: |_| (),
            time: SIGNED_AT,
            authority_end: "2100-01-01T00:00:00Z",
        }
    }

    fn leaf(&self) -> Vec<u8> {
        let mut draft: Draft = self.chain.leaf.clone();
        draft.extensions.push(extension("2.5.29.17", true, &tlv(0x30, &self.names)));
        draft.extensions.push(extension("1.3.6.1.4.1.57264.1.8", false, &utf8(ISSUER)));
        if let Some(by) = &self.timestamp_by {
            let tbs = draft.tbs(
                &self.chain.leaf_key.public(),
                &self.chain.middle.subject,
                self.chain.middle_key.public().curve(),
            );
            let milliseconds = SIGNED_AT * 1000;
            let issuer = spki(&self.chain.middle_key.public());
            let signature = by.sign(&signed_data(&issuer, &tbs, milliseconds, b"").unwrap());
            let mut item = vec![0];
            item.extend(log_id(&self.certificate_log));
            item.extend(milliseconds.to_be_bytes());
            item.extend([0, 0, 4, 3]);
            item.extend((signature.len() as u16).to_be_bytes());
            item.extend(signature);
            let mut list = ((item.len() + 2) as u16).to_be_bytes().to_vec();
            list.extend((item.len() as u16).to_be_bytes());
            list.extend(item);
            draft.extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&list)));
        }
        draft.sign(&self.chain.leaf_key.public(), &self.chain.middle.subject, &self.chain.middle_key)
    }

    fn root(&self) -> Value {
        let certificate = |der: Vec<u8>| json!({"rawBytes": STANDARD.encode(der)});
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log_json(&self.log, "2023-01-01T00:00:00Z")],
            "ctlogs": [log_json(&self.certificate_log, "2023-01-01T00:00:00.123Z")],
            "certificateAuthorities": [{
                "certChain": {"certificates": [certificate(self.chain.middle_der()), certificate(self.chain.root_der())]},
                "validFor": {"start": "2023-01-01T00:00:00Z", "end": self.authority_end}
            }]
        })
    }

    fn bundle(&self) -> Value {
        let signature =
            self.chain.leaf_key.sign(&pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, &self.payload));
        let leaf = self.leaf();
        let mut body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00"},
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": data_encoding::HEXLOWER.encode(&Sha256::digest(&self.payload))
                },
                "signatures": [{
                    "signature": STANDARD.encode(&signature),
                    "verifier": STANDARD.encode(to_pem(&leaf))
                }]
            }
        });
        (self.body)(&mut body);
        let body = canonical_json(&body).unwrap();
        // A log of three entries; ours is the second.
        let others = [leaf_hash(b"first"), leaf_hash(b"third")];
        let root = node_hash(&node_hash(&others[0], &leaf_hash(&body)), &others[1]);
        let note = format!("log.example.com - 1\n3\n{}\n", STANDARD.encode(root));
        let id = log_id(&self.log);
        let mut line = id[..4].to_vec();
        line.extend(self.log.sign(note.as_bytes()));
        let checkpoint = format!("{note}\n\u{2014} log.example.com {}\n", STANDARD.encode(line));
        let promise = canonical_json(&Promise::new(&body, self.time, &id, 41)).unwrap();
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(leaf)},
                "tlogEntries": [{
                    "logIndex": "41",
                    "logId": {"keyId": STANDARD.encode(&id)},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": self.time.to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.log.sign(&promise))},
                    "inclusionProof": {
                        "logIndex": "1",
                        "rootHash": STANDARD.encode(root),
                        "treeSize": "3",
                        "hashes": [STANDARD.encode(others[0]), STANDARD.encode(others[1])],
                        "checkpoint": {"envelope": checkpoint}
                    },
                    "canonicalizedBody": STANDARD.encode(&body)
                }]
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&self.payload),
                "payloadType": IN_TOTO_PAYLOAD_TYPE,
                "signatures": [{"sig": STANDARD.encode(&signature), "keyid": ""}]
            }
        })
    }

    fn check(&self) -> Result<SignedBy, OmsError> {
        check(&self.bundle(), &self.root(), WHO, ISSUER)
    }

    fn assert_refused(&self, word: &str) {
        let error = self.check().unwrap_err().to_string();
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
}

fn check(bundle: &Value, root: &Value, identity: &str, issuer: &str) -> Result<SignedBy, OmsError> {
    let trust = SigstoreTrust {
        root: TrustedRoot::from_json(&root.to_string())?,
        identity: identity.to_owned(),
        issuer: issuer.to_owned(),
    };
    authenticate(bundle.to_string().as_bytes(), &Trust::Sigstore(Box::new(trust))).map(|found| found.signer)
}

#[test]
fn a_sound_signature_is_attributed() {
    let SignedBy::Sigstore(signer) = World::new().check().unwrap() else { panic!("not Sigstore") };
    assert_eq!((signer.identity.as_str(), signer.issuer.as_str()), (WHO, ISSUER));
    assert_eq!((signer.log_index, signer.integrated_time), (41, SIGNED_AT));
    assert!(!signer.not_checked.is_empty());
}

#[test]
fn a_client_trust_configuration_is_taken_for_its_root() {
    let world = World::new();
    let configuration = json!({"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json", "trustedRoot": world.root()});
    check(&world.bundle(), &configuration, WHO, ISSUER).unwrap();
}

#[test]
fn identities_of_workflows_are_uris() {
    let mut world = World::new();
    let workflow = "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main";
    world.names = tlv(0x86, workflow.as_bytes());
    check(&world.bundle(), &world.root(), workflow, ISSUER).unwrap();
    world.assert_refused("not by dev@example.com");
}

#[test]
fn another_identity_or_issuer_is_refused() {
    let world = World::new();
    for (identity, issuer) in [
        ("dev@example.com.evil.org", ISSUER),
        ("DEV@example.com", ISSUER),
        ("", ISSUER),
        (WHO, "https://login.example.com/"),
        (WHO, ""),
    ] {
        assert!(check(&world.bundle(), &world.root(), identity, issuer).is_err(), "{identity} {issuer}");
    }
}

#[test]
fn the_certificate_must_come_from_the_authority_while_both_were_valid() {
    let mut world = World::new();
    let root = World::new().root();
    let mut mixed = world.root();
    mixed["certificateAuthorities"] = root["certificateAuthorities"].clone();
    let error = check(&world.bundle(), &mixed, WHO, ISSUER).unwrap_err().to_string();
    assert!(error.contains("no valid path"), "{error}");

    world.time = START + 601;
    world.assert_refused("valid from");
    world.time = START - 1;
    world.assert_refused("valid from");
    world.time = SIGNED_AT;
    world.authority_end = "2023-12-31T00:00:00Z";
    world.assert_refused("in charge");
}

#[test]
fn the_certificate_must_be_for_signing_code() {
    for extensions in
        [vec![key_usage(DIGITAL_SIGNATURE)], vec![key_usage(DIGITAL_SIGNATURE), purpose(SERVER)], vec![]]
    {
        let mut world = World::new();
        world.chain.leaf.extensions = extensions;
        assert!(world.check().is_err());
    }
}

#[test]
fn a_certificate_log_must_have_promised_to_show_the_certificate() {
    let mut world = World::new();
    world.timestamp_by = None;
    world.assert_refused("no timestamp");
    world.timestamp_by = Some(key());
    world.assert_refused("not by the log that it names");
    let world = World::new();
    let mut root = world.root();
    root["ctlogs"] = json!([]);
    assert!(check(&world.bundle(), &root, WHO, ISSUER).is_err());
    root["ctlogs"] = json!([log_json(&world.certificate_log, "2025-01-01T00:00:00Z")]);
    assert!(check(&world.bundle(), &root, WHO, ISSUER).is_err());
}

#[test]
fn the_log_must_be_known_and_its_key_in_use() {
    let world = World::new();
    let mut root = world.root();
    root["tlogs"] = json!([log_json(&key(), "2023-01-01T00:00:00Z")]);
    let error = check(&world.bundle(), &root, WHO, ISSUER).unwrap_err().to_string();
    assert!(error.contains("trust root does not have"), "{error}");
    root["tlogs"] = json!([log_json(&world.log, "2025-01-01T00:00:00Z")]);
    let error = check(&world.bundle(), &root, WHO, ISSUER).unwrap_err().to_string();
    assert!(error.contains("not in use"), "{error}");
    // The log's name with another key.
    root["tlogs"] = json!([log_json(&key(), "2023-01-01T00:00:00Z")]);
    root["tlogs"][0]["logId"]["keyId"] = json!(STANDARD.encode(log_id(&world.log)));
    let error = check(&world.bundle(), &root, WHO, ISSUER).unwrap_err().to_string();
    assert!(error.contains("checkpoint is not signed"), "{error}");
}

#[test]
fn an_entry_about_something_else_is_refused() {
    let change = |body: fn(&mut Value), word: &str| {
        let mut world = World::new();
        world.body = body;
        world.assert_refused(word);
    };
    change(|body| body["spec"]["payloadHash"]["value"] = json!("00"), "another statement");
    change(|body| body["spec"]["payloadHash"]["algorithm"] = json!("md5"), "another statement");
    change(|body| body["spec"]["signatures"][0]["signature"] = json!("AAAA"), "another signature");
    change(|body| body["spec"]["signatures"] = json!([]), "exactly one signature");
    change(|body| body["spec"]["signatures"][0]["verifier"] = json!("AAAA"), "another certificate");
    change(|body| body["kind"] = json!("intoto"), "another kind");
    change(|body| body["apiVersion"] = json!("0.0.2"), "another kind");
    change(|body| *body = json!([]), "not of kind dsse");
}

#[test]
fn every_change_of_the_bundle_is_noticed() {
    let world = World::new();
    let (bundle, root) = (world.bundle(), world.root());
    let entry = "/verificationMaterial/tlogEntries/0";
    for (place, value) in [
        ("/integratedTime", json!((SIGNED_AT + 1).to_string())),
        ("/integratedTime", json!("0")),
        ("/logIndex", json!("42")),
        ("/kindVersion/kind", json!("hashedrekord")),
        ("/kindVersion/version", json!("0.0.2")),
        ("/inclusionPromise/signedEntryTimestamp", json!("AAAA")),
        ("/inclusionPromise", Value::Null),
        ("/inclusionProof", Value::Null),
        ("/inclusionProof/logIndex", json!("0")),
        ("/inclusionProof/treeSize", json!("4")),
        ("/inclusionProof/treeSize", json!("0")),
        ("/inclusionProof/treeSize", json!("18446744073709551615")),
        ("/inclusionProof/hashes", json!([])),
        ("/inclusionProof/rootHash", json!(STANDARD.encode([0; 32]))),
        ("/inclusionProof/checkpoint/envelope", json!("")),
        ("/inclusionProof/checkpoint/envelope", json!("a\n3\nAAAA\n\n\u{2014} a AAAA\n")),
        ("/logId/keyId", json!("AAAA")),
        ("/canonicalizedBody", json!("e30=")),
    ] {
        let mut changed = bundle.clone();
        *changed.pointer_mut(&format!("{entry}{place}")).unwrap() = value.clone();
        assert!(check(&changed, &root, WHO, ISSUER).is_err(), "{place} = {value} was taken");
    }
    for (place, value) in [
        ("/dsseEnvelope/payload", json!(STANDARD.encode("{}"))),
        ("/dsseEnvelope/payloadType", json!("text/plain")),
        ("/dsseEnvelope/signatures/0/sig", json!("AAAA")),
        ("/verificationMaterial/tlogEntries", json!([])),
        ("/verificationMaterial/certificate/rawBytes", json!(STANDARD.encode(World::new().leaf()))),
    ] {
        let mut changed = bundle.clone();
        *changed.pointer_mut(place).unwrap() = value.clone();
        assert!(check(&changed, &root, WHO, ISSUER).is_err(), "{place} = {value} was taken");
    }
    let mut twice = bundle.clone();
    let entries = twice.pointer_mut("/verificationMaterial/tlogEntries").unwrap();
    let again = entries[0].clone();
    entries.as_array_mut().unwrap().push(again);
    assert!(check(&twice, &root, WHO, ISSUER).is_err());
    // And the unchanged one is sound, so that the above were refused for what was changed.
    check(&bundle, &root, WHO, ISSUER).unwrap();
}

#[test]
fn a_signature_copied_to_other_bytes_does_not_hold() {
    // Same certificate and log, but the envelope has another payload and the entry says so: only the signature is left.
    let mut world = World::new();
    let signed = world.bundle();
    world.payload = br#"{"_type":"other"}"#.to_vec();
    let mut forged = world.bundle();
    forged["dsseEnvelope"]["signatures"] = signed["dsseEnvelope"]["signatures"].clone();
    let error = check(&forged, &world.root(), WHO, ISSUER).unwrap_err();
    assert!(matches!(error, OmsError::Signature(_)), "{error}");
}

#[test]
fn what_only_a_time_stamp_dates_is_refused_by_name() {
    let world = World::new();
    let mut bundle = world.bundle();
    let entry = bundle.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap().as_object_mut().unwrap();
    entry.remove("integratedTime");
    entry.remove("inclusionPromise");
    let error = check(&bundle, &world.root(), WHO, ISSUER).unwrap_err();
    assert!(matches!(error, OmsError::Unsupported(_)), "{error}");
}

#[test]
fn no_changed_character_makes_another_statement_pass_and_none_panics() {
    let world = World::new();
    let (text, root) = (world.bundle().to_string(), world.root().to_string());
    let trust = Trust::Sigstore(Box::new(SigstoreTrust {
        root: TrustedRoot::from_json(&root).unwrap(),
        identity: WHO.to_owned(),
        issuer: ISSUER.to_owned(),
    }));
    let sound = authenticate(text.as_bytes(), &trust).unwrap();
    for place in (0..text.len()).step_by(7) {
        for byte in [b'A', b'9', b'"'] {
            let mut changed = text.clone().into_bytes();
            changed[place] = byte;
            if let Ok(found) = authenticate(&changed, &trust) {
                assert_eq!(found.payload, sound.payload);
            }
        }
        assert!(authenticate(&text.as_bytes()[..place], &trust).is_err());
    }
}
