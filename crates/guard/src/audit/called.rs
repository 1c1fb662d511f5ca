//! The latest calls of a log, a line each: where the number of a call is found.

use std::collections::VecDeque;
use std::path::Path;

use ostrom_core::Digest;
use serde::Serialize;

use super::log::events;
use super::{AuditError, landed};
use crate::flow::{CallId, Decision, Event};

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It did not go out.
    Refused,
    /// It did not go out, and a person was asked whether it may.
    Asked,
    /// It went out and was answered.
    Answered,
    /// It went out, and the server said that it failed or did not answer.
    Failed,
    /// It went out, and no answer is on record: it is under way, was given up, or the guard ended.
    Unknown,
}

/// A call of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    /// Its number.
    pub call: CallId,
    /// Seconds since 1970.
    pub at: u64,
    /// `SERVER/TOOL`.
    pub tool: String,
    /// Who made it.
    pub principal: String,
    /// In which run, if in one.
    pub run: Option<String>,
    /// What came of it.
    pub outcome: Became,
    /// The name of the request for approval that was made for it.
    pub request: Option<Digest>,
}

/// Calls of a log.
#[derive(Debug)]
pub struct Calls {
    /// The latest, in their order.
    pub latest: VecDeque<Called>,
    /// How many there are.
    pub all: u64,
}

/// The latest calls of the log in `folder`, at most `last`.
///
/// # Errors
/// If it cannot be read.
pub fn calls(folder: &Path, last: usize) -> Result<Calls, AuditError> {
    let mut found = Calls { latest: VecDeque::new(), all: 0 };
    for event in events(folder)? {
        match event?.1 {
            Event::Decided(decision) => {
                found.all = found.all.saturating_add(1);
                found.latest.push_back(Called::of(&decision));
                if found.latest.len() > last {
                    found.latest.pop_front();
                }
            }
            Event::Finished(outcome) if !landed::is_cut_off(&outcome) || !outcome.failed => {
                // Most answers are to one of the latest calls.
                if let Some(call) = found.latest.iter_mut().rev().find(|call| call.call == outcome.call) {
                    call.outcome = if outcome.failed { Became::Failed } else { Became::Answered };
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

impl Called {
    fn of(decision: &Decision) -> Self {
        let outcome = match (decision.dispatched, decision.request) {
            (true, _) => Became::Unknown,
            (false, Some(_)) => Became::Asked,
            (false, None) => Became::Refused,
        };
        Self {
            call: decision.call,
            at: decision.at,
            tool: format!("{}/{}", decision.server, decision.tool),
            principal: decision.context.principal.to_string(),
            run: decision.context.run.as_ref().map(ToString::to_string),
            outcome,
            request: decision.request,
        }
    }
}
