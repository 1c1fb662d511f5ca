//! `cargo xtask mock-endpoint`: an OpenAI-compatible endpoint that costs almost nothing, for measuring the harness and its
//! peers. It answers every completion with the same small JSON after a set latency, counts what it was asked, and always
//! stops by itself. One thread is enough: a request costs a few microseconds, so the client is what a benchmark measures.
//!
//! `GET /stats` returns the counts so far (see [`Stats`]); a benchmark reads it to check that a client really made the
//! requests it claims. The mock listens on loopback only, never streams, and knows no chunked request bodies.

use std::cell::RefCell;
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;

/// The largest request head, and the largest body, that the mock reads.
const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 16 * 1024 * 1024;

const CHAT: &str = r#"{"id":"chatcmpl-mock","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":"The answer is OK."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":5,"total_tokens":255}}"#;
const TEXT: &str = r#"{"id":"cmpl-mock","object":"text_completion","created":1,"model":"mock","choices":[{"index":0,"text":"The answer is OK.","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":5,"total_tokens":255}}"#;
const MODELS: &str =
    r#"{"object":"list","data":[{"id":"mock","object":"model","created":1,"owned_by":"mock"}]}"#;
const NOT_FOUND: &str =
    r#"{"error":{"message":"the mock has no such route","type":"invalid_request_error"}}"#;

const USAGE: &str = "\
usage: cargo xtask mock-endpoint [--port N] [--latency-ms N] [--requests-limit N] [--seconds-limit N]
  --port            loopback port to listen on; 0 (the default) takes a free one. The port is printed on stdout
  --latency-ms      how long each completion takes (default 0)
  --requests-limit  stop after this many completions (default 1000000)
  --seconds-limit   stop after this many seconds (default 600)";

/// Runs the mock until one of its limits is reached, then prints its [`Stats`] as one line of JSON.
///
/// # Errors
/// A flag that it does not know or cannot read, or a port that it cannot listen on.
pub fn run(args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve(settings)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    port: u16,
    latency: Duration,
    requests_limit: u64,
    seconds_limit: u64,
}

impl Settings {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut settings =
            Self { port: 0, latency: Duration::ZERO, requests_limit: 1_000_000, seconds_limit: 600 };
        while let Some(flag) = args.next() {
            let mut number = || -> Result<u64, String> {
                let value = args.next().ok_or_else(|| format!("{flag} needs a number\n{USAGE}"))?;
                value.parse().map_err(|_| format!("{flag} needs a number, not {value:?}\n{USAGE}"))
            };
            match flag.as_str() {
                "--port" => settings.port = u16::try_from(number()?)?,
                "--latency-ms" => settings.latency = Duration::from_millis(number()?),
                "--requests-limit" => settings.requests_limit = number()?,
                "--seconds-limit" => settings.seconds_limit = number()?,
                _ => return Err(format!("unknown flag {flag:?}\n{USAGE}").into()),
            }
        }
        Ok(settings)
    }
}

/// What the mock was asked. `window` runs from the arrival of the first completion to the answer of the last one: a
/// client's run without its start and its end.
#[derive(Debug, Default)]
struct Stats {
    completions: u64,
    others: u64,
    unknown: u64,
    body_bytes: u64,
    connections: u64,
    in_flight: u64,
    peak_in_flight: u64,
    /// How long all completions took together, from arrival to answer: timers are late, by a millisecond or so.
    latency: Duration,
    window: Option<(Instant, Instant)>,
}

impl Stats {
    fn arrived(&mut self, body_bytes: usize) -> Instant {
        let now = Instant::now();
        self.window.get_or_insert((now, now));
        self.completions = self.completions.saturating_add(1);
        self.body_bytes = self.body_bytes.saturating_add(u64::try_from(body_bytes).unwrap_or(u64::MAX));
        self.in_flight = self.in_flight.saturating_add(1);
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
        now
    }

    fn answered(&mut self, arrived: Instant) {
        let now = Instant::now();
        self.in_flight = self.in_flight.saturating_sub(1);
        self.latency += now - arrived;
        if let Some((_, last)) = &mut self.window {
            *last = now;
        }
    }

