//! Symbolic values, and the heap of those that have parts.

/// What is known of a value. Small and cheap to copy: whatever has parts lives in the [`Heap`], strings stay in the
/// file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A float, or an integer of more than 64 bits.
    Number,
    /// A string or bytes, with where they stand in the file.
    Text(Text),
    /// Something imported: an index into the judge's globals.
    Global(u32),
    /// An instance of which nothing but its entry in the allow-lists is of interest.
    Object(u16),
    /// A storage that the loader gets by persistent id.
    Storage,
    /// Something with parts.
    Node(u32),
    /// Data whose content was let go to bound memory. Certainly not something imported.
    Data,
    /// The number that legacy PyTorch files begin with.
    TorchMagic,
    /// Could be anything.
    Unknown,
}

/// A string or bytes in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) start: u64,
    /// Saturates at its largest value.
    pub(crate) len: u32,
    pub(crate) form: Form,
    /// Whether it begins, or might begin, with two underscores.
    pub(crate) dunder: bool,
}

/// How a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Utf8,
    /// As `UNICODE` has it: raw-unicode-escape.
    Escaped,
    /// Between quotes, with backslashes: `STRING`.
    Quoted,
    /// `BINSTRING`: a `str` of Python 2, which loaders make text or bytes of.
    Old,
    Bytes,
    ByteArray,
}

impl Form {
    pub(crate) fn is_str(self) -> bool {
        !matches!(self, Self::Bytes | Self::ByteArray)
    }

    pub(crate) fn is_bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::ByteArray | Self::Quoted | Self::Old)
    }
}

/// The first items of a tuple or list, and how many there are.
#[derive(Debug, Clone)]
pub(crate) struct Items {
    first: [Value; INLINE],
    rest: Vec<Value>,
    pub(crate) len: u64,
    beyond: Option<Beyond>,
}

/// What is known of items that were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Numbers, strings and the like.
    Numbers,
    /// Instances made by one callable.
    Objects(u16),
    Mixed,
}

impl Beyond {
    fn of(value: Value) -> Self {
        match value {
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Number | Value::Text(_) => Self::Numbers,
            Value::Object(entry) => Self::Objects(entry),
            _ => Self::Mixed,
        }
    }
}

pub(super) const INLINE: usize = 4;

impl Default for Items {
    fn default() -> Self {
        Self { first: [Value::None; INLINE], rest: Vec::new(), len: 0, beyond: None }
    }
}

impl Items {
    pub(crate) fn push(&mut self, value: Value, keep: usize) {
        let at = usize::try_from(self.len).unwrap_or(usize::MAX);
        if let Some(place) = self.first.get_mut(at) {
            *place = value;
        } else if at < keep {
            self.rest.push(value);
        } else {
            let (known, found) = (self.beyond, Beyond::of(value));
            self.beyond =
                if known.is_none_or(|known| known == found) { Some(found) } else { Some(Beyond::Mixed) };
        }
        self.len = self.len.saturating_add(1);
    }

    /// Items were there that nobody has seen here.
    pub(crate) fn elide(&mut self, count: u64) {
        if count > 0 {
            self.beyond = Some(Beyond::Mixed);
            self.len = self.len.saturating_add(count);
        }
    }

    /// What the items are that were not kept.
    pub(crate) fn beyond(&self) -> Beyond {
        match self.beyond {
            _ if self.whole() => Beyond::Numbers,
            known => known.unwrap_or(Beyond::Mixed),
        }
    }

    /// Takes memory for items beyond the first ones, if it has none.
    pub(crate) fn lend(&mut self, spare: Vec<Value>) {
        if self.rest.capacity() == 0 {
            self.rest = spare;
        }
    }

    /// The kept items.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value> {
        let inline = usize::try_from(self.len).unwrap_or(INLINE).min(INLINE);
        self.first.iter().take(inline).chain(&self.rest).copied()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value> {
        if (index as u64) >= self.len {
            return None;
        }
        self.first.get(index).or_else(|| self.rest.get(index.checked_sub(INLINE)?)).copied()
    }

