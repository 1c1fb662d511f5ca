//! The way to an OpenID provider and back.

use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use http::header::SET_COOKIE;
use ostrom_core::PersonId;
use ostrom_store::OidcLink;
use serde::Deserialize;

use super::forms::{failed, local, on};
use super::oidc::{Arrival, Identity, OpenId};
use super::session::{self, Proof};
use crate::web::{Caller, Cookie, cookie};
use crate::{App, Failure};

#[derive(Deserialize)]
pub(super) struct Begin {
    #[serde(default)]
    next: String,
    /// Whether the provider is to ask the person anew.
    #[serde(default)]
    again: String,
}

fn openid(app: &App) -> Result<&OpenId, Failure> {
    app.sign_in.openid.as_ref().ok_or(Failure::NotFound)
}

/// A link and no form: a page's policy would not let a form lead to another host.
pub(super) async fn begin(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Begin>,
) -> Result<Response, Failure> {
    let openid = openid(&app)?;
    app.sign_in.throttle.network(&caller)?;
    let departure =
        openid.begin(local(&query.next).to_owned(), !query.again.is_empty(), app.clock().now()).await?;
    Ok(on(&departure.location, Cookie::Provider.set(&app.base, &departure.cookie, Some(600))))
}

pub(super) async fn callback(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Failure> {
    let openid = openid(&app)?;
    app.sign_in.throttle.network(&caller)?;
    let sent = cookie(&headers, &app.base, Cookie::Provider);
    let finished = openid.finish(&arrival, sent, app.clock().now()).await;
    let (identity, next) = match finished {
        Err(Failure::Unauthenticated) => return Ok(failed("provider", "/")),
        other => other?,
    };
    let person = match person(&app, openid.issuer(), &identity).await? {
        Some(person) if app.store.reader_of_person(person, caller.encrypted).await?.is_some() => person,
        _ => return Ok(failed("provider", &next)),
    };
    let proof = if identity.asked { Proof::Fresh } else { Proof::Provider };
    let session = session::begin(person, &headers, &app, proof).await?;
    let mut response = on(&next, Some(session));
    if let Some(clear) = Cookie::Provider.clear(&app.base) {
        response.headers_mut().append(SET_COOKIE, clear);
    }
    Ok(response)
}

/// Who that is here. Whoever comes for the first time is the person with the address that the provider vouches for, if that
/// person is no other subject of it already.
async fn person(app: &App, issuer: &str, identity: &Identity) -> Result<Option<PersonId>, Failure> {
    if let Some(person) = app.store.person_of_oidc(issuer, &identity.subject).await? {
        return Ok(Some(person));
    }
    let Some(email) = &identity.email else { return Ok(None) };
    let Some(person) = app.store.person_by_email(email).await?.filter(|person| person.active) else {
        return Ok(None);
    };
    let links = app.store.oidc_links(person.id).await?;
    if links.iter().any(|link| link.issuer == issuer) {
        return Ok(None);
    }
    let now = app.clock().now();
    let link = OidcLink {
        issuer: issuer.to_owned(),
        subject: identity.subject.clone(),
        person: person.id,
        created: now,
    };
    let mut writing = app.store.writing(now).await?;
    writing.add_oidc_link(&link).await?;
    writing.commit().await?;
    Ok(Some(person.id))
}
