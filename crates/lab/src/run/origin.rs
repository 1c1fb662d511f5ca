//! Whose run it is. A run's folder says where requests go, with which key and at what cost, and it holds the answers that a
//! bundle's signer vouches for: so the plan is signed by whoever begins the run, and a folder from elsewhere is not taken for one's own.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ostrom_core::{Digest, PredicateType, Statement, Subject};
use ostrom_trust::{Envelope, EnvelopeError, PublicKey, SecretKey};

use super::{MAX_PLAN, PLAN, PLAN_SIGNATURE, RunError, read_bounded};

/// Signs a plan: the statement's subject is the plan's bytes.
pub(super) fn sign(plan: &[u8], key: &SecretKey) -> Result<Vec<u8>, EnvelopeError> {
    let subject = vec![Subject::new(PLAN, Digest::of(plan))];
    let statement = Statement::new(subject, PredicateType::run(), serde_json::json!({}))?;
    Ok(Envelope::sign(&statement, key)?.to_json()?)
}

/// Whether `key` signed the plan of this digest, in this work folder.
pub(super) fn is_signed(work: &Path, plan: Digest, key: &PublicKey) -> Result<bool, RunError> {
    let bytes = match read_bounded(&work.join(PLAN_SIGNATURE), MAX_PLAN) {
        Err(RunError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    let Ok(verified) = Envelope::from_slice(&bytes).and_then(|envelope| envelope.verify(key)) else {
        return Ok(false);
    };
    let statement = verified.statement;
    let [subject] = statement.subjects() else { return Ok(false) };
    Ok(*statement.predicate_type() == PredicateType::run() && subject.digest() == Some(plan))
}

/// An error if there is something at `path` that is no plain file: through a link in a folder from elsewhere, files of the user
/// would be read, cut off or overwritten.
pub(super) fn plain_file(path: PathBuf) -> Result<PathBuf, RunError> {
    match std::fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => {
            let message = "it is a link or a folder; what belongs to a run is a plain file".to_owned();
            Err(RunError::Unfit { path, message })
        }
        _ => Ok(path),
    }
}

/// The same for a folder.
pub(super) fn plain_folder(path: PathBuf) -> Result<PathBuf, RunError> {
    match std::fs::symlink_metadata(&path) {
        Ok(found) if !found.is_dir() => {
            Err(RunError::Unfit { path, message: "it is a link or a file, and no folder".to_owned() })
        }
        _ => Ok(path),
    }
}

/// A new file under a temporary name. What lies there already goes: a link is never followed.
pub(crate) fn new_file(path: &Path) -> std::io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}
