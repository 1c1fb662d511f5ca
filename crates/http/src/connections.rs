//! Connections: bounded in number, in how long a head may take, and in what they may keep in memory.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::lanes::Lanes;

/// The most that a connection keeps of what it has read and not handed on, in bytes.
const BUFFER: usize = 64 << 10;

/// How connections are bounded.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many are served at the same time; more wait in the operating system's queue.
    pub connections: usize,
    /// How long a connection may be quiet before a request's head, or TLS's greeting, has come in full.
    pub head: Duration,
    /// How long what is under way may go on once the server is to stop.
    pub grace: Duration,
}

/// The other end of a connection; an extension of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// A bound address.
pub struct Connections {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
    lanes: Option<Lanes>,
    /// Whether a client that has said all it has to say, and ended its half, still gets its answer.
    half_close: bool,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// Listens.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(address: SocketAddr, bounds: Bounds) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls: None,
            bounds,
            lanes: None,
            half_close: false,
        })
    }

    /// The same, speaking TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsAcceptor) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The same, with connections worked on by these threads, and not where [`Connections::run`] is.
    #[must_use]
    pub fn with_lanes(self, lanes: Lanes) -> Self {
        Self { lanes: Some(lanes), ..self }
    }

    /// The address, with the port that was given if any was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then what is under way may finish, for as long as the bounds say. Requests carry a [`Peer`].
    /// `log` is told why a connection could not be accepted. A client that ends its half of the connection is answered all the same.
    pub async fn run(self, router: Router, log: impl Fn(&str) + Send, stop: impl Future<Output = ()> + Send) {
        let routes = |peer| TowerToHyperService::new(router.clone().layer(axum::Extension(Peer(peer))));
        Self { half_close: true, ..self }.serve(routes, log, stop).await;
    }

    /// The same with a service of one's own, for who has no use for routes. `service` is asked for one for each connection. A client that ends its half
    /// of the connection is taken to be gone, and what it asked for is dropped.
    pub async fn serve<S, B>(
        self,
        service: impl Fn(SocketAddr) -> S + Send,
        log: impl Fn(&str) + Send,
        stop: impl Future<Output = ()> + Send,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let places = Arc::new(Semaphore::new(self.bounds.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let (stopping, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_ended) = connections.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let service = service(peer);
                    let (tls, head, stopping) = (self.tls.clone(), self.bounds.head, stopping.subscribe());
                    let half_close = self.half_close;
                    let lane = self.lanes.as_ref().and_then(Lanes::place);
                    let runtime = lane.as_ref().map(|lane| lane.runtime.clone());
                    let work = async move {
                        let _load = lane.map(|lane| lane.load);
                        // From here on it wakes the thread that works on it.
                        let Ok(stream) = TcpStream::from_std(stream) else { return };
                        match tls {
                            None => serve(stream, service, (head, half_close), stopping).await,
                            Some(tls) => {
                                if let Ok(Ok(stream)) = tokio::time::timeout(head, tls.accept(stream)).await {
                                    serve(stream, service, (head, half_close), stopping).await;
                                }
                            }
                        }
                        drop(place);
                    };
                    match runtime {
                        Some(runtime) => connections.spawn_on(work, &runtime),
                        None => connections.spawn(work),
                    };
                }
                Err(error) => {
                    // Most likely there are no more file descriptors; that passes when connections end.
                    log(&format!("cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        stopping.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // What does not end by itself (streams do not) ends with the set.
        let _in_time = tokio::time::timeout(self.bounds.grace, all).await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(std::net::TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Those who find no place wait in the operating system's queue.
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small and wanted at once.
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer, place))
}

async fn serve<T, S, B>(
    stream: T,
    service: S,
    (head, half_close): (Duration, bool),
    mut stopping: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .half_close(half_close)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A connection that breaks is its client's affair: whatever was under way on it is dropped, and so cancelled.
    tokio::select! {
        _ended = connection.as_mut() => {}
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    /// Serves, with little patience for heads.
    async fn served(connections: usize, head: Duration) -> Served {
        let bounds = Bounds { connections, head, grace: Duration::from_secs(5) };
        let bound = Connections::bind(([127, 0, 0, 1], 0).into(), bounds).await.unwrap();
        let address = bound.address();
        let whom = |axum::Extension(Peer(peer)): axum::Extension<Peer>| async move { peer.to_string() };
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        };
        let router = Router::new().route("/", get(whom)).route("/slow", get(slow));
        let (stop, stopped) = oneshot::channel::<()>();
        let run = bound.run(router, |_| {}, async {
            let _ = stopped.await;
        });
        Served { address, stop, task: tokio::spawn(run) }
    }

    /// What comes until something with `end` has, or the connection ends.
    async fn answer(stream: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        let mut piece = [0; 512];
        while !text.contains(end) {
            let read = stream.read(&mut piece).await.unwrap_or_default();
            if read == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        text
    }

    #[tokio::test]
    async fn a_request_knows_the_other_end_of_its_connection() {
        let served = served(4, Duration::from_secs(30)).await;
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        assert!(answer(&mut stream, &own).await.contains(&own));
    }

    #[tokio::test]
    async fn who_has_said_all_and_ends_that_half_is_answered() {
        let Served { address, stop, task } = served(8, Duration::from_secs(30)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[b"GET /slow".as_slice(), &REQUEST[5..]].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(answer(&mut stream, "done").await.ends_with("done"));
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn lanes_share_the_connections_and_each_works_on_its_own() {
        let bounds = Bounds { connections: 8, head: Duration::from_secs(30), grace: Duration::from_secs(5) };
        let bound = Connections::bind(([127, 0, 0, 1], 0).into(), bounds).await.unwrap();
        let bound = bound.with_lanes(Lanes::start(2).unwrap());
        let address = bound.address();
        let who = || async { format!("<{:?}>", std::thread::current().id()) };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(bound.run(Router::new().route("/", get(who)), |_| {}, async {
            let _ = stopped.await;
        }));
        let mut threads = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut of_one = std::collections::BTreeSet::new();
            for _ in 0..3 {
                stream.write_all(REQUEST).await.unwrap();
                let text = answer(&mut stream, ">").await;
                of_one.insert(text.split_once('<').unwrap().1.to_owned());
            }
            assert_eq!(of_one.len(), 1);
            threads.extend(of_one);
            streams.push(stream);
        }
        let mine = format!("{:?}>", std::thread::current().id());
        let each = |thread: &String| threads.iter().filter(|other| *other == thread).count();
        assert!(threads.iter().all(|thread| *thread != mine && each(thread) == 2), "{threads:?}");
        drop(streams);
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_waits_until_another_ends() {
        let served = served(1, Duration::from_secs(30)).await;
        let mut first = TcpStream::connect(served.address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut first, "127.0.0.1:").await.starts_with("HTTP/1.1 200"));
        let mut second = TcpStream::connect(served.address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(200), second.read_u8()).await;
        assert!(early.is_err(), "the second was served beside the first");
        drop(first);
        assert!(answer(&mut second, "127.0.0.1:").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_gives_its_place_back() {
        let served = served(1, Duration::from_millis(50)).await;
        let mut idle = TcpStream::connect(served.address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut next = TcpStream::connect(served.address).await.unwrap();
        next.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut next, "127.0.0.1:").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn what_is_under_way_may_finish_when_the_server_stops() {
        let served = served(4, Duration::from_secs(30)).await;
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.stop.send(()).unwrap();
        assert!(answer(&mut stream, "done").await.ends_with("done"));
        served.task.await.unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
