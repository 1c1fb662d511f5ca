//! Bodies: bounded in size, and JSON that every reader reads the same way.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use serde::de::DeserializeOwned;

use super::{json, single};
use crate::{App, Failure};

/// A body of at most `limits.body` bytes.
#[derive(Debug, Clone)]
pub struct Payload(pub Bytes);

impl Payload {
    /// A body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Failure::TooLarge`], or if the client goes away half-way.
    pub async fn read(request: Request, limit: usize) -> Result<Bytes, Failure> {
        let (parts, body) = request.into_parts();
        let announced =
            parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge(limit));
        }
        collect(body, limit).await
    }
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Failure> {
    // If the client has gone instead, nobody reads this.
    axum::body::to_bytes(body, limit).await.map_err(|_| Failure::TooLarge(limit))
}

impl FromRequest<App> for Payload {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        Self::read(request, app.config.limits.body).await.map(Self)
    }
}

/// A JSON body: `application/json`, UTF-8, no name twice in an object, bounded in depth.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let kind = single(request.headers(), "content-type").and_then(|value| value.split(';').next());
        if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Failure::MediaType("application/json"));
        }
        let Payload(body) = Payload::from_request(request, app).await?;
        let wrong = |error: String| Failure::BadRequest(format!("the body: {error}"));
        json::check(&body, app.config.limits.depth).map_err(wrong)?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| Failure::Unprocessable(format!("the body: {error}")))
    }
}
