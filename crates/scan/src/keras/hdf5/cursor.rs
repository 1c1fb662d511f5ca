//! Numbers and pieces from a block that has been read.

use crate::trouble::Trouble;

/// The address that stands for none.
pub(super) const UNDEFINED: u64 = u64::MAX;

/// Reads a block from its beginning to its end. Everything in HDF5 is little-endian.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// Where the next byte lies in the file.
    at: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: u64) -> Self {
        Self { rest: bytes, at }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Trouble> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Trouble::malformed(self.at, "an HDF5 block ends early"));
        };
        self.rest = rest;
        self.at = self.at.saturating_add(count as u64);
        Ok(taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Trouble> {
        self.take(count).map(|_| ())
    }

    /// A number of up to eight bytes.
    pub(super) fn uint(&mut self, width: usize) -> Result<u64, Trouble> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// An address, or a length: all bits set stand for none.
    pub(super) fn address(&mut self, width: usize) -> Result<u64, Trouble> {
        let value = self.uint(width)?;
        let none = u64::MAX >> (64 - 8 * width.clamp(1, 8));
        Ok(if value == none { UNDEFINED } else { value })
    }

    pub(super) fn u8(&mut self) -> Result<u8, Trouble> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    pub(super) fn u16(&mut self) -> Result<u16, Trouble> {
        Ok(u16::try_from(self.uint(2)?).unwrap_or_default())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Trouble> {
        Ok(u32::try_from(self.uint(4)?).unwrap_or_default())
    }

    /// A number that must fit into memory to make sense.
    pub(super) fn size(&mut self, width: usize) -> Result<usize, Trouble> {
        let at = self.at;
        usize::try_from(self.uint(width)?).map_err(|_| Trouble::malformed(at, "a length beyond all bounds"))
    }

    pub(super) fn expect(&mut self, mark: &[u8]) -> Result<(), Trouble> {
        let at = self.at;
        if self.take(mark.len())? == mark {
            return Ok(());
        }
        Err(Trouble::malformed(
            at,
            format!("an HDF5 block without its mark {}", String::from_utf8_lossy(mark)),
        ))
    }

    /// A text up to its zero byte, which is passed over too.
    pub(super) fn terminated(&mut self) -> Result<String, Trouble> {
        let end = self.rest.iter().position(|b| *b == 0).unwrap_or(self.rest.len());
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.skip(1)?;
        Ok(text)
    }

    /// A text that ends at its first zero byte, or with the block.
    pub(super) fn text(&self) -> String {
        let end = self.rest.iter().position(|b| *b == 0).unwrap_or(self.rest.len());
        String::from_utf8_lossy(self.rest.get(..end).unwrap_or_default()).into_owned()
    }
}

/// How many bytes it takes to write `limit`.
pub(super) fn width_of(limit: u64) -> usize {
    (u64::BITS - limit.max(1).leading_zeros()).div_ceil(8) as usize
}
