//! `ostrom guard approve`: calls that wait for a person.

use std::process::ExitCode;

use ostrom_guard::flow::{Violation, clauses};
use ostrom_guard::serve::control::Command;
use serde_json::{Value, json};

use super::{confirmed, meant, running};
use crate::args::{ApproveOptions, Place};
use crate::fail::Failure;
use crate::show;

/// `ostrom guard approve`.
pub fn approve(options: &ApproveOptions) -> Result<ExitCode, Failure> {
    if options.page {
        return page(options);
    }
    // Names of requests are random, so with several guards running the request tells which is meant.
    let mut waiting = Vec::new();
    for state in meant(&options.place)? {
        let place = Place { config: None, state: Some(state) };
        let answer = running(&place, &Command::Waiting)?;
        let all = answer.get("waiting").and_then(Value::as_array).cloned().unwrap_or_default();
        waiting.extend(all.into_iter().map(|one| (place.clone(), one)));
    }
    let Some(start) = &options.request else {
        if options.json {
            return told(waiting.into_iter().map(|(_, one)| one), None);
        }
        if waiting.is_empty() {
            println!("Nothing waits.");
        }
        waiting.iter().for_each(|(_, one)| show_request(one));
        return Ok(ExitCode::SUCCESS);
    };
    let (found, others): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|(_, one)| digest(one).starts_with(start));
    let [(place, one)] = found.as_slice() else {
        return Err(Failure::new(format!(
            "not exactly one request that waits begins with {start}: it was answered, has expired, or made room for newer ones \
             of its principal; or several begin so. ostrom guard approve lists what waits"
        )));
    };
    if !options.json {
        show_request(one);
    }
    let approve = !options.deny
        && (options.yes || confirmed("Let this call through, once?", options.json, "--yes or --deny")?);
    running(place, &Command::Answer { request: digest(one).to_owned(), approve })?;
    if options.json {
        return told(
            others.into_iter().map(|(_, one)| one),
            Some(json!({"request": one, "approved": approve})),
        );
    }
    println!("{}", if approve { "approved: the agent may make this very call once" } else { "refused" });
    Ok(ExitCode::SUCCESS)
}

fn digest(request: &Value) -> &str {
    request.get("digest").and_then(Value::as_str).unwrap_or_default()
}

/// A link to the approval page.
fn page(options: &ApproveOptions) -> Result<ExitCode, Failure> {
    let answer = running(&options.place, &Command::Page)?;
    if options.json {
        show::json(&answer)?;
    } else {
        println!("{}", answer.get("link").and_then(Value::as_str).unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

fn told(waiting: impl Iterator<Item = Value>, answered: Option<Value>) -> Result<ExitCode, Failure> {
    show::json(&json!({"waiting": waiting.collect::<Vec<_>>(), "answered": answered}))?;
    Ok(ExitCode::SUCCESS)
}

/// A request as a person reads it. Values are shown as JSON, so that nothing in them can move the cursor.
fn show_request(request: &Value) {
    let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
    let short: String = text("digest").chars().take(12).collect();
    let prompt = show::one_line(text("prompt"));
    println!(
        "{short}  {}/{}{}{prompt}",
        text("server"),
        text("tool"),
        if prompt.is_empty() { "" } else { " " }
    );
    let context = request.get("context").cloned().unwrap_or_default();
    println!("  for      {}", context.get("principal").and_then(Value::as_str).unwrap_or_default());
    if let Some(arguments) = request.get("arguments").and_then(Value::as_object) {
        for (name, value) in arguments {
            println!("  {:<8} {}", show::printable(name), ostrom_guard::pin::rendering(value));
        }
    }
    let violations = request.get("violations").cloned().unwrap_or_else(|| json!([]));
    let because = match serde_json::from_value::<Vec<Violation>>(violations) {
        Ok(violations) => clauses(&violations),
        Err(_) => vec!["of what only an ostrom of the guard's own version can tell".to_owned()],
    };
    for clause in because {
        println!("{}", show::wrapped(&format!("because {clause}"), "  "));
    }
}
