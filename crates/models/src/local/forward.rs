//! The forward pass: any number of sequences, any number of tokens of each, in one go.
//!
//! All tokens of all sequences are rows of the same matrix products. A row's result does not depend on the other
//! rows, so a sequence gets the same logits alone, in a batch, or cut into pieces.

use rayon::prelude::*;

use super::attention::{LayerCache, Scratch, Span, attend};
use super::config::{Architecture, Config};
use super::gguf::GgufError;
use super::math;
use super::matrix::{Activations, Matrix};
use super::weights::{Layer, Weights};

/// A transformer: shape, weights and rotation tables.
pub struct Transformer {
    config: Config,
    weights: Weights,
    rope: Rope,
    local_rope: Option<Rope>,
    window: usize,
}

/// What a sequence has seen so far.
#[derive(Clone)]
pub struct Sequence {
    layers: Vec<LayerCache>,
    length: usize,
}

impl Sequence {
    /// Tokens seen.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets all tokens from `length` on.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.layers.iter_mut().for_each(|layer| layer.truncate(length));
        }
    }
}

/// Which positions' logits to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logits {
    /// None: the tokens only fill the cache.
    None,
    /// The last token's, which choose the next token.
    Last,
    /// Every token's.
    All,
}

/// More tokens for one sequence, and what to return.
pub struct Step<'a> {
    /// The sequence that grows.
    pub sequence: &'a mut Sequence,
    /// Its next tokens. At least one.
    pub tokens: &'a [u32],
    /// Which logits to return.
    pub logits: Logits,
    /// Whether to return the residual stream after every layer.
    pub hidden: bool,
    /// Whether to return the attention weights.
    pub attention: bool,
}

/// What a step gave.
#[derive(Debug, Default, Clone)]
pub struct StepOutput {
    /// One vector over the vocabulary per requested position.
    pub logits: Vec<Vec<f32>>,
    /// If asked for: `[layer][token][width]`, flattened within a layer.
    pub hidden: Vec<Vec<f32>>,
    /// If asked for: `[layer][token]`, then query heads × positions seen, flattened; in sliding-window layers the
    /// positions are the last ones.
    pub attention: Vec<Vec<Vec<f32>>>,
}

/// cos and sin of each position's rotations.
struct Rope {
    pairs: usize,
    table: Vec<(f32, f32)>,
}

impl Rope {
    fn new(config: &Config, base: f64, scale: f64, factors: Option<&[f32]>, positions: usize) -> Self {
        let pairs = config.rope_width / 2;
        let frequencies: Vec<f64> = (0..pairs)
            .map(|i| {
                #[expect(clippy::cast_precision_loss, reason = "small integers")]
                let exponent = -2.0 * i as f64 / config.rope_width as f64;
                let factor = factors.and_then(|f| f.get(i)).map_or(1.0, |&f| f64::from(f));
                libm::pow(base, exponent) / factor / scale
            })
            .collect();
        let table = (0..positions)
            .flat_map(|position| {
                #[expect(clippy::cast_precision_loss, reason = "a context is far below 2^52")]
                let position = position as f64;
                frequencies.iter().map(move |frequency| {
                    let angle = position * frequency;
                    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
                    let pair = (libm::cos(angle) as f32, libm::sin(angle) as f32);
                    pair
                })
            })
            .collect();
        Self { pairs, table }
    }

