//! Subscribing to a resource: it tells the server which one, and lets the server speak to the agent from then on.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Done, Proposed};
use super::ending::{Kept, Subscribed};
use super::flight::{Flight, empty_outcome};
use super::rules::{JournalError, Upstream, operation};
use super::state::Commitments;
use super::{Gateway, context, refused_as_error};
use crate::flow::{ContextKey, Event, Outcome};
use crate::front::{Caller, Watch};
use crate::label::GUARD;
use crate::wire::{Notification, RpcError};

impl Gateway {
    /// Whether what a server says of a resource may reach this caller: nobody has stopped it, and each context that could see it carries its label
    /// already. A context does no longer after a reset, and another one may never have.
    pub(super) fn still_hears(&self, caller: &Caller, watch: &Watch) -> bool {
        let Some(of) = watch.downcast_ref::<Subscribed>() else { return false };
        if self.barred(&of.context, &of.server, operation::SUBSCRIBE).is_some() {
            return false;
        }
        if !self.shared.rules.enforces() {
            return true;
        }
        let state = self.shared.lock();
        let engine = &state.engine;
        let hearer = context(caller);
        // A run that has ended calls nothing any more, whatever it hears.
        let has_ended = hearer.run.is_some() && !engine.is_open(&hearer);
        let knows = |context| engine.context(context).covers(&of.label);
        engine.quarantined(&of.label).is_none() && knows(&of.context) && (has_ended || knows(&hearer))
    }

    /// Passes on what a server says of its lists and resources.
    pub(super) fn changed(&self, server: &str, mut change: Notification) {
        // Only what is known to carry no text of the server's.
        let keep: &[&str] = match change.method.as_str() {
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => &[],
            "notifications/resources/updated" => &["uri"],
            _ => return,
        };
        // Of nobody in particular: what everybody's calls are stopped by stops this.
        let nobody = ContextKey { principal: GUARD.into(), run: None };
        if self.barred(&nobody, server, "changes").is_some() {
            return;
        }
        change.params.retain(|key, _| keep.contains(&key.as_str()));
        if let Some(Value::String(uri)) = change.params.get_mut("uri") {
            // The fronts tell the URI that was subscribed to, and not this one.
            *uri = self.names.outer_uri(server, uri);
        }
        // Nobody may be listening.
        let _nobody = self.changes.send(change);
    }

    /// Decides about a subscription like about a read, records it, and makes it.
    pub(super) async fn subscribe(&self, caller: &Caller, outer: &str) -> Result<Watch, RpcError> {
        let unknown = || RpcError::new(RpcError::INVALID_PARAMS, format!("there is no resource {outer}"));
        let (server, uri) = self.names.inner_uri(outer).ok_or_else(unknown)?;
        let upstream = self.upstreams.get(&server).ok_or_else(unknown)?;
        let proposed = Proposed {
            context: context(caller),
            server,
            tool: operation::SUBSCRIBE.into(),
            prompt: None,
            arguments: BTreeMap::from([("uri".to_owned(), json!(uri))]),
            step: None,
        };
        match self.watched(&proposed, upstream.as_ref()).await.map_err(|error| error.to_rpc())? {
            Ok(watch) => Ok(watch),
            Err(done) => {
                refused_as_error(&done.into_result()?)?;
                Err(RpcError::new(RpcError::INVALID_REQUEST, "the guard does not subscribe to this"))
            }
        }
    }

    async fn watched(
        &self,
        proposed: &Proposed,
        upstream: &dyn Upstream,
    ) -> Result<Result<Watch, Done>, JournalError> {
        let facts = self.shared.rules.facts(&proposed.server, &proposed.tool);
        let (decided, written) = match self.decide(proposed, &facts)? {
            Ok(decided) => decided,
            Err(done) => return Ok(Err(done)),
        };
        let call = decided.decision.call;
        let mut flight = Flight { gateway: self, call, facts: facts.clone(), landed: false };
        self.shared.settle(written).await?;
        if let Some(error) = self.stopped_meanwhile(proposed, &decided, written) {
            return Ok(Err(Done::Failed { error, label: decided.label }));
        }
        // With handles, what is dispatched is not what was passed.
        let uri = decided.values.get("uri").and_then(|uri| uri.as_str()).unwrap_or_default();
        let answer: Result<Kept, _> = upstream.watch(uri).await;
        flight.landed = true;
        // The server knows of it, though it is told no more.
        let unrecorded = JournalError::after_dispatch;
        let mut commitments =
            Commitments::new().map_err(|error| unrecorded(JournalError::new(error.to_string())))?;
        let outcome = Outcome {
            commitment: commitments.commit("watch", &json!(Map::new())),
            failed: answer.is_err(),
            // What the server tells from now on, and when, is its word.
            revealed: true,
            ..empty_outcome(call)
        };
        self.shared.open(&commitments.opening()).map_err(unrecorded)?;
        let written = {
            let mut state = self.shared.lock();
            let label = state.engine.result(&outcome, &facts, None);
            let event = Event::Finished(Box::new(Outcome { label: label.clone(), ..outcome }));
            let written = self.shared.record(&mut state, &event, Some(&facts)).map_err(unrecorded)?;
            (written, label)
        };
        let (written, label) = written;
        self.shared.settle(written).await.map_err(unrecorded)?;
        let of = |watch: Kept| Subscribed {
            context: proposed.context.clone(),
            server: proposed.server.clone(),
            uri: uri.to_owned(),
            label: label.clone(),
            gateway: self.me.clone(),
            watch: Some(watch),
        };
        Ok(answer.map(|watch| Box::new(of(watch)) as Watch).map_err(|_| Done::Failed {
            // What the server says of it is its own word.
            error: RpcError::new(RpcError::INTERNAL, "the server does not tell of changes of this resource"),
            label: label.clone(),
        }))
    }
}
