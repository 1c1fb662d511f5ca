//! Asks a server for pages again and again, over several connections: `page_load ADDRESS SECONDS CONNECTIONS FILE [HEADER: VALUE]…`.
//!
//! FILE has one path a line; they are asked for in turn, each connection beginning elsewhere. Prints one line of JSON. Works with any HTTP/1.1 server that
//! says how long its answers are or sends them in chunks; used by bench/taxii/run.py for Ostrom and OpenTAXII alike.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "an example that stops at the first problem"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server cannot be reached");
        stream.set_nodelay(true).unwrap();
        Self {
            address: address.to_owned(),
            stream: BufReader::with_capacity(1 << 16, stream),
            body: Vec::new(),
        }
    }

    /// Sends a request and reads the whole answer. Gives its status and length.
    fn get(&mut self, request: &[u8]) -> (u16, usize) {
        self.stream.get_mut().write_all(request).unwrap();
        let (mut line, mut length, mut chunked, mut close) = (String::new(), 0, false, false);
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("no HTTP answer");
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let lower = line.trim_end().to_ascii_lowercase();
            match lower.split_once(": ") {
                Some(("content-length", number)) => length = number.parse().unwrap(),
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(("connection", "close")) => close = true,
                _ if lower.is_empty() => break,
                _ => {}
            }
        }
        let mut total = length;
        self.take(length);
        while chunked {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            self.take(size + 2);
            total += size;
            chunked = size > 0;
        }
        if close {
            *self = Self::open(&self.address.clone());
        }
        (status, total)
    }

    fn take(&mut self, length: usize) {
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds, connections, file, headers @ ..] = &arguments[..] else {
        panic!("page_load ADDRESS SECONDS CONNECTIONS FILE [HEADER: VALUE]…")
    };
    let (end, count) =
        (Duration::from_secs_f64(seconds.parse().unwrap()), connections.parse::<usize>().unwrap());
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let requests: Vec<Vec<u8>> = std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").into_bytes())
        .collect();
    let begun = Instant::now();
    let results: Vec<(Vec<f64>, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (requests, address) = (&requests, address.as_str());
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    let (mut times, mut bytes) = (Vec::new(), 0);
                    let from = number * requests.len() / count;
                    for request in requests.iter().cycle().skip(from) {
                        let asked = Instant::now();
                        if begun.elapsed() >= end {
                            break;
                        }
                        let (status, length) = connection.get(request);
                        assert!(status == 200, "the server answered {status}");
                        times.push(asked.elapsed().as_secs_f64() * 1e3);
                        bytes += length;
                    }
                    (times, bytes)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection failed")).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: usize = results.iter().map(|(_, bytes)| bytes).sum();
    let mut times: Vec<f64> = results.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{{\"pages\": {}, \"seconds\": {seconds:.3}, \"per_second\": {:.0}, \"p50_ms\": {:.2}, \"p99_ms\": {:.2}, \"mib\": {:.0}}}",
        times.len(),
        times.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        bytes as f64 / 1048576.0
    );
}
