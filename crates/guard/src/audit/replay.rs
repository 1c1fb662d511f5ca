//! Deriving every decision again, offline, from nothing but the log, the policies beside it, and what openings are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ostrom_core::Digest;
use serde::Serialize;
use serde_json::Value;

use super::log::{apply, events};
use super::{AuditError, Openings, Policies};
use crate::flow::{Decision, Engine, Event, Outcome, Verdict, Violation};
use crate::gateway::{Question, Rules};
use crate::label::GUARD;

/// What a replay found.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Events in the log.
    pub events: u64,
    /// Decisions that came out as they are on record.
    pub same: u64,
    /// Of these, decisions for which arguments are gone: what depends on values was taken from the record.
    pub without_values: u64,
    /// Labels of outcomes that came out as they are on record.
    pub outcomes: u64,
    /// What did not come out as it is on record.
    pub differences: Vec<Difference>,
    /// Calls whose intent is on record and whose outcome is not.
    pub unresolved: Vec<u64>,
}

/// Something that did not come out as it is on record.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The event.
    pub index: u64,
    /// What differs.
    pub what: String,
}

/// Replays the log in `folder`.
///
/// # Errors
/// If the log, an event or a policy cannot be read.
pub fn replay(folder: &Path, policies: &mut Policies) -> Result<Replay, AuditError> {
    let openings = Openings::read(folder)?;
    let mut found = Replay::default();
    let mut play = Play {
        engine: Engine::default(),
        in_force: None,
        openings,
        approved: BTreeSet::new(),
        calls: BTreeMap::new(),
    };
    for event in events(folder)? {
        let (index, event) = event?;
        found.events = found.events.saturating_add(1);
        let differences = match &event {
            Event::Decided(decision) => play.decision(decision, &mut found),
            Event::Finished(outcome) => play.outcome(outcome, &mut found),
            Event::Answered { request, approved: true, .. } => {
                play.approved.insert(*request);
                Vec::new()
            }
            _ => Vec::new(),
        };
        found.differences.extend(differences.into_iter().map(|what| Difference { index, what }));
        apply(&mut play.engine, &event, &mut play.in_force, policies)?;
    }
    found.unresolved = play.engine.unresolved().map(|call| call.0).collect();
    Ok(found)
}

struct Play {
    engine: Engine,
    in_force: Option<Arc<dyn Rules>>,
    openings: Openings,
    approved: BTreeSet<Digest>,
    calls: BTreeMap<(String, String), u64>,
}

impl Play {
    fn decision(&mut self, decision: &Decision, found: &mut Replay) -> Vec<String> {
        let Some(rules) = self.in_force.clone() else {
            return vec!["a decision before any policy".to_owned()];
        };
        let facts = rules.facts(&decision.server, &decision.tool);
        let values: BTreeMap<String, Value> = decision
            .arguments
            .iter()
            .filter_map(|(name, record)| Some((name.clone(), self.openings.get(&record.commitment)?.clone())))
            .collect();
        let complete = values.len() == decision.arguments.len();
        let mut differences = Vec::new();
        if decision.call != self.engine.next_call() {
            differences.push(format!("call {} is out of order", decision.call));
        }
        let verdict = self.engine.decide(decision, &facts, Some(&values));
        if !same(&verdict, &decision.flow, complete) {
            differences.push(format!("the flow rules say {verdict:?} about call {}", decision.call));
        }
        if complete {
            for (name, value) in &values {
                let matched = decision.arguments.get(name).map(|record| record.matched.clone());
                if matched != Some(self.engine.matched(value)) {
                    differences
                        .push(format!("the argument {name} of call {} was seen by others", decision.call));
                }
            }
            let forbidden = self.forbids(rules.as_ref(), decision, &values);
            if forbidden != decision.forbidden_by {
                differences
                    .push(format!("the policies that forbid call {} are {forbidden:?}", decision.call));
            }
        } else {
            found.without_values = found.without_values.saturating_add(1);
        }
        if decision.dispatched && !self.may_go(rules.as_ref(), decision) {
            differences.push(format!("call {} went out and was not permitted", decision.call));
        }
        if differences.is_empty() {
            found.same = found.same.saturating_add(1);
        }
        if decision.dispatched {
            let principal = format!("{:?}", decision.context);
            let hour = format!("hour {}", decision.at / 3_600);
            let whose = decision.context.principal.to_string();
            let tool = format!("{}/{}", decision.server, decision.tool);
            for key in [(principal.clone(), String::new()), (principal, tool), (whose, hour)] {
                let count = self.calls.entry(key).or_default();
                *count = count.saturating_add(1);
            }
        }
        differences
    }

