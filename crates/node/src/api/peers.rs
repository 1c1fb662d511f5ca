//! Other nodes that this one pulls from.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::handling::Policy;
use ostrom_core::{OrgId, PeerId, Timestamp, Uuid};
use ostrom_exchange::federation::PeerKey;
use ostrom_store::{Peer, PeerState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::administrator;
use crate::note::{self, By};
use crate::sign_in::{name, secret};
use crate::web::{Json, Named};
use crate::who::Actor;
use crate::{App, Failure};

/// A peer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeerView {
    /// Its id here.
    #[schema(value_type = String, format = "uuid")]
    id: PeerId,
    /// Where it is.
    url: String,
    /// What people call it.
    name: String,
    /// The key that it signs with.
    public_key: String,
    /// How it goes: `active`, `paused` or `distrusted`.
    #[schema(value_type = String)]
    state: PeerState,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    tried: Option<Timestamp>,
    /// When that succeeded last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    succeeded: Option<Timestamp>,
    /// What went wrong the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What an administrator says of a peer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerForm {
    /// Where it is: `https://node.example`.
    pub(crate) url: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// The key that it signs with, as its `/federation/v1/identity` says; compare it with what its people tell you.
    pub(crate) public_key: String,
    /// The token that the peer gave this node (scope `federate`).
    pub(crate) token: String,
    /// The member of this node that the peer is, if it is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) organisation: Option<OrgId>,
    /// What is taken from it is at least as strict as this policy.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(crate) limits: Option<Policy>,
}

pub(crate) fn view(peer: Peer) -> PeerView {
    let Peer { id, url, name, public_key, state, tried, succeeded, problem, .. } = peer;
    PeerView { id, url, name, public_key, state, tried, succeeded, problem }
}

/// All peers.
#[utoipa::path(get, path = "/api/v1/peers", tag = "federation", responses((status = 200, body = Vec<PeerView>)))]
pub(super) async fn peers(State(app): State<App>, actor: Actor) -> Result<Answer<Vec<PeerView>>, Failure> {
    administrator(&actor)?;
    Ok(Answer(app.store.peers().await?.into_iter().map(view).collect()))
}

/// One peer.
#[utoipa::path(get, path = "/api/v1/peers/{id}", tag = "federation", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = PeerView)))]
pub(super) async fn peer(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PeerId>,
) -> Result<Answer<PeerView>, Failure> {
    administrator(&actor)?;
    app.store.peer(id).await?.map(view).map(Answer).ok_or(Failure::NotFound)
}

/// A new peer, from which this node pulls from now on.
#[utoipa::path(post, path = "/api/v1/peers", tag = "federation", request_body = PeerForm,
    responses((status = 201, body = PeerView)))]
pub(super) async fn new_peer(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<PeerForm>,
) -> Result<(StatusCode, Answer<PeerView>), Failure> {
    administrator(&actor)?;
    Ok((StatusCode::CREATED, Answer(add(&app, By::Actor(&actor), form).await?)))
}

/// Adds a peer, whoever may say so.
pub(crate) async fn add(app: &App, by: By<'_>, form: PeerForm) -> Result<PeerView, Failure> {
    let wrong = |why: String| Failure::Unprocessable(why);
    let base: crate::BaseUrl =
        form.url.parse().map_err(|error: crate::base::BaseUrlError| wrong(error.to_string()))?;
    app.peers().check(&base.origin()).map_err(|error| wrong(error.to_string()))?;
    if base == app.base {
        return Err(wrong("this is this node itself".to_owned()));
    }
    let token = Zeroizing::new(form.token);
    if token.len() > 512 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("the token is what the peer gave you: ost_ and 43 characters".to_owned()));
    }
    let key: PeerKey =
        form.public_key.parse().map_err(|error: ostrom_trust::log::NoteError| wrong(error.to_string()))?;
    let now = app.clock().now();
    let peer = Peer {
        id: PeerId::new(Uuid::from_bytes(secret::uuid()?)),
        url: base.origin(),
        name: name(&form.name)?,
        public_key: key.to_string(),
        organisation: form.organisation,
        limits: form.limits,
        cursor: None,
        checkpoint: None,
        state: PeerState::Active,
        tried: None,
        succeeded: None,
        problem: None,
        created: now,
    };
    let mut writing = app.store.writing(now).await?;
    writing.put_peer(&peer).await?;
    writing.set_setting(&token_setting(peer.id), Some(&token)).await?;
    let what = format!("peer {}: {} at {}, key {}", peer.id, peer.name, peer.url, peer.public_key);
    note::administration(app, by, peer.organisation, what).await?;
    writing.commit().await?;
    Ok(view(peer))
}

