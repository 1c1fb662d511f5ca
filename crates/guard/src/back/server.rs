//! The public type: one server behind the guard.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::{Map, Value};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant as Deadline, timeout, timeout_at};

use super::changes::{self, Acknowledged};
use super::connect::{Target, connect};
use super::exchange::Abilities;
use super::http::Endpoint;
use super::link::{Call, Link, Task};
use super::shape::{self, Ending, Severity};
use super::state::Common;
use super::table::{Caller, Misdeeds};
use super::{Answer, BackError, Connection, Era, Fault, ServerInfo, Settings};
use crate::relay::Relay;
use crate::wire::{Notification, RpcError};

/// What comes of a future, and whether it had to be waited for.
pub(super) async fn waited<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = pin!(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(value) => (value, false),
        Poll::Pending => (future.await, true),
    }
}

/// How many times the first wait the longest one is.
const LONGEST_WAIT: u32 = 64;
/// How long a server may take to agree to watch a resource.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(10);

/// One server behind the guard.
///
/// It starts with [`Server::start`]. A server that ends is started again by the next request, after a wait that doubles with
/// each start that leads to nothing; after [`Limits::restarts`](super::Limits) of them it is left alone for 64 times the first wait. Dropping the
/// value kills a child process and all that it started.
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    target: Target,
    common: Arc<Common>,
    state: Mutex<State>,
    info: Mutex<Option<Arc<ServerInfo>>>,
    /// What was found out, so that it need not be found out again.
    era: Mutex<Era>,
    /// Counts changes of the subscribed resources.
    wanted: watch::Sender<u64>,
}

/// A connection and what belongs to it.
struct Live {
    link: Arc<Link>,
    info: Arc<ServerInfo>,
    acknowledged: watch::Receiver<Acknowledged>,
    /// Whether it has ever answered a caller.
    answered: AtomicBool,
    /// The least severe log message that an older server was told to send.
    severity: Mutex<Option<Severity>>,
    _listener: Option<Task>,
}

type Started = watch::Receiver<Option<Result<Arc<Live>, Fault>>>;

enum State {
    Live(Arc<Live>, u32),
    Starting(Started, #[expect(dead_code, reason = "dropping it ends the start")] Task),
    Down { failures: u32, since: Instant, fault: Fault },
    Stopped,
}

impl Server {
    /// Starts a child process or connects to an endpoint, and learns what it speaks.
    ///
    /// # Errors
    /// If it cannot be reached, does not speak MCP, or takes longer than [`Limits::start`](super::Limits).
    pub async fn start(name: &str, connection: Connection, settings: Settings) -> Result<Self, BackError> {
        let name: Arc<str> = Arc::from(name);
        let target = match connection {
            Connection::Command(make) => Target::Command(make),
            Connection::Http { url, auth, ca } => {
                let endpoint = Endpoint::new(&url, &auth, ca.as_deref());
                let endpoint = endpoint.map_err(|fault| BackError::new(&name, fault))?;
                Target::Http(Arc::new(endpoint))
            }
        };
        let down = State::Down { failures: 0, since: Instant::now(), fault: Fault::Stopped };
        let shared = Shared {
            name: Arc::clone(&name),
            target,
            era: Mutex::new(settings.era),
            common: Common::new(settings),
            state: Mutex::new(down),
            info: Mutex::new(None),
            wanted: watch::channel(0).0,
        };
        let server = Self { shared: Arc::new(shared) };
        server.live().await.map_err(|fault| BackError::new(&name, fault))?;
        Ok(server)
    }

    /// The name it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the server says of itself; after a restart, what it says now.
    #[must_use]
    pub fn info(&self) -> Arc<ServerInfo> {
        let info = lock(&self.shared.info).clone();
        // INVARIANT: `start` returns a server only after its first connection has set this.
        info.unwrap_or_else(|| Arc::new(ServerInfo::of_discover(Map::new())))
    }

    /// What it did that it should not have.
    #[must_use]
    pub fn misdeeds(&self) -> Misdeeds {
        self.shared.common.counters.read()
    }

