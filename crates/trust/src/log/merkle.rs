//! Merkle tree hashing, inclusion and consistency proofs: RFC 6962 section 2.1 and RFC 9162 section 2.1, over SHA-256.
//!
//! *Invariant:* no I/O. Whoever makes a proof says where the hashes of complete subtrees come from.

use ostrom_core::Digest;
use sha2::{Digest as _, Sha256};

/// More hashes than any proof has: a path has one for each level, a consistency proof one more.
pub const MAX_PROOF: usize = 65;

/// What is wrong with a proof, or with what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such entry, or no such earlier tree.
    #[error("{asked} lies beyond the {size} entries of the tree")]
    Beyond {
        /// The index of the entry, or the size of the earlier tree.
        asked: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// The proof has too few or too many hashes.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads elsewhere.
    #[error("the proof does not lead to the root: another entry, another log, or changed on the way")]
    Mismatch,
}

/// The hash of an entry: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::new_with_prefix([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new_with_prefix([1]).chain_update(left.as_bytes()).chain_update(right.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// The root of the tree without entries.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// A complete subtree: the `2^level` entries from `index * 2^level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    /// Levels above the leaves, 0 to 63.
    pub level: u8,
    /// Number among the subtrees of its level.
    pub index: u64,
}

/// A growing tree of which only the roots of its complete subtrees are kept (a compact range): at most 64 hashes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    /// Roots of the complete subtrees from left to right, one for each bit of `size`, the largest first.
    peaks: Vec<Digest>,
}

impl Tree {
    /// The tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of the first `size` entries, from the hashes of its complete subtrees.
    ///
    /// # Errors
    /// What `read` returns.
    pub fn resume<E>(size: u64, read: &mut impl FnMut(Node) -> Result<Digest, E>) -> Result<Self, E> {
        let mut peaks = Vec::new();
        let mut at = 0_u64;
        for level in (0..64_u8).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(read(Node { level, index: at >> level })?);
            // INVARIANT: the sum of the bits of `size` is at most `size`.
            at |= 1 << level;
        }
        Ok(Self { size, peaks })
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry, given its [`leaf_hash`].
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // Two subtrees of one size become one, as in a binary counter.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        // INVARIANT: nobody appends 2^64 entries.
        self.size += 1;
    }

    /// The tree head: the Merkle tree hash of all entries.
    pub fn root(&self) -> Digest {
        let right_to_left = self.peaks.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

/// The hash of the entries `from..to`, where `from` is a multiple of a power of two that is at least their number.
fn range_hash<E>(from: u64, to: u64, read: &mut impl FnMut(Node) -> Result<Digest, E>) -> Result<Digest, E> {
    let (mut at, mut hash) = (to, None);
    while at > from {
        let level = (at - from).trailing_zeros();
        at -= 1 << level;
        // INVARIANT: trailing zeros of a number that is not zero are at most 63.
        let left = read(Node { level: level as u8, index: at >> level })?;
        hash = Some(hash.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(hash.unwrap_or_else(empty_root))
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The root of the first `size` entries.
///
/// # Errors
/// What `read` returns.
pub fn root<E>(size: u64, read: &mut impl FnMut(Node) -> Result<Digest, E>) -> Result<Digest, E> {
    range_hash(0, size, read)
}

/// The proof that entry `index` is in the tree of the first `size` entries, leaf to root (RFC 9162 section 2.1.3.1).
///
/// # Errors
/// If there is no such entry, or what `read` returns.
pub fn inclusion_proof<E: From<ProofError>>(
    index: u64,
    size: u64,
    read: &mut impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    if index >= size {
        return Err(ProofError::Beyond { asked: index, size }.into());
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(range_hash(middle, to, read)?);
            to = middle;
        } else {
            proof.push(range_hash(from, middle, read)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` entries is the beginning of the tree of the first `new` entries
/// (RFC 9162 section 2.1.4.1). It is empty if `old` is 0 or equal to `new`.
///
/// # Errors
/// If `old` is larger than `new`, or what `read` returns.
pub fn consistency_proof<E: From<ProofError>>(
    old: u64,
    new: u64,
    read: &mut impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    if old > new {
        return Err(ProofError::Beyond { asked: old, size: new }.into());
    }
    let (mut from, mut to, mut proof) = (0, new, Vec::new());
    if old == 0 {
        return Ok(proof);
    }
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(range_hash(middle, to, read)?);
            to = middle;
        } else {
            proof.push(range_hash(from, middle, read)?);
            from = middle;
        }
    }
    // The verifier has the hash of the old tree itself.
    if from != 0 {
        proof.push(range_hash(from, to, read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks an inclusion proof (RFC 9162 section 2.1.3.2). `leaf` is the entry's [`leaf_hash`].
///
/// # Errors
/// If it does not prove that the entry is at `index` of the tree with this `size` and `root`.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond { asked: index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Mismatch) }
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2) between the tree of `old` and the tree of `new` entries.
///
/// # Errors
/// If it does not prove that the new tree begins with the entries of the old one.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Beyond { asked: old, size: new });
    }
    if old == 0 || old == new {
        // Every tree begins with the empty one, and with itself.
        let same = if old == 0 { *old_root == empty_root() } else { old_root == new_root };
        return match (proof, same) {
            ([], true) => Ok(()),
            ([], false) => Err(ProofError::Mismatch),
            _ => Err(ProofError::Length),
        };
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    // An old tree that is a complete subtree of the new one is its own first node.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::Mismatch) }
}
