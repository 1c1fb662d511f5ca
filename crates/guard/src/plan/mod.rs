//! The typed, total plan language of the guard's tool `run_plan`.
//!
//! The agent says what it will do before it has read anything that strangers may have written: which tools, in which order, where
//! the values come from, on which conditions. The guard then interprets the plan, with a label for every value and one for
//! the program counter. What strangers write can fill in values, but cannot choose calls. The idea is that of CaMeL (Debenedetti et al.,
//! "Defeating Prompt Injections by Design", 2025), as a tool for any agent. `docs/plans.md` has the language.
//!
//! - [`Plan::parse`] checks everything that can be known before anything runs: tools, names, types, bounds.
//! - [`Interpreter`] does no I/O. It says which call comes [next](Interpreter::next) and wants its
//!   [answer](Interpreter::answer); the same answers always give the same calls.
//!
//! *Invariant:* every plan ends. There is no recursion and no loop without a bound, and [`MAX_STEPS_RUN`] holds for the longest way through it
//! before it begins.
//!
//! *Invariant:* noninterference. Of the calls whose labels (of the program counter and of every argument) lack an influencer, neither number nor
//! order nor content depends on what that influencer wrote; likewise for readers. Two exceptions are declared: what an `endorse` step
//! was allowed to endorse; and where a plan runs out of [`MAX_WORK`], this holds only for whom its writer's label lacks.
//!
//! *Invariant:* what a plan gives out ([`Given`]) has the same shape whatever came of it, as far as its writer's label does not cover what
//! decided that.

mod again;
mod date;
mod decimal;
mod eval;
mod expr;
mod given;
mod list;
mod pure;
mod read;
mod read_expr;
mod run;
mod scope;
mod shape;
mod step;
mod tree;

use serde_json::Value;

pub use given::Given;
pub use run::{Answer, AnswerError, Interpreter, Next};
pub use shape::Shape;
pub use tree::{Node, Tree};

/// Steps that a plan may be written with.
pub const MAX_STEPS: usize = 256;
/// Steps that the longest way through a plan may take, every loop at its bound.
pub const MAX_STEPS_RUN: u64 = 10_000;
/// Levels of steps and expressions inside one another.
pub const MAX_LEVELS: usize = 32;
/// Expressions that a plan may be written with.
pub const MAX_EXPRESSIONS: usize = 4_096;
/// Characters of a regular expression.
pub const MAX_PATTERN: usize = 512;
/// Regular expressions in a plan.
pub const MAX_PATTERNS: usize = 64;
/// Bytes of a compiled regular expression.
pub const MAX_PATTERN_SIZE: usize = 1 << 20;
/// Bytes of a text that a plan makes.
pub const MAX_TEXT: usize = 1 << 20;
/// Elements of a list that a plan makes or goes through.
pub const MAX_LIST: usize = 10_000;
/// Levels of a value.
pub const MAX_DEPTH: usize = 96;
/// Nodes visited and bytes of text read or made, by the whole run of a plan.
pub const MAX_WORK: u64 = 1 << 25;
/// Why there is no value any more after all work was done.
const USED_UP: &str = "the plan has used up the work that a run may do, or has made a value that is nested too deeply: ask the tools for less, or split the plan";
/// Failures that the report of a run lists.
pub const MAX_REPORTED: usize = 64;

/// The JSON Schema of what `run_plan` takes, for its `inputSchema`.
pub const INPUT_SCHEMA: &str = include_str!("plan.schema.json");

/// What is known of a tool. It comes from pinned definitions and from the policy, never from a server's word during the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tool<'a> {
    /// JSON Schema of its arguments.
    pub input: Option<&'a Value>,
    /// JSON Schema of its result, as the plan sees it.
    pub output: Option<&'a Value>,
    /// Whether it only reads. A failed read leaves a failed value behind; a failed call of any other tool ends the plan, unless
    /// its step says otherwise.
    pub reads_only: bool,
}

/// The tools that a plan may call.
pub trait Tools {
    /// What is known of the tool of this name; nothing if there is none.
    fn tool(&self, name: &str) -> Option<Tool<'_>>;

    /// All names, for messages.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a plan is refused before it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct PlanError {
    at: String,
    problem: String,
}

impl PlanError {
    pub(crate) fn new(at: &str, problem: impl Into<String>) -> Self {
        Self { at: at.to_owned(), problem: problem.into() }
    }

    /// Where in the plan: `plan[2].with.amount`.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }
}

/// A plan that was checked.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) body: step::Block,
    pub(crate) outputs: Vec<(String, expr::Expr)>,
    steps_at_most: u64,
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// The first thing that is wrong with it, where, and what to write instead.
    pub fn parse(plan: &Value, tools: &dyn Tools) -> Result<Self, PlanError> {
        let (body, outputs) = read::plan(plan, tools)?;
        let steps_at_most = body.longest();
        if steps_at_most > MAX_STEPS_RUN {
            return Err(PlanError::new(
                "plan",
                format!(
                    "with every loop at its \"max\" this takes {steps_at_most} steps, and {MAX_STEPS_RUN} are allowed: lower the \"max\" of a loop"
                ),
            ));
        }
        Ok(Self { body, outputs, steps_at_most })
    }

    /// How many steps a run takes at most, every loop at its bound.
    #[must_use]
    pub fn steps_at_most(&self) -> u64 {
        self.steps_at_most
    }

    /// The calls that it may make, as it is written; for whoever is asked to approve it.
    #[must_use]
    pub fn calls(&self) -> Vec<WrittenCall> {
        let mut calls = Vec::new();
        self.body.calls(&mut calls);
        calls
    }
}

/// A call as a plan has it.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenCall {
    /// Where it stands: `plan[2].do[0]`.
    pub at: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments, where nothing has to be run to know them.
    pub arguments: std::collections::BTreeMap<String, Option<Value>>,
}

/// A rule that the labels of a run follow. The tests break each, to see that they would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A branch runs under the label of its condition.
    ConditionIntoCounter,
    /// A loop runs under the label of its list.
    ListIntoCounter,
    /// What either branch of a choice assigns carries its condition's label, also if the branch was not taken.
    AssignedElsewhere,
    /// What may end the plan joins its label to all that follows.
    StopIntoCounter,
    /// A branch that might have ended the plan leaves its label with all that follows.
    StopInBranch,
    /// What handles a failure runs under the label of whether there was one.
    HandlerIntoCounter,
    /// A value is assigned under the program counter's label.
    CounterIntoValue,
    /// The result of a call carries the labels of its arguments.
    ArgumentsIntoResult,
    /// A member is under the label of what contains it.
    ContainerIntoMember,
    /// An operation on whole values joins all labels in them.
    WholeOperands,
    /// Which elements were taken tells something about what was looked at.
    TestIntoSelection,
    /// So does an order.
    KeysIntoOrder,
    /// Which of two values was chosen tells something about the choice.
    ChoiceIntoValue,
}

#[cfg(test)]
mod tests;
