//! What a puller takes of a page, and what not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ostrom_core::handling::{Policy, Tlp};
use ostrom_core::{Digest, OrgId};
use ostrom_store::Kept;

use super::marks::{Definitions, Speaker};
use super::origin::{Subject, is_removal};
use super::{PeerKey, Provenance, SharedObject, Tombstone};
use crate::stix::marking::fixed_tlp;
use crate::stix::{Limits, Object};

/// Why an object or a tombstone of a page was not taken. The page is sound nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skipped {
    /// It is here, or was here and was removed.
    Known,
    /// It comes from this node, or has been through it.
    Ours,
    /// Its path does not end with the peer, is empty, or goes through a node twice.
    Path,
    /// It is not a STIX object, or not the one that the page names.
    NotTheObject,
    /// Its handling is wider than the marks in it.
    Widened,
    /// A mark on it is not here, or not understood.
    Marks,
    /// The node where it comes from, a peer of ours, has not signed it, or what is said to be its signature is about something else.
    Origin,
    /// An object of this id is here that this peer does not decide on.
    NotTheirs,
    /// Other bytes are here under this id and version.
    Conflict,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Known => "it is here already, or was removed here",
            Self::Ours => "it comes from this node",
            Self::Path => "its path of nodes is not one that leads here",
            Self::NotTheObject => "it is not the STIX object that the page names",
            Self::Widened => "its handling is wider than the marks in it",
            Self::Marks => "a mark on it is not here, or is not understood",
            Self::Origin => "the node that it is said to come from has not signed it",
            Self::NotTheirs => "this peer does not decide on the object of this id",
            Self::Conflict => "other bytes are here under this id and version",
        })
    }
}

/// What is known here of an id.
pub(super) struct Local<'a> {
    /// This node's name.
    pub(super) name: &'a str,
    /// The peer's.
    pub(super) peer: &'a str,
    /// The versions that are kept.
    pub(super) kept: &'a [Kept],
    /// Whether exactly this version is or was here.
    pub(super) knows: bool,
    /// The peers of this node by their names, with the members that they are.
    pub(super) peers: &'a BTreeMap<String, (PeerKey, Option<OrgId>)>,
    /// The members of this node.
    pub(super) members: &'a BTreeSet<OrgId>,
}

/// What is taken.
pub(super) struct Taken<'a> {
    pub(super) object: Object,
    /// The organisation that shared it, as the node where it comes from calls it.
    pub(super) owner: OrgId,
    /// Who says so.
    pub(super) speaker: Speaker<'a>,
}

/// Whether the giver of something is its origin, or the one who gave us what is here.
fn decides(kept: &Kept, peer: &str, origin: &str) -> bool {
    let Some(from) = Provenance::of(kept.aside.as_deref()) else { return false };
    from.origin() == Some(origin) && (origin == peer || from.giver() == Some(peer))
}

impl Local<'_> {
    /// Reads an object that is to be taken.
    pub(super) fn take<'b>(
        &'b self,
        shared: &'b SharedObject,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Taken<'b>, Skipped> {
        if shared.path.iter().any(|node| node == self.name) {
            return Err(Skipped::Ours);
        }
        let mut nodes: Vec<&String> = shared.path.iter().collect();
        nodes.sort();
        nodes.dedup();
        let origin = shared.path.first().ok_or(Skipped::Path)?;
        if shared.path.last().map(String::as_str) != Some(self.peer) || nodes.len() != shared.path.len() {
            return Err(Skipped::Path);
        }
        let digest = Digest::of(body);
        if self.knows {
            // A peer that shows other bytes under an id and version than are here is worth a word.
            let other = self.kept.iter().any(|kept| kept.version == shared.version && kept.digest != digest);
            return Err(if other { Skipped::Conflict } else { Skipped::Known });
        }
        // Cyber-observables have no version of their own: the same one may have come another way at another time.
        if self.kept.iter().any(|kept| kept.digest == digest) {
            return Err(Skipped::Known);
        }
        let object = Object::read(body, limits).map_err(|_| Skipped::NotTheObject)?;
        let facts = object.facts();
        if facts.id != shared.id || facts.version().is_some_and(|version| version != shared.version) {
            return Err(Skipped::NotTheObject);
        }
        if !self.kept.is_empty() && !self.kept.iter().all(|kept| decides(kept, self.peer, origin)) {
            return Err(Skipped::NotTheirs);
        }
        let marked = facts.marks.iter().filter_map(fixed_tlp).max().unwrap_or(Tlp::Clear);
        if shared.own.tlp() < marked || shared.policy.tlp() < marked {
            return Err(Skipped::Widened);
        }
        // A signature is checked where the key is pinned. What no peer of ours has signed stands as the giver's word.
        let known = self.peers.get(origin);
        let signed = match (&shared.origin, known) {
            (Some(signed), known) => {
                let subject = Subject { id: &shared.id, version: shared.version, body: digest };
                let holds =
                    signed.is_about(origin, subject) && known.is_none_or(|(key, _)| signed.is_signed(key));
                if !holds {
                    return Err(Skipped::Origin);
                }
                known
            }
            (None, Some(_)) => return Err(Skipped::Origin),
            (None, None) => None,
        };
        let organisation = signed.and_then(|(_, organisation)| *organisation);
        let owner = shared.origin.as_ref().map_or(shared.owner, |signed| signed.owner);
        let speaker = Speaker { node: origin, organisation, members: self.members };
        Ok(Taken { object, owner, speaker })
    }
}

/// Whether a version is removed here because the peer of this name says so, and what to keep of the origin's word: the node where the object comes from
/// decides. From a relay, its signature counts where its key is known; where it is not, the word of whoever gave us the object.
pub(super) fn may_remove(
    kept: &Kept,
    peer: &str,
    tombstone: &Tombstone,
    peers: &BTreeMap<String, (PeerKey, Option<OrgId>)>,
) -> Result<String, Skipped> {
    let from = Provenance::of(kept.aside.as_deref()).ok_or(Skipped::Ours)?;
    let origin = from.origin().ok_or(Skipped::NotTheirs)?;
    let key = peers.get(origin).map(|(key, _)| key);
    let signed = tombstone
        .origin
        .as_deref()
        .filter(|note| is_removal(note, origin, &tombstone.id, tombstone.version, key));
    let may = match (origin == peer, key) {
        (true, _) => true,
        (false, Some(_)) if signed.is_some() => true,
        (false, Some(_)) => return Err(Skipped::Origin),
        (false, None) => from.giver() == Some(peer),
    };
    if may { Ok(signed.unwrap_or_default().to_owned()) } else { Err(Skipped::NotTheirs) }
}

impl Taken<'_> {
    /// What holds here for it: all that the peer said, what the node where it comes from signed, what its marks say, and the limits for the peer.
    pub(super) fn narrowed(
        &self,
        shared: &SharedObject,
        definitions: &Definitions,
        limits: Option<&Policy>,
    ) -> Result<Policy, Skipped> {
        let said = shared.policy.and(&shared.own);
        let said = shared.origin.as_ref().map_or_else(|| said.clone(), |signed| said.and(&signed.own));
        let said = definitions.narrow(&self.object, shared, self.owner, said)?;
        let meant = self.speaker.policy(&said);
        Ok(limits.map_or_else(|| meant.clone(), |limits| meant.and(limits)))
    }
}
