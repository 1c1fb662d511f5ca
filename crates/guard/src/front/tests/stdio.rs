//! Over a pipe.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

use super::*;
use crate::front::Limits;
use crate::front::stdio::{Settings, serve};

struct Pipe {
    fake: Arc<Fake>,
    input: WriteHalf<DuplexStream>,
    output: BufReader<ReadHalf<DuplexStream>>,
    serving: JoinHandle<std::io::Result<()>>,
    log: Arc<Mutex<Vec<String>>>,
}

fn pipe_with(limits: Limits, run: Option<&str>) -> Pipe {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(theirs);
    let (fake, log) = (Arc::new(Fake::default()), Arc::new(Mutex::new(Vec::new())));
    let lines = Arc::clone(&log);
    let settings = Settings {
        limits,
        run: run.map(str::to_owned),
        log: Arc::new(move |line: &str| lines.lock().unwrap().push(line.to_owned())),
        ..Settings::new("user")
    };
    let serving = tokio::spawn(serve(Arc::clone(&fake), input, output, settings));
    let (output, input) = tokio::io::split(ours);
    Pipe { fake, input, output: BufReader::new(output), serving, log }
}

fn pipe() -> Pipe {
    pipe_with(Limits::default(), None)
}

impl Pipe {
    async fn raw(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).await.unwrap();
    }

    async fn send(&mut self, message: Value) {
        self.raw(format!("{message}\n").as_bytes()).await;
    }

    async fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.receive().await
    }

    async fn legacy(mut self, revision: &str) -> Self {
        let answer = self.ask(initialize(revision)).await;
        assert_eq!(answer["result"]["protocolVersion"], revision);
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        self
    }

    async fn close(mut self) -> std::io::Result<()> {
        self.input.shutdown().await.unwrap();
        self.serving.await.unwrap()
    }
}

#[tokio::test]
async fn a_request_with_metadata_is_served_without_a_handshake() {
    let mut pipe = pipe();
    let answer = pipe.ask(modern(5, "tools/call", json!({"name": "echo", "arguments": {"a": 1}}))).await;
    assert_eq!(
        answer,
        json!({"jsonrpc": "2.0", "id": 5, "result": {"resultType": "complete", "content": [{"type": "text", "text": "{\"a\":1}"}]}})
    );
    let answer = pipe.ask(modern(6, "server/discover", json!({}))).await;
    let result = &answer["result"];
    assert_eq!(result["supportedVersions"], json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "fake");
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
    assert!(result.get("serverInfo").is_none());
    pipe.close().await.unwrap();
}

#[tokio::test]
async fn the_handler_gets_what_the_client_said_of_itself_and_nothing_twice() {
    let mut pipe = pipe_with(Limits::default(), Some("run-of-user"));
    let params = json!({"name": "echo", "requestState_": 1, "_meta": {"progressToken": "p", "io.modelcontextprotocol/clientInfo": {"name": "c"}, "x/y": 1}});
    pipe.ask(modern(1, "tools/call", params)).await;
    let caller = pipe.fake.callers.lock().unwrap()[0].clone();
    assert_eq!((&*caller.principal, caller.run.as_deref()), ("user", Some("run-1")));
    assert_eq!(caller.client, Some(json!({"name": "c"})));
    assert_eq!(Value::Object(caller.capabilities.clone()), json!({"elicitation": {}, "roots": {}}));
    let seen = pipe.fake.requests.lock().unwrap()[0].params.clone();
    assert_eq!(seen["_meta"], json!({"progressToken": "p", "x/y": 1}));
}

