//! The audit log, as far as it is an organisation's own.

use axum::Json as Answer;
use axum::extract::State;
use ostrom_core::OrgId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::cursor::{self, Paging};
use super::hidden;
use crate::note;
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

/// What the actor's organisation did and what was done to it, latest first. For its administrators and coordinators; to administrators also
/// what other administrators did, and how much people read who were not signed in. Ids of objects and cases that the actor may not see
/// now are left out, and so are counts that would tell of them.
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
    let (organisation, administrator) = match &actor.who {
        Who::Anonymous => return Err(Failure::Unauthenticated),
        Who::Person(person) if person.is(Role::Administrator) || person.is(Role::Coordinator) => {
            (person.organisation, person.is(Role::Administrator))
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
    let whose = Whose { organisation, administrator };
    let looked = tokio::task::spawn_blocking(move || look(&folder, whose, end, limit));
    let (mut items, next) = looked.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
    hidden::hide(app, actor, &mut items).await?;
    let next = next.map(|next| cursor::seal(app, &list, &next)).transpose()?;
    Ok(Deeds { items, next })
}

/// Whose deeds are looked for.
#[derive(Clone, Copy)]
struct Whose {
    organisation: OrgId,
    administrator: bool,
}

impl Whose {
    fn may_know(self, deed: &Value) -> bool {
        let ours = serde_json::json!(self.organisation);
        let is_ours = |name| deed.get(name) == Some(&ours);
        // What nobody's organisation did is the node's, or was open to everybody.
        let of_the_node = || {
            deed.get("did").is_some_and(|did| did == note::ADMINISTER) || deed.get("organisation").is_none()
        };
        is_ours("organisation") || is_ours("concerns") || (self.administrator && of_the_node())
    }
}

/// The entries before `end`, latest first, and where to go on.
fn look(
    folder: &std::path::Path,
    whose: Whose,
    end: u64,
    limit: usize,
) -> Result<(Vec<Value>, Option<u64>), ostrom_trust::log::LogError> {
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
                && whose.may_know(&deed)
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
