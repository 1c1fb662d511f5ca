//! The stateless revision over HTTP, and what holds for all.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::front::Limits;
use crate::front::http::{Server, Settings, StartError};

fn echo() -> Ask {
    Ask::modern("tools/call", json!({"name": "echo"}))
}

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

#[tokio::test]
async fn a_call_is_answered_with_json() {
    let served = served().await;
    let mut reply = echo().send(&served).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    assert!(reply.header("mcp-session-id").is_none());
    assert_eq!(reply.json().await["result"]["resultType"], "complete");
    let caller = served.fake.callers.lock().unwrap()[0].clone();
    assert_eq!((&*caller.principal, caller.revision.name()), ("user", "2026-07-28"));
}

#[tokio::test]
async fn many_calls_go_over_one_connection() {
    let served = served().await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let mut connection = BufReader::new(stream);
    for _ in 0..3 {
        connection.get_mut().write_all(&echo().to_bytes()).await.unwrap();
        let mut reply = Reply::read(connection).await;
        assert_eq!(reply.json().await["id"], 1);
        connection = reply.connection;
    }
}

#[tokio::test]
async fn headers_that_say_something_else_than_the_body_are_refused() {
    let served = served().await;
    let read = Ask::modern("resources/read", json!({"uri": "x://y"}));
    for (ask, code) in [
        (echo().without("mcp-protocol-version"), -32020),
        (echo().with("mcp-protocol-version", "2025-11-25"), -32020),
        (echo().without("mcp-method"), -32020),
        (echo().with("mcp-method", "tools/list"), -32020),
        (echo().with("mcp-method", "Tools/Call"), -32020),
        (echo().without("mcp-name"), -32020),
        (echo().with("mcp-name", "wait"), -32020),
        (echo().with("mcp-name", "=?base64?!?="), -32020),
        (read.clone().with("mcp-name", "x://z"), -32020),
    ] {
        let (status, body) = ask.json(&served).await;
        assert_eq!(
            (status, &body["error"]["code"], &body["id"]),
            (400, &json!(code), &json!(1)),
            "{:?}",
            ask.headers
        );
    }
    assert!(served.fake.requests.lock().unwrap().is_empty());
    assert_eq!(echo().with("mcp-name", "=?base64?ZWNobw==?=").json(&served).await.0, 200);
    assert_eq!(read.json(&served).await.1["error"]["code"], -32602);
}

#[tokio::test]
async fn arguments_that_are_mirrored_in_headers_must_be_the_same() {
    let served = served().await;
    let call =
        |region: Value| Ask::modern("tools/call", json!({"name": "echo", "arguments": {"region": region}}));
    assert_eq!(call(json!("eu")).with("mcp-param-region", "eu").json(&served).await.0, 200);
    assert_eq!(call(json!("ü")).with("Mcp-Param-Region", "=?base64?w7w=?=").json(&served).await.0, 200);
    assert_eq!(call(Value::Null).json(&served).await.0, 200);
    for ask in [
        call(json!("eu")),
        call(json!("eu")).with("mcp-param-region", "us"),
        call(Value::Null).with("mcp-param-region", "eu"),
        echo().with("mcp-param-region", "eu"),
    ] {
        let (status, body) = ask.json(&served).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!(-32020)), "{:?}", ask.headers);
    }
    // One that nothing is known of is nobody's business.
    assert_eq!(echo().with("mcp-param-other", "x").json(&served).await.0, 200);
}

#[tokio::test]
async fn protocol_errors_have_their_statuses() {
    let served = served().await;
    let unknown = modern(1, "tools/list", json!({}));
    let mut unknown: Value = unknown;
    unknown["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let unknown =
        Ask::post(&unknown).with("mcp-protocol-version", "1900-01-01").with("mcp-method", "tools/list");
    let bare = Ask::post(&request(1, "tools/list", json!({}))).with("mcp-method", "tools/list");
    for (ask, status, code) in [
        (Ask::modern("no/such", json!({})), 404, -32601),
        (Ask::modern("initialize", json!({})), 404, -32601),
        (Ask::modern("tools/call", json!({"name": "none"})), 200, -32602),
        (unknown, 400, -32022),
        (bare.clone().with("mcp-protocol-version", "2026-07-28"), 400, -32602),
        (bare.clone().with("mcp-protocol-version", "1900-01-01"), 400, -32022),
        (bare, 400, -32600),
        (Ask { body: b"{".to_vec(), ..Ask::new("POST") }, 400, -32700),
        (Ask { body: b"[]".to_vec(), ..Ask::new("POST") }, 400, -32600),
        (Ask::modern("tools/call", json!({"name": "echo"})).with("ostrom-run", "stolen"), 400, -32600),
    ] {
        let (got, body) = ask.json(&served).await;
        assert_eq!(
            (got, &body["error"]["code"]),
            (status, &json!(code)),
            "{}",
            String::from_utf8_lossy(&ask.body)
        );
    }
    let poor = modern_with(1, "tools/call", json!({"name": "ask"}), json!({}));
    let poor =
        Ask { body: poor.to_string().into_bytes(), ..Ask::modern("tools/call", json!({"name": "ask"})) };
    let (status, body) = poor.json(&served).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(-32021)));
}

