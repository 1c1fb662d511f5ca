//! The sessions of legacy clients, by `Mcp-Session-Id`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::Limits;
use crate::front::dispatch::TOO_MANY;
use crate::front::session::Session;
use crate::wire::RpcError;

/// All sessions.
pub(super) struct Sessions {
    entries: Mutex<HashMap<u128, Entry>>,
    limit: usize,
    per_principal: usize,
    stay: Duration,
}

struct Entry {
    session: Arc<Session>,
    used: Instant,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            entries: Mutex::default(),
            limit: limits.sessions,
            per_principal: limits.sessions_per_principal,
            stay: Duration::from_secs(limits.session_seconds),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u128, Entry>> {
        // Nothing that holds the lock can panic half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a new session and gives its id.
    ///
    /// # Errors
    /// If there are too many, or the operating system has no randomness.
    pub(super) fn begin(&self, session: Arc<Session>, now: Instant) -> Result<String, RpcError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            RpcError::new(RpcError::INTERNAL, format!("the operating system gives no randomness: {error}"))
        })?;
        let key = u128::from_be_bytes(key);
        let mut entries = self.entries();
        entries.retain(|_, entry| {
            let stays = !self.is_over(entry, now);
            if !stays {
                entry.session.end();
            }
            stays
        });
        let own = |entry: &Entry| entry.session.caller.principal == session.caller.principal;
        if entries.values().filter(|entry| own(entry)).count() >= self.per_principal {
            let idle = entries.iter().filter(|(_, entry)| own(entry) && !entry.session.is_busy());
            let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            if let Some(entry) = oldest.and_then(|key| entries.remove(&key)) {
                entry.session.end();
            }
        }
        let own = entries.values().filter(|entry| own(entry)).count();
        if own >= self.per_principal || entries.len() >= self.limit {
            let error = "too many sessions; end some with DELETE";
            return Err(RpcError::new(TOO_MANY, error));
        }
        entries.insert(key, Entry { session, used: now });
        Ok(format!("{key:032x}"))
    }

    /// The principal's session of this id.
    pub(super) fn get(&self, id: &str, principal: &str, now: Instant) -> Option<Arc<Session>> {
        let key = parse(id)?;
        let mut entries = self.entries();
        let entry = entries.get_mut(&key).filter(|entry| *entry.session.caller.principal == *principal)?;
        if self.is_over(entry, now) {
            entry.session.end();
            entries.remove(&key);
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.session))
    }

    /// Ends the principal's session of this id; whether there was one.
    pub(super) fn end(&self, id: &str, principal: &str) -> bool {
        let Some(key) = parse(id) else { return false };
        let mut entries = self.entries();
        if entries.get(&key).is_none_or(|entry| *entry.session.caller.principal != *principal) {
            return false;
        }
        if let Some(entry) = entries.remove(&key) {
            entry.session.end();
        }
        true
    }

    fn is_over(&self, entry: &Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.used) >= self.stay && !entry.session.is_busy()
    }
}

fn parse(id: &str) -> Option<u128> {
    let is_ours = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u128::from_str_radix(id, 16).ok()).flatten()
}

#[cfg(test)]
mod unit {
    use serde_json::Map;

    use super::*;
    use crate::front::Caller;
    use crate::wire::{Id, Revision};

    fn session(principal: &str) -> Arc<Session> {
        let caller = Caller {
            principal: principal.into(),
            run: None,
            revision: Revision::V2025_11_25,
            capabilities: Map::new(),
            client: None,
        };
        Session::new(Arc::new(caller), &serde_json::Map::new(), Arc::default(), Arc::new(|_| {}))
    }

    fn sessions() -> Sessions {
        let limits =
            Limits { sessions: 3, sessions_per_principal: 2, session_seconds: 10, ..Limits::default() };
        Sessions::new(&limits)
    }

    #[test]
    fn a_session_is_its_principals_and_ends_when_idle() {
        let (sessions, now) = (sessions(), Instant::now());
        let id = sessions.begin(session("alice"), now).unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(sessions.get(&id, "bob", now).is_none());
        assert!(!sessions.end(&id, "bob"));
        assert!(sessions.get(&id, "alice", later(9)).is_some());
        assert!(sessions.get(&id, "alice", later(18)).is_some());
        let busy = sessions.get(&id, "alice", later(18)).unwrap().in_flight.enter(&Id::Number(1));
        assert!(sessions.get(&id, "alice", later(60)).is_some());
        drop(busy);
        assert!(sessions.get(&id, "alice", later(70)).is_none());
        assert!(sessions.get(&id, "alice", later(0)).is_none());
    }

    #[test]
    fn a_principal_has_so_many_and_takes_none_from_others() {
        let (sessions, now) = (sessions(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        let first = sessions.begin(session("alice"), now).unwrap();
        let second = sessions.begin(session("alice"), later(1)).unwrap();
        let third = sessions.begin(session("alice"), later(2)).unwrap();
        assert!(sessions.get(&first, "alice", later(2)).is_none());
        assert!(sessions.get(&second, "alice", later(2)).is_some());
        let other = sessions.begin(session("bob"), later(2)).unwrap();
        assert_eq!(sessions.begin(session("carol"), later(3)).unwrap_err().code, TOO_MANY);
        assert!(sessions.get(&third, "alice", later(3)).is_some());
        assert!(sessions.get(&other, "bob", later(3)).is_some());
        assert!(sessions.end(&third, "alice"));
        sessions.begin(session("carol"), later(3)).unwrap();
    }
}
