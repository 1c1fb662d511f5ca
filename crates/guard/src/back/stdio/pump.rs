//! The tasks of a child process: what reads its output, writes its input, and waits for its end.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::group::Group;
use super::lines::{Line, Lines};
use super::{CallOf, Outgoing};
use crate::back::clean::quote;
use crate::back::config::StderrSink;
use crate::back::server::waited;
use crate::back::table::{Channel, Received, Table};
use crate::back::{Fault, Limits, shape};
use crate::wire::{self, Message};

/// How much of its output is read at once.
const CHUNK: usize = 64 << 10;
/// The longest line of standard error; what is longer is skipped.
const ERROR_LINE: usize = 4 << 10;
/// How long to wait for the exit status, or the last output, of a process that has ended its output, or itself.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(250);

/// The end of what a process wrote to its standard error.
pub(super) struct Tail {
    kept: Mutex<VecDeque<u8>>,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::new(VecDeque::new()), limit })
    }

    fn push(&self, line: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(line.bytes().chain(*b"\n"));
        let surplus = kept.len().saturating_sub(self.limit);
        kept.drain(..surplus);
    }

    /// `; its last words: …`, as far as they fit into a message.
    fn last_words(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.len().saturating_sub(280);
        let bytes: Vec<u8> = kept.iter().skip(skip).copied().collect();
        let text = quote(&String::from_utf8_lossy(&bytes));
        if text.is_empty() { text } else { format!("; its last words: {text}") }
    }
}

/// Keeps the end of standard error and passes its lines on.
pub(super) async fn errors(stderr: ChildStderr, tail: Arc<Tail>, sink: Option<StderrSink>) {
    let mut lines = Lines::new(BufReader::new(stderr), ERROR_LINE);
    loop {
        match lines.next().await {
            Ok(Line::Text) => {
                let line = quote(&String::from_utf8_lossy(lines.text()));
                tail.push(&line);
                if let Some(sink) = &sink {
                    sink(&line);
                }
            }
            // Reading on is what keeps the process from blocking; only the text is lost.
            Ok(Line::TooLong | Line::Endless) => {}
            Ok(Line::End) | Err(_) => return,
        }
    }
}

/// Waits until it is time to stop.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // The other end is gone only after the process has been killed.
    let _stop = stopping.wait_for(|stop| *stop).await;
}

/// Writes requests and cancellations.
pub(super) async fn write(
    mut stdin: ChildStdin,
    mut outgoing: mpsc::Receiver<Outgoing>,
    table: Arc<Table>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut stopping_too = stopping.clone();
    // Lines that have waited in the queue, since the child did not read: a person may have stopped their calls meanwhile.
    let mut late = 0usize;
    loop {
        let (written, waited) = tokio::select! {
            biased;
            // Dropping standard input asks the process to end.
            () = told(&mut stopping) => return,
            () = table.cancellations.notified() => {
                let mut lines = Vec::new();
                for id in table.take_cancelled() {
                    lines.extend(shape::cancelled(id));
                    lines.push(b'\n');
                }
                waited(stdin.write_all(&lines)).await
            }
            next = outgoing.recv() => {
                let Some(Outgoing { id, line, caller }) = next else { return };
                if let Some(left) = late.checked_sub(1) {
                    late = left;
                    if let Some(CallOf { id, relay }) = &caller {
                        let may = relay.again().await;
                        late = outgoing.len();
                        if let Err(error) = may {
                            table.withdraw(*id, error);
                            continue;
                        }
                    }
                }
                if id.is_some_and(|id| !table.sending(id)) {
                    continue;
                }
                tokio::select! {
                    written = waited(stdin.write_all(&line)) => written,
                    () = told(&mut stopping_too) => return,
                }
            }
        };
        if waited {
            late = outgoing.len();
        }
        if written.is_err() {
            // Mostly the process has ended, and the reader knows better why. One that only closed its input is of no use.
            drop((outgoing, stdin));
            tokio::time::sleep(LAST_WORDS.saturating_mul(3)).await;
            table.close(&Fault::Gone { reason: "closed its input".to_owned(), sent: true });
            return;
        }
    }
}

