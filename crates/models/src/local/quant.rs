//! The block formats of ggml: how quantised numbers are written in a file.
//!
//! Every integer format here is affine: a number is d·u + m, with an unsigned u of at most eight bits, and d and m
//! shared by a run of 32 numbers (Q6_K: 16). [`Format::unpack`] gives u, d and m as they are, so that nothing is
//! rounded a second time.

use half::{bf16, f16};

/// Numbers in a plain block.
pub const BLOCK: usize = 32;
/// Numbers in a K-quant super-block.
const SUPER: usize = 256;

/// How the numbers of a tensor are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "these are ggml's own names")]
#[expect(non_camel_case_types, reason = "these are ggml's own names")]
pub enum Format {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// 32 numbers: `d[h]·u[i] + m[h]`, where h is 0 for the first sixteen and 1 for the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// Unsigned quants.
    pub u: [u8; BLOCK],
    /// Scale of each half.
    pub d: [f32; 2],
    /// Minimum of each half.
    pub m: [f32; 2],
}

impl Format {
    /// All names, for messages.
    pub const NAMES: &'static str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";

    /// From ggml's number.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// Numbers per block and bytes per block.
    pub const fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (BLOCK, 18),
            Self::Q4_1 => (BLOCK, 20),
            Self::Q5_0 => (BLOCK, 22),
            Self::Q5_1 => (BLOCK, 24),
            Self::Q8_0 => (BLOCK, 34),
            Self::Q4_K => (SUPER, 144),
            Self::Q5_K => (SUPER, 176),
            Self::Q6_K => (SUPER, 210),
        }
    }

    /// Whether the quants fit four bits.
    pub const fn is_four_bit(self) -> bool {
        matches!(self, Self::Q4_0 | Self::Q4_1 | Self::Q4_K)
    }

    /// Whether scale and minimum change after sixteen numbers.
    pub const fn has_halves(self) -> bool {
        matches!(self, Self::Q6_K)
    }

    /// Whether the numbers are floating-point.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// The bytes that a tensor of this shape takes; `None` if no tensor has this shape.
    pub fn bytes_for(self, dimensions: &[u64]) -> Option<u64> {
        let (numbers, bytes) = self.block();
        let row = dimensions.first().copied().unwrap_or(1);
        let total = dimensions.iter().try_fold(1_u64, |product, &n| product.checked_mul(n))?;
        (row.is_multiple_of(numbers as u64)).then_some(())?;
        (total / numbers as u64).checked_mul(bytes as u64)
    }

    /// Numbers of a floating-point tensor. Empty for the integer formats.
    pub fn floats(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Self::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            _ => Vec::new(),
        }
    }

    /// The blocks of 32 of a tensor in an integer format, in order. Empty for the floating-point formats.
    pub fn unpack(self, bytes: &[u8]) -> Vec<Block> {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => Vec::new(),
            Self::Q4_0 => bytes.as_chunks::<18>().0.iter().map(q4_0).collect(),
            Self::Q4_1 => bytes.as_chunks::<20>().0.iter().map(q4_1).collect(),
            Self::Q5_0 => bytes.as_chunks::<22>().0.iter().map(q5_0).collect(),
            Self::Q5_1 => bytes.as_chunks::<24>().0.iter().map(q5_1).collect(),
            Self::Q8_0 => bytes.as_chunks::<34>().0.iter().map(q8_0).collect(),
            Self::Q4_K => bytes.as_chunks::<144>().0.iter().flat_map(q4_k).collect(),
            Self::Q5_K => bytes.as_chunks::<176>().0.iter().flat_map(q5_k).collect(),
            Self::Q6_K => bytes.as_chunks::<210>().0.iter().flat_map(q6_k).collect(),
        }
    }
}

impl Block {
    fn uniform(u: [u8; BLOCK], d: f32, m: f32) -> Self {
        Self { u, d: [d; 2], m: [m; 2] }
    }

