//! Taking, finding and removing objects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use std::collections::BTreeSet;

use common::*;
use ostrom_core::handling::{Embargo, Handling, Party, Policy, Reader, Tlp};
use ostrom_store::{
    Error, Filter, Key, MAX_BODY, MAX_CLOSURE, MAX_REFERENCES, NewObject, Outcome, Store, Versions,
};

on_both! {
    what_was_put_is_got_back_byte_for_byte,
    the_same_again_is_not_taken_twice,
    what_has_no_version_gets_the_time_of_arrival,
    batches_have_times_that_only_go_up,
    pages_give_each_object_once_while_others_write,
    a_page_goes_on_though_its_last_object_was_removed,
    a_relationship_is_as_strict_as_its_ends,
    a_longer_chain_than_the_bound_is_for_nobody,
    a_removed_end_keeps_its_strictness,
    what_is_noted_is_right_after_removals,
    tombstones_are_for_whom_the_object_was,
    an_embargo_ends_by_itself,
    what_is_released_is_added_once_more,
    times_count_nothing_that_happens_at_once,
    what_two_have_under_one_id_is_released_at_one_time,
    what_colleagues_have_under_one_id_is_on_one_page,
    a_release_is_one_however_many_there_are,
    who_reads_it_is_explained,
    what_nobody_may_read_is_counted,
    pages_of_large_objects_are_short,
    beyond_a_limit_is_refused,
    a_collection_that_closes_hides_what_is_in_it,
}

async fn what_was_put_is_got_back_byte_for_byte(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let a = id("vulnerability", 1);
    let mut first = object(a.clone(), 5, clear());
    first.body = "{ \"id\" : \"x\", \"naïve\":\t1e400, \"b\": \"\\u0000 \u{10ffff}\r\n\"}".into();
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
    assert_eq!(got.head.key, Key { added: at(100), id: a.clone(), version: at(5), collection: coll(1) });
    assert_eq!((got.head.leaf, &got.head.salt), (Some(77), &Some(vec![1, 2, 3])));
    assert_eq!((got.head.person, &got.head.aside), (Some(person(3)), &first.aside));
    assert_eq!(got.head.digest, ostrom_core::Digest::of(&first.body));
    assert_eq!((&got.own, got.head.kind()), (&clear(), "vulnerability"));
    assert_eq!(reading.get(&a, Some(at(5))).await.unwrap(), Some(got));
    assert_eq!(reading.get(&a, Some(at(6))).await.unwrap(), None);
    assert_eq!(reading.get(&id("vulnerability", 2), None).await.unwrap(), None);
    let page = reading.page(coll(1), &Filter::default(), None, 10).await.unwrap();
    assert_eq!(page.rows[0].body, first.body);
    assert_eq!(page.rows[0].spec_version, "2.1");
}

async fn the_same_again_is_not_taken_twice(world: World) {
    let store = &world.store;
    add_collections(store, &[1, 2]).await;
    let one = object(id("note", 1), 5, clear());
    let other = NewObject { body: b"{}".to_vec(), ..one.clone() };
    let elsewhere = NewObject { collection: coll(2), ..other.clone() };
    let taken = Outcome::Taken { added: at(10), version: at(5) };
    let outcomes = put(store, 10, vec![one.clone(), one.clone(), other.clone(), elsewhere]).await;
    assert_eq!(outcomes, [taken, Outcome::Same { version: at(5) }, Outcome::Conflict, taken]);
    assert_eq!(
        put(store, 11, vec![other, one.clone()]).await,
        [Outcome::Conflict, Outcome::Same { version: at(5) }]
    );
    let reading = store.reading(&anybody(), at(20)).await.unwrap();
    assert_eq!(reading.history(&id("note", 1)).await.unwrap().len(), 2);
    assert_eq!(
        reading.get(&id("note", 1), None).await.unwrap().unwrap().body,
        "{}",
        "the one that came last"
    );
    let custody = store.custody();
    assert_eq!(custody.versions(&id("note", 1)).await.unwrap().len(), 2);
    assert!(custody.knows(&id("note", 1), at(5)).await.unwrap());
    assert!(!custody.knows(&id("note", 1), at(6)).await.unwrap());
}

