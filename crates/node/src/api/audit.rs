//! The audit log, as far as it is an organisation's own.

use axum::Json as Answer;
use axum::extract::State;
use ostrom_core::OrgId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::cursor::{self, Paging};
use crate::web::Query;
use crate::who::{Actor, Role, Who};
use crate::{App, Failure};

/// How many entries are looked at for one page, at most.
const LOOKED_AT: u64 = 20_000;
/// How many at once.
const STRETCH: u64 = 1_000;

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deeds {
    /// What was done: when, by whom, what, with how many objects.
    #[schema(value_type = Vec<Value>)]
    pub(crate) items: Vec<Value>,
    /// What to ask for earlier entries with, as `after`; none if there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// What the actor's organisation did, latest first. For its administrators and coordinators.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit",
    params(("after" = Option<String>, Query, description = "The next of the page before."),
        ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 500)),
    responses((status = 200, body = Deeds)))]
pub(super) async fn audit(
    State(app): State<App>,
    actor: Actor,
    Query(paging): Query<Paging>,
) -> Result<Answer<Deeds>, Failure> {
    deeds(&app, &actor, paging.after.as_deref(), cursor::limit(paging.limit)?).await.map(Answer)
}

/// The same, for pages.
pub(crate) async fn deeds(
    app: &App,
    actor: &Actor,
    after: Option<&str>,
    limit: usize,
) -> Result<Deeds, Failure> {
    let organisation = match &actor.who {
        Who::Anonymous => return Err(Failure::Unauthenticated),
        Who::Person(person) if person.is(Role::Administrator) || person.is(Role::Coordinator) => {
            person.organisation
        }
        _ => return Err(Failure::Forbidden("the audit log is for administrators and coordinators")),
    };
    let list = format!("audit {organisation}");
    let log = std::sync::Arc::clone(&app.logs.audit);
    let end = match after {
        Some(after) => cursor::open::<u64>(app, &list, after)?,
        None => log.size(),
    };
    let folder = log.folder().to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&folder, organisation, end, limit));
    let (items, next) = looked.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
    let next = next.map(|next| cursor::seal(app, &list, &next)).transpose()?;
    Ok(Deeds { items, next })
}

/// The organisation's entries before `end`, latest first, and where to go on.
fn look(
    folder: &std::path::Path,
    organisation: OrgId,
    end: u64,
    limit: usize,
) -> Result<(Vec<Value>, Option<u64>), ostrom_trust::log::LogError> {
    let ours = serde_json::json!(organisation);
    let (mut items, mut end) = (Vec::new(), end);
    let last = end.saturating_sub(LOOKED_AT);
    while end > last {
        let begin = end.saturating_sub(STRETCH);
        let mut stretch = Vec::new();
        for entry in ostrom_trust::log::read_from(folder, begin)? {
            let entry = entry?;
            if entry.index >= end {
                break;
            }
            if let Ok(deed) = serde_json::from_slice::<Value>(&entry.bytes)
                && deed.get("organisation") == Some(&ours)
            {
                stretch.push((entry.index, deed));
            }
        }
        for (index, deed) in stretch.into_iter().rev() {
            items.push(deed);
            if items.len() >= limit {
                return Ok((items, (index > 0).then_some(index)));
            }
        }
        end = begin;
    }
    Ok((items, (end > 0).then_some(end)))
}
