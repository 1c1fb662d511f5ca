//! The services of a node: taking, writing, removing and explaining shared objects. Whoever asks is an [`Actor`]; when, and what is random,
//! comes from outside.
//!
//! *Invariant:* every object that a member shares or that is imported enters the store through [`Exchange::take`]: checked, its marks
//! understood, committed to in the transparency log. (What a peer sends has a door of its own, [`crate::federation`].)

mod actor;
mod audit;
mod draft;
mod explain;
mod outcome;
mod strictness;
mod take;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use ostrom_core::{Digest, ObjectId, Timestamp};
use ostrom_store::{Reading, Store};
use ostrom_trust::log::Log;

use crate::commitment::{CommitmentError, Salt};
use crate::stix::Limits;
pub use actor::{Actor, Scope, Who};
pub use audit::{Audit, Deed};
pub use draft::Draft;
pub use explain::Explanation;
pub use outcome::{FULL, Outcome, Refusal, ServiceError, Took};
pub use strictness::is_no_wider;
pub(crate) use take::is_shared;
pub use take::{Incoming, Strictness};

/// Gives the salt for an object's commitment.
pub type Salts = Arc<dyn Fn(&ObjectId, &Digest) -> Result<Salt, CommitmentError> + Send + Sync>;

/// What is shared, and what may be done with it.
#[derive(Clone)]
pub struct Exchange {
    store: Store,
    log: Arc<Log>,
    audit: Option<Audit>,
    limits: Limits,
    salts: Salts,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("log", &self.log)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Over a store and the node's transparency log. The log should be opened as
    /// [`Durability::Buffered`](ostrom_trust::log::Durability::Buffered): a batch is made durable as a whole, before the store acknowledges it.
    pub fn new(store: Store, log: Arc<Log>, audit: Option<Audit>, limits: Limits) -> Self {
        Self { store, log, audit, limits, salts: Arc::new(|_, _| Salt::generate()) }
    }

    /// With salts from elsewhere: tests want the same ones twice.
    #[must_use]
    pub fn with_salts(self, salts: Salts) -> Self {
        Self { salts, ..self }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The transparency log.
    pub const fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The audit log.
    pub const fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// How much is taken at once.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the actor may see now.
    ///
    /// # Errors
    /// If the actor may not read at all (a token without that scope), or the store fails.
    pub async fn reading(&self, actor: &Actor, now: Timestamp) -> Result<Reading, ServiceError> {
        if !actor.may_read() {
            return Err(ServiceError::Forbidden(
                "this token is not for reading: make one with the scope read",
            ));
        }
        Ok(self.store.reading(&actor.reader, now).await?)
    }

    /// Adds anew what an embargo or a time of validity has let go since it was added, so that who asks what is new learns of it. Gives how many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn let_go(&self, now: Timestamp) -> Result<usize, ServiceError> {
        if !self.store.custody().is_anything_released(now).await? {
            return Ok(0);
        }
        let mut writing = self.store.writing(now).await?;
        let count = writing.release().await?;
        writing.commit().await?;
        Ok(count)
    }

    /// Whether everything that is kept is still as it was: the database's own structure, every body, what follows from the marks.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn check(&self) -> Result<ostrom_store::CheckReport, ServiceError> {
        Ok(self.store.custody().check().await?)
    }

    /// Writes down what was done, if there is an audit log.
    ///
    /// # Errors
    /// If it cannot be written: then nothing may be given out.
    pub async fn note(&self, deed: Deed) -> Result<(), ServiceError> {
        match &self.audit {
            Some(audit) => audit.note(deed).await,
            None => Ok(()),
        }
    }
}
