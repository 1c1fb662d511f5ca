//! The abstract interpreter: what every opcode does to stack, marks and memo, with symbolic values. Follows CPython's
//! `_pickle.c`; where the Python implementation differs and somebody could hide in the difference, that is reported.

use super::allow::lists;
use super::cursor::Cursor;
use super::judge::Judge;
use super::memo::Memo;
use super::value::{Form, Heap, Items, KEEP, Node, Text, Value};
use super::{BOMB, FRAME, opcode};
use crate::source::View;
use crate::trouble::Trouble;

/// Why an interpretation ended before `STOP`.
#[derive(Debug)]
pub(crate) enum Halt {
    Trouble(Trouble),
    /// A finding says it already.
    Told,
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

pub(super) type Step<T> = Result<T, Halt>;

#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: usize,
    /// How many values were taken out above it, to bound memory.
    pub(super) elided: u64,
    /// One of these that begins with two underscores.
    dunder: Option<Text>,
    /// Whether one of these could be a string that is not in the file as it is.
    nameless: bool,
}

/// The most values on the stack; beyond it the middle of a long row of items is taken out.
const MAX_STACK: usize = 1 << 20;
/// How many values at the top stay when it is.
const TOP: usize = 4096;
const MAX_MARKS: usize = 1 << 18;
/// A key whose hash takes so many steps stalls the loader.
const MAX_WEIGHT: u64 = 1 << 27;

#[derive(Clone)]
pub(crate) struct Machine {
    pub(super) cursor: Cursor,
    pub(super) stack: Vec<Value>,
    pub(super) marks: Vec<Mark>,
    /// Below this nothing may be popped.
    fence: usize,
    pub(super) memo: Memo,
    pub(super) heap: Heap,
    /// Where the frame ends that is open; the largest number if none is.
    pub(super) frame_end: u64,
    /// Whether a frame ended within an opcode.
    pub(super) torn: bool,
    /// Where the opcode begins that is being interpreted.
    pub(super) at: u64,
    pub(super) start: u64,
    /// How many items of a list are kept.
    pub(crate) keep: usize,
    /// Whether joblib's arrays are stepped over, as `joblib.load` does.
    pub(super) joblib: bool,
    /// How much work may go into reading the stream in other ways.
    pub(super) spare: u64,
    /// Empty: memory for the next row of items.
    spare_values: Vec<Value>,
}

impl Machine {
    pub(crate) fn new(view: View, position: u64) -> Self {
        let spare = view.len().saturating_mul(2).saturating_add(1 << 22);
        Self {
            cursor: Cursor::new(view, position),
            stack: Vec::new(),
            marks: Vec::new(),
            fence: 0,
            memo: Memo::default(),
            heap: Heap::default(),
            frame_end: u64::MAX,
            torn: false,
            at: position,
            start: position,
            keep: KEEP,
            joblib: true,
            spare,
            spare_values: Vec::new(),
        }
    }

    /// Forgets everything but where it is: another pickle begins.
    pub(crate) fn begin(&mut self) {
        self.memo.clear();
        self.heap.clear();
        self.begin_again();
    }

    /// Another pickle begins, for an `Unpickler` that has loaded those before: it keeps its memo.
    pub(crate) fn begin_again(&mut self) {
        self.stack.clear();
        self.marks.clear();
        self.fence = 0;
        self.frame_end = u64::MAX;
        self.start = self.cursor.position();
        self.at = self.start;
    }

    pub(crate) fn position(&self) -> u64 {
        self.cursor.position()
    }

