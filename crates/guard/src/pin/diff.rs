//! What changed between two definitions, member by member.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::definition::pointer;
use super::hidden::rendering;

/// How many changes are told; more are counted as one.
const MAX_CHANGES: usize = 100;

/// A member that is not what it was. Values are renderings: canonical, with hidden characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, as a JSON pointer (RFC 6901), rendered.
    pub at: String,
    /// What was approved; `None` if there was nothing.
    pub before: Option<String>,
    /// What is offered; `None` if there is nothing.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{} was {before} and is {after}", self.at),
            (None, Some(after)) => write!(f, "{} is new: {after}", self.at),
            (Some(before), None) => write!(f, "{} is gone, which was {before}", self.at),
            (None, None) => f.write_str(&self.at),
        }
    }
}

/// What is different in `after`. Never empty if the two are not equal.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    if found.len() > MAX_CHANGES {
        found.truncate(MAX_CHANGES);
        found.push(Change { at: "and more".into(), before: None, after: None });
    }
    found
}

fn compare(at: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after || found.len() > MAX_CHANGES {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            let mut keys: Vec<&String> = before.keys().chain(added).collect();
            keys.sort();
            for key in keys {
                compare(&pointer(at, key), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{at}/{index}"), before.get(index), after.get(index), found);
            }
        }
        _ => found.push(Change {
            at: super::hidden::escape(at),
            before: before.map(rendering),
            after: after.map(rendering),
        }),
    }
}
