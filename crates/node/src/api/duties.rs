//! Duties to report an incident: each organisation's own, as the pages have them.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{Id, ObjectId, OrgId, Timestamp};
use ostrom_exchange::clock::{Duty, Entry, Report, Situation, Standing, Subject};
use ostrom_exchange::incident::Facts;
use ostrom_exchange::service::Deed;
use ostrom_exchange::types::{Incident, Record};
use ostrom_store::Reading;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::write::asker;
use super::{member, objects};
use crate::duty::{self, Named as NamedDuty};
use crate::web::{Json, Named, Named3};
use crate::who::Actor;
use crate::{App, Failure, exports};

/// The law whose clocks there are, if nobody names another.
const USUAL: &str = "EU";

/// What is due for an incident by the duties of the actor's organisation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Duties {
    /// What the organisation has said: `facts`, `jurisdictions`, `subjects`, `aware`, `resolved`, `reports`. None if it has said nothing, or
    /// everything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    situation: Option<Situation>,
    /// What is due, the first first; what waits for something stands last.
    items: Vec<DutyView>,
}

/// Something that is due.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DutyView {
    /// By which clock.
    #[schema(value_type = String)]
    clock: Id,
    /// By which rule of it.
    #[schema(value_type = String)]
    rule: Id,
    /// What.
    what: String,
    /// To whom.
    to: String,
    /// By which provision, of which act.
    reference: String,
    /// Whether by law, or by an agreement.
    by_law: bool,
    /// By when; none while it waits for another report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due: Option<Timestamp>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    done: Option<Timestamp>,
    /// `waiting`, `running`, `due-soon`, `overdue`, `met` or `met-late`.
    #[schema(value_type = String)]
    standing: Standing,
}

/// Which duties the actor's organisation has.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DutiesForm {
    /// What the organisation is: `provider-of-high-risk-system`, `provider-of-systemic-risk-model`.
    #[schema(value_type = Vec<String>, min_items = 1)]
    subjects: BTreeSet<Subject>,
    /// When it became aware: the clocks run from then.
    #[schema(value_type = String, format = DateTime)]
    aware: Timestamp,
    /// When the incident was resolved.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved: Option<Timestamp>,
    /// What happened; what the incident itself says (`incident_facts`), if left out.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    facts: Option<Facts>,
    /// Where; `EU`, if left out.
    #[serde(default)]
    #[schema(max_items = 20)]
    jurisdictions: BTreeSet<String>,
}

/// A report that was sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SentForm {
    /// When; now, if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// A draft of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DraftView {
    /// The duty.
    duty: DutyView,
    /// What the form is called.
    title: String,
    /// Where the list of its fields comes from.
    source: String,
    /// The fields: `id`, `label`, `required`, and `answer`, as far as there is one.
    #[schema(value_type = Vec<Value>)]
    fields: Vec<Entry>,
    /// The fields that are required and have no answer.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Id>,
    /// All of it as plain text.
    text: String,
}

impl From<Duty> for DutyView {
    fn from(duty: Duty) -> Self {
        let Duty { clock, rule, what, to, reference, by_law, due, done, standing, .. } = duty;
        Self { clock, rule, what, to, reference, by_law, due, done, standing }
    }
}

/// An incident that the actor may see, as far as it can be read.
async fn incident(reading: &Reading, id: &ObjectId) -> Result<Option<Incident>, Failure> {
    let object = reading.get(id, None).await?.ok_or(Failure::NotFound)?;
    if object.head.kind() != "incident" {
        return Err(Failure::NotFound);
    }
    Ok(exports::record(&object).and_then(|record| match record {
        Record::Incident(incident) => Some(incident),
        _ => None,
    }))
}

fn organisation(actor: &Actor) -> Result<OrgId, Failure> {
    actor.organisation().ok_or(Failure::Unauthenticated)
}

fn told(situation: Option<Situation>, now: Timestamp) -> Result<Duties, Failure> {
    let due = situation.as_ref().map_or(Ok(Vec::new()), |situation| duty::due(situation, now))?;
    Ok(Duties { situation, items: due.into_iter().map(DutyView::from).collect() })
}

/// What is due to whom by when, for an incident that the actor may see, by the duties that the actor's organisation has named. Nobody else learns
/// of them.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/duties", tag = "duties", params(("id" = String, Path)),
    responses((status = 200, body = Duties)))]
pub(super) async fn duties(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Answer<Duties>, Failure> {
    member(&actor)?;
    let reading = objects::reading(&app, &actor).await?;
    incident(&reading, &id).await?;
    let situation = duty::situation(&reading, &id, organisation(&actor)?).await?;
    told(situation, app.clock().now()).map(Answer)
}

/// Names the duties of the actor's organisation for an incident, in the place of those named before. Reports that were sent stay sent.
#[utoipa::path(put, path = "/api/v1/incidents/{id}/duties", tag = "duties", params(("id" = String, Path)),
    request_body = DutiesForm, responses((status = 200, body = Duties)))]
