//! What the guard remembers between calls, and how events change it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decide::{Argument, Call, Verdict, decide};
use super::event::{
    ArgumentRecord, Asked, CallId, Decision, Event, HandleId, Outcome, PlanStep, Reply, Scope,
};
use super::facts::{MemoryAccess, Otherwise, ToolFacts, server_name};
use super::matching::Seen;
use super::memory::Memory;
use super::mutant::{Mutant, mutated};
use super::runs::Runs;
use super::usage::{Usage, Used};
use super::violation::Violation;
use crate::label::{GUARD, Integrity, Label, Readers};

/// Whose context: rule 2.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextKey {
    /// The authenticated principal.
    pub principal: Arc<str>,
    /// The run that the guard minted, if the client has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
}

/// The state that decisions depend on. Only [`Engine::apply`] changes it.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where every context begins.
    start: Label,
    contexts: HashMap<ContextKey, Label>,
    kept: HashMap<HandleId, Kept>,
    /// Their handles, oldest first.
    kept_order: VecDeque<HandleId>,
    /// Of all that were ever kept.
    all_kept: Label,
    /// Calls that were dispatched and have not come back.
    open: BTreeMap<CallId, Open>,
    /// Calls that had not come back when the guard last ended.
    unresolved: BTreeSet<CallId>,
    memory: Memory,
    seen: Seen,
    stopped: BTreeSet<Scope>,
    revoked: BTreeSet<String>,
    calls: u64,
    usage: Usage,
    runs: Runs,
}

/// Handles whose labels are known. Past it the oldest are nobody's any more: far more than values are kept.
const MAX_KEPT: usize = 16_384;

/// A value that an agent has a handle of.
#[derive(Debug, Clone)]
struct Kept {
    owner: ContextKey,
    label: Label,
    /// Whether the label itself depends on what the value is, as that of a stored object does (rule 7), or one that a server claims.
    conditional: bool,
}

/// A call under way.
#[derive(Debug, Clone)]
struct Open {
    context: ContextKey,
    server: Arc<str>,
    tool: Arc<str>,
    /// Control and arguments.
    label: Label,
    /// The plan that makes it.
    plan: Option<CallId>,
    /// How it touches stored objects.
    memory: Option<MemoryAccess>,
    /// What other calls have written meanwhile: nobody knows which of two writes was first.
    written: Written,
    /// Of what was stored when the call left, and was replaced before it came back: a read may show it.
    replaced: Option<Label>,
}

/// Objects that calls have written while another was under way.
#[derive(Debug, Clone, Default)]
struct Written {
    objects: Vec<Arc<str>>,
    /// It may be any.
    any: bool,
}

impl Written {
    fn add(&mut self, object: Option<&Arc<str>>) {
        match object {
            Some(object) if self.objects.len() < MAX_WRITTEN => self.objects.push(object.clone()),
            _ => self.any = true,
        }
    }

    fn has(&self, object: Option<&Arc<str>>) -> bool {
        self.any || object.is_none_or(|object| self.objects.contains(object))
    }
}

/// More than that count as any.
const MAX_WRITTEN: usize = 64;

impl Default for Engine {
    fn default() -> Self {
        Self {
            start: Label::user(Readers::Everyone),
            contexts: HashMap::new(),
            kept: HashMap::new(),
            kept_order: VecDeque::new(),
            all_kept: Label::constant(),
            open: BTreeMap::new(),
            unresolved: BTreeSet::new(),
            memory: Memory::default(),
            seen: Seen::default(),
            stopped: BTreeSet::new(),
            revoked: BTreeSet::new(),
            calls: 0,
            usage: Usage::default(),
            runs: Runs::default(),
        }
    }
}

impl Engine {
    /// The label of a context: rule 1.
    #[must_use]
    pub fn context(&self, key: &ContextKey) -> &Label {
        self.contexts.get(key).unwrap_or(&self.start)
    }

    /// The contexts that have seen something.
    pub fn contexts(&self) -> impl Iterator<Item = (&ContextKey, &Label)> {
        self.contexts.iter()
    }

    /// The number that the next call gets.
    #[must_use]
    pub const fn next_call(&self) -> CallId {
        CallId(self.calls)
    }

    /// Calls whose intent is on record and whose outcome is not: those under way, and those whose outcome nobody will ever know.
    pub fn unresolved(&self) -> impl Iterator<Item = CallId> {
        self.unresolved.iter().chain(self.open.keys()).copied()
    }

