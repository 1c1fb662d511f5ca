//! What the gateway asks of the policy, the audit log and the servers.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ostrom_core::Digest;
use serde_json::{Map, Value};

use super::approvals::Terms;
use super::state::Opening;
use crate::flow::{ContextKey, Event, ToolFacts, Used};
use crate::label::{Label, Readers};
use crate::pin::Kind;
use crate::relay::Relay;
use crate::wire::{Notification, RpcError};

/// What is done with a server. The names are those that facts and policies use for what is no tool.
pub mod operation {
    /// Reading a resource.
    pub const READ: &str = "resources/read";
    /// Getting a prompt.
    pub const PROMPT: &str = "prompts/get";
    /// Completing an argument.
    pub const COMPLETE: &str = "completion/complete";
    /// Wanting to hear of changes of a resource.
    pub const SUBSCRIBE: &str = "resources/subscribe";

    /// Whether a name is one of these. A tool that calls itself so would get what is said of the operation.
    #[must_use]
    pub fn is(name: &str) -> bool {
        [READ, PROMPT, COMPLETE, SUBSCRIBE].contains(&name)
    }
}

/// A call that the flow rules permit, as the policies see it.
#[derive(Debug)]
pub struct Question<'a> {
    /// Whose call.
    pub context: &'a ContextKey,
    /// The server.
    pub server: &'a str,
    /// The tool, or an [`operation`].
    pub tool: &'a str,
    /// Which prompt, for [`operation::PROMPT`].
    pub prompt: Option<&'a str>,
    /// The arguments, as dispatched.
    pub arguments: &'a BTreeMap<String, Value>,
    /// Of what decided that the call is made.
    pub control: &'a Label,
    /// Of control and arguments together.
    pub all: &'a Label,
    /// Calls so far.
    pub used: Used,
    /// Whether a plan makes it.
    pub plan: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// The policy in force.
pub trait Rules: Send + Sync {
    /// Digest of all of it.
    fn version(&self) -> Digest;
    /// Whether refusals are carried out, or only written down.
    fn enforces(&self) -> bool;
    /// Who may read what the principal says.
    fn readers(&self) -> Readers;
    /// The servers' names, in order.
    fn servers(&self) -> Vec<Arc<str>>;
    /// Who can be authenticated; `None` if another authority names them.
    fn principals(&self) -> Option<Vec<Arc<str>>> {
        None
    }
    /// Whether something is said about this very tool.
    fn speaks_of(&self, _server: &str, _tool: &str) -> bool {
        false
    }
    /// Where people answer, and for how long.
    fn terms(&self) -> Terms;
    /// What is said about a tool or an [`operation`] of a server.
    fn facts(&self, server: &str, tool: &str) -> Arc<ToolFacts>;
    /// What forbids the call; empty if it is permitted.
    fn forbids(&self, question: &Question<'_>) -> Vec<String>;
    /// Whether a policy that is asked about calls of this tool or [`operation`] looks at the argument `name`. Errs towards yes.
    fn looks_at(&self, server: &str, tool: &str, name: &str) -> bool;
    /// Whether this context is told that a thing exists. `name` is the server's own: a name, URI or URI template.
    fn lists(&self, context: &ContextKey, server: &str, kind: Kind, name: &str, at: u64) -> bool;
    /// What forbids showing a value that was kept by reference and came from this tool or [`operation`]; empty if it is permitted.
    fn forbids_reveal(
        &self,
        context: &ContextKey,
        from: (&str, &str),
        labels: (&Label, &Label),
        at: u64,
    ) -> Vec<String>;
}

/// Where events go. They take effect in their order, and nothing that follows from one is seen outside before it is written.
pub trait Journal: Send + Sync {
    /// Keeps what opens the commitments in an event that is appended next; it is written before that. An opening without its event opens nothing,
    /// an event without its opening could not be explained.
    ///
    /// # Errors
    /// If nothing can be written: then the event must not be appended either.
    fn open(&self, opening: &Opening) -> Result<(), JournalError>;
    /// Gives an event its number. Events are written in the order of these calls, at the latest when somebody waits for one that came later.
    ///
    /// # Errors
    /// If nothing can be written: then what it stands for must not happen.
    fn append(&self, event: &Event) -> Result<u64, JournalError>;
    /// Gives an event its number and writes it, after all before it. Nothing may be appended meanwhile.
    ///
    /// # Errors
    /// If it cannot be written: then what it stands for must not happen, and it is not in the log.
    fn record(&self, event: &Event) -> Result<u64, JournalError>;
    /// Returns when all that was appended before is written: a killed guard loses none of it.
    ///
    /// # Errors
    /// If it cannot be: then nothing that follows from it may be seen outside. It is written later, if that becomes possible.
    fn write_all(&self) -> Result<(), JournalError>;
    /// Waits until the event of this number is as safe as the mode promises: written, or on the disk.
    ///
    /// # Errors
    /// If it is not going to be.
    fn settle(&self, number: u64) -> Result<(), JournalError>;
    /// Whether [`Journal::settle`] may have to wait for the disk.
    fn waits(&self) -> bool;
}

/// Why an event could not be recorded.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}the audit log cannot be written ({why}); calls stop until it can: free some space or move it ([audit] folder)",
    if *.may_have_run { "what was called was under way and may have run, and what came of it is not shown: " } else { "" }
)]
pub struct JournalError {
    /// What happened.
    why: String,
    /// Whether anything was dispatched that the error is the answer to.
    may_have_run: bool,
    /// Whether it is the record's length that is at fault, not the log.
    too_long: bool,
}

impl JournalError {
    /// Nothing was dispatched.
    #[must_use]
    pub fn new(why: String) -> Self {
        Self { why, may_have_run: false, too_long: false }
    }

    /// The log is as it was, but this record is longer than any may be.
    #[must_use]
    pub fn too_long(most: usize) -> Self {
        Self { too_long: true, ..Self::new(format!("a record is longer than {most} bytes")) }
    }

    /// Whether it is the record's length that is at fault.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// The same of a call that has gone out: who reads it as a refusal would make the call again.
    #[must_use]
    pub fn after_dispatch(self) -> Self {
        Self { may_have_run: true, ..self }
    }
}

/// A future in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer, or why there is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Unanswered {
    /// What happened.
    pub message: String,
    /// Whether the request may have had its effect.
    pub may_have_run: bool,
}

/// A result, or the server's error; or why there is neither.
pub type Answer = Result<Result<Map<String, Value>, RpcError>, Unanswered>;

/// A server behind.
pub trait Upstream: Send + Sync {
    /// Sends a request. Dropping the future cancels it, and tells the server so.
    fn request(
        self: Arc<Self>,
        capabilities: Map<String, Value>,
        method: &'static str,
        params: Map<String, Value>,
        relay: Relay,
        deadline: Duration,
    ) -> Boxed<'static, Answer>;
    /// The result of `server/discover`, as far as it is known.
    fn info(&self) -> Map<String, Value>;
    /// Its own notifications.
    fn changes(&self) -> tokio::sync::broadcast::Receiver<Notification>;
    /// Wants to hear of changes of a resource until the result is dropped.
    fn watch<'a>(
        &'a self,
        uri: &'a str,
    ) -> Boxed<'a, Result<Box<dyn std::any::Any + Send + Sync>, Unanswered>>;
}
