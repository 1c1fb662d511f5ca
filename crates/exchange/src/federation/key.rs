//! The key of a peer.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ostrom_trust::PublicKey;
use ostrom_trust::log::{NoteError, VerifierKey};

/// The key that a peer signs its log, its pages and its cosignatures with, and its name: the origin of its log. Its text is that of the
/// log's verifier key (C2SP signed-note), which people compare before they trust a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerKey {
    log: VerifierKey,
    witness: VerifierKey,
}

impl PeerKey {
    /// The peer of this name with this key.
    ///
    /// # Errors
    /// If the name cannot be a log's origin.
    pub fn new(name: &str, key: &PublicKey) -> Result<Self, NoteError> {
        Ok(Self {
            log: VerifierKey::log(name, key.clone())?,
            witness: VerifierKey::witness(name, key.clone())?,
        })
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        self.log.name()
    }

    /// What verifies its log and its pages.
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The SHA-256 of its text in groups of eight digits, for people who compare it over the telephone.
    pub fn fingerprint(&self) -> String {
        let digest = ostrom_core::Digest::of(self.to_string().as_bytes()).to_string();
        let digits: Vec<char> = digest.chars().collect();
        let groups: Vec<String> = digits.chunks(8).map(|group| group.iter().collect()).collect();
        groups.join(" ")
    }

    /// What verifies its cosignatures.
    pub fn witness(&self) -> &VerifierKey {
        &self.witness
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)
    }
}

impl FromStr for PeerKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // RFC 8410: the SubjectPublicKeyInfo of an Ed25519 key is these twelve bytes and the key.
        const INFO: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let malformed =
            NoteError::VerifierKey("a peer's key is the verifier key of its log, NAME+HASH+BASE64");
        let log: VerifierKey = text.trim().parse()?;
        let key = text.trim().splitn(3, '+').nth(2).and_then(|key| BASE64.decode(key.as_bytes()).ok());
        let Some([1, key @ ..]) = key.as_deref() else { return Err(malformed) };
        let info = [&INFO, key].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&info));
        let key = PublicKey::from_pem(&pem)
            .map_err(|_| NoteError::VerifierKey("a peer's key is not an Ed25519 key"))?;
        let made = Self::new(log.name(), &key)?;
        if made.log == log { Ok(made) } else { Err(malformed) }
    }
}

#[cfg(test)]
mod tests {
    use ostrom_trust::SecretKey;

    use super::*;

    #[test]
    fn a_peers_key_is_read_again_from_its_text() {
        for _ in 0..64 {
            let key = PeerKey::new("node.example/log", &SecretKey::generate().unwrap().public()).unwrap();
            assert_eq!(key.to_string().parse::<PeerKey>().unwrap(), key);
            assert_eq!(key.fingerprint().split(' ').map(str::len).collect::<Vec<_>>(), [8; 8]);
            assert!(key.witness().to_string().parse::<PeerKey>().is_err(), "a witness's key is another");
        }
        assert!("".parse::<PeerKey>().is_err());
    }
}
