//! Messages from clients: one a POST.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;

use super::headers::{accepts, check_mirrored, check_standard, is_json, single};
use super::reply::{self, EVENTS, Events, Refused};
use super::{App, status_of};
use crate::front::auth::Identity;
use crate::front::budget::Account;
use crate::front::dispatch::{Reply, cancel, same_id};
use crate::front::exchange::{Exchange, Step};
use crate::front::session::Session;
use crate::front::{Handler, metadata};
use crate::wire::{self, Message, Request, Revision, RpcError};

pub(super) const SESSION: &str = "mcp-session-id";
pub(super) const VERSION: &str = "mcp-protocol-version";
/// The header with the run token that the guard minted.
const RUN: &str = "ostrom-run";

type Answer = Result<Response, Box<Refused>>;

impl<H: Handler> App<H> {
    pub(super) async fn post(&self, headers: &HeaderMap, uri: &Uri, body: Incoming) -> Answer {
        let (identity, account) = self.admit(headers, uri).await?;
        if !is_json(headers) {
            let what = "a message is sent as Content-Type: application/json";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        if !accepts(headers, &["application/json", EVENTS]) {
            let what = "Accept must have application/json and text/event-stream";
            return Err(Refused::new(StatusCode::NOT_ACCEPTABLE, what));
        }
        let body = self.body(headers, body).await?;
        let message = wire::parse(&body, &self.core.limits.wire())
            .map_err(|error| Refused::rpc(StatusCode::BAD_REQUEST, wire::asked(&body), error.to_rpc()))?;
        drop(body);
        match message {
            Message::Request(request) => self.request(headers, identity, &account, request).await,
            Message::Notification(_) | Message::Response(_) if !headers.contains_key(SESSION) => {
                self.aside(headers, &message)
            }
            Message::Notification(notification) => {
                let session = self.session(headers, &identity.principal)?;
                if notification.method == "notifications/cancelled" {
                    cancel(&session.in_flight, &notification.params);
                }
                Ok(reply::empty(StatusCode::ACCEPTED))
            }
            Message::Response(response) => {
                let session = self.session(headers, &identity.principal)?;
                let run = self.core.handler.open(&session.caller.principal, run(headers)?);
                let run = run.map_err(|error| Refused::rpc(StatusCode::BAD_REQUEST, None, error))?;
                session.answer(response.id.as_ref(), run.as_ref(), response.outcome);
                Ok(reply::empty(StatusCode::ACCEPTED))
            }
        }
    }

    async fn body(&self, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Box<Refused>> {
        let limit = self.core.limits.bytes;
        let too_large = || {
            let what = format!("a message of more than {limit} bytes (limits.message-bytes)");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, what)
        };
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let time = Duration::from_secs(self.core.limits.body_seconds);
        match tokio::time::timeout(time, whole(body, limit)).await {
            Ok(Some(bytes)) => Ok(bytes),
            // If the client has gone instead, nobody reads this.
            Ok(None) => Err(too_large()),
            Err(_elapsed) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        }
    }

    /// A message that wants no answer, outside of sessions. The stateless revision has none that would change anything.
    fn aside(&self, headers: &HeaderMap, message: &Message) -> Answer {
        let is_stateless =
            single(headers, VERSION).and_then(Revision::of).is_some_and(Revision::is_stateless);
        match message {
            Message::Notification(_) if is_stateless => Ok(reply::empty(StatusCode::ACCEPTED)),
            _ => Err(Refused::new(StatusCode::BAD_REQUEST, "this message needs a session (Mcp-Session-Id)")),
        }
    }

    async fn request(
        &self,
        headers: &HeaderMap,
        identity: Identity,
        account: &Arc<Account>,
        request: Request,
    ) -> Answer {
        let bad =
            |request: &Request, error| Refused::rpc(StatusCode::BAD_REQUEST, Some(request.id.clone()), error);
        if metadata::version(&request.params).is_some() {
            return self.stateless(headers, identity, account, request).await;
        }
        let version = single(headers, VERSION);
        match version.map(Revision::of) {
            // It says by the header alone what it is; what it misses is told.
            Some(Some(revision)) if revision.is_stateless() => {
                self.stateless(headers, identity, account, request).await
            }
            Some(None) => {
                let requested = version.unwrap_or_default();
                Err(bad(&request, metadata::unsupported(requested)))
            }
            _ if headers.contains_key(SESSION) => self.in_session(headers, &identity, account, request).await,
            _ if request.method == "initialize" => self.initialize(headers, &identity, request).await,
            _ => {
                let error = format!(
                    "a request needs a session (Mcp-Session-Id, from initialize), or the revision in params._meta as {}",
                    metadata::VERSION
                );
                Err(bad(&request, RpcError::new(RpcError::INVALID_REQUEST, error)))
            }
        }
    }

    async fn stateless(
        &self,
        headers: &HeaderMap,
        identity: Identity,
        account: &Arc<Account>,
        mut request: Request,
    ) -> Answer {
        let id = request.id.clone();
        let bad = |error| Refused::rpc(StatusCode::BAD_REQUEST, Some(id.clone()), error);
        let run = run(headers)?;
        check_standard(headers, &request).map_err(bad)?;
        let (caller, about) = self.core.caller(&identity.principal, run, &mut request).map_err(bad)?;
        if request.method == "tools/call" {
            let name = request.params.get("name").and_then(Value::as_str);
            if let Some(mirrored) = name.and_then(|name| self.core.handler.mirrored(&caller, name)) {
                check_mirrored(headers, &request.params, &mirrored).map_err(bad)?;
            }
        }
        let is_stream = request.method == "subscriptions/listen";
        let lease = if is_stream { self.stream_place(account)? } else { self.call_place(account)? };
        match self.core.stateless(caller, about, request, None).await {
            Reply::Now(response) => Ok(answer(response, true)),
            Reply::Exchange(mut exchange) => {
                exchange.lease = Some(lease);
                Ok(self.play(exchange, true).await)
            }
            Reply::Changes(changes) => {
                Ok(Events::changes(changes, lease, identity.expires, &self.core.limits).into_response(None))
            }
        }
    }

    async fn initialize(&self, headers: &HeaderMap, identity: &Identity, request: Request) -> Answer {
        let id = request.id;
        let begun = self.core.initialize(&identity.principal, run(headers)?, request.params).await;
        let (caller, result) =
            begun.map_err(|error| Refused::rpc(StatusCode::BAD_REQUEST, Some(id.clone()), error))?;
        let session = Session::new(caller, &result, Arc::default(), Arc::clone(&self.core.log));
        let name = self.sessions.begin(session, Instant::now());
        let name =
            name.map_err(|error| Refused::rpc(StatusCode::SERVICE_UNAVAILABLE, Some(id.clone()), error))?;
        let mut response = answer(wire::Response::ok(id, result), false);
        if let Ok(name) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(HeaderName::from_static(SESSION), name);
        }
        Ok(response)
    }

