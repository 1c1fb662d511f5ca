//! Sealed objects: STIX objects whose marks are in the clear, so that every node's policy applies to them, and whose content only the
//! recipients can read.
//!
//! The object carries Ostrom's extension with `sealed`, a [`Sealed`] body. What is sealed is a JSON dictionary of properties: they take the
//! place of the clear ones when it is opened. The seal's context is the SHA-256 of the canonical JSON (RFC 8785) of the whole object
//! without `sealed`: id, version, marks, owner, and whatever else is in the clear. An object that was changed in any of it does not open.
//!
//! Who sealed it, the seal says if its maker wanted that ([`Opened::sender`]): by a key, whose owner the reader has to know. The object's owner is the
//! word of the node that took it.

use ostrom_core::ObjectId;
use serde_json::{Map, Value, json};

use crate::seal::{OpeningKey, RecipientKey, SealError, Sealed};
use crate::stix::{Limits, Object};
use crate::types::AI_EXTENSION;

/// The property of Ostrom's extension that holds the sealed body.
const PROPERTY: &str = "sealed";
/// What nobody can put into a sealed body: it is in the clear, and what is done by it follows from that.
const CLEAR: [&str; 9] = [
    "id",
    "type",
    "spec_version",
    "created",
    "modified",
    "created_by_ref",
    "object_marking_refs",
    "granular_markings",
    "revoked",
];

fn malformed(why: &str) -> SealError {
    SealError::Malformed(why.to_owned())
}

/// The object without its sealed body.
fn clear(object: &Map<String, Value>) -> Map<String, Value> {
    let mut clear = object.clone();
    let extension = clear.get_mut("extensions").and_then(|all| all.get_mut(AI_EXTENSION));
    if let Some(extension) = extension.and_then(Value::as_object_mut) {
        extension.remove(PROPERTY);
    }
    clear
}

fn context(object: &Map<String, Value>) -> Result<String, SealError> {
    let digest = ostrom_trust::digest_of(&clear(object)).map_err(|error| malformed(&error.to_string()))?;
    Ok(format!("ostrom-sealed-object/v1 {digest}"))
}

/// Seals `secret` into `object`, which holds all that is in the clear and nothing that the node would change. Gives the object's bytes. With `sender`,
/// recipients know that whoever has that key sealed it.
///
/// # Errors
/// If the secret holds what must be in the clear, or it cannot be sealed ([`Sealed::new`]).
pub fn seal(
    object: &Map<String, Value>,
    secret: &Map<String, Value>,
    recipients: &[RecipientKey],
    sender: Option<&OpeningKey>,
) -> Result<Vec<u8>, SealError> {
    if let Some(name) = secret.keys().find(|name| CLEAR.contains(&name.as_str())) {
        return Err(SealError::Malformed(format!("{name} must be in the clear")));
    }
    let mut object = clear(object);
    let extensions = object.entry("extensions").or_insert_with(|| json!({}));
    let extensions = extensions.as_object_mut().ok_or_else(|| malformed("extensions is no dictionary"))?;
    let extension = extensions.entry(AI_EXTENSION).or_insert_with(|| json!({}));
    let extension = extension.as_object_mut().ok_or_else(|| malformed("the extension is no dictionary"))?;
    extension.insert("extension_type".to_owned(), json!("property-extension"));
    let body = serde_json::to_vec(secret).map_err(|error| malformed(&error.to_string()))?;
    let context = context(&object)?;
    let sealed = match sender {
        Some(sender) => Sealed::by(sender, &body, &context, recipients)?,
        None => Sealed::new(&body, &context, recipients)?,
    };
    let sealed = serde_json::to_value(&sealed).map_err(|error| malformed(&error.to_string()))?;
    // INVARIANT: both are there since a few lines.
    let extension = object.get_mut("extensions").and_then(|all| all.get_mut(AI_EXTENSION));
    let extension = extension.and_then(Value::as_object_mut).ok_or_else(|| malformed("no extension"))?;
    extension.insert(PROPERTY.to_owned(), sealed);
    serde_json::to_vec(&object).map_err(|error| malformed(&error.to_string()))
}

/// The sealed body of an object. `None`: it has none.
///
/// # Errors
/// If what stands there is none.
pub fn sealed(object: &Map<String, Value>) -> Result<Option<Sealed>, SealError> {
    let extension = object.get("extensions").and_then(|all| all.get(AI_EXTENSION));
    let Some(found) = extension.and_then(|extension| extension.get(PROPERTY)) else { return Ok(None) };
    let bytes = serde_json::to_vec(found).map_err(|error| malformed(&error.to_string()))?;
    Sealed::from_slice(&bytes).map(Some)
}

/// What was sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The object with its secret properties in the place of the clear ones.
    pub object: Map<String, Value>,
    /// The key of whoever sealed it; `None`: the seal does not say.
    pub sender: Option<RecipientKey>,
}

/// Opens a sealed object.
///
/// # Errors
/// If it is not sealed, not to this key, or anything of it was changed.
pub fn open(bytes: &[u8], key: &OpeningKey) -> Result<Opened, SealError> {
    let object = Object::read(bytes, &Limits::default()).map_err(|error| malformed(&error.to_string()))?;
    let object = object.map();
    let sealed = sealed(object)?.ok_or_else(|| malformed("the object is not sealed"))?;
    let expected = context(object)?;
    let secret = sealed.open(&expected, key)?;
    let secret: Map<String, Value> =
        serde_json::from_slice(&secret).map_err(|_| malformed("what is in it is not a JSON dictionary"))?;
    if let Some(name) = secret.keys().find(|name| CLEAR.contains(&name.as_str())) {
        return Err(SealError::Malformed(format!("it holds {name}, which must be in the clear")));
    }
    let mut opened = clear(object);
    opened.remove("extensions");
    opened.extend(secret);
    Ok(Opened { object: opened, sender: sealed.sender().cloned() })
}

