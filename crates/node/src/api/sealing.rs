//! Public keys that members give out, so that what is for them can be sealed to them. Private keys never come here.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{Digest, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::seal::RecipientKey;
use ostrom_exchange::service::Deed;
use ostrom_store::{Role, SealingKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::member;
use crate::sign_in::{name, secret};
use crate::web::{Json, Named};
use crate::who::{Actor, Who};
use crate::{App, Failure};

/// Most keys of an organisation that are in use.
const MOST: usize = 100;

/// A public key for sealing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SealingKeyView {
    /// Its id here.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: Uuid,
    /// The organisation that opens with it.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) organisation: OrgId,
    /// The person who does; none: whoever keeps the organisation's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) person: Option<PersonId>,
    /// The key (X25519): 64 hexadecimal digits.
    pub(crate) public_key: String,
    /// Its name in sealed objects: the SHA-256 of its 32 bytes. Compare it with what its owner tells you.
    #[schema(value_type = String)]
    pub(crate) key_id: Digest,
    /// What its owner calls it.
    pub(crate) label: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created: Timestamp,
}

/// A key to give out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealingKeyForm {
    /// The public key: 64 hexadecimal digits, as `ostrom seal-key new` prints it.
    public_key: String,
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    label: String,
}

fn view(key: SealingKey) -> Option<SealingKeyView> {
    let SealingKey { id, organisation, person, public_key, label, created, .. } = key;
    let key_id = public_key.parse::<RecipientKey>().ok()?.id();
    Some(SealingKeyView { id, organisation, person, public_key, key_id, label, created })
}

/// The keys that things can be sealed to.
#[utoipa::path(get, path = "/api/v1/sealing-keys", tag = "members",
    responses((status = 200, body = Vec<SealingKeyView>)))]
pub(super) async fn keys(
    State(app): State<App>,
    actor: Actor,
) -> Result<Answer<Vec<SealingKeyView>>, Failure> {
    member(&actor)?;
    Ok(Answer(all(&app).await?))
}

/// The keys that things can be sealed to.
pub(crate) async fn all(app: &App) -> Result<Vec<SealingKeyView>, Failure> {
    let keys = app.store.sealing_keys().await?;
    Ok(keys.into_iter().filter(|key| key.retired.is_none()).filter_map(view).collect())
}

/// Gives out a key: a person's own, or, with a token of the scope `write`, the organisation's.
#[utoipa::path(post, path = "/api/v1/sealing-keys", tag = "members", request_body = SealingKeyForm,
    responses((status = 201, body = SealingKeyView)))]
pub(crate) async fn new_key(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<SealingKeyForm>,
) -> Result<(StatusCode, Answer<SealingKeyView>), Failure> {
    let wrong = |why: &str| Failure::Unprocessable(why.to_owned());
    let organisation = may(&actor)?;
    let person = actor.person().map(|person| person.id);
    let key: RecipientKey = form
        .public_key
        .trim()
        .parse()
        .map_err(|error: ostrom_exchange::seal::SealError| wrong(&error.to_string()))?;
    if !key.is_usable() {
        return Err(wrong("nothing can be sealed to this key: make one with `ostrom seal-key new`"));
    }
    let known = app.store.sealing_keys().await?;
    let in_use = known.iter().filter(|key| key.organisation == organisation && key.retired.is_none());
    if in_use.count() >= MOST {
        return Err(wrong("your organisation has 100 keys in use: retire one first"));
    }
    let new = SealingKey {
        id: Uuid::from_bytes(secret::uuid()?),
        organisation,
        person,
        public_key: key.to_string(),
        label: name(&form.label)?,
        created: app.clock().now(),
        retired: None,
    };
    keep(&app, &actor, &new, format!("sealing key {} given out", key.id())).await?;
    let view = view(new).ok_or_else(|| Failure::internal("a key that was just made cannot be read"))?;
    Ok((StatusCode::CREATED, Answer(view)))
}

/// Retires a key: nothing is sealed to it any more. What was sealed to it before still opens with it.
#[utoipa::path(delete, path = "/api/v1/sealing-keys/{id}", tag = "members",
    params(("id" = String, Path, format = "uuid")), responses((status = 204)))]
pub(crate) async fn retire(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<Uuid>,
) -> Result<StatusCode, Failure> {
    let organisation = may(&actor)?;
    let known = app.store.sealing_keys().await?.into_iter().find(|key| key.id == id);
    let theirs = |key: &SealingKey| {
        key.organisation == organisation
            && key.retired.is_none()
            && (key.person == actor.person().map(|person| person.id) || actor.is(Role::Coordinator))
    };
    let mut key = known.filter(theirs).ok_or(Failure::NotFound)?;
    key.retired = Some(app.clock().now());
    keep(&app, &actor, &key, format!("sealing key {id} retired")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn keep(app: &App, actor: &Actor, key: &SealingKey, what: String) -> Result<(), Failure> {
    let now = app.clock().now();
    let mut writing = app.store.writing(now).await?;
    writing.put_sealing_key(key).await?;
    writing.commit().await?;
    let mut deed = Deed::new(&actor.asker(), "sealing-key", what, now);
    deed.count = 1;
    Ok(app.exchange.note(deed).await?)
}

/// For which organisation.
fn may(actor: &Actor) -> Result<OrgId, Failure> {
    match &actor.who {
        Who::Anonymous => Err(Failure::Unauthenticated),
        Who::Machine(machine) if !machine.may("write") => {
            Err(Failure::Forbidden("an organisation's key is given out with a token of the scope write"))
        }
        _ => actor.organisation().ok_or(Failure::Unauthenticated),
    }
}
