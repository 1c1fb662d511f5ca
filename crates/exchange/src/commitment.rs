//! Commitments: salted hashes that enter the transparency log, and the openings that show what they are of.
//!
//! Before it is opened, a commitment says nothing about its content: the salt has 256 random bits. Opened, it proves that the
//! content was there when the log had reached that size. docs/disclosure.md has the format of an opening, for whoever wants to
//! check one without Ostrom.

use std::fmt;
use std::str::FromStr;

use ostrom_core::{Digest, ObjectId, Timestamp};
use ostrom_store::Logged;
use ostrom_trust::log::{Log, NoteError, SignedCheckpoint, Tiles, VerifierKey, merkle};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// An opening that is longer is not read.
pub const MAX_OPENING: usize = 512 << 10;
/// The format of an opening.
const FORMAT: &str = "ostrom-opening/v1";

/// 32 random bytes that hide what a commitment is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A new one from the system's random bytes.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn generate() -> Result<Self, CommitmentError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| CommitmentError::NoEntropy(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// These bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the salt can try what a commitment may be of.
        f.write_str("Salt(…)")
    }
}

impl FromStr for Salt {
    type Err = CommitmentError;

    fn from_str(text: &str) -> Result<Self, CommitmentError> {
        let bytes =
            data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(CommitmentError::Malformed("a salt is 64 lower-case hexadecimal digits"))
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a commitment is of. The digests are of the parts in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A version of a shared object: its bytes, and its handling in canonical JSON.
    Object,
    /// A case at intake: the report's bytes as they came.
    Case,
    /// The removal of a version of a shared object: which, and why ([`removal`]).
    Removal,
}

impl Kind {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Object => b"ostrom-object/v1\n",
            Self::Case => b"ostrom-case/v1\n",
            Self::Removal => b"ostrom-removal/v1\n",
        }
    }

    const fn parts(self) -> usize {
        match self {
            Self::Object => 2,
            Self::Case | Self::Removal => 1,
        }
    }
}

