//! What a plan gives back tells nothing of what its writer has not seen.

use serde_json::{Value, json};

use super::house::*;
use super::*;
use crate::flow::{CallId, Mutant, with};
use crate::label::{Integrity, USER};
use crate::pin::FirstUse;

/// With `stock`, whose answers nobody else has influenced and which are shown.
const STOCK: &str = "
[servers.mail.tools.stock]
critical = false
result = { influencers = [], readers = \"everyone\", reveal = \"value\" }
[servers.mail.tools.fragile]
critical = true
influencers = \"anyone\"
result = { influencers = [\"outside\"], readers = \"everyone\", reveal = \"reference\" }
";

/// An answer with every handle as `H`.
fn without_handles(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(PREFIX) => json!("H"),
        Value::Array(values) => values.iter().map(without_handles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), without_handles(value))).collect()
        }
        other => other.clone(),
    }
}

/// A house in whose world both tools answer with this text.
fn world(said: &str) -> (House, Arc<Fake>) {
    let mail = Fake::new(&["fetch", "stock", "fragile", "send", "pay"]);
    for tool in ["fetch", "stock"] {
        mail.answers(tool, text(said));
    }
    let failed = json!({"content": [{"type": "text", "text": "no"}], "isError": said.starts_with('a')});
    mail.answers("fragile", failed);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["load"]))];
    (house_with(&format!("{POLICY}{STOCK}"), &servers, FirstUse::TrustOnFirstUse), mail)
}

/// What the agent sees of a plan in the world in which the text is `said`.
async fn seen(said: &str, plan: &Value) -> Value {
    seen_with(said, plan, 1 << 20).await
}

/// The same where no record may be longer.
async fn seen_with(said: &str, plan: &Value, longest: usize) -> Value {
    let (house, mail) = world(said);
    *house.journal.longest.lock().unwrap() = Some(longest);
    let ana = caller("ana", None);
    let answer = house.ask(&ana, "tools/call", json!({"name": "run_plan", "arguments": plan})).await.unwrap();
    let text = answer["content"][0]["text"].as_str().unwrap();
    let label = house.gateway.shared.lock().engine.context(&context(&ana)).clone();
    assert!(label.integrity.is_within(&Integrity::by(USER)), "{text}");
    assert_eq!(answer.get("isError"), None);
    // Of the calls that strangers may not change, none is different either.
    let paid = mail.got("pay");
    json!({"answer": without_handles(&serde_json::from_str(text).unwrap()), "paid": paid})
}

/// A plan that reads with `tool`, goes on with `steps`, and returns what it read and something of its own.
fn reading(tool: &str, steps: Value) -> Value {
    let mut plan = vec![json!({"call": format!("mail__{tool}"), "id": "m"})];
    plan.extend(steps.as_array().unwrap().clone());
    plan.push(json!({"return": {"read": {"ref": "m"}, "own": "mine"}}));
    json!({"plan": plan})
}

/// Steps that do more work than a run may.
fn exhausting() -> Value {
    let rounds: Vec<u32> = (0..40).collect();
    json!([
        {"let": "t", "be": "0123456789abcdef"},
        {"for": "i", "in": {"literal": &rounds[..16]}, "max": 16,
         "do": [{"let": "t", "be": {"template": {"text": "{t}{t}"}}}]},
        {"for": "i", "in": {"literal": rounds}, "max": 40, "do": [{"let": "u", "be": {"ref": "t"}}]},
    ])
}

