//! What a run of a given size can and cannot show.

use super::{Confidence, StatsError, open_unit, quantile, real};

/// The error rates a two-sided test is planned with. *Invariant:* `0 < alpha < 1`, `0.5 <= power < 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestDesign {
    alpha: f64,
    power: f64,
}

impl TestDesign {
    /// The usual plan: alpha 5 %, power 80 %.
    pub const USUAL: Self = Self { alpha: 0.05, power: 0.8 };

    /// Checks and makes a plan. `alpha` is the two-sided false-alarm rate, `power` the chance to notice the
    /// difference.
    ///
    /// # Errors
    /// [`StatsError::OutOfRange`] unless `0 < alpha < 1` and `0.5 <= power < 1`; with less power than a coin
    /// toss the smallest noticeable difference is not well defined.
    pub fn new(alpha: f64, power: f64) -> Result<Self, StatsError> {
        open_unit("alpha", alpha)?;
        if !(0.5..1.0).contains(&power) {
            return Err(StatsError::OutOfRange {
                name: "the power",
                value: power,
                range: "from 0.5 to below 1",
            });
        }
        Ok(Self { alpha, power })
    }

    fn critical_values(self) -> (f64, f64) {
        (quantile::normal_two_sided(1.0 - self.alpha), quantile::normal(self.power))
    }
}

/// The smallest detectable difference of a proportion from a baseline, each as a positive number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detectable {
    /// The smallest detectable rise; `None` if not even a rise to 100 % would be noticed.
    pub rise: Option<f64>,
    /// The smallest detectable fall; `None` if not even a fall to 0 % would be noticed.
    pub fall: Option<f64>,
}

/// The smallest absolute difference of two rates that McNemar's test on `pairs` pairs would notice.
///
/// `discordance` is the expected share of pairs with different outcomes, 0 to 1. The difference cannot exceed
/// it; the result is `None` if even that difference would not be noticed, so also for no pairs or no
/// discordance.
///
/// Source: Connor 1987 (Biometrics 43:207), eq. for the unconditional sample size, after Miettinen 1968
/// (Biometrics 24:339), solved for the difference.
///
/// # Errors
/// [`StatsError::OutOfRange`] unless `discordance` is within 0 to 1.
pub fn minimum_detectable_paired(
    pairs: u64,
    discordance: f64,
    design: TestDesign,
) -> Result<Option<f64>, StatsError> {
    closed_unit("the discordance", discordance)?;
    let (z_alpha, z_beta) = design.critical_values();
    let surplus = |difference: f64| {
        let alternative = (discordance - difference * difference).max(0.0).sqrt();
        real(pairs).sqrt() * difference - z_alpha * discordance.sqrt() - z_beta * alternative
    };
    Ok(smallest_noticed(discordance, surplus))
}

/// The smallest rise and fall from `baseline` that comparing two independent groups would notice.
///
/// Group `a` has the rate `baseline`, 0 to 1, and `trials_a` independent trials; group `b` has `trials_b`.
/// The test is the two-sided score (chi-squared) test without continuity correction.
///
/// Source: Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, 3rd ed., section 4.2,
/// solved for the difference, with unequal groups.
///
/// # Errors
/// [`StatsError::OutOfRange`] unless `baseline` is within 0 to 1.
pub fn minimum_detectable_unpaired(
    trials_a: u64,
    trials_b: u64,
    baseline: f64,
    design: TestDesign,
) -> Result<Detectable, StatsError> {
    closed_unit("the baseline rate", baseline)?;
    if trials_a == 0 || trials_b == 0 {
        return Ok(Detectable { rise: None, fall: None });
    }
    let (a, b) = (real(trials_a), real(trials_b));
    let (z_alpha, z_beta) = design.critical_values();
    let spread = |rate: f64| (rate * (1.0 - rate)).max(0.0);
    let rise_from = |rate: f64| {
        smallest_noticed(1.0 - rate, |difference| {
            let other = rate + difference;
            let pooled = (a * rate + b * other) / (a + b);
            difference
                - z_alpha * (spread(pooled) * (1.0 / a + 1.0 / b)).sqrt()
                - z_beta * (spread(rate) / a + spread(other) / b).sqrt()
        })
    };
    // A fall of the success rate is a rise of the failure rate.
    Ok(Detectable { rise: rise_from(baseline), fall: rise_from(1.0 - baseline) })
}

/// The largest true rate that `trials` independent trials without a single success are compatible with.
///
/// This is the exact one-sided upper limit `1 - (1 - confidence)^(1/trials)`, which the rule of three
/// (`3/trials` at 95 %) approximates. Rates above it would have shown at least one success with probability
/// `confidence` or more. 1 without trials.
///
/// Source: Hanley & Lippman-Hand 1983 (JAMA 249:1743).
#[must_use]
pub fn minimum_detectable_rate(trials: u64, confidence: Confidence) -> f64 {
    if trials == 0 {
        return 1.0;
    }
    // exp_m1 and ln_1p keep the precision that subtracting from 1 would lose for many trials.
    -((-confidence.level()).ln_1p() / real(trials)).exp_m1()
}

/// The root of `surplus` in 0 to `limit`, where the power is just reached; `None` if it is not reached at
/// `limit`.
///
/// In both uses `surplus` is linear minus concave, hence convex, and not positive at 0: it has at most one
/// root above 0.
fn smallest_noticed(limit: f64, surplus: impl Fn(f64) -> f64) -> Option<f64> {
    (limit > 0.0 && surplus(limit) >= 0.0).then(|| quantile::bisect(0.0, limit, surplus))
}

fn closed_unit(name: &'static str, value: f64) -> Result<(), StatsError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(StatsError::OutOfRange { name, value, range: "from 0 to 1" })
    }
}
