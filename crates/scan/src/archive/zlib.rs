//! Deflate streams: bare (in zips), as zlib, and as joblib's old Z-files.

use std::io::{self, BufRead as _, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::READINGS_DIFFER;
use super::unpack::{Input, conclude, inner_name, rest, unpack};
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// Unpacks one deflate stream. Unlike flate2's readers it tells an end that comes too early from the end of the stream.
pub(super) struct Inflate<'a> {
    input: &'a mut Input,
    state: Decompress,
    done: bool,
}

impl<'a> Inflate<'a> {
    pub(super) fn new(input: &'a mut Input, zlib_header: bool) -> Self {
        Self { input, state: Decompress::new(zlib_header), done: false }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.done && !buffer.is_empty() {
            let bytes = self.input.fill_buf()?;
            let at_end = bytes.is_empty();
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(bytes, buffer, FlushDecompress::None);
            let taken = self.state.total_in().saturating_sub(taken);
            self.input.consume(usize::try_from(taken).unwrap_or(usize::MAX));
            let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.done = status == Status::StreamEnd;
            let given = usize::try_from(self.state.total_out().saturating_sub(given)).unwrap_or_default();
            if given > 0 {
                return Ok(given);
            }
            if !self.done && taken == 0 {
                let what =
                    if at_end { "the deflate stream ends early" } else { "the deflate stream is stuck" };
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(0)
    }
}

/// The second byte of a zlib header that the usual compression levels give.
const LEVELS: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];

/// The fewest bytes that a stream which ends early has to give before it counts as zlib. Text may begin with `x^`.
const ENOUGH: u64 = 32;

/// zlib has no mark, only a header that one in 16,000 random files has too. It is zlib if the beginning inflates.
/// Loaders take 8 KiB at once and so raise before they give out anything when an error lies in what is tried here.
pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if probe.head.first() != Some(&0x78) || !probe.head.get(1).is_some_and(|byte| LEVELS.contains(byte)) {
        return Ok(Match::No);
    }
    let mut state = Decompress::new(true);
    let mut out = vec![0; 1 << 16];
    loop {
        let rest = usize::try_from(state.total_in()).ok().and_then(|taken| probe.head.get(taken..));
        let before = (state.total_in(), state.total_out());
        match state.decompress(rest.unwrap_or_default(), &mut out, FlushDecompress::None) {
            Err(_) => return Ok(Match::No),
            Ok(Status::StreamEnd) => return Ok(Match::Strong),
            // 4 KiB become at most 4 MiB.
            Ok(_) if before != (state.total_in(), state.total_out()) => {}
            Ok(_) if (probe.head.len() as u64) < probe.view.len() => return Ok(Match::Strong),
            Ok(_) => return Ok(if state.total_out() >= ENOUGH { Match::Weak } else { Match::No }),
        }
    }
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["zlib", "zz", "z"]);
    let mut spill = Spill::default();
    let mut input = Input::new(view, 0);
    let result = streams(&mut input, &mut spill, scan);
    let end = input.position();
    conclude(&name, spill, result, scan)?;
    rest(view, end, scan)
}

/// One stream after another, which joblib reads as one.
fn streams(input: &mut Input, spill: &mut Spill, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    for _ in 0..scan.limits().members {
        unpack(input, spill, scan, |input| Ok(Box::new(Inflate::new(input, true))))?;
        let next = input.peek(2)?;
        let is_header = next.first() == Some(&0x78) && next.get(1).is_some_and(|byte| LEVELS.contains(byte));
        if !is_header {
            return Ok(());
        }
    }
    Err(Trouble::Limit(format!("more than {} streams", scan.limits().members)))
}

/// The length field of a Z-file, in bytes: `0x`, 16 hexadecimal digits and a space.
const ZFILE_LENGTH: usize = 19;

/// Whether it is what joblib wrote before version 0.10: `ZF`, the unpacked length as text, a zlib stream.
pub(super) fn is_zfile(head: &[u8]) -> bool {
    head.starts_with(b"ZF0x")
}

pub(super) fn examine_zfile(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), &["z"]);
    let header = view.exactly(0, 2 + ZFILE_LENGTH + 1)?;
    let text = String::from_utf8_lossy(header.get(4..2 + ZFILE_LENGTH).unwrap_or_default()).into_owned();
    let length = u64::from_str_radix(text.trim_end_matches([' ', 'L']), 16)
        .map_err(|_| Trouble::malformed(2, "the length is not a hexadecimal number"))?;
    // Python 2 on some systems wrote one space more.
    let skip = if header.last() == Some(&b' ') { header.len() } else { header.len() - 1 };
    let mut spill = Spill::default();
    let mut input = Input::new(view, skip as u64);
    let result = unpack(&mut input, &mut spill, scan, |input| Ok(Box::new(Inflate::new(input, true))));
    if result.is_ok() && spill.len() != length {
        let what = format!("says that it unpacks to {length} bytes, but unpacks to {}", spill.len());
        scan.report(READINGS_DIFFER, Some(2), what);
    }
    let end = input.position();
    conclude(&name, spill, result, scan)?;
    rest(view, end, scan)
}
