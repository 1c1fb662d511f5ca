//! Sealed bodies: what is marked TLP:RED, or has named recipients, encrypted so that a relay or a backup cannot read it.
//!
//! The body is encrypted once, with a content key that is used for nothing else (ChaCha20-Poly1305, nonce zero). The content key
//! is sealed to each recipient with HPKE (RFC 9180, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305).
//!
//! ```json
//! { "format": "ostrom-seal/v2",
//!   "context": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
//!   "sender": "the sender's public key",
//!   "recipients": [ { "key": "SHA-256 of the public key", "encapsulated": "BASE64", "sealed": "BASE64" } ],
//!   "body": "BASE64" }
//! ```
//!
//! HPKE's `info` is the format, ` recipient\n` and the context. The body's associated data is the SHA-256 of the canonical JSON
//! (RFC 8785) of everything but the body, so neither the context nor the list of recipients can be changed. How many recipients
//! there are, which keys they have and how long the body is, everybody sees.
//!
//! **Who sealed it.** `ostrom-seal/v1` has no `sender` and uses HPKE's base mode: whoever knows the recipients' keys can make one.
//! `ostrom-seal/v2` uses its auth mode with the sender's own key. What is sealed to each recipient is then the content key *and* the
//! SHA-256 of the canonical JSON of `body` (SHA-256 of the plain body), `context` and `recipients` (their keys' names, sorted): recipients
//! all know the content key, and without it one of them could put another body in the sender's name before the others. A recipient is convinced and
//! can convince nobody else: they could have made it for themselves. Whoever gets hold of a recipient's key can deceive *that* recipient.

use std::fmt;
use std::str::FromStr;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305 as Cipher, KeyInit as _};
use data_encoding::{BASE64, HEXLOWER};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use ostrom_core::Digest;
use ostrom_trust::canonical_json;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

type Kem = X25519HkdfSha256;

/// The format of a seal that does not say who made it.
const FORMAT: &str = "ostrom-seal/v1";
/// The format of one that does.
const SIGNED: &str = "ostrom-seal/v2";
/// More recipients than anything is sealed to.
pub const MAX_RECIPIENTS: usize = 256;
/// Longest body, in bytes.
pub const MAX_BODY: usize = 8 << 20;
/// Longest sealed form, in bytes: the body in base64 and the recipients.
pub const MAX_SEALED: usize = 12 << 20;

/// What is wrong with a seal, or with what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoEntropy(String),
    /// There is nobody to seal to, or there are too many.
    #[error("{0} recipients: seal to between 1 and {MAX_RECIPIENTS}")]
    Recipients(usize),
    /// The body is too long.
    #[error("a body of {0} bytes is not sealed: at most {MAX_BODY}")]
    TooLong(usize),
    /// Not a sealed body.
    #[error("not a sealed body: {0}")]
    Malformed(String),
    /// Not a key.
    #[error("not an X25519 key: 64 lower-case hexadecimal digits are needed")]
    Key,
    /// Sealed to others.
    #[error("it is not sealed to this key")]
    NotARecipient,
    /// Sealed for another purpose.
    #[error("it was sealed as {found:?}, not as {expected:?}")]
    Context {
        /// What it says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Something was changed.
    #[error("it does not open: it was changed, or was not sealed to this key")]
    Changed,
}

/// The key that a recipient gives to others.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipientKey(<Kem as hpke::Kem>::PublicKey);

impl RecipientKey {
    /// Its name: the SHA-256 of its 32 bytes.
    pub fn id(&self) -> Digest {
        Digest::of(&self.0.to_bytes())
    }

    /// Whether something can be sealed to it: points of small order are none (RFC 7748, section 6.1).
    pub fn is_usable(&self) -> bool {
        Sealed::new(b"", "", std::slice::from_ref(self)).is_ok()
    }
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0.to_bytes()))
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({self})")
    }
}

impl FromStr for RecipientKey {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| SealError::Key)?;
        <Kem as hpke::Kem>::PublicKey::from_bytes(&bytes).map(Self).map_err(|_| SealError::Key)
    }
}

impl Serialize for RecipientKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecipientKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The key that a recipient keeps. Prints masked.
pub struct OpeningKey(<Kem as hpke::Kem>::PrivateKey);

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey(… of {})", self.public().id().short())
    }
}

impl OpeningKey {
    /// A new one from the system's random bytes.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self(Kem::gen_keypair_with_rng(&mut Random::new()?).0))
    }

    /// Reads the 64 hexadecimal digits of [`OpeningKey::to_secret_text`].
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_secret_text(text: &str) -> Result<Self, SealError> {
        let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| SealError::Key)?;
        <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).map(Self).map_err(|_| SealError::Key)
    }

    /// The key as text, for its owner only.
    pub fn to_secret_text(&self) -> String {
        HEXLOWER.encode(&self.0.to_bytes())
    }

    /// What is given to others.
    pub fn public(&self) -> RecipientKey {
        RecipientKey(Kem::sk_to_pk(&self.0))
    }
}

