//! The front over Streamable HTTP: one endpoint, `/mcp`, for clients of all revisions.

mod headers;
mod post;
mod reply;
mod sessions;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use std::convert::Infallible;

use axum::Router;
use axum::response::Response;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use ostrom_http::{Bounds, Connections, Lanes};
use serde::Deserialize;

use self::headers::Doors;
use self::reply::Refused;
use self::sessions::Sessions;
use super::auth::{self, AuthError, Authenticator, Identity};
use super::budget::{self, Account, Budgets};
use super::dispatch::Core;
use super::{Handler, Limits, Log};
use crate::wire::{Revision, RpcError};

/// The usual path of the endpoint.
pub const ENDPOINT: &str = "/mcp";

/// How long a connection may be quiet before a request's head has come in full.
const HEAD: Duration = Duration::from_secs(75);
/// How long what is under way may go on once the server is to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Where to listen, and whom to let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The address. By default only this machine can reach it.
    pub listen: SocketAddr,
    /// The path of the endpoint: letters, digits and `/-_.~`, beginning with a slash.
    pub path: String,
    /// Host names under which we are reached, besides this machine's own if only this machine can reach us.
    pub hosts: Vec<String>,
    /// Origins whose pages may call us, besides this machine's own if only this machine can reach us.
    pub origins: Vec<String>,
    /// The principal of all callers, if `auth` says nothing.
    pub principal: String,
    /// How clients show who they are.
    pub auth: auth::Settings,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8732)),
            path: ENDPOINT.to_owned(),
            hosts: Vec::new(),
            origins: Vec::new(),
            principal: "user".to_owned(),
            auth: auth::Settings::default(),
            limits: Limits::default(),
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody in the network would be let in.
    #[error(
        "listening on {0}, which others can reach, needs auth.tokens or auth.oauth; or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// Nobody would be let in.
    #[error("listening on {0}, which others can reach, needs the names under which they do so (hosts)")]
    NoHosts(SocketAddr),
    /// A path that no endpoint can have.
    #[error(
        "the endpoint's path {0:?} must begin with a slash, have only letters, digits and /-_.~ in it, and not be below /.well-known"
    )]
    Path(String),
    /// The settings of `auth`.
    #[error("auth: {0}")]
    Auth(#[from] AuthError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// A server that listens already and serves once it runs.
#[derive(Debug)]
pub struct Server {
    connections: Connections,
    answers: Answers,
    log: LogField,
}

/// Who answers.
enum Answers {
    /// The front: every request passes here, so it has no layers in between.
    Front(Arc<dyn Answerer>),
    /// Routes of something else.
    Routes(Router),
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Front(_) => "Front",
            Self::Routes(_) => "Routes",
        })
    }
}

/// The front, whatever handler is behind it.
trait Answerer: Send + Sync {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// So that a server can be printed.
struct LogField(Log);

impl std::fmt::Debug for LogField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

/// What all requests share.
struct App<H> {
    core: Core<H>,
    doors: Doors,
    auth: Authenticator,
    budgets: Budgets,
    sessions: Sessions,
    /// The endpoint's path.
    path: String,
    /// The paths of the resource's metadata (RFC 9728), and what is there.
    metadata: (Vec<String>, bytes::Bytes),
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// If the settings would let in everybody or nobody, or the address cannot be had.
    pub async fn bind<H: Handler>(handler: Arc<H>, settings: Settings, log: Log) -> Result<Self, StartError> {
        let answers = Answers::Front(Arc::new(App::new(handler, &settings, Arc::clone(&log))?));
        let connections = connections(settings.listen, settings.limits.connections).await;
        let connections = connections.map_err(|error| StartError::Listen(settings.listen, error))?;
        Ok(Self { connections, answers, log: LogField(log) })
    }

    /// A server of other routes than the front's, with the same care for connections.
    pub(crate) fn of(connections: Connections, router: Router, log: Log) -> Self {
        Self { connections, answers: Answers::Routes(router), log: LogField(log) }
    }

    /// With connections worked on by so many threads of their own, and not where the server is run.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn with_threads(self, threads: usize) -> std::io::Result<Self> {
        let lanes = Lanes::start(threads)?;
        Ok(Self { connections: self.connections.with_lanes(lanes), ..self })
    }

