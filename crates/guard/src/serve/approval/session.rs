//! Who is at the approval page: links that work once, and the sessions that they open.
//!
//! A cookie is sent to every port of its host. So a session has a path of its own that nobody can guess, and its cookie is for
//! that path only: another server on this machine cannot make a browser show it the cookie. Tokens are kept as digests, so
//! that comparing them tells nothing about them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::COOKIE;
use ostrom_core::Digest;

/// Seconds for which a link works.
pub(super) const LINK: u64 = 60 * 60;
/// Seconds for which a session lasts.
pub(super) const SESSION: u64 = 12 * 60 * 60;
/// Links, and sessions, at a time. The oldest make room.
const MAX: usize = 16;
/// The cookie's name.
const NAME: &str = "ostrom-approval";

/// 256 random bits as text.
pub(super) fn random() -> Result<String, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system has no randomness: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[derive(Debug)]
struct Session {
    cookie: Digest,
    csrf: String,
    until: u64,
}

/// A session that has just begun.
#[derive(Debug)]
pub(super) struct Begun {
    /// What comes after `/s/`.
    pub(super) id: String,
    /// The value of `Set-Cookie`.
    pub(super) cookie: String,
}

#[derive(Debug, Default)]
struct Contents {
    links: Vec<(Digest, u64)>,
    sessions: HashMap<String, Session>,
}

/// Links and sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    contents: Mutex<Contents>,
}

impl Sessions {
    fn lock(&self, now: u64) -> MutexGuard<'_, Contents> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.links.retain(|(_, until)| *until > now);
        contents.sessions.retain(|_, session| session.until > now);
        contents
    }

    /// The token of a new link.
    pub(super) fn link(&self, now: u64) -> Result<String, String> {
        let token = random()?;
        let mut contents = self.lock(now);
        if contents.links.len() >= MAX {
            contents.links.remove(0);
        }
        contents.links.push((digest(&token), now.saturating_add(LINK)));
        Ok(token)
    }

    /// Whether a link with this token would work.
    pub(super) fn knows(&self, token: &str, now: u64) -> bool {
        let digest = digest(token);
        self.lock(now).links.iter().any(|(known, _)| *known == digest)
    }

    /// Uses up a link. `None` if it does not work (any more).
    pub(super) fn begin(&self, token: &str, now: u64) -> Result<Option<Begun>, String> {
        let (id, cookie, csrf) = (random()?, random()?, random()?);
        let used = digest(token);
        let mut contents = self.lock(now);
        let Some(at) = contents.links.iter().position(|(known, _)| *known == used) else { return Ok(None) };
        contents.links.remove(at);
        if contents.sessions.len() >= MAX {
            let oldest = contents.sessions.iter().min_by_key(|(_, session)| session.until);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                contents.sessions.remove(&oldest);
            }
        }
        let session = Session { cookie: digest(&cookie), csrf, until: now.saturating_add(SESSION) };
        contents.sessions.insert(id.clone(), session);
        let cookie = format!("{NAME}={cookie}; Path=/s/{id}; Max-Age={SESSION}; HttpOnly; SameSite=Strict");
        Ok(Some(Begun { id, cookie }))
    }

    /// What the forms of this session carry, if the request has its cookie.
    pub(super) fn find(&self, id: &str, headers: &HeaderMap, now: u64) -> Option<String> {
        let contents = self.lock(now);
        let session = contents.sessions.get(id)?;
        // Others on this machine can set a cookie of this name, so there may be several.
        let mut sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        sent.any(|line| {
            line.split(';').any(|pair| {
                let pair = pair.trim().split_once('=');
                pair.is_some_and(|(name, value)| name == NAME && digest(value) == session.cookie)
            })
        })
        .then(|| session.csrf.clone())
    }
}
