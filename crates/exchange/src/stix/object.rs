//! One object: its bytes and what is to be known of it.

use std::collections::BTreeSet;
use std::fmt;

use ostrom_core::{Digest, ObjectId, Timestamp};
use serde_json::{Map, Value};

use super::kinds::{self, Class};
use super::read::{Limits, ReadError, json};

/// Most references that one object may have to others.
const MOST_REFERENCES: usize = 4096;
/// Longest title, in characters.
const TITLE: usize = 300;
/// Longest text for search, in bytes.
const TEXT: usize = 16 << 10;

/// The version of the specification that an object follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecVersion {
    /// STIX 2.0, which has no `spec_version`.
    V20,
    /// STIX 2.1.
    V21,
}

impl SpecVersion {
    /// `2.1`
    pub const fn name(self) -> &'static str {
        match self {
            Self::V20 => "2.0",
            Self::V21 => "2.1",
        }
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a node knows of an object without knowing STIX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: ObjectId,
    /// The specification's version.
    pub spec_version: SpecVersion,
    /// When its first version was made.
    pub created: Option<Timestamp>,
    /// When this version was made.
    pub modified: Option<Timestamp>,
    /// Whether its creator has taken it back.
    pub revoked: bool,
    /// Every other object that it names anywhere (`*_ref`, `*_refs`), but not its creator and its marks.
    pub references: BTreeSet<ObjectId>,
    /// The marking definitions that it names, for the whole or for parts of it.
    pub marks: BTreeSet<ObjectId>,
    /// Whether something stands where a mark should that cannot be one. Then nobody may read the object.
    pub marks_malformed: bool,
    /// Whether some marks are for parts only.
    pub granular: bool,
    /// Who made it.
    pub created_by: Option<ObjectId>,
    /// What to call it, in at most 300 characters. May be empty.
    pub title: String,
    /// What search looks at besides: at most 16 KiB.
    pub text: String,
}

impl Facts {
    /// What tells its versions apart: `modified`, else `created`. Cyber-observables have neither.
    pub fn version(&self) -> Option<Timestamp> {
        self.modified.or(self.created)
    }
}

/// A STIX object.
#[derive(Debug, Clone)]
pub struct Object {
    bytes: Vec<u8>,
    map: Map<String, Value>,
    facts: Facts,
}

impl Object {
    /// Reads an object. It need not be valid, but must have an id and a type that are.
    ///
    /// # Errors
    /// If it is too long, is no JSON that can be taken, or has no usable `id`.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        let (found, limit) = (bytes.len(), limits.object);
        if found > limit {
            return Err(ReadError::TooLong { what: "an object", found, limit });
        }
        let Value::Object(map) = json(bytes, limits.depth)? else {
            return Err(ReadError::Shape("a STIX object is a JSON dictionary".to_owned()));
        };
        let facts = facts(&map)?;
        Ok(Self { bytes: bytes.to_vec(), map, facts })
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as they came.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What was parsed.
    pub const fn map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// A property at the top.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// A text at the top.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.map.get(name)?.as_str()
    }

    /// What is to be known of it.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its id.
    pub const fn id(&self) -> &ObjectId {
        &self.facts.id
    }

    /// Its type, `vulnerability`.
    pub fn kind(&self) -> &str {
        self.facts.id.kind()
    }
}

fn facts(map: &Map<String, Value>) -> Result<Facts, ReadError> {
    let shape = |text: String| ReadError::Shape(text);
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let id = text("id").ok_or_else(|| shape("it has no id".to_owned()))?;
    let id: ObjectId = id.parse().map_err(|error| shape(format!("its id cannot be used: {error}")))?;
    if text("type") != Some(id.kind()) {
        return Err(shape(format!("the type of {id} is not what its id says")));
    }
    let time = |name: &str| text(name).and_then(|text| text.parse::<Timestamp>().ok());
    let class = kinds::class(id.kind());
    if map.get("spec_version").is_some_and(|value| !value.is_string()) {
        return Err(shape("its spec_version is not a text".to_owned()));
    }
    let spec_version = match text("spec_version") {
        Some("2.1") => SpecVersion::V21,
        Some("2.0") => SpecVersion::V20,
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            return Err(shape(format!("STIX {other:?} is not known: send STIX 2.1 or 2.0")));
        }
        // Observables of 2.1 may leave it out; everything of 2.0 does.
        None if class == Class::Observable || !map.contains_key("created") => SpecVersion::V21,
        None => SpecVersion::V20,
    };
    let mut found = Found { id: &id, references: BTreeSet::new(), total: 0 };
    for (key, value) in map {
        match key.as_str() {
            "created_by_ref" | "object_marking_refs" | "granular_markings" | "id" => {}
            key => found.property(key, value)?,
        }
    }
    let references = found.references;
    let marks = Marks::of(map);
    let (title, body) = words(map);
    Ok(Facts {
        spec_version,
        created: time("created"),
        modified: time("modified"),
        revoked: map.get("revoked") == Some(&Value::Bool(true)),
        references,
        marks: marks.refs,
        marks_malformed: marks.malformed,
        granular: marks.granular,
        created_by: text("created_by_ref").and_then(|text| text.parse().ok()),
        title,
        text: body,
        id,
    })
}

