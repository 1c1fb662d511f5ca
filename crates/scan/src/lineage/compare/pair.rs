//! The comparison of two tensors.

use super::sample::{SplitMix, mix, read, stretches};
use super::{CompareError, Options, TensorComparison, TensorVerdict};
use crate::examination::escape;
use crate::lineage::weights::{Coding, Number, Tensor, Weights};
use crate::source::View;

/// From here on two tensors are called similar. docs/design/lineage.md has the reasons for all of these.
const SIMILAR: f64 = 0.5;
/// Below it, nothing is said however many numbers were compared: weights have structure that chance has not.
const LEAST_TRACE: f64 = 0.1;
/// Standard deviations of chance (1/√n) that a trace must exceed.
const TRACE_DEVIATIONS: f64 = 8.0;
/// The largest root mean square difference, in steps, that rounding explains; 0.289 where it is exact.
const ROUNDING: f64 = 0.40;
/// The share of numbers that must lie within a step.
const WITHIN: f64 = 0.99;
/// Below this share of its square mean, a tensor's variance is none: it is constant.
const CONSTANT: f64 = 1e-9;
/// Bytes or numbers that a comparison of everything takes at once.
const CHUNK: usize = 1 << 18;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) weights: &'a Weights,
    pub(super) tensor: &'a Tensor,
}

/// How the numbers of the second side lie against the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Plain,
    /// llama.cpp interleaves the two halves of each head's rows of q and k. `true`: the first side is interleaved.
    Rotary {
        heads: u64,
        first: bool,
    },
    /// llama.cpp adds one to Gemma's norms. `true`: the first side has it.
    NormOffset {
        first: bool,
    },
}

#[derive(Debug, Default)]
struct Sums {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
    difference: f64,
    residual: f64,
    within: f64,
    odd: u64,
}

impl Sums {
    fn add(&mut self, a: Number, b: Number) {
        let (x, y) = (f64::from(a.value), f64::from(b.value));
        if !x.is_finite() || !y.is_finite() {
            self.odd += 1;
            return;
        }
        let difference = x - y;
        // Values are computed in 32 bits, so no step is finer than that.
        let least = f64::from(f32::EPSILON) * x.abs().max(y.abs()) + f64::from(f32::MIN_POSITIVE);
        let step = f64::from(a.step).hypot(f64::from(b.step)).max(least);
        let residual = difference / step;
        self.count += 1.0;
        self.a += x;
        self.b += y;
        self.aa += x * x;
        self.bb += y * y;
        self.ab += x * y;
        self.difference += difference * difference;
        self.residual += residual * residual;
        self.within += f64::from(u8::from(residual.abs() <= 1.0));
    }

    fn variances(&self) -> (f64, f64) {
        let variance = |sum: f64, squares: f64| squares - sum * sum / self.count;
        (variance(self.a, self.aa), variance(self.b, self.bb))
    }

    /// Whether both sides vary.
    fn varies(&self) -> bool {
        let (a, b) = self.variances();
        self.count > 1.0 && a > CONSTANT * self.aa && b > CONSTANT * self.bb
    }

    fn cosine(&self) -> Option<f64> {
        let (a, b) = self.variances();
        self.varies().then(|| ((self.ab - self.a * self.b / self.count) / (a * b).sqrt()).clamp(-1.0, 1.0))
    }

    fn relative_error(&self) -> Option<f64> {
        (self.aa > 0.0).then(|| (self.difference / self.aa).sqrt())
    }

    fn residual(&self) -> f64 {
        (self.residual / self.count).sqrt()
    }
}

/// Whether numbers of these formats were rounded in a way that a residual measures: not where both have the same
/// floating-point format, in which equal numbers are equal.
fn rounds(a: Coding, b: Coding) -> bool {
    a != b || !a.is_float()
}

