//! Reading the entries of a log, also while it is being written.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::LogError;
use super::files::{ENTRIES, OFFSETS};
use super::frame::{self, Found, Frames};
use super::open::offset_of;
use super::tiles::WIDTH;

/// A record and its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub index: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The entries of a log, one after another. After an error, nothing more comes.
pub struct Entries {
    folder: PathBuf,
    frames: Frames<BufReader<File>>,
    /// Of the next record.
    index: u64,
    synced: u64,
    is_done: bool,
    unfinished: u64,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entries(at {} in {})", self.index, self.folder.display())
    }
}

/// Reads the log in `folder` from the beginning to where it ends now. Whether anybody changed it, only
/// [`verify`](super::verify()) can say.
///
/// # Errors
/// If there is no log.
pub fn read(folder: &Path) -> Result<Entries, LogError> {
    read_from(folder, 0)
}

/// As [`read`], but from the record at `index` on. Finds it quickly if it lies under a checkpoint.
///
/// # Errors
/// If there is no log, or an entry before it cannot be read.
pub fn read_from(folder: &Path, index: u64) -> Result<Entries, LogError> {
    let path = folder.join(ENTRIES);
    // The mark comes first: if the log grows meanwhile, it says less than it could, which is harmless.
    let synced = frame::read_mark(folder).map_err(LogError::io(folder))?.unwrap_or(0);
    let (mut full, mut offset) = (0, frame::START);
    if let Some(found) = offset_of(folder, index / WIDTH).map_err(LogError::io(folder))? {
        (full, offset) = (index / WIDTH, found);
    }
    let frames = frame::open(folder, offset, None).map_err(LogError::io(&path))?;
    if offset > frames.end() {
        return Err(LogError::damaged(
            folder,
            format!("{OFFSETS} says that record {} lies behind the end", full * WIDTH),
        ));
    }
    let first = full.saturating_mul(WIDTH);
    let mut entries =
        Entries { folder: folder.to_owned(), frames, index: first, synced, is_done: false, unfinished: 0 };
    while entries.index < index && entries.step()?.is_some() {}
    Ok(entries)
}

impl Entries {
    /// Bytes at the end that are no whole record: one that is being written now, or that a crash has left, which opening the log
    /// cuts off. Known once the last entry was read.
    pub fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// Reads the next record into `frames`.
    fn step(&mut self) -> Result<Option<u64>, LogError> {
        if self.is_done {
            return Ok(None);
        }
        self.is_done = true;
        let start = self.frames.offset();
        let found = self.frames.next().map_err(LogError::io(&self.folder.join(ENTRIES)))?;
        if let Found::Record { sound: true, .. } = found {
            self.is_done = false;
            let index = self.index;
            self.index = index.saturating_add(1);
            return Ok(Some(index));
        }
        if start < self.synced {
            let index = self.index;
            return Err(LogError::damaged(
                &self.folder,
                format!("record {index} was on the disk and is not whole any more"),
            ));
        }
        self.unfinished = self.frames.end().saturating_sub(start);
        Ok(None)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.step().transpose()?;
        Some(index.map(|index| Entry { index, bytes: self.frames.record().to_vec() }))
    }
}
