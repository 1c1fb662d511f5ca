//! The messages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The id of a request. MCP allows no null and no fraction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
}

/// A call that wants an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Chosen by the sender.
    pub id: Id,
    /// For example `tools/call`.
    pub method: String,
    /// Empty when the message has none.
    pub params: Map<String, Value>,
}

/// A message that wants no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// For example `notifications/progress`.
    pub method: String,
    /// Empty when the message has none.
    pub params: Map<String, Value>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The request's id; none where it could not be read.
    pub id: Option<Id>,
    /// The result, or why there is none.
    pub outcome: Result<Map<String, Value>, RpcError>,
}

/// Any message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A call that wants an answer.
    Request(Request),
    /// A message that wants no answer.
    Notification(Notification),
    /// An answer.
    Response(Response),
}

/// The error of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// JSON-RPC's and MCP's codes are the constants here.
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// Anything more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// Not JSON, or not within the limits.
    pub const PARSE: i64 = -32700;
    /// Not a request that may be sent.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// No such tool, resource or prompt; arguments that do not fit.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something went wrong on the way to the server.
    pub const INTERNAL: i64 = -32603;
    /// Header and body disagree (2026-07-28).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client lacks a capability that the server needs (2026-07-28).
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// A revision that is not spoken here (2026-07-28).
    pub const UNSUPPORTED_REVISION: i64 = -32022;

    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// What goes over the wire; `jsonrpc` first, so that a person reading a trace sees what it is.
#[derive(Serialize)]
struct Frame<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

impl Message {
    /// The message as one line of JSON, without the line's end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut frame =
            Frame { jsonrpc: "2.0", id: None, method: None, params: None, result: None, error: None };
        match self {
            Self::Request(request) => {
                frame.id = Some(&request.id);
                frame.method = Some(&request.method);
                frame.params = (!request.params.is_empty()).then_some(&request.params);
            }
            Self::Notification(notification) => {
                frame.method = Some(&notification.method);
                frame.params = (!notification.params.is_empty()).then_some(&notification.params);
            }
            Self::Response(response) => {
                frame.id = response.id.as_ref();
                match &response.outcome {
                    Ok(result) => frame.result = Some(result),
                    Err(error) => frame.error = Some(error),
                }
            }
        }
        // Maps with string keys and no floats but finite ones always serialise.
        serde_json::to_vec(&frame).unwrap_or_default()
    }
}

impl Response {
    /// A success.
    #[must_use]
    pub fn ok(id: Id, result: Map<String, Value>) -> Self {
        Self { id: Some(id), outcome: Ok(result) }
    }

    /// A failure.
    #[must_use]
    pub fn failed(id: Option<Id>, error: RpcError) -> Self {
        Self { id, outcome: Err(error) }
    }
}