    /// The address, with the port that was given if any was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.connections.address()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let log = move |what: &str| (self.log.0)(what);
        match self.answers {
            Answers::Routes(router) => self.connections.run(router, log, stop).await,
            Answers::Front(front) => {
                let service = |_peer| {
                    let front = Arc::clone(&front);
                    service_fn(move |request| {
                        let answered = Arc::clone(&front).answer(request);
                        async move { Ok::<_, Infallible>(answered.await) }
                    })
                };
                self.connections.serve(service, log, stop).await;
            }
        }
    }
}

/// Listens, for so many connections at the same time.
pub(crate) async fn connections(listen: SocketAddr, most: usize) -> std::io::Result<Connections> {
    Connections::bind(listen, Bounds { connections: most, head: HEAD, grace: GRACE }).await
}

/// Whether an endpoint can have this path: the router takes some characters for patterns.
pub(crate) fn is_endpoint(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    path.starts_with('/')
        && !path.contains("//")
        && !path.starts_with("/.well-known")
        && path.chars().all(plain)
}

impl<H: Handler> Answerer for App<H> {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let (headers, uri) = (&parts.headers, &parts.uri);
            if uri.path() != self.path {
                return self.elsewhere(&parts.method, headers, uri);
            }
            let answered = match parts.method {
                http::Method::POST => self.post(headers, uri, body).await,
                http::Method::GET => self.get(headers, uri).await,
                http::Method::DELETE => self.delete(headers, uri).await,
                _ => Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "MCP uses POST, GET and DELETE here")
                    .allow()),
            };
            answered.unwrap_or_else(|refused| refused.into_response())
        })
    }
}

impl<H: Handler> App<H> {
    /// # Errors
    /// If the settings would let in everybody or nobody.
    fn new(handler: Arc<H>, settings: &Settings, log: Log) -> Result<Self, StartError> {
        let auth = Authenticator::new(&settings.auth, &settings.principal)?;
        let is_local = settings.listen.ip().is_loopback();
        if auth.is_open() && !is_local {
            return Err(StartError::Open(settings.listen));
        }
        let mut hosts = settings.hosts.clone();
        hosts.extend(auth.host().map(str::to_owned));
        if hosts.is_empty() && !is_local {
            return Err(StartError::NoHosts(settings.listen));
        }
        if !is_endpoint(&settings.path) {
            return Err(StartError::Path(settings.path.clone()));
        }
        let metadata = settings.auth.oauth.as_ref().map(auth::metadata);
        Ok(Self {
            core: Core::new(handler, settings.limits.clone(), log),
            doors: Doors { hosts, origins: settings.origins.clone(), is_local },
            auth,
            budgets: Budgets::new(&settings.limits),
            sessions: Sessions::new(&settings.limits),
            path: settings.path.clone(),
            metadata: metadata.map(|(paths, document)| (paths, document.into())).unwrap_or_default(),
        })
    }

