//! What a guard that only watched has seen: what it would have refused, and a policy that would refuse less of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::AuditError;
use super::log::events;
use crate::flow::{Decision, Event, Subject, Verdict, Violation};
use crate::label::Names;

/// What was seen of a tool.
#[derive(Debug, Default)]
struct Seen {
    calls: u64,
    refused: u64,
    /// Of these, how many the candidate would refuse all the same.
    left: u64,
    /// Who would have to be allowed to influence the call, and each argument that has an own rule: with whoever is allowed already.
    call: Names,
    arguments: BTreeMap<String, Names>,
    /// What the candidate has no line for.
    not_covered: BTreeSet<String>,
    examples: Vec<String>,
}

/// What was seen.
#[derive(Debug)]
pub struct Observed {
    /// Calls.
    pub calls: u64,
    /// Calls that would have been refused.
    pub refused: u64,
    /// Tables for `guard.toml`, with which fewer would be, and what they do not cover. To be read by a person before they are used.
    pub candidate: String,
}

impl Observed {
    /// One line.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} calls were watched, {} of them would have been refused", self.calls, self.refused)
    }
}

/// Sums up the log in `folder`.
///
/// # Errors
/// If it cannot be read.
pub fn observed(folder: &Path) -> Result<Observed, AuditError> {
    let mut tools: BTreeMap<(String, String), Seen> = BTreeMap::new();
    for event in events(folder)? {
        let (_, Event::Decided(decision)) = event? else { continue };
        tools.entry((decision.server.to_string(), decision.tool.to_string())).or_default().add(&decision);
    }
    let calls = tools.values().map(|seen| seen.calls).sum();
    let refused = tools.values().map(|seen| seen.refused).sum();
    Ok(Observed { calls, refused, candidate: candidate(&tools) })
}

impl Seen {
    fn add(&mut self, decision: &Decision) {
        self.calls = self.calls.saturating_add(1);
        let mut left = !decision.forbidden_by.is_empty();
        for forbidden in &decision.forbidden_by {
            self.example(&format!("forbidden by {forbidden}"));
            self.not_covered.insert(format!("{forbidden} forbids it: change the policy or the budget"));
        }
        let violations = match &decision.flow {
            Verdict::Refuse { violations, .. } => violations.as_slice(),
            Verdict::Allow { .. } => &[],
        };
        for violation in violations {
            self.example(&violation.to_string());
            match not_covered(violation) {
                Some(text) => {
                    left = true;
                    self.not_covered.insert(text);
                }
                None => self.allow(violation),
            }
        }
        let refused = left || !violations.is_empty();
        self.refused = self.refused.saturating_add(u64::from(refused));
        self.left = self.left.saturating_add(u64::from(left));
    }

    fn allow(&mut self, violation: &Violation) {
        let Violation::TrustedAction { subject, influencers, allowed, .. } = violation else { return };
        let names = match subject {
            Subject::Call => &mut self.call,
            Subject::Argument(name) => self.arguments.entry(name.clone()).or_default(),
        };
        // A line takes the place of what was there, the profile's too.
        *names = names.union(allowed).union(influencers);
    }

    fn example(&mut self, text: &str) {
        if self.examples.len() < 3 && !self.examples.iter().any(|known| known == text) {
            self.examples.push(text.to_owned());
        }
    }
}

/// Why the candidate has no line against a violation, and what a person can do; `None` if it has one.
fn not_covered(violation: &Violation) -> Option<String> {
    match violation {
        // No names stand for anybody at all. A candidate never says "anyone" for its reader: that gives the tool away.
        Violation::TrustedAction { influencers, subject, .. } => influencers.is_empty().then(|| {
            format!(
                "anyone may have influenced {subject}: read its sources by reference, or name who they are"
            )
        }),
        Violation::PermittedFlow { audience, provenance, .. } => {
            let who = if audience.is_empty() { "everybody".to_owned() } else { audience.to_string() };
            let from = if provenance.is_empty() { "its source".to_owned() } else { provenance.to_string() };
            Some(format!(
                "{who} would read what may not be shown to them: give the result of {from} these readers, or this tool a smaller audience"
            ))
        }
        other => Some(other.to_string()),
    }
}

const HEADING: &str = "\
# A candidate: who would have to be allowed what, for the calls that were watched. Every name that it adds lets somebody decide about a tool: read
# each before you take it over.
# It is no configuration of its own (it starts no servers), and cannot be included beside one that has the same servers. Where guard.toml has a
# table of this name already, put the line into that one, in the place of a line with the same key; a table may stand in a file only once.
# It covers who may influence a call or an argument, with those who are allowed already. Who may read what, anybody at all, Cedar and
# budgets it does not cover: what of that there was stands under \"not covered\", and is refused with the candidate, too.
";

fn candidate(tools: &BTreeMap<(String, String), Seen>) -> String {
    let mut text = HEADING.to_owned();
    for ((server, tool), seen) in tools {
        // Writing to a string cannot fail.
        let _written = writeln!(
            text,
            "\n# {server}/{}: {} calls, {} would have been refused, {} with this candidate",
            one_line(tool),
            seen.calls,
            seen.refused,
            seen.left
        );
        for example in &seen.examples {
            let _written = writeln!(text, "#   {}", one_line(example));
        }
        for left in &seen.not_covered {
            let _written = writeln!(text, "#   not covered: {}", one_line(left));
        }
        let table = format!("servers.{}.tools.{}", quoted(server), quoted(tool));
        if !seen.call.is_empty() {
            let _written = writeln!(
                text,
                "[{table}]\ninfluencers = {}   # or, better: read its sources by reference",
                list(&seen.call)
            );
        }
        for (argument, names) in &seen.arguments {
            let _written =
                writeln!(text, "[{table}.arguments.{}]\ninfluencers = {}", quoted(argument), list(names));
        }
    }
    text
}

fn list(names: &Names) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

/// A TOML string: JSON's escapes are TOML's.
fn quoted(name: &str) -> String {
    serde_json::to_string(name).unwrap_or_default()
}

/// What a server or an agent chose must not end a comment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
