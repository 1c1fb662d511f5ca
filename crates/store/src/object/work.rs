//! What a write has loaded of objects, what it makes of them, and how that is written down at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ostrom_core::{ObjectId, OrgId, PersonId};
use sqlx::AssertSqlSafe;

use super::line;
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

/// What somebody says about an object when referring to it: the organisation's own versions count. Of what many share, each for itself, only the
/// very person's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Whose {
    pub(super) id: ObjectId,
    pub(super) owner: OrgId,
    pub(super) person: Option<PersonId>,
}

impl Whose {
    pub(super) fn counts(&self, line: i64, owner: OrgId, person: Option<PersonId>) -> bool {
        self.owner == owner && (line != line::SHARED || self.person == person)
    }
}

/// One version of an object in one collection.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) seq: i64,
    pub(super) collection: i64,
    pub(super) version: i64,
    pub(super) own: i64,
    /// What held for others' objects that it refers to when it came; 0 for nothing.
    pub(super) given: i64,
    pub(super) policy: i64,
    pub(super) newest: bool,
    pub(super) oldest: bool,
    /// See [`line`].
    pub(super) line: i64,
    pub(super) owner: OrgId,
    pub(super) person: Option<PersonId>,
    /// Whether it came from a peer: then nobody here wrote it.
    pub(super) pulled: bool,
    pub(super) digest: Vec<u8>,
    /// What it refers to, once that is known.
    pub(super) references: Option<Vec<ObjectId>>,
    /// What the database has: policy, newest, oldest, line. Nothing of a version that is not there yet.
    pub(super) stored: Option<(i64, bool, bool, i64)>,
}

impl Version {
    fn of(row: &Row) -> Result<Self, Error> {
        let (policy, newest, oldest, line) = (row.int(5)?, row.flag(6)?, row.flag(7)?, row.int(9)?);
        Ok(Self {
            seq: row.int(1)?,
            collection: row.int(2)?,
            version: row.int(3)?,
            own: row.int(4)?,
            given: row.int(10)?,
            policy,
            newest,
            oldest,
            line,
            owner: row.parsed(11)?,
            person: row.maybe_parsed(12)?,
            pulled: row.maybe_text(13)?.is_some(),
            digest: row.blob(8)?,
            references: None,
            stored: Some((policy, newest, oldest, line)),
        })
    }

    /// What it counts, referring to something.
    pub(super) fn refers(&self, id: &ObjectId) -> Whose {
        Whose { id: id.clone(), owner: self.owner, person: self.person }
    }

    /// Where it stands among the lines of its object.
    pub(super) const fn place(&self) -> i64 {
        if self.line > 0 { self.line } else { self.seq }
    }
}

/// What is left of a version that was removed.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) collection: i64,
    pub(super) policy: i64,
    pub(super) line: i64,
    pub(super) owner: OrgId,
    pub(super) person: Option<PersonId>,
}

/// An object: all its versions in all collections.
#[derive(Debug, Default)]
pub(super) struct Thing {
    pub(super) versions: Vec<Version>,
    /// What was removed, the earliest version first, once that is known.
    pub(super) gone: Option<Vec<Gone>>,
    /// The policies that its versions had, as the tally writes them.
    before: String,
}

impl Thing {
    /// The policies of its versions, as the tally writes them.
    pub(super) fn policies(&self) -> String {
        let keys: BTreeSet<i64> = self.versions.iter().map(|version| version.policy).collect();
        keys.into_iter().map(|key| key.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Which versions are certainly the newest and the oldest of their collections, whoever looks; and whether several organisations have the id.
    pub(super) fn edges(&mut self) {
        let own = self.versions.iter().filter(|version| version.line != line::SHARED);
        let contested = own.map(|version| version.owner).collect::<BTreeSet<_>>().len() > 1;
        let mut edges = BTreeMap::<i64, BTreeMap<i64, usize>>::new();
        for version in &self.versions {
            let count = edges.entry(version.collection).or_default().entry(version.version).or_default();
            *count = count.saturating_add(1);
        }
        for version in &mut self.versions {
            if contested && version.line == line::ALONE {
                version.line = version.seq;
            }
            let edge = edges.get(&version.collection);
            let is = |edge: Option<(&i64, &usize)>| !contested && edge == Some((&version.version, &1));
            version.oldest = is(edge.and_then(BTreeMap::first_key_value));
            version.newest = is(edge.and_then(BTreeMap::last_key_value));
        }
    }

    /// The versions that count for those that refer to the object so: the newest in each collection.
    pub(super) fn newest_of(&self, whose: &Whose) -> impl Iterator<Item = &Version> {
        let mut newest = BTreeMap::<i64, &Version>::new();
        for version in &self.versions {
            if whose.counts(version.line, version.owner, version.person) {
                let last = newest.entry(version.collection).or_insert(version);
                if (version.version, version.seq) > (last.version, last.seq) {
                    *last = version;
                }
            }
        }
        newest.into_values()
    }

    /// Whether a version counts for those of its organisation that refer to the object.
    pub(super) fn is_counted(&self, id: &ObjectId, version: &Version) -> bool {
        self.newest_of(&version.refers(id)).any(|newest| newest.seq == version.seq)
    }
}

/// What an object adds to those that refer to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) policies: Vec<i64>,
    pub(super) references: Vec<Whose>,
}

/// What a rule is made of: policies for all, those for whoever wrote it, and who that is.
pub(super) type Joined = (BTreeSet<i64>, BTreeSet<i64>, Option<(OrgId, Option<PersonId>)>);

/// The objects that a write deals with.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) things: HashMap<ObjectId, Thing>,
    pub(super) nodes: HashMap<Whose, Node>,
    /// The numbers of rules: for these policies of all, for these of whoever wrote it.
    pub(super) joined: HashMap<Joined, i64>,
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
                "SELECT id, seq, collection, version, own, policy, newest, oldest, digest, line, given, owner, person, peer \
                 FROM object WHERE id IN ({})",
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

