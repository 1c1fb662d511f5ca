//! Which formats the bytes are in. Content decides; the name only says what a loader would make of bytes that have no
//! mark of their own.

use crate::examination::Examination;
use crate::rules;
use crate::source::View;
use crate::trouble::Trouble;

/// How many bytes from the beginning the marks of all formats lie within.
const HEAD: usize = 4096;

/// One format: what it is called, how it is known, and who examines it.
struct Format {
    name: &'static str,
    /// Whether bytes that begin with `head` are of this format; `view` is for marks that lie elsewhere.
    is: fn(head: &[u8], view: &View) -> Result<bool, Trouble>,
    examine: fn(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble>,
}

/// All formats with a mark of their own. More than one may match: a polyglot, which is a finding.
const FORMATS: &[Format] = &[];

/// Examines bytes in every format that they are in.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) {
    let result = try_examine(view, scan);
    scan.settle(result);
}

fn try_examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let head = view.bytes(0, HEAD)?;
    let mut found = Vec::new();
    for format in FORMATS {
        if (format.is)(&head, view)? {
            found.push(format);
        }
    }
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|format| format.name).collect();
        scan.report(rules::POLYGLOT, None, format!("is {} at once", names.join(" and ")));
    }
    for format in &found {
        scan.is(format.name);
        let result = (format.examine)(view, scan);
        scan.settle(result);
    }
    Ok(())
}
