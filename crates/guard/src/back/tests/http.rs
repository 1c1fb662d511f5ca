//! HTTP servers of both eras, written with axum, and every way in which they go wrong.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Url;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::back::{Auth, Fault, Secret};
use crate::wire::{Revision, RpcError};

/// Serves until the test ends.
pub(super) async fn serve<F, R>(handler: F) -> Url
where
    F: Fn(Method, axum::http::Uri, HeaderMap, Bytes) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let app = Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Url::parse(&url).unwrap()
}

pub(super) fn reply(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
}

pub(super) fn json_reply(status: u16, value: &Value) -> Response {
    reply(status, "application/json", value.to_string())
}

fn ok(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn says(id: &Value, text: impl Into<String>) -> Value {
    ok(id, json!({"resultType": "complete", "content": [{"type": "text", "text": text.into()}]}))
}

fn failed(id: &Value, code: i64, data: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no", "data": data}})
}

fn event(value: &Value) -> String {
    format!("event: message\ndata: {value}\n\n")
}

fn events(values: &[Value]) -> Response {
    reply(200, "text/event-stream; charset=utf-8", values.iter().map(event).collect::<String>())
}

/// A stream that stays open for as long as the client and the sender do.
fn open_stream(first: String, rest: UnboundedReceiver<String>, guard: impl Send + 'static) -> Response {
    let rest = stream::unfold((rest, guard), |(mut rest, guard)| async move {
        rest.recv().await.map(|text| (text, (rest, guard)))
    });
    let all = stream::once(async move { first }).chain(rest);
    let body = Body::from_stream(all.map(|text| Ok::<_, Infallible>(Bytes::from(text))));
    reply(200, "text/event-stream", body)
}

/// A stream, and what it waits for.
type Waiting = (Value, UnboundedSender<String>);

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn connect(url: Url, settings: Settings) -> Result<Server, BackError> {
    Server::start("upstream", Connection::Http { url, auth: Auth::None, ca: None }, settings).await
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[derive(Clone, Default)]
pub(super) struct Modern {
    closed: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    listening: Arc<Mutex<Vec<Waiting>>>,
    /// Streams that are only there to stay open.
    kept: Arc<Mutex<Vec<UnboundedSender<String>>>>,
}

impl Modern {
    pub(super) async fn answer(self, headers: HeaderMap, body: Bytes) -> Response {
        let message: Value = serde_json::from_slice(&body).unwrap();
        let id = message["id"].clone();
        let method = message["method"].as_str().unwrap();
        let params = &message["params"];
        let meta = &params["_meta"];
        if headers.get("mcp-protocol-version").is_none_or(|v| v != "2026-07-28")
            || headers.get("mcp-method").is_none_or(|v| v != method)
            || meta["io.modelcontextprotocol/protocolVersion"] != "2026-07-28"
        {
            return json_reply(400, &failed(&id, -32020, json!(null)));
        }
        match method {
            "server/discover" => json_reply(
                200,
                &ok(
                    &id,
                    json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}}}),
                ),
            ),
            "tools/list" => json_reply(
                200,
                &ok(
                    &id,
                    json!({"resultType": "complete", "ttlMs": 5, "cacheScope": "private", "tools": [
                {"name": "region", "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}},
                {"name": "bad", "inputSchema": {"type": "object", "properties": {"n": {"type": "number", "x-mcp-header": "N"}}}}]}),
                ),
            ),
            "subscriptions/listen" => {
                let (more, rest) = unbounded_channel();
                let sub = json!({"io.modelcontextprotocol/subscriptionId": id});
                let acknowledged = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": {"_meta": sub, "notifications": params["notifications"]}});
                self.listening.lock().unwrap().push((params["notifications"].clone(), more));
                open_stream(event(&acknowledged), rest, ())
            }
            "tools/call" => self.call(&headers, &id, params),
            _ => json_reply(404, &failed(&id, -32601, json!(null))),
        }
    }

    fn call(self, headers: &HeaderMap, id: &Value, params: &Value) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let name = params["name"].as_str().unwrap();
        assert_eq!(headers["mcp-name"], name);
        let token = &params["_meta"]["progressToken"];
        let progress = |token: &Value| {
            json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": token, "progress": 1}})
        };
        match name {
            "echo" => json_reply(200, &says(id, params.to_string())),
            "stream" => {
                let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}});
                let question =
                    json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}});
                let other = says(&json!(id.as_i64().unwrap() + 1), "for another");
                events(&[
                    progress(token),
                    progress(&json!(id.as_i64().unwrap() + 1)),
                    log,
                    question,
                    other,
                    json!([1]),
                    says(id, "done"),
                ])
            }
            "other-id" => json_reply(200, &says(&json!(id.as_i64().unwrap() + 1), "for another")),
            "html" => reply(200, "text/html", "<html>"),
            "huge" => reply(200, "application/json", vec![b' '; 200_000]),
            "huge-event" => reply(200, "text/event-stream", vec![b'x'; 200_000]),
            "flood" => events(&vec![progress(token); 51]),
            "cut" => events(&[progress(token)]),
            "broken" => json_reply(500, &json!({"oops": "\u{1b}[31mpassword hunter2"})),
            "elsewhere" => Response::builder()
                .status(307)
                .header("location", "http://127.0.0.1:1/")
                .body(Body::empty())
                .unwrap(),
            "hang" => {
                let (more, rest) = unbounded_channel();
                self.kept.lock().unwrap().push(more);
                open_stream(": waiting\n\n".to_owned(), rest, OnDrop(self.closed))
            }
            "region" => {
                if headers
                    .get("mcp-param-region")
                    .is_none_or(|v| v != params["arguments"]["region"].as_str().unwrap())
                {
                    return json_reply(400, &failed(id, -32020, json!(null)));
                }
                json_reply(200, &says(id, "eu"))
            }
            "ask" if params.get("requestState").is_none() => json_reply(
                200,
                &ok(
                    id,
                    json!({"resultType": "input_required",
                "requestState": "s.1 \"\n", "inputRequests": {"a": {"method": "elicitation/create", "params": {"message": "?"}},
                    "b": {"method": "roots/list"}}}),
                ),
            ),
            "ask" => json_reply(
                200,
                &says(id, json!([params["requestState"], params["inputResponses"]]).to_string()),
            ),
            _ => json_reply(400, &failed(id, -32602, json!("no such tool"))),
        }
    }
}

