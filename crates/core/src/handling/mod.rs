//! Who may read what: the marks on a shared object, and the decision that follows from them.
//!
//! A [`Handling`] is what one object's own marks say. A [`Policy`] is a conjunction of handlings: the object's own and those of
//! everything that it refers to, so that a relationship is as strict as its strictest end. A [`Reader`] asks; [`Policy::decide`] answers,
//! as a pure function of the two and the time.
//!
//! *Invariant:* adding a handling to a policy, or a party to no list at all, never lets anybody read more. What is not understood is
//! [`Handling::refused`], which nobody may read.

mod decide;
mod iep;
mod tlp;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{GroupId, OrgId, PersonId, Timestamp};
pub use decide::{Decision, Reason};
pub use iep::{Iep, Obligation};
pub use tlp::{Tlp, TlpError};

/// Who can be named as a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// Everybody in an organisation.
    Organisation(OrgId),
    /// One person.
    Person(PersonId),
    /// Every organisation and person of a trust group.
    Group(GroupId),
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reader {
    /// The organisation, if the reader belongs to one that is an active member.
    pub organisation: Option<OrgId>,
    /// The person; `None` for machines and peers.
    pub person: Option<PersonId>,
    /// The trust groups of the organisation and the person.
    pub groups: BTreeSet<GroupId>,
    /// The organisations whose client the reader's is: TLP:AMBER reaches clients, TLP:AMBER+STRICT does not.
    pub client_of: BTreeSet<OrgId>,
    /// The answer travels encrypted, or does not leave the machine.
    pub encrypted: bool,
}

impl Reader {
    /// Somebody who is not signed in.
    pub fn anonymous(encrypted: bool) -> Self {
        Self { encrypted, ..Self::default() }
    }
}

/// Nobody but the owner and these parties may read before this time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embargo {
    /// From this time on the embargo is over.
    pub until: Timestamp,
    /// Who may read before it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parties: BTreeSet<Party>,
}

/// What the marks of one object say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handling {
    /// The organisation that decides on the marks. It reads what it owns, except TLP:RED.
    pub owner: OrgId,
    /// The person who wrote it, who reads it under every mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<PersonId>,
    /// The mark of the Traffic Light Protocol.
    pub tlp: Tlp,
    /// Named recipients and trust groups. Where there are any, nobody else reads it. Where there are none, CLEAR is for
    /// everybody, GREEN for every member, AMBER for the owner and RED for the author.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub audience: BTreeSet<Party>,
    /// An embargo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embargo: Option<Embargo>,
    /// A policy of FIRST's Information Exchange Policy framework.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iep: Option<Iep>,
    /// Why nobody may read it: a mark that is not understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Handling {
    /// A mark of the Traffic Light Protocol and nothing else.
    pub fn new(owner: OrgId, tlp: Tlp) -> Self {
        Self { owner, author: None, tlp, audience: BTreeSet::new(), embargo: None, iep: None, refused: None }
    }

    /// What nobody may read, and why.
    pub fn unreadable(owner: OrgId, why: impl Into<String>) -> Self {
        Self { refused: Some(why.into()), ..Self::new(owner, Tlp::Red) }
    }
}

/// A conjunction of handlings: who may read must be let by every one of them.
///
/// The empty policy is refused: something without any handling has not been marked, and is not for reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy(BTreeSet<Handling>);

impl Policy {
    /// All of these at once.
    pub fn new(handlings: impl IntoIterator<Item = Handling>) -> Self {
        Self(handlings.into_iter().collect())
    }

    /// The handlings, in a fixed order.
    pub fn handlings(&self) -> impl Iterator<Item = &Handling> {
        self.0.iter()
    }

    /// As strict as both together. What carries no handling at all is for nobody, and so is everything with it.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        if self.0.is_empty() || other.0.is_empty() {
            return Self::default();
        }
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The strictest mark of the Traffic Light Protocol in it; RED if there is none.
    pub fn tlp(&self) -> Tlp {
        self.0.iter().map(|handling| handling.tlp).max().unwrap_or(Tlp::Red)
    }
}
