//! Ed25519 keys: in memory, and as PKCS#8 PEM files that only their owner can read.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use ostrom_core::Digest;
use pkcs8::der::pem::LineEnding;
use pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use zeroize::Zeroizing;

use crate::{Passphrase, private_file};

/// The SHA-256 digest of a public key's SubjectPublicKeyInfo (DER), which names the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyId {
    /// The first digits, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

/// What is wrong with a key or its file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("key file {}: {source}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the key that was asked for.
    #[error("{} is not an Ed25519 {expected} key in PEM form", path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
        /// `secret` or `public`.
        expected: &'static str,
    },
    /// The secret key is encrypted: [`SecretKey::load_encrypted`] opens it.
    #[error("{} is encrypted with a passphrase", path.display())]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase is another, or what it protects is no Ed25519 key.
    #[error("the passphrase does not open {}, or what is in it is not an Ed25519 key", path.display())]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// Something else lies among the trusted keys. It may have been meant as one, and what it would say against a model stays
    /// unsaid.
    #[error(
        "{} lies among the trusted keys and cannot be used as one: {why}. Every file there is read: put an Ed25519 public \
         key in PEM form there (`ostrom key public` prints one), or take the file away",
        path.display()
    )]
    AmongTrusted {
        /// The file.
        path: PathBuf,
        /// Why it is no key that could be trusted.
        why: String,
    },
    /// The text is not a public key.
    #[error("not an Ed25519 public key in PEM form")]
    NotPublic,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoEntropy(String),
}

/// An Ed25519 secret key. Prints masked.
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(… of {})", self.public().id().short())
    }
}

