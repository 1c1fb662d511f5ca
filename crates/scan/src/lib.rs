//! What is in model files and data sets. Nothing here loads or runs what it examines.
//!
//! *Invariant:* every examiner is bounded in memory, depth and work, and what it could not examine is a finding.

mod archive;
mod bytes;
mod data;
mod detect;
mod examination;
mod folder;
mod graph;
mod keras;
mod limits;
pub mod lineage;
pub mod passport;
mod pickle;
mod report;
pub mod revocation;
mod rules;
mod sarif;
mod source;
mod spill;
mod standing;
mod template;
mod tensor;
mod text;
mod trouble;
mod walk;

pub use bytes::{scan_bytes, scan_bytes_as};
pub use limits::Limits;
pub use report::{FileReport, Report, always_fails, is_undecided};
pub use rules::{Rule, rule, rules, rules_digest};
pub use sarif::sarif;
pub use standing::judge;
pub use walk::{Options, Progress, ScanError, scan};
