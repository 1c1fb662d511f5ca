//! Published worked examples, agreement with scipy 1.17 and statsmodels 0.14, and properties.

use proptest::prelude::*;

use super::*;

fn counts(successes: u64, trials: u64) -> Counts {
    Counts::new(successes, trials).unwrap()
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "found {found}, expected {expected}");
}

fn spans(found: Interval, low: f64, high: f64, tolerance: f64) {
    close(found.low, low, tolerance);
    close(found.high, high, tolerance);
}

// Newcombe 1998, Stat. Med. 17:857, table I: methods 3 and 5, to the four digits printed there.
#[test]
fn intervals_agree_with_newcombes_table() {
    for (successes, trials, score, exact) in [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ] {
        let case = counts(successes, trials);
        spans(wilson(case, Confidence::P95), score.0, score.1, 5e-5);
        spans(clopper_pearson(case, Confidence::P95), exact.0, exact.1, 5e-5);
    }
}

#[test]
fn intervals_agree_with_statsmodels_at_extremes_and_large_counts() {
    let c99 = Confidence::P99;
    spans(wilson(counts(29, 29), c99), 0.813_809_012_123_496, 1.0, 1e-12);
    spans(clopper_pearson(counts(29, 29), c99), 0.833_017_524_812_361_6, 1.0, 1e-12);
    let half = counts(500_000, 1_000_000);
    spans(wilson(half, c99), 0.498_712_089_620_794_55, 0.501_287_910_379_205_4, 1e-12);
    spans(clopper_pearson(half, c99), 0.498_711_587_808_873_8, 0.501_288_412_191_126_2, 1e-9);
    let rare = counts(3, 1_000_000);
    spans(clopper_pearson(rare, Confidence::P95), 6.186_725_501_906_402e-7, 8.767_247_788_067_677e-6, 1e-13);
}

#[test]
fn without_trials_nothing_is_known() {
    assert_eq!(wilson(counts(0, 0), Confidence::P95), Interval::UNIT);
    assert_eq!(clopper_pearson(counts(0, 0), Confidence::P95), Interval::UNIT);
    assert_eq!(counts(0, 0).proportion(), None);
}

#[test]
fn impossible_arguments_are_refused() {
    assert!(matches!(Counts::new(3, 2), Err(StatsError::MoreSuccessesThanTrials { .. })));
    for level in [0.0, 1.0, -0.1, 95.0, f64::NAN] {
        assert!(Confidence::new(level).is_err(), "{level}");
    }
    assert_eq!(PairedCounts::new(u64::MAX, 1, 0, 0), Err(StatsError::TotalTooLarge));
    for floor in [0.99, f64::INFINITY, f64::NAN] {
        assert!(cluster_interval_with_floor(&[], Confidence::P95, floor).is_err());
    }
}

#[test]
fn student_quantiles_agree_with_scipy() {
    for (central, freedom, expected) in [
        (0.95, 1.0, 12.706_204_736_174_694),
        (0.95, 2.0, 4.302_652_729_749_462),
        (0.99, 10.0, 3.169_272_672_616_95),
        (0.95, 49.0, 2.009_575_237_129_239_2),
        (0.99, 1e6, 2.575_834_220_105_334_4),
    ] {
        close(quantile::student_two_sided(central, freedom), expected, 1e-9);
    }
    close(quantile::normal_two_sided(0.95), 1.959_963_984_540_054, 1e-12);
}

#[test]
fn clusters_of_one_trial_are_independent_trials() {
    let single: Vec<Counts> = (0..100).map(|case| counts(u64::from(case < 30), 1)).collect();
    let found = cluster_interval(&single, Confidence::P95);
    close(found.design_effect.unwrap(), 1.0, 1e-12);
    close(found.effective_trials, 100.0, 1e-9);
    assert_eq!(found.clusters, 100);
    // Slightly wider than Wilson's, as t with 99 degrees of freedom is slightly larger than z.
    let plain = wilson(counts(30, 100), Confidence::P95);
    spans(found.interval, plain.low, plain.high, 0.002);
    assert!(found.interval.width() > plain.width());
}

