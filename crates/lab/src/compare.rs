//! Two runs of the same suite, case by case: two models, or one model with and without a defence.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bundle::{Bundle, BundleError, FailedTrial};
use crate::library::Family;
use crate::metrics::{Pair, pairs};
use crate::stats::{
    Confidence, CrossedPair, PairedCounts, TestDesign, crossed_difference, holm, mcnemar,
    minimum_detectable_paired,
};
use crate::trial::Arm;

/// A paired difference, B − A: negative if B is attacked less often.
///
/// Pairs with a failed trial are never left out: the difference is then a range, from the lowest to the highest that
/// their outcomes could have made, the interval reaches from the lower limit of the one to the upper limit of the other,
/// and p is the largest that they could have made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What it is the difference of: `all`, or a mechanism.
    pub id: String,
    /// Pairs of trials.
    pub pairs: u64,
    /// Pairs of which a trial failed. Anything above 0 makes the comparison incomplete.
    pub failed: u64,
    /// Happened in A only, as far as is known.
    pub only_a: u64,
    /// Happened in B only, as far as is known.
    pub only_b: u64,
    /// Rate in B minus rate in A; `None` without pairs, or if a trial failed.
    pub difference: Option<f64>,
    /// The lowest and the highest that the difference can be; equal if no trial failed. `None` without pairs.
    pub range: Option<[f64; 2]>,
    /// 95 % interval (Newcombe 1998, method 10), widened for cases that share a user task or a technique.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Exact McNemar p-value, two-sided. Every case has one vote, however often it was repeated.
    pub p: f64,
    /// The same after Holm's correction over the mechanisms.
    pub p_holm: Option<f64>,
    /// The smallest difference that this many pairs would show with 80 % power at 5 %, given how many disagree; if
    /// so few disagree that none would show, the smallest that could show at all. `None`: no difference could.
    pub detectable: Option<f64>,
}

/// How two runs compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Bundle digests.
    pub bundles: [String; 2],
    /// Attack success.
    pub attack_success: Difference,
    /// Utility under attack.
    pub utility_under_attack: Difference,
    /// Benign utility.
    pub benign_utility: Difference,
    /// Attack success by mechanism.
    pub by_mechanism: Vec<Difference>,
    /// The failed trials of either bundle. Any makes the comparison incomplete.
    pub failed_trials: [Vec<FailedTrial>; 2],
}

impl Comparison {
    /// Failed trials of both runs. Above 0, the comparison is incomplete.
    pub fn failed(&self) -> usize {
        self.failed_trials.iter().map(Vec::len).sum()
    }
}

/// Why two bundles cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Other cases.
    #[error("the bundles are of different suites ({0} and {1}): only the same cases can be compared")]
    Suites(String, String),
    /// Other repeats.
    #[error("the bundles have different numbers of repeats ({0} and {1})")]
    Repeats(u32, u32),
    /// One of them cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Compares B with A. Both should have been verified.
///
/// # Errors
/// If they are not of the same suite with as many repeats.
pub fn compare(a: &Bundle, b: &Bundle) -> Result<Comparison, CompareError> {
    if a.manifest.suite_digest != b.manifest.suite_digest {
        return Err(CompareError::Suites(a.manifest.suite_digest.short(), b.manifest.suite_digest.short()));
    }
    let (repeats_a, repeats_b) = (a.manifest.settings.repeat, b.manifest.settings.repeat);
    if repeats_a != repeats_b {
        return Err(CompareError::Repeats(repeats_a, repeats_b));
    }
    // If either run draws its answers at random, its repeats differ, and so do the differences.
    let alike = a.manifest.settings.alike().min(b.manifest.settings.alike());
    let (outcomes_a, outcomes_b) = (a.outcomes()?, b.outcomes()?);
    let (pairs_a, pairs_b) = (pairs(&a.plan, &outcomes_a), pairs(&b.plan, &outcomes_b));
    let both = |measure: &dyn Fn(&Pair<'_>) -> Option<bool>, keep: &dyn Fn(&Pair<'_>) -> bool| {
        let kept = pairs_a.iter().zip(&pairs_b).filter(|(a, _)| keep(a));
        kept.map(|(a, b)| Outcomes { id: &a.case.id, kin: a.case.kin(), a: measure(a), b: measure(b) })
            .collect::<Vec<_>>()
    };
    let counted = both(&|pair| pair.counts(), &|_| true);
    let context = both(&|pair| pair.attack.and_then(|outcome| outcome.utility), &|pair| {
        pair.case.family == Family::Context
    });
    let twins: Vec<_> = a
        .plan
        .iter()
        .zip(outcomes_a.iter().zip(&outcomes_b))
        .filter(|((item, _), _)| item.arm() == Arm::Twin)
        .map(|((item, _), (a, b))| Outcomes {
            id: item.id(),
            kin: (item.id(), item.id()),
            a: a.and_then(|o| o.utility),
            b: b.and_then(|o| o.utility),
        })
        .collect();
    let mut groups: BTreeMap<&str, Vec<Outcomes<'_>>> = BTreeMap::new();
    for (pair, outcomes) in pairs_a.iter().zip(&counted) {
        groups.entry(pair.case.mechanism.as_str()).or_default().push(*outcomes);
    }
    let mut by_mechanism: Vec<Difference> =
        groups.into_iter().map(|(id, outcomes)| difference(id, &outcomes, alike)).collect();
    let p_values: Vec<f64> = by_mechanism.iter().map(|difference| difference.p).collect();
    if let Ok(adjusted) = holm(&p_values) {
        for (difference, p) in by_mechanism.iter_mut().zip(adjusted) {
            difference.p_holm = Some(p);
        }
    }
    Ok(Comparison {
        bundles: [a.digest.to_string(), b.digest.to_string()],
        attack_success: difference("all", &counted, alike),
        utility_under_attack: difference("all", &context, alike),
        benign_utility: difference("all", &twins, alike),
        by_mechanism,
        failed_trials: [a.failed_trials()?, b.failed_trials()?],
    })
}

