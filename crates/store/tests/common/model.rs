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
    /// What held for it when it was removed, and when that was.
    pub removed: Option<(Policy, Timestamp)>,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
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
    fn alone(&self, instance: &Instance) -> Policy {
        let own = strict(&instance.object.own);
        match self.may_read.get(&instance.key.collection) {
            Some(policy) => own.and(&strict(policy)),
            None => own,
        }
    }

    fn collections(&self, id: &ObjectId) -> BTreeSet<CollectionId> {
        self.instances.iter().filter(|known| known.key.id == *id).map(|known| known.key.collection).collect()
    }

    /// What holds for it, by the definition.
    pub fn effective(&self, instance: &Instance) -> Policy {
        let mut policy = self.alone(instance);
        let mut seen = BTreeSet::new();
        let mut stack = instance.object.references.clone();
        while let Some(id) = stack.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            for collection in self.collections(&id) {
                let here = || {
                    let all = self.instances.iter().enumerate();
                    all.filter(|(_, known)| known.key.id == id && known.key.collection == collection)
                };
                let alive = here().filter(|(_, known)| known.removed.is_none());
                if let Some((_, newest)) = alive.max_by_key(|(_, known)| known.key.version) {
                    policy = policy.and(&self.alone(newest));
                    stack.extend(newest.object.references.iter().cloned());
                } else if let Some((_, gone)) =
                    here().max_by_key(|(at, known)| (known.key.version, self.order.get(at)))
                {
                    policy = policy.and(&gone.removed.as_ref().unwrap().0);
                }
            }
        }
        policy
    }

    pub fn put(&mut self, object: NewObject, added: Timestamp, version: Timestamp) {
        let key = Key { added, id: object.id.clone(), version, collection: object.collection };
        self.instances.push(Instance { object, key, removed: None });
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
        let policies: Vec<Policy> = doomed.iter().map(|at| self.effective(&self.instances[*at])).collect();
        for (at, policy) in doomed.iter().zip(policies) {
            self.instances[*at].removed = Some((policy, when));
            let next = self.order.len();
            self.order.insert(*at, next);
        }
        doomed.len() as u64
    }

    /// Which instances this reader sees at this time: those that are here, and those that are gone.
    pub fn seen(&self, reader: &Reader, now: Timestamp) -> BTreeSet<usize> {
        let sees = |at: &usize| {
            let instance = &self.instances[*at];
            match &instance.removed {
                Some((policy, _)) => policy.allows(reader, now),
                None => self.effective(instance).allows(reader, now),
            }
        };
        (0..self.instances.len()).filter(sees).collect()
    }

    /// The visible ones that are here, in the order of pages.
    pub fn visible(&self, reader: &Reader, now: Timestamp) -> Vec<&Instance> {
        let seen = self.seen(reader, now);
        let mut all: Vec<&Instance> =
            seen.into_iter().map(|at| &self.instances[at]).filter(|known| known.removed.is_none()).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }
}
