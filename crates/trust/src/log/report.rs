//! What verifying a log can find.

use std::fmt;

use super::files::{CHECKPOINT, HISTORY};

/// More problems than anybody reads; what is beyond is counted.
pub(super) const MAX_PROBLEMS: usize = 1000;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// Entries under a checkpoint are gone.
    Cut {
        /// Entries that the log has signed.
        signed: u64,
        /// Entries that are there.
        found: u64,
    },
    /// Bytes that were on the disk are gone.
    Shorter {
        /// Bytes of entries that were on the disk.
        synced: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// This entry is not the one that was appended.
    Changed {
        /// Its index.
        index: u64,
    },
    /// Among these entries at least one is not the one that was appended, or is missing or too much. Nothing that would say which
    /// is left. Later checkpoints could not be checked.
    ChangedBetween {
        /// Index of the first.
        from: u64,
        /// Index after the last.
        to: u64,
    },
    /// From this entry on, nothing can be read.
    Unreadable {
        /// Its index.
        index: u64,
    },
    /// A file that follows from the entries is missing or wrong. The entries are not concerned.
    Derived {
        /// Its path below the log's folder.
        path: String,
    },
    /// A checkpoint in the history cannot be relied on.
    Checkpoint {
        /// Its number in the history, from 0.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// The published checkpoint cannot be relied on.
    Published {
        /// What is wrong.
        why: String,
    },
    /// The log is no continuation of an older checkpoint: entries before it were changed, or cut off and the log signed again.
    NotAContinuation {
        /// Entries under the older checkpoint.
        size: u64,
    },
    /// There are entries, and nothing was ever signed; or what was signed is gone.
    NothingSigned,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { signed, found } => write!(f, "cut: {signed} entries are signed, {found} are there"),
            Self::Shorter { synced, found } => {
                write!(f, "cut: {synced} bytes of entries were on the disk, {found} are there")
            }
            Self::Changed { index } => write!(f, "changed: entry {index}"),
            Self::ChangedBetween { from, to } => write!(
                f,
                "changed: an entry between {from} and {} (which, cannot be said; later checkpoints were not checked)",
                to.saturating_sub(1)
            ),
            Self::Unreadable { index } => write!(f, "damaged: nothing can be read from entry {index} on"),
            Self::Derived { path } => {
                write!(f, "{path} is missing or wrong (the entries are not concerned)")
            }
            Self::Checkpoint { number, why } => write!(f, "checkpoint {number} in {HISTORY}: {why}"),
            Self::Published { why } => write!(f, "{CHECKPOINT}: {why}"),
            Self::NotAContinuation { size } => {
                write!(f, "rewritten: this log is no continuation of the older checkpoint of {size} entries")
            }
            Self::NothingSigned => write!(f, "nothing is signed: anybody could have written these entries"),
        }
    }
}

/// What verifying a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Which log the checkpoints say it is. Not to be believed if there are problems.
    pub origin: String,
    /// Whole entries.
    pub entries: u64,
    /// Entries under the latest checkpoint that holds and fits.
    pub signed: u64,
    /// Checkpoints that hold and fit.
    pub checkpoints: u64,
    /// Entries after the latest checkpoint. Whoever can write to the folder can change them unnoticed.
    pub unsigned: u64,
    /// Bytes at the end that are no whole entry: what a crash left, or what is being written.
    pub unfinished: u64,
    /// What does not add up.
    pub problems: Vec<Problem>,
    /// Problems beyond the first thousand.
    pub more: u64,
}

impl Report {
    /// Adds a problem, once.
    pub(super) fn add(&mut self, problem: Problem) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.more += 1;
        } else if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Whether everything that is signed adds up. See also [`Report::unsigned`].
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.more == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, signed, checkpoints, .. } = self;
        let origin = if self.origin.is_empty() { "a log without a name" } else { &self.origin };
        write!(f, "{origin}: {entries} entries, {signed} of them under {checkpoints} checkpoints that hold")?;
        if self.unsigned > 0 {
            write!(f, "\nunsigned: {} entries after the latest checkpoint", self.unsigned)?;
        }
        if self.unfinished > 0 {
            write!(f, "\nunfinished: {} bytes at the end", self.unfinished)?;
        }
        let mut problems = self.problems.iter().peekable();
        while let Some(problem) = problems.next() {
            write!(f, "\n{problem}")?;
            // Entries that follow each other are one line: behind a missing one, all are.
            let Problem::Changed { index } = problem else { continue };
            let mut last = *index;
            while problems.next_if_eq(&&Problem::Changed { index: last.saturating_add(1) }).is_some() {
                last += 1;
            }
            if last > *index {
                write!(f, " to {last}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}
