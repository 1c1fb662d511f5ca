//! joblib's arrays: after the state of the stand-in follow the array's bytes, in the middle of the stream.

use super::judge::Judge;
use super::machine::{Halt, Machine, Step};
use super::opcode::{self, Tail};
use super::value::{Heap, Node, Value};
use super::{FRAME, UNDECIDED, dtype};
use crate::trouble::Trouble;

/// How the elements of an array lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    element: u64,
    /// Whether elements are objects, which are stored as a pickle.
    objects: bool,
}

/// What a stand-in says of its array.
struct Array {
    count: u64,
    layout: Layout,
    /// To how many bytes the data are aligned; `None` for versions of joblib that did not.
    alignment: Option<u64>,
}

/// How far bytes are read to see whether they could be opcodes.
const GLANCE: usize = 64 << 10;

impl Machine {
    /// A stand-in is on top of the stack: steps over its array.
    pub(super) fn joblib_array(&mut self, judge: &mut Judge) -> Step<()> {
        let stand_in = self.top()?;
        let Some(array) = self.describe(stand_in, judge) else {
            let message = "an array of joblib follows, of which it is not clear how long it is".to_owned();
            judge.report(UNDECIDED, self.at, self.at, message);
            return Err(Halt::Told);
        };
        if self.frame_end != u64::MAX && self.frame_end != self.cursor.position() {
            let message =
                "an array of joblib begins within a frame, where loaders read on differently".to_owned();
            judge.report(FRAME, 4, self.at, message);
        }
        self.frame_end = u64::MAX;
        // `pickle.load` does not know of the array and reads its bytes as opcodes.
        self.read_otherwise(array.layout.objects, judge)?;
        if array.layout.objects {
            self.nested_pickle(judge)?;
        } else {
            if let Some(alignment) = array.alignment {
                let [padding] = self.cursor.array()?;
                let fill = self.cursor.peek(usize::from(padding))?;
                if u64::from(padding) > alignment || fill.iter().any(|byte| *byte != 0xff) {
                    let message = "the bytes before an array of joblib are not what joblib writes".to_owned();
                    judge.report(UNDECIDED, self.at, self.at, message);
                }
                self.cursor.skip(u64::from(padding))?;
            }
            let bytes = array.count.checked_mul(array.layout.element);
            match bytes.filter(|bytes| *bytes <= self.cursor.left()) {
                Some(bytes) => self.cursor.skip(bytes)?,
                None => {
                    let what = "an array of joblib is longer than the file";
                    return Err(Trouble::malformed(self.at, what).into());
                }
            }
        }
        if let Some(entry) = judge.lists.find("numpy.core.multiarray", "_reconstruct") {
            self.set_top(Value::Object(entry.id));
        }
        Ok(())
    }

    /// An array of objects is a pickle of its own.
    fn nested_pickle(&mut self, judge: &mut Judge) -> Step<()> {
        let mut inner = Machine::new(self.cursor.view().clone(), self.cursor.position());
        inner.joblib = false;
        inner.spare = 0;
        // It reads on through the same window, so that many small ones are not many reads.
        std::mem::swap(&mut self.cursor, &mut inner.cursor);
        let result = inner.run(judge);
        std::mem::swap(&mut self.cursor, &mut inner.cursor);
        result.map(|_| ())
    }

    fn describe(&self, stand_in: Value, judge: &Judge) -> Option<Array> {
        let Some(Node::Object { state, .. }) = self.heap.get(stand_in) else { return None };
        let Some(Node::Dict { entries, len, .. }) = self.heap.get(*state) else { return None };
        if *len != entries.len() as u64 {
            return None;
        }
        // Joblib's own fields and no others: any attribute could stand for a method, and a key that is not in the file for any field.
        let is_own = |(key, _): &(Value, Value)| match key {
            Value::Text(text) => judge.text(*text).is_some_and(|name| FIELDS.contains(&name.as_str())),
            _ => false,
        };
        if !entries.iter().all(is_own) {
            return None;
        }
        let field = |name: &str| {
            // As in Python, the last one counts.
            entries.iter().rev().find_map(|(key, value)| match key {
                Value::Text(text) => (judge.text(*text)? == name).then_some(*value),
                _ => None,
            })
        };
        let Some(Node::Tuple { items, .. }) = self.heap.get(field("shape")?) else { return None };
        let count = dtype::product(items)?;
        let layout = layout(field("dtype")?, &self.heap, judge)?;
        let alignment = match field("numpy_array_alignment_bytes") {
            None | Some(Value::None) => None,
            Some(Value::Int(bytes)) => Some(u64::try_from(bytes).ok()?),
            Some(_) => return None,
        };
        Some(Array { count, layout, alignment })
    }

    /// Interprets what follows as `pickle.load` does, on a copy, if it could be opcodes at all. Where a pickle follows, it
    /// is honest and refers to a memo of its own; read with this one it imports nonsense, so only dangers count.
    fn read_otherwise(&mut self, pickle: bool, judge: &mut Judge) -> Step<()> {
        let (acts, seen) = could_act(self.cursor.peek(GLANCE)?);
        self.spare = self.spare.saturating_sub(seen as u64);
        if !acts {
            return Ok(());
        }
        let cost = (self.size() as u64).saturating_mul(4);
        self.spare = self.spare.saturating_sub(cost);
        if self.spare == 0 {
            let message = "too many arrays of joblib could be opcodes as well".to_owned();
            judge.report(UNDECIDED, 4, self.at, message);
            return Ok(());
        }
        let mut other = self.clone();
        other.joblib = false;
        let before = (judge.condition, judge.only_dangers);
        judge.only_dangers = pickle;
        judge.condition = " (if pickle.load reads the file, not joblib.load)";
        let from = other.position();
        let end = other.run_at_most(self.spare, judge);
        (judge.condition, judge.only_dangers) = before;
        self.spare = self.spare.saturating_sub(other.position().saturating_sub(from));
        end
    }

