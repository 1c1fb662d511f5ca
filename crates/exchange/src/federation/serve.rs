//! The side that is pulled from.

use std::sync::Arc;

use data_encoding::BASE64;
use ostrom_store::{Key, Object, Reading, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, LogError, SignedCheckpoint, Tiles};
use serde::{Deserialize, Serialize};

use super::origin::{Origin, Subject, sign_removal};
use super::page::{PageError, SignedPage};
use super::{MAX_PATH, MAX_ROWS, Page, Provenance, Request, SharedObject, Tombstone};
use crate::commitment::Salt;

/// A page is closed when its objects, as they are written, have this many bytes. With one more of the largest it is still a page.
const ENOUGH: usize = 4 << 20;
/// So many objects are in memory at once.
const BATCH: usize = 32;

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The request is not one, or its place is none of ours.
    #[error("not a request for changes: ask again without `after`")]
    Request,
    /// The puller knows more of our log than there is: this node was set back, and its peers see it.
    #[error(
        "the peer knows {known} entries of our log, and it has {size}: this node's log was lost or set back"
    )]
    LogIsShorter {
        /// What the peer knows.
        known: u64,
        /// What there is.
        size: u64,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] ostrom_store::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A task of the runtime did not end well.
    #[error("the log's task was stopped")]
    Stopped,
}

/// Makes pages for peers.
#[derive(Clone)]
pub struct Server {
    store: Store,
    log: Arc<Log>,
    key: Arc<SecretKey>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.log.verifier().name()).finish_non_exhaustive()
    }
}

/// Where a page ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removals: Option<Place>,
}

/// The key of the last object shown: nothing in it is of an object that was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place(
    ostrom_core::Timestamp,
    ostrom_core::ObjectId,
    ostrom_core::Timestamp,
    ostrom_core::CollectionId,
);

impl From<&Key> for Place {
    fn from(key: &Key) -> Self {
        Self(key.added, key.id.clone(), key.version, key.collection)
    }
}

impl From<Place> for Key {
    fn from(Place(added, id, version, collection): Place) -> Self {
        Self { added, id, version, collection }
    }
}

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self, ServeError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let bytes =
            data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ServeError::Request)?;
        serde_json::from_slice(&bytes).map_err(|_| ServeError::Request)
    }

    fn write(&self) -> Result<String, ServeError> {
        let bytes = serde_json::to_vec(self).map_err(|_| ServeError::Request)?;
        Ok(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }
}

impl Server {
    /// Serves what is in this store. `key` is the key of `log`, which signs pages too.
    pub fn new(store: Store, log: Arc<Log>, key: Arc<SecretKey>) -> Self {
        Self { store, log, key }
    }

    /// The page that answers a request: what the reader of `reading`, the peer's organisation, may see.
    ///
    /// Objects and removals that have no commitment in the log are not served: the peer could not check them.
    ///
    /// # Errors
    /// If the request is none, the store or the log fails, or the peer knows more of our log than there is.
    pub async fn serve(&self, reading: &Reading, request: &Request) -> Result<Vec<u8>, ServeError> {
        if !request.is_sound() {
            return Err(ServeError::Request);
        }
        let mut cursor = Cursor::read(request.after.as_deref())?;
        let (objects, more_objects) = self.objects(reading, &mut cursor).await?;
        let (tombstones, more_tombstones) = self.removals(reading, &mut cursor).await?;
        let cosigned = self.cosigned(reading, &request.from).await?;
        let next = cursor.write()?;
        let (log, key, request) = (Arc::clone(&self.log), Arc::clone(&self.key), request.clone());
        let build = move || {
            let leaves = objects.iter().map(|object| object.leaf).chain(tombstones.iter().map(|t| t.leaf));
            let top = leaves.map(|leaf| leaf.saturating_add(1)).max().unwrap_or(0);
            let checkpoint = checkpoint(&log, top.max(request.known))?;
            let mut tiles = Tiles::new(log.folder(), &checkpoint);
            let (_, consistency) = tiles.consistency_proof(request.known)?;
            let mut proven = Vec::with_capacity(objects.len());
            for object in objects {
                let proof = tiles.inclusion_proof(object.leaf)?;
                proven.push(SharedObject { proof, ..object });
            }
            let mut removed = Vec::with_capacity(tombstones.len());
            for tombstone in tombstones {
                let proof = tiles.inclusion_proof(tombstone.leaf)?;
                removed.push(Tombstone { proof, ..tombstone });
            }
            let page = Page {
                next,
                more: more_objects || more_tombstones,
                checkpoint: checkpoint.to_string(),
                consistency,
                objects: proven,
                tombstones: removed,
                cosigned,
            };
            Ok(SignedPage::sign(&page, log.verifier().name(), &key, &request)?)
        };
        tokio::task::spawn_blocking(build).await.map_err(|_| ServeError::Stopped)?
    }

