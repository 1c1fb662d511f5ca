//! Reads TOML into a type and reports every problem, not only the first.
//!
//! serde stops at the first error. So the offending part is taken out of the tree and the rest is read again, until it can
//! be read or nothing more can be taken out; that is what lets a person mend a file in one go.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::nearest::nearest;
use super::problem::{Problem, Problems};

/// No configuration that a person wrote is larger.
pub(crate) const MAX_FILE: usize = 1 << 20;

/// A parsed file.
pub(crate) struct Document<'i> {
    file: &'i str,
    text: &'i str,
    tree: Spanned<DeTable<'i>>,
}

impl<'i> Document<'i> {
    /// Parses `text`.
    pub(crate) fn parse(file: &'i str, text: &'i str) -> Result<Self, Problem> {
        if text.len() > MAX_FILE {
            let message =
                format!("larger than {MAX_FILE} bytes; write what differs into files of its own (`include`)");
            return Err(Problem::new(file, None, message));
        }
        match DeTable::parse(text) {
            Ok(tree) => Ok(Self { file, text, tree }),
            Err(error) => {
                let line = error.span().map(|span| line_at(text, span.start));
                Err(Problem::new(file, line, format!("not TOML: {}", one_line(error.message()))))
            }
        }
    }

    /// Reads it as a `T`; what cannot be read is reported and left at its default.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self, problems: &mut Problems) -> T {
        let mut tree = self.tree.clone();
        loop {
            let error = match T::deserialize(Deserializer::from(tree.clone())) {
                Ok(value) => return value,
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            let path = locate(tree.get_ref(), &span);
            let line = Some(line_at(self.text, span.start));
            let message = match &path {
                Some(path) => format!("{}: {}", dotted(path), explain(error.message())),
                None => explain(error.message()),
            };
            problems.push(Problem::new(self.file, line, message));
            let removed = path.is_some_and(|path| remove(tree.get_mut(), &path));
            if !removed || problems.is_full() {
                return T::default();
            }
        }
    }

    /// A problem with what is at `path`, or as much of the path as there is.
    pub(crate) fn problem(&self, path: &[&str], message: impl Into<String>) -> Problem {
        let message: String = message.into();
        let path_text = dotted(&path.iter().map(|&key| key.to_owned()).collect::<Vec<_>>());
        let message = if path.is_empty() { message } else { format!("{path_text}: {message}") };
        Problem::new(self.file, self.line_of(path), message)
    }

    /// The line of the last key of `path` that is in the file.
    fn line_of(&self, path: &[&str]) -> Option<usize> {
        let mut table = self.tree.get_ref();
        let mut line = None;
        for &key in path {
            let Some((found, value)) = table.get_key_value(key) else { break };
            line = Some(line_at(self.text, found.span().start));
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        line
    }
}

/// The keys down to the smallest key or value around `span`.
fn locate(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let mut best = None;
    let mut path = Vec::new();
    visit(table, span, &mut path, &mut best);
    best.map(|(_, path)| path)
}

fn visit(
    table: &DeTable<'_>,
    span: &Range<usize>,
    path: &mut Vec<String>,
    best: &mut Option<(usize, Vec<String>)>,
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        for place in [key.span(), value.span()] {
            let holds = place.start <= span.start && span.end <= place.end && !place.is_empty();
            let size = place.len();
            if holds && best.as_ref().is_none_or(|(smallest, _)| size <= *smallest) {
                *best = Some((size, path.clone()));
            }
        }
        inside(value.get_ref(), span, path, best);
        path.pop();
    }
}

/// Tables inside; an array is taken out as a whole, so elements keep the array's path.
fn inside(
    value: &DeValue<'_>,
    span: &Range<usize>,
    path: &mut Vec<String>,
    best: &mut Option<(usize, Vec<String>)>,
) {
    match value {
        DeValue::Table(table) => visit(table, span, path, best),
        DeValue::Array(values) => {
            let before = best.clone();
            let mut in_array = None;
            for value in values {
                if let DeValue::Table(table) = value.get_ref() {
                    visit(table, span, &mut Vec::new(), &mut in_array);
                }
            }
            if let Some((size, _)) = in_array
                && before.is_none_or(|(smallest, _)| size <= smallest)
            {
                *best = Some((size, path.clone()));
            }
        }
        _ => {}
    }
}

fn remove(table: &mut DeTable<'_>, path: &[String]) -> bool {
    match path {
        [] => false,
        [key] => table.remove(key.as_str()).is_some(),
        [key, rest @ ..] => match table.get_mut(key.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

/// The line of a byte, from 1.
pub(crate) fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count().saturating_add(1)
}

/// `servers.mail."a key with spaces"`.
fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        if !text.is_empty() {
            text.push('.');
        }
        let plain =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if plain {
            text.push_str(key);
        } else {
            let short: String = key.chars().take(80).collect();
            text.push_str(&format!("{short:?}"));
        }
    }
    text
}

/// serde's words in ours.
fn explain(message: &str) -> String {
    let message = one_line(message);
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown(rest, "there is no such key", "keys here are");
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        return unknown(rest, "this is not possible here", "write one of");
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return format!("this is {found}; write {}", plain(expected));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid value: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return format!("{found} is not possible here; write {}", plain(expected));
    }
    message
}

/// What serde expects, in the words of somebody who writes TOML.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    }
}

fn unknown(rest: &str, what: &str, list: &str) -> String {
    let Some((name, expected)) = rest.rsplit_once(", expected ") else { return what.to_owned() };
    let name = name.trim_end_matches('`');
    // Between back-ticks: every other piece.
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("{what}; did you mean `{near}`?"),
        None => format!("{what}; {list} {}", known.join(", ")),
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().take(200).collect::<Vec<_>>().join(" ")
}
