//! OpenAI's chat completions (<https://platform.openai.com/docs/api-reference/chat>), as OpenAI and the many
//! compatible servers speak them: fields that are not needed may be missing, fields that are not known are skipped.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::{Decoded, NO_CALL_ID, counted};
use crate::chat::{Message, Role, ToolCall, ToolSpec};
use crate::model::{Request, Response, StopReason, TokenLogprob};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    logprobs: bool,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    /// Null, not missing, in a turn that only calls tools: some servers insist on the field.
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: &'a ToolSpec,
}

/// The JSON body of a request.
///
/// top-p is sent even when it is 1, because servers have defaults of their own. The seed is cut to 63 bits, the
/// range of the protocol's integers.
pub(super) fn encode(model: &str, fixed_sampling: bool, request: &Request) -> Result<Vec<u8>, String> {
    let sampling = request.sampling;
    let free = !fixed_sampling;
    let body = Body {
        model,
        messages: request.messages.iter().map(turn).collect::<Result<_, _>>()?,
        tools: request.tools.iter().map(|function| Tool { r#type: "function", function }).collect(),
        temperature: free.then_some(sampling.temperature),
        top_p: free.then_some(sampling.top_p),
        seed: free.then_some(sampling.seed & (u64::MAX >> 1)),
        max_tokens: free.then_some(sampling.max_tokens),
        max_completion_tokens: fixed_sampling.then_some(sampling.max_tokens),
        logprobs: request.logprobs,
    };
    serde_json::to_vec(&body).map_err(|error| error.to_string())
}

fn turn(message: &Message) -> Result<Turn<'_>, String> {
    if message.role == Role::Tool && message.tool_call_id.is_none() {
        return Err(NO_CALL_ID.to_owned());
    }
    let only_calls = message.content.is_empty() && !message.tool_calls.is_empty();
    Ok(Turn {
        role: message.role,
        content: (!only_calls).then_some(&message.content),
        tool_calls: message.tool_calls.iter().map(call).collect(),
        tool_call_id: message.tool_call_id.as_deref(),
    })
}

fn call(call: &ToolCall) -> Call<'_> {
    let function = Function { name: &call.name, arguments: &call.arguments };
    Call { id: &call.id, r#type: "function", function }
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
    model: Option<String>,
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: AnswerMessage,
    finish_reason: Option<String>,
    logprobs: Option<AnswerLogprobs>,
}

#[derive(Deserialize)]
struct AnswerMessage {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<AnswerCall>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of the content; parts that are neither text nor refusal have neither field.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct AnswerCall {
    id: Option<String>,
    function: AnswerFunction,
}

#[derive(Deserialize)]
struct AnswerFunction {
    name: String,
    /// A string of JSON; some servers send the object itself.
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct AnswerUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct AnswerLogprobs {
    content: Option<Vec<AnswerLogprob>>,
}

#[derive(Deserialize)]
struct AnswerLogprob {
    token: String,
    logprob: f64,
}

/// Reads an answer; its first choice counts, and a refusal counts as text. A message may be without text if it calls
/// tools or a filter has taken the text away.
pub(super) fn decode(body: &[u8], logprobs: bool) -> Result<Decoded, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let choice = answer.choices.into_iter().next().ok_or("it has no choices")?;
    let usage = answer.usage.and_then(|usage| Some(counted(usage.prompt_tokens?, usage.completion_tokens?)));
    let calls = choice.message.tool_calls.unwrap_or_default();
    let tool_calls: Vec<_> = calls.into_iter().enumerate().map(read_call).collect();
    let logprobs = choice.logprobs.filter(|_| logprobs).and_then(|logprobs| logprobs.content);
    let text = read_text(choice.message.content, choice.message.refusal);
    let stop = stop(choice.finish_reason.as_deref(), !tool_calls.is_empty());
    // Nothing at all is not an empty answer: scored as one, a broken server would look like a model that resists.
    if text.is_none() && tool_calls.is_empty() && stop != StopReason::ContentFilter {
        return Err("its message has neither text, nor a refusal, nor tool calls".to_owned());
    }
    let response = Response {
        text: text.unwrap_or_default(),
        stop,
        tool_calls,
        usage: usage.unwrap_or_default(),
        // Rounding can leave a probability a little above 1.
        logprobs: logprobs.map(|tokens| {
            tokens
                .into_iter()
                .map(|token| TokenLogprob { token: token.token, logprob: token.logprob.min(0.0) })
                .collect()
        }),
        reported_model: answer.model,
    };
    Ok(Decoded { response, usage })
}

/// `None` if there is neither text, not even an empty one, nor a refusal.
fn read_text(content: Option<Content>, refusal: Option<String>) -> Option<String> {
    let text = match content {
        None => None,
        Some(Content::Text(text)) => Some(text),
        Some(Content::Parts(parts)) => {
            let texts: Vec<String> =
                parts.into_iter().filter_map(|part| part.text.or(part.refusal)).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
    };
    match text {
        Some(text) if !text.is_empty() => Some(text),
        text => refusal.or(text),
    }
}

/// Calls without an id get one by their place, so that their results can name them.
fn read_call((index, call): (usize, AnswerCall)) -> ToolCall {
    ToolCall {
        id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{index}")),
        name: call.function.name,
        arguments: match call.function.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        },
    }
}

/// Some servers say `stop` to a turn that calls tools.
fn stop(finish_reason: Option<&str>, calls_tools: bool) -> StopReason {
    match finish_reason {
        Some("length") => StopReason::Length,
        Some("content_filter") => StopReason::ContentFilter,
        Some("tool_calls" | "function_call") => StopReason::ToolCalls,
        _ if calls_tools => StopReason::ToolCalls,
        Some("stop") => StopReason::EndOfTurn,
        _ => StopReason::Other,
    }
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