    /// Whether a call that went out was permitted, approved, or only watched.
    fn may_go(&mut self, rules: &dyn Rules, decision: &Decision) -> bool {
        let permitted = decision.flow.allows() && decision.forbidden_by.is_empty();
        // An approval is used once.
        let approved = decision.approval.is_some_and(|request| self.approved.remove(&request));
        permitted || approved || !rules.enforces()
    }

    fn forbids(
        &self,
        rules: &dyn Rules,
        decision: &Decision,
        values: &BTreeMap<String, Value>,
    ) -> Vec<String> {
        let control = self.engine.control(&decision.context, decision.plan.as_ref());
        let control = control.unwrap_or_else(|| self.engine.context(&decision.context).clone());
        let all = decision
            .arguments
            .values()
            .filter_map(|record| self.engine.argument(&decision.context, &control, record))
            .fold(control.clone(), |all, label| all.join(&label));
        let principal = format!("{:?}", decision.context);
        let count = |tool: String| self.calls.get(&(principal.clone(), tool)).copied().unwrap_or(0);
        rules.forbids(&Question {
            context: &decision.context,
            server: &decision.server,
            tool: &decision.tool,
            prompt: decision.prompt.as_deref(),
            arguments: values,
            control: &control,
            all: &all,
            calls: count(String::new()),
            tool_calls: count(format!("{}/{}", decision.server, decision.tool)),
            hour_calls: {
                let hour = format!("hour {}", decision.at / 3_600);
                self.calls.get(&(decision.context.principal.to_string(), hour)).copied().unwrap_or(0)
            },
            plan: decision.plan.is_some(),
            at: decision.at,
        })
    }

    fn outcome(&self, outcome: &Outcome, found: &mut Replay) -> Vec<String> {
        let Some((server, tool)) = self.engine.place(outcome.call) else {
            return vec![format!("call {} came back without having gone out", outcome.call)];
        };
        if &*server == GUARD {
            found.outcomes = found.outcomes.saturating_add(1);
            return Vec::new();
        }
        let Some(rules) = self.in_force.as_ref() else { return Vec::new() };
        let facts = rules.facts(&server, &tool);
        let result = self.openings.get(&outcome.commitment);
        let claimed = result.and_then(|result| result.as_object()).and_then(crate::gateway::claim);
        let label = self.engine.result(outcome, &facts, claimed.as_ref());
        // A server's claim can only restrict, so without the result the record may say more than the rules alone.
        let agrees = if result.is_some() { label == outcome.label } else { outcome.label.covers(&label) };
        if agrees {
            found.outcomes = found.outcomes.saturating_add(1);
            Vec::new()
        } else {
            vec![format!("the result of call {} carries {label:?}", outcome.call)]
        }
    }
}

/// Whether two verdicts agree. Without the values, what depends on them is taken from the record.
fn same(derived: &Verdict, recorded: &Verdict, complete: bool) -> bool {
    if derived == recorded {
        return true;
    }
    if complete {
        return false;
    }
    match (derived, recorded) {
        (Verdict::Refuse { violations, .. }, Verdict::Allow { endorsed }) => violations.iter().all(|violation| {
            endorsed.iter().any(|endorsed| {
                matches!(violation, Violation::TrustedAction { subject, .. } if subject.is(&endorsed.argument))
            })
        }),
        // Whom an argument names as readers is not known any more.
        (Verdict::Allow { .. }, Verdict::Refuse { violations, .. }) => {
            violations.iter().all(|violation| matches!(violation, Violation::PermittedFlow { .. }))
        }
        (Verdict::Refuse { askable: a, .. }, Verdict::Refuse { askable: b, .. }) => a == b,
        _ => false,
    }
}
