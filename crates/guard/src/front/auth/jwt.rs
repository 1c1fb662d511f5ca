//! Access tokens that are signed JWTs (RFC 7519, RFC 8725, RFC 9068).

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::{Algorithm, Header};
use ostrom_http::{ASYMMETRIC, validation};
use serde_json::{Map, Value};

use super::keys::Keys;
use super::{AuthError, Denied, Identity, OAuth, is_name, is_safe_url};
use crate::front::Limits;
use crate::front::budget::Budgets;

/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(30);

/// How many tokens are remembered that were found valid.
const REMEMBERED: usize = 1024;

/// How many signatures of unknown tokens are checked in a second, from all clients together. Each costs a good part of a
/// millisecond, and anybody can make us check one.
const CHECKS: u32 = 200;

/// Checks the tokens of one authorization server.
#[derive(Debug)]
pub(super) struct Verifier {
    settings: OAuth,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    checks: Budgets,
    everybody: Arc<str>,
}

#[derive(Debug, Clone)]
struct Remembered {
    identity: Identity,
    not_after: SystemTime,
    /// Of the keys it was checked with.
    generation: u64,
}

impl Verifier {
    pub(super) fn new(settings: &OAuth) -> Result<Self, AuthError> {
        let algorithms = settings.algorithms.iter().map(|name| {
            let known = Algorithm::from_str(name).ok().filter(|algorithm| ASYMMETRIC.contains(algorithm));
            known.ok_or_else(|| AuthError::Algorithm(name.clone()))
        });
        let algorithms = algorithms.collect::<Result<Vec<_>, _>>()?;
        if !is_safe_url(&settings.resource) {
            return Err(AuthError::Url("resource"));
        }
        if !is_safe_url(&settings.issuer) {
            return Err(AuthError::Url("issuer"));
        }
        if settings.scopes.iter().any(|scope| !is_scope(scope)) {
            return Err(AuthError::Read(
                "oauth.scopes must be scope tokens (RFC 6749, section 3.3)".to_owned(),
            ));
        }
        let limits = Limits { rate: CHECKS, burst: CHECKS.saturating_mul(2), ..Limits::default() };
        Ok(Self {
            keys: Keys::new(settings)?,
            settings: settings.clone(),
            algorithms,
            remembered: Mutex::default(),
            checks: Budgets::new(&limits),
            everybody: Arc::from(""),
        })
    }

    pub(super) fn resource(&self) -> &str {
        &self.settings.resource
    }

    /// Whose token it is.
    pub(super) async fn verify(&self, token: &str, digest: [u8; 32]) -> Result<Identity, Denied> {
        let keys = self.keys.current(false).await.map_err(Denied::Unavailable)?;
        if let Some(found) = self.recall(&digest, keys.generation) {
            return Ok(found);
        }
        self.checks.take(&self.everybody, Instant::now()).map_err(|_| Denied::Busy)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Denied::Invalid)?;
        self.check_header(&header)?;
        let mut keys = keys;
        if !keys.keys.has_key_for(&header) {
            // The server may have a new key.
            keys = self.keys.current(true).await.map_err(Denied::Unavailable)?;
        }
        let validation = validation(header.alg, &self.settings.issuer, &self.settings.resource);
        let claims: Option<Map<String, Value>> = keys.keys.claims(token, &header, &validation);
        let claims = claims.ok_or(Denied::Invalid)?;
        let principal = claims.get(&self.settings.claim).and_then(Value::as_str).filter(|name| is_name(name));
        let principal = principal.ok_or(Denied::Invalid)?;
        if !self.settings.scopes.iter().all(|scope| has_scope(&claims, scope)) {
            return Err(Denied::Scope);
        }
        let expires = claims.get("exp").and_then(seconds).ok_or(Denied::Invalid)?;
        let expires =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires)).ok_or(Denied::Invalid)?;
        let identity = Identity { principal: Arc::from(principal), expires: Some(expires) };
        self.remember(digest, &identity, expires, keys.generation);
        Ok(identity)
    }

    fn check_header(&self, header: &Header) -> Result<(), Denied> {
        let is_access_token = header.typ.as_deref().is_none_or(|typ| {
            ["jwt", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
        });
        // An extension that must be understood is not.
        let is_plain = header.crit.is_none();
        (is_access_token && is_plain && self.algorithms.contains(&header.alg))
            .then_some(())
            .ok_or(Denied::Invalid)
    }

    fn recall(&self, digest: &[u8; 32], generation: u64) -> Option<Identity> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(digest)?;
        let is_good = found.generation == generation && SystemTime::now() < found.not_after;
        is_good.then(|| found.identity.clone())
    }

    fn remember(&self, digest: [u8; 32], identity: &Identity, expires: SystemTime, generation: u64) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            let now = SystemTime::now();
            remembered.retain(|_, one| one.generation == generation && now < one.not_after);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
        }
        let not_after = expires.checked_add(LEEWAY).unwrap_or(expires);
        remembered.insert(digest, Remembered { identity: identity.clone(), not_after, generation });
    }
}

/// A time in claims, which may have a fraction.
fn seconds(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    text.split('.').next()?.parse().ok()
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// `scope` is a list with spaces between (RFC 8693); some servers have a list of strings, or call it `scp`.
fn has_scope(claims: &Map<String, Value>, wanted: &str) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.get(*name)).any(|value| match value {
        Value::String(list) => list.split(' ').any(|scope| scope == wanted),
        Value::Array(list) => list.iter().any(|scope| scope == wanted),
        _ => false,
    })
}
