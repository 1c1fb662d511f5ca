//! What one party sees of a case.
//!
//! *Invariant:* a view is made of the events that the party may see, each without what the party is not to know, and of nothing
//! else. So it is byte for byte the same as that of a case in which the hidden events never happened.

use std::collections::BTreeMap;

use ostrom_core::handling::Party;
use ostrom_core::{Digest, Timestamp};
use serde::Serialize;

use super::event::{Actor, Event, Role, Terms, To, What};
use super::state::{Phase, State};

/// Who did something, as far as the viewer is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenActor {
    /// This party.
    Party(Party),
    /// Somebody in this role.
    Role(Role),
    /// The node's clock.
    Node,
}

/// An event as a party sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenEvent {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: SeenActor,
    /// What.
    pub what: What,
}

/// A party as another sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenParty {
    /// Who, unless only the role is known.
    pub party: Option<Party>,
    /// What it is in the case.
    pub role: Role,
    /// When it was notified, as far as the viewer sees it; and so on.
    pub notified: Option<Timestamp>,
    /// When it acknowledged that.
    pub acknowledged: Option<Timestamp>,
    /// When it had a fix.
    pub fix_ready: Option<Timestamp>,
    /// When its embargo ends.
    pub embargo: Option<Timestamp>,
    /// When it agreed to a release.
    pub released: Option<Timestamp>,
    /// When it was removed from the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// What a party sees of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// What it is about.
    pub title: String,
    /// What the viewer is in the case.
    pub role: Role,
    /// How far it is, as far as the viewer sees.
    pub phase: Phase,
    /// When it was opened.
    pub opened: Timestamp,
    /// The last event that the viewer sees.
    pub changed: Timestamp,
    /// What was agreed.
    pub terms: Terms,
    /// The commitment to the report.
    pub commitment: Option<Digest>,
    /// When the last embargo ends that the viewer knows of.
    pub embargo_end: Option<Timestamp>,
    /// Whether somebody published before the time.
    pub broken: bool,
    /// The parties, those without a name last.
    pub parties: Vec<SeenParty>,
    /// The events, in order.
    pub events: Vec<SeenEvent>,
}

impl State {
    /// What `viewer` sees of the case. `None` if it is not a party.
    pub fn seen_by(&self, viewer: Party) -> Option<View> {
        let role = self.members.get(&viewer).filter(|member| member.is_party())?.role;
        let events: Vec<SeenEvent> =
            self.log.iter().filter_map(|event| self.seen(event, viewer, role)).collect();
        View::of(viewer, role, events)
    }

    /// Whether `viewer` sees this event of the case, in whatever form.
    pub fn sees(&self, viewer: Party, event: &Event) -> bool {
        let sees =
            |member: &super::Member| member.is_party() && self.seen(event, viewer, member.role).is_some();
        self.members.get(&viewer).is_some_and(sees)
    }

    /// The event as the viewer sees it.
    fn seen(&self, event: &Event, viewer: Party, role: Role) -> Option<SeenEvent> {
        let coordinator = role == Role::Coordinator;
        let known = |party: &Party| self.knows(viewer, *party);
        // The progress of a vendor is for itself, the coordinators, and the reporter who knows of it.
        let follows =
            |party: Party| party == viewer || coordinator || (role == Role::Reporter && known(&party));
        let mut what = event.what.clone();
        let visible = match (&mut what, event.by) {
            (What::Received { reporter, .. }, _) => {
                *reporter = reporter.filter(|party| known(party));
                true
            }
            (What::Triaged { .. } | What::Published { .. } | What::Withdrawn { .. }, _) => true,
            (What::Transferred { .. } | What::AdvisoryChosen { .. }, _) => true,
            (What::Committed { .. }, _) => {
                coordinator || role == Role::Reporter || self.published().is_some()
            }
            (What::BrokeEarly { by, .. }, _) => {
                *by = by.filter(|party| known(party));
                true
            }
            (What::PartyInvited { party, .. }, _) => known(party),
            (What::PartyRemoved { party, why }, _) => {
                if !coordinator {
                    why.clear();
                }
                known(party)
            }
            (What::Notified { party, .. } | What::EmbargoExtended { party, .. }, _) => follows(*party),
            (What::Acknowledged | What::ReleaseAgreed | What::FixReady { .. }, Actor::Party(party)) => {
                follows(party)
            }
            // Its time is that of the last embargo of all.
            (What::Expired { .. }, _) => coordinator,
            (What::NameRevealed { party, to }, _) => {
                let named = coordinator || known(party);
                to.retain(|to| known(to));
                named && (!to.is_empty() || coordinator)
            }
            (What::Message { to, .. }, Actor::Party(sender)) => {
                self.reads(viewer, role, sender, to, event.at)
            }
            (_, Actor::Node) => false,
        };
        let by = match event.by {
            Actor::Node => SeenActor::Node,
            Actor::Party(party) if known(&party) => SeenActor::Party(party),
            Actor::Party(party) => SeenActor::Role(self.members.get(&party)?.role),
        };
        visible.then_some(SeenEvent { at: event.at, by, what })
    }

