//! Helpers of this room's tests.

use crate::Limits;
use crate::examination::Examination;
use crate::source::View;
use ostrom_core::{Finding, Severity};

/// What is found in a file of this name and content.
pub(super) fn scan(name: &str, bytes: impl Into<Vec<u8>>) -> Vec<Finding> {
    let limits = Limits { held: 1 << 20, ..Limits::default() };
    Examination::run(&limits, name, &View::new(bytes.into())).findings
}

/// Holds the rules and severities of what is found against what is expected, worst first. What is found about any JSON,
/// whatever it says, is not counted.
#[track_caller]
pub(super) fn check(name: &str, bytes: impl Into<Vec<u8>>, expect: &[(&str, Severity)]) {
    let findings = scan(name, bytes);
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.rule.as_str(), finding.severity))
        .filter(|(rule, _)| !rule.starts_with("json-"))
        .collect();
    assert_eq!(found, expect, "{name}: {findings:#?}");
}
