//! What a guard that only watched has seen: what it would have refused, and a policy that would not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::AuditError;
use super::log::events;
use crate::flow::{Event, Verdict, Violation};
use crate::label::Names;

/// What was seen of a tool.
#[derive(Debug, Default)]
struct Seen {
    calls: u64,
    refused: u64,
    influencers: Names,
    /// Whether anybody at all may have influenced a call.
    anyone: bool,
    audience: Names,
    /// Whether everybody would have read something.
    everyone: bool,
    examples: Vec<String>,
}

/// What was seen.
#[derive(Debug)]
pub struct Observed {
    /// Calls.
    pub calls: u64,
    /// Calls that would have been refused.
    pub refused: u64,
    /// A policy, as the text of a `guard.toml`, in which they would not be. To be read by a person before it is used.
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
        let seen = tools.entry((decision.server.to_string(), decision.tool.to_string())).or_default();
        seen.calls = seen.calls.saturating_add(1);
        let refused = !decision.flow.allows() || !decision.forbidden_by.is_empty();
        seen.refused = seen.refused.saturating_add(u64::from(refused));
        for forbidden in &decision.forbidden_by {
            let text = format!("forbidden by {forbidden}");
            if seen.examples.len() < 3 && !seen.examples.contains(&text) {
                seen.examples.push(text);
            }
        }
        let Verdict::Refuse { violations, .. } = &decision.flow else { continue };
        for violation in violations {
            match violation {
                Violation::TrustedAction { influencers, .. } => {
                    // No names stand for anybody at all.
                    seen.anyone |= influencers.is_empty();
                    seen.influencers = seen.influencers.union(influencers);
                }
                Violation::PermittedFlow { audience, .. } => {
                    seen.everyone |= audience.is_empty();
                    seen.audience = seen.audience.union(audience);
                }
                _ => {}
            }
            let text = violation.to_string();
            if seen.examples.len() < 3 && !seen.examples.contains(&text) {
                seen.examples.push(text);
            }
        }
    }
    let calls = tools.values().map(|seen| seen.calls).sum();
    let refused = tools.values().map(|seen| seen.refused).sum();
    Ok(Observed { calls, refused, candidate: candidate(&tools) })
}

fn candidate(tools: &BTreeMap<(String, String), Seen>) -> String {
    let mut text = String::from(
        "# A candidate: what was seen, as a policy that would permit it. Every line that adds an influencer lets somebody decide about a tool;\n\
         # read each before you take it over into guard.toml.\n",
    );
    for ((server, tool), seen) in tools {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "\n# {} calls, {} would have been refused", seen.calls, seen.refused);
        for example in &seen.examples {
            let _written = writeln!(text, "#   {}", example.replace('\n', " "));
        }
        let _written = writeln!(text, "[servers.{}.tools.{}]", quoted(server), quoted(tool));
        if seen.anyone {
            // A candidate never says "anyone" for its reader: that gives the tool away.
            let _written = writeln!(
                text,
                "influencers = [\"user\"]   # anyone may have influenced it: read its sources by reference, or name who they are"
            );
        } else if seen.influencers.is_empty() {
            let _written = writeln!(text, "influencers = [\"user\"]");
        } else {
            let names: Vec<String> = std::iter::once("user")
                .chain(seen.influencers.iter().map(|name| &**name))
                .map(quoted)
                .collect();
            let _written = writeln!(
                text,
                "influencers = [{}]   # or, better: read its sources by reference",
                names.join(", ")
            );
        }
        if seen.everyone {
            let _written = writeln!(
                text,
                "# everybody would read what may not be shown to them: give the source's result more readers, or this tool a smaller audience"
            );
        }
        if !seen.audience.is_empty() {
            let readers: Vec<String> = seen.audience.iter().map(|name| quoted(name)).collect();
            let _written = writeln!(
                text,
                "# {} would read what may not be shown to them: give the source's result these readers",
                readers.join(", ")
            );
        }
    }
    text
}

/// A TOML string: JSON's escapes are TOML's.
fn quoted(name: &str) -> String {
    serde_json::to_string(name).unwrap_or_default()
}
