//! Signatures of model folders: a trusted root of Sigstore, a certificate in PEM and a bundle, with a NUL between. The bundle
//! is held against the key of nobody, the certificate and the root.
#![no_main]

use std::sync::LazyLock;

use ostrom_fuzz::fuzz_target;
use ostrom_trust::oms::{
    CertificateTime, CertificateTrust, Curve, EcSecretKey, SigstoreTrust, Trust, TrustedRoot, authenticate,
};

static NOBODY: LazyLock<Trust> =
    LazyLock::new(|| Trust::Key(EcSecretKey::generate(Curve::P256).expect("a key").public()));

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (Some(root), Some(certificate), Some(bundle)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    assert!(authenticate(bundle, &NOBODY).is_err(), "a signature by a key that was never used");
    if let Ok(trust) =
        CertificateTrust::from_pem([&*String::from_utf8_lossy(certificate)], CertificateTime::Issued)
    {
        let _ = authenticate(bundle, &Trust::Certificates(trust));
    }
    if let Ok(root) = TrustedRoot::from_json(&String::from_utf8_lossy(root)) {
        let (identity, issuer) = ("dev@example.com".to_owned(), "https://login.example.com".to_owned());
        let _ = authenticate(bundle, &Trust::Sigstore(Box::new(SigstoreTrust { root, identity, issuer })));
    }
});
