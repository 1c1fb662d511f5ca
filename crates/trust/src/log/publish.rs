//! Making checkpoints: tiles, the signature, the history.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::error::LogError;
use super::files::{CHECKPOINT, ENTRIES, HISTORY, Medium, OFFSETS, replace};
use super::frame::{self, Found, START};
use super::store::{Head, Shared};
use super::tiles::{self, Builder, Kind, WIDTH};

/// The log after a number of full tiles of leaves.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// How many.
    pub(super) full: u64,
    /// Where the next record lies.
    pub(super) offset: u64,
    pub(super) builder: Builder,
}

impl Default for Base {
    fn default() -> Self {
        Self { full: 0, offset: START, builder: Builder::default() }
    }
}

/// What is known of the checkpoints that were made, and what is needed to make the next.
pub(super) struct Publisher {
    /// From where tiles are written next.
    pub(super) base: Base,
    /// Size of the tree whose tiles are all written.
    pub(super) tiled: u64,
    pub(super) latest: Option<SignedCheckpoint>,
    /// Whether `latest` is in the history, but not published.
    pub(super) unpublished: bool,
    pub(super) history: Box<dyn Medium>,
    pub(super) history_end: u64,
    pub(super) offsets: Box<dyn Medium>,
}

impl Shared {
    pub(super) fn checkpoint(&self) -> Result<SignedCheckpoint, LogError> {
        let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        let head = self.synced_head()?;
        publisher.publish(self, head)
    }
}

impl Publisher {
    pub(super) fn latest(&self) -> Option<&SignedCheckpoint> {
        self.latest.as_ref()
    }

    fn publish(&mut self, log: &Shared, head: Head) -> Result<SignedCheckpoint, LogError> {
        if self.tiled != head.size {
            self.base = self.write_tiles(log, head)?;
            self.tiled = head.size;
        }
        let signed = match &self.latest {
            Some(latest) if latest.checkpoint().size() == head.size => latest.clone(),
            _ => self.sign(log, head)?,
        };
        if self.unpublished {
            Self::replace(log, &signed)?;
            self.unpublished = false;
        }
        Ok(signed)
    }

    pub(super) fn publish_again(&self, log: &Shared, cosigned: &SignedCheckpoint) -> Result<(), LogError> {
        if self.latest.as_ref().map(SignedCheckpoint::text) != Some(cosigned.text()) {
            return Err(LogError::Options("only the latest checkpoint can be published"));
        }
        Self::replace(log, cosigned)
    }

    fn replace(log: &Shared, signed: &SignedCheckpoint) -> Result<(), LogError> {
        let path = log.folder.join(CHECKPOINT);
        replace(&log.folder, CHECKPOINT, signed.to_string().as_bytes()).map_err(LogError::io(&path))
    }

    /// Signs a checkpoint and puts it into the history.
    fn sign(&mut self, log: &Shared, head: Head) -> Result<SignedCheckpoint, LogError> {
        let checkpoint = Checkpoint::new(log.verifier.name(), head.size, head.root)?;
        let signed = SignedCheckpoint::sign(checkpoint, &log.key)?;
        let note = format!("{signed}\n");
        let path = log.folder.join(HISTORY);
        // An earlier attempt may have left a part.
        let written = self
            .history
            .set_len(self.history_end)
            .and_then(|()| self.history.write_at(note.as_bytes(), self.history_end))
            .and_then(|()| self.history.sync());
        written.map_err(LogError::io(&path))?;
        self.history_end += note.len() as u64;
        self.latest = Some(signed.clone());
        self.unpublished = true;
        Ok(signed)
    }

    /// Writes the tiles that are new in `head`, from what lies on the disk, and checks that it is what was appended.
    fn write_tiles(&self, log: &Shared, head: Head) -> Result<Base, LogError> {
        let folder = log.folder.as_path();
        let write =
            |name: &str, bytes: &[u8]| replace(folder, name, bytes).map_err(LogError::io(&folder.join(name)));
        let io = |source| LogError::Io { path: folder.join(ENTRIES), source };
        let mut frames = frame::open(folder, self.base.offset, Some(head.end)).map_err(io)?;
        let (mut base, mut builder) = (self.base.clone(), self.base.builder.clone());
        let (mut bundle, mut offsets, mut full_tiles) = (Vec::new(), Vec::new(), Vec::new());
        while let Found::Record { leaf, sound: true } = frames.next().map_err(io)? {
            if log.options.bundles {
                add_to_bundle(frames.record(), &mut bundle)?;
            }
            let before = full_tiles.len();
            builder.push(leaf, &mut |level, index, hashes| {
                full_tiles.push((Kind::Hashes(level), index));
                write(&tiles::path(Kind::Hashes(level), index, WIDTH), &tiles::encode(hashes))
            })?;
            if full_tiles.len() == before {
                continue;
            }
            if log.options.bundles {
                full_tiles.push((Kind::Entries, base.full));
                write(&tiles::path(Kind::Entries, base.full, WIDTH), &bundle)?;
                bundle.clear();
            }
            base = Base { full: base.full + 1, offset: frames.offset(), builder: builder.clone() };
            offsets.extend_from_slice(&base.offset.to_be_bytes());
        }
        let tree = builder.tree();
        if tree.size() != head.size || tree.root() != head.root || frames.offset() != head.end {
            let at = tree.size().min(head.size);
            return Err(LogError::damaged(
                folder,
                format!("record {at} or one before it is not what was appended"),
            ));
        }
        for (level, index, hashes) in builder.partial() {
            let width = hashes.len() as u64;
            if tiles::width(level, index, self.tiled) != width {
                write(&tiles::path(Kind::Hashes(level), index, width), &tiles::encode(hashes))?;
            }
        }
        if !bundle.is_empty() {
            write(&tiles::path(Kind::Entries, base.full, head.size % WIDTH), &bundle)?;
        }
        if !offsets.is_empty() {
            // The first full tile ends at the first of these.
            let written =
                self.offsets.write_at(&offsets, self.base.full * 8).and_then(|()| self.offsets.sync());
            written.map_err(LogError::io(&folder.join(OFFSETS)))?;
        }
        full_tiles.into_iter().for_each(|tile| remove_partial(folder, tile));
        Ok(base)
    }
}

fn add_to_bundle(record: &[u8], bundle: &mut Vec<u8>) -> Result<(), LogError> {
    let length = u16::try_from(record.len()).map_err(|_| {
        LogError::Options("an earlier record is longer than 65,535 bytes: open this log without bundles")
    })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(record);
    Ok(())
}

/// The partial tiles that a full one has made superfluous. They do no harm if they stay.
fn remove_partial(folder: &Path, (kind, index): (Kind, u64)) {
    let _ = fs::remove_dir_all(folder.join(format!("{}.p", tiles::path(kind, index, WIDTH))));
}
