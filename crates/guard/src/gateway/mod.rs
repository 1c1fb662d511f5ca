//! The life of a call.
//!
//! [`Gateway`] is what the fronts talk to. It knows one kind of request and one kind of server ([`Upstream`]); revisions of MCP
//! are the fronts' and servers' business. Read `call` for what happens to a call, `state` for the order in which events are
//! written and take effect.
//!
//! *Invariant:* nothing is dispatched whose intent is not on record, and nothing is shown whose outcome is not.

mod answer;
mod approvals;
mod call;
mod catalogue;
mod ending;
mod flight;
mod handles;
#[cfg(test)]
pub(crate) mod house;
mod lists;
mod names;
mod own;
mod present;
mod questions;
mod rules;
mod salt;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ahead;
#[cfg(test)]
mod tests_bound;
#[cfg(test)]
mod tests_endorse;
#[cfg(test)]
mod tests_ends;
#[cfg(test)]
mod tests_gaps;
#[cfg(test)]
mod tests_lists;
#[cfg(test)]
mod tests_plans;
#[cfg(test)]
mod tests_told;
#[cfg(test)]
mod tests_watch;
#[cfg(test)]
mod tests_worlds;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ostrom_core::Digest;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

pub use answer::claim;
pub(crate) use answer::{by_value, of_error, touched};
pub(crate) use approvals::binding;
pub use approvals::{Approvals, Request, Terms};
pub(crate) use call::{looked_at, refusal};
pub use catalogue::{Catalogue, Held, Pinned};
pub(crate) use handles::Store;
pub use handles::{Capacity, PREFIX};
pub use names::Names;
pub(crate) use own::endorsed;
pub(crate) use present::{Origin, answered, from_error, present, value, whole_of};
pub use rules::{Boxed, Journal, JournalError, Question, Rules, Unanswered, Upstream, operation};
#[cfg(test)]
pub(crate) use state::Commitments;
pub use state::{Opening, Shared, State, commitment, now};

use crate::flow::{ContextKey, Event};
use crate::front::{Caller, Handler};
use crate::pin::Kind;
use crate::relay::Relay;
use crate::wire::{Notification, Request as RpcRequest, RpcError};
use call::{Proposed, Route};

/// Members of `_meta` that begin so are the guard's, and taken out of what servers say.
const OWN: &str = "org.ostrom/";
/// The member of `_meta` in which a server may claim a label for its result.
pub const LABEL: &str = "org.ostrom/label";
/// The member of `_meta` that says why a call was refused.
pub const REFUSED: &str = "org.ostrom/refused";

/// What servers may have to offer beside tools, and what may be said of each.
const OFFERED: [(&str, &[&str]); 4] = [
    ("prompts", &["listChanged"]),
    ("resources", &["listChanged", "subscribe"]),
    ("completions", &[]),
    ("logging", &[]),
];
/// Arguments of a call.
const MOST_ARGUMENTS: usize = 256;
/// Bytes of an argument's name.
const LONGEST_NAME: usize = 256;
/// The levels of log messages that a client may ask for.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Bounds of what one agent may make the guard do.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes that the handles in one request may stand for.
    pub expanded: usize,
    /// Runs that are open at a time; the oldest ends when there would be more.
    pub runs: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { expanded: 16 << 20, runs: 10_000 }
    }
}

/// What stands between agents and servers.
pub struct Gateway {
    /// The state and its log.
    pub shared: Shared,
    /// What the servers define.
    pub catalogue: Catalogue,
    names: Names,
    upstreams: BTreeMap<Arc<str>, Arc<dyn Upstream>>,
    deadline: Duration,
    bounds: Bounds,
    changes: broadcast::Sender<Notification>,
    unheard: ending::Unheard,
    /// For what outlives a request.
    me: Weak<Self>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway before these servers.
    #[must_use]
    pub fn new(
        shared: Shared,
        catalogue: Catalogue,
        upstreams: BTreeMap<Arc<str>, Arc<dyn Upstream>>,
        deadline: Duration,
        bounds: Bounds,
    ) -> Arc<Self> {
        let names = Names::new(upstreams.keys().cloned().collect());
        let (changes, _) = broadcast::channel(256);
        let unheard = ending::Unheard::default();
        Arc::new_cyclic(|me| {
            let me = me.clone();
            Self { shared, catalogue, names, upstreams, deadline, bounds, changes, unheard, me }
        })
    }

