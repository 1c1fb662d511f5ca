//! The key-value cache and attention over it.
//!
//! Keys lie in blocks of sixteen positions with the positions innermost, so that sixteen scores are computed at
//! once without any sum across lanes; values lie position by position.

use archmage::prelude::*;

use super::math::softmax;

/// Positions per key block.
const POSITIONS: usize = 16;

/// Keys and values of one sequence in one layer.
#[derive(Clone)]
pub struct LayerCache {
    /// `[kv head][block][number][position in block]`, one vector a head.
    keys: Vec<Vec<[f32; POSITIONS]>>,
    /// `[kv head][position][number]`, one vector a head.
    values: Vec<Vec<f32>>,
    length: usize,
    head_width: usize,
}

impl LayerCache {
    /// An empty cache.
    pub fn new(kv_heads: usize, head_width: usize) -> Self {
        Self { keys: vec![Vec::new(); kv_heads], values: vec![Vec::new(); kv_heads], length: 0, head_width }
    }

    /// Appends the keys and values of one position.
    pub fn push(&mut self, key: &[f32], value: &[f32]) {
        let lane = self.length % POSITIONS;
        let heads = key.chunks_exact(self.head_width).zip(value.chunks_exact(self.head_width));
        for ((keys, values), (key, value)) in self.keys.iter_mut().zip(&mut self.values).zip(heads) {
            if lane == 0 {
                keys.resize(keys.len() + self.head_width, [0.0; POSITIONS]);
            }
            let start = keys.len().saturating_sub(self.head_width);
            for (block, &x) in keys.iter_mut().skip(start).zip(key) {
                if let Some(place) = block.get_mut(lane) {
                    *place = x;
                }
            }
            values.extend_from_slice(value);
        }
        self.length += 1;
    }

    /// Forgets all positions from `length` on.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            for keys in &mut self.keys {
                keys.truncate(length.div_ceil(POSITIONS) * self.head_width);
            }
            for values in &mut self.values {
                values.truncate(length * self.head_width);
            }
        }
    }
}

/// Attention of one position: `query` and `out` hold all query heads. Positions `from..to` are seen. `scores` is
/// scratch space; on return it holds the attention weights of the last group of heads. If `maps` is given, the
/// weights of every head are appended to it, `to - from` numbers a head.
pub fn attend(
    cache: &LayerCache,
    query: &[f32],
    (from, to): (usize, usize),
    scale: f32,
    scores: &mut Vec<f32>,
    out: &mut [f32],
    mut maps: Option<&mut Vec<f32>>,
) {
    let groups = query.len() / cache.head_width / cache.keys.len().max(1);
    let span = groups * cache.head_width;
    let heads = cache.keys.iter().zip(&cache.values).zip(query.chunks_exact(span)).zip(out.chunks_exact_mut(span));
    for (((keys, values), query), out) in heads {
        for (query, out) in query.chunks(2 * cache.head_width).zip(out.chunks_mut(2 * cache.head_width)) {
            head_pair(keys, values, cache.head_width, query, (from, to), scale, scores, out);
            if let Some(maps) = maps.as_deref_mut() {
                let padded = to.div_ceil(POSITIONS) * POSITIONS;
                for weights in scores.chunks(padded) {
                    maps.extend(weights.get(from..to).unwrap_or_default());
                }
            }
        }
    }
}

/// One or two query heads that share a key head.
#[expect(clippy::too_many_arguments, reason = "the pieces of one loop nest, split for vectorisation")]
#[autoversion(v4, v3, neon, scalar)]
fn head_pair(
    keys: &[[f32; POSITIONS]],
    values: &[f32],
    head_width: usize,
    query: &[f32],
    (from, to): (usize, usize),
    scale: f32,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let blocks = to.div_ceil(POSITIONS);
    let padded = blocks * POSITIONS;
    let heads = query.len() / head_width;
    scores.clear();
    scores.resize(padded * heads, 0.0);
    let (first, second) = scores.split_at_mut(padded);
    let (query_a, query_b) = query.split_at(head_width);
    let first_block = from / POSITIONS;
    let tiles = keys.chunks_exact(head_width).skip(first_block);
    let places = first.as_chunks_mut::<POSITIONS>().0.iter_mut().skip(first_block);
    if heads == 2 {
        let second = second.as_chunks_mut::<POSITIONS>().0.iter_mut().skip(first_block);
        for ((tile, place_a), place_b) in tiles.zip(places).zip(second) {
            let (mut a, mut b) = ([0.0_f32; POSITIONS], [0.0_f32; POSITIONS]);
            for ((keys, &qa), &qb) in tile.iter().zip(query_a).zip(query_b) {
                for ((a, b), k) in a.iter_mut().zip(&mut b).zip(keys) {
                    *a = k.mul_add(qa, *a);
                    *b = k.mul_add(qb, *b);
                }
            }
            *place_a = a.map(|x| x * scale);
            *place_b = b.map(|x| x * scale);
        }
    } else {
        for (tile, place) in tiles.zip(places) {
            let mut a = [0.0_f32; POSITIONS];
            for (keys, &qa) in tile.iter().zip(query_a) {
                for (a, k) in a.iter_mut().zip(keys) {
                    *a = k.mul_add(qa, *a);
                }
            }
            *place = a.map(|x| x * scale);
        }
    }
    for (scores, out) in scores.chunks_mut(padded).zip(out.chunks_exact_mut(head_width)) {
        let Some(seen) = scores.get_mut(from..to) else { return };
        softmax(seen);
        mix(seen, values.get(from * head_width..).unwrap_or_default(), out);
    }
}

