//! `ostrom guard status` and `mint`: what the running guard tells of itself.

use std::process::ExitCode;

use ostrom_guard::flow::ContextKey;
use ostrom_guard::label::{Integrity, Label, Readers};
use ostrom_guard::serve::control::Command;
use serde::Deserialize;

use super::running;
use crate::args::{MintOptions, StatusOptions};
use crate::fail::Failure;
use crate::show;

/// What a guard knows, as it says it.
#[derive(Debug, Deserialize)]
struct Status {
    policy: String,
    contexts: Vec<Context>,
    stopped: Vec<String>,
    unresolved: Vec<u64>,
    waiting: u64,
    held: u64,
    unwritten: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Context {
    context: ContextKey,
    label: Label,
}

#[derive(Debug, Deserialize)]
struct Minted {
    run: String,
    token: String,
}

/// `ostrom guard status`.
pub fn status(options: &StatusOptions) -> Result<ExitCode, Failure> {
    let answer = running(&options.place, &Command::Status)?;
    if options.json {
        show::json(&answer)?;
    } else {
        for line in serde_json::from_value::<Status>(answer).map_err(other)?.lines() {
            println!("{}", show::printable(&line));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `ostrom guard mint`.
pub fn mint(options: &MintOptions) -> Result<ExitCode, Failure> {
    let answer = running(&options.place, &Command::Mint { principal: options.principal.clone() })?;
    if options.json {
        show::json(&answer)?;
    } else {
        let Minted { run, token } = serde_json::from_value(answer).map_err(other)?;
        println!("run    {run}\ntoken  {token}");
    }
    Ok(ExitCode::SUCCESS)
}

fn other(error: serde_json::Error) -> Failure {
    Failure::new(format!("the guard that runs is of another version, so stop it and start it again: {error}"))
}

impl Status {
    /// For people.
    fn lines(&self) -> Vec<String> {
        let hint = |count: u64, hint: &str| if count == 0 { String::new() } else { format!(": {hint}") };
        let counted = |number, thing| show::count(usize::try_from(number).unwrap_or(usize::MAX), thing);
        let mut lines = vec![
            format!("policy      {}", self.policy),
            format!(
                "waiting     {}{}",
                counted(self.waiting, "call"),
                hint(self.waiting, "ostrom guard approve")
            ),
            format!(
                "held        {}{}",
                counted(self.held, "definition"),
                hint(self.held, "ostrom guard pin")
            ),
        ];
        lines.extend(self.unwritten.iter().map(|why| format!("calls stop  {why}")));
        lines.extend(self.stopped.iter().map(|scope| format!("stopped     {scope}")));
        lines.extend(
            self.unresolved
                .iter()
                .map(|call| format!("unresolved  call {call} went out, and its outcome is not on record")),
        );
        for Context { context, label } in &self.contexts {
            let run = context.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
            lines.push(format!("context     {}{run}", context.principal));
            let by = match &label.integrity {
                Integrity::Anyone => "anybody".to_owned(),
                Integrity::Of(names) if names.is_empty() => "nobody".to_owned(),
                Integrity::Of(names) => names.to_string(),
            };
            lines.push(format!("  may be influenced by {by}"));
            let readers = match &label.readers {
                Readers::Everyone => "everyone".to_owned(),
                Readers::Only(names) if names.is_empty() => "nobody".to_owned(),
                Readers::Only(names) => names.to_string(),
            };
            lines.push(format!("  may be read by {readers}"));
            if !label.provenance.is_empty() {
                lines.push(format!("  came from {}", label.provenance));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_for_people_has_everything_that_the_guard_says() {
        let told = json!({
            "policy": "abc",
            "contexts": [
                {"context": {"principal": "local"}, "label": {"integrity": {"of": ["outside", "user"]}, "readers": "everyone", "provenance": ["mail/read"]}},
                {"context": {"principal": "alice", "run": "r1"}, "label": {"integrity": "anyone", "readers": {"only": []}}},
            ],
            "stopped": ["tool mail/send"], "unresolved": [7], "waiting": 1, "held": 0,
            "unwritten": "the audit log cannot be written",
        });
        let status: Status = serde_json::from_value(told).unwrap();
        let expected = "policy      abc
waiting     1 call: ostrom guard approve
held        0 definitions
calls stop  the audit log cannot be written
stopped     tool mail/send
unresolved  call 7 went out, and its outcome is not on record
context     local
  may be influenced by outside and user
  may be read by everyone
  came from mail/read
context     alice, run r1
  may be influenced by anybody
  may be read by nobody";
        assert_eq!(status.lines().join("\n"), expected);
    }
}
