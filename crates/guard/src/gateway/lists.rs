//! What the servers define, as agents are shown it and as it can be called.
//!
//! *Invariant:* a list is made of what people (or the first use) have pinned, in the order of names, and of nothing that a server says now: not its
//! order, not what it leaves out or has changed, not whether it answers. So it needs no label. Where a call is not made since its definition is
//! not offered as it was approved, that is its server's word, and the context carries it from then on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use super::handles::weight;
use super::rules::JournalError;
use super::state::now;
use super::{Gateway, catalogue, context, own};
use crate::flow::{ContextKey, Event, Reveal, ToolFacts, Violation};
use crate::front::Caller;
use crate::label::Label;
use crate::pin::Kind;
use crate::relay::Relay;
use crate::wire::RpcError;

/// Definitions of one kind that a server may offer.
const MAX_DEFINITIONS: usize = 10_000;
/// Pages of a list.
const MAX_PAGES: usize = 1_000;
/// How long a server is waited for that was asked again for a list which is known.
const PATIENCE: Duration = Duration::from_secs(10);

/// The error about what nobody has approved. Whether a server offers it makes no difference.
pub(super) fn unknown(kind: Kind, outer: &str) -> RpcError {
    let text = format!(
        "there is no {kind} {outer} that a person has approved; if a server offers it, it is held until somebody does: ostrom guard pin"
    );
    RpcError::new(RpcError::INVALID_PARAMS, text)
}

/// What a server says when it fails is its own word, which nobody has labelled.
fn no_list(server: &str) -> RpcError {
    RpcError::new(RpcError::INTERNAL, format!("the server {server} gave no list"))
}

impl Gateway {
    /// All definitions of a kind that the agent may see, under their outer names.
    pub(super) async fn list(&self, caller: &Caller, kind: Kind) -> Result<Vec<Value>, RpcError> {
        let mut all = Vec::new();
        let context = context(caller);
        let (method, _) = catalogue::list_method(kind);
        let (mut failed, mut answered) = (None, false);
        // All at once: none has to wait for another.
        let asked = self.names.servers().map(|server| {
            // What a person has stopped is not asked, and has nothing to say.
            let is_barred = self.barred(&context, server, method).is_some();
            async move { if is_barred { None } else { Some(self.refreshed(caller, server, kind).await) } }
        });
        for (server, asked) in self.names.servers().zip(join_all(asked).await) {
            let Some(asked) = asked else {
                answered = true;
                continue;
            };
            match (self.catalogue.listed(server, kind), asked) {
                (Some(definitions), _) => {
                    answered = true;
                    let shown = definitions
                        .iter()
                        .filter_map(|definition| self.shown(&context, server, kind, definition));
                    all.extend(shown);
                }
                (None, Ok(())) => answered = true,
                (None, Err(error)) => failed = Some(error),
            }
        }
        // Of several servers one may be down before it was ever seen; the others' tools are there.
        match failed {
            Some(error) if !answered => Err(error),
            _ => Ok(all),
        }
    }

    /// A definition as this agent sees it, if it does.
    fn shown(&self, context: &ContextKey, server: &str, kind: Kind, definition: &Value) -> Option<Value> {
        let name = definition.get(kind.key()).and_then(Value::as_str)?;
        let alone = self.names.servers().count() == 1;
        if alone && kind == Kind::Tool && (name == own::REVEAL || name == own::RUN_PLAN) {
            return None;
        }
        let rules = &self.shared.rules;
        if rules.enforces() && !rules.lists(context, server, kind, name, now()) {
            return None;
        }
        let (outer, keeps) = match kind {
            Kind::Tool => {
                let facts = rules.facts(server, name);
                let plain = facts.result.reveal == Reveal::Value && facts.result.fields.is_empty();
                (self.names.outer(server, name), plain)
            }
            Kind::Prompt => (self.names.outer(server, name), true),
            Kind::Resource | Kind::ResourceTemplate => (self.names.outer_uri(server, name), true),
        };
        Some(catalogue::outer(definition, kind, outer, keeps))
    }

    /// Takes in what a server offers now, if it says so soon. One whose list is known has nothing to add to it: it keeps no list waiting for long.
    async fn refreshed(&self, caller: &Caller, server: &Arc<str>, kind: Kind) -> Result<(), RpcError> {
        let asked = self.ask_for_list(caller, server, kind);
        if self.catalogue.listed(server, kind).is_none() {
            return asked.await;
        }
        timeout(PATIENCE.min(self.deadline), asked).await.unwrap_or_else(|_| Err(no_list(server)))
    }

    /// Asks a server for its list, and takes in what it offers. All of its pages have together as long as a call.
    async fn ask_for_list(&self, caller: &Caller, server: &Arc<str>, kind: Kind) -> Result<(), RpcError> {
        let offered = timeout(self.deadline, self.offers(caller, server, kind)).await;
        match offered.map_err(|_| no_list(server))?? {
            Some(offered) => self.take_in(server, kind, &offered),
            None => Ok(()),
        }
    }

