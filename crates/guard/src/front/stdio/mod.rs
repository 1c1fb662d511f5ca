//! The front on standard input and output: one message a line.
//!
//! Both eras are served at once: a request with the stateless revision's `_meta` is answered by itself, and `initialize` begins
//! the one session that a process has.

mod lines;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use self::lines::{Line, Lines};
use super::budget::{Account, Budgets, Lease};
use super::dispatch::{Core, Reply, TOO_MANY, cancel, same_id};
use super::exchange::Step;
use super::inflight::InFlight;
use super::metadata;
use super::session::Session;
use super::{Handler, Limits, Log, log_to_stderr};
use crate::wire::{self, Id, Message, Notification, Request, Response, RpcError, WireError};

/// How many messages may wait for the client to read.
const WAITING: usize = 64;

/// Who is at the other end of the pipe.
#[derive(Clone)]
pub struct Settings {
    /// The user of the operating system, as the policy names them.
    pub principal: Arc<str>,
    /// The run token, which on stdio comes with the process's environment.
    pub run: Option<String>,
    /// The bounds.
    pub limits: Limits,
    /// Where to write what an operator may want to know. Not to the output.
    pub log: Log,
}

impl Settings {
    /// Settings with the default limits and the log on standard error.
    #[must_use]
    pub fn new(principal: &str) -> Self {
        Self { principal: principal.into(), run: None, limits: Limits::default(), log: log_to_stderr() }
    }
}

/// Serves one client until the input ends. What is under way then is cancelled; what is answered is written.
///
/// # Errors
/// If the input cannot be read or the output cannot be written.
pub async fn serve<H, R, W>(handler: Arc<H>, input: R, output: W, settings: Settings) -> std::io::Result<()>
where
    H: Handler,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let Settings { principal, run, limits, log } = settings;
    let bytes = limits.bytes;
    let client = Client {
        budgets: Budgets::new(&limits),
        core: Arc::new(Core::new(handler, limits, log)),
        principal,
        run,
        in_flight: Arc::default(),
        session: None,
        output: Output(sender),
    };
    // The reader ends with the input; the writer when all senders have gone, which is after the reader.
    let (read, written) = tokio::join!(client.read(Lines::new(input, bytes)), write(receiver, output));
    read.and(written)
}

/// Writes what comes, and what has come meanwhile along with it.
async fn write<W: AsyncWrite + Unpin>(
    mut messages: mpsc::Receiver<Vec<u8>>,
    mut output: W,
) -> std::io::Result<()> {
    while let Some(mut bytes) = messages.recv().await {
        while let Ok(more) = messages.try_recv() {
            bytes.extend_from_slice(&more);
        }
        output.write_all(&bytes).await?;
        output.flush().await?;
    }
    Ok(())
}

type Running = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>;

struct Client<H> {
    core: Arc<Core<H>>,
    budgets: Budgets,
    principal: Arc<str>,
    run: Option<String>,
    in_flight: Arc<InFlight>,
    session: Option<Arc<Session>>,
    output: Output,
}

