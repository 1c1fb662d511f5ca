//! The interpreter: a machine that says which call comes next, and wants its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::label::{Label, Labelled};

use super::again::Told;
use super::eval::{Evaluator, Exhausted, Result, Rules, Work};
use super::expr::{Expr, Name};
use super::step::{Action, Block, Loop, OnError, Step};
use super::tree::{Node, Tree};
use super::{MAX_REPORTED, MAX_WORK, Plan, Rule, Shape, USED_UP};

/// Characters of a tool's error that are kept.
const MAX_ERROR: usize = 1_000;

/// What the interpreter wants, or how it ended.
#[derive(Debug, Clone)]
pub enum Next {
    /// A call of a tool. Give its [`Interpreter::answer`].
    Call {
        /// Which step, and in which rounds of its loops: `plan[1].do[0]@2`. No two calls of a run have the same.
        step: String,
        /// The tool's name.
        tool: String,
        /// The arguments, each with all that is known of it.
        arguments: BTreeMap<String, Labelled>,
        /// All that decided whether this call is made, beside the arguments themselves: a call of which an argument has failed is not
        /// made.
        pc: Label,
        /// All that decided how many calls were made before, but for arguments that failed, if that is more.
        counted: Option<Label>,
    },
    /// A value that the plan asks to be endorsed. Give the label that it shall have ([`Interpreter::endorsed`]): its own, unless
    /// policy says better.
    Endorse {
        /// Which step.
        step: String,
        /// The value, which is one of `shape`.
        value: Labelled,
        /// The set that it is one of.
        shape: Shape,
        /// All that decided whether this step is reached.
        pc: Label,
    },
    /// The plan came to its end.
    Done {
        /// What it returns; an error where the value could not be made.
        outputs: BTreeMap<String, std::result::Result<Labelled, Labelled>>,
        /// What was done, what was not, and why.
        report: Labelled,
        /// All that decided what happened last.
        pc: Label,
    },
    /// The plan ended before its end.
    Failed {
        /// The step that ended it.
        step: String,
        /// Why, under the label of all that decided it.
        why: Labelled,
        /// What was done, what was not, and why.
        report: Labelled,
    },
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The result, or an error. The label of the root stands for the shape of the result, and for its being a result and not an error;
    /// below the root may be more.
    pub outcome: std::result::Result<Tree, Tree>,
    /// Who may have decided, and who may know, whether the call succeeded, if that is less than what the root of the outcome says.
    /// The arguments and the program counter are joined to it in any case.
    pub status: Option<Label>,
}

impl From<std::result::Result<Labelled, Labelled>> for Answer {
    fn from(outcome: std::result::Result<Labelled, Labelled>) -> Self {
        Self { outcome: outcome.map(Tree::from).map_err(Tree::from), status: None }
    }
}

/// An answer that nothing asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan waits for no such answer of the step {0}: answer what `next` gave last")]
pub struct AnswerError(String);

/// Runs a plan.
#[derive(Debug, Clone)]
pub struct Interpreter {
    pub(super) plan: Arc<Plan>,
    pub(super) control: Label,
    pc: Label,
    variables: BTreeMap<Name, Tree>,
    frames: Vec<Frame>,
    waiting: Option<Waiting>,
    ended: Option<Next>,
    work: Work,
    report: Report,
    /// All that decided how many calls were made, but for arguments that failed.
    pub(super) counted: Label,
    /// That of the run which used up its work, if this one began again.
    first: Option<Box<Report>>,
    /// The join of all answers: what may have used up the work.
    pub(super) seen: Label,
    /// What the steps that the writer's label covers were told, in case the run begins again.
    pub(super) told: BTreeMap<String, Told>,
    /// If it has: the label of why.
    pub(super) again: Option<Label>,
    /// The work that it began with.
    pub(super) budget: u64,
    pub(super) rules: Rules,
}

#[derive(Debug, Clone)]
enum Frame {
    Block { steps: Arc<[Step]>, next: usize, leave: Option<Leave> },
    Loop(Rounds),
}

