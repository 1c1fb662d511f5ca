//! Reading objects: every query here asks whether the reader may see what it gives.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use ostrom_core::{Digest, ObjectId, Timestamp};
use sqlx::AssertSqlSafe;

use super::line::{same_line, shown};
use super::page::{fitting, may_be_large};
use super::search::SAMPLE;
use super::sparse::{Among, CHUNK};
use super::{Filter, Head, Key, Logged, Object, Page, Removal};
use crate::config::Lookup;
use crate::db::{Arg, Row, args, pad, padded, places};
use crate::policy::seen;
use crate::{Error, Reading, Store};

/// No later version of `o`, in any collection, may be seen.
macro_rules! last {
    ($view:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM object l WHERE l.id = o.id \
             AND (l.version > o.version OR (l.version = o.version AND l.seq > o.seq)) AND ",
            same_line!(),
            " AND ",
            seen!("l.policy", $view),
            ")"
        )
    };
}

/// The columns of a head, from place 0 on.
macro_rules! head {
    () => {
        "o.added, o.id, o.version, o.collection, o.spec_version, o.owner, o.person, o.peer, o.title, o.digest, o.leaf, o.salt, o.aside"
    };
}

/// The place after the columns of a head.
const AFTER_HEAD: usize = 13;

/// A digest.
pub(crate) fn digest(row: &Row, at: usize) -> Result<Digest, Error> {
    let bytes = row.blob(at)?;
    Ok(Digest::from_bytes(bytes.try_into().map_err(|_| Error::damaged("a digest has not 32 bytes"))?))
}

fn key(store: &Store, row: &Row) -> Result<Key, Error> {
    Ok(Key {
        added: row.time(0)?,
        id: row.parsed(1)?,
        version: row.time(2)?,
        collection: store.collection_id(row.int(3)?)?,
    })
}

fn head_of(store: &Store, row: &Row) -> Result<Head, Error> {
    Ok(Head {
        key: key(store, row)?,
        spec_version: row.text(4)?,
        owner: row.parsed(5)?,
        person: row.maybe_parsed(6)?,
        peer: row.maybe_parsed(7)?,
        title: row.text(8)?,
        digest: digest(row, 9)?,
        leaf: row.maybe_int(10)?.and_then(|leaf| u64::try_from(leaf).ok()),
        salt: row.maybe_blob(11)?,
        aside: row.maybe_text(12)?,
    })
}

fn object_of(store: &Store, row: &Row) -> Result<Object, Error> {
    Ok(Object {
        head: head_of(store, row)?,
        own: store.policy(row.int(AFTER_HEAD)?)?,
        body: Bytes::from(row.text(AFTER_HEAD.saturating_add(1))?),
    })
}

/// Cuts a page to its limit. One row more than that was asked for: it says whether there are more.
///
/// A page ends between keys, since the next one goes on after a key: what colleagues have put under one id and version, not seeing each other's, and
/// what was released at one time, comes in one page. (If that alone is more than fits, the row too many comes, too.)
pub(super) fn cut<T>(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> &Key) -> Page<T> {
    if limit == 0 {
        return Page::empty();
    }
    let Some(over) = rows.get(limit).map(&key) else { return Page { rows, next: None } };
    let whole = rows.iter().take(limit).rposition(|row| key(row) != over).map(|last| last.saturating_add(1));
    rows.truncate(whole.unwrap_or_else(|| limit.saturating_add(1)));
    let next = rows.last().map(|row| key(row).clone());
    Page { rows, next }
}

