//! Verifying a log: everything is computed again from the entries and held against what was signed.
//!
//! Two trees grow side by side: one of the entries as they are, one of the leaf hashes in the tiles. Where both lead to a
//! checkpoint's root, all is well. Where only the tiles do, the entries that differ from them were changed, and are named.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use ostrom_core::Digest;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::error::LogError;
use super::files::{ENTRIES, HISTORY, OFFSETS};
use super::frame::{self, Found};
use super::history::{self, Chunk};
use super::merkle::Tree;
use super::note::{Note, VerifierKey};
use super::report::{MAX_PROBLEMS, Problem, Report};
use super::tiles::{self, Builder, Kind, WIDTH};
use crate::PublicKey;

/// Verifies the log in `folder` against its public key. Memory is bounded by the longest record and a tile for each level, not
/// by the log; it may be open for writing meanwhile.
///
/// A log that was cut and signed again by whoever has the key is only noticed with an older checkpoint: [`verify_against`].
///
/// # Errors
/// If it cannot be read. What is wrong with it is in the report.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Report, LogError> {
    verify_against(folder, key, &[])
}

/// As [`verify`], and checks that the log is a continuation of older checkpoints of it: notes that were kept elsewhere.
///
/// # Errors
/// If the log cannot be read, or an older checkpoint is not signed by `key`.
pub fn verify_against(folder: &Path, key: &PublicKey, older: &[&[u8]]) -> Result<Report, LogError> {
    let published = history::published(folder)?;
    let origin = match older.first() {
        Some(note) => origin_of(note),
        None => origin(folder)?,
    };
    let mut check = Check::default();
    let Some(log) = origin.as_deref().and_then(|origin| VerifierKey::log(origin, key.clone()).ok()) else {
        if older.is_empty() {
            return check.unsigned_log(folder, published.is_some());
        }
        return Err(super::note::NoteError::NotACheckpoint("the older checkpoint names no log").into());
    };
    log.name().clone_into(&mut check.report.origin);
    for note in older {
        let signed = SignedCheckpoint::open(note, &log)?;
        check.older.push((signed.checkpoint().size(), signed.checkpoint().root()));
    }
    let mut signed = Signed::open(folder, log.clone(), &mut check.report)?;
    check.published(published, &log, signed.last.take());
    check.older.sort_unstable();
    check.older.reverse();
    check.entries(folder, &mut signed)?;
    Ok(check.report)
}

/// The origin of the log in `folder`: what its latest checkpoint says, or, if that is gone, the first of its history. `None` if nothing that
/// was signed is there. Whether the checkpoint holds is not checked.
///
/// # Errors
/// If it cannot be read.
pub fn origin(folder: &Path) -> Result<Option<String>, LogError> {
    if let Some(note) = history::published(folder)? {
        return Ok(origin_of(&note));
    }
    match history::open(folder)?.map(|mut notes| notes.next()).transpose() {
        Ok(Some(Some(Chunk::Note(note)))) => Ok(origin_of(&note)),
        _ => Ok(None),
    }
}

/// The origin that a checkpoint names, whoever signed it. `None` if it is none.
#[must_use]
pub fn origin_of(note: &[u8]) -> Option<String> {
    let note = Note::parse(note).ok()?;
    Checkpoint::parse(note.text()).ok().map(|checkpoint| checkpoint.origin().to_owned())
}

/// The checkpoints of the history that hold, in order.
struct Signed {
    notes: Option<history::Notes<BufReader<File>>>,
    log: VerifierKey,
    number: u64,
    next: Option<Checkpoint>,
    /// Notes that were there at the beginning: later ones can be of entries that are not looked at.
    count: u64,
    /// Text of the last of them.
    last: Option<String>,
}

impl Signed {
    fn open(folder: &Path, log: VerifierKey, report: &mut Report) -> Result<Self, LogError> {
        let (mut count, mut last, path) = (0, None, folder.join(HISTORY));
        if let Some(mut notes) = history::open(folder)? {
            while let Some(Chunk::Note(note)) = notes.next().map_err(LogError::io(&path))? {
                count += 1;
                last = Note::parse(&note).ok().map(|note| note.text().to_owned());
            }
        }
        let mut signed = Self { notes: history::open(folder)?, log, number: 0, next: None, count, last };
        signed.advance(report)?;
        Ok(signed)
    }

