//! What goes back from a server to the agent while a request is under way.
//!
//! Inside the guard there is one form for all revisions of MCP: a request with a relay. See `docs/design/guard.md`.

use serde_json::{Map, Value};
use tokio::sync::oneshot;

pub use crate::channel::Receiver;
use crate::channel::{Sender, channel};
use crate::wire::{Notification, RpcError};

/// How many things may wait in a relay before a server has to wait for the agent.
pub const RELAY_CAPACITY: usize = 64;

/// Something that a server sends while it works on a request.
#[derive(Debug)]
pub enum FromServer {
    /// Progress, a log message.
    Notification(Notification),
    /// A question to the client: `elicitation/create`, `sampling/createMessage`, `roots/list`.
    Question(Question),
    /// The server wants the request once more, without having asked anything: whether it may be sent again.
    Again(oneshot::Sender<Result<(), RpcError>>),
}

/// A question to the client, and where its answer goes. Dropping it unanswered means that nobody can answer.
#[derive(Debug)]
pub struct Question {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// What its server calls it, if it has a name: clients of revision 2026-07-28 may know it by that.
    pub name: Option<String>,
    /// Where the client's result or error goes.
    pub answer: oneshot::Sender<Result<Map<String, Value>, RpcError>>,
}

/// The server's end of a relay.
#[derive(Debug, Clone)]
pub struct Relay(Sender<FromServer>);

impl Relay {
    /// A relay and the end at which the front listens.
    #[must_use]
    pub fn new() -> (Self, Receiver<FromServer>) {
        let (sender, receiver) = channel(RELAY_CAPACITY);
        (Self(sender), receiver)
    }

    /// A relay that nobody listens to.
    #[must_use]
    pub fn nowhere() -> Self {
        Self::new().0
    }

    /// Passes a notification on; one that nobody listens for is dropped.
    pub async fn notify(&self, notification: Notification) {
        // A client that has gone needs no progress; its request is cancelled elsewhere.
        let _gone = self.0.send(FromServer::Notification(notification)).await;
    }

    /// Whether the request may be sent again. Where nobody decides about requests, it may.
    ///
    /// # Errors
    /// Why not.
    pub async fn again(&self) -> Result<(), RpcError> {
        let (answer, answered) = oneshot::channel();
        if self.0.send(FromServer::Again(answer)).await.is_err() {
            return Ok(());
        }
        let nobody = || RpcError::new(RpcError::INTERNAL, "the call has ended");
        answered.await.map_err(|_| nobody())?
    }

    /// Asks the client a question without a name. See [`ask_as`](Self::ask_as).
    ///
    /// # Errors
    /// The client's error, or that nobody is there to answer.
    pub async fn ask(
        &self,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<Map<String, Value>, RpcError> {
        self.ask_as(None, method, params).await
    }

    /// Asks the client.
    ///
    /// # Errors
    /// The client's error, or that nobody is there to answer.
    pub async fn ask_as(
        &self,
        name: Option<String>,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<Map<String, Value>, RpcError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { method: method.to_owned(), params, name, answer };
        let nobody =
            || RpcError::new(RpcError::INVALID_REQUEST, format!("the client cannot answer {method}"));
        self.0.send(FromServer::Question(question)).await.map_err(|_| nobody())?;
        answered.await.map_err(|_| nobody())?
    }
}