// By hand: rate 20/40, residuals 5, 5, -5, -5 over 40 trials: variance 4/3 * 100/1600 = 1/12; independent
// 0.25/39.
#[test]
fn clusters_that_stand_or_fall_together_count_once_each() {
    let solid = [counts(10, 10), counts(10, 10), counts(0, 10), counts(0, 10)];
    let found = cluster_interval(&solid, Confidence::P95);
    close(found.design_effect.unwrap(), 13.0, 1e-9);
    close(found.effective_trials, 40.0 / 13.0, 1e-9);
    spans(found.interval, 0.062_111_302_681, 0.937_888_697_319, 1e-9);
    close(worst_design_effect(&solid), 10.0, 1e-12);
}

// statsmodels 0.14: OLS of the outcomes on a constant, covariance clustered, times G/(G-1); then Wilson's
// formula.
#[test]
fn unequal_clusters_agree_with_statsmodels() {
    let mixed = [(3, 10), (7, 8), (0, 5), (2, 12), (9, 9), (1, 6)].map(|(s, n)| counts(s, n));
    let found = cluster_interval(&mixed, Confidence::P95);
    close(found.design_effect.unwrap(), 5.513_454_545_454_546, 1e-9);
    close(found.effective_trials, 9.068_724_442_685_66, 1e-9);
    spans(found.interval, 0.142_025_651_704, 0.788_555_860_681, 1e-9);
}

#[test]
fn clusters_that_look_too_even_never_narrow_the_interval() {
    let even = vec![counts(5, 10); 20];
    let found = cluster_interval(&even, Confidence::P95);
    close(found.design_effect.unwrap(), 0.0, 1e-12);
    close(found.effective_trials, 200.0, 1e-9);
}

#[test]
fn no_success_in_any_cluster_has_a_width_and_an_unknown_design_effect() {
    let nothing = vec![counts(0, 10); 20];
    let found = cluster_interval(&nothing, Confidence::P95);
    assert_eq!((found.proportion, found.design_effect), (Some(0.0), None));
    assert!(found.interval.low == 0.0 && found.interval.high > 0.0);
    // The cautious reading: 20 trials, not 200.
    let floor = worst_design_effect(&nothing);
    let cautious = cluster_interval_with_floor(&nothing, Confidence::P95, floor).unwrap();
    close(cautious.effective_trials, 20.0, 1e-9);
    assert!(cautious.interval.high > wilson(counts(0, 20), Confidence::P95).high);
}

#[test]
fn one_cluster_says_nothing() {
    let found = cluster_interval(&[counts(7, 10), counts(0, 0)], Confidence::P95);
    assert_eq!(found.interval, Interval::UNIT);
    assert_eq!((found.proportion, found.design_effect, found.clusters), (Some(0.7), None, 1));
    assert_eq!(cluster_interval(&[], Confidence::P95).proportion, None);
}

// Fagerland, Lydersen & Laake 2013 (Bentur et al. and Cavo et al.); the approval ratings of Agresti 2002,
// Categorical Data Analysis, table 10.1. The last digits are scipy's.
#[test]
fn mcnemar_agrees_with_published_examples() {
    for (cells, exact, mid_p) in [
        ([1, 1, 7, 12], 0.070_312_5, 0.039_062_5),
        ([59, 6, 16, 80], 0.052_478_790_283, 0.034_689_664_841),
        ([794, 150, 86, 570], 3.715_936_139_6e-5, 2.893_389_517_6e-5),
        ([5, 3, 3, 5], 1.0, 1.0),
        ([5, 0, 0, 5], 1.0, 1.0),
    ] {
        let [both, only_a, only_b, neither] = cells;
        let found = mcnemar(PairedCounts::new(both, only_a, only_b, neither).unwrap());
        close(found.exact, exact, 1e-10);
        close(found.mid_p, mid_p, 1e-10);
    }
}

// Newcombe 1998, Stat. Med. 17:2635 (his example 36, 12, 2, 0); Fagerland, Lydersen & Laake 2017, Statistical
// Analysis of Contingency Tables, chapter 8 (Cavo et al., Bentur et al.). They subtract the second from the
// first, so that their first is `b` here and the two discordant cells change places.
#[test]
fn paired_difference_agrees_with_published_examples() {
    for (cells, difference, low, high) in [
        ([36, 2, 12, 0], 0.2, 0.0569, 0.3404),
        ([59, 16, 6, 80], -0.0621, -0.1186, -0.0046),
        ([1, 7, 1, 12], -0.2857, -0.5069, -0.0256),
    ] {
        let [both, only_a, only_b, neither] = cells;
        let table = PairedCounts::new(both, only_a, only_b, neither).unwrap();
        close(table.difference().unwrap(), difference, 5e-5);
        spans(paired_difference(table, Confidence::P95), low, high, 5e-5);
    }
}

