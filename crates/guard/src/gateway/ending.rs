//! What an agent ends before its server does: calls that it gives up, resources that it listens to no more.
//!
//! *Invariant:* a server is told of an end only if the agent could tell it anything at that moment: by the rule for answers to a server's questions
//! ([`Engine::telling`](crate::flow::Engine::telling)). Otherwise the guard stops listening, and the server goes on as if nobody had said anything.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Gateway;
use super::questions::Under;
use super::rules::{Answer, Boxed, operation};
use crate::flow::{ContextKey, Verdict, Violation};
use crate::label::{Label, Readers};
use crate::relay::{FromServer, Receiver, Relay};

/// Resources, of all servers, that go on being watched though nobody listens. Servers are told of the end of what would be more.
const MOST_KEPT: usize = 4096;

/// What keeps a resource watched.
pub(super) type Kept = Box<dyn Any + Send + Sync>;

/// A request that has gone to its server. Dropped before there is an answer, it is cancelled if the server may know.
pub(super) struct Sent<'a> {
    pub(super) under: Under<'a>,
    pub(super) request: Boxed<'static, Answer>,
    /// What the server says meanwhile.
    pub(super) listening: Receiver<FromServer>,
    pub(super) is_over: bool,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.is_over || self.under.may_tell_its_end() {
            return;
        }
        let request = std::mem::replace(&mut self.request, Box::pin(std::future::pending()));
        let listening = std::mem::replace(&mut self.listening, Relay::new().1);
        // Without a runtime nothing of it goes on anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(unheard(request, listening));
        }
    }
}

/// Waits for an answer that nobody wants. What the server says is forgotten, and what it asks gets no answer.
async fn unheard(mut request: Boxed<'static, Answer>, mut listening: Receiver<FromServer>) {
    let mut unanswered = Vec::new();
    loop {
        tokio::select! {
            biased;
            _answer = &mut request => return,
            Some(said) = listening.recv() => {
                if !matches!(said, FromServer::Notification(_)) {
                    unanswered.push(said);
                }
            }
        }
    }
}

/// A resource that an agent listens to.
pub(super) struct Subscribed {
    pub(super) context: ContextKey,
    pub(super) server: Arc<str>,
    /// What its server calls it.
    pub(super) uri: String,
    /// Of all that its server says of it.
    pub(super) label: Label,
    pub(super) gateway: Weak<Gateway>,
    /// `None` once it is over.
    pub(super) watch: Option<Kept>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let (Some(watch), Some(gateway)) = (self.watch.take(), self.gateway.upgrade()) else { return };
        let facts = gateway.shared.rules.facts(&self.server, operation::SUBSCRIBE);
        let place = (&self.context, &*self.server, operation::SUBSCRIBE);
        let told = gateway.shared.lock().engine.telling(place, &facts, &Readers::Everyone);
        if !gateway.may_tell(&told) {
            gateway.unheard.keep(self.server.clone(), std::mem::take(&mut self.uri), watch);
        }
    }
}

/// What goes on being watched though nobody listens, by server and resource.
#[derive(Default)]
pub(super) struct Unheard(Mutex<BTreeMap<(Arc<str>, String), Kept>>);

impl Unheard {
    fn keep(&self, server: Arc<str>, uri: String, watch: Kept) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (server, uri);
        // One is as good as another: the first is not given up by taking the second.
        if kept.len() < MOST_KEPT && !kept.contains_key(&place) {
            kept.insert(place, watch);
        }
    }
}

impl Gateway {
    /// Whether a server is told what this was said of.
    pub(super) fn may_tell(&self, told: &Verdict) -> bool {
        match told {
            Verdict::Allow { .. } => true,
            Verdict::Refuse { violations, .. } => {
                !self.shared.rules.enforces() && !violations.iter().any(Violation::holds_always)
            }
        }
    }
}

impl Under<'_> {
    fn may_tell_its_end(&self) -> bool {
        let place = (&self.proposed.context, &*self.proposed.server, &*self.proposed.tool);
        let told = self.gateway.shared.lock().engine.telling(place, self.facts, &Readers::Everyone);
        self.gateway.may_tell(&told)
    }
}
