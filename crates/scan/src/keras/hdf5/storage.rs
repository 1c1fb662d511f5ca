//! How a data set's values are stored: in other files, mapped from other data sets, through filters.

use std::collections::BTreeSet;

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

/// Where a virtual data set's values come from, if the layout is of one: the files that it names, `.` for its own, those
/// that lead furthest first.
pub(super) fn virtual_sources(
    file: &mut File<'_>,
    heaps: &mut GlobalHeaps,
    at: u64,
    body: &[u8],
) -> Result<Vec<String>, Trouble> {
    let mut cursor = Cursor::new(body, at);
    let (version, class) = (cursor.u8()?, cursor.u8()?);
    if version < 3 || class != 3 {
        return Ok(Vec::new());
    }
    let (heap, index) = (cursor.address(file.offset)?, cursor.u32()?);
    if heap == UNDEFINED {
        return Ok(vec![".".to_owned()]);
    }
    let block = heaps.object(file, heap, index, usize::MAX)?;
    let mut cursor = Cursor::new(&block, file.place(heap));
    let version = cursor.u8()?;
    if version > 1 {
        return Err(Trouble::malformed(cursor.at(), format!("a list of mappings of version {version}")));
    }
    let mut names = BTreeSet::new();
    for _ in 0..cursor.uint(file.length)? {
        // Version 1 shares names: by number, of a mapping before, or `.` by a flag of its own.
        let flags = if version == 1 { cursor.u8()? } else { 0 };
        match flags {
            0 | 2 => {
                names.insert(cursor.terminated()?);
            }
            1 | 3 => cursor.skip(file.length)?,
            4 | 6 => {
                names.insert(".".to_owned());
            }
            _ => {
                return Err(Trouble::malformed(cursor.at(), format!("a mapping with the flags {flags}")));
            }
        }
        if flags & 2 == 0 {
            cursor.terminated()?;
        } else {
            cursor.skip(file.length)?;
        }
        selection(&mut cursor)?;
        selection(&mut cursor)?;
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| (!escapes(name), name == "."));
    names.truncate(NAMED);
    Ok(names)
}

const NOTHING: u32 = 0;
const POINTS: u32 = 1;
const BLOCKS: u32 = 2;
const EVERYTHING: u32 = 3;

/// Passes over a selection of a data set's elements.
fn selection(cursor: &mut Cursor<'_>) -> Result<(), Trouble> {
    let (kind, version) = (cursor.u32()?, cursor.u32()?);
    // How wide numbers are, and whether blocks are given by where they begin, how far apart, how many and how large.
    let (width, regular) = match (kind, version) {
        (NOTHING | EVERYTHING, 1) => return cursor.skip(8),
        (POINTS | BLOCKS, 1) => {
            cursor.skip(8)?;
            (4, false)
        }
        (POINTS, 2) => (usize::from(cursor.u8()?), false),
        (BLOCKS, 2) => {
            let flags = cursor.u8()?;
            cursor.skip(4)?;
            (8, flags & 1 == 1)
        }
        (BLOCKS, 3) => {
            let flags = cursor.u8()?;
            (usize::from(cursor.u8()?), flags & 1 == 1)
        }
        _ => (0, false),
    };
    if ![2, 4, 8].contains(&width) {
        let what = format!("a selection of type {kind}, version {version}, with numbers of {width} bytes");
        return Err(Trouble::malformed(cursor.at(), what));
    }
    let rank = cursor.size(4)?;
    let numbers = match (kind, regular) {
        (_, true) => rank.checked_mul(4),
        (POINTS, _) => cursor.size(width)?.checked_mul(rank),
        _ => cursor.size(width)?.checked_mul(rank).and_then(|numbers| numbers.checked_mul(2)),
    };
    cursor.skip(numbers.and_then(|numbers| numbers.checked_mul(width)).unwrap_or(usize::MAX))
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
