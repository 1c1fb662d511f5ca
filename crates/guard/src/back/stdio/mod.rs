//! Servers as child processes: one message a line, on standard input and output.

mod group;
mod lines;
mod pump;

use std::process::Stdio as Pipe;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::config::MakeCommand;
use super::exchange::{Exchange, Inbound};
use super::link::{Call, may_leave};
use super::server::waited;
use super::table::{Table, Ticket};
use super::{Answer, Fault, Settings, shape};
use crate::relay::Relay;
use crate::wire::{Message, Notification, Response, Revision};
use group::Group;

/// Messages that wait to be written. Beyond that, callers wait.
const OUTGOING: usize = 64;

/// A line for the server.
struct Outgoing {
    /// The request that it is; one that was given up meanwhile is not written.
    id: Option<i64>,
    line: Vec<u8>,
    /// Whose it is, unless it is the guard's own.
    caller: Option<CallOf>,
}

/// The call that a line belongs to: a request, or a client's answer to a question.
struct CallOf {
    id: i64,
    /// Says whether it may still leave.
    relay: Relay,
}

/// One run of a child process. Dropping it kills the process and all that it started.
pub(super) struct Process {
    table: Arc<Table>,
    outgoing: mpsc::Sender<Outgoing>,
    group: Arc<Group>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Starts the command.
    pub(super) fn spawn(make: &MakeCommand, settings: &Settings, table: Arc<Table>) -> Result<Self, Fault> {
        let cannot = |error: std::io::Error| Fault::CannotStart(super::clean::quote(&error.to_string()));
        let mut command = make().map_err(cannot)?;
        // A group of its own: signals from the terminal do not reach it, and its children end with it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut command = tokio::process::Command::from(command);
        command.stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::piped()).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|error| {
            let text = format!("{program}: {error}; check that the command exists and may be run");
            Fault::CannotStart(super::clean::quote(&text))
        })?;
        let group = Arc::new(Group::of(&child));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Fault::CannotStart("its standard streams are not pipes".to_owned()));
        };
        let (outgoing, to_write) = mpsc::channel(OUTGOING);
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let tail = pump::Tail::new(settings.limits.stderr);
        let errors = tokio::spawn(pump::errors(stderr, Arc::clone(&tail), settings.stderr.clone()));
        tokio::spawn(pump::write(stdin, to_write, Arc::clone(&table), stopping.clone()));
        let reader = pump::Reader {
            child,
            group: Arc::clone(&group),
            table: Arc::clone(&table),
            replies: outgoing.clone(),
            stopping,
            tail,
            errors,
            limits: settings.limits,
            end,
        };
        tokio::spawn(reader.run(stdout));
        Ok(Self { table, outgoing, group, stop, ended })
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Calls a method once.
    pub(super) async fn call(
        &self,
        revision: Revision,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Fault> {
        let ticket = self.table.open(call.caller.clone())?;
        let progress = call.caller.progress.is_some().then_some(ticket.id);
        shape::prepare(params, revision, call.capabilities, progress);
        let line = shape::encode(Some(ticket.id), call.method, params);
        self.write(Some(ticket.id), line, Some(CallOf { id: ticket.id, relay: call.relay.clone() })).await?;
        self.wait(ticket, call.relay).await
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, method: &str, params: &Map<String, Value>) -> Result<(), Fault> {
        self.write(None, shape::encode(None, method, params), None).await
    }

    /// Opens a stream of changes, and reads it to its end. Acknowledgements go to `acknowledged`.
    pub(super) async fn listen(
        &self,
        params: &mut Map<String, Value>,
        acknowledged: impl Fn(Notification),
    ) -> Fault {
        let mut ticket = match self.open_listen(params).await {
            Ok(ticket) => ticket,
            Err(fault) => return fault,
        };
        loop {
            tokio::select! {
                biased;
                Some(inbound) = ticket.inbox.recv() => {
                    if let Inbound::Notification(notification) = inbound {
                        acknowledged(notification);
                    }
                }
                answer = &mut ticket.answer => return match answer {
                    Ok(Ok(_)) => Fault::Gone { reason: "ended the subscription".to_owned(), sent: true },
                    Ok(Err(fault)) => fault,
                    Err(_) => self.gone().await,
                },
            }
        }
    }

    async fn open_listen(&self, params: &mut Map<String, Value>) -> Result<Ticket, Fault> {
        let ticket = self.table.open(super::table::Caller { guard: true, ..Default::default() })?;
        shape::prepare(params, Revision::V2026_07_28, &Map::new(), None);
        let line = shape::encode(Some(ticket.id), "subscriptions/listen", params);
        self.write(Some(ticket.id), line, None).await?;
        Ok(ticket)
    }

    async fn write(&self, id: Option<i64>, mut line: Vec<u8>, caller: Option<CallOf>) -> Result<(), Fault> {
        line.push(b'\n');
        let (room, waited) = waited(self.outgoing.reserve()).await;
        let Ok(room) = room else {
            return Err(match self.gone().await {
                Fault::Gone { reason, .. } => Fault::Gone { reason, sent: false },
                other => other,
            });
        };
        if waited {
            may_leave(caller.as_ref().map(|caller| &caller.relay)).await?;
        }
        room.send(Outgoing { id, line, caller });
        Ok(())
    }

    async fn wait(&self, mut ticket: Ticket, relay: &Relay) -> Result<Answer, Fault> {
        let mut exchange = Exchange::new(relay);
        loop {
            tokio::select! {
                biased;
                Some(inbound) = ticket.inbox.recv() => exchange.take(inbound).await,
                (id, outcome) = exchange.answered() => {
                    let reply = Message::Response(Response { id: Some(id), outcome });
                    let caller = CallOf { id: ticket.id, relay: relay.clone() };
                    self.write(None, reply.to_bytes(), Some(caller)).await?;
                }
                answer = &mut ticket.answer => {
                    // What came before the answer reaches the client before it.
                    while let Some(inbound) = ticket.inbox.try_recv() {
                        if matches!(inbound, Inbound::Notification(_)) {
                            exchange.take(inbound).await;
                        }
                    }
                    return match answer {
                        Ok(answer) => answer,
                        Err(_) => Err(self.gone().await),
                    };
                }
            }
        }
    }

    /// Why it is gone; the reason may take a moment to be known.
    async fn gone(&self) -> Fault {
        let mut ended = self.ended.clone();
        let _late =
            tokio::time::timeout(pump::LAST_WORDS.saturating_mul(4), ended.wait_for(|ended| *ended)).await;
        self.table.closed().unwrap_or_else(|| Fault::Gone { reason: "ended".to_owned(), sent: true })
    }

    /// Kills the process and all that it started.
    pub(super) fn kill(&self) {
        self.group.finish();
    }

    /// Asks the process to end by closing its standard input, then by signals; returns when it has ended.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let mut ended = self.ended.clone();
        // An error means that the reader is gone, and with it the process.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.finish();
    }
}
