//! What is due in a case, and what the clock adds to it.

use ostrom_core::Timestamp;
use ostrom_core::handling::Party;
use serde::{Deserialize, Serialize};

use super::event::{Actor, Event, What};
use super::state::{DAY, State};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DueKind {
    /// Look at the report.
    Triage,
    /// Acknowledge the notification.
    Acknowledge,
    /// The party's embargo ends.
    Embargo,
    /// Publish.
    Publish,
}

impl DueKind {
    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Triage => "triage",
            Self::Acknowledge => "acknowledge",
            Self::Embargo => "embargo",
            Self::Publish => "publish",
        }
    }
}

/// Something that is due in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What.
    pub kind: DueKind,
    /// From whom.
    pub party: Party,
    /// By when.
    pub at: Timestamp,
}

impl State {
    /// What the clock has to add to the case at `now`: the end of the embargo, and the publication if the case says so.
    pub fn overdue_events(&self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(end) = self.embargo_end().filter(|end| now >= *end && !self.phase().is_closed()) else {
            return events;
        };
        let event = |what| Event { at: now, by: Actor::Node, what };
        if !self.has_expired() {
            events.push(event(What::Expired { end }));
        }
        if self.terms.automatic_release {
            events.push(event(What::Published { advisory: self.advisory.clone() }));
        }
        events
    }

    /// What is due in this case.
    pub fn due(&self) -> Vec<Due> {
        let mut due = Vec::new();
        if self.phase().is_closed() {
            return due;
        }
        let opened = self.log.first().map_or(Timestamp::MIN, |event| event.at);
        if self.triaged.is_none() {
            let at = opened.plus_seconds(i64::from(self.terms.triage_days) * DAY);
            due.push(Due { kind: DueKind::Triage, party: self.lead, at });
        }
        for (party, member) in &self.members {
            let Some(notified) = member.notified.filter(|_| member.is_party()) else { continue };
            if member.acknowledged.is_none() {
                let at = notified.plus_seconds(i64::from(self.terms.acknowledge_days) * DAY);
                due.push(Due { kind: DueKind::Acknowledge, party: *party, at });
            }
            if let Some(at) = member.standing_embargo().filter(|_| self.broken.is_none()) {
                due.push(Due { kind: DueKind::Embargo, party: *party, at });
            }
        }
        if let Some(at) = self.embargo_end().or_else(|| self.broken.as_ref().map(|broken| broken.at)) {
            due.push(Due { kind: DueKind::Publish, party: self.lead, at });
        }
        due
    }
}
