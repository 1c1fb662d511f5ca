//! YAML: what Python's loaders would build from it, MLflow's models, conda's environments. Not a YAML reader: it looks for what
//! matters on each line, in whatever style the line is written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ostrom_core::Severity;

use super::hidden::Sort;
use super::instructions::lists;
use super::lines::{ends_python, ends_yaml, lines};
use super::nodes::{Nodes, Value};
use super::objects::{Key, Verdict};
use super::{
    CONFIG_OBJECT, CONFIG_PATH, PROSE, REMOTE_CODE, base_name, escapes, expressions, hidden, interpolations,
    objects, requirements, tags, text_of,
};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// Longer YAML is data.
pub(super) const LONGEST: u64 = 16 << 20;

/// The key that has a list of names: hydra-zen's wrappers.
const LISTING: &str = "_zen_wrappers";

/// The key by which code that comes with models is run.
const REMOTE_CODE_KEY: &str = "trust_remote_code";

/// Keys of `MLmodel` with the path of what is loaded, relative to the model.
const MLFLOW_PATHS: [&str; 7] =
    ["code", "data", "model_data", "path", "pickled_model", "python_model", "state_dict"];

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() > LONGEST {
        return Err(Trouble::Limit(format!("YAML of {} bytes", view.len())));
    }
    let name = base_name(scan.name()).into_owned();
    let text = text_of(view, scan)?;
    hidden::examine(&text, 0, Sort::Prose, scan);
    examine_text(&text, scan);
    templates(&text, scan);
    if name == "mlmodel" {
        readings(&text).for_each(|reading| mlflow(&reading.text, scan));
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

/// What templates in a text reach for, as they stand and with escapes undone.
pub(super) fn templates(text: &str, scan: &mut Examination<'_>) {
    let mut clean = true;
    let mut found = |severity: Option<Severity>, rule: &str, at: usize, what: String| {
        clean = false;
        match severity {
            Some(severity) => scan.report_as(severity, rule, Some(at as u64), what),
            None => scan.report(rule, Some(at as u64), what),
        }
    };
    super::templates::examine(text, &mut found);
    if clean && let Some(undone) = readings(text).nth(1) {
        super::templates::examine(&undone.text, &mut |severity, rule, _, what| match severity {
            Some(severity) => scan.report_as(severity, rule, None, what),
            None => scan.report(rule, None, what),
        });
    }
}

/// Whether a text under another name is YAML that has something called: loaders do not go by the name of the file that they are given.
fn is_one(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    if !may_be_one(text) {
        return false;
    }
    let strong = || lists().object_keys.iter().filter(|key| Key::of(key) == Key::Strong);
    readings(text).any(|reading| {
        let mut keys = strong().filter(|key| reading.text.contains(key.as_str())).peekable();
        keys.peek().is_some() && {
            let nodes = Nodes::new(&reading.text);
            keys.any(|key| nodes.values(key).any(|(at, _)| nodes.may_begin(at)))
        }
    })
}

/// Whether a text may be YAML that is a mapping or a list, as far as it goes without quotes and brackets, in which anything may stand.
fn may_be_one(text: &str) -> bool {
    let lines =
        text.split(ends_yaml).filter(|line| !matches!(line.trim_start().chars().next(), None | Some('#')));
    let mut first = true;
    for line in lines {
        // What stands further right goes on with something.
        if (first || !line.starts_with([' ', '\t'])) && !is_node(line.trim()) {
            return false;
        }
        first = false;
        if line.contains(['"', '\'', '[', '{']) {
            return true;
        }
    }
    !first
}

/// Whether an entry of a mapping or list may begin with a line.
fn is_node(line: &str) -> bool {
    let marks = ['-', '?', ':', '{', '[', '!', '&', '*', '%', '"', '\''];
    let key = line.ends_with(':') || line.contains(": ") || line.contains(":\t");
    // A picture on a page, a statement of Jinja.
    let other = line.starts_with("[![") || line.starts_with("{%");
    !other && (key || line.starts_with(marks) || line.starts_with("..."))
}

/// Examines what another format has the name of, if it is YAML that has something called.
pub(super) fn examine_unnamed(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() <= PROSE {
        let text = text_of(view, scan)?;
        // No loader takes more than one document, and this one is examined with its card.
        if super::front_matter(&text).is_none() && is_one(&text) {
            examine_text(&text, scan);
        }
    }
    Ok(())
}

/// Tags, keys and values that make loaders call or evaluate what is named.
pub(super) fn examine_text(text: &str, scan: &mut Examination<'_>) {
    let text = text.trim_start_matches('\u{feff}');
    for (offset, line) in lines(text, ends_yaml) {
        if let Some((skipped, line)) = live(line) {
            tags::examine(line, offset.saturating_add(skipped as u64), scan);
        }
        if line.starts_with("%TAG") {
            let what = "gives tags other names, which hides what they build";
            scan.report_as(Severity::High, CONFIG_OBJECT, Some(offset), what);
        }
    }
    // What the first reading said is not said again by the second.
    let mut said = HashSet::new();
    for reading in readings(text) {
        let mut found = |severity: Option<Severity>, rule: &str, at: usize, what: String| {
            let mut hasher = DefaultHasher::new();
            (rule, &what).hash(&mut hasher);
            let known = said.contains(&(hasher.finish(), true));
            said.insert((hasher.finish(), false));
            match severity {
                _ if known => {}
                Some(severity) => scan.report_as(severity, rule, Some(at as u64), what),
                None => scan.report(rule, Some(at as u64), what),
            }
        };
        let nodes = Nodes::new(&reading.text);
        values(&reading.text, &nodes, &mut found);
        match reading.undone.as_slice() {
            // Places in this reading are those of the text.
            [] => expressions::in_yaml(text, &nodes, &mut found),
            undone => spelt_keys(undone, &nodes, &mut found),
        }
        said = said.into_iter().map(|(hash, _)| (hash, true)).collect();
    }
}

/// Reports a finding: how bad it is, if that is not up to its rule, the rule, the place and the words.
pub(super) type Found<'f> = dyn FnMut(Option<Severity>, &str, usize, String) + 'f;

/// Keys that are spelt with escapes, which nobody does but to hide them: what stands behind them may be hidden in other ways too,
/// which nothing here has to follow then. `undone` says where escapes were undone.
fn spelt_keys(undone: &[usize], nodes: &Nodes<'_>, found: &mut Found<'_>) {
    let others = [REMOTE_CODE_KEY].into_iter().chain(expressions::KEYS);
    for key in lists().object_keys.iter().map(String::as_str).chain(others) {
        let spelt = |at: usize| {
            let next = undone.get(undone.partition_point(|undone| *undone < at));
            next.is_some_and(|undone| *undone < at + key.len()) && nodes.in_quotes(at)
        };
        if let Some((at, _)) = nodes.values(key).find(|(at, _)| spelt(*at)) {
            let what = format!("spells the key {key} with escapes, which hides it");
            found(Some(Severity::High), CONFIG_OBJECT, at, what);
        }
    }
}

/// What a text without comments has called.
fn values(text: &str, nodes: &Nodes<'_>, found: &mut Found<'_>) {
    let mut loads = false;
    for key in &lists().object_keys {
        // Prose has words with another use before a colon, but hardly where a key may stand.
        let stands = |at: usize| Key::of(key) == Key::Strong || nodes.may_begin(at);
        for (at, value) in nodes.values(key).filter(|(at, _)| stands(*at)) {
            loads |= object(key, value, at, nodes, found);
        }
    }
    let is_key = |text: &str| lists().object_keys.contains(text) && Key::of(text) != Key::Faint;
    if let Some((at, name)) = nodes.aliased_key(is_key) {
        let what = format!("gives a key by its alias, {}, which hides what is built", escape(name, 100));
        found(Some(Severity::High), CONFIG_OBJECT, at, what);
    }
    if let Some(at) = nodes.value_key() {
        let what = "has `=` as a key, by which a mapping stands for a text that hides in it".to_owned();
        found(Some(Severity::High), CONFIG_OBJECT, at, what);
    }
    interpolations::examine(text, found);
    if let Some((at, _)) = nodes.values("listitems").next().filter(|_| text.contains("python/object"))
        && nodes.values("extend").next().is_some()
    {
        let what =
            "builds an object whose method `extend`, which is called for its items, the file may replace"
                .to_owned();
        found(Some(Severity::High), CONFIG_OBJECT, at, what);
    }
    for (at, value) in nodes.values(REMOTE_CODE_KEY) {
        let off = ["", "false", "no", "off", "null", "none", "~", "0", "n"];
        let text = value.scalar().unwrap_or("?").to_lowercase();
        // An empty value is followed by the next key.
        if !off.contains(&text.as_str()) && !text.ends_with(':') {
            let what = "asks for trust_remote_code, which runs code that comes with models".to_owned();
            found(loads.then_some(Severity::High), REMOTE_CODE, at, what);
        }
    }
}

/// What `key` has called, by its name or by an alias of that. Says whether that loads a model.
fn object(key: &str, value: Value<'_>, at: usize, nodes: &Nodes<'_>, found: &mut Found<'_>) -> bool {
    let kind = Key::of(key);
    let meant: Option<Vec<_>> = match value.alias() {
        None => Some(vec![value]),
        Some(name) => nodes.anchored(name).map(<[_]>::to_vec),
    };
    let listed = key == LISTING && value.begins_list();
    let meant = meant.filter(|_| !listed);
    let texts = meant.as_ref().and_then(|meant| {
        meant.iter().map(|value| value.scalar().map(Cow::Borrowed)).collect::<Option<Vec<_>>>()
    });
    let Some(mut texts) = texts else {
        // No name has blanks, nor does anybody who has another use for the key write one so that it cannot be told.
        if kind == Key::Strong || kind == Key::Weak && !value.is_prose() {
            let shown: String = value.rest.chars().take(100).take_while(|c| !ends_yaml(*c)).collect();
            let what = format!("{key} calls what cannot be told: {}", escape(&shown, 100));
            found(Some(Severity::High), CONFIG_OBJECT, at, what);
        }
        return false;
    };
    // The other reading may have lost it behind what is no comment there.
    texts.extend(meant.into_iter().flatten().filter_map(Value::unescaped).map(Cow::Owned));
    for text in &texts {
        if let Some((severity, what)) = objects::meaning(key, text, true) {
            found(Some(severity), CONFIG_OBJECT, at, what);
        }
    }
    kind != Key::Faint && texts.iter().any(|text| objects::judge(text) == Verdict::Loads)
}

/// The text without comments, as it stands, and with the escapes of texts in double quotes undone if it has any: in other texts a
/// backslash is nothing but itself, also at the end of a line.
fn readings(text: &str) -> impl Iterator<Item = Reading> {
    let undo = text.contains('\\');
    [false, true].into_iter().filter(move |undone| undo || !undone).filter_map(move |undo| {
        let reading = without_comments(text, undo);
        (!undo || !reading.undone.is_empty()).then_some(reading)
    })
}

/// A text without comments.
#[derive(Default)]
struct Reading {
    text: String,
    /// Where in it escapes were undone.
    undone: Vec<usize>,
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

/// The text with comments made blank and, where `undo` says so, the escapes of texts in double quotes undone, as keys may be
/// written with them.
fn without_comments(text: &str, undo: bool) -> Reading {
    let mut out = Reading { text: String::with_capacity(text.len()), undone: Vec::new() };
    // Whether the line goes on in the next, which is how texts in double quotes are broken without a space.
    let mut open = false;
    for (_, line) in lines(text, ends_yaml) {
        if open {
            let line = line.trim_start_matches([' ', '\t']);
            if line.starts_with('\n') && line.len() == 1 {
                continue;
            }
            open = unescape(line, &mut out);
            continue;
        }
        let (skipped, rest) =
            live(line).unwrap_or((line.trim_end().len(), line.get(line.trim_end().len()..).unwrap_or("")));
        out.text.extend(std::iter::repeat_n(' ', skipped));
        if undo && rest.contains('\\') { open = unescape(rest, &mut out) } else { out.text.push_str(rest) }
    }
    out
}

/// Undoes `\x41`, `\u0041` and `\U00000041`. Says whether the line ends with a backslash, which is then left out with the end.
fn unescape(mut rest: &str, out: &mut Reading) -> bool {
    while let Some((before, after)) = rest.split_once('\\') {
        out.text.push_str(before);
        if !after.is_empty() && after.chars().all(ends_yaml) {
            // What stands on both sides of it is spelt so, not what begins behind it.
            out.undone.push(out.text.len().saturating_sub(1));
            return true;
        }
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
                out.undone.push(out.text.len());
                // In a text these end nothing.
                let inert = ends_yaml(c) || matches!(c, '"' | '\'' | '#');
                out.text.push(if inert { char::REPLACEMENT_CHARACTER } else { c });
                rest = after.get(digits + 1..).unwrap_or("");
            }
            None => {
                out.text.push('\\');
                // Two backslashes are one, and no escape begins with the second.
                let next = after.strip_prefix('\\');
                out.text.extend(next.map(|_| '\\'));
                rest = next.unwrap_or(after);
            }
        }
    }
    out.text.push_str(rest);
    false
}

