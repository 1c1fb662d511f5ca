//! TFRecord: TensorFlow's records, one behind the other, and what TensorBoard shows (`events.out.tfevents.…`).

use super::ROWS;
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The length, its checksum, and behind the content the content's checksum.
const AROUND: u64 = 8 + 4 + 4;

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(if length(probe.head).is_some_and(|len| len <= probe.view.len().saturating_sub(AROUND)) {
        Match::Strong
    } else {
        Match::No
    })
}

/// The length that a record begins with, if its checksum fits.
fn length(head: &[u8]) -> Option<u64> {
    let (len, rest) = head.split_first_chunk::<8>()?;
    let sum = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    (masked(crc32c(len)) == sum).then_some(u64::from_le_bytes(*len))
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut at = 0_u64;
    let mut count = 0_u64;
    while at < view.len() {
        let len = length(&view.bytes(at, 12)?)
            .ok_or_else(|| Trouble::malformed(at, "a record whose length does not fit its checksum"))?;
        let next = at.checked_add(AROUND).and_then(|at| at.checked_add(len)).filter(|at| *at <= view.len());
        // A program that is stopped leaves its last record unfinished.
        let Some(next) = next else { break };
        (at, count) = (next, count.saturating_add(1));
    }
    scan.report(ROWS, None, format!("the content of {count} records was not looked at"));
    Ok(())
}

/// CRC-32C (Castagnoli), bit by bit: it is only taken of lengths.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 },
        )
    })
}

/// As TensorFlow writes checksums, since one of something with a checksum in it would be weak.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::columns::tests::verdict;

    fn record(content: &[u8]) -> Vec<u8> {
        let len = (content.len() as u64).to_le_bytes();
        [&len[..], &masked(crc32c(&len)).to_le_bytes(), content, &[0; 4]].concat()
    }

    #[test]
    fn records_are_known_by_the_checksum_of_their_length() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let two = [record(b"a"), record(b"bcd")].concat();
        assert_eq!(verdict("x", &two), (vec!["tfrecord"], vec!["data-set-rows".to_owned()]));
        // Stopped while the last was written.
        assert_eq!(verdict("x", &two[..two.len() - 5]).1, ["data-set-rows"]);
        let mut broken = two.clone();
        broken[17] ^= 1;
        assert_eq!(verdict("x", &broken).1, ["malformed"]);
        broken[0] ^= 1;
        assert_eq!(verdict("x", &broken).1, ["unknown-format"]);
    }
}
