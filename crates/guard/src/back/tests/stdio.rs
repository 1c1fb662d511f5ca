//! Child processes, and every way in which they go wrong.

use futures_util::future::join;

use super::*;
use crate::back::{Fault, Misdeeds};
use crate::wire::{Revision, RpcError};

fn script() -> Script {
    Script::new(include_str!("faulty.py"))
}

async fn start_with(era: &str, start: &str, settings: Settings) -> Result<Server, BackError> {
    // The interpreter has read its program before the file goes away with the script: a server that starts again needs it,
    // so it stays until the process ends.
    let script = Box::leak(Box::new(script()));
    Server::start("faulty", script.connection(&[era, start]), settings).await
}

async fn start(era: &str) -> Server {
    start_with(era, "ok", settings()).await.unwrap()
}

/// Whether a process is there and not a zombie of somebody else's.
fn runs(pid: &str) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'),
        Err(_) => false,
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_future_can_move_between_threads() {
    fn check(_: &(impl Send + ?Sized)) {}
    let server = start("legacy").await;
    let nothing = Map::new();
    check(&server);
    check(&server.request(&nothing, "ping", Map::new(), Relay::nowhere(), later()));
    check(&server.subscribe("a:1"));
    check(&server.unsubscribe("a:1"));
    check(&server.stop());
    check(&start("legacy"));
}

#[tokio::test]
async fn the_era_is_found_out() {
    for (era, start, revision) in [
        ("modern", "ok", Revision::V2026_07_28),
        ("legacy", "ok", Revision::V2025_11_25),
        ("legacy", "old", Revision::V2025_06_18),
        ("legacy", "exit", Revision::V2025_11_25),
    ] {
        let server = start_with(era, start, settings()).await.unwrap();
        let info = server.info();
        assert_eq!(info.revision, revision, "{era} {start}");
        assert_eq!(info.instructions.as_deref(), Some("Be brief."));
        assert_eq!(info.server.as_ref().unwrap()["name"], "faulty");
        assert!(info.capabilities.contains_key("tools"));
        assert!(text(&server, "echo", json!({"a": 1})).await.contains("\"a\": 1"), "{era} {start}");
    }
}

#[tokio::test]
async fn a_silent_or_slow_server_is_found_out_as_well() {
    let mut impatient = settings();
    impatient.limits.probe = Duration::from_millis(300);
    let silent = start_with("legacy", "silent", impatient.clone()).await.unwrap();
    assert_eq!(silent.info().revision, Revision::V2025_11_25);
    assert_eq!(text(&silent, "echo", json!({})).await, r#"{"arguments": {}, "meta": {}}"#);
    let slow = start_with("modern", "slow", impatient).await.unwrap();
    assert_eq!(slow.info().revision, Revision::V2026_07_28);
    assert!(text(&slow, "echo", json!({})).await.contains("2026-07-28"));
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let missing = Connection::command(|| Ok(Command::new("/no/such/program")));
    let error = Server::start("x", missing, settings()).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let error = start_with("legacy", "never", settings()).await.unwrap_err();
    assert!(error.to_string().contains("no configuration found [31m"), "{error}");
    assert!(!error.may_have_run());
    let error = start_with("modern", "newer", settings()).await.unwrap_err();
    assert!(error.to_string().contains("2031-01-01"), "{error}");
    let mut impatient = settings();
    impatient.limits.start = Duration::from_millis(300);
    let error = start_with("legacy", "mute", impatient).await.unwrap_err();
    assert!(error.to_string().contains("not ready after"), "{error}");
}

#[tokio::test]
async fn a_legacy_result_has_the_newest_shape_inside() {
    let server = start("legacy").await;
    let list = server
        .request(&Map::new(), "tools/list", Map::new(), Relay::nowhere(), later())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&list["resultType"], &list["ttlMs"], &list["cacheScope"]),
        (&json!("complete"), &json!(0), &json!("private"))
    );
    let error = tool(&server, "missing", json!({})).await.unwrap().unwrap_err();
    assert_eq!((error.code, error.data), (RpcError::INVALID_PARAMS, Some(json!({"uri": "x:y"}))));
    let error =
        server.request(&Map::new(), "initialize", Map::new(), Relay::nowhere(), later()).await.unwrap();
    assert_eq!(error.unwrap_err().code, RpcError::METHOD_NOT_FOUND);
}