/// `MLmodel`: which code MLflow imports to load the model.
fn mlflow(text: &str, scan: &mut Examination<'_>) {
    let nodes = Nodes::new(text);
    let value_of = |value: Value<'_>| -> String {
        value
            .rest
            .chars()
            .take_while(|c| !matches!(c, '\n' | '\r' | ',' | '}' | '#' | '"' | '\''))
            .take(300)
            .collect()
    };
    for (at, value) in nodes.values("loader_module") {
        let value = value_of(value);
        let value = value.trim();
        if value != "mlflow" && !value.starts_with("mlflow.") {
            let what = format!("MLflow imports the module {} to load the model", escape(value, 200));
            scan.report_as(Severity::High, REMOTE_CODE, Some(at as u64), what);
        }
    }
    for key in ["code", "code_path", "model_code_path"] {
        for (at, value) in nodes.values(key) {
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
    // Of `model_code_path`, where the code came from, MLflow takes the last part only.
    for key in MLFLOW_PATHS {
        for (at, value) in nodes.values(key) {
            let alias = value.alias().is_some();
            let value = value_of(value);
            if alias || escapes(value.trim()) {
                let what = format!("{key}: MLflow loads {}", escape(value.trim(), 200));
                scan.report(CONFIG_PATH, Some(at as u64), what);
            }
        }
    }
}
