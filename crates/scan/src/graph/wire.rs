//! A reader of the protobuf wire format over a [`View`]. It reads tags and lengths and skips what nobody asks for, so that
//! a tensor of gigabytes costs one seek.
//!
//! *Invariant:* memory is one window; work is linear in the bytes that are read; nothing is read outside the span.

use crate::source::View;
use crate::trouble::Trouble;

/// Bytes that are read at a time.
const WINDOW: usize = 1 << 16;

/// The longest name. Honest ones have a few hundred bytes.
const NAME: usize = 2048;

/// How deep groups may lie in one another, and messages: protobuf's own bound.
pub(crate) const DEPTH: usize = 100;

/// A stretch of the view: a message, a string or bytes. Reading fields from it consumes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    pub(crate) fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Varint(u64),
    /// Four or eight bytes, which no examiner needs.
    Fixed,
    Bytes(Span),
    /// A group, skipped. No format examined here has any.
    Group,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) value: Value,
}

/// The reader.
pub(crate) struct Wire {
    view: View,
    window: Vec<u8>,
    /// Where the window lies in the view.
    start: u64,
}

impl Wire {
    pub(crate) fn new(view: &View) -> Self {
        Self { view: view.clone(), window: Vec::new(), start: 0 }
    }

    /// The whole view as a message.
    pub(crate) fn all(&self) -> Span {
        Span { start: 0, end: self.view.len() }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The next field of the message that `rest` is what is left of; `None` at its end.
    ///
    /// # Errors
    /// [`Trouble::Malformed`] if the bytes are no field, or the field reaches beyond the message.
    pub(crate) fn next(&mut self, rest: &mut Span) -> Result<Option<Field>, Trouble> {
        if rest.start >= rest.end {
            return Ok(None);
        }
        let offset = rest.start;
        let (number, kind) = self.tag(rest)?;
        let value = match kind {
            0 => Value::Varint(self.varint(rest)?),
            1 => self.skip(rest, 8, offset)?,
            2 => Value::Bytes(self.delimited(rest, offset)?),
            3 => {
                self.group(rest, number, offset)?;
                Value::Group
            }
            5 => self.skip(rest, 4, offset)?,
            4 => return Err(Trouble::malformed(offset, "a group ends that has not begun")),
            _ => return Err(Trouble::malformed(offset, format!("no field has the wire type {kind}"))),
        };
        Ok(Some(Field { number, offset, value }))
    }

    /// The varints of a packed field, or the rest of one: the next of them.
    pub(crate) fn varint(&mut self, rest: &mut Span) -> Result<u64, Trouble> {
        let offset = rest.start;
        let mut value = 0_u64;
        for index in 0..10_u32 {
            let byte = self.byte(rest)?;
            // The tenth byte has room for one bit; what protobuf does with more differs by language.
            if index == 9 && byte > 1 {
                return Err(Trouble::malformed(offset, "a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (index * 7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Trouble::malformed(offset, "a number of more than 64 bits"))
    }

    /// Text, as far as its first `max` bytes, with what is not UTF-8 replaced.
    pub(crate) fn text(&mut self, span: Span, max: usize) -> Result<String, Trouble> {
        Ok(String::from_utf8_lossy(&self.bytes(span, max)?).into_owned())
    }

    /// A text by which others refer to something. It is read whole: two that begin alike are two.
    pub(crate) fn name(&mut self, span: Span) -> Result<String, Trouble> {
        if span.len() > NAME as u64 {
            return Err(Trouble::Limit(format!("a name of {} bytes; at most {NAME} are held", span.len())));
        }
        self.text(span, NAME)
    }

    /// The first bytes, at most `max`.
    pub(crate) fn bytes(&mut self, span: Span, max: usize) -> Result<Vec<u8>, Trouble> {
        let len = usize::try_from(span.len()).unwrap_or(usize::MAX).min(max);
        if let Some(bytes) = self.held(span.start, len) {
            return Ok(bytes.to_vec());
        }
        if len < WINDOW / 4 {
            self.fill(span.start)?;
            if let Some(bytes) = self.held(span.start, len) {
                return Ok(bytes.to_vec());
            }
        }
        self.view.exactly(span.start, len)
    }

    fn held(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.window.get(from..from.checked_add(len)?)
    }

    fn fill(&mut self, offset: u64) -> Result<(), Trouble> {
        self.window = self.view.bytes(offset, WINDOW)?;
        self.start = offset;
        Ok(())
    }

    fn byte(&mut self, rest: &mut Span) -> Result<u8, Trouble> {
        if rest.start >= rest.end {
            return Err(Trouble::malformed(rest.start, "ends within a field"));
        }
        if self.held(rest.start, 1).is_none() {
            self.fill(rest.start)?;
        }
        let byte = self.held(rest.start, 1).and_then(<[u8]>::first).copied().ok_or(Trouble::Changed)?;
        rest.start += 1;
        Ok(byte)
    }

    fn tag(&mut self, rest: &mut Span) -> Result<(u32, u32), Trouble> {
        let offset = rest.start;
        let tag = self.varint(rest)?;
        let tag =
            u32::try_from(tag).map_err(|_| Trouble::malformed(offset, "a field number beyond 32 bits"))?;
        if tag >> 3 == 0 {
            return Err(Trouble::malformed(offset, "a field number of 0"));
        }
        Ok((tag >> 3, tag & 7))
    }

    fn delimited(&mut self, rest: &mut Span, offset: u64) -> Result<Span, Trouble> {
        let len = self.varint(rest)?;
        let start = rest.start;
        match start.checked_add(len).filter(|end| *end <= rest.end) {
            Some(end) => {
                rest.start = end;
                Ok(Span { start, end })
            }
            None => {
                let beyond = format!("a field of {len} bytes where {} are left", rest.len());
                Err(Trouble::malformed(offset, beyond))
            }
        }
    }

    fn skip(&mut self, rest: &mut Span, len: u64, offset: u64) -> Result<Value, Trouble> {
        match rest.start.checked_add(len).filter(|end| *end <= rest.end) {
            Some(end) => {
                rest.start = end;
                Ok(Value::Fixed)
            }
            None => Err(Trouble::malformed(offset, "ends within a field")),
        }
    }

    fn group(&mut self, rest: &mut Span, number: u32, offset: u64) -> Result<(), Trouble> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            let (number, kind) = self.tag(rest)?;
            match kind {
                0 => {
                    self.varint(rest)?;
                }
                1 => {
                    self.skip(rest, 8, offset)?;
                }
                2 => {
                    self.delimited(rest, offset)?;
                }
                3 if open.len() < DEPTH => open.push(number),
                3 => return Err(Trouble::Limit(format!("groups lie more than {DEPTH} deep in one another"))),
                4 if number == innermost => {
                    open.pop();
                }
                5 => {
                    self.skip(rest, 4, offset)?;
                }
                _ => return Err(Trouble::malformed(offset, "a group that does not end as it began")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::testing::Proto;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Value)>, Trouble> {
        let mut wire = Wire::new(&View::new(bytes.to_vec()));
        let mut rest = wire.all();
        let mut fields = Vec::new();
        while let Some(field) = wire.next(&mut rest)? {
            fields.push((field.number, field.value));
        }
        Ok(fields)
    }

    #[test]
    fn every_wire_type_is_read_or_skipped() {
        let message = Proto::new().number(1, u64::MAX).text(2, "abc").number(3, 0).end();
        assert_eq!(
            fields(&message).unwrap(),
            [
                (1, Value::Varint(u64::MAX)),
                (2, Value::Bytes(Span { start: 13, end: 16 })),
                (3, Value::Varint(0))
            ]
        );
        // Field 1 of 64 bits, field 2 of 32 bits, the group 3 with a nested group 4 and a number in it.
        let other = [9, 1, 2, 3, 4, 5, 6, 7, 8, 21, 1, 2, 3, 4, 27, 35, 8, 1, 36, 28];
        assert_eq!(fields(&other).unwrap(), [(1, Value::Fixed), (2, Value::Fixed), (3, Value::Group)]);
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for bytes in [
            &[0x0a, 5, 1, 2][..],
            &[0x00, 1],
            &[0x0c],
            &[0x0b, 0x14],
            &[0x0b, 8, 1],
            &[0x0e],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
            &[0x08],
            &[0x09, 1, 2],
        ] {
            assert!(matches!(fields(bytes), Err(Trouble::Malformed { .. })), "{bytes:x?}");
        }
        assert!(matches!(fields(&[0x0b; 500]), Err(Trouble::Limit(_))));
    }

    #[test]
    fn large_fields_are_skipped_without_being_read() {
        struct Zeros(u64);
        impl crate::source::Source for Zeros {
            fn len(&self) -> u64 {
                self.0
            }
            fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
                assert!(offset < 1000 || offset > self.0 - 1000, "reads the middle");
                buffer.fill(0);
                let head = [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
                if offset == 0 {
                    buffer[..7].copy_from_slice(&head);
                } else {
                    buffer[..2].copy_from_slice(&[0x10, 7]);
                }
                Ok(buffer.len())
            }
        }
        let len = 1_u64 << 39;
        let mut wire = Wire::new(&View::new(Zeros(7 + len + 2)));
        let mut rest = wire.all();
        assert_eq!(
            wire.next(&mut rest).unwrap().unwrap().value,
            Value::Bytes(Span { start: 7, end: 7 + len })
        );
        assert_eq!(wire.next(&mut rest).unwrap().unwrap().value, Value::Varint(7));
        assert!(wire.next(&mut rest).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(fields) = fields(&bytes) {
                prop_assert!(fields.len() <= bytes.len() / 2);
            }
        }
    }
}
