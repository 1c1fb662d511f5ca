//! Servers move what they wait for from thread to thread: every future of this crate must let them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::*;
use ostrom_store::{Config, Filter, Reading, Store, Writing};

fn send<T: Send>(_: T) {}

#[allow(dead_code, clippy::too_many_lines, reason = "it is enough that this compiles")]
fn all_futures_are_send(store: &Store, reading: &Reading, mut writing: Writing) {
    let (a, b) = (id("note", 1), id("note", 2));
    send(Store::open(&Config::folder(std::path::Path::new("x"))));
    send(store.reading(&anybody(), at(0)));
    send(store.writing(at(0)));
    send(store.readers());
    send(store.groups());
    send(store.reader_of_person(person(1), true));
    send(store.backup(std::path::Path::new("x")));
    send(store.custody().check());
    send(store.custody().versions(&a));
    send(store.custody().page(coll(1), None, 1));
    send(reading.page(coll(1), &Filter::default(), None, 1));
    send(reading.manifest(coll(1), &Filter::default(), None, 1));
    send(reading.versions(coll(1), &a, &Filter::default(), None, 1));
    send(reading.get(&a, None));
    send(reading.objects(&[]));
    send(reading.heads(&[]));
    send(reading.history(&a));
    send(reading.list(&["note"], None, 1));
    send(reading.changes(None, 1));
    send(reading.removals(None, 1));
    send(reading.counts());
    send(reading.refers_to(&a));
    send(reading.referred_by(&b, &["note"], None, 1));
    send(reading.explain(&a, None));
    send(reading.who_could_read(&a, &[(1, anybody())]));
    send(reading.search("x", &["note"], None, 1));
    send(reading.collections());
    send(reading.notifications(None, 1));
    send(reading.due_before(at(1), 1));
    send(writing.put(Vec::new()));
    send(writing.remove(coll(1), &a, None, None));
    send(writing.put_collection(&collection(1)));
    send(writing.commit());
}

#[tokio::test]
async fn a_task_can_read_and_write() {
    let world = sqlite().await;
    let store = world.store.clone();
    let task = tokio::spawn(async move {
        add_collections(&store, &[1]).await;
        put(&store, 1, vec![object(id("note", 1), 1, clear())]).await;
        let reading = store.reading(&anybody(), at(2)).await.unwrap();
        reading.search("title", &["note"], None, 10).await.unwrap().rows.len()
    });
    assert_eq!(task.await.unwrap(), 1);
}
