//! The inner loops: integer dot products of packed weights with quantised activations.
//!
//! *Invariant:* every variant gives the same bits. The integer sums are exact, and the floating-point steps
//! are the same operations in the same order, one lane per output, so a result depends neither on the CPU nor
//! on what else is in the batch. `tests::variants_agree` keeps it so.
//!
//! Layout. Weights come in *panels* of [`LANES`] outputs. Within a panel the inputs run in *groups* of four
//! (one 32-bit lane of four bytes per output) and *blocks* of [`BLOCK`] inputs that share a scale `d` and a
//! minimum `m` per output: weight = d·u + m, with u unsigned. A block's share of an output is
//! `d·sx·Σ(u·q) + m·sx·Σq`, where the activations are `sx·q` with signed eight-bit `q`.

use archmage::prelude::*;

/// Outputs per panel.
pub const LANES: usize = 16;
/// Inputs per block.
pub const BLOCK: usize = 32;
/// Inputs per group.
pub const GROUP: usize = 4;
/// Groups per block.
pub const GROUPS: usize = BLOCK / GROUP;
/// Bytes of one group of one panel.
pub const GROUP_BYTES: usize = LANES * GROUP;
/// Bytes of a block of four-bit weights: byte i of a half-block holds group g in its low and group g + 4 in
/// its high nibble.
pub const BLOCK_BYTES_4: usize = LANES * BLOCK / 2;
/// Bytes of a block of eight-bit weights.
pub const BLOCK_BYTES_8: usize = LANES * BLOCK;

/// A row of activations in quantised form.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Four signed bytes a word, little end first; [`GROUPS`] words a block.
    pub words: &'a [[i32; GROUPS]],
    /// Scale of each block.
    pub scales: &'a [f32],
    /// scale · Σq of each half of each block (the halves differ where a format scales sixteen inputs).
    pub sums: &'a [[f32; 2]],
}

/// One panel of packed weights.
#[derive(Clone, Copy)]
pub enum Panel<'a> {
    /// Four-bit quants.
    Four {
        /// One entry a block.
        quants: &'a [[u8; BLOCK_BYTES_4]],
        /// Scales of each block.
        scales: &'a [[f32; LANES]],
        /// Minima of each block.
        mins: &'a [[f32; LANES]],
    },
    /// Eight-bit quants.
    Eight {
        /// One entry a block.
        quants: &'a [[u8; BLOCK_BYTES_8]],
        /// Scales of each block.
        scales: &'a [[f32; LANES]],
        /// Minima of each block.
        mins: &'a [[f32; LANES]],
    },
    /// Eight-bit quants with scale and minimum for each half-block of sixteen inputs.
    EightHalves {
        /// One entry a block.
        quants: &'a [[u8; BLOCK_BYTES_8]],
        /// Scales of each half-block.
        scales: &'a [[[f32; LANES]; 2]],
        /// Minima of each half-block.
        mins: &'a [[[f32; LANES]; 2]],
    },
    /// Plain numbers, `[input][output]`.
    Float {
        /// One entry an input.
        weights: &'a [[f32; LANES]],
    },
}

/// `out[r] = panel · rows[r]` for every row.
pub fn multiply(panel: Panel<'_>, rows: &[Row<'_>], floats: &[&[f32]], out: &mut [[f32; LANES]]) {
    match panel {
        Panel::Four { quants, scales, mins } => {
            incant!(four(quants, scales, mins, rows, out), [v4x, v3, scalar]);
        }
        Panel::Eight { quants, scales, mins } => {
            incant!(eight(quants, scales, mins, rows, out), [v4x, v3, scalar]);
        }
        Panel::EightHalves { quants, scales, mins } => {
            incant!(eight_halves(quants, scales, mins, rows, out), [v4x, v3, scalar]);
        }
        Panel::Float { weights } => float(weights, floats, out),
    }
}

