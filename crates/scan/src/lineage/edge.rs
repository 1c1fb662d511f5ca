//! One statement of the graph: these children come from these parents, in this way, on this basis.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ostrom_core::{Digest, PredicateType, Statement, StatementError, Subject};
use serde::{Deserialize, Serialize};

/// Children times parents in one statement.
const MAX_EDGES: usize = 4096;

/// How a child came from its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Trained further.
    FineTune,
    /// Weights to be added to the parent: LoRA and its kin.
    Adapter,
    /// Made of several models' weights.
    Merge,
    /// The same weights with fewer bits.
    Quantisation,
    /// The same weights in another file format.
    Conversion,
    /// A model (child) and a data set (parent) that it was trained on.
    TrainedOn,
    /// The same content under another name, or as part of a larger artifact.
    Copy,
}

impl Relation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::FineTune,
        Self::Adapter,
        Self::Merge,
        Self::Quantisation,
        Self::Conversion,
        Self::TrainedOn,
        Self::Copy,
    ];

    /// As it is written in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FineTune => "fine-tune",
            Self::Adapter => "adapter",
            Self::Merge => "merge",
            Self::Quantisation => "quantisation",
            Self::Conversion => "conversion",
            Self::TrainedOn => "trained-on",
            Self::Copy => "copy",
        }
    }

    /// Read as "child … parent".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::FineTune => "fine-tune of",
            Self::Adapter => "adapter for",
            Self::Merge => "merge of",
            Self::Quantisation => "quantisation of",
            Self::Conversion => "conversion of",
            Self::TrainedOn => "trained on",
            Self::Copy => "copy of",
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Relation {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        Self::ALL
            .into_iter()
            .find(|relation| relation.name() == text)
            .ok_or_else(|| LineageError::Relation(text.chars().take(80).collect()))
    }
}

/// What an edge rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Somebody says so.
    Claim(Claim),
    /// Something was compared.
    Evidence(Evidence),
}

/// Who says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The file and field that say so; absent: the signer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What is said there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How it was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Equal digests.
    Digest,
    /// The numbers in the tensors: [`crate::lineage::compare`].
    TensorComparison,
}

/// What was compared and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How it was found out.
    pub method: Method,
    /// The result in a sentence.
    pub result: String,
    /// Its figures by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

impl Basis {
    /// The signer says so.
    pub fn signer_says() -> Self {
        Self::Claim(Claim::default())
    }

    /// One word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Evidence(_) => "evidence",
        }
    }

    /// In a sentence without its full stop.
    pub fn describe(&self) -> String {
        match self {
            Self::Claim(Claim { source: None, .. }) => "claimed by the signer".to_owned(),
            Self::Claim(Claim { source: Some(source), .. }) => format!("claimed in {source}"),
            Self::Evidence(evidence) => format!("evidence: {}", evidence.result),
        }
    }
}

/// A statement of kind `lineage`, version 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// What came into being.
    pub children: Vec<(String, Digest)>,
    /// From what.
    pub parents: Vec<(String, Digest)>,
    /// How.
    pub relation: Relation,
    /// On what basis this is said.
    pub basis: Basis,
    /// When it was said, in seconds since 1970.
    pub recorded_unix: u64,
}

/// Why something is not a lineage statement.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// Not a relation.
    #[error(
        "{0:?} is not a relation: use fine-tune, adapter, merge, quantisation, conversion, trained-on or copy"
    )]
    Relation(String),
    /// Neither children nor parents may be missing.
    #[error("a lineage statement needs at least one child and one parent")]
    Nobody,
    /// An artifact that comes from itself.
    #[error("{0} is named as its own parent")]
    Itself(Digest),
    /// More than is read.
    #[error("{0} children and {1} parents; at most {MAX_EDGES} pairs go into one statement")]
    TooMany(usize, usize),
    /// An artifact without SHA-256.
    #[error("{0:?} has no SHA-256 digest")]
    NoDigest(String),
    /// The predicate is not of this kind.
    #[error("not a lineage statement: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Predicate {
    parents: Vec<Subject>,
    relation: Relation,
    basis: Basis,
    recorded_unix: u64,
}

pub(crate) fn predicate_type() -> PredicateType {
    PredicateType::ostrom("lineage", 1)
}