/// References, gathered from everywhere in an object. The depth is bounded by how it was read.
struct Found<'a> {
    id: &'a ObjectId,
    references: BTreeSet<ObjectId>,
    total: usize,
}

impl Found<'_> {
    fn property(&mut self, key: &str, value: &Value) -> Result<(), ReadError> {
        if key.ends_with("_ref") || key.ends_with("_refs") {
            self.reference(value)?;
        }
        match value {
            Value::Object(map) => map.iter().try_for_each(|(key, value)| self.property(key, value)),
            Value::Array(list) => list.iter().try_for_each(|value| self.property("", value)),
            _ => Ok(()),
        }
    }

    fn reference(&mut self, value: &Value) -> Result<(), ReadError> {
        match value {
            Value::String(text) => {
                // What is not an id (the numbers in STIX 2.0's observed-data) names nothing that could be here.
                if let Ok(id) = text.parse::<ObjectId>()
                    && id != *self.id
                {
                    self.references.insert(id);
                }
                self.total += 1;
                if self.total > MOST_REFERENCES {
                    return Err(ReadError::Shape(format!("it has more than {MOST_REFERENCES} references")));
                }
                Ok(())
            }
            Value::Array(list) => list.iter().try_for_each(|value| self.reference(value)),
            _ => Ok(()),
        }
    }
}

/// The marks that an object names.
#[derive(Default)]
struct Marks {
    refs: BTreeSet<ObjectId>,
    malformed: bool,
    granular: bool,
}

impl Marks {
    fn of(map: &Map<String, Value>) -> Self {
        let mut marks = Self::default();
        if let Some(value) = map.get("object_marking_refs") {
            match value.as_array().filter(|list| !list.is_empty()) {
                Some(list) => list.iter().for_each(|value| marks.add(Some(value))),
                None => marks.malformed = true,
            }
        }
        if let Some(value) = map.get("granular_markings") {
            marks.granular = true;
            match value.as_array().filter(|list| !list.is_empty()) {
                Some(list) => list.iter().for_each(|value| marks.part(value)),
                None => marks.malformed = true,
            }
        }
        marks
    }

    fn add(&mut self, value: Option<&Value>) {
        let id = value.and_then(Value::as_str).and_then(|text| text.parse::<ObjectId>().ok());
        match id.filter(|id| id.kind() == "marking-definition") {
            Some(id) => {
                self.refs.insert(id);
            }
            None => self.malformed = true,
        }
    }

    fn part(&mut self, value: &Value) {
        let Some(map) = value.as_object() else {
            self.malformed = true;
            return;
        };
        match map.get("marking_ref") {
            // A part may be marked with a language instead, which says nothing about who may read.
            None if map.get("lang").is_some_and(Value::is_string) => {}
            mark => self.add(mark),
        }
    }
}

/// Title and text for search. Without NUL, which PostgreSQL does not keep.
fn words(map: &Map<String, Value>) -> (String, String) {
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let first = ["name", "abstract", "value", "key", "path", "subject", "relationship_type", "product"];
    let title = first.into_iter().find_map(text);
    let title = title.or_else(|| text("content")).or_else(|| text("explanation")).unwrap_or_default();
    let title: String = title.chars().filter(|c| !c.is_control()).take(TITLE).collect();
    let mut body = String::new();
    for name in ["description", "content", "abstract", "explanation", "objective", "pattern"] {
        push(&mut body, text(name));
    }
    for name in ["aliases", "labels"] {
        for value in map.get(name).and_then(Value::as_array).into_iter().flatten() {
            push(&mut body, value.as_str());
        }
    }
    for reference in map.get("external_references").and_then(Value::as_array).into_iter().flatten() {
        push(&mut body, reference.get("external_id").and_then(Value::as_str));
    }
    (title, body)
}

fn push(body: &mut String, text: Option<&str>) {
    let Some(text) = text else { return };
    let separator = if body.is_empty() { "" } else { "\n" };
    for c in separator.chars().chain(text.chars().filter(|c| *c != '\0')) {
        if body.len() + c.len_utf8() > TEXT {
            return;
        }
        body.push(c);
    }
}