#[test]
fn paired_outcomes_are_counted_and_the_sign_is_b_minus_a() {
    let table = PairedCounts::from_outcomes([(true, true), (false, true), (false, true), (false, false)]);
    assert_eq!(table, PairedCounts::new(1, 0, 2, 1).unwrap());
    assert_eq!((table.difference(), table.discordance()), (Some(0.5), Some(0.5)));
    let nothing = PairedCounts::from_outcomes([]);
    assert_eq!((nothing.difference(), nothing.discordance()), (None, None));
    assert_eq!(paired_difference(nothing, Confidence::P95), Interval { low: -1.0, high: 1.0 });
}

// The example of the step-down procedure that R's and statsmodels' documentation use.
#[test]
fn holm_steps_down_and_keeps_the_order() {
    for (found, expected) in holm(&[0.01, 0.04, 0.03, 0.005]).unwrap().iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(*found, expected, 1e-12);
    }
    assert_eq!(holm(&[0.5, 0.9, 0.8]).unwrap(), [1.0, 1.0, 1.0]);
    assert!(holm(&[]).unwrap().is_empty());
    assert!(holm(&[0.1, f64::NAN]).is_err() && holm(&[1.1]).is_err() && holm(&[-0.1]).is_err());
}

// Connor 1987: p10 = 0.45, p01 = 0.05 needs 23 pairs at alpha 5 %, power 80 % (powerandsamplesize.com).
#[test]
fn paired_detection_agrees_with_connor() {
    let with = |pairs| minimum_detectable_paired(pairs, 0.5, TestDesign::USUAL).unwrap();
    assert!(with(23).unwrap() <= 0.4 && with(22).unwrap() > 0.4);
    assert_eq!((with(0), with(3)), (None, None));
    assert_eq!(minimum_detectable_paired(100, 0.0, TestDesign::USUAL), Ok(None));
    assert!(minimum_detectable_paired(100, 1.5, TestDesign::USUAL).is_err());
}

// R, help(power.prop.test): p1 = 0.50, p2 = 0.75, power 0.90 needs n = 76.7 per group.
#[test]
fn unpaired_detection_agrees_with_r() {
    let design = TestDesign::new(0.05, 0.9).unwrap();
    let with = |trials| minimum_detectable_unpaired(trials, trials, 0.5, design).unwrap().rise.unwrap();
    assert!(with(77) < 0.25 && with(76) > 0.25);
    let high = minimum_detectable_unpaired(10, 10, 0.9, design).unwrap();
    assert!(high.rise.is_none() && high.fall.is_some());
    assert_eq!(minimum_detectable_unpaired(0, 9, 0.5, design), Ok(Detectable { rise: None, fall: None }));
    assert!(TestDesign::new(0.05, 0.4).is_err() && TestDesign::new(f64::NAN, 0.8).is_err());
}

#[test]
fn no_success_leaves_a_rate_near_three_over_n() {
    close(minimum_detectable_rate(20, Confidence::P95), 0.139_108_3, 1e-7);
    close(minimum_detectable_rate(1_000, Confidence::P95) * 1_000.0, 3.0, 0.01);
    close(minimum_detectable_rate(0, Confidence::P95), 1.0, 0.0);
}

/// Fleiss 1971, table 1: 30 patients, 6 psychiatrists, 5 diagnoses.
#[rustfmt::skip]
const PSYCHIATRISTS: [[usize; 5]; 30] = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0], [2, 0, 4, 0, 0],
    [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6], [1, 0, 0, 5, 0], [1, 1, 0, 4, 0],
    [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1], [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0],
    [0, 2, 0, 4, 0], [1, 0, 2, 0, 3], [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0],
    [1, 0, 0, 4, 1], [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
];

#[test]
fn fleiss_kappa_agrees_with_fleiss() {
    let units: Vec<Vec<usize>> = PSYCHIATRISTS
        .iter()
        .map(|row| row.iter().enumerate().flat_map(|(diagnosis, &votes)| vec![diagnosis; votes]).collect())
        .collect();
    close(fleiss_kappa(&units).unwrap().unwrap(), 0.430, 5e-4);
    close(plain_agreement(&units).unwrap(), 0.556, 5e-4);
}