async fn modern(mut settings: Settings) -> (Modern, Server) {
    let state = Modern::default();
    let inner = state.clone();
    settings.limits.wire.bytes = 100_000;
    settings.limits.notifications = 50;
    let url = serve(move |_, _, headers, body| inner.clone().answer(headers, body)).await;
    (state, connect(url, settings).await.unwrap())
}

#[tokio::test]
async fn a_modern_server_is_found_and_called_with_its_headers() {
    let (_, server) = modern(settings()).await;
    assert_eq!(server.info().revision, Revision::V2026_07_28);
    let capabilities = map(json!({"roots": {}}));
    let params = map(json!({"name": "echo", "arguments": {"a": 1.5}, "_meta": {"progressToken": "t"}}));
    let result = server
        .request(&capabilities, "tools/call", params, Relay::nowhere(), later())
        .await
        .unwrap()
        .unwrap();
    let echoed: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(echoed["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({"roots": {}}));
    assert!(echoed["_meta"]["progressToken"].is_i64());
    assert_eq!(echoed["arguments"], json!({"a": 1.5}));
    let error = tool(&server, "unknown", json!({})).await.unwrap().unwrap_err();
    assert_eq!((error.code, error.data), (RpcError::INVALID_PARAMS, Some(json!("no such tool"))));
}

#[tokio::test]
async fn a_stream_carries_this_requests_messages_only() {
    let (_, server) = modern(settings()).await;
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept"}));
    let params = map(json!({"name": "stream", "_meta": {"progressToken": "mine"}}));
    let able = map(json!({"elicitation": {}}));
    let result = server.request(&able, "tools/call", params, relay, later()).await.unwrap().unwrap();
    assert_eq!(result["content"][0]["text"], "done");
    let seen = gather(&seen).await;
    assert_eq!(seen.len(), 2);
    assert_eq!(
        seen[0],
        ("notifications/progress".to_owned(), json!({"progressToken": "mine", "progress": 1}))
    );
    assert_eq!(seen[1].0, "notifications/message");
    let misdeeds = server.misdeeds();
    assert_eq!((misdeeds.stray, misdeeds.garbage, misdeeds.dropped), (1, 2, 1));
}

#[tokio::test]
async fn answers_that_are_none_fail_the_call_and_nothing_else() {
    let (_, server) = modern(settings()).await;
    for (name, reason) in [
        ("other-id", "another request"),
        ("html", "no MCP message"),
        ("huge", "limits.message-bytes"),
        ("huge-event", "limits.message-bytes"),
        ("flood", "notifications for one request"),
        ("cut", "without an answer"),
        ("broken", "HTTP status 500"),
        ("elsewhere", "redirects are not followed"),
    ] {
        let params = map(json!({"name": name, "_meta": {"progressToken": 1}}));
        let error =
            server.request(&Map::new(), "tools/call", params, Relay::nowhere(), later()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(reason) && !text.contains('\u{1b}') && error.may_have_run(), "{name}: {text}");
        assert!(text_of_echo(&server).await, "{name}");
    }
}

async fn text_of_echo(server: &Server) -> bool {
    text(server, "echo", json!({})).await.contains("arguments")
}

#[tokio::test]
async fn a_deadline_or_a_dropped_future_closes_the_stream() {
    let (state, server) = modern(settings()).await;
    let soon = Instant::now() + Duration::from_millis(100);
    let params = map(json!({"name": "hang"}));
    let error = server.request(&Map::new(), "tools/call", params, Relay::nowhere(), soon).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Deadline);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), tool(&server, "hang", json!({}))).await.is_err()
    );
    until(|| state.closed.load(Ordering::SeqCst) == 2).await;
    assert_eq!(state.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_call_that_is_stopped_while_its_connection_is_made_is_not_sent() {
    let (state, server) = modern(settings()).await;
    let ask = async |server: &Server| {
        let (relay, from) = Relay::new();
        super::stdio::stopped(from);
        let params = map(json!({"name": "echo", "arguments": {}}));
        server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap()
    };
    // A connection that is there is used at once.
    assert!(text_of_echo(&server).await);
    ask(&server).await.unwrap();
    let calls = state.calls.load(Ordering::SeqCst);
    // The only one is taken, so another has to be made.
    let hanging = tool(&server, "hang", json!({}));
    let stopped = async {
        until(|| state.calls.load(Ordering::SeqCst) > calls).await;
        ask(&server).await
    };
    tokio::select! {
        _ = hanging => panic!("it hangs"),
        outcome = stopped => assert_eq!(outcome.unwrap_err().message, "stopped"),
    }
    assert_eq!(state.calls.load(Ordering::SeqCst), calls + 1);

    // One that was idle for too long is not used either.
    let (state, server) = legacy().await;
    tokio::time::sleep(Duration::from_millis(4100)).await;
    assert_eq!(ask(&server).await.unwrap_err().message, "stopped");
    assert_eq!(state.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn annotated_arguments_are_mirrored_even_if_the_list_was_never_asked_for() {
    let (state, server) = modern(settings()).await;
    assert_eq!(text(&server, "region", json!({"region": "eu-1"})).await, "eu");
    assert_eq!(state.calls.load(Ordering::SeqCst), 2);
    assert_eq!(text(&server, "region", json!({"region": "eu-2"})).await, "eu");
    assert_eq!(state.calls.load(Ordering::SeqCst), 3);
    let list = server
        .request(&Map::new(), "tools/list", Map::new(), Relay::nowhere(), later())
        .await
        .unwrap()
        .unwrap();
    let names: Vec<_> = list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!((names, &list["ttlMs"]), (vec![json!("region")], &json!(5)));
}

#[tokio::test]
async fn input_that_is_required_is_asked_for_over_http() {
    let (_, server) = modern(settings()).await;
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"x": 1}));
    let able = map(json!({"elicitation": {}, "roots": {}}));
    let params = map(json!({"name": "ask"}));
    let result = server.request(&able, "tools/call", params, relay, later()).await.unwrap().unwrap();
    let sent: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(sent, json!(["s.1 \"\n", {"a": {"x": 1}, "b": {"x": 1}}]));
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn changes_come_on_a_stream_that_is_opened_again() {
    let (state, server) = modern(settings()).await;
    let mut changes = server.changes();
    server.subscribe("a:1").await.unwrap().unwrap();
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1"]});
    let push = |value: Value| {
        let listening = state.listening.lock().unwrap();
        let (wanted, stream) = listening.last().unwrap();
        assert_eq!(wanted, &filter);
        stream.send(event(&value)).unwrap();
    };
    let meta = json!({"io.modelcontextprotocol/subscriptionId": 9});
    push(
        json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:1", "_meta": meta}}),
    );
    let change = changes.recv().await.unwrap();
    assert_eq!(
        (change.method.as_str(), Value::Object(change.params)),
        ("notifications/resources/updated", json!({"uri": "a:1"}))
    );
    let before = state.listening.lock().unwrap().len();
    state.listening.lock().unwrap().clear();
    until(|| !state.listening.lock().unwrap().is_empty()).await;
    assert!(before >= 1);
    // Whatever happened meanwhile is told as changed.
    assert_eq!(changes.recv().await.unwrap().method, "notifications/tools/list_changed");
}

#[derive(Clone, Default)]
struct Legacy {
    /// What was declared in each session, by its id; those that have expired are gone.
    sessions: Arc<Mutex<BTreeMap<String, Value>>>,
    begun: Arc<AtomicUsize>,
    /// Refuses a session beside another.
    alone: Arc<AtomicBool>,
    levels: Arc<Mutex<Vec<String>>>,
    cancelled: Arc<AtomicUsize>,
    deleted: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    subscribed: Arc<AtomicUsize>,
    /// By session.
    standalone: Arc<Mutex<BTreeMap<String, UnboundedSender<String>>>>,
    /// Streams that wait for the answer to a question, with the id of the request.
    asking: Arc<Mutex<Vec<Waiting>>>,
}

impl Legacy {
    async fn answer(self, method: Method, headers: HeaderMap, body: Bytes) -> Response {
        if method == Method::POST && body.windows(12).any(|w| w == b"\"initialize\"") {
            assert!(!headers.contains_key("mcp-session-id"));
            let message: Value = serde_json::from_slice(&body).unwrap();
            let mut sessions = self.sessions.lock().unwrap();
            if self.alone.load(Ordering::SeqCst) && !sessions.is_empty() {
                // As the TypeScript SDK does.
                let error = json!("Invalid Request: Server already initialized");
                return json_reply(400, &failed(&json!(null), -32600, error));
            }
            let session = format!("s{}", self.begun.fetch_add(1, Ordering::SeqCst) + 1);
            sessions.insert(session.clone(), message["params"]["capabilities"].clone());
            let mut response = json_reply(
                200,
                &ok(
                    &message["id"],
                    json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {}}, "serverInfo": {"name": "old", "version": "1"}}),
                ),
            );
            response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
            return response;
        }
        if headers.get("mcp-session-id").is_none() {
            // As the TypeScript SDK does.
            return json_reply(
                400,
                &failed(&json!(null), -32000, json!("Bad Request: Server not initialized")),
            );
        }
        let session = headers["mcp-session-id"].to_str().unwrap().to_owned();
        let declared = self.sessions.lock().unwrap().get(&session).cloned();
        let Some(declared) = declared else {
            return json_reply(404, &failed(&json!(null), -32001, json!("Session not found")));
        };
        assert_eq!(headers["mcp-protocol-version"], "2025-11-25");
        if method == Method::DELETE {
            self.deleted.fetch_add(1, Ordering::SeqCst);
            return reply(200, "text/plain", "");
        }
        if method == Method::GET {
            if let Some(last) = headers.get("last-event-id") {
                let id: Value = serde_json::from_slice(last.as_bytes()).unwrap();
                return events(&[says(&id, "resumed")]);
            }
            let (more, rest) = unbounded_channel();
            self.standalone.lock().unwrap().insert(session, more);
            return open_stream(": hello\n\n".to_owned(), rest, ());
        }
        let message: Value = serde_json::from_slice(&body).unwrap();
        let id = message["id"].clone();
        match message["method"].as_str() {
            Some("notifications/cancelled") => {
                self.cancelled.fetch_add(1, Ordering::SeqCst);
                reply(202, "text/plain", "")
            }
            Some("notifications/initialized") => reply(202, "text/plain", ""),
            None => {
                // An answer to a question: the call that asked is complete.
                let (call, stream) = self.asking.lock().unwrap().pop().unwrap();
                let text = message.get("result").or(message.get("error")).unwrap().to_string();
                stream.send(event(&says(&call, text))).unwrap();
                reply(202, "text/plain", "")
            }
            Some("resources/subscribe") => {
                self.subscribed.fetch_add(1, Ordering::SeqCst);
                json_reply(200, &ok(&id, json!({})))
            }
            Some("logging/setLevel") => {
                let level = message["params"]["level"].as_str().unwrap();
                self.levels.lock().unwrap().push(format!("{session} {level}"));
                json_reply(200, &ok(&id, json!({})))
            }
            Some("tools/call") => self.call(&session, &declared, &id, &message["params"]),
            _ => json_reply(200, &failed(&id, -32601, json!(null))),
        }
    }

    fn call(self, session: &str, declared: &Value, id: &Value, params: &Value) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let question = event(
            &json!({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {"message": "?"}}),
        );
        match params["name"].as_str().unwrap() {
            "echo" => {
                json_reply(200, &ok(id, json!({"content": [{"type": "text", "text": params.to_string()}]})))
            }
            "ask" => {
                let (more, rest) = unbounded_channel();
                self.asking.lock().unwrap().push((id.clone(), more));
                open_stream(question, rest, ())
            }
            "ask-apart" => {
                let (more, rest) = unbounded_channel();
                self.asking.lock().unwrap().push((id.clone(), more));
                self.standalone.lock().unwrap()[session].send(question).unwrap();
                open_stream(String::new(), rest, ())
            }
            "declared" => {
                let text = declared.to_string();
                json_reply(200, &ok(id, json!({"content": [{"type": "text", "text": text}]})))
            }
            "resume" => reply(200, "text/event-stream", format!("id: {id}\nretry: 50\ndata:\n\n")),
            "hang" => {
                let (more, rest) = unbounded_channel();
                self.asking.lock().unwrap().push((id.clone(), more));
                open_stream(String::new(), rest, ())
            }
            _ => json_reply(200, &failed(id, -32602, json!(null))),
        }
    }
}

