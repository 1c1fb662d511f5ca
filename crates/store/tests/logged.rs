//! What is kept of removals' entries in the log, and of keys for sealing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::*;
use ostrom_core::Uuid;
use ostrom_store::{Error, Logged, Organisation, SealingKey};

on_both! {
    a_removal_keeps_its_place_in_the_log,
    sealing_keys_are_unique_and_only_retire,
}

async fn a_removal_keeps_its_place_in_the_log(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    put(store, 10, vec![object(id("note", 1), 1, clear()), object(id("note", 2), 1, clear())]).await;
    let logged = Logged { leaf: 7, salt: vec![3; 32], origin: Some("signed".to_owned()) };
    let mut writing = store.writing(at(20)).await.unwrap();
    writing.remove_logged(coll(1), &id("note", 1), None, Some("why"), Some(&logged)).await.unwrap();
    writing.remove(coll(1), &id("note", 2), None, None).await.unwrap();
    writing.commit().await.unwrap();
    let reading = store.reading(&anybody(), at(30)).await.unwrap();
    let mut found: Vec<_> = reading.removals(None, 10).await.unwrap().rows;
    found.sort_by(|a, b| a.key.id.cmp(&b.key.id));
    assert_eq!((found[0].logged.as_ref(), found[0].why.as_deref()), (Some(&logged), Some("why")));
    assert_eq!(found[1].logged, None);
}

async fn sealing_keys_are_unique_and_only_retire(world: World) {
    let store = &world.store;
    let mut writing = store.writing(at(1)).await.unwrap();
    let organisation = Organisation {
        id: org(1),
        name: "One".to_owned(),
        sectors: Default::default(),
        active: true,
        created: at(1),
    };
    writing.put_organisation(&organisation).await.unwrap();
    let key = SealingKey {
        id: Uuid::from_u128(1),
        organisation: org(1),
        person: None,
        public_key: "ab".repeat(32),
        label: "desk".to_owned(),
        created: at(1),
        retired: None,
    };
    writing.put_sealing_key(&key).await.unwrap();
    let changed = SealingKey { public_key: "cd".repeat(32), retired: Some(at(2)), ..key.clone() };
    writing.put_sealing_key(&changed).await.unwrap();
    writing.commit().await.unwrap();
    // The key of an id never becomes another.
    assert_eq!(store.sealing_keys().await.unwrap(), [SealingKey { retired: Some(at(2)), ..key.clone() }]);
    let mut writing = store.writing(at(3)).await.unwrap();
    let again = SealingKey { id: Uuid::from_u128(2), ..key };
    assert!(matches!(writing.put_sealing_key(&again).await, Err(Error::Taken { .. })));
}
