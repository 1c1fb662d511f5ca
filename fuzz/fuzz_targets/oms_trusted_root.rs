//! A trusted root of Sigstore.
#![no_main]

use ostrom_fuzz::fuzz_target;
use ostrom_trust::oms::TrustedRoot;

fuzz_target!(|text: &str| {
    let _ = TrustedRoot::from_json(text);
});
