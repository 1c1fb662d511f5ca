//! `ostrom guard explain`, `replay` and `verify`: what the audit log tells. None of them needs a guard that runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ostrom_core::Timestamp;
use ostrom_guard::audit::{self, Became, Called};
use ostrom_guard::serve;
use ostrom_trust::PublicKey;
use serde_json::json;

use super::state;
use crate::args::{ExplainOptions, Place};
use crate::eval::signing_key;
use crate::fail::{Failure, io};
use crate::show;

/// Where the audit log of the guard that is meant lies.
pub fn audit_folder(place: &Place, state: &Path) -> Result<PathBuf, Failure> {
    Ok(match &place.config {
        Some(file) => serve::audit_folder(&ostrom_guard::policy::load(file)?.config, state),
        None => state.join("audit"),
    })
}

/// `ostrom guard explain`.
pub fn explain(options: &ExplainOptions) -> Result<ExitCode, Failure> {
    let folder = audit_folder(&options.place, &state(&options.place)?)?;
    let Some(call) = &options.call else { return list(&folder, options) };
    let found = audit::explain(&folder, call)?;
    if options.json {
        show::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "call {}: {} by {}, {}",
        found.call,
        found.tool,
        found.principal,
        if found.dispatched { "went out" } else { "did not go out" }
    );
    println!("{}", show::wrapped(&found.sentence, "  "));
    for because in &found.because {
        println!("{}", show::wrapped(&format!("because {because}"), "    "));
    }
    for (name, value) in &found.arguments {
        println!("  {name} = {}", ostrom_guard::pin::rendering(value));
    }
    println!("  ways out:");
    for way in &found.ways {
        println!("{}", show::wrapped(&format!("- {way}"), "    "));
    }
    Ok(ExitCode::SUCCESS)
}

/// The latest calls, so that the number of one can be found.
fn list(folder: &Path, options: &ExplainOptions) -> Result<ExitCode, Failure> {
    let found = audit::calls(folder, options.last)?;
    if options.json {
        show::json(&json!({"calls": found.latest, "of": found.all}))?;
        return Ok(ExitCode::SUCCESS);
    }
    found.latest.iter().for_each(|call| println!("{}", show::one_line(&line(call))));
    let all = show::count(usize::try_from(found.all).unwrap_or(usize::MAX), "call");
    match found.latest.len() {
        0 => println!("No call is on record."),
        shown if shown as u64 == found.all => println!("{all}. ostrom guard explain CALL tells more of one."),
        shown => {
            println!("The latest {shown} of {all} (--last). ostrom guard explain CALL tells more of one.")
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(call: &Called) -> String {
    let time = Timestamp::from_seconds(call.at).to_second();
    let outcome = match call.outcome {
        Became::Refused => "refused",
        Became::Asked => "asked",
        Became::Answered => "answered",
        Became::Failed => "failed",
        Became::Unknown => "unknown",
    };
    let mut line = format!("{:>5}  {time}  {outcome:<8}  {}  {}", call.call, call.principal, call.tool);
    if let Some(request) = call.request {
        let request: String = request.to_string().chars().take(12).collect();
        line.push_str(&format!("  (request {request})"));
    }
    line
}

/// `ostrom guard replay`.
pub fn replay(log: Option<PathBuf>, redacted: bool, json: bool, place: &Place) -> Result<ExitCode, Failure> {
    let folder = match log {
        Some(folder) => folder,
        None => audit_folder(place, &state(place)?)?,
    };
    let found = audit::replay(&folder, &mut serve::policies(&folder))?;
    if json {
        show::json(&found)?;
    } else {
        println!(
            "{} events: {} decisions and {} labels of results came out as they are on record",
            found.events, found.same, found.outcomes
        );
        if found.without_values > 0 {
            println!(
                "{} decisions could be derived only in part: their arguments are gone",
                found.without_values
            );
        }
        if found.without_results > 0 {
            println!(
                "{} outcomes could be derived only in part: what the servers answered is gone",
                found.without_results
            );
        }
        if found.plans_not_followed > 0 {
            println!(
                "{} plans could not be followed to their end: what they depend on is gone, or a step was given a text in the shape of a handle",
                found.plans_not_followed
            );
        }
        if !found.is_whole() && !redacted {
            println!(
                "What is not derived does not count as right; --redacted accepts that openings are gone."
            );
        }
        for call in &found.unresolved {
            println!("call {call} went out and its outcome is not on record");
        }
        for difference in &found.differences {
            println!("event {}: {}", difference.index, difference.what);
        }
    }
    let holds = found.differences.is_empty() && (redacted || found.is_whole());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `ostrom guard verify`.
pub fn verify(
    log: Option<PathBuf>,
    key: Option<&Path>,
    (checkpoints, origin): (&[PathBuf], Option<String>),
    json: bool,
    place: &Place,
) -> Result<ExitCode, Failure> {
    let mut origins = Vec::from_iter(origin);
    let folder = match log {
        Some(folder) => folder,
        None => {
            let state = state(place)?;
            origins.extend(audit::kept_origin(&state)?);
            audit_folder(place, &state)?
        }
    };
    let key = match key {
        Some(path) => PublicKey::from_pem(&std::fs::read_to_string(path).map_err(io(path.display()))?)?,
        None => signing_key(None)?.public(),
    };
    let kept = checkpoints.iter().map(|path| std::fs::read(path).map_err(io(path.display())));
    let kept: Vec<Vec<u8>> = kept.collect::<Result<_, _>>()?;
    let older: Vec<&[u8]> = kept.iter().map(Vec::as_slice).collect();
    let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
    let report = audit::verify(&folder, &key, &older, &origins)?;
    if json {
        show::json(&report)?;
    } else {
        println!("{}", show::printable(&report.text));
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
