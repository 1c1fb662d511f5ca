//! Cases of coordinated disclosure.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::handling::Party;
use ostrom_core::{CaseId, OrgId};
use ostrom_exchange::disclosure::{CaseError, NewCase, Terms, What};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::cursor::{self, Paging};
use crate::sign_in::OPERATOR;
use crate::web::{Json, Named, Query};
use crate::who::{Actor, Role, Who};
use crate::{App, Failure, note};

/// A case as the actor sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CaseView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: CaseId,
    /// Title, phase, parties, clocks and events, as far as the actor sees them.
    view: Value,
}

/// A page of cases.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cases {
    /// The cases, the one that changed last first.
    items: Vec<CaseView>,
    /// What to ask for the next page with, as `after`; none if this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A case to open.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseForm {
    /// What it is about, in a line.
    #[schema(min_length = 1, max_length = 4096)]
    title: String,
    /// The report. A commitment to it enters the transparency log.
    #[schema(min_length = 1, max_length = 262_144)]
    report: String,
    /// Who reported it, if somebody else did: `{"organisation": ID}` or `{"person": ID}`. For the coordinator, who takes reports in for others.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    reporter: Option<Party>,
    /// Whether vendors are not told who reported it.
    #[serde(default)]
    anonymous: bool,
    /// Who leads the case; the organisation that runs the node, if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    coordinator: Option<OrgId>,
    /// What is agreed: triage_days, acknowledge_days, embargo_days, automatic_release.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    terms: Option<Terms>,
}

impl From<CaseError> for Failure {
    fn from(error: CaseError) -> Self {
        match error {
            CaseError::NotFound => Self::NotFound,
            CaseError::Refused(_) | CaseError::Report => Self::Unprocessable(error.to_string()),
            CaseError::Store(error) => error.into(),
            error => Self::Internal(error.to_string()),
        }
    }
}

/// Who does what in cases: coordinators lead, contributors report and answer, machines report.
pub(crate) fn may_act(actor: &Actor, what: Option<&What>) -> Result<(), Failure> {
    let answers = matches!(
        what,
        None | Some(What::Message { .. } | What::Acknowledged | What::FixReady { .. } | What::ReleaseAgreed)
    );
    match &actor.who {
        Who::Anonymous => Err(Failure::Unauthenticated),
        Who::Person(person) if person.is(Role::Coordinator) || (answers && person.is(Role::Contributor)) => {
            Ok(())
        }
        Who::Machine(machine) if answers && machine.may("report") && machine.collections.is_none() => Ok(()),
        Who::Person(_) => Err(Failure::Forbidden("your role does not allow this")),
        Who::Machine(_) => Err(Failure::Forbidden("this token is not for this (scopes)")),
    }
}

/// Who may look: persons, and machines that read.
fn may_look(actor: &Actor) -> Result<(), Failure> {
    match &actor.who {
        Who::Anonymous => Err(Failure::Unauthenticated),
        Who::Machine(machine) if !machine.may("read") || machine.collections.is_some() => {
            Err(Failure::Forbidden("this token is not for this (scopes)"))
        }
        _ => Ok(()),
    }
}

/// The cases that the actor is a party of.
#[utoipa::path(get, path = "/api/v1/cases", tag = "cases",
    params(("after" = Option<String>, Query, description = "The next of the page before."),
        ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 500)),
    responses((status = 200, body = Cases)))]
pub(super) async fn cases(
    State(app): State<App>,
    actor: Actor,
    Query(paging): Query<Paging>,
) -> Result<Answer<Cases>, Failure> {
    may_look(&actor)?;
    let limit = cursor::limit(paging.limit)?;
    let after = paging.after.map(|after| cursor::open::<CaseId>(&app, "cases", &after)).transpose()?;
    let all = app.cases.list(&actor.reader, app.clock().now()).await?;
    let from = after
        .and_then(|after| all.iter().position(|(id, _)| *id == after))
        .map_or(0, |at| at.saturating_add(1));
    let more = all.len() > from.saturating_add(limit);
    let mut items = Vec::new();
    for (id, view) in all.into_iter().skip(from).take(limit) {
        items.push(CaseView { id, view: serde_json::to_value(view).map_err(Failure::internal)? });
    }
    let last = items.last().filter(|_| more).map(|case| cursor::seal(&app, "cases", &case.id));
    Ok(Answer(Cases { items, next: last.transpose()? }))
}

