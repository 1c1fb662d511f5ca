//! Requests as OpenAI documents them, and answers as servers write them.

use serde_json::json;

use super::*;
use crate::chat::Sampling;
use crate::model::Usage;

#[track_caller]
fn check_request(request: &Request, fixed_sampling: bool, expect: Value) {
    let body = encode("gpt-x", fixed_sampling, request).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expect);
}

#[track_caller]
fn check_answer(answer: Value, expect: Response, known: bool) {
    let usage = known.then_some(expect.usage);
    assert_eq!(decode(answer.to_string().as_bytes(), true), Ok(Decoded { response: expect, usage }));
}

fn says(text: &str, stop: StopReason) -> Response {
    Response {
        text: text.to_owned(),
        tool_calls: Vec::new(),
        usage: Usage::default(),
        stop,
        logprobs: None,
        reported_model: None,
    }
}

fn weather_call(arguments: &str) -> ToolCall {
    ToolCall { id: "c1".to_owned(), name: "weather".to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn a_plain_request() {
    let sampling = Sampling { temperature: 0.7, top_p: 1.0, seed: u64::MAX, max_tokens: 64 };
    let request = Request::new(vec![Message::system("Be brief."), Message::user("Hi\n\"you\"")], sampling);
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n\"you\""}]);
    check_request(
        &request,
        false,
        json!({"model": "gpt-x", "messages": messages, "temperature": 0.7, "top_p": 1.0,
            "seed": i64::MAX, "max_tokens": 64}),
    );
    check_request(
        &request,
        true,
        json!({"model": "gpt-x", "messages": messages, "max_completion_tokens": 64}),
    );
}

#[test]
fn a_request_with_tools_and_their_results() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let mut calls = Message::assistant("");
    calls.tool_calls.push(weather_call("{\"city\":"));
    let mut result = Message::new(Role::Tool, "rain");
    result.tool_call_id = Some("c1".to_owned());
    let mut request = Request::new(vec![calls, result], Sampling::default());
    request.tools.push(ToolSpec {
        name: "weather".to_owned(),
        description: "The weather.".to_owned(),
        parameters: parameters.clone(),
    });
    request.logprobs = true;
    check_request(
        &request,
        false,
        json!({"model": "gpt-x", "temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": 256, "logprobs": true,
            "messages": [
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":"}}]},
                {"role": "tool", "content": "rain", "tool_call_id": "c1"}],
            "tools": [{"type": "function", "function":
                {"name": "weather", "description": "The weather.", "parameters": parameters}}]}),
    );
    let orphan = Request::new(vec![Message::new(Role::Tool, "rain")], Sampling::default());
    assert_eq!(encode("m", false, &orphan), Err(NO_CALL_ID.to_owned()));
}

#[test]
fn a_full_answer() {
    check_answer(
        json!({"id": "x", "object": "chat.completion", "model": "gpt-x-0101", "system_fingerprint": null,
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hello", "refusal": null},
                "logprobs": {"content": [{"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []},
                    {"token": "lo", "logprob": 1e-9}]}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}),
        Response {
            usage: Usage { input_tokens: 9, output_tokens: 2 },
            logprobs: Some(vec![
                TokenLogprob { token: "Hel".to_owned(), logprob: -0.5 },
                TokenLogprob { token: "lo".to_owned(), logprob: 0.0 },
            ]),
            reported_model: Some("gpt-x-0101".to_owned()),
            ..says("Hello", StopReason::EndOfTurn)
        },
        true,
    );
}

#[test]
fn content_is_null_text_or_parts() {
    let answer = |message: Value| json!({"choices": [{"message": message, "finish_reason": "stop"}]});
    check_answer(answer(json!({"content": ""})), says("", StopReason::EndOfTurn), false);
    check_answer(
        answer(json!({"content": null, "refusal": "No."})),
        says("No.", StopReason::EndOfTurn),
        false,
    );
    let parts = json!([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]);
    check_answer(answer(json!({"content": parts})), says("ab", StopReason::EndOfTurn), false);
}

#[test]
fn nothing_is_no_answer_unless_a_filter_took_it_away() {
    let answer =
        |message: Value, reason: &str| json!({"choices": [{"message": message, "finish_reason": reason}]});
    for message in [
        json!({}),
        json!({"content": null}),
        json!({"content": []}),
        json!({"content": null, "tool_calls": []}),
    ] {
        for reason in ["stop", "length"] {
            let body = answer(message.clone(), reason).to_string();
            let problem = decode(body.as_bytes(), false).unwrap_err();
            assert!(problem.contains("neither text"), "{body}: {problem}");
        }
    }
    check_answer(
        answer(json!({"content": null}), "content_filter"),
        says("", StopReason::ContentFilter),
        false,
    );
}

#[test]
fn counts_that_no_endpoint_can_mean_are_cut_to_what_records_can_hold() {
    let answer = json!({"choices": [{"message": {"content": "x"}}],
        "usage": {"prompt_tokens": u64::MAX, "completion_tokens": 3}});
    let usage = decode(answer.to_string().as_bytes(), false).unwrap().usage.unwrap();
    assert_eq!(usage, Usage { input_tokens: (1 << 53) - 1, output_tokens: 3 });
}

#[test]
fn tool_calls_with_text_or_object_arguments_and_missing_ids() {
    let answer = json!({"choices": [{"finish_reason": "stop", "message": {"content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": oops"}},
        {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]}}]});
    let second = ToolCall { id: "call_1".to_owned(), ..weather_call("{\"city\":\"Oslo\"}") };
    check_answer(
        answer,
        Response {
            tool_calls: vec![weather_call("{\"city\": oops"), second],
            ..says("", StopReason::ToolCalls)
        },
        false,
    );
}

#[test]
fn finish_reasons_are_mapped() {
    for (reason, expect) in [
        (json!("length"), StopReason::Length),
        (json!("content_filter"), StopReason::ContentFilter),
        (json!("tool_calls"), StopReason::ToolCalls),
        (json!("weird"), StopReason::Other),
        (json!(null), StopReason::Other),
    ] {
        let answer = json!({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]});
        check_answer(answer, says("x", expect), false);
    }
}

#[test]
fn logprobs_that_nobody_asked_for_are_dropped() {
    let answer = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop",
        "logprobs": {"content": [{"token": "x", "logprob": -1.0}]}}]});
    assert_eq!(decode(answer.to_string().as_bytes(), false).unwrap().response.logprobs, None);
}

#[test]
fn what_is_no_chat_completion_is_an_error() {
    for body in
        ["", "null", "[]", "{}", r#"{"choices": []}"#, r#"{"choices": [{}]}"#, "{\"choices\": [{\"message\":"]
    {
        assert!(decode(body.as_bytes(), false).is_err(), "{body}");
    }
}
