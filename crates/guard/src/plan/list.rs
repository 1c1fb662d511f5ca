//! Operations on lists that keep the labels of the elements apart.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::label::Label;

use super::eval::{Evaluator, Result, failed_or};
use super::expr::{Each, Expr, Key, Name};
use super::pure;
use super::tree::{Node, Tree};
use super::{MAX_LIST, Rule};

impl Evaluator<'_> {
    /// The elements, or the failure that there are none to go through.
    pub fn items(&mut self, list: &Tree) -> Result<std::result::Result<Arc<Vec<Tree>>, Tree>> {
        Ok(match &list.node {
            Node::List(items) if items.len() <= MAX_LIST => {
                self.work.spend(items.len() as u64)?;
                Ok(Arc::clone(items))
            }
            Node::List(_) => {
                Err(Tree::failed(format!("a list of more than {MAX_LIST} elements"), list.label.clone()))
            }
            node => Err(failed_or(node, list.label.clone(), "a list is wanted")),
        })
    }

    pub fn slice(&mut self, list: &Expr, from: usize, count: usize) -> Result<Tree> {
        let list = self.evaluate(list)?;
        Ok(match self.items(&list)? {
            Ok(items) => {
                let items = items.iter().skip(from).take(count).cloned().collect();
                Tree { label: list.label, node: Node::List(Arc::new(items)) }
            }
            Err(failed) => failed,
        })
    }

    /// The elements of all lists. How many there are is known of all; an element keeps the label of its own list.
    pub fn concat(&mut self, label: Label, lists: Vec<Tree>) -> Result<Tree> {
        let mut label = label;
        let mut all = Vec::new();
        let mut failure = None;
        for list in lists {
            label = label.join(&list.label);
            match self.items(&list)? {
                Ok(items) => all.extend(items.iter().map(|item| self.inside(item, &list.label))),
                Err(failed) => failure = failure.or(Some(failed)),
            }
        }
        Ok(match failure {
            Some(failed) => failed.under(&label),
            None if all.len() > MAX_LIST => {
                Tree::failed(format!("a list of more than {MAX_LIST} elements"), label)
            }
            None => Tree { label, node: Node::List(Arc::new(all)) },
        })
    }

    /// `body` with `item` as the item.
    fn with_item(&mut self, name: &Name, item: Tree, body: &Expr) -> Result<Tree> {
        self.locals.push((Arc::clone(name), item));
        let value = self.evaluate(body);
        self.locals.pop();
        value
    }

    pub fn each(&mut self, what: Each, list: &Expr, item: &Name, body: &Expr) -> Result<Tree> {
        let list = self.evaluate(list)?;
        let items = match self.items(&list)? {
            Ok(items) => items,
            Err(failed) => return Ok(failed),
        };
        let mut values = Vec::with_capacity(items.len());
        for element in items.iter() {
            let element = self.inside(element, &list.label);
            values.push(self.with_item(item, element, body)?);
        }
        if what == Each::Map {
            return Ok(Tree { label: list.label, node: Node::List(Arc::new(values)) });
        }
        // Every element was looked at, also those that are not taken.
        let mut label = list.label;
        for value in &values {
            let whole = self.whole(value)?;
            if self.rules.keep(Rule::TestIntoSelection) {
                label = label.join(&whole);
            }
        }
        if let Some(why) = values.iter().find_map(Tree::failure) {
            return Ok(Tree { label, node: Node::Failed(why) });
        }
        if what == Each::CountBy {
            return self.counted(label, &values);
        }
        let mut taken = Vec::with_capacity(values.len());
        for value in &values {
            match &value.node {
                Node::Bool(truth) => taken.push(*truth),
                node => return Ok(failed_or(node, label, "a condition is true or false")),
            }
        }
        let node = match what {
            Each::Any => Node::Bool(taken.contains(&true)),
            Each::All => Node::Bool(!taken.contains(&false)),
            _ => {
                let chosen = items.iter().zip(&taken).filter(|(_, taken)| **taken);
                Node::List(Arc::new(chosen.map(|(element, _)| element.clone()).collect()))
            }
        };
        Ok(Tree { label, node })
    }

    fn counted(&mut self, label: Label, keys: &[Tree]) -> Result<Tree> {
        let mut counts: Vec<(&Tree, u64)> = Vec::new();
        for key in keys {
            self.work.spend(pure::comparisons(key, counts.len()))?;
            match counts.iter_mut().find(|(known, _)| pure::equal(known, key)) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => counts.push((key, 1)),
            }
        }
        let entries = counts.into_iter().map(|(key, count)| {
            let count = Tree { label: Label::constant(), node: Node::of(&Value::from(count)) };
            let entry = BTreeMap::from([("key".into(), key.clone()), ("count".into(), count)]);
            Tree { label: Label::constant(), node: Node::Object(Arc::new(entry)) }
        });
        Ok(Tree { node: Node::List(Arc::new(entries.collect())), label })
    }

    pub fn sort(&mut self, list: &Expr, item: &Name, keys: &[Key], first: bool) -> Result<Tree> {
        let list = self.evaluate(list)?;
        let items = match self.items(&list)? {
            Ok(items) => items,
            Err(failed) => return Ok(failed),
        };
        let mut label = list.label.clone();
        let mut rows = Vec::with_capacity(items.len());
        for (at, element) in items.iter().enumerate() {
            let mut row = Vec::with_capacity(keys.len());
            for key in keys {
                let value = self.with_item(item, self.inside(element, &list.label), &key.by)?;
                let whole = self.whole(&value)?;
                if self.rules.keep(Rule::KeysIntoOrder) {
                    label = label.join(&whole);
                }
                row.push(value);
            }
            rows.push((row, at));
        }
        if let Some(why) = rows.iter().flat_map(|(row, _)| row).find_map(Tree::failure) {
            return Ok(Tree { label, node: Node::Failed(why) });
        }
        let alike = |a: &Vec<Tree>, b: &Vec<Tree>| a.iter().zip(b).all(|(a, b)| pure::order(a, b).is_some());
        if let Some((model, _)) = rows.first()
            && !rows.iter().all(|(row, _)| alike(model, row))
        {
            return Ok(Tree::failed("what is sorted by is not all numbers, or all texts", label));
        }
        // A comparison reads at most both texts; there are about n log n of them.
        let rounds = u64::from(usize::BITS - rows.len().leading_zeros());
        for value in rows.iter().flat_map(|(row, _)| row) {
            let size = if let Node::Text(text) = &value.node { text.len() as u64 } else { 1 };
            self.work.spend(size.saturating_mul(rounds))?;
        }
        rows.sort_by(|(a, _), (b, _)| {
            let each = keys.iter().zip(a.iter().zip(b)).map(|(key, (a, b))| {
                let order = pure::order(a, b).unwrap_or(Ordering::Equal);
                if key.descending { order.reverse() } else { order }
            });
            each.fold(Ordering::Equal, Ordering::then)
        });
        let mut sorted = rows.iter().filter_map(|(_, at)| items.get(*at));
        if first {
            return Ok(match sorted.next() {
                Some(best) => self.inside(best, &label),
                None => Tree::failed("the list is empty", label),
            });
        }
        let sorted = sorted.cloned().collect();
        Ok(Tree { label, node: Node::List(Arc::new(sorted)) })
    }
}