#[tokio::test]
async fn metadata_that_is_missing_or_wrong_is_an_error() {
    let mut pipe = pipe();
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    for (meta, code) in [
        (json!({version: "2026-07-28"}), -32602),
        (json!({version: "2026-07-28", capabilities: []}), -32602),
        (json!({version: 7, capabilities: {}}), -32602),
        (json!({version: "1900-01-01", capabilities: {}}), -32022),
        (json!({version: "2025-11-25", capabilities: {}}), -32022),
        (
            json!({version: "2026-07-28", capabilities: {}, "io.modelcontextprotocol/logLevel": "loud"}),
            -32602,
        ),
        (json!({version: "2026-07-28", capabilities: {}, "progressToken": 1.5}), -32602),
    ] {
        let answer = pipe.ask(request(1, "tools/list", json!({"_meta": meta}))).await;
        assert_eq!(answer["error"]["code"], code, "{meta}");
    }
    let answer =
        pipe.ask(request(1, "tools/list", json!({"_meta": {version: "1900-01-01", capabilities: {}}}))).await;
    assert_eq!(answer["error"]["data"]["requested"], "1900-01-01");
    assert_eq!(answer["error"]["data"]["supported"][0], "2026-07-28");
    // Without any it is nobody's request yet.
    assert_eq!(pipe.ask(request(1, "tools/list", json!({}))).await["error"]["code"], -32600);
}

#[tokio::test]
async fn a_run_of_another_principal_is_refused() {
    let mut pipe = pipe_with(Limits::default(), Some("stolen"));
    assert_eq!(pipe.ask(modern(1, "tools/list", json!({}))).await["error"]["code"], -32600);
    assert_eq!(pipe.ask(initialize("2025-11-25")).await["error"]["code"], -32600);
}

#[tokio::test]
async fn both_eras_are_served_at_once() {
    let mut pipe = pipe().legacy("2025-06-18").await;
    let list = pipe.ask(request(1, "tools/list", json!({}))).await;
    assert_eq!(list["result"], json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}));
    let list = pipe.ask(modern(2, "tools/list", json!({}))).await;
    assert_eq!(list["result"]["ttlMs"], 1000);
    assert_eq!(list["result"]["tools"][0]["outputSchema"]["type"], "array");
    assert_eq!(pipe.ask(request(3, "ping", json!({}))).await["result"], json!({}));
    assert_eq!(pipe.ask(modern(4, "ping", json!({}))).await["error"]["code"], -32601);
    assert_eq!(pipe.ask(request(5, "server/discover", json!({}))).await["error"]["code"], -32601);
    assert_eq!(pipe.ask(initialize("2025-06-18")).await["error"]["code"], -32600);
    let callers: Vec<&str> =
        pipe.fake.callers.lock().unwrap().iter().map(|caller| caller.revision.name()).collect();
    assert_eq!(callers, ["2025-06-18", "2026-07-28"]);
}

#[tokio::test]
async fn initialize_offers_what_is_spoken() {
    for (asked, given) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let answer = pipe().ask(initialize(asked)).await;
        assert_eq!(
            answer["result"],
            json!({
                "protocolVersion": given,
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true}},
                "serverInfo": {"name": "fake", "version": "1"},
                "instructions": "Be kind.",
            })
        );
    }
    assert_eq!(
        pipe().ask(request(1, "initialize", json!({"capabilities": {}}))).await["error"]["code"],
        -32602
    );
    assert_eq!(
        pipe().ask(request(1, "initialize", json!({"protocolVersion": "2025-11-25"}))).await["error"]["code"],
        -32602
    );
}

#[tokio::test]
async fn errors_and_results_have_the_shape_of_the_clients_revision() {
    let read = json!({"uri": "x://y"});
    assert_eq!(pipe().ask(modern(1, "resources/read", read.clone())).await["error"]["code"], -32602);
    let mut old = pipe().legacy("2025-03-26").await;
    assert_eq!(old.ask(request(1, "resources/read", read)).await["error"]["code"], -32002);
    assert_eq!(old.ask(request(2, "tools/call", json!({"name": "none"}))).await["error"]["code"], -32602);
    assert_eq!(
        old.ask(request(3, "tools/call", json!({"name": "number"}))).await["result"],
        json!({"content": []})
    );
    let link = old.ask(request(4, "tools/call", json!({"name": "link"}))).await;
    assert_eq!(link["result"]["content"], json!([{"type": "text", "text": "[resource n: x://y]"}]));
    let mut new = pipe();
    let number = new.ask(modern(1, "tools/call", json!({"name": "number"}))).await;
    assert_eq!(number["result"], json!({"resultType": "complete", "content": [], "structuredContent": 7}));
}

