//! What the HTTP providers do when the endpoint misbehaves. Time-outs here are inputs; nothing measures time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

mod http_mock;

use std::time::Duration;

use http_mock::{COST, GOOD, KEY, Mock, Reply, config, good, hello, request, whole};
use ostrom_models::http::{ConfigError, HttpConfig, HttpModel, Protocol, Spent};
use ostrom_models::{Model, ModelError, ModelIdentity, Response, Usage};

async fn ask(config: HttpConfig) -> Result<Response, ModelError> {
    HttpModel::new(config).unwrap().generate(request()).await
}

/// One question to a server with this script: the answer, and how many requests it took.
async fn check(script: impl IntoIterator<Item = Reply>) -> (Result<Response, ModelError>, usize) {
    let mock = Mock::start(script).await;
    let result = ask(config(&mock)).await;
    if let Err(error) = &result {
        assert_hides_key(error);
    }
    (result, mock.replies())
}

#[track_caller]
fn assert_hides_key(shown: &(impl std::fmt::Debug + ?Sized)) {
    assert!(!format!("{shown:?} {shown:#?}").contains("very-secret"), "{shown:?}");
}

#[tokio::test]
async fn a_good_answer_to_a_request_as_documented() {
    let mock = Mock::start([good()]).await;
    let model = HttpModel::new(config(&mock)).unwrap();
    assert_eq!(model.generate(request()).await, Ok(hello()));
    assert_eq!(model.spent(), Spent { requests: 1, tokens: COST, cost_usd: None });
    let url = mock.url();
    assert_eq!(
        model.identity(),
        ModelIdentity::Endpoint { protocol: "openai".to_owned(), url, model: "m".to_owned() }
    );
    let received = mock.received().remove(0);
    assert!(received.head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{}", received.head);
    for line in [
        "content-type: application/json",
        &format!("user-agent: ostrom/{}", env!("CARGO_PKG_VERSION")),
        &format!("authorization: bearer {KEY}"),
    ] {
        assert!(received.head.lines().any(|header| header == line), "{line} is not in {}", received.head);
    }
    assert!(received.body.contains(r#"{"role":"user","content":"Hi"}"#), "{}", received.body);
}

#[tokio::test]
async fn anthropic_has_its_own_headers() {
    let answer = r#"{"model": "m-1", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 2}}"#;
    let mock = Mock::start([Reply::json(529, "{}"), Reply::json(200, answer)]).await;
    assert_eq!(ask(HttpConfig { protocol: Protocol::Anthropic, ..config(&mock) }).await, Ok(hello()));
    let received = mock.received().remove(0);
    assert!(received.head.starts_with("post /v1/messages http/1.1\r\n"), "{}", received.head);
    for line in [&format!("x-api-key: {KEY}"), "anthropic-version: 2023-06-01"] {
        assert!(received.head.lines().any(|header| header == line), "{line} is not in {}", received.head);
    }
    assert!(!received.head.contains("authorization"));
}

#[tokio::test]
async fn a_failure_is_tried_again_with_the_same_body() {
    let mock = Mock::start([Reply::json(500, "oops"), good()]).await;
    assert_eq!(ask(config(&mock)).await, Ok(hello()));
    let received = mock.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0], received[1]);
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again_after_the_wait_that_it_names() {
    let busy = Reply::with_header(429, "Retry-After: 1", r#"{"error": {"message": "slow down"}}"#);
    assert_eq!(check([busy, good()]).await, (Ok(hello()), 2));
}

#[tokio::test]
async fn failures_without_end_are_given_up() {
    let last = "HTTP 503 (overloaded)".to_owned();
    let result = check([Reply::json(503, r#"{"error": {"message": "overloaded"}}"#)]).await;
    assert_eq!(result, (Err(ModelError::Unavailable { attempts: 3, last }), 3));
}

#[tokio::test]
async fn a_wrong_key_is_fatal_and_not_tried_again() {
    for status in [401, 403] {
        let (result, requests) = check([Reply::json(status, r#"{"error": "bad key"}"#)]).await;
        let error = result.unwrap_err();
        assert_eq!(error, ModelError::Refused { status, message: "bad key".to_owned() });
        assert!(error.is_fatal());
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_wrong_request_is_not_tried_again() {
    for status in [400, 404, 422] {
        let (result, requests) = check([Reply::json(status, "no such model")]).await;
        assert_eq!(result, Err(ModelError::Rejected { status, message: "no such model".to_owned() }));
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    for body in ["<html>", "{}", "\u{0}\u{1b}[2J", r#"{"choices": 7}"#] {
        let (result, requests) = check([Reply::json(200, body)]).await;
        assert!(matches!(result, Err(ModelError::BadAnswer { .. })), "{body:?}: {result:?}");
        assert_eq!(requests, 1);
    }
    let (result, _) = check([Reply::json(200, r#"{"error": {"message": "upstream is gone"}}"#)]).await;
    assert!(result.unwrap_err().to_string().contains("upstream is gone"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_tried_again() {
    let cut = whole(200, "X-Nothing: 0", GOOD);
    let cut = Reply::SendAndClose(cut[..cut.len() - 20].to_owned());
    assert_eq!(check([cut.clone(), good()]).await, (Ok(hello()), 2));
    let (result, requests) = check([cut]).await;
    assert!(matches!(result, Err(ModelError::Unavailable { attempts: 3, .. })), "{result:?}");
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn a_connection_that_is_reset_is_tried_again() {
    assert_eq!(check([Reply::Reset, good()]).await, (Ok(hello()), 2));
    let (result, _) = check([Reply::Reset]).await;
    assert!(matches!(result, Err(ModelError::Unavailable { attempts: 3, .. })), "{result:?}");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_costs_no_tokens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let mock = Mock::start([good()]).await;
    let config = HttpConfig { base_url: url.parse().unwrap(), ..config(&mock) };
    let model = HttpModel::new(config).unwrap();
    let error = model.generate(request()).await.unwrap_err();
    assert!(error.to_string().contains("could not connect: Connection refused"), "{error}");
    assert_eq!(model.spent(), Spent { requests: 3, tokens: Usage::default(), cost_usd: None });
}

#[tokio::test]
async fn silence_and_streams_without_end_time_out() {
    let limit = Duration::from_millis(150);
    for reply in [Reply::Hang, Reply::Endless(200)] {
        let mock = Mock::start([reply]).await;
        let model = HttpModel::new(HttpConfig { timeout: limit, ..config(&mock) }).unwrap();
        assert_eq!(model.generate(request()).await, Err(ModelError::TimedOut { limit }));
        assert_eq!(mock.replies(), 1, "a time-out is not tried again");
        assert!(model.spent().tokens.output_tokens == 10, "what may have been generated counts");
    }
}

#[tokio::test]
async fn an_error_whose_body_has_no_end_is_still_that_error() {
    let mock = Mock::start([Reply::Endless(401)]).await;
    let result = ask(HttpConfig { timeout: Duration::from_millis(150), ..config(&mock) }).await;
    assert_eq!(result, Err(ModelError::Refused { status: 401, message: String::new() }));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_discarded() {
    let mock = Mock::start([Reply::json(200, &" ".repeat(100_000))]).await;
    let result = ask(HttpConfig { max_answer_bytes: 10_000, ..config(&mock) }).await;
    assert_eq!(result, Err(ModelError::TooLarge { limit: 10_000 }));
    // Nor does one without a length or an end get further than the limit.
    let mock = Mock::start([Reply::Endless(200)]).await;
    let result = ask(HttpConfig { max_answer_bytes: 50, ..config(&mock) }).await;
    assert_eq!(result, Err(ModelError::TooLarge { limit: 50 }));
    // An answer of exactly the limit is whole.
    let mock = Mock::start([good()]).await;
    assert_eq!(ask(HttpConfig { max_answer_bytes: GOOD.len(), ..config(&mock) }).await, Ok(hello()));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Mock::start([good()]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/chat/completions", elsewhere.url());
        let (result, _) = check([Reply::with_header(status, &location, "")]).await;
        let error = result.unwrap_err();
        assert!(matches!(error, ModelError::Rejected { status: got, .. } if got == status), "{error:?}");
        assert!(error.to_string().contains(&elsewhere.url()), "{error}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn the_key_shows_nowhere() {
    let quoting = format!("{{\"error\": {{\"message\": \"bad key {KEY}, {}\"}}}}", "x".repeat(500));
    for status in [200, 400, 401, 500] {
        let (result, _) = check([Reply::json(status, &quoting)]).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains("bad key ***, xxx"), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
    let (result, _) = check([Reply::with_header(307, &format!("Location: /?key={KEY}"), "")]).await;
    assert!(result.unwrap_err().to_string().contains("/?key=***"));

    let mock = Mock::start([Reply::json(200, &GOOD.replace("Hello", KEY))]).await;
    let model = HttpModel::new(config(&mock)).unwrap();
    assert_eq!(model.generate(request()).await.unwrap().text, "***");
    assert_hides_key(&model);
    assert_hides_key(&config(&mock));
    assert_hides_key(&model.identity());
}

#[tokio::test]
async fn https_to_a_server_without_tls_is_unavailable() {
    let mock = Mock::start([Reply::Reset]).await;
    let url = mock.url().replace("http:", "https:");
    match HttpModel::new(HttpConfig { base_url: url.parse().unwrap(), ..config(&mock) }) {
        Ok(model) => {
            let error = model.generate(request()).await.unwrap_err();
            assert!(matches!(error, ModelError::Unavailable { attempts: 3, .. }), "{error:?}");
            assert_eq!(mock.replies(), 3);
            assert_eq!(model.spent().tokens, Usage::default(), "nothing was sent before the handshake");
        }
        // A machine without root certificates says so.
        Err(error) => assert!(matches!(error, ConfigError::Tls { .. }), "{error}"),
    }
}
