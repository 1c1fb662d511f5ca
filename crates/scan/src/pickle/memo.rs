//! The memo, bounded: exact for the first million entries; beyond them only what could matter later is kept.

use std::collections::{HashMap, HashSet};

use super::allow::Lists;
use super::value::{Heap, Node, Value};
use crate::trouble::Trouble;

/// How many entries are exact; 16 bytes each.
const DENSE: u64 = 1 << 20;
/// How many more are kept.
const SPARSE: usize = 300_000;
/// Strings longer than this name no module or class.
const NAME: u32 = 100;

#[derive(Clone, Default)]
pub(crate) struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
    len: u64,
    /// Below it, `dense` has no nodes but those of `held`.
    fresh: usize,
    /// Entries beyond `dense` that were nodes when they were written, since the last [`Memo::let_go`].
    fresh_far: HashSet<u64>,
    /// What is still a node after it.
    held: Vec<u64>,
    /// No entry beyond `dense` has a greater index.
    top: u64,
    /// Entries were written by index, beyond those that are exact.
    indexed: bool,
    /// Something that could matter was dropped.
    dropped: bool,
}

impl Memo {
    /// `PUT`.
    pub(crate) fn put(&mut self, index: u64, value: Value) {
        if index < DENSE {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            if at >= self.dense.len() {
                self.dense.resize(at.saturating_add(1), None);
            }
            self.fresh = self.fresh.min(at);
            if let Some(place) = self.dense.get_mut(at) {
                self.len += u64::from(place.is_none());
                *place = Some(value);
            }
        } else {
            self.indexed = true;
            self.far(index, value);
            self.len = self.len.saturating_add(1);
        }
    }

    fn far(&mut self, index: u64, value: Value) {
        let matters = match value {
            Value::Text(text) => text.form.is_str() && text.len <= NAME && self.sparse.len() < SPARSE / 2,
            Value::Global(_) | Value::Object(_) | Value::Node(_) | Value::Unknown | Value::Storage => true,
            _ => false,
        };
        if !matters {
            // Nearly always the entry is a new one, and looking for an old one costs more than all else here.
            if index <= self.top {
                self.sparse.remove(&index);
            }
        } else if self.sparse.len() < SPARSE {
            self.top = self.top.max(index);
            self.sparse.insert(index, value);
            if matches!(value, Value::Node(_)) {
                self.fresh_far.insert(index);
            }
        } else {
            self.dropped = true;
        }
    }

    /// `MEMOIZE`.
    ///
    /// # Errors
    /// If it is no longer known which index that is.
    pub(crate) fn push(&mut self, value: Value) -> Result<(), Trouble> {
        if self.indexed {
            return Err(Trouble::Limit("the memo is too large to be followed".to_owned()));
        }
        let index = self.len;
        if index < DENSE {
            self.put(index, value);
        } else {
            self.far(index, value);
            self.len = self.len.saturating_add(1);
        }
        Ok(())
    }

    /// `GET`; `None` if there is no such entry, which loaders refuse.
    pub(crate) fn get(&self, index: u64) -> Option<Value> {
        if index < DENSE {
            return self.dense.get(usize::try_from(index).ok()?).copied().flatten();
        }
        match self.sparse.get(&index) {
            Some(value) => Some(*value),
            None if self.dropped => Some(Value::Unknown),
            None if self.indexed || index < self.len => Some(Value::Data),
            None => None,
        }
    }

    /// Lets go of containers, which are seldom needed again, and of what instances other than dtypes were made of. Looks only at
    /// what was written since it was last called.
    pub(crate) fn let_go(&mut self, heap: &Heap, lists: &Lists) {
        let mut held = Vec::new();
        let near = (self.fresh as u64..).zip(self.dense.iter_mut().skip(self.fresh));
        for (index, value) in near {
            if let Some(value) = value
                && lighten(value, heap, lists)
            {
                held.push(index);
            }
        }
        for index in self.fresh_far.drain() {
            if let Some(value) = self.sparse.get_mut(&index)
                && lighten(value, heap, lists)
            {
                held.push(index);
            }
        }
        self.fresh = self.dense.len();
        self.held.append(&mut held);
        // What was written again is in it twice.
        self.held.sort_unstable();
        self.held.dedup();
    }

    /// All nodes that it has, right after [`Memo::let_go`].
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Value> {
        self.held.iter().filter_map(|index| self.get(*index))
    }

    pub(crate) fn clear(&mut self) {
        self.dense.clear();
        self.sparse.clear();
        self.len = 0;
        self.fresh = 0;
        self.fresh_far.clear();
        self.held.clear();
        self.top = 0;
        self.indexed = false;
        self.dropped = false;
    }

    /// What cloning it costs, in values.
    pub(crate) fn size(&self) -> usize {
        self.dense.len().saturating_add(self.sparse.len().saturating_mul(4))
    }
}

/// Replaces a node by what is to be remembered of it. Whether it is still one.
fn lighten(value: &mut Value, heap: &Heap, lists: &Lists) -> bool {
    match heap.get(*value) {
        None => return false,
        Some(Node::Object { entry, .. }) => {
            let known = lists.entry(*entry);
            if known.is_some_and(|entry| entry.makes == "dtype") {
                return true;
            }
            // What was kept as it is other than most is not to be taken for one of these.
            *value = match known {
                Some(known) if known.plain.is_some() && !known.keep => Value::Data,
                _ => Value::Object(*entry),
            };
        }
        Some(_) => *value = Value::Data,
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memoize_counts_entries_not_writes() {
        let mut memo = Memo::default();
        memo.put(0, Value::Int(1));
        memo.put(0, Value::Int(2));
        memo.push(Value::Int(3)).unwrap();
        assert!(matches!(memo.get(0), Some(Value::Int(2))));
        assert!(matches!(memo.get(1), Some(Value::Int(3))));
        assert!(memo.get(2).is_none());
    }

    #[test]
    fn what_is_imported_stays_known_beyond_the_bound() {
        let mut memo = Memo::default();
        for _ in 0..DENSE {
            memo.push(Value::Data).unwrap();
        }
        memo.push(Value::Global(7)).unwrap();
        memo.push(Value::Int(1)).unwrap();
        assert!(matches!(memo.get(DENSE), Some(Value::Global(7))));
        assert!(matches!(memo.get(DENSE + 1), Some(Value::Data)));
        assert!(memo.get(DENSE + 2).is_none());
        for _ in 0..=SPARSE {
            memo.push(Value::Object(1)).unwrap();
        }
        assert!(matches!(memo.get(DENSE + 2 + SPARSE as u64), Some(Value::Unknown)));
        assert!(matches!(memo.get(DENSE), Some(Value::Global(7))));
    }

    #[test]
    fn an_index_that_is_no_longer_known_is_refused() {
        let mut memo = Memo::default();
        memo.put(DENSE, Value::None);
        assert!(memo.push(Value::None).is_err());
    }
}
