//! What expressions evaluate to, and under which labels.
//!
//! Evaluation is total: what cannot be computed is a failed value, which carries the labels of what it would have been made from. Nothing
//! is skipped because of a failure, so that no failure is told by what happens elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::label::Label;

use super::expr::{Expr, Name, Op, Pick};
use super::tree::{Node, Tree};
use super::{MAX_DEPTH, Rule, USED_UP, pure};

/// The run has done as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

pub(super) type Result<T> = std::result::Result<T, Exhausted>;

/// What a run may still do.
#[derive(Debug, Clone)]
pub(super) struct Work {
    left: u64,
}

impl Work {
    pub fn new(left: u64) -> Self {
        Self { left }
    }

    pub fn spend(&mut self, units: u64) -> Result<()> {
        self.left = self.left.checked_sub(units).ok_or(Exhausted)?;
        Ok(())
    }

    /// Pays for visiting all of `tree`.
    pub fn visit(&mut self, tree: &Tree) -> Result<()> {
        let size = tree.size(self.left, MAX_DEPTH).ok_or(Exhausted)?;
        self.spend(size)
    }
}

/// Which rules hold: all of them, but in tests of the tests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    #[cfg(test)]
    pub broken: Option<Rule>,
}

impl Rules {
    #[cfg(test)]
    pub fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "in tests it has a rule that is broken")]
    pub fn keep(self, _rule: Rule) -> bool {
        true
    }
}

/// Evaluates expressions of one step.
pub(super) struct Evaluator<'a> {
    pub variables: &'a BTreeMap<Name, Tree>,
    /// The items of `filter` and the like, innermost last.
    pub locals: Vec<(Name, Tree)>,
    /// The label of whoever wrote the plan.
    pub control: &'a Label,
    pub work: &'a mut Work,
    pub rules: Rules,
    /// If the run has begun again: the label of why. See [`super::again`].
    pub again: Option<&'a Label>,
}

