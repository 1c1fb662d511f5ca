//! Privileges that no server needs: those of root, a terminal, other processes' signals; and limits.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::enter::EnterError;
use super::spec::Limits;

/// The highest capability that there may be; the kernel keeps them in 64 bits.
const CAPABILITIES: u32 = 64;

/// Makes this process the leader of a session without a terminal, and so of a group that can be killed as one.
pub(super) fn own_session() -> Result<(), EnterError> {
    match setsid() {
        Ok(_) => Ok(()),
        // The leader of a group cannot leave it: then that group is its own already.
        Err(rustix::io::Errno::PERM) if leads_its_group() => Ok(()),
        Err(error) => Err(EnterError::set_up("a session of its own")(error.into())),
    }
}

fn leads_its_group() -> bool {
    rustix::process::getpgrp() == rustix::process::getpid()
}

/// Sets resource limits. Where the limit in force is lower, it stays.
pub(super) fn limit(limits: &Limits) -> Result<(), EnterError> {
    let wanted = [
        (Resource::Core, Some(0), "core files"),
        (Resource::Nofile, Some(limits.open_files), "open files"),
        (Resource::Fsize, limits.file_bytes, "bytes in a file"),
        (Resource::As, limits.memory_bytes, "bytes of memory"),
        (Resource::Cpu, limits.cpu_seconds, "seconds of processor time"),
        (Resource::Nproc, limits.processes, "processes"),
    ];
    for (resource, bound, what) in wanted {
        let Some(bound) = bound else { continue };
        let bound = getrlimit(resource).maximum.map_or(bound, |held| held.min(bound));
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })
            .map_err(|error| EnterError::set_up(format!("the limit of {what}"))(error.into()))?;
    }
    Ok(())
}

/// Gives up all capabilities, for good.
pub(super) fn give_up() -> Result<(), EnterError> {
    let error = |what: &str| {
        let what = what.to_owned();
        move |errno: rustix::io::Errno| EnterError::set_up(what)(io::Error::from(errno))
    };
    // From here on no program that is started gains any, set-user-id or not.
    set_no_new_privs(true).map_err(error("no new privileges"))?;
    // What is inheritable or ambient would survive the start of the server; bounding keeps root from having them again.
    let _ = clear_ambient_capability_set();
    for capability in (0..CAPABILITIES).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        // Without the privilege to lower the bound there is nothing that it would bound: no new privileges.
        if matches!(capability_is_in_bounding_set(capability), Ok(true)) {
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(error("giving up capabilities"))
}
