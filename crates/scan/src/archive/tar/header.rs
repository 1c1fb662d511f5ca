//! Header blocks of tar (POSIX ustar, GNU, the old one without a mark) and pax records.

use crate::trouble::Trouble;

pub(super) const BLOCK: usize = 512;

/// One header block.
pub(super) struct Header {
    block: Vec<u8>,
}

impl Header {
    /// The block as a header, if its checksum fits.
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        if block.len() != BLOCK {
            return None;
        }
        let stored = number(block.get(148..156)?)?;
        let mut block = block.to_vec();
        let field = block.get(148..156)?.to_vec();
        block.get_mut(148..156)?.fill(b' ');
        let unsigned: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        // Some old tars summed signed bytes.
        let signed: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
        block.get_mut(148..156)?.copy_from_slice(&field);
        (stored == unsigned || i64::try_from(stored) == Ok(signed)).then_some(Self { block })
    }

    fn field(&self, at: usize, len: usize) -> &[u8] {
        self.block.get(at..at + len).unwrap_or_default()
    }

    fn text(&self, at: usize, len: usize) -> String {
        let field = self.field(at, len);
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
        String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
    }

    /// The name, with its folder where that stands apart.
    pub(super) fn name(&self) -> String {
        let name = self.text(0, 100);
        // GNU has times where POSIX has the rest of a long name.
        match self.text(345, 155) {
            prefix if self.field(257, 6) == b"ustar\0" && !prefix.is_empty() => format!("{prefix}/{name}"),
            _ => name,
        }
    }

    pub(super) fn target(&self) -> String {
        self.text(157, 100)
    }

    pub(super) fn kind(&self) -> u8 {
        self.block.get(156).copied().unwrap_or_default()
    }

    pub(super) fn size(&self) -> Option<u64> {
        number(self.field(124, 12))
    }

    /// Whether the list of holes of a sparse file goes on in the next block.
    pub(super) fn holes_go_on(&self) -> bool {
        self.block.get(482).is_some_and(|byte| *byte != 0)
    }
}

/// A number as octal digits, or in 256s where the first bit is set. `None` if it is neither, or negative. Python's `tarfile` reads
/// digits with `int`, which takes more than other readers do: `0o` in front, single underscores, white space of every kind.
fn number(field: &[u8]) -> Option<u64> {
    match field.first()? {
        0x80 => field
            .get(1..)?
            .iter()
            .try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte))),
        0x81.. => None,
        _ => {
            let text = std::str::from_utf8(field).ok()?;
            let text = text.split('\0').next()?;
            let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\x1c'..='\x1f'));
            let text = text.strip_prefix('+').unwrap_or(text);
            if text.is_empty() {
                return Some(0);
            }
            let digits = ["0o", "0O"].iter().find_map(|prefix| text.strip_prefix(prefix));
            let digits = digits.map_or(text, |digits| digits.strip_prefix('_').unwrap_or(digits));
            if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
                return None;
            }
            u64::from_str_radix(&digits.replace('_', ""), 8).ok()
        }
    }
}

/// What pax records say of the next member.
#[derive(Default)]
pub(super) struct Pax {
    pub(super) path: Option<String>,
    pub(super) target: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) sparse: bool,
}

impl Pax {
    /// Reads records of the form `LENGTH KEY=VALUE` and a line feed.
    pub(super) fn parse(mut bytes: &[u8], offset: u64) -> Result<Self, Trouble> {
        let mut pax = Self::default();
        // Some writers pad with zeros.
        while bytes.first().is_some_and(|byte| *byte != 0) {
            let broken = || Trouble::malformed(offset, "a pax record is broken");
            let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or_else(broken)?;
            let digits = std::str::from_utf8(bytes.get(..space).unwrap_or_default()).map_err(|_| broken())?;
            let len = digits.parse::<usize>().map_err(|_| broken())?;
            let (record, rest) = bytes.split_at_checked(len).ok_or_else(broken)?;
            let record =
                record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(broken)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
            let (key, value) = record.split_at(equals);
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            match key {
                b"path" => pax.path = Some(value),
                b"linkpath" => pax.target = Some(value),
                b"size" => pax.size = Some(value.parse().map_err(|_| broken())?),
                key if key.starts_with(b"GNU.sparse.") => pax.sparse = true,
                _ => {}
            }
            bytes = rest;
        }
        Ok(pax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_in_256s() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   12 \0\0"), Some(0o12));
        assert_eq!(number(&[0x80, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(b"9\0"), None);
        // As `int(text, 8)` in Python.
        for python in [&b"0o12\0"[..], b"\t12\x0b", b"1_2", b"+12 ", b"0O_12"] {
            assert_eq!(number(python), Some(0o12), "{python:?}");
        }
        for none in [&b"_12"[..], b"12_", b"1__2", b"-12", b"0x12", b"1 2"] {
            assert_eq!(number(none), None, "{none:?}");
        }
        assert_eq!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn pax_records_are_read_by_their_length() {
        let pax = Pax::parse(b"13 path=a\nb=\n12 size=123\n", 0).unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some("a\nb="), Some(123)));
        for broken in
            [&b"99 path=a\n"[..], b"x path=a\n", b"10 path=a", b"8 path\n", b"0 path=a\n", b"11 size=1x\n"]
        {
            assert!(Pax::parse(broken, 0).is_err(), "{broken:?}");
        }
    }
}
