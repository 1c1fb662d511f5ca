//! Python files, and `.pth` files that are text.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::lines::{ends_python, lines};
use super::{PATH_CONFIGURATION, PYTHON_UNREAD, hidden, python, text_of};
use crate::examination::{Examination, escape};
use crate::folder::fact;
use crate::source::View;
use crate::trouble::Trouble;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() <= python::LONGEST as u64 {
        scan.note(fact::CODE, "python");
    }
    examine_source(view, scan)
}

/// Examines Python code that is no file of its own.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn examine_source(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() > python::LONGEST as u64 {
        scan.report(PYTHON_UNREAD, None, format!("Python code of {} bytes", view.len()));
        return Ok(());
    }
    let text = text_of(view, scan)?;
    what_misleads(view, &text, scan)?;
    examine_code(&text, scan);
    Ok(())
}

/// Reports what makes Python read another text than the one that is there.
pub(super) fn what_misleads(view: &View, text: &str, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    // The first two lines may be as long as one likes.
    if let Some(name) = python::odd_encoding(&view.bytes(0, python::LONGEST)?) {
        scan.report(
            PYTHON_UNREAD,
            Some(0),
            format!("is written in the encoding {name}, which hides what it says"),
        );
    }
    if text.contains('\0') {
        scan.report(PYTHON_UNREAD, None, "holds a null byte, after which loaders read differently");
    }
    Ok(())
}

/// What Python code does, reported in `scan`.
pub(super) fn examine_code(text: &str, scan: &mut Examination<'_>) {
    hidden::examine(text, 0, Sort::Code, scan);
    let gathered = python::read(text);
    for deed in gathered.deeds {
        match deed.severity {
            Some(severity) => scan.report_as(severity, deed.rule, Some(deed.offset), deed.what),
            None => scan.report(deed.rule, Some(deed.offset), deed.what),
        }
    }
    for sibling in gathered.siblings {
        scan.note(fact::USES_CODE, &sibling);
    }
}

/// A text with the extension `.pth`. In a folder of packages Python runs its lines that begin with `import`.
pub(super) fn examine_path_file(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut runs = false;
    // Python before 3.12 ends a line at `\n` and `\r` only. What begins a line for it is read as code up to there.
    let mut read = 0;
    for (offset, start) in lines(text, ends_python) {
        if start.starts_with("import ") || start.starts_with("import\t") {
            runs = true;
            let rest = usize::try_from(offset).ok().and_then(|at| text.get(at..)).unwrap_or(start);
            let long = rest.split(['\n', '\r']).next().unwrap_or(rest);
            let line = if offset < read { start } else { long };
            read = read.max(offset.saturating_add(long.len() as u64));
            let shown = escape(line.trim(), 500);
            let what = format!("Python runs this line as it starts: {shown}");
            scan.report(PATH_CONFIGURATION, Some(offset), what);
            examine_code(line, scan);
        }
    }
    // A pickle of protocol 0 is text too, and ends in its full stop.
    if !runs && !text.trim_end().ends_with('.') {
        scan.report_as(
            Severity::Medium,
            PATH_CONFIGURATION,
            None,
            "a text that adds folders to Python's search path",
        );
    }
    Ok(())
}
