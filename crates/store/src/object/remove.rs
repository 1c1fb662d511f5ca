//! Removing objects: what is left is a tombstone.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::{CollectionId, ObjectId, Timestamp};

use super::work::{Version, Work, insert};
use super::{Head, Logged, MAX_ANCESTORS};
use crate::db::args;
use crate::{Error, Writing};

impl Writing {
    /// Removes a version of an object from a collection, or all its versions there, and leaves tombstones that the same readers see. Returns how many.
    ///
    /// What refers to it stays as strict as it was: a tombstone counts like the version did.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove(
        &mut self,
        collection: CollectionId,
        id: &ObjectId,
        version: Option<Timestamp>,
        why: Option<&str>,
    ) -> Result<u64, Error> {
        self.remove_logged(collection, id, version, why, None).await
    }

    /// Like [`Writing::remove`]. `logged`: where the commitment to this removal lies in the transparency log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_logged(
        &mut self,
        collection: CollectionId,
        id: &ObjectId,
        version: Option<Timestamp>,
        why: Option<&str>,
        logged: Option<&Logged>,
    ) -> Result<u64, Error> {
        let choose = |found: &Version| version.is_none_or(|version| found.version == version.micros());
        self.remove_those(collection, id, why, logged, choose).await
    }

    /// Removes this one version, and nothing that somebody else has under the same id and version. Whether it was there.
    ///
    /// # Errors
    /// As for [`remove`](Self::remove).
    pub async fn remove_this(
        &mut self,
        head: &Head,
        why: Option<&str>,
        logged: Option<&Logged>,
    ) -> Result<bool, Error> {
        let Head { key, owner, person, digest, .. } = head;
        let choose = |found: &Version| {
            found.version == key.version.micros()
                && found.owner == *owner
                && found.person == *person
                && found.digest == digest.as_bytes()
        };
        let removed = self.remove_those(key.collection, &key.id, why, logged, choose).await?;
        Ok(removed > 0)
    }

    async fn remove_those(
        &mut self,
        collection: CollectionId,
        id: &ObjectId,
        why: Option<&str>,
        logged: Option<&Logged>,
        choose: impl Fn(&Version) -> bool,
    ) -> Result<u64, Error> {
        let collection = self.collection_key(collection)?;
        let mut work = Work::default();
        work.load(self, [id.clone()]).await?;
        let Some(thing) = work.things.get_mut(id) else { return Ok(0) };
        let all = std::mem::take(&mut thing.versions);
        let (gone, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|found| found.collection == collection && choose(found));
        thing.versions = kept;
        if gone.is_empty() {
            return Ok(0);
        }
        thing.edges();
        let removed = self.removal_time();
        let mut tombstones = Vec::new();
        for version in &gone {
            let seq = self.number();
            tombstones.push(args![
                seq,
                id,
                version.version,
                collection,
                removed,
                version.policy,
                version.own,
                version.line,
                version.owner,
                version.person,
                why,
                logged.map(|logged| i64::try_from(logged.leaf).unwrap_or(i64::MAX)),
                logged.map(|logged| logged.salt.clone()),
                logged.and_then(|logged| logged.origin.clone()),
            ]);
        }
        let mut db = self.db()?;
        let columns = "tombstone (seq, id, version, collection, removed, policy, own, line, owner, person, why, leaf, salt, origin)";
        insert(&mut db, columns, 14, tombstones).await?;
        for version in &gone {
            let rows = db.fetch("SELECT words FROM object WHERE seq = $1", args![version.seq]).await?;
            let words = rows.first().map_or(Ok(String::new()), |row| row.text(0))?;
            for word in words.split(' ') {
                db.execute("DELETE FROM word WHERE word = $1 AND seq = $2", args![word, version.seq]).await?;
            }
            db.execute("DELETE FROM reference WHERE source = $1", args![version.seq]).await?;
            db.execute("DELETE FROM object WHERE seq = $1", args![version.seq]).await?;
        }
        let versions: BTreeMap<ObjectId, BTreeSet<i64>> = work
            .ancestors(self, gone.iter().map(|version| (id.clone(), version.owner)), MAX_ANCESTORS)
            .await?;
        work.recompute(self, &versions).await?;
        work.flush(self).await?;
        Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
    }
}
