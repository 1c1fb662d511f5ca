//! `ostrom guard pin`: definitions that are held, and their approval.

use std::process::ExitCode;

use ostrom_core::Digest;
use ostrom_guard::serve::control::Command;
use serde_json::{Value, json};

use super::{confirmed, running};
use crate::args::PinOptions;
use crate::fail::Failure;
use crate::show;

/// Hexadecimal digits of a hash that a person has to give.
const SHOWN_DIGITS: usize = 12;

/// A definition that is held, as the guard tells of it.
struct Held {
    server: String,
    kind: String,
    name: String,
    digest: Digest,
    reasons: Vec<String>,
    definition: String,
    /// Whether a person may approve it at all.
    approvable: bool,
    /// All of it, as the guard said it.
    told: Value,
}

impl Held {
    fn read(value: &Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        // What is no definition has no digest, and cannot be approved.
        let digest = text("digest").parse().unwrap_or_else(|_| Digest::of(b""));
        let reasons = value.get("reasons").map(texts).unwrap_or_default();
        let (server, kind, name) = (text("server"), text("kind"), text("name"));
        let approvable = value.get("approvable").and_then(Value::as_bool).unwrap_or(true);
        Self {
            server,
            kind,
            name,
            digest,
            reasons,
            definition: text("definition"),
            approvable,
            told: value.clone(),
        }
    }

    /// Whether nothing speaks against it but that nobody has looked at it.
    fn only_new(&self) -> bool {
        self.reasons.iter().all(|reason| reason == "it is new" || reason.starts_with("it has changed"))
    }

    fn show(&self) {
        println!("{}: {} {}  (hash {})", self.server, self.kind, self.name, self.digest.short());
        for reason in &self.reasons {
            println!("{}", show::wrapped(reason, "    "));
        }
        for line in self.definition.lines() {
            println!("    | {line}");
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One hash for several definitions, whatever order they come in.
fn together(held: &[&Held]) -> Digest {
    let mut lines: Vec<String> = held
        .iter()
        .map(|one| format!("{:?} {:?} {:?} {}", one.server, one.kind, one.name, one.digest))
        .collect();
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}

/// Those that nothing speaks against, and their hash together.
fn only_new<'a>(left: &[&'a Held]) -> (Vec<&'a Held>, Option<Digest>) {
    let new: Vec<&Held> = left.iter().copied().filter(|one| one.only_new()).collect();
    let hash = (!new.is_empty()).then(|| together(&new));
    (new, hash)
}

/// Approves definitions as they were shown, and no others: what is held under a name may change at any moment.
pub fn pin(options: &PinOptions) -> Result<ExitCode, Failure> {
    let answer = running(&options.place, &Command::Held)?;
    let held: Vec<Held> =
        answer.get("held").and_then(Value::as_array).into_iter().flatten().map(Held::read).collect();
    let of_server = held.iter().filter(|one| options.server.as_ref().is_none_or(|name| *name == one.server));
    let (picked, left): (Vec<&Held>, Vec<&Held>) =
        of_server.partition(|one| options.names.contains(&one.name) || (options.all && one.only_new()));
    if let Some(name) = options.names.iter().find(|name| picked.iter().all(|one| one.name != **name)) {
        return Err(Failure::new(format!(
            "nothing of the name {name} is held: ostrom guard pin lists what is"
        )));
    }
    if picked.is_empty() {
        if !options.json {
            list(&left);
        }
    } else {
        if options.hash.is_empty() {
            if !options.json {
                picked.iter().for_each(|one| one.show());
            }
            let what = if picked.len() == 1 { "it" } else { "all of them" };
            let instead = "give the hash that was shown (ostrom guard pin shows it, --hash takes it)";
            if !confirmed(&format!("Approve {what} as shown?"), options.json, instead)? {
                println!("nothing approved");
                return Ok(ExitCode::FAILURE);
            }
        } else {
            as_shown(&picked, options)?;
        }
        for one in &picked {
            let (server, name, digest) = (one.server.clone(), one.name.clone(), one.digest);
            running(&options.place, &Command::Pin { server, name, digest })?;
            if !options.json {
                println!("approved {}: {} ({})", one.server, one.name, one.digest.short());
            }
        }
        if !left.is_empty() && !options.json {
            println!("{} held: ostrom guard pin", left.len());
        }
    }
    if options.json {
        let told = |all: &[&Held]| all.iter().map(|one| one.told.clone()).collect::<Vec<_>>();
        let (approved, together) = (told(&picked), only_new(&left).1);
        show::json(&json!({"approved": approved, "held": told(&left), "together": together}))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(left: &[&Held]) {
    left.iter().for_each(|one| one.show());
    let approvable = left.iter().filter(|one| one.approvable).count();
    match (left.len(), approvable) {
        (0, _) => println!("Nothing is held."),
        (count, 0) => {
            println!("{count} held. Nobody can approve hidden text: the server has to leave it out.")
        }
        (count, _) => println!("{count} held. Approve with: ostrom guard pin NAME --hash HASH"),
    }
    if let (new, Some(hash)) = only_new(left) {
        println!(
            "The {} of them that are only new or changed: ostrom guard pin --all --hash {}",
            new.len(),
            hash.short()
        );
    }
}

/// Checks that everything picked has a hash that was given.
fn as_shown(picked: &[&Held], options: &PinOptions) -> Result<(), Failure> {
    let given = |digest: &Digest| {
        let digest = digest.to_string();
        options.hash.iter().any(|hash| hash.len() >= SHOWN_DIGITS && digest.starts_with(hash.as_str()))
    };
    let all = options.all && given(&together(picked));
    match picked.iter().find(|one| !all && !given(&one.digest)) {
        Some(other) => Err(Failure::new(format!(
            "{} of {} is not what --hash says (it needs {SHOWN_DIGITS} digits or more), so nothing was approved: look at it with ostrom guard pin",
            other.name, other.server
        ))),
        None => Ok(()),
    }
}
