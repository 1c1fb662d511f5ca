//! Readers who may see little of much: going through everything to find it would take long, so what has marks that let them read is looked up, mark by mark.
//!
//! It finds the same. Which way is taken depends on how many objects the reader sees, and on how many there are; the time that it takes on what the reader sees and on how many
//! marks there are, but not on what is hidden.

use super::read::list_clause;
use crate::config::Lookup;
use crate::db::args;
use crate::policy::seen;
use crate::{Error, Reading};
use sqlx::AssertSqlSafe;

/// The most versions that somebody sees who sees little.
const LITTLE: usize = 8_192;
/// It is little if there are so many times more objects.
const SHARE: u64 = 32;
/// How many numbers of versions one query is given.
pub(super) const CHUNK: usize = 256;

/// Which numbers of versions are looked for: between two others, in one collection, of these types (of all if none is named).
#[derive(Debug, Clone, Copy)]
pub(super) struct Among<'a> {
    pub(super) after: i64,
    pub(super) before: i64,
    pub(super) collection: Option<i64>,
    pub(super) kinds: &'a [&'a str],
}

impl Default for Among<'_> {
    fn default() -> Self {
        Self { after: i64::MIN, before: i64::MAX, collection: None, kinds: &[] }
    }
}

impl Reading {
    /// The numbers of the versions with marks that let the reader read, in order; `None` if there are many, and the way that goes through everything is the shorter one.
    pub(super) async fn little(&self, among: Among<'_>) -> Result<Option<Vec<i64>>, Error> {
        let lookup = self.store().config().lookup;
        if !self.sees_little().await? {
            return Ok(None);
        }
        let Among { after, before, collection, kinds } = among;
        let most = i64::try_from(LITTLE).unwrap_or(i64::MAX).saturating_add(1);
        let mut args = args![self.viewer(), after, before, most];
        let mut more = String::new();
        if let Some(collection) = collection {
            args.push(collection.into());
            more.push_str(" AND +t.collection = $5");
        }
        list_clause("t.kind", kinds.iter().copied(), &mut more, &mut args);
        // A question for each mark, so that both databases go by the index of marks, whatever they think of its members.
        let sql = format!(
            "SELECT string_agg(x.numbers, ' ') FROM (SELECT (SELECT string_agg(CAST(s.seq AS TEXT), ' ') FROM \
             (SELECT t.seq FROM object t WHERE t.policy = p.key AND t.seq > $2 AND t.seq < $3{more} ORDER BY t.seq LIMIT $4 + 0) AS s) AS numbers \
             FROM policy p WHERE {}) AS x",
            seen!("p.key", "$1")
        );
        // Nothing but fixed texts is in it.
        let row = self.store().first(AssertSqlSafe(sql), args).await?;
        let text = row.map(|row| row.maybe_text(0)).transpose()?.flatten().unwrap_or_default();
        let numbers = text.split(' ').filter(|number| !number.is_empty()).map(str::parse);
        let mut numbers = numbers
            .collect::<Result<Vec<i64>, _>>()
            .map_err(|_| Error::damaged("a list of numbers cannot be read"))?;
        if numbers.len() > LITTLE && lookup == Lookup::Judged {
            self.judge(false);
            return Ok(None);
        }
        numbers.sort_unstable();
        Ok(Some(numbers))
    }

    /// Whether the reader sees little of what there is.
    pub(super) async fn sees_little(&self) -> Result<bool, Error> {
        match self.store().config().lookup {
            Lookup::ByMark => return Ok(true),
            Lookup::ByPlace => return Ok(false),
            Lookup::Judged => {}
        }
        if let Some(little) = self.judged() {
            return Ok(little);
        }
        let (mut seen, mut all) = (0_u64, 0_u64);
        for (_, policies, number) in self.tally().await? {
            all = all.saturating_add(number);
            if policies.into_iter().any(|key| self.sees(key)) {
                seen = seen.saturating_add(number);
            }
        }
        let little = seen <= LITTLE as u64 && seen <= all / SHARE;
        self.judge(little);
        Ok(little)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use ostrom_core::handling::{Handling, Policy, Reader, Tlp};
    use ostrom_core::{CollectionId, ObjectId, OrgId, Timestamp, Uuid};

    use super::*;
    use crate::{Collection, Config, NewObject, Store};

    fn org(n: u128) -> OrgId {
        OrgId::new(Uuid::from_u128(n))
    }

    async fn put(store: &Store, first: u128, last: u128, owner: u128) {
        let note = |n| NewObject {
            collection: CollectionId::new(Uuid::from_u128(1)),
            id: ObjectId::new("note", Uuid::from_u128(n)).unwrap(),
            version: Some(Timestamp::EPOCH),
            spec_version: "2.1".to_owned(),
            own: Policy::new([Handling::new(org(owner), Tlp::AmberStrict)]),
            references: Vec::new(),
            shared: false,
            owner: org(owner),
            person: None,
            peer: None,
            body: b"{}".to_vec(),
            title: String::new(),
            text: String::new(),
            salt: None,
            leaf: None,
            aside: None,
        };
        let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
        writing.put((first..last).map(note).collect()).await.unwrap();
        writing.commit().await.unwrap();
    }

    #[tokio::test]
    async fn who_sees_little_of_much_is_told_from_who_sees_much_of_little() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Config::folder(folder.path())).await.unwrap();
        let mut writing = store.writing(Timestamp::EPOCH).await.unwrap();
        let collection = Collection::bare(1);
        writing.put_collection(&collection).await.unwrap();
        writing.commit().await.unwrap();
        let reading = async |n| {
            let reader = Reader { organisation: Some(org(n)), ..Reader::anonymous(true) };
            store.reading(&reader, Timestamp::EPOCH).await.unwrap()
        };
        put(&store, 0, 96, 1).await;
        put(&store, 96, 99, 2).await;
        assert!(!reading(1).await.sees_little().await.unwrap());
        assert_eq!(reading(1).await.little(Among::default()).await.unwrap(), None);
        assert!(reading(2).await.sees_little().await.unwrap());
        assert_eq!(reading(2).await.little(Among::default()).await.unwrap().unwrap().len(), 3);
        assert!(reading(3).await.sees_little().await.unwrap());
        // It is not asked again and again, but it is after a while.
        put(&store, 99, 103, 2).await;
        assert!(reading(2).await.sees_little().await.unwrap());
        for n in 0..600 {
            put(&store, 103 + n, 104 + n, 3).await;
        }
        assert!(!reading(3).await.sees_little().await.unwrap());
        put(&store, 1_000, 20_000, 1).await;
        for n in 0..600 {
            put(&store, 20_000 + n, 20_001 + n, 3).await;
        }
        assert!(reading(2).await.sees_little().await.unwrap());
        // Who has come to see more than little is noticed at once.
        put(&store, 30_000, 30_000 + LITTLE as u128, 2).await;
        assert_eq!(reading(2).await.little(Among::default()).await.unwrap(), None);
        assert!(!reading(2).await.sees_little().await.unwrap());
        store.close().await;
    }
}
