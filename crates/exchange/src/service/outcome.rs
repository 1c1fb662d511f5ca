//! What became of it.

use ostrom_core::{ObjectId, Timestamp};
use ostrom_store::Error as StoreError;
use ostrom_trust::log::LogError;

use crate::commitment::CommitmentError;
use crate::stix::marking::MarkError;
use crate::stix::{Defect, ReadError};
use crate::types::TypeError;

/// Why nothing of a request could be done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing, or the actor may not know of it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The actor may know of it, but not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// What was sent is not what was asked for.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is to be written is not valid.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// Its handling cannot be written.
    #[error(transparent)]
    Marks(#[from] MarkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no randomness.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// Something that should not happen.
    #[error("this node failed: {0}")]
    Internal(String),
}

/// What is said to those who ask while a disk is full.
pub const FULL: &str = "the disk of this node is full, so it takes nothing, and shows nothing that must be on record: tell whoever runs it";

impl ServiceError {
    /// Whether a disk is full. What is shown and sent must be on record, so that this stops reading too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::DiskFull),
            Self::Log(error) => error.is_full(),
            _ => false,
        }
    }
}

/// Why one object was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(ReadError),
    /// It does not follow the specification.
    #[error("not valid STIX: {}", list(.0))]
    Defects(Vec<Defect>),
    /// It has no marks, and the collection does not say what holds then.
    #[error("it has no marks: give it one of TLP, since this collection has no default")]
    Unmarked,
    /// Other bytes are here under the same id and version.
    #[error("another object is here with this id and version: give the new version a later modified")]
    Conflict,
    /// The id belongs to somebody else.
    #[error(
        "this id is used by somebody else: only the organisation that shared an object shares new versions of it"
    )]
    NotOwner,
    /// The new version is marked more openly, and the marks are not the actor's to open.
    #[error("the last version was marked more strictly, by another organisation: only that one can open it")]
    Downgrade,
}

fn list(defects: &[Defect]) -> String {
    let texts: Vec<String> = defects.iter().take(5).map(ToString::to_string).collect();
    texts.join("; ")
}

/// An object that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// When it was added; `None`: the same bytes were here already.
    pub added: Option<Timestamp>,
    /// Where the commitment to it lies in the transparency log, if it was added.
    pub leaf: Option<u64>,
    /// Where it departs from the specification: only what a lenient import takes has any.
    pub defects: Vec<Defect>,
    /// Why nobody can read it, if that is so: a mark that is not understood.
    pub unreadable: Option<String>,
    /// Whether it is marked more openly than the version before.
    pub downgrade: bool,
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Its id, if it could be read.
    pub id: Option<ObjectId>,
    /// Its version, if it could be read and has one.
    pub version: Option<Timestamp>,
    /// Taken, or why not.
    pub result: Result<Took, Refusal>,
}
