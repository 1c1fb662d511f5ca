//! Pins that are taken away, while no guard runs; and how people are told of pins.

use std::path::{Path, PathBuf};

use ostrom_trust::SecretKey;
use serde_json::{Value, json};

use super::{ServeError, control, intervene};
use crate::audit::{self, AuditLog};
use crate::pin::{Kind, Pin, PinStore};

/// Where a guard keeps its pins.
pub(super) fn pins(state: &Path) -> PathBuf {
    state.join("pins.toml")
}

/// A pin, as people are told of it.
pub(super) fn told(server: &str, kind: Kind, name: &str, pin: &Pin, offered: Option<bool>) -> Value {
    json!({
        "server": server, "kind": kind, "name": name, "digest": pin.digest,
        "by": pin.approved_by, "at": pin.approved_at, "offered": offered,
    })
}

/// What was approved of a server, by the guard with this state.
///
/// # Errors
/// If the pins cannot be read.
pub fn pinned(state: &Path, server: &str) -> Result<Vec<Value>, ServeError> {
    let store = PinStore::load(&pins(state))?;
    let of_server = store.pins().filter(|(owner, ..)| *owner == server);
    Ok(of_server.map(|(_, kind, name, pin)| told(server, kind, name, pin, None)).collect())
}

/// Takes a pin away while no guard runs, and writes that into the audit log in `folder`.
///
/// # Errors
/// If there is no such pin, a guard runs, or one of both cannot be written.
pub fn unpin(
    folder: &Path,
    state: &Path,
    key: SecretKey,
    server: &str,
    (kind, name): (Kind, &str),
) -> Result<(), ServeError> {
    let path = pins(state);
    let none = || ServeError::Refused(intervene::NOT_PINNED.to_owned());
    let digest = PinStore::load(&path)?.pin(server, kind, name).ok_or_else(none)?.digest;
    let event = intervene::unpinned(server, kind, name, digest, &control::owner());
    // Under the log's lock, so that no guard starts meanwhile and saves its own pins over these.
    AuditLog::write_down_and((folder, &audit::origin(folder, state)?), key, &event, || {
        let mut store = PinStore::load(&path)?;
        store.revoke(server, kind, name);
        Ok(store.save(&path)?)
    })
}
