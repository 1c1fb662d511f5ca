//! Certificates: the input is DER, two of them with their length in front of the first, as a chain that a signature brings
//! along. Keys in DER too: whatever is no certificate may be one.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_fuzz::fuzz_target;
use ostrom_trust::oms::{CertificateTime, CertificateTrust, EcPublicKey, EcSecretKey, Trust, authenticate};

fuzz_target!(|data: &[u8]| {
    let [low, high, rest @ ..] = data else { return };
    let cut = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (leaf, root) = rest.split_at(cut);
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    let _ = EcPublicKey::from_pem(&pem("PUBLIC KEY", leaf));
    let _ = EcSecretKey::from_pem(&pem("PRIVATE KEY", leaf), None);
    let _ = EcSecretKey::from_pem(&pem("EC PRIVATE KEY", leaf), None);
    let Ok(trust) = CertificateTrust::from_pem([&*pem("CERTIFICATE", root)], CertificateTime::Issued) else {
        return;
    };
    let bundle = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "x509CertificateChain": {"certificates": [{"rawBytes": STANDARD.encode(leaf)}]},
            "tlogEntries": []
        },
        "dsseEnvelope": {
            "payload": STANDARD.encode("{}"),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": STANDARD.encode([0x30, 6, 2, 1, 1, 2, 1, 1]), "keyid": ""}]
        }
    });
    let bundle = serde_json::to_vec(&bundle).expect("JSON");
    assert!(authenticate(&bundle, &Trust::Certificates(trust)).is_err(), "a signature of ones");
});
