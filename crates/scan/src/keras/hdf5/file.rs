//! An HDF5 file as a whole: where it begins, how wide its addresses are, what may still be read of it.

use super::cursor::{Cursor, UNDEFINED};
use crate::source::View;
use crate::trouble::Trouble;

/// The first bytes of every HDF5 file, after its user block.
pub(super) const MARK: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// How many times the file's length its structures may be read, all together. Honest ones are read once, but for
/// pages of dense storage.
const REREADS: u64 = 8;
/// What may be read of the smallest files.
const LEAST_WORK: u64 = 4 << 20;

/// An open file.
pub(super) struct File<'v> {
    view: &'v View,
    base: u64,
    /// How wide addresses are, and lengths.
    pub(super) offset: usize,
    pub(super) length: usize,
    /// The most bytes of one block.
    held: usize,
    work: u64,
}

/// What the superblock says.
pub(super) struct Start {
    pub(super) root: u64,
    /// Superblock versions 0 and 1.
    pub(super) driver: u64,
    /// Their copy of the root group's symbol table: its tree and its heap.
    pub(super) table: Option<(u64, u64)>,
    /// Versions 2 and 3.
    pub(super) extension: u64,
}

/// Where the mark stands: at the beginning or after a user block of 512 bytes, 1,024, 2,048…
pub(super) fn find(view: &View, head: &[u8]) -> Result<Option<u64>, Trouble> {
    if head.starts_with(&MARK) {
        return Ok(Some(0));
    }
    let mut at = 512_u64;
    while at < view.len() {
        if view.bytes(at, MARK.len())? == MARK {
            return Ok(Some(at));
        }
        at = at.saturating_mul(2);
    }
    Ok(None)
}

impl<'v> File<'v> {
    /// Reads the superblock at `base`.
    pub(super) fn open(view: &'v View, base: u64, held: usize) -> Result<(Self, Start), Trouble> {
        let work = view.len().saturating_mul(REREADS).saturating_add(LEAST_WORK);
        let mut file = Self { view, base, offset: 8, length: 8, held, work };
        let block = file.view.bytes(base, 256)?;
        let mut cursor = Cursor::new(&block, base);
        cursor.expect(&MARK)?;
        let version = cursor.u8()?;
        let old = version < 2;
        if old {
            cursor.skip(4)?;
        }
        (file.offset, file.length) = (usize::from(cursor.u8()?), usize::from(cursor.u8()?));
        if version > 3 || ![2, 4, 8].contains(&file.offset) || ![2, 4, 8].contains(&file.length) {
            let what = format!(
                "an HDF5 superblock of version {version} with addresses of {} and lengths of {} bytes",
                file.offset, file.length
            );
            return Err(Trouble::malformed(base, what));
        }
        let start = if old {
            cursor.skip(if version == 0 { 9 } else { 13 })?;
            // Its base address, the free space, the end of the file.
            cursor.skip(3 * file.offset)?;
            let driver = cursor.address(file.offset)?;
            cursor.skip(file.offset)?;
            let root = cursor.address(file.offset)?;
            let has_table = cursor.u32()? == 1;
            cursor.skip(4)?;
            let table = (cursor.address(file.offset)?, cursor.address(file.offset)?);
            Start { root, driver, table: has_table.then_some(table), extension: UNDEFINED }
        } else {
            cursor.skip(1 + file.offset)?;
            let extension = cursor.address(file.offset)?;
            cursor.skip(file.offset)?;
            Start { root: cursor.address(file.offset)?, driver: UNDEFINED, table: None, extension }
        };
        Ok((file, start))
    }

    /// The place in the bytes of an address.
    pub(super) fn place(&self, address: u64) -> u64 {
        self.base.saturating_add(address)
    }

    /// Exactly `length` bytes at `address`.
    pub(super) fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Trouble> {
        if length > self.held {
            return Err(Trouble::Limit(format!("an HDF5 block of {length} bytes")));
        }
        self.spend(length as u64)?;
        self.view.exactly(self.place(address), length)
    }

    /// Up to `length` bytes at `address`: fewer where the file ends.
    pub(super) fn read_some(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Trouble> {
        self.spend(length as u64)?;
        self.view.bytes(self.place(address), length)
    }

    /// Takes from what may still be read.
    ///
    /// # Errors
    /// If structures overlap or loop so much that the file would be read over and over.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Trouble> {
        match self.work.checked_sub(bytes.saturating_add(16)) {
            Some(left) => self.work = left,
            None => return Err(Trouble::Limit("HDF5 structures that are read over and over".to_owned())),
        }
        Ok(())
    }

    /// The text at `at` of the heap of an old group, or of a list of external files.
    pub(super) fn local_heap(&mut self, address: u64) -> Result<Vec<u8>, Trouble> {
        let header = self.read(address, 8 + 2 * self.length + self.offset)?;
        let mut cursor = Cursor::new(&header, self.place(address));
        cursor.expect(b"HEAP")?;
        cursor.skip(4)?;
        let size = cursor.size(self.length)?;
        cursor.skip(self.length)?;
        let data = cursor.address(self.offset)?;
        if data == UNDEFINED {
            return Ok(Vec::new());
        }
        self.read(data, size)
    }
}

/// The text at `at` of a local heap.
pub(super) fn heap_text(heap: &[u8], at: u64) -> Option<String> {
    let rest = usize::try_from(at).ok().and_then(|at| heap.get(at..))?;
    Some(Cursor::new(rest, 0).text())
}
