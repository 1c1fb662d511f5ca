//! `ostrom guard stop`, `revoke` and `reset`: what people do to guards, running or not.

use std::path::Path;
use std::process::ExitCode;

use ostrom_guard::flow::{ContextKey, Scope};
use ostrom_guard::serve::control::{Command, ask};
use ostrom_guard::serve::write_down;
use serde_json::{Value, json};

use super::record::audit_folder;
use super::{meant, state};
use crate::args::{Place, ResetOptions, RevokeSourceOptions, StopOptions};
use crate::eval::signing_key;
use crate::fail::Failure;
use crate::show;

/// `ostrom guard stop`.
pub fn stop(options: StopOptions) -> Result<ExitCode, Failure> {
    let StopOptions { all, principal, run, tool, server, lift, unknown, json, place } = options;
    let scope = match (all, principal, run, tool, server) {
        (true, ..) => Scope::All,
        (_, Some(name), ..) => Scope::Principal(name.into()),
        (_, _, Some(name), ..) => Scope::Run(name.into()),
        (_, _, _, Some(name), _) => Scope::Tool(name.into()),
        (_, _, _, _, Some(name)) => Scope::Server(name.into()),
        _ => return Err(Failure::new("say what to stop: --all, --principal, --run, --tool or --server")),
    };
    // Everything is everything of every guard that runs; other names are of one guard.
    let states = if scope == Scope::All { meant(&place)? } else { vec![state(&place)?] };
    let named = scope.to_string();
    let command = if lift { Command::Lift { scope } } else { Command::Stop { scope, unknown } };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for state in &states {
        match tell(&place, state, &command) {
            Ok(told) => done.push((state, told)),
            // The others are stopped all the same.
            Err(failure) => failed.push(failure),
        }
    }
    for (state, told) in &done {
        let what = told.what.as_deref().unwrap_or(&named);
        let word = if lift { "may go on" } else { "is stopped" };
        let of = if states.len() > 1 { format!(" ({})", state.display()) } else { String::new() };
        if !json {
            println!("{} {word}{of}{}", show::printable(what), told.aside());
        }
    }
    match failed.into_iter().next() {
        Some(failure) => return Err(failure),
        None if json => {
            let running = done.iter().all(|(_, told)| told.running);
            let what = done.first().and_then(|(_, told)| told.what.as_deref()).unwrap_or(&named);
            let mut told = json!({"scope": what, "stopped": !lift, "running": running});
            if let (Some(fields), true) = (told.as_object_mut(), states.len() > 1) {
                fields.insert("states".to_owned(), json!(states));
            }
            show::json(&told)?;
        }
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// `ostrom guard revoke`.
pub fn revoke(options: RevokeSourceOptions) -> Result<ExitCode, Failure> {
    let RevokeSourceOptions { source, unknown, json, place } = options;
    let told = tell(&place, &state(&place)?, &Command::Revoke { source: source.clone(), unknown })?;
    let what = told.what.as_deref().unwrap_or(&source);
    if json {
        show::json(&json!({"source": what, "running": told.running}))?;
    } else {
        println!("revoked {what}: what descends from it is quarantined{}", told.aside());
    }
    Ok(ExitCode::SUCCESS)
}

/// `ostrom guard reset`.
pub fn reset(options: ResetOptions) -> Result<ExitCode, Failure> {
    let ResetOptions { principal, run, json, place } = options;
    let what = run.as_ref().map_or_else(|| principal.clone(), |run| format!("run {run} of {principal}"));
    let context = ContextKey { principal: principal.into(), run: run.map(Into::into) };
    let told = tell(&place, &state(&place)?, &Command::Reset { context: context.clone() })?;
    if json {
        show::json(&json!({"context": context, "running": told.running}))?;
    } else {
        println!("{what} begins anew{}", told.aside());
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of a word to a guard.
struct Told {
    /// Whether one runs.
    running: bool,
    /// What it was about, as the guard names it.
    what: Option<String>,
}

impl Told {
    /// What a person has to know besides.
    fn aside(&self) -> &'static str {
        if self.running {
            ""
        } else {
            " (no guard is running; it holds from the next start on, and names were not looked up)"
        }
    }
}

/// Tells the running guard something; if none runs, writes it into the log, where the next one finds it.
fn tell(place: &Place, state: &Path, command: &Command) -> Result<Told, Failure> {
    if let Some(answer) = ask(state, command)? {
        let what = answer.get("what").and_then(Value::as_str).map(str::to_owned);
        return Ok(Told { running: true, what });
    }
    let folder = audit_folder(place, state)?;
    if !folder.is_dir() {
        return Err(Failure::new(format!(
            "no guard has ever run with the state {}: nothing was done. ostrom guard status, without --state, finds the one that runs",
            state.display()
        )));
    }
    write_down(&folder, state, signing_key(None)?, command)?;
    Ok(Told { running: false, what: None })
}
