//! Bringing in what others have published, by the API and its client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use common::TestNode;
use ostrom_node::client::{Client, ClientError};
use reqwest::Method;
use serde_json::{Value, json};

const GOOD: &str = "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
const ODD: &str = "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062";

/// A bundle with a good object, one that lacks what the specification asks for, and one that is none.
fn bundle() -> Vec<u8> {
    let thing = |id: &str| {
        json!({"type": "attack-pattern", "spec_version": "2.1", "id": id, "created": "2026-01-01T00:00:00.000Z",
            "modified": "2026-01-01T00:00:00.000Z", "name": "Prompt injection", "x_mitre_platforms": ["ATLAS"],
            "object_marking_refs": ["marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"]})
    };
    let mut odd = thing(ODD);
    odd.as_object_mut().unwrap().remove("name");
    json!({"type": "bundle", "id": "bundle--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0060",
        "objects": [thing(GOOD), odd, {"type": "attack-pattern", "id": "nothing"}]})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn what_others_have_published_is_taken_with_its_defects_on_record_and_once() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("public").await;
    let token = ada.token(&["read", "write"]).await;
    let client = Client::new(&ada.origin, &token).unwrap();
    let counts = |report: &Value| {
        ["read", "taken", "same", "defective", "refused"].map(|name| report[name].as_u64().unwrap())
    };
    let report = client.import("stix", "public", "amber", bundle()).await.unwrap();
    assert_eq!(counts(&report), [3, 2, 0, 1, 1], "{report}");
    let defect =
        report["problems"].as_array().unwrap().iter().find(|problem| problem["kept"] == true).unwrap();
    assert!(defect["record"] == ODD && defect["why"][0].as_str().unwrap().contains("name"), "{report}");
    let again = client.import("stix", "public", "amber", bundle()).await.unwrap();
    assert_eq!(counts(&again)[..3], [3, 2, 2], "{again}");
    // As they came, and with their own marks: TLP:CLEAR is for everybody.
    let mut nobody = node.browser();
    for id in [GOOD, ODD] {
        assert_eq!(nobody.get(&format!("/api/v1/objects/{id}")).await.status, 200, "{id}");
    }
    assert_eq!(nobody.get(&format!("/api/v1/objects/{GOOD}")).await.json()["x_mitre_platforms"][0], "ATLAS");

    let incident = json!({"id": "INC-00007", "title": "A chatbot told a secret", "date": "2023-04", "severity": "High",
        "description": "It was asked to."});
    let dataset =
        json!({"version": "2.13.0", "generated": "2026-10-09", "incidents": [incident]}).to_string();
    let report = client.import("genai-incidents", "public", "clear", dataset.into_bytes()).await.unwrap();
    assert_eq!(counts(&report), [1, 1, 0, 0, 0], "{report}");
    assert_eq!(nobody.get("/api/v1/incidents").await.json()["items"][0]["title"], "A chatbot told a secret");

    for (source, file, part) in [
        ("stix", &b"<html>"[..], "JSON"),
        ("stix", b"\xff", ""),
        ("genai-incidents", b"{}", ""),
        ("avid", b"[7", ""),
    ] {
        let refused = client.import(source, "public", "clear", file.to_vec()).await.unwrap_err();
        assert!(matches!(&refused, ClientError::Refused { status: 422, .. }), "{source}: {refused}");
        assert!(refused.to_string().contains(part), "{source}: {refused}");
    }
    for (source, collection) in [("word", "public"), ("stix", "nowhere")] {
        assert!(client.import(source, collection, "clear", bundle()).await.is_err(), "{source} {collection}");
    }
    // Whoever may not write is refused, and so is a page of somebody else's.
    let token = ada.token(&["read"]).await;
    let reader = Client::new(&ada.origin, &token).unwrap();
    let refused = reader.import("stix", "public", "clear", bundle()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused}");
    let headers = [("content-type", "application/json")];
    let path = "/api/v1/imports?source=stix&collection=public";
    assert_eq!(ada.send(Method::POST, path, &headers, bundle()).await.status, 403);
    assert_eq!(nobody.send(Method::POST, path, &headers, bundle()).await.status, 401);
    node.stop().await;
}
