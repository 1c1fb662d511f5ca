//! Comparing two runs over the same cases.

use super::proportion::score;
use super::{Confidence, Interval, StatsError, quantile, real};

/// Cases that were run twice, under `a` and under `b`, by outcome. *Invariant:* the total fits in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairedCounts {
    both: u64,
    only_a: u64,
    only_b: u64,
    neither: u64,
}

impl PairedCounts {
    /// Makes the table from its cells: success under both, only under `a`, only under `b`, under neither.
    ///
    /// # Errors
    /// [`StatsError::TotalTooLarge`].
    pub fn new(both: u64, only_a: u64, only_b: u64, neither: u64) -> Result<Self, StatsError> {
        [only_a, only_b, neither]
            .into_iter()
            .try_fold(both, u64::checked_add)
            .map(|_| Self { both, only_a, only_b, neither })
            .ok_or(StatsError::TotalTooLarge)
    }

    /// Counts outcomes given case by case as (success under `a`, success under `b`).
    pub fn from_outcomes(outcomes: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut table = Self { both: 0, only_a: 0, only_b: 0, neither: 0 };
        for outcome in outcomes {
            match outcome {
                (true, true) => table.both += 1,
                (true, false) => table.only_a += 1,
                (false, true) => table.only_b += 1,
                (false, false) => table.neither += 1,
            }
        }
        table
    }

    /// The number of pairs.
    #[must_use]
    pub fn pairs(self) -> u64 {
        self.both + self.only_a + self.only_b + self.neither
    }

    /// The share of pairs whose outcomes differ, 0 to 1; `None` without pairs.
    #[must_use]
    pub fn discordance(self) -> Option<f64> {
        (self.pairs() > 0).then(|| real(self.only_a + self.only_b) / real(self.pairs()))
    }

    /// The rate under `b` minus the rate under `a`, -1 to 1; `None` without pairs.
    #[must_use]
    pub fn difference(self) -> Option<f64> {
        (self.pairs() > 0).then(|| (real(self.only_b) - real(self.only_a)) / real(self.pairs()))
    }

    fn cells(self) -> [f64; 4] {
        [self.both, self.only_a, self.only_b, self.neither].map(real)
    }
}

/// Newcombe's correlation: phi with a continuity correction towards 0 where it is positive.
fn correlation([both, only_a, only_b, neither]: [f64; 4]) -> f64 {
    let margins = [both + only_a, only_b + neither, both + only_b, only_a + neither];
    if margins.contains(&0.0) {
        return 0.0;
    }
    let pairs = both + only_a + only_b + neither;
    let cross = both * neither - only_a * only_b;
    let corrected = if cross > 0.0 { (cross - pairs / 2.0).max(0.0) } else { cross };
    // Roots before the product: four counts multiplied could lose precision.
    corrected / margins.map(f64::sqrt).iter().product::<f64>()
}

/// Two-sided p-values of McNemar's test that `a` and `b` have the same rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// The exact conditional (binomial) p-value: never too small, often too large.
    pub exact: f64,
    /// The mid-p value: closer to the nominal level, and may exceed it slightly.
    pub mid_p: f64,
}

/// McNemar's test on the discordant pairs; both values are 1 when there are none.
///
/// Source: McNemar 1947 (Psychometrika 12:153); Fagerland, Lydersen & Laake 2013 (BMC Med. Res. Methodol.
/// 13:91), who recommend the mid-p test.
#[must_use]
pub fn mcnemar(table: PairedCounts) -> McNemar {
    let discordant = real(table.only_a) + real(table.only_b);
    let fewer = real(table.only_a.min(table.only_b));
    let doubled = 2.0 * quantile::fair_coin_cdf(fewer, discordant);
    let mid_p = doubled - quantile::fair_coin_pmf(fewer, discordant);
    McNemar { exact: doubled.min(1.0), mid_p: mid_p.clamp(0.0, 1.0) }
}

/// An interval for the rate under `b` minus the rate under `a`, within -1 to 1; -1 to 1 without pairs.
///
/// Wilson's limits of the two rates are combined by square-and-add, with the correlation of the pairs. It may
/// disagree with [`mcnemar`] in borderline cases: decide by the test, show the interval.
///
/// Source: method 10 of Newcombe 1998 (Stat. Med. 17:2635).
#[must_use]
pub fn paired_difference(table: PairedCounts, confidence: Confidence) -> Interval {
    newcombe(table.cells(), quantile::normal_two_sided(confidence.level()))
}

/// The same for (possibly fractional) cells both, only a, only b, neither, at critical value `z`.
pub(super) fn newcombe(cells: [f64; 4], z: f64) -> Interval {
    let [both, only_a, only_b, _] = cells;
    let pairs: f64 = cells.iter().sum();
    if pairs <= 0.0 {
        return Interval { low: -1.0, high: 1.0 };
    }
    let (rate_a, rate_b) = ((both + only_a) / pairs, (both + only_b) / pairs);
    let (limits_a, limits_b) = (score(rate_a, pairs, z), score(rate_b, pairs, z));
    let phi = correlation(cells);
    // The squares cannot go below 0 on paper, as |phi| <= 1; with rounding they can.
    let reach = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let difference = rate_b - rate_a;
    let low = difference - reach(rate_b - limits_b.low, limits_a.high - rate_a);
    let high = difference + reach(limits_b.high - rate_b, rate_a - limits_a.low);
    Interval { low: low.max(-1.0), high: high.min(1.0) }
}
