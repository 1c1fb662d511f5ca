//! Statistics of evaluation runs: intervals for rates, paired comparisons, multiplicity, sample size,
//! agreement.
//!
//! *Invariant:* everything here is a pure function of its arguments: no I/O, no clock, no randomness. The
//! same counts give the same figures on every machine, so a report can be checked by recomputing it.
//!
//! Two conventions hold throughout. A quantity that the data cannot determine is `None` or the widest
//! possible interval, never a confident-looking number. A difference between two runs is `b - a`: positive
//! means that the rate is higher in `b`.

mod agreement;
mod cluster;
mod crossed;
mod multiple;
mod paired;
mod power;
mod proportion;
mod quantile;

pub use agreement::{cohen_kappa, fleiss_kappa, krippendorff_alpha, plain_agreement};
pub use cluster::{ClusterEstimate, cluster_interval, cluster_interval_with_floor, worst_design_effect};
pub use crossed::{CrossedCounts, CrossedEstimate, CrossedPair, crossed_difference, crossed_interval};
pub use multiple::holm;
pub use paired::{McNemar, PairedCounts, mcnemar, paired_difference};
pub use power::{
    Detectable, TestDesign, minimum_detectable_paired, minimum_detectable_rate, minimum_detectable_unpaired,
};
pub use proportion::{clopper_pearson, wilson};

/// An argument that a statistical function cannot work with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// More successes than trials.
    #[error("{successes} successes in {trials} trials: count each success as a trial too")]
    MoreSuccessesThanTrials {
        /// The successes that were given.
        successes: u64,
        /// The trials that were given.
        trials: u64,
    },
    /// A total that does not fit in 64 bits.
    #[error("the counts add up to more than 2^64 - 1: check how they were read")]
    TotalTooLarge,
    /// A figure outside the range its meaning allows; NaN is outside every range.
    #[error("{name} is {value}, which is not {range}")]
    OutOfRange {
        /// What the figure is.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would be allowed, in words.
        range: &'static str,
    },
    /// Two lists that should describe the same cases have different lengths.
    #[error("the lists have {left} and {right} entries: give one entry per case in each")]
    LengthMismatch {
        /// Entries in the first list.
        left: usize,
        /// Entries in the second list.
        right: usize,
    },
    /// A unit does not have the number of ratings that the measure requires of every unit.
    #[error("unit {unit} has {found} ratings where {expected} are needed: repeat every case equally often")]
    UnevenRatings {
        /// Position of the unit, counted from 0.
        unit: usize,
        /// Its ratings.
        found: usize,
        /// The ratings it should have.
        expected: usize,
    },
}

/// A closed interval, `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower limit.
    pub low: f64,
    /// The upper limit.
    pub high: f64,
}

impl Interval {
    /// What is known of a proportion without any data: 0 to 1.
    pub const UNIT: Self = Self { low: 0.0, high: 1.0 };

    /// `high - low`.
    #[must_use]
    pub fn width(self) -> f64 {
        self.high - self.low
    }

    /// Whether `value` lies within, limits included.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Successes out of trials. *Invariant:* `successes <= trials`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counts {
    successes: u64,
    trials: u64,
}

impl Counts {
    /// Checks and makes the pair; zero trials are allowed.
    ///
    /// # Errors
    /// [`StatsError::MoreSuccessesThanTrials`].
    pub fn new(successes: u64, trials: u64) -> Result<Self, StatsError> {
        if successes > trials {
            return Err(StatsError::MoreSuccessesThanTrials { successes, trials });
        }
        Ok(Self { successes, trials })
    }

    /// How many trials succeeded.
    #[must_use]
    pub fn successes(self) -> u64 {
        self.successes
    }

    /// How many trials there were.
    #[must_use]
    pub fn trials(self) -> u64 {
        self.trials
    }

    /// The observed proportion, 0 to 1; `None` without trials.
    #[must_use]
    pub fn proportion(self) -> Option<f64> {
        (self.trials > 0).then(|| real(self.successes) / real(self.trials))
    }
}

/// The confidence level of a two-sided interval. *Invariant:* strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// 95 %.
    pub const P95: Self = Self(0.95);
    /// 99 %.
    pub const P99: Self = Self(0.99);

    /// Checks and makes a level, e.g. `0.95`.
    ///
    /// # Errors
    /// [`StatsError::OutOfRange`] unless `0 < level < 1`.
    pub fn new(level: f64) -> Result<Self, StatsError> {
        open_unit("the confidence level", level).map(Self)
    }

    /// The level as a fraction.
    #[must_use]
    pub fn level(self) -> f64 {
        self.0
    }
}

fn open_unit(name: &'static str, value: f64) -> Result<f64, StatsError> {
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(StatsError::OutOfRange { name, value, range: "between 0 and 1 (both excluded)" })
    }
}

/// A count as a real number. Exact below 2^53, which no evaluation reaches.
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// [`real`] for lengths.
#[allow(clippy::cast_precision_loss, reason = "lengths stay far below 2^53")]
fn real_len(length: usize) -> f64 {
    length as f64
}

#[cfg(test)]
mod tests;
