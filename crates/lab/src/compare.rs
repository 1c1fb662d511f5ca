//! Two runs of the same suite, case by case: two models, or one model with and without a defence.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bundle::{Bundle, BundleError};
use crate::metrics::{Pair, pairs};
use crate::stats::{
    Confidence, PairedCounts, TestDesign, holm, mcnemar, minimum_detectable_paired, paired_difference,
};

/// A paired difference, B − A: negative if B is attacked less often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What it is the difference of: `all`, or a mechanism.
    pub id: String,
    /// Pairs of trials that have an outcome in both runs.
    pub pairs: u64,
    /// Pairs left out because a trial failed. Anything above 0 makes the comparison incomplete.
    pub failed: u64,
    /// Happened in A only.
    pub only_a: u64,
    /// Happened in B only.
    pub only_b: u64,
    /// Rate in B minus rate in A.
    pub difference: Option<f64>,
    /// 95 % interval (Newcombe 1998, method 10).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Exact McNemar p-value, two-sided.
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
}

impl Comparison {
    /// Pairs, over all three comparisons, that have a failed trial and are left out. Above 0, the comparison is
    /// incomplete.
    pub fn failed(&self) -> u64 {
        let all = [&self.attack_success, &self.utility_under_attack, &self.benign_utility];
        all.into_iter().map(|difference| difference.failed).sum()
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
    let (outcomes_a, outcomes_b) = (a.outcomes()?, b.outcomes()?);
    let (pairs_a, pairs_b) = (pairs(&a.plan, &outcomes_a), pairs(&b.plan, &outcomes_b));
    let counted: Vec<_> = pairs_a.iter().zip(&pairs_b).map(|(a, b)| (a.counts(), b.counts())).collect();
    let utility = |pair: &Pair<'_>| pair.attack.and_then(|outcome| outcome.utility);
    let context: Vec<_> = pairs_a
        .iter()
        .zip(&pairs_b)
        .filter(|(a, _)| a.case.family == crate::library::Family::Context)
        .map(|(a, b)| (utility(a), utility(b)))
        .collect();
    let twins: Vec<_> = a
        .plan
        .iter()
        .zip(outcomes_a.iter().zip(&outcomes_b))
        .filter(|((item, _), _)| item.arm() == crate::trial::Arm::Twin)
        .map(|(_, (a, b))| (a.and_then(|o| o.utility), b.and_then(|o| o.utility)))
        .collect();
    let mut groups: BTreeMap<&str, Vec<Outcomes>> = BTreeMap::new();
    for (a, b) in pairs_a.iter().zip(&pairs_b) {
        groups.entry(a.case.mechanism.as_str()).or_default().push((a.counts(), b.counts()));
    }
    let mut by_mechanism: Vec<Difference> =
        groups.into_iter().map(|(id, outcomes)| difference(id, &outcomes)).collect();
    let p_values: Vec<f64> = by_mechanism.iter().map(|difference| difference.p).collect();
    if let Ok(adjusted) = holm(&p_values) {
        for (difference, p) in by_mechanism.iter_mut().zip(adjusted) {
            difference.p_holm = Some(p);
        }
    }
    Ok(Comparison {
        bundles: [a.digest.to_string(), b.digest.to_string()],
        attack_success: difference("all", &counted),
        utility_under_attack: difference("all", &context),
        benign_utility: difference("all", &twins),
        by_mechanism,
    })
}

/// What happened in A and in B; `None` where a trial failed.
type Outcomes = (Option<bool>, Option<bool>);

fn difference(id: &str, outcomes: &[Outcomes]) -> Difference {
    let whole: Vec<(bool, bool)> = outcomes.iter().filter_map(|&(a, b)| Some((a?, b?))).collect();
    let count = |wanted: (bool, bool)| whole.iter().filter(|&&pair| pair == wanted).count() as u64;
    let table = PairedCounts::from_outcomes(whole.iter().copied());
    let interval = paired_difference(table, Confidence::P95);
    let given = |discordance: f64| {
        minimum_detectable_paired(table.pairs(), discordance, TestDesign::USUAL).ok().flatten()
    };
    // With as many disagreeing pairs as there were; or, if those are too few to show anything, with just as many as
    // the difference itself takes, all in one direction: no smaller difference could have been seen.
    let at_best =
        || (1..=1000).map(|i| f64::from(i) / 1000.0).find(|&d| given(d).is_some_and(|least| least <= d));
    let detectable = table.discordance().filter(|d| *d > 0.0).and_then(given).or_else(at_best);
    Difference {
        id: id.to_owned(),
        pairs: table.pairs(),
        failed: (outcomes.len() - whole.len()) as u64,
        only_a: count((true, false)),
        only_b: count((false, true)),
        difference: table.difference(),
        low: interval.low,
        high: interval.high,
        p: mcnemar(table).exact,
        p_holm: None,
        detectable,
    }
}
