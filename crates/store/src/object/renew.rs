//! Objects that more may read from some time on, such as the end of an embargo, without anybody having put them anew.
//!
//! Whoever asks for what was added since the last time would never hear of them. So they are added once more, as of then.

use ostrom_core::Timestamp;
use ostrom_core::handling::Policy;

use super::Key;
use super::work::insert;
use crate::db::{Row, args};
use crate::{Custody, Error, Writing};

/// The last of the times in a policy that has passed.
fn last_change(policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let times = policy.handlings().flat_map(|handling| {
        let iep = handling.iep.as_ref();
        let embargo = handling.embargo.as_ref().map(|embargo| embargo.until);
        [embargo, iep.and_then(|iep| iep.start), iep.and_then(|iep| iep.end)]
    });
    times.flatten().filter(|time| *time <= now).max()
}

impl Custody {
    /// Versions that were added before a time in their policy (an embargo's end, the first or last moment of a policy for exchange) which has passed now:
    /// those to [renew](Writing::renew). At most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn released(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, Error> {
        let changed: Vec<(i64, Timestamp)> = {
            let policies = self.store().policies();
            let all = policies.iter();
            all.filter_map(|(key, policy)| Some((key, last_change(policy, now)?))).collect()
        };
        let mut found = Vec::new();
        for (policy, time) in changed {
            let left = i64::try_from(limit.saturating_sub(found.len())).unwrap_or(i64::MAX);
            if left == 0 {
                break;
            }
            // Numbers stand in the order of times, and the index has them.
            let sql = "SELECT collection, id, version, added FROM object WHERE policy = $1 AND added < $2 \
                       AND seq < coalesce((SELECT b.first_seq FROM batch b WHERE b.added >= $2 ORDER BY b.added LIMIT 1), $4) \
                       ORDER BY seq LIMIT $3 + 0";
            for row in self.store().fetch(sql, args![policy, time, left, i64::MAX]).await? {
                found.push(Key {
                    collection: self.store().collection_id(row.int(0)?)?,
                    id: row.parsed(1)?,
                    version: row.time(2)?,
                    added: row.time(3)?,
                });
            }
        }
        Ok(found)
    }
}

impl Writing {
    /// Adds versions once more, as of now: they stand at the end of pages and are new to whoever asks what is. All at the same time, as one batch: its
    /// time must not count those that some may not see. (Only what has one id and version, of several organisations, comes one after the other.) Gives how
    /// many were there.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn renew(&mut self, keys: &[Key]) -> Result<usize, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let Key { added, id, version, collection } = key;
            let collection = self.collection_key(*collection)?;
            let sql = "SELECT seq, words FROM object WHERE id = $1 AND collection = $2 AND version = $3 AND added = $4";
            let rows = self.fetch(sql, args![id, collection, *version, *added]).await?;
            if let Some(row) = rows.first() {
                found.push((key, row.int(0)?, row.text(1)?));
            }
        }
        if found.is_empty() {
            return Ok(0);
        }
        // INVARIANT: within a batch, numbers stand in the order of keys, by which pages go on.
        found.sort_by(|(a, ..), (b, ..)| {
            (&a.id, a.version, a.collection).cmp(&(&b.id, b.version, b.collection))
        });
        let count = found.len();
        while !found.is_empty() {
            let (added, new) = self.new_batch();
            self.execute("INSERT INTO batch (added, first_seq) VALUES ($1, $2)", args![added, new]).await?;
            // INVARIANT: a key names one row. What two organisations have under one id and version differs in its time alone.
            let mut twins = Vec::new();
            let mut last = None;
            for (key, old, words) in found {
                let name = (&key.id, key.version, key.collection);
                if last.replace(name) == Some(name) {
                    twins.push((key, old, words));
                } else {
                    self.renumber(old, &words, added).await?;
                }
            }
            found = twins;
        }
        Ok(count)
    }

    /// Gives an object the next number, and this time.
    async fn renumber(&mut self, old: i64, words: &str, added: Timestamp) -> Result<(), Error> {
        let seq = self.number();
        // References hang on the number, so they step aside meanwhile.
        let targets = self.fetch("SELECT target, owner FROM reference WHERE source = $1", args![old]).await?;
        let target = |row: &Row| Ok::<_, Error>(args![row.text(0)?, seq, row.text(1)?]);
        let targets = targets.iter().map(target).collect::<Result<Vec<_>, _>>()?;
        self.execute("DELETE FROM reference WHERE source = $1", args![old]).await?;
        self.execute("UPDATE object SET seq = $2, added = $3 WHERE seq = $1", args![old, seq, added]).await?;
        insert(&mut self.db()?, "reference (target, source, owner)", 3, targets).await?;
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            self.execute("UPDATE word SET seq = $3 WHERE word = $1 AND seq = $2", args![word, old, seq])
                .await?;
        }
        Ok(())
    }
}