impl SecretKey {
    /// A new key from the system's random bytes.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::NoEntropy(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 PEM file.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem =
            fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| {
            let path = path.to_owned();
            if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
                KeyError::Encrypted { path }
            } else {
                KeyError::NotAKey { path, expected: "secret" }
            }
        })?;
        Ok(Self(key))
    }

    /// Reads an encrypted PKCS#8 PEM file (PBES2).
    ///
    /// # Errors
    /// If the file cannot be read, or the passphrase does not open it.
    pub fn load_encrypted(path: &Path, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let pem =
            fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        SigningKey::from_pkcs8_encrypted_pem(&pem, passphrase.as_bytes())
            .map(Self)
            .map_err(|_| KeyError::WrongPassphrase { path: path.to_owned() })
    }

    /// Reads the key at `path`, or makes one there (mode 0600) and says so in the second value.
    ///
    /// # Errors
    /// If the file can neither be read nor made.
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                match key.save(path) {
                    Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        Ok((Self::load(path)?, false))
                    }
                    saved => saved.map(|()| (key, true)),
                }
            }
            loaded => Ok((loaded?, false)),
        }
    }

    /// Writes the key as PKCS#8 PEM (version 1, without the public half: OpenSSL 3.0 reads no other), readable by its owner only. An existing file is never overwritten.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        self.write(path, |key| key.to_pkcs8_pem(LineEnding::LF))
    }

    /// The same, encrypted (PBES2 with scrypt and AES-256-CBC).
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn save_encrypted(&self, path: &Path, passphrase: &Passphrase) -> Result<(), KeyError> {
        self.write(path, |key| key.to_pkcs8_encrypted_pem(passphrase.as_bytes(), LineEnding::LF))
    }

    fn write(
        &self,
        path: &Path,
        encode: impl FnOnce(&KeypairBytes) -> pkcs8::Result<Zeroizing<String>>,
    ) -> Result<(), KeyError> {
        let file_error = |source| KeyError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(file_error)?;
        }
        let pem = encode(&KeypairBytes { secret_key: self.0.to_bytes(), public_key: None })
            .map_err(|_| KeyError::NotAKey { path: path.to_owned(), expected: "secret" })?;
        private_file::write_new(path, pem.as_bytes()).map_err(file_error)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// An Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo PEM text.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(|_| KeyError::NotPublic)
    }

    /// Reads a PEM file that holds a public key or, for convenience, the secret key it belongs to.
    ///
    /// # Errors
    /// If the file cannot be read or holds neither.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem =
            fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        Self::from_pem(&pem).or_else(|_| SecretKey::load(path).map(|key| key.public())).map_err(|error| {
            match error {
                KeyError::Encrypted { path } => KeyError::Encrypted { path },
                _ => KeyError::NotAKey { path: path.to_owned(), expected: "public" },
            }
        })
    }

    /// Reads every file of a folder of trusted keys, whatever its name. A folder that does not exist has none.
    ///
    /// # Errors
    /// If the folder cannot be read, or if anything in it is not one Ed25519 key. A key that is passed over is trusted by
    /// nobody, and what it revoked would be taken for sound.
    pub fn load_folder(folder: &Path) -> Result<Vec<Self>, KeyError> {
        let fail = |source| KeyError::File { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            keys.push(Self::load_trusted(&path).map_err(|why| KeyError::AmongTrusted { path, why })?);
        }
        Ok(keys)
    }

    fn load_trusted(path: &Path) -> Result<Self, String> {
        // What is no file (a pipe, say) would be waited for, or give an error that says less.
        if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let pem = fs::read_to_string(path).map_err(|error| error.to_string())?;
        if pem.matches("-----BEGIN ").count() > 1 {
            return Err("it holds several keys; each needs a file of its own".to_owned());
        }
        if crate::oms::EcPublicKey::from_pem(&pem).is_ok() {
            return Err(
                "it is a key on a NIST curve, which signs models (`verify --key`) and no records".to_owned()
            );
        }
        Self::load(path).map_err(|error| error.to_string())
    }

    /// SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// Never in practice; the encoder's signature allows for it.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::NotPublic)
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        // INVARIANT: DER encoding of an Ed25519 key is infallible; the raw key is a sound name if it were not.
        match self.0.to_public_key_der() {
            Ok(der) => KeyId(Digest::of(der.as_bytes())),
            Err(_) => KeyId(Digest::of(self.0.as_bytes())),
        }
    }

    /// The 32 bytes of RFC 8032.
    pub(crate) fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Reads the 32 bytes of RFC 8032.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| KeyError::NotPublic)
    }

    /// Whether `signature` is this key's over `message`. Strict: no malleable signatures, no weak keys.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/default.pem");
        let (first, made) = SecretKey::load_or_create(&path).unwrap();
        assert!(made);
        let (second, made) = SecretKey::load_or_create(&path).unwrap();
        assert!(!made);
        assert_eq!(first.public(), second.public());
        assert_eq!(PublicKey::load(&path).unwrap(), first.public());
        assert_eq!(PublicKey::from_pem(&first.public().to_pem().unwrap()).unwrap(), first.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(first.save(&path).is_err(), "an existing key was overwritten");
    }

    #[test]
    fn a_file_with_something_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pem");
        fs::write(&path, "hello").unwrap();
        assert!(SecretKey::load_or_create(&path).unwrap_err().to_string().contains("x.pem"));
    }

    #[test]
    fn processes_that_begin_at_once_get_one_key() {
        let folder = tempfile::tempdir().unwrap();
        // Often, since whoever looks while another writes must not find half a key.
        for round in 0..40 {
            let path = folder.path().join(format!("{round}/default.pem"));
            let keys: Vec<PublicKey> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| SecretKey::load_or_create(&path).unwrap().0.public()))
                    .collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|key| *key == keys[0]));
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "something was left");
        }
    }

    #[test]
    fn both_versions_of_pkcs8_are_read_and_the_first_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::generate().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        key.save(&one).unwrap();
        // What `openssl genpkey -algorithm ed25519` writes begins like this too.
        assert!(fs::read_to_string(&one).unwrap().contains("\nMC4CAQAwBQYDK2VwBCIEI"));
        fs::write(&two, key.0.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        assert!(fs::read_to_string(&two).unwrap().contains("\nMFECAQE"));
        for path in [one, two] {
            assert_eq!(SecretKey::load(&path).unwrap().public(), key.public());
        }
    }

    #[test]
    fn an_encrypted_key_is_opened_by_its_passphrase_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.pem");
        let key = SecretKey::generate().unwrap();
        let passphrase = Passphrase::new("correct horse");
        key.save_encrypted(&path, &passphrase).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert!(matches!(SecretKey::load(&path), Err(KeyError::Encrypted { .. })));
        assert!(matches!(SecretKey::load_or_create(&path), Err(KeyError::Encrypted { .. })));
        assert!(matches!(PublicKey::load(&path), Err(KeyError::Encrypted { .. })));
        assert_eq!(SecretKey::load_encrypted(&path, &passphrase).unwrap().public(), key.public());
        let wrong = SecretKey::load_encrypted(&path, &Passphrase::new("battery staple"));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase { .. })));
        // Keys of the other kind are no keys here, whatever opens them.
        let other = folder.path().join("p256.pem");
        let ec = crate::oms::EcSecretKey::generate(crate::oms::Curve::P256).unwrap();
        ec.save(&other, Some(&passphrase)).unwrap();
        let found = SecretKey::load_encrypted(&other, &passphrase);
        assert!(matches!(found, Err(KeyError::WrongPassphrase { .. })));
    }

    #[test]
    fn every_file_among_the_trusted_keys_is_a_key_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(PublicKey::load_folder(&folder.path().join("absent")).unwrap().is_empty());
        let (one, two) = (SecretKey::generate().unwrap().public(), SecretKey::generate().unwrap().public());
        for (name, key) in [("one.pub", &one), ("two", &two)] {
            fs::write(folder.path().join(name), key.to_pem().unwrap()).unwrap();
        }
        let keys = PublicKey::load_folder(folder.path()).unwrap();
        assert!(keys.len() == 2 && keys.contains(&one) && keys.contains(&two));

        let ec = crate::oms::EcSecretKey::generate(crate::oms::Curve::P256).unwrap().public().to_pem();
        let both = one.to_pem().unwrap() + &two.to_pem().unwrap();
        for (content, why) in
            [("hello", "not an Ed25519 public key"), (&ec, "NIST curve"), (&both, "a file of its own")]
        {
            let odd = folder.path().join(".odd.txt");
            fs::write(&odd, content).unwrap();
            let message = PublicKey::load_folder(folder.path()).unwrap_err().to_string();
            assert!(message.contains(".odd.txt") && message.contains(why), "{message}");
            fs::remove_file(odd).unwrap();
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        let message = PublicKey::load_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }

    #[test]
    fn the_secret_never_prints() {
        let key = SecretKey::generate().unwrap();
        let pem = key.0.to_pkcs8_pem(LineEnding::LF).unwrap();
        let body = pem.lines().nth(1).unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&body));
    }
}
