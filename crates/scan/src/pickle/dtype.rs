//! numpy's types: what their states come to. numpy takes flags and fields as the pickle has them, and holds elements for
//! objects or for bytes by them; where they say something else than the type itself, bytes of the file become pointers.

use super::allow::Special;
use super::judge::Judge;
use super::shape::Fit;
use super::value::{Heap, Items, Node, Value};

/// Bits of the flags: elements are references, they are pickled as a list, and a single one is a pointer.
const REFERENCES: i64 = 1;
const LISTED: i64 = 2;
const POINTER: i64 = 4;
/// All that objects have.
const OBJECT: i64 = 63;

/// A type as its state says it is.
pub(super) struct Dtype {
    /// Its letter: `f`, `S`, `O`, and `V` for records.
    pub(super) kind: char,
    /// The number behind the letter; zero if there is none.
    pub(super) number: u64,
    /// The length that the state gives, for types that have none of their own: `S`, `U`, `V`.
    pub(super) size: Option<i64>,
    pub(super) flags: i64,
    /// Whether the state is taken, and belongs to this one only.
    pub(super) own: bool,
    /// Base and shape, of arrays within elements.
    base: Value,
    pub(super) fields: Value,
}

impl Dtype {
    /// Bytes of one element; `None` if that is not certain.
    fn bytes(&self) -> Option<u64> {
        match (self.kind, self.size) {
            ('S' | 'a' | 'U' | 'V', Some(size)) => u64::try_from(size).ok(),
            ('U', None) => self.number.checked_mul(4),
            ('O', _) => Some(8),
            (_, _) if self.number > 0 => Some(self.number),
            ('?', _) => Some(1),
            _ => None,
        }
    }
}

/// Whether a value is a type that `numpy.dtype` made.
pub(super) fn is_one(value: Value, heap: &Heap, judge: &Judge) -> bool {
    matches!(heap.get(value), Some(Node::Object { entry, .. })
        if judge.lists.entry(*entry).is_some_and(|entry| entry.special == Some(Special::Dtype)))
}

/// Whether a value is one that was given no state yet.
pub(super) fn is_bare(value: Value, heap: &Heap, judge: &Judge) -> bool {
    is_one(value, heap, judge) && matches!(heap.get(value), Some(Node::Object { state: Value::None, .. }))
}

/// Whether a value is what records have for a field: a type, and where it begins.
pub(super) fn is_field(value: Value, heap: &Heap, judge: &Judge) -> bool {
    match heap.get(value) {
        Some(Node::Tuple { items, .. }) => items.get(0).is_some_and(|first| is_one(first, heap, judge)),
        _ => false,
    }
}

/// What a type was made with, and the state that it has or is given. Its state is in version 3 or 4, as numpy writes it since 2006.
pub(super) fn read(args: Value, state: Value, heap: &Heap, judge: &Judge) -> Option<Dtype> {
    let Some(Node::Tuple { items: args, .. }) = heap.get(args) else { return None };
    let (kind, number) = match args.get(0)? {
        Value::Text(text) => letter(&judge.text(text)?)?,
        Value::Global(class) => match judge.name_of(class).as_str() {
            "numpy.record" | "numpy.void" => ('V', 0),
            "numpy.object_" => ('O', 0),
            _ => return None,
        },
        _ => return None,
    };
    // Not aligned, and a copy: the state of a type that others share is not taken.
    let (aligned, copied) = (args.get(1), args.get(2));
    let own = args.len == 3
        && matches!(aligned, Some(Value::Bool(false) | Value::Int(0)))
        && matches!(copied, Some(Value::Bool(true) | Value::Int(1)));
    let plain = Dtype {
        kind,
        number,
        size: None,
        flags: if kind == 'O' { OBJECT } else { 0 },
        own,
        base: Value::None,
        fields: Value::None,
    };
    let Some(Node::Tuple { items, .. }) = heap.get(state) else {
        return matches!(state, Value::None).then_some(plain);
    };
    let int = |index: usize| match items.get(index) {
        Some(Value::Int(int)) => Some(int),
        _ => None,
    };
    // Before version 3, other items stand at these places.
    if !matches!((items.len, int(0)?), (8, 3) | (9, 4)) {
        return None;
    }
    let (base, fields) = (items.get(2)?, items.get(4)?);
    Some(Dtype { size: Some(int(5)?), flags: int(7)?, base, fields, ..plain })
}