    /// Whether the viewer reads a message; leaves of its recipients those that the viewer is to know.
    fn reads(&self, viewer: Party, role: Role, sender: Party, to: &mut To, at: Timestamp) -> bool {
        // Everybody knows that there is a reporter, but not of other vendors.
        let from_known = self.knows(viewer, sender)
            || self.members.get(&sender).is_some_and(|member| member.role == Role::Reporter);
        match to {
            To::All => {
                let was_there = self.members.get(&viewer).is_some_and(|member| member.joined <= at);
                role == Role::Coordinator || viewer == sender || (from_known && was_there)
            }
            To::Parties(parties) => {
                let reads = parties.contains(&viewer) || viewer == sender || role == Role::Coordinator;
                parties.retain(|party| self.knows(viewer, *party));
                reads
            }
        }
    }
}

impl View {
    /// The view that these events make.
    fn of(viewer: Party, role: Role, events: Vec<SeenEvent>) -> Option<Self> {
        let first = events.first()?;
        let What::Received { title, reporter, coordinator, terms, commitment, .. } = &first.what else {
            return None;
        };
        let mut parties =
            BTreeMap::from([(*coordinator, SeenParty::new(Some(*coordinator), Role::Coordinator))]);
        let mut unnamed = Vec::new();
        match reporter {
            Some(reporter) => {
                parties.insert(*reporter, SeenParty::new(Some(*reporter), Role::Reporter));
            }
            None => unnamed.push(SeenParty::new(None, Role::Reporter)),
        }
        let (mut triaged, mut broken, mut closed) = (false, false, None);
        for event in &events {
            let actor = match &event.by {
                SeenActor::Party(party) => Some(*party),
                SeenActor::Role(_) | SeenActor::Node => None,
            };
            let mut set = |party: Option<Party>, change: &dyn Fn(&mut SeenParty)| {
                if let Some(seen) = party.and_then(|party| parties.get_mut(&party)) {
                    change(seen);
                }
            };
            match &event.what {
                What::PartyInvited { party, role } => {
                    parties.insert(*party, SeenParty::new(Some(*party), *role));
                }
                What::Notified { party, embargo } => {
                    let end =
                        embargo.unwrap_or(event.at.plus_seconds(i64::from(terms.embargo_days) * 86_400));
                    set(Some(*party), &|seen| {
                        seen.notified = Some(event.at);
                        seen.embargo = (!broken).then_some(end);
                    });
                }
                What::PartyRemoved { party, .. } => set(Some(*party), &|seen| seen.removed = Some(event.at)),
                What::EmbargoExtended { party, until, .. } => {
                    set(Some(*party), &|seen| seen.embargo = Some(*until));
                }
                What::Acknowledged => set(actor, &|seen| seen.acknowledged = Some(event.at)),
                What::FixReady { .. } => set(actor, &|seen| seen.fix_ready = Some(event.at)),
                What::ReleaseAgreed => set(actor, &|seen| seen.released = Some(event.at)),
                What::Triaged { .. } => triaged = true,
                What::BrokeEarly { .. } => broken = true,
                What::Published { .. } => closed = Some(Phase::Published),
                What::Withdrawn { .. } => closed = Some(Phase::Withdrawn),
                What::Received { .. }
                | What::Message { .. }
                | What::NameRevealed { .. }
                | What::Expired { .. }
                | What::AdvisoryChosen { .. }
                | What::Committed { .. }
                | What::Transferred { .. } => {}
            }
        }
        let told = || parties.values().filter(|party| party.notified.is_some() && party.removed.is_none());
        let phase = closed.unwrap_or(match (triaged, told().next().is_some()) {
            (false, _) => Phase::Received,
            (true, false) => Phase::Triaged,
            (true, true) if told().all(|party| party.fix_ready.is_some()) => Phase::FixReady,
            (true, true) => Phase::Notified,
        });
        let standing = |party: &SeenParty| party.embargo.filter(|_| party.released.is_none() && !broken);
        let embargo_end = parties.values().filter_map(standing).max();
        // The viewer's own entry is there whether or not it sees its invitation.
        parties.entry(viewer).or_insert_with(|| SeenParty::new(Some(viewer), role));
        Some(Self {
            title: title.clone(),
            role,
            phase,
            opened: first.at,
            changed: events.last().map_or(first.at, |event| event.at),
            terms: *terms,
            commitment: *commitment,
            embargo_end,
            broken,
            parties: parties.into_values().chain(unnamed).collect(),
            events,
        })
    }
}

impl SeenParty {
    fn new(party: Option<Party>, role: Role) -> Self {
        Self {
            party,
            role,
            notified: None,
            acknowledged: None,
            fix_ready: None,
            embargo: None,
            released: None,
            removed: None,
        }
    }
}
