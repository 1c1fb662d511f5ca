//! From handlings to marks.

use ostrom_core::handling::{Handling, Iep, Tlp};
use ostrom_core::{ObjectId, OrgId};
use serde_json::{Map, Value, json};

use super::{HANDLING_EXTENSION, IEP_EXTENSION, fixed, iep};
use crate::stix::derived_id;

/// When the definitions that Ostrom makes say that they were made: they follow from their content, so that the same handling gives the
/// same bytes everywhere.
const CREATED: &str = "2026-01-01T00:00:00.000Z";

/// Why a handling cannot be written as marks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// It is one that nobody may read.
    #[error("a handling that is not understood cannot be written ({0})")]
    Refused(String),
    /// It does not fit into JSON.
    #[error("the handling cannot be written")]
    Written,
}

/// The marks of an object that we write.
#[derive(Debug, Clone, PartialEq)]
pub struct Marks {
    /// For its `object_marking_refs`.
    pub refs: Vec<ObjectId>,
    /// The definitions that must be where the object is. The fixed ones of TLP are everywhere.
    pub definitions: Vec<Value>,
}

/// Marks that say what `handling` says. Who reads them back gets the handling, except its author, who is whoever wrote the object,
/// and, if only TLP is needed, its owner, who is whoever put the object there.
///
/// # Errors
/// If nobody may read it.
pub fn marks(handling: &Handling) -> Result<Marks, MarkError> {
    if let Some(why) = &handling.refused {
        return Err(MarkError::Refused(why.clone()));
    }
    let tlp = fixed::id(handling.tlp);
    let is_plain = handling.audience.is_empty() && handling.embargo.is_none();
    match &handling.iep {
        None if is_plain => Ok(Marks { refs: vec![tlp], definitions: Vec::new() }),
        Some(policy) if is_plain => {
            let id = iep_id(handling.tlp, handling.iep.as_ref()).ok_or(MarkError::Written)?;
            match iep::extension(handling.tlp, policy, &id.uuid().to_string()) {
                Some(extension) => {
                    let mut definition = frame(&id, None, policy.name.clone(), IEP_EXTENSION, extension);
                    if let Value::Object(map) = &mut definition {
                        // OASIS's extension asks for one.
                        let reference =
                            json!([{ "source_name": "FIRST IEP", "url": "https://www.first.org/iep/" }]);
                        map.insert("external_references".to_owned(), reference);
                    }
                    Ok(Marks { refs: vec![tlp, id], definitions: vec![definition] })
                }
                None => own(handling, tlp),
            }
        }
        _ => own(handling, tlp),
    }
}

fn own(handling: &Handling, tlp: ObjectId) -> Result<Marks, MarkError> {
    let extension = extension(handling).ok_or(MarkError::Written)?;
    let id = handling_id(handling).ok_or(MarkError::Written)?;
    let mut name = handling.tlp.label().to_owned();
    if !handling.audience.is_empty() {
        name.push_str(", named recipients");
    }
    if let Some(embargo) = &handling.embargo {
        name.push_str(&format!(", embargo until {}", embargo.until));
    }
    let definition = frame(&id, Some(handling.owner), name, HANDLING_EXTENSION, Value::Object(extension));
    Ok(Marks { refs: vec![tlp, id], definitions: vec![definition] })
}

fn frame(id: &ObjectId, owner: Option<OrgId>, name: String, key: &str, extension: Value) -> Value {
    let mut definition = json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id,
        "created": CREATED,
        "name": name,
        "extensions": { key: extension },
    });
    if let (Value::Object(map), Some(owner)) = (&mut definition, owner) {
        map.insert("created_by_ref".to_owned(), Value::String(format!("identity--{owner}")));
    }
    definition
}

/// What stands in Ostrom's extension: nothing that is empty.
fn extension(handling: &Handling) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    map.insert("extension_type".to_owned(), Value::String("property-extension".to_owned()));
    map.insert("owner".to_owned(), serde_json::to_value(handling.owner).ok()?);
    map.insert("tlp".to_owned(), serde_json::to_value(handling.tlp).ok()?);
    if !handling.audience.is_empty() {
        map.insert("audience".to_owned(), serde_json::to_value(&handling.audience).ok()?);
    }
    if let Some(embargo) = &handling.embargo {
        map.insert("embargo".to_owned(), serde_json::to_value(embargo).ok()?);
    }
    if let Some(iep) = &handling.iep {
        map.insert("iep".to_owned(), serde_json::to_value(iep).ok()?);
    }
    Some(map)
}

/// The id that follows from the content.
pub(super) fn handling_id(handling: &Handling) -> Option<ObjectId> {
    let text = ostrom_trust::canonical_json(&extension(handling)?).ok()?;
    derived_id("marking-definition", "ostrom-handling", std::str::from_utf8(&text).ok()?).ok()
}

pub(super) fn iep_id(tlp: Tlp, iep: Option<&Iep>) -> Option<ObjectId> {
    let text = ostrom_trust::canonical_json(&(tlp, iep)).ok()?;
    derived_id("marking-definition", "iep", std::str::from_utf8(&text).ok()?).ok()
}