    /// Whether every item was kept.
    pub(crate) fn whole(&self) -> bool {
        self.len <= (INLINE + self.rest.len()) as u64
    }
}

/// What a dict comes to as the fields of a type of numpy. Types share them, so that it is told once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    /// No type has been made with it.
    #[default]
    Open,
    /// Not what numpy writes.
    Odd,
    /// A record with these names, a node: as far as its fields reach, and whether there are objects among them.
    Record { names: u32, end: u64, refers: bool },
}

/// A value with parts.
#[derive(Debug, Clone, Default)]
pub(crate) enum Node {
    #[default]
    Free,
    /// `weight` is how many values it has when every reference is followed.
    Tuple {
        items: Items,
        weight: u64,
    },
    List(Items),
    Dict {
        entries: Vec<(Value, Value)>,
        len: u64,
        /// A key that begins with two underscores.
        dunder: Option<Text>,
        /// Whether a key could be a string that is not in the file as it is.
        nameless: bool,
        /// What it comes to if it is the fields of a type of numpy, which is made by now.
        fields: Fields,
    },
    Set,
    FrozenSet {
        weight: u64,
    },
    /// An instance made by the callable of an allow-list entry, with what is needed of it later.
    Object {
        entry: u16,
        args: Value,
        state: Value,
    },
}

/// Nodes, bounded: when it is full, what only the memo holds is let go.
#[derive(Clone, Default)]
pub(crate) struct Heap {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Values beside the nodes themselves.
    held: usize,
    /// Collecting did not help; nothing more is kept.
    full: bool,
    /// Something was added to a container whose content was let go.
    pub(crate) blurred: bool,
    /// Empty: memory of what was let go, for what comes.
    spare_values: Vec<Vec<Value>>,
    spare_pairs: Vec<Vec<(Value, Value)>>,
}

/// The most nodes; a node takes about 130 bytes.
const MAX_NODES: usize = 150_000;
/// An opcode may make so many before the next collection.
const SLACK: usize = 16;
/// The most values beside them, of 16 bytes each.
const MAX_HELD: usize = 1 << 20;
/// How much memory of what was let go is kept, of each kind.
const SPARE: usize = 1 << 16;
/// Memory for more values than this is given back.
const SMALL: usize = 8;
/// How many items of one container are kept.
pub(crate) const KEEP: usize = 64;

impl Heap {
    /// Whether [`Heap::collect`] should be called before more is added.
    pub(crate) fn wants_collection(&self) -> bool {
        !self.full && (self.held > MAX_HELD || (self.free.is_empty() && self.nodes.len() >= MAX_NODES))
    }

    pub(crate) fn add(&mut self, node: Node) -> Value {
        let id = match self.free.pop() {
            Some(id) => id,
            None if self.nodes.len() < MAX_NODES + SLACK => {
                self.nodes.push(Node::Free);
                u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
            }
            None => return Value::Data,
        };
        if let Node::Tuple { items, .. } | Node::List(items) = &node {
            self.held = self.held.saturating_add(items.rest.len());
        }
        match self.nodes.get_mut(id as usize) {
            Some(place) => *place = node,
            None => return Value::Data,
        }
        Value::Node(id)
    }

