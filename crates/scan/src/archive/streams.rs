//! bzip2, LZMA without a container, and archives that are known but not unpacked.

use bzip2::bufread::BzDecoder;
use lzma_rust2::LzmaReader;

use super::unpack::{Input, WINDOW, conclude, inner_name, rest, turn, unpack};
use super::{UNSUPPORTED, fields};
use crate::detect::Match;
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// What follows a bzip2 stream's level: the mark of its first block, or of its end.
const BZIP2_BLOCKS: [[u8; 6]; 2] =
    [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

pub(super) fn is_bzip2(head: &[u8]) -> bool {
    head.starts_with(b"BZh")
        && matches!(head.get(3), Some(b'1'..=b'9'))
        && head.get(4..10).is_some_and(|mark| BZIP2_BLOCKS.iter().any(|block| block == mark))
}

pub(super) fn examine_bzip2(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["bz2", "bz"]);
    let mut spill = Spill::default();
    let mut input = Input::new(view, 0);
    let result = bzip2_streams(&mut input, &mut spill, scan);
    let end = input.position();
    let whole = result.is_ok();
    conclude(&name, spill, result, scan)?;
    if whole { rest(view, end, scan) } else { Ok(()) }
}

fn bzip2_streams(input: &mut Input, spill: &mut Spill, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    for _ in 0..scan.limits().members {
        unpack(input, spill, scan, |input| Ok(Box::new(BzDecoder::new(input))))?;
        if !is_bzip2(&input.peek(10)?) {
            return Ok(());
        }
    }
    Err(Trouble::Limit(format!("more than {} streams", scan.limits().members)))
}

/// The header of an `.lzma` file: properties, dictionary size, unpacked length.
const LZMA_HEADER: usize = 13;

/// `.lzma` files have no mark. These checks are what one in 2^40 random beginnings passes; encoders write dictionary
/// sizes of 2^n and 2^n + 2^(n-1), loaders take any.
pub(super) fn is_lzma(head: &[u8]) -> Match {
    let length = fields::u64_at(head, 5);
    let dictionary = fields::u32_at(head, 1);
    // The range coder's first byte is zero.
    let plausible = head.len() > LZMA_HEADER + 4
        && head.first() == Some(&0x5d)
        && head.get(LZMA_HEADER) == Some(&0)
        && dictionary & 0xff == 0
        && (length == u64::MAX || length < 1 << 40);
    match (plausible, dictionary.count_ones() <= 2 && dictionary >= 1 << 12) {
        (false, _) => Match::No,
        (true, true) => Match::Strong,
        (true, false) => Match::Weak,
    }
}

pub(super) fn examine_lzma(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["lzma"]);
    let header = view.exactly(0, LZMA_HEADER)?;
    let properties = header.first().copied().unwrap_or_default();
    let (dictionary, length) = (fields::u32_at(&header, 1), fields::u64_at(&header, 5));
    let mut spill = Spill::default();
    let mut input = Input::new(view, LZMA_HEADER as u64);
    let Some(result) = unpack_lzma(&mut input, &mut spill, scan, properties, dictionary, length) else {
        return Ok(());
    };
    let end = input.position();
    let whole = result.is_ok();
    conclude(&name, spill, result, scan)?;
    // A stream of known length may have an end mark, which the decoder leaves.
    if whole { rest(view, end.saturating_add(16).min(view.len()), scan) } else { Ok(()) }
}

/// Unpacks a bare LZMA stream, `length` bytes or (`u64::MAX`) up to its end mark. `None` if it needs more memory than
/// the bound, which is reported.
pub(super) fn unpack_lzma(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
    properties: u8,
    dictionary: u32,
    length: u64,
) -> Option<Result<(), Trouble>> {
    if u64::from(dictionary).min(length) > WINDOW {
        let what = format!("needs a dictionary of {dictionary} bytes to unpack");
        scan.report(UNSUPPORTED, Some(input.position()), what);
        return None;
    }
    // The decoder fills its dictionary with zeros, which an archive of many tiny members would make it do too often.
    if let Err(trouble) = scan.spend(u64::from(dictionary).min(length)) {
        return Some(Err(trouble));
    }
    let dictionary = dictionary.max(1 << 12);
    let _turn = turn(dictionary.into());
    let result = unpack(input, spill, scan, |input| {
        Ok(Box::new(LzmaReader::new_with_props(input, length, properties, dictionary, None)?))
    });
    Some(match result {
        Ok(()) if length != u64::MAX && spill.len() != length => {
            Err(Trouble::malformed(input.position(), "the stream ends early"))
        }
        result => result,
    })
}

/// Marks of archives that this crate does not unpack. Not examining them is a finding.
const UNSUPPORTED_MARKS: [(&str, &[u8]); 7] = [
    ("7z", &[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]),
    ("RAR", b"Rar!\x1a\x07"),
    ("lzip", b"LZIP\x01"),
    ("lzop", &[0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]),
    ("cabinet", b"MSCF\0\0\0\0"),
    ("LZ4 of the old kind", &[0x02, 0x21, 0x4c, 0x18]),
    ("Snappy", b"\xff\x06\0\0sNaPpY"),
];

pub(super) fn unsupported(head: &[u8]) -> Option<&'static str> {
    let mark = UNSUPPORTED_MARKS.iter().find(|(_, mark)| head.starts_with(mark)).map(|(name, _)| *name);
    mark.or_else(|| is_r(head).then_some("R"))
}

/// Whether the bytes are a serialisation of R, which may hold code that runs once what it makes is used.
fn is_r(head: &[u8]) -> bool {
    match head {
        [b'R', b'D', b'A' | b'B' | b'X', b'1'..=b'3', b'\n', ..]
        | [b'X', b'\n', 0, 0, 0, 2 | 3, ..]
        | [b'B', b'\n', 2 | 3, 0, 0, 0, ..] => true,
        // Its form as text: its version, that of R that wrote it, and the oldest that reads it.
        [b'A', b'\n', rest @ ..] => {
            let rest = rest.get(..64).unwrap_or(rest);
            let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let version = words.next().is_some_and(|word| matches!(word, b"2" | b"3"));
            let packed = |word: &[u8]| matches!(word, [b'1'..=b'9', rest @ ..] if rest.len() == 5 && rest.iter().all(u8::is_ascii_digit));
            version && words.next().is_some_and(packed) && words.next().is_some_and(packed)
        }
        _ => false,
    }
}

pub(super) fn examine_unsupported(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = unsupported(&view.bytes(0, 80)?).unwrap_or("unknown");
    scan.report(UNSUPPORTED, Some(0), format!("{name} archives are not unpacked"));
    Ok(())
}