    /// Changes of its lists and of subscribed resources, in the shape of the newest revision. After a restart or a lost stream,
    /// everything that it may have changed is told as changed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Notification> {
        self.shared.common.changes.subscribe()
    }

    /// Calls a method. Parameters and result have the shape of the newest revision; `capabilities` are those of the caller's client.
    ///
    /// The inner error is the server's own. Dropping the future cancels the request at the server.
    ///
    /// # Errors
    /// If there is no answer; [`BackError::may_have_run`] says whether the request may have had an effect.
    pub async fn request(
        &self,
        capabilities: &Map<String, Value>,
        method: &str,
        params: Map<String, Value>,
        relay: Relay,
        deadline: Deadline,
    ) -> Result<Answer, BackError> {
        if !is_for_servers(method) {
            return Ok(Err(RpcError::new(RpcError::METHOD_NOT_FOUND, format!("no method {method} here"))));
        }
        let sent = AtomicBool::new(false);
        let outcome = timeout_at(deadline, self.rounds(capabilities, method, params, &relay, &sent)).await;
        outcome
            .unwrap_or_else(|_| {
                Err(if sent.load(Ordering::Relaxed) {
                    Fault::Deadline
                } else {
                    Fault::CannotStart("it was not ready in time; try again later".to_owned())
                })
            })
            .map_err(|fault| BackError::new(&self.shared.name, fault))
    }

    /// The server for a request. Where that had to be waited for, a person may have stopped the request meanwhile: the inner error.
    async fn live_for(&self, relay: &Relay) -> Result<Result<Arc<Live>, RpcError>, Fault> {
        let (live, waited) = waited(self.live()).await;
        let live = live?;
        Ok(if waited { relay.again().await.map(|()| live) } else { Ok(live) })
    }

