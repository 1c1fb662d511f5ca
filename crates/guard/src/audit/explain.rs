//! Which flow blocked a call, in one sentence, and how it came about.

use std::path::Path;

use serde::Serialize;

use super::log::events;
use super::{AuditError, Openings};
use crate::flow::{CallId, Decision, Event, Verdict, Violation};
use crate::label::{Integrity, Label, Readers};

/// Why a call was decided as it was.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The call.
    pub call: u64,
    /// `SERVER/TOOL`.
    pub tool: String,
    /// Who made it.
    pub principal: String,
    /// Whether it went out.
    pub dispatched: bool,
    /// One sentence.
    pub sentence: String,
    /// How it came about, in order: what this context saw that matters, and when.
    pub because: Vec<String>,
    /// The arguments that are still there.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// What a person can do about it.
    pub next: String,
}

/// Explains the call of this number in the log in `folder`.
///
/// # Errors
/// If the log cannot be read or has no such call.
pub fn explain(folder: &Path, call: CallId) -> Result<Explanation, AuditError> {
    let mut before: Vec<(u64, Event)> = Vec::new();
    for event in events(folder)? {
        let (index, event) = event?;
        if let Event::Decided(decision) = &event
            && decision.call == call
        {
            return Ok(of(decision, &before, &Openings::read(folder)?));
        }
        before.push((index, event));
    }
    Err(AuditError::NoCall(call.0))
}

fn of(decision: &Decision, before: &[(u64, Event)], openings: &Openings) -> Explanation {
    let tool = format!("{}/{}", decision.server, decision.tool);
    let mut because = Vec::new();
    let (sentence, next) = match &decision.flow {
        Verdict::Refuse { violations, askable } => {
            for violation in violations {
                because.extend(came_about(decision, violation, before));
            }
            because.dedup();
            let sentence = violations.first().map_or_else(String::new, ToString::to_string);
            let next = if decision.dispatched && decision.approval.is_some() {
                "a person approved it".to_owned()
            } else if decision.dispatched {
                "the guard only watched (mode = \"observe\")".to_owned()
            } else if *askable {
                "a person can approve it (ostrom guard approve), or the policy can allow the influencer or reader".to_owned()
            } else {
                "the policy can allow the influencer or reader for this tool or argument in guard.toml"
                    .to_owned()
            };
            (sentence, next)
        }
        Verdict::Allow { endorsed } if decision.forbidden_by.is_empty() => {
            because.extend(endorsed.iter().map(|endorsed| {
                format!(
                    "the argument {} was endorsed; {:.1} bits of influence remain",
                    endorsed.argument, endorsed.bits
                )
            }));
            (format!("{tool} was permitted"), "nothing".to_owned())
        }
        Verdict::Allow { .. } => (
            format!("the policy {} forbids {tool}", decision.forbidden_by.join(" and ")),
            "change the Cedar policy".to_owned(),
        ),
    };
    let arguments = decision
        .arguments
        .iter()
        .filter_map(|(name, record)| Some((name.clone(), openings.get(&record.commitment)?.clone())))
        .collect();
    Explanation {
        call: decision.call.0,
        tool,
        principal: decision.context.principal.to_string(),
        dispatched: decision.dispatched,
        sentence,
        because,
        arguments,
        next,
    }
}

/// The first time that this context met each influencer, or lost each reader, that matters.
fn came_about(decision: &Decision, violation: &Violation, before: &[(u64, Event)]) -> Vec<String> {
    let matters = |label: &Label| match violation {
        Violation::TrustedAction { influencers, .. } => match &label.integrity {
            Integrity::Anyone => true,
            Integrity::Of(names) => names.iter().any(|name| influencers.contains(name)),
        },
        Violation::PermittedFlow { audience, .. } => match &label.readers {
            Readers::Everyone => false,
            Readers::Only(names) => {
                audience.is_empty() || audience.iter().any(|reader| !names.contains(reader))
            }
        },
        _ => false,
    };
    let handles: Vec<_> = decision.arguments.values().flat_map(|record| record.handles.iter()).collect();
    let mut tools = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for (_, event) in before {
        match event {
            Event::Decided(other) => {
                tools.insert(other.call, (other.context.clone(), format!("{}/{}", other.server, other.tool)));
            }
            Event::Reset { context, .. } if *context == decision.context => found.clear(),
            Event::Revealed { context, what, label, .. }
                if *context == decision.context && matters(label) =>
            {
                found.push(format!("{what} was shown to the agent"));
            }
            Event::Finished(outcome) => {
                let Some((context, tool)) = tools.get(&outcome.call) else { continue };
                let kept =
                    outcome.kept.iter().find(|kept| handles.contains(&&kept.handle) && matters(&kept.label));
                if *context == decision.context && outcome.revealed && matters(&outcome.label) {
                    found
                        .push(format!("the result of {tool} (call {}) was shown to the agent", outcome.call));
                } else if kept.is_some() {
                    found.push(format!(
                        "the result of {tool} (call {}) is passed on by its handle",
                        outcome.call
                    ));
                }
            }
            _ => {}
        }
    }
    // What came first is the cause; the rest only repeats it.
    found.truncate(3);
    found
}
