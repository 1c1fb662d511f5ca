//! Sign-in with an OpenID provider, which these tests play.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Form, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use common::{Answer, Browser, TestNode};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ostrom_node::Oidc;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What the provider says, which tests change.
#[derive(Clone)]
struct Provider {
    issuer: String,
    claims: Arc<Mutex<Value>>,
    /// How the token is signed: `good`, `other` (a key that nobody published) or `secret` (an HMAC with the public key).
    signed: Arc<Mutex<&'static str>>,
    challenge: Arc<Mutex<String>>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": issuer, "aud": "node", "sub": "ada-1", "exp": now + 600, "iat": now,
            "email": "ada@institute.example", "email_verified": true,
        });
        let provider = Self {
            issuer,
            claims: Arc::new(Mutex::new(claims)),
            signed: Arc::new(Mutex::new("good")),
            challenge: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        provider
    }

    fn set(&self, name: &str, value: Value) {
        self.claims.lock().unwrap()[name] = value;
    }
}

/// axum's own server is not among the features of this workspace.
async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", provider.issuer);
    Json(json!({
        "issuer": provider.issuer, "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"), "jwks_uri": at("/keys"),
    }))
}

async fn keys() -> Json<Value> {
    let x = BASE64URL_NOPAD.encode(key(1).verifying_key().as_bytes());
    Json(
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "one", "x": x}]}),
    )
}

async fn token(State(provider): State<Provider>, Form(form): Form<HashMap<String, String>>) -> Json<Value> {
    // PKCE: only whoever began can go on.
    let verifier = BASE64URL_NOPAD.encode(&Sha256::digest(form["code_verifier"].as_bytes()));
    assert_eq!(verifier, *provider.challenge.lock().unwrap());
    assert_eq!((form["grant_type"].as_str(), form["code"].as_str()), ("authorization_code", "code-1"));
    let claims = provider.claims.lock().unwrap().clone();
    let signed = *provider.signed.lock().unwrap();
    let (header, key) = if signed == "secret" {
        (Header::new(Algorithm::HS256), EncodingKey::from_secret(key(1).verifying_key().as_bytes()))
    } else {
        let der = key(if signed == "good" { 1 } else { 2 }).to_pkcs8_der().unwrap();
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::EdDSA) };
        (header, EncodingKey::from_ed_der(der.as_bytes()))
    };
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": token}))
}

async fn node(provider: &Provider) -> TestNode {
    let issuer = provider.issuer.clone();
    TestNode::with(|config| {
        config.oidc = Some(Oidc {
            issuer,
            client: "node".to_owned(),
            secret: None,
            label: "Provider".to_owned(),
            hosts: Vec::new(),
            insecure: true,
        });
    })
    .await
}

fn parameters(location: &str) -> HashMap<String, String> {
    let query = location.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The way to the provider and back. `nonce` is what the provider puts into the token, if not the right one.
async fn sign_in(provider: &Provider, browser: &mut Browser, nonce: Option<&str>) -> Answer {
    sign_in_by(provider, browser, nonce, "/auth/provider?next=/flaws").await
}

async fn sign_in_by(provider: &Provider, browser: &mut Browser, nonce: Option<&str>, path: &str) -> Answer {
    let begun = browser.get(path).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let sent = parameters(begun.header("location").unwrap());
    assert_eq!(
        (&*sent["response_type"], &*sent["code_challenge_method"], &*sent["client_id"]),
        ("code", "S256", "node")
    );
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(nonce.unwrap_or(&sent["nonce"])));
    browser.get(&format!("/auth/provider/callback?code=code-1&state={}", sent["state"])).await
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 303 && answer.header("location").unwrap().starts_with("/sign-in?failed=provider")
}

#[tokio::test]
async fn an_invited_person_comes_in_and_is_known_by_the_subject_from_then_on() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let mut browser = node.browser();
    let answer = sign_in(&provider, &mut browser, None).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/flaws")));
    assert_eq!(browser.get("/api/v1/me").await.json()["name"], "Ada");
    // The provider's address has changed: the subject counts.
    provider.set("email", json!("ada@elsewhere.example"));
    let mut browser = node.browser();
    assert!(!is_refused(&sign_in(&provider, &mut browser, None).await));
    // Another subject with the same address is somebody else.
    provider.set("email", json!("ada@institute.example"));
    provider.set("sub", json!("mallory"));
    let mut browser = node.browser();
    assert!(is_refused(&sign_in(&provider, &mut browser, None).await));
    assert_eq!(browser.get("/api/v1/me").await.json()["kind"], "anonymous");
    node.stop().await;
}

