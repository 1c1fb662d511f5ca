//! Random secrets, and what is kept of them.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Failure;

/// `N` bytes that nobody can guess.
///
/// # Errors
/// If the operating system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Failure::internal)?;
    Ok(bytes)
}

/// A secret of 43 characters with what its kind begins with.
///
/// # Errors
/// If the operating system has no random bytes.
pub fn secret(prefix: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(random::<32>()?);
    Ok(Zeroizing::new(format!("{prefix}{}", BASE64URL_NOPAD.encode(&*bytes))))
}

/// What is kept of a secret.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The bytes of a random UUID (version 4).
///
/// # Errors
/// If the operating system has no random bytes.
pub fn uuid() -> Result<[u8; 16], Failure> {
    random::<16>().map(versioned)
}

/// Makes bytes those of a UUID of version 4.
pub(crate) fn versioned(mut bytes: [u8; 16]) -> [u8; 16] {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    bytes
}
