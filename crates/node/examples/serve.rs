//! A node for the browser's tests: `cargo run -p ostrom-node --example serve -- FOLDER PORT`. It listens on this machine only and prints the
//! one-time link of the first administrator.

use std::net::SocketAddr;

use ostrom_node::{Config, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder")?;
    let port: u16 = arguments.next().ok_or("give a port, or 0")?.parse()?;
    let mut config = Config::new(folder);
    config.listen = SocketAddr::from(([127, 0, 0, 1], port));
    config.title = "National Institute for AI Security".to_owned();
    config.limits.rate = 1_000;
    config.limits.burst = 10_000;
    serve(config, |node| {
        println!("listening {}", node.address());
        if let Some(link) = node.first_link() {
            println!("link {link}");
        }
    })
    .await?;
    Ok(())
}
