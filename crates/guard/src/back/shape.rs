//! Between the revisions: what goes to a server, and what its results look like inside.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::wire::{Id, LOG_LEVEL, Revision, RpcError};

/// The guard's name in requests.
const CLIENT: &str = "ostrom-guard";
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Which subscription a notification belongs to.
pub(super) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// "Resource not found" until 2025-11-25.
const RESOURCE_NOT_FOUND: i64 = -32002;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerInfo {
    /// What is spoken with it.
    pub revision: Revision,
    /// Its capabilities.
    pub capabilities: Map<String, Value>,
    /// How to use it.
    pub instructions: Option<String>,
    /// Its name and version. Nothing is decided by it.
    pub server: Option<Value>,
}

impl ServerInfo {
    /// From the result of `initialize`.
    pub(super) fn of_initialize(mut result: Map<String, Value>) -> Result<Self, String> {
        let version = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        let revision = match version {
            // On the wire, what it has is a subset of 2025-03-26.
            "2024-11-05" => Revision::V2025_03_26,
            name => Revision::of(name).filter(|revision| !revision.is_stateless()).ok_or_else(|| {
                format!(
                    "it wants revision {:?} of MCP, which the guard does not speak",
                    super::clean::quote(name)
                )
            })?,
        };
        Ok(Self {
            revision,
            capabilities: object(result.remove("capabilities")),
            instructions: text(result.remove("instructions")),
            server: result.remove("serverInfo"),
        })
    }

    /// From the result of `server/discover`.
    pub(super) fn of_discover(mut result: Map<String, Value>) -> Self {
        let in_meta =
            result.get_mut("_meta").and_then(Value::as_object_mut).and_then(|meta| meta.remove(SERVER_INFO));
        Self {
            revision: Revision::V2026_07_28,
            capabilities: object(result.remove("capabilities")),
            instructions: text(result.remove("instructions")),
            server: in_meta.or_else(|| result.remove("serverInfo")),
        }
    }

    /// Whether the server declared `capability.feature: true`.
    pub(super) fn has(&self, capability: &str, feature: &str) -> bool {
        self.capabilities.get(capability).and_then(|found| found.get(feature)) == Some(&Value::Bool(true))
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn client_info() -> Value {
    json!({"name": CLIENT, "version": env!("CARGO_PKG_VERSION")})
}

/// The parameters of `initialize`.
pub(super) fn initialize(capabilities: &Map<String, Value>) -> Map<String, Value> {
    object(Some(json!({
        "protocolVersion": Revision::NEWEST_LEGACY.name(),
        "capabilities": capabilities,
        "clientInfo": client_info(),
    })))
}

/// Takes the caller's progress token out of the parameters, and what only the guard's front may have put there.
pub(super) fn take_progress(params: &mut Map<String, Value>) -> Option<Value> {
    params.remove("inputResponses");
    params.remove("requestState");
    let token = params.get_mut("_meta")?.as_object_mut()?.remove("progressToken");
    token.filter(|token| token.is_string() || token.is_i64() || token.is_u64())
}

/// The log level that the caller asks for.
pub(super) fn log_level(params: &Map<String, Value>) -> Option<&str> {
    params.get("_meta")?.get(LOG_LEVEL)?.as_str()
}

/// Makes the parameters fit for a server of that revision.
///
/// The caller's client stays unnamed: the server talks to the guard.
pub(super) fn prepare(
    params: &mut Map<String, Value>,
    revision: Revision,
    capabilities: &Map<String, Value>,
    progress: Option<i64>,
) {
    let entry = params.entry("_meta").or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    let Some(meta) = entry.as_object_mut() else { return };
    if revision.is_stateless() {
        meta.insert(PROTOCOL_VERSION.to_owned(), Value::from(revision.name()));
        meta.insert(CLIENT_INFO.to_owned(), client_info());
        meta.insert(CLIENT_CAPABILITIES.to_owned(), Value::Object(known_capabilities(capabilities)));
    } else {
        for key in [PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL] {
            meta.remove(key);
        }
    }
    match progress {
        Some(id) => meta.insert("progressToken".to_owned(), Value::from(id)),
        None => meta.remove("progressToken"),
    };
    if meta.is_empty() {
        params.remove("_meta");
    }
}

/// What a server may know of the client's capabilities: which of those that it has use for there are, and nothing that the client has put
/// into them, for no policy decides about it. Tasks are left out: their results are not the results of the call, and the guard could not say
/// what flows.
fn known_capabilities(capabilities: &Map<String, Value>) -> Map<String, Value> {
    const KNOWN: [(&str, &[&str]); 3] =
        [("elicitation", &["form", "url"]), ("sampling", &["tools", "context"]), ("roots", &["listChanged"])];
    let mut known = Map::new();
    for (name, parts) in KNOWN {
        let Some(Value::Object(declared)) = capabilities.get(name) else { continue };
        let has = |part: &&&str| declared.get(**part).is_some_and(|value| *value != Value::Bool(false));
        let kept = parts.iter().filter(has).map(|part| {
            let value = if *part == "listChanged" { Value::Bool(true) } else { Value::Object(Map::new()) };
            ((*part).to_owned(), value)
        });
        known.insert(name.to_owned(), Value::Object(kept.collect()));
    }
    known
}

/// Whether results of the method say how long they may be kept.
fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
            | "server/discover"
    )
}

