//! From the publication of a case to its advisory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use common::{Browser, TestNode};
use ostrom_core::{CaseId, Digest};
use ostrom_exchange::disclosure::What;
use ostrom_exchange::types::{Affected, BundleFacts, Evaluation, Mechanism, Rate, Suite};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(browser: &mut Browser, path: &str, body: &Value) -> Value {
    let made = browser.api(Method::POST, path, body).await;
    assert!(made.status == 201 || made.status == 200, "{path}: {made:?}");
    made.json()
}

/// A flaw for everybody, and a draft of an advisory about it. Gives the draft's id.
async fn draft(browser: &mut Browser, tlp: &str) -> String {
    let flaw =
        json!({"collection": "shared", "handling": {"tlp": "clear"}, "object": {"name": "Model leaks"}});
    let flaw = post(browser, "/api/v1/flaws", &flaw).await["id"].clone();
    let draft = json!({"collection": "shared", "handling": {"tlp": tlp},
        "object": {"name": "Advisory", "context": "unspecified", "object_refs": [flaw]}});
    post(browser, "/api/v1/advisories", &draft).await["id"].as_str().unwrap().to_owned()
}

/// A case that is triaged, which `ada` leads.
async fn case(node: &TestNode, ada: &mut Browser) -> String {
    let researchers = ada.organisation("Researchers").await;
    let mut rio = ada.invite(node, &researchers, "rio@researchers.example", &["contributor"]).await;
    let report = json!({"title": "Model leaks", "report": "It leaks when asked twice."});
    let case = post(&mut rio, "/api/v1/cases", &report).await["id"].as_str().unwrap().to_owned();
    let triaged = json!({"event": "triaged", "severity": "high", "note": "Bad."});
    post(ada, &format!("/api/v1/cases/{case}/events"), &triaged).await;
    case
}

#[tokio::test]
async fn an_advisory_that_a_killed_node_left_closed_is_opened_at_the_next_tick_and_once() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let advisory = draft(&mut ada, "amber").await;
    let case = case(&node, &mut ada).await;
    node.app.settle().await.unwrap();
    // What a node does that is killed between the two writes: the case alone is published.
    let persons = node.app.store.persons().await.unwrap();
    let ada_id = persons.iter().find(|person| person.name == "Ada").unwrap().id;
    let reader = node.app.store.reader_of_person(ada_id, true).await.unwrap().unwrap();
    let what = What::Published { advisory: Some(advisory.parse().unwrap()) };
    let id: CaseId = case.parse().unwrap();
    node.clock.advance(60);
    node.app.cases.act(&reader, id, &what, node.clock.now()).await.unwrap();
    let mut nobody = node.browser();
    assert_eq!(nobody.get("/api/v1/advisories").await.json()["items"], json!([]));

    node.clock.advance(60);
    node.app.settle().await.unwrap();
    let items = nobody.get("/api/v1/advisories").await.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
    let report = items[0]["id"].as_str().unwrap().to_owned();
    assert!(report.starts_with("report--"));
    // Again and again it stays the one that it is.
    for _ in 0..2 {
        node.clock.advance(60);
        node.app.settle().await.unwrap();
    }
    let versions = ada.get(&format!("/api/v1/objects/{report}/versions")).await.json();
    assert_eq!(versions.as_array().unwrap().len(), 1, "{versions}");
    // Its owner closes it again: then it stays closed.
    let body = ada.get(&format!("/api/v1/objects/{report}")).await.json();
    let closed = json!({"collection": "shared", "handling": {"tlp": "amber"}, "object": {
        "name": "Advisory", "published": body["published"], "report_types": body["report_types"],
        "object_refs": body["object_refs"]}});
    let put = ada.api(Method::PUT, &format!("/api/v1/objects/{report}"), &closed).await;
    assert_eq!(put.status, 200, "{put:?}");
    node.clock.advance(60);
    node.app.settle().await.unwrap();
    let versions = ada.get(&format!("/api/v1/objects/{report}/versions")).await.json();
    assert_eq!(versions.as_array().unwrap().len(), 2, "{versions}");
    node.stop().await;
}

