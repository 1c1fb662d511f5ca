//! What archives are found to be, from bytes that are made here.

mod hostile;
mod streams;
mod tars;
mod write;
mod zips;

use crate::Limits;
use crate::examination::{Examination, Outcome};
use crate::source::View;

fn run(limits: &Limits, name: &str, bytes: Vec<u8>) -> Outcome {
    Examination::run(limits, name, &View::new(bytes))
}

/// The rules by which something is found, with the places below the file, worst first.
fn findings(name: &str, bytes: Vec<u8>) -> Vec<String> {
    let outcome = run(&Limits::default(), name, bytes);
    let short = |place: &str| place.strip_prefix(name).unwrap_or(place).to_owned();
    outcome
        .findings
        .iter()
        .map(|finding| format!("{}{} {}", finding.rule, short(&finding.place), finding.severity))
        .collect()
}

/// The formats that are archives'; members may be in others.
fn formats(name: &str, bytes: Vec<u8>) -> Vec<&'static str> {
    let formats = run(&Limits::default(), name, bytes).formats;
    formats.into_iter().filter(|format| !matches!(*format, "text" | "pickle")).collect()
}

#[track_caller]
fn clean(name: &str, bytes: Vec<u8>) {
    let outcome = run(&Limits::default(), name, bytes);
    assert!(outcome.findings.is_empty(), "{name}: {:#?}", outcome.findings);
}

/// Asserts that a finding of `rule` is at `place` below the file.
#[track_caller]
fn finds(rule: &str, place: &str, name: &str, bytes: Vec<u8>) {
    let found = findings(name, bytes);
    assert!(found.iter().any(|one| one.starts_with(&format!("{rule}{place} "))), "{rule}{place}: {found:#?}");
}

/// A file with a finding of its own, to see that a member is examined: a zip with bytes in front of it.
fn marked() -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend([1; 60]);
    bytes
}
