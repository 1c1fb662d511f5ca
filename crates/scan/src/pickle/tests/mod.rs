//! What is found in pickles, and what is not.

mod benign;
mod dtypes;
mod evasion;
mod gadgets;
mod opcodes;
mod robust;
mod sources;
mod states;

use ostrom_core::{Finding, Severity};

use crate::Limits;
use crate::examination::Examination;
use crate::source::View;

/// The findings in a file of this name.
pub(super) fn named(name: &str, bytes: Vec<u8>) -> Vec<Finding> {
    let limits = Limits::default();
    Examination::run(&limits, name, &View::new(bytes)).findings
}

/// The findings in a file that is loaded as a pickle.
pub(super) fn findings(bytes: Vec<u8>) -> Vec<Finding> {
    named("model.pkl", bytes)
}

/// Expects these rules, and no others, in any order.
#[track_caller]
pub(super) fn check(bytes: Vec<u8>, expect: &[&str]) {
    let findings = findings(bytes);
    let mut rules: Vec<_> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut expect = expect.to_vec();
    expect.sort_unstable();
    assert_eq!(rules, expect, "{findings:#?}");
}

#[track_caller]
pub(super) fn clean(bytes: Vec<u8>) {
    check(bytes, &[]);
}

/// Expects a critical finding that names all of these.
#[track_caller]
pub(super) fn critical(bytes: Vec<u8>, names: &[&str]) {
    let findings = findings(bytes);
    let found = findings.iter().any(|finding| {
        finding.severity == Severity::Critical && names.iter().all(|name| finding.message.contains(name))
    });
    assert!(found, "{findings:#?}");
}
