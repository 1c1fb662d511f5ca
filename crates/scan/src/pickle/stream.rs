//! Files of pickles: one, several in a row, or PyTorch's legacy format, where raw storages follow.

use ostrom_core::Severity;

use super::array::past;
use super::judge::{Judge, Mode, Storage};
use super::machine::{Halt, Machine};
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
        if CALLS.contains(opcode) && rest.len() < bytes.len() {
            return true;
        }
        rest = past(tail, after).unwrap_or_default();
    }
    true
}

/// Examines a whole file that begins with a pickle.
pub(super) fn file(view: &View, mode: Mode, scan: &mut Examination<'_>) -> Result<Vec<Storage>, Trouble> {
    let mut judge = Judge::new(view.clone(), mode, scan.limits().findings);
    let mut machine = Machine::new(view.clone(), 0);
    let result = pickles(&mut machine, &mut judge);
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
    let mut machine = Machine::new(view.clone(), 0);
    loop {
        match machine.run(&mut judge) {
            Ok(Value::TorchMagic) => return Ok(true),
            Ok(_) if enough == Enough::End || judge.imports > 0 => return Ok(true),
            Ok(_) if machine.cursor().left() == 0 => return Ok(false),
            Ok(_) => machine.begin(),
            Err(Halt::Trouble(trouble @ (Trouble::Read(_) | Trouble::Changed))) => return Err(trouble),
            Err(Halt::Trouble(Trouble::Limit(_))) => return Ok(true),
            Err(_) => {
                let imported = enough != Enough::Call && judge.imports > 0;
                return Ok(judge.called > 0 || imported || judge.imported_danger());
            }
        }
    }
}

fn pickles(machine: &mut Machine, judge: &mut Judge) -> Result<(), Halt> {
    let first = machine.run(judge)?;
    if matches!(first, Value::TorchMagic) {
        return legacy(machine, judge);
    }
    let mut number = 1_u64;
    while machine.cursor().left() > 0 {
        let from = machine.position();
        if !plausible(machine.cursor().peek(4096)?) {
            return trailing(machine, judge);
        }
        number = number.saturating_add(1);
        machine.begin();
        let before = (judge.imports, judge.called);
        match machine.run(judge) {
            Ok(_) => {}
            // Bytes that only looked like one more pickle, and did nothing.
            Err(Halt::Trouble(Trouble::Malformed { .. })) if before == (judge.imports, judge.called) => {
                machine.cursor().seek(from);
                return trailing(machine, judge);
            }
            Err(halt) => return Err(halt),
        }
    }
    Ok(())
}

fn trailing(machine: &mut Machine, judge: &mut Judge) -> Result<(), Halt> {
    let (position, left) = (machine.position(), machine.cursor().left());
    let message = format!("{left} bytes after the last pickle, which loaders leave unread");
    // Loaders of archives look for the end of one, whatever stands in front of it.
    match zip_ends_at(machine.cursor().view())? {
        Some(end) if end >= position => {
            let message = format!("{message}; a zip ends at byte {end}, which others may load");
            judge.report_as(Some(Severity::High), TRAILING, 0, position, message);
        }
        _ => judge.report(TRAILING, 0, position, message),
    }
    Ok(())
}

/// PyTorch before 1.6: magic number, protocol, system, object, keys of the storages, then the storages.
fn legacy(machine: &mut Machine, judge: &mut Judge) -> Result<(), Halt> {
    judge.mode = Mode::Torch;
    let mut last = Value::None;
    for part in ["protocol", "system", "object", "storage keys"] {
        machine.begin();
        if part == "storage keys" {
            machine.keep = 1 << 18;
        }
        last = machine.run(judge)?;
    }
    let Some(Node::List(keys)) = machine.heap().get(last) else { return undecided(machine, judge) };
    let keys: Items = keys.clone();
    if !keys.whole() {
        return undecided(machine, judge);
    }
    for key in keys.iter() {
        let Value::Text(text) = key else { return undecided(machine, judge) };
        let Some(storage) = judge.text(text).and_then(|key| judge.storage(&key)) else {
            return undecided(machine, judge);
        };
        let (count, element) = (storage.count, storage.element);
        let stored = u64::from_le_bytes(machine.cursor().array()?);
        if stored != count {
            return undecided(machine, judge);
        }
        let Some(bytes) = count.checked_mul(element) else { return undecided(machine, judge) };
        machine.cursor().skip(bytes)?;
    }
    if machine.cursor().left() > 0 {
        return trailing(machine, judge);
    }
    Ok(())
}

fn undecided(machine: &Machine, judge: &mut Judge) -> Result<(), Halt> {
    let position = machine.position();
    let message = "it is not clear how long the storages are that follow the pickles".to_owned();
    judge.report(UNDECIDED, 6, position, message);
    Ok(())
}
