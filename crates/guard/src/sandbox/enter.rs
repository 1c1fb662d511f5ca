//! The confined side: a process that gives up what it must not have and becomes the server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::opened::unfollowed;
use super::report::Report;
use super::spec::{EnvironmentValue, Spec};

/// The variable in which the server's environment comes: not on the command line, which every user can read, and not as
/// variables of this process, where the dynamic linker would act on them before anything is confined.
pub(super) const ENVIRONMENT: &str = "OSTROM_SANDBOX_ENVIRONMENT";

/// Why a server was not started in its sandbox.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The kernel cannot enforce everything and the user said that it must.
    #[error(
        "this system cannot enforce the sandbox, and it is required: {}. Use a newer kernel, grant what cannot be \
         forbidden, or run without requiring the sandbox",
        .0.join("; ")
    )]
    Refused(Vec<String>),
    /// The process was not started the way the guard does.
    #[error("this command is for the guard's own use: {0}")]
    NotFromGuard(String),
    /// A part of the sandbox could not be set up for another reason than a kernel without it.
    #[error("the sandbox could not be set up ({what}): {source}")]
    SetUp {
        /// Which part.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server's program could not be started.
    #[error("{} cannot be started in the sandbox: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl EnterError {
    /// The exit status, after the custom of `env` and `chroot`: 125 for the sandbox itself, 126 for a program that
    /// cannot be run, 127 for one that is not there.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => 125,
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn set_up(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::SetUp { what, source }
    }
}

/// Confines this process as `spec` says and becomes `program`. Comes back only with an error.
///
/// To be called before any thread is started. Of what is open, the program gets standard input, output and error only.
pub fn enter_and_exec(spec: &Spec, program: &std::path::Path, arguments: &[OsString]) -> EnterError {
    match enter(spec) {
        Err(error) => error,
        Ok(environment) => {
            keep_to_ourselves();
            let variables = environment.iter().map(|(name, value)| (name, value.reveal()));
            let source = Command::new(program).args(arguments).env_clear().envs(variables).exec();
            EnterError::Start { program: program.to_owned(), source }
        }
    }
}

/// Closes all but standard input, output and error when a program is started. Nothing forbids the use of what is open already: of a
/// descriptor that the guard itself was given, perhaps a connection or a file that was not granted.
pub fn keep_to_ourselves() {
    const FIRST_AFTER_STANDARD: i32 = 3;
    close_fds::set_fds_cloexec(FIRST_AFTER_STANDARD, &[]);
}

fn enter(spec: &Spec) -> Result<BTreeMap<String, EnvironmentValue>, EnterError> {
    let text = std::env::var(ENVIRONMENT)
        .map_err(|_| EnterError::NotFromGuard("it was not given an environment".into()))?;
    let environment = serde_json::from_str(&text)
        .map_err(|error| EnterError::NotFromGuard(format!("its environment is not readable ({error})")))?;
    // Opened before files are out of reach; closes when the server starts, so that it cannot write a report of its own.
    let file = unfollowed(&spec.report, rustix::fs::OFlags::WRONLY);
    let mut file = File::from(file.map_err(|source| EnterError::SetUp {
        what: format!("the report {}", spec.report.display()),
        source,
    })?);
    let report = confine(spec)?;
    let mut line = serde_json::to_vec(&report)
        .map_err(|error| EnterError::SetUp { what: "the report".into(), source: error.into() })?;
    line.push(b'\n');
    file.write_all(&line).map_err(|source| EnterError::SetUp { what: "the report".into(), source })?;
    let shortfalls = report.shortfalls();
    if spec.require && !shortfalls.is_empty() {
        return Err(EnterError::Refused(shortfalls));
    }
    let mut stderr = io::stderr().lock();
    for line in shortfalls {
        // A server whose stderr is closed runs on.
        let _ = writeln!(stderr, "ostrom guard: the sandbox does not cover {line}");
    }
    for line in &report.unavailable {
        let _ = writeln!(stderr, "ostrom guard: granted, but not to be had here: {line}");
    }
    Ok(environment)
}

#[cfg(target_os = "linux")]
fn confine(spec: &Spec) -> Result<Report, EnterError> {
    use super::report::enforced;
    use super::spec::Network;
    use super::{filesystem, loopback, privileges, syscalls};

    privileges::own_session()?;
    let mut unavailable = Vec::new();
    let mut network = spec.network.clone();
    if network == Network::Loopback
        && let Err(why) = loopback::make()
    {
        // Closed rather than open: without a loopback of its own it gets no network.
        unavailable.push(format!("a private loopback interface ({why}); there is no network at all"));
        network = Network::None;
    }
    privileges::limit(&spec.limits)?;
    privileges::give_up()?;
    let landlock = filesystem::restrict(spec, &network)?;
    let filter = syscalls::restrict(spec, &network);
    let mut report = enforced(spec, &network, landlock, &filter);
    report.unavailable = unavailable;
    Ok(report)
}

#[cfg(not(target_os = "linux"))]
fn confine(_: &Spec) -> Result<Report, EnterError> {
    Ok(Report::none("sandboxes are made of Linux's Landlock and seccomp, and this is another system"))
}