    /// The 32 numbers.
    pub fn numbers(&self) -> impl Iterator<Item = f32> {
        let [d0, d1] = self.d;
        let [m0, m1] = self.m;
        self.u.iter().enumerate().map(move |(i, &u)| {
            let (d, m) = if i < BLOCK / 2 { (d0, m0) } else { (d1, m1) };
            f32::from(u).mul_add(d, m)
        })
    }
}

/// Splits a fixed-size block into the parts of the format. The sizes are checked when the program is compiled.
macro_rules! parts {
    ($bytes:expr => $($name:ident : $size:expr),+ $(,)?) => {
        let mut rest: &[u8] = $bytes;
        $(
            // INVARIANT: the sizes add up to the block's, so the split never fails.
            let ($name, tail): (&[u8; $size], &[u8]) = rest.split_first_chunk().unwrap_or((&[0; $size], &[]));
            rest = tail;
        )+
        let _ = rest;
    };
}

fn scale(bytes: &[u8; 2]) -> f32 {
    f16::from_le_bytes(*bytes).to_f32()
}

/// ggml's order of nibbles: the low ones are the first half of the block.
fn nibbles(packed: &[u8; 16]) -> [u8; BLOCK] {
    let mut u = [0; BLOCK];
    let (low, high) = u.split_at_mut(BLOCK / 2);
    for ((byte, low), high) in packed.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    u
}

/// Adds a fifth bit to each quant: bit i of `bits`.
fn fifth_bits(mut u: [u8; BLOCK], bits: &[u8; 4]) -> [u8; BLOCK] {
    let bits = u32::from_le_bytes(*bits);
    for (i, u) in u.iter_mut().enumerate() {
        *u |= u8::from(bits >> i & 1 == 1) << 4;
    }
    u
}

fn q4_0(block: &[u8; 18]) -> Block {
    parts!(block => d: 2, packed: 16);
    let d = scale(d);
    Block::uniform(nibbles(packed), d, -8.0 * d)
}

fn q4_1(block: &[u8; 20]) -> Block {
    parts!(block => d: 2, m: 2, packed: 16);
    Block::uniform(nibbles(packed), scale(d), scale(m))
}

fn q5_0(block: &[u8; 22]) -> Block {
    parts!(block => d: 2, bits: 4, packed: 16);
    let d = scale(d);
    Block::uniform(fifth_bits(nibbles(packed), bits), d, -16.0 * d)
}

fn q5_1(block: &[u8; 24]) -> Block {
    parts!(block => d: 2, m: 2, bits: 4, packed: 16);
    Block::uniform(fifth_bits(nibbles(packed), bits), scale(d), scale(m))
}

fn q8_0(block: &[u8; 34]) -> Block {
    parts!(block => d: 2, q: 32);
    let d = scale(d);
    Block::uniform(q.map(|byte| byte.wrapping_add(128)), d, -128.0 * d)
}

/// The eight six-bit scales and minima of a K-quant super-block.
fn k_scales(packed: &[u8; 12]) -> [(u8, u8); 8] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *packed;
    let low = |a: u8, b: u8| (a & 63, b & 63);
    let high = |a: u8, b: u8, c: u8| ((c & 15) | (a >> 6 << 4), (c >> 4) | (b >> 6 << 4));
    [
        low(a0, b0),
        low(a1, b1),
        low(a2, b2),
        low(a3, b3),
        high(a0, b0, c0),
        high(a1, b1, c1),
        high(a2, b2, c2),
        high(a3, b3, c3),
    ]
}

/// The 32 quants of each of the eight sub-blocks: 32 bytes hold a pair of sub-blocks, low nibbles first.
fn k_nibbles(packed: &[u8; 128]) -> [[u8; BLOCK]; 8] {
    let mut all = [[0; BLOCK]; 8];
    for (bytes, pair) in packed.as_chunks::<32>().0.iter().zip(all.as_chunks_mut::<2>().0) {
        *pair = [bytes.map(|b| b & 15), bytes.map(|b| b >> 4)];
    }
    all
}