#[tokio::test]
async fn progress_carries_the_callers_token_and_is_nobody_elses() {
    for era in ["legacy", "modern"] {
        let server = start(era).await;
        let (relay, from) = Relay::new();
        let seen = client(from, json!({}));
        let params =
            map(json!({"name": "flood", "arguments": {"count": 3}, "_meta": {"progressToken": "mine"}}));
        let spy = async {
            let (relay, from) = Relay::new();
            let seen = client(from, json!({}));
            let params = map(json!({"name": "others-progress", "_meta": {"progressToken": "spy"}}));
            server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap().unwrap();
            seen
        };
        let nothing = Map::new();
        let own = server.request(&nothing, "tools/call", params, relay, later());
        let (own, spied) = join(own, spy).await;
        own.unwrap().unwrap();
        let seen: Vec<_> = gather(&seen)
            .await
            .iter()
            .map(|(_, p)| (p["progressToken"].clone(), p["progress"].clone()))
            .collect();
        assert_eq!(
            seen[..3],
            [(json!("mine"), json!(0)), (json!("mine"), json!(1)), (json!("mine"), json!(2))],
            "{era}"
        );
        assert!(gather(&spied).await.is_empty());
    }
}

#[tokio::test]
async fn a_dead_server_fails_its_requests_and_comes_back() {
    for era in ["legacy", "modern"] {
        let server = start(era).await;
        let mut changes = server.changes();
        let (hanging, dying) = join(tool(&server, "hang", json!({})), tool(&server, "die", json!({}))).await;
        for error in [hanging.unwrap_err(), dying.unwrap_err()] {
            assert!(error.may_have_run());
            let text = error.to_string();
            assert!(text.contains("ended with status 3") && text.contains("the disk is full"), "{text}");
        }
        assert!(text(&server, "echo", json!({})).await.contains("arguments"));
        // Nothing was sent twice, and listeners look again at what may have changed.
        let calls: Value = serde_json::from_str(&text(&server, "seen", json!({})).await).unwrap();
        let called = calls["calls"].as_array().unwrap().iter().filter(|c| **c == "tools/call").count();
        assert_eq!(called, 2, "{era}: {calls}");
        assert_eq!(changes.recv().await.unwrap().method, "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn a_server_that_keeps_dying_is_left_alone_for_a_while() {
    let mut few = settings();
    few.limits.restarts = 3;
    few.limits.backoff = Duration::from_secs(3600);
    let server = start_with("legacy", "ok", Settings { era: Era::Legacy, ..few }).await.unwrap();
    assert!(tool(&server, "die", json!({})).await.is_err());
    // It has never answered a caller: the second start waits, and a caller with a deadline does not wait with it.
    let soon = Instant::now() + Duration::from_millis(100);
    let params = map(json!({"name": "echo"}));
    let error = server.request(&Map::new(), "tools/call", params, Relay::nowhere(), soon).await.unwrap_err();
    assert!(error.to_string().contains("not ready in time") && !error.may_have_run(), "{error}");
}

#[tokio::test]
async fn the_number_of_useless_starts_is_bounded() {
    let count = tempfile::NamedTempFile::new().unwrap();
    let path = count.path().to_owned();
    let script = script();
    let good = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = Arc::clone(&good);
    let inner = Mutex::new(script);
    let connection = Connection::command(move || {
        let start = if flag.load(std::sync::atomic::Ordering::SeqCst) { "ok" } else { "never" };
        let mut starts = std::fs::read(&path)?;
        starts.push(b'x');
        std::fs::write(&path, starts)?;
        let mut command = Command::new("python3");
        command.arg(&inner.lock().unwrap().0).args(["legacy", start]);
        Ok(command)
    });
    let mut few = fixed(Era::Legacy);
    few.limits.restarts = 3;
    few.limits.backoff = Duration::from_millis(200);
    let server = Server::start("x", connection, few).await.unwrap();
    good.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(text(&server, "echo", json!({})).await.contains("arguments"));
    assert!(tool(&server, "die", json!({})).await.is_err());
    for _ in 0..3 {
        assert!(tool(&server, "echo", json!({})).await.is_err());
    }
    let error = tool(&server, "echo", json!({})).await.unwrap_err();
    assert!(
        error.to_string().contains("3 starts led to nothing")
            && error.to_string().contains("no configuration found"),
        "{error}"
    );
    assert_eq!(std::fs::read(count.path()).unwrap().len(), 4);
}

#[tokio::test]
async fn an_answer_given_right_before_the_end_arrives() {
    let server = start("modern").await;
    assert_eq!(text(&server, "last-word", json!({})).await, "done");
}

#[tokio::test]
async fn a_child_that_holds_the_output_does_not_hide_the_servers_end() {
    let server = start("legacy").await;
    let error = tool(&server, "orphan", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("ended with status 4"), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_its_input_is_replaced() {
    let server = start("legacy").await;
    let soon = Instant::now() + Duration::from_millis(200);
    let params = map(json!({"name": "deaf"}));
    // It took the call and will never answer.
    assert!(server.request(&Map::new(), "tools/call", params, Relay::nowhere(), soon).await.is_err());
    let first = tool(&server, "echo", json!({})).await;
    // The write may succeed or fail, depending on the kernel; after that there is a new process.
    let second = text(&server, "echo", json!({})).await;
    assert!(second.contains("arguments"), "{first:?}");
}

#[tokio::test]
async fn a_hanging_call_ends_at_its_deadline_and_is_cancelled() {
    for era in ["legacy", "modern"] {
        let server = start(era).await;
        let soon = Instant::now() + Duration::from_millis(100);
        let params = map(json!({"name": "hang"}));
        let error =
            server.request(&Map::new(), "tools/call", params, Relay::nowhere(), soon).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Deadline);
        // A dropped future cancels as well.
        let dropped =
            tokio::time::timeout(Duration::from_millis(100), tool(&server, "hang", json!({}))).await;
        assert!(dropped.is_err());
        let seen: Value = serde_json::from_str(&text(&server, "seen", json!({})).await).unwrap();
        assert_eq!(seen["cancelled"], 2, "{era}");
    }
}

#[tokio::test]
async fn a_second_or_foreign_answer_reaches_nobody() {
    let server = start("legacy").await;
    assert_eq!(text(&server, "twice", json!({})).await, "first");
    assert_eq!(text(&server, "wrong-id", json!({})).await, "right");
    let (one, two) =
        join(text(&server, "swap", json!({"me": "one"})), text(&server, "swap", json!({"me": "two"}))).await;
    assert_eq!((one.as_str(), two.as_str()), ("one", "two"));
    assert_eq!(server.misdeeds(), Misdeeds { stray: 4, ..Misdeeds::default() });
}

#[tokio::test]
async fn garbage_and_long_lines_are_skipped_and_counted() {
    let (mut small, said) = (settings(), Arc::new(Mutex::new(Vec::new())));
    small.limits.wire.bytes = 10_000;
    let lines = Arc::clone(&said);
    small.stderr = Some(Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())));
    let server = start_with("legacy", "ok", small).await.unwrap();
    assert_eq!(text(&server, "garbage", json!({"long": 50_000})).await, "after");
    assert_eq!(server.misdeeds(), Misdeeds { garbage: 5, ..Misdeeds::default() });
    let error = tool(&server, "too-much", json!({"long": 50_000})).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Protocol(why) if why.contains("limits.message-bytes")), "{error}");
    // An answer that cannot be taken would else look like silence.
    let said = said.lock().unwrap().join("\n");
    assert_eq!(said.matches("[guard] what it sent is ignored: ").count(), 6, "{said}");
    assert!(said.contains("id") && said.contains("limits.message-bytes"), "{said}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_taken_is_not_waited_for() {
    let server = start("legacy").await;
    assert_eq!(text(&server, "half", json!({})).await, "half \u{fffd}");
    let error = tool(&server, "unacceptable", json!({})).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Protocol(why) if why.contains("stands twice")), "{error}");
    assert!(error.may_have_run());
    assert_eq!(server.misdeeds(), Misdeeds { garbage: 1, ..Misdeeds::default() });
}

