//! Ending a server together with everything that it started.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Kills the server with this process id, and everything it started: the sandbox leaves no way out of its group.
///
/// To be called *before* the process has been waited for; afterwards the number may be another's.
///
/// # Errors
/// If the system refuses. That nothing is left to kill is no error.
pub fn kill_family(process: u32) -> io::Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|pid| *pid != Pid::INIT) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    match kill_process_group(pid, Signal::KILL) {
        // It has not come as far as to make its group.
        Err(Errno::SRCH) => match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        },
        killed => Ok(killed?),
    }
}