    async fn objects(
        &self,
        reading: &Reading,
        cursor: &mut Cursor,
    ) -> Result<(Vec<SharedObject>, bool), ServeError> {
        let (mut objects, mut bytes) = (Vec::new(), 0_usize);
        loop {
            let after = cursor.objects.clone().map(Key::from);
            let page = reading.changes(after.as_ref(), BATCH).await?;
            let more = page.more();
            for object in page.rows {
                if bytes >= ENOUGH || objects.len() >= MAX_ROWS {
                    return Ok((objects, true));
                }
                cursor.objects = Some(Place::from(&object.head.key));
                if let Some(shared) = self.share(reading, object).await? {
                    let written = serde_json::to_vec(&shared).map_or(0, |written| written.len());
                    bytes = bytes.saturating_add(written);
                    objects.push(shared);
                }
            }
            if !more {
                return Ok((objects, false));
            }
        }
    }

    /// An object as it travels, still without its proof. `None` if it cannot be shared.
    async fn share(&self, reading: &Reading, object: Object) -> Result<Option<SharedObject>, ServeError> {
        let Object { head, body, own } = object;
        let salt = head.salt.and_then(|salt| <[u8; 32]>::try_from(salt).ok());
        let (Some(salt), Some(leaf)) = (salt, head.leaf) else { return Ok(None) };
        let Some((effective, _)) = reading.explain(&head.key.id, Some(head.key.version)).await? else {
            return Ok(None);
        };
        let name = self.log.verifier().name();
        let (mut path, origin) = match Provenance::of(head.aside.as_deref()) {
            Some(from) => (from.path, from.signed),
            None => {
                let body = head.digest;
                let subject = Subject { id: &head.key.id, version: head.key.version, body };
                (Vec::new(), Origin::sign(subject, head.owner, &own, name, &self.key))
            }
        };
        path.push(name.to_owned());
        if path.len() > MAX_PATH {
            return Ok(None);
        }
        Ok(Some(SharedObject {
            id: head.key.id,
            version: head.key.version,
            spec_version: head.spec_version,
            body: BASE64.encode(&body),
            policy: effective.and(&own),
            own,
            owner: head.owner,
            path,
            origin,
            salt: Salt::from_bytes(salt),
            leaf,
            proof: Vec::new(),
        }))
    }

    async fn removals(
        &self,
        reading: &Reading,
        cursor: &mut Cursor,
    ) -> Result<(Vec<Tombstone>, bool), ServeError> {
        let after = cursor.removals.clone().map(Key::from);
        let page = reading.removals(after.as_ref(), MAX_ROWS).await?;
        let more = page.more();
        if let Some(last) = page.rows.last() {
            cursor.removals = Some(Place::from(&last.key));
        }
        let name = self.log.verifier().name();
        // What has no commitment in the log is not served: the peer could not check it.
        let tombstone = |removal: ostrom_store::Removal| {
            let logged = removal.logged?;
            let (id, version) = (removal.key.id, removal.key.version);
            let origin = match logged.origin {
                Some(note) => Some(note).filter(|note| !note.is_empty()),
                None => sign_removal(&id, version, name, &self.key),
            };
            Some(Tombstone {
                id,
                version,
                removed: removal.key.added,
                why: removal.why,
                origin,
                salt: Salt::from_bytes(logged.salt.try_into().ok()?),
                leaf: logged.leaf,
                proof: Vec::new(),
            })
        };
        Ok((page.rows.into_iter().filter_map(tombstone).collect(), more))
    }

    /// The checkpoint of the asking node's own log that we cosigned when we pulled from it.
    async fn cosigned(&self, reading: &Reading, from: &str) -> Result<Option<String>, ServeError> {
        let organisation = reading.reader().organisation;
        let known = self.store.peers().await?.into_iter().find(|peer| {
            let key: Option<super::PeerKey> = peer.public_key.parse().ok();
            key.is_some_and(|key| key.name() == from)
                && organisation.is_some()
                && peer.organisation == organisation
        });
        Ok(known.and_then(|peer| peer.checkpoint))
    }
}

/// A checkpoint over at least so many entries.
fn checkpoint(log: &Log, entries: u64) -> Result<SignedCheckpoint, ServeError> {
    let covers = |checkpoint: &SignedCheckpoint| checkpoint.checkpoint().size() >= entries;
    let checkpoint = match log.latest().filter(covers) {
        Some(latest) => latest,
        None => log.checkpoint()?,
    };
    let size = checkpoint.checkpoint().size();
    if size < entries {
        return Err(ServeError::LogIsShorter { known: entries, size });
    }
    Ok(checkpoint)
}
