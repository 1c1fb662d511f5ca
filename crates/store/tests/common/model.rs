//! What a store should say, computed the slow and plain way: no index, no shortcut, no policy kept from before.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Handling, Policy, Reader};
use ostrom_core::{CollectionId, ObjectId, OrgId, Timestamp, Uuid};
use ostrom_store::{Key, NewObject};

/// One version that was taken.
#[derive(Debug, Clone)]
pub struct Instance {
    pub object: NewObject,
    pub key: Key,
    /// What held for others' objects that it refers to when it was written, as far as its writer could see them.
    pub given: Option<Held>,
    /// Once it is removed.
    pub removed: Option<Removed>,
}

/// A policy, and the instances that it comes from.
#[derive(Debug, Clone)]
pub struct Held {
    pub policy: Policy,
    pub from: BTreeSet<usize>,
}

impl Held {
    fn and(self, other: &Self) -> Self {
        Self { policy: self.policy.and(&other.policy), from: &self.from | &other.from }
    }
}

/// What held for a version when it was removed.
#[derive(Debug, Clone)]
pub struct Removed {
    pub when: Timestamp,
    /// For all.
    pub effective: Held,
    /// For whoever wrote it.
    pub alone: Policy,
}

impl Instance {
    fn counts_for(&self, from: &NewObject) -> bool {
        self.object.owner == from.owner && (!self.object.shared || self.object.person == from.person)
    }

    pub fn is_by(&self, reader: &Reader) -> bool {
        reader.organisation == Some(self.object.owner) && reader.person == self.object.person
    }
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    /// In the order in which they came.
    pub instances: Vec<Instance>,
    pub may_read: BTreeMap<CollectionId, Policy>,
    /// How many were removed so far.
    order: BTreeMap<usize, usize>,
}

fn strict(policy: &Policy) -> Policy {
    if policy.handlings().next().is_none() {
        Policy::new([Handling::unreadable(OrgId::new(Uuid::nil()), "no mark")])
    } else {
        policy.clone()
    }
}

impl Model {
    /// Its own marks and its collection's.
    fn alone(&self, instance: &Instance) -> Policy {
        let own = strict(&instance.object.own);
        match self.may_read.get(&instance.key.collection) {
            Some(policy) => own.and(&strict(policy)),
            None => own,
        }
    }

