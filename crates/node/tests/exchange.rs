//! What is shared, over HTTP: objects, cases, peers, the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::time::Duration;

use common::TestNode;
use reqwest::Method;
use serde_json::{Value, json};

fn flaw(tlp: &str, name: &str) -> Value {
    json!({"collection": "flaws", "handling": {"tlp": tlp}, "object": {"name": name, "description": "How it fails."}})
}

#[tokio::test]
async fn what_one_may_not_see_does_not_exist() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let vendor = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["contributor"]).await;
    let mut ids = Vec::new();
    for (tlp, name) in [("clear", "Open flaw"), ("green", "Members flaw"), ("red", "Secret flaw")] {
        let made = ada.api(Method::POST, "/api/v1/flaws", &flaw(tlp, name)).await;
        assert_eq!(made.status, 201, "{made:?}");
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let mut nobody = node.browser();
    let names = |answer: common::Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(ada.get("/api/v1/flaws").await), ["Secret flaw", "Members flaw", "Open flaw"]);
    assert_eq!(names(bob.get("/api/v1/flaws").await), ["Members flaw", "Open flaw"]);
    assert_eq!(names(nobody.get("/api/v1/flaws").await), ["Open flaw"]);
    assert_eq!(names(bob.get("/api/v1/search?q=flaw").await), ["Members flaw", "Open flaw"]);
    assert_eq!(names(bob.get("/api/v1/search?q=secret").await), Vec::<String>::new());
    // Byte for byte what does not exist is.
    let missing = "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    for rest in ["", "/versions", "/why", "/readers"] {
        let hidden = bob.get(&format!("/api/v1/objects/{}{rest}", ids[2])).await;
        assert_eq!(hidden.status, 404, "{rest}");
        assert_eq!(hidden.undated(), bob.get(&format!("/api/v1/objects/{missing}{rest}")).await.undated());
    }
    for method in [Method::PUT, Method::DELETE] {
        let path = |id: &str| format!("/api/v1/objects/{id}?collection=flaws");
        let body = if method == Method::PUT { flaw("clear", "Mine now") } else { json!({}) };
        let path = |id: &str| if method == Method::PUT { format!("/api/v1/objects/{id}") } else { path(id) };
        let hidden = bob.api(method.clone(), &path(&ids[2]), &body).await;
        assert_eq!(hidden.status, 404);
        assert_eq!(hidden.undated(), bob.api(method.clone(), &path(missing), &body).await.undated());
    }
    // What one may see is explained, and not changed by others.
    let why = bob.get(&format!("/api/v1/objects/{}/why", ids[1])).await.json();
    assert_eq!(why["tlp"], "TLP:GREEN");
    assert_eq!(bob.get(&format!("/api/v1/objects/{}/readers", ids[1])).await.status, 404);
    let readers = ada.get(&format!("/api/v1/objects/{}/readers", ids[1])).await.json();
    assert_eq!(readers.as_array().unwrap().iter().filter(|one| one["allowed"] == true).count(), 2);
    let changed =
        bob.api(Method::PUT, &format!("/api/v1/objects/{}", ids[1]), &flaw("clear", "Mine now")).await;
    assert!(matches!(changed.status, 403 | 422), "{changed:?}");
    // The owner's new version is one.
    node.clock.advance(60);
    let changed = ada
        .api(Method::PUT, &format!("/api/v1/objects/{}", ids[1]), &flaw("green", "Members flaw, again"))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(bob.get(&format!("/api/v1/objects/{}", ids[1])).await.json()["name"], "Members flaw, again");
    assert_eq!(
        ada.api(Method::DELETE, &format!("/api/v1/objects/{}?collection=flaws", ids[0]), &json!({}))
            .await
            .status,
        204
    );
    assert_eq!(nobody.get(&format!("/api/v1/objects/{}", ids[0])).await.status, 404);
    // The organisation's own deeds are in the audit log, others' are not.
    let deeds = ada.get("/api/v1/audit?limit=500").await.json();
    assert!(deeds["items"].as_array().unwrap().iter().any(|deed| deed["did"] == "take"));
    assert!(deeds["items"].as_array().unwrap().iter().all(|deed| deed["organisation"] != json!(vendor)));
    assert_eq!(bob.get("/api/v1/audit").await.status, 403);
    node.stop().await;
}

