//! Checkpoints of TensorFlow 2: an index, which is a sorted table with a mark at its end, and shards of numbers.

use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The last eight bytes of a sorted table.
const MARK: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// The two handles of blocks and their padding, and the mark.
const FOOTER: u64 = 48;

/// Whether the bytes are an index, or are named as a SavedModel's is.
pub(crate) fn detect_index(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if probe.extension() != "index" {
        return Ok(Match::No);
    }
    let tail = probe.view.bytes(probe.view.len().saturating_sub(8), 8)?;
    Ok(if probe.view.len() >= FOOTER && tail == MARK {
        Match::Strong
    } else if probe.name.ends_with("variables.index") {
        Match::Weak
    } else {
        Match::No
    })
}

/// Holds the handles in the footer against the file.
pub(crate) fn examine_index(view: &View, _: &mut Examination<'_>) -> Result<(), Trouble> {
    let at = view.len().saturating_sub(FOOTER);
    let footer = view.exactly(at, 48)?;
    if !footer.ends_with(&MARK) {
        return Err(Trouble::malformed(at, "a checkpoint's index without its mark at the end"));
    }
    let mut bytes = footer.into_iter();
    for block in ["metaindex", "index"] {
        let (offset, len) = (varint(&mut bytes), varint(&mut bytes));
        let end = offset.zip(len).and_then(|(offset, len)| offset.checked_add(len)).filter(|end| *end <= at);
        if end.is_none() {
            return Err(Trouble::malformed(at, format!("the {block} block lies outside of the file")));
        }
    }
    Ok(())
}

fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Whether the file is named as a shard is: `.data-00000-of-00001`.
pub(crate) fn detect_data(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let extension = probe.extension();
    let is = extension.strip_prefix("data-").and_then(|rest| rest.split_once("-of-")).is_some_and(
        |(number, count)| {
            [number, count].iter().all(|text| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit()))
        },
    );
    Ok(if is { Match::Weak } else { Match::No })
}
