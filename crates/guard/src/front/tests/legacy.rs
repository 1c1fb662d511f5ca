//! Sessions over HTTP.

use std::sync::atomic::Ordering;

use super::*;

struct Session {
    served: Served,
    id: String,
    revision: &'static str,
}

async fn begin(revision: &'static str) -> Session {
    let served = served().await;
    let mut reply = Ask::post(&initialize(revision)).send(&served).await;
    assert_eq!(reply.json().await["result"]["protocolVersion"], revision);
    let id = reply.header("mcp-session-id").unwrap().to_owned();
    let session = Session { served, id, revision };
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(session.post(&ready).send(&session.served).await.status, 202);
    session
}

impl Session {
    fn within(&self, ask: Ask) -> Ask {
        ask.with("mcp-session-id", &self.id).with("mcp-protocol-version", self.revision)
    }

    fn post(&self, message: &Value) -> Ask {
        self.within(Ask::post(message))
    }

    async fn ask(&self, message: Value) -> Value {
        let (status, body) = self.post(&message).json(&self.served).await;
        assert_eq!(status, 200);
        body
    }
}

#[tokio::test]
async fn a_session_is_minted_used_and_ended() {
    let session = begin("2025-11-25").await;
    assert!(session.id.len() == 32 && session.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let list = session.ask(request(1, "tools/list", json!({}))).await;
    assert_eq!(list["result"], json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}));
    assert_eq!(session.ask(request(2, "ping", json!({}))).await["result"], json!({}));
    assert_eq!(session.ask(request(3, "no/such", json!({}))).await["error"]["code"], -32601);
    assert_eq!(session.ask(request(4, "initialize", json!({}))).await["error"]["code"], -32600);
    assert_eq!(session.within(Ask::new("DELETE")).send(&session.served).await.status, 200);
    for ask in [
        session.post(&request(5, "ping", json!({}))),
        session.within(Ask::new("GET")),
        session.within(Ask::new("DELETE")),
    ] {
        assert_eq!(ask.send(&session.served).await.status, 404, "{}", ask.line);
    }
}

#[tokio::test]
async fn a_session_is_nobody_elses_and_never_the_clients_choice() {
    let session = begin("2025-11-25").await;
    let ping = request(1, "ping", json!({}));
    for id in
        ["00000000000000000000000000000000", "", "x", &session.id.to_uppercase(), &format!("{}0", session.id)]
    {
        let status = session.post(&ping).with("mcp-session-id", id).send(&session.served).await.status;
        assert!(status == 404 || id == session.id, "{id}");
    }
    assert_eq!(session.post(&ping).without("mcp-session-id").send(&session.served).await.status, 400);
    let chosen =
        session.post(&initialize("2025-11-25")).with("mcp-session-id", "00000000000000000000000000000000");
    assert_eq!(chosen.send(&session.served).await.status, 404);
}

#[tokio::test]
async fn the_revision_is_the_one_agreed_on_whatever_a_header_says() {
    let session = begin("2025-06-18").await;
    let ping = session.post(&request(1, "ping", json!({})));
    for (version, status) in [("2025-06-18", 200), ("2025-11-25", 200), ("2026-07-28", 400), ("1.0", 400)] {
        let got = ping.clone().with("mcp-protocol-version", version).send(&session.served).await.status;
        assert_eq!(got, status, "{version}");
    }
    // The first revision with sessions had no such header, so it may be missing.
    assert_eq!(ping.without("mcp-protocol-version").send(&session.served).await.status, 200);
    // The stateless revision has no use for sessions.
    let modern = Ask::modern("tools/call", json!({"name": "echo"})).with("mcp-session-id", &session.id);
    assert_eq!(modern.json(&session.served).await.1["result"]["resultType"], "complete");
}

#[tokio::test]
async fn questions_come_on_the_stream_and_answers_by_post() {
    let session = begin("2025-11-25").await;
    let mut reply =
        session.post(&request(1, "tools/call", json!({"name": "ask-two"}))).send(&session.served).await;
    let (first, second) = (reply.event().await.unwrap(), reply.event().await.unwrap());
    assert_eq!((&first["method"], &second["method"]), (&json!("elicitation/create"), &json!("roots/list")));
    for (id, result) in [
        (&second["id"], json!({"roots": []})),
        (&json!(77), json!({})),
        (&first["id"], json!({"action": "accept"})),
    ] {
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        assert_eq!(session.post(&answer).send(&session.served).await.status, 202);
    }
    let last = reply.event().await.unwrap();
    assert_eq!(
        last["result"],
        json!({"content": [{"type": "text", "text": "[{\"action\":\"accept\"},{\"roots\":[]}]"}]})
    );
    assert!(reply.event().await.is_none());
}

#[tokio::test]
async fn another_sessions_answer_does_not_count() {
    let session = begin("2025-11-25").await;
    let mut reply =
        session.post(&request(1, "tools/call", json!({"name": "ask"}))).send(&session.served).await;
    let question = reply.event().await.unwrap();
    let other = Ask::post(&initialize("2025-11-25")).send(&session.served).await;
    let other = other.header("mcp-session-id").unwrap().to_owned();
    let forged = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "forged"}});
    session.post(&forged).with("mcp-session-id", &other).send(&session.served).await;
    let honest = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    session.post(&honest).send(&session.served).await;
    assert_eq!(reply.event().await.unwrap()["result"]["content"][0]["text"], "{\"action\":\"decline\"}");
}