async fn legacy() -> (Legacy, Server) {
    let state = Legacy::default();
    let inner = state.clone();
    let url = serve(move |method, _, headers, body| inner.clone().answer(method, headers, body)).await;
    let server = connect(url, settings()).await.unwrap();
    until(|| !state.standalone.lock().unwrap().is_empty()).await;
    (state, server)
}

/// Calls a tool as a client that can answer this.
async fn as_client(server: &Server, capabilities: Value, params: Value) -> String {
    let result = server
        .request(&map(capabilities), "tools/call", map(params), Relay::nowhere(), later())
        .await
        .unwrap()
        .unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// What a client declares that can answer everything.
fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

#[tokio::test]
async fn a_legacy_server_gets_a_session() {
    let (state, server) = legacy().await;
    assert_eq!(server.info().revision, Revision::V2025_11_25);
    let params = json!({"name": "echo", "arguments": {"a": 1}});
    let echoed = as_client(&server, everything(), params.clone()).await;
    assert_eq!(serde_json::from_str::<Value>(&echoed).unwrap(), params);
    server.stop().await;
    assert_eq!((state.begun.load(Ordering::SeqCst), state.deleted.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_session_declares_what_its_clients_can_answer() {
    let (state, server) = legacy().await;
    let declared = |capabilities: Value| {
        let server = &server;
        async move {
            let text = as_client(server, capabilities, json!({"name": "declared"})).await;
            serde_json::from_str::<Value>(&text).unwrap()
        }
    };
    for _ in 0..2 {
        assert_eq!(declared(everything()).await, everything());
        assert_eq!(declared(json!({})).await, json!({}));
        assert_eq!(declared(json!({"sampling": {}, "other": {}})).await, json!({"sampling": {}}));
        assert_eq!(declared(json!({"elicitation": {}})).await, json!({"elicitation": {"form": {}}}));
    }
    assert_eq!(state.begun.load(Ordering::SeqCst), 4);
    // A session that has expired is replaced by one that declares the same, and the others stay.
    state.sessions.lock().unwrap().retain(|_, declared| *declared != json!({"sampling": {}}));
    assert_eq!(declared(json!({"sampling": {}})).await, json!({"sampling": {}}));
    assert_eq!(declared(json!({})).await, json!({}));
    assert_eq!(state.begun.load(Ordering::SeqCst), 5);
    server.stop().await;
    assert_eq!(state.deleted.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn each_session_is_told_how_much_to_log() {
    let (state, server) = legacy().await;
    let wanting = json!({"name": "echo", "_meta": {"io.modelcontextprotocol/logLevel": "debug"}});
    as_client(&server, everything(), wanting.clone()).await;
    as_client(&server, json!({"roots": {}}), wanting).await;
    as_client(&server, json!({}), json!({"name": "echo"})).await;
    assert_eq!(*state.levels.lock().unwrap(), ["s1 debug", "s2 debug", "s3 debug"]);
}

#[tokio::test]
async fn a_server_that_wants_one_session_only_is_called_in_that_one() {
    let (state, server) = legacy().await;
    state.alone.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let declared = as_client(&server, json!({}), json!({"name": "declared"})).await;
        assert_eq!(serde_json::from_str::<Value>(&declared).unwrap(), everything());
    }
    // What its client cannot answer it is not asked there either.
    assert!(text(&server, "ask", json!({})).await.contains("-32601"));
    assert_eq!(state.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_expired_session_is_replaced_once_for_all_callers() {
    let (state, server) = legacy().await;
    server.subscribe("a:1").await.unwrap().unwrap();
    let mut changes = server.changes();
    state.sessions.lock().unwrap().clear();
    let calls = (0..4).map(|_| as_client(&server, everything(), json!({"name": "echo"})));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.contains("echo")));
    assert_eq!(state.begun.load(Ordering::SeqCst), 2);
    // What was refused did not run, so nothing ran twice.
    assert_eq!(state.calls.load(Ordering::SeqCst), 4);
    assert_eq!(state.subscribed.load(Ordering::SeqCst), 2);
    assert_eq!(changes.recv().await.unwrap().method, "notifications/tools/list_changed");
}

#[tokio::test]
async fn questions_come_on_the_requests_stream_or_on_the_sessions() {
    let (_, server) = legacy().await;
    for name in ["ask", "ask-apart"] {
        let (relay, from) = Relay::new();
        let seen = client(from, json!({"action": "decline"}));
        let able = map(json!({"elicitation": {}}));
        let result = server.request(&able, "tools/call", map(json!({"name": name})), relay, later()).await;
        let result = result.unwrap().unwrap();
        assert_eq!(result["content"][0]["text"], r#"{"action":"decline"}"#, "{name}");
        assert_eq!(seen.lock().unwrap().len(), 1);
        // A client that cannot be asked is not.
        let result = text(&server, name, json!({})).await;
        assert!(result.contains("-32601"), "{result}");
    }
}

#[tokio::test]
async fn concurrent_questions_go_to_their_own_callers() {
    let (_, server) = legacy().await;
    // The server answers the last one that asked with whatever comes first; each question is on its own stream, so both are asked.
    let ask = |answer: &'static str| {
        let server = &server;
        async move {
            let (relay, from) = Relay::new();
            let seen = client(from, json!({"action": answer}));
            let able = map(json!({"elicitation": {}}));
            server
                .request(&able, "tools/call", map(json!({"name": "ask"})), relay, later())
                .await
                .unwrap()
                .unwrap();
            gather(&seen).await.len()
        }
    };
    assert_eq!(futures_util::future::join(ask("accept"), ask("decline")).await, (1, 1));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_taken_up_again() {
    let (state, server) = legacy().await;
    assert_eq!(text(&server, "resume", json!({})).await, "resumed");
    assert_eq!(state.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_legacy_server_is_told_of_cancellation() {
    let (state, server) = legacy().await;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), tool(&server, "hang", json!({}))).await.is_err()
    );
    until(|| state.cancelled.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn what_is_no_mcp_server_is_refused() {
    let web = serve(|_, _, _, _| async { reply(200, "text/html", "<html>") }).await;
    let error = connect(web, settings()).await.unwrap_err();
    assert!(error.to_string().contains("no MCP message"), "{error}");
    let busy = serve(|_, _, _, _| async { reply(503, "text/plain", "later") }).await;
    let error = connect(busy, settings()).await.unwrap_err();
    assert!(error.to_string().contains("503: later"), "{error}");
    let closed = Url::parse("http://127.0.0.1:1/mcp").unwrap();
    let error = connect(closed, settings()).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Unreachable(_)) && !error.may_have_run(), "{error}");
    let plain = Url::parse("http://mcp.example/mcp").unwrap();
    assert!(connect(plain, settings()).await.unwrap_err().to_string().contains("use https"));
}

#[tokio::test]
async fn a_configured_token_is_sent_and_never_shown() {
    let url = serve(|_, _, headers, _| async move {
        if headers.get("authorization").is_some_and(|value| value == "Bearer tok-secret-1") {
            reply(500, "text/plain", "I know tok-secret-1 now")
        } else {
            reply(401, "text/plain", "who?")
        }
    })
    .await;
    let start = |token: &str| {
        let auth = Auth::Bearer(Secret::new(token).unwrap());
        Server::start("x", Connection::Http { url: url.clone(), auth, ca: None }, fixed(Era::Legacy))
    };
    let error = start("tok-secret-1").await.unwrap_err();
    assert!(
        error.to_string().contains("I know *** now") && !format!("{error:?}").contains("tok-secret-1"),
        "{error}"
    );
    let error = start("wrong-token").await.unwrap_err();
    assert!(
        matches!(error.fault(), Fault::Unauthorized(_)) && !error.to_string().contains("wrong-token"),
        "{error}"
    );
}
