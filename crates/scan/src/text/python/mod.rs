//! What Python code does, as far as that shows without running it.
//!
//! The code is read as tokens and walked statement by statement; names are followed through imports, assignments,
//! `getattr` and strings put together from constants. Any *use* of a dangerous name counts, not only a call, so handing it
//! around hides nothing. This is a reading, not a proof: code that works names out as it runs is reported as such.

mod arithmetic;
mod call;
mod danger;
mod expression;
mod lexer;
mod literal;
mod statement;
mod value;
mod walker;

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::Severity;

pub(crate) use self::arithmetic::{Arithmetic, beyond};
pub(crate) use self::walker::{Deed, Gathered, normal};
use self::walker::{Scope, ScopeKind, Walker};
use crate::text;

/// The longest code that is read. What people write is far shorter.
pub(crate) const LONGEST: usize = 4 << 20;

/// Reads `source`. The deeds come in the order of their places.
pub(crate) fn read(source: &str) -> Gathered {
    let Some(lists) = danger::lists() else {
        // INVARIANT: a test rules this out.
        return undecided("the list of names is broken");
    };
    if source.len() > LONGEST {
        return undecided(format!("is longer than {LONGEST} bytes"));
    }
    let tokens = lexer::lex(source);
    let bad = tokens.iter().find(|token| token.kind == lexer::Kind::Bad).copied();
    let mut walker = Walker {
        source,
        tokens,
        at: 0,
        lists,
        scopes: vec![Scope { kind: ScopeKind::Module, column: 0, names: BTreeMap::new() }],
        stars: BTreeSet::new(),
        noting: false,
        gathered: Gathered::default(),
        depth: 0,
        nested: 0,
        floor: 1,
    };
    // Functions use names that the module binds further down, so the module's names are learnt first.
    walker.module();
    walker.at = 0;
    walker.depth = 0;
    walker.gathered = Gathered::default();
    walker.noting = true;
    walker.module();
    let mut gathered = walker.gathered;
    if gathered.loose > 0 {
        for (offset, name) in std::mem::take(&mut gathered.suspects) {
            let what = format!("calls {name} on an object while modules that have it are handed around");
            gathered.deeds.insert(Deed { offset, rule: text::PYTHON_OBFUSCATED, severity: None, what });
        }
    }
    if gathered.too_deep {
        gathered.deeds.extend(undecided("lies too deep in itself").deeds);
    }
    if let Some(bad) = bad {
        let what = "holds what Python does not take, so that the rest may be read differently".to_owned();
        let severity = Some(Severity::Low);
        gathered.deeds.insert(Deed { offset: bad.start.into(), rule: text::PYTHON_UNREAD, severity, what });
    }
    gathered
}

/// What says that code was not read to its end.
fn undecided(what: impl Into<String>) -> Gathered {
    let deed = Deed { offset: 0, rule: text::PYTHON_UNREAD, severity: None, what: what.into() };
    Gathered { deeds: BTreeSet::from([deed]), ..Gathered::default() }
}

/// Names with dots between them, and where they stand; attributes of other expressions left out.
pub(crate) fn dotted_names(source: &str) -> Vec<(u64, String)> {
    let tokens = lexer::lex(source);
    let mut names: Vec<(u64, String)> = Vec::new();
    let mut end_of_name = false;
    let mut dot = false;
    for token in tokens {
        let text = token.text(source);
        match token.kind {
            lexer::Kind::Name if dot && end_of_name => {
                if let Some((_, name)) = names.last_mut().filter(|(_, name)| name.len() < 500) {
                    name.push('.');
                    name.push_str(text);
                }
                dot = false;
            }
            lexer::Kind::Name => {
                if !dot {
                    names.push((token.start.into(), walker::normal(text)));
                }
                end_of_name = !dot;
                dot = false;
            }
            _ => {
                dot = token.kind == lexer::Kind::Operator && text == ".";
                end_of_name = end_of_name && dot;
            }
        }
    }
    names
}

