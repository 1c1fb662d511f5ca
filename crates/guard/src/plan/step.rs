//! Steps of a plan that was checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::WrittenCall;
use super::expr::{Expr, Name};
use super::shape::Shape;

/// Steps one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub steps: Arc<[Step]>,
    /// What may be assigned in it, at any level.
    pub assigns: BTreeSet<Name>,
    /// Whether something in it may end the plan.
    pub may_stop: bool,
    /// Whether something in it calls a tool.
    pub may_call: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where it stands: `plan[2].then[0]`.
    pub at: Arc<str>,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Call { tool: Name, with: Vec<(String, Expr)>, id: Option<Name>, on_error: OnError },
    Let { name: Name, be: Expr },
    Endorse { name: Name, be: Expr, shape: Shape },
    Require { condition: Expr, otherwise: Arc<str> },
    If { condition: Expr, then: Block, otherwise: Block },
    For(Loop),
}

#[derive(Debug, Clone)]
pub(crate) struct Loop {
    pub item: Name,
    /// Counts the rounds, from 1.
    pub index: Option<Name>,
    pub list: Expr,
    pub max: usize,
    pub body: Block,
    /// The list of what `collect` gave in each round.
    pub id: Option<Name>,
    pub collect: Option<Expr>,
}

/// What a failed call does.
#[derive(Debug, Clone)]
pub(crate) enum OnError {
    /// Ends the plan.
    Stop,
    /// Leaves a failed value.
    Continue,
    /// Leaves a failed value, and these steps run.
    Do(Block),
}

impl Step {
    /// Whether it, or something in it, calls a tool.
    pub fn may_call(&self) -> bool {
        match &self.action {
            Action::Call { .. } => true,
            Action::If { then, otherwise, .. } => then.may_call || otherwise.may_call,
            Action::For(round) => round.body.may_call,
            Action::Let { .. } | Action::Endorse { .. } | Action::Require { .. } => false,
        }
    }
}

impl Block {
    pub fn new(steps: Vec<Step>) -> Self {
        let mut assigns = BTreeSet::new();
        let mut may_stop = false;
        for step in &steps {
            let mut inside = |block: &Self| {
                assigns.extend(block.assigns.iter().cloned());
                may_stop |= block.may_stop;
            };
            match &step.action {
                Action::Call { id, on_error, .. } => {
                    match on_error {
                        OnError::Stop => may_stop = true,
                        OnError::Continue => {}
                        OnError::Do(block) => inside(block),
                    }
                    assigns.extend(id.clone());
                }
                Action::Let { name, .. } | Action::Endorse { name, .. } => {
                    assigns.insert(Arc::clone(name));
                }
                Action::Require { .. } => may_stop = true,
                Action::If { then, otherwise, .. } => {
                    inside(then);
                    inside(otherwise);
                }
                Action::For(round) => {
                    inside(&round.body);
                    assigns.extend(round.id.clone());
                }
            }
        }
        let may_call = steps.iter().any(Step::may_call);
        Self { steps: steps.into(), assigns, may_stop, may_call }
    }

    /// Steps of the longest way through it.
    pub fn longest(&self) -> u64 {
        let each = self.steps.iter().map(|step| match &step.action {
            Action::Call { on_error: OnError::Do(block), .. } => block.longest().saturating_add(1),
            Action::If { then, otherwise, .. } => then.longest().max(otherwise.longest()).saturating_add(1),
            Action::For(round) => {
                // A round is a step itself, so that loops with nothing in them count as well.
                let round_steps = round.body.longest().saturating_add(1);
                round_steps.saturating_mul(round.max as u64).saturating_add(1)
            }
            _ => 1,
        });
        each.fold(0, u64::saturating_add)
    }

    pub fn calls(&self, calls: &mut Vec<WrittenCall>) {
        for step in self.steps.iter() {
            match &step.action {
                Action::Call { tool, with, on_error, .. } => {
                    let arguments = with.iter().map(|(name, value)| (name.clone(), value.written()));
                    let (at, tool) = ((*step.at).to_owned(), (**tool).to_owned());
                    calls.push(WrittenCall { at, tool, arguments: arguments.collect() });
                    if let OnError::Do(block) = on_error {
                        block.calls(calls);
                    }
                }
                Action::If { then, otherwise, .. } => {
                    then.calls(calls);
                    otherwise.calls(calls);
                }
                Action::For(round) => round.body.calls(calls),
                _ => {}
            }
        }
    }
}
