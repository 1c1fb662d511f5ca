//! Taking, finding and removing objects.

mod common;

use common::*;
use ostrom_store::{Filter, Outcome, Versions};

on_both! {
    what_was_put_is_got_back_byte_for_byte,
    pages_give_each_object_once,
}

async fn what_was_put_is_got_back_byte_for_byte(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let a = id("vulnerability", 1);
    let mut first = object(a.clone(), 5, clear());
    first.body = "{ \"id\" : \"x\", \"naïve\":\t1e400}".into();
    first.salt = Some(vec![1, 2, 3]);
    first.leaf = Some(77);
    first.person = Some(person(3));
    first.aside = Some("{\"origin\":\"elsewhere\"}".to_owned());
    assert_eq!(
        put(store, 100, vec![first.clone()]).await,
        [Outcome::Taken { added: at(100), version: at(5) }]
    );
    let reading = store.reading(&anybody(), at(101)).await.unwrap();
    let got = reading.get(&a, None).await.unwrap().unwrap();
    assert_eq!(got.body, first.body);
    assert_eq!(got.head.key.version, at(5));
    assert_eq!(got.head.key.added, at(100));
    assert_eq!(got.head.leaf, Some(77));
    assert_eq!(got.head.salt, Some(vec![1, 2, 3]));
    assert_eq!(got.head.person, Some(person(3)));
    assert_eq!(got.head.aside, first.aside);
    assert_eq!(got.head.digest, ostrom_core::Digest::of(&first.body));
    assert_eq!(got.own, clear());
    assert_eq!(reading.get(&a, Some(at(5))).await.unwrap(), Some(got));
    assert_eq!(reading.get(&a, Some(at(6))).await.unwrap(), None);
    assert_eq!(reading.get(&id("vulnerability", 2), None).await.unwrap(), None);
}

async fn pages_give_each_object_once(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    for batch in 0..5_i64 {
        let objects = (0..20)
            .map(|n| object(id("indicator", (batch as u128 * 7919 + n * 104_729) % 1000), batch, clear()));
        put(store, 10 + batch, objects.collect()).await;
    }
    let reading = store.reading(&anybody(), at(101)).await.unwrap();
    let all = Filter { versions: Versions::ALL, ..Filter::default() };
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = reading.page(coll(1), &all, after.as_ref(), 7).await.unwrap();
        keys.extend(page.rows.iter().map(|row| row.key.clone()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(keys.len(), 100);
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] < pair[1]));
}
