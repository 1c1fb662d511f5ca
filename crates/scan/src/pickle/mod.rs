//! Pickles: abstract interpretation of their opcodes. Nothing is imported or called; it is only followed what would be.
//!
//! `machine` follows the opcodes with symbolic values (`value`), `call` holds every call against the allow-lists
//! (`allow`, `shape`), `judge` gathers what is to be said. `array` and `stream` know what lies between and after pickles.
//!
//! *Invariant:* a callable that no list has, or that has other arguments than its list says, is a finding.

mod allow;
mod array;
mod call;
mod cursor;
mod dtype;
mod judge;
mod literal;
mod machine;
mod memo;
mod nested;
mod number;
mod opcode;
mod plain;
mod render;
mod row;
mod shape;
mod source;
mod step;
mod stream;
mod value;

#[cfg(test)]
pub(crate) mod asm;
#[cfg(test)]
mod tests;

pub(crate) use judge::{Mode, Storage};

use crate::detect::{Format, Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[Format { name: "pickle", detect, examine }];

crate::rules::declare! {
    DANGEROUS_CALL = "pickle-dangerous-call",
    SOURCE = "pickle-source",
    UNLISTED = "pickle-unlisted-callable",
    MAIN = "pickle-main",
    IMPORT = "pickle-import",
    ARGUMENTS = "pickle-arguments",
    STATE = "pickle-state",
    PATCH = "pickle-patch",
    INDIRECT = "pickle-indirect-call",
    UNDECIDED = "pickle-undecided",
    PERSISTENT = "pickle-persistent-id",
    EXTENSION = "pickle-extension",
    BUFFER = "pickle-buffer",
    FRAME = "pickle-frame",
    TRAILING = "pickle-trailing",
    UNUSUAL = "pickle-unusual",
    BOMB = "pickle-bomb",
}

/// Extensions of pickles: whatever can be read as one under these is one, mark or no mark.
const EXTENSIONS: [&str; 7] = ["dill", "joblib", "p", "pickle", "pkl", "sav", "th"];

/// Extensions under which loaders take pickles among other things.
const SHARED_EXTENSIONS: [&str; 9] = ["bin", "ckpt", "dat", "data", "dump", "mdl", "model", "pt", "pth"];

fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let marked = matches!(probe.head, [opcode::PROTO, 0..=5, ..]);
    if marked && stream::plausible(probe.head) {
        return Ok(Match::Strong);
    }
    let extension = probe.extension();
    let enough = if probe.loaded || EXTENSIONS.contains(&extension.as_str()) {
        stream::Enough::End
    } else if marked || SHARED_EXTENSIONS.contains(&extension.as_str()) {
        stream::Enough::Import
    } else {
        stream::Enough::Call
    };
    let possible = probe.head.first().is_some_and(|byte| opcode::tail(*byte).is_some());
    if possible && stream::acts(probe.view, enough)? {
        return Ok(Match::Weak);
    }
    Ok(Match::No)
}

/// Examines a file of one or more pickles, joblib's arrays and PyTorch's legacy storages included.
///
/// # Errors
/// If a pickle is broken. What it did before that is reported.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    stream::file(view, Mode::Plain, scan).map(|_| ())
}

/// Examines the `data.pkl` of a PyTorch or TorchScript archive; the storages that it names.
///
/// # Errors
/// As [`examine`].
pub(crate) fn examine_torch(
    view: &View,
    mode: Mode,
    scan: &mut Examination<'_>,
) -> Result<Vec<Storage>, Trouble> {
    stream::file(view, mode, scan)
}
