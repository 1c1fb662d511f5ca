//! Files of pickles: one, several in a row, or PyTorch's legacy format, where raw storages follow.

use ostrom_core::Severity;

use super::array::past;
use super::judge::{Judge, Mode, Storage};
use super::machine::Halt;
use super::row::Row;
use super::value::{Items, Node, Value};
use super::{TRAILING, UNDECIDED, opcode};
use crate::archive::zip_ends_at;
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// How many opcodes detection looks at.
const PLAUSIBLE: usize = 6;

/// Opcodes that import or call something.
const CALLS: [u8; 12] = [
    opcode::GLOBAL,
    opcode::STACK_GLOBAL,
    opcode::INST,
    opcode::OBJ,
    opcode::REDUCE,
    opcode::NEWOBJ,
    opcode::NEWOBJ_EX,
    opcode::BUILD,
    opcode::EXT1,
    opcode::EXT2,
    opcode::EXT4,
    opcode::PERSID,
];

/// What a zip begins with.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Whether the bytes begin with opcodes, and at least one is there.
pub(super) fn plausible(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for _ in 0..PLAUSIBLE {
        let Some((opcode, after)) = rest.split_first() else { return rest.len() < bytes.len() };
        let Some(tail) = opcode::tail(*opcode) else { return false };
        if *opcode == opcode::STOP {
            return rest.len() < bytes.len();
        }
        // What has been called by then has been called, whatever comes behind it.
        let imports = matches!(*opcode, opcode::GLOBAL | opcode::INST) && names_module(after);
        if CALLS.contains(opcode) && (rest.len() < bytes.len() || imports) {
            return true;
        }
        // Where a frame ends, readers may go on at different bytes.
        if *opcode == opcode::FRAME {
            return true;
        }
        rest = past(tail, after).unwrap_or_default();
    }
    true
}

/// Whether a line follows that names a module, and another.
fn names_module(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let is_name = |line: &[u8]| {
        !line.is_empty()
            && line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    lines.next().is_some_and(is_name) && lines.next().is_some_and(|line| !line.is_empty())
}

/// Examines a whole file that begins with a pickle.
pub(super) fn file(view: &View, mode: Mode, scan: &mut Examination<'_>) -> Result<Vec<Storage>, Trouble> {
    let mut judge = Judge::new(view.clone(), mode, scan.limits().findings);
    let result = pickles(&mut Row::new(view), &mut judge);
    let storages = judge.storages();
    judge.finish(scan);
    match result {
        Ok(()) | Err(Halt::Told) => Ok(storages),
        Err(Halt::Trouble(trouble)) => Err(trouble),
    }
}

/// What makes bytes without a mark a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    /// They can be read to their end.
    End,
    /// They import something.
    Import,
    /// They call something, import something dangerous, or import something and can be read to their end.
    Call,
}

/// Whether bytes without a mark are a pickle, or several: the first ones need not do anything. What they do before they break
/// off counts, and so does that nobody can tell. Persistent ids are followed: `torch.load` and others know them. The number that
/// PyTorch's older files begin with is enough, for what comes after it is read as pickles whatever it is.
pub(super) fn acts(view: &View, enough: Enough) -> Result<bool, Trouble> {
    // A zip begins with the opcode of a persistent id. Loaders that know such ids look for a zip first.
    if view.bytes(0, ZIP.len())? == ZIP {
        return Ok(false);
    }
    let mut judge = Judge::new(view.clone(), Mode::Plain, 1);
    let mut row = Row::new(view);
    loop {
        match row.next(&mut judge) {
            Ok(Value::TorchMagic) => return Ok(true),
            Ok(_) if enough == Enough::End || judge.imports > 0 => return Ok(true),
            Ok(_) if row.cursor().left() == 0 => return Ok(false),
            Ok(_) => {}
            Err(Halt::Trouble(trouble @ (Trouble::Read(_) | Trouble::Changed))) => return Err(trouble),
            Err(Halt::Trouble(Trouble::Limit(_))) => return Ok(true),
            Err(_) if row.is_torn() => return Ok(true),
            Err(_) => {
                let imported = enough != Enough::Call && judge.imports > 0;
                return Ok(judge.called > 0 || imported || judge.imported_danger());
            }
        }
    }
}

fn pickles(row: &mut Row, judge: &mut Judge) -> Result<(), Halt> {
    let first = row.next(judge)?;
    if matches!(first, Value::TorchMagic) {
        return legacy(row, judge);
    }
    while row.cursor().left() > 0 {
        let from = row.position();
        if !plausible(row.cursor().peek(4096)?) {
            return trailing(row, judge);
        }
        let before = (judge.imports, judge.called);
        match row.next(judge) {
            Ok(_) => {}
            // Bytes that only looked like one more pickle, and did nothing.
            Err(Halt::Trouble(Trouble::Malformed { .. })) if before == (judge.imports, judge.called) => {
                row.cursor().seek(from);
                return trailing(row, judge);
            }
            Err(halt) => return Err(halt),
        }
    }
    Ok(())
}

fn trailing(row: &mut Row, judge: &mut Judge) -> Result<(), Halt> {
    let (position, left) = (row.position(), row.cursor().left());
    let message = format!("{left} bytes after the last pickle, which loaders leave unread");
    // Loaders of archives look for the end of one, whatever stands in front of it.
    match zip_ends_at(row.cursor().view())? {
        Some(end) if end >= position => {
            let message = format!("{message}; a zip ends at byte {end}, which others may load");
            judge.report_as(Some(Severity::High), TRAILING, 0, position, message);
        }
        _ => judge.report(TRAILING, 0, position, message),
    }
    Ok(())
}

/// PyTorch before 1.6: magic number, protocol, system, object, keys of the storages, then the storages.
fn legacy(row: &mut Row, judge: &mut Judge) -> Result<(), Halt> {
    judge.mode = Mode::Torch;
    let mut last = Value::None;
    for part in ["protocol", "system", "object", "storage keys"] {
        if part == "storage keys" {
            row.keep(1 << 18);
        }
        last = row.next(judge)?;
    }
    let Some(Node::List(keys)) = row.heap().get(last) else { return undecided(row, judge) };
    let keys: Items = keys.clone();
    if !keys.whole() {
        return undecided(row, judge);
    }
    for key in keys.iter() {
        let Value::Text(text) = key else { return undecided(row, judge) };
        let Some(storage) = judge.text(text).and_then(|key| judge.storage(&key)) else {
            return undecided(row, judge);
        };
        let (count, element) = (storage.count, storage.element);
        let stored = u64::from_le_bytes(row.cursor().array()?);
        if stored != count {
            return undecided(row, judge);
        }
        let Some(bytes) = count.checked_mul(element) else { return undecided(row, judge) };
        row.cursor().skip(bytes)?;
    }
    if row.cursor().left() > 0 {
        return trailing(row, judge);
    }
    Ok(())
}

fn undecided(row: &Row, judge: &mut Judge) -> Result<(), Halt> {
    let position = row.position();
    let message = "it is not clear how long the storages are that follow the pickles".to_owned();
    judge.report(UNDECIDED, 6, position, message);
    Ok(())
}
