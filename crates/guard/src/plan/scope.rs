//! What is known of values before a plan runs: their types, and which names there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::expr::Name;
use super::tree::Node;

/// How far references inside a JSON Schema are followed.
const MAX_SCHEMA_LEVELS: usize = 16;
/// Members of an object whose types are kept.
const MAX_MEMBERS: usize = 256;

/// The type of a value, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    /// Nothing is known.
    Any,
    Null,
    Bool,
    Number,
    Text,
    List(Box<Self>),
    /// The members that are known; no others if it is closed.
    Object(BTreeMap<Name, Self>, bool),
}

impl Type {
    /// The type of a literal.
    pub fn of(node: &Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(_) => Self::Bool,
            Node::Number(_) => Self::Number,
            Node::Text(_) => Self::Text,
            Node::List(items) => Self::list_of(items.iter().map(|item| Self::of(&item.node))),
            Node::Object(members) => Self::Object(
                members.iter().map(|(name, member)| (Arc::clone(name), Self::of(&member.node))).collect(),
                true,
            ),
            Node::Failed(_) => Self::Any,
        }
    }

    pub fn list_of(items: impl Iterator<Item = Self>) -> Self {
        Self::List(Box::new(items.reduce(Self::join).unwrap_or(Self::Any)))
    }

    /// What a JSON Schema says; `Any` where it is beyond what is understood here.
    pub fn of_schema(schema: &Value) -> Self {
        Self::below(schema, schema, MAX_SCHEMA_LEVELS)
    }

    fn below(schema: &Value, root: &Value, levels: usize) -> Self {
        let Some(levels) = levels.checked_sub(1) else { return Self::Any };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            return target.map_or(Self::Any, |target| Self::below(target, root, levels));
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("null") => Self::Null,
            Some("boolean") => Self::Bool,
            Some("number" | "integer") => Self::Number,
            Some("string") => Self::Text,
            Some("array") => {
                let items = schema.get("items").map_or(Self::Any, |items| Self::below(items, root, levels));
                Self::List(Box::new(items))
            }
            Some("object") => {
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let members = schema.get("properties").and_then(Value::as_object);
                let members = members.into_iter().flatten().take(MAX_MEMBERS);
                let members: BTreeMap<_, _> = members
                    .map(|(name, member)| (name.as_str().into(), Self::below(member, root, levels)))
                    .collect();
                let closed = closed && members.len() < MAX_MEMBERS;
                Self::Object(members, closed)
            }
            _ => Self::Any,
        }
    }

    /// What holds for a value that is of one or the other.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            (Self::Object(a, _), Self::Object(mut b, _)) => {
                let both = a.into_iter().filter_map(|(name, a)| {
                    let b = b.remove(&name)?;
                    Some((name, a.join(b)))
                });
                Self::Object(both.collect(), false)
            }
            (a, b) if a == b => a,
            _ => Self::Any,
        }
    }

    /// Whether a value of `given` may be where `self` is wanted.
    pub fn accepts(&self, given: &Self) -> bool {
        match (self, given) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(a), Self::List(b)) => a.accepts(b),
            (Self::Object(a, _), Self::Object(b, _)) => {
                a.iter().all(|(name, a)| b.get(name).is_none_or(|b| a.accepts(b)))
            }
            (a, b) => a == b,
        }
    }

    /// The type of what is at `token` in it, or why there can be nothing.
    pub fn member(&self, token: &str) -> Result<Self, String> {
        match self {
            Self::Any => Ok(Self::Any),
            Self::List(items) => match token.parse::<usize>() {
                Ok(_) => Ok((**items).clone()),
                Err(_) => Err(format!(
                    "{token:?} is not a place in a list: write a number counted from 0, or use \"filter\", \"first\" or \"only\" to choose an element"
                )),
            },
            Self::Object(members, closed) => match members.get(token) {
                Some(member) => Ok(member.clone()),
                None if *closed => {
                    let names: Vec<&str> = members.keys().map(|name| &**name).collect();
                    Err(format!("it has no member {token:?}, but {}", listed(&names)))
                }
                None => Ok(Self::Any),
            },
            _ => Err(format!("{self} has no members, so {token:?} leads nowhere: take the value itself")),
        }
    }

    /// The type of its elements, or why it has none.
    pub fn items(&self) -> Result<Self, String> {
        match self {
            Self::Any => Ok(Self::Any),
            Self::List(items) => Ok((**items).clone()),
            _ => Err(format!("a list is wanted here, and this is {self}{}", {
                if *self == Self::Text { ": use \"lines\" or \"split\" first" } else { "" }
            })),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List(_) => "a list",
            Self::Object(..) => "an object",
        })
    }
}

/// The names that a step or expression may use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    names: BTreeMap<Name, Type>,
    /// Items of loops and of `filter` and the like, which nothing assigns.
    fixed: BTreeSet<Name>,
}

impl Scope {
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.names.get(name)
    }

    pub fn listed(&self) -> String {
        let names: Vec<&str> = self.names.keys().map(|name| &**name).collect();
        listed(&names)
    }

    pub fn is_fixed(&self, name: &str) -> bool {
        self.fixed.contains(name)
    }

    pub fn assign(&mut self, name: &Name, kind: Type) {
        self.names.insert(Arc::clone(name), kind);
    }

    /// A copy in which `name` is the item of a list.
    pub fn with_item(&self, name: &Name, kind: Type) -> Self {
        let mut inner = self.clone();
        inner.assign(name, kind);
        inner.fixed.insert(Arc::clone(name));
        inner
    }

    /// Nothing is known any more of what `names` hold, where there are such.
    pub fn forget(&mut self, names: &BTreeSet<String>) {
        for (name, kind) in &mut self.names {
            if names.contains(&**name) {
                *kind = Type::Any;
            }
        }
    }

    /// The names that there are after one of two ways was taken.
    pub fn after_either(one: Self, mut other: Self) -> Self {
        let names = one.names.into_iter().filter_map(|(name, kind)| {
            let also = other.names.remove(&name)?;
            Some((name, kind.join(also)))
        });
        Self { names: names.collect(), fixed: one.fixed }
    }
}

/// `a, b and c`, of at most a dozen.
pub(crate) fn listed(names: &[&str]) -> String {
    const MANY: usize = 12;
    match names {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= MANY => format!("{} and {last}", first.join(", ")),
        _ => format!(
            "{} and {} more",
            names.iter().take(MANY).copied().collect::<Vec<_>>().join(", "),
            names.len() - MANY
        ),
    }
}
