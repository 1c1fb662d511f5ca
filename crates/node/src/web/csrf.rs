//! Forms that only our own pages can send.
//!
//! A token is a keyed hash of the session's cookie or, before sign-in, of the visit's. Pages put it into a hidden field `csrf`; scripts send
//! it as the header `X-CSRF-Token`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use http::HeaderMap;
use http::header::SET_COOKIE;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::caller::is_cross_site;
use super::{Cookie, Payload, cookie, single};
use crate::{App, Failure};

/// The largest form of somebody who has not signed in.
const STRANGERS_FORM: usize = 64 << 10;

/// The token for the forms of a page. Taking it is all that a page must do: the cookie comes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csrf(String);

impl Csrf {
    /// What goes into the hidden field `csrf`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.0
    }

    fn of(app: &App, cookie: &str) -> Self {
        Self(BASE64URL_NOPAD.encode(&app.tag("csrf", &[cookie.as_bytes()])))
    }

    /// Whether `sent` is the token for these cookies, and no page of another origin sent it.
    ///
    /// # Errors
    /// [`Failure::Csrf`] if not.
    pub fn check(app: &App, headers: &HeaderMap, sent: Option<&str>) -> Result<(), Failure> {
        let bound =
            [Cookie::Session, Cookie::Visit].into_iter().find_map(|which| cookie(headers, &app.base, which));
        let (Some(bound), Some(sent)) = (bound, sent) else { return Err(Failure::Csrf) };
        let good = app.tag("compare", &[Self::of(app, bound).0.as_bytes()])
            == app.tag("compare", &[sent.as_bytes()]);
        if good && !is_cross_site(headers, app) { Ok(()) } else { Err(Failure::Csrf) }
    }
}

/// The visit of a browser without a session.
#[derive(Debug, Clone)]
struct Visit {
    value: Arc<str>,
    used: Arc<AtomicBool>,
}

impl FromRequestParts<App> for Csrf {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let mut bound = [Cookie::Session, Cookie::Visit].into_iter();
        if let Some(bound) = bound.find_map(|which| cookie(&parts.headers, &app.base, which)) {
            return Ok(Self::of(app, bound));
        }
        let visit = parts.extensions.get::<Visit>();
        let visit = visit.ok_or_else(|| Failure::internal("a form outside of the pages' routes"))?;
        visit.used.store(true, Ordering::Release);
        Ok(Self::of(app, &visit.value))
    }
}

/// Gives browsers without a cookie one, if the page has a form.
pub(crate) async fn visit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let has = [Cookie::Session, Cookie::Visit]
        .into_iter()
        .any(|which| cookie(request.headers(), &app.base, which).is_some());
    if has {
        return next.run(request).await;
    }
    let Ok(value) = crate::sign_in::secret::random::<18>().map(|bytes| BASE64URL_NOPAD.encode(&bytes)) else {
        return next.run(request).await;
    };
    let visit = Visit { value: value.into(), used: Arc::default() };
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    if visit.used.load(Ordering::Acquire)
        && let Some(set) = Cookie::Visit.set(&app.base, &visit.value, None)
    {
        response.headers_mut().append(SET_COOKIE, set);
    }
    response
}

/// Whether a form's token can hold at all: none does without a cookie, or for another origin. Then nothing of the body is received.
pub(crate) fn has_form_cookie(headers: &HeaderMap, app: &App) -> bool {
    let mut cookies = [Cookie::Session, Cookie::Visit].into_iter();
    cookies.any(|which| cookie(headers, &app.base, which).is_some()) && !is_cross_site(headers, app)
}

/// The fields of a form whose token `csrf` holds. `T` does not name the token; where fields repeat, take `Vec<(String, String)>`.
#[derive(Debug, Clone)]
pub struct Checked<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Checked<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let is_form = single(request.headers(), "content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(Failure::MediaType("application/x-www-form-urlencoded"));
        }
        let headers = request.headers().clone();
        if !has_form_cookie(&headers, app) {
            return Err(Failure::Csrf);
        }
        // Whoever has no session yet sends only a few lines.
        let most = match cookie(&headers, &app.base, Cookie::Session) {
            Some(_) => app.config.limits.body,
            None => app.config.limits.body.min(STRANGERS_FORM),
        };
        let body = Payload::read(request, most).await?;
        let bad = || Failure::BadRequest("the form is not in UTF-8".to_owned());
        // Lossy decoding would make of one text another.
        std::str::from_utf8(&body).map_err(|_| bad())?;
        let mut sent =
            form_urlencoded::parse(&body).filter(|(name, _)| name == "csrf").map(|(_, value)| value);
        let token = sent.next().filter(|_| sent.next().is_none());
        Csrf::check(app, &headers, token.as_deref())?;
        let fields = form_urlencoded::parse(&body).filter(|(name, _)| name != "csrf");
        let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut inner = Request::new(axum::body::Body::from(rest));
        *inner.method_mut() = http::Method::POST;
        let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        inner.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        let form = axum::Form::<T>::from_request(inner, &()).await;
        form.map(|form| Self(form.0)).map_err(|error| Failure::BadRequest(format!("the form: {error}")))
    }
}
