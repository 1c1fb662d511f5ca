//! What is let in at all, and what every answer says.
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
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends bytes, and reads what comes until the node closes.
async fn raw(node: &TestNode, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    // A node that refuses may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let node = TestNode::start().await;
    for path in ["/", "/nothing", "/api/v1/me", "/api/v1/peers", "/log/key", "/auth/session", "/taxii2/"] {
        let answer = node.browser().get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        // No plain page may claim that there is TLS here.
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    node.stop().await;
}

#[tokio::test]
async fn other_host_names_are_not_served() {
    let node = TestNode::start().await;
    let port = node.address.port();
    for (host, expected) in [
        (format!("localhost:{port}"), "200"),
        (format!("127.0.0.1:{port}"), "200"),
        (format!("evil.example:{port}"), "400"),
        ("localhost".to_owned(), "400"),
        (String::new(), "400"),
    ] {
        let answer = raw(
            &node,
            format!("GET /api/v1/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    let absolute = format!(
        "GET http://evil.example/api/v1/me HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(status(&raw(&node, absolute.as_bytes()).await), "400");
    let none = raw(&node, b"GET /api/v1/me HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&none), "400");
    node.stop().await;
}

#[tokio::test]
async fn a_flood_is_told_when_to_come_again_and_others_are_served() {
    let node = TestNode::with(|config| {
        config.limits.rate = 1;
        config.limits.burst = 20;
    })
    .await;
    let mut ada = node.browser();
    let mut refused = 0;
    for _ in 0..40 {
        let answer = ada.get("/api/v1/me").await;
        if answer.status == 429 {
            refused += 1;
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        }
    }
    assert!(refused >= 15, "{refused}");
    // Somebody with a credential of their own has an allowance of their own.
    let answer =
        node.browser().send(Method::GET, "/log/key", &[("authorization", "Bearer other")], Vec::new()).await;
    assert_eq!(answer.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_does_not_hold_a_connection() {
    let node = TestNode::with(|config| config.limits.head = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut rest = Vec::new();
    // It ends: otherwise this test would not.
    let _ = stream.read_to_end(&mut rest).await;
    node.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let node = TestNode::with(|config| config.limits.request = Duration::from_millis(300)).await;
    let head = format!(
        "POST /api/v1/organisations HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        node.address.port()
    );
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).await.unwrap();
    // Anonymous callers are refused before or after the wait; both end it.
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    node.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_and_json_is_strict() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let token = ada.csrf().await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let json = "application/json";
    for (kind, body, expected) in [
        (json, b"{".to_vec(), 400),
        (json, b"{\"name\":\"a\",\"name\":\"b\"}".to_vec(), 400),
        (json, b"{\"name\":\"\xff\"}".to_vec(), 400),
        (json, format!("{{\"name\":{deep}}}").into_bytes(), 400),
        (json, b"{\"name\":\"a\",\"x\":1}".to_vec(), 422),
        (json, b"{\"name\":1}".to_vec(), 422),
        (json, b"[]".to_vec(), 422),
        (json, b"{\"name\":\"a\\u0000b\"}".to_vec(), 422),
        (json, vec![b' '; (1 << 20) + 1], 413),
        ("text/plain", b"{\"name\":\"a\"}".to_vec(), 415),
        ("application/json", b"{\"name\":\"\"}".to_vec(), 422),
    ] {
        let headers = [("content-type", kind), ("x-csrf-token", &*token)];
        let shown = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
        let answer = ada.send(Method::POST, "/api/v1/organisations", &headers, body).await;
        assert_eq!(answer.status, expected, "{shown}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["status"], json!(expected));
    }
    node.stop().await;
}

#[tokio::test]
async fn a_chunked_body_without_an_announced_length_is_bounded_too() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let token = ada.csrf().await;
    let port = node.address.port();
    let cookies: Vec<String> = ada.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut request = format!(
        "POST /api/v1/organisations HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\nX-CSRF-Token: {token}\r\nCookie: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        cookies.join("; ")
    )
    .into_bytes();
    for _ in 0..40 {
        request.extend(format!("{:x}\r\n", 64 << 10).bytes());
        request.extend(vec![b' '; 64 << 10]);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    assert_eq!(status(&raw(&node, &request).await), "413");
    node.stop().await;
}

#[tokio::test]
async fn no_path_leads_out() {
    let node = TestNode::start().await;
    let mut browser = node.browser();
    let port = node.address.port();
    assert_eq!(browser.get("/log/key").await.status, 200);
    for path in [
        "/log/tile/../checkpoint",
        "/log/tile/..%2f..%2fkeys/node.pem",
        "/log/tile/%2e%2e/%2e%2e/keys/node.pem",
        "/log/tile/0/../../../keys/forms.key",
        "/log/tile/0/000%00",
        "/log/tile//etc/passwd",
        "/log/entries",
        "/assets/../keys/node.pem",
        "/assets/%2e%2e/%2e%2e/keys/node.pem",
        "/..%5c..%5ckeys",
        "/%00",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        let answer = raw(&node, request.as_bytes()).await;
        assert!(matches!(status(&answer), "404" | "400"), "{path}: {answer}");
        assert!(!answer.contains("PRIVATE KEY"), "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_node_goes_on() {
    let node = TestNode::start().await;
    let port = node.address.port();
    let smuggled = format!(
        "POST /api/v1/me HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/peers HTTP/1.1\r\n\r\n"
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n", "a".repeat(200 << 10));
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET", b"\0\0\0\0", smuggled.as_bytes(), long.as_bytes()]
    {
        raw(&node, bytes).await;
    }
    assert_eq!(node.browser().get("/api/v1/me").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_and_what_cannot_be_a_name_are_the_same() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let mut bodies = Vec::new();
    for id in ["0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061", "x", "%F0%9F", "0C7B5B88-8FF7-4A4D-AA9D-FEB398CD0061"]
    {
        for kind in ["organisations", "persons", "groups", "peers"] {
            let mut answer = ada.get(&format!("/api/v1/{kind}/{id}")).await;
            assert_eq!(answer.status, 404, "{kind}/{id}");
            answer.headers.remove("date");
            bodies.push(answer);
        }
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    node.stop().await;
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let node = TestNode::start().await;
    let mut browser = node.browser();
    let answer = browser.send(Method::PATCH, "/api/v1/organisations", &[], Vec::new()).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").unwrap().contains("GET"));
    node.stop().await;
}

#[tokio::test]
async fn others_are_not_let_in_unless_somebody_chose_how() {
    use ostrom_node::{Config, Exposure, Node};

    let folder = tempfile::tempdir().unwrap();
    let config = |listen: &str, exposure, base: Option<&str>| Config {
        listen: listen.parse().unwrap(),
        exposure,
        base: base.map(|base| base.parse().unwrap()),
        ..Config::new(folder.path())
    };
    for config in [
        config("0.0.0.0:0", Exposure::Loopback, None),
        config("0.0.0.0:0", Exposure::Insecure, None),
        config("127.0.0.1:0", Exposure::BehindProxy, None),
        config("127.0.0.1:0", Exposure::BehindProxy, Some("http://node.example")),
        config("127.0.0.1:0", Exposure::Loopback, Some("https://node.example")),
    ] {
        let what = format!("{config:?}");
        assert!(Node::start(config).await.is_err(), "{what}");
    }
    // Nothing was made by those who failed.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Sends a head that announces a large body, and nothing of the body: gives the status that comes all the same.
async fn without_body(node: &TestNode, path: &str, length: usize, headers: &[(&str, &str)]) -> String {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {length}\r\n",
        node.address.port()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_may_not_write_is_refused_before_a_body_is_received() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let made = ada.api(Method::POST, "/api/v1/collections", &json!({"title": "Flaws"})).await.json();
    let taxii = format!("/taxii2/api/collections/{}/objects/", made["id"].as_str().unwrap());
    let missing = "/taxii2/api/collections/0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061/objects/";
    let reads = format!("Bearer {}", ada.token(&["read"]).await);
    let pulls = format!("Bearer {}", ada.token(&["federate"]).await);
    let stix = ("Content-Type", "application/taxii+json;version=2.1");
    let large = 32 << 20;
    for token in [&reads, &pulls] {
        let headers = [("Authorization", &**token), stix];
        for path in [&*taxii, missing] {
            assert_eq!(without_body(&node, path, large, &headers).await, "HTTP/1.1 403", "{path}");
        }
        let headers = [("Authorization", &**token), ("Content-Type", "application/json")];
        for path in ["/api/v1/flaws", "/api/v1/cases", "/api/v1/organisations"] {
            assert_eq!(without_body(&node, path, 1 << 20, &headers).await, "HTTP/1.1 403", "{path}");
        }
    }
    assert_eq!(without_body(&node, &taxii, large, &[stix]).await, "HTTP/1.1 401");
    let json = [("Content-Type", "application/json")];
    assert_eq!(without_body(&node, "/api/v1/flaws", 1 << 20, &json).await, "HTTP/1.1 401");
    // A form without the cookie that its token would be bound to; and a large one of somebody without a session.
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(without_body(&node, "/auth/password", 1 << 20, &[form]).await, "HTTP/1.1 403");
    let visit = ("Cookie", "ostrom-visit=x");
    assert_eq!(without_body(&node, "/auth/password", 1 << 20, &[form, visit]).await, "HTTP/1.1 413");
    node.stop().await;
}

#[tokio::test]
async fn browsers_get_pages_for_what_is_not_there_and_machines_problems() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let form = json!({"collection": "shared", "handling": {"tlp": "red"}, "object": {"name": "Secret flaw"}});
    let hidden =
        ada.api(Method::POST, "/api/v1/flaws", &form).await.json()["id"].as_str().unwrap().to_owned();
    let mut nobody = node.browser();
    nobody.get("/").await;
    let html = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    let mut pages = Vec::new();
    for path in [
        format!("/flaws/{hidden}"),
        "/flaws/vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".to_owned(),
        "/nothing".to_owned(),
        "/a/b/c".to_owned(),
        "/auth/nothing".to_owned(),
        "/auth/provider".to_owned(),
        "/%00".to_owned(),
        "/feeds/x/flaws.atom".to_owned(),
    ] {
        let mut answer = nobody.send(Method::GET, &path, &html, Vec::new()).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        answer.headers.remove("date");
        pages.push((path, answer));
    }
    for (path, page) in &pages {
        assert_eq!(*page, pages[0].1, "{path}");
    }
    // A form that came too late, and a flood: pages, too.
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let late = nobody.send(Method::POST, "/auth/password", &[kind, html[0]], b"csrf=x".to_vec()).await;
    assert_eq!((late.status, late.header("content-type")), (403, Some("text/html; charset=utf-8")));
    assert!(String::from_utf8_lossy(&late.body).contains("The form has expired"));
    // Scripts and machines get what they can read.
    let problem = Some("application/problem+json");
    let late = nobody.send(Method::POST, "/auth/password", &[kind], b"csrf=x".to_vec()).await;
    assert_eq!((late.status, late.header("content-type")), (403, problem));
    assert_eq!(
        nobody.send(Method::GET, "/nothing", &[("accept", "*/*")], Vec::new()).await.header("content-type"),
        problem
    );
    for path in ["/api/v1/nothing", "/log/nothing", "/federation/v1/nothing"] {
        let answer = nobody.send(Method::GET, path, &html, Vec::new()).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, problem), "{path}");
    }
    node.stop().await;
}
