//! The examination of one file: where it is, what it has found, what it may still spend.

use std::collections::BTreeSet;

use ostrom_core::{Finding, Hidden, Severity};

use crate::Limits;
use crate::detect;
use crate::rules::{self, rule};
use crate::source::View;
use crate::trouble::Trouble;

/// The most facts that are noted of one file.
const FACTS: usize = 10_000;

/// The state of one file's examination. Examiners get it as `scan`, report to it, and hand it members to descend into.
pub(crate) struct Examination<'a> {
    limits: &'a Limits,
    /// The file, then the members on the way down to where the examination is.
    place: Vec<String>,
    findings: Vec<Finding>,
    unkept: u64,
    formats: BTreeSet<&'static str>,
    facts: BTreeSet<(&'static str, String)>,
    /// The length of the file, without what it unpacks to.
    size: u64,
    unpacked: u64,
    /// How much of that are bytes, and not what a decoder needed.
    written: u64,
    members: u64,
    /// At which depth bytes may be in no format.
    raw: Option<usize>,
    /// At which depth bytes are loaded by whoever loads what they lie in; whether they are in a format that is.
    loaded: Option<(usize, bool)>,
}

/// What an examination ends with.
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    /// Findings beyond the bound, counted only.
    pub(crate) unkept: u64,
    pub(crate) formats: BTreeSet<&'static str>,
    /// What examiners noted for the look at the whole folder.
    pub(crate) facts: BTreeSet<(&'static str, String)>,
}

impl<'a> Examination<'a> {
    /// Examines `view`, the content of the file `name`, and everything in it.
    pub(crate) fn run(limits: &'a Limits, name: &str, view: &View) -> Outcome {
        let mut scan = Self::of(limits, name, view);
        detect::examine(view, &mut scan);
        scan.end()
    }

    /// The state at the beginning of the examination of `view`.
    pub(crate) fn of(limits: &'a Limits, name: &str, view: &View) -> Self {
        Self { size: view.len(), ..Self::new(limits, name) }
    }

    pub(crate) fn new(limits: &'a Limits, name: &str) -> Self {
        Self {
            limits,
            place: vec![escape(name, 1024)],
            findings: Vec::new(),
            unkept: 0,
            formats: BTreeSet::new(),
            facts: BTreeSet::new(),
            size: 0,
            unpacked: 0,
            written: 0,
            members: 0,
            raw: None,
            loaded: None,
        }
    }

