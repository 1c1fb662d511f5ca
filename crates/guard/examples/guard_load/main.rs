//! A trivial MCP server, and a load generator, for measuring what the guard between them costs. `bench/guard/run.py` uses both.
//!
//!     guard_load serve ADDRESS                                   # answers every tools/call with "ok"
//!     guard_load relay ADDRESS SERVER                            # copies bytes and looks at none: what any hop costs here
//!     guard_load call ADDRESS CONNECTIONS SECONDS [RATE] [RUNS]  # prints calls, seconds and latencies in microseconds as JSON
//!     guard_load guard CONFIG STATE WORKERS                      # a guard, so that `ostrom` need not be built for a profile
//!     guard_load mint STATE RUNS                                 # prints the tokens of so many runs of a running guard
//!     guard_load stop STATE ADDRESS CONNECTIONS ROUNDS           # stops everything under load, and lets it go on; prints how long it took
//!
//! The generator writes ready-made requests on keep-alive connections and reads just enough of the answers to find their
//! ends, so that it takes as little of the processor as it can from what is measured. Without a rate it and the server have a thread each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a tool for measurements"
)]

mod many;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostrom_guard::flow::Scope;
use ostrom_guard::policy::InForce;
use ostrom_guard::serve::control::{Command, ask};
use ostrom_guard::serve::{Guard, Protected};
use ostrom_trust::SecretKey;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match text.as_slice() {
        ["serve", address] => many::serve(address, answer),
        ["relay", address, server] => relay(address, server),
        ["call", address, connections, seconds, rest @ ..] => {
            let rate = rest.first().and_then(|rate| rate.parse().ok()).unwrap_or(0.0);
            let tokens = rest.get(1).map(|path| std::fs::read_to_string(path).unwrap()).unwrap_or_default();
            let tokens: Vec<String> = tokens.lines().map(str::to_owned).collect();
            call(address, connections.parse().unwrap(), seconds.parse().unwrap(), rate, &tokens);
        }
        ["guard", config, state, workers] => {
            guard(Path::new(config), Path::new(state), workers.parse().unwrap());
        }
        ["stop", state, address, connections, rounds] => {
            stop(Path::new(state), address, connections.parse().unwrap(), rounds.parse().unwrap());
        }
        ["mint", state, runs] => mint(Path::new(state), runs.parse().unwrap()),
        _ => {
            panic!(
                "guard_load serve ADDRESS | relay ADDRESS SERVER | call ADDRESS CONNECTIONS SECONDS [RATE] [FILE OF RUN TOKENS] | \
                 guard CONFIG STATE WORKERS | mint STATE RUNS | stop STATE ADDRESS CONNECTIONS ROUNDS"
            )
        }
    }
}

/// Serves like `ostrom guard run`, with a key that nobody keeps.
fn guard(config: &Path, state: &Path, workers: usize) {
    let policy = InForce::new(ostrom_guard::policy::load(config).unwrap()).unwrap();
    let protected = Protected { hidden: Vec::new(), unchanged: vec![config.to_owned()] };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Arc::new(|line: &str| eprintln!("{line}"));
        let key = SecretKey::generate().unwrap();
        let guard = Guard::start(policy, state, protected, key, log).await.unwrap().with_threads(workers);
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let stop = async move {
            ended.recv().await;
        };
        guard.serve(stop).await.unwrap();
    });
}

fn mint(state: &Path, runs: usize) {
    for _ in 0..runs {
        let minted =
            ask(state, &Command::Mint { principal: "local".to_owned() }).unwrap().expect("a running guard");
        println!("{}", minted["token"].as_str().unwrap());
    }
}

/// Two threads a connection, each of which copies one way.
fn relay(address: &str, server: &str) {
    let listener = TcpListener::bind(address).unwrap();
    println!("listening");
    for client in listener.incoming().flatten() {
        let Ok(server) = TcpStream::connect(server) else { continue };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || copy(client, to_server));
        std::thread::spawn(move || copy(server, to_client));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 16 << 10];
    while let Ok(read) = from.read(&mut piece)
        && read > 0
        && to.write_all(&piece[..read]).is_ok()
    {}
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// The whole answer to a request with this body.
fn answer(body: &[u8]) -> Vec<u8> {
    let body = String::from_utf8_lossy(body);
    let id = field(&body, "\"id\":").unwrap_or("null");
    let result = if body.contains("\"tools/list\"") {
        r#"{"resultType":"complete","tools":[{"name":"echo","description":"Answers ok.","inputSchema":{"type":"object"}}],"ttlMs":0,"cacheScope":"private"}"#
    } else if body.contains("\"server/discover\"") {
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"load","version":"1"},"ttlMs":0,"cacheScope":"private"}"#
    } else {
        r#"{"resultType":"complete","content":[{"type":"text","text":"ok"}]}"#
    };
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    format!("{head}{body}").into_bytes()
}

/// The text of a JSON member up to the next comma or brace: enough for what the guard sends.
fn field<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let rest = &body[body.find(name)? + name.len()..];
    rest.find([',', '}']).map(|end| &rest[..end])
}