/// Calls `$tile::<N>` for runs of eight rows, then four, two and one: a block of weights is unpacked once for all
/// rows of a tile.
macro_rules! by_tiles {
    ($rows:ident, $out:ident, $tile:ident, $($argument:ident),*) => {
        by_tiles!(@sizes $rows, $out, $tile, ($($argument),*), 8, 4, 2, 1)
    };
    (@sizes $rows:ident, $out:ident, $tile:ident, $arguments:tt, $($size:literal),*) => {
        let mut at = 0;
        $(while let (Some(tile), Some(place)) = (
            $rows.get(at..).and_then(|rows| rows.first_chunk::<$size>()),
            $out.get_mut(at..).and_then(|out| out.first_chunk_mut::<$size>()),
        ) {
            by_tiles!(@call $tile, $size, $arguments, tile, place);
            at += $size;
        })*
        let _ = at;
    };
    (@call $tile:ident, $size:literal, ($($argument:ident),*), $rows:ident, $out:ident) => {
        $tile::<$size>($($argument,)* $rows, $out);
    };
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    //! AVX-512 with VNNI: one instruction multiplies and adds 64 pairs of bytes.

    use super::*;

    #[rite(v4x, import_intrinsics)]
    fn unpack(quants: &[u8; BLOCK_BYTES_4]) -> [__m512i; GROUPS] {
        let nibble = _mm512_set1_epi8(15);
        let low = |packed: &[u8; GROUP_BYTES]| _mm512_and_si512(_mm512_loadu_si512(packed), nibble);
        let high = |packed: &[u8; GROUP_BYTES]| {
            _mm512_and_si512(_mm512_srli_epi16::<4>(_mm512_loadu_si512(packed)), nibble)
        };
        // INVARIANT: a block of four-bit weights is four groups of bytes.
        match quants.as_chunks::<GROUP_BYTES>().0 {
            [a, b, c, d] => [low(a), low(b), low(c), low(d), high(a), high(b), high(c), high(d)],
            _ => [_mm512_setzero_si512(); GROUPS],
        }
    }

    #[rite(v4x, import_intrinsics)]
    fn load(quants: &[u8; BLOCK_BYTES_8]) -> [__m512i; GROUPS] {
        let group = |bytes: &[u8; GROUP_BYTES]| _mm512_loadu_si512(bytes);
        // INVARIANT: a block of eight-bit weights is eight groups of bytes.
        match quants.as_chunks::<GROUP_BYTES>().0 {
            [a, b, c, d, e, f, g, h] => {
                [group(a), group(b), group(c), group(d), group(e), group(f), group(g), group(h)]
            }
            _ => [_mm512_setzero_si512(); GROUPS],
        }
    }

    /// Σ u·q over the groups, in two chains so that their latencies overlap.
    #[rite(v4x, import_intrinsics)]
    fn dot(weights: &[__m512i], words: &[i32]) -> __m512i {
        let mut sums = [_mm512_setzero_si512(); 2];
        for (weights, words) in weights.as_chunks::<2>().0.iter().zip(words.as_chunks::<2>().0) {
            for ((sum, weights), &word) in sums.iter_mut().zip(weights).zip(words) {
                *sum = _mm512_dpbusd_epi32(*sum, *weights, _mm512_set1_epi32(word));
            }
        }
        let [even, odd] = sums;
        _mm512_add_epi32(even, odd)
    }

    #[rite(v4x, import_intrinsics)]
    fn add(acc: __m512, isum: __m512i, d: __m512, m: __m512, scale: f32, sum: f32) -> __m512 {
        let product = _mm512_mul_ps(_mm512_cvtepi32_ps(isum), d);
        let acc = _mm512_fmadd_ps(product, _mm512_set1_ps(scale), acc);
        _mm512_fmadd_ps(m, _mm512_set1_ps(sum), acc)
    }

    #[rite(v4x, import_intrinsics)]
    fn blocks<const T: usize, Q>(
        quants: &[Q],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        weights_of: impl Fn(&Q) -> [__m512i; GROUPS],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        let mut acc = [_mm512_setzero_ps(); T];
        for (block, ((quants, d), m)) in quants.iter().zip(scales).zip(mins).enumerate() {
            let weights = weights_of(quants);
            let (d, m) = (_mm512_loadu_ps(d), _mm512_loadu_ps(m));
            for (row, acc) in rows.iter().zip(&mut acc) {
                if let (Some(words), Some(&scale), Some(&[first, second])) =
                    (row.words.get(block), row.scales.get(block), row.sums.get(block))
                {
                    *acc = add(*acc, dot(&weights, words), d, m, scale, first + second);
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out) {
            _mm512_storeu_ps(out, acc);
        }
    }

    #[rite(v4x, import_intrinsics)]
    fn tile_four<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_4]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        blocks(
            quants,
            scales,
            mins,
            #[inline(always)]
            |q| unpack(q),
            rows,
            out,
        );
    }

    #[rite(v4x, import_intrinsics)]
    fn tile_eight<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        blocks(
            quants,
            scales,
            mins,
            #[inline(always)]
            |q| load(q),
            rows,
            out,
        );
    }

    #[rite(v4x, import_intrinsics)]
    fn tile_halves<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[[f32; LANES]; 2]],
        mins: &[[[f32; LANES]; 2]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        let mut acc = [_mm512_setzero_ps(); T];
        for (block, ((quants, d), m)) in quants.iter().zip(scales).zip(mins).enumerate() {
            let weights = load(quants);
            let halves = weights.as_chunks::<{ GROUPS / 2 }>().0;
            for (row, acc) in rows.iter().zip(&mut acc) {
                if let (Some(words), Some(&scale), Some(sums)) =
                    (row.words.get(block), row.scales.get(block), row.sums.get(block))
                {
                    let words = words.as_chunks::<{ GROUPS / 2 }>().0;
                    for ((((weights, words), d), m), &sum) in halves.iter().zip(words).zip(d).zip(m).zip(sums)
                    {
                        *acc = add(
                            *acc,
                            dot(weights, words),
                            _mm512_loadu_ps(d),
                            _mm512_loadu_ps(m),
                            scale,
                            sum,
                        );
                    }
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out) {
            _mm512_storeu_ps(out, acc);
        }
    }

    #[arcane]
    pub fn four_v4x(
        _token: X64V4xToken,
        quants: &[[u8; BLOCK_BYTES_4]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_four, quants, scales, mins);
    }

    #[arcane]
    pub fn eight_v4x(
        _token: X64V4xToken,
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_eight, quants, scales, mins);
    }

    #[arcane]
    pub fn eight_halves_v4x(
        _token: X64V4xToken,
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[[f32; LANES]; 2]],
        mins: &[[[f32; LANES]; 2]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_halves, quants, scales, mins);
    }
}
#[cfg(target_arch = "x86_64")]
use vnni::{eight_halves_v4x, eight_v4x, four_v4x};

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! AVX2: nibbles times bytes fit sixteen bits eight groups deep (15 · 127 · 2 · 8 < 2^15), so a block of
    //! four-bit weights needs one widening at its end. Eight-bit weights are taken as two nibbles.

    use super::*;

    /// Eight of a panel's outputs: its lower or upper half.
    const HALF: usize = LANES / 2;

    /// The nibbles of one half-panel's block: low nibbles, or high.
    type Nibbles = [__m256i; GROUPS];

    #[rite(v3, import_intrinsics)]
    fn half_of(bytes: &[u8; GROUP_BYTES], half: usize) -> __m256i {
        match (bytes.as_chunks::<32>().0, half) {
            ([lower, _], 0) => _mm256_loadu_si256(lower),
            ([_, upper], _) => _mm256_loadu_si256(upper),
            _ => _mm256_setzero_si256(),
        }
    }

    #[rite(v3, import_intrinsics)]
    fn split(bytes: __m256i) -> (__m256i, __m256i) {
        let nibble = _mm256_set1_epi8(15);
        (_mm256_and_si256(bytes, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble))
    }

    #[rite(v3, import_intrinsics)]
    fn unpack_four(quants: &[u8; BLOCK_BYTES_4], half: usize) -> Nibbles {
        let mut weights = [_mm256_setzero_si256(); GROUPS];
        let (low, high) = weights.split_at_mut(GROUPS / 2);
        for ((bytes, low), high) in quants.as_chunks::<GROUP_BYTES>().0.iter().zip(low).zip(high) {
            (*low, *high) = split(half_of(bytes, half));
        }
        weights
    }

    #[rite(v3, import_intrinsics)]
    fn unpack_eight(quants: &[u8; BLOCK_BYTES_8], half: usize) -> (Nibbles, Nibbles) {
        let (mut low, mut high) = ([_mm256_setzero_si256(); GROUPS], [_mm256_setzero_si256(); GROUPS]);
        for ((bytes, low), high) in quants.as_chunks::<GROUP_BYTES>().0.iter().zip(&mut low).zip(&mut high) {
            (*low, *high) = split(half_of(bytes, half));
        }
        (low, high)
    }

    #[rite(v3, import_intrinsics)]
    fn dot(weights: &[__m256i], words: &[i32]) -> __m256i {
        let mut sum = _mm256_setzero_si256();
        for (&weights, &word) in weights.iter().zip(words) {
            sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, _mm256_set1_epi32(word)));
        }
        _mm256_madd_epi16(sum, _mm256_set1_epi16(1))
    }

    #[rite(v3, import_intrinsics)]
    fn dot_eight(low: &[__m256i], high: &[__m256i], words: &[i32]) -> __m256i {
        _mm256_add_epi32(dot(low, words), _mm256_slli_epi32::<4>(dot(high, words)))
    }

    #[rite(v3, import_intrinsics)]
    fn load_half(lanes: &[f32; LANES], half: usize) -> __m256 {
        match (lanes.as_chunks::<HALF>().0, half) {
            ([lower, _], 0) => _mm256_loadu_ps(lower),
            ([_, upper], _) => _mm256_loadu_ps(upper),
            _ => _mm256_setzero_ps(),
        }
    }

    #[rite(v3, import_intrinsics)]
    fn add(acc: __m256, isum: __m256i, d: __m256, m: __m256, scale: f32, sum: f32) -> __m256 {
        let product = _mm256_mul_ps(_mm256_cvtepi32_ps(isum), d);
        let acc = _mm256_fmadd_ps(product, _mm256_set1_ps(scale), acc);
        _mm256_fmadd_ps(m, _mm256_set1_ps(sum), acc)
    }

    #[rite(v3, import_intrinsics)]
    fn store<const T: usize>(acc: [[__m256; T]; 2], out: &mut [[f32; LANES]; T]) {
        let [lower, upper] = acc;
        for ((lower, upper), out) in lower.into_iter().zip(upper).zip(out) {
            if let [out_lower, out_upper] = out.as_chunks_mut::<HALF>().0 {
                _mm256_storeu_ps(out_lower, lower);
                _mm256_storeu_ps(out_upper, upper);
            }
        }
    }

    #[rite(v3, import_intrinsics)]
    fn tile_four<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_4]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        let mut acc = [[_mm256_setzero_ps(); T]; 2];
        for (half, acc) in acc.iter_mut().enumerate() {
            for (block, ((quants, d), m)) in quants.iter().zip(scales).zip(mins).enumerate() {
                let weights = unpack_four(quants, half);
                let (d, m) = (load_half(d, half), load_half(m, half));
                for (row, acc) in rows.iter().zip(acc.iter_mut()) {
                    if let (Some(words), Some(&scale), Some(&[first, second])) =
                        (row.words.get(block), row.scales.get(block), row.sums.get(block))
                    {
                        *acc = add(*acc, dot(&weights, words), d, m, scale, first + second);
                    }
                }
            }
        }
        store(acc, out);
    }

    #[rite(v3, import_intrinsics)]
    fn tile_eight<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        let mut acc = [[_mm256_setzero_ps(); T]; 2];
        for (half, acc) in acc.iter_mut().enumerate() {
            for (block, ((quants, d), m)) in quants.iter().zip(scales).zip(mins).enumerate() {
                let (low, high) = unpack_eight(quants, half);
                let (d, m) = (load_half(d, half), load_half(m, half));
                for (row, acc) in rows.iter().zip(acc.iter_mut()) {
                    if let (Some(words), Some(&scale), Some(&[first, second])) =
                        (row.words.get(block), row.scales.get(block), row.sums.get(block))
                    {
                        *acc = add(*acc, dot_eight(&low, &high, words), d, m, scale, first + second);
                    }
                }
            }
        }
        store(acc, out);
    }

    #[rite(v3, import_intrinsics)]
    fn tile_halves<const T: usize>(
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[[f32; LANES]; 2]],
        mins: &[[[f32; LANES]; 2]],
        rows: &[Row<'_>; T],
        out: &mut [[f32; LANES]; T],
    ) {
        const STEP: usize = GROUPS / 2;
        let mut acc = [[_mm256_setzero_ps(); T]; 2];
        for (half, acc) in acc.iter_mut().enumerate() {
            for (block, ((quants, d), m)) in quants.iter().zip(scales).zip(mins).enumerate() {
                let (low, high) = unpack_eight(quants, half);
                for (row, acc) in rows.iter().zip(acc.iter_mut()) {
                    if let (Some(words), Some(&scale), Some(sums)) =
                        (row.words.get(block), row.scales.get(block), row.sums.get(block))
                    {
                        let parts = low.chunks(STEP).zip(high.chunks(STEP)).zip(words.chunks(STEP));
                        for ((((low, high), words), (d, m)), &sum) in parts.zip(d.iter().zip(m)).zip(sums) {
                            let (d, m) = (load_half(d, half), load_half(m, half));
                            *acc = add(*acc, dot_eight(low, high, words), d, m, scale, sum);
                        }
                    }
                }
            }
        }
        store(acc, out);
    }

    #[arcane]
    pub fn four_v3(
        _token: X64V3Token,
        quants: &[[u8; BLOCK_BYTES_4]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_four, quants, scales, mins);
    }

    #[arcane]
    pub fn eight_v3(
        _token: X64V3Token,
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[f32; LANES]],
        mins: &[[f32; LANES]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_eight, quants, scales, mins);
    }

    #[arcane]
    pub fn eight_halves_v3(
        _token: X64V3Token,
        quants: &[[u8; BLOCK_BYTES_8]],
        scales: &[[[f32; LANES]; 2]],
        mins: &[[[f32; LANES]; 2]],
        rows: &[Row<'_>],
        out: &mut [[f32; LANES]],
    ) {
        by_tiles!(rows, out, tile_halves, quants, scales, mins);
    }
}
#[cfg(target_arch = "x86_64")]
use avx2::{eight_halves_v3, eight_v3, four_v3};

