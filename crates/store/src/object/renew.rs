//! Objects that more may read from some time on, such as the end of an embargo, without anybody having put them anew.
//!
//! Whoever asks for what was added since the last time would never hear of them. So they are added once more, as of then: all of them in one
//! transaction and at one time, however many there are. Portions, or a time for each, would count what some may not see.

use std::collections::{BTreeMap, HashMap};

use ostrom_core::handling::Policy;
use ostrom_core::{CollectionId, ObjectId, Timestamp};
use sqlx::AssertSqlSafe;

use super::work::{LIST, insert};
use crate::db::{Arg, Row, args, pad, padded, places};
use crate::policy::Policies;
use crate::{Custody, Error, Writing};

/// How many versions with one policy are read at a time.
const PIECE: i64 = 4_096;

/// Versions with a policy that were added before a time, after the one with a number: numbers stand in the order of times, and the index has them.
macro_rules! released {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM object WHERE policy = $1 AND added < $2 AND seq > $3 \
             AND seq < coalesce((SELECT b.first_seq FROM batch b WHERE b.added >= $2 ORDER BY b.added LIMIT 1), $4) \
             ORDER BY seq LIMIT $5 + 0"
        )
    };
}

/// The last of the times in a policy that has passed and from which on more may read.
fn last_change(policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let times = policy.handlings().flat_map(|handling| {
        let start = handling.iep.as_ref().and_then(|iep| iep.start);
        [handling.embargo.as_ref().map(|embargo| embargo.until), start]
    });
    times.flatten().filter(|time| *time <= now).max()
}

/// The policies in which such a time has passed, and it.
fn changed(policies: &Policies, now: Timestamp) -> Vec<(i64, Timestamp)> {
    let all = policies.iter();
    all.filter_map(|(key, policy)| Some((key, last_change(policy, now)?))).collect()
}

/// The place of a version within a batch, and its number before. (Only what colleagues have put under one id and version, not seeing each other's,
/// or what two organisations have, differs in the number alone.)
type Place = (ObjectId, Timestamp, CollectionId, i64);

impl Custody {
    /// Whether there is anything to [release](Writing::release): a version that was added before a time in its policy (an embargo's end, the first
    /// moment of a policy for exchange) which has passed now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_anything_released(&self, now: Timestamp) -> Result<bool, Error> {
        let changed = changed(&self.store().policies(), now);
        for (policy, time) in changed {
            let args = args![policy, time, 0_i64, i64::MAX, 1_i64];
            if !self.store().fetch(released!("1"), args).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Writing {
    /// Adds once more, as of now, what was added before a time in its policy which has passed: it stands at the end of pages then, and is new to whoever asks
    /// what is. Gives how many versions that are.
    ///
    /// For each of them about 150 bytes are in memory meanwhile, and nobody else writes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release(&mut self) -> Result<usize, Error> {
        let changed = changed(&self.known().policies(), self.now());
        let mut places = Vec::new();
        for (policy, time) in changed {
            let mut last = 0;
            loop {
                let args = args![policy, time, last, i64::MAX, PIECE];
                let rows = self.fetch(released!("id, version, collection, seq"), args).await?;
                if rows.is_empty() {
                    break;
                }
                for row in &rows {
                    let collection = self.known().collection_id(row.int(2)?)?;
                    last = row.int(3)?;
                    places.push((row.parsed(0)?, row.time(1)?, collection, last));
                }
            }
        }
        if places.is_empty() {
            return Ok(0);
        }
        // INVARIANT: within a batch, numbers stand in the order of keys, by which pages go on.
        places.sort();
        let (added, first) = self.new_batch();
        self.execute("INSERT INTO batch (added, first_seq) VALUES ($1, $2)", args![added, first]).await?;
        for chunk in places.chunks(LIST) {
            self.renumber(chunk, added).await?;
        }
        Ok(places.len())
    }

    /// Gives versions the next numbers, and this time.
    async fn renumber(&mut self, versions: &[Place], added: Timestamp) -> Result<(), Error> {
        let new: HashMap<i64, i64> = versions.iter().map(|(.., old)| (*old, self.number())).collect();
        let now = |old: i64| new.get(&old).copied().ok_or_else(|| Error::damaged("a version came unasked"));
        let old: Vec<i64> = versions.iter().map(|(.., old)| *old).collect();

        // References hang on the number, so they step aside meanwhile.
        let mut references = Vec::new();
        for row in
            self.about("SELECT target, source, owner FROM reference WHERE source IN", &[], &old).await?
        {
            references.push(args![row.text(0)?, now(row.int(1)?)?, row.text(2)?]);
        }
        self.about("DELETE FROM reference WHERE source IN", &[], &old).await?;

        let mut words = BTreeMap::<String, Vec<i64>>::new();
        for row in self.about("SELECT seq, words FROM object WHERE seq IN", &[], &old).await? {
            for word in row.text(1)?.split(' ').filter(|word| !word.is_empty()) {
                words.entry(word.to_owned()).or_default().push(row.int(0)?);
            }
        }
        let mut anew = Vec::new();
        for (word, old) in &words {
            self.about("DELETE FROM word WHERE word = $1 AND seq IN", &[word], old).await?;
            for old in old {
                anew.push(args![word.as_str(), now(*old)?]);
            }
        }

        for (.., old) in versions {
            self.execute(
                "UPDATE object SET seq = $2, added = $3 WHERE seq = $1",
                args![*old, now(*old)?, added],
            )
            .await?;
        }
        let mut db = self.db()?;
        insert(&mut db, "reference (target, source, owner)", 3, references).await?;
        insert(&mut db, "word (word, seq)", 2, anew).await
    }

    /// Runs a statement that ends with a list of numbers; other arguments come first.
    async fn about(&mut self, sql: &str, first: &[&String], numbers: &[i64]) -> Result<Vec<Row>, Error> {
        let mut args: Vec<Arg> = first.iter().map(|text| Arg::from(*text)).collect();
        let size = padded(numbers.len());
        let sql = format!("{sql} ({})", places(args.len().saturating_add(1), size));
        pad(&mut args, numbers.iter().copied(), size);
        // Nothing but fixed texts is in it.
        self.fetch(AssertSqlSafe(sql), args).await
    }
}