/// A body that its recipients can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    format: String,
    context: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<RecipientKey>,
    recipients: Vec<Stanza>,
    body: String,
}

/// The content key, sealed to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stanza {
    key: Digest,
    encapsulated: String,
    sealed: String,
}

impl Sealed {
    /// Seals `body`, as `context` (the object's id), to every one of `recipients`, and does not say who did.
    ///
    /// # Errors
    /// If there is no recipient, there are too many, the body is too long, or the system gives no random bytes.
    pub fn new(body: &[u8], context: &str, recipients: &[RecipientKey]) -> Result<Self, SealError> {
        Self::make(None, body, context, recipients)
    }

    /// The same, so that every recipient knows that whoever has `sender` made it for them.
    ///
    /// # Errors
    /// As for [`Sealed::new`].
    pub fn by(
        sender: &OpeningKey,
        body: &[u8],
        context: &str,
        recipients: &[RecipientKey],
    ) -> Result<Self, SealError> {
        Self::make(Some(sender), body, context, recipients)
    }

    fn make(
        sender: Option<&OpeningKey>,
        body: &[u8],
        context: &str,
        recipients: &[RecipientKey],
    ) -> Result<Self, SealError> {
        if body.len() > MAX_BODY {
            return Err(SealError::TooLong(body.len()));
        }
        let mut keys: Vec<&RecipientKey> = recipients.iter().collect();
        keys.sort_by_key(|key| key.id());
        keys.dedup();
        if !(1..=MAX_RECIPIENTS).contains(&keys.len()) {
            return Err(SealError::Recipients(keys.len()));
        }
        let mut random = Random::new()?;
        let mut content = [0; 32];
        random.fill(&mut content);
        let format = if sender.is_some() { SIGNED } else { FORMAT };
        let info = info(format, context);
        let mut plain = content.to_vec();
        if sender.is_some() {
            plain.extend_from_slice(said(body, context, keys.iter().map(|key| key.id()))?.as_bytes());
        }
        let stanza = |key: &&RecipientKey| {
            let (encapsulated, sealed) = hpke_seal(&mut random, sender, key, &info, &plain, b"")?;
            Ok(Stanza {
                key: key.id(),
                encapsulated: BASE64.encode(&encapsulated),
                sealed: BASE64.encode(&sealed),
            })
        };
        let recipients = keys.iter().map(stanza).collect::<Result<_, SealError>>()?;
        let mut sealed = Self {
            format: format.to_owned(),
            context: context.to_owned(),
            sender: sender.map(OpeningKey::public),
            recipients,
            body: String::new(),
        };
        let header = sealed.header()?;
        let payload = Payload { msg: body, aad: header.as_bytes() };
        let encrypted = Cipher::new(&content.into()).encrypt(&[0; 12].into(), payload);
        sealed.body = BASE64.encode(&encrypted.map_err(|_| SealError::TooLong(body.len()))?);
        Ok(sealed)
    }