async fn what_has_no_version_gets_the_time_of_arrival(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let file = NewObject { version: None, ..object(id("file", 1), 0, clear()) };
    let changed = NewObject { body: b"{\"size\":1}".to_vec(), ..file.clone() };
    assert_eq!(put(store, 10, vec![file.clone()]).await, [Outcome::Taken { added: at(10), version: at(10) }]);
    assert_eq!(put(store, 11, vec![file.clone()]).await, [Outcome::Same { version: at(10) }]);
    assert_eq!(put(store, 12, vec![changed]).await, [Outcome::Taken { added: at(12), version: at(12) }]);
    assert_eq!(put(store, 13, vec![file]).await, [Outcome::Taken { added: at(13), version: at(13) }]);
}

async fn batches_have_times_that_only_go_up(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let mut writing = store.writing(at(10)).await.unwrap();
    let mut times = Vec::new();
    for n in 0..3 {
        let outcomes = writing
            .put(vec![object(id("note", n), 1, clear()), object(id("note", n + 100), 1, clear())])
            .await;
        let outcomes = outcomes.unwrap();
        assert_eq!(outcomes[0], outcomes[1], "two times in one batch");
        times.push(outcomes[0]);
    }
    writing.commit().await.unwrap();
    let micros = |outcome: &Outcome| match outcome {
        Outcome::Taken { added, .. } => added.micros() - at(10).micros(),
        _ => panic!("{outcome:?}"),
    };
    assert_eq!(times.iter().map(micros).collect::<Vec<_>>(), [0, 1, 2]);
    let outcomes = put(store, 3, vec![object(id("note", 50), 1, clear())]).await;
    assert_eq!(micros(&outcomes[0]), 3, "a clock that went back");
}

async fn walk(store: &Store, filter: &Filter, limit: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let reading = store.reading(&member(2), at(100_000)).await.unwrap();
        let page = reading.page(coll(1), filter, after.as_ref(), limit).await.unwrap();
        keys.extend(page.rows.iter().map(|row| row.key.clone()));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

async fn pages_give_each_object_once_while_others_write(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let some = |from: u128| -> Vec<NewObject> {
        let hidden = |n| if n % 3 == 0 { amber_to(3) } else { amber_to(2) };
        (from..from + 20).map(|n| object(id("indicator", n * 7919 % 1009), 1, hidden(n))).collect()
    };
    for batch in 0..5 {
        put(store, 10 + batch, some(batch as u128 * 20)).await;
    }
    let before: BTreeSet<Key> = walk(store, &Filter::default(), 9).await.into_iter().collect();
    let writer = {
        let store = store.clone();
        let batches: Vec<_> = (5..15).map(|batch| some(batch * 20)).collect();
        tokio::spawn(async move {
            for (batch, objects) in (5..).zip(batches) {
                put(&store, 10 + batch, objects).await;
            }
        })
    };
    for limit in [1, 3, 7] {
        let keys = walk(store, &Filter::default(), limit).await;
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "out of order, or twice");
        let found: BTreeSet<Key> = keys.into_iter().collect();
        assert!(found.is_superset(&before), "something was skipped");
    }
    writer.await.unwrap();
    assert_eq!(walk(store, &Filter::default(), 50).await.len(), 200);
}

async fn a_page_goes_on_though_its_last_object_was_removed(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    for batch in 0..3_i64 {
        put(
            store,
            10 + batch,
            (0..5).map(|n| object(id("note", batch as u128 * 5 + n), 1, clear())).collect(),
        )
        .await;
    }
    let reading = store.reading(&anybody(), at(100)).await.unwrap();
    let all = reading.page(coll(1), &Filter::default(), None, 100).await.unwrap().rows;
    for gone in [4_usize, 7, 9] {
        let key = &all[gone].key;
        let mut writing = store.writing(at(50)).await.unwrap();
        assert_eq!(writing.remove(coll(1), &key.id, None, None).await.unwrap(), 1);
        writing.commit().await.unwrap();
        let page = reading.page(coll(1), &Filter::default(), Some(key), 2).await.unwrap();
        let next: Vec<&Key> = page.rows.iter().map(|row| &row.key).collect();
        assert_eq!(next[0], &all[gone + 1].key, "after {gone}");
        let list = reading.list(&["note"], Some(key), 1).await.unwrap();
        assert_eq!(list.rows[0].key, all[gone - 1].key, "before {gone}");
    }
    // A place that never was: in a batch, between two, after all.
    for (key, expected) in [
        (Key { id: id("note", 999), ..all[3].key.clone() }, Some(5)),
        (Key { added: at(9), ..all[3].key.clone() }, Some(0)),
        (Key { added: at(99), ..all[3].key.clone() }, None),
    ] {
        let page = reading.page(coll(1), &Filter::default(), Some(&key), 1).await.unwrap();
        assert_eq!(page.rows.first().map(|row| &row.key), expected.map(|at: usize| &all[at].key), "{key:?}");
    }
}

