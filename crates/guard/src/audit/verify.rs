//! Whether a log is whole.

use std::path::Path;

use ostrom_trust::PublicKey;
use ostrom_trust::log;
use serde::Serialize;

use super::AuditError;
use super::log::{events, log_folder};
use super::origin::SHARED;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Whether nothing was cut or changed, every record is an event, and it is the log that was expected.
    pub sound: bool,
    /// The name of the log, as its latest checkpoint says; `None` if nothing is signed.
    pub origin: Option<String>,
    /// Records.
    pub entries: u64,
    /// Records after the last checkpoint: they are whole, but nobody has signed them yet.
    pub unsigned: u64,
    /// Bytes at the end that are no whole record: what a crash left, or what is being written.
    pub unfinished: u64,
    /// The last checkpoint, to be kept where nobody who can write to the log can reach it.
    pub checkpoint: Option<String>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// All of this for people.
    pub text: String,
}

/// Verifies the log in `folder` against the public key of its guard, and that it goes on where older checkpoints of it were, which were kept
/// elsewhere. It must have every name in `origins`: the one that its guard keeps, or that somebody has kept elsewhere.
///
/// # Errors
/// If it cannot be read, or what is said to be an older checkpoint is none of this key.
pub fn verify(
    folder: &Path,
    key: &PublicKey,
    older: &[&[u8]],
    origins: &[&str],
) -> Result<Verified, AuditError> {
    let inner = log_folder(folder);
    let origin = log::origin(&inner)?;
    let mut others = others(origin.as_deref(), older, origins);
    // Of another log, a checkpoint says nothing about this one.
    let report = log::verify_against(&inner, key, if others.is_empty() { older } else { &[] })?;
    let checkpoint = std::fs::read_to_string(inner.join("checkpoint")).ok();
    let mut problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    problems.append(&mut others);
    if report.checkpoints == 0 && problems.is_empty() {
        // A guard records its start and signs it.
        problems.push("nothing is signed: this is no log of a guard, or all of it was taken away".to_owned());
    }
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
        let mut text = format!("the log is whole: {} records", report.entries);
        let name = origin.as_deref().unwrap_or_default();
        if unsigned > 0 {
            text.push_str(&format!("; the last {unsigned} are not signed yet"));
        }
        if report.unfinished > 0 {
            text.push_str(&format!("; {} bytes at the end are no whole record", report.unfinished));
        }
        text.push_str(&format!("\nIt is the log {name}."));
        if name == SHARED {
            text.push_str(" Older versions called every guard's log so: that it is none of another guard with this key, only a checkpoint that was kept elsewhere can show.");
        }
        text.push_str(if older.is_empty() {
            "\nThat it was not cut back to an earlier checkpoint, only a checkpoint that was kept elsewhere can show (--checkpoint FILE)."
        } else {
            "\nIt goes on where the given checkpoints were."
        });
        text
    } else {
        format!("the log is not whole:\n  {}", problems.join("\n  "))
    };
    let (entries, unfinished) = (report.entries, report.unfinished);
    Ok(Verified { sound, origin, entries, unsigned, unfinished, checkpoint, problems, text })
}

/// What says that the log is another one than is meant.
fn others(found: Option<&str>, older: &[&[u8]], origins: &[&str]) -> Vec<String> {
    // Where nothing is signed there is no name, and that is a problem of its own.
    let Some(found) = found else { return Vec::new() };
    let expected = origins.iter().filter(|origin| **origin != found);
    let mut problems: Vec<String> =
        expected.map(|origin| format!("it is the log {found}, and not {origin}: another guard's")).collect();
    let named = older.iter().filter_map(|note| log::origin_of(note)).filter(|origin| origin != found);
    problems.extend(named.map(|origin| {
        format!("a checkpoint was given that is none of this log ({found}): it is of {origin}")
    }));
    problems
}
