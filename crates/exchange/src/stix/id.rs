//! Ids that follow from what they name.

use ostrom_core::{KeyError, ObjectId, Uuid};
use serde_json::{Map, Value};

use super::kinds;

/// The namespace of STIX 2.1 for the ids of cyber-observables (section 2.9).
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);

/// The namespace of the ids that Ostrom derives: of records that were imported, of evaluations, of marks.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x1ca6_a905_e152_4864_ac9c_7391_0b32_59de);

/// The id of something that Ostrom makes of something else: the same source gives the same id, so that an import that is run
/// twice makes nothing twice.
///
/// # Errors
/// If `kind` is not a type's name.
pub fn derived_id(kind: &str, source: &str, name: &str) -> Result<ObjectId, KeyError> {
    ObjectId::new(kind, Uuid::new_v5(&NAMESPACE, format!("{kind}\n{source}\n{name}").as_bytes()))
}

/// The id that the specification wants for a cyber-observable: a UUID (version 5) of its contributing properties in RFC 8785
/// canonical form. `None` if it is no cyber-observable or has none of them: then its id is random.
pub fn observable_id(object: &Map<String, Value>) -> Option<ObjectId> {
    let kind = object.get("type")?.as_str()?;
    let names = kinds::contributing(kind)?;
    let mut chosen = Map::new();
    for name in names {
        let Some(value) = object.get(*name) else { continue };
        chosen.insert((*name).to_owned(), if *name == "hashes" { first_hash(value)? } else { value.clone() });
    }
    if chosen.is_empty() {
        return None;
    }
    let text = ostrom_trust::canonical_json(&Value::Object(chosen)).ok()?;
    ObjectId::new(kind, Uuid::new_v5(&OBSERVABLES, &text)).ok()
}

/// Of several hashes, the one that counts.
fn first_hash(hashes: &Value) -> Option<Value> {
    let hashes = hashes.as_object()?;
    let name = ["MD5", "SHA-1", "SHA-256", "SHA-512"].into_iter().find(|name| hashes.contains_key(*name));
    let name = name.or_else(|| hashes.keys().map(String::as_str).min())?;
    Some(Value::Object(Map::from_iter([(name.to_owned(), hashes.get(name)?.clone())])))
}
