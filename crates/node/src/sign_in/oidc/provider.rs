//! What a provider says about itself: its endpoints (OpenID Connect Discovery) and its keys (RFC 7517).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
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
/// The most keys that are looked at.
const MOST_KEYS: usize = 64;

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
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    key: DecodingKey,
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
        let keys = keys(self.get(&document.jwks_uri).await?)?;
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

impl Known {
    /// The keys that may have signed a token with this header.
    pub(super) fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a DecodingKey> {
        let name = format!("{:?}", header.alg);
        let fits = move |key: &&Key| {
            (header.kid.is_none() || header.kid == key.id)
                && key.algorithm.as_ref().is_none_or(|algorithm| *algorithm == name)
                && key.key.family() == family(header.alg)
        };
        // Each try costs a signature's check.
        self.keys.iter().filter(fits).map(|key| &key.key).take(4)
    }
}

fn family(algorithm: Algorithm) -> jsonwebtoken::AlgorithmFamily {
    algorithm.family()
}

/// Reads a JWK set. Keys that cannot check signatures here are left out, as RFC 7517, section 5, has it.
fn keys(mut set: Value) -> Result<Vec<Key>, String> {
    let Some(Value::Array(list)) = set.get_mut("keys").map(Value::take) else {
        return Err("not a JWK set: no list of keys".to_owned());
    };
    let read = |value: Value| {
        let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let signs =
            jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        if secret || !signs {
            return None;
        }
        Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
    };
    let keys: Vec<Key> = list.into_iter().take(MOST_KEYS).filter_map(read).collect();
    if keys.is_empty() { Err("no key that can check signatures here".to_owned()) } else { Ok(keys) }
}