/// What happened in A and in B; `None` where a trial failed.
#[derive(Debug, Clone, Copy)]
struct Outcomes<'a> {
    /// The case: its repeats have one vote together.
    id: &'a str,
    /// User task and technique.
    kin: (&'a str, &'a str),
    a: Option<bool>,
    b: Option<bool>,
}

fn difference<'a>(id: &str, outcomes: &[Outcomes<'a>], alike: f64) -> Difference {
    let count = |a, b| outcomes.iter().filter(|o| (o.a, o.b) == (Some(a), Some(b))).count() as u64;
    let failed = outcomes.iter().filter(|o| o.a.is_none() || o.b.is_none()).count() as u64;
    // What failed in A happened in the one and not in the other, and the other way round in B.
    let filled = |in_a: bool| {
        let pair = |o: &Outcomes<'a>| CrossedPair {
            task: o.kin.0,
            template: o.kin.1,
            a: o.a.unwrap_or(in_a),
            b: o.b.unwrap_or(!in_a),
        };
        let pairs: Vec<_> = outcomes.iter().map(pair).collect();
        let table = PairedCounts::from_outcomes(pairs.iter().map(|pair| (pair.a, pair.b)));
        (table.difference(), crossed_difference(&pairs, Confidence::P95, alike))
    };
    let (least, lowest) = filled(true);
    let (most, highest) = if failed > 0 { filled(false) } else { (least, lowest) };
    let votes = Votes::count(outcomes);
    let worth = lowest.effective_trials.min(highest.effective_trials).min(real(votes.cases));
    Difference {
        id: id.to_owned(),
        pairs: outcomes.len() as u64,
        failed,
        only_a: count(true, false),
        only_b: count(false, true),
        difference: least.filter(|_| failed == 0),
        range: least.zip(most).map(|(least, most)| [least, most]),
        low: lowest.interval.low,
        high: highest.interval.high,
        p: votes.p(),
        p_holm: None,
        detectable: detectable(whole(worth), votes.discordance()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of trials are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of pairs, rounded down")]
fn whole(worth: f64) -> u64 {
    worth.max(0.0) as u64
}

/// The smallest difference that so many independent pairs would show, if this share of them disagrees.
fn detectable(pairs: u64, discordance: f64) -> Option<f64> {
    let given =
        |discordance: f64| minimum_detectable_paired(pairs, discordance, TestDesign::USUAL).ok().flatten();
    // With as many disagreeing pairs as there were; or, if those are too few to show anything, with just as many as
    // the difference itself takes, all in one direction: no smaller difference could have been seen.
    let at_best =
        || (1..=1000).map(|i| f64::from(i) / 1000.0).find(|&d| given(d).is_some_and(|least| least <= d));
    Some(discordance).filter(|d| *d > 0.0).and_then(given).or_else(at_best)
}

/// The votes of cases for the run in which they happened more often.
#[derive(Debug, Default, PartialEq, Eq)]
struct Votes {
    cases: u64,
    /// Votes for A and for B that hold whatever failed trials would have given.
    a: u64,
    b: u64,
    /// Votes for A and for B that failed trials could add.
    maybe_a: u64,
    maybe_b: u64,
}

impl Votes {
    fn count(outcomes: &[Outcomes<'_>]) -> Self {
        // The least and the most by which a case happened more often in B than in A.
        let mut margins: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for outcome in outcomes {
            let (least, most) = margins.entry(outcome.id).or_default();
            let [a, b] = [outcome.a, outcome.b].map(|known| match known {
                Some(happened) => (i64::from(happened), i64::from(happened)),
                None => (0, 1),
            });
            *least += b.0 - a.1;
            *most += b.1 - a.0;
        }
        let mut votes = Self { cases: margins.len() as u64, ..Self::default() };
        for (least, most) in margins.into_values() {
            votes.a += u64::from(most < 0);
            votes.b += u64::from(least > 0);
            votes.maybe_a += u64::from(least < 0 && most >= 0);
            votes.maybe_b += u64::from(most > 0 && least <= 0);
        }
        votes
    }

    fn discordance(&self) -> f64 {
        if self.cases == 0 { 0.0 } else { real(self.a + self.b) / real(self.cases) }
    }

    /// The largest p-value that failed trials leave possible: with the votes as level as they could be.
    fn p(&self) -> f64 {
        let exact = |a, b| PairedCounts::new(0, a, b, 0).map_or(1.0, |table| mcnemar(table).exact);
        if self.a > self.b + self.maybe_b {
            exact(self.a, self.b + self.maybe_b)
        } else if self.b > self.a + self.maybe_a {
            exact(self.a + self.maybe_a, self.b)
        } else if self.maybe_a + self.maybe_b > 0 {
            1.0
        } else {
            exact(self.a, self.b)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    /// Unrelated cases, each with these outcomes in A and in B.
    fn cases(outcomes: &[(Option<bool>, Option<bool>)]) -> Vec<Outcomes<'static>> {
        outcomes
            .iter()
            .enumerate()
            .map(|(i, &(a, b))| Outcomes { id: IDS[i % 8], kin: (IDS[i % 8], IDS[i % 8]), a, b })
            .collect()
    }

    #[test]
    fn ten_repeats_of_the_same_answers_are_one_vote_and_no_surer() {
        let once: Vec<_> = (0..8).map(|i| (Some(i < 6), Some(i == 7))).collect();
        let ten: Vec<_> = (0..10).flat_map(|_| once.clone()).collect();
        let (once, ten) = (difference("all", &cases(&once), 1.0), difference("all", &cases(&ten), 10.0));
        assert_eq!((once.pairs, ten.pairs), (8, 80));
        assert_eq!(once.p, ten.p);
        assert_eq!(once.difference, ten.difference);
        assert!(ten.detectable >= once.detectable, "{once:?} {ten:?}");
        assert!((once.high - once.low) < 1.05 * (ten.high - ten.low), "{once:?} {ten:?}");
    }

    #[test]
    fn a_failed_trial_makes_a_range_and_is_never_left_out() {
        let whole = [(Some(true), Some(false)); 7];
        let clean = difference("all", &cases(&whole), 1.0);
        assert_eq!((clean.difference, clean.range), (Some(-1.0), Some([-1.0, -1.0])));
        let mut outcomes = whole.to_vec();
        outcomes.push((Some(true), None));
        let found = difference("all", &cases(&outcomes), 1.0);
        assert_eq!((found.pairs, found.failed, found.difference), (8, 1, None));
        assert_eq!(found.range, Some([-1.0, -7.0 / 8.0]));
        assert!(found.high > clean.high);
        assert!(
            found.p
                >= difference("all", &cases(&[whole.as_slice(), &[(Some(true), Some(true))]].concat()), 1.0)
                    .p
        );
        outcomes.extend([(None, None); 8]);
        assert_eq!(difference("all", &cases(&outcomes), 1.0).p, 1.0);
    }

    fn outcome() -> impl Strategy<Value = (Option<bool>, Option<bool>)> {
        (any::<Option<bool>>(), any::<Option<bool>>())
    }

    proptest! {
        /// Whatever the failed trials would have given lies within what is said without them.
        #[test]
        fn what_is_said_holds_for_every_outcome_of_failed_trials(
            outcomes in proptest::collection::vec(outcome(), 1..8), fill in proptest::collection::vec(any::<bool>(), 16)
        ) {
            let said = difference("all", &cases(&outcomes), 1.0);
            let mut fill = fill.into_iter();
            let whole: Vec<_> = outcomes
                .iter()
                .map(|(a, b)| (a.or_else(|| fill.next()), b.or_else(|| fill.next())))
                .collect();
            let true_one = difference("all", &cases(&whole), 1.0);
            let [least, most] = said.range.unwrap();
            let value = true_one.difference.unwrap();
            prop_assert!(least <= value + 1e-12 && value <= most + 1e-12);
            prop_assert!(said.p >= true_one.p - 1e-12, "{said:?} {true_one:?}");
            prop_assert_eq!(said.failed > 0, said.difference.is_none());
        }
    }
}
