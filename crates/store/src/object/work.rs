//! What a write has loaded of objects, what it makes of them, and how that is written down at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ostrom_core::ObjectId;
use sqlx::AssertSqlSafe;

use crate::db::{Arg, Db, Row, args, pad, padded, places};
use crate::{Error, Writing};

/// The most rows of one statement.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];
/// The most values of one statement.
const VALUES: usize = 2048;
/// The most members of one list.
pub(super) const LIST: usize = 256;

/// Inserts rows, many with one statement. `into` is a table with its columns, of which there are `columns`.
pub(crate) async fn insert(
    db: &mut Db<'_>,
    into: &'static str,
    columns: usize,
    rows: Vec<Vec<Arg>>,
) -> Result<(), Error> {
    let mut rows = rows.into_iter();
    loop {
        let left = rows.len();
        let fits = |size: &usize| *size <= left && size.saturating_mul(columns) <= VALUES;
        let Some(size) = ROWS.into_iter().find(fits) else { return Ok(()) };
        // SQLite looks a numbered argument up in a list, one after the other; in a statement with a thousand of them that takes longer than
        // inserting. So here they have no numbers.
        let tuple = |at: usize| match db {
            Db::Sqlite(_) => format!("({})", vec!["?"; columns].join(",")),
            Db::Postgres(_) => format!("({})", places(at.saturating_mul(columns).saturating_add(1), columns)),
        };
        let tuples: Vec<String> = (0..size).map(tuple).collect();
        let sql = format!("INSERT INTO {into} VALUES {}", tuples.join(","));
        let args = rows.by_ref().take(size).flatten().collect();
        db.execute(AssertSqlSafe(sql), args).await?;
    }
}

/// One version of an object in one collection.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) seq: i64,
    pub(super) collection: i64,
    pub(super) version: i64,
    pub(super) own: i64,
    pub(super) policy: i64,
    pub(super) newest: bool,
    pub(super) oldest: bool,
    pub(super) digest: Vec<u8>,
    /// What it refers to, once that is known.
    pub(super) references: Option<Vec<ObjectId>>,
    /// What the database has: policy, newest, oldest. Nothing of a version that is not there yet.
    stored: Option<(i64, bool, bool)>,
}

impl Version {
    /// One that is not in the database yet. Its policy and its flags come later.
    pub(super) fn new(
        seq: i64,
        collection: i64,
        version: i64,
        own: i64,
        digest: Vec<u8>,
        references: Vec<ObjectId>,
    ) -> Self {
        Self {
            seq,
            collection,
            version,
            own,
            policy: own,
            newest: false,
            oldest: false,
            digest,
            references: Some(references),
            stored: None,
        }
    }

    fn of(row: &Row) -> Result<Self, Error> {
        let (policy, newest, oldest) = (row.int(5)?, row.flag(6)?, row.flag(7)?);
        Ok(Self {
            seq: row.int(1)?,
            collection: row.int(2)?,
            version: row.int(3)?,
            own: row.int(4)?,
            policy,
            newest,
            oldest,
            digest: row.blob(8)?,
            references: None,
            stored: Some((policy, newest, oldest)),
        })
    }
}

/// An object: all its versions in all collections.
#[derive(Debug, Default)]
pub(super) struct Thing {
    pub(super) versions: Vec<Version>,
    /// The policies that its versions had, as the tally writes them.
    before: String,
}

impl Thing {
    /// The policies of its versions, as the tally writes them.
    pub(super) fn policies(&self) -> String {
        let keys: BTreeSet<i64> = self.versions.iter().map(|version| version.policy).collect();
        keys.into_iter().map(|key| key.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Which versions are the newest and the oldest of their collections.
    pub(super) fn edges(&mut self) {
        let mut edges = BTreeMap::<i64, (i64, i64)>::new();
        for version in &self.versions {
            let edge = edges.entry(version.collection).or_insert((version.version, version.version));
            *edge = (edge.0.min(version.version), edge.1.max(version.version));
        }
        for version in &mut self.versions {
            let edge = edges.get(&version.collection);
            version.oldest = edge.is_some_and(|(oldest, _)| *oldest == version.version);
            version.newest = edge.is_some_and(|(_, newest)| *newest == version.version);
        }
    }
}

/// What an object adds to those that refer to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) policies: Vec<i64>,
    pub(super) references: Vec<ObjectId>,
}

/// The objects that a write deals with.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) things: HashMap<ObjectId, Thing>,
    pub(super) nodes: HashMap<ObjectId, Node>,
    /// The policies that are several at once.
    pub(super) joined: HashMap<BTreeSet<i64>, i64>,
}

