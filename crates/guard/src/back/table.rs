//! Which requests are under way at one process or session, and to whom a message of the server belongs.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::{Notify, broadcast, oneshot};

use super::clean::quote;
use super::config::StderrSink;
use super::exchange::{Abilities, Inbound};
use super::shape::{self, Severity};
use super::{Answer, Fault, Limits};
use crate::channel::{Receiver, Sender, channel};
use crate::relay::RELAY_CAPACITY;
use crate::wire::{Id, Message, Notification, Request, Response, RpcError};

/// Requests that were given up and not answered since, of which the ids are remembered.
const GHOSTS: usize = 4096;

/// What a server did that it should not have, since the guard started it for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misdeeds {
    /// Lines, events or bodies that are no messages.
    pub garbage: u64,
    /// Answers that nobody waits for: second ones, unknown ids, ids of other requests.
    pub stray: u64,
    /// Notifications that were dropped: nobody's, or faster than their reader.
    pub dropped: u64,
    /// Questions that were refused: nobody's, or more than allowed.
    pub refused: u64,
}

/// [`Misdeeds`], as they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    garbage: AtomicU64,
    stray: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Misdeeds {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Misdeeds {
            garbage: read(&self.garbage),
            stray: read(&self.stray),
            dropped: read(&self.dropped),
            refused: read(&self.refused),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Standard output: everything.
    Shared,
    /// The standalone stream of an HTTP session: no answers.
    Standalone,
    /// The stream of one HTTP request.
    Own(i64),
}

/// What is left to do with a message.
#[derive(Debug)]
pub(super) enum Received {
    /// Nothing: it was delivered, or counted.
    Nothing,
    /// It answers the request whose stream it came on.
    Answer(Answer),
    /// It belongs to the request whose stream it came on.
    Deliver(Inbound),
    /// This goes back to the server.
    Reply(Response),
}

/// The requests under way.
pub(super) struct Table {
    limits: Limits,
    counters: Arc<Counters>,
    changes: broadcast::Sender<Notification>,
    /// Where what is wrong with its messages is told.
    said: Option<StderrSink>,
    state: Mutex<State>,
    /// Rings when there are cancellations to send.
    pub(super) cancellations: Notify,
}

/// What kind of process or session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests are cancelled by a message, and its kin knows no subscription ids.
    Legacy,
    /// A child process of the newest revision: cancelled by a message, changes carry a subscription's id.
    ModernShared,
    /// HTTP of the newest revision: cancelled by closing the stream.
    ModernHttp,
}

struct State {
    kind: Kind,
    next: i64,
    open: HashMap<i64, Entry>,
    ghosts: VecDeque<(i64, Instant)>,
    cancelled: Vec<i64>,
    mistakes: usize,
    /// Unasked-for notifications that may still come, in sixteenths of a thousandth.
    allowance: u64,
    refilled: Instant,
    closed: Option<Fault>,
}

struct Entry {
    answer: oneshot::Sender<Result<Answer, Fault>>,
    inbox: Sender<Inbound>,
    caller: Caller,
    notifications: usize,
    questions: usize,
    sent: bool,
}

/// What the table needs to know of a request's caller.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// The progress token that the caller chose.
    pub(super) progress: Option<Value>,
    /// The least severe log message that the caller wants; all if it did not say.
    pub(super) severity: Option<Severity>,
    /// What its client can answer.
    pub(super) abilities: Abilities,
    /// The guard itself: no notification or question is for it.
    pub(super) guard: bool,
}

/// A request under way. Dropping it unanswered cancels the request at the server.
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) inbox: Receiver<Inbound>,
    pub(super) answer: oneshot::Receiver<Result<Answer, Fault>>,
    pub(super) table: Arc<Table>,
}

impl Ticket {
    /// Notes that the server may have the request from now on.
    pub(super) fn sent(&self) {
        if let Some(entry) = self.table.lock().open.get_mut(&self.id) {
            entry.sent = true;
        }
    }

    /// Notes that the request is over and needs no cancellation.
    pub(super) fn over(&self) {
        self.table.lock().open.remove(&self.id);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        drop(self.table.forget(self.id));
    }
}

