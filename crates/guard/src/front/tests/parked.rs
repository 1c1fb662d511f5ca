//! Questions to clients of the stateless revision: calls that are parked and go on.

use super::*;
use crate::front::Limits;
use crate::front::auth::{Settings as Auth, StaticToken};
use crate::front::http::Settings;

fn call(name: &str, extra: Value) -> Ask {
    let mut params = map(json!({"name": name}));
    params.extend(map(extra));
    Ask::modern("tools/call", Value::Object(params))
}

fn retry(name: &str, state: &Value, answers: Value) -> Ask {
    call(name, json!({"requestState": state, "inputResponses": answers}))
}

async fn ask(served: &Served, ask: Ask) -> Value {
    ask.json(served).await.1
}

#[tokio::test]
async fn a_question_parks_the_call_and_its_answer_goes_on_with_it() {
    let served = served().await;
    let (status, first) = call("ask", json!({})).json(&served).await;
    assert_eq!((status, &first["result"]["resultType"]), (200, &json!("input_required")));
    assert_eq!(
        first["result"]["inputRequests"],
        json!({"question-1": {"method": "elicitation/create", "params": form("who?")}})
    );
    let state = &first["result"]["requestState"];
    assert_eq!(state.as_str().unwrap().len(), 22);
    let last =
        ask(&served, retry("ask", state, json!({"question-1": {"action": "accept"}, "more": {}}))).await;
    assert_eq!(last["result"]["content"][0]["text"], "{\"action\":\"accept\"}");
    // It was one call.
    assert_eq!(served.fake.requests.lock().unwrap().len(), 1);
    let again = ask(&served, retry("ask", state, json!({"question-1": {"action": "accept"}}))).await;
    assert_eq!(again["error"]["code"], -32602);
}

#[tokio::test]
async fn a_question_keeps_the_name_that_its_server_gave_it_if_that_is_short_plain_and_not_taken() {
    let served = served().await;
    let long = "n".repeat(65);
    for (names, expected) in [
        (json!(["who", "where"]), ["where", "who"]),
        (json!(["who", "who"]), ["question-1", "who"]),
        (json!(["question-1", null]), ["question-1", "question-2"]),
        (json!(["", long]), ["question-1", "question-2"]),
        (json!(["two words", "wh\u{200b}o"]), ["question-1", "question-2"]),
    ] {
        let arguments = json!({"arguments": {"names": names}});
        let first = ask(&served, call("ask-by-name", arguments.clone())).await;
        let requests = first["result"]["inputRequests"].as_object().unwrap();
        let mut kept: Vec<&String> = requests.keys().collect();
        kept.sort_unstable();
        assert_eq!(kept, expected, "{names}");
        let [one, other] = expected;
        let answers = json!({one: {"action": one}, other: {"action": other}});
        let state = &first["result"]["requestState"];
        let more = json!({"arguments": {"names": names}, "requestState": state, "inputResponses": answers});
        let last = ask(&served, call("ask-by-name", more)).await;
        let text = last["result"]["content"][0]["text"].as_str().unwrap();
        assert!(expected.iter().all(|name| text.contains(name)), "{text}");
    }
}

#[tokio::test]
async fn several_questions_are_asked_at_once_and_what_is_missing_again() {
    let served = served().await;
    let first = ask(&served, call("ask-two", json!({}))).await;
    let requests = first["result"]["inputRequests"].as_object().unwrap();
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["question-1", "question-2"]);
    assert_eq!(requests["question-2"], json!({"method": "roots/list", "params": {}}));
    let state = &first["result"]["requestState"];
    let second = ask(&served, retry("ask-two", state, json!({"question-2": {"roots": []}}))).await;
    assert_eq!(
        second["result"]["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["question-1"]
    );
    let next = &second["result"]["requestState"];
    assert_ne!(state, next);
    let third = ask(&served, retry("ask-two", next, json!({}))).await;
    assert_eq!(third["result"]["resultType"], "input_required");
    let last =
        retry("ask-two", &third["result"]["requestState"], json!({"question-1": {"action": "cancel"}}));
    assert_eq!(
        ask(&served, last).await["result"]["content"][0]["text"],
        "[{\"action\":\"cancel\"},{\"roots\":[]}]"
    );
}

#[tokio::test]
async fn a_state_goes_with_its_own_request_only() {
    let served = served().await;
    let first = ask(&served, call("ask", json!({"arguments": {"to": "alice", "n": 1}}))).await;
    let state = first["result"]["requestState"].clone();
    let answers = json!({"question-1": {"action": "accept"}});
    let prompt = Ask::modern(
        "prompts/get",
        json!({"name": "ask", "arguments": {"to": "alice", "n": 1}, "requestState": state, "inputResponses": answers}),
    );
    let complete = Ask::modern("completion/complete", json!({"requestState": state}));
    let with = |arguments: Value| {
        call("ask", json!({"arguments": arguments, "requestState": state, "inputResponses": answers}))
    };
    for wrong in [
        with(json!({"to": "mallory", "n": 1})),
        with(json!({"to": "alice"})),
        with(json!({"to": "alice", "n": "1"})),
        retry("ask", &state, answers.clone()),
        retry("ask-two", &state, answers.clone()),
        prompt,
        complete,
        with(json!({"to": "alice", "n": 1})).with("ostrom-run", "run-of-user"),
        retry("ask", &json!("AAAAAAAAAAAAAAAAAAAAAA"), answers.clone()),
        retry("ask", &json!(""), answers.clone()),
        retry("ask", &json!(7), answers.clone()),
    ] {
        let body = ask(&served, wrong.clone()).await;
        assert_eq!(body["error"]["code"], -32602, "{}", String::from_utf8_lossy(&wrong.body));
    }
    let not_answers = call(
        "ask",
        json!({"arguments": {"to": "alice", "n": 1}, "requestState": state, "inputResponses": {"question-1": "yes"}}),
    );
    assert_eq!(ask(&served, not_answers).await["error"]["code"], -32602);
    // None of it has used the state up, and the order of members means nothing.
    let right = call(
        "ask",
        json!({"arguments": {"n": 1, "to": "alice"}, "requestState": state, "inputResponses": answers, "_meta": {"progressToken": 5}}),
    );
    let mut reply = right.send(&served).await;
    assert_eq!(reply.json().await["result"]["resultType"], "complete");
}

