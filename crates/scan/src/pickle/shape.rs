//! Shapes of arguments and states: a small language in the allow-lists, and whether a symbolic value has a shape.
//!
//! `none bool int float num str bytes list dict set tuple storage data any` name kinds of values; `"text"` and `0` stand
//! for themselves; `(int, str?, any*)` is a tuple (`?` may be left out, `*` any number of times); `class` is a listed class,
//! `class:group` one of a group, `function` one that may be kept as data, or a class; `object:label` an instance made by a listed
//! callable; `state` is what an instance without a `__setstate__` of its own gets, `{name: str}` such a one in which the items of
//! these names, where it has them, have these shapes (`*` is any name); `plain` is data through and through; `a|b` is either.

use super::allow::Entry;
use super::judge::Judge;
use super::value::{Heap, Items, Node, Value};
use super::{dtype, plain};

/// What values may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Any,
    Data,
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    List,
    Dict,
    Set,
    Tuple,
    Storage,
    State,
    /// A state, with the shapes of some of its items.
    Fields(Vec<(String, Shape)>),
    Plain,
    Literal(String),
    Number(i64),
    Class(Option<String>),
    Function,
    Object(String),
    Items(Vec<(Shape, Times)>),
    OneOf(Vec<Shape>),
}

/// How often an item of a tuple may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    Optional,
    Any,
}

/// Whether a value has a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    No,
    /// Too little is known of the value.
    Unclear,
}

impl Fit {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unclear, _) | (_, Self::Unclear) => Self::Unclear,
            _ => Self::Yes,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unclear, _) | (_, Self::Unclear) => Self::Unclear,
            _ => Self::No,
        }
    }
}

