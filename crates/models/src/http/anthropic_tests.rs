//! Requests and answers as Anthropic documents them.

use serde_json::json;

use super::*;
use crate::chat::Sampling;
use crate::model::Usage;

#[track_caller]
fn check_request(request: &Request, fixed_sampling: bool, expect: Value) {
    let body = encode("claude-x", fixed_sampling, request).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expect);
}

#[track_caller]
fn check_stop(reason: Value, expect: StopReason) {
    let answer = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": reason});
    assert_eq!(decode(answer.to_string().as_bytes()).unwrap().response.stop, expect, "{reason}");
}

#[test]
fn system_turns_are_apart_and_sides_are_merged() {
    let messages = vec![
        Message::system("Be brief."),
        Message::user("Hi"),
        Message::user("there"),
        Message::system("Be kind."),
        Message::user(""),
        Message::assistant("Yes?"),
    ];
    let sampling = Sampling { temperature: 0.5, top_p: 0.9, seed: 7, max_tokens: 64 };
    let turns = json!([
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]}]);
    let request = Request::new(messages, sampling);
    check_request(
        &request,
        false,
        json!({"model": "claude-x", "max_tokens": 64, "system": "Be brief.\n\nBe kind.", "messages": turns,
            "temperature": 0.5, "top_p": 0.9}),
    );
    check_request(
        &request,
        true,
        json!({"model": "claude-x", "max_tokens": 64, "system": "Be brief.\n\nBe kind.", "messages": turns}),
    );
}

#[test]
fn tools_their_calls_and_their_results() {
    let mut calls = Message::assistant("Let me see.");
    for (id, arguments) in [("c1", r#"{"city":"Oslo"}"#), ("c2", "not JSON"), ("c3", "")] {
        calls.tool_calls.push(ToolCall {
            id: id.to_owned(),
            name: "weather".to_owned(),
            arguments: arguments.to_owned(),
        });
    }
    let mut result = Message::new(Role::Tool, "rain");
    result.tool_call_id = Some("c1".to_owned());
    let mut request = Request::new(
        vec![Message::user("Weather?"), calls, result, Message::user("And?")],
        Sampling::default(),
    );
    let schema = json!({"type": "object"});
    request.tools.push(ToolSpec {
        name: "weather".to_owned(),
        description: "The weather.".to_owned(),
        parameters: schema.clone(),
    });
    check_request(
        &request,
        false,
        json!({"model": "claude-x", "max_tokens": 256, "temperature": 0.0,
            "tools": [{"name": "weather", "description": "The weather.", "input_schema": schema}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"arguments": "not JSON"}},
                    {"type": "tool_use", "id": "c3", "name": "weather", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                    {"type": "text", "text": "And?"}]}]}),
    );
    let orphan = Request::new(vec![Message::new(Role::Tool, "rain")], Sampling::default());
    assert_eq!(encode("m", false, &orphan), Err(NO_CALL_ID.to_owned()));
}

#[test]
fn a_full_answer() {
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-0101",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "It "},
            {"type": "text", "text": "rains."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": null}});
    let usage = Usage { input_tokens: 13, output_tokens: 5 };
    let response = Response {
        text: "It rains.".to_owned(),
        tool_calls: vec![ToolCall {
            id: "c1".to_owned(),
            name: "weather".to_owned(),
            arguments: r#"{"city":"Oslo"}"#.to_owned(),
        }],
        usage,
        stop: StopReason::ToolCalls,
        logprobs: None,
        reported_model: Some("claude-x-0101".to_owned()),
    };
    assert_eq!(decode(answer.to_string().as_bytes()), Ok(Decoded { response, usage: Some(usage) }));
}

#[test]
fn stop_reasons_are_mapped() {
    check_stop(json!("end_turn"), StopReason::EndOfTurn);
    check_stop(json!("stop_sequence"), StopReason::EndOfTurn);
    check_stop(json!("max_tokens"), StopReason::Length);
    check_stop(json!("refusal"), StopReason::ContentFilter);
    check_stop(json!("pause_turn"), StopReason::Other);
    check_stop(json!(null), StopReason::Other);
}

#[test]
fn missing_usage_is_unknown_and_missing_content_is_an_error() {
    let text = br#"{"content": [{"type": "text", "text": ""}], "usage": {"input_tokens": 3}}"#;
    assert_eq!(decode(text).unwrap().usage, None);
    for body in ["", "{}", r#"{"content": "x"}"#, r#"{"content": [{"type": "text"}]}"#] {
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn nothing_is_an_answer_only_where_the_model_ended_its_turn_or_refused() {
    let answer = |content: &str, reason: &str| {
        decode(format!(r#"{{"content": [{content}], "stop_reason": "{reason}"}}"#).as_bytes())
    };
    for reason in ["end_turn", "refusal"] {
        assert_eq!(answer("", reason).unwrap().response.text, "", "{reason}");
    }
    let thinking = r#"{"type": "thinking", "thinking": "hm"}"#;
    for (content, reason) in [("", ""), ("", "pause_turn"), (thinking, "max_tokens"), ("", "tool_use")] {
        assert!(answer(content, reason).unwrap_err().contains("neither text"), "{content} {reason}");
    }
}

#[test]
fn counts_that_no_endpoint_can_mean_are_cut_to_what_records_can_hold() {
    let answer = json!({"content": [{"type": "text", "text": "x"}],
        "usage": {"input_tokens": u64::MAX, "output_tokens": u64::MAX, "cache_read_input_tokens": 7}});
    let most = (1 << 53) - 1;
    let usage = decode(answer.to_string().as_bytes()).unwrap().usage;
    assert_eq!(usage, Some(Usage { input_tokens: most, output_tokens: most }));
}
