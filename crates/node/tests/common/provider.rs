//! A small OpenID provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Form, Query, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ostrom_node::Oidc;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::common::TestNode;

/// What the provider says, which tests change.
#[derive(Clone)]
pub struct Provider {
    pub issuer: String,
    pub claims: Arc<Mutex<Value>>,
    /// How the token is signed: `good`, `other` (a key that nobody published) or `secret` (an HMAC with the public key).
    pub signed: Arc<Mutex<&'static str>>,
    pub challenge: Arc<Mutex<String>>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

impl Provider {
    pub async fn start() -> Self {
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
            .route("/authorize", get(authorize))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        provider
    }

    pub fn set(&self, name: &str, value: Value) {
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

/// Where a browser comes by: whoever it is, it is who the claims say.
async fn authorize(
    State(provider): State<Provider>,
    Query(sent): Query<HashMap<String, String>>,
) -> Redirect {
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(sent["nonce"]));
    let back = form_urlencoded::Serializer::new(String::new())
        .append_pair("code", "code-1")
        .append_pair("state", &sent["state"])
        .finish();
    Redirect::to(&format!("{}?{back}", sent["redirect_uri"]))
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

pub async fn node(provider: &Provider) -> TestNode {
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
