//! Certificate chains: from the signer's certificate to a root that the user trusts.
//!
//! Paths, signatures, validity times, basic constraints, path lengths, name constraints and the purposes of
//! intermediates are `webpki`'s work; what `webpki` leaves open (key usage, everything that a root says of itself, common
//! names under name constraints, P-521) is done here.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use p521::ecdsa::signature::Verifier as _;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, TrustAnchor,
    UnixTime, alg_id,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::error::OmsError;
use super::key::{EcPublicKey, read_text};
use super::pem;
use super::show::show;
use super::x509::Certificate;

/// DER of `codeSigning` (1.3.6.1.5.5.7.3.3), without tag and length.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    &P521,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// ECDSA on P-521 with SHA-512, which `ring` has not.
#[derive(Debug)]
struct P521Algorithm;

static P521: P521Algorithm = P521Algorithm;

impl SignatureVerificationAlgorithm for P521Algorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = p521::ecdsa::DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}

/// At which time a chain must be valid. A signature with certificates carries no trusted time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateTime {
    /// Now: an expired certificate signs nothing any more.
    #[default]
    Now,
    /// At this time, in seconds since 1970, which the caller knows from elsewhere.
    At(u64),
    /// When the signer's certificate began to be valid, as `model_signing` does. Whoever gets hold of the key after the
    /// certificate has expired can still sign.
    Issued,
}

/// Which certificates are trusted.
#[derive(Debug, Clone)]
pub struct CertificateTrust {
    given: Vec<Certificate>,
    time: CertificateTime,
}

impl CertificateTrust {
    /// Reads trusted certificates from PEM texts. Self-issued ones are roots; others only help to build the path.
    ///
    /// # Errors
    /// If a text has no certificate, or no root is among them.
    pub fn from_pem<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        time: CertificateTime,
    ) -> Result<Self, OmsError> {
        let mut given = Vec::new();
        for text in texts {
            for der in pem::certificates(text).map_err(OmsError::Certificate)? {
                given.push(Certificate::from_der(&der).map_err(OmsError::Certificate)?);
            }
        }
        if given.iter().any(Certificate::is_self_issued) {
            Ok(Self { given, time })
        } else {
            Err(OmsError::Certificate(
                "no root (a certificate that names itself as its issuer) was given".to_owned(),
            ))
        }
    }

    /// Reads trusted certificates from PEM files; see [`CertificateTrust::from_pem`].
    ///
    /// # Errors
    /// If a file cannot be read or has no certificate, or no root is among them.
    pub fn load<P: AsRef<Path>>(paths: &[P], time: CertificateTime) -> Result<Self, OmsError> {
        let texts = paths.iter().map(|path| read_text(path.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Self::from_pem(texts.iter().map(String::as_str), time)
    }

    /// Follows the chain of `bundled` certificates (the signer's first) to a root. Returns the signer's certificate
    /// and key.
    pub(super) fn verify(&self, bundled: &[Vec<u8>]) -> Result<(Certificate, EcPublicKey), OmsError> {
        let Some((leaf, bundled)) = bundled.split_first() else {
            return Err(OmsError::Certificate("the signature has none".to_owned()));
        };
        let leaf = Certificate::from_der(leaf).map_err(OmsError::Certificate)?;
        let time = match self.time {
            CertificateTime::Now => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
            }
            CertificateTime::At(time) => time,
            CertificateTime::Issued => leaf.not_before,
        };
        let (roots, mut helpers): (Vec<&Certificate>, Vec<&[u8]>) = (
            self.given.iter().filter(|certificate| certificate.is_self_issued()).collect(),
            self.given.iter().filter(|c| !c.is_self_issued()).map(|c| c.der.as_slice()).collect(),
        );
        helpers.extend(bundled.iter().map(Vec::as_slice));
        if !leaf.may_sign_code() {
            return Err(OmsError::Certificate(format!(
                "{} is not meant for signing: it needs the key usage digitalSignature, and codeSigning if purposes are listed",
                show(&leaf.subject_name())
            )));
        }
        path(&leaf, &helpers, &roots, time).map_err(OmsError::Certificate)?;
        let key = leaf.ec_key().ok_or_else(|| {
            OmsError::Certificate("its key is not an elliptic-curve key on P-256, P-384 or P-521".to_owned())
        })?;
        Ok((leaf, key))
    }
}

