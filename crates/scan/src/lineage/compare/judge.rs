//! From tensors to models.

use super::pair::{self, Side};
use super::{CompareError, Comparison, Embeddings, Options, TensorComparison, TensorVerdict, Verdict};
use crate::examination::escape;
use crate::lineage::weights::{Coding, Weights};

/// Share of alike parameters from which on one model is derived from the other.
const DERIVED: f64 = 0.6;
/// Share of alike parameters, or of tensors with traces, below which nothing is said.
const PARTIAL: f64 = 0.02;
const TRACES: f64 = 0.5;
/// Share of parameters that must have been compared before models are called unrelated.
const ENOUGH: f64 = 0.5;
const SHARED_ROW: f64 = 0.9;
const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Tensors that are computed and not learned; writers add or leave them out.
fn is_computed(name: &str) -> bool {
    name == "rope_freqs.weight"
        || [".inv_freq", ".masked_bias", ".attn.bias", ".position_ids"].iter().any(|end| name.ends_with(end))
}

pub(super) fn compare(a: &Weights, b: &Weights, options: Options) -> Result<Comparison, CompareError> {
    let mut tensors = Vec::new();
    let mut only = [Vec::new(), Vec::new()];
    for (name, tensor) in &a.tensors {
        let other = b.tensors.get(name).or_else(|| tied(name, b));
        match other {
            _ if is_computed(name) => {}
            Some(other) => {
                let ours = Side { weights: a, tensor };
                tensors.push(pair::compare(name, ours, Side { weights: b, tensor: other }, options)?);
            }
            None => only[0].push(escape(name, 200)),
        }
    }
    for (name, tensor) in &b.tensors {
        if a.tensors.contains_key(name) || is_computed(name) {
            continue;
        }
        match tied(name, a) {
            Some(other) => {
                let ours = Side { weights: a, tensor: other };
                tensors.push(pair::compare(name, ours, Side { weights: b, tensor }, options)?);
            }
            None => only[1].push(escape(name, 200)),
        }
    }
    let embeddings = embeddings(a, b, options)?;
    let smaller = parameters(a).min(parameters(b));
    let weigh = |keep: &dyn Fn(&TensorComparison) -> bool| {
        let telling = tensors.iter().filter(|tensor| tensor.telling && keep(tensor));
        telling.fold(0_u64, |sum, tensor| sum.saturating_add(product(&tensor.shape)))
    };
    let compared = weigh(&|tensor| tensor.verdict != TensorVerdict::NotCompared);
    let alike = weigh(&|tensor| is_alike(tensor.verdict));
    let mut out = Comparison {
        verdict: Verdict::Undecided,
        coverage: share(compared, smaller).min(1.0),
        alike: share(alike, compared),
        tensors,
        only,
        embeddings,
    };
    out.verdict = verdict(&out);
    Ok(out)
}

fn verdict(found: &Comparison) -> Verdict {
    let all = |accept: &[TensorVerdict]| found.tensors.iter().all(|tensor| accept.contains(&tensor.verdict));
    let telling: Vec<_> = found
        .tensors
        .iter()
        .filter(|tensor| tensor.telling && tensor.verdict != TensorVerdict::NotCompared)
        .collect();
    let traces = telling.iter().filter(|tensor| tensor.verdict == TensorVerdict::Trace).count();
    let whole = found.only.iter().all(Vec::is_empty);
    let embeddings = found.embeddings.is_some_and(|found| found.rows > 0 && found.shared * 2 > found.rows);
    if whole && !found.tensors.is_empty() && all(&[TensorVerdict::Identical]) {
        return Verdict::Identical;
    }
    // INVARIANT below: at least one telling matrix, so that constant tensors alone prove nothing.
    if telling.is_empty() {
        return Verdict::Undecided;
    }
    if whole && all(&[TensorVerdict::Identical, TensorVerdict::Same]) {
        return Verdict::Same;
    }
    if found.alike >= DERIVED && found.coverage >= ENOUGH {
        return Verdict::Derived;
    }
    if found.alike >= PARTIAL || embeddings || share(traces as u64, telling.len() as u64) >= TRACES {
        return Verdict::Partial;
    }
    if found.coverage >= ENOUGH { Verdict::Unrelated } else { Verdict::Undecided }
}

const fn is_alike(verdict: TensorVerdict) -> bool {
    use TensorVerdict::{Identical, Reordered, Same, Similar};
    matches!(verdict, Identical | Same | Similar | Reordered)
}

/// A model without an output matrix uses its embedding as one.
fn tied<'a>(name: &str, other: &'a Weights) -> Option<&'a crate::lineage::weights::Tensor> {
    (name == HEAD).then(|| other.tensors.get(EMBEDDING)).flatten()
}

fn embeddings(a: &Weights, b: &Weights, options: Options) -> Result<Option<Embeddings>, CompareError> {
    let (Some(ours), Some(theirs)) = (a.tensors.get(EMBEDDING), b.tensors.get(EMBEDDING)) else {
        return Ok(None);
    };
    let readable = |coding| !matches!(coding, Coding::Other(_));
    let fit = ours.shape.len() == 2 && theirs.shape.len() == 2 && ours.columns() == theirs.columns();
    if !fit || !readable(ours.coding) || !readable(theirs.coding) {
        return Ok(None);
    }
    let sides = (Side { weights: a, tensor: ours }, Side { weights: b, tensor: theirs });
    let mut cosines = pair::row_cosines(EMBEDDING, sides.0, sides.1, options)?;
    cosines.sort_by(f64::total_cmp);
    Ok(cosines.get(cosines.len() / 2).map(|median| Embeddings {
        rows: cosines.len() as u64,
        shared: cosines.iter().filter(|cosine| **cosine >= SHARED_ROW).count() as u64,
        median_cosine: *median,
    }))
}

fn product(shape: &[u64]) -> u64 {
    shape.iter().copied().fold(1, u64::saturating_mul)
}

/// Numbers in matrices.
fn parameters(weights: &Weights) -> u64 {
    let matrices = weights.tensors.values().filter(|tensor| tensor.is_matrix());
    matrices.fold(0_u64, |sum, tensor| sum.saturating_add(product(&tensor.shape)))
}

#[expect(clippy::cast_precision_loss, reason = "a share, to a few digits")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
