//! `ostrom peer`: the nodes that a node on this machine pulls from. And `ostrom check`, which asks it the same way.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use ostrom_exchange::federation::PeerKey;
use ostrom_node::Config;
use ostrom_node::local::{self, Command};
use serde_json::{Value, json};

use crate::args::{AddOptions, Here, PeerCommand};
use crate::fail::{Failure, io};
use crate::{node, show};

/// `ostrom peer …`.
pub async fn run(command: PeerCommand) -> Result<ExitCode, Failure> {
    match command {
        PeerCommand::Add(options) => add(options).await,
        PeerCommand::List(options) => list(&options.here).await,
        PeerCommand::Identity(options) => identity(&options.here).await,
        PeerCommand::Remove(options) => {
            let told = ask(&options.here, Command::Remove { peer: options.peer }).await?;
            done(&options.here, &told, "No longer pulled from")
        }
        PeerCommand::Trust(options) => {
            let told = ask(&options.here, Command::State { peer: options.peer, active: true }).await?;
            done(&options.here, &told, "Pulled from again")
        }
        PeerCommand::Pause(options) => {
            let told = ask(&options.here, Command::State { peer: options.peer, active: false }).await?;
            done(&options.here, &told, "Paused")
        }
        PeerCommand::Sync(options) => sync(&options.here, options.peer).await,
    }
}

/// Asks the node that runs, or opens its folder if none does.
async fn ask(here: &Here, command: Command) -> Result<Value, Failure> {
    let data = node::folder(&here.place)?;
    if let Some(told) = local::ask(&data, &command).await? {
        return Ok(told);
    }
    let config = Config {
        database: here.place.database.clone().map(Into::into),
        private_peers: here.private_peers,
        ..Config::new(data)
    };
    Ok(local::alone(config, command).await?)
}

