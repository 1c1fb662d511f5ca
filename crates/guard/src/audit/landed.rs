//! What an outcome should say, derived from what the server answered.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::flow::{Engine, Outcome, ToolFacts};
use crate::gateway::{
    Capacity, Origin, Store, answered, by_value, claim, from_error, of_error, operation, present, touched,
    value, whole_of,
};
use crate::label::{Label, Readers};
use crate::plan::{Answer, Tree};
use crate::wire::RpcError;

/// What was derived.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) differences: Vec<String>,
    /// Whether nothing had to be taken from the record.
    pub(super) whole: bool,
    /// For the plan that made the call.
    pub(super) answer: Option<Answer>,
}

/// Derives the outcome of a call of `place`, given its arguments and what it came back with, with the name of what that is: a `result`, an
/// `error`, or a `watch`.
pub(super) fn derive(
    (engine, enforces): (&Engine, bool),
    facts: &ToolFacts,
    place: (&str, &str),
    outcome: &Outcome,
    values: Option<&BTreeMap<String, Value>>,
    opened: Option<(&str, &Value)>,
) -> Derived {
    let call = outcome.call;
    let mut derived = Derived::default();
    let cut_off = is_cut_off(outcome);
    let result = match opened {
        Some(("result", Value::Object(result))) => Some(result),
        _ => None,
    };
    let mut expected = Outcome { object: None, content: None, ..outcome.clone() };
    match values {
        Some(_) if cut_off || matches!(opened, Some(("unanswered", _))) => {}
        Some(values) if opened.is_some() => touched(&mut expected, facts, values, result),
        _ => (expected.object, expected.content) = (outcome.object.clone(), outcome.content),
    }
    if (&expected.object, expected.content) != (&outcome.object, outcome.content) {
        derived.differences.push(format!("call {call} touched another object, or another content"));
    }
    let claimed = result.and_then(|result| claim(result, facts, place.0));
    let label = engine.result(&expected, facts, claimed.as_ref());
    // A server's claim can only restrict, so without the result the record may say more than the rules alone.
    let agrees =
        if opened.is_some() || cut_off { label == outcome.label } else { outcome.label.covers(&label) };
    if !agrees {
        derived.differences.push(format!("the result of call {call} carries {label:?}"));
    }
    derived.whole = (values.is_some() || facts.memory.is_none()) && (opened.is_some() || cut_off);
    let Some(shown) = shown((engine, enforces), facts, place, outcome, &label, opened, cut_off) else {
        return derived;
    };
    if (shown.failed, shown.revealed) != (outcome.failed, outcome.revealed) {
        derived.differences.push(format!("whether call {call} failed, or was shown to the agent"));
    }
    if !outcome.kept.iter().map(|kept| &kept.label).eq(&shown.kept) {
        derived.differences.push(format!("call {call} keeps values of the labels {:?}", shown.kept));
    }
    if shown.seen != outcome.seen {
        derived.differences.push(format!("call {call} showed other strings"));
    }
    derived.answer = shown.answer;
    derived
}

/// Whether the client went away before there was an answer.
pub(super) fn is_cut_off(outcome: &Outcome) -> bool {
    outcome.commitment == ostrom_core::Digest::of(b"")
}

/// What the agent, or its plan, got.
#[derive(Default)]
struct Shown {
    failed: bool,
    revealed: bool,
    kept: Vec<Label>,
    seen: Vec<ostrom_core::Digest>,
    answer: Option<Answer>,
}

fn shown(
    (engine, enforces): (&Engine, bool),
    facts: &ToolFacts,
    (server, tool): (&str, &str),
    outcome: &Outcome,
    label: &Label,
    opened: Option<(&str, &Value)>,
    cut_off: bool,
) -> Option<Shown> {
    let planned = engine.plan_of(outcome.call).is_some();
    if cut_off {
        return Some(Shown { failed: true, ..Shown::default() });
    }
    let (name, body) = opened?;
    let of_tool = facts.result.label(server, tool);
    if enforces
        && !planned
        && matches!(name, "result" | "error" | "unanswered")
        && engine.quarantined(&label.join(&of_tool)).is_some()
    {
        let failed = name != "result" || body.get("isError") == Some(&Value::Bool(true));
        return Some(Shown { failed, ..Shown::default() });
    }
    let from;
    let result: &Map<String, Value> = match (name, body) {
        ("watch", _) if tool == operation::SUBSCRIBE => {
            return Some(Shown { failed: outcome.failed, revealed: true, ..Shown::default() });
        }
        ("stopped", error) => {
            let why = Tree::new(error.get("message").unwrap_or(&Value::Null), label.clone());
            let answer = planned.then_some(Answer { outcome: Err(why), status: None });
            return Some(Shown { failed: true, answer, ..Shown::default() });
        }
        ("error" | "unanswered", _) if planned || by_value(facts) => {
            let label = label.join(&of_error(facts, (server, tool)));
            let error = Tree::new(&Value::from("the call failed"), label);
            let answer = planned.then_some(Answer { outcome: Err(error), status: None });
            return Some(Shown { failed: true, revealed: !planned, answer, ..Shown::default() });
        }
        ("error" | "unanswered", error) => {
            let Ok(error) = serde_json::from_value::<RpcError>(error.clone()) else {
                return Some(Shown::default());
            };
            from = from_error(&error);
            &from
        }
        ("result", Value::Object(result)) => result,
        // Not what the guard writes: nothing of it agrees.
        _ => return Some(Shown { failed: !outcome.failed, ..Shown::default() }),
    };
    let failed = result.get("isError") == Some(&Value::Bool(true));
    let seen = match label.readers {
        Readers::Only(_) if name == "result" => Engine::strings(&value(result)),
        _ => Vec::new(),
    };
    if planned {
        let whole = whole_of(result, facts, (server, tool), label);
        let answer = Some(answered(facts, (server, tool), whole, failed));
        return Some(Shown { failed, seen, answer, ..Shown::default() });
    }
    let origin = Origin { server, tool, facts: &facts.result, label, call: engine.under_way(outcome.call)? };
    let mut store = Store::new(Capacity { values: usize::MAX, bytes: usize::MAX });
    let shown = present(origin, result.clone(), &mut store).ok()?;
    let kept = shown.kept.into_iter().map(|kept| kept.label).collect();
    Some(Shown { failed, revealed: shown.revealed, kept, seen, answer: None })
}
