//! Cases of coordinated disclosure.

use std::collections::BTreeSet;

use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use ostrom_core::handling::Party;
use ostrom_core::{CaseId, OrgId, Severity, Timestamp};
use ostrom_exchange::disclosure::{
    CaseError, Cases, NewCase, Phase, Role as Part, SeenActor, SeenEvent, SeenParty, Terms, To, View, What,
};
use ostrom_store::Role;

use super::enter::query;
use super::names::{Names, sentence};
use super::report::Sent;
use super::thing::link_of;
use super::visit::{Visit, go, show, show_as};
use crate::api::service;
use crate::ui::entries::{Entries, Problems};
use crate::ui::markdown;
use crate::ui::part::{
    Action, Badge, Block, Cell, Choice, Clock, Control, Facts, Field, Form, Head, Link, Message, Notice,
    Pager, Section, Step, StepState, Steps, Timeline, TimelineItem, Tone, When, from_field,
};
use crate::ui::view::{CaseRow, CaseView, CasesView, Page, PartyRow, form_page};
use crate::web::Checked;
use crate::{Failure, publish};

const PHASES: [(Phase, &str, &str); 6] = [
    (Phase::Received, "received", "Received"),
    (Phase::Triaged, "triaged", "Triaged"),
    (Phase::Notified, "notified", "Notified"),
    (Phase::FixReady, "fix-ready", "Fix ready"),
    (Phase::Published, "published", "Published"),
    (Phase::Withdrawn, "withdrawn", "Withdrawn"),
];
/// The cases of one page of the list.
const PAGE: usize = 50;

fn cases(visit: &Visit) -> &Cases {
    &visit.app.cases
}

fn phase_name(phase: Phase) -> &'static str {
    PHASES.iter().find(|(it, ..)| *it == phase).map_or("", |(.., name)| name)
}

fn phase_badge(phase: Phase) -> Badge {
    let tone = match phase {
        Phase::Received => Tone::Warn,
        Phase::Triaged | Phase::Notified => Tone::Info,
        Phase::FixReady | Phase::Published => Tone::Good,
        Phase::Withdrawn => Tone::Plain,
    };
    Badge::new(phase_name(phase), tone)
}

const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Reporter => "Reporter",
        Part::Coordinator => "Coordinator",
        Part::Vendor => "Vendor",
        Part::OtherVendor => "Other affected vendor",
    }
}

fn party_value(party: &Party) -> String {
    match party {
        Party::Organisation(id) => format!("organisation:{id}"),
        Party::Person(id) => format!("person:{id}"),
        Party::Group(id) => format!("group:{id}"),
    }
}

fn read_party(text: &str) -> Option<Party> {
    let (kind, id) = text.split_once(':')?;
    match kind {
        "organisation" => id.parse().ok().map(Party::Organisation),
        "person" => id.parse().ok().map(Party::Person),
        _ => None,
    }
}

/// `/cases`
pub async fn list(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    visit.person()?;
    let entries = query(raw.as_deref());
    let state = entries.get("state").to_owned();
    let wanted = PHASES.iter().find(|(_, value, _)| *value == state).map(|(phase, ..)| *phase);
    let from: usize = entries.get("from").parse().unwrap_or(0);
    let all = cases(&visit).list(&visit.actor.reader, visit.now).await?;
    let fits: Vec<_> =
        all.into_iter().filter(|(_, view)| wanted.is_none_or(|phase| view.phase == phase)).collect();
    let more = fits.len() > from.saturating_add(PAGE);
    let rows = fits
        .into_iter()
        .skip(from)
        .take(PAGE)
        .map(|(id, view)| CaseRow {
            href: format!("/cases/{id}"),
            sub: format!("Opened {}", When::date(view.opened).shown()),
            state: phase_badge(view.phase),
            part: part_name(view.role).to_owned(),
            next: view
                .embargo_end
                .filter(|_| !view.phase.is_closed())
                .map(|end| ("Embargo ends".to_owned(), When::from_now(end, visit.now))),
            changed: When::from_now(view.changed, visit.now),
            title: view.title,
        })
        .collect();
    let address = |from: usize| format!("/cases?state={state}&from={from}");
    let view = CasesView {
        rows,
        states: PHASES.iter().map(|(_, value, name)| ((*value).to_owned(), (*name).to_owned())).collect(),
        pager: Pager {
            newer: (from > 0).then(|| address(0)),
            older: more.then(|| address(from.saturating_add(PAGE))),
        },
        state: state.clone(),
        may_open: visit.is(Role::Contributor) || visit.is(Role::Coordinator),
    };
    show(&view.page(visit.chrome().await?))
}

