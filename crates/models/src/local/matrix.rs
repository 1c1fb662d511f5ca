//! Weight matrices packed for the kernels, and activations quantised for them.

use archmage::prelude::*;
use rayon::prelude::*;

use super::gguf::GgufError;
use super::kernel::{self, BLOCK, BLOCK_BYTES_4, BLOCK_BYTES_8, GROUPS, LANES, Panel, Row};
use super::quant::{Block, Format};

/// A weight matrix: `outputs` × `inputs`.
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    weights: Weights,
}

enum Weights {
    Four { quants: Vec<[u8; BLOCK_BYTES_4]>, scales: Vec<[f32; LANES]>, mins: Vec<[f32; LANES]> },
    Eight { quants: Vec<[u8; BLOCK_BYTES_8]>, scales: Vec<[f32; LANES]>, mins: Vec<[f32; LANES]> },
    Halves { quants: Vec<[u8; BLOCK_BYTES_8]>, scales: Vec<[[f32; LANES]; 2]>, mins: Vec<[[f32; LANES]; 2]> },
    Float { weights: Vec<[f32; LANES]> },
}

/// Rows of activations, plain and quantised.
pub struct Activations<'a> {
    floats: Vec<&'a [f32]>,
    words: Vec<[i32; GROUPS]>,
    scales: Vec<f32>,
    sums: Vec<[f32; 2]>,
    blocks: usize,
}

impl<'a> Activations<'a> {
    /// Quantises rows of `width` numbers: each run of 32 gets the scale max|x|/127.
    pub fn new(rows: &'a [f32], width: usize) -> Self {
        let blocks = width / BLOCK;
        let count = rows.len() / width.max(1);
        let mut words = vec![[0; GROUPS]; count * blocks];
        let mut scales = vec![0.0; count * blocks];
        let mut sums = vec![[0.0; 2]; count * blocks];
        if blocks > 0 && width.is_multiple_of(BLOCK) {
            let each = blocks.max(1024 / count.max(1));
            let parts =
                words.par_chunks_mut(each).zip(scales.par_chunks_mut(each)).zip(sums.par_chunks_mut(each));
            if count < 8 {
                quantise(rows, &mut words, &mut scales, &mut sums);
            } else {
                parts.zip(rows.par_chunks(each * BLOCK)).for_each(|(((words, scales), sums), rows)| {
                    quantise(rows, words, scales, sums);
                });
            }
        }
        Self { floats: rows.chunks_exact(width.max(1)).collect(), words, scales, sums, blocks }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        if self.blocks == 0 {
            return Vec::new();
        }
        let n = self.blocks;
        let parts =
            self.words.chunks_exact(n).zip(self.scales.chunks_exact(n)).zip(self.sums.chunks_exact(n));
        parts.map(|((words, scales), sums)| Row { words, scales, sums }).collect()
    }
}

/// Quantises consecutive blocks of 32 numbers.
#[autoversion(v4, v3, neon, scalar)]
fn quantise(numbers: &[f32], words: &mut [[i32; GROUPS]], scales: &mut [f32], sums: &mut [[f32; 2]]) {
    let outputs = words.iter_mut().zip(scales).zip(sums);
    for (block, ((words, scale), sums)) in numbers.as_chunks::<BLOCK>().0.iter().zip(outputs) {
        let mut largest = [0.0_f32; LANES];
        for half in block.as_chunks::<LANES>().0 {
            for (largest, x) in largest.iter_mut().zip(half) {
                *largest = largest.max(x.abs());
            }
        }
        let largest = largest.into_iter().fold(0.0, f32::max);
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        *scale = largest / 127.0;
        // 1.5 · 2^23: adding it rounds to the nearest integer, ties to even, and leaves it in the low bits.
        let mut bytes = [0_i8; BLOCK];
        for (byte, x) in bytes.iter_mut().zip(block) {
            let [low, ..] = x.mul_add(inverse, 12_582_912.0).to_bits().to_le_bytes();
            *byte = low.cast_signed();
        }
        for (sum, half) in sums.iter_mut().zip(bytes.as_chunks::<LANES>().0) {
            let total: i32 = half.iter().map(|&q| i32::from(q)).sum();
            #[expect(clippy::cast_precision_loss, reason = "at most 16 · 127: exact")]
            let total = total as f32;
            *sum = total * *scale;
        }
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = i32::from_le_bytes(bytes.map(i8::cast_unsigned));
        }
    }
}

