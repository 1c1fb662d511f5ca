//! From a folder to its files: everything in it is examined or named as not examined.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ostrom_core::{Digest, Finding};
use sha2::{Digest as _, Sha256};

use crate::examination::{Examination, Outcome, escape};
use crate::folder::Facts;
use crate::report::{FileReport, Report};
use crate::source::{OpenFile, View};
use crate::{Limits, folder, rules, source};

/// How to scan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bounds on what is taken from untrusted bytes.
    pub limits: Limits,
    /// Threads; 0 stands for one a core.
    pub threads: usize,
    /// Whether to take the SHA-256 of each file as well.
    pub digests: bool,
}

/// Told how far a scan is.
pub trait Progress: Sync {
    /// What there is to do: files and their bytes.
    fn total(&self, files: usize, bytes: u64) {
        let _ = (files, bytes);
    }

    /// A file of `bytes` bytes is done.
    fn file(&self, path: &str, bytes: u64) {
        let _ = (path, bytes);
    }
}

impl Progress for () {}

/// The path cannot be scanned at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ScanError {
    path: PathBuf,
    source: io::Error,
}

/// What lies in a folder. There may be a great many.
struct Entry {
    /// Relative, with `/`, escaped where it is not UTF-8.
    name: Box<str>,
    /// Where the file is, if its name does not say it: one that is not UTF-8, and the only file of a scan.
    place: Option<Box<Path>>,
    size: u64,
}

impl Entry {
    fn path(&self, root: &Path) -> PathBuf {
        self.place.as_ref().map_or_else(|| root.join(&*self.name), |place| place.to_path_buf())
    }
}

/// Scans a file, or a folder with everything below it. Symbolic links to files are
/// followed; those to folders outside are a finding.
///
/// # Errors
/// If `path` itself cannot be opened; what lies below it and cannot is a finding.
pub fn scan(path: &Path, options: &Options, progress: &impl Progress) -> Result<Report, ScanError> {
    let error = |source| ScanError { path: path.to_owned(), source };
    let mut folder = Vec::new();
    let mut entries = Vec::new();
    let metadata = fs::metadata(path).map_err(error)?;
    if metadata.is_dir() {
        let root = path.canonicalize().map_err(error)?;
        fs::read_dir(path).map_err(error)?;
        collect(&root, path, "", 0, &mut entries, &mut folder);
    } else if metadata.is_file() {
        let name = path.file_name().map_or_else(String::new, readable);
        entries.push(Entry { name: name.into(), place: Some(path.into()), size: metadata.len() });
    } else {
        return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder")));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    progress.total(entries.len(), entries.iter().map(|entry| entry.size).sum());
    let (mut files, facts) = examine_all(path, &entries, options, progress);
    drop(entries);
    let raw = folder::raw_tensors(&folder::entries(&files, &facts));
    for file in files.iter_mut().filter(|file| raw.contains(&file.path)) {
        file.findings.retain(|finding| finding.rule.as_str() != rules::UNKNOWN || finding.place != file.path);
    }
    folder.extend(folder::examine(&folder::entries(&files, &facts)));
    Ok(Report { files, folder })
}

/// Examines every entry, on several threads, the largest first, so that no thread is left with a large one at the end.
fn examine_all(
    root: &Path,
    entries: &[Entry],
    options: &Options,
    progress: &impl Progress,
) -> (Vec<FileReport>, Vec<Facts>) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if options.threads == 0 { cores } else { options.threads }.min(entries.len().max(1));
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(entries.get(index).map_or(0, |entry| entry.size)));
    let next = AtomicUsize::new(0);
    let mut places: Vec<Option<FileReport>> = Vec::new();
    places.resize_with(entries.len(), || None);
    let done = Mutex::new((places, vec![Facts::new(); entries.len()]));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(entry) = entries.get(index) else { continue };
                    let (report, facts) = examine(root, entry, options);
                    progress.file(&entry.name, entry.size);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(place) = done.0.get_mut(index) {
                        *place = Some(report);
                    }
                    if let Some(place) = done.1.get_mut(index) {
                        *place = facts;
                    }
                }
            });
        }
    });
    let (files, facts) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    // INVARIANT: every index was taken by a thread, and a thread that panics takes the scan with it; none is left out.
    (files.into_iter().flatten().collect(), facts)
}

fn examine(root: &Path, entry: &Entry, options: &Options) -> (FileReport, Facts) {
    let (outcome, sha256) = match open(root, entry, options) {
        Ok(done) => done,
        Err(error) => (unreadable(options, &entry.name, &error.to_string()), None),
    };
    let Outcome { findings, unkept, formats, facts } = outcome;
    let report = FileReport {
        path: entry.name.to_string(),
        size: entry.size,
        sha256,
        formats: formats.into_iter().map(str::to_owned).collect(),
        findings,
        unkept,
    };
    (report, facts.into_iter().collect())
}

