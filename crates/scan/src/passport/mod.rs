//! One signed statement about a folder: what it is, what it holds, where it comes from, what a scan said of it.

mod cyclonedx;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::{Digest, PredicateType, Severity, Statement, StatementError, Subject};
use serde::{Deserialize, Serialize};

use crate::lineage::{
    Artifact, Basis, Claims, DataSet, Direction, FileDigest, Graph, Licence, Parent, Relation, folder_digest,
};

pub use cyclonedx::cyclonedx;
pub use verify::{Difference, Verification, VerifyError, verify};

/// Where a passport lies in the folder that it is about. Not part of the folder's digest.
pub const FILE_NAME: &str = "ostrom-passport.json";

/// Whether the passport is about a folder or a single file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A folder: its digest is that of its list of files.
    Folder,
    /// A file: its digest is that of its bytes.
    File,
}

/// A file and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassportFile {
    /// Relative to the folder.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
    /// The formats that its content is in, as the scan named them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
}

/// A parent that a lineage record names by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedParent {
    /// As records call it.
    pub name: String,
    /// Which.
    pub sha256: Digest,
    /// How the artifact came from it.
    pub relation: Relation,
    /// On what basis that is said.
    pub basis: Basis,
    /// The record's digest.
    pub record: Digest,
    /// Whether the maker of the passport trusted its signer.
    pub trusted: bool,
}

/// What a scan said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScanSummary {
    /// The scanner's name and version.
    pub scanner: String,
    /// Digest of the catalogue of rules.
    pub rules: Digest,
    /// Whether everything was examined: nothing unreadable, undecided or beyond a bound.
    pub everything_examined: bool,
    /// Findings by severity; severities without any are left out.
    pub findings: BTreeMap<Severity, u64>,
}

/// A signature that was seen beside the files or in a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SignatureSeen {
    /// The file that carries it.
    pub file: String,
    /// `model-signing`, for one.
    pub kind: String,
    /// Key id or identity.
    pub signer: String,
    /// Whether it was checked against a key that the maker of the passport trusted, and held.
    pub verified: bool,
    /// Files of the artifact that it does not cover, if it was checked: [`not_covered`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
}

/// The files of an artifact that are not among those that a signature covers: its signer left them out, or its method has no
/// digest of an empty file. `.` covers a single file, whatever its name.
pub fn not_covered<'a>(artifact: &Artifact, covered: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let covered: BTreeSet<&str> = covered.into_iter().collect();
    if kind_of(artifact) == Kind::File && covered.contains(".") {
        return Vec::new();
    }
    let paths = artifact.files.iter().map(|file| &file.path);
    paths.filter(|path| !covered.contains(path.as_str())).cloned().collect()
}

/// The passport.
#[derive(Debug, Clone, PartialEq)]
pub struct Passport {
    /// The artifact's name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// What it is.
    pub kind: Kind,
    /// Its files by path.
    pub files: Vec<PassportFile>,
    /// Licences that its own files claim.
    pub licences: Vec<Licence>,
    /// Parents that its own files claim.
    pub claimed_parents: Vec<Parent>,
    /// Data sets that its own files claim.
    pub data_sets: Vec<DataSet>,
    /// Parents that lineage records name.
    pub recorded_parents: Vec<RecordedParent>,
    /// What a scan said, if there was one.
    pub scan: Option<ScanSummary>,
    /// Signatures that were seen.
    pub signatures: Vec<SignatureSeen>,
    /// Name and version of the program that made it.
    pub tool: String,
    /// When, in seconds since 1970.
    pub created_unix: u64,
}

/// What a passport takes besides the artifact and its claims.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Formats by path, from the scan.
    pub formats: BTreeMap<String, Vec<String>>,
    /// What the scan said.
    pub scan: Option<ScanSummary>,
    /// Signatures that were seen.
    pub signatures: Vec<SignatureSeen>,
    /// Name and version of the program.
    pub tool: String,
    /// Now, in seconds since 1970.
    pub created_unix: u64,
}

