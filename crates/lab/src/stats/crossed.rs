//! Trials that are alike in two ways at once: they share a user task, or they share a template.
//!
//! Clustering by one of the two would take trials that share the other for independent.

use std::collections::BTreeMap;

use super::paired::newcombe;
use super::proportion::score;
use super::{Confidence, Counts, Interval, quantile, real};

/// Trials of one template on one user task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossedCounts<'a> {
    /// The user task.
    pub task: &'a str,
    /// The template.
    pub template: &'a str,
    /// Successes and trials.
    pub counts: Counts,
}

/// A case that was run twice, under `a` and under `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossedPair<'a> {
    /// The user task.
    pub task: &'a str,
    /// The template.
    pub template: &'a str,
    /// Success under `a`.
    pub a: bool,
    /// Success under `b`.
    pub b: bool,
}

/// An interval, and what the trials are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossedEstimate {
    /// The interval; never narrower, at either end, than with independent trials.
    pub interval: Interval,
    /// The variance under clustering over the variance under independence, before any floor. `None` where it cannot be
    /// estimated: neither way has two clusters, or all trials ended alike.
    pub design_effect: Option<f64>,
    /// How many independent trials the data are worth.
    pub effective_trials: f64,
}

/// A sum of squares over clusters, with G/(G−1), and G. `None` with fewer than two clusters.
fn spread<K: Ord>(residuals: impl Iterator<Item = (K, f64)>) -> Option<(f64, f64)> {
    let mut sums: BTreeMap<K, f64> = BTreeMap::new();
    residuals.for_each(|(key, residual)| *sums.entry(key).or_default() += residual);
    let groups = super::real_len(sums.len());
    let squares: f64 = sums.values().map(|sum| sum * sum).sum();
    (groups > 1.0).then(|| (groups / (groups - 1.0) * squares, groups))
}

/// The variance of a sum of residuals under two-way clustering, and the degrees of freedom.
///
/// By task plus by template minus by both (Cameron, Gelbach & Miller 2011, J. Bus. Econ. Stat. 29:238), and never less
/// than by either alone: the difference can come out too small, even negative. A way with fewer than two clusters says
/// nothing and is left out. The degrees of freedom are those of the way with fewer clusters.
fn variance(residuals: &[(&str, &str, f64)]) -> Option<(f64, f64)> {
    let by_task = spread(residuals.iter().map(|&(task, _, residual)| (task, residual)));
    let by_template = spread(residuals.iter().map(|&(_, template, residual)| (template, residual)));
    let by_both = spread(residuals.iter().map(|&(task, template, residual)| ((task, template), residual)));
    match (by_task, by_template, by_both) {
        (Some((task, tasks)), Some((template, templates)), Some((both, _))) => {
            Some(((task + template - both).max(task).max(template), tasks.min(templates) - 1.0))
        }
        (Some((one, groups)), None, _) | (None, Some((one, groups)), _) => Some((one, groups - 1.0)),
        _ => None,
    }
}

fn hull(a: Interval, b: Interval) -> Interval {
    Interval { low: a.low.min(b.low), high: a.high.max(b.high) }
}

