//! numpy's types: what their states come to. numpy takes flags, base and fields as the pickle has them, and holds elements for
//! objects or for bytes by them. Where they say something else than the type itself, or the same bytes are an object by one part
//! and something else by another, bytes of the file become pointers: such a state is not taken to be understood.

use std::collections::{HashMap, HashSet};

use super::allow::Special;
use super::judge::Judge;
use super::shape::Fit;
use super::value::{Fields, Heap, Items, Node, Value};

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
    /// The number behind the letter, zero if there is none; what the state says for types that are named by a class.
    pub(super) number: u64,
    /// The length that the state gives, for types that have none of their own: `S`, `U`, `V`.
    pub(super) size: Option<i64>,
    pub(super) flags: i64,
    /// Whether the state is taken, and belongs to this one only.
    pub(super) own: bool,
    /// Base and shape, of arrays within elements.
    base: Value,
    names: Value,
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

/// Whether a value is the type of strings of any length (numpy's `StringDType`), which is made by a function of its own.
pub(super) fn is_strings(value: Value, heap: &Heap, judge: &Judge) -> bool {
    let entry = match (value, heap.get(value)) {
        (Value::Object(entry), _) => entry,
        (_, Some(Node::Object { entry, .. })) => *entry,
        _ => return false,
    };
    let maker = judge.lists.find("numpy.core._internal", "_convert_to_stringdtype_kwargs");
    maker.is_some_and(|maker| maker.id == entry)
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
        Value::Text(text) => letter(&judge.text(text)?).map(|(kind, number)| (kind, Some(number)))?,
        Value::Global(class) => match judge.name_of(class).as_str() {
            "numpy.record" | "numpy.void" => ('V', None),
            "numpy.object_" => ('O', Some(0)),
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
        number: number.unwrap_or(0),
        size: None,
        flags: if kind == 'O' { OBJECT } else { 0 },
        own,
        base: Value::None,
        names: Value::None,
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
    let (base, names, fields) = (items.get(2)?, items.get(3)?, items.get(4)?);
    let (size, flags) = (int(5)?, int(7)?);
    // A class has no number; of records it is what the state says.
    let number = number.or_else(|| u64::try_from(size).ok()).unwrap_or(0);
    Some(Dtype { size: Some(size), flags, base, names, fields, number, ..plain })
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
            // The bytes of any other type than a record are something by themselves.
            'O' => false,
            kind if inner == Some(true) && kind != 'V' => false,
            _ if inner == Some(true) => dtype.flags & (REFERENCES | LISTED) == REFERENCES | LISTED,
            _ => dtype.flags & (REFERENCES | LISTED | POINTER) == 0,
        };
        expected.then_some(())
    };
    // It is not for this to say what a state does that is not understood.
    if certain().is_some() { Fit::Yes } else { Fit::Unclear }
}

/// Where a part of an element lies, and whether there are objects in it.
struct Part {
    at: u64,
    end: u64,
    refers: bool,
}

/// So many elements of this type from here on. `None` if it is not certain where they end.
fn part(of: Value, at: u64, times: u64, heap: &Heap, judge: &Judge) -> Option<Part> {
    let Some(Node::Object { args, state, .. }) = heap.get(of).filter(|_| is_one(of, heap, judge)) else {
        return None;
    };
    // One without a state could be given one later.
    let part = read(*args, *state, heap, judge).filter(|part| part.size.is_some())?;
    let end = part.bytes()?.checked_mul(times)?.checked_add(at)?;
    Some(Part { at, end, refers: part.flags & REFERENCES != 0 })
}