/// `out = Σ_t weights[t] · values[t]`, positions in order, sixteen numbers at a time.
#[inline(always)]
fn mix(weights: &[f32], values: &[f32], out: &mut [f32]) {
    let width = out.len();
    for (column, out) in out.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let mut acc = [0.0_f32; 64];
        for (&w, value) in weights.iter().zip(values.chunks_exact(width)) {
            if let Some(value) = value.as_chunks::<64>().0.get(column) {
                for (acc, v) in acc.iter_mut().zip(value) {
                    *acc = v.mul_add(w, *acc);
                }
            }
        }
        *out = acc;
    }
    let done = width / 64 * 64;
    for (column, out) in out.iter_mut().enumerate().skip(done) {
        let column_values = values.iter().skip(column).step_by(width);
        *out = weights.iter().zip(column_values).fold(0.0, |acc, (&w, v)| v.mul_add(w, acc));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition() {
        for (heads, kv_heads, width) in [(9, 3, 64), (4, 1, 256), (2, 2, 16), (14, 2, 80)] {
            let noise = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
            let mut cache = LayerCache::new(kv_heads, width);
            let kv: Vec<(Vec<f32>, Vec<f32>)> = (0..40)
                .map(|t| {
                    let row = |salt| (0..kv_heads * width).map(|i| noise(i * 40 + t + salt)).collect();
                    (row(1), row(7777))
                })
                .collect();
            kv.iter().for_each(|(k, v)| cache.push(k, v));
            let query: Vec<f32> = (0..heads * width).map(|i| noise(i + 31)).collect();
            for (from, to) in [(0, 40), (0, 1), (5, 33), (16, 32)] {
                let mut out = vec![0.0; heads * width];
                let mut maps = Vec::new();
                attend(&cache, &query, (from, to), 0.3, &mut Vec::new(), &mut out, Some(&mut maps));
                assert_eq!(maps.len(), heads * (to - from));
                for head in 0..heads {
                    let kv_head = head / (heads / kv_heads);
                    let scores: Vec<f64> = (from..to)
                        .map(|t| {
                            (0..width)
                                .map(|i| f64::from(query[head * width + i]) * f64::from(kv[t].0[kv_head * width + i]))
                                .sum::<f64>()
                                * 0.3
                        })
                        .collect();
                    let sum: f64 = scores.iter().map(|s| s.exp()).sum();
                    for i in 0..width {
                        let expect: f64 = scores
                            .iter()
                            .zip(from..)
                            .map(|(s, t)| s.exp() / sum * f64::from(kv[t].1[kv_head * width + i]))
                            .sum();
                        assert!((f64::from(out[head * width + i]) - expect).abs() < 1e-5);
                    }
                    let first = f64::from(maps[head * (to - from)]);
                    assert!((first - scores[0].exp() / sum).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn truncation_forgets() {
        let mut cache = LayerCache::new(1, 16);
        let row = |x: f32| vec![x; 16];
        for t in 0..20 {
            cache.push(&row(t as f32), &row(t as f32));
        }
        cache.truncate(3);
        cache.push(&row(0.5), &row(0.5));
        let mut fresh = LayerCache::new(1, 16);
        for x in [0.0, 1.0, 2.0, 0.5] {
            fresh.push(&row(x), &row(x));
        }
        let (mut a, mut b) = (row(0.0), row(0.0));
        attend(&cache, &row(0.1), (0, 4), 1.0, &mut Vec::new(), &mut a, None);
        attend(&fresh, &row(0.1), (0, 4), 1.0, &mut Vec::new(), &mut b, None);
        assert_eq!(a, b);
    }
}
