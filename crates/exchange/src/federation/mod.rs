//! Federation: one node pulls from another what the other lets it see.
//!
//! The serving side ([`Server`]) makes signed pages of what a peer's organisation may read, only through
//! [`ostrom_store::Reading`]. The pulling side ([`Puller`]) checks everything before it takes anything: the signature by the key
//! that was pinned, that the page answers this very request, that the peer's log is the continuation of the one it knew, and for every
//! object that the commitment to it is in that log. Then it decides what to take ([`Skipped`] says what not, and why), and writes objects and
//! cursor in one transaction. Nothing here knows HTTP: [`Transport`] carries requests and answers.
//!
//! *Invariant:* what is taken is never wider than what the peer said, nor than the limits that an administrator set for the peer.

mod key;
mod marks;
mod origin;
mod page;
mod pull;
mod serve;
mod take;

#[cfg(test)]
mod tests;

use std::future::Future;

use ostrom_core::Digest;
use ostrom_core::handling::Policy;
use ostrom_core::{ObjectId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commitment::Salt;

pub use key::PeerKey;
pub use origin::Origin;
pub use page::{MAX_PAGE, PageError, SignedPage};
pub use pull::{PullError, Pulled, Puller};
pub use serve::{ServeError, Server};
pub use take::Skipped;

/// Most objects, and most tombstones, of a page.
pub const MAX_ROWS: usize = 1_000;
/// Most nodes that an object can have come through.
pub const MAX_PATH: usize = 16;

/// What a puller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name of the node that asks: its log's origin.
    pub from: String,
    /// Where the last page ended; nothing at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The size of the peer's log at the last checkpoint that the puller knows; 0 at first.
    pub known: u64,
    /// 32 hexadecimal digits that the page repeats, so that no old page can stand for it.
    pub nonce: String,
}

impl Request {
    /// Whether a server answers it at all.
    pub fn is_sound(&self) -> bool {
        let nonce = self.nonce.len() == 32
            && self.nonce.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let after = self.after.as_ref().is_none_or(|after| after.len() <= 2_048);
        let from =
            (1..=256).contains(&self.from.len()) && self.from.bytes().all(|byte| byte.is_ascii_graphic());
        nonce && after && from
    }
}

/// Why an answer did not come. The pull can be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the peer did not answer: {0}")]
pub struct TransportError(pub String);

/// Carries a request to a peer, and its answer back.
pub trait Transport: Sync {
    /// The bytes of the page that answers the request. An implementation stops reading beyond [`MAX_PAGE`] bytes.
    fn fetch(&self, request: &Request) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;
}

/// A page: what changed after a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Where the next page begins.
    pub next: String,
    /// Whether there is more now.
    pub more: bool,
    /// The peer's latest checkpoint (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// That its log continues the one of the size that the request named.
    pub consistency: Vec<Digest>,
    /// Objects, in the order in which the peer took them.
    pub objects: Vec<SharedObject>,
    /// What was removed there.
    pub tombstones: Vec<Tombstone>,
    /// The last checkpoint of the log of *the node that asks* that the peer has verified and cosigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigned: Option<String>,
}

/// A version of an object on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedObject {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// The version of STIX that it is written in.
    pub spec_version: String,
    /// Its bytes, in base64.
    pub body: String,
    /// What its own marks say: what the commitment covers.
    pub own: Policy,
    /// What holds for it at the peer, with all that it refers to.
    pub policy: Policy,
    /// The organisation that put it into the exchange.
    pub owner: OrgId,
    /// The nodes it came through: first where it comes from, last the one that serves it.
    pub path: Vec<String>,
    /// What the node where it comes from signed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What opens the commitment in the serving node's log.
    pub salt: Salt,
    /// Its entry there.
    pub leaf: u64,
    /// From the entry to the checkpoint's root.
    pub proof: Vec<Digest>,
}

/// That a version was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// The object's id.
    pub id: ObjectId,
    /// The version.
    pub version: Timestamp,
    /// When.
    pub removed: Timestamp,
    /// Why, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the node where it comes from signed of its removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What opens the commitment to the removal in the serving node's log.
    pub salt: Salt,
    /// Its entry there.
    pub leaf: u64,
    /// From the entry to the checkpoint's root.
    pub proof: Vec<Digest>,
}

/// Where an object came from, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The nodes it came through: first where it comes from, last the one that gave it to us.
    pub path: Vec<String>,
    /// What the first of them signed of it. It was checked if that node is a peer of ours; if not, it is kept for those who can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Origin>,
}

impl Provenance {
    /// The node where the object comes from.
    pub fn origin(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    /// The node that gave it to us.
    pub fn giver(&self) -> Option<&str> {
        self.path.last().map(String::as_str)
    }

    /// Reads it from what is kept beside an object. `None`: the object is our own.
    pub fn of(aside: Option<&str>) -> Option<Self> {
        let aside: serde_json::Value = serde_json::from_str(aside?).ok()?;
        serde_json::from_value(aside.get("federation")?.clone()).ok()
    }

    fn aside(&self) -> String {
        serde_json::json!({ "federation": self }).to_string()
    }
}
