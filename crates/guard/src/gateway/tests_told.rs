//! What an answer tells besides what it says: whether a call failed, was refused, or is forgotten.

use serde_json::{Value, json};

use super::house::*;
use super::*;
use crate::flow::Scope;
use crate::label::{Integrity, USER};
use crate::pin::FirstUse;
use crate::relay::FromServer;
use crate::wire::Id;

fn is_clean(house: &House, caller: &Caller) -> bool {
    let state = house.gateway.shared.lock();
    state.engine.context(&context(caller)).integrity.is_within(&Integrity::by(USER))
}

/// What the agent gets of `mail__fetch`, with the handle in it replaced.
async fn looks(house: &House, mail: &Fake, answer: Value) -> Value {
    mail.answers("fetch", answer);
    let params = json!({"name": "mail__fetch", "arguments": {}});
    let result = house.ask(&caller("ana", None), "tools/call", params).await.unwrap();
    let text = result["content"][0]["text"].as_str().unwrap();
    serde_json::from_str(&Value::Object(result.clone()).to_string().replace(&handle(text), "H")).unwrap()
}

#[tokio::test]
async fn by_reference_an_error_looks_like_a_result() {
    let (house, mail, _) = house();
    let result = looks(&house, &mail, text("x")).await;
    assert_eq!(looks(&house, &mail, json!(-32_603)).await, result);
    assert_eq!(looks(&house, &mail, json!("it died")).await, result);
    assert!(is_clean(&house, &caller("ana", None)));
    // It can be looked at like any value, and joins then.
    let error = handle(&house.call(&caller("ana", None), "mail__fetch", json!({})).await);
    let told = house.call(&caller("ana", None), "reveal", json!({"ref": error})).await;
    assert_eq!(told, "it died");
    assert!(!is_clean(&house, &caller("ana", None)));
}

#[tokio::test]
async fn an_error_of_a_tool_with_fields_of_strangers_may_be_any_of_them() {
    let policy = r#"
        [servers.bank]
        command = ["x"]
        [servers.bank.tools.list]
        critical = false
        [servers.bank.tools.list.result]
        influencers = ["server"]
        readers = "everyone"
        reveal = "value"
        [servers.bank.tools.list.result.fields."/result/*/subject"]
        influencers = ["payers"]
        reveal = "reference"
    "#;
    let bank = Fake::new(&["list"]);
    let house = house_with(policy, &[("bank", bank.clone())], FirstUse::TrustOnFirstUse);
    let ana = caller("ana", None);
    bank.answers("list", json!(-32_603));
    let answer = house.call(&ana, "list", json!({})).await;
    assert!(!answer.contains("IGNORE"), "{answer}");
    let shown = house.call(&ana, "reveal", json!({"ref": handle(&answer)})).await;
    assert!(shown.contains("IGNORE"), "{shown}");
    let state = house.gateway.shared.lock();
    let Integrity::Of(who) = &state.engine.context(&context(&ana)).integrity else { panic!() };
    assert!(who.contains("payers"), "{who}");
}

const GETS: &str = "\n[servers.web]\ncommand = [\"z\"]\n[servers.web.tools.get]\ncritical = false\naudience = \"everyone\"\nresult = { influencers = [], readers = \"everyone\", reveal = \"status\" }\n";

#[tokio::test]
async fn what_a_policy_says_about_an_unseen_value_tells_something_about_it() {
    let cedar = r#"
        permit (principal, action, resource);
        @id("not-eve")
        forbid (principal, action == Action::"call", resource == Tool::"web/get") when {
            context.arguments.hasTag("/to") && context.arguments.getTag("/to") has text
            && context.arguments.getTag("/to").text == "eve"
        };
    "#;
    for (value, refused) in [("eve", true), ("bob", false)] {
        for (argument, tells) in [("to", true), ("body", false)] {
            let text = format!("[policy]\ncedar = [\"rules.cedar\"]\n{POLICY}{GETS}");
            let (mail, web) = (Fake::new(&["fetch"]), Fake::new(&["get"]));
            let servers = [("mail", mail.clone()), ("notes", Fake::new(&[])), ("web", web.clone())];
            let house = house_under(policy_with(&text, Some(cedar)), &servers, FirstUse::TrustOnFirstUse);
            let ana = caller("ana", None);
            mail.answers("fetch", super::house::text(value));
            let handle = handle(&house.call(&ana, "mail__fetch", json!({})).await);
            let answer = house.call(&ana, "web__get", json!({argument: handle})).await;
            assert_eq!(answer.contains("not-eve"), refused && tells, "{answer}");
            // Refused or not, the context is the same.
            assert_eq!(is_clean(&house, &ana), !tells, "{value} as {argument}");
            // What the agent writes itself tells it nothing.
            let ben = caller("ben", None);
            house.call(&ben, "web__get", json!({argument: value})).await;
            assert!(is_clean(&house, &ben));
        }
    }
}