/// How a result ends a request.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Ending {
    /// It is the result.
    Complete,
    /// The server wants to be called again.
    InputRequired,
}

/// Gives a result the shape of the newest revision.
///
/// # Errors
/// What is wrong with it.
pub(super) fn complete(
    method: &str,
    revision: Revision,
    result: &mut Map<String, Value>,
) -> Result<Ending, String> {
    if revision.is_stateless() {
        match result.get("resultType") {
            None => {}
            Some(Value::String(kind)) if kind == "complete" => {}
            Some(Value::String(kind)) if kind == "input_required" => {
                return if matches!(method, "tools/call" | "prompts/get" | "resources/read") {
                    Ok(Ending::InputRequired)
                } else {
                    Err(format!("it answered input_required to {method}"))
                };
            }
            Some(other) => {
                return Err(format!(
                    "its result is of the unknown type {}",
                    super::clean::quote(&other.to_string())
                ));
            }
        }
    }
    result.insert("resultType".to_owned(), Value::from("complete"));
    if is_cacheable(method) {
        let kept = revision.is_stateless() && result.get("ttlMs").is_some_and(Value::is_u64);
        if !kept {
            result.insert("ttlMs".to_owned(), Value::from(0));
        }
        if !kept || result.get("cacheScope") != Some(&Value::from("public")) {
            result.insert("cacheScope".to_owned(), Value::from("private"));
        }
    }
    Ok(Ending::Complete)
}

/// Gives an error the codes of the newest revision.
pub(super) fn error(revision: Revision, mut error: RpcError) -> RpcError {
    if error.code == RESOURCE_NOT_FOUND && !revision.is_stateless() {
        error.code = RpcError::INVALID_PARAMS;
    }
    // These two are about the guard's own headers and revision. A client that got them would think they were about its own.
    if matches!(error.code, RpcError::HEADER_MISMATCH | RpcError::UNSUPPORTED_REVISION) {
        error.code = RpcError::INTERNAL;
    }
    error
}

/// Whether a notification is about changed lists or resources.
pub(super) fn is_change(method: &str) -> bool {
    matches!(
        method,
        "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/resources/updated"
    )
}

/// Whether a server may ask this.
pub(super) fn is_question(method: &str) -> bool {
    matches!(method, "elicitation/create" | "sampling/createMessage" | "roots/list")
}

/// RFC 5424's severities, least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Severity(usize);

impl Severity {
    const NAMES: [&str; 8] =
        ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

    /// By its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// That of a log message.
    pub(super) fn of(params: &Map<String, Value>) -> Option<Self> {
        Self::named(params.get("level")?.as_str()?)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.get(self.0).copied().unwrap_or("emergency")
    }
}

#[derive(Serialize)]
struct Frame<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    method: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    params: &'a Map<String, Value>,
}

/// A request, or without an id a notification, as bytes; the parameters stay with the caller, who may have to send them again.
pub(super) fn encode(id: Option<i64>, method: &str, params: &Map<String, Value>) -> Vec<u8> {
    let id = id.map(Id::Number);
    let frame = Frame { jsonrpc: "2.0", id: id.as_ref(), method, params };
    // Maps with string keys and no floats but finite ones always serialise.
    serde_json::to_vec(&frame).unwrap_or_default()
}

