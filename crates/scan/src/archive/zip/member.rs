//! The content of a zip's members.

use std::io;

use bzip2::bufread::BzDecoder;
use flate2::Crc;
use ostrom_core::Severity;

use super::pytorch;
use crate::archive::unpack::{Input, unpack};
use crate::archive::zlib::Inflate;
use crate::archive::{CHECKSUM, ENCRYPTED, READINGS_DIFFER, UNSUPPORTED, fields, frames, streams, xz};
use crate::examination::Examination;
use crate::pickle::{self, Mode};
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// A member as one of its descriptions has it.
pub(super) struct Member {
    pub(super) name: String,
    /// Where its local header is.
    pub(super) at: u64,
    pub(super) packed: View,
    pub(super) method: u16,
    /// Length and checksum are not known where they follow the content and no directory has them.
    pub(super) unpacked: Option<u64>,
    pub(super) crc: Option<u32>,
    pub(super) encrypted: bool,
    /// The raw bytes of a tensor.
    pub(super) storage: bool,
    /// It may be the raw bytes of a tensor, and is examined all the same.
    pub(super) raw: bool,
    /// PyTorch unpickles it, with its own persistent ids.
    pub(super) unpickled: Option<Mode>,
    /// In an archive of PyTorch's, which does not look at checksums and can be told not to write them.
    pub(super) pytorch: bool,
}

/// Unpacks the member, holds it against its description, and examines what it is.
pub(super) fn examine(member: &Member, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut trouble = Ok(());
    let (content, sum) = if member.method == 0 {
        (member.packed.clone(), checksum(&member.packed)?)
    } else {
        let mut spill = Spill::default();
        let mut input = Input::new(&member.packed, 0);
        match inflate(member, &mut input, &mut spill, scan) {
            Some(result) => trouble = result,
            None => return Ok(()),
        }
        let sum = spill.take_sum();
        (spill.finish()?, sum)
    };
    let long = member.unpacked.is_none_or(|len| len == content.len());
    let fits = long && member.crc.is_none_or(|crc| crc == sum);
    if member.encrypted && !(fits && trouble.is_ok()) {
        let what = format!("{:?} is encrypted", member.name);
        scan.report(ENCRYPTED, Some(member.at), what);
        return Ok(());
    }
    if member.encrypted {
        let what = format!("{:?} is marked as encrypted, but is not", member.name);
        scan.report(READINGS_DIFFER, Some(member.at), what);
    }
    if let Some(len) = member.unpacked.filter(|_| !long) {
        let what = format!("{:?} should unpack to {len} bytes, but has {}", member.name, content.len());
        scan.report(CHECKSUM, Some(member.at), what);
    } else if !(fits || member.pytorch && member.crc == Some(0)) {
        let what = format!("{:?} does not fit its checksum", member.name);
        let severity = if member.storage { Severity::Low } else { Severity::High };
        scan.report_as(severity, CHECKSUM, Some(member.at), what);
    }
    let skip = member.storage && !pytorch::looks_loadable(&content.bytes(0, 8)?);
    match member.unpickled {
        // PyTorch unpickles it whatever it looks like, and nobody else reads it.
        Some(mode) => scan.within(&member.name, |scan| {
            scan.is("pickle");
            let result = pickle::examine_torch(&content, mode, scan);
            scan.settle(result.map(drop));
        }),
        None if content.len() > 0 && !skip && member.raw => scan.descend_raw(&member.name, &content),
        None if content.len() > 0 && !skip => scan.descend(&member.name, &content),
        None => {}
    }
    trouble.map_err(|trouble| in_member(member, trouble))
}

fn checksum(view: &View) -> Result<u32, Trouble> {
    let mut crc = Crc::new();
    let mut at = 0;
    while at < view.len() {
        let bytes = view.bytes(at, 1 << 17)?;
        at = at.saturating_add(bytes.len() as u64);
        crc.update(&bytes);
    }
    Ok(crc.sum())
}

/// Unpacks by the member's method; `None` if that is not supported, which is reported.
fn inflate(
    member: &Member,
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
) -> Option<Result<(), Trouble>> {
    let result = match member.method {
        8 => unpack(input, spill, scan, |input| Ok(Box::new(Inflate::new(input, false)))),
        12 => unpack(input, spill, scan, |input| Ok(Box::new(BzDecoder::new(input)))),
        14 => lzma(member, input, spill, scan)?,
        93 | 20 => frames::unpack_zstd(input, spill, scan),
        95 => match xz::unpack_xz(input, spill, scan) {
            Ok(false) => return None,
            result => result.map(drop),
        },
        _ if member.encrypted => {
            scan.report(ENCRYPTED, Some(member.at), format!("{:?} is encrypted", member.name));
            return None;
        }
        method => {
            let what = format!("{:?} is packed by method {method}", member.name);
            scan.report(UNSUPPORTED, Some(member.at), what);
            return None;
        }
    };
    // LZMA's end mark may stay unread; whatever else lies behind the packed stream is not read by anybody.
    let rest = member.packed.len().saturating_sub(input.position());
    if result.is_ok() && rest > 0 && member.method != 14 && !member.encrypted {
        let what = format!("{:?} is {rest} bytes longer than what it unpacks from", member.name);
        scan.report(READINGS_DIFFER, Some(member.at), what);
    }
    Some(result)
}

/// LZMA in zips has a version, the length of its properties, and these: one byte and the dictionary's size.
fn lzma(
    member: &Member,
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
) -> Option<Result<(), Trouble>> {
    let header = match input.take(9) {
        Ok(header) => header,
        Err(trouble) => return Some(Err(trouble)),
    };
    if fields::u16_at(&header, 2) != 5 {
        return Some(Err(Trouble::malformed(2, "LZMA has five bytes of properties")));
    }
    let length = member.unpacked.unwrap_or(u64::MAX);
    let properties = header.get(4).copied().unwrap_or_default();
    streams::unpack_lzma(input, spill, scan, properties, fields::u32_at(&header, 5), length)
}

/// Says in which member it was: the finding's place is the archive.
fn in_member(member: &Member, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Malformed { offset, what } => {
            Trouble::malformed(member.at, format!("{:?}, at packed byte {offset}: {what}", member.name))
        }
        Trouble::Limit(what) => Trouble::Limit(format!("{:?}: {what}", member.name)),
        Trouble::Read(error) => {
            Trouble::Read(io::Error::new(error.kind(), format!("{:?}: {error}", member.name)))
        }
        Trouble::Changed => Trouble::Changed,
    }
}