/// One case, as the actor sees it.
#[utoipa::path(get, path = "/api/v1/cases/{id}", tag = "cases", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = CaseView)))]
pub(super) async fn case(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<CaseId>,
) -> Result<Answer<CaseView>, Failure> {
    may_look(&actor)?;
    let view = app.cases.get(&actor.reader, id, app.clock().now()).await?.ok_or(Failure::NotFound)?;
    note::case(&app, &actor, id, "read").await?;
    Ok(Answer(CaseView { id, view: serde_json::to_value(view).map_err(Failure::internal)? }))
}

/// The report of a case, for its reporter and coordinators.
#[utoipa::path(get, path = "/api/v1/cases/{id}/report", tag = "cases", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Value)))]
pub(super) async fn report(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<CaseId>,
) -> Result<Answer<Value>, Failure> {
    may_look(&actor)?;
    let report = app.cases.report(&actor.reader, id, app.clock().now()).await?.ok_or(Failure::NotFound)?;
    note::case(&app, &actor, id, "report read").await?;
    Ok(Answer(json!({"report": report})))
}

/// What proves that the report was in the transparency log: the salt, the entry, the proof.
#[utoipa::path(get, path = "/api/v1/cases/{id}/opening", tag = "cases", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Value)))]
pub(super) async fn opening(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<CaseId>,
) -> Result<Answer<Value>, Failure> {
    may_look(&actor)?;
    let opening = app.cases.opening(&actor.reader, id, app.clock().now()).await?.ok_or(Failure::NotFound)?;
    note::case(&app, &actor, id, "opening read").await?;
    Ok(Answer(serde_json::to_value(opening).map_err(Failure::internal)?))
}

/// Opens a case.
#[utoipa::path(post, path = "/api/v1/cases", tag = "cases", request_body = CaseForm,
    responses((status = 201, body = CaseView)))]
pub(super) async fn new_case(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<CaseForm>,
) -> Result<(StatusCode, Answer<CaseView>), Failure> {
    may_act(&actor, None)?;
    let reporter = match &actor.who {
        Who::Person(person) if form.reporter.is_some() && person.is(Role::Coordinator) => {
            form.reporter.unwrap_or(Party::Person(person.id))
        }
        _ if form.reporter.is_some() => {
            return Err(Failure::Forbidden("only coordinators take reports in for others"));
        }
        Who::Person(person) => Party::Person(person.id),
        Who::Machine(machine) => Party::Organisation(machine.organisation),
        Who::Anonymous => return Err(Failure::Unauthenticated),
    };
    let coordinator = match form.coordinator {
        Some(id) => id,
        None => operator(&app).await?,
    };
    let known = app.store.organisation(coordinator).await?;
    if !known.is_some_and(|organisation| organisation.active) {
        return Err(Failure::Unprocessable("there is no such coordinator".to_owned()));
    }
    if form.report.trim().is_empty() || form.title.trim().is_empty() {
        return Err(Failure::Unprocessable("a case needs a title and a report".to_owned()));
    }
    let new = NewCase {
        title: form.title,
        report: form.report.into_bytes(),
        reporter,
        anonymous: form.anonymous,
        coordinator,
        terms: form.terms.unwrap_or_default(),
    };
    let now = app.clock().now();
    let id = crate::publish::begin(&app, &actor, &new).await?;
    let view = app.cases.get(&actor.reader, id, now).await?.ok_or(Failure::NotFound)?;
    let view = serde_json::to_value(view).map_err(Failure::internal)?;
    Ok((StatusCode::CREATED, Answer(CaseView { id, view })))
}

/// The organisation that runs the node.
pub(crate) async fn operator(app: &App) -> Result<OrgId, Failure> {
    let kept = app.store.setting(OPERATOR).await?;
    kept.and_then(|id| id.parse().ok()).ok_or_else(|| Failure::internal("a node without an operator"))
}

/// Does something in a case: an event such as `{"event": "message", "to": "all", "text": "…"}`.
#[utoipa::path(post, path = "/api/v1/cases/{id}/events", tag = "cases", params(("id" = String, Path, format = "uuid")),
    request_body = Value, responses((status = 200, body = CaseView)))]
pub(super) async fn act(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<CaseId>,
    Json(what): Json<What>,
) -> Result<Answer<CaseView>, Failure> {
    may_act(&actor, Some(&what))?;
    let view = crate::publish::act(&app, &actor, id, &what).await?;
    Ok(Answer(CaseView { id, view: serde_json::to_value(view).map_err(Failure::internal)? }))
}
