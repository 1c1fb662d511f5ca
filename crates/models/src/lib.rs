//! Language models: one [`Model`] trait, HTTP providers, and local inference from GGUF files.
//!
//! *Invariant:* a key ([`Secret`]) never reaches a log, an error, a transcript or a report: it prints masked, and
//! only the code that sets the request header can read it.

pub mod chat;
pub mod http;
pub mod local;
mod model;
mod secret;

pub use chat::{Message, Role, Sampling, ToolCall, ToolSpec};
pub use model::{
    BoxFuture, Model, ModelError, ModelIdentity, Request, Response, StopReason, TokenLogprob, Usage,
};
pub use secret::{Secret, SecretError};
