//! One signed statement as it lies in the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_core::{Digest, PredicateType, Statement, StatementError};
use ostrom_trust::{Envelope, EnvelopeError, IN_TOTO_PAYLOAD_TYPE, KeyId, PublicKey};
use serde::Deserialize;

use super::edge;
use super::store::Problem;
use crate::examination::escape;
use crate::{passport, revocation};

/// The longest record that is read, in bytes.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// Whose signatures a record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// These trusted keys signed it; never empty.
    Trusted(Vec<KeyId>),
    /// None of the trusted keys did. These key ids are claimed; nothing is known of them.
    Unknown(Vec<String>),
}

impl Signers {
    /// Whether a trusted key signed.
    pub const fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted(_))
    }
}

/// A signed statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// SHA-256 of the envelope: its name in the store.
    pub id: Digest,
    /// SHA-256 of the signed bytes: what other statements name it by. It does not depend on how the envelope is written.
    pub statement_id: Digest,
    /// What is stated.
    pub statement: Statement,
    /// By whom.
    pub signers: Signers,
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a signed envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Names a trusted key that did not sign it.
    #[error(
        "it names the trusted key {0} as its signer, but that key's signature does not hold: it was changed"
    )]
    Forged(String),
    /// Longer than is read.
    #[error("longer than {MAX_RECORD} bytes")]
    TooLong,
}

/// The parts of an envelope that [`Envelope`] shows only to those who hold the key.
#[derive(Deserialize)]
struct Outside {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<OutsideSignature>,
}

#[derive(Deserialize)]
struct OutsideSignature {
    #[serde(default)]
    keyid: String,
}

impl Record {
    /// Reads an envelope and looks which of the trusted keys signed it.
    ///
    /// # Errors
    /// If the bytes are not a signed in-toto statement, or name a trusted key that did not sign them.
    pub fn from_slice(bytes: &[u8], trusted: &[PublicKey]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLong);
        }
        let envelope = Envelope::from_slice(bytes)?;
        let malformed = |what: String| RecordError::Envelope(EnvelopeError::Malformed(what));
        let outside: Outside = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if outside.payload_type != IN_TOTO_PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(outside.payload_type).into());
        }
        let payload = STANDARD
            .decode(&outside.payload)
            .map_err(|error| malformed(format!("its payload is not base64: {error}")))?;
        let statement = Statement::from_slice(&payload)?;
        let (mut signed, mut forged) = (Vec::new(), None);
        for key in trusted {
            let id = key.id();
            match envelope.verify(key) {
                Ok(_) if !signed.contains(&id) => signed.push(id),
                Ok(_) => {}
                Err(_) if outside.signatures.iter().any(|signature| signature.keyid == id.to_string()) => {
                    forged = Some(id.to_string());
                }
                Err(_) => {}
            }
        }
        let signers = match (signed.is_empty(), forged) {
            (false, _) => Signers::Trusted(signed),
            (true, Some(id)) => return Err(RecordError::Forged(id)),
            (true, None) => Signers::Unknown(
                outside
                    .signatures
                    .iter()
                    .map(|signature| {
                        signature.keyid.chars().filter(char::is_ascii_graphic).take(64).collect()
                    })
                    .collect(),
            ),
        };
        Ok(Self { id: Digest::of(bytes), statement_id: Digest::of(&payload), statement, signers })
    }

    /// A problem if its statement is of a kind that nothing here knows. It may be a later version of the kind that revokes, so
    /// it is never passed over, whoever signed it. Of the kinds that are known, those are passed over that say nothing against anything.
    pub(crate) fn unknown_kind(&self) -> Option<Problem> {
        let kind = self.statement.predicate_type();
        let read = [edge::predicate_type(), revocation::predicate_type(), passport::predicate_type()];
        // Of these versions and no others: what a later one says, nobody knows yet.
        let passed_over = [PredicateType::evaluation(), PredicateType::run()];
        (!read.contains(kind) && !passed_over.contains(kind)).then(|| Problem {
            name: format!("{}.json", self.id),
            what: format!(
                "this version of ostrom does not know statements of the kind {}; it may be a revocation. Update ostrom, or take the file away if you know what it says",
                escape(kind.as_str(), 200)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use ostrom_trust::SecretKey;
    use proptest::prelude::*;

    use super::*;
    use crate::lineage::Relation;
    use crate::lineage::edge::tests::edge;

    fn signed(key: &SecretKey) -> Vec<u8> {
        let statement = edge("a", "b", Relation::Copy).to_statement().unwrap();
        Envelope::sign(&statement, key).unwrap().to_json().unwrap()
    }

    #[test]
    fn a_record_says_who_signed_it() {
        let (ours, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let bytes = signed(&ours);
        let record = Record::from_slice(&bytes, &[other.public(), ours.public()]).unwrap();
        assert_eq!(record.signers, Signers::Trusted(vec![ours.public().id()]));
        let record = Record::from_slice(&bytes, &[other.public()]).unwrap();
        assert_eq!(record.signers, Signers::Unknown(vec![ours.public().id().to_string()]));
    }

    #[test]
    fn a_changed_record_of_a_trusted_key_is_broken_and_not_just_unknown() {
        let ours = SecretKey::generate().unwrap();
        let text = String::from_utf8(signed(&ours)).unwrap();
        let forged = STANDARD
            .encode(serde_json::to_vec(&edge("c", "b", Relation::Copy).to_statement().unwrap()).unwrap());
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["payload"] = forged.into();
        let bytes = serde_json::to_vec(&value).unwrap();
        assert!(matches!(Record::from_slice(&bytes, &[ours.public()]), Err(RecordError::Forged(_))));
        value["signatures"] = serde_json::json!([]);
        let bytes = serde_json::to_vec(&value).unwrap();
        assert!(matches!(Record::from_slice(&bytes, &[ours.public()]), Err(RecordError::Envelope(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_records_are_refused_and_never_panic(at: proptest::sample::Index, to: u8, cut: proptest::sample::Index) {
            let key = SecretKey::generate().unwrap();
            let bytes = signed(&key);
            // The last byte is a newline, which JSON does not need.
            let cut = cut.index(bytes.len() - 1);
            prop_assert!(Record::from_slice(&bytes[..cut], &[]).is_err());
            let mut changed = bytes.clone();
            let at = at.index(bytes.len());
            changed[at] = to;
            if let Ok(record) = Record::from_slice(&changed, &[key.public()]) && record.signers.is_trusted() {
                prop_assert_eq!(record.statement, Record::from_slice(&bytes, &[]).unwrap().statement);
            }
        }
    }
}