/// The number of the last object that stands at or before this place.
pub(super) async fn position(store: &Store, place: &Key) -> Result<i64, Error> {
    let Some(collection) = store.collections_known().key(place.collection) else {
        return before_batch(store, place.added).await;
    };
    // Not by ORDER BY and LIMIT: PostgreSQL would walk through all objects for that.
    let exact =
        "SELECT max(seq) FROM object WHERE id = $1 AND collection = $2 AND version = $3 AND added = $4";
    let row = store.first(exact, args![&place.id, collection, place.version, place.added]).await?;
    if let Some(seq) = row.map_or(Ok(None), |row| row.maybe_int(0))? {
        return Ok(seq);
    }
    // It was removed meanwhile, or the place was made up. The objects of a batch are numbered in the order of pages.
    let from = before_batch(store, place.added).await?;
    let to = after_batch(store, place.added).await?;
    let sql = "SELECT o.seq FROM object o JOIN collection c ON c.key = o.collection WHERE o.seq > $1 AND o.seq < $2 \
               AND (o.id < $3 OR (o.id = $3 AND (o.version < $4 OR (o.version = $4 AND c.id <= $5)))) ORDER BY o.seq DESC LIMIT 1";
    let row = store.first(sql, args![from, to, &place.id, place.version, place.collection]).await?;
    row.map_or(Ok(from), |row| row.int(0))
}

/// The number before the first object that was added at this time or later.
async fn before_batch(store: &Store, added: Timestamp) -> Result<i64, Error> {
    let sql = "SELECT first_seq FROM batch WHERE added >= $1 ORDER BY added LIMIT 1";
    let row = store.first(sql, args![added]).await?;
    row.map_or(Ok(i64::MAX), |row| Ok(row.int(0)?.saturating_sub(1)))
}

/// The number of the first object that was added after this time.
pub(super) async fn after_batch(store: &Store, added: Timestamp) -> Result<i64, Error> {
    let sql = "SELECT first_seq FROM batch WHERE added > $1 ORDER BY added LIMIT 1";
    let row = store.first(sql, args![added]).await?;
    row.map_or(Ok(i64::MAX), |row| row.int(0))
}

/// That a column has one of these values, if there are any.
pub(super) fn list_clause<T: Clone>(
    column: &str,
    members: impl ExactSizeIterator<Item = T>,
    sql: &mut String,
    args: &mut Vec<Arg>,
) where
    Arg: std::convert::From<T>,
{
    if members.len() > 0 {
        let size = padded(members.len());
        sql.push_str(&format!(" AND {column} IN ({})", places(args.len().saturating_add(1), size)));
        pad(args, members, size);
    }
}

/// Where heads come from: tables with an object `o`, the column that orders them, what else must hold, and the arguments for that, from the fourth on.
pub(super) struct From {
    pub(super) tables: &'static str,
    pub(super) place: &'static str,
    pub(super) condition: String,
    pub(super) args: Vec<Arg>,
    /// Whether there may be many of them.
    pub(super) common: bool,
}

impl From {
    fn everything() -> Self {
        Self { tables: "object o", place: "o.seq", condition: String::new(), args: args![], common: true }
    }
}

fn few(kinds: usize) -> Result<(), Error> {
    if kinds > Filter::MAX {
        return Err(Error::Refused(format!("at most {} types", Filter::MAX)));
    }
    Ok(())
}

