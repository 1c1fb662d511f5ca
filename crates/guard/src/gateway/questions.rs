//! What a server sends back while it works on a call: it is revealed to the agent like a result, and answers go to the server.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, Interval, interval_at};

use super::Gateway;
use super::answer::{by_value, touched};
use super::call::Proposed;
use super::ending::Sent;
use super::flight::empty_outcome;
use super::rules::{Answer, Boxed};
use super::state::{Commitments, State, now};
use crate::flow::{CallId, Event, Reply, ToolFacts, Verdict, Violation};
use crate::label::{Label, Readers};
use crate::relay::{FromServer, Question, Receiver, Relay};
use crate::wire::{Notification, RpcError};

/// The call that a server works on while it says something.
#[derive(Clone, Copy)]
pub(super) struct Under<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) proposed: &'a Proposed,
    pub(super) facts: &'a ToolFacts,
    pub(super) call: CallId,
    /// The arguments, as dispatched.
    pub(super) values: &'a BTreeMap<String, Value>,
}

/// How often a client hears that a call still runs whose server may not tell it anything.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What tells a client that its call still runs, by the guard's own clock: how often a server says so could tell it something.
struct Heartbeat(Option<(Interval, Value)>);

impl Heartbeat {
    /// If the client wants to hear of progress.
    fn new(token: Option<&Value>) -> Self {
        Self(token.map(|token| (interval_at(Instant::now() + HEARTBEAT, HEARTBEAT), token.clone())))
    }

    async fn next(&mut self) -> Notification {
        let Some((clock, token)) = &mut self.0 else { return std::future::pending().await };
        clock.tick().await;
        let params = Map::from_iter([
            ("progressToken".to_owned(), token.clone()),
            ("progress".to_owned(), Value::from(0)),
        ]);
        Notification { method: "notifications/progress".into(), params }
    }
}

/// Waits for a server's answer and passes on what it sends meanwhile, as far as the rules allow. `token` is what the client calls the
/// call's progress.
pub(super) async fn guarded(
    under: Under<'_>,
    client: Relay,
    listening: Receiver<FromServer>,
    request: Boxed<'static, Answer>,
    token: Option<&Value>,
) -> Answer {
    let mut sent = Sent { under, request, listening, is_over: false };
    let mut heartbeat = Heartbeat::new(token.filter(|_| !under.shows_all()));
    // A server may ask several things at once, and a client be asked them at once.
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            answer = &mut sent.request => {
                // What was said before the answer comes before it.
                while let Some(said) = sent.listening.try_recv() {
                    if let FromServer::Notification(notification) = said
                        && let Some(notification) = under.told(notification).await
                    {
                        client.notify(notification).await;
                    }
                }
                sent.is_over = true;
                return answer;
            }
            Some(()) = open.next() => {}
            beat = heartbeat.next() => client.notify(beat).await,
            Some(said) = sent.listening.recv() => match said {
                FromServer::Notification(notification) => {
                    if let Some(notification) = under.told(notification).await {
                        client.notify(notification).await;
                    }
                }
                // The call itself is still under way; nobody has to be waited for if it is not.
                FromServer::Again(answer) => drop(answer.send(under.again())),
                FromServer::Question(Question { method, params, name, answer }) => {
                    let may = under.asked().await;
                    let client = &client;
                    open.push(async move {
                        let answered = match may {
                            // Whatever the agent has seen while it was asked, its answer is made of.
                            Ok(()) => under.replied(client.ask_as(name, &method, params).await).await,
                            Err(error) => Err(error),
                        };
                        // A server that has given up on its question needs no answer.
                        let _gone = answer.send(answered);
                    });
                }
            },
        }
    }
}

fn refused(why: &str) -> RpcError {
    RpcError::new(RpcError::INVALID_REQUEST, format!("the guard lets no question through here: {why}"))
}

