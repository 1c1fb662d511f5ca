//! The life of a call: resolve, decide, record the intent, dispatch, record the outcome, show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ostrom_core::Digest;
use serde_json::{Map, Value, json};

use super::Gateway;
use super::answer::{by_value, claim, of_error, reads, touched};
use super::approvals::{self, Request as Waiting, Terms};
use super::flight::{Flight, empty_outcome};
use super::handles::{Reference, cost, passed_on, references, replace};
use super::present::{Origin, Shown, as_pinned, from_error, present, text_result, whole_of};
use super::questions::{Under, guarded};
use super::rules::{JournalError, Question, Rules};
use super::state::{Commitments, Opening, State, now};
use crate::flow::{
    ArgumentRecord, CallId, ContextKey, Decision, Engine, Event, Mutant, Outcome, PlanStep, ToolFacts,
    Verdict, Violation, clauses, mutated,
};
use crate::label::{Label, Labelled, Readers};
use crate::relay::Relay;
use crate::wire::RpcError;

/// The most handles, each counted once, that the arguments of a call may have. The record of a call names them, and no record's length may depend on
/// what the agent has not seen: a plan's values may be made of texts in the shape of handles.
const MOST_HANDLES: usize = 256;

/// The longest pointer to a part of a result that is on record as it is.
const LONGEST_PLACE: usize = 256;

/// A call before it is decided.
#[derive(Debug)]
pub struct Proposed {
    /// Whose.
    pub context: ContextKey,
    /// The server.
    pub server: Arc<str>,
    /// The tool, or an operation.
    pub tool: Arc<str>,
    /// Which prompt, for `prompts/get`.
    pub prompt: Option<Arc<str>>,
    /// What the agent passed, with handles.
    pub arguments: BTreeMap<String, Value>,
    /// For a step of a plan: its place, and the labels of the arguments.
    pub step: Option<(PlanStep, BTreeMap<String, Label>)>,
}

/// How a call goes out.
#[derive(Debug)]
pub struct Route<'a> {
    /// `tools/call` and so on.
    pub method: &'static str,
    /// The client's capabilities.
    pub capabilities: &'a Map<String, Value>,
    /// What the parameters are, but for the arguments.
    pub params: Map<String, Value>,
    /// Where the arguments go: the member of the parameters, or its top level.
    pub under: Option<&'a str>,
    /// Towards the client.
    pub relay: Relay,
}

/// What came of a call.
#[derive(Debug)]
pub enum Done {
    /// The server answered.
    Answered {
        /// What the agent may see.
        shown: Map<String, Value>,
    },
    /// The server answered a step of a plan, of which the agent sees nothing.
    Held {
        /// All of the answer.
        whole: Labelled,
        /// Whether the server called it a failure.
        failed: bool,
    },
    /// It was not permitted.
    Refused {
        /// What the agent is told.
        shown: Map<String, Value>,
        /// Of what the refusal depended on.
        label: Label,
    },
    /// The server gave an error, which the agent may see.
    Failed {
        /// The error.
        error: RpcError,
        /// Of the error.
        label: Label,
    },
}

impl Done {
    /// As the answer to a request.
    ///
    /// # Errors
    /// The server's.
    pub fn into_result(self) -> Result<Map<String, Value>, RpcError> {
        match self {
            Self::Answered { shown } | Self::Refused { shown, .. } => Ok(shown),
            Self::Held { .. } => Ok(Map::new()),
            Self::Failed { error, .. } => Err(error),
        }
    }
}

/// Arguments as they are dispatched: those that were passed, where there is no handle among them.
type Values<'a> = Cow<'a, BTreeMap<String, Value>>;
/// Arguments as the record has them.
type Records = BTreeMap<String, ArgumentRecord>;
/// Arguments without handles, their records, and what opens those.
type Resolved = (BTreeMap<String, Value>, Records, Opening);

/// What a call came back with.
pub(super) enum Came {
    /// The server's result.
    Result(Map<String, Value>),
    /// The server's error.
    Error(RpcError),
    /// There was no answer: the server may do it yet.
    Unanswered(RpcError),
    /// It did not go out: a person had stopped it meanwhile. These are the guard's words, and depend on no value.
    Stopped(RpcError),
}

