//! Shared objects: lists, search, one, who may see it.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ostrom_core::{CollectionId, Digest, ObjectId, OrgId, Timestamp};
use ostrom_exchange::service::Deed;
use ostrom_store::{Head, Key, Page, Reading};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cursor::{self, Paging};
use crate::web::{Named, Query};
use crate::who::{Actor, Who};
use crate::{App, Failure};

/// The media type of one object.
pub(super) const STIX: &str = "application/stix+json;version=2.1";

/// An object in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// Its id.
    #[schema(value_type = String)]
    id: ObjectId,
    /// Its STIX type.
    kind: String,
    /// The version.
    #[schema(value_type = String, format = DateTime)]
    version: Timestamp,
    /// When this node took it.
    #[schema(value_type = String, format = DateTime)]
    added: Timestamp,
    /// Its title.
    title: String,
    /// The collection.
    #[schema(value_type = String, format = "uuid")]
    collection: CollectionId,
    /// The organisation that shared it.
    #[schema(value_type = String, format = "uuid")]
    owner: OrgId,
    /// SHA-256 of its bytes.
    #[schema(value_type = String)]
    sha256: Digest,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summaries {
    /// The objects.
    items: Vec<Summary>,
    /// What to ask for the next page with, as `after`; none if this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a search is asked with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    q: String,
    after: Option<String>,
    limit: Option<usize>,
}

/// Where a page of objects ended.
#[derive(Serialize, Deserialize)]
pub(super) struct Place {
    added: Timestamp,
    id: ObjectId,
    version: Timestamp,
    collection: CollectionId,
}

impl From<Head> for Summary {
    fn from(head: Head) -> Self {
        let kind = head.kind().to_owned();
        let Key { added, id, version, collection } = head.key;
        Self {
            id,
            kind,
            version,
            added,
            title: head.title,
            collection,
            owner: head.owner,
            sha256: head.digest,
        }
    }
}

/// What the actor may see, for lists over all collections: a token for some collections only uses those, by TAXII.
pub(crate) async fn reading(app: &App, actor: &Actor) -> Result<Reading, Failure> {
    if matches!(&actor.who, Who::Machine(machine) if machine.collections.is_some()) {
        return Err(Failure::Forbidden("this token is for some collections only: use them by TAXII"));
    }
    Ok(app.exchange.reading(&actor.asker(), app.clock().now()).await?)
}

impl From<Place> for Key {
    fn from(Place { added, id, version, collection }: Place) -> Self {
        Self { added, id, version, collection }
    }
}

impl From<Key> for Place {
    fn from(Key { added, id, version, collection }: Key) -> Self {
        Self { added, id, version, collection }
    }
}

async fn shown(app: &App, actor: &Actor, list: &str, page: Page<Head>) -> Result<Summaries, Failure> {
    let next = page.next.map(|key| cursor::seal(app, list, &Place::from(key)));
    let items: Vec<Summary> = page.rows.into_iter().map(Summary::from).collect();
    let mut deed = Deed::new(&actor.asker(), "page", format!("api {list}"), app.clock().now());
    deed.first = items.first().map(|item| item.id.to_string());
    deed.last = items.last().map(|item| item.id.to_string());
    deed.count = items.len() as u64;
    app.exchange.note(deed).await?;
    Ok(Summaries { items, next: next.transpose()? })
}

/// A list of some types, newest first.
async fn list(
    app: App,
    actor: Actor,
    name: &str,
    kinds: &[&str],
    paging: Paging,
) -> Result<Answer<Summaries>, Failure> {
    let limit = cursor::limit(paging.limit)?;
    let after =
        paging.after.map(|after| cursor::open::<Place>(&app, name, &after)).transpose()?.map(Key::from);
    let page = reading(&app, &actor).await?.list(kinds, after.as_ref(), limit).await?;
    shown(&app, &actor, name, page).await.map(Answer)
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident, $path:literal, [$($kind:literal),*];)*) => {$(
        $(#[$doc])*
        #[utoipa::path(get, path = $path, tag = "objects",
            params(("after" = Option<String>, Query, description = "The next of the page before."),
                ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 500)),
            responses((status = 200, body = Summaries)))]
        pub(super) async fn $name(
            State(app): State<App>,
            actor: Actor,
            Query(paging): Query<Paging>,
        ) -> Result<Answer<Summaries>, Failure> {
            list(app, actor, stringify!($name), &[$($kind),*], paging).await
        }
    )*};
}

