//! An HTTP server that does what it is told, faults included. One scripted reply for each request, in the order in
//! which they arrive; the last reply repeats.

#![allow(dead_code, reason = "every test target uses a part of it")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostrom_models::http::{HttpConfig, Protocol};
use ostrom_models::{Message, Request, Response, Sampling, Secret, StopReason, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// A key that is long enough to be masked everywhere.
pub const KEY: &str = "sk-0123456789abcdef-very-secret";
/// An answer in the OpenAI protocol; see [`hello`].
pub const GOOD: &str = r#"{"model": "m-1", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2}}"#;
/// What [`GOOD`] costs.
pub const COST: Usage = Usage { input_tokens: 5, output_tokens: 2 };

/// A server's reply with it.
pub fn good() -> Reply {
    Reply::json(200, GOOD)
}

/// A question.
pub fn request() -> Request {
    Request::new(vec![Message::user("Hi")], Sampling { max_tokens: 10, ..Sampling::default() })
}

/// A configuration for this server. Waits between attempts are as short as they get.
pub fn config(mock: &Mock) -> HttpConfig {
    HttpConfig {
        key: Secret::new(KEY),
        timeout: Duration::from_secs(20),
        max_attempts: 3,
        backoff_base: Duration::from_millis(1),
        ..HttpConfig::new(mock.url().parse().unwrap(), "m", Protocol::OpenAi)
    }
}

/// [`GOOD`] as it should be read.
pub fn hello() -> Response {
    Response {
        text: "Hello".to_owned(),
        tool_calls: Vec::new(),
        usage: COST,
        stop: StopReason::EndOfTurn,
        logprobs: None,
        reported_model: Some("m-1".to_owned()),
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Sends these bytes and keeps the connection.
    Send(String),
    /// Sends these bytes and closes the connection.
    SendAndClose(String),
    /// Sends a head and then chunks without end.
    Endless(u16),
    /// Reads the request and never answers.
    Hang,
    /// Resets the connection before it has read the request.
    Reset,
    /// Answers like `Send` once as many requests as the barrier counts are under way.
    Together(Arc<Barrier>, String),
}

impl Reply {
    /// A whole response with a body of JSON.
    pub fn json(status: u16, body: &str) -> Self {
        Self::with_header(status, "X-Nothing: 0", body)
    }

    /// A whole response with one more header.
    pub fn with_header(status: u16, header: &str, body: &str) -> Self {
        Self::Send(whole(status, header, body))
    }
}

/// A response as it goes over the wire.
pub fn whole(status: u16, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The request line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

/// A server on a port of its own; it ends with the test's runtime.
pub struct Mock {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Vec<Reply>,
    next: AtomicUsize,
    received: Mutex<Vec<Received>>,
    active: AtomicUsize,
    peak: AtomicUsize,
    connections: AtomicUsize,
}

impl Mock {
    /// Starts a server.
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: script.into_iter().collect(),
            next: AtomicUsize::new(0),
            received: Mutex::default(),
            active: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The whole requests that have come.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Replies begun, resets included.
    pub fn replies(&self) -> usize {
        self.state.next.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at once.
    pub fn peak(&self) -> usize {
        self.state.peak.load(Ordering::SeqCst)
    }

    /// Connections that were opened.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    // Only a request picks a reply: connections that are opened and not used do not.
    while stream.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) {
        let turn = state.next.fetch_add(1, Ordering::SeqCst).min(state.script.len() - 1);
        let reply = state.script[turn].clone();
        if matches!(reply, Reply::Reset) {
            // Closing with unread bytes in the socket makes the system send RST.
            return;
        }
        let Some(received) = receive(&mut stream, &mut buffer).await else { return };
        state.received.lock().unwrap().push(received);
        let active = state.active.fetch_add(1, Ordering::SeqCst) + 1;
        state.peak.fetch_max(active, Ordering::SeqCst);
        let bytes = prepare(&mut stream, reply.clone()).await;
        // Before the answer goes out: its reader may be faster than the next line.
        state.active.fetch_sub(1, Ordering::SeqCst);
        if stream.write_all(bytes.as_bytes()).await.is_err() || matches!(reply, Reply::SendAndClose(_)) {
            return;
        }
    }
}

/// The bytes of a reply; those without an end end with the client.
async fn prepare(stream: &mut TcpStream, reply: Reply) -> String {
    match reply {
        Reply::Send(bytes) | Reply::SendAndClose(bytes) => bytes,
        Reply::Together(barrier, bytes) => {
            barrier.wait().await;
            // Time for one request too many to arrive and be counted.
            tokio::time::sleep(Duration::from_millis(20)).await;
            bytes
        }
        Reply::Endless(status) => {
            let mut bytes = format!("HTTP/1.1 {status} Any\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(bytes.as_bytes()).await.is_ok() {
                bytes = "1\r\n \r\n".to_owned();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            String::new()
        }
        Reply::Hang | Reply::Reset => std::future::pending().await,
    }
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        let text = String::from_utf8_lossy(buffer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
            if body.len() >= length {
                let received = Received { body: body[..length].to_owned(), head };
                buffer.clear();
                return Some(received);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
