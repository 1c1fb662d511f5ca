//! `next`: where a page ended. It says nothing but that, and nobody but this node can make one.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ostrom_core::{CollectionId, ObjectId, Timestamp};
use ostrom_store::Key;
use sha2::Sha256;

/// The key that authenticates cursors. It may change when the node starts: then old cursors are refused, and clients begin again.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Bytes of the authentication code that are kept.
const TAG: usize = 16;
/// Longest cursor that is looked at.
const LONGEST: usize = 600;

impl CursorKey {
    /// This key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A cursor behind the object with this key: for one reader and one collection.
    pub(super) fn seal(&self, key: &Key, who: &str) -> String {
        let mut payload = Vec::with_capacity(96);
        payload.extend_from_slice(&key.added.micros().to_be_bytes());
        payload.extend_from_slice(&key.version.micros().to_be_bytes());
        payload.extend_from_slice(key.id.as_str().as_bytes());
        let tag = self.tag(&payload, key.collection, who).finalize().into_bytes();
        payload.extend(tag.iter().take(TAG));
        BASE64URL_NOPAD.encode(&payload)
    }

    /// The key that a cursor stands for. `None` for what this node did not make for this reader and collection.
    pub(super) fn open(&self, cursor: &str, collection: CollectionId, who: &str) -> Option<Key> {
        if cursor.len() > LONGEST {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (payload, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        // In constant time.
        self.tag(payload, collection, who).verify_truncated_left(tag).ok()?;
        let (added, rest) = payload.split_first_chunk::<8>()?;
        let (version, id) = rest.split_first_chunk::<8>()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_micros(i64::from_be_bytes(*bytes)).ok();
        let id: ObjectId = std::str::from_utf8(id).ok()?.parse().ok()?;
        Some(Key { added: time(added)?, version: time(version)?, id, collection })
    }

    fn tag(&self, payload: &[u8], collection: CollectionId, who: &str) -> Hmac<Sha256> {
        // A key shorter than a block is one with zeros behind it.
        let mut block = [0; 64];
        block.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"ostrom-cursor/v1\n");
        mac.update(collection.uuid().as_bytes());
        mac.update(&(who.len() as u64).to_be_bytes());
        mac.update(who.as_bytes());
        mac.update(payload);
        mac
    }
}
