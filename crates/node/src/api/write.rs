//! Writing Ostrom's own types, and removing objects.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::handling::{Embargo, Handling, Party, Tlp};
use ostrom_core::{Digest, ObjectId, Timestamp, Uuid};
use ostrom_exchange::service::{Actor as Asker, Draft, Outcome};
use ostrom_exchange::stix::{Limits, Object};
use ostrom_exchange::types::Record;
use ostrom_store::Collection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::sign_in::secret;
use crate::web::{Json, Named, Query};
use crate::who::{Actor, Who};
use crate::{App, Failure};

/// Who may read what is written.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandlingForm {
    /// The mark of the Traffic Light Protocol: `clear`, `green`, `amber`, `amber+strict` or `red`.
    #[schema(value_type = String)]
    tlp: Tlp,
    /// Named recipients: `{"organisation": ID}`, `{"person": ID}` or `{"group": ID}`.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    audience: BTreeSet<Party>,
    /// An embargo: `{"until": TIME, "parties": […]}`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    embargo: Option<Embargo>,
}

/// Something to write.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectForm {
    /// The collection, by its id or alias.
    #[schema(min_length = 1, max_length = 60)]
    collection: String,
    /// Who may read it.
    handling: HandlingForm,
    /// Its STIX properties, without those that the node gives: id, type, spec_version, created, modified, created_by_ref and
    /// object_marking_refs.
    #[schema(value_type = Value)]
    object: Map<String, Value>,
    /// STIX objects that must come with it, such as the software that an evaluation is about.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    along: Vec<Value>,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    /// Its id.
    #[schema(value_type = String)]
    id: ObjectId,
    /// Its version.
    #[schema(value_type = String, format = DateTime)]
    version: Timestamp,
    /// Where the commitment to it lies in the transparency log.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<u64>,
    /// Its permanent link.
    link: String,
}

const GIVEN: [&str; 7] =
    ["id", "type", "spec_version", "created", "modified", "created_by_ref", "object_marking_refs"];

/// The actor; a token for reports writes flaws and incidents too.
pub(super) fn asker(actor: &Actor, reports: bool) -> Result<Asker, Failure> {
    let mut asker = actor.asker();
    match &actor.who {
        Who::Anonymous => return Err(Failure::Unauthenticated),
        Who::Machine(machine) if reports && machine.may("report") => {
            asker.scopes.get_or_insert_default().insert("write".to_owned());
        }
        _ => {}
    }
    if !asker.may_write() {
        return Err(Failure::Forbidden("your role, or the token's scopes, do not allow writing"));
    }
    Ok(asker)
}

/// The collection, if the actor may know of it.
pub(super) async fn collection(app: &App, asker: &Asker, name: &str) -> Result<Collection, Failure> {
    let reading = app.store.reading(&asker.reader, app.clock().now()).await?;
    let found = reading.collection(name).await?.filter(|collection| asker.is_for(collection.id));
    found.ok_or_else(|| Failure::Unprocessable("there is no such collection".to_owned()))
}

/// A draft of the form, as the version of the object `id` that was created and modified then.
fn draft(
    asker: &Asker,
    form: ObjectForm,
    id: ObjectId,
    (created, modified): (Timestamp, Timestamp),
) -> Result<Draft, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Unprocessable(format!("the object: {why}"));
    let organisation = asker.organisation.ok_or(Failure::Unauthenticated)?;
    let mut object = form.object;
    if let Some(given) = GIVEN.iter().find(|name| object.contains_key(**name)) {
        return Err(wrong(&format!("leave {given} out, the node gives it")));
    }
    object.insert("type".to_owned(), json!(id.kind()));
    object.insert("spec_version".to_owned(), json!("2.1"));
    object.insert("id".to_owned(), json!(id));
    object.insert("created".to_owned(), json!(created));
    object.insert("modified".to_owned(), json!(modified));
    object.insert("created_by_ref".to_owned(), json!(format!("identity--{organisation}")));
    let bytes = serde_json::to_vec(&object).map_err(Failure::internal)?;
    let object = Object::read(&bytes, &Limits::default()).map_err(|error| wrong(&error))?;
    let record = Record::parse(&object).map_err(|error| wrong(&error))?;
    let author = match asker.who {
        ostrom_exchange::service::Who::Person(person) => Some(person),
        _ => None,
    };
    let HandlingForm { tlp, audience, embargo } = form.handling;
    let handling = Handling { author, audience, embargo, ..Handling::new(organisation, tlp) };
    Ok(Draft { record, handling, along: form.along })
}

