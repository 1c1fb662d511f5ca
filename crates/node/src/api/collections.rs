//! Collections of objects.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::handling::{Handling, Policy, Tlp};
use ostrom_core::{CollectionId, OrgId, Timestamp, Uuid};
use ostrom_store::Collection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{administrator, description};
use crate::sign_in::{name, secret};
use crate::web::{Json, Named};
use crate::who::{Actor, Who};
use crate::{App, Failure};

/// What collections hold.
const MEDIA_TYPE: &str = "application/stix+json;version=2.1";

/// A collection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CollectionView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: CollectionId,
    /// A short name for URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    /// Its title.
    title: String,
    /// What it is for.
    description: String,
    /// Whether the actor may write to it.
    writable: bool,
    /// Since when there is such a collection.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// What an administrator says of a collection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CollectionForm {
    /// A short name for URLs: letters, digits and hyphens.
    #[serde(default)]
    #[schema(max_length = 60, pattern = "^[a-z][a-z0-9-]*$")]
    alias: Option<String>,
    /// Its title.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 4000)]
    description: String,
    /// Who may know of it and read what its objects allow, as a policy; whoever may read an object in it, if left out.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    may_read: Option<Policy>,
    /// Who may write to it, as a policy; every member, if left out.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    may_write: Option<Policy>,
    /// The mark of objects that carry none, such as `amber`; without it, such objects are refused.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    default_tlp: Option<Tlp>,
}

fn view(collection: Collection, actor: &Actor, now: Timestamp) -> CollectionView {
    let writable = writable(&collection, actor, now);
    let Collection { id, alias, title, description, created, .. } = collection;
    CollectionView { id, alias, title, description, writable, created }
}

/// Whether the actor may write to a collection: what the collection says, and for machines what their token says.
fn writable(collection: &Collection, actor: &Actor, now: Timestamp) -> bool {
    let token = match &actor.who {
        Who::Machine(machine) => {
            machine.may("write")
                && machine.collections.as_ref().is_none_or(|list| list.contains(&collection.id))
        }
        _ => true,
    };
    token && collection.writable(&actor.reader, now)
}

/// The collections that the actor may know of.
#[utoipa::path(get, path = "/api/v1/collections", tag = "objects", responses((status = 200, body = Vec<CollectionView>)))]
pub(super) async fn collections(
    State(app): State<App>,
    actor: Actor,
) -> Result<Answer<Vec<CollectionView>>, Failure> {
    let now = app.clock().now();
    let mut found = app.store.reading(&actor.reader, now).await?.collections().await?;
    found.retain(|collection| actor.may_use(collection.id));
    Ok(Answer(found.into_iter().map(|collection| view(collection, &actor, now)).collect()))
}

/// One collection, by its id or alias.
#[utoipa::path(get, path = "/api/v1/collections/{id}", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = CollectionView)))]
pub(super) async fn collection(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<String>,
) -> Result<Answer<CollectionView>, Failure> {
    let now = app.clock().now();
    let found = app.store.reading(&actor.reader, now).await?.collection(&id).await?;
    let found = found.filter(|collection| actor.may_use(collection.id)).ok_or(Failure::NotFound)?;
    Ok(Answer(view(found, &actor, now)))
}

/// A new collection.
#[utoipa::path(post, path = "/api/v1/collections", tag = "objects", request_body = CollectionForm,
    responses((status = 201, body = CollectionView)))]
pub(super) async fn new_collection(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<CollectionForm>,
) -> Result<(StatusCode, Answer<CollectionView>), Failure> {
    administrator(&actor)?;
    let id = CollectionId::new(Uuid::from_bytes(secret::uuid()?));
    let kept = keep(&app, &actor, id, app.clock().now(), form).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Changes a collection.
#[utoipa::path(put, path = "/api/v1/collections/{id}", tag = "objects", params(("id" = String, Path, format = "uuid")),
    request_body = CollectionForm, responses((status = 200, body = CollectionView)))]
pub(super) async fn change_collection(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<CollectionId>,
    Json(form): Json<CollectionForm>,
) -> Result<Answer<CollectionView>, Failure> {
    administrator(&actor)?;
    let known =
        app.store.collections().await?.into_iter().find(|known| known.id == id).ok_or(Failure::NotFound)?;
    keep(&app, &actor, id, known.created, form).await.map(Answer)
}

async fn keep(
    app: &App,
    actor: &Actor,
    id: CollectionId,
    created: Timestamp,
    form: CollectionForm,
) -> Result<CollectionView, Failure> {
    let alias = form.alias.map(alias).transpose()?;
    let owner = actor.organisation().unwrap_or(OrgId::new(Uuid::nil()));
    let members = || Policy::new([Handling::new(owner, Tlp::Green)]);
    let collection = Collection {
        id,
        alias,
        title: name(&form.title)?,
        description: description(&form.description)?,
        may_read: form.may_read,
        may_write: Some(form.may_write.unwrap_or_else(members)),
        handling: form.default_tlp.map(|tlp| Handling::new(owner, tlp)),
        media_types: vec![MEDIA_TYPE.to_owned()],
        created,
    };
    let now = app.clock().now();
    let mut writing = app.store.writing(now).await?;
    writing.put_collection(&collection).await?;
    let what = format!("collection {id}: {}", collection.title);
    crate::note::administration(app, actor, None, what).await?;
    writing.commit().await?;
    Ok(view(collection, actor, now))
}

/// A name that no id can be.
fn alias(text: String) -> Result<String, Failure> {
    let fine = text.len() <= 60
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.parse::<CollectionId>().is_err();
    if fine {
        Ok(text)
    } else {
        Err(Failure::Unprocessable("an alias has small letters, digits and hyphens, at most 60".to_owned()))
    }
}