fn between(n: u128, ends: [u128; 2]) -> NewObject {
    let references = ends.map(|n| id("note", n)).to_vec();
    NewObject { references, ..object(id("relationship", n), 1, clear()) }
}

async fn sees(store: &Store, reader: u128, what: &ostrom_core::ObjectId) -> bool {
    let reading = store.reading(&member(reader), at(1000)).await.unwrap();
    reading.get(what, None).await.unwrap().is_some()
}

async fn a_relationship_is_as_strict_as_its_ends(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let relationship = id("relationship", 1);
    // Its ends are not here yet.
    put(store, 10, vec![between(1, [1, 2])]).await;
    assert!(sees(store, 2, &relationship).await && sees(store, 3, &relationship).await);
    put(store, 11, vec![object(id("note", 1), 1, clear()), object(id("note", 2), 1, amber_to(2))]).await;
    assert!(sees(store, 2, &relationship).await && !sees(store, 3, &relationship).await);
    // A report on the relationship, a step further.
    let report = NewObject { references: vec![relationship.clone()], ..object(id("report", 1), 1, clear()) };
    put(store, 12, vec![report]).await;
    assert!(sees(store, 2, &id("report", 1)).await && !sees(store, 3, &id("report", 1)).await);
    // A newer version of the end is stricter still, an older one that comes late does not count.
    put(store, 13, vec![object(id("note", 1), 3, amber_to(3))]).await;
    assert!(!sees(store, 2, &id("report", 1)).await && !sees(store, 3, &id("report", 1)).await);
    put(store, 14, vec![object(id("note", 1), 2, clear())]).await;
    assert!(!sees(store, 2, &id("report", 1)).await);
    put(store, 15, vec![object(id("note", 1), 4, clear())]).await;
    assert!(sees(store, 2, &id("report", 1)).await);
    // A circle.
    let mut note = object(id("note", 2), 2, amber_to(2));
    note.references = vec![id("report", 1)];
    put(store, 16, vec![note]).await;
    assert!(sees(store, 2, &relationship).await && !sees(store, 3, &relationship).await);
    assert!(store.custody().check().await.unwrap().is_sound());
}

async fn a_longer_chain_than_the_bound_is_for_nobody(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let ends = |n: u128| NewObject {
        references: vec![id("note", n * 2), id("note", n * 2 + 1)],
        ..object(id("report", n), 1, clear())
    };
    put(store, 10, (0..MAX_CLOSURE as u128 / 2 + 10).map(ends).collect()).await;
    let of = |n: u128, count: u128| {
        let references = (0..count).map(|n| id("report", n)).collect();
        NewObject { references, ..object(id("grouping", n), 1, clear()) }
    };
    put(store, 11, vec![of(1, 1365), of(2, 1366)]).await;
    assert!(sees(store, 2, &id("grouping", 1)).await, "4,095 objects");
    assert!(!sees(store, 2, &id("grouping", 2)).await, "4,098 objects");
    let refused = store.custody().refused().await.unwrap();
    assert_eq!((refused.len(), refused[0].count), (1, 1));
    assert!(refused[0].why.contains("4096"), "{refused:?}");
}

