//! The door of those who keep what is here.

use std::collections::HashMap;
use std::sync::Arc;

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{CollectionId, Digest, ObjectId, OrgId, PeerId, PersonId, Timestamp};
use sqlx::AssertSqlSafe;

use crate::case::{due, event};
use crate::db::{Row, args, pad, padded, places};
use crate::policy::Rule;
use crate::{CaseEvent, CaseFile, Due, Error, Page, Store, object};
use ostrom_core::CaseId;

/// Sees everything, whoever asks. It is for verification, for the checks that come before a write (whose is the version before, and what are its
/// marks?), for clocks that run without anybody asking, and for counters of what nobody may read.
///
/// *Invariant:* what it gives never goes to a person or a peer, but for [`refused`](Self::refused), which has no content.
#[derive(Debug, Clone)]
pub struct Custody {
    store: Store,
}

/// What is known of a version without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its collection.
    pub collection: CollectionId,
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// When it was added.
    pub added: Timestamp,
    /// The organisation that put it here.
    pub owner: OrgId,
    /// The person who did.
    pub person: Option<PersonId>,
    /// What its own marks say.
    pub own: Policy,
    /// What holds for it, with all that it refers to.
    pub effective: Policy,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// What the exchange keeps beside it.
    pub aside: Option<String>,
    peer: Option<PeerId>,
    line: i64,
    rule: Arc<Rule>,
}

/// Objects that nobody may read, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why: what is not understood.
    pub why: String,
    /// How many versions.
    pub count: u64,
}

impl Kept {
    /// Whether a reader may see it, or wrote it: that is known even if nobody may read it.
    pub fn is_known_to(&self, reader: &Reader, now: Timestamp) -> bool {
        let wrote =
            self.peer.is_none() && reader.organisation == Some(self.owner) && reader.person == self.person;
        wrote || self.rule.allows(reader, now)
    }
}

