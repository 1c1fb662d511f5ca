//! SHA-256 of two stretches by turns, on one core.
//!
//! Every round of SHA-256 waits for the one before, so one stretch leaves most of a core's units idle. A block of one and then a block of
//! another, which wait for nothing of each other, let the processor overlap them: 1.4 times the bytes a second where it has instructions
//! for SHA-256, and no fewer where it has not.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::slice;

use sha2::block_api::compress256;

use super::error::Why;
use super::tree::{Entry, open, unchanged, unreadable};
use super::work::{Counter, Job, Outcome, Unit, read_some};

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// What one stretch is read by: whole blocks, and with another stretch's still in a core's cache when it is hashed.
const BUFFER: usize = 128 << 10;

/// How many stretches a core works on; more overlap no better.
const AT_ONCE: usize = 2;

/// SHA-256 under way, which is given whole blocks.
#[derive(Debug, Clone)]
struct Sha256 {
    state: [u32; 8],
    blocks: u64,
}

impl Sha256 {
    fn new() -> Self {
        // FIPS 180-4, 5.3.3.
        let state = [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        Self { state, blocks: 0 }
    }

    fn update(&mut self, blocks: &[[u8; BLOCK]]) {
        compress256(&mut self.state, blocks);
        self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
    }

    /// The digest, of a message that ends with `rest`: less than a block.
    fn finish(mut self, rest: &[u8]) -> [u8; 32] {
        let bits = self.blocks.wrapping_mul(BLOCK as u64).wrapping_add(rest.len() as u64).wrapping_mul(8);
        // FIPS 180-4, 5.1.1: a one, zeros, and the length in the last eight bytes of a block.
        let mut end = Vec::with_capacity(2 * BLOCK);
        end.extend_from_slice(rest);
        end.push(0x80);
        end.resize((end.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        end.extend_from_slice(&bits.to_be_bytes());
        self.update(end.as_chunks().0);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

/// A stretch under way.
struct Lane<'a> {
    index: usize,
    entry: &'a Entry,
    file: File,
    /// Bytes of it that were not read yet.
    left: u64,
    buffer: Vec<u8>,
    /// What was read and not hashed yet: `buffer[from..to]`. Less than a block only at the end.
    from: usize,
    to: usize,
    hasher: Sha256,
    second: Option<blake3::Hasher>,
}

impl<'a> Lane<'a> {
    fn open(job: &Job<'a>, index: usize, unit: &Unit, buffer: Vec<u8>) -> Result<Self, Why> {
        let entry = job.files.get(unit.file).ok_or(Why::Moving)?;
        let mut file = open(entry)?;
        file.seek(SeekFrom::Start(unit.start)).map_err(|error| unreadable(&error))?;
        let second = job.also_blake3.then(blake3::Hasher::new);
        let hasher = Sha256::new();
        Ok(Self { index, entry, file, left: unit.len(), buffer, from: 0, to: 0, hasher, second })
    }

    /// Reads more where everything that was read is hashed.
    fn fill(&mut self, counter: &Counter<'_>) -> Result<(), Why> {
        if self.from < self.to {
            return Ok(());
        }
        (self.from, self.to) = (0, 0);
        let want = usize::try_from(self.left).map_or(BUFFER, |left| left.min(BUFFER));
        while let Some(space) = self.buffer.get_mut(self.to..want).filter(|space| !space.is_empty()) {
            let read = read_some(&mut self.file, space)?;
            if let (Some(second), Some(bytes)) = (&mut self.second, space.get(..read)) {
                second.update(bytes);
            }
            counter.add(read as u64);
            self.to += read;
        }
        self.left = self.left.saturating_sub(want as u64);
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    /// Its hasher, and the next blocks for it.
    fn take(&mut self, count: usize) -> (&mut Sha256, &[[u8; BLOCK]]) {
        let from = self.from;
        self.from += count * BLOCK;
        (&mut self.hasher, self.buffer.get(from..self.from).unwrap_or_default().as_chunks().0)
    }

    /// Whether all of it is hashed but for less than a block.
    fn is_done(&self) -> bool {
        self.left == 0 && self.to - self.from < BLOCK
    }

    fn finish(self) -> (usize, Result<Outcome, Why>, Vec<u8>) {
        let digest = self.hasher.clone().finish(self.bytes()).to_vec();
        let blake3 = self.second.as_ref().map(|second| second.finalize().into());
        let outcome = unchanged(&self.file, self.entry).map(|()| Outcome::Digest { digest, blake3 });
        (self.index, outcome, self.buffer)
    }
}

/// Hashes whole blocks of all lanes, as many as the one has that has the fewest.
fn hash(lanes: &mut [Lane<'_>]) {
    let count = lanes.iter().map(|lane| lane.bytes().len() / BLOCK).min().unwrap_or(0);
    if let [one, other] = lanes {
        let ((one, blocks), (other, others)) = (one.take(count), other.take(count));
        for (block, beside) in blocks.iter().zip(others) {
            one.update(slice::from_ref(block));
            other.update(slice::from_ref(beside));
        }
    } else {
        for lane in lanes {
            let (hasher, blocks) = lane.take(count);
            hasher.update(blocks);
        }
    }
}

/// Hashes the units that `next` gives with SHA-256, two at once where there are more of them than threads.
pub(super) fn hash_by_turns(
    job: &Job<'_>,
    mut next: impl FnMut() -> Option<usize>,
    threads: usize,
    counter: &Counter<'_>,
) -> Vec<(usize, Result<Outcome, Why>)> {
    let at_once = if job.units.len() > threads { AT_ONCE } else { 1 };
    let (mut results, mut lanes, mut spare) = (Vec::new(), Vec::<Lane<'_>>::new(), Vec::new());
    loop {
        while lanes.len() < at_once
            && let Some(index) = next()
        {
            let Some(unit) = job.units.get(index) else { continue };
            let buffer = spare.pop().unwrap_or_else(|| vec![0; BUFFER]);
            match Lane::open(job, index, unit, buffer) {
                Ok(lane) => lanes.push(lane),
                Err(why) => results.push((index, Err(why))),
            }
        }
        if lanes.is_empty() {
            return results;
        }
        let (mut at, under_way) = (0, lanes.len());
        while let Some(lane) = lanes.get_mut(at) {
            match lane.fill(counter) {
                Err(why) => {
                    let lane = lanes.remove(at);
                    results.push((lane.index, Err(why)));
                    spare.push(lane.buffer);
                }
                Ok(()) if lane.is_done() => {
                    let (index, outcome, buffer) = lanes.remove(at).finish();
                    results.push((index, outcome));
                    spare.push(buffer);
                }
                Ok(()) => at += 1,
            }
        }
        // Where one has just ended, the next takes its place first, so that they are two again.
        if lanes.len() == under_way {
            hash(&mut lanes);
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn digests_are_those_of_the_library_at_every_length() {
        let bytes: Vec<u8> = (0..400_u16).map(|byte| byte as u8).collect();
        for length in 0..=bytes.len() {
            let (blocks, rest) = bytes[..length].as_chunks();
            let mut hasher = Sha256::new();
            hasher.update(blocks);
            assert_eq!(hasher.finish(rest), *sha2::Sha256::digest(&bytes[..length]), "{length} bytes");
        }
    }
}