    /// How many calls are under way.
    #[must_use]
    pub fn under_way_now(&self) -> usize {
        self.open.len()
    }

    /// The server and tool of a call that is under way.
    #[must_use]
    pub fn place(&self, call: CallId) -> Option<(Arc<str>, Arc<str>)> {
        self.open.get(&call).map(|open| (open.server.clone(), open.tool.clone()))
    }

    /// Whose call that is under way is.
    #[must_use]
    pub fn context_of(&self, call: CallId) -> Option<&ContextKey> {
        self.open.get(&call).map(|open| &open.context)
    }

    /// The plan that makes a call that is under way.
    #[must_use]
    pub fn plan_of(&self, call: CallId) -> Option<CallId> {
        self.open.get(&call).and_then(|open| open.plan)
    }

    /// Of control and arguments of a call that is under way.
    #[must_use]
    pub fn under_way(&self, call: CallId) -> Option<&Label> {
        self.open.get(&call).map(|open| &open.label)
    }

    /// How many calls went out before one that is decided at `at`.
    #[must_use]
    pub fn used(&self, context: &ContextKey, server: &str, tool: &str, at: u64) -> Used {
        self.usage.before(context, server, tool, at)
    }

    /// The context that a run token of this digest opens.
    #[must_use]
    pub fn run_of(&self, token: &Digest) -> Option<&ContextKey> {
        self.runs.of(token)
    }

    /// Whether a run has been minted and has not ended.
    #[must_use]
    pub fn is_open(&self, run: &ContextKey) -> bool {
        self.runs.is_open(run)
    }

    /// Whether anybody's run that is open is called so.
    #[must_use]
    pub fn is_run(&self, name: &str) -> bool {
        self.runs.names().any(|run| run == name)
    }

    /// The run that was minted first of those that are open, and how many are.
    #[must_use]
    pub fn open_runs(&self) -> (Option<&ContextKey>, usize) {
        (self.runs.oldest(), self.runs.len())
    }

    /// What is stopped.
    pub fn stopped(&self) -> impl Iterator<Item = &Scope> {
        self.stopped.iter()
    }

    /// The label of a kept value, if it was given to this context.
    #[must_use]
    pub fn kept(&self, handle: &HandleId, context: &ContextKey) -> Option<&Label> {
        self.kept
            .get(handle)
            .filter(|kept| kept.owner == *context || mutated(Mutant::HandlesOfOthers))
            .map(|kept| &kept.label)
    }

    /// Whether the label of a kept value depends on what the value is, so that what is refused because of it tells something about that.
    #[must_use]
    pub fn is_conditional(&self, handle: &HandleId) -> bool {
        self.kept.get(handle).is_some_and(|kept| kept.conditional)
    }

    /// Who may read strings that were seen before (rule 9).
    #[must_use]
    pub fn matched(&self, value: &Value) -> Readers {
        self.seen.readers(&Seen::digests(value))
    }

    /// Who may have influenced those strings.
    #[must_use]
    pub fn matched_influencers(&self, value: &Value) -> Integrity {
        self.seen.influencers(&Seen::digests(value))
    }

    /// The digests under which the strings of a result are remembered (rule 9).
    #[must_use]
    pub fn strings(value: &Value) -> Vec<Digest> {
        Seen::of_result(value)
    }

    /// Of everything that was ever kept for anybody since the guard started. Which values are still kept depends on how large others are.
    #[must_use]
    pub const fn all_kept(&self) -> &Label {
        &self.all_kept
    }

    /// The first reason why nothing at all may go through for this context and tool.
    #[must_use]
    pub fn barred(&self, context: &ContextKey, server: &str, tool: &str) -> Option<Violation> {
        if mutated(Mutant::StopsIgnored) {
            return None;
        }
        if context.run.is_some() && !self.runs.is_open(context) {
            return Some(Violation::Ended);
        }
        // Nearly always.
        if self.stopped.is_empty() && self.revoked.is_empty() {
            return None;
        }
        let name: Arc<str> = format!("{server}/{tool}").into();
        let scopes = [
            Some(Scope::All),
            Some(Scope::Principal(context.principal.clone())),
            context.run.clone().map(Scope::Run),
            Some(Scope::Server(server.into())),
            Some(Scope::Tool(name.clone())),
        ];
        if let Some(scope) = scopes.into_iter().flatten().find(|scope| self.stopped.contains(scope)) {
            return Some(Violation::Stopped { what: scope.to_string() });
        }
        if self.revoked.contains(server) || self.revoked.contains(&*name) {
            return Some(Violation::Quarantined { source: name.to_string() });
        }
        self.quarantined(self.context(context))
    }

