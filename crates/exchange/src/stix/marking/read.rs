//! From marks to handlings.

use std::collections::BTreeSet;

use ostrom_core::handling::{Embargo, Handling, Iep, Party, Policy, Tlp};
use ostrom_core::{ObjectId, OrgId, PersonId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{HANDLING_EXTENSION, IEP_EXTENSION, Resolve, fixed, iep};
use crate::stix::{Object, derived_id};

/// What a marking definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// A mark of the Traffic Light Protocol.
    Tlp(Tlp),
    /// Ostrom's extension: everything.
    Handling(Box<Handling>),
    /// An exchange policy with its mark.
    Iep(Tlp, Box<Iep>),
    /// A statement for people.
    Statement,
    /// Something else: why it is not understood.
    Unknown(String),
}

/// Who marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The organisation that puts the object here.
    pub owner: OrgId,
    /// The person.
    pub author: Option<PersonId>,
}

/// What is in Ostrom's extension.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extension {
    #[serde(rename = "extension_type")]
    _extension_type: Property,
    owner: OrgId,
    tlp: Tlp,
    #[serde(default)]
    audience: BTreeSet<Party>,
    embargo: Option<Embargo>,
    iep: Option<Iep>,
}

#[derive(Deserialize)]
enum Property {
    #[serde(rename = "property-extension")]
    Property,
}

/// What `object`, which must be a marking definition, says.
pub fn definition(object: &Object) -> Definition {
    if let Some(tlp) = fixed::of(object.id()) {
        return Definition::Tlp(tlp);
    }
    let definition = read(object).unwrap_or_else(Definition::Unknown);
    // Ids that are derived (version 5) belong to what they are derived from: nobody can put something more open under the id
    // that another's mark is going to have.
    let is_own = match &definition {
        Definition::Handling(_) => true,
        Definition::Iep(tlp, iep) => super::write::iep_id(*tlp, Some(iep)).as_ref() == Some(object.id()),
        // An import's licence: it opens and closes nothing, and its id is its own text's.
        Definition::Statement => statement_id(object).as_ref() == Some(object.id()),
        _ => false,
    };
    if object.id().uuid().get_version_num() == 5 && !is_own {
        return Definition::Unknown("a mark whose id follows from another's content".to_owned());
    }
    definition
}

/// The id that follows from a statement's text ([`derived_id`]).
fn statement_id(object: &Object) -> Option<ObjectId> {
    let text = object.get("definition")?.get("statement")?.as_str()?;
    derived_id("marking-definition", "statement", text).ok()
}

fn read(object: &Object) -> Result<Definition, String> {
    if object.kind() != "marking-definition" {
        return Err("not a marking definition".to_owned());
    }
    let extensions = object.get("extensions").map(|value| value.as_object().ok_or("malformed extensions"));
    let extensions = extensions.transpose()?;
    let kind = object.text("definition_type");
    match (extensions.filter(|map| !map.is_empty()), kind) {
        (Some(map), None) => extension(object, map),
        (None, Some(kind)) => {
            let content = object.get("definition").and_then(Value::as_object).ok_or("no definition")?;
            match kind {
                "statement" => Ok(Definition::Statement),
                "iep" if content.contains_key("policy_id") || content.contains_key("policy_name") => {
                    iep::version_1(content).map(|(tlp, iep)| Definition::Iep(tlp, Box::new(iep)))
                }
                "iep" => {
                    let name = object.text("name");
                    iep::version_2(content, name).map(|(tlp, iep)| Definition::Iep(tlp, Box::new(iep)))
                }
                "tlp" => Err("a mark of TLP with another id than the specification's".to_owned()),
                other => Err(format!("a mark of type {:?}", other.chars().take(40).collect::<String>())),
            }
        }
        (Some(_), Some(_)) => Err("a mark with both a definition and an extension".to_owned()),
        (None, None) => Err("a mark without a definition".to_owned()),
    }
}

fn extension(object: &Object, map: &Map<String, Value>) -> Result<Definition, String> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) if key == HANDLING_EXTENSION => {
            let extension = Extension::deserialize(value).map_err(|error| {
                let error: String = error.to_string().chars().take(120).collect();
                format!("a mark of ostrom-handling that cannot be read: {error}")
            })?;
            let handling = Handling {
                owner: extension.owner,
                author: None,
                tlp: extension.tlp,
                audience: extension.audience,
                embargo: extension.embargo,
                iep: extension.iep,
                refused: None,
            };
            if super::write::handling_id(&handling).as_ref() != Some(object.id()) {
                return Err("a mark of ostrom-handling whose id does not follow from its content".to_owned());
            }
            Ok(Definition::Handling(Box::new(handling)))
        }
        (Some((key, Value::Object(inner))), None) if key == IEP_EXTENSION => {
            let name = object.text("name");
            iep::version_2(inner, name).map(|(tlp, iep)| Definition::Iep(tlp, Box::new(iep)))
        }
        _ => Err("a mark with an extension that is not known".to_owned()),
    }
}

