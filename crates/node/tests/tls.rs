//! A node that speaks TLS itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::net::SocketAddr;

use common::TestNode;
use ostrom_node::Exposure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A node for `localhost`, and its certificate.
async fn node(folder: &std::path::Path) -> (TestNode, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificates, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificates, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let node = TestNode::with(|config| {
        config.exposure = Exposure::Tls { certificates, key };
        config.base = Some("https://localhost".parse().unwrap());
    })
    .await;
    (node, made.cert.pem())
}

fn client(address: SocketAddr, trusted: Option<&str>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().resolve("localhost", address).no_proxy();
    let builder = match trusted {
        Some(pem) => builder.tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()]),
        None => builder,
    };
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn a_node_with_a_certificate_serves_over_tls_and_says_that_it_always_will() {
    let folder = tempfile::tempdir().unwrap();
    let (node, certificate) = node(folder.path()).await;
    let answer = client(node.address, Some(&certificate)).get("https://localhost/").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["strict-transport-security"].to_str().unwrap().contains("max-age="));
    let link = node.link.as_deref().unwrap();
    assert!(link.starts_with("https://localhost/invite/"), "{link}");
    let page = client(node.address, Some(&certificate)).get(link).send().await.unwrap();
    for cookie in page.headers().get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-") && cookie.contains("Secure"), "{cookie}");
    }
    node.stop().await;
}

#[tokio::test]
async fn who_does_not_trust_the_certificate_or_speaks_no_tls_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (node, certificate) = node(folder.path()).await;
    assert!(client(node.address, None).get("https://localhost/").send().await.is_err());
    let other = client(node.address, Some(&certificate)).get("https://127.0.0.1/");
    assert!(other.send().await.is_err(), "a certificate for localhost served another name");
    let mut plain = tokio::net::TcpStream::connect(node.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got).await;
    assert!(!String::from_utf8_lossy(&got).contains("HTTP/1.1"), "answered without TLS");
    node.stop().await;
}
