//! Choosing the next token.

use super::math::argmax;
use crate::chat::Sampling;

/// SplitMix64 (Steele, Lea & Flood 2014): small, fast, and the same everywhere.
pub struct Rng(u64);

impl Rng {
    /// A generator for this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub fn uniform(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let x = (self.next() >> 11) as f64;
        x / (1_u64 << 53) as f64
    }
}

/// The next token. Temperature 0 is greedy: the largest logit, of equals the first.
#[expect(clippy::cast_possible_truncation, reason = "a vocabulary has fewer than 2^22 tokens")]
pub fn choose(logits: &[f32], sampling: &Sampling, rng: &mut Rng) -> u32 {
    if sampling.temperature <= 0.0 {
        return argmax(logits) as u32;
    }
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let mut weights: Vec<(f64, u32)> = logits
        .iter()
        .zip(0_u32..)
        .map(|(&logit, id)| (libm::exp((f64::from(logit) - largest) / sampling.temperature), id))
        .collect();
    let total: f64 = weights.iter().map(|(w, _)| w).sum();
    let mut mass = total;
    if sampling.top_p < 1.0 {
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        mass = 0.0;
        let mut kept = 0;
        for (w, _) in &weights {
            mass += w;
            kept += 1;
            if mass >= sampling.top_p * total {
                break;
            }
        }
        weights.truncate(kept);
    }
    let mut left = rng.uniform() * mass;
    for (w, id) in &weights {
        left -= w;
        if left <= 0.0 {
            return *id;
        }
    }
    weights.last().map_or(0, |(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_distribution() {
        let logits = [0.0_f32, 1.0, 2.0];
        let mut counts = [0_u32; 3];
        let mut rng = Rng::new(5);
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        for _ in 0..30_000 {
            counts[choose(&logits, &sampling, &mut rng) as usize] += 1;
        }
        for (count, p) in counts.iter().zip([0.0900, 0.2447, 0.6652]) {
            assert!((f64::from(*count) / 30_000.0 - p).abs() < 0.01, "{counts:?}");
        }
    }

    #[test]
    fn greedy_and_nucleus() {
        let logits = [0.0_f32, 3.0, 3.0];
        assert_eq!(choose(&logits, &Sampling::default(), &mut Rng::new(1)), 1);
        let nucleus = Sampling { temperature: 1.0, top_p: 0.5, ..Sampling::default() };
        let mut rng = Rng::new(9);
        assert!((0..200).all(|_| choose(&logits, &nucleus, &mut rng) != 0));
    }
}
