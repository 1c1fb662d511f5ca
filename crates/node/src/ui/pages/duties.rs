//! Incidents: what is known of them, what they are called, and what is due to whom ([`crate::duty`]).

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::Response;
use ostrom_exchange::clock::{Duty, Situation, Subject};
use ostrom_exchange::incident::{Disruption, Effect, Facts, Harm, Reason};
use ostrom_exchange::types::{Record, Severity};
use ostrom_store::Role;

use super::object::find;
use super::report::Sent;
use super::thing::Thing;
use super::visit::{Visit, go, show};
use crate::Failure;
use crate::duty::{self, Kept, Named};
use crate::ui::entries::{Entries, Problems};
use crate::ui::part::{
    Badge, Block, Button, Cell, Empty, Field, Form, Head, Link, Section, Table, When, from_field,
};
use crate::ui::view::{Kind, Page};
use crate::web::Checked;

/// What a form says happened.
pub fn facts(entries: &Entries, problems: &mut Problems) -> Facts {
    let effects = |name: &str, actual: bool| -> Vec<Effect> {
        let chosen = Harm::ALL.into_iter().filter(|harm| entries.has(name, harm.name()));
        chosen
            .map(|harm| Effect {
                harm,
                actual,
                serious: entries.has("serious", harm.name()),
                irreversible: entries.has("irreversible", "yes"),
                persons: None,
            })
            .collect()
    };
    let mut facts = Facts {
        effects: effects("happened", true),
        society: match entries.get("society") {
            "actual" => Disruption::Actual,
            "potential" => Disruption::Potential,
            _ => Disruption::None,
        },
        cybersecurity_breach: entries.has("breach", "yes"),
        widespread_infringement: entries.has("widespread", "yes"),
    };
    facts.effects.extend(effects("possible", false));
    if facts.classify().is_none() {
        problems.add("happened", "Say what was harmed, or below what could have been: without either it is no incident and no hazard");
    }
    facts
}

/// What it is called, in the terms of the types.
pub fn severity(facts: &Facts) -> Option<Severity> {
    let class = facts.classify()?.class;
    Severity::ALL.iter().copied().find(|severity| severity.name() == class.name())
}

/// Why it is called that, in a sentence.
pub fn why(facts: &Facts) -> Vec<String> {
    let Some(found) = facts.classify() else { return Vec::new() };
    let mut lines: Vec<String> = found
        .reasons
        .iter()
        .map(|reason| match reason {
            Reason::Plausible(harm) => format!("Harm could follow: {}", harm_name(*harm).to_lowercase()),
            Reason::PlausiblySerious(harm) => {
                format!("Serious harm could follow: {}", harm_name(*harm).to_lowercase())
            }
            Reason::Happened(harm) => format!("Harm has happened: {}", harm_name(*harm).to_lowercase()),
            Reason::HappenedSeriously(harm) => {
                format!("Serious harm has happened: {}", harm_name(*harm).to_lowercase())
            }
            Reason::SocietyAtRisk => "The functioning of a society could be disrupted".to_owned(),
            Reason::SocietyDisrupted => "The functioning of a society is disrupted".to_owned(),
        })
        .collect();
    if let Some(hazard) = found.hazard {
        lines.push(format!(
            "It is at the same time a {}: worse could follow",
            hazard.name().replace('-', " ")
        ));
    }
    lines
}

/// A harm, for people.
pub const fn harm_name(harm: Harm) -> &'static str {
    match harm {
        Harm::Death => "Death of a person",
        Harm::Health => "Injury, or harm to health of body or mind",
        Harm::CriticalInfrastructure => "Disruption of critical infrastructure",
        Harm::Rights => "Violation of human or fundamental rights",
        Harm::Property => "Harm to property; financial harm, reputation",
        Harm::Communities => "Harm to communities",
        Harm::Environment => "Harm to the environment",
    }
}

/// The situation of whoever fills in the form: `None` if they named no duty of theirs.
pub fn situation(entries: &Entries, facts: &Facts, problems: &mut Problems) -> Option<Situation> {
    let mut subjects = BTreeSet::new();
    if entries.has("subject", "high-risk") {
        subjects.insert(Subject::ProviderOfHighRiskSystem);
    }
    if entries.has("subject", "systemic-risk") {
        subjects.insert(Subject::ProviderOfSystemicRiskModel);
    }
    if subjects.is_empty() {
        return None;
    }
    let aware = entries.some("aware").and_then(from_field);
    if aware.is_none() {
        problems.add("aware", "Say when you became aware: the clocks run from then");
    }
    Some(Situation {
        facts: facts.clone(),
        jurisdictions: BTreeSet::from(["EU".to_owned()]),
        subjects,
        aware: aware?,
        resolved: entries.some("resolved").and_then(from_field),
        reports: Vec::new(),
    })
}