impl Work {
    /// Loads all versions of these objects.
    pub(super) async fn load(
        &mut self,
        writing: &mut Writing,
        ids: impl IntoIterator<Item = ObjectId>,
    ) -> Result<(), Error> {
        let ids: HashSet<ObjectId> = ids.into_iter().filter(|id| !self.things.contains_key(id)).collect();
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        for chunk in ids.chunks(LIST) {
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT id, seq, collection, version, own, policy, newest, oldest, digest FROM object WHERE id IN ({})",
                places(1, size)
            );
            for id in chunk {
                self.things.insert(id.clone(), Thing::default());
            }
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                let thing = self.things.entry(row.parsed(0)?).or_default();
                thing.versions.push(Version::of(&row)?);
            }
            for id in chunk {
                if let Some(thing) = self.things.get_mut(id) {
                    thing.before = thing.policies();
                }
            }
        }
        Ok(())
    }

    /// Loads what the chosen versions of loaded objects refer to, as far as it is not known.
    pub(super) async fn load_references(
        &mut self,
        writing: &mut Writing,
        ids: &[ObjectId],
        choose: impl Fn(&Version) -> bool,
    ) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for id in ids {
            for version in self.things.get(id).into_iter().flat_map(|thing| &thing.versions) {
                if version.references.is_none() && choose(version) {
                    wanted.push((version.seq, id.clone()));
                }
            }
        }
        let mut found = HashMap::<i64, Vec<ObjectId>>::new();
        for chunk in wanted.chunks(LIST) {
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter().map(|(seq, _)| *seq), size);
            let sql = format!("SELECT source, target FROM reference WHERE source IN ({})", places(1, size));
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                found.entry(row.int(0)?).or_default().push(row.parsed(1)?);
            }
        }
        for (seq, id) in wanted {
            let versions = self.things.get_mut(&id).map(|thing| &mut thing.versions);
            for version in versions.into_iter().flatten().filter(|version| version.seq == seq) {
                let mut references = found.remove(&seq).unwrap_or_default();
                references.sort();
                version.references = Some(references);
            }
        }
        Ok(())
    }

    /// Loads what these objects add to those that refer to them. Changes to objects come before this.
    pub(super) async fn load_nodes(&mut self, writing: &mut Writing, ids: &[ObjectId]) -> Result<(), Error> {
        let ids: BTreeSet<&ObjectId> = ids.iter().filter(|id| !self.nodes.contains_key(*id)).collect();
        let ids: Vec<ObjectId> = ids.into_iter().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.load(writing, ids.iter().cloned()).await?;
        self.load_references(writing, &ids, |version| version.newest).await?;
        // Where all versions in a collection were removed, the last tombstone there says how strict they were.
        let mut tombstones = HashMap::<ObjectId, BTreeMap<i64, i64>>::new();
        for chunk in ids.chunks(LIST) {
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT id, collection, policy FROM tombstone WHERE id IN ({}) ORDER BY version, seq",
                places(1, size)
            );
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                tombstones.entry(row.parsed(0)?).or_default().insert(row.int(1)?, row.int(2)?);
            }
        }
        for id in ids {
            let mut node = Node::default();
            let mut gone = tombstones.remove(&id).unwrap_or_default();
            for version in self.things.get(&id).into_iter().flat_map(|thing| &thing.versions) {
                gone.remove(&version.collection);
                if version.newest {
                    node.policies.push(version.own);
                    if let Some(may_read) = writing.collection_may_read(version.collection) {
                        node.policies.push(writing.intern(&may_read).await?);
                    }
                    node.references.extend(version.references.iter().flatten().cloned());
                }
            }
            node.policies.extend(gone.into_values());
            self.nodes.insert(id, node);
        }
        Ok(())
    }

    /// Writes down what changed of versions that the database has, and the tally.
    pub(super) async fn flush(&mut self, writing: &mut Writing) -> Result<(), Error> {
        let mut policies = BTreeMap::<i64, Vec<i64>>::new();
        let mut newest = BTreeMap::<bool, Vec<i64>>::new();
        let mut oldest = BTreeMap::<bool, Vec<i64>>::new();
        let mut tally = BTreeMap::<(String, String), i64>::new();
        for (id, thing) in &mut self.things {
            for version in &mut thing.versions {
                let now = (version.policy, version.newest, version.oldest);
                let Some(stored) = version.stored.replace(now) else { continue };
                if stored.0 != now.0 {
                    policies.entry(now.0).or_default().push(version.seq);
                }
                if stored.1 != now.1 {
                    newest.entry(now.1).or_default().push(version.seq);
                }
                if stored.2 != now.2 {
                    oldest.entry(now.2).or_default().push(version.seq);
                }
            }
            let after = thing.policies();
            if after != thing.before {
                for (policies, change) in
                    [(std::mem::replace(&mut thing.before, after.clone()), -1), (after, 1)]
                {
                    if !policies.is_empty() {
                        let sum = tally.entry((id.kind().to_owned(), policies)).or_default();
                        *sum = i64::saturating_add(*sum, change);
                    }
                }
            }
        }
        for (policy, seqs) in policies {
            update(writing, "UPDATE object SET policy = $1 WHERE seq IN", policy, &seqs).await?;
        }
        for (flag, seqs) in newest {
            update(writing, "UPDATE object SET newest = $1 WHERE seq IN", flag.into(), &seqs).await?;
        }
        for (flag, seqs) in oldest {
            update(writing, "UPDATE object SET oldest = $1 WHERE seq IN", flag.into(), &seqs).await?;
        }
        let mut less = false;
        for ((kind, policies), change) in tally {
            less |= change < 0;
            let sql = "INSERT INTO tally (kind, policies, number) VALUES ($1, $2, $3) \
                       ON CONFLICT (kind, policies) DO UPDATE SET number = tally.number + $3";
            writing.execute(sql, args![kind, policies, change]).await?;
        }
        if less {
            writing.execute("DELETE FROM tally WHERE number = 0", args![]).await?;
        }
        Ok(())
    }
}

async fn update(writing: &mut Writing, sql: &'static str, value: i64, seqs: &[i64]) -> Result<(), Error> {
    for chunk in seqs.chunks(LIST) {
        let size = padded(chunk.len());
        let mut args = args![value];
        pad(&mut args, chunk.iter().copied(), size);
        writing.execute(AssertSqlSafe(format!("{sql} ({})", places(2, size))), args).await?;
    }
    Ok(())
}
