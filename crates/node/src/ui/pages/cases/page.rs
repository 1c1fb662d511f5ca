//! The page of one case.

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::Response;
use ostrom_core::handling::Party;
use ostrom_core::{CaseId, Timestamp};
use ostrom_exchange::disclosure::{Phase, Role as Part, SeenActor, SeenEvent, SeenParty, To, View, What};
use ostrom_store::Role;

use super::{PHASES, act, cases, part_name, phase_badge};
use crate::api::service;
use crate::ui::entries::Problems;
use crate::ui::markdown;
use crate::ui::pages::names::{self, Names};
use crate::ui::pages::thing::link_of;
use crate::ui::pages::visit::{Visit, show};
use crate::ui::part::{
    Action, Block, Cell, Clock, Facts, Field, Form, Link, Message, Notice, Section, Step, StepState, Steps,
    Timeline, TimelineItem, Tone, When,
};
use crate::ui::view::{CaseView, Page, PartyRow};
use crate::{Failure, note};

pub(super) async fn find(visit: &Visit, id: &str) -> Result<(CaseId, View), Failure> {
    visit.person()?;
    let id: CaseId = id.parse().map_err(|_| Failure::NotFound)?;
    let view = cases(visit).get(&visit.actor.reader, id, visit.now).await?;
    Ok((id, view.ok_or(Failure::NotFound)?))
}

/// `/cases/{id}`
pub async fn case(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let (id, view) = find(&visit, &id).await?;
    note::case(&visit.app, &visit.actor, id, "page").await?;
    let page = page(&visit, id, view, Problems::default()).await?;
    show(&page)
}

pub(super) async fn page(visit: &Visit, id: CaseId, view: View, problems: Problems) -> Result<Page, Failure> {
    let names = Names::read(&visit.app.store).await?;
    let href = format!("/cases/{id}");
    let own: BTreeSet<Party> = [
        visit.actor.organisation().map(Party::Organisation),
        visit.actor.person().map(|person| Party::Person(person.id)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut facts = Facts::new()
        .fact("Opened", Cell::When(When::at(view.opened)))
        .fact("Your part", Cell::text(part_name(view.role)))
        .fact(
            "When the last embargo ends",
            Cell::text(if view.terms.automatic_release {
                "it is published automatically"
            } else {
                "the coordinator publishes it"
            }),
        );
    if let Some(end) = view.embargo_end {
        facts = facts.fact("Last embargo ends", Cell::When(When::at(end)));
    }
    let about = view
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::AdvisoryChosen { advisory } | What::Published { advisory: Some(advisory) } => {
                Some(Link::to("The advisory", link_of(advisory)))
            }
            _ => None,
        })
        .next_back();
    let notice = if view.broken && !view.phase.is_closed() {
        Some(Notice::new(
            Tone::Bad,
            "Somebody published before the time.",
            "Every embargo is over: publish soon.",
        ))
    } else {
        problems.of("").map(|why| Notice::new(Tone::Bad, "This was not done.", why))
    };
    let report = cases(visit).report(&visit.actor.reader, id, visit.now).await?;
    let mut commitment = Facts::new();
    if let Some(digest) = &view.commitment {
        commitment = commitment.fact("Commitment", Cell::Code(digest.to_string()));
    }
    let mut proof = None;
    for event in &view.events {
        if let What::Committed { leaf, .. } = &event.what {
            commitment = commitment.fact("Leaf in the log", Cell::Number(leaf.to_string()));
            proof = Some(Link::to("Its opening and proof, for anybody to check", format!("{href}/opening")));
        }
    }
    if proof.is_none() {
        commitment = commitment.fact("Opened to you", Cell::text("when the case is published"));
    }
    let mut actions = Vec::new();
    if view.role == Part::Coordinator && visit.is(Role::Coordinator) && !view.phase.is_closed() {
        actions
            .push(Action::Go(Link::to("Publish…", format!("{href}/publish")), view.phase == Phase::FixReady));
        actions.push(Action::Go(Link::to("Withdraw…", format!("{href}/withdraw")), false));
    }
    let clocks = clocks(&view, &names, visit.now);
    let reply = Form::post(format!("{href}/act"), visit.csrf(), "Send").fields(vec![
        Field::hidden("event", "message"),
        Field::area("text", "Message to all parties", "", 4).required(),
    ]);
    let forms = act::forms(visit, &view, &names, &href);
    let case = CaseView {
        title: view.title.clone(),
        state: phase_badge(view.phase),
        notice,
        steps: steps(&view),
        about: about.into_iter().collect(),
        facts,
        parties: view.parties.iter().map(|party| party_row(party, &names)).collect(),
        clocks,
        messages: messages(&view, &names, &own),
        reply: service::may_act(&visit.actor, None).is_ok().then_some(reply),
        timeline: timeline(&view, &names),
        steps_allowed: forms,
        actions,
        commitment,
        proof,
        href,
    };
    let mut chrome = visit.chrome().await?;
    visit.done(
        &mut chrome,
        &[
            ("opened", "The case is open; the commitment to its report is in the log."),
            ("acted", "Done, and on record."),
        ],
    );
    let mut page = case.page(chrome);
    if let Some(report) = report {
        let text = markdown::render(&String::from_utf8_lossy(report.as_ref()));
        let section = Section::new("report", "Report", vec![Block::Prose(text)])
            .noted("Its reporter and the coordinators read this, and nobody else.");
        page.main.insert(2, section);
    }
    Ok(page)
}

