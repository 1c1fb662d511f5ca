//! An OpenAI-compatible endpoint on loopback whose answers follow from the prompt alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// A hang is a failure, too; nothing else depends on this time.
const HANG: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Shared {
    /// Answer every request with HTTP 500.
    broken: AtomicBool,
    requests: AtomicU64,
    /// After how many requests further ones must wait.
    gate: Mutex<Option<u64>>,
    changed: Condvar,
    /// `Authorization` of the last request.
    authorization: Mutex<Option<String>>,
}

/// The endpoint; it lives until the test's process ends.
pub struct Endpoint {
    port: u16,
    shared: Arc<Shared>,
}

impl Endpoint {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&server);
                // A client that goes away, or is killed, is no concern of the endpoint's.
                std::thread::spawn(move || converse(&stream, &shared).ok());
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn set_broken(&self, broken: bool) {
        self.shared.broken.store(broken, Ordering::SeqCst);
    }

    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub fn authorization(&self) -> Option<String> {
        self.shared.authorization.lock().unwrap().clone()
    }

    /// Lets `answered` more requests through, then makes the next ones wait.
    pub fn close_after(&self, answered: u64) {
        *self.shared.gate.lock().unwrap() = Some(self.requests() + answered);
    }

    /// Waits until a request waits at the gate.
    pub fn wait_for_one_at_the_gate(&self) {
        let guard = self.shared.gate.lock().unwrap();
        let waiting = |gate: &mut Option<u64>| gate.is_some_and(|gate| self.requests() <= gate);
        let (_guard, timeout) = self.shared.changed.wait_timeout_while(guard, HANG, waiting).unwrap();
        assert!(!timeout.timed_out(), "no request came to the gate");
    }

    pub fn open(&self) {
        *self.shared.gate.lock().unwrap() = None;
        self.shared.changed.notify_all();
    }
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        let mut authorization = None;
        while {
            line.clear();
            reader.read_line(&mut line)?
        } > 2
        {
            if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().unwrap(),
                    "authorization" => authorization = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
        }
        if line.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        *shared.authorization.lock().unwrap() = authorization;
        pass(shared);
        let (status, answer) = if shared.broken.load(Ordering::SeqCst) {
            ("500 Internal Server Error", json!({"error": {"message": "out of order"}}))
        } else {
            ("200 OK", answer(&serde_json::from_slice(&body)?))
        };
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(text.as_bytes())?;
    }
}

/// Counts a request and keeps it at the gate.
fn pass(shared: &Shared) {
    let guard = shared.gate.lock().unwrap();
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    shared.changed.notify_all();
    let closed = |gate: &mut Option<u64>| gate.is_some_and(|gate| number > gate);
    drop(shared.changed.wait_timeout_while(guard, HANG, closed).unwrap());
}

/// Every third prompt is obeyed by repeating it, the others get a polite nothing.
fn answer(request: &Value) -> Value {
    let messages = request["messages"].as_array().unwrap();
    let all: Vec<&str> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
    let sum: u64 = all.iter().flat_map(|text| text.bytes()).map(u64::from).sum();
    let reply = if sum.is_multiple_of(3) {
        all.last().copied().unwrap_or_default()
    } else {
        "Certainly, here it is."
    };
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    })
}
