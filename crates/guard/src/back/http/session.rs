//! Sessions of the older revisions.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Map;

use super::stream::{Ended, Replies, Stream};
use super::{ERROR_BYTES, PROTOCOL_VERSION, SESSION_ID, is_stream};
use crate::back::exchange::Abilities;
use crate::back::http::Endpoint;
use crate::back::link::Task;
use crate::back::state::Common;
use crate::back::table::{Caller, Channel, Kind, Received, Table};
use crate::back::{Fault, ServerInfo, shape};
use crate::relay::Relay;
use crate::wire::{self, Message, Revision};

/// The longest wait between two attempts at the standalone stream.
const PAUSE: Duration = Duration::from_secs(60);

/// How long a message that nobody waits for may take.
const DELIVERY: Duration = Duration::from_secs(10);

/// A session.
pub(super) struct Session {
    pub(super) headers: HeaderMap,
    pub(super) revision: Revision,
    pub(super) table: Arc<Table>,
    _tasks: [Task; 2],
}

impl Session {
    /// The handshake. Of what the guard declares, this session has what its clients can answer.
    pub(super) async fn begin(
        endpoint: &Arc<Endpoint>,
        common: &Arc<Common>,
        abilities: Abilities,
    ) -> Result<(Self, ServerInfo), Fault> {
        let table = common.table(Kind::Legacy);
        let mut ticket = table.open(Caller { guard: true, ..Caller::default() })?;
        let body = shape::encode(
            Some(ticket.id),
            "initialize",
            &shape::initialize(&abilities.within(common.capabilities())),
        );
        let response = endpoint.post(HeaderMap::new(), body, None).await?;
        let status = response.status();
        let id = response.headers().get(SESSION_ID).cloned();
        let answer = if status == StatusCode::OK && is_stream(&response) {
            let mut stream = Stream::new(response, common.limits().wire);
            stream.answer(&table, &mut ticket, &Relay::nowhere(), None).await?
        } else {
            let body = response.whole(common.limits().wire.bytes).await?;
            match wire::parse_from_server(&body, &common.limits().wire) {
                Ok(Message::Response(response)) if status == StatusCode::OK || response.outcome.is_err() => {
                    response.outcome
                }
                _ if status == StatusCode::OK => {
                    return Err(Fault::CannotStart("its answer to initialize is no MCP message".to_owned()));
                }
                _ => return Err(endpoint.refused(status, &body)),
            }
        };
        ticket.over();
        let result = answer.map_err(|error| {
            Fault::CannotStart(format!(
                "it refused initialize: {}",
                crate::back::clean::quote(&error.to_string())
            ))
        })?;
        let info = ServerInfo::of_initialize(result).map_err(Fault::CannotStart)?;
        let mut headers = HeaderMap::new();
        if let Some(mut id) = id {
            if id.is_empty() || !id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b)) {
                return Err(Fault::CannotStart("its session id is not visible ASCII".to_owned()));
            }
            // Whoever has it can take part in the session.
            id.set_sensitive(true);
            headers.insert(SESSION_ID, id);
        }
        // The header came with 2025-06-18; older servers take its absence for 2025-03-26.
        if info.revision >= Revision::V2025_06_18 {
            headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(info.revision.name()));
        }
        let response = endpoint
            .post(headers.clone(), shape::encode(None, "notifications/initialized", &Map::new()), None)
            .await?;
        let status = response.status();
        let body = response.whole(ERROR_BYTES).await?;
        if !status.is_success() {
            return Err(endpoint.refused(status, &body));
        }
        let tasks = [
            Task::spawn(standalone(
                Arc::clone(endpoint),
                headers.clone(),
                Arc::clone(&table),
                Arc::clone(common),
            )),
            Task::spawn(cancel(Arc::clone(endpoint), headers.clone(), Arc::clone(&table))),
        ];
        Ok((Self { headers, revision: info.revision, table, _tasks: tasks }, info))
    }

    pub(super) fn has_id(&self) -> bool {
        self.headers.contains_key(SESSION_ID)
    }

    /// Tells the server that the session is over. Whether it listens does not matter.
    pub(super) async fn end(&self, endpoint: &Endpoint, patience: Duration) {
        if self.has_id() {
            let _late = tokio::time::timeout(patience, endpoint.delete(&self.headers)).await;
        }
    }
}

/// Sends cancellations: on this transport of these revisions, a closed stream cancels nothing.
async fn cancel(endpoint: Arc<Endpoint>, headers: HeaderMap, table: Arc<Table>) {
    loop {
        table.cancellations.notified().await;
        for id in table.take_cancelled() {
            let sending = async {
                let response = endpoint.post(headers.clone(), shape::cancelled(id), None).await?;
                response.whole(ERROR_BYTES).await
            };
            // If it does not arrive, the server works in vain.
            let _lost = tokio::time::timeout(DELIVERY, sending).await;
        }
    }
}

/// Reads what the server sends outside of any request, for as long as the session lives.
async fn standalone(endpoint: Arc<Endpoint>, headers: HeaderMap, table: Arc<Table>, common: Arc<Common>) {
    let mut stream: Option<Stream> = None;
    let mut failures = 0u32;
    loop {
        let resumption = stream.as_ref().and_then(|stream| stream.resumption(&headers));
        match endpoint.get(resumption.as_ref().unwrap_or(&headers)).await {
            Ok(response) if response.status() == StatusCode::OK && is_stream(&response) => {
                failures = 0;
                let reading = match &mut stream {
                    Some(stream) => {
                        stream.resume(response);
                        stream
                    }
                    None => stream.insert(Stream::new(response, common.limits().wire)),
                };
                if let Err(fault) = read_standalone(reading, &endpoint, &headers, &table).await {
                    table.close(&fault);
                    return;
                }
            }
            // It has no such stream, or no longer this session: the next request finds out.
            Ok(response) if response.status().is_client_error() => return,
            Ok(_) | Err(_) => failures = failures.saturating_add(1),
        }
        let pause = stream.as_ref().map_or(Duration::from_secs(1), Stream::pause);
        let doubled = pause.saturating_mul(2u32.saturating_pow(failures.min(10)));
        tokio::time::sleep(doubled.min(PAUSE)).await;
    }
}

/// Reads the stream to its end.
///
/// # Errors
/// If the server must be cut off.
async fn read_standalone(
    stream: &mut Stream,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    table: &Table,
) -> Result<(), Fault> {
    loop {
        match stream.next(table).await {
            Ok(message) => {
                if let Received::Reply(reply) = table.receive(Channel::Standalone, message)? {
                    // If it does not arrive, the server goes on waiting for it.
                    let _lost =
                        tokio::time::timeout(DELIVERY, Replies { endpoint, headers }.send(reply, None)).await;
                }
            }
            Err(Ended::Fault(fault @ Fault::CutOff(_))) => return Err(fault),
            Err(_) => return Ok(()),
        }
    }
}
