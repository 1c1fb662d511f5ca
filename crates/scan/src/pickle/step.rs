//! What every opcode does.

use super::judge::Judge;
use super::literal::clamp;
use super::machine::{Machine, Step};
use super::value::{Form, Items, Node, Text, Value};
use super::{BUFFER, opcode};

impl Machine {
    #[inline]
    pub(super) fn step(&mut self, opcode: u8, judge: &mut Judge) -> Step<()> {
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
            opcode::EMPTY_TUPLE => self.push_tuple(0, judge),
            opcode::TUPLE1 => self.push_tuple(1, judge),
            opcode::TUPLE2 => self.push_tuple(2, judge),
            opcode::TUPLE3 => self.push_tuple(3, judge),
            opcode::APPEND => {
                let value = self.pop()?;
                let target = self.top()?;
                self.append(target, &[value], 0, judge)
            }
            opcode::APPENDS => {
                let (mark, values) = self.items()?;
                let target = self.top()?;
                let done = self.append(target, &values, mark.elided, judge);
                self.done_with(values);
                done
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
                self.done_with(values);
                Ok(())
            }
            opcode::EMPTY_LIST => {
                let list = self.add(Node::List(Items::default()));
                self.push(list)
            }
            opcode::EMPTY_DICT => {
                let dict = self.dict();
                self.push(dict)
            }
            opcode::TUPLE => {
                let (mark, values) = self.items()?;
                judge.keep(&values, self.at);
                let tuple = self.tuple(values.iter().copied(), mark.elided);
                self.done_with(values);
                self.push(tuple)
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
            opcode::INT | opcode::LONG | opcode::FLOAT => self.number(opcode, judge),
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
            opcode::LIST => {
                let (mark, values) = self.items()?;
                let list = self.add(Node::List(Items::default()));
                self.push(list)?;
                self.append(list, &values, mark.elided, judge)
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
                let index = self.index(opcode, judge)?;
                self.get(index)
            }
            opcode::PUT => {
                let index = self.index(opcode, judge)?;
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
                // `pickle.py` imports before it looks for the mark.
                let at = self.at;
                let class = self.global(judge)?;
                if self.marks.is_empty() {
                    return Err(self.malformed("ends a row of items that was not begun"));
                }
                let (mark, values) = self.items()?;
                let none = values.is_empty();
                let args = self.tuple(values, mark.elided);
                self.at = at;
                let made =
                    if none { self.new_object(class, args, judge)? } else { self.call(class, args, judge)? };
                self.push(made)
            }
            opcode::OBJ => {
                let (mark, values) = self.items()?;
                let Some((class, rest)) = values.split_first() else { return Err(self.underflow()) };
                let args = self.tuple(rest.iter().copied(), mark.elided);
                let made = if rest.is_empty() {
                    self.new_object(*class, args, judge)?
                } else {
                    self.call(*class, args, judge)?
                };
                self.push(made)
            }
            opcode::REDUCE => {
                let args = self.pop()?;
                let callee = self.pop()?;
                let made = self.call(callee, args, judge)?;
                self.push(made)
            }
            opcode::NEWOBJ => {
                let args = self.pop()?;
                let class = self.pop()?;
                let made = self.new_object(class, args, judge)?;
                self.push(made)
            }
            opcode::NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                let made = self.new_object_ex(class, args, kwargs, judge)?;
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
}
