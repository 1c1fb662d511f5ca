//! The guard's side: what a server needs to run is put together, and a command that starts it confined.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::enter::ENVIRONMENT;
use super::locate::{SYSTEM, locate};
use super::report::Report;
use super::spec::{EnvironmentValue, Grants, Network, Spec};

/// What programs read to run, beside the folders of programs: nothing that differs from user to user.
const FILES: [&str; 29] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.conf",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/filesystems",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
];

/// What programs read to use a network.
const NETWORK_FILES: [&str; 8] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv6/conf/all/disable_ipv6",
];

/// Where programs are looked for after the server's own folders.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Longest report that is read. The server cannot write it, but what is read is bounded all the same.
const REPORT_BYTES: usize = 64 * 1024;

/// Why a sandbox cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no such program.
    #[error("there is no program {}: give the path of an executable file, or install it", .0.display())]
    NoProgram(PathBuf),
    /// A granted path does not exist.
    #[error("the path {} is granted to a server but cannot be used: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that no environment variable can have, or a value.
    #[error("{0:?} cannot be an environment variable of a server")]
    Variable(String),
    /// The private folder cannot be made.
    #[error("the private folder of a server cannot be made: {0}")]
    Folder(io::Error),
    /// A path or variable that is not UTF-8.
    #[error("a server's sandbox cannot be described: {0}")]
    Encoding(serde_json::Error),
}

/// What starts a confined process: this program, with the arguments that lead to [`super::enter_and_exec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// `ostrom guard sandboxed`, as the program that runs now.
    ///
    /// # Errors
    /// If the system does not say which program that is.
    pub fn this_program() -> io::Result<Self> {
        // What runs, and not what lies under its name by now: a file that a server may have put there would run unconfined.
        let running = PathBuf::from("/proc/self/exe");
        let program = if running.exists() { running } else { std::env::current_exe()? };
        Ok(Self::new(program, ["guard", "sandboxed"]))
    }

    /// Another program; it gets `--spec JSON -- PROGRAM ARGUMENTS` after these arguments.
    pub fn new<A: Into<OsString>>(program: PathBuf, arguments: impl IntoIterator<Item = A>) -> Self {
        Self { program, arguments: arguments.into_iter().map(Into::into).collect() }
    }
}

/// The command that starts `program` confined as `spec` says, with this environment and no other.
///
/// # Errors
/// If `spec` or the environment cannot be written as JSON.
pub fn command(
    launcher: &Launcher,
    spec: &Spec,
    program: &Path,
    arguments: &[OsString],
    environment: &BTreeMap<String, EnvironmentValue>,
) -> Result<Command, SandboxError> {
    let mut command = Command::new(&launcher.program);
    command
        .args(&launcher.arguments)
        .arg("--spec")
        .arg(serde_json::to_string(spec).map_err(SandboxError::Encoding)?)
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .env(ENVIRONMENT, serde_json::to_string(environment).map_err(SandboxError::Encoding)?);
    Ok(command)
}

/// A server that is ready to be started in its sandbox. Its private folder lives as long as this does.
#[derive(Debug)]
pub struct Prepared {
    folder: TempDir,
    /// Kept open: whoever could put another file under its name must not have the guard write there.
    report: File,
    spec: Spec,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, EnvironmentValue>,
    working: Option<PathBuf>,
}

impl Prepared {
    /// Finds `program` and what belongs to it, and makes its private folder among those of all programs for what is temporary.
    ///
    /// # Errors
    /// As [`Prepared::within`].
    pub fn new(
        grants: &Grants,
        require: bool,
        program: &OsStr,
        arguments: &[OsString],
    ) -> Result<Self, SandboxError> {
        Self::within(&std::env::temp_dir(), grants, require, program, arguments)
    }

