//! OpenID Connect: the authorization code flow with PKCE (RFC 7636), state and nonce.
//!
//! Only the configured issuer is asked: its discovery document must name it, and its endpoints must have its origin, or one that the
//! settings name.

mod flow;
mod provider;
mod token;

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use ostrom_core::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use self::flow::{Flow, Flows};
use self::provider::{Known, Provider};
pub(crate) use self::token::Identity;
use crate::net::{Fetch, Reach};
use crate::sign_in::secret;
use crate::{Config, Failure, Oidc, StartError};

/// The largest answer of a provider.
const LARGEST: usize = 256 << 10;

/// Sign-in with one provider.
pub(crate) struct OpenId {
    settings: Oidc,
    redirect: String,
    provider: Provider,
    flows: Flows,
}

/// Where the browser goes, and what it keeps to come back with.
pub(crate) struct Departure {
    /// The provider's address.
    pub(crate) location: String,
    /// The value of the cookie.
    pub(crate) cookie: String,
}

/// With what the browser comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Arrival {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl OpenId {
    pub(crate) fn new(config: &Config, redirect: String) -> Result<Option<Self>, StartError> {
        let Some(settings) = config.oidc.clone() else { return Ok(None) };
        let wrong = |why: String| StartError::Oidc(why);
        // The administrator chose the issuer, which may well be in a private network.
        let fetch = Fetch::new(Reach::All, settings.insecure, Duration::from_secs(10));
        let fetch = fetch.map_err(|error| wrong(error.to_string()))?;
        fetch.check(&settings.issuer).map_err(|error| wrong(format!("issuer: {error}")))?;
        let provider = Provider::new(fetch, settings.issuer.clone(), settings.hosts.clone());
        Ok(Some(Self { settings, redirect, provider, flows: Flows::default() }))
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Begins. `again`: the provider asks the person who they are, whether or not they have signed in to it before.
    pub(crate) async fn begin(
        &self,
        next: String,
        again: bool,
        now: Timestamp,
    ) -> Result<Departure, Failure> {
        let known = self.provider.known(false).await?;
        let (state, cookie) = (secret::secret("")?, secret::secret("")?);
        let (nonce, verifier) = (secret::secret("")?, secret::secret("")?);
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", "openid email profile")
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if again {
            // With max_age the provider must say when it asked them (OpenID Connect Core, section 3.1.2.1).
            query.append_pair("prompt", "login").append_pair("max_age", "0");
        }
        let query = query.finish();
        let mark = if known.authorization.contains('?') { '&' } else { '?' };
        let location = format!("{}{mark}{query}", known.authorization);
        let flow =
            Flow { cookie: secret::hash(&cookie), nonce, verifier, next, until: now.plus_seconds(600) };
        self.flows.put(secret::hash(&state), flow);
        Ok(Departure { location, cookie: cookie.to_string() })
    }

    /// Ends: who came back, and where to they wanted.
    pub(crate) async fn finish(
        &self,
        arrival: &Arrival,
        cookie: Option<&str>,
        now: Timestamp,
    ) -> Result<(Identity, String), Failure> {
        let state = arrival.state.as_deref().ok_or(Failure::Unauthenticated)?;
        let flow = self.flows.take(&secret::hash(state), now).ok_or(Failure::Unauthenticated)?;
        // Whoever comes back is the browser that went (against login by a planted link).
        if cookie.map(secret::hash) != Some(flow.cookie) {
            return Err(Failure::Unauthenticated);
        }
        // RFC 9207: an answer that says it is another issuer's is one.
        if arrival.iss.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(Failure::Unauthenticated);
        }
        let code = arrival.code.as_deref().ok_or(Failure::Unauthenticated)?;
        let known = self.provider.known(false).await?;
        let token = self.redeem(&known, code, &flow).await?;
        let mut keys = known;
        if !keys.has_key_for(&token) {
            // The provider may have a new key.
            keys = self.provider.known(true).await?;
        }
        let identity = keys.identity(&token, &self.settings.issuer, &self.settings.client, &flow.nonce)?;
        Ok((identity, flow.next))
    }

    async fn redeem(&self, known: &Arc<Known>, code: &str, flow: &Flow) -> Result<String, Failure> {
        let (headers, body) = self.redemption(code, flow)?;
        let asked =
            self.provider.fetch.send(reqwest::Method::POST, &known.token, headers, Some(body), LARGEST);
        let reply = asked.await.map_err(|error| {
            Failure::internal(format!("OpenID Connect: the provider's token endpoint: {error}")).log();
            Failure::Unavailable
        })?;
        if reply.status != 200 {
            return Err(Failure::Unauthenticated);
        }
        let tokens: Tokens = serde_json::from_slice(&reply.body).map_err(|_| Failure::Unauthenticated)?;
        Ok(tokens.id_token)
    }

    /// The headers and the form that redeem a code.
    fn redemption(&self, code: &str, flow: &Flow) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("code_verifier", &flow.verifier);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match &self.settings.secret {
            // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
            Some(secret) => {
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(&self.settings.client), encode(secret));
                let value = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
                let mut value = HeaderValue::from_str(&value).map_err(Failure::internal)?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            None => {
                form.append_pair("client_id", &self.settings.client);
            }
        }
        Ok((headers, form.finish().into_bytes()))
    }
}
