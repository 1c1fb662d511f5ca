//! Opening a log: finding where it ends, and what a crash has left behind.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::error::LogError;
use super::files::{CHECKPOINT, ENTRIES, HISTORY, LOCK, Medium, OFFSETS, SYNCED, replace, sync_folder};
use super::frame::{self, Found, MAGIC, NOT_ENTRIES, START};
use super::history;
use super::merkle::Tree;
use super::note::VerifierKey;
use super::publish::{Base, Publisher};
use super::store::{Durability, Log, Options, Shared, State};
use super::tiles::{Builder, WIDTH};
use crate::SecretKey;

/// What had to be cut off or made again when a log was opened. All of it was never acknowledged, or can be derived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whole records in the log.
    pub entries: u64,
    /// Bytes behind the last whole record that were cut off: what a crash left of records in the making.
    pub cut_bytes: u64,
    /// Whether a checkpoint in the making was cut off the history.
    pub cut_checkpoint: bool,
    /// Whether tiles were missing or wrong, and the next checkpoint writes them again.
    pub rebuilt_tiles: bool,
}

impl Recovery {
    /// Whether nothing had to be done.
    pub fn is_clean(&self) -> bool {
        self.cut_bytes == 0 && !self.cut_checkpoint && !self.rebuilt_tiles
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.entries)?;
        if self.cut_bytes > 0 {
            write!(f, "; {} bytes of an unfinished record were cut off", self.cut_bytes)?;
        }
        if self.cut_checkpoint {
            write!(f, "; an unfinished checkpoint was cut off")?;
        }
        if self.rebuilt_tiles {
            write!(f, "; tiles were missing or wrong and will be written again")?;
        }
        Ok(())
    }
}

/// Makes of a file what is written to. Tests put one between that fails.
pub(super) type Mediums<'a> = &'a dyn Fn(&'static str, File) -> Box<dyn Medium>;

impl Log {
    /// Opens the log in `folder`, or makes one, and takes its lock. What a crash has left unfinished is cut off
    /// ([`Log::recovery`] says what); everything else that does not add up is an error, and nothing is changed.
    ///
    /// It reads the records since the last checkpoint, and checks that they and the tiles lead to its root.
    ///
    /// # Errors
    /// If another process has it open, it was damaged, it belongs to another key or origin, or it cannot be read or written.
    pub fn open(
        folder: &Path,
        key: impl Into<Arc<SecretKey>>,
        origin: &str,
        options: &Options,
    ) -> Result<Self, LogError> {
        Self::open_on(folder, key.into(), origin, options, &|_, file| Box::new(file))
    }

    pub(super) fn open_on(
        folder: &Path,
        key: Arc<SecretKey>,
        origin: &str,
        options: &Options,
        mediums: Mediums<'_>,
    ) -> Result<Self, LogError> {
        options.check()?;
        let verifier = VerifierKey::log(origin, key.public())?;
        fs::create_dir_all(folder).map_err(LogError::io(folder))?;
        let lock = lock(folder)?;
        let file = |name: &'static str| {
            let path = folder.join(name);
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            file.map(|file| (file, path.clone())).map_err(LogError::io(&path))
        };

        let (entries, path) = file(ENTRIES)?;
        begin(&entries, &path)?;
        let past = history::recover(folder, &verifier)?;
        let latest = past.latest.as_ref().map(SignedCheckpoint::checkpoint);
        let length = entries.metadata().map_err(LogError::io(&path))?.len();
        let (base, scan, rebuilt_tiles) = scan_all(folder, length, latest)?;
        let cut_bytes = length.saturating_sub(scan.end);
        check_tail(folder, scan.end, cut_bytes)?;

        // From here on things are changed.
        let entries = mediums(ENTRIES, entries);
        if cut_bytes > 0 {
            entries.set_len(scan.end).map_err(LogError::io(&path))?;
        }
        entries.sync().map_err(LogError::io(&path))?;
        let (mark, path) = file(SYNCED)?;
        let mark = mediums(SYNCED, mark);
        let marked = mark.write_at(&frame::encode_mark(scan.end), 0).and_then(|()| mark.sync());
        marked.map_err(LogError::io(&path))?;
        let (history, path) = file(HISTORY)?;
        let history = mediums(HISTORY, history);
        if past.unfinished {
            history.set_len(past.end).and_then(|()| history.sync()).map_err(LogError::io(&path))?;
        }
        let (offsets, _) = file(OFFSETS)?;
        let offsets = mediums(OFFSETS, offsets);
        sync_folder(folder).map_err(LogError::io(folder))?;
        if let (true, Some(latest)) = (past.unpublished, &past.latest) {
            let path = folder.join(CHECKPOINT);
            replace(folder, CHECKPOINT, latest.to_string().as_bytes()).map_err(LogError::io(&path))?;
        }

        let recovery =
            Recovery { entries: scan.tree.size(), cut_bytes, cut_checkpoint: past.unfinished, rebuilt_tiles };
        let publisher = Publisher {
            base,
            tiled: if rebuilt_tiles { 0 } else { latest.map_or(0, Checkpoint::size) },
            latest: past.latest,
            unpublished: false,
            history,
            history_end: past.end,
            offsets,
        };
        let state = State {
            tree: scan.tree,
            end: scan.end,
            synced: scan.end,
            is_syncing: false,
            is_closing: false,
            failed: None,
            frames: Vec::new(),
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            entries,
            mark,
            options: options.clone(),
            key,
            verifier,
            state: Mutex::new(state),
            progress: Condvar::new(),
            work: Condvar::new(),
            publisher: Mutex::new(publisher),
            recovery,
            _lock: lock,
        });
        let flusher = match options.durability {
            Durability::Durable => None,
            Durability::Buffered { sync_every } => {
                let shared = Arc::clone(&shared);
                let thread = std::thread::Builder::new().name("log-sync".to_owned());
                Some(thread.spawn(move || shared.flush(sync_every)).map_err(LogError::io(folder))?)
            }
        };
        Ok(Self { shared, flusher })
    }
}