    pub(crate) fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }

    /// How much there is to copy.
    pub(super) fn size(&self) -> usize {
        self.stack.len().saturating_add(self.memo.size()).saturating_add(self.heap.size())
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> Halt {
        Halt::Trouble(Trouble::malformed(self.at, what))
    }

    #[inline]
    pub(super) fn push(&mut self, value: Value) -> Step<()> {
        if self.stack.len() >= MAX_STACK {
            self.elide()?;
        }
        self.stack.push(value);
        Ok(())
    }

    /// Takes out the middle of the row of items above the last mark.
    #[cold]
    fn elide(&mut self) -> Step<()> {
        let too_large =
            || Halt::Trouble(Trouble::Limit("the pickle's stack is too large to be followed".to_owned()));
        let len = self.stack.len();
        let mark = self.marks.last_mut().ok_or_else(too_large)?;
        let (from, to) = (mark.at.saturating_add(KEEP), len.saturating_sub(TOP));
        if to.saturating_sub(from) < MAX_STACK / 2 {
            return Err(too_large());
        }
        for value in self.stack.drain(from..to) {
            match value {
                Value::Text(text) if text.dunder => mark.dunder = Some(text),
                _ => mark.nameless |= could_be_name(value, &self.heap),
            }
        }
        mark.elided = mark.elided.saturating_add((to - from) as u64);
        self.fence = from;
        Ok(())
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Step<Value> {
        if self.stack.len() <= self.fence {
            return Err(self.underflow());
        }
        self.stack.pop().ok_or_else(|| self.underflow())
    }

    #[cold]
    pub(super) fn underflow(&self) -> Halt {
        if self.marks.last().is_some_and(|mark| mark.elided > 0) {
            return Halt::Trouble(Trouble::Limit(
                "the pickle's stack is too large to be followed".to_owned(),
            ));
        }
        self.malformed("takes more from the stack than there is")
    }

    #[inline]
    pub(super) fn top(&self) -> Step<Value> {
        if self.stack.len() <= self.fence {
            return Err(self.underflow());
        }
        self.stack.last().copied().ok_or_else(|| self.underflow())
    }

    pub(super) fn set_top(&mut self, value: Value) {
        if let Some(top) = self.stack.last_mut() {
            *top = value;
        }
    }

    pub(super) fn mark(&mut self) -> Step<()> {
        if self.marks.len() >= MAX_MARKS {
            return Err(Trouble::Limit("the pickle is too deep to be followed".to_owned()).into());
        }
        self.marks.push(Mark { at: self.stack.len(), elided: 0, dunder: None, nameless: false });
        self.fence = self.stack.len();
        Ok(())
    }

    pub(super) fn pop_mark(&mut self) -> Step<Mark> {
        let mark =
            self.marks.pop().ok_or_else(|| self.malformed("ends a row of items that was not begun"))?;
        self.fence = self.marks.last().map_or(0, |mark| match mark.elided {
            0 => mark.at,
            _ => mark.at.saturating_add(KEEP),
        });
        Ok(mark)
    }

    /// The items above the last mark, of which the middle may be missing. Give the memory back by [`Machine::done_with`].
    pub(super) fn items(&mut self) -> Step<(Mark, Vec<Value>)> {
        let mark = self.pop_mark()?;
        let at = mark.at.min(self.stack.len());
        let mut values = std::mem::take(&mut self.spare_values);
        values.extend(self.stack.drain(at..));
        Ok((mark, values))
    }

    /// Keeps the memory of items for the next ones: rows of items are most of what pickles have.
    #[inline]
    pub(super) fn done_with(&mut self, mut values: Vec<Value>) {
        if values.capacity() <= TOP {
            values.clear();
            self.spare_values = values;
        }
    }

    pub(super) fn add(&mut self, node: Node) -> Value {
        self.heap.add(node)
    }

    /// Makes room. Only between opcodes: then every value is on the stack or in the memo.
    #[cold]
    fn collect(&mut self) {
        // What is on the stack keeps its parts, what only the memo has does not.
        self.memo.let_go(&self.heap, lists());
        self.heap.collect(self.stack.iter().copied().chain(self.memo.nodes()));
    }

    pub(super) fn tuple(&mut self, values: impl IntoIterator<Item = Value>, elided: u64) -> Value {
        let keep = self.heap.keep(KEEP);
        let mut items = Items::default();
        let mut weight = 1 + elided;
        for value in values {
            items.push(value, keep);
            weight = weight.saturating_add(self.heap.weight(value));
        }
        items.elide(elided);
        self.add(Node::Tuple { items, weight })
    }

    pub(super) fn push_tuple(&mut self, count: usize, judge: &mut Judge) -> Step<()> {
        let at = self.stack.len().saturating_sub(count);
        if at < self.fence || self.stack.len() < count {
            return Err(self.underflow());
        }
        judge.keep(self.stack.get(at..).unwrap_or_default(), self.at);
        let keep = self.heap.keep(KEEP);
        let mut items = Items::default();
        let mut weight = 1_u64;
        for value in self.stack.drain(at..) {
            items.push(value, keep);
            weight = weight.saturating_add(self.heap.weight(value));
        }
        let tuple = self.add(Node::Tuple { items, weight });
        self.push(tuple)
    }

    /// Interprets up to and with `STOP`; what is then on top of the stack.
    pub(crate) fn run(&mut self, judge: &mut Judge) -> Step<Value> {
        match self.run_until(u64::MAX, judge)? {
            Some(value) => Ok(value),
            None => Err(self.malformed("the pickle has no end")),
        }
    }

    /// As [`Machine::run`], but begins no opcode at or after `end`; `None` if that came before `STOP`.
    pub(super) fn run_until(&mut self, end: u64, judge: &mut Judge) -> Step<Option<Value>> {
        let result = self.follow(end, judge);
        // `_pickle.c` drops what is left of a frame and reads the argument behind it: it may go on where this breaks off.
        if result.is_err() && self.cursor.position() > self.frame_end {
            self.torn_frame(judge);
        }
        result
    }

    fn follow(&mut self, end: u64, judge: &mut Judge) -> Step<Option<Value>> {
        loop {
            self.at = self.cursor.position();
            if self.at >= end {
                return Ok(None);
            }
            if self.heap.wants_collection() {
                self.collect();
            }
            if self.at >= self.frame_end {
                self.end_frame(judge);
            }
            let Some(opcode) = self.cursor.next()? else {
                return Err(self.malformed("the pickle has no end"));
            };
            if opcode == opcode::STOP {
                let value = self.pop()?;
                if self.frame_end != u64::MAX && self.frame_end != self.cursor.position() {
                    let message = "the pickle ends before the frame that it is in".to_owned();
                    judge.report(FRAME, 0, self.at, message);
                }
                return Ok(Some(value));
            }
            self.step(opcode, judge)?;
        }
    }

    #[cold]
    fn end_frame(&mut self, judge: &mut Judge) {
        if self.at > self.frame_end {
            self.torn_frame(judge);
        }
        self.frame_end = u64::MAX;
    }

    #[cold]
    fn torn_frame(&mut self, judge: &mut Judge) {
        self.torn = true;
        let message = format!("a frame ends at byte {}, within an opcode", self.frame_end);
        judge.report(FRAME, 1, self.at, message);
    }

    /// Keys are hashed, which follows every reference.
    pub(super) fn check_keys<'a>(&self, keys: impl Iterator<Item = &'a Value>, judge: &mut Judge) {
        for key in keys {
            if self.heap.weight(*key) > MAX_WEIGHT {
                let message = "hashes a value so deeply shared that the loader stalls".to_owned();
                judge.report(BOMB, 1, self.at, message);
            }
        }
    }

    pub(super) fn set_elided(&mut self, target: Value, mark: Mark, judge: &Judge) {
        if let Some(Node::Dict { len, dunder, nameless, .. }) = self.heap.get_mut(target) {
            *len = len.saturating_add(mark.elided / 2);
            *nameless |= mark.nameless;
            if let Some(text) = mark.dunder
                && is_dunder(text, judge)
            {
                *dunder = Some(text);
            }
        }
    }
}

/// Whether a value could be a string that is not in the file as it is: one that a callable has made, or whose text was let go.
pub(super) fn could_be_name(value: Value, heap: &Heap) -> bool {
    matches!(value, Value::Object(_) | Value::Data | Value::Unknown)
        || matches!(heap.get(value), Some(Node::Object { .. }))
}

/// Whether a string that might begin with two underscores does.
pub(super) fn is_dunder(text: Text, judge: &Judge) -> bool {
    text.dunder
        && match text.form {
            Form::Utf8 | Form::Old | Form::Bytes | Form::ByteArray => true,
            Form::Escaped | Form::Quoted => judge.text(text).is_none_or(|text| text.starts_with("__")),
        }
}
