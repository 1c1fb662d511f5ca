//! What a member's name can do: leave the folder, stand twice, pass through a link, look like another.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use ostrom_core::Severity;

use super::{DUPLICATE_NAME, LINK, ODD_NAME, PATH_ESCAPE};
use crate::examination::{Examination, is_plain};

/// The most links of one archive that are kept.
const LINKS: usize = 10_000;

/// The names of one archive, as they come. Keeps digests of names, not the names: an archive may have a million.
#[derive(Default)]
pub(super) struct Names {
    states: (RandomState, RandomState),
    /// By the name in lower case: the name, and what identifies the content.
    seen: BTreeMap<u128, (u128, u64)>,
    links: BTreeSet<String>,
}

impl Names {
    /// Checks the name of the member at `offset`. `content` tells members apart that are not mere copies; directories
    /// have none.
    pub(super) fn check(
        &mut self,
        name: &str,
        content: Option<u64>,
        offset: u64,
        scan: &mut Examination<'_>,
    ) {
        let at = Some(offset);
        if let Some(how) = escapes(name) {
            scan.report(PATH_ESCAPE, at, format!("{name:?} {how}"));
        } else if let Some(how) = oddness(name) {
            scan.report(ODD_NAME, at, format!("{name:?} {how}"));
        } else if name.contains('\\') {
            // Old tools for Windows write these; elsewhere they are part of the name.
            scan.report_as(Severity::Low, ODD_NAME, at, format!("{name:?} has a backslash"));
        }
        let path = normal(name);
        if let Some(link) = self.link_above(&path) {
            scan.report(LINK, at, format!("{name:?} is written through the link {link:?}"));
        }
        let Some(content) = content else { return };
        let exact = self.digest(&path);
        match self.seen.insert(self.digest(&path.to_lowercase()), (exact, content)) {
            None => {}
            Some((_, same)) if same == content => {
                scan.report_as(
                    Severity::Low,
                    DUPLICATE_NAME,
                    at,
                    format!("{name:?} stands twice, with one content"),
                );
            }
            Some((before, _)) if before == exact => {
                scan.report(DUPLICATE_NAME, at, format!("{name:?} stands twice, with different contents"));
            }
            Some(_) => {
                let what = format!("{name:?} differs from another name only in case");
                scan.report_as(Severity::Medium, DUPLICATE_NAME, at, what);
            }
        }
    }

    /// Checks where the link `name` leads. A symbolic link's target is seen from the link's folder, a hard link's from
    /// the archive's.
    pub(super) fn check_link(
        &mut self,
        name: &str,
        target: &str,
        symbolic: bool,
        offset: u64,
        scan: &mut Examination<'_>,
    ) {
        let path = normal(name);
        let from = match path.rsplit_once('/') {
            Some((folder, _)) if symbolic => format!("{folder}/"),
            _ => String::new(),
        };
        if is_rooted(target) || escapes(&format!("{from}{target}")).is_some() {
            scan.report(LINK, Some(offset), format!("{name:?} is a link to {target:?}"));
        } else if let Some(link) = self.link_above(&normal(&format!("{from}{target}"))) {
            scan.report(LINK, Some(offset), format!("{name:?} leads through the link {link:?}"));
        }
        if symbolic && self.links.len() < LINKS {
            self.links.insert(path);
        }
    }

    fn link_above(&self, path: &str) -> Option<&String> {
        if self.links.is_empty() {
            return None;
        }
        path.match_indices('/').find_map(|(at, _)| self.links.get(path.get(..at)?))
    }

    fn digest(&self, name: &str) -> u128 {
        u128::from(self.states.0.hash_one(name)) << 64 | u128::from(self.states.1.hash_one(name))
    }
}

fn is_rooted(name: &str) -> bool {
    let mut chars = name.chars();
    let (first, second) = (chars.next(), chars.next());
    matches!(first, Some('/' | '\\'))
        || (second == Some(':') && first.is_some_and(|c| c.is_ascii_alphabetic()))
}

/// How a name leads out of the folder, if it does. Backslashes separate, as they do on Windows.
fn escapes(name: &str) -> Option<&'static str> {
    if is_rooted(name) {
        return Some("is an absolute path");
    }
    let mut depth = 0_i64;
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth = depth.saturating_add(1),
        }
        if depth < 0 {
            return Some("leads out of the folder");
        }
    }
    None
}

fn oddness(name: &str) -> Option<&'static str> {
    // Joiners and variation selectors are part of emoji, which names may have.
    let odd = |c: char| c.is_control() || !(is_plain(c) || matches!(c, '\u{200d}' | '\u{fe0e}' | '\u{fe0f}'));
    if name.is_empty() {
        Some("is empty")
    } else if name.chars().any(odd) {
        Some("has invisible characters")
    } else if name.split(['/', '\\']).any(|part| part == "..") {
        Some("makes a detour")
    } else {
        None
    }
}

/// The name as a path: `/` between parts, without empty parts and dots.
pub(super) fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