    async fn rounds(
        &self,
        capabilities: &Map<String, Value>,
        method: &str,
        mut params: Map<String, Value>,
        relay: &Relay,
        sent: &AtomicBool,
    ) -> Result<Answer, Fault> {
        let limits = *self.shared.common.limits();
        let abilities = Abilities::of(capabilities);
        let severity = shape::log_level(&params).and_then(Severity::named);
        let progress = shape::take_progress(&mut params);
        let call = Call {
            method,
            capabilities,
            caller: Caller { progress, severity, abilities, guard: false },
            relay,
        };
        let mut live = match self.live_for(relay).await? {
            Ok(live) => live,
            Err(error) => return Ok(Err(error)),
        };
        let mut questions = 0usize;
        let mut round = 0usize;
        let mut again = true;
        loop {
            if waited(live.log_from(severity)).await.1
                && let Err(error) = relay.again().await
            {
                return Ok(Err(error));
            }
            sent.store(true, Ordering::Relaxed);
            let mut result = match live.link.call(&call, &mut params).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) => {
                    live.answered.store(true, Ordering::Relaxed);
                    return Ok(Err(shape::error(live.info.revision, error)));
                }
                // It ended before it got the request, so this is not a second time.
                Err(Fault::Gone { sent: false, .. }) if std::mem::take(&mut again) => {
                    sent.store(round > 0, Ordering::Relaxed);
                    live = match self.live_for(relay).await? {
                        Ok(live) => live,
                        Err(error) => return Ok(Err(error)),
                    };
                    continue;
                }
                Err(Fault::Withdrawn(error)) => return Ok(Err(*error)),
                Err(fault) => return Err(fault),
            };
            live.answered.store(true, Ordering::Relaxed);
            match shape::complete(method, live.info.revision, &mut result).map_err(Fault::Protocol)? {
                Ending::Complete => return Ok(Ok(result)),
                Ending::InputRequired => {}
            }
            round = round.saturating_add(1);
            if round > limits.rounds {
                return Err(Fault::Protocol(format!("it wants more than {} rounds of input", limits.rounds)));
            }
            let asked = input_requests(&mut result)?;
            questions = questions.saturating_add(asked.len());
            if questions > limits.questions {
                return Err(Fault::Protocol(format!("it asks more than {} questions", limits.questions)));
            }
            for (_, question, params) in &asked {
                if let Err(error) = abilities.check(question, params) {
                    return Err(Fault::Protocol(error.message));
                }
            }
            if asked.is_empty() {
                // Nothing to ask: the server sheds load.
                tokio::time::sleep(Duration::from_millis(50).saturating_mul(1 << round.min(6))).await;
                // A person may have stopped it meanwhile.
                if let Err(error) = relay.again().await {
                    return Ok(Err(error));
                }
            }
            let answers = asked.into_iter().map(|(key, question, params)| async move {
                let name = Some(key.clone());
                relay.ask_as(name, &question, params).await.map(|answer| (key, Value::Object(answer)))
            });
            let answers: Map<String, Value> = match Box::pin(try_join_all(answers)).await {
                Ok(answers) => answers.into_iter().collect(),
                Err(error) => return Ok(Err(error)),
            };
            params.remove("inputResponses");
            params.remove("requestState");
            if !answers.is_empty() {
                params.insert("inputResponses".to_owned(), Value::Object(answers));
            }
            if let Some(state) = result.remove("requestState") {
                params.insert("requestState".to_owned(), state);
            }
        }
    }

    /// Asks to be told of a resource's updates.
    ///
    /// # Errors
    /// If the server cannot be asked, or does not agree.
    pub async fn subscribe(&self, uri: &str) -> Result<Answer, BackError> {
        let common = &self.shared.common;
        let outcome = async {
            let live = self.live().await?;
            if !live.info.has("resources", "subscribe") {
                let text = "the server tells no updates of resources";
                return Ok(Err(RpcError::new(RpcError::METHOD_NOT_FOUND, text)));
            }
            if !common.want(uri) {
                return Ok(Ok(Map::new()));
            }
            let outcome = if live.info.revision.is_stateless() {
                self.agree(&live, uri).await
            } else {
                let outcome = live.link.call_for_guard("resources/subscribe", changes::resource(uri)).await;
                outcome.map(|answer| answer.map_err(|error| shape::error(live.info.revision, error)))
            };
            if !matches!(outcome, Ok(Ok(_))) && common.unwant(uri) {
                self.shared.changed();
            }
            outcome
        };
        match timeout(self.shared.common.limits().start, outcome).await {
            Ok(outcome) => outcome.map_err(|fault| BackError::new(&self.shared.name, fault)),
            Err(_) => Err(BackError::new(&self.shared.name, Fault::Deadline)),
        }
    }

    /// Waits until the server has agreed to watch a resource.
    async fn agree(&self, live: &Live, uri: &str) -> Result<Answer, Fault> {
        let mut acknowledged = live.acknowledged.clone();
        self.shared.changed();
        let asked = *self.shared.wanted.borrow();
        match timeout(ACKNOWLEDGEMENT, acknowledged.wait_for(|found| found.wanted >= asked)).await {
            Ok(Ok(found)) if found.uris.contains(uri) => Ok(Ok(Map::new())),
            Ok(Ok(_)) => {
                let text = "the server does not agree to watch this resource";
                Ok(Err(RpcError::new(RpcError::INVALID_PARAMS, text)))
            }
            Ok(Err(_)) => Err(Fault::Gone { reason: "ended".to_owned(), sent: false }),
            Err(_) => Err(Fault::Deadline),
        }
    }

    /// Takes back one [`Server::subscribe`].
    ///
    /// # Errors
    /// If the server cannot be told; it does not matter then, since its notifications are for nobody.
    pub async fn unsubscribe(&self, uri: &str) -> Result<(), BackError> {
        if !self.shared.common.unwant(uri) {
            return Ok(());
        }
        let live = match &*lock(&self.shared.state) {
            State::Live(live, _) => Arc::clone(live),
            // There is nobody to tell.
            _ => return Ok(()),
        };
        if live.info.revision.is_stateless() {
            self.shared.changed();
            return Ok(());
        }
        let telling = live.link.call_for_guard("resources/unsubscribe", changes::resource(uri));
        match timeout(ACKNOWLEDGEMENT, telling).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(fault)) => Err(BackError::new(&self.shared.name, fault)),
            Err(_) => Err(BackError::new(&self.shared.name, Fault::Deadline)),
        }
    }

    /// Ends it: requests under way and later ones fail, a child process is asked to end and then made to, a session is ended.
    pub async fn stop(&self) {
        let state = std::mem::replace(&mut *lock(&self.shared.state), State::Stopped);
        if let State::Live(live, _) = state {
            live.link.stop().await;
        }
    }

    /// The live connection; starts it if there is none.
    async fn live(&self) -> Result<Arc<Live>, Fault> {
        let mut started = {
            let mut state = lock(&self.shared.state);
            match &*state {
                State::Live(live, failures) => match live.link.closed() {
                    None => return Ok(Arc::clone(live)),
                    Some(fault) => {
                        let failures = if live.answered.load(Ordering::Relaxed) {
                            0
                        } else {
                            failures.saturating_add(1)
                        };
                        self.start_again(&mut state, failures, Instant::now(), fault)?
                    }
                },
                State::Starting(started, _) => started.clone(),
                State::Down { failures, since, fault } => {
                    let (failures, since, fault) = (*failures, *since, fault.clone());
                    self.start_again(&mut state, failures, since, fault)?
                }
                State::Stopped => return Err(Fault::Stopped),
            }
        };
        let outcome = started.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(Fault::Stopped),
        }
    }

    /// Begins a start, after the wait that is due.
    fn start_again(
        &self,
        state: &mut State,
        failures: u32,
        since: Instant,
        fault: Fault,
    ) -> Result<Started, Fault> {
        let limits = self.shared.common.limits();
        let longest = limits.backoff.saturating_mul(LONGEST_WAIT);
        let waited = since.elapsed();
        let wait = if failures >= limits.restarts.max(1) {
            if waited < longest {
                let text = format!(
                    "{failures} starts led to nothing, the next try comes later; the last time it {fault}"
                );
                *state = State::Down { failures, since, fault };
                return Err(Fault::CannotStart(text));
            }
            Duration::ZERO
        } else if failures == 0 {
            Duration::ZERO
        } else {
            let due = limits.backoff.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
            due.min(longest).saturating_sub(waited)
        };
        let (tell, started) = watch::channel(None);
        // The task must not keep what it starts alive after the server is dropped.
        let shared = Arc::downgrade(&self.shared);
        let task = Task::spawn(async move {
            tokio::time::sleep(wait).await;
            let Some(shared) = shared.upgrade() else { return };
            let outcome = shared.connect().await;
            let mut state = lock(&shared.state);
            let started = match outcome {
                Ok(live) => {
                    let live = Arc::new(live);
                    *state = State::Live(Arc::clone(&live), failures);
                    Ok(live)
                }
                Err(fault) => {
                    let failures = failures.saturating_add(1);
                    *state = State::Down { failures, since: Instant::now(), fault: fault.clone() };
                    Err(fault)
                }
            };
            drop(state);
            tell.send_replace(Some(started));
        });
        *state = State::Starting(started.clone(), task);
        Ok(started)
    }
}

