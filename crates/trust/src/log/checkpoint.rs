//! Checkpoints: what a log says about itself, as a signed note (C2SP tlog-checkpoint).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_core::Digest;

use super::note::{Note, NoteError, Signed, VerifierKey, check_name};
use crate::SecretKey;

/// A log's size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Digest,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of the log `origin` with `size` entries and this root.
    ///
    /// # Errors
    /// If the origin cannot name a log.
    pub fn new(origin: &str, size: u64, root: Digest) -> Result<Self, NoteError> {
        check_name(origin)?;
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// Reads the text of a checkpoint's note.
    ///
    /// # Errors
    /// If it is not a checkpoint.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::NotACheckpoint;
        let lines = text.strip_suffix('\n').ok_or(malformed("its last line does not end"))?;
        let mut lines = lines.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(malformed("it has no origin"))?;
        let size = lines.next().ok_or(malformed("it has no size"))?;
        // `parse` would also take a plus sign and leading zeros.
        let is_plain =
            size.bytes().all(|byte| byte.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size =
            size.parse().ok().filter(|_| is_plain).ok_or(malformed("its size is not a decimal number"))?;
        let root = lines.next().ok_or(malformed("it has no root"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| <[u8; 32]>::try_from(root).ok());
        let root = Digest::from_bytes(root.ok_or(malformed("its root is not 32 bytes in base64"))?);
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("it has an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }

    /// Which log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the Merkle tree over the entries.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Further lines. Our logs write none.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint that its log has signed. There is no other way to one than [`SignedCheckpoint::open`] and
/// [`SignedCheckpoint::sign`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint. The key's name is the log's origin.
    ///
    /// # Errors
    /// If the origin cannot name a key.
    pub fn sign(checkpoint: Checkpoint, key: &SecretKey) -> Result<Self, NoteError> {
        let note = Note::sign(&checkpoint.to_string(), &checkpoint.origin, key)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a checkpoint and checks that `log` has signed it.
    ///
    /// # Errors
    /// If it is not a checkpoint, or of another log, or the log's signature does not hold.
    pub fn open(bytes: &[u8], log: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(bytes)?;
        if log.is_witness() {
            return Err(NoteError::VerifierKey("this is a witness's key; a log's key is needed"));
        }
        note.verify(std::slice::from_ref(log))?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != log.name() {
            return Err(NoteError::Origin { found: checkpoint.origin, expected: log.name().to_owned() });
        }
        Ok(Self { checkpoint, note })
    }

    /// Adds the cosignature of the witness `name` at `time`, in seconds since 1970. A witness must have checked before that
    /// the checkpoint is consistent with every other that it has cosigned.
    ///
    /// # Errors
    /// If the name is not one, or the time is out of range.
    pub fn cosign(&mut self, name: &str, key: &SecretKey, time: u64) -> Result<(), NoteError> {
        self.note.cosign(name, key, time)
    }

    /// Which of `witnesses` have cosigned, and when.
    ///
    /// # Errors
    /// If a cosignature in the name of one of them does not hold, or there is none.
    pub fn cosigned<'a>(&self, witnesses: &'a [VerifierKey]) -> Result<Vec<Signed<'a>>, NoteError> {
        self.note.verify(witnesses)
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed text.
    pub(super) fn text(&self) -> &str {
        self.note.text()
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
