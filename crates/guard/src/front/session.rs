//! What is kept of a client of a revision with a handshake.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};

use super::call::Outcome;
use super::changes::{Interest, Watches};
use super::inflight::InFlight;
use super::metadata::Level;
use super::{Caller, Hears, Log, Watch};
use crate::wire::Id;

/// A session: of a process on stdio, of an `Mcp-Session-Id` over HTTP.
pub(super) struct Session {
    /// As of `initialize`.
    pub(super) caller: Arc<Caller>,
    /// The lists of whose changes the answer to `initialize` said that they are told.
    pub(super) lists: Interest,
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
    watched: Watches,
    /// Who, beside its own caller, has asked for something in it: by run.
    others: BTreeMap<Option<Arc<str>>, Arc<Caller>>,
    /// The id of the last question.
    asked: i64,
    /// The questions that are open, with the run whose call led to each.
    open: HashMap<i64, (Option<Arc<str>>, oneshot::Sender<Outcome>)>,
}

impl Session {
    /// The session that begins with this answer to `initialize`.
    pub(super) fn new(
        caller: Arc<Caller>,
        answer: &Map<String, Value>,
        in_flight: Arc<InFlight>,
        log: Log,
    ) -> Arc<Self> {
        Arc::new(Self {
            caller,
            lists: Interest::in_lists(answer.get("capabilities")),
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
        if state.watched.len() >= limit && !state.watched.contains(&uri) {
            return false;
        }
        state.watched.insert(uri, watch);
        true
    }

    /// Notes that another run than its own is served in it.
    pub(super) fn speaks_for(&self, caller: &Arc<Caller>) {
        self.state().others.entry(caller.run.clone()).or_insert_with(|| Arc::clone(caller));
    }

    pub(super) fn unwatch(&self, uri: &str) -> bool {
        self.state().watched.remove(uri)
    }

    /// The watched resources that fit, as far as they may still be told of. The others are watched no longer.
    ///
    /// What goes out in a session may reach all runs that it serves, so all of them must be able to hear it.
    pub(super) fn watches(&self, fits: impl Fn(&str) -> bool, hears: &Hears) -> Vec<String> {
        let mut state = self.state();
        let State { watched, others, .. } = &mut *state;
        watched.still(fits, |watch| {
            hears(&self.caller, watch) && others.values().all(|other| hears(other, watch))
        })
    }

    /// A new question to a run: its id. None if there are as many as may be.
    pub(super) fn ask(
        &self,
        run: Option<&Arc<str>>,
        answer: oneshot::Sender<Outcome>,
        limit: usize,
    ) -> Result<i64, oneshot::Sender<Outcome>> {
        let mut state = self.state();
        let next = state.asked.checked_add(1);
        match next {
            Some(id) if state.open.len() < limit => {
                state.asked = id;
                state.open.insert(id, (run.cloned(), answer));
                Ok(id)
            }
            _ => Err(answer),
        }
    }

    /// Nobody waits for the answer to this question any more.
    pub(super) fn forget(&self, question: i64) {
        self.state().open.remove(&question);
    }

    /// Passes on what a client answered, in the name of a run. What answers no open question of that run is ignored: what another has
    /// seen is not in its context.
    pub(super) fn answer(&self, id: Option<&Id>, run: Option<&Arc<str>>, outcome: Outcome) {
        let open = match id {
            Some(Id::Number(id)) => {
                let open = &mut self.state().open;
                let own = open.get(id).is_some_and(|(asked, _)| asked.as_ref() == run);
                own.then(|| open.remove(id)).flatten()
            }
            _ => None,
        };
        match open {
            // If nobody waits for it any more, it is of no use.
            Some((_, answer)) => drop(answer.send(outcome)),
            None => (self.log)(
                "a client answered a question that is not open (unknown, answered before, or another run's); ignored",
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