    /// Finds `program` and what belongs to it, and makes its private folder in `place`: best one that no server is granted.
    ///
    /// # Errors
    /// If the program or a granted path does not exist, a variable has no proper name, or the folder cannot be made.
    pub fn within(
        place: &Path,
        grants: &Grants,
        require: bool,
        program: &OsStr,
        arguments: &[OsString],
    ) -> Result<Self, SandboxError> {
        let search = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
        let user_home = std::env::home_dir();
        let seen = (arguments, grants.folder.as_deref());
        let located = locate(program, seen, &search, user_home.as_deref())
            .ok_or_else(|| SandboxError::NoProgram(program.into()))?;
        let folder = private_folder(place).map_err(SandboxError::Folder)?;
        // Resolved, since Landlock's rules are about the folder and programs compare paths.
        let base = folder.path().canonicalize().map_err(SandboxError::Folder)?;
        let (home, path) = (base.join("home"), base.join("report"));
        std::fs::create_dir(&home).map_err(SandboxError::Folder)?;
        let report = File::options().read(true).write(true).create_new(true).open(&path);
        let report = report.map_err(SandboxError::Folder)?;
        let mut system: Vec<PathBuf> = SYSTEM.iter().chain(&FILES).map(PathBuf::from).collect();
        if grants.network != Network::None {
            system.extend(NETWORK_FILES.iter().map(PathBuf::from));
        }
        let environment = environment(grants, &located.folders, &home)?;
        let spec = Spec {
            system,
            code: located.trees,
            read: granted(&grants.read)?,
            write: granted(&grants.write)?,
            execute: granted(&grants.execute)?,
            home,
            network: grants.network.clone(),
            unix_sockets: grants.unix_sockets,
            modes: grants.modes,
            limits: grants.limits.clone(),
            require,
            report: path,
        };
        let working = granted(grants.folder.as_slice())?.pop();
        let (program, arguments) = (located.program, arguments.to_vec());
        Ok(Self { folder, report, spec, program, arguments, environment, working })
    }

    /// What the confined process is told.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The server's private folder, which is its `HOME` and `TMPDIR`.
    pub fn home(&self) -> &Path {
        &self.spec.home
    }

    /// The command that starts it. The caller adds standard input and output; other files must be closed on exec, which
    /// Rust's are.
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn command(&self, launcher: &Launcher) -> Result<Command, SandboxError> {
        // A report of an earlier start says nothing about this one.
        self.report.set_len(0).map_err(SandboxError::Folder)?;
        let mut command = command(launcher, &self.spec, &self.program, &self.arguments, &self.environment)?;
        if let Some(folder) = &self.working {
            command.current_dir(folder);
        }
        Ok(command)
    }

    /// What the kernel enforces, once the confined process has found out: before any byte of the server's own output.
    pub fn report(&self) -> Option<Report> {
        let mut bytes = vec![0; REPORT_BYTES];
        let length = self.report.read_at(&mut bytes, 0).ok()?;
        serde_json::from_slice(bytes.get(..length)?.strip_suffix(b"\n")?).ok()
    }

    /// Removes the private folder now, and says if that fails.
    ///
    /// # Errors
    /// If something in it cannot be removed.
    pub fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// The files of a program that runs without a sandbox, started in `folder`: itself, and what belongs to it. Whoever may change one of
/// them runs unconfined.
pub fn code_of(program: &OsStr, arguments: &[OsString], folder: Option<&Path>) -> Vec<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let found = locate(program, (arguments, folder), &search, std::env::home_dir().as_deref());
    found.map_or_else(Vec::new, |found| found.trees.into_iter().chain([found.program]).collect())
}

/// A new folder in `place` that only its owner can enter, from the first moment on.
fn private_folder(place: &Path) -> io::Result<TempDir> {
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().prefix("ostrom-guard-").permissions(owner_only).tempdir_in(place)
}

fn granted(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SandboxError> {
    let resolve = |path: &PathBuf| {
        path.canonicalize().map_err(|source| SandboxError::Path { path: path.clone(), source })
    };
    paths.iter().map(resolve).collect()
}

fn environment(
    grants: &Grants,
    folders: &[PathBuf],
    home: &Path,
) -> Result<BTreeMap<String, EnvironmentValue>, SandboxError> {
    let standard = std::env::split_paths(PATH);
    let mut path: Vec<PathBuf> = Vec::new();
    for folder in folders.iter().cloned().chain(standard) {
        if !path.contains(&folder) {
            path.push(folder);
        }
    }
    let path = std::env::join_paths(path).map_err(|_| SandboxError::Variable("PATH".into()))?;
    let text = |name: &str, value: &OsStr| {
        let value = value.to_str().ok_or_else(|| SandboxError::Variable(name.into()))?;
        Ok((name.to_owned(), EnvironmentValue::new(value)))
    };
    let language = std::env::var("LANG").ok().filter(|value| is_locale(value));
    let language = language.unwrap_or_else(|| "C.UTF-8".into());
    let mut all = BTreeMap::from([
        text("PATH", &path)?,
        text("LANG", OsStr::new(&language))?,
        text("HOME", home.as_os_str())?,
        text("TMPDIR", home.as_os_str())?,
    ]);
    for (name, value) in &grants.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.reveal().contains('\0') {
            return Err(SandboxError::Variable(name.clone()));
        }
        all.insert(name.clone(), value.clone());
    }
    Ok(all)
}

fn is_locale(value: &str) -> bool {
    value.len() <= 40 && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.@-".contains(c))
}
