//! The audit log: what was received, shown, sent, downgraded, by whom. It is not public.
//!
//! What nobody who is signed in reads is open to everybody, and anybody can read it as often as they like. So it is counted and not written
//! down one by one: [`Audit::sum_up`] writes what was counted, and the log does not grow with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ostrom_core::{Digest, OrgId, Timestamp};
use ostrom_trust::log::Log;
use serde::Serialize;

use super::{Actor, ServiceError, Who};

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub who: String,
    /// For which organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrgId>,
    /// Another organisation that it concerns: its administrators and coordinators may know of it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concerns: Option<OrgId>,
    /// What: `take`, `page`, `show`, `send`, `remove`, `downgrade`, `case`, `administer`, `account`, `token`.
    pub did: &'static str,
    /// With what, or asked for what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How many.
    pub count: u64,
    /// SHA-256 of the body that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Deed {
    /// Something that an actor did.
    pub fn new(actor: &Actor, did: &'static str, what: impl Into<String>, at: Timestamp) -> Self {
        Self {
            at,
            who: actor.who.to_string(),
            organisation: actor.organisation,
            concerns: None,
            did,
            what: what.into().chars().take(2000).collect(),
            first: None,
            last: None,
            count: 0,
            sha256: None,
        }
    }
}

/// What people who are not signed in were shown since it was summed up last.
#[derive(Debug, Default)]
struct Unsigned {
    since: Option<Timestamp>,
    /// Answers and objects in them, for each kind of deed.
    counts: BTreeMap<&'static str, (u64, u64)>,
}

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    log: Arc<Log>,
    unsigned: Arc<Mutex<Unsigned>>,
}

impl Audit {
    /// Written to this log.
    pub fn new(log: Arc<Log>) -> Self {
        Self { log, unsigned: Arc::default() }
    }

    /// The log.
    pub const fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Writes it down; what nobody who is signed in does is counted only.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn note(&self, deed: Deed) -> Result<(), ServiceError> {
        if deed.who == Who::Nobody.to_string() {
            // Nothing that holds this lock can panic half-way.
            let mut unsigned = self.unsigned.lock().unwrap_or_else(PoisonError::into_inner);
            unsigned.since.get_or_insert(deed.at);
            let (answers, objects) = unsigned.counts.entry(deed.did).or_default();
            *answers = answers.saturating_add(1);
            *objects = objects.saturating_add(deed.count);
            return Ok(());
        }
        self.write(&deed).await
    }

    /// Writes down how much was shown to people who are not signed in since this was called last; nothing, if nothing was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn sum_up(&self, now: Timestamp) -> Result<(), ServiceError> {
        let Unsigned { since, counts } =
            std::mem::take(&mut *self.unsigned.lock().unwrap_or_else(PoisonError::into_inner));
        for (did, (answers, objects)) in counts {
            let since = since.unwrap_or(now);
            let what = format!("{answers} answers to people who were not signed in, since {since}");
            let mut deed = Deed::new(&Actor::nobody(true), did, what, now);
            deed.count = objects;
            self.write(&deed).await?;
        }
        Ok(())
    }

    async fn write(&self, deed: &Deed) -> Result<(), ServiceError> {
        let record = serde_json::to_vec(deed).map_err(|error| ServiceError::Internal(error.to_string()))?;
        let log = Arc::clone(&self.log);
        super::take::blocking(move || log.append(&record)).await??;
        Ok(())
    }
}
