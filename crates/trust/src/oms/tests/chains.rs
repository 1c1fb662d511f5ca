//! Certificate chains: which lead to trust, and which do not.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::pki::{
    CODE_SIGNING, Chain, DAY, DIGITAL_SIGNATURE, Draft, KEY_CERT_SIGN, SERVER, START, authority, extension,
    key_usage, purpose, seq, tlv, to_pem,
};
use crate::oms::{
    CertificateTime, CertificateTrust, Curve, EcSecretKey, OmsError, SignOptions, SignedBy, Signer, Trust,
    Verified, VerifyOptions, sign, verify,
};

const DURING: CertificateTime = CertificateTime::At(START + DAY);

fn model(folder: &Path) -> std::path::PathBuf {
    let model = folder.join("model");
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("weights"), "w").unwrap();
    model
}

fn copy(key: &EcSecretKey) -> EcSecretKey {
    EcSecretKey::from_pem(&key.to_pem(None).unwrap(), None).unwrap()
}

/// Signs with the chain and verifies with its root.
fn check(chain: &Chain, time: CertificateTime) -> Result<Verified, OmsError> {
    check_with(chain, &[to_pem(&chain.root_der())], time)
}

fn check_with(chain: &Chain, roots: &[String], time: CertificateTime) -> Result<Verified, OmsError> {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let middle = to_pem(&chain.middle_der());
    let signer = Signer::certificate(copy(&chain.leaf_key), &to_pem(&chain.leaf_der()), [middle.as_str()])?;
    let signed = sign(&model, None, &signer, &SignOptions::default(), &|_| ()).unwrap();
    let trust = Trust::Certificates(CertificateTrust::from_pem(roots.iter().map(String::as_str), time)?);
    verify(&model, None, &signed.bundle, &trust, &VerifyOptions::default(), &|_| ())
}

fn chain() -> Chain {
    Chain::new(Curve::P384, Curve::P384, Curve::P256)
}

fn assert_refused(chain: &Chain, time: CertificateTime, word: &str) {
    let error = check(chain, time).unwrap_err();
    assert!(matches!(error, OmsError::Certificate(_)), "{error}");
    assert!(error.to_string().contains(word), "{error}");
}

#[test]
fn a_chain_leads_to_its_root_on_every_curve() {
    for (root, middle, leaf) in [
        (Curve::P256, Curve::P256, Curve::P256),
        (Curve::P384, Curve::P384, Curve::P384),
        (Curve::P521, Curve::P521, Curve::P521),
        (Curve::P521, Curve::P384, Curve::P256),
    ] {
        let chain = Chain::new(root, middle, leaf);
        let verified = check(&chain, DURING).unwrap();
        let SignedBy::Certificate { subject, not_after, .. } = verified.signer else {
            panic!("no certificate")
        };
        assert_eq!((subject.as_str(), not_after), ("signer", chain.leaf.to));
    }
}

#[test]
fn another_root_is_not_trusted_even_if_it_has_the_same_name() {
    let (ours, other) = (chain(), chain());
    let error = check_with(&ours, &[to_pem(&other.root_der())], DURING).unwrap_err();
    assert!(error.to_string().contains("no valid path"), "{error}");
}

#[test]
fn a_root_must_be_given_and_not_only_an_intermediate() {
    let chain = chain();
    let error = check_with(&chain, &[to_pem(&chain.middle_der())], DURING).unwrap_err();
    assert!(error.to_string().contains("no root"), "{error}");
    // With the root as well, an intermediate on the verifier's side does no harm.
    check_with(&chain, &[to_pem(&chain.middle_der()) + &to_pem(&chain.root_der())], DURING).unwrap();
}

#[test]
fn validity_counts_at_the_time_that_the_caller_chose() {
    let mut chain = chain();
    (chain.leaf.from, chain.leaf.to) = (START + DAY, START + 2 * DAY);
    check(&chain, CertificateTime::At(START + DAY)).unwrap();
    check(&chain, CertificateTime::Issued).unwrap();
    assert_refused(&chain, CertificateTime::At(START + 3 * DAY), "valid from");
    assert_refused(&chain, CertificateTime::At(START), "valid from");
    assert_refused(&chain, CertificateTime::Now, "valid from");
    // Nobody signs with it unawares, either.
    let signer =
        Signer::certificate(copy(&chain.leaf_key), &to_pem(&chain.leaf_der()), std::iter::empty()).unwrap();
    let at = |seconds| signer.check_time(UNIX_EPOCH + Duration::from_secs(seconds));
    at(START + DAY).unwrap();
    for seconds in [START, START + 3 * DAY] {
        let error = at(seconds).unwrap_err().to_string();
        assert!(error.contains(" UTC, but the time that counts is "), "{error}");
    }
    Signer::key(copy(&chain.leaf_key)).check_time(UNIX_EPOCH).unwrap();
}