    /// Reads a sealed body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        let malformed = |what: &str| SealError::Malformed(what.to_owned());
        if bytes.len() > MAX_SEALED {
            return Err(malformed("it is too long"));
        }
        let sealed: Self =
            serde_json::from_slice(bytes).map_err(|error| SealError::Malformed(error.to_string()))?;
        sealed.check_format()?;
        if !(1..=MAX_RECIPIENTS).contains(&sealed.recipients.len()) {
            return Err(SealError::Recipients(sealed.recipients.len()));
        }
        Ok(sealed)
    }

    /// The sealed body as canonical JSON.
    ///
    /// # Errors
    /// Never in practice: everything in it is text.
    pub fn to_json(&self) -> Result<Vec<u8>, SealError> {
        canonical_json(self).map_err(|error| SealError::Malformed(error.to_string()))
    }

    /// A seal that says who made it says so in its format too: the other has another meaning.
    fn check_format(&self) -> Result<(), SealError> {
        let expected = if self.sender.is_some() { SIGNED } else { FORMAT };
        if self.format == expected {
            return Ok(());
        }
        Err(SealError::Malformed(format!("its format is not {expected}")))
    }

    /// Whose key it says that it is made with. That holds for whom it opens ([`Sealed::open`]), and for nobody else.
    pub const fn sender(&self) -> Option<&RecipientKey> {
        self.sender.as_ref()
    }

    /// The names of the keys that it is sealed to.
    pub fn recipients(&self) -> impl Iterator<Item = Digest> {
        self.recipients.iter().map(|stanza| stanza.key)
    }

    /// Opens it. If it has a [`Sealed::sender`], whoever has that key made it, for these recipients and as this context.
    ///
    /// # Errors
    /// If it was sealed as something else, to others, by somebody else than it says, or was changed.
    pub fn open(&self, context: &str, key: &OpeningKey) -> Result<Vec<u8>, SealError> {
        self.check_format()?;
        if self.context != context {
            return Err(SealError::Context { found: self.context.clone(), expected: context.to_owned() });
        }
        let id = key.public().id();
        let stanza =
            self.recipients.iter().find(|stanza| stanza.key == id).ok_or(SealError::NotARecipient)?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| SealError::Changed);
        let info = info(&self.format, context);
        let (encapsulated, sealed) = (decode(&stanza.encapsulated)?, decode(&stanza.sealed)?);
        let plain = hpke_open(key, self.sender.as_ref(), &encapsulated, &info, &sealed, b"")?;
        let (content, promised) = plain.split_at_checked(32).ok_or(SealError::Changed)?;
        let content: [u8; 32] = content.try_into().map_err(|_| SealError::Changed)?;
        let header = self.header()?;
        let body = decode(&self.body)?;
        let payload = Payload { msg: &body, aad: header.as_bytes() };
        let body =
            Cipher::new(&content.into()).decrypt(&[0; 12].into(), payload).map_err(|_| SealError::Changed)?;
        // Another recipient has the content key as well, and not the sender's.
        let good = match self.sender {
            Some(_) => said(&body, context, self.recipients())?.as_bytes() == promised,
            None => promised.is_empty(),
        };
        if good { Ok(body) } else { Err(SealError::Changed) }
    }

    /// The digest of everything but the body.
    fn header(&self) -> Result<Digest, SealError> {
        let header = Self { body: String::new(), ..self.clone() };
        Ok(Digest::of(&header.to_json()?))
    }
}

fn info(format: &str, context: &str) -> Vec<u8> {
    format!("{format} recipient\n{context}").into_bytes()
}

/// What the sender stands for before each recipient.
fn said(body: &[u8], context: &str, recipients: impl Iterator<Item = Digest>) -> Result<Digest, SealError> {
    #[derive(Serialize)]
    struct Said<'a> {
        body: Digest,
        context: &'a str,
        recipients: std::collections::BTreeSet<Digest>,
    }
    let said = Said { body: Digest::of(body), context, recipients: recipients.collect() };
    let bytes = canonical_json(&said).map_err(|error| SealError::Malformed(error.to_string()))?;
    Ok(Digest::of(&bytes))
}

fn hpke_seal(
    random: &mut Random,
    sender: Option<&OpeningKey>,
    key: &RecipientKey,
    info: &[u8],
    plain: &[u8],
    aad: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let mode = sender.map_or(OpModeS::Base, |sender| OpModeS::Auth((sender.0.clone(), sender.public().0)));
    let (encapsulated, mut context) =
        hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(&mode, &key.0, info, random)
            .map_err(|_| SealError::Key)?;
    let sealed = context.seal(plain, aad).map_err(|_| SealError::Key)?;
    Ok((encapsulated.to_bytes().to_vec(), sealed))
}

fn hpke_open(
    key: &OpeningKey,
    sender: Option<&RecipientKey>,
    encapsulated: &[u8],
    info: &[u8],
    sealed: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mode = sender.map_or(OpModeR::Base, |sender| OpModeR::Auth(sender.0.clone()));
    let encapsulated =
        <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| SealError::Changed)?;
    let mut context =
        hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(&mode, &key.0, &encapsulated, info)
            .map_err(|_| SealError::Changed)?;
    context.open(sealed, aad).map_err(|_| SealError::Changed)
}

/// Random bytes for an interface that cannot fail: a seed is drawn from the system beforehand, where it can, and stretched with
/// SHA-256 in counter mode.
struct Random {
    seed: [u8; 32],
    block: u64,
    /// Known-answer tests hand out these bytes first.
    #[cfg(test)]
    first: Vec<u8>,
}

impl Random {
    fn new() -> Result<Self, SealError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| SealError::NoEntropy(error.to_string()))?;
        Ok(Self {
            seed,
            block: 0,
            #[cfg(test)]
            first: Vec::new(),
        })
    }

    fn fill(&mut self, out: &mut [u8]) {
        #[cfg(test)]
        if !self.first.is_empty() {
            out.copy_from_slice(&std::mem::take(&mut self.first));
            return;
        }
        for chunk in out.chunks_mut(32) {
            let block: [u8; 32] =
                Sha256::new_with_prefix(self.seed).chain_update(self.block.to_be_bytes()).finalize().into();
            self.block = self.block.wrapping_add(1);
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
    }
}

impl TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Random {}

#[cfg(test)]
mod tests;
