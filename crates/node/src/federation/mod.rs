//! Federation over HTTP: what peers ask of this node, and what this node asks of its peers.

mod pull;
mod transport;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ostrom_exchange::federation::{PeerKey, Request, ServeError};
use ostrom_exchange::service::Deed;
use serde_json::json;

pub(crate) use pull::{Pulls, collection, pull, pull_due};
pub use transport::HttpTransport;

use crate::web::Query;
use crate::who::{Actor, Who};
use crate::{App, Failure};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/federation/v1/identity", get(identity))
        .route("/federation/v1/changes", get(changes))
}

/// This node's name and key. Administrators of peers compare it with what they are told in another way.
pub(crate) fn key(app: &App) -> Result<PeerKey, Failure> {
    let name = app.logs.transparency.verifier().name();
    PeerKey::new(name, &app.logs.key.public()).map_err(Failure::internal)
}

async fn identity(State(app): State<App>) -> Result<Response, Failure> {
    let key = key(&app)?;
    let fingerprint = key.fingerprint();
    let body = json!({"name": key.name(), "key": key.to_string(), "fingerprint": fingerprint, "title": app.config.title});
    Ok(axum::Json(body).into_response())
}

/// A signed page of what the peer's organisation may see.
async fn changes(
    State(app): State<App>,
    actor: Actor,
    Query(request): Query<Request>,
) -> Result<Response, Failure> {
    match &actor.who {
        Who::Machine(machine) if machine.may("federate") && machine.collections.is_none() => {}
        Who::Anonymous => return Err(Failure::Unauthenticated),
        _ => {
            return Err(Failure::Forbidden(
                "this is for peers: make a token with the scope federate, for all collections",
            ));
        }
    }
    let now = app.clock().now();
    let reading = app.store.reading(&actor.reader, now).await?;
    let page = app.peer_server.serve(&reading, &request).await.map_err(|error| match error {
        ServeError::Request => Failure::BadRequest(error.to_string()),
        ServeError::LogIsShorter { .. } => Failure::Conflict(error.to_string()),
        ServeError::Store(error) => error.into(),
        error => Failure::internal(error),
    })?;
    let from: String = request.from.chars().filter(|c| !c.is_control()).take(256).collect();
    let mut deed = Deed::new(&actor.asker(), "send", format!("federation page to {from}"), now);
    deed.count = 1;
    deed.sha256 = Some(ostrom_core::Digest::of(&page));
    app.exchange.note(deed).await?;
    let mut response = page.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