    /// As `run`, for so many bytes. That it breaks off is no finding: what it did until then is.
    fn run_at_most(&mut self, bytes: u64, judge: &mut Judge) -> Step<()> {
        let end = self.position().saturating_add(bytes);
        match self.run_until(end, judge) {
            Err(Halt::Trouble(Trouble::Malformed { .. })) | Err(Halt::Told) | Ok(Some(_)) => Ok(()),
            Err(other) => Err(other),
            Ok(None) => {
                let message =
                    "an array of joblib could be opcodes as well, more than can be followed".to_owned();
                judge.report(UNDECIDED, 5, self.at, message);
                Ok(())
            }
        }
    }
}

/// Whether bytes could be opcodes that import or call something before one comes that is none; and how many bytes that
/// took to see.
fn could_act(bytes: &[u8]) -> (bool, usize) {
    let mut rest = bytes;
    while let Some((opcode, after)) = rest.split_first() {
        let acts = matches!(
            *opcode,
            opcode::GLOBAL
                | opcode::INST
                | opcode::OBJ
                | opcode::REDUCE
                | opcode::BUILD
                | opcode::NEWOBJ
                | opcode::NEWOBJ_EX
                | opcode::STACK_GLOBAL
                | opcode::EXT1
                | opcode::EXT2
                | opcode::EXT4
                | opcode::PERSID
                | opcode::BINPERSID
                // Where it ends, readers may go on at different bytes.
                | opcode::FRAME
        );
        let seen = bytes.len() - after.len();
        if acts {
            return (true, seen);
        }
        let Some(tail) = opcode::tail(*opcode).filter(|_| *opcode != opcode::STOP) else {
            return (false, seen);
        };
        rest = past(tail, after).unwrap_or_default();
    }
    // Nothing but opcodes as far as one can see.
    (bytes.len() >= GLANCE, bytes.len())
}

/// What comes after an opcode's tail; empty if the tail reaches beyond what is seen.
pub(super) fn past(tail: Tail, bytes: &[u8]) -> Option<&[u8]> {
    let counted = |width: usize| -> Option<&[u8]> {
        let mut len = [0; 8];
        let head = bytes.get(..width)?;
        len.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX);
        Some(bytes.get(width.saturating_add(len)..).unwrap_or_default())
    };
    let line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    match tail {
        Tail::Nothing => Some(bytes),
        Tail::One => bytes.get(1..),
        Tail::Two => bytes.get(2..),
        Tail::Four => bytes.get(4..),
        Tail::Eight => bytes.get(8..),
        Tail::Line => bytes.get(line(bytes)?..),
        Tail::Lines => {
            let rest = bytes.get(line(bytes)?..)?;
            rest.get(line(rest)?..)
        }
        Tail::Counted1 => counted(1),
        Tail::Counted4 | Tail::Signed4 => counted(4),
        Tail::Counted8 => counted(8),
    }
}

/// The layout that a `numpy.dtype` describes, where it is certain.
fn layout(value: Value, heap: &Heap, judge: &Judge) -> Option<Layout> {
    // Strings of any length are stored as objects are.
    if dtype::is_strings(value, heap, judge) {
        return Some(Layout { element: 16, objects: true });
    }
    let Some(Node::Object { args, state, .. }) =
        heap.get(value).filter(|_| dtype::is_one(value, heap, judge))
    else {
        return None;
    };
    let dtype = dtype::read(*args, *state, heap, judge).filter(|dtype| dtype.own)?;
    let (kind, number, size) = (dtype.kind, dtype.number, dtype.size.unwrap_or(-1));
    let refers = dtype.flags & 1 != 0;
    if refers != (kind == 'O') && kind != 'V' {
        return None;
    }
    let element = match (kind, number) {
        ('S' | 'a' | 'V', _) => {
            let size = u64::try_from(size).ok()?;
            (size == number).then_some(size)?
        }
        ('U', _) => {
            let size = u64::try_from(size).ok()?;
            (number.checked_mul(4)? == size).then_some(size)?
        }
        _ if size != -1 => return None,
        ('O', 0 | 4 | 8) => return refers.then_some(Layout { element: 8, objects: true }),
        ('?', 0) | ('b', 1) => 1,
        ('i' | 'u' | 'f' | 'c' | 'm' | 'M', 1 | 2 | 4 | 8 | 10 | 12 | 16 | 20 | 24 | 32) => number,
        _ => return None,
    };
    Some(Layout { element, objects: refers })
}

/// What a stand-in of joblib has.
const FIELDS: [&str; 6] =
    ["subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_joblib_writes_before_its_arrays_is_no_opcode() {
        for padding in 1..=16 {
            assert_eq!(could_act(&[padding, 0xff, b'c', b'o', b's', b'\n', b'x', b'\n']), (false, 1));
        }
        assert!(could_act(b"K\x01cos\nsystem\n").0);
        assert!(!could_act(b"K\x01K\x02.").0);
        assert!(!could_act(b"X\xff\xff\xff\xffabc").0);
    }
}
