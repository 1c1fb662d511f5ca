//! Evidence: canonical JSON, signatures in DSSE envelopes, and the keys that make them.
//!
//! *Invariant:* what is verified is the bytes as they came, never a re-serialisation of them.

mod canonical;
mod dsse;
mod key;

pub use canonical::{CanonicalError, canonical_json, digest_of};
pub use dsse::{Envelope, EnvelopeError, IN_TOTO_PAYLOAD_TYPE, Verified};
pub use key::{KeyError, KeyId, PublicKey, SecretKey};