#[tokio::test]
async fn nobody_opens_anothers_object_by_naming_it_as_the_advisory_of_a_case() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let case = case(&node, &mut ada).await;
    let vendor = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["coordinator", "contributor"]).await;
    let shown = draft(&mut bob, "green").await;
    let hidden = draft(&mut bob, "amber").await;
    let missing = "grouping--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".to_owned();
    let mut answers = Vec::new();
    for advisory in [&shown, &hidden, &missing] {
        for event in ["advisory-chosen", "published"] {
            let what = json!({"event": event, "advisory": advisory});
            let refused = ada.api(Method::POST, &format!("/api/v1/cases/{case}/events"), &what).await;
            assert_eq!(refused.status, 422, "{event} {advisory}: {refused:?}");
            answers.push(refused.undated());
        }
        let sent = [("event", "published"), ("advisory", &**advisory)];
        let refused = ada.form(&format!("/cases/{case}/act"), &sent).await;
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    // Whether it is there is not said.
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let view = ada.get(&format!("/api/v1/cases/{case}")).await.json();
    assert_eq!(view["view"]["phase"], "triaged");
    node.app.settle().await.unwrap();
    assert_eq!(node.browser().get("/api/v1/advisories").await.json()["items"], json!([]));
    // Her own, which only she can read, the node could not open.
    let red = draft(&mut ada, "red").await;
    let what = json!({"event": "published", "advisory": red});
    assert_eq!(ada.api(Method::POST, &format!("/api/v1/cases/{case}/events"), &what).await.status, 422);
    node.stop().await;
}

#[tokio::test]
async fn a_party_that_was_removed_finds_no_case() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let case = case(&node, &mut ada).await;
    let vendor = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["coordinator"]).await;
    let path = format!("/api/v1/cases/{case}");
    let party = json!({"organisation": vendor});
    let invited = json!({"event": "party-invited", "party": party, "role": "vendor"});
    post(&mut ada, &format!("{path}/events"), &invited).await;
    assert_eq!(bob.get(&path).await.status, 200);
    let shown = String::from_utf8(ada.get(&format!("/cases/{case}")).await.body).unwrap();
    assert!(shown.contains("Remove a party"));
    let sent =
        [("event", "party-removed"), ("party", &*format!("organisation:{vendor}")), ("why", "by mistake")];
    let removed = ada.form(&format!("/cases/{case}/act"), &sent).await;
    assert_eq!(removed.status, 303, "{removed:?}");
    let missing = "/api/v1/cases/0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    for rest in ["", "/report", "/opening"] {
        let gone = bob.get(&format!("{path}{rest}")).await.undated();
        assert_eq!(gone.status, 404);
        assert_eq!(gone, bob.get(&format!("{missing}{rest}")).await.undated());
    }
    assert_eq!(bob.get("/api/v1/cases").await.json()["items"], json!([]));
    let shown = String::from_utf8(ada.get(&format!("/cases/{case}")).await.body).unwrap();
    assert!(shown.contains("Vendor, removed") && shown.contains("by mistake"), "{shown}");
    node.stop().await;
}

#[tokio::test]
async fn a_bundle_that_is_published_twice_is_one_evaluation() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let form = |tlp: &str, bundle: &str| {
        let facts = BundleFacts {
            suite: Suite { name: "core".to_owned(), sha256: Digest::of(b"suite") },
            model: Affected::model("Meridian"),
            mechanisms: vec![Mechanism {
                name: "override".to_owned(),
                success: Rate::wilson(5, 20).unwrap(),
            }],
            benign_utility: None,
            utility_under_attack: None,
            bundle: Digest::of(bundle.as_bytes()),
            signer: "key-1".to_owned(),
            signed: node.clock.now(),
        };
        let (evaluation, software) = Evaluation::from_bundle(facts, node.clock.now(), None).unwrap();
        let mut object = serde_json::to_value(&evaluation).unwrap();
        for given in ["id", "type", "spec_version", "created", "modified"] {
            object.as_object_mut().unwrap().remove(given);
        }
        json!({"collection": "shared", "handling": {"tlp": tlp}, "object": object, "along": [software]})
    };
    let first = ada.api(Method::POST, "/api/v1/evaluations", &form("green", "b")).await;
    assert_eq!(first.status, 201, "{first:?}");
    node.clock.advance(60);
    let again = ada.api(Method::POST, "/api/v1/evaluations", &form("clear", "b")).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json(), first.json());
    let id = first.json()["id"].as_str().unwrap().to_owned();
    // It stays as it is: nobody opens it by publishing it again.
    assert_eq!(node.browser().get(&format!("/api/v1/objects/{id}")).await.status, 404);
    let other = ada.api(Method::POST, "/api/v1/evaluations", &form("green", "c")).await;
    assert_eq!(other.status, 201);
    assert_ne!(other.json()["id"], first.json()["id"]);
    // Another organisation's evaluation of the bundle is another one.
    let vendor = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["contributor"]).await;
    let theirs = bob.api(Method::POST, "/api/v1/evaluations", &form("green", "b")).await;
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.json()["id"], first.json()["id"]);
    node.stop().await;
}