impl Frame {
    /// Whether what is left of it calls a tool.
    fn may_call(&self) -> bool {
        match self {
            Self::Block { steps, next, .. } => steps.iter().skip(*next).any(Step::may_call),
            Self::Loop(rounds) => rounds.steps.get(rounds.at).is_some_and(Step::may_call),
        }
    }
}

#[derive(Debug, Clone)]
struct Rounds {
    steps: Arc<[Step]>,
    at: usize,
    list: Tree,
    items: Arc<Vec<Tree>>,
    /// How many were begun.
    begun: usize,
    collected: Vec<Tree>,
    leave: Leave,
}

/// What happens at the end of a branch or loop.
#[derive(Debug, Clone)]
struct Leave {
    /// The counter's label outside and inside.
    outside: Label,
    inside: Label,
    /// What might have been assigned inside, on any way.
    assigns: BTreeSet<Name>,
    /// Whether the plan might have ended inside, on any way.
    may_stop: bool,
}

#[derive(Debug, Clone)]
struct Waiting {
    steps: Arc<[Step]>,
    at: usize,
    step: String,
    /// Of the program counter and all arguments.
    label: Label,
    next: Next,
}

#[derive(Debug, Clone)]
struct Report {
    done: u64,
    undone: Vec<Value>,
    undone_in_all: u64,
    label: Label,
}

impl Interpreter {
    /// Goes on as `fresh`, which remembers what this run has reported.
    pub(super) fn replace_by(&mut self, fresh: Self) {
        let first = Some(Box::new(self.report.taken()));
        *self = Self { first, ..fresh };
    }

    /// Begins a run. `control` is the label of whoever wrote the plan: the context's label when it was submitted.
    #[must_use]
    pub fn new(plan: impl Into<Arc<Plan>>, control: Label) -> Self {
        let plan = plan.into();
        let first = Frame::Block { steps: Arc::clone(&plan.body.steps), next: 0, leave: None };
        Self {
            plan,
            pc: control.clone(),
            variables: BTreeMap::new(),
            frames: vec![first],
            waiting: None,
            ended: None,
            work: Work::new(MAX_WORK),
            report: Report { done: 0, undone: Vec::new(), undone_in_all: 0, label: control.clone() },
            counted: control.clone(),
            first: None,
            seen: control.clone(),
            control,
            told: BTreeMap::new(),
            again: None,
            budget: MAX_WORK,
            rules: Rules::default(),
        }
    }

    /// With less work than a run may do.
    #[must_use]
    pub(super) fn with_work(self, budget: u64) -> Self {
        Self { work: Work::new(budget), budget, ..self }
    }

    /// Goes on to the next call, or to the end. Says the same until it is answered.
    #[allow(clippy::should_implement_trait, reason = "it is no iterator: every call wants an answer")]
    pub fn next(&mut self) -> Next {
        if let Some(waiting) = &self.waiting {
            return waiting.next.clone();
        }
        loop {
            if let Some(ended) = &self.ended {
                return ended.clone();
            }
            match self.advance() {
                Ok(None) => {}
                Ok(Some(next)) if self.recall(&next) => {}
                Ok(Some(next)) => return next,
                Err(Exhausted) => self.exhausted(),
            }
        }
    }

    /// What came of the call that [`Interpreter::next`] gave last.
    ///
    /// # Errors
    /// If `step` is not the one that is waited for.
    pub fn answer(&mut self, step: &str, answer: impl Into<Answer>) -> std::result::Result<(), AnswerError> {
        let is_asked =
            |waiting: &mut Waiting| waiting.step == step && matches!(waiting.next, Next::Call { .. });
        let Some(waiting) = self.waiting.take_if(is_asked) else { return Err(AnswerError(step.to_owned())) };
        let told = self.heard(step, &waiting.label, Told::Answer(answer.into()));
        let Told::Answer(Answer { outcome, status }) = told else { return Ok(()) };
        if self.received(&waiting, outcome, status).is_err() {
            self.exhausted();
        }
        Ok(())
    }

