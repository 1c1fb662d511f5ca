//! Object headers, versions 1 and 2: the messages that say what an object is.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::file::File;
use crate::trouble::Trouble;

pub(super) const LINK_INFO: u16 = 0x02;
pub(super) const DATATYPE: u16 = 0x03;
pub(super) const LINK: u16 = 0x06;
pub(super) const EXTERNAL_FILES: u16 = 0x07;
pub(super) const LAYOUT: u16 = 0x08;
pub(super) const FILTERS: u16 = 0x0b;
pub(super) const ATTRIBUTE: u16 = 0x0c;
pub(super) const SHARED_TABLE: u16 = 0x0f;
pub(super) const CONTINUATION: u16 = 0x10;
pub(super) const SYMBOL_TABLE: u16 = 0x11;
pub(super) const DRIVER: u16 = 0x14;
pub(super) const ATTRIBUTE_INFO: u16 = 0x15;

/// The most bytes that the header of one object may have.
const HEADER: usize = 16 << 20;
/// The most messages of one object.
const MESSAGES: usize = 200_000;

/// One message.
pub(super) struct Message {
    pub(super) kind: u16,
    /// Whether its body is a reference to where it lies.
    pub(super) shared: bool,
    pub(super) at: u64,
    pub(super) body: Vec<u8>,
}

/// A stretch of messages and how they are written.
struct Chunk {
    address: u64,
    length: usize,
}

/// Reads all messages of the object at `address` that anything here is decided by.
pub(super) fn messages(file: &mut File<'_>, address: u64) -> Result<Vec<Message>, Trouble> {
    let head = file.read_some(address, 64)?;
    let mut cursor = Cursor::new(&head, file.place(address));
    let mut new = None;
    let length = if head.starts_with(b"OHDR") {
        cursor.skip(4)?;
        let version = cursor.u8()?;
        let flags = cursor.u8()?;
        if version != 2 {
            return Err(Trouble::malformed(cursor.at(), format!("an object header of version {version}")));
        }
        cursor.skip(if flags & 0x20 == 0 { 0 } else { 16 })?;
        cursor.skip(if flags & 0x10 == 0 { 0 } else { 4 })?;
        new = Some(flags & 4 != 0);
        cursor.size(1 << (flags & 3))?
    } else {
        let version = cursor.u8()?;
        if version != 1 {
            return Err(Trouble::malformed(cursor.at(), format!("an object header of version {version}")));
        }
        cursor.skip(7)?;
        let length = cursor.size(4)?;
        cursor.skip(4)?;
        length
    };
    let start = address.saturating_add(cursor.at() - file.place(address));
    let mut chunks = vec![Chunk { address: start, length }];
    let (mut seen, mut total) = (HashSet::from([start]), 0_usize);
    let mut found = Vec::new();
    while let Some(chunk) = chunks.pop() {
        total = total.saturating_add(chunk.length);
        if total > HEADER {
            return Err(Trouble::Limit(format!("an object header of more than {HEADER} bytes")));
        }
        let bytes = file.read(chunk.address, chunk.length)?;
        let mut cursor = Cursor::new(&bytes, file.place(chunk.address));
        if new.is_some() && chunk.address != start {
            cursor.expect(b"OCHK")?;
        }
        // The checksum at the end of a continuation of version 2.
        let tail = if new.is_some() && chunk.address != start { 4 } else { 0 };
        let least = if let Some(ordered) = new { 4 + 2 * usize::from(ordered) } else { 8 };
        while cursor.left() >= least + tail {
            let message = message(&mut cursor, new)?;
            if message.kind == CONTINUATION {
                let mut body = Cursor::new(&message.body, message.at);
                let (address, length) = (body.address(file.offset)?, body.size(file.length)?);
                if !seen.insert(address) {
                    return Err(Trouble::malformed(message.at, "an object header that continues in itself"));
                }
                chunks.push(Chunk { address, length });
            } else if matters(message.kind) {
                if found.len() == MESSAGES {
                    return Err(Trouble::Limit(format!("an object of more than {MESSAGES} messages")));
                }
                found.push(message);
            }
        }
    }
    Ok(found)
}

fn message(cursor: &mut Cursor<'_>, new: Option<bool>) -> Result<Message, Trouble> {
    let (kind, size, flags);
    if let Some(ordered) = new {
        kind = u16::from(cursor.u8()?);
        size = usize::from(cursor.u16()?);
        flags = cursor.u8()?;
        cursor.skip(if ordered { 2 } else { 0 })?;
    } else {
        kind = cursor.u16()?;
        size = usize::from(cursor.u16()?);
        flags = cursor.u8()?;
        cursor.skip(3)?;
    }
    let at = cursor.at();
    let body = cursor.take(size)?;
    let body = if matters(kind) || kind == CONTINUATION { body.to_vec() } else { Vec::new() };
    Ok(Message { kind, shared: flags & 2 != 0, at, body })
}

fn matters(kind: u16) -> bool {
    matches!(
        kind,
        LINK_INFO
            | DATATYPE
            | LINK
            | EXTERNAL_FILES
            | LAYOUT
            | FILTERS
            | ATTRIBUTE
            | SHARED_TABLE
            | SYMBOL_TABLE
            | DRIVER
            | ATTRIBUTE_INFO
    )
}
