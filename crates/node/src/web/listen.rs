//! Connections: bounded in number, in how long a head may take, and in what they may keep in memory.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::caller::Connection;
use crate::{Config, Exposure, StartError};

/// How long what is under way may go on once the node is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A bound address, with TLS if the node speaks it.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    connections: usize,
    head: Duration,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens where the settings say.
    ///
    /// # Errors
    /// If others could reach the node and nobody chose how, or the address or certificate cannot be had.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
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
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let limits = &config.limits;
        Ok(Self { listener, address, tls, connections: limits.connections, head: limits.head })
    }

    /// The address, with the port that was given if any was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then what is under way may finish, for five seconds.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()> + Send) {
        let places = Arc::new(Semaphore::new(self.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let (stopping, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_ended) = connections.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let (router, stopping) = (router.clone(), stopping.subscribe());
                    let (tls, head) = (self.tls.clone(), self.head);
                    connections.spawn(async move {
                        match tls {
                            None => serve(stream, peer, router, head, stopping).await,
                            Some(tls) => {
                                if let Ok(Ok(stream)) = tokio::time::timeout(head, tls.accept(stream)).await {
                                    serve(stream, peer, router, head, stopping).await;
                                }
                            }
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    // Most likely there are no more file descriptors; that passes when connections end.
                    eprintln!("ostrom node: cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        stopping.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(GRACE, all).await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Those who find no place wait in the operating system's queue.
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small and wanted at once.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    mut stopping: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = router.layer(axum::Extension(Connection(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // A connection that breaks is its client's affair: whatever was under way on it is dropped, and so cancelled.
    tokio::select! {
        _ended = connection.as_mut() => {}
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

fn acceptor(certificates: &std::path::Path, key: &std::path::Path) -> Result<TlsAcceptor, StartError> {
    let wrong = |path: &std::path::Path, why: &dyn std::fmt::Display| {
        StartError::Tls(format!("{}: {why}", path.display()))
    };
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
