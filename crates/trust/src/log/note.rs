//! Signed notes (C2SP signed-note), verifier keys, and witnesses' cosignatures (C2SP tlog-cosignature, `cosignature/v1`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest as _, Sha256};

use crate::{PublicKey, SecretKey};

/// The longest note that is read, in bytes: many witnesses with post-quantum signatures fit.
pub const MAX_NOTE: usize = 256 << 10;
/// More signatures than anybody needs; a bound on the work that a stranger's note causes.
const MAX_SIGNATURES: usize = 64;
/// How a signature line begins: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// What is wrong with a note, a checkpoint or a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A signed note, but no checkpoint.
    #[error("not a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// The name cannot stand in a signature line.
    #[error(
        "{0:?} cannot name a key or a log: no spaces, no plus signs, no control characters, 1 to 255 bytes"
    )]
    Name(String),
    /// Not a verifier key.
    #[error("not a verifier key (NAME+HASH+BASE64): {0}")]
    VerifierKey(&'static str),
    /// A signature in the name of a known key does not hold.
    #[error("the signature of {0} does not hold: the text was changed, or another key signed it")]
    BadSignature(String),
    /// None of the known keys has signed.
    #[error("none of the keys that were asked for has signed this")]
    NoSignature,
    /// The checkpoint is of another log than the key.
    #[error("a checkpoint of the log {found:?}, expected {expected:?}")]
    Origin {
        /// The origin in the checkpoint.
        found: String,
        /// The key's name.
        expected: String,
    },
    /// The time of a cosignature is out of range.
    #[error("a cosignature's time is in seconds since 1970 and below 2^63")]
    Time,
}

/// What a key signs, which is part of its key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The note's text (type 0x01).
    Text,
    /// A checkpoint with a time (type 0x04).
    Cosignature,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Cosignature => 4,
        }
    }
}

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let fits = (1..=255).contains(&name.len());
    if fits && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        Ok(())
    } else {
        Err(NoteError::Name(name.chars().take(255).collect()))
    }
}

fn key_id(name: &str, kind: Kind, key: &PublicKey) -> [u8; 4] {
    let hasher = Sha256::new_with_prefix(name.as_bytes()).chain_update([b'\n', kind.byte()]);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.chain_update(key.to_bytes()).finalize());
    [a, b, c, d]
}

/// A named Ed25519 key that verifies notes. Its text form is C2SP's: `NAME+HASH+BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: Kind,
    key: PublicKey,
}

impl VerifierKey {
    /// A log's key, or any other that signs the text of notes. The name of a log's key is the log's origin.
    ///
    /// # Errors
    /// If the name cannot stand in a signature line.
    pub fn log(name: &str, key: PublicKey) -> Result<Self, NoteError> {
        Self::new(name, Kind::Text, key)
    }

    /// A witness's key, which cosigns checkpoints.
    ///
    /// # Errors
    /// If the name cannot stand in a signature line.
    pub fn witness(name: &str, key: PublicKey) -> Result<Self, NoteError> {
        Self::new(name, Kind::Cosignature, key)
    }

    fn new(name: &str, kind: Kind, key: PublicKey) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, kind, &key), kind, key })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a witness's.
    pub fn is_witness(&self) -> bool {
        self.kind == Kind::Cosignature
    }

    /// Whether `signature` holds over `text`, and the time that it states.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        match self.kind {
            Kind::Text => self.key.verify(text.as_bytes(), signature).then_some(None),
            Kind::Cosignature => {
                let (time, signature) = signature.split_first_chunk()?;
                let time = u64::from_be_bytes(*time);
                let message = cosigned(text, time).ok()?;
                self.key.verify(message.as_bytes(), signature).then_some(Some(time))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(&self.key.to_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::VerifierKey;
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it has fewer than three parts"));
        };
        let id = HEXLOWER_PERMISSIVE
            .decode(id.as_bytes())
            .map_err(|_| malformed("its hash is not hexadecimal"))?;
        let key = STANDARD.decode(key).map_err(|_| malformed("its key is not base64"))?;
        let (kind, key) = match key.split_first() {
            Some((1, key)) => (Kind::Text, key),
            Some((4, key)) => (Kind::Cosignature, key),
            _ => {
                return Err(malformed("only Ed25519 keys (type 1) and Ed25519 cosigners (type 4) are known"));
            }
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        let key = PublicKey::from_bytes(key).map_err(|_| malformed("not a point of the curve"))?;
        let made = Self::new(name, kind, key)?;
        if made.id.as_slice() == id {
            Ok(made)
        } else {
            Err(malformed("its hash belongs to another name or key"))
        }
    }
}