/// Takes the folder's lock, which goes when the file is closed, however the process ends.
fn lock(folder: &Path) -> Result<File, LogError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(LogError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Busy(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(LogError::Io { path, source }),
    }
}

/// Writes the beginning of a new file of entries, durably, and checks that of an old one.
fn begin(file: &File, path: &Path) -> Result<(), LogError> {
    let mut found = Vec::new();
    file.take(START).read_to_end(&mut found).map_err(LogError::io(path))?;
    if found == MAGIC {
        return Ok(());
    }
    // A crash while it was made leaves a part of it, or nothing, or zeros.
    let length = file.metadata().map_err(LogError::io(path))?.len();
    let is_new = length <= START && (MAGIC.starts_with(&found) || found.iter().all(|byte| *byte == 0));
    if !is_new {
        return Err(LogError::NotALog { path: path.to_owned(), why: NOT_ENTRIES });
    }
    let folder = path.parent();
    let made = Medium::set_len(file, 0)
        .and_then(|()| file.write_at(MAGIC, 0))
        .and_then(|()| file.sync_all())
        .and_then(|()| folder.map_or(Ok(()), sync_folder))
        .and_then(|()| folder.and_then(Path::parent).filter(|up| up.is_dir()).map_or(Ok(()), sync_folder));
    made.map_err(LogError::io(path))
}

/// Where whole records end.
struct Scan {
    tree: Tree,
    end: u64,
}

/// Reads the records since the last checkpoint. Returns from where on tiles must be written and whether that is all of them.
fn scan_all(folder: &Path, length: u64, latest: Option<&Checkpoint>) -> Result<(Base, Scan, bool), LogError> {
    let io = LogError::io(folder);
    if let Some(latest) = latest
        && let Some(base) = resume(folder, latest.size()).map_err(&io)?
        && let Some(scan) = scan(folder, length, &base, Some(latest)).map_err(&io)?
    {
        return Ok((base, scan, false));
    }
    // The tiles do not fit. They can be derived, so everything is read.
    let base = Base::default();
    match scan(folder, length, &base, latest).map_err(&io)? {
        Some(scan) => Ok((base, scan, latest.is_some_and(|latest| latest.size() > 0))),
        None => Err(LogError::damaged(
            folder,
            format!(
                "its entries do not lead to the checkpoint of {} entries",
                latest.map_or(0, Checkpoint::size)
            ),
        )),
    }
}

/// The state before the last leaves under a checkpoint, from its tiles. `None` if something is missing. At least one record
/// stays to be read, so that a wrong offset is noticed.
fn resume(folder: &Path, size: u64) -> io::Result<Option<Base>> {
    let full = size.saturating_sub(1) / WIDTH;
    let Some(builder) = Builder::resume(folder, full, size)? else { return Ok(None) };
    let Some(offset) = offset_of(folder, full)? else { return Ok(None) };
    Ok(Some(Base { full, offset, builder }))
}

/// Where the record after `full` full tiles lies. `None` if no checkpoint has got so far.
pub(super) fn offset_of(folder: &Path, full: u64) -> io::Result<Option<u64>> {
    let Some(at) = full.checked_sub(1) else { return Ok(Some(START)) };
    let mut file = match File::open(folder.join(OFFSETS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    file.seek(SeekFrom::Start(at.saturating_mul(8)))?;
    let mut offset = [0; 8];
    match file.read_exact(&mut offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some(u64::from_be_bytes(offset))),
    }
}

/// Reads records from `base` on to the last whole one. `None` if they do not lead to the checkpoint's root.
fn scan(folder: &Path, length: u64, base: &Base, latest: Option<&Checkpoint>) -> io::Result<Option<Scan>> {
    if base.offset > length {
        return Ok(None);
    }
    let mut frames = frame::open(folder, base.offset, Some(length))?;
    let mut tree = base.builder.tree();
    let fits = |tree: &Tree| {
        latest.is_some_and(|latest| (latest.size(), latest.root()) == (tree.size(), tree.root()))
    };
    let mut is_reached = latest.is_none() || fits(&tree);
    let mut end = frames.offset();
    while let Found::Record { leaf, sound: true } = frames.next()? {
        tree.push(leaf);
        end = frames.offset();
        if !is_reached && latest.is_some_and(|latest| latest.size() == tree.size()) {
            is_reached = fits(&tree);
        }
    }
    Ok(is_reached.then_some(Scan { tree, end }))
}

/// Whether what lies behind the last whole record can be what a crash has left.
fn check_tail(folder: &Path, end: u64, tail: u64) -> Result<(), LogError> {
    let synced = frame::read_mark(folder).map_err(LogError::io(&folder.join(SYNCED)))?;
    match synced {
        Some(synced) if end < synced => Err(LogError::damaged(
            folder,
            format!(
                "{synced} bytes of {ENTRIES} were on the disk, but only the first {end} are whole records"
            ),
        )),
        None if tail > 0 => Err(LogError::damaged(
            folder,
            format!(
                "the last {tail} bytes of {ENTRIES} are no whole record, and {SYNCED}, which tells whether they were ever acknowledged, is missing or unreadable"
            ),
        )),
        _ => Ok(()),
    }
}
