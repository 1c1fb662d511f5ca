//! What policies look at, so that a question need not be told in full.
//!
//! Errs towards more: what is not understood counts as looking at everything. And if something were missed, the policy
//! would fail to evaluate, which forbids.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The actions and their groups.
    pub(super) actions: bool,
    /// More of the time than what stays the same for a minute.
    pub(super) seconds: bool,
    /// The counters of budgets that are compared with constants only, and those constants.
    pub(super) limits: BTreeMap<String, BTreeSet<i64>>,
    /// Budgets in any other way.
    pub(super) counts: bool,
}

/// What several groups of policies look at together.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Those that are to be told.
    pub(super) told: &'a [&'a Needs],
    /// All that the question meets.
    pub(super) all: &'a [&'a Needs],
}

/// How long an answer stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lasts {
    Always,
    /// As long as what is looked at of the time does, and no budget passes a limit.
    ForATime,
    /// It looks at budgets as such, which every call changes.
    Once,
}

/// What of the time stays the same for a minute.
const IN_A_MINUTE: [&str; 3] = ["weekday", "hour", "minute"];

/// The counters of budgets.
pub(super) const COUNTERS: [&str; 3] = ["run", "tool", "hour"];

/// Pointers into deeper arguments than this are not worth a thought.
const MAX_POINTER: usize = 30;

impl<'a> Wanted<'a> {
    /// An attribute of the context.
    pub(super) fn attribute(self, attribute: &str) -> bool {
        self.told.iter().any(|needs| needs.everything || needs.attributes.contains(attribute))
    }

    /// The actions and their groups.
    pub(super) fn actions(self) -> bool {
        self.told.iter().any(|needs| needs.actions)
    }

    /// The argument at this pointer.
    pub(super) fn argument(self, pointer: &str) -> bool {
        self.told.iter().any(|needs| needs.all_arguments || needs.pointers.contains(pointer))
    }

    /// An argument whose pointer begins with this.
    pub(super) fn inside(self, start: &str) -> bool {
        self.told.iter().any(|needs| {
            let after = needs.pointers.range::<str, _>((Bound::Included(start), Bound::Unbounded)).next();
            needs.all_arguments || after.is_some_and(|wanted| wanted.starts_with(start))
        })
    }

    /// More of the time than what stays the same for a minute.
    pub(super) fn seconds(self) -> bool {
        self.told.iter().any(|needs| needs.everything || needs.seconds)
    }

    /// Where a counter stands among the constants that it is compared with: all that its comparisons depend on. `None` if there are none.
    pub(super) fn rank(self, counter: &str, count: u64) -> Option<(usize, bool)> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let limits: BTreeSet<i64> =
            self.told.iter().filter_map(|needs| needs.limits.get(counter)).flatten().copied().collect();
        (!limits.is_empty()).then(|| (limits.range(..count).count(), limits.contains(&count)))
    }

    /// The pointers, unless all arguments are wanted.
    pub(super) fn pointers(self) -> Option<impl Iterator<Item = &'a String>> {
        let all = self.told.iter().any(|needs| needs.all_arguments || needs.everything);
        (!all).then(|| self.told.iter().flat_map(|needs| &needs.pointers))
    }

    /// Numbers as decimals.
    pub(super) fn decimals(self) -> bool {
        self.all.iter().any(|needs| needs.decimals)
    }

    /// Numbers as whole numbers.
    pub(super) fn integers(self) -> bool {
        self.all.iter().any(|needs| needs.integers)
    }
}

impl Needs {
    /// What `policy` looks at. With `stripped`, its scope does not look at actions.
    pub(super) fn of(policy: &Policy, stripped: bool) -> Self {
        let mut needs = Self { actions: !stripped, ..Self::default() };
        match policy.to_json() {
            Ok(json) => match json.get("conditions") {
                Some(conditions) => needs.look(conditions),
                None => needs.see_everything(),
            },
            Err(_) => needs.see_everything(),
        }
        needs
    }