/// Where a row of the interleaved order lies in the other: within a head, 2i + s becomes s·(width/2) + i.
fn split_row(row: u64, heads: u64, rows: u64) -> Option<u64> {
    let width = rows.checked_div(heads).filter(|width| *width > 0 && width.is_multiple_of(2))?;
    if !rows.is_multiple_of(heads) {
        return None;
    }
    let (head, within) = (row / width, row % width);
    head.checked_mul(width)?.checked_add((within % 2) * (width / 2) + within / 2)
}

fn alignments(name: &str, a: Side<'_>, b: Side<'_>) -> Vec<Alignment> {
    let mut all = vec![Alignment::Plain];
    if a.weights.is_gguf == b.weights.is_gguf || a.tensor.shape != b.tensor.shape {
        return all;
    }
    let first = a.weights.is_gguf;
    let (ours, theirs) = (a.weights.heads, b.weights.heads);
    let heads = if name.contains(".attn_q.") {
        ours.query.or(theirs.query)
    } else if name.contains(".attn_k.") {
        ours.key.or(theirs.key)
    } else {
        None
    };
    all.extend(heads.filter(|heads| *heads > 0).map(|heads| Alignment::Rotary { heads, first }));
    if name.contains("norm") && !a.tensor.is_matrix() {
        all.push(Alignment::NormOffset { first });
    }
    all
}

