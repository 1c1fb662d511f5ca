//! Pulling from peers, by itself and when somebody asks for it.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ostrom_core::{CollectionId, PeerId, Uuid};
use ostrom_exchange::federation::{PeerKey, PullError, Pulled};
use ostrom_store::{Collection, Peer, PeerState, Store};
use ostrom_trust::log::SignedCheckpoint;
use zeroize::Zeroizing;

use super::HttpTransport;
use crate::api::token_setting;
use crate::sign_in::secret;
use crate::{App, Clock, Failure, StartError};

/// The setting that keeps where objects of peers go.
const COLLECTION: &str = "federation-collection";
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(3600);

/// When each peer is asked again.
#[derive(Debug, Default)]
pub(crate) struct Pulls(std::sync::Mutex<HashMap<PeerId, (Instant, u32)>>);

impl Pulls {
    fn is_due(&self, peer: PeerId) -> bool {
        let pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.get(&peer).is_none_or(|(next, _)| Instant::now() >= *next)
    }

    fn done(&self, peer: PeerId, well: bool, every: Duration) {
        let mut pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures =
            if well { 0 } else { pulls.get(&peer).map_or(0, |(_, failures)| *failures).saturating_add(1) };
        let pause = every.saturating_mul(1 << failures.min(10)).min(LONGEST.max(every));
        pulls.insert(peer, (Instant::now() + pause, failures));
    }
}

/// The collection that objects of peers go to; nobody else writes to it.
pub(crate) async fn collection(
    store: &Store,
    clock: &Clock,
    origin: &str,
) -> Result<CollectionId, StartError> {
    let state = |error: ostrom_store::Error| StartError::State(error.to_string());
    if let Some(id) = store.setting(COLLECTION).await.map_err(state)? {
        return id.parse().map_err(|_| StartError::State(format!("the setting {COLLECTION} is not an id")));
    }
    // Of the node's name and nothing else, so that a node that is set up again has the same.
    let mut uuid = secret::hash(&format!("ostrom-peers-collection/v1\n{origin}"));
    let uuid = secret::versioned(uuid.first_chunk_mut::<16>().copied().unwrap_or_default());
    let id = CollectionId::new(Uuid::from_bytes(uuid));
    let now = clock.now();
    let new = Collection {
        id,
        alias: Some("peers".to_owned()),
        title: "From peers".to_owned(),
        description: "What this node pulled from other nodes.".to_owned(),
        may_read: None,
        may_write: None,
        handling: None,
        media_types: vec![ostrom_exchange::taxii::STIX_MEDIA_TYPE.to_owned()],
        created: now,
    };
    let kept = async {
        let mut writing = store.writing(now).await?;
        writing.put_collection(&new).await?;
        writing.set_setting(COLLECTION, Some(&id.to_string())).await?;
        writing.commit().await
    };
    kept.await.map_err(state)?;
    Ok(id)
}

/// Pulls from one peer now.
pub(crate) async fn pull_one(app: &App, peer: &Peer) -> Result<Pulled, PullError> {
    let token = app.store.setting(&token_setting(peer.id)).await?.unwrap_or_default();
    let transport = HttpTransport::new(app.peers().clone(), peer.url.clone(), Zeroizing::new(token));
    let pulled = app.puller.pull(peer.id, &transport, app.clock().now()).await?;
    if let Some(note) = &pulled.cosigned {
        cosigned(app, peer, note);
    }
    Ok(pulled)
}

/// Publishes a peer's cosignature of our checkpoint. It is a proof for others; that it is late or missing breaks nothing.
fn cosigned(app: &App, peer: &Peer, note: &str) {
    let sent = SignedCheckpoint::open(note.as_bytes(), app.logs.transparency.verifier());
    let name = peer.public_key.parse::<PeerKey>().map(|key| key.witness().name().to_owned());
    if let (Ok(sent), Ok(name)) = (sent, name) {
        let _published = crate::log::publish(app, &sent, &[name]);
    }
}

/// Pulls from a peer because somebody asks for it.
pub(crate) async fn pull(app: &App, id: PeerId) -> Result<Pulled, Failure> {
    let peer = app.store.peer(id).await?.ok_or(Failure::NotFound)?;
    let pulled = pull_one(app, &peer).await;
    app.pulls.done(id, pulled.is_ok(), app.config.pull_every);
    pulled.map_err(|error| match error {
        PullError::Store(error) => error.into(),
        PullError::NoPeer => Failure::NotFound,
        error => Failure::Conflict(error.to_string()),
    })
}

/// Pulls from every peer whose time has come.
pub(crate) async fn pull_due(app: &App) -> Result<(), String> {
    let peers = app.store.peers().await.map_err(|error| error.to_string())?;
    for peer in peers.iter().filter(|peer| peer.state == PeerState::Active && app.pulls.is_due(peer.id)) {
        // What goes wrong with one is kept with it, and the others go on.
        let pulled = pull_one(app, peer).await;
        app.pulls.done(peer.id, pulled.is_ok(), app.config.pull_every);
    }
    Ok(())
}