/// `ostrom check`.
pub async fn check(here: &Here) -> Result<ExitCode, Failure> {
    let told = ask(here, Command::Check).await?;
    let problems: Vec<String> = told
        .get("problems")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|problem| show::printable(problem).to_string())
        .collect();
    if here.json {
        show::json(&told)?;
    }
    if told.get("sound") != Some(&Value::Bool(true)) {
        let what = problems.join("\n  ");
        return Err(Failure::new(format!("what the node keeps is not as it was:\n  {what}")));
    }
    if !here.json {
        let objects = told.get("objects").and_then(Value::as_u64).unwrap_or_default();
        println!("Sound: {objects} versions of objects, the transparency log and the audit log.");
        if told.get("counted") != Some(&Value::Bool(true)) {
            println!("Counts were not compared, since something was written meanwhile.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn shown(value: &Value, name: &str) -> String {
    show::printable(text(value, name)).to_string()
}

fn done(here: &Here, told: &Value, what: &str) -> Result<ExitCode, Failure> {
    if here.json {
        show::json(told)?;
    } else {
        println!("{what}: {} ({})", shown(told, "name"), shown(told, "url"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(options: AddOptions) -> Result<ExitCode, Failure> {
    let token = std::env::var(&options.token_env).map_err(|_| {
        Failure::new(format!(
            "the environment variable {} holds no token:\nthe peer's people make one of the scope federate for you on their node\n(--token-env names another variable)",
            options.token_env
        ))
    })?;
    let organisation = options.organisation.map(|id| {
        id.parse().map_err(|_| {
            Failure::new(format!("--organisation {id:?}: give the member's id, from the node's members page"))
        })
    });
    let organisation = organisation.transpose()?;
    let found = ask(&options.here, Command::Look { url: options.url.clone() }).await?;
    let key = text(&found, "key");
    match options.key {
        Some(told) => {
            let told: PeerKey = told.parse().map_err(|error| {
                Failure::new(format!("--key: {error}; `ostrom peer identity` prints it over there"))
            })?;
            if told.to_string() != key {
                return Err(Failure::new(format!(
                    "{} has another key than you were told, so it was not added:\n  it says   {}\n  you said  {told}\nAsk its people which is right; somebody may be in between.",
                    shown(&found, "url"),
                    show::printable(key),
                )));
            }
        }
        None => compare(&found)?,
    }
    let url = text(&found, "url").to_owned();
    let title = text(&found, "title");
    let name = options.name.unwrap_or_else(|| if title.is_empty() { url.clone() } else { title.to_owned() });
    let command = Command::Add { url, name, public_key: key.to_owned(), token, organisation };
    let told = ask(&options.here, command).await?;
    done(&options.here, &told, "Pulled from from now on")
}

/// Lets a person compare the key with what they were told in another way.
fn compare(found: &Value) -> Result<(), Failure> {
    eprintln!("The node at {} says that it is\n", shown(found, "url"));
    eprintln!("  name         {}", shown(found, "name"));
    eprintln!("  key          {}", shown(found, "key"));
    let digits = text(found, "fingerprint");
    let (first, second) = digits.split_at_checked(digits.len().div_ceil(2)).unwrap_or((digits, ""));
    eprintln!(
        "  fingerprint  {}\n               {}\n",
        show::printable(first.trim()),
        show::printable(second.trim())
    );
    eprintln!("Compare the fingerprint with what its people read to you over the telephone.");
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "nobody is here to compare the key: run it again with --key and the key\nthat its people told you",
        ));
    }
    eprint!("Is it the same? Type yes: ");
    std::io::stderr().flush().map_err(io("standard error"))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(io("standard input"))?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::new("the peer was not added: ask its people for their key first"))
    }
}

async fn list(here: &Here) -> Result<ExitCode, Failure> {
    let told = ask(here, Command::Peers).await?;
    if here.json {
        show::json(&told)?;
        return Ok(ExitCode::SUCCESS);
    }
    let peers = told.as_array().map(Vec::as_slice).unwrap_or_default();
    if peers.is_empty() {
        println!("This node pulls from no other. `ostrom peer add URL` adds one.");
    }
    for peer in peers {
        println!("{}", shown(peer, "name"));
        println!("  {}, {}", shown(peer, "url"), shown(peer, "state"));
        match (text(peer, "succeeded"), text(peer, "tried")) {
            ("", "") => println!("  not pulled from yet"),
            ("", _) => println!("  never with success; tried {}", shown(peer, "tried")),
            _ => println!("  last pull {}", shown(peer, "succeeded")),
        }
        if !text(peer, "problem").is_empty() {
            println!("  problem: {}", shown(peer, "problem"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn identity(here: &Here) -> Result<ExitCode, Failure> {
    let told = ask(here, Command::Identity).await?;
    if here.json {
        show::json(&told)?;
    } else {
        println!("name         {}", shown(&told, "name"));
        println!("key          {}", shown(&told, "key"));
        println!("fingerprint  {}", shown(&told, "fingerprint"));
        eprintln!("\nRead the fingerprint to whoever adds this node as a peer.");
    }
    Ok(ExitCode::SUCCESS)
}

async fn sync(here: &Here, peer: Option<String>) -> Result<ExitCode, Failure> {
    let peers = match peer {
        Some(peer) => vec![peer],
        None => {
            let all = ask(here, Command::Peers).await?;
            let active = all.as_array().into_iter().flatten().filter(|peer| text(peer, "state") == "active");
            active.map(|peer| text(peer, "id").to_owned()).collect()
        }
    };
    let mut told = Vec::new();
    let mut failed = Vec::new();
    for peer in peers {
        match ask(here, Command::Sync { peer: peer.clone() }).await {
            Ok(pulled) => {
                if !here.json {
                    let number = |name: &str| pulled.get(name).and_then(Value::as_u64).unwrap_or_default();
                    println!(
                        "{}: {} taken, {} removed",
                        shown(&pulled, "name"),
                        number("taken"),
                        number("removed")
                    );
                    for skipped in pulled.get("skipped").and_then(Value::as_array).into_iter().flatten() {
                        let count = skipped.get("count").and_then(Value::as_u64).unwrap_or_default();
                        println!("  {count} passed over: {}", shown(skipped, "why"));
                    }
                }
                told.push(pulled);
            }
            Err(failure) => failed.push(format!("{peer}: {failure}")),
        }
    }
    if here.json {
        show::json(&json!({ "pulled": told, "failed": failed }))?;
    } else if told.is_empty() && failed.is_empty() {
        println!("There is no active peer. `ostrom peer list` shows them all.");
    }
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::new(failed.join("\n"))) }
}