#[tokio::test]
async fn a_run_comes_in_its_header() {
    let served = served().await;
    echo().with("ostrom-run", "run-of-user").send(&served).await;
    assert_eq!(served.fake.callers.lock().unwrap()[0].run.as_deref(), Some("run-1"));
    let mut twice = echo().with("ostrom-run", "run-of-user");
    twice.headers.push(("ostrom-run".into(), "run-of-user".into()));
    assert_eq!(twice.send(&served).await.status, 400);
}

#[tokio::test]
async fn only_json_over_known_methods_is_taken() {
    let served = served().await;
    for (ask, status) in [
        (echo().with("content-type", "text/plain"), 415),
        (echo().without("content-type"), 415),
        (echo().with("accept", "application/json"), 406),
        (echo().without("accept"), 200),
        (echo().with("accept", "*/*"), 200),
        (Ask::new("GET"), 405),
        (Ask::new("DELETE"), 405),
        (Ask::new("PUT"), 405),
    ] {
        assert_eq!(ask.send(&served).await.status, status, "{} {:?}", ask.line, ask.headers);
    }
    let elsewhere = Ask { line: "POST /other HTTP/1.1".into(), ..echo() };
    assert_eq!(elsewhere.send(&served).await.status, 404);
    let aside = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(Ask::post(&aside).with("mcp-protocol-version", "2026-07-28").send(&served).await.status, 202);
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert_eq!(Ask::post(&answer).with("mcp-protocol-version", "2026-07-28").send(&served).await.status, 400);
}

