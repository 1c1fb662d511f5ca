//! What policies look at, so that a question need not be told in full.
//!
//! Errs towards more: what is not understood counts as looking at everything. And if something were missed, the policy
//! would fail to evaluate, which forbids.

use std::collections::BTreeSet;
use std::ops::Bound;

use cedar_policy::Policy;
use serde_json::Value;

/// Parts of the context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// All attributes of the context.
    pub(super) everything: bool,
    /// These.
    pub(super) attributes: BTreeSet<String>,
    /// All arguments.
    pub(super) all_arguments: bool,
    /// Those at these JSON pointers.
    pub(super) pointers: BTreeSet<String>,
    /// Whether numbers are looked at as decimals.
    pub(super) decimals: bool,
    /// Whether numbers are looked at as whole numbers.
    pub(super) integers: bool,
}

/// What several groups of policies look at together.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a>(pub(super) &'a [&'a Needs]);

impl Wanted<'_> {
    /// An attribute of the context.
    pub(super) fn attribute(self, attribute: &str) -> bool {
        self.0.iter().any(|needs| needs.everything || needs.attributes.contains(attribute))
    }

    /// The argument at this pointer.
    pub(super) fn argument(self, pointer: &str) -> bool {
        self.0.iter().any(|needs| needs.all_arguments || needs.pointers.contains(pointer))
    }

    /// The argument at this pointer, or one inside it. Errs towards yes.
    pub(super) fn inside(self, pointer: &str) -> bool {
        self.0.iter().any(|needs| {
            let after = needs.pointers.range::<str, _>((Bound::Included(pointer), Bound::Unbounded)).next();
            needs.all_arguments || after.is_some_and(|wanted| wanted.starts_with(pointer))
        })
    }

    /// Numbers as decimals.
    pub(super) fn decimals(self) -> bool {
        self.0.iter().any(|needs| needs.decimals)
    }

    /// Numbers as whole numbers.
    pub(super) fn integers(self) -> bool {
        self.0.iter().any(|needs| needs.integers)
    }
}

impl Needs {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut needs = Self::default();
        match policy.to_json() {
            Ok(json) => match json.get("conditions") {
                Some(conditions) => needs.look(conditions),
                None => needs.see_everything(),
            },
            Err(_) => needs.see_everything(),
        }
        needs
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.all_arguments |= other.all_arguments;
        self.decimals |= other.decimals;
        self.integers |= other.integers;
        self.attributes.extend(other.attributes.iter().cloned());
        self.pointers.extend(other.pointers.iter().cloned());
    }

    fn see_everything(&mut self) {
        self.everything = true;
        self.all_arguments = true;
        self.decimals = true;
        self.integers = true;
    }

    fn look(&mut self, expression: &Value) {
        match expression {
            Value::Array(parts) => parts.iter().for_each(|part| self.look(part)),
            Value::Object(members) => {
                for (operator, inside) in members {
                    self.operator(operator, inside);
                }
            }
            _ => {}
        }
    }

    fn operator(&mut self, operator: &str, inside: &Value) {
        match operator {
            "Value" => {}
            "Var" => {
                // The context as a whole, or an attribute that `.` and `has` did not name.
                if inside.as_str() == Some("context") {
                    self.see_everything();
                }
            }
            "." | "has" => match (is_context(inside.get("left")), inside.get("attr").and_then(Value::as_str))
            {
                (true, Some(attribute)) => {
                    self.attributes.insert(attribute.to_owned());
                }
                (true, None) => self.see_everything(),
                (false, attribute) => {
                    self.decimals |= attribute == Some("decimal");
                    self.integers |= attribute == Some("integer");
                    inside.get("left").into_iter().for_each(|left| self.look(left));
                }
            },
            "getTag" | "hasTag" => {
                let key = inside.get("right");
                match key.and_then(|key| key.get("Value")).and_then(Value::as_str) {
                    Some(pointer) => {
                        self.pointers.insert(pointer.to_owned());
                    }
                    None => self.all_arguments = true,
                }
                self.look(inside);
            }
            "Record" => match inside {
                Value::Object(members) => members.values().for_each(|member| self.look(member)),
                _ => self.see_everything(),
            },
            _ => self.look(inside),
        }
    }
}

fn is_context(expression: Option<&Value>) -> bool {
    expression.and_then(|expression| expression.get("Var")).and_then(Value::as_str) == Some("context")
}