impl Evaluator<'_> {
    pub fn evaluate(&mut self, expression: &Expr) -> Result<Tree> {
        let value = self.made(expression)?;
        Ok(match self.again {
            Some(why) if !self.control.covers(&value.label) => Tree::failed(USED_UP, value.label.join(why)),
            _ => value,
        })
    }

    fn made(&mut self, expression: &Expr) -> Result<Tree> {
        self.work.spend(1)?;
        Ok(match expression {
            Expr::Literal(node) => self.constant(node.clone()),
            Expr::Ref(name) => self.variable(name),
            Expr::Get(from, tokens) => {
                let from = self.evaluate(from)?;
                tokens.iter().fold(from, |from, token| self.member(from, token))
            }
            Expr::Lookup(from, key) => {
                let (from, key) = (self.evaluate(from)?, self.evaluate(key)?);
                let label = self.whole(&key)?;
                let found = match &key.node {
                    Node::Text(name) => self.member(from, name),
                    node => failed_or(node, from.label, "the name of a member is a text"),
                };
                found.under(&label)
            }
            Expr::Entries(from) => self.entries(from)?,
            Expr::List(items) => {
                let items = items.iter().map(|item| self.evaluate(item)).collect::<Result<Vec<_>>>()?;
                self.constant(Node::List(Arc::new(items)))
            }
            Expr::Object(members) => {
                let members =
                    members.iter().map(|(name, member)| Ok((Arc::clone(name), self.evaluate(member)?)));
                let members = members.collect::<Result<BTreeMap<_, _>>>()?;
                self.constant(Node::Object(Arc::new(members)))
            }
            Expr::Pure(op, operands) => self.pure(op, operands)?,
            Expr::Pick(pick, of) => {
                let of = self.evaluate(of)?;
                self.pick(*pick, of)?
            }
            Expr::Slice { list, from, count } => self.slice(list, *from, *count)?,
            Expr::Concat(lists) => {
                let lists = lists.iter().map(|list| self.evaluate(list)).collect::<Result<Vec<_>>>()?;
                self.concat(self.control.clone(), lists)?
            }
            Expr::Flatten(lists) => {
                let lists = self.evaluate(lists)?;
                match self.items(&lists)? {
                    Ok(items) => self.concat(lists.label, (*items).clone())?,
                    Err(failed) => failed,
                }
            }
            Expr::Each { what, list, item, body } => self.each(*what, list, item, body)?,
            Expr::Sort { list, item, keys, first } => self.sort(list, item, keys, *first)?,
            Expr::Default(of, otherwise) => {
                let of = self.evaluate(of)?;
                let gone = self.again.is_some() && !self.control.covers(&of.label);
                match &of.node {
                    // What stands in for it could cost more than it did.
                    Node::Failed(_) if !gone => self.evaluate(otherwise)?.under(&of.label),
                    _ => of,
                }
            }
            Expr::Failed(of) => {
                let of = self.evaluate(of)?;
                Tree { label: of.label, node: Node::Bool(matches!(of.node, Node::Failed(_))) }
            }
            Expr::Choose(parts) => {
                let [condition, one, other] = &**parts;
                let condition = self.evaluate(condition)?;
                let label = self.whole(&condition)?;
                let chosen = match &condition.node {
                    Node::Bool(true) => self.evaluate(one)?,
                    Node::Bool(false) => self.evaluate(other)?,
                    node => failed_or(node, label.clone(), "a condition is true or false"),
                };
                if self.rules.keep(Rule::ChoiceIntoValue) { chosen.under(&label) } else { chosen }
            }
        })
    }

    fn constant(&self, node: Node) -> Tree {
        Tree { label: self.control.clone(), node }
    }

    fn variable(&self, name: &Name) -> Tree {
        let local = self.locals.iter().rev().find(|(local, _)| local == name).map(|(_, tree)| tree);
        match local.or_else(|| self.variables.get(name)) {
            Some(tree) => tree.clone(),
            // INVARIANT: the reader of plans saw an assignment on every way to here.
            None => Tree::failed(format!("{name} has no value"), self.control.clone()),
        }
    }

    /// A child, under the label of what contains it.
    pub fn inside(&self, child: &Tree, label: &Label) -> Tree {
        let child = child.clone();
        if self.rules.keep(Rule::ContainerIntoMember) { child.under(label) } else { child }
    }

    fn member(&self, from: Tree, token: &str) -> Tree {
        let child = match &from.node {
            Node::Object(members) => members.get(token),
            Node::List(items) => token.parse::<usize>().ok().and_then(|at| items.get(at)),
            node => return failed_or(node, from.label, "there are no members in it"),
        };
        match child {
            Some(child) => self.inside(child, &from.label),
            None => Tree::failed(format!("there is no member {token:?}"), from.label),
        }
    }

    fn entries(&mut self, from: &Expr) -> Result<Tree> {
        let from = self.evaluate(from)?;
        let Node::Object(members) = &from.node else {
            return Ok(failed_or(&from.node, from.label, "an object is wanted"));
        };
        self.work.spend(members.len() as u64)?;
        let entries = members.iter().map(|(name, member)| {
            let key = Tree { label: Label::constant(), node: Node::Text(Arc::clone(name)) };
            let entry = BTreeMap::from([("key".into(), key), ("value".into(), member.clone())]);
            Tree { label: Label::constant(), node: Node::Object(Arc::new(entry)) }
        });
        Ok(Tree { node: Node::List(Arc::new(entries.collect())), label: from.label })
    }

    fn pick(&mut self, pick: Pick, of: Tree) -> Result<Tree> {
        if let Pick::Length | Pick::IsEmpty = pick {
            let length = match &of.node {
                Node::List(items) => items.len(),
                Node::Object(members) => members.len(),
                Node::Text(text) => {
                    self.work.spend(text.len() as u64)?;
                    text.chars().count()
                }
                node => return Ok(failed_or(node, of.label, "only lists, texts and objects have a length")),
            };
            let node =
                if pick == Pick::Length { Node::of(&Value::from(length)) } else { Node::Bool(length == 0) };
            return Ok(Tree { label: of.label, node });
        }
        let items = match self.items(&of)? {
            Ok(items) => items,
            Err(failed) => return Ok(failed),
        };
        let (chosen, problem) = match (pick, items.as_slice()) {
            (Pick::Only, [one]) => (Some(one), ""),
            (Pick::Only, _) => (None, "the list has not exactly one element"),
            (Pick::Last, items) => (items.last(), "the list is empty"),
            (_, items) => (items.first(), "the list is empty"),
        };
        Ok(match chosen {
            Some(chosen) => self.inside(chosen, &of.label),
            None => Tree::failed(problem, of.label),
        })
    }

    fn pure(&mut self, op: &Op, operands: &[Expr]) -> Result<Tree> {
        let operands = operands.iter().map(|operand| self.evaluate(operand)).collect::<Result<Vec<_>>>()?;
        let mut label = self.control.clone();
        for operand in &operands {
            label = label.join(&self.whole(operand)?);
        }
        if let Some(why) = operands.iter().find_map(Tree::failure) {
            return Ok(Tree { label, node: Node::Failed(why) });
        }
        let node = match pure::apply(op, &operands, self.work)? {
            Ok(node) => node,
            Err(problem) => Node::failed(problem),
        };
        Ok(Tree { label, node })
    }

    /// The label of all of it.
    pub fn whole(&mut self, tree: &Tree) -> Result<Label> {
        self.work.visit(tree)?;
        Ok(if self.rules.keep(Rule::WholeOperands) { tree.whole_label() } else { tree.label.clone() })
    }
}

/// A failure handed on, or else that the value is of the wrong kind.
pub(super) fn failed_or(node: &Node, label: Label, problem: &str) -> Tree {
    match node {
        Node::Failed(why) => Tree { label, node: Node::Failed(Arc::clone(why)) },
        other => Tree::failed(format!("{problem}, and this is {}", other.kind()), label),
    }
}
