//! Dense storage: the fractal heaps in which newer files keep many links or attributes, and the B-trees of version 2 that
//! index them.

use std::collections::HashSet;

use super::cursor::{Cursor, UNDEFINED, width_of};
use super::file::File;
use crate::trouble::Trouble;

/// The most links or attributes of one object.
const RECORDS: usize = 1_000_000;
/// The most bytes of all of them.
const BYTES: usize = 64 << 20;

/// The bytes of all links or attributes of an object.
pub(super) struct Dense {
    /// Each with where it lies.
    pub(super) messages: Vec<(u64, Vec<u8>)>,
    /// How many lie where they cannot be read.
    pub(super) hidden: u64,
}

/// Which index, by the type of its records.
#[derive(Clone, Copy)]
pub(super) enum Index {
    Links = 5,
    Attributes = 8,
}

/// Reads what the heap at `heap` holds, by the index at `tree`.
pub(super) fn read(file: &mut File<'_>, heap: u64, tree: u64, index: Index) -> Result<Dense, Trouble> {
    let heap = Heap::open(file, heap)?;
    let mut dense = Dense { messages: Vec::new(), hidden: 0 };
    let mut total = 0_usize;
    for (at, record) in records(file, tree, index as u8)? {
        let mut cursor = Cursor::new(&record, at);
        let mut shared = false;
        let id = match index {
            Index::Links => {
                cursor.skip(4)?;
                cursor.rest()
            }
            Index::Attributes => {
                let id = cursor.take(heap.id_length)?;
                shared = cursor.u8()? & 2 != 0;
                id
            }
        };
        match heap.object(file, id)? {
            Some(object) if !shared => {
                total = total.saturating_add(object.1.len());
                if total > BYTES {
                    return Err(Trouble::Limit(format!(
                        "more than {BYTES} bytes of HDF5 links or attributes"
                    )));
                }
                dense.messages.push(object);
            }
            _ => dense.hidden += 1,
        }
    }
    Ok(dense)
}

/// All records of a B-tree of version 2.
fn records(file: &mut File<'_>, tree: u64, kind: u8) -> Result<Vec<(u64, Vec<u8>)>, Trouble> {
    let header = file.read(tree, 16 + file.offset + 2 + file.length)?;
    let mut cursor = Cursor::new(&header, file.place(tree));
    cursor.expect(b"BTHD")?;
    let (_, found) = (cursor.u8()?, cursor.u8()?);
    if found != kind {
        return Err(Trouble::malformed(
            cursor.at(),
            format!("an index of type {found} where {kind} belongs"),
        ));
    }
    let node_size = cursor.size(4)?;
    let record_size = usize::from(cursor.u16()?);
    let depth = cursor.u16()?;
    cursor.skip(2)?;
    let root = cursor.address(file.offset)?;
    let count = cursor.u16()?;
    if root == UNDEFINED {
        return Ok(Vec::new());
    }
    if record_size == 0 || node_size < 10 + record_size || depth > 32 {
        return Err(Trouble::malformed(file.place(tree), "an index whose nodes hold no records"));
    }
    // How wide the counts of children are, level by level: each is as wide as the most that can stand there.
    let most = ((node_size - 10) / record_size) as u64;
    let count_width = width_of(most);
    let mut total_widths = vec![0_usize];
    let mut total = most;
    for _ in 0..depth {
        let pointer = file.offset + count_width + total_widths.last().copied().unwrap_or_default();
        let room = node_size.saturating_sub(10 + pointer) / (record_size + pointer);
        total = total.saturating_mul(room as u64 + 1).saturating_add(room as u64);
        total_widths.push(width_of(total));
    }
    let mut found = Vec::new();
    let (mut open, mut seen) = (vec![(root, usize::from(count), usize::from(depth))], HashSet::new());
    while let Some((address, count, level)) = open.pop() {
        if !seen.insert(address) {
            return Err(Trouble::malformed(file.place(address), "an index that leads back into itself"));
        }
        let bytes = file.read(address, node_size)?;
        let mut cursor = Cursor::new(&bytes, file.place(address));
        cursor.expect(if level == 0 { b"BTLF" } else { b"BTIN" })?;
        cursor.skip(2)?;
        if found.len().saturating_add(count) > RECORDS {
            return Err(Trouble::Limit(format!("more than {RECORDS} HDF5 links or attributes")));
        }
        for _ in 0..count {
            found.push((cursor.at(), cursor.take(record_size)?.to_vec()));
        }
        if let Some(below) = level.checked_sub(1) {
            let total_width = total_widths.get(below).copied().unwrap_or_default();
            for _ in 0..=count {
                let child = cursor.address(file.offset)?;
                let count = cursor.size(count_width)?;
                cursor.skip(total_width)?;
                open.push((child, count, below));
            }
        }
    }
    Ok(found)
}

/// A fractal heap.
struct Heap {
    id_length: usize,
    filtered: bool,
    huge: u64,
    width: u64,
    start: u64,
    max_direct: u64,
    offset_bytes: usize,
    length_bytes: usize,
    root: u64,
    rows: u64,
}