#[tokio::test]
async fn pages_end_where_the_reader_does_not_see_more() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    for n in 0..7 {
        let tlp = if n % 2 == 0 { "clear" } else { "red" };
        assert_eq!(
            ada.api(Method::POST, "/api/v1/flaws", &flaw(tlp, &format!("Flaw {n}"))).await.status,
            201
        );
    }
    let mut nobody = node.browser();
    let (mut seen, mut next) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = nobody.get(&format!("/api/v1/flaws?limit=2{next}")).await.json();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => break,
        }
    }
    assert_eq!(seen, ["Flaw 6", "Flaw 4", "Flaw 2", "Flaw 0"]);
    for bad in [
        "limit=0",
        "limit=501",
        "limit=x",
        "after=x",
        "after=",
        "other=1",
        "limit=1&limit=2",
        "after=%00",
        "after=%ff",
    ] {
        assert_eq!(nobody.get(&format!("/api/v1/flaws?{bad}")).await.status, 400, "{bad}");
    }
    // A cursor is good for the list that it is of.
    let after = nobody.get("/api/v1/flaws?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(nobody.get(&format!("/api/v1/techniques?after={after}")).await.status, 400);
    node.stop().await;
}

#[tokio::test]
async fn a_token_for_reports_reports_and_does_nothing_else() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let bearer = format!("Bearer {}", ada.token(&["report"]).await);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let mut machine = node.browser();
    let body = |tlp| flaw(tlp, "Found by a scanner").to_string().into_bytes();
    assert_eq!(machine.send(Method::POST, "/api/v1/flaws", &headers, body("amber")).await.status, 201);
    assert_eq!(machine.send(Method::POST, "/api/v1/techniques", &headers, body("amber")).await.status, 403);
    assert_eq!(machine.send(Method::GET, "/api/v1/flaws", &headers, Vec::new()).await.status, 403);
    let read = format!("Bearer {}", ada.token(&["read"]).await);
    let headers = [("authorization", &*read), ("content-type", "application/json")];
    assert_eq!(machine.send(Method::POST, "/api/v1/flaws", &headers, body("amber")).await.status, 403);
    assert_eq!(
        machine.send(Method::GET, "/api/v1/flaws", &headers, Vec::new()).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    node.stop().await;
}