lists! {
    /// Flaws, newest first.
    flaws, "/api/v1/flaws", ["vulnerability"];
    /// Incidents, newest first.
    incidents, "/api/v1/incidents", ["incident"];
    /// Techniques, newest first.
    techniques, "/api/v1/techniques", ["attack-pattern"];
    /// Mitigations, newest first.
    mitigations, "/api/v1/mitigations", ["course-of-action"];
    /// Advisories, published ones and drafts, newest first.
    advisories, "/api/v1/advisories", ["report", "grouping"];
    /// Evaluations and lessons, newest first.
    evaluations, "/api/v1/evaluations", ["note"];
    /// Sightings, newest first.
    sightings, "/api/v1/sightings", ["sighting"];
    /// Opinions, newest first.
    opinions, "/api/v1/opinions", ["opinion"];
    /// Relations between objects, newest first: each is shown only to who may see both of its ends.
    relations, "/api/v1/relations", ["relationship"];
    /// Objects of any type, newest first.
    objects, "/api/v1/objects", [];
}

/// Objects with all these words in their title or text, newest first.
#[utoipa::path(get, path = "/api/v1/search", tag = "objects",
    params(("q" = String, Query, description = "Words; the last may be cut off."),
        ("after" = Option<String>, Query, description = "The next of the page before."),
        ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 500)),
    responses((status = 200, body = Summaries)))]
pub(super) async fn search(
    State(app): State<App>,
    actor: Actor,
    Query(search): Query<Search>,
) -> Result<Answer<Summaries>, Failure> {
    let limit = cursor::limit(search.limit)?;
    if search.q.chars().count() > 500 {
        return Err(Failure::BadRequest("the query: q has at most 500 characters".to_owned()));
    }
    let list = format!("search {}", search.q);
    let after =
        search.after.map(|after| cursor::open::<Place>(&app, &list, &after)).transpose()?.map(Key::from);
    let page = reading(&app, &actor).await?.search(&search.q, &[], after.as_ref(), limit).await?;
    shown(&app, &actor, &list, page).await.map(Answer)
}

/// The last version of an object that the actor may see, byte for byte as it came.
#[utoipa::path(get, path = "/api/v1/objects/{id}", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = Object, content_type = "application/stix+json;version=2.1")))]
pub(super) async fn object(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Response, Failure> {
    let object = reading(&app, &actor).await?.get(&id, None).await?.ok_or(Failure::NotFound)?;
    let mut deed = Deed::new(&actor.asker(), "page", format!("api object {id}"), app.clock().now());
    deed.count = 1;
    deed.sha256 = Some(object.head.digest);
    app.exchange.note(deed).await?;
    let mut response = object.body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(STIX));
    Ok(response)
}

/// The versions of an object that the actor may see, newest first.
#[utoipa::path(get, path = "/api/v1/objects/{id}/versions", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Summary>)))]
pub(super) async fn versions(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Answer<Vec<Summary>>, Failure> {
    let found = reading(&app, &actor).await?.history(&id).await?;
    if found.is_empty() {
        return Err(Failure::NotFound);
    }
    Ok(Answer(found.into_iter().map(Summary::from).collect()))
}

/// Why the actor may see an object.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Why {
    /// The strictest mark on it, with all that it refers to.
    tlp: &'static str,
    /// One reason for every mark.
    reasons: Vec<String>,
    /// When the answer may change by itself: an embargo ends, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    changes: Option<Timestamp>,
}

/// Why the actor may see this object.
#[utoipa::path(get, path = "/api/v1/objects/{id}/why", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = Why)))]
pub(super) async fn why(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Answer<Why>, Failure> {
    reading(&app, &actor).await?;
    let found =
        app.exchange.explain(&actor.asker(), &id, app.clock().now()).await?.ok_or(Failure::NotFound)?;
    let reasons = found.decision.reasons().map(ToString::to_string).collect();
    Ok(Answer(Why { tlp: found.policy.tlp().label(), reasons, changes: found.decision.changes() }))
}

/// Whether a person could see an object now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sees {
    /// The person.
    person: String,
    /// Whether they could.
    allowed: bool,
    /// Why, or why not.
    reasons: Vec<String>,
}

/// Who could see this object now, and why: told to the organisation that shared it.
#[utoipa::path(get, path = "/api/v1/objects/{id}/readers", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Sees>)))]
pub(super) async fn readers(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Answer<Vec<Sees>>, Failure> {
    reading(&app, &actor).await?;
    let found = app.exchange.who_could_see(&actor.asker(), &id, app.clock().now()).await?;
    let sees = |(person, decision): (ostrom_core::PersonId, ostrom_core::handling::Decision)| Sees {
        person: person.to_string(),
        allowed: decision.allowed(),
        reasons: decision.reasons().map(ToString::to_string).collect(),
    };
    Ok(Answer(found.ok_or(Failure::NotFound)?.into_iter().map(sees).collect()))
}
