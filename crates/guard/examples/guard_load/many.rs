//! Many connections on one thread, as servers and agents' runtimes have them: a thread for each would have the kernel wake one for every message, and
//! that would be most of what is measured.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// A connection, and what was read of the message that comes next.
struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    fn new(poll: &Poll, number: usize, mut stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Reads what there is. False at the end of the connection.
    fn fill(&mut self, chunk: &mut [u8]) -> bool {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => return false,
                Ok(read) => {
                    self.buffer.extend_from_slice(&chunk[..read]);
                    // What comes later is told of anew.
                    if read < chunk.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }
}

/// Answers whatever comes with what `answer` makes of its body.
pub fn serve(address: &str, answer: impl Fn(&[u8]) -> Vec<u8>) {
    const LISTENER: Token = Token(usize::MAX);
    let mut poll = Poll::new().unwrap();
    let mut listener = TcpListener::bind(address.parse().unwrap()).unwrap();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    println!("listening");
    let (mut peers, mut events, mut chunk) =
        (Vec::<Option<Peer>>::new(), Events::with_capacity(256), vec![0; 16 << 10]);
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    peers.push(Some(Peer::new(&poll, peers.len(), stream)));
                }
                continue;
            }
            let Some(peer) = &mut peers[event.token().0] else { continue };
            let mut open = peer.fill(&mut chunk);
            while let Some((head, end)) = crate::message(&peer.buffer) {
                let answer = answer(&peer.buffer[head..end]);
                peer.buffer.drain(..end);
                // Answers are far smaller than what a socket takes.
                open = open && peer.stream.write_all(&answer).is_ok();
            }
            if !open {
                peers[event.token().0] = None;
            }
        }
    }
}

/// Sends on each connection what `request` gives, one after the other, until `end`, and checks each answer. Gives how long each took, in nanoseconds.
pub fn call(
    address: &str,
    connections: usize,
    end: Instant,
    request: impl Fn(usize) -> Vec<u8>,
    check: impl Fn(&[u8]),
) -> Vec<u64> {
    let mut poll = Poll::new().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let connect = |number| {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        Peer::new(&poll, number, TcpStream::from_std(stream))
    };
    let mut peers: Vec<Peer> = (0..connections).map(connect).collect();
    let (mut events, mut chunk) = (Events::with_capacity(256), vec![0; 16 << 10]);
    let (mut sent, mut latencies) = (0, Vec::new());
    // Who may send, and when each has sent last.
    let mut ready: VecDeque<usize> = (0..connections).collect();
    let mut since = vec![Instant::now(); connections];
    let mut under_way = 0_usize;
    loop {
        while let Some(number) = ready.pop_front() {
            if Instant::now() >= end {
                continue;
            }
            since[number] = Instant::now();
            peers[number].stream.write_all(&request(sent)).unwrap();
            (sent, under_way) = (sent + 1, under_way + 1);
        }
        if under_way == 0 {
            return latencies;
        }
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty(), "no answer in ten seconds");
        for event in &events {
            let number = event.token().0;
            let peer = &mut peers[number];
            assert!(peer.fill(&mut chunk), "the connection ended");
            if let Some((head, end)) = crate::message(&peer.buffer) {
                check(&peer.buffer[head..end]);
                peer.buffer.drain(..end);
                latencies.push(since[number].elapsed().as_nanos() as u64);
                under_way -= 1;
                ready.push_back(number);
            }
        }
    }
}