#[test]
fn expired_authorities_are_not_trusted() {
    let mut expired = chain();
    expired.root.to = START + DAY;
    assert_refused(&expired, CertificateTime::At(START + 2 * DAY), "no valid path");
    let mut expired = chain();
    expired.middle.to = START + DAY;
    assert_refused(&expired, CertificateTime::At(START + 2 * DAY), "no valid path");
    assert_refused(
        &expired,
        CertificateTime::At(START + 2 * DAY),
        "a certificate of the path was valid until 20",
    );
}

#[test]
fn a_certificate_must_be_meant_for_signing() {
    for (extensions, good) in [
        (vec![key_usage(DIGITAL_SIGNATURE)], true),
        (vec![purpose(CODE_SIGNING)], true),
        (vec![key_usage(DIGITAL_SIGNATURE), purpose(CODE_SIGNING)], true),
        (vec![key_usage(DIGITAL_SIGNATURE), purpose(SERVER)], false),
        (vec![key_usage(KEY_CERT_SIGN), purpose(CODE_SIGNING)], false),
        (vec![key_usage(KEY_CERT_SIGN)], false),
        (vec![], false),
    ] {
        let mut chain = chain();
        chain.leaf = Draft::new("signer", extensions.clone());
        assert_eq!(check(&chain, DURING).is_ok(), good, "{extensions:?}");
    }
}

#[test]
fn only_authorities_may_issue() {
    let mut not_an_authority = chain();
    not_an_authority.middle.extensions = vec![key_usage(KEY_CERT_SIGN)];
    assert_refused(&not_an_authority, DURING, "no valid path");
    let mut wrong_usage = chain();
    wrong_usage.middle.extensions = vec![authority(Some(0)), key_usage(DIGITAL_SIGNATURE)];
    assert_refused(&wrong_usage, DURING, "no valid path");
    let mut servers_only = chain();
    servers_only.middle.extensions.push(purpose(SERVER));
    assert_refused(&servers_only, DURING, "no valid path");
    let mut unknown = chain();
    unknown.middle.extensions.push(extension("1.2.3.4.5", true, &[5, 0]));
    assert_refused(&unknown, DURING, "no valid path");
}

#[test]
fn a_path_is_no_longer_than_its_authorities_allow() {
    // signer ← middle ← upper (path length 0) ← root
    let chain = chain();
    let upper_key = EcSecretKey::generate(Curve::P384).unwrap();
    for (path_len, good) in [(Some(0), false), (Some(1), true), (None, true)] {
        let upper = Draft::new("upper", vec![authority(path_len), key_usage(KEY_CERT_SIGN)]);
        let upper_der = upper.sign(&upper_key.public(), &chain.root.subject, &chain.root_key);
        let middle_der = chain.middle.sign(&chain.middle_key.public(), "upper", &upper_key);
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path());
        let others = to_pem(&middle_der) + &to_pem(&upper_der);
        let signer =
            Signer::certificate(copy(&chain.leaf_key), &to_pem(&chain.leaf_der()), [others.as_str()])
                .unwrap();
        let signed = sign(&model, None, &signer, &SignOptions::default(), &|_| ()).unwrap();
        let root = to_pem(&chain.root_der());
        let trust = Trust::Certificates(CertificateTrust::from_pem([root.as_str()], DURING).unwrap());
        let verified = verify(&model, None, &signed.bundle, &trust, &VerifyOptions::default(), &|_| ());
        assert_eq!(verified.is_ok(), good, "{path_len:?}");
    }
}

#[test]
fn a_root_is_held_to_what_it_says_of_itself() {
    let any = || key_usage(KEY_CERT_SIGN);
    let no_authority = extension("2.5.29.19", true, &seq(&[]));
    for (extensions, word) in [
        (vec![any()], "not an authority"),
        (vec![any(), no_authority], "not an authority"),
        // A signer's own certificate, given as trusted, vouches for nobody else.
        (vec![purpose(CODE_SIGNING)], "not an authority"),
        (vec![authority(None), key_usage(DIGITAL_SIGNATURE)], "key usage"),
        (vec![authority(None), any(), purpose(SERVER)], "other purposes"),
        (vec![authority(None), any(), extension("1.2.3.4.5", true, &[5, 0])], "critical"),
        (vec![authority(Some(0)), any()], "PathLenConstraintViolated"),
    ] {
        let mut chain = chain();
        chain.root.extensions = extensions;
        assert_refused(&chain, DURING, "no valid path");
        assert_refused(&chain, DURING, word);
    }
    for extensions in [
        vec![authority(None)],
        vec![authority(Some(1)), any()],
        vec![authority(None), any(), purpose(CODE_SIGNING), extension("1.2.3.4.5", false, &[5, 0])],
    ] {
        let mut chain = chain();
        chain.root.extensions = extensions;
        check(&chain, DURING).unwrap();
    }
    // Of version 1, which has no extensions.
    let chain = chain();
    check_with(&chain, &[to_pem(&chain.root.sign_as_version_1(&chain.root_key))], DURING).unwrap();
}

