//! What people do to a running guard, whichever way they reach it. Each takes effect only once it is on record.

use ostrom_core::Digest;

use crate::flow::Event;
use crate::gateway::{Gateway, now};
use crate::pin::Kind;

/// Why a person's word had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unheard {
    /// It was answered, used up or has expired, or the agent has asked anew.
    #[error("this question does not wait any more: it was answered or has expired")]
    Gone,
    /// What was shown is not what is there.
    #[error("no such definition is held, or it has changed since it was shown")]
    Changed,
    /// The pins or the audit log.
    #[error("{0}")]
    Failed(String),
}

/// Why nothing is taken away.
pub(super) const NOT_PINNED: &str = "no definition of this name is pinned";

fn failed(error: impl ToString) -> Unheard {
    Unheard::Failed(error.to_string())
}

/// Records an intervention, which then has its effect, and waits until it is as safe as the mode promises.
pub(super) async fn record(gateway: &Gateway, event: Event) -> Result<(), Unheard> {
    written(gateway, event).await?;
    // What is stopped is in no list.
    gateway.lists_changed();
    Ok(())
}

/// The same without telling clients: which lists it changes the caller knows.
async fn written(gateway: &Gateway, event: Event) -> Result<(), Unheard> {
    let written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).map_err(failed)?;
    gateway.shared.settle(written).await.map_err(failed)
}

/// Answers a call that waits. `asked` is when the question was put that the person has seen, if the way tells: an answer to
/// an older one is none to this.
pub(super) async fn answer(
    gateway: &Gateway,
    request: Digest,
    asked: Option<u64>,
    approved: bool,
    by: &str,
) -> Result<(), Unheard> {
    let written = {
        let at = now();
        let mut state = gateway.shared.lock();
        let state = &mut *state;
        let waiting = state.approvals.get(&request, at).ok_or(Unheard::Gone)?;
        if asked.is_some_and(|asked| asked != waiting.at) {
            return Err(Unheard::Gone);
        }
        let event = Event::Answered { request, approved, by: by.to_owned(), at };
        let written = gateway.shared.record(state, &event, None).map_err(failed)?;
        state.approvals.answer(&request, approved, at);
        written
    };
    gateway.shared.settle(written).await.map_err(failed)
}

/// Which held definition a person means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) server: &'a str,
    /// `None`: the digest says it.
    pub(super) name: Option<&'a str>,
    pub(super) digest: Digest,
}

/// Approves a held definition.
pub(super) async fn pin(gateway: &Gateway, named: Named<'_>, by: &str) -> Result<(), Unheard> {
    let is_it = |held: &crate::gateway::Held| {
        *held.server == *named.server
            && named.name.is_none_or(|name| held.checked.name == name)
            && held.checked.digest == Some(named.digest)
    };
    let held = gateway.catalogue.held().into_iter().find(is_it).ok_or(Unheard::Changed)?;
    let (at, kind) = (now(), held.checked.kind);
    gateway.catalogue.approve(&held, by, at).map_err(Unheard::Failed)?;
    let what = format!("{kind} {}", held.checked.name);
    let event =
        Event::Pinned { server: held.server.clone(), what, digest: named.digest, by: by.to_owned(), at };
    if let Err(error) = written(gateway, event).await {
        // What is not on record is not in force.
        gateway.catalogue.disapprove(held).map_err(failed)?;
        return Err(error);
    }
    gateway.list_changed(kind);
    Ok(())
}

/// Takes a pin away.
pub(super) async fn unpin(
    gateway: &Gateway,
    server: &str,
    (kind, name): (Kind, &str),
    by: &str,
) -> Result<(), Unheard> {
    let mut pinned = gateway.catalogue.pinned(server).into_iter();
    let pinned = pinned.find(|one| one.kind == kind && one.name == name).ok_or_else(|| failed(NOT_PINNED))?;
    written(gateway, unpinned(server, kind, name, pinned.pin.digest, by)).await?;
    gateway.catalogue.unpin(server, kind, name).map_err(failed)?;
    gateway.list_changed(kind);
    Ok(())
}

/// The record of that.
pub(super) fn unpinned(server: &str, kind: Kind, name: &str, digest: Digest, by: &str) -> Event {
    let what = format!("{kind} {name}");
    Event::Unpinned { server: server.into(), what, digest, by: by.to_owned(), at: now() }
}
