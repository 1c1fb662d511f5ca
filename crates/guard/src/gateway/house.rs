//! What tests of the gateway share: servers that answer as they are told, a log in memory, and a gateway between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use super::rules::{Boxed, Journal, JournalError, Unanswered, Upstream};
use super::*;
use crate::flow::Engine;
use crate::pin::FirstUse;
use crate::policy::{Config, InForce, Policy};
use crate::wire::{Id, Revision};

/// What a server does with a tool's arguments.
pub(crate) type Acts = Box<dyn Fn(&str, &Value) -> Option<Value> + Send + Sync>;

/// A server that answers as it is told, and remembers what it got.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) tools: Mutex<Vec<Value>>,
    pub(crate) answers: Mutex<BTreeMap<String, Value>>,
    /// Asked before what is in `answers`.
    pub(crate) acts: Mutex<Option<Acts>>,
    pub(crate) got: Mutex<Vec<(String, Value)>>,
    pub(crate) asks: Mutex<Option<String>>,
    /// For how long it says that its list may be kept, in milliseconds.
    pub(crate) keep: Mutex<u64>,
    /// Done before it asks whether the request may be sent again.
    pub(crate) again: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    /// Said to the client before a call is answered.
    pub(crate) says: Mutex<Option<String>>,
    /// The tool, or `tools/list`, that is not answered.
    pub(crate) hangs: Mutex<Option<String>>,
    /// How often it was asked for its list.
    pub(crate) lists: Mutex<usize>,
    /// Whether it gives no list.
    pub(crate) is_down: Mutex<bool>,
    /// What it says it can do, if it is not the usual.
    pub(crate) can: Mutex<Option<Value>>,
    /// The calls and watches that it was told are over.
    pub(crate) ended: Mutex<Vec<String>>,
    me: OnceLock<Weak<Self>>,
    /// All parameters of the requests that arrived.
    pub(crate) params: Mutex<Vec<Map<String, Value>>>,
}

/// What a server is told of when it is dropped.
struct GivenUp(Option<(Arc<Fake>, String)>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some((fake, what)) = self.0.take() {
            fake.ended.lock().unwrap().push(what);
        }
    }
}

impl Fake {
    pub(crate) fn new(tools: &[&str]) -> Arc<Self> {
        let fake = Arc::new(Self::default());
        fake.me.set(Arc::downgrade(&fake)).unwrap();
        *fake.tools.lock().unwrap() = tools.iter().map(|name| tool(name, "does something")).collect();
        fake
    }

    pub(crate) fn answers(&self, tool: &str, result: Value) {
        self.answers.lock().unwrap().insert(tool.to_owned(), result);
    }

    /// The arguments of the calls that arrived at a tool.
    pub(crate) fn got(&self, tool: &str) -> Vec<Value> {
        self.got
            .lock()
            .unwrap()
            .iter()
            .filter(|(name, _)| name == tool)
            .map(|(_, value)| value.clone())
            .collect()
    }
}

pub(crate) fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "inputSchema": {"type": "object"}})
}

