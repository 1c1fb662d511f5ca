//! Marks: what they say about who may read, and how to say it.
//!
//! | in STIX | meaning |
//! |---|---|
//! | TLP 2.0 and 1.0, by their fixed ids | that mark |
//! | Ostrom's extension `ostrom-handling` | mark, recipients, embargo, owner, exchange policy |
//! | IEP 2.0 (OASIS's extension, or `definition_type: iep`) and 1.0 where it can be kept | exchange policy and its mark |
//! | a statement | nothing |
//! | anything else, or a definition that is not here | nobody may read |
//!
//! A definition with Ostrom's extension has the id that follows from its content ([`super::derived_id`]), so that nobody can put another
//! in its place; one that has another id is not understood. Where an object has such a mark, a mark of TLP or IEP beside it that is
//! no stricter does not count against its recipients: it says how strict, and Ostrom's says for whom.

mod fixed;
mod iep;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ostrom_core::ObjectId;

pub use fixed::{definition as tlp_definition, id as tlp_id, of as fixed_tlp};
pub use read::{Definition, Marker, definition, policy, proven, stated};
pub use write::{MarkError, Marks, marks};

/// The extension of marking definitions that says what TLP cannot: `ostrom-handling`.
pub const HANDLING_EXTENSION: &str = "extension-definition--ee01be7e-2f97-47af-a60a-c5db6342eae0";
/// The OASIS committee's extension for IEP 2.0.
pub const IEP_EXTENSION: &str = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a";

/// Knows marking definitions that are not fixed.
pub trait Resolve {
    /// What the definition with this id says. `None` if it is not here.
    fn definition(&self, id: &ObjectId) -> Option<&Definition>;
}

impl Resolve for BTreeMap<ObjectId, Definition> {
    fn definition(&self, id: &ObjectId) -> Option<&Definition> {
        self.get(id)
    }
}
