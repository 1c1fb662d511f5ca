//! The state of a case, and what may happen in it.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Handling, Party, Policy, Reader, Tlp};
use ostrom_core::{Digest, ObjectId, OrgId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use super::event::{Actor, Event, MAX_EVENTS, MAX_MESSAGE, MAX_NOTE, MAX_PARTIES, Role, Terms, To, What};

use crate::commitment::{Kind, Salt, commit};

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// How far a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reported, and nobody has looked at it.
    Received,
    /// Looked at, and no vendor has been told.
    Triaged,
    /// A vendor has been told.
    Notified,
    /// Every vendor that was told has a fix.
    FixReady,
    /// Public.
    Published,
    /// Closed without publication.
    Withdrawn,
}

impl Phase {
    /// Whether nothing but messages and names can follow.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Published | Self::Withdrawn)
    }
}

/// A party and its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is in the case.
    pub role: Role,
    /// Since when it is a party.
    pub joined: Timestamp,
    /// When it was notified.
    pub notified: Option<Timestamp>,
    /// When it acknowledged that.
    pub acknowledged: Option<Timestamp>,
    /// When it had a fix.
    pub fix_ready: Option<Timestamp>,
    /// When its embargo ends.
    pub embargo: Option<Timestamp>,
    /// When it agreed that its embargo is no longer needed.
    pub released: Option<Timestamp>,
    /// When it was removed: from then on it is a party no longer.
    pub removed: Option<Timestamp>,
}

impl Member {
    fn new(role: Role, joined: Timestamp) -> Self {
        Self {
            role,
            joined,
            notified: None,
            acknowledged: None,
            fix_ready: None,
            embargo: None,
            released: None,
            removed: None,
        }
    }

    /// Whether it is a party now.
    pub(super) fn is_party(&self) -> bool {
        self.removed.is_none()
    }

    /// The end of its embargo, as far as it still needs one.
    pub(super) fn standing_embargo(&self) -> Option<Timestamp> {
        self.embargo.filter(|_| self.released.is_none())
    }
}

/// That somebody published before the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// When the case learned of it.
    pub at: Timestamp,
    /// Which party, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// Where it can be read.
    pub place: String,
}

