//! TAXII 2.1 over HTTP. What it means is `exchange::taxii`'s.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ostrom_core::Uuid;
use ostrom_exchange::taxii::{Answer, MEDIA_TYPE, Method as Does, Request as Asks};

use crate::sign_in::secret;
use crate::web::{Payload, single};
use crate::who::Actor;
use crate::{App, Failure};

/// The discovery resource, and everything below.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/taxii2", any(taxii))
        .route("/taxii2/", any(taxii))
        .route("/taxii2/{*rest}", any(taxii))
}

/// Every answer, refusals too, is TAXII's.
async fn taxii(State(app): State<App>, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    let mut response = match answer(&app, request).await {
        Ok(answer) => carried(answer),
        Err(failure) => refused(&failure),
    };
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn answer(app: &App, request: Request) -> Result<Answer, Failure> {
    let (mut parts, body) = request.into_parts();
    let method = match parts.method {
        Method::GET | Method::HEAD => Does::Get,
        Method::POST => Does::Post,
        Method::DELETE => Does::Delete,
        _ => return Err(Failure::Method("GET, HEAD, POST, DELETE")),
    };
    let actor = Actor::from_request_parts(&mut parts, app).await?;
    // A browser would send its session along whoever asks it to; TAXII's clients have tokens.
    if method != Does::Get && actor.person().is_some() {
        return Err(Failure::Unauthenticated);
    }
    let body = match method {
        // Nobody who may not write anything makes us keep a large body.
        Does::Post if actor.is_signed_in() => {
            Payload::read(Request::from_parts(parts.clone(), body), app.config.limits.objects_body).await?
        }
        Does::Post => return Err(Failure::Unauthenticated),
        _ => bytes::Bytes::new(),
    };
    let accept = accept(&parts.headers);
    let path = match parts.uri.path() {
        "/taxii2" => "/taxii2/",
        path => path,
    };
    let asks = Asks {
        method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        accept: accept.as_deref(),
        content_type: single(&parts.headers, CONTENT_TYPE.as_str()),
        body: &body,
    };
    let id = Uuid::from_bytes(secret::uuid()?);
    Ok(app.taxii.answer(&actor.asker(), &asks, app.clock().now(), id).await)
}

/// All lines of the header as one; one that is not text accepts nothing.
fn accept(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all("accept");
    let lines: Vec<&str> = lines.iter().map(|line| line.to_str().unwrap_or("-")).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn carried(mut answer: Answer) -> Response {
    if let Some(cause) = answer.cause.take() {
        Failure::internal(cause).log();
    }
    let kind = HeaderValue::from_static(answer.content_type());
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn refused(failure: &Failure) -> Response {
    failure.log();
    let mut response = carried(Answer::error(failure.status().as_u16(), &failure.to_string()));
    let headers = response.headers_mut();
    headers.extend(failure.headers());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if *failure == Failure::Unauthenticated {
        // TAXII 2.1, section 1.6.9, wants Basic from every server.
        headers
            .append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ostrom\", charset=\"UTF-8\""));
    }
    if let Failure::Method(allowed) = failure {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}
