//! The page of one shared thing, who can see it, and its exports.

use axum::extract::Path;
use axum::response::Response;
use ostrom_core::handling::{Handling, Policy, Reader};
use ostrom_core::{ObjectId, PersonId};
use ostrom_exchange::types::Record;
use ostrom_store::{Reading, Role};

use super::duties;
use super::lists::{clock, read};
use super::names::{Names, sentence};
use super::thing::{Thing, state_name, voices_table};
use super::visit::{Visit, go, show};
use crate::ui::part::{
    Action, Badge, Cell, Choice, Control, Facts, Field, Form, Link, Notice, Section, Table, Timeline,
    TimelineItem, Tone, When,
};
use crate::ui::view::{AccessRow, AccessView, HandlingRow, Kind, ObjectView, Opening, Relation};
use crate::{Failure, duty};

/// The most related things on a page.
const MOST: usize = 50;

/// Something with this id and kind that the visitor may see, and its effective policy. Everything else is not found, with the same answer.
pub async fn find(reading: &Reading, kind: Option<Kind>, id: &str) -> Result<(Thing, Policy), Failure> {
    let id: ObjectId = id.parse().map_err(|_| Failure::NotFound)?;
    let object = reading.get(&id, None).await?.ok_or(Failure::NotFound)?;
    let (policy, _) = reading.explain(&id, None).await?.ok_or(Failure::NotFound)?;
    let thing = Thing::read(object);
    if kind.is_some() && thing.kind != kind {
        return Err(Failure::NotFound);
    }
    Ok((thing, policy))
}

/// `/objects/{id}`: leads to the kind's own page, if it has one.
pub async fn any(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, policy) = find(&reading, None, &id).await?;
    match thing.kind {
        Some(_) => go(&thing.href()),
        None => page(&visit, &reading, thing, policy).await,
    }
}

/// `/flaws/{id}` and the others.
pub async fn object(kind: Kind, visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, policy) = find(&reading, Some(kind), &id).await?;
    page(&visit, &reading, thing, policy).await
}

async fn page(visit: &Visit, reading: &Reading, thing: Thing, policy: Policy) -> Result<Response, Failure> {
    let names = Names::read(&visit.app.store).await?;
    let id = thing.head.key.id.clone();
    visit.note("page", &[&id]).await?;
    let kind = thing.kind.unwrap_or(Kind::Advisory);
    let href = thing.href();
    let owns = visit.actor.organisation() == Some(thing.head.owner);
    let (relations, voices) = around(reading, &id, &names).await?;
    let mut history = Vec::new();
    for head in reading.history(&id).await?.into_iter().take(MOST) {
        let by = head.person.map(|person| names.person(person));
        let who = names.organisation(head.owner);
        history.push(TimelineItem {
            when: When::at(head.key.added),
            who: by.filter(|_| owns).map_or(who.clone(), |name| format!("{name}, {who}")),
            what: format!("Version of {}: {}", When::at(head.key.version).shown(), head.title),
            more: None,
            badge: None,
        });
    }
    let duties = match visit.actor.organisation() {
        Some(organisation) => duty::kept(reading, &id, organisation).await?,
        None => Vec::new(),
    };
    let clocks = duties.iter().map(|kept| clock(&kept.due, None, &names, visit.now)).collect();
    let decision = policy.decide(&visit.actor.reader, visit.now);
    let mut provenance = Facts::new()
        .fact("Owner", Cell::text(names.organisation(thing.head.owner)))
        .fact("Received", Cell::When(When::at(thing.head.key.added)))
        .fact("STIX type", Cell::Code(thing.head.kind().to_owned()));
    if thing.head.peer.is_some() {
        provenance = provenance.fact("Came from", Cell::text("another node"));
    }
    let mut actions = vec![Action::Go(Link::to("Export", format!("{href}/export")), false)];
    let is_sealed = thing.ai().is_some_and(|ai| ai.sealed.is_some());
    // What is changed here would not open any more.
    if owns && !is_sealed && visit.is(Role::Contributor) && thing.record.is_some() && kind.begin().is_some() {
        actions.insert(0, Action::Go(Link::to("Edit", format!("{href}/edit")), false));
    }
    let notice = decision.changes().map(|changes| {
        Notice::new(
            Tone::Warn,
            "Under embargo or limited in time.",
            format!("Who can read it changes on {}.", When::at(changes).shown()),
        )
    });
    let opening = match (thing.head.leaf, &thing.head.salt) {
        (Some(leaf), Some(salt)) => Some(Opening {
            leaf,
            digest: thing.head.digest.to_string(),
            salt: data_encoding::HEXLOWER.encode(salt),
        }),
        _ => None,
    };
    if opening.is_none() {
        provenance = provenance.fact("SHA-256", Cell::Code(thing.head.digest.to_string()));
    }
    let mut sections = thing.sections();
    // First, since there is little else to see.
    if let Some(section) = super::sealing::section(visit, &thing, &names).await? {
        sections.insert(0, section);
    }
    if kind == Kind::Incident {
        if let Some(facts) = thing.ai().and_then(duty::facts_of) {
            let why = crate::ui::part::Block::Bullets(duties::why(&facts));
            sections.push(Section::new("why", "Why it is called that", vec![why]));
        }
        sections.extend(duties::section(visit, &thing, &duties));
    }
    let voice_form =
        (visit.is(Role::Contributor) && thing.kind.is_some()).then(|| voice_form(&href, visit.csrf()));
    let view = ObjectView {
        kind,
        id: id.to_string(),
        title: thing.title(),
        tlp: Badge::tlp(policy.tlp()),
        badges: thing.badges(),
        notice,
        texts: thing.texts(),
        facts: thing.facts(),
        sections,
        steps: None,
        clocks,
        relations,
        voices,
        history: Timeline { items: history },
        references: thing.references(),
        readers: names.policy(&policy, visit.now),
        why_me: decision.reasons().map(|reason| names.reason(reason)).collect(),
        obligations: obligations(&policy),
        provenance,
        opening,
        actions,
        voice_form,
        href,
    };
    let mut chrome = visit.chrome().await?;
    visit.done(
        &mut chrome,
        &[
            ("saved", "Saved."),
            ("said", "Said, to everybody who can read this."),
            ("sent", "Noted that the report was sent."),
        ],
    );
    show(&view.page(chrome))
}

