//! The decision: may this reader read, and why.

use std::collections::BTreeSet;
use std::fmt;

use super::{Handling, Obligation, Party, Policy, Reader, Tlp};
use crate::Timestamp;

/// Why a handling lets somebody read, or does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The reader wrote it.
    Author,
    /// The reader's organisation owns it.
    Owner,
    /// It is for everybody.
    Everybody,
    /// It is for members, and the reader is one.
    Member,
    /// The reader is named, by this party.
    Named(Party),
    /// The reader's organisation is the client of a named one.
    ClientOf(Party),
    /// Not read: a mark is not understood.
    Refused(String),
    /// Not read: there is no mark at all.
    Unmarked,
    /// Not read: the embargo is not over, and the reader is not a party to it.
    Embargoed(Timestamp),
    /// Not read: the policy for exchange is not in force now.
    OutOfForce,
    /// Not read: the policy for exchange asks for encryption in transit.
    NotEncrypted,
    /// Not read: it is for members only.
    NotMember(Tlp),
    /// Not read: the reader is not among the recipients.
    NotNamed(Tlp),
}

impl Reason {
    /// Whether it is a reason to let the reader read.
    pub const fn allows(&self) -> bool {
        matches!(
            self,
            Self::Author | Self::Owner | Self::Everybody | Self::Member | Self::Named(_) | Self::ClientOf(_)
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Author => f.write_str("the reader wrote it"),
            Self::Owner => f.write_str("the reader's organisation owns it"),
            Self::Everybody => f.write_str("it is for everybody"),
            Self::Member => f.write_str("it is for members of this node"),
            Self::Named(Party::Person(_)) => f.write_str("the reader is a named recipient"),
            Self::Named(Party::Organisation(_)) => {
                f.write_str("the reader's organisation is a named recipient")
            }
            Self::Named(Party::Group(_)) => {
                f.write_str("the reader is in a trust group that it was shared with")
            }
            Self::ClientOf(_) => f.write_str("the reader's organisation is a client of a recipient"),
            Self::Refused(why) => write!(f, "a mark on it is not understood ({why})"),
            Self::Unmarked => f.write_str("it carries no mark"),
            Self::Embargoed(until) => write!(f, "it is under embargo until {until}"),
            Self::OutOfForce => f.write_str("its exchange policy is not in force now"),
            Self::NotEncrypted => f.write_str("its exchange policy asks for encryption in transit"),
            Self::NotMember(tlp) => write!(f, "{tlp} is for members of this node"),
            Self::NotNamed(tlp) => write!(f, "{tlp} is for its recipients, and the reader is not one"),
        }
    }
}

/// What a policy says to a reader at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    reasons: BTreeSet<Reason>,
    changes: Option<Timestamp>,
}

impl Decision {
    /// Whether the reader may read.
    pub const fn allowed(&self) -> bool {
        self.allowed
    }

    /// Why: if allowed, one for every handling; if not, those that refuse.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter()
    }

    /// The time from which on the answer may be another, with nothing else changed. `None`: never.
    pub const fn changes(&self) -> Option<Timestamp> {
        self.changes
    }
}

impl Policy {
    /// Whether `reader` may read at `now`, and why.
    pub fn decide(&self, reader: &Reader, now: Timestamp) -> Decision {
        let mut reasons: BTreeSet<Reason> =
            self.handlings().map(|handling| handling.reason(reader, now)).collect();
        if reasons.is_empty() {
            reasons.insert(Reason::Unmarked);
        }
        let allowed = reasons.iter().all(Reason::allows);
        if !allowed {
            reasons.retain(|reason| !reason.allows());
        }
        let changes = self.handlings().filter_map(|handling| handling.changes(now)).min();
        Decision { allowed, reasons, changes }
    }

    /// Whether `reader` may read at `now`.
    pub fn allows(&self, reader: &Reader, now: Timestamp) -> bool {
        self.decide(reader, now).allowed
    }
}

impl Handling {
    /// The one reason that counts.
    fn reason(&self, reader: &Reader, now: Timestamp) -> Reason {
        if let Some(why) = &self.refused {
            return Reason::Refused(why.clone());
        }
        if let Some(iep) = &self.iep {
            if iep.start.is_some_and(|start| now < start) || iep.end.is_some_and(|end| now >= end) {
                return Reason::OutOfForce;
            }
            if iep.encrypt_in_transit == Obligation::Must && !reader.encrypted {
                return Reason::NotEncrypted;
            }
        }
        if self.author.is_some() && self.author == reader.person {
            return Reason::Author;
        }
        let owns = reader.organisation == Some(self.owner);
        if owns && self.tlp < Tlp::Red {
            return Reason::Owner;
        }
        if let Some(embargo) = &self.embargo
            && now < embargo.until
            && !owns
            && reader.named_in(&embargo.parties).is_none()
        {
            return Reason::Embargoed(embargo.until);
        }
        self.by_tlp(reader)
    }

    /// What the mark and the list of recipients say.
    fn by_tlp(&self, reader: &Reader) -> Reason {
        match self.tlp {
            // Only persons are recipients of TLP:RED: organisations and groups in the list do not count.
            Tlp::Red => {
                let person = reader.person.map(Party::Person).filter(|party| self.audience.contains(party));
                person.map_or(Reason::NotNamed(self.tlp), Reason::Named)
            }
            Tlp::Clear if self.audience.is_empty() => Reason::Everybody,
            Tlp::Green if self.audience.is_empty() => {
                if reader.organisation.is_some() {
                    Reason::Member
                } else {
                    Reason::NotMember(self.tlp)
                }
            }
            tlp => {
                let client = || {
                    let clients = tlp < Tlp::AmberStrict;
                    let named = reader
                        .client_of
                        .iter()
                        .map(|org| Party::Organisation(*org))
                        .find(|party| self.audience.contains(party));
                    named.filter(|_| clients && reader.organisation.is_some())
                };
                match reader.named_in(&self.audience) {
                    Some(party) => Reason::Named(party),
                    None => client().map_or(Reason::NotNamed(tlp), Reason::ClientOf),
                }
            }
        }
    }

    /// The next time at which what it says may change.
    fn changes(&self, now: Timestamp) -> Option<Timestamp> {
        let embargo = self.embargo.as_ref().map(|embargo| embargo.until);
        let iep = self.iep.as_ref().map_or([None, None], |iep| [iep.start, iep.end]);
        [embargo].into_iter().chain(iep).flatten().filter(|time| *time > now).min()
    }
}

impl Reader {
    /// By which of these parties the reader is named.
    fn named_in(&self, parties: &BTreeSet<Party>) -> Option<Party> {
        let person = self.person.map(Party::Person);
        let organisation = self.organisation.map(Party::Organisation);
        let groups = self.groups.iter().map(|group| Party::Group(*group));
        person.into_iter().chain(organisation).chain(groups).find(|party| parties.contains(party))
    }
}
