//! Reports as SARIF 2.1.0 (OASIS), which code hosts and editors show.

use std::collections::BTreeSet;

use ostrom_core::{Finding, Severity};
use serde_json::{Value, json};

use crate::report::{Report, is_undecided};
use crate::rules::{Rule, rule};

/// The report as a SARIF log with one run.
pub fn sarif(report: &Report) -> Value {
    let ids: BTreeSet<&str> = report.findings().map(|finding| finding.rule.as_str()).collect();
    let rules: Vec<Value> = ids.iter().filter_map(|id| rule(id)).map(descriptor).collect();
    let results: Vec<Value> = report.findings().map(result).collect();
    let complete = report.undecided().next().is_none();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "ostrom", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "invocations": [{"executionSuccessful": complete}],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let mut tags = vec!["security".to_owned(), format!("external/cwe/cwe-{:03}", rule.cwe)];
    tags.extend(rule.atlas.iter().map(|id| format!("external/atlas/{id}")));
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.gain},
        "help": {"text": rule.advice},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": tags, "security-severity": score(rule.severity)},
    })
}

fn result(finding: &Finding) -> Value {
    // The file is the artifact; members of containers are named in the message.
    let (file, member) = finding.place.split_once('!').unwrap_or((&finding.place, ""));
    let text =
        if member.is_empty() { finding.message.clone() } else { format!("{member}: {}", finding.message) };
    let mut physical = json!({"artifactLocation": {"uri": uri(file)}});
    if let (Some(offset), true, Some(region)) = (finding.offset, member.is_empty(), physical.as_object_mut())
    {
        region.insert("region".to_owned(), json!({"byteOffset": offset, "byteLength": 0}));
    }
    // SARIF has a kind "open" for what was not decided, but only with the level "none" (3.27.10), which whatever goes by levels
    // passes over. What was not decided fails a scan, so it is a failure here too, and its properties say which it is.
    json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "kind": "fail",
        "message": {"text": text},
        "locations": [{"physicalLocation": physical}],
        "properties": {"severity": finding.severity, "place": finding.place, "offset": finding.offset,
                       "undecided": is_undecided(finding)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// The scale on which code hosts sort: 0 to 10, as text.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

/// A relative path as a URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FileReport;

    #[test]
    fn places_are_uris_and_members_are_named() {
        let finding = Finding {
            severity: Severity::High,
            rule: "malformed".parse().unwrap(),
            place: "a b/ü.zip!x.pkl".to_owned(),
            offset: Some(7),
            message: "broken".to_owned(),
        };
        let file = FileReport {
            path: "a b/ü.zip".to_owned(),
            size: 1,
            sha256: None,
            formats: Vec::new(),
            findings: vec![finding],
            unkept: 0,
        };
        let log = sarif(&Report { files: vec![file], folder: Vec::new() });
        let run = &log["runs"][0];
        let result = &run["results"][0];
        assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "a%20b/%C3%BC.zip");
        assert_eq!(result["message"]["text"], "x.pkl: broken");
        assert_eq!((&result["kind"], &result["level"]), (&"fail".into(), &"error".into()));
        assert_eq!(result["properties"]["undecided"], true);
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "malformed");
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    }
}
