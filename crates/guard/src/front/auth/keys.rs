//! The public keys of an authorization server (RFC 7517), from a file or from where it publishes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostrom_http::KeySet;
use tokio::sync::Mutex;

use super::{AuthError, OAuth, is_safe_url};
use crate::wire;

/// The largest key set, in bytes.
const LARGEST: usize = 256 << 10;
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
    set: Option<Arc<Dated>>,
    /// The text the set was made from, to see whether it has changed.
    text: Vec<u8>,
    /// When it was last read.
    read: Option<Instant>,
    /// When reading was last tried.
    tried: Option<Instant>,
    generation: u64,
}

/// A set of keys as it was at some time.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) generation: u64,
    pub(super) keys: KeySet,
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
    pub(super) async fn current(&self, missing: bool) -> Result<Arc<Dated>, String> {
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
            self.set = Some(Arc::new(Dated { generation: self.generation, keys }));
            self.text = text;
        }
    }
}

fn read_keys(text: &[u8]) -> Result<KeySet, String> {
    let limits = wire::Limits { bytes: LARGEST, depth: 16, values: 1 << 14 };
    let set = wire::parse_value(text, &limits).map_err(|error| error.to_string())?;
    KeySet::read(set).map_err(|error| error.to_string())
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
