//! Sessions of people: from a cookie to an actor.

use axum::extract::FromRequestParts as _;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use ostrom_core::{Digest, PersonId, Timestamp};
use ostrom_store::Session;

use super::{secret, token};
use crate::web::{Caller, Cookie, cookie};
use crate::who::{Actor, Person, Who};
use crate::{App, Failure};

/// What a session keeps whose person the provider named without asking them anew.
const PROVIDERS_WORD: &[u8] = b"provider";

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Just now: by a password, a passkey, a link, or to a provider that says so.
    Fresh,
    /// Some time ago, to a provider.
    Provider,
}

/// Who sent this request. What is sent as `Authorization` counts alone, and must hold; a cookie that does not hold any more is nobody's.
///
/// # Errors
/// [`Failure::Unauthenticated`] if a token was sent that does not hold.
pub(crate) async fn actor(parts: &mut Parts, app: &App) -> Result<Actor, Failure> {
    let caller = Caller::from_request_parts(parts, app).await?;
    if parts.headers.contains_key(AUTHORIZATION) {
        return token::actor(&parts.headers, &caller, app).await;
    }
    match cookie(&parts.headers, &app.base, Cookie::Session) {
        None | Some("") => Ok(Actor::anonymous(&caller)),
        Some(value) => {
            let found = person(value, &caller, app).await?;
            Ok(found.unwrap_or_else(|| Actor::anonymous(&caller)))
        }
    }
}

async fn person(value: &str, caller: &Caller, app: &App) -> Result<Option<Actor>, Failure> {
    let now = app.clock().now();
    let hash = Digest::from_bytes(secret::hash(value));
    let Some(session) = app.store.session(&hash, now).await? else { return Ok(None) };
    let Some(reader) = app.store.reader_of_person(session.person, caller.encrypted).await? else {
        return Ok(None);
    };
    let Some(person) = app.store.person(session.person).await? else { return Ok(None) };
    renew(&session, now, app).await?;
    let who = Who::Person(Person {
        id: person.id,
        organisation: person.organisation,
        name: person.name,
        email: person.email,
        roles: person.roles,
        proved: session.csrf.is_empty().then_some(session.created),
    });
    Ok(Some(Actor { who, reader, address: caller.address }))
}

/// Until when a session lasts that is used now.
fn until(created: Timestamp, now: Timestamp, app: &App) -> Timestamp {
    let limits = &app.config.limits;
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    now.plus_seconds(seconds(limits.session_idle)).min(created.plus_seconds(seconds(limits.session)))
}

/// Moves the end of a session that is used; not at every request, since it is a write.
async fn renew(session: &Session, now: Timestamp, app: &App) -> Result<(), Failure> {
    let until = until(session.created, now, app);
    let idle = i64::try_from(app.config.limits.session_idle.as_micros()).unwrap_or(i64::MAX);
    if until.micros().saturating_sub(session.expires.micros()) < idle / 12 {
        return Ok(());
    }
    let mut writing = app.store.writing(now).await?;
    // If it was ended in the meantime, it stays so.
    if writing.end_session(&session.hash).await? {
        writing.add_session(&Session { expires: until, ..session.clone() }).await?;
        writing.commit().await?;
    }
    Ok(())
}

/// Begins a session, and ends the one that the browser had before. Gives the header that sets the cookie.
pub(crate) async fn begin(
    person: PersonId,
    headers: &HeaderMap,
    app: &App,
    proof: Proof,
) -> Result<HeaderValue, Failure> {
    let now = app.clock().now();
    let value = secret::secret("")?;
    let mut writing = app.store.writing(now).await?;
    if let Some(old) = cookie(headers, &app.base, Cookie::Session) {
        writing.end_session(&Digest::from_bytes(secret::hash(old))).await?;
    }
    let hash = Digest::from_bytes(secret::hash(&value));
    let csrf = match proof {
        Proof::Fresh => Vec::new(),
        Proof::Provider => PROVIDERS_WORD.to_vec(),
    };
    let session = Session { hash, person, created: now, expires: until(now, now, app), csrf };
    writing.add_session(&session).await?;
    writing.commit().await?;
    let seconds = app.config.limits.session.as_secs();
    Cookie::Session.set(&app.base, &value, Some(seconds)).ok_or_else(|| Failure::internal("a cookie"))
}

/// Ends the browser's session.
pub(crate) async fn end(headers: &HeaderMap, app: &App) -> Result<(), Failure> {
    if let Some(value) = cookie(headers, &app.base, Cookie::Session) {
        let mut writing = app.store.writing(app.clock().now()).await?;
        writing.end_session(&Digest::from_bytes(secret::hash(value))).await?;
        writing.commit().await?;
    }
    Ok(())
}
