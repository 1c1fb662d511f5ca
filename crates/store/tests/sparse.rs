//! Who sees little of much is answered from what has certain marks, who sees much from everything: both find the same, over many more objects than one query is given.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::*;
use ostrom_store::{Filter, Key, Lookup, Page, Reading, Store, Versions};

on_both! { both_ways_find_the_same }

const KINDS: [&str; 3] = ["note", "indicator", "report"];

async fn fill(store: &Store) {
    add_collections(store, &[1, 2]).await;
    for batch in 0..4_u128 {
        let objects = (0..400).map(|n| {
            let n = batch * 400 + n;
            // Every third is for organisation 2, and every tenth a later version of what was there.
            let own = if n % 3 == 0 { amber_to(2) } else { amber_to(3 + n % 2) };
            let (of, version) = if n % 10 == 9 { (n / 2, 2) } else { (n, 1) };
            let mut new = object(id(KINDS[(of % 3) as usize], of), version, own);
            new.collection = coll(1 + u128::from(of % 5 == 0));
            new.text = "common".to_owned();
            new.references = vec![id("note", 9_999)];
            new
        });
        put(store, 10 + batch as i64, objects.collect()).await;
    }
}

async fn walk<T>(mut page: impl AsyncFnMut(Option<Key>) -> Page<T>, key: impl Fn(&T) -> Key) -> Vec<Key> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let got = page(after).await;
        keys.extend(got.rows.iter().map(&key));
        after = got.next;
        if after.is_none() {
            return keys;
        }
    }
}

async fn told(reading: &Reading) -> Vec<Vec<Key>> {
    let mut told = Vec::new();
    let plain = Filter::default();
    let filters = [
        plain.clone(),
        Filter { versions: Versions::ALL, ..plain.clone() },
        Filter { kinds: vec!["note".to_owned(), "report".to_owned()], ..plain.clone() },
        Filter { added_after: Some(at(11)), ..plain },
    ];
    for limit in [7, 100, 255, 256, 10_000] {
        for n in [1, 2] {
            for filter in &filters {
                let page = async |after: Option<Key>| {
                    reading.page(coll(n), filter, after.as_ref(), limit).await.unwrap()
                };
                told.push(walk(page, |row| row.key.clone()).await);
            }
        }
        for kinds in [&[] as &[&str], &["note"], &["report", "indicator"]] {
            let page = async |after: Option<Key>| reading.list(kinds, after.as_ref(), limit).await.unwrap();
            told.push(walk(page, |row| row.key.clone()).await);
            let page = async |after: Option<Key>| {
                reading.search("common", kinds, after.as_ref(), limit).await.unwrap()
            };
            told.push(walk(page, |row| row.key.clone()).await);
            let page = async |after: Option<Key>| {
                reading.referred_by(&id("note", 9_999), kinds, after.as_ref(), limit).await.unwrap()
            };
            told.push(walk(page, |row| row.key.clone()).await);
        }
        let page = async |after: Option<Key>| reading.changes(after.as_ref(), limit).await.unwrap();
        told.push(walk(page, |row| row.head.key.clone()).await);
    }
    told
}

async fn both_ways_find_the_same(world: World) {
    fill(&world.store).await;
    world.store.close().await;
    let mut all = Vec::new();
    for lookup in [Lookup::ByPlace, Lookup::ByMark] {
        let mut config = world.config.clone();
        config.lookup = lookup;
        let store = Store::open(&config).await.unwrap();
        let reading = store.reading(&member(2), at(100)).await.unwrap();
        all.push(told(&reading).await);
        store.close().await;
    }
    assert!(all[0].iter().all(|keys| !keys.is_empty()));
    assert!(all[0].iter().any(|keys| keys.len() > 512), "more than two queries are given");
    assert_eq!(all[0], all[1]);
}
