//! Loads a GGUF file and continues a conversation of one turn.
//!
//!     cargo run --release -p ostrom-models --example generate -- model.gguf "What is a commons?"

use std::error::Error;
use std::path::Path;

use ostrom_models::local::{LocalModel, LocalOptions};
use ostrom_models::{Message, Model as _, Request, Sampling};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate MODEL.gguf TEXT".into());
    };
    let model = LocalModel::load(Path::new(&path), "example", LocalOptions::default())?;
    let sampling = Sampling { max_tokens: 96, ..Sampling::default() };
    let started = std::time::Instant::now();
    let response = model.generate(Request::new(vec![Message::user(text)], sampling)).await?;
    println!("{}\n[{:?}, {:?}, {:?}]", response.text, response.usage, response.stop, started.elapsed());
    Ok(())
}
