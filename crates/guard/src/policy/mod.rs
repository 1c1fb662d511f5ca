//! `guard.toml`, profiles of common servers, Cedar.
//!
//! [`load`] reads everything that decides what the guard permits, checks it as a whole, and reports *all* problems, each with
//! its file, its line and what to write instead. What comes out is a [`Policy`]: the effective configuration, its digest
//! (the *policy version*, which goes into every record) and the Cedar policies, ready to decide.
//!
//! *Invariant:* a configuration with a problem is never used in part.
//!
//! *Invariant:* after loading nothing here does I/O or reads a clock.

pub mod cedar;
pub mod config;
mod in_force;
pub(crate) mod nearest;
mod problem;
pub mod profile;
mod read;

use std::path::Path;

use ostrom_core::Digest;

pub use cedar::Policies;
pub use config::Config;
pub use in_force::{InForce, read_snapshot};
pub use problem::{Problem, Problems};
pub(crate) use profile::npm_name;
pub use profile::{Fetched, Registry, Wanted, fetched, profile_for};

/// Everything that decides what is permitted.
#[derive(Debug)]
pub struct Policy {
    /// The effective configuration.
    pub config: Config,
    /// The Cedar policies.
    pub policies: Policies,
    /// The policy version.
    pub version: Digest,
}

impl Policy {
    /// Compiles the Cedar policies of `config`.
    ///
    /// # Errors
    /// All problems of the policies.
    pub fn new(config: Config) -> Result<Self, Problems> {
        let servers: Vec<&str> = config.servers.keys().map(String::as_str).collect();
        let policies = Policies::load(&config.cedar, &servers)?;
        let version = config.version();
        Ok(Self { config, policies, version })
    }
}

/// Reads `guard.toml` at `path`, and the files that it names.
///
/// # Errors
/// All problems found.
pub fn load(path: &Path) -> Result<Policy, Problems> {
    let (config, policies) = Config::load_all(path)?;
    let version = config.version();
    Ok(Policy { config, policies, version })
}
