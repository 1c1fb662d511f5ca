//! How a data set's values are stored: in other files, mapped from other data sets, through filters.

use super::cursor::{Cursor, UNDEFINED};
use super::file::{File, heap_text};
use super::global::GlobalHeaps;
use crate::trouble::Trouble;

/// The most files or filters that are named.
const NAMED: usize = 64;

/// The names of the files that a list of external files names.
pub(super) fn external_files(file: &mut File<'_>, at: u64, body: &[u8]) -> Result<Vec<String>, Trouble> {
    let mut cursor = Cursor::new(body, at);
    cursor.skip(6)?;
    let count = usize::from(cursor.u16()?);
    let heap = cursor.address(file.offset)?;
    let names = file.local_heap(heap)?;
    let mut files = Vec::new();
    for _ in 0..count.min(NAMED) {
        let name = cursor.address(file.length)?;
        cursor.skip(2 * file.length)?;
        files.push(heap_text(&names, name).unwrap_or_default());
    }
    Ok(files)
}

/// Where a virtual data set's values come from, if the layout is of one: the first file that it names, `.` for its own.
pub(super) fn virtual_source(
    file: &mut File<'_>,
    heaps: &mut GlobalHeaps,
    at: u64,
    body: &[u8],
) -> Result<Option<String>, Trouble> {
    let mut cursor = Cursor::new(body, at);
    let (version, class) = (cursor.u8()?, cursor.u8()?);
    if version < 3 || class != 3 {
        return Ok(None);
    }
    let (heap, index) = (cursor.address(file.offset)?, cursor.u32()?);
    if heap == UNDEFINED {
        return Ok(Some(".".to_owned()));
    }
    let mapping = heaps.object(file, heap, index, 1 << 20)?;
    let mut cursor = Cursor::new(&mapping, 0);
    cursor.skip(1 + file.length)?;
    Ok(Some(cursor.text()))
}

/// The filters that are not HDF5's own, by number and name.
pub(super) fn plugins(at: u64, body: &[u8]) -> Result<Vec<(u16, String)>, Trouble> {
    let mut cursor = Cursor::new(body, at);
    let (version, count) = (cursor.u8()?, cursor.u8()?);
    if !(1..=2).contains(&version) {
        return Err(Trouble::malformed(at, format!("a filter pipeline of version {version}")));
    }
    cursor.skip(if version == 1 { 6 } else { 0 })?;
    let mut plugins = Vec::new();
    for _ in 0..count {
        let id = cursor.u16()?;
        let name = if version == 1 || id >= 256 { usize::from(cursor.u16()?) } else { 0 };
        cursor.skip(2)?;
        let values = usize::from(cursor.u16()?);
        let padded = if version == 1 { name.next_multiple_of(8) } else { name };
        let name = Cursor::new(cursor.take(padded)?, at).text();
        cursor.skip(4 * values)?;
        if version == 1 && values % 2 == 1 {
            cursor.skip(4)?;
        }
        if id >= 256 {
            plugins.push((id, name));
        }
    }
    Ok(plugins)
}

/// Whether a path that a file names leads out of the file's folder.
pub(super) fn escapes(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with(['/', '\\'])
        || bytes.get(1) == Some(&b':')
        || path.contains("://")
        || path.split(['/', '\\']).any(|part| part == "..")
}