    /// Loads what was removed of loaded objects, as far as it is not known.
    pub(super) async fn load_gone(&mut self, writing: &mut Writing, ids: &[ObjectId]) -> Result<(), Error> {
        let unknown = |id: &&ObjectId| self.things.get(*id).is_some_and(|thing| thing.gone.is_none());
        let ids: Vec<ObjectId> = ids.iter().filter(unknown).cloned().collect();
        for chunk in ids.chunks(LIST) {
            let size = padded(chunk.len());
            let mut args = args![];
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT id, collection, policy, line, owner, person FROM tombstone WHERE id IN ({}) ORDER BY version, seq",
                places(1, size)
            );
            let mut found = HashMap::<ObjectId, Vec<Gone>>::new();
            for row in writing.fetch(AssertSqlSafe(sql), args).await? {
                found.entry(row.parsed(0)?).or_default().push(Gone {
                    collection: row.int(1)?,
                    policy: row.int(2)?,
                    line: row.int(3)?,
                    owner: row.parsed(4)?,
                    person: row.maybe_parsed(5)?,
                });
            }
            for id in chunk {
                if let Some(thing) = self.things.get_mut(id) {
                    thing.gone = Some(found.remove(id).unwrap_or_default());
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
        wanted.sort();
        wanted.dedup();
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

    /// Loads what objects add to those that refer to them so. Changes to objects come before this.
    pub(super) async fn load_nodes(&mut self, writing: &mut Writing, whose: &[Whose]) -> Result<(), Error> {
        let new: BTreeSet<&Whose> = whose.iter().filter(|whose| !self.nodes.contains_key(*whose)).collect();
        let new: Vec<Whose> = new.into_iter().cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: BTreeSet<ObjectId> = new.iter().map(|whose| whose.id.clone()).collect();
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        self.load(writing, ids.iter().cloned()).await?;
        self.load_gone(writing, &ids).await?;
        let mut counted = HashSet::new();
        for whose in &new {
            let thing = self.things.get(&whose.id);
            counted
                .extend(thing.into_iter().flat_map(|thing| thing.newest_of(whose)).map(|newest| newest.seq));
        }
        self.load_references(writing, &ids, |version| counted.contains(&version.seq)).await?;
        for whose in new {
            let mut node = Node::default();
            if let Some(thing) = self.things.get(&whose.id) {
                // Where all versions in a collection were removed, the last tombstone there says how strict they were.
                let gone = thing.gone.iter().flatten();
                let gone = gone.filter(|gone| whose.counts(gone.line, gone.owner, gone.person));
                let mut gone: BTreeMap<i64, i64> = gone.map(|gone| (gone.collection, gone.policy)).collect();
                for version in thing.newest_of(&whose) {
                    gone.remove(&version.collection);
                    node.policies.push(version.own);
                    node.policies.extend((version.given != 0).then_some(version.given));
                    if let Some(may_read) = writing.collection_may_read(version.collection) {
                        node.policies.push(writing.intern(&may_read).await?);
                    }
                    let references = version.references.iter().flatten();
                    node.references.extend(references.map(|id| version.refers(id)));
                }
                node.policies.extend(gone.into_values());
            }
            self.nodes.insert(whose, node);
        }
        Ok(())
    }

    /// Writes down what changed of versions that the database has, and the tally.
    pub(super) async fn flush(&mut self, writing: &mut Writing) -> Result<(), Error> {
        let mut policies = BTreeMap::<i64, Vec<i64>>::new();
        let mut newest = BTreeMap::<bool, Vec<i64>>::new();
        let mut oldest = BTreeMap::<bool, Vec<i64>>::new();
        let mut lines = Vec::new();
        let mut tally = BTreeMap::<(String, String), i64>::new();
        for (id, thing) in &mut self.things {
            for version in &mut thing.versions {
                let now = (version.policy, version.newest, version.oldest, version.line);
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
                if stored.3 != now.3 {
                    lines.push(version.seq);
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
        // It is its number at the time when another's came.
        update(writing, "UPDATE object SET line = seq + $1 WHERE seq IN", 0, &lines).await?;
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