    /// Goes to the next checkpoint that holds.
    fn advance(&mut self, report: &mut Report) -> Result<(), LogError> {
        let before = self.next.take();
        let Some(notes) = &mut self.notes else { return Ok(()) };
        while self.number < self.count
            && let Some(Chunk::Note(note)) = notes.next().map_err(LogError::io(Path::new(HISTORY)))?
        {
            let number = self.number;
            self.number += 1;
            match SignedCheckpoint::open(&note, &self.log) {
                Err(error) => report.add(Problem::Checkpoint { number, why: error.to_string() }),
                Ok(signed) => {
                    let checkpoint = signed.checkpoint();
                    if before.as_ref().is_some_and(|before| before.size() >= checkpoint.size()) {
                        let why = "it is not larger than the one before it".to_owned();
                        report.add(Problem::Checkpoint { number, why });
                        continue;
                    }
                    self.next = Some(checkpoint.clone());
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Check {
    report: Report,
    /// Older checkpoints that are still to come, the largest first.
    older: Vec<(u64, Digest)>,
    /// Tree of the entries as they are.
    tree: Tree,
    /// Tree of the leaf hashes in the tiles, if none was missing.
    tiles: Option<Tree>,
    /// Entries under the published checkpoint, whose tiles should be there.
    tiled: u64,
    /// Entries since the last checkpoint that are not what the tiles say.
    differing: BTreeSet<u64>,
    /// Whether nothing can be said any more about what comes.
    is_lost: bool,
}

impl Check {
    /// A log without any checkpoint whose origin can be read.
    fn unsigned_log(mut self, folder: &Path, is_published: bool) -> Result<Report, LogError> {
        if is_published {
            self.report.add(Problem::Published { why: "it is not a checkpoint".to_owned() });
        }
        for entry in super::read(folder)? {
            match entry {
                Ok(_) => self.report.entries += 1,
                Err(LogError::Damaged { .. }) => {
                    self.report.add(Problem::Unreadable { index: self.report.entries });
                }
                Err(error) => return Err(error),
            }
        }
        self.report.unsigned = self.report.entries;
        if self.report.entries > 0 {
            self.report.add(Problem::NothingSigned);
        }
        Ok(self.report)
    }

    fn published(&mut self, published: Option<Vec<u8>>, log: &VerifierKey, last: Option<String>) {
        let opened = published.as_deref().map(|bytes| SignedCheckpoint::open(bytes, log));
        let why = match (opened, last) {
            (None, None) => return,
            (None, Some(_)) => "it is missing".to_owned(),
            (Some(Err(error)), _) => error.to_string(),
            (Some(Ok(signed)), last) => {
                self.tiled = signed.checkpoint().size();
                self.tiles = Some(Tree::new());
                // The log may have made another one since `checkpoint` was read.
                let newer = last.as_deref().and_then(|last| Checkpoint::parse(last).ok());
                let is_known = last.as_deref() == Some(signed.text())
                    || newer.is_some_and(|newer| newer.size() > self.tiled);
                if is_known {
                    return;
                }
                self.older.push((self.tiled, signed.checkpoint().root()));
                format!("{HISTORY} does not have it")
            }
        };
        self.report.add(Problem::Published { why });
    }

    fn entries(&mut self, folder: &Path, signed: &mut Signed) -> Result<(), LogError> {
        let io = LogError::io(folder);
        let synced = frame::read_mark(folder).map_err(&io)?;
        let path = folder.join(ENTRIES);
        let mut frames = frame::open(folder, frame::START, None).map_err(LogError::io(&path))?;
        let mut derived = Derived::open(folder, self.tiled)?;
        self.reach(signed)?;
        loop {
            let (index, start) = (self.tree.size(), frames.offset());
            derived.begin(index, start, &mut self.report)?;
            let found = frames.next().map_err(LogError::io(&path))?;
            let was_there =
                index < self.tiled || signed.next.is_some() || synced.is_some_and(|synced| start < synced);
            let (leaf, sound) = match found {
                Found::Record { leaf, sound } if sound || was_there => (leaf, sound),
                Found::End => {
                    if let Some(synced) = synced.filter(|synced| start < *synced) {
                        self.report.add(Problem::Shorter { synced, found: start });
                    }
                    break;
                }
                _ => {
                    if was_there {
                        self.report.add(Problem::Unreadable { index });
                        self.is_lost = true;
                    }
                    self.report.unfinished = frames.end().saturating_sub(start);
                    break;
                }
            };
            if !sound {
                self.report.add(Problem::Changed { index });
            }
            let tile = derived.entry(index, frames.record(), &mut self.report)?;
            self.push(index, leaf, tile);
            derived.leaf(index, [leaf, tile.unwrap_or(leaf)], &mut self.report)?;
            self.reach(signed)?;
        }
        self.finish(signed)
    }

    fn push(&mut self, index: u64, leaf: Digest, tile: Option<Digest>) {
        self.tree.push(leaf);
        self.report.entries += 1;
        match (tile, &mut self.tiles) {
            (Some(tile), Some(tiles)) => {
                tiles.push(tile);
                if tile != leaf {
                    if self.differing.len() < MAX_PROBLEMS {
                        self.differing.insert(index);
                    } else {
                        self.report.more += 1
                    }
                }
            }
            _ => self.tiles = None,
        }
    }

    /// Holds the trees against every checkpoint of their size.
    fn reach(&mut self, signed: &mut Signed) -> Result<(), LogError> {
        let size = self.tree.size();
        while let Some(next) = signed.next.as_ref().filter(|next| next.size() <= size) {
            let (at, root) = (next.size(), next.root());
            if at == size && !self.is_lost {
                self.hold(size, root);
            }
            signed.advance(&mut self.report)?;
        }
        while let Some((at, root)) = self.older.last().copied().filter(|(at, _)| *at <= size) {
            if at == size && self.tree.root() != root {
                self.report.add(Problem::NotAContinuation { size });
            }
            self.older.pop();
        }
        Ok(())
    }

    /// Holds the trees against a checkpoint of `root`.
    fn hold(&mut self, size: u64, root: Digest) {
        if self.tree.root() == root {
            for index in std::mem::take(&mut self.differing) {
                let tile = index / WIDTH;
                let width = tiles::width(0, tile, self.tiled);
                self.report.add(Problem::Derived { path: tiles::path(Kind::Hashes(0), tile, width) });
            }
        } else if let Some(tiles) = self.tiles.take().filter(|tiles| tiles.root() == root) {
            for index in std::mem::take(&mut self.differing) {
                self.report.add(Problem::Changed { index });
            }
            // What was signed is known, so that the checkpoints behind can be checked.
            self.tree = tiles;
        } else {
            self.report.add(Problem::ChangedBetween { from: self.report.signed, to: size });
            self.is_lost = true;
            return;
        }
        self.tiles = (size <= self.tiled).then(|| self.tree.clone());
        self.report.signed = size;
        self.report.checkpoints += 1;
    }

    /// What is signed and not there.
    fn finish(&mut self, signed: &mut Signed) -> Result<(), LogError> {
        let found = self.report.entries;
        let mut largest = self.tiled;
        while let Some(next) = &signed.next {
            largest = largest.max(next.size());
            signed.advance(&mut self.report)?;
        }
        let unreadable =
            self.report.problems.iter().any(|problem| matches!(problem, Problem::Unreadable { .. }));
        if largest > found && !unreadable {
            self.report.add(Problem::Cut { signed: largest, found });
            // No checkpoint says whether these or their tiles are wrong.
            if let Some(from) = self.differing.first() {
                self.report.add(Problem::ChangedBetween { from: *from, to: found });
            }
        }
        for (size, _) in std::mem::take(&mut self.older).into_iter().rev() {
            self.report.add(Problem::NotAContinuation { size });
        }
        self.report.unsigned = found.saturating_sub(self.report.signed);
        if found > 0 && self.report.checkpoints == 0 && self.tiled == 0 {
            self.report.add(Problem::NothingSigned);
        }
        Ok(())
    }
}

/// The files that follow from the entries: tiles, bundles, offsets.
struct Derived<'a> {
    folder: &'a Path,
    /// Entries whose tiles should be there.
    size: u64,
    /// Of the entries as they are, and of the leaf hashes in the tiles. Until the next checkpoint, either can be right.
    builders: [Builder; 2],
    tile: Option<Vec<Digest>>,
    has_bundles: bool,
    bundle: Option<BufReader<File>>,
    offsets: Option<BufReader<File>>,
}

impl<'a> Derived<'a> {
    fn open(folder: &'a Path, size: u64) -> Result<Self, LogError> {
        let path = folder.join(OFFSETS);
        let offsets = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            file => Some(BufReader::new(file.map_err(LogError::io(&path))?)),
        };
        let has_bundles = folder.join("tile/entries").is_dir();
        Ok(Self {
            folder,
            size,
            builders: Default::default(),
            tile: None,
            has_bundles,
            bundle: None,
            offsets,
        })
    }

    fn wrong(report: &mut Report, path: String) {
        report.add(Problem::Derived { path });
    }

    /// Before the record at `index`, which lies at `offset`.
    fn begin(&mut self, index: u64, offset: u64, report: &mut Report) -> Result<(), LogError> {
        if !index.is_multiple_of(WIDTH) {
            return Ok(());
        }
        // The offset of a tile's end is there as soon as the tile is full.
        if (1..=self.size).contains(&index)
            && let Some(offsets) = &mut self.offsets
        {
            let mut found = [0; 8];
            if offsets.read_exact(&mut found).is_err() || u64::from_be_bytes(found) != offset {
                Self::wrong(report, OFFSETS.to_owned());
                self.offsets = None;
            }
        } else if (1..=self.size).contains(&index) {
            Self::wrong(report, OFFSETS.to_owned());
        }
        (self.tile, self.bundle) = (None, None);
        if index >= self.size {
            return Ok(());
        }
        let number = index / WIDTH;
        let width = tiles::width(0, number, self.size);
        self.tile = tiles::read(self.folder, 0, number, width).map_err(LogError::io(self.folder))?;
        if self.tile.is_none() {
            Self::wrong(report, tiles::path(Kind::Hashes(0), number, width));
        }
        if self.has_bundles {
            let open = |width| File::open(self.folder.join(tiles::path(Kind::Entries, number, width)));
            match open(width).or_else(|_| open(WIDTH)) {
                Ok(file) => self.bundle = Some(BufReader::new(file)),
                Err(_) => Self::wrong(report, tiles::path(Kind::Entries, number, width)),
            }
        }
        Ok(())
    }

    /// The leaf hash that the tile has for the record at `index`, whose bundle is checked too.
    fn entry(&mut self, index: u64, record: &[u8], report: &mut Report) -> Result<Option<Digest>, LogError> {
        if index >= self.size {
            return Ok(None);
        }
        if let Some(bundle) = &mut self.bundle {
            let mut length = [0; 2];
            let mut bytes = Vec::new();
            let is_read = bundle.read_exact(&mut length).is_ok()
                && bundle.take(u16::from_be_bytes(length).into()).read_to_end(&mut bytes).is_ok();
            if !is_read || bytes != record {
                let number = index / WIDTH;
                let width = tiles::width(0, number, self.size);
                Self::wrong(report, tiles::path(Kind::Entries, number, width));
                self.bundle = None;
            }
        }
        Ok(self.tile.as_ref().and_then(|tile| tile.get((index % WIDTH) as usize)).copied())
    }

    /// Checks the tiles above the leaves that end with the record at `index`, given its leaf hash and what its tile says.
    fn leaf(&mut self, index: u64, leaves: [Digest; 2], report: &mut Report) -> Result<(), LogError> {
        if index >= self.size {
            return Ok(());
        }
        let (folder, size) = (self.folder, self.size);
        let mut wrong: [Vec<String>; 2] = Default::default();
        for ((builder, leaf), wrong) in self.builders.iter_mut().zip(leaves).zip(&mut wrong) {
            let mut check = |level: u8, number: u64, hashes: &[Digest]| {
                let width = hashes.len() as u64;
                // Those of the leaves are held against the entries one by one.
                if level > 0 && tiles::read(folder, level, number, width)?.as_deref() != Some(hashes) {
                    wrong.push(tiles::path(Kind::Hashes(level), number, width));
                }
                Ok::<_, std::io::Error>(())
            };
            builder.push(leaf, &mut check).map_err(LogError::io(folder))?;
            if index + 1 == size {
                for (level, number, hashes) in builder.partial() {
                    check(level, number, hashes).map_err(LogError::io(folder))?;
                }
            }
        }
        let [of_entries, of_tiles] = wrong;
        of_entries
            .into_iter()
            .filter(|path| of_tiles.contains(path))
            .for_each(|path| Self::wrong(report, path));
        Ok(())
    }
}