impl Custody {
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// What of these objects matters to somebody who writes: the versions that the reader is shown, and all of the reader's own organisation; the oldest first. So
    /// the checks before a write depend on nothing of others that is hidden from whoever writes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_to(
        &self,
        reader: &Reader,
        now: Timestamp,
        ids: &[ObjectId],
    ) -> Result<HashMap<ObjectId, Vec<Kept>>, Error> {
        let mut found = self.versions_of(ids).await?;
        for versions in found.values_mut() {
            let is_own = |kept: &Kept| reader.organisation == Some(kept.owner);
            versions.retain(|kept| is_own(kept) || kept.is_known_to(reader, now));
            let seen = versions.iter().filter(|kept| kept.line > 0 && kept.is_known_to(reader, now));
            if let Some(first) = seen.min_by_key(|kept| kept.line).map(|kept| kept.owner) {
                versions.retain(|kept| kept.line <= 0 || kept.owner == first || is_own(kept));
            }
        }
        Ok(found)
    }

    /// All versions of an object, in all collections; the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions(&self, id: &ObjectId) -> Result<Vec<Kept>, Error> {
        let mut found = self.versions_of(std::slice::from_ref(id)).await?;
        Ok(found.remove(id).unwrap_or_default())
    }

    /// All versions of these objects, in all collections; the oldest of each first. What is not here is left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions_of(&self, ids: &[ObjectId]) -> Result<HashMap<ObjectId, Vec<Kept>>, Error> {
        let mut found = HashMap::<ObjectId, Vec<Kept>>::new();
        for chunk in ids.chunks(256) {
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT collection, id, version, added, owner, person, own, policy, digest, aside, peer, line FROM object \
                 WHERE id IN ({}) ORDER BY version, seq",
                places(1, size)
            );
            for row in self.store.fetch(AssertSqlSafe(sql), args).await? {
                let kept = self.kept(&row)?;
                found.entry(kept.id.clone()).or_default().push(kept);
            }
        }
        Ok(found)
    }

    /// The bytes of the first version of an object that came: for marking definitions, which never change.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn first_body(&self, id: &ObjectId) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT body FROM object WHERE id = $1 ORDER BY version, seq LIMIT 1";
        let row = self.store.first(sql, args![id]).await?;
        row.map(|row| row.text(0).map(String::into_bytes)).transpose()
    }

    fn kept(&self, row: &Row) -> Result<Kept, Error> {
        let policy = row.int(7)?;
        let rule = self.store.policies().get(policy).map(Arc::clone);
        let rule = rule.ok_or_else(|| Error::damaged(format!("there is no policy {policy}")))?;
        Ok(Kept {
            collection: self.store.collection_id(row.int(0)?)?,
            id: row.parsed(1)?,
            version: row.time(2)?,
            added: row.time(3)?,
            owner: row.parsed(4)?,
            person: row.maybe_parsed(5)?,
            own: self.store.policy(row.int(6)?)?,
            effective: rule.policy().clone(),
            digest: object::digest(row, 8)?,
            aside: row.maybe_text(9)?,
            peer: row.maybe_parsed(10)?,
            line: row.int(11)?,
            rule,
        })
    }

    /// Whether exactly these bytes were ever taken here, or removed from here, under this id and version: what a pull asks so as not to take things twice.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn knows(&self, id: &ObjectId, version: Timestamp) -> Result<bool, Error> {
        let row = self
            .store
            .first("SELECT count(*) FROM object WHERE id = $1 AND version = $2", args![id, version])
            .await?;
        if row.map_or(Ok(0), |row| row.int(0))? > 0 {
            return Ok(true);
        }
        let row = self
            .store
            .first("SELECT count(*) FROM tombstone WHERE id = $1 AND version = $2", args![id, version])
            .await?;
        Ok(row.map_or(Ok(0), |row| row.int(0))? > 0)
    }

    /// How many versions nobody may read, and why: not which.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refused(&self) -> Result<Vec<Refused>, Error> {
        let mut reasons = std::collections::BTreeMap::<String, u64>::new();
        let rows = self.store.fetch("SELECT policy, count(*) FROM object GROUP BY policy", args![]).await?;
        for row in rows {
            let policy = self.store.policy(row.int(0)?)?;
            let count = u64::try_from(row.int(1)?).unwrap_or_default();
            for why in policy.handlings().filter_map(|handling| handling.refused.clone()).take(1) {
                let sum = reasons.entry(why).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        Ok(reasons.into_iter().map(|(why, count)| Refused { why, count }).collect())
    }

    /// A page of a collection, in the order of [`Reading::page`](crate::Reading::page), without any regard to handlings: last versions only.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(
        &self,
        collection: CollectionId,
        after: Option<&object::Key>,
        limit: usize,
    ) -> Result<Page<object::Entry>, Error> {
        object::page_of_all(&self.store, collection, after, limit).await
    }

    /// A case, whoever its participants are: for clocks, and for the checks before an event.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn case(&self, id: CaseId) -> Result<Option<CaseFile>, Error> {
        let sql = "SELECT policy, opened, changed, summary FROM case_file WHERE id = $1";
        let Some(row) = self.store.first(sql, args![id]).await? else { return Ok(None) };
        Ok(Some(CaseFile {
            id,
            policy: self.store.policy(row.int(0)?)?,
            opened: row.time(1)?,
            changed: row.time(2)?,
            summary: row.text(3)?,
        }))
    }

    /// All cases and when each changed last, by id: for clocks.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cases(&self) -> Result<Vec<(CaseId, Timestamp)>, Error> {
        let rows = self.store.fetch("SELECT id, changed FROM case_file ORDER BY id", args![]).await?;
        rows.iter().map(|row| Ok((row.parsed(0)?, row.time(1)?))).collect()
    }

    /// All events of a case.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn case_events(&self, id: CaseId) -> Result<Vec<CaseEvent>, Error> {
        let sql = "SELECT number, happened, organisation, person, body FROM case_event WHERE case_id = $1 ORDER BY number";
        self.store.fetch(sql, args![id]).await?.iter().map(event).collect()
    }

    /// The subjects that begin with `kind` and have something that falls due before this time, whoever may know: for what happens by itself. In the
    /// order of their texts, at most `limit`, after `after` if given: the last of the page before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_subjects(
        &self,
        kind: &str,
        before: Timestamp,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        // By subjects, so that what is late of one kind, and stays so, holds up nothing of another.
        let sql = "SELECT DISTINCT subject FROM due WHERE subject > $1 AND subject < $2 AND due < $3 ORDER BY subject LIMIT $4 + 0";
        let end = format!("{kind}\u{10ffff}");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.store.fetch(sql, args![after.unwrap_or(kind), end, before, limit]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// All that falls due for one subject, whoever may know; the first first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_of(&self, subject: &str) -> Result<Vec<Due>, Error> {
        let sql = "SELECT subject, name, due, party, detail FROM due WHERE subject = $1 ORDER BY due, name";
        self.store.fetch(sql, args![subject]).await?.iter().map(due).collect()
    }
}
