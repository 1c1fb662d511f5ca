//! The public keys of an authorization server (RFC 7517), from a file or from where it publishes them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ostrom_http::KeySet;

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
    /// Held by whoever reads them.
    reading: tokio::sync::Mutex<()>,
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
        Ok(Self { source, state: Mutex::default(), reading: tokio::sync::Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are now. `missing` says that a token names one that is not among them.
    pub(super) async fn current(&self, missing: bool) -> Result<Arc<Dated>, String> {
        let (usable, fresh) = self.state().usable();
        let _reading = match usable {
            Some(set) if fresh && !missing => return Ok(set),
            // While somebody reads, the others go on with what there is: anybody can name a key that is not known.
            Some(set) if !missing => match self.reading.try_lock() {
                Ok(reading) => reading,
                Err(_) => return Ok(set),
            },
            // Whoever waits here wants what the one before is reading.
            _ => self.reading.lock().await,
        };
        let due = {
            let mut state = self.state();
            let fresh = state.usable().1;
            let may_try = state.tried.is_none_or(|tried| tried.elapsed() >= PAUSE);
            let due = may_try && (missing || !fresh);
            if due {
                state.tried = Some(Instant::now());
            }
            due
        };
        if due {
            let text = self.read().await;
            let mut state = self.state();
            match text {
                Ok(text) => state.accept(text, Instant::now()),
                Err(error) if state.set.is_none() => {
                    // Nothing has been read yet, so the next request tries again.
                    state.tried = None;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let usable = self.state().usable().0;
        usable.ok_or_else(|| "the keys of the authorization server could not be read for too long".to_owned())
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
    /// The keys, if they were read lately enough to be used, and whether that was a moment ago.
    fn usable(&self) -> (Option<Arc<Dated>>, bool) {
        let within = |age: Duration| self.read.is_some_and(|read| read.elapsed() < age);
        (self.set.clone().filter(|_| within(STALE)), within(FRESH))
    }

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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn whoever_names_an_unknown_key_holds_up_nobody_who_has_a_known_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let set = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"one",
                "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
            let (mut first, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1024];
            let _some = first.read(&mut asked).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{set}", set.len());
            first.write_all(answer.as_bytes()).await.unwrap();
            // From then on it never answers.
            let _second = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
        });
        let source = Source::Url(Box::new(client().unwrap()), url);
        let keys = Arc::new(Keys { source, state: Mutex::default(), reading: tokio::sync::Mutex::default() });
        keys.current(false).await.unwrap();
        // A while later.
        keys.state().tried = None;
        let unknown = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move { keys.current(true).await.map(drop) }
        });
        while keys.reading.try_lock().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for read in [Instant::now(), Instant::now() - FRESH] {
            keys.state().read = Some(read);
            tokio::time::timeout(Duration::from_secs(1), keys.current(false)).await.unwrap().unwrap();
        }
        assert!(!unknown.is_finished());
        unknown.abort();
    }
}
