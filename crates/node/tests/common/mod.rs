//! A real node on a free port, and somebody who talks to it.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ostrom_core::Timestamp;
use ostrom_node::{App, Clock, Config, Limits, Node};
use ostrom_store::Location;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The password of everybody in tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// A node that runs.
pub struct TestNode {
    pub address: SocketAddr,
    pub app: App,
    pub link: Option<String>,
    pub clock: Clock,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    _data: TempDir,
}

/// A clock that stands at a time in tests.
pub fn clock() -> Clock {
    Clock::fixed("2026-08-02T10:00:00Z".parse::<Timestamp>().unwrap())
}

/// Limits that no test meets by accident.
pub fn limits() -> Limits {
    Limits { rate: 10_000, burst: 10_000, guesses: 1000, ..Limits::default() }
}

impl TestNode {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts a node whose settings `change` has changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new(data.path().join("data"));
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.clock = clock();
        config.limits = limits();
        config.private_peers = true;
        change(&mut config);
        let database = ostrom_store::testing::database(&config.data).unwrap();
        if let (Location::Postgres(url), None) = (database.location, &config.database) {
            config.database = Some(url.into());
        }
        let clock = config.clock.clone();
        let node = Node::start(config).await.unwrap();
        let (address, app, link) = (node.address(), node.app().clone(), node.first_link().map(str::to_owned));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(node.run(async {
            let _ = stopped.await;
        }));
        Self { address, app, link, clock, stop: Some(stop), task: Some(task), _data: data }
    }

    /// Somebody with a browser that has no cookies yet.
    pub fn browser(&self) -> Browser {
        Browser {
            origin: format!("http://localhost:{}", self.address.port()),
            address: self.address,
            cookies: BTreeMap::new(),
            http: http(),
        }
    }

    /// The first administrator, who is signed in.
    pub async fn administrator(&self) -> Browser {
        let mut browser = self.browser();
        let secret = self.link.as_deref().unwrap().rsplit('/').next().unwrap().to_owned();
        let form = [
            ("secret", &*secret),
            ("organisation", "Institute"),
            ("name", "Ada"),
            ("email", "Ada@Institute.example"),
            ("password", PASSWORD),
        ];
        let reply = browser.form("/auth/invitation", &form).await;
        assert_eq!(reply.status, 303, "{reply:?}");
        browser
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap();
    }
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(no_tls())
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

fn no_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Without what is another one at another time: to be compared.
    pub fn undated(mut self) -> Self {
        self.headers.remove("date");
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|values| values.first()).map(String::as_str)
    }
}

/// A browser, or a machine: keeps cookies.
#[derive(Clone)]
pub struct Browser {
    pub origin: String,
    pub address: SocketAddr,
    pub cookies: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Browser {
    /// At a node with this URL.
    pub fn at(url: &str) -> Self {
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { origin: url.to_owned(), address, cookies: BTreeMap::new(), http: http() }
    }

    /// One request, with whatever headers.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.origin)).body(body);
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in response.headers() {
            headers
                .entry(name.to_string())
                .or_default()
                .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        for set in headers.get("set-cookie").into_iter().flatten() {
            let (name, rest) = set.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// The token for forms.
    pub async fn csrf(&mut self) -> String {
        self.get("/auth/session").await.json()["csrf"].as_str().unwrap().to_owned()
    }

    /// Sends a form as a page of this node does.
    pub async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf().await;
        let mut fields = fields.to_vec();
        fields.push(("csrf", &token));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let origin = self.origin.clone();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", &*origin)];
        self.send(Method::POST, path, &headers, body.into_bytes()).await
    }

    /// Sends JSON as a script of this node does.
    pub async fn api(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        let token = self.csrf().await;
        let headers = [("content-type", "application/json"), ("x-csrf-token", &*token)];
        self.send(method, path, &headers, body.to_string().into_bytes()).await
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.form("/auth/password", &[("email", email), ("password", password), ("next", "/flaws")]).await
    }

    /// Makes a person, who accepts the invitation and is signed in.
    pub async fn invite(
        &mut self,
        node: &TestNode,
        organisation: &str,
        email: &str,
        roles: &[&str],
    ) -> Browser {
        let person = json!({"organisation": organisation, "name": email, "email": email, "roles": roles});
        let made = self.api(Method::POST, "/api/v1/persons", &person).await;
        assert_eq!(made.status, 201, "{made:?}");
        let path = format!("/api/v1/persons/{}/invitation", made.json()["id"].as_str().unwrap());
        let link =
            self.api(Method::POST, &path, &json!({})).await.json()["link"].as_str().unwrap().to_owned();
        let mut browser = node.browser();
        let secret = link.rsplit('/').next().unwrap();
        let accepted = browser.form("/auth/invitation", &[("secret", secret), ("password", PASSWORD)]).await;
        assert_eq!(accepted.status, 303, "{accepted:?}");
        browser
    }

    /// Makes a collection in which what has no mark is TLP:AMBER. Gives its id.
    pub async fn collection(&mut self, alias: &str) -> String {
        let form = json!({"title": alias, "alias": alias, "default_tlp": "amber"});
        let made = self.api(Method::POST, "/api/v1/collections", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Shares a flaw. Gives its id.
    pub async fn flaw(&mut self, collection: &str, tlp: &str, name: &str) -> String {
        let form = json!({"collection": collection, "handling": {"tlp": tlp}, "object": {"name": name}});
        let made = self.api(Method::POST, "/api/v1/flaws", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn organisation(&mut self, name: &str) -> String {
        let made = self.api(Method::POST, "/api/v1/organisations", &json!({"name": name})).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn token(&mut self, scopes: &[&str]) -> String {
        let made = self
            .api(Method::POST, "/api/v1/tokens", &json!({"name": "machine", "scopes": scopes, "days": 30}))
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["token"].as_str().unwrap().to_owned()
    }
}