#[tokio::test]
async fn a_case_is_for_its_parties_and_its_publication_for_everybody() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let (vendor, other) = (ada.organisation("Vendor").await, ada.organisation("Other").await);
    let mut bob = ada.invite(&node, &vendor, "bob@vendor.example", &["coordinator"]).await;
    let mut eve = ada.invite(&node, &other, "eve@other.example", &["coordinator"]).await;
    let researchers = ada.organisation("Researchers").await;
    let mut rio = ada.invite(&node, &researchers, "rio@researchers.example", &["contributor"]).await;
    let report = json!({"title": "Model leaks", "report": "It leaks when asked twice."});
    let opened = rio.api(Method::POST, "/api/v1/cases", &report).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let case = opened.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/cases/{case}");
    let missing = "/api/v1/cases/0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    for rest in ["", "/report", "/opening"] {
        let hidden = eve.get(&format!("{path}{rest}")).await;
        assert_eq!(hidden.status, 404);
        assert_eq!(hidden.undated(), eve.get(&format!("{missing}{rest}")).await.undated());
    }
    assert_eq!(eve.get("/api/v1/cases").await.json()["items"], json!([]));
    let party = json!({"organisation": vendor});
    let advisory = json!({"collection": "flaws", "handling": {"tlp": "amber"},
        "object": {"name": "Advisory", "context": "disclosure", "object_refs": []}});
    let flaw_id =
        ada.api(Method::POST, "/api/v1/flaws", &flaw("clear", "Model leaks")).await.json()["id"].clone();
    let mut advisory = advisory;
    advisory["object"]["object_refs"] = json!([flaw_id]);
    let made = ada.api(Method::POST, "/api/v1/advisories", &advisory).await;
    assert_eq!(made.status, 201, "{made:?}");
    let advisory = made.json()["id"].as_str().unwrap().to_owned();
    for what in [
        json!({"event": "triaged", "severity": "high", "note": "Bad."}),
        json!({"event": "party-invited", "party": party, "role": "vendor"}),
        json!({"event": "notified", "party": party}),
        json!({"event": "message", "to": "all", "text": "Please look."}),
    ] {
        let done = ada.api(Method::POST, &format!("{path}/events"), &what).await;
        assert_eq!(done.status, 200, "{what}: {done:?}");
    }
    assert_eq!(bob.get(&path).await.status, 200);
    let told = bob
        .api(
            Method::POST,
            &format!("{path}/events"),
            &json!({"event": "triaged", "severity": "low", "note": "No."}),
        )
        .await;
    assert_eq!(told.status, 422, "{told:?}");
    for what in [
        json!({"event": "acknowledged"}),
        json!({"event": "fix-ready", "note": "v2"}),
        json!({"event": "release-agreed"}),
    ] {
        let done = bob.api(Method::POST, &format!("{path}/events"), &what).await;
        assert_eq!(done.status, 200, "{what}: {done:?}");
    }
    let mut nobody = node.browser();
    assert_eq!(nobody.get(&format!("/api/v1/objects/{advisory}")).await.status, 404);
    node.clock.advance(60);
    for what in [
        json!({"event": "advisory-chosen", "advisory": advisory}),
        json!({"event": "published", "advisory": advisory}),
    ] {
        let done = ada.api(Method::POST, &format!("{path}/events"), &what).await;
        assert_eq!(done.status, 200, "{what}: {done:?}");
    }
    let published = nobody.get("/api/v1/advisories").await.json();
    assert_eq!(published["items"][0]["title"], "Advisory", "{published}");
    assert_eq!(nobody.get(&path).await.status, 401);
    node.stop().await;
}

#[tokio::test]
async fn a_peer_gets_what_it_may_see_and_the_rest_stays() {
    let (one, two) = (TestNode::start().await, TestNode::start().await);
    let (mut ada, mut bea) = (one.administrator().await, two.administrator().await);
    ada.collection("flaws").await;
    for (tlp, name) in [("clear", "Open"), ("green", "Members"), ("amber", "Ours")] {
        assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &flaw(tlp, name)).await.status, 201);
    }
    // The administrators of the first make the second a member, and give it a token.
    let partner = ada.organisation("Partner").await;
    let mut peer = ada.invite(&one, &partner, "sync@partner.example", &["coordinator"]).await;
    let token = peer.token(&["federate"]).await;
    let key = bea.send(Method::GET, "/federation/v1/identity", &[], Vec::new()).await;
    assert_eq!(key.status, 200);
    let key = one.browser().get("/federation/v1/identity").await.json()["key"].as_str().unwrap().to_owned();
    let form = json!({"url": one.browser().origin, "name": "One", "public_key": key, "token": token});
    let made = bea.api(Method::POST, "/api/v1/peers", &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let pulled = bea.api(Method::POST, &format!("/api/v1/peers/{id}/pull"), &json!({})).await;
    assert_eq!(pulled.status, 200, "{pulled:?}");
    let again = bea.api(Method::POST, &format!("/api/v1/peers/{id}/pull"), &json!({})).await;
    assert_eq!(again.json()["taken"], 0, "{again:?}");
    let found = two.browser().get("/api/v1/flaws").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["title"], "Open");
    // A wrong token, and a key of somebody else.
    for (field, value) in
        [("token", format!("ost_{}", "a".repeat(43))), ("url", "http://10.0.0.1".to_owned())]
    {
        let mut form = form.clone();
        form[field] = json!(value);
        if field == "token" {
            assert_eq!(bea.api(Method::DELETE, &format!("/api/v1/peers/{id}"), &json!({})).await.status, 204);
            let made = bea.api(Method::POST, "/api/v1/peers", &form).await.json();
            let path = format!("/api/v1/peers/{}/pull", made["id"].as_str().unwrap());
            assert_eq!(bea.api(Method::POST, &path, &json!({})).await.status, 409);
            let shown = bea.get(&format!("/api/v1/peers/{}", made["id"].as_str().unwrap())).await.json();
            assert!(shown["problem"].as_str().unwrap().contains("token"), "{shown}");
        }
    }
    assert_eq!(
        bea.send(Method::GET, "/federation/v1/changes?from=x&known=0&nonce=0", &[], Vec::new()).await.status,
        403
    );
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn peers_on_private_addresses_are_refused_unless_allowed() {
    let node = TestNode::with(|config| config.private_peers = false).await;
    let mut ada = node.administrator().await;
    let key = ada.get("/federation/v1/identity").await.json()["key"].clone();
    for url in [
        "http://node.example",
        "https://127.0.0.1",
        "https://[::1]",
        "https://169.254.169.254",
        "https://10.1.2.3:8443",
        "https://0x7f000001",
        "https://user@node.example",
        "https://node.example/path",
        "file:///etc/passwd",
        "gopher://node.example",
    ] {
        let form = json!({"url": url, "name": "Peer", "public_key": key, "token": "ost_x"});
        let made = ada.api(Method::POST, "/api/v1/peers", &form).await;
        assert_eq!(made.status, 422, "{url}: {made:?}");
    }
    // A name that leads here is found out when it is resolved.
    let form = json!({"url": "https://localhost", "name": "Peer", "public_key": key, "token": "ost_x"});
    let made = ada.api(Method::POST, "/api/v1/peers", &form).await.json();
    let pulled = ada
        .api(Method::POST, &format!("/api/v1/peers/{}/pull", made["id"].as_str().unwrap()), &json!({}))
        .await;
    assert!(pulled.json()["detail"].as_str().unwrap().contains("no address that may be asked"), "{pulled:?}");
    node.stop().await;
}