/// A cluster-robust interval for the proportion of successes over all trials: Wilson's, with the effective number of
/// trials and Student's t, as [`super::cluster_interval_with_floor`] does for one way. `floor` is the least design effect:
/// how many trials always end alike (repeats of a case with a model that always gives the same answer); values below 1
/// count as 1.
#[must_use]
pub fn crossed_interval(
    observations: &[CrossedCounts<'_>],
    confidence: Confidence,
    floor: f64,
) -> CrossedEstimate {
    let floor = floor.max(1.0);
    let trials: f64 = observations.iter().map(|o| real(o.counts.trials)).sum();
    let successes: f64 = observations.iter().map(|o| real(o.counts.successes)).sum();
    if trials <= 0.0 {
        return CrossedEstimate { interval: Interval::UNIT, design_effect: None, effective_trials: 0.0 };
    }
    let rate = successes / trials;
    let z = quantile::normal_two_sided(confidence.level());
    let plain = score(rate, trials / floor, z);
    let residuals: Vec<_> = observations
        .iter()
        .map(|o| (o.task, o.template, real(o.counts.successes) - rate * real(o.counts.trials)))
        .collect();
    let Some((sum, freedom)) = variance(&residuals) else {
        return CrossedEstimate { interval: plain, design_effect: None, effective_trials: trials / floor };
    };
    // With `trials - 1`, clusters of one trial each have a design effect of exactly 1.
    let independent = rate * (1.0 - rate) / (trials - 1.0);
    let varies = successes > 0.0 && successes < trials;
    let design_effect = varies.then(|| sum / (trials * trials) / independent);
    let effective_trials = trials / design_effect.unwrap_or(floor).max(floor);
    let robust = score(rate, effective_trials, quantile::student_two_sided(confidence.level(), freedom));
    CrossedEstimate { interval: hull(plain, robust), design_effect, effective_trials }
}

/// A cluster-robust interval for the rate under `b` minus the rate under `a`: [`super::paired_difference`] with the
/// effective number of pairs and Student's t. The design effect is that of the differences. `floor` as in
/// [`crossed_interval`].
#[must_use]
pub fn crossed_difference(pairs: &[CrossedPair<'_>], confidence: Confidence, floor: f64) -> CrossedEstimate {
    let floor = floor.max(1.0);
    let number = super::real_len(pairs.len());
    if pairs.is_empty() {
        let interval = Interval { low: -1.0, high: 1.0 };
        return CrossedEstimate { interval, design_effect: None, effective_trials: 0.0 };
    }
    let count = |a, b| super::real_len(pairs.iter().filter(|pair| (pair.a, pair.b) == (a, b)).count());
    let cells = [count(true, true), count(true, false), count(false, true), count(false, false)];
    let worth = |effect: f64| cells.map(|cell| cell / effect);
    let plain = newcombe(worth(floor), quantile::normal_two_sided(confidence.level()));
    let difference = |pair: &CrossedPair<'_>| f64::from(i8::from(pair.b) - i8::from(pair.a));
    let mean = pairs.iter().map(difference).sum::<f64>() / number;
    let residuals: Vec<_> = pairs.iter().map(|p| (p.task, p.template, difference(p) - mean)).collect();
    let Some((sum, freedom)) = variance(&residuals) else {
        return CrossedEstimate { interval: plain, design_effect: None, effective_trials: number / floor };
    };
    let squares: f64 = residuals.iter().map(|(_, _, residual)| residual * residual).sum();
    let independent = squares * number / (number - 1.0);
    let design_effect = (squares > 1e-9).then(|| sum / independent);
    let effect = design_effect.unwrap_or(floor).max(floor);
    let robust = newcombe(worth(effect), quantile::student_two_sided(confidence.level(), freedom));
    CrossedEstimate { interval: hull(plain, robust), design_effect, effective_trials: number / effect }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{PairedCounts, cluster_interval, paired_difference, wilson};
    use super::*;

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    fn counts(task: usize, template: usize, successes: u64, trials: u64) -> CrossedCounts<'static> {
        let counts = Counts::new(successes, trials).unwrap();
        CrossedCounts { task: NAMES[task], template: NAMES[template], counts }
    }

    /// Every template on every task.
    fn grid(succeeds: impl Fn(usize, usize) -> bool) -> Vec<CrossedCounts<'static>> {
        (0..36).map(|i| counts(i / 6, i % 6, u64::from(succeeds(i / 6, i % 6)), 1)).collect()
    }

    #[test]
    fn what_a_template_decides_is_worth_as_many_trials_as_templates() {
        let by_template = crossed_interval(&grid(|_, template| template < 3), Confidence::P95, 1.0);
        let by_task = crossed_interval(&grid(|task, _| task < 3), Confidence::P95, 1.0);
        let by_neither = crossed_interval(&grid(|i, j| (i + j) % 2 == 0), Confidence::P95, 1.0);
        // 36 trials, of which those of a template (or task) always end alike: six independent ones, by 35/36 · 6/5.
        for estimate in [by_template, by_task] {
            assert!((estimate.design_effect.unwrap() - 7.0).abs() < 0.01, "{estimate:?}");
            assert!(estimate.interval.width() > 0.7, "{estimate:?}");
        }
        assert!(by_neither.design_effect.unwrap() < 0.1);
        assert_eq!(by_neither.effective_trials, 36.0);
    }

    #[test]
    fn where_no_template_recurs_it_is_clustering_by_task() {
        let successes = [3, 0, 2, 5, 1, 0];
        let trials = [5, 5, 5, 5, 5, 5];
        let one_way: Vec<Counts> =
            successes.iter().zip(trials).map(|(&s, t)| Counts::new(s, t).unwrap()).collect();
        let names: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        let crossed: Vec<_> = (0..30)
            .map(|i| CrossedCounts {
                task: NAMES[i / 5],
                template: &names[i],
                counts: Counts::new(u64::from(((i % 5) as u64) < successes[i / 5]), 1).unwrap(),
            })
            .collect();
        let expect = cluster_interval(&one_way, Confidence::P95);
        let found = crossed_interval(&crossed, Confidence::P95, 1.0);
        // The template's own share and the share of both cancel out.
        assert!((found.design_effect.unwrap() - expect.design_effect.unwrap()).abs() < 1e-9);
        assert!((found.interval.high - expect.interval.high).abs() < 1e-9);
    }

    #[test]
    fn ten_repeats_of_the_same_answers_are_worth_one() {
        let once = grid(|i, j| (i * j) % 3 == 1);
        let ten: Vec<_> = once
            .iter()
            .map(|o| CrossedCounts {
                counts: Counts::new(10 * o.counts.successes(), 10 * o.counts.trials()).unwrap(),
                ..*o
            })
            .collect();
        let (once, ten) =
            (crossed_interval(&once, Confidence::P95, 1.0), crossed_interval(&ten, Confidence::P95, 10.0));
        assert!((once.interval.low - ten.interval.low).abs() < 0.02);
        assert!((once.interval.high - ten.interval.high).abs() < 0.02);
        assert!(ten.effective_trials <= 36.0);
        // Nor do they make a rate of nought look surer.
        let none = |n| crossed_interval(&[counts(0, 0, 0, n), counts(1, 1, 0, n)], Confidence::P95, real(n));
        assert!((none(1).interval.high - none(10).interval.high).abs() < 1e-9);
    }

    fn pairs(outcomes: &[(usize, usize, bool, bool)]) -> Vec<CrossedPair<'static>> {
        outcomes
            .iter()
            .map(|&(task, template, a, b)| CrossedPair { task: NAMES[task], template: NAMES[template], a, b })
            .collect()
    }

    #[test]
    fn a_difference_that_one_template_makes_is_unsure() {
        let spread: Vec<_> = (0..36).map(|i| (i / 6, i % 6, (i / 6 + i % 6) % 6 < 2, false)).collect();
        let one: Vec<_> = (0..36).map(|i| (i / 6, i % 6, i % 6 < 2, false)).collect();
        let width = |outcomes: &[_]| crossed_difference(&pairs(outcomes), Confidence::P95, 1.0);
        let (spread, one) = (width(&spread), width(&one));
        assert!(spread.interval.high < 0.0, "{spread:?}");
        assert!(one.interval.high > 0.0, "{one:?}");
        assert!(one.design_effect.unwrap() > 5.0);
    }

    proptest! {
        #[test]
        fn never_surer_than_with_independent_trials(
            cells in proptest::collection::vec((0..6_usize, 0..6_usize, 0..4_u64, 0..4_u64), 1..40)
        ) {
            let observations: Vec<_> =
                cells.iter().map(|&(i, j, s, more)| counts(i, j, s, s + more)).collect();
            let total = Counts::new(
                observations.iter().map(|o| o.counts.successes()).sum(),
                observations.iter().map(|o| o.counts.trials()).sum(),
            ).unwrap();
            let estimate = crossed_interval(&observations, Confidence::P95, 1.0);
            let plain = wilson(total, Confidence::P95);
            prop_assert!(estimate.interval.low <= plain.low && plain.high <= estimate.interval.high);
            prop_assert!(estimate.effective_trials <= real(total.trials()) + 1e-9);
        }

        #[test]
        fn nor_are_differences(
            outcomes in proptest::collection::vec((0..6_usize, 0..6_usize, any::<bool>(), any::<bool>()), 1..40)
        ) {
            let pairs = pairs(&outcomes);
            let table = PairedCounts::from_outcomes(outcomes.iter().map(|&(_, _, a, b)| (a, b)));
            let plain = paired_difference(table, Confidence::P95);
            let estimate = crossed_difference(&pairs, Confidence::P95, 1.0);
            prop_assert!(estimate.interval.low <= plain.low + 1e-12 && plain.high <= estimate.interval.high + 1e-12);
            prop_assert!(estimate.interval.low >= -1.0 && estimate.interval.high <= 1.0);
        }
    }
}