#[tokio::test]
async fn a_server_that_babbles_floods_or_never_ends_a_line_is_cut_off() {
    let mut small = settings();
    small.limits.wire.bytes = 100_000;
    small.limits.notifications = 50;
    for (name, arguments, reason) in [
        ("babble", json!({}), "no MCP messages"),
        ("flood", json!({"count": 51}), "notifications for one request"),
        ("spam", json!({"count": 100_000}), "flood of notifications"),
        ("endless", json!({}), "limits.message-bytes"),
    ] {
        let server = start_with("legacy", "ok", small.clone()).await.unwrap();
        let params = map(json!({"name": name, "arguments": arguments, "_meta": {"progressToken": 1}}));
        let error =
            server.request(&Map::new(), "tools/call", params, Relay::nowhere(), later()).await.unwrap_err();
        assert!(
            matches!(error.fault(), Fault::CutOff(_)) && error.to_string().contains(reason),
            "{name}: {error}"
        );
        assert!(text(&server, "echo", json!({})).await.contains("arguments"), "{name}");
    }
}

#[tokio::test]
async fn a_slow_listener_holds_up_nobody_else() {
    let server = start("legacy").await;
    // Nobody reads this relay, and it has room for 64.
    let (relay, _kept) = Relay::new();
    let params = map(json!({"name": "flood", "arguments": {"count": 1000}, "_meta": {"progressToken": 1}}));
    let nothing = Map::new();
    let stuck = server.request(&nothing, "tools/call", params, relay, later());
    let others = async {
        assert!(text(&server, "echo", json!({})).await.contains("arguments"));
        // Whichever of the two was sent first: the flood comes, and does not fit.
        while server.misdeeds().dropped == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = stuck => panic!("its relay is full"),
        () = others => {}
    }
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let mut few = settings();
    few.limits.outstanding = 1;
    let server = start_with("modern", "ok", fixed_outstanding(few)).await.unwrap();
    // The guard's own subscription counts as well.
    let (first, second) = join(
        tokio::time::timeout(Duration::from_millis(200), tool(&server, "hang", json!({}))),
        tool(&server, "echo", json!({})),
    )
    .await;
    assert!(first.is_err() || second.is_err());
    assert!(matches!(second.unwrap_err().fault(), Fault::Busy(_)));
}

