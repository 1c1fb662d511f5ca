//! The client that the command line uses, against a running node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use common::TestNode;
use ostrom_node::client::{Client, ClientError, NewObject};
use serde_json::json;

#[tokio::test]
async fn it_reports_lists_and_syncs() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let collection = ada.collection("flaws").await;
    let token = ada.token(&["read", "write", "report"]).await;
    let client = Client::new(&ada.origin, &token).unwrap();
    let flaw = |name: &str| NewObject::new("flaws", "amber", json!({"name": name}));
    let first = client.report(&flaw("One")).await.unwrap();
    client.report(&flaw("Two")).await.unwrap();
    assert!(first.link.ends_with(first.id.as_str()) && first.leaf.is_some());
    let page = client.list("flaws", None, 1).await.unwrap();
    assert_eq!(page.items[0].title, "Two");
    let rest = client.list("flaws", page.next.as_deref(), 1).await.unwrap();
    assert_eq!((rest.items[0].title.as_str(), rest.next), ("One", None));
    let body = client.object(&first.id).await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["name"], "One");
    let missing = "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".parse().unwrap();
    assert_eq!(client.object(&missing).await.unwrap(), None);
    let mut synced = Vec::new();
    let mut next = None;
    loop {
        let page = client.sync(&collection, None, next.as_deref(), 1).await.unwrap();
        synced.extend(page.objects.into_iter().map(|object| object["name"].clone()));
        next = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(synced, [json!("One"), json!("Two")]);
    node.stop().await;
}

#[tokio::test]
async fn it_says_what_the_node_says() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let token = ada.token(&["read"]).await;
    let client = Client::new(&ada.origin, &token).unwrap();
    let refused = client.report(&NewObject::new("flaws", "amber", json!({"name": "x"}))).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { status: 403, detail, .. } if detail.contains("scopes")),
        "{refused}"
    );
    let gone = ada.origin.clone();
    node.stop().await;
    let client = Client::new(&gone, &token).unwrap();
    assert!(matches!(client.list("flaws", None, 1).await, Err(ClientError::Reach { .. })));
}
