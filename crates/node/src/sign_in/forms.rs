//! What forms of the sign-in pages send.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::session::Proof;
use super::{invite, session};
use crate::web::{Caller, Checked, Cookie, Csrf};
use crate::who::{Actor, SignedIn};
use crate::{App, Failure, note};

#[derive(Deserialize)]
pub(super) struct Password {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Change {
    #[serde(default)]
    old: String,
    new: String,
}

#[derive(Deserialize)]
pub(super) struct Accept {
    secret: String,
    #[serde(default)]
    organisation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// An address of this node to go on to: anything else is the front page.
pub(super) fn local(next: &str) -> &str {
    let good = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 2048
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if good { next } else { "/" }
}

/// Sends the browser on, with a cookie.
pub(super) fn on(location: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Back to the sign-in page, which says what failed and nothing more.
pub(super) fn failed(what: &str, next: &str) -> Response {
    let next: String = form_urlencoded::byte_serialize(local(next).as_bytes()).collect();
    on(&format!("/sign-in?failed={what}&next={next}"), None)
}

/// Who is signed in here, and the token for forms: for scripts, and for people's own programs that sign in with a password.
pub(super) async fn session(csrf: Csrf, actor: Actor) -> axum::Json<serde_json::Value> {
    let person = actor.person().map(|person| serde_json::json!({"id": person.id, "name": person.name}));
    axum::Json(serde_json::json!({"csrf": csrf.token(), "person": person}))
}

pub(super) async fn password(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Checked(form): Checked<Password>,
) -> Result<Response, Failure> {
    let password = Zeroizing::new(form.password);
    app.sign_in.throttle.account(&caller, &form.email)?;
    // Who is not known, is not active or has no password costs as much time and gets the same answer.
    let person = app.store.person_by_email(&form.email).await?;
    let phc = match &person {
        Some(person) => app.store.password(person.id).await?,
        None => None,
    };
    let good = app.sign_in.passwords.verify(password, phc).await?;
    let active = match &person {
        Some(person) => app.store.reader_of_person(person.id, caller.encrypted).await?.is_some(),
        None => false,
    };
    let Some(person) = person.filter(|_| good && active) else {
        return Ok(failed("password", &form.next));
    };
    app.sign_in.throttle.succeeded(&caller, &form.email);
    let cookie = session::begin(person.id, &headers, &app, Proof::Fresh).await?;
    Ok(on(local(&form.next), Some(cookie)))
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    signed_in: SignedIn,
    Checked(form): Checked<Change>,
) -> Result<Response, Failure> {
    let SignedIn { person, actor } = signed_in;
    let (old, new) = (Zeroizing::new(form.old), Zeroizing::new(form.new));
    // A session that somebody left open is not enough to take an account over.
    let known = app.store.password(person.id).await?;
    if known.is_none() {
        actor.recently(app.clock().now())?;
    }
    if let Some(phc) = known {
        app.sign_in.throttle.account(&caller, &person.email)?;
        if !app.sign_in.passwords.verify(old, Some(phc)).await? {
            return Ok(on("/account?failed=password", None));
        }
    }
    let phc = app.sign_in.passwords.hash(new).await?;
    note::own(&app, &actor, note::ACCOUNT, "password set".to_owned()).await?;
    let mut writing = app.store.writing(app.clock().now()).await?;
    writing.set_password(person.id, &phc).await?;
    writing.end_sessions(person.id).await?;
    writing.commit().await?;
    let cookie = session::begin(person.id, &headers, &app, Proof::Fresh).await?;
    Ok(on("/account?done=password", Some(cookie)))
}

pub(super) async fn sign_out(
    State(app): State<App>,
    headers: HeaderMap,
    Checked(()): Checked<()>,
) -> Result<Response, Failure> {
    session::end(&headers, &app).await?;
    Ok(on("/", Cookie::Session.clear(&app.base)))
}

pub(super) async fn accept(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Checked(form): Checked<Accept>,
) -> Result<Response, Failure> {
    app.sign_in.throttle.network(&caller)?;
    let password = invite::optional_password(form.password)?;
    let next = if password.is_some() { "/" } else { "/account?add=passkey" };
    let member = (!form.organisation.is_empty()).then_some(invite::FirstMember {
        organisation: form.organisation,
        name: form.name,
        email: form.email,
    });
    let person = invite::accept(&app, &form.secret, member, password).await?;
    let cookie = session::begin(person, &headers, &app, Proof::Fresh).await?;
    Ok(on(next, Some(cookie)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local("/flaws?q=a"), "/flaws?q=a");
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\r\nb", "/ä"] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}
