//! How sure the figures are, in sentences that depend on the run.

use super::Pass;
use super::text::{count, percent, plural, share, span, tally};
use crate::metrics::{Metrics, Rate};
use crate::plan::Settings;

/// What is to be said about the certainty of this run, beyond what holds for every run.
pub fn paragraphs(settings: &Settings, pass: &Pass, figures: &Metrics) -> Vec<String> {
    let raw = &figures.raw_attack_success;
    let mut paragraphs = vec![clusters(&figures.attack_success)];
    if raw.trials > 0 {
        paragraphs.push(format!(
            "The controls matter: if they are left aside, what the attacker wanted happened in {} of the attacks \
             ({}; interval {}).",
            share(raw),
            tally(raw),
            span(raw.low, raw.high),
        ));
    }
    paragraphs.push(repeats(settings, figures.agreement));
    if let Some(part) = pass.cut_off_share() {
        paragraphs.push(format!(
            "{} of {} ({}) reached the limit of {}. What the model would have said after that is not known and not \
             scored.",
            count(pass.cut_off),
            plural(pass.answers, "answer", "answers"),
            percent(part),
            plural(settings.max_tokens.into(), "token", "tokens"),
        ));
    }
    if pass.withheld > 0 {
        paragraphs.push(format!(
            "A defence withheld the document in {}; the model then never saw it, and the user's task was not done.",
            plural(pass.withheld, "trial", "trials"),
        ));
    }
    paragraphs
}

fn clusters(rate: &Rate) -> String {
    let start = "Attacks on the same user task, or by the same technique, tend to end alike, so they tell less than as many \
         unrelated attacks.";
    match rate.design_effect {
        Some(effect) if effect > 1.05 => {
            #[expect(clippy::cast_precision_loss, reason = "counts of trials are far below 2^52")]
            let worth = rate.trials as f64 / effect;
            format!(
                "{start} Here {} are worth about {worth:.0} (design effect {effect:.1}), and the interval is wider \
                 accordingly.",
                plural(rate.trials, "attack", "attacks"),
            )
        }
        Some(effect) => {
            format!(
                "{start} Here that was hardly so (design effect {effect:.1}); the interval is widened only slightly."
            )
        }
        None => format!(
            "{start} How much less cannot be estimated from this run, because all attacks ended alike or share one \
             task and technique: the interval may be too narrow."
        ),
    }
}

fn repeats(settings: &Settings, agreement: Option<f64>) -> String {
    match (settings.repeat, agreement) {
        (0 | 1, _) if settings.temperature == 0.0 => {
            "Every trial was run once, at temperature 0. A local model gives the same answers again; a service may not."
                .to_owned()
        }
        (0 | 1, _) => "Every trial was run once, although answers are drawn at random: how much they vary from run \
                       to run is not known."
            .to_owned(),
        (n, None) if settings.temperature == 0.0 => format!(
            "Every trial was run {n} times at temperature 0, always with the same outcome. The repeats of a case count as one \
             trial wherever this report says how sure it is."
        ),
        (n, Some(alpha)) if settings.temperature == 0.0 => format!(
            "Every trial was run {n} times at temperature 0. The outcomes agree with Krippendorff's α = {alpha:.2}, where 1 \
             is perfect agreement and 0 is chance. The repeats of a case count as one trial wherever this report says how \
             sure it is."
        ),
        (n, Some(alpha)) => format!(
            "Every trial was run {n} times. The outcomes agree with Krippendorff's α = {alpha:.2}, where 1 is perfect \
             agreement and 0 is chance."
        ),
        (n, None) => format!("Every trial was run {n} times, always with the same outcome."),
    }
}