    /// What a server offers now; `None` if it has nothing of the kind.
    async fn offers(
        &self,
        caller: &Caller,
        server: &Arc<str>,
        kind: Kind,
    ) -> Result<Option<Vec<Value>>, RpcError> {
        let internal = |text: String| RpcError::new(RpcError::INTERNAL, text);
        let Some(upstream) = self.upstreams.get(server) else { return Ok(None) };
        let (method, member) = catalogue::list_method(kind);
        let capability = method.split('/').next().unwrap_or(method);
        if upstream.info().get("capabilities").and_then(|all| all.get(capability)).is_none() {
            return Ok(None);
        }
        let mut offered = Vec::new();
        let mut left = self.bounds.expanded;
        let mut cursor: Option<Value> = None;
        for _ in 0..MAX_PAGES {
            let params = cursor.take().map(|cursor| ("cursor".to_owned(), cursor)).into_iter().collect();
            let relay = Relay::nowhere();
            let answer = Arc::clone(upstream)
                .request(caller.capabilities.clone(), method, params, relay, self.deadline)
                .await;
            let failed = || no_list(server);
            let mut result = match answer.map_err(|_| failed())? {
                Ok(result) => result,
                // Templates are optional even where resources are not.
                Err(error) if error.code == RpcError::METHOD_NOT_FOUND && kind == Kind::ResourceTemplate => {
                    return Ok(Some(offered));
                }
                Err(_) => return Err(failed()),
            };
            if let Some(Value::Array(page)) = result.remove(member) {
                let size = page.iter().fold(0, |all: usize, one| all.saturating_add(weight(one)));
                left = left.checked_sub(size).ok_or_else(|| {
                    internal(format!(
                        "what the server {server} defines has more than {} bytes (limits.message-bytes)",
                        self.bounds.expanded
                    ))
                })?;
                offered.extend(page);
            }
            if offered.len() > MAX_DEFINITIONS {
                return Err(internal(format!(
                    "the server {server} defines more than {MAX_DEFINITIONS} things"
                )));
            }
            cursor = result.remove("nextCursor").filter(Value::is_string);
            if cursor.is_none() {
                return Ok(Some(offered));
            }
        }
        Err(internal(format!("the server {server} defines more than {MAX_PAGES} pages of things")))
    }

    /// Takes in what a server offers, and puts on record what is pinned by that.
    fn take_in(&self, server: &Arc<str>, kind: Kind, offered: &[Value]) -> Result<(), RpcError> {
        let internal = |text: String| RpcError::new(RpcError::INTERNAL, text);
        let at = now();
        let (_, pinned) =
            self.catalogue.take(server, kind, offered, at).map_err(|error| internal(error.to_string()))?;
        for name in pinned {
            let Some(definition) = self.catalogue.find(server, kind, &name) else { continue };
            let digest =
                ostrom_trust::digest_of(&*definition).map_err(|error| internal(error.to_string()))?;
            let what = format!("{kind} {name}");
            let event =
                Event::Pinned { server: server.clone(), what, digest, by: "first use".to_owned(), at };
            let recorded = self.shared.record(&mut self.shared.lock(), &event, None);
            if let Err(error) = recorded {
                // What is not on record is not in force: the next list is the first that this server gives.
                self.catalogue.forget(server, kind).map_err(|error| internal(error.to_string()))?;
                return Err(error.to_rpc());
            }
        }
        Ok(())
    }

    /// Whether something can be asked of its server: the server offers it now as it was approved.
    ///
    /// # Errors
    /// If not; the agent may be told.
    pub(super) async fn offered(
        &self,
        caller: &Caller,
        server: &Arc<str>,
        kind: Kind,
        (name, outer): (&str, &str),
    ) -> Result<(), RpcError> {
        let is_offered = || self.catalogue.find(server, kind, name).is_some();
        if is_offered() {
            return Ok(());
        }
        if self.catalogue.knows(server, kind) && !self.catalogue.is_pinned(server, kind, name) {
            return Err(unknown(kind, outer));
        }
        let context = context(caller);
        let (method, _) = catalogue::list_method(kind);
        if let Some(barred) = self.barred(&context, server, method) {
            let text = format!("Ostrom's guard did not let this call through: {barred}.");
            return Err(RpcError::new(RpcError::INVALID_REQUEST, text));
        }
        // It was not taken in yet, or a person may have approved it meanwhile.
        let asked = self.ask_for_list(caller, server, kind).await;
        if is_offered() {
            return Ok(());
        }
        let pinned = self.catalogue.is_pinned(server, kind, name);
        if asked.is_ok() && !pinned {
            return Err(unknown(kind, outer));
        }
        self.told_by(&context, server, method).map_err(|error| error.to_rpc())?;
        asked?;
        let text =
            format!("the {kind} {outer} is held until a person approves its definition: ostrom guard pin");
        Err(RpcError::new(RpcError::INVALID_PARAMS, text))
    }

    /// Takes in the tools of servers whose list was not taken in yet.
    pub(super) async fn know_tools(&self, caller: &Caller) {
        let asked = self.names.servers().map(|server| async move {
            let barred = self.barred(&context(caller), server, "tools/list");
            if barred.is_none() && !self.catalogue.knows(server, Kind::Tool) {
                // What is not known then is not offered.
                let _unknown = self.refreshed(caller, server, Kind::Tool).await;
            }
        });
        join_all(asked).await;
    }

    /// The context learns something that a server has chosen, and that is no result of a call.
    pub(super) fn told_by(&self, context: &ContextKey, server: &str, what: &str) -> Result<(), JournalError> {
        self.told_by_under(context, server, what, &Label::constant())
    }

    /// The same where `why` decided that it is told.
    pub(super) fn told_by_under(
        &self,
        context: &ContextKey,
        server: &str,
        what: &str,
        why: &Label,
    ) -> Result<(), JournalError> {
        let label = ToolFacts::unknown(server).result.label(server, what).join(why);
        let what = format!("that {server} does not offer what was approved");
        let event = Event::Revealed { context: context.clone(), what, label, handle: None, at: now() };
        let mut state = self.shared.lock();
        let _written = self.shared.record(&mut state, &event, None)?;
        Ok(())
    }

    /// Why nothing of a server may reach this context, if a person has stopped it.
    pub(super) fn barred(&self, context: &ContextKey, server: &str, what: &str) -> Option<Violation> {
        let barred = self.shared.lock().engine.barred(context, server, what)?;
        (self.shared.rules.enforces() || barred.holds_always()).then_some(barred)
    }
}
