//! What is on record of a call that comes to no outcome of its own.

use std::sync::Arc;

use ostrom_core::Digest;

use super::Gateway;
use super::answer::of_error;
use super::call::{Decided, Proposed};
use super::rules::JournalError;
use super::state::now;
use crate::flow::{CallId, Event, Outcome, ToolFacts};
use crate::label::Label;

/// A call on its way. Dropped without an outcome (the client went away), it leaves a record that says so.
pub(super) struct Flight<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) call: CallId,
    pub(super) facts: Arc<ToolFacts>,
    pub(super) landed: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        let outcome = empty_outcome(self.call);
        let mut state = self.gateway.shared.lock();
        let label = state.engine.result(&outcome, &self.facts, None);
        let event = Event::Finished(Box::new(Outcome { label, ..outcome }));
        // If even this cannot be written, the call stays unresolved, which is true.
        let _unwritten = self.gateway.shared.record(&mut state, &event, Some(&self.facts));
    }
}

pub(super) fn empty_outcome(call: CallId) -> Outcome {
    Outcome {
        call,
        commitment: Digest::of(b""),
        failed: true,
        label: Label::constant(),
        kept: Vec::new(),
        revealed: false,
        seen: Vec::new(),
        content: None,
        object: None,
    }
}

impl Gateway {
    /// That the record of an outcome is too long tells the agent something of the result.
    pub(super) fn told_by_its_length(
        &self,
        proposed: &Proposed,
        decided: &Decided<'_>,
        facts: &ToolFacts,
    ) -> Result<(), JournalError> {
        let mut state = self.shared.lock();
        let outcome = empty_outcome(decided.decision.call);
        let label = state.engine.result(&outcome, facts, None);
        let label = label.join(&of_error(facts, (&proposed.server, &proposed.tool)));
        let what = "that the record of a result is too long".to_owned();
        let context = proposed.context.clone();
        let event = Event::Revealed { context, what, label, handle: None, at: now() };
        let _written = self.shared.record(&mut state, &event, None)?;
        Ok(())
    }
}