/// The setting that keeps the token for a peer.
pub(crate) fn token_setting(id: PeerId) -> String {
    format!("peer-token-{id}")
}

/// Forgets a peer. What came from it stays.
#[utoipa::path(delete, path = "/api/v1/peers/{id}", tag = "federation", params(("id" = String, Path, format = "uuid")),
    responses((status = 204)))]
pub(super) async fn remove_peer(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PeerId>,
) -> Result<StatusCode, Failure> {
    administrator(&actor)?;
    forget(&app, By::Actor(&actor), id).await.map(|()| StatusCode::NO_CONTENT)
}

/// Forgets a peer, whoever may say so.
pub(crate) async fn forget(app: &App, by: By<'_>, id: PeerId) -> Result<(), Failure> {
    let mut writing = app.store.writing(app.clock().now()).await?;
    if !writing.remove_peer(id).await? {
        return Err(Failure::NotFound);
    }
    writing.set_setting(&token_setting(id), None).await?;
    note::administration(app, by, None, format!("peer {id} removed")).await?;
    writing.commit().await?;
    Ok(())
}

/// What a pull did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PulledView {
    /// Objects that were taken.
    taken: usize,
    /// Objects that were removed because the peer removed them.
    removed: usize,
    /// Objects that were not taken.
    skipped: usize,
    /// Whether the peer had no more.
    complete: bool,
}

/// Pulls from a peer now.
#[utoipa::path(post, path = "/api/v1/peers/{id}/pull", tag = "federation", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = PulledView)))]
pub(super) async fn pull(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PeerId>,
) -> Result<Answer<PulledView>, Failure> {
    administrator(&actor)?;
    note::administration(&app, &actor, None, format!("peer {id}: pulled from now")).await?;
    let pulled = crate::federation::pull(&app, id).await?;
    let skipped = pulled.skipped.values().sum();
    Ok(Answer(PulledView {
        taken: pulled.taken,
        removed: pulled.removed,
        skipped,
        complete: pulled.complete,
    }))
}

/// Whether a peer is pulled from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateForm {
    /// Whether it is pulled from. Allowing one that is distrusted says that somebody has looked.
    active: bool,
}

/// Pauses a peer, or allows it again.
#[utoipa::path(put, path = "/api/v1/peers/{id}/state", tag = "federation", params(("id" = String, Path, format = "uuid")),
    request_body = StateForm, responses((status = 200, body = PeerView)))]
pub(super) async fn state(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PeerId>,
    Json(form): Json<StateForm>,
) -> Result<Answer<PeerView>, Failure> {
    administrator(&actor)?;
    set_state(&app, By::Actor(&actor), id, form.active).await.map(Answer)
}

/// Pauses a peer, or allows it again, whoever may say so.
pub(crate) async fn set_state(app: &App, by: By<'_>, id: PeerId, active: bool) -> Result<PeerView, Failure> {
    let mut peer = app.store.peer(id).await?.ok_or(Failure::NotFound)?;
    peer.state = if active { PeerState::Active } else { PeerState::Paused };
    let mut writing = app.store.writing(app.clock().now()).await?;
    writing.put_peer(&peer).await?;
    let what = format!("peer {id}: {}", if active { "active" } else { "paused" });
    note::administration(app, by, peer.organisation, what).await?;
    writing.commit().await?;
    Ok(view(peer))
}
