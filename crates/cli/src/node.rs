//! `ostrom serve`, `backup` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use ostrom_node::{Config, Exposure, Limits, Node, Oidc};
use ostrom_store::Location;
use serde_json::json;

use crate::args::{BackupOptions, NodePlace, RestoreOptions, ServeOptions};
use crate::fail::Failure;
use crate::{paths, show};

/// What of a node's folder belongs to a backup of its database.
const BESIDE: [&str; 3] = ["log", "audit", "keys"];

/// The node's folder.
pub fn folder(place: &NodePlace) -> Result<PathBuf, Failure> {
    place.data.clone().map_or_else(paths::node, Ok)
}

fn location(place: &NodePlace) -> Result<Location, Failure> {
    Ok(match &place.database {
        Some(url) => url.parse()?,
        None => ostrom_store::Config::folder(&folder(place)?).location,
    })
}

/// `ostrom serve`.
pub async fn serve(options: ServeOptions) -> Result<ExitCode, Failure> {
    let exposure = match (options.tls_cert, options.tls_key) {
        (Some(certificates), Some(key)) => Exposure::Tls { certificates, key },
        _ if options.behind_proxy => Exposure::BehindProxy,
        _ if options.insecure => Exposure::Insecure,
        _ => Exposure::Loopback,
    };
    let base = options.base_url.as_deref().map(str::parse).transpose();
    let oidc = match (options.oidc_issuer, options.oidc_client) {
        (Some(issuer), Some(client)) => {
            let secret = options.oidc_secret_env.map(|name| {
                std::env::var(&name).map_err(|_| {
                    Failure::new(format!("the environment variable {name} is not set (--oidc-secret-env)"))
                })
            });
            let secret = secret.transpose()?.map(Into::into);
            Some(Oidc {
                issuer,
                client,
                secret,
                label: options.oidc_label,
                hosts: Vec::new(),
                insecure: false,
            })
        }
        _ => None,
    };
    let config = Config {
        listen: options.listen,
        database: options.place.database.clone().map(Into::into),
        base: base.map_err(|error| Failure::new(format!("--base-url: {error}")))?,
        exposure,
        title: options.title,
        oidc,
        private_peers: options.private_peers,
        witnesses: options.witness,
        limits: Limits { rate: options.rate, burst: options.rate.saturating_mul(4), ..Limits::default() },
        ..Config::new(folder(&options.place)?)
    };
    ostrom_node::serve(config, greet).await?;
    println!("The node has stopped.");
    Ok(ExitCode::SUCCESS)
}

/// Says where the node is, and how the first administrator gets in.
fn greet(node: &Node) {
    println!("Ostrom listens on {}", node.app().base.url("/"));
    if let Some(link) = node.first_link() {
        println!("\nNobody administers this node yet. Open this link, once, in your browser:\n\n  {link}\n");
    }
    println!("Stop it with Ctrl-C.");
}

/// `ostrom backup`.
pub async fn backup(options: BackupOptions) -> Result<ExitCode, Failure> {
    ostrom_store::backup_file(&location(&options.place)?, &options.to).await?;
    let folder = folder(&options.place);
    if options.json {
        show::json(&json!({"backup": options.to, "folder": folder.ok(), "with": BESIDE}))?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("The backup is {}.", options.to.display());
    match folder {
        Ok(folder) => println!("Keep log, audit and keys of {} with it.", folder.display()),
        Err(_) => println!("Keep log, audit and keys of the node's folder with it."),
    }
    Ok(ExitCode::SUCCESS)
}

/// `ostrom restore`.
pub async fn restore(options: RestoreOptions) -> Result<ExitCode, Failure> {
    let config = ostrom_store::Config::new(location(&options.place)?);
    ostrom_store::restore(&options.from, &config).await?;
    let folder = folder(&options.place)?;
    let whole = folder.join("keys/node.pem").exists();
    if options.json {
        let missing: &[&str] = if whole { &[] } else { &BESIDE };
        show::json(&json!({"from": options.from, "folder": folder, "missing": missing}))?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("Restored from {}.", options.from.display());
    if !whole {
        println!(
            "Copy log, audit and keys that belong to it into {} before you serve it:\nwithout them it is another node to its peers, and its log begins anew.",
            folder.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
