//! What a scan says of a folder.

use std::collections::BTreeMap;

use ostrom_core::{Digest, Finding, Severity};
use serde::{Deserialize, Serialize};

use crate::rules::{Rule, rule};

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its path, relative to what was scanned, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its SHA-256, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The formats that it and its members are in.
    pub formats: Vec<String>,
    /// Most severe first.
    pub findings: Vec<Finding>,
    /// Findings beyond the bound, which were counted only.
    pub unkept: u64,
}

impl FileReport {
    /// Whether something in it could not be decided.
    pub fn is_undecided(&self) -> bool {
        self.findings.iter().any(is_undecided)
    }
}

/// Whether a finding says that something could not be decided.
pub fn is_undecided(finding: &Finding) -> bool {
    rule(finding.rule.as_str()).is_none_or(|rule| rule.undecided)
}

/// Whether a finding fails a scan however mild it is: what could not be decided, and what is revoked.
pub fn always_fails(finding: &Finding) -> bool {
    rule(finding.rule.as_str()).is_none_or(|rule| rule.undecided || rule.fails)
}

/// What was found in a folder, or in a single file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Every file, by path.
    pub files: Vec<FileReport>,
    /// Findings that only the folder as a whole shows, and what in it could not be examined as a file.
    pub folder: Vec<Finding>,
}

impl Report {
    /// All findings, the folder's last.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.files.iter().flat_map(|file| &file.findings).chain(&self.folder)
    }

    /// How many findings of each severity.
    pub fn counts(&self) -> BTreeMap<Severity, u64> {
        let mut counts = BTreeMap::new();
        for finding in self.findings() {
            *counts.entry(finding.severity).or_default() += 1;
        }
        counts
    }

    /// The rules of the findings, by name: what each means, what to do, and its CWE and ATLAS techniques.
    pub fn rules(&self) -> BTreeMap<&str, &'static Rule> {
        self.findings().map(|finding| finding.rule.as_str()).filter_map(|id| Some((id, rule(id)?))).collect()
    }

    /// Whether there is a finding at `severity` or above, or one that [always fails](always_fails), or more findings than
    /// were kept: what makes a scan fail.
    pub fn fails_at(&self, severity: Severity) -> bool {
        self.findings().any(|finding| finding.severity >= severity || always_fails(finding))
            || self.files.iter().any(|file| file.unkept > 0)
    }

    /// Files whose content could not be decided in some part, or not be read.
    pub fn undecided(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| is_undecided(finding))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rule: &str, severity: Severity) -> Report {
        let finding = Finding {
            severity,
            rule: rule.parse().unwrap(),
            place: "a".to_owned(),
            offset: None,
            message: "m".to_owned(),
        };
        Report { files: Vec::new(), folder: vec![finding] }
    }

    #[test]
    fn what_is_revoked_or_undecided_fails_however_mild_it_is_called() {
        for rule in
            ["revoked", "descends-from-revoked", "revocation-by-unknown-key", "record-unusable", "malformed"]
        {
            assert!(report(rule, Severity::Info).fails_at(Severity::Critical), "{rule}");
        }
        assert!(!report("polyglot", Severity::Low).fails_at(Severity::High));
        assert!(report("polyglot", Severity::High).fails_at(Severity::High));
    }

    #[test]
    fn every_finding_has_its_rule_beside_it() {
        let report = report("revoked", Severity::Low);
        let rules = serde_json::to_value(report.rules()).unwrap();
        assert_eq!(rules["revoked"]["cwe"], 672);
        assert_eq!(rules["revoked"]["atlas"][0], "AML.T0010");
        assert!(rules["revoked"]["gain"].is_string() && rules["revoked"]["advice"].is_string());
        assert_eq!(report.rules().len(), 1);
    }
}