/// The form for a sighting or an opinion.
fn voice_form(href: &str, csrf: &str) -> Form {
    let choices = vec![
        Choice::new("seen", "I have seen this too").chosen(true),
        Choice::new("strongly-agree", "I agree: it holds"),
        Choice::new("neutral", "I cannot say"),
        Choice::new("strongly-disagree", "I disagree: it does not hold"),
    ];
    Form::post(format!("{href}/voice"), csrf, "Say it").fields(vec![
        Field::new("say", "What do you want to say?", Control::Radio(choices)).required(),
        Field::area("note", "Note", "", 2)
            .hinted("Everybody who can read this can read it, and nobody else."),
    ])
}

/// Relations, sightings and opinions, as far as the visitor may see both ends.
async fn around(reading: &Reading, id: &ObjectId, names: &Names) -> Result<(Vec<Relation>, Table), Failure> {
    let mut relations = Vec::new();
    let mut voices = voices_table();
    let incoming = reading.referred_by(id, &[], None, MOST).await?;
    for (thing, policy) in read(reading, &incoming.rows).await? {
        let said = |what: String, note: Option<&String>| {
            vec![
                Cell::text(names.organisation(thing.head.owner)),
                Cell::text(what),
                Cell::When(When::date(thing.head.key.added)),
                note.map_or(Cell::None, |note| Cell::Muted(note.chars().take(1_000).collect())),
            ]
        };
        match &thing.record {
            Some(Record::Sighting(it)) if it.sighting_of_ref == *id => {
                let times = it
                    .count
                    .filter(|count| *count > 1)
                    .map_or(String::new(), |count| format!(" {count} times"));
                voices.rows.push(said(format!("Seen{times}"), it.description.as_ref()));
            }
            Some(Record::Opinion(it)) if it.object_refs.contains(id) => {
                voices.rows.push(said(state_name(it.opinion.name()), it.explanation.as_ref()));
            }
            Some(Record::Relation(it)) => {
                let (other, how) = if it.source_ref == *id {
                    (&it.target_ref, it.relationship_type.replace('-', " "))
                } else {
                    (&it.source_ref, reverse(&it.relationship_type))
                };
                if let Some(other) = reading.get(other, None).await? {
                    relations.push(relation(&Thing::read(other), how, &policy));
                }
            }
            _ => relations.push(relation(&thing, "refers to this".to_owned(), &policy)),
        }
    }
    let outgoing = reading.refers_to(id).await?;
    let outgoing: Vec<_> = outgoing.into_iter().take(MOST).collect();
    for (thing, policy) in read(reading, &outgoing).await? {
        relations.push(relation(&thing, "this refers to it".to_owned(), &policy));
    }
    Ok((relations, voices))
}

