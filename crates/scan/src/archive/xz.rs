//! The xz container, read here so that a block's dictionary is bounded before the decoder allocates it. Follows "The .xz
//! File Format", version 1.2.1.

use std::io::{self, Read};
use std::sync::LazyLock;

use flate2::Crc;
use lzma_rust2::Lzma2Reader;
use sha2::{Digest as _, Sha256};

use super::unpack::{Input, WINDOW, conclude, inner_name, rest, turn, unpack};
use super::{UNSUPPORTED, fields};
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// The only filter that is unpacked. Delta and the filters for machine code are not used on models.
const LZMA2: u64 = 0x21;

pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["xz"]);
    let mut spill = Spill::default();
    let mut input = Input::new(view, 0);
    let result = unpack_xz(&mut input, &mut spill, scan);
    let end = input.position();
    let whole = matches!(result, Ok(true));
    conclude(&name, spill, result.map(drop), scan)?;
    if whole { rest(view, end, scan) } else { Ok(()) }
}

/// Unpacks stream after stream; `false` if one needs what is unsupported, which is reported.
pub(super) fn unpack_xz(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
) -> Result<bool, Trouble> {
    loop {
        let at = input.position();
        let header = input.take(12)?;
        let flags = header.get(6..8).unwrap_or_default().to_vec();
        if !is(&header) || fields::u32_at(&header, 8) != crc32(&flags) {
            return Err(Trouble::malformed(at, "no xz stream header"));
        }
        let Some(check) = flags.get(1).copied().filter(|_| flags.first() == Some(&0)).and_then(Check::new)
        else {
            scan.report(UNSUPPORTED, Some(at), "has a check of a kind that is not known");
            return Ok(false);
        };
        if !blocks(input, spill, scan, check)? {
            return Ok(false);
        }
        let at = input.position();
        let footer = input.take(12)?;
        if footer.get(8..) != Some([flags.as_slice(), b"YZ"].concat().as_slice()) {
            return Err(Trouble::malformed(at, "the stream's end does not fit its beginning"));
        }
        // Streams may follow one another, with zeros between them.
        let mut gap = 0;
        while gap < 1 << 12 && input.peek(gap + 4)?.get(gap..) == Some(&[0; 4]) {
            gap += 4;
        }
        if !is(input.peek(gap + 6)?.get(gap..).unwrap_or_default()) {
            return Ok(true);
        }
        input.skip(gap as u64)?;
    }
}

fn blocks(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
    check: Check,
) -> Result<bool, Trouble> {
    let mut sizes = Vec::new();
    loop {
        if sizes.len() as u64 > scan.limits().members {
            return Err(Trouble::Limit(format!("more than {} blocks", scan.limits().members)));
        }
        let start = input.position();
        let size = input.peek(1)?.first().copied().unwrap_or_default();
        if size == 0 {
            return index(input, &sizes).map(|()| true);
        }
        let header = input.take((usize::from(size) + 1) * 4)?;
        let dictionary = match block_header(&header, start)? {
            Ok(dictionary) if dictionary <= WINDOW => dictionary,
            Ok(dictionary) => {
                let what = format!("needs a dictionary of {dictionary} bytes to unpack");
                scan.report(UNSUPPORTED, Some(start), what);
                return Ok(false);
            }
            Err(filter) => {
                scan.report(UNSUPPORTED, Some(start), format!("is packed with filter {filter:#x}"));
                return Ok(false);
            }
        };
        // The decoder fills its dictionary with zeros, which a file of many tiny blocks would make it do too often.
        scan.spend(dictionary)?;
        let before = spill.len();
        let body = input.position();
        let _turn = turn(dictionary);
        unpack(input, spill, scan, |input| {
            // INVARIANT: the dictionary is at most `WINDOW`, so it fits.
            let dictionary = u32::try_from(dictionary).unwrap_or(u32::MAX);
            let inner = Lzma2Reader::new(input, dictionary, None);
            Ok(Box::new(Block { inner, body, check: Some(check.fresh()) }))
        })?;
        // What the index counts leaves out the padding, which the check follows.
        let check_len = check.len();
        let end = input.position().saturating_sub(start);
        sizes.push((end, check_len, spill.len().saturating_sub(before)));
    }
}

/// The dictionary's size, or the filter that is not supported.
fn block_header(header: &[u8], at: u64) -> Result<Result<u64, u64>, Trouble> {
    let broken = |what: &str| Trouble::malformed(at, what.to_owned());
    let (body, sum) =
        header.split_last_chunk::<4>().ok_or_else(|| broken("the block's header is too short"))?;
    if crc32(body) != u32::from_le_bytes(*sum) {
        return Err(broken("the block's header does not fit its checksum"));
    }
    let flags = body.get(1).copied().unwrap_or_default();
    let mut rest = body.get(2..).unwrap_or_default();
    // The unpacked size comes last. No dictionary has to be larger than what the block unpacks to.
    let mut unpacked = u64::MAX;
    for flag in [0x40, 0x80] {
        if flags & flag != 0 {
            let size = number(&mut rest).ok_or_else(|| broken("the block's header ends early"))?;
            unpacked = if flag == 0x80 { size.max(1 << 12) } else { unpacked };
        }
    }
    let filter = number(&mut rest).ok_or_else(|| broken("the block's header ends early"))?;
    if filter != LZMA2 || flags & 0x3f != 0 {
        return Ok(Err(filter));
    }
    match rest {
        [1, bits @ 0..=39, ..] => Ok(Ok(unpacked.min((2 | u64::from(bits & 1)) << (bits / 2 + 11)))),
        [1, 40, ..] => Ok(Ok(unpacked.min(u32::MAX.into()))),
        _ => Err(broken("the filter's properties are not those of LZMA2")),
    }
}