fn clocks(view: &View, names: &Names, now: Timestamp) -> Vec<Clock> {
    let day = |time: Timestamp, days: u16| time.plus_seconds(i64::from(days).saturating_mul(86_400));
    let mut clocks = Vec::new();
    if view.phase.is_closed() {
        return clocks;
    }
    if view.phase == Phase::Received {
        clocks.push(Clock::new(
            "Triage",
            "Coordinator",
            view.opened,
            day(view.opened, view.terms.triage_days),
            now,
        ));
    }
    for party in view.parties.iter().filter(|party| party.role.is_vendor()) {
        let who = party_name(party, names);
        if let Some(notified) = party.notified {
            let clock = Clock::new(
                "Acknowledgement",
                &who,
                notified,
                day(notified, view.terms.acknowledge_days),
                now,
            );
            clocks.push(match party.acknowledged {
                Some(time) => clock.met(time),
                None => clock,
            });
        }
        if let (Some(notified), Some(end), None) = (party.notified, party.embargo, party.released) {
            clocks.push(Clock::new("Embargo", who, notified, end, now));
        }
    }
    clocks
}

fn party_name(party: &SeenParty, names: &Names) -> String {
    match &party.party {
        Some(party) => names.party(party),
        None => format!("Not named to you ({})", part_name(party.role).to_lowercase()),
    }
}

fn party_row(party: &SeenParty, names: &Names) -> PartyRow {
    PartyRow {
        who: party_name(party, names),
        part: match party.removed {
            Some(_) => format!("{}, removed", part_name(party.role)),
            None => part_name(party.role).to_owned(),
        },
        notified: party.notified.map(When::date),
        acknowledged: party.acknowledged.map(When::date),
        embargo: party.embargo.map(When::date),
    }
}

fn who(by: &SeenActor, names: &Names) -> String {
    match by {
        SeenActor::Party(party) => names.party(party),
        SeenActor::Role(part) => format!("{}, not named to you", part_name(*part)),
        SeenActor::Node => "The node's clock".to_owned(),
    }
}

