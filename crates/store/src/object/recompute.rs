//! Effective policies: an object's own marks, its collection's, and those of what it refers to.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ostrom_core::handling::{Handling, Policy};
use ostrom_core::{ObjectId, OrgId, Uuid};
use sqlx::AssertSqlSafe;

use super::MAX_CLOSURE;
use super::work::{LIST, Version, Whose, Work};
use crate::db::{args, pad, padded, places};
use crate::policy::{Rule, Written};
use crate::{Error, Writing};

/// How many objects of a collection are computed again at a time.
const CHUNK: i64 = 5_000;

impl Work {
    /// The versions whose effective policy depends on the newest versions that these organisations have of these objects: those of the same organisation that refer to them,
    /// and, where these count themselves, those that refer to those, and so on.
    ///
    /// # Errors
    /// [`Error::Refused`] if there are more than `most`.
    pub(super) async fn ancestors(
        &mut self,
        writing: &mut Writing,
        changed: impl IntoIterator<Item = (ObjectId, OrgId)>,
        most: usize,
    ) -> Result<BTreeMap<ObjectId, BTreeSet<i64>>, Error> {
        let mut found = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
        let mut count = 0_usize;
        let mut known: HashSet<(ObjectId, OrgId)> = changed.into_iter().collect();
        let mut queue = BTreeMap::<OrgId, Vec<ObjectId>>::new();
        for (id, owner) in &known {
            queue.entry(*owner).or_default().push(id.clone());
        }
        while let Some(mut entry) = queue.first_entry() {
            let owner = *entry.key();
            let waiting = entry.get_mut();
            let chunk = waiting.split_off(waiting.len().saturating_sub(LIST));
            if waiting.is_empty() {
                entry.remove();
            }
            let size = padded(chunk.len());
            let left = most.saturating_sub(count).saturating_add(1);
            let mut args = args![owner, i64::try_from(left).unwrap_or(i64::MAX)];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT o.id, o.seq FROM reference r CROSS JOIN object o WHERE r.owner = $1 AND r.target IN ({}) AND o.seq = r.source LIMIT $2 + 0",
                places(3, size)
            );
            let mut new = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                let (id, seq): (ObjectId, i64) = (row.parsed(0)?, row.int(1)?);
                count = count.saturating_add(1);
                new.entry(id).or_default().insert(seq);
            }
            if count > most {
                return Err(Error::Refused(format!(
                    "more than {most} of your objects would have to be looked at again, since they refer to it: share it under a new id"
                )));
            }
            self.load(writing, new.keys().cloned()).await?;
            for (id, seqs) in new {
                let thing = self.things.get(&id);
                let versions = thing
                    .into_iter()
                    .flat_map(|thing| thing.versions.iter().map(move |version| (thing, version)));
                let mut versions = versions.filter(|(_, version)| seqs.contains(&version.seq));
                if versions.any(|(thing, version)| thing.is_counted(&id, version))
                    && known.insert((id.clone(), owner))
                {
                    queue.entry(owner).or_default().push(id.clone());
                }
                found.entry(id).or_default().extend(seqs);
            }
        }
        Ok(found)
    }

    /// Computes the effective policies of these versions again. Nothing is written down.
    pub(super) async fn recompute(
        &mut self,
        writing: &mut Writing,
        versions: &BTreeMap<ObjectId, BTreeSet<i64>>,
    ) -> Result<(), Error> {
        let ids: Vec<ObjectId> = versions.keys().cloned().collect();
        self.load(writing, ids.iter().cloned()).await?;
        let wanted: HashSet<i64> = versions.values().flatten().copied().collect();
        self.load_references(writing, &ids, |version| wanted.contains(&version.seq)).await?;
        let mut direct = BTreeSet::new();
        for id in &ids {
            for version in self.things.get(id).into_iter().flat_map(|thing| &thing.versions) {
                if wanted.contains(&version.seq) {
                    direct.extend(version.references.iter().flatten().map(|id| version.refers(id)));
                }
            }
        }
        // The first step for all at once; most closures end there.
        let direct: Vec<Whose> = direct.into_iter().collect();
        self.load_nodes(writing, &direct).await?;
        for id in &ids {
            let count = self.things.get(id).map_or(0, |thing| thing.versions.len());
            for at in 0..count {
                let version = self.things.get(id).and_then(|thing| thing.versions.get(at));
                let Some(version) = version.filter(|version| wanted.contains(&version.seq)).cloned() else {
                    continue;
                };
                let policy = self.effective(writing, &version).await?;
                if let Some(version) = self.things.get_mut(id).and_then(|thing| thing.versions.get_mut(at)) {
                    version.policy = policy;
                }
            }
        }
        Ok(())
    }

    /// The number of what holds for a version.
    async fn effective(&mut self, writing: &mut Writing, version: &Version) -> Result<i64, Error> {
        let mut own = BTreeSet::from([version.own]);
        if let Some(may_read) = writing.collection_may_read(version.collection) {
            own.insert(writing.intern(&may_read).await?);
        }
        let mut policies = own.clone();
        policies.extend((version.given != 0).then_some(version.given));
        let mut visited = BTreeSet::new();
        let mut frontier: Vec<Whose> =
            version.references.iter().flatten().map(|id| version.refers(id)).collect();
        while !frontier.is_empty() {
            frontier.retain(|whose| visited.insert(whose.clone()));
            if visited.len() > MAX_CLOSURE {
                let why = format!("it refers to more than {MAX_CLOSURE} objects");
                let nobody = Handling::unreadable(OrgId::new(Uuid::nil()), why);
                return writing.intern(&Policy::new([nobody])).await;
            }
            self.load_nodes(writing, &frontier).await?;
            let mut next = Vec::new();
            for node in frontier.iter().filter_map(|whose| self.nodes.get(whose)) {
                policies.extend(&node.policies);
                next.extend(node.references.iter().filter(|whose| !visited.contains(*whose)).cloned());
            }
            frontier = next;
        }
        let writer = (!version.pulled).then_some((version.owner, version.person));
        self.join(writing, policies, own, writer).await
    }

    /// The number of what is all of these policies, but only `own` for whoever wrote it.
    async fn join(
        &mut self,
        writing: &mut Writing,
        policies: BTreeSet<i64>,
        own: BTreeSet<i64>,
        writer: Option<(OrgId, Option<ostrom_core::PersonId>)>,
    ) -> Result<i64, Error> {
        if let (Some(only), 1) = (policies.first(), policies.len()) {
            return Ok(*only);
        }
        let asked = (policies, own, writer);
        if let Some(key) = self.joined.get(&asked) {
            return Ok(*key);
        }
        let all = join_of(writing, &asked.0)?;
        let alone = join_of(writing, &asked.1)?;
        let rule = match writer {
            Some((owner, person)) if all != alone => {
                Rule::Written(Box::new(Written { policy: all, own: alone, owner, person }))
            }
            _ => Rule::Plain(all),
        };
        let key = writing.intern_rule(rule).await?;
        self.joined.insert(asked, key);
        Ok(key)
    }
}