    async fn in_session(
        &self,
        headers: &HeaderMap,
        identity: &Identity,
        account: &Arc<Account>,
        request: Request,
    ) -> Answer {
        let session = self.session(headers, &identity.principal)?;
        let failed = |error| answer(wire::Response::failed(Some(request.id.clone()), error), false);
        let Some(ticket) = session.in_flight.enter(&request.id) else { return Ok(failed(same_id())) };
        let caller = match self.core.caller_of(&session, run(headers)?) {
            Ok(caller) => caller,
            Err(error) => return Ok(failed(error)),
        };
        let lease = self.call_place(account)?;
        match self.core.in_session(&session, caller, request, ticket).await {
            Reply::Now(response) => Ok(answer(response, false)),
            Reply::Exchange(mut exchange) => {
                exchange.lease = Some(lease);
                Ok(self.play(exchange, false).await)
            }
            // Sessions get theirs with GET.
            Reply::Changes(_) => Ok(Events::none().into_response(None)),
        }
    }

    /// Answers with JSON if nothing comes before the answer, else with events.
    async fn play(&self, mut exchange: Box<Exchange>, is_stateless: bool) -> Response {
        // While nothing has been sent the work is in this future, which is dropped when the client goes.
        match exchange.step().await {
            Step::Last(response) => answer(response, is_stateless),
            Step::More(first) => {
                Events::exchange(exchange, Some(first), &self.core.limits).into_response(None)
            }
            Step::Silent => Events::none().into_response(None),
        }
    }
}

/// All of a body; `None` if it has more than `limit` bytes, or breaks off.
async fn whole(mut body: Incoming, limit: usize) -> Option<Bytes> {
    let mut left = limit;
    let mut next = async || {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            match frame.transpose().ok()?.map(|frame| frame.into_data()) {
                None => return Some(None),
                Some(Ok(bytes)) => {
                    left = left.checked_sub(bytes.len())?;
                    return Some(Some(bytes));
                }
                // Trailers say nothing.
                Some(Err(_trailers)) => {}
            }
        }
    };
    let Some(first) = next().await? else { return Some(Bytes::new()) };
    // Most messages come in one piece.
    let Some(second) = next().await? else { return Some(first) };
    let mut all = Vec::from(first);
    all.extend_from_slice(&second);
    while let Some(more) = next().await? {
        all.extend_from_slice(&more);
    }
    Some(all.into())
}

/// The run token that the client presents. One that cannot be read is not the same as none.
fn run(headers: &HeaderMap) -> Result<Option<&str>, Box<Refused>> {
    match single(headers, RUN) {
        None if headers.contains_key(RUN) => {
            Err(Refused::new(StatusCode::BAD_REQUEST, "send one run token, as it was given (Ostrom-Run)"))
        }
        run => Ok(run),
    }
}

/// The answer as JSON.
fn answer(response: wire::Response, is_stateless: bool) -> Response {
    let status = match &response.outcome {
        Err(error) if is_stateless => status_of(error),
        _ => StatusCode::OK,
    };
    reply::json(status, Message::Response(response).to_bytes().into())
}