impl Matrix {
    /// Packs a tensor's bytes.
    ///
    /// # Errors
    /// If the bytes do not have this shape, or the outputs are no multiple of 16 (no known model's are not).
    pub fn pack(format: Format, bytes: &[u8], inputs: usize, outputs: usize) -> Result<Self, GgufError> {
        let shape =
            || GgufError::Corrupt(format!("a {format:?} matrix of {inputs} inputs and {outputs} outputs"));
        let length = format.bytes_for(&[inputs as u64, outputs as u64]).ok_or_else(shape)?;
        if length != bytes.len() as u64 || outputs == 0 || inputs == 0 || !outputs.is_multiple_of(LANES) {
            return Err(shape());
        }
        let panel_bytes = bytes.len() / (outputs / LANES);
        let weights = if format.is_float() {
            Weights::Float {
                weights: per_panel(bytes, panel_bytes, |part| float_panel(format, part, inputs)),
            }
        } else if format.has_halves() {
            let packed = per_panel(bytes, panel_bytes, |part| panel(format, part, inputs, eight, |x| x));
            let (quants, (scales, mins)) = packed.into_iter().map(|(q, d, m)| (q, (d, m))).unzip();
            Weights::Halves { quants, scales, mins }
        } else if format.is_four_bit() {
            let packed = per_panel(bytes, panel_bytes, |part| panel(format, part, inputs, four, |[x, _]| x));
            let (quants, (scales, mins)) = packed.into_iter().map(|(q, d, m)| (q, (d, m))).unzip();
            Weights::Four { quants, scales, mins }
        } else {
            let packed = per_panel(bytes, panel_bytes, |part| panel(format, part, inputs, eight, |[x, _]| x));
            let (quants, (scales, mins)) = packed.into_iter().map(|(q, d, m)| (q, (d, m))).unzip();
            Weights::Eight { quants, scales, mins }
        };
        Ok(Self { inputs, outputs, weights })
    }

    /// One matrix over the other, as if their outputs had been one list: one pass instead of several.
    /// Matrices of different formats stay apart.
    pub fn stack(parts: Vec<Self>) -> Vec<Self> {
        let mut stacked: Vec<Self> = Vec::new();
        for part in parts {
            let same = stacked.last().is_some_and(|last| {
                last.inputs == part.inputs
                    && std::mem::discriminant(&last.weights) == std::mem::discriminant(&part.weights)
            });
            match stacked.last_mut() {
                Some(last) if same => last.append(part),
                _ => stacked.push(part),
            }
        }
        stacked
    }

    fn append(&mut self, other: Self) {
        self.outputs += other.outputs;
        match (&mut self.weights, other.weights) {
            (Weights::Four { quants, scales, mins }, Weights::Four { quants: q, scales: s, mins: m }) => {
                quants.extend(q);
                scales.extend(s);
                mins.extend(m);
            }
            (Weights::Eight { quants, scales, mins }, Weights::Eight { quants: q, scales: s, mins: m }) => {
                quants.extend(q);
                scales.extend(s);
                mins.extend(m);
            }
            (Weights::Halves { quants, scales, mins }, Weights::Halves { quants: q, scales: s, mins: m }) => {
                quants.extend(q);
                scales.extend(s);
                mins.extend(m);
            }
            (Weights::Float { weights }, Weights::Float { weights: w }) => weights.extend(w),
            // INVARIANT: `stack` only joins matrices of one kind.
            _ => {}
        }
    }

