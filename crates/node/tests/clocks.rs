//! Others' clocks: a peer's and a writer's may be hours or centuries off. Nothing is lost by it, and no embargo ends early here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::time::Duration;

use common::{Answer, Browser, PASSWORD, TestNode};
use ostrom_core::Timestamp;
use ostrom_node::Clock;
use ostrom_node::client::{Client, Place};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const TAXII: &str = "application/taxii+json;version=2.1";

/// The time by the clock that is right.
fn begin() -> Timestamp {
    common::clock().now()
}

/// A peer whose clock is off, and a node that pulls from it.
struct Two {
    peer: TestNode,
    here: TestNode,
    /// Who shares something at the peer.
    ada: Browser,
    bea: Browser,
    /// The organisation that the node is at the peer.
    member: String,
    pull: String,
}

impl Two {
    async fn with(skew: i64) -> Self {
        let peer = TestNode::with(|config| config.clock = Clock::fixed(begin().plus_seconds(skew))).await;
        // After the first time it pulls only when it is told to.
        let here = TestNode::with(|config| config.pull_every = Duration::from_secs(3_600)).await;
        let (mut ada, mut bea) = (peer.administrator().await, here.administrator().await);
        let member = ada.organisation("Partner").await;
        let mut sync = ada.invite(&peer, &member, "sync@partner.example", &["coordinator"]).await;
        let token = sync.token(&["federate"]).await;
        let key = peer.browser().get("/federation/v1/identity").await.json()["key"].clone();
        let form = json!({"url": peer.browser().origin, "name": "Peer", "public_key": key, "token": token});
        let made = bea.api(Method::POST, "/api/v1/peers", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        let pull = format!("/api/v1/peers/{}/pull", made.json()["id"].as_str().unwrap());
        Self { peer, here, ada, bea, member, pull }
    }

    /// Shares a flaw at the peer: open to everybody once an embargo is over.
    async fn embargoed(&mut self, name: &str, until: Timestamp) -> String {
        let handling = json!({"tlp": "clear", "embargo": {"until": until}});
        let form = json!({"collection": "shared", "handling": handling, "object": {"name": name}});
        let made = self.ada.api(Method::POST, "/api/v1/flaws", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn pull(&mut self) -> Value {
        // Days may have passed here, and with them the session.
        self.bea = self.here.browser();
        assert_eq!(self.bea.sign_in("ada@institute.example", PASSWORD).await.status, 303);
        let pulled = self.bea.api(Method::POST, &self.pull.clone(), &json!({})).await;
        assert_eq!(pulled.status, 200, "{pulled:?}");
        pulled.json()
    }

    async fn stop(self) {
        self.peer.stop().await;
        self.here.stop().await;
    }
}

/// Whether everybody may see this at a node.
async fn is_open(node: &TestNode, id: &str) -> bool {
    let answer: Answer = node.browser().get(&format!("/api/v1/objects/{id}")).await;
    assert!([200, 404].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

/// The ids that come new to somebody who goes on where it ended, each time it comes.
async fn new_to(client: &Client, collection: &str, place: &mut Place) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let (page, after) = client.sync_on(collection, place, 2).await.unwrap();
        seen.extend(page.objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()));
        *place = after;
        if !page.more {
            seen.retain(|id| !id.starts_with("marking-definition"));
            return seen;
        }
    }
}

#[tokio::test]
async fn what_a_peer_gives_before_its_time_stays_under_embargo_here() {
    // The peer's clock says that the embargo has been over for four hours.
    let mut two = Two::with(6 * HOUR).await;
    let id = two.embargoed("Too early", begin().plus_seconds(2 * HOUR)).await;
    assert!(is_open(&two.peer, &id).await);
    two.pull().await;
    let kept = two.here.app.store.custody().versions(&id.parse().unwrap()).await.unwrap();
    assert_eq!(kept.len(), 1, "the peer has given it");
    let token = two.bea.token(&["read"]).await;
    let client = Client::new(&two.bea.origin, &token).unwrap();
    let mut place = Place::default();
    for _ in 0..2 {
        assert!(!is_open(&two.here, &id).await, "the peer's clock ended the embargo here");
        assert_eq!(new_to(&client, "peers", &mut place).await, [""; 0]);
        let searched = two.bea.get("/api/v1/search?q=early").await.json();
        assert_eq!(searched["items"], json!([]));
        // Up to the second before.
        two.here.clock.advance(2 * HOUR - 1 - (two.here.clock.now().micros() - begin().micros()) / 1_000_000);
        two.here.app.settle().await.unwrap();
    }
    two.here.clock.advance(1);
    two.here.app.settle().await.unwrap();
    assert!(is_open(&two.here, &id).await);
    // Who has been reading all the time learns of it now, and once.
    assert_eq!(new_to(&client, "peers", &mut place).await, [&*id]);
    two.here.clock.advance(DAY);
    two.here.app.settle().await.unwrap();
    assert_eq!(new_to(&client, "peers", &mut place).await, [""; 0]);
    assert_eq!(two.pull().await["taken"], 0);
    two.stop().await;
}

#[tokio::test]
async fn what_a_peer_gives_late_comes_and_our_clock_opens_nothing_at_the_peer() {
    let mut two = Two::with(-6 * HOUR).await;
    let id = two.embargoed("Late", begin().plus_seconds(2 * HOUR)).await;
    let open = two.ada.flaw("shared", "clear", "Open").await;
    two.pull().await;
    assert!(is_open(&two.here, &open).await, "what is there by a clock that is behind is there");
    // Here it is over, there it is not: who has the object decides.
    two.here.clock.advance(3 * HOUR);
    assert_eq!(two.pull().await["taken"], 0);
    assert!(!is_open(&two.peer, &id).await && !is_open(&two.here, &id).await);
    let later = two.ada.flaw("shared", "clear", "After it").await;
    two.pull().await;
    assert!(is_open(&two.here, &later).await);
    two.peer.clock.advance(8 * HOUR);
    two.peer.app.settle().await.unwrap();
    two.pull().await;
    assert!(is_open(&two.here, &id).await, "it lay before the place where the next pull begins");
    assert_eq!(two.pull().await["taken"], 0);
    two.stop().await;
}

#[tokio::test]
async fn a_node_whose_clock_was_ahead_still_looks_at_everything_again() {
    let mut two = Two::with(0).await;
    let group = json!({"name": "Later together", "description": "", "organisations": [], "persons": []});
    let group = two.ada.api(Method::POST, "/api/v1/groups", &group).await.json();
    let id = group["id"].as_str().unwrap().to_owned();
    let handling = json!({"tlp": "amber", "audience": [{"group": id}]});
    let form = json!({"collection": "shared", "handling": handling, "object": {"name": "For the group"}});
    assert_eq!(two.ada.api(Method::POST, "/api/v1/flaws", &form).await.status, 201);
    two.ada.flaw("shared", "clear", "Open").await;
    // The clock here was a year ahead when everything was looked at for the last time, and has been set right.
    two.here.clock.advance(365 * DAY);
    two.pull().await;
    two.here.clock.advance(-365 * DAY);
    let joined =
        json!({"name": "Later together", "description": "", "organisations": [two.member], "persons": []});
    let joined = two.ada.api(Method::PUT, &format!("/api/v1/groups/{id}"), &joined).await;
    assert_eq!(joined.status, 200, "{joined:?}");
    two.here.clock.advance(2 * DAY);
    assert!(two.pull().await["taken"].as_u64().unwrap() >= 1, "it would be found in a year");
    two.stop().await;
}

#[tokio::test]
async fn a_writers_clock_loses_nothing_and_opens_nothing() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let collection = ada.collection("flaws").await;
    let partner = ada.organisation("Partner").await;
    let mut pat = ada.invite(&node, &partner, "pat@partner.example", &["contributor"]).await;
    let reader = Client::new(&ada.origin, &pat.token(&["read"]).await).unwrap();
    let writer = ada.token(&["read", "write"]).await;
    let bearer = format!("Bearer {writer}");
    let headers = [("authorization", &*bearer), ("content-type", TAXII), ("accept", TAXII)];
    let path = format!("/taxii2/api/collections/{collection}/objects/");
    let green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";
    let id = |n: usize| format!("vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd006{n}");
    let object = |n: usize, time: &str, name: &str| {
        json!({"type": "vulnerability", "spec_version": "2.1", "id": id(n), "created": time, "modified": time,
            "name": name, "object_marking_refs": [green]})
    };
    let times = [
        "2026-08-02T16:00:00.000Z",
        "1901-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.998Z",
        "2026-08-02T04:00:00.000Z",
        "2999-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.000Z",
    ];
    let mut place = Place::default();
    for (n, time) in times.iter().enumerate() {
        let body = json!({"objects": [object(n, time, "Flaw")]}).to_string().into_bytes();
        let sent = node.browser().send(Method::POST, &path, &headers, body).await;
        assert_eq!(sent.json()["success_count"], 1, "{time}: {sent:?}");
        assert_eq!(new_to(&reader, &collection, &mut place).await, [id(n)], "{time}");
        node.clock.advance(60);
    }
    // From the beginning, and after a time by the node's clock: in the order in which they came.
    let all: Vec<String> = (0..times.len()).map(id).collect();
    assert_eq!(new_to(&reader, &collection, &mut Place::default()).await, all);
    let mut from = Place { added: Some(begin().plus_seconds(150)), next: None };
    assert_eq!(new_to(&reader, &collection, &mut from).await, all[3..]);
    // What is written here afterwards is the last version, though the one before is said to be of later.
    for (n, time) in times.iter().enumerate() {
        let form =
            json!({"collection": "flaws", "handling": {"tlp": "green"}, "object": {"name": "Written anew"}});
        let changed = ada.api(Method::PUT, &format!("/api/v1/objects/{}", id(n)), &form).await;
        assert_eq!(changed.status, 200, "{time}: {changed:?}");
        let last = pat.get(&format!("/api/v1/objects/{}", id(n))).await.json();
        assert_eq!(last["name"], "Written anew", "the version of {time} stays in front of it: {last}");
        assert_eq!(new_to(&reader, &collection, &mut place).await, [id(n)], "{time}");
    }
    // A version for which there is no later time is told, and not put behind.
    let form = json!({"collection": "flaws", "handling": {"tlp": "green"}, "object": {"name": "Once more"}});
    let end = ada.api(Method::PUT, &format!("/api/v1/objects/{}", id(2)), &form).await;
    assert_eq!(end.status, 409, "{end:?}");

    // An embargo ends by the node's clock, whatever the writer's says.
    for (n, modified) in [(7, "1901-01-01T00:00:00.000Z"), (8, "2999-01-01T00:00:00.000Z")] {
        let until = node.clock.now().plus_seconds(2 * HOUR);
        let handling = json!({"tlp": "green", "embargo": {"until": until}});
        let form = json!({"collection": "flaws", "handling": handling, "object": {"name": "Under embargo"}});
        let made =
            ada.api(Method::POST, "/api/v1/flaws", &form).await.json()["id"].as_str().unwrap().to_owned();
        // The same marks on an object that says it is of another time.
        let marks = ada.get(&format!("/api/v1/objects/{made}")).await.json()["object_marking_refs"].clone();
        let id = id(n);
        let object = json!({"type": "vulnerability", "spec_version": "2.1", "id": id, "created": modified,
            "modified": modified, "name": "By TAXII", "object_marking_refs": marks});
        let body = json!({"objects": [object]}).to_string().into_bytes();
        let sent = node.browser().send(Method::POST, &path, &headers, body).await;
        assert_eq!(sent.json()["success_count"], 1, "{sent:?}");
        assert_eq!(new_to(&reader, &collection, &mut place).await, [""; 0]);
        let seen = async |browser: &mut Browser| browser.get(&format!("/api/v1/objects/{id}")).await.status;
        assert_eq!((seen(&mut pat).await, seen(&mut ada).await), (404, 200));
        node.clock.advance(2 * HOUR - 1);
        node.app.settle().await.unwrap();
        assert_eq!((seen(&mut pat).await, new_to(&reader, &collection, &mut place).await.len()), (404, 0));
        node.clock.advance(1);
        node.app.settle().await.unwrap();
        assert_eq!(seen(&mut pat).await, 200);
        let mut told = new_to(&reader, &collection, &mut place).await;
        told.sort();
        let mut expected = [id.clone(), made];
        expected.sort();
        assert_eq!(told, expected);
    }
    node.stop().await;
}