    /// Whether something with this label descends from a revoked source.
    #[must_use]
    pub fn quarantined(&self, label: &Label) -> Option<Violation> {
        self.revoked
            .iter()
            .filter(|_| !mutated(Mutant::RevocationIgnored))
            .find(|source| label.descends_from(source))
            .map(|source| Violation::Quarantined { source: source.clone() })
    }

    /// The label of knowing that something with this label is not shown since it descends from what was revoked: whoever has had a part in it may
    /// have brought that about, but nothing that it says has been seen, so the context that knows it descends from no revoked source.
    #[must_use]
    pub fn of_quarantine(&self, label: &Label) -> Label {
        let alone = |name: &Arc<str>| Label {
            provenance: std::iter::once(name.clone()).collect(),
            ..Label::constant()
        };
        let provenance = label.provenance.iter().filter(|name| self.quarantined(&alone(name)).is_none());
        Label { provenance: provenance.cloned().collect(), ..label.clone() }
    }

    /// The control label of a call: the context's or, for a step of a plan, its program counter. `None` if the step belongs to no plan
    /// that is under way, or claims less than its plan was submitted under.
    ///
    /// A plan's text was fixed when it was submitted, so what the context sees while it runs has no part in it. Where calls are `counted`, so that
    /// how many were made decides about this one, all that decided that has.
    #[must_use]
    pub fn control(&self, context: &ContextKey, plan: Option<&PlanStep>, counted: bool) -> Option<Label> {
        let control = match plan {
            None => self.context(context),
            Some(step) => {
                let parent = self.open.get(&step.parent)?;
                let covers = step.pc.covers(&parent.label) || mutated(Mutant::PlanForgetsItsSubmission);
                (parent.context == *context && covers).then_some(&step.pc)?
            }
        };
        let told = self.usage.told(context).into_iter().chain(plan.and_then(|step| step.counted.as_ref()));
        let told = told.filter(|_| counted && !mutated(Mutant::CountsTellNothing));
        Some(told.fold(control.clone(), |all, told| all.join(told)))
    }

    /// The label of an argument as dispatched; `None` if it has a handle that this context was never given.
    #[must_use]
    pub fn argument(&self, context: &ContextKey, control: &Label, record: &ArgumentRecord) -> Option<Label> {
        let mut label = control.clone();
        if let Some(own) = record.label.as_ref().filter(|_| !mutated(Mutant::PlanValuesWithoutLabel)) {
            label = label.join(own);
        }
        for handle in &record.handles {
            let kept = self.kept(handle, context)?;
            if !mutated(Mutant::HandlesWithoutLabel) {
                label = label.join(kept);
            }
        }
        label.readers = label.readers.join(&record.matched);
        Some(label)
    }

    /// What the flow rules say about a call. Pure; `values` may be missing in a replay, then nothing is endorsed.
    #[must_use]
    pub fn decide(
        &self,
        decision: &Decision,
        facts: &ToolFacts,
        values: Option<&BTreeMap<String, Value>>,
    ) -> Verdict {
        self.judge(decision, Asked { facts, values })
    }

    fn judge(&self, decision: &Decision, asked: Asked<'_>) -> Verdict {
        let refuse = |violation| Verdict::Refuse { violations: vec![violation], askable: false };
        let context = &decision.context;
        if let Some(violation) = self.barred(context, &decision.server, &decision.tool) {
            return refuse(violation);
        }
        let Some(control) = self.control(context, decision.plan.as_ref(), asked.facts.counted) else {
            return refuse(Violation::OutsidePlan);
        };
        let mut arguments = BTreeMap::new();
        for (name, record) in &decision.arguments {
            let Some(label) = self.argument(context, &control, record) else {
                return refuse(Violation::UnknownHandle { argument: name.clone() });
            };
            if let Some(violation) = self.quarantined(&label) {
                return refuse(violation);
            }
            let value = asked.values.and_then(|values| values.get(name));
            arguments.insert(name.clone(), Argument { value, label });
        }
        decide(&Call {
            server: &decision.server,
            tool: &decision.tool,
            facts: asked.facts,
            control: &control,
            arguments: &arguments,
        })
    }