    /// What is at other paths than the endpoint's.
    fn elsewhere(&self, method: &http::Method, headers: &HeaderMap, uri: &Uri) -> Response {
        let (paths, document) = &self.metadata;
        if !paths.iter().any(|path| path == uri.path()) {
            return reply::empty(StatusCode::NOT_FOUND);
        }
        if !matches!(*method, http::Method::GET | http::Method::HEAD) {
            let mut response = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("GET,HEAD"));
            return response;
        }
        match self.doors.check(uri, headers) {
            Ok(()) => reply::json(StatusCode::OK, document.clone()),
            Err((status, what)) => Refused::new(status, what).into_response(),
        }
    }

    /// Lets a request in, or not, before anything of its body is read.
    async fn admit(&self, headers: &HeaderMap, uri: &Uri) -> Result<(Identity, Arc<Account>), Box<Refused>> {
        self.doors.check(uri, headers).map_err(|(status, what)| Refused::new(status, what))?;
        if headers::has_token_in_query(uri) {
            let what = "an access token has no place in a URL; send it as Authorization: Bearer";
            return Err(Refused::new(StatusCode::BAD_REQUEST, what));
        }
        let identity = self.auth.identify(headers).await.map_err(|denied| {
            let (status, challenge, sentence) = self.auth.challenge(&denied);
            let mut refused = Refused::new(status, sentence);
            if let Some(challenge) = challenge {
                refused = refused.header(http::header::WWW_AUTHENTICATE, challenge);
            }
            if denied == auth::Denied::Busy {
                refused = refused.retry_after(Duration::from_secs(1));
            }
            refused
        })?;
        let account = self.budgets.take(&identity.principal, Instant::now()).map_err(|wait| {
            Refused::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many messages in a short time (limits.calls-per-second)",
            )
            .retry_after(wait)
        })?;
        Ok((identity, account))
    }

    /// The session that the headers name.
    fn session(
        &self,
        headers: &HeaderMap,
        principal: &str,
    ) -> Result<Arc<super::session::Session>, Box<Refused>> {
        let id = headers::single(headers, post::SESSION).unwrap_or_default();
        let session = self.sessions.get(id, principal, Instant::now()).ok_or_else(|| {
            Refused::new(
                StatusCode::NOT_FOUND,
                "there is no such session (any more); begin another with initialize",
            )
        })?;
        // Clients of the first revision with sessions do not say it again, and some say another one than was agreed. What was agreed
        // counts; only a revision that has no sessions here is refused.
        let said = headers::single(headers, post::VERSION).and_then(Revision::of);
        if headers.contains_key(post::VERSION) && said.is_none_or(Revision::is_stateless) {
            let revision = session.caller.revision.name();
            let what = format!("this session speaks {revision}; MCP-Protocol-Version says otherwise");
            return Err(Refused::new(StatusCode::BAD_REQUEST, what));
        }
        Ok(session)
    }

    async fn get(&self, headers: &HeaderMap, uri: &Uri) -> Result<Response, Box<Refused>> {
        let (identity, account) = self.admit(headers, uri).await?;
        Self::must_have_session(headers)?;
        let session = self.session(headers, &identity.principal)?;
        if !headers::accepts(headers, &[reply::EVENTS]) {
            return Err(Refused::new(StatusCode::NOT_ACCEPTABLE, "Accept must have text/event-stream"));
        }
        let lease = self.stream_place(&account)?;
        let changes = self.core.changes_of(&session).ok_or_else(|| {
            Refused::new(StatusCode::CONFLICT, "this session has a stream already; there is one at a time")
        })?;
        Ok(reply::Events::changes(changes, lease, identity.expires, &self.core.limits).into_response(None))
    }

    async fn delete(&self, headers: &HeaderMap, uri: &Uri) -> Result<Response, Box<Refused>> {
        let (identity, _) = self.admit(headers, uri).await?;
        Self::must_have_session(headers)?;
        self.session(headers, &identity.principal)?;
        let id = headers::single(headers, post::SESSION).unwrap_or_default();
        self.sessions.end(id, &identity.principal);
        Ok(reply::empty(StatusCode::OK))
    }

    fn must_have_session(headers: &HeaderMap) -> Result<(), Box<Refused>> {
        if headers.contains_key(post::SESSION) {
            return Ok(());
        }
        let what = "GET and DELETE are for sessions (Mcp-Session-Id), which ended with revision 2025-11-25";
        Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, what).allow())
    }

    fn stream_place(&self, account: &Arc<Account>) -> Result<budget::Lease, Box<Refused>> {
        self.budgets.stream(account).ok_or_else(|| {
            Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many streams at the same time")
                .retry_after(Duration::from_secs(1))
        })
    }

    fn call_place(&self, account: &Arc<Account>) -> Result<budget::Lease, Box<Refused>> {
        self.budgets.call(account).ok_or_else(|| {
            Refused::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests at the same time (limits.concurrent-calls)",
            )
            .retry_after(Duration::from_secs(1))
        })
    }
}

/// The HTTP status for an error of the stateless revision.
fn status_of(error: &RpcError) -> StatusCode {
    match error.code {
        RpcError::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY | RpcError::UNSUPPORTED_REVISION => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}
