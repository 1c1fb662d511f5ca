//! gzip (RFC 1952): members one after another, each a header, a deflate stream and a trailer.

use super::unpack::{Input, conclude, inner_name, rest, unpack};
use super::zlib::Inflate;
use super::{CHECKSUM, HIDDEN_BYTES, fields};
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b, 8])
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["gz", "gzip"]);
    let mut spill = Spill::default();
    let mut input = Input::new(view, 0);
    let result = members(view, &mut input, &mut spill, scan);
    let end = input.position();
    let whole = result.is_ok();
    conclude(&name, spill, result, scan)?;
    if whole { rest(view, end, scan) } else { Ok(()) }
}

fn members(
    view: &View,
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    for _ in 0..scan.limits().members {
        header(input)?;
        let before = spill.len();
        unpack(input, spill, scan, |input| Ok(Box::new(Inflate::new(input, false))))?;
        let at = input.position();
        let trailer = input.take(8)?;
        // The trailer has the length modulo 2^32.
        let len = spill.len().saturating_sub(before) & 0xffff_ffff;
        if fields::u32_at(&trailer, 0) != spill.take_sum() || u64::from(fields::u32_at(&trailer, 4)) != len {
            scan.report(CHECKSUM, Some(at), "the content does not fit the stream's checksum and length");
        }
        // Python passes over zeros between members, where others end.
        let end = input.position();
        let next = fields::first_nonzero(view, end, view.len())?;
        let Some(next) = next.filter(|next| view.bytes(*next, 3).is_ok_and(|head| is(&head))) else {
            return Ok(());
        };
        if next > end {
            scan.report(HIDDEN_BYTES, Some(end), "zeros stand between members, where some readers end");
            input.skip(next - end)?;
        }
    }
    Err(Trouble::Limit(format!("more than {} members", scan.limits().members)))
}

fn header(input: &mut Input) -> Result<(), Trouble> {
    let at = input.position();
    let fixed = input.take(10)?;
    let flags = fixed.get(3).copied().unwrap_or_default();
    if flags & 0xe0 != 0 {
        return Err(Trouble::malformed(at, "reserved flags are set"));
    }
    if flags & 4 != 0 {
        let len = fields::u16_at(&input.take(2)?, 0);
        input.skip(len.into())?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            skip_text(input)?;
        }
    }
    if flags & 2 != 0 {
        input.skip(2)?;
    }
    Ok(())
}

/// Leaves out a file name or a comment, which end in a zero.
fn skip_text(input: &mut Input) -> Result<(), Trouble> {
    for len in [256, 1 << 16] {
        if let Some(end) = input.peek(len)?.iter().position(|byte| *byte == 0) {
            return input.skip(end as u64 + 1);
        }
    }
    Err(Trouble::malformed(input.position(), "a text in the header has no end"))
}
