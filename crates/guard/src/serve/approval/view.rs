//! What the approval page shows. All text from outside is escaped twice over: characters that do not show as themselves are
//! written out, and then the template escapes for HTML.

use std::sync::Arc;

use askama::Template;
use ostrom_core::Digest;
use serde_json::Value;

use crate::flow::{Scope, clauses};
use crate::gateway::{Gateway, Held, Request};
use crate::label::{Integrity, Label, Names, Readers};
use crate::pin::{Reason, Standing, escape, rendering};

/// Calls, and definitions, on one page.
const MAX_SHOWN: usize = 50;
/// Characters of an argument in a list; a page of the call alone has all of it.
const MAX_CHARS: usize = 4_000;

/// A stretch of text.
pub(super) struct Piece {
    text: String,
    /// Whether it stands for a hidden character.
    hidden: bool,
}

struct Argument {
    name: String,
    pieces: Vec<Piece>,
    more: usize,
}

/// A call as a person reads it.
pub(super) struct Call {
    digest: Digest,
    short: String,
    asked: u64,
    server: String,
    tool: String,
    principal: String,
    age: String,
    because: Vec<String>,
    arguments: Vec<Argument>,
    hidden: usize,
    cut: bool,
    influencers: String,
    readers: String,
    provenance: String,
}

struct Change {
    at: String,
    before: Option<Vec<Piece>>,
    after: Option<Vec<Piece>>,
}

/// A held definition.
struct Definition {
    server: String,
    name: String,
    kind: String,
    reasons: Vec<String>,
    changes: Vec<Change>,
    pieces: Vec<Piece>,
    /// What it can be approved by, if it can.
    digest: Option<Digest>,
    obstacle: &'static str,
}

struct Stop {
    what: String,
    scope: String,
}

/// All that waits.
#[derive(Template)]
#[template(path = "approval.html")]
pub(super) struct Everything {
    base: String,
    csrf: String,
    said: Option<&'static str>,
    watch: bool,
    total: usize,
    calls: Vec<Call>,
    held_total: usize,
    held: Vec<Definition>,
    stopped: Vec<Stop>,
    all_stopped: bool,
    made: String,
}

/// One call, all of it.
#[derive(Template)]
#[template(path = "one.html")]
pub(super) struct One {
    base: String,
    csrf: String,
    call: Call,
}

/// A sentence, and what can be done.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Notice {
    pub(super) title: &'static str,
    pub(super) text: String,
    /// Of a link that can be used.
    pub(super) token: Option<String>,
    pub(super) back: Option<String>,
}

impl Everything {
    pub(super) fn new(
        gateway: &Gateway,
        (base, csrf): (String, String),
        (said, watch): (Option<&'static str>, bool),
        now: u64,
    ) -> Self {
        let (waiting, scopes, seconds) = {
            let mut state = gateway.shared.lock();
            let scopes: Vec<Scope> = state.engine.stopped().cloned().collect();
            (state.approvals.waiting(now), scopes, state.approvals.terms.seconds)
        };
        let held = gateway.catalogue.held();
        let calls: Vec<Call> = waiting
            .iter()
            .take(MAX_SHOWN)
            .map(|request| Call::new(request, request.at.saturating_add(seconds), now, MAX_CHARS))
            .collect();
        Self {
            watch: watch && calls.is_empty(),
            base,
            csrf,
            said,
            total: waiting.len(),
            calls,
            held_total: held.len(),
            held: held.iter().take(MAX_SHOWN).map(definition).collect(),
            all_stopped: scopes.contains(&Scope::All),
            stopped: scopes.iter().filter_map(stop).collect(),
            made: clock(now),
        }
    }
}

impl One {
    pub(super) fn new(
        request: &Arc<Request>,
        (base, csrf): (String, String),
        (ends, now): (u64, u64),
    ) -> Self {
        Self { base, csrf, call: Call::new(request, ends, now, usize::MAX) }
    }
}

impl Call {
    fn new(request: &Arc<Request>, ends: u64, now: u64, max: usize) -> Self {
        let mut hidden: usize = 0;
        let arguments: Vec<Argument> = request
            .arguments
            .iter()
            .map(|(name, value)| {
                let text = readable(value);
                let more = text.chars().count().saturating_sub(max);
                let pieces = pieces(&text, max);
                hidden = hidden.saturating_add(pieces.iter().filter(|piece| piece.hidden).count());
                Argument { name: escape(name), pieces, more }
            })
            .collect();
        let mut because: Vec<String> =
            clauses(&request.violations).iter().map(|clause| sentence(clause)).collect();
        because.extend(
            request.forbidden_by.iter().map(|policy| sentence(&format!("the policy {policy} forbids it"))),
        );
        let run = request.context.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
        Self {
            digest: request.digest,
            short: request.digest.to_string().chars().take(12).collect(),
            asked: request.at,
            server: escape(&request.server),
            tool: match &request.prompt {
                Some(prompt) => format!("{} {}", escape(&request.tool), escape(prompt)),
                None => escape(&request.tool),
            },
            principal: escape(&format!("{}{run}", request.context.principal)),
            age: format!(
                "asked {} ago, ends in {}",
                span(now.saturating_sub(request.at)),
                span(ends.saturating_sub(now))
            ),
            because,
            cut: arguments.iter().any(|argument| argument.more > 0),
            arguments,
            hidden,
            influencers: influencers(&request.label),
            readers: readers(&request.label),
            provenance: names(&request.label.sources(), "nothing that is on record"),
        }
    }
}

fn definition(held: &Held) -> Definition {
    let reasons: &[Reason] = match &held.checked.standing {
        Standing::Held(reasons) => reasons,
        Standing::Pinned | Standing::Removed => &[],
    };
    let mut changes = Vec::new();
    for reason in reasons {
        let Reason::Changed(all) = reason else { continue };
        changes.extend(all.iter().map(|change| {
            let side = |text: &Option<String>| text.as_ref().map(|text| pieces(text, usize::MAX));
            Change { at: change.at.clone(), before: side(&change.before), after: side(&change.after) }
        }));
    }
    let told = |reason: &Reason| match reason {
        // The list that follows says what.
        Reason::Changed(_) => "It has changed since it was approved".to_owned(),
        other => sentence(other.to_string().trim_end_matches(';')),
    };
    let hides = reasons.iter().any(|reason| matches!(reason, Reason::Hidden(_)));
    Definition {
        server: escape(&held.server),
        name: escape(&held.checked.name),
        kind: held.checked.kind.to_string(),
        reasons: reasons.iter().map(told).collect(),
        changes,
        pieces: held
            .definition
            .as_ref()
            .map(|value| pieces(&readable(value), usize::MAX))
            .unwrap_or_default(),
        digest: held.checked.digest.filter(|_| !hides),
        obstacle: if hides {
            "It has text that people do not see, marked here, so it cannot be approved: have the server's maker take it out."
        } else {
            "This is no definition within the bounds, so it cannot be approved."
        },
    }
}

fn stop(scope: &Scope) -> Option<Stop> {
    Some(Stop { what: sentence(&scope.to_string()), scope: serde_json::to_string(scope).ok()? })
}

/// A value to be read: JSON over several lines, in which whatever does not show as itself is written as `\u{…}`.
fn readable(value: &Value) -> String {
    // Only indentation breaks lines: line breaks inside strings are escaped.
    match serde_json::to_string_pretty(value) {
        Ok(text) => text.lines().map(escape).collect::<Vec<_>>().join("\n"),
        Err(_) => rendering(value),
    }
}

/// The first `max` characters of a rendering, with hidden characters apart. A line break in a string shows as `\n` and as one.
fn pieces(text: &str, max: usize) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars().take(max).peekable();
    while let Some(c) = rest.next() {
        plain.push(c);
        if c != '\\' {
            continue;
        }
        // What follows a backslash belongs to it, so that a written-out backslash before `u{` is not taken for the mark.
        let Some(next) = rest.next() else { break };
        plain.push(next);
        if next == 'n' {
            plain.push('\n');
        }
        if next == 'u' && rest.peek() == Some(&'{') {
            plain.truncate(plain.len().saturating_sub(2));
            if !plain.is_empty() {
                found.push(Piece { text: std::mem::take(&mut plain), hidden: false });
            }
            let mut mark = String::from("\\u");
            for c in rest.by_ref() {
                mark.push(c);
                if c == '}' {
                    break;
                }
            }
            found.push(Piece { text: mark, hidden: true });
        }
    }
    if !plain.is_empty() {
        found.push(Piece { text: plain, hidden: false });
    }
    found
}

