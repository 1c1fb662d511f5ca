//! One request of a client and all that goes back for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::budget::Lease;
use super::call::{Call, Event, Outcome};
use super::capability::can_answer;
use super::inflight::Ticket;
use super::metadata::Level;
use super::park::{Binding, Parking};
use super::session::Session;
use super::shape::{self, Kind};
use super::{Caller, Limits};
use crate::relay::Question;
use crate::wire::{Id, Message, Notification, Request, Response, RpcError};

/// How long further questions are waited for before a client without a session is asked.
const GATHER: Duration = Duration::from_millis(20);

/// What goes to the client next.
#[derive(Debug)]
pub(super) enum Step {
    /// A message; more will come.
    More(Message),
    /// The answer, and the end.
    Last(Response),
    /// The end without an answer: the client cancelled.
    Silent,
}

/// A request under way.
pub(super) struct Exchange {
    id: Id,
    kind: Kind,
    caller: Arc<Caller>,
    /// `None` once it is over or parked.
    call: Option<Call>,
    era: Era,
    rules: Rules,
    deadline: Instant,
    ticket: Option<Ticket>,
    pub(super) lease: Option<Lease>,
}

/// The limits that matter here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    call: Duration,
    answers: Duration,
    rounds: u32,
    questions: usize,
}

impl From<&Limits> for Rules {
    fn from(limits: &Limits) -> Self {
        Self {
            call: limits.call(),
            answers: Duration::from_secs(limits.parked_seconds),
            rounds: limits.rounds,
            questions: limits.questions,
        }
    }
}

/// What goes on towards the client on the way.
pub(super) enum Era {
    Stateless {
        log_level: Option<Level>,
        /// Where calls are parked, and what this one is bound to; none if the client can be asked nothing here.
        parking: Option<(Arc<Parking>, Binding)>,
        /// The token of this attempt, if the call was started by another one.
        progress: Option<Option<Value>>,
    },
    Session {
        session: Arc<Session>,
        /// The ids of this call's questions, to forget them with it.
        asked: Vec<i64>,
    },
}

impl Drop for Era {
    fn drop(&mut self) {
        if let Self::Session { session, asked } = self {
            asked.drain(..).for_each(|question| session.forget(question));
        }
    }
}

impl Exchange {
    pub(super) fn new(
        id: Id,
        kind: Kind,
        caller: Arc<Caller>,
        call: Call,
        era: Era,
        rules: Rules,
        ticket: Option<Ticket>,
    ) -> Self {
        // A limit that is further away than time goes is none.
        let now = Instant::now();
        let deadline = now.checked_add(rules.call).unwrap_or(now);
        Self { id, kind, caller, call: Some(call), era, rules, deadline, ticket, lease: None }
    }

    /// What goes out next. Nothing is lost if the future is dropped.
    pub(super) async fn step(&mut self) -> Step {
        loop {
            let Some(call) = &mut self.call else { return Step::Silent };
            let event = if call.open.is_empty() {
                let next = tokio::time::timeout_at(self.deadline, call.next());
                match &mut self.ticket {
                    None => next.await,
                    Some(ticket) => tokio::select! {
                        biased;
                        () = ticket.cancelled() => {
                            self.call = None;
                            return Step::Silent;
                        }
                        event = next => event,
                    },
                }
            } else {
                // The client has to be asked. What can be had almost without waiting goes first, further questions above
                // all: a server with sessions sends one after the other what it wants to know at once.
                match tokio::time::timeout(GATHER, call.next()).await {
                    Ok(event) => Ok(event),
                    Err(_nothing_more) => match self.park() {
                        Some(outcome) => return self.last(outcome),
                        None => continue,
                    },
                }
            };
            match event {
                Ok(Event::Done(outcome)) => return self.last(outcome),
                Ok(Event::Notification(notification)) => {
                    if let Some(notification) = self.admit(notification) {
                        return Step::More(Message::Notification(notification));
                    }
                }
                Ok(Event::Question(question)) => {
                    if let Some(request) = self.ask(question) {
                        return Step::More(Message::Request(request));
                    }
                }
                Err(_elapsed) => {
                    let seconds = self.rules.call.as_secs();
                    return self.last(Err(RpcError::new(
                        RpcError::INTERNAL,
                        format!(
                            "no answer within {seconds} seconds; the call was cancelled but may have run"
                        ),
                    )));
                }
            }
        }
    }

    /// The end of the exchange.
    fn last(&mut self, outcome: Outcome) -> Step {
        self.call = None;
        self.ticket = None;
        self.lease = None;
        let outcome = shape::outcome(self.caller.revision, self.kind, outcome);
        Step::Last(Response { id: Some(self.id.clone()), outcome })
    }

