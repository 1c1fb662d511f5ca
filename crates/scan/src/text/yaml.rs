//! YAML: what Python's loaders would build from it, MLflow's models, conda's environments. Not a YAML reader: it looks for what
//! matters on each line, in whatever style the line is written.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::instructions::lists;
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
        for line in text.lines() {
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
    let mut offset = 0u64;
    for line in text.split_inclusive('\n') {
        if !line.trim_start().starts_with('#') {
            tags(line, offset, scan);
            keys(line, offset, scan);
            if line.starts_with("%TAG") {
                let what = "gives tags other names, which hides what they build";
                scan.report_as(Severity::High, CONFIG_OBJECT, Some(offset), what);
            }
        }
        offset = offset.saturating_add(line.len() as u64);
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

/// `_target_: a.b` and the like.
fn keys(line: &str, offset: u64, scan: &mut Examination<'_>) {
    for key in &lists().object_keys {
        for (at, _) in line.match_indices(key.as_str()) {
            let rest = line.get(at + key.len()..).unwrap_or("").trim_start_matches(['"', '\'', ' ']);
            let Some(value) = rest.strip_prefix(':') else { continue };
            let value = value.trim_start_matches([' ', '"', '\'', '\t']);
            let path: String = value
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_'))
                .take(300)
                .collect();
            config::object(key, &path, Some(offset.saturating_add(at as u64)), scan);
        }
    }
}

/// `MLmodel`: which code MLflow imports to load the model.
fn mlflow(text: &str, scan: &mut Examination<'_>) {
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        match key.trim_matches(['"', '\'']) {
            "loader_module" if value != "mlflow" && !value.starts_with("mlflow.") && !value.is_empty() => {
                let what = format!("MLflow imports the module {} to load the model", escape(value, 200));
                scan.report_as(Severity::High, REMOTE_CODE, None, what);
            }
            key @ ("code" | "code_path" | "model_code_path") if !matches!(value, "" | "null" | "~") => {
                let what = format!("{key}: MLflow runs code of {}", escape(value, 200));
                scan.report(REMOTE_CODE, None, what);
            }
            _ => {}
        }
    }
}
