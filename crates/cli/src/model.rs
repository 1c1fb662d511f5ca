//! `ostrom model`.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use ostrom_models::local::inspect;
use ostrom_models::{Message, Model as _, Request, Sampling};
use serde_json::json;

use crate::args::ModelCommand;
use crate::fail::{Failure, io};
use crate::target::Reach;
use crate::{fetch, show};

/// Runs the command.
pub async fn run(command: ModelCommand) -> Result<ExitCode, Failure> {
    match command {
        ModelCommand::Pull { source, json } => {
            let path = fetch::pull(&source).await?;
            let (digest, _) = inspect(&path).map_err(|error| Failure::new(error.to_string()))?;
            if json {
                show::json(&json!({"path": path, "sha256": digest}))?;
            } else {
                println!("{}\nsha256:{digest}", path.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        ModelCommand::List { json } => list(json),
        ModelCommand::Chat { model, prompt, system, max_tokens, temperature, json } => {
            let model = Reach::default().local(&model).await?;
            let sampling = Sampling { temperature, max_tokens, ..Sampling::default() };
            let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
            if let Some(prompt) = prompt {
                say(&model, &mut messages, prompt, sampling, json).await?;
                return Ok(ExitCode::SUCCESS);
            }
            let is_base = !model.has_chat_template();
            if is_base {
                eprintln!("This is a base model: it continues each text, and remembers none. Ctrl-D ends.");
            } else {
                eprintln!("Type a message and Enter; Ctrl-D ends.");
            }
            loop {
                if is_base {
                    messages.clear();
                }
                eprint!("> ");
                let mut line = String::new();
                if std::io::stdin().lock().read_line(&mut line).map_err(io("standard input"))? == 0 {
                    return Ok(ExitCode::SUCCESS);
                }
                if !line.trim().is_empty() {
                    say(&model, &mut messages, line.trim().to_owned(), sampling, json).await?;
                }
            }
        }
    }
}

/// Says something and prints the answer: as it comes, or whole, as a line of JSON.
async fn say(
    model: &ostrom_models::local::LocalModel,
    messages: &mut Vec<Message>,
    text: String,
    sampling: Sampling,
    json: bool,
) -> Result<(), Failure> {
    messages.push(Message::user(text));
    if json {
        let response = model.generate(Request::new(messages.clone(), sampling)).await?;
        println!("{}", json!({"answer": response.text, "stop": response.stop, "usage": response.usage}));
        messages.push(Message::assistant(response.text));
        return Ok(());
    }
    let (sender, stream) = std::sync::mpsc::channel::<String>();
    let answer = model.start(&Request::new(messages.clone(), sampling), Some(sender))?;
    let printer = tokio::task::spawn_blocking(move || {
        for piece in stream {
            crate::show::text_out(format_args!("{piece}"));
            let _ = std::io::stdout().flush();
        }
        println!();
    });
    let response = answer.await.map_err(|_| Failure::new("the local engine has stopped".to_owned()))??;
    printer.await.map_err(|error| Failure::new(error.to_string()))?;
    messages.push(Message::assistant(response.text));
    Ok(())
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let cached = fetch::cached()?;
    let names: Vec<String> = cached
        .iter()
        .filter_map(|path| path.file_stem())
        .map(|stem| stem.to_string_lossy().into_owned())
        .collect();
    if json {
        let here: Vec<_> =
            names.iter().zip(&cached).map(|(name, path)| json!({"name": name, "path": path})).collect();
        let known: Vec<_> =
            fetch::references().iter().map(|r| json!({"name": r.name, "about": r.about})).collect();
        show::json(&json!({"cached": here, "references": known}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, path) in names.iter().zip(&cached) {
        let size = path.metadata().map_or(0, |metadata| metadata.len()) / 1_000_000;
        println!("{name:<28} {size:>6} MB   {}", path.display());
    }
    for reference in
        fetch::references().iter().filter(|reference| !names.iter().any(|name| name == reference.name))
    {
        println!(
            "{:<28} not here     {} (ostrom model pull {})",
            reference.name, reference.about, reference.name
        );
    }
    Ok(ExitCode::SUCCESS)
}