    fn of<'a>(&'a self, id: &'a ObjectId) -> impl Iterator<Item = (usize, &'a Instance)> {
        self.instances.iter().enumerate().filter(move |(_, known)| known.key.id == *id)
    }

    /// The last of these in each collection; if all that were there are gone, the last of those.
    fn last<'a>(&self, all: impl Iterator<Item = (usize, &'a Instance)>) -> Vec<(usize, &'a Instance)> {
        let mut last = BTreeMap::<CollectionId, (usize, &Instance)>::new();
        let rank = |at: usize, known: &Instance| {
            (known.removed.is_none(), known.key.version, self.order.get(&at).copied(), at)
        };
        for (at, known) in all {
            let best = last.entry(known.key.collection).or_insert((at, known));
            if rank(at, known) > rank(best.0, best.1) {
                *best = (at, known);
            }
        }
        last.into_values().collect()
    }

    /// What holds for it for all but whoever wrote it, by the definition, and where that comes from beside itself.
    pub fn effective(&self, instance: &Instance) -> Held {
        let mut held = Held { policy: self.alone(instance), from: BTreeSet::new() };
        let mut seen = BTreeSet::new();
        let mut stack = vec![instance];
        while let Some(from) = stack.pop() {
            if let Some(given) = &from.given {
                held = held.and(given);
            }
            for id in &from.object.references {
                if !seen.insert((id, from.object.person)) {
                    continue;
                }
                for (at, known) in self.last(self.of(id).filter(|(_, known)| known.counts_for(&from.object)))
                {
                    held.from.insert(at);
                    match &known.removed {
                        Some(removed) => held = held.and(&removed.effective),
                        None => {
                            held.policy = held.policy.and(&self.alone(known));
                            stack.push(known);
                        }
                    }
                }
            }
        }
        held
    }

    /// Whether what holds for all of these comes from nothing but these.
    pub fn is_closed(&self, these: &BTreeSet<usize>) -> bool {
        these.iter().map(|at| &self.instances[*at]).all(|known| match &known.removed {
            Some(removed) => removed.effective.from.is_subset(these),
            None => self.effective(known).from.is_subset(these),
        })
    }

    /// Whether anything of others is, or could be, part of what holds for an object.
    pub fn is_given(&self, id: &ObjectId) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            for (_, known) in self.of(id) {
                if known.given.is_some() {
                    return true;
                }
                stack.extend(&known.object.references);
            }
        }
        false
    }

    fn allows(&self, instance: &Instance, reader: &Reader, now: Timestamp) -> bool {
        match &instance.removed {
            Some(removed) if instance.is_by(reader) => removed.alone.allows(reader, now),
            Some(removed) => removed.effective.policy.allows(reader, now),
            None if instance.is_by(reader) => self.alone(instance).allows(reader, now),
            None => self.effective(instance).policy.allows(reader, now),
        }
    }

    /// What is given for something that a writer writes now, together with the rest of a batch.
    fn given(
        &self,
        object: &NewObject,
        batch: &[NewObject],
        writer: Option<(&Reader, Timestamp)>,
    ) -> Option<Held> {
        let sees = |known: &Instance| {
            writer.is_none_or(|(reader, now)| {
                (known.removed.is_none() && known.is_by(reader)) || self.allows(known, reader, now)
            })
        };
        let mut given: Option<Held> = None;
        for id in &object.references {
            let all = || self.of(id).filter(|(_, known)| !known.object.shared && sees(known));
            let shown = all().find(|(_, known)| known.removed.is_none()).map(|(_, known)| known.object.owner);
            // Who refers to what comes with it means that, and not what others once had under the same id.
            let coming = || batch.iter().find(|new| new.id == *id && !new.shared).map(|new| new.owner);
            let owners: BTreeSet<OrgId> = match shown.or_else(coming) {
                Some(owner) => [owner].into(),
                None => all().map(|(_, known)| known.object.owner).collect(),
            };
            for owner in owners.into_iter().filter(|owner| *owner != object.owner) {
                for (at, known) in self.last(all().filter(|(_, known)| known.object.owner == owner)) {
                    let mut held = match &known.removed {
                        Some(removed) => removed.effective.clone(),
                        None => self.effective(known),
                    };
                    held.from.insert(at);
                    given = Some(given.map_or_else(|| held.clone(), |given| given.and(&held)));
                }
            }
        }
        given
    }

    /// Takes what came in one batch.
    pub fn put(
        &mut self,
        batch: Vec<(NewObject, Timestamp, Timestamp)>,
        writer: Option<(&Reader, Timestamp)>,
    ) {
        let objects: Vec<NewObject> = batch.iter().map(|(object, ..)| object.clone()).collect();
        let new: Vec<Instance> = batch
            .into_iter()
            .map(|(object, added, version)| {
                let key = Key { added, id: object.id.clone(), version, collection: object.collection };
                let given = self.given(&object, &objects, writer);
                Instance { object, key, given, removed: None }
            })
            .collect();
        self.instances.extend(new);
    }

    pub fn remove(
        &mut self,
        collection: CollectionId,
        id: &ObjectId,
        version: Option<Timestamp>,
        when: Timestamp,
    ) -> u64 {
        let doomed: Vec<usize> = (0..self.instances.len())
            .filter(|at| {
                let known = &self.instances[*at];
                known.removed.is_none()
                    && known.key.collection == collection
                    && known.key.id == *id
                    && version.is_none_or(|version| known.key.version == version)
            })
            .collect();
        let held = |at: &usize| {
            let known = &self.instances[*at];
            Removed { when, effective: self.effective(known), alone: self.alone(known) }
        };
        let held: Vec<Removed> = doomed.iter().map(held).collect();
        for (at, removed) in doomed.iter().zip(held) {
            self.instances[*at].removed = Some(removed);
            let next = self.order.len();
            self.order.insert(*at, next);
        }
        doomed.len() as u64
    }

    /// Adds once more what others may read since a time that has passed.
    pub fn release(&mut self, now: Timestamp) -> usize {
        let is_released = |known: &&mut Instance, policy: &Policy| {
            let mut times = policy.handlings().flat_map(|handling| {
                let start = handling.iep.as_ref().and_then(|iep| iep.start);
                [handling.embargo.as_ref().map(|embargo| embargo.until), start]
            });
            known.removed.is_none()
                && times.any(|time| time.is_some_and(|time| known.key.added < time && time <= now))
        };
        let policies: Vec<Policy> = self.instances.iter().map(|known| self.effective(known).policy).collect();
        let all = self.instances.iter_mut().zip(policies);
        let released = all.filter(|(known, policy)| is_released(known, policy));
        released.map(|(known, _)| known.key.added = now).count()
    }

    /// Which instances this reader may see at this time: those that are here, and those that are gone.
    pub fn seen(&self, reader: &Reader, now: Timestamp) -> BTreeSet<usize> {
        (0..self.instances.len()).filter(|at| self.allows(&self.instances[*at], reader, now)).collect()
    }

    /// The ones that are here and are shown to this reader, in the order of pages.
    pub fn visible(&self, reader: &Reader, now: Timestamp) -> Vec<&Instance> {
        let seen = self.seen(reader, now);
        let mut all: Vec<&Instance> =
            seen.into_iter().map(|at| &self.instances[at]).filter(|known| known.removed.is_none()).collect();
        // Of what is not shared by many, the organisation whose first visible version came first.
        let mut lines = BTreeMap::<ObjectId, OrgId>::new();
        for known in all.iter().filter(|known| !known.object.shared) {
            lines.entry(known.key.id.clone()).or_insert(known.object.owner);
        }
        all.retain(|known| known.object.shared || lines.get(&known.key.id) == Some(&known.object.owner));
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }
}
