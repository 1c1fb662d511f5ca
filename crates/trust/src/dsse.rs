//! DSSE envelopes (Dead Simple Signing Envelope, protocol v1.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_core::{Statement, StatementError};
use serde::{Deserialize, Serialize};

use crate::{CanonicalError, KeyError, KeyId, PublicKey, SecretKey, canonical_json};

/// The payload type of an in-toto statement.
pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// More signatures than anybody needs; a bound on the work that a stranger's envelope causes.
const MAX_SIGNATURES: usize = 64;

/// A signed payload. Serialises to the DSSE JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// A statement whose signature holds, and the key that made it.
#[derive(Debug)]
pub struct Verified {
    /// The statement, read from the signed bytes.
    pub statement: Statement,
    /// The key whose signature holds.
    pub signer: KeyId,
}

/// What is wrong with an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a DSSE envelope.
    #[error("not a DSSE envelope: {0}")]
    Malformed(String),
    /// A payload of some other kind.
    #[error("the envelope carries {0:?}, expected {IN_TOTO_PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// No signature by this key holds.
    #[error("no signature by key {0} holds: the statement was changed, or another key signed it")]
    BadSignature(KeyId),
    /// The payload is signed but is not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The bytes that are signed: DSSE's pre-authentication encoding.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Signs a statement, in canonical JSON, with `key`.
    ///
    /// # Errors
    /// If the statement's predicate has no canonical JSON.
    pub fn sign(statement: &Statement, key: &SecretKey) -> Result<Self, EnvelopeError> {
        let payload = canonical_json(statement)?;
        let sig = key.sign(&pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, &payload));
        Ok(Self {
            payload: STANDARD.encode(&payload),
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            signatures: vec![Signature { keyid: key.public().id().to_string(), sig: STANDARD.encode(sig) }],
        })
    }

    /// Reads an envelope's JSON. Nothing in it is to be believed before [`Envelope::verify`].
    ///
    /// # Errors
    /// If it is not a DSSE envelope.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        match envelope.signatures.len() {
            0 => Err(EnvelopeError::Malformed("it has no signature".to_owned())),
            n if n > MAX_SIGNATURES => {
                Err(EnvelopeError::Malformed(format!("{n} signatures; at most {MAX_SIGNATURES} are read")))
            }
            _ => Ok(envelope),
        }
    }

    /// The envelope as JSON, ending in a newline.
    ///
    /// # Errors
    /// Never in practice: all fields are strings.
    pub fn to_json(&self) -> Result<Vec<u8>, CanonicalError> {
        let mut bytes = canonical_json(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether every signature says that it is by `key`. Key ids are not signed: this is a check of form, not of origin.
    #[must_use]
    pub fn names_only(&self, key: &KeyId) -> bool {
        let key = key.to_string();
        self.signatures.iter().all(|signature| signature.keyid == key)
    }

    /// Whether a signature says that it is by `key`: where [`Envelope::verify`] fails all the same, something was changed.
    #[must_use]
    pub fn names(&self, key: &KeyId) -> bool {
        let key = key.to_string();
        self.signatures.iter().any(|signature| signature.keyid == key)
    }

    /// Checks that `key` signed the payload and reads the statement from the signed bytes.
    ///
    /// # Errors
    /// If no signature by `key` holds, or the payload is not an in-toto statement.
    pub fn verify(&self, key: &PublicKey) -> Result<Verified, EnvelopeError> {
        if self.payload_type != IN_TOTO_PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(self.payload_type.clone()));
        }
        let payload = STANDARD
            .decode(&self.payload)
            .map_err(|error| EnvelopeError::Malformed(format!("its payload is not base64: {error}")))?;
        let signed = pre_authentication_encoding(&self.payload_type, &payload);
        let holds = self
            .signatures
            .iter()
            .filter_map(|signature| STANDARD.decode(&signature.sig).ok())
            .any(|sig| key.verify(&signed, &sig));
        if !holds {
            return Err(EnvelopeError::BadSignature(key.id()));
        }
        Ok(Verified { statement: Statement::from_slice(&payload)?, signer: key.id() })
    }
}

#[cfg(test)]
mod tests {
    use ostrom_core::{Digest, PredicateType, Subject};

    use super::*;

    fn statement() -> Statement {
        let subject = Subject::new("manifest.json", Digest::of(b"m"));
        Statement::new(vec![subject], PredicateType::ostrom("evaluation", 1), serde_json::json!({})).unwrap()
    }

    #[test]
    fn the_encoding_is_that_of_the_protocol() {
        // DSSE protocol.md, test vector
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_signature_holds_for_its_key_and_bytes_only() {
        let (ours, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let envelope = Envelope::sign(&statement(), &ours).unwrap();
        let read = Envelope::from_slice(&envelope.to_json().unwrap()).unwrap();
        assert_eq!(read.verify(&ours.public()).unwrap().statement, statement());
        assert!(matches!(read.verify(&other.public()), Err(EnvelopeError::BadSignature(_))));
        assert!(read.names(&ours.public().id()) && !read.names(&other.public().id()));

        // Every single-character change of the payload is noticed.
        for position in 0..read.payload.len() {
            let mut changed = read.clone();
            let replacement = if read.payload.as_bytes()[position] == b'A' { "B" } else { "A" };
            changed.payload.replace_range(position..=position, replacement);
            assert!(changed.verify(&ours.public()).is_err(), "a change at {position} was not noticed");
        }
    }

    #[test]
    fn unsigned_and_foreign_envelopes_are_refused() {
        assert!(Envelope::from_slice(br#"{"payload":"","payloadType":"x","signatures":[]}"#).is_err());
        let key = SecretKey::generate().unwrap();
        let mut envelope = Envelope::sign(&statement(), &key).unwrap();
        envelope.payload_type = "text/plain".to_owned();
        assert!(matches!(envelope.verify(&key.public()), Err(EnvelopeError::PayloadType(_))));
    }
}
