//! Names of a log's files, and writing them so that a crash leaves the old or the new one.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path};

/// The framed entries.
pub(super) const ENTRIES: &str = "entries";
/// The latest checkpoint, with whatever cosignatures it has got.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Every checkpoint that was ever signed.
pub(super) const HISTORY: &str = "history";
/// How much of the entries is known to be on the disk.
pub(super) const SYNCED: &str = "synced";
/// Where every 256th record lies.
pub(super) const OFFSETS: &str = "offsets";
/// Locked by the process that writes.
pub(super) const LOCK: &str = "lock";
/// What is being written under its final name soon.
const UNFINISHED: &str = "unfinished";

/// A file that is written in place. Tests put one between that fails or loses power.
pub(super) trait Medium: Send + Sync {
    /// Writes all bytes at the offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Returns when everything written before is on the disk.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(self, bytes, offset)?;
            bytes = bytes.get(written..).filter(|_| written > 0).ok_or(io::ErrorKind::WriteZero)?;
            offset += written as u64;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Makes the folders of `name` below `folder`, durably.
fn make_folders(folder: &Path, name: &Path) -> io::Result<()> {
    let mut at = folder.to_owned();
    for part in name.parent().map(Path::components).into_iter().flatten() {
        let Component::Normal(part) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
        let child = at.join(part);
        match fs::create_dir(&child) {
            Ok(()) => sync_folder(&at)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        at = child;
    }
    Ok(())
}

/// Writes the file `name` below `folder`: whole and on the disk when this returns, or as it was before. One caller at a time.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (unfinished, path) = (folder.join(UNFINISHED), folder.join(name));
    make_folders(folder, Path::new(name))?;
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a file that is at most `limit` bytes long. `None` if there is none.
pub(super) fn read_bounded(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file can be"));
    }
    Ok(Some(bytes))
}
