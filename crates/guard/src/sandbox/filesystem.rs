//! Files: Landlock, with the newest interface that both this kernel and this program know.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};

use super::enter::EnterError;
use super::opened::unfollowed;
use super::report::Landlock;
use super::spec::{Network, Spec};

/// The newest interface whose rights were looked at one by one for this sandbox.
const NEWEST: ABI = ABI::V9;

/// Devices that programs expect and that hold nothing.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Restricts this process to the files of `spec`, and TCP to the ports of `network`. The answer says what the kernel
/// took.
pub(super) fn restrict(spec: &Spec, network: &Network) -> Result<Landlock, EnterError> {
    let error = |source: landlock::RulesetError| EnterError::SetUp {
        what: "Landlock".into(),
        source: io::Error::other(source),
    };
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(error)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)
        .map_err(error)?;
    if matches!(network, Network::None | Network::Ports(_)) {
        ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp).map_err(error)?;
    }
    let mut rules = Rules(ruleset.create().map_err(error)?);
    let sockets: BitFlags<AccessFs> =
        if spec.unix_sockets { AccessFs::ResolveUnix.into() } else { BitFlags::EMPTY };
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let write = AccessFs::from_all(NEWEST) & !(devices | AccessFs::Execute | AccessFs::ResolveUnix);
    for path in &spec.system {
        rules.add(path, run, Whose::System)?;
    }
    for path in DEVICES {
        rules.add(Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile, Whose::System)?;
    }
    for path in &spec.code {
        rules.add(path, run, Whose::Program)?;
    }
    for path in &spec.read {
        rules.add(path, read | sockets, Whose::Person)?;
    }
    for path in &spec.execute {
        rules.add(path, run, Whose::Person)?;
    }
    for path in &spec.write {
        rules.add(path, write | sockets, Whose::Person)?;
    }
    rules.add(&spec.home, write | run | sockets, Whose::Person)?;
    if let Network::Ports(ports) = network {
        for port in ports {
            rules.0 = rules.0.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(error)?;
        }
    }
    let status = rules.0.restrict_self().map_err(error)?;
    Ok(match status.landlock {
        LandlockStatus::NotImplemented => Landlock::Without("this kernel was built without Landlock"),
        LandlockStatus::NotEnabled => {
            Landlock::Without("Landlock is not enabled (the kernel's parameter lsm= must name it)")
        }
        LandlockStatus::Available { effective_abi, .. } => Landlock::Version(effective_abi as u32),
    })
}

/// Whose choice a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Everybody's, and only root's to change: may be a link, may be missing.
    System,
    /// Found with the program: may have gone since.
    Program,
    /// Granted: must be there.
    Person,
}

/// Rules while they are collected.
struct Rules(RulesetCreated);

impl Rules {
    /// Allows `access` beneath `path`.
    fn add(&mut self, path: &Path, access: BitFlags<AccessFs>, whose: Whose) -> Result<(), EnterError> {
        let what = || format!("the granted path {}", path.display());
        let opened = match whose {
            Whose::System => {
                rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Into::into)
            }
            Whose::Program | Whose::Person => unfollowed(path, OFlags::PATH),
        };
        let fd = match opened {
            Ok(fd) => fd,
            Err(_) if whose == Whose::System => return Ok(()),
            Err(error) if whose == Whose::Program && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(EnterError::SetUp { what: what(), source }),
        };
        let kind = fstat(&fd).map_err(|error| EnterError::SetUp { what: what(), source: error.into() })?;
        let folder = FileType::from_raw_mode(kind.st_mode) == FileType::Directory;
        // The kernel refuses rights on a file that only folders have.
        let access = if folder { access } else { access & AccessFs::from_file(NEWEST) };
        (&mut self.0)
            .add_rule(PathBeneath::new(fd, access))
            .map_err(|error| EnterError::SetUp { what: what(), source: io::Error::other(error) })?;
        Ok(())
    }
}