#[test]
fn fleiss_kappa_wants_equally_many_ratings() {
    let uneven = [vec![0, 0], vec![0, 1, 1]];
    assert_eq!(fleiss_kappa(&uneven), Err(StatsError::UnevenRatings { unit: 1, found: 3, expected: 2 }));
    assert!(fleiss_kappa(&[[0], [1]]).is_err());
    assert_eq!(fleiss_kappa::<u8, [u8; 2]>(&[]), Ok(None));
    assert_eq!(fleiss_kappa(&[[1, 1], [1, 1]]), Ok(None));
}

/// Turns raters' lines, '.' for a missing rating, into units.
fn units(raters: &[&str]) -> Vec<Vec<char>> {
    let lines: Vec<Vec<char>> = raters.iter().map(|line| line.chars().collect()).collect();
    (0..lines[0].len())
        .map(|unit| lines.iter().map(|line| line[unit]).filter(|c| *c != '.').collect())
        .collect()
}

// Krippendorff 2011, sections A (binary), B (nominal, two observers) and C (any number, missing data).
#[test]
fn krippendorff_alpha_agrees_with_krippendorff() {
    for (raters, expected) in [
        (&["0100000010", "1110010000"][..], 0.095),
        (&["aabbdcccedda", "babbbccceddd"], 0.692),
        (&["123321412...", "1233224125.3", ".3332342251.", "12332441251."], 0.743),
    ] {
        close(krippendorff_alpha(&units(raters)).unwrap(), expected, 5e-4);
    }
    assert_eq!(krippendorff_alpha::<char, Vec<char>>(&[]), None);
    assert_eq!(krippendorff_alpha(&[vec!['a', 'a'], vec!['b']]), None);
}

// Cohen's kappa of 20 + 15 agreements in 50 with margins 25/30: (0.7 - 0.5) / (1 - 0.5).
#[test]
fn cohen_kappa_agrees_with_the_textbook_table() {
    let table = [(20, 'y', 'y'), (5, 'y', 'n'), (10, 'n', 'y'), (15, 'n', 'n')];
    let (a, b): (Vec<char>, Vec<char>) =
        table.iter().flat_map(|&(cases, a, b)| std::iter::repeat_n((a, b), cases)).unzip();
    close(cohen_kappa(&a, &b).unwrap().unwrap(), 0.4, 1e-12);
    assert_eq!(cohen_kappa(&['y'], &['y']), Ok(None));
    assert_eq!(cohen_kappa::<char>(&[], &[]), Ok(None));
    assert_eq!(cohen_kappa(&['y'], &['n']), Ok(Some(0.0)));
    assert!(cohen_kappa(&['y'], &[]).is_err());
}

fn any_counts() -> impl Strategy<Value = Counts> {
    (0..=2_000_u64).prop_flat_map(|trials| (0..=trials, Just(trials))).prop_map(|(s, t)| counts(s, t))
}

fn any_confidence() -> impl Strategy<Value = Confidence> {
    (0.01..0.9999).prop_map(|level| Confidence::new(level).unwrap())
}

type Method = fn(Counts, Confidence) -> Interval;
const METHODS: [Method; 2] = [wilson, clopper_pearson];

