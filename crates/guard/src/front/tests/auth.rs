//! Access tokens.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey as _;
use sha2::Digest as _;

use super::*;
use crate::front::auth::{AuthError, Authenticator, OAuth, Settings as Auth, StaticToken};
use crate::front::http::Settings;

const ISSUER: &str = "https://login.example";
const RESOURCE: &str = "https://guard.example/mcp";

/// A key pair made of one byte.
fn key(seed: u8) -> EncodingKey {
    let secret = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
    EncodingKey::from_ec_der(secret.to_pkcs8_der().unwrap().as_bytes())
}

fn public(seed: u8, id: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(&key(seed), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": RESOURCE, "sub": "carol", "exp": now() + 600, "nbf": now() - 5, "scope": "tools other"})
}

fn header(id: &str) -> Header {
    Header { kid: Some(id.to_owned()), typ: Some("at+jwt".to_owned()), ..Header::new(Algorithm::ES256) }
}

fn token(claims: &Value) -> String {
    jsonwebtoken::encode(&header("one"), claims, &key(1)).unwrap()
}

fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn oauth(file: &Path) -> OAuth {
    serde_json::from_value(json!({
        "issuer": ISSUER, "resource": RESOURCE, "jwks-file": file, "scopes": ["tools"],
    }))
    .unwrap()
}

fn static_token(principal: &str, token: &str) -> StaticToken {
    let sha256 = sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02X}")).collect();
    StaticToken { principal: principal.into(), sha256 }
}

struct World {
    served: Served,
    folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    // Keys that are of no use here do no harm.
    let secret = json!({"kty": "oct", "k": "AAAA", "kid": "one", "alg": "HS256"});
    let unknown = json!({"kty": "new", "kid": "one"});
    std::fs::write(&file, set(&[secret, unknown, public(1, "one")])).unwrap();
    let auth = Auth { tokens: vec![static_token("alice", "s3cret")], oauth: Some(oauth(&file)) };
    World { served: serve(Settings { auth, ..Settings::default() }).await, folder }
}

fn bearer(token: &str) -> Ask {
    Ask::modern("tools/call", json!({"name": "echo"})).with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let world = world().await;
    for (token, principal) in [
        ("s3cret".to_owned(), "alice"),
        (token(&claims()), "carol"),
        (token(&but("aud", json!(["https://other.example", RESOURCE]))), "carol"),
        (token(&but("scp", json!(["tools"]))), "carol"),
    ] {
        // The second time from memory.
        for _ in 0..2 {
            assert_eq!(bearer(&token).send(&world.served).await.status, 200);
            assert_eq!(&*world.served.fake.callers.lock().unwrap().last().unwrap().principal, principal);
        }
        // What the handler sees has no token in it.
        let seen = format!(
            "{:?} {:?}",
            world.served.fake.callers.lock().unwrap(),
            world.served.fake.requests.lock().unwrap()
        );
        assert!(!seen.contains(&token));
    }
}