/// A decided call.
pub(super) struct Decided<'a> {
    pub(super) decision: Decision,
    pub(super) values: Values<'a>,
    pub(super) label: Label,
}

impl Gateway {
    /// Takes a call through its whole life.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub(super) async fn call(&self, proposed: Proposed, route: Route<'_>) -> Result<Done, JournalError> {
        let facts = self.shared.rules.facts(&proposed.server, &proposed.tool);
        let (decided, written) = match self.decide(&proposed, &facts)? {
            Ok(decided) => decided,
            Err(done) => return Ok(done),
        };
        // From here on: the client may go while the intent is written.
        let mut flight =
            Flight { gateway: self, call: decided.decision.call, facts: facts.clone(), landed: false };
        self.shared.settle(written).await?;
        let answer = match self.stopped_meanwhile(&proposed, &decided, written) {
            Some(stopped) => Came::Stopped(stopped),
            None => self.dispatch(&proposed, &decided, &facts, route).await,
        };
        let has_left = !matches!(answer, Came::Stopped(_));
        // From here on an error is no refusal.
        let unrecorded = |error: JournalError| if has_left { error.after_dispatch() } else { error };
        let landed = self.land(&proposed, &decided, &facts, answer);
        if landed.as_ref().is_err_and(JournalError::is_too_long) && proposed.step.is_none() {
            self.told_by_its_length(&proposed, &decided, &facts).map_err(unrecorded)?;
        }
        let (done, written) = landed.map_err(unrecorded)?;
        // Not before: what the call has done is remembered even if its outcome cannot be recorded as it is.
        flight.landed = true;
        self.shared.settle(written).await.map_err(unrecorded)?;
        Ok(done)
    }

    /// The error that a call comes to which a person has stopped while its intent was written.
    pub(super) fn stopped_meanwhile(
        &self,
        proposed: &Proposed,
        decided: &Decided<'_>,
        written: super::state::Written,
    ) -> Option<RpcError> {
        if !self.shared.stopped_since(written) {
            return None;
        }
        let state = self.shared.lock();
        let barred = state.engine.barred(&proposed.context, &proposed.server, &proposed.tool);
        // By its arguments, too: they may be references to what the context has not seen.
        let barred = barred.or_else(|| state.engine.quarantined(&decided.label))?;
        if !self.shared.rules.enforces() && !barred.holds_always() {
            return None;
        }
        Some(RpcError::new(
            RpcError::INTERNAL,
            format!("Ostrom's guard did not let this call through: {barred}."),
        ))
    }

    /// Decides about a plan, as a call of the guard's own. Gives its number and the label that its steps are under.
    ///
    /// # Errors
    /// If it cannot be recorded. The inner error is a plan that is not run.
    pub(super) fn submit(
        &self,
        proposed: &Proposed,
        facts: &Arc<ToolFacts>,
    ) -> Result<Result<(CallId, Label), Done>, JournalError> {
        let (decided, written) = match self.decide(proposed, facts)? {
            Ok(decided) => decided,
            Err(done) => return Ok(Err(done)),
        };
        // Each step's own intent is settled before it is dispatched, and the log keeps its order; so is what is shown of the plan.
        let _settled_with_the_first_step = written;
        let call = decided.decision.call;
        let under = self.shared.lock().engine.under_way(call).cloned().unwrap_or(decided.label);
        Ok(Ok((call, under)))
    }

    /// Resolves handles, decides, and records the decision. The inner error is a call that does not go out.
    pub(super) fn decide<'a>(
        &self,
        proposed: &'a Proposed,
        facts: &Arc<ToolFacts>,
    ) -> Result<Result<(Decided<'a>, super::state::Written), Done>, JournalError> {
        // What takes time and needs no state is done before others have to wait for it.
        let plain = plain(proposed)?;
        if let Some((_, opening)) = &plain {
            self.shared.open(opening)?;
        }
        let mut state = self.shared.lock_ahead();
        let state = &mut *state;
        let (values, mut arguments) = match plain {
            Some((arguments, _)) => (Cow::Borrowed(&proposed.arguments), arguments),
            None => match self.resolve(state, proposed)? {
                Ok((values, arguments, opening)) => {
                    self.shared.open(&opening)?;
                    (Cow::Owned(values), arguments)
                }
                Err(done) => {
                    // It tells what is kept.
                    self.shared.written(state)?;
                    return Ok(Err(done));
                }
            },
        };
        for (name, value) in values.iter() {
            if let Some(record) = arguments.get_mut(name) {
                record.matched = state.engine.matched(value);
                if record.matched != Readers::Everyone {
                    record.matched_influencers = state.engine.matched_influencers(value);
                }
            }
        }
        let at = now();
        let mut decision = Decision {
            call: state.engine.next_call(),
            context: proposed.context.clone(),
            server: proposed.server.clone(),
            tool: proposed.tool.clone(),
            prompt: proposed.prompt.clone(),
            plan: proposed.step.as_ref().map(|(step, _)| step.clone()),
            arguments,
            flow: Verdict::Allow { endorsed: Vec::new() },
            forbidden_by: Vec::new(),
            refusal: None,
            looked_at: Vec::new(),
            request: None,
            approval: None,
            dispatched: false,
            at,
        };
        decision.flow = state.engine.decide(&decision, facts, Some(&values));
        let control = state.engine.control(&decision.context, decision.plan.as_ref(), facts.counted);
        let control = control.unwrap_or_else(|| state.engine.context(&decision.context).clone());
        let label = decision
            .arguments
            .values()
            .filter_map(|record| state.engine.argument(&decision.context, &control, record))
            .fold(control.clone(), |all, label| all.join(&label));
        decision.forbidden_by = self.forbidden(state, &decision, &values, (&control, &label));
        decision.looked_at = looked_at(self.shared.rules.as_ref(), &decision);
        let request = self.judge(state, &mut decision, (&proposed.arguments, &values), &label)?;
        if !decision.dispatched {
            decision.refusal =
                Some(refusal_name(decision.call).map_err(|error| JournalError::new(error.to_string()))?);
        }
        let event = Event::Decided(Box::new(decision));
        let written = self.shared.stage(state, &event, Some(facts))?;
        let Event::Decided(decision) = event else {
            return Err(JournalError::new("an event changed".to_owned()));
        };
        if decision.dispatched {
            return Ok(Ok((Decided { decision: *decision, values, label }, written)));
        }
        // Nobody settles a refusal, and it tells something.
        self.shared.written(state)?;
        if let Some(request) = &request {
            state.approvals.wait(request.clone());
        }
        Ok(Err(Done::Refused { shown: refusal(&decision, &state.approvals.terms), label }))
    }

    /// What the policies say, after the flow rules.
    fn forbidden(
        &self,
        state: &State,
        decision: &Decision,
        values: &BTreeMap<String, Value>,
        (control, all): (&Label, &Label),
    ) -> Vec<String> {
        let used = state.engine.used(&decision.context, &decision.server, &decision.tool, decision.at);
        self.shared.rules.forbids(&Question {
            context: &decision.context,
            server: &decision.server,
            tool: &decision.tool,
            prompt: decision.prompt.as_deref(),
            arguments: values,
            control,
            all,
            used,
            plan: decision.plan.is_some(),
            at: decision.at,
        })
    }

    /// Decides whether the call goes out; gives what a person may approve, if it does not.
    fn judge(
        &self,
        state: &mut State,
        decision: &mut Decision,
        (passed, values): (&BTreeMap<String, Value>, &BTreeMap<String, Value>),
        label: &Label,
    ) -> Result<Option<Waiting>, JournalError> {
        if decision.flow.allows() && decision.forbidden_by.is_empty() {
            decision.dispatched = true;
            return Ok(None);
        }
        let (violations, askable) = match &decision.flow {
            Verdict::Allow { .. } => (Vec::new(), false),
            Verdict::Refuse { violations, askable } => (violations.clone(), *askable),
        };
        // A policy that forbids is not a person's to overrule in passing.
        let askable = askable && decision.forbidden_by.is_empty();
        if !self.shared.rules.enforces() {
            decision.dispatched = !violations.iter().any(Violation::holds_always);
            return Ok(None);
        }
        if !askable {
            return Ok(None);
        }
        let place = (&*decision.server, &*decision.tool, decision.prompt.as_deref());
        let version = self.shared.rules.version();
        let binding = approvals::binding(&decision.context, place, (passed, values), label, version);
        if let Some(request) = state.approvals.take(&binding, decision.at) {
            decision.approval = Some(request);
            decision.dispatched = true;
            return Ok(None);
        }
        let digest = match state.approvals.name(&binding, decision.at) {
            Some(name) => name,
            None => approvals::random_name().map_err(|error| JournalError::new(error.to_string()))?,
        };
        decision.request = Some(digest);
        Ok(Some(Waiting {
            digest,
            binding,
            context: decision.context.clone(),
            server: decision.server.clone(),
            tool: decision.tool.clone(),
            prompt: decision.prompt.clone(),
            arguments: values.clone(),
            label: label.clone(),
            violations,
            forbidden_by: decision.forbidden_by.clone(),
            at: decision.at,
        }))
    }

    /// Refuses arguments whose handles stand for more than a message may have, before anything of that size is built.
    fn too_large(&self, state: &mut State, proposed: &Proposed) -> Result<Option<Done>, JournalError> {
        let found = proposed.arguments.values().flat_map(references);
        let handles: BTreeSet<_> = found.map(|reference| reference.handle).collect();
        if handles.len() > MOST_HANDLES {
            // A plan's values may have what looks like handles: that there are so many is something about all of them.
            let control = state.engine.context(&proposed.context).clone();
            let label = proposed.step.as_ref().map_or(control, |(step, labels)| {
                labels.values().fold(step.pc.clone(), |all, label| all.join(label))
            });
            let text = format!("There are more than {MOST_HANDLES} handles in the arguments: pass fewer on.");
            return Ok(Some(Done::Refused { shown: unusable(&text), label }));
        }
        let mut left = self.bounds.expanded;
        let mut label: Option<Label> = None;
        let mut fits = true;
        for reference in proposed.arguments.values().flat_map(references) {
            let Some(kept) = state.engine.kept(&reference.handle, &proposed.context) else { continue };
            label = Some(label.map_or_else(|| kept.clone(), |label| label.join(kept)));
            let Some(value) = state.store.get(&reference.handle).filter(|_| fits) else { continue };
            match left.checked_sub(cost(&value, &reference.pointer)) {
                Some(rest) => left = rest,
                None => fits = false,
            }
        }
        let Some(label) = label.filter(|_| !fits) else { return Ok(None) };
        // How large they are is something about the values.
        let what = "that kept values are too large".to_owned();
        let context = proposed.context.clone();
        let event = Event::Revealed { context, what, label: label.clone(), handle: None, at: now() };
        let _written = self.shared.record(state, &event, None)?;
        let text = format!(
            "The handles in the arguments stand for more than {} bytes together: pass fewer on, or parts of them.",
            self.bounds.expanded
        );
        Ok(Some(Done::Refused { shown: unusable(&text), label }))
    }

    /// Replaces handles by what they stand for. A part that is not there tells something about the whole, which then joins.
    fn resolve(
        &self,
        state: &mut State,
        proposed: &Proposed,
    ) -> Result<Result<Resolved, Done>, JournalError> {
        let mut commitments = fresh()?;
        let mut values = BTreeMap::new();
        let mut records = BTreeMap::new();
        if let Some(done) = self.too_large(state, proposed)? {
            return Ok(Err(done));
        }
        for (name, value) in &proposed.arguments {
            let found = references(value);
            let store = &state.store;
            let resolved = replace(value, &mut |reference| {
                // What this context was never given stays as it is: the engine refuses it by the record.
                if state.engine.kept(&reference.handle, &proposed.context).is_none() {
                    return Some(Value::Null);
                }
                passed_on(store.get(&reference.handle)?.as_ref(), &reference.pointer)
            });
            let value = match resolved {
                Ok(value) => value,
                Err(missing) => {
                    let control = state.engine.context(&proposed.context).clone();
                    let label =
                        state.engine.kept(&missing.handle, &proposed.context).cloned().unwrap_or(control);
                    let forgotten = state.store.get(&missing.handle).is_none();
                    let mut label = label;
                    if forgotten {
                        label = label.join(state.engine.all_kept());
                        if proposed.step.is_none() {
                            self.forgotten(state, &proposed.context)?;
                        }
                    } else {
                        let what = format!("no {} in a kept value", missing.pointer);
                        let context = proposed.context.clone();
                        let handle = Some(missing.handle);
                        let event =
                            Event::Revealed { context, what, label: label.clone(), handle, at: now() };
                        let _written = self.shared.record(state, &event, None)?;
                    }
                    let text = if forgotten {
                        format!(
                            "The value of the handle in {name} is no longer kept: call the tool that gave it again."
                        )
                    } else {
                        format!("The value of the handle in {name} has no {}.", missing.pointer)
                    };
                    return Ok(Err(Done::Refused { shown: unusable(&text), label }));
                }
            };
            records.insert(name.clone(), argument(proposed, name, &value, found, &mut commitments));
            values.insert(name.clone(), value);
        }
        Ok(Ok((values, records, commitments.opening())))
    }

    /// Which values are no longer kept depends on how large those are that are: that one is not tells something about all of them.
    pub(super) fn forgotten(&self, state: &mut State, context: &ContextKey) -> Result<(), JournalError> {
        let label = state.engine.all_kept().clone();
        let before = state.engine.context(context);
        if before.covers(&label) && label.provenance.is_within(&before.provenance) {
            return Ok(());
        }
        let what = "that a value is no longer kept".to_owned();
        let event = Event::Revealed { context: context.clone(), what, label, handle: None, at: now() };
        let _written = self.shared.record(state, &event, None)?;
        Ok(())
    }

    async fn dispatch(
        &self,
        proposed: &Proposed,
        decided: &Decided<'_>,
        facts: &ToolFacts,
        route: Route<'_>,
    ) -> Came {
        let Some(upstream) = self.upstreams.get(&proposed.server) else {
            let text = format!("there is no server {}", proposed.server);
            return Came::Error(RpcError::new(RpcError::INTERNAL, text));
        };
        let mut params = route.params;
        let token = params.get("_meta").and_then(|meta| meta.get("progressToken")).cloned();
        let arguments: Map<String, Value> =
            decided.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        match route.under {
            Some(member) => {
                params.insert(member.to_owned(), Value::Object(arguments));
            }
            None => params.extend(arguments),
        }
        let (relay, listening) = Relay::new();
        let request = Arc::clone(upstream).request(
            route.capabilities.clone(),
            route.method,
            params,
            relay,
            self.deadline,
        );
        let (call, values) = (decided.decision.call, &decided.values);
        let under = Under { gateway: self, proposed, facts, call, values };
        let answer = guarded(under, route.relay, listening, request, token.as_ref()).await;
        match answer {
            Ok(Ok(result)) => Came::Result(result),
            Ok(Err(error)) => Came::Error(error),
            Err(unanswered) => {
                let error = RpcError::new(RpcError::INTERNAL, unanswered.message);
                if unanswered.may_have_run { Came::Unanswered(error) } else { Came::Error(error) }
            }
        }
    }

    /// Records the outcome and decides what the agent sees.
    fn land(
        &self,
        proposed: &Proposed,
        decided: &Decided<'_>,
        facts: &ToolFacts,
        came: Came,
    ) -> Result<(Done, super::state::Written), JournalError> {
        let mut commitments = fresh()?;
        let described = |error: &RpcError| serde_json::to_value(error).unwrap_or(Value::Null);
        let (commitment, failed) = match &came {
            Came::Result(result) => {
                (commitments.commit("result", result), result.get("isError") == Some(&Value::Bool(true)))
            }
            Came::Error(error) => (commitments.commit("error", &described(error)), true),
            Came::Unanswered(error) => (commitments.commit("unanswered", &described(error)), true),
            Came::Stopped(error) => (commitments.commit("stopped", &described(error)), true),
        };
        let mut outcome = Outcome { commitment, failed, ..empty_outcome(decided.decision.call) };
        self.shared.open(&commitments.opening())?;
        let result = match &came {
            Came::Result(result) => Some(result),
            Came::Error(_) | Came::Unanswered(_) | Came::Stopped(_) => None,
        };
        // Where there was no answer, nobody knows when it happens: it may be any object, at any time.
        if !matches!(came, Came::Unanswered(_)) {
            touched(&mut outcome, facts, &decided.values, result);
        }
        let claimed = result.and_then(|result| claim(result, facts, &proposed.server));
        let mut state = self.shared.lock_ahead();
        let state = &mut *state;
        let label = state.engine.result(&outcome, facts, claimed.as_ref());
        outcome.label = label.clone();
        if !matches!(came, Came::Stopped(_))
            && let Some(violation) = self.withheld(state, proposed, facts, &label)
        {
            return self.withhold(state, proposed, (outcome, facts), &violation);
        }
        let result = match came {
            Came::Stopped(error) => {
                let event = Event::Finished(Box::new(outcome));
                let written = self.shared.stage(state, &event, Some(facts))?;
                return Ok((Done::Failed { error, label }, written));
            }
            // Who gets results as they are gets errors as they are.
            Came::Error(error) | Came::Unanswered(error) if by_value(facts) || proposed.step.is_some() => {
                outcome.revealed = proposed.step.is_none();
                let error = match &proposed.step {
                    Some(_) => RpcError::new(RpcError::INTERNAL, "the call failed"),
                    None => error,
                };
                let event = Event::Finished(Box::new(outcome));
                let written = self.shared.stage(state, &event, Some(facts))?;
                // Whose fields it is made of nobody can tell.
                let label = label.join(&of_error(facts, (&proposed.server, &proposed.tool)));
                return Ok((Done::Failed { error, label }, written));
            }
            Came::Error(error) | Came::Unanswered(error) => from_error(&error),
            Came::Result(result) => {
                if label.readers != Readers::Everyone {
                    outcome.seen = Engine::strings(&super::present::value(&result));
                }
                unsigned(result)
            }
        };
        let result = match outcome.content.filter(|_| reads(facts) && proposed.step.is_none()) {
            // What the server may choose besides the text is not the text's.
            Some(_) => as_pinned(&result, self.catalogue.tool(&proposed.server, &proposed.tool).as_deref()),
            None => result,
        };
        let done = if proposed.step.is_some() {
            // The plan's interpreter holds it; the agent does not see it.
            let whole = whole_of(&result, facts, (&proposed.server, &proposed.tool), &label);
            Done::Held { whole, failed }
        } else {
            let origin = Origin {
                server: &proposed.server,
                tool: &proposed.tool,
                facts: &facts.result,
                label: &label,
                call: &decided.label,
            };
            let Shown { result, revealed, kept, endorsed } = present(origin, result, &mut state.store)
                .map_err(|error| JournalError::new(error.to_string()))?;
            outcome.revealed = revealed;
            outcome.kept = kept;
            for endorsed in endorsed {
                // Names in it may be the server's.
                let place = match endorsed.argument.len() {
                    0..=LONGEST_PLACE => endorsed.argument,
                    _ => format!("#{}", Digest::of(endorsed.argument.as_bytes())),
                };
                let what = format!("{}/{}{place}", proposed.server, proposed.tool);
                let context = proposed.context.clone();
                let event = Event::Endorsed { context, what, bits: endorsed.bits, at: now() };
                // Settled with the outcome.
                let _written = self.shared.stage(state, &event, None)?;
            }
            let mut shown = result;
            self.names.put_outer_uris(&proposed.server, &mut shown);
            Done::Answered { shown }
        };
        let event = Event::Finished(Box::new(outcome));
        let written = self.shared.stage(state, &event, Some(facts))?;
        Ok((done, written))
    }

    /// Why the agent gets nothing of what came back, if it descends from what was revoked: a stored object, or what was revoked while the call was
    /// under way. A step of a plan holds it, with its label, and no call and no agent gets it from there.
    fn withheld(
        &self,
        state: &State,
        proposed: &Proposed,
        facts: &ToolFacts,
        label: &Label,
    ) -> Option<Violation> {
        if proposed.step.is_some() || !self.shared.rules.enforces() {
            return None;
        }
        // With what the policy says of the tool, so that it does not depend on whether an object is still what it was.
        state.engine.quarantined(&label.join(&facts.result.label(&proposed.server, &proposed.tool)))
    }

    /// Records a result that is not shown. That it is not is known to the context from then on, and depends on who has stored it.
    fn withhold(
        &self,
        state: &mut State,
        proposed: &Proposed,
        (outcome, facts): (Outcome, &ToolFacts),
        violation: &Violation,
    ) -> Result<(Done, super::state::Written), JournalError> {
        let label = state.engine.of_quarantine(&outcome.label);
        let what = "that a result is not shown".to_owned();
        let context = proposed.context.clone();
        let event = Event::Revealed { context, what, label: label.clone(), handle: None, at: now() };
        // Settled with the outcome.
        let _written = self.shared.stage(state, &event, None)?;
        let event = Event::Finished(Box::new(outcome));
        let written = self.shared.stage(state, &event, Some(facts))?;
        let text =
            format!("The call has gone out, but Ostrom's guard does not show what came back: {violation}.");
        let mut shown = text_result(&text, true);
        let detail = json!({"code": "quarantined", "reasons": [violation.to_string()]});
        shown.insert("_meta".to_owned(), json!({ super::REFUSED: detail }));
        Ok((Done::Refused { shown, label }, written))
    }
}

