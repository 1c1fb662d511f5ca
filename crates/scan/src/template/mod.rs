//! Chat templates: Jinja programs that every renderer of a conversation runs.
//!
//! They are parsed here, by a parser of their own, and not by a template engine: comments, escapes and positions
//! matter, long chains must not make a deep tree, and what one engine refuses another one renders.

mod access;
mod ast;
mod content;
mod expr;
mod flow;
mod fold;
mod lexer;
mod parser;
mod prose;
mod scope;

use ostrom_core::Severity;

use crate::examination::{Examination, escape};
use crate::rules;
use crate::tensor::hidden;

use fold::Constants;

crate::rules::declare! {
    /// Reaches into the interpreter.
    INTERNALS = "template-internals",
    /// Reaches for a private attribute.
    PRIVATE = "template-private-name",
    /// The name of an attribute is put together in a way that was not followed.
    COMPUTED = "template-computed-name",
    /// The filter that reads attributes.
    ATTR_FILTER = "template-attr-filter",
    /// Calls what runs programs.
    DANGEROUS = "template-dangerous-call",
    /// Names an object that attacks start from.
    GADGET = "template-gadget",
    /// Calls what no renderer is known to offer.
    UNKNOWN_CALLABLE = "template-unknown-callable",
    /// Loads another template.
    LOADS = "template-loads-another",
    /// Takes time or memory without end.
    EXHAUSTION = "template-exhaustion",
    /// Says something only if a message says something.
    CONDITIONAL_CONTENT = "template-conditional-content",
    /// Says something only on some days.
    CONDITIONAL_DATE = "template-conditional-date",
    /// Tells the model to ignore what it was told.
    OVERRIDE = "template-override-instruction",
    /// Text that people do not see.
    HIDDEN = "template-hidden-text",
    /// So much white space that people do not look behind it.
    PADDING = "template-padding",
    /// Puts a web address into the conversation.
    URL = "template-url",
    /// Not parsed.
    UNPARSED = "template-unparsed",
}

/// The longest template. Real ones have up to some 30 kilobytes.
const LONGEST: usize = 1 << 20;
/// So many blanks in a row, or lines, push what follows out of sight.
const BLANKS: usize = 256;
const LINES: usize = 40;

/// Examines a chat template. Offsets of findings are bytes of `text`.
pub(crate) fn template(text: &str, scan: &mut Examination<'_>) {
    scan.is("chat template");
    if text.len() > LONGEST {
        scan.report(rules::LIMIT, None, format!("a chat template of {} bytes", text.len()));
        return;
    }
    if let Some((at, hidden)) = hidden::find(text) {
        let what = format!("{}: {}", hidden.words(), excerpt(text, at));
        scan.report(HIDDEN, Some(at as u64), what);
    }
    if let Some(at) = padding(text) {
        let behind = text.get(at..).unwrap_or_default().trim_start();
        let what = format!("white space that hides what follows: {}", escape(behind, 100));
        scan.report(PADDING, Some(at as u64), what);
    }
    let parsed = lexer::tokens(text).and_then(|tokens| parser::parse(tokens, text.len()));
    let body = match parsed {
        Ok(mut body) => {
            scope::rename(&mut body);
            body
        }
        Err((at, why)) => {
            scan.report(UNPARSED, Some(at as u64), format!("{why}: {}", excerpt(text, at)));
            return;
        }
    };
    let constants = Constants::of(&body);
    let mut found = Vec::new();
    access::check(&body, &constants, &mut found);
    content::check(&body, &constants, &mut found);
    for Found { rule, at, severity, what } in found {
        let what = format!("{what}: {}", excerpt(text, at));
        match severity {
            Some(severity) => scan.report_as(severity, rule, Some(at as u64), what),
            None => scan.report(rule, Some(at as u64), what),
        }
    }
    if constants.exhausted() {
        scan.report(rules::LIMIT, None, "the template puts together more text than was followed");
    }
}

/// What a text reaches for that is rendered without a sandbox.
pub(crate) struct Reach {
    pub(crate) rule: &'static str,
    /// Where, in bytes.
    pub(crate) at: usize,
    /// How bad it is, if that is not up to the rule.
    pub(crate) severity: Option<Severity>,
    pub(crate) what: String,
}

/// What a template of any kind reaches for in the interpreter; `None` if it cannot be read as one. What it says, which names it is
/// given and what it costs is up to whoever renders it.
pub(crate) fn reaches(text: &str) -> Option<Vec<Reach>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut body = lexer::tokens(text).and_then(|tokens| parser::parse(tokens, text.len())).ok()?;
    scope::rename(&mut body);
    let constants = Constants::of(&body);
    let mut found = Vec::new();
    access::check(&body, &constants, &mut found);
    if constants.exhausted() {
        found.push(Found::new(COMPUTED, 0, "the template puts together more text than was followed"));
    }
    let reach = |Found { rule, at, severity, what }| {
        let what = format!("{what}: {}", excerpt(text, at));
        let severity = match (rule, severity) {
            (INTERNALS | COMPUTED, severity) => severity,
            // A field of a data set may begin with an underscore.
            (PRIVATE, _) => Some(Severity::Medium),
            (ATTR_FILTER, Some(Severity::High)) => Some(Severity::High),
            _ => return None,
        };
        Some(Reach { rule, at, severity, what })
    };
    Some(found.into_iter().filter_map(reach).collect())
}

/// The first name in `text` that leads into the interpreter, and where it stands.
pub(crate) fn internal_name(text: &str) -> Option<(usize, &str)> {
    access::DUNDERS.iter().filter_map(|name| Some((text.find(name)?, *name))).min()
}

/// A finding in the making.
struct Found {
    rule: &'static str,
    at: usize,
    severity: Option<Severity>,
    what: String,
}

impl Found {
    fn new(rule: &'static str, at: usize, what: impl Into<String>) -> Self {
        Self { rule, at, severity: None, what: what.into() }
    }
}

/// What stands at a place.
fn excerpt(text: &str, at: usize) -> String {
    escape(text.get(at..).unwrap_or_default(), 100)
}

/// Where white space begins that pushes what follows out of sight.
fn padding(text: &str) -> Option<usize> {
    let (mut start, mut blanks, mut lines) = (0usize, 0usize, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '\n' => {
                lines = lines.saturating_add(1);
                blanks = 0;
            }
            c if c.is_whitespace() => blanks = blanks.saturating_add(1),
            _ => {
                if blanks >= BLANKS || lines >= LINES {
                    return Some(start);
                }
                (start, blanks, lines) = (at.saturating_add(c.len_utf8()), 0, 0);
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "honest_tests.rs"]
mod honest_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
