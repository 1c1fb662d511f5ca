//! Tests over real sockets and pipes, with a handler that does what its tools' names say.

mod auth;
mod http;
mod legacy;
mod parked;
mod peers;
mod stdio;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast};

use super::{Caller, Handler, Log, Mirrored, Watch};
use crate::relay::Relay;
use crate::wire::{Notification, Request, RpcError};

/// A handler that remembers what happened to it.
struct Fake {
    callers: Mutex<Vec<Arc<Caller>>>,
    requests: Mutex<Vec<Request>>,
    /// How many `wait` calls have been dropped.
    cancelled: Arc<AtomicUsize>,
    started: Notify,
    dropped: Arc<Notify>,
    release: Notify,
    changes: broadcast::Sender<Notification>,
    watching: Arc<Mutex<Vec<String>>>,
    /// The runs that may hear nothing, by name; none is "".
    deaf: Mutex<Vec<String>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            callers: Mutex::default(),
            requests: Mutex::default(),
            cancelled: Arc::default(),
            started: Notify::new(),
            dropped: Arc::new(Notify::new()),
            release: Notify::new(),
            changes: broadcast::Sender::new(4),
            watching: Arc::default(),
            deaf: Mutex::default(),
        }
    }
}

struct OnDrop(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.notify_one();
    }
}

struct Watching(Arc<Mutex<Vec<String>>>, String);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.lock().unwrap().retain(|uri| *uri != self.1);
    }
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is not an object") };
    map
}

fn text(text: &str) -> Map<String, Value> {
    map(json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}))
}

fn note(method: &str, params: Value) -> Notification {
    Notification { method: method.to_owned(), params: map(params) }
}

fn form(message: &str) -> Map<String, Value> {
    map(
        json!({"mode": "form", "message": message, "requestedSchema": {"type": "object", "properties": {"answer": {"type": "string"}}}}),
    )
}

impl Handler for Fake {
    fn open(&self, principal: &str, token: Option<&str>) -> Result<Option<Arc<str>>, RpcError> {
        match token {
            None => Ok(None),
            Some("run-of-user") if principal == "user" => Ok(Some("run-1".into())),
            Some(_) => Err(RpcError::new(RpcError::INVALID_REQUEST, "this run is not known")),
        }
    }

    async fn discover(&self, _caller: &Caller) -> Map<String, Value> {
        map(json!({
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "extensions": {"example.org/x": {}},
            },
            "serverInfo": {"name": "fake", "version": "1"},
            "instructions": "Be kind.",
        }))
    }

    async fn handle(
        &self,
        caller: Arc<Caller>,
        request: Request,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        self.callers.lock().unwrap().push(caller);
        self.requests.lock().unwrap().push(request.clone());
        let name = request.params.get("name").and_then(Value::as_str).unwrap_or_default();
        match (request.method.as_str(), name) {
            ("tools/list", _) => Ok(map(json!({
                "resultType": "complete", "ttlMs": 1000, "cacheScope": "private",
                "tools": [{"name": "echo", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}}],
            }))),
            ("tools/call", "echo") => {
                Ok(text(request.params.get("arguments").map(Value::to_string).unwrap_or_default().as_str()))
            }
            ("tools/call", "number") => Ok(map(json!({"content": [], "structuredContent": 7}))),
            ("tools/call", "link") => {
                Ok(map(json!({"content": [{"type": "resource_link", "name": "n", "uri": "x://y"}]})))
            }
            ("tools/call", "wait") => {
                let _guard = OnDrop(Arc::clone(&self.cancelled), Arc::clone(&self.dropped));
                self.started.notify_one();
                self.release.notified().await;
                Ok(text("waited"))
            }
            ("tools/call", "progress") => {
                let token = request.params["_meta"]["progressToken"].clone();
                for step in 1..=2 {
                    relay
                        .notify(note(
                            "notifications/progress",
                            json!({"progressToken": token, "progress": step}),
                        ))
                        .await;
                }
                Ok(text("progressed"))
            }
            ("tools/call", "log") => {
                for level in ["debug", "error"] {
                    relay.notify(note("notifications/message", json!({"level": level, "data": level}))).await;
                }
                Ok(text("logged"))
            }
            ("tools/call" | "prompts/get", "ask") => {
                let _guard = OnDrop(Arc::clone(&self.cancelled), Arc::clone(&self.dropped));
                let asked = relay.ask("elicitation/create", form("who?")).await;
                let answer = asked?;
                let token = request.params.get("_meta").and_then(|meta| meta.get("progressToken")).cloned();
                if let Some(token) = token {
                    relay
                        .notify(note(
                            "notifications/progress",
                            json!({"progressToken": token, "progress": 1}),
                        ))
                        .await;
                }
                Ok(text(&Value::Object(answer).to_string()))
            }
            ("tools/call", "ask-two") => {
                let (first, second) = tokio::join!(
                    relay.ask("elicitation/create", form("one?")),
                    relay.ask("roots/list", Map::new())
                );
                Ok(text(&json!([first?, second?]).to_string()))
            }
            ("tools/call", "ask-by-name") => {
                let names = request.params["arguments"]["names"].as_array().cloned().unwrap_or_default();
                let asked = names.iter().map(|name| {
                    let name = name.as_str().map(str::to_owned);
                    relay.ask_as(name, "elicitation/create", form("one?"))
                });
                Ok(text(&json!(try_join_all(asked).await?).to_string()))
            }
            ("tools/call", "ask-for-ever") => loop {
                relay.ask("elicitation/create", form("again?")).await?;
            },
            ("tools/call", "ask-then-give-up") => {
                let ask = relay.ask("elicitation/create", form("quick?"));
                tokio::select! {
                    answer = ask => answer,
                    () = self.release.notified() => Ok(text("gave up")),
                }
            }
            ("completion/complete", _) => relay.ask("elicitation/create", form("why?")).await,
            ("resources/read", _) => Err(RpcError::new(RpcError::INVALID_PARAMS, "no such resource")),
            ("tools/call", _) => Err(RpcError::new(RpcError::INVALID_PARAMS, "no such tool")),
            _ => Err(RpcError::new(RpcError::METHOD_NOT_FOUND, "no such method")),
        }
    }

    fn changes(&self, _caller: &Caller) -> broadcast::Receiver<Notification> {
        self.changes.subscribe()
    }

    async fn watch(&self, _caller: Arc<Caller>, uri: String) -> Result<Watch, RpcError> {
        if uri.starts_with("secret:") {
            return Err(RpcError::new(RpcError::INVALID_PARAMS, "no such resource"));
        }
        self.watching.lock().unwrap().push(uri.clone());
        Ok(Box::new(Watching(Arc::clone(&self.watching), uri)))
    }

    fn hears(&self, caller: &Caller, _watch: &Watch) -> bool {
        let run = caller.run.as_deref().unwrap_or_default();
        !self.deaf.lock().unwrap().iter().any(|deaf| deaf == run)
    }

    fn mirrored(&self, _caller: &Caller, tool: &str) -> Option<Arc<[Mirrored]>> {
        let schema =
            json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
        (tool == "echo").then(|| Mirrored::of_schema(&schema).unwrap().into())
    }
}