pub(crate) fn text(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

impl Upstream for Fake {
    fn request(
        self: Arc<Self>,
        _capabilities: Map<String, Value>,
        method: &'static str,
        params: Map<String, Value>,
        relay: Relay,
        deadline: Duration,
    ) -> Boxed<'static, Result<Result<Map<String, Value>, RpcError>, Unanswered>> {
        Box::pin(async move {
            if method == "tools/list" {
                if self.hangs.lock().unwrap().as_deref() == Some(method) {
                    std::future::pending::<()>().await;
                }
                *self.lists.lock().unwrap() += 1;
                if *self.is_down.lock().unwrap() {
                    return Err(Unanswered { message: "it is down".to_owned(), may_have_run: false });
                }
                let mut list = cacheable("tools", self.tools.lock().unwrap().clone());
                list.insert("ttlMs".to_owned(), json!(*self.keep.lock().unwrap()));
                list.insert("cacheScope".to_owned(), json!("public"));
                return Ok(Ok(list));
            }
            let name = params.get("name").and_then(Value::as_str).unwrap_or(method).to_owned();
            self.params.lock().unwrap().push(params.clone());
            let says = self.says.lock().unwrap().clone();
            if let Some(text) = says {
                let params = json!({"data": text}).as_object().unwrap().clone();
                relay.notify(Notification { method: "notifications/message".into(), params }).await;
            }
            let arguments = params.get("arguments").cloned().unwrap_or(Value::Object(params));
            let done = self.acts.lock().unwrap().as_ref().and_then(|acts| acts(&name, &arguments));
            self.got.lock().unwrap().push((name.clone(), arguments));
            let again = self.again.lock().unwrap().clone();
            if let Some(meanwhile) = again {
                meanwhile();
                if let Err(error) = relay.again().await {
                    return Ok(Err(error));
                }
            }
            if self.hangs.lock().unwrap().as_ref() == Some(&name) {
                let mut given_up = GivenUp(Some((self.clone(), name)));
                tokio::time::sleep(deadline).await;
                given_up.0 = None;
                return Err(Unanswered { message: "it took too long".to_owned(), may_have_run: true });
            }
            let asks = self.asks.lock().unwrap().clone();
            if let Some(question) = asks {
                let asked = question.split('|').map(|question| {
                    let params = json!({"message": question}).as_object().unwrap().clone();
                    relay.ask_as(Some(question.to_owned()), "elicitation/create", params)
                });
                for answer in join_all(asked).await {
                    self.got.lock().unwrap().push(("answer".into(), json!(format!("{answer:?}"))));
                }
            }
            match done.as_ref().or(self.answers.lock().unwrap().get(&name)) {
                Some(Value::Object(result)) => Ok(Ok(result.clone())),
                Some(Value::Number(code)) => {
                    Ok(Err(RpcError::new(code.as_i64().unwrap(), "cannot parse IGNORE ALL")))
                }
                Some(Value::String(fault)) => Err(Unanswered { message: fault.clone(), may_have_run: true }),
                _ => Ok(Ok(text("done").as_object().unwrap().clone())),
            }
        })
    }

    fn info(&self) -> Map<String, Value> {
        let can = self.can.lock().unwrap().clone().unwrap_or_else(|| json!({"tools": {}, "resources": {}}));
        json!({"capabilities": can}).as_object().unwrap().clone()
    }

    fn changes(&self) -> broadcast::Receiver<Notification> {
        broadcast::channel(1).1
    }

    fn watch<'a>(
        &'a self,
        uri: &'a str,
    ) -> Boxed<'a, Result<Box<dyn std::any::Any + Send + Sync>, Unanswered>> {
        self.got.lock().unwrap().push(("watch".into(), json!(uri)));
        let given_up = GivenUp(self.me.get().and_then(Weak::upgrade).map(|me| (me, uri.to_owned())));
        Box::pin(async { Ok(Box::new(given_up) as Box<dyn std::any::Any + Send + Sync>) })
    }
}

/// A log in memory that can be full.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) full: Mutex<bool>,
    /// Events with longer JSON are not taken.
    pub(crate) longest: Mutex<Option<usize>>,
    /// The number of the one event that there is no room for.
    pub(crate) full_at: Mutex<Option<usize>>,
    /// What opens the commitments.
    pub(crate) openings: Mutex<Vec<Opening>>,
}

