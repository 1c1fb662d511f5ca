//! Appending to a log on disk, from any number of threads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ostrom_core::Digest;

use super::checkpoint::SignedCheckpoint;
use super::error::LogError;
use super::files::{ENTRIES, Medium};
use super::frame::{self, LARGEST};
use super::merkle::{Tree, leaf_hash};
use super::note::VerifierKey;
use super::open::Recovery;
use super::publish::Publisher;
use crate::SecretKey;

/// The longest record in a bundle, whose lengths have two bytes.
const LARGEST_IN_BUNDLE: usize = u16::MAX as usize;
/// A buffer that one long record has made larger than this is not kept.
const KEEP: usize = 1 << 16;

/// What an append promises when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The record is on the disk: it survives a power cut. Appends that wait at the same time share one fsync.
    Durable,
    /// The operating system has the record: it survives a killed process. A power cut takes the records of the last
    /// `sync_every`, and of however long the disk needs.
    Buffered {
        /// Longest time from an append to the fsync that makes it durable.
        sync_every: Duration,
    },
}

/// How a log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What an append promises.
    pub durability: Durability,
    /// Longest record that is taken, in bytes; at most 16 MiB.
    pub max_record: usize,
    /// Whether [`Log::checkpoint`] writes the entries a second time, as the bundles that C2SP tlog-tiles describes, for serving
    /// them to others. Then `max_record` is at most 65,535.
    pub bundles: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Durable, max_record: 1 << 20, bundles: false }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.max_record > LARGEST {
            return Err(LogError::Options("a record has at most 16 MiB: choose a smaller max_record"));
        }
        if self.bundles && self.max_record > LARGEST_IN_BUNDLE {
            return Err(LogError::Options(
                "with bundles, a record has at most 65,535 bytes: choose a smaller max_record",
            ));
        }
        Ok(())
    }
}

/// What changes with every append.
pub(super) struct State {
    pub(super) tree: Tree,
    /// Where the next record goes.
    pub(super) end: u64,
    /// What is known to be on the disk.
    pub(super) synced: u64,
    /// Whether somebody is waiting for the disk right now.
    pub(super) is_syncing: bool,
    pub(super) is_closing: bool,
    /// Why nothing may be written any more.
    pub(super) failed: Option<String>,
    /// Where frames are put together.
    pub(super) frames: Vec<u8>,
}

/// The log up to some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) root: Digest,
    pub(super) end: u64,
}

pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) entries: Box<dyn Medium>,
    /// The file `synced`.
    pub(super) mark: Box<dyn Medium>,
    pub(super) options: Options,
    pub(super) key: Arc<SecretKey>,
    pub(super) verifier: VerifierKey,
    pub(super) state: Mutex<State>,
    /// Told when `synced` has grown, or the log has failed.
    pub(super) progress: Condvar,
    /// Told when there is something to sync, or the log closes.
    pub(super) work: Condvar,
    /// Held while a checkpoint is made. Taken before `state`, never after.
    pub(super) publisher: Mutex<Publisher>,
    pub(super) recovery: Recovery,
    /// Holds the lock of the folder.
    pub(super) _lock: File,
}

/// An append-only log on disk, open for writing.
pub struct Log {
    pub(super) shared: Arc<Shared>,
    pub(super) flusher: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({:?} in {})", self.shared.verifier.name(), self.shared.folder.display())
    }
}

impl Log {
    /// Appends a record and returns its index, from 0. What holds when this returns is the log's [`Durability`].
    ///
    /// # Errors
    /// If the record is too long, or cannot be written: then the log is as it was before, and a later append can succeed. If the
    /// system cannot say whether a record is on the disk, no more records are taken ([`LogError::Closed`]); a record whose append
    /// failed so may be there, whole, when the log is opened again.
    pub fn append(&self, record: &[u8]) -> Result<u64, LogError> {
        self.shared.append(&[record])
    }

