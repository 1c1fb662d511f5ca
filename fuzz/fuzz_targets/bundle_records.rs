//! The records of a bundle: manifest, trial, envelope and key. The first byte picks one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostrom_lab::bundle::Manifest;
use ostrom_lab::suite::Suite;
use ostrom_lab::trial::Trial;
use ostrom_trust::{Envelope, PublicKey};

fuzz_target!(|data: &[u8]| {
    let Some((kind, record)) = data.split_first() else { return };
    match kind % 5 {
        0 => drop(serde_json::from_slice::<Manifest>(record)),
        1 => {
            for line in record.split(|&byte| byte == b'\n') {
                if let Ok(trial) = serde_json::from_slice::<Trial>(line) {
                    let written = serde_json::to_vec(&trial).expect("a trial can be written");
                    let again: Trial = serde_json::from_slice(&written).expect("a written trial can be read");
                    assert_eq!(again, trial);
                }
            }
        }
        2 => drop(serde_json::from_slice::<Suite>(record)),
        3 => drop(Envelope::from_slice(record)),
        _ => drop(PublicKey::from_pem(&String::from_utf8_lossy(record))),
    }
});
