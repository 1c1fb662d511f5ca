//! The hash functions of the format.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A hash function that a model can be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashAlgorithm {
    /// SHA-256, 32 bytes. What everybody else's verifier takes.
    #[default]
    Sha256,
    /// BLAKE2b, 64 bytes.
    Blake2b,
    /// BLAKE3, 32 bytes. Hashes one big file on all cores.
    Blake3,
}

impl HashAlgorithm {
    /// Bytes of a digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }

    pub(super) fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::Blake2b => Hasher::Blake2b(Box::new(blake2::Blake2b512::new())),
            Self::Blake3 => Hasher::Blake3(Box::new(blake3::Hasher::new())),
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        })
    }
}

impl FromStr for HashAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "blake2b" => Ok(Self::Blake2b),
            "blake3" => Ok(Self::Blake3),
            _ => Err(format!(
                "hash {:?} is not one of sha256, blake2b, blake3",
                text.chars().take(40).collect::<String>()
            )),
        }
    }
}

/// A digest under way.
pub(super) enum Hasher {
    Sha256(Sha256),
    Blake2b(Box<blake2::Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    /// The same on all cores, where the function allows for it.
    pub(super) fn update_on_all_cores(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update_rayon(bytes);
            }
            other => other.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oms::show::hex;

    #[test]
    fn known_values() {
        // FIPS 180-2 B.1; RFC 7693 appendix A; the BLAKE3 paper's empty input.
        for (algorithm, input, start) in [
            (HashAlgorithm::Sha256, "abc", "ba7816bf8f01cfea"),
            (HashAlgorithm::Blake2b, "abc", "ba80a53f981c4d0d"),
            (HashAlgorithm::Blake3, "", "af1349b9f5f9a1a6"),
        ] {
            let mut hasher = algorithm.hasher();
            hasher.update(input.as_bytes());
            let digest = hasher.finish();
            assert!(hex(&digest).starts_with(start));
            assert_eq!(digest.len(), algorithm.digest_len());
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        assert!("md5".parse::<HashAlgorithm>().is_err());
    }
}
