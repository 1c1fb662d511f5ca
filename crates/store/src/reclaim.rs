//! Policies that nothing has any more make room for others.
//!
//! They go when the store is opened, and a few at a time with [`Writing::sweep`]. The number of one that is gone is given to another only once the store was opened again: a
//! [`Reading`](crate::Reading) under way may still let somebody read what has it.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::db::{Db, args, pad, padded, places};
use crate::{Error, Writing};

/// How many policies are looked at in one step.
const STEP: i64 = 2_048;
/// The most members of one list.
const LIST: usize = 256;

/// The policies between two numbers that nothing has. What most objects have in `own` is in `policy` too: the index has the others.
const UNUSED: &str = "SELECT p.key FROM policy p WHERE p.key > $1 AND p.key <= $2 \
     AND (SELECT 1 FROM object o WHERE o.policy = p.key LIMIT 1) IS NULL \
     AND (SELECT 1 FROM object o WHERE o.own = p.key AND o.own <> o.policy LIMIT 1) IS NULL \
     AND (SELECT 1 FROM object o WHERE o.given = p.key AND o.given <> 0 LIMIT 1) IS NULL \
     AND (SELECT 1 FROM tombstone t WHERE t.policy = p.key LIMIT 1) IS NULL \
     AND (SELECT 1 FROM tombstone t WHERE t.own = p.key LIMIT 1) IS NULL \
     AND (SELECT 1 FROM case_file c WHERE c.policy = p.key LIMIT 1) IS NULL \
     AND (SELECT 1 FROM case_message m WHERE m.policy = p.key LIMIT 1) IS NULL \
     AND (SELECT 1 FROM due d WHERE d.policy = p.key LIMIT 1) IS NULL";

/// Removes the policies between two numbers that nothing has, and says which.
async fn step(db: &mut Db<'_>, after: i64, last: i64) -> Result<BTreeSet<i64>, Error> {
    // PostgreSQL would look for the first in the table itself, taking it that there is one.
    if matches!(db, Db::Postgres(_)) {
        db.script("SET LOCAL enable_seqscan = off").await?;
    }
    let rows = db.fetch(UNUSED, args![after, last]).await?;
    let unused = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    for chunk in unused.chunks(LIST) {
        let size = padded(chunk.len());
        let mut args = args![];
        pad(&mut args, chunk.iter().copied(), size);
        let sql = format!("DELETE FROM policy WHERE key IN ({})", places(1, size));
        // Nothing but fixed texts is in it.
        db.execute(AssertSqlSafe(sql), args).await?;
    }
    if matches!(db, Db::Postgres(_)) {
        db.script("SET LOCAL enable_seqscan = on").await?;
    }
    Ok(unused.into_iter().collect())
}

/// Removes all policies that nothing has, in one transaction.
pub(crate) async fn all(db: &mut Db<'_>) -> Result<(), Error> {
    db.begin().await?;
    let row = db.first("SELECT max(key) FROM policy", args![]).await?;
    let last = row.map_or(Ok(None), |row| row.maybe_int(0))?.unwrap_or(0);
    let mut after = 0;
    while after < last {
        step(db, after, after.saturating_add(STEP)).await?;
        after = after.saturating_add(STEP);
    }
    db.script("COMMIT").await
}

