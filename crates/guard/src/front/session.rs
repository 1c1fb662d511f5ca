//! What is kept of a client of a revision with a handshake.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use super::call::Outcome;
use super::inflight::InFlight;
use super::metadata::Level;
use super::{Caller, Log, Watch};
use crate::wire::Id;

/// A session: of a process on stdio, of an `Mcp-Session-Id` over HTTP.
pub(super) struct Session {
    /// As of `initialize`.
    pub(super) caller: Arc<Caller>,
    pub(super) in_flight: Arc<InFlight>,
    log: Log,
    state: Mutex<State>,
    /// Whether a stream of changes is open.
    listening: AtomicBool,
    ended: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    log_level: Option<Level>,
    watched: HashMap<String, Watch>,
    /// The id of the last question.
    asked: i64,
    open: HashMap<i64, oneshot::Sender<Outcome>>,
}

impl Session {
    pub(super) fn new(caller: Arc<Caller>, in_flight: Arc<InFlight>, log: Log) -> Arc<Self> {
        Arc::new(Self {
            caller,
            in_flight,
            log,
            state: Mutex::default(),
            listening: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log_level(&self) -> Option<Level> {
        self.state().log_level
    }

    pub(super) fn set_log_level(&self, level: Level) {
        self.state().log_level = Some(level);
    }

    /// Keeps a watch; false if there are as many as may be.
    pub(super) fn watch(&self, uri: String, watch: Watch, limit: usize) -> bool {
        let mut state = self.state();
        if state.watched.len() >= limit && !state.watched.contains_key(&uri) {
            return false;
        }
        state.watched.insert(uri, watch);
        true
    }

    pub(super) fn unwatch(&self, uri: &str) -> bool {
        self.state().watched.remove(uri).is_some()
    }

    pub(super) fn watches(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.state().watched.keys().any(|uri| matches(uri))
    }

    pub(super) fn watched(&self) -> Vec<String> {
        self.state().watched.keys().cloned().collect()
    }

    /// A new question: its id. None if there are as many as may be.
    pub(super) fn ask(
        &self,
        answer: oneshot::Sender<Outcome>,
        limit: usize,
    ) -> Result<i64, oneshot::Sender<Outcome>> {
        let mut state = self.state();
        let next = state.asked.checked_add(1);
        match next {
            Some(id) if state.open.len() < limit => {
                state.asked = id;
                state.open.insert(id, answer);
                Ok(id)
            }
            _ => Err(answer),
        }
    }

    /// Nobody waits for the answer to this question any more.
    pub(super) fn forget(&self, question: i64) {
        self.state().open.remove(&question);
    }

    /// Passes on what a client answered. What answers no open question is ignored.
    pub(super) fn answer(&self, id: Option<&Id>, outcome: Outcome) {
        let open = match id {
            Some(Id::Number(id)) => self.state().open.remove(id),
            _ => None,
        };
        match open {
            // If nobody waits for it any more, it is of no use.
            Some(answer) => drop(answer.send(outcome)),
            None => (self.log)(
                "a client answered a question that is not open (unknown, or answered before); ignored",
            ),
        }
    }

    /// Takes the one stream of changes that a session may have.
    pub(super) fn listen(self: &Arc<Self>) -> Option<Listening> {
        (!self.listening.swap(true, Ordering::AcqRel)).then(|| Listening(Arc::clone(self)))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.listening.load(Ordering::Acquire) || self.in_flight.len() > 0
    }

    /// Ends it: what is under way is cancelled, streams are closed, watches end.
    pub(super) fn end(&self) {
        self.in_flight.cancel_all();
        self.ended.send_replace(true);
        let mut state = self.state();
        state.open.clear();
        state.watched.clear();
    }

    /// Resolves when the session has ended.
    pub(super) async fn ended(&self) {
        // The sender is in `self`, so this waits for the value.
        let mut ended = self.ended.subscribe();
        drop(ended.wait_for(|ended| *ended).await);
    }
}

/// That a stream of changes is open.
pub(super) struct Listening(Arc<Session>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
    }
}
