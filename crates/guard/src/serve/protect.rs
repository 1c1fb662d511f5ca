//! What no server may touch: the guard's own state, and what says how it decides.

use std::path::{Path, PathBuf};

/// What is to be kept from servers.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Neither read nor changed: the state, the audit log with its openings, keys.
    pub hidden: Vec<PathBuf>,
    /// Not changed: the configuration, and programs that run without a sandbox.
    pub unchanged: Vec<PathBuf>,
}

impl Protected {
    /// Whether a server that may read `read` and change `write` could reach any of it.
    ///
    /// # Errors
    /// What it could reach, and what to do.
    pub(super) fn check(&self, read: &[&PathBuf], write: &[&PathBuf]) -> Result<(), String> {
        let reaches = |grants: &[&PathBuf], protected: &Path| {
            let protected = resolved(protected);
            grants.iter().map(|grant| resolved(grant)).find(|grant| meet(grant, &protected))
        };
        for (paths, grants, what) in [
            (&self.hidden, read, "see the guard's own state"),
            (&self.hidden, write, "change the guard's own state"),
            (&self.unchanged, write, "change what decides about it, or runs without a sandbox"),
        ] {
            for path in paths {
                if let Some(grant) = reaches(grants, path) {
                    return Err(format!(
                        "its sandbox would let it {what}: {} is granted and {} would be within reach; grant a narrower folder, or move what \
                         is to be kept from it (the guard's folders with --state and [audit] folder)",
                        grant.display(),
                        path.display()
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether one lies within the other.
fn meet(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The path behind links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest = Vec::new();
    let mut start = absolute.as_path();
    loop {
        if let Ok(found) = start.canonicalize() {
            return rest.iter().rev().fold(found, |path, name| path.join(name));
        }
        match (start.parent(), start.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                start = parent;
            }
            _ => return absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protected: &Protected, read: &[&Path], write: &[&Path]) -> bool {
        let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>();
        let (read, write) = (owned(read), owned(write));
        protected.check(&read.iter().collect::<Vec<_>>(), &write.iter().collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn no_grant_reaches_the_state_whether_above_within_or_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (home, state) = (folder.path(), folder.path().join("data/state"));
        std::fs::create_dir_all(home.join("notes")).unwrap();
        std::fs::create_dir_all(&state).unwrap();
        std::os::unix::fs::symlink(home.join("data"), home.join("notes/link")).unwrap();
        let protected = Protected {
            hidden: vec![state.clone(), home.join("audit/not/there/yet")],
            unchanged: vec![home.join("guard.toml")],
        };
        assert!(check(&protected, &[&home.join("notes")], &[&home.join("notes")]));
        for reached in [home.to_owned(), state.join("tokens"), home.join("notes/link"), home.join("audit")] {
            assert!(!check(&protected, &[&reached], &[]), "{}", reached.display());
            assert!(!check(&protected, &[], &[&reached]), "{}", reached.display());
        }
        // The configuration may be read, and not changed.
        let beside = Protected { hidden: Vec::new(), ..protected };
        assert!(check(&beside, &[home], &[]) && !check(&beside, &[], &[home]));
    }
}
