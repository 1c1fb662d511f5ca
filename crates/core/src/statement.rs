//! in-toto Statements: the claims that steps of the loop hand to one another.
//!
//! Source: in-toto Attestation Framework, Statement v1.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Digest;

/// The `_type` of every statement that Ostrom reads and writes.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What a statement is about: a name and the SHA-256 digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Subject {
    /// A subject named `name` whose bytes have this digest.
    pub fn new(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), digest: BTreeMap::from([("sha256".to_owned(), digest.to_string())]) }
    }

    /// The subject's name, unique within its statement.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 digest, if the subject carries a well-formed one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest.get("sha256")?.parse().ok()
    }
}

/// `urn:ostrom:predicate:NAME:vN`, or another project's URI.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PredicateType(String);

impl PredicateType {
    /// The predicate type of Ostrom's own statements of kind `name`, version `version`.
    pub fn ostrom(name: &str, version: u32) -> Self {
        Self(format!("urn:ostrom:predicate:{name}:v{version}"))
    }

    /// Of the signed result of an evaluation (`manifest.json` of a bundle).
    pub fn evaluation() -> Self {
        Self::ostrom("evaluation", 1)
    }

    /// Of the signed plan of a run that may be gone on with (`run/plan.json`).
    pub fn run() -> Self {
        Self::ostrom("run", 1)
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A claim about one or more subjects. Signed, it travels in a DSSE envelope (`ostrom-trust`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type", deserialize_with = "statement_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: PredicateType,
    predicate: serde_json::Value,
}

/// Why bytes are not a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON of an in-toto Statement v1.
    #[error("not an in-toto Statement v1: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A statement about nothing.
    #[error("the statement has no subject")]
    NoSubject,
}

fn statement_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let kind = String::deserialize(deserializer)?;
    if kind == STATEMENT_TYPE {
        Ok(kind)
    } else {
        Err(serde::de::Error::custom(format!("_type is {kind:?}, expected {STATEMENT_TYPE:?}")))
    }
}

impl Statement {
    /// A statement about `subject`.
    ///
    /// # Errors
    /// [`StatementError::NoSubject`] if `subject` is empty.
    pub fn new(
        subject: Vec<Subject>,
        predicate_type: PredicateType,
        predicate: serde_json::Value,
    ) -> Result<Self, StatementError> {
        if subject.is_empty() {
            return Err(StatementError::NoSubject);
        }
        Ok(Self { kind: STATEMENT_TYPE.to_owned(), subject, predicate_type, predicate })
    }

    /// Reads a statement from the bytes that were signed.
    ///
    /// # Errors
    /// If the bytes are not a statement or have no subject.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = serde_json::from_slice(bytes)?;
        if statement.subject.is_empty() { Err(StatementError::NoSubject) } else { Ok(statement) }
    }

    /// What it is about. Never empty.
    pub fn subjects(&self) -> &[Subject] {
        &self.subject
    }

    /// The kind of claim.
    pub fn predicate_type(&self) -> &PredicateType {
        &self.predicate_type
    }

    /// The claim.
    pub fn predicate(&self) -> &serde_json::Value {
        &self.predicate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let subject = Subject::new("manifest.json", Digest::of(b"x"));
        let statement = Statement::new(
            vec![subject],
            PredicateType::ostrom("evaluation", 1),
            serde_json::json!({"a": 1}),
        )
        .unwrap();
        let bytes = serde_json::to_vec(&statement).unwrap();
        assert_eq!(Statement::from_slice(&bytes).unwrap(), statement);
        assert_eq!(statement.subjects()[0].digest(), Some(Digest::of(b"x")));

        let other_type = String::from_utf8(bytes).unwrap().replace("Statement/v1", "Statement/v0.1");
        assert!(Statement::from_slice(other_type.as_bytes()).is_err());
        assert!(Statement::new(vec![], PredicateType::ostrom("x", 1), serde_json::Value::Null).is_err());
    }
}
