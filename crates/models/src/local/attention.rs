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

/// The positions that one query sees: from the first up to, not including, the second.
pub type Span = (usize, usize);

/// A query head: its numbers, where its result goes, what it sees, and the position it belongs to.
type Head<'a> = (&'a [f32], &'a mut [f32], Span, usize);

/// What a query asks and what it sees.
#[derive(Clone, Copy)]
struct Query<'a> {
    numbers: &'a [f32],
    span: Span,
}

/// Query heads worked on together, so that keys and values are read once for all of them.
const TILE: usize = 4;

/// Scratch space of a thread.
#[derive(Default)]
pub struct Scratch {
    scores: [Vec<f32>; TILE],
    zeros: Vec<f32>,
}

/// Attention of some positions of one sequence. `queries` and `out` hold all query heads of each position,
/// `stride` and `out_width` apart; `spans` says what each position sees. If `maps` is given, it gets the attention
/// weights of every position: query heads × positions seen.
///
/// A query's result does not depend on the others: what lies outside its span has weight zero.
pub fn attend(
    cache: &LayerCache,
    (queries, stride): (&[f32], usize),
    spans: &[Span],
    scale: f32,
    scratch: &mut Scratch,
    (out, out_width): (&mut [f32], usize),
    maps: Option<&mut Vec<Vec<f32>>>,
) {
    let width = cache.head_width;
    let group = out_width / width / cache.keys.len().max(1);
    scratch.zeros.resize(width, 0.0);
    let mut kept: Vec<Vec<f32>> = if maps.is_some() { vec![Vec::new(); spans.len()] } else { Vec::new() };
    for (kv_head, (keys, values)) in cache.keys.iter().zip(&cache.values).enumerate() {
        let start = kv_head * group * width;
        // The query heads of every position that share this key head, in order.
        let heads = queries
            .chunks(stride)
            .zip(out.chunks_mut(out_width))
            .zip(spans.iter().enumerate())
            .flat_map(|((query, out), (position, &span))| {
                let query = query.get(start..start + group * width).unwrap_or_default().chunks_exact(width);
                let out =
                    out.get_mut(start..start + group * width).unwrap_or_default().chunks_exact_mut(width);
                query.zip(out).map(move |(query, out)| (query, out, span, position))
            });
        let mut heads = heads.peekable();
        while heads.peek().is_some() {
            let Scratch { scores, zeros } = &mut *scratch;
            let mut tile: [Option<Head<'_>>; TILE] = std::array::from_fn(|_| heads.next());
            let seen = tile.iter().flatten().map(|(_, _, span, _)| *span);
            let (from, to) = seen.fold((usize::MAX, 0), |(a, b), (from, to)| (a.min(from), b.max(to)));
            let idle = Query { numbers: zeros, span: (from, from) };
            let queries = tile.each_ref().map(|entry| {
                entry.as_ref().map_or(idle, |(numbers, _, span, _)| Query { numbers, span: *span })
            });
            score_tile(keys, width, queries, (from, to), scale, scores);
            for (entry, scores) in tile.iter().zip(scores.iter()) {
                if let Some((_, _, span, position)) = entry
                    && let Some(kept) = kept.get_mut(*position)
                {
                    kept.extend(scores.get(span.0..span.1).unwrap_or_default());
                }
            }
            let [a, b, c, d] = scores;
            let weights = [a, b, c, d].map(|scores| scores.get(from..to).unwrap_or_default());
            let values = values.get(from * width..to * width).unwrap_or_default();
            let outs = tile.each_mut().map(|entry| entry.as_mut().map(|(_, out, ..)| &mut **out));
            mix_tile(weights, values, width, outs);
        }
    }
    if let Some(maps) = maps {
        maps.extend(kept);
    }
}

/// Scores of four queries against positions `from..to`, turned into weights: `scores[i][t]`, zero outside a query's span.
#[autoversion(v4, v3, neon, scalar)]
fn score_tile(
    keys: &[[f32; POSITIONS]],
    width: usize,
    queries: [Query<'_>; TILE],
    (from, to): Span,
    scale: f32,
    scores: &mut [Vec<f32>; TILE],
) {
    let padded = to.div_ceil(POSITIONS) * POSITIONS;
    for scores in scores.iter_mut() {
        scores.resize(padded, 0.0);
    }
    let first = from / POSITIONS;
    let [qa, qb, qc, qd] = queries.map(|query| query.numbers);
    let [sa, sb, sc, sd] = scores;
    let outs = sa
        .as_chunks_mut::<POSITIONS>()
        .0
        .iter_mut()
        .zip(sb.as_chunks_mut::<POSITIONS>().0)
        .zip(sc.as_chunks_mut::<POSITIONS>().0)
        .zip(sd.as_chunks_mut::<POSITIONS>().0)
        .skip(first);
    for (tile, (((out_a, out_b), out_c), out_d)) in keys.chunks_exact(width).skip(first).zip(outs) {
        let (mut a, mut b) = ([0.0_f32; POSITIONS], [0.0_f32; POSITIONS]);
        let (mut c, mut d) = ([0.0_f32; POSITIONS], [0.0_f32; POSITIONS]);
        // Even and odd numbers have sums of their own: eight chains of additions hide their latency, four do not.
        let (mut e, mut f) = ([0.0_f32; POSITIONS], [0.0_f32; POSITIONS]);
        let (mut g, mut h) = ([0.0_f32; POSITIONS], [0.0_f32; POSITIONS]);
        let pairs = tile.as_chunks::<2>().0.iter();
        let (qa, qb) = (qa.as_chunks::<2>().0, qb.as_chunks::<2>().0);
        let (qc, qd) = (qc.as_chunks::<2>().0, qd.as_chunks::<2>().0);
        for (((([even, odd], &[a0, a1]), &[b0, b1]), &[c0, c1]), &[d0, d1]) in
            pairs.zip(qa).zip(qb).zip(qc).zip(qd)
        {
            for ((((k, a), b), c), d) in even.iter().zip(&mut a).zip(&mut b).zip(&mut c).zip(&mut d) {
                *a = k.mul_add(a0, *a);
                *b = k.mul_add(b0, *b);
                *c = k.mul_add(c0, *c);
                *d = k.mul_add(d0, *d);
            }
            for ((((k, e), f), g), h) in odd.iter().zip(&mut e).zip(&mut f).zip(&mut g).zip(&mut h) {
                *e = k.mul_add(a1, *e);
                *f = k.mul_add(b1, *f);
                *g = k.mul_add(c1, *g);
                *h = k.mul_add(d1, *h);
            }
        }
        for (out, even, odd) in [(out_a, a, e), (out_b, b, f), (out_c, c, g), (out_d, d, h)] {
            for ((out, even), odd) in out.iter_mut().zip(even).zip(odd) {
                *out = even + odd;
            }
        }
    }
    for (scores, Query { span: (start, end), .. }) in [sa, sb, sc, sd].into_iter().zip(queries) {
        let (before, rest) = scores.split_at_mut(start);
        let (seen, after) = rest.split_at_mut(end - start);
        before.iter_mut().skip(first * POSITIONS).for_each(|x| *x = 0.0);
        after.fill(0.0);
        seen.iter_mut().for_each(|x| *x *= scale);
        softmax(seen);
    }
}

/// Numbers of a value that four sums of are kept in registers at once.
const COLUMNS: usize = 64;

/// `out[i] = Σ_t weights[i][t] · values[t]`, positions in order.
#[autoversion(v4, v3, neon, scalar)]
fn mix_tile(weights: [&[f32]; TILE], values: &[f32], width: usize, out: [Option<&mut [f32]>; TILE]) {
    let mut out = out;
    let [wa, wb, wc, wd] = weights;
    let mut column = 0;
    while column + COLUMNS <= width {
        let mut acc = [[0.0_f32; COLUMNS]; TILE];
        for ((((value, &wa), &wb), &wc), &wd) in values.chunks_exact(width).zip(wa).zip(wb).zip(wc).zip(wd) {
            let Some(value) = value.get(column..).and_then(|value| value.first_chunk::<COLUMNS>()) else {
                return;
            };
            let [a, b, c, d] = &mut acc;
            for ((((v, a), b), c), d) in value.iter().zip(a).zip(b).zip(c).zip(d) {
                *a = v.mul_add(wa, *a);
                *b = v.mul_add(wb, *b);
                *c = v.mul_add(wc, *c);
                *d = v.mul_add(wd, *d);
            }
        }
        for (acc, out) in acc.iter().zip(&mut out) {
            if let Some(place) = out.as_mut().and_then(|out| out.get_mut(column..column + COLUMNS)) {
                place.copy_from_slice(acc);
            }
        }
        column += COLUMNS;
    }
    for column in column..width {
        for (weights, out) in [wa, wb, wc, wd].into_iter().zip(&mut out) {
            let values = values.iter().skip(column).step_by(width);
            let sum = weights.iter().zip(values).fold(0.0, |acc, (&w, v)| v.mul_add(w, acc));
            if let Some(place) = out.as_mut().and_then(|out| out.get_mut(column)) {
                *place = sum;
            }
        }
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
                let size = heads * width;
                let mut out = vec![0.0; size];
                let mut maps = Vec::new();
                let scratch = &mut Scratch::default();
                attend(
                    &cache,
                    (&query, size),
                    &[(from, to)],
                    0.3,
                    scratch,
                    (&mut out, size),
                    Some(&mut maps),
                );
                let maps = maps.remove(0);
                assert_eq!(maps.len(), heads * (to - from));
                // Three positions at once, with other spans beside it: the same bits.
                let many = [query.clone(), query.clone(), query.clone()].concat();
                let mut outs = vec![0.0; 3 * size];
                let spans = [(0, 3), (from, to), (2, 39)];
                attend(&cache, (&many, size), &spans, 0.3, scratch, (&mut outs, size), None);
                assert_eq!(outs[size..2 * size], out);
                for head in 0..heads {
                    let kv_head = head / (heads / kv_heads);
                    let scores: Vec<f64> = (from..to)
                        .map(|t| {
                            (0..width)
                                .map(|i| {
                                    f64::from(query[head * width + i])
                                        * f64::from(kv[t].0[kv_head * width + i])
                                })
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
        for (cache, out) in [(&cache, &mut a), (&fresh, &mut b)] {
            attend(cache, (&row(0.1), 16), &[(0, 4)], 1.0, &mut Scratch::default(), (out, 16), None);
        }
        assert_eq!(a, b);
    }
}
