//! The side that pulls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ostrom_core::{CollectionId, Digest, OrgId, PeerId, Timestamp};
use ostrom_store::{Logged, NewObject, Outcome, Peer, PeerState, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, LogError, NoteError, SignedCheckpoint};
use serde::{Deserialize, Serialize};

use super::marks::Definitions;
use super::page::{PageError, SignedPage};
use super::take::{Local, Skipped, may_remove};
use super::{Page, PeerKey, Provenance, Request, Transport, TransportError};
use crate::commitment::{CommitmentError, Kind, Salt, commit, enter_removal};
use crate::stix::Limits;

/// The most pages of one pull: then others get their turn.
const MAX_PAGES: usize = 1_000;
/// How often everything is looked at again: what has become visible at the peer since (an embargo that ended, a wider mark) lies before the
/// cursor.
const SWEEP: i64 = 86_400;

/// Why a pull ended early. What was taken before stays, and the next pull goes on there.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is no such peer.
    #[error("there is no such peer")]
    NoPeer,
    /// It is paused or distrusted.
    #[error("the peer is {0:?}: an administrator must allow it again")]
    NotActive(PeerState),
    /// Its key is none.
    #[error("the peer's key is not one: {0}")]
    Key(NoteError),
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not to be believed. The peer is distrusted if it broke a promise.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The checkpoint kept here does not hold: the database was changed.
    #[error("the checkpoint of the peer that is kept here does not hold: {0}")]
    Kept(NoteError),
    /// The peer does not come forward.
    #[error("the peer says that there is more, and gives nothing")]
    NoProgress,
    /// The store.
    #[error(transparent)]
    Store(#[from] ostrom_store::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A commitment could not be made.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// A policy cannot be written.
    #[error("a policy cannot be written: {0}")]
    Policy(#[from] ostrom_trust::CanonicalError),
    /// A task of the runtime did not end well.
    #[error("the log's task was stopped")]
    Stopped,
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulled {
    /// Pages.
    pub pages: usize,
    /// Objects that were taken.
    pub taken: usize,
    /// Marking definitions among them.
    pub definitions: usize,
    /// Objects that were removed because the peer removed them.
    pub removed: usize,
    /// What was not taken, and why; known objects are not listed one by one.
    pub skipped: BTreeMap<Skipped, usize>,
    /// Whether the peer had no more.
    pub complete: bool,
    /// The latest checkpoint of our own log with the peer's cosignature, if it has given one that holds.
    pub cosigned: Option<String>,
}

/// What is kept of a pull.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// When the last look at everything began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    swept: Option<Timestamp>,
}

/// Pulls from peers into one collection.
pub struct Puller {
    store: Store,
    log: Arc<Log>,
    key: Arc<SecretKey>,
    collection: CollectionId,
    limits: Limits,
    /// One pull after another: what is decided on is what is written.
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Puller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Puller").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Puller {
    /// Pulls into `collection` of this store. `key` is the key of `log`.
    pub fn new(
        store: Store,
        log: Arc<Log>,
        key: Arc<SecretKey>,
        collection: CollectionId,
        limits: Limits,
    ) -> Self {
        Self { store, log, key, collection, limits, turn: tokio::sync::Mutex::new(()) }
    }

    fn name(&self) -> &str {
        self.log.verifier().name()
    }

    /// Takes what the peer has, page by page, each in one transaction with the place where the next begins. A pull that ends early, by an error or because
    /// its future was dropped, loses nothing: the next goes on.
    ///
    /// # Errors
    /// Why it ended early. A peer that broke a promise is distrusted from then on.
    pub async fn pull(
        &self,
        id: PeerId,
        transport: &impl Transport,
        now: Timestamp,
    ) -> Result<Pulled, PullError> {
        let _turn = self.turn.lock().await;
        let mut pulled = Pulled::default();
        let mut peer = self.store.peer(id).await?.ok_or(PullError::NoPeer)?;
        if peer.state != PeerState::Active {
            return Err(PullError::NotActive(peer.state));
        }
        let key: PeerKey = peer.public_key.parse().map_err(PullError::Key)?;
        let mut progress: Progress =
            peer.cursor.as_deref().and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default();
        // A time to come is of a clock that was ahead, and has been set right since.
        if progress.swept.is_none_or(|swept| swept > now || swept.plus_seconds(SWEEP) <= now) {
            progress = Progress { after: None, swept: Some(now) };
        }
        let mut again = true;
        while pulled.pages < MAX_PAGES && !pulled.complete {
            let before = progress.after.clone();
            match self.page(&mut peer, &key, &mut progress, transport, now, &mut pulled).await {
                Ok(()) if !pulled.complete && progress.after == before => {
                    return self.failed(peer, now, PullError::NoProgress).await;
                }
                // What was passed over for want of a mark's definition, which has come since, is looked at once more.
                Ok(())
                    if pulled.complete
                        && again
                        && pulled.definitions > 0
                        && pulled.skipped.contains_key(&Skipped::Marks) =>
                {
                    again = false;
                    pulled.complete = false;
                    progress.after = None;
                }
                Ok(()) => {}
                Err(error) => return self.failed(peer, now, error).await,
            }
        }
        Ok(pulled)
    }

    /// What an administrator said of the peer while it was pulled from stands: it may be paused now, or gone. Called by whoever writes.
    async fn still(&self, peer: &mut Peer) -> Result<(), PullError> {
        peer.state = self.store.peer(peer.id).await?.ok_or(PullError::NoPeer)?.state;
        Ok(())
    }

    /// Notes that it went wrong.
    async fn failed(&self, mut peer: Peer, now: Timestamp, error: PullError) -> Result<Pulled, PullError> {
        if matches!(error, PullError::Store(_)) {
            return Err(error);
        }
        if matches!(&error, PullError::Page(page) if page.is_distrust()) {
            peer.state = PeerState::Distrusted;
        }
        peer.tried = Some(now);
        peer.problem = Some(error.to_string());
        let mut writing = self.store.writing(now).await?;
        let distrusted = peer.state == PeerState::Distrusted;
        self.still(&mut peer).await?;
        if distrusted {
            peer.state = PeerState::Distrusted;
        }
        writing.put_peer(&peer).await?;
        writing.commit().await?;
        Err(error)
    }

    async fn page(
        &self,
        peer: &mut Peer,
        key: &PeerKey,
        progress: &mut Progress,
        transport: &impl Transport,
        now: Timestamp,
        pulled: &mut Pulled,
    ) -> Result<(), PullError> {
        let known = match &peer.checkpoint {
            Some(kept) => Some(SignedCheckpoint::open(kept.as_bytes(), key.log()).map_err(PullError::Kept)?),
            None => None,
        };
        let known = known.as_ref().map(SignedCheckpoint::checkpoint);
        let nonce = Salt::generate()?;
        let request = Request {
            from: self.name().to_owned(),
            after: progress.after.clone(),
            known: known.map_or(0, ostrom_trust::log::Checkpoint::size),
            nonce: data_encoding::HEXLOWER.encode(nonce.as_bytes()).chars().take(32).collect(),
        };
        let answer = transport.fetch(&request).await?;
        let signed = SignedPage::open(&answer, key, &request, known)?;
        let page = signed.page();

        let (objects, mut skipped) = self.choose(peer, key, &signed).await?;
        let removals = self.removals(key, page, &mut skipped).await?;
        let (objects, removals) = self.commit(objects, removals).await?;
        let definitions = objects.iter().filter(|object| object.id.kind() == "marking-definition").count();

        // The checkpoint is the continuation of all that we knew of this log: as its witness, we say so.
        let mut checkpoint = signed.checkpoint().clone();
        let seconds = u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or(0);
        checkpoint.cosign(self.name(), &self.key, seconds).map_err(PullError::Key)?;

        let next = Progress { after: Some(page.next.clone()), swept: progress.swept };
        let mut after = peer.clone();
        after.cursor = serde_json::to_string(&next).ok();
        after.checkpoint = Some(checkpoint.to_string());
        (after.tried, after.succeeded, after.problem) = (Some(now), Some(now), None);
        let mut writing = self.store.writing(now).await?;
        self.still(&mut after).await?;
        let mut taken = 0;
        if !objects.is_empty() {
            for outcome in writing.put(objects).await? {
                match outcome {
                    Outcome::Taken { .. } => taken += 1,
                    Outcome::Same { .. } => count(&mut skipped, Skipped::Known),
                    Outcome::Conflict => count(&mut skipped, Skipped::Conflict),
                }
            }
        }
        let mut removed = 0;
        for removal in &removals {
            let why = removal.why.as_deref();
            let version = Some(removal.version);
            let logged = removal.logged.as_ref();
            removed += writing.remove_logged(removal.collection, &removal.id, version, why, logged).await?;
        }
        writing.put_peer(&after).await?;
        writing.commit().await?;

        *peer = after;
        *progress = next;
        pulled.pages += 1;
        pulled.taken += taken;
        pulled.definitions += definitions;
        pulled.removed += usize::try_from(removed).unwrap_or(usize::MAX);
        for (why, number) in skipped {
            *pulled.skipped.entry(why).or_default() += number;
        }
        pulled.complete = !page.more;
        pulled.cosigned =
            page.cosigned.as_deref().filter(|note| self.is_cosigned(note, key)).map(str::to_owned);
        Ok(())
    }

    /// What is taken of a page, with the policy that holds here.
    async fn choose(
        &self,
        peer: &Peer,
        key: &PeerKey,
        signed: &SignedPage,
    ) -> Result<(Vec<NewObject>, BTreeMap<Skipped, usize>), PullError> {
        let custody = self.store.custody();
        let (peers, members) = (self.peers().await?, self.members().await?);
        let definitions = Definitions::read(&custody, signed.bodies(), &self.limits).await?;
        let mut skipped = BTreeMap::new();
        let mut chosen = Vec::new();
        let mut seen = BTreeSet::new();
        for (shared, body) in signed.page().objects.iter().zip(signed.bodies()) {
            let kept = custody.versions(&shared.id).await?;
            let knows = !seen.insert((&shared.id, shared.version))
                || custody.knows(&shared.id, shared.version).await?;
            let local = Local {
                name: self.name(),
                peer: key.name(),
                kept: &kept,
                knows,
                peers: &peers,
                members: &members,
            };
            let took = local.take(shared, body, &self.limits).and_then(|taken| {
                let own = taken.narrowed(shared, &definitions, peer.limits.as_ref())?;
                Ok((taken, own))
            });
            let (taken, own) = match took {
                Ok(took) => took,
                Err(why) => {
                    count(&mut skipped, why);
                    continue;
                }
            };
            let facts = taken.object.facts();
            chosen.push(NewObject {
                collection: self.collection,
                id: shared.id.clone(),
                // Also for what has no version of its own: so it is the same one on every node.
                version: Some(shared.version),
                spec_version: facts.spec_version.name().to_owned(),
                own,
                references: facts.references.iter().cloned().collect(),
                shared: crate::service::is_shared(&taken.object),
                owner: taken.speaker.organisation(taken.owner),
                person: None,
                peer: Some(peer.id),
                body: body.clone(),
                title: facts.title.clone(),
                text: facts.text.clone(),
                salt: None,
                leaf: None,
                aside: Some(Provenance { path: shared.path.clone(), signed: shared.origin.clone() }.aside()),
            });
        }
        Ok((chosen, skipped))
    }

    /// The peers by their names, with the members that they are.
    async fn peers(&self) -> Result<BTreeMap<String, (PeerKey, Option<OrgId>)>, PullError> {
        let peers = self.store.peers().await?.into_iter().filter_map(|peer| {
            let key: PeerKey = peer.public_key.parse().ok()?;
            // One that broke a promise speaks for nobody until somebody has looked.
            let organisation = peer.organisation.filter(|_| peer.state != PeerState::Distrusted);
            Some((key.name().to_owned(), (key, organisation)))
        });
        Ok(peers.collect())
    }

    /// The members of this node, those that are not active any more too.
    async fn members(&self) -> Result<BTreeSet<OrgId>, PullError> {
        Ok(self.store.organisations().await?.into_iter().map(|organisation| organisation.id).collect())
    }

    /// Enters the commitments to what is taken and removed into our log, durably.
    async fn commit(
        &self,
        mut objects: Vec<NewObject>,
        mut removals: Vec<Removal>,
    ) -> Result<(Vec<NewObject>, Vec<Removal>), PullError> {
        if objects.is_empty() && removals.is_empty() {
            return Ok((objects, removals));
        }
        let log = Arc::clone(&self.log);
        let enter = move || {
            for object in &mut objects {
                let salt = Salt::generate()?;
                let parts = [Digest::of(&object.body), ostrom_trust::digest_of(&object.own)?];
                object.leaf = Some(log.append(commit(Kind::Object, &salt, &parts).as_bytes())?);
                object.salt = Some(salt.as_bytes().to_vec());
            }
            for removal in &mut removals {
                let Removal { id, version, why, .. } = &*removal;
                let mut logged = enter_removal(&log, id, *version, why.as_deref())?;
                logged.origin = Some(removal.origin.clone());
                removal.logged = Some(logged);
            }
            log.sync()?;
            Ok::<_, PullError>((objects, removals))
        };
        tokio::task::spawn_blocking(enter).await.map_err(|_| PullError::Stopped)?
    }

    /// What is removed here because the peer removed it, and may.
    async fn removals(
        &self,
        key: &PeerKey,
        page: &Page,
        skipped: &mut BTreeMap<Skipped, usize>,
    ) -> Result<Vec<Removal>, PullError> {
        let custody = self.store.custody();
        let mut removals = Vec::new();
        let peers = self.peers().await?;
        for tombstone in &page.tombstones {
            let kept = custody.versions(&tombstone.id).await?;
            for version in kept.iter().filter(|kept| kept.version == tombstone.version) {
                match may_remove(version, key.name(), tombstone, &peers) {
                    Ok(origin) => removals.push(Removal {
                        collection: version.collection,
                        id: version.id.clone(),
                        version: version.version,
                        origin,
                        why: tombstone.why.as_ref().map(|why| why.chars().take(500).collect()),
                        logged: None,
                    }),
                    Err(why) => count(skipped, why),
                }
            }
        }
        Ok(removals)
    }

    /// Whether the note is a checkpoint of our own log that the peer has cosigned.
    fn is_cosigned(&self, note: &str, key: &PeerKey) -> bool {
        SignedCheckpoint::open(note.as_bytes(), self.log.verifier())
            .is_ok_and(|checkpoint| checkpoint.cosigned(std::slice::from_ref(key.witness())).is_ok())
    }
}

/// A version that is removed here.
struct Removal {
    collection: CollectionId,
    id: ostrom_core::ObjectId,
    version: Timestamp,
    why: Option<String>,
    /// What the node where it comes from signed of its removal; empty: nothing.
    origin: String,
    logged: Option<Logged>,
}

fn count(skipped: &mut BTreeMap<Skipped, usize>, why: Skipped) {
    let number = skipped.entry(why).or_default();
    *number = number.saturating_add(1);
}
