//! What a provider says about itself: its endpoints (OpenID Connect Discovery) and its keys (RFC 7517).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use ostrom_http::KeySet;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::LARGEST;
use crate::Failure;
use crate::net::Fetch;
use crate::web::json;

/// After how long it is read again.
const FRESH: Duration = Duration::from_secs(300);
/// How often, at most, it is read because a token names a key that is not known.
const PAUSE: Duration = Duration::from_secs(30);

/// A provider.
pub(super) struct Provider {
    pub(super) fetch: Fetch,
    issuer: String,
    hosts: Vec<String>,
    state: Mutex<Option<(Arc<Known>, Instant)>>,
}

/// What is known of it.
pub(super) struct Known {
    pub(super) authorization: String,
    pub(super) token: String,
    pub(super) keys: KeySet,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

impl Provider {
    pub(super) fn new(fetch: Fetch, issuer: String, hosts: Vec<String>) -> Self {
        Self { fetch, issuer, hosts, state: Mutex::default() }
    }

    /// What is known now. `missing`: a token names a key that is not.
    pub(super) async fn known(&self, missing: bool) -> Result<Arc<Known>, Failure> {
        // Whoever waits here wants what the one before is reading.
        let mut state = self.state.lock().await;
        if let Some((known, read)) = state.as_ref() {
            let age = read.elapsed();
            if age < PAUSE || (age < FRESH && !missing) {
                return Ok(Arc::clone(known));
            }
        }
        match self.read().await {
            Ok(known) => {
                let known = Arc::new(known);
                *state = Some((Arc::clone(&known), Instant::now()));
                Ok(known)
            }
            Err(why) => {
                Failure::internal(format!("OpenID Connect: {why}")).log();
                Err(Failure::Unavailable)
            }
        }
    }

    async fn read(&self) -> Result<Known, String> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document: Document =
            serde_json::from_value(self.get(&address).await?).map_err(|e| e.to_string())?;
        if document.issuer != self.issuer {
            return Err("the discovery document names another issuer".to_owned());
        }
        // The browser goes to the first; the node itself asks the others.
        self.fetch.check(&document.authorization_endpoint).map_err(|error| error.to_string())?;
        for endpoint in [&document.token_endpoint, &document.jwks_uri] {
            self.is_its_own(endpoint)?;
        }
        let keys = KeySet::read(self.get(&document.jwks_uri).await?).map_err(|e| e.to_string())?;
        Ok(Known { authorization: document.authorization_endpoint, token: document.token_endpoint, keys })
    }

    fn is_its_own(&self, endpoint: &str) -> Result<(), String> {
        let url = self.fetch.check(endpoint).map_err(|error| error.to_string())?;
        let issuer = Url::parse(&self.issuer).map_err(|error| error.to_string())?;
        let named = url.host_str().is_some_and(|host| self.hosts.iter().any(|one| one == host));
        if url.origin() == issuer.origin() || (named && url.scheme() == issuer.scheme()) {
            Ok(())
        } else {
            Err("the provider has an endpoint on a host that is not the issuer's (oidc hosts)".to_owned())
        }
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let reply = self.fetch.send(Method::GET, url, HeaderMap::new(), None, LARGEST).await;
        let reply = reply.map_err(|error| error.to_string())?;
        if reply.status != 200 {
            return Err(format!("the provider answered {}", reply.status));
        }
        json::check(&reply.body, 16)?;
        serde_json::from_slice(&reply.body).map_err(|error| error.to_string())
    }
}