/// The letter of a type, and the number behind it.
fn letter(code: &str) -> Option<(char, u64)> {
    let mut chars = code.trim_start_matches(['<', '>', '=', '|']).chars();
    let kind = chars.next()?;
    let number = match chars.as_str() {
        "" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some((kind, number))
}

/// Whether numpy reads with this state what the type says it is.
pub(super) fn fits(args: Value, state: Value, heap: &Heap, judge: &Judge) -> Fit {
    let certain = || -> Option<()> {
        let dtype = read(args, state, heap, judge).filter(|dtype| dtype.own)?;
        match (dtype.kind, dtype.size?) {
            ('S' | 'a' | 'V', 0..) => {}
            ('U', size @ 0..) if size % 4 == 0 => {}
            ('S' | 'a' | 'V' | 'U', _) => return None,
            _ => {}
        }
        let inner = within(&dtype, heap, judge)?;
        let expected = match dtype.kind {
            'O' if inner.is_none() => dtype.flags == OBJECT,
            'O' => false,
            _ if inner == Some(true) => dtype.flags & (REFERENCES | LISTED) == REFERENCES | LISTED,
            _ => dtype.flags & (REFERENCES | LISTED | POINTER) == 0,
        };
        expected.then_some(())
    };
    // It is not for this to say what a state does that is not understood.
    if certain().is_some() { Fit::Yes } else { Fit::Unclear }
}

/// Whether there are objects within an element, if it has fields or is an array. `None` if that is not certain, or if they do
/// not lie in the element.
fn within(dtype: &Dtype, heap: &Heap, judge: &Judge) -> Option<Option<bool>> {
    let mut found = None;
    let room = dtype.bytes();
    let part = |value: Value, at: u64, times: u64| -> Option<bool> {
        let Some(Node::Object { args, state, .. }) = heap.get(value).filter(|_| is_one(value, heap, judge))
        else {
            return None;
        };
        // One without a state could be given one later.
        let part = read(*args, *state, heap, judge).filter(|part| part.size.is_some())?;
        let end = part.bytes()?.checked_mul(times)?.checked_add(at)?;
        (end <= room?).then_some(part.flags & REFERENCES != 0)
    };
    match (dtype.base, heap.get(dtype.base)) {
        (Value::None, _) => {}
        (_, Some(Node::Tuple { items, .. })) if items.len == 2 => {
            let times = match (items.get(1)?, heap.get(items.get(1)?)) {
                (Value::Int(count), _) => u64::try_from(count).ok()?,
                (_, Some(Node::Tuple { items, .. })) => product(items)?,
                _ => return None,
            };
            found = Some(part(items.get(0)?, 0, times)?);
        }
        _ => return None,
    }
    match (dtype.fields, heap.get(dtype.fields)) {
        (Value::None, _) => {}
        (_, Some(Node::Dict { entries, len, .. })) if *len == entries.len() as u64 => {
            let mut refers = found.unwrap_or(false);
            for (_, field) in entries {
                let Some(Node::Tuple { items, .. }) = heap.get(*field) else { return None };
                let Some(Value::Int(at)) = items.get(1) else { return None };
                refers |= part(items.get(0)?, u64::try_from(at).ok()?, 1)?;
            }
            found = Some(refers);
        }
        _ => return None,
    }
    Some(found)
}

/// How many elements an array of this shape has.
pub(super) fn product(shape: &Items) -> Option<u64> {
    if !shape.whole() {
        return None;
    }
    shape.iter().try_fold(1_u64, |count, size| match size {
        Value::Int(size) => count.checked_mul(u64::try_from(size).ok()?),
        _ => None,
    })
}
