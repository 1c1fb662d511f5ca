//! Values that loaders evaluate as Python: MONAI's texts that begin with `$`, `download` and `activation` of Ultralytics. They are read as
//! Python code is ([`super::python`]).

use std::collections::HashSet;

use ostrom_core::Severity;

use super::lines::ends_yaml;
use super::nodes::{Nodes, Value};
use super::scalars::{self, Style};
use super::yaml::Found;
use super::{CONFIG_OBJECT, PYTHON_OBFUSCATED, PYTHON_REMOTE_CODE, PYTHON_UNREAD, python};
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

/// The most expressions that are read, what all texts take that could be one, what those that are read do, and what the imports
/// among them do.
const MOST: usize = 500;
const ROOM: usize = 4 << 20;
const READ: usize = 1 << 20;
const IMPORTS: usize = 2000;

/// The most bytes of YAML that are read to find them. Texts that lie in one another are read again and again.
const WORK: usize = 32 << 20;

/// What each text takes beside its length.
const SHARE: usize = 16;

/// How much of a text without quotes is looked at alone.
const HEAD: usize = 400;

/// How far back the beginning of a line is looked for.
const LINE: usize = 4096;

/// The keys under which Ultralytics has code.
const DOWNLOAD: &str = "download";
const ACTIVATION: &str = "activation";
pub(super) const KEYS: [&str; 2] = [DOWNLOAD, ACTIVATION];

/// The name of what an expression of MONAI refers to (`@name`), while it is read.
const REFERRED: &str = "referred_";

/// Adds a string of a JSON document if it is an expression.
pub(super) fn in_text(text: &str, taken: &mut Taken) {
    if let Some(text) = text.strip_prefix('$').filter(|text| !is_other(text)) {
        taken.take(0, Some(text));
    }
}

/// The expressions in a YAML text, and the values of keys that have code. Of `nodes` the text has its comments made blank; where
/// something begins is the same in both.
pub(super) fn in_yaml(text: &str, nodes: &Nodes<'_>, found: &mut Found<'_>) {
    let (mut taken, mut work) = (Taken::default(), WORK);
    scalars::dollars(nodes.text(), |at, style| {
        let (whole, bytes) = scalars::read(text, at, style);
        let whole = whole.as_ref().map(|whole| whole.strip_prefix('$').unwrap_or(""));
        // Of a text without quotes it may be what follows that no Python takes.
        let other = |whole: &str| match style {
            Style::Plain { .. } => python::is_no_expression(head(text, at)),
            _ => is_other(whole),
        };
        work = work.saturating_sub(bytes + SHARE);
        if work == 0 {
            return taken.take(at, None);
        }
        whole.is_some_and(other) || taken.take(at, whole)
    });
    taken.evaluate(found);
    let mut room = ROOM;
    for key in KEYS {
        for (at, value) in nodes.values(key) {
            let codes = code(text, nodes, at, value, &mut work);
            room = room.saturating_sub(codes.iter().flatten().map(|code| code.len() + SHARE).sum());
            if codes.iter().any(Option::is_none) || room == 0 || work == 0 {
                let what =
                    format!("{key} has more, or something else, than is read as the code that it may be");
                return found(Some(Severity::High), CONFIG_OBJECT, at, what);
            }
            codes.into_iter().flatten().for_each(|code| run(key, &code, at, found));
        }
    }
}

/// Whether a text that begins with `$` is no expression, but a price, a variable of a shell, mathematics.
fn is_other(text: &str) -> bool {
    python::is_refused(text) || python::is_no_expression(text)
}

/// What stands for sure in the text without quotes that begins at `at` with a `$`.
fn head(text: &str, at: usize) -> &str {
    let rest = text.get(at + 1..).unwrap_or("");
    let near = rest.get(..rest.floor_char_boundary(HEAD)).unwrap_or("");
    // A word that is cut in two is none.
    let near = match near.len() < rest.len() {
        true => near.trim_end_matches(|c: char| !c.is_whitespace()),
        false => near,
    };
    let ends = near.find(|c: char| ends_yaml(c) || matches!(c, ',' | '[' | ']' | '{' | '}'));
    let near = near.get(..ends.unwrap_or(near.len())).unwrap_or("");
    [" #", "\t#", ": "].iter().fold(near, |near, end| near.split_once(end).map_or(near, |(near, _)| near))
}