/// The notification that cancels a request.
pub(super) fn cancelled(id: i64) -> Vec<u8> {
    let params = object(Some(json!({"requestId": id, "reason": "the caller gave up"})));
    encode(None, "notifications/cancelled", &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        object(Some(value))
    }

    #[test]
    fn a_stateless_server_gets_the_callers_capabilities_and_the_guards_name() {
        let mut params = map(json!({"name": "x", "requestState": "forged", "inputResponses": {},
            "_meta": {"progressToken": "mine", "traceparent": "00-1", CLIENT_INFO: {"name": "client"}}}));
        assert_eq!(take_progress(&mut params), Some(json!("mine")));
        let capabilities = map(
            json!({"roots": {"listChanged": true, "x": "leak"}, "elicitation": {"url": "leak", "leak": {}}, "tasks": {},
                "sampling": "leak", "experimental": {"x": "leak"}, "extensions": {"leak": {}}}),
        );
        prepare(&mut params, Revision::V2026_07_28, &capabilities, Some(7));
        assert_eq!(
            Value::Object(params),
            json!({"name": "x", "_meta": {"progressToken": 7, "traceparent": "00-1",
                PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {"roots": {"listChanged": true}, "elicitation": {"url": {}}},
                CLIENT_INFO: {"name": "ostrom-guard", "version": env!("CARGO_PKG_VERSION")}}})
        );
    }

    #[test]
    fn an_older_server_gets_none_of_the_newest_revisions_metadata() {
        let mut params = map(json!({"uri": "a:b", "_meta": {LOG_LEVEL: "info", CLIENT_CAPABILITIES: {}}}));
        prepare(&mut params, Revision::V2025_06_18, &Map::new(), None);
        assert_eq!(Value::Object(params), json!({"uri": "a:b"}));
    }

    #[test]
    fn an_older_servers_result_is_complete_and_not_to_be_kept() {
        let mut result =
            map(json!({"tools": [], "resultType": "input_required", "ttlMs": 9, "cacheScope": "public"}));
        assert_eq!(complete("tools/list", Revision::V2025_11_25, &mut result), Ok(Ending::Complete));
        assert_eq!(
            Value::Object(result),
            json!({"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})
        );
    }

    #[test]
    fn a_result_type_that_nobody_knows_is_refused() {
        let newest = Revision::V2026_07_28;
        assert!(complete("tools/call", newest, &mut map(json!({"resultType": "task"}))).is_err());
        assert!(complete("tools/list", newest, &mut map(json!({"resultType": "input_required"}))).is_err());
        assert_eq!(
            complete("tools/call", newest, &mut map(json!({"resultType": "input_required"}))),
            Ok(Ending::InputRequired)
        );
        let mut kept = map(json!({"ttlMs": 9, "cacheScope": "public"}));
        assert_eq!(complete("tools/list", newest, &mut kept), Ok(Ending::Complete));
        assert_eq!(
            Value::Object(kept),
            json!({"ttlMs": 9, "cacheScope": "public", "resultType": "complete"})
        );
    }

    #[test]
    fn codes_of_older_revisions_are_translated() {
        let check =
            |revision, code, expect| assert_eq!(error(revision, RpcError::new(code, "")).code, expect);
        check(Revision::V2025_11_25, -32002, -32602);
        check(Revision::V2026_07_28, -32002, -32002);
        check(Revision::V2026_07_28, -32020, -32603);
        check(Revision::V2026_07_28, -32021, -32021);
    }

    #[test]
    fn revisions_that_the_guard_does_not_speak_are_refused() {
        let of = |version: &str| ServerInfo::of_initialize(map(json!({"protocolVersion": version})));
        assert_eq!(of("2025-06-18").unwrap().revision, Revision::V2025_06_18);
        assert_eq!(of("2024-11-05").unwrap().revision, Revision::V2025_03_26);
        assert!(of("2026-07-28").is_err());
        assert!(of("2031-01-01").unwrap_err().contains("2031-01-01"));
    }

    #[test]
    fn severities_are_ordered() {
        assert!(Severity::named("debug") < Severity::named("emergency"));
        assert_eq!(Severity::named("loud"), None);
    }
}
