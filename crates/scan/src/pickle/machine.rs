//! The abstract interpreter: what every opcode does to stack, marks and memo, with symbolic values. Follows CPython's
//! `_pickle.c`; where the Python implementation differs and somebody could hide in the difference, that is reported.

use super::cursor::{Cursor, Line, MAX_NAME};
use super::judge::Judge;
use super::memo::Memo;
use super::value::{Form, Heap, Items, KEEP, Node, Text, Value};
use super::{BOMB, BUFFER, EXTENSION, FRAME, UNDECIDED, UNUSUAL, opcode};
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
struct Mark {
    at: usize,
    /// How many values were taken out above it, to bound memory.
    elided: u64,
    /// One of these that begins with two underscores.
    dunder: Option<Text>,
}

/// The most values on the stack; beyond it the middle of a long row of items is taken out.
const MAX_STACK: usize = 1 << 20;
/// How many values at the top stay when it is.
const TOP: usize = 4096;
const MAX_MARKS: usize = 1 << 18;
/// A key whose hash takes so many steps stalls the loader.
const MAX_WEIGHT: u64 = 1 << 27;
const TORCH_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const TORCH_MAGIC_TEXT: &str = "119547037146038801333356";

#[derive(Clone)]
pub(crate) struct Machine {
    pub(super) cursor: Cursor,
    stack: Vec<Value>,
    marks: Vec<Mark>,
    /// Below this nothing may be popped.
    fence: usize,
    pub(super) memo: Memo,
    pub(super) heap: Heap,
    /// Where the frame ends that is open; the largest number if none is.
    pub(super) frame_end: u64,
    /// Where the opcode begins that is being interpreted.
    pub(super) at: u64,
    start: u64,
    /// How many items of a list are kept.
    pub(crate) keep: usize,
    /// Whether joblib's arrays are stepped over, as `joblib.load` does.
    pub(super) joblib: bool,
    /// How much work may go into reading the stream in other ways.
    pub(super) spare: u64,
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
            at: position,
            start: position,
            keep: KEEP,
            joblib: true,
            spare,
        }
    }

    /// Forgets everything but where it is: another pickle begins.
    pub(crate) fn begin(&mut self) {
        self.stack.clear();
        self.marks.clear();
        self.fence = 0;
        self.memo.clear();
        self.heap.clear();
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
            if let Value::Text(text) = value
                && text.dunder
            {
                mark.dunder = Some(text);
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
    fn underflow(&self) -> Halt {
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

    fn mark(&mut self) -> Step<()> {
        if self.marks.len() >= MAX_MARKS {
            return Err(Trouble::Limit("the pickle is too deep to be followed".to_owned()).into());
        }
        self.marks.push(Mark { at: self.stack.len(), elided: 0, dunder: None });
        self.fence = self.stack.len();
        Ok(())
    }

    fn pop_mark(&mut self) -> Step<Mark> {
        let mark =
            self.marks.pop().ok_or_else(|| self.malformed("ends a row of items that was not begun"))?;
        self.fence = self.marks.last().map_or(0, |mark| match mark.elided {
            0 => mark.at,
            _ => mark.at.saturating_add(KEEP),
        });
        Ok(mark)
    }

    /// The items above the last mark, of which the middle may be missing.
    fn items(&mut self) -> Step<(Mark, Vec<Value>)> {
        let mark = self.pop_mark()?;
        let at = mark.at.min(self.stack.len());
        Ok((mark, self.stack.split_off(at)))
    }

    pub(super) fn add(&mut self, node: Node) -> Value {
        self.heap.add(node)
    }

    /// Makes room. Only between opcodes: then every value is on the stack or in the memo.
    #[cold]
    fn collect(&mut self) {
        // What is on the stack keeps its parts, what only the memo has does not.
        self.memo.let_go(&self.heap);
        self.heap.collect(self.stack.iter().copied().chain(self.memo.values()));
    }

    pub(super) fn tuple(&mut self, values: impl IntoIterator<Item = Value>, elided: u64) -> Value {
        let keep = self.heap.keep(KEEP);
        let mut items = Items::default();
        let mut weight = 1 + elided;
        for value in values {
            items.push(value, keep);
            weight = weight.saturating_add(self.heap.weight(value));
        }
        if elided > 0 {
            items.len = items.len.saturating_add(elided);
        }
        self.add(Node::Tuple { items, weight })
    }

    fn push_tuple(&mut self, count: usize) -> Step<()> {
        let at = self.stack.len().saturating_sub(count);
        if at < self.fence || self.stack.len() < count {
            return Err(self.underflow());
        }
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
            let message = format!("a frame ends at byte {}, within an opcode", self.frame_end);
            judge.report(FRAME, 1, self.at, message);
        }
        self.frame_end = u64::MAX;
    }

    #[inline]
    fn step(&mut self, opcode: u8, judge: &mut Judge) -> Step<()> {
        match opcode {
            opcode::BININT1 => {
                let [byte] = self.cursor.array()?;
                self.push(Value::Int(i64::from(byte)))
            }
            opcode::BININT2 => {
                let bytes = self.cursor.array()?;
                self.push(Value::Int(i64::from(u16::from_le_bytes(bytes))))
            }
            opcode::BININT => {
                let bytes = self.cursor.array()?;
                self.push(Value::Int(i64::from(i32::from_le_bytes(bytes))))
            }
            opcode::BINFLOAT => {
                self.cursor.skip(8)?;
                self.push(Value::Number)
            }
            opcode::SHORT_BINUNICODE => {
                let [len] = self.cursor.array()?;
                self.text(u64::from(len), Form::Utf8)
            }
            opcode::BINUNICODE => {
                let len = u32::from_le_bytes(self.cursor.array()?);
                self.text(u64::from(len), Form::Utf8)
            }
            opcode::MEMOIZE => {
                let value = self.top()?;
                Ok(self.memo.push(value)?)
            }
            opcode::BINPUT => {
                let [index] = self.cursor.array()?;
                let value = self.top()?;
                self.memo.put(u64::from(index), value);
                Ok(())
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.cursor.array()?);
                self.put(u64::from(index), judge)
            }
            opcode::BINGET => {
                let [index] = self.cursor.array()?;
                self.get(u64::from(index))
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.cursor.array()?);
                self.get(u64::from(index))
            }
            opcode::MARK => self.mark(),
            opcode::NONE => self.push(Value::None),
            opcode::NEWTRUE => self.push(Value::Bool(true)),
            opcode::NEWFALSE => self.push(Value::Bool(false)),
            opcode::EMPTY_TUPLE => self.push_tuple(0),
            opcode::TUPLE1 => self.push_tuple(1),
            opcode::TUPLE2 => self.push_tuple(2),
            opcode::TUPLE3 => self.push_tuple(3),
            opcode::APPEND => {
                let value = self.pop()?;
                let target = self.top()?;
                self.append(target, &[value], 0, judge)
            }
            opcode::APPENDS => {
                let (mark, values) = self.items()?;
                let target = self.top()?;
                self.append(target, &values, mark.elided, judge)
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                let target = self.top()?;
                self.set_items(target, &[key, value], judge)
            }
            opcode::SETITEMS => {
                let (mark, values) = self.items()?;
                let target = self.top()?;
                self.set_items(target, &values, judge)?;
                self.set_elided(target, mark, judge);
                Ok(())
            }
            _ => self.seldom(opcode, judge),
        }
    }

    fn seldom(&mut self, opcode: u8, judge: &mut Judge) -> Step<()> {
        match opcode {
            opcode::PROTO => self.proto(judge),
            opcode::FRAME => self.frame(judge),
            opcode::POP => match self.marks.last() {
                Some(mark) if mark.at == self.stack.len() && mark.elided == 0 => self.pop_mark().map(|_| ()),
                _ => self.pop().map(|_| ()),
            },
            opcode::POP_MARK => self.items().map(|_| ()),
            opcode::DUP => {
                let value = self.top()?;
                self.push(value)
            }
            opcode::INT | opcode::LONG | opcode::FLOAT => self.number(opcode),
            opcode::LONG1 => {
                let [len] = self.cursor.array()?;
                self.long(u64::from(len))
            }
            opcode::LONG4 => {
                let len = self.signed()?;
                self.long(len)
            }
            opcode::STRING => self.string(),
            opcode::UNICODE => {
                let line = self.cursor.line()?;
                self.line_text(line.start, line.len, Form::Escaped)
            }
            opcode::BINSTRING => {
                let len = self.signed()?;
                self.text(len, Form::Old)
            }
            opcode::SHORT_BINSTRING => {
                let [len] = self.cursor.array()?;
                self.text(u64::from(len), Form::Old)
            }
            opcode::BINUNICODE8 => {
                let len = u64::from_le_bytes(self.cursor.array()?);
                self.text(len, Form::Utf8)
            }
            opcode::SHORT_BINBYTES => {
                let [len] = self.cursor.array()?;
                self.text(u64::from(len), Form::Bytes)
            }
            opcode::BINBYTES => {
                let len = u32::from_le_bytes(self.cursor.array()?);
                self.text(u64::from(len), Form::Bytes)
            }
            opcode::BINBYTES8 => {
                let len = u64::from_le_bytes(self.cursor.array()?);
                self.text(len, Form::Bytes)
            }
            opcode::BYTEARRAY8 => {
                let len = u64::from_le_bytes(self.cursor.array()?);
                self.text(len, Form::ByteArray)
            }
            opcode::TUPLE => {
                let (mark, values) = self.items()?;
                let tuple = self.tuple(values, mark.elided);
                self.push(tuple)
            }
            opcode::EMPTY_LIST => {
                let list = self.add(Node::List(Items::default()));
                self.push(list)
            }
            opcode::LIST => {
                let (mark, values) = self.items()?;
                let list = self.add(Node::List(Items::default()));
                self.push(list)?;
                self.append(list, &values, mark.elided, judge)
            }
            opcode::EMPTY_DICT => {
                let dict = self.dict();
                self.push(dict)
            }
            opcode::DICT => {
                let (mark, values) = self.items()?;
                let dict = self.dict();
                self.push(dict)?;
                self.set_items(dict, &values, judge)?;
                self.set_elided(dict, mark, judge);
                Ok(())
            }
            opcode::EMPTY_SET => {
                let set = self.add(Node::Set);
                self.push(set)
            }
            opcode::ADDITEMS => {
                let (_, values) = self.items()?;
                self.check_keys(values.iter(), judge);
                let target = self.top()?;
                self.add_items(target, judge)
            }
            opcode::FROZENSET => {
                let (_, values) = self.items()?;
                self.check_keys(values.iter(), judge);
                let weight =
                    values.iter().fold(1_u64, |sum, value| sum.saturating_add(self.heap.weight(*value)));
                let set = self.add(Node::FrozenSet { weight });
                self.push(set)
            }
            opcode::GET => {
                let index = self.index()?;
                self.get(index)
            }
            opcode::PUT => {
                let index = self.index()?;
                self.put(index, judge)
            }
            opcode::GLOBAL => {
                let value = self.global(judge)?;
                self.push(value)
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let value = self.stack_global(module, name, judge);
                self.push(value)
            }
            opcode::INST => {
                // The names come first in the stream, but nothing is imported if there is no mark.
                let at = self.at;
                if self.marks.is_empty() {
                    return Err(self.malformed("ends a row of items that was not begun"));
                }
                let class = self.global(judge)?;
                let (mark, values) = self.items()?;
                let none = values.is_empty();
                let args = self.tuple(values, mark.elided);
                self.at = at;
                let made =
                    if none { self.new_object(class, args, judge) } else { self.call(class, args, judge) };
                self.push(made)
            }
            opcode::OBJ => {
                let (mark, values) = self.items()?;
                let Some((class, rest)) = values.split_first() else { return Err(self.underflow()) };
                let args = self.tuple(rest.iter().copied(), mark.elided);
                let made = if rest.is_empty() {
                    self.new_object(*class, args, judge)
                } else {
                    self.call(*class, args, judge)
                };
                self.push(made)
            }
            opcode::REDUCE => {
                let args = self.pop()?;
                let callee = self.pop()?;
                let made = self.call(callee, args, judge);
                self.push(made)
            }
            opcode::NEWOBJ => {
                let args = self.pop()?;
                let class = self.pop()?;
                let made = self.new_object(class, args, judge);
                self.push(made)
            }
            opcode::NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                let made = self.new_object_ex(class, args, kwargs, judge);
                self.push(made)
            }
            opcode::BUILD => {
                let state = self.pop()?;
                let target = self.top()?;
                self.build(target, state, judge)
            }
            opcode::EXT1 => {
                let [code] = self.cursor.array()?;
                self.extension(i64::from(code), judge)
            }
            opcode::EXT2 => {
                let code = u16::from_le_bytes(self.cursor.array()?);
                self.extension(i64::from(code), judge)
            }
            opcode::EXT4 => {
                let code = i32::from_le_bytes(self.cursor.array()?);
                self.extension(i64::from(code), judge)
            }
            opcode::PERSID => {
                let line = self.cursor.line()?;
                let text = Text { start: line.start, len: clamp(line.len), form: Form::Utf8, dunder: false };
                let value = self.persistent(Value::Text(text), judge);
                self.push(value)
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let value = self.persistent(id, judge);
                self.push(value)
            }
            opcode::NEXT_BUFFER => {
                judge.report(BUFFER, 0, self.at, "takes a buffer that is not in the file".to_owned());
                self.push(Value::Data)
            }
            opcode::READONLY_BUFFER => self.top().map(|_| ()),
            other => Err(self.malformed(format!("{other:#04x} is no opcode"))),
        }
    }

    fn proto(&mut self, judge: &mut Judge) -> Step<()> {
        let [version] = self.cursor.array()?;
        if version > 5 {
            return Err(self.malformed(format!("protocol {version} is not known")));
        }
        if self.at != self.start {
            judge.report(
                UNUSUAL,
                0,
                self.at,
                "names its protocol in the middle, which no pickler does".to_owned(),
            );
        }
        Ok(())
    }

    fn frame(&mut self, judge: &mut Judge) -> Step<()> {
        let len = u64::from_le_bytes(self.cursor.array()?);
        let position = self.cursor.position();
        if self.frame_end != u64::MAX && position != self.frame_end {
            judge.report(FRAME, 2, self.at, "a frame begins within another".to_owned());
        }
        if len > self.cursor.left() {
            let left = self.cursor.left();
            judge.report(FRAME, 3, self.at, format!("a frame of {len} bytes, of which there are {left}"));
        }
        self.frame_end = position.saturating_add(len);
        Ok(())
    }

    fn signed(&mut self) -> Step<u64> {
        let len = i32::from_le_bytes(self.cursor.array()?);
        u64::try_from(len).map_err(|_| self.malformed("a length below zero"))
    }

    /// A string of so many bytes follows.
    #[inline]
    fn text(&mut self, len: u64, form: Form) -> Step<()> {
        let start = self.cursor.position();
        let dunder = len >= 2 && self.cursor.peek(2)? == b"__";
        self.cursor.skip(len)?;
        self.push(Value::Text(Text { start, len: clamp(len), form, dunder }))
    }

    fn line_text(&mut self, start: u64, len: u64, form: Form) -> Step<()> {
        let head = self.cursor.text(start, len, 2)?;
        let dunder = matches!(head.as_slice(), [b'_' | b'\\', b'_' | b'\\'] | [b'\\', _]);
        self.push(Value::Text(Text { start, len: clamp(len), form, dunder }))
    }

    fn string(&mut self) -> Step<()> {
        let line = self.cursor.line()?;
        let Line { start, mut len, .. } = line;
        let tail_len = len.min(64);
        let tail = self.cursor.text(start.saturating_add(len - tail_len), tail_len, 64)?;
        let spaces = tail.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count() as u64;
        len = len.saturating_sub(spaces);
        let first = self.cursor.text(start, 1, 1)?;
        let last = self.cursor.text(start.saturating_add(len.saturating_sub(1)), 1, 1)?;
        if len < 2 || first != last || !matches!(first.first(), Some(b'"' | b'\'')) {
            return Err(self.malformed("a string without quotes"));
        }
        self.line_text(start.saturating_add(1), len - 2, Form::Quoted)
    }

    /// A number written as text. What Python would refuse is refused, so that prose is no pickle.
    fn number(&mut self, opcode: u8) -> Step<()> {
        let line = self.cursor.line()?;
        let text = self.cursor.text(line.start, line.len, 64)?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim();
        let digits = text.trim_start_matches(['+', '-']);
        let value = match opcode {
            opcode::FLOAT => {
                let word = digits.to_ascii_lowercase();
                let named = matches!(word.as_str(), "nan" | "inf" | "infinity");
                let plain =
                    word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+' | '_'));
                (named || (plain && word.contains(|c: char| c.is_ascii_digit()))).then_some(Value::Number)
            }
            opcode::INT if text == "00" => Some(Value::Bool(false)),
            opcode::INT if text == "01" => Some(Value::Bool(true)),
            _ => {
                let digits = digits.strip_suffix('L').unwrap_or(digits);
                let plain = digits.starts_with(|c: char| c.is_ascii_digit())
                    && digits
                        .chars()
                        .all(|c| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X' | 'o' | 'O' | '_'));
                let value = match text.strip_suffix('L').unwrap_or(text).parse() {
                    Ok(int) => Value::Int(int),
                    Err(_) if digits == TORCH_MAGIC_TEXT => Value::TorchMagic,
                    Err(_) => Value::Number,
                };
                plain.then_some(value)
            }
        };
        let value = value.ok_or_else(|| self.malformed("a number that is none"))?;
        self.push(value)
    }

    fn long(&mut self, len: u64) -> Step<()> {
        let value = match usize::try_from(len) {
            Ok(len @ 0..=8) => {
                let bytes = self.cursor.peek(len)?;
                if bytes.len() < len {
                    return Err(self.malformed("the pickle ends within an opcode"));
                }
                let fill = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
                let mut whole = [fill; 8];
                whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Value::Int(i64::from_le_bytes(whole))
            }
            Ok(10) if self.cursor.peek(10)? == TORCH_MAGIC => Value::TorchMagic,
            _ => Value::Number,
        };
        self.cursor.skip(len)?;
        self.push(value)
    }

    fn index(&mut self) -> Step<u64> {
        let line = self.cursor.line()?;
        let text = self.cursor.text(line.start, line.len, 64)?;
        let text = String::from_utf8_lossy(&text).trim().replace('_', "");
        text.parse().map_err(|_| self.malformed("a memo index that is no number"))
    }

    fn put(&mut self, index: u64, judge: &mut Judge) -> Step<()> {
        let value = self.top()?;
        // Every entry that a pickler makes takes bytes, so an honest index is below the number of bytes.
        if index > self.cursor.view().len().max(1 << 20) {
            judge.report(
                BOMB,
                0,
                self.at,
                format!("writes to memo index {index}, which makes loaders reserve as much"),
            );
        }
        self.memo.put(index, value);
        Ok(())
    }

    fn get(&mut self, index: u64) -> Step<()> {
        match self.memo.get(index) {
            Some(value) => self.push(value),
            None => Err(self.malformed(format!("reads memo index {index}, which was not written"))),
        }
    }

    fn dict(&mut self) -> Value {
        self.add(Node::Dict { entries: Vec::new(), len: 0, dunder: None })
    }

    /// `c` and `i`: names in the stream itself.
    fn global(&mut self, judge: &mut Judge) -> Step<Value> {
        let at = self.at;
        let module = self.cursor.line()?;
        let name = self.cursor.line()?;
        let read = |line: Line| -> Step<String> {
            let bytes = self.cursor.text(line.start, line.len, MAX_NAME)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (module, name) = (read(module)?, read(name)?);
        Ok(judge.import(&module, &name, at))
    }

    fn stack_global(&mut self, module: Value, name: Value, judge: &mut Judge) -> Value {
        let text = |value: Value| match value {
            Value::Text(text) if text.form.is_str() => judge.text(text),
            _ => None,
        };
        match (text(module), text(name)) {
            (Some(module), Some(name)) => judge.import(&module, &name, self.at),
            (module, name) => {
                let show = |text: Option<String>| text.unwrap_or_else(|| "<unknown>".to_owned());
                let message =
                    format!("imports {}.{}, whose names are made while loading", show(module), show(name));
                judge.imports = judge.imports.saturating_add(1);
                judge.report(UNDECIDED, self.at, self.at, message);
                Value::Unknown
            }
        }
    }

    fn extension(&mut self, code: i64, judge: &mut Judge) -> Step<()> {
        if code <= 0 {
            return Err(self.malformed("an extension code below one"));
        }
        let value = match judge.extension(code) {
            Some(value) => value,
            None => {
                let message = format!("imports whatever the loader has registered as extension {code}");
                judge.report(EXTENSION, code.unsigned_abs(), self.at, message);
                Value::Unknown
            }
        };
        self.push(value)
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

    fn set_elided(&mut self, target: Value, mark: Mark, judge: &Judge) {
        if let Some(Node::Dict { len, dunder, .. }) = self.heap.get_mut(target) {
            *len = len.saturating_add(mark.elided / 2);
            if let Some(text) = mark.dunder
                && is_dunder(text, judge)
            {
                *dunder = Some(text);
            }
        }
    }
}

/// Whether a string that might begin with two underscores does.
pub(super) fn is_dunder(text: Text, judge: &Judge) -> bool {
    text.dunder
        && match text.form {
            Form::Utf8 | Form::Old | Form::Bytes | Form::ByteArray => true,
            Form::Escaped | Form::Quoted => judge.text(text).is_none_or(|text| text.starts_with("__")),
        }
}

fn clamp(len: u64) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
