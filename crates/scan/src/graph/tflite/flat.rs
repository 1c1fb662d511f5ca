//! A reader of flatbuffers over a [`View`], by offsets that are checked one by one.
//!
//! *Invariant:* memory is the pages; the number of elements that are visited is bounded by the file's length, so that
//! tables that share their parts cannot multiply the work.

use crate::source::View;
use crate::trouble::Trouble;

const PAGE: u64 = 4096;
const PAGES: usize = 256;

/// How much of a text is read.
const TEXT: u64 = 1024;

/// The reader.
pub(crate) struct Flat {
    view: View,
    /// Where a page is held, if it is, follows from its number.
    pages: Vec<Option<(u64, Vec<u8>)>>,
    /// How many more elements may be visited.
    left: u64,
}

/// A table: where it is, and where its fields are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) at: u64,
    fields: u64,
    /// The bytes of the list of fields.
    len: u64,
}

/// Elements that follow one another; all of them lie in the file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Vector {
    pub(crate) start: u64,
    pub(crate) count: u64,
}

impl Flat {
    pub(crate) fn new(view: &View) -> Self {
        Self { view: view.clone(), pages: vec![None; PAGES], left: view.len().saturating_add(1000) }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Takes from the number of elements that may be visited.
    pub(crate) fn spend(&mut self, count: u64) -> Result<(), Trouble> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| Trouble::Limit("parts of the file are used over and over".to_owned()))?;
        Ok(())
    }

    pub(crate) fn root(&mut self) -> Result<Table, Trouble> {
        let at = u64::from(self.u32(0)?);
        self.table(at)
    }

    /// The tables of a vector of them; none if the field is not there.
    pub(crate) fn tables(&mut self, table: &Table, field: u16) -> Result<Vector, Trouble> {
        let vector = self.vector(table, field, 4)?.unwrap_or_default();
        self.spend(vector.count)?;
        Ok(vector)
    }

    /// One table of a vector.
    pub(crate) fn element(&mut self, vector: &Vector, index: u64) -> Result<Table, Trouble> {
        let at = self.follow(vector.start.saturating_add(index.saturating_mul(4)))?;
        self.table(at)
    }

    /// A vector of elements of `size` bytes.
    pub(crate) fn vector(&mut self, table: &Table, field: u16, size: u64) -> Result<Option<Vector>, Trouble> {
        let Some(at) = self.field(table, field)? else { return Ok(None) };
        let at = self.follow(at)?;
        let count = u64::from(self.u32(at)?);
        let start = at.saturating_add(4);
        // At most 2^32 elements of 8 bytes: no overflow.
        if start.saturating_add(count * size) > self.view.len() {
            return Err(Trouble::malformed(at, format!("{count} elements reach beyond the end of the file")));
        }
        Ok(Some(Vector { start, count }))
    }

    /// A text, as far as its first kibibyte.
    pub(crate) fn text(&mut self, table: &Table, field: u16) -> Result<Option<String>, Trouble> {
        let Some(text) = self.vector(table, field, 1)? else { return Ok(None) };
        let bytes = self.bytes(text.start, text.count.min(TEXT))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(crate) fn byte(&mut self, table: &Table, field: u16) -> Result<u8, Trouble> {
        match self.field(table, field)? {
            Some(at) => Ok(u8::from_le_bytes(self.array(at)?)),
            None => Ok(0),
        }
    }

    pub(crate) fn word(&mut self, table: &Table, field: u16) -> Result<u32, Trouble> {
        match self.field(table, field)? {
            Some(at) => self.u32(at),
            None => Ok(0),
        }
    }

    pub(crate) fn long(&mut self, table: &Table, field: u16) -> Result<u64, Trouble> {
        match self.field(table, field)? {
            Some(at) => Ok(u64::from_le_bytes(self.array(at)?)),
            None => Ok(0),
        }
    }

    pub(crate) fn u32(&mut self, at: u64) -> Result<u32, Trouble> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn table(&mut self, at: u64) -> Result<Table, Trouble> {
        // The list of fields lies before or after the table, by a signed distance.
        let back = i64::from(self.u32(at)?.cast_signed());
        let fields = at
            .checked_add_signed(-back)
            .ok_or_else(|| Trouble::malformed(at, "a table whose fields lie before the file"))?;
        let len = u64::from(u16::from_le_bytes(self.array(fields)?));
        if len < 4 || len % 2 != 0 || fields.saturating_add(len) > self.view.len() {
            return Err(Trouble::malformed(fields, "a list of fields that cannot be one"));
        }
        Ok(Table { at, fields, len })
    }

    /// Where a field is; `None` if the table does not have it.
    fn field(&mut self, table: &Table, field: u16) -> Result<Option<u64>, Trouble> {
        let entry = 4 + u64::from(field) * 2;
        if entry + 2 > table.len {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(self.array(table.fields.saturating_add(entry))?);
        Ok((offset != 0).then(|| table.at.saturating_add(u64::from(offset))))
    }

    fn follow(&mut self, at: u64) -> Result<u64, Trouble> {
        let distance = u64::from(self.u32(at)?);
        let to = at.saturating_add(distance);
        if distance == 0 || to >= self.view.len() {
            return Err(Trouble::malformed(at, "an offset that leads out of the file"));
        }
        Ok(to)
    }

    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Trouble> {
        let bytes = self.bytes(at, N as u64)?;
        bytes.try_into().map_err(|_| Trouble::malformed(at, "an offset that leads out of the file"))
    }

    /// Bytes by way of the pages; fewer where the file ends.
    fn bytes(&mut self, at: u64, len: u64) -> Result<Vec<u8>, Trouble> {
        let end = at.saturating_add(len).min(self.view.len());
        let mut bytes = Vec::new();
        let mut at = at;
        while at < end {
            let number = at / PAGE;
            let first = number * PAGE;
            let from = usize::try_from(at - first).unwrap_or(usize::MAX);
            let to = usize::try_from((end - first).min(PAGE)).unwrap_or(usize::MAX);
            let part = self.page(number)?.get(from..to).ok_or(Trouble::Changed)?;
            bytes.extend_from_slice(part);
            at = first.saturating_add(PAGE);
        }
        Ok(bytes)
    }

    fn page(&mut self, number: u64) -> Result<&[u8], Trouble> {
        let index = usize::try_from(number % PAGES as u64).unwrap_or_default();
        let slot = self.pages.get_mut(index).ok_or(Trouble::Changed)?;
        match slot {
            Some((held, _)) if *held == number => {}
            _ => *slot = Some((number, self.view.bytes(number.saturating_mul(PAGE), 4096)?)),
        }
        Ok(slot.as_ref().map_or(&[], |(_, page)| page))
    }
}