    pub(crate) fn end(mut self) -> Outcome {
        self.findings.sort();
        self.findings.dedup();
        self.findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| a.place.cmp(&b.place)).then(a.offset.cmp(&b.offset))
        });
        Outcome { findings: self.findings, unkept: self.unkept, formats: self.formats, facts: self.facts }
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The name of the file or member that is being examined, without what it lies in.
    pub(crate) fn name(&self) -> &str {
        self.place.last().map_or("", String::as_str)
    }

    /// How many containers the place lies in; 0 for a file of the folder.
    pub(crate) fn depth(&self) -> usize {
        self.place.len().saturating_sub(1)
    }

    /// Whether the file is part of git's own store of what once was in the folder. No loader looks there.
    pub(crate) fn is_in_git(&self) -> bool {
        self.place.first().is_some_and(|file| file.starts_with(".git/") || file.contains("/.git/"))
    }

    /// Notes that (part of) the file is of this format.
    pub(crate) fn is(&mut self, format: &'static str) {
        self.formats.insert(format);
    }

    /// Notes what counts only once all files of the folder are known ([`crate::folder`]): of the file itself, not of what
    /// lies in it.
    pub(crate) fn note(&mut self, key: &'static str, value: &str) {
        if self.depth() == 0 && self.facts.len() < FACTS && value.len() <= 1024 {
            self.facts.insert((key, value.to_owned()));
        }
    }

    /// Reports a finding at its rule's usual severity.
    pub(crate) fn report(&mut self, id: &str, offset: Option<u64>, message: impl Into<String>) {
        let severity = rule(id).map_or(Severity::High, |rule| rule.severity);
        self.report_as(severity, id, offset, message);
    }

    /// Reports a finding that is more or less severe than its rule usually is.
    pub(crate) fn report_as(
        &mut self,
        severity: Severity,
        id: &str,
        offset: Option<u64>,
        message: impl Into<String>,
    ) {
        if self.findings.len() >= self.limits.findings {
            self.unkept += 1;
            return;
        }
        // INVARIANT: every id that the code declares stands in the catalogue (test), so the first is always found.
        let Some(rule) = rule(id).or_else(|| rule(rules::MALFORMED)) else { return };
        self.findings.push(Finding {
            severity,
            rule: rule.id.clone(),
            place: self.place.join("!"),
            offset,
            message: escape(&message.into(), 2000),
        });
    }

    /// Reports why an examiner stopped early, if it did.
    pub(crate) fn settle(&mut self, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {}
            Err(Trouble::Read(error)) => self.report(rules::UNREADABLE, None, error.to_string()),
            Err(Trouble::Changed) => self.report(rules::CHANGED, None, Trouble::Changed.to_string()),
            Err(Trouble::Malformed { offset, what }) => self.report(rules::MALFORMED, Some(offset), what),
            Err(Trouble::Limit(what)) => self.report(rules::LIMIT, None, what),
        }
    }

    /// Examines a member of a container, or a stream that was unpacked, by its own content.
    pub(crate) fn descend(&mut self, name: &str, view: &View) {
        self.within(name, |scan| detect::examine(view, scan));
    }

    /// The same for a member that may hold bare numbers, which are in no format.
    pub(crate) fn descend_raw(&mut self, name: &str, view: &View) {
        self.within(name, |scan| {
            let before = scan.raw.replace(scan.depth());
            detect::examine(view, scan);
            scan.raw = before;
        });
    }

    /// Whether what is examined may be in no format.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw == Some(self.depth())
    }

    /// The same for what is loaded as a file by whoever loads what it lies in. Says whether it is in a format that is.
    pub(crate) fn descend_loaded(&mut self, name: &str, view: &View) -> bool {
        // Beyond a bound it is not examined, and a finding says so.
        let mut loads = true;
        self.within(name, |scan| {
            let before = scan.loaded.replace((scan.depth(), false));
            detect::examine(view, scan);
            loads = std::mem::replace(&mut scan.loaded, before).is_some_and(|(_, loads)| loads);
        });
        loads || view.len() == 0
    }

    /// Whether what is examined is loaded by whoever loads what it lies in.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.is_some_and(|(depth, _)| depth == self.depth())
    }

    /// Notes that what is examined is in a format that is loaded.
    pub(crate) fn loads(&mut self) {
        let here = self.depth();
        if let Some((depth, loads)) = &mut self.loaded
            && *depth == here
        {
            *loads = true;
        }
    }

    /// Does `work` with the place set to a member.
    pub(crate) fn within(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        self.members += 1;
        if self.members > self.limits.members {
            if self.members == self.limits.members + 1 {
                self.report(rules::LIMIT, None, format!("more than {} members", self.limits.members));
            }
            return;
        }
        if self.place.len() > self.limits.depth {
            let what = format!(
                "containers lie more than {} deep in one another; {} was not examined",
                self.limits.depth,
                escape(name, 200)
            );
            self.report(rules::LIMIT, None, what);
            return;
        }
        self.place.push(escape(name, 1024));
        work(self);
        self.place.pop();
    }

    /// The length of the file as it was given.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes it unpacked to so far, all levels together.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Takes `bytes` that were unpacked from what the file may still unpack to.
    ///
    /// # Errors
    /// If that is used up.
    pub(crate) fn write(&mut self, bytes: u64) -> Result<(), Trouble> {
        self.written = self.written.saturating_add(bytes);
        self.spend(bytes)
    }

    /// Takes `bytes` from what the file may still unpack to.
    ///
    /// # Errors
    /// If that is used up.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), Trouble> {
        self.unpacked = self.unpacked.saturating_add(bytes);
        if self.unpacked > self.limits.unpacked {
            return Err(Trouble::Limit(format!("unpacks to more than {} bytes", self.limits.unpacked)));
        }
        Ok(())
    }
}

/// Untrusted text for people: control and invisible characters as escapes, at most `max` characters.
pub(crate) fn escape(text: &str, max: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == max {
            out.push('…');
            break;
        }
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// Whether a character shows as what it is.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control() && Hidden::of(c).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_is_escaped_and_bounded() {
        assert_eq!(escape("a\u{202e}b\x1b[0m\u{e0041}é", 100), "a\\u{202e}b\\u{1b}[0m\\u{e0041}é");
        assert_eq!(escape("abcdef", 3), "abc…");
    }

    #[test]
    fn bounds_are_findings() {
        let limits = Limits { depth: 2, unpacked: 10, findings: 3, ..Limits::default() };
        let mut scan = Examination::new(&limits, "x");
        scan.within("a", |scan| scan.within("b", |scan| scan.within("c", |_| unreachable!())));
        assert!(scan.spend(10).is_ok());
        let spent = scan.spend(1);
        scan.settle(spent);
        for offset in 0..5 {
            scan.report(rules::POLYGLOT, Some(offset), "x");
        }
        let outcome = scan.end();
        assert_eq!((outcome.findings.len(), outcome.unkept), (3, 4));
        assert!(
            outcome
                .findings
                .iter()
                .any(|finding| finding.place == "x!a!b" && finding.rule.as_str() == "limit")
        );
    }
}
