//! Who sends an HTTP request: an OAuth 2.1 resource server (RFC 6750, RFC 9728), or tokens from the configuration.
//!
//! A client's token ends here. It says who calls, and goes nowhere else.

mod jwt;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::jwt::Verifier;

/// The longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 8 << 10;

/// How clients show who they are. With neither tokens nor OAuth, everybody who can connect is the same principal, so this is for
/// loopback only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Tokens that do not change.
    pub tokens: Vec<StaticToken>,
    /// Tokens of an authorization server.
    pub oauth: Option<OAuth>,
}

/// A token that does not change. Only its digest is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StaticToken {
    /// Who has it.
    pub principal: String,
    /// SHA-256 of the token, in hexadecimal. The token itself should have 128 random bits or more.
    pub sha256: String,
}

/// An authorization server whose tokens are taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OAuth {
    /// Its issuer identifier, as it stands in tokens.
    pub issuer: String,
    /// The URI of our MCP endpoint as clients know it. Tokens must be for it.
    pub resource: String,
    /// The server's public keys: a file with a JWK set,
    pub jwks_file: Option<PathBuf>,
    /// or where to fetch one. HTTPS, or this machine.
    pub jwks_url: Option<String>,
    /// Signature algorithms that are taken; asymmetric ones only.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// Scopes that a token needs, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claim that names the principal.
    #[serde(default = "default_claim")]
    pub claim: String,
}

/// Signature algorithms that are taken where none are named.
#[must_use]
pub fn default_algorithms() -> Vec<String> {
    ["ES256", "ES384", "EdDSA", "RS256", "PS256"].map(str::to_owned).to_vec()
}

/// The claim that names the principal where none is named.
#[must_use]
pub fn default_claim() -> String {
    "sub".to_owned()
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A digest is not one.
    #[error("tokens.sha256 of {0} must be 64 hexadecimal digits; `sha256sum` prints them")]
    Digest(String),
    /// A principal's name is not one.
    #[error("{0:?} is not a name for a principal: 1 to 256 characters, none of them a control character")]
    Principal(String),
    /// Two tokens are the same.
    #[error("{0} and {1} have the same token: give each principal its own")]
    SameToken(String, String),
    /// An algorithm is unknown or symmetric.
    #[error("oauth.algorithms: {0} is not an asymmetric signature algorithm that is known here")]
    Algorithm(String),
    /// A setting is missing or there are two of it.
    #[error("oauth needs either jwks-file or jwks-url")]
    Keys,
    /// A URL is not one, or not safe.
    #[error("oauth.{0} must be an https URL without a fragment (http only for this machine)")]
    Url(&'static str),
    /// The keys cannot be read.
    #[error("the keys of the authorization server: {0}")]
    Read(String),
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) principal: Arc<str>,
    /// When what shows it ends.
    pub(super) expires: Option<SystemTime>,
}

/// Why nobody is let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no token.
    Missing,
    /// The request is not as it should be.
    Malformed,
    /// The token is not one of ours, or not any more.
    Invalid,
    /// The token is fine, but for something else.
    Scope,
    /// Whether it is cannot be found out.
    Unavailable(String),
    /// More tokens than can be checked.
    Busy,
}

/// Finds out who sends a request.
#[derive(Debug)]
pub(super) struct Authenticator {
    tokens: Vec<([u8; 32], Arc<str>)>,
    oauth: Option<Verifier>,
    /// Who everybody is, if there is nothing to show it with.
    anonymous: Option<Arc<str>>,
    challenge: String,
}

