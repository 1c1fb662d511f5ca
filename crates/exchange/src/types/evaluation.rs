//! Results of `ostrom eval`, as something to share.

use ostrom_core::{Digest, KeyError, ObjectId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::common::{Common, Reference};
use super::extension::{Affected, AiExtension, Rate};
use super::shared::{NAME, Shared, TEXT, TypeError, bounded};
use crate::stix::{Object, derived_id};

/// What a verified bundle says. Whoever fills this in has checked the bundle's signature, digests and figures.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleFacts {
    /// The suite.
    pub suite: Suite,
    /// The model that was tested.
    pub model: Affected,
    /// Each mechanism's attack success rate.
    pub mechanisms: Vec<Mechanism>,
    /// How often benign tasks succeeded, if there were any.
    pub benign_utility: Option<Rate>,
    /// How often the user's tasks succeeded while attacks were under way, if that was measured.
    pub utility_under_attack: Option<Rate>,
    /// The digest of the bundle's manifest: its name.
    pub bundle: Digest,
    /// The id of the key that signed it.
    pub signer: String,
    /// When it was signed.
    pub signed: Timestamp,
}

/// A suite of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suite {
    /// What it is called.
    pub name: String,
    /// The digest of its expansion.
    pub sha256: Digest,
}

/// A mechanism and how often it succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mechanism {
    /// Its name.
    pub name: String,
    /// Its attack success rate.
    pub success: Rate,
}

/// What stands in the extension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationFacts {
    /// The suite.
    pub suite: Suite,
    /// Each mechanism's attack success rate.
    pub mechanisms: Vec<Mechanism>,
    /// How often benign tasks succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benign_utility: Option<Rate>,
    /// How often the user's tasks succeeded while attacks were under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utility_under_attack: Option<Rate>,
    /// The bundle's digest.
    pub bundle_sha256: Digest,
    /// The id of the key that signed it.
    pub signer: String,
    /// When it was signed.
    pub signed: Timestamp,
    /// What a later version has put in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Most mechanisms in an evaluation.
const MECHANISMS: usize = 1000;

impl EvaluationFacts {
    pub(super) fn check(&self) -> Result<(), TypeError> {
        if self.mechanisms.is_empty() || self.mechanisms.len() > MECHANISMS {
            return Err(TypeError::property("evaluation.mechanisms", format!("must be 1 to {MECHANISMS}")));
        }
        for mechanism in &self.mechanisms {
            bounded("evaluation.mechanisms.name", &mechanism.name, NAME)?;
            mechanism.success.check()?;
        }
        let utilities = [&self.benign_utility, &self.utility_under_attack];
        utilities.into_iter().flatten().try_for_each(Rate::check)?;
        bounded("evaluation.suite.name", &self.suite.name, NAME)?;
        bounded("evaluation.signer", &self.signer, NAME)
    }
}

/// What an evaluation of a model found: a note about the software object that stands for the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// A short title.
    #[serde(rename = "abstract")]
    pub title: String,
    /// The result, for people.
    pub content: String,
    /// The model, and whatever else it is about.
    pub object_refs: Vec<ObjectId>,
    /// The figures.
    pub extensions: AiExtension,
}

impl Evaluation {
    /// The evaluation that a bundle is. Its id follows from the bundle's digest, so that publishing a bundle twice is publishing it
    /// once. The software object that it is about comes with it ([`software`]).
    ///
    /// # Errors
    /// If the facts contradict each other or name no model.
    pub fn from_bundle(
        facts: BundleFacts,
        now: Timestamp,
        by: Option<OrgId>,
    ) -> Result<(Self, Value), TypeError> {
        let BundleFacts {
            suite,
            model,
            mechanisms,
            benign_utility,
            utility_under_attack,
            bundle,
            signer,
            signed,
        } = facts;
        let error = |error: KeyError| TypeError::property("id", error.to_string());
        let name = model.model.clone().ok_or_else(|| TypeError::property("model", "is missing"))?;
        let software = software(&model).ok_or_else(|| TypeError::property("model", "is missing"))?;
        let about = software.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let about: ObjectId = about.ok_or_else(|| TypeError::property("model", "has no id"))?;
        let id = derived_id("note", "ostrom-eval", &bundle.to_string()).map_err(error)?;
        let mut common = Common::with_id(id, now, by);
        common.external_references.push(Reference {
            source_name: "ostrom-eval".to_owned(),
            description: Some("The signed bundle with every trial".to_owned()),
            external_id: Some(format!("sha256:{bundle}")),
            ..Reference::default()
        });
        let mut content = format!("{name} under the suite {} (sha256:{}).\n", suite.name, suite.sha256);
        for mechanism in &mechanisms {
            content.push_str(&format!("\n- {}: {}", mechanism.name, mechanism.success));
        }
        if let Some(utility) = &benign_utility {
            content.push_str(&format!("\n\nBenign utility: {utility}"));
        }
        if let Some(utility) = &utility_under_attack {
            content.push_str(&format!("\n\nUtility under attack: {utility}"));
        }
        let mut extensions = AiExtension::default();
        extensions.ai.record = Some(RECORD.to_owned());
        extensions.ai.affected = vec![model];
        extensions.ai.evaluation = Some(EvaluationFacts {
            suite,
            mechanisms,
            benign_utility,
            utility_under_attack,
            bundle_sha256: bundle,
            signer,
            signed,
            other: Map::new(),
        });
        let title = format!("Evaluation of {name}");
        let evaluation = Self { common, title, content, object_refs: vec![about], extensions };
        evaluation.check()?;
        Ok((evaluation, software))
    }

    /// Its figures.
    pub fn facts(&self) -> Option<&EvaluationFacts> {
        self.extensions.ai.evaluation.as_ref()
    }

    /// Whether a note says that it is one.
    pub(super) fn is_one(object: &Object) -> bool {
        let extension = object.get("extensions").and_then(|map| map.get(super::AI_EXTENSION));
        extension.and_then(|map| map.get("record")).and_then(Value::as_str) == Some(RECORD)
    }
}

const RECORD: &str = "evaluation";

impl Shared for Evaluation {
    const WHAT: &'static str = "an evaluation";
    const KINDS: &'static [&'static str] = &["note"];

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), TypeError> {
        bounded("abstract", &self.title, NAME + 50)?;
        bounded("content", &self.content, TEXT)?;
        if self.object_refs.is_empty() {
            return Err(TypeError::property("object_refs", "must name at least one object"));
        }
        if self.facts().is_none() {
            return Err(TypeError::property("evaluation", "is missing"));
        }
        self.extensions.ai.check()
    }
}

/// The software object that stands for a model, with the id that follows from it. `None` if the model has no name.
pub fn software(model: &Affected) -> Option<Value> {
    let name = model.model.as_ref()?;
    let mut value = json!({ "type": "software", "spec_version": "2.1", "name": name });
    if let Value::Object(map) = &mut value {
        for (key, text) in [("vendor", &model.vendor), ("version", &model.version)] {
            if let Some(text) = text {
                map.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
    }
    let id = crate::stix::observable_id(value.as_object()?)?;
    if let Value::Object(map) = &mut value {
        map.insert("id".to_owned(), json!(id));
    }
    Some(value)
}