pub(super) async fn name_duties(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
    Json(form): Json<DutiesForm>,
) -> Result<Answer<Duties>, Failure> {
    asker(&actor, true)?;
    let reading = objects::reading(&app, &actor).await?;
    let incident = incident(&reading, &id).await?;
    let wrong = |why: &str| Failure::Unprocessable(why.to_owned());
    if form.subjects.is_empty() {
        return Err(wrong("name a duty in subjects, or take all back with DELETE"));
    }
    if form.jurisdictions.len() > 20 || form.jurisdictions.iter().any(|name| name.chars().count() > 20) {
        return Err(wrong("jurisdictions are up to twenty short names, such as EU"));
    }
    let known = || incident.as_ref().and_then(|incident| duty::facts_of(&incident.extensions.ai));
    let facts = form.facts.or_else(known);
    let facts = facts.filter(|facts| facts.effects.len() <= 100 && facts.classify().is_some());
    let facts = facts.ok_or_else(|| {
        wrong("say in facts what was harmed, or could have been: {\"effects\": [{\"harm\": \"health\", \"actual\": true}]}")
    })?;
    let jurisdictions =
        if form.jurisdictions.is_empty() { [USUAL.to_owned()].into() } else { form.jurisdictions };
    let situation = Situation {
        facts,
        jurisdictions,
        subjects: form.subjects,
        aware: form.aware,
        resolved: form.resolved,
        reports: Vec::<Report>::new(),
    };
    duty::keep(&app, &actor, &id, Some(&situation)).await?;
    let kept = duty::situation(&reading, &id, organisation(&actor)?).await?;
    told(Some(kept.unwrap_or(situation)), app.clock().now()).map(Answer)
}

/// Takes back the duties that the actor's organisation has named for an incident: its clocks stop.
#[utoipa::path(delete, path = "/api/v1/incidents/{id}/duties", tag = "duties", params(("id" = String, Path)),
    responses((status = 204)))]
pub(super) async fn take_back(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<StatusCode, Failure> {
    asker(&actor, true)?;
    let reading = objects::reading(&app, &actor).await?;
    incident(&reading, &id).await?;
    duty::keep(&app, &actor, &id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A draft of the report that a duty asks for. The node sends it to nobody.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/duties/{clock}/{rule}", tag = "duties",
    params(("id" = String, Path), ("clock" = String, Path), ("rule" = String, Path)),
    responses((status = 200, body = DraftView)))]
pub(super) async fn draft(
    State(app): State<App>,
    actor: Actor,
    Named3(id, clock, rule): Named3<ObjectId, String, String>,
) -> Result<Answer<DraftView>, Failure> {
    member(&actor)?;
    let reading = objects::reading(&app, &actor).await?;
    let incident = incident(&reading, &id).await?;
    let now = app.clock().now();
    let named = duty::named(&reading, &id, organisation(&actor)?, (&clock, &rule), now).await?;
    let draft = named.draft(incident.as_ref()).ok_or(Failure::NotFound)?;
    let mut deed = Deed::new(&actor.asker(), "page", format!("api draft by {clock} of {id}"), now);
    deed.count = 1;
    app.exchange.note(deed).await?;
    Ok(Answer(DraftView {
        duty: DutyView::from(named.duty),
        missing: draft.missing().map(|entry| entry.id.clone()).collect(),
        text: draft.to_text(),
        title: draft.title,
        source: draft.source,
        fields: draft.entries,
    }))
}

/// Says that the report of a duty was sent: its clock stops, and what comes after it begins.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/duties/{clock}/{rule}/sent", tag = "duties",
    params(("id" = String, Path), ("clock" = String, Path), ("rule" = String, Path)),
    request_body = SentForm, responses((status = 200, body = Duties)))]
pub(super) async fn sent(
    State(app): State<App>,
    actor: Actor,
    Named3(id, clock, rule): Named3<ObjectId, String, String>,
    Json(form): Json<SentForm>,
) -> Result<Answer<Duties>, Failure> {
    asker(&actor, true)?;
    let reading = objects::reading(&app, &actor).await?;
    incident(&reading, &id).await?;
    let organisation = organisation(&actor)?;
    let now = app.clock().now();
    let named: NamedDuty = duty::named(&reading, &id, organisation, (&clock, &rule), now).await?;
    let at = form.at.unwrap_or(now);
    duty::sent(&app, &actor, &id, named, at).await?;
    told(duty::situation(&reading, &id, organisation).await?, now).map(Answer)
}
