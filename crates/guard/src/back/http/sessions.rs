//! The sessions with one server of the older revisions: one for each set of questions that clients can answer.
//!
//! In these revisions a client says once what it can be asked, in the handshake. A client of the newest revision says it with each
//! request. Were there one session for all, its server would ask clients what they cannot answer, and fail their calls for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::session::Session;
use super::{Trouble, Upstream};
use crate::back::exchange::Abilities;
use crate::back::link::Call;
use crate::back::table::Caller;
use crate::back::{Answer, Fault};
use crate::relay::Relay;

/// The sessions. There are at most as many as sets of abilities.
pub(super) struct Sessions {
    open: Mutex<BTreeMap<Abilities, Arc<Session>>>,
    /// What the first one declared: all that the guard can pass on. It is the guard's own too.
    first: Abilities,
    /// One begins at a time.
    beginning: tokio::sync::Mutex<()>,
    /// Whether the server wants no second one.
    alone: AtomicBool,
    /// The parameters with which the server was told how much to log.
    level: Mutex<Option<Map<String, Value>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    pub(super) fn new(session: Session, first: Abilities) -> Self {
        Self {
            open: Mutex::new(BTreeMap::from([(first, Arc::new(session))])),
            first,
            beginning: tokio::sync::Mutex::new(()),
            alone: AtomicBool::new(false),
            level: Mutex::default(),
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        lock(&self.open).values().cloned().collect()
    }

    /// All but the first.
    fn others(&self) -> Vec<Arc<Session>> {
        let open = lock(&self.open);
        open.iter().filter(|(key, _)| **key != self.first).map(|(_, session)| Arc::clone(session)).collect()
    }

    /// Why one of them cannot be used any longer.
    pub(super) fn closed(&self) -> Option<Fault> {
        lock(&self.open).values().find_map(|session| session.table.closed())
    }

    /// Which session a call belongs to.
    fn key(&self, caller: &Caller) -> Abilities {
        let open = lock(&self.open);
        // Without an id the server cannot tell one session from another.
        let one = caller.guard
            || self.alone.load(Ordering::Relaxed)
            || open.get(&self.first).is_some_and(|first| !first.has_id());
        // What the guard does not pass on, no session declares.
        if one { self.first } else { caller.abilities.and(self.first) }
    }
}

impl Upstream {
    /// Calls a method in the session that is meant for its client; if that is over, in a new one.
    pub(super) async fn in_session(
        &self,
        sessions: &Sessions,
        call: &Call<'_>,
        params: &mut Map<String, Value>,
    ) -> Result<Answer, Fault> {
        if call.method == "logging/setLevel" {
            *lock(&sessions.level) = Some(params.clone());
            for other in sessions.others() {
                // The first session's answer is the one that counts.
                let _refused = self.call_legacy(&other, call, &mut params.clone()).await;
            }
        }
        let mut key = sessions.key(&call.caller);
        let found = lock(&sessions.open).get(&key).cloned();
        let session = match found {
            Some(session) => session,
            None => {
                let another = self.another(sessions, key).await?;
                // A person may have stopped the call meanwhile.
                if let Err(error) = call.relay.again().await {
                    return Ok(Err(error));
                }
                key = another.0;
                another.1
            }
        };
        match self.call_legacy(&session, call, params).await {
            Ok(outcome) => Ok(outcome),
            Err(Trouble::Fault(fault)) => Err(fault),
            Err(Trouble::Expired) => {
                let renewed = self.renew(sessions, key, &session).await?;
                if let Err(error) = call.relay.again().await {
                    return Ok(Err(error));
                }
                match self.call_legacy(&renewed, call, params).await {
                    Ok(outcome) => Ok(outcome),
                    Err(Trouble::Fault(fault)) => Err(fault),
                    Err(Trouble::Expired) => {
                        Err(Fault::Protocol("its new session is over at once".to_owned()))
                    }
                }
            }
        }
    }

    /// A session more, for clients with these abilities; the first one, if the server wants no other.
    async fn another(&self, sessions: &Sessions, key: Abilities) -> Result<(Abilities, Arc<Session>), Fault> {
        let _one_at_a_time = sessions.beginning.lock().await;
        let find = |key| lock(&sessions.open).get(&key).cloned().map(|session| (key, session));
        if let Some(found) = find(key) {
            return Ok(found);
        }
        match Session::begin(&self.endpoint, &self.common, key).await {
            Ok((session, _)) => {
                let session = Arc::new(session);
                self.set_level(sessions, &session).await;
                lock(&sessions.open).insert(key, Arc::clone(&session));
                Ok((key, session))
            }
            // Servers with one session only refuse a second handshake. Questions that a client cannot answer are refused then.
            Err(Fault::CannotStart(_) | Fault::Refused { status: 400..=499, .. }) => {
                sessions.alone.store(true, Ordering::Relaxed);
                self.common
                    .tell("it wants one session only, so it cannot know what each client can be asked");
                find(sessions.first).ok_or(Fault::Stopped)
            }
            Err(fault) => Err(fault),
        }
    }

    /// A new session in place of an expired one; whoever comes second takes the first one's.
    async fn renew(
        &self,
        sessions: &Sessions,
        key: Abilities,
        expired: &Arc<Session>,
    ) -> Result<Arc<Session>, Fault> {
        let _one_at_a_time = sessions.beginning.lock().await;
        let now = lock(&sessions.open).get(&key).cloned();
        if let Some(now) = now
            && !Arc::ptr_eq(&now, expired)
        {
            return Ok(now);
        }
        let (session, info) = Session::begin(&self.endpoint, &self.common, key).await?;
        if info.revision != expired.revision {
            return Err(Fault::Protocol("it speaks another revision in its new session".to_owned()));
        }
        let session = Arc::new(session);
        lock(&sessions.open).insert(key, Arc::clone(&session));
        self.set_level(sessions, &session).await;
        if key == sessions.first {
            self.resubscribe(&session).await;
        }
        // Whatever was known of the old session's lists may be wrong now.
        self.common.all_may_have_changed(&info);
        Ok(session)
    }

    /// Tells a new session how much to log.
    async fn set_level(&self, sessions: &Sessions, session: &Session) {
        let level = lock(&sessions.level).clone();
        if let Some(params) = level {
            let _refused = self.for_guard(session, "logging/setLevel", params).await;
        }
    }

    async fn resubscribe(&self, session: &Session) {
        for uri in self.common.wanted() {
            let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
            if !self.for_guard(session, "resources/subscribe", params).await {
                self.common.tell("a subscription was lost with the session");
            }
        }
    }

    /// Calls a method in a session for the guard itself; gives whether the server did it.
    async fn for_guard(&self, session: &Session, method: &str, mut params: Map<String, Value>) -> bool {
        let (nothing, relay) = (Map::new(), Relay::nowhere());
        let caller = Caller { guard: true, ..Caller::default() };
        let call = Call { method, capabilities: &nothing, caller, relay: &relay };
        matches!(self.call_legacy(session, &call, &mut params).await, Ok(Ok(_)))
    }
}