    /// How long the answer stays the same for the same principal, target, labels and arguments.
    pub(super) fn lasts(&self) -> Lasts {
        if self.everything || self.counts {
            Lasts::Once
        } else if self.attributes.contains("time") || !self.limits.is_empty() {
            Lasts::ForATime
        } else {
            Lasts::Always
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.actions |= other.actions;
        self.everything |= other.everything;
        self.all_arguments |= other.all_arguments;
        self.decimals |= other.decimals;
        self.integers |= other.integers;
        self.seconds |= other.seconds;
        self.counts |= other.counts;
        for (counter, limits) in &other.limits {
            self.limits.entry(counter.clone()).or_default().extend(limits);
        }
        self.attributes.extend(other.attributes.iter().cloned());
        self.pointers.extend(other.pointers.iter().cloned());
    }

    fn see_everything(&mut self) {
        self.everything = true;
        self.all_arguments = true;
        self.decimals = true;
        self.integers = true;
        self.actions = true;
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
            "Var" if inside.as_str() == Some("action") => self.actions = true,
            "Var" => {
                // The context as a whole, or an attribute that `.` and `has` did not name.
                if inside.as_str() == Some("context") {
                    self.see_everything();
                }
            }
            "." | "has" => match (is_context(inside.get("left")), inside.get("attr").and_then(Value::as_str))
            {
                (true, Some(attribute)) => {
                    // Here it is looked at as a whole; its parts come below.
                    self.seconds |= attribute == "time";
                    self.counts |= attribute == "used";
                    self.attributes.insert(attribute.to_owned());
                }
                (true, None) => self.see_everything(),
                (false, Some(part)) if IN_A_MINUTE.contains(&part) && is_time(inside.get("left")) => {
                    self.attributes.insert("time".to_owned());
                }
                (false, attribute) => {
                    self.decimals |= attribute == Some("decimal");
                    self.integers |= attribute == Some("integer");
                    inside.get("left").into_iter().for_each(|left| self.look(left));
                }
            },
            "<" | "<=" | ">" | ">=" | "==" | "!=" => match limit(inside) {
                Some((counter, limit)) => {
                    self.attributes.insert("used".to_owned());
                    self.limits.entry(counter.to_owned()).or_default().insert(limit);
                }
                None => self.look(inside),
            },
            "getTag" | "hasTag" => {
                let key = inside.get("right");
                match key.and_then(|key| key.get("Value")).and_then(Value::as_str) {
                    Some(pointer) if pointer.matches('/').count() <= MAX_POINTER => {
                        self.pointers.insert(pointer.to_owned());
                    }
                    _ => self.all_arguments = true,
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

/// Whether it is `context.time`.
fn is_time(expression: Option<&Value>) -> bool {
    member(expression) == Some("time")
}

/// The attribute, if it is one of the context.
fn member(expression: Option<&Value>) -> Option<&str> {
    let dot = expression?.get(".")?;
    is_context(dot.get("left")).then(|| dot.get("attr")?.as_str())?
}

/// The counter and the constant of a comparison like `context.used.run > 10`, whichever side they are on.
fn limit(comparison: &Value) -> Option<(&str, i64)> {
    let counter = |side: &str| {
        let dot = comparison.get(side)?.get(".")?;
        let of_used = member(dot.get("left")) == Some("used");
        of_used.then(|| dot.get("attr")?.as_str())?
    };
    let constant = |side: &str| comparison.get(side)?.get("Value")?.as_i64();
    let either = |a: &str, b: &str| Some((counter(a)?, constant(b)?));
    // A counter that is not known here is looked at as a whole.
    let known = |(counter, _): &(&str, i64)| COUNTERS.contains(counter);
    either("left", "right").or_else(|| counter("right").zip(constant("left"))).filter(known)
}

fn is_context(expression: Option<&Value>) -> bool {
    expression.and_then(|expression| expression.get("Var")).and_then(Value::as_str) == Some("context")
}
