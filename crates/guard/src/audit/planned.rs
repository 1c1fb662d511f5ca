//! Plans in a replay: the same interpreter runs the same plan over the results on record, so that no label of a step is taken on trust.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::flow::{ContextKey, Decision, Engine, Outcome};
use crate::gateway::{Names, Rules, endorsed, is_reference};
use crate::label::{Label, Labelled};
use crate::plan::{Answer, Given, Interpreter, Next, Plan, Tool, Tools};

/// The tools as the plan's interpreter needs them. That a tool was there is what the dispatched step shows.
struct Known<'a> {
    rules: &'a dyn Rules,
    names: &'a Names,
}

impl Tools for Known<'_> {
    fn tool(&self, name: &str) -> Option<Tool<'_>> {
        let (server, inner) = self.names.inner(name)?;
        let reads_only = !self.rules.facts(&server, inner).critical;
        Some(Tool { input: None, output: None, reads_only })
    }
}

/// A plan under way.
pub(super) struct Planned {
    interpreter: Interpreter,
    names: Names,
    /// What it waits for, or how it ended.
    next: Awaits,
}

/// What comes next.
enum Awaits {
    /// This step.
    Step {
        step: String,
        server: Arc<str>,
        tool: String,
        arguments: BTreeMap<String, Labelled>,
        /// The program counter's label, and that of the number of calls.
        under: (Label, Option<Label>),
    },
    /// The result of the step that went out.
    Result { step: String },
    /// The end, and what is given out at it.
    Outputs(Box<Given>),
    /// Nothing that is given out.
    Nothing,
    /// Nobody can tell: something that it depends on is gone.
    Lost,
}

impl Planned {
    /// Begins a plan that was submitted under `control`. `None` if its text is no plan.
    pub(super) fn new(rules: &dyn Rules, submitted: &Value, control: Label) -> Option<Self> {
        let names = Names::new(rules.servers());
        let plan = Plan::parse(submitted, &Known { rules, names: &names }).ok()?;
        let mut planned = Self { interpreter: Interpreter::new(plan, control), names, next: Awaits::Lost };
        planned.advance(rules);
        Some(planned)
    }

    /// Whether it was followed to where it is.
    pub(super) fn is_followed(&self) -> bool {
        !matches!(self.next, Awaits::Lost)
    }

    /// Gives up: what happens from here on cannot be derived.
    pub(super) fn lose(&mut self) {
        self.next = Awaits::Lost;
    }

    fn advance(&mut self, rules: &dyn Rules) {
        self.next = loop {
            match self.interpreter.next() {
                Next::Call { step, tool, arguments, pc, counted } => {
                    // A text that looks like a handle may have been refused without a decision.
                    let odd = arguments.values().any(|argument| is_reference(&argument.value));
                    let Some((server, inner)) = self.names.inner(&tool).filter(|_| !odd) else {
                        break Awaits::Lost;
                    };
                    let tool = inner.to_owned();
                    break Awaits::Step { step, server, tool, arguments, under: (pc, counted) };
                }
                Next::Endorse { step, value, shape, pc } => {
                    let label = endorsed(rules, &value, &shape, &pc).unwrap_or(value.label);
                    if self.interpreter.endorsed(&step, &label).is_err() {
                        break Awaits::Nothing;
                    }
                }
                end @ (Next::Done { .. } | Next::Failed { .. }) => match self.interpreter.given(end) {
                    Some(given) => break Awaits::Outputs(Box::new(given)),
                    None => break Awaits::Nothing,
                },
            }
        };
    }

    /// Checks a step on record against the one that the plan makes. Afterwards its result is awaited.
    pub(super) fn step(&mut self, decision: &Decision, values: &BTreeMap<String, Value>) -> Vec<String> {
        let call = decision.call;
        let (step, differs) = match &self.next {
            Awaits::Lost => return Vec::new(),
            Awaits::Step { step, server, tool, arguments, under } => {
                let mut differs = Vec::new();
                if *server != decision.server || **tool != *decision.tool {
                    differs.push(format!("the plan calls {server}/{tool} where call {call} is"));
                }
                let (pc, counted) = under;
                if decision.plan.as_ref().is_none_or(|step| (&step.pc, &step.counted) != (pc, counted)) {
                    differs.push(format!(
                        "the plan gives call {call} the program counter {pc:?}, and counts under {counted:?}"
                    ));
                }
                if arguments.len() != decision.arguments.len() {
                    differs.push(format!("the plan gives call {call} {} arguments", arguments.len()));
                }
                for (name, argument) in arguments {
                    let record = decision.arguments.get(name);
                    if record.and_then(|record| record.label.as_ref()) != Some(&argument.label) {
                        differs.push(format!("the plan gives {name} of call {call} {:?}", argument.label));
                    }
                    if values.get(name).is_some_and(|value| *value != argument.value) {
                        differs.push(format!("the plan gives {name} of call {call} another value"));
                    }
                }
                (step.clone(), differs)
            }
            _ => return vec![format!("call {call} is no step that its plan makes here")],
        };
        self.next = if differs.is_empty() { Awaits::Result { step } } else { Awaits::Lost };
        differs
    }

    /// Goes on with what came of the step.
    pub(super) fn answer(&mut self, rules: &dyn Rules, answer: Option<Answer>) {
        let Awaits::Result { step } = std::mem::replace(&mut self.next, Awaits::Lost) else { return };
        let Some(answer) = answer else { return };
        if self.interpreter.answer(&step, answer).is_ok() {
            self.advance(rules);
        } else {
            self.next = Awaits::Nothing;
        }
    }

    /// The client went away during the step that went out: nothing comes of the plan any more.
    pub(super) fn cut_off(&mut self) {
        if self.is_followed() {
            self.next = Awaits::Nothing;
        }
    }

    /// Checks what the agent was given at the end: nothing, if the plan was cut off.
    pub(super) fn end(
        &self,
        (engine, enforces): (&Engine, bool),
        context: &ContextKey,
        outcome: &Outcome,
    ) -> Vec<String> {
        let withheld = |label: &Label| enforces && engine.quarantined(label).is_some();
        let expected: Vec<&Label> = match &self.next {
            Awaits::Lost => return Vec::new(),
            Awaits::Outputs(given) if !outcome.failed => {
                let all = given.outputs.values().chain([&given.report]).map(|given| &given.label);
                let shown = |label: &&Label| {
                    given.shows(label) && engine.context(context).covers(label) && !withheld(label)
                };
                all.filter(|label| !shown(label)).collect()
            }
            _ if !outcome.failed => return vec!["a plan ended that had not come to its end".to_owned()],
            _ => Vec::new(),
        };
        let mut differs = Vec::new();
        if !outcome.kept.iter().map(|kept| &kept.label).eq(expected.iter().copied()) {
            differs.push(format!("the plan keeps values of the labels {expected:?}"));
        }
        if let Awaits::Outputs(given) = &self.next
            && !outcome.failed
            && outcome.label != given.counted
        {
            differs.push(format!("how many calls the plan has made carries {:?}", given.counted));
        }
        differs
    }
}
