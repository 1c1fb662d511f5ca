//! What hides in the bytes and texts that a graph carries.

use crate::examination::{Examination, is_plain};
use crate::graph::wire::{Span, Wire};
use crate::graph::{EMBEDDED, HIDDEN_TEXT};
use crate::source::View;
use crate::trouble::Trouble;

/// How much of a text is looked at for invisible characters.
const TEXT: usize = 1 << 20;

/// Examines bytes that a loader hands on as they are, if they begin like another file. Weights are random bytes, so each
/// sign is long enough that weights do not bear it by accident.
pub(crate) fn examine(
    bytes: &View,
    name: &str,
    offset: u64,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    let head = bytes.bytes(0, 16)?;
    let Some(kind) = kind(&head, bytes)? else { return Ok(()) };
    if kind.executable {
        scan.report(EMBEDDED, Some(offset), format!("{name} holds {}", kind.name));
    } else {
        scan.descend(name, bytes);
    }
    Ok(())
}

struct Kind {
    name: &'static str,
    executable: bool,
}

fn kind(head: &[u8], view: &View) -> Result<Option<Kind>, Trouble> {
    let file = |name| Ok(Some(Kind { name, executable: false }));
    let executable = |name| Ok(Some(Kind { name, executable: true }));
    match head {
        [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..] => executable("an ELF program or library"),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => executable("a Mach-O program or library"),
        [b'M', b'Z', ..] if is_portable_executable(view)? => executable("a Windows program or library"),
        [b'#', b'!', b'/', ..] => executable("a script"),
        [b'P', b'K', 3, 4, ..] => file("a zip archive"),
        [0x1f, 0x8b, 8, 0..=31, ..] => file("a gzip stream"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => file("an xz stream"),
        // A frame, as the protocols 4 and 5 have, no longer than the bytes are.
        [0x80, 4 | 5, 0x95, len @ ..] => {
            let len = len.get(..8).and_then(|len| len.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes);
            if len <= view.len() { file("a pickle") } else { Ok(None) }
        }
        [0x80, 2..=5, b'c' | b']' | b'}' | b'(' | b'X' | b'U' | 0x8c, ..] if ends_with(view, b'.')? => {
            file("a pickle")
        }
        [b'c', ..] if is_text_pickle(head) && ends_with(view, b'.')? => file("a pickle"),
        _ => Ok(None),
    }
}

/// `c`, a module's name and a newline, as protocol 0 begins.
fn is_text_pickle(head: &[u8]) -> bool {
    let name: Vec<u8> = head.iter().skip(1).copied().take_while(|byte| *byte != b'\n').collect();
    !name.is_empty()
        && name.len() + 1 < head.len()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

fn ends_with(view: &View, byte: u8) -> Result<bool, Trouble> {
    // Strings are padded by some writers: a pickle may have a newline or zeros after its end.
    let tail = view.bytes(view.len().saturating_sub(8), 8)?;
    Ok(tail.iter().rev().find(|byte| !matches!(byte, 0 | b'\n')) == Some(&byte))
}

fn is_portable_executable(view: &View) -> Result<bool, Trouble> {
    let at = view.bytes(0x3c, 4)?;
    let at = at.try_into().map_or(u32::MAX, u32::from_le_bytes);
    Ok(view.bytes(u64::from(at), 4)? == b"PE\0\0")
}

/// As [`examine`], for bytes in a message.
pub(crate) fn examine_span(
    wire: &mut Wire,
    span: Span,
    name: &str,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    // The window has the beginning already; most bytes end here, without another read.
    let head = wire.bytes(span, 4)?;
    if span.len() < 8
        || !matches!(
            head.as_slice(),
            [0x7f | 0xcf | 0xce | b'M' | b'#' | b'P' | 0x1f | 0xfd | 0x80 | b'c', ..]
        )
    {
        return Ok(());
    }
    match wire.view().part(span.start, span.len()) {
        Some(part) => examine(&part, name, span.start, scan),
        None => Err(Trouble::Changed),
    }
}

/// Reports text for people that has what people do not see.
pub(crate) fn examine_text(
    wire: &mut Wire,
    span: Span,
    name: &str,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    if span.len() > scan.limits().held as u64 {
        scan.report(HIDDEN_TEXT, Some(span.start), format!("{name} has {} bytes of text", span.len()));
    }
    let text = wire.text(span, TEXT)?;
    if let Some(hidden) = hidden(&text) {
        let what = format!("{name} has invisible characters such as U+{:04X}: {text}", u32::from(hidden));
        scan.report(HIDDEN_TEXT, Some(span.start), what);
    }
    Ok(())
}

/// A character that only hides something. Joiners and variation selectors have honest uses in many scripts.
fn hidden(text: &str) -> Option<char> {
    text.chars().find(|c| {
        !is_plain(*c)
            && matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_like_a_file(bytes: &[u8]) -> bool {
        kind(&bytes[..bytes.len().min(16)], &View::new(bytes.to_vec())).unwrap().is_some()
    }

    #[test]
    fn files_are_told_from_weights() {
        assert!(begins_like_a_file(b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x01a."));
        assert!(begins_like_a_file(b"\x80\x02cos\nsystem\n."));
        assert!(begins_like_a_file(b"cos\nsystem\n(S'x'\ntR."));
        assert!(begins_like_a_file(b"\x7fELF\x02\x01\x01\0\0\0\0\0"));
        assert!(begins_like_a_file(b"PK\x03\x04\x14\0\0\0"));
        for weights in [
            &b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff..."[..],
            b"\x80\x04\x7f\x03\x02\x01\x01\x01",
            b"\x80\x02cccccccccccccccc",
            b"class one",
            b"cat\ndog\n",
            b"MZ\0\0\0\0\0\0",
        ] {
            assert!(!begins_like_a_file(weights), "{weights:x?}");
        }
    }

    #[test]
    fn only_what_hides_is_hidden() {
        assert_eq!(hidden("plain\n\ttext \u{1f468}\u{200d}\u{1f469} \u{263a}\u{fe0f}"), None);
        assert_eq!(hidden("a\u{e0041}b"), Some('\u{e0041}'));
        assert_eq!(hidden("\u{202e}b"), Some('\u{202e}'));
    }
}
