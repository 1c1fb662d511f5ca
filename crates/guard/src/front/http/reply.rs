//! HTTP answers: JSON, events, refusals.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::post::SESSION;
use crate::front::Limits;
use crate::front::budget::Lease;
use crate::front::changes::Changes;
use crate::front::dispatch::TOO_MANY;
use crate::front::exchange::{Exchange, Step};
use crate::wire::{self, Id, Message, RpcError};

pub(super) const EVENTS: &str = "text/event-stream";

/// A request that is not answered with a result.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    id: Option<Id>,
    error: RpcError,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    /// A refusal by HTTP itself.
    pub(super) fn new(status: StatusCode, what: impl Into<String>) -> Box<Self> {
        let code = if status == StatusCode::TOO_MANY_REQUESTS { TOO_MANY } else { RpcError::INVALID_REQUEST };
        Self::rpc(status, None, RpcError::new(code, what))
    }

    /// A refusal by a protocol error.
    pub(super) fn rpc(status: StatusCode, id: Option<Id>, error: RpcError) -> Box<Self> {
        Box::new(Self { status, id, error, headers: Vec::new() })
    }

    pub(super) fn header(mut self: Box<Self>, name: HeaderName, value: HeaderValue) -> Box<Self> {
        self.headers.push((name, value));
        self
    }

    pub(super) fn allow(self: Box<Self>) -> Box<Self> {
        self.header(ALLOW, HeaderValue::from_static("POST, GET, DELETE"))
    }

    /// Says when to try again, in whole seconds, and not too early.
    pub(super) fn retry_after(self: Box<Self>, wait: Duration) -> Box<Self> {
        self.header(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)))
    }

    pub(super) fn into_response(self) -> Response {
        let Self { status, id, error, headers } = self;
        let bytes = Message::Response(wire::Response::failed(id, error)).to_bytes();
        let mut response = json(status, bytes.into());
        response.headers_mut().extend(headers);
        response
    }
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Where events come from.
enum Source {
    Exchange(Box<Exchange>),
    Changes(Box<Changes>, #[expect(dead_code, reason = "held for its drop")] Lease),
    Ended,
}

/// A stream of server-sent events. Dropping it, as happens when the client goes, drops the work behind it.
pub(super) struct Events {
    source: Source,
    first: Option<Message>,
    keep_alive: Duration,
    /// When the token ends with which the stream was opened.
    end: Option<Instant>,
}

impl Events {
    /// The rest of an exchange that has sent `first` already.
    pub(super) fn exchange(exchange: Box<Exchange>, first: Option<Message>, limits: &Limits) -> Self {
        Self { source: Source::Exchange(exchange), first, keep_alive: keep_alive(limits), end: None }
    }

    pub(super) fn changes(
        changes: Changes,
        lease: Lease,
        expires: Option<SystemTime>,
        limits: &Limits,
    ) -> Self {
        let left = expires.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let end = left.and_then(|left| Instant::now().checked_add(left));
        Self {
            source: Source::Changes(Box::new(changes), lease),
            first: None,
            keep_alive: keep_alive(limits),
            end,
        }
    }

    /// No events at all.
    pub(super) fn none() -> Self {
        Self { source: Source::Ended, first: None, keep_alive: Duration::from_secs(1), end: None }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(event(&first));
        }
        let now = Instant::now();
        let wake = now.checked_add(self.keep_alive).unwrap_or(now);
        let wake = self.end.map_or(wake, |end| end.min(wake));
        let step = match &mut self.source {
            Source::Exchange(exchange) => timeout_at(wake, exchange.step()).await,
            Source::Changes(changes, _) => timeout_at(wake, changes.step()).await,
            Source::Ended => return None,
        };
        match step {
            Ok(Step::More(message)) => Some(event(&message)),
            Ok(Step::Last(response)) => {
                self.source = Source::Ended;
                Some(event(&Message::Response(response)))
            }
            Ok(Step::Silent) => {
                self.source = Source::Ended;
                None
            }
            Err(_elapsed) if self.end.is_some_and(|end| end <= Instant::now()) => {
                self.source = Source::Ended;
                None
            }
            Err(_elapsed) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }

    pub(super) fn into_response(self, session: Option<&str>) -> Response {
        let events = stream::unfold(self, |mut events| async move {
            let bytes = events.next().await?;
            Some((Ok::<_, Infallible>(bytes), events))
        });
        let mut response = Response::new(Body::from_stream(Sendable(Box::pin(events))));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies keep events back otherwise.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        if let Some(session) = session.and_then(|session| HeaderValue::from_str(session).ok()) {
            headers.insert(HeaderName::from_static(SESSION), session);
        }
        response
    }
}

fn keep_alive(limits: &Limits) -> Duration {
    Duration::from_secs(limits.keep_alive_seconds.max(1))
}

/// JSON has no line ends, so a message is one line of data.
fn event(message: &Message) -> Bytes {
    let message = message.to_bytes();
    let mut event = Vec::with_capacity(message.len().saturating_add(24));
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(&message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// A pinned stream of bytes.
struct Sendable(Pin<Box<dyn Stream<Item = Result<Bytes, Infallible>> + Send>>);

impl Stream for Sendable {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}