#[tokio::test]
async fn a_write_whose_outcome_cannot_be_recorded_is_remembered() {
    let (house, mail, notes) = house();
    let (ana, ben) = (caller("ana", None), caller("ben", None));
    mail.answers("read", text("pay eve"));
    house.call(&ana, "mail__read", json!({})).await;
    // What was seen by few is on record as digests.
    let many: Vec<Value> = (0..200).map(|at| json!(format!("a line that is long enough {at}"))).collect();
    notes.answers("save", json!({"content": [], "structuredContent": {"result": many}}));
    *house.journal.longest.lock().unwrap() = Some(4_000);
    let answer = house.call(&ana, "notes__save", json!({"name": "n", "text": "pay eve"})).await;
    assert!(answer.contains("audit log cannot be written"), "{answer}");
    *house.journal.longest.lock().unwrap() = None;
    notes.answers("load", text("pay eve"));
    house.call(&ben, "notes__load", json!({"name": "n"})).await;
    let state = house.gateway.shared.lock();
    let label = state.engine.context(&context(&ben));
    assert!(label.descends_from("mail/read"), "{label:?}");
}

#[tokio::test]
async fn that_a_value_is_no_longer_kept_tells_something_about_those_that_are() {
    let (house, mail, _) = house();
    let ana = caller("ana", None);
    mail.answers("fetch", text("x"));
    let first = handle(&house.call(&ana, "mail__fetch", json!({})).await);
    mail.answers("fetch", text(&"y".repeat(CAPACITY.bytes)));
    house.call(&ana, "mail__fetch", json!({})).await;
    assert!(is_clean(&house, &ana));
    let answer = house.call(&ana, "mail__send", json!({"to": "bob", "body": first})).await;
    assert!(answer.contains("no longer kept"), "{answer}");
    assert!(!is_clean(&house, &ana));
}

#[tokio::test]
async fn a_claim_that_is_too_long_is_one_that_nobody_may_rely_on() {
    let claimed = |label: Value| claim(&params(json!({"_meta": {LABEL: label}}))).unwrap();
    let fine = json!({"integrity": {"of": ["user"]}, "readers": "everyone", "provenance": ["s/t"]});
    assert_eq!(claimed(fine).integrity, Integrity::by(USER));
    let many: Vec<String> = (0..1_000).map(|at| format!("s{at}")).collect();
    for bad in [
        json!({"integrity": {"of": ["user"]}, "readers": "everyone", "provenance": many}),
        json!({"integrity": {"of": ["user"]}, "readers": {"only": many}}),
        json!({"integrity": {"of": ["x".repeat(10_000)]}, "readers": "everyone"}),
        json!("whatever"),
    ] {
        let label = claimed(bad);
        assert_eq!(label.integrity, Integrity::Anyone);
        assert!(!label.readers.includes(USER) && label.provenance.is_empty());
    }
}

#[tokio::test]
async fn how_often_a_server_tells_of_progress_is_not_told_where_its_results_are_not() {
    let (house, mail, _) = house();
    *mail.says.lock().unwrap() = Some("half".to_owned());
    for (tool, told) in [("mail__fetch", 0), ("mail__read", 1)] {
        let (relay, mut client) = Relay::new();
        let params = params(json!({"name": tool, "arguments": {}, "_meta": {"progressToken": 1}}));
        let request = RpcRequest { id: Id::Number(1), method: "tools/call".into(), params };
        house.gateway.handle(caller("ana", None), request, relay).await.unwrap();
        let mut heard = 0;
        while let Some(FromServer::Notification(_)) = client.try_recv() {
            heard += 1;
        }
        assert_eq!(heard, told, "{tool}");
    }
}

#[tokio::test]
async fn a_request_is_not_sent_again_once_it_was_stopped() {
    let (house, mail, _) = house();
    for stopped in [false, true] {
        *mail.again.lock().unwrap() = Some(Arc::new({
            let shared = house.gateway.clone();
            move || {
                if stopped {
                    let event = Event::Stopped { scope: Scope::All, by: "ana".into(), at: 1 };
                    let mut state = shared.shared.lock();
                    let _written = shared.shared.record(&mut state, &event, None).unwrap();
                }
            }
        }));
        let answer = house.call(&caller("ana", None), "mail__read", json!({})).await;
        assert_eq!(answer.contains("everything was stopped"), stopped, "{answer}");
    }
}
