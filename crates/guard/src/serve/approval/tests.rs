//! The channels over real HTTP on this machine.

use std::sync::Mutex;

use axum::body::Bytes;
use axum::routing::post;
use http::HeaderMap;
use ostrom_core::Digest;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::webhook::{Purpose, SIGNATURE, TIMESTAMP, WINDOW};
use super::*;
use crate::flow::{ContextKey, Engine, Event, Scope, Subject, Violation};
use crate::gateway::{Bounds, Capacity, Catalogue, Journal, JournalError, Request as Waiting, Shared, now};
use crate::label::{Label, Readers};
use crate::pin::{FirstUse, Kind};
use crate::policy::{InForce, Policy};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Memory {
    events: Mutex<Vec<Event>>,
    full: Mutex<bool>,
}

impl Journal for Memory {
    fn open(&self, _opening: &crate::gateway::Opening) -> Result<(), JournalError> {
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<u64, JournalError> {
        if *self.full.lock().unwrap() {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
        let mut events = self.events.lock().unwrap();
        events.push(event.clone());
        Ok(events.len() as u64 - 1)
    }

    fn record(&self, event: &Event) -> Result<u64, JournalError> {
        self.append(event)
    }

    fn write_all(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn settle(&self, _number: u64) -> Result<(), JournalError> {
        Ok(())
    }

    fn waits(&self) -> bool {
        false
    }
}

struct House {
    gateway: Arc<Gateway>,
    journal: Arc<Memory>,
    page: Option<Arc<Page>>,
    url: String,
    client: Client,
    log: Arc<Mutex<Vec<String>>>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn gateway(journal: &Arc<Memory>) -> Arc<Gateway> {
    gateway_of("[servers.mail]\ncommand = [\"x\"]\n", journal)
}

/// A gateway with this configuration and nothing behind it.
pub(in crate::serve) fn before(text: &str) -> Arc<Gateway> {
    gateway_of(text, &Arc::default())
}

fn gateway_of(text: &str, journal: &Arc<Memory>) -> Arc<Gateway> {
    let read = |_: &std::path::Path| Err(std::io::Error::other("nothing is included"));
    let config = Config::from_text("guard.toml", text, std::path::Path::new(""), &read).unwrap();
    let rules = Arc::new(InForce::new(Policy::new(config).unwrap()).unwrap());
    let shared =
        Shared::new(Engine::default(), rules, journal.clone(), Capacity { values: 10, bytes: 1 << 20 });
    let catalogue = Catalogue::new(None, FirstUse::Hold).unwrap();
    Gateway::new(shared, catalogue, Default::default(), Duration::from_secs(5), Bounds::default())
}

/// A gateway with nothing behind it.
pub(in crate::serve) fn empty() -> Arc<Gateway> {
    gateway(&Arc::default())
}

async fn house_with(web: bool, hook: Option<&str>) -> House {
    let journal = Arc::new(Memory::default());
    let gateway = gateway(&journal);
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = log.clone();
    let said: Log = Arc::new(move |line: &str| lines.lock().unwrap().push(line.to_owned()));
    let webhook = hook.map(|url| webhook::Settings {
        url: super::url(url).unwrap(),
        key: Key::new(KEY).unwrap(),
        pause: Duration::from_millis(5),
    });
    let listen = "127.0.0.1:0".parse().unwrap();
    let approval = Approval::open(Settings { listen, web, webhook }, &gateway, &said).await.unwrap();
    let url = format!("http://{}", approval.server.address());
    let page = approval.page();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    House { gateway, journal, page, url, client, log, running: tokio::spawn(approval.run()) }
}

async fn house() -> House {
    house_with(true, None).await
}

fn waiting(arguments: Value, at: u64) -> Waiting {
    let arguments = arguments.as_object().unwrap().clone().into_iter().collect();
    let violation = Violation::TrustedAction {
        tool: "mail/send".into(),
        subject: Subject::Call,
        influencers: ["outside"].into_iter().collect(),
        allowed: ["user"].into_iter().collect(),
        provenance: ["mail/read"].into_iter().collect(),
    };
    Waiting {
        digest: Digest::of(format!("{arguments:?}").as_bytes()),
        binding: Digest::of(format!("{arguments:?}").as_bytes()),
        context: ContextKey { principal: "ana".into(), run: None },
        server: "mail".into(),
        tool: "send".into(),
        prompt: None,
        arguments,
        label: Label::user(Readers::Everyone),
        violations: vec![violation],
        forbidden_by: Vec::new(),
        at,
    }
}

/// A browser at the page.
struct Browser {
    base: String,
    cookie: String,
    csrf: String,
}

impl House {
    fn wait(&self, arguments: Value) -> Waiting {
        let request = waiting(arguments, now());
        self.gateway.shared.lock().approvals.wait(request.clone());
        request
    }

    /// Whether the call may go out now, which uses up its approval.
    fn may_go(&self, request: &Waiting) -> bool {
        self.gateway.shared.lock().approvals.take(&request.binding, now()).is_some()
    }

    fn answers(&self) -> Vec<(bool, String)> {
        let events = self.journal.events.lock().unwrap();
        let answers = events.iter().filter_map(|event| match event {
            Event::Answered { approved, by, .. } => Some((*approved, by.clone())),
            _ => None,
        });
        answers.collect()
    }

    async fn enter(&self) -> Browser {
        let link = self.page.as_ref().unwrap().link().unwrap();
        let token = link.rsplit('/').next().unwrap();
        let entered = self.post("/enter", &[("token", token)]).await;
        assert_eq!(entered.status(), 303);
        let base = entered.headers()["location"].to_str().unwrap().to_owned();
        let cookie = entered.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert!(cookie.contains(&format!("Path={}", base.trim_end_matches('/'))), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let mut browser = Browser { base, cookie, csrf: String::new() };
        let page = self.page(&browser).await;
        browser.csrf = between(&page, "name=\"csrf\" value=\"", "\"").to_owned();
        browser
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.client.get(format!("{}{path}", self.url));
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .send()
            .await
            .unwrap()
    }

    async fn page(&self, browser: &Browser) -> String {
        let page = self.get(&browser.base, &[("cookie", &browser.cookie)]).await;
        assert_eq!(page.status(), 200);
        page.text().await.unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_with(path, fields, &[]).await
    }

    async fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .send()
            .await
            .unwrap()
    }

    async fn answer(&self, browser: &Browser, request: &Waiting, answer: &str) -> Response {
        let (digest, asked) = (request.digest.to_string(), request.at.to_string());
        let fields =
            [("csrf", &*browser.csrf), ("request", &*digest), ("asked", &*asked), ("answer", answer)];
        self.post_with(&format!("{}answer", browser.base), &fields, &[("cookie", &browser.cookie)]).await
    }

    async fn signed(&self, body: &Value, at: u64, purpose: Purpose, key: &str) -> Response {
        let (body, at) = (body.to_string(), at.to_string());
        let signature = Key::new(key).unwrap().sign(purpose, &at, body.as_bytes()).unwrap();
        self.client
            .post(format!("{}/answer", self.url))
            .header(TIMESTAMP, at)
            .header(SIGNATURE, signature)
            .body(body)
            .send()
            .await
            .unwrap()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap().0
}

#[tokio::test]
async fn nobody_sees_or_answers_anything_without_a_link_and_its_cookie() {
    let house = house().await;
    let request = house.wait(json!({"to": "bob"}));
    let browser = house.enter().await;
    for path in ["/", "/s/x/", "/enter/guessed", &browser.base] {
        let answer = house.get(path, &[]).await;
        assert!(matches!(answer.status().as_u16(), 403 | 404), "{path}");
        assert!(!answer.text().await.unwrap().contains("bob"), "{path}");
    }
    let stranger = Browser { cookie: "ostrom-approval=guessed".into(), ..browser };
    assert_eq!(house.answer(&stranger, &request, "approve").await.status(), 403);
    assert!(!house.may_go(&request) && house.answers().is_empty());
}

#[tokio::test]
async fn a_link_works_once_and_looking_at_it_does_not_use_it_up() {
    let house = house().await;
    let link = house.page.as_ref().unwrap().link().unwrap();
    let (path, token) = (link.strip_prefix(&house.url).unwrap(), link.rsplit('/').next().unwrap());
    assert_eq!(house.get(path, &[]).await.status(), 200);
    assert_eq!(house.get(path, &[]).await.status(), 200);
    assert_eq!(house.post("/enter", &[("token", token)]).await.status(), 303);
    assert_eq!(house.post("/enter", &[("token", token)]).await.status(), 403);
    assert_eq!(house.get(path, &[]).await.status(), 403);
}

#[tokio::test]
async fn a_session_does_not_open_another_session_and_both_end() {
    let house = house().await;
    let (one, two) = (house.enter().await, house.enter().await);
    assert_eq!(house.get(&one.base, &[("cookie", &two.cookie)]).await.status(), 403);
    // A cookie that somebody else has set beside ours changes nothing.
    let both = format!("ostrom-approval=x; {}", one.cookie);
    assert_eq!(house.get(&one.base, &[("cookie", &both)]).await.status(), 200);
    let sessions = session::Sessions::default();
    let token = sessions.link(0).unwrap();
    assert!(sessions.begin(&token, session::LINK).unwrap().is_none());
    let token = sessions.link(0).unwrap();
    let begun = sessions.begin(&token, 1).unwrap().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", begun.cookie.split(';').next().unwrap().parse().unwrap());
    assert!(sessions.find(&begun.id, &headers, session::SESSION).is_some());
    assert!(sessions.find(&begun.id, &headers, session::SESSION + 1).is_none());
}

#[tokio::test]
async fn other_host_names_and_forms_of_other_pages_are_refused() {
    let house = house().await;
    let request = house.wait(json!({"to": "bob"}));
    let browser = house.enter().await;
    let port = house.url.rsplit(':').next().unwrap();
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1:1", "127.0.0.1.evil.example"] {
        let answer = house.get(&browser.base, &[("host", host), ("cookie", &browser.cookie)]).await;
        assert_eq!(answer.status(), 403, "{host}");
    }
    let local = format!("localhost:{port}");
    assert_eq!(
        house.get(&browser.base, &[("host", &local), ("cookie", &browser.cookie)]).await.status(),
        200
    );
    let (digest, asked) = (request.digest.to_string(), request.at.to_string());
    let path = format!("{}answer", browser.base);
    let with = |csrf: &str| {
        let fields = [("csrf", csrf), ("request", &*digest), ("asked", &*asked), ("answer", "approve")];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let send = async |csrf: &str, header: (&str, &str)| {
        let fields = with(csrf);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        house.post_with(&path, &fields, &[("cookie", &browser.cookie), header]).await.status().as_u16()
    };
    let other_port = ("origin", "http://127.0.0.1:1");
    assert_eq!(send("guessed", ("x-none", "")).await, 403);
    assert_eq!(send("", ("x-none", "")).await, 403);
    assert_eq!(send(&browser.csrf, other_port).await, 400);
    assert_eq!(send(&browser.csrf, ("origin", "null")).await, 400);
    assert_eq!(send(&browser.csrf, ("sec-fetch-site", "same-site")).await, 400);
    assert!(house.answers().is_empty());
    assert_eq!(send(&browser.csrf, ("origin", &house.url)).await, 303);
    assert_eq!(house.answers(), [(true, "web".to_owned())]);
}

#[tokio::test]
async fn an_approval_on_the_page_is_recorded_and_lets_the_call_through_once() {
    let house = house().await;
    let request = house.wait(json!({"to": "bob"}));
    let browser = house.enter().await;
    assert!(house.page(&browser).await.contains("<title>(1)"));
    let done = house.answer(&browser, &request, "approve").await;
    assert_eq!(done.headers()["location"], format!("{}?done=approved", browser.base));
    assert!(house.may_go(&request) && !house.may_go(&request));
    // Sent again, the form approves nothing more.
    assert_eq!(house.answer(&browser, &request, "approve").await.status(), 409);
    let again = waiting(json!({"to": "bob"}), request.at + 1);
    house.gateway.shared.lock().approvals.wait(again.clone());
    assert_eq!(house.answer(&browser, &request, "approve").await.status(), 409);
    assert_eq!(house.answer(&browser, &again, "refuse").await.status(), 303);
    assert!(!house.may_go(&again));
    assert_eq!(house.answers(), [(true, "web".to_owned()), (false, "web".to_owned())]);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_or_cannot_be_recorded_has_no_effect() {
    let house = house().await;
    let late = waiting(json!({"to": "late"}), now() - 15 * 60);
    house.gateway.shared.lock().approvals.wait(late.clone());
    let browser = house.enter().await;
    assert!(!house.page(&browser).await.contains("late"));
    assert_eq!(house.answer(&browser, &late, "approve").await.status(), 409);
    let request = house.wait(json!({"to": "bob"}));
    *house.journal.full.lock().unwrap() = true;
    assert_eq!(house.answer(&browser, &request, "approve").await.status(), 500);
    assert!(!house.may_go(&request) && house.answers().is_empty());
}

#[tokio::test]
async fn what_agents_and_servers_write_is_inert_and_shows_its_hidden_characters() {
    let house = house().await;
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    house.wait(json!({evil: format!("{evil}\u{202e}\u{200b}end"), "b": {"c": [evil]}}));
    let offered = [json!({"name": "read", "description": format!("{evil}\u{e0041}")})];
    house.gateway.catalogue.take(&"mail".into(), Kind::Tool, &offered, 1).unwrap();
    let browser = house.enter().await;
    let answer = house.get(&browser.base, &[("cookie", &browser.cookie)]).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-frame-options"], "DENY");
    let page = answer.text().await.unwrap();
    for bad in ["<script", "<img", "\u{202e}", "\u{200b}", "\u{e0041}", "style="] {
        assert!(!page.contains(bad), "{bad:?} in {page}");
    }
    for mark in [r"\u{202e}", r"\u{200b}", r"\u{e0041}"] {
        assert!(
            page.contains(&format!("<mark title=\"hidden character\">{mark}</mark>")),
            "{mark} in {page}"
        );
    }
}

#[tokio::test]
async fn a_long_call_is_approved_only_where_all_of_it_is_shown() {
    let house = house().await;
    let request = house.wait(json!({"body": format!("{}the-end", "x".repeat(10_000))}));
    let browser = house.enter().await;
    let page = house.page(&browser).await;
    assert!(
        !page.contains("the-end") && !page.contains("value=\"approve\"") && page.contains("value=\"refuse\"")
    );
    let path = format!("{}call/{}", browser.base, request.digest);
    let whole = house.get(&path, &[("cookie", &browser.cookie)]).await.text().await.unwrap();
    assert!(whole.contains("the-end") && whole.contains("value=\"approve\""));
    assert_eq!(house.get(&path, &[]).await.status(), 403);
}

#[tokio::test]
async fn held_definitions_are_approved_as_they_were_shown() {
    let house = house().await;
    let plain = json!({"name": "read", "description": "reads"});
    let hidden = json!({"name": "send", "description": "sends\u{200b}x"});
    let take =
        |offered: &[Value]| house.gateway.catalogue.take(&"mail".into(), Kind::Tool, offered, 1).unwrap();
    take(&[plain.clone(), hidden.clone()]);
    let browser = house.enter().await;
    let pin = async |definition: &Value| {
        let digest = ostrom_trust::digest_of(definition).unwrap().to_string();
        let fields = [("csrf", &*browser.csrf), ("server", "mail"), ("digest", &*digest)];
        let path = format!("{}pin", browser.base);
        house.post_with(&path, &fields, &[("cookie", &browser.cookie)]).await.status().as_u16()
    };
    assert_eq!(pin(&json!({"name": "read", "description": "other"})).await, 409);
    // What cannot be recorded has no effect, and waits as before.
    *house.journal.full.lock().unwrap() = true;
    assert_eq!(pin(&plain).await, 500);
    *house.journal.full.lock().unwrap() = false;
    assert!(!house.gateway.catalogue.is_pinned("mail", Kind::Tool, "read"));
    let mut changes =
        crate::front::Handler::changes(&*house.gateway, &crate::gateway::house::caller("ana", None));
    assert_eq!(pin(&plain).await, 303);
    // Which lists have changed is told, once.
    assert_eq!(changes.try_recv().unwrap().method, "notifications/tools/list_changed");
    assert!(changes.try_recv().is_err());
    assert_eq!(pin(&hidden).await, 500);
    let changed = json!({"name": "read", "description": "reads & tells"});
    assert_eq!(take(&[changed, hidden]).0.len(), 0);
    let page = house.page(&browser).await;
    // What hides something has no button.
    assert_eq!(page.matches("Approve definition").count(), 1);
    assert!(page.contains("cannot be approved: have the server"));
    assert!(page.contains("<del>") && page.contains("<ins>") && page.contains("/description"), "{page}");
}

#[tokio::test]
async fn everything_is_stopped_and_lifted_on_the_page() {
    let house = house().await;
    let browser = house.enter().await;
    let send = async |what: &str, scope: &str| {
        let fields = [("csrf", &*browser.csrf), ("scope", scope)];
        let path = format!("{}{what}", browser.base);
        house.post_with(&path, &fields, &[("cookie", &browser.cookie)]).await.status().as_u16()
    };
    let stopped = || house.gateway.shared.lock().engine.stopped().cloned().collect::<Vec<_>>();
    assert_eq!(send("lift", "\"all\"").await, 409);
    assert_eq!(send("stop", "").await, 303);
    assert_eq!(stopped(), [Scope::All]);
    let page = house.page(&browser).await;
    let scope = between(&page, "name=\"scope\" value=\"", "\"").replace("&#34;", "\"");
    assert_eq!(send("lift", &scope).await, 303);
    assert!(stopped().is_empty());
}

#[tokio::test]
async fn the_page_listens_on_this_machine_only_and_webhooks_are_reached_safely() {
    let gateway = gateway(&Arc::default());
    let log: Log = Arc::new(|_: &str| {});
    let listen = "0.0.0.0:0".parse().unwrap();
    let opened = Approval::open(Settings { listen, web: true, webhook: None }, &gateway, &log).await;
    assert!(opened.err().unwrap().to_string().contains("loopback"));
    for bad in ["http://example.org/", "ftp://localhost/", "http://127.0.0.1.example.org/", "x"] {
        assert!(super::url(bad).is_err(), "{bad}");
    }
    for good in ["https://example.org/ask", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]:1/"] {
        assert!(super::url(good).is_ok(), "{good}");
    }
    assert!(Key::new("short").is_err());
    assert!(!format!("{:?}", Key::new(KEY).unwrap()).contains("0123"));
}

/// A service that gets questions, after failing as often as it is told.
struct Service {
    url: String,
    got: tokio::sync::mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

async fn service(failures: &[u16]) -> Service {
    let (send, got) = tokio::sync::mpsc::unbounded_channel();
    let failures: Arc<Mutex<Vec<u16>>> = Arc::new(Mutex::new(failures.iter().rev().copied().collect()));
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let fails = failures.lock().unwrap().pop();
        send.send((headers, body)).unwrap();
        StatusCode::from_u16(fails.unwrap_or(202)).unwrap()
    };
    let connections = connections(([127, 0, 0, 1], 0).into(), 8).await.unwrap();
    let url = format!("http://{}/ask", connections.address());
    let router = Router::new().route("/ask", post(take));
    let log: Log = Arc::new(|_: &str| {});
    let server = Server::of(connections, router, log);
    tokio::spawn(server.run(pending()));
    Service { url, got }
}

#[tokio::test]
async fn a_webhook_is_asked_with_a_signature_until_it_takes_the_question_and_its_answer_counts_once() {
    let mut service = service(&[503, 429]).await;
    let house = house_with(false, Some(&service.url)).await;
    let request = house.wait(json!({"to": "bob"}));
    let mut tries = Vec::new();
    for _ in 0..3 {
        tries.push(service.got.recv().await.unwrap());
    }
    let (headers, body) = tries.pop().unwrap();
    let time = headers[TIMESTAMP].to_str().unwrap();
    let signature = Key::new(KEY).unwrap().sign(Purpose::Question, time, &body).unwrap();
    assert_eq!(headers[SIGNATURE].to_str().unwrap(), signature);
    let question: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(question["arguments"], json!({"to": "bob"}));
    assert_eq!(question["answer-to"], format!("{}/answer", house.url));
    assert!(question["because"][0].as_str().unwrap().contains("outside"));

    let yes = json!({"question": question["question"], "request": question["request"], "approve": true});
    let other = "fedcba9876543210fedcba9876543210";
    let refused = |at: u64, purpose: Purpose, key: &'static str| house.signed(&yes, at, purpose, key);
    assert_eq!(refused(now(), Purpose::Answer, other).await.status(), 401);
    assert_eq!(refused(now(), Purpose::Question, KEY).await.status(), 401);
    assert_eq!(refused(now() - WINDOW - 5, Purpose::Answer, KEY).await.status(), 401);
    assert_eq!(refused(now() + WINDOW + 5, Purpose::Answer, KEY).await.status(), 401);
    let guessed = json!({"question": "guessed", "request": question["request"], "approve": true});
    assert_eq!(house.signed(&guessed, now(), Purpose::Answer, KEY).await.status(), 410);
    assert_eq!(house.post("/answer", &[("approve", "true")]).await.status(), 401);
    assert!(house.answers().is_empty());

    let at = now();
    assert_eq!(house.signed(&yes, at, Purpose::Answer, KEY).await.status(), 200);
    assert_eq!(house.answers(), [(true, "webhook:127.0.0.1".to_owned())]);
    assert!(house.may_go(&request));
    // The same answer again, also when the agent makes the same call again.
    assert_eq!(house.signed(&yes, at, Purpose::Answer, KEY).await.status(), 410);
    let again = house.wait(json!({"to": "bob"}));
    let (_, second) = service.got.recv().await.unwrap();
    let second: Value = serde_json::from_slice(&second).unwrap();
    assert_ne!(second["question"], question["question"]);
    assert_eq!(house.signed(&yes, at, Purpose::Answer, KEY).await.status(), 410);
    assert!(!house.may_go(&again));
    // There is no page where none is configured.
    assert_eq!(house.get("/", &[]).await.status(), 404);
}

#[tokio::test]
async fn an_answer_after_the_question_has_expired_is_refused() {
    let mut service = service(&[]).await;
    let house = house_with(false, Some(&service.url)).await;
    let request = house.wait(json!({"to": "bob"}));
    let (_, body) = service.got.recv().await.unwrap();
    let question: Value = serde_json::from_slice(&body).unwrap();
    house.gateway.shared.lock().approvals.terms.seconds = 0;
    let yes = json!({"question": question["question"], "request": question["request"], "approve": true});
    assert_eq!(house.signed(&yes, now(), Purpose::Answer, KEY).await.status(), 410);
    assert!(!house.may_go(&request) && house.answers().is_empty());
}

#[tokio::test]
async fn a_webhook_that_refuses_is_not_asked_again_and_the_call_still_waits() {
    let mut service = service(&[400]).await;
    let house = house_with(true, Some(&service.url)).await;
    house.wait(json!({"to": "bob"}));
    service.got.recv().await.unwrap();
    while house.log.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(house.log.lock().unwrap()[0].contains("400") && service.got.try_recv().is_err());
    let browser = house.enter().await;
    assert!(house.page(&browser).await.contains("bob"));
}

#[tokio::test]
async fn what_is_too_long_for_a_webhook_is_not_approved_through_it() {
    let mut service = service(&[]).await;
    let house = house_with(true, Some(&service.url)).await;
    house.wait(json!({"body": "x".repeat(300 << 10)}));
    let (_, body) = service.got.recv().await.unwrap();
    let question: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&question["arguments"], &question["arguments-left-out"]), (&Value::Null, &json!(true)));
    let say = |approve: bool| json!({"question": question["question"], "request": question["request"], "approve": approve});
    assert_eq!(house.signed(&say(true), now(), Purpose::Answer, KEY).await.status(), 403);
    assert_eq!(house.signed(&say(false), now(), Purpose::Answer, KEY).await.status(), 200);
    assert_eq!(house.answers(), [(false, "webhook:127.0.0.1".to_owned())]);
}