impl Table {
    pub(super) fn new(
        limits: Limits,
        counters: Arc<Counters>,
        changes: broadcast::Sender<Notification>,
        said: Option<StderrSink>,
        kind: Kind,
    ) -> Arc<Self> {
        let state = State {
            kind,
            next: 1,
            open: HashMap::new(),
            ghosts: VecDeque::new(),
            cancelled: Vec::new(),
            mistakes: 0,
            allowance: u64::from(limits.burst).saturating_mul(16_000),
            refilled: Instant::now(),
            closed: None,
        };
        let (state, cancellations) = (Mutex::new(state), Notify::new());
        Arc::new(Self { limits, counters, changes, said, state, cancellations })
    }

    /// What kind it turned out to be.
    pub(super) fn set_kind(&self, kind: Kind) {
        self.lock().kind = kind;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, the numbers would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request.
    pub(super) fn open(self: &Arc<Self>, caller: Caller) -> Result<Ticket, Fault> {
        let (answer, answered) = oneshot::channel();
        let (inbox, arrivals) = channel(RELAY_CAPACITY);
        let mut state = self.lock();
        if let Some(fault) = &state.closed {
            return Err(unsent(fault));
        }
        if !caller.guard && state.open.len() >= self.limits.outstanding {
            return Err(Fault::Busy(self.limits.outstanding));
        }
        let id = state.next;
        state.next = id.checked_add(1).unwrap_or(1);
        state.open.insert(id, Entry { answer, inbox, caller, notifications: 0, questions: 0, sent: false });
        Ok(Ticket { id, inbox: arrivals, answer: answered, table: Arc::clone(self) })
    }

    /// Whether the request is still waited for; if so, notes that the server may have it from now on.
    pub(super) fn sending(&self, id: i64) -> bool {
        self.lock().open.get_mut(&id).map(|entry| entry.sent = true).is_some()
    }

    /// Ends a request that a person has stopped before the server got it, or an answer that it waits for.
    pub(super) fn withdraw(&self, id: i64, error: RpcError) {
        if let Some(answer) = self.forget(id) {
            // Whoever no longer waits needs no reason.
            let _gone = answer.send(Err(Fault::Withdrawn(Box::new(error))));
        }
    }

    fn forget(&self, id: i64) -> Option<oneshot::Sender<Result<Answer, Fault>>> {
        let mut state = self.lock();
        let entry = state.open.remove(&id)?;
        if !entry.sent || state.closed.is_some() || state.kind == Kind::ModernHttp {
            return Some(entry.answer);
        }
        // A transport that does not keep up with them loses some; the server then works in vain.
        if state.cancelled.len() < GHOSTS {
            state.cancelled.push(id);
        }
        if !entry.caller.guard {
            if state.ghosts.len() >= GHOSTS {
                state.ghosts.pop_front();
            }
            state.ghosts.push_back((id, Instant::now()));
        }
        drop(state);
        self.cancellations.notify_one();
        Some(entry.answer)
    }

    /// The requests to cancel at the server.
    pub(super) fn take_cancelled(&self) -> Vec<i64> {
        std::mem::take(&mut self.lock().cancelled)
    }

    /// Fails every request under way, and all later ones. The first reason stays.
    pub(super) fn close(&self, fault: &Fault) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.closed = Some(fault.clone());
        }
        let open = std::mem::take(&mut state.open);
        drop(state);
        for entry in open.into_values() {
            let fault = match fault {
                Fault::Gone { reason, .. } => Fault::Gone { reason: reason.clone(), sent: entry.sent },
                other if entry.sent => other.clone(),
                other => unsent(other),
            };
            // Whoever no longer waits needs no reason.
            let _gone = entry.answer.send(Err(fault));
        }
    }

    /// Why it is closed.
    pub(super) fn closed(&self) -> Option<Fault> {
        self.lock().closed.clone()
    }

    /// Counts something that is no message, and says so where the server's own words go: a call that it should have answered only seems to be
    /// left unanswered. There are no more of these lines than mistakes that are forgiven.
    ///
    /// # Errors
    /// If it was one too many.
    pub(super) fn garbage(&self, why: &dyn fmt::Display) -> Result<(), Fault> {
        count(&self.counters.garbage);
        if let Some(said) = &self.said {
            said(&format!("[guard] what it sent is ignored: {}", quote(&why.to_string())));
        }
        self.mistake(&mut self.lock(), "too many lines or events that are no MCP messages")
    }

    /// Ends a request to which the answer is no acceptable message: its server takes it for answered, and nothing more would come.
    pub(super) fn answered_badly(&self, id: Option<Id>, why: &dyn fmt::Display) {
        let Some(Id::Number(id)) = id else { return };
        let entry = self.lock().open.remove(&id);
        if let Some(entry) = entry {
            // Whoever no longer waits needs no reason.
            let _gone = entry.answer.send(Err(Fault::Protocol(format!("gave an answer that is {why}"))));
        }
    }

    /// Counts an answer that nobody waits for.
    ///
    /// # Errors
    /// If it was one too many.
    pub(super) fn stray(&self) -> Result<(), Fault> {
        count(&self.counters.stray);
        self.mistake(&mut self.lock(), "too many answers to requests that are not under way")
    }

    fn mistake(&self, state: &mut State, reason: &str) -> Result<(), Fault> {
        state.mistakes = state.mistakes.saturating_add(1);
        if state.mistakes > self.limits.mistakes {
            return Err(Fault::CutOff(reason.to_owned()));
        }
        Ok(())
    }

    /// Takes a message of the server.
    ///
    /// # Errors
    /// If the server has broken a limit and must be cut off.
    pub(super) fn receive(&self, channel: Channel, message: Message) -> Result<Received, Fault> {
        match message {
            Message::Response(response) => self.answered(channel, response),
            Message::Notification(notification) => self.notified(channel, notification),
            Message::Request(request) => Ok(self.asked(channel, request)),
        }
    }

    fn answered(&self, channel: Channel, response: Response) -> Result<Received, Fault> {
        let Some(Id::Number(id)) = response.id else { return self.stray().map(|()| Received::Nothing) };
        match channel {
            Channel::Own(own) if own == id => Ok(Received::Answer(response.outcome)),
            Channel::Shared => {
                let mut state = self.lock();
                if let Some(entry) = state.open.remove(&id) {
                    drop(state);
                    let _gone = entry.answer.send(Ok(response.outcome));
                    return Ok(Received::Nothing);
                }
                // An answer that crossed the cancellation is nobody's fault.
                if let Some(at) = state.ghosts.iter().position(|(ghost, _)| *ghost == id) {
                    state.ghosts.remove(at);
                    return Ok(Received::Nothing);
                }
                drop(state);
                self.stray().map(|()| Received::Nothing)
            }
            _ => self.stray().map(|()| Received::Nothing),
        }
    }

    fn notified(&self, channel: Channel, mut notification: Notification) -> Result<Received, Fault> {
        let mut state = self.lock();
        let owner = match notification.method.as_str() {
            "notifications/progress" => {
                let token = notification.params.get("progressToken").and_then(Value::as_i64);
                // On its own stream, a request sees its own progress only.
                let own = token.filter(|token| !matches!(channel, Channel::Own(id) if id != *token));
                let callers = own.and_then(|id| Some((id, state.open.get(&id)?.caller.progress.clone()?)));
                callers.map(|(id, token)| {
                    notification.params.insert("progressToken".to_owned(), token);
                    id
                })
            }
            "notifications/message" => {
                let severity = Severity::of(&notification.params);
                self.owner(&state, channel).filter(|id| {
                    let wanted = state.open.get(id).and_then(|entry| entry.caller.severity);
                    wanted.is_none_or(|least| severity.is_some_and(|severity| severity >= least))
                })
            }
            "notifications/subscriptions/acknowledged" => self.subscription(&state, &notification),
            "notifications/cancelled" if state.kind == Kind::ModernShared => {
                let id = notification.params.get("requestId").and_then(Value::as_i64);
                let ended = id.filter(|id| state.open.get(id).is_some_and(|entry| entry.caller.guard));
                if let Some(entry) = ended.and_then(|id| state.open.remove(&id)) {
                    let reason = "ended the subscription".to_owned();
                    let _gone = entry.answer.send(Err(Fault::Gone { reason, sent: true }));
                    return Ok(Received::Nothing);
                }
                None
            }
            method
                if shape::is_change(method)
                    && (state.kind != Kind::ModernShared
                        || self.subscription(&state, &notification).is_some()) =>
            {
                self.unasked(&mut state)?;
                drop(state);
                // Nobody may be listening.
                let _nobody = self.changes.send(super::changes::cleaned(notification));
                return Ok(Received::Nothing);
            }
            "notifications/elicitation/complete" => self.owner(&state, channel),
            // Those that the guard has no use for, and unknown ones: nobody's.
            _ => None,
        };
        let Some(id) = owner else {
            count(&self.counters.dropped);
            self.unasked(&mut state)?;
            return Ok(Received::Nothing);
        };
        let Some(entry) = state.open.get_mut(&id) else { return Ok(Received::Nothing) };
        entry.notifications = entry.notifications.saturating_add(1);
        if entry.notifications > self.limits.notifications {
            return Err(Fault::CutOff(format!(
                "more than {} notifications for one request",
                self.limits.notifications
            )));
        }
        let inbound = Inbound::Notification(notification);
        if matches!(channel, Channel::Own(_)) {
            return Ok(Received::Deliver(inbound));
        }
        // One slow reader must not hold up the others' answers, so what it has no room for is lost.
        if entry.inbox.try_send(inbound).is_err() {
            count(&self.counters.dropped);
        }
        Ok(Received::Nothing)
    }

    /// The subscription that a notification of a child process belongs to.
    fn subscription(&self, state: &State, notification: &Notification) -> Option<i64> {
        let id = notification.params.get("_meta")?.get(shape::SUBSCRIPTION_ID)?.as_i64()?;
        state.open.get(&id).filter(|entry| entry.caller.guard).map(|_| id)
    }

    /// The request that an unlabelled message belongs to, if there is no doubt; see [the module](super).
    fn owner(&self, state: &State, channel: Channel) -> Option<i64> {
        if let Channel::Own(id) = channel {
            return Some(id);
        }
        if state.ghosts.iter().any(|(_, since)| since.elapsed() < self.limits.linger) {
            return None;
        }
        let mut callers = state.open.iter().filter(|(_, entry)| !entry.caller.guard && entry.sent);
        match (callers.next(), callers.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }

    /// A token bucket, so that a server cannot keep the guard busy with what nobody asked for.
    fn unasked(&self, state: &mut State) -> Result<(), Fault> {
        let burst = u64::from(self.limits.burst).saturating_mul(16_000);
        let millis = u64::try_from(state.refilled.elapsed().as_millis()).unwrap_or(u64::MAX);
        if millis > 0 {
            state.refilled = Instant::now();
            let more = millis.saturating_mul(u64::from(self.limits.burst));
            state.allowance = state.allowance.saturating_add(more).min(burst);
        }
        match state.allowance.checked_sub(16_000) {
            Some(left) => {
                state.allowance = left;
                Ok(())
            }
            None => Err(Fault::CutOff("a flood of notifications".to_owned())),
        }
    }

    fn asked(&self, channel: Channel, request: Request) -> Received {
        let Request { id, method, params } = request;
        if method == "ping" {
            return Received::Reply(Response::ok(id, Map::new()));
        }
        match self.admit(channel, &method, &params) {
            Err(error) => {
                count(&self.counters.refused);
                Received::Reply(Response::failed(Some(id), error))
            }
            Ok((owner, inbox)) => {
                let question = Inbound::Question { id: id.clone(), method, params };
                if channel == Channel::Own(owner) {
                    return Received::Deliver(question);
                }
                if inbox.try_send(question).is_err() {
                    count(&self.counters.refused);
                    let error = RpcError::new(RpcError::INTERNAL, "the client is busy; ask later");
                    return Received::Reply(Response::failed(Some(id), error));
                }
                Received::Nothing
            }
        }
    }

    fn admit(
        &self,
        channel: Channel,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<(i64, Sender<Inbound>), RpcError> {
        if !shape::is_question(method) {
            return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, format!("no method {method} here")));
        }
        let mut state = self.lock();
        // An empty list of roots would be believed: servers that ask at their start do not ask again in a call, when there is a client.
        let nobody = !state.open.values().any(|entry| !entry.caller.guard) && state.ghosts.is_empty();
        let text = if nobody {
            "no client is calling now, so there is nobody to ask; ask during a call (docs/guard.md, Servers' questions)"
        } else {
            "it is not clear which request this question belongs to, so nobody is asked"
        };
        let unclear = || RpcError::new(RpcError::INVALID_REQUEST, text);
        let id = self.owner(&state, channel).ok_or_else(unclear)?;
        let entry = state.open.get_mut(&id).ok_or_else(unclear)?;
        entry.caller.abilities.check(method, params)?;
        entry.questions = entry.questions.saturating_add(1);
        if entry.questions > self.limits.questions {
            return Err(RpcError::new(RpcError::INVALID_REQUEST, "too many questions for one request"));
        }
        Ok((id, entry.inbox.clone()))
    }
}

/// The fault of a request that the server never got.
fn unsent(fault: &Fault) -> Fault {
    match fault {
        Fault::Gone { reason, .. } => Fault::Gone { reason: reason.clone(), sent: false },
        Fault::CutOff(reason) => Fault::Gone { reason: format!("was cut off: {reason}"), sent: false },
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
