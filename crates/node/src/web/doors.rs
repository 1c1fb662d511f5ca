//! Which requests are let in at all, before anything of them is read.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};

use super::floods::Key;
use super::{Caller, Cookie, cookie, single};
use crate::{App, Exposure, Failure};

/// Host, floods, announced size, time.
pub(crate) async fn doors(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let checked = check(&mut parts, &app).await;
    match checked {
        Ok(()) => {
            let answer = next.run(Request::from_parts(parts, body));
            match tokio::time::timeout(app.config.limits.request, answer).await {
                Ok(response) => response,
                Err(_elapsed) => Failure::Timeout.into_response(),
            }
        }
        Err(failure) => failure.into_response(),
    }
}

async fn check(parts: &mut http::request::Parts, app: &App) -> Result<(), Failure> {
    use axum::extract::FromRequestParts as _;

    let loopback = app.config.exposure == Exposure::Loopback;
    let host = single(&parts.headers, HOST.as_str());
    let ours = host.is_some_and(|host| app.base.is_host(host, loopback))
        && parts.uri.authority().is_none_or(|named| app.base.is_host(named.as_str(), loopback));
    if !ours {
        // Against DNS rebinding: a page of another site that has made its name point to us still names itself.
        return Err(Failure::BadRequest(
            "this host name is not served here (--base-url says which one is)".to_owned(),
        ));
    }
    let caller = Caller::from_request_parts(parts, app).await?;
    // A credential that does not hold must not open a bucket of its own: the network pays as well.
    let limit = |wait| Failure::TooMany(wait);
    let now = Instant::now();
    let credential = cookie(&parts.headers, &app.base, Cookie::Session)
        .or_else(|| single(&parts.headers, AUTHORIZATION.as_str()));
    if let Some(credential) = credential {
        let tag = app.tag("flood", &[credential.as_bytes()]);
        let key = tag.first_chunk::<16>().copied().unwrap_or_default();
        app.floods.take(Key::Credential(key), now).map_err(limit)?;
        // Several people and machines share an address; theirs together is eight times one's.
        app.networks.take(Key::Network(caller.network()), now).map_err(limit)?;
    } else {
        app.floods.take(Key::Network(caller.network()), now).map_err(limit)?;
    }
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let most = app.config.limits.objects_body;
    if announced.is_some_and(|length| length > most as u64) {
        return Err(Failure::TooLarge(most));
    }
    Ok(())
}