/// Whether there are objects within an element, if it has fields or is an array. `None` if that is not certain, or if they do
/// not lie in the element.
fn within(dtype: &Dtype, heap: &Heap, judge: &Judge) -> Option<Option<bool>> {
    let (end, refers) = match (dtype.base, dtype.names, dtype.fields) {
        (Value::None, Value::None, Value::None) => return Some(None),
        (base, Value::None, Value::None) => {
            let Some(Node::Tuple { items, .. }) = heap.get(base) else { return None };
            let (2, shape) = (items.len, items.get(1)?) else { return None };
            let times = match (shape, heap.get(shape)) {
                (Value::Int(count), _) => u64::try_from(count).ok()?,
                (_, Some(Node::Tuple { items, .. })) => product(items)?,
                _ => return None,
            };
            let part = part(items.get(0)?, 0, times, heap, judge)?;
            (part.end, part.refers)
        }
        (Value::None, Value::Node(names), fields) => match heap.get(fields) {
            Some(Node::Dict { fields: Fields::Record { names: own, end, refers }, .. }) if *own == names => {
                (*end, *refers)
            }
            _ => return None,
        },
        // Base and fields are of the same bytes. numpy writes the one or the other.
        _ => return None,
    };
    (end <= dtype.bytes()?).then_some(Some(refers))
}

/// What a dict comes to as the fields of a type with these names.
pub(super) fn fields(names: Value, fields: Value, heap: &Heap, judge: &Judge) -> Fields {
    let record = || -> Option<Fields> {
        let (Some(Node::Tuple { items, .. }), Some(Node::Dict { entries, len, .. })) =
            (heap.get(names), heap.get(fields))
        else {
            return None;
        };
        let Value::Node(names) = names else { return None };
        let fields = by_name(entries, heap, judge).filter(|_| *len == entries.len() as u64)?;
        are_names(items, &fields, judge).then_some(())?;
        let parts = fields.values().map(|field| part(field.of, field.at, 1, heap, judge));
        let mut parts = parts.collect::<Option<Vec<_>>>()?;
        let refers = parts.iter().any(|part| part.refers);
        let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
        (!refers || !overlap(&mut parts)).then_some(Fields::Record { names, end, refers })
    };
    record().unwrap_or(Fields::Odd)
}

/// Whether a part with objects lies over another: numpy makes no such type, but takes one from a state.
fn overlap(parts: &mut Vec<Part>) -> bool {
    parts.retain(|part| part.at < part.end);
    parts.sort_unstable_by_key(|part| part.at);
    let (mut any, mut referring) = (0, 0);
    parts.iter().any(|part| {
        let over = part.at < if part.refers { any } else { referring };
        any = any.max(part.end);
        if part.refers {
            referring = referring.max(part.end);
        }
        over
    })
}

/// A field: its type, and where it begins.
struct Field {
    of: Value,
    at: u64,
}

/// The fields of a record by their names. `None` if they are not what numpy writes: a field with a title stands under its name
/// and its title, and the title is the third item of both.
fn by_name(entries: &[(Value, Value)], heap: &Heap, judge: &Judge) -> Option<HashMap<String, Field>> {
    let text = |value: Value| if let Value::Text(text) = value { judge.text(text) } else { None };
    let (mut fields, mut titles, mut titled) = (HashMap::new(), Vec::new(), HashMap::new());
    for (key, field) in entries {
        let Some(Node::Tuple { items, .. }) = heap.get(*field) else { return None };
        let (2 | 3, Some(Value::Int(at))) = (items.len, items.get(1)) else { return None };
        let (of, at) = (items.get(0)?, u64::try_from(at).ok()?);
        let Value::Node(node) = of else { return None };
        let (key, title) = (text(*key)?, items.get(2).and_then(text));
        if title.as_ref() == Some(&key) {
            titles.push((key, (node, at)));
            continue;
        }
        if let Some(title) = title {
            titled.insert(title, (node, at));
        }
        if fields.insert(key, Field { of, at }).is_some() {
            return None;
        }
    }
    titles.iter().all(|(title, field)| titled.get(title) == Some(field)).then_some(fields)
}

/// Whether these are the names of all fields, each once: numpy goes by names here and by fields there. Of many names only the
/// first are held, and how many there are.
fn are_names(names: &Items, fields: &HashMap<String, Field>, judge: &Judge) -> bool {
    let mut seen = HashSet::new();
    let known = names.iter().all(|name| {
        let Value::Text(name) = name else { return false };
        judge.text(name).is_some_and(|name| fields.contains_key(&name) && seen.insert(name))
    });
    known && names.len == fields.len() as u64
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
