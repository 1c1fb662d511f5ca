//! The leak test suite: does a server's answer to somebody depend on what is hidden from that somebody?
//!
//! A [`World`] is drawn from a number: members, trust groups, collections, marks, embargoes, relations, versions. For each [`Actor`] the
//! [`World::hidden`] versions are found by a model of the rules that knows nothing of the store. A server over the whole world and one over
//! the world without them must then give the same bytes to every [`Question`].
//!
//! Writing is asked, too: [`World::posts`] are what somebody sends to find out what is hidden (ids that are taken, ids that are guessed, references to what cannot be
//! seen). After them all answers must still be the same, for the writer and for somebody unknown.
//!
//! Fill two stores with [`World::fill`], put servers over them, and give both to [`compare`]. [`Mutant`] spoils a server in ways that the suite
//! must notice.
//!
//! For servers that are not ours, [`marked`] does with less.

pub mod marked;
mod model;
mod mutant;
mod post;
mod question;
mod random;
mod world;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;

use ostrom_core::{Timestamp, Uuid};

use crate::service::Actor;
use crate::taxii::{Answer, MEDIA_TYPE, Method, Request, Taxii};
pub use model::Place;
pub use mutant::{Mistake, Mutant};
pub use post::Post;
pub use question::Question;
pub use world::{Size, World};

/// What somebody was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// The status.
    pub status: u16,
    /// The headers that depend on content, in a fixed order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

/// A server that can be asked.
pub trait Target: Sync {
    /// Asks it something for somebody, at the world's time.
    fn ask(&self, actor: &Actor, question: &Question, now: Timestamp) -> impl Future<Output = Seen> + Send;
}

/// A server that takes things, and calls the status of what it takes after [`Post::id`].
pub trait Taking: Target {
    /// Sends it something.
    fn post(&self, actor: &Actor, post: &Post, now: Timestamp) -> impl Future<Output = Seen> + Send;
}

impl From<Answer> for Seen {
    fn from(answer: Answer) -> Self {
        let headers = answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { status: answer.status, headers, body: answer.body }
    }
}

impl Target for Taxii {
    async fn ask(&self, actor: &Actor, question: &Question, now: Timestamp) -> Seen {
        let request = Request::get(&question.path, &question.query);
        self.answer(actor, &request, now, Uuid::nil()).await.into()
    }
}

impl Taking for Taxii {
    async fn post(&self, actor: &Actor, post: &Post, now: Timestamp) -> Seen {
        let request = Request {
            method: Method::Post,
            content_type: Some(MEDIA_TYPE),
            body: &post.body,
            ..Request::get(&post.path, "")
        };
        self.answer(actor, &request, now, post.id).await.into()
    }
}

/// A question that was answered in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Which.
    pub question: Question,
    /// The answer in the whole world.
    pub whole: Seen,
    /// The answer in the world without what is hidden.
    pub without: Seen,
}

/// Posts everything to both servers for one writer, and then asks both everything, for the writer and for somebody who is not signed in. Returns the first answer that
/// differs.
pub async fn compare_writes(
    world: &World,
    writer: &Actor,
    whole: &impl Taking,
    without: &impl Taking,
    now: Timestamp,
) -> Result<usize, Box<Leak>> {
    let mut asked = 0;
    for (second, post) in (1..).zip(world.posts(writer)) {
        let now = now.plus_seconds(second);
        let (left, right) = (whole.post(writer, &post, now).await, without.post(writer, &post, now).await);
        asked += 1;
        if left != right {
            let question = Question::new(post.path, String::from_utf8_lossy(&post.body));
            return Err(Box::new(Leak { question, whole: left, without: right }));
        }
    }
    let later = now.plus_seconds(10_000);
    for question in world.statuses(writer) {
        let (left, right) =
            (whole.ask(writer, &question, later).await, without.ask(writer, &question, later).await);
        asked += 1;
        if left != right {
            return Err(Box::new(Leak { question, whole: left, without: right }));
        }
    }
    asked += compare(world, writer, whole, without, later).await?;
    asked += compare(world, &Actor::nobody(true), whole, without, later).await?;
    Ok(asked)
}

/// Asks both servers everything for one actor, and follows every page to its end. Returns the first question whose answers differ.
pub async fn compare(
    world: &World,
    actor: &Actor,
    whole: &impl Target,
    without: &impl Target,
    now: Timestamp,
) -> Result<usize, Box<Leak>> {
    let mut asked = 0;
    for first in world.questions() {
        let mut question = Some(first);
        // Every page shows something, so there are no more pages than versions.
        for _ in 0..=world.len().saturating_mul(6) {
            let Some(this) = question.take() else { break };
            let (left, right) = (whole.ask(actor, &this, now).await, without.ask(actor, &this, now).await);
            asked += 1;
            if left != right {
                return Err(Box::new(Leak { question: this, whole: left, without: right }));
            }
            question = this.next_page(&left.body);
        }
    }
    Ok(asked)
}
