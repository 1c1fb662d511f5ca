//! An assembler of pickles for tests: one method for each way of writing something. What it writes is never loaded.

use super::opcode as op;

/// A pickle in the making.
#[derive(Clone, Default)]
pub(crate) struct Asm {
    bytes: Vec<u8>,
}

impl Asm {
    /// Without a `PROTO`, as protocols 0 and 1 are.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Beginning with `PROTO`.
    pub(crate) fn proto(version: u8) -> Self {
        Self::new().raw(&[op::PROTO, version])
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// One opcode that nothing follows.
    pub(crate) fn op(self, opcode: u8) -> Self {
        self.raw(&[opcode])
    }

    /// `BINUNICODE`.
    pub(crate) fn text(self, text: &str) -> Self {
        self.op(op::BINUNICODE).raw(&u32::try_from(text.len()).unwrap().to_le_bytes()).raw(text.as_bytes())
    }

    /// `SHORT_BINUNICODE`.
    pub(crate) fn short(self, text: &str) -> Self {
        self.op(op::SHORT_BINUNICODE).raw(&[u8::try_from(text.len()).unwrap()]).raw(text.as_bytes())
    }

    /// `BINBYTES`.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.op(op::BINBYTES).raw(&u32::try_from(bytes.len()).unwrap().to_le_bytes()).raw(bytes)
    }

    /// `BININT`.
    pub(crate) fn int(self, int: i32) -> Self {
        self.op(op::BININT).raw(&int.to_le_bytes())
    }

    /// `GLOBAL`.
    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.op(op::GLOBAL).raw(format!("{module}\n{name}\n").as_bytes())
    }

    /// `STACK_GLOBAL` with its strings.
    pub(crate) fn stack_global(self, module: &str, name: &str) -> Self {
        self.short(module).short(name).op(op::STACK_GLOBAL)
    }

    /// An opcode that a line follows.
    pub(crate) fn line(self, opcode: u8, line: &str) -> Self {
        self.op(opcode).raw(line.as_bytes()).raw(b"\n")
    }

    /// `REDUCE` with one string as argument.
    pub(crate) fn call1(self, argument: &str) -> Self {
        self.text(argument).op(op::TUPLE1).op(op::REDUCE)
    }

    /// `EMPTY_TUPLE`, `NEWOBJ`.
    pub(crate) fn new_object(self) -> Self {
        self.op(op::EMPTY_TUPLE).op(op::NEWOBJ)
    }

    /// `FRAME`.
    pub(crate) fn frame(self, len: u64) -> Self {
        self.op(op::FRAME).raw(&len.to_le_bytes())
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.op(op::STOP).bytes
    }

    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}
