//! Writing our own types, and removing.

use std::sync::Arc;

use ostrom_core::handling::Handling;
use ostrom_core::{ObjectId, Timestamp};
use ostrom_store::Collection;

use super::outcome::{Outcome, ServiceError};
use super::take::{Incoming, Strictness, blocking};
use super::{Actor, Deed, Exchange};
use crate::commitment::enter_removal;
use crate::stix::marking;
use crate::stix::{Limits, Object};
use crate::types::Record;

/// Something that a person writes: what it says, and who may read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it says. Its marks are put on by [`Exchange::write`].
    pub record: Record,
    /// Who may read it.
    pub handling: Handling,
    /// What must come with it: the software object of an evaluation.
    pub along: Vec<serde_json::Value>,
}

impl Exchange {
    /// Writes a draft as a STIX object with marks that say what its handling says, and takes it. The last outcome is the draft's; those before are
    /// of what comes along with it.
    ///
    /// # Errors
    /// If it is not valid, its owner is another organisation, or the actor may not write there.
    pub async fn write(
        &self,
        actor: &Actor,
        collection: &Collection,
        mut draft: Draft,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, ServiceError> {
        if Some(draft.handling.owner) != actor.organisation {
            return Err(ServiceError::Forbidden("the handling must name your own organisation as its owner"));
        }
        let marks = marking::marks(&draft.handling)?;
        draft.record.common_mut().mark(&marks);
        let mut incoming: Vec<Incoming> = Vec::new();
        for definition in &marks.definitions {
            incoming.push(Object::read(definition.to_string().as_bytes(), &Limits::default())?.into());
        }
        for mut value in draft.along {
            if let (Some(map), false) = (value.as_object_mut(), marks.refs.is_empty()) {
                map.insert("object_marking_refs".to_owned(), serde_json::json!(marks.refs));
            }
            incoming.push(Object::read(value.to_string().as_bytes(), &Limits::default())?.into());
        }
        incoming.push(draft.record.write()?.into());
        self.take(actor, collection, incoming, Strictness::Strict, now).await
    }

    /// Removes a version of an object from a collection, or all of them that are there. Returns how many: none, if the actor may not see the object.
    ///
    /// # Errors
    /// If the object is another organisation's, or the actor may not write there.
    pub async fn remove(
        &self,
        actor: &Actor,
        collection: &Collection,
        id: &ObjectId,
        version: Option<Timestamp>,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<u64, ServiceError> {
        let reading = self.store.reading(&actor.reader, now).await?;
        if !collection.readable(&actor.reader, now) || !actor.is_for(collection.id) {
            return Err(ServiceError::NotFound("collection"));
        }
        if !actor.may_write() || !collection.writable(&actor.reader, now) {
            return Err(ServiceError::Forbidden(
                "you may not write to this collection: ask an administrator",
            ));
        }
        let mut seen = reading.history(id).await?;
        seen.retain(|head| {
            head.key.collection == collection.id && version.is_none_or(|version| head.key.version == version)
        });
        if seen.is_empty() {
            return Ok(0);
        }
        if seen.iter().any(|head| Some(head.owner) != actor.organisation) {
            return Err(ServiceError::Forbidden("only the organisation that shared an object removes it"));
        }
        drop(reading);
        let mut writing = self.store.writing(now).await?;
        let mut count = 0_u64;
        let versions: Vec<Timestamp> = seen.iter().map(|head| head.key.version).collect();
        let (log, about, reason) = (Arc::clone(&self.log), id.clone(), why.map(str::to_owned));
        let logged = blocking(move || {
            let enter = |version: &Timestamp| enter_removal(&log, &about, *version, reason.as_deref());
            let logged = versions.iter().map(enter).collect::<Result<Vec<_>, _>>()?;
            log.sync()?;
            Ok::<_, ServiceError>(logged)
        });
        // One by one: what the actor does not see stays.
        for (head, logged) in seen.iter().zip(logged.await??) {
            let removed = writing.remove_this(head, why, Some(&logged)).await?;
            count = count.saturating_add(u64::from(removed));
        }
        writing.commit().await?;
        let mut deed = Deed::new(actor, "remove", format!("{id} from collection {}", collection.id), now);
        deed.count = count;
        self.note(deed).await?;
        Ok(count)
    }
}
