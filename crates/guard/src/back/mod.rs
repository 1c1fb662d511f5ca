//! The servers behind the guard: child processes and HTTP upstreams.
//!
//! A [`Server`] is one of them, whatever revision of MCP it speaks. Requests and results have the shape of the newest
//! revision; what a server sends meanwhile goes through the request's [`Relay`](crate::relay::Relay).
//!
//! | module | what it does |
//! |---|---|
//! | `server` | the public type: rounds of questions, restarts, subscriptions |
//! | `connect` | which revision a server speaks, the handshake |
//! | `changes` | the stream of changes of the newest revision |
//! | `state` | what outlives a connection |
//! | `table` | which requests are under way, and to whom a message of the server belongs |
//! | `exchange` | one request's notifications and questions |
//! | `shape` | between the revisions |
//! | `mirror` | headers that repeat parts of a body (2026-07-28) |
//! | `stdio`, `http` | the transports |
//! | `oauth` | tokens for HTTP servers |
//!
//! *Invariant:* a request is sent at most once, unless the server itself said that it did not run it (an expired session,
//! a missing token, a header that does not match) or that it wants to be called again (`input_required`).
//!
//! *Invariant:* an answer reaches the caller of its request and nobody else, and at most once.
//!
//! *Invariant:* nothing a server sends grows without a bound: lines, events, notifications, questions, rounds, mistakes.
//!
//! # To whom does a question belong?
//!
//! Servers of the older revisions ask on their own account (`elicitation/create`, `sampling/createMessage`, `roots/list`). Over
//! HTTP a question mostly comes on the stream of the request that it belongs to. On stdio, and on the standalone stream of an HTTP
//! session, nothing says which request it is. To guess would show one caller's question to another caller, and give the other's
//! answer to the first one's call. So such a question is passed on only when exactly one request is under way, and no
//! request was given up lately that the server may still be working on ([`Limits::linger`]); otherwise the server gets an
//! error. The same holds for log messages, which are dropped instead. Whoever needs questions and
//! concurrency together gives each principal a process of its own, or a server of the newest revision.

mod changes;
mod clean;
mod config;
mod connect;
mod error;
mod exchange;
mod http;
mod link;
mod mirror;
mod oauth;
mod server;
mod shape;
mod state;
mod stdio;
mod table;

pub use clean::Secret;
pub use config::{Auth, Connection, Era, Limits, MakeCommand, Settings, StderrSink};
pub use error::{BackError, Fault};
pub use oauth::{OAuth, Registration, ShowUrl};
pub use server::Server;
pub use shape::ServerInfo;
pub use table::Misdeeds;

/// A result or the server's error.
pub type Answer = Result<serde_json::Map<String, serde_json::Value>, crate::wire::RpcError>;

#[cfg(test)]
mod tests;