/// The policy of an object's own marks. Those for parts count for the whole.
///
/// `default` is what the collection says of objects without marks; its owner and author do not count. A marking definition that
/// has no marks itself is as secret as what it marks.
pub fn policy(object: &Object, marker: Marker, default: &Handling, known: &impl Resolve) -> Policy {
    let Marker { owner, author } = marker;
    match stated(object, marker, known) {
        Ok(Some(policy)) => policy,
        Ok(None) => Policy::new([Handling { owner, author, ..default.clone() }]),
        Err(why) => Policy::new([Handling::unreadable(owner, why)]),
    }
}

/// The policy of an object's own marks, as [`policy`], or `None` if none of them says anything.
///
/// # Errors
/// Why a mark is not understood: nobody may read the object.
pub fn stated(object: &Object, marker: Marker, known: &impl Resolve) -> Result<Option<Policy>, String> {
    let facts = object.facts();
    if facts.marks_malformed {
        return Err("something that is not a mark stands in its place".to_owned());
    }
    let mut found: Vec<Definition> = Vec::new();
    for id in &facts.marks {
        match fixed::of(id).map(Definition::Tlp).or_else(|| known.definition(id).cloned()) {
            Some(Definition::Unknown(why)) => return Err(why),
            Some(definition) => found.push(definition),
            None => return Err(format!("{id} is not here")),
        }
    }
    if facts.marks.is_empty() && object.kind() == "marking-definition" {
        match definition(object) {
            Definition::Unknown(why) => return Err(why),
            // The fixed ones are no secret.
            Definition::Tlp(_) => found.push(Definition::Tlp(Tlp::Clear)),
            other => found.push(other),
        }
    }
    Ok(combine(&found, marker))
}

/// The marking definitions whose ids follow from this handling, so that it proves what they say.
pub fn proven(handling: &Handling) -> Vec<(ObjectId, Definition)> {
    let mut found = Vec::new();
    if handling.refused.is_some() {
        return found;
    }
    if let Some(id) = super::write::handling_id(handling) {
        found.push((id, Definition::Handling(Box::new(Handling { author: None, ..handling.clone() }))));
    }
    if let (Some(iep), Some(id)) = (&handling.iep, super::write::iep_id(handling.tlp, handling.iep.as_ref()))
    {
        found.push((id, Definition::Iep(handling.tlp, Box::new(iep.clone()))));
    }
    found
}

/// All marks together. `None` if none of them says anything.
fn combine(found: &[Definition], marker: Marker) -> Option<Policy> {
    let Marker { owner, author } = marker;
    let own: Vec<Handling> = found
        .iter()
        .filter_map(|definition| match definition {
            Definition::Handling(handling) => {
                // Somebody who uses a mark that another organisation made does not write in its name.
                let author = author.filter(|_| handling.owner == owner);
                Some(Handling { author, ..(**handling).clone() })
            }
            _ => None,
        })
        .collect();
    let mut all: Vec<Handling> = own.clone();
    for definition in found {
        let (tlp, iep) = match definition {
            Definition::Tlp(tlp) => (*tlp, None),
            Definition::Iep(tlp, iep) => (*tlp, Some((**iep).clone())),
            Definition::Handling(_) | Definition::Statement | Definition::Unknown(_) => continue,
        };
        let is_said =
            || found.iter().any(|other| matches!(other, Definition::Iep(level, _) if *level >= tlp));
        match (own.iter().find(|handling| handling.tlp >= tlp), iep) {
            (Some(_), None) => {}
            (None, None) if is_said() => {}
            (Some(handling), iep @ Some(_)) => all.push(Handling { iep, ..handling.clone() }),
            (None, iep) => all.push(Handling { author, iep, ..Handling::new(owner, tlp) }),
        }
    }
    (!all.is_empty()).then(|| Policy::new(all))
}

impl Resolve for Vec<(ObjectId, Definition)> {
    fn definition(&self, id: &ObjectId) -> Option<&Definition> {
        self.iter().find(|(known, _)| known == id).map(|(_, definition)| definition)
    }
}
