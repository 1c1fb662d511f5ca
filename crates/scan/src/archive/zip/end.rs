//! The end of a zip, where most readers begin: which end record counts, and what it says.

use crate::archive::fields::{first_nonzero, u16_at, u32_at, u64_at};
use crate::archive::{HIDDEN_BYTES, READINGS_DIFFER, SEVERAL_DIRECTORIES, UNSUPPORTED};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

pub(super) const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: u64 = 22;
const LOCATOR: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_LEN: u64 = 20;
const END64: [u8; 4] = *b"PK\x06\x06";
const END64_LEN: u64 = 56;
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";

/// Where the central directory is.
#[derive(Debug)]
pub(super) struct End {
    /// How many bytes lie before the archive, which its own offsets do not count.
    pub(super) base: u64,
    pub(super) directory: u64,
    pub(super) size: u64,
    pub(super) entries: u64,
    /// Where the end records begin.
    pub(super) records: u64,
}

/// The places of end records in the last 65,557 bytes, in which readers look, the last first.
pub(super) fn candidates(view: &View) -> Result<Vec<u64>, Trouble> {
    let span = (END_LEN + u64::from(u16::MAX)).min(view.len());
    let start = view.len() - span;
    let tail = view.bytes(start, usize::try_from(span).unwrap_or(usize::MAX))?;
    let fits = tail.len().saturating_sub(END_LEN as usize - END.len());
    let tail = tail.get(..fits).unwrap_or_default();
    let mut found: Vec<_> = tail
        .windows(4)
        .enumerate()
        .filter(|(_, four)| *four == END)
        .map(|(at, _)| start + at as u64)
        .collect();
    found.reverse();
    Ok(found)
}

/// Where the record at `at` and its comment end.
pub(super) fn after(view: &View, at: u64) -> Result<u64, Trouble> {
    let record = view.exactly(at, END_LEN as usize)?;
    Ok(at.saturating_add(END_LEN).saturating_add(u16_at(&record, 20).into()))
}

/// Reads the end records and reports where readers disagree about them. `None` if there is none.
pub(super) fn find(view: &View, scan: &mut Examination<'_>) -> Result<Option<End>, Trouble> {
    let found = candidates(view)?;
    let Some(&at) = found.first() else { return Ok(None) };
    let end = read(view, at, scan)?;
    let stop = after(view, at)?;
    if stop > view.len() {
        scan.report(READINGS_DIFFER, Some(at), "the archive's comment runs past the end of the file");
    } else if let Some(place) = first_nonzero(view, stop, view.len())? {
        scan.report(HIDDEN_BYTES, Some(place), format!("{} bytes follow the archive", view.len() - stop));
    }
    for &other in found.iter().skip(1) {
        // A zip that is stored as a member has an end record too, but not one that fits the end of this file.
        if other >= end.directory || after(view, other)? == view.len() {
            let what =
                format!("there is another end record at byte {other}; readers take the one or the other");
            scan.report(SEVERAL_DIRECTORIES, Some(at), what);
        }
    }
    Ok(Some(end))
}

fn read(view: &View, at: u64, scan: &mut Examination<'_>) -> Result<End, Trouble> {
    let record = view.exactly(at, END_LEN as usize)?;
    let (mut disk, mut first_disk) = (u32::from(u16_at(&record, 4)), u32::from(u16_at(&record, 6)));
    let (mut here, mut total) = (u64::from(u16_at(&record, 8)), u64::from(u16_at(&record, 10)));
    let (mut size, mut offset) = (u64::from(u32_at(&record, 12)), u64::from(u32_at(&record, 16)));
    let mut records = at;
    if let Some((place, wide)) = zip64(view, at, scan)? {
        let mut differ = false;
        // Some readers take the wide fields always, some only where the narrow ones have all bits set.
        let mut widen = |field: &mut u64, full: u64, value: u64| {
            differ |= *field != full && *field != value;
            *field = value;
        };
        widen(&mut here, u16::MAX.into(), u64_at(&wide, 24));
        widen(&mut total, u16::MAX.into(), u64_at(&wide, 32));
        widen(&mut size, u32::MAX.into(), u64_at(&wide, 40));
        widen(&mut offset, u32::MAX.into(), u64_at(&wide, 48));
        (disk, first_disk) = (u32_at(&wide, 16), u32_at(&wide, 20));
        if differ {
            scan.report(READINGS_DIFFER, Some(place), "the end records of 32 and 64 bits do not agree");
        }
        records = place;
    }
    if disk != 0 || first_disk != 0 {
        scan.report(UNSUPPORTED, Some(at), "is one part of an archive in several");
    }
    if here != total {
        scan.report(READINGS_DIFFER, Some(at), "the end record has two numbers of entries");
    }
    let outside = || Trouble::malformed(at, "the central directory does not fit into the file");
    let behind = records.checked_sub(size).ok_or_else(outside)?;
    let is_directory = |place: u64| Ok::<_, Trouble>(view.bytes(place, 4)? == CENTRAL);
    let mut directory = behind;
    if offset != behind && size > 0 {
        // Bytes stand before the archive, and the directory is right before its end; or bytes stand between the two.
        match (is_directory(offset)?, is_directory(behind)?) {
            (true, true) => {
                let what = format!("one table of contents is at byte {offset}, another at byte {behind}");
                scan.report(SEVERAL_DIRECTORIES, Some(at), what);
            }
            (true, false) => directory = offset,
            (false, _) => {}
        }
    }
    let base = directory.checked_sub(offset).ok_or_else(outside)?;
    Ok(End { base, directory, size, entries: total, records })
}