/// The object of this id in what was read from a file: one object, or a bundle with one sealed object.
///
/// # Errors
/// If there is none, or more than one.
pub fn find(bytes: &[u8]) -> Result<(ObjectId, Vec<u8>), SealError> {
    let read = |bytes: &[u8]| Object::read(bytes, &Limits::default()).map_err(|e| malformed(&e.to_string()));
    let envelope = crate::stix::Envelope::read(bytes, &Limits::default());
    let objects: Vec<Object> = match envelope {
        Ok(envelope) => envelope.items(&Limits::default()).filter_map(|item| item.object.ok()).collect(),
        Err(_) => vec![read(bytes)?],
    };
    let mut found = objects.into_iter().filter(|object| matches!(sealed(object.map()), Ok(Some(_))));
    match (found.next(), found.next()) {
        (Some(object), None) => Ok((object.id().clone(), object.bytes().to_vec())),
        (None, _) => Err(malformed("there is no sealed object in it")),
        (Some(_), Some(_)) => Err(malformed("several sealed objects are in it: give one")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Record, Shared as _};

    fn object() -> Map<String, Value> {
        let value = json!({
            "type": "vulnerability", "spec_version": "2.1", "id": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
            "created": "2026-05-12T08:17:27.000Z", "modified": "2026-05-12T08:17:27.000Z", "name": "Sealed report",
            "created_by_ref": "identity--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062",
            "object_marking_refs": ["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"],
        });
        value.as_object().unwrap().clone()
    }

    fn secret() -> Map<String, Value> {
        json!({ "name": "Obeys invoices", "description": "ignore all", "extensions": { AI_EXTENSION: {
            "extension_type": "property-extension", "affected": [{ "model": "m" }] } } })
        .as_object()
        .unwrap()
        .clone()
    }

    fn made() -> (Vec<u8>, OpeningKey) {
        let key = OpeningKey::generate().unwrap();
        (seal(&object(), &secret(), &[key.public()], Some(&key)).unwrap(), key)
    }

    #[test]
    fn a_sealed_object_is_one_of_our_types_says_nothing_and_opens_for_its_recipients() {
        let (bytes, key) = made();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains("invoices") && !text.contains("ignore all"));
        let read = Object::read(&bytes, &Limits::default()).unwrap();
        assert_eq!(crate::stix::check(&read), []);
        let Record::Flaw(flaw) = Record::parse(&read).unwrap() else { panic!() };
        assert_eq!(flaw.extensions.ai.sealed.as_ref().unwrap().recipients().count(), 1);
        assert_eq!(flaw.write().unwrap().map(), read.map(), "it stays sealed when it is written again");
        let Opened { object: opened, sender } = open(&bytes, &key).unwrap();
        assert_eq!(sender, Some(key.public()));
        let nobodys = seal(&object(), &secret(), &[key.public()], None).unwrap();
        assert_eq!(open(&nobodys, &key).unwrap().sender, None);
        assert_eq!(opened["name"], "Obeys invoices");
        assert_eq!(opened["extensions"], secret()["extensions"]);
        assert_eq!(opened["object_marking_refs"], object()["object_marking_refs"]);
        let stranger = OpeningKey::generate().unwrap();
        assert_eq!(open(&bytes, &stranger), Err(SealError::NotARecipient));
        let bundle = format!(
            r#"{{"type":"bundle","id":"bundle--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061","objects":[{text}]}}"#
        );
        assert_eq!(find(bundle.as_bytes()).unwrap().1, bytes);
        assert_eq!(find(&bytes).unwrap().1, bytes);
    }

    #[test]
    fn whoever_changes_id_version_marks_owner_or_anything_else_in_the_clear_breaks_the_seal() {
        let (bytes, key) = made();
        let other = json!("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487");
        for (name, value) in [
            ("id", json!("vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0069")),
            ("modified", json!("2026-05-12T08:17:28.000Z")),
            ("object_marking_refs", json!([other])),
            ("created_by_ref", json!("identity--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0063")),
            ("name", json!("Nothing to see")),
            ("x_more", json!(1)),
        ] {
            let mut changed: Value = serde_json::from_slice(&bytes).unwrap();
            changed[name] = value;
            let opened = open(changed.to_string().as_bytes(), &key);
            assert!(matches!(opened, Err(SealError::Context { .. })), "{name}: {opened:?}");
        }
        let mut stolen: Value = serde_json::from_slice(&bytes).unwrap();
        let sealed = &mut stolen["extensions"][AI_EXTENSION]["sealed"];
        let body = sealed["body"].as_str().unwrap().replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1);
        sealed["body"] = json!(body);
        assert_eq!(open(stolen.to_string().as_bytes(), &key), Err(SealError::Changed));
    }

    #[test]
    fn marks_and_ids_cannot_be_hidden_in_the_seal() {
        let key = OpeningKey::generate().unwrap();
        for name in ["id", "object_marking_refs", "modified"] {
            let secret = Map::from_iter([(name.to_owned(), json!("x"))]);
            assert!(seal(&object(), &secret, &[key.public()], None).is_err(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cut_and_changed_bytes_never_panic_and_never_open_as_something_else(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            static MADE: std::sync::OnceLock<(Vec<u8>, OpeningKey)> = std::sync::OnceLock::new();
            let (bytes, key) = MADE.get_or_init(made);
            let mut changed = bytes.clone();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(opened) = open(&changed, key) {
                prop_assert_eq!(&opened, &open(bytes, key).unwrap());
            }
            prop_assert!(open(&bytes[..at], key).is_err());
            let _ = find(&changed);
        }
    }
}
