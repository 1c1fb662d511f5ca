//! Why an examination could not go to its end.

use std::io;

/// What stopped an examiner. None of it is silent: the scan turns each into a finding, and the file counts as not
/// wholly examined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The system gave an error.
    #[error("{0}")]
    Read(io::Error),
    /// The file became shorter while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// The bytes are not what their format says.
    #[error("at byte {offset}: {what}")]
    Malformed {
        /// Where, from the beginning of the file or member.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A bound on memory, depth, size or work was reached.
    #[error("{0}")]
    Limit(String),
}

impl Trouble {
    pub(crate) fn malformed(offset: u64, what: impl Into<String>) -> Self {
        Self::Malformed { offset, what: what.into() }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Changed,
            _ => Self::Read(error),
        }
    }
}