    /// Rotates one head in place. `halves`: pairs are (i, i + n/2), as in NeoX; otherwise neighbours.
    fn rotate(&self, head: &mut [f32], position: usize, halves: bool) {
        let start = position * self.pairs;
        let Some(angles) = self.table.get(start..start + self.pairs) else { return };
        if halves {
            let Some((first, rest)) = head.split_at_mut_checked(self.pairs) else { return };
            for ((x, y), &(cos, sin)) in first.iter_mut().zip(rest).zip(angles) {
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        } else {
            for ([x, y], &(cos, sin)) in head.as_chunks_mut().0.iter_mut().zip(angles) {
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        }
    }
}

/// A row of the batch: which step it belongs to, and its position in that sequence.
#[derive(Clone, Copy)]
struct Row {
    step: usize,
    position: usize,
}

impl Transformer {
    /// Puts weights and shape together. `window`: the longest context that will be used, at most the model's own.
    pub fn new(config: Config, weights: Weights, window: usize) -> Self {
        let window = window.min(config.context);
        let factors = weights.rope_factors.as_deref();
        let rope = Rope::new(&config, config.rope_base, config.rope_scale, factors, window);
        let local_rope = config.window.map(|_| Rope::new(&config, config.local_rope_base, 1.0, None, window));
        Self { config, weights, rope, local_rope, window }
    }

    /// The longest context in tokens.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.weights.vocabulary
    }

    /// A sequence that has seen nothing.
    pub fn sequence(&self) -> Sequence {
        let layer = LayerCache::new(self.config.kv_heads, self.config.head_width);
        Sequence { layers: vec![layer; self.config.layers], length: 0 }
    }

    /// Feeds every step's tokens to its sequence.
    ///
    /// # Errors
    /// If a token is not in the vocabulary or a sequence outgrows the window. Then no sequence has changed.
    pub fn forward(&self, steps: &mut [Step<'_>]) -> Result<Vec<StepOutput>, GgufError> {
        let config = &self.config;
        let width = config.width;
        let mut rows = Vec::new();
        let mut x = Vec::new();
        #[expect(clippy::cast_precision_loss, reason = "a model's width is far below 2^24")]
        let scale = if config.architecture == Architecture::Gemma3 { (width as f32).sqrt() } else { 1.0 };
        for (index, step) in steps.iter().enumerate() {
            if step.sequence.length + step.tokens.len() > self.window {
                return Err(GgufError::Corrupt(format!("a sequence outgrew the window of {}", self.window)));
            }
            for (offset, &token) in step.tokens.iter().enumerate() {
                let embedding = self.weights.embedding(token);
                let embedding = embedding
                    .ok_or_else(|| GgufError::Corrupt(format!("token {token} is not in the vocabulary")))?;
                x.extend(embedding.into_iter().map(|number| number * scale));
                rows.push(Row { step: index, position: step.sequence.length + offset });
            }
        }
        let mut outputs: Vec<StepOutput> = steps.iter().map(|_| StepOutput::default()).collect();
        for (index, layer) in self.weights.layers.iter().enumerate() {
            self.attention(index, layer, &mut x, &rows, steps, &mut outputs);
            self.feed_forward(layer, &mut x);
            for (row, x) in rows.iter().zip(x.chunks_exact(width)) {
                let wanted = steps.get(row.step).is_some_and(|step| step.hidden);
                if let Some(output) = outputs.get_mut(row.step).filter(|_| wanted) {
                    if output.hidden.len() <= index {
                        output.hidden.push(Vec::new());
                    }
                    output.hidden.last_mut().into_iter().for_each(|hidden| hidden.extend(x));
                }
            }
        }
        for step in steps.iter_mut() {
            step.sequence.length += step.tokens.len();
        }
        self.logits(&x, &rows, steps, &mut outputs);
        Ok(outputs)
    }

    fn normed(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let rows = x.len() / weight.len().max(1);
        if rows >= 16 {
            let share = weight.len() * rows.div_ceil(rayon::current_num_threads());
            out.par_chunks_mut(share)
                .zip(x.par_chunks(share))
                .for_each(|(out, x)| math::rms_norm(x, weight, self.config.epsilon, out));
        } else {
            math::rms_norm(x, weight, self.config.epsilon, &mut out);
        }
        out
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        x: &mut [f32],
        rows: &[Row],
        steps: &mut [Step<'_>],
        outputs: &mut [StepOutput],
    ) {
        let config = &self.config;
        let (q_width, kv_width) = (config.query_width(), config.kv_width());
        let stride = q_width + 2 * kv_width;
        let normed = self.normed(x, &layer.attention_norm);
        let mut qkv = product(&layer.qkv, &normed, config.width, stride);
        let local = config.is_local(index);
        let rope = self.local_rope.as_ref().filter(|_| local).unwrap_or(&self.rope);
        let halves = config.architecture != Architecture::Llama;
        let prepare = |(row, qkv): (&Row, &mut [f32])| {
            if let Some(bias) = &layer.qkv_bias {
                math::add(qkv, bias);
            }
            let Some(qk) = qkv.get_mut(..q_width + kv_width) else { return };
            for (head, numbers) in qk.chunks_exact_mut(config.head_width).enumerate() {
                if let Some([q_norm, k_norm]) = &layer.head_norms {
                    let norm = if head < config.heads { q_norm } else { k_norm };
                    let plain = numbers.to_vec();
                    math::rms_norm(&plain, norm, config.epsilon, numbers);
                }
                rope.rotate(numbers, row.position, halves);
            }
        };
        if rows.len() >= 16 {
            rows.par_iter().zip(qkv.par_chunks_mut(stride)).with_min_len(8).for_each(prepare);
        } else {
            rows.iter().zip(qkv.chunks_mut(stride)).for_each(prepare);
        }
        for (row, qkv) in rows.iter().zip(qkv.chunks_exact(stride)) {
            let (_, kv) = qkv.split_at(q_width);
            let (key, value) = kv.split_at(kv_width);
            let cache = steps.get_mut(row.step).and_then(|step| step.sequence.layers.get_mut(index));
            cache.into_iter().for_each(|cache| cache.push(key, value));
        }
        #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^24")]
        let scale = 1.0 / (config.head_width as f32).sqrt();
        let steps: &[Step<'_>] = steps;
        let mut mixed = vec![0.0; rows.len() * q_width];
        let work = |scratch: &mut Scratch, (rows, qkv, out): (&[Row], &[f32], &mut [f32])| {
            let step = rows.first().and_then(|row| steps.get(row.step))?;
            let cache = step.sequence.layers.get(index)?;
            let span = |row: &Row| {
                let to = row.position + 1;
                (config.window.filter(|_| local).map_or(0, |window| to.saturating_sub(window)), to)
            };
            let spans: Vec<Span> = rows.iter().map(span).collect();
            let mut maps = step.attention.then(Vec::new);
            attend(cache, (qkv, stride), &spans, scale, scratch, (out, q_width), maps.as_mut());
            maps.map(|maps| (rows.first().map_or(0, |row| row.step), maps))
        };
        let items = portions(rows, &qkv, stride, &mut mixed, q_width);
        let maps: Vec<Option<(usize, Vec<Vec<f32>>)>> = if items.len() > 1 {
            items.into_par_iter().map_init(Scratch::default, work).collect()
        } else {
            let mut scratch = Scratch::default();
            items.into_iter().map(|item| work(&mut scratch, item)).collect()
        };
        for (step, maps) in maps.into_iter().flatten() {
            let Some(output) = outputs.get_mut(step) else { continue };
            if output.attention.len() <= index {
                output.attention.push(Vec::new());
            }
            output.attention.last_mut().into_iter().for_each(|layer| layer.extend(maps.iter().cloned()));
        }
        let mut out = vec![0.0; x.len()];
        layer.output.multiply(&Activations::new(&mixed, q_width), &mut out, config.width, 0);
        if let Some(norm) = &layer.post_attention_norm {
            out = self.normed(&out, norm);
        }
        math::add(x, &out);
    }

    fn feed_forward(&self, layer: &Layer, x: &mut [f32]) {
        let config = &self.config;
        let inner = config.feed_forward;
        let normed = self.normed(x, &layer.feed_forward_norm);
        let mut gate_up = product(&layer.gate_up, &normed, config.width, 2 * inner);
        let gemma = config.architecture == Architecture::Gemma3;
        let rows = x.len() / config.width;
        let mut gated = vec![0.0; rows * inner];
        let work = |(gate_up, out): (&mut [f32], &mut [f32])| {
            let (gate, up) = gate_up.split_at_mut(inner);
            if gemma {
                math::gelu_gate(gate, up)
            } else {
                math::silu_gate(gate, up)
            }
            out.copy_from_slice(gate);
        };
        if rows >= 16 {
            let items = gate_up.par_chunks_exact_mut(2 * inner).zip(gated.par_chunks_exact_mut(inner));
            items.with_min_len(8).for_each(work);
        } else {
            gate_up.chunks_exact_mut(2 * inner).zip(gated.chunks_exact_mut(inner)).for_each(work);
        }
        let mut out = vec![0.0; x.len()];
        layer.down.multiply(&Activations::new(&gated, inner), &mut out, config.width, 0);
        if let Some(norm) = &layer.post_feed_forward_norm {
            out = self.normed(&out, norm);
        }
        math::add(x, &out);
    }

    fn logits(&self, x: &[f32], rows: &[Row], steps: &[Step<'_>], outputs: &mut [StepOutput]) {
        let width = self.config.width;
        let wanted: Vec<(usize, &[f32])> = rows
            .iter()
            .zip(x.chunks_exact(width))
            .filter(|(row, _)| {
                steps.get(row.step).is_some_and(|step| match step.logits {
                    Logits::None => false,
                    Logits::All => true,
                    Logits::Last => row.position + 1 == step.sequence.length,
                })
            })
            .map(|(row, x)| (row.step, x))
            .collect();
        // In portions, so that logits at every position of a long text do not need the memory twice over.
        for portion in wanted.chunks(32) {
            let x: Vec<f32> = portion.iter().flat_map(|(_, x)| x.iter().copied()).collect();
            let normed = self.normed(&x, &self.weights.output_norm);
            let vocabulary = self.weights.vocabulary;
            let mut logits = vec![0.0; portion.len() * vocabulary];
            self.weights.head.multiply(&Activations::new(&normed, width), &mut logits, vocabulary, 0);
            for ((step, _), logits) in portion.iter().zip(logits.chunks_exact(vocabulary)) {
                outputs.get_mut(*step).into_iter().for_each(|output| output.logits.push(logits.to_vec()));
            }
        }
    }
}

/// Rows of one sequence that attend together.
const PORTION: usize = 8;

/// Cuts the batch into portions of up to [`PORTION`] rows of the same sequence, each with its part of the output.
fn portions<'a>(
    mut rows: &'a [Row],
    mut qkv: &'a [f32],
    stride: usize,
    mut out: &'a mut [f32],
    width: usize,
) -> Vec<(&'a [Row], &'a [f32], &'a mut [f32])> {
    let mut portions = Vec::new();
    while let Some(first) = rows.first() {
        let count = rows.iter().take(PORTION).take_while(|row| row.step == first.step).count();
        let (these, later) = rows.split_at(count);
        let (numbers, later_numbers) = qkv.split_at(count * stride);
        let (place, later_places) = out.split_at_mut(count * width);
        portions.push((these, numbers, place));
        (rows, qkv, out) = (later, later_numbers, later_places);
    }
    portions
}

/// The product with stacked matrices: their outputs side by side in rows of `stride`.
fn product(matrices: &[Matrix], x: &[f32], width: usize, stride: usize) -> Vec<f32> {
    let activations = Activations::new(x, width);
    let mut out = vec![0.0; x.len() / width * stride];
    let mut column = 0;
    for matrix in matrices {
        matrix.multiply(&activations, &mut out, stride, column);
        column += matrix.outputs();
    }
    out
}
