//! The two descriptions that each member has: in the central directory and in front of its content.

use super::end::{CENTRAL, End};
use super::extra::Extra;
use crate::archive::fields::{u16_at, u32_at};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const SIGNATURE: [u8; 4] = *b"PK\x05\x05";

/// Encrypted, encrypted strongly, headers masked.
const ENCRYPTION_FLAGS: u16 = 1 | 1 << 6 | 1 << 13;
const DEFERRED_FLAG: u16 = 1 << 3;
const UTF8_FLAG: u16 = 1 << 11;

/// What both descriptions have.
pub(super) struct Header {
    /// Where the description is.
    pub(super) at: u64,
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) extra: Extra,
}

impl Header {
    /// The name for people and for guessing the format.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    pub(super) fn is_utf8(&self) -> bool {
        self.flags & UTF8_FLAG != 0
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & ENCRYPTION_FLAGS != 0 || self.extra.encrypted || self.method == 99
    }

    /// Whether checksum and sizes follow the content.
    pub(super) fn is_deferred(&self) -> bool {
        self.flags & DEFERRED_FLAG != 0
    }

    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/") && self.packed == 0
    }
}

/// An entry of the central directory.
pub(super) struct Entry {
    pub(super) header: Header,
    /// Where its local header should be, in the view.
    pub(super) local: u64,
    /// The type bits of the file's mode, if a Unix wrote it: 0o120000 for a link.
    pub(super) kind: u32,
}

/// Reads the central directory. What was read before an error is kept.
pub(super) fn directory(view: &View, end: &End, scan: &Examination<'_>) -> (Vec<Entry>, Result<(), Trouble>) {
    let mut entries = Vec::new();
    let result = read_directory(view, end, scan, &mut entries);
    (entries, result)
}

fn read_directory(
    view: &View,
    end: &End,
    scan: &Examination<'_>,
    entries: &mut Vec<Entry>,
) -> Result<(), Trouble> {
    let size = usize::try_from(end.size).ok().filter(|size| *size <= scan.limits().held);
    let size = size.ok_or_else(|| Trouble::Limit(format!("the table of contents has {} bytes", end.size)))?;
    let bytes = view.exactly(end.directory, size)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let at = end.directory + (bytes.len() - rest.len()) as u64;
        if rest.starts_with(&SIGNATURE) && rest.len() == 6 + usize::from(u16_at(rest, 4)) {
            break;
        }
        if rest.len() < CENTRAL_LEN || !rest.starts_with(&CENTRAL) {
            return Err(Trouble::malformed(at, "no entry of the central directory"));
        }
        let lens = [28, 30, 32].map(|at| usize::from(u16_at(rest, at)));
        let parts = rest.get(CENTRAL_LEN..).and_then(|rest| {
            let (name, rest) = rest.split_at_checked(lens[0])?;
            let (extra, rest) = rest.split_at_checked(lens[1])?;
            let (_, rest) = rest.split_at_checked(lens[2])?;
            Some((name, extra, rest))
        });
        let Some((name, extra, next)) = parts else {
            return Err(Trouble::malformed(at, "an entry of the central directory ends early"));
        };
        let mut extra = Extra::parse(extra);
        let mut packed = u32_at(rest, 20).into();
        let mut unpacked = u32_at(rest, 24).into();
        let mut local = u32_at(rest, 42).into();
        extra.widen([&mut unpacked, &mut packed, &mut local]);
        let made_on_unix = u16_at(rest, 4) >> 8 == 3;
        entries.push(Entry {
            header: Header {
                at,
                name: name.to_vec(),
                flags: u16_at(rest, 8),
                method: u16_at(rest, 10),
                crc: u32_at(rest, 16),
                packed,
                unpacked,
                extra,
            },
            local: local.saturating_add(end.base),
            kind: if made_on_unix { (u32_at(rest, 38) >> 16) & 0o170_000 } else { 0 },
        });
        if entries.len() as u64 > scan.limits().members {
            return Err(Trouble::Limit(format!("more than {} members", scan.limits().members)));
        }
        rest = next;
    }
    Ok(())
}

/// A local header and where its content begins.
pub(super) struct Local {
    pub(super) header: Header,
    pub(super) content: u64,
}

impl Local {
    /// Whether the header leaves the sizes to what follows the content. Info-ZIP knows the unpacked size beforehand.
    pub(super) fn is_sizeless(&self) -> bool {
        self.header.is_deferred() && self.header.packed == 0
    }
}

/// Whether there is a local header.
pub(super) fn is_local(view: &View, at: u64) -> Result<bool, Trouble> {
    Ok(view.bytes(at, 4)? == LOCAL)
}

/// Reads the local header at `at`.
pub(super) fn local(view: &View, at: u64) -> Result<Local, Trouble> {
    let fixed = view.exactly(at, LOCAL_LEN)?;
    if !fixed.starts_with(&LOCAL) {
        return Err(Trouble::malformed(at, "no local header"));
    }
    let name_len = usize::from(u16_at(&fixed, 26));
    let extra_len = usize::from(u16_at(&fixed, 28));
    let after = at.saturating_add(LOCAL_LEN as u64);
    let rest = view.exactly(after, name_len + extra_len)?;
    let (name, extra) = rest.split_at_checked(name_len).unwrap_or_default();
    let mut extra = Extra::parse(extra);
    let mut packed = u32_at(&fixed, 18).into();
    let mut unpacked = u32_at(&fixed, 22).into();
    extra.widen([&mut unpacked, &mut packed]);
    let header = Header {
        at,
        name: name.to_vec(),
        flags: u16_at(&fixed, 6),
        method: u16_at(&fixed, 8),
        crc: u32_at(&fixed, 14),
        packed,
        unpacked,
        extra,
    };
    Ok(Local { header, content: after.saturating_add(rest.len() as u64) })
}