async fn a_removed_end_keeps_its_strictness(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    put(
        store,
        10,
        vec![between(1, [1, 2]), object(id("note", 1), 1, amber_to(2)), object(id("note", 2), 1, clear())],
    )
    .await;
    let mut writing = store.writing(at(11)).await.unwrap();
    assert_eq!(writing.remove(coll(1), &id("note", 1), None, Some("mistake")).await.unwrap(), 1);
    assert_eq!(writing.remove(coll(1), &id("note", 1), None, None).await.unwrap(), 0);
    writing.commit().await.unwrap();
    assert!(!sees(store, 2, &id("note", 1)).await);
    assert!(sees(store, 2, &id("relationship", 1)).await && !sees(store, 3, &id("relationship", 1)).await);
    assert!(store.custody().knows(&id("note", 1), at(1)).await.unwrap());
    let reading = store.reading(&member(2), at(1000)).await.unwrap();
    assert_eq!(reading.search("note", &["note"], None, 10).await.unwrap().rows.len(), 1);
    assert!(store.custody().check().await.unwrap().is_sound());
}

async fn what_is_noted_is_right_after_removals(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let what = id("note", 1);
    put(store, 10, [1, 2, 3].into_iter().map(|version| object(what.clone(), version, clear())).collect())
        .await;
    // The last and the first go: another is the last and the first then, whoever looks.
    for (now, version) in [(11, 3), (12, 1)] {
        let mut writing = store.writing(at(now)).await.unwrap();
        assert_eq!(writing.remove(coll(1), &what, Some(at(version)), None).await.unwrap(), 1);
        writing.commit().await.unwrap();
        let report = store.custody().check().await.unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

async fn tombstones_are_for_whom_the_object_was(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    put(store, 10, vec![object(id("note", 1), 1, amber_to(2)), object(id("note", 2), 1, amber_to(3))]).await;
    put(store, 11, vec![object(id("note", 1), 2, amber_to(3))]).await;
    for (now, n) in [(20, 1), (21, 2)] {
        let mut writing = store.writing(at(now)).await.unwrap();
        writing.remove(coll(1), &id("note", n), None, Some("why")).await.unwrap();
        writing.commit().await.unwrap();
    }
    let gone = async |reader| {
        let reading = store.reading(&member(reader), at(1000)).await.unwrap();
        let page = reading.removals(None, 10).await.unwrap();
        page.rows
            .into_iter()
            .map(|row| (row.key.added, row.key.id.uuid().as_u128(), row.key.version))
            .collect::<Vec<_>>()
    };
    assert_eq!(gone(2).await, [(at(20), 1, at(1))]);
    assert_eq!(gone(3).await, [(at(20), 1, at(2)), (at(21), 2, at(1))]);
    assert_eq!(gone(4).await, []);
}

fn under_embargo(until: i64) -> Policy {
    let embargo = Some(Embargo { until: at(until), parties: BTreeSet::new() });
    Policy::new([Handling { embargo, ..Handling::new(org(1), Tlp::Clear) }])
}

async fn an_embargo_ends_by_itself(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    put(store, 10, vec![object(id("note", 1), 1, under_embargo(500))]).await;
    for (now, expected) in [(499, false), (500, true), (100, false), (501, true)] {
        let reading = store.reading(&anybody(), at(now)).await.unwrap();
        assert_eq!(reading.get(&id("note", 1), None).await.unwrap().is_some(), expected, "at {now}");
        assert_eq!(reading.counts().await.unwrap().len(), usize::from(expected));
    }
    // A policy that comes after the view was made ends the view at its time, too.
    drop(store.reading(&anybody(), at(600)).await.unwrap());
    put(store, 601, vec![object(id("note", 2), 1, under_embargo(700))]).await;
    for (now, expected) in [(602, 1), (699, 1), (700, 2)] {
        let reading = store.reading(&anybody(), at(now)).await.unwrap();
        assert_eq!(reading.list(&[], None, 10).await.unwrap().rows.len(), expected, "at {now}");
    }
}

async fn times_count_nothing_that_happens_at_once(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    // Of the five that are let go at once, and of those that are removed, a reader may see two.
    let notes = [1, 2, 3, 4, 5].map(|n| object(id("note", n), 1, under_embargo(500)));
    put(store, 10, notes.to_vec()).await;
    assert_eq!(release(store, 510).await, 5);
    let reading = store.reading(&anybody(), at(520)).await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = reading.page(coll(1), &Filter::default(), after.as_ref(), 2).await.unwrap();
        seen.extend(page.rows.into_iter().map(|entry| entry.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [1, 2, 3, 4, 5].map(|n| Key {
        added: at(510),
        id: id("note", n),
        version: at(1),
        collection: coll(1),
    });
    assert_eq!(seen, expected, "each once, in the order in which pages go on, and at one time");
    let mut writing = store.writing(at(600)).await.unwrap();
    for n in 1..=5 {
        assert_eq!(writing.remove(coll(1), &id("note", n), None, None).await.unwrap(), 1);
    }
    writing.commit().await.unwrap();
    let reading = store.reading(&anybody(), at(700)).await.unwrap();
    let removed = reading.removals(None, 10).await.unwrap().rows;
    assert_eq!(removed.iter().map(|removal| removal.key.added).collect::<Vec<_>>(), [at(600); 5]);
}

async fn what_two_have_under_one_id_is_released_at_one_time(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    // Neither sees the other's.
    for (now, owner) in [(10, 1), (20, 2)] {
        let embargo = Some(Embargo { until: at(500), parties: BTreeSet::new() });
        let own = Policy::new([Handling { embargo, ..Handling::new(org(owner), Tlp::AmberStrict) }]);
        let it = NewObject { owner: org(owner), ..object(id("note", 1), 1, own) };
        let mut writing = store.writing(at(now)).await.unwrap();
        let outcomes = writing.put_for(&member(owner), vec![it]).await.unwrap();
        assert!(matches!(outcomes[..], [Outcome::Taken { .. }]), "{owner}: {outcomes:?}");
        writing.commit().await.unwrap();
    }
    // Others' notes stand before and after them.
    put(store, 30, [0, 2].map(|n| object(id("note", n), 1, under_embargo(500))).to_vec()).await;
    assert_eq!(release(store, 510).await, 4);
    let key = |n| Key { added: at(510), id: id("note", n), version: at(1), collection: coll(1) };
    for owner in [1, 2] {
        let reading = store.reading(&member(owner), at(520)).await.unwrap();
        let mut after = None;
        for n in [0, 1, 2] {
            let page = reading.page(coll(1), &Filter::default(), after.as_ref(), 1).await.unwrap();
            let keys: Vec<Key> = page.rows.into_iter().map(|row| row.key).collect();
            assert_eq!(keys, [key(n)], "as if the other's were not there");
            assert_eq!(reading.get(&id("note", 1), None).await.unwrap().unwrap().head.owner, org(owner));
            after = page.next;
        }
        assert_eq!(after, None);
        let mut before = None;
        for n in [2, 1, 0] {
            let page = reading.list(&[], before.as_ref(), 1).await.unwrap();
            assert_eq!(page.rows.iter().map(|head| head.key.clone()).collect::<Vec<_>>(), [key(n)]);
            before = page.next;
        }
        assert_eq!(before, None);
    }
    // One goes, the other stays.
    let head = async |owner, now| {
        let reading = store.reading(&member(owner), at(now)).await.unwrap();
        reading.get(&id("note", 1), None).await.unwrap().map(|object| object.head)
    };
    let (first, second) = (head(1, 520).await.unwrap(), head(2, 520).await.unwrap());
    let mut writing = store.writing(at(600)).await.unwrap();
    assert!(writing.remove_this(&second, None, None).await.unwrap());
    writing.commit().await.unwrap();
    assert_eq!((head(1, 700).await, head(2, 700).await), (Some(first), None));
}

async fn what_colleagues_have_under_one_id_is_on_one_page(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    // Two of one organisation, each for themselves until the embargo ends.
    for (now, number) in [(10, 1), (20, 2)] {
        let embargo = Some(Embargo { until: at(500), parties: [Party::Person(person(number))].into() });
        let own = Policy::new([Handling { embargo, ..Handling::new(org(9), Tlp::Clear) }]);
        let mut it = object(id("note", 1), 1, own);
        it.body = format!("{{\"of\":{number}}}").into_bytes();
        let it = NewObject { owner: org(1), person: Some(person(number)), ..it };
        let writer = Reader { person: Some(person(number)), ..member(1) };
        let mut writing = store.writing(at(now)).await.unwrap();
        let outcomes = writing.put_for(&writer, vec![it]).await.unwrap();
        assert!(matches!(outcomes[..], [Outcome::Taken { .. }]), "{number}: {outcomes:?}");
        writing.commit().await.unwrap();
    }
    put(store, 30, [0, 2].map(|n| object(id("note", n), 1, under_embargo(500))).to_vec()).await;
    assert_eq!(release(store, 510).await, 4);
    let reading = store.reading(&anybody(), at(520)).await.unwrap();
    let all = Filter { versions: Versions::ALL, ..Filter::default() };
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = reading.page(coll(1), &all, after.as_ref(), 2).await.unwrap();
        pages.push(page.rows.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [1, 2, 1], "both are told, none twice");
}

async fn a_release_is_one_however_many_there_are(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let count = 3_000;
    let notes = (0..count).map(|n| object(id("note", n), 1, under_embargo(500)));
    put(store, 10, notes.collect()).await;
    assert_eq!(release(store, 510).await, count as usize);
    let reading = store.reading(&anybody(), at(520)).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = reading.manifest(coll(1), &Filter::default(), after.as_ref(), 1_000).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), count as usize);
    assert!(seen.iter().all(|key| key.added == at(510)), "no portions");
    assert!(seen.is_sorted());
}

async fn what_is_released_is_added_once_more(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let mut note = object(id("note", 1), 1, under_embargo(500));
    note.references = vec![id("note", 7), id("note", 8)];
    put(store, 10, vec![note, object(id("note", 2), 1, clear())]).await;
    let custody = store.custody();
    assert!(!custody.is_anything_released(at(499)).await.unwrap());
    assert!(custody.is_anything_released(at(510)).await.unwrap());
    assert_eq!(release(store, 499).await, 0);
    assert_eq!(release(store, 510).await, 1);
    assert!(!custody.is_anything_released(at(510)).await.unwrap());
    assert_eq!(release(store, 511).await, 0);
    let reading = store.reading(&anybody(), at(520)).await.unwrap();
    let since = Filter { added_after: Some(at(10)), ..Filter::default() };
    let page = reading.page(coll(1), &since, None, 10).await.unwrap();
    let expected = Key { added: at(510), id: id("note", 1), version: at(1), collection: coll(1) };
    assert_eq!(page.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [expected]);
    assert_eq!(reading.search("note", &[], None, 10).await.unwrap().rows.len(), 2);
    assert_eq!(reading.referred_by(&id("note", 7), &[], None, 10).await.unwrap().rows.len(), 1);
    assert!(custody.check().await.unwrap().is_sound());
}

async fn who_reads_it_is_explained(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    put(store, 10, vec![between(1, [1, 2]), object(id("note", 1), 1, amber_to(2))]).await;
    let what = id("relationship", 1);
    let reading = store.reading(&member(2), at(20)).await.unwrap();
    let (policy, decision) = reading.explain(&what, None).await.unwrap().unwrap();
    assert_eq!(policy, clear().and(&amber_to(2)));
    assert!(decision.allowed());
    let all = [("two", member(2)), ("three", member(3))];
    let found = reading.who_could_read(&what, &all).await.unwrap().unwrap();
    assert_eq!(
        found.iter().map(|(who, decision)| (*who, decision.allowed())).collect::<Vec<_>>(),
        [("two", true), ("three", false)]
    );
    let other = store.reading(&member(3), at(20)).await.unwrap();
    assert_eq!(other.explain(&what, None).await.unwrap(), None);
    assert_eq!(other.who_could_read(&what, &all).await.unwrap(), None);
}

async fn what_nobody_may_read_is_counted(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let odd = Policy::new([Handling::unreadable(org(1), "colour-of-magic")]);
    put(
        store,
        10,
        vec![object(id("note", 1), 1, odd), object(id("note", 2), 1, Policy::default()), between(1, [1, 3])],
    )
    .await;
    // No mark at all stays no licence when marks of others are added to it.
    let unmarked =
        NewObject { references: vec![id("note", 4)], ..object(id("report", 1), 1, Policy::default()) };
    put(store, 11, vec![object(id("note", 4), 1, clear()), unmarked]).await;
    let refused = store.custody().refused().await.unwrap();
    let counts: Vec<_> = refused.iter().map(|refused| (refused.why.as_str(), refused.count)).collect();
    assert_eq!(counts, [("colour-of-magic", 2), ("no mark", 2)]);
    let reading = store.reading(&member(1), at(20)).await.unwrap();
    assert_eq!(reading.list(&[], None, 10).await.unwrap().rows.len(), 1);
}

async fn pages_of_large_objects_are_short(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let large = |n: u128| NewObject {
        body: vec![b'x'; 7 << 20],
        ..object(id("artifact", n), 1, amber_to(2 + n % 2))
    };
    for n in 0..24 {
        put(store, 10 + n as i64, vec![large(n), object(id("artifact", 100 + n), 1, amber_to(2))]).await;
    }
    let reading = store.reading(&member(2), at(100)).await.unwrap();
    let (mut sizes, mut after) = (Vec::new(), None);
    loop {
        let page = reading.page(coll(1), &Filter::default(), after.as_ref(), 100).await.unwrap();
        sizes.push(page.rows.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Nine large ones that member 2 sees are 63 MiB; between two of them stand two small ones.
    assert_eq!(sizes.iter().sum::<usize>(), 36, "{sizes:?}");
    assert!(sizes.len() == 2 && sizes[0] < 36, "{sizes:?}");
    let (mut seen, mut after) = (0, None);
    loop {
        let page = reading.changes(after.as_ref(), 100).await.unwrap();
        seen += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 36);
}

async fn beyond_a_limit_is_refused(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let one = object(id("note", 1), 1, clear());
    let references = (0..=MAX_REFERENCES as u128).map(|n| id("note", n)).collect();
    for bad in [
        NewObject { body: vec![b' '; MAX_BODY + 1], ..one.clone() },
        NewObject { body: vec![b'"', 0xff, b'"'], ..one.clone() },
        NewObject { body: vec![b'"', 0, b'"'], ..one.clone() },
        NewObject { references, ..one.clone() },
        NewObject { spec_version: "2 1".to_owned(), ..one.clone() },
        NewObject { spec_version: String::new(), ..one.clone() },
        NewObject { title: "a\0b".to_owned(), ..one.clone() },
    ] {
        let error = store.writing(at(10)).await.unwrap().put(vec![bad]).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
    let reading = store.reading(&anybody(), at(100)).await.unwrap();
    let ids = (0..=Filter::MAX as u128).map(|n| id("note", n)).collect();
    let error = reading.page(coll(1), &Filter { ids, ..Filter::default() }, None, 1).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    // Nothing asked for is nothing given.
    put(store, 11, vec![one]).await;
    let reading = store.reading(&anybody(), at(100)).await.unwrap();
    let none = Filter { versions: Versions::ALL, ..Filter::default() };
    assert_eq!(reading.page(coll(1), &none, None, 0).await.unwrap().rows, []);
}

async fn a_collection_that_closes_hides_what_is_in_it(world: World) {
    let store = &world.store;
    add_collections(store, &[1, 2]).await;
    let inside = NewObject { collection: coll(2), ..object(id("note", 1), 1, clear()) };
    put(store, 10, vec![inside, between(1, [1, 2])]).await;
    assert!(sees(store, 3, &id("note", 1)).await && sees(store, 3, &id("relationship", 1)).await);
    for (may_read, expected) in [(Some(amber_to(2)), false), (None, true)] {
        let mut changed = collection(2);
        changed.may_read = may_read;
        let mut writing = store.writing(at(20)).await.unwrap();
        writing.put_collection(&changed).await.unwrap();
        writing.commit().await.unwrap();
        assert_eq!(sees(store, 3, &id("note", 1)).await, expected);
        assert_eq!(sees(store, 3, &id("relationship", 1)).await, expected, "what refers to it");
        assert!(sees(store, 2, &id("note", 1)).await);
        assert!(store.custody().check().await.unwrap().is_sound());
    }
}