/// What a witness signs: C2SP tlog-cosignature, "Ed25519 signed message".
fn cosigned(text: &str, time: u64) -> Result<String, NoteError> {
    if time > i64::MAX.unsigned_abs() {
        return Err(NoteError::Time);
    }
    Ok(format!("cosignature/v1\ntime {time}\n{text}"))
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let (name, bytes) = line
            .strip_prefix(DASH)
            .and_then(|line| line.split_once(' '))
            .ok_or(malformed("a signature line is a dash, a name and a signature"))?;
        check_name(name)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| malformed("a signature is not base64"))?;
        match bytes.split_first_chunk() {
            Some((id, rest)) if !rest.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: rest.to_vec() })
            }
            _ => Err(malformed("a signature is too short")),
        }
    }
}

/// A signature that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The key that made it.
    pub by: &'a VerifierKey,
    /// When, in seconds since 1970, as a witness states it. A log states no time.
    pub time: Option<u64>,
}

/// A text and signatures over it. Nothing in it is to be believed before [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs `text`, which ends in a newline, with a key of this name.
    ///
    /// # Errors
    /// If the text does not end in a newline or has other control characters, or the name is not one.
    pub fn sign(text: &str, name: &str, key: &SecretKey) -> Result<Self, NoteError> {
        check_name(name)?;
        check_text(text)?;
        let mut note = Self { text: text.to_owned(), signatures: Vec::new() };
        note.add(name, Kind::Text, key, key.sign(text.as_bytes()).to_vec());
        Ok(note)
    }

    /// Adds a witness's cosignature with the time that it states. A line of the same key is replaced.
    pub(super) fn cosign(&mut self, name: &str, key: &SecretKey, time: u64) -> Result<(), NoteError> {
        check_name(name)?;
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend_from_slice(&key.sign(cosigned(&self.text, time)?.as_bytes()));
        self.add(name, Kind::Cosignature, key, bytes);
        Ok(())
    }

    fn add(&mut self, name: &str, kind: Kind, key: &SecretKey, bytes: Vec<u8>) {
        let id = key_id(name, kind, &key.public());
        self.signatures.retain(|signature| signature.name != name || signature.id != id);
        self.signatures.push(Signature { name: name.to_owned(), id, bytes });
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If it is not one, or longer than [`MAX_NOTE`], or has more than 64 signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        if bytes.len() > MAX_NOTE {
            return Err(malformed("it is longer than 256 KiB"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let middle = note.rfind("\n\n").ok_or(malformed("it has no empty line before its signatures"))?;
        // INVARIANT: both newlines are one byte long.
        let (text, signatures) = note.split_at_checked(middle + 1).ok_or(malformed("it has no text"))?;
        check_text(text)?;
        let signatures = signatures.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = signatures.ok_or(malformed("its last line does not end"))?;
        let mut found = Vec::new();
        for line in lines.split('\n') {
            if found.len() == MAX_SIGNATURES {
                return Err(malformed("it has more than 64 signatures"));
            }
            found.push(Signature::parse(line)?);
        }
        Ok(Self { text: text.to_owned(), signatures: found })
    }

    /// The signed text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks every signature in the name of one of `keys`. Signatures of other keys are passed over. Returns one signature
    /// for each key that has signed, so that nobody counts twice.
    ///
    /// # Errors
    /// If a signature in the name of a known key does not hold, or no known key has signed.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<Signed<'a>>, NoteError> {
        let mut found: Vec<Signed<'a>> = Vec::new();
        for signature in &self.signatures {
            for by in keys.iter().filter(|key| key.name == signature.name && key.id == signature.id) {
                let time = by
                    .verify(&self.text, &signature.bytes)
                    .ok_or_else(|| NoteError::BadSignature(by.name.clone()))?;
                if found.iter().all(|other| other.by != by) {
                    found.push(Signed { by, time });
                }
            }
        }
        if found.is_empty() { Err(NoteError::NoSignature) } else { Ok(found) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let mut bytes = signature.id.to_vec();
            bytes.extend_from_slice(&signature.bytes);
            writeln!(f, "{DASH}{} {}", signature.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("its text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Malformed("it has control characters"));
    }
    Ok(())
}
