//! The same node over PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use common::{PASSWORD, TestNode};
use ostrom_store::testing::Postgres;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn people_sign_in_and_share_over_postgresql() {
    let postgres = Postgres::start().unwrap_or_else(|why| panic!("{why}"));
    let url = postgres.url();
    let node = TestNode::with(|config| config.database = Some(url.into())).await;
    let mut ada = node.administrator().await;
    assert_eq!(ada.sign_in("ada@institute.example", PASSWORD).await.status, 303);
    let made =
        ada.api(Method::POST, "/api/v1/collections", &json!({"title": "Flaws", "alias": "flaws"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    for (tlp, name) in [("clear", "Open"), ("red", "Secret")] {
        let form = json!({"collection": "flaws", "handling": {"tlp": tlp}, "object": {"name": name}});
        assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &form).await.status, 201);
    }
    assert_eq!(ada.get("/api/v1/flaws").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(node.browser().get("/api/v1/flaws").await.json()["items"].as_array().unwrap().len(), 1);
    let token = ada.token(&["read"]).await;
    let bearer = format!("Bearer {token}");
    let listed = node
        .browser()
        .send(Method::GET, "/taxii2/api/collections/", &[("authorization", &bearer)], Vec::new())
        .await;
    assert_eq!(listed.status, 200);
    node.stop().await;
}