pub(super) async fn put(
    app: &App,
    asker: &Asker,
    collection: &Collection,
    draft: Draft,
) -> Result<Written, Failure> {
    let outcomes = app.exchange.write(asker, collection, draft, app.clock().now()).await?;
    let mut last = None;
    for Outcome { result, .. } in outcomes {
        last = Some(result.map_err(|refusal| Failure::Unprocessable(refusal.to_string()))?);
    }
    let took = last.ok_or_else(|| Failure::internal("nothing was written"))?;
    let link = app.base.url(&format!("/objects/{}", took.id));
    Ok(Written { id: took.id, version: took.version, leaf: took.leaf, link })
}

async fn make(
    app: App,
    actor: Actor,
    kind: &str,
    reports: bool,
    form: ObjectForm,
) -> Result<(StatusCode, Answer<Written>), Failure> {
    let asker = asker(&actor, reports)?;
    let collection = collection(&app, &asker, &form.collection).await?;
    let uuid = match bundle(&form.object) {
        Some(bundle) => of_bundle(&app, &asker, &form.handling, &bundle),
        None => secret::uuid()?,
    };
    let id = ObjectId::new(kind, Uuid::from_bytes(uuid)).map_err(Failure::internal)?;
    if let Some(found) = here(&app, &asker, &id).await? {
        return Ok((StatusCode::OK, Answer(found)));
    }
    let now = app.clock().now().to_millis();
    let draft = draft(&asker, form, id, (now, now))?;
    Ok((StatusCode::CREATED, Answer(put(&app, &asker, &collection, draft).await?)))
}

/// The bundle that an evaluation is of.
fn bundle(object: &Map<String, Value>) -> Option<Digest> {
    let mut extensions = object.get("extensions")?.as_object()?.values();
    extensions.find_map(|extension| extension.get("evaluation")?.get("bundle_sha256")?.as_str()?.parse().ok())
}

/// The UUID of the evaluation of a bundle: whoever publishes the same bundle twice finds the first one. It takes this node's key to know it, so
/// nobody can take the id before. What is for single persons is each person's own: they need not know of one another's.
fn of_bundle(app: &App, asker: &Asker, handling: &HandlingForm, bundle: &Digest) -> [u8; 16] {
    let organisation = asker.organisation.map(|id| id.to_string()).unwrap_or_default();
    let person = match asker.who {
        ostrom_exchange::service::Who::Person(person) if handling.tlp == Tlp::Red => person.to_string(),
        _ => String::new(),
    };
    let tag = app.tag("evaluation", &[organisation.as_bytes(), person.as_bytes(), bundle.as_bytes()]);
    secret::versioned(tag.first_chunk::<16>().copied().unwrap_or_default())
}

/// What is here under this id already, if the actor may see it and it is the organisation's own.
async fn here(app: &App, asker: &Asker, id: &ObjectId) -> Result<Option<Written>, Failure> {
    let found = app.store.reading(&asker.reader, app.clock().now()).await?.get(id, None).await?;
    let own = found.map(|object| object.head).filter(|head| Some(head.owner) == asker.organisation);
    Ok(own.map(|head| Written {
        link: app.base.url(&format!("/objects/{id}")),
        id: head.key.id,
        version: head.key.version,
        leaf: head.leaf,
    }))
}