/// One block's share of every lane, in plain Rust. `nibble(g, byte)` gives the quant.
#[inline(always)]
fn plain_block<'a>(
    groups: impl Iterator<Item = [u8; GROUP_BYTES]>,
    words: impl Iterator<Item = &'a i32>,
    d: &[f32; LANES],
    m: &[f32; LANES],
    (scale, sum): (f32, f32),
    acc: &mut [f32; LANES],
) {
    let mut isum = [0_i32; LANES];
    for (bytes, word) in groups.zip(words) {
        let q = word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
        for (quants, isum) in bytes.as_chunks::<GROUP>().0.iter().zip(&mut isum) {
            *isum += quants.iter().zip(q).map(|(&u, q)| i32::from(u) * q).sum::<i32>();
        }
    }
    for (((acc, isum), d), m) in acc.iter_mut().zip(isum).zip(d).zip(m) {
        #[expect(clippy::cast_precision_loss, reason = "at most 255 · 127 · 32 < 2^24: exact")]
        let product = isum as f32 * d;
        *acc = m.mul_add(sum, product.mul_add(scale, *acc));
    }
}

fn nibbles(quants: &[u8; BLOCK_BYTES_4]) -> impl Iterator<Item = [u8; GROUP_BYTES]> {
    let groups = quants.as_chunks::<GROUP_BYTES>().0;
    groups.iter().map(|bytes| bytes.map(|b| b & 15)).chain(groups.iter().map(|bytes| bytes.map(|b| b >> 4)))
}

