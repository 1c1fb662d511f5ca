//! Which flow blocked a call, in one sentence, and how it came about.

use std::path::Path;

use ostrom_core::Digest;
use serde::Serialize;

use super::log::events;
use super::{AuditError, Openings, landed};
use crate::flow::{CallId, Decision, Event, Verdict, Violation, clauses, grouped};
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
    /// Every way out, the one that changes least first.
    pub ways: Vec<String>,
}

/// Which call is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    Number(CallId),
    /// The one that was refused under this name (`r-3f9a12c05b1e`), which is all that its agent knows of it.
    Refusal(String),
}

impl Which {
    fn is(&self, decision: &Decision) -> bool {
        match self {
            Self::Number(call) => decision.call == *call,
            Self::Refusal(name) => decision.refusal.as_deref() == Some(name),
        }
    }
}

impl From<CallId> for Which {
    fn from(call: CallId) -> Self {
        Self::Number(call)
    }
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(CallId(number)));
        }
        let name = text.strip_prefix("r-").filter(|name| name.len() == 12);
        let is_name = name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let wanted = || "a call has a number (12), or the name of its refusal (r-3f9a12c05b1e)".to_owned();
        is_name.then(|| Self::Refusal(text.to_owned())).ok_or_else(wanted)
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(call) => call.fmt(f),
            Self::Refusal(name) => f.write_str(name),
        }
    }
}

/// Explains a call in the log in `folder`.
///
/// # Errors
/// If the log cannot be read or has no such call.
pub fn explain(folder: &Path, which: &Which) -> Result<Explanation, AuditError> {
    let mut before: Vec<(u64, Event)> = Vec::new();
    let mut found: Option<Box<Decision>> = None;
    let mut came = Came::UnderWay;
    for event in events(folder)? {
        let (index, event) = event?;
        match (&found, event) {
            (None, Event::Decided(decision)) if which.is(&decision) => found = Some(decision),
            (None, event) => before.push((index, event)),
            (Some(decision), Event::Finished(outcome)) if outcome.call == decision.call => {
                came = if landed::is_cut_off(&outcome) && outcome.failed {
                    Came::GivenUp
                } else {
                    Came::Back(outcome.commitment)
                };
                break;
            }
            // What was under way then is over, and nobody knows what came of it.
            (Some(_), Event::Started { .. }) => {
                came = Came::Abandoned;
                break;
            }
            (Some(decision), _) if !decision.dispatched => break,
            (Some(_), _) => {}
        }
    }
    let decision = found.ok_or(AuditError::NoCall(which.to_string()))?;
    Ok(of(&decision, &before, &came, &Openings::read(folder)?))
}

/// What became of a call that went out.
enum Came {
    /// An outcome with this commitment is on record.
    Back(Digest),
    /// Nobody waited for its answer, or there was no room to record it. A plan that came to its end has no commitment either, but did not fail.
    GivenUp,
    /// The guard ended before there was one.
    Abandoned,
    /// There is none, and the guard has not started again since.
    UnderWay,
}

impl Came {
    /// Why nobody knows whether the call had its effect, if nobody does.
    fn unknown(&self, openings: &Openings) -> Option<&'static str> {
        match self {
            Self::GivenUp => Some("it was given up before its answer was on record"),
            Self::Back(commitment) => match openings.named(commitment) {
                Some(("unanswered", _)) => Some("its server did not answer"),
                _ => None,
            },
            Self::Abandoned => Some("the guard ended before there was an answer"),
            Self::UnderWay => Some("no outcome is on record: it is under way, or the guard has ended"),
        }
    }
}

fn of(decision: &Decision, before: &[(u64, Event)], came: &Came, openings: &Openings) -> Explanation {
    let tool = format!("{}/{}", decision.server, decision.tool);
    let mut because = Vec::new();
    let (mut sentence, mut ways) = match &decision.flow {
        Verdict::Refuse { violations, askable } => {
            for violation in violations {
                because.extend(came_about(decision, violation, before));
            }
            because.dedup();
            let sentence = clauses(violations).join("; ");
            let ways = if decision.dispatched && decision.approval.is_some() {
                vec!["none is needed: a person approved it".to_owned()]
            } else if decision.dispatched {
                vec!["none is needed: the guard only watched (mode = \"observe\")".to_owned()]
            } else {
                ways_out(decision, violations, *askable)
            };
            (sentence, ways)
        }
        Verdict::Allow { endorsed } if decision.forbidden_by.is_empty() => {
            because.extend(endorsed.iter().map(|endorsed| {
                format!(
                    "the argument {} was endorsed; {:.1} bits of influence remain",
                    endorsed.argument, endorsed.bits
                )
            }));
            (format!("{tool} was permitted"), vec!["none is needed".to_owned()])
        }
        Verdict::Allow { .. } => {
            (format!("{} forbids {tool}", decision.forbidden_by.join(" and ")), vec![forbidden(decision)])
        }
    };
    if let Some(why) = came.unknown(openings).filter(|_| decision.dispatched) {
        sentence.push_str(&format!("; whether it has had its effect nobody knows, since {why}"));
        ways = vec![format!("look at what {} has done before the call is made again", decision.server)];
    }
    let gone = decision.arguments.iter().filter(|(_, record)| openings.get(&record.commitment).is_none());
    let gone: Vec<&str> = gone.map(|(name, _)| name.as_str()).collect();
    if !gone.is_empty() {
        sentence.push_str(&format!("; of its arguments {} the values were deleted", gone.join(", ")));
    }
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
        ways,
    }
}