/// What reads a process's output and waits for its end.
pub(super) struct Reader {
    pub(super) child: Child,
    pub(super) group: Arc<Group>,
    pub(super) table: Arc<Table>,
    pub(super) replies: mpsc::Sender<Outgoing>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) tail: Arc<Tail>,
    /// The task that reads standard error.
    pub(super) errors: tokio::task::JoinHandle<()>,
    pub(super) limits: Limits,
    pub(super) end: watch::Sender<bool>,
}

impl Reader {
    pub(super) async fn run(mut self, stdout: ChildStdout) {
        let mut lines = Lines::new(BufReader::with_capacity(CHUNK, stdout), self.limits.wire.bytes);
        let fault = self.read(&mut lines).await;
        let fault = match fault {
            Some(Fault::Stopped) => {
                self.table.close(&Fault::Stopped);
                self.wind_down().await;
                Fault::Stopped
            }
            Some(fault) => {
                self.group.finish();
                let _status = self.child.wait().await;
                fault
            }
            None => {
                let status = timeout(LAST_WORDS, self.child.wait()).await;
                self.group.finish();
                let how = match status {
                    Ok(Ok(status)) => ended(status),
                    _ => "closed its output".to_owned(),
                };
                let _status = self.child.wait().await;
                // What it said last is mostly the reason.
                let _late = timeout(LAST_WORDS, &mut self.errors).await;
                Fault::Gone { reason: format!("{how}{}", self.tail.last_words()), sent: true }
            }
        };
        self.group.finish();
        self.table.close(&fault);
        self.end.send_replace(true);
    }

    /// Reads until the end, which is no fault of its own.
    async fn read<R: AsyncBufRead + Unpin>(&mut self, lines: &mut Lines<R>) -> Option<Fault> {
        let mut stopping = self.stopping.clone();
        loop {
            let line = tokio::select! {
                biased;
                () = told(&mut stopping) => return Some(Fault::Stopped),
                line = lines.next() => line,
                // Its children may hold the output open.
                _ = self.child.wait() => break,
            };
            match line {
                Ok(Line::End) | Err(_) => return None,
                Ok(line) => {
                    if let Err(fault) = self.line(line, lines.text(), lines.ends()) {
                        return Some(fault);
                    }
                }
            }
        }
        // Its children may hold the output open.
        self.group.finish();
        timeout(LAST_WORDS, self.rest(lines)).await.ok().flatten()
    }

    async fn rest<R: AsyncBufRead + Unpin>(&self, lines: &mut Lines<R>) -> Option<Fault> {
        loop {
            match lines.next().await {
                Ok(Line::End) | Err(_) => return None,
                Ok(line) => {
                    if let Err(fault) = self.line(line, lines.text(), lines.ends()) {
                        return Some(fault);
                    }
                }
            }
        }
    }

    fn line(&self, line: Line, text: &[u8], ends: (&[u8], &[u8])) -> Result<(), Fault> {
        match line {
            Line::Text if text.iter().all(u8::is_ascii_whitespace) => Ok(()),
            Line::Text => match wire::parse_from_server(text, &self.limits.wire) {
                Err(error) => {
                    // It will not answer again.
                    self.table.answered_badly(wire::answered(text), &error);
                    self.table.garbage(&error)
                }
                Ok(message) => match self.table.receive(Channel::Shared, message)? {
                    Received::Reply(reply) => {
                        let mut line = Message::Response(reply).to_bytes();
                        line.push(b'\n');
                        // A server that asks without reading answers must not make the guard wait for it.
                        self.replies
                            .try_send(Outgoing { id: None, line, caller: None })
                            .or_else(|_| self.table.garbage(&"it asks without reading answers"))
                    }
                    _ => Ok(()),
                },
            },
            Line::TooLong => {
                let error = wire::WireError::TooLarge(self.limits.wire.bytes);
                self.table.answered_badly(wire::answered_at_length(ends), &error);
                self.table.garbage(&error)
            }
            Line::Endless => Err(Fault::CutOff("a line without end (limits.message-bytes)".to_owned())),
            Line::End => Ok(()),
        }
    }

    /// Its input is closed by now; then a request, then force.
    async fn wind_down(&mut self) {
        if timeout(self.limits.stop, self.child.wait()).await.is_ok() {
            return;
        }
        self.group.terminate();
        if timeout(self.limits.stop, self.child.wait()).await.is_ok() {
            return;
        }
        self.group.finish();
        let _status = self.child.wait().await;
    }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