/// Why something is not a passport.
#[derive(Debug, thiserror::Error)]
pub enum PassportError {
    /// A statement of some other kind.
    #[error("{0} is not the predicate type of a passport")]
    Kind(PredicateType),
    /// The predicate is not that of a passport.
    #[error("not a passport: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is about several things, or has no digest.
    #[error("a passport is about one artifact with a SHA-256 digest")]
    Subject,
    /// Its own parts contradict one another.
    #[error("the passport contradicts itself: its files do not have the digest that it is about")]
    Contradiction,
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Predicate {
    kind: Kind,
    files: Vec<PassportFile>,
    licences: Vec<Licence>,
    claimed_parents: Vec<Parent>,
    data_sets: Vec<DataSet>,
    recorded_parents: Vec<RecordedParent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan: Option<ScanSummary>,
    signatures: Vec<SignatureSeen>,
    tool: String,
    created_unix: u64,
}

pub(crate) fn predicate_type() -> PredicateType {
    PredicateType::ostrom("passport", 1)
}

fn kind_of(artifact: &Artifact) -> Kind {
    match artifact.files.as_slice() {
        // A folder's digest is that of a list with this digest in it, which no such list has.
        [file] if file.sha256 == artifact.digest => Kind::File,
        _ => Kind::Folder,
    }
}

impl Passport {
    /// Puts a passport together.
    pub fn new(artifact: &Artifact, claims: Claims, graph: &Graph, inputs: Inputs) -> Self {
        let Inputs { mut formats, scan, mut signatures, tool, created_unix } = inputs;
        let mut file = |file: &FileDigest| PassportFile {
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256,
            formats: formats.remove(&file.path).unwrap_or_default(),
        };
        let parent = |edge: &crate::lineage::Edge| RecordedParent {
            name: graph.name(edge.parent).unwrap_or_default().to_owned(),
            sha256: edge.parent,
            relation: edge.relation,
            basis: edge.basis.clone(),
            record: edge.record,
            trusted: edge.trusted,
        };
        signatures.sort();
        Self {
            name: artifact.name.clone(),
            digest: artifact.digest,
            kind: kind_of(artifact),
            files: artifact.files.iter().map(&mut file).collect(),
            licences: claims.licences,
            claimed_parents: claims.parents,
            data_sets: claims.data_sets,
            recorded_parents: graph.around(artifact.digest, Direction::Ancestors).map(parent).collect(),
            scan,
            signatures,
            tool,
            created_unix,
        }
    }

    /// The statement to be signed.
    ///
    /// # Errors
    /// Never in practice: everything in it has a JSON form.
    pub fn to_statement(&self) -> Result<Statement, PassportError> {
        let this = self.clone();
        let predicate = Predicate {
            kind: this.kind,
            files: this.files,
            licences: this.licences,
            claimed_parents: this.claimed_parents,
            data_sets: this.data_sets,
            recorded_parents: this.recorded_parents,
            scan: this.scan,
            signatures: this.signatures,
            tool: this.tool,
            created_unix: this.created_unix,
        };
        let subject = Subject::new(this.name, this.digest);
        Ok(Statement::new(vec![subject], predicate_type(), serde_json::to_value(predicate)?)?)
    }

    /// Reads a passport from a statement, whose signature is checked already.
    ///
    /// # Errors
    /// If it is of another kind, or its files do not have the digest that it is about.
    pub fn from_statement(statement: &Statement) -> Result<Self, PassportError> {
        if *statement.predicate_type() != predicate_type() {
            return Err(PassportError::Kind(statement.predicate_type().clone()));
        }
        let [subject] = statement.subjects() else { return Err(PassportError::Subject) };
        let digest = subject.digest().ok_or(PassportError::Subject)?;
        let predicate = Predicate::deserialize(statement.predicate())?;
        let files = predicate.files.iter().map(|file| (file.path.as_str(), file.sha256));
        let fits = match predicate.kind {
            Kind::Folder => folder_digest(files).is_ok_and(|found| found == digest),
            Kind::File => matches!(predicate.files.as_slice(), [file] if file.sha256 == digest),
        };
        if !fits {
            return Err(PassportError::Contradiction);
        }
        Ok(Self {
            name: subject.name().to_owned(),
            digest,
            kind: predicate.kind,
            files: predicate.files,
            licences: predicate.licences,
            claimed_parents: predicate.claimed_parents,
            data_sets: predicate.data_sets,
            recorded_parents: predicate.recorded_parents,
            scan: predicate.scan,
            signatures: predicate.signatures,
            tool: predicate.tool,
            created_unix: predicate.created_unix,
        })
    }
}