/// Finds a path from `leaf` over `helpers` to one of `roots`, valid at `time`. Returns the certificate that issued
/// `leaf`.
pub(super) fn path(
    leaf: &Certificate,
    helpers: &[&[u8]],
    roots: &[&Certificate],
    time: u64,
) -> Result<Vec<u8>, String> {
    let name = || show(&leaf.subject_name());
    leaf.check_time(time)?;
    // A signer's certificate that the user trusts by itself needs no path.
    if roots.iter().any(|root| root.der == leaf.der) {
        return Ok(leaf.der.clone());
    }
    let mut valid: Vec<(&Certificate, CertificateDer<'_>)> = Vec::new();
    let mut left_out = String::new();
    for root in roots {
        match root.unfit_as_root(time) {
            None => valid.push((root, CertificateDer::from(root.der.as_slice()))),
            Some(why) => {
                left_out
                    .push_str(&format!("; the root {} was left out: it {why}", show(&root.subject_name())));
            }
        }
    }
    let mut anchors: Vec<TrustAnchor<'_>> = Vec::new();
    for (_, der) in &valid {
        anchors.push(
            anchor_from_trusted_cert(der)
                .map_err(|error| format!("a root cannot be used: {}", in_words(&error)))?,
        );
    }
    let helpers: Vec<CertificateDer<'_>> = helpers.iter().map(|der| CertificateDer::from(*der)).collect();
    let der = CertificateDer::from(leaf.der.as_slice());
    let end_entity = EndEntityCert::try_from(&der)
        .map_err(|error| format!("{} cannot be used: {}", name(), in_words(&error)))?;
    let root_of = |anchor: &TrustAnchor<'_>| {
        let mut pairs = valid.iter().zip(&anchors);
        pairs.find(|(_, candidate)| std::ptr::eq(*candidate, anchor)).map(|((root, _), _)| *root)
    };
    // webpki leaves the key usage to its callers, and what a root says of itself.
    let authorities_may_sign = |path: &webpki::VerifiedPath<'_>| {
        let root = root_of(path.anchor()).ok_or(webpki::Error::UnknownIssuer)?;
        let (mut count, mut constrains) = (0_u64, root.constrains_names());
        for certificate in path.intermediate_certificates() {
            let certificate = Certificate::from_der(&certificate.der()).map_err(|_| webpki::Error::BadDer)?;
            if !certificate.may_sign_certificates() {
                return Err(webpki::Error::UnknownIssuer);
            }
            count = count.saturating_add(1);
            constrains |= certificate.constrains_names();
        }
        if root.path_length().is_none_or(|most| count > most) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        if constrains && leaf.common_name_escapes_constraints() {
            return Err(webpki::Error::NameConstraintViolation);
        }
        Ok(())
    };
    let path = end_entity
        .verify_for_usage(
            ALGORITHMS,
            &anchors,
            &helpers,
            UnixTime::since_unix_epoch(Duration::from_secs(time)),
            KeyUsage::required_if_present(CODE_SIGNING),
            None,
            Some(&authorities_may_sign),
        )
        .map_err(|error| {
            format!("no valid path from {} to a trusted root: {}{left_out}", name(), in_words(&error))
        })?;
    if let Some(issuer) = path.intermediate_certificates().next() {
        return Ok(issuer.der().to_vec());
    }
    root_of(path.anchor())
        .map(|root| root.der.clone())
        .ok_or_else(|| "the root of the path is not among the roots".to_owned())
}

/// What webpki found, which shows itself only as a programmer would write it.
fn in_words(error: &webpki::Error) -> String {
    use webpki::Error;
    let date = |time: &UnixTime| date(time.as_secs());
    match error {
        Error::CertExpired { time, not_after } => {
            format!("a certificate of the path was valid until {}, and the time that counts is {}", date(not_after), date(time))
        }
        Error::CertNotValidYet { time, not_before } => {
            format!("a certificate of the path is valid from {} on, and the time that counts is {}", date(not_before), date(time))
        }
        Error::UnknownIssuer => {
            "whoever issued it, or one of the path, is not among the certificates given, or may not issue any (UnknownIssuer)".to_owned()
        }
        Error::PathLenConstraintViolated => {
            "more certificates lie between it and an authority than that one allows (PathLenConstraintViolated)".to_owned()
        }
        Error::NameConstraintViolation => {
            "its name lies outside of what an authority may vouch for (NameConstraintViolation)".to_owned()
        }
        Error::InvalidSignatureForPublicKey => {
            "a signature of the path does not hold (InvalidSignatureForPublicKey)".to_owned()
        }
        Error::RequiredEkuNotFoundContext(_) => {
            "a certificate of the path is not meant for signing code (RequiredEkuNotFound)".to_owned()
        }
        // The rest are names that say what is wrong, and rare.
        other => format!("{other:?}"),
    }
}

/// A time in seconds since 1970, for people.
pub(super) fn date(seconds: u64) -> String {
    format!("{} UTC", ostrom_core::Timestamp::from_seconds(seconds).to_second())
}
