//! Sigstore signatures, verified without a network against a trust root that the user gives.
//!
//! Order and strictness follow `sigstore-python`'s `Verifier.verify_dsse`:
//! time → chain to Fulcio → certificate transparency → identity → log entry (proof, checkpoint, promise) → signature →
//! the entry is about this envelope.

mod entry;
mod identity;
mod log;
mod sct;
mod trusted_root;

#[cfg(test)]
pub(super) mod tests;

use super::bundle::{Bundle, SigstoreMaterial};
use super::certificate::path;
use super::error::OmsError;
use super::show::show;
use super::x509::Certificate;

pub use trusted_root::TrustedRoot;

/// Which Sigstore signatures are trusted: whose, and vouched for by whom.
#[derive(Debug, Clone)]
pub struct SigstoreTrust {
    /// Authorities and logs.
    pub root: TrustedRoot,
    /// The signer: an e-mail address or a URI, letter by letter.
    pub identity: String,
    /// Who attested the identity: the URL of an OpenID Connect issuer, letter by letter.
    pub issuer: String,
}

/// Who signed, as Sigstore attests it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSigner {
    /// The identity in the certificate.
    pub identity: String,
    /// Who attested it.
    pub issuer: String,
    /// The log that has the signature.
    pub log: String,
    /// Its place in the log.
    pub log_index: u64,
    /// When the log took the signature in, in seconds since 1970.
    pub integrated_time: u64,
    /// What an online verifier could check in addition.
    pub not_checked: Vec<&'static str>,
}

/// What no offline verifier can know.
const NOT_CHECKED: &[&str] = &[
    "whether the trust root is the current one (a TUF update needs the network)",
    "whether the log shows everybody the same checkpoint (witnesses or the network are needed)",
];

/// Said in addition if the bundle has them: they were not needed, since the log's own time was verified.
const TIMESTAMPS: &str =
    "the RFC 3161 time stamps in the bundle (the log's own signed time was checked instead)";

fn refuse(why: impl Into<String>) -> OmsError {
    OmsError::Sigstore(why.into())
}

/// Checks everything about a Sigstore signature.
pub(super) fn verify(
    bundle: &Bundle,
    material: &SigstoreMaterial,
    trust: &SigstoreTrust,
) -> Result<SigstoreSigner, OmsError> {
    let leaf = Certificate::from_der(&material.certificate).map_err(refuse)?;

    // The log entry gives the time; it counts only because the log signed it.
    let logged = log::verify(&material.entry, &trust.root)?;
    let time = logged.integrated_time;

    let issuer = chain(&leaf, &trust.root, time)?;
    if !leaf.is_for_code_signing() {
        return Err(refuse("the certificate is not meant for signing code"));
    }
    sct::verify(&leaf, &issuer, &trust.root)?;
    let identity = identity::verify(&leaf, &trust.identity, &trust.issuer)?;

    let key = leaf.ec_key().ok_or_else(|| {
        OmsError::Unsupported(
            "the certificate's key is not on P-256, P-384 or P-521; it is not verified here".to_owned(),
        )
    })?;
    if !key.verify(&bundle.signed_bytes(), &bundle.signature) {
        return Err(OmsError::Signature(format!("not by the key certified for {}", show(&identity))));
    }
    entry::verify(&material.entry, bundle, &leaf)?;

    let mut not_checked = NOT_CHECKED.to_vec();
    if !material.timestamps.is_empty() {
        not_checked.push(TIMESTAMPS);
    }
    Ok(SigstoreSigner {
        identity,
        issuer: trust.issuer.clone(),
        log: logged.log,
        log_index: logged.log_index,
        integrated_time: time,
        not_checked,
    })
}

/// Follows the chain to one of the authorities that were in charge at that time. Returns the issuer's certificate.
fn chain(leaf: &Certificate, root: &TrustedRoot, time: u64) -> Result<Certificate, OmsError> {
    let mut last = "no certificate authority of the trust root was in charge at that time".to_owned();
    for authority in root.authorities.iter().filter(|authority| authority.period.includes(time)) {
        let Some((anchor, helpers)) = authority.chain.split_last() else { continue };
        let helpers: Vec<&[u8]> = helpers.iter().map(|certificate| certificate.der.as_slice()).collect();
        match path(leaf, &helpers, &[anchor], time) {
            Ok(issuer) => return Certificate::from_der(&issuer).map_err(refuse),
            Err(why) => last = why,
        }
    }
    Err(refuse(format!("the certificate does not come from a trusted authority: {last}")))
}
