//! The transports towards the agent: stdio and Streamable HTTP.
//!
//! A front turns what a client sends, in whatever revision of MCP, into calls of a [`Handler`], and turns what comes back
//! into what that client understands.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

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

/// What a front talks to. Requests and results have the shape of the newest revision.
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
}