impl Shared {
    /// Notes that other resources are wanted than before.
    fn changed(&self) {
        self.wanted.send_modify(|count| *count = count.saturating_add(1));
    }

    async fn connect(&self) -> Result<Live, Fault> {
        let era = *lock(&self.era);
        let limits = self.common.limits();
        let patience = limits.start.saturating_add(self.target.patience());
        let (link, info) = match timeout(patience, connect(&self.target, &self.common, era)).await {
            Ok(Ok(found)) => found,
            Ok(Err(fault)) => {
                // What was remembered may no longer be true.
                *lock(&self.era) = self.common.settings.era;
                return Err(not_started(fault));
            }
            Err(_) => {
                let text = format!("it was not ready after {} s", limits.start.as_secs());
                return Err(Fault::CannotStart(text));
            }
        };
        *lock(&self.era) = if info.revision.is_stateless() { Era::Modern } else { Era::Legacy };
        let (link, info) = (Arc::new(link), Arc::new(info));
        let again = lock(&self.info).replace(Arc::clone(&info)).is_some();
        let (acknowledge, acknowledged) = watch::channel(Acknowledged::default());
        let listener = info.revision.is_stateless().then(|| {
            let wanted = self.wanted.subscribe();
            let (link, common) = (Arc::clone(&link), Arc::clone(&self.common));
            Task::spawn(changes::keep(link, common, Arc::clone(&info), wanted, acknowledge))
        });
        if again {
            if !info.revision.is_stateless() {
                for uri in self.common.wanted() {
                    let outcome = link.call_for_guard("resources/subscribe", changes::resource(&uri)).await;
                    if !matches!(outcome, Ok(Ok(_))) {
                        self.common.tell("a subscription was lost in a restart");
                    }
                }
            }
            self.common.all_may_have_changed(&info);
        }
        Ok(Live {
            link,
            info,
            acknowledged,
            answered: AtomicBool::new(false),
            severity: Mutex::new(None),
            _listener: listener,
        })
    }
}

