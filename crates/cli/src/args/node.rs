//! Arguments of `ostrom serve`, `backup` and `restore`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Where a node keeps what it knows.
#[derive(Debug, Args)]
pub struct NodePlace {
    /// The node's folder; `node` in Ostrom's data folder by default.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// A PostgreSQL database instead of SQLite in the node's folder: postgres://user@host/name. It may hold a password: better in the environment.
    #[arg(long, env = "OSTROM_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<String>,
}

/// `ostrom serve`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    #[command(flatten)]
    pub place: NodePlace,
    /// Where to listen. Anything but this machine needs --tls-cert, --behind-proxy or --insecure.
    #[arg(long, default_value = "127.0.0.1:7400", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The URL under which others reach the node: https://node.example
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The node's name, for people.
    #[arg(long, default_value = "Ostrom")]
    pub title: String,
    /// A PEM file with the certificate chain: the node speaks TLS itself.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A reverse proxy speaks TLS, and says in X-Forwarded-For who asks.
    #[arg(long, conflicts_with = "tls_cert")]
    pub behind_proxy: bool,
    /// Let others reach it without encryption. For closed networks only.
    #[arg(long, conflicts_with_all = ["tls_cert", "behind_proxy"])]
    pub insecure: bool,
    /// An OpenID Connect provider to sign in with: https://login.example
    #[arg(long, value_name = "URL", requires = "oidc_client")]
    pub oidc_issuer: Option<String>,
    /// The id that the provider gave this node.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    pub oidc_client: Option<String>,
    /// The environment variable that holds the provider's secret for this node.
    #[arg(long, value_name = "NAME", requires = "oidc_issuer")]
    pub oidc_secret_env: Option<String>,
    /// What the provider's button on the sign-in page says.
    #[arg(long, value_name = "TEXT", default_value = "Sign in with your organisation")]
    pub oidc_label: String,
    /// How many requests a second one actor or address may send on average; four times as many at once.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub rate: u32,
    /// Somebody who may cosign the checkpoints of the transparency log: NAME+HASH+KEY, as witnesses publish it.
    #[arg(long, value_name = "KEY")]
    pub witness: Vec<String>,
    /// Peers may lie in private networks or on this machine.
    #[arg(long)]
    pub private_peers: bool,
}

/// `ostrom backup`.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The new file.
    pub to: PathBuf,
    #[command(flatten)]
    pub place: NodePlace,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom restore`.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The backup.
    pub from: PathBuf,
    #[command(flatten)]
    pub place: NodePlace,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
