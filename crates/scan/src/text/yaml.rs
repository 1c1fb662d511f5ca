//! YAML: what Python's loaders would build from it, MLflow's models, conda's environments. Not a YAML reader: it looks for what
//! matters on each line, in whatever style the line is written.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::instructions::lists;
use super::lines::{ends_python, ends_yaml, lines};
use super::{CONFIG_OBJECT, REMOTE_CODE, base_name, config, hidden, python, requirements, text_of};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// Longer YAML is data.
const LONGEST: u64 = 16 << 20;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() > LONGEST {
        return Err(Trouble::Limit(format!("YAML of {} bytes", view.len())));
    }
    let name = base_name(scan.name()).into_owned();
    let text = text_of(view, scan)?;
    hidden::examine(&text, 0, Sort::Prose, scan);
    examine_text(&text, scan);
    if name == "mlmodel" {
        mlflow(&text, scan);
    }
    if name.starts_with("conda") || name.starts_with("environment") || name.starts_with("python_env") {
        for (_, line) in lines(&text, ends_python) {
            requirements::requirement(
                line.trim().trim_start_matches("- ").trim_matches(['"', '\'']),
                None,
                scan,
            );
        }
    }
    Ok(())
}

/// Tags and keys that make loaders call what is named.
pub(super) fn examine_text(text: &str, scan: &mut Examination<'_>) {
    let text = text.trim_start_matches('\u{feff}');
    for (offset, line) in lines(text, ends_yaml) {
        if let Some((skipped, line)) = live(line) {
            tags(line, offset.saturating_add(skipped as u64), scan);
        }
        if line.starts_with("%TAG") {
            let what = "gives tags other names, which hides what they build";
            scan.report_as(Severity::High, CONFIG_OBJECT, Some(offset), what);
        }
    }
    let plain = without_comments(text);
    for key in &lists().object_keys {
        for (at, value) in values(&plain, key) {
            let path: String = value
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_'))
                .take(300)
                .collect();
            config::object(key, &path, Some(at as u64), scan);
        }
    }
}

/// What of a line may be no comment, and where that begins. A line that begins with `#` goes on with what matters only if it
/// ends a text in quotes that began in an earlier line; then a comma, a colon or a bracket comes next.
fn live(line: &str) -> Option<(usize, &str)> {
    // Other spaces than these begin a plain text, not a comment.
    if !line.trim_start_matches([' ', '\t']).starts_with('#') {
        return Some((0, line));
    }
    let ends = |at: usize| {
        let rest = line.get(at + 1..).unwrap_or("").trim_start_matches([' ', '\t']);
        rest.starts_with([',', ']', '}', ':'])
    };
    let at = line.match_indices(['"', '\'']).map(|(at, _)| at).find(|at| ends(*at))?;
    Some((at, line.get(at..)?))
}

/// The text with comments made blank and the escapes of texts in double quotes undone, as keys may be written with them.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (_, line) in lines(text, ends_yaml) {
        let (skipped, rest) =
            live(line).unwrap_or((line.trim_end().len(), line.get(line.trim_end().len()..).unwrap_or("")));
        out.extend(std::iter::repeat_n(' ', skipped));
        if rest.contains('\\') { unescape(rest, &mut out) } else { out.push_str(rest) }
    }
    out
}

/// Undoes `\x41`, `\u0041` and `\U00000041`.
fn unescape(mut rest: &str, out: &mut String) {
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = match after.bytes().next() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = after
            .get(1..digits + 1)
            .filter(|_| digits > 0)
            .and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = after.get(digits + 1..).unwrap_or("");
            }
            None => {
                out.push('\\');
                // Two backslashes are one, and no escape begins with the second.
                let next = after.strip_prefix('\\');
                out.extend(next.map(|_| '\\'));
                rest = next.unwrap_or(after);
            }
        }
    }
    out.push_str(rest);
}

