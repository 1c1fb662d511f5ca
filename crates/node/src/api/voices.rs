//! What members say about an object: that they have seen it too, or whether they agree.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::handling::{Handling, Party, Policy, Tlp};
use ostrom_core::{ObjectId, OrgId, Timestamp, Uuid};
use ostrom_exchange::service::{Deed, Draft};
use ostrom_exchange::types::{Common, Opinion, Record, Sighting, View};
use ostrom_store::{Key, Object};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cursor::{self, Paging};
use super::objects::{Place, reading};
use super::write::{Written, asker, put};
use crate::sign_in::secret;
use crate::web::{Json, Named, Query};
use crate::who::Actor;
use crate::{App, Failure, exports};

/// The types by which members say something.
const KINDS: [&str; 2] = ["sighting", "opinion"];
/// The word for a sighting.
const SEEN: &str = "seen";
/// The longest note, in characters.
const LONGEST: usize = 4_000;

/// What a member says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Voice {
    /// The id of the sighting or opinion.
    #[schema(value_type = String)]
    id: ObjectId,
    /// The organisation that says it.
    #[schema(value_type = String, format = "uuid")]
    organisation: OrgId,
    /// `seen`, or how far it agrees: `strongly-disagree`, `disagree`, `neutral`, `agree`, `strongly-agree`.
    says: String,
    /// How often it was seen, if somebody has counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// What else it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// When this node took it.
    #[schema(value_type = String, format = DateTime)]
    added: Timestamp,
}

/// A page of what members say.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Voices {
    /// What they say, newest first.
    items: Vec<Voice>,
    /// What to ask for the next page with, as `after`; none if this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Something to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoiceForm {
    /// `seen`, `strongly-disagree`, `disagree`, `neutral`, `agree` or `strongly-agree`.
    #[schema(min_length = 1)]
    say: String,
    /// A note, for everybody who may read what it is about.
    #[serde(default)]
    #[schema(max_length = 4000)]
    note: String,
}

fn voice(object: &Object, about: &ObjectId) -> Option<Voice> {
    let (says, count, note) = match exports::record(object)? {
        Record::Sighting(it) if it.sighting_of_ref == *about => (SEEN.to_owned(), it.count, it.description),
        Record::Opinion(it) if it.object_refs.contains(about) => {
            (it.opinion.name().to_owned(), None, it.explanation)
        }
        _ => return None,
    };
    let (id, organisation, added) = (object.head.key.id.clone(), object.head.owner, object.head.key.added);
    Some(Voice { id, organisation, says, count, note, added })
}

/// What members say about an object, as far as the actor may see it: sightings and opinions.
#[utoipa::path(get, path = "/api/v1/objects/{id}/voices", tag = "objects",
    params(("id" = String, Path), ("after" = Option<String>, Query, description = "The next of the page before."),
        ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 500)),
    responses((status = 200, body = Voices)))]
pub(super) async fn voices(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
    Query(paging): Query<Paging>,
) -> Result<Answer<Voices>, Failure> {
    let limit = cursor::limit(paging.limit)?;
    let list = format!("voices {id}");
    let after = paging.after.map(|after| cursor::open::<Place>(&app, &list, &after)).transpose()?;
    let reading = reading(&app, &actor).await?;
    reading.get(&id, None).await?.ok_or(Failure::NotFound)?;
    let page = reading.referred_by(&id, &KINDS, after.map(Key::from).as_ref(), limit).await?;
    let ids: Vec<ObjectId> = page.rows.iter().map(|head| head.key.id.clone()).collect();
    let objects = reading.objects(&ids).await?;
    let mut said: BTreeMap<&ObjectId, Voice> =
        objects.iter().filter_map(|object| Some((&object.head.key.id, voice(object, &id)?))).collect();
    // A list has the order of the page, and each once.
    let items: Vec<Voice> = ids.iter().filter_map(|id| said.remove(id)).collect();
    let mut deed = Deed::new(&actor.asker(), "page", format!("api voices about {id}"), app.clock().now());
    deed.first = items.first().map(|item| item.id.to_string());
    deed.last = items.last().map(|item| item.id.to_string());
    deed.count = items.len() as u64;
    app.exchange.note(deed).await?;
    let next = page.next.map(|key| cursor::seal(&app, &list, &Place::from(key))).transpose()?;
    Ok(Answer(Voices { items, next }))
}

/// The mark of what somebody says: it lets as many read as any mark of what it is about. What holds in the end is the conjunction with that, so nobody
/// reads it who may not read what it is about.
fn handling(actor: &Actor, organisation: OrgId, about: &Policy) -> Handling {
    let mut handling = Handling::new(organisation, about.tlp());
    handling.author = actor.person().map(|person| person.id);
    if let Some(of) = about.handlings().find(|handling| handling.tlp == about.tlp()) {
        handling.audience.clone_from(&of.audience);
        handling.audience.insert(Party::Organisation(of.owner));
        handling.audience.extend(of.author.map(Party::Person));
        if of.audience.is_empty() && of.tlp <= Tlp::Green {
            handling.audience.clear();
        }
    }
    handling
}

/// Says something about an object, with its marks: to everybody who may read it.
#[utoipa::path(post, path = "/api/v1/objects/{id}/voices", tag = "objects", params(("id" = String, Path)),
    request_body = VoiceForm, responses((status = 201, body = Written)))]
pub(crate) async fn say(
    State(app): State<App>,
    actor: Actor,
    Named(about): Named<ObjectId>,
    Json(form): Json<VoiceForm>,
) -> Result<(StatusCode, Answer<Written>), Failure> {
    let asker = asker(&actor, false)?;
    let organisation = asker.organisation.ok_or(Failure::Unauthenticated)?;
    let reading = reading(&app, &actor).await?;
    let object = reading.get(&about, None).await?.ok_or(Failure::NotFound)?;
    let (policy, _) = reading.explain(&about, None).await?.ok_or(Failure::NotFound)?;
    let collection = reading.collection(&object.head.key.collection.to_string()).await?;
    let collection = collection.ok_or(Failure::NotFound)?;
    if form.note.contains('\0') || form.note.chars().count() > LONGEST {
        return Err(Failure::Unprocessable("a note has at most 4,000 characters".to_owned()));
    }
    let note = Some(form.note).filter(|note| !note.is_empty());
    let now = app.clock().now();
    let common = |name: &str| {
        let uuid = Uuid::from_bytes(secret::uuid()?);
        Common::new(name, uuid, now, Some(organisation)).map_err(Failure::internal)
    };
    let record = if form.say == SEEN {
        let mut it = Sighting::new(common("sighting")?, about);
        it.description = note;
        it.last_seen = Some(now.to_millis());
        Record::Sighting(it)
    } else {
        let view = View::ALL.iter().copied().find(|view| view.name() == form.say);
        let view = view.ok_or_else(|| {
            Failure::Unprocessable("say whether you have seen it, agree or disagree".to_owned())
        })?;
        let mut it = Opinion::new(common("opinion")?, view, vec![about]);
        it.explanation = note;
        Record::Opinion(it)
    };
    let draft = Draft { record, handling: handling(&actor, organisation, &policy), along: Vec::new() };
    let written = put(&app, &asker, &collection, draft).await?;
    Ok((StatusCode::CREATED, Answer(written)))
}