fn four_scalar(
    _token: ScalarToken,
    quants: &[[u8; BLOCK_BYTES_4]],
    scales: &[[f32; LANES]],
    mins: &[[f32; LANES]],
    rows: &[Row<'_>],
    out: &mut [[f32; LANES]],
) {
    for (row, out) in rows.iter().zip(out) {
        *out = [0.0; LANES];
        let blocks = quants.iter().zip(scales).zip(mins).zip(row.words).zip(row.scales).zip(row.sums);
        for (((((quants, d), m), words), &scale), &[first, second]) in blocks {
            plain_block(nibbles(quants), words.iter(), d, m, (scale, first + second), out);
        }
    }
}

fn eight_scalar(
    _token: ScalarToken,
    quants: &[[u8; BLOCK_BYTES_8]],
    scales: &[[f32; LANES]],
    mins: &[[f32; LANES]],
    rows: &[Row<'_>],
    out: &mut [[f32; LANES]],
) {
    for (row, out) in rows.iter().zip(out) {
        *out = [0.0; LANES];
        let blocks = quants.iter().zip(scales).zip(mins).zip(row.words).zip(row.scales).zip(row.sums);
        for (((((quants, d), m), words), &scale), &[first, second]) in blocks {
            let groups = quants.as_chunks::<GROUP_BYTES>().0.iter().copied();
            plain_block(groups, words.iter(), d, m, (scale, first + second), out);
        }
    }
}

fn eight_halves_scalar(
    _token: ScalarToken,
    quants: &[[u8; BLOCK_BYTES_8]],
    scales: &[[[f32; LANES]; 2]],
    mins: &[[[f32; LANES]; 2]],
    rows: &[Row<'_>],
    out: &mut [[f32; LANES]],
) {
    const STEP: usize = GROUPS / 2;
    for (row, out) in rows.iter().zip(out) {
        *out = [0.0; LANES];
        let blocks = quants.iter().zip(scales).zip(mins).zip(row.words).zip(row.scales).zip(row.sums);
        for (((((quants, d), m), words), &scale), sums) in blocks {
            let groups = quants.as_chunks::<GROUP_BYTES>().0;
            let parts = groups.chunks(STEP).zip(words.chunks(STEP)).zip(d.iter().zip(m)).zip(sums);
            for (((groups, words), (d, m)), &sum) in parts {
                plain_block(groups.iter().copied(), words.iter(), d, m, (scale, sum), out);
            }
        }
    }
}

/// `out[r] = Σ_i rows[r][i] · weights[i]`, one fused multiply-add an input, in order.
#[autoversion(v4, v3, neon, scalar)]
fn float(weights: &[[f32; LANES]], rows: &[&[f32]], out: &mut [[f32; LANES]]) {
    for (row, out) in rows.iter().zip(out) {
        let mut acc = [0.0_f32; LANES];
        for (weights, &x) in weights.iter().zip(*row) {
            for (acc, w) in acc.iter_mut().zip(weights) {
                *acc = w.mul_add(x, *acc);
            }
        }
        *out = acc;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small deterministic generator for test data.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 33
        }
        fn float(&mut self) -> f32 {
            (self.next() % 2001) as f32 / 1000.0 - 1.0
        }
        fn lanes(&mut self) -> [f32; LANES] {
            std::array::from_fn(|_| self.float())
        }
    }

    #[test]
    fn variants_agree() {
        let mut noise = Noise(7);
        let blocks = 5;
        for case in 0..40 {
            // The extremes, where sixteen-bit sums would overflow first, and random data.
            let byte = |noise: &mut Noise| if case == 0 { 255 } else { noise.next() as u8 };
            let four: Vec<[u8; BLOCK_BYTES_4]> =
                (0..blocks).map(|_| std::array::from_fn(|_| byte(&mut noise))).collect();
            let eight: Vec<[u8; BLOCK_BYTES_8]> =
                (0..blocks).map(|_| std::array::from_fn(|_| byte(&mut noise))).collect();
            let scales: Vec<[f32; LANES]> = (0..blocks).map(|_| noise.lanes()).collect();
            let mins: Vec<[f32; LANES]> = (0..blocks).map(|_| noise.lanes()).collect();
            let scales2: Vec<[[f32; LANES]; 2]> =
                (0..blocks).map(|_| [noise.lanes(), noise.lanes()]).collect();
            let mins2: Vec<[[f32; LANES]; 2]> = (0..blocks).map(|_| [noise.lanes(), noise.lanes()]).collect();
            let count = 1 + case % 7;
            let words: Vec<Vec<[i32; GROUPS]>> = (0..count)
                .map(|_| {
                    (0..blocks)
                        .map(|_| {
                            std::array::from_fn(|_| {
                                let bytes: [u8; 4] = std::array::from_fn(|_| {
                                    let q = if case == 0 { 127 } else { (noise.next() % 255) as i32 - 127 };
                                    (q as i8).cast_unsigned()
                                });
                                i32::from_le_bytes(bytes)
                            })
                        })
                        .collect()
                })
                .collect();
            let row_scales: Vec<f32> = (0..blocks).map(|_| noise.float()).collect();
            let sums: Vec<[f32; 2]> = (0..blocks).map(|_| [noise.float(), noise.float()]).collect();
            let rows: Vec<Row<'_>> =
                words.iter().map(|words| Row { words, scales: &row_scales, sums: &sums }).collect();

            let bits = |out: &[[f32; LANES]]| out.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
            macro_rules! check {
                ($scalar:ident, $v3:ident, $v4x:ident, $($argument:expr),*) => {{
                    let mut expect = vec![[9.0; LANES]; count];
                    $scalar(ScalarToken, $($argument,)* &rows, &mut expect);
                    #[cfg(target_arch = "x86_64")]
                    {
                        let mut out = vec![[9.0; LANES]; count];
                        if let Some(token) = X64V3Token::summon() {
                            $v3(token, $($argument,)* &rows, &mut out);
                            assert_eq!(bits(&out), bits(&expect), "AVX2 differs, case {case}");
                        }
                        if let Some(token) = X64V4xToken::summon() {
                            $v4x(token, $($argument,)* &rows, &mut out);
                            assert_eq!(bits(&out), bits(&expect), "AVX-512 differs, case {case}");
                        }
                    }
                }};
            }
            check!(four_scalar, four_v3, four_v4x, &four, &scales, &mins);
            check!(eight_scalar, eight_v3, eight_v4x, &eight, &scales, &mins);
            check!(eight_halves_scalar, eight_halves_v3, eight_halves_v4x, &eight, &scales2, &mins2);
        }
    }
}
