//! Zstandard (RFC 8878) and LZ4 frames. Both may stand one after another, with frames between them that decoders skip.

use std::io::{self, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::unpack::{Input, WINDOW, conclude, inner_name, rest, turn, unpack};
use super::{UNSUPPORTED, fields};
use crate::detect::Probe;
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

const ZSTD: u32 = 0xfd2f_b528;
const LZ4: u32 = 0x184d_2204;
const SKIPPABLE: u32 = 0x184d_2a50;

fn is_skippable(magic: u32) -> bool {
    magic & 0xffff_fff0 == SKIPPABLE
}

/// A file may begin with a frame that is skipped; what follows it decides, for LZ4 has the same.
pub(super) fn is_zstd(probe: &Probe<'_>) -> Result<bool, Trouble> {
    let magic = fields::u32_at(probe.head, 0);
    if !is_skippable(magic) {
        return Ok(magic == ZSTD);
    }
    let next = u64::from(fields::u32_at(probe.head, 4)) + 8;
    Ok(fields::u32_at(&probe.view.bytes(next, 4)?, 0) == ZSTD)
}

pub(super) fn is_lz4(head: &[u8]) -> bool {
    fields::u32_at(head, 0) == LZ4
}

pub(super) fn examine_zstd(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    examine(view, scan, ZSTD, &["zst", "zstd"], zstd_frame)
}

pub(super) fn examine_lz4(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    examine(view, scan, LZ4, &["lz4"], lz4_frame)
}

type Frame = fn(&mut Input, &mut Spill, &mut Examination<'_>) -> Result<bool, Trouble>;

fn examine(
    view: &View,
    scan: &mut Examination<'_>,
    magic: u32,
    extensions: &[&str],
    frame: Frame,
) -> Result<(), Trouble> {
    let name = inner_name(scan.name(), extensions);
    let mut spill = Spill::default();
    let mut input = Input::new(view, 0);
    let result = frames(&mut input, &mut spill, scan, magic, frame);
    let end = input.position();
    let whole = matches!(result, Ok(true));
    conclude(&name, spill, result.map(drop), scan)?;
    if whole { rest(view, end, scan) } else { Ok(()) }
}

/// Unpacks frame after frame; `false` if one is unsupported, which is reported.
fn frames(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
    magic: u32,
    frame: Frame,
) -> Result<bool, Trouble> {
    for _ in 0..scan.limits().members {
        let head = input.peek(8)?;
        let found = fields::u32_at(&head, 0);
        if found == magic {
            if !frame(input, spill, scan)? {
                return Ok(false);
            }
        } else if is_skippable(found) && head.len() == 8 {
            input.skip(u64::from(fields::u32_at(&head, 4)) + 8)?;
        } else {
            return Ok(true);
        }
    }
    Err(Trouble::Limit(format!("more than {} frames", scan.limits().members)))
}

fn zstd_frame(input: &mut Input, spill: &mut Spill, scan: &mut Examination<'_>) -> Result<bool, Trouble> {
    let at = input.position();
    let window = zstd_window(&input.peek(18)?);
    if window > WINDOW {
        scan.report(UNSUPPORTED, Some(at), format!("needs a window of {window} bytes to unpack"));
        return Ok(false);
    }
    unpack_zstd(input, spill, scan)?;
    Ok(true)
}

/// Unpacks one Zstandard frame.
pub(super) fn unpack_zstd(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    let _turn = turn(zstd_window(&input.peek(18)?));
    unpack(input, spill, scan, |input| {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        decoder.init(&mut *input).map_err(io::Error::other)?;
        Ok(Box::new(ZstdFrame { input, decoder, given: 0 }))
    })
}

/// How many bytes back the frame with this header may refer.
fn zstd_window(header: &[u8]) -> u64 {
    let descriptor = header.get(4).copied().unwrap_or_default();
    let next = header.get(5).copied().unwrap_or_default();
    if descriptor & 0x20 == 0 {
        let base = 1_u64 << (10 + (next >> 3));
        return base + base / 8 * u64::from(next & 7);
    }
    // A single segment: its window is its content.
    let at = 5 + match descriptor & 3 {
        3 => 4,
        small => usize::from(small),
    };
    match descriptor >> 6 {
        0 => header.get(at).copied().unwrap_or_default().into(),
        1 => u64::from(fields::u16_at(header, at)) + 256,
        2 => fields::u32_at(header, at).into(),
        _ => fields::u64_at(header, at),
    }
}

/// Reads one frame and checks the length and the checksum that it may have.
struct ZstdFrame<'a> {
    input: &'a mut Input,
    decoder: FrameDecoder,
    given: u64,
}

impl Read for ZstdFrame<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let strategy = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut *self.input, strategy).map_err(io::Error::other)?;
        }
        let count = self.decoder.read(buffer)?;
        self.given = self.given.saturating_add(count as u64);
        if count == 0 {
            let said = self.decoder.content_size();
            if said != 0 && said != self.given {
                return Err(io::Error::other("the frame is not as long as its header says"));
            }
            let sum = self.decoder.get_checksum_from_data();
            if sum.is_some() && sum != self.decoder.get_calculated_checksum() {
                return Err(io::Error::other("the content does not fit the frame's checksum"));
            }
        }
        Ok(count)
    }
}

fn lz4_frame(input: &mut Input, spill: &mut Spill, scan: &mut Examination<'_>) -> Result<bool, Trouble> {
    let at = input.position();
    let flags = input.peek(5)?.get(4).copied().unwrap_or_default();
    if flags & 1 != 0 {
        scan.report(UNSUPPORTED, Some(at), "needs a dictionary to unpack");
        return Ok(false);
    }
    unpack(input, spill, scan, |input| Ok(Box::new(lz4_flex::frame::FrameDecoder::new(input))))?;
    // The decoder takes the end of the file for the end of the frame, which is a zero and perhaps a checksum.
    let end = input.position();
    let mark = end.saturating_sub(if flags & 4 == 0 { 4 } else { 8 });
    if mark <= at || input.before(mark, 4)? != [0; 4] {
        return Err(Trouble::malformed(end, "the frame ends early"));
    }
    Ok(true)
}
