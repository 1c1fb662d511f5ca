//! Messages from a stream of events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::endpoint::Endpoint;
use super::is_stream;
use super::pool::Response as Body;
use super::sse::{Event, Parser};
use crate::back::exchange::Exchange;
use crate::back::table::{Channel, Received, Table, Ticket};
use crate::back::{Answer, Fault};
use crate::relay::Relay;
use crate::wire::{self, Message, Response};

/// How often one request's stream is taken up again.
const RESUMPTIONS: usize = 100;
/// The wait before that, unless the server asks for another one; and the bounds of what it may ask for, in milliseconds.
const RETRY: u64 = 1000;
const RETRY_BOUNDS: std::ops::RangeInclusive<u64> = 50..=30_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why there is no further message.
pub(super) enum Ended {
    /// The stream is over.
    Closed,
    Fault(Fault),
}

/// The way back to a server of an older revision.
#[derive(Clone, Copy)]
pub(super) struct Replies<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) headers: &'a HeaderMap,
}

impl Replies<'_> {
    /// Sends one; of a client's, only if `relay` says that it may still leave.
    pub(super) async fn send(&self, reply: Response, relay: Option<&Relay>) -> Result<(), Fault> {
        let reply = Message::Response(reply).to_bytes();
        let response = self.endpoint.post(self.headers.clone(), reply, relay).await?;
        // Read to its end, so that the connection can be used again.
        response.whole(super::ERROR_BYTES).await.map(drop)
    }
}

/// A stream of messages. [`Stream::next`] may be dropped and called again without losing anything.
pub(super) struct Stream {
    response: Option<Body>,
    parser: Parser,
    events: VecDeque<Event>,
    fresh: Vec<Event>,
    limits: wire::Limits,
}

impl Stream {
    pub(super) fn new(response: Body, limits: wire::Limits) -> Self {
        Self {
            response: Some(response),
            parser: Parser::new(limits.bytes),
            events: VecDeque::new(),
            fresh: Vec::new(),
            limits,
        }
    }

    /// The next message; what is none is counted.
    pub(super) async fn next(&mut self, table: &Table) -> Result<Message, Ended> {
        loop {
            while let Some(event) = self.events.pop_front() {
                // An event without data only tells its id.
                if event.data.is_empty() {
                    continue;
                }
                match wire::parse_from_server(&event.data, &self.limits) {
                    Ok(message) => return Ok(message),
                    Err(error) => {
                        // It will not answer again.
                        table.answered_badly(wire::answered(&event.data), &error);
                        table.garbage(&error).map_err(Ended::Fault)?;
                    }
                }
            }
            let Some(response) = &mut self.response else { return Err(Ended::Closed) };
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let fine = self.parser.push(&chunk, &mut self.fresh);
                    self.events.extend(self.fresh.drain(..));
                    fine.map_err(|_| {
                        Ended::Fault(Fault::CutOff("an event larger than limits.message-bytes".to_owned()))
                    })?;
                }
                Ok(None) => self.response = None,
                Err(fault) => {
                    self.response = None;
                    // A stream that can be taken up again has only lost its connection.
                    if self.parser.last_id.is_none() {
                        return Err(Ended::Fault(fault));
                    }
                }
            }
        }
    }

    /// How long to wait before the stream is taken up again.
    pub(super) fn pause(&self) -> Duration {
        let asked = self.parser.retry.unwrap_or(RETRY);
        Duration::from_millis(asked.clamp(*RETRY_BOUNDS.start(), *RETRY_BOUNDS.end()))
    }

    /// The headers that take it up again.
    pub(super) fn resumption(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        let id = HeaderValue::from_str(self.parser.last_id.as_deref()?).ok()?;
        let mut headers = headers.clone();
        headers.insert(LAST_EVENT_ID, id);
        Some(headers)
    }

    /// Goes on with another response.
    pub(super) fn resume(&mut self, response: Body) {
        self.parser.restart();
        self.response = Some(response);
    }

    /// Reads up to the answer to a request. Questions go to the client, and with `replies` their answers back.
    pub(super) async fn answer(
        &mut self,
        table: &Arc<Table>,
        ticket: &mut Ticket,
        relay: &Relay,
        replies: Option<Replies<'_>>,
    ) -> Result<Answer, Fault> {
        let mut exchange = Exchange::new(relay);
        let mut resumptions = 0usize;
        loop {
            tokio::select! {
                biased;
                Some(inbound) = ticket.inbox.recv() => exchange.take(inbound).await,
                (id, outcome) = exchange.answered() => {
                    if let Some(replies) = replies {
                        replies.send(Response { id: Some(id), outcome }, Some(relay)).await?;
                    }
                }
                message = self.next(table) => match message {
                    Ok(message @ Message::Request(_)) if replies.is_none() => {
                        // Servers of the newest revision do not ask on their own account, and there is no way to answer.
                        drop(message);
                        table.garbage(&"a question, which servers of this revision do not ask so")?;
                    }
                    Ok(message) => match table.receive(Channel::Own(ticket.id), message)? {
                        Received::Nothing => {}
                        Received::Answer(answer) => return Ok(answer),
                        Received::Deliver(inbound) => exchange.take(inbound).await,
                        Received::Reply(reply) => {
                            if let Some(replies) = replies {
                                replies.send(reply, None).await?;
                            }
                        }
                    },
                    Err(Ended::Fault(fault)) => return Err(fault),
                    Err(Ended::Closed) => {
                        let lost = || Fault::Gone { reason: "ended the stream without an answer".to_owned(), sent: true };
                        let replies = replies.ok_or_else(lost)?;
                        let headers = self.resumption(replies.headers).ok_or_else(lost)?;
                        resumptions = resumptions.saturating_add(1);
                        if resumptions > RESUMPTIONS {
                            return Err(lost());
                        }
                        tokio::time::sleep(self.pause()).await;
                        let response = replies.endpoint.get(&headers).await?;
                        if response.status() != StatusCode::OK || !is_stream(&response) {
                            return Err(lost());
                        }
                        self.resume(response);
                    }
                },
                answer = &mut ticket.answer => match answer {
                    Ok(Err(fault)) => return Err(fault),
                    _ => return Err(Fault::Gone { reason: "ended".to_owned(), sent: true }),
                },
            }
        }
    }
}
