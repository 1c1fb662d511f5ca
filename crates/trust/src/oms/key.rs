//! Elliptic-curve keys on NIST P-256, P-384 and P-521: the only ones that Model Signing v1.0 has.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use pkcs8::der::pem::LineEnding;
use pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    EncryptedPrivateKeyInfoRef,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::pem;
use super::show::hex;
use crate::{Passphrase, private_file};

/// What is wrong with an elliptic-curve key or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EcKeyError {
    /// The file cannot be read or written.
    #[error("key file {}: {source}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text holds no usable key.
    #[error("not a usable key: {0}")]
    NotAKey(String),
    /// The key is encrypted and no passphrase was given.
    #[error("the key is encrypted: give its passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoEntropy,
}

/// A curve. Each goes with one hash function: SHA-256, SHA-384, SHA-512.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256 (secp256r1), with SHA-256.
    P256,
    /// NIST P-384 (secp384r1), with SHA-384.
    P384,
    /// NIST P-521 (secp521r1), with SHA-512.
    P521,
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

/// A secret key. Prints masked.
pub struct EcSecretKey(Secret);

impl fmt::Debug for EcSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcSecretKey(… on {})", self.public().curve())
    }
}

/// Does the same with whichever key it is.
macro_rules! each_secret {
    ($self:expr, $key:ident => $body:expr) => {
        match &$self.0 {
            Secret::P256($key) => $body,
            Secret::P384($key) => $body,
            Secret::P521($key) => $body,
        }
    };
}

macro_rules! each_public {
    ($self:expr, $key:ident => $body:expr) => {
        match &$self.0 {
            Public::P256($key) => $body,
            Public::P384($key) => $body,
            Public::P521($key) => $body,
        }
    };
}

