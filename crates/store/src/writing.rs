//! A transaction that writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ostrom_core::handling::{Handling, Policy};
use ostrom_core::{CollectionId, OrgId, Timestamp, Uuid};
use sqlx::SqlSafeStr;
use tokio::sync::OwnedMutexGuard;

use crate::db::{Arg, Db, Row};
use crate::policy::Rule;
use crate::store::{Collections, Writer};
use crate::{Error, Store, policy};

/// One transaction, and the only one that writes. [`commit`](Self::commit) makes all of it true; without, nothing happened.
///
/// After an error the transaction may be half done: drop it. (On PostgreSQL it could not go on anyway.)
pub struct Writing {
    store: Store,
    writer: OwnedMutexGuard<Writer>,
    now: Timestamp,
    next_seq: i64,
    last_added: i64,
    /// The time of what it has removed since it added something.
    removed: Option<Timestamp>,
    /// The policies that this transaction brought.
    policies: Vec<(i64, Arc<Rule>, Option<OrgId>)>,
    /// Their numbers.
    fresh: HashMap<Arc<Rule>, i64>,
    /// Those that it removed.
    gone: BTreeSet<i64>,
    /// Whether it asked for the number of a policy.
    interned: bool,
    /// Whose write it is: who brings the policies that it needs.
    bringer: Option<OrgId>,
    /// The collections as this transaction leaves them, if it changed any.
    collections: Option<Collections>,
}

impl Writing {
    pub(crate) fn new(store: Store, writer: OwnedMutexGuard<Writer>, now: Timestamp) -> Self {
        let (next_seq, last_added) = (writer.next_seq, writer.last_added);
        Self {
            store,
            writer,
            now,
            next_seq,
            last_added,
            removed: None,
            policies: Vec::new(),
            fresh: HashMap::new(),
            gone: BTreeSet::new(),
            interned: false,
            bringer: None,
            collections: None,
        }
    }