/// The arguments with handles in them that a policy looks at. In a step of a plan, what comes of it carries the labels of all arguments anyway.
pub(crate) fn looked_at(rules: &dyn Rules, decision: &Decision) -> Vec<String> {
    if decision.plan.is_some() {
        return Vec::new();
    }
    let with_handles = decision.arguments.iter().filter(|(_, record)| !record.handles.is_empty());
    let looks = |name: &&String| rules.looks_at(&decision.server, &decision.tool, name);
    with_handles.map(|(name, _)| name).filter(looks).cloned().collect()
}

/// A server's result without what only the guard may say.
fn unsigned(mut result: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(meta)) = result.get_mut("_meta") {
        meta.retain(|name, _| !name.starts_with(super::OWN));
    }
    result
}

fn fresh() -> Result<Commitments, JournalError> {
    Commitments::new().map_err(|error| JournalError::new(error.to_string()))
}

/// The records of arguments among which there is no handle, and what opens them; `None` if there is one.
fn plain(proposed: &Proposed) -> Result<Option<(Records, Opening)>, JournalError> {
    if !proposed.arguments.values().all(|value| references(value).is_empty()) {
        return Ok(None);
    }
    let mut commitments = fresh()?;
    let record = |(name, value): (&String, &Value)| {
        (name.clone(), argument(proposed, name, value, Vec::new(), &mut commitments))
    };
    let records = proposed.arguments.iter().map(record).collect();
    Ok(Some((records, commitments.opening())))
}

