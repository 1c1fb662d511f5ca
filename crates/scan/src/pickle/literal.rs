//! What opcodes carry with them in the stream: strings, names, memo entries, frames. `number` reads numbers.

use super::cursor::{Line, MAX_NAME};
use super::judge::Judge;
use super::machine::{Machine, Step};
use super::value::{Fields, Form, Node, Text, Value};
use super::{BOMB, EXTENSION, FRAME, UNDECIDED, UNUSUAL, number};

impl Machine {
    pub(super) fn proto(&mut self, judge: &mut Judge) -> Step<()> {
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

    pub(super) fn frame(&mut self, judge: &mut Judge) -> Step<()> {
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

    pub(super) fn signed(&mut self) -> Step<u64> {
        let len = i32::from_le_bytes(self.cursor.array()?);
        u64::try_from(len).map_err(|_| self.malformed("a length below zero"))
    }

    /// A string of so many bytes follows.
    #[inline]
    pub(super) fn text(&mut self, len: u64, form: Form) -> Step<()> {
        let start = self.cursor.position();
        let dunder = len >= 2 && self.cursor.peek(2)? == b"__";
        self.cursor.skip(len)?;
        self.push(Value::Text(Text { start, len: clamp(len), form, dunder }))
    }

    pub(super) fn line_text(&mut self, start: u64, len: u64, form: Form) -> Step<()> {
        let head = self.cursor.text(start, len, 2)?;
        let dunder = matches!(head.as_slice(), [b'_' | b'\\', b'_' | b'\\'] | [b'\\', _]);
        self.push(Value::Text(Text { start, len: clamp(len), form, dunder }))
    }

    pub(super) fn string(&mut self) -> Step<()> {
        let Line { start, mut len } = self.cursor.line()?;
        // Readers of Python 2 leave out what is no more than a space at the end, however much of it there is.
        while len > 0 {
            let part = len.min(4096);
            let tail = self.cursor.text(start.saturating_add(len - part), part, 4096)?;
            let blank = tail.iter().rev().take_while(|byte| **byte <= b' ' || **byte >= 0x80).count() as u64;
            len -= blank.min(len);
            if blank < part {
                break;
            }
        }
        let first = self.cursor.text(start, 1, 1)?;
        let last = self.cursor.text(start.saturating_add(len.saturating_sub(1)), 1, 1)?;
        if len < 2 || first != last || !matches!(first.first(), Some(b'"' | b'\'')) {
            return Err(self.malformed("a string without quotes"));
        }
        self.line_text(start.saturating_add(1), len - 2, Form::Quoted)
    }

    pub(super) fn long(&mut self, len: u64) -> Step<()> {
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
            Ok(len) if number::is_torch_magic(self.cursor.peek(len)?) => Value::TorchMagic,
            _ => Value::Number,
        };
        self.cursor.skip(len)?;
        self.push(value)
    }

    pub(super) fn put(&mut self, index: u64, judge: &mut Judge) -> Step<()> {
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

    pub(super) fn get(&mut self, index: u64) -> Step<()> {
        match self.memo.get(index) {
            Some(value) => self.push(value),
            None => Err(self.malformed(format!("reads memo index {index}, which was not written"))),
        }
    }

    pub(super) fn dict(&mut self) -> Value {
        self.add(Node::Dict {
            entries: Vec::new(),
            len: 0,
            dunder: None,
            nameless: false,
            fields: Fields::Open,
        })
    }

    /// `c` and `i`: names in the stream itself.
    pub(super) fn global(&mut self, judge: &mut Judge) -> Step<Value> {
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

    pub(super) fn stack_global(&mut self, module: Value, name: Value, judge: &mut Judge) -> Value {
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

    pub(super) fn extension(&mut self, code: i64, judge: &mut Judge) -> Step<()> {
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
}

/// The length of a string as values keep it.
pub(super) fn clamp(len: u64) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