/// All of these policies at once.
pub(super) fn join_of(writing: &Writing, policies: &BTreeSet<i64>) -> Result<Policy, Error> {
    let mut all: Option<Policy> = None;
    for key in policies {
        let policy = writing.policy_of(*key)?;
        all = Some(match all {
            Some(all) => all.and(&policy),
            None => policy,
        });
    }
    Ok(all.unwrap_or_default())
}

impl Writing {
    /// Computes the policies of all objects of a collection again, and of those that refer to them.
    pub(crate) async fn recompute_collection(&mut self, collection: i64) -> Result<(), Error> {
        let mut last = 0;
        loop {
            let sql = "SELECT o.seq, o.id, o.owner FROM object o WHERE o.collection = $1 AND o.seq > $2 ORDER BY o.seq LIMIT $3 + 0";
            let rows = self.fetch(sql, args![collection, last, CHUNK]).await?;
            let mut versions = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
            let mut changed = Vec::new();
            for row in &rows {
                last = row.int(0)?;
                versions.entry(row.parsed(1)?).or_default().insert(last);
                changed.push((row.parsed(1)?, row.parsed(2)?));
            }
            if rows.is_empty() {
                return Ok(());
            }
            let mut work = Work::default();
            // An administrator's decision is not refused for the sake of its size.
            for (id, seqs) in work.ancestors(self, changed, usize::MAX).await? {
                versions.entry(id).or_default().extend(seqs);
            }
            work.recompute(self, &versions).await?;
            work.flush(self).await?;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use ostrom_core::Timestamp;
    use ostrom_core::handling::Tlp;

    use super::*;
    use crate::{Collection, Config, NewObject, Store};

    fn id(n: u128) -> ObjectId {
        ObjectId::new("note", Uuid::from_u128(n)).unwrap()
    }

    fn note(n: u128, owner: OrgId, references: Vec<ObjectId>) -> NewObject {
        NewObject {
            collection: ostrom_core::CollectionId::new(Uuid::from_u128(1)),
            id: id(n),
            version: Some(Timestamp::EPOCH),
            spec_version: "2.1".to_owned(),
            own: Policy::new([Handling::new(owner, Tlp::Clear)]),
            references,
            shared: false,
            owner,
            person: None,
            peer: None,
            body: b"{}".to_vec(),
            title: String::new(),
            text: String::new(),
            salt: None,
            leaf: None,
            aside: None,
        }
    }

    #[tokio::test]
    async fn more_that_refers_to_something_than_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Config::folder(folder.path())).await.unwrap();
        let (me, other) = (OrgId::new(Uuid::from_u128(1)), OrgId::new(Uuid::from_u128(2)));
        let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
        let collection = Collection::bare(1);
        writing.put_collection(&collection).await.unwrap();
        // Three refer to the first, one of them at second hand; and many of another organisation, which do not count.
        let mut notes = vec![note(2, me, vec![id(1)]), note(3, me, vec![id(1)]), note(4, me, vec![id(2)])];
        notes.extend((10..30).map(|n| note(n, other, vec![id(1)])));
        writing.put(notes).await.unwrap();
        let found = Work::default().ancestors(&mut writing, [(id(1), me)], 3).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&id(2), &id(3), &id(4)]);
        let refused = Work::default().ancestors(&mut writing, [(id(1), me)], 2).await;
        assert!(matches!(refused, Err(Error::Refused(why)) if why.contains("refer to it")));
    }
}
