//! Pages of a peer, openings, sealed bodies and peers' keys from strangers. Nothing is signed by a key that was never used.
#![no_main]

use std::sync::LazyLock;

use ostrom_exchange::commitment::Opening;
use ostrom_exchange::federation::{Page, PeerKey, Request, SignedPage};
use ostrom_exchange::seal::{OpeningKey, Sealed};
use ostrom_fuzz::fuzz_target;
use ostrom_trust::SecretKey;

static SECRET: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::generate().expect("a key"));
static PEER: LazyLock<PeerKey> =
    LazyLock::new(|| PeerKey::new("peer.example/log", &SECRET.public()).expect("a name"));
static RECIPIENT: LazyLock<OpeningKey> = LazyLock::new(|| OpeningKey::generate().expect("a key"));

fuzz_target!(|data: &[u8]| {
    let request = Request { from: "node.example/log".to_owned(), after: None, known: 0, nonce: "0".repeat(32) };
    assert!(SignedPage::open(data, &PEER, &request, None).is_err(), "a page by a key that was never used");
    // A page that the peer did sign: everything behind the signature.
    if let Ok(page) = serde_json::from_slice::<Page>(data)
        && let Ok(signed) = SignedPage::sign(&page, PEER.name(), &SECRET, &request)
    {
        assert!(SignedPage::open(&signed, &PEER, &request, None).is_err(), "its checkpoint is signed by nobody");
    }
    if let Ok(opening) = Opening::from_slice(data) {
        assert!(opening.verify(&[data], PEER.log()).is_err());
    }
    if let Ok(sealed) = Sealed::from_slice(data) {
        assert!(sealed.open("", &RECIPIENT).is_err(), "sealed to a key that was never given away");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = text.parse::<PeerKey>()
    {
        assert_eq!(key.to_string(), text.trim());
    }
});
