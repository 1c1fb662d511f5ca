//! Tiles: the hashes of the tree in files of up to 256, as C2SP tlog-tiles lays them out, and the proofs made of them.

use std::io;
use std::path::{Path, PathBuf};

use ostrom_core::Digest;

use super::checkpoint::SignedCheckpoint;
use super::error::LogError;
use super::files::read_bounded;
use super::merkle::{self, Node, ProofError, Tree};

/// Hashes in a full tile, entries in a full bundle.
pub(super) const WIDTH: u64 = 256;
/// Bytes of a hash.
const HASH: usize = 32;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hashes, this many levels of tiles above the leaves.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// The path of a tile below the log's folder.
pub(super) fn path(kind: Kind, index: u64, width: u64) -> String {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let folder = match kind {
        Kind::Hashes(level) => format!("tile/{level}"),
        Kind::Entries => "tile/entries".to_owned(),
    };
    if width == WIDTH { format!("{folder}/{number}") } else { format!("{folder}/{number}.p/{width}") }
}

/// Hashes in tile `index` of `level` in a tree of `size` entries. Zero if there is no such tile.
pub(super) fn width(level: u8, index: u64, size: u64) -> u64 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    index.checked_mul(WIDTH).map_or(0, |before| hashes.saturating_sub(before).min(WIDTH))
}

/// Reads a tile: the partial one of this width, or the beginning of the full one that has replaced it. `None` if it is
/// missing or not as long as it should be.
pub(super) fn read(folder: &Path, level: u8, index: u64, width: u64) -> io::Result<Option<Vec<Digest>>> {
    let bytes = |width: u64| {
        let path = folder.join(path(Kind::Hashes(level), index, width));
        let bytes = read_bounded(&path, WIDTH as usize * HASH)?;
        Ok::<_, io::Error>(bytes.filter(|bytes| bytes.len() as u64 == width * HASH as u64))
    };
    let found = match bytes(width) {
        Ok(None) if width != WIDTH => bytes(WIDTH),
        found => found,
    };
    match found {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
        Ok(found) => Ok(found.map(|bytes| {
            bytes.as_chunks().0.iter().take(width as usize).map(|hash| Digest::from_bytes(*hash)).collect()
        })),
    }
}

/// The hashes of the tiles that are not full yet, from which all further tiles follow. Memory: 8 KiB for each level.
#[derive(Debug, Clone, Default)]
pub(super) struct Builder {
    levels: Vec<Level>,
}

#[derive(Debug, Clone, Default)]
struct Level {
    /// Which tile of its level it is.
    index: u64,
    hashes: Vec<Digest>,
}

impl Builder {
    /// The state after `full` full tiles of leaves, from the tiles above them of a tree of `size` entries. `None` if one of them
    /// is missing.
    pub(super) fn resume(folder: &Path, full: u64, size: u64) -> io::Result<Option<Self>> {
        let mut levels = vec![Level { index: full, hashes: Vec::new() }];
        let mut hashes = full;
        while hashes > 0 {
            let (index, needed) = (hashes / WIDTH, hashes % WIDTH);
            let level = levels.len() as u8;
            let mut tile = Vec::new();
            if needed > 0 {
                let Some(found) = read(folder, level, index, width(level, index, size))? else {
                    return Ok(None);
                };
                tile = found;
                tile.truncate(needed as usize);
            }
            levels.push(Level { index, hashes: tile });
            hashes = index;
        }
        Ok(Some(Self { levels }))
    }