    /// The label of the value that [`Interpreter::next`] gave last to be endorsed.
    ///
    /// # Errors
    /// If `step` is not the one that is waited for.
    pub fn endorsed(&mut self, step: &str, label: &Label) -> std::result::Result<(), AnswerError> {
        let is_asked =
            |waiting: &mut Waiting| waiting.step == step && matches!(waiting.next, Next::Endorse { .. });
        let Some(waiting) = self.waiting.take_if(is_asked) else { return Err(AnswerError(step.to_owned())) };
        if let (Some(Action::Endorse { name, .. }), Next::Endorse { value, .. }) =
            (waiting.steps.get(waiting.at).map(|step| &step.action), &waiting.next)
        {
            let (value, pc) = (Tree::new(&value.value, label.join(&self.pc)), self.pc.clone());
            if let Told::Endorsed(value) = self.heard(step, &pc, Told::Endorsed(value))
                && self.assign(name, value).is_err()
            {
                self.exhausted();
            }
        }
        Ok(())
    }

    fn received(
        &mut self,
        waiting: &Waiting,
        outcome: std::result::Result<Tree, Tree>,
        status: Option<Label>,
    ) -> Result<()> {
        let (Ok(tree) | Err(tree)) = &outcome;
        let whole = tree.whole_label();
        // Before the work is done: how large the parts are may be what uses it up.
        self.seen = self.seen.join(&whole);
        self.work.visit(tree)?;
        let status =
            status.unwrap_or_else(|| if outcome.is_ok() { tree.label.clone() } else { whole.clone() });
        let base = if self.rules.keep(Rule::ArgumentsIntoResult) { &waiting.label } else { &self.pc };
        let status = status.join(base);
        let outcome = match outcome {
            Ok(tree) => Ok(tree.under(&status)),
            Err(tree) => Err(Tree::failed(complaint(&tree), whole.join(&status))),
        };
        self.settle(&waiting.steps, waiting.at, &waiting.step, outcome, &status, "failed")
    }

    /// One move.
    fn advance(&mut self) -> Result<Option<Next>> {
        if self.is_gone(&self.pc) {
            self.stop("plan", USED_UP);
            return Ok(None);
        }
        match self.frames.last_mut() {
            None => {
                self.ended = Some(self.finish()?);
                Ok(None)
            }
            Some(Frame::Block { steps, next, leave }) => {
                if *next < steps.len() {
                    let (steps, at) = (Arc::clone(steps), *next);
                    *next += 1;
                    return self.step(&steps, at);
                }
                let leave = leave.take();
                self.frames.pop();
                if let Some(leave) = leave {
                    self.leave(leave);
                }
                Ok(None)
            }
            Some(Frame::Loop(_)) => {
                let Some(Frame::Loop(rounds)) = self.frames.pop() else { return Ok(None) };
                self.turn(rounds)?;
                Ok(None)
            }
        }
    }

    fn step(&mut self, steps: &Arc<[Step]>, at: usize) -> Result<Option<Next>> {
        self.work.spend(1)?;
        let Some(step) = steps.get(at) else { return Ok(None) };
        match &step.action {
            Action::Call { tool, with, .. } => return self.call(steps, at, step, tool, with),
            Action::Let { name, be } => {
                let value = self.evaluate(be)?;
                self.assign(name, value)?;
            }
            Action::Endorse { name, be, shape } => {
                let value = self.evaluate(be)?;
                let place = self.place(&step.at);
                // Only now: it costs the same whether it is known or not.
                if let Some(value) = self.endorsed_before(&place) {
                    self.assign(name, value)?;
                    return Ok(None);
                }
                let admitted = value.flat().map(|flat| (shape.admits(&flat.value), flat.label));
                let (value, label) = match admitted {
                    Ok((Some(value), label)) => (value, label),
                    Ok((None, label)) => {
                        self.assign(name, Tree::failed(format!("the value is not {shape}"), label))?;
                        return Ok(None);
                    }
                    Err(failed) => {
                        self.assign(name, Tree::failed(complaint(&failed.clone().into()), failed.label))?;
                        return Ok(None);
                    }
                };
                let value = Labelled { value, label: label.clone() };
                let next =
                    Next::Endorse { step: place.clone(), value, shape: shape.clone(), pc: self.pc.clone() };
                return Ok(Some(self.wait(steps, at, place, label, next)));
            }
            Action::Require { condition, otherwise } => {
                let condition = self.evaluate(condition)?;
                let label = self.pc.join(&condition.whole_label());
                self.report.label = self.report.label.join(&label);
                if self.rules.keep(Rule::StopIntoCounter) {
                    self.pc = label;
                }
                let why = match condition.node {
                    Node::Bool(true) => return Ok(None),
                    Node::Failed(why) => why,
                    _ => Arc::clone(otherwise),
                };
                self.stop(&step.at, &why);
            }
            Action::If { condition, then, otherwise } => self.choose(condition, then, otherwise)?,
            Action::For(each) => self.enter(steps, at, each)?,
        }
        Ok(None)
    }

