//! Deriving every decision again, offline, from nothing but the log, the policies beside it, and what openings are left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ostrom_core::Digest;
use serde::Serialize;
use serde_json::Value;

use super::asked::{control, label};
use super::log::{apply, events};
use super::planned::Planned;
use super::{AuditError, Openings, Policies, landed};
use crate::flow::{
    CallId, ContextKey, Decision, Engine, Event, Outcome, Reply, ToolFacts, Verdict, Violation,
};
use crate::gateway::{Question, Rules, looked_at, refusal};
use crate::label::{GUARD, Label};
use crate::plan::{Answer, Tree};

/// What a replay found.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Events in the log.
    pub events: u64,
    /// Decisions that came out as they are on record.
    pub same: u64,
    /// Decisions whose arguments are gone, so that what depends on values could only be taken from the record.
    pub without_values: u64,
    /// Labels of outcomes that came out as they are on record.
    pub outcomes: u64,
    /// Outcomes whose results are gone, so that what they gave the agent could only be taken from the record.
    pub without_results: u64,
    /// Plans that could not be followed to their end, since something that they depend on is gone.
    pub plans_not_followed: u64,
    /// What did not come out as it is on record.
    pub differences: Vec<Difference>,
    /// Calls whose intent is on record and whose outcome is not.
    pub unresolved: Vec<u64>,
}

impl Replay {
    /// Whether everything was derived, and nothing taken from the record.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.without_values == 0 && self.without_results == 0 && self.plans_not_followed == 0
    }
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
        policy: None,
        openings,
        asked: BTreeMap::new(),
        approved: BTreeMap::new(),
        values: BTreeMap::new(),
        plans: BTreeMap::new(),
    };
    for event in events(folder)? {
        let (index, event) = event?;
        found.events = found.events.saturating_add(1);
        let mut differences = play.before(&event, &mut found);
        apply(&mut play.engine, &event, &mut play.in_force, policies)?;
        differences.extend(play.after(&event));
        found.differences.extend(differences.into_iter().map(|what| Difference { index, what }));
    }
    let lost = play.plans.values().filter(|plan| !plan.is_followed()).count() as u64;
    found.plans_not_followed = found.plans_not_followed.saturating_add(lost);
    found.unresolved = play.engine.unresolved().map(|call| call.0).collect();
    Ok(found)
}

/// The call that a request for approval was about.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    context: ContextKey,
    place: (Arc<str>, Arc<str>),
    values: BTreeMap<String, Value>,
    label: Label,
    policy: Digest,
    /// When it was asked about first, or approved.
    at: u64,
}

struct Play {
    engine: Engine,
    in_force: Option<Arc<dyn Rules>>,
    /// The digest of the one in force.
    policy: Option<Digest>,
    openings: Openings,
    /// By the names of the requests.
    asked: BTreeMap<Digest, Asked>,
    approved: BTreeMap<Digest, Asked>,
    /// The arguments of calls under way.
    values: BTreeMap<CallId, BTreeMap<String, Value>>,
    plans: BTreeMap<CallId, Planned>,
}

impl Play {
    /// Compares an event with what is derived before it takes effect.
    fn before(&mut self, event: &Event, found: &mut Replay) -> Vec<String> {
        match event {
            Event::Decided(decision) => self.decision(decision, found),
            Event::Finished(outcome) => self.outcome(outcome, found),
            Event::Replied(reply) => self.reply(reply),
            Event::Revealed { context, label, handle: Some(handle), .. } => {
                if self.engine.kept(handle, context) == Some(label) {
                    Vec::new()
                } else {
                    vec!["what was revealed has another label, or is not this context's".to_owned()]
                }
            }
            Event::Endorsed { what, .. } => match &self.in_force {
                Some(rules) if may_endorse(rules.as_ref(), what) => Vec::new(),
                _ => vec![format!("nothing of {what} is endorsed by the policy")],
            },
            Event::Answered { request, approved, at, .. } => match self.asked.remove(request) {
                Some(asked) if self.expires(asked.at) > *at => {
                    if *approved {
                        self.approved.insert(*request, Asked { at: *at, ..asked });
                    }
                    Vec::new()
                }
                Some(_) => vec!["an answer to a question that had expired".to_owned()],
                None => vec!["an answer to a question that is not on record".to_owned()],
            },
            _ => Vec::new(),
        }
    }

