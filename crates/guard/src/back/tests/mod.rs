//! Whole servers: child processes in Python, HTTP servers in axum, `rmcp` from the other side.

mod http;
mod oauth;
mod official;
mod stdio;
mod tls;

use std::io::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Answer, BackError, Connection, Era, Server, Settings};
use crate::relay::{FromServer, Relay};

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Far enough away that only a fault reaches it.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// Limits that make faults quick to see.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.limits.backoff = Duration::from_millis(20);
    settings.limits.stop = Duration::from_millis(300);
    settings
}

/// Calls a tool as a client without capabilities, and listens to nothing.
async fn tool(server: &Server, name: &str, arguments: Value) -> Result<Answer, BackError> {
    let params = map(json!({"name": name, "arguments": arguments}));
    server.request(&Map::new(), "tools/call", params, Relay::nowhere(), later()).await
}

/// The text of a tool's result.
async fn text(server: &Server, name: &str, arguments: Value) -> String {
    let result = tool(server, name, arguments).await.unwrap().unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// Answers every question with `answer`, and collects what came, as `method params`.
fn client(mut from: crate::relay::Receiver<FromServer>, answer: Value) -> Arc<Mutex<Vec<(String, Value)>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(message) = from.recv().await {
            match message {
                FromServer::Notification(n) => sink.lock().unwrap().push((n.method, Value::Object(n.params))),
                FromServer::Question(q) => {
                    sink.lock().unwrap().push((q.method, Value::Object(q.params)));
                    let _gone = q.answer.send(Ok(map(answer.clone())));
                }
                FromServer::Again(answer) => answer.send(Ok(())).unwrap(),
            }
        }
    });
    seen
}

/// What a client has seen, once it has had the time to look.
async fn gather(seen: &Mutex<Vec<(String, Value)>>) -> Vec<(String, Value)> {
    // One thread: whoever can go on does so before this returns.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    seen.lock().unwrap().clone()
}

/// A Python program in a file of its own.
struct Script(tempfile::TempPath);

impl Script {
    fn new(text: &str) -> Self {
        let mut file = tempfile::Builder::new().suffix(".py").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(file.into_temp_path())
    }

    fn connection(&self, arguments: &[&str]) -> Connection {
        let path = self.0.to_path_buf();
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Connection::command(move || {
            let mut command = Command::new("python3");
            command.arg("-u").arg(&path).args(&arguments);
            Ok(command)
        })
    }
}

fn fixed(era: Era) -> Settings {
    Settings { era, ..settings() }
}
