//! Writers of fixtures, and the one place where tests of this module run an examination.

use crate::Limits;
use crate::examination::Examination;
use crate::source::View;

/// Writes a protobuf message.
#[derive(Clone, Default)]
pub(crate) struct Proto(Vec<u8>);

impl Proto {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
        self
    }

    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value)
    }

    pub(crate) fn message(self, field: u64, value: Proto) -> Self {
        self.bytes(field, value.0)
    }

    pub(crate) fn messages(self, field: u64, values: impl IntoIterator<Item = Proto>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0
    }
}

/// Examines bytes under a name; gives the formats, and the findings as `severity rule: message`.
pub(crate) fn findings(name: &str, bytes: &[u8]) -> (Vec<&'static str>, Vec<String>) {
    let outcome = Examination::run(&Limits::default(), name, &View::new(bytes.to_vec()));
    let findings = outcome.findings.iter();
    (
        outcome.formats.into_iter().collect(),
        findings.map(|found| format!("{:?} {}: {}", found.severity, found.rule, found.message)).collect(),
    )
}

/// Examines bytes and holds the rules of what is found against `expect`.
#[track_caller]
pub(crate) fn check(name: &str, bytes: &[u8], format: &str, expect: &[&str]) -> Vec<String> {
    let (formats, findings) = findings(name, bytes);
    assert!(formats.contains(&format), "{name}: {formats:?}, not {format}: {findings:#?}");
    let mut rules: Vec<_> = findings.iter().filter_map(|found| found.split([' ', ':']).nth(1)).collect();
    rules.sort_unstable();
    let mut expect = expect.to_vec();
    expect.sort_unstable();
    assert_eq!(rules, expect, "{findings:#?}");
    findings
}

/// Examines every beginning of `bytes`, and copies of it with bytes changed: nothing of it may panic.
pub(crate) fn mangle(name: &str, bytes: &[u8]) {
    for len in 0..bytes.len() {
        findings(name, &bytes[..len]);
    }
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut copy = bytes.to_vec();
            copy[at] ^= change;
            findings(name, &copy);
        }
    }
}
