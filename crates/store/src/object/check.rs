//! Whether everything that is kept is still as it was.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::{Digest, ObjectId};
use sqlx::AssertSqlSafe;

use super::work::{LIST, Work};
use crate::db::{Db, args, pad, padded, places};
use crate::{Custody, Error, Writing};

/// How many objects are looked at in one transaction.
const CHUNK: i64 = 1_000;
/// How many bodies are in memory at a time.
const BODIES: usize = 16;
/// The most problems that are told.
const TOLD: usize = 100;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// How many versions of objects were looked at.
    pub objects: u64,
    /// Whether counts were compared: not if something was written meanwhile.
    pub counted: bool,
    /// What is wrong, in words for the administrator; empty if nothing is. The first hundred.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn tell(&mut self, problem: String) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        }
    }
}

/// What is added up on the way, to be compared at the end.
#[derive(Default)]
struct Sums {
    tally: BTreeMap<(String, String), i64>,
    words: i64,
}

impl Custody {
    /// Checks the database's own structure, the digest of every body, that effective policies are what follows from the marks, and the shortcuts
    /// (newest, oldest, counts, words). It reads everything, so it takes its time; writes go on in between.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn check(&self) -> Result<CheckReport, Error> {
        let mut report = CheckReport::default();
        structure(self, &mut report).await?;
        let mut sums = Sums::default();
        let mut last = String::new();
        let mut generation = None;
        // Times do not matter: nothing is written.
        let now = ostrom_core::Timestamp::EPOCH;
        loop {
            let mut writing = self.store().writing(now).await?;
            let seen = writing.generation();
            report.counted = *generation.get_or_insert(seen) == seen;
            let sql = "SELECT DISTINCT id FROM object WHERE id > $1 ORDER BY id LIMIT $2 + 0";
            let rows = writing.fetch(sql, args![&last, CHUNK]).await?;
            let ids = rows.iter().map(|row| row.parsed(0)).collect::<Result<Vec<ObjectId>, _>>()?;
            let Some(end) = ids.last() else {
                if report.counted {
                    compare(&mut writing, &sums, &mut report).await?;
                }
                return Ok(report);
            };
            last = end.to_string();
            objects(&mut writing, &ids, &mut sums, &mut report).await?;
        }
    }
}

/// What SQLite itself finds. (PostgreSQL has `pg_amcheck` for that.)
async fn structure(custody: &Custody, report: &mut CheckReport) -> Result<(), Error> {
    let mut conn = custody.store().read_conn().await?;
    let mut db = conn.db();
    if matches!(db, Db::Postgres(_)) {
        return Ok(());
    }
    for row in db.fetch("PRAGMA integrity_check(100)", args![]).await? {
        let said = row.text(0)?;
        if said != "ok" {
            report.tell(format!("SQLite: {said}"));
        }
    }
    for row in db.fetch("PRAGMA foreign_key_check", args![]).await? {
        report.tell(format!("SQLite: a row of table {} refers to nothing", row.text(0)?));
    }
    Ok(())
}

async fn objects(
    writing: &mut Writing,
    ids: &[ObjectId],
    sums: &mut Sums,
    report: &mut CheckReport,
) -> Result<(), Error> {
    let mut work = Work::default();
    work.load(writing, ids.iter().cloned()).await?;
    let mut all = BTreeMap::<ObjectId, BTreeSet<i64>>::new();
    let mut kept = BTreeMap::new();
    for id in ids {
        let Some(thing) = work.things.get_mut(id) else { continue };
        *sums.tally.entry((id.kind().to_owned(), thing.policies())).or_default() += 1;
        for version in &thing.versions {
            all.entry(id.clone()).or_default().insert(version.seq);
            let facts = (
                id.clone(),
                version.policy,
                version.newest,
                version.oldest,
                version.line,
                version.digest.clone(),
            );
            kept.insert(version.seq, facts);
        }
        thing.edges();
    }
    work.recompute(writing, &all).await?;
    for version in ids.iter().filter_map(|id| work.things.get(id)).flat_map(|thing| &thing.versions) {
        let Some((id, policy, newest, oldest, line, _)) = kept.get(&version.seq) else { continue };
        if *policy != version.policy {
            report.tell(format!("{id}: its effective policy does not follow from the marks"));
        }
        if (*newest, *oldest, *line) != (version.newest, version.oldest, version.line) {
            report.tell(format!("{id}: which version is the newest or oldest is not as noted"));
        }
    }
    report.objects = report.objects.saturating_add(u64::try_from(kept.len()).unwrap_or(u64::MAX));
    let seqs: Vec<i64> = kept.keys().copied().collect();
    for chunk in seqs.chunks(BODIES.min(LIST)) {
        let size = padded(chunk.len());
        let mut args = args![];
        pad(&mut args, chunk.iter().copied(), size);
        let sql = format!("SELECT seq, body, words FROM object WHERE seq IN ({})", places(1, size));
        for row in writing.fetch(AssertSqlSafe(sql), args).await? {
            let Some((id, _, _, _, _, digest)) = kept.get(&row.int(0)?) else { continue };
            if Digest::of(row.text(1)?.as_bytes()).as_bytes().as_slice() != digest {
                report.tell(format!("{id}: its bytes do not have the digest that was noted when they came"));
            }
            let words = row.text(2)?.split(' ').filter(|word| !word.is_empty()).count();
            sums.words = sums.words.saturating_add(i64::try_from(words).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

async fn compare(writing: &mut Writing, sums: &Sums, report: &mut CheckReport) -> Result<(), Error> {
    let mut tally = BTreeMap::new();
    for row in writing.fetch("SELECT kind, policies, number FROM tally", args![]).await? {
        tally.insert((row.text(0)?, row.text(1)?), row.int(2)?);
    }
    if tally != sums.tally {
        report.tell("the counts of objects are not as noted".to_owned());
    }
    let rows = writing.fetch("SELECT count(*) FROM word", args![]).await?;
    if rows.first().map_or(Ok(0), |row| row.int(0))? != sums.words {
        report.tell("the index of words has too many or too few".to_owned());
    }
    Ok(())
}