#[tokio::test]
async fn other_hosts_and_origins_stay_out() {
    let served = serve(Settings {
        hosts: vec!["guard.example".into()],
        origins: vec!["https://app.example".into()],
        ..Settings::default()
    })
    .await;
    for (name, value, status) in [
        ("host", "evil.example", 403),
        ("host", "guard.example", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:5173", 200),
        ("origin", "https://app.example", 200),
    ] {
        assert_eq!(echo().with(name, value).send(&served).await.status, status, "{name}: {value}");
    }
    let absolute = Ask { line: "POST http://evil.example/mcp HTTP/1.1".into(), ..echo() };
    assert_eq!(absolute.send(&served).await.status, 403);
    assert_eq!(echo().without("host").send(&served).await.status, 400);
}

#[tokio::test]
async fn progress_turns_the_answer_into_events() {
    let served = served().await;
    let params = json!({"name": "progress", "_meta": {"progressToken": "p"}});
    let mut reply = Ask::modern("tools/call", params).send(&served).await;
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    for step in 1..=2 {
        let event = reply.event().await.unwrap();
        assert_eq!(event["params"], json!({"progressToken": "p", "progress": step}));
    }
    assert_eq!(reply.event().await.unwrap()["result"]["content"][0]["text"], "progressed");
    assert!(reply.event().await.is_none());
}

#[tokio::test]
async fn a_client_that_goes_cancels() {
    let served = served().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&Ask::modern("tools/call", json!({"name": "wait"})).to_bytes()).await.unwrap();
    served.fake.started.notified().await;
    drop(stream);
    served.fake.dropped.notified().await;
    assert_eq!(served.fake.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_listener_hears_what_it_asked_for_until_it_goes() {
    let served = served().await;
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]});
    let mut reply = Ask::modern("subscriptions/listen", json!({"notifications": filter})).send(&served).await;
    assert_eq!(reply.event().await.unwrap()["params"]["notifications"], filter);
    let changes = &served.fake.changes;
    changes.send(note("notifications/prompts/list_changed", json!({}))).unwrap();
    changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    let event = reply.event().await.unwrap();
    assert_eq!(event["method"], "notifications/tools/list_changed");
    assert_eq!(event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    drop(reply);
    while !served.fake.watching.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let bad = Ask::modern("subscriptions/listen", json!({})).json(&served).await;
    assert_eq!((bad.0, &bad.1["error"]["code"]), (200, &json!(-32602)));
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_is_alive() {
    let served = serve(limited(Limits { keep_alive_seconds: 1, ..Limits::default() })).await;
    let mut reply = Ask::modern("subscriptions/listen", json!({"notifications": {}})).send(&served).await;
    assert!(reply.event().await.is_some());
    let mut line = String::new();
    while !line.contains(": still here") {
        assert_ne!(reply.connection.read_line(&mut line).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn messages_over_the_limits_are_refused() {
    let served = serve(limited(Limits { bytes: 1000, depth: 6, ..Limits::default() })).await;
    let large = Ask::modern("tools/call", json!({"name": "echo", "arguments": {"a": "x".repeat(1000)}}));
    assert_eq!(large.json(&served).await.0, 413);
    let deep = Ask::modern("tools/call", json!({"name": "echo", "arguments": {"a": [[[[1]]]]}}));
    assert_eq!(
        deep.json(&served).await,
        (
            400,
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32700, "message": deep.json(&served).await.1["error"]["message"]}})
        )
    );
    // Without an announcement of its length, too.
    let mut chunked = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(b"7d0\r\n");
    chunked.extend([b'['; 2000]);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&chunked).await.unwrap();
    assert_eq!(Reply::read(BufReader::new(stream)).await.status, 413);
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    let served = serve(limited(Limits { call_seconds: 0, body_seconds: 0, ..Limits::default() })).await;
    let (status, body) = Ask::modern("tools/call", json!({"name": "wait"})).json(&served).await;
    assert_eq!((status, &body["error"]["code"]), (200, &json!(-32603)));
    assert!(body["error"]["message"].as_str().unwrap().contains("may have run"), "{body}");
    served.fake.dropped.notified().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{").await.unwrap();
    assert_eq!(Reply::read(BufReader::new(stream)).await.status, 408);
}

#[tokio::test]
async fn too_much_at_once_is_told_to_wait() {
    let served = serve(limited(Limits { rate: 1, burst: 3, ..Limits::default() })).await;
    for _ in 0..3 {
        assert_eq!(echo().send(&served).await.status, 200);
    }
    let mut reply = echo().send(&served).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert_eq!(reply.json().await["error"]["code"], 429);
    let served = serve(limited(Limits { concurrent: 1, streams: 1, ..Limits::default() })).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&Ask::modern("tools/call", json!({"name": "wait"})).to_bytes()).await.unwrap();
    served.fake.started.notified().await;
    assert_eq!(echo().send(&served).await.status, 429);
    served.fake.release.notify_one();
    let mut reply = Reply::read(BufReader::new(stream)).await;
    assert_eq!(reply.json().await["result"]["content"][0]["text"], "waited");
    assert_eq!(echo().send(&served).await.status, 200);
    let listen = Ask::modern("subscriptions/listen", json!({"notifications": {}}));
    let mut listening = listen.send(&served).await;
    assert!(listening.event().await.is_some());
    assert_eq!(listen.send(&served).await.status, 429);
}

#[tokio::test]
async fn nobody_listens_to_the_world_without_asking_who_comes() {
    let bind = |settings: Settings| Server::bind(Arc::new(Fake::default()), settings, quiet());
    let listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(bind(Settings { listen, ..Settings::default() }).await, Err(StartError::Open(_))));
    let tokens = vec![crate::front::auth::StaticToken { principal: "a".into(), sha256: "0".repeat(64) }];
    let auth = crate::front::auth::Settings { tokens, oauth: None };
    let named = Settings { listen, auth, ..Settings::default() };
    assert!(matches!(bind(named).await, Err(StartError::NoHosts(_))));
}

#[tokio::test]
async fn a_stopped_server_lets_go() {
    let fake = Arc::new(Fake::default());
    let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    let server = Server::bind(Arc::clone(&fake), settings, quiet()).await.unwrap();
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&Ask::modern("tools/call", json!({"name": "wait"})).to_bytes()).await.unwrap();
    fake.started.notified().await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(fake.cancelled.load(Ordering::SeqCst), 1);
    assert!(TcpStream::connect(address).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_bytes_make_it_stop_serving(
        parts in proptest::collection::vec((0usize..600, any::<u8>()), 1..6),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let served = served().await;
            let mut changed = echo().to_bytes();
            for (at, to) in parts {
                let at = at % changed.len();
                changed[at] = to;
            }
            let bodies = [Ask { body: noise.clone(), ..echo() }.to_bytes(), changed, noise];
            for bytes in bodies {
                let mut stream = TcpStream::connect(served.address).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = Vec::new();
                // Whatever it says, it says it or hangs up.
                let read = stream.read_to_end(&mut answer);
                let _either = tokio::time::timeout(Duration::from_secs(30), read).await.expect("it hangs");
            }
            assert_eq!(echo().send(&served).await.status, 200);
        });
    }
}