fn open(root: &Path, entry: &Entry, options: &Options) -> io::Result<(Outcome, Option<Digest>)> {
    let file = open_regular(&entry.path(root))?;
    let before = stamp(&file)?;
    if before.0 == 0 && source::has_more(&file)? {
        // Files of the kernel's have content and no length; whoever loads them reads what nobody has examined.
        return Err(io::Error::other("it has content, but says that it is empty"));
    }
    let view = View::new(OpenFile::new(file.try_clone()?)?);
    let mut outcome = Examination::run(&options.limits, &entry.name, &view);
    let sha256 = if options.digests { Some(digest(&view)?) } else { None };
    if stamp(&file)? != before {
        let what = "its size or time changed during the scan";
        outcome.findings.extend(single(options, &entry.name, rules::CHANGED, what).findings);
    }
    Ok((outcome, sha256))
}

/// Opens a file and makes sure that it is one. Should somebody have put a pipe in its place since it was listed, opening
/// it must not wait for a writer.
fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no longer a file"));
    }
    Ok(file)
}

/// What changes when a file is written to: its length and times. The last of them, when content or attributes changed,
/// nobody can set back.
type Stamp = (u64, Option<std::time::SystemTime>, (i64, i64));

fn stamp(file: &File) -> io::Result<Stamp> {
    let metadata = file.metadata()?;
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let changed = (0, 0);
    Ok((metadata.len(), metadata.modified().ok(), changed))
}

fn digest(view: &View) -> io::Result<Digest> {
    let mut reader = view.reader();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn single(options: &Options, name: &str, id: &str, what: &str) -> Outcome {
    let mut scan = Examination::new(&options.limits, name);
    scan.report(id, None, what);
    scan.end()
}

fn unreadable(options: &Options, name: &str, what: &str) -> Outcome {
    single(options, name, rules::UNREADABLE, what)
}

/// The deepest folder that is entered. File systems allow more, people do not make more.
const MAX_DEPTH: usize = 128;

fn collect(
    root: &Path,
    folder: &Path,
    prefix: &str,
    depth: usize,
    entries: &mut Vec<Entry>,
    findings: &mut Vec<Finding>,
) {
    let mut complain = |name: &str, id: &str, what: &str| {
        findings.extend(single(&Options::default(), name, id, what).findings);
    };
    if depth > MAX_DEPTH {
        complain(prefix, rules::LIMIT, &format!("folders lie more than {MAX_DEPTH} deep in one another"));
        return;
    }
    let list = match fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) => return complain(prefix, rules::UNREADABLE, &error.to_string()),
    };
    // Whether the name of some folder on the way is not UTF-8, so that `prefix` is not where it is.
    let prefix_is_odd = folder.to_str().is_none();
    let mut folders = Vec::new();
    for entry in list {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                complain(prefix, rules::UNREADABLE, &error.to_string());
                continue;
            }
        };
        let path = entry.path();
        let name = if prefix.is_empty() {
            readable(&entry.file_name())
        } else {
            format!("{prefix}/{}", readable(&entry.file_name()))
        };
        if entry.file_name().to_str().is_none() {
            complain(
                &name,
                rules::NAME_NOT_UTF8,
                "its name is not UTF-8; loaders differ in what they make of it",
            );
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link {
            match path.canonicalize() {
                Ok(target) if target.starts_with(root) => {}
                // Download caches keep files elsewhere and link to them; the file is examined all the same.
                Ok(target) if target.is_file() => {
                    complain(&name, rules::LINK_OUTSIDE, &format!("links to {}", target.display()));
                }
                Ok(target) => {
                    let what = format!("links to {}, which was not entered", target.display());
                    complain(&name, rules::LINKED_FOLDER, &what);
                    continue;
                }
                Err(error) => {
                    complain(&name, rules::UNREADABLE, &format!("the link leads nowhere: {error}"));
                    continue;
                }
            }
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                let place = entry.file_name().to_str().is_none() || prefix_is_odd;
                let place = place.then(|| path.into_boxed_path());
                entries.push(Entry { name: name.into_boxed_str(), place, size: metadata.len() });
            }
            // A link to a folder inside leads to what is scanned anyway, or in circles.
            Ok(metadata) if metadata.is_dir() && is_link => {}
            Ok(metadata) if metadata.is_dir() => folders.push((path, name)),
            Ok(_) => {
                complain(&name, rules::SPECIAL_FILE, "is a device, a pipe or a socket, and was not opened")
            }
            Err(error) => complain(&name, rules::UNREADABLE, &error.to_string()),
        }
    }
    for (path, name) in folders {
        collect(root, &path, &name, depth + 1, entries, findings);
    }
}

/// A name for people: as it is, or with escapes where it is not UTF-8.
fn readable(name: &std::ffi::OsStr) -> String {
    name.to_str().map_or_else(|| escape(&format!("{name:?}"), 1024), str::to_owned)
}