macro_rules! makes {
    ($($(#[$doc:meta])* $name:ident, $path:literal, $kind:literal, $reports:literal;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "objects", request_body = ObjectForm,
            responses((status = 201, body = Written),
                (status = 200, body = Written, description = "The evaluation of this bundle is here already; it stays as it is.")))]
        pub(super) async fn $name(
            State(app): State<App>,
            actor: Actor,
            Json(form): Json<ObjectForm>,
        ) -> Result<(StatusCode, Answer<Written>), Failure> {
            make(app, actor, $kind, $reports, form).await
        }
    )*};
}

makes! {
    /// Reports a flaw.
    new_flaw, "/api/v1/flaws", "vulnerability", true;
    /// Reports an incident.
    new_incident, "/api/v1/incidents", "incident", true;
    /// Shares a technique.
    new_technique, "/api/v1/techniques", "attack-pattern", false;
    /// Shares a mitigation.
    new_mitigation, "/api/v1/mitigations", "course-of-action", false;
    /// Shares an advisory: a draft, until it is published.
    new_advisory, "/api/v1/advisories", "grouping", false;
    /// Publishes an evaluation or a lesson. The evaluation of a bundle that the organisation has published before is found, and not made anew.
    new_evaluation, "/api/v1/evaluations", "note", false;
    /// Says that something was seen (`sighting_of_ref`).
    new_sighting, "/api/v1/sightings", "sighting", false;
    /// Says how far one agrees (`opinion`: `strongly-disagree` to `strongly-agree`) with objects (`object_refs`).
    new_opinion, "/api/v1/opinions", "opinion", false;
    /// Says how two objects are related (`relationship_type`, `source_ref`, `target_ref`).
    new_relation, "/api/v1/relations", "relationship", false;
}

/// A new version of an object of the actor's organisation.
#[utoipa::path(put, path = "/api/v1/objects/{id}", tag = "objects", params(("id" = String, Path)),
    request_body = ObjectForm, responses((status = 200, body = Written)))]
pub(super) async fn change(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
    Json(form): Json<ObjectForm>,
) -> Result<Answer<Written>, Failure> {
    let reports = matches!(id.kind(), "vulnerability" | "incident");
    let asker = asker(&actor, reports)?;
    let now = app.clock().now();
    let before =
        app.store.reading(&asker.reader, now).await?.get(&id, None).await?.ok_or(Failure::NotFound)?;
    if !asker.is_for(before.head.key.collection) {
        return Err(Failure::NotFound);
    }
    let value: Value = serde_json::from_slice(&before.body).map_err(Failure::internal)?;
    let created = value.get("created").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let last = before.head.key.version;
    let created = created.unwrap_or(last);
    // Whoever wrote the last version may have had a clock that is ahead: this one comes after it all the same.
    let next = Timestamp::from_micros(last.to_millis().micros().saturating_add(1000)).map_err(|_| {
        Failure::Conflict("its last version is of the end of the year 9999: none comes after it".to_owned())
    })?;
    let collection = collection(&app, &asker, &form.collection).await?;
    let draft = draft(&asker, form, id, (created, now.to_millis().max(next)))?;
    put(&app, &asker, &collection, draft).await.map(Answer)
}

/// What is removed, and why.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removing {
    collection: String,
    why: Option<String>,
}

/// Removes an object of the actor's organisation from a collection: all versions of it that the actor may see.
#[utoipa::path(delete, path = "/api/v1/objects/{id}", tag = "objects",
    params(("id" = String, Path), ("collection" = String, Query, description = "The collection, by its id or alias."),
        ("why" = Option<String>, Query, description = "Why, for those who had it.")),
    responses((status = 204)))]
pub(super) async fn remove(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
    Query(removing): Query<Removing>,
) -> Result<StatusCode, Failure> {
    let asker = asker(&actor, false)?;
    let collection = collection(&app, &asker, &removing.collection).await?;
    let why = removing.why.map(|why| why.chars().filter(|c| !c.is_control()).take(500).collect::<String>());
    let now = app.clock().now();
    let removed = app.exchange.remove(&asker, &collection, &id, None, why.as_deref(), now).await?;
    if removed == 0 { Err(Failure::NotFound) } else { Ok(StatusCode::NO_CONTENT) }
}
