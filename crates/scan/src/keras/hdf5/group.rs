//! The members of groups: symbol tables of old files, links of newer ones.

use std::collections::HashSet;

use super::cursor::{Cursor, UNDEFINED};
use super::file::{File, heap_text};
use crate::trouble::Trouble;

/// The most members of one group.
const MEMBERS: usize = 1_000_000;

/// A member of a group.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
}

/// What a link leads to.
pub(super) enum Target {
    /// An object of this file.
    Object(u64),
    /// A path in this file.
    Path,
    /// An object of another file.
    External { file: String, path: String },
    /// What a plug-in makes of it.
    Unknown(u8),
}

/// The tree and the heap of a group that has a symbol table, by the body of that message.
pub(super) fn table(file: &File<'_>, at: u64, body: &[u8]) -> Result<(u64, u64), Trouble> {
    let mut cursor = Cursor::new(body, at);
    let (tree, heap) = (cursor.address(file.offset)?, cursor.address(file.offset)?);
    if tree == UNDEFINED || heap == UNDEFINED {
        return Err(Trouble::malformed(at, "a group whose symbol table is nowhere"));
    }
    Ok((tree, heap))
}

/// Reads the members of a group that has a symbol table, by the body of that message.
pub(super) fn symbols(file: &mut File<'_>, at: u64, body: &[u8]) -> Result<Vec<Link>, Trouble> {
    let (tree, heap) = table(file, at, body)?;
    let names = file.local_heap(heap)?;
    let mut links = Vec::new();
    let (mut open, mut seen) = (vec![tree], HashSet::new());
    while let Some(address) = open.pop() {
        if address == UNDEFINED {
            continue;
        }
        if !seen.insert(address) {
            return Err(Trouble::malformed(file.place(address), "a group whose tree leads back into itself"));
        }
        let mark = file.read(address, 8)?;
        let mut cursor = Cursor::new(&mark, file.place(address));
        if mark.starts_with(b"SNOD") {
            cursor.skip(6)?;
            let count = usize::from(cursor.u16()?);
            if links.len().saturating_add(count) > MEMBERS {
                return Err(Trouble::Limit(format!("an HDF5 group of more than {MEMBERS} members")));
            }
            let bytes = file.read(address.saturating_add(8), count * (2 * file.offset + 24))?;
            let mut cursor = Cursor::new(&bytes, file.place(address).saturating_add(8));
            for _ in 0..count {
                let (name, object) = (cursor.address(file.offset)?, cursor.address(file.offset)?);
                let kind = cursor.u32()?;
                cursor.skip(20)?;
                let name = heap_text(&names, name)
                    .ok_or_else(|| Trouble::malformed(cursor.at(), "a member whose name lies outside"))?;
                let target =
                    if kind == 2 || object == UNDEFINED { Target::Path } else { Target::Object(object) };
                links.push(Link { name, target });
            }
        } else {
            cursor.expect(b"TREE")?;
            let kind = cursor.u8()?;
            cursor.skip(1)?;
            if kind != 0 {
                return Err(Trouble::malformed(
                    file.place(address),
                    "a group whose tree is not one of a group",
                ));
            }
            let count = usize::from(cursor.u16()?);
            let pair = file.length + file.offset;
            let start = address.saturating_add(8 + 2 * file.offset as u64);
            let bytes = file.read(start, count * pair)?;
            let mut cursor = Cursor::new(&bytes, file.place(start));
            for _ in 0..count {
                cursor.skip(file.length)?;
                open.push(cursor.address(file.offset)?);
            }
        }
    }
    Ok(links)
}

/// Reads the body of a link message.
pub(super) fn link(file: &File<'_>, at: u64, body: &[u8]) -> Result<Link, Trouble> {
    let mut cursor = Cursor::new(body, at);
    let version = cursor.u8()?;
    if version != 1 {
        return Err(Trouble::malformed(at, format!("a link of version {version}")));
    }
    let flags = cursor.u8()?;
    let kind = if flags & 8 == 0 { 0 } else { cursor.u8()? };
    cursor.skip(if flags & 4 == 0 { 0 } else { 8 })?;
    cursor.skip(if flags & 16 == 0 { 0 } else { 1 })?;
    let length = cursor.size(1 << (flags & 3))?;
    let name = String::from_utf8_lossy(cursor.take(length)?).into_owned();
    let target = match kind {
        0 => Target::Object(cursor.address(file.offset)?),
        1 => Target::Path,
        64 => {
            let length = usize::from(cursor.u16()?);
            let mut value = Cursor::new(cursor.take(length)?, cursor.at());
            value.skip(1)?;
            let file = value.text();
            let path = value.skip(file.len().saturating_add(1)).map(|()| value.text()).unwrap_or_default();
            Target::External { file, path }
        }
        kind => Target::Unknown(kind),
    };
    Ok(Link { name, target })
}
