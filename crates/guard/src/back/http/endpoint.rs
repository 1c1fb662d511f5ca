//! The MCP endpoint: requests with a token, and once more with a better one.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Method, Request, Url};

use super::client::{broken, build, check, is_loopback};
use crate::back::clean::quote;
use crate::back::oauth::Authorizer;
use crate::back::{Auth, Fault};

/// Where requests go, and with what.
pub(in crate::back) struct Endpoint {
    client: reqwest::Client,
    url: Url,
    authorizer: Authorizer,
}

impl Endpoint {
    pub(in crate::back) fn new(url: &Url, auth: &Auth) -> Result<Self, Fault> {
        check(url).map_err(Fault::CannotStart)?;
        // OAuth may lead from this machine to an authorization server elsewhere, by TLS.
        let tls = url.scheme() == "https" || (matches!(auth, Auth::OAuth(_)) && !is_loopback(url));
        let client = build(tls).map_err(Fault::CannotStart)?;
        let authorizer = Authorizer::new(auth, url)?;
        Ok(Self { client, url: url.clone(), authorizer })
    }

    /// How long a person may take to allow the guard.
    pub(in crate::back) fn patience(&self) -> Duration {
        self.authorizer.patience()
    }

    /// Sends a message.
    pub(in crate::back) async fn post(
        &self,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<reqwest::Response, Fault> {
        let mut headers = headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        self.send(Method::POST, headers, Some(body.into())).await
    }

    /// Opens a stream of events.
    pub(in crate::back) async fn get(&self, headers: &HeaderMap) -> Result<reqwest::Response, Fault> {
        let mut headers = headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.send(Method::GET, headers, None).await
    }

    /// Ends a session.
    pub(in crate::back) async fn delete(&self, headers: &HeaderMap) -> Result<reqwest::Response, Fault> {
        self.send(Method::DELETE, headers.clone(), None).await
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<bytes::Bytes>,
    ) -> Result<reqwest::Response, Fault> {
        let mut renewed = false;
        loop {
            let token = self.authorizer.token().await?;
            let mut request = Request::new(method.clone(), self.url.clone());
            *request.headers_mut() = headers.clone();
            if let Some(token) = &token {
                request.headers_mut().insert(header::AUTHORIZATION, token.clone());
            }
            // Bytes are shared, not copied.
            *request.body_mut() = body.clone().map(Into::into);
            let response = self.client.execute(request).await.map_err(|error| broken(&error))?;
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
