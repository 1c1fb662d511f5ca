//! Queries and paths. What cannot be a thing's name names nothing.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{App, Failure};

/// The parameters of a query. `T` refuses unknown ones.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let decoded = percent_decoded(query)
            .ok_or_else(|| Failure::BadRequest("the query is not in UTF-8".to_owned()))?;
        if decoded.contains('\0') {
            return Err(Failure::BadRequest("the query holds a character that no text has".to_owned()));
        }
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query
            .map(|query| Self(query.0))
            .map_err(|error| Failure::BadRequest(format!("the query: {}", error.body_text())))
    }
}

fn percent_decoded(query: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The one parameter of a path. What cannot be read as one does not exist.
#[derive(Debug, Clone)]
pub struct Named<T>(pub T);

impl<T: FromStr> FromRequestParts<App> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Failure::NotFound)?;
        let text = params.iter().last().map(|(_, text)| text).ok_or(Failure::NotFound)?;
        text.parse().map(Self).map_err(|_| Failure::NotFound)
    }
}

/// The two parameters of a path.
#[derive(Debug, Clone)]
pub struct Named2<A, B>(pub A, pub B);

impl<A: FromStr, B: FromStr> FromRequestParts<App> for Named2<A, B> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Failure::NotFound)?;
        let mut texts = params.iter().map(|(_, text)| text);
        let (Some(a), Some(b)) = (texts.next(), texts.next()) else { return Err(Failure::NotFound) };
        Ok(Self(a.parse().map_err(|_| Failure::NotFound)?, b.parse().map_err(|_| Failure::NotFound)?))
    }
}

/// The three parameters of a path.
#[derive(Debug, Clone)]
pub struct Named3<A, B, C>(pub A, pub B, pub C);

impl<A: FromStr, B: FromStr, C: FromStr> FromRequestParts<App> for Named3<A, B, C> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Failure::NotFound)?;
        let mut texts = params.iter().map(|(_, text)| text);
        let (Some(a), Some(b), Some(c)) = (texts.next(), texts.next(), texts.next()) else {
            return Err(Failure::NotFound);
        };
        let gone = || Failure::NotFound;
        Ok(Self(
            a.parse().map_err(|_| gone())?,
            b.parse().map_err(|_| gone())?,
            c.parse().map_err(|_| gone())?,
        ))
    }
}
