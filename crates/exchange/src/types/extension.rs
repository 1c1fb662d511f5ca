//! The extension `ostrom-ai`: what STIX lacks for flaws of AI.

use std::fmt;

use ostrom_core::{CaseId, Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::common::OSTROM;
use super::evaluation::EvaluationFacts;
use super::shared::{TypeError, bounded};
use crate::seal::Sealed;
use crate::stix::marking::HANDLING_EXTENSION;

/// The id of the extension's definition.
pub const AI_EXTENSION: &str = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44";
const VERSION: &str = "1.0.0";

/// What the extension holds. Every property may be missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ai {
    extension_type: PropertyExtension,
    /// Which of Ostrom's types the object is, where its STIX type leaves that open: `lesson`, `evaluation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Which models, versions and endpoints, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Affected>,
    /// How often an attack succeeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attack_success: Vec<Rate>,
    /// How it does on other models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer: Vec<Transfer>,
    /// How far coordinated disclosure is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosure: Option<Disclosure>,
    /// How serious an incident is, in the OECD's terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_severity: Option<Severity>,
    /// When an incident happened, if not just then when it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred: Option<Timestamp>,
    /// How exact that is, if not to the digit: `day`, `month`, `year`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_precision: Option<String>,
    /// What an evaluation found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationFacts>,
    /// The content, sealed to its recipients: see [`crate::sealed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// What a later version of the extension has put in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
enum PropertyExtension {
    #[default]
    #[serde(rename = "property-extension")]
    It,
}

impl Ai {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), TypeError> {
        self.affected.iter().try_for_each(Affected::check)?;
        self.attack_success.iter().try_for_each(Rate::check)?;
        self.transfer.iter().try_for_each(Transfer::check)?;
        self.evaluation.as_ref().map_or(Ok(()), EvaluationFacts::check)
    }
}

/// The `extensions` of an object that has only this one of ours.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AiExtension {
    /// Ostrom's.
    #[serde(
        rename = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44",
        default,
        skip_serializing_if = "Ai::is_empty"
    )]
    pub ai: Ai,
    /// Others'.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl AiExtension {
    pub(super) fn is_empty(&self) -> bool {
        self.ai.is_empty() && self.other.is_empty()
    }
}

/// A model or service that is affected. One of `vendor`, `model` and `endpoint` must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Affected {
    /// Who makes or runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its version, or a range, in the vendor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SHA-256 of its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<Digest>,
    /// Where it is reached, if it is a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// From when on: a service's model changes under everybody's feet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// What a later version of the extension has put in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Affected {
    /// A model of this name.
    pub fn model(name: &str) -> Self {
        Self { model: Some(name.to_owned()), ..Self::default() }
    }

    fn check(&self) -> Result<(), TypeError> {
        let texts = [&self.vendor, &self.model, &self.version, &self.endpoint];
        for text in texts.into_iter().flatten() {
            bounded("affected", text, 1000)?;
        }
        if self.vendor.is_none() && self.model.is_none() && self.endpoint.is_none() {
            return Err(TypeError::property("affected", "needs a vendor, a model or an endpoint"));
        }
        if matches!((self.valid_from, self.valid_until), (Some(from), Some(until)) if from > until) {
            return Err(TypeError::property("affected.valid_until", "is earlier than valid_from"));
        }
        Ok(())
    }
}

/// A rate with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Of what: a mechanism or technique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<String>,
    /// How often it succeeded.
    pub successes: u64,
    /// Of how many trials.
    pub trials: u64,
    /// `successes / trials`, or another estimate of the rate.
    pub rate: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The quantile of the normal distribution that leaves 2.5 % on either side.
const Z: f64 = 1.959_963_984_540_054;

impl Rate {
    /// A rate with an interval that was computed elsewhere.
    ///
    /// # Errors
    /// If the numbers contradict each other.
    pub fn new(successes: u64, trials: u64, rate: f64, low: f64, high: f64) -> Result<Self, TypeError> {
        let found = Self { technique: None, successes, trials, rate, low, high };
        found.check()?;
        Ok(found)
    }

