//! What a server that the guard starts may touch: files, network, system calls, environment.
//!
//! The guard starts itself with a [`Spec`], confines itself and becomes the server ([`enter_and_exec`]): Landlock for
//! files, seccomp for system calls, a private folder as home, no capabilities, a session of its own so that
//! [`kill_family`] reaches everything the server started. Nothing is confined after the fact, and nothing of the
//! server runs before.
//!
//! *Invariant:* what was not granted is not given, and what the kernel could not enforce is in the [`Report`]. With
//! `require`, a report that is not full means that the server is not started.
//!
//! What no setting changes: Landlock does not hide that a file exists, its size and its times, nor (from `inotify`) the
//! names of files as they come, go or are opened, nor forbid setting the times of a file that the user owns; the
//! sandbox does not bound how much memory or disk a server uses unless limits are given.

mod enter;
mod family;
mod locate;
mod opened;
mod prepare;
mod report;
mod spec;

#[cfg(target_os = "linux")]
mod filesystem;
#[cfg(target_os = "linux")]
mod loopback;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
mod syscalls;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

pub use enter::{EnterError, enter_and_exec, keep_to_ourselves};
pub use family::kill_family;
pub use prepare::{Launcher, Prepared, SandboxError, code_of, command};
pub use report::{Enforcement, Report};
pub use spec::{EnvironmentValue, Grants, Limits, Modes, Network, Spec};
