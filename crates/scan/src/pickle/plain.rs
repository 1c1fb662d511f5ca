//! Values that are data through and through: of Python's own types, tensors, numbers of numpy. Whatever a loader does with
//! them, only methods of these types run, never one that the pickle chose.

use std::collections::HashSet;

use super::allow::{Entry, Fill};
use super::judge::Judge;
use super::shape::Fit;
use super::value::{Beyond, Heap, Items, Node, Value};

/// How many values all checks of one file may look at.
const MAX_STEPS: u64 = 1 << 23;

/// Whether a value and everything in it is such data.
pub(super) fn fits(value: Value, heap: &Heap, judge: &Judge) -> Fit {
    let mut fit = Fit::from(true);
    let mut seen = HashSet::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if !judge.looks_on(MAX_STEPS) {
            return fit.and(Fit::Unclear);
        }
        fit = fit.and(match value {
            Value::Node(id) if !seen.insert(id) => Fit::Yes,
            Value::Node(_) => parts(value, heap, judge, &mut open),
            _ => single(value, judge),
        });
        if fit == Fit::No {
            return fit;
        }
    }
    // Something was added to a container of which nothing is known any more; it could be one of these.
    if heap.blurred { fit.and(Fit::Unclear) } else { fit }
}

/// Whether a value without known parts is such data.
fn single(value: Value, judge: &Judge) -> Fit {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Number | Value::Text(_) | Value::TorchMagic => {
            Fit::Yes
        }
        Value::Data | Value::Unknown | Value::Node(_) => Fit::Unclear,
        Value::Object(entry) => match judge.lists.entry(entry) {
            // What was added to it is forgotten.
            Some(entry) if entry.plain.is_some() && entry.holds() => Fit::Unclear,
            entry => Fit::from(entry.is_some_and(|entry| entry.plain.is_some())),
        },
        Value::Global(_) | Value::Storage => Fit::No,
    }
}

/// Whether a value with parts is such data if these are, which are still to be looked at.
fn parts(value: Value, heap: &Heap, judge: &Judge, open: &mut Vec<Value>) -> Fit {
    match heap.get(value) {
        Some(Node::Tuple { items, .. } | Node::List(items)) => {
            open.extend(items.iter());
            beyond(items, judge)
        }
        Some(Node::Dict { entries, len, .. }) => {
            open.extend(entries.iter().flat_map(|(key, value)| [*key, *value]));
            if *len == entries.len() as u64 { Fit::Yes } else { Fit::Unclear }
        }
        Some(Node::Object { entry, args, state }) => {
            let Some(entry) = judge.lists.entry(*entry).filter(|entry| entry.keep) else {
                // Such are only kept where it does not hold.
                return Fit::No;
            };
            if entry.plain.is_none() {
                return Fit::No;
            }
            open.push(*state);
            match heap.get(*args) {
                Some(Node::Tuple { items, .. }) => {
                    open.extend(items.iter().filter(|arg| !is_builtin(*arg, judge)));
                    beyond(items, judge)
                }
                _ => Fit::Unclear,
            }
        }
        // What is in sets is not kept.
        Some(Node::Set | Node::FrozenSet { .. } | Node::Free) | None => Fit::Unclear,
    }
}

/// Whether the items that were not kept are such data.
fn beyond(items: &Items, judge: &Judge) -> Fit {
    match items.beyond() {
        Beyond::Numbers => Fit::Yes,
        Beyond::Objects(entry) => single(Value::Object(entry), judge),
        Beyond::Mixed => Fit::Unclear,
    }
}

/// `dict` and the like, which a `defaultdict` calls without arguments.
fn is_builtin(value: Value, judge: &Judge) -> bool {
    matches!(value, Value::Global(id) if judge.entry_of(id).is_some_and(|entry| entry.is_class(Some("plain"))))
}

impl Entry {
    /// Whether what it makes is kept with what is added to it.
    pub(super) fn holds(&self) -> bool {
        self.keep && self.fill.contains(&Fill::Dict)
    }

    /// Whether it makes, with these arguments, something other than its entry says of what it mostly makes.
    pub(super) fn makes_odd(&self, args: Value, heap: &Heap, judge: &Judge) -> bool {
        !self.keep && self.plain.as_ref().is_some_and(|shape| shape.fits(args, heap, judge) != Fit::Yes)
    }
}
