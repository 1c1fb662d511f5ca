//! The cache behind `--fast`: which BLAKE3 digest the bytes had whose signed digest was once confirmed.
//!
//! A fast verification still reads every byte, and compares BLAKE3 instead of the signed digest; it does not go by names,
//! lengths or times, so it is as strict as BLAKE3 is, if nobody else can write to the cache. It saves the difference in
//! speed between the two functions, and nothing where SHA-256 is faster than the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::OmsError;
use super::hash::HashAlgorithm;
use super::show::hex;

/// About a million digests.
const MAX_CACHE: u64 = 256 << 20;

/// The version of the file's format.
const VERSION: u32 = 1;

/// Digests that were confirmed before. Keep the file where only its owner can write.
#[derive(Debug)]
pub struct FastCache {
    path: PathBuf,
    known: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    /// From `ALGORITHM:DIGEST:LENGTH` to BLAKE3.
    known: BTreeMap<String, String>,
}

impl FastCache {
    /// Opens the cache at `path`, or begins an empty one.
    ///
    /// # Errors
    /// If the file is there but cannot be read, is not a cache, or others could have written to it.
    pub fn open(path: &Path) -> Result<Self, OmsError> {
        let problem = |why: String| OmsError::Cache(format!("{}: {why}", path.display()));
        let mut known = BTreeMap::new();
        match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(problem(error.to_string())),
            Ok(file) => {
                #[cfg(unix)]
                {
                    use std::os::unix::fs::MetadataExt as _;
                    let metadata = file.metadata().map_err(|error| problem(error.to_string()))?;
                    if metadata.mode() & 0o022 != 0 {
                        return Err(problem("others than its owner may write to it; remove it".to_owned()));
                    }
                    // Somebody else's, put there before ours was.
                    if metadata.uid() != rustix::process::geteuid().as_raw() {
                        return Err(problem("it belongs to somebody else; remove it".to_owned()));
                    }
                }
                let mut bytes = Vec::new();
                file.take(MAX_CACHE).read_to_end(&mut bytes).map_err(|error| problem(error.to_string()))?;
                let read: OnDisk = serde_json::from_slice(&bytes)
                    .map_err(|_| problem("it is not a cache of ours; remove it".to_owned()))?;
                if read.version != VERSION {
                    return Err(problem("another version of ostrom wrote it; remove it".to_owned()));
                }
                known = read.known;
            }
        }
        Ok(Self { path: path.to_owned(), known })
    }

    /// Where it is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, algorithm: HashAlgorithm, digest: &[u8], len: u64) -> Option<[u8; 32]> {
        let known = self.known.get(&key(algorithm, digest, len))?;
        data_encoding::HEXLOWER.decode(known.as_bytes()).ok()?.try_into().ok()
    }

    pub(super) fn put(&mut self, algorithm: HashAlgorithm, digest: &[u8], len: u64, blake3: [u8; 32]) {
        self.known.insert(key(algorithm, digest, len), hex(&blake3));
    }

    /// Writes the cache, readable by its owner only, in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn save(&self) -> Result<(), OmsError> {
        let problem = |error: io::Error| OmsError::Cache(format!("{}: {error}", self.path.display()));
        let bytes = serde_json::to_vec(&OnDisk { version: VERSION, known: self.known.clone() })
            .map_err(|error| OmsError::Cache(error.to_string()))?;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(problem)?;
        }
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&new).and_then(|mut file| file.write_all(&bytes)).map_err(problem)?;
        fs::rename(&new, &self.path).map_err(problem)
    }
}

fn key(algorithm: HashAlgorithm, digest: &[u8], len: u64) -> String {
    format!("{algorithm}:{}:{len}", hex(digest))
}