/// Where the body of the HTTP message begins with which `bytes` begin, and where it ends; `None` while some of it is missing. Chunked bodies are not
/// understood.
fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    const LENGTH: &[u8] = b"content-length:";
    let head = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let mut lines = bytes[..head].split(|byte| *byte == b'\n');
    let length =
        lines.find(|line| line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH));
    let length =
        length.map_or(0, |line| std::str::from_utf8(&line[LENGTH.len()..]).unwrap().trim().parse().unwrap());
    (bytes.len() >= head + length).then_some((head, head + length))
}

/// Waits for one HTTP message and gives its body; `buffer` is empty then.
fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Vec<u8> {
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some((head, end)) = message(buffer) {
            let body = buffer[head..end].to_vec();
            buffer.clear();
            return body;
        }
        let read = stream.read(&mut chunk).expect("an answer");
        assert!(read > 0, "an answer");
        buffer.extend_from_slice(&chunk[..read]);
    }
}

fn request(address: &str, id: usize, token: Option<&String>) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"hello","count":3}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let run = token.map(|token| format!("ostrom-run: {token}\r\n")).unwrap_or_default();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n{run}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A call: when it was sent and answered, and whether the guard refused it.
struct Made {
    sent: Instant,
    answered: Instant,
    refused: bool,
}

/// Calls as fast as they go until `ended`.
fn calls(address: &str, ended: &AtomicBool) -> Vec<Made> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut made, mut buffer) = (Vec::new(), Vec::new());
    while !ended.load(Ordering::Relaxed) {
        let sent = Instant::now();
        stream.write_all(&request(address, made.len(), None)).unwrap();
        let refused = !is_ok(&receive(&mut stream, &mut buffer));
        made.push(Made { sent, answered: Instant::now(), refused });
    }
    made
}

/// From a person's command to the first call that does not leave any more, under load.
fn stop(state: &Path, address: &str, connections: usize, rounds: usize) {
    let ended = AtomicBool::new(false);
    let (stops, made) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(|| calls(address, &ended))).collect();
        let mut stops = Vec::new();
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(50));
            let begun = Instant::now();
            ask(state, &Command::Stop { scope: Scope::All, unknown: false })
                .unwrap()
                .expect("a running guard");
            let done = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
            stops.push((begun, done, Instant::now()));
            ask(state, &Command::Lift { scope: Scope::All }).unwrap().expect("a running guard");
        }
        ended.store(true, Ordering::Relaxed);
        let made: Vec<Made> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (stops, made)
    });
    let sorted = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times.into_iter().map(|time| time.as_nanos() as f64 / 1_000.0).collect::<Vec<_>>()
    };
    let commands = sorted(stops.iter().map(|(begun, done, _)| *done - *begun).collect());
    let first = |(begun, _, lifted): &(Instant, Instant, Instant)| {
        let refused =
            made.iter().filter(|call| call.refused && call.answered > *begun && call.sent < *lifted);
        refused.map(|call| call.answered).min().expect("a refused call") - *begun
    };
    let refusals = sorted(stops.iter().map(first).collect());
    let late = |call: &&Made| {
        !call.refused && stops.iter().any(|(_, done, lifted)| call.sent > *done && call.answered < *lifted)
    };
    println!(
        r#"{{"stops":{rounds},"calls":{},"answered_p50":{:.1},"answered_max":{:.1},"refused_p50":{:.1},"refused_max":{:.1},"let_through_after":{}}}"#,
        made.len(),
        commands[commands.len() / 2],
        commands[commands.len() - 1],
        refusals[refusals.len() / 2],
        refusals[refusals.len() - 1],
        made.iter().filter(late).count(),
    );
}

fn is_ok(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("\"ok\"")
}

/// `rate` is in calls a second over all connections; 0 is as fast as they go. Latency counts from when a call was due.
fn call(address: &str, connections: usize, seconds: f64, rate: f64, tokens: &[String]) {
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let token = |number: usize| (!tokens.is_empty()).then(|| &tokens[number % tokens.len()]);
    let check = |body: &[u8]| assert!(is_ok(body), "{}", String::from_utf8_lossy(body));
    let mut all = if rate > 0.0 {
        let gap = Duration::from_secs_f64(connections as f64 / rate);
        std::thread::scope(|scope| {
            let threads = (0..connections).map(|number| {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (mut latencies, mut buffer) = (Vec::new(), Vec::new());
                    let mut due = begun + gap.mul_f64(number as f64 / connections as f64);
                    let mut sent = number;
                    while Instant::now() < end {
                        if let Some(wait) = due.checked_duration_since(Instant::now()) {
                            std::thread::sleep(wait);
                        }
                        stream.write_all(&request(address, sent, token(sent))).unwrap();
                        check(&receive(&mut stream, &mut buffer));
                        latencies.push(due.elapsed().as_nanos() as u64);
                        sent += connections;
                        due += gap;
                    }
                    latencies
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    } else {
        many::call(address, connections, end, |number| request(address, number, token(number)), check)
    };
    let took = begun.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    println!(
        r#"{{"calls":{},"seconds":{took:.3},"p50":{:.1},"p90":{:.1},"p99":{:.1},"max":{:.1}}}"#,
        all.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}
