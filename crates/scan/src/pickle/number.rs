//! Numbers that stand in the stream as lines of text: `INT`, `LONG`, `FLOAT`, `PUT` and `GET`.
//!
//! CPython has two readers. `_pickle.c` hands a line to functions of C, for which it ends at its first null byte, and
//! takes octal numbers for `INT`; `pickle.py` refuses both, and takes white space and underscores in a `FLOAT`. Where one of
//! them goes on, the other goes on with the same number or raises an error, so what either takes is a number here. What both
//! refuse is none, so that prose is no pickle.

use super::machine::{Machine, Step};
use super::value::Value;
use super::{UNUSUAL, judge::Judge, opcode};
use crate::trouble::Trouble;

/// The number that PyTorch's files before version 1.6 begin with.
const TORCH_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// The longest number that is read. Leading zeros and underscores make one as long as one likes.
const LONGEST: usize = 64 << 10;

/// An integer; `None` if it has more bits than are told apart.
type Integer = Option<i128>;

impl Machine {
    /// `INT`, `LONG`, `FLOAT`.
    pub(super) fn number(&mut self, opcode: u8, judge: &mut Judge) -> Step<()> {
        let (text, cut) = self.digits(opcode, judge)?;
        let value = match opcode {
            opcode::FLOAT => is_float(&text).then_some(Value::Number),
            opcode::INT if text == b"00" => Some(Value::Bool(false)),
            opcode::INT if text == b"01" => Some(Value::Bool(true)),
            // `strtol` finds no digit, says so to nobody, and is at the end of what it was given.
            opcode::INT if text.is_empty() && cut => Some(Value::Int(0)),
            opcode::INT => integer(&text, Base::Any).or_else(|| octal(&text).map(Some)).map(value_of),
            _ => integer(&text, Base::Any).map(value_of),
        };
        let value = value.ok_or_else(|| self.malformed("a number that is none"))?;
        self.push(value)
    }

    /// What `PUT` and `GET` name.
    pub(super) fn index(&mut self, opcode: u8, judge: &mut Judge) -> Step<u64> {
        let (text, _) = self.digits(opcode, judge)?;
        match integer(&text, Base::Ten) {
            Some(Some(index)) if index < 0 => Err(self.malformed("a memo index below zero")),
            Some(index) => match index.and_then(|index| u64::try_from(index).ok()) {
                Some(index) => Ok(index),
                // An error in `_pickle.c`, an index as any other in `pickle.py`.
                None => Err(Trouble::Limit("a memo index of more than 64 bits".to_owned()).into()),
            },
            None => Err(self.malformed("a memo index that is no number")),
        }
    }

    /// The line that is next, up to its first null byte; whether there was one.
    fn digits(&mut self, opcode: u8, judge: &mut Judge) -> Step<(Vec<u8>, bool)> {
        let line = self.cursor.line()?;
        let mut text = self.cursor.text(line.start, line.len, LONGEST)?;
        let whole = text.len() as u64 == line.len;
        if opcode == opcode::LONG && whole && text.last() == Some(&b'L') {
            text.pop();
        }
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
            let message = "a number with a null byte in it, where some loaders stop reading it".to_owned();
            judge.report(UNUSUAL, 1, self.at, message);
            return Ok((text, true));
        }
        if !whole {
            let could_be = |byte: &u8| {
                byte.is_ascii_hexdigit()
                    || is_space(*byte)
                    || matches!(byte, b'_' | b'x' | b'X' | b'o' | b'O' | b'+' | b'-' | b'.')
            };
            if !text.iter().all(could_be) {
                return Err(self.malformed("a number that is none"));
            }
            return Err(Trouble::Limit(format!("a number of {} characters", line.len)).into());
        }
        Ok((text, false))
    }
}

fn value_of(integer: Integer) -> Value {
    match integer {
        Some(TORCH_MAGIC) => Value::TorchMagic,
        Some(int) => i64::try_from(int).map_or(Value::Number, Value::Int),
        None => Value::Number,
    }
}

