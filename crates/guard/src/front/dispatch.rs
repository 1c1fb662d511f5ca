//! What becomes of a request, for either transport.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::call::Call;
use super::capability::can_answer_anything;
use super::changes::{Changes, Interest, Watches};
use super::exchange::{self, Era, Exchange, Rules};
use super::inflight::{InFlight, Ticket};
use super::metadata::{Level, Metadata};
use super::park::{Binding, Parking};
use super::session::Session;
use super::shape::{self, Kind};
use super::{Caller, Handler, Hears, Limits, Log};
use crate::wire::{Id, Notification, Request, Response, Revision, RpcError};

/// A code for what no protocol has one for, outside of what JSON-RPC reserves: too much at once.
pub(super) const TOO_MANY: i64 = 429;

/// What both transports share.
pub(super) struct Core<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) log: Log,
    parking: Arc<Parking>,
    rules: Rules,
}

/// What becomes of a request.
pub(super) enum Reply {
    /// The answer is there.
    Now(Response),
    /// It is being worked on.
    Exchange(Box<Exchange>),
    /// A stream of changes.
    Changes(Changes),
}

/// What a request of the stateless revision says about itself.
pub(super) struct About {
    log_level: Option<Level>,
    progress: Option<Value>,
}

impl<H: Handler> Core<H> {
    pub(super) fn new(handler: Arc<H>, limits: Limits, log: Log) -> Self {
        let (parking, rules) = (Parking::new(&limits), Rules::from(&limits));
        Self { handler, limits, log, parking, rules }
    }

    /// Who sends a request of the stateless revision.
    ///
    /// # Errors
    /// If its metadata is not as it should be, or the run is not the principal's.
    pub(super) fn caller(
        &self,
        principal: &Arc<str>,
        run: Option<&str>,
        request: &mut Request,
    ) -> Result<(Arc<Caller>, About), RpcError> {
        let Metadata { revision, capabilities, client, log_level, progress } =
            Metadata::take(&mut request.params)?;
        let run = self.handler.open(principal, run)?;
        let caller = Caller { principal: Arc::clone(principal), run, revision, capabilities, client };
        Ok((Arc::new(caller), About { log_level, progress }))
    }

