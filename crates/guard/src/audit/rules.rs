//! The policies that were in force, so that a decision can be derived again long after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ostrom_core::Digest;

use super::AuditError;
use crate::gateway::Rules;

/// Reads policies from their snapshots.
pub type Read = dyn Fn(&[u8]) -> Result<Arc<dyn Rules>, String> + Send + Sync;

/// The policies beside a log.
pub struct Policies {
    folder: PathBuf,
    read: Box<Read>,
    known: BTreeMap<Digest, Arc<dyn Rules>>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Policies {
    /// The policies beside the log in `folder`, read with `read`.
    pub fn new(
        folder: &Path,
        read: impl Fn(&[u8]) -> Result<Arc<dyn Rules>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { folder: folder.join("policies"), read: Box::new(read), known: BTreeMap::new() }
    }

    /// The policy of this digest.
    ///
    /// # Errors
    /// If there is none, or it is not what its name says.
    pub fn get(&mut self, digest: Digest) -> Result<Arc<dyn Rules>, AuditError> {
        if let Some(known) = self.known.get(&digest) {
            return Ok(known.clone());
        }
        let missing = || AuditError::Policy(digest);
        let bytes = std::fs::read(self.path(digest)).map_err(|_| missing())?;
        let rules = (self.read)(&bytes).map_err(|_| missing())?;
        if rules.version() != digest {
            return Err(missing());
        }
        self.known.insert(digest, rules.clone());
        Ok(rules)
    }

    /// Keeps a policy that comes into force.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&mut self, rules: &Arc<dyn Rules>, snapshot: &[u8]) -> Result<(), AuditError> {
        let digest = rules.version();
        let path = self.path(digest);
        let error = |source| AuditError::File { path: path.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(error)?;
        if !path.exists() {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(error)?;
            std::io::Write::write_all(&mut file, snapshot).map_err(error)?;
            file.as_file().sync_all().map_err(error)?;
            file.persist(&path).map_err(|failed| error(failed.error))?;
        }
        self.known.insert(digest, rules.clone());
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }
}
