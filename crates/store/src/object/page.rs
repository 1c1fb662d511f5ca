//! Pages of a collection.
//!
//! A page comes from the database as one text, in which the lengths of the bodies say where each ends: the drivers' price for a row is
//! several times what a database asks for finding it.

use std::collections::BTreeSet;

use bytes::Bytes;
use ostrom_core::{CollectionId, ObjectId, Timestamp};
use sqlx::AssertSqlSafe;

use super::line::{same_line, shown};
use super::read::{after_batch, cut, list_clause, position};
use super::sparse::{Among, CHUNK};
use super::{Entry, Filter, Key, ManifestEntry, Page, Versions};
use crate::db::{Arg, args, pad, padded, places};
use crate::policy::seen;
use crate::{Error, Reading, Store};

/// The most bytes of bodies in one page, unless its first object alone has more.
pub(super) const MAX_PAGE: i64 = 64 << 20;

/// How many types a page may name to be put together from one query for each.
const FEW: usize = 8;

/// A line: the body's length, what else there is to say, the body.
const WITH_BODY: &str = "octet_length(o.body) || ' ' || o.added || ' ' || o.version || ' ' || o.spec_version || ' ' || o.id || ' ' || o.body";
const WITHOUT: &str =
    "0 || ' ' || o.added || ' ' || o.version || ' ' || o.spec_version || ' ' || o.id || ' '";

/// Takes a page's text apart.
fn entries(collection: CollectionId, text: String, found: &mut Vec<Entry>) -> Result<(), Error> {
    let damaged = || Error::damaged("a page cannot be read");
    let text = Bytes::from(text);
    let mut at = 0_usize;
    while at < text.len() {
        let mut words = text.get(at..).unwrap_or_default().splitn(6, |byte| *byte == b' ');
        let mut word = || {
            let word = words.next().and_then(|word| std::str::from_utf8(word).ok()).ok_or_else(damaged)?;
            at = at.saturating_add(word.len()).saturating_add(1);
            Ok::<_, Error>(word)
        };
        let length: usize = word()?.parse().map_err(|_| damaged())?;
        let mut time =
            || Timestamp::from_micros(word()?.parse().map_err(|_| damaged())?).map_err(|_| damaged());
        let (added, version) = (time()?, time()?);
        let spec_version = word()?.to_owned();
        let id: ObjectId = word()?.parse().map_err(|_| damaged())?;
        let end = at.saturating_add(length);
        if end > text.len() {
            return Err(damaged());
        }
        found.push(Entry {
            key: Key { added, id, version, collection },
            spec_version,
            body: text.slice(at..end),
        });
        at = end;
    }
    Ok(())
}

/// Which versions, as a condition; the view is argument 3.
fn versions_clause(versions: &Versions, sql: &mut String, args: &mut Vec<Arg>) {
    if versions.all {
        return;
    }
    let edge = |flag: &str, than: &str| {
        format!(
            "o.{flag} = 1 OR NOT EXISTS (SELECT 1 FROM object l WHERE l.id = o.id AND l.collection = o.collection \
             AND (l.version {than} o.version OR (l.version = o.version AND l.seq {than} o.seq)) AND {} AND {})",
            same_line!(),
            seen!("l.policy", "$3")
        )
    };
    let mut ways = Vec::new();
    if versions.last {
        ways.push(edge("newest", ">"));
    }
    if versions.first {
        ways.push(edge("oldest", "<"));
    }
    if !versions.exactly.is_empty() {
        let size = padded(versions.exactly.len());
        ways.push(format!("o.version IN ({})", places(args.len().saturating_add(1), size)));
        pad(args, versions.exactly.iter().copied(), size);
    }
    if ways.is_empty() {
        ways.push("1 = 0".to_owned());
    }
    sql.push_str(&format!(" AND ({})", ways.join(" OR ")));
}

/// Where a page begins.
#[derive(Clone, Copy)]
enum Start<'a> {
    /// After the object with this number.
    After(i64),
    /// After this object, whose number the query itself looks up. Nothing comes if it is not there.
    Place(&'a Key),
    /// Among the objects with these numbers, which are not too many for a query.
    Among(&'a [i64]),
}

/// A page's question.
struct Question<'a> {
    line: &'static str,
    id: CollectionId,
    collection: i64,
    filter: &'a Filter,
    view: &'a [u8],
    most: i64,
}

