//! The archive of associated files (labels, vocabularies) that TFLite's metadata tools append to a model.

use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The record at the end of an archive, without its comment.
const END: usize = 22;

/// How far from the end it can lie: its comment has at most 65,535 bytes.
const SEARCH: u64 = 65_535 + END as u64;

/// Examines the archive at the end of a model, if there is one, as an archive of its own.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if let Some(archive) = archive(view, scan.limits().held)? {
        scan.descend("associated files", &View::new(archive));
    }
    Ok(())
}

/// The archive, with its offsets counted from its own beginning. Labels and vocabularies are small: it is held.
pub(super) fn archive(view: &View, held: usize) -> Result<Option<Vec<u8>>, Trouble> {
    let from = view.len().saturating_sub(SEARCH);
    let tail = view.bytes(from, 65_535 + END)?;
    let Some(at) = (0..tail.len()).rev().find(|at| ends_here(&tail, *at)) else { return Ok(None) };
    let end = from + at as u64;
    let (size, offset) = (u64::from(u32_at(&tail, at + 12)), u64::from(u32_at(&tail, at + 16)));
    let directory = end
        .checked_sub(size)
        .ok_or_else(|| Trouble::malformed(end, "an archive whose directory begins before the file"))?;
    if size > held as u64 {
        return Err(Trouble::Limit(format!(
            "the directory of the appended archive has more than {held} bytes"
        )));
    }
    let entries = view.exactly(directory, usize::try_from(size).unwrap_or(usize::MAX))?;
    // Python's zipfile counts offsets from the beginning of the model; other tools append an archive as it is, and
    // count from its own beginning. In both, the directory says where it would be itself.
    let shift = directory
        .checked_sub(offset)
        .ok_or_else(|| Trouble::malformed(end, "an archive whose directory is not where it says"))?;
    let locals = local_offsets(&entries);
    let Some(first) = locals.iter().map(|entry| u64::from(u32_at(&entries, *entry))).min() else {
        return Ok(None);
    };
    let start = shift.saturating_add(first);
    let len = directory
        .checked_sub(start)
        .ok_or_else(|| Trouble::malformed(end, "an archive whose files lie behind its directory"))?;
    if len > held as u64 {
        return Err(Trouble::Limit(format!("the appended archive has more than {held} bytes")));
    }
    let files = view.exactly(start, usize::try_from(len).unwrap_or(usize::MAX))?;
    let record = tail.get(at..).unwrap_or_default();
    Ok(Some(rebase(files, entries, record, &locals, first)))
}

/// Whether the end record begins at `at`: its comment reaches exactly to the end of the file.
fn ends_here(tail: &[u8], at: usize) -> bool {
    tail.get(at..at + 4) == Some(b"PK\x05\x06")
        && tail.get(at + 20..at + END).is_some_and(|len| {
            let len = len.iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
            at + END + len == tail.len()
        })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at.saturating_add(4)).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    let two = bytes.get(at..at.saturating_add(2)).and_then(|two| two.try_into().ok());
    two.map_or(0, |two| usize::from(u16::from_le_bytes(two)))
}

/// Where in the directory each entry has the offset of its local header.
fn local_offsets(entries: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut at = 0;
    while entries.get(at..at + 46).is_some_and(|entry| entry.starts_with(b"PK\x01\x02")) {
        offsets.push(at + 42);
        at += 46 + u16_at(entries, at + 28) + u16_at(entries, at + 30) + u16_at(entries, at + 32);
    }
    offsets
}

/// Puts the archive together, each offset less what lay before it.
fn rebase(files: Vec<u8>, mut entries: Vec<u8>, record: &[u8], locals: &[usize], first: u64) -> Vec<u8> {
    for at in locals {
        let moved = u64::from(u32_at(&entries, *at)).saturating_sub(first);
        put(&mut entries, *at, moved);
    }
    let mut record = record.to_vec();
    put(&mut record, 16, files.len() as u64);
    let mut archive = files;
    archive.append(&mut entries);
    archive.append(&mut record);
    archive
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    if let Some(field) = bytes.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }
}
