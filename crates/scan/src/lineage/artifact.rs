//! What lineage is about: a file or a folder, named by a digest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ostrom_core::Digest;
use ostrom_trust::digest_of;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::inner::inner_folders;

/// What version control has at the top of a folder (`.git` may be a file): not part of the artifact, with all that is in it.
const IGNORED: [&str; 2] = [".git", ".github"];
/// Files at the top that are not part of it either: version control, and what is said *about* the artifact and lies
/// beside it. A folder of such a name is part of it, or anything could be hidden there.
const IGNORED_FILES: [&str; 4] = [".gitattributes", ".gitignore", "model.sig", "ostrom-passport.json"];

/// More than any model or data set comes with.
const MAX_FILES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Relative to the folder, with `/` between the parts.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
}

/// A file or folder and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The last part of its path.
    pub name: String,
    /// SHA-256 of the file, or [`folder_digest`].
    pub digest: Digest,
    /// Its files by path; one, with the name of the artifact, if it is a file itself.
    pub files: Vec<FileDigest>,
    /// What was there and is not part of it.
    pub ignored: Vec<String>,
}

/// Why something has no digest.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The system gave an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Neither a file nor a folder, or a link to a folder or to nothing.
    #[error("{}: neither a regular file nor a folder; an artifact is made of these only", .0.display())]
    NotAFile(PathBuf),
    /// A path that other systems cannot write.
    #[error("{:?}: the name is not UTF-8, so the folder has no digest that others could derive", .0)]
    NotUtf8(PathBuf),
    /// Not a relative path with `/` between its parts, or there twice.
    #[error("{0:?} is not the path of a file inside a folder, or occurs twice")]
    BadPath(String),
    /// A file changed its length.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    /// No file at all.
    #[error("{}: there is no file in it", .0.display())]
    Empty(PathBuf),
    /// Beyond what is read.
    #[error("{}: more than {MAX_FILES} files, or folders more than {MAX_DEPTH} deep", .0.display())]
    TooLarge(PathBuf),
}

#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) path: &'a str,
    pub(super) sha256: Digest,
}

/// Whether the file at `path` within a folder is not part of the artifact that the folder is.
pub(crate) fn is_beside(path: &str) -> bool {
    let top = path.split_once('/').map_or(path, |(top, _)| top);
    IGNORED.contains(&top) || IGNORED_FILES.contains(&path)
}

fn is_inner_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

/// The digest of a folder: SHA-256 of the RFC 8785 JSON `[{"path":…,"sha256":…},…]`, sorted by the paths' UTF-8 bytes.
/// Sizes, times, modes and empty folders do not count.
///
/// # Errors
/// If a path is not relative, has empty, `.` or `..` parts, or occurs twice.
pub fn folder_digest<'a>(
    files: impl IntoIterator<Item = (&'a str, Digest)>,
) -> Result<Digest, ArtifactError> {
    let mut lines: Vec<_> = files.into_iter().map(|(path, sha256)| Line { path, sha256 }).collect();
    lines.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    let mut seen = BTreeSet::new();
    for line in &lines {
        if !is_inner_path(line.path) || !seen.insert(line.path) {
            return Err(ArtifactError::BadPath(line.path.chars().take(200).collect()));
        }
    }
    // INVARIANT: strings and digests always have canonical JSON.
    digest_of(&lines).map_err(|error| ArtifactError::BadPath(error.to_string()))
}

impl Artifact {
    /// The artifact at `path`, read and digested. Links to files count as what they point to: download caches are made
    /// of such links, and a loader follows them.
    ///
    /// # Errors
    /// If anything in it cannot be read, is no file or folder, or has a name that is not UTF-8. Nothing is skipped.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let metadata = std::fs::metadata(path).map_err(|source| io_error(path, source))?;
        if metadata.is_file() {
            // The name of a link, not of what it leads to: a download cache calls that by its digest, and how a file is read
            // depends on its name.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_else(|| display_name(path));
            let (size, sha256) = digest_file(path)?;
            let files = vec![FileDigest { path: name.clone(), size, sha256 }];
            return Ok(Self { name, digest: sha256, files, ignored: Vec::new() });
        }
        if !metadata.is_dir() {
            return Err(ArtifactError::NotAFile(path.to_owned()));
        }
        let name = display_name(path);
        let (paths, ignored) = list(path, "")?;
        let mut files = Vec::with_capacity(paths.len());
        for relative in paths {
            let (size, sha256) = digest_file(&path.join(&relative))?;
            files.push(FileDigest { path: relative, size, sha256 });
        }
        if files.is_empty() {
            return Err(ArtifactError::Empty(path.to_owned()));
        }
        Self::of_files(name, files, ignored)
    }

    /// A folder whose files somebody else has digested.
    ///
    /// # Errors
    /// As [`folder_digest`].
    pub fn of_files(
        name: String,
        mut files: Vec<FileDigest>,
        ignored: Vec<String>,
    ) -> Result<Self, ArtifactError> {
        files.sort();
        let digest = folder_digest(files.iter().map(|file| (file.path.as_str(), file.sha256)))?;
        Ok(Self { name, digest, files, ignored })
    }

    /// All digests that stand for it or for a part of it (files, and the folders within), its own first.
    pub fn digests(&self) -> Vec<Digest> {
        let mut all = vec![self.digest];
        all.extend(self.files.iter().map(|file| file.sha256).filter(|digest| *digest != self.digest));
        all.extend(inner_folders(&self.files).into_iter().map(|(_, digest)| digest));
        all
    }

    /// The digests of what lies in the folder at `path`, from which the artifact was read, and is not part of it
    /// ([`Self::ignored`]): of the files, and of the folders that they are in. It is there all the same, and a revoked file may
    /// have any name.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn digests_beside(&self, path: &Path) -> Result<Vec<Digest>, ArtifactError> {
        let mut files = Vec::new();
        for name in &self.ignored {
            let top = path.join(name);
            // A link to a folder leads out of this one, and nothing says what is meant by it.
            let metadata = std::fs::symlink_metadata(&top).map_err(|source| io_error(&top, source))?;
            let found =
                if metadata.is_dir() { list(path, &format!("{name}/"))?.0 } else { vec![name.clone()] };
            for relative in found {
                let (size, sha256) = digest_file(&path.join(&relative))?;
                files.push(FileDigest { path: relative, size, sha256 });
            }
        }
        let folders = inner_folders(&files).into_iter().map(|(_, digest)| digest);
        Ok(files.iter().map(|file| file.sha256).chain(folders).collect())
    }
}