/// Compares two tensors of one name.
pub(super) fn compare(
    name: &str,
    a: Side<'_>,
    b: Side<'_>,
    options: Options,
) -> Result<TensorComparison, CompareError> {
    let mut out = TensorComparison {
        name: escape(name, 200),
        formats: [a.tensor.coding.name(), b.tensor.coding.name()],
        shape: a.tensor.shape.clone(),
        compared: 0,
        cosine: None,
        relative_error: None,
        residual: None,
        verdict: TensorVerdict::NotCompared,
        note: None,
        telling: a.tensor.is_matrix() || b.tensor.is_matrix(),
    };
    let resized = is_resized(name, a.tensor, b.tensor);
    let readable = |coding| !matches!(coding, Coding::Other(_));
    if a.tensor.shape != b.tensor.shape && !resized {
        out.note = Some("other shapes");
        if reordered(name, a, b)? {
            out.verdict = TensorVerdict::Reordered;
        }
        return Ok(out);
    }
    if !readable(a.tensor.coding) || !readable(b.tensor.coding) {
        out.note = Some("a format whose numbers are not read");
        if a.tensor.coding == b.tensor.coding && same_bytes(name, a, b)? == Some(true) {
            (out.verdict, out.note) = (TensorVerdict::Identical, None);
        }
        return Ok(out);
    }
    let mut best: Option<(Sums, Alignment)> = None;
    for alignment in alignments(name, a, b) {
        let Some(sums) = sums(name, a, b, alignment, options)? else { continue };
        if best.as_ref().is_none_or(|(known, _)| sums.difference < known.difference) {
            best = Some((sums, alignment));
        }
    }
    let Some((sums, alignment)) = best.filter(|(sums, _)| sums.count > 0.0) else {
        // No numbers at all, or none that is finite.
        if a.tensor.coding == b.tensor.coding && !resized && same_bytes(name, a, b)? == Some(true) {
            out.verdict = TensorVerdict::Identical;
        }
        out.telling = false;
        return Ok(out);
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of numbers read")]
    {
        out.compared = sums.count as u64;
    }
    out.telling &= sums.varies();
    out.cosine = sums.cosine();
    out.relative_error = sums.relative_error();
    out.verdict = verdict(&sums);
    if sums.difference == 0.0 && sums.odd == 0 {
        out.verdict = TensorVerdict::Same;
        if a.tensor.coding == b.tensor.coding && alignment == Alignment::Plain && !resized {
            if same_bytes(name, a, b)? == Some(true) {
                out.verdict = TensorVerdict::Identical;
            } else {
                out.verdict = TensorVerdict::Similar;
                out.note = Some("equal in the sample; other bytes differ");
            }
        }
    } else if rounds(a.tensor.coding, b.tensor.coding) {
        out.residual = Some(sums.residual());
        if sums.odd == 0 && sums.residual() <= ROUNDING && sums.within >= WITHIN * sums.count {
            out.verdict = TensorVerdict::Same;
        }
    }
    if resized && out.verdict == TensorVerdict::Same {
        (out.verdict, out.note) = (TensorVerdict::Similar, Some("the same in the rows that both have"));
    }
    let unlike = matches!(out.verdict, TensorVerdict::Different | TensorVerdict::Trace);
    if unlike && out.telling && reordered(name, a, b)? {
        out.verdict = TensorVerdict::Reordered;
    }
    Ok(out)
}

fn verdict(sums: &Sums) -> TensorVerdict {
    let cosine = sums.cosine().unwrap_or(0.0);
    let trace = LEAST_TRACE.max(TRACE_DEVIATIONS / sums.count.sqrt());
    if cosine >= SIMILAR && trace < SIMILAR {
        TensorVerdict::Similar
    } else if cosine.abs() > trace {
        TensorVerdict::Trace
    } else {
        TensorVerdict::Different
    }
}

/// Fine-tunes often have tokens added: rows that both have can be compared.
fn is_resized(name: &str, a: &Tensor, b: &Tensor) -> bool {
    matches!(name, "token_embd.weight" | "output.weight")
        && a.shape.len() == 2
        && b.shape.len() == 2
        && a.columns() == b.columns()
        && a.rows() != b.rows()
}

/// `None` if the alignment does not fit the shape.
fn sums(
    name: &str,
    a: Side<'_>,
    b: Side<'_>,
    alignment: Alignment,
    options: Options,
) -> Result<Option<Sums>, CompareError> {
    let mut sums = Sums::default();
    let rows = a.tensor.rows().min(b.tensor.rows());
    let is_vector = a.tensor.shape.len() < 2;
    let random = SplitMix::new(options.seed, name);
    for stretch in stretches(rows, a.tensor.columns(), options.sample, random) {
        let (mut here, mut there) = (stretch, stretch);
        if let Alignment::Rotary { heads, first } = alignment
            && !is_vector
        {
            // The stretch names a row of the interleaved side.
            let Some(row) = split_row(stretch.row, heads, rows) else { return Ok(None) };
            *(if first { &mut there.row } else { &mut here.row }) = row;
        }
        let mut ours = read(a.weights, name, a.tensor, here)?;
        let mut theirs = read(b.weights, name, b.tensor, there)?;
        match alignment {
            Alignment::Rotary { heads, first } if is_vector => {
                if stretch.count != a.tensor.columns() {
                    return Ok(None);
                }
                let split = if first { &theirs } else { &ours };
                let Some(sorted) = interleave(split, heads) else { return Ok(None) };
                *(if first { &mut theirs } else { &mut ours }) = sorted;
            }
            Alignment::NormOffset { first } => {
                let plain = if first { &mut theirs } else { &mut ours };
                plain.iter_mut().for_each(|number| number.value += 1.0);
            }
            Alignment::Plain | Alignment::Rotary { .. } => {}
        }
        ours.into_iter().zip(theirs).for_each(|(x, y)| sums.add(x, y));
    }
    Ok(Some(sums))
}

fn interleave(split: &[Number], heads: u64) -> Option<Vec<Number>> {
    let rows = split.len() as u64;
    (0..rows).map(|row| split.get(usize::try_from(split_row(row, heads, rows)?).ok()?).copied()).collect()
}

fn tensor_view(name: &str, side: Side<'_>) -> Result<Option<View>, CompareError> {
    let count = side.tensor.rows().checked_mul(side.tensor.columns());
    let Some(length) = count.and_then(|count| side.tensor.coding.bytes_for(count)) else { return Ok(None) };
    let part =
        side.weights.views.get(side.tensor.part).and_then(|view| view.part(side.tensor.offset, length));
    let outside =
        || CompareError::Tensor { name: escape(name, 200), what: "it lies outside its file".to_owned() };
    part.map(Some).ok_or_else(outside)
}

/// Whether all bytes are the same; `None` if their length is not known.
fn same_bytes(name: &str, a: Side<'_>, b: Side<'_>) -> Result<Option<bool>, CompareError> {
    let (Some(a), Some(b)) = (tensor_view(name, a)?, tensor_view(name, b)?) else { return Ok(None) };
    if a.len() != b.len() {
        return Ok(Some(false));
    }
    let fail = |what: String| CompareError::Tensor { name: escape(name, 200), what };
    let mut at = 0;
    while at < a.len() {
        let ours = a.bytes(at, CHUNK).map_err(|trouble| fail(trouble.to_string()))?;
        let theirs = b.bytes(at, CHUNK).map_err(|trouble| fail(trouble.to_string()))?;
        if ours != theirs {
            return Ok(Some(false));
        }
        at += ours.len() as u64;
    }
    Ok(Some(true))
}

/// Whether both hold the same numbers, in whatever order: sums of two hashes of every number. Floating-point formats
/// only, since rounding depends on the neighbours in all others.
fn reordered(name: &str, a: Side<'_>, b: Side<'_>) -> Result<bool, CompareError> {
    let exact = |side: Side<'_>| side.tensor.coding.is_float() && side.tensor.coding != Coding::F64;
    let count = |side: Side<'_>| side.tensor.rows().checked_mul(side.tensor.columns());
    if !exact(a) || !exact(b) || count(a) != count(b) || !a.tensor.is_matrix() {
        return Ok(false);
    }
    match (multiset(name, a)?, multiset(name, b)?) {
        // A constant tensor is the same in any order, which says nothing.
        (Some(ours), Some(theirs)) => Ok(ours == theirs && ours.2),
        _ => Ok(false),
    }
}

/// Two sums of hashes, and whether the numbers vary.
fn multiset(name: &str, side: Side<'_>) -> Result<Option<(u64, u64, bool)>, CompareError> {
    let Some(view) = tensor_view(name, side)? else { return Ok(None) };
    let (mut first, mut second, mut seen, mut varies) = (0_u64, 0_u64, None, false);
    let mut at = 0;
    while at < view.len() {
        // INVARIANT: a chunk is a whole number of floating-point numbers of any width.
        let bytes = view
            .bytes(at, CHUNK)
            .map_err(|trouble| CompareError::Tensor { name: escape(name, 200), what: trouble.to_string() })?;
        at += bytes.len() as u64;
        for number in side.tensor.coding.numbers(&bytes) {
            // Both zeros are one number.
            let bits = u64::from((number.value + 0.0).to_bits());
            first = first.wrapping_add(mix(bits));
            second = second.wrapping_add(mix(bits ^ 0xa5a5_a5a5_0000_0000));
            varies |= *seen.get_or_insert(bits) != bits;
        }
    }
    Ok(Some((first, second, varies)))
}

/// The cosines of sampled rows, without taking means away: what two embedding tables have in common.
pub(super) fn row_cosines(
    name: &str,
    a: Side<'_>,
    b: Side<'_>,
    options: Options,
) -> Result<Vec<f64>, CompareError> {
    let rows = a.tensor.rows().min(b.tensor.rows());
    let mut out = Vec::new();
    for stretch in stretches(rows, a.tensor.columns(), options.sample, SplitMix::new(options.seed, name)) {
        let mut sums = Sums::default();
        let ours = read(a.weights, name, a.tensor, stretch)?;
        let theirs = read(b.weights, name, b.tensor, stretch)?;
        ours.into_iter().zip(theirs).for_each(|(x, y)| sums.add(x, y));
        let cosine = sums.ab / (sums.aa * sums.bb).sqrt();
        if cosine.is_finite() {
            out.push(cosine);
        }
    }
    Ok(out)
}
