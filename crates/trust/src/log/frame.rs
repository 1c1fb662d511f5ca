//! How records lie in the file of entries: 16 bytes that name the format, then for each record its length (4 bytes, big-endian),
//! the first 8 bytes of its leaf hash, and its bytes.
//!
//! The checksum finds torn writes; it costs nothing, since the tree needs the leaf hash anyway. Against people there are the
//! signed checkpoints.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use ostrom_core::Digest;

use super::files::{ENTRIES, SYNCED, read_bounded};
use super::merkle::leaf_hash;

/// How the file of entries begins.
pub(super) const MAGIC: &[u8; 16] = b"ostrom-log/v1\n\n\n";
/// Where the first record begins.
pub(super) const START: u64 = MAGIC.len() as u64;
/// The longest record that any log takes.
pub(super) const LARGEST: usize = 16 << 20;
/// Bytes of a frame besides the record.
const HEADER: usize = 12;

/// Why a file is no file of entries.
pub(super) const NOT_ENTRIES: &str = "its entries do not begin as they should";

fn checksum(leaf: &Digest) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *leaf.as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Adds the frame of a record to `frames`. The record is at most [`LARGEST`] bytes long.
pub(super) fn encode(record: &[u8], leaf: &Digest, frames: &mut Vec<u8>) {
    frames.extend_from_slice(&(record.len() as u32).to_be_bytes());
    frames.extend_from_slice(&checksum(leaf));
    frames.extend_from_slice(record);
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record. If it is not sound, its bytes and its checksum do not belong together.
    Record { leaf: Digest, sound: bool },
    /// The end, after a whole record.
    End,
    /// The file ends before the record does, or the length is impossible.
    Broken,
}

/// Reads records one after another. Memory: the longest record.
pub(super) struct Frames<R> {
    reader: R,
    offset: u64,
    end: u64,
    record: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// `reader` stands at `offset`, where a record begins; nothing at `end` and beyond is read.
    pub(super) fn new(reader: R, offset: u64, end: u64) -> Self {
        Self { reader, offset, end, record: Vec::new() }
    }

    /// Where the next record begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where reading ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of the record that was found last.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    pub(super) fn next(&mut self) -> io::Result<Found> {
        let left = self.end.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Found::End);
        }
        let mut header = [0; HEADER];
        if left < HEADER as u64 || !self.fill(&mut header)? {
            return Ok(Found::Broken);
        }
        let [a, b, c, d, expected @ ..] = header;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length as usize > LARGEST || u64::from(length) > left - HEADER as u64 {
            return Ok(Found::Broken);
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(length as usize, 0);
        let whole = self.fill(&mut record)?;
        self.record = record;
        if !whole {
            return Ok(Found::Broken);
        }
        self.offset += HEADER as u64 + u64::from(length);
        let leaf = leaf_hash(&self.record);
        Ok(Found::Record { sound: checksum(&leaf) == expected, leaf })
    }

    /// Whether there were as many bytes.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.reader.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true),
        }
    }
}

/// Records of the log in `folder` from `offset` up to `end`, or to the present end of the file.
pub(super) fn open(folder: &Path, offset: u64, end: Option<u64>) -> io::Result<Frames<BufReader<File>>> {
    let mut file = File::open(folder.join(ENTRIES))?;
    let length = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    if length < START || file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, NOT_ENTRIES));
    }
    file.seek(SeekFrom::Start(offset))?;
    let end = end.map_or(length, |end| end.min(length));
    Ok(Frames::new(BufReader::with_capacity(1 << 16, file), offset, end))
}

/// The mark that says how much of the entries is known to be on the disk: an offset and 8 bytes of its hash. Written in place;
/// 16 bytes lie in one sector, so it is the old one or the new one.
pub(super) fn encode_mark(synced: u64) -> [u8; 16] {
    let mut mark = [0; 16];
    let (offset, check) = mark.split_at_mut(8);
    offset.copy_from_slice(&synced.to_be_bytes());
    check.copy_from_slice(&checksum(&leaf_hash(&synced.to_be_bytes())));
    mark
}

/// Reads the mark. `None` if there is none that is whole.
pub(super) fn read_mark(folder: &Path) -> io::Result<Option<u64>> {
    let Some(bytes) = read_bounded(&folder.join(SYNCED), 4096)? else { return Ok(None) };
    let offset = bytes.first_chunk().map(|offset| u64::from_be_bytes(*offset));
    Ok(offset.filter(|offset| encode_mark(*offset) == bytes.as_slice()))
}
