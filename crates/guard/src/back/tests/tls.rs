//! Servers over TLS, with authorities of their own.

use std::path::PathBuf;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use ostrom_http::{Bounds, Connections};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::http::Modern;
use super::*;
use crate::back::{Auth, Fault};

/// An authority, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Serves MCP until the test ends, with a certificate for this name.
    async fn serves(&self, name: &str) -> Url {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(key.serialize_der().into()),
                )
                .unwrap();
        let bounds = Bounds { connections: 8, head: Duration::from_secs(30), grace: Duration::ZERO };
        let bound = Connections::bind(([127, 0, 0, 1], 0).into(), bounds).await.unwrap();
        let bound = bound.with_tls(TlsAcceptor::from(Arc::new(config)));
        let port = bound.address().port();
        let state = Modern::default();
        let router = Router::new()
            .fallback(move |headers: HeaderMap, body: Bytes| state.clone().answer(headers, body));
        tokio::spawn(bound.run(router, |_| {}, std::future::pending()));
        Url::parse(&format!("https://localhost:{port}/mcp")).unwrap()
    }
}

async fn connect(url: &Url, ca: Option<PathBuf>) -> Result<Server, BackError> {
    let connection = Connection::Http { url: url.clone(), auth: Auth::None, ca };
    Server::start("upstream", connection, settings()).await
}

#[tokio::test]
async fn a_server_over_tls_is_called_if_its_authority_is_the_one_in_the_configuration() {
    let ours = Authority::new();
    let url = ours.serves("localhost").await;
    let server = connect(&url, Some(ours.file())).await.unwrap();
    for _ in 0..3 {
        assert!(text(&server, "echo", json!({"a": 1})).await.contains("\"a\":1"));
    }
}

#[tokio::test]
async fn a_server_that_nobody_believed_vouches_for_is_not_called() {
    let (ours, other) = (Authority::new(), Authority::new());
    let url = ours.serves("localhost").await;
    // Another authority; this machine's, which know nothing of ours; and our own, for another name.
    let elsewhere = ours.serves("elsewhere.example").await;
    for (url, ca) in [(&url, Some(other.file())), (&url, None), (&elsewhere, Some(ours.file()))] {
        let error = connect(url, ca.clone()).await.err().unwrap();
        assert!(matches!(error.fault(), Fault::Unreachable(_)) && !error.may_have_run(), "{error}");
        assert!(error.to_string().to_lowercase().contains("certificate"), "{ca:?}: {error}");
    }
}

#[tokio::test]
async fn a_file_without_an_authority_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::parse("https://localhost:1/mcp").unwrap();
    let file = folder.path().join("empty.pem");
    let error = connect(&url, Some(file.clone())).await.err().unwrap();
    assert!(error.to_string().contains("empty.pem"), "{error}");
    std::fs::write(&file, "no certificate at all").unwrap();
    let error = connect(&url, Some(file.clone())).await.err().unwrap();
    assert!(error.to_string().contains("has no certificate"), "{error}");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(connect(&url, Some(file)).await.err().unwrap().to_string().contains("ca: "));
}