impl<H: Handler> Client<H> {
    async fn read<R: AsyncRead + Unpin>(mut self, mut lines: Lines<R>) -> std::io::Result<()> {
        let mut running = Running::new();
        loop {
            tokio::select! {
                // Nobody reads what is answered.
                () = self.output.0.closed() => return Ok(()),
                Some(()) = running.next(), if !running.is_empty() => {}
                line = lines.next() => match line? {
                    Some(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Some(Line::Whole(line)) => {
                        let message = wire::parse(&line, &self.core.limits.wire());
                        let message = message.map_err(|error| (wire::asked(&line), error));
                        drop(line);
                        match message {
                            Ok(message) => self.message(message, &mut running).await,
                            Err((id, error)) => self.output.answer(Response::failed(id, error.to_rpc())).await,
                        }
                    }
                    Some(Line::TooLong) => {
                        let error = WireError::TooLarge(self.core.limits.bytes).to_rpc();
                        self.output.answer(Response::failed(None, error)).await;
                    }
                    None => {
                        // What is answered without waiting still is; the rest is cancelled.
                        while running.next().now_or_never().flatten().is_some() {}
                        return Ok(());
                    }
                },
            }
        }
    }

    async fn message(&mut self, message: Message, running: &mut Running) {
        // All messages count, but only a request can be told that there are too many: an answer or a cancellation that was dropped would leave
        // somebody waiting.
        let account = self.budgets.take(&self.principal, Instant::now());
        match message {
            Message::Request(request) => {
                // What is refused is answered here, so that a client that does not read its answers is not read from either.
                let id = request.id.clone();
                let begun = match account {
                    Ok(account) => self.request(request, &account, running).await,
                    Err(wait) => Err(too_often(wait)),
                };
                match begun {
                    Ok(None) => {}
                    Ok(Some(result)) => self.output.answer(Response::ok(id, result)).await,
                    Err(error) => self.output.answer(Response::failed(Some(id), error)).await,
                }
            }
            Message::Notification(notification) => self.notification(notification, running),
            Message::Response(Response { id, outcome }) => match &self.session {
                Some(session) => session.answer(id.as_ref(), session.caller.run.as_ref(), outcome),
                None => (self.core.log)("a client answered without having been asked; ignored"),
            },
        }
    }

    fn notification(&self, notification: Notification, running: &mut Running) {
        match notification.method.as_str() {
            "notifications/cancelled" => cancel(&self.in_flight, &notification.params),
            "notifications/initialized" => {
                let changes = self.session.as_ref().and_then(|session| self.core.changes_of(session));
                if let Some(changes) = changes {
                    running.push(Box::pin(self.output.clone().play(Reply::Changes(changes))));
                }
            }
            // Whatever else a client may want to say, nothing depends on it.
            _ => {}
        }
    }

    /// A place among the requests under way, or among the open streams. The stream of the session, which it has by itself, takes none.
    fn place(&self, account: &Arc<Account>, is_stream: bool) -> Result<Lease, RpcError> {
        let (lease, error) = if is_stream {
            (self.budgets.stream(account), "too many streams at the same time; end some")
        } else {
            let error = "too many requests at the same time (limits.concurrent-calls); wait for answers";
            (self.budgets.call(account), error)
        };
        lease.ok_or_else(|| RpcError::new(TOO_MANY, error))
    }

    /// Starts on a request, or gives its result. What takes time does not keep the next line waiting.
    async fn request(
        &mut self,
        mut request: Request,
        account: &Arc<Account>,
        running: &mut Running,
    ) -> Result<Option<Map<String, Value>>, RpcError> {
        let run = self.run.as_deref();
        // Here and not later, so that a cancellation on the next line finds it.
        let ticket = self.in_flight.enter(&request.id).ok_or_else(same_id)?;
        let (core, output) = (Arc::clone(&self.core), self.output.clone());
        if metadata::version(&request.params).is_some() {
            let (caller, about) = self.core.caller(&self.principal, run, &mut request)?;
            let is_stream = request.method == "subscriptions/listen";
            let lease = self.place(account, is_stream)?;
            running.push(Box::pin(async move {
                let _until_answered = lease;
                let reply = core.stateless(caller, about, request, Some(ticket)).await;
                output.play(reply).await;
            }));
            return Ok(None);
        }
        if let Some(session) = &self.session {
            let (session, caller) = (Arc::clone(session), self.core.caller_of(session, run)?);
            let lease = self.place(account, false)?;
            running.push(Box::pin(async move {
                let _until_answered = lease;
                let reply = core.in_session(&session, caller, request, ticket).await;
                output.play(reply).await;
            }));
            return Ok(None);
        }
        match request.method.as_str() {
            "initialize" => {
                let (caller, result) = self.core.initialize(&self.principal, run, request.params).await?;
                let session =
                    Session::new(caller, &result, Arc::clone(&self.in_flight), Arc::clone(&self.core.log));
                self.session = Some(session);
                Ok(Some(result))
            }
            "ping" => Ok(Some(Map::new())),
            _ => Err(RpcError::new(
                RpcError::INVALID_REQUEST,
                format!(
                    "begin with initialize, or name the revision in params._meta as {}",
                    metadata::VERSION
                ),
            )),
        }
    }
}

/// The error about messages that come too fast.
fn too_often(wait: Duration) -> RpcError {
    let error = format!(
        "too many messages in a short time (limits.calls-per-second); try again in {} ms",
        wait.as_millis().saturating_add(1)
    );
    RpcError::new(TOO_MANY, error)
}

/// Lines to the client.
#[derive(Clone)]
struct Output(mpsc::Sender<Vec<u8>>);

impl Output {
    /// Sends a message; false if nobody reads any more.
    async fn send(&self, message: &Message) -> bool {
        let mut line = message.to_bytes();
        line.push(b'\n');
        self.0.send(line).await.is_ok()
    }

    async fn answer(&self, response: Response) {
        // The reader ends when nobody reads any more.
        let _gone = self.send(&Message::Response(response)).await;
    }

    /// Sends all that goes back for a request.
    async fn play(self, reply: Reply) {
        match reply {
            Reply::Now(response) => self.answer(response).await,
            Reply::Exchange(mut exchange) => loop {
                match exchange.step().await {
                    Step::More(message) if self.send(&message).await => {}
                    Step::More(_) | Step::Silent => return,
                    Step::Last(response) => return self.answer(response).await,
                }
            },
            Reply::Changes(mut changes) => loop {
                match changes.step().await {
                    Step::More(message) if self.send(&message).await => {}
                    Step::More(_) | Step::Silent => return,
                    // The end of a subscription is told first: not every client expects an answer.
                    Step::Last(response) => {
                        if self.send(&cancelled(response.id.as_ref())).await {
                            self.answer(response).await;
                        }
                        return;
                    }
                }
            },
        }
    }
}

/// The notification that a subscription's request is over.
fn cancelled(id: Option<&Id>) -> Message {
    let params = Map::from_iter([("requestId".to_owned(), json!(id))]);
    Message::Notification(Notification { method: "notifications/cancelled".to_owned(), params })
}