    fn to_json(&self) -> String {
        let window = self.window.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        format!(
            r#"{{"completions":{},"others":{},"unknown":{},"body_bytes":{},"connections":{},"peak_in_flight":{},"latency_s":{:.6},"window_s":{window:.6}}}"#,
            self.completions,
            self.others,
            self.unknown,
            self.body_bytes,
            self.connections,
            self.peak_in_flight,
            self.latency.as_secs_f64(),
        )
    }
}

/// What every connection shares; one thread, so no locks.
#[derive(Clone)]
struct Shared {
    settings: Settings,
    stats: Rc<RefCell<Stats>>,
    done: Rc<Notify>,
    alarms: mpsc::Sender<Alarm>,
}

/// When to answer, and whom to tell.
type Alarm = (Instant, oneshot::Sender<()>);

/// Rings alarms on time. The runtime's own timers are a millisecond late, which is 2 % of 50 ms. Every completion takes
/// equally long, so alarms come in the order in which they ring.
fn ring(alarms: &mpsc::Receiver<Alarm>) {
    for (time, alarm) in alarms {
        std::thread::sleep(time.saturating_duration_since(Instant::now()));
        alarm.send(()).ok();
    }
}

async fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port))).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;

    let (alarms, to_ring) = mpsc::channel();
    std::thread::spawn(move || ring(&to_ring));
    let shared = Shared { settings, stats: Rc::default(), done: Rc::default(), alarms };
    tokio::select! {
        () = accept(&listener, &shared) => {}
        () = shared.done.notified() => {}
        () = tokio::time::sleep(Duration::from_secs(settings.seconds_limit)) => {}
    }
    writeln!(out, "{}", shared.stats.borrow().to_json())?;
    Ok(())
}

async fn accept(listener: &TcpListener, shared: &Shared) {
    loop {
        // Accepting can fail for want of file descriptors; waiting a moment keeps the mock alive without spinning.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let mut stats = shared.stats.borrow_mut();
        stats.connections = stats.connections.saturating_add(1);
        drop(stats);
        let shared = shared.clone();
        // A client that goes away is no concern of the mock's.
        tokio::task::spawn_local(async move { converse(stream, shared).await.ok() });
    }
}

