//! The merging that both schemes share: of all neighbouring pairs, join the best, until none can be joined.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A piece of the text, in a doubly linked list.
#[derive(Debug, Clone, Copy)]
pub struct Symbol {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Its token, if it is one.
    pub id: Option<u32>,
    previous: Option<usize>,
    next: Option<usize>,
}

impl Symbol {
    /// A piece.
    pub fn new(start: usize, end: usize, id: Option<u32>) -> Self {
        Self { start, end, id, previous: None, next: None }
    }
}

/// Joins neighbours in the order of the keys that `join` gives, smallest first, of equals the leftmost.
/// O(n log n).
pub fn merge<K: Ord>(
    mut symbols: Vec<Symbol>,
    join: impl Fn(&Symbol, &Symbol) -> Option<(K, u32)>,
) -> Vec<Symbol> {
    let count = symbols.len();
    for (i, symbol) in symbols.iter_mut().enumerate() {
        symbol.previous = i.checked_sub(1);
        symbol.next = (i + 1 < count).then_some(i + 1);
    }
    // (key, left, right, where right must still end, token). An entry whose pieces have changed is stale.
    let mut queue = BinaryHeap::new();
    let propose = |symbols: &[Symbol], left: Option<usize>, right: Option<usize>| {
        let (left, right) = (left?, right?);
        let (a, b) = (symbols.get(left)?, symbols.get(right)?);
        let (key, id) = join(a, b)?;
        Some(Reverse((key, left, right, (a.end, b.end), id)))
    };
    for i in 0..count.saturating_sub(1) {
        queue.extend(propose(&symbols, Some(i), Some(i + 1)));
    }
    while let Some(Reverse((_, left, right, ends, id))) = queue.pop() {
        let (Some(a), Some(b)) = (symbols.get(left).copied(), symbols.get(right).copied()) else { continue };
        if a.next != Some(right) || (a.end, b.end) != ends || a.start == a.end || b.start == b.end {
            continue;
        }
        if let Some(a) = symbols.get_mut(left) {
            (a.end, a.id, a.next) = (b.end, Some(id), b.next);
        }
        if let Some(b) = symbols.get_mut(right) {
            b.start = b.end;
        }
        if let Some(after) = b.next.and_then(|next| symbols.get_mut(next)) {
            after.previous = Some(left);
        }
        queue.extend(propose(&symbols, a.previous, Some(left)));
        queue.extend(propose(&symbols, Some(left), b.next));
    }
    symbols.retain(|symbol| symbol.start < symbol.end);
    symbols
}