/// What is wrong with a commitment or its opening.
#[derive(Debug, thiserror::Error)]
pub enum CommitmentError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoEntropy(String),
    /// Not an opening.
    #[error("not an opening: {0}")]
    Malformed(&'static str),
    /// Not JSON, or not of the right shape.
    #[error("not an opening: {0}")]
    Json(#[from] serde_json::Error),
    /// The content is another one than was committed to.
    #[error("the content is not what was committed to")]
    Content,
    /// The salt and digests do not lead to the commitment in the log.
    #[error("the salt does not open this commitment")]
    NotOpened,
    /// The checkpoint is not signed by the log's key, or is of another log.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(#[from] NoteError),
    /// The proof does not lead to the checkpoint's root.
    #[error("the commitment is not in the log at entry {index}: {source}")]
    NotInLog {
        /// Where it is said to be.
        index: u64,
        /// What is wrong.
        source: merkle::ProofError,
    },
    /// The log cannot give a proof.
    #[error(transparent)]
    Log(#[from] ostrom_trust::log::LogError),
    /// The log has no checkpoint that covers the entry yet.
    #[error("entry {index} lies beyond the checkpoint of {size} entries: make a checkpoint first")]
    NotYet {
        /// The entry.
        index: u64,
        /// Entries under the checkpoint.
        size: u64,
    },
}

/// The commitment to parts with these digests.
pub fn commit(kind: Kind, salt: &Salt, parts: &[Digest]) -> Digest {
    let mut hasher = Sha256::new_with_prefix(kind.tag());
    hasher.update(salt.as_bytes());
    for part in parts {
        hasher.update(part.as_bytes());
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// What the commitment to a removal is of: the object's id, its version in microseconds and the reason, each in a line.
pub fn removal(id: &ObjectId, version: Timestamp, why: Option<&str>) -> String {
    // The reason comes last: whatever it holds, it cannot be taken for anything else.
    let why = why.map_or_else(|| "without a reason".to_owned(), |why| format!("why {why}"));
    format!("{id}\n{}\n{why}\n", version.micros())
}

/// Enters the commitment to a removal into the log. It is durable when the log is synced.
///
/// # Errors
/// If there are no random bytes, or the log cannot be written.
pub fn enter_removal(
    log: &Log,
    id: &ObjectId,
    version: Timestamp,
    why: Option<&str>,
) -> Result<Logged, CommitmentError> {
    let salt = Salt::generate()?;
    let parts = [Digest::of(removal(id, version, why).as_bytes())];
    let leaf = log.append(commit(Kind::Removal, &salt, &parts).as_bytes())?;
    Ok(Logged { leaf, salt: salt.as_bytes().to_vec(), origin: None })
}

/// Where in which log a commitment lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The log's key in C2SP's form. For people: who checks an opening takes the key from elsewhere.
    pub key: String,
    /// The entry.
    pub index: u64,
    /// From the entry to the root.
    pub proof: Vec<Digest>,
    /// A checkpoint (C2SP tlog-checkpoint) over the entry, with its signatures.
    pub checkpoint: String,
}

/// Everything that is needed to check that a content was committed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    format: String,
    kind: Kind,
    /// The digests of the parts, in the order of the kind.
    parts: Vec<Digest>,
    salt: Salt,
    commitment: Digest,
    log: Place,
}

impl Opening {
    /// The opening of the commitment that `log` has as entry `index`, under the checkpoint that `tiles` serves.
    ///
    /// # Errors
    /// If the log cannot prove that it is there, or what is there is another commitment.
    pub fn new(
        kind: Kind,
        parts: Vec<Digest>,
        salt: Salt,
        index: u64,
        checkpoint: &SignedCheckpoint,
        key: &VerifierKey,
        tiles: &mut Tiles,
    ) -> Result<Self, CommitmentError> {
        let size = checkpoint.checkpoint().size();
        if index >= size {
            return Err(CommitmentError::NotYet { index, size });
        }
        let proof = tiles.inclusion_proof(index)?;
        let commitment = commit(kind, &salt, &parts);
        let log = Place { key: key.to_string(), index, proof, checkpoint: checkpoint.to_string() };
        let opening = Self { format: FORMAT.to_owned(), kind, parts, salt, commitment, log };
        opening.check(key)?;
        Ok(opening)
    }

    /// Reads an opening. Nothing in it is to be believed before [`Opening::verify`].
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, CommitmentError> {
        if bytes.len() > MAX_OPENING {
            return Err(CommitmentError::Malformed("it is longer than 512 KiB"));
        }
        let opening: Self = serde_json::from_slice(bytes)?;
        if opening.format != FORMAT {
            return Err(CommitmentError::Malformed("its format is not ostrom-opening/v1"));
        }
        if opening.parts.len() != opening.kind.parts() {
            return Err(CommitmentError::Malformed("it has too many or too few parts for its kind"));
        }
        if opening.log.proof.len() > merkle::MAX_PROOF {
            return Err(CommitmentError::Malformed("its proof is longer than any proof"));
        }
        Ok(opening)
    }

    /// The opening as JSON.
    ///
    /// # Errors
    /// Never in practice: everything in it is JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, CommitmentError> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// Checks that `contents` (the parts, in order) are what was committed to, and that the log of `key` had the commitment
    /// when it signed the checkpoint. `key` must come from where its log's readers get it, never from the opening.
    ///
    /// Returns the log's size at the checkpoint.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self, contents: &[&[u8]], key: &VerifierKey) -> Result<u64, CommitmentError> {
        if contents.len() != self.parts.len()
            || contents.iter().zip(&self.parts).any(|(content, part)| Digest::of(content) != *part)
        {
            return Err(CommitmentError::Content);
        }
        self.check(key)
    }

    fn check(&self, key: &VerifierKey) -> Result<u64, CommitmentError> {
        if commit(self.kind, &self.salt, &self.parts) != self.commitment {
            return Err(CommitmentError::NotOpened);
        }
        let signed = SignedCheckpoint::open(self.log.checkpoint.as_bytes(), key)?;
        let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
        let leaf = merkle::leaf_hash(self.commitment.as_bytes());
        let index = self.log.index;
        merkle::verify_inclusion(&leaf, index, size, &self.log.proof, &root)
            .map_err(|source| CommitmentError::NotInLog { index, source })?;
        Ok(size)
    }

    /// The commitment.
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// Where it lies.
    pub fn place(&self) -> &Place {
        &self.log
    }
}

#[cfg(test)]
mod tests {
    use ostrom_trust::SecretKey;
    use ostrom_trust::log::Options;
    use proptest::prelude::*;

    use super::*;

    struct World {
        opening: Opening,
        key: VerifierKey,
        _folder: tempfile::TempDir,
    }

    const REPORT: &[u8] = br#"{"title":"The model obeys web pages"}"#;

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let secret = SecretKey::generate().unwrap();
        let log = Log::open(folder.path(), secret, "node.example/log", &Options::default()).unwrap();
        let salt = Salt::generate().unwrap();
        let parts = vec![Digest::of(REPORT)];
        for noise in 0..5_u8 {
            log.append(&[noise; 32]).unwrap();
        }
        let index = log.append(commit(Kind::Case, &salt, &parts).as_bytes()).unwrap();
        log.append(&[9; 32]).unwrap();
        let checkpoint = log.checkpoint().unwrap();
        let mut tiles = Tiles::new(folder.path(), &checkpoint);
        let key = log.verifier().clone();
        let opening = Opening::new(Kind::Case, parts, salt, index, &checkpoint, &key, &mut tiles).unwrap();
        World { opening, key, _folder: folder }
    }

    #[test]
    fn an_opening_proves_what_was_known_when_the_log_had_this_size() {
        let world = world();
        let opening = Opening::from_slice(&world.opening.to_json().unwrap()).unwrap();
        assert_eq!(opening.verify(&[REPORT], &world.key).unwrap(), 7);
        assert!(matches!(opening.verify(&[b"another"], &world.key), Err(CommitmentError::Content)));
        assert!(matches!(opening.verify(&[], &world.key), Err(CommitmentError::Content)));
    }

    #[test]
    fn another_key_salt_entry_or_commitment_is_noticed() {
        let world = world();
        let other = VerifierKey::log("node.example/log", SecretKey::generate().unwrap().public()).unwrap();
        assert!(matches!(world.opening.verify(&[REPORT], &other), Err(CommitmentError::Checkpoint(_))));
        let mut salted = world.opening.clone();
        salted.salt = Salt::generate().unwrap();
        assert!(matches!(salted.verify(&[REPORT], &world.key), Err(CommitmentError::NotOpened)));
        salted.commitment = commit(Kind::Case, &salted.salt, &salted.parts);
        assert!(matches!(salted.verify(&[REPORT], &world.key), Err(CommitmentError::NotInLog { .. })));
        let mut moved = world.opening.clone();
        moved.log.index = 4;
        assert!(matches!(moved.verify(&[REPORT], &world.key), Err(CommitmentError::NotInLog { .. })));
    }

    #[test]
    fn the_commitment_is_that_of_the_design() {
        let salt = Salt::from_bytes([7; 32]);
        let (body, handling) = (Digest::of(b"{}"), Digest::of(b"[]"));
        let mut bytes = b"ostrom-object/v1\n".to_vec();
        bytes.extend([7; 32]);
        bytes.extend(body.as_bytes());
        bytes.extend(handling.as_bytes());
        assert_eq!(commit(Kind::Object, &salt, &[body, handling]), Digest::of(&bytes));
        assert_ne!(commit(Kind::Case, &salt, &[body]), commit(Kind::Object, &salt, &[body]));
    }

    #[test]
    fn a_salt_does_not_print() {
        assert_eq!(format!("{:?}", Salt::from_bytes([1; 32])), "Salt(…)");
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic_and_never_verify_as_another_content(at in 0_usize..4000, byte in any::<u8>(), cut in 0_usize..4000) {
            static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
            let world = WORLD.get_or_init(world);
            let good = world.opening.to_json().unwrap();
            let mut bytes = good.clone();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(opening) = Opening::from_slice(&bytes) {
                prop_assert!(opening.verify(&[b"another"], &world.key).is_err());
            }
            let _ = Opening::from_slice(&good[..cut.min(good.len())]);
        }
    }
}
