//! The public keys of an authorization server (RFC 7517), from a file or from where it publishes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{AuthError, OAuth, is_safe_url};
use crate::wire;

/// The largest key set, in bytes.
const LARGEST: usize = 256 << 10;
/// The most keys that are looked at.
const MOST_KEYS: usize = 64;
/// After how long keys are read again.
const FRESH: Duration = Duration::from_secs(300);
/// How long keys are used that cannot be read again.
const STALE: Duration = Duration::from_secs(3600);
/// How often, at most, keys are read because a token names one that is not known.
const PAUSE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Box<reqwest::Client>, String),
}

/// The keys, read again from time to time.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    /// The text the set was made from, to see whether it has changed.
    text: Vec<u8>,
    /// When it was last read.
    read: Option<Instant>,
    /// When reading was last tried.
    tried: Option<Instant>,
    generation: u64,
}

/// A set of keys as it was at some time.
pub(super) struct KeySet {
    pub(super) generation: u64,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// What it is for, if it says so.
    algorithm: Option<String>,
    key: DecodingKey,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet")
            .field("generation", &self.generation)
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl KeySet {
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

impl Keys {
    pub(super) fn new(settings: &OAuth) -> Result<Self, AuthError> {
        let source = match (&settings.jwks_file, &settings.jwks_url) {
            (Some(file), None) => Source::File(file.clone()),
            (None, Some(url)) if is_safe_url(url) => Source::Url(Box::new(client()?), url.clone()),
            (None, Some(_)) => return Err(AuthError::Url("jwks-url")),
            _ => return Err(AuthError::Keys),
        };
        Ok(Self { source, state: Mutex::default() })
    }

    /// The keys as they are now. `missing` says that a token names one that is not among them.
    pub(super) async fn current(&self, missing: bool) -> Result<Arc<KeySet>, String> {
        // Whoever waits here wants what the one before is reading.
        let mut state = self.state.lock().await;
        let now = Instant::now();
        let since = |time: Option<Instant>| time.map(|time| now.saturating_duration_since(time));
        let is_fresh = since(state.read).is_some_and(|age| age < FRESH);
        let may_try = since(state.tried).is_none_or(|age| age >= PAUSE);
        if may_try && (missing || !is_fresh) {
            state.tried = Some(now);
            match self.read().await {
                Ok(text) => state.accept(text, now),
                Err(error) if state.set.is_none() => {
                    // Nothing has been read yet, so the next request tries again.
                    state.tried = None;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let is_usable = since(state.read).is_some_and(|age| age < STALE);
        match &state.set {
            Some(set) if is_usable => Ok(Arc::clone(set)),
            _ => Err("the keys of the authorization server could not be read for too long".to_owned()),
        }
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        let text = match &self.source {
            Source::File(path) => {
                let size = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?.len();
                if size > LARGEST as u64 {
                    return Err(format!("oauth.jwks-file is larger than {LARGEST} bytes"));
                }
                tokio::fs::read(path).await.map_err(|error| error.to_string())?
            }
            Source::Url(client, url) => fetch(client, url).await?,
        };
        read_keys(&text).map(|_| text)
    }
}

impl State {
    fn accept(&mut self, text: Vec<u8>, now: Instant) {
        self.read = Some(now);
        if self.set.is_some() && self.text == text {
            return;
        }
        if let Ok(keys) = read_keys(&text) {
            self.generation = self.generation.wrapping_add(1);
            self.set = Some(Arc::new(KeySet { generation: self.generation, keys }));
            self.text = text;
        }
    }
}

/// Reads a JWK set. Keys that cannot check signatures here are left out, as RFC 7517, section 5, has it.
fn read_keys(text: &[u8]) -> Result<Vec<Key>, String> {
    let limits = wire::Limits { bytes: LARGEST, depth: 16, values: 1 << 14 };
    let mut set = wire::parse_value(text, &limits).map_err(|error| error.to_string())?;
    let Some(Value::Array(list)) = set.get_mut("keys").map(Value::take) else {
        return Err("not a JWK set: no list of keys".to_owned());
    };
    let keys: Vec<Key> = list
        .into_iter()
        .take(MOST_KEYS)
        .filter_map(|value| {
            let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            let is_secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
            let is_for_signatures =
                jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
            if is_secret || !is_for_signatures {
                return None;
            }
            Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
        })
        .collect();
    if keys.is_empty() { Err("no key that can check signatures here".to_owned()) } else { Ok(keys) }
}

fn client() -> Result<reqwest::Client, AuthError> {
    // Fails only if another part has installed one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| AuthError::Read(error.to_string()))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let why = |error: reqwest::Error| error.without_url().to_string();
    let mut response = client.get(url).send().await.map_err(why)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the authorization server answered {} for its keys", response.status()));
    }
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(why)? {
        if text.len().saturating_add(piece.len()) > LARGEST {
            return Err(format!("the keys are larger than {LARGEST} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}
