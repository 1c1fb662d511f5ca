//! The form of a page on the wire: a signed note about a payload, and the payload.
//!
//! ```text
//! LENGTH OF THE NOTE, in decimal
//! ostrom-page/v1
//! from NAME OF THE SERVING NODE
//! to NAME OF THE NODE THAT ASKED
//! nonce OF THE REQUEST
//! payload SHA-256 OF THE PAYLOAD
//!
//! — NAME SIGNATURE
//! { the page in JSON }
//! ```

use ostrom_core::Digest;
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Checkpoint, Note, NoteError, SignedCheckpoint, merkle};

use super::{MAX_PATH, MAX_ROWS, Page, PeerKey, Request};
use crate::commitment::{Kind, commit};

/// Longest answer that is read, in bytes.
pub const MAX_PAGE: usize = 48 << 20;
/// Longest note of a page, in bytes.
const MAX_NOTE: usize = 4 << 10;

/// Why a page is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Not a page, or larger than any.
    #[error("not a page of changes: {0}")]
    Malformed(String),
    /// Not signed by the peer.
    #[error("the page is not signed by the peer's key: {0}")]
    Signature(NoteError),
    /// Signed for another request, or the payload is another.
    #[error("the page answers another request, or its payload was changed")]
    NotTheAnswer,
    /// The checkpoint is not signed by the peer, or is of another log.
    #[error("the peer's checkpoint does not hold: {0}")]
    Checkpoint(NoteError),
    /// The log is shorter than it was.
    #[error(
        "the peer's log had {known} entries and now has {found}: it was rolled back, or an old checkpoint is shown"
    )]
    RolledBack {
        /// Entries at the last checkpoint that was verified.
        known: u64,
        /// Entries at this one.
        found: u64,
    },
    /// The log is not the continuation of what it was.
    #[error("the peer shows another log than before (a split view): {0}")]
    SplitView(merkle::ProofError),
    /// An object is not the one that was committed to, or the commitment is not in the log.
    #[error("object {id} is not in the peer's log as it is shown here: {why}")]
    NotCommitted {
        /// The object.
        id: String,
        /// What is wrong.
        why: String,
    },
}

impl PageError {
    /// Whether the peer broke a promise that it signed in answer to our very request, so that somebody must look before it is pulled from
    /// again. What a cut line, or somebody on the way, can bring about is none.
    pub const fn is_distrust(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Signature(_) | Self::NotTheAnswer => false,
            Self::Checkpoint(_)
            | Self::RolledBack { .. }
            | Self::SplitView(_)
            | Self::NotCommitted { .. } => true,
        }
    }
}

/// A page whose signature, checkpoint and proofs hold. There is no other way to one than [`SignedPage::open`].
#[derive(Debug)]
pub struct SignedPage {
    page: Page,
    bodies: Vec<Vec<u8>>,
    checkpoint: SignedCheckpoint,
}

impl SignedPage {
    /// The bytes of a page that answers `request`.
    ///
    /// # Errors
    /// If it cannot be written, or is larger than anybody reads.
    pub fn sign(page: &Page, name: &str, key: &SecretKey, request: &Request) -> Result<Vec<u8>, PageError> {
        let malformed = |error: &dyn std::fmt::Display| PageError::Malformed(error.to_string());
        let payload = serde_json::to_vec(page).map_err(|error| malformed(&error))?;
        let text = text(name, request, Digest::of(&payload));
        let note = Note::sign(&text, name, key).map_err(PageError::Signature)?.to_string();
        let mut bytes = format!("{}\n{note}", note.len()).into_bytes();
        bytes.extend_from_slice(&payload);
        if bytes.len() > MAX_PAGE { Err(malformed(&"it is larger than a page may be")) } else { Ok(bytes) }
    }

