//! What the passkey scripts of the pages send: JSON, with the CSRF token as a header.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use ostrom_core::{PersonId, Uuid};
use ostrom_store::Passkey;
use serde::Deserialize;
use serde_json::{Value, json};

use super::forms::{local, on};
use super::passkey::{self, Assertion, Bytes, PasskeyError, Registration};
use super::session::Proof;
use super::{invite, session};
use crate::web::{Caller, Checked, Cookie, Csrf, Json, cookie, single};
use crate::who::SignedIn;
use crate::{App, Failure, note};

/// The most passkeys of one person.
const MOST: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    id: Bytes,
    response: Assertion,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    name: String,
    response: Registration,
}

#[derive(Deserialize)]
pub(super) struct Remove {
    /// The credential's id in Base64url.
    id: String,
}

impl From<PasskeyError> for Failure {
    fn from(error: PasskeyError) -> Self {
        Self::Unprocessable(error.to_string())
    }
}

/// The browser that a challenge is for, after the token for its forms held.
fn bound(app: &App, headers: &HeaderMap, ceremony: &str) -> Result<[u8; 32], Failure> {
    Csrf::check(app, headers, single(headers, "x-csrf-token"))?;
    let which = [Cookie::Session, Cookie::Visit].into_iter();
    let cookie =
        which.into_iter().find_map(|which| cookie(headers, &app.base, which)).ok_or(Failure::Csrf)?;
    Ok(app.tag(ceremony, &[cookie.as_bytes()]))
}

pub(super) async fn begin(State(app): State<App>, headers: HeaderMap) -> Result<axum::Json<Value>, Failure> {
    let bound = bound(&app, &headers, "passkey-sign-in")?;
    let challenge = app.sign_in.challenges.make(bound, app.clock().now())?;
    Ok(axum::Json(passkey::request(&app.base, &challenge)))
}

pub(super) async fn finish(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(sent): Json<SignIn>,
) -> Result<Response, Failure> {
    let bound = bound(&app, &headers, "passkey-sign-in")?;
    app.sign_in.throttle.network(&caller)?;
    let now = app.clock().now();
    let challenge = app.sign_in.challenges.take(&bound, now).ok_or(PasskeyError::Challenge)?;
    // A passkey that is not known and one that does not hold are the same.
    let refused = || Failure::from(PasskeyError::Signature);
    let known = app.store.passkey(&sent.id.0).await?.ok_or_else(refused)?;
    let count = sent.response.verify(&challenge, &app.base, &known.public_key)?;
    if handle(known.person) != sent.response.user_handle.0 {
        return Err(refused());
    }
    if app.store.reader_of_person(known.person, caller.encrypted).await?.is_none() {
        return Err(refused());
    }
    let mut writing = app.store.writing(now).await?;
    // A counter that went back says that there are two of this passkey.
    if !writing.use_passkey(&known.id, count).await? {
        return Err(refused());
    }
    writing.commit().await?;
    let cookie = session::begin(known.person, &headers, &app, Proof::Fresh).await?;
    let mut response = axum::Json(json!({"next": local(&sent.next)})).into_response();
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

pub(super) async fn register_begin(
    State(app): State<App>,
    headers: HeaderMap,
    signed_in: SignedIn,
) -> Result<axum::Json<Value>, Failure> {
    let bound = bound(&app, &headers, "passkey-register")?;
    signed_in.actor.recently(app.clock().now())?;
    let person = signed_in.person;
    let known = app.store.passkeys(person.id).await?;
    if known.len() >= MOST {
        return Err(Failure::Unprocessable(format!("there are {MOST} passkeys already: remove one first")));
    }
    let known: Vec<Vec<u8>> = known.into_iter().map(|passkey| passkey.id).collect();
    let challenge = app.sign_in.challenges.make(bound, app.clock().now())?;
    let user = (&*handle(person.id), &*person.email, &*person.name);
    Ok(axum::Json(passkey::creation(&app.base, &app.config.title, user, &challenge, &known)))
}

pub(super) async fn register_finish(
    State(app): State<App>,
    headers: HeaderMap,
    signed_in: SignedIn,
    Json(sent): Json<Register>,
) -> Result<StatusCode, Failure> {
    let bound = bound(&app, &headers, "passkey-register")?;
    let now = app.clock().now();
    signed_in.actor.recently(now)?;
    let challenge = app.sign_in.challenges.take(&bound, now).ok_or(PasskeyError::Challenge)?;
    let new = sent.response.verify(&challenge, &app.base)?;
    let passkey = Passkey {
        id: new.id,
        person: signed_in.person.id,
        public_key: new.public_key,
        sign_count: new.sign_count,
        name: invite::name(&sent.name)?,
        created: now,
        last_used: None,
    };
    let mut writing = app.store.writing(now).await?;
    writing.add_passkey(&passkey).await?;
    note::own(&app, &signed_in.actor, note::ACCOUNT, format!("passkey {} added", passkey.name)).await?;
    writing.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(app): State<App>,
    signed_in: SignedIn,
    Checked(form): Checked<Remove>,
) -> Result<Response, Failure> {
    let id = data_encoding::BASE64URL_NOPAD.decode(form.id.as_bytes()).map_err(|_| Failure::NotFound)?;
    let mut writing = app.store.writing(app.clock().now()).await?;
    if !writing.remove_passkey(signed_in.person.id, &id).await? {
        return Err(Failure::NotFound);
    }
    note::own(&app, &signed_in.actor, note::ACCOUNT, "passkey removed".to_owned()).await?;
    writing.commit().await?;
    Ok(on("/account?done=passkey", None))
}

/// How authenticators know a person: by the UUID, which says nothing about them.
fn handle(person: PersonId) -> Vec<u8> {
    let uuid: Uuid = person.uuid();
    uuid.as_bytes().to_vec()
}
