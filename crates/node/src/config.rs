//! How a node is to run.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::{BaseUrl, Clock};

/// Everything that a node is told when it starts.
#[derive(Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its folder: the SQLite file, the logs, the keys. Made if it is not there.
    pub data: PathBuf,
    /// `postgres://…`; without it, SQLite in the data folder. It may hold a password, so it is never printed.
    pub database: Option<Zeroizing<String>>,
    /// The URL under which others reach it; by default `http://localhost:PORT`.
    pub base: Option<BaseUrl>,
    /// Who can reach it, and how answers travel.
    pub exposure: Exposure,
    /// The node's name, for people.
    pub title: String,
    /// Sign-in with an OpenID Connect provider.
    pub oidc: Option<Oidc>,
    /// The bounds.
    pub limits: Limits,
    /// Whether peers may lie in private networks or on this machine. Tests and closed networks want that.
    pub private_peers: bool,
    /// How often peers are pulled from; after failures less and less often, at least once in an hour.
    pub pull_every: Duration,
    /// Who may cosign the checkpoints of the transparency log: `NAME+HASH+KEY`, as witnesses publish it.
    pub witnesses: Vec<String>,
    /// The clock.
    pub clock: Clock,
}

/// Who can reach a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Only this machine: it must listen on a loopback address.
    Loopback,
    /// Everybody, over TLS that the node speaks itself.
    Tls {
        /// A PEM file with the certificate and those that vouch for it.
        certificates: PathBuf,
        /// A PEM file with the private key.
        key: PathBuf,
    },
    /// A reverse proxy speaks TLS, and says in the last entry of `X-Forwarded-For` who asks.
    BehindProxy,
    /// Everybody, without encryption. For closed networks only; somebody chose this.
    Insecure,
}

/// An OpenID Connect provider.
#[derive(Clone)]
pub struct Oidc {
    /// The issuer, `https://login.example`: the only host that the node asks.
    pub issuer: String,
    /// The id that the provider gave this node.
    pub client: String,
    /// The secret that came with it, if the provider wants one.
    pub secret: Option<Zeroizing<String>>,
    /// What the button on the sign-in page says.
    pub label: String,
    /// Hosts besides the issuer's own that its token endpoint and keys may lie on.
    pub hosts: Vec<String>,
    /// Whether the provider may be reached without TLS. For tests.
    pub insecure: bool,
}

/// The bounds on what anybody can ask of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; more wait in the operating system's queue.
    pub connections: usize,
    /// How long a request's head may take.
    pub head: Duration,
    /// How long a request may take in all, its body included.
    pub request: Duration,
    /// The largest body of a page's form or an API request.
    pub body: usize,
    /// The largest body that carries objects.
    pub objects_body: usize,
    /// The deepest JSON.
    pub depth: usize,
    /// Requests in a second from one actor or address, on average.
    pub rate: u32,
    /// Requests at once before the average counts.
    pub burst: u32,
    /// Tries to sign in for one account or address in `guess_window`.
    pub guesses: u32,
    /// Over how long they are counted.
    pub guess_window: Duration,
    /// Password hashes at the same time.
    pub hashing: usize,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long it lasts at most.
    pub session: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(20),
            request: Duration::from_secs(60),
            body: 1 << 20,
            objects_body: 32 << 20,
            depth: 64,
            rate: 50,
            burst: 200,
            guesses: 10,
            guess_window: Duration::from_secs(900),
            hashing: 2,
            session_idle: Duration::from_secs(12 * 3600),
            session: Duration::from_secs(14 * 86_400),
        }
    }
}

impl Config {
    /// A node for this machine only, on 127.0.0.1:7400, with SQLite in `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            data: data.into(),
            database: None,
            base: None,
            exposure: Exposure::Loopback,
            title: "Ostrom".to_owned(),
            oidc: None,
            limits: Limits::default(),
            private_peers: false,
            pull_every: Duration::from_secs(60),
            witnesses: Vec::new(),
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data", &self.data)
            .field("database", &self.database.as_ref().map(|_| "postgres"))
            .field("base", &self.base)
            .field("exposure", &self.exposure)
            .field("title", &self.title)
            .field("oidc", &self.oidc)
            .field("limits", &self.limits)
            .field("private_peers", &self.private_peers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let mut config = Config::new("data");
        config.database = Some(Zeroizing::new("postgres://u:hunter2@db/x".to_owned()));
        config.oidc = Some(Oidc {
            issuer: "https://login.example".to_owned(),
            client: "node".to_owned(),
            secret: Some(Zeroizing::new("hunter2".to_owned())),
            label: String::new(),
            hosts: Vec::new(),
            insecure: false,
        });
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