/// What the use of a dotted name in a configuration that builds objects means.
pub(crate) fn names_danger(path: &str) -> bool {
    const PLAIN: [&str; 14] = [
        "dict",
        "list",
        "tuple",
        "set",
        "frozenset",
        "str",
        "bytes",
        "int",
        "float",
        "complex",
        "bool",
        "slice",
        "range",
        "object",
    ];
    let is_name =
        path.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric()));
    // `sh.txt` is a file far more often than a function of the package sh.
    if !is_name || path.starts_with("sh.") {
        return false;
    }
    let calls = [
        text::PYTHON_COMMANDS,
        text::PYTHON_DYNAMIC_CODE,
        text::PYTHON_UNPICKLES,
        text::PYTHON_NATIVE_CALL,
        text::PYTHON_NETWORK,
        text::PYTHON_DELETES,
        text::PYTHON_DYNAMIC_IMPORT,
        text::PYTHON_REMOTE_CODE,
        text::PYTHON_OBFUSCATED,
    ];
    let listed = danger::lists()
        .is_some_and(|lists| lists.meaning(path).is_some_and(|found| calls.contains(&found.rule)));
    listed || path.strip_prefix("builtins.").is_some_and(|name| !PLAIN.contains(&name))
}

/// Whether no Python takes `source` as a whole, for it has a `$` or `?` outside of texts and comments.
pub(crate) fn is_refused(source: &str) -> bool {
    source.contains(['$', '?'])
        && lexer::lex(source)
            .iter()
            .any(|token| token.kind == lexer::Kind::Bad && matches!(token.text(source), "$" | "?"))
}

/// Whether no expression begins with `source`, for it has two names in a row, or the name of a statement. One that is an import is let
/// pass.
pub(crate) fn is_no_expression(source: &str) -> bool {
    const STATEMENTS: [&str; 12] =
        ["import", "def", "class", "return", "while", "with", "try", "raise", "del", "assert", "as", "pass"];
    // What may stand between two names.
    const OPERATORS: [&str; 13] =
        ["and", "or", "not", "in", "is", "if", "else", "for", "lambda", "await", "async", "yield", "from"];
    let tokens = lexer::lex(source);
    let mut names =
        tokens.iter().filter(|token| token.kind == lexer::Kind::Name).map(|token| token.text(source));
    if names.next().is_none_or(|first| matches!(first, "import" | "from")) {
        return false;
    }
    let word = |token: &lexer::Token| (token.kind == lexer::Kind::Name).then(|| token.text(source));
    let blank = |from: u32, to: u32| {
        source.get(from as usize..to as usize).is_some_and(|gap| gap.chars().all(|c| matches!(c, ' ' | '\t')))
    };
    tokens.iter().filter_map(word).any(|name| STATEMENTS.contains(&name))
        || tokens.windows(2).any(|pair| match pair {
            [one, two] => {
                let names = [one, two].map(|token| word(token).filter(|name| !OPERATORS.contains(name)));
                names.iter().all(Option::is_some) && blank(one.end, two.start)
            }
            _ => false,
        })
}

/// Whether the module `path` has names that code has no need of.
pub(crate) fn leads(path: &str) -> bool {
    danger::lists().is_none_or(|lists| lists.has_names_of(path))
}

/// The encoding that the first two lines declare, if it is one in which the text says something else than it shows. As
/// CPython, it takes the first `coding` with a colon or an equals sign and a name behind it, wherever in a comment that is.
pub(crate) fn odd_encoding(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()).take(2) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\x0c'));
        let Some(comment) = start.and_then(|start| line.get(start..)?.strip_prefix(b"#")) else { continue };
        let Some(name) = declared(comment) else { continue };
        let plain = name.to_ascii_lowercase().replace('_', "-");
        let known = [
            "utf-8",
            "utf8",
            "ascii",
            "us-ascii",
            "latin-1",
            "latin1",
            "iso-8859-1",
            "iso-8859-15",
            "cp1252",
        ];
        if !known
            .iter()
            .any(|known| plain == *known || plain.starts_with("utf-8-") || plain.starts_with("iso-latin-1"))
        {
            return Some(name);
        }
    }
    None
}

/// The name of an encoding in a comment.
fn declared(mut comment: &[u8]) -> Option<String> {
    const WORD: &[u8] = b"coding";
    while let Some(at) = comment.windows(WORD.len()).position(|part| part == WORD) {
        comment = comment.get(at + WORD.len()..)?;
        let Some(rest) = comment.strip_prefix(b":").or_else(|| comment.strip_prefix(b"=")) else { continue };
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let name: String = rest
            .iter()
            .skip(blank)
            .map(|byte| char::from(*byte))
            .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .take(200)
            .collect();
        if !name.is_empty() {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests;