fn fixed_outstanding(mut settings: Settings) -> Settings {
    settings.limits.outstanding = 2;
    settings
}

#[tokio::test]
async fn a_legacy_servers_question_reaches_the_only_caller() {
    let server = start("legacy").await;
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept", "content": {"name": "Ada"}}));
    let able = map(json!({"elicitation": {}}));
    let params = map(json!({"name": "ask"}));
    let result = server.request(&able, "tools/call", params.clone(), relay, later()).await.unwrap().unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains("Ada"));
    assert_eq!(gather(&seen).await[0].0, "elicitation/create");
    // A client that did not declare it is not asked.
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept"}));
    let result = server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap().unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains("-32601"));
    assert!(gather(&seen).await.is_empty());
}

#[tokio::test]
async fn a_question_that_could_be_anybodys_is_nobodys() {
    let server = start("legacy").await;
    let able = map(json!({"elicitation": {}}));
    let ask = || async {
        let (relay, from) = Relay::new();
        let seen = client(from, json!({"action": "accept"}));
        let params = map(json!({"name": "ask"}));
        let result = server.request(&able, "tools/call", params, relay, later()).await.unwrap().unwrap();
        (result["content"][0]["text"].as_str().unwrap().to_owned(), seen.lock().unwrap().len())
    };
    let hanging = tool(&server, "hang", json!({}));
    tokio::pin!(hanging);
    // Let it be written first.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut hanging).await.is_err());
    let (result, seen) = tokio::select! {
        _ = &mut hanging => panic!("it hangs"),
        asked = ask() => asked,
    };
    assert!(result.contains("not clear which request") && seen == 0, "{result}");
    // Its future is dropped at the end of the test: until then, and for a while after, the server may ask for it.
    assert_eq!(server.misdeeds().refused, 1);
}

#[tokio::test]
async fn a_question_after_a_cancelled_call_is_nobodys_for_a_while() {
    for (linger, refused) in [(Duration::from_secs(3600), true), (Duration::ZERO, false)] {
        let mut settings = settings();
        settings.limits.linger = linger;
        let server = start_with("legacy", "ok", settings).await.unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(100), tool(&server, "hang", json!({}))).await.is_err()
        );
        let (relay, from) = Relay::new();
        let _seen = client(from, json!({"action": "accept"}));
        let able = map(json!({"elicitation": {}}));
        let result = server.request(&able, "tools/call", map(json!({"name": "ask"})), relay, later()).await;
        let text = result.unwrap().unwrap()["content"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(text.contains("not clear which request"), refused, "{text}");
    }
}