/// A relationship, from its other end.
fn reverse(how: &str) -> String {
    match how {
        "mitigates" => "is mitigated by".to_owned(),
        "uses" => "is used by".to_owned(),
        "targets" => "is targeted by".to_owned(),
        "exploits" => "is exploited by".to_owned(),
        "indicates" => "is indicated by".to_owned(),
        "derived-from" => "is the source of".to_owned(),
        "duplicate-of" | "related-to" => how.replace('-', " "),
        other => format!("this is the target of “{}”", other.replace('-', " ")),
    }
}

fn relation(thing: &Thing, how: String, policy: &Policy) -> Relation {
    Relation {
        how,
        kind: thing.kind.map_or_else(|| state_name(thing.head.kind()), |kind| kind.one().to_owned()),
        to: Link::to(thing.title(), thing.href()),
        badges: vec![Badge::tlp(policy.tlp())],
    }
}

/// What providers ask of readers.
fn obligations(policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    for iep in policy.handlings().filter_map(|handling| handling.iep.as_ref()) {
        lines.push(format!(
            "Exchange policy {}: you {} encrypt it in transit",
            iep.name, iep.encrypt_in_transit
        ));
        lines.push(format!("Permitted: {}", iep.permitted_actions));
        lines.push(format!("You {} notify affected parties", iep.affected_party_notifications));
        lines.push(format!("You {} say where you have it from", iep.attribution));
    }
    lines
}

/// `/flaws/{id}/access`
pub async fn access(kind: Kind, visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, policy) = find(&reading, Some(kind), &id).await?;
    let names = Names::read(&visit.app.store).await?;
    let own: Vec<&Handling> = thing.own.handlings().collect();
    let handlings = policy
        .handlings()
        .map(|handling| HandlingRow {
            of: if own.contains(&handling) {
                format!("This {}", kind.one().to_lowercase())
            } else {
                "Something that it refers to, or its collection".to_owned()
            },
            tlp: Badge::tlp(handling.tlp),
            says: names.sentence(handling, visit.now),
        })
        .collect();
    let decision = policy.decide(&visit.actor.reader, visit.now);
    let owns = visit.actor.organisation() == Some(thing.head.owner);
    let parties = if owns { Some(parties(&visit, &policy, &names).await?) } else { None };
    let view = AccessView {
        kind,
        title: thing.title(),
        href: thing.href(),
        tlp: Badge::tlp(policy.tlp()),
        readers: names.policy(&policy, visit.now),
        why_me: decision.reasons().map(|reason| sentence(&names.reason(reason))).collect(),
        handlings,
        parties,
        marks: None,
    };
    show(&view.page(visit.chrome().await?))
}

/// Every person of the node, those who can read first.
async fn parties(visit: &Visit, policy: &Policy, names: &Names) -> Result<Vec<AccessRow>, Failure> {
    let mut readers: Vec<(Option<PersonId>, Reader)> =
        visit.app.store.readers().await?.into_iter().map(|(id, reader)| (Some(id), reader)).collect();
    readers.push((None, Reader::anonymous(true)));
    let mut rows: Vec<AccessRow> = readers
        .into_iter()
        .take(500)
        .map(|(person, mut reader)| {
            // Whether somebody reads over an encrypted connection is not known here: the answer is for one.
            reader.encrypted = true;
            let decision = policy.decide(&reader, visit.now);
            let why: Vec<String> = decision.reasons().map(ToString::to_string).collect();
            let who = match person {
                None => "Somebody who is not signed in".to_owned(),
                Some(id) => {
                    let organisation =
                        reader.organisation.map(|id| names.organisation(id)).unwrap_or_default();
                    format!("{}, {organisation}", names.person(id))
                }
            };
            AccessRow {
                who,
                can: decision.allowed(),
                why: why.join("; "),
                changes: decision.changes().map(When::at),
            }
        })
        .collect();
    rows.sort_by(|a, b| b.can.cmp(&a.can).then_with(|| a.who.cmp(&b.who)));
    Ok(rows)
}

/// `/flaws/{id}/stix`: a bundle.
pub async fn stix(kind: Kind, visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, _) = find(&reading, Some(kind), &id).await?;
    let object = reading.get(&thing.head.key.id, None).await?.ok_or(Failure::NotFound)?;
    let (export, shown) = crate::exports::bundle(&reading, &object).await?;
    visit.note("stix export", &shown.iter().collect::<Vec<_>>()).await?;
    crate::exports::file(export, "application/stix+json;version=2.1")
}