#[test]
fn of_two_roots_with_one_name_and_key_each_has_its_own_bounds() {
    let mut chain = chain();
    let wide = to_pem(&chain.root_der());
    chain.root.extensions = vec![authority(Some(0)), key_usage(KEY_CERT_SIGN)];
    let narrow = to_pem(&chain.root_der());
    assert!(check_with(&chain, std::slice::from_ref(&narrow), DURING).is_err());
    check_with(&chain, &[narrow.clone(), wide.clone()], DURING).unwrap();
    check_with(&chain, &[wide, narrow], DURING).unwrap();
}

#[test]
fn name_constraints_reach_the_name_that_is_shown() {
    // Hosts below `example.org` only.
    let hosts = seq(&[tlv(0xa0, &seq(&[tlv(0x82, b"example.org")]))]);
    let constraint = || extension("2.5.29.30", true, &hosts);
    let alternative = |host: &str| extension("2.5.29.17", false, &seq(&[tlv(0x82, host.as_bytes())]));
    for at_root in [true, false] {
        for (subject, alternatives, good) in [
            ("signer", vec![], true),
            ("a.example.org", vec![alternative("A.example.org")], true),
            ("signer", vec![alternative("a.example.org")], true),
            ("signer", vec![alternative("a.example.com")], false),
            ("a.example.com", vec![], false),
            ("a.example.com", vec![alternative("a.example.org")], false),
            ("somebody@example.com", vec![], false),
        ] {
            let mut chain = chain();
            let place = if at_root { &mut chain.root } else { &mut chain.middle };
            place.extensions.push(constraint());
            chain.leaf.subject = subject.to_owned();
            chain.leaf.extensions.extend(alternatives);
            let result = check(&chain, DURING);
            assert_eq!(result.is_ok(), good, "{subject}, at the root: {at_root}: {result:?}");
        }
    }
    // Without constraints anybody may be called anything.
    let mut chain = chain();
    chain.leaf.subject = "a.example.com".to_owned();
    check(&chain, DURING).unwrap();
}

#[test]
fn an_extension_that_is_there_twice_is_refused() {
    let mut chain = chain();
    chain.leaf.extensions = vec![purpose(CODE_SIGNING), extension("1.2.3.4.5", false, &[5, 0])];
    crate::oms::x509::Certificate::from_der(&chain.leaf_der()).unwrap();
    chain.leaf.extensions.push(extension("1.2.3.4.5", false, &[5, 0]));
    assert!(crate::oms::x509::Certificate::from_der(&chain.leaf_der()).is_err());
}

#[test]
fn a_self_issued_signer_is_trusted_only_if_it_is_given() {
    let key = EcSecretKey::generate(Curve::P256).unwrap();
    let draft = Draft::new("me", vec![key_usage(DIGITAL_SIGNATURE)]);
    let pem = to_pem(&draft.sign(&key.public(), "me", &key));
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let signer = Signer::certificate(key, &pem, []).unwrap();
    let signed = sign(&model, None, &signer, &SignOptions::default(), &|_| ()).unwrap();
    let check = |root: &str| {
        let trust = Trust::Certificates(CertificateTrust::from_pem([root], DURING).unwrap());
        verify(&model, None, &signed.bundle, &trust, &VerifyOptions::default(), &|_| ())
    };
    check(&pem).unwrap();
    assert!(check(&to_pem(&chain().root_der())).is_err());
}

#[test]
fn a_certificate_for_another_key_cannot_sign() {
    let chain = chain();
    let other = EcSecretKey::generate(Curve::P256).unwrap();
    let error = Signer::certificate(other, &to_pem(&chain.leaf_der()), []).unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
}

#[test]
fn broken_certificates_are_errors_and_never_panic() {
    let der = chain().leaf_der();
    for cut in 0..der.len() {
        assert!(crate::oms::x509::Certificate::from_der(&der[..cut]).is_err());
    }
    for place in 0..der.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = der.clone();
            changed[place] ^= flip;
            if let Ok(certificate) = crate::oms::x509::Certificate::from_der(&changed) {
                let _ = (certificate.ec_key(), certificate.may_sign_code(), certificate.alt_names());
            }
        }
    }
}