    /// The notification as this client wants it, if it does.
    fn admit(&self, mut notification: Notification) -> Option<Notification> {
        let level = || notification.params.get("level").and_then(Value::as_str);
        match (&self.era, notification.method.as_str()) {
            // Without a level, a client of the stateless revision has not asked for any.
            (Era::Stateless { log_level, .. }, "notifications/message") => {
                log_level.is_some_and(|wanted| wanted.admits(level())).then_some(notification)
            }
            (Era::Session { session, .. }, "notifications/message") => {
                session.log_level().is_none_or(|wanted| wanted.admits(level())).then_some(notification)
            }
            (Era::Stateless { progress: Some(token), .. }, "notifications/progress") => {
                let token = token.clone()?;
                notification.params.insert("progressToken".to_owned(), token);
                Some(notification)
            }
            _ => Some(notification),
        }
    }

    /// Takes a question: a request to the client if it has a session; else it waits for the parking of the call.
    fn ask(&mut self, question: Question) -> Option<Request> {
        if let Err(error) = can_answer(&self.caller, &question.method, &question.params) {
            refuse(question, error);
            return None;
        }
        let too_many = || RpcError::new(RpcError::INTERNAL, "the client has too many open questions already");
        match &mut self.era {
            Era::Stateless { parking, .. } => {
                let (call, mut question) = (self.call.as_mut()?, question);
                if parking.is_none() {
                    let error =
                        "a client can be asked during tools/call, prompts/get and resources/read only";
                    refuse(question, RpcError::new(RpcError::INVALID_REQUEST, error));
                } else if call.open.len() >= self.rules.questions {
                    refuse(question, too_many());
                } else {
                    let name = call.name(question.name.take());
                    call.open.push((name, question));
                }
                None
            }
            Era::Session { session, asked } => {
                if asked.len() >= usize::try_from(self.rules.rounds).unwrap_or(usize::MAX) {
                    refuse(question, too_many());
                    return None;
                }
                let Question { method, params, answer, .. } = question;
                match session.ask(self.caller.run.as_ref(), answer, self.rules.questions) {
                    Ok(id) => {
                        asked.push(id);
                        // A person may be answering; that is not the server's time.
                        let end = Instant::now().checked_add(self.rules.answers);
                        self.deadline = end.map_or(self.deadline, |end| end.max(self.deadline));
                        Some(Request { id: Id::Number(id), method, params })
                    }
                    Err(answer) => {
                        // Whoever asked may have gone.
                        let _gone = answer.send(Err(too_many()));
                        None
                    }
                }
            }
        }
    }

    /// Parks the call if it still has questions: what to answer the client.
    fn park(&mut self) -> Option<Outcome> {
        let call = self.call.as_mut()?;
        call.open.retain(|(_, question)| !question.answer.is_closed());
        if call.open.is_empty() {
            return None;
        }
        let Era::Stateless { parking: Some((parking, binding)), .. } = &self.era else { return None };
        call.rounds = call.rounds.saturating_add(1);
        if call.rounds > self.rules.rounds {
            return Some(Err(RpcError::new(
                RpcError::INTERNAL,
                "this call asked the client too often; it was cancelled but may have run",
            )));
        }
        let requests: Map<String, Value> = call
            .open
            .iter()
            .map(|(name, question)| {
                (name.clone(), json!({"method": question.method, "params": question.params}))
            })
            .collect();
        let call = self.call.take()?;
        Some(parking.park(binding.clone(), call).map(|state| {
            Map::from_iter([
                ("resultType".to_owned(), json!("input_required")),
                ("inputRequests".to_owned(), Value::Object(requests)),
                ("requestState".to_owned(), Value::String(state)),
            ])
        }))
    }
}

fn refuse(question: Question, error: RpcError) {
    // Whoever asked may have gone.
    let _gone = question.answer.send(Err(error));
}

/// Gives a call's open questions the client's answers to them. Answers to anything else are ignored, and questions without an
/// answer stay open.
///
/// # Errors
/// If an answer is not an object. Nothing has been answered then.
pub(super) fn check_answers(answers: &Value) -> Result<(), RpcError> {
    let is_fine = answers.as_object().is_some_and(|answers| answers.values().all(Value::is_object));
    let error = || RpcError::new(RpcError::INVALID_PARAMS, "inputResponses is an object of result objects");
    is_fine.then_some(()).ok_or_else(error)
}

/// See [`check_answers`].
pub(super) fn answer(call: &mut Call, mut answers: Map<String, Value>) {
    for (name, question) in std::mem::take(&mut call.open) {
        match answers.remove(&name) {
            // Whoever asked may have gone.
            Some(Value::Object(result)) => drop(question.answer.send(Ok(result))),
            _ => call.open.push((name, question)),
        }
    }
}
