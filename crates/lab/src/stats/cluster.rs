//! Intervals for a proportion whose trials come in clusters.
//!
//! Cases that share a template or a user task tend to succeed together. Counting them as independent makes
//! intervals too narrow, so the number of trials is divided by the design effect before an interval is
//! formed.

use super::proportion::score;
use super::{Confidence, Counts, Interval, StatsError, quantile, real, real_len};

/// A proportion estimated from clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterEstimate {
    /// Successes over trials of all clusters, 0 to 1; `None` without trials.
    pub proportion: Option<f64>,
    /// The interval; 0 to 1 with fewer than two clusters.
    pub interval: Interval,
    /// The variance under clustering over the variance under independence, as estimated and before any floor
    /// (it may be below 1). `None` where it cannot be estimated: fewer than two clusters, or all trials with
    /// one outcome.
    pub design_effect: Option<f64>,
    /// How many independent trials the data are worth: trials over the design effect that was applied; 0
    /// where the interval is 0 to 1 for want of clusters.
    pub effective_trials: f64,
    /// Clusters with at least one trial.
    pub clusters: usize,
}

/// [`cluster_interval_with_floor`] with a floor of 1.
///
/// **Near 0 % and 100 % this is optimistic.** With few successes the data hold little information on
/// clustering, and with none they hold none: `design_effect` is `None` and the trials count as independent,
/// which is the usual convention. If cases of a cluster do go together, the interval then misses the true
/// rate far more often than the level says. Before calling an attack rare, pass as the floor a design
/// effect known from comparable data, or [`worst_design_effect`].
#[must_use]
pub fn cluster_interval(clusters: &[Counts], confidence: Confidence) -> ClusterEstimate {
    estimate(clusters, confidence, 1.0)
}

/// A cluster-robust interval for the proportion of successes over all trials.
///
/// The variance is the linearised ("sandwich") variance of a ratio estimator over clusters with the G/(G-1)
/// correction. Its ratio to the binomial variance is the design effect; trials over design effect is the
/// effective sample size; Wilson's interval is formed with that size and the t quantile for G-1 degrees of
/// freedom. Unlike an interval on the logit scale this has a width at 0 % and 100 %. A design effect below
/// `floor` counts as `floor`, so an apparent negative correlation never narrows the interval. Clusters
/// without trials are ignored. With fewer than two clusters nothing can be said about the variance between
/// clusters and the interval is 0 to 1.
///
/// Source: Korn & Graubard 1998 (Survey Methodology 24:193) for effective size and degrees of freedom; Dean &
/// Pagano 2015 (J. Surv. Stat. Methodol. 3:484) and Franco et al. 2019 (ibid. 7:334) for Wilson's form.
///
/// # Errors
/// [`StatsError::OutOfRange`] unless `floor` is at least 1 and finite.
pub fn cluster_interval_with_floor(
    clusters: &[Counts],
    confidence: Confidence,
    floor: f64,
) -> Result<ClusterEstimate, StatsError> {
    if !(floor.is_finite() && floor >= 1.0) {
        let name = "the floor of the design effect";
        return Err(StatsError::OutOfRange { name, value: floor, range: "a finite number of at least 1" });
    }
    Ok(estimate(clusters, confidence, floor))
}

/// The design effect if all trials of a cluster always had the same outcome (intra-cluster correlation 1).
///
/// With equal clusters this is their size, so that each cluster counts as one trial. At least 1; 1 without
/// trials.
///
/// Source: Kish 1965, Survey Sampling, section 5.4.
#[must_use]
pub fn worst_design_effect(clusters: &[Counts]) -> f64 {
    let sizes = || clusters.iter().map(|cluster| real(cluster.trials()));
    let trials: f64 = sizes().sum();
    if trials > 0.0 { sizes().map(|size| size * size).sum::<f64>() / trials } else { 1.0 }
}

fn estimate(clusters: &[Counts], confidence: Confidence, floor: f64) -> ClusterEstimate {
    let used = || clusters.iter().filter(|cluster| cluster.trials() > 0);
    let count = used().count();
    let trials: f64 = used().map(|cluster| real(cluster.trials())).sum();
    let successes: f64 = used().map(|cluster| real(cluster.successes())).sum();
    let proportion = (count > 0).then(|| successes / trials);
    let Some(rate) = proportion.filter(|_| count > 1) else {
        let (interval, effective_trials) = (Interval::UNIT, 0.0);
        return ClusterEstimate {
            proportion,
            interval,
            design_effect: None,
            effective_trials,
            clusters: count,
        };
    };

    let groups = real_len(count);
    let squares: f64 = used()
        .map(|c| real(c.successes()) - rate * real(c.trials()))
        .map(|residual| residual * residual)
        .sum();
    let variance = groups / (groups - 1.0) * squares / (trials * trials);
    // With `trials - 1`, clusters of one trial each have a design effect of exactly 1.
    let independent = rate * (1.0 - rate) / (trials - 1.0);
    let design_effect = (successes > 0.0 && successes < trials).then(|| variance / independent);

    let effective_trials = trials / design_effect.unwrap_or(floor).max(floor);
    let t = quantile::student_two_sided(confidence.level(), groups - 1.0);
    let interval = score(rate, effective_trials, t);
    ClusterEstimate { proportion, interval, design_effect, effective_trials, clusters: count }
}
