//! What a client can be asked.

use serde_json::{Map, Value, json};

use super::Caller;
use crate::wire::RpcError;

/// Whether the caller's client declared that it can answer this question.
///
/// # Errors
/// What the server that asks is told: the client lacks the capability, or it is not something that clients are asked.
pub(super) fn can_answer(caller: &Caller, method: &str, params: &Map<String, Value>) -> Result<(), RpcError> {
    let capability = |name: &str| caller.capabilities.get(name).and_then(Value::as_object);
    match method {
        "roots/list" => capability("roots").map(|_| ()).ok_or_else(|| missing("roots", None)),
        "sampling/createMessage" => {
            let sampling = capability("sampling").ok_or_else(|| missing("sampling", None))?;
            let uses_tools = params.contains_key("tools") || params.contains_key("toolChoice");
            if uses_tools && !sampling.contains_key("tools") {
                return Err(missing("sampling", Some("tools")));
            }
            Ok(())
        }
        "elicitation/create" => {
            let elicitation = capability("elicitation").ok_or_else(|| missing("elicitation", None))?;
            match params.get("mode").and_then(Value::as_str).unwrap_or("form") {
                // Nothing named means forms, as it was before there were other modes.
                "form" if elicitation.contains_key("form") || !elicitation.contains_key("url") => Ok(()),
                "form" => Err(missing("elicitation", Some("form"))),
                "url" if elicitation.contains_key("url") => Ok(()),
                "url" => Err(missing("elicitation", Some("url"))),
                _ => {
                    Err(RpcError::new(RpcError::INVALID_PARAMS, "an elicitation mode that MCP does not know"))
                }
            }
        }
        _ => Err(RpcError::new(
            RpcError::METHOD_NOT_FOUND,
            "a client is asked elicitation/create, sampling/createMessage or roots/list only",
        )),
    }
}

/// Whether the client can be asked anything.
pub(super) fn can_answer_anything(capabilities: &Map<String, Value>) -> bool {
    ["elicitation", "sampling", "roots"].iter().any(|name| capabilities.contains_key(*name))
}

fn missing(name: &str, part: Option<&str>) -> RpcError {
    let inner = part.map_or_else(|| json!({}), |part| json!({ part: {} }));
    RpcError {
        data: Some(json!({"requiredCapabilities": {name: inner}})),
        ..RpcError::new(
            RpcError::MISSING_CAPABILITY,
            format!(
                "the client did not declare the capability {name}{}",
                part.map(|part| format!(".{part}")).unwrap_or_default()
            ),
        )
    }
}
