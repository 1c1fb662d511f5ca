//! The audit log: every event, in the order in which they take effect and before anything outside follows from it, in the transparency log; what replays it, explains it and verifies it.
//!
//! A record is the canonical JSON of an [`Event`](crate::flow::Event). Arguments and results stand in it as salted
//! commitments; what opens them lies beside the log, a file a day, and can be deleted.
//!
//! | file | what |
//! |---|---|
//! | `log/` | the transparency log (`docs/log.md`) |
//! | `openings/YYYY-MM-DD.jsonl` | salts and values |
//! | `policies/DIGEST.json` | each policy that was ever in force |

mod ahead;
mod asked;
mod called;
mod explain;
mod landed;
mod log;
mod observed;
mod openings;
mod origin;
mod planned;
mod replay;
mod rules;
mod verify;

pub use asked::Waiting;
pub use called::{Became, Called, Calls, calls};
pub use explain::{Explanation, Which, explain};
pub use log::{AuditLog, Mode, Opened, events};
pub use observed::{Observed, observed};
pub use openings::Openings;
pub use origin::{kept_origin, origin};
pub use replay::{Difference, Replay, replay};
pub use rules::Policies;
pub use verify::{Verified, verify};

/// What goes wrong with an audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The log itself.
    #[error("the audit log: {0}")]
    Log(#[from] ostrom_trust::log::LogError),
    /// A file beside it.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A record that is no event.
    #[error("record {index} of the audit log is no event of this version of Ostrom: {reason}")]
    Record {
        /// Its number.
        index: u64,
        /// Why.
        reason: String,
    },
    /// A policy that was in force and is not there.
    #[error("the audit log names the policy {0}, and policies/{0}.json beside it is missing or changed")]
    Policy(ostrom_core::Digest),
    /// The log of another guard lies where this guard's should.
    #[error(
        "the log in {} is {found}, and this guard's is {kept}: it is the log of another guard. Put its own back; or, if it was changed on purpose, remove {}",
        folder.display(), file.display()
    )]
    OtherLog {
        /// The folder.
        folder: std::path::PathBuf,
        /// The origin of the log there.
        found: String,
        /// The origin that the guard keeps.
        kept: String,
        /// Where it keeps it.
        file: std::path::PathBuf,
    },
    /// No such call.
    #[error("there is no call {0} in this log")]
    NoCall(String),
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ahead;
#[cfg(test)]
mod tests_observed;
#[cfg(test)]
mod tests_restart;
