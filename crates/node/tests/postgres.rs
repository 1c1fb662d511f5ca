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
    ada.collection("flaws").await;
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

/// A certificate authority, and a certificate for `localhost` from it with its key, in PEM.
fn authority() -> (String, String, String) {
    let mut about = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let root = about.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(about, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (root, leaf.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn the_way_to_postgresql_is_encrypted_to_the_server_that_its_certificate_names_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (root, certificate, key) = authority();
    let (right, wrong) = (folder.path().join("root.pem"), folder.path().join("other.pem"));
    std::fs::write(&right, root).unwrap();
    std::fs::write(&wrong, authority().0).unwrap();
    let postgres = Postgres::start_tls(&certificate, &key).unwrap_or_else(|why| panic!("{why}"));
    let url =
        |host: &str, rest: String| format!("postgres://ostrom@{host}:{}/postgres?{rest}", postgres.port());
    let full = |root: &std::path::Path| format!("sslmode=verify-full&sslrootcert={}", root.display());
    for (why, refused) in [
        ("another authority", url("localhost", full(&wrong))),
        ("another name", url("127.0.0.1", full(&right))),
        ("no such file", url("localhost", full(&folder.path().join("none.pem")))),
        ("the public authorities", url("localhost", "sslmode=verify-full".to_owned())),
        ("no encryption", url("localhost", "sslmode=disable".to_owned())),
    ] {
        let config: ostrom_store::Config = refused.parse().unwrap();
        let opened = ostrom_store::Store::open(&config).await;
        assert!(opened.is_err(), "{why}: {refused} was taken");
    }
    let node = TestNode::with(|config| config.database = Some(url("localhost", full(&right)).into())).await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    node.stop().await;
}
