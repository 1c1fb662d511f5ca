//! Intervals for one proportion whose trials are independent.

use super::{Confidence, Counts, Interval, quantile, real};

/// Wilson's score interval: the interval to show by default.
///
/// 0 % and 100 % have a width; without trials the interval is 0 to 1. Its coverage is close to the level on
/// average and may fall a little below it for some true rates; where a guarantee matters, use
/// [`clopper_pearson`].
///
/// Source: Wilson 1927 (J. Am. Stat. Assoc. 22:209), method 3 of Newcombe 1998 (Stat. Med. 17:857).
#[must_use]
pub fn wilson(counts: Counts, confidence: Confidence) -> Interval {
    match counts.proportion() {
        Some(rate) => score(rate, real(counts.trials()), quantile::normal_two_sided(confidence.level())),
        None => Interval::UNIT,
    }
}

/// Clopper and Pearson's exact interval: covers the true rate at least as often as the level says.
///
/// 0 % and 100 % have a width; without trials the interval is 0 to 1.
///
/// Source: Clopper & Pearson 1934 (Biometrika 26:404), method 5 of Newcombe 1998 (Stat. Med. 17:857).
#[must_use]
pub fn clopper_pearson(counts: Counts, confidence: Confidence) -> Interval {
    let tail = (1.0 - confidence.level()) / 2.0;
    let (successes, failures) = (real(counts.successes()), real(counts.trials() - counts.successes()));
    // A limit with nothing beyond it is the end of the range; the beta distribution does not exist there.
    let low = if successes == 0.0 { 0.0 } else { quantile::beta(tail, successes, failures + 1.0) };
    let high = if failures == 0.0 { 1.0 } else { quantile::beta(1.0 - tail, successes + 1.0, failures) };
    Interval { low, high }
}

/// Wilson's interval for an observed `rate` in `size` (possibly fractional, `> 0`) trials at critical value
/// `z`.
pub(super) fn score(rate: f64, size: f64, z: f64) -> Interval {
    let weight = z * z / size;
    let centre = (rate + weight / 2.0) / (1.0 + weight);
    let reach = (rate * (1.0 - rate) * weight + weight * weight / 4.0).sqrt() / (1.0 + weight);
    // Rounding must not push a limit past the estimate: at 0 % and 100 % the two are equal on paper.
    Interval { low: (centre - reach).clamp(0.0, rate), high: (centre + reach).clamp(rate, 1.0) }
}