    /// The tree of what was pushed.
    pub(super) fn tree(&self) -> Tree {
        let size = self.levels.iter().rev().fold(0_u64, |size, level| {
            // INVARIANT: at most `u64::MAX` leaves were pushed.
            size * WIDTH + level.hashes.len() as u64
        });
        let mut peaks = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = level.hashes.as_slice();
            for bit in (0..8_u32).rev().filter(|bit| level.hashes.len() >> bit & 1 == 1) {
                let Some((subtree, after)) = rest.split_at_checked(1 << bit) else { break };
                peaks.push(root_of(subtree));
                rest = after;
            }
        }
        let mut peaks = peaks.into_iter();
        let resumed = Tree::resume(size, &mut |_| peaks.next().ok_or(ProofError::Length));
        // INVARIANT: a size has as many bits as there are peaks.
        resumed.unwrap_or_default()
    }

    /// Takes in the next leaf and hands over every tile that it makes full: level, index, hashes.
    pub(super) fn push<E>(
        &mut self,
        leaf: Digest,
        full: &mut impl FnMut(u8, u64, &[Digest]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut at, mut hash) = (0_usize, leaf);
        loop {
            if self.levels.len() == at {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(at) else { return Ok(()) };
            level.hashes.push(hash);
            if level.hashes.len() < WIDTH as usize {
                return Ok(());
            }
            full(at as u8, level.index, &level.hashes)?;
            hash = root_of(&level.hashes);
            level.hashes.clear();
            level.index += 1;
            at += 1;
        }
    }

    /// The tiles that are not full, and not empty: level, index, hashes.
    pub(super) fn partial(&self) -> impl Iterator<Item = (u8, u64, &[Digest])> {
        self.levels
            .iter()
            .enumerate()
            .filter(|(_, level)| !level.hashes.is_empty())
            .map(|(at, level)| (at as u8, level.index, level.hashes.as_slice()))
    }
}

/// The root over these hashes as leaves of a subtree.
fn root_of(hashes: &[Digest]) -> Digest {
    let mut tree = Tree::new();
    hashes.iter().for_each(|hash| tree.push(*hash));
    tree.root()
}

/// The bytes of a tile.
pub(super) fn encode(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The tree under a signed checkpoint, read from the tiles of a log's folder, for making proofs. Every proof is checked
/// against the signed root before it is handed out.
#[derive(Debug)]
pub struct Tiles {
    folder: PathBuf,
    size: u64,
    root: Digest,
    /// The tile that was read last: neighbouring hashes lie in one tile.
    last: Option<((u8, u64), Vec<Digest>)>,
}

impl Tiles {
    /// The tree of this checkpoint, whose log lies in `folder`.
    pub fn new(folder: &Path, checkpoint: &SignedCheckpoint) -> Self {
        let checkpoint = checkpoint.checkpoint();
        Self { folder: folder.to_owned(), size: checkpoint.size(), root: checkpoint.root(), last: None }
    }

    fn node(&mut self, node: Node) -> Result<Digest, LogError> {
        let missing = |folder: &Path, path: String| {
            LogError::damaged(folder, format!("{path} is missing or not as long as it should be"))
        };
        // A tile holds eight levels; the upper seven of them follow from its hashes.
        let (level, height) = (node.level / 8, u32::from(node.level % 8));
        let first = node.index << height;
        let (index, from) = (first / WIDTH, first % WIDTH);
        let width = width(level, index, self.size);
        let tile = match &self.last {
            Some((at, tile)) if *at == (level, index) => tile,
            _ => {
                let tile = read(&self.folder, level, index, width).map_err(LogError::io(&self.folder))?;
                let tile =
                    tile.ok_or_else(|| missing(&self.folder, path(Kind::Hashes(level), index, width)))?;
                &self.last.insert(((level, index), tile)).1
            }
        };
        let hashes = tile.get(from as usize..from as usize + (1 << height));
        hashes.map(root_of).ok_or_else(|| missing(&self.folder, path(Kind::Hashes(level), index, width)))
    }

    /// The proof that the entry at `index` is in the tree, leaf to root.
    ///
    /// # Errors
    /// If there is no such entry, or the tiles do not lead to the signed root.
    pub fn inclusion_proof(&mut self, index: u64) -> Result<Vec<Digest>, LogError> {
        let (size, root) = (self.size, self.root);
        let proof = merkle::inclusion_proof(index, size, &mut |node| self.node(node))?;
        let leaf = self.node(Node { level: 0, index })?;
        merkle::verify_inclusion(&leaf, index, size, &proof, &root)?;
        Ok(proof)
    }

    /// The proof that the tree begins with the first `old` entries of it, and the root of these.
    ///
    /// # Errors
    /// If there are fewer entries, or the tiles do not lead to the signed root.
    pub fn consistency_proof(&mut self, old: u64) -> Result<(Digest, Vec<Digest>), LogError> {
        let (size, root) = (self.size, self.root);
        let proof = merkle::consistency_proof(old, size, &mut |node| self.node(node))?;
        let old_root = merkle::root(old, &mut |node| self.node(node))?;
        merkle::verify_consistency(old, size, &proof, &old_root, &root)?;
        Ok((old_root, proof))
    }
}
