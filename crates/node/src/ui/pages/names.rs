//! Names of members, and sentences about who can read.

use std::collections::BTreeMap;

use ostrom_core::handling::{Handling, Party, Policy, Reason, Tlp};
use ostrom_core::{GroupId, OrgId, PersonId, Timestamp};
use ostrom_store::Store;

use crate::Failure;
use crate::ui::part::When;

/// The names of all members.
#[derive(Debug, Default)]
pub struct Names {
    /// Organisations.
    pub organisations: BTreeMap<OrgId, String>,
    /// Persons, with their organisation.
    pub persons: BTreeMap<PersonId, (String, OrgId)>,
    /// Trust groups.
    pub groups: BTreeMap<GroupId, String>,
}

impl Names {
    /// Reads them.
    pub async fn read(store: &Store) -> Result<Self, Failure> {
        let organisations = store.organisations().await?.into_iter().map(|it| (it.id, it.name)).collect();
        let persons =
            store.persons().await?.into_iter().map(|it| (it.id, (it.name, it.organisation))).collect();
        let groups = store.groups().await?.into_iter().map(|it| (it.id, it.name)).collect();
        Ok(Self { organisations, persons, groups })
    }

    /// An organisation's name.
    pub fn organisation(&self, id: OrgId) -> String {
        self.organisations.get(&id).cloned().unwrap_or_else(|| "an organisation elsewhere".to_owned())
    }

    /// A person's name.
    pub fn person(&self, id: PersonId) -> String {
        self.persons.get(&id).map_or_else(|| "somebody elsewhere".to_owned(), |(name, _)| name.clone())
    }

    /// A party's name.
    pub fn party(&self, party: &Party) -> String {
        match party {
            Party::Organisation(id) => self.organisation(*id),
            Party::Person(id) => self.person(*id),
            Party::Group(id) => match self.groups.get(id) {
                Some(name) => format!("the trust group {name}"),
                None => "a trust group elsewhere".to_owned(),
            },
        }
    }

    fn parties<'a>(&self, parties: impl IntoIterator<Item = &'a Party>) -> Vec<String> {
        parties.into_iter().map(|party| self.party(party)).collect()
    }

    /// Who can read under one handling, in sentences.
    pub fn sentence(&self, handling: &Handling, now: Timestamp) -> String {
        if let Some(why) = &handling.refused {
            return format!("Nobody: a mark on it is not understood ({why}).");
        }
        let owner = self.organisation(handling.owner);
        let author = handling.author.map(|id| self.person(id));
        let mut text = match handling.tlp {
            Tlp::Clear if handling.audience.is_empty() => "Everybody, signed in or not.".to_owned(),
            Tlp::Green if handling.audience.is_empty() => {
                "Every member of this node, and nobody else.".to_owned()
            }
            Tlp::Red => {
                let persons = handling.audience.iter().filter(|party| matches!(party, Party::Person(_)));
                let mut who: Vec<String> =
                    author.iter().map(|name| format!("{name}, who wrote it")).collect();
                who.extend(self.parties(persons));
                let ignored = handling.audience.iter().any(|party| !matches!(party, Party::Person(_)));
                let rest = if ignored {
                    " Organisations and groups among the recipients do not count: TLP:RED is for named persons."
                } else {
                    ""
                };
                format!("{}; nobody else, not even the rest of {owner}.{rest}", together(&who))
            }
            Tlp::Amber | Tlp::AmberStrict if handling.audience.is_empty() => {
                format!("Everybody at {owner}, which owns it, and nobody else.")
            }
            tlp => {
                let who = together(&self.parties(&handling.audience));
                let clients =
                    if tlp < Tlp::AmberStrict { ", and the clients of named organisations" } else { "" };
                format!("Everybody at {owner}, which owns it, and {who}{clients}. Nobody else.")
            }
        };
        if let Some(embargo) = handling.embargo.as_ref().filter(|embargo| now < embargo.until) {
            let until = When::at(embargo.until);
            let among = if embargo.parties.is_empty() {
                format!("only {owner}")
            } else {
                format!("of them only {owner} and {}", together(&self.parties(&embargo.parties)))
            };
            text.push_str(&format!(" Until {}, {among}.", until.shown()));
        }
        if let Some(iep) = &handling.iep {
            if let Some(start) = iep.start.filter(|start| now < *start) {
                text.push_str(&format!(" Nobody before {}.", When::at(start).shown()));
            }
            if let Some(end) = iep.end {
                text.push_str(&format!(" Nobody from {} on.", When::at(end).shown()));
            }
        }
        text
    }

    /// Who can read under a policy, in sentences.
    pub fn policy(&self, policy: &Policy, now: Timestamp) -> String {
        let mut lines: Vec<String> =
            policy.handlings().map(|handling| self.sentence(handling, now)).collect();
        lines.dedup();
        match lines.as_slice() {
            [] => "Nobody: it carries no mark.".to_owned(),
            [one] => one.clone(),
            many => format!(
                "Only those whom every one of {} marks lets read. {}",
                many.len(),
                many.join(" And: ")
            ),
        }
    }

    /// A reason, for the one whom it is about.
    pub fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::Author => "you wrote it".to_owned(),
            Reason::Owner => "your organisation owns it".to_owned(),
            Reason::Everybody => "it is for everybody".to_owned(),
            Reason::Member => "it is for members of this node, and you are one".to_owned(),
            Reason::Named(Party::Person(_)) => "you are a named recipient".to_owned(),
            Reason::Named(Party::Organisation(_)) => "your organisation is a named recipient".to_owned(),
            Reason::Named(party @ Party::Group(_)) => format!("it was shared with {}", self.party(party)),
            Reason::ClientOf(party) => format!("your organisation is a client of {}", self.party(party)),
            other => other.to_string(),
        }
    }
}

/// `a, b and c`.
pub fn together(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// With a capital and a full stop.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
