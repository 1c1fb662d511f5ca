//! Cases of coordinated disclosure: the list, and opening one. [`page`] shows one, [`act`] does something in one.

pub mod act;
pub mod page;

use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;
use ostrom_core::OrgId;
use ostrom_core::handling::Party;
use ostrom_exchange::disclosure::{Cases, NewCase, Phase, Role as Part, Terms};
use ostrom_store::Role;

use super::enter::query;
use super::names::{Names, sentence};
use super::report::Sent;
use super::visit::{Visit, go, show, show_as};
use crate::api::service;
use crate::ui::entries::{Entries, Problems};
use crate::ui::part::{Badge, Choice, Control, Field, Form, Head, Pager, Tone, When};
use crate::ui::view::{CaseRow, CasesView, form_page};
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
    match publish::begin(&visit.app, &visit.actor, &new).await {
        Ok(id) => go(&format!("/cases/{id}?done=opened")),
        Err(Failure::Unprocessable(why)) => {
            problems.add("", sentence(&why));
            new_page(&visit, &entries, &problems).await
        }
        Err(error) => Err(error),
    }
}
