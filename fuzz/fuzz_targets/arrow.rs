//! Arrow files, Arrow streams and the first version of Feather, by the first byte of the input.
#![no_main]

use ostrom_fuzz::{Corpus, Format, fuzz_target};

const FORMAT: Format = Format { name: "rows.arrow", formats: &["arrow"], mark: None };

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut bytes = data.to_vec();
    let (begin, end): (&[u8], &[u8]) = match bytes.first() {
        Some(b'A') => (b"ARROW1\0\0", b"ARROW1"),
        Some(b'F') => (b"FEA1", b"FEA1"),
        // A stream has no end of its own.
        _ => (&[0xff; 4], b""),
    };
    if bytes.len() < begin.len() + end.len() {
        return Corpus::Reject;
    }
    let last = bytes.len() - end.len();
    bytes[..begin.len()].copy_from_slice(begin);
    bytes[last..].copy_from_slice(end);
    FORMAT.run_bytes(bytes)
});
