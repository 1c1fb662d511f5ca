//! The steps between matrix products, written so that they give the same bits on every machine.
//!
//! Sums run in sixteen fixed lanes that are folded in a fixed order; `exp` and `tanh` are our own polynomials
//! instead of the platform's; fused multiply-adds are explicit. The compiler may vectorise these loops but cannot
//! change what they compute.

use archmage::prelude::*;

const LANES: usize = 16;

/// e^x to within 2 units in the last place for x in -87.3..=88.7; arguments outside are taken as the nearer end.
///
/// Method: x = n·ln 2 + r with |r| ≤ ln 2 / 2, a degree-6 minimax polynomial in r, then 2^n by exponent bits
/// (Cephes `expf`). No branches and no float-to-integer conversion, so that loops over it vectorise.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5 · 2^23: adding it leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.7);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    // Adding n to the exponent bits multiplies by 2^n; y is near 1, so nothing overflows.
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = lanes;
    (((a + i) + (e + m)) + ((c + k) + (g + o))) + (((b + j) + (f + n)) + ((d + l) + (h + p)))
}

/// `out[i] = x[i] / sqrt(mean(x²) + epsilon) · weight[i]` for each run of `weight.len()` numbers.
#[autoversion(v4, v3, neon, scalar)]
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = x.mul_add(x, *lane);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane = x.mul_add(x, *lane);
        }
        #[expect(clippy::cast_precision_loss, reason = "a model's width is far below 2^24")]
        let mean = fold(lanes) / x.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * w;
        }
    }
}

/// `gate[i] = silu(gate[i]) · up[i]`.
#[autoversion(v4, v3, neon, scalar)]
pub fn silu_gate(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// `gate[i] = gelu(gate[i]) · up[i]`, GELU in its tanh form (Hendrycks & Gimpel 2016).
#[autoversion(v4, v3, neon, scalar)]
pub fn gelu_gate(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        let x = *gate;
        let inner = 0.797_884_6 * x * (0.044_715 * x).mul_add(x, 1.0);
        // tanh(z) = 1 - 2 / (e^{2z} + 1)
        let tanh = 1.0 - 2.0 / (exp(2.0 * inner) + 1.0);
        *gate = 0.5 * x * (1.0 + tanh) * up;
    }
}

/// `out[i] += x[i]`.
pub fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// Softmax in place.
#[inline(always)]
pub fn softmax(scores: &mut [f32]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = scores.as_chunks::<LANES>();
    for chunk in chunks.iter().map(<[f32; LANES]>::as_slice).chain([rest]) {
        for (lane, &x) in largest.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut lanes = [0.0_f32; LANES];
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exp(*x - largest);
            *lane += *x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *x = exp(*x - largest);
        *lane += *x;
    }
    let inverse = 1.0 / fold(lanes);
    for x in scores {
        *x *= inverse;
    }
}

/// The index of the largest number; of equals, the first. 0 if there are none.
pub fn argmax(numbers: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &x) in numbers.iter().enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}

/// ln of the softmax probability of `index`, in double precision. `None` if there is no such index.
pub fn log_probability(logits: &[f32], index: usize) -> Option<f64> {
    let own = f64::from(*logits.get(index)?);
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| libm::exp(f64::from(x - largest))).sum();
    Some(own - f64::from(largest) - libm::log(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let (ours, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((ours - right) / right).abs() < 3e-7, "exp({x}) = {ours}, right is {right}");
        }
        assert!(exp(-1000.0) < 1.3e-38 && exp(f32::NEG_INFINITY) > 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut x: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        softmax(&mut x);
        assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn gates() {
        let mut gate = [1.0, -2.0, 0.0];
        silu_gate(&mut gate, &[1.0, 1.0, 5.0]);
        assert!(
            (gate[0] - 0.731_058_6).abs() < 1e-6 && (gate[1] + 0.238_405_8).abs() < 1e-6 && gate[2] == 0.0
        );
        let mut gate = [1.0, -2.0, 0.0];
        gelu_gate(&mut gate, &[1.0, 1.0, 5.0]);
        assert!((gate[0] - 0.841_192).abs() < 1e-5 && (gate[1] + 0.045_402).abs() < 1e-5 && gate[2] == 0.0);
    }

    #[test]
    fn log_probabilities() {
        assert!((log_probability(&[0.0, 0.0], 1).unwrap() + std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(log_probability(&[0.0], 1), None);
    }
}