fn organisations(names: &Names, except: Option<OrgId>) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = names
        .organisations
        .iter()
        .filter(|(id, _)| Some(**id) != except)
        .map(|(id, name)| (format!("organisation:{id}"), name.clone()))
        .collect();
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    rows
}

fn new_form(visit: &Visit, names: &Names, entries: &Entries, problems: &Problems) -> Form {
    let own = visit.actor.organisation().map(|id| format!("organisation:{id}")).unwrap_or_default();
    let chosen = entries.some("coordinator").unwrap_or(&own).to_owned();
    let coordinators = organisations(names, None)
        .into_iter()
        .map(|(value, name)| Choice::new(&value, name).chosen(value == chosen))
        .collect();
    let mut reporters = vec![Choice::new(&own, "Your organisation")];
    if let Some(person) = visit.actor.person() {
        reporters.push(Choice::new(format!("person:{}", person.id), "You yourself"));
    }
    reporters.extend(
        organisations(names, visit.actor.organisation())
            .into_iter()
            .map(|(value, name)| Choice::new(value, name)),
    );
    let told = entries.some("reporter").unwrap_or(&own).to_owned();
    let reporters = reporters.into_iter().map(|choice| {
        let chosen = choice.value == told;
        choice.chosen(chosen)
    });
    let terms = Terms::default();
    let number = |name: &str, label: &str, usual: u16| {
        let value = entries.some(name).map_or_else(|| usual.to_string(), str::to_owned);
        Field::kind(name.to_owned(), label.to_owned(), "number", value, "off").half().required()
    };
    let form = Form::post("/cases/new", visit.csrf(), "Open the case")
        .group("The report", "", vec![
            Field::line("title", "What it is about", entries.get("title")).required().hinted("All parties read this line."),
            Field::area("report", "Report", entries.get("report"), 10).required().hinted(
                "What the commitment in the transparency log is of. You and the coordinator read it; its salted hash proves later that you had it today.",
            ),
            Field::new("reporter", "Reported by", Control::Select(reporters.collect())).required().hinted(
                "One party has one part: who reports does not lead. If you report it yourself and your organisation leads it, your colleagues do.",
            ),
            Field::new("anonymous", "Vendors are not told who reported it", Control::Check(entries.has("anonymous", "yes"))),
        ])
        .group("Who leads it, and on which terms", "In days of 24 hours. An embargo can be extended, never shortened without its vendor.", vec![
            Field::new("coordinator", "Coordinator", Control::Select(coordinators)).required(),
            number("triage", "Until it is triaged", terms.triage_days),
            number("acknowledge", "Until a vendor has acknowledged", terms.acknowledge_days),
            number("embargo", "Embargo of each vendor, from its notification", terms.embargo_days),
            Field::new("automatic", "Publish automatically when the last embargo ends", Control::Check(entries.has("automatic", "yes"))),
        ])
        .cancel("/cases");
    problems.onto(form)
}

/// `/cases/new`
pub async fn new(visit: Visit) -> Result<Response, Failure> {
    visit.person()?;
    new_page(&visit, &Entries::default(), &Problems::default()).await
}

async fn new_page(visit: &Visit, entries: &Entries, problems: &Problems) -> Result<Response, Failure> {
    let names = Names::read(&visit.app.store).await?;
    let form = new_form(visit, &names, entries, problems);
    let mut chrome = visit.chrome().await?;
    chrome.place = "/cases";
    let head = Head::new("Open a case", "").under("Cases", "/cases");
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    show_as(&form_page(chrome, head, form, Vec::new()), status)
}

