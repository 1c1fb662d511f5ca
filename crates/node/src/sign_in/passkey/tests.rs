//! A small authenticator, and what the relying party must not take from it.

use ciborium::Value;
use ed25519_dalek::{Signer as _, SigningKey as EdSecret};
use p256::ecdsa::{DerSignature, SigningKey as EsSecret};
use proptest::prelude::*;
use serde_json::json;

use super::*;

enum Secret {
    Es(Box<EsSecret>),
    Ed(Box<EdSecret>),
}

struct Authenticator {
    secret: Secret,
    flags: u8,
    count: u32,
    site: String,
    origin: String,
}

const CHALLENGE: [u8; 32] = [7; 32];

fn base() -> BaseUrl {
    "https://node.example".parse().unwrap()
}

fn authenticator(secret: Secret) -> Authenticator {
    Authenticator { secret, flags: 0b101, count: 1, site: "node.example".into(), origin: base().origin() }
}

fn es() -> Authenticator {
    authenticator(Secret::Es(Box::new(EsSecret::from_slice(&[9; 32]).unwrap())))
}

fn ed() -> Authenticator {
    authenticator(Secret::Ed(Box::new(EdSecret::from_bytes(&[9; 32]))))
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

impl Authenticator {
    fn key(&self) -> Vec<u8> {
        let map = match &self.secret {
            Secret::Es(secret) => {
                let point = secret.verifying_key().to_sec1_point(false);
                let (x, y) = (point.as_bytes()[1..33].to_vec(), point.as_bytes()[33..].to_vec());
                vec![
                    (1, 2.into()),
                    (3, (-7).into()),
                    (-1, 1.into()),
                    (-2, Value::Bytes(x)),
                    (-3, Value::Bytes(y)),
                ]
            }
            Secret::Ed(secret) => {
                let x = secret.verifying_key().to_bytes().to_vec();
                vec![(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, Value::Bytes(x))]
            }
        };
        cbor(&Value::Map(map.into_iter().map(|(name, value): (i64, Value)| (name.into(), value)).collect()))
    }

    fn data(&self, attested: bool) -> Vec<u8> {
        let mut data = Sha256::digest(self.site.as_bytes()).to_vec();
        data.push(self.flags | if attested { 1 << 6 } else { 0 });
        data.extend(self.count.to_be_bytes());
        if attested {
            data.extend([0; 16]);
            data.extend([0, 4, 1, 2, 3, 4]);
            data.extend(self.key());
        }
        data
    }

    fn client(&self, ceremony: &str) -> Vec<u8> {
        let challenge = BASE64URL_NOPAD.encode(&CHALLENGE);
        json!({"type": ceremony, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn register(&self) -> Registration {
        let object = Value::Map(vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Value::Map(vec![])),
            ("authData".into(), Value::Bytes(self.data(true))),
        ]);
        Registration {
            client_data: Bytes(self.client("webauthn.create")),
            attestation_object: Bytes(cbor(&object)),
        }
    }

    fn assert(&self) -> Assertion {
        let (data, client) = (self.data(false), self.client("webauthn.get"));
        let mut message = data.clone();
        message.extend_from_slice(&Sha256::digest(&client));
        let signature = match &self.secret {
            Secret::Es(secret) => {
                let signature: DerSignature = secret.sign(&message);
                signature.as_bytes().to_vec()
            }
            Secret::Ed(secret) => secret.sign(&message).to_bytes().to_vec(),
        };
        Assertion {
            client_data: Bytes(client),
            authenticator_data: Bytes(data),
            signature: Bytes(signature),
            user_handle: Bytes(vec![0; 16]),
        }
    }
}

#[test]
fn a_passkey_that_was_registered_signs_in() {
    for device in [es(), ed()] {
        let new = device.register().verify(&CHALLENGE, &base()).unwrap();
        assert_eq!((new.id.as_slice(), new.sign_count), (&[1, 2, 3, 4][..], 1));
        assert_eq!(device.assert().verify(&CHALLENGE, &base(), &new.public_key), Ok(1));
    }
}

#[test]
fn another_challenge_site_origin_or_ceremony_is_refused() {
    let (device, key) = (es(), es().key());
    assert_eq!(device.assert().verify(&[8; 32], &base(), &key), Err(PasskeyError::Challenge));
    let site = Authenticator { site: "evil.example".into(), ..es() };
    assert_eq!(site.assert().verify(&CHALLENGE, &base(), &key), Err(PasskeyError::OtherSite));
    for origin in ["https://evil.example", "http://node.example", "https://node.example:444", "null"] {
        let device = Authenticator { origin: origin.into(), ..es() };
        assert_eq!(
            device.assert().verify(&CHALLENGE, &base(), &key),
            Err(PasskeyError::OtherSite),
            "{origin}"
        );
    }
    let mut assertion = device.assert();
    assertion.client_data = Bytes(device.client("webauthn.create"));
    assert!(matches!(assertion.verify(&CHALLENGE, &base(), &key), Err(PasskeyError::Malformed(_))));
}

#[test]
fn presence_alone_does_not_sign_in() {
    for flags in [0, 0b001, 0b100] {
        let device = Authenticator { flags, ..es() };
        assert_eq!(device.assert().verify(&CHALLENGE, &base(), &es().key()), Err(PasskeyError::NotVerified));
        assert_eq!(device.register().verify(&CHALLENGE, &base()), Err(PasskeyError::NotVerified));
    }
    let contradiction = Authenticator { flags: 0b1_0101, ..es() };
    assert!(contradiction.assert().verify(&CHALLENGE, &base(), &es().key()).is_err());
}

#[test]
fn another_key_or_a_changed_counter_breaks_the_signature() {
    assert_eq!(ed().assert().verify(&CHALLENGE, &base(), &es().key()), Err(PasskeyError::Signature));
    let mut assertion = ed().assert();
    assertion.authenticator_data.0[36] = 200;
    assert_eq!(assertion.verify(&CHALLENGE, &base(), &ed().key()), Err(PasskeyError::Signature));
}

#[test]
fn weak_keys_and_keys_with_a_part_twice_are_refused() {
    let weak = [(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, Value::Bytes([0; 32].to_vec()))];
    let weak = Value::Map(weak.into_iter().map(|(name, value): (i64, Value)| (name.into(), value)).collect());
    assert!(PublicKey::read(&cbor(&weak)).is_err());
    let Value::Map(mut map) = cose::value(&ed().key()).unwrap().0 else { panic!("a key is a map") };
    map.push((1.into(), 2.into()));
    assert!(PublicKey::read(&cbor(&Value::Map(map))).is_err());
}

#[test]
fn attestation_and_trailing_bytes_are_refused() {
    let mut object = es().register();
    object.attestation_object.0.push(0);
    assert!(object.verify(&CHALLENGE, &base()).is_err());
    let packed = Value::Map(vec![
        ("fmt".into(), "packed".into()),
        ("attStmt".into(), Value::Map(vec![])),
        ("authData".into(), Value::Bytes(es().data(true))),
    ]);
    object.attestation_object = Bytes(cbor(&packed));
    assert!(object.verify(&CHALLENGE, &base()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_flipped_bit_signs_in(at in 0_usize..10_000, bit in 0_u8..8, cut in 0_usize..200) {
        let key = ed().key();
        let mut assertion = ed().assert();
        let length = assertion.authenticator_data.0.len();
        assertion.authenticator_data.0[at % length] ^= 1 << bit;
        prop_assert!(assertion.verify(&CHALLENGE, &base(), &key).is_err());
        let mut registration = ed().register();
        let bytes = &mut registration.attestation_object.0;
        bytes.truncate(cut.min(bytes.len() - 1));
        prop_assert!(registration.verify(&CHALLENGE, &base()).is_err());
        let mut registration = ed().register();
        let bytes = &mut registration.attestation_object.0;
        let length = bytes.len();
        bytes[at % length] ^= 1 << bit;
        let _ = registration.verify(&CHALLENGE, &base());
    }
}