/// Why something may not happen in a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The first event opens the case, and no other does.
    #[error("a case begins with its report, once")]
    NotTheBeginning,
    /// An event before the last one.
    #[error("the last event is of {last}; this one cannot be of {at}")]
    Earlier {
        /// Of the last one.
        last: Timestamp,
        /// Of this one.
        at: Timestamp,
    },
    /// The actor is not a party, or not one who may do this.
    #[error("this is not for you to do in this case")]
    NotYours,
    /// There is no such party, as far as the actor knows.
    #[error("there is no such party in this case")]
    NoSuchParty,
    /// Somebody is a party already.
    #[error("they are a party of this case already")]
    PartyAlready,
    /// A group, or a second reporter.
    #[error("organisations and persons can be parties, as coordinator, vendor or other vendor")]
    NotAParty,
    /// Too many parties or events.
    #[error("the case is full: it has {0}")]
    Full(&'static str),
    /// The case is published or withdrawn.
    #[error("the case is closed: only messages can be added and parties named")]
    Closed,
    /// Something has to come before.
    #[error("{0}")]
    NotYet(&'static str),
    /// It has happened already.
    #[error("{0}")]
    Already(&'static str),
    /// The embargo is not over.
    #[error("it is under embargo until {0}: extend it, let the vendors agree to a release, or wait")]
    Embargoed(Timestamp),
    /// An embargo cannot end earlier than was agreed.
    #[error("an embargo ends at {agreed} as agreed; it can only be extended")]
    EmbargoShortened {
        /// What was agreed.
        agreed: Timestamp,
    },
    /// A text is missing or too long.
    #[error("{0}")]
    Text(&'static str),
    /// The log differs from what was replayed before.
    #[error("event {0} is another one than before: the log was changed")]
    Diverged(usize),
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) log: Vec<Event>,
    pub(super) title: String,
    pub(super) anonymous: bool,
    pub(super) lead: Party,
    pub(super) terms: Terms,
    pub(super) commitment: Option<Digest>,
    pub(super) members: BTreeMap<Party, Member>,
    /// Who was named to whom.
    pub(super) revealed: BTreeSet<(Party, Party)>,
    pub(super) triaged: Option<Severity>,
    pub(super) broken: Option<Break>,
    pub(super) expired: Option<Timestamp>,
    pub(super) published: Option<(Timestamp, Option<ObjectId>)>,
    pub(super) withdrawn: Option<Timestamp>,
    pub(super) advisory: Option<ObjectId>,
    pub(super) opening: Option<(Salt, u64, Digest)>,
}

impl State {
    /// Opens a case with its first event.
    ///
    /// # Errors
    /// If the event is not the report of a case, or not by its reporter or coordinator.
    pub fn open(event: &Event) -> Result<Self, Refused> {
        let What::Received { title, reporter, anonymous, coordinator, terms, commitment } = &event.what
        else {
            return Err(Refused::NotTheBeginning);
        };
        let reporter = reporter.ok_or(Refused::NotAParty)?;
        if ![reporter, *coordinator].into_iter().all(can_be_party) || reporter == *coordinator {
            return Err(Refused::NotAParty);
        }
        if !matches!(coordinator, Party::Organisation(_)) {
            return Err(Refused::NotAParty);
        }
        if event.by != Actor::Party(reporter) && event.by != Actor::Party(*coordinator) {
            return Err(Refused::NotYours);
        }
        text(title, MAX_NOTE, "a case needs a title of at most 4 KiB")?;
        let members = BTreeMap::from([
            (reporter, Member::new(Role::Reporter, event.at)),
            (*coordinator, Member::new(Role::Coordinator, event.at)),
        ]);
        Ok(Self {
            log: vec![event.clone()],
            title: title.clone(),
            anonymous: *anonymous,
            lead: *coordinator,
            terms: *terms,
            commitment: *commitment,
            members,
            revealed: BTreeSet::new(),
            triaged: None,
            broken: None,
            expired: None,
            published: None,
            withdrawn: None,
            advisory: None,
            opening: None,
        })
    }

    /// The case that these events make.
    ///
    /// # Errors
    /// If one of them may not happen.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, Refused> {
        let mut events = events.into_iter();
        let mut state = Self::open(events.next().ok_or(Refused::NotTheBeginning)?)?;
        events.try_for_each(|event| state.apply(event))?;
        Ok(state)
    }

    /// Applies event `number` (from 1) of a log that is read again: those that are in the state already change nothing.
    ///
    /// # Errors
    /// If the event may not happen, is another one than before, or one before it is missing.
    pub fn catch_up(&mut self, number: usize, event: &Event) -> Result<(), Refused> {
        match self.log.get(number.wrapping_sub(1)) {
            Some(known) if known == event => Ok(()),
            Some(_) => Err(Refused::Diverged(number)),
            None if number == self.log.len() + 1 => self.apply(event),
            None => Err(Refused::NotYet("an event before this one is missing")),
        }
    }

    /// Lets something happen. If it may not, the case is as before.
    ///
    /// # Errors
    /// Why it may not.
    pub fn apply(&mut self, event: &Event) -> Result<(), Refused> {
        let last = self.log.last().map_or(Timestamp::MIN, |last| last.at);
        if event.at < last {
            return Err(Refused::Earlier { last, at: event.at });
        }
        if self.log.len() >= MAX_EVENTS {
            return Err(Refused::Full("as many events as a case can have"));
        }
        let by = match event.by {
            Actor::Node => None,
            Actor::Party(party) => Some((party, self.party(party).ok_or(Refused::NotYours)?.role)),
        };
        let closed = self.phase().is_closed();
        if closed && !matches!(event.what, What::Message { .. } | What::NameRevealed { .. }) {
            return Err(Refused::Closed);
        }
        match by {
            None => self.tick(&event.what, event.at)?,
            Some((party, role)) => self.act(party, role, &event.what, event.at)?,
        }
        self.log.push(event.clone());
        Ok(())
    }

    /// What the clock does.
    fn tick(&mut self, what: &What, at: Timestamp) -> Result<(), Refused> {
        match what {
            What::Expired { end } => {
                let standing = self.embargo_end().ok_or(Refused::NotYet("no embargo stands"))?;
                if *end != standing || at < standing {
                    return Err(Refused::Embargoed(standing));
                }
                if self.has_expired() {
                    return Err(Refused::Already("this embargo has ended already"));
                }
                self.expired = Some(*end);
            }
            What::Published { advisory } => {
                if !(self.terms.automatic_release && self.has_expired()) {
                    return Err(Refused::NotYours);
                }
                self.published = Some((at, advisory.clone()));
            }
            What::Committed { salt, report, leaf } => {
                if self.log.len() != 1 {
                    return Err(Refused::Already("the commitment is made at intake"));
                }
                if self.commitment != Some(commit(Kind::Case, salt, &[*report])) {
                    return Err(Refused::NotYet("the salt does not open the commitment of this case"));
                }
                self.opening = Some((*salt, *leaf, *report));
            }
            _ => return Err(Refused::NotYours),
        }
        Ok(())
    }

    /// What a party does.
    fn act(&mut self, by: Party, role: Role, what: &What, at: Timestamp) -> Result<(), Refused> {
        let coordinator = role == Role::Coordinator;
        let only = |may: bool| if may { Ok(()) } else { Err(Refused::NotYours) };
        match what {
            What::Received { .. } => Err(Refused::NotTheBeginning),
            What::Expired { .. } | What::Committed { .. } => Err(Refused::NotYours),
            What::AdvisoryChosen { advisory } => {
                only(coordinator)?;
                self.advisory = Some(advisory.clone());
                Ok(())
            }
            What::Triaged { severity, note } => {
                only(coordinator)?;
                text_or_none(note)?;
                if self.triaged.is_some() {
                    return Err(Refused::Already("it has been triaged already"));
                }
                self.triaged = Some(*severity);
                Ok(())
            }
            What::PartyInvited { party, role } => {
                only(coordinator)?;
                self.invite(*party, *role, at)
            }
            What::PartyRemoved { party, why } => {
                only(coordinator)?;
                text_or_none(why)?;
                self.remove(*party, at)
            }
            What::Notified { party, embargo } => {
                only(coordinator)?;
                self.notify(*party, *embargo, at)
            }
            What::Acknowledged => {
                let member = self.notified(by)?;
                if member.acknowledged.is_some() {
                    return Err(Refused::Already("you have acknowledged it already"));
                }
                member.acknowledged = Some(at);
                Ok(())
            }
            What::FixReady { note } => {
                text_or_none(note)?;
                let member = self.notified(by)?;
                if member.fix_ready.is_some() {
                    return Err(Refused::Already("you have said already that a fix is ready"));
                }
                member.fix_ready = Some(at);
                Ok(())
            }
            What::ReleaseAgreed => {
                let member = self.notified(by)?;
                if member.released.is_some() {
                    return Err(Refused::Already("you have agreed to a release already"));
                }
                member.released = Some(at);
                Ok(())
            }
            What::EmbargoExtended { party, until, why } => {
                only(coordinator)?;
                text(why, MAX_NOTE, "say in at most 4 KiB why the embargo is extended")?;
                self.extend(*party, *until, at)
            }
            What::Message { to, text: message } => {
                text(message, MAX_MESSAGE, "a message has 1 byte to 64 KiB")?;
                if let To::Parties(parties) = to {
                    let both = |other: &Party| {
                        self.party(*other).is_some() && self.knows(by, *other) && self.knows(*other, by)
                    };
                    if parties.is_empty() || !parties.iter().all(both) {
                        return Err(Refused::NoSuchParty);
                    }
                }
                Ok(())
            }
            What::NameRevealed { party, to } => {
                only(coordinator || by == *party)?;
                if to.is_empty() || !to.iter().chain([party]).all(|party| self.knows(by, *party)) {
                    return Err(Refused::NoSuchParty);
                }
                let is_reporter = self.members.get(party).is_some_and(|member| member.role == Role::Reporter);
                // Whether an anonymous reporter is named is for the reporter to say.
                only(by == *party || !(self.anonymous && is_reporter))?;
                self.revealed.extend(to.iter().map(|to| (*party, *to)));
                Ok(())
            }
            What::BrokeEarly { by, place } => {
                only(coordinator)?;
                text(place, MAX_NOTE, "say in at most 4 KiB where it was published")?;
                if by.is_some_and(|party| !self.members.contains_key(&party)) {
                    return Err(Refused::NoSuchParty);
                }
                if self.broken.is_some() {
                    return Err(Refused::Already("the embargo is broken already"));
                }
                self.broken = Some(Break { at, by: *by, place: place.clone() });
                Ok(())
            }
            What::Published { advisory } => {
                only(coordinator)?;
                if self.triaged.is_none() && self.broken.is_none() {
                    return Err(Refused::NotYet("triage it before it is published"));
                }
                if let Some(end) = self.embargo_end().filter(|end| at < *end) {
                    return Err(Refused::Embargoed(end));
                }
                self.published = Some((at, advisory.clone()));
                Ok(())
            }
            What::Withdrawn { why } => {
                // Once a vendor relies on the case, it is not the reporter's alone to close.
                only(coordinator || (role == Role::Reporter && self.phase() < Phase::Notified))?;
                text(why, MAX_NOTE, "say in at most 4 KiB why it is withdrawn")?;
                self.withdrawn = Some(at);
                Ok(())
            }
            What::Transferred { to } => {
                only(by == self.lead)?;
                let member = self.party(*to).ok_or(Refused::NoSuchParty)?;
                let is_organisation = matches!(to, Party::Organisation(_));
                if member.role != Role::Coordinator || *to == self.lead || !is_organisation {
                    return Err(Refused::NotYet("invite the organisation as a coordinator first"));
                }
                self.lead = *to;
                Ok(())
            }
        }
    }

    fn invite(&mut self, party: Party, role: Role, at: Timestamp) -> Result<(), Refused> {
        if !can_be_party(party) || role == Role::Reporter {
            return Err(Refused::NotAParty);
        }
        if self.members.len() >= MAX_PARTIES {
            return Err(Refused::Full("as many parties as a case can have"));
        }
        match self.members.get(&party) {
            Some(member) if member.is_party() => return Err(Refused::PartyAlready),
            // What it may see would depend on when it was no party.
            Some(_) => return Err(Refused::Already("who was removed from a case does not come back to it")),
            None => {}
        }
        self.members.insert(party, Member::new(role, at));
        Ok(())
    }

    /// Removes a party. A vendor's embargo stands all the same: nobody publishes earlier because it was removed.
    fn remove(&mut self, party: Party, at: Timestamp) -> Result<(), Refused> {
        let lead = self.lead;
        let member = self.members.get_mut(&party).filter(|member| member.is_party());
        let member = member.ok_or(Refused::NoSuchParty)?;
        if party == lead {
            return Err(Refused::NotYet("let another organisation lead the case first"));
        }
        if member.role == Role::Reporter {
            return Err(Refused::NotYet("whoever reported it stays a party"));
        }
        member.removed = Some(at);
        Ok(())
    }

    /// Somebody who is a party now.
    fn party(&self, party: Party) -> Option<&Member> {
        self.members.get(&party).filter(|member| member.is_party())
    }

    fn notify(&mut self, party: Party, embargo: Option<Timestamp>, at: Timestamp) -> Result<(), Refused> {
        if self.triaged.is_none() {
            return Err(Refused::NotYet("triage it before a vendor is notified"));
        }
        let by_terms = at.plus_seconds(i64::from(self.terms.embargo_days) * DAY);
        let is_broken = self.broken.is_some();
        let member = self.members.get_mut(&party).filter(|member| member.is_party());
        let member = member.ok_or(Refused::NoSuchParty)?;
        if !member.role.is_vendor() {
            return Err(Refused::NotYet("only vendors are notified: invite the party as one"));
        }
        if member.notified.is_some() {
            return Err(Refused::Already("it has been notified already"));
        }
        if embargo.is_some_and(|end| end <= at) {
            return Err(Refused::Text("an embargo ends after the notification"));
        }
        member.notified = Some(at);
        // What is public already cannot be embargoed.
        member.embargo = (!is_broken).then(|| embargo.unwrap_or(by_terms));
        Ok(())
    }

    fn extend(&mut self, party: Party, until: Timestamp, at: Timestamp) -> Result<(), Refused> {
        if self.broken.is_some() {
            return Err(Refused::Already("the embargo is broken: what is public cannot be embargoed"));
        }
        let member = self.members.get_mut(&party).filter(|member| member.is_party());
        let member = member.ok_or(Refused::NoSuchParty)?;
        let agreed =
            member.embargo.ok_or(Refused::NotYet("notify the vendor first: its embargo begins then"))?;
        if until <= agreed {
            return Err(Refused::EmbargoShortened { agreed });
        }
        if at >= agreed || member.released.is_some() {
            return Err(Refused::Already("this embargo is over"));
        }
        member.embargo = Some(until);
        Ok(())
    }

    /// The vendor that acts, if it was notified.
    fn notified(&mut self, party: Party) -> Result<&mut Member, Refused> {
        let member = self.members.get_mut(&party).ok_or(Refused::NotYours)?;
        match (member.role.is_vendor(), member.notified) {
            (false, _) => Err(Refused::NotYours),
            (true, None) => Err(Refused::NotYet("you have not been notified in this case yet")),
            (true, Some(_)) => Ok(member),
        }
    }

    /// Whether `viewer` is to know that `subject` is a party. Coordinators know all and are known to all; the reporter and the
    /// vendor know each other, unless the reporter is anonymous; whoever else was named to somebody is known to them.
    pub(super) fn knows(&self, viewer: Party, subject: Party) -> bool {
        let role = |party| self.members.get(&party).map(|member: &Member| member.role);
        let (Some(viewing), Some(seen)) = (role(viewer), role(subject)) else { return false };
        viewer == subject
            || viewing == Role::Coordinator
            || seen == Role::Coordinator
            || (viewing == Role::Reporter && seen == Role::Vendor)
            || (viewing.is_vendor() && seen == Role::Reporter && !self.anonymous)
            || self.revealed.contains(&(subject, viewer))
    }

    /// How far the case is.
    pub fn phase(&self) -> Phase {
        if self.withdrawn.is_some() {
            return Phase::Withdrawn;
        }
        if self.published.is_some() {
            return Phase::Published;
        }
        let told = self.members.values().filter(|member| member.is_party() && member.notified.is_some());
        let told: Vec<&Member> = told.collect();
        match (self.triaged, told.as_slice()) {
            (None, _) => Phase::Received,
            (Some(_), []) => Phase::Triaged,
            (Some(_), told) if told.iter().all(|member| member.fix_ready.is_some()) => Phase::FixReady,
            (Some(_), _) => Phase::Notified,
        }
    }

    /// When the last embargo ends that stands. `None`: none does, or it was broken.
    pub fn embargo_end(&self) -> Option<Timestamp> {
        if self.broken.is_some() {
            return None;
        }
        self.members.values().filter_map(Member::standing_embargo).max()
    }

    /// Whether it is on record that the last embargo that stands has ended.
    pub fn has_expired(&self) -> bool {
        self.expired.is_some() && self.expired == self.embargo_end()
    }

    /// Who may read what belongs to the case: its parties, and nobody else.
    pub fn policy(&self) -> Policy {
        let parties = self.members.iter().filter(|(_, member)| member.is_party());
        Policy::new([Handling { audience: parties.map(|(party, _)| *party).collect(), ..self.handling() }])
    }

    /// Who may read what is between `party` and the coordinators.
    pub fn policy_between(&self, party: Party) -> Policy {
        let leads = |member: &Member| member.role == Role::Coordinator && member.is_party();
        let coordinators = self.members.iter().filter(|(_, member)| leads(member));
        let audience = coordinators.map(|(party, _)| *party).chain([party]).collect();
        Policy::new([Handling { audience, ..self.handling() }])
    }

    fn handling(&self) -> Handling {
        let owner = match self.lead {
            Party::Organisation(owner) => owner,
            // INVARIANT: `open` and `Transferred` let only organisations lead; the nil organisation owns nothing.
            Party::Person(_) | Party::Group(_) => OrgId::new(ostrom_core::Uuid::nil()),
        };
        Handling::new(owner, Tlp::AmberStrict)
    }

    /// Which party of the case somebody is: themselves, or else their organisation.
    pub fn party_of(&self, reader: &Reader) -> Option<Party> {
        let person = reader.person.map(Party::Person);
        let organisation = reader.organisation.map(Party::Organisation);
        person.into_iter().chain(organisation).find(|party| self.party(*party).is_some())
    }

    /// What was chosen to be published.
    pub fn advisory(&self) -> Option<&ObjectId> {
        self.advisory.as_ref()
    }

    /// What opens the commitment: the salt, the entry in the log and the digest of the report.
    pub fn opening(&self) -> Option<(Salt, u64, Digest)> {
        self.opening
    }

    /// The events, in order.
    pub fn log(&self) -> &[Event] {
        &self.log
    }

    /// What it is about.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Who leads it.
    pub fn lead(&self) -> Party {
        self.lead
    }

    /// What was agreed.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// The commitment to the report.
    pub fn commitment(&self) -> Option<Digest> {
        self.commitment
    }

    /// The parties.
    pub fn members(&self) -> &BTreeMap<Party, Member> {
        &self.members
    }

    /// How bad it is, once it was triaged.
    pub fn severity(&self) -> Option<Severity> {
        self.triaged
    }

    /// That somebody published before the time.
    pub fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// When it was published, and the advisory.
    pub fn published(&self) -> Option<(Timestamp, Option<&ObjectId>)> {
        self.published.as_ref().map(|(at, advisory)| (*at, advisory.as_ref()))
    }
}

const fn can_be_party(party: Party) -> bool {
    matches!(party, Party::Organisation(_) | Party::Person(_))
}

fn text(text: &str, max: usize, why: &'static str) -> Result<(), Refused> {
    if text.trim().is_empty() || text.len() > max { Err(Refused::Text(why)) } else { Ok(()) }
}

fn text_or_none(text: &str) -> Result<(), Refused> {
    if text.len() > MAX_NOTE { Err(Refused::Text("a note has at most 4 KiB")) } else { Ok(()) }
}