/// Checks the index against the blocks that were read.
fn index(input: &mut Input, sizes: &[(u64, u64, u64)]) -> Result<(), Trouble> {
    let at = input.position();
    let wrong = || Trouble::malformed(at, "the index does not fit the blocks");
    let mut sum = Crc::new();
    let mut taken = 0_u64;
    let mut next = |input: &mut Input| -> Result<u64, Trouble> {
        let mut rest = &*input.peek(9)?;
        let before = rest.len();
        let value = number(&mut rest).ok_or_else(wrong)?;
        let used = input.take(before.saturating_sub(rest.len()))?;
        sum.update(&used);
        taken = taken.saturating_add(used.len() as u64);
        Ok(value)
    };
    // The index begins with a zero where a block has its size.
    if next(input)? != 0 || next(input)? != sizes.len() as u64 {
        return Err(wrong());
    }
    for (end, check, unpacked) in sizes {
        let unpadded = next(input)?;
        let padded = unpadded.checked_sub(*check).map(|body| body.div_ceil(4).saturating_mul(4));
        if padded.and_then(|body| body.checked_add(*check)) != Some(*end) || next(input)? != *unpacked {
            return Err(wrong());
        }
    }
    let padding = input.take(usize::try_from(taken.wrapping_neg() % 4).unwrap_or_default())?;
    sum.update(&padding);
    let stored = input.take(4)?;
    if padding.iter().any(|byte| *byte != 0) || fields::u32_at(&stored, 0) != sum.sum() {
        return Err(wrong());
    }
    Ok(())
}

/// Takes a number of 7 bits a byte from the front.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Reads a block to its end and then the padding and the check behind it.
struct Block<'a> {
    inner: Lzma2Reader<&'a mut Input>,
    /// Where the packed bytes begin; blocks' headers are multiples of four.
    body: u64,
    check: Option<Check>,
}

impl Read for Block<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count > 0 {
            if let Some(check) = &mut self.check {
                check.update(buffer.get(..count).unwrap_or_default());
            }
            return Ok(count);
        }
        if let Some(check) = self.check.take() {
            let input = self.inner.inner_mut();
            let packed = input.position().saturating_sub(self.body);
            let mut padding = vec![0; usize::try_from(packed.wrapping_neg() % 4).unwrap_or_default()];
            input.read_exact(&mut padding)?;
            let expected = check.end();
            let mut stored = vec![0; expected.len()];
            input.read_exact(&mut stored)?;
            if padding.iter().any(|byte| *byte != 0) || stored != expected {
                return Err(io::Error::other("the content does not fit the block's check"));
            }
        }
        Ok(0)
    }
}

enum Check {
    None,
    Crc32(Crc),
    Crc64(u64),
    Sha256(Sha256),
}

impl Check {
    fn new(kind: u8) -> Option<Self> {
        match kind {
            0 => Some(Self::None),
            1 => Some(Self::Crc32(Crc::new())),
            4 => Some(Self::Crc64(u64::MAX)),
            10 => Some(Self::Sha256(Sha256::new())),
            _ => None,
        }
    }

    /// The same kind, of nothing.
    fn fresh(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Crc32(_) => Self::Crc32(Crc::new()),
            Self::Crc64(_) => Self::Crc64(u64::MAX),
            Self::Sha256(_) => Self::Sha256(Sha256::new()),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Crc32(_) => 4,
            Self::Crc64(_) => 8,
            Self::Sha256(_) => 32,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(sum) => sum.update(bytes),
            Self::Crc64(sum) => *sum = crc64(*sum, bytes),
            Self::Sha256(sum) => sum.update(bytes),
        }
    }

    fn end(self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Crc32(sum) => sum.sum().to_le_bytes().to_vec(),
            Self::Crc64(sum) => (!sum).to_le_bytes().to_vec(),
            Self::Sha256(sum) => sum.finalize().to_vec(),
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// CRC-64 of ECMA-182, reflected, a byte at a time.
static CRC64: LazyLock<[u64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|index| {
        (0..8).fold(index as u64, |value, _| {
            if value & 1 == 1 { (value >> 1) ^ 0xc96c_5795_d787_0f42 } else { value >> 1 }
        })
    })
});

fn crc64(sum: u64, bytes: &[u8]) -> u64 {
    let table = &*CRC64;
    bytes.iter().fold(sum, |sum, byte| {
        // INVARIANT: the index is one byte, and the table has 256 entries.
        let entry = table.get(usize::from(sum.to_le_bytes()[0] ^ byte)).copied().unwrap_or_default();
        entry ^ (sum >> 8)
    })
}
