//! What Ostrom itself shares: flaws, techniques, incidents, mitigations, lessons, advisories, sightings and evaluations, and what ties
//! them together, as STIX 2.1 objects.
//!
//! | here | in STIX 2.1 |
//! |---|---|
//! | [`Flaw`] | vulnerability |
//! | [`Technique`] | attack-pattern |
//! | [`Incident`] | incident, with OASIS's incident core extension |
//! | [`Mitigation`] | course-of-action |
//! | [`Lesson`] | note |
//! | [`Advisory`] | report once published, grouping before |
//! | [`Sighting`] | sighting |
//! | [`Evaluation`] | note about a software object |
//! | [`Relation`], [`Opinion`] | relationship, opinion |
//!
//! What STIX lacks is in one extension, [`Ai`] (docs/stix.md). What somebody else put into an object stays in it when it is parsed and
//! written again ([`Common::other`]).

mod common;
mod evaluation;
mod extension;
mod incident;
mod record;
mod shared;

#[cfg(test)]
mod tests;

pub use common::{Common, OSTROM, Phase, Reference, identity};
pub use evaluation::{BundleFacts, Evaluation, Mechanism, Suite, software};
pub use extension::{
    AI_EXTENSION, Affected, Ai, AiExtension, Disclosure, DisclosureState, Rate, Severity, Transfer,
    definitions,
};
pub use incident::{Determination, INCIDENT_EXTENSION, Incident, IncidentCore, IncidentExtensions};
pub use record::{Advisory, Lesson, Mitigation, Opinion, Relation, Sighting, Technique, View};
pub use record::{Flaw, Record};
pub use shared::{Shared, TypeError};
