//! What changes while the guard runs: one lock around the engine, what is kept for agents, and who waits for a person.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ostrom_core::Digest;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::approvals::Approvals;
use super::handles::{Capacity, Store};
use super::rules::{Journal, JournalError, Rules};
use crate::audit::Waiting;
use crate::flow::{Engine, Event, ToolFacts};
use crate::wire::RpcError;

/// Everything under the lock.
#[derive(Debug)]
pub struct State {
    /// What decisions depend on.
    pub engine: Engine,
    /// What agents have handles of.
    pub store: Store,
    /// Who waits for a person.
    pub approvals: Approvals,
}

/// The state, and the log that is ahead of it.
pub struct Shared {
    state: Mutex<State>,
    journal: Arc<dyn Journal>,
    /// Counts what people stop, revoke and end. Changed under the lock of the state.
    stops: AtomicU64,
    /// The number of the event that took effect last. Changed under the lock of the state.
    last: AtomicU64,
    /// The policy in force.
    pub rules: Arc<dyn Rules>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// An event that has its place in the log and may not yet be safe.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Written {
    number: u64,
    /// Whether no other call is under way, so that nobody would share the write.
    alone: bool,
    /// How much had been stopped by then.
    stops: u64,
}

impl Shared {
    /// A state that begins with `engine`.
    pub fn new(engine: Engine, rules: Arc<dyn Rules>, journal: Arc<dyn Journal>, capacity: Capacity) -> Self {
        let store = Store::new(capacity);
        let state = State { engine, store, approvals: Approvals::default() };
        Self { state: Mutex::new(state), journal, stops: AtomicU64::new(0), last: AtomicU64::new(0), rules }
    }

    /// Goes on with the questions and approvals of before.
    pub fn resume(&self, waiting: Vec<Waiting>) {
        let mut state = self.lock();
        state.approvals.terms = self.rules.terms();
        for Waiting { request, approved } in waiting {
            let name = request.digest;
            state.approvals.wait(request);
            if let Some(at) = approved {
                state.approvals.answer(&name, true, at);
            }
        }
    }

    /// Locks the state, with everything in it written. What is read from it may be shown.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.lock_ahead();
        // Where nothing can be written, what is shown needs a record of its own and so an error, or was shown before.
        let _unwritten = self.journal.write_all();
        state
    }

    /// Locks the state, which may be ahead of what is written. Whatever follows from it must be settled before it is seen outside.
    pub(super) fn lock_ahead(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half way through a change; a poisoned lock still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everything in the state is written. Whoever shows something because of what the state says, and has nothing to
    /// record, asks this.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn written(&self, _state: &State) -> Result<(), JournalError> {
        self.journal.write_all()
    }

    /// Keeps what opens the commitments in an event that is recorded next. It needs no lock, and takes time.
    ///
    /// # Errors
    /// If it could not be written; then the event must not be recorded.
    pub fn open(&self, opening: &Opening) -> Result<(), JournalError> {
        self.journal.open(opening)
    }

    /// Writes an event and lets it take effect: in this order, under the lock, so that the log tells what happened as it happened.
    ///
    /// # Errors
    /// If it could not be written; then it has no effect.
    pub fn record(
        &self,
        state: &mut State,
        event: &Event,
        facts: Option<&ToolFacts>,
    ) -> Result<Written, JournalError> {
        let number = self.journal.record(event)?;
        Ok(self.apply(state, event, facts, number))
    }

    /// Gives an event its place in the log and lets it take effect, under the lock. It is written when it is settled, or when something is that came
    /// later: so others need not wait for the write.
    ///
    /// # Errors
    /// If nothing can be written; then it has no effect.
    pub(super) fn stage(
        &self,
        state: &mut State,
        event: &Event,
        facts: Option<&ToolFacts>,
    ) -> Result<Written, JournalError> {
        let number = self.journal.append(event)?;
        Ok(self.apply(state, event, facts, number))
    }

    fn apply(&self, state: &mut State, event: &Event, facts: Option<&ToolFacts>, number: u64) -> Written {
        state.engine.apply(event, facts);
        if matches!(event, Event::Stopped { .. } | Event::Revoked { .. } | Event::Closed { .. }) {
            self.stops.fetch_add(1, Ordering::Release);
        }
        self.last.store(number, Ordering::Release);
        let alone = state.engine.under_way_now() <= 1;
        Written { number, alone, stops: self.stops.load(Ordering::Acquire) }
    }

    /// Whether anything was stopped since an event got its place.
    pub(super) fn stopped_since(&self, written: Written) -> bool {
        self.stops.load(Ordering::Acquire) != written.stops
    }

    /// Waits until what was recorded or staged is as safe as the mode promises.
    ///
    /// # Errors
    /// If it is not going to be.
    pub async fn settle(&self, written: Written) -> Result<(), JournalError> {
        let number = written.number;
        if !self.journal.waits() {
            if !written.alone {
                // Other calls on this thread come as far as this first: then one write is for all of them.
                tokio::task::yield_now().await;
            }
            return self.journal.settle(number);
        }
        let journal = self.journal.clone();
        tokio::task::spawn_blocking(move || journal.settle(number))
            .await
            .map_err(|error| JournalError::new(error.to_string()))?
    }
}