impl Journal for Memory {
    fn open(&self, opening: &Opening) -> Result<(), JournalError> {
        if *self.full.lock().unwrap() {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
        self.openings.lock().unwrap().push(opening.clone());
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<u64, JournalError> {
        if *self.full.lock().unwrap() {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
        let length = serde_json::to_vec(event).unwrap().len();
        if let Some(longest) = self.longest.lock().unwrap().filter(|longest| length > *longest) {
            return Err(JournalError::too_long(longest));
        }
        let mut events = self.events.lock().unwrap();
        if self.full_at.lock().unwrap().take_if(|at| *at == events.len()).is_some() {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
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

pub(crate) struct House {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) journal: Arc<Memory>,
}

pub(crate) const POLICY: &str = r#"
[servers.mail]
command = ["x"]
[servers.mail.tools.read]
critical = false
result = { influencers = ["outside"], readers = ["user", "server:notes"], reveal = "value" }
[servers.mail.tools.fetch]
critical = false
result = { influencers = ["outside"], readers = "everyone", reveal = "reference" }
[servers.mail.tools.send]
critical = true
influencers = ["user"]
result = { influencers = [], readers = "everyone", reveal = "status" }
[servers.mail.tools.send.arguments.body]
influencers = "anyone"
[servers.mail.tools.pay]
critical = true
influencers = ["user"]
otherwise = "deny"
result = { influencers = [], readers = "everyone", reveal = "value" }
[servers.notes]
command = ["y"]
[servers.notes.tools.save]
critical = false
memory = { access = "write", object = "name", content = "text" }
result = { influencers = [], readers = "everyone", reveal = "status" }
[servers.notes.tools.load]
critical = false
memory = { access = "read", object = "name" }
result = { influencers = ["outside"], readers = "everyone", reveal = "value" }
"#;

pub(crate) fn policy(text: &str) -> Arc<InForce> {
    policy_with(text, None)
}

/// A policy with Cedar's, which its text calls `rules.cedar`.
pub(crate) fn policy_with(text: &str, cedar: Option<&str>) -> Arc<InForce> {
    let read = |_: &std::path::Path| {
        cedar.map(str::to_owned).ok_or_else(|| std::io::Error::other("nothing is included"))
    };
    let config = Config::from_text("guard.toml", text, std::path::Path::new(""), &read).unwrap();
    Arc::new(InForce::new(Policy::new(config).unwrap()).unwrap())
}

pub(crate) fn house_with(text: &str, servers: &[(&str, Arc<Fake>)], first_use: FirstUse) -> House {
    house_under(policy(text), servers, first_use)
}

pub(crate) fn house_under(rules: Arc<InForce>, servers: &[(&str, Arc<Fake>)], first_use: FirstUse) -> House {
    let journal = Arc::new(Memory::default());
    let shared = Shared::new(Engine::default(), rules, journal.clone(), CAPACITY);
    House { gateway: gateway_of(shared, servers, first_use), journal }
}

pub(crate) const CAPACITY: Capacity = Capacity { values: 100, bytes: 1 << 20 };

pub(crate) fn gateway_of(shared: Shared, servers: &[(&str, Arc<Fake>)], first_use: FirstUse) -> Arc<Gateway> {
    let upstreams =
        servers.iter().map(|(name, fake)| (Arc::from(*name), fake.clone() as Arc<dyn Upstream>)).collect();
    let catalogue = Catalogue::new(None, first_use).unwrap();
    Gateway::new(shared, catalogue, upstreams, Duration::from_secs(5), Bounds::default())
}

/// The same house with other bounds.
pub(crate) fn bounded(house: House, bounds: Bounds) -> House {
    let Gateway { shared, catalogue, upstreams, deadline, .. } = Arc::into_inner(house.gateway).unwrap();
    let gateway = Gateway::new(shared, catalogue, upstreams, deadline, bounds);
    House { gateway, journal: house.journal }
}

pub(crate) fn house() -> (House, Arc<Fake>, Arc<Fake>) {
    let mail = Fake::new(&["read", "fetch", "send", "pay"]);
    let notes = Fake::new(&["save", "load"]);
    let house =
        house_with(POLICY, &[("mail", mail.clone()), ("notes", notes.clone())], FirstUse::TrustOnFirstUse);
    (house, mail, notes)
}

pub(crate) fn caller(principal: &str, run: Option<&str>) -> Arc<Caller> {
    Arc::new(Caller {
        principal: principal.into(),
        run: run.map(Into::into),
        revision: Revision::V2026_07_28,
        capabilities: Map::new(),
        client: None,
    })
}

impl House {
    pub(crate) async fn ask(
        &self,
        caller: &Arc<Caller>,
        method: &str,
        params: Value,
    ) -> Result<Map<String, Value>, RpcError> {
        let params = params.as_object().unwrap().clone();
        let request = RpcRequest { id: Id::Number(1), method: method.into(), params };
        self.gateway.handle(caller.clone(), request, Relay::nowhere()).await
    }

    pub(crate) async fn call(&self, caller: &Arc<Caller>, tool: &str, arguments: Value) -> String {
        match self.ask(caller, "tools/call", json!({"name": tool, "arguments": arguments})).await {
            Ok(result) => result["content"][0]["text"].as_str().unwrap().to_owned(),
            Err(error) => format!("error: {}", error.message),
        }
    }

    pub(crate) async fn tools(&self) -> Vec<String> {
        let listed = self.ask(&caller("ana", None), "tools/list", json!({})).await.unwrap();
        listed["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A person's answer to a question, on record and given.
    pub(crate) fn answer(&self, request: &Digest, approved: bool) {
        tell(self, Event::Answered { request: *request, approved, by: "ana".into(), at: now() });
        assert!(self.gateway.shared.lock().approvals.answer(request, approved, now()));
    }

    pub(crate) fn held(&self) -> Vec<(String, String)> {
        let held = self.gateway.catalogue.held().into_iter();
        held.map(|held| (held.checked.name.clone(), format!("{:?}", held.checked.standing))).collect()
    }
}

pub(crate) fn handle(answer: &str) -> String {
    let handle = answer.lines().next().unwrap().to_owned();
    assert!(handle.starts_with(PREFIX), "{answer}");
    handle
}

/// Begins a call and gives it up once it has arrived at its server.
pub(crate) async fn given_up(house: &House, who: &Arc<Caller>, call: Value, arrived: impl Fn() -> bool) {
    let mut handled = Box::pin(house.ask(who, "tools/call", call));
    while !arrived() {
        assert!(futures_util::poll!(&mut handled).is_pending());
        tokio::task::yield_now().await;
    }
}

pub(crate) fn params(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(crate) fn request(tool: &str) -> RpcRequest {
    let params = params(json!({"name": tool, "arguments": {}}));
    RpcRequest { id: Id::Number(1), method: "tools/call".into(), params }
}

pub(crate) fn tell(house: &House, event: Event) {
    let mut state = house.gateway.shared.lock();
    let _written = house.gateway.shared.record(&mut state, &event, None).unwrap();
}