    /// The time that it was begun with.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes all of it true. When this returns, it survives a crash of the node and of the machine.
    ///
    /// # Errors
    /// If the database fails; then it is as if nothing had been written, unless the connection was lost in this very moment.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.writer.commit().await?;
        // No await from here on: what is in memory follows at once.
        self.store.count_commit();
        self.writer.next_seq = self.next_seq;
        self.writer.last_added = self.last_added;
        if let Some(collections) = self.collections.take() {
            *self.store.collections_mut() = collections;
        }
        if !self.policies.is_empty() || !self.gone.is_empty() {
            let mut known = self.store.policies_mut();
            known.forget(&self.gone);
            for (key, rule, bringer) in self.policies.drain(..) {
                known.add(key, rule, bringer);
            }
        }
        Ok(())
    }

    /// How many transactions were committed since the store was opened.
    pub(crate) fn generation(&self) -> u64 {
        self.writer.generation
    }

    /// What the store has in memory, as it is without this transaction.
    pub(crate) const fn known(&self) -> &Store {
        &self.store
    }

    pub(crate) fn db(&mut self) -> Result<Db<'_>, Error> {
        self.writer.db()
    }

    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, Error> {
        self.db()?.execute(sql, args).await
    }

    pub(crate) async fn fetch(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.db()?.fetch(sql, args).await
    }

    /// A time for a new batch: now, but later than every batch before. And the number of its first object.
    pub(crate) fn new_batch(&mut self) -> (Timestamp, i64) {
        let micros = self.now.micros().max(self.last_added.saturating_add(1));
        // At the end of the year 9999 time stands still, and the database refuses the second batch.
        let added = Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX);
        self.last_added = micros;
        self.removed = None;
        (added, self.next_seq)
    }

    /// A time for what is removed: one for all, since it must not count what some may not see.
    pub(crate) fn removal_time(&mut self) -> Timestamp {
        if let Some(removed) = self.removed {
            return removed;
        }
        let (removed, _) = self.new_batch();
        self.removed = Some(removed);
        removed
    }

    /// A number for an object.
    pub(crate) const fn number(&mut self) -> i64 {
        let number = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        number
    }

    /// From here on, new policies count as brought by this organisation.
    pub(crate) const fn bring_for(&mut self, bringer: Option<OrgId>) {
        self.bringer = bringer;
    }

    /// The number of a policy, which it gets if it is new. The empty policy, which lets nobody read, becomes one that stays so when others are added to it.
    ///
    /// # Errors
    /// [`Error::Refused`] if there are too many already.
    pub(crate) async fn intern(&mut self, policy: &Policy) -> Result<i64, Error> {
        if policy.handlings().next().is_none() {
            let nobody = Handling::unreadable(OrgId::new(Uuid::nil()), "no mark");
            return self.intern_rule(Rule::Plain(Policy::new([nobody]))).await;
        }
        self.intern_rule(Rule::Plain(policy.clone())).await
    }

    /// The same for a rule whose policies are not empty.
    pub(crate) async fn intern_rule(&mut self, rule: Rule) -> Result<i64, Error> {
        self.interned = true;
        let (key, room, number) = {
            let (known, here) = (self.store.policies(), self.policies.len());
            (known.key(&rule), known.has_room(here, self.bringer), known.number(here))
        };
        let key = key.filter(|key| !self.gone.contains(key));
        if let Some(key) = key.or_else(|| self.fresh.get(&rule).copied()) {
            return Ok(key);
        }
        if !room {
            return Err(Error::Refused(
                "too many different marks are in use: take recipients, embargoes and exchange policies that were used before (marks that nothing has any more make room within hours, or when the node starts)"
                    .to_owned(),
            ));
        }
        policy::write(&mut self.writer.db()?, number, &rule, self.bringer).await?;
        let rule = Arc::new(rule);
        self.fresh.insert(Arc::clone(&rule), number);
        self.policies.push((number, rule, self.bringer));
        Ok(number)
    }

    /// Whether this transaction asked for the number of a policy.
    pub(crate) const fn has_interned(&self) -> bool {
        self.interned
    }

    /// After which policy the next are to be looked at, whether nothing has them, and which number is after all.
    pub(crate) fn to_reclaim(&self) -> (i64, i64) {
        (self.writer.reclaimed, self.store.policies().next())
    }

    /// Notes that these policies were removed, and where to go on.
    pub(crate) fn reclaimed(&mut self, gone: BTreeSet<i64>, next: i64) {
        self.gone.extend(gone);
        self.writer.reclaimed = next;
    }

    /// The policy with this number.
    pub(crate) fn policy_of(&self, key: i64) -> Result<Policy, Error> {
        Ok(self.rule_of(key)?.policy().clone())
    }

    /// The rule with this number.
    pub(crate) fn rule_of(&self, key: i64) -> Result<Arc<Rule>, Error> {
        // Numbers follow each other, but for some that were free.
        let at = self.policies.binary_search_by_key(&key, |(key, ..)| *key).ok();
        let here = at.and_then(|at| self.policies.get(at)).map(|(_, rule, _)| Arc::clone(rule));
        let rule = here.or_else(|| self.store.policies().get(key).map(Arc::clone));
        rule.ok_or_else(|| Error::damaged(format!("there is no policy {key}")))
    }

    /// The number of a collection.
    pub(crate) fn collection_key(&self, id: CollectionId) -> Result<i64, Error> {
        let key = match &self.collections {
            Some(collections) => collections.key(id),
            None => self.store.collections_known().key(id),
        };
        key.ok_or(Error::Missing { what: "collection" })
    }

    /// Who may read a collection, if it says so.
    pub(crate) fn collection_may_read(&self, key: i64) -> Option<Policy> {
        match &self.collections {
            Some(collections) => collections.may_read(key).cloned(),
            None => self.store.collections_known().may_read(key).cloned(),
        }
    }

    /// Notes that a collection gets a body of this size. Sizes are rounded up, so that this seldom writes.
    pub(crate) async fn know_size(&mut self, key: i64, size: usize) -> Result<(), Error> {
        let known = match &self.collections {
            Some(collections) => collections.largest(key),
            None => self.store.collections_known().largest(key),
        };
        let size = i64::try_from(size.next_power_of_two()).unwrap_or(i64::MAX);
        if size > known {
            self.execute("UPDATE collection SET largest = $2 WHERE key = $1", crate::db::args![key, size])
                .await?;
            let known = self.collections.take();
            let mut known = known.unwrap_or_else(|| self.store.collections_known().clone());
            known.set_largest(key, size);
            self.collections = Some(known);
        }
        Ok(())
    }

    pub(crate) fn know_collection(&mut self, id: CollectionId, key: i64, may_read: Option<Policy>) {
        let known = self.collections.take();
        let mut known = known.unwrap_or_else(|| self.store.collections_known().clone());
        known.add(id, key, may_read);
        self.collections = Some(known);
    }
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").field("now", &self.now).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use ostrom_core::handling::{Embargo, Reader, Tlp};

    use super::*;
    use crate::Config;

    fn org(n: u128) -> OrgId {
        OrgId::new(Uuid::from_u128(n))
    }

    fn until(n: u128, second: i64) -> Policy {
        let embargo = Embargo { until: Timestamp::EPOCH.plus_seconds(second), parties: [].into() };
        Policy::new([Handling { embargo: Some(embargo), ..Handling::new(org(n), Tlp::Clear) }])
    }

    #[tokio::test]
    async fn nobody_brings_more_marks_than_a_share() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::folder(folder.path());
        let store = Store::open(&config).await.unwrap();
        store.policies_mut().limit(6, 3);
        let writes = async |who: u128, seconds: &[i64]| {
            let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
            writing.bring_for(Some(org(who)));
            for second in seconds {
                // What nothing has goes when the store is opened.
                let case =
                    ostrom_core::CaseId::new(Uuid::from_u128(who << 32 | u128::from(second.unsigned_abs())));
                writing.put_case(case, &until(who, *second), "a case").await?;
            }
            writing.commit().await
        };
        assert!(matches!(writes(1, &[1, 2, 3, 4]).await, Err(Error::Refused(_))), "in one transaction");
        writes(1, &[1, 2]).await.unwrap();
        writes(1, &[2, 3]).await.unwrap();
        assert!(matches!(writes(1, &[4]).await, Err(Error::Refused(_))), "in several");
        writes(1, &[3, 1]).await.unwrap();
        writes(2, &[1, 2]).await.unwrap();
        writes(3, &[1]).await.unwrap();
        assert!(matches!(writes(4, &[1]).await, Err(Error::Refused(_))), "no room for anybody");
        writes(2, &[2]).await.unwrap();
        // Who brought what is known after a restart, too.
        store.close().await;
        let store = Store::open(&config).await.unwrap();
        store.policies_mut().limit(100, 3);
        assert!(!store.policies().has_room(0, Some(org(1))) && store.policies().has_room(0, Some(org(2))));
        // A reader's view knows them all.
        let reading = store.reading(&Reader::anonymous(true), Timestamp::EPOCH).await.unwrap();
        assert_eq!(reading.viewer().len(), 7);
    }
}