    /// Width of a row of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    fn panel(&self, index: usize) -> Option<Panel<'_>> {
        let blocks = self.inputs / BLOCK;
        let span = index * blocks..(index + 1) * blocks;
        Some(match &self.weights {
            Weights::Four { quants, scales, mins } => Panel::Four {
                quants: quants.get(span.clone())?,
                scales: scales.get(span.clone())?,
                mins: mins.get(span)?,
            },
            Weights::Eight { quants, scales, mins } => Panel::Eight {
                quants: quants.get(span.clone())?,
                scales: scales.get(span.clone())?,
                mins: mins.get(span)?,
            },
            Weights::Halves { quants, scales, mins } => Panel::EightHalves {
                quants: quants.get(span.clone())?,
                scales: scales.get(span.clone())?,
                mins: mins.get(span)?,
            },
            Weights::Float { weights } => {
                Panel::Float { weights: weights.get(index * self.inputs..(index + 1) * self.inputs)? }
            }
        })
    }

    /// `out[r][column..column + outputs] = self · x[r]`; `out` has rows of `stride` numbers.
    pub fn multiply(&self, x: &Activations<'_>, out: &mut [f32], stride: usize, column: usize) {
        let rows = x.rows();
        let count = x.floats.len();
        let threads = rayon::current_num_threads();
        // Many rows: each thread takes some rows and all weights, and writes its rows in place. Few rows: each
        // takes all rows and some panels, and the small result is put in place afterwards.
        if count >= 8 * threads && threads > 1 {
            let share = count.div_ceil(threads).next_multiple_of(4);
            out.par_chunks_mut(share * stride).enumerate().for_each(|(part, out)| {
                let rows = rows.get(part * share..).unwrap_or_default();
                let floats = x.floats.get(part * share..).unwrap_or_default();
                let count = out.len() / stride;
                let rows = rows.get(..count).unwrap_or(rows);
                let floats = floats.get(..count).unwrap_or(floats);
                let mut buffer = vec![[0.0; LANES]; count];
                for index in 0..self.outputs / LANES {
                    let Some(panel) = self.panel(index) else { return };
                    kernel::multiply(panel, rows, floats, &mut buffer);
                    scatter(&buffer, out, stride, column + index * LANES);
                }
            });
        } else {
            let panels = self.outputs / LANES;
            let share = panels.div_ceil(threads);
            let mut buffer = vec![[0.0; LANES]; panels * count];
            let work = |part: usize, buffer: &mut [[f32; LANES]]| {
                for (offset, buffer) in buffer.chunks_mut(count).enumerate() {
                    let Some(panel) = self.panel(part * share + offset) else { return };
                    kernel::multiply(panel, &rows, &x.floats, buffer);
                }
            };
            if threads == 1 || panels < 2 * threads {
                work(0, &mut buffer);
            } else {
                buffer
                    .par_chunks_mut(share * count)
                    .enumerate()
                    .for_each(|(part, buffer)| work(part, buffer));
            }
            for (index, buffer) in buffer.chunks(count).enumerate() {
                scatter(buffer, out, stride, column + index * LANES);
            }
        }
    }
}

fn scatter(buffer: &[[f32; LANES]], out: &mut [f32], stride: usize, column: usize) {
    for (lanes, row) in buffer.iter().zip(out.chunks_mut(stride)) {
        if let Some(place) = row.get_mut(column..column + LANES) {
            place.copy_from_slice(lanes);
        }
    }
}

fn per_panel<T: Send>(
    bytes: &[u8],
    panel_bytes: usize,
    pack: impl Fn(&[u8]) -> Vec<T> + Send + Sync,
) -> Vec<T> {
    bytes.par_chunks(panel_bytes).flat_map_iter(pack).collect()
}

fn float_panel(format: Format, bytes: &[u8], inputs: usize) -> Vec<[f32; LANES]> {
    let numbers = format.floats(bytes);
    let mut packed = vec![[0.0; LANES]; inputs];
    for (lane, row) in numbers.chunks_exact(inputs).enumerate() {
        for (packed, &x) in packed.iter_mut().zip(row) {
            if let Some(place) = packed.get_mut(lane) {
                *place = x;
            }
        }
    }
    packed
}

/// Packs sixteen rows of blocks: for each block of inputs, the quants of all rows and their scales and minima.
fn panel<Q, S: Copy>(
    format: Format,
    bytes: &[u8],
    inputs: usize,
    quants: impl Fn(&[Block; LANES]) -> Q,
    shape: impl Fn([[f32; LANES]; 2]) -> S,
) -> Vec<(Q, S, S)> {
    let blocks = format.unpack(bytes);
    let width = inputs / BLOCK;
    let rows: Vec<&[Block]> = blocks.chunks_exact(width).collect();
    (0..width)
        .filter_map(|column| {
            let column: Vec<Block> = rows.iter().filter_map(|row| row.get(column)).copied().collect();
            let column: [Block; LANES] = column.try_into().ok()?;
            let half = |pick: fn(&Block) -> [f32; 2]| {
                shape([column.map(|b| pick(&b)).map(|[x, _]| x), column.map(|b| pick(&b)).map(|[_, x]| x)])
            };
            Some((quants(&column), half(|b| b.d), half(|b| b.m)))
        })
        .collect()
}