fn io_error(path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io { path: path.to_owned(), source }
}

fn display_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().map_or_else(|| "folder".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Relative paths of all files below `root` whose path begins with `prefix`, which is empty or a folder's path and `/`; and
/// what was ignored at the top of `root`.
fn list(root: &Path, prefix: &str) -> Result<(Vec<String>, Vec<String>), ArtifactError> {
    let (mut files, mut ignored) = (Vec::new(), Vec::new());
    let mut folders = vec![(root.join(prefix), prefix.to_owned(), usize::from(!prefix.is_empty()))];
    while let Some((folder, prefix, depth)) = folders.pop() {
        if depth > MAX_DEPTH {
            return Err(ArtifactError::TooLarge(root.to_owned()));
        }
        for entry in std::fs::read_dir(&folder).map_err(|source| io_error(&folder, source))? {
            let entry = entry.map_err(|source| io_error(&folder, source))?;
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| ArtifactError::NotUtf8(path.clone()))?;
            let kind = entry.file_type().map_err(|source| io_error(&path, source))?;
            let is_file = kind.is_file()
                || kind.is_symlink() && std::fs::metadata(&path).is_ok_and(|target| target.is_file());
            let beside = |names: &[&str]| depth == 0 && names.contains(&name.as_str());
            if beside(&IGNORED) || is_file && beside(&IGNORED_FILES) {
                ignored.push(name);
                continue;
            }
            let relative = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((path, format!("{relative}/"), depth + 1));
                continue;
            }
            if !is_file {
                return Err(ArtifactError::NotAFile(path));
            }
            files.push(relative);
            if files.len() > MAX_FILES {
                return Err(ArtifactError::TooLarge(root.to_owned()));
            }
        }
    }
    files.sort();
    ignored.sort();
    Ok((files, ignored))
}

