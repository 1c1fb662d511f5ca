//! Where the node listens, and whether it speaks TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ostrom_http::{Bounds, Connections};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{Config, Exposure, StartError};

/// How long what is under way may go on once the node is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Listens where the settings say.
///
/// # Errors
/// If others could reach the node and nobody chose how, or the address or certificate cannot be had.
pub async fn listen(config: &Config) -> Result<Connections, StartError> {
    let loopback = config.listen.ip().is_loopback();
    if config.exposure == Exposure::Loopback && !loopback {
        return Err(StartError::Open(config.listen));
    }
    let speaks = matches!(config.exposure, Exposure::Tls { .. } | Exposure::BehindProxy);
    match &config.base {
        None if speaks || !loopback => return Err(StartError::NoBase),
        Some(base) if speaks != base.is_https() => return Err(StartError::Scheme),
        _ => {}
    }
    let tls = match &config.exposure {
        Exposure::Tls { certificates, key } => Some(acceptor(certificates, key)?),
        _ => None,
    };
    let bounds = Bounds { connections: config.limits.connections, head: config.limits.head, grace: GRACE };
    let connections = Connections::bind(config.listen, bounds).await;
    let connections = connections.map_err(|source| StartError::Listen { address: config.listen, source })?;
    Ok(match tls {
        Some(tls) => connections.with_tls(tls),
        None => connections,
    })
}

fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, StartError> {
    let wrong =
        |path: &Path, why: &dyn std::fmt::Display| StartError::Tls(format!("{}: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificates, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong(certificates, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
