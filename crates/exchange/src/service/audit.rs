//! The audit log: what was received, shown, sent, downgraded, by whom. It is not public.

use std::sync::Arc;

use ostrom_core::{Digest, OrgId, Timestamp};
use ostrom_trust::log::Log;
use serde::Serialize;

use super::{Actor, ServiceError};

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
    /// What: `take`, `page`, `remove`, `downgrade`.
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
            did,
            what: what.into().chars().take(2000).collect(),
            first: None,
            last: None,
            count: 0,
            sha256: None,
        }
    }
}

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Log>);

impl Audit {
    /// Written to this log.
    pub const fn new(log: Arc<Log>) -> Self {
        Self(log)
    }

    /// The log.
    pub const fn log(&self) -> &Arc<Log> {
        &self.0
    }

    /// Writes it down.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn note(&self, deed: Deed) -> Result<(), ServiceError> {
        let record = serde_json::to_vec(&deed).map_err(|error| ServiceError::Internal(error.to_string()))?;
        let log = Arc::clone(&self.0);
        super::take::blocking(move || log.append(&record)).await??;
        Ok(())
    }
}