#[tokio::test]
async fn a_modern_servers_question_is_asked_and_the_call_goes_on() {
    let server = start("modern").await;
    let able = map(json!({"elicitation": {}}));
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept", "content": {"name": "Ada"}}));
    // What the agent put there is not the server's.
    let params = map(json!({"name": "ask", "requestState": "forged", "inputResponses": {"who": {}}}));
    let result = server.request(&able, "tools/call", params, relay, later()).await.unwrap().unwrap();
    assert_eq!(
        result["content"][0]["text"],
        r#"["s1", {"who": {"action": "accept", "content": {"name": "Ada"}}}]"#
    );
    assert_eq!(gather(&seen).await.len(), 1);
    assert_eq!(text(&server, "shed", json!({})).await, "null");
}

#[tokio::test]
async fn a_modern_server_cannot_ask_for_ever_or_for_what_was_not_declared() {
    let server = start("modern").await;
    let able = map(json!({"elicitation": {}}));
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept"}));
    let params = map(json!({"name": "ask", "arguments": {"for-ever": true}}));
    let error = server.request(&able, "tools/call", params, relay, later()).await.unwrap_err();
    assert!(error.to_string().contains("rounds of input"), "{error}");
    assert_eq!(gather(&seen).await.len(), 8);
    for method in ["sampling/createMessage", "tools/call"] {
        let (relay, from) = Relay::new();
        let seen = client(from, json!({}));
        let params = map(json!({"name": "ask", "arguments": {"method": method}}));
        let error = server.request(&able, "tools/call", params, relay, later()).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Protocol(_)), "{error}");
        assert!(gather(&seen).await.is_empty());
    }
    let error = tool(&server, "odd-type", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("unknown type"), "{error}");
}

#[tokio::test]
async fn a_client_that_is_gone_answers_no_question() {
    let server = start("modern").await;
    let able = map(json!({"elicitation": {}}));
    let params = map(json!({"name": "ask"}));
    let answer = server.request(&able, "tools/call", params, Relay::nowhere(), later()).await.unwrap();
    assert_eq!(answer.unwrap_err().code, RpcError::INVALID_REQUEST);
}

#[tokio::test]
async fn pings_are_answered_and_cannot_block() {
    let server = start("legacy").await;
    assert_eq!(text(&server, "ping", json!({})).await, "{}");
    assert_eq!(text(&server, "pings", json!({"count": 20})).await, "after");
}

#[tokio::test]
async fn log_messages_reach_the_only_caller_from_the_level_it_wants() {
    let server = start("legacy").await;
    let (relay, from) = Relay::new();
    let seen = client(from, json!({}));
    let params = map(json!({"name": "log", "_meta": {"io.modelcontextprotocol/logLevel": "warning"}}));
    server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap().unwrap();
    let seen: Vec<_> = gather(&seen).await.iter().map(|(_, params)| params["level"].clone()).collect();
    assert_eq!(seen, ["error"]);
    let told: Value = serde_json::from_str(&text(&server, "seen", json!({})).await).unwrap();
    assert_eq!(told["levels"], json!(["warning"]));
}

#[tokio::test]
async fn changes_and_subscriptions_work_in_both_eras() {
    for era in ["legacy", "modern"] {
        let server = start(era).await;
        server.subscribe("a:1").await.unwrap().unwrap();
        server.subscribe("a:1").await.unwrap().unwrap();
        let mut changes = server.changes();
        assert_eq!(text(&server, "changed", json!({})).await, "changed");
        let first = changes.recv().await.unwrap();
        assert_eq!(
            (first.method.as_str(), first.params),
            ("notifications/tools/list_changed", Map::new()),
            "{era}"
        );
        // While a newer stream of changes takes over from an older one, both may tell the same.
        let mut second = changes.recv().await.unwrap();
        while second.method == "notifications/tools/list_changed" {
            second = changes.recv().await.unwrap();
        }
        assert_eq!(
            (second.method.as_str(), Value::Object(second.params)),
            ("notifications/resources/updated", json!({"uri": "a:1"})),
            "{era}"
        );
        // The first of two that give up changes nothing for the other.
        server.unsubscribe("a:1").await.unwrap();
        assert_eq!(text(&server, "changed", json!({})).await, "changed");
        while changes.recv().await.unwrap().method != "notifications/resources/updated" {}
        // After a restart the server is told again.
        assert!(tool(&server, "die", json!({})).await.is_err());
        assert!(text(&server, "echo", json!({})).await.contains("arguments"));
        while changes.try_recv().is_ok() {}
        loop {
            text(&server, "changed", json!({})).await;
            let updated = std::iter::from_fn(|| changes.try_recv().ok())
                .any(|n| n.method == "notifications/resources/updated");
            if updated {
                break;
            }
        }
        server.unsubscribe("a:1").await.unwrap();
    }
}

