//! Servers over Streamable HTTP.
//!
//! A call runs in its caller's own future: one POST over a pooled connection, no task, no queue. Sessions of the older revisions have
//! two tasks: one for the standalone stream, one that sends cancellations.

mod client;
mod endpoint;
mod pool;
mod session;
mod sessions;
mod sse;
mod stream;
mod tls;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::exchange::Abilities;
use super::link::Call;
use super::mirror::Annotations;
use super::state::Common;
use super::table::{Caller, Channel, Kind, Table, Ticket};
use super::{Answer, Fault, ServerInfo, shape};
use crate::wire::{Message, Notification, Response, Revision, RpcError};
pub(super) use client::{address, build as client, cause, is_loopback, read};
pub(super) use endpoint::Endpoint;
use session::Session;
use sessions::Sessions;
use stream::{Ended, Replies, Stream};

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Pages of `tools/list` that are read to learn which arguments have headers.
const PAGES: usize = 64;
/// As much of an error's body as is read.
const ERROR_BYTES: usize = 64 << 10;

/// Why one attempt at a call has no answer.
enum Trouble {
    /// The session is over; the request did not run.
    Expired,
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A server over HTTP.
pub(super) struct Upstream {
    endpoint: Arc<Endpoint>,
    common: Arc<Common>,
    era: Dialect,
}

enum Dialect {
    Modern { table: Arc<Table>, annotations: RwLock<Annotations> },
    Legacy(Sessions),
}

/// What a first modern request found.
pub(super) enum Probe {
    Modern(Box<(Upstream, ServerInfo)>),
    Legacy,
}

impl Upstream {
    /// Asks `server/discover`.
    pub(super) async fn probe(endpoint: &Arc<Endpoint>, common: &Arc<Common>) -> Result<Probe, Fault> {
        let table = common.table(Kind::ModernHttp);
        let era = Dialect::Modern { table, annotations: RwLock::default() };
        let upstream = Self { endpoint: Arc::clone(endpoint), common: Arc::clone(common), era };
        let (nothing, relay) = (Map::new(), crate::relay::Relay::nowhere());
        let caller = Caller { guard: true, ..Caller::default() };
        let call = Call { method: "server/discover", capabilities: &nothing, caller, relay: &relay };
        match upstream.call(&call, &mut Map::new()).await {
            Ok(outcome) => match super::state::judge(outcome)? {
                Some(info) => Ok(Probe::Modern(Box::new((upstream, info)))),
                None => Ok(Probe::Legacy),
            },
            Err(Fault::Refused { status, message }) => match status {
                // These say nothing about revisions.
                403 | 407 | 408 | 429 | 502..=504 => Err(Fault::Refused { status, message }),
                _ => Ok(Probe::Legacy),
            },
            // An answer, but not one of the newest revision.
            Err(Fault::Protocol(_)) => Ok(Probe::Legacy),
            Err(fault) => Err(fault),
        }
    }

    /// Begins a session of an older revision.
    pub(super) async fn legacy(
        endpoint: &Arc<Endpoint>,
        common: &Arc<Common>,
    ) -> Result<(Self, ServerInfo), Fault> {
        let declared = Abilities::of(common.capabilities());
        let (session, info) = Session::begin(endpoint, common, declared).await?;
        let era = Dialect::Legacy(Sessions::new(session, declared));
        Ok((Self { endpoint: Arc::clone(endpoint), common: Arc::clone(common), era }, info))
    }

