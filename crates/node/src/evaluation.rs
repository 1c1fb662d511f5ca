//! What is shared of a bundle of `ostrom eval`, once it has been verified: by the command line on its own machine, by a page on the node's.

use ostrom_core::Timestamp;
use ostrom_exchange::types::{Affected, BundleFacts, Evaluation, Mechanism, Rate, Suite};
use ostrom_lab::bundle::{Bundle, Verification};
use serde_json::{Map, Value};

/// What the node gives to what is written, and nobody else.
const GIVEN: [&str; 7] =
    ["id", "type", "spec_version", "created", "modified", "created_by_ref", "object_marking_refs"];

/// An evaluation to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The note with the figures: its STIX properties, without those that the node gives.
    pub object: Map<String, Value>,
    /// The software object that stands for the model.
    pub software: Value,
}

impl Evaluated {
    /// What a verified bundle says.
    ///
    /// # Errors
    /// In words: if trials of it have no outcome, it does not say when it was signed, or its figures cannot be written.
    pub fn of(bundle: &Bundle, verification: &Verification) -> Result<Self, String> {
        if verification.failed > 0 {
            return Err(format!(
                "{} trials of this bundle have no outcome, so its rates are only bounds: `ostrom eval resume` first",
                verification.failed
            ));
        }
        let cannot = |error: &dyn std::fmt::Display| format!("this bundle cannot be published: {error}");
        let shared = |rate: &ostrom_lab::metrics::Rate| {
            let (share, _) = rate.bounds().unwrap_or_default();
            Rate::new(rate.successes, rate.trials, share, rate.low, rate.high).map_err(|error| cannot(&error))
        };
        let figures = &bundle.metrics;
        let some = |rate: &ostrom_lab::metrics::Rate| (rate.trials > 0).then(|| shared(rate)).transpose();
        let signed = verification.finished.and_then(|seconds| i64::try_from(seconds).ok());
        let signed = signed.ok_or_else(|| "this bundle does not say when it was signed".to_owned())?;
        let facts = BundleFacts {
            suite: Suite {
                name: format!("{} {}", bundle.manifest.suite, bundle.manifest.suite_version),
                sha256: bundle.manifest.suite_digest,
            },
            model: Affected::model(bundle.manifest.target.name()),
            mechanisms: figures
                .by_mechanism
                .iter()
                .map(|group| Ok(Mechanism { name: group.id.clone(), success: shared(&group.rate)? }))
                .collect::<Result<_, String>>()?,
            benign_utility: some(&figures.benign_utility)?,
            utility_under_attack: some(&figures.utility_under_attack)?,
            bundle: verification.digest,
            signer: verification.signer.to_string(),
            signed: Timestamp::EPOCH.plus_seconds(signed),
        };
        let made = Evaluation::from_bundle(facts, Timestamp::EPOCH, None);
        let (evaluation, software) = made.map_err(|error| cannot(&error))?;
        let object = serde_json::to_value(&evaluation).map_err(|error| cannot(&error))?;
        let Value::Object(mut object) = object else { return Err(cannot(&"it is no object")) };
        object.retain(|name, _| !GIVEN.contains(&name.as_str()));
        Ok(Self { object, software })
    }
}