/// Length and SHA-256 of a regular file.
fn digest_file(path: &Path) -> Result<(u64, Digest), ArtifactError> {
    let fail = |source| io_error(path, source);
    let mut file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(ArtifactError::NotAFile(path.to_owned()));
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                size = size.saturating_add(count as u64);
                // A file that grows as fast as it is read must end somewhere.
                if size > metadata.len() {
                    return Err(ArtifactError::Changed(path.to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error)),
        }
    }
    if size != metadata.len() {
        return Err(ArtifactError::Changed(path.to_owned()));
    }
    Ok((size, Digest::from_bytes(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_documented_bytes() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let json = format!(r#"[{{"path":"a.txt","sha256":"{a}"}},{{"path":"sub/b","sha256":"{b}"}}]"#);
        assert_eq!(folder_digest([("sub/b", b), ("a.txt", a)]).unwrap(), Digest::of(json.as_bytes()));
    }

    #[test]
    fn paths_that_leave_the_folder_or_occur_twice_are_refused() {
        let d = Digest::of(b"");
        for path in ["", "/a", "a//b", "../a", "a/./b", "a/", "a\0b"] {
            assert!(folder_digest([(path, d)]).is_err(), "{path:?} was taken");
        }
        assert!(folder_digest([("a", d), ("a", d)]).is_err());
    }

    #[test]
    fn a_folder_is_its_files_wherever_it_lies() {
        let place = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            let folder = place.path().join(name);
            std::fs::create_dir_all(folder.join("sub")).unwrap();
            std::fs::create_dir_all(folder.join(".git")).unwrap();
            std::fs::write(folder.join("sub/b"), "b").unwrap();
            std::fs::write(folder.join("a"), "a").unwrap();
            std::fs::write(folder.join(".git/HEAD"), name).unwrap();
        }
        let one = Artifact::read(&place.path().join("one")).unwrap();
        let two = Artifact::read(&place.path().join("two")).unwrap();
        assert_eq!((one.digest, &one.files), (two.digest, &two.files));
        assert_eq!((one.name.as_str(), one.ignored, one.files.len()), ("one", vec![".git".to_owned()], 2));
        assert_eq!(Artifact::read(&place.path().join("one/a")).unwrap().digest, Digest::of(b"a"));
        assert!(matches!(Artifact::read(&place.path().join("one/x")), Err(ArtifactError::Io { .. })));
    }

    #[test]
    fn a_folder_with_the_name_of_a_signature_is_part_of_the_artifact() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        write("a");
        write("sub/model.sig");
        write("model.sig");
        let with_signature = Artifact::read(place.path()).unwrap();
        assert_eq!(with_signature.ignored, ["model.sig"]);
        std::fs::remove_file(place.path().join("model.sig")).unwrap();
        assert_eq!(Artifact::read(place.path()).unwrap().digest, with_signature.digest);
        for inside in ["model.sig/payload.py", "ostrom-passport.json/payload.py", ".gitignore/payload.py"] {
            write(inside);
            let artifact = Artifact::read(place.path()).unwrap();
            assert!(artifact.files.iter().any(|file| file.path == inside), "{inside} was passed over");
            std::fs::remove_dir_all(place.path().join(inside.split('/').next().unwrap())).unwrap();
        }
        for path in ["model.sig", ".gitignore", ".git", ".git/HEAD", ".github/x/y"] {
            assert!(is_beside(path), "{path}");
        }
        for path in ["model.sig/x", ".gitignore/x", "sub/model.sig", "sub/.git/HEAD", "model.sig2"] {
            assert!(!is_beside(path), "{path}");
        }
    }

    #[test]
    fn what_is_passed_over_has_digests_too() {
        let place = tempfile::tempdir().unwrap();
        for path in ["a", "model.sig", ".git/hooks/run", ".git/HEAD", "sub/model.sig"] {
            let file = place.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, path).unwrap();
        }
        let artifact = Artifact::read(place.path()).unwrap();
        let of = |path: &str| Digest::of(path.as_bytes());
        let mut expected = vec![
            of("model.sig"),
            of(".git/HEAD"),
            of(".git/hooks/run"),
            folder_digest([("run", of(".git/hooks/run"))]).unwrap(),
            folder_digest([("HEAD", of(".git/HEAD")), ("hooks/run", of(".git/hooks/run"))]).unwrap(),
        ];
        expected.sort();
        let mut found = artifact.digests_beside(place.path()).unwrap();
        found.sort();
        assert_eq!(found, expected);
        assert!(artifact.digests().iter().all(|digest| !found.contains(digest)));
        let file = place.path().join("a");
        assert_eq!(Artifact::read(&file).unwrap().digests_beside(&file).unwrap(), []);
        #[cfg(unix)]
        {
            std::fs::rename(place.path().join(".git"), place.path().join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", place.path().join(".git")).unwrap();
            let artifact = Artifact::read(place.path()).unwrap();
            assert!(matches!(artifact.digests_beside(place.path()), Err(ArtifactError::NotAFile(_))));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_count_and_other_links_are_refused() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(place.path().join("blob"), "weights").unwrap();
        symlink("../blob", folder.join("model.bin")).unwrap();
        let artifact = Artifact::read(&folder).unwrap();
        assert_eq!(artifact.files[0].sha256, Digest::of(b"weights"));
        symlink("..", folder.join("up")).unwrap();
        assert!(matches!(Artifact::read(&folder), Err(ArtifactError::NotAFile(_))));
        std::fs::remove_file(folder.join("up")).unwrap();
        symlink("nowhere", folder.join("broken")).unwrap();
        assert!(matches!(Artifact::read(&folder), Err(ArtifactError::NotAFile(_))));
    }

    proptest! {
        #[test]
        fn order_never_matters_and_every_change_does(
            files in proptest::collection::btree_map("[a-zé]{1,6}(/[a-z]{1,4}){0,2}", any::<u8>(), 1..12),
            pick: proptest::sample::Index,
        ) {
            let list: Vec<_> = files.iter().map(|(path, byte)| (path.as_str(), Digest::of(&[*byte]))).collect();
            let digest = folder_digest(list.clone()).unwrap();
            prop_assert_eq!(folder_digest(list.iter().rev().copied()).unwrap(), digest);

            let (path, _) = list[pick.index(list.len())];
            let mut changed: BTreeMap<_, _> = list.iter().copied().collect();
            changed.insert(path, Digest::of(b"something else"));
            prop_assert_ne!(folder_digest(changed.iter().map(|(p, d)| (*p, *d))).unwrap(), digest);
            let content = changed.remove(path).unwrap();
            prop_assert_ne!(folder_digest(changed.iter().map(|(p, d)| (*p, *d))).unwrap(), digest);
            let renamed = format!("{path}.new");
            changed.insert(&renamed, content);
            prop_assert_ne!(folder_digest(changed.iter().map(|(p, d)| (*p, *d))).unwrap(), digest);
        }
    }
}