impl Authenticator {
    /// `anonymous` is the principal of those who connect if there are neither tokens nor OAuth.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub(super) fn new(settings: &Settings, anonymous: &str) -> Result<Self, AuthError> {
        let mut tokens: Vec<([u8; 32], Arc<str>)> = Vec::new();
        for StaticToken { principal, sha256 } in &settings.tokens {
            let digest = from_hex(sha256).ok_or_else(|| AuthError::Digest(principal.clone()))?;
            if let Some((_, other)) = tokens.iter().find(|(known, _)| *known == digest) {
                return Err(AuthError::SameToken(other.to_string(), principal.clone()));
            }
            tokens.push((digest, check_name(principal)?));
        }
        let oauth = settings.oauth.as_ref().map(Verifier::new).transpose()?;
        let nothing = tokens.is_empty() && oauth.is_none();
        let anonymous = nothing.then(|| check_name(anonymous)).transpose()?;
        let challenge = match &settings.oauth {
            None => "Bearer".to_owned(),
            Some(oauth) => {
                let scope = if oauth.scopes.is_empty() {
                    String::new()
                } else {
                    format!(", scope=\"{}\"", oauth.scopes.join(" "))
                };
                format!("Bearer resource_metadata=\"{}\"{scope}", metadata_url(&oauth.resource))
            }
        };
        Ok(Self { tokens, oauth, anonymous, challenge })
    }

    /// Whether everybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.anonymous.is_some()
    }

    /// The host name in our resource URI.
    pub(super) fn host(&self) -> Option<&str> {
        self.oauth.as_ref().and_then(|oauth| host(oauth.resource()))
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    /// If they do not show it.
    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<Identity, Denied> {
        if let Some(principal) = &self.anonymous {
            return Ok(Identity { principal: Arc::clone(principal), expires: None });
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Denied::Missing)?;
        if values.next().is_some() {
            return Err(Denied::Malformed);
        }
        let value = value.to_str().map_err(|_| Denied::Malformed)?;
        let (scheme, token) = value.split_once(' ').ok_or(Denied::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Missing);
        }
        let token = token.trim_start_matches(' ');
        if token.is_empty()
            || token.len() > LONGEST_TOKEN
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Denied::Malformed);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(principal) = self.known(&digest) {
            return Ok(Identity { principal, expires: None });
        }
        let oauth = self.oauth.as_ref().ok_or(Denied::Invalid)?;
        let identity = oauth.verify(token, digest).await?;
        // Whoever can choose a name at the authorization server does not get a configured principal's.
        if self.tokens.iter().any(|(_, principal)| *principal == identity.principal) {
            return Err(Denied::Invalid);
        }
        Ok(identity)
    }

    /// Whose token has this digest. All are compared, each in full.
    fn known(&self, digest: &[u8; 32]) -> Option<Arc<str>> {
        let mut found = None;
        for (known, principal) in &self.tokens {
            let difference = known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(principal);
            }
        }
        found.cloned()
    }

    /// The status, the challenge (RFC 6750, section 3) and a sentence for a request that is not let in.
    pub(super) fn challenge(&self, denied: &Denied) -> (StatusCode, Option<HeaderValue>, String) {
        let (status, error, sentence) = match denied {
            Denied::Missing => {
                (StatusCode::UNAUTHORIZED, None, "send an access token (Authorization: Bearer)")
            }
            Denied::Malformed => (
                StatusCode::BAD_REQUEST,
                Some("invalid_request"),
                "send one access token, as Authorization: Bearer",
            ),
            Denied::Invalid => (
                StatusCode::UNAUTHORIZED,
                Some("invalid_token"),
                "the access token is not valid here, or not any more",
            ),
            Denied::Scope => (
                StatusCode::FORBIDDEN,
                Some("insufficient_scope"),
                "the access token lacks a scope that is needed here",
            ),
            Denied::Unavailable(why) => {
                return (
                    StatusCode::SERVICE_UNAVAILABLE,
                    None,
                    format!("the access token cannot be checked: {why}"),
                );
            }
            Denied::Busy => {
                return (
                    StatusCode::TOO_MANY_REQUESTS,
                    None,
                    "too many new access tokens at once".to_owned(),
                );
            }
        };
        let error = match error {
            None => String::new(),
            Some(error) if self.challenge.contains('=') => format!(", error=\"{error}\""),
            Some(error) => format!(" error=\"{error}\""),
        };
        (status, HeaderValue::from_str(&format!("{}{error}", self.challenge)).ok(), sentence.to_owned())
    }
}

/// The document of RFC 9728 about this resource, and the paths under which it is found.
pub(super) fn metadata(settings: &OAuth) -> (Vec<String>, String) {
    let document = json!({
        "resource": settings.resource,
        "authorization_servers": [settings.issuer],
        "scopes_supported": settings.scopes,
        "bearer_methods_supported": ["header"],
        "resource_name": "Ostrom guard",
    });
    let root = "/.well-known/oauth-protected-resource";
    let (_, path) = split(&settings.resource);
    let mut paths = vec![root.to_owned(), format!("{root}/mcp")];
    let own = format!("{root}{}", path.trim_end_matches('/'));
    // A path with braces would be a pattern.
    if !paths.contains(&own) && !own.contains(['{', '}', ':', '*', '?', '#']) {
        paths.push(own);
    }
    (paths, document.to_string())
}

fn metadata_url(resource: &str) -> String {
    let (origin, path) = split(resource);
    format!("{origin}/.well-known/oauth-protected-resource{}", path.trim_end_matches('/'))
}

/// A URL's scheme and authority, and the rest.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at.saturating_add(3));
    let end = url.get(authority..).and_then(|rest| rest.find('/')).map(|at| authority.saturating_add(at));
    end.and_then(|end| url.split_at_checked(end)).unwrap_or((url, ""))
}

fn host(url: &str) -> Option<&str> {
    let authority = split(url).0.split_once("://")?.1;
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => authority.split(':').next(),
    }
}

/// Whether a URL can be trusted to lead where it says.
fn is_safe_url(url: &str) -> bool {
    let is_clean = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>#@".contains(&byte));
    let is_local = || host(url).is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "::1"));
    let has_host = host(url).is_some_and(|host| !host.is_empty());
    is_clean && has_host && (url.starts_with("https://") || (url.starts_with("http://") && is_local()))
}

fn check_name(name: &str) -> Result<Arc<str>, AuthError> {
    is_name(name).then(|| Arc::from(name)).ok_or_else(|| AuthError::Principal(name.to_owned()))
}

fn is_name(name: &str) -> bool {
    (1..=256).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
