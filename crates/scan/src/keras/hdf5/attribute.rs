//! Attributes: their names, and their values where those are text.

use super::cursor::{Cursor, UNDEFINED};
use super::file::File;
use super::global::GlobalHeaps;
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
    /// Its type or its shape lies elsewhere and was not looked up.
    Unknown,
}

/// Reads the body of an attribute message.
pub(super) fn read(
    file: &mut File<'_>,
    heaps: &mut GlobalHeaps,
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
    // Versions after the first may share the type and the shape with other attributes.
    if version > 1 && flags & 3 != 0 {
        return Ok(Attribute { name, value: Value::Unknown });
    }
    let (text, size) = kind_of(Cursor::new(kind, kind_at))?;
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