    /// What can be compared once the event has taken effect.
    fn after(&mut self, event: &Event) -> Vec<String> {
        let Some(rules) = self.in_force.clone() else { return Vec::new() };
        match event {
            Event::Started { policy, mode, readers, .. } => {
                // Whatever was under way is over; questions and approvals are bound to their policy.
                if self.policy.replace(*policy) != Some(*policy) {
                    self.asked.clear();
                    self.approved.clear();
                }
                self.values.clear();
                self.plans.clear();
                let enforces = mode == "enforce";
                let same = (enforces || mode == "observe") && enforces == rules.enforces();
                let mut differences = Vec::new();
                if !same {
                    differences.push(format!("the guard started to {mode}, and its policy says otherwise"));
                }
                if *readers != rules.readers() {
                    differences.push("the guard started with other readers than its policy names".to_owned());
                }
                differences
            }
            Event::Decided(decision) if decision.dispatched && &*decision.server == GUARD => {
                let Some(label) = self.engine.under_way(decision.call).cloned() else { return Vec::new() };
                let submitted = self.values.get(&decision.call).and_then(|values| values.get("plan"));
                let Some(submitted) = submitted.cloned() else { return Vec::new() };
                match Planned::new(rules.as_ref(), &submitted, label) {
                    Some(plan) => {
                        self.plans.insert(decision.call, plan);
                        Vec::new()
                    }
                    None => vec![format!("call {} submits what is no plan", decision.call)],
                }
            }
            _ => Vec::new(),
        }
    }

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
        if !same(&verdict, &decision.flow, complete || !depends_on_values(&facts)) {
            differences.push(format!("the flow rules say {verdict:?} about call {}", decision.call));
        }
        for (name, value) in &values {
            let matched = decision.arguments.get(name).map(|record| record.matched.clone());
            if matched != Some(self.engine.matched(value)) {
                differences.push(format!("the argument {name} of call {} was seen by others", decision.call));
            }
        }
        let label = label(&self.engine, decision, facts.counted);
        if complete {
            let forbidden = self.forbids(rules.as_ref(), decision, &values, &label);
            if forbidden != decision.forbidden_by {
                differences
                    .push(format!("the policies that forbid call {} are {forbidden:?}", decision.call));
            }
        }
        if looked_at(rules.as_ref(), decision) != decision.looked_at {
            differences.push(format!("the policies look at other arguments of call {}", decision.call));
        }
        if let Some(plan) = decision.plan.as_ref().and_then(|step| self.plans.get_mut(&step.parent)) {
            differences.extend(plan.step(decision, &values));
        }
        differences.extend(self.fate(rules.as_ref(), decision, &values, &label));
        if !differences.is_empty() {
        } else if complete {
            found.same = found.same.saturating_add(1);
        } else {
            found.without_values = found.without_values.saturating_add(1);
        }
        self.goes_on(rules.as_ref(), decision, label);
        if decision.dispatched && complete {
            self.values.insert(decision.call, values);
        } else if decision.dispatched && &*decision.server == GUARD {
            found.plans_not_followed = found.plans_not_followed.saturating_add(1);
        }
        differences
    }

    /// Whether the call went out exactly if it was permitted, approved, or only watched.
    fn fate(
        &mut self,
        rules: &dyn Rules,
        decision: &Decision,
        values: &BTreeMap<String, Value>,
        label: &Label,
    ) -> Vec<String> {
        let call = decision.call;
        let mut differences = Vec::new();
        let this = Asked {
            context: decision.context.clone(),
            place: (decision.server.clone(), decision.tool.clone()),
            values: values.clone(),
            label: label.clone(),
            policy: rules.version(),
            at: decision.at,
        };
        let (violations, askable) = match &decision.flow {
            Verdict::Allow { .. } => (&[] as &[Violation], false),
            Verdict::Refuse { violations, askable } => (violations.as_slice(), *askable),
        };
        let askable = askable && decision.forbidden_by.is_empty() && rules.enforces();
        let permitted = decision.flow.allows() && decision.forbidden_by.is_empty();
        // An approval is used once, and for the call that it was asked for.
        let approved = decision.approval.is_some_and(|request| {
            let asked = self.approved.remove(&request);
            askable
                && asked.is_some_and(|asked| is_this(&asked, &this) && self.expires(asked.at) > decision.at)
        });
        let watched = !rules.enforces() && !violations.iter().any(Violation::holds_always);
        if decision.dispatched && !(permitted || approved || watched) {
            differences.push(format!("call {call} went out and was not permitted"));
        }
        if !decision.dispatched && (permitted || watched) {
            differences.push(format!("call {call} was permitted and did not go out"));
        }
        if let Some(request) = decision.request {
            if askable && !decision.dispatched {
                // Asking again makes a question no younger.
                self.asked.entry(request).or_insert(this);
            } else {
                differences.push(format!("call {call} was asked about, which its rules do not provide for"));
            }
        }
        differences
    }

    /// When what was asked, or approved, at `at` ends.
    fn expires(&self, at: u64) -> u64 {
        at.saturating_add(self.in_force.as_ref().map_or(0, |rules| rules.terms().seconds))
    }

    /// Lets a plan go on whose step was refused.
    fn goes_on(&mut self, rules: &dyn Rules, decision: &Decision, label: Label) {
        let Some(step) = decision.plan.as_ref().filter(|_| !decision.dispatched) else { return };
        let Some(plan) = self.plans.get_mut(&step.parent) else { return };
        let told = crate::gateway::value(&refusal(decision, &rules.terms()));
        let why = Tree::new(&told, label.join(&step.pc));
        plan.answer(rules, Some(Answer { outcome: Err(why), status: None }));
    }

    fn forbids(
        &self,
        rules: &dyn Rules,
        decision: &Decision,
        values: &BTreeMap<String, Value>,
        all: &Label,
    ) -> Vec<String> {
        let counted = rules.facts(&decision.server, &decision.tool).counted;
        rules.forbids(&Question {
            context: &decision.context,
            server: &decision.server,
            tool: &decision.tool,
            prompt: decision.prompt.as_deref(),
            arguments: values,
            control: &control(&self.engine, decision, counted),
            all,
            used: self.engine.used(&decision.context, &decision.server, &decision.tool, decision.at),
            plan: decision.plan.is_some(),
            at: decision.at,
        })
    }

    fn reply(&self, reply: &Reply) -> Vec<String> {
        let place = self.engine.place(reply.call);
        let (Some(rules), Some((server, tool))) = (&self.in_force, place) else {
            return vec![format!("an answer during call {}, which is not under way", reply.call)];
        };
        let mut differences = Vec::new();
        let flow = self.engine.reply(reply.call, &rules.facts(&server, &tool), &reply.matched);
        if flow != reply.flow {
            differences
                .push(format!("the flow rules say {flow:?} about an answer during call {}", reply.call));
        }
        let said = self.openings.get(&reply.commitment);
        if said.is_some_and(|said| self.engine.matched(said) != reply.matched) {
            differences.push(format!("an answer during call {} was seen by others", reply.call));
        }
        let passes = match &flow {
            Verdict::Allow { .. } => true,
            Verdict::Refuse { violations, .. } => {
                !rules.enforces() && !violations.iter().any(Violation::holds_always)
            }
        };
        if passes != reply.passed {
            differences.push(format!("whether an answer during call {} is passed on", reply.call));
        }
        differences
    }

    fn outcome(&mut self, outcome: &Outcome, found: &mut Replay) -> Vec<String> {
        let Some((server, tool)) = self.engine.place(outcome.call) else {
            return vec![format!("call {} came back without having gone out", outcome.call)];
        };
        let values = self.values.remove(&outcome.call);
        let Some(rules) = self.in_force.clone() else { return Vec::new() };
        if &*server == GUARD {
            return self.plan_ended(outcome, rules.enforces(), found);
        }
        let facts = rules.facts(&server, &tool);
        let opened = self.openings.named(&outcome.commitment);
        let derived = landed::derive(
            (&self.engine, rules.enforces()),
            &facts,
            (&server, &tool),
            outcome,
            values.as_ref(),
            opened,
        );
        if !derived.whole {
            found.without_results = found.without_results.saturating_add(1);
        } else if derived.differences.is_empty() {
            found.outcomes = found.outcomes.saturating_add(1);
        }
        let parent = self.engine.plan_of(outcome.call);
        if let Some(plan) = parent.and_then(|parent| self.plans.get_mut(&parent)) {
            if landed::is_cut_off(outcome) {
                plan.cut_off();
            } else if derived.differences.is_empty() {
                plan.answer(rules.as_ref(), derived.answer);
            } else {
                plan.lose();
            }
        }
        derived.differences
    }

    fn plan_ended(&mut self, outcome: &Outcome, enforces: bool, found: &mut Replay) -> Vec<String> {
        let Some(plan) = self.plans.remove(&outcome.call) else { return Vec::new() };
        if !plan.is_followed() {
            found.plans_not_followed = found.plans_not_followed.saturating_add(1);
            return Vec::new();
        }
        let Some(context) = self.engine.context_of(outcome.call) else { return Vec::new() };
        let differences = plan.end((&self.engine, enforces), context, outcome);
        if differences.is_empty() {
            found.outcomes = found.outcomes.saturating_add(1);
        }
        differences
    }
}