#[tokio::test]
async fn tokens_that_are_not_for_this_sign_in_are_refused() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(is_refused(&sign_in(&provider, &mut node.browser(), Some("another")).await));
    for (name, wrong) in [
        ("aud", json!("other")),
        ("aud", json!(["node", "other"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now - 3600)),
        ("sub", json!("")),
        ("email_verified", json!(false)),
        ("email_verified", json!("true")),
        ("email", json!("nobody@institute.example")),
    ] {
        let right = provider.claims.lock().unwrap()[name].clone();
        provider.set(name, wrong.clone());
        assert!(is_refused(&sign_in(&provider, &mut node.browser(), None).await), "{name}: {wrong}");
        provider.set(name, right);
    }
    for signed in ["other", "secret"] {
        *provider.signed.lock().unwrap() = signed;
        assert!(is_refused(&sign_in(&provider, &mut node.browser(), None).await), "{signed}");
    }
    *provider.signed.lock().unwrap() = "good";
    assert!(!is_refused(&sign_in(&provider, &mut node.browser(), None).await));
    node.stop().await;
}

#[tokio::test]
async fn only_the_browser_that_went_comes_back_and_once() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let mut browser = node.browser();
    let begun = browser.get("/auth/provider?next=//evil.example").await;
    let sent = parameters(begun.header("location").unwrap());
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(sent["nonce"]));
    let back = format!("/auth/provider/callback?code=code-1&state={}", sent["state"]);
    // Somebody else's browser, which was sent the link.
    assert!(is_refused(&node.browser().get(&back).await));
    // And then it is used up.
    assert!(is_refused(&browser.get(&back).await));
    for bad in [
        "?code=code-1",
        "?state=x",
        "",
        "?error=access_denied&state=x",
        "?code=code-1&state=x&iss=https://evil.example",
    ] {
        let answer = browser.get(&format!("/auth/provider/callback{bad}")).await;
        assert!(is_refused(&answer), "{bad}: {answer:?}");
    }
    // Sign-in goes on within this site only.
    let begun = browser.get("/auth/provider?next=//evil.example").await;
    let sent = parameters(begun.header("location").unwrap());
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(sent["nonce"]));
    let answer = browser.get(&format!("/auth/provider/callback?code=code-1&state={}", sent["state"])).await;
    assert_eq!(answer.header("location"), Some("/"));
    // Without a provider there is no such way.
    let plain = TestNode::start().await;
    let answer = plain.browser().send(Method::GET, "/auth/provider", &[], Vec::new()).await;
    assert_eq!(answer.status, 404);
    plain.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn a_providers_word_alone_is_no_recent_sign_in() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let token = json!({"name": "m", "scopes": ["read"], "days": 1});
    let mut browser = node.browser();
    let again = "/auth/provider?again=1&next=/account";
    // Somebody who was signed in to the provider already comes in, and changes nothing.
    sign_in(&provider, &mut browser, None).await;
    assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 403);
    let begun = browser.get(again).await;
    let sent = parameters(begun.header("location").unwrap());
    assert_eq!((&*sent["prompt"], &*sent["max_age"]), ("login", "0"));
    // A provider that does not say when it asked them has not, and neither has one that says that it was long ago.
    let now = provider.claims.lock().unwrap()["iat"].as_u64().unwrap();
    for asked in [Value::Null, json!(now - 3600)] {
        provider.set("auth_time", asked);
        sign_in_by(&provider, &mut browser, None, again).await;
        assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 403);
    }
    provider.set("auth_time", json!(now - 5));
    let back = sign_in_by(&provider, &mut browser, None, again).await;
    assert_eq!(back.header("location"), Some("/account"));
    assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 201);
    node.stop().await;
}