impl Live {
    /// Tells an older server how much to log. What a caller did not ask for does not reach it.
    async fn log_from(&self, severity: Option<Severity>) {
        let Some(severity) = severity else { return };
        if self.info.revision.is_stateless() || !self.info.capabilities.contains_key("logging") {
            return;
        }
        {
            let mut told = lock(&self.severity);
            if told.is_some_and(|told| told <= severity) {
                return;
            }
            *told = Some(severity);
        }
        let params = Map::from_iter([("level".to_owned(), Value::from(severity.name()))]);
        // A server that does not do it logs what it likes.
        let _refused = Box::pin(self.link.call_for_guard("logging/setLevel", params)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.shared.state), State::Stopped);
        if let State::Live(live, _) = state {
            live.link.kill();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fault before the first request.
fn not_started(fault: Fault) -> Fault {
    match fault {
        Fault::Gone { reason, .. } => Fault::CannotStart(format!("it {reason}")),
        Fault::CutOff(reason) => Fault::CannotStart(format!("it was cut off: {reason}")),
        Fault::Protocol(reason) => Fault::CannotStart(format!("it broke the protocol: {reason}")),
        other => other,
    }
}

/// Whether the gateway may send a method as a request of a caller: not what belongs to a connection, which is the guard's.
fn is_for_servers(method: &str) -> bool {
    !matches!(
        method,
        "initialize"
            | "server/discover"
            | "subscriptions/listen"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "logging/setLevel"
    ) && !method.starts_with("notifications/")
}

/// A question in an `input_required` result: key, method, parameters.
type Asked = (String, String, Map<String, Value>);

/// The questions of an `input_required` result.
fn input_requests(result: &mut Map<String, Value>) -> Result<Vec<Asked>, Fault> {
    let broken = |what: &str| Fault::Protocol(format!("its input_required {what}"));
    if result.get("requestState").is_some_and(|state| !state.is_string()) {
        return Err(broken("has a requestState that is no string"));
    }
    let requests = match result.remove("inputRequests") {
        None if result.contains_key("requestState") => return Ok(Vec::new()),
        None => return Err(broken("has neither inputRequests nor requestState")),
        Some(Value::Object(requests)) => requests,
        Some(_) => return Err(broken("has inputRequests that are no object")),
    };
    requests
        .into_iter()
        .map(|(key, request)| {
            let Value::Object(mut request) = request else { return Err(broken("asks what is no request")) };
            let params = match request.remove("params") {
                None => Map::new(),
                Some(Value::Object(params)) => params,
                Some(_) => return Err(broken("asks with params that are no object")),
            };
            match request.remove("method") {
                Some(Value::String(method)) if shape::is_question(&method) => Ok((key, method, params)),
                _ => Err(broken("asks what no client answers")),
            }
        })
        .collect()
}
