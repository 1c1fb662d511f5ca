//! Incidents, with OASIS's incident core extension.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::Common;
use super::extension::{Ai, words};
use super::shared::{Shared, TypeError, named};

/// The incident core extension of the OASIS committee (version 2.1).
pub const INCIDENT_EXTENSION: &str = "extension-definition--ef765651-680c-498d-9894-99799f2fa126";

words! {
    /// Whether it is one.
    Determination {
        /// Nobody knows yet.
        Suspected = "suspected",
        /// It is.
        Confirmed = "confirmed",
        /// It was stopped.
        Blocked = "blocked",
        /// It failed by itself.
        FailedAttempt = "failed-attempt",
        /// It was none.
        FalsePositive = "false-positive",
    }
}

/// OASIS's incident core extension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentCore {
    extension_type: String,
    /// Whether it is an incident.
    pub determination: Determination,
    /// `new`, `open`, `closed`, or another word.
    pub investigation_status: String,
    /// From 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<u8>,
    /// How it was noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detection_methods: Vec<String>,
    /// What sort of incident it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incident_types: Vec<String>,
    /// How many of whom it hit, by type of entity.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub impacted_entity_counts: Map<String, Value>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl IncidentCore {
    /// The two things that must be said.
    pub fn new(determination: Determination, investigation_status: &str) -> Self {
        Self {
            extension_type: "property-extension".to_owned(),
            determination,
            investigation_status: investigation_status.to_owned(),
            criticality: None,
            detection_methods: Vec::new(),
            incident_types: Vec::new(),
            impacted_entity_counts: Map::new(),
            other: Map::new(),
        }
    }
}

/// The `extensions` of an incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IncidentExtensions {
    /// Ostrom's.
    #[serde(
        rename = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44",
        default,
        skip_serializing_if = "Ai::is_empty"
    )]
    pub ai: Ai,
    /// OASIS's.
    #[serde(
        rename = "extension-definition--ef765651-680c-498d-9894-99799f2fa126",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub core: Option<IncidentCore>,
    /// Others'.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl IncidentExtensions {
    fn is_empty(&self) -> bool {
        self.ai.is_empty() && self.core.is_none() && self.other.is_empty()
    }
}

/// Something that has happened, or nearly so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// What it is called.
    pub name: String,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How serious, when, where, and how it is dealt with.
    #[serde(default, skip_serializing_if = "IncidentExtensions::is_empty")]
    pub extensions: IncidentExtensions,
}

impl Incident {
    /// An incident of this name.
    pub fn new(common: Common, name: &str) -> Self {
        let extensions = IncidentExtensions {
            core: Some(IncidentCore::new(Determination::Suspected, "new")),
            ..IncidentExtensions::default()
        };
        Self { common, name: name.to_owned(), description: None, extensions }
    }
}

impl Shared for Incident {
    const WHAT: &'static str = "an incident";
    const KINDS: &'static [&'static str] = &["incident"];

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), TypeError> {
        named(&self.name, self.description.as_deref())?;
        self.extensions.ai.check()?;
        let Some(core) = &self.extensions.core else { return Ok(()) };
        if core.extension_type != "property-extension" {
            return Err(TypeError::property("extension_type", "must be property-extension"));
        }
        if core.criticality.is_some_and(|criticality| criticality > 100) {
            return Err(TypeError::property("criticality", "must be from 0 to 100"));
        }
        if !core.impacted_entity_counts.values().all(Value::is_u64) {
            return Err(TypeError::property("impacted_entity_counts", "must be numbers"));
        }
        super::shared::bounded("investigation_status", &core.investigation_status, 100)
    }
}