#[tokio::test]
async fn a_modern_server_may_refuse_a_subscription_or_forge_none() {
    let server = start("modern").await;
    let answer = server.subscribe("no:1").await.unwrap();
    assert_eq!(answer.unwrap_err().code, RpcError::INVALID_PARAMS);
    let mut changes = server.changes();
    assert_eq!(text(&server, "forge-change", json!({})).await, "forged");
    assert!(changes.try_recv().is_err());
    assert_eq!(server.misdeeds().dropped, 1);
}

#[tokio::test]
async fn dropping_the_server_ends_the_process_and_its_children() {
    let server = start("legacy").await;
    let pids = text(&server, "child", json!({})).await;
    let (own, child) = pids.split_once(' ').unwrap();
    assert!(runs(own) && runs(child));
    drop(server);
    until(|| !runs(own) && !runs(child)).await;
    // Waited for: not even a zombie is left.
    until(|| !std::path::Path::new(&format!("/proc/{own}")).exists()).await;
}

#[tokio::test]
async fn stopping_is_polite_first() {
    let server = start("legacy").await;
    let pid = text(&server, "pid", json!({})).await;
    let hanging = tool(&server, "hang", json!({}));
    let (hanging, ()) = join(hanging, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.stop().await;
    })
    .await;
    assert_eq!(hanging.unwrap_err().fault(), &Fault::Stopped);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(tool(&server, "echo", json!({})).await.unwrap_err().fault(), &Fault::Stopped);
    let stubborn = start_with("legacy", "stubborn", settings()).await.unwrap();
    let pid = text(&stubborn, "pid", json!({})).await;
    stubborn.stop().await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn standard_error_is_passed_on() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let settings = Settings {
        stderr: Some(Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()))),
        ..settings()
    };
    let server = start_with("legacy", "ok", settings).await.unwrap();
    assert!(tool(&server, "die", json!({})).await.is_err());
    until(|| lines.lock().unwrap().iter().any(|line| line == "the disk is full")).await;
}

/// A client whose requests a person has stopped.
pub(super) fn stopped(mut from: crate::relay::Receiver<FromServer>) {
    tokio::spawn(async move {
        while let Some(message) = from.recv().await {
            if let FromServer::Again(answer) = message {
                answer.send(Err(RpcError::new(RpcError::INTERNAL, "stopped"))).unwrap();
            }
        }
    });
}

#[tokio::test]
async fn a_request_that_is_stopped_while_it_waits_is_not_sent() {
    let server = start("modern").await;
    let ask = async |name: &str| {
        let (relay, from) = Relay::new();
        stopped(from);
        let params = map(json!({"name": name, "arguments": {}}));
        server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap()
    };
    // Nothing has to be waited for.
    ask("echo").await.unwrap();
    // The server wants it a second time.
    assert_eq!(ask("shed").await.unwrap_err().message, "stopped");
    // The server has to be started again.
    tool(&server, "die", json!({})).await.unwrap_err();
    assert_eq!(ask("echo").await.unwrap_err().message, "stopped");
}

#[tokio::test]
async fn requests_that_are_stopped_while_the_server_does_not_read_are_not_written() {
    let server = start("modern").await;
    text(&server, "busy", json!({"seconds": 1.0})).await;
    // More than a pipe holds: what is behind it waits in the guard.
    let filling = tool(&server, "echo", json!({"text": "x".repeat(1 << 20)}));
    let ask = async || {
        let (relay, from) = Relay::new();
        stopped(from);
        let params = map(json!({"name": "flood", "arguments": {"count": 0}}));
        server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap()
    };
    // As many as the queue holds, and some that wait for room in it.
    let behind = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        futures_util::future::join_all((0..100).map(|_| ask())).await
    };
    let (filled, behind) = tokio::join!(filling, behind);
    filled.unwrap().unwrap();
    assert!(behind.into_iter().all(|outcome| outcome.unwrap_err().message == "stopped"));
    let seen: Value = serde_json::from_str(&text(&server, "seen", json!({})).await).unwrap();
    let calls = seen["calls"].as_array().unwrap();
    assert_eq!(calls.iter().filter(|method| *method == "tools/call").count(), 3, "{calls:?}");
}