    /// Starts on a request of the stateless revision.
    pub(super) async fn stateless(
        &self,
        caller: Arc<Caller>,
        about: About,
        request: Request,
        ticket: Option<Ticket>,
    ) -> Reply {
        let id = request.id.clone();
        let reply = match request.method.as_str() {
            "server/discover" => Ok(Reply::Now(Response::ok(
                request.id,
                shape::discover(self.handler.discover(&caller).await),
            ))),
            // Its own future would make that of every call as large.
            "subscriptions/listen" => Box::pin(self.listen(&caller, request, ticket)).await,
            "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                Err(RpcError::new(
                    RpcError::METHOD_NOT_FOUND,
                    "this method ended with revision 2025-11-25; see subscriptions/listen, server/discover and the log level \
                     in _meta",
                ))
            }
            _ => self.call(caller, about, request, ticket).await,
        };
        reply.unwrap_or_else(|error| Reply::Now(Response::failed(Some(id), error)))
    }

    async fn call(
        &self,
        caller: Arc<Caller>,
        about: About,
        mut request: Request,
        ticket: Option<Ticket>,
    ) -> Result<Reply, RpcError> {
        let kind = Kind::of(&request.method);
        let answers = request.params.remove("inputResponses");
        let state = request.params.remove("requestState");
        let binding = kind
            .asks()
            .filter(|_| state.is_some() || can_answer_anything(&caller.capabilities))
            .map(|method| Binding::new(&caller.principal, caller.run.as_ref(), method, &request.params));
        let id = request.id.clone();
        let (call, progress) = match (state, &binding) {
            (None, _) => (Call::start(Arc::clone(&self.handler), Arc::clone(&caller), request), None),
            (Some(Value::String(state)), Some(binding)) => {
                let answers = answers.unwrap_or_else(|| Value::Object(Map::new()));
                exchange::check_answers(&answers)?;
                let mut call = Box::pin(self.parking.resume(&state, binding)).await?;
                if let Value::Object(answers) = answers {
                    exchange::answer(&mut call, answers);
                }
                (call, Some(about.progress))
            }
            (Some(_), _) => {
                let message = "requestState is the string that came with input_required, for tools/call, prompts/get and \
                               resources/read";
                return Err(RpcError::new(RpcError::INVALID_PARAMS, message));
            }
        };
        let parking = binding.map(|binding| (Arc::clone(&self.parking), binding));
        let era = Era::Stateless { log_level: about.log_level, parking, progress };
        Ok(Reply::Exchange(Box::new(Exchange::new(id, kind, caller, call, era, self.rules, ticket))))
    }

    async fn listen(
        &self,
        caller: &Arc<Caller>,
        request: Request,
        ticket: Option<Ticket>,
    ) -> Result<Reply, RpcError> {
        let mut interest = Interest::read(&request.params, self.limits.watched)?;
        interest.limit_to(self.handler.discover(caller).await.get("capabilities"));
        // First the receiver, so that nothing is missed from here on.
        let receiver = self.handler.changes(caller);
        let mut watches = Watches::default();
        for uri in std::mem::take(&mut interest.uris) {
            // What cannot be watched is left out of the acknowledgement.
            if let Ok(watch) = self.handler.watch(Arc::clone(caller), uri.clone()).await {
                watches.insert(uri.clone(), watch);
                interest.uris.insert(uri);
            }
        }
        let whose = (request.id, Arc::clone(caller));
        Ok(Reply::Changes(Changes::of_subscription(
            whose,
            interest,
            watches,
            (receiver, self.hears()),
            ticket,
        )))
    }

    /// Answers `initialize`: who has the session that begins, and the result.
    ///
    /// # Errors
    /// If the parameters are not as they should be, or the run is not the principal's.
    pub(super) async fn initialize(
        &self,
        principal: &Arc<str>,
        run: Option<&str>,
        mut params: Map<String, Value>,
    ) -> Result<(Arc<Caller>, Map<String, Value>), RpcError> {
        let invalid = |what: &str| RpcError::new(RpcError::INVALID_PARAMS, what);
        let Some(Value::String(requested)) = params.remove("protocolVersion") else {
            return Err(invalid("initialize needs params.protocolVersion, a string"));
        };
        let capabilities = match params.remove("capabilities") {
            Some(Value::Object(capabilities)) => capabilities,
            _ => return Err(invalid("initialize needs params.capabilities, an object")),
        };
        // Another revision than the client asked for is an offer, which it may decline.
        let revision = Revision::of(&requested)
            .filter(|revision| !revision.is_stateless())
            .unwrap_or(Revision::NEWEST_LEGACY);
        let run = self.handler.open(principal, run)?;
        let client = params.remove("clientInfo");
        let caller = Caller { principal: Arc::clone(principal), run, revision, capabilities, client };
        let caller = Arc::new(caller);
        let found = self.handler.discover(&caller).await;
        Ok((caller, shape::initialize(revision, found)))
    }

    /// The session's caller with the run that this request names.
    ///
    /// # Errors
    /// If the run is not the principal's.
    pub(super) fn caller_of(&self, session: &Session, run: Option<&str>) -> Result<Arc<Caller>, RpcError> {
        let run = self.handler.open(&session.caller.principal, run)?;
        if run == session.caller.run {
            return Ok(Arc::clone(&session.caller));
        }
        let caller = Arc::new(Caller { run, ..Caller::clone(&session.caller) });
        session.speaks_for(&caller);
        Ok(caller)
    }

    /// Starts on a request in a session.
    pub(super) async fn in_session(
        &self,
        session: &Arc<Session>,
        caller: Arc<Caller>,
        mut request: Request,
        ticket: Ticket,
    ) -> Reply {
        let uri = || match request.params.get("uri") {
            Some(Value::String(uri)) => Ok(uri.clone()),
            _ => Err(RpcError::new(RpcError::INVALID_PARAMS, "this method needs params.uri, a string")),
        };
        let simple = match request.method.as_str() {
            "ping" => Ok(()),
            "logging/setLevel" => set_log_level(session, &request.params),
            "resources/subscribe" => match uri() {
                Ok(uri) => self.watch(session, caller.clone(), uri).await,
                Err(error) => Err(error),
            },
            "resources/unsubscribe" => uri().map(|uri| {
                session.unwatch(&uri);
            }),
            "initialize" => {
                Err(RpcError::new(RpcError::INVALID_REQUEST, "this session is initialized already"))
            }
            "server/discover" | "subscriptions/listen" => Err(RpcError::new(
                RpcError::METHOD_NOT_FOUND,
                "this method came with revision 2026-07-28, whose requests say so in _meta",
            )),
            _ => {
                if let Some(level) = session.log_level() {
                    shape::set_log_level(&mut request.params, level.name());
                }
                let (id, kind) = (request.id.clone(), Kind::of(&request.method));
                let call = Call::start(Arc::clone(&self.handler), Arc::clone(&caller), request);
                let era = Era::Session { session: Arc::clone(session), asked: Vec::new() };
                return Reply::Exchange(Box::new(Exchange::new(
                    id,
                    kind,
                    caller,
                    call,
                    era,
                    self.rules,
                    Some(ticket),
                )));
            }
        };
        Reply::Now(Response { id: Some(request.id), outcome: simple.map(|()| Map::new()) })
    }

    async fn watch(&self, session: &Session, caller: Arc<Caller>, uri: String) -> Result<(), RpcError> {
        let watch = self.handler.watch(caller, uri.clone()).await?;
        let error = "this session watches too many resources; unsubscribe some";
        session
            .watch(uri, watch, self.limits.watched)
            .then_some(())
            .ok_or_else(|| RpcError::new(RpcError::INVALID_PARAMS, error))
    }

    /// The changes for a session; none if they are being listened to already.
    pub(super) fn changes_of(&self, session: &Arc<Session>) -> Option<Changes> {
        let changes = |caller: &Caller| -> broadcast::Receiver<Notification> { self.handler.changes(caller) };
        Changes::of_session(session, changes, self.hears())
    }

    fn hears(&self) -> Hears {
        let handler = Arc::clone(&self.handler);
        Arc::new(move |caller, watch| handler.hears(caller, watch))
    }
}

fn set_log_level(session: &Session, params: &Map<String, Value>) -> Result<(), RpcError> {
    let level = params.get("level").and_then(Value::as_str).and_then(Level::of);
    let level = level.ok_or_else(|| {
        RpcError::new(RpcError::INVALID_PARAMS, "params.level is one of debug to emergency")
    })?;
    session.set_log_level(level);
    Ok(())
}

/// The error about an id that is in use.
pub(super) fn same_id() -> RpcError {
    RpcError::new(RpcError::INVALID_REQUEST, "a request with this id is under way already; ids are used once")
}

/// What a `notifications/cancelled` cancels, if it does.
pub(super) fn cancel(in_flight: &InFlight, params: &Map<String, Value>) {
    if let Some(id) = params.get("requestId").and_then(|id| serde_json::from_value::<Id>(id.clone()).ok()) {
        // One that has ended, or never was, is nothing to complain about.
        in_flight.cancel(&id);
    }
}