impl Writing {
    /// Removes some of the policies that nothing has: those after the ones that were looked at the last time.
    pub(crate) async fn reclaim(&mut self) -> Result<(), Error> {
        // What this transaction asked for it may be about to use.
        if self.has_interned() {
            return Ok(());
        }
        let (after, end) = self.to_reclaim();
        let last = after.saturating_add(STEP);
        let gone = step(&mut self.db()?, after, last).await?;
        self.reclaimed(gone, if last >= end { 0 } else { last });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use ostrom_core::handling::{Handling, Party, Policy, Reader, Tlp};
    use ostrom_core::{CaseId, CollectionId, ObjectId, OrgId, Timestamp, Uuid};

    use super::*;
    use crate::testing::Postgres;
    use crate::{Collection, Config, NewDue, NewEvent, NewMessage, NewObject, Store};

    fn org(n: u128) -> OrgId {
        OrgId::new(Uuid::from_u128(n))
    }

    /// For organisation `n`, and organisation 1, whose it is.
    fn only(n: u128) -> Policy {
        let audience = [Party::Organisation(org(n))].into();
        Policy::new([Handling { audience, ..Handling::new(org(1), Tlp::AmberStrict) }])
    }

    fn member(n: u128) -> Reader {
        Reader { organisation: Some(org(n)), ..Reader::anonymous(true) }
    }

    fn case(n: u128) -> CaseId {
        CaseId::new(Uuid::from_u128(n))
    }

    fn id(n: u128) -> ObjectId {
        ObjectId::new("note", Uuid::from_u128(n)).unwrap()
    }

    fn note(n: u128, version: i64, owner: u128, own: Policy, references: &[u128]) -> NewObject {
        NewObject {
            collection: CollectionId::new(Uuid::from_u128(1)),
            id: id(n),
            version: Some(Timestamp::EPOCH.plus_seconds(version)),
            spec_version: "2.1".to_owned(),
            own,
            references: references.iter().map(|n| id(*n)).collect(),
            shared: false,
            owner: org(owner),
            person: None,
            peer: None,
            body: format!("{{\"v\":{version}}}").into_bytes(),
            title: String::new(),
            text: String::new(),
            salt: None,
            leaf: None,
            aside: None,
        }
    }

    async fn put_case(store: &Store, n: u128, policy: &Policy) -> Result<(), Error> {
        let mut writing = store.writing(Timestamp::EPOCH).await?;
        writing.put_case(case(n), policy, "a case").await?;
        writing.commit().await
    }

    async fn sweep(store: &Store) {
        let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
        writing.sweep().await.unwrap();
        writing.commit().await.unwrap();
    }

    /// The cases that an organisation sees.
    async fn cases(store: &Store, n: u128) -> usize {
        let reading = store.reading(&member(n), Timestamp::EPOCH).await.unwrap();
        reading.cases(None, 100).await.unwrap().len()
    }

    async fn keys(store: &Store, sql: &'static str) -> Vec<i64> {
        let rows = store.fetch(sql, args![]).await.unwrap();
        rows.iter().map(|row| row.int(0).unwrap()).collect()
    }

    async fn on_both<F: Future<Output = ()>>(check: impl Fn(Config) -> F) {
        let folder = tempfile::tempdir().unwrap();
        check(Config::folder(folder.path())).await;
        let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
        check(postgres.url().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn marks_that_nothing_has_make_room_while_it_runs() {
        on_both(async |config| {
            let store = Store::open(&config).await.unwrap();
            store.policies_mut().limit(4, 4);
            for n in 2..6 {
                put_case(&store, 1, &only(n)).await.unwrap();
            }
            assert!(matches!(put_case(&store, 2, &only(6)).await, Err(Error::Refused(_))));
            let before = store.reading(&member(6), Timestamp::EPOCH).await.unwrap();
            sweep(&store).await;
            put_case(&store, 2, &only(6)).await.unwrap();
            assert_eq!((cases(&store, 2).await, cases(&store, 5).await, cases(&store, 6).await), (0, 1, 1));
            // Who has begun to read before must not take the new number for the old one.
            assert_eq!(keys(&store, "SELECT key FROM policy ORDER BY key").await, [4, 5]);
            assert_eq!(before.cases(None, 10).await.unwrap(), []);
            // One that went may come again.
            put_case(&store, 3, &only(2)).await.unwrap();
            assert_eq!(cases(&store, 2).await, 1);
            // Numbers are not given again as long as it runs, and so there is an end.
            for n in 7..9 {
                put_case(&store, 3, &only(n)).await.unwrap();
                sweep(&store).await;
            }
            assert_eq!(keys(&store, "SELECT key FROM policy ORDER BY key").await, [4, 5, 8]);
            assert!(matches!(put_case(&store, 3, &only(9)).await, Err(Error::Refused(_))));
            store.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn numbers_that_nothing_has_are_given_again_after_a_start_and_views_learn_of_them() {
        on_both(async |config| {
            let store = Store::open(&config).await.unwrap();
            for n in 2..6 {
                put_case(&store, n, &only(n)).await.unwrap();
            }
            // Numbers 1 and 3 become free.
            put_case(&store, 2, &only(3)).await.unwrap();
            put_case(&store, 4, &only(3)).await.unwrap();
            store.close().await;
            let store = Store::open(&config).await.unwrap();
            assert_eq!(keys(&store, "SELECT key FROM policy ORDER BY key").await, [2, 4]);
            // Ready before the numbers are given away.
            for n in 2..10 {
                cases(&store, n).await;
            }
            let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
            for n in 6..9 {
                writing.put_case(case(n), &only(n), "a case").await.unwrap();
            }
            writing.commit().await.unwrap();
            put_case(&store, 9, &only(9)).await.unwrap();
            assert_eq!(keys(&store, "SELECT key FROM policy ORDER BY key").await, [1, 2, 3, 4, 5, 6]);
            for (n, expected) in [(2, 0), (3, 3), (4, 0), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1)] {
                assert_eq!(cases(&store, n).await, expected, "organisation {n}");
            }
            store.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn whatever_has_marks_keeps_them() {
        on_both(async |config| {
            let store = Store::open(&config).await.unwrap();
            let mut writing = store.writing(Timestamp::EPOCH.plus_seconds(1)).await.unwrap();
            let collection = Collection::bare(1);
            writing.put_collection(&collection).await.unwrap();
            // One of another organisation, one that refers to it (given), one that refers to that one (effective), and one that changes (nobody has what was before).
            let notes = vec![
                note(1, 1, 1, only(2), &[]),
                note(2, 1, 2, only(3), &[1]),
                note(3, 1, 2, only(4), &[2]),
                note(4, 1, 1, only(5), &[]),
                note(5, 1, 1, only(6), &[4]),
            ];
            writing.put(notes).await.unwrap();
            writing.put(vec![note(4, 2, 1, only(7), &[])]).await.unwrap();
            for n in [1, 4, 5] {
                writing.remove(collection.id, &id(n), None, None).await.unwrap();
            }
            writing.put_case(case(1), &only(10), "a case").await.unwrap();
            let message = NewMessage {
                organisation: None,
                person: None,
                policy: Some(only(11)),
                body: "a message".to_owned(),
            };
            let event = NewEvent { organisation: None, person: None, body: "opened".to_owned() };
            writing.append_event(case(1), 0, &event).await.unwrap();
            writing.append_message(case(1), &message).await.unwrap();
            let due = NewDue {
                name: "a duty".to_owned(),
                due: Timestamp::EPOCH,
                party: None,
                policy: only(12),
                detail: String::new(),
            };
            writing.set_due("case 1", &[due]).await.unwrap();
            writing.put_case(case(2), &only(13), "a case").await.unwrap();
            writing.put_case(case(2), &only(10), "a case").await.unwrap();
            writing.commit().await.unwrap();
            let have = "SELECT policy FROM object UNION SELECT own FROM object UNION SELECT given FROM object WHERE given > 0 \
                        UNION SELECT policy FROM tombstone UNION SELECT own FROM tombstone UNION SELECT policy FROM case_file \
                        UNION SELECT policy FROM case_message UNION SELECT policy FROM due ORDER BY 1";
            let had = keys(&store, have).await;
            let all = "SELECT key FROM policy ORDER BY key";
            assert!(keys(&store, all).await.len() > had.len(), "nothing to remove");
            sweep(&store).await;
            assert_eq!(keys(&store, all).await, had);
            store.close().await;
            let store = Store::open(&config).await.unwrap();
            assert_eq!(keys(&store, all).await, had);
            assert!(store.custody().check().await.unwrap().is_sound());
            store.close().await;
        })
        .await;
    }
}
