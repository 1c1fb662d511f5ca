//! What a server sends back while it works on a call: it is revealed to the agent like a result, and answers go to the server.

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Gateway;
use super::call::Proposed;
use super::rules::{Answer, Boxed};
use super::state::now;
use crate::flow::{Event, Reveal, ToolFacts};
use crate::label::Label;
use crate::relay::{FromServer, Question, Relay};
use crate::wire::{Notification, RpcError};

/// Waits for a server's answer and passes on what it sends meanwhile, as far as the rules allow.
pub(super) async fn guarded(
    gateway: &Gateway,
    proposed: &Proposed,
    facts: &ToolFacts,
    client: Relay,
    mut listening: mpsc::Receiver<FromServer>,
    mut request: Boxed<'_, Answer>,
) -> Answer {
    // A server may ask several things at once, and a client be asked them at once.
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            answer = &mut request => return answer,
            Some(()) = open.next() => {}
            Some(sent) = listening.recv() => match sent {
                FromServer::Notification(notification) => {
                    if let Some(notification) = told(gateway, proposed, facts, notification) {
                        client.notify(notification).await;
                    }
                }
                FromServer::Question(Question { method, params, name, answer }) => {
                    let may = asked(gateway, proposed, facts);
                    let client = &client;
                    open.push(async move {
                        let answered = match may {
                            Ok(()) => client.ask_as(name, &method, params).await,
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

/// What of a notification the agent may see.
fn told(
    gateway: &Gateway,
    proposed: &Proposed,
    facts: &ToolFacts,
    mut notification: Notification,
) -> Option<Notification> {
    let by_value =
        facts.result.reveal == Reveal::Value && facts.result.fields.is_empty() && proposed.step.is_none();
    if by_value && reveal(gateway, proposed, facts, "a message of a server").is_ok() {
        return Some(notification);
    }
    if notification.method != "notifications/progress" {
        return None;
    }
    // How far a call is can tell something too, but a client needs to know that it still runs.
    notification.params.retain(|key, _| key == "progressToken");
    notification.params.insert("progress".to_owned(), Value::from(0));
    Some(notification)
}

/// Whether a question may be passed on: its text is revealed, and what the client says goes to the server.
fn asked(gateway: &Gateway, proposed: &Proposed, facts: &ToolFacts) -> Result<(), RpcError> {
    let refused = |why: &str| {
        RpcError::new(RpcError::INVALID_REQUEST, format!("the guard lets no question through here: {why}"))
    };
    if facts.result.reveal != Reveal::Value || proposed.step.is_some() {
        return Err(refused("the results of this tool are not shown to the agent"));
    }
    reveal(gateway, proposed, facts, "a question of a server").map_err(|error| refused(&error))?;
    let state = gateway.shared.lock();
    let reader = format!("server:{}", proposed.server);
    if state.engine.context(&proposed.context).readers.includes(&reader) {
        Ok(())
    } else {
        Err(refused("the agent has seen what this server may not read"))
    }
}

/// Joins what a server says to the context, once.
fn reveal(gateway: &Gateway, proposed: &Proposed, facts: &ToolFacts, what: &str) -> Result<(), String> {
    let label: Label = facts.result.label(&proposed.server, &proposed.tool);
    let mut state = gateway.shared.lock();
    let before = state.engine.context(&proposed.context);
    if before.covers(&label) && label.provenance.is_within(&before.provenance) {
        return Ok(());
    }
    let context = proposed.context.clone();
    let event = Event::Revealed { context, what: what.to_owned(), label, at: now() };
    gateway
        .shared
        .record(&mut state, &event, None, None)
        .map(|_written| ())
        .map_err(|error| error.to_string())
}
