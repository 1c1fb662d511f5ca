//! The name of a guard's log. Each log has its own, minted when it begins and kept in the guard's state: logs by one key cannot
//! be taken for one another.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ostrom_trust::log;

use super::AuditError;
use super::log::log_folder;

/// What every log was called before each had a name of its own.
pub(super) const SHARED: &str = "ostrom-guard";
/// The file in the state.
const FILE: &str = "origin";
/// The longest name of a log, in bytes.
const MAX: u64 = 255;

fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

fn error(state: &Path) -> impl Fn(std::io::Error) -> AuditError {
    let path = path(state);
    move |source| AuditError::File { path: path.clone(), source }
}

/// The name of the log that the guard with this state has, if it keeps one: from its next start on it does.
///
/// # Errors
/// If it cannot be read.
pub fn kept_origin(state: &Path) -> Result<Option<String>, AuditError> {
    let file = match std::fs::File::open(path(state)) {
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(error(state))?,
    };
    let mut name = String::new();
    file.take(MAX + 1).read_to_string(&mut name).map_err(error(state))?;
    Ok(Some(name.trim_end_matches('\n').to_owned()))
}

/// The name of the log in `folder`, of the guard with this state, which keeps it from now on: the one that it keeps, or
/// else the one that the log has, or else a new one.
///
/// # Errors
/// If the log there has another name than the one that is kept, or it cannot be kept.
pub fn origin(folder: &Path, state: &Path) -> Result<String, AuditError> {
    let found = log::origin(&log_folder(folder))?;
    match (kept_origin(state)?, found) {
        (Some(kept), Some(found)) if kept != found => {
            Err(AuditError::OtherLog { folder: folder.to_owned(), found, kept, file: path(state) })
        }
        (Some(kept), _) => Ok(kept),
        (None, Some(found)) => keep(state, found),
        (None, None) => keep(state, minted().map_err(|source| error(state)(std::io::Error::other(source)))?),
    }
}

fn minted() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    let mut name = String::from("ostrom/guard/");
    for byte in bytes {
        // Writing to a string does not fail.
        let _written = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// Keeps a name; of two that are minted at once, the one that comes first.
fn keep(state: &Path, name: String) -> Result<String, AuditError> {
    std::fs::create_dir_all(state).map_err(error(state))?;
    let mut file = tempfile::NamedTempFile::new_in(state).map_err(error(state))?;
    writeln!(file, "{name}").and_then(|()| file.as_file().sync_all()).map_err(error(state))?;
    match file.persist_noclobber(path(state)) {
        Ok(_) => Ok(name),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
            Ok(kept_origin(state)?.unwrap_or(name))
        }
        Err(failed) => Err(error(state)(failed.error)),
    }
}
