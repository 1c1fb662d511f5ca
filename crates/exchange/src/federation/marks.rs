//! What the marks in a peer's object say, and in whose name a peer may speak.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Handling, Policy};
use ostrom_core::{ObjectId, OrgId, Uuid};
use ostrom_store::Custody;

use super::{SharedObject, Skipped};
use crate::service::is_no_wider;
use crate::stix::marking::{self, Definition, Marker};
use crate::stix::{Limits, Object};

/// The name space of organisations that a peer named and that it does not speak for.
const FOREIGN: Uuid = Uuid::from_u128(0x8d0b_4c43_5f0e_4c1d_9a35_0f0b_a6f9_9d11);

/// In whose name something is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker<'a> {
    /// The node that says so: where the object comes from.
    pub(super) node: &'a str,
    /// The member of this node that this node is, if it has signed what it says.
    pub(super) organisation: Option<OrgId>,
    /// The members of this node.
    pub(super) members: &'a BTreeSet<OrgId>,
}

impl Speaker<'_> {
    /// The organisation that is meant. A member of this node is meant only by a node that is this member: ids of organisations are
    /// each node's own, and what another says of a member's is not the member's word.
    pub(super) fn organisation(&self, named: OrgId) -> OrgId {
        if !self.members.contains(&named) || self.organisation == Some(named) {
            return named;
        }
        let name = format!("{}\n{named}", self.node);
        OrgId::new(Uuid::new_v5(&FOREIGN, name.as_bytes()))
    }

    /// The same, for all who are said to decide on marks. An author is a person of that node, and nobody here. This only takes readers away.
    pub(super) fn policy(&self, said: &Policy) -> Policy {
        let meant = |handling: &Handling| Handling {
            owner: self.organisation(handling.owner),
            author: None,
            ..handling.clone()
        };
        Policy::new(said.handlings().map(meant))
    }
}

/// Marking definitions by their ids.
#[derive(Debug, Default)]
pub(super) struct Definitions(BTreeMap<ObjectId, Definition>);

impl Definitions {
    /// Those that the objects of a page are marked with: as they are here, else as the page has them.
    pub(super) async fn read(
        custody: &Custody,
        bodies: &[Vec<u8>],
        limits: &Limits,
    ) -> Result<Self, ostrom_store::Error> {
        let objects: Vec<Object> = bodies.iter().filter_map(|body| Object::read(body, limits).ok()).collect();
        let wanted: BTreeSet<&ObjectId> = objects
            .iter()
            .flat_map(|object| &object.facts().marks)
            .filter(|id| marking::fixed_tlp(id).is_none())
            .collect();
        let mut known = BTreeMap::new();
        for id in wanted {
            let here = custody.first_body(id).await?.and_then(|body| Object::read(&body, limits).ok());
            let sent = || objects.iter().find(|object| object.id() == id).cloned();
            if let Some(object) = here.or_else(sent) {
                known.insert(id.clone(), marking::definition(&object));
            }
        }
        Ok(Self(known))
    }

    /// Those that what a peer says of an object proves by itself: their ids follow from their content.
    fn with(&self, shared: &SharedObject) -> BTreeMap<ObjectId, Definition> {
        let mut known = self.0.clone();
        let origin = shared.origin.iter().flat_map(|origin| origin.own.handlings());
        for handling in shared.own.handlings().chain(origin) {
            for (id, definition) in marking::proven(handling) {
                known.insert(id, definition);
            }
        }
        known
    }

    /// What is said of an object, and at least what its own marks say.
    pub(super) fn narrow(
        &self,
        object: &Object,
        shared: &SharedObject,
        owner: OrgId,
        said: Policy,
    ) -> Result<Policy, Skipped> {
        let stated = marking::stated(object, Marker { owner, author: None }, &self.with(shared));
        Ok(match stated.map_err(|_| Skipped::Marks)? {
            Some(stated) if !is_no_wider(&said, &stated) => said.and(&stated),
            _ => said,
        })
    }
}