impl Shared {
    /// Waits until everything that has taken effect is as safe as the mode promises.
    ///
    /// # Errors
    /// If it is not going to be.
    pub async fn settle_all(&self) -> Result<(), JournalError> {
        let (number, stops) = (self.last.load(Ordering::Acquire), self.stops.load(Ordering::Acquire));
        // Where nothing has to be waited for, what was recorded is written.
        if self.journal.waits() { self.settle(Written { number, alone: true, stops }).await } else { Ok(()) }
    }
}

impl JournalError {
    /// The error to answer with.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        RpcError::new(RpcError::INTERNAL, self.to_string())
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What opens the commitments in an event: a line of JSON with the salt and the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening(Vec<u8>);

impl Opening {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.0
    }
}

/// Salted commitments to the parts of a call, and what opens them.
#[derive(Debug)]
pub struct Commitments {
    salt: [u8; 32],
    /// The line so far: a value is written once, for its commitment and for what opens it.
    line: Vec<u8>,
    empty: bool,
}

impl Commitments {
    /// With a fresh salt.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        let salt = super::salt::fresh()?;
        let mut line = Vec::with_capacity(256);
        line.extend_from_slice(b"{\"salt\":\"");
        line.extend_from_slice(data_encoding(&salt).as_bytes());
        line.extend_from_slice(b"\",\"values\":{");
        Ok(Self { salt, line, empty: true })
    }

    /// Commits to `value` as the part `name`. Each part has its own name.
    pub fn commit(&mut self, name: &str, value: &impl Serialize) -> Digest {
        if !std::mem::replace(&mut self.empty, false) {
            self.line.push(b',');
        }
        self.write(&name);
        self.line.push(b':');
        let begin = self.line.len();
        self.write(value);
        committed(&self.salt, name, self.line.get(begin..).unwrap_or_default())
    }

    fn write(&mut self, value: &impl Serialize) {
        // Maps with string keys and no floats but finite ones always serialise, and a vector takes everything.
        let _always = serde_json::to_writer(&mut self.line, value);
    }

    /// What opens the commitments.
    #[must_use]
    pub fn opening(mut self) -> Opening {
        self.line.extend_from_slice(b"}}\n");
        Opening(self.line)
    }
}

fn data_encoding(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// SHA-256 over salt, the length of the name, the name, and the value's JSON as it is kept.
#[must_use]
pub fn commitment(salt: &[u8], name: &str, value: &Value) -> Digest {
    // As it was dispatched and is kept: canonical JSON has numbers as doubles, of which large integers share one.
    committed(salt, name, &serde_json::to_vec(value).unwrap_or_default())
}

fn committed(salt: &[u8], name: &str, json: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update((name.len() as u64).to_be_bytes());
    hasher.update(name.as_bytes());
    hasher.update(json);
    Digest::from_bytes(hasher.finalize().into())
}
