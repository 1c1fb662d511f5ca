//! What is hidden from whom: the rules of docs/design/exchange.md, read off the page and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{CollectionId, ObjectId, OrgId, PersonId, Timestamp};

use super::world::{Version, World};
use crate::service::is_shared;

/// Which version of which object, in which collection.
pub type Place = (CollectionId, ObjectId, Timestamp);

/// How something refers to an object: whose versions count, and, for what many share, which person's.
type Whose<'a> = (&'a ObjectId, OrgId, Option<PersonId>);

/// Versions that are here, each with what was given for it.
#[derive(Default)]
struct Here<'a> {
    versions: BTreeMap<&'a ObjectId, Vec<(&'a Version, Option<Policy>)>>,
}

impl World {
    /// The versions that a reader may not see at this time.
    pub fn hidden(&self, reader: &Reader, now: Timestamp) -> BTreeSet<Place> {
        let here = self.here();
        let mut hidden = BTreeSet::new();
        for (version, given) in here.versions.values().flatten() {
            let writer = reader.organisation == Some(version.owner) && reader.person == version.person;
            // What one refers to is no secret from oneself.
            let policy =
                if writer { self.own(version) } else { self.effective(version, given.as_ref(), &here) };
            if !policy.allows(reader, now) {
                hidden.insert(version.place());
            }
        }
        hidden
    }

    /// What is hidden from somebody who writes, but for what that person or machine wrote.
    pub fn hidden_from_writer(&self, reader: &Reader, now: Timestamp) -> BTreeSet<Place> {
        let mut hidden = self.hidden(reader, now);
        for version in self.versions() {
            if reader.organisation == Some(version.owner) && reader.person == version.person {
                hidden.remove(&version.place());
            }
        }
        hidden
    }

    /// Everything, in the order in which it came.
    fn here(&self) -> Here<'_> {
        let mut batches: BTreeMap<Timestamp, Vec<&Version>> = BTreeMap::new();
        for version in self.versions() {
            batches.entry(version.added).or_default().push(version);
        }
        let mut here = Here::default();
        for batch in batches.into_values() {
            let given: Vec<Option<Policy>> = batch.iter().map(|version| self.given(version, &here)).collect();
            for (version, given) in batch.into_iter().zip(given) {
                here.versions.entry(version.object.id()).or_default().push((version, given));
            }
        }
        here
    }

    /// What held for others' objects that something refers to when it came, as far as its author could see them: the last version in each collection.
    fn given(&self, from: &Version, here: &Here<'_>) -> Option<Policy> {
        let author = self.author(from);
        let mut given: Option<Policy> = None;
        for id in &from.object.facts().references {
            let mut last: BTreeMap<CollectionId, (&Version, Policy)> = BTreeMap::new();
            for (version, known) in here.versions.get(id).into_iter().flatten() {
                if version.owner == from.owner || is_shared(&version.object) {
                    continue;
                }
                let policy = self.effective(version, known.as_ref(), here);
                if author.as_ref().is_some_and(|author| !policy.allows(author, from.added)) {
                    continue;
                }
                if last.get(&version.collection).is_none_or(|(best, _)| version.version() > best.version()) {
                    last.insert(version.collection, (version, policy));
                }
            }
            for (_, policy) in last.into_values() {
                given = Some(given.map_or_else(|| policy.clone(), |given| given.and(&policy)));
            }
        }
        given
    }

    /// A version's own policy, its collection's, what is given, and those of what it refers to of its own organisation.
    fn effective(&self, version: &Version, given: Option<&Policy>, here: &Here<'_>) -> Policy {
        let refers = |version: &'_ Version| (version.owner, version.person);
        let mut policy = self.own(version);
        if let Some(given) = given {
            policy = policy.and(given);
        }
        let mut known: BTreeSet<Whose<'_>> = BTreeSet::new();
        let mut waiting: Vec<(&ObjectId, (OrgId, Option<PersonId>))> = Vec::new();
        waiting.extend(version.object.facts().references.iter().map(|id| (id, refers(version))));
        while let Some((id, (owner, person))) = waiting.pop() {
            if !known.insert((id, owner, person)) {
                continue;
            }
            let mut last: BTreeMap<CollectionId, &(&Version, Option<Policy>)> = BTreeMap::new();
            for found in here.versions.get(id).into_iter().flatten() {
                let counts =
                    found.0.owner == owner && (!is_shared(&found.0.object) || found.0.person == person);
                if counts {
                    let best = last.entry(found.0.collection).or_insert(found);
                    if found.0.version() > best.0.version() {
                        *best = found;
                    }
                }
            }
            for (referred, given) in last.into_values() {
                policy = policy.and(&self.own(referred));
                if let Some(given) = given {
                    policy = policy.and(given);
                }
                waiting.extend(referred.object.facts().references.iter().map(|id| (id, refers(referred))));
            }
        }
        policy
    }

    fn own(&self, version: &Version) -> Policy {
        let collection = self.collections.iter().find(|collection| collection.id == version.collection);
        match collection.and_then(|collection| collection.may_read.as_ref()) {
            Some(may_read) => version.own.and(may_read),
            None => version.own.clone(),
        }
    }
}