    /// Calls a method once, or again if the server did not run it.
    pub(super) async fn call(
        &self,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Fault> {
        match &self.era {
            Dialect::Modern { table, annotations } => {
                let outcome = self.call_modern(table, annotations, call, params).await?;
                let mismatch = matches!(&outcome, Err(error) if error.code == RpcError::HEADER_MISMATCH);
                if mismatch && call.method == "tools/call" {
                    // The tool's annotations are unknown or have changed; the server did not run the call.
                    Box::pin(self.learn(table, annotations)).await?;
                    // Nor does it any more if a person has stopped it meanwhile.
                    if let Err(error) = call.relay.again().await {
                        return Ok(Err(error));
                    }
                    return self.call_modern(table, annotations, call, params).await;
                }
                Ok(outcome)
            }
            Dialect::Legacy(sessions) => Box::pin(self.in_session(sessions, call, params)).await,
        }
    }

    async fn call_modern(
        &self,
        table: &Arc<Table>,
        annotations: &RwLock<Annotations>,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Fault> {
        let mut ticket = table.open(call.caller.clone())?;
        let progress = call.caller.progress.is_some().then_some(ticket.id);
        shape::prepare(params, Revision::V2026_07_28, call.capabilities, progress);
        let body = shape::encode(Some(ticket.id), call.method, params);
        let mut headers = modern_headers();
        annotations.read().unwrap_or_else(PoisonError::into_inner).apply(call.method, params, &mut headers);
        ticket.sent();
        let response = self.endpoint.post(headers, body, Some(call.relay)).await?;
        let outcome = self.outcome(response, &mut ticket, call, None).await;
        let mut outcome = match outcome {
            Ok(outcome) => outcome,
            Err(Trouble::Fault(fault)) => return Err(fault),
            Err(Trouble::Expired) => return Err(Fault::Protocol("it spoke of a session".to_owned())),
        };
        if call.method == "tools/list"
            && let Ok(result) = &mut outcome
        {
            let refused = annotations.write().unwrap_or_else(PoisonError::into_inner).learn(result);
            for (tool, problem) in refused {
                self.common.tell(&format!("the tool {tool:?} is left out: {problem}"));
            }
        }
        Ok(outcome)
    }

    /// Reads all of `tools/list`, for the annotations in it.
    async fn learn(&self, table: &Arc<Table>, annotations: &RwLock<Annotations>) -> Result<(), Fault> {
        let (nothing, relay) = (Map::new(), crate::relay::Relay::nowhere());
        let mut params = Map::new();
        for _ in 0..PAGES {
            let caller = Caller { guard: true, ..Caller::default() };
            let call = Call { method: "tools/list", capabilities: &nothing, caller, relay: &relay };
            let Ok(mut result) = self.call_modern(table, annotations, &call, &mut params).await? else {
                return Ok(());
            };
            match result.remove("nextCursor") {
                Some(cursor) if cursor.is_string() => params.insert("cursor".to_owned(), cursor),
                _ => return Ok(()),
            };
        }
        Ok(())
    }

    async fn call_legacy(
        &self,
        session: &Session,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Trouble> {
        let mut ticket = session.table.open(call.caller.clone())?;
        let progress = call.caller.progress.is_some().then_some(ticket.id);
        shape::prepare(params, session.revision, call.capabilities, progress);
        let body = shape::encode(Some(ticket.id), call.method, params);
        ticket.sent();
        match self.endpoint.post(session.headers.clone(), body, Some(call.relay)).await {
            Ok(response) => self.outcome(response, &mut ticket, call, Some(session)).await,
            Err(fault) => {
                if !fault.may_have_run() {
                    ticket.over();
                }
                Err(fault.into())
            }
        }
    }

    /// The answer in a response to a POST.
    async fn outcome(
        &self,
        response: pool::Response,
        ticket: &mut Ticket,
        call: &Call<'_>,
        session: Option<&Session>,
    ) -> Result<Answer, Trouble> {
        let table = Arc::clone(&ticket.table);
        let status = response.status();
        if status == StatusCode::NOT_FOUND && session.is_some_and(Session::has_id) {
            ticket.over();
            return Err(Trouble::Expired);
        }
        if status == StatusCode::OK && is_stream(&response) {
            let replies =
                session.map(|session| Replies { endpoint: &self.endpoint, headers: &session.headers });
            let mut stream = Stream::new(response, self.common.limits().wire);
            // Its own future would make that of every call as large.
            let outcome = Box::pin(stream.answer(&table, ticket, call.relay, replies)).await;
            match &outcome {
                Ok(_) => ticket.over(),
                Err(fault @ Fault::CutOff(_)) => table.close(fault),
                Err(_) => {}
            }
            return outcome.map_err(Trouble::Fault);
        }
        let limit = if status == StatusCode::OK { self.common.limits().wire.bytes } else { ERROR_BYTES };
        let is_ok = status == StatusCode::OK;
        let body = match response.whole(limit).await {
            Ok(body) => body,
            Err(fault) if is_ok => return Err(fault.into()),
            // The status counts, even if its body breaks off.
            Err(_) => Bytes::new(),
        };
        // Whatever it was, the server has finished with it.
        ticket.over();
        let answer = crate::wire::parse_from_server(&body, &self.common.limits().wire);
        match answer {
            Ok(Message::Response(Response { id, outcome })) => {
                let own = id == Some(crate::wire::Id::Number(ticket.id));
                if own || (id.is_none() && !is_ok && outcome.is_err()) {
                    return Ok(outcome);
                }
                table.stray().inspect_err(|fault| table.close(fault))?;
                Err(Fault::Protocol("it answered another request than it was asked".to_owned()).into())
            }
            other if is_ok => {
                let why = other.err().map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                table.garbage(&why).inspect_err(|fault| table.close(fault))?;
                Err(Fault::Protocol("its answer is no MCP message".to_owned()).into())
            }
            _ => Err(self.endpoint.refused(status, &body).into()),
        }
    }

    /// What is under way, in each session.
    fn tables(&self) -> Vec<Arc<Table>> {
        match &self.era {
            Dialect::Modern { table, .. } => vec![Arc::clone(table)],
            Dialect::Legacy(sessions) => {
                sessions.all().iter().map(|session| Arc::clone(&session.table)).collect()
            }
        }
    }

    /// Opens a stream of changes of the newest revision, and reads it to its end.
    pub(super) async fn listen(
        &self,
        params: &mut Map<String, Value>,
        acknowledged: impl Fn(Notification),
    ) -> Fault {
        let Dialect::Modern { table, .. } = &self.era else {
            return Fault::Protocol("an older server has no subscriptions/listen".to_owned());
        };
        let caller = Caller { guard: true, ..Caller::default() };
        let ticket = match table.open(caller) {
            Ok(ticket) => ticket,
            Err(fault) => return fault,
        };
        shape::prepare(params, Revision::V2026_07_28, &Map::new(), None);
        let body = shape::encode(Some(ticket.id), "subscriptions/listen", params);
        let mut headers = modern_headers();
        Annotations::default().apply("subscriptions/listen", params, &mut headers);
        let response = match self.endpoint.post(headers, body, None).await {
            Ok(response) => response,
            Err(fault) => return fault,
        };
        let status = response.status();
        if status != StatusCode::OK || !is_stream(&response) {
            let body = response.whole(ERROR_BYTES).await.unwrap_or_default();
            return self.endpoint.refused(status, &body);
        }
        let mut stream = Stream::new(response, self.common.limits().wire);
        loop {
            match stream.next(table).await {
                Ok(Message::Notification(notification))
                    if notification.method == "notifications/subscriptions/acknowledged" =>
                {
                    acknowledged(notification);
                }
                Ok(Message::Response(_)) => {
                    return Fault::Gone { reason: "ended the subscription".to_owned(), sent: true };
                }
                Ok(message) => {
                    if let Err(fault) = table.receive(Channel::Standalone, message) {
                        table.close(&fault);
                        return fault;
                    }
                }
                Err(Ended::Closed) => {
                    return Fault::Gone { reason: "closed the subscription's stream".to_owned(), sent: true };
                }
                Err(Ended::Fault(fault)) => return fault,
            }
        }
    }

    /// Why it cannot be used any longer.
    pub(super) fn closed(&self) -> Option<Fault> {
        match &self.era {
            Dialect::Modern { table, .. } => table.closed(),
            Dialect::Legacy(sessions) => sessions.closed(),
        }
    }

    pub(super) fn close(&self, fault: &Fault) {
        self.tables().iter().for_each(|table| table.close(fault));
    }

    /// Ends its sessions, if there are any.
    pub(super) async fn stop(&self) {
        self.close(&Fault::Stopped);
        if let Dialect::Legacy(sessions) = &self.era {
            let (all, patience) = (sessions.all(), self.common.limits().stop);
            join_all(all.iter().map(|session| session.end(&self.endpoint, patience))).await;
        }
    }
}

fn modern_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(Revision::V2026_07_28.name()));
    headers
}

/// Whether a response is a stream of events.
fn is_stream(response: &pool::Response) -> bool {
    response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
