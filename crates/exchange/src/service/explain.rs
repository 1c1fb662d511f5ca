//! Why may I see it, and who else could?

use ostrom_core::handling::{Decision, Policy};
use ostrom_core::{ObjectId, PersonId, Timestamp};

use super::outcome::ServiceError;
use super::{Actor, Exchange};

/// Why somebody may see an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What holds for it, with all that it refers to.
    pub policy: Policy,
    /// What that says to the reader.
    pub decision: Decision,
}

impl Exchange {
    /// Why the actor may see an object: `None` if it does not exist for the actor.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain(
        &self,
        actor: &Actor,
        id: &ObjectId,
        now: Timestamp,
    ) -> Result<Option<Explanation>, ServiceError> {
        let reading = self.reading(actor, now).await?;
        let found = reading.explain(id, None).await?;
        Ok(found.map(|(policy, decision)| Explanation { policy, decision }))
    }

    /// Who could see an object now, and why, or why not: every person of every member. It tells who is in which trust group, and so is told
    /// only to the organisation that shared the object; `None` for all others.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn who_could_see(
        &self,
        actor: &Actor,
        id: &ObjectId,
        now: Timestamp,
    ) -> Result<Option<Vec<(PersonId, Decision)>>, ServiceError> {
        let reading = self.reading(actor, now).await?;
        let Some(object) = reading.get(id, None).await? else { return Ok(None) };
        if actor.organisation != Some(object.head.owner) {
            return Ok(None);
        }
        let readers = self.store.readers().await?;
        Ok(reading.who_could_read(id, &readers).await?)
    }
}
