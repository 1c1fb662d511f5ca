//! Stretches of a pickle that are loaded as files of their own: their bytes as the loader gets them.

use std::io::{BufReader, Read};

use super::UNDECIDED;
use super::value::Form;
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// How the bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Bytes,
    /// Between quotes, with the backslashes of Python's literals.
    Quoted,
    /// A text whose characters are the bytes, in UTF-8.
    Utf8,
    /// The same as `UNICODE` has it.
    Escaped,
}

impl Coding {
    /// Of what stands there as bytes.
    pub(super) fn of_bytes(form: Form) -> Option<Self> {
        match form {
            Form::Bytes | Form::ByteArray | Form::Old => Some(Self::Bytes),
            Form::Quoted => Some(Self::Quoted),
            Form::Utf8 | Form::Escaped => None,
        }
    }

    /// Of a text that Latin-1 makes bytes of.
    pub(super) fn of_text(form: Form) -> Option<Self> {
        match form {
            Form::Utf8 => Some(Self::Utf8),
            Form::Escaped => Some(Self::Escaped),
            // Python 2 had no bytes that it would have written so.
            Form::Bytes | Form::ByteArray | Form::Old | Form::Quoted => None,
        }
    }
}

/// Examines a stretch by its own content. What nothing here knows as something that loads is undecided: the loader takes it for
/// a file all the same.
pub(super) fn examine(part: &View, start: u64, coding: Coding, scan: &mut Examination<'_>) {
    let name = format!("bytes at {start}");
    let decoded = match coding {
        Coding::Bytes => Ok(part.clone()),
        _ => decode(part, coding, scan),
    };
    match decoded {
        Ok(bytes) => {
            if !scan.descend_loaded(&name, &bytes) {
                let what = format!("{} bytes are loaded as a file, but as what is not clear", bytes.len());
                scan.within(&name, |scan| scan.report(UNDECIDED, Some(0), what));
            }
        }
        Err(trouble) => scan.within(&name, |scan| scan.settle(Err(trouble))),
    }
}

/// How many bytes are handed on at once.
const CHUNK: usize = 64 << 10;

/// The bytes that a text stands for.
fn decode(text: &View, coding: Coding, scan: &mut Examination<'_>) -> Result<View, Trouble> {
    let mut from = Bytes { input: BufReader::with_capacity(CHUNK, text.reader()), ahead: None };
    let mut spill = Spill::default();
    let mut out = Vec::with_capacity(CHUNK);
    while let Some(byte) = from.next()? {
        match (coding, byte) {
            (Coding::Utf8, 0..0x80) | (Coding::Bytes, _) => out.push(byte),
            // U+0080 to U+00FF in UTF-8.
            (Coding::Utf8, 0xc2 | 0xc3) => {
                let low = from.next()?.ok_or_else(|| Trouble::malformed(0, "a character is cut off"))?;
                out.push((byte & 3) << 6 | (low & 0x3f));
            }
            (Coding::Utf8, _) => return Err(no_byte()),
            (Coding::Quoted, b'\\') => quoted(&mut from, &mut out)?,
            (Coding::Escaped, b'\\') => escaped(&mut from, &mut out)?,
            (Coding::Quoted | Coding::Escaped, _) => out.push(byte),
        }
        if out.len() >= CHUNK {
            spill.write(&out, scan)?;
            out.clear();
        }
    }
    spill.write(&out, scan)?;
    spill.finish()
}

fn no_byte() -> Trouble {
    Trouble::malformed(0, "a character that is no byte")
}

/// What follows a backslash in a literal of bytes.
fn quoted(from: &mut Bytes<impl Read>, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let kind = from.next()?.ok_or_else(|| Trouble::malformed(0, "a backslash at the end"))?;
    let byte = match kind {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        b'\\' | b'\'' | b'"' => kind,
        b'\n' => return Ok(()),
        b'x' => u8::try_from(from.number(16, 2)?).map_err(|_| no_byte())?,
        b'0'..=b'7' => {
            let mut code = u32::from(kind - b'0');
            for _ in 0..2 {
                let Some(digit @ b'0'..=b'7') = from.peek()? else { break };
                code = code * 8 + u32::from(digit - b'0');
                from.next()?;
            }
            // As in C, what is above a byte is lost.
            (code & 0xff) as u8
        }
        _ => {
            out.push(b'\\');
            kind
        }
    };
    out.push(byte);
    Ok(())
}

/// What follows a backslash in a `UNICODE`.
fn escaped(from: &mut Bytes<impl Read>, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let digits = match from.next()? {
        Some(b'u') => 4,
        Some(b'U') => 8,
        other => {
            out.push(b'\\');
            out.extend(other);
            return Ok(());
        }
    };
    out.push(u8::try_from(from.number(16, digits)?).map_err(|_| no_byte())?);
    Ok(())
}

struct Bytes<R> {
    input: BufReader<R>,
    ahead: Option<u8>,
}

impl<R: Read> Bytes<R> {
    fn next(&mut self) -> Result<Option<u8>, Trouble> {
        if let Some(byte) = self.ahead.take() {
            return Ok(Some(byte));
        }
        let mut byte = [0];
        loop {
            match self.input.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(byte.first().copied()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Trouble> {
        self.ahead = self.next()?;
        Ok(self.ahead)
    }

    /// Exactly so many digits, which are less than 32 bits.
    fn number(&mut self, radix: u32, digits: usize) -> Result<u32, Trouble> {
        let mut value = 0_u32;
        for _ in 0..digits {
            let digit = self.next()?.and_then(|byte| char::from(byte).to_digit(radix));
            let digit =
                digit.ok_or_else(|| Trouble::malformed(0, "digits are missing behind a backslash"))?;
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn decoded(text: &[u8], coding: Coding) -> Option<Vec<u8>> {
        let limits = Limits::default();
        let mut scan = Examination::new(&limits, "x");
        let view = decode(&View::new(text.to_vec()), coding, &mut scan).ok()?;
        view.bytes(0, 1000).ok()
    }

    #[test]
    fn bytes_are_those_that_python_makes_of_a_text() {
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(decoded(br"\x80\2c\n\q\'\101\1011", Coding::Quoted), some(b"\x80\x02c\n\\q'AA1"));
        assert_eq!(decoded(br"\x8", Coding::Quoted), None);
        assert_eq!(decoded("\u{80}a\u{ff}".as_bytes(), Coding::Utf8), some(b"\x80a\xff"));
        assert_eq!(decoded("\u{100}".as_bytes(), Coding::Utf8), None);
        assert_eq!(decoded(b"\\u0080\\n\xff\\U00000001", Coding::Escaped), some(b"\x80\\n\xff\x01"));
        assert_eq!(decoded(br"\u0100", Coding::Escaped), None);
    }
}
