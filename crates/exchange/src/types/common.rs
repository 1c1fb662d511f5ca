//! Properties that all objects have.

use ostrom_core::{KeyError, ObjectId, OrgId, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::stix::marking::Marks;

/// Ostrom's identity, which made the extension definitions.
pub const OSTROM: &str = "identity--50468519-86d3-417f-8d1b-69c87ee02cff";

/// The properties that all objects have (STIX 2.1, section 3.2), and those that nobody here knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    #[serde(rename = "type")]
    kind: String,
    spec_version: String,
    id: ObjectId,
    /// When the first version was made.
    pub created: Timestamp,
    /// When this version was made.
    pub modified: Timestamp,
    /// The identity of the organisation that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by_ref: Option<ObjectId>,
    /// Whether its maker has taken it back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revoked: bool,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How sure its maker is, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// The language of its texts (RFC 5646).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Where more is to be found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_references: Vec<Reference>,
    /// Its marks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub object_marking_refs: Vec<ObjectId>,
    /// What somebody else put in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Common {
    /// Of a new object. STIX tells times to the millisecond.
    ///
    /// # Errors
    /// If `kind` is not a type's name.
    pub fn new(kind: &str, uuid: Uuid, now: Timestamp, created_by: Option<OrgId>) -> Result<Self, KeyError> {
        Ok(Self::with_id(ObjectId::new(kind, uuid)?, now, created_by))
    }

    /// Of a new object with this id.
    pub fn with_id(id: ObjectId, now: Timestamp, created_by: Option<OrgId>) -> Self {
        let now = now.to_millis();
        Self {
            kind: id.kind().to_owned(),
            spec_version: "2.1".to_owned(),
            id,
            created: now,
            modified: now,
            created_by_ref: created_by.and_then(|org| ObjectId::new("identity", org.uuid()).ok()),
            revoked: false,
            labels: Vec::new(),
            confidence: None,
            lang: None,
            external_references: Vec::new(),
            object_marking_refs: Vec::new(),
            other: Map::new(),
        }
    }

    /// Its id.
    pub const fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Its STIX type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Makes a next version of it. Its time is later than the last one's.
    #[must_use]
    pub fn next_version(mut self, now: Timestamp) -> Self {
        let least = Timestamp::from_micros(self.modified.micros().saturating_add(1000));
        self.modified = now.to_millis().max(least.unwrap_or(Timestamp::MAX)).to_millis();
        self
    }

    /// Puts these marks on it.
    pub fn mark(&mut self, marks: &Marks) {
        self.object_marking_refs.clone_from(&marks.refs);
    }

    /// With another type, and the same UUID.
    pub(super) fn retyped(&self, kind: &str) -> Result<Self, KeyError> {
        let id = ObjectId::new(kind, self.id.uuid())?;
        Ok(Self { kind: kind.to_owned(), id, ..self.clone() })
    }
}

/// Something outside of STIX.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reference {
    /// Who has it: `cve`, `mitre-atlas`, a publisher.
    pub source_name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the source calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Digests of what is there, by algorithm.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub hashes: Map<String, Value>,
    /// What somebody else put in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Reference {
    /// What a source calls by this id.
    pub fn id(source: &str, id: &str) -> Self {
        Self { source_name: source.to_owned(), external_id: Some(id.to_owned()), ..Self::default() }
    }

    /// What lies at this URL.
    pub fn url(source: &str, url: &str) -> Self {
        Self { source_name: source.to_owned(), url: Some(url.to_owned()), ..Self::default() }
    }
}

/// A phase of an attack, in somebody's order of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Phase {
    /// Whose: `mitre-atlas`.
    pub kill_chain_name: String,
    /// Which: `initial-access`.
    pub phase_name: String,
}

/// The identity of an organisation.
pub fn identity(organisation: OrgId, name: &str, sectors: &[String], now: Timestamp) -> Value {
    let mut value = json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": format!("identity--{organisation}"),
        "created": now.to_millis(),
        "modified": now.to_millis(),
        "name": name,
        "identity_class": "organization",
    });
    if let (Value::Object(map), false) = (&mut value, sectors.is_empty()) {
        map.insert("sectors".to_owned(), json!(sectors));
    }
    value
}
