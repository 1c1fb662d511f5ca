//! Machine code and other compiled code.

use super::NATIVE_CODE;
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::folder::fact;
use crate::source::View;
use crate::trouble::Trouble;

/// Whether the bytes are compiled code.
pub(super) fn mark(probe: &Probe<'_>, extension: &str) -> Result<Option<Match>, Trouble> {
    if name(probe.view, probe.head)?.is_some() {
        return Ok(Some(Match::Strong));
    }
    let compiled = matches!(extension, "pyc" | "pyo") && probe.head.get(2..4) == Some(b"\r\n");
    Ok(compiled.then_some(Match::Weak))
}

/// What kind of compiled code the bytes are, by their mark.
fn name(view: &View, head: &[u8]) -> Result<Option<&'static str>, Trouble> {
    let word = |at: usize| head.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let Some(first) = word(0) else { return Ok(None) };
    Ok(match first {
        [0x7f, b'E', b'L', b'F'] => Some("an ELF program or library"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe] => {
            Some("a Mach-O program or library")
        }
        // Java has a version here, of at least 45; a universal binary the number of its parts.
        [0xca, 0xfe, 0xba, 0xbe] => match word(4).map(u32::from_be_bytes) {
            Some(1..=44) => Some("a universal Mach-O program or library"),
            Some(_) => Some("a Java class"),
            None => None,
        },
        [b'd', b'e', b'x', b'\n'] => Some("Android code"),
        [0, b'a', b's', b'm'] => Some("WebAssembly"),
        [b'B', b'C', 0xc0, 0xde] => Some("LLVM bitcode"),
        [b'!', b'<', b'a', b'r'] if head.starts_with(b"!<arch>\n") => Some("a library of object files"),
        [0x4c, 0, 0, 0] if head.starts_with(b"\x4c\0\0\0\x01\x14\x02\0") => Some("a Windows shortcut"),
        [b'M', b'Z', ..] if head.starts_with(b"MZqFpD") => Some("an actually portable executable"),
        [b'M', b'Z', ..] => {
            let at = word(0x3c).map_or(u64::MAX, |bytes| u32::from_le_bytes(bytes).into());
            let signature = if at < view.len() { view.bytes(at, 4)? } else { Vec::new() };
            (signature == b"PE\0\0").then_some("a Windows program or library")
        }
        // The version of Python's bytecode, 3.0 to some to come, then its flags.
        [low, high, b'\r', b'\n'] => {
            let version = u16::from_le_bytes([low, high]);
            let flags = word(4).map(u32::from_le_bytes);
            ((3000..=4000).contains(&version) && flags.is_some_and(|flags| flags <= 3))
                .then_some("compiled Python code")
        }
        _ => None,
    })
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let head = view.bytes(0, 64)?;
    let name = name(view, &head)?.unwrap_or("compiled Python code");
    scan.note(fact::CODE, "native");
    scan.report(NATIVE_CODE, Some(0), format!("is {name}"));
    Ok(())
}