fn k_blocks(u: [[u8; BLOCK]; 8], scales: &[u8; 12], d: &[u8; 2], dmin: &[u8; 2]) -> Vec<Block> {
    let (d, dmin) = (scale(d), scale(dmin));
    u.into_iter()
        .zip(k_scales(scales))
        .map(|(u, (s, m))| Block::uniform(u, d * f32::from(s), -dmin * f32::from(m)))
        .collect()
}

fn q4_k(block: &[u8; 144]) -> Vec<Block> {
    parts!(block => d: 2, dmin: 2, scales: 12, packed: 128);
    k_blocks(k_nibbles(packed), scales, d, dmin)
}

fn q5_k(block: &[u8; 176]) -> Vec<Block> {
    parts!(block => d: 2, dmin: 2, scales: 12, bits: 32, packed: 128);
    let mut u = k_nibbles(packed);
    for (i, u) in u.iter_mut().enumerate() {
        for (u, bits) in u.iter_mut().zip(bits) {
            *u |= (bits >> i & 1) << 4;
        }
    }
    k_blocks(u, scales, d, dmin)
}

fn q6_k(block: &[u8; 210]) -> Vec<Block> {
    parts!(block => low: 128, high: 64, scales: 16, d: 2);
    let d = scale(d);
    let mut blocks = Vec::with_capacity(8);
    // Two halves of 128 numbers; in each, 64 low bytes and 32 high bytes make four blocks of 32.
    let halves = low.as_chunks::<64>().0.iter().zip(high.as_chunks::<32>().0).zip(scales.as_chunks::<8>().0);
    for ((low, high), scales) in halves {
        let Some((first, second)) = low.split_first_chunk::<32>() else { continue };
        for (i, pair) in scales.as_chunks::<2>().0.iter().enumerate() {
            let mut u = [0; BLOCK];
            for (j, (u, high)) in u.iter_mut().zip(high).enumerate() {
                let source = if i % 2 == 0 { first.get(j) } else { second.get(j) };
                let byte = source.copied().unwrap_or(0);
                let nibble = if i < 2 { byte & 15 } else { byte >> 4 };
                *u = nibble | (high >> (2 * i) & 3) << 4;
            }
            let d = pair.map(|s| d * f32::from(s.cast_signed()));
            blocks.push(Block { u, d, m: d.map(|d| -32.0 * d) });
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_by_hand() {
        let half = |x: f32| f16::from_f32(x).to_le_bytes();
        // Q4_0: scale 0.5, quants 0..15 in the low nibbles, 15 in all high ones.
        let mut block = [0; 18];
        block[..2].copy_from_slice(&half(0.5));
        for (i, byte) in block[2..].iter_mut().enumerate() {
            *byte = i as u8 | 0xf0;
        }
        let numbers: Vec<f32> = q4_0(&block).numbers().collect();
        assert_eq!(numbers[..3], [-4.0, -3.5, -3.0]);
        assert!(numbers[16..].iter().all(|&x| x == 3.5));

        // Q8_0: scale 2, quants -128, 127, 0…
        let mut block = [0; 34];
        block[..2].copy_from_slice(&half(2.0));
        block[2] = 128;
        block[3] = 127;
        let numbers: Vec<f32> = q8_0(&block).numbers().collect();
        assert_eq!(numbers[..3], [-256.0, 254.0, 0.0]);
    }

    #[test]
    fn shapes_that_cannot_be() {
        assert_eq!(Format::Q4_0.bytes_for(&[33, 2]), None);
        assert_eq!(Format::Q4_K.bytes_for(&[256, 2]), Some(288));
        assert_eq!(Format::F32.bytes_for(&[u64::MAX, 2]), None);
    }
}
