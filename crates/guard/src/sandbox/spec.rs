//! What a person grants, and what the confined process is told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a server may touch beyond what every program needs to run. The default grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// Files and folders that it may read.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change.
    pub write: Vec<PathBuf>,
    /// Files and folders that it may read, and whose programs it may run.
    pub execute: Vec<PathBuf>,
    /// Which network it may use.
    pub network: Network,
    /// Whether it may use Unix sockets by name. Sockets of other programs (a container engine's, a key agent's) can be
    /// as powerful as the user.
    pub unix_sockets: bool,
    /// Whether it may change the modes, owners and extended attributes of all files that the user may: Landlock does
    /// not restrict these to the granted folders. Installers such as `npx` need it.
    pub modes: Modes,
    /// Environment variables to pass, beside `PATH`, `LANG`, `HOME` and `TMPDIR`.
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// The folder to start in; by default the guard's own working folder.
    pub folder: Option<PathBuf>,
    /// Bounds on what it uses.
    pub limits: Limits,
}

/// The value of an environment variable. Prints masked: these are often keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvironmentValue(String);

impl EnvironmentValue {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Which network a server may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// None at all.
    #[default]
    None,
    /// A loopback interface of its own, shared with what it starts and nothing else. Services on the machine's loopback
    /// are out of reach; for these see [`Network::Ports`].
    Loopback,
    /// TCP connections to these ports of any host, and nothing else: no listening, no UDP, and so no look-up of names
    /// but those in the hosts file.
    Ports(Vec<u16>),
    /// TCP and UDP, to and from anywhere.
    All,
}

/// What becomes of a change of a file's mode, owner or extended attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Modes {
    /// It fails.
    #[default]
    Refused,
    /// A change of a mode seems to succeed, and changes nothing; the others fail. For programs that give up over it, such as
    /// GitPython: nothing that they write is lost, it only keeps the mode that it was made with.
    Ignored,
    /// It is done.
    Allowed,
}

/// Bounds of a process and what it starts (each process on its own; see `setrlimit(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Open files at a time.
    pub open_files: u64,
    /// Bytes in a file that it writes.
    pub file_bytes: Option<u64>,
    /// Bytes of address space. Some runtimes reserve far more than they use.
    pub memory_bytes: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads of the user at a time, those outside the sandbox counted too.
    pub processes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { open_files: 4096, file_bytes: None, memory_bytes: None, cpu_seconds: None, processes: None }
    }
}

/// What the confined process is told: every path resolved, nothing left to look up. A link that it meets on the way to one
/// (but for the system's own) ends it.
///
/// It travels on a command line that other users can read, so it holds no environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    /// What may be read and run of the system. What does not exist is passed over.
    pub system: Vec<PathBuf>,
    /// The program's own, to be read and run. What has gone since it was found is passed over.
    pub code: Vec<PathBuf>,
    /// Granted for reading.
    pub read: Vec<PathBuf>,
    /// Granted for reading and changing.
    pub write: Vec<PathBuf>,
    /// Granted for reading and running.
    pub execute: Vec<PathBuf>,
    /// The private folder, which is `HOME` and `TMPDIR`: everything is allowed there.
    pub home: PathBuf,
    /// Which network.
    pub network: Network,
    /// Unix sockets by name.
    pub unix_sockets: bool,
    /// Modes, owners and extended attributes.
    pub modes: Modes,
    /// Bounds.
    pub limits: Limits,
    /// Whether to refuse where the kernel cannot enforce everything.
    pub require: bool,
    /// Where the report goes, outside everything that the server may write.
    pub report: PathBuf,
}