#[tokio::test]
async fn how_a_plan_ends_tells_nothing_of_a_value_that_the_agent_has_not_seen() {
    let is_a = json!({"starts_with": [{"ref": "m"}, "a"]});
    let not_a = json!({"not": is_a});
    let pay = json!({"call": "mail__pay", "with": {"to": "bob"}});
    let ends = [
        ("require", json!([{"require": not_a}])),
        ("require, and a call", json!([{"require": not_a}, {"call": "mail__send", "with": {"to": "bob"}}])),
        ("require in a branch", json!([{"if": is_a, "then": [{"require": false}]}])),
        ("on_error of a call", json!([{"call": "mail__fragile", "on_error": "stop"}])),
        (
            "on_error of a call that is not made",
            json!([
                {"let": "n", "be": {"match": {"in": {"ref": "m"}, "pattern": "^b"}}},
                {"call": "mail__send", "with": {"to": "bob", "body": {"ref": "n"}}, "on_error": "stop"}
            ]),
        ),
        ("exhaustion", json!([{"if": is_a, "then": exhausting()}])),
        ("exhaustion before a call", json!([{"if": is_a, "then": exhausting()}, pay])),
        (
            "exhaustion in what handles an error",
            json!([{"call": "mail__fragile", "on_error": exhausting()}, pay]),
        ),
    ];
    for (what, steps) in ends {
        // Unseen, both worlds look alike.
        let plan = reading("fetch", steps.clone());
        let (one, other) = (seen("apple", &plan).await, seen("banana", &plan).await);
        assert_eq!(one, other, "{what}");
        assert!(one["answer"]["outputs"]["read"] == "H" && one["answer"]["report"] == "H", "{what}: {one}");
        // Seen, they do not: there was something to tell.
        let plan = reading("stock", steps);
        let (one, other) = (seen("apple", &plan).await, seen("banana", &plan).await);
        assert!(one != other || what.contains("error"), "{what}");
        if !what.contains("error") {
            assert!(one["answer"]["outputs"]["failure"]["why"].is_string(), "{what}: {one}");
            assert_eq!(other["answer"]["outputs"]["own"], "mine", "{what}");
        }
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_its_own_step_and_not_the_plan() {
    let is_a = json!({"starts_with": [{"ref": "m"}, "a"]});
    let waits =
        json!([{"if": is_a, "then": [{"call": "mail__stock", "on_error": "stop"}]}, {"call": "mail__pay"}]);
    let plan = json!({"name": "run_plan", "arguments": reading("fetch", waits)});
    let seen = async |said: &str| {
        let (house, mail) = world(said);
        *mail.hangs.lock().unwrap() = Some("stock".to_owned());
        let ana = caller("ana", None);
        let answer = house.ask(&ana, "tools/call", plan.clone()).await.unwrap();
        let label = house.gateway.shared.lock().engine.context(&context(&ana)).clone();
        assert!(label.integrity.is_within(&Integrity::by(USER)));
        let told: Value = serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
        let report = house.call(&ana, "reveal", json!({"ref": told["report"]})).await;
        (without_handles(&told), mail.got("stock").len(), report)
    };
    let ((one, hung, report), (other, never, _)) = tokio::join!(seen("apple"), seen("banana"));
    assert_eq!((one, hung, never), (other, 1, 0));
    assert!(report.contains("mail__stock"), "{report}");
}

#[tokio::test]
async fn the_failure_of_a_plan_can_be_revealed_and_then_taints() {
    let (house, mail) = world("apple");
    let ana = caller("ana", None);
    let plan = reading("fetch", json!([{"require": {"starts_with": [{"ref": "m"}, "b"]}, "else": "no b"}]));
    let answer: Value = serde_json::from_str(&house.call(&ana, "run_plan", plan).await).unwrap();
    assert_eq!(house.call(&ana, "mail__pay", json!({})).await, "done");
    for handle in [&answer["outputs"]["own"], &answer["report"]] {
        let shown = house.call(&ana, "reveal", json!({"ref": handle})).await;
        assert!(shown.contains("no b") && shown.contains("plan[1]"), "{shown}");
    }
    assert!(house.call(&ana, "mail__pay", json!({})).await.contains("outside"));
    assert_eq!(mail.got("pay").len(), 1);
    assert!(!house.gateway.shared.lock().engine.unresolved().any(|call| call == CallId(0)));
}

#[tokio::test]
async fn a_plan_that_its_client_gives_up_has_an_outcome() {
    let (house, mail) = world("apple");
    *mail.hangs.lock().unwrap() = Some("stock".to_owned());
    let ana = caller("ana", None);
    let steps = json!([{"call": "mail__stock"}, {"call": "mail__pay"}]);
    let call = json!({"name": "run_plan", "arguments": reading("fetch", steps)});
    given_up(&house, &ana, call, || !mail.got("stock").is_empty()).await;
    let state = house.gateway.shared.lock();
    assert_eq!((state.engine.under_way_now(), state.engine.unresolved().count()), (0, 0));
    drop(state);
    let events = house.journal.events.lock().unwrap();
    let last = events.iter().rev().take(2).map(|event| match event {
        Event::Finished(outcome) => (outcome.call.0, outcome.failed),
        other => panic!("{other:?}"),
    });
    // The step, then the plan.
    assert_eq!(last.collect::<Vec<_>>(), [(0, true), (2, true)]);
    assert!(mail.got("pay").is_empty());
}

#[tokio::test]
async fn a_plan_whose_step_cannot_be_recorded_is_over() {
    let (house, mail) = world("apple");
    let ana = caller("ana", None);
    house.tools().await;
    let plan = || reading("fetch", json!([{"call": "mail__pay"}]));
    let full_after = |events: usize| {
        *house.journal.full_at.lock().unwrap() = Some(house.journal.events.lock().unwrap().len() + events);
    };
    // Nothing has gone out yet.
    full_after(1);
    let answer = house.call(&ana, "run_plan", plan()).await;
    assert!(answer.contains("audit log cannot be written") && !answer.contains("may have run"), "{answer}");
    assert!(mail.got("fetch").is_empty());
    // The first step is the last that is written; there is room again for what comes after.
    full_after(2);
    let answer = house.call(&ana, "run_plan", plan()).await;
    assert!(answer.contains("audit log cannot be written") && answer.contains("may have run"), "{answer}");
    // What came of the step nobody knows, which is on record as soon as there is room; the plan is over.
    assert_eq!(house.gateway.shared.lock().engine.unresolved().count(), 0);
    assert!(mail.got("pay").is_empty() && mail.got("fetch").len() == 1);
    // Nor has a plan been left alone whose second step could not be recorded.
    full_after(3);
    let answer = house.call(&ana, "run_plan", plan()).await;
    assert!(answer.contains("audit log cannot be written") && answer.contains("may have run"), "{answer}");
    assert!(mail.got("pay").is_empty() && mail.got("fetch").len() == 2);
}

/// What a plan gives back of a note that a clean run has written and nobody has changed.
async fn read_in_a_plan() -> String {
    let (house, _, notes) = house();
    let ana = caller("ana", None);
    house.call(&ana, "notes__save", json!({"name": "n", "text": "mine"})).await;
    notes.answers("load", text("mine"));
    let plan = json!({"plan": [{"id": "m", "call": "notes__load", "with": {"name": "n"}}, {"return": {"m": {"ref": "m"}}}]});
    house.call(&ana, "run_plan", plan).await
}

#[test]
fn what_a_plan_gives_back_does_not_tell_by_its_form_what_lies_in_a_store() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let given = runtime.block_on(read_in_a_plan());
    assert!(given.contains(PREFIX) && !given.contains("mine"), "{given}");
    let given = with(Mutant::PlansReadAsStored, || runtime.block_on(read_in_a_plan()));
    assert!(given.contains("mine"), "the mutant is noticed: {given}");
}

/// Calls a tool with `side` times `side` texts in the shape of handles, if the hidden text begins with `a`.
fn of_many_handles(side: usize) -> Value {
    let list = json!({ "literal": (10..10 + side).collect::<Vec<_>>() });
    let start = format!(":ref:{}", "A".repeat(18));
    let one =
        json!({"join": {"in": ["ostrom", start, {"text": {"ref": "a"}}, {"text": {"ref": "b"}}], "by": ""}});
    let row = json!({"map": {"list": list, "as": "b", "to": one}});
    let all = json!({"map": {"list": list, "as": "a", "to": row}});
    json!({"plan": [
        {"id": "m", "call": "mail__fetch", "with": {}},
        {"let": "g", "be": {"starts_with": [{"ref": "m"}, "a"]}},
        {"call": "mail__stock", "with": {"x": {"choose": [{"ref": "g"}, all, []]}}, "on_error": "continue"},
        {"return": {}},
    ]})
}

#[tokio::test]
async fn how_long_a_record_would_be_is_not_told() {
    for (side, longest) in [(2, 1 << 20), (90, 100_000), (14, 6_000)] {
        let plan = of_many_handles(side);
        let [one, other] = [seen_with("abc", &plan, longest).await, seen_with("xbc", &plan, longest).await];
        assert_eq!(one, other, "{side}");
        assert!(one["answer"]["report"].is_string(), "{one}");
    }
}