    fn call(
        &mut self,
        steps: &Arc<[Step]>,
        at: usize,
        step: &Step,
        tool: &Name,
        with: &[(String, Expr)],
    ) -> Result<Option<Next>> {
        let place = self.place(&step.at);
        self.counted = self.counted.join(&self.pc);
        let mut label = self.pc.clone();
        let mut arguments = BTreeMap::new();
        let mut failure = None;
        for (name, value) in with {
            let value = self.evaluate(value)?;
            match value.flat() {
                Ok(argument) => {
                    label = label.join(&argument.label);
                    arguments.insert(name.clone(), argument);
                }
                Err(problem) => {
                    label = label.join(&problem.label);
                    failure = failure.or_else(|| Some(format!("{name}: {}", complaint(&problem.into()))));
                }
            }
        }
        if let Some(why) = failure {
            let outcome = Err(Tree::failed(why, label.clone()));
            self.settle(steps, at, &place, outcome, &label, "not called")?;
            return Ok(None);
        }
        let counted = Some(&self.counted).filter(|counted| !self.pc.covers(counted)).cloned();
        let (step, tool, pc) = (place.clone(), (**tool).to_owned(), self.pc.clone());
        let next = Next::Call { step, tool, arguments, pc, counted };
        Ok(Some(self.wait(steps, at, place, label, next)))
    }

    fn wait(&mut self, steps: &Arc<[Step]>, at: usize, step: String, label: Label, next: Next) -> Next {
        self.waiting = Some(Waiting { steps: Arc::clone(steps), at, step, label, next: next.clone() });
        next
    }

    /// After a call: what is assigned, and what the failure does, if it is one.
    fn settle(
        &mut self,
        steps: &Arc<[Step]>,
        at: usize,
        place: &str,
        outcome: std::result::Result<Tree, Tree>,
        status: &Label,
        verdict: &str,
    ) -> Result<()> {
        let Some(Action::Call { tool, id, on_error, .. }) = steps.get(at).map(|step| &step.action) else {
            return Ok(());
        };
        self.report.label = self.report.label.join(status);
        let why = match &outcome {
            Ok(_) => None,
            Err(tree) => Some(complaint(tree)),
        };
        match &why {
            None => self.report.done += 1,
            Some(why) => {
                self.report.undone(json!({"step": place, "tool": **tool, "is": verdict, "why": why}))
            }
        }
        if let Some(id) = id {
            let (Ok(value) | Err(value)) = outcome;
            self.assign(id, value)?;
        }
        match on_error {
            OnError::Continue => {}
            OnError::Stop => {
                if self.rules.keep(Rule::StopIntoCounter) {
                    self.pc = self.pc.join(status);
                }
                if let Some(why) = why {
                    self.stop(place, &why);
                }
            }
            OnError::Do(block) => {
                let inside = if self.rules.keep(Rule::HandlerIntoCounter) {
                    self.pc.join(status)
                } else {
                    self.pc.clone()
                };
                let leave = self.leaving(inside, block.assigns.clone(), (block.may_stop, block.may_call));
                if self.is_gone(&leave.inside) {
                    self.unknown(leave, USED_UP);
                    return Ok(());
                }
                let taken = if why.is_some() { Arc::clone(&block.steps) } else { Arc::default() };
                self.frames.push(Frame::Block { steps: taken, next: 0, leave: Some(leave) });
            }
        }
        Ok(())
    }

