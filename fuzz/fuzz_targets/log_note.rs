//! Notes, checkpoints and verifier keys from strangers. Nothing is signed by a key that was never used, and what is read is
//! written again as it was.
#![no_main]

use std::sync::LazyLock;

use ostrom_fuzz::fuzz_target;
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Checkpoint, Note, SignedCheckpoint, VerifierKey};

const NAME: &str = "example.com/log";

static NOBODY: LazyLock<[VerifierKey; 2]> = LazyLock::new(|| {
    let key = SecretKey::generate().expect("a key").public();
    [VerifierKey::log(NAME, key.clone()), VerifierKey::witness(NAME, key)].map(|key| key.expect("a name"))
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        if let Ok(checkpoint) = Checkpoint::parse(text) {
            assert_eq!(checkpoint.to_string(), text);
        }
    }
    let Ok(note) = Note::parse(data) else { return };
    assert_eq!(note.to_string().as_bytes(), data);
    assert!(note.verify(&*NOBODY).is_err(), "a signature by a key that was never used");
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        assert_eq!(checkpoint.to_string(), note.text());
    }
    assert!(SignedCheckpoint::open(data, &NOBODY[0]).is_err());
});