proptest! {
    #[test]
    fn intervals_lie_within_the_range_and_hold_the_estimate(case in any_counts(), level in any_confidence()) {
        for method in METHODS {
            let found = method(case, level);
            prop_assert!(0.0 <= found.low && found.low < found.high && found.high <= 1.0, "{found:?}");
            prop_assert!(case.proportion().is_none_or(|rate| found.contains(rate)), "{found:?}");
        }
    }

    #[test]
    fn more_successes_move_the_interval_up_and_more_confidence_widens_it(
        (successes, trials) in (1..500_u64).prop_flat_map(|t| (0..t, Just(t))),
        level in 0.01..0.99,
    ) {
        for method in METHODS {
            let confidence = Confidence::new(level).unwrap();
            let less = method(counts(successes, trials), confidence);
            let more = method(counts(successes + 1, trials), confidence);
            prop_assert!(less.low < more.low && less.high < more.high);
            let wider = method(counts(successes, trials), Confidence::new(level + 0.009).unwrap());
            prop_assert!(wider.low <= less.low && less.high <= wider.high);
        }
    }

    #[test]
    fn intervals_mirror_when_outcomes_change_places(case in any_counts(), level in any_confidence()) {
        for method in METHODS {
            let there = method(case, level);
            let back = method(counts(case.trials() - case.successes(), case.trials()), level);
            prop_assert!((there.low + back.high - 1.0).abs() < 1e-9);
            prop_assert!((there.high + back.low - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn clustering_never_beats_independence(clusters in prop::collection::vec(any_counts(), 0..12)) {
        let found = cluster_interval(&clusters, Confidence::P95);
        let sum = |part: fn(Counts) -> u64| clusters.iter().copied().map(part).sum::<u64>();
        let all = counts(sum(Counts::successes), sum(Counts::trials));
        let plain = wilson(all, Confidence::P95);
        prop_assert_eq!(found.proportion, all.proportion());
        prop_assert!(found.interval.low <= plain.low && plain.high <= found.interval.high);
        prop_assert!(found.proportion.is_none_or(|rate| found.interval.contains(rate)));
        prop_assert!(found.effective_trials <= super::real(all.trials()));
    }

    #[test]
    fn swapping_the_runs_swaps_the_sign(cells in prop::array::uniform4(0..300_u64)) {
        let [both, only_a, only_b, neither] = cells;
        let there = PairedCounts::new(both, only_a, only_b, neither).unwrap();
        let back = PairedCounts::new(both, only_b, only_a, neither).unwrap();
        let [one, other] = [there, back].map(|table| paired_difference(table, Confidence::P95));
        prop_assert!((one.low + other.high).abs() < 1e-12 && (one.high + other.low).abs() < 1e-12);
        prop_assert!(-1.0 <= one.low && one.high <= 1.0);
        prop_assert!(there.difference().is_none_or(|d| one.low - 1e-12 <= d && d <= one.high + 1e-12));
        let (p, q) = (mcnemar(there), mcnemar(back));
        prop_assert_eq!(p, q);
        prop_assert!(0.0 < p.mid_p && p.mid_p <= p.exact && p.exact <= 1.0, "{:?}", p);
    }

    #[test]
    fn holm_never_lowers_a_value_nor_changes_the_ranking(
        values in prop::collection::vec(0.0..=1.0_f64, 0..20)
    ) {
        let adjusted = holm(&values).unwrap();
        for (i, p) in values.iter().enumerate() {
            prop_assert!(*p <= adjusted[i] && adjusted[i] <= 1.0);
            prop_assert!(values.iter().zip(&adjusted).all(|(q, a)| p > q || adjusted[i] <= *a));
        }
    }

    #[test]
    fn more_data_detect_smaller_differences(trials in 2..5_000_u64, share in 0.01..0.99) {
        let design = TestDesign::USUAL;
        let paired = |n| minimum_detectable_paired(n, share, design).unwrap().unwrap_or(f64::INFINITY);
        prop_assert!(paired(trials + 1) <= paired(trials));
        let unpaired = |n| minimum_detectable_unpaired(n, n, share, design).unwrap();
        let rise = |n| unpaired(n).rise.unwrap_or(f64::INFINITY);
        prop_assert!(rise(trials + 1) <= rise(trials));
        let rate = minimum_detectable_rate(trials, Confidence::P95);
        prop_assert!(rate > minimum_detectable_rate(trials + 1, Confidence::P95));
        prop_assert!(((1.0 - rate).powf(super::real(trials)) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn agreement_is_at_most_perfect_and_perfect_when_all_agree(
        rows in prop::collection::vec(prop::array::uniform3(0..4_u8), 1..20)
    ) {
        let same: Vec<[u8; 3]> = rows.iter().map(|row| [row[0]; 3]).collect();
        let varied = same.iter().any(|row| *row != same[0]);
        for (found, perfect) in [
            (fleiss_kappa(&rows).unwrap(), fleiss_kappa(&same).unwrap()),
            (krippendorff_alpha(&rows), krippendorff_alpha(&same)),
        ] {
            prop_assert!(found.is_none_or(|value| (-1.0..=1.0 + 1e-12).contains(&value)), "{found:?}");
            prop_assert_eq!(perfect.is_some(), varied);
            prop_assert!(perfect.is_none_or(|value| (value - 1.0).abs() < 1e-12));
        }
    }
}