#[tokio::test]
async fn a_bad_token_says_nothing() {
    let world = world().await;
    let sign = |header: &Header, key: &EncodingKey| jsonwebtoken::encode(header, &claims(), key).unwrap();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let good = token(&claims());
    let mut tampered = good.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let hs = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
    for (what, token) in [
        ("wrong static token", "s3creT".to_owned()),
        ("its digest", static_token("a", "s3cret").sha256),
        ("expired", token(&but("exp", json!(now() - 60)))),
        ("no end", token(&without("exp"))),
        ("not yet", token(&but("nbf", json!(now() + 120)))),
        ("other audience", token(&but("aud", json!("https://other.example/mcp")))),
        ("no audience", token(&without("aud"))),
        ("other issuer", token(&but("iss", json!("https://login.example.evil")))),
        ("no issuer", token(&without("iss"))),
        ("no principal", token(&without("sub"))),
        ("a principal that is no name", token(&but("sub", json!("a\nb")))),
        ("a configured principal's name", token(&but("sub", json!("alice")))),
        ("another key", sign(&header("one"), &key(2))),
        ("an unknown key", sign(&header("two"), &key(2))),
        ("another kind of token", sign(&Header { typ: Some("dpop+jwt".into()), ..header("one") }, &key(1))),
        ("an extension", sign(&Header { crit: Some(vec!["exp".into()]), ..header("one") }, &key(1))),
        ("the public key as a secret", sign(&hs, &EncodingKey::from_secret(b"AAAA"))),
        ("no signature", format!("{}.{}.", part(json!({"alg": "none"})), part(claims()))),
        ("a cut one", good.strip_suffix(|_: char| true).unwrap().to_owned()),
        ("a changed one", String::from_utf8(tampered).unwrap()),
        ("dots", "..".to_owned()),
    ] {
        let reply = bearer(&token).send(&world.served).await;
        assert_eq!(reply.status, 401, "{what}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert_eq!(
            challenge,
            "Bearer resource_metadata=\"https://guard.example/.well-known/oauth-protected-resource/mcp\", scope=\"tools\", error=\"invalid_token\""
        );
    }
    assert!(world.served.fake.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_request_shows_its_token_in_the_right_place() {
    let world = world().await;
    let plain = Ask::modern("tools/call", json!({"name": "echo"}));
    for (what, ask, status) in [
        ("none", plain.clone(), 401),
        ("another scheme", plain.clone().with("authorization", "Basic czNjcmV0"), 401),
        ("nothing behind the scheme", plain.clone().with("authorization", "Bearer "), 400),
        ("no scheme", plain.clone().with("authorization", "s3cret"), 400),
        ("two words", plain.clone().with("authorization", "Bearer s3cret s3cret"), 400),
        ("a lack of scope", bearer(&token(&but("scope", json!("tool")))), 403),
        ("in the query", Ask { line: "POST /mcp?access_token=s3cret HTTP/1.1".into(), ..plain.clone() }, 400),
        ("in both", Ask { line: "POST /mcp?access_token=s3cret HTTP/1.1".into(), ..bearer("s3cret") }, 400),
        ("small letters", plain.clone().with("authorization", "bearer s3cret"), 200),
    ] {
        let reply = ask.send(&world.served).await;
        assert_eq!(reply.status, status, "{what}");
        assert_eq!(
            reply.header("www-authenticate").is_some(),
            matches!(status, 401 | 403) || what.contains("scheme") || what.contains("words"),
            "{what}"
        );
    }
    let mut twice = bearer("s3cret");
    twice.headers.push(("authorization".into(), "Bearer s3cret".into()));
    assert_eq!(twice.send(&world.served).await.status, 400);
    let none = plain.send(&world.served).await;
    assert!(!none.header("www-authenticate").unwrap().contains("error"));
    // Before anything is read of what was sent.
    let large = Ask { body: vec![b'x'; 10_000], ..plain };
    assert_eq!(large.send(&world.served).await.status, 401);
}

#[tokio::test]
async fn the_metadata_say_where_tokens_come_from() {
    let world = world().await;
    for path in ["", "/mcp"] {
        let line = format!("GET /.well-known/oauth-protected-resource{path} HTTP/1.1");
        let (status, body) = Ask { line, ..Ask::new("GET") }.json(&world.served).await;
        assert_eq!(status, 200);
        assert_eq!(body["resource"], RESOURCE);
        assert_eq!(body["authorization_servers"], json!([ISSUER]));
        assert_eq!(body["scopes_supported"], json!(["tools"]));
        assert_eq!(body["bearer_methods_supported"], json!(["header"]));
    }
    let evil = Ask { line: "GET /.well-known/oauth-protected-resource HTTP/1.1".into(), ..Ask::new("GET") };
    assert_eq!(evil.with("host", "evil.example").send(&world.served).await.status, 403);
}

#[tokio::test]
async fn a_session_needs_its_principals_token_every_time() {
    let world = world().await;
    let alice = |ask: Ask| ask.with("authorization", "Bearer s3cret");
    let begun = alice(Ask::post(&initialize("2025-11-25"))).send(&world.served).await;
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    let ping = Ask::post(&request(1, "ping", json!({}))).with("mcp-session-id", &id);
    assert_eq!(ping.send(&world.served).await.status, 401);
    let carol = ping.clone().with("authorization", &format!("Bearer {}", token(&claims())));
    assert_eq!(carol.send(&world.served).await.status, 404);
    assert_eq!(alice(ping).send(&world.served).await.status, 200);
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let world = world().await;
    // Within the leeway: good for a request, and over.
    let token = token(&but("exp", json!(now() - 5)));
    let listen = Ask::modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let mut stream = listen.with("authorization", &format!("Bearer {token}")).send(&world.served).await;
    assert_eq!(stream.status, 200);
    while stream.event().await.is_some() {}
}

#[tokio::test]
async fn keys_are_fetched_bounded_and_only_from_where_they_should_be() {
    async fn publish(answer: String) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let _some = stream.read(&mut asked).await;
                let _sent = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }
    let ok = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let good = set(&[public(1, "one")]);
    for (what, answer, status) in [
        ("good", ok(&good), 200),
        ("not JSON", ok("keys"), 503),
        ("no keys", ok(&set(&[])), 503),
        ("too much", ok(&format!("{good}{}", " ".repeat(300 << 10))), 503),
        (
            "a redirection",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            503,
        ),
        ("a failure", "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_owned(), 503),
    ] {
        let url = publish(answer).await;
        let oauth = OAuth { jwks_file: None, jwks_url: Some(url), ..oauth(Path::new("")) };
        let served =
            serve(Settings { auth: Auth { tokens: vec![], oauth: Some(oauth) }, ..Settings::default() })
                .await;
        assert_eq!(bearer(&token(&claims())).send(&served).await.status, status, "{what}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_but_not_all_the_time() {
    let world = world().await;
    assert_eq!(bearer(&token(&claims())).send(&world.served).await.status, 200);
    std::fs::write(world.folder.path().join("keys.json"), set(&[public(1, "one"), public(2, "two")]))
        .unwrap();
    let new = jsonwebtoken::encode(&header("two"), &claims(), &key(2)).unwrap();
    // The keys were read a moment ago.
    assert_eq!(bearer(&new).send(&world.served).await.status, 401);
}

#[test]
fn settings_that_would_let_in_the_wrong_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = oauth(folder.path());
    let with =
        |oauth: OAuth| Authenticator::new(&Auth { tokens: vec![], oauth: Some(oauth) }, "user").map(|_| ());
    with(good.clone()).unwrap();
    for algorithm in ["HS256", "none", "ES257"] {
        let bad = OAuth { algorithms: vec![algorithm.into()], ..good.clone() };
        assert!(matches!(with(bad), Err(AuthError::Algorithm(_))));
    }
    let url = |url: &str| OAuth { jwks_file: None, jwks_url: Some(url.into()), ..good.clone() };
    for bad in [
        "http://login.example/keys",
        "ftp://login.example",
        "https://",
        "https://user@login.example",
        "http://localhost.evil.example/",
    ] {
        assert!(matches!(with(url(bad)), Err(AuthError::Url(_))), "{bad}");
    }
    assert!(matches!(
        with(OAuth { jwks_url: Some("https://login.example".into()), ..good.clone() }),
        Err(AuthError::Keys)
    ));
    assert!(matches!(
        with(OAuth { resource: "https://a\"b".into(), ..good.clone() }),
        Err(AuthError::Url(_))
    ));
    let tokens =
        |tokens: Vec<StaticToken>| Authenticator::new(&Auth { tokens, oauth: None }, "user").map(|_| ());
    tokens(vec![static_token("a", "x"), static_token("b", "y")]).unwrap();
    assert!(matches!(
        tokens(vec![static_token("a", "x"), static_token("b", "x")]),
        Err(AuthError::SameToken(one, other)) if one == "a" && other == "b"
    ));
    assert!(matches!(tokens(vec![static_token("", "x")]), Err(AuthError::Principal(_))));
    for digest in ["", "00", &"+f".repeat(32), &"é".repeat(32)] {
        let bad = StaticToken { principal: "a".into(), sha256: digest.into() };
        assert!(matches!(tokens(vec![bad]), Err(AuthError::Digest(_))), "{digest}");
    }
    assert!(serde_json::from_value::<Auth>(json!({"token": []})).is_err());
}
