//! TFRecord. The checksums of lengths are made to fit as far as records go, or none but the seeds' would be read.
#![no_main]

use ostrom_fuzz::{Corpus, Format, fuzz_target};

const FORMAT: Format = Format { name: "rows.tfrecord", formats: &["tfrecord"], mark: None };

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut bytes = data.to_vec();
    let mut at = 0_usize;
    while let Some((len, sum)) = bytes.get_mut(at..at + 12).and_then(|head| head.split_first_chunk_mut::<8>()) {
        sum.copy_from_slice(&masked(crc32c(len)).to_le_bytes());
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some(next) = at.checked_add(16).and_then(|at| at.checked_add(len)).filter(|at| *at < bytes.len()) else { break };
        at = next;
    }
    FORMAT.run_bytes(bytes)
});

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}
