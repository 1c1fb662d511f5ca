//! Effective policies: an object's own marks, its collection's, and those of all that it refers to.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ostrom_core::handling::{Handling, Policy};
use ostrom_core::{ObjectId, OrgId, Uuid};
use sqlx::AssertSqlSafe;

use super::MAX_CLOSURE;
use super::work::{LIST, Work};
use crate::db::{args, pad, padded, places};
use crate::{Error, Writing};

/// How many objects of a collection are computed again at a time.
const CHUNK: i64 = 5_000;

impl Work {
    /// The versions whose effective policy depends on these objects' newest versions: those that refer to them, and, where these are the newest of their collections,
    /// those that refer to those, and so on.
    pub(super) async fn ancestors(
        &mut self,
        writing: &mut Writing,
        changed: &[ObjectId],
    ) -> Result<BTreeMap<ObjectId, BTreeSet<i64>>, Error> {
        let mut found = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
        let mut known: HashSet<ObjectId> = changed.iter().cloned().collect();
        let mut queue: Vec<ObjectId> = known.iter().cloned().collect();
        while !queue.is_empty() {
            let chunk = queue.split_off(queue.len().saturating_sub(LIST));
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT o.id, o.seq, o.newest FROM reference r CROSS JOIN object o WHERE r.target IN ({}) AND o.seq = r.source",
                places(1, size)
            );
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                let id: ObjectId = row.parsed(0)?;
                found.entry(id.clone()).or_default().insert(row.int(1)?);
                if row.flag(2)? && known.insert(id.clone()) {
                    queue.push(id);
                }
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
        let mut direct = Vec::new();
        for id in &ids {
            for version in self.things.get(id).into_iter().flat_map(|thing| &thing.versions) {
                if wanted.contains(&version.seq) {
                    direct.extend(version.references.iter().flatten().cloned());
                }
            }
        }
        // The first step for all at once; most closures end there.
        self.load_nodes(writing, &direct).await?;
        for id in &ids {
            let count = self.things.get(id).map_or(0, |thing| thing.versions.len());
            for at in 0..count {
                let version = self.things.get(id).and_then(|thing| thing.versions.get(at));
                let Some(version) = version.filter(|version| wanted.contains(&version.seq)).cloned() else {
                    continue;
                };
                let references = version.references.unwrap_or_default();
                let policy = self.effective(writing, version.own, version.collection, references).await?;
                if let Some(version) = self.things.get_mut(id).and_then(|thing| thing.versions.get_mut(at)) {
                    version.policy = policy;
                }
            }
        }
        Ok(())
    }

    /// The effective policy of something with these marks, in this collection, that refers to these objects.
    async fn effective(
        &mut self,
        writing: &mut Writing,
        own: i64,
        collection: i64,
        references: Vec<ObjectId>,
    ) -> Result<i64, Error> {
        let mut policies = BTreeSet::from([own]);
        if let Some(may_read) = writing.collection_may_read(collection) {
            policies.insert(writing.intern(&may_read).await?);
        }
        let mut visited = BTreeSet::new();
        let mut frontier: Vec<ObjectId> = references;
        while !frontier.is_empty() {
            frontier.retain(|id| visited.insert(id.clone()));
            if visited.len() > MAX_CLOSURE {
                let why = format!("it refers to more than {MAX_CLOSURE} objects");
                let nobody = Handling::unreadable(OrgId::new(Uuid::nil()), why);
                return writing.intern(&Policy::new([nobody])).await;
            }
            self.load_nodes(writing, &frontier).await?;
            let mut next = Vec::new();
            for node in frontier.iter().filter_map(|id| self.nodes.get(id)) {
                policies.extend(&node.policies);
                next.extend(node.references.iter().filter(|id| !visited.contains(*id)).cloned());
            }
            frontier = next;
        }
        self.join(writing, policies).await
    }

    /// The policy that is all of these.
    async fn join(&mut self, writing: &mut Writing, policies: BTreeSet<i64>) -> Result<i64, Error> {
        if let (Some(only), 1) = (policies.first(), policies.len()) {
            return Ok(*only);
        }
        if let Some(key) = self.joined.get(&policies) {
            return Ok(*key);
        }
        let mut all: Option<Policy> = None;
        for key in &policies {
            let policy = writing.policy_of(*key)?;
            all = Some(match all {
                Some(all) => all.and(&policy),
                None => Policy::clone(&policy),
            });
        }
        let all = all.unwrap_or_default();
        let key = writing.intern(&all).await?;
        self.joined.insert(policies, key);
        Ok(key)
    }
}

impl Writing {
    /// Computes the policies of all objects of a collection again, and of those that refer to them.
    pub(crate) async fn recompute_collection(&mut self, collection: i64) -> Result<(), Error> {
        let mut last = 0;
        loop {
            let sql = "SELECT o.seq, o.id FROM object o WHERE o.collection = $1 AND o.seq > $2 ORDER BY o.seq LIMIT $3 + 0";
            let rows = self.fetch(sql, args![collection, last, CHUNK]).await?;
            let mut versions = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
            for row in &rows {
                last = row.int(0)?;
                versions.entry(row.parsed(1)?).or_default().insert(last);
            }
            if rows.is_empty() {
                return Ok(());
            }
            let mut work = Work::default();
            let ids: Vec<ObjectId> = versions.keys().cloned().collect();
            for (id, seqs) in work.ancestors(self, &ids).await? {
                versions.entry(id).or_default().extend(seqs);
            }
            work.recompute(self, &versions).await?;
            work.flush(self).await?;
        }
    }
}