impl EcSecretKey {
    /// A new key from the system's random bytes.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn generate(curve: Curve) -> Result<Self, EcKeyError> {
        // A candidate is out of range with a chance below 2^-32 (P-256), or is masked into range (P-521).
        for _ in 0..64 {
            let mut bytes = Zeroizing::new([0_u8; 66]);
            getrandom::fill(bytes.as_mut()).map_err(|_| EcKeyError::NoEntropy)?;
            if let Some(first) = bytes.first_mut() {
                *first &= 1;
            }
            let made = match curve {
                Curve::P256 => bytes
                    .get(34..)
                    .and_then(|raw| p256::ecdsa::SigningKey::from_slice(raw).ok())
                    .map(Secret::P256),
                Curve::P384 => bytes
                    .get(18..)
                    .and_then(|raw| p384::ecdsa::SigningKey::from_slice(raw).ok())
                    .map(Secret::P384),
                Curve::P521 => p521::ecdsa::SigningKey::from_slice(bytes.as_ref()).ok().map(Secret::P521),
            };
            if let Some(secret) = made {
                return Ok(Self(secret));
            }
        }
        Err(EcKeyError::NoEntropy)
    }

    /// Reads a PEM file: PKCS#8, encrypted PKCS#8 (PBES2) or SEC1.
    ///
    /// # Errors
    /// If it cannot be read, holds something else, or the passphrase is missing or wrong.
    pub fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, EcKeyError> {
        let text = Zeroizing::new(read_text(path)?);
        Self::from_pem(&text, passphrase)
    }

    /// Reads PEM text; see [`EcSecretKey::load`].
    ///
    /// # Errors
    /// If it holds something else, or the passphrase is missing or wrong.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, EcKeyError> {
        for block in pem::blocks(text).map_err(EcKeyError::NotAKey)? {
            if block.legacy_encryption {
                return Err(EcKeyError::NotAKey(
                    "its encryption is OpenSSL's traditional one, which is weak; convert it with `openssl pkcs8 -topk8`".to_owned(),
                ));
            }
            match block.label.as_str() {
                "PRIVATE KEY" => return Self::from_pkcs8(&block.der),
                "EC PRIVATE KEY" => return Self::from_sec1(&block.der),
                "ENCRYPTED PRIVATE KEY" => {
                    let passphrase = passphrase.ok_or(EcKeyError::PassphraseNeeded)?;
                    let info = EncryptedPrivateKeyInfoRef::try_from(block.der.as_slice())
                        .map_err(|_| EcKeyError::NotAKey("its encryption is not PBES2".to_owned()))?;
                    let opened =
                        info.decrypt(passphrase.as_bytes()).map_err(|_| EcKeyError::WrongPassphrase)?;
                    return Self::from_pkcs8(opened.as_bytes());
                }
                _ => {}
            }
        }
        Err(EcKeyError::NotAKey("no private key in PEM form".to_owned()))
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, EcKeyError> {
        let secret = p256::SecretKey::from_pkcs8_der(der)
            .map(|key| Secret::P256(key.into()))
            .or_else(|_| p384::SecretKey::from_pkcs8_der(der).map(|key| Secret::P384(key.into())))
            .or_else(|_| p521::SecretKey::from_pkcs8_der(der).map(|key| Secret::P521(key.into())));
        secret.map(Self).map_err(|_| wrong_kind())
    }

    fn from_sec1(der: &[u8]) -> Result<Self, EcKeyError> {
        let secret = p256::SecretKey::from_sec1_der(der)
            .map(|key| Secret::P256(key.into()))
            .or_else(|_| p384::SecretKey::from_sec1_der(der).map(|key| Secret::P384(key.into())))
            .or_else(|_| p521::SecretKey::from_sec1_der(der).map(|key| Secret::P521(key.into())));
        secret.map(Self).map_err(|_| wrong_kind())
    }

    /// PKCS#8 PEM: encrypted (PBES2 with scrypt and AES-256-CBC) if there is a passphrase.
    ///
    /// # Errors
    /// If the system has no random bytes for the salt.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, EcKeyError> {
        let pem = match passphrase {
            None => each_secret!(self, key => key.to_pkcs8_pem(LineEnding::LF)),
            Some(passphrase) => each_secret!(self, key => {
                key.to_pkcs8_encrypted_pem(passphrase.as_bytes(), LineEnding::LF)
            }),
        };
        pem.map_err(|_| EcKeyError::NoEntropy)
    }

    /// Writes the key as PEM, readable by its owner only. An existing file is never overwritten.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn save(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), EcKeyError> {
        let pem = self.to_pem(passphrase)?;
        let file_error = |source| EcKeyError::File { path: path.to_owned(), source };
        private_file::write_new(path, pem.as_bytes()).map_err(file_error)
    }

    /// The public half.
    pub fn public(&self) -> EcPublicKey {
        EcPublicKey(match &self.0 {
            Secret::P256(key) => Public::P256(*key.verifying_key()),
            Secret::P384(key) => Public::P384(*key.verifying_key()),
            Secret::P521(key) => Public::P521(*key.verifying_key()),
        })
    }

    /// The DER form of an ECDSA signature over `message`, deterministic (RFC 6979).
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Secret::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Secret::P521(key) => {
                let signature: p521::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct EcPublicKey(Public);

impl fmt::Debug for EcPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcPublicKey({}, {})", self.curve(), self.id())
    }
}

