//! JSON-RPC 2.0 as MCP uses it: strict, bounded, and indifferent to fields that it does not know.

mod answer;
mod message;
mod parse;
mod revision;

pub use answer::{answered, answered_at_length, asked, parse_from_server};
pub use message::{Id, Message, Notification, Request, Response, RpcError};
pub use parse::{Limits, WireError, parse, parse_value};
pub use revision::Revision;

/// The member of `_meta` in which a client of the stateless revision asks for log messages.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
