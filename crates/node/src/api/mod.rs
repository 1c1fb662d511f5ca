//! The REST API under `/api/v1`: JSON, described by OpenAPI at `/api/v1/openapi.json`.

pub(crate) mod audit;
pub(crate) mod cases;
mod collections;
mod cursor;
mod document;
mod duties;
mod exports;
mod groups;
mod hidden;
mod imports;
mod me;
mod members;
mod objects;
pub(crate) mod peers;
pub(crate) mod sealing;
pub(crate) mod service;
mod tokens;
mod views;
mod voices;
mod write;

use axum::Router;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::Method;
use http::header::AUTHORIZATION;

pub(crate) use objects::reading;
pub(crate) use peers::token_setting;

use crate::web::{Csrf, single};
use crate::who::{Actor, Role, Who};
use crate::{App, Failure};

/// All routes.
pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/openapi.json", get(document::openapi))
        .route("/api/v1/me", get(me::me))
        .route("/api/v1/organisations", get(members::organisations).post(members::new_organisation))
        .route("/api/v1/organisations/{id}", get(members::organisation).put(members::change_organisation))
        .route("/api/v1/persons", get(members::persons).post(members::new_person))
        .route("/api/v1/persons/{id}", get(members::person).put(members::change_person))
        .route("/api/v1/persons/{id}/invitation", post(members::invite))
        .route("/api/v1/groups", get(groups::groups).post(groups::new_group))
        .route(
            "/api/v1/groups/{id}",
            get(groups::group).put(groups::change_group).delete(groups::remove_group),
        )
        .route("/api/v1/collections", get(collections::collections).post(collections::new_collection))
        .route("/api/v1/collections/{id}", get(collections::collection).put(collections::change_collection))
        .route("/api/v1/sealing-keys", get(sealing::keys).post(sealing::new_key))
        .route("/api/v1/sealing-keys/{id}", axum::routing::delete(sealing::retire))
        .route("/api/v1/tokens", get(tokens::tokens).post(tokens::new_token))
        .route("/api/v1/tokens/{id}", axum::routing::delete(tokens::revoke))
        .route("/api/v1/peers", get(peers::peers).post(peers::new_peer))
        .route("/api/v1/peers/{id}", get(peers::peer).delete(peers::remove_peer))
        .route("/api/v1/peers/{id}/pull", post(peers::pull))
        .route("/api/v1/peers/{id}/state", axum::routing::put(peers::state))
        .route("/api/v1/cases", get(cases::cases).post(cases::new_case))
        .route("/api/v1/cases/{id}", get(cases::case))
        .route("/api/v1/cases/{id}/report", get(cases::report))
        .route("/api/v1/cases/{id}/opening", get(cases::opening))
        .route("/api/v1/cases/{id}/events", post(cases::act))
        .route("/api/v1/audit", get(audit::audit))
        .route("/api/v1/imports", post(imports::import))
        .route("/api/v1/search", get(objects::search))
        .route("/api/v1/flaws", get(objects::flaws).post(write::new_flaw))
        .route("/api/v1/incidents", get(objects::incidents).post(write::new_incident))
        .route("/api/v1/techniques", get(objects::techniques).post(write::new_technique))
        .route("/api/v1/mitigations", get(objects::mitigations).post(write::new_mitigation))
        .route("/api/v1/advisories", get(objects::advisories).post(write::new_advisory))
        .route("/api/v1/evaluations", get(objects::evaluations).post(write::new_evaluation))
        .route("/api/v1/sightings", get(objects::sightings).post(write::new_sighting))
        .route("/api/v1/opinions", get(objects::opinions).post(write::new_opinion))
        .route("/api/v1/relations", get(objects::relations).post(write::new_relation))
        .route(
            "/api/v1/incidents/{id}/duties",
            get(duties::duties).put(duties::name_duties).delete(duties::take_back),
        )
        .route("/api/v1/incidents/{id}/duties/{clock}/{rule}", get(duties::draft))
        .route("/api/v1/incidents/{id}/duties/{clock}/{rule}/sent", post(duties::sent))
        .route("/api/v1/views", get(views::views).post(views::save))
        .route("/api/v1/views/{name}", axum::routing::delete(views::remove))
        .route("/api/v1/objects", get(objects::objects))
        .route("/api/v1/objects/{id}", get(objects::object).put(write::change).delete(write::remove))
        .route("/api/v1/objects/{id}/versions", get(objects::versions))
        .route("/api/v1/objects/{id}/voices", get(voices::voices).post(voices::say))
        .route("/api/v1/objects/{id}/export", get(exports::forms))
        .route("/api/v1/objects/{id}/export/{form}", get(exports::export))
        .route("/api/v1/objects/{id}/why", get(objects::why))
        .route("/api/v1/objects/{id}/readers", get(objects::readers))
        .method_not_allowed_fallback(method)
        .layer(from_fn_with_state(app.clone(), forged))
}

async fn method() -> Response {
    let mut response = Failure::Method("").into_response();
    // The router knows which there are, and says so where nobody else has.
    response.headers_mut().remove(http::header::ALLOW);
    response
}

/// A browser sends a session's cookie along whoever asks it to; so what changes something needs the form's token as well. And nobody who may
/// change nothing at all makes the node receive a body.
async fn forged(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    if !reads && !headers.contains_key(AUTHORIZATION) && headers.contains_key(http::header::COOKIE) {
        let checked = Csrf::check(&app, headers, single(headers, "x-csrf-token"));
        if let Err(failure) = checked {
            return failure.into_response();
        }
    }
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match Actor::from_request_parts(&mut parts, &app).await.and_then(|actor| sends(&actor)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(failure) => failure.into_response(),
    }
}

/// Whoever may send something, to whatever address.
fn sends(actor: &Actor) -> Result<(), Failure> {
    match &actor.who {
        Who::Anonymous => Err(Failure::Unauthenticated),
        Who::Machine(machine) if !["write", "report"].iter().any(|scope| machine.may(scope)) => {
            Err(Failure::Forbidden("this token is not for this (scopes)"))
        }
        Who::Person(_) | Who::Machine(_) => Ok(()),
    }
}

/// Members and machines with a token for reading.
fn member(actor: &Actor) -> Result<(), Failure> {
    actor.must(&Role::ALL, "read")
}

/// Persons who administer; never machines.
fn administrator(actor: &Actor) -> Result<(), Failure> {
    match &actor.who {
        Who::Anonymous => Err(Failure::Unauthenticated),
        _ if actor.is(Role::Administrator) => Ok(()),
        _ => Err(Failure::Forbidden("this is for administrators")),
    }
}

/// A description: text of bounded length.
fn description(text: &str) -> Result<String, Failure> {
    let fine = text.chars().count() <= 4000 && !text.chars().any(|c| c.is_control() && c != '\n');
    if fine {
        Ok(text.to_owned())
    } else {
        Err(Failure::Unprocessable("a description has at most 4,000 characters".to_owned()))
    }
}
