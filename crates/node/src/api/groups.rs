//! Trust groups.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{GroupId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_store::{Group, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{administrator, description, member};
use crate::note;
use crate::sign_in::{name, secret};
use crate::web::{Json, Named};
use crate::who::Actor;
use crate::{App, Failure};

/// A trust group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: GroupId,
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// Its organisations.
    #[schema(value_type = Vec<String>)]
    organisations: BTreeSet<OrgId>,
    /// Its single persons.
    #[schema(value_type = Vec<String>)]
    persons: BTreeSet<PersonId>,
}

/// What an administrator says of a trust group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupForm {
    /// Its name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 4000)]
    description: String,
    /// Its organisations.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    organisations: BTreeSet<OrgId>,
    /// Its single persons.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    persons: BTreeSet<PersonId>,
}

fn view(group: Group) -> GroupView {
    let Group { id, name, description, organisations, persons, .. } = group;
    GroupView { id, name, description, organisations, persons }
}

/// Who is in a trust group is known to those who are, and to administrators.
fn knows(actor: &Actor, group: &Group) -> bool {
    actor.is(Role::Administrator) || actor.reader.groups.contains(&group.id)
}

/// The trust groups that the actor is in; all, for administrators.
#[utoipa::path(get, path = "/api/v1/groups", tag = "members", responses((status = 200, body = Vec<GroupView>)))]
pub(super) async fn groups(State(app): State<App>, actor: Actor) -> Result<Answer<Vec<GroupView>>, Failure> {
    member(&actor)?;
    let all = app.store.groups().await?;
    Ok(Answer(all.into_iter().filter(|group| knows(&actor, group)).map(view).collect()))
}

/// One trust group.
#[utoipa::path(get, path = "/api/v1/groups/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = GroupView)))]
pub(super) async fn group(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<GroupId>,
) -> Result<Answer<GroupView>, Failure> {
    member(&actor)?;
    let group = app.store.group(id).await?.filter(|group| knows(&actor, group));
    group.map(view).map(Answer).ok_or(Failure::NotFound)
}

/// A new trust group.
#[utoipa::path(post, path = "/api/v1/groups", tag = "members", request_body = GroupForm,
    responses((status = 201, body = GroupView)))]
pub(super) async fn new_group(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<GroupForm>,
) -> Result<(StatusCode, Answer<GroupView>), Failure> {
    administrator(&actor)?;
    let id = GroupId::new(Uuid::from_bytes(secret::uuid()?));
    Ok((StatusCode::CREATED, Answer(keep(&app, &actor, id, app.clock().now(), form).await?)))
}

/// Changes a trust group. Who leaves it no longer reads what was shared with it.
#[utoipa::path(put, path = "/api/v1/groups/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    request_body = GroupForm, responses((status = 200, body = GroupView)))]
pub(super) async fn change_group(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<GroupId>,
    Json(form): Json<GroupForm>,
) -> Result<Answer<GroupView>, Failure> {
    administrator(&actor)?;
    let known = app.store.group(id).await?.ok_or(Failure::NotFound)?;
    keep(&app, &actor, id, known.created, form).await.map(Answer)
}

async fn keep(
    app: &App,
    actor: &Actor,
    id: GroupId,
    created: Timestamp,
    form: GroupForm,
) -> Result<GroupView, Failure> {
    let group = Group {
        id,
        name: name(&form.name)?,
        description: description(&form.description)?,
        organisations: form.organisations,
        persons: form.persons,
        created,
    };
    let mut writing = app.store.writing(app.clock().now()).await?;
    writing.put_group(&group).await?;
    let ids = |ids: Vec<String>| ids.join(", ");
    let what = format!(
        "trust group {id}: {}, organisations [{}], persons [{}]",
        group.name,
        ids(group.organisations.iter().map(ToString::to_string).collect()),
        ids(group.persons.iter().map(ToString::to_string).collect()),
    );
    // Who is in a group is known to those who are, and to administrators: it concerns nobody else.
    note::administration(app, actor, None, what).await?;
    writing.commit().await?;
    app.members_changed();
    Ok(view(group))
}

/// Removes a trust group. What was shared with it alone is then its owner's alone.
#[utoipa::path(delete, path = "/api/v1/groups/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    responses((status = 204)))]
pub(super) async fn remove_group(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<GroupId>,
) -> Result<StatusCode, Failure> {
    administrator(&actor)?;
    let mut writing = app.store.writing(app.clock().now()).await?;
    if !writing.remove_group(id).await? {
        return Err(Failure::NotFound);
    }
    note::administration(&app, &actor, None, format!("trust group {id} removed")).await?;
    writing.commit().await?;
    app.members_changed();
    Ok(StatusCode::NO_CONTENT)
}
