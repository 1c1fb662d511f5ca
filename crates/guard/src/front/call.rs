//! A request that the handler works on, whoever waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Map, Value};

use super::{Caller, Handler};
use crate::relay::{FromServer, Question, Receiver, Relay};
use crate::wire::{Notification, Request, RpcError};

/// Bytes of a server's name for a question.
const MAX_NAME: usize = 64;

pub(super) type Outcome = Result<Map<String, Value>, RpcError>;

/// What a call comes up with next.
#[derive(Debug)]
pub(super) enum Event {
    Notification(Notification),
    Question(Question),
    Done(Outcome),
}

/// A call under way. It is worked on only while somebody polls it, and dropping it cancels it.
pub(super) struct Call {
    /// `None` once there is an outcome.
    work: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    outcome: Option<Outcome>,
    relay: Receiver<FromServer>,
    /// Questions that the client has been asked, or is about to be, under the names that it sees.
    pub(super) open: Vec<(String, Question)>,
    /// The number of the last question that was named by its number.
    asked: u64,
    /// How often the call was parked.
    pub(super) rounds: u32,
}

impl Call {
    pub(super) fn start<H: Handler>(handler: Arc<H>, caller: Arc<Caller>, request: Request) -> Self {
        let (relay, receiver) = Relay::new();
        let work = Box::pin(async move { handler.handle(caller, request, relay).await });
        Self { work: Some(work), outcome: None, relay: receiver, open: Vec::new(), asked: 0, rounds: 0 }
    }

    /// The name under which the client sees a question: its server's, if that is short, plain and not taken.
    pub(super) fn name(&mut self, wanted: Option<String>) -> String {
        let is_taken = |name: &str| self.open.iter().any(|(other, _)| other == name);
        let is_plain = |name: &String| {
            (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(name) = wanted.filter(is_plain).filter(|name| !is_taken(name)) {
            return name;
        }
        loop {
            self.asked = self.asked.saturating_add(1);
            let name = format!("question-{}", self.asked);
            if !is_taken(&name) {
                return name;
            }
        }
    }

    /// What comes next. Nothing is lost if the future is dropped.
    pub(super) fn next(&mut self) -> impl Future<Output = Event> {
        std::future::poll_fn(|cx| self.poll_next(cx))
    }

    /// Works until there is an outcome, and listens to nothing meanwhile.
    pub(super) fn finish(&mut self) -> impl Future<Output = ()> {
        std::future::poll_fn(|cx| {
            self.poll_work(cx);
            if self.is_finished() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.work.is_none()
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) {
        if let Some(work) = &mut self.work
            && let Poll::Ready(outcome) = work.as_mut().poll(cx)
        {
            self.work = None;
            self.outcome = Some(outcome);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        // The work first, then what it sent: so everything that was sent before the outcome goes out before it.
        self.poll_work(cx);
        loop {
            return match self.relay.poll_recv(cx) {
                Poll::Ready(Some(FromServer::Notification(notification))) => {
                    Poll::Ready(Event::Notification(notification))
                }
                Poll::Ready(Some(FromServer::Question(question))) => Poll::Ready(Event::Question(question)),
                Poll::Ready(Some(FromServer::Again(answer))) => {
                    // Not the client's to decide.
                    let _gone = answer.send(Ok(()));
                    continue;
                }
                Poll::Ready(None) | Poll::Pending => {
                    self.outcome.take().map_or(Poll::Pending, |outcome| Poll::Ready(Event::Done(outcome)))
                }
            };
        }
    }
}
