//! The folders within a folder. Each has a digest as an artifact of its own, so that a folder is found again wherever it was
//! put.

use ostrom_core::Digest;
use ostrom_trust::canonical_json;
use sha2::{Digest as _, Sha256};

use super::artifact::{FileDigest, Line, is_beside};

/// A folder whose files are being passed.
struct Open<'a> {
    /// Its path, with a slash at the end.
    prefix: &'a str,
    /// Of its list of files so far, without the bracket at the end.
    hasher: Sha256,
    is_empty: bool,
}

/// The path within `files` and the digest of every folder but the outermost. Takes memory for one folder a level.
///
/// INVARIANT: the digest is [`super::folder_digest`] of what would be the folder's artifact (property test).
pub(crate) fn inner_folders(files: &[FileDigest]) -> Vec<(String, Digest)> {
    let mut sorted: Vec<&FileDigest> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    let mut found = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    for file in sorted {
        // The files of a folder stand together, as its path is the beginning of theirs.
        while let Some(done) = open.pop_if(|folder| !file.path.starts_with(folder.prefix)) {
            found.extend(done.end());
        }
        let known = open.last().map_or(0, |folder| folder.prefix.len());
        for (slash, _) in file.path.match_indices('/').filter(|(slash, _)| *slash >= known) {
            if let Some(prefix) = file.path.get(..=slash) {
                open.push(Open { prefix, hasher: Sha256::new_with_prefix(b"["), is_empty: true });
            }
        }
        for folder in &mut open {
            folder.add(file);
        }
    }
    found.extend(open.into_iter().filter_map(Open::end));
    found
}

impl Open<'_> {
    fn add(&mut self, file: &FileDigest) {
        let Some(path) = file.path.strip_prefix(self.prefix).filter(|path| !is_beside(path)) else { return };
        // INVARIANT: strings and digests always have canonical JSON.
        let Ok(line) = canonical_json(&Line { path, sha256: file.sha256 }) else { return };
        if !self.is_empty {
            self.hasher.update(b",");
        }
        self.hasher.update(line);
        self.is_empty = false;
    }

    fn end(self) -> Option<(String, Digest)> {
        let digest = self.hasher.chain_update(b"]").finalize();
        let name = self.prefix.trim_end_matches('/').to_owned();
        (!self.is_empty).then(|| (name, Digest::from_bytes(digest.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::lineage::folder_digest;

    fn file(path: &str) -> FileDigest {
        FileDigest { path: path.to_owned(), size: 0, sha256: Digest::of(path.as_bytes()) }
    }

    #[test]
    fn every_folder_within_is_what_it_would_be_by_itself() {
        let files = ["a", "m/x", "m/.git/HEAD", "m/model.sig", "m/sub/y", "m.d/z", "n/.git/only"].map(file);
        let of = |prefix: &str, paths: &[&str]| {
            let files = paths.iter().map(|path| (*path, Digest::of(format!("{prefix}{path}").as_bytes())));
            folder_digest(files).unwrap()
        };
        let mut found = inner_folders(&files);
        found.sort();
        assert_eq!(
            found,
            [
                ("m".to_owned(), of("m/", &["x", "sub/y"])),
                ("m.d".to_owned(), of("m.d/", &["z"])),
                ("m/.git".to_owned(), of("m/.git/", &["HEAD"])),
                ("m/sub".to_owned(), of("m/sub/", &["y"])),
                ("n/.git".to_owned(), of("n/.git/", &["only"])),
            ]
        );
    }

    proptest! {
        #[test]
        fn digests_are_those_of_the_folders(paths in prop::collection::btree_set("[ab.é\"-]{1,2}(/[ab.é\"-]{1,2}){0,3}", 0..20)) {
            // What `..` and `.` would mean no folder has.
            let paths: Vec<_> = paths.iter().filter(|path| path.split('/').all(|part| !part.chars().all(|c| c == '.'))).collect();
            let mut expected: BTreeMap<String, Vec<(&str, Digest)>> = BTreeMap::new();
            for path in &paths {
                for (slash, _) in path.match_indices('/') {
                    let (folder, rest) = path.split_at(slash);
                    let line = (rest.trim_start_matches('/'), Digest::of(path.as_bytes()));
                    expected.entry(folder.to_owned()).or_default().push(line);
                }
            }
            let expected: BTreeMap<_, _> = expected.into_iter().map(|(folder, files)| (folder, folder_digest(files).unwrap())).collect();
            let files: Vec<_> = paths.iter().rev().map(|path| file(path)).collect();
            prop_assert_eq!(inner_folders(&files).into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
