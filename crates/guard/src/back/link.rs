//! One live connection to a server: a run of its process, or an HTTP endpoint.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::http::Upstream;
use super::stdio::Process;
use super::table::Caller;
use super::{Answer, Fault};
use crate::relay::Relay;
use crate::wire::{Notification, Revision};

/// A request, but for its parameters, which change from round to round.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// What the caller's client declared.
    pub(super) capabilities: &'a Map<String, Value>,
    pub(super) caller: Caller,
    pub(super) relay: &'a Relay,
}

/// Whether a message may still leave. To be asked after every wait between the decision about it and its sending: a person may have
/// stopped it meanwhile. The guard's own messages have no relay.
///
/// # Errors
/// [`Fault::Withdrawn`] if not.
pub(super) async fn may_leave(relay: Option<&Relay>) -> Result<(), Fault> {
    match relay {
        Some(relay) => relay.again().await.map_err(|error| Fault::Withdrawn(Box::new(error))),
        None => Ok(()),
    }
}

/// The transports.
pub(super) enum Transport {
    Process(Process),
    Http(Upstream),
}

/// A live connection.
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) revision: Revision,
}

impl Link {
    /// Calls a method once.
    pub(super) async fn call(
        &self,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Fault> {
        match &self.transport {
            Transport::Process(process) => Box::pin(process.call(self.revision, call, params)).await,
            Transport::Http(upstream) => upstream.call(call, params).await,
        }
    }

    /// Calls a method for the guard itself.
    pub(super) async fn call_for_guard(
        &self,
        method: &str,
        mut params: Map<String, Value>,
    ) -> Result<Answer, Fault> {
        let (nothing, relay) = (Map::new(), Relay::nowhere());
        let caller = Caller { guard: true, ..Caller::default() };
        self.call(&Call { method, capabilities: &nothing, caller, relay: &relay }, &mut params).await
    }

    /// Opens a stream of changes of the newest revision, and reads it to its end.
    pub(super) async fn listen(
        self: Arc<Self>,
        mut params: Map<String, Value>,
        acknowledged: impl Fn(Notification),
    ) -> Fault {
        match &self.transport {
            Transport::Process(process) => process.listen(&mut params, acknowledged).await,
            Transport::Http(upstream) => upstream.listen(&mut params, acknowledged).await,
        }
    }

    /// Why it cannot be used any longer.
    pub(super) fn closed(&self) -> Option<Fault> {
        match &self.transport {
            Transport::Process(process) => process.table().closed(),
            Transport::Http(upstream) => upstream.closed(),
        }
    }

    /// Ends it in the way that the transport has for it.
    pub(super) async fn stop(&self) {
        match &self.transport {
            Transport::Process(process) => process.stop().await,
            Transport::Http(upstream) => upstream.stop().await,
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        match &self.transport {
            Transport::Process(process) => process.kill(),
            Transport::Http(upstream) => upstream.close(&Fault::Stopped),
        }
    }
}

/// A task that ends with its owner.
pub(super) struct Task(tokio::task::JoinHandle<()>);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
