//! The manifest: what was tested, how, and the digests of everything else.

use std::collections::BTreeMap;

use ostrom_core::{Digest, Id};
use ostrom_models::ModelIdentity;
use serde::{Deserialize, Serialize};

use crate::plan::Settings;

/// Bytes per chunk digest: small enough to say where a change is.
pub(crate) const CHUNK: usize = 64 * 1024;

/// `manifest.json`, in RFC 8785 form. Its digest is the bundle's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`super::SCHEMA`].
    pub schema: String,
    /// Suite id.
    pub suite: Id,
    /// Suite version.
    pub suite_version: String,
    /// Suite digest.
    pub suite_digest: Digest,
    /// What was tested.
    pub target: ModelIdentity,
    /// Defences, repeats, seed, sampling.
    pub settings: Settings,
    /// The other files.
    pub files: BTreeMap<String, FileEntry>,
    /// What made the bundle.
    pub tool: Tool,
}

/// A file's length and digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// SHA-256 of each 64 KiB, which say where a change is.
    pub chunks: Vec<Digest>,
}

/// What made a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Digests a file as its bytes come by.
#[derive(Default)]
pub(crate) struct Digester {
    whole: sha2::Sha256,
    chunk: Vec<u8>,
    chunks: Vec<Digest>,
    length: u64,
}

impl Digester {
    pub fn update(&mut self, mut bytes: &[u8]) {
        sha2::Digest::update(&mut self.whole, bytes);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.chunks.push(Digest::of(&self.chunk));
                self.chunk.clear();
            }
        }
    }

    pub fn finish(mut self) -> FileEntry {
        if !self.chunk.is_empty() {
            self.chunks.push(Digest::of(&self.chunk));
        }
        let sha256 = Digest::from_bytes(sha2::Digest::finalize(self.whole).into());
        FileEntry { length: self.length, sha256, chunks: self.chunks }
    }
}