fn quiet() -> Log {
    Arc::new(|_| {})
}

/// A server over HTTP, for as long as this lives.
struct Served {
    address: std::net::SocketAddr,
    fake: Arc<Fake>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

async fn serve(settings: super::http::Settings) -> Served {
    let fake = Arc::new(Fake::default());
    let settings = super::http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..settings };
    let server = super::http::Server::bind(Arc::clone(&fake), settings, quiet()).await.unwrap();
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _gone = stopped.await;
    }));
    Served { address, fake, _stop: stop }
}

async fn served() -> Served {
    serve(super::http::Settings::default()).await
}

/// An HTTP request, written out.
#[derive(Clone)]
struct Ask {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An HTTP response as it came.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    connection: BufReader<TcpStream>,
}

impl Ask {
    fn new(method: &str) -> Self {
        let headers = [
            ("host", "localhost"),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
        ];
        Self {
            line: format!("{method} /mcp HTTP/1.1"),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Vec::new(),
        }
    }

    fn post(body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::new("POST") }
    }

    /// A request of the stateless revision with the headers that it needs.
    fn modern(method: &str, params: Value) -> Self {
        let body = modern(1, method, params);
        let mut ask = Self::post(&body).with("mcp-protocol-version", "2026-07-28").with("mcp-method", method);
        let source = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            _ => return ask,
        };
        if let Some(name) = body["params"][source].as_str() {
            ask = ask.with("mcp-name", name);
        }
        ask
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).bytes());
        bytes.extend(&self.body);
        bytes
    }

    async fn send(&self, served: &Served) -> Reply {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(&self.to_bytes()).await.unwrap();
        Reply::read(BufReader::new(stream)).await
    }

    /// The status and the JSON body.
    async fn json(&self, served: &Served) -> (u16, Value) {
        let mut reply = self.send(served).await;
        (reply.status, reply.json().await)
    }
}

impl Reply {
    async fn read(mut connection: BufReader<TcpStream>) -> Self {
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        let status =
            line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Self { status, headers, connection }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn json(&mut self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let length = self.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The next event; none at the end of the stream.
    async fn event(&mut self) -> Option<Value> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"));
        let mut line = String::new();
        loop {
            line.clear();
            if self.connection.read_line(&mut line).await.unwrap() == 0 || line.trim_end() == "0" {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// A request of the stateless revision.
fn modern(id: i64, method: &str, params: Value) -> Value {
    modern_with(id, method, params, json!({"elicitation": {}, "roots": {}}))
}

fn modern_with(id: i64, method: &str, mut params: Value, capabilities: Value) -> Value {
    let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn request(id: i64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn initialize(revision: &str) -> Value {
    let capabilities = json!({"elicitation": {}, "roots": {}});
    request(
        0,
        "initialize",
        json!({"protocolVersion": revision, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "0"}}),
    )
}
