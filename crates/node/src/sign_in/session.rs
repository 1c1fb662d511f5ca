//! Sessions of people and tokens of machines: from a request's headers to an actor.

use axum::extract::FromRequestParts as _;
use http::request::Parts;

use crate::web::Caller;
use crate::who::Actor;
use crate::{App, Failure};

/// Who sent this request.
///
/// # Errors
/// [`Failure::Unauthenticated`] if a credential was sent that does not hold.
pub(crate) async fn actor(parts: &mut Parts, app: &App) -> Result<Actor, Failure> {
    let caller = Caller::from_request_parts(parts, app).await?;
    Ok(Actor::anonymous(&caller))
}
