//! A fake authorization server on this machine, and everything it could do wrong.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::http::{json_reply, reply, serve};
use super::*;
use crate::back::{Auth, Fault, OAuth, Registration, Secret};

/// What the pair of servers does differently from what it should.
#[derive(Clone, Default)]
struct Twist {
    /// The resource in the metadata.
    resource: Option<&'static str>,
    /// The issuer in the authorization server's metadata.
    issuer: Option<&'static str>,
    /// The `iss` that comes back.
    iss: Option<&'static str>,
    no_pkce: bool,
    /// Where the token endpoint is said to be.
    token: Option<&'static str>,
    denies: bool,
    /// Seconds that a token is good.
    expires: Option<u64>,
}

#[derive(Default)]
struct Seen {
    challenge: String,
    forms: Vec<Vec<(String, String)>>,
    bearers: Vec<String>,
    registrations: usize,
    /// Tokens with a number up to this one are no longer good.
    revoked: usize,
}

#[derive(Clone)]
struct Fake {
    twist: Twist,
    seen: Arc<Mutex<Seen>>,
    base: Arc<Mutex<String>>,
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{query}")).unwrap();
    url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

fn get<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

impl Fake {
    async fn answer(self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let base = self.base.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&body).into_owned();
        match uri.path() {
            "/mcp" => self.mcp(&base, &method, &headers, &text),
            "/resource-metadata" => json_reply(
                200,
                &json!({
                "resource": self.twist.resource.map_or(format!("{base}/mcp"), str::to_owned),
                "authorization_servers": [format!("{base}/tenant")],
                "scopes_supported": ["tools"]}),
            ),
            "/.well-known/openid-configuration/tenant" => json_reply(
                200,
                &json!({
                "issuer": self.twist.issuer.map_or(format!("{base}/tenant"), str::to_owned),
                "authorization_endpoint": format!("{base}/authorize?kept=1"),
                "token_endpoint": self.twist.token.map_or(format!("{base}/token"), str::to_owned),
                "registration_endpoint": format!("{base}/register"),
                "code_challenge_methods_supported": if self.twist.no_pkce { json!(["plain"]) } else { json!(["S256"]) },
                "authorization_response_iss_parameter_supported": true,
                "client_id_metadata_document_supported": true}),
            ),
            "/register" => {
                let wanted: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(wanted["application_type"], "native");
                self.seen.lock().unwrap().registrations += 1;
                json_reply(201, &json!({"client_id": "registered", "client_id_issued_at": 1}))
            }
            "/token" => self.token(&headers, pairs(&text)),
            _ => reply(404, "text/plain", ""),
        }
    }

    fn mcp(self, base: &str, method: &Method, headers: &HeaderMap, text: &str) -> Response {
        let bearer = headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let mut seen = self.seen.lock().unwrap();
        let good = (1..100).skip(seen.revoked).any(|n| bearer == format!("Bearer access-{n}-secret"));
        seen.bearers.push(bearer);
        if !good {
            let challenge = format!(
                "Bearer error=\"invalid_token\", resource_metadata=\"{base}/resource-metadata\", scope=\"tools extra\""
            );
            return Response::builder()
                .status(401)
                .header("www-authenticate", challenge)
                .body(Body::empty())
                .unwrap();
        }
        if method != Method::POST {
            return reply(405, "text/plain", "");
        }
        let message: Value = serde_json::from_str(text).unwrap();
        json_reply(
            200,
            &json!({"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete",
            "supportedVersions": ["2026-07-28"], "capabilities": {}, "content": [{"type": "text", "text": "in"}]}}),
        )
    }

    fn token(self, headers: &HeaderMap, form: Vec<(String, String)>) -> Response {
        let mut seen = self.seen.lock().unwrap();
        if get(&form, "grant_type") == "authorization_code" {
            let verifier = get(&form, "code_verifier");
            assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)), seen.challenge);
            assert_eq!(get(&form, "code"), "code-secret");
        } else if get(&form, "refresh_token") != format!("refresh-{}-secret", seen.forms.len()) {
            return json_reply(
                400,
                &json!({"error": "invalid_grant", "error_description": "refresh-1-secret is used up"}),
            );
        }
        let mut form = form;
        if let Some(basic) = headers.get("authorization") {
            form.push(("basic".to_owned(), basic.to_str().unwrap().to_owned()));
        }
        seen.forms.push(form);
        let n = seen.forms.len();
        json_reply(
            200,
            &json!({"access_token": format!("access-{n}-secret"), "token_type": "Bearer",
            "expires_in": self.twist.expires.unwrap_or(3600), "refresh_token": format!("refresh-{n}-secret"), "scope": "tools"}),
        )
    }
}

struct Setting {
    fake: Fake,
    url: Url,
    folder: tempfile::TempDir,
}

