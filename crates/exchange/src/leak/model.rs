//! What is hidden from whom: the rules of docs/design/exchange.md, read off the page and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{CollectionId, ObjectId, Timestamp};

use super::world::{Version, World};

/// Which version of which object, in which collection.
pub type Place = (CollectionId, ObjectId, Timestamp);

impl World {
    /// The versions that a reader may not see at this time.
    pub fn hidden(&self, reader: &Reader, now: Timestamp) -> BTreeSet<Place> {
        let latest = self.latest();
        let mut hidden = BTreeSet::new();
        for version in self.versions() {
            if !self.effective(version, &latest).allows(reader, now) {
                hidden.insert(version.place());
            }
        }
        hidden
    }

    /// The last version of each object in each collection.
    fn latest(&self) -> BTreeMap<&ObjectId, Vec<&Version>> {
        let mut found: BTreeMap<(&ObjectId, CollectionId), &Version> = BTreeMap::new();
        for version in self.versions() {
            let last = found.entry((version.object.id(), version.collection)).or_insert(version);
            if version.version() > last.version() {
                *last = version;
            }
        }
        let mut latest: BTreeMap<&ObjectId, Vec<&Version>> = BTreeMap::new();
        for ((id, _), version) in found {
            latest.entry(id).or_default().push(version);
        }
        latest
    }

    /// A version's own policy, its collection's, and those of everything that it refers to.
    fn effective(&self, version: &Version, latest: &BTreeMap<&ObjectId, Vec<&Version>>) -> Policy {
        let mut policy = self.own(version);
        let mut known: BTreeSet<&ObjectId> = BTreeSet::new();
        let mut waiting: Vec<&ObjectId> = version.object.facts().references.iter().collect();
        while let Some(id) = waiting.pop() {
            if !known.insert(id) {
                continue;
            }
            for referred in latest.get(id).into_iter().flatten() {
                policy = policy.and(&self.own(referred));
                waiting.extend(&referred.object.facts().references);
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