/// Answers one connection's requests in order until the client closes it.
async fn converse(mut stream: TcpStream, shared: Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let request = loop {
            match Request::read(&buffer) {
                Parsed::Whole(request) => break request,
                Parsed::Partial => {}
                Parsed::Refused(status) => {
                    return stream.write_all(&response(status, "{}", false)).await;
                }
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        buffer.drain(..request.length.min(buffer.len()));
        let answer = answer(&request, &shared).await;
        stream.write_all(&answer).await?;
        let completions = shared.stats.borrow().completions;
        if completions >= shared.settings.requests_limit {
            shared.done.notify_one();
        }
        if !request.keep_alive {
            return Ok(());
        }
    }
}

async fn answer(request: &Request, shared: &Shared) -> Vec<u8> {
    let stats = &shared.stats;
    if let Route::Chat | Route::Text = request.route {
        let arrived = stats.borrow_mut().arrived(request.body_bytes);
        if !shared.settings.latency.is_zero() {
            let (alarm, rung) = oneshot::channel();
            // Neither end goes away while the mock lives; if one did, the answer would come early and `latency` tell.
            if shared.alarms.send((arrived + shared.settings.latency, alarm)).is_ok() {
                rung.await.ok();
            }
        }
        stats.borrow_mut().answered(arrived);
    } else if request.route == Route::Unknown {
        stats.borrow_mut().unknown += 1;
    } else {
        stats.borrow_mut().others += 1;
    }
    let keep = request.keep_alive;
    match request.route {
        Route::Chat => response("200 OK", CHAT, keep),
        Route::Text => response("200 OK", TEXT, keep),
        Route::Models => response("200 OK", MODELS, keep),
        Route::Stats => response("200 OK", &stats.borrow().to_json(), keep),
        Route::Unknown => response("404 Not Found", NOT_FOUND, keep),
    }
}

fn response(status: &str, body: &str, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Chat,
    Text,
    Models,
    Stats,
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    route: Route,
    body_bytes: usize,
    /// Bytes of the buffer that the request takes, head and body.
    length: usize,
    keep_alive: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Whole(Request),
    Partial,
    /// The request cannot be answered; the status says why.
    Refused(&'static str),
}

impl Request {
    /// Reads the request at the buffer's start (RFC 9112, of which it knows what OpenAI clients send).
    fn read(buffer: &[u8]) -> Parsed {
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if buffer.len() > HEAD_LIMIT {
                Parsed::Refused("431 Request Header Fields Too Large")
            } else {
                Parsed::Partial
            };
        };
        let head = buffer.get(..end).map(std::str::from_utf8);
        let Some(Ok(head)) = head else { return Parsed::Refused("400 Bad Request") };
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target, version) = (words.next(), words.next(), words.next());
        let path = target.unwrap_or_default().split('?').next().unwrap_or_default();
        let route = match (method, path) {
            (Some("POST"), "/v1/chat/completions") => Route::Chat,
            (Some("POST"), "/v1/completions") => Route::Text,
            (Some("GET"), "/v1/models") => Route::Models,
            (Some("GET"), "/stats") => Route::Stats,
            _ => Route::Unknown,
        };
        let mut body_bytes = 0usize;
        let mut keep_alive = version != Some("HTTP/1.0");
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                match value.parse() {
                    Ok(length) if length <= BODY_LIMIT => body_bytes = length,
                    _ => return Parsed::Refused("413 Content Too Large"),
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Parsed::Refused("411 Length Required");
            } else if name.eq_ignore_ascii_case("connection") {
                keep_alive = !value.eq_ignore_ascii_case("close");
            }
        }
        let length = end.saturating_add(4).saturating_add(body_bytes);
        if buffer.len() < length {
            return Parsed::Partial;
        }
        Parsed::Whole(Request { route, body_bytes, length, keep_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Request {
        match Request::read(text.as_bytes()) {
            Parsed::Whole(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_only_once_its_body_is_there() {
        let text = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nhello";
        for cut in 0..text.len() {
            assert_eq!(Request::read(&text.as_bytes()[..cut]), Parsed::Partial, "cut at {cut}");
        }
        let request = whole(text);
        assert_eq!((request.route, request.body_bytes, request.length), (Route::Chat, 5, text.len()));
        assert!(request.keep_alive);
    }

    #[test]
    fn a_pipelined_request_leaves_the_next_one_in_the_buffer() {
        let first = "GET /v1/models?limit=1 HTTP/1.1\r\n\r\n";
        let request = whole(&format!("{first}GET /stats HTTP/1.1\r\n\r\n"));
        assert_eq!((request.route, request.length), (Route::Models, first.len()));
    }

    #[test]
    fn a_body_it_cannot_delimit_is_refused() {
        let chunked = "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(Request::read(chunked.as_bytes()), Parsed::Refused("411 Length Required"));
        let endless = "POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(Request::read(endless.as_bytes()), Parsed::Refused("413 Content Too Large"));
    }

    #[test]
    fn connection_close_is_honoured() {
        assert!(!whole("GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
        assert!(!whole("GET /v1/models HTTP/1.0\r\n\r\n").keep_alive);
    }

    #[test]
    fn an_unknown_flag_and_a_missing_number_are_errors() {
        let parse = |flags: &[&str]| Settings::parse(flags.iter().map(ToString::to_string));
        assert!(parse(&["--latency-ms", "50", "--port", "0"]).is_ok());
        assert!(parse(&["--latency-ms"]).is_err());
        assert!(parse(&["--port", "70000"]).is_err());
        assert!(parse(&["--host", "0"]).is_err());
    }

    #[test]
    fn the_stats_count_what_was_asked_and_how_much_at_once() {
        let mut stats = Stats::default();
        let first = stats.arrived(10);
        stats.arrived(20);
        stats.answered(first);
        stats.arrived(30);
        assert_eq!((stats.completions, stats.body_bytes, stats.peak_in_flight), (3, 60, 2));
        assert!(stats.to_json().starts_with(r#"{"completions":3,"#));
    }
}