    pub(crate) fn get(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(id) => self.nodes.get(id as usize),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(id) => self.nodes.get_mut(id as usize),
            _ => None,
        }
    }

    /// Memory for items of a list.
    pub(crate) fn spare_values(&mut self) -> Vec<Value> {
        self.spare_values.pop().unwrap_or_default()
    }

    /// Memory for the entries of a dict.
    pub(crate) fn spare_pairs(&mut self) -> Vec<(Value, Value)> {
        self.spare_pairs.pop().unwrap_or_default()
    }

    /// How many items of a container are kept now.
    pub(crate) fn keep(&self, keep: usize) -> usize {
        if self.full { INLINE } else { keep }
    }

    pub(crate) fn hold(&mut self, count: usize) {
        self.held = self.held.saturating_add(count);
    }

    /// How many values one gets by following every reference of `value`.
    pub(crate) fn weight(&self, value: Value) -> u64 {
        match self.get(value) {
            Some(Node::Tuple { weight, .. } | Node::FrozenSet { weight }) => *weight,
            _ => 1,
        }
    }

    /// Frees every node that cannot be reached from `roots`.
    pub(crate) fn collect(&mut self, roots: impl Iterator<Item = Value>) {
        let mut reached = vec![false; self.nodes.len()];
        let mut open: Vec<u32> = Vec::new();
        let mut reach = |value: Value, open: &mut Vec<u32>| {
            if let Value::Node(id) = value
                && let Some(mark) = reached.get_mut(id as usize)
                && !*mark
            {
                *mark = true;
                open.push(id);
            }
        };
        for root in roots {
            reach(root, &mut open);
        }
        while let Some(id) = open.pop() {
            match self.nodes.get(id as usize) {
                Some(Node::Tuple { items, .. } | Node::List(items)) => {
                    items.iter().for_each(|value| reach(value, &mut open));
                }
                Some(Node::Dict { entries, .. }) => {
                    for (key, value) in entries {
                        reach(*key, &mut open);
                        reach(*value, &mut open);
                    }
                }
                Some(Node::Object { args, state, .. }) => {
                    reach(*args, &mut open);
                    reach(*state, &mut open);
                }
                _ => {}
            }
        }
        self.free.clear();
        self.held = 0;
        for (id, (node, reached)) in self.nodes.iter_mut().zip(reached).enumerate() {
            if reached {
                self.held += match node {
                    Node::Tuple { items, .. } | Node::List(items) => items.rest.len(),
                    Node::Dict { entries, .. } => entries.len() * 2,
                    _ => 0,
                };
            } else {
                match std::mem::take(node) {
                    Node::List(Items { mut rest, .. })
                    | Node::Tuple { items: Items { mut rest, .. }, .. }
                        if (1..=SMALL).contains(&rest.capacity()) && self.spare_values.len() < SPARE =>
                    {
                        rest.clear();
                        self.spare_values.push(rest);
                    }
                    Node::Dict { mut entries, .. }
                        if (1..=SMALL).contains(&entries.capacity()) && self.spare_pairs.len() < SPARE =>
                    {
                        entries.clear();
                        self.spare_pairs.push(entries);
                    }
                    _ => {}
                }
                self.free.push(u32::try_from(id).unwrap_or(u32::MAX));
            }
        }
        // Otherwise collecting again and again would cost more than the file is long.
        self.full = self.free.len() < MAX_NODES / 4 || self.held > MAX_HELD / 4 * 3;
    }

    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.free.clear();
        self.held = 0;
        self.full = false;
        self.blurred = false;
    }

    /// What cloning it costs, in values.
    pub(crate) fn size(&self) -> usize {
        self.nodes.len().saturating_mul(8).saturating_add(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small() {
        assert_eq!(size_of::<Value>(), 16);
        assert!(size_of::<Node>() <= 136, "{}", size_of::<Node>());
    }

    #[test]
    fn unreachable_nodes_are_used_again() {
        let mut heap = Heap::default();
        let mut items = Items::default();
        let inner = heap.add(Node::Set);
        items.push(inner, KEEP);
        let outer = heap.add(Node::List(items));
        while !heap.wants_collection() {
            heap.add(Node::Set);
        }
        heap.collect([outer].into_iter());
        assert!(!heap.wants_collection());
        assert!(matches!(heap.get(inner), Some(Node::Set)));
        assert!(matches!(heap.get(outer), Some(Node::List(items)) if items.len == 1));
        assert!(matches!(heap.add(Node::Set), Value::Node(_)));
    }

    #[test]
    fn a_heap_that_stays_full_keeps_no_more_and_collects_no_more() {
        let mut heap = Heap::default();
        let mut roots = Vec::new();
        while !heap.wants_collection() {
            roots.push(heap.add(Node::Set));
        }
        heap.collect(roots.into_iter());
        assert!(!heap.wants_collection());
        for _ in 0..=SLACK {
            heap.add(Node::Set);
        }
        assert!(matches!(heap.add(Node::Set), Value::Data));
    }
}
