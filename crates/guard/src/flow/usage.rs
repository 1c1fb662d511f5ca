//! Calls so far, for budgets. They are counted from the log, so a restart gives nobody a new budget.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::engine::ContextKey;
use super::event::Decision;
use crate::label::Label;

/// Seconds of the window that `budgets.calls-per-hour` counts in.
const HOUR: u64 = 3_600;

/// How many calls went out.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    calls: HashMap<ContextKey, Calls>,
    /// Of a principal in the hour (counted since 1970) of its last call.
    hours: HashMap<Arc<str>, (u64, u64)>,
}

/// Calls of a context.
#[derive(Debug, Clone, Default)]
struct Calls {
    all: u64,
    /// By server and tool.
    tools: BTreeMap<Arc<str>, BTreeMap<Arc<str>, u64>>,
    /// What decided how many they are, of those that plans made: a plan may go by what its context has not seen.
    told: Option<Label>,
}

/// How many calls went out before one that is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// By this context.
    pub calls: u64,
    /// Of this tool by this context.
    pub tool_calls: u64,
    /// By this principal in this hour.
    pub hour_calls: u64,
}

impl Usage {
    /// Counts a call that went out, and under which control.
    pub(super) fn count(&mut self, decision: &Decision, control: Option<&Label>) {
        let hour = decision.at / HOUR;
        let of_hour = self.hours.entry(decision.context.principal.clone()).or_insert((hour, 0));
        *of_hour = if of_hour.0 == hour { (hour, of_hour.1.saturating_add(1)) } else { (hour, 1) };
        let calls = self.calls.entry(decision.context.clone()).or_default();
        calls.all = calls.all.saturating_add(1);
        let of_tool = calls.tools.entry(decision.server.clone()).or_default();
        let of_tool = of_tool.entry(decision.tool.clone()).or_default();
        *of_tool = of_tool.saturating_add(1);
        if let Some(control) = control.filter(|_| decision.plan.is_some()) {
            self.tell(&decision.context, control);
        }
    }

    /// That something with this label decided how many calls a plan of the context has made: also where it made none.
    pub(super) fn tell(&mut self, context: &ContextKey, label: &Label) {
        let told = &mut self.calls.entry(context.clone()).or_default().told;
        *told = Some(told.take().map_or_else(|| label.clone(), |told| told.join(label)));
    }

    /// What decided how many calls a context's plans have made.
    pub(super) fn told(&self, context: &ContextKey) -> Option<&Label> {
        self.calls.get(context)?.told.as_ref()
    }

    /// A person has reset the context: what it has done until then tells it nothing that counts.
    pub(super) fn reset(&mut self, context: &ContextKey) {
        if let Some(calls) = self.calls.get_mut(context) {
            calls.told = None;
        }
    }

    /// What counts for a call that is decided at `at`.
    pub(super) fn before(&self, context: &ContextKey, server: &str, tool: &str, at: u64) -> Used {
        let calls = self.calls.get(context);
        let hour = self.hours.get(&context.principal).filter(|(hour, _)| *hour == at / HOUR);
        Used {
            calls: calls.map_or(0, |calls| calls.all),
            tool_calls: calls.and_then(|calls| calls.tools.get(server)?.get(tool)).copied().unwrap_or(0),
            hour_calls: hour.map_or(0, |(_, calls)| *calls),
        }
    }

    /// Forgets a context that has ended. What its principal did in this hour still counts.
    pub(super) fn forget(&mut self, context: &ContextKey) {
        self.calls.remove(context);
    }
}