    /// `successes` of `trials`, with the interval of Wilson (1927).
    ///
    /// # Errors
    /// If there is no trial, or more successes than trials.
    pub fn wilson(successes: u64, trials: u64) -> Result<Self, TypeError> {
        if trials == 0 || successes > trials || trials > 1 << 50 {
            return Err(TypeError::property("trials", "at least one, and no fewer than successes"));
        }
        #[expect(clippy::cast_precision_loss, reason = "both are under 2^53")]
        let (x, n) = (successes as f64, trials as f64);
        let (p, z2) = (x / n, Z * Z);
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        // At the ends the interval touches 0 and 1, which rounding may just miss.
        let low = if successes == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if successes == trials { 1.0 } else { (middle + half).min(1.0) };
        Self::new(successes, trials, p, low, high)
    }

    /// The same, of this technique.
    #[must_use]
    pub fn of(self, technique: &str) -> Self {
        Self { technique: Some(technique.to_owned()), ..self }
    }

    pub(super) fn check(&self) -> Result<(), TypeError> {
        if self.trials == 0 || self.successes > self.trials || self.trials > 1 << 50 {
            return Err(TypeError::property(
                "attack_success",
                "at least one trial, and no fewer than successes",
            ));
        }
        if !(0.0 <= self.low && self.low <= self.rate && self.rate <= self.high && self.high <= 1.0) {
            return Err(TypeError::property("attack_success", "0 ≤ low ≤ rate ≤ high ≤ 1 does not hold"));
        }
        self.technique.as_deref().map_or(Ok(()), |text| bounded("attack_success.technique", text, 500))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| 100.0 * x;
        let (rate, low, high) = (percent(self.rate), percent(self.low), percent(self.high));
        write!(f, "{rate:.1} % (95 % interval {low:.1} to {high:.1}, {} of {})", self.successes, self.trials)
    }
}

/// How an attack does on another model than the one it was found on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// The other model.
    pub to: Affected,
    /// How often it succeeds there.
    pub success: Rate,
}

impl Transfer {
    fn check(&self) -> Result<(), TypeError> {
        self.to.check()?;
        self.success.check()
    }
}

/// How far coordinated disclosure is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// The state of the case.
    pub state: DisclosureState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The case, on the node where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$inner])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(super) use words;

words! {
    /// The states of coordinated disclosure.
    DisclosureState {
        /// The report is here.
        Received = "received",
        /// It was looked at and is not nothing.
        Triaged = "triaged",
        /// The vendors know.
        Notified = "notified",
        /// There is a fix, or none is to be expected.
        FixReady = "fix-ready",
        /// Everybody knows.
        Published = "published",
        /// It was a mistake.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// How serious an incident is, in the OECD's terms.
    Severity {
        /// It could plausibly lead to an incident.
        Hazard = "hazard",
        /// It could plausibly lead to a serious incident.
        SeriousHazard = "serious-hazard",
        /// It has led to harm.
        Incident = "incident",
        /// It has led to death, serious harm, or serious disruption.
        SeriousIncident = "serious-incident",
        /// It disrupts a community or society beyond what it can cope with.
        Disaster = "disaster",
    }
}

/// The objects that define Ostrom's extensions, and the identity that made them. Whoever gets an object with the extension may want
/// them; they are public.
pub fn definitions() -> Vec<Value> {
    let created = "2026-01-01T00:00:00.000Z";
    let define = |id: &str, name: &str, description: &str, schema: &str| {
        json!({
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": id,
            "created": created,
            "modified": created,
            "created_by_ref": OSTROM,
            "name": name,
            "description": description,
            "schema": schema,
            "version": VERSION,
            "extension_types": ["property-extension"],
        })
    };
    vec![
        json!({
            "type": "identity",
            "spec_version": "2.1",
            "id": OSTROM,
            "created": created,
            "modified": created,
            "name": "Ostrom",
            "identity_class": "organization",
        }),
        define(
            AI_EXTENSION,
            "ostrom-ai",
            "What STIX lacks for flaws and incidents of AI: the affected model, version, endpoint and time, attack success rates with their 95 % intervals, transfer to other models, the state of coordinated disclosure, evaluations.",
            include_str!("../../schemas/ostrom-ai.json"),
        ),
        define(
            HANDLING_EXTENSION,
            "ostrom-handling",
            "A marking definition with named recipients, an embargo and an owner.",
            include_str!("../../schemas/ostrom-handling.json"),
        ),
    ]
}
