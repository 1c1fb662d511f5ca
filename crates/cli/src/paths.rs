//! Where Ostrom keeps things: the user's data and cache folders, or below `OSTROM_HOME`.

use std::path::PathBuf;

use directories::ProjectDirs;

use crate::fail::Failure;

fn folder(name: &str, pick: fn(&ProjectDirs) -> PathBuf) -> Result<PathBuf, Failure> {
    if let Some(home) = std::env::var_os("OSTROM_HOME").filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home).join(name));
    }
    let dirs = ProjectDirs::from("", "", "ostrom");
    dirs.as_ref().map(pick).ok_or_else(|| {
        Failure::new("there is no home directory: set OSTROM_HOME to a folder that Ostrom may write to")
    })
}

/// Models that were fetched.
pub fn models() -> Result<PathBuf, Failure> {
    Ok(folder("cache", |dirs| dirs.cache_dir().to_owned())?.join("models"))
}

fn data() -> Result<PathBuf, Failure> {
    folder("data", |dirs| dirs.data_dir().to_owned())
}

/// The signing key.
pub fn key() -> Result<PathBuf, Failure> {
    Ok(data()?.join("keys").join("default.pem"))
}

/// What guards keep between runs.
pub fn guards() -> Result<PathBuf, Failure> {
    Ok(data()?.join("guard"))
}

/// What servers keep that `ostrom guard wrap` starts: not with the guards' states, which no server may reach.
pub fn servers() -> Result<PathBuf, Failure> {
    Ok(data()?.join("servers"))
}

/// What a node keeps.
pub fn node() -> Result<PathBuf, Failure> {
    Ok(data()?.join("node"))
}

/// Public keys of others whose records count, one PEM file each.
pub fn trusted_keys() -> Result<PathBuf, Failure> {
    Ok(data()?.join("keys").join("trusted"))
}

/// Records of lineage and revocation.
pub fn records() -> Result<PathBuf, Failure> {
    Ok(data()?.join("lineage"))
}

/// Digests that `ostrom verify --fast` has confirmed.
pub fn fast_cache() -> Result<PathBuf, Failure> {
    Ok(data()?.join("verified.json"))
}
