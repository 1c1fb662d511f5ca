//! What lies in a folder: every file, and everything that stands in the way of examining it.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::{Problem, Why};

/// What names a state of a file. If it is the same before and after reading, and at every opening, nobody has replaced
/// the file or written to it in the usual ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len: u64,
    modified: Option<SystemTime>,
    device: u64,
    inode: u64,
    /// When content or attributes last changed. Unlike the time of modification, nobody can set it.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (device, inode, changed) = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (device, inode, changed) = (0, 0, (0, 0));
        Self { len: metadata.len(), modified: metadata.modified().ok(), device, inode, changed }
    }
}

/// A file to hash.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name within the folder, `/` between the parts; `.` if the model is this one file.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// A folder as it was found.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Sorted by the parts of their names, the order of the format.
    pub(super) files: Vec<Entry>,
    /// Ignored paths that exist, sorted. A folder stands for all that is in it.
    pub(super) ignored: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// The order of resources in the format: part by part, as Python compares `PurePosixPath`.
pub(super) fn by_parts(a: &str, b: &str) -> std::cmp::Ordering {
    a.split('/').cmp(b.split('/'))
}

/// Walks a folder (or looks at a single file). `ignored` are names within the folder; what lies below an ignored name is
/// not looked at. Never fails: what cannot be examined is a problem in the result.
pub(super) fn walk(root: &Path, ignored: &HashSet<String>, allow_symlinks: bool) -> Tree {
    let mut tree = Tree::default();
    match fs::metadata(root) {
        Err(error) => tree.problem(".".to_owned(), unreadable(&error)),
        Ok(metadata) if metadata.is_file() => {
            tree.files.push(Entry {
                name: ".".to_owned(),
                path: root.to_owned(),
                stamp: Stamp::of(&metadata),
            });
        }
        Ok(metadata) if metadata.is_dir() => {
            let mut folders = vec![(String::new(), root.to_owned())];
            while let Some((name, path)) = folders.pop() {
                tree.list(&name, &path, ignored, allow_symlinks, &mut folders);
            }
        }
        Ok(_) => tree.problem(".".to_owned(), Why::Special),
    }
    tree.files.sort_by(|a, b| by_parts(&a.name, &b.name));
    tree.ignored.sort();
    tree.problems.sort_by(|a, b| by_parts(&a.path, &b.path));
    tree
}

impl Tree {
    fn problem(&mut self, path: String, why: Why) {
        self.problems.push(Problem { path, why });
    }

    fn list(
        &mut self,
        folder: &str,
        path: &Path,
        ignored: &HashSet<String>,
        allow_symlinks: bool,
        folders: &mut Vec<(String, PathBuf)>,
    ) {
        let shown = if folder.is_empty() { "." } else { folder };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(shown.to_owned(), unreadable(&error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.problem(shown.to_owned(), unreadable(&error));
                    continue;
                }
            };
            let file_name = entry.file_name();
            let Some(part) = file_name.to_str() else {
                self.problem(join(folder, &file_name.to_string_lossy()), Why::NotUtf8);
                continue;
            };
            let name = join(folder, part);
            if ignored.contains(&name) {
                self.ignored.push(name);
                continue;
            }
            let path = entry.path();
            match look(&path, allow_symlinks) {
                Ok(Found::File(stamp)) => self.files.push(Entry { name, path, stamp }),
                Ok(Found::Folder) => folders.push((name, path)),
                Err(why) => self.problem(name, why),
            }
        }
    }
}

enum Found {
    File(Stamp),
    Folder,
}

fn look(path: &Path, allow_symlinks: bool) -> Result<Found, Why> {
    let mut metadata = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    let link = metadata.is_symlink();
    if link {
        if !allow_symlinks {
            return Err(Why::Link);
        }
        metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Why::BrokenLink,
            _ => unreadable(&error),
        })?;
    }
    match (metadata.is_file(), metadata.is_dir(), link) {
        (true, _, _) => Ok(Found::File(Stamp::of(&metadata))),
        (_, true, false) => Ok(Found::Folder),
        (_, true, true) => Err(Why::LinkToFolder),
        _ => Err(Why::Special),
    }
}

/// Opens a file that [`walk`] found, and makes sure that it is still that one.
pub(super) fn open(entry: &Entry) -> Result<File, Why> {
    let mut options = File::options();
    options.read(true);
    // Should somebody have put a pipe in the file's place, opening it must not wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(&entry.path).map_err(|error| unreadable(&error))?;
    unchanged(&file, entry)?;
    Ok(file)
}

/// Whether an open file is still as [`walk`] found it.
pub(super) fn unchanged(file: &File, entry: &Entry) -> Result<(), Why> {
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if metadata.is_file() && Stamp::of(&metadata) == entry.stamp { Ok(()) } else { Err(Why::Moving) }
}

pub(super) fn unreadable(error: &io::Error) -> Why {
    Why::Unreadable(error.to_string())
}

fn join(folder: &str, part: &str) -> String {
    if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree) -> Vec<&str> {
        tree.files.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_parts() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["a.txt", "a/b/c", "a/Z", "z", ".hidden"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let tree = walk(folder.path(), &HashSet::new(), false);
        assert_eq!(names(&tree), [".hidden", "a/Z", "a/b/c", "a.txt", "z"]);
    }

    #[test]
    fn ignored_names_are_whole_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".git/x")).unwrap();
        for name in [".git/x/y", ".gitignore", "b"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let tree = walk(folder.path(), &HashSet::from([".git".to_owned(), "absent".to_owned()]), false);
        assert_eq!(names(&tree), [".gitignore", "b"]);
        assert_eq!(tree.ignored, [".git"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_pipes_and_odd_names_are_problems() {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("file"), "x").unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        symlink("file", root.join("link")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        symlink("folder", root.join("to-folder")).unwrap();
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"odd\xff")), "x").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();

        let why = |allow| {
            let tree = walk(root, &HashSet::new(), allow);
            tree.problems.into_iter().map(|problem| (problem.path, problem.why)).collect::<Vec<_>>()
        };
        let strict = why(false);
        assert_eq!(strict.iter().filter(|(_, why)| *why == Why::Link).count(), 3);
        assert_eq!(
            why(true),
            [
                ("broken".to_owned(), Why::BrokenLink),
                ("odd\u{fffd}".to_owned(), Why::NotUtf8),
                ("socket".to_owned(), Why::Special),
                ("to-folder".to_owned(), Why::LinkToFolder),
            ]
        );
    }

    #[test]
    fn a_replaced_file_is_noticed_at_opening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "before").unwrap();
        let tree = walk(folder.path(), &HashSet::new(), false);
        assert!(open(&tree.files[0]).is_ok());
        fs::write(&path, "afterwards").unwrap();
        assert_eq!(open(&tree.files[0]).unwrap_err(), Why::Moving);
    }
}
