//! Symbolic values as people read them, shortened.

use super::judge::Judge;
use super::value::{Form, Heap, Items, Node, Text, Value};
use crate::examination::escape;

/// The most characters of one string.
const MAX_TEXT: usize = 120;
/// The most values of one rendering.
const MAX_VALUES: usize = 24;
const MAX_DEPTH: usize = 5;

/// Renders a call: its name, and its arguments as far as they are known.
pub(crate) fn call(name: &str, args: Value, heap: &Heap, judge: &Judge) -> String {
    let mut text = name.to_owned();
    let mut left = MAX_VALUES;
    match heap.get(args) {
        Some(Node::Tuple { items: parts, .. }) => {
            items(&mut text, ('(', ')'), parts, heap, judge, 0, &mut left)
        }
        _ => {
            text.push_str("(*");
            value(&mut text, args, heap, judge, 0, &mut left);
            text.push(')');
        }
    }
    text
}

/// Renders a value.
pub(crate) fn any(shown: Value, heap: &Heap, judge: &Judge) -> String {
    let mut text = String::new();
    value(&mut text, shown, heap, judge, 0, &mut { MAX_VALUES });
    text
}

fn value(out: &mut String, shown: Value, heap: &Heap, judge: &Judge, depth: usize, left: &mut usize) {
    if *left == 0 || depth > MAX_DEPTH {
        out.push('…');
        return;
    }
    *left -= 1;
    match shown {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::Number | Value::TorchMagic => out.push_str("<number>"),
        Value::Text(text) => out.push_str(&literal(text, judge)),
        Value::Global(id) => out.push_str(&judge.name_of(id)),
        Value::Object(entry) => instance(out, entry, judge),
        Value::Storage => out.push_str("<storage>"),
        Value::Data => out.push_str("<data>"),
        Value::Unknown => out.push_str("<unknown>"),
        Value::Node(_) => match heap.get(shown) {
            Some(Node::Tuple { items: parts, .. }) => items(out, ('(', ')'), parts, heap, judge, depth, left),
            Some(Node::List(parts)) => items(out, ('[', ']'), parts, heap, judge, depth, left),
            Some(Node::Dict { entries, len, .. }) => {
                out.push('{');
                for (index, (key, content)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    value(out, *key, heap, judge, depth + 1, left);
                    out.push_str(": ");
                    value(out, *content, heap, judge, depth + 1, left);
                    if *left == 0 {
                        break;
                    }
                }
                if *len > entries.len() as u64 {
                    out.push_str(", …");
                }
                out.push('}');
            }
            Some(Node::Set) => out.push_str("<set>"),
            Some(Node::FrozenSet { .. }) => out.push_str("<frozenset>"),
            Some(Node::Object { entry, .. }) => instance(out, *entry, judge),
            Some(Node::Free) | None => out.push_str("<data>"),
        },
    }
}

fn instance(out: &mut String, entry: u16, judge: &Judge) {
    let name = judge.lists.entry(entry).map_or("object", |entry| entry.makes.as_str());
    out.push_str(&format!("<{name}>"));
}

fn items(
    out: &mut String,
    (open, close): (char, char),
    items: &Items,
    heap: &Heap,
    judge: &Judge,
    depth: usize,
    left: &mut usize,
) {
    out.push(open);
    let mut shown = 0_u64;
    for item in items.iter() {
        if shown > 0 {
            out.push_str(", ");
        }
        value(out, item, heap, judge, depth + 1, left);
        shown += 1;
        if *left == 0 {
            break;
        }
    }
    if items.len > shown && *left > 0 {
        out.push_str(", …");
    }
    out.push(close);
}

fn literal(text: Text, judge: &Judge) -> String {
    let content = judge.beginning(text, MAX_TEXT);
    let mark = match text.form {
        Form::Bytes => "b",
        Form::ByteArray => "bytearray ",
        _ => "",
    };
    let shown = escape(&content.escape_debug().to_string(), MAX_TEXT);
    let more = if text.len as usize > MAX_TEXT * 4 && !shown.ends_with('…') { "…" } else { "" };
    format!("{mark}\"{shown}{more}\"")
}