    /// What the flow rules say about what a client answers to a question that the server asked during a call: it goes to the server, under the
    /// context's label of this moment.
    ///
    /// That the server itself has influenced the answer to its own question changes nothing. Who else reads what the call says is not known
    /// without the call's arguments, so if they name readers, the answer may have to be fit for everybody.
    #[must_use]
    pub fn reply(&self, call: CallId, facts: &ToolFacts, matched: &Readers) -> Verdict {
        let refuse = |violation| Verdict::Refuse { violations: vec![violation], askable: false };
        let Some(open) = self.open.get(&call) else { return refuse(Violation::OutsidePlan) };
        match self.barred(&open.context, &open.server, &open.tool) {
            Some(violation) => refuse(violation),
            None => self.telling((&open.context, &open.server, &open.tool), facts, matched),
        }
    }

    /// The same of anything that a server is told beside a call's arguments, such as that an agent has given the call up: whether a person has stopped
    /// the agent makes no difference to that.
    #[must_use]
    pub fn telling(
        &self,
        (context, server, tool): (&ContextKey, &str, &str),
        facts: &ToolFacts,
        matched: &Readers,
    ) -> Verdict {
        let control = self.context(context);
        let mut label = control.clone();
        label.readers = label.readers.join(matched);
        let facts = ToolFacts {
            influencers: facts.influencers.join(&Integrity::by(&server_name(server))),
            audience: if facts.audience_of.is_empty() { facts.audience.clone() } else { Readers::Everyone },
            audience_of: Vec::new(),
            arguments: BTreeMap::new(),
            otherwise: Otherwise::Deny,
            ..facts.clone()
        };
        let arguments = BTreeMap::from([("answer".to_owned(), Argument { value: None, label })]);
        decide(&Call { server, tool, facts: &facts, control, arguments: &arguments })
    }

    /// The label of a result: who made the call, what went into it, and what the policy (or the guard's memory) knows of it.
    ///
    /// `claimed` is what the server says of it (rule 8): it can only restrict.
    #[must_use]
    pub fn result(&self, outcome: &Outcome, facts: &ToolFacts, claimed: Option<&Label>) -> Label {
        let Some(open) = self.open.get(&outcome.call) else {
            return Label { integrity: Integrity::Anyone, ..facts.result.label("", "") };
        };
        let declared = facts.result.label(&open.server, &open.tool);
        let known = match &facts.memory {
            Some(memory) if memory.access == MemoryAccess::Read => {
                let stored =
                    self.memory.read(&open.server, outcome.object.as_deref(), outcome.content, &declared);
                let known = self.meanwhile(outcome.call, open).fold(stored, |all, label| all.join(label));
                // What a plan gives back looks different where the agent may not see it, and must not tell by that what lies in a store.
                let in_plan = open.plan.is_some() && !mutated(Mutant::PlansReadAsStored);
                if in_plan { known.join(&declared) } else { known }
            }
            _ => declared,
        };
        let label = if mutated(Mutant::ResultWithoutInputs) { known } else { open.label.join(&known) };
        match claimed {
            Some(claimed) if mutated(Mutant::ClaimsLoosen) => claimed.clone(),
            Some(claimed) => label.join(claimed),
            None => label,
        }
    }

    /// Of what else a read may show than what is stored now: what a write has put there that has not come back, and what one has replaced.
    fn meanwhile<'a>(&'a self, call: CallId, open: &'a Open) -> impl Iterator<Item = &'a Label> {
        let writes = self.open.iter().filter(move |(other, write)| {
            **other != call && write.memory == Some(MemoryAccess::Write) && write.server == open.server
        });
        let writes =
            writes.filter(|_| !mutated(Mutant::WritesUnderWayForgotten)).map(|(_, write)| &write.label);
        writes.chain(&open.replaced)
    }

