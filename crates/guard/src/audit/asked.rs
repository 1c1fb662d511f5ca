//! What waited for a person when the guard ended: questions, and approvals that nobody has used yet.
//!
//! They are in the log already, but for the arguments, which are in the openings. So they are found again there, and go on waiting, if what
//! they were bound to is still what it was: the policy, and arguments that are not redacted and hold no handle, since values of handles end with the guard.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use ostrom_core::Digest;

use super::{AuditError, Openings};
use crate::flow::{Decision, Engine, Event, Verdict};
use crate::gateway::{Request, Rules, binding};
use crate::label::Label;

/// More than a guard lets wait.
const MAX: usize = 2_000;

/// A question of before, and when a person approved it, if one did.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The question.
    pub request: Request,
    /// When it was approved.
    pub approved: Option<u64>,
}

/// The questions of a log, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// By their names.
    open: BTreeMap<Digest, One>,
    policy: Option<Digest>,
}

#[derive(Debug)]
struct One {
    decision: Box<Decision>,
    label: Label,
    approved: Option<u64>,
}

impl One {
    /// From when it counts until it ends.
    fn since(&self) -> u64 {
        self.approved.unwrap_or(self.decision.at)
    }
}

/// Of control and arguments of a call together, before its decision takes effect.
pub(super) fn label(engine: &Engine, decision: &Decision, counted: bool) -> Label {
    let control = control(engine, decision, counted);
    decision
        .arguments
        .values()
        .filter_map(|record| engine.argument(&decision.context, &control, record))
        .fold(control.clone(), |all, label| all.join(&label))
}

/// Of what decided that the call is made, if calls of its tool are `counted` or not.
pub(super) fn control(engine: &Engine, decision: &Decision, counted: bool) -> Label {
    let control = engine.control(&decision.context, decision.plan.as_ref(), counted);
    control.unwrap_or_else(|| engine.context(&decision.context).clone())
}

impl Asked {
    /// Takes in an event before it takes effect on `engine`. `rules` are those in force before it.
    pub(super) fn before(&mut self, engine: &Engine, event: &Event, rules: Option<&dyn Rules>) {
        match event {
            // Under another policy it would be another question.
            Event::Started { policy, .. } if self.policy != Some(*policy) => {
                self.policy = Some(*policy);
                self.open.clear();
            }
            Event::Decided(decision) => {
                if let Some(used) = &decision.approval {
                    self.open.remove(used);
                }
                let whole = decision.arguments.values().all(|record| record.handles.is_empty());
                if let Some(name) = decision.request.filter(|_| whole) {
                    let facts = rules.map(|rules| rules.facts(&decision.server, &decision.tool));
                    let counted = facts.is_some_and(|facts| facts.counted);
                    // Asking again makes a question no younger.
                    self.open.entry(name).or_insert_with(|| One {
                        decision: decision.clone(),
                        label: label(engine, decision, counted),
                        approved: None,
                    });
                    self.make_room();
                }
            }
            Event::Answered { request, approved: true, at, .. } => {
                if let Some(one) = self.open.get_mut(request) {
                    one.approved = Some(*at);
                }
            }
            Event::Answered { request, approved: false, .. } => {
                self.open.remove(request);
            }
            _ => {}
        }
    }

    fn make_room(&mut self) {
        if self.open.len() > MAX
            && let Some(oldest) = self.open.iter().min_by_key(|(_, one)| one.since()).map(|(name, _)| *name)
        {
            self.open.remove(&oldest);
        }
    }

    /// What still waits at `now` under these rules, oldest first.
    ///
    /// # Errors
    /// If the openings cannot be read.
    pub(super) fn waiting(
        mut self,
        folder: &Path,
        rules: &dyn Rules,
        now: u64,
    ) -> Result<Vec<Waiting>, AuditError> {
        let (policy, seconds) = (rules.version(), rules.terms().seconds);
        self.open.retain(|_, one| one.since().saturating_add(seconds) > now);
        if self.policy != Some(policy) || self.open.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: HashSet<Digest> = self
            .open
            .values()
            .flat_map(|one| one.decision.arguments.values().map(|record| record.commitment))
            .collect();
        let first = self.open.values().map(|one| one.decision.at).min().unwrap_or(now);
        // What opens a decision is written before it: around midnight, the day before.
        let openings = Openings::of(folder, &wanted, first.saturating_sub(86_400))?;
        let mut all: Vec<Waiting> =
            self.open.into_iter().filter_map(|(name, one)| one.waiting(name, &openings, policy)).collect();
        all.sort_by_key(|one| one.request.at);
        Ok(all)
    }
}

impl One {
    /// As it waits in a gateway; `None` if its arguments were redacted.
    fn waiting(self, name: Digest, openings: &Openings, policy: Digest) -> Option<Waiting> {
        let Decision { context, server, tool, prompt, arguments, flow, forbidden_by, at, .. } =
            *self.decision;
        let arguments: BTreeMap<_, _> = arguments
            .into_iter()
            .map(|(name, record)| Some((name, openings.get(&record.commitment)?.clone())))
            .collect::<Option<_>>()?;
        let violations = match flow {
            Verdict::Refuse { violations, .. } => violations,
            Verdict::Allow { .. } => Vec::new(),
        };
        // Without handles, what was passed is what would have been dispatched.
        let binding = binding(
            &context,
            (&server, &tool, prompt.as_deref()),
            (&arguments, &arguments),
            &self.label,
            policy,
        );
        let request = Request {
            digest: name,
            binding,
            context,
            server,
            tool,
            prompt,
            arguments,
            label: self.label,
            violations,
            forbidden_by,
            at,
        };
        Some(Waiting { request, approved: self.approved })
    }
}
