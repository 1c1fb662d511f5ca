//! Whom TLS believes.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The certificates of a PEM file.
///
/// # Errors
/// If it cannot be read, or has none.
pub(in crate::back) fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("ca, {}: {why}", file.display());
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| wrong(&error))?;
    if all.is_empty() {
        return Err(wrong(&"it has no certificate; write the authority's in PEM"));
    }
    Ok(all)
}

/// Believes these authorities and no others; where none are given, whom this machine believes.
///
/// # Errors
/// If a certificate is none, or this machine has no authorities.
pub(super) fn believing(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let builder = builder()?;
    if authorities.is_empty() {
        let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
        return Ok(builder.with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| format!("ca: {error}"))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Believes nobody: for what is never reached by TLS.
///
/// # Errors
/// If there is no TLS at all.
pub(super) fn believing_nobody() -> Result<ClientConfig, String> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}