/// The record of an argument as it is dispatched.
fn argument(
    proposed: &Proposed,
    name: &str,
    value: &Value,
    found: Vec<Reference>,
    commitments: &mut Commitments,
) -> ArgumentRecord {
    ArgumentRecord {
        commitment: commitments.commit(name, value),
        handles: found
            .into_iter()
            .map(|reference| reference.handle)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        label: proposed.step.as_ref().and_then(|(_, labels)| labels.get(name).cloned()),
        matched: Readers::Everyone,
        matched_influencers: Label::constant().integrity,
    }
}

/// What the agent is told about handles that stand for nothing that can be passed on.
fn unusable(text: &str) -> Map<String, Value> {
    let mut result = text_result(text, true);
    result.insert(
        "_meta".to_owned(),
        json!({ super::REFUSED: {"code": "unusable-handle", "reasons": [text]} }),
    );
    result
}

/// What the agent may call a refusal.
fn refusal_name(call: CallId) -> Result<Arc<str>, getrandom::Error> {
    if mutated(Mutant::RefusalsNumbered) {
        return Ok(call.to_string().into());
    }
    Ok(format!("r-{:012x}", getrandom::u64()? >> 16).into())
}

/// What the agent is told about a call that does not go out. The text is made of the policy and of names, never of values.
pub(crate) fn refusal(decision: &Decision, terms: &Terms) -> Map<String, Value> {
    let mut reasons: Vec<String> = match &decision.flow {
        Verdict::Refuse { violations, .. } => clauses(violations),
        Verdict::Allow { .. } => Vec::new(),
    };
    reasons.extend(decision.forbidden_by.iter().map(|policy| format!("the policy {policy} forbids it")));
    let (code, next) = match &decision.request {
        Some(request) => ("approval-needed", format!(" {}", terms.sentence(request))),
        None => ("refused", String::new()),
    };
    let name = decision.refusal.as_deref();
    let text = format!(
        "Ostrom's guard did not let this call through: {}.{next} `ostrom guard explain {}` tells more.",
        reasons.join("; "),
        name.unwrap_or_default()
    );
    let mut result = text_result(&text, true);
    let detail = json!({
        "code": code,
        "refusal": name,
        "reasons": reasons,
        "request": decision.request,
    });
    result.insert("_meta".to_owned(), json!({ super::REFUSED: detail }));
    result
}