    /// Begins a branch or loop under the label `inside`.
    fn leaving(
        &mut self,
        inside: Label,
        assigns: BTreeSet<Name>,
        (may_stop, may_call): (bool, bool),
    ) -> Leave {
        self.report.label = self.report.label.join(&inside);
        if may_call {
            self.counted = self.counted.join(&inside);
        }
        let outside = std::mem::replace(&mut self.pc, inside.clone());
        Leave { outside, inside, assigns, may_stop }
    }

    fn leave(&mut self, leave: Leave) {
        if self.rules.keep(Rule::AssignedElsewhere) {
            for name in &leave.assigns {
                if let Some(value) = self.variables.get_mut(name) {
                    value.label = value.label.join(&leave.inside);
                }
            }
        }
        if !(leave.may_stop && self.rules.keep(Rule::StopInBranch)) {
            self.pc = leave.outside;
        }
    }

    /// Nothing is known of what might have been assigned.
    fn unknown(&mut self, leave: Leave, why: &str) {
        for name in &leave.assigns {
            self.variables.insert(Arc::clone(name), Tree::failed(why, leave.inside.clone()));
        }
        self.report.undone(json!({"is": "neither branch", "why": why}));
        self.leave(leave);
    }

    fn choose(&mut self, condition: &Expr, then: &Block, otherwise: &Block) -> Result<()> {
        let condition = self.evaluate(condition)?;
        let inside = if self.rules.keep(Rule::ConditionIntoCounter) {
            self.pc.join(&condition.whole_label())
        } else {
            self.pc.clone()
        };
        let assigns = then.assigns.union(&otherwise.assigns).cloned().collect();
        let may_call = then.may_call || otherwise.may_call;
        let leave = self.leaving(inside, assigns, (then.may_stop || otherwise.may_stop, may_call));
        let taken = match &condition.node {
            Node::Bool(true) => then,
            Node::Bool(false) => otherwise,
            Node::Failed(why) => {
                self.unknown(leave, why);
                return Ok(());
            }
            node => {
                self.unknown(leave, &format!("a condition is true or false, and this is {}", node.kind()));
                return Ok(());
            }
        };
        self.frames.push(Frame::Block { steps: Arc::clone(&taken.steps), next: 0, leave: Some(leave) });
        Ok(())
    }

    fn enter(&mut self, steps: &Arc<[Step]>, at: usize, each: &Loop) -> Result<()> {
        let list = self.evaluate(&each.list)?;
        let inside =
            if self.rules.keep(Rule::ListIntoCounter) { self.pc.join(&list.label) } else { self.pc.clone() };
        let assigns = each.body.assigns.iter().chain(&each.id).cloned().collect();
        let leave = self.leaving(inside, assigns, (each.body.may_stop, each.body.may_call));
        match &list.node {
            Node::List(items) if items.len() <= each.max => {
                let items = Arc::clone(items);
                let (steps, collected) = (Arc::clone(steps), Vec::new());
                self.frames.push(Frame::Loop(Rounds { steps, at, list, items, begun: 0, collected, leave }));
            }
            Node::List(_) => self.unknown(leave, &format!("the list has more than {} elements", each.max)),
            Node::Failed(why) => self.unknown(leave, why),
            node => self.unknown(leave, &format!("a list is wanted, and this is {}", node.kind())),
        }
        Ok(())
    }

    /// Between two rounds of a loop.
    fn turn(&mut self, mut rounds: Rounds) -> Result<()> {
        self.work.spend(1)?;
        let steps = Arc::clone(&rounds.steps);
        let Some(Action::For(each)) = steps.get(rounds.at).map(|step| &step.action) else { return Ok(()) };
        if let (true, Some(collect)) = (rounds.begun > 0, &each.collect) {
            let value = self.evaluate(collect)?;
            self.work.visit(&value)?;
            rounds.collected.push(value);
        }
        let Some(item) = rounds.items.get(rounds.begun) else {
            self.variables.remove(&each.item);
            if let Some(index) = &each.index {
                self.variables.remove(index);
            }
            if let Some(id) = &each.id {
                let all = Tree { label: self.pc.clone(), node: Node::List(Arc::new(rounds.collected)) };
                self.assign(id, all)?;
            }
            self.leave(rounds.leave);
            return Ok(());
        };
        let mut label = self.pc.clone();
        if self.rules.keep(Rule::ContainerIntoMember) {
            label = label.join(&rounds.list.label);
        }
        self.variables.insert(Arc::clone(&each.item), item.clone().under(&label));
        rounds.begun += 1;
        if let Some(index) = &each.index {
            let number = Tree::new(&Value::from(rounds.begun), self.pc.clone());
            self.variables.insert(Arc::clone(index), number);
        }
        self.frames.push(Frame::Loop(rounds));
        self.frames.push(Frame::Block { steps: Arc::clone(&each.body.steps), next: 0, leave: None });
        Ok(())
    }

