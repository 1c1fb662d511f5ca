//! Values that loaders evaluate as Python: MONAI's texts that begin with `$`, `download` and `activation` of Ultralytics. They are read as
//! Python code is ([`super::python`]).

use std::collections::HashSet;

use ostrom_core::Severity;

use super::lines::{ends_yaml, lines};
use super::nodes::{Nodes, Value, begins};
use super::yaml::Found;
use super::{CONFIG_OBJECT, PYTHON_UNREAD, python};
use crate::examination::escape;

/// What an expression may name: what MONAI gives it, and what an import elsewhere in the file would.
const GIVEN: &str = "import os, sys, subprocess, shutil, builtins, importlib, socket, ctypes, pickle, runpy, pty, requests, urllib\n\
                     import torch, numpy, numpy as np, monai\n";

/// Other words without which an expression reaches nothing.
const WORDS: [&str; 12] = [
    "eval",
    "exec",
    "compile",
    "open",
    "getattr",
    "setattr",
    "globals",
    "locals",
    "vars",
    "import",
    "__import__",
    "breakpoint",
];

/// The most expressions that are read, the longest in YAML, what all texts take that could be one, what those that are read do, and
/// what the imports among them do.
const MOST: usize = 500;
const LONGEST: usize = 16 << 10;
const ROOM: usize = 4 << 20;
const READ: usize = 1 << 20;
const IMPORTS: usize = 2000;

/// The most values of `download` and `activation`, and the longest.
const VALUES: usize = 16;
const CODE: usize = 16 << 10;

/// The expressions in the strings of a JSON document.
pub(super) fn in_texts<'t>(texts: impl Iterator<Item = &'t str>, found: &mut Found<'_>) {
    evaluated(texts.filter_map(|text| Some((0, text.strip_prefix('$')?))), found);
}

/// The expressions in a YAML text, and the values of keys that have code.
pub(super) fn in_yaml(text: &str, nodes: &Nodes<'_>, found: &mut Found<'_>) {
    let starts = text.match_indices('$').filter(|(at, _)| begins(text.get(..*at).unwrap_or("")));
    let expressions = starts.filter_map(|(at, _)| {
        let rest = text.get(at + 1..)?;
        // It may go on in the next lines.
        let long = rest.get(..rest.floor_char_boundary(LONGEST)).unwrap_or(rest);
        let end = long.match_indices(ends_yaml).nth(2).map_or(long.len(), |(end, _)| end);
        Some((at, long.get(..end)?))
    });
    evaluated(expressions, found);
    for (at, value) in nodes.values("download").take(VALUES) {
        let code = block(text, value);
        if code.starts_with("bash ") {
            let what = format!("download has a command run: {}", escape(code.trim_end(), 200));
            found(Some(Severity::Medium), CONFIG_OBJECT, at, what);
        } else if !code.starts_with("http") {
            read(&code, 0, at, found);
        }
    }
    for (at, value) in nodes.values("activation").take(VALUES) {
        let code = block(text, value);
        if code.contains('(') {
            read(&format!("{GIVEN}{code}"), GIVEN.len(), at, found);
        }
    }
}

/// Reads those that could reach anything.
fn evaluated<'t>(expressions: impl Iterator<Item = (usize, &'t str)>, found: &mut Found<'_>) {
    let is_import = |text: &str| text.starts_with("import ") || text.starts_with("from ");
    let too_much = |at, what: &str, found: &mut Found<'_>| {
        found(Some(Severity::High), CONFIG_OBJECT, at, format!("{what} for its expressions than is read"));
    };
    // Work is bounded by what is taken here: in one long line, every text goes on to its end.
    let (mut taken, mut room) = (Vec::new(), ROOM);
    for (at, text) in expressions {
        taken.push((at, text));
        room = room.saturating_sub(text.len());
        if room == 0 {
            too_much(at, "has more", found);
            break;
        }
    }
    let mut given = GIVEN.to_owned();
    for (at, text) in taken.iter().filter(|(_, text)| is_import(text.trim_start())) {
        let line = text.trim_start().split(ends_yaml).next().unwrap_or("").trim_end_matches(['"', '\'']);
        if given.len() + line.len() > GIVEN.len() + IMPORTS {
            return too_much(*at, "imports more", found);
        }
        given.push_str(line);
        given.push('\n');
    }
    let names: HashSet<&str> = words(&given).chain(WORDS).filter(|word| *word != "as").collect();
    let reaches = |text: &str| text.contains("__") || words(text).any(|word| names.contains(word));
    let (mut left, mut room) = (MOST, READ);
    for (at, text) in taken.into_iter().filter(|(_, text)| reaches(text)) {
        if left == 0 || room < text.len() {
            return too_much(at, "has more", found);
        }
        left -= 1;
        room -= text.len();
        let line: String = text.trim().chars().map(|c| if ends_yaml(c) { ' ' } else { c }).collect();
        read(&format!("{given}{line}"), given.len(), at, found);
    }
}

/// The words that may be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty())
}

/// Reports what `code` does from `start` on.
fn read(code: &str, start: usize, at: usize, found: &mut Found<'_>) {
    for deed in python::read(code).deeds {
        // Most that begins with `$` is no Python.
        let odd = deed.rule == PYTHON_UNREAD && deed.severity == Some(Severity::Low);
        if !odd && deed.offset >= start as u64 {
            let shown = escape(code.get(start..).unwrap_or("").trim(), 60);
            found(deed.severity, deed.rule, at, format!("in {shown}, which is evaluated: {}", deed.what));
        }
    }
}

/// The lines of a value, as far as they stand no further left than its first.
fn block(text: &str, value: Value<'_>) -> String {
    let start = text.len().saturating_sub(value.rest.len());
    let before = text.get(..start).unwrap_or("");
    let column = before.chars().rev().take(CODE).take_while(|c| !ends_yaml(*c)).count();
    let mut code = String::new();
    for (number, (_, line)) in lines(value.rest, ends_yaml).enumerate() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if code.len() > CODE || number > 0 && !line.trim().is_empty() && indent < column {
            break;
        }
        code.push_str(if number == 0 { line } else { line.get(column..).unwrap_or("\n") });
    }
    // In a text in quotes.
    code.replace("\\n", "\n")
}
