//! Whether a log is whole.

use std::path::Path;

use ostrom_trust::PublicKey;
use ostrom_trust::log;
use serde::Serialize;

use super::AuditError;
use super::log::{events, log_folder};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Whether nothing was cut or changed, and every record is an event.
    pub sound: bool,
    /// Records.
    pub entries: u64,
    /// Records after the last checkpoint: they are whole, but nobody has signed them yet.
    pub unsigned: u64,
    /// What is wrong.
    pub problems: Vec<String>,
    /// All of this for people.
    pub text: String,
}

/// Verifies the log in `folder` against the public key of its guard.
///
/// # Errors
/// If it cannot be read.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Verified, AuditError> {
    let report = log::verify(&log_folder(folder), key)?;
    let mut problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    if report.is_sound() {
        for event in events(folder)? {
            if let Err(error) = event {
                problems.push(error.to_string());
                break;
            }
        }
    }
    let sound = report.is_sound() && problems.is_empty();
    let unsigned = report.unsigned;
    let text = if sound {
        let tail =
            if unsigned > 0 { format!("; the last {unsigned} are not signed yet") } else { String::new() };
        format!("the log is whole: {} records{tail}", report.entries)
    } else {
        format!("the log is not whole:\n  {}", problems.join("\n  "))
    };
    Ok(Verified { sound, entries: report.entries, unsigned, problems, text })
}