    /// Checks everything about the answer to `request` that can be checked without knowing what is here. `known`: the last
    /// checkpoint of the peer's log that was verified.
    ///
    /// # Errors
    /// The first thing that does not hold. Nothing of the page is to be believed then.
    pub fn open(
        bytes: &[u8],
        peer: &PeerKey,
        request: &Request,
        known: Option<&Checkpoint>,
    ) -> Result<Self, PageError> {
        let malformed = |what: &str| PageError::Malformed(what.to_owned());
        if bytes.len() > MAX_PAGE {
            return Err(malformed("it is larger than a page may be"));
        }
        let (note, payload) = split(bytes).ok_or_else(|| malformed("it has no note"))?;
        let note = Note::parse(note).map_err(PageError::Signature)?;
        note.verify(std::slice::from_ref(peer.log())).map_err(PageError::Signature)?;
        if note.text() != text(peer.name(), request, Digest::of(payload)) {
            return Err(PageError::NotTheAnswer);
        }
        let page: Page = serde_json::from_slice(payload).map_err(|error| malformed(&error.to_string()))?;
        let too_long = page.consistency.len() > merkle::MAX_PROOF
            || page
                .objects
                .iter()
                .any(|object| object.proof.len() > merkle::MAX_PROOF || object.path.len() > MAX_PATH)
            || page.tombstones.iter().any(|tombstone| tombstone.proof.len() > merkle::MAX_PROOF);
        if page.objects.len() > MAX_ROWS
            || page.tombstones.len() > MAX_ROWS
            || too_long
            || page.next.len() > 2_048
        {
            return Err(malformed("a list in it is longer than any page has"));
        }
        let checkpoint =
            SignedCheckpoint::open(page.checkpoint.as_bytes(), peer.log()).map_err(PageError::Checkpoint)?;
        continues(known, checkpoint.checkpoint(), &page.consistency)?;
        let mut bodies = Vec::with_capacity(page.objects.len());
        for object in &page.objects {
            bodies.push(committed(object, checkpoint.checkpoint())?);
        }
        for tombstone in &page.tombstones {
            removed(tombstone, checkpoint.checkpoint())?;
        }
        Ok(Self { page, bodies, checkpoint })
    }

    /// The page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// The objects' bytes, in their order.
    pub fn bodies(&self) -> &[Vec<u8>] {
        &self.bodies
    }

    /// The peer's checkpoint.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

fn text(from: &str, request: &Request, payload: Digest) -> String {
    format!("ostrom-page/v1\nfrom {from}\nto {}\nnonce {}\npayload {payload}\n", request.from, request.nonce)
}

/// The note and the payload.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().take(8).position(|byte| *byte == b'\n')?;
    let (length, rest) = bytes.split_at_checked(end)?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    rest.get(1..).filter(|_| length <= MAX_NOTE)?.split_at_checked(length)
}

fn continues(known: Option<&Checkpoint>, now: &Checkpoint, proof: &[Digest]) -> Result<(), PageError> {
    let (size, root) = known.map_or((0, merkle::empty_root()), |known| (known.size(), known.root()));
    if now.size() < size {
        return Err(PageError::RolledBack { known: size, found: now.size() });
    }
    merkle::verify_consistency(size, now.size(), proof, &root, &now.root()).map_err(PageError::SplitView)
}

/// The body of an object that is in the log.
fn committed(object: &super::SharedObject, checkpoint: &Checkpoint) -> Result<Vec<u8>, PageError> {
    let wrong = |why: &dyn std::fmt::Display| PageError::NotCommitted {
        id: object.id.to_string(),
        why: why.to_string(),
    };
    let body = data_encoding::BASE64.decode(object.body.as_bytes()).map_err(|error| wrong(&error))?;
    let own = ostrom_trust::digest_of(&object.own).map_err(|error| wrong(&error))?;
    let commitment = commit(Kind::Object, &object.salt, &[Digest::of(&body), own]);
    let leaf = merkle::leaf_hash(commitment.as_bytes());
    merkle::verify_inclusion(&leaf, object.leaf, checkpoint.size(), &object.proof, &checkpoint.root())
        .map_err(|error| wrong(&error))?;
    Ok(body)
}

/// That a removal is in the log.
fn removed(tombstone: &super::Tombstone, checkpoint: &Checkpoint) -> Result<(), PageError> {
    let super::Tombstone { id, version, why, salt, leaf, proof, .. } = tombstone;
    let parts = [Digest::of(crate::commitment::removal(id, *version, why.as_deref()).as_bytes())];
    let entry = merkle::leaf_hash(commit(Kind::Removal, salt, &parts).as_bytes());
    merkle::verify_inclusion(&entry, *leaf, checkpoint.size(), proof, &checkpoint.root())
        .map_err(|error| PageError::NotCommitted { id: id.to_string(), why: error.to_string() })
}
