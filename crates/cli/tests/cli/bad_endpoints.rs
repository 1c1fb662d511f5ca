//! Endpoints that do not answer as they should: each is told apart, nothing is scored, and no trial is lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::place::Place;

#[derive(Clone, Copy)]
enum Manner {
    /// A status and a body.
    Says(&'static str, &'static str),
    /// A body without end.
    Endless,
    /// Nothing at all, with the connection open.
    Silent,
    /// Closes the connection at once.
    HangsUp,
}

/// An endpoint with bad manners. It lives until the test's process ends.
fn endpoint(manner: Manner) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || converse(&stream, manner).ok());
        }
    });
    format!("http://127.0.0.1:{port}/v1")
}

fn converse(mut stream: &TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while {
            line.clear();
            reader.read_line(&mut line)?
        } > 2
        {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        if line.is_empty() {
            return Ok(());
        }
        reader.read_exact(&mut vec![0; length])?;
        match manner {
            Manner::Says(status, body) => write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: 0\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?,
            Manner::Endless => {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{{\"id\":\"")?;
                loop {
                    stream.write_all(&[b'x'; 4096])?;
                }
            }
            // Until the client goes away.
            Manner::Silent => drop(reader.read(&mut [0])?),
            Manner::HangsUp => return Ok(()),
        }
    }
}

#[test]
fn every_kind_of_bad_answer_is_named_counted_and_scored_as_nothing() {
    for (manner, code, said) in [
        (
            Manner::Says("401 Unauthorized", "{\"error\":{\"message\":\"no such key\"}}"),
            3,
            "refused the key (HTTP 401)",
        ),
        (Manner::Says("500 Internal Server Error", "{}"), 4, "last with HTTP 500"),
        (Manner::Says("429 Too Many Requests", "{}"), 4, "last with HTTP 429"),
        (Manner::Says("200 OK", "<html>welcome</html>"), 4, "the endpoint's answer is not"),
        (Manner::Says("200 OK", "{\"choices\":[]}"), 4, "the endpoint's answer is not"),
        (Manner::Endless, 4, "larger than"),
        (Manner::Silent, 4, "no answer within 1 s"),
        (Manner::HangsUp, 4, "the endpoint failed 2 times"),
    ] {
        let place = Place::new();
        let url = endpoint(manner);
        let mut args = Place::run_args(&url, "out");
        args.extend(["--timeout", "1", "--max-attempts", "2", "--json"]);
        let ran = place.ostrom(&args).exits(code);
        if code == 3 {
            ran.complains(said).complains("trials are kept").complains("ostrom eval resume out");
            continue;
        }
        let metrics = ran.json()["metrics"].clone();
        ran.complains(said).complains("ostrom eval resume out");
        assert_eq!(metrics["failed"], metrics["planned"], "{said}");
        assert_eq!(metrics["attack_success"]["trials"], 6);
        // Nothing is known, and that is what the figures say.
        assert_eq!(
            (&metrics["attack_success"]["low"], &metrics["attack_success"]["high"]),
            (&0.0.into(), &1.0.into())
        );
        let verified = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
        assert_eq!(verified["failed"], metrics["planned"]);
    }
}