    /// Changes what is known. `facts` is what the policy says of the tool of a decision or outcome.
    pub fn apply(&mut self, event: &Event, facts: Option<&ToolFacts>) {
        match event {
            Event::Started { readers, .. } => {
                self.start = Label::user(readers.clone());
                self.kept.clear();
                self.kept_order.clear();
                self.all_kept = Label::constant();
                self.abandon();
            }
            Event::Opened { context, token, .. } => {
                self.contexts.insert(context.clone(), self.start.clone());
                self.runs.open(*token, context);
            }
            Event::Closed { context, .. } => {
                self.runs.close(context);
                self.contexts.remove(context);
                self.forget_kept(context);
                self.usage.forget(context);
            }
            Event::Revealed { context, label, .. } => {
                if !mutated(Mutant::RevealedDoesNotJoin) {
                    self.join(context, label);
                }
            }
            Event::Decided(decision) => self.decided(decision, facts),
            Event::Replied(reply) => self.replied(reply),
            Event::Finished(outcome) => self.finished(outcome, facts),
            Event::Reset { context, .. } => {
                self.contexts.remove(context);
                self.forget_kept(context);
                self.usage.reset(context);
            }
            Event::Stopped { scope, .. } => {
                self.stopped.insert(scope.clone());
            }
            Event::Lifted { scope, .. } => {
                self.stopped.remove(scope);
            }
            Event::Revoked { source, .. } => {
                self.revoked.insert(source.clone());
            }
            Event::Answered { .. }
            | Event::Pinned { .. }
            | Event::Unpinned { .. }
            | Event::Endorsed { .. } => {}
        }
    }

    fn decided(&mut self, decision: &Decision, facts: Option<&ToolFacts>) {
        self.calls = self.calls.max(decision.call.0.saturating_add(1));
        if let Some(facts) = facts {
            self.told_by_deciding(decision, facts);
        }
        if !decision.dispatched {
            return;
        }
        let context = &decision.context;
        let counted = facts.is_some_and(|facts| facts.counted);
        let control = self.control(context, decision.plan.as_ref(), counted);
        self.usage.count(decision, control.as_ref());
        // A dispatched call has a control label: without one it would have been refused.
        let Some(control) = control else { return };
        let label = decision
            .arguments
            .values()
            .filter_map(|record| self.argument(context, &control, record))
            .fold(control.clone(), |all, label| all.join(&label));
        // A person who approved a plan has read what it does: from then on it is theirs.
        let approved_plan = decision.approval.is_some() && &*decision.server == GUARD;
        let label = if approved_plan {
            Label { provenance: label.provenance, ..Label::user(Readers::Everyone) }
        } else {
            label
        };
        let open = Open {
            context: context.clone(),
            server: decision.server.clone(),
            tool: decision.tool.clone(),
            label,
            plan: decision.plan.as_ref().map(|step| step.parent),
            memory: facts.and_then(|facts| facts.memory.as_ref()).map(|memory| memory.access),
            written: Written::default(),
            replaced: None,
        };
        self.open.insert(decision.call, open);
    }

    /// Where the decision depended on a value that the agent has not seen, the decision tells something about it.
    ///
    /// That a value was endorsed is declared influence; that one was not, or whom a value names as readers, is not. Nor is it
    /// that a stored object is no longer what it was, what a policy says about a value, or that somebody else has seen it before. How
    /// many calls a plan has made may have been up to such values, too.
    fn told_by_deciding(&mut self, decision: &Decision, facts: &ToolFacts) {
        let context = &decision.context;
        let Some(control) = self.control(context, decision.plan.as_ref(), facts.counted) else { return };
        if decision.plan.is_none() && !self.context(context).covers(&control) {
            self.join(context, &control);
        }
        for (name, record) in &decision.arguments {
            // A policy may look at the labels, and those at what the value is.
            let refused = !decision.flow.allows() || !decision.forbidden_by.is_empty();
            let endorsable = facts.arguments.get(name).is_some_and(|facts| facts.endorse.is_some());
            let conditional = || record.handles.iter().any(|handle| self.is_conditional(handle));
            let told = (refused && (endorsable || self.matters(context, &control, record) || conditional()))
                || facts.audience_of.contains(name)
                || decision.looked_at.contains(name);
            let label = told.then(|| self.argument(context, &control, record)).flatten();
            let label = label.map(|label| Label {
                integrity: if refused {
                    label.integrity.join(&record.matched_influencers)
                } else {
                    label.integrity
                },
                ..label
            });
            if let Some(label) = label.filter(|label| !control.covers(label)) {
                self.join(context, &label);
            }
        }
    }

    /// Whether that an argument was seen before takes readers away that its labels leave it.
    fn matters(&self, context: &ContextKey, control: &Label, record: &ArgumentRecord) -> bool {
        if record.matched == Readers::Everyone || mutated(Mutant::MatchesTellNothing) {
            return false;
        }
        let unmatched = ArgumentRecord { matched: Readers::Everyone, ..record.clone() };
        self.argument(context, control, &unmatched)
            .is_some_and(|label| !record.matched.include_all(&label.readers))
    }