    /// Passes on what the servers say of their lists and resources, for as long as it is polled.
    pub async fn relay_changes(self: Arc<Self>) {
        let mut tasks = tokio::task::JoinSet::new();
        for (server, upstream) in &self.upstreams {
            let (gateway, server, mut changes) = (self.clone(), server.clone(), upstream.changes());
            tasks.spawn(async move {
                loop {
                    match changes.recv().await {
                        Ok(change) => gateway.changed(&server, change),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Tells clients that any list may have changed: a person has stopped something, or let it go on.
    pub fn lists_changed(&self) {
        [Kind::Tool, Kind::Prompt, Kind::Resource].into_iter().for_each(|kind| self.list_changed(kind));
    }

    /// Tells clients that the list of a kind may have changed: a person has approved something. The fronts tell it to those whom they have
    /// told that there is such a list.
    pub fn list_changed(&self, kind: Kind) {
        let list = match kind {
            Kind::Tool => "tools",
            Kind::Prompt => "prompts",
            Kind::Resource | Kind::ResourceTemplate => "resources",
        };
        let method = format!("notifications/{list}/list_changed");
        // Nobody may be listening.
        let _nobody = self.changes.send(Notification { method, params: Map::new() });
    }

    /// Mints a run for a principal, and gives its name and the token that opens it. The token is on no record, but its digest is, so that
    /// it opens the run after a restart too. Where too many runs are open, the oldest ends.
    ///
    /// # Errors
    /// If the system has no randomness, or the run cannot be recorded.
    pub fn mint(&self, principal: &str) -> Result<(Arc<str>, String), JournalError> {
        let random = || -> Result<String, JournalError> {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| JournalError::new(error.to_string()))?;
            Ok(URL_SAFE_NO_PAD.encode(bytes))
        };
        let (run, token) = (Arc::<str>::from(random()?), random()?);
        let context = ContextKey { principal: principal.into(), run: Some(run.clone()) };
        let mut state = self.shared.lock();
        let state = &mut *state;
        while let (Some(oldest), open) = state.engine.open_runs() {
            if open < self.bounds.runs {
                break;
            }
            let event = Event::Closed { context: oldest.clone(), at: now() };
            let _written = self.shared.record(state, &event, None)?;
        }
        let event = Event::Opened { context, token: Some(Digest::of(token.as_bytes())), at: now() };
        let _written = self.shared.record(state, &event, None)?;
        Ok((run, token))
    }

    async fn tools_call(
        &self,
        caller: &Caller,
        mut params: Map<String, Value>,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        let arguments = match params.remove("arguments") {
            None => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(RpcError::new(RpcError::INVALID_PARAMS, "arguments must be an object")),
        };
        few(&arguments)?;
        let Some(Value::String(outer)) = params.remove("name") else {
            return Err(RpcError::new(RpcError::INVALID_PARAMS, "tools/call needs the name of a tool"));
        };
        let context = context(caller);
        if outer == own::REVEAL || outer == own::RUN_PLAN {
            // Its own future would make that of every call as large.
            return Box::pin(self.own(caller, context, &outer, arguments, relay)).await;
        }
        let unknown = || lists::unknown(Kind::Tool, &outer);
        let (server, name) = self.names.inner(&outer).ok_or_else(unknown)?;
        self.offered(caller, &server, Kind::Tool, (name, &outer)).await?;
        only_protocol(&mut params);
        params.insert("name".to_owned(), Value::String(name.to_owned()));
        let proposed = Proposed {
            context,
            server,
            tool: name.into(),
            prompt: None,
            arguments: arguments.into_iter().collect(),
            step: None,
        };
        let route = Route {
            method: "tools/call",
            capabilities: &caller.capabilities,
            params,
            under: Some("arguments"),
            relay,
        };
        self.call(proposed, route).await.map_err(|error| error.to_rpc())?.into_result()
    }

    async fn resources_read(
        &self,
        caller: &Caller,
        mut params: Map<String, Value>,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        let Some(Value::String(outer)) = params.remove("uri") else {
            return Err(RpcError::new(RpcError::INVALID_PARAMS, "resources/read needs a uri"));
        };
        let unknown = || RpcError::new(RpcError::INVALID_PARAMS, format!("there is no resource {outer}"));
        let (server, uri) = self.names.inner_uri(&outer).ok_or_else(unknown)?;
        only_protocol(&mut params);
        let proposed = Proposed {
            context: context(caller),
            server,
            tool: operation::READ.into(),
            prompt: None,
            arguments: BTreeMap::from([("uri".to_owned(), json!(uri))]),
            step: None,
        };
        let route =
            Route { method: operation::READ, capabilities: &caller.capabilities, params, under: None, relay };
        let mut result = self.call(proposed, route).await.map_err(|error| error.to_rpc())?.into_result()?;
        refused_as_error(&result)?;
        if !result.contains_key("contents")
            && let Some(kept) = result.remove("content")
        {
            // By reference: a resource has contents, and a text of the guard's is one.
            let text = kept.pointer("/0/text").cloned().unwrap_or_default();
            result.insert(
                "contents".to_owned(),
                json!([{"uri": outer, "mimeType": "text/plain", "text": text}]),
            );
            result.insert("ttlMs".to_owned(), json!(0));
            result.insert("cacheScope".to_owned(), json!("private"));
        }
        Ok(result)
    }

    async fn prompts_get(
        &self,
        caller: &Caller,
        mut params: Map<String, Value>,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        let Some(Value::String(outer)) = params.remove("name") else {
            return Err(RpcError::new(RpcError::INVALID_PARAMS, "prompts/get needs the name of a prompt"));
        };
        let unknown = || lists::unknown(Kind::Prompt, &outer);
        let (server, name) = self.names.inner(&outer).ok_or_else(unknown)?;
        self.offered(caller, &server, Kind::Prompt, (name, &outer)).await?;
        let arguments = match params.remove("arguments") {
            Some(Value::Object(arguments)) => arguments,
            None => Map::new(),
            Some(_) => {
                return Err(RpcError::new(
                    RpcError::INVALID_PARAMS,
                    "the arguments of a prompt are an object",
                ));
            }
        };
        few(&arguments)?;
        only_protocol(&mut params);
        params.insert("name".to_owned(), json!(name));
        let proposed = Proposed {
            context: context(caller),
            server,
            tool: operation::PROMPT.into(),
            prompt: Some(name.into()),
            arguments: arguments.into_iter().collect(),
            step: None,
        };
        let route = Route {
            method: operation::PROMPT,
            capabilities: &caller.capabilities,
            params,
            under: Some("arguments"),
            relay,
        };
        let mut result = self.call(proposed, route).await.map_err(|error| error.to_rpc())?.into_result()?;
        refused_as_error(&result)?;
        if !result.contains_key("messages")
            && let Some(kept) = result.remove("content")
        {
            // By reference: a prompt has messages, and a text of the guard's is one.
            let text = kept.pointer("/0/text").cloned().unwrap_or_default();
            let message = json!({"role": "user", "content": {"type": "text", "text": text}});
            result.insert("messages".to_owned(), json!([message]));
        }
        Ok(result)
    }

    async fn complete(
        &self,
        caller: &Caller,
        mut params: Map<String, Value>,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        let unknown = || {
            RpcError::new(
                RpcError::INVALID_PARAMS,
                "completion/complete needs a ref to a known prompt or resource",
            )
        };
        let reference = params.get_mut("ref").ok_or_else(unknown)?;
        let server = if let Some(Value::String(outer)) = reference.get("name").cloned() {
            let (server, name) = self.names.inner(&outer).ok_or_else(unknown)?;
            reference["name"] = json!(name);
            self.offered(caller, &server, Kind::Prompt, (name, &outer)).await?;
            server
        } else if let Some(Value::String(outer)) = reference.get("uri").cloned() {
            let (server, uri) = self.names.inner_uri(&outer).ok_or_else(unknown)?;
            reference["uri"] = json!(uri);
            server
        } else {
            return Err(unknown());
        };
        // Everything that the client says goes to the server, so everything is an argument.
        let arguments = ["ref", "argument", "context"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), params.remove(name)?)))
            .collect();
        only_protocol(&mut params);
        let proposed = Proposed {
            context: context(caller),
            server,
            tool: operation::COMPLETE.into(),
            prompt: None,
            arguments,
            step: None,
        };
        let route = Route {
            method: operation::COMPLETE,
            capabilities: &caller.capabilities,
            params,
            under: None,
            relay,
        };
        let result = self.call(proposed, route).await.map_err(|error| error.to_rpc())?.into_result()?;
        refused_as_error(&result)?;
        Ok(result)
    }
}

/// Refuses more arguments than the record of a call has room for, whatever is known of who may have influenced them: that there is no room must not
/// depend on it.
fn few(arguments: &Map<String, Value>) -> Result<(), RpcError> {
    if arguments.len() <= MOST_ARGUMENTS && arguments.keys().all(|name| name.len() <= LONGEST_NAME) {
        return Ok(());
    }
    let text = format!(
        "a call has at most {MOST_ARGUMENTS} arguments, with names of at most {LONGEST_NAME} bytes; put them into one that is an object"
    );
    Err(RpcError::new(RpcError::INVALID_PARAMS, text))
}

/// Whether there is a handle in a value.
pub(crate) fn is_reference(value: &Value) -> bool {
    !handles::references(value).is_empty()
}

/// A refusal has the shape of a tool's result; other results have no place for it.
fn refused_as_error(result: &Map<String, Value>) -> Result<(), RpcError> {
    let Some(detail) = result.get("_meta").and_then(|meta| meta.get(REFUSED)) else { return Ok(()) };
    let text = result.get("content").and_then(|content| content.pointer("/0/text")).and_then(Value::as_str);
    let mut error = RpcError::new(RpcError::INVALID_REQUEST, text.unwrap_or("refused by the guard"));
    error.data = Some(detail.clone());
    Err(error)
}

/// Takes out of a request's parameters whatever is neither an argument nor of the protocol: it would reach the server without having been
/// decided about or approved. What stays has few values, or is replaced on the way (the progress token).
fn only_protocol(params: &mut Map<String, Value>) {
    params.retain(|name, _| name == "_meta");
    let Some(Value::Object(meta)) = params.get_mut("_meta") else {
        params.clear();
        return;
    };
    meta.retain(|name, value| match name.as_str() {
        "progressToken" => value.is_string() || value.is_i64() || value.is_u64(),
        crate::wire::LOG_LEVEL => value.as_str().is_some_and(|level| LOG_LEVELS.contains(&level)),
        _ => false,
    });
    if meta.is_empty() {
        params.clear();
    }
}

/// Whose context a caller's is: rule 2.
fn context(caller: &Caller) -> ContextKey {
    ContextKey { principal: caller.principal.clone(), run: caller.run.clone() }
}

fn cacheable(member: &str, values: Vec<Value>) -> Map<String, Value> {
    let mut result = Map::new();
    result.insert("resultType".to_owned(), json!("complete"));
    result.insert(member.to_owned(), Value::Array(values));
    result.insert("ttlMs".to_owned(), json!(0));
    result.insert("cacheScope".to_owned(), json!("private"));
    result
}

impl Handler for Gateway {
    fn open(&self, principal: &str, token: Option<&str>) -> Result<Option<Arc<str>>, RpcError> {
        let Some(token) = token else { return Ok(None) };
        let digest = Digest::of(token.as_bytes());
        // Whether the run goes on is decided, and on record, with each call.
        match self.shared.lock_ahead().engine.run_of(&digest) {
            Some(context) if *context.principal == *principal => Ok(context.run.clone()),
            // Another principal's token looks like one that never was.
            _ => Err(RpcError::new(
                RpcError::INVALID_REQUEST,
                "this run token is not one of yours: mint one with ostrom guard mint",
            )),
        }
    }

    async fn discover(&self, _caller: &Caller) -> Map<String, Value> {
        let mut capabilities = Map::new();
        capabilities.insert("tools".to_owned(), json!({"listChanged": true}));
        for upstream in self.upstreams.values() {
            let info = upstream.info();
            let Some(Value::Object(offered)) = info.get("capabilities") else { continue };
            for (name, settings) in OFFERED {
                let Some(Value::Object(theirs)) = offered.get(name) else { continue };
                let ours = capabilities.entry(name).or_insert_with(|| json!({}));
                // Of names that a server makes up, none is passed on.
                for setting in settings.iter().filter(|setting| theirs.get(**setting) == Some(&json!(true))) {
                    ours[*setting] = json!(true);
                }
            }
        }
        let mut result = Map::new();
        result.insert("resultType".to_owned(), json!("complete"));
        result.insert("capabilities".to_owned(), Value::Object(capabilities));
        result.insert(
            "serverInfo".to_owned(),
            json!({"name": "ostrom-guard", "version": env!("CARGO_PKG_VERSION")}),
        );
        result.insert("ttlMs".to_owned(), json!(0));
        result.insert("cacheScope".to_owned(), json!("private"));
        result
    }

    async fn handle(
        &self,
        caller: Arc<Caller>,
        request: RpcRequest,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        let params = request.params;
        match request.method.as_str() {
            "tools/list" => {
                let mut tools = self.list(&caller, Kind::Tool).await?;
                tools.extend(own::definitions());
                Ok(cacheable("tools", tools))
            }
            "prompts/list" => Ok(cacheable("prompts", self.list(&caller, Kind::Prompt).await?)),
            "resources/list" => Ok(cacheable("resources", self.list(&caller, Kind::Resource).await?)),
            "resources/templates/list" => {
                Ok(cacheable("resourceTemplates", self.list(&caller, Kind::ResourceTemplate).await?))
            }
            "tools/call" => self.tools_call(&caller, params, relay).await,
            operation::READ => self.resources_read(&caller, params, relay).await,
            operation::PROMPT => self.prompts_get(&caller, params, relay).await,
            operation::COMPLETE => self.complete(&caller, params, relay).await,
            other => {
                Err(RpcError::new(RpcError::METHOD_NOT_FOUND, format!("the guard lets no {other} through")))
            }
        }
    }

    async fn watch(&self, caller: Arc<Caller>, uri: String) -> Result<crate::front::Watch, RpcError> {
        self.subscribe(&caller, &uri).await
    }

    fn hears(&self, caller: &Caller, watch: &crate::front::Watch) -> bool {
        self.still_hears(caller, watch)
    }

    fn mirrored(&self, _caller: &Caller, tool: &str) -> Option<Arc<[crate::front::Mirrored]>> {
        let (server, name) = self.names.inner(tool)?;
        self.catalogue.mirrored(&server, name)
    }

    fn changes(&self, _caller: &Caller) -> broadcast::Receiver<Notification> {
        self.changes.subscribe()
    }
}