#[tokio::test]
async fn another_runs_answer_does_not_count() {
    let session = begin("2025-11-25").await;
    let run = |ask: Ask| ask.with("ostrom-run", "run-of-user");
    let call = session.post(&request(1, "tools/call", json!({"name": "ask"})));
    let mut reply = run(call).send(&session.served).await;
    let question = reply.event().await.unwrap();
    let answer = |action: &str| {
        session.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": action}}))
    };
    // The agent without a run may have seen what this one has not.
    assert_eq!(answer("other").send(&session.served).await.status, 202);
    let unknown = answer("unknown").with("ostrom-run", "nonsense");
    assert_eq!(unknown.send(&session.served).await.status, 400);
    assert_eq!(run(answer("decline")).send(&session.served).await.status, 202);
    assert_eq!(reply.event().await.unwrap()["result"]["content"][0]["text"], "{\"action\":\"decline\"}");
}

#[tokio::test]
async fn a_call_is_cancelled_by_its_session_and_by_nobody_else() {
    let session = begin("2025-11-25").await;
    let mut stream = TcpStream::connect(session.served.address).await.unwrap();
    let wait = session.post(&request(9, "tools/call", json!({"name": "wait"})));
    stream.write_all(&wait.to_bytes()).await.unwrap();
    session.served.fake.started.notified().await;
    assert_eq!(session.ask(request(9, "ping", json!({}))).await["error"]["code"], -32600);
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}});
    let other = Ask::post(&initialize("2025-11-25")).send(&session.served).await;
    let other = other.header("mcp-session-id").unwrap().to_owned();
    session.post(&cancel).with("mcp-session-id", &other).send(&session.served).await;
    assert_eq!(session.served.fake.cancelled.load(Ordering::SeqCst), 0);
    assert_eq!(session.post(&cancel).send(&session.served).await.status, 202);
    session.served.fake.dropped.notified().await;
    assert!(Reply::read(BufReader::new(stream)).await.event().await.is_none());
}

#[tokio::test]
async fn ending_a_session_ends_what_it_does() {
    let session = begin("2025-11-25").await;
    let mut stream = TcpStream::connect(session.served.address).await.unwrap();
    stream
        .write_all(&session.post(&request(9, "tools/call", json!({"name": "wait"}))).to_bytes())
        .await
        .unwrap();
    session.served.fake.started.notified().await;
    let mut listening = session.within(Ask::new("GET")).send(&session.served).await;
    session.ask(request(1, "resources/subscribe", json!({"uri": "file:///a"}))).await;
    assert_eq!(*session.served.fake.watching.lock().unwrap(), ["file:///a"]);
    assert_eq!(session.within(Ask::new("DELETE")).send(&session.served).await.status, 200);
    session.served.fake.dropped.notified().await;
    assert!(listening.event().await.is_none());
    assert!(session.served.fake.watching.lock().unwrap().is_empty());
}

#[tokio::test]
async fn changes_come_on_the_one_stream_of_the_session() {
    let session = begin("2025-03-26").await;
    let listen = session.within(Ask::new("GET"));
    let mut stream = listen.send(&session.served).await;
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(listen.send(&session.served).await.status, 409);
    assert_eq!(listen.clone().with("accept", "application/json").send(&session.served).await.status, 406);
    let changes = session.served.fake.changes.clone();
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///a"}))).unwrap();
    changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    assert_eq!(
        stream.event().await.unwrap(),
        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    );
    assert_eq!(
        session.ask(request(1, "resources/subscribe", json!({"uri": "secret:x"}))).await["error"]["code"],
        -32602
    );
    assert_eq!(
        session.ask(request(2, "resources/subscribe", json!({"uri": "file:///a"}))).await["result"],
        json!({})
    );
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///a"}))).unwrap();
    assert_eq!(stream.event().await.unwrap()["params"]["uri"], "file:///a");
    drop(stream);
    // Once it is noticed that nobody listens, somebody may again.
    while listen.send(&session.served).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_told_in_a_session_is_for_all_runs_that_it_serves() {
    let session = begin("2025-11-25").await;
    let mut stream = session.within(Ask::new("GET")).send(&session.served).await;
    let fake = &session.served.fake;
    let updated = |uri: &str| {
        fake.changes.send(note("notifications/resources/updated", json!({"uri": uri}))).unwrap();
        fake.changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    };
    let subscribe = request(1, "resources/subscribe", json!({"uri": "file:///x"}));
    fake.deaf.lock().unwrap().push("run-1".to_owned());
    session.ask(subscribe.clone()).await;
    updated("file:///x?PAY%20EVE");
    assert_eq!(stream.event().await.unwrap()["params"]["uri"], "file:///x");
    assert_eq!(stream.event().await.unwrap()["method"], "notifications/tools/list_changed");
    // Another run comes, which must not hear it.
    let other = session.post(&request(2, "tools/list", json!({}))).with("ostrom-run", "run-of-user");
    assert_eq!(other.json(&session.served).await.0, 200);
    updated("file:///x");
    assert_eq!(stream.event().await.unwrap()["method"], "notifications/tools/list_changed");
    assert!(fake.watching.lock().unwrap().is_empty());
    // Nor does the session hear what the other run has subscribed to.
    *fake.deaf.lock().unwrap() = vec![String::new()];
    assert_eq!(session.post(&subscribe).with("ostrom-run", "run-of-user").json(&session.served).await.0, 200);
    assert_eq!(*fake.watching.lock().unwrap(), ["file:///x"]);
    updated("file:///x");
    assert_eq!(stream.event().await.unwrap()["method"], "notifications/tools/list_changed");
    assert!(fake.watching.lock().unwrap().is_empty());
}