/// `POST /cases/new`
pub async fn new_sent(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let person = visit.person()?;
    service::may_act(&visit.actor, None)?;
    let entries = Entries::new(sent);
    let mut problems = Problems::default();
    for (name, what) in [("title", "Say in a line what it is about"), ("report", "Write the report")] {
        if entries.some(name).is_none() {
            problems.add(name, what);
        }
    }
    let mut days = |name: &str| {
        let days = entries.get(name).parse::<u16>().ok().filter(|days| (1..=730).contains(days));
        if days.is_none() {
            problems.add(name.to_owned(), "Write a number of days from 1 to 730");
        }
        days.unwrap_or(1)
    };
    let terms = Terms {
        triage_days: days("triage"),
        acknowledge_days: days("acknowledge"),
        embargo_days: days("embargo"),
        automatic_release: entries.has("automatic", "yes"),
    };
    let coordinator = read_party(entries.get("coordinator")).and_then(|party| match party {
        Party::Organisation(id) => Some(id),
        _ => None,
    });
    if coordinator.is_none() {
        problems.add("coordinator", "Choose who leads the case");
    }
    let (Some(coordinator), true) = (coordinator, problems.is_empty()) else {
        return new_page(&visit, &entries, &problems).await;
    };
    let own = Party::Organisation(person.organisation);
    let reporter = match entries.some("reporter") {
        None => Some(own),
        Some(text) => read_party(text),
    };
    let leads = Party::Organisation(coordinator);
    let mine = [own, Party::Person(person.id)];
    let Some(reporter) = reporter.filter(|reporter| *reporter != leads) else {
        problems.add("reporter", "Who leads the case cannot report it too: name yourself, or who told you");
        return new_page(&visit, &entries, &problems).await;
    };
    if !mine.contains(&reporter) && leads != own {
        problems.add("coordinator", "You open a case that you report or that your organisation leads");
        return new_page(&visit, &entries, &problems).await;
    }
    let new = NewCase {
        title: entries.get("title").to_owned(),
        report: entries.get("report").as_bytes().to_vec(),
        reporter,
        anonymous: entries.has("anonymous", "yes"),
        coordinator,
        terms,
    };
    match cases(&visit).open(&visit.actor.reader, &new, visit.now).await {
        Ok(id) => go(&format!("/cases/{id}?done=opened")),
        Err(CaseError::Refused(why)) => {
            problems.add("", sentence(&why.to_string()));
            new_page(&visit, &entries, &problems).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn find(visit: &Visit, id: &str) -> Result<(CaseId, View), Failure> {
    visit.person()?;
    let id: CaseId = id.parse().map_err(|_| Failure::NotFound)?;
    let view = cases(visit).get(&visit.actor.reader, id, visit.now).await?;
    Ok((id, view.ok_or(Failure::NotFound)?))
}

/// `/cases/{id}`
pub async fn case(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let (id, view) = find(&visit, &id).await?;
    let page = page(&visit, id, view, Problems::default()).await?;
    show(&page)
}

async fn page(visit: &Visit, id: CaseId, view: View, problems: Problems) -> Result<Page, Failure> {
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
    let forms = forms(visit, &view, &names, &href);
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
        part: part_name(party.role).to_owned(),
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
                        format!(" · only to {}", super::names::together(&names))
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

/// What this party may do now, as forms. Whether it may really happen, the case's state says when it is sent.
fn forms(visit: &Visit, view: &View, names: &Names, href: &str) -> Vec<(String, Form)> {
    let act = |event: &str, submit: &str, mut fields: Vec<Field>| {
        fields.insert(0, Field::hidden("event", event));
        Form::post(format!("{href}/act"), visit.csrf(), submit).fields(fields)
    };
    let mut forms = Vec::new();
    if view.phase.is_closed() {
        return forms;
    }
    let known: BTreeSet<String> =
        view.parties.iter().filter_map(|party| party.party.as_ref()).map(party_value).collect();
    let vendors = |fits: &dyn Fn(&SeenParty) -> bool| -> Vec<Choice> {
        let of = view.parties.iter().filter(|party| party.role.is_vendor() && fits(party));
        of.filter_map(|party| party.party.as_ref().map(|it| Choice::new(party_value(it), names.party(it))))
            .collect()
    };
    // The node lets only persons in this role do what leads a case.
    let leads = visit.is(Role::Coordinator);
    if view.role == Part::Coordinator && leads {
        if view.phase == Phase::Received {
            let levels = [
                ("info", "Info"),
                ("low", "Low"),
                ("medium", "Medium"),
                ("high", "High"),
                ("critical", "Critical"),
            ];
            let levels = levels.map(|(value, name)| Choice::new(value, name)).to_vec();
            forms.push((
                "Triage".to_owned(),
                act(
                    "triaged",
                    "Record the triage",
                    vec![
                        Field::new("severity", "Severity", Control::Select(levels)).required(),
                        Field::area("note", "Why", "", 3).required().hinted("Every party reads it."),
                    ],
                ),
            ));
        }
        let new: Vec<Choice> = organisations(names, None)
            .into_iter()
            .filter(|(value, _)| !known.contains(value))
            .map(|(value, name)| Choice::new(value, name))
            .collect();
        if !new.is_empty() {
            let parts = vec![
                Choice::new("vendor", "Vendor").hinted("Makes what is flawed.").chosen(true),
                Choice::new("other-vendor", "Other affected vendor")
                    .hinted("Makes something else that is affected too."),
                Choice::new("coordinator", "Coordinator"),
            ];
            forms.push((
                "Bring somebody in".to_owned(),
                act(
                    "party-invited",
                    "Make them a party",
                    vec![
                        Field::new("party", "Organisation", Control::Select(new)).required(),
                        Field::new("role", "As", Control::Radio(parts)).required(),
                    ],
                ),
            ));
        }
        let waiting = vendors(&|party| party.notified.is_none());
        if !waiting.is_empty() && view.phase != Phase::Received {
            forms.push((
                "Notify a vendor".to_owned(),
                act(
                    "notified",
                    "Record that they were notified",
                    vec![
                        Field::new("party", "Vendor", Control::Select(waiting)).required(),
                        Field::kind("embargo", "Embargo until", "datetime-local", "", "off")
                            .hinted(format!("In UTC. Empty: {} days from now.", view.terms.embargo_days)),
                    ],
                ),
            ));
        }
        let standing = vendors(&|party| party.embargo.is_some() && party.released.is_none());
        if !standing.is_empty() {
            forms.push((
                "Extend an embargo".to_owned(),
                act(
                    "embargo-extended",
                    "Extend it",
                    vec![
                        Field::new("party", "Vendor", Control::Select(standing)).required(),
                        Field::kind("until", "Until", "datetime-local", "", "off")
                            .required()
                            .hinted("In UTC."),
                        Field::area("why", "Why", "", 2).required(),
                    ],
                ),
            ));
        }
    }
    if view.role.is_vendor() {
        let me = view.parties.iter().find(|party| {
            party
                .party
                .as_ref()
                .is_some_and(|it| Some(*it) == visit.actor.organisation().map(Party::Organisation))
        });
        if me.is_some_and(|me| me.notified.is_some() && me.acknowledged.is_none()) {
            forms.push((
                "Acknowledge".to_owned(),
                act("acknowledged", "We have received and understood it", Vec::new()),
            ));
        }
        if me.is_some_and(|me| me.notified.is_some() && me.fix_ready.is_none()) {
            forms.push((
                "Fix".to_owned(),
                act(
                    "fix-ready",
                    "Record that a fix is ready",
                    vec![
                        Field::area("note", "What was fixed, and where", "", 3)
                            .required()
                            .hinted("You, the coordinators and the reporter read it."),
                    ],
                ),
            ));
        }
        if me.is_some_and(|me| me.notified.is_some() && me.released.is_none()) {
            forms.push((
                "Agree to a release".to_owned(),
                act("release-agreed", "We need our embargo no longer", Vec::new()),
            ));
        }
    }
    if !leads {
        return forms;
    }
    forms.push((
        "Published elsewhere before the time?".to_owned(),
        act(
            "broke-early",
            "Record it: every embargo is over",
            vec![Field::line("place", "Where it can be read", "").required()],
        )
        .danger(),
    ));
    forms
}

/// `POST /cases/{id}/act`
pub async fn act(visit: Visit, Path(id): Path<String>, Checked(sent): Sent) -> Result<Response, Failure> {
    let (id, view) = find(&visit, &id).await?;
    let entries = Entries::new(sent);
    let what = match what(&entries) {
        Ok(what) => what,
        Err(why) => return refused(&visit, id, view, why).await,
    };
    service::may_act(&visit.actor, Some(&what))?;
    match publish::act(&visit.app, &visit.actor, id, &what).await {
        Ok(_) => go(&format!("/cases/{id}?done=acted")),
        Err(Failure::Unprocessable(why)) => refused(&visit, id, view, sentence(&why)).await,
        Err(other) => Err(other),
    }
}

async fn refused(visit: &Visit, id: CaseId, view: View, why: String) -> Result<Response, Failure> {
    let mut problems = Problems::default();
    problems.add("", why);
    show_as(&page(visit, id, view, problems).await?, StatusCode::UNPROCESSABLE_ENTITY)
}

/// The event that a form asks for.
fn what(entries: &Entries) -> Result<What, String> {
    let party = || read_party(entries.get("party")).ok_or_else(|| "Choose a party.".to_owned());
    let text = |name: &str, what: &str| entries.some(name).map(str::to_owned).ok_or_else(|| what.to_owned());
    let time = |name: &str| {
        from_field(entries.get(name))
            .ok_or_else(|| "Write a date and time, such as 2026-12-24T12:00.".to_owned())
    };
    Ok(match entries.get("event") {
        "message" => What::Message { to: To::All, text: text("text", "Write a message.")? },
        "triaged" => What::Triaged {
            severity: match entries.get("severity") {
                "info" => Severity::Info,
                "low" => Severity::Low,
                "medium" => Severity::Medium,
                "high" => Severity::High,
                "critical" => Severity::Critical,
                _ => return Err("Choose how bad it is.".to_owned()),
            },
            note: text("note", "Say why.")?,
        },
        "party-invited" => What::PartyInvited {
            party: party()?,
            role: match entries.get("role") {
                "vendor" => Part::Vendor,
                "other-vendor" => Part::OtherVendor,
                "coordinator" => Part::Coordinator,
                _ => return Err("Choose as what they join.".to_owned()),
            },
        },
        "notified" => What::Notified {
            party: party()?,
            embargo: match entries.some("embargo") {
                Some(_) => Some(time("embargo")?),
                None => None,
            },
        },
        "acknowledged" => What::Acknowledged,
        "embargo-extended" => {
            What::EmbargoExtended { party: party()?, until: time("until")?, why: text("why", "Say why.")? }
        }
        "release-agreed" => What::ReleaseAgreed,
        "fix-ready" => What::FixReady { note: text("note", "Say what was fixed, and where.")? },
        "broke-early" => What::BrokeEarly { by: None, place: text("place", "Say where it can be read.")? },
        "published" => What::Published {
            advisory: match entries.some("advisory") {
                Some(id) => {
                    let id = id.trim_end_matches('/').rsplit('/').next().unwrap_or(id);
                    Some(id.parse().map_err(|_| "This is no id of an advisory.".to_owned())?)
                }
                None => None,
            },
        },
        "withdrawn" => What::Withdrawn { why: text("why", "Say why.")? },
        _ => return Err("This form is of another version of the page: load it again.".to_owned()),
    })
}

/// `/cases/{id}/publish`
pub async fn publishing(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    confirm(visit, &id, true).await
}

/// `/cases/{id}/withdraw`
pub async fn withdraw(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    confirm(visit, &id, false).await
}

async fn confirm(visit: Visit, id: &str, publish: bool) -> Result<Response, Failure> {
    let (id, view) = find(&visit, id).await?;
    if view.role != Part::Coordinator || view.phase.is_closed() {
        return Err(Failure::NotFound);
    }
    let href = format!("/cases/{id}");
    let (title, event, submit) = if publish {
        ("Publish this case?", "published", "Publish it")
    } else {
        ("Withdraw this case?", "withdrawn", "Withdraw it")
    };
    let lines = if publish {
        let embargo = view.embargo_end.filter(|end| *end > visit.now && !view.broken);
        let mut lines = vec![
            "It cannot be taken back.".to_owned(),
            "The commitment to the report is opened to every party: it proves what was known, and when."
                .to_owned(),
        ];
        if let Some(end) = embargo {
            lines.insert(0, format!("An embargo stands until {}. Unless its vendor agreed to a release, the case refuses this.", When::at(end).shown()));
        }
        lines
    } else {
        vec!["The case is closed without publication, and stays readable for its parties.".to_owned()]
    };
    let mut fields = vec![Field::hidden("event", event)];
    fields.push(if publish {
        Field::line("advisory", "Id or address of the advisory", "").hinted("If there is one on this node.")
    } else {
        Field::area("why", "Why", "", 3).required().hinted("Every party reads it.")
    });
    let form = Form::post(format!("{href}/act"), visit.csrf(), submit).fields(fields).danger().cancel(&href);
    let head = Head::new(title, "").under("Cases", "/cases").under(&view.title, &href);
    let mut chrome = visit.chrome().await?;
    chrome.place = "/cases";
    let section = Section::bare(vec![Block::Bullets(lines), Block::Form(form)]);
    show(&Page::new(chrome, head, vec![section]))
}

/// `/cases/{id}/opening`: what opens the commitment, with the proof that it is in the log.
pub async fn opening(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let (id, _) = find(&visit, &id).await?;
    let opening = cases(&visit).opening(&visit.actor.reader, id, visit.now).await?;
    let body = opening.ok_or(Failure::NotFound)?.to_json().map_err(Failure::internal)?;
    let name = format!("attachment; filename=\"case-{id}-opening.json\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(Failure::internal)?),
    ];
    Ok((headers, body).into_response())
}
