//! What is known of a server's answer besides what it says: the label that the server claims for it, the stored object that it shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;
use serde_json::{Map, Value};

use crate::flow::{MemoryAccess, Outcome, Reveal, ToolFacts};
use crate::label::{Integrity, Label, Names, Readers, USER};

/// What an error of a plan's step carries besides the label of the result: it may be made of any field.
pub(crate) fn of_error(facts: &ToolFacts, (server, tool): (&str, &str)) -> Label {
    if facts.result.fields.is_empty() { Label::constant() } else { facts.result.strictest(server, tool) }
}

/// Whether a tool reads stored objects.
pub(super) fn reads(facts: &ToolFacts) -> bool {
    facts.memory.as_ref().is_some_and(|memory| memory.access == MemoryAccess::Read)
}

/// Whether all of what comes back is shown as it is.
pub(crate) fn by_value(facts: &ToolFacts) -> bool {
    facts.result.reveal == Reveal::Value && facts.result.fields.is_empty()
}

/// The object that a call touched, and its content, for rule 7.
pub(crate) fn touched(
    outcome: &mut Outcome,
    facts: &ToolFacts,
    values: &BTreeMap<String, Value>,
    result: Option<&Map<String, Value>>,
) {
    let Some(memory) = &facts.memory else { return };
    let text = |value: &Value| value.as_str().map(|text| Digest::of(text.as_bytes()));
    outcome.object = memory
        .object
        .as_ref()
        .and_then(|name| values.get(name))
        .map(|value| value.as_str().map_or_else(|| value.to_string().into(), Arc::from))
        .map(
            |name: Arc<str>| {
                if name.len() > MAX_OBJECT { Digest::of(name.as_bytes()).to_string().into() } else { name }
            },
        );
    outcome.content = match memory.access {
        MemoryAccess::Write => memory.content.as_ref().and_then(|name| values.get(name)).and_then(text),
        MemoryAccess::Read => {
            result.and_then(super::present::only_text).map(|text| Digest::of(text.as_bytes()))
        }
    };
}

/// A stored object with a longer name is called by its digest: names are in records, labels and explanations.
const MAX_OBJECT: usize = 256;
/// How many names each part of a claim may have.
const MAX_CLAIMED: usize = 64;

/// The label that a server claims for its result (rule 8). Only names that the policy has for the tool, or the server's own, are in it: names
/// are told to agents, and are no place for a server's words. It can only restrict, so what else is claimed becomes more than that.
pub fn claim(result: &Map<String, Value>, facts: &ToolFacts, server: &str) -> Option<Label> {
    let claimed = result.get("_meta")?.get(super::LABEL)?;
    let nobody = || Label {
        integrity: Integrity::Anyone,
        readers: Readers::Only(Names::default()),
        provenance: Names::default(),
    };
    let Ok(label) = serde_json::from_value::<Label>(claimed.clone()) else { return Some(nobody()) };
    let own = format!("server:{server}");
    let fields = || facts.result.fields.values();
    let integrity = match label.integrity {
        Integrity::Of(names) if names.len() <= MAX_CLAIMED => {
            let of_fields = fields().map(|field| &field.influencers);
            let sets = [&facts.influencers, &facts.result.influencers].into_iter().chain(of_fields);
            let sets: Vec<&Integrity> = sets.collect();
            let has =
                |set: &&Integrity, name: &str| matches!(set, Integrity::Of(names) if names.contains(name));
            let known = |name: &str| name == USER || name == own || sets.iter().any(|set| has(set, name));
            if names.iter().all(|name| known(name)) { Integrity::Of(names) } else { Integrity::Anyone }
        }
        _ => Integrity::Anyone,
    };
    let readers = match label.readers {
        Readers::Everyone => Readers::Everyone,
        Readers::Only(names) => {
            let of_fields = fields().filter_map(|field| field.readers.as_ref());
            let sets: Vec<&Readers> =
                [&facts.audience, &facts.result.readers].into_iter().chain(of_fields).collect();
            let has =
                |set: &&Readers, name: &str| matches!(set, Readers::Only(names) if names.contains(name));
            let known = |name: &str| name == USER || name == own || sets.iter().any(|set| has(set, name));
            Readers::Only(names.iter().filter(|name| known(name)).take(MAX_CLAIMED).cloned().collect())
        }
    };
    Some(Label { integrity, readers, provenance: Names::default() })
}
