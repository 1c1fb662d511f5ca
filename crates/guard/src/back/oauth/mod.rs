//! Tokens for HTTP servers.

use http::{HeaderMap, HeaderValue};
use reqwest::Url;

use super::{Auth, Fault, Secret};

/// How the guard becomes a client of an authorization server.
#[derive(Debug, Clone)]
pub enum Registration {
    /// none yet
    Dynamic,
}

/// How the guard obtains tokens.
#[derive(Debug, Clone)]
pub struct OAuth {
    /// How it becomes a client.
    pub registration: Registration,
}

/// Puts tokens on requests.
pub(super) enum Authorizer {
    None,
    Bearer(Secret, HeaderValue),
}

impl Authorizer {
    pub(super) fn new(auth: &Auth, _url: &Url) -> Result<Self, Fault> {
        match auth {
            Auth::None => Ok(Self::None),
            Auth::Bearer(secret) => Ok(Self::Bearer(secret.clone(), bearer(secret)?)),
            Auth::OAuth(_) => Ok(Self::None),
        }
    }

    pub(super) async fn token(&self) -> Result<Option<HeaderValue>, Fault> {
        match self {
            Self::None => Ok(None),
            Self::Bearer(_, header) => Ok(Some(header.clone())),
        }
    }

    pub(super) fn wants_more(&self, _headers: &HeaderMap) -> bool {
        false
    }

    pub(super) async fn renew(
        &self,
        _challenges: &[HeaderValue],
        _used: Option<&HeaderValue>,
    ) -> Result<(), Fault> {
        match self {
            Self::None => Err(Fault::Unauthorized("configure a token or OAuth for it".to_owned())),
            Self::Bearer(..) => Err(Fault::Unauthorized("it refuses the configured token".to_owned())),
        }
    }

    pub(super) fn mask(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Bearer(secret, _) => secret.mask_in(text),
        }
    }
}

fn bearer(secret: &Secret) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
        .map_err(|_| Fault::CannotStart("its token cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