impl Setting {
    async fn new(twist: Twist) -> Self {
        let fake = Fake { twist, seen: Arc::default(), base: Arc::default() };
        let inner = fake.clone();
        let url =
            serve(move |method, uri, headers, body| inner.clone().answer(method, uri, headers, body)).await;
        *fake.base.lock().unwrap() = url.as_str().trim_end_matches("/mcp").to_owned();
        Self { fake, url, folder: tempfile::tempdir().unwrap() }
    }

    /// Starts the server with a person who clicks at once.
    async fn start(&self, registration: Registration, person: bool) -> Result<Server, BackError> {
        let (fake, runtime) = (self.fake.clone(), tokio::runtime::Handle::current());
        let show = move |page: &Url| {
            let query = pairs(page.query().unwrap());
            for (name, value) in [("response_type", "code"), ("code_challenge_method", "S256"), ("kept", "1")]
            {
                assert_eq!(get(&query, name), value);
            }
            assert_eq!(get(&query, "resource"), format!("{}/mcp", fake.base.lock().unwrap()));
            assert_eq!(get(&query, "scope"), "tools extra");
            fake.seen.lock().unwrap().challenge = get(&query, "code_challenge").to_owned();
            let iss = fake.twist.iss.map_or(format!("{}/tenant", fake.base.lock().unwrap()), str::to_owned);
            let outcome =
                if fake.twist.denies { ("error", "access_denied") } else { ("code", "code-secret") };
            let mut back = Url::parse(get(&query, "redirect_uri")).unwrap();
            let forged = format!("{back}?code=forged&state=guessed");
            back.query_pairs_mut()
                .append_pair(outcome.0, outcome.1)
                .append_pair("state", get(&query, "state"))
                .append_pair("iss", &iss);
            runtime.spawn(async move {
                let client = reqwest::Client::builder()
                    .no_proxy()
                    .tls_backend_preconfigured(no_tls())
                    .build()
                    .unwrap();
                // Somebody else's answer ends nothing.
                assert_eq!(client.get(forged).send().await.unwrap().status(), 404);
                let page = client.get(back).send().await.unwrap();
                assert!(page.status() == 200 || page.status() == 400);
            });
        };
        let config = OAuth {
            registration,
            scopes: None,
            store: self.folder.path().join("grants/server.json"),
            redirect_port: 0,
            show: person.then(|| -> crate::back::ShowUrl { Arc::new(show) }),
            patience: Duration::from_secs(60),
        };
        let connection =
            Connection::Http { url: self.url.clone(), auth: Auth::OAuth(Box::new(config)), ca: None };
        Server::start("guarded", connection, settings()).await
    }
}

fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

fn known() -> Registration {
    Registration::Client { issuer: None, id: "me".to_owned(), secret: None }
}

#[tokio::test]
async fn a_person_allows_the_guard_and_the_grant_is_kept() {
    let setting = Setting::new(Twist::default()).await;
    let server = setting.start(known(), true).await.unwrap();
    assert_eq!(text(&server, "x", json!({})).await, "in");
    {
        let seen = setting.fake.seen.lock().unwrap();
        assert_eq!(get(&seen.forms[0], "client_id"), "me");
        assert_eq!(get(&seen.forms[0], "resource"), setting.url.as_str());
        assert!(get(&seen.forms[0], "redirect_uri").starts_with("http://127.0.0.1:"));
        assert_eq!(seen.bearers[0], "");
    }
    // The next time nobody is needed.
    drop(server);
    let server = setting.start(known(), false).await.unwrap();
    assert_eq!(text(&server, "x", json!({})).await, "in");
    assert_eq!(setting.fake.seen.lock().unwrap().forms.len(), 1);
}

#[tokio::test]
async fn the_guard_becomes_a_client_in_every_way() {
    let document = Url::parse("https://ostrom.example/client.json").unwrap();
    let secret = Registration::Client { issuer: None, id: "a:b".to_owned(), secret: Secret::new("s%cret") };
    for (registration, id, basic) in [
        (Registration::Dynamic, "registered", ""),
        (Registration::Document(document), "https://ostrom.example/client.json", ""),
        (secret, "", "Basic YSUzQWI6cyUyNWNyZXQ="),
    ] {
        let setting = Setting::new(Twist::default()).await;
        setting.start(registration, true).await.unwrap();
        let seen = setting.fake.seen.lock().unwrap();
        assert_eq!((get(&seen.forms[0], "client_id"), get(&seen.forms[0], "basic")), (id, basic));
        assert_eq!(seen.registrations, usize::from(id == "registered"));
    }
}

#[tokio::test]
async fn a_grant_is_refreshed_when_it_expires_or_is_refused() {
    let setting = Setting::new(Twist { expires: Some(1), ..Twist::default() }).await;
    let server = setting.start(known(), true).await.unwrap();
    // Every token is about to expire, so each request renews it; the refresh tokens rotate.
    assert_eq!(text(&server, "x", json!({})).await, "in");
    let forms = setting.fake.seen.lock().unwrap().forms.clone();
    assert!(forms.len() >= 2);
    assert!(
        forms[1..].iter().all(|form| get(form, "grant_type") == "refresh_token"
            && get(form, "resource") == setting.url.as_str())
    );

    let setting = Setting::new(Twist::default()).await;
    let server = setting.start(known(), true).await.unwrap();
    setting.fake.seen.lock().unwrap().revoked = 1;
    let calls = (0..4).map(|_| text(&server, "x", json!({})));
    assert!(futures_util::future::join_all(calls).await.iter().all(|answer| answer == "in"));
    assert_eq!(setting.fake.seen.lock().unwrap().forms.len(), 2);
}

