//! The OpenAPI document.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    audit, cases, collections, duties, exports, groups, imports, me, members, objects, peers, sealing,
    tokens, views, voices, write,
};
use crate::App;
use crate::error::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ostrom node",
        description = "Share vulnerabilities and incidents of AI with the right people, and only them. What one may not see does not exist: both are \
                       404, byte for byte."
    ),
    paths(
        me::me,
        members::organisations,
        members::organisation,
        members::new_organisation,
        members::change_organisation,
        members::persons,
        members::person,
        members::new_person,
        members::change_person,
        members::invite,
        groups::groups,
        groups::group,
        groups::new_group,
        groups::change_group,
        groups::remove_group,
        collections::collections,
        collections::collection,
        collections::new_collection,
        collections::change_collection,
        sealing::keys,
        sealing::new_key,
        sealing::retire,
        tokens::tokens,
        tokens::new_token,
        tokens::revoke,
        peers::peers,
        peers::peer,
        peers::new_peer,
        peers::remove_peer,
        peers::pull,
        peers::state,
        cases::cases,
        cases::case,
        cases::report,
        cases::opening,
        cases::new_case,
        cases::act,
        duties::duties,
        duties::name_duties,
        duties::take_back,
        duties::draft,
        duties::sent,
        views::views,
        views::save,
        views::remove,
        audit::audit,
        imports::import,
        objects::search,
        objects::flaws,
        objects::incidents,
        objects::techniques,
        objects::mitigations,
        objects::advisories,
        objects::evaluations,
        objects::sightings,
        objects::opinions,
        objects::relations,
        objects::objects,
        objects::object,
        objects::versions,
        voices::voices,
        voices::say,
        exports::forms,
        exports::export,
        objects::why,
        objects::readers,
        write::new_flaw,
        write::new_incident,
        write::new_technique,
        write::new_mitigation,
        write::new_advisory,
        write::new_evaluation,
        write::new_sighting,
        write::new_opinion,
        write::new_relation,
        write::change,
        write::remove,
    ),
    components(schemas(Problem))
)]
struct Api;

/// Statuses with which any operation may be refused, and why.
const REFUSALS: [(&str, &str); 11] = [
    ("400", "The request does not make sense."),
    ("401", "Nobody has signed in, or with a token that does not hold."),
    ("403", "The actor's role or token does not allow this at all."),
    ("404", "It does not exist, or the actor may not know that it does."),
    ("406", "The request does not accept the answer's media type."),
    ("409", "It is there already, or has changed in the meantime."),
    ("413", "The body is too large."),
    ("415", "The body has another media type."),
    ("422", "The content cannot be taken."),
    ("429", "Too many requests; Retry-After says when to try again."),
    ("503", "Busy; Retry-After says when to try again."),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    for path in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        for operation in path.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
                continue;
            };
            for (status, why) in REFUSALS {
                responses.entry(status).or_insert_with(
                    || json!({"description": why, "content": {"application/problem+json": problem.clone()}}),
                );
            }
        }
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        let schemes = json!({
            "token": {"type": "http", "scheme": "bearer", "description": "A machine's token (ost_…)."},
            "session": {"type": "apiKey", "in": "cookie", "name": "__Host-ostrom",
                "description": "A person's session. What changes something needs the header X-CSRF-Token as well."},
        });
        components.insert("securitySchemes".to_owned(), schemes);
    }
    if let Some(root) = document.as_object_mut() {
        root.insert("security".to_owned(), json!([{}, {"token": []}, {"session": []}]));
    }
    document
});

/// The document, with this node's URL in it.
pub(super) async fn openapi(State(app): State<App>) -> Response {
    let mut document = DOCUMENT.clone();
    if let Some(root) = document.as_object_mut() {
        root.insert("servers".to_owned(), json!([{"url": app.base.origin()}]));
    }
    let body = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