#[tokio::test]
async fn another_principal_cannot_go_on() {
    let token = |principal: &str, token: &str| {
        use sha2::Digest as _;
        let sha256 = sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        StaticToken { principal: principal.into(), sha256 }
    };
    let auth = Auth { tokens: vec![token("alice", "a-token"), token("bob", "b-token")], oauth: None };
    let served = serve(Settings { auth, ..Settings::default() }).await;
    let alice = |ask: Ask| ask.with("authorization", "Bearer a-token");
    let first = ask(&served, alice(call("ask", json!({})))).await;
    let again = retry("ask", &first["result"]["requestState"], json!({"question-1": {"action": "accept"}}));
    assert_eq!(
        ask(&served, again.clone().with("authorization", "Bearer b-token")).await["error"]["code"],
        -32602
    );
    assert_eq!(ask(&served, alice(again)).await["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_state_expires_and_its_call_is_cancelled() {
    let served =
        serve(Settings { limits: Limits { parked_seconds: 0, ..Limits::default() }, ..Settings::default() })
            .await;
    let first = ask(&served, call("ask", json!({}))).await;
    served.fake.dropped.notified().await;
    let late = retry("ask", &first["result"]["requestState"], json!({"question-1": {"action": "accept"}}));
    assert_eq!(ask(&served, late).await["error"]["code"], -32602);
}

#[tokio::test]
async fn parked_calls_are_bounded_and_so_is_how_often_one_asks() {
    let limits = Limits { parked_per_principal: 2, rounds: 3, ..Limits::default() };
    let served = serve(Settings { limits, ..Settings::default() }).await;
    let first = ask(&served, call("ask-for-ever", json!({}))).await;
    assert_eq!(ask(&served, call("ask", json!({}))).await["result"]["resultType"], "input_required");
    // Each was dispatched before it asked, and is not told as if it had not been.
    let may_have_run = |answer: &Value| {
        assert_eq!(answer["error"]["code"], -32603);
        assert!(answer["error"]["message"].as_str().unwrap().contains("may have run"), "{answer}");
    };
    may_have_run(&ask(&served, call("ask", json!({}))).await);
    let mut state = first["result"]["requestState"].clone();
    for round in 1..=2 {
        let next = ask(
            &served,
            retry("ask-for-ever", &state, json!({format!("question-{round}"): {"action": "accept"}})),
        )
        .await;
        state = next["result"]["requestState"].clone();
        assert!(state.is_string(), "{next}");
    }
    let over = ask(&served, retry("ask-for-ever", &state, json!({"question-3": {"action": "accept"}}))).await;
    may_have_run(&over);
}

#[tokio::test]
async fn a_parked_call_goes_on_working_and_keeps_its_result() {
    let served = served().await;
    let first = ask(&served, call("ask-then-give-up", json!({}))).await;
    served.fake.release.notify_one();
    let last = retry("ask-then-give-up", &first["result"]["requestState"], json!({}));
    let body = ask(&served, last).await;
    assert_eq!(body["result"]["content"][0]["text"], "gave up");
}

#[tokio::test]
async fn progress_after_an_answer_carries_the_token_of_the_answer() {
    let served = served().await;
    let first = ask(&served, call("ask", json!({"_meta": {"progressToken": "first"}}))).await;
    let params = json!({"name": "ask", "requestState": first["result"]["requestState"], "inputResponses": {"question-1": {}}, "_meta": {"progressToken": "second"}});
    let mut reply = Ask::modern("tools/call", params).send(&served).await;
    assert_eq!(reply.event().await.unwrap()["params"]["progressToken"], "second");
    assert_eq!(reply.event().await.unwrap()["result"]["resultType"], "complete");
}

#[tokio::test]
async fn only_some_methods_may_ask_and_answers_without_a_state_are_nothing() {
    let served = served().await;
    let complete = ask(&served, Ask::modern("completion/complete", json!({}))).await;
    assert_eq!(complete["error"]["code"], -32600);
    let prompt = ask(&served, Ask::modern("prompts/get", json!({"name": "ask"}))).await;
    assert_eq!(prompt["result"]["resultType"], "input_required");
    let eager =
        ask(&served, call("ask", json!({"inputResponses": {"question-1": {"action": "accept"}}}))).await;
    assert_eq!(eager["result"]["resultType"], "input_required");
    let requests = served.fake.requests.lock().unwrap();
    assert!(requests.iter().all(|request| !request.params.contains_key("inputResponses")));
}
