//! Tags of YAML by which loaders import and call what is named: those of PyYAML for Python, HyperPyYAML's, lm-eval's.

use ostrom_core::Severity;

use super::CONFIG_OBJECT;
use super::instructions::lists;
use super::nodes::begins;
use super::objects::{self, Verdict};
use crate::examination::{Examination, escape};

/// The longest tag that is looked at.
const LONG: usize = 300;

/// The tags of one line.
pub(super) fn examine(line: &str, offset: u64, scan: &mut Examination<'_>) {
    if !line.contains('!') {
        return;
    }
    // The tag itself may be spelt with codes.
    let decoded = if line.contains('%') { percent_decoded(line) } else { String::new() };
    let line = if decoded.is_empty() { line } else { &decoded };
    for (at, mark) in line.match_indices("python/") {
        let before = line.get(..at).unwrap_or("");
        if before.ends_with('!') || before.ends_with("tag:yaml.org,2002:") {
            let tag = tag(line.get(at + mark.len()..).unwrap_or(""));
            of_python(&tag, offset.saturating_add(at as u64), scan);
        }
    }
    for (at, mark) in line.match_indices("value") {
        let before = line.get(..at).unwrap_or("");
        let ends = line.get(at + mark.len()..).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if ends && (before.ends_with("!!") || before.ends_with("tag:yaml.org,2002:")) {
            let what = "has a tag by which a mapping stands for a text that hides in it";
            scan.report_as(Severity::High, CONFIG_OBJECT, Some(offset.saturating_add(at as u64)), what);
        }
    }
    for (at, _) in line.match_indices('!') {
        let before = line.get(..at).unwrap_or("");
        // In prose something else stands in front; behind `<` it is a tag that is spelt out, or part of a reference of HyperPyYAML.
        if before.ends_with('<') || begins(before) && !before.ends_with(['"', '\'']) {
            of_loader(line.get(at + 1..).unwrap_or(""), offset.saturating_add(at as u64), scan);
        }
    }
}

/// `object/apply:os.system`, `name:exec`.
fn of_python(tag: &str, offset: u64, scan: &mut Examination<'_>) {
    let (kind, path) = tag.split_once(':').unwrap_or((tag, ""));
    if lists().yaml_tags.contains(kind) || lists().yaml_objects.contains(path) {
        return;
    }
    let shown = escape(tag, 200);
    let calls = matches!(kind, "object/apply" | "object/new");
    // The names that its attributes get decide what PyYAML calls on it then; nobody writes one so.
    if calls && matches!(path, "argparse.Namespace" | "types.SimpleNamespace") {
        let what = format!("builds {shown} by a tag of YAML, of which any method may be another function");
        scan.report_as(Severity::High, CONFIG_OBJECT, Some(offset), what);
        return;
    }
    // PyYAML looks for names without a dot among Python's own.
    let verdict = match path.contains('.') {
        false if kind == "module" => Verdict::Foreign,
        false => objects::judge(&format!("builtins.{path}")),
        true => objects::judge(path),
    };
    let severity = match verdict {
        Verdict::Danger => Severity::Critical,
        // A module is only imported.
        _ if kind == "module" => Severity::Medium,
        Verdict::Unlisted | Verdict::Doubtful => Severity::High,
        Verdict::Foreign | Verdict::Loads => Severity::Medium,
        Verdict::Fine if lists_tag(kind) => return,
        Verdict::Fine => Severity::Medium,
    };
    scan.report_as(severity, CONFIG_OBJECT, Some(offset), format!("builds {shown} by a tag of YAML"));
}

/// Whether PyYAML has such a tag; of others it cannot be told what they make of a name.
fn lists_tag(kind: &str) -> bool {
    matches!(kind, "object" | "object/apply" | "object/new" | "name")
}

/// `new:subprocess.Popen`, `function utils.process`: what stands behind the `!`.
fn of_loader(rest: &str, offset: u64, scan: &mut Examination<'_>) {
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (kind, rest) = rest.split_at_checked(end).unwrap_or_default();
    if !lists().loader_tags.contains(kind) {
        return;
    }
    let path = match rest.strip_prefix(':') {
        Some(path) => tag(path),
        None if kind == "function" => tag(rest.trim_start().trim_start_matches(['"', '\''])),
        None => return,
    };
    let path = path.trim_end_matches(['"', '\'']);
    let verdict = match objects::judge(path) {
        // The file of this name beside the text.
        Verdict::Fine if kind == "function" && path.contains('.') => Verdict::Foreign,
        verdict => verdict,
    };
    if let Some((severity, what)) = objects::said(&format!("!{kind}"), path, verdict) {
        scan.report_as(severity, CONFIG_OBJECT, Some(offset), what);
    }
}

/// The tag, or the name, that a text begins with.
fn tag(rest: &str) -> String {
    let ends = |c: &char| !c.is_whitespace() && !matches!(c, '>' | ',' | '{' | '}' | '[' | ']');
    percent_decoded(&rest.chars().take_while(ends).take(LONG).collect::<String>())
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