/// What the value of a key that stands at `key` has, by whatever name; `None` for what cannot be told or is too long.
/// Takes what is read for it from `work`.
fn code(
    text: &str,
    nodes: &Nodes<'_>,
    key: usize,
    value: Value<'_>,
    work: &mut usize,
) -> Vec<Option<String>> {
    let values = match value.alias().map(|name| nodes.anchored(name)) {
        None => std::slice::from_ref(&value),
        Some(None) => return vec![None],
        Some(Some(values)) => values,
    };
    let mut whole = |value: &Value<'_>| {
        let at = text.len().saturating_sub(value.rest.len());
        let (at, style) = match (value.block, value.quote) {
            (Some(mark), _) => {
                let header = text.get(mark..)?;
                let line = header.find(ends_yaml).unwrap_or(header.len());
                // Where a number says how far right a block stands, its first line does not.
                if header.get(..line)?.contains(|c: char| c.is_ascii_digit()) {
                    return None;
                }
                (mark + line, Style::Block { folded: header.starts_with('>') })
            }
            (None, Some('"')) => (at, Style::Double),
            (None, Some(_)) => (at, Style::Single),
            (None, None) => (at, Style::Plain { base: base(text, key) }),
        };
        let (whole, bytes) = scalars::read(text, at, style);
        *work = work.saturating_sub(bytes);
        whole
    };
    values.iter().map(&mut whole).collect()
}

/// How far right the key stands that is at `at`; 0 if its line is long.
fn base(text: &str, at: usize) -> usize {
    let before = text.get(text.floor_char_boundary(at.saturating_sub(LINE))..at).unwrap_or("");
    let line = before.rfind(ends_yaml).and_then(|end| before.get(end..)).or((at < LINE).then_some(before));
    line.map_or(0, |line| scalars::column(&format!("{}x", line.trim_start_matches(ends_yaml))))
}

/// Reads what Ultralytics does with the value of `key`.
fn run(key: &str, code: &str, at: usize, found: &mut Found<'_>) {
    if key == ACTIVATION {
        if !is_inert(code) {
            read(GIVEN, code, code, at, found);
        }
    } else if code.starts_with("bash ") {
        let what = format!("{key} has a command run: {}", escape(code.trim_end(), 200));
        found(Some(Severity::Medium), CONFIG_OBJECT, at, what);
    // An address is no Python, whatever follows it.
    } else if !["http://", "https://"].iter().any(|start| code.starts_with(start)) && !is_inert(code) {
        read("", code, code, at, found);
    }
}

/// Whether code does nothing: it says one name or a few words, but imports nothing. What has other signs may call something also where
/// none of them is a bracket: `x.__getitem__ = exec`.
fn is_inert(code: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ' | '\n');
    code.chars().all(word) && !words(code).any(|word| matches!(word, "import" | "from"))
}

/// Texts that could be expressions, and where they stand.
#[derive(Default)]
pub(super) struct Taken {
    texts: Vec<(usize, String)>,
    /// What they take.
    bytes: usize,
    /// Where one stands that is not among them for its length, or because there are too many.
    over: Option<usize>,
}

impl Taken {
    /// Says whether more is wanted.
    fn take(&mut self, at: usize, text: Option<&str>) -> bool {
        self.bytes = self.bytes.saturating_add(text.map_or(0, str::len) + SHARE);
        match text {
            Some(text) if self.bytes <= ROOM => self.texts.push((at, text.to_owned())),
            _ => self.over = self.over.or(Some(at)),
        }
        self.over.is_none()
    }

    /// Reads those that could reach anything.
    pub(super) fn evaluate(self, found: &mut Found<'_>) {
        let too_much = |at, what: &str, found: &mut Found<'_>| {
            found(
                Some(Severity::High),
                CONFIG_OBJECT,
                at,
                format!("{what} for its expressions than is read"),
            );
        };
        if let Some(at) = self.over {
            too_much(at, "has more", found);
        }
        // Python takes each letter for the plain one of its kind; in texts nothing comes of that.
        let texts: Vec<(usize, &str, String)> =
            self.texts.iter().map(|(at, text)| (*at, text.as_str(), python::normal(text))).collect();
        let mut given = GIVEN.to_owned();
        let mut modules = vec![Import { path: "torch".to_owned(), text: String::new() }];
        for (at, import) in texts.iter().filter_map(|(at, _, plain)| Some((at, Import::of(plain)?))) {
            if given.len() + import.text.len() > GIVEN.len() + IMPORTS {
                return too_much(*at, "imports more", found);
            }
            given.push_str(&import.text);
            given.push('\n');
            modules.push(import);
        }
        let names: HashSet<&str> = words(&given).chain(WORDS).filter(|word| *word != "as").collect();
        let reaches = |text: &str| text.contains("__") || words(text).any(|word| names.contains(word));
        let (mut left, mut room, mut hands_on) = (MOST, READ, false);
        for (at, text, _) in texts.iter().filter(|(_, _, plain)| reaches(plain)) {
            if left == 0 || room < text.len() {
                return too_much(*at, "has more", found);
            }
            left -= 1;
            room -= text.len();
            hands_on |= read(&given, text.trim(), text, *at, found);
        }
        // What an expression refers to may be any module that another has as its value.
        modules.retain(|module| module.text.is_empty() || python::leads(&module.path));
        if hands_on {
            let sensitive =
                ["os", "subprocess", "builtins", "importlib", "sys", "ctypes", "shutil", "socket", "pty"];
            modules.extend(sensitive.map(|path| Import { path: path.to_owned(), text: String::new() }));
        }
        modules.sort();
        modules.dedup_by(|one, other| one.path == other.path);
        for (at, shown, text) in self.texts.iter().filter_map(|(at, text)| Some((at, text, referring(text)?)))
        {
            for module in &modules {
                if room < text.len() {
                    return too_much(*at, "refers to more", found);
                }
                room -= text.len();
                read(&format!("{given}{}", module.bound()), text.trim(), shown, *at, found);
            }
        }
    }
}