impl Question<'_> {
    /// The conditions, and the order.
    fn body(&self, start: Start<'_>, kind: Option<&String>, most: i64) -> (String, Vec<Arg>) {
        let second = match start {
            Start::After(number) => number,
            Start::Place(key) => key.added.micros(),
            Start::Among(numbers) => numbers.first().copied().unwrap_or(i64::MAX),
        };
        let mut args = args![self.collection, second, self.view, most];
        let by_id = !self.filter.ids.is_empty();
        let among = matches!(start, Start::Among(_));
        // A plus keeps the databases from going by the index of a column where another one is meant.
        let collection = if kind.is_some() || among { "+o.collection" } else { "o.collection" };
        let seq = if by_id { "+o.seq" } else { "o.seq" };
        let mut sql = format!(" FROM object o WHERE {collection} = $1 AND {}", shown!("$3"));
        match start {
            Start::After(_) => sql.push_str(&format!(" AND {seq} > $2")),
            Start::Place(key) => {
                // One lower bound and no other: the database must take this one.
                args.extend(args![&key.id, key.version]);
                sql.push_str(&format!(
                    " AND {seq} > (SELECT max(q.seq) FROM object q WHERE q.id = $5 AND q.collection = $1 AND q.version = $6 \
                     AND q.added = $2)"
                ));
            }
            Start::Among(numbers) => {
                sql.push_str(" AND +o.seq >= $2");
                list_clause("o.seq", numbers.iter().copied(), &mut sql, &mut args);
            }
        }
        versions_clause(&self.filter.versions, &mut sql, &mut args);
        match kind {
            Some(kind) => {
                args.push(kind.into());
                sql.push_str(&format!(" AND o.kind = ${}", args.len()));
            }
            None => list_clause("o.kind", self.filter.kinds.iter(), &mut sql, &mut args),
        }
        list_clause("o.id", self.filter.ids.iter(), &mut sql, &mut args);
        list_clause("o.spec_version", self.filter.spec_versions.iter(), &mut sql, &mut args);
        sql.push_str(&format!(" ORDER BY {seq} LIMIT $4 + 0"));
        (sql, args)
    }

    async fn ask(
        &self,
        store: &Store,
        start: Start<'_>,
        kind: Option<&String>,
        most: i64,
        found: &mut Vec<Entry>,
    ) -> Result<(), Error> {
        let (body, args) = self.body(start, kind, most);
        let sql = format!("SELECT string_agg(p.line, '') FROM (SELECT {} AS line{body}) AS p", self.line);
        // Nothing but fixed texts is in it.
        let row = store.first(AssertSqlSafe(sql), args).await?;
        match row.map(|row| row.maybe_text(0)).transpose()?.flatten() {
            Some(text) => entries(self.id, text, found),
            None => Ok(()),
        }
    }

    /// How many objects fit into a page of at most `limit`.
    async fn fitting(&self, store: &Store, starts: &[Start<'_>], limit: usize) -> Result<usize, Error> {
        let mut sizes = Vec::new();
        for start in starts {
            let left = self.left(sizes.len());
            if left > 0 {
                let (body, args) = self.body(*start, None, left);
                let sql = format!("SELECT CAST(octet_length(o.body) AS BIGINT){body}");
                for row in store.fetch(AssertSqlSafe(sql), args).await? {
                    sizes.push(row.int(0)?);
                }
            }
        }
        Ok(fitting(&sizes, limit))
    }

    /// How many more may come.
    fn left(&self, found: usize) -> i64 {
        self.most.saturating_sub(i64::try_from(found).unwrap_or(i64::MAX))
    }

    /// The answer, in order. If it may be had `apart`, one type at a time, which has an index of its own to go by.
    async fn rounds(&self, store: &Store, starts: &[Start<'_>], apart: bool) -> Result<Vec<Entry>, Error> {
        let filter = self.filter;
        let mut found = Vec::new();
        if let ([start], true) =
            (starts, apart && filter.ids.is_empty() && (1..=FEW).contains(&filter.kinds.len()))
        {
            let kinds: BTreeSet<&String> = filter.kinds.iter().collect();
            for kind in kinds {
                self.ask(store, *start, Some(kind), self.most, &mut found).await?;
            }
        } else {
            for start in starts {
                let left = self.left(found.len());
                if left > 0 {
                    self.ask(store, *start, None, left, &mut found).await?;
                }
            }
        }
        if !found.is_sorted_by(|a, b| a.key <= b.key) {
            found.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(found)
    }
}

/// How many of these bodies fit into a page of at most `limit`.
pub(super) fn fitting(sizes: &[i64], limit: usize) -> usize {
    let mut sum = 0_i64;
    for (count, size) in sizes.iter().enumerate().take(limit) {
        sum = sum.saturating_add(*size);
        if sum > MAX_PAGE && count > 0 {
            return count;
        }
    }
    limit
}

/// Whether a page of so many objects may be too large.
pub(super) fn may_be_large(largest: i64, most: i64) -> bool {
    largest.saturating_mul(most) > MAX_PAGE
}

impl Reading {
    /// A page of a collection: at most `limit` objects that the filter lets through, after the place `after`, in the order of [`Key`]; fewer, if their bodies are large
    /// (64 MiB).
    ///
    /// # Errors
    /// [`Error::Refused`] for a list longer than [`Filter::MAX`]; or if the database fails.
    pub async fn page(
        &self,
        collection: CollectionId,
        filter: &Filter,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        self.pick(WITH_BODY, collection, filter, after, limit).await
    }

    /// The same as [`page`](Self::page), without the bodies.
    ///
    /// # Errors
    /// As there.
    pub async fn manifest(
        &self,
        collection: CollectionId,
        filter: &Filter,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<ManifestEntry>, Error> {
        let Page { rows, next } = self.pick(WITHOUT, collection, filter, after, limit).await?;
        let entry = |Entry { key, spec_version, .. }| ManifestEntry { key, spec_version };
        Ok(Page { rows: rows.into_iter().map(entry).collect(), next })
    }

    /// The versions of an object in a collection, in the order of [`Key`]. Of the filter, `added_after` and `spec_versions` count.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn versions(
        &self,
        collection: CollectionId,
        id: &ObjectId,
        filter: &Filter,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<ManifestEntry>, Error> {
        let filter = Filter {
            added_after: filter.added_after,
            ids: vec![id.clone()],
            kinds: Vec::new(),
            spec_versions: filter.spec_versions.clone(),
            versions: Versions::ALL,
        };
        self.manifest(collection, &filter, after, limit).await
    }

    async fn pick(
        &self,
        line: &'static str,
        collection: CollectionId,
        filter: &Filter,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        let lists =
            [filter.ids.len(), filter.kinds.len(), filter.spec_versions.len(), filter.versions.exactly.len()];
        if lists.into_iter().any(|len| len > Filter::MAX) {
            return Err(Error::Refused(format!("at most {} values of one filter", Filter::MAX)));
        }
        let store = self.store();
        let (number, largest) = {
            let known = store.collections_known();
            let Some(number) = known.key(collection) else { return Ok(Page::empty()) };
            (number, known.largest(number))
        };
        let most = self.limit(limit).saturating_add(1);
        let question =
            Question { line, id: collection, collection: number, filter, view: self.viewer(), most };
        let large = line == WITH_BODY && may_be_large(largest, most.saturating_mul(8));
        let little = filter.ids.is_empty() && self.sees_little().await?;
        let quick = after
            .filter(|key| key.collection == collection && filter.added_after.is_none() && !large && !little);
        if let Some(key) = quick {
            let found = question.rounds(store, &[Start::Place(key)], true).await?;
            // With nothing found the object may be gone, and its place has to be found otherwise.
            if !found.is_empty() {
                return Ok(cut(found, self.most(limit), |row| &row.key));
            }
        }
        let mut start = match after {
            Some(after) => position(store, after).await?,
            None => 0,
        };
        if let Some(added) = filter.added_after {
            start = start.max(after_batch(store, added).await?.saturating_sub(1));
        }
        let kinds: Vec<&str> = filter.kinds.iter().map(String::as_str).collect();
        let among = Among { after: start, collection: Some(number), kinds: &kinds, ..Among::default() };
        let numbers = if little { self.little(among).await? } else { None };
        let starts: Vec<Start<'_>> = match &numbers {
            Some(numbers) => numbers.chunks(CHUNK).map(Start::Among).collect(),
            None => vec![Start::After(start)],
        };
        if !large {
            let found = question.rounds(store, &starts, numbers.is_none()).await?;
            return Ok(cut(found, self.most(limit), |row| &row.key));
        }
        let fit = question.fitting(store, &starts, self.most(limit)).await?;
        let question = Question { most: i64::try_from(fit).unwrap_or(most).saturating_add(1), ..question };
        let found = question.rounds(store, &starts, false).await?;
        Ok(cut(found, fit, |row| &row.key))
    }
}

/// A page of a collection without any regard to handlings, for [`Custody`](crate::Custody) alone.
pub(crate) async fn page_of_all(
    store: &Store,
    collection: CollectionId,
    after: Option<&Key>,
    limit: usize,
) -> Result<Page<Entry>, Error> {
    let Some(number) = store.collections_known().key(collection) else { return Ok(Page::empty()) };
    let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let sql = format!(
        "SELECT string_agg(p.line, '') FROM (SELECT {WITH_BODY} AS line FROM object o WHERE o.collection = $1 AND (o.newest = 1 OR o.line > 0) \
         AND o.seq > coalesce((SELECT max(q.seq) FROM object q WHERE q.id = $3 AND q.collection = $1 AND q.version = $4 AND q.added = $5), $2) \
         ORDER BY o.seq LIMIT $6 + 0) AS p"
    );
    let args = match after {
        Some(key) => args![number, 0_i64, &key.id, key.version, key.added, most],
        None => args![number, 0_i64, "", 0_i64, 0_i64, most],
    };
    let row = store.first(AssertSqlSafe(sql), args).await?;
    if let Some(text) = row.map(|row| row.maybe_text(0)).transpose()?.flatten() {
        entries(collection, text, &mut found)?;
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(cut(found, limit, |row: &Entry| &row.key))
}
