//! What can go wrong with a log on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::merkle::ProofError;
use super::note::NoteError;

/// Why a log could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system could not read or write a file.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another part of this one, writes to the log.
    #[error("the log in {} is open elsewhere: only one process may write to it", .0.display())]
    Busy(PathBuf),
    /// The record is longer than the log takes.
    #[error("a record of {length} bytes; this log takes at most {limit}")]
    TooLong {
        /// Bytes in the record.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The options contradict each other or the format.
    #[error("{0}")]
    Options(&'static str),
    /// The folder holds something else.
    #[error("{} is not a log of this version of Ostrom: {why}", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// What was on the disk before is not there any more, or is something else. Nothing is cut off or repaired.
    #[error("the log in {} was damaged or changed from outside: {why}. Verify it, and keep a copy of it before anything else", folder.display())]
    Damaged {
        /// The log.
        folder: PathBuf,
        /// What does not add up.
        why: String,
    },
    /// An earlier failure has left the log in a state in which it must not be written.
    #[error("the log takes no more records: {0}. Mend the cause and open the log again")]
    Closed(String),
    /// A checkpoint or key cannot be used.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A proof cannot be made, or its parts do not lead to the signed root.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (make room; the log is as it was before)"
        }
        io::ErrorKind::PermissionDenied => " (the user of this process needs write access to the folder)",
        _ => "",
    }
}

impl LogError {
    /// Whether there is no room for what was to be written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Turns what the system said about `path` into an error of the log.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn damaged(folder: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { folder: folder.to_owned(), why: why.into() }
    }
}
