//! Zip archives, read both ways.
//!
//! Most loaders read the central directory at the end, some read the local headers from the beginning, and each takes
//! some fields from one and some from the other. So the entries of the directory are visited in the order of their places;
//! at each place the local header is held against the directory, and whatever lies between two members is read as a loader
//! from the beginning would. In an archive by an ordinary tool, members lie one behind the other and both say the same.

mod compare;
mod end;
mod entry;
mod extra;
mod member;
mod pytorch;

use std::collections::BTreeSet;

use ostrom_core::Severity;

use self::entry::{Entry, Local};
use self::member::Member;
use self::pytorch::PyTorch;
use super::names::Names;
use super::unpack::{Input, unpack};
use super::zlib::Inflate;
use super::{HIDDEN_BYTES, OVERLAP, READINGS_DIFFER, UNLISTED_MEMBER, fields, tar};
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// Extensions whose loaders look for a zip at the end of the file without a look at its beginning.
const FROM_THE_END: [&str; 8] = ["zip", "keras", "skops", "jar", "whl", "egg", "mar", "pyz"];

/// Extensions of PyTorch's packages and of files without a name, among other things. Its reader of archives looks for the end alone,
/// and lets bytes stand in front of the archive and behind it.
const PYTORCH: [&str; 8] = ["", "bin", "ckpt", "model", "pt", "pt2", "pth", "ptl"];

/// A type of file in a Unix mode.
const LINK_KIND: u32 = 0o120_000;

/// The longest target of a link that is read.
const TARGET: u64 = 4096;

/// A zip begins with a local header or ends with an end record. Bytes behind the end are let pass only under names
/// whose loaders let them pass: pickles and tars may hold a zip near their end.
pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if [entry::LOCAL, end::END, *b"PK\x07\x08"].iter().any(|mark| probe.head.starts_with(mark)) {
        return Ok(Match::Strong);
    }
    let Some(at) = ends_at(probe.view)? else { return Ok(Match::No) };
    if end::after(probe.view, at)? == probe.view.len() {
        return Ok(Match::Strong);
    }
    let extension = probe.extension();
    // A pickle may hold a zip that is loaded from within it; what follows the pickle's end is looked at there.
    let pytorch = PYTORCH.contains(&extension.as_str()) && probe.head.first() != Some(&0x80);
    let takes_any = (FROM_THE_END.contains(&extension.as_str()) || pytorch) && !tar::is(probe.head);
    Ok(if takes_any { Match::Weak } else { Match::No })
}

/// Where the end record of a zip stands, if the bytes end in one that has a directory.
pub(super) fn ends_at(view: &View) -> Result<Option<u64>, Trouble> {
    let Some(&at) = end::candidates(view)?.first() else { return Ok(None) };
    let record = view.exactly(at, 22)?;
    let size = u64::from(fields::u32_at(&record, 12));
    let wide = size == u64::from(u32::MAX);
    let has_directory = match at.checked_sub(size) {
        Some(place) if size > 0 => view.bytes(place, 4)? == end::CENTRAL,
        _ => false,
    };
    // A 64-bit record may stand between the directory and the end; its size is then checked by the examiner.
    let has_locator = match at.checked_sub(20) {
        Some(place) => view.bytes(place, 4)? == *b"PK\x06\x07",
        None => false,
    };
    Ok((has_directory || has_locator || wide).then_some(at))
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let end = match end::find(view, scan) {
        Ok(Some(end)) => end,
        none => {
            // Cut off, or broken at the end: loaders that read from the beginning take what is there.
            let mut archive = Archive {
                view,
                names: Names::default(),
                torch: PyTorch::default(),
                links: BTreeSet::new(),
                listed: false,
            };
            archive.between(0, view.len(), scan);
            none?;
            return Err(Trouble::malformed(view.len(), "the archive has no end record"));
        }
    };
    let (entries, result) = entry::directory(view, &end, scan);
    if result.is_ok() && entries.len() as u64 != end.entries {
        let what =
            format!("the end record counts {} entries, the directory has {}", end.entries, entries.len());
        scan.report(READINGS_DIFFER, Some(end.records), what);
    }
    scan.settle(result);
    let torch = PyTorch::recognise(entries.iter().map(|entry| entry.header.name.as_slice()));
    if torch.is_any() {
        scan.is("pytorch-zip");
    }
    if torch.is_script() {
        scan.is("torchscript");
    }
    let mut archive = Archive { view, names: Names::default(), torch, links: BTreeSet::new(), listed: true };
    for entry in entries.iter().filter(|entry| entry.kind == LINK_KIND) {
        let result = archive.link(entry, scan);
        scan.settle(result);
    }
    for entry in &entries {
        archive.check_names(entry, scan);
    }
    if !entries.is_sorted_by_key(|entry| entry.local) {
        let what = "the table of contents lists the members in another order than they stand in";
        scan.report_as(Severity::Medium, READINGS_DIFFER, Some(end.directory), what);
    }
    let mut entries = entries;
    entries.sort_by_key(|entry| entry.local);
    archive.visit(&entries, end.directory, scan);
    let behind = end.directory.saturating_add(end.size);
    if behind < end.records {
        archive.between(behind, end.records, scan);
    }
    Ok(())
}

