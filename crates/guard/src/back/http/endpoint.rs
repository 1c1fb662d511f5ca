//! The MCP endpoint: requests with a token, and once more with a better one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;

use super::client::check;
use super::pool::{Pool, Response};
use super::tls::{authorities, believing};
use crate::back::clean::quote;
use crate::back::link::may_leave;
use crate::back::oauth::Authorizer;
use crate::back::server::waited;
use crate::back::{Auth, Fault};
use crate::relay::Relay;

/// Where requests go, and with what.
pub(in crate::back) struct Endpoint {
    pool: Arc<Pool>,
    authorizer: Authorizer,
}

impl Endpoint {
    /// With `ca`, the server's certificate must come from an authority in that file.
    pub(in crate::back) fn new(url: &Url, auth: &Auth, ca: Option<&Path>) -> Result<Self, Fault> {
        check(url).map_err(Fault::CannotStart)?;
        let authorities = ca.map(authorities).transpose().map_err(Fault::CannotStart)?.unwrap_or_default();
        let tls = (url.scheme() == "https").then(|| believing(&authorities)).transpose();
        let tls = tls.map_err(Fault::CannotStart)?.map(Arc::new);
        let pool = Pool::new(url, tls).map_err(Fault::CannotStart)?;
        let authorizer = Authorizer::new(auth, url, &authorities)?;
        Ok(Self { pool: Arc::new(pool), authorizer })
    }

    /// How long a person may take to allow the guard.
    pub(in crate::back) fn patience(&self) -> Duration {
        self.authorizer.patience()
    }

    /// Sends a message: after every wait, only if `relay` says that it may still leave.
    pub(in crate::back) async fn post(
        &self,
        mut headers: HeaderMap,
        body: Vec<u8>,
        relay: Option<&Relay>,
    ) -> Result<Response, Fault> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        self.send(Method::POST, headers, Some(body.into()), relay).await
    }

    /// Opens a stream of events.
    pub(in crate::back) async fn get(&self, headers: &HeaderMap) -> Result<Response, Fault> {
        let mut headers = headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.send(Method::GET, headers, None, None).await
    }

    /// Ends a session.
    pub(in crate::back) async fn delete(&self, headers: &HeaderMap) -> Result<Response, Fault> {
        self.send(Method::DELETE, headers.clone(), None, None).await
    }

    async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Option<Bytes>,
        relay: Option<&Relay>,
    ) -> Result<Response, Fault> {
        let mut renewed = false;
        loop {
            let (token, waited) = waited(self.authorizer.token()).await;
            let token = token?;
            if waited || renewed {
                may_leave(relay).await?;
            }
            // Kept only where there may be a second time.
            let again = self.authorizer.can_renew();
            let mut with_token = if again { headers.clone() } else { std::mem::take(&mut headers) };
            if let Some(token) = &token {
                with_token.insert(header::AUTHORIZATION, token.clone());
            }
            // Bytes are shared, not copied.
            let response = self.pool.send(method.clone(), with_token, body.clone(), relay).await?;
            let wants = match response.status() {
                StatusCode::UNAUTHORIZED => true,
                StatusCode::FORBIDDEN => self.authorizer.wants_more(response.headers()),
                _ => false,
            };
            if !wants {
                return Ok(response);
            }
            if std::mem::replace(&mut renewed, true) {
                return Err(Fault::Unauthorized("it refuses the token that was just obtained".to_owned()));
            }
            // The request did not run: that is what these statuses say.
            let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
            let challenges: Vec<HeaderValue> = challenges.iter().cloned().collect();
            drop(response);
            self.authorizer.renew(&challenges, token.as_ref()).await?;
        }
    }

    /// The fault of a status that is not success.
    pub(in crate::back) fn refused(&self, status: StatusCode, body: &[u8]) -> Fault {
        let message = if status.is_redirection() {
            "redirects are not followed; configure the address itself".to_owned()
        } else {
            let text = self.authorizer.mask(&String::from_utf8_lossy(body));
            let text = quote(&text);
            if text.is_empty() { status.canonical_reason().unwrap_or("no reason").to_owned() } else { text }
        };
        Fault::Refused { status: status.as_u16(), message }
    }
}