/// What lets a call through that Cedar or a budget forbids.
fn forbidden(decision: &Decision) -> String {
    let by = decision.forbidden_by.join(" and ");
    if decision.forbidden_by.iter().any(|name| name.starts_with("budgets.")) {
        format!("raise {by} in guard.toml, or mint another run where it counts per run (ostrom guard mint)")
    } else {
        format!("change {by} in the Cedar policy; nobody can approve what it forbids")
    }
}

/// Every way in which a call like this one could go out.
fn ways_out(decision: &Decision, violations: &[Violation], askable: bool) -> Vec<String> {
    let (server, tool) = (&decision.server, &decision.tool);
    let key = format!("[servers.{server}.tools.{tool:?}]");
    let mut ways = Vec::new();
    if askable && decision.forbidden_by.is_empty() {
        ways.push(
            "let a person approve this very call: ostrom guard approve, or the channel that [approval] names"
                .to_owned(),
        );
    }
    for group in grouped(violations) {
        let sources = |provenance: &crate::label::Names| {
            if provenance.is_empty() { "its source".to_owned() } else { provenance.to_string() }
        };
        let names = group.arguments.join(", ");
        // Where each of them is written.
        let keys = |key: &str| {
            let each = group.arguments.iter().map(|name| format!("arguments.{name}.{key}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let anew = "begin anew without what was read: ostrom guard reset, or another run (ostrom guard mint)";
        match group.first {
            Violation::TrustedAction { influencers, provenance, .. } => {
                let from = sources(provenance);
                ways.push(format!(
                    "keep what {from} says out of the agent's sight (result.reveal = \"reference\" there) and pass its handle on, or do it in one \
                     run_plan that is submitted before anything is read"
                ));
                let who = if influencers.is_empty() { "anyone".to_owned() } else { influencers.to_string() };
                if group.is_of_call {
                    ways.push(anew.to_owned());
                    ways.push(format!("let {who} decide about it: influencers in {key}"));
                }
                if !names.is_empty() {
                    ways.push(format!("let {who} choose {names}: {} in {key}", keys("influencers")));
                    ways.push(format!(
                        "accept {names} from anybody where it is one of a few values: {} in {key}",
                        keys("endorse")
                    ));
                }
            }
            Violation::PermittedFlow { audience, provenance, .. } => {
                let from = sources(provenance);
                let who = if audience.is_empty() { "everyone".to_owned() } else { audience.to_string() };
                ways.push(format!("let {who} read what {from} gives: result.readers there"));
                if group.is_of_call {
                    ways.push(anew.to_owned());
                }
                if !names.is_empty() {
                    ways.push(format!(
                        "leave it out of {names}; or, if fewer read that than the other arguments, say so: {} in {key}",
                        keys("audience")
                    ));
                }
            }
            Violation::Quarantined { source } => {
                ways.push(format!("begin anew without what comes from {source}: ostrom guard reset"));
            }
            Violation::Stopped { .. } => {
                ways.push("take the stop back: ostrom guard stop … --lift".to_owned())
            }
            Violation::Ended => ways.push("mint another run: ostrom guard mint".to_owned()),
            Violation::OutsidePlan => ways.push("submit the plan again".to_owned()),
            Violation::UnknownHandle { .. } => {
                ways.push("call the tool that gave the value again: handles are for one run, and end with the guard".to_owned());
            }
        }
    }
    if !decision.forbidden_by.is_empty() {
        ways.push(forbidden(decision));
    }
    let mut told = std::collections::BTreeSet::new();
    ways.retain(|way| told.insert(way.clone()));
    if ways.iter().any(|way| way.contains(&key)) {
        // The log does not say which of the two it is.
        ways.push(format!(
            "what stands in {key} is in guard.toml; a server behind ostrom guard wrap has none yet: write one with its command \
             (docs/guard-config.md) and start that with ostrom guard run"
        ));
    }
    ways
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
