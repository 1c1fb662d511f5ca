//! Names and definitions for ids. A user's suite may have ids of its own: these stand for themselves.

use std::collections::BTreeMap;

use ostrom_core::Id;

use crate::library::Library;

/// What cases are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Mechanism,
    Channel,
    Family,
    Intent,
    Transform,
}

/// Names and definitions of the built-in library.
pub struct Names(Library);

impl Names {
    pub fn builtin() -> Self {
        // Without the library the report shows ids, which is what it does for unknown ones anyway.
        Self(Library::builtin().unwrap_or_default())
    }

    /// Name and definition; the id itself if the library does not know it.
    pub fn get(&self, axis: Axis, id: &str) -> (String, Option<String>) {
        let library = &self.0;
        let known = match axis {
            Axis::Mechanism => {
                find(&library.mechanisms, id).map(|it| (it.name.clone(), it.definition.clone()))
            }
            Axis::Channel => find(&library.channels, id).map(|it| (it.name.clone(), it.definition.clone())),
            Axis::Intent => find(&library.intents, id).map(|it| (it.name.clone(), it.definition.clone())),
            Axis::Family => family(id).map(|(name, definition)| (name.to_owned(), definition.to_owned())),
            Axis::Transform => return self.transforms(id),
        };
        known.map_or_else(|| (id.to_owned(), None), |(name, definition)| (name, Some(definition)))
    }

    /// The name of a technique.
    pub fn technique(&self, id: &Id) -> String {
        self.0.techniques.get(id).map_or_else(|| id.to_string(), |technique| technique.name.clone())
    }

    fn transforms(&self, chain: &str) -> (String, Option<String>) {
        if chain == "none" {
            return ("None".to_owned(), Some("The injected text is written as it is.".to_owned()));
        }
        let entries = || chain.split('+').map(|id| (id, find(&self.0.transforms, id)));
        let names: Vec<&str> = entries().map(|(id, entry)| entry.map_or(id, |entry| &entry.name)).collect();
        let definitions: Vec<&str> =
            entries().filter_map(|(_, entry)| Some(entry?.definition.as_str())).collect();
        (names.join(", then "), (!definitions.is_empty()).then(|| definitions.join(" ")))
    }
}

fn find<'a, T>(map: &'a BTreeMap<Id, T>, id: &str) -> Option<&'a T> {
    map.get(&id.parse().ok()?)
}

fn family(id: &str) -> Option<(&'static str, &'static str)> {
    match id {
        "context" => Some((
            "Indirect: in a document",
            "The user is honest. A document that the model is asked to work on carries the attacker's order.",
        )),
        "chat" => Some((
            "Direct: by the user",
            "The user is the attacker and tries to make the assistant break its operator's rules.",
        )),
        _ => None,
    }
}