#[tokio::test]
async fn a_call_that_is_stopped_while_its_token_is_obtained_is_not_sent() {
    let ask = async |server: &Server| {
        let (relay, from) = Relay::new();
        super::stdio::stopped(from);
        let params = map(json!({"name": "x", "arguments": {}}));
        server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap()
    };
    // Refreshed before it is sent.
    let setting = Setting::new(Twist { expires: Some(1), ..Twist::default() }).await;
    let server = setting.start(known(), true).await.unwrap();
    let sent = setting.fake.seen.lock().unwrap().bearers.len();
    assert_eq!(ask(&server).await.unwrap_err().message, "stopped");
    assert_eq!(setting.fake.seen.lock().unwrap().bearers.len(), sent);
    // Refused, and obtained anew before it is sent a second time.
    let setting = Setting::new(Twist::default()).await;
    let server = setting.start(known(), true).await.unwrap();
    let sent = {
        let mut seen = setting.fake.seen.lock().unwrap();
        seen.revoked = 1;
        seen.bearers.len()
    };
    assert_eq!(ask(&server).await.unwrap_err().message, "stopped");
    assert_eq!(setting.fake.seen.lock().unwrap().bearers.len(), sent + 1);
}

#[tokio::test]
async fn the_authorization_server_is_the_configured_one_or_stays_the_same() {
    let elsewhere = |issuer: &str| Registration::Client {
        issuer: Some(issuer.to_owned()),
        id: "me".to_owned(),
        secret: Some(Secret::new("client-secret").unwrap()),
    };
    // The server names another one than is configured.
    let setting = Setting::new(Twist::default()).await;
    let error = setting.start(elsewhere("https://login.example.org"), true).await.unwrap_err();
    assert!(error.to_string().contains("at which the guard is registered"), "{error}");
    assert!(setting.fake.seen.lock().unwrap().forms.is_empty());
    let issuer = format!("{}/tenant", setting.fake.base.lock().unwrap());
    drop(setting.start(elsewhere(&issuer), true).await.unwrap());
    // The grant of one authorization server is not used where another is configured.
    let error = setting.start(elsewhere("https://login.example.org"), true).await.unwrap_err();
    assert!(error.to_string().contains("at which the guard is registered"), "{error}");
    // Nor does the server have the guard let in by another one than a person has seen.
    let store = setting.folder.path().join("grants/server.json");
    let text = std::fs::read_to_string(&store).unwrap();
    std::fs::write(&store, text.replace(&issuer, "https://before.example.org")).unwrap();
    {
        let mut seen = setting.fake.seen.lock().unwrap();
        (seen.revoked, seen.forms) = (1, Vec::new());
    }
    let error = setting.start(known(), true).await.unwrap_err();
    assert!(error.to_string().contains("let in by https://before.example.org"), "{error}");
    let forms = setting.fake.seen.lock().unwrap().forms.clone();
    assert!(forms.iter().all(|form| get(form, "grant_type") == "refresh_token"), "{forms:?}");
}

#[tokio::test]
async fn without_a_person_or_a_grant_the_server_cannot_be_used() {
    let setting = Setting::new(Twist::default()).await;
    let error = setting.start(known(), false).await.unwrap_err();
    assert!(
        matches!(error.fault(), Fault::Unauthorized(_)) && error.to_string().contains("log in"),
        "{error}"
    );
}

#[tokio::test]
async fn whatever_is_not_as_it_should_be_ends_the_flow() {
    let plain = Twist::default;
    for (twist, reason) in [
        (Twist { resource: Some("https://other.example/mcp"), ..plain() }, "another server"),
        (Twist { issuer: Some("https://other.example"), ..plain() }, "another one"),
        (Twist { iss: Some("https://other.example"), ..plain() }, "(iss)"),
        (Twist { no_pkce: true, ..plain() }, "PKCE"),
        (Twist { token: Some("http://tokens.example/"), ..plain() }, "not https"),
        (Twist { denies: true, ..plain() }, "access_denied"),
    ] {
        let setting = Setting::new(twist).await;
        let error = setting.start(known(), true).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error.fault(), Fault::Unauthorized(_)) && text.contains(reason), "{reason}: {text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(setting.fake.seen.lock().unwrap().forms.is_empty(), "{reason}");
    }
    let setting = Setting::new(plain()).await;
    let elsewhere = Registration::Client {
        issuer: Some("https://b.example".to_owned()),
        id: "me".to_owned(),
        secret: None,
    };
    let error = setting.start(elsewhere, true).await.unwrap_err();
    assert!(error.to_string().contains("registered"), "{error}");
}