/// Duties as a table.
pub fn table(duties: &[Duty]) -> Table {
    Table::new("Duties to report", &["What", "By"])
        .rows(duties.iter().map(|duty| {
            vec![
                Cell::Title(Link::text(&duty.what), format!("To: {}. {}", duty.to, duty.reference)),
                duty.due.map_or_else(|| Cell::Muted("waits for another report".to_owned()), |due| Cell::When(When::at(due))),
            ]
        }))
        .or_else(Empty::new("Nothing is due", "By the clocks that this node has, for the duties that were named. It is an aid and no legal advice."))
}

/// Who is told by when: the clocks of an incident that the visitor's organisation keeps.
pub fn section(visit: &Visit, thing: &Thing, kept: &[Kept]) -> Option<Section> {
    if kept.is_empty() {
        return None;
    }
    let mut table = Table::new("Duties to report", &["What", "By", ""]);
    for Kept { due, detail } in kept {
        let base = format!("{}/duties/{}/{}", thing.href(), detail.clock, detail.rule);
        let mut last = vec![
            Button::new("Sent", format!("{base}/sent"), visit.csrf()).labelled(format!("Sent: {}", due.name)),
        ];
        if !visit.is(Role::Contributor) {
            last.clear();
        }
        table.rows.push(vec![
            Cell::Title(Link::to(&due.name, base), format!("To: {}. {}", detail.to, detail.reference)),
            Cell::When(When::at(due.due)),
            Cell::Buttons(last),
        ]);
    }
    let section = Section::new("duties", "Duties to report", vec![Block::Table(table)])
        .noted("Only your organisation sees this. The node drafts reports; sending them stays with you. It is an aid and no legal advice.");
    Some(section)
}

/// The incident and the duty that an address names.
async fn named(
    visit: &Visit,
    (id, clock, rule): (String, String, String),
) -> Result<(Thing, Named), Failure> {
    let organisation = visit.person()?.organisation;
    let reading = visit.reading().await?;
    let (thing, _) = find(&reading, Some(Kind::Incident), &id).await?;
    let named = duty::named(&reading, &thing.head.key.id, organisation, (&clock, &rule), visit.now).await?;
    Ok((thing, named))
}

/// `/incidents/{id}/duties/{clock}/{rule}`: a draft of the report.
pub async fn draft(visit: Visit, Path(of): Path<(String, String, String)>) -> Result<Response, Failure> {
    let (thing, named) = named(&visit, of).await?;
    let incident = match &thing.record {
        Some(Record::Incident(incident)) => Some(incident),
        _ => None,
    };
    let draft = named.draft(incident).ok_or(Failure::NotFound)?;
    let duty = named.duty;
    let rows = draft.entries.iter().map(|entry| {
        vec![
            Cell::text(&entry.label),
            match (&entry.answer, entry.required) {
                (Some(answer), _) => Cell::text(answer.chars().take(2_000).collect::<String>()),
                (None, true) => {
                    Cell::Badges(vec![Badge::new("Missing, and required", crate::ui::part::Tone::Warn)])
                }
                (None, false) => Cell::None,
            },
        ]
    });
    let table = Table::new("The form", &["What is asked", "What is known"]).rows(rows);
    let sent = Form::post(
        format!("{}/duties/{}/{}/sent", thing.href(), duty.clock, duty.rule),
        visit.csrf(),
        "We have sent this report",
    )
    .fields(vec![
        Field::kind("at", "When", "datetime-local", crate::ui::part::field_value(visit.now), "off")
            .required()
            .hinted("In UTC."),
    ]);
    let facts = crate::ui::part::Facts::new()
        .fact("To", Cell::text(&draft.to))
        .fact("By", duty.due.map_or(Cell::None, |due| Cell::When(When::at(due))))
        .fact("Provision", Cell::text(&draft.reference))
        .fact("Fields after", Cell::text(&draft.source));
    let head = Head::new(&duty.what, "A draft. Check every line; sending it stays with you.")
        .under("Incidents", "/incidents")
        .under(thing.title(), thing.href());
    let mut chrome = visit.chrome().await?;
    chrome.place = Kind::Incident.path();
    let main = vec![
        Section::bare(vec![Block::Facts(facts)]),
        Section::new("form", "The form", vec![Block::Table(table)]),
        Section::new("text", "As text, to copy", vec![Block::Code(draft.to_text())]),
        Section::new("sent", "Sent?", vec![Block::Form(sent)]).framed(),
    ];
    show(&Page::new(chrome, head, main))
}

/// `POST /incidents/{id}/duties/{clock}/{rule}/sent`
pub async fn sent(
    visit: Visit,
    Path(of): Path<(String, String, String)>,
    Checked(sent): Sent,
) -> Result<Response, Failure> {
    visit.with_role(Role::Contributor)?;
    let (thing, named) = named(&visit, of).await?;
    let entries = Entries::new(sent);
    let at = match entries.some("at") {
        Some(text) => from_field(text).ok_or_else(|| {
            Failure::Unprocessable("write when it was sent, such as 2026-11-22T14:05".to_owned())
        })?,
        None => visit.now,
    };
    duty::sent(&visit.app, &visit.actor, &thing.head.key.id, named, at).await?;
    go(&format!("{}?done=sent#duties", thing.href()))
}
