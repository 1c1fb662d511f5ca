//! `ostrom guard unpin`: definitions that were approved, and approvals that are taken back.

use std::process::ExitCode;

use ostrom_core::Digest;
use ostrom_guard::pin::Kind;
use ostrom_guard::serve;
use ostrom_guard::serve::control::{Command, ask};
use serde_json::{Value, json};

use super::record::audit_folder;
use super::state;
use crate::args::UnpinOptions;
use crate::eval::signing_key;
use crate::fail::Failure;
use crate::show;

/// A definition that was approved, as the guard tells of it.
struct Pinned {
    kind: Kind,
    name: String,
    digest: Digest,
    offered: Option<bool>,
    /// All of it, as it was told.
    told: Value,
}

impl Pinned {
    fn read(told: Value) -> Result<Self, Failure> {
        let read = || {
            let name = told.get("name")?.as_str()?.to_owned();
            let kind = serde_json::from_value(told.get("kind")?.clone()).ok()?;
            Some((kind, name, told.get("digest")?.as_str()?.parse().ok()?))
        };
        let (kind, name, digest) =
            read().ok_or_else(|| Failure::new("the guard that runs is of another version: start it anew"))?;
        let offered = told.get("offered").and_then(Value::as_bool);
        Ok(Self { kind, name, digest, offered, told })
    }

    fn line(&self) -> String {
        let gone =
            if self.offered == Some(false) { ", which its server does not offer any more" } else { "" };
        format!("{} {}  (hash {}){gone}", self.kind, show::printable(&self.name), self.digest.short())
    }
}

/// Takes pins away. The definitions are held if their server offers them again.
pub fn unpin(options: &UnpinOptions) -> Result<ExitCode, Failure> {
    let UnpinOptions { server, names, all, json, place } = options;
    let state = state(place)?;
    let (told, mut running) = match ask(&state, &Command::Pinned { server: server.clone() })? {
        Some(answer) => (answer.get("pinned").and_then(Value::as_array).cloned().unwrap_or_default(), true),
        None => (serve::pinned(&state, server)?, false),
    };
    let pinned: Vec<Pinned> = told.into_iter().map(Pinned::read).collect::<Result<_, _>>()?;
    let (picked, left): (Vec<&Pinned>, Vec<&Pinned>) =
        pinned.iter().partition(|one| *all || names.contains(&one.name));
    if let Some(name) = names.iter().find(|name| picked.iter().all(|one| one.name != **name)) {
        return Err(Failure::new(format!(
            "nothing of the name {name} is pinned of {server}: ostrom guard unpin {server} lists what is"
        )));
    }
    if *all && picked.is_empty() {
        return Err(Failure::new(format!("nothing is pinned of {server}")));
    }
    for one in &picked {
        let command = Command::Unpin { server: server.clone(), kind: one.kind, name: one.name.clone() };
        running = ask(&state, &command)?.is_some();
        if !running {
            let folder = audit_folder(place, &state)?;
            serve::unpin(&folder, &state, signing_key(None)?, server, (one.kind, &one.name))?;
        }
        if !json {
            println!("unpinned {server}: {}", one.line());
        }
    }
    if *json {
        let told = |all: &[&Pinned]| all.iter().map(|one| one.told.clone()).collect::<Vec<_>>();
        show::json(&json!({"unpinned": told(&picked), "pinned": told(&left), "running": running}))?;
    } else if picked.is_empty() {
        left.iter().for_each(|one| println!("{server}: {}", one.line()));
        println!("{} pinned. Take one away with: ostrom guard unpin {server} NAME", left.len());
    } else if running {
        println!("If {server} offers it, it is held until somebody approves it: ostrom guard pin");
    } else {
        println!("(no guard is running; it holds from the next start on)");
    }
    Ok(ExitCode::SUCCESS)
}
