//! What the audit log holds, and who learns what from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::path::Path;

use common::{Browser, TestNode};
use reqwest::Method;
use serde_json::{Value, json};

async fn deeds(browser: &mut Browser) -> Vec<Value> {
    let answer = browser.get("/api/v1/audit?limit=500").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

fn of<'a>(deeds: &'a [Value], did: &str, what: &str) -> Vec<&'a Value> {
    let fits = |deed: &&Value| deed["did"] == did && deed["what"].as_str().unwrap_or_default().contains(what);
    deeds.iter().filter(fits).collect()
}

/// How many entries the log has.
fn size(folder: &Path) -> usize {
    ostrom_trust::log::read_from(folder, 0).unwrap().count()
}

async fn own_organisation(browser: &mut Browser) -> String {
    let me = browser.get("/api/v1/me").await.json();
    let organisation = &me["organisation"];
    organisation.as_str().or_else(|| organisation["id"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn what_everybody_reads_is_counted_and_does_not_fill_the_log() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let id = ada.flaw("shared", "clear", "Open").await;
    node.app.settle().await.unwrap();
    let folder = node.app.data().join("audit");
    let before = size(&folder);
    let mut nobody = node.browser();
    for _ in 0..20 {
        for path in ["/", "/flaws", "/flaws.atom", "/api/v1/flaws", &format!("/api/v1/objects/{id}")] {
            assert_eq!(nobody.get(path).await.status, 200, "{path}");
        }
    }
    assert_eq!(size(&folder), before);
    node.app.settle().await.unwrap();
    let summed = size(&folder);
    assert!(summed > before);
    node.app.settle().await.unwrap();
    assert_eq!(size(&folder), summed, "nothing new was counted");
    // The node's administrators learn how much it was; nobody else does.
    let all = deeds(&mut ada).await;
    let counted: u64 =
        all.iter().filter(|deed| deed["who"] == "nobody").map(|deed| deed["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 100, "{all:?}");
    let institute = own_organisation(&mut ada).await;
    let mut bob = ada.invite(&node, &institute, "bob@institute.example", &["coordinator"]).await;
    assert!(deeds(&mut bob).await.iter().all(|deed| deed["who"] != "nobody"));
    node.stop().await;
}

#[tokio::test]
async fn a_coordinator_learns_of_no_object_that_is_not_for_them() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let institute = own_organisation(&mut ada).await;
    let mut bob = ada.invite(&node, &institute, "bob@institute.example", &["coordinator"]).await;
    let open = ada.flaw("shared", "amber", "Ours").await;
    let secret = ada.flaw("shared", "red", "Hers").await;
    for path in [
        format!("/flaws/{secret}"),
        format!("/flaws/{}", secret.replace("--", "%2D%2D")),
        format!("/api/v1/objects/{secret}"),
        format!("/flaws/{secret}/stix"),
        format!("/search?q={secret}"),
        format!("/flaws/{open}"),
        "/flaws".to_owned(),
        "/api/v1/flaws".to_owned(),
    ] {
        assert_eq!(ada.get(&path).await.status, 200, "{path}");
    }
    let uuid = secret.split("--").nth(1).unwrap();
    let hers = deeds(&mut ada).await;
    assert!(Value::from(hers.clone()).to_string().matches(uuid).count() >= 6);
    assert_eq!(of(&hers, "page", "api flaws")[0]["count"], 2);

    let seen = deeds(&mut bob).await;
    let text = Value::from(seen.clone()).to_string();
    assert!(!text.contains(uuid), "{text}");
    // Nor how many there were, nor what was in the answer.
    let list = of(&seen, "page", "api flaws");
    assert_eq!(list.len(), 1, "{text}");
    assert!(list[0].get("count").is_none(), "{list:?}");
    let one = of(&seen, "page", "api object (not for you)");
    assert!(one.len() == 1 && one[0].get("sha256").is_none(), "{text}");
    // What bob may see is named and counted, and so is what was written for all.
    assert!(seen.iter().any(|deed| deed["first"] == json!(open) && deed["count"] == 1), "{text}");
    let page = String::from_utf8(bob.get("/audit").await.body).unwrap();
    assert!(page.contains("(not for you)") && page.contains(&open) && !page.contains(uuid), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn what_administrators_do_is_told_to_them_and_to_those_whom_it_concerns() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let (vendor, other) = (ada.organisation("Vendor").await, ada.organisation("Other").await);
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["coordinator"]).await;
    let mut eve = ada.invite(&node, &other, "eve@other.example", &["coordinator"]).await;
    let group = json!({"name": "Nordic", "organisations": [vendor]});
    assert_eq!(ada.api(Method::POST, "/api/v1/groups", &group).await.status, 201);
    let token = bob.token(&["read"]).await;
    let key = ada.get("/federation/v1/identity").await.json()["key"].clone();
    let peer = json!({"url": "http://localhost:9", "name": "Peer", "public_key": key, "token": "ost_secret"});
    assert_eq!(ada.api(Method::POST, "/api/v1/peers", &peer).await.status, 201);

    let all = deeds(&mut ada).await;
    for what in ["organisation", "roles [coordinator]", "link by which person", "trust group", "peer "] {
        assert!(!of(&all, "administer", what).is_empty(), "{what}: {all:?}");
    }
    let hers = deeds(&mut bob).await;
    assert!(
        !of(&hers, "administer", "bob@vendor.example, active, roles [coordinator]").is_empty(),
        "{hers:?}"
    );
    assert!(!of(&hers, "administer", "link by which").is_empty());
    assert!(!of(&hers, "token", "for [read]").is_empty());
    assert!(of(&hers, "administer", "trust group").is_empty() && of(&hers, "administer", "peer ").is_empty());
    let others = deeds(&mut eve).await;
    assert!(
        of(&others, "token", "").is_empty() && of(&others, "administer", "bob@").is_empty(),
        "{others:?}"
    );
    // A deed of another organisation's machine is not for administrators.
    assert!(of(&all, "token", "").is_empty());
    let text = Value::from([all, hers, others].concat()).to_string();
    assert!(!text.contains(&token) && !text.contains("ost_secret"));
    let page = String::from_utf8(bob.get("/audit").await.body).unwrap();
    assert!(page.contains("administer") && page.contains("roles [coordinator]"));
    node.stop().await;
}

#[tokio::test]
async fn what_is_said_in_a_case_is_on_record_and_which_case_it_was_only_for_its_parties() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let researchers = ada.organisation("Researchers").await;
    let mut rio =
        ada.invite(&node, &researchers, "rio@researchers.example", &["contributor", "coordinator"]).await;
    let mut rosa = ada.invite(&node, &researchers, "rosa@researchers.example", &["coordinator"]).await;
    let report = json!({"title": "Model leaks", "report": "It leaks when asked twice."});
    let case =
        rio.api(Method::POST, "/api/v1/cases", &report).await.json()["id"].as_str().unwrap().to_owned();
    let said = json!({"event": "message", "to": "all", "text": "Anything new?"});
    let path = format!("/api/v1/cases/{case}");
    assert_eq!(rio.api(Method::POST, &format!("{path}/events"), &said).await.status, 200);
    for path in [&*path, &format!("{path}/report"), &format!("/cases/{case}")] {
        assert_eq!(rio.get(path).await.status, 200, "{path}");
    }
    // Who is no party leaves nothing behind.
    let refused = rosa.api(Method::POST, &format!("{path}/events"), &said).await;
    assert_eq!(refused.status, 404);

    let his = deeds(&mut rio).await;
    for what in ["opened", "message", "report read", "page"] {
        let found = of(&his, "case", what);
        assert!(found.iter().any(|deed| deed["first"] == json!(format!("case--{case}"))), "{what}: {his:?}");
    }
    let hers = deeds(&mut rosa).await;
    assert_eq!(of(&hers, "case", "message").len(), 1);
    let text = Value::from(hers).to_string();
    assert!(!text.contains(&case) && !text.contains("Anything new"), "{text}");
    assert!(deeds(&mut ada).await.iter().all(|deed| deed["did"] != "case"));
    node.stop().await;
}
