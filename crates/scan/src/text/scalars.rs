//! Texts of YAML from where they begin to their end, with folded lines and escapes undone: what code is read from. Where an end
//! cannot be told for sure, more is read rather than less.

use super::lines::ends_yaml;
use super::nodes::begins;

/// The longest text that is read.
pub(super) const LONGEST: usize = 64 << 10;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Double,
    Single,
    /// Without quotes, in lines further right than `base` blanks.
    Plain {
        base: usize,
    },
    /// In lines of their own behind `|`, or, folded, behind `>`.
    Block {
        folded: bool,
    },
}

/// The text that begins at `at`, behind its quote; a block with its first line. `None` if it is too long. And how many bytes were
/// read for it: blank lines add nothing to a text, but take time.
pub(super) fn read(text: &str, at: usize, style: Style) -> (Option<String>, usize) {
    let rest = text.get(at..).unwrap_or("");
    let (whole, left) = match style {
        Style::Double => quoted(rest, '"'),
        Style::Single => quoted(rest, '\''),
        Style::Plain { base } => plain(rest, base),
        Style::Block { folded } => block(rest, folded),
    };
    (Some(whole).filter(|whole| whole.len() <= LONGEST), rest.len().saturating_sub(left.len()))
}

/// The first line without its end, and what follows.
fn line(text: &str) -> (&str, &str) {
    let Some(end) = text.find(ends_yaml) else { return (text, "") };
    let (line, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(ends_yaml)).unwrap_or(rest);
    (line, rest)
}

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// How far right stands what a line holds, of lists in lists the innermost: its key, or the dash in front of a text.
pub(super) fn column(line: &str) -> usize {
    let mut at = indent(line);
    loop {
        let rest = line.get(at..).unwrap_or("");
        let Some(item) = rest.strip_prefix(['-', '?', ':']).filter(|item| item.starts_with([' ', '\t']))
        else {
            return at;
        };
        let item = item.trim_start_matches([' ', '\t']);
        // A text of the list itself, with its tag or without, and no key.
        if item.is_empty() || item.split_whitespace().all(|word| word.starts_with(['!', '&', '|', '>', '#']))
        {
            return at;
        }
        at = line.len() - item.len();
    }
}