#[tokio::test]
async fn the_log_is_for_everybody_and_witnesses_cosign_it() {
    use ostrom_trust::SecretKey;
    use ostrom_trust::log::{SignedCheckpoint, VerifierKey};

    let secret = SecretKey::generate().unwrap();
    let witness = VerifierKey::witness("witness.example", secret.public()).unwrap();
    let known = witness.to_string();
    let node = TestNode::with(|config| config.witnesses = vec![known]).await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &flaw("red", "Secret")).await.status, 201);
    let mut nobody = node.browser();
    // The checkpoint comes by itself.
    let mut checkpoint = nobody.get("/log/checkpoint").await;
    for _ in 0..600 {
        if checkpoint.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        checkpoint = nobody.get("/log/checkpoint").await;
    }
    let key: VerifierKey =
        String::from_utf8(nobody.get("/log/key").await.body).unwrap().trim().parse().unwrap();
    let mut signed = SignedCheckpoint::open(&checkpoint.body, &key).unwrap();
    assert!(signed.checkpoint().size() > 0);
    let tile = nobody.get(&format!("/log/tile/0/000.p/{}", signed.checkpoint().size())).await;
    assert_eq!(tile.body.len() as u64, signed.checkpoint().size() * 32);
    // A stranger's cosignature is not taken, a known witness's is.
    let stranger = SecretKey::generate().unwrap();
    let mut other = signed.clone();
    other.cosign("stranger.example", &stranger, 1_785_664_800).unwrap();
    let sent = nobody.send(Method::POST, "/log/cosign", &[], other.to_string().into_bytes()).await;
    assert_eq!(sent.status, 422, "{sent:?}");
    signed.cosign("witness.example", &secret, 1_785_664_800).unwrap();
    let sent = nobody.send(Method::POST, "/log/cosign", &[], signed.to_string().into_bytes()).await;
    assert_eq!(sent.status, 204, "{sent:?}");
    let published = SignedCheckpoint::open(&nobody.get("/log/checkpoint").await.body, &key).unwrap();
    assert!(published.cosigned(std::slice::from_ref(&witness)).is_ok());
    for bad in [&b""[..], b"x", b"\xff\xfe", &[b'a'; 40_000]] {
        assert!(nobody.send(Method::POST, "/log/cosign", &[], bad.to_vec()).await.status >= 400);
    }
    node.stop().await;
}
