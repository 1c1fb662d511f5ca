//! Holding the two descriptions of a member against each other.

use ostrom_core::Severity;

use super::entry::{Header, Local};
use crate::archive::fields::{u32_at, u64_at};
use crate::archive::{ODD_NAME, READINGS_DIFFER};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// Reports where the local header says something else than the central directory.
pub(super) fn headers(central: &Header, local: &Local, scan: &mut Examination<'_>) {
    let name = central.text();
    let here = &local.header;
    let at = Some(here.at);
    if central.name != here.name {
        let what = format!("{name:?} in the table of contents is {:?} at its place", here.text());
        scan.report(READINGS_DIFFER, at, what);
    }
    if central.method != here.method {
        let what = format!("{name:?} is packed by method {} or {}", central.method, here.method);
        scan.report(READINGS_DIFFER, at, what);
    }
    if central.is_encrypted() != here.is_encrypted() {
        let what = format!("{name:?} is encrypted by one description and not by the other");
        scan.report(READINGS_DIFFER, at, what);
    }
    if central.is_deferred() != here.is_deferred() {
        let what = format!("{name:?} has sizes behind its content by one description and not by the other");
        scan.report_as(Severity::Medium, READINGS_DIFFER, at, what);
    }
    if central.is_utf8() != here.is_utf8() && !central.name.is_ascii() {
        let what = format!("{name:?} is UTF-8 by one description and not by the other");
        scan.report_as(Severity::Medium, READINGS_DIFFER, at, what);
    }
    let agree = if local.is_sizeless() {
        here.unpacked == 0 || here.unpacked == central.unpacked
    } else {
        (central.packed, central.unpacked) == (here.packed, here.unpacked)
    };
    if !agree {
        let what = format!(
            "{name:?} has {} bytes packed and {} unpacked by the table of contents, {} and {} at its place",
            central.packed, central.unpacked, here.packed, here.unpacked
        );
        scan.report(READINGS_DIFFER, at, what);
    }
    // A checksum that follows the content stands as zero before it.
    if central.crc != here.crc && !(here.is_deferred() && here.crc == 0) {
        scan.report(READINGS_DIFFER, at, format!("{name:?} has two checksums"));
    }
    if here.extra.unicode.is_some() && here.extra.unicode != central.extra.unicode {
        scan.report(READINGS_DIFFER, at, format!("{name:?} has two other names"));
    }
    for header in [central, here] {
        if let Some(wrong) = header.extra.wrong {
            scan.report_as(
                Severity::Medium,
                READINGS_DIFFER,
                Some(header.at),
                format!("{name:?} has {wrong}"),
            );
        }
    }
}

/// Reports names of one entry that readers take differently.
pub(super) fn names(header: &Header, scan: &mut Examination<'_>) {
    let name = header.text();
    let at = Some(header.at);
    if header.name.contains(&0) {
        scan.report(READINGS_DIFFER, at, format!("{name:?} has a zero in it, where some readers end"));
    }
    if header.is_utf8() && std::str::from_utf8(&header.name).is_err() {
        scan.report(ODD_NAME, at, format!("{name:?} is not UTF-8, as it says"));
    }
    let Some(other) = &header.extra.unicode else { return };
    let text = String::from_utf8_lossy(other);
    // Where the name's own encoding has no room for it, tools write something readable there and the name here.
    let stands_in = !header.name.is_ascii() || name.contains(['?', '_']) || name.contains("#U");
    let extension = |name: &str| {
        name.rsplit(['/', '\\']).next().and_then(|name| Some(name.rsplit_once('.')?.1.to_owned()))
    };
    if *other != header.name && (!stands_in || other.is_ascii() || extension(&name) != extension(&text)) {
        scan.report(READINGS_DIFFER, at, format!("{name:?} is {text:?} to readers of Unicode names"));
    }
}

/// Finds the data descriptor at `at`, before `next`, and says how long it is. There are four layouts, which only the
/// values tell apart.
pub(super) fn descriptor(
    view: &View,
    at: u64,
    next: u64,
    entry: &Header,
    scan: &mut Examination<'_>,
) -> Result<u64, Trouble> {
    const MARK: &[u8] = b"PK\x07\x08";
    let room = next.saturating_sub(at);
    let bytes = view.bytes(at, usize::try_from(room.min(24)).unwrap_or_default())?;
    let marked = bytes.starts_with(MARK);
    let agrees = |len: usize| {
        let body = bytes.get(if len.is_multiple_of(8) { 4 } else { 0 }..len)?;
        let (packed, unpacked) = match body.len() {
            12 => (u64::from(u32_at(body, 4)), u64::from(u32_at(body, 8))),
            _ => (u64_at(body, 4), u64_at(body, 12)),
        };
        // Some writers have only 32 bits for what is larger.
        let same =
            |value: u64, known: u64| value == known || (body.len() == 12 && value == known & 0xffff_ffff);
        let fits =
            u32_at(body, 0) == entry.crc && same(packed, entry.packed) && same(unpacked, entry.unpacked);
        (fits && (body.len() == len || marked)).then_some(len as u64)
    };
    let mut found = [24, 16, 20, 12].into_iter().filter_map(agrees);
    let first = found.next();
    if let Some(len) = first {
        // Of two that agree, the one that leaves no gap is meant.
        return Ok(found.find(|len| *len == room && first != Some(room)).unwrap_or(len));
    }
    let name = entry.text();
    if room == 0 {
        if entry.packed == 0 {
            return Ok(0);
        }
        let what = format!("{name:?} has no sizes behind its content, where readers expect them");
        scan.report_as(Severity::Medium, READINGS_DIFFER, Some(at), what);
        return Ok(0);
    }
    scan.report(
        READINGS_DIFFER,
        Some(at),
        format!("{name:?} has other sizes or another checksum behind its content"),
    );
    Ok(if !marked {
        0
    } else if room == 24 {
        24
    } else {
        room.min(16)
    })
}
