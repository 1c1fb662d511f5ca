//! What a party does in a case.

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use ostrom_core::handling::Party;
use ostrom_core::{CaseId, Severity};
use ostrom_exchange::disclosure::{Phase, Role as Part, SeenParty, To, View, What};
use ostrom_store::Role;

use super::page::{find, page};
use super::{cases, organisations, party_value, read_party};
use crate::api::service;
use crate::ui::entries::{Entries, Problems};
use crate::ui::pages::names::{Names, sentence};
use crate::ui::pages::report::Sent;
use crate::ui::pages::visit::{Visit, go, show, show_as};
use crate::ui::part::{Block, Choice, Control, Field, Form, Head, Section, When, from_field};
use crate::ui::view::Page;
use crate::web::Checked;
use crate::{Failure, note, publish};

/// What this party may do now, as forms. Whether it may really happen, the case's state says when it is sent.
pub(super) fn forms(visit: &Visit, view: &View, names: &Names, href: &str) -> Vec<(String, Form)> {
    let form = |event: &str, submit: &str, mut fields: Vec<Field>| {
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
        let of = view
            .parties
            .iter()
            .filter(|party| party.role.is_vendor() && party.removed.is_none() && fits(party));
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
                form(
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
                form(
                    "party-invited",
                    "Make them a party",
                    vec![
                        Field::new("party", "Organisation", Control::Select(new)).required(),
                        Field::new("role", "As", Control::Radio(parts)).required(),
                    ],
                ),
            ));
        }
        let own = visit.actor.organisation().map(Party::Organisation);
        let others = view
            .parties
            .iter()
            .filter(|party| party.removed.is_none() && party.role != Part::Reporter && party.party != own);
        let others: Vec<Choice> = others
            .filter_map(|party| party.party.as_ref())
            .map(|it| Choice::new(party_value(it), names.party(it)))
            .collect();
        if !others.is_empty() {
            forms.push((
                "Remove a party".to_owned(),
                form(
                    "party-removed",
                    "Remove it",
                    vec![
                        Field::new("party", "Party", Control::Select(others)).required().hinted(
                            "It sees nothing more of the case, and does not come back. An embargo of a vendor stands.",
                        ),
                        Field::area("why", "Why", "", 2).required().hinted("The coordinators read it."),
                    ],
                )
                .danger(),
            ));
        }
        let waiting = vendors(&|party| party.notified.is_none());
        if !waiting.is_empty() && view.phase != Phase::Received {
            forms.push((
                "Notify a vendor".to_owned(),
                form(
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
                form(
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
                form("acknowledged", "We have received and understood it", Vec::new()),
            ));
        }
        if me.is_some_and(|me| me.notified.is_some() && me.fix_ready.is_none()) {
            forms.push((
                "Fix".to_owned(),
                form(
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
                form("release-agreed", "We need our embargo no longer", Vec::new()),
            ));
        }
    }
    if !leads {
        return forms;
    }
    forms.push((
        "Published elsewhere before the time?".to_owned(),
        form(
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
        "party-removed" => What::PartyRemoved { party: party()?, why: text("why", "Say why.")? },
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
    note::case(&visit.app, &visit.actor, id, "opening read").await?;
    let body = opening.ok_or(Failure::NotFound)?.to_json().map_err(Failure::internal)?;
    let name = format!("attachment; filename=\"case-{id}-opening.json\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(Failure::internal)?),
    ];
    Ok((headers, body).into_response())
}
