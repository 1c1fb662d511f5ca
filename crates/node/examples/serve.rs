//! Runs a node until it is told to stop:
//!
//!     cargo run -p ostrom-node --example serve -- FOLDER [ADDRESS] [postgres://…]
//!
//! It prints its URL and, the first time, the link for the first administrator. With `OSTROM_UNLIMITED=1` it takes any number of requests:
//! for load tests. `OSTROM_BASE` is the URL under which others reach it, and with `OSTROM_PRIVATE_PEERS=1` peers may lie on this machine.

use std::process::ExitCode;

use ostrom_node::{Config, serve};

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(folder) = args.next() else {
        eprintln!("usage: serve FOLDER [ADDRESS] [postgres://…]");
        return ExitCode::from(2);
    };
    let mut config = Config::new(folder);
    if let Some(address) = args.next() {
        match address.parse() {
            Ok(address) => config.listen = address,
            Err(error) => {
                eprintln!("{address}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    config.database = args.next().map(Into::into);
    if std::env::var_os("OSTROM_UNLIMITED").is_some() {
        config.limits.rate = 1_000_000;
        config.limits.burst = 1_000_000;
        config.limits.guesses = 1_000_000;
    }
    config.private_peers = std::env::var_os("OSTROM_PRIVATE_PEERS").is_some();
    if let Some(base) = std::env::var_os("OSTROM_BASE") {
        match base.to_string_lossy().parse() {
            Ok(base) => config.base = Some(base),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        }
    }
    let served = serve(config, |node| {
        println!("http://localhost:{}", node.address().port());
        if let Some(link) = node.first_link() {
            println!("{link}");
        }
    });
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
