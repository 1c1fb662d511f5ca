//! What is left to carry.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::types::AI_EXTENSION;

/// Something that an export could not carry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotCarried {
    /// Which property, of which object: `vulnerability--…: ai.transfer.success.rate`. Places in lists are left out.
    pub field: String,
    /// Why.
    pub why: String,
}

/// The properties of some objects that have not been carried yet.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    left: BTreeSet<(String, String)>,
    why: Vec<(&'static str, &'static str)>,
}

/// What only says in which form STIX keeps an object.
const FORM: [&str; 6] = ["type", "spec_version", "id", "ai.extension_type", "ai.record", "created_by_ref"];

impl Ledger {
    /// Nothing.
    pub fn new(why: &[(&'static str, &'static str)]) -> Self {
        Self { left: BTreeSet::new(), why: why.to_vec() }
    }

    /// Adds all that an object holds.
    pub fn add(&mut self, id: &str, object: &impl Serialize) {
        // INVARIANT: what was parsed from JSON, or is a type of ours, is JSON.
        let value = serde_json::to_value(object).unwrap_or_default();
        self.walk(id, "", &value);
        FORM.iter().for_each(|form| self.carried(id, form));
    }

    fn walk(&mut self, id: &str, path: &str, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let path = match (path, key.as_str()) {
                        ("extensions", AI_EXTENSION) => "ai".to_owned(),
                        ("", key) => key.to_owned(),
                        (path, key) => format!("{path}.{key}"),
                    };
                    self.walk(id, &path, inner);
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| self.walk(id, path, inner)),
            Value::Null => {}
            _ => {
                self.left.insert((id.to_owned(), path.to_owned()));
            }
        }
    }

    /// Strikes out a property and all in it.
    pub fn carried(&mut self, id: &str, path: &str) {
        let inner = format!("{path}.");
        self.left.retain(|(of, left)| of != id || (left != path && !left.starts_with(&inner)));
    }

    /// Strikes out several.
    pub fn carried_all(&mut self, id: &str, paths: &[&str]) {
        paths.iter().for_each(|path| self.carried(id, path));
    }

    /// What is left, with the reasons.
    pub fn finish(self) -> Vec<NotCarried> {
        let why = |path: &str| {
            let known = self.why.iter().find(|(prefix, _)| {
                path == *prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
            });
            known.map_or("the form has no place for it", |(_, why)| why)
        };
        self.left
            .iter()
            .map(|(id, path)| NotCarried { field: format!("{id}: {path}"), why: why(path).to_owned() })
            .collect()
    }
}
