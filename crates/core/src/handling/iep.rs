//! FIRST's Information Exchange Policy framework, version 2.0: what an object's provider permits and obliges its recipients to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// `MUST`, `MUST NOT`, `MAY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// The recipient must.
    Must,
    /// The recipient must not.
    MustNot,
    /// The recipient may.
    May,
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "must",
            Self::MustNot => "must not",
            Self::May => "may",
        })
    }
}

/// A policy of the framework. What a node can enforce it does (its time of validity, encryption in transit; its TLP becomes
/// the handling's); the other statements are shown to whoever reads the object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iep {
    /// Its name, for people.
    pub name: String,
    /// From when on it holds. Before, nobody may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Until when it holds. After, nobody may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// `encrypt_in_transit`: `Must` is refused to whoever reads over a connection that is not encrypted.
    pub encrypt_in_transit: Obligation,
    /// `permitted_actions`, in the framework's words, such as `internally-visible-actions`.
    pub permitted_actions: String,
    /// `affected_party_notifications`.
    pub affected_party_notifications: Obligation,
    /// `attribution`.
    pub attribution: Obligation,
    /// `unmodified_resale`.
    pub unmodified_resale: Obligation,
}