struct Archive<'a> {
    view: &'a View,
    names: Names,
    torch: PyTorch,
    /// Where members are that hold no more than a link's target.
    links: BTreeSet<u64>,
    /// Whether there is a directory, so that a member without an entry is a finding.
    listed: bool,
}

impl Archive<'_> {
    fn check_names(&mut self, entry: &Entry, scan: &mut Examination<'_>) {
        let header = &entry.header;
        let content = u64::from(header.crc) << 32 | (header.unpacked & 0xffff_ffff);
        let content = (!header.is_directory()).then_some(content);
        self.names.check(&header.text(), content, header.at, scan);
        if let Some(other) = &header.extra.unicode
            && *other != header.name
        {
            Names::default().check(&String::from_utf8_lossy(other), None, header.at, scan);
        }
        compare::names(header, scan);
    }

    /// Visits the members in the order of their places, and what lies between them.
    fn visit(&mut self, entries: &[Entry], directory: u64, scan: &mut Examination<'_>) {
        let mut at = 0;
        for (index, entry) in entries.iter().enumerate() {
            let name = entry.header.text();
            if entry.local < at {
                let what = format!("{name:?} lies in another member; it was not unpacked");
                scan.report(OVERLAP, Some(entry.local), what);
                continue;
            }
            if entry.local >= directory {
                let what = format!("{name:?} stands behind the table of contents");
                scan.report(READINGS_DIFFER, Some(entry.local), what);
            }
            self.between(at, entry.local.min(directory), scan);
            at = entry.local;
            // Where the next member begins is where this one has to end.
            let next = entries.get(index + 1).map_or(directory, |next| next.local.min(directory));
            match self.member(entry, next, scan) {
                Ok(end) => at = end,
                Err(trouble) => scan.settle(Err(trouble)),
            }
        }
        self.between(at, directory, scan);
    }

    /// Examines one member and says where it ends.
    fn member(&mut self, entry: &Entry, next: u64, scan: &mut Examination<'_>) -> Result<u64, Trouble> {
        let listed = &entry.header;
        let local = entry::local(self.view, entry.local)?;
        compare::headers(listed, &local, scan);
        let packed = self.content(&local, listed.packed)?;
        let mut end = local.content.saturating_add(listed.packed);
        if listed.is_deferred() || local.header.is_deferred() {
            end = end.saturating_add(compare::descriptor(self.view, end, next, listed, scan)?);
        }
        if end > next && next > entry.local {
            let what = format!("{:?} runs into what follows it", listed.text());
            scan.report(OVERLAP, Some(entry.local), what);
        }
        let member = Member {
            name: listed.text(),
            at: entry.local,
            packed,
            method: listed.method,
            unpacked: Some(listed.unpacked),
            crc: Some(listed.crc),
            encrypted: listed.is_encrypted() || local.header.is_encrypted(),
            storage: self.torch.is_storage(&listed.name),
            raw: self.torch.is_export(&listed.name),
            unpickled: self.torch.unpickles(&listed.name),
            pytorch: self.torch.is_any(),
        };
        if self.links.contains(&entry.local) {
            return Ok(end);
        }
        let here = &local.header;
        let other_sizes =
            !local.is_sizeless() && (here.packed, here.unpacked) != (listed.packed, listed.unpacked);
        if !listed.is_directory() {
            let result = member::examine(&member, scan);
            scan.settle(result);
        }
        if here.method != listed.method || other_sizes {
            // A loader that goes by the local header unpacks something else.
            let (packed, unpacked) = if local.is_sizeless() {
                (listed.packed, listed.unpacked)
            } else {
                (here.packed, here.unpacked)
            };
            let other = Member {
                packed: self.content(&local, packed)?,
                method: here.method,
                unpacked: Some(unpacked),
                crc: None,
                ..member
            };
            let result = member::examine(&other, scan);
            scan.settle(result);
        }
        Ok(end)
    }

    fn content(&self, local: &Local, len: u64) -> Result<View, Trouble> {
        let what = "the content runs past the end of the file";
        self.view.part(local.content, len).ok_or_else(|| Trouble::malformed(local.header.at, what))
    }

    /// A symbolic link's content is where it leads. Most readers do not make links, and load the content of whatever is
    /// marked as one; so only what can be a path and nothing else passes for a link.
    fn link(&mut self, entry: &Entry, scan: &mut Examination<'_>) -> Result<(), Trouble> {
        let header = &entry.header;
        if header.packed > TARGET {
            return Ok(());
        }
        let packed = self.content(&entry::local(self.view, entry.local)?, header.packed)?;
        let target = match header.method {
            0 => packed.bytes(0, TARGET as usize)?,
            8 => {
                let mut spill = Spill::default();
                let mut input = Input::new(&packed, 0);
                unpack(&mut input, &mut spill, scan, |input| Ok(Box::new(Inflate::new(input, false))))?;
                spill.finish()?.bytes(0, TARGET as usize)?
            }
            _ => return Ok(()),
        };
        let Ok(target) = std::str::from_utf8(&target) else { return Ok(()) };
        self.names.check_link(&header.text(), target, true, entry.local, scan);
        if header.unpacked == target.len() as u64 && !target.chars().any(char::is_control) {
            self.links.insert(entry.local);
        }
        Ok(())
    }

    /// Reads what lies between members as a loader from the beginning would.
    fn between(&mut self, start: u64, end: u64, scan: &mut Examination<'_>) {
        let result = self.walk(start, end, scan);
        scan.settle(result);
    }

    fn walk(&mut self, mut at: u64, end: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
        let mut seen = Vec::new();
        while at < end && entry::is_local(self.view, at)? {
            let local = entry::local(self.view, at)?;
            let len =
                if local.is_sizeless() { self.measure(&local, scan)? } else { Some(local.header.packed) };
            let stop = len.map(|len| local.content.saturating_add(len)).filter(|stop| *stop <= end);
            let Some(stop) = stop else {
                // Where it ends is not known; a loader may take anything up to the next thing that is.
                let len = end.saturating_sub(local.content);
                seen.push((local, len));
                at = end;
                break;
            };
            at = stop.saturating_add(self.descriptor_len(&local, stop)?).min(end);
            let len = stop.saturating_sub(local.content);
            seen.push((local, len));
            if seen.len() as u64 > scan.limits().members {
                break;
            }
        }
        self.unlisted(&seen, scan);
        if let Some(place) = fields::first_nonzero(self.view, at, end)?
            && self.listed
        {
            let what = if at == 0 { "stand before the archive" } else { "stand between members" };
            scan.report(HIDDEN_BYTES, Some(place), format!("{} bytes {what}", end - at));
        }
        Ok(())
    }

    /// How long a member is whose header does not say it. Only deflate streams show where they end.
    fn measure(&self, local: &Local, scan: &mut Examination<'_>) -> Result<Option<u64>, Trouble> {
        if local.header.method != 8 {
            return Ok(None);
        }
        let mut spill = Spill::default();
        let mut input = Input::new(self.view, local.content);
        unpack(&mut input, &mut spill, scan, |input| Ok(Box::new(Inflate::new(input, false))))?;
        Ok(Some(input.position().saturating_sub(local.content)))
    }

    fn descriptor_len(&self, local: &Local, at: u64) -> Result<u64, Trouble> {
        if !local.header.is_deferred() {
            return Ok(0);
        }
        let marked = self.view.bytes(at, 4)? == *b"PK\x07\x08";
        let lens: [u64; 2] = if marked { [16, 24] } else { [12, 20] };
        for len in lens {
            let next = self.view.bytes(at.saturating_add(len), 2)?;
            if next == *b"PK" {
                return Ok(len);
            }
        }
        Ok(if marked { 16 } else { 0 })
    }

    fn unlisted(&mut self, seen: &[(Local, u64)], scan: &mut Examination<'_>) {
        let torch = PyTorch::recognise(seen.iter().map(|(local, _)| local.header.name.as_slice()));
        for (local, len) in seen {
            let header = &local.header;
            let name = header.text();
            if self.listed {
                let what = format!("{name:?} stands in the archive, but not in its table of contents");
                scan.report(UNLISTED_MEMBER, Some(header.at), what);
            }
            self.names.check(&name, None, header.at, scan);
            compare::names(header, scan);
            let Some(packed) = self.view.part(local.content, *len) else { continue };
            let sizeless = local.is_sizeless() || *len != header.packed;
            let member = Member {
                name,
                at: header.at,
                unpacked: (!sizeless).then_some(header.unpacked),
                crc: (!sizeless).then_some(header.crc),
                packed,
                method: header.method,
                encrypted: header.is_encrypted(),
                storage: torch.is_storage(&header.name),
                raw: torch.is_export(&header.name),
                unpickled: torch.unpickles(&header.name),
                pytorch: torch.is_any(),
            };
            let result = member::examine(&member, scan);
            scan.settle(result);
        }
    }
}