#[tokio::test]
async fn requests_run_at_the_same_time_and_are_cancelled_by_id() {
    let mut pipe = pipe();
    pipe.send(modern(1, "tools/call", json!({"name": "wait"}))).await;
    pipe.fake.started.notified().await;
    assert_eq!(pipe.ask(modern(2, "tools/call", json!({"name": "echo"}))).await["id"], 2);
    assert_eq!(pipe.ask(modern(1, "tools/call", json!({"name": "echo"}))).await["error"]["code"], -32600);
    pipe.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}))
        .await;
    pipe.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    pipe.fake.dropped.notified().await;
    // No answer to what was cancelled, and its id is free.
    assert_eq!(
        pipe.ask(modern(1, "tools/call", json!({"name": "echo"}))).await["result"]["resultType"],
        "complete"
    );
}

#[tokio::test]
async fn a_cancellation_right_behind_its_request_finds_it() {
    let mut pipe = pipe();
    let wait = modern(1, "tools/call", json!({"name": "wait"}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    pipe.raw(format!("{wait}\n{cancel}\n").as_bytes()).await;
    assert_eq!(pipe.ask(modern(2, "tools/call", json!({"name": "echo"}))).await["id"], 2);
    pipe.fake.release.notify_one();
    assert_eq!(pipe.ask(modern(3, "tools/call", json!({"name": "echo"}))).await["id"], 3);
}

#[tokio::test]
async fn the_end_of_input_cancels() {
    let mut pipe = pipe();
    pipe.send(modern(1, "tools/call", json!({"name": "wait"}))).await;
    pipe.fake.started.notified().await;
    let fake = Arc::clone(&pipe.fake);
    pipe.close().await.unwrap();
    assert_eq!(fake.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_asked_before_the_end_of_input_is_answered_if_it_takes_no_waiting() {
    let mut pipe = pipe();
    pipe.raw(
        format!(
            "{}\n{}",
            modern(1, "tools/call", json!({"name": "echo"})),
            modern(2, "tools/list", json!({}))
        )
        .as_bytes(),
    )
    .await;
    pipe.input.shutdown().await.unwrap();
    let mut ids = vec![pipe.receive().await["id"].clone(), pipe.receive().await["id"].clone()];
    ids.sort_by_key(Value::as_i64);
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_and_answers_still_read() {
    let limits = Limits { concurrent: 1, ..Limits::default() };
    let mut pipe = pipe_with(limits, None).legacy("2025-11-25").await;
    // The stream of changes takes no place.
    pipe.send(request(1, "tools/call", json!({"name": "ask"}))).await;
    let question = pipe.receive().await;
    assert_eq!(pipe.ask(request(2, "tools/list", json!({}))).await["error"]["code"], 429);
    pipe.send(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})).await;
    assert_eq!(pipe.receive().await["id"], 1);
    assert_eq!(pipe.ask(request(3, "tools/list", json!({}))).await["id"], 3);
}

#[tokio::test]
async fn streams_have_places_of_their_own() {
    let limits = Limits { concurrent: 1, streams: 1, ..Limits::default() };
    let mut pipe = pipe_with(limits, None);
    let listen =
        |id| modern(id, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    assert_eq!(pipe.ask(listen(1)).await["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(pipe.ask(listen(2)).await["error"]["code"], 429);
    assert_eq!(
        pipe.ask(modern(3, "tools/call", json!({"name": "echo"}))).await["result"]["resultType"],
        "complete"
    );
}

#[tokio::test]
async fn requests_that_come_too_fast_are_refused_and_answers_still_read() {
    let limits = Limits { rate: 1, burst: 4, ..Limits::default() };
    // Which takes two.
    let mut pipe = pipe_with(limits, None).legacy("2025-11-25").await;
    pipe.send(request(1, "tools/call", json!({"name": "ask"}))).await;
    let question = pipe.receive().await;
    let mut refused = Value::Null;
    for id in 2..5 {
        refused = pipe.ask(request(id, "ping", json!({}))).await;
    }
    assert_eq!(refused["error"]["code"], 429, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("limits.calls-per-second"), "{refused}");
    pipe.send(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})).await;
    assert_eq!(pipe.receive().await["id"], 1);
}

#[tokio::test]
async fn bad_lines_are_answered_and_do_no_harm() {
    let limits = Limits { bytes: 300, depth: 8, ..Limits::default() };
    let mut pipe = pipe_with(limits, None);
    for (line, code) in [
        ("{", -32700),
        ("\u{0}", -32700),
        ("[]", -32600),
        ("{\"jsonrpc\":\"2.0\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"x\"}", -32700),
        ("[[[[[[[[[[[[1]]]]]]]]]]]]", -32700),
    ] {
        pipe.raw(format!("{line}\n\r\n").as_bytes()).await;
        let answer = pipe.receive().await;
        assert_eq!(answer["error"]["code"], code, "{line}");
        assert!(answer.get("id").is_none());
    }
    pipe.raw(&[b"x".repeat(100_000), b"\n".to_vec()].concat()).await;
    assert_eq!(pipe.receive().await["error"]["code"], -32600);
    pipe.raw(&[0xff, 0xfe, b'\n']).await;
    assert_eq!(pipe.receive().await["error"]["code"], -32700);
    assert_eq!(pipe.ask(modern(2, "tools/call", json!({"name": "echo"}))).await["id"], 2);
}

#[tokio::test]
async fn a_legacy_client_is_asked_by_requests_and_its_answers_are_matched() {
    let mut pipe = pipe().legacy("2025-11-25").await;
    pipe.send(request(1, "tools/call", json!({"name": "ask-two"}))).await;
    let (first, second) = (pipe.receive().await, pipe.receive().await);
    assert_eq!((&first["method"], &second["method"]), (&json!("elicitation/create"), &json!("roots/list")));
    assert_ne!(first["id"], second["id"]);
    let answer = |id: &Value, result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    pipe.send(answer(&json!(999), json!({}))).await;
    pipe.send(answer(&second["id"], json!({"roots": []}))).await;
    pipe.send(answer(&second["id"], json!({"roots": ["again"]}))).await;
    pipe.send(answer(&first["id"], json!({"action": "decline"}))).await;
    let result = pipe.receive().await;
    assert_eq!(result["result"]["content"][0]["text"], "[{\"action\":\"decline\"},{\"roots\":[]}]");
    assert_eq!(pipe.log.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_error_of_the_client_reaches_the_server_that_asked() {
    let mut pipe = pipe().legacy("2025-11-25").await;
    let question = pipe.ask(request(1, "tools/call", json!({"name": "ask"}))).await;
    let error = json!({"code": -1, "message": "no"});
    let answer = pipe.ask(json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    assert_eq!(answer["error"], error);
}

#[tokio::test]
async fn a_client_without_the_capability_is_not_asked() {
    let mut pipe = pipe();
    let capabilities = json!({"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}});
    pipe.ask(request(0, "initialize", capabilities)).await;
    assert_eq!(pipe.ask(request(1, "tools/call", json!({"name": "ask"}))).await["error"]["code"], -32600);
    let answer = pipe
        .ask(modern_with(2, "tools/call", json!({"name": "ask"}), json!({"elicitation": {"url": {}}})))
        .await;
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(answer["error"]["data"]["requiredCapabilities"], json!({"elicitation": {"form": {}}}));
}

#[tokio::test]
async fn log_messages_go_to_those_who_asked_for_their_level() {
    let call = json!({"name": "log"});
    let mut pipe = pipe().legacy("2025-11-25").await;
    let mut levels = async |message: Value| {
        let mut levels = Vec::new();
        pipe.send(message).await;
        loop {
            let message = pipe.receive().await;
            match message["params"]["level"].as_str() {
                Some(level) => levels.push(level.to_owned()),
                None => return levels,
            }
        }
    };
    assert_eq!(levels(request(1, "tools/call", call.clone())).await, ["debug", "error"]);
    assert_eq!(levels(request(2, "logging/setLevel", json!({"level": "warning"}))).await, [""; 0]);
    assert_eq!(levels(request(3, "tools/call", call.clone())).await, ["error"]);
    assert_eq!(levels(modern(4, "tools/call", call.clone())).await, [""; 0]);
    let meta = json!({"io.modelcontextprotocol/logLevel": "info"});
    assert_eq!(levels(modern(5, "tools/call", json!({"name": "log", "_meta": meta}))).await, ["error"]);
    let seen = pipe.fake.requests.lock().unwrap()[1].params["_meta"].clone();
    assert_eq!(seen["io.modelcontextprotocol/logLevel"], "warning");
}

#[tokio::test]
async fn changes_come_to_those_who_asked_and_to_sessions() {
    let mut pipe = pipe();
    let filter = json!({"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["file:///a", "secret:b"]});
    let acknowledged = pipe.ask(modern(7, "subscriptions/listen", json!({"notifications": filter}))).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]})
    );
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
    assert_eq!(*pipe.fake.watching.lock().unwrap(), ["file:///a"]);
    let changes = pipe.fake.changes.clone();
    changes.send(note("notifications/resources/list_changed", json!({}))).unwrap();
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///b"}))).unwrap();
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///a/c?PAY%20EVE"}))).unwrap();
    let updated = pipe.receive().await;
    // What lies within it is for its server to name, and so is not told.
    assert_eq!(updated["params"]["uri"], "file:///a");
    assert_eq!(updated["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
    // What may be heard no longer is not watched any longer.
    pipe.fake.deaf.lock().unwrap().push(String::new());
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///a"}))).unwrap();
    changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    assert_eq!(pipe.receive().await["method"], "notifications/tools/list_changed");
    assert!(pipe.fake.watching.lock().unwrap().is_empty());
    pipe.fake.deaf.lock().unwrap().clear();
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///a"}))).unwrap();
    changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    assert_eq!(pipe.receive().await["method"], "notifications/tools/list_changed");
    pipe.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}))
        .await;
    let mut pipe = pipe.legacy("2025-11-25").await;
    assert_eq!(pipe.ask(request(1, "ping", json!({}))).await["id"], 1);
    assert!(pipe.fake.watching.lock().unwrap().is_empty());
    // What the answer to `initialize` said that there is not has no changes either.
    changes.send(note("notifications/prompts/list_changed", json!({}))).unwrap();
    changes.send(note("notifications/tools/list_changed", json!({}))).unwrap();
    assert_eq!(pipe.receive().await, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    pipe.ask(request(2, "resources/subscribe", json!({"uri": "file:///x"}))).await;
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///x"}))).unwrap();
    assert_eq!(pipe.receive().await["params"]["uri"], "file:///x");
    pipe.ask(request(3, "resources/unsubscribe", json!({"uri": "file:///x"}))).await;
    changes.send(note("notifications/resources/updated", json!({"uri": "file:///x"}))).unwrap();
    assert_eq!(pipe.ask(request(4, "ping", json!({}))).await["id"], 4);
}

#[tokio::test]
async fn a_subscription_that_missed_changes_hears_that_everything_may_have_changed() {
    let mut pipe = pipe();
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]});
    pipe.ask(modern(7, "subscriptions/listen", json!({"notifications": filter}))).await;
    for _ in 0..20 {
        pipe.fake.changes.send(note("notifications/prompts/list_changed", json!({}))).unwrap();
    }
    assert_eq!(pipe.receive().await["method"], "notifications/tools/list_changed");
    assert_eq!(pipe.receive().await["params"]["uri"], "file:///a");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'\n')], 0..400)) {
        runtime().block_on(async {
            let limits = Limits { bytes: 64, ..Limits::default() };
            let settings = Settings { limits, log: quiet(), ..Settings::new("user") };
            serve(Arc::new(Fake::default()), bytes.as_slice(), tokio::io::sink(), settings).await.unwrap();
        });
    }

    #[test]
    fn a_conversation_with_a_byte_changed_does_no_harm(at in 0usize..900, to in any::<u8>()) {
        let lines = [
            initialize("2025-11-25"),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            request(1, "tools/call", json!({"name": "ask-two"})),
            json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}}),
            modern(2, "tools/call", json!({"name": "ask"})),
            modern(3, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})),
        ];
        let mut bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        let at = at % bytes.len();
        bytes[at] = to;
        runtime().block_on(async {
            let settings = Settings { log: quiet(), ..Settings::new("user") };
            serve(Arc::new(Fake::default()), bytes.as_slice(), tokio::io::sink(), settings).await.unwrap();
        });
    }
}
