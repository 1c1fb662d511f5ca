#![doc = include_str!("../../../../docs/design/oms.md")]

mod bundle;
mod cache;
mod certificate;
mod error;
mod hash;
mod key;
mod manifest;
mod pem;
mod show;
mod sign;
mod sigstore;
mod tree;
mod turns;
mod verify;
mod work;
mod x509;

#[cfg(test)]
mod tests;

pub use cache::FastCache;
pub use certificate::{CertificateTime, CertificateTrust};
pub use error::{Change, Changed, Differences, OmsError, Problem, Why};
pub use hash::HashAlgorithm;
pub use key::{Curve, EcKeyError, EcPublicKey, EcSecretKey};
pub use manifest::{DEFAULT_SHARD_SIZE, Method};
pub use sign::{SignOptions, Signed, Signer, UNFINISHED, sign};
pub use sigstore::{SigstoreSigner, SigstoreTrust, TrustedRoot};
pub use verify::{
    Authenticated, Fast, SignedBy, SignedFile, Trust, Verified, VerifyOptions, authenticate, verify,
    verify_fast,
};
pub use work::{OnProgress, Progress};
