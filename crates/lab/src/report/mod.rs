//! The report: one self-contained HTML file for people who decide.
//!
//! *Invariant:* a pure function of the bundle: no clock, no locale, no network. `eval verify` makes it again and
//! compares the bytes. What models and attackers wrote is escaped by the template and never marked as safe.

mod certainty;
mod examples;
mod names;
mod summary;
mod svg;
mod text;
mod view;

use std::collections::BTreeMap;

use askama::Template as _;

use crate::bundle::{Bundle, BundleError};
use crate::metrics::{metrics, pairs};
use crate::trial::{Outcome, Verdict};
use names::Names;

/// What one pass over the trials gives besides their outcomes.
#[derive(Default)]
struct Pass {
    outcomes: Vec<Option<Outcome>>,
    /// Reasons for failure and how often each occurred.
    failures: BTreeMap<String, u64>,
    /// Reasons beyond the bound on different ones.
    other_failures: u64,
    /// Answers.
    answers: u64,
    /// Answers that ended at the limit on tokens.
    cut_off: u64,
    /// Trials in which a defence withheld the document.
    withheld: u64,
    /// The models that an endpoint said have answered, as many as [`MAX_REASONS`].
    reported: BTreeMap<String, u64>,
}

/// Different reasons for failure that are told apart, and the characters kept of each.
const MAX_REASONS: usize = 12;
const MAX_REASON: usize = 240;

impl Pass {
    fn over(bundle: &Bundle) -> Result<Self, BundleError> {
        let mut pass = Self::default();
        bundle.trials(|_, trial| {
            let outcome = trial.outcome();
            pass.withheld += u64::from(outcome.is_some_and(|outcome| outcome.blocked.is_some()));
            pass.answers += trial.calls.len() as u64;
            for name in trial.calls.iter().filter_map(|call| call.reported_model.as_deref()) {
                let name: String = name.chars().take(MAX_REASON).collect();
                if pass.reported.len() < MAX_REASONS || pass.reported.contains_key(&name) {
                    *pass.reported.entry(name).or_default() += 1;
                }
            }
            let at_limit = |call: &&crate::trial::Call| call.stop == ostrom_models::StopReason::Length;
            pass.cut_off += trial.calls.iter().filter(at_limit).count() as u64;
            pass.outcomes.push(outcome);
            if let Verdict::Failed(reason) = trial.verdict {
                let reason: String = reason.chars().take(MAX_REASON).collect();
                if pass.failures.len() < MAX_REASONS || pass.failures.contains_key(&reason) {
                    *pass.failures.entry(reason).or_default() += 1;
                } else {
                    pass.other_failures += 1;
                }
            }
            Ok(())
        })?;
        Ok(pass)
    }

    /// The share of answers that ended at the limit on tokens.
    fn cut_off_share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
        (self.cut_off > 0).then(|| self.cut_off as f64 / self.answers as f64)
    }
}

/// The report of a bundle: a pure function of it. Figures are derived from the trials, not taken from the record.
///
/// # Errors
/// If the bundle cannot be read.
pub fn html(bundle: &Bundle) -> Result<String, BundleError> {
    let pass = Pass::over(bundle)?;
    let figures = metrics(&bundle.plan, &pass.outcomes);
    let names = Names::builtin();
    let mut page = view::Page::new(bundle, &pass, &figures, &names);
    let chosen = examples::choose(&pairs(&bundle.plan, &pass.outcomes), &figures);
    page.examples = examples::read(bundle, &chosen, &names)?;
    let malformed = |error: askama::Error| BundleError::Malformed {
        place: "report.html".to_owned(),
        message: error.to_string(),
    };
    page.render().map_err(malformed)
}

#[cfg(test)]
mod tests;