/// The 64-bit end record and its place, if there is one.
fn zip64(view: &View, at: u64, scan: &mut Examination<'_>) -> Result<Option<(u64, Vec<u8>)>, Trouble> {
    let Some(locator_at) = at.checked_sub(LOCATOR_LEN) else { return Ok(None) };
    let locator = view.exactly(locator_at, LOCATOR_LEN as usize)?;
    if !locator.starts_with(&LOCATOR) {
        return Ok(None);
    }
    let said = u64_at(&locator, 8);
    if u32_at(&locator, 16) > 1 {
        scan.report(UNSUPPORTED, Some(locator_at), "is one part of an archive in several");
    }
    let record = |place: u64| {
        let bytes = view.bytes(place, END64_LEN as usize)?;
        Ok::<_, Trouble>((bytes.len() as u64 == END64_LEN && bytes.starts_with(&END64)).then_some(bytes))
    };
    let adjacent = locator_at.checked_sub(END64_LEN);
    let adjacent = match adjacent {
        Some(place) => record(place)?.map(|bytes| (place, bytes)),
        None => None,
    };
    let pointed = record(said)?;
    match (adjacent, pointed) {
        (Some((place, bytes)), pointed) => {
            if said != place && pointed.is_some() {
                let what = format!("one 64-bit end record is at byte {said}, another at byte {place}");
                scan.report(SEVERAL_DIRECTORIES, Some(locator_at), what);
            } else if u64_at(&bytes, 4) != END64_LEN - 12 || said > place {
                scan.report(READINGS_DIFFER, Some(place), "the 64-bit end record is not where it should be");
            }
            Ok(Some((place, bytes)))
        }
        (None, Some(bytes)) => {
            if said.saturating_add(12).saturating_add(u64_at(&bytes, 4)) != locator_at {
                scan.report(READINGS_DIFFER, Some(said), "the 64-bit end record is not where it should be");
            }
            Ok(Some((said, bytes)))
        }
        (None, None) => {
            scan.report(READINGS_DIFFER, Some(locator_at), "the 64-bit end record is missing");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn rules(bytes: Vec<u8>) -> Vec<String> {
        let limits = Limits::default();
        let mut scan = Examination::new(&limits, "x");
        find(&View::new(bytes), &mut scan).unwrap();
        scan.end().findings.iter().map(|finding| finding.rule.to_string()).collect()
    }

    #[test]
    fn the_last_end_record_counts_and_another_is_found() {
        let empty = [&END[..], &[0; 18]].concat();
        assert!(rules(empty.clone()).is_empty());
        assert!(rules(vec![0; 100]).is_empty());
        let mut around = empty.clone();
        around[20] = 22;
        assert_eq!(rules([around, empty].concat()), [SEVERAL_DIRECTORIES]);
    }

    #[test]
    fn the_place_before_a_prefix_is_the_archives_beginning() {
        let directory = [&CENTRAL[..], &[0; 42]].concat();
        let mut end = [&END[..], &[0; 18]].concat();
        (end[8], end[10], end[12]) = (1, 1, 46);
        let limits = Limits::default();
        let mut scan = Examination::new(&limits, "x");
        let view = View::new([vec![9; 7], directory, end].concat());
        let end = find(&view, &mut scan).unwrap().unwrap();
        assert_eq!((end.base, end.directory, end.size, end.entries), (7, 7, 46, 1));
    }
}