impl Reading {
    /// The last version of an object that the reader may see, in any collection; or exactly this version.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn get(&self, id: &ObjectId, version: Option<Timestamp>) -> Result<Option<Object>, Error> {
        let sql = concat!(
            "SELECT ",
            head!(),
            ", o.own, o.body FROM object o WHERE o.id = $1 AND o.version >= $2 AND o.version <= $3 AND ",
            shown!("$4"),
            " ORDER BY o.version DESC, o.seq DESC LIMIT 1"
        );
        let (low, high) = (version.unwrap_or(Timestamp::MIN), version.unwrap_or(Timestamp::MAX));
        let row = self.store().first(sql, args![id, low, high, self.viewer()]).await?;
        row.map(|row| object_of(self.store(), &row)).transpose()
    }

    /// The last visible versions of these objects, in any collection, in the order asked for; what the reader may not see is left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn objects(&self, ids: &[ObjectId]) -> Result<Vec<Object>, Error> {
        let columns = concat!(head!(), ", o.own, o.body");
        self.last_of(ids, columns, object_of, |object| &object.head.key.id).await
    }

    /// The same as [`objects`](Self::objects), without the bodies.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn heads(&self, ids: &[ObjectId]) -> Result<Vec<Head>, Error> {
        self.last_of(ids, head!(), head_of, |head| &head.key.id).await
    }

    async fn last_of<T>(
        &self,
        ids: &[ObjectId],
        columns: &'static str,
        read: fn(&Store, &Row) -> Result<T, Error>,
        id: fn(&T) -> &ObjectId,
    ) -> Result<Vec<T>, Error> {
        let mut found = HashMap::new();
        for chunk in ids.chunks(256) {
            let mut args = args![self.viewer()];
            let size = padded(chunk.len());
            pad(&mut args, chunk.iter(), size);
            let sql = format!(
                "SELECT {columns} FROM object o WHERE o.id IN ({}) AND {} AND {}",
                places(2, size),
                shown!("$1"),
                last!("$1")
            );
            for row in self.fetch(AssertSqlSafe(sql), args).await? {
                let row = read(self.store(), &row)?;
                found.insert(id(&row).clone(), row);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// All versions of an object that the reader may see, in all collections; the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn history(&self, id: &ObjectId) -> Result<Vec<Head>, Error> {
        let sql = concat!(
            "SELECT ",
            head!(),
            " FROM object o WHERE o.id = $1 AND ",
            shown!("$2"),
            " ORDER BY o.version DESC, o.seq DESC"
        );
        let rows = self.fetch(sql, args![id, self.viewer()]).await?;
        rows.iter().map(|row| head_of(self.store(), row)).collect()
    }

    /// Objects of these types (all, if none is named), the one that was added last first: at most `limit` after the place `after`. Each once, in its last visible version.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn list(&self, kinds: &[&str], after: Option<&Key>, limit: usize) -> Result<Page<Head>, Error> {
        let kinds: BTreeSet<&str> = kinds.iter().copied().collect();
        if kinds.is_empty() {
            return self.newest_first(From::everything(), &[], after, limit).await;
        }
        few(kinds.len())?;
        // Each type by itself has an index to go by.
        let mut found = Vec::new();
        let mut more = false;
        for kind in &kinds {
            let page = self.newest_first(From::everything(), &[kind], after, limit).await?;
            more |= page.more();
            found.extend(page.rows);
        }
        found.sort_by(|a, b| b.key.cmp(&a.key));
        let limit = self.most(limit);
        more |= found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|head| head.key.clone());
        Ok(Page { rows: found, next })
    }

    /// Heads of the last visible versions of objects, the one that was added last first: at most `limit` after the place `after`; only these types, if any is named.
    pub(super) async fn newest_first(
        &self,
        from: From,
        kinds: &[&str],
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<Head>, Error> {
        few(kinds.len())?;
        let end = match after {
            Some(after) => self.upper(after).await?,
            None => i64::MAX,
        };
        let most = self.limit(limit).saturating_add(1);
        let numbers = match from.common || self.store().config().lookup == Lookup::ByMark {
            true => self.little(Among { before: end, kinds, ..Among::default() }).await?,
            false => None,
        };
        let mut rows = Vec::new();
        match numbers {
            None => self.heads_of(&from, kinds, end, most, None, &mut rows).await?,
            Some(numbers) => {
                for chunk in numbers.rchunks(CHUNK) {
                    let left = most.saturating_sub(i64::try_from(rows.len()).unwrap_or(i64::MAX));
                    if left > 0 {
                        self.heads_of(&from, kinds, end, left, Some(chunk), &mut rows).await?;
                    }
                }
            }
        }
        Ok(cut(rows, self.most(limit), |head: &Head| &head.key))
    }

    /// The same, before the object with this number; only those with these numbers, if any are given.
    async fn heads_of(
        &self,
        from: &From,
        kinds: &[&str],
        end: i64,
        most: i64,
        numbers: Option<&[i64]>,
        found: &mut Vec<Head>,
    ) -> Result<(), Error> {
        let From { tables, place, condition, args: more, .. } = from;
        let mut args = args![end, self.viewer(), most];
        args.extend(more.iter().cloned());
        let mut sql = format!(
            "SELECT {} FROM {tables} WHERE {place} < $1 AND {} AND {}{condition}",
            head!(),
            shown!("$2"),
            last!("$2")
        );
        list_clause("o.kind", kinds.iter().copied(), &mut sql, &mut args);
        if let Some(numbers) = numbers {
            list_clause(place, numbers.iter().copied(), &mut sql, &mut args);
        }
        sql.push_str(&format!(" ORDER BY {place} DESC LIMIT $3 + 0"));
        // Nothing but fixed texts is in it.
        for row in self.fetch(AssertSqlSafe(sql), args).await? {
            found.push(head_of(self.store(), &row)?);
        }
        Ok(())
    }

    /// The number of the first object at or after this place: where a list that goes backwards goes on before.
    pub(super) async fn upper(&self, place: &Key) -> Result<i64, Error> {
        let exact = "SELECT min(o.seq) FROM object o JOIN collection c ON c.key = o.collection \
                     WHERE o.id = $1 AND o.version = $2 AND o.added = $3 AND c.id = $4";
        let args = args![&place.id, place.version, place.added, place.collection];
        let row = self.store().first(exact, args).await?;
        match row.map_or(Ok(None), |row| row.maybe_int(0))? {
            Some(seq) => Ok(seq),
            None => Ok(position(self.store(), place).await?.saturating_add(1)),
        }
    }

    /// All versions in all collections, the one that was added first first: at most `limit` after the place `after`; fewer, if their
    /// bodies are large (64 MiB). This is what another node pulls.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn changes(&self, after: Option<&Key>, limit: usize) -> Result<Page<Object>, Error> {
        let start = match after {
            Some(after) => position(self.store(), after).await?,
            None => 0,
        };
        let mut most = self.limit(limit).saturating_add(1);
        let numbers = self.little(Among { after: start, ..Among::default() }).await?;
        let chunks: Vec<Option<&[i64]>> = match &numbers {
            Some(numbers) => numbers.chunks(CHUNK).map(Some).collect(),
            None => vec![None],
        };
        let mut fit = self.most(limit);
        let largest = self.store().collections_known().largest_of_all();
        if may_be_large(largest, most) {
            let sizes = "CAST(octet_length(o.body) AS BIGINT)";
            let rows = self.changed(sizes, start, most, &chunks).await?;
            let sizes = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
            fit = fitting(&sizes, fit);
            most = i64::try_from(fit).unwrap_or(most).saturating_add(1);
        }
        let rows = self.changed(concat!(head!(), ", o.own, o.body"), start, most, &chunks).await?;
        let rows = rows.iter().map(|row| object_of(self.store(), row)).collect::<Result<Vec<Object>, _>>()?;
        Ok(cut(rows, fit, |object: &Object| &object.head.key))
    }

    /// Columns of versions after the one with this number, in order: those with the numbers of one of these chunks after the other.
    async fn changed(
        &self,
        columns: &str,
        start: i64,
        most: i64,
        chunks: &[Option<&[i64]>],
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for chunk in chunks {
            let left = most.saturating_sub(i64::try_from(rows.len()).unwrap_or(i64::MAX));
            if left <= 0 {
                break;
            }
            let mut args = args![start, self.viewer(), left];
            let mut sql = format!("SELECT {columns} FROM object o WHERE o.seq > $1 AND {}", shown!("$2"));
            if let Some(numbers) = chunk {
                list_clause("o.seq", numbers.iter().copied(), &mut sql, &mut args);
            }
            sql.push_str(" ORDER BY o.seq LIMIT $3 + 0");
            // Nothing but fixed texts is in it.
            rows.extend(self.fetch(AssertSqlSafe(sql), args).await?);
        }
        Ok(rows)
    }

    /// What was removed that the reader could see, the first first: at most `limit` after the place `after`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn removals(&self, after: Option<&Key>, limit: usize) -> Result<Page<Removal>, Error> {
        let sql = concat!(
            "SELECT o.removed, o.id, o.version, o.collection, o.why, o.leaf, o.salt, o.origin FROM tombstone o JOIN collection c ON c.key = o.collection \
             WHERE o.removed >= $1 AND (o.removed > $1 OR o.id > $2 OR (o.id = $2 AND (o.version > $3 OR (o.version = $3 AND c.id > $4)))) AND ",
            seen!("o.policy", "$5"),
            " ORDER BY o.removed, o.id, o.version, c.id LIMIT $6 + 0"
        );
        let most = self.limit(limit).saturating_add(1);
        let args = match after {
            Some(key) => args![key.added, &key.id, key.version, key.collection, self.viewer(), most],
            None => args![i64::MIN, "", i64::MIN, "", self.viewer(), most],
        };
        let rows = self.fetch(sql, args).await?;
        let removal = |row: &Row| {
            let leaf = row.maybe_int(5)?.and_then(|leaf| u64::try_from(leaf).ok());
            let origin = row.maybe_text(7)?;
            let logged = leaf.zip(row.maybe_blob(6)?).map(|(leaf, salt)| Logged { leaf, salt, origin });
            Ok::<_, Error>(Removal { key: key(self.store(), row)?, why: row.maybe_text(4)?, logged })
        };
        let rows = rows.iter().map(removal).collect::<Result<_, _>>()?;
        Ok(cut(rows, self.most(limit), |removal: &Removal| &removal.key))
    }

    /// How many objects of each type the reader may see in some version.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut counts = BTreeMap::<String, u64>::new();
        for (kind, policies, number) in self.tally().await? {
            if policies.into_iter().any(|key| self.sees(key)) {
                let sum = counts.entry(kind).or_default();
                *sum = sum.saturating_add(number);
            }
        }
        Ok(counts)
    }

    /// How many objects of a type have versions with just these policies, whoever may read them.
    pub(super) async fn tally(&self) -> Result<Vec<(String, Vec<i64>, u64)>, Error> {
        let rows = self.fetch("SELECT kind, policies, number FROM tally WHERE number > 0", args![]).await?;
        let keys = |policies: String| policies.split(',').filter_map(|key| key.parse().ok()).collect();
        let number = |row: &Row| Ok::<_, Error>(u64::try_from(row.int(2)?).unwrap_or_default());
        rows.iter().map(|row| Ok((row.text(0)?, keys(row.text(1)?), number(row)?))).collect()
    }

    /// What the last visible version of an object refers to, among what the reader may see, in the order of ids.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refers_to(&self, id: &ObjectId) -> Result<Vec<Head>, Error> {
        let last = concat!(
            "SELECT o.seq FROM object o WHERE o.id = $1 AND ",
            shown!("$2"),
            " ORDER BY o.version DESC, o.seq DESC LIMIT 1"
        );
        let Some(row) = self.store().first(last, args![id, self.viewer()]).await? else {
            return Ok(Vec::new());
        };
        let sql = concat!(
            "SELECT ",
            head!(),
            " FROM reference r CROSS JOIN object o WHERE r.source = $1 AND o.id = r.target AND ",
            shown!("$2"),
            " AND ",
            last!("$2"),
            " ORDER BY o.id"
        );
        let rows = self.fetch(sql, args![row.int(0)?, self.viewer()]).await?;
        rows.iter().map(|row| head_of(self.store(), row)).collect()
    }

    /// What refers to an object in its last visible version, among what the reader may see, the one that was added last first: at most `limit`
    /// after the place `after`; only these types, if any is named.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn referred_by(
        &self,
        id: &ObjectId,
        kinds: &[&str],
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<Head>, Error> {
        let condition = " AND r.target = $4 AND o.seq = r.source".to_owned();
        let tables = "reference r CROSS JOIN object o";
        let sample =
            "SELECT count(*) FROM (SELECT 1 FROM reference WHERE target = $1 LIMIT $2 + 0) AS sample";
        let rows = self.fetch(sample, args![id, SAMPLE]).await?;
        let common = rows.first().map_or(Ok(0), |row| row.int(0))? >= SAMPLE;
        let from = From { tables, place: "r.source", condition, args: args![id], common };
        self.newest_first(from, kinds, after, limit).await
    }

    pub(super) fn most(&self, limit: usize) -> usize {
        usize::try_from(self.limit(limit)).unwrap_or(0)
    }
}