/// Whether the bytes of a `LONG1` or `LONG4` are the number that PyTorch looks for. Zeros behind it change nothing.
pub(super) fn is_torch_magic(bytes: &[u8]) -> bool {
    let magic = TORCH_MAGIC.to_le_bytes();
    let (magic, _) = magic.split_at(10);
    bytes.strip_prefix(magic).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// White space as C and Python's bytes have it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

enum Base {
    Ten,
    /// As literals of Python have it.
    Any,
}

/// As `int(text)` or `int(text, 0)`; `None` if that is an error.
fn integer(text: &[u8], base: Base) -> Option<Integer> {
    let (below, digits) = signed(trimmed(text));
    let (radix, digits) = match (base, digits) {
        (Base::Any, [b'0', b'x' | b'X', rest @ ..]) => (16, rest.strip_prefix(b"_").unwrap_or(rest)),
        (Base::Any, [b'0', b'o' | b'O', rest @ ..]) => (8, rest.strip_prefix(b"_").unwrap_or(rest)),
        (Base::Any, [b'0', b'b' | b'B', rest @ ..]) => (2, rest.strip_prefix(b"_").unwrap_or(rest)),
        // The octal numbers of Python 2: only zero is left of them.
        (Base::Any, [b'0', ..]) => {
            let zero = positive(digits, 10)? == Some(0);
            return zero.then_some(Some(0));
        }
        _ => (10, digits),
    };
    Some(positive(digits, radix)?.map(|value| if below { -value } else { value }))
}

/// As `strtol(text, &end, 0)` for what begins with a zero, if it comes to the end.
fn octal(text: &[u8]) -> Option<i128> {
    let start = text.iter().position(|byte| !is_space(*byte))?;
    let (below, digits) = signed(text.get(start..)?);
    // An underscore is none for C.
    if digits.first() != Some(&b'0') || digits.contains(&b'_') {
        return None;
    }
    let value = positive(digits, 8)??;
    i64::try_from(value).ok().map(|value| i128::from(if below { -value } else { value }))
}

/// Digits, with single underscores between them.
fn positive(digits: &[u8], radix: u32) -> Option<Integer> {
    if digits.is_empty() {
        return None;
    }
    let mut value = Some(0_i128);
    let mut after_digit = false;
    for byte in digits {
        if *byte == b'_' && after_digit {
            after_digit = false;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix)?;
        value = value.and_then(|value| value.checked_mul(i128::from(radix))?.checked_add(i128::from(digit)));
        after_digit = true;
    }
    after_digit.then_some(value)
}

/// Whether `float(text)` or `PyOS_string_to_double` takes it.
fn is_float(text: &[u8]) -> bool {
    let (_, rest) = signed(trimmed(text));
    if ["inf", "infinity", "nan"].iter().any(|word| rest.eq_ignore_ascii_case(word.as_bytes())) {
        return true;
    }
    let lone = |at: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| rest.get(at)).is_some_and(u8::is_ascii_digit);
        !(digit(at.checked_sub(1)) && digit(at.checked_add(1)))
    };
    if rest.iter().enumerate().any(|(at, byte)| *byte == b'_' && lone(at)) {
        return false;
    }
    let digits = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'_');
    let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    let (whole, part) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (mantissa.get(..at).unwrap_or_default(), mantissa.get(at + 1..).unwrap_or_default()),
        None => (mantissa, &[][..]),
    };
    let power = exponent.map(|exponent| signed(exponent).1);
    whole.len() + part.len() > 0
        && digits(whole)
        && digits(part)
        && power.is_none_or(|power| !power.is_empty() && digits(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_python() {
        for (text, expect) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            (" +7\t", Some(7)),
            ("\x0b7", Some(7)),
            ("1_0", Some(10)),
            ("0x_f", Some(15)),
            ("-0xFf", Some(-255)),
            ("0b11", Some(3)),
            ("0o17", Some(15)),
            ("0_0", Some(0)),
            ("119547037146038801333356", Some(TORCH_MAGIC)),
        ] {
            assert_eq!(integer(text.as_bytes(), Base::Any), Some(expect), "{text}");
        }
        for text in [
            "", " ", "-", "--1", "+-1", "1 2", "_1", "1_", "1__0", "0x", "0x_", "0xg", "010", "1L", "\u{a0}1",
        ] {
            assert_eq!(integer(text.as_bytes(), Base::Any), None, "{text}");
        }
        assert_eq!(integer(b"010", Base::Ten), Some(Some(10)));
        assert_eq!(integer(b"0x1", Base::Ten), None);
        assert_eq!(integer("9".repeat(100).as_bytes(), Base::Ten), Some(None));
        assert_eq!(octal(b" -010"), Some(-8));
        assert_eq!((octal(b"08"), octal(b"0_7"), octal(b"07 "), octal(b"7")), (None, None, None, None));
    }

    #[test]
    fn floats_are_those_of_either_reader() {
        for text in ["1", " 1.5 ", ".5", "1.", "1e5", "-1E-5", "+inf", "Infinity", "nan", "1_0.2_5", "1e999"]
        {
            assert!(is_float(text.as_bytes()), "{text}");
        }
        for text in ["", ".", "e5", "1e", "1e+", "0x1p3", "_1", "1_", "1._5", "1__0", "in f", "ord", "--1"] {
            assert!(!is_float(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn the_magic_number_is_known_with_zeros_behind_it() {
        let mut bytes = TORCH_MAGIC.to_le_bytes().to_vec();
        assert!(is_torch_magic(&bytes) && is_torch_magic(&bytes[..10]) && !is_torch_magic(&bytes[..9]));
        bytes.push(1);
        assert!(!is_torch_magic(&bytes));
    }
}
