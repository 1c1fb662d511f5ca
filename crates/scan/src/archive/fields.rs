//! Little-endian fields of headers, and stretches of zeros.

use crate::source::View;
use crate::trouble::Trouble;

fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    // INVARIANT: callers read their headers whole before they take fields from them. A field outside is zero.
    offset
        .checked_add(N)
        .and_then(|end| bytes.get(offset..end))
        .and_then(|field| field.try_into().ok())
        .unwrap_or([0; N])
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(at(bytes, offset))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(at(bytes, offset))
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(at(bytes, offset))
}

/// The first byte from `start` to `end` that is not zero, if one is.
pub(super) fn first_nonzero(view: &View, start: u64, end: u64) -> Result<Option<u64>, Trouble> {
    let mut at = start;
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 16);
        let bytes = view.bytes(at, len)?;
        if bytes.is_empty() {
            break;
        }
        if let Some(place) = bytes.iter().position(|byte| *byte != 0) {
            return Ok(Some(at + place as u64));
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}
