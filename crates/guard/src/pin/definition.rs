//! One definition, within bounds, and its digest.

use ostrom_core::Digest;
use serde_json::{Map, Value, json};

use super::{Kind, hidden};

/// Bytes of a definition's JSON.
pub const MAX_BYTES: usize = 256 * 1024;
/// Levels of nesting in a definition.
pub const MAX_DEPTH: usize = 32;
/// Values (members and elements) in a definition.
pub const MAX_VALUES: usize = 16 * 1024;
/// Bytes of a name, URI or URI template.
const MAX_NAME: usize = 2048;

/// Integers up to here are told apart by the double-precision numbers of RFC 8785.
const EXACT: u64 = 1 << 53;

/// Why a value is not a definition that can be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not an object with a name.
    #[error("a {kind} is an object whose member {key} is a text of 1 to {MAX_NAME} bytes")]
    Unnamed {
        /// What it should define.
        kind: Kind,
        /// The member.
        key: &'static str,
    },
    /// Too large.
    #[error("a definition has at most {MAX_BYTES} bytes, {MAX_DEPTH} levels and {MAX_VALUES} values")]
    TooLarge,
    /// No canonical JSON.
    #[error("{0}")]
    NotCanonical(String),
}

/// A definition as a server gave it, within bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    kind: Kind,
    name: String,
    value: Value,
    digest: Digest,
}

impl Definition {
    /// Checks the bounds and takes the digest.
    ///
    /// # Errors
    /// If the value is not an object with a name, or not within bounds.
    pub fn new(kind: Kind, value: Value) -> Result<Self, DefinitionError> {
        let mut size = Size { bytes: MAX_BYTES, values: MAX_VALUES };
        if !size.takes(&value, MAX_DEPTH) {
            return Err(DefinitionError::TooLarge);
        }
        let key = kind.key();
        let name = value.get(key).and_then(Value::as_str).filter(|name| (1..=MAX_NAME).contains(&name.len()));
        let name = name.ok_or(DefinitionError::Unnamed { kind, key })?.to_owned();
        let digest = digest(&value)?;
        Ok(Self { kind, name, value, digest })
    }

    /// What it defines.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, URI or URI template.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole of it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The digest by which it is pinned: of its RFC 8785 canonical JSON.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What of it people do not see.
    pub fn hidden(&self) -> Vec<hidden::HiddenText> {
        hidden::find(&self.value)
    }
}

/// The digest of a value's canonical JSON. RFC 8785 writes numbers as doubles, which take some large integers for one
/// another, so where there are such the digest is of the value together with their digits.
fn digest(value: &Value) -> Result<Digest, DefinitionError> {
    let mut large = Map::new();
    collect_large(value, "", &mut large);
    let digest = if large.is_empty() {
        ostrom_trust::digest_of(value)
    } else {
        ostrom_trust::digest_of(&json!([value, large]))
    };
    digest.map_err(|error| DefinitionError::NotCanonical(error.to_string()))
}

fn collect_large(value: &Value, at: &str, large: &mut Map<String, Value>) {
    match value {
        Value::Number(number) => {
            let size = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            if size.is_some_and(|size| size > EXACT) {
                large.insert(at.to_owned(), Value::String(number.to_string()));
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                collect_large(element, &format!("{at}/{index}"), large);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                collect_large(member, &pointer(at, key), large);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The JSON pointer (RFC 6901) to the member `key` of what is at `at`.
pub(super) fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What is left of the bounds.
struct Size {
    bytes: usize,
    values: usize,
}

impl Size {
    /// Whether `value` fits. Counts bytes as JSON has them at least.
    fn takes(&mut self, value: &Value, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let bytes = match value {
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => 4,
            Value::Number(_) => 8,
            Value::String(text) => text.len().saturating_add(2),
        };
        self.counts(bytes)
            && match value {
                Value::Array(elements) => elements.iter().all(|element| self.takes(element, depth)),
                Value::Object(members) => members.iter().all(|(key, member)| {
                    self.counts(key.len().saturating_add(2)) && self.takes(member, depth)
                }),
                _ => true,
            }
    }

    fn counts(&mut self, bytes: usize) -> bool {
        match (self.bytes.checked_sub(bytes), self.values.checked_sub(1)) {
            (Some(bytes), Some(values)) => {
                (self.bytes, self.values) = (bytes, values);
                true
            }
            _ => false,
        }
    }
}