/// Whether a call is the one that was asked about. Values that are gone cannot be compared.
fn is_this(asked: &Asked, this: &Asked) -> bool {
    let values =
        asked.values.iter().all(|(name, value)| this.values.get(name).is_none_or(|other| other == value));
    (&asked.context, &asked.place, &asked.label, asked.policy)
        == (&this.context, &this.place, &this.label, this.policy)
        && values
}

/// Whether the policy endorses anything of what is named: `SERVER/TOOL`, with a pointer behind it, or a value of a plan.
fn may_endorse(rules: &dyn Rules, what: &str) -> bool {
    let Some((server, rest)) = what.split_once('/').filter(|_| !what.starts_with("a value of a plan")) else {
        return what.starts_with("a value of a plan");
    };
    let ends = rest.match_indices('/').map(|(at, _)| at).chain([rest.len()]);
    ends.filter_map(|end| rest.get(..end)).any(|tool| {
        let result = &rules.facts(server, tool).result;
        !result.endorse.is_empty() || result.fields.values().any(|field| !field.endorse.is_empty())
    })
}

/// Whether a verdict about this tool can depend on values, and not on labels alone.
fn depends_on_values(facts: &ToolFacts) -> bool {
    !facts.audience_of.is_empty() || facts.arguments.values().any(|argument| argument.endorse.is_some())
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
        (Verdict::Refuse { violations, .. }, Verdict::Allow { endorsed }) => {
            violations.iter().all(|violation| match violation {
                Violation::TrustedAction { subject, .. } => {
                    endorsed.iter().any(|endorsed| subject.is(&endorsed.argument))
                }
                _ => false,
            })
        }
        // Whom an argument names as readers is not known any more.
        (Verdict::Allow { .. }, Verdict::Refuse { violations, .. }) => {
            violations.iter().all(|violation| matches!(violation, Violation::PermittedFlow { .. }))
        }
        (Verdict::Refuse { violations: a, askable: x }, Verdict::Refuse { violations: b, askable: y }) => {
            // What has nothing to do with values is the same.
            let fixed = |all: &[Violation]| {
                let fixed = all.iter().filter(|violation| {
                    !matches!(violation, Violation::PermittedFlow { .. } | Violation::TrustedAction { .. })
                });
                fixed.cloned().collect::<Vec<_>>()
            };
            x == y && fixed(a) == fixed(b)
        }
        _ => false,
    }
}
