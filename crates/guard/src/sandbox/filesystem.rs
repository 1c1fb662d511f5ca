//! Files: Landlock, with the newest interface that both this kernel and this program know.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};

use super::enter::EnterError;
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
        rules.add(path, run, true)?;
    }
    for path in DEVICES {
        rules.add(Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile, true)?;
    }
    for path in &spec.read {
        rules.add(path, read | sockets, false)?;
    }
    for path in &spec.execute {
        rules.add(path, run, false)?;
    }
    for path in &spec.write {
        rules.add(path, write | sockets, false)?;
    }
    rules.add(&spec.home, write | run | sockets, false)?;
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

/// Rules while they are collected.
struct Rules(RulesetCreated);

impl Rules {
    /// Allows `access` beneath `path`. A path of the system may be missing; one that a person granted may not.
    fn add(&mut self, path: &Path, access: BitFlags<AccessFs>, of_system: bool) -> Result<(), EnterError> {
        let what = || format!("the granted path {}", path.display());
        let folder = match path.metadata() {
            Ok(metadata) => metadata.is_dir(),
            Err(_) if of_system => return Ok(()),
            Err(source) => return Err(EnterError::SetUp { what: what(), source }),
        };
        // The kernel refuses rights on a file that only folders have.
        let access = if folder { access } else { access & AccessFs::from_file(NEWEST) };
        let fd = match PathFd::new(path) {
            Ok(fd) => fd,
            Err(_) if of_system => return Ok(()),
            Err(error) => return Err(EnterError::SetUp { what: what(), source: io::Error::other(error) }),
        };
        (&mut self.0)
            .add_rule(PathBeneath::new(fd, access))
            .map_err(|error| EnterError::SetUp { what: what(), source: io::Error::other(error) })?;
        Ok(())
    }
}
