mod bounds;
mod labels;
mod language;
mod noninterference;
mod random;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::label::{Integrity, Label, Labelled, Readers};

/// Tools whose schemas are known, for tests of the language.
pub(super) struct Known(BTreeMap<String, (Value, Value, bool)>);

impl Known {
    /// `get` reads anything, `send` acts, `mail` has schemas.
    pub(super) fn new() -> Self {
        let free = json!({"type": "object", "additionalProperties": true});
        let mail = json!({
            "type": "object",
            "properties": {
                "to": {"type": "string"}, "count": {"type": "integer"}, "how": {"enum": ["fast", "slow"]},
                "all": {"$ref": "#/$defs/names"}
            },
            "$defs": {"names": {"type": "array", "items": {"type": "string"}}},
            "required": ["to"]
        });
        let out = json!({
            "type": "object", "additionalProperties": false,
            "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}}}
        });
        let tools = [
            ("get", (free.clone(), json!({}), true)),
            ("send", (free, json!({}), false)),
            ("mail", (mail, out, false)),
        ];
        Self(tools.into_iter().map(|(name, tool)| (name.to_owned(), tool)).collect())
    }
}

impl Tools for Known {
    fn tool(&self, name: &str) -> Option<Tool<'_>> {
        let (input, output, reads_only) = self.0.get(name)?;
        Some(Tool { input: Some(input), output: Some(output), reads_only: *reads_only })
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

pub(super) fn user() -> Label {
    Label::user(Readers::Everyone)
}

pub(super) fn by(name: &str) -> Label {
    Label { integrity: Integrity::by(name), ..Label::constant() }
}

pub(super) fn parsed(plan: Value) -> Plan {
    Plan::parse(&plan, &Known::new()).unwrap_or_else(|error| panic!("{error}\n{plan:#}"))
}

pub(super) fn refused(plan: Value) -> String {
    Plan::parse(&plan, &Known::new()).unwrap_err().to_string()
}

/// What a run did: its calls, and how it ended.
pub(super) struct Ran {
    pub calls: Vec<(String, BTreeMap<String, Labelled>, Label)>,
    pub end: Next,
}

impl Ran {
    pub(super) fn tools(&self) -> Vec<&str> {
        self.calls.iter().map(|(tool, ..)| tool.as_str()).collect()
    }

    pub(super) fn output(&self, name: &str) -> Result<Labelled, Labelled> {
        match &self.end {
            Next::Done { outputs, .. } => outputs[name].clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a plan where `get` answers the tree of its argument `as`, and every other tool null.
pub(super) fn run(plan: Value, answers: &[(&str, Result<Tree, Tree>)]) -> Ran {
    let mut machine = Interpreter::new(parsed(plan), user());
    let mut calls = Vec::new();
    loop {
        match machine.next() {
            Next::Call { step, tool, arguments, pc, .. } => {
                let asked = arguments.get("as").and_then(|asked| asked.value.as_str()).unwrap_or(&tool);
                let answer = answers.iter().find(|(name, _)| *name == asked);
                let outcome =
                    answer.map_or_else(|| Ok(Tree::new(&Value::Null, user())), |(_, answer)| answer.clone());
                calls.push((tool, arguments, pc));
                machine.answer(&step, Answer { outcome, status: None }).unwrap();
            }
            Next::Endorse { step, value, .. } => machine.endorsed(&step, &value.label).unwrap(),
            end => return Ran { calls, end },
        }
    }
}

/// The value of an expression, where `x` is `given`.
pub(super) fn value_of(expression: Value, given: Value) -> Result<Value, String> {
    let plan = json!({"plan": [
        {"call": "get", "with": {"as": "x"}, "id": "x"},
        {"return": {"it": expression}}
    ]});
    let ran = run(plan, &[("x", Ok(Tree::new(&given, user())))]);
    ran.output("it").map(|it| it.value).map_err(|why| why.value.as_str().unwrap_or_default().to_owned())
}