impl EcPublicKey {
    /// Reads a PEM file that holds a SubjectPublicKeyInfo. A file with a secret key is refused: it has no business
    /// at a verifier's.
    ///
    /// # Errors
    /// If it cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Self, EcKeyError> {
        Self::from_pem(&read_text(path)?)
    }

    /// Reads PEM text; see [`EcPublicKey::load`].
    ///
    /// # Errors
    /// If it holds something else.
    pub fn from_pem(text: &str) -> Result<Self, EcKeyError> {
        for block in pem::blocks(text).map_err(EcKeyError::NotAKey)? {
            if block.label == "PUBLIC KEY" {
                return Self::from_spki(&block.der).ok_or_else(wrong_kind);
            }
            if block.label.ends_with("PRIVATE KEY") {
                return Err(EcKeyError::NotAKey("a private key, where a public key is needed".to_owned()));
            }
        }
        Err(EcKeyError::NotAKey("no public key in PEM form".to_owned()))
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    pub(super) fn from_spki(der: &[u8]) -> Option<Self> {
        p256::PublicKey::from_public_key_der(der)
            .map(|key| Public::P256(key.into()))
            .or_else(|_| p384::PublicKey::from_public_key_der(der).map(|key| Public::P384(key.into())))
            .or_else(|_| p521::PublicKey::from_public_key_der(der).map(|key| Public::P521(key.into())))
            .ok()
            .map(Self)
    }

    /// SubjectPublicKeyInfo as PEM.
    pub fn to_pem(&self) -> String {
        // INVARIANT: a point on a curve always has an encoding; an empty text names no key.
        each_public!(self, key => key.to_public_key_pem(LineEnding::LF)).unwrap_or_default()
    }

    /// The key's name in a bundle: the SHA-256 digest of its PEM form, in hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.to_pem().as_bytes()))
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        match &self.0 {
            Public::P256(_) => Curve::P256,
            Public::P384(_) => Curve::P384,
            Public::P521(_) => Curve::P521,
        }
    }

    /// Whether `signature` (DER) is this key's over `message`, with the hash function that belongs to the curve.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok()),
            Public::P384(key) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok()),
            Public::P521(key) => p521::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok()),
        }
    }
}

fn wrong_kind() -> EcKeyError {
    EcKeyError::NotAKey(
        "Model Signing v1.0 takes elliptic-curve keys on P-256, P-384 or P-521 only".to_owned(),
    )
}

/// The text of a small file.
pub(super) fn read_text(path: &Path) -> Result<String, EcKeyError> {
    let file_error = |source| EcKeyError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(file_error)?;
    file.take(pem::MAX_PEM).read_to_string(&mut text).map_err(file_error)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_signs_saves_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let key = EcSecretKey::generate(curve).unwrap();
            let path = folder.path().join(curve.to_string());
            key.save(&path, None).unwrap();
            let read = EcSecretKey::load(&path, None).unwrap();
            let public = EcPublicKey::from_pem(&read.public().to_pem()).unwrap();
            assert_eq!(public, key.public());
            let signature = key.sign(b"message");
            assert!(public.verify(b"message", &signature));
            assert!(!public.verify(b"massage", &signature));
            assert!(!EcSecretKey::generate(curve).unwrap().public().verify(b"message", &signature));
            assert!(key.save(&path, None).is_err(), "an existing key was overwritten");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_passphrase_is_needed_and_must_be_right() {
        let key = EcSecretKey::generate(Curve::P256).unwrap();
        let passphrase = Passphrase::new("correct horse");
        let pem = key.to_pem(Some(&passphrase)).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert!(matches!(EcSecretKey::from_pem(&pem, None), Err(EcKeyError::PassphraseNeeded)));
        let wrong = Passphrase::new("battery staple");
        assert!(matches!(EcSecretKey::from_pem(&pem, Some(&wrong)), Err(EcKeyError::WrongPassphrase)));
        assert_eq!(EcSecretKey::from_pem(&pem, Some(&passphrase)).unwrap().public(), key.public());
    }

    #[test]
    fn secrets_never_print() {
        let key = EcSecretKey::generate(Curve::P384).unwrap();
        let pem = key.to_pem(None).unwrap();
        assert!(!format!("{key:?}").contains(pem.lines().nth(1).unwrap()));
        assert!(!format!("{:?}", Passphrase::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ed25519.pem");
        crate::SecretKey::generate().unwrap().save(&path).unwrap();
        let message = EcSecretKey::load(&path, None).unwrap_err().to_string();
        assert!(message.contains("P-256, P-384 or P-521"), "{message}");
        let ours = EcSecretKey::generate(Curve::P256).unwrap().to_pem(None).unwrap();
        assert!(EcPublicKey::from_pem(&ours).unwrap_err().to_string().contains("private"));
    }
}