/// Up to the closing quote, or a little more than is taken.
fn quoted(mut rest: &str, quote: char) -> (String, &str) {
    let mut out = String::new();
    while out.len() <= LONGEST
        && let Some(c) = rest.chars().next()
    {
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        rest = match c {
            '\'' if quote == '\'' && after.starts_with('\'') => {
                out.push('\'');
                after.get(1..).unwrap_or("")
            }
            '\\' if quote == '"' => escape(after, &mut out),
            _ if c == quote => break,
            _ if ends_yaml(c) => {
                out.truncate(out.trim_end_matches([' ', '\t']).len());
                let (breaks, rest) = breaks(rest);
                // One is a blank, of more the first is none.
                out.push_str(if breaks > 1 { "\n" } else { " " });
                rest
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    (out, rest)
}

/// How many lines end here, and what follows the blanks behind them.
fn breaks(mut rest: &str) -> (usize, &str) {
    let mut count = 0;
    while rest.starts_with(ends_yaml) {
        rest = line(rest).1.trim_start_matches([' ', '\t']);
        count += 1;
    }
    (count, rest)
}

/// The text of what stands behind a double quote, up to the next.
pub(super) fn undone(rest: &str) -> String {
    quoted(rest, '"').0
}

/// Undoes the escape behind a backslash, and says what follows it.
fn escape<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let Some(c) = rest.chars().next() else { return rest };
    let after = rest.get(c.len_utf8()..).unwrap_or("");
    if ends_yaml(c) {
        let (breaks, rest) = breaks(rest);
        out.push_str(if breaks > 1 { "\n" } else { "" });
        return rest;
    }
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    let code = after.get(..digits).filter(|_| digits > 0);
    if let Some(c) = code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32) {
        out.push(c);
        return after.get(digits..).unwrap_or("");
    }
    out.push(match c {
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        other => other,
    });
    after
}

/// The lines that go on with a text without quotes, folded.
fn plain(rest: &str, base: usize) -> (String, &str) {
    let (first, mut rest) = line(rest);
    let mut out = first.trim().to_owned();
    let mut blank = false;
    while out.len() <= LONGEST && !rest.is_empty() {
        let (next, after) = line(rest);
        rest = after;
        if next.trim().is_empty() {
            blank = true;
            continue;
        }
        // Between brackets a text goes on however far left it stands.
        if indent(next) <= base && is_entry(next) {
            break;
        }
        out.push(if blank { '\n' } else { ' ' });
        out.push_str(next.trim());
        blank = false;
    }
    (out, rest)
}

/// Whether a line begins what no text without quotes goes on with: an entry of a list or mapping, a document, a comment.
fn is_entry(line: &str) -> bool {
    let line = line.trim();
    let head = line.split([',', '[', ']', '{', '}']).next().unwrap_or(line);
    let colon = head.ends_with(':') || head.contains(": ") || head.contains(":\t");
    let item = ["-", "?", ":"]
        .iter()
        .any(|mark| line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')));
    colon || item || line.starts_with('#') || line.starts_with("---") || line.starts_with("...")
}

/// The lines as far as none stands further left than the first.
fn block(mut rest: &str, folded: bool) -> (String, &str) {
    let mut out = String::new();
    let mut column = None;
    // Whether the line before, if it is not blank, stands further right.
    let mut before: Option<bool> = None;
    while out.len() <= LONGEST && !rest.is_empty() {
        let (next, after) = line(rest);
        rest = after;
        if next.trim().is_empty() {
            out.push_str(if column.is_some() { "\n" } else { "" });
            before = None;
            continue;
        }
        let column = *column.get_or_insert(indent(next));
        if indent(next) < column {
            break;
        }
        let text = next.get(column..).unwrap_or("");
        let further = text.starts_with([' ', '\t']);
        if let Some(before) = before {
            out.push(if folded && !before && !further { ' ' } else { '\n' });
        }
        out.push_str(text);
        before = Some(further);
    }
    (out, rest)
}

/// What stands above a line: the last line that is not blank, and how far left it and the tags and anchors above it stand.
#[derive(Clone, Copy, Default)]
struct Above<'t> {
    line: &'t str,
    base: usize,
}

impl<'t> Above<'t> {
    fn then(self, line: &'t str) -> Self {
        let properties = line.split_whitespace().all(|word| word.starts_with(['!', '&', '|', '>']));
        let base = if properties { column(line).min(self.base) } else { column(line) };
        Self { line, base }
    }

    /// How a text may be written that begins with the line below. None if none begins there.
    fn styles(self) -> Vec<Style> {
        let mut found = Vec::new();
        for word in self.line.split_whitespace().filter(|word| is_header(word)) {
            let style = Style::Block { folded: word.starts_with('>') };
            if !found.contains(&style) {
                found.push(style);
            }
        }
        let line = self.line.trim();
        // What stands in front of a comment may be anything.
        let comment = line.contains(" #") || line.contains("\t#");
        if line.ends_with('\\') {
            found.push(Style::Double);
        } else if found.is_empty() && (comment || line == "..." || begins(&format!("{line} "))) {
            found.push(Style::Plain { base: self.base });
        }
        found
    }
}

/// The mark of a block: `|`, `>-`, `|2+`.
fn is_header(word: &str) -> bool {
    let rest = word.strip_prefix(['|', '>']);
    rest.is_some_and(|rest| rest.len() < 3 && rest.chars().all(|c| matches!(c, '+' | '-' | '0'..='9')))
}

/// Gives each place of `text`, which has no comments in lines of their own, where one may begin with a `$`, and how it is written
/// then. Ends where `each` says so.
pub(super) fn dollars(text: &str, mut each: impl FnMut(usize, Style) -> bool) {
    let mut above = Above::default();
    let mut rest = text;
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let (next, after) = line(rest);
        rest = after;
        let first = next.len() - next.trim_start_matches([' ', '\t']).len();
        let marks = ["$", "\\x24", "\\u0024", "\\U00000024"];
        // Of the first in the line; what comes later lies in the same list or mapping, or between brackets.
        let mut base = None;
        let places = marks.iter().flat_map(|mark| next.match_indices(mark));
        for (at, mark) in places {
            let before = next.get(..at).unwrap_or("");
            let styles = if at == first {
                // A block begins with its line.
                above.styles()
            } else if !begins(before) {
                continue;
            } else if before.ends_with('"') {
                vec![Style::Double]
            } else if before.ends_with('\'') {
                vec![Style::Single]
            } else {
                vec![Style::Plain { base: *base.get_or_insert_with(|| column(before)) }]
            };
            for style in styles {
                let escaped = mark.starts_with('\\') && style != Style::Double;
                let at = if matches!(style, Style::Block { .. }) { 0 } else { at };
                if !escaped && !each(start + at, style) {
                    return;
                }
            }
        }
        if !next.trim().is_empty() {
            above = above.then(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of the first text that begins with `$`, by each way in which it may be written.
    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let mut found = Vec::new();
        dollars(text, |at, style| {
            found.push(read(text, at, style).0.unwrap());
            false
        });
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn texts_are_read_to_their_end() {
        for (text, wanted) in [
            ("b: \"$(1,\\n2,\n  3,\n\n 4)\" # c\nd: 5\n", "$(1,\n2, 3,\n4)"),
            ("b: \"\\x24a\\u0062\\\"\\\n   c\"\n", "$ab\"c"),
            ("b: \"\\\n  $a\"", "$a"),
            ("b: '$it''s\n# no comment'\nc: d", "$it's # no comment"),
            ("- $a b\n  c # d\n- e\n", "$a b c # d"),
            ("a: $b\nc: d", "$b"),
            ("a:\n      !!str\n    $b\n  - c\n\n  d\ne: f", "$b - c\nd"),
            ("- a: $b\n   c\n  d: e\n", "$b c"),
            ("- - a: b\n    c:\n      $b\n     - c\n    d: e\n", "$b - c"),
            ("- !x $b\n c\n- d", "$b c"),
            ("x: [$b or\nc, d: e]\n", "$b or c, d: e]"),
            ("a: |-\n  $b(\n\n    c\n  # d\n  )\ne: f\n", "$b(\n  c\n# d\n)"),
            ("a: >- # c\n  $b\n  c\n\n  d\n   e\n  f\r\n  g\n h\n", "$b c\nd\n e\nf g"),
            ("--- |\n$a\nb\n", "$a\nb"),
        ] {
            check(text, &[wanted]);
        }
        for text in ["a: b$c", "a: |\n  b\n  $c\n", "a: b\\x24", "a: \\x24"] {
            check(text, &[]);
        }
    }

    #[test]
    fn what_is_too_long_is_not_cut() {
        let long = format!("a: '${}'", "x".repeat(LONGEST));
        dollars(&long, |at, style| {
            assert_eq!(read(&long, at, style).0, None);
            true
        });
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[$\\x24'"|>a: \n\r\u{85}é#\[,&-]{0,60}"#) {
            dollars(&text, |at, style| {
                let _ = read(&text, at, style);
                true
            });
        }
    }
}
