//! What a request of the stateless revision says about itself and its client in `_meta`.

use serde_json::{Map, Value, json};

use crate::wire::{Revision, RpcError};

pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) use crate::wire::LOG_LEVEL;
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
pub(super) const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// How bad something is that a server writes of, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "notice" => Self::Notice,
            "warning" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            "alert" => Self::Alert,
            "emergency" => Self::Emergency,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// Whether a client that asked for this level wants to see a message of the level named `name`. One of a level that nobody
    /// knows is not worth less than any other.
    pub(super) fn admits(self, name: Option<&str>) -> bool {
        name.and_then(Self::of).is_none_or(|level| level >= self)
    }
}

/// The version that a request of the stateless revision names. Only such a request has one.
pub(super) fn version(params: &Map<String, Value>) -> Option<&Value> {
    params.get("_meta")?.as_object()?.get(VERSION)
}

/// What `_meta` said.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) revision: Revision,
    pub(super) capabilities: Map<String, Value>,
    pub(super) client: Option<Value>,
    pub(super) log_level: Option<Level>,
    pub(super) progress: Option<Value>,
}

impl Metadata {
    /// Takes what is about the client out of `_meta`.
    ///
    /// # Errors
    /// If something is missing, is not what it should be, or names a revision that is not spoken without a session.
    pub(super) fn take(params: &mut Map<String, Value>) -> Result<Self, RpcError> {
        let invalid = |what: String| RpcError::new(RpcError::INVALID_PARAMS, what);
        let Some(Value::Object(meta)) = params.get_mut("_meta") else {
            return Err(invalid(format!("a request needs params._meta with {VERSION} and {CAPABILITIES}")));
        };
        let revision = match meta.remove(VERSION) {
            Some(Value::String(name)) => {
                Revision::of(&name).filter(|found| found.is_stateless()).ok_or_else(|| unsupported(&name))?
            }
            _ => return Err(invalid(format!("params._meta needs {VERSION}"))),
        };
        let Some(Value::Object(capabilities)) = meta.remove(CAPABILITIES) else {
            return Err(invalid(format!("params._meta needs {CAPABILITIES}, an object")));
        };
        let client = match meta.remove(CLIENT) {
            None => None,
            Some(client @ Value::Object(_)) => Some(client),
            Some(_) => return Err(invalid(format!("{CLIENT} is an object"))),
        };
        let log_level = match meta.get(LOG_LEVEL) {
            None => None,
            Some(level) => Some(
                level
                    .as_str()
                    .and_then(Level::of)
                    .ok_or_else(|| invalid(format!("{LOG_LEVEL} is one of debug to emergency")))?,
            ),
        };
        let progress = progress_token(meta)?;
        if meta.is_empty() {
            params.remove("_meta");
        }
        Ok(Self { revision, capabilities, client, log_level, progress })
    }
}

/// The progress token, which is a string or an integer.
pub(super) fn progress_token(meta: &Map<String, Value>) -> Result<Option<Value>, RpcError> {
    match meta.get("progressToken") {
        None => Ok(None),
        Some(token) if token.is_string() || token.is_i64() || token.is_u64() => Ok(Some(token.clone())),
        Some(_) => Err(RpcError::new(RpcError::INVALID_PARAMS, "progressToken is a string or an integer")),
    }
}

/// The error about a revision that is not spoken.
pub(super) fn unsupported(requested: &str) -> RpcError {
    RpcError {
        data: Some(json!({"supported": Revision::ALL.map(Revision::name), "requested": requested})),
        ..RpcError::new(
            RpcError::UNSUPPORTED_REVISION,
            "this protocol version is not supported here without a session; data.supported has those that are, the newest \
             first",
        )
    }
}