fn steps(view: &View) -> Steps {
    let reached = |phase: Phase| {
        view.events.iter().find_map(|event| {
            let at = match (&event.what, phase) {
                (What::Received { .. }, Phase::Received)
                | (What::Triaged { .. }, Phase::Triaged)
                | (What::Notified { .. }, Phase::Notified)
                | (What::FixReady { .. }, Phase::FixReady)
                | (What::Published { .. }, Phase::Published)
                | (What::Withdrawn { .. }, Phase::Withdrawn) => Some(event.at),
                _ => None,
            };
            at.map(When::date)
        })
    };
    let steps = PHASES
        .iter()
        .filter(|(phase, ..)| *phase != Phase::Withdrawn || view.phase == Phase::Withdrawn)
        .filter(|(phase, ..)| *phase != Phase::Published || view.phase != Phase::Withdrawn)
        .map(|(phase, _, name)| {
            let state = match phase.cmp(&view.phase) {
                std::cmp::Ordering::Less => StepState::Done,
                std::cmp::Ordering::Equal => StepState::Now,
                std::cmp::Ordering::Greater => StepState::Ahead,
            };
            let when = reached(*phase).filter(|_| state != StepState::Ahead);
            // A step that a withdrawal left out was not done.
            let state = if state == StepState::Done && when.is_none() { StepState::Ahead } else { state };
            Step { name: (*name).to_owned(), when, state }
        })
        .collect();
    Steps { steps }
}

fn messages(view: &View, names: &Names, own: &BTreeSet<Party>) -> Vec<Message> {
    let part_of = |party: &Party| {
        view.parties.iter().find(|it| it.party.as_ref() == Some(party)).map_or("", |it| part_name(it.role))
    };
    view.events
        .iter()
        .filter_map(|event| match &event.what {
            What::Message { to, text } => {
                let part = match &event.by {
                    SeenActor::Party(party) => part_of(party).to_lowercase(),
                    _ => String::new(),
                };
                let only = match to {
                    To::All => String::new(),
                    To::Parties(parties) => {
                        let names: Vec<String> = parties.iter().map(|party| names.party(party)).collect();
                        format!(" · only to {}", names::together(&names))
                    }
                };
                Some(Message {
                    who: who(&event.by, names),
                    role: format!("{part}{only}"),
                    when: When::at(event.at),
                    body: markdown::render(text),
                    mine: matches!(&event.by, SeenActor::Party(party) if own.contains(party)),
                })
            }
            _ => None,
        })
        .collect()
}

fn timeline(view: &View, names: &Names) -> Timeline {
    let items = view.events.iter().rev().filter_map(|event| item(event, names)).collect();
    Timeline { items }
}

fn item(event: &SeenEvent, names: &Names) -> Option<TimelineItem> {
    let text = |text: &str| Some(markdown::plain(text)).filter(|html| !html.is_empty());
    let (what, more) = match &event.what {
        What::Received { .. } => ("Received, and committed to in the log".to_owned(), None),
        What::Triaged { severity, note } => (format!("Triaged: {severity}"), text(note)),
        What::PartyInvited { party, role } => {
            (format!("{} joined as {}", names.party(party), part_name(*role).to_lowercase()), None)
        }
        What::PartyRemoved { party, why } => (format!("{} was removed", names.party(party)), text(why)),
        What::Notified { party, .. } => (format!("{} was notified", names.party(party)), None),
        What::Acknowledged => ("Acknowledged".to_owned(), None),
        What::Message { .. } | What::Committed { .. } => return None,
        What::EmbargoExtended { party, until, why } => {
            (format!("Embargo of {} extended to {}", names.party(party), When::at(*until).shown()), text(why))
        }
        What::ReleaseAgreed => ("Agreed to a release".to_owned(), None),
        What::FixReady { note } => ("A fix is ready".to_owned(), text(note)),
        What::NameRevealed { party, .. } => (format!("{} was named to others", names.party(party)), None),
        What::BrokeEarly { place, .. } => ("Published before the time".to_owned(), text(place)),
        What::Expired { end } => (format!("The last embargo ended on {}", When::at(*end).shown()), None),
        What::Published { .. } => ("Published".to_owned(), None),
        What::Withdrawn { why } => ("Withdrawn".to_owned(), text(why)),
        What::AdvisoryChosen { .. } => ("The advisory was chosen".to_owned(), None),
        What::Transferred { to: party } => (format!("{} leads the case now", names.party(party)), None),
    };
    Some(TimelineItem { when: When::at(event.at), who: who(&event.by, names), what, more, badge: None })
}
