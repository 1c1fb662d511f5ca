//! Anthropic's messages (<https://docs.anthropic.com/en/api/messages>).
//!
//! The protocol has no seed and no log-probabilities; a request for them is answered without.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wire::{Decoded, NO_CALL_ID, counted};
use crate::chat::{Message, Role, ToolCall, ToolSpec};
use crate::model::{Request, Response, StopReason};

/// The version that this file is written to.
pub(super) const VERSION: &str = "2023-06-01";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Map<String, Value> },
    ToolResult { tool_use_id: &'a str, content: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

/// The JSON body of a request.
///
/// System turns, wherever they stand, go into the one system prompt, in their order. Turns of the same side are
/// merged, and tools' turns belong to the user's side. Empty texts, which the API rejects, are left out. top-p is
/// sent only if it is not 1, because newer models reject it beside a temperature.
pub(super) fn encode(model: &str, fixed_sampling: bool, request: &Request) -> Result<Vec<u8>, String> {
    let sampling = request.sampling;
    let mut system = String::new();
    let mut messages: Vec<Turn<'_>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let role = match message.role {
            Role::System => {
                if !system.is_empty() {
                    system.push_str("\n\n");
                }
                system.push_str(&message.content);
                continue;
            }
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let blocks = blocks(message)?;
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => messages.push(Turn { role, content: blocks }),
        }
    }
    let body = Body {
        model,
        max_tokens: sampling.max_tokens,
        system,
        messages,
        tools: request.tools.iter().map(tool).collect(),
        temperature: (!fixed_sampling).then_some(sampling.temperature),
        top_p: (!fixed_sampling && sampling.top_p < 1.0).then_some(sampling.top_p),
    };
    serde_json::to_vec(&body).map_err(|error| error.to_string())
}

fn blocks(message: &Message) -> Result<Vec<Block<'_>>, String> {
    if message.role == Role::Tool {
        let tool_use_id = message.tool_call_id.as_deref().ok_or(NO_CALL_ID)?;
        return Ok(vec![Block::ToolResult { tool_use_id, content: &message.content }]);
    }
    let text = (!message.content.is_empty()).then_some(Block::Text { text: &message.content });
    let calls = message.tool_calls.iter().map(|call| Block::ToolUse {
        id: &call.id,
        name: &call.name,
        input: input(&call.arguments),
    });
    Ok(text.into_iter().chain(calls).collect())
}

/// The arguments as the object that the protocol wants. Text that is no JSON object (another provider's model wrote
/// it) becomes the only member of one.
fn input(arguments: &str) -> Map<String, Value> {
    serde_json::from_str(arguments).unwrap_or_else(|_| {
        let text = (!arguments.is_empty()).then(|| ("arguments".to_owned(), Value::from(arguments)));
        text.into_iter().collect()
    })
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool { name: &spec.name, description: &spec.description, input_schema: &spec.parameters }
}

#[derive(Deserialize)]
struct Answer {
    content: Vec<AnswerBlock>,
    model: Option<String>,
    stop_reason: Option<String>,
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBlock {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct AnswerUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

/// Reads an answer: its texts one after the other, and its tool calls. Tokens read from a cache or written to one
/// count as input.
pub(super) fn decode(body: &[u8]) -> Result<Decoded, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let (mut text, mut tool_calls) = (None::<String>, Vec::new());
    for block in answer.content {
        match block {
            AnswerBlock::Text { text: more } => text.get_or_insert_default().push_str(&more),
            AnswerBlock::ToolUse { id, name, input } => {
                tool_calls.push(ToolCall { id, name, arguments: input.to_string() });
            }
            AnswerBlock::Other => {}
        }
    }
    let usage = answer.usage.and_then(|usage| {
        let cached = [usage.cache_creation_input_tokens, usage.cache_read_input_tokens];
        let input = cached.into_iter().flatten().fold(usage.input_tokens?, u64::saturating_add);
        Some(counted(input, usage.output_tokens?))
    });
    let stop = match answer.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") => StopReason::EndOfTurn,
        Some("max_tokens" | "model_context_window_exceeded") => StopReason::Length,
        Some("tool_use") => StopReason::ToolCalls,
        Some("refusal") => StopReason::ContentFilter,
        _ => StopReason::Other,
    };
    // A turn that the model ends at once has no content, and a refusal may have none. Anything else without content
    // (thinking that used up all tokens, a server that is broken) is no answer, and must not be scored as one.
    let may_be_empty = matches!(stop, StopReason::EndOfTurn | StopReason::ContentFilter);
    if text.is_none() && tool_calls.is_empty() && !may_be_empty {
        return Err("it has neither text nor tool calls".to_owned());
    }
    let response = Response {
        text: text.unwrap_or_default(),
        tool_calls,
        usage: usage.unwrap_or_default(),
        stop,
        logprobs: None,
        reported_model: answer.model,
    };
    Ok(Decoded { response, usage })
}

#[cfg(test)]
#[path = "anthropic_tests.rs"]
mod tests;
