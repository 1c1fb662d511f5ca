//! What the node where an object comes from signed of it, so that whoever gets it from a third node need not take that node's word.
//!
//! ```text
//! ostrom-origin/v1
//! node NAME OF THE NODE WHERE IT COMES FROM
//! object ID
//! version VERSION IN MICROSECONDS
//! body SHA-256 OF THE BYTES
//! owner ORGANISATION THAT SHARED IT THERE
//! handling SHA-256 OF ITS HANDLING THERE, IN CANONICAL JSON
//!
//! — NAME SIGNATURE
//! ```
//!
//! Of a removal it signs the same with the first line `ostrom-removal/v1`, and without body, owner and handling.

use ostrom_core::handling::Policy;
use ostrom_core::{Digest, ObjectId, OrgId, Timestamp};
use ostrom_trust::SecretKey;
use ostrom_trust::log::Note;
use serde::{Deserialize, Serialize};

use super::PeerKey;

/// Longest note, in bytes.
const MAX_NOTE: usize = 4 << 10;

/// An object's origin, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The organisation that shared it there.
    pub owner: OrgId,
    /// What its marks said there. Nobody on the way may make it wider.
    pub own: Policy,
    /// The signed note.
    pub note: String,
}

/// Which version of which object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) id: &'a ObjectId,
    pub(super) version: Timestamp,
    pub(super) body: Digest,
}

impl Origin {
    /// Of an object of the node with this name and key.
    pub(super) fn sign(
        subject: Subject<'_>,
        owner: OrgId,
        own: &Policy,
        name: &str,
        key: &SecretKey,
    ) -> Option<Self> {
        let text = text(name, subject, owner, own)?;
        let note = Note::sign(&text, name, key).ok()?.to_string();
        Some(Self { owner, own: own.clone(), note })
    }

    /// Whether it is about this object, and names this node. That the node has signed it is [`Origin::is_signed`].
    pub(super) fn is_about(&self, name: &str, subject: Subject<'_>) -> bool {
        let Some(text) = text(name, subject, self.owner, &self.own) else { return false };
        self.note.len() <= MAX_NOTE && Note::parse(self.note.as_bytes()).is_ok_and(|note| note.text() == text)
    }

    /// Whether this key has signed it.
    pub(super) fn is_signed(&self, key: &PeerKey) -> bool {
        self.note.len() <= MAX_NOTE
            && Note::parse(self.note.as_bytes())
                .is_ok_and(|note| note.verify(std::slice::from_ref(key.log())).is_ok())
    }
}

/// What the node where something comes from signs when it is removed there.
pub(super) fn sign_removal(id: &ObjectId, version: Timestamp, name: &str, key: &SecretKey) -> Option<String> {
    Some(Note::sign(&removal(name, id, version), name, key).ok()?.to_string())
}

/// Whether the note says that the node of this name removed this. With a key: whether that key has signed it.
pub(super) fn is_removal(
    note: &str,
    name: &str,
    id: &ObjectId,
    version: Timestamp,
    key: Option<&PeerKey>,
) -> bool {
    if note.len() > MAX_NOTE {
        return false;
    }
    let Ok(note) = Note::parse(note.as_bytes()) else { return false };
    note.text() == removal(name, id, version)
        && key.is_none_or(|key| note.verify(std::slice::from_ref(key.log())).is_ok())
}

fn removal(name: &str, id: &ObjectId, version: Timestamp) -> String {
    format!("ostrom-removal/v1\nnode {name}\nobject {id}\nversion {}\n", version.micros())
}

fn text(name: &str, subject: Subject<'_>, owner: OrgId, own: &Policy) -> Option<String> {
    let Subject { id, version, body } = subject;
    let (version, own) = (version.micros(), ostrom_trust::digest_of(own).ok()?);
    Some(format!(
        "ostrom-origin/v1\nnode {name}\nobject {id}\nversion {version}\nbody {body}\nowner {owner}\nhandling {own}\n"
    ))
}