fn named(subjects: &[Subject]) -> Result<Vec<(String, Digest)>, LineageError> {
    let digest = |subject: &Subject| {
        subject
            .digest()
            .map(|digest| (subject.name().to_owned(), digest))
            .ok_or_else(|| LineageError::NoDigest(subject.name().chars().take(200).collect()))
    };
    subjects.iter().map(digest).collect()
}

impl Lineage {
    fn check(self) -> Result<Self, LineageError> {
        if self.children.is_empty() || self.parents.is_empty() {
            return Err(LineageError::Nobody);
        }
        if self.children.len().saturating_mul(self.parents.len()) > MAX_EDGES {
            return Err(LineageError::TooMany(self.children.len(), self.parents.len()));
        }
        match self.children.iter().find(|(_, child)| self.parents.iter().any(|(_, parent)| parent == child)) {
            Some((_, digest)) => Err(LineageError::Itself(*digest)),
            None => Ok(self),
        }
    }

    /// The statement to be signed.
    ///
    /// # Errors
    /// If nobody is named, somebody is their own parent, or too many are named.
    pub fn to_statement(&self) -> Result<Statement, LineageError> {
        let this = self.clone().check()?;
        let subjects = |list: Vec<(String, Digest)>| {
            list.into_iter().map(|(name, digest)| Subject::new(name, digest)).collect::<Vec<_>>()
        };
        let predicate = Predicate {
            parents: subjects(this.parents),
            relation: this.relation,
            basis: this.basis,
            recorded_unix: this.recorded_unix,
        };
        Ok(Statement::new(subjects(this.children), predicate_type(), serde_json::to_value(predicate)?)?)
    }

    /// Reads a statement of this kind.
    ///
    /// # Errors
    /// If it is of another kind, or as [`Lineage::to_statement`].
    pub fn from_statement(statement: &Statement) -> Result<Self, LineageError> {
        let predicate = Predicate::deserialize(statement.predicate())?;
        Self {
            children: named(statement.subjects())?,
            parents: named(&predicate.parents)?,
            relation: predicate.relation,
            basis: predicate.basis,
            recorded_unix: predicate.recorded_unix,
        }
        .check()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn edge(child: &str, parent: &str, relation: Relation) -> Lineage {
        Lineage {
            children: vec![(child.to_owned(), Digest::of(child.as_bytes()))],
            parents: vec![(parent.to_owned(), Digest::of(parent.as_bytes()))],
            relation,
            basis: Basis::signer_says(),
            recorded_unix: 1_700_000_000,
        }
    }

    #[test]
    fn statements_round_trip() {
        let mut lineage = edge("child", "parent", Relation::Quantisation);
        lineage.basis = Basis::Evidence(Evidence {
            method: Method::TensorComparison,
            result: "same after quantisation".to_owned(),
            figures: BTreeMap::from([("cosine".to_owned(), 0.998)]),
        });
        let statement = lineage.to_statement().unwrap();
        assert_eq!(statement.predicate_type().as_str(), "urn:ostrom:predicate:lineage:v1");
        assert_eq!(Lineage::from_statement(&statement).unwrap(), lineage);
    }

    #[test]
    fn statements_that_say_nothing_or_nonsense_are_refused() {
        assert!(matches!(edge("a", "a", Relation::Copy).to_statement(), Err(LineageError::Itself(_))));
        let mut nobody = edge("a", "b", Relation::Copy);
        nobody.parents.clear();
        assert!(matches!(nobody.to_statement(), Err(LineageError::Nobody)));
        let mut many = edge("a", "b", Relation::Merge);
        many.parents = (0..5000).map(|i| (String::new(), Digest::of(format!("{i}").as_bytes()))).collect();
        assert!(matches!(many.to_statement(), Err(LineageError::TooMany(1, 5000))));

        let statement = edge("a", "b", Relation::Copy).to_statement().unwrap();
        let mut predicate = statement.predicate().clone();
        predicate["extra"] = serde_json::json!(1);
        let other = Statement::new(statement.subjects().to_vec(), predicate_type(), predicate).unwrap();
        assert!(matches!(Lineage::from_statement(&other), Err(LineageError::Malformed(_))));
    }

    #[test]
    fn relations_are_named_once() {
        for relation in Relation::ALL {
            assert_eq!(relation.name().parse::<Relation>().unwrap(), relation);
            assert_eq!(serde_json::to_value(relation).unwrap(), relation.name());
        }
    }
}
