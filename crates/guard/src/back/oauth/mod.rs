//! Tokens for HTTP servers (OAuth 2.1 as MCP's authorization uses it).
//!
//! A server that answers 401 names its metadata (RFC 9728), that names the authorization server, and that says where its endpoints
//! are (RFC 8414 or OpenID Connect Discovery). A person then allows the guard in a browser (authorization code with PKCE S256,
//! the server as `resource` after RFC 8707, `iss` checked after RFC 9207, redirect to a listener on this machine). The grant lies in
//! a file that only its owner can read, and is refreshed from there.
//!
//! *Invariant:* every address that a server names is https, or http on this machine if the server itself is on it; redirects are not followed.
//!
//! *Invariant:* a grant is used only for the resource that it was obtained for, and its refresh token goes only to the token endpoint of
//! the issuer that gave it.

mod challenge;
mod flow;
mod metadata;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;
use rustls::pki_types::CertificateDer;

use super::{Auth, Fault, Secret};
use challenge::Challenge;
use metadata::Places;
use store::Grant;

/// A token is renewed this many seconds before it expires.
const EARLY: u64 = 30;

/// Shows a person the page on which to allow the guard, for example by opening a browser.
pub type ShowUrl = Arc<dyn Fn(&Url) + Send + Sync>;

/// How the guard becomes a client of an authorization server.
#[derive(Debug, Clone)]
pub enum Registration {
    /// It was registered by hand.
    Client {
        /// The authorization server that knows the client; any that the server names if it is not given.
        issuer: Option<String>,
        /// The client's id.
        id: String,
        /// Its secret, if it has one.
        secret: Option<Secret>,
    },
    /// Its id is the https address of a document that describes it (OAuth Client ID Metadata Document).
    Document(Url),
    /// It registers itself (RFC 7591).
    Dynamic,
}

/// How the guard obtains tokens.
#[derive(Clone)]
pub struct OAuth {
    /// How it becomes a client.
    pub registration: Registration,
    /// What to ask for; what the server says it needs if this is not given.
    pub scopes: Option<Vec<String>>,
    /// The file of the grant. One for each server.
    pub store: PathBuf,
    /// The port of the redirect listener on 127.0.0.1; any if 0. The redirect is `http://127.0.0.1:PORT/callback`.
    pub redirect_port: u16,
    /// Shows the page to a person. Without it only a stored grant is used.
    pub show: Option<ShowUrl>,
    /// How long the person has.
    pub patience: Duration,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("registration", &self.registration).finish_non_exhaustive()
    }
}

/// Puts tokens on requests.
pub(super) enum Authorizer {
    None,
    Bearer(Secret, HeaderValue),
    OAuth(Box<Tokens>),
}

impl Authorizer {
    pub(super) fn new(
        auth: &Auth,
        url: &Url,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, Fault> {
        match auth {
            Auth::None => Ok(Self::None),
            Auth::Bearer(secret) => Ok(Self::Bearer(secret.clone(), bearer(secret)?)),
            Auth::OAuth(config) => Ok(Self::OAuth(Box::new(Tokens::new(config, url, authorities)?))),
        }
    }

    /// How long a person may take.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::None | Self::Bearer(..) => Duration::ZERO,
            Self::OAuth(tokens) => {
                if tokens.config.show.is_some() {
                    tokens.config.patience
                } else {
                    Duration::ZERO
                }
            }
        }
    }

    /// The header for the next request.
    pub(super) async fn token(&self) -> Result<Option<HeaderValue>, Fault> {
        match self {
            Self::None => Ok(None),
            Self::Bearer(_, header) => Ok(Some(header.clone())),
            // Its own future would make that of every call as large; so here and elsewhere behind the guard.
            Self::OAuth(tokens) => Box::pin(tokens.header()).await,
        }
    }

    /// Whether a better token than the present one can be obtained.
    pub(super) const fn can_renew(&self) -> bool {
        matches!(self, Self::OAuth(_))
    }

    /// Whether a 403 asks for more scopes, which can be obtained.
    pub(super) fn wants_more(&self, headers: &HeaderMap) -> bool {
        matches!(self, Self::OAuth(_))
            && headers.get_all(header::WWW_AUTHENTICATE).iter().any(|value| {
                Challenge::parse(value.as_bytes()).is_some_and(|challenge| challenge.wants_more_scopes())
            })
    }

    /// Obtains a better token than the one that was refused.
    pub(super) async fn renew(
        &self,
        challenges: &[HeaderValue],
        used: Option<&HeaderValue>,
    ) -> Result<(), Fault> {
        match self {
            Self::None => Err(Fault::Unauthorized("configure a token or OAuth for it".to_owned())),
            Self::Bearer(..) => {
                Err(Fault::Unauthorized("it refuses the configured token; is it still valid?".to_owned()))
            }
            Self::OAuth(tokens) => {
                let challenge = challenges.iter().find_map(|value| Challenge::parse(value.as_bytes()));
                Box::pin(tokens.renew(&challenge.unwrap_or_default(), used)).await
            }
        }
    }

    /// A text of the server without the secrets that it was sent.
    pub(super) fn mask(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Bearer(secret, _) => secret.mask_in(text),
            Self::OAuth(tokens) => tokens.mask(text),
        }
    }
}

