//! Results and errors as a client of each revision knows them.

use serde_json::{Map, Value, json};

use super::call::Outcome;
use super::metadata::SERVER;
use crate::wire::{Revision, RpcError};

/// The code of 2025-11-25 and earlier for a resource that does not exist.
const RESOURCE_NOT_FOUND: i64 = -32002;

/// What is special about a method's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ToolCall,
    ToolList,
    PromptGet,
    ResourceRead,
    /// A list, or what else can be kept for a time.
    Cacheable,
    Other,
}

impl Kind {
    pub(super) fn of(method: &str) -> Self {
        match method {
            "tools/call" => Self::ToolCall,
            "tools/list" => Self::ToolList,
            "prompts/get" => Self::PromptGet,
            "resources/read" => Self::ResourceRead,
            "prompts/list" | "resources/list" | "resources/templates/list" | "server/discover" => {
                Self::Cacheable
            }
            _ => Self::Other,
        }
    }

    /// The method's name, if a result of it may say that input is required.
    pub(super) const fn asks(self) -> Option<&'static str> {
        match self {
            Self::ToolCall => Some("tools/call"),
            Self::PromptGet => Some("prompts/get"),
            Self::ResourceRead => Some("resources/read"),
            Self::ToolList | Self::Cacheable | Self::Other => None,
        }
    }

    const fn is_cacheable(self) -> bool {
        matches!(self, Self::ToolList | Self::ResourceRead | Self::Cacheable)
    }
}

/// An outcome, in the shape of the newest revision, as a client of `revision` knows it.
pub(super) fn outcome(revision: Revision, kind: Kind, outcome: Outcome) -> Outcome {
    match (outcome, revision.is_stateless()) {
        (Ok(result), true) => Ok(stateless(kind, result)),
        (Ok(result), false) => Ok(legacy(revision, kind, result)),
        (Err(mut error), true) => {
            if error.code == RESOURCE_NOT_FOUND {
                error.code = RpcError::INVALID_PARAMS;
            }
            Err(error)
        }
        (Err(error), false) => Err(legacy_error(kind, error)),
    }
}

/// Adds what the newest revision wants of every result; the least that can be said is that it is not to be kept.
fn stateless(kind: Kind, mut result: Map<String, Value>) -> Map<String, Value> {
    if !result.contains_key("resultType") {
        result.insert("resultType".to_owned(), json!("complete"));
    }
    let is_complete = result.get("resultType").is_some_and(|kind| kind == "complete");
    if kind.is_cacheable() && is_complete {
        if !result.get("ttlMs").is_some_and(Value::is_u64) {
            result.insert("ttlMs".to_owned(), json!(0));
        }
        if !result.get("cacheScope").is_some_and(|scope| scope == "private" || scope == "public") {
            result.insert("cacheScope".to_owned(), json!("private"));
        }
    }
    result
}

/// Takes off what earlier revisions do not have.
fn legacy(revision: Revision, kind: Kind, mut result: Map<String, Value>) -> Map<String, Value> {
    result.remove("resultType");
    if kind.is_cacheable() {
        result.remove("ttlMs");
        result.remove("cacheScope");
    }
    if let Some(Value::Object(meta)) = result.get_mut("_meta") {
        meta.remove(SERVER);
        if meta.is_empty() {
            result.remove("_meta");
        }
    }
    match kind {
        // Structured content was an object; the same is in the content as text.
        Kind::ToolCall if result.get("structuredContent").is_some_and(|content| !content.is_object()) => {
            result.remove("structuredContent");
        }
        Kind::ToolList => {
            for tool in result.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
                legacy_tool(tool);
            }
        }
        _ => {}
    }
    if revision < Revision::V2025_06_18 {
        for content in content_blocks(&mut result) {
            legacy_content(content);
        }
    }
    result
}

/// A schema of results that are not objects means nothing to earlier revisions.
fn legacy_tool(tool: &mut Value) {
    let Value::Object(tool) = tool else { return };
    if tool.get("outputSchema").is_some_and(|schema| schema.get("type") != Some(&json!("object"))) {
        tool.remove("outputSchema");
    }
}

/// The content of a tool's result, and of a prompt's messages.
fn content_blocks(result: &mut Map<String, Value>) -> Vec<&mut Value> {
    let mut blocks = Vec::new();
    for (name, value) in result {
        match (name.as_str(), value) {
            ("content", Value::Array(content)) => blocks.extend(content.iter_mut()),
            ("messages", Value::Array(messages)) => {
                blocks.extend(messages.iter_mut().filter_map(|message| message.get_mut("content")));
            }
            _ => {}
        }
    }
    blocks
}

/// 2025-03-26 has no links to resources.
fn legacy_content(content: &mut Value) {
    if content.get("type") == Some(&json!("resource_link")) {
        let part = |name| content.get(name).and_then(Value::as_str).unwrap_or_default();
        *content = json!({"type": "text", "text": format!("[resource {}: {}]", part("name"), part("uri"))});
    }
}

fn legacy_error(kind: Kind, mut error: RpcError) -> RpcError {
    error.code = match (kind, error.code) {
        (Kind::ResourceRead, RpcError::INVALID_PARAMS) => RESOURCE_NOT_FOUND,
        (_, RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY | RpcError::UNSUPPORTED_REVISION) => {
            RpcError::INVALID_REQUEST
        }
        (_, code) => code,
    };
    error
}

/// The result of `server/discover`.
pub(super) fn discover(mut found: Map<String, Value>) -> Map<String, Value> {
    found.insert("supportedVersions".to_owned(), json!(Revision::ALL.map(Revision::name)));
    found.entry("capabilities").or_insert_with(|| json!({}));
    if let Some(server) = found.remove("serverInfo") {
        let meta = found.entry("_meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            meta.insert(SERVER.to_owned(), server);
        }
    }
    stateless(Kind::Cacheable, found)
}

/// The result of `initialize`, of what `server/discover` would say.
pub(super) fn initialize(revision: Revision, mut found: Map<String, Value>) -> Map<String, Value> {
    let mut capabilities = match found.remove("capabilities") {
        Some(Value::Object(capabilities)) => capabilities,
        _ => Map::new(),
    };
    capabilities.remove("extensions");
    let named = match found.remove("_meta") {
        Some(Value::Object(mut meta)) => meta.remove(SERVER),
        _ => None,
    };
    let server = found.remove("serverInfo").or(named);
    let mut result = Map::from_iter([
        ("protocolVersion".to_owned(), json!(revision.name())),
        ("capabilities".to_owned(), Value::Object(capabilities)),
        (
            "serverInfo".to_owned(),
            server.unwrap_or_else(|| json!({"name": "ostrom-guard", "version": env!("CARGO_PKG_VERSION")})),
        ),
    ]);
    if let Some(instructions) = found.remove("instructions") {
        result.insert("instructions".to_owned(), instructions);
    }
    result
}

/// A log level of the session goes where the newest revision has it.
pub(super) fn set_log_level(params: &mut Map<String, Value>, level: &'static str) {
    let meta = params.entry("_meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.insert(super::metadata::LOG_LEVEL.to_owned(), json!(level));
    }
}
