//! A model hub on loopback that gives files, a redirect to elsewhere, and half a file.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// The hub; it lives until the test's process ends.
pub struct Hub {
    port: u16,
}

impl Hub {
    /// A hub with these files, by path. `away.gguf` leads to another host without TLS, `cut.gguf` breaks off.
    pub fn start(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no concern of the hub's.
                answer(stream, &files).ok();
            }
        });
        Self { port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

fn answer(mut stream: TcpStream, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let file = files.iter().find(|(known, _)| *known == path).map(|(_, bytes)| bytes.as_slice());
    let (status, more, length, body) = match file {
        Some(bytes) => ("200 OK", "", bytes.len(), bytes),
        None if path.ends_with("/away.gguf") => {
            ("302 Found", "Location: http://192.0.2.1/x.gguf\r\n", 0, &[][..])
        }
        None if path.ends_with("/cut.gguf") => ("200 OK", "", 1_000, &b"GGUF"[..]),
        None => ("404 Not Found", "", 0, &[][..]),
    };
    let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