/// With hidden characters written out, and a capital, unless it begins with a name: `git/git_log` is not `Git/git_log`.
fn sentence(text: &str) -> String {
    let text = escape(text);
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.chars().all(char::is_alphabetic) {
        return text;
    }
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => text,
    }
}

fn names(names: &Names, none: &str) -> String {
    let all: Vec<String> = names.iter().map(|name| escape(name)).collect();
    if all.is_empty() { none.to_owned() } else { all.join(", ") }
}

fn influencers(label: &Label) -> String {
    match &label.integrity {
        Integrity::Anyone => "anyone".to_owned(),
        Integrity::Of(who) => names(who, "nobody"),
    }
}

fn readers(label: &Label) -> String {
    match &label.readers {
        Readers::Everyone => "everyone".to_owned(),
        Readers::Only(who) => names(who, "nobody"),
    }
}

/// Seconds in words.
pub(super) fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// The time of day, in UTC: the guard knows no other.
fn clock(now: u64) -> String {
    let of_day = now % 86_400;
    format!("{:02}:{:02}:{:02} UTC", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn marked(value: &Value) -> Vec<String> {
        pieces(&readable(value), usize::MAX)
            .into_iter()
            .filter(|piece| piece.hidden)
            .map(|piece| piece.text)
            .collect()
    }

    #[test]
    fn hidden_characters_are_marked_and_text_that_only_looks_like_their_mark_is_not() {
        assert_eq!(marked(&json!("a\u{202e}b\u{200b}")), [r"\u{202e}", r"\u{200b}"]);
        assert!(marked(&json!(r"a\u{202e}b")).is_empty());
        assert_eq!(marked(&json!("\\\u{202e}")), [r"\u{202e}"]);
        assert!(marked(&json!({"a": ["plain", 1, null, "ä\n"]})).is_empty());
    }

    #[test]
    fn nothing_of_a_value_is_lost() {
        let value = json!({"b": "x\u{200b}y\nz", "a": [1, "\\u{1}"]});
        let shown: String =
            pieces(&readable(&value), usize::MAX).into_iter().map(|piece| piece.text).collect();
        let back = shown.replace("\\n\n", "\\n").replace(r"\u{200b}", r"\u200b");
        assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), value);
    }

    #[test]
    fn a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is() {
        assert_eq!(sentence("its run has ended"), "Its run has ended");
        assert_eq!(sentence("git/git_log may be influenced"), "git/git_log may be influenced");
        assert_eq!(sentence("\u{200b}a"), "\\u{200b}a");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn spans_are_told_in_the_unit_that_a_person_would_use() {
        assert_eq!(
            [span(1), span(119), span(120), span(7_200)],
            ["1 second", "119 seconds", "2 minutes", "2 hours"]
        );
    }
}
