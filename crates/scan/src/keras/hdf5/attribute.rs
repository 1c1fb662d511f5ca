//! Attributes: their names, and their values where those are text.

use std::collections::HashMap;

use super::cursor::{Cursor, UNDEFINED};
use super::file::File;
use super::global::GlobalHeaps;
use super::object;
use crate::trouble::Trouble;

/// The most values of one attribute that are read one by one.
const VALUES: u64 = 1 << 20;

/// An attribute.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Value,
}

/// What an attribute holds.
pub(super) enum Value {
    /// Strings that lie in the attribute itself.
    Fixed(Vec<Vec<u8>>),
    /// Strings of any length, in a global heap.
    Variable(Vec<Vec<u8>>),
    /// Nothing that a loader would read text from.
    Other,
    /// Its type or its shape lies elsewhere, where it was not found.
    Unknown,
}

/// Reads the body of an attribute message.
pub(super) fn read(
    file: &mut File<'_>,
    heaps: &mut GlobalHeaps,
    types: &mut Types,
    at: u64,
    body: &[u8],
) -> Result<Attribute, Trouble> {
    let mut cursor = Cursor::new(body, at);
    let version = cursor.u8()?;
    let flags = cursor.u8()?;
    if !(1..=3).contains(&version) {
        return Err(Trouble::malformed(at, format!("an attribute of version {version}")));
    }
    let [name, kind, space] = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    if version == 3 {
        cursor.skip(1)?;
    }
    let padded = |size: usize| if version == 1 { size.next_multiple_of(8) } else { size };
    let name = Cursor::new(cursor.take(padded(name))?, at).text();
    let kind_at = cursor.at();
    let kind = cursor.take(padded(kind))?;
    let space = cursor.take(padded(space))?;
    let data_at = cursor.at();
    // Versions after the first may share the type and the shape with other attributes. A type may be an object of its own.
    let known = match flags & 3 {
        _ if version == 1 => Some(kind_of(Cursor::new(kind, kind_at))?),
        0 => Some(kind_of(Cursor::new(kind, kind_at))?),
        1 => types.committed(file, Cursor::new(kind, kind_at))?,
        _ => None,
    };
    let Some((text, size)) = known else { return Ok(Attribute { name, value: Value::Unknown }) };
    let count = count_of(file, Cursor::new(space, kind_at))?;
    let value = match text {
        Kind::Other => Value::Other,
        _ if count > VALUES => {
            return Err(Trouble::Limit(format!("an HDF5 attribute of {count} texts")));
        }
        Kind::Fixed if size > 0 => {
            let data = cursor.take(usize::try_from(count.saturating_mul(size)).unwrap_or(usize::MAX))?;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            Value::Fixed(data.chunks(size).map(|text| text.to_vec()).collect())
        }
        Kind::Fixed => Value::Fixed(Vec::new()),
        Kind::Variable => {
            let mut data = Cursor::new(cursor.rest(), data_at);
            let mut texts = Vec::new();
            let mut total = 0_usize;
            for _ in 0..count {
                let length = usize::try_from(data.u32()?).unwrap_or(usize::MAX);
                let (heap, index) = (data.address(file.offset)?, data.u32()?);
                let text = if heap == UNDEFINED || heap == 0 || length == 0 {
                    Vec::new()
                } else {
                    heaps.object(file, heap, index, length)?
                };
                total = total.saturating_add(text.len());
                if total > 64 << 20 {
                    return Err(Trouble::Limit("an HDF5 attribute of more than 64 MiB".to_owned()));
                }
                texts.push(text);
            }
            Value::Variable(texts)
        }
    };
    Ok(Attribute { name, value })
}

/// Types that are objects of their own (committed, as HDF5 calls them), by their addresses.
#[derive(Default)]
pub(super) struct Types(HashMap<u64, (Kind, u64)>);

/// How many types are remembered.
const TYPES: usize = 1 << 16;
/// Ways in which a message may lie elsewhere: as an object of its own, and in a table of its file's.
const IN_TABLE: u8 = 1;
const COMMITTED: u8 = 2;

impl Types {
    /// What the type is that `reference` leads to; `None` if there is not exactly one, or it lies in a table.
    fn committed(
        &mut self,
        file: &mut File<'_>,
        mut reference: Cursor<'_>,
    ) -> Result<Option<(Kind, u64)>, Trouble> {
        let (version, way) = (reference.u8()?, reference.u8()?);
        match (version, way) {
            // It had what a symbol table has of the object.
            (1, _) => reference.skip(6 + file.length)?,
            (2, IN_TABLE) => return Ok(None),
            (2, _) | (3, COMMITTED) => {}
            _ => return Ok(None),
        }
        let address = reference.address(file.offset)?;
        if let Some(known) = self.0.get(&address) {
            return Ok(Some(*known));
        }
        let mut found = object::messages(file, address)?;
        found.retain(|message| message.kind == object::DATATYPE);
        let [message] = found.as_slice() else { return Ok(None) };
        if message.shared {
            return Ok(None);
        }
        let known = kind_of(Cursor::new(&message.body, message.at))?;
        if self.0.len() < TYPES {
            self.0.insert(address, known);
        }
        Ok(Some(known))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Fixed,
    Variable,
    Other,
}

/// Whether a type is text, and how many bytes a value has.
fn kind_of(mut cursor: Cursor<'_>) -> Result<(Kind, u64), Trouble> {
    let class = cursor.u8()? & 15;
    let bits = cursor.uint(3)?;
    let size = u64::from(cursor.u32()?);
    Ok(match class {
        // A string; opaque bytes, which h5py gives as they are.
        3 | 5 => (Kind::Fixed, size),
        9 if bits & 15 == 1 => (Kind::Variable, size),
        // A sequence of bytes of any length: PyTables keeps its pickles so.
        9 if size >= 8
            && cursor.rest().first().is_some_and(|base| base & 15 == 0)
            && element_size(&cursor) == 1 =>
        {
            (Kind::Variable, size)
        }
        _ => (Kind::Other, size),
    })
}

/// How many bytes an element of a sequence has.
fn element_size(base: &Cursor<'_>) -> u64 {
    let mut base = base.clone();
    base.skip(4).and_then(|()| base.uint(4)).unwrap_or_default()
}

/// How many values a shape has.
fn count_of(file: &File<'_>, mut cursor: Cursor<'_>) -> Result<u64, Trouble> {
    let version = cursor.u8()?;
    let rank = cursor.u8()?;
    cursor.skip(1)?;
    match version {
        1 => cursor.skip(5)?,
        2 if cursor.u8()? == 2 => return Ok(0),
        2 => {}
        _ => return Err(Trouble::malformed(cursor.at(), format!("a shape of version {version}"))),
    }
    let mut count = 1_u64;
    for _ in 0..rank {
        count = count.saturating_mul(cursor.uint(file.length)?);
    }
    Ok(count)
}