    /// The value of an expression, under the program counter's label.
    fn evaluate(&mut self, expression: &Expr) -> Result<Tree> {
        let mut evaluator = Evaluator {
            variables: &self.variables,
            locals: Vec::new(),
            control: &self.control,
            work: &mut self.work,
            rules: self.rules,
            again: self.again.as_ref(),
        };
        let value = evaluator.evaluate(expression)?;
        // Everything that is done with it goes through all of it.
        self.work.visit(&value)?;
        Ok(if self.rules.keep(Rule::CounterIntoValue) { value.under(&self.pc) } else { value })
    }

    fn assign(&mut self, name: &Name, value: Tree) -> Result<()> {
        self.work.visit(&value)?;
        self.variables.insert(Arc::clone(name), value);
        Ok(())
    }

    fn stop(&mut self, place: &str, why: &str) {
        if self.frames.iter().any(Frame::may_call) {
            self.counted = self.counted.join(&self.pc);
        }
        let why = Labelled { value: Value::String(why.to_owned()), label: self.pc.clone() };
        self.ended = Some(Next::Failed { step: place.to_owned(), why, report: self.reported() });
    }

    fn exhausted(&mut self) {
        if !self.begin_again() {
            self.stop("plan", USED_UP);
        }
    }

    fn finish(&mut self) -> Result<Next> {
        let plan = Arc::clone(&self.plan);
        let mut outputs = BTreeMap::new();
        for (name, value) in &plan.outputs {
            outputs.insert(name.clone(), self.evaluate(value)?.flat());
        }
        Ok(Next::Done { outputs, report: self.reported(), pc: self.pc.clone() })
    }

    fn reported(&mut self) -> Labelled {
        if let Some(why) = self.again.clone().filter(|_| self.is_gone(&self.report.label)) {
            self.report.label = self.report.label.join(&why);
            // What was called was called, whatever this run makes of it.
            let before = self.first.as_ref().map(|first| {
                self.report.label = self.report.label.join(&first.label);
                first.value()
            });
            self.report.undone(json!({"is": "not followed any more", "why": USED_UP, "before": before}));
        }
        self.report.labelled()
    }

    /// Where the step stands, and in which rounds.
    fn place(&self, at: &str) -> String {
        let rounds = self.frames.iter().filter_map(|frame| match frame {
            Frame::Loop(rounds) => Some(rounds.begun.to_string()),
            Frame::Block { .. } => None,
        });
        let rounds: Vec<String> = rounds.collect();
        if rounds.is_empty() { at.to_owned() } else { format!("{at}@{}", rounds.join(".")) }
    }
}

impl Report {
    fn undone(&mut self, entry: Value) {
        self.undone_in_all += 1;
        if self.undone.len() < MAX_REPORTED {
            self.undone.push(entry);
        }
    }

    fn value(&self) -> Value {
        json!({"done": self.done, "undone": self.undone, "undone_in_all": self.undone_in_all})
    }

    fn labelled(&self) -> Labelled {
        Labelled { value: self.value(), label: self.label.clone() }
    }

    fn taken(&mut self) -> Self {
        let label = self.label.clone();
        std::mem::replace(self, Self { done: 0, undone: Vec::new(), undone_in_all: 0, label })
    }
}

/// What went wrong, as a text of bounded length.
fn complaint(failed: &Tree) -> String {
    let text = match &failed.node {
        Node::Failed(why) | Node::Text(why) => (**why).to_owned(),
        _ => failed.to_value().to_string(),
    };
    text.chars().take(MAX_ERROR).collect()
}