impl Heap {
    fn open(file: &mut File<'_>, address: u64) -> Result<Self, Trouble> {
        let header = file.read(address, 22 + 12 * file.length + 3 * file.offset)?;
        let mut cursor = Cursor::new(&header, file.place(address));
        cursor.expect(b"FRHP")?;
        cursor.skip(1)?;
        let id_length = usize::from(cursor.u16()?);
        let filtered = cursor.u16()? != 0;
        cursor.skip(1)?;
        let max_managed = u64::from(cursor.u32()?);
        cursor.skip(file.length)?;
        let huge = cursor.address(file.offset)?;
        cursor.skip(file.length)?;
        cursor.skip(file.offset)?;
        cursor.skip(8 * file.length)?;
        let width = u64::from(cursor.u16()?);
        let start = cursor.uint(file.length)?;
        let max_direct = cursor.uint(file.length)?;
        let max_bits = cursor.u16()?;
        cursor.skip(2)?;
        let root = cursor.address(file.offset)?;
        let rows = u64::from(cursor.u16()?);
        let sound = width.is_power_of_two()
            && start.is_power_of_two()
            && max_direct.is_power_of_two()
            && max_direct >= start
            && (1..=64).contains(&max_bits)
            && width.checked_mul(start).is_some();
        if !sound {
            return Err(Trouble::malformed(file.place(address), "a fractal heap that cannot be"));
        }
        let offset_bytes = usize::from(max_bits).div_ceil(8);
        let length_bytes = width_of(max_direct).min(width_of(max_managed));
        Ok(Self {
            id_length,
            filtered,
            huge,
            width,
            start,
            max_direct,
            offset_bytes,
            length_bytes,
            root,
            rows,
        })
    }

    /// The object of this id; `None` if it lies where nothing here reads.
    fn object(&self, file: &mut File<'_>, id: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Trouble> {
        let id = id.get(..self.id_length).unwrap_or(id);
        let mut cursor = Cursor::new(id, 0);
        let first = cursor.u8()?;
        match first >> 4 & 3 {
            0 if !self.filtered => {
                let (offset, length) = (cursor.uint(self.offset_bytes)?, cursor.size(self.length_bytes)?);
                let address = self.locate(file, offset)?;
                Ok(Some((file.place(address), file.read(address, length)?)))
            }
            1 if !self.filtered => {
                // Either the id holds the address, or it is a key in another index.
                if file.offset + file.length < self.id_length {
                    let (address, length) = (cursor.address(file.offset)?, cursor.size(file.length)?);
                    return Ok(Some((file.place(address), file.read(address, length)?)));
                }
                let key = cursor.uint(cursor.left().min(file.length))?;
                self.huge_object(file, key)
            }
            2 => {
                let mut length = usize::from(first & 15);
                if self.id_length > 17 {
                    length = length << 8 | usize::from(cursor.u8()?);
                }
                Ok(Some((0, cursor.take(length + 1)?.to_vec())))
            }
            _ => Ok(None),
        }
    }

    fn huge_object(&self, file: &mut File<'_>, key: u64) -> Result<Option<(u64, Vec<u8>)>, Trouble> {
        if self.huge == UNDEFINED {
            return Ok(None);
        }
        for (at, record) in records(file, self.huge, 1)? {
            let mut cursor = Cursor::new(&record, at);
            let (address, length) = (cursor.address(file.offset)?, cursor.size(file.length)?);
            if cursor.uint(file.length)? == key {
                return Ok(Some((file.place(address), file.read(address, length)?)));
            }
        }
        Ok(None)
    }

    /// The address of what lies at `offset` of the heap's own space: a table whose rows have blocks of the same size,
    /// twice as large from row to row after the second.
    fn locate(&self, file: &mut File<'_>, mut offset: u64) -> Result<u64, Trouble> {
        if self.rows == 0 {
            return self.inside(self.root, offset, self.start);
        }
        let first_row = self.width.saturating_mul(self.start);
        let direct_rows = u64::from(self.max_direct.ilog2() - self.start.ilog2()) + 2;
        let mut block = self.root;
        // Each turn goes at least one row down, so 64 are more than there can be.
        for _ in 0..64 {
            let (row, size, row_start) = if offset < first_row {
                (0, self.start, 0)
            } else {
                let row = u64::from(offset.ilog2() - first_row.ilog2());
                let row_start = first_row << row;
                (row + 1, self.start << row, row_start)
            };
            let column = (offset - row_start) / size;
            let inner = (offset - row_start) % size;
            let entry = row.saturating_mul(self.width).saturating_add(column);
            let header = (5 + file.offset + self.offset_bytes) as u64;
            let place = entry.saturating_mul(file.offset as u64).saturating_add(header);
            let bytes = file.read(block.saturating_add(place), file.offset)?;
            let child = Cursor::new(&bytes, 0).address(file.offset)?;
            if row < direct_rows {
                return self.inside(child, inner, size);
            }
            if child == UNDEFINED {
                break;
            }
            (block, offset) = (child, inner);
        }
        Err(Trouble::malformed(
            file.place(self.root),
            "a fractal heap without the object that an index names",
        ))
    }

    fn inside(&self, block: u64, offset: u64, size: u64) -> Result<u64, Trouble> {
        if block == UNDEFINED || offset >= size {
            return Err(Trouble::malformed(block, "a fractal heap without the object that an index names"));
        }
        Ok(block.saturating_add(offset))
    }
}
