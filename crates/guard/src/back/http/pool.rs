//! Connections to one server: HTTP/1.1, with or without TLS, kept while they are idle.
//!
//! Whoever waits for an answer works on its connection. There is no task for it and no channel to one, which would cost a call a good part of
//! its time; and a request whose future is dropped closes its connection, as cancelling wants it.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio_rustls::TlsConnector;

use super::client::cause;
use crate::back::Fault;
use crate::back::link::may_leave;
use crate::relay::Relay;

/// Connections that wait for their next request.
const IDLE: usize = 256;
/// Node's servers close idle connections after five seconds; whoever sends at that moment cannot know whether the request ran.
const IDLE_TIME: Duration = Duration::from_secs(4);
/// How long a connection may take, with its TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// The most bytes of a head, and of what is read at once.
const BUFFER: usize = 64 << 10;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("ostrom-guard/", env!("CARGO_PKG_VERSION")));

/// What TCP and TLS have in common.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A body that is there as a whole.
struct Whole(Option<Bytes>);

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The connections to one address.
pub(super) struct Pool {
    host: String,
    port: u16,
    /// As the `Host` header has it.
    authority: HeaderValue,
    target: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    idle: Mutex<Vec<Live>>,
}

/// One connection.
struct Live {
    sender: SendRequest<Whole>,
    /// `None` once it is over.
    connection: Option<Connection<TokioIo<Box<dyn Wire>>, Whole>>,
    since: Instant,
    /// The runtime that it wakes.
    lane: Id,
}

/// Why a request has no answer.
enum Lost {
    /// It was never written.
    Unsent(Box<Request<Whole>>),
    Broken(Fault),
}

impl Live {
    /// Reads and writes as far as possible now.
    fn work(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            // Whatever there is to say of its end, the request or the body says it.
            self.connection = None;
        }
    }

    async fn send(&mut self, request: Request<Whole>) -> Result<http::Response<Incoming>, Lost> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = std::future::poll_fn(|cx| {
            self.work(cx);
            answer.as_mut().poll(cx)
        })
        .await;
        answered.map_err(|mut error| match error.take_message() {
            Some(request) => Lost::Unsent(Box::new(request)),
            None => {
                let reason = format!("broke the connection: {}", cause(&error.into_error()));
                Lost::Broken(Fault::Gone { reason, sent: true })
            }
        })
    }
}

impl Pool {
    /// For this address. Nothing is connected yet.
    ///
    /// # Errors
    /// If the address has no host.
    pub(super) fn new(url: &Url, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, String> {
        let host = url.host_str().ok_or("the URL has no host")?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(bare.clone());
                Some((TlsConnector::from(config), name.map_err(|error| error.to_string())?))
            }
        };
        Ok(Self {
            port: url.port_or_known_default().ok_or("the URL has no port")?,
            host: bare,
            authority: HeaderValue::try_from(authority).map_err(|error| error.to_string())?,
            target: Uri::try_from(target).map_err(|error| error.to_string())?,
            tls,
            idle: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Live>> {
        // Nothing panics while it holds this.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, once: it goes out a second time only if nothing of it was written the first time.
    ///
    /// # Errors
    /// If the server cannot be reached, its connection breaks, or `relay` says that it must not leave any more.
    pub(super) async fn send(
        self: &Arc<Self>,
        method: Method,
        mut headers: HeaderMap,
        body: Option<Bytes>,
        relay: Option<&Relay>,
    ) -> Result<Response, Fault> {
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        let mut request = Request::new(Whole(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        loop {
            let waiting = self.waiting();
            let fresh = waiting.is_none();
            let mut live = match waiting {
                Some(live) if live.since.elapsed() >= IDLE_TIME => continue,
                Some(live) => live,
                None => {
                    let live = Box::pin(self.connect()).await?;
                    // How long that took, the server chose.
                    may_leave(relay).await?;
                    live
                }
            };
            match live.send(request).await {
                Ok(answer) => return Ok(Response::new(answer, live, Arc::clone(self))),
                Err(Lost::Broken(fault)) => return Err(fault),
                Err(Lost::Unsent(_)) if fresh => {
                    let reason = "closed the connection at once".to_owned();
                    return Err(Fault::Gone { reason, sent: false });
                }
                // The server has closed it since it was last used.
                Err(Lost::Unsent(back)) => request = *back,
            }
        }
    }

    /// The connection that was used last. One that another thread's runtime is woken by would cost more than it saves.
    fn waiting(&self) -> Option<Live> {
        let lane = Handle::current().id();
        let mut idle = self.lock();
        let at = idle.iter().rposition(|live| live.lane == lane)?;
        Some(idle.remove(at))
    }

    async fn connect(&self) -> Result<Live, Fault> {
        let failed = |what: &dyn std::fmt::Display| {
            Fault::Unreachable(format!("could not connect: {}", crate::back::clean::quote(&what.to_string())))
        };
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            // Requests are small and wanted at once.
            stream.set_nodelay(true)?;
            let stream: Box<dyn Wire> = match &self.tls {
                None => Box::new(stream),
                Some((tls, name)) => Box::new(tls.connect(name.clone(), stream).await?),
            };
            Ok::<_, std::io::Error>(stream)
        };
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(stream) => stream.map_err(|error| failed(&cause(&error)))?,
            Err(_elapsed) => return Err(failed(&format!("no answer in {} seconds", CONNECT.as_secs()))),
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&cause(&error)))?;
        let lane = Handle::current().id();
        Ok(Live { sender, connection: Some(connection), since: Instant::now(), lane })
    }

    /// Takes a connection back whose answer was read to its end.
    fn keep(&self, mut live: Live) {
        if live.connection.is_none() || !live.sender.is_ready() {
            return;
        }
        live.since = Instant::now();
        let mut idle = self.lock();
        idle.retain(|other| other.since.elapsed() < IDLE_TIME);
        if idle.len() < IDLE {
            idle.push(live);
        }
    }
}

/// An answer, of which the head is there. Dropped before its end, it closes its connection.
pub(in crate::back) struct Response {
    head: http::response::Parts,
    body: Incoming,
    /// `None` once it went back to the pool.
    live: Option<Live>,
    pool: Arc<Pool>,
}

impl Response {
    fn new(answer: http::Response<Incoming>, live: Live, pool: Arc<Pool>) -> Self {
        let (head, body) = answer.into_parts();
        Self { head, body, live: Some(live), pool }
    }

    pub(in crate::back) const fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(in crate::back) const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    /// If it breaks off or is larger.
    pub(super) async fn whole(mut self, limit: usize) -> Result<Bytes, Fault> {
        let too_large =
            || Fault::Protocol(format!("an answer of more than {limit} bytes (limits.message-bytes)"));
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(too_large());
        }
        // Most answers come in one piece.
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut body = Vec::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(body.into())
    }

    /// The next piece of the body; `None` is its end. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If it breaks off.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match std::future::poll_fn(|cx| self.poll_frame(cx)).await {
                None => {
                    if let Some(live) = self.live.take() {
                        self.pool.keep(live);
                    }
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    // Trailers say nothing.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => {
                    self.live = None;
                    let reason = format!("broke the connection: {}", cause(&error));
                    return Err(Fault::Gone { reason, sent: true });
                }
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // The body asks its connection for more, and only then does that read; and a connection learns that a body is over by looking.
        let early = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(live) = &mut self.live {
            live.work(cx);
        }
        match early {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => Pin::new(&mut self.body).poll_frame(cx),
        }
    }
}
