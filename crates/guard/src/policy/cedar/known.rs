//! Answers that are known already.
//!
//! What policies say is a function of what they are told. Agents ask the same again and again (a context has few labels in
//! its life), so answers are kept under all that the policies look at, compared in full. What is looked at of the time is a part of
//! that, and where a budget stands among the limits that it is compared with; a policy that looks at budgets otherwise is asked each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::index::Answer;
use super::model::Kind;
use super::needs::{COUNTERS, Wanted};
use super::question::{Action, Question};
use crate::label::Label;

/// Answers that are kept.
const MAX_KNOWN: usize = 4_096;
/// Bytes of arguments in a key; with more the policies are asked.
const MAX_BYTES: usize = 1_024;

/// All that decides about an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    action: Action,
    kind: Kind,
    target: String,
    critical: bool,
    principal: String,
    run: Option<String>,
    plan: bool,
    /// The minute, or the second where more is looked at; only of policies that look at the time at all.
    time: Option<i64>,
    /// Where each counter stands among the limits that policies compare it with.
    used: [Option<(usize, bool)>; 3],
    control: Option<Label>,
    data: Option<Label>,
    /// JSON of the values at the wanted pointers, in their order.
    arguments: String,
}

impl Key {
    /// `None` where the policies look at more than is worth keeping.
    pub(super) fn of(question: &Question<'_>, wanted: Wanted<'_>) -> Option<Self> {
        // A resource's URI is the agent's to choose, and may be long.
        if question.target.id.len() > MAX_BYTES {
            return None;
        }
        Some(Self {
            action: question.action,
            kind: question.target.kind,
            target: question.target.id.clone(),
            critical: question.target.critical,
            principal: question.principal.to_owned(),
            run: question.run.filter(|_| wanted.attribute("run")).map(str::to_owned),
            plan: question.plan && wanted.attribute("plan"),
            time: wanted
                .attribute("time")
                .then(|| if wanted.seconds() { question.seconds } else { question.seconds.div_euclid(60) }),
            used: COUNTERS.map(|counter| {
                let count = match counter {
                    "run" => question.used.run,
                    "tool" => question.used.tool,
                    _ => question.used.hour,
                };
                wanted.rank(counter, count)
            }),
            control: wanted.attribute("control").then(|| question.control.clone()),
            data: wanted.attribute("data").then(|| question.data.clone()),
            arguments: if wanted.attribute("arguments") {
                arguments(question, wanted)?
            } else {
                String::new()
            },
        })
    }
}

/// The wanted arguments as JSON.
fn arguments(question: &Question<'_>, wanted: Wanted<'_>) -> Option<String> {
    let mut text = String::new();
    for pointer in wanted.pointers()? {
        if let Some(value) = at(question, pointer) {
            let mut left = MAX_BYTES.saturating_sub(text.len());
            if !is_small(value, &mut left) {
                return None;
            }
            text.push_str(&serde_json::to_string(value).ok()?);
        }
        // Not in JSON outside of texts, so that a value that is absent differs from every value.
        text.push('\u{1}');
    }
    Some(text)
}

/// The value at a JSON pointer (RFC 6901) into the arguments.
fn at<'a>(question: &Question<'a>, pointer: &str) -> Option<&'a Value> {
    let path = pointer.strip_prefix('/')?;
    let (name, rest) = match path.find('/') {
        Some(end) => path.split_at_checked(end)?,
        None => (path, ""),
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    question.arguments.get(&name)?.pointer(rest)
}

fn is_small(value: &Value, left: &mut usize) -> bool {
    let cost = match value {
        Value::String(text) => text.len(),
        Value::Object(members) => members.keys().fold(8, |sum: usize, key| sum.saturating_add(key.len())),
        _ => 8,
    };
    let Some(rest) = left.checked_sub(cost) else { return false };
    *left = rest;
    match value {
        Value::Array(values) => values.iter().all(|value| is_small(value, left)),
        Value::Object(members) => members.values().all(|value| is_small(value, left)),
        _ => true,
    }
}

/// Answers by what decides about them. Copies of the policies share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<Key, Arc<Answer>>>>);

impl Known {
    /// The answer to `key`, worked out if it is not known.
    pub(super) fn get(&self, key: Key, work_out: impl FnOnce() -> Answer) -> Arc<Answer> {
        if let Some(answer) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return answer.clone();
        }
        // Not under the lock: others need not wait.
        let answer = Arc::new(work_out());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, answer.clone());
        answer
    }
}