impl Under<'_> {
    /// What of a notification the agent may see.
    async fn told(self, notification: Notification) -> Option<Notification> {
        let shown = self.shows_all() && self.reveal("a message of a server").await.is_ok();
        shown.then_some(notification)
    }

    /// Whether the call may be sent once more.
    fn again(self) -> Result<(), RpcError> {
        let state = self.gateway.shared.lock();
        let (proposed, engine) = (self.proposed, &state.engine);
        let barred = engine.barred(&proposed.context, &proposed.server, &proposed.tool);
        let barred = barred.or_else(|| engine.quarantined(engine.under_way(self.call)?));
        match barred.filter(|barred| self.gateway.shared.rules.enforces() || barred.holds_always()) {
            Some(barred) => {
                let text = format!("Ostrom's guard did not send the call: {barred}.");
                Err(RpcError::new(RpcError::INTERNAL, text))
            }
            None => Ok(()),
        }
    }

    fn shows_all(self) -> bool {
        by_value(self.facts) && self.proposed.step.is_none()
    }

    /// Whether a question may be passed on: its text is revealed, and what the client says goes to the server.
    async fn asked(self) -> Result<(), RpcError> {
        if !self.shows_all() {
            return Err(refused("the results of this tool are not shown to the agent"));
        }
        self.reveal("a question of a server").await.map_err(|error| refused(&error))?;
        let state = self.gateway.shared.lock();
        self.gateway.shared.written(&state).map_err(|error| refused(&error.to_string()))?;
        self.permitted(&state.engine.reply(self.call, self.facts, &Readers::Everyone))
    }

    /// Decides about what the client said, by what its context has in it now, and records it before it goes out.
    async fn replied(
        self,
        said: Result<Map<String, Value>, RpcError>,
    ) -> Result<Map<String, Value>, RpcError> {
        let shared = &self.gateway.shared;
        let body = match &said {
            Ok(answer) => Value::Object(answer.clone()),
            Err(error) => json!({"code": error.code, "message": error.message, "data": error.data}),
        };
        let mut commitments = Commitments::new().map_err(|error| refused(&error.to_string()))?;
        let commitment = commitments.commit("answer", &body);
        shared.open(&commitments.opening()).map_err(|error| refused(&error.to_string()))?;
        let (written, permitted) = {
            let mut state = shared.lock();
            let state = &mut *state;
            let matched = state.engine.matched(&body);
            let flow = state.engine.reply(self.call, self.facts, &matched);
            let permitted = self.permitted(&flow);
            let passed = permitted.is_ok();
            let reply = Reply { call: self.call, commitment, matched, flow, passed, at: now() };
            let event = Event::Replied(Box::new(reply));
            let written = shared.record(state, &event, None);
            (written.map_err(|error| refused(&error.to_string()))?, permitted)
        };
        shared.settle(written).await.map_err(|error| refused(&error.to_string()))?;
        if shared.stopped_since(written) {
            // A person was faster.
            let state = shared.lock();
            self.permitted(&state.engine.reply(self.call, self.facts, &state.engine.matched(&body)))?;
        }
        permitted.and(said)
    }

    fn permitted(self, flow: &Verdict) -> Result<(), RpcError> {
        let Verdict::Refuse { violations, .. } = flow else { return Ok(()) };
        if self.gateway.may_tell(flow) {
            return Ok(());
        }
        // To the server, which need not know what the agent has seen.
        let leaks = violations.iter().any(|violation| matches!(violation, Violation::PermittedFlow { .. }));
        Err(refused(if leaks {
            "the agent has seen what this server may not read"
        } else {
            "the answer could be made by somebody who must not decide about this call"
        }))
    }

    /// What the server says is made of what it knows: what the policy says of its results, what went into the call, and what it has stored.
    fn label(self, state: &State) -> Label {
        let mut outcome = empty_outcome(self.call);
        touched(&mut outcome, self.facts, self.values, None);
        state.engine.result(&outcome, self.facts, None)
    }

    /// Joins what a server says to the context, once.
    async fn reveal(self, what: &str) -> Result<(), String> {
        let shared = &self.gateway.shared;
        let written = {
            let mut state = shared.lock();
            let label = self.label(&state);
            let quarantined =
                state.engine.quarantined(&label).filter(|_| self.gateway.shared.rules.enforces());
            if let Some(violation) = quarantined {
                return Err(violation.to_string());
            }
            let before = state.engine.context(&self.proposed.context);
            if before.covers(&label) && label.provenance.is_within(&before.provenance) {
                // That it is so must outlive the guard before something is shown because of it.
                return shared.written(&state).map_err(|error| error.to_string());
            }
            let context = self.proposed.context.clone();
            let event = Event::Revealed { context, what: what.to_owned(), label, handle: None, at: now() };
            shared.record(&mut state, &event, None).map_err(|error| error.to_string())?
        };
        shared.settle(written).await.map_err(|error| error.to_string())
    }
}
