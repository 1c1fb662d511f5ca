//! What is in model files and data sets. Nothing here loads or runs what it examines.
//!
//! *Invariant:* every examiner is bounded in memory, depth and work, and what it could not examine is a finding.

mod archive;
mod detect;
mod examination;
mod graph;
mod keras;
mod limits;
pub mod lineage;
pub mod passport;
mod pickle;
pub mod revocation;
mod rules;
mod source;
mod tensor;
mod text;
mod trouble;

pub use limits::Limits;
pub use rules::{Rule, rule, rules};
