//! Facts about tools, and the pure decision about a call.
//!
//! Read [`decide`] for the rules, [`Engine`] for what the guard remembers between calls, [`Event`] for how the two meet: the
//! gateway changes an engine only by applying events, and it writes the same events into the audit log, so that replaying the
//! log is running the same code again.
//!
//! *Invariant:* nothing here does I/O, reads a clock or draws randomness.

mod decide;
mod endorse;
mod engine;
mod event;
mod facts;
mod matching;
mod memory;
mod mutant;
mod runs;
mod usage;
mod violation;

pub use decide::{Argument, Call, Endorsed, Verdict, decide};
pub use endorse::{Endorse, EndorseError, Pattern};
pub use engine::{ContextKey, Engine};
pub use event::{
    ArgumentRecord, CallId, Decision, Event, HandleId, KeptValue, Outcome, PlanStep, Reply, Scope,
};
pub use facts::{
    ArgumentFacts, FieldFacts, MemoryAccess, MemoryFacts, Otherwise, ResultFacts, Reveal, ToolFacts,
};
#[cfg(test)]
pub(crate) use mutant::with;
pub(crate) use mutant::{Mutant, mutated};
pub use usage::Used;
pub use violation::{Grouped, Subject, Violation, clauses, grouped};

#[cfg(test)]
mod noninterference;
#[cfg(test)]
mod tests;
