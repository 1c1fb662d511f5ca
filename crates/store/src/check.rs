//! Whether everything that is kept is still as it was.

use crate::{Custody, Error};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// How many versions of objects were looked at.
    pub objects: u64,
    /// What is wrong, in words for the administrator; empty if nothing is.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Custody {
    /// Checks the database's own structure, the digest of every body, that effective policies are what follows from the marks, and the shortcuts (newest, oldest, counts, words).
    /// It reads everything, so it takes its time. At most 100 problems are told.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn check(&self) -> Result<CheckReport, Error> {
        Err(Error::Refused("not yet".to_owned()))
    }
}