impl From<bool> for Fit {
    fn from(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

/// How deep shapes are followed into values. The lists go four deep.
const DEPTH: usize = 8;

impl Shape {
    /// Whether `value` has this shape.
    pub(crate) fn fits(&self, value: Value, heap: &Heap, judge: &Judge) -> Fit {
        self.fits_at(value, heap, judge, DEPTH)
    }

    fn fits_at(&self, value: Value, heap: &Heap, judge: &Judge, depth: usize) -> Fit {
        if matches!(self, Self::Any) {
            return Fit::Yes;
        }
        if let Self::OneOf(shapes) = self {
            return shapes
                .iter()
                .map(|shape| shape.fits_at(value, heap, judge, depth))
                .fold(Fit::No, Fit::or);
        }
        if matches!(self, Self::Plain) {
            return plain::fits(value, heap, judge);
        }
        let node = heap.get(value);
        match (self, value) {
            (_, Value::Unknown) => Fit::Unclear,
            (Self::Data, _) => Fit::from(!matches!(value, Value::Global(_))),
            (Self::Class(_) | Self::Function | Self::Object(_) | Self::Storage, Value::Data) => Fit::No,
            (_, Value::Data) => Fit::Unclear,
            (Self::None, _) => Fit::from(matches!(value, Value::None)),
            (Self::Bool, _) => {
                Fit::from(matches!(value, Value::Bool(_)) || matches!(value, Value::Int(0 | 1)))
            }
            (Self::Int, _) => {
                Fit::from(matches!(value, Value::Int(_) | Value::Bool(_) | Value::Number | Value::TorchMagic))
            }
            (Self::Float, _) => Fit::from(matches!(value, Value::Number | Value::Int(_))),
            (Self::Str, Value::Text(text)) => Fit::from(text.form.is_str()),
            (Self::Bytes, Value::Text(text)) => Fit::from(text.form.is_bytes()),
            (Self::Bytes, _) => Fit::from(matches!(made(value, node, judge), Some("bytes" | "bytearray"))),
            (Self::Literal(literal), Value::Text(text)) => match judge.text(text) {
                Some(text) => Fit::from(text == *literal),
                None => Fit::No,
            },
            (Self::Number(number), Value::Int(int)) => Fit::from(*number == int),
            (Self::Number(number), Value::Bool(bool)) => Fit::from(*number == i64::from(bool)),
            (Self::Storage, _) => Fit::from(matches!(value, Value::Storage)),
            (Self::Class(group), Value::Global(id)) => {
                Fit::from(judge.entry_of(id).is_some_and(|entry| entry.is_class(group.as_deref())))
            }
            (Self::Function, Value::Global(id)) => Fit::from(judge.entry_of(id).is_some_and(Entry::is_data)),
            // What has no state yet could be given one that changes what was made with it.
            (Self::Object(_), _) if dtype::is_bare(value, heap, judge) => Fit::Unclear,
            (Self::Object(label), _) => Fit::from(made(value, node, judge) == Some(label.as_str())),
            (Self::List, _) => Fit::from(matches!(node, Some(Node::List(_)))),
            (Self::Dict, _) => Fit::from(matches!(node, Some(Node::Dict { .. }))),
            (Self::Set, _) => Fit::from(matches!(node, Some(Node::Set | Node::FrozenSet { .. }))),
            (Self::Tuple, _) => Fit::from(matches!(node, Some(Node::Tuple { .. }))),
            (Self::State, _) => state(value, heap),
            (Self::Fields(fields), _) => match depth.checked_sub(1) {
                Some(depth) => state(value, heap).and(fits_fields(fields, value, heap, judge, depth)),
                None => Fit::Unclear,
            },
            (Self::Items(shapes), _) => match node {
                Some(Node::Tuple { items, .. }) => match depth.checked_sub(1) {
                    Some(depth) => fits_items(shapes, items, heap, judge, depth),
                    None => Fit::Unclear,
                },
                _ => Fit::No,
            },
            _ => Fit::No,
        }
    }
}

/// By which name lists know what an instance is.
fn made(value: Value, node: Option<&Node>, judge: &Judge) -> Option<&'static str> {
    let entry = match (value, node) {
        (Value::Object(entry), _) => entry,
        (_, Some(Node::Object { entry, .. })) => *entry,
        _ => return None,
    };
    judge.lists.entry(entry).map(|entry| entry.makes.as_str())
}

/// `None`, a dict without names of Python's own machinery as keys, or a pair of such (attributes, then slots).
fn state(value: Value, heap: &Heap) -> Fit {
    let attributes = |value: Value| match (value, heap.get(value)) {
        (Value::None, _) => Fit::Yes,
        (_, Some(Node::Dict { dunder: None, nameless: true, .. })) => Fit::Unclear,
        (_, Some(Node::Dict { dunder, .. })) => Fit::from(dunder.is_none()),
        (Value::Data | Value::Unknown, _) => Fit::Unclear,
        _ => Fit::No,
    };
    match heap.get(value) {
        Some(Node::Tuple { items, .. }) if items.len == 2 => {
            items.iter().map(attributes).fold(Fit::Yes, Fit::and)
        }
        _ => attributes(value),
    }
}

/// Whether the items of a state that have these names have these shapes.
fn fits_fields(fields: &[(String, Shape)], value: Value, heap: &Heap, judge: &Judge, depth: usize) -> Fit {
    let mut fit = Fit::Yes;
    let pair = match heap.get(value) {
        Some(Node::Tuple { items, .. }) => [items.get(0), items.get(1)],
        _ => [Some(value), None],
    };
    for part in pair.into_iter().flatten() {
        let Some(Node::Dict { entries, len, .. }) = heap.get(part) else { continue };
        for (key, item) in entries {
            let key = match key {
                Value::Text(text) => judge.text(*text),
                _ => None,
            };
            let named = |name: &str| name == "*" || key.as_deref() == Some(name);
            for (_, shape) in fields.iter().filter(|(name, _)| named(name)) {
                fit = fit.and(shape.fits_at(*item, heap, judge, depth));
            }
        }
        if *len > entries.len() as u64 {
            fit = fit.and(Fit::Unclear);
        }
    }
    fit
}

/// Whether a tuple's items have these shapes in turn. What is left out or comes repeatedly stands at the end.
fn fits_items(shapes: &[(Shape, Times)], items: &Items, heap: &Heap, judge: &Judge, depth: usize) -> Fit {
    let mut fit = Fit::Yes;
    let mut at = 0_usize;
    for (shape, times) in shapes {
        match (times, items.get(at)) {
            (Times::Once | Times::Optional, Some(value)) => {
                fit = fit.and(shape.fits_at(value, heap, judge, depth));
                at = at.saturating_add(1);
            }
            (Times::Once, None) if (at as u64) < items.len => return fit.and(Fit::Unclear),
            (Times::Once, None) => return Fit::No,
            (Times::Optional, None) => {}
            (Times::Any, _) => {
                for value in items.iter().skip(at) {
                    fit = fit.and(shape.fits_at(value, heap, judge, depth));
                }
                return if items.whole() || matches!(shape, Shape::Any) {
                    fit
                } else {
                    fit.and(Fit::Unclear)
                };
            }
        }
    }
    if (at as u64) < items.len { Fit::No } else { fit }
}

/// Reads a shape from an allow-list.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Shape, String> {
    let mut parser = Parser { rest: text };
    let shape = parser.alternatives(0)?;
    match parser.rest.trim() {
        "" => Ok(shape),
        rest => Err(format!("{rest:?} is left over in {text:?}")),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn alternatives(&mut self, depth: usize) -> Result<Shape, String> {
        if depth > DEPTH {
            return Err("too deep".to_owned());
        }
        let first = self.unit(depth)?;
        let mut all = vec![first];
        while self.take('|') {
            all.push(self.unit(depth)?);
        }
        Ok(match <[Shape; 1]>::try_from(all) {
            Ok([only]) => only,
            Err(all) => Shape::OneOf(all),
        })
    }

    fn unit(&mut self, depth: usize) -> Result<Shape, String> {
        if self.take('(') {
            return self.items(depth);
        }
        if self.take('{') {
            return self.fields(depth);
        }
        if self.take('"') {
            let (text, rest) = self.rest.split_once('"').ok_or("a quote is open")?;
            self.rest = rest;
            return Ok(Shape::Literal(text.to_owned()));
        }
        let word = self.word();
        if let Ok(number) = word.parse() {
            return Ok(Shape::Number(number));
        }
        Ok(match word.as_str() {
            "any" => Shape::Any,
            "data" => Shape::Data,
            "none" => Shape::None,
            "bool" => Shape::Bool,
            "int" => Shape::Int,
            "float" | "num" => Shape::Float,
            "str" => Shape::Str,
            "bytes" => Shape::Bytes,
            "list" => Shape::List,
            "dict" => Shape::Dict,
            "set" => Shape::Set,
            "tuple" => Shape::Tuple,
            "storage" => Shape::Storage,
            "state" => Shape::State,
            "plain" => Shape::Plain,
            "function" => Shape::Function,
            "class" if self.take(':') => Shape::Class(Some(self.word())),
            "class" => Shape::Class(None),
            "object" if self.take(':') => Shape::Object(self.word()),
            other => return Err(format!("{other:?} is no shape")),
        })
    }

    fn word(&mut self) -> String {
        let rest = self.rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = rest;
        word.to_owned()
    }

    fn fields(&mut self, depth: usize) -> Result<Shape, String> {
        let mut fields = Vec::new();
        loop {
            let name = if self.take('*') { "*".to_owned() } else { self.word() };
            if name.is_empty() || !self.take(':') {
                return Err(format!("expected a name and : before {:?}", self.rest));
            }
            fields.push((name, self.alternatives(depth + 1)?));
            if self.take('}') {
                return Ok(Shape::Fields(fields));
            }
            if !self.take(',') {
                return Err(format!("expected , or }} before {:?}", self.rest));
            }
        }
    }

    fn items(&mut self, depth: usize) -> Result<Shape, String> {
        let mut items: Vec<(Shape, Times)> = Vec::new();
        if self.take(')') {
            return Ok(Shape::Items(items));
        }
        loop {
            let shape = self.alternatives(depth + 1)?;
            let times = if self.take('?') {
                Times::Optional
            } else if self.take('*') {
                Times::Any
            } else {
                Times::Once
            };
            if times == Times::Once && items.iter().any(|(_, times)| *times != Times::Once) {
                return Err("what may be left out must stand at the end".to_owned());
            }
            items.push((shape, times));
            if self.take(')') {
                return Ok(Shape::Items(items));
            }
            if !self.take(',') {
                return Err(format!("expected , or ) before {:?}", self.rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read() {
        assert_eq!(parse("()").unwrap(), Shape::Items(Vec::new()));
        assert_eq!(
            parse("(class:array, (0), bytes|str, int?, any*)").unwrap(),
            Shape::Items(vec![
                (Shape::Class(Some("array".to_owned())), Times::Once),
                (Shape::Items(vec![(Shape::Number(0), Times::Once)]), Times::Once),
                (Shape::OneOf(vec![Shape::Bytes, Shape::Str]), Times::Once),
                (Shape::Int, Times::Optional),
                (Shape::Any, Times::Any),
            ])
        );
        assert_eq!(parse("\"latin1\"").unwrap(), Shape::Literal("latin1".to_owned()));
        assert_eq!(
            parse("{a: str|none, *: plain}|tuple").unwrap(),
            Shape::OneOf(vec![
                Shape::Fields(vec![
                    ("a".to_owned(), Shape::OneOf(vec![Shape::Str, Shape::None])),
                    ("*".to_owned(), Shape::Plain),
                ]),
                Shape::Tuple,
            ])
        );
        for wrong in
            ["{}", "{a}", "{a:}", "{a: int", "{: int}", "", "(", "(int", "intt", "int)", "(int?, str)", "\"x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
