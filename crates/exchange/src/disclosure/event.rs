//! What happens in a case: the events, as they are kept.

use std::collections::BTreeSet;

use ostrom_core::handling::Party;
use ostrom_core::{Digest, ObjectId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commitment::Salt;

/// Longest event that is read, in bytes of JSON.
pub const MAX_EVENT: usize = 256 << 10;
/// Longest message, in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Longest title, reason or note, in bytes.
pub const MAX_NOTE: usize = 4 << 10;
/// Most parties of a case.
pub const MAX_PARTIES: usize = 128;
/// Most events of a case.
pub const MAX_EVENTS: usize = 20_000;

/// What a party is in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Found it.
    Reporter,
    /// Leads the case.
    Coordinator,
    /// Makes what is flawed.
    Vendor,
    /// Makes something else that is affected too.
    OtherVendor,
}

impl Role {
    /// Whether a fix is expected from the party.
    pub const fn is_vendor(self) -> bool {
        matches!(self, Self::Vendor | Self::OtherVendor)
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A party of the case.
    Party(Party),
    /// The node's clock.
    Node,
}

/// What was agreed at intake: in days of 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Until the coordinator has looked at the report.
    pub triage_days: u16,
    /// Until a vendor has acknowledged a notification.
    pub acknowledge_days: u16,
    /// Until the embargo of a vendor ends, from its notification.
    pub embargo_days: u16,
    /// Whether the node publishes by itself when the last embargo ends.
    pub automatic_release: bool,
}

impl Default for Terms {
    /// Usual among coordinators; no standard fixes them. A case can have others.
    fn default() -> Self {
        Self { triage_days: 5, acknowledge_days: 7, embargo_days: 90, automatic_release: false }
    }
}

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// Everybody who is a party when it is sent.
    All,
    /// These, and the coordinators.
    Parties(BTreeSet<Party>),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// The case was opened: always the first event.
    Received {
        /// What it is about, in a line.
        title: String,
        /// Who reported it. In the log always there; a view leaves it out for those who are not to know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reporter: Option<Party>,
        /// Whether vendors are not told who reported it.
        anonymous: bool,
        /// Who leads the case.
        coordinator: Party,
        /// What was agreed.
        terms: Terms,
        /// The commitment to the report that is in the transparency log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commitment: Option<Digest>,
    },
    /// The coordinator looked at it and goes on with it.
    Triaged {
        /// How bad it is.
        severity: Severity,
        /// Why; everybody in the case reads it.
        note: String,
    },
    /// Somebody becomes a party.
    PartyInvited {
        /// Who.
        party: Party,
        /// As what.
        role: Role,
    },
    /// Somebody is a party no longer. What they were told they know; nothing of what follows is for them.
    PartyRemoved {
        /// Who.
        party: Party,
        /// Why; the coordinators read it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// A vendor was told. Its clock and its embargo begin.
    Notified {
        /// Which one.
        party: Party,
        /// When its embargo ends; by the terms, if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        embargo: Option<Timestamp>,
    },
    /// A vendor says that it has understood.
    Acknowledged,
    /// A message.
    Message {
        /// To whom.
        to: To,
        /// What it says.
        text: String,
    },
    /// A vendor's embargo ends later.
    EmbargoExtended {
        /// Whose.
        party: Party,
        /// Its new end.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// A vendor needs its embargo no longer.
    ReleaseAgreed,
    /// A vendor has a fix.
    FixReady {
        /// What it is; the vendor, the coordinators and the reporter read it.
        note: String,
    },
    /// A party is named to others who were not to know of it.
    NameRevealed {
        /// Who is named.
        party: Party,
        /// To whom.
        to: BTreeSet<Party>,
    },
    /// Somebody published before the time: every embargo is over.
    BrokeEarly {
        /// Which party, if it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Party>,
        /// Where it can be read.
        place: String,
    },
    /// The last embargo has ended.
    Expired {
        /// When it ended.
        end: Timestamp,
    },
    /// It is public.
    Published {
        /// The advisory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        advisory: Option<ObjectId>,
    },
    /// The case is closed without publication.
    Withdrawn {
        /// Why; everybody in the case reads it.
        why: String,
    },
    /// This is what will be published.
    AdvisoryChosen {
        /// The object.
        advisory: ObjectId,
    },
    /// What opens the commitment to the report. The node adds it at intake; the coordinators and the reporter see it, and when the
    /// case is published every party does.
    Committed {
        /// The salt.
        salt: Salt,
        /// Its entry in the transparency log.
        leaf: u64,
        /// SHA-256 of the report.
        report: Digest,
    },
    /// Another coordinator leads the case.
    Transferred {
        /// Who.
        to: Party,
    },
}

impl What {
    /// The name in data: `party-invited`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Triaged { .. } => "triaged",
            Self::PartyInvited { .. } => "party-invited",
            Self::PartyRemoved { .. } => "party-removed",
            Self::Notified { .. } => "notified",
            Self::Acknowledged => "acknowledged",
            Self::Message { .. } => "message",
            Self::EmbargoExtended { .. } => "embargo-extended",
            Self::ReleaseAgreed => "release-agreed",
            Self::FixReady { .. } => "fix-ready",
            Self::NameRevealed { .. } => "name-revealed",
            Self::BrokeEarly { .. } => "broke-early",
            Self::Expired { .. } => "expired",
            Self::Published { .. } => "published",
            Self::Withdrawn { .. } => "withdrawn",
            Self::AdvisoryChosen { .. } => "advisory-chosen",
            Self::Committed { .. } => "committed",
            Self::Transferred { .. } => "transferred",
        }
    }
}

/// An event of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What.
    pub what: What,
}

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Too long.
    #[error("an event of {0} bytes is not read: at most {MAX_EVENT}")]
    TooLong(usize),
    /// Not JSON, or not of the right shape.
    #[error("not an event of a case: {0}")]
    Json(#[from] serde_json::Error),
}

impl Event {
    /// Reads an event. Whether it may happen, [`State::apply`](super::State::apply) says.
    ///
    /// # Errors
    /// If it is too long or not an event.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > MAX_EVENT {
            return Err(EventError::TooLong(bytes.len()));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The event as JSON.
    ///
    /// # Errors
    /// Never in practice: everything in it is JSON.
    pub fn to_json(&self) -> Result<String, EventError> {
        Ok(serde_json::to_string(self)?)
    }
}
