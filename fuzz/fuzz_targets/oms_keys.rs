//! Keys in PEM files.
#![no_main]

use ostrom_fuzz::fuzz_target;
use ostrom_trust::PublicKey;
use ostrom_trust::oms::{EcPublicKey, EcSecretKey};

fuzz_target!(|text: &str| {
    let _ = EcPublicKey::from_pem(text);
    let _ = EcSecretKey::from_pem(text, None);
    let _ = PublicKey::from_pem(text);
});
