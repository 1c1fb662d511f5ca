//! Errors as pages.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};

use super::visit::{encode, go, theme};
use crate::ui::view::{Chrome, error_page};
use crate::{App, Failure};

/// The longest problem that is turned into a page.
const MOST: usize = 64 << 10;

/// Turns the problems that handlers and extractors give into pages. Nobody who asks for a page that needs a session sees an error: they come
/// to the sign-in page.
///
/// *Invariant:* the page of a status depends on the status, the problem's text and the colours alone: what is hidden looks like what is
/// not there.
pub async fn faults(State(app): State<App>, request: Request, next: Next) -> Response {
    let theme = theme(request.headers());
    let (method, target) = (request.method().clone(), request.uri().to_string());
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    if !is_problem {
        return response;
    }
    if status == StatusCode::UNAUTHORIZED {
        let back = if method == Method::GET { target } else { "/".to_owned() };
        return go(&format!("/sign-in?next={}", encode(&back))).unwrap_or_else(Failure::into_response);
    }
    let (mut parts, body) = response.into_parts();
    let detail = match to_bytes(body, MOST).await {
        Ok(bytes) => serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|problem| problem.get("detail")?.as_str().map(str::to_owned)),
        Err(_) => None,
    };
    let (title, what) = text(status, detail.as_deref().unwrap_or_default());
    let chrome = Chrome {
        node: app.config.title.clone(),
        theme,
        here: "/".to_owned(),
        bare: true,
        version: env!("CARGO_PKG_VERSION"),
        ..Chrome::default()
    };
    let html = error_page(chrome, title, &what).to_string();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(WWW_AUTHENTICATE);
    Response::from_parts(parts, Body::from(html))
}

fn text(status: StatusCode, detail: &str) -> (&'static str, String) {
    let sentence = |text: &str| {
        let mut chars = text.chars();
        let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
        format!("{first}{}{end}", chars.as_str())
    };
    match status {
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "This page does not exist, or it is not for you to see. If somebody shared it with you, sign in."
                .to_owned(),
        ),
        StatusCode::FORBIDDEN => ("This cannot be done", sentence(detail)),
        StatusCode::CONFLICT => ("It has changed in the meantime", sentence(detail)),
        StatusCode::TOO_MANY_REQUESTS => ("Too many requests", sentence(detail)),
        StatusCode::PAYLOAD_TOO_LARGE => ("This is too large", sentence(detail)),
        StatusCode::INSUFFICIENT_STORAGE => ("No room left", sentence(detail)),
        StatusCode::SERVICE_UNAVAILABLE => ("Not at the moment", sentence(detail)),
        status if status.is_server_error() => (
            "The node failed",
            "Its log says more. Try again; if it stays, tell the administrator.".to_owned(),
        ),
        _ => ("This did not work", sentence(detail)),
    }
}