    /// What comes back from the call is made of the answer, too.
    fn replied(&mut self, reply: &Reply) {
        if !reply.passed {
            return;
        }
        let Some(context) = self.open.get(&reply.call).map(|open| open.context.clone()) else { return };
        let mut label = self.context(&context).clone();
        label.readers = label.readers.join(&reply.matched);
        if let Some(open) = self.open.get_mut(&reply.call) {
            open.label = open.label.join(&label);
        }
    }

    fn finished(&mut self, outcome: &Outcome, facts: Option<&ToolFacts>) {
        // What its server claims of a value, which may depend on it, or whatever a plan has made it of.
        let claimed = !outcome.kept.is_empty()
            && facts.is_none_or(|facts| self.result(outcome, facts, None) != outcome.label);
        let Some(open) = self.open.remove(&outcome.call) else { return };
        if &*open.server == GUARD && !outcome.failed {
            self.usage.tell(&open.context, &outcome.label);
        }
        let memory = facts.and_then(|facts| facts.memory.as_ref());
        let conditional = memory.is_some_and(|memory| memory.access == MemoryAccess::Read)
            || &*open.server == GUARD
            || claimed;
        for kept in &outcome.kept {
            if !self.all_kept.covers(&kept.label)
                || !kept.label.provenance.is_within(&self.all_kept.provenance)
            {
                self.all_kept = self.all_kept.join(&kept.label);
            }
            let value = Kept { owner: open.context.clone(), label: kept.label.clone(), conditional };
            self.kept.insert(kept.handle, value);
            self.kept_order.push_back(kept.handle);
        }
        while self.kept_order.len() > MAX_KEPT {
            if let Some(oldest) = self.kept_order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
        if outcome.revealed && !mutated(Mutant::ResultDoesNotJoin) {
            self.join(&open.context, &outcome.label);
        }
        self.seen.remember(&outcome.seen, &outcome.label);
        let Some(memory) = facts.and_then(|facts| facts.memory.as_ref()) else { return };
        if memory.access == MemoryAccess::Write && !mutated(Mutant::WritesForgotten) {
            self.stored(outcome, open);
        }
    }

    /// Remembers a write that has come back.
    fn stored(&mut self, outcome: &Outcome, open: Open) {
        let mut label = open.label;
        if let Some(object) = &outcome.object {
            let origin = std::iter::once(format!("{}#{object}", open.server)).collect();
            label.provenance = label.provenance.union(&origin);
        }
        let object = outcome.object.as_ref();
        let contended = (open.written.any || !open.written.objects.is_empty()) && open.written.has(object);
        // A write that the server calls failed may have happened all the same; of two at a time, either may have come last.
        let unclear = outcome.failed || (contended && !mutated(Mutant::WritesUnderWayForgotten));
        let content = outcome.content.filter(|_| !unclear);
        let replaced = self.memory.write(&open.server, outcome.object.as_deref(), content, &label);
        for other in self.open.values_mut().filter(|other| other.server == open.server) {
            match (other.memory, &replaced) {
                (Some(MemoryAccess::Write), _) => other.written.add(object),
                (Some(MemoryAccess::Read), Some(replaced)) => {
                    other.replaced = Some(
                        other.replaced.take().map_or_else(|| replaced.clone(), |all| all.join(replaced)),
                    );
                }
                _ => {}
            }
        }
    }

    fn forget_kept(&mut self, context: &ContextKey) {
        self.kept.retain(|_, kept| kept.owner != *context);
        self.kept_order.retain(|handle| self.kept.contains_key(handle));
    }

    /// Calls of before a restart may have done what they were for, wherever they could have written.
    fn abandon(&mut self) {
        for (call, open) in std::mem::take(&mut self.open) {
            self.unresolved.insert(call);
            let _added = self.memory.write(&open.server, None, None, &open.label);
        }
    }

    /// What a run has seen its principal has seen, too: who leaves the run's token out gets no cleaner context by it.
    fn join(&mut self, context: &ContextKey, label: &Label) {
        let joined = self.context(context).join(label);
        self.contexts.insert(context.clone(), joined);
        if context.run.is_some() && !mutated(Mutant::RunsLeftOutAreClean) {
            let principal = ContextKey { principal: context.principal.clone(), run: None };
            let known = self.context(&principal);
            // Nearly always.
            if known.covers(label) && label.provenance.is_within(&known.provenance) {
                return;
            }
            let joined = known.join(label);
            self.contexts.insert(principal, joined);
        }
    }
}