fn eight(column: &[Block; LANES]) -> [u8; BLOCK_BYTES_8] {
    let mut packed = [0; BLOCK_BYTES_8];
    for (lane, block) in column.iter().enumerate() {
        for (group, bytes) in block.u.as_chunks::<4>().0.iter().enumerate() {
            let start = group * kernel::GROUP_BYTES + lane * kernel::GROUP;
            if let Some(place) = packed.get_mut(start..start + kernel::GROUP) {
                place.copy_from_slice(bytes);
            }
        }
    }
    packed
}

fn four(column: &[Block; LANES]) -> [u8; BLOCK_BYTES_4] {
    let bytes = eight(column);
    let mut packed = [0; BLOCK_BYTES_4];
    let (low, high) = bytes.split_at(BLOCK_BYTES_4);
    for ((packed, low), high) in packed.iter_mut().zip(low).zip(high) {
        *packed = low | high << 4;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(n: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                (state >> 40) as u8
            })
            .collect()
    }

    /// Random bytes with the scales made small and finite.
    fn tensor(format: Format, inputs: usize, outputs: usize) -> Vec<u8> {
        let (_, size) = format.block();
        let mut bytes = bytes_of(format.bytes_for(&[inputs as u64, outputs as u64]).unwrap() as usize, 3);
        let scale = half::f16::from_f32(0.01).to_le_bytes();
        for block in bytes.chunks_mut(size) {
            match format {
                Format::Q6_K => block[208..].copy_from_slice(&scale),
                Format::Q4_1 | Format::Q5_1 | Format::Q4_K | Format::Q5_K => {
                    block[..2].copy_from_slice(&scale);
                    block[2..4].copy_from_slice(&scale);
                }
                Format::F32 => block.copy_from_slice(&(f32::from(block[0]) / 128.0 - 1.0).to_le_bytes()),
                Format::F16 => {
                    block.copy_from_slice(&half::f16::from_f32(f32::from(block[0]) / 128.0).to_le_bytes())
                }
                Format::BF16 => {
                    block.copy_from_slice(&half::bf16::from_f32(f32::from(block[0])).to_le_bytes())
                }
                _ => block[..2].copy_from_slice(&scale),
            }
        }
        bytes
    }

    /// The product is right to within what quantising the activations costs, whatever the format.
    #[test]
    fn agrees_with_plain_arithmetic() {
        let (inputs, outputs, rows) = (512, 48, 19);
        let x: Vec<f32> = bytes_of(inputs * rows, 11).iter().map(|&b| f32::from(b) / 128.0 - 1.0).collect();
        for format in [
            Format::F32,
            Format::F16,
            Format::BF16,
            Format::Q4_0,
            Format::Q4_1,
            Format::Q5_0,
            Format::Q5_1,
            Format::Q8_0,
            Format::Q4_K,
            Format::Q5_K,
            Format::Q6_K,
        ] {
            let bytes = tensor(format, inputs, outputs);
            let plain: Vec<f32> = if format.is_float() {
                format.floats(&bytes)
            } else {
                format.unpack(&bytes).iter().flat_map(|b| b.numbers().collect::<Vec<_>>()).collect()
            };
            let matrix = Matrix::pack(format, &bytes, inputs, outputs).unwrap();
            let mut out = vec![0.0; rows * outputs];
            matrix.multiply(&Activations::new(&x, inputs), &mut out, outputs, 0);
            let mut alone = vec![0.0; outputs];
            for r in 0..rows {
                matrix.multiply(
                    &Activations::new(&x[r * inputs..][..inputs], inputs),
                    &mut alone,
                    outputs,
                    0,
                );
                assert_eq!(
                    alone,
                    out[r * outputs..][..outputs],
                    "{format:?}: a row alone differs from the batch"
                );
                for o in 0..outputs {
                    let terms =
                        (0..inputs).map(|i| f64::from(plain[o * inputs + i]) * f64::from(x[r * inputs + i]));
                    let (expect, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t * t));
                    let error = (f64::from(out[r * outputs + o]) - expect).abs();
                    assert!(error <= 0.02 * size.sqrt() + 1e-4, "{format:?} [{r}][{o}]: {error} of {expect}");
                }
            }
        }
    }
}