    /// Appends records one after the other with one write, and returns the index of the first: all of them are in the log, or
    /// none is.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_all<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<u64, LogError> {
        self.shared.append(records)
    }

    /// Returns when every record that was appended before is on the disk.
    ///
    /// # Errors
    /// If the system says that it is not.
    pub fn sync(&self) -> Result<(), LogError> {
        let state = self.shared.lock();
        let end = state.end;
        self.shared.wait_synced(state, end)
    }

    /// Makes everything durable, writes tiles, and signs and publishes a checkpoint. Appends go on meanwhile. With no new
    /// records, it returns the latest checkpoint again.
    ///
    /// It reads back what was appended since the last one, which takes about as long as appending it, and makes one file for
    /// every 256 records.
    ///
    /// # Errors
    /// If it cannot be written, or what is read back is not what was appended. The log itself is not harmed.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, LogError> {
        self.shared.checkpoint()
    }

    /// Publishes the latest checkpoint again, with the cosignatures of witnesses that it has got meanwhile.
    ///
    /// # Errors
    /// If it is not the latest one, or cannot be written.
    pub fn publish(&self, cosigned: &SignedCheckpoint) -> Result<(), LogError> {
        let publisher = self.shared.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish_again(&self.shared, cosigned)
    }

    /// The checkpoint that was made last.
    pub fn latest(&self) -> Option<SignedCheckpoint> {
        self.shared.publisher.lock().unwrap_or_else(PoisonError::into_inner).latest().cloned()
    }

    /// Number of records.
    pub fn size(&self) -> u64 {
        self.shared.lock().tree.size()
    }

    /// What had to be cut off or made again when the log was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.shared.recovery
    }

    /// The key that verifies the log, for others.
    pub fn verifier(&self) -> &VerifierKey {
        &self.shared.verifier
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Makes everything durable and closes the log. Dropping it does the same, but cannot say whether it worked.
    ///
    /// # Errors
    /// If not everything is on the disk.
    pub fn close(mut self) -> Result<(), LogError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), LogError> {
        self.shared.lock().is_closing = true;
        self.shared.work.notify_all();
        if let Some(flusher) = self.flusher.take() {
            // A panic there has left records unsynced, which the sync below makes good.
            let _ = flusher.join();
        }
        self.sync()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held the lock had not moved `end` yet, or had finished: the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(ENTRIES)
    }

    fn append<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<u64, LogError> {
        let limit = self.options.max_record;
        if let Some(length) =
            records.iter().map(|record| record.as_ref().len()).find(|length| *length > limit)
        {
            return Err(LogError::TooLong { length, limit });
        }
        if records.is_empty() {
            return Ok(self.lock().tree.size());
        }
        // Hashing takes time and needs nothing of the state.
        let leaves: Vec<Digest> = records.iter().map(|record| leaf_hash(record.as_ref())).collect();
        let mut state = self.lock();
        if let Some(why) = &state.failed {
            return Err(LogError::Closed(why.clone()));
        }
        let mut frames = std::mem::take(&mut state.frames);
        frames.clear();
        for (record, leaf) in records.iter().zip(&leaves) {
            frame::encode(record.as_ref(), leaf, &mut frames);
        }
        let (from, length) = (state.end, frames.len() as u64);
        let written = self.entries.write_at(&frames, from);
        if frames.capacity() <= KEEP {
            state.frames = frames;
        }
        if let Err(source) = written {
            // What a full disk left of the frames must not stay: a later one would be written over it only in part.
            if let Err(error) = self.entries.set_len(from) {
                state.failed = Some(format!("a record was written in part and cannot be cut off ({error})"));
                self.progress.notify_all();
            }
            return Err(LogError::Io { path: self.path(), source });
        }
        let index = state.tree.size();
        let was_clean = state.synced == from;
        for leaf in leaves {
            state.tree.push(leaf);
        }
        state.end = from + length;
        match self.options.durability {
            Durability::Durable => {
                let end = state.end;
                self.wait_synced(state, end)?;
            }
            Durability::Buffered { .. } => {
                drop(state);
                if was_clean {
                    self.work.notify_one();
                }
            }
        }
        Ok(index)
    }

    /// Waits until the entries up to `target` are on the disk. The first to come does it for all who wait.
    pub(super) fn wait_synced<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        target: u64,
    ) -> Result<(), LogError> {
        while state.synced < target {
            if let Some(why) = &state.failed {
                return Err(LogError::Closed(why.clone()));
            }
            if state.is_syncing {
                state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_syncing = true;
            let end = state.end;
            drop(state);
            let result = self.entries.sync();
            state = self.lock();
            state.is_syncing = false;
            match result {
                Ok(()) => {
                    state.synced = end;
                    // If this fails, the mark says less than it could: recovery is less strict, nothing is lost.
                    let _ = self.mark.write_at(&frame::encode_mark(end), 0);
                }
                Err(error) => {
                    // The system may have thrown away what it could not write, and would call it written the next time.
                    state.failed = Some(format!(
                        "the disk did not take what was written to {} ({error})",
                        self.path().display()
                    ));
                    if self.options.durability == Durability::Durable {
                        // None of these was acknowledged. Should this fail too, they are found when the log is opened.
                        let _ = self.entries.set_len(state.synced);
                    }
                }
            }
            self.progress.notify_all();
        }
        Ok(())
    }

    /// The log up to now, after making it durable.
    pub(super) fn synced_head(&self) -> Result<Head, LogError> {
        let state = self.lock();
        if let Some(why) = &state.failed {
            return Err(LogError::Closed(why.clone()));
        }
        let head = Head { size: state.tree.size(), root: state.tree.root(), end: state.end };
        self.wait_synced(state, head.end)?;
        Ok(head)
    }

    /// Makes records durable at most `every` after they were appended, until the log closes.
    pub(super) fn flush(&self, every: Duration) {
        loop {
            let mut state = self.lock();
            while state.synced == state.end && !state.is_closing {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // Meanwhile more records come together.
            let closing = |state: &mut State| !state.is_closing;
            let waited = self.work.wait_timeout_while(state, every, closing);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let (end, is_closing) = (state.end, state.is_closing);
            // The next append says what went wrong.
            if self.wait_synced(state, end).is_err() || is_closing {
                return;
            }
        }
    }
}
