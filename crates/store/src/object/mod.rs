//! Shared things: bytes with a few indexed facts.

mod check;
mod explain;
mod filter;
mod given;
pub(crate) mod line;
mod page;
mod put;
mod read;
mod recompute;
mod remove;
mod renew;
mod search;
mod sparse;
mod work;

use bytes::Bytes;
use ostrom_core::handling::Policy;
use ostrom_core::{CollectionId, Digest, ObjectId, OrgId, PeerId, PersonId, Timestamp};

pub use check::CheckReport;
pub use filter::{Filter, Versions};
pub(crate) use page::page_of_all;
pub(crate) use read::digest;

/// The most bytes of one object's body.
pub const MAX_BODY: usize = 8 << 20;
/// The most objects that one refers to directly.
pub const MAX_REFERENCES: usize = 4096;
/// The most objects that one refers to, directly or not; beyond, nobody may read it.
pub const MAX_CLOSURE: usize = 4096;
/// The most objects of one organisation that are looked at again because one that they refer to, directly or not, has changed.
pub const MAX_ANCESTORS: usize = 65_536;
/// The most words of one object that search knows.
pub const MAX_WORDS: usize = 128;

/// An object to keep.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// The collection it goes to.
    pub collection: CollectionId,
    /// Its id. The kind is in it.
    pub id: ObjectId,
    /// Its version, to the microsecond. `None` for what has none of its own: it gets the time of arrival, and if the last
    /// version in the collection has the same bytes, it is that one.
    pub version: Option<Timestamp>,
    /// The version of STIX that it is written in, such as `2.1`: at most 16 visible ASCII characters.
    pub spec_version: String,
    /// What its own marks say (or, without any, the collection's default handling). What it refers to is added here.
    pub own: Policy,
    /// What it refers to and is as strict as; repetitions do no harm. At most [`MAX_REFERENCES`].
    pub references: Vec<ObjectId>,
    /// Whether anybody may share it, each for itself, since its id follows from what it is (a cyber-observable).
    pub shared: bool,
    /// The organisation that put it here.
    pub owner: OrgId,
    /// The person who did.
    pub person: Option<PersonId>,
    /// The peer that it came from.
    pub peer: Option<PeerId>,
    /// The bytes as they came: UTF-8 without NUL, as all JSON is. At most [`MAX_BODY`].
    pub body: Vec<u8>,
    /// What people call it; for lists, and search looks at it.
    pub title: String,
    /// What else search looks at. It is not kept.
    pub text: String,
    /// What opens the commitment to it in the transparency log.
    pub salt: Option<Vec<u8>>,
    /// Where that commitment lies.
    pub leaf: Option<u64>,
    /// What the exchange keeps beside the bytes (provenance, defects): any text, not interpreted here.
    pub aside: Option<String>,
}

/// What became of an object that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Kept.
    Taken {
        /// When, in this node's strictly increasing time.
        added: Timestamp,
        /// The version it has here.
        version: Timestamp,
    },
    /// The same bytes were there already.
    Same {
        /// The version they have here.
        version: Timestamp,
    },
    /// Other bytes are there under this id and version, and whoever puts it can see them: not taken.
    Conflict,
}

/// The place of an object in a page's order: when it was added, then its id, its version and its collection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// When it was added.
    pub added: Timestamp,
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// Its collection.
    pub collection: CollectionId,
}

/// A page: what a query gave, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The last row's key, if more follow that the reader may see.
    pub next: Option<Key>,
}

impl<T> Page<T> {
    /// Nothing.
    pub const fn empty() -> Self {
        Self { rows: Vec::new(), next: None }
    }

    /// Whether more follow.
    pub const fn more(&self) -> bool {
        self.next.is_some()
    }
}

/// An object in a page of bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub key: Key,
    /// The version of STIX that it is written in.
    pub spec_version: String,
    /// The bytes as they came.
    pub body: Bytes,
}

/// An object in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Where it stands.
    pub key: Key,
    /// The version of STIX that it is written in.
    pub spec_version: String,
}

/// All about one version of an object but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Where it stands: its id, version, collection and time of arrival.
    pub key: Key,
    /// The version of STIX that it is written in.
    pub spec_version: String,
    /// The organisation that put it here.
    pub owner: OrgId,
    /// The person who did.
    pub person: Option<PersonId>,
    /// The peer that it came from.
    pub peer: Option<PeerId>,
    /// What people call it.
    pub title: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Where the commitment to it lies in the transparency log.
    pub leaf: Option<u64>,
    /// What opens that commitment.
    pub salt: Option<Vec<u8>>,
    /// What the exchange keeps beside it.
    pub aside: Option<String>,
}

impl Head {
    /// Its type, `vulnerability`.
    pub fn kind(&self) -> &str {
        self.key.id.kind()
    }
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// All but the bytes.
    pub head: Head,
    /// The bytes as they came.
    pub body: Bytes,
    /// What its own marks say, which is what the log's commitment covers.
    pub own: Policy,
}

/// What was removed. A reader sees it who could see the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The object, and in `added` when it was removed.
    pub key: Key,
    /// Why, if somebody said so.
    pub why: Option<String>,
    /// Where the commitment to the removal lies in the transparency log.
    pub logged: Option<Logged>,
}

/// Where a commitment lies in the transparency log, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The entry's number.
    pub leaf: u64,
    /// The salt, 32 bytes.
    pub salt: Vec<u8>,
}
