//! JSON values with a label at every node: a list of messages may be known to be long because of strangers, while the dates in
//! it are the server's own.
//!
//! What is known of a node is the join of the labels on the way to it from the root. A node's own label stands for what the node
//! itself tells: a scalar its content, a list its length and order, an object which members it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::label::{Label, Labelled};

/// The content of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as JSON has it.
    Number(Number),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Tree>>),
    /// An object.
    Object(Arc<BTreeMap<Arc<str>, Tree>>),
    /// There is no value, and why. What is made from it fails likewise; a plan goes on with what does not depend on it.
    Failed(Arc<str>),
}

/// A JSON value with a label at every node.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// What is known of the node itself, beside what holds for all that contains it.
    pub label: Label,
    /// Its content.
    pub node: Node,
}

impl Node {
    /// `value`, where every node below has the unit as its own label.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let below = |value: &Value| Tree { label: Label::constant(), node: Self::of(value) };
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Array(items) => Self::List(Arc::new(items.iter().map(below).collect())),
            Value::Object(members) => Self::Object(Arc::new(
                members.iter().map(|(name, value)| (name.as_str().into(), below(value))).collect(),
            )),
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn failed(why: impl AsRef<str>) -> Self {
        Self::Failed(why.as_ref().into())
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Failed(_) => "no value",
        }
    }
}

impl From<Labelled> for Tree {
    fn from(whole: Labelled) -> Self {
        Self { label: whole.label, node: Node::of(&whole.value) }
    }
}

impl Tree {
    /// A value under one label.
    #[must_use]
    pub fn new(value: &Value, label: Label) -> Self {
        Self { label, node: Node::of(value) }
    }

    /// Joins `label` into every node that `pattern` leads to; gives how many there were. A pattern is a JSON pointer in which `*`
    /// stands for every element or member (`/result/*/subject`); the empty one is the root.
    pub fn join_at(&mut self, pattern: &str, label: &Label) -> usize {
        let tokens: Vec<String> = pattern.split('/').skip(1).map(unescaped).collect();
        self.join_below(&tokens, label)
    }

    fn join_below(&mut self, tokens: &[String], label: &Label) -> usize {
        let Some((token, rest)) = tokens.split_first() else {
            self.label = self.label.join(label);
            return 1;
        };
        match &mut self.node {
            Node::List(items) => {
                let chosen = token.parse::<usize>().ok();
                let items = Arc::make_mut(items).iter_mut().enumerate();
                items
                    .filter(|(at, _)| token == "*" || chosen == Some(*at))
                    .map(|(_, item)| item.join_below(rest, label))
                    .sum()
            }
            Node::Object(members) => {
                let members = Arc::make_mut(members).iter_mut();
                members
                    .filter(|(name, _)| token == "*" || ***name == **token)
                    .map(|(_, member)| member.join_below(rest, label))
                    .sum()
            }
            _ => 0,
        }
    }

    /// The same value, with `label` joined into the root and so into all of it.
    #[must_use]
    pub(super) fn under(mut self, label: &Label) -> Self {
        self.label = self.label.join(label);
        self
    }

    pub(super) fn failed(why: impl AsRef<str>, label: Label) -> Self {
        Self { label, node: Node::failed(why) }
    }

    /// The join of all labels in it: what is known of the value as a whole.
    #[must_use]
    pub fn whole_label(&self) -> Label {
        let mut label = self.label.clone();
        self.each(&mut |tree| label = label.join(&tree.label));
        label
    }

    /// The first failure in it.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        let mut found = None;
        self.each(&mut |tree| {
            if let (Node::Failed(why), None) = (&tree.node, &found) {
                found = Some(Arc::clone(why));
            }
        });
        found
    }

    fn each(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        match &self.node {
            Node::List(items) => items.iter().for_each(|item| item.each(visit)),
            Node::Object(members) => members.values().for_each(|member| member.each(visit)),
            _ => {}
        }
    }

    /// Nodes plus bytes of text, if that is at most `most`, and it is nested at most `deep` levels. Takes at most `most` steps.
    pub(super) fn size(&self, most: u64, deep: usize) -> Option<u64> {
        let deeper = deep.checked_sub(1)?;
        let own = match &self.node {
            Node::Text(text) => text.len() as u64,
            Node::Object(members) => members.keys().map(|name| name.len() as u64).sum(),
            _ => 0,
        };
        let mut size = own.saturating_add(1);
        let mut add = |child: &Self| {
            let left = most.checked_sub(size)?;
            size = size.saturating_add(child.size(left, deeper)?);
            Some(())
        };
        match &self.node {
            Node::List(items) => items.iter().try_for_each(&mut add)?,
            Node::Object(members) => members.values().try_for_each(&mut add)?,
            _ => {}
        }
        (size <= most).then_some(size)
    }

    /// The value without its labels. A failure inside is null.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.node {
            Node::Null | Node::Failed(_) => Value::Null,
            Node::Bool(truth) => Value::Bool(*truth),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::String((**text).to_owned()),
            Node::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Node::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| ((**name).to_owned(), member.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value under one label.
    ///
    /// # Errors
    /// The first failure in it, under the label of the whole.
    pub fn flat(&self) -> Result<Labelled, Labelled> {
        let label = self.whole_label();
        match self.failure() {
            None => Ok(Labelled { value: self.to_value(), label }),
            Some(why) => Err(Labelled { value: Value::String((*why).to_owned()), label }),
        }
    }
}

/// A token of a JSON pointer (RFC 6901) as the name that it stands for.
pub(super) fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
