//! What proves a copy: equal digests.

use std::collections::{BTreeMap, BTreeSet};

use super::artifact::Artifact;
use super::edge::{Evidence, Method};

/// Evidence that `child` is a copy of `parent`, or has one in it: it holds a file with the SHA-256 digest of each of the
/// parent's files, whatever they are called there. `None` if it does not.
pub fn copied(child: &Artifact, parent: &Artifact) -> Option<Evidence> {
    let held: BTreeSet<_> = child.files.iter().map(|file| file.sha256).collect();
    if parent.files.is_empty() || !parent.files.iter().all(|file| held.contains(&file.sha256)) {
        return None;
    }
    let count = parent.files.len();
    let result = match count {
        1 => "a file with the same SHA-256 digest".to_owned(),
        _ => format!("all {count} files with the same SHA-256 digests"),
    };
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let figures = BTreeMap::from([("files".to_owned(), count as f64)]);
    Some(Evidence { method: Method::Digest, result, figures })
}

#[cfg(test)]
mod tests {
    use ostrom_core::Digest;

    use super::*;
    use crate::lineage::FileDigest;

    fn folder(files: &[(&str, &str)]) -> Artifact {
        let file = |(path, content): &(&str, &str)| FileDigest {
            path: (*path).to_owned(),
            size: content.len() as u64,
            sha256: Digest::of(content.as_bytes()),
        };
        Artifact::of_files("folder".to_owned(), files.iter().map(file).collect(), Vec::new()).unwrap()
    }

    #[test]
    fn a_copy_holds_every_file_of_what_it_copies() {
        let parent = folder(&[("a", "1"), ("b", "2")]);
        let child = folder(&[("x/a", "1"), ("y", "2"), ("z", "3")]);
        let evidence = copied(&child, &parent).unwrap();
        assert_eq!(evidence.method, Method::Digest);
        assert_eq!(evidence.result, "all 2 files with the same SHA-256 digests");
        assert_eq!(evidence.figures["files"], 2.0);
        assert!(copied(&folder(&[("a", "1"), ("b", "changed")]), &parent).is_none());
        assert!(copied(&parent, &child).is_none());
    }
}
