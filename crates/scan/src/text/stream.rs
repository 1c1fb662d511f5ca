//! Text of any length, read piece by piece: prose that is too long to be held, and data sets in rows of text.

use super::hidden::{Sort, Watch};
use super::kind::{CONTROLS, controls};
use super::{PROSE, base_name};
use crate::examination::Examination;
use crate::folder::fact;
use crate::rules;
use crate::source::View;
use crate::trouble::Trouble;

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// How much is looked at on its own to see whether it is text.
const BLOCK: usize = 4096;

/// The longest character in UTF-8 less one byte.
const CUT: usize = 3;

/// A text of any length. A short one is meant for people, a long one is a corpus.
pub(super) fn examine_text(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    openvino(view, scan)?;
    watch(view, if view.len() <= PROSE { Sort::Prose } else { Sort::Corpus }, scan)
}

/// The graph of an OpenVINO model. Its weights lie beside it under the same stem, one behind the other.
fn openvino(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = scan.name().rsplit('/').next().unwrap_or_default();
    let Some(stem) = name.strip_suffix(".xml") else { return Ok(()) };
    let weights = format!("{stem}.bin");
    let head = view.bytes(0, 4096)?;
    let has = |mark: &[u8]| head.windows(mark.len()).any(|part| part == mark);
    if has(b"<net ") && has(b"<layers") {
        scan.note(fact::RAW_TENSORS, &weights);
    }
    Ok(())
}

/// Reports what is text at its beginning only. What comes after that is for somebody who looks for it there, and not examined.
pub(super) fn is_text_throughout(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    // In UTF-16, zeros are half of ordinary letters.
    if matches!(view.bytes(0, 2)?.as_slice(), [0xff, 0xfe] | [0xfe, 0xff]) {
        return Ok(());
    }
    let mut at = 0;
    while at < view.len() {
        let piece = view.bytes(at, PIECE)?;
        // A few of them in a short rest say nothing.
        let odd = piece.chunks(BLOCK).position(|block| controls(block) * CONTROLS > BLOCK);
        if let Some(index) = odd {
            let place = at.saturating_add(index.saturating_mul(BLOCK) as u64);
            let what =
                format!("{} bytes are text only up to here; the rest is in no known format", view.len());
            scan.report(rules::UNKNOWN, Some(place), what);
            return Ok(());
        }
        at = at.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// Rows of text: CSV, JSON on lines.
pub(super) fn examine_data(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    watch(view, Sort::Corpus, scan)
}

/// Looks for what does not show in all of a text.
pub(super) fn watch(view: &View, sort: Sort, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = base_name(scan.name());
    let escapes = [".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end));
    let mut watch = Watch::new(0, sort);
    pieces(view, |piece, len| match escapes.then(|| unescaped(piece)).flatten() {
        Some(plain) => watch.see(&plain, len),
        None => watch.see(piece, len),
    })?;
    watch.finish(scan);
    Ok(())
}

/// Gives all of a text in pieces, each with how many bytes of the file it takes. What is no UTF-8 comes as replacement
/// characters, which show.
fn pieces(view: &View, mut take: impl FnMut(&str, u64)) -> Result<(), Trouble> {
    let wide: Option<fn([u8; 2]) -> u16> = match view.bytes(0, 2)?.as_slice() {
        [0xff, 0xfe] => Some(u16::from_le_bytes),
        [0xfe, 0xff] => Some(u16::from_be_bytes),
        _ => None,
    };
    let mut at = 0;
    while at < view.len() {
        let bytes = view.bytes(at, PIECE)?;
        let last = at.saturating_add(bytes.len() as u64) >= view.len();
        let len = match (last, wide) {
            (true, _) => bytes.len(),
            (false, Some(from)) => bytes.len().saturating_sub(cut_wide(&bytes, from)),
            (false, None) => bytes.len().saturating_sub(cut(&bytes)),
        };
        let bytes = bytes.get(..len).unwrap_or_default();
        match wide {
            Some(from) => {
                let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(from);
                let text: String =
                    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
                take(&text, len as u64);
            }
            None => take(&String::from_utf8_lossy(bytes), len as u64),
        }
        at = at.saturating_add(len as u64);
    }
    Ok(())
}

/// How many bytes at the end are a character that goes on.
fn cut(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(CUT).enumerate() {
        match byte {
            0x80..=0xbf => {}
            0xc0..=0xff if byte.leading_ones() as usize > back + 1 => return back + 1,
            _ => return 0,
        }
    }
    0
}

/// The same for UTF-16: the first of two units. A piece has an even number of bytes.
fn cut_wide(bytes: &[u8], from: fn([u8; 2]) -> u16) -> usize {
    match bytes.last_chunk::<2>() {
        Some(unit) if (0xd800..0xdc00).contains(&from(*unit)) => 2,
        _ => 0,
    }
}

/// The text with JSON's `\\u` escapes undone, if it has any: what models are given in the end. An escape that a piece's
/// end cuts in two stays one, and shows.
fn unescaped(text: &str) -> Option<String> {
    if !text.contains("\\u") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        if !before.is_empty() {
            flush(&mut units, &mut out);
            out.push_str(before);
        }
        let unit = after.strip_prefix('u').and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
        rest = match unit {
            Some(unit) => {
                units.push(unit);
                after.get(5..).unwrap_or_default()
            }
            None => {
                flush(&mut units, &mut out);
                out.push('\\');
                let next = after.chars().next().map_or(0, char::len_utf8);
                let (escaped, rest) = after.split_at_checked(next).unwrap_or((after, ""));
                out.push_str(escaped);
                rest
            }
        };
    }
    flush(&mut units, &mut out);
    out.push_str(rest);
    Some(out)
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: Vec<u8>) -> String {
        let view = View::new(bytes);
        let (mut out, mut taken) = (String::new(), 0);
        pieces(&view, |piece, len| {
            out.push_str(piece);
            taken += len;
        })
        .unwrap();
        assert_eq!(taken, view.len());
        out
    }

    #[test]
    fn characters_are_not_cut_where_pieces_end() {
        for shift in 0..4 {
            let text = format!("{}{}", "a".repeat(PIECE - shift), "é€𝄞".repeat(PIECE / 3));
            assert_eq!(whole(text.clone().into_bytes()), text);
            let wide: Vec<u8> =
                std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
            assert_eq!(whole(wide).trim_start_matches('\u{feff}'), text);
        }
        assert_eq!(whole(vec![0xff; PIECE + 5]).chars().filter(|c| *c == '\u{fffd}').count(), PIECE + 5);
    }

    #[test]
    fn escapes_of_json_are_undone() {
        assert_eq!(unescaped(r"a\udb40\udc41b\\u0041\n").unwrap(), "a\u{e0041}b\\\\u0041\\n");
        assert_eq!(unescaped(r"\u00").unwrap(), r"\u00");
        assert_eq!(unescaped(r"\u00é0").unwrap(), r"\u00é0");
        assert_eq!(unescaped("none"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[\\\\u0-9a-fé]{0,30}") {
            whole(bytes);
            unescaped(&text);
        }
    }
}
