//! The process group of a child: what it starts ends with it.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// A process group that is killed at the latest when this is dropped.
pub(super) struct Group(Mutex<Option<Pid>>);

impl Group {
    /// That of a child that was made the leader of one.
    pub(super) fn of(child: &tokio::process::Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self(Mutex::new(pid))
    }

    /// Asks its processes to end.
    pub(super) fn terminate(&self) {
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // There may be nobody left.
            let _ended = kill_process_group(pid, Signal::TERM);
        }
    }

    /// Kills whoever is left. The number is forgotten with it, since the system may give it to others once the leader has been
    /// waited for.
    pub(super) fn finish(&self) {
        if let Some(pid) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ended = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.finish();
    }
}
