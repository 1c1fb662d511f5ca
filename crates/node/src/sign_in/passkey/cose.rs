//! Public keys of passkeys, as COSE writes them (RFC 9053): ES256 and EdDSA.

use ciborium::Value;
use ed25519_dalek::{Signature as EdSignature, VerifyingKey as EdKey};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey as EsKey};

use super::PasskeyError;

/// COSE's number of ES256.
pub(super) const ES256: i64 = -7;
/// COSE's number of EdDSA.
pub(super) const EDDSA: i64 = -8;

/// A key that checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// ECDSA with SHA-256 on P-256.
    Es256(EsKey),
    /// Ed25519.
    EdDsa(EdKey),
}

impl PublicKey {
    /// Reads a COSE key that begins at `bytes`; gives it, and what follows it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), PasskeyError> {
        let (value, rest) = value(bytes)?;
        let Value::Map(map) = value else { return Err(PasskeyError::Malformed("a key that is not a map")) };
        let number =
            |name: i64| get(&map, name).and_then(Value::as_integer).and_then(|n| i64::try_from(n).ok());
        let bytes = |name: i64| get(&map, name).and_then(Value::as_bytes).map(Vec::as_slice);
        let coordinate = |name: i64| bytes(name).and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
        let bad = || PasskeyError::Malformed("a key whose parts do not fit");
        // 1: kty, 3: alg, -1: crv, -2: x, -3: y.
        let key = match (number(1), number(3), number(-1)) {
            (Some(2), Some(ES256), Some(1)) => {
                let (x, y) = (coordinate(-2).ok_or_else(bad)?, coordinate(-3).ok_or_else(bad)?);
                let mut point = vec![4];
                point.extend_from_slice(x);
                point.extend_from_slice(y);
                Self::Es256(EsKey::from_sec1_bytes(&point).map_err(|_| bad())?)
            }
            (Some(1), Some(EDDSA), Some(6)) => {
                let key = EdKey::from_bytes(coordinate(-2).ok_or_else(bad)?).map_err(|_| bad())?;
                if key.is_weak() {
                    return Err(bad());
                }
                Self::EdDsa(key)
            }
            _ => return Err(PasskeyError::Algorithm),
        };
        Ok((key, rest))
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PasskeyError> {
        let good = match self {
            Self::Es256(key) => DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::EdDsa(key) => EdSignature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        };
        if good { Ok(()) } else { Err(PasskeyError::Signature) }
    }
}

/// One CBOR value of bounded depth, and what follows it. No map in it has a key twice.
pub(super) fn value(bytes: &[u8]) -> Result<(Value, &[u8]), PasskeyError> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, 16)
        .map_err(|_| PasskeyError::Malformed("CBOR that cannot be read"))?;
    if has_double(&value) {
        return Err(PasskeyError::Malformed("CBOR with a key twice in a map"));
    }
    Ok((value, rest))
}

fn has_double(value: &Value) -> bool {
    match value {
        Value::Map(map) => {
            let twice =
                |at: usize, key: &Value| map.iter().skip(at.saturating_add(1)).any(|(other, _)| other == key);
            // Quadratic, so long maps are refused: nothing of WebAuthn needs one.
            map.len() > 64
                || map.iter().enumerate().any(|(at, (key, inner))| twice(at, key) || has_double(inner))
        }
        Value::Array(list) => list.iter().any(has_double),
        Value::Tag(_, inner) => has_double(inner),
        _ => false,
    }
}

fn get(map: &[(Value, Value)], name: i64) -> Option<&Value> {
    map.iter().find(|(key, _)| *key == Value::from(name)).map(|(_, value)| value)
}
