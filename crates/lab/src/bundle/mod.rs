//! Bundles: everything about a finished run, digested and signed, so that a stranger can check it.
//!
//! `docs/bundle.md` describes the folder. *Invariant:* the manifest, and so its digest, depends on suite, target,
//! settings and replies only; times and machines stand in the signed statement.

mod archive;
mod manifest;
mod read;
mod verify;
mod write;

pub use archive::{pack, unpack, unpack_within};
pub use manifest::{FileEntry, Manifest, Tool};
pub use read::{Bundle, FailedTrial};
pub(crate) use read::{MAX_MANIFEST, parse_manifest};
pub use verify::{Rerun, Verification, verify, verify_evidence};
pub use write::finish;

use std::path::PathBuf;

use ostrom_core::Digest;

/// The schema of the manifest that this version writes.
pub const SCHEMA: &str = "ostrom.bundle/v1";

/// The files of a bundle besides the manifest.
pub(crate) const FILES: [&str; 3] = ["suite.json", "trials.jsonl", "metrics.json"];
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const STATEMENT: &str = "statement.dsse.json";
pub(crate) const KEY: &str = "key.pub.pem";
/// The report lies in the bundle's folder for convenience; it is no evidence and can be made again.
pub(crate) const REPORT: &str = "report.html";

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read or written.
    #[error("{}: {source}{}", path.display(), crate::run::hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that belongs to it is missing.
    #[error("{} is no bundle: it has no {missing}", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The missing file.
        missing: &'static str,
    },
    /// A file that does not belong to it.
    #[error("{} does not belong to the bundle: it is not covered by the signature; remove it", .0.display())]
    Foreign(PathBuf),
    /// A newer Ostrom wrote it.
    #[error("the bundle is of schema {found:?}; this version reads {SCHEMA:?}: update ostrom")]
    Version {
        /// The schema that the manifest names.
        found: String,
    },
    /// Bytes were changed.
    #[error("{file} was changed: bytes {from} to {to}{} are not those that were signed", at_line(*line))]
    Changed {
        /// The file.
        file: String,
        /// First byte of the part that differs.
        from: u64,
        /// One past its last byte.
        to: u64,
        /// The first line of that part, from 1, for files of lines.
        line: Option<u64>,
    },
    /// A file has another length.
    #[error("{file} was changed: it has {found} bytes, {signed} were signed")]
    Length {
        /// The file.
        file: String,
        /// Bytes now.
        found: u64,
        /// Bytes then.
        signed: u64,
    },
    /// A file is not what its schema says.
    #[error("{place}: {message}")]
    Malformed {
        /// The file, and the line where there is one.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The manifest is not the one that was signed.
    #[error("the signed statement is about another manifest ({signed}, here {found})")]
    OtherManifest {
        /// Digest in the statement.
        signed: String,
        /// Digest of the manifest here.
        found: Digest,
    },
    /// The signature.
    #[error(transparent)]
    Envelope(#[from] ostrom_trust::EnvelopeError),
    /// A key.
    #[error(transparent)]
    Key(#[from] ostrom_trust::KeyError),
    /// The signature holds, but by another key than the one that was asked for.
    #[error("the bundle is signed by key {found}, not by the key given ({wanted})")]
    OtherKey {
        /// The bundle's key.
        found: String,
        /// The key given.
        wanted: String,
    },
    /// A trial is not what suite, settings and replies make it.
    #[error("trials.jsonl, line {line} ({}, {arm}): {message}", id.escape_debug())]
    Trial {
        /// Line, from 1.
        line: usize,
        /// Case or twin.
        id: String,
        /// Arm.
        arm: &'static str,
        /// What does not follow.
        message: String,
    },
    /// The figures do not follow from the outcomes.
    #[error("metrics.json does not follow from the outcomes: {0}")]
    Metrics(String),
    /// The report is not the one that the bundle makes.
    #[error(
        "report.html is not the report of this bundle: remove it, or make it again with `ostrom eval report`"
    )]
    Report,
    /// A replayed trial got another answer.
    #[error("rerun: {} ({arm}) got another answer than the one on record", id.escape_debug())]
    Rerun {
        /// Case or twin.
        id: String,
        /// Arm.
        arm: &'static str,
    },
    /// The model at hand is not the one that was tested, or did not answer.
    #[error("rerun: {0}")]
    Model(String),
    /// The run is not finished.
    #[error("{} trials are not finished: `ostrom eval resume` first", .0)]
    Unfinished(usize),
    /// The suite is not what its name says.
    #[error(transparent)]
    Suite(#[from] crate::suite::SuiteError),
    /// The run's records.
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::run::JournalError),
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(" (from line {line})")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