/// What MONAI imports for an expression that is nothing but that, which is also its value: the first name that it says.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    path: String,
    /// The statement in one line; nothing but names, so that it hides nothing of what is read behind it.
    text: String,
}

impl Import {
    /// As Python reads the first statement of `text`.
    fn of(text: &str) -> Option<Self> {
        let mut rest = text.trim_start();
        while let Some(after) = rest.strip_prefix('\\').or_else(|| {
            rest.strip_prefix('#')
                .map(|comment| comment.split_once(['\n', '\r']).map_or("", |(_, after)| after))
        }) {
            rest = after.trim_start();
        }
        let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
        let (word, mut rest) = rest.split_at_checked(end)?;
        if !matches!(word, "import" | "from") {
            return None;
        }
        let mut line = word.to_owned();
        let mut depth = 0_usize;
        while let Some(c) = rest.chars().next() {
            rest = rest.get(c.len_utf8()..).unwrap_or("");
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                '#' if depth > 0 => rest = rest.split_once(['\n', '\r']).map_or("", |(_, after)| after),
                '\\' => rest = rest.trim_start_matches(['\n', '\r']),
                '\n' | '\r' if depth == 0 => break,
                '_' | '.' | ',' | '*' => line.push(c),
                _ if c.is_alphanumeric() => line.push(c),
                _ if c.is_whitespace() => {}
                _ => break,
            }
            // Whatever parts names is a blank.
            if c.is_whitespace() || matches!(c, '(' | ')' | '\\' | '#') {
                line.push(' ');
            }
            if line.len() > IMPORTS {
                break;
            }
        }
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let path = match words.as_slice() {
            ["import", module, ..] => (*module).to_owned(),
            ["from", module, "import", name, ..] => format!("{module}.{name}"),
            _ => return None,
        };
        Some(Self { path, text: line })
    }

    /// A line that gives what it imports the name by which it is referred to.
    fn bound(&self) -> String {
        match self.path.rsplit_once('.').filter(|_| self.text.starts_with("from")) {
            Some((module, name)) => format!("from {module} import {name} as {REFERRED}\n"),
            None => format!("import {} as {REFERRED}\n", self.path),
        }
    }
}

/// The text with a name in place of what it refers to, if it refers to anything: `@network::0`.
fn referring(text: &str) -> Option<String> {
    let mut parts = text.split('@');
    let mut out = parts.next()?.to_owned();
    let start = out.len();
    for part in parts {
        let name = |c: char| c == '_' || c == '#' || c.is_alphanumeric();
        let mut rest = part.trim_start_matches(name);
        while let Some(after) = rest.strip_prefix("::") {
            rest = after.trim_start_matches(name);
        }
        out.push_str(REFERRED);
        out.push_str(rest);
    }
    (out.len() > start).then_some(out)
}

/// The words that may be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty())
}

/// Reports what `code` does behind `given`, as what `shown` does. Says whether it hands a module on that can run anything.
fn read(given: &str, code: &str, shown: &str, at: usize, found: &mut Found<'_>) -> bool {
    let gathered = python::read(&format!("{given}{code}"));
    for deed in &gathered.deeds {
        // Most that begins with `$` is no Python.
        let odd = deed.rule == PYTHON_UNREAD && deed.severity == Some(Severity::Low);
        if !odd && deed.offset >= given.len() as u64 {
            // No configuration has a need of these, whatever they are elsewhere.
            let severity = match deed.rule {
                PYTHON_OBFUSCATED | PYTHON_REMOTE_CODE => {
                    Some(deed.severity.unwrap_or(Severity::High).max(Severity::High))
                }
                _ => deed.severity,
            };
            let shown = escape(shown.trim(), 60);
            found(severity, deed.rule, at, format!("in {shown}, which is evaluated: {}", deed.what));
        }
    }
    gathered.hands_on()
}
