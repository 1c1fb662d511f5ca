//! Evidence: canonical JSON, signatures in DSSE envelopes, the keys that make them, signatures of model folders, and the
//! transparency log.
//!
//! *Invariant:* what is verified is the bytes as they came, never a re-serialisation of them.

mod canonical;
mod dsse;
mod key;
pub mod log;
pub mod oms;
mod passphrase;
mod private_file;

pub use canonical::{CanonicalError, canonical_json, digest_of};
pub use dsse::{Envelope, EnvelopeError, IN_TOTO_PAYLOAD_TYPE, Verified};
pub use key::{KeyError, KeyId, PublicKey, SecretKey};
pub use passphrase::Passphrase;