/// The values of `key`, wherever and in whatever style it stands: in a block or between braces, in quotes, in the line after.
fn values<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
    text.match_indices(key).filter_map(move |(at, _)| {
        let before = text.get(..at).unwrap_or("");
        let rest = text.get(at + key.len()..).unwrap_or("").trim_start_matches(['"', '\'', ' ', '\t']);
        // After `?`, the colon stands in a line of its own.
        let explicit = before.trim_end_matches(['"', '\'', ' ', '\t']).ends_with('?');
        let rest = if explicit { rest.trim_start() } else { rest };
        Some((at, node(rest.strip_prefix(':')?)))
    })
}

/// What a node begins with, without what may stand in front of it: its tag and anchor, the mark of a block, a quote.
fn node(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        let end = match rest.chars().next() {
            Some('#') => rest.find(ends_yaml),
            Some('&' | '!' | '|' | '>') => rest.find(char::is_whitespace),
            _ => return rest.trim_start_matches(['"', '\'']),
        };
        rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or("");
    }
}

fn tags(line: &str, offset: u64, scan: &mut Examination<'_>) {
    // The tag itself may be spelt with codes.
    let decoded =
        if line.contains('%') && line.contains('!') { percent_decoded(line) } else { String::new() };
    let line = if decoded.is_empty() { line } else { &decoded };
    for (at, mark) in line.match_indices("python/") {
        let before = line.get(..at).unwrap_or("");
        if !(before.ends_with("!!") || before.ends_with("tag:yaml.org,2002:") || before.ends_with('!')) {
            continue;
        }
        let rest = line.get(at + mark.len()..).unwrap_or("");
        let tag: String = rest
            .chars()
            .take_while(|c| !c.is_whitespace() && !matches!(c, '>' | ',' | '{' | '}' | '[' | ']'))
            .take(300)
            .collect();
        let tag = percent_decoded(&tag);
        let (kind, path) = tag.split_once(':').unwrap_or((&tag, ""));
        if lists().yaml_tags.contains(kind) || lists().yaml_objects.contains(path) {
            continue;
        }
        let severity = match kind {
            _ if python::names_danger(path) => Severity::Critical,
            "object/apply" | "object/new" => Severity::High,
            _ => Severity::Medium,
        };
        let place = Some(offset.saturating_add(at as u64));
        scan.report_as(
            severity,
            CONFIG_OBJECT,
            place,
            format!("builds {} by a tag of YAML", escape(&tag, 200)),
        );
    }
}

/// YAML's tags may have their characters as `%6f`.
fn percent_decoded(tag: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = tag.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let mut digit = || ahead.next().and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(), digit()) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `MLmodel`: which code MLflow imports to load the model.
fn mlflow(text: &str, scan: &mut Examination<'_>) {
    let text = without_comments(text);
    let value_of = |value: &str| -> String {
        value
            .chars()
            .take_while(|c| !matches!(c, '\n' | '\r' | ',' | '}' | '#' | '"' | '\''))
            .take(300)
            .collect()
    };
    for (at, value) in values(&text, "loader_module") {
        let value = value_of(value);
        let value = value.trim();
        if value != "mlflow" && !value.starts_with("mlflow.") {
            let what = format!("MLflow imports the module {} to load the model", escape(value, 200));
            scan.report_as(Severity::High, REMOTE_CODE, Some(at as u64), what);
        }
    }
    let whole = |at: usize| {
        !text.get(..at).is_some_and(|text| text.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    for key in ["code", "code_path", "model_code_path"] {
        for (at, value) in values(&text, key).filter(|(at, _)| whole(*at)) {
            let value = value_of(value);
            // An empty value is followed by the next key.
            if !matches!(value.trim(), "" | "null" | "~" | "Null" | "NULL")
                && !value.contains(": ")
                && !value.ends_with(':')
            {
                let what = format!("{key}: MLflow runs code of {}", escape(value.trim(), 200));
                scan.report(REMOTE_CODE, Some(at as u64), what);
            }
        }
    }
}
