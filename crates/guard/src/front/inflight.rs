//! Requests under way, by their ids, so that they can be cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::wire::Id;

/// The requests of one client under way.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    serial: u64,
    requests: HashMap<Id, (u64, oneshot::Sender<()>)>,
}

/// A request's place among those under way; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<InFlight>,
    id: Id,
    serial: u64,
    /// `None` once it has come.
    cancelled: Option<oneshot::Receiver<()>>,
}

impl InFlight {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request; none if one with this id is under way already.
    pub(super) fn enter(self: &Arc<Self>, id: &Id) -> Option<Ticket> {
        let mut state = self.state();
        if state.requests.contains_key(id) {
            return None;
        }
        state.serial = state.serial.wrapping_add(1);
        let serial = state.serial;
        let (cancel, cancelled) = oneshot::channel();
        state.requests.insert(id.clone(), (serial, cancel));
        Some(Ticket { registry: Arc::clone(self), id: id.clone(), serial, cancelled: Some(cancelled) })
    }

    /// Cancels a request; whether it was under way.
    pub(super) fn cancel(&self, id: &Id) -> bool {
        self.state().requests.remove(id).is_some_and(|(_, cancel)| cancel.send(()).is_ok())
    }

    pub(super) fn cancel_all(&self) {
        for (_, (_, cancel)) in self.state().requests.drain() {
            // Whoever does not listen any more has ended by itself.
            let _ended = cancel.send(());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state().requests.len()
    }
}

impl Ticket {
    /// Resolves when the request is cancelled, and never otherwise.
    pub(super) async fn cancelled(&mut self) {
        if let Some(cancelled) = &mut self.cancelled {
            let came = cancelled.await.is_ok();
            self.cancelled = None;
            if came {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.registry.state();
        // After a cancellation the id may have been taken again.
        if state.requests.get(&self.id).is_some_and(|(serial, _)| *serial == self.serial) {
            state.requests.remove(&self.id);
        }
    }
}