fn bearer(secret: &Secret) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
        .map_err(|_| Fault::CannotStart("its token cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The grant for one server.
pub(super) struct Tokens {
    config: OAuth,
    url: Url,
    client: reqwest::Client,
    held: RwLock<Option<Held>>,
    /// One renewal at a time; whoever comes second takes the first one's.
    renewal: tokio::sync::Mutex<()>,
}

struct Held {
    grant: Grant,
    header: HeaderValue,
}

impl Tokens {
    fn new(config: &OAuth, url: &Url, authorities: &[CertificateDer<'static>]) -> Result<Self, Fault> {
        if let Registration::Document(document) = &config.registration
            && (document.scheme() != "https" || document.path() == "/")
        {
            let text = "the client's metadata document must be at an https address with a path";
            return Err(Fault::CannotStart(text.to_owned()));
        }
        // A server on this machine may have its authorization server elsewhere; without root certificates, only here.
        let client = match super::http::client(true, authorities) {
            Err(_) if super::http::is_loopback(url) => super::http::client(false, &[]),
            client => client,
        };
        let tokens = Self {
            config: config.clone(),
            url: url.clone(),
            client: client.map_err(Fault::CannotStart)?,
            held: RwLock::new(None),
            renewal: tokio::sync::Mutex::new(()),
        };
        let stored = store::load(&config.store).map_err(Fault::CannotStart)?;
        let wanted = metadata::wanted(config);
        let ours = |grant: &Grant| wanted.is_none_or(|issuer| issuer == grant.issuer);
        if let Some(grant) = stored.filter(|grant| metadata::covers(&grant.resource, url) && ours(grant)) {
            tokens.hold(grant)?;
        }
        Ok(tokens)
    }

    fn hold(&self, grant: Grant) -> Result<(), Fault> {
        let header = bearer(&grant.access_token)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Held { grant, header });
        Ok(())
    }

    fn grant(&self) -> Option<Grant> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|held| held.grant.clone())
    }

    /// The current header, and whether its token is about to expire.
    fn current(&self) -> Option<(HeaderValue, bool)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref()?;
        let expires = held.grant.expires_at.filter(|_| held.grant.refresh_token.is_some());
        let stale = expires.is_some_and(|at| at <= now().saturating_add(EARLY));
        Some((held.header.clone(), stale))
    }

    async fn header(&self) -> Result<Option<HeaderValue>, Fault> {
        match self.current() {
            None => Ok(None),
            Some((header, false)) => Ok(Some(header)),
            Some((header, true)) => {
                let _one_at_a_time = self.renewal.lock().await;
                if let Some((newer, false)) = self.current() {
                    return Ok(Some(newer));
                }
                // If it fails, the server says what it thinks of the old one.
                match self.refresh().await {
                    Ok(true) => Ok(self.current().map(|(header, _)| header)),
                    Ok(false) | Err(_) => Ok(Some(header)),
                }
            }
        }
    }

    async fn renew(&self, challenge: &Challenge, used: Option<&HeaderValue>) -> Result<(), Fault> {
        let _one_at_a_time = self.renewal.lock().await;
        if let Some((newer, _)) = self.current()
            && used != Some(&newer)
        {
            return Ok(());
        }
        if !challenge.wants_more_scopes() && self.refresh().await? {
            return Ok(());
        }
        let Some(show) = &self.config.show else {
            return Err(Fault::Unauthorized(
                "there is no valid grant, and nobody to ask for one: log in to the server first".to_owned(),
            ));
        };
        let places = Places::discover(&self.client, &self.url, challenge, &self.config).await?;
        // Which one it is, a person has seen once; it is not the server's to change.
        if let Some(before) = self.grant().filter(|grant| grant.issuer != places.issuer) {
            return Err(Fault::Unauthorized(format!(
                "it names the authorization server {}, and the guard was let in by {}. If that is right, delete {} and start the guard again",
                super::clean::quote(&places.issuer),
                super::clean::quote(&before.issuer),
                self.config.store.display()
            )));
        }
        let scopes = self.scopes(challenge, &places);
        let grant = flow::authorize(&self.client, &self.config, &places, scopes, show.as_ref()).await?;
        self.keep(grant)
    }

    /// What to ask for: what is configured, or else what the server needs now, together with what was granted before.
    fn scopes(&self, challenge: &Challenge, places: &Places) -> Option<String> {
        if let Some(scopes) = &self.config.scopes {
            return Some(scopes.join(" "));
        }
        let needed = challenge.scope.clone().or_else(|| places.scopes.clone())?;
        let mut scopes: Vec<&str> = needed.split(' ').filter(|scope| !scope.is_empty()).collect();
        let before = self.grant().filter(|grant| grant.issuer == places.issuer).and_then(|grant| grant.scope);
        for scope in before.iter().flat_map(|scope| scope.split(' ')) {
            if !scope.is_empty() && !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Some(scopes.join(" "))
    }

    /// Uses the refresh token, if there is one; false if there is none that is good.
    async fn refresh(&self) -> Result<bool, Fault> {
        let Some(grant) = self.grant().filter(|grant| grant.refresh_token.is_some()) else {
            return Ok(false);
        };
        match flow::refresh(&self.client, &grant).await? {
            Some(grant) => self.keep(grant).map(|()| true),
            None => Ok(false),
        }
    }

    fn keep(&self, grant: Grant) -> Result<(), Fault> {
        store::save(&self.config.store, &grant).map_err(Fault::Unauthorized)?;
        self.hold(grant)
    }

    fn mask(&self, text: &str) -> String {
        match self.grant() {
            Some(grant) => grant.mask(text),
            None => text.to_owned(),
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
