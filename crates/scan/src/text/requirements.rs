//! Lists of packages to install, and where they come from.

use ostrom_core::Severity;

use super::instructions::lists;
use super::lines::{ends_python, lines};
use super::{REQUIREMENT_SOURCE, text_of};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    for (offset, line) in lines(&text, ends_python) {
        requirement(line, Some(offset), scan);
    }
    Ok(())
}

/// One line of pip's.
pub(super) fn requirement(line: &str, offset: Option<u64>, scan: &mut Examination<'_>) {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    let known = lists().known_indexes.iter().any(|index| line.contains(index.as_str()));
    let has = |options: &[&str]| {
        options.iter().any(|option| line.starts_with(option) || line.contains(&format!(" {option}")))
    };
    let (severity, what) = if has(&["--trusted-host"]) || line.contains("http://") {
        (Severity::Medium, "installs over a connection that anybody on the way can change")
    } else if has(&["--index-url", "--extra-index-url", "-i ", "--find-links", "-f "]) {
        if known {
            return;
        }
        (Severity::Medium, "installs from another index")
    } else if line.contains("git+")
        || line.contains("hg+")
        || line.contains(" @ http")
        || line.starts_with("http")
    {
        (Severity::Low, "installs what is no release of an index")
    } else {
        return;
    };
    scan.report_as(severity, REQUIREMENT_SOURCE, offset, format!("{what}: {}", escape(line, 200)));
}
