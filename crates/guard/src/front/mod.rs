//! The transports towards the agent: stdio and Streamable HTTP.
//!
//! A front turns what a client sends, in whatever revision of MCP, into calls of a [`Handler`], and turns what comes back
//! into what that client understands.
//!
//! One request becomes an `exchange`: messages on the way, then one answer. The transports only carry those messages, so what
//! a revision means is written once (`dispatch`, `exchange`, `shape`), for both.

pub mod auth;
mod budget;
mod call;
mod capability;
mod changes;
mod dispatch;
mod exchange;
pub mod http;
mod inflight;
mod limits;
mod metadata;
mod mirror;
mod park;
mod session;
mod shape;
pub mod stdio;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

pub use limits::Limits;
pub use mirror::{Mirrored, SchemaError};

use crate::relay::Relay;
use crate::wire::{Notification, Request, Revision, RpcError};

/// Who calls, and what their client can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// The authenticated principal; on stdio, the user of the operating system.
    pub principal: Arc<str>,
    /// The run that the guard minted and the client presented, if any: already checked by [`Handler::open`].
    pub run: Option<Arc<str>>,
    /// What the client speaks.
    pub revision: Revision,
    /// The client's capabilities, as it declared them.
    pub capabilities: Map<String, Value>,
    /// The client's name and version, as it says; nothing is decided by it.
    pub client: Option<Value>,
}

/// An interest in a resource. Dropping it ends the interest.
pub type Watch = Box<dyn Any + Send + Sync>;

/// [`Handler::hears`], of some handler.
type Hears = Arc<dyn Fn(&Caller, &Watch) -> bool + Send + Sync>;

/// What a front talks to. Requests and results have the shape of the newest revision.
///
/// Of `_meta`, the protocol's version, the client's name and its capabilities have been moved into the [`Caller`]; the log
/// level, the progress token and everything else are where the client put them (for a legacy client, the log level is what
/// it set last). `inputResponses` and `requestState` never get here: a question is asked through the relay.
pub trait Handler: Send + Sync + 'static {
    /// Checks the run token that a client presented and gives the run's name.
    ///
    /// # Errors
    /// If it is unknown, expired, or another principal's.
    fn open(&self, principal: &str, token: Option<&str>) -> Result<Option<Arc<str>>, RpcError>;

    /// The result of `server/discover` for this caller, and of `initialize` once the front has changed its shape: capabilities,
    /// `serverInfo`, instructions.
    fn discover(&self, caller: &Caller) -> impl Future<Output = Map<String, Value>> + Send;

    /// Answers a request. Dropping the future cancels it.
    fn handle(
        &self,
        caller: Arc<Caller>,
        request: Request,
        relay: Relay,
    ) -> impl Future<Output = Result<Map<String, Value>, RpcError>> + Send;

    /// Changes of lists and resources, as notifications of the newest revision; the front keeps those the client asked for.
    fn changes(&self, caller: &Caller) -> broadcast::Receiver<Notification>;

    /// A client wants to hear of changes of a resource. Whatever has to be subscribed to for it lasts as long as the result.
    ///
    /// # Errors
    /// If there is no such resource, or the caller may not know.
    fn watch(
        &self,
        _caller: Arc<Caller>,
        _uri: String,
    ) -> impl Future<Output = Result<Watch, RpcError>> + Send {
        async { Ok(Box::new(()) as Watch) }
    }

    /// Whether changes of what is watched may still be told, to this caller. Asked before each; a watch of which it is not so is over.
    fn hears(&self, _caller: &Caller, _watch: &Watch) -> bool {
        true
    }

    /// Which arguments of a tool a client repeats in HTTP headers (`x-mcp-header` in its input schema), if there is such a tool
    /// and its definition is known. Called for every call over HTTP, so it has to be quick.
    fn mirrored(&self, _caller: &Caller, _tool: &str) -> Option<Arc<[Mirrored]>> {
        None
    }
}

/// Where a front writes what an operator may want to know, a line at a time.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// A log on standard error, which on stdio is free for this.
#[must_use]
pub fn log_to_stderr() -> Log {
    Arc::new(|line| eprintln!("ostrom guard: {line}"))
}
