//! What somebody writes about others' objects is as strict as what could be seen of them then; and who counts as having written something.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::*;
use ostrom_core::handling::{Embargo, Handling, Iep, Obligation, Party, Policy, Reader, Tlp};
use ostrom_core::{ObjectId, PeerId, Timestamp, Uuid};
use ostrom_store::{NewObject, Outcome, Store};

on_both! {
    what_nobody_may_read_is_known_to_whoever_wrote_it,
    what_a_peer_gave_was_written_by_nobody_here,
    what_was_removed_counts_as_long_as_it_could_be_seen,
    of_what_is_there_still_only_the_last_counts,
    what_another_had_under_the_same_id_does_not_count,
    something_of_the_same_batch_counts_with_its_collection,
    what_a_peer_gives_brings_what_holds_for_it,
    when_the_last_version_goes_the_one_before_it_counts,
    what_a_colleague_says_of_an_observable_does_not_count,
    what_changes_twice_is_added_once_more_after_the_second_time,
}

/// For organisations `owner`, whose it is, and `other`.
fn between(owner: u128, other: u128) -> Policy {
    let audience = [Party::Organisation(org(other))].into();
    Policy::new([Handling { audience, ..Handling::new(org(owner), Tlp::AmberStrict) }])
}

fn of(owner: u128, id: &ObjectId, own: Policy) -> NewObject {
    NewObject { owner: org(owner), person: Some(person(owner)), ..object(id.clone(), 1, own) }
}

fn about(owner: u128, n: u128, what: &ObjectId) -> NewObject {
    NewObject { references: vec![what.clone()], ..of(owner, &id("note", n), tlp(owner, Tlp::Clear)) }
}

fn peer() -> Option<PeerId> {
    Some(PeerId::new(Uuid::from_u128(1)))
}

async fn write(store: &Store, writer: &Reader, now: i64, objects: Vec<NewObject>) -> Vec<Outcome> {
    let mut writing = store.writing(at(now)).await.unwrap();
    let outcomes = writing.put_for(writer, objects).await.unwrap();
    writing.commit().await.unwrap();
    outcomes
}

async fn remove(store: &Store, now: i64, collection: u128, what: &ObjectId, version: Option<Timestamp>) {
    let mut writing = store.writing(at(now)).await.unwrap();
    assert_eq!(writing.remove(coll(collection), what, version, None).await.unwrap(), 1);
    writing.commit().await.unwrap();
}

async fn sees(store: &Store, reader: &Reader, what: &ObjectId) -> bool {
    store.reading(reader, at(900)).await.unwrap().get(what, None).await.unwrap().is_some()
}

fn changed(new: &NewObject) -> NewObject {
    NewObject { body: b"{\"other\":1}".to_vec(), ..new.clone() }
}

async fn what_nobody_may_read_is_known_to_whoever_wrote_it(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let mark = Policy::new([Handling::unreadable(org(1), "a mark from elsewhere")]);
    let new = of(1, &id("note", 1), mark);
    write(store, &member(1), 10, vec![new.clone()]).await;
    assert!(!sees(store, &member(1), &new.id).await);
    let again = write(store, &member(1), 11, vec![new.clone(), changed(&new)]).await;
    assert_eq!(again, [Outcome::Same { version: at(1) }, Outcome::Conflict]);
    let colleague = Reader { person: Some(person(7)), ..member(1) };
    let beside = write(store, &colleague, 12, vec![changed(&new)]).await;
    assert!(matches!(beside[..], [Outcome::Taken { .. }]), "{beside:?}");
}

async fn what_a_peer_gave_was_written_by_nobody_here(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let secret = id("note", 1);
    let red = Handling { audience: [Party::Person(person(3))].into(), ..Handling::new(org(1), Tlp::Red) };
    put(store, 10, vec![of(1, &secret, Policy::new([red]))]).await;
    let here = about(1, 2, &secret);
    let pulled = NewObject { peer: peer(), ..about(1, 3, &secret) };
    put(store, 11, vec![here.clone(), pulled.clone()]).await;
    assert!(sees(store, &member(1), &here.id).await, "one's own words are no secret from oneself");
    assert!(!sees(store, &member(1), &pulled.id).await, "it tells what it refers to");
    // And so nobody here is told that it is there.
    let told = write(store, &member(1), 12, vec![changed(&here), changed(&pulled)]).await;
    assert!(matches!(told[..], [Outcome::Conflict, Outcome::Taken { .. }]), "{told:?}");
}

async fn what_was_removed_counts_as_long_as_it_could_be_seen(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let (shown, hidden) = (id("note", 1), id("note", 2));
    put(store, 10, vec![of(2, &shown, between(2, 1)), of(2, &hidden, between(2, 4))]).await;
    remove(store, 11, 1, &shown, None).await;
    remove(store, 12, 1, &hidden, None).await;
    let (strict, open) = (about(1, 3, &shown), about(1, 4, &hidden));
    write(store, &member(1), 13, vec![strict.clone(), open.clone()]).await;
    assert!(sees(store, &member(2), &strict.id).await);
    assert!(!sees(store, &member(3), &strict.id).await, "it is about something that was for two");
    assert!(sees(store, &member(3), &open.id).await, "that something was there shows");
}

async fn of_what_is_there_still_only_the_last_counts(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let what = id("note", 1);
    let open = NewObject { version: Some(at(2)), ..changed(&of(2, &what, tlp(2, Tlp::Clear))) };
    put(store, 10, vec![of(2, &what, between(2, 1)), open]).await;
    remove(store, 11, 1, &what, Some(at(1))).await;
    write(store, &member(1), 12, vec![about(1, 2, &what)]).await;
    assert!(sees(store, &member(3), &id("note", 2)).await);
}

async fn what_another_had_under_the_same_id_does_not_count(world: World) {
    let store = &world.store;
    add_collections(store, &[1, 2]).await;
    let what = id("note", 1);
    put(store, 10, vec![of(2, &what, tlp(2, Tlp::Clear))]).await;
    let beside = NewObject { collection: coll(2), ..changed(&of(3, &what, between(3, 1))) };
    put(store, 11, vec![beside]).await;
    remove(store, 12, 2, &what, None).await;
    write(store, &member(1), 13, vec![about(1, 2, &what)]).await;
    assert!(sees(store, &member(4), &id("note", 2)).await);
}

async fn something_of_the_same_batch_counts_with_its_collection(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let mut closed = collection(2);
    closed.may_read = Some(amber_to(2));
    let mut writing = store.writing(at(5)).await.unwrap();
    writing.put_collection(&closed).await.unwrap();
    writing.commit().await.unwrap();
    let what = id("note", 1);
    let inside = NewObject { collection: coll(2), ..of(2, &what, tlp(2, Tlp::Clear)) };
    put(store, 10, vec![inside, about(4, 2, &what)]).await;
    assert!(sees(store, &member(2), &id("note", 2)).await);
    assert!(!sees(store, &member(3), &id("note", 2)).await, "it is about something in a closed collection");
}

async fn what_a_peer_gives_brings_what_holds_for_it(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let what = id("note", 1);
    put(store, 10, vec![of(2, &what, between(2, 4))]).await;
    let pulled = NewObject { peer: peer(), ..about(1, 2, &what) };
    put(store, 11, vec![pulled, about(1, 3, &what)]).await;
    assert!(sees(store, &member(3), &id("note", 2)).await, "there is nothing to add to what a peer said");
    assert!(!sees(store, &member(3), &id("note", 3)).await);
}

async fn when_the_last_version_goes_the_one_before_it_counts(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let what = id("note", 1);
    let open = NewObject { version: Some(at(2)), ..changed(&of(1, &what, clear())) };
    put(store, 10, vec![of(1, &what, amber_to(2)), open, about(1, 2, &what)]).await;
    assert!(sees(store, &member(3), &id("note", 2)).await);
    remove(store, 11, 1, &what, Some(at(2))).await;
    assert!(sees(store, &member(2), &id("note", 2)).await);
    assert!(!sees(store, &member(3), &id("note", 2)).await);
}

async fn what_a_colleague_says_of_an_observable_does_not_count(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let what = id("software", 1);
    put(store, 10, vec![NewObject { shared: true, ..of(1, &what, amber_to(2)) }]).await;
    let colleagues = NewObject { person: Some(person(7)), ..about(1, 3, &what) };
    put(store, 11, vec![about(1, 2, &what), colleagues]).await;
    assert!(!sees(store, &member(3), &id("note", 2)).await);
    assert!(
        sees(store, &member(3), &id("note", 3)).await,
        "anybody can derive the id, and learns who else has it"
    );
}

async fn what_changes_twice_is_added_once_more_after_the_second_time(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let iep = Iep {
        name: "window".to_owned(),
        start: Some(at(200)),
        end: Some(at(400)),
        encrypt_in_transit: Obligation::May,
        permitted_actions: "none".to_owned(),
        affected_party_notifications: Obligation::May,
        attribution: Obligation::May,
        unmodified_resale: Obligation::May,
    };
    let embargo = Embargo { until: at(100), parties: [].into() };
    let mark = Handling { embargo: Some(embargo), iep: Some(iep), ..Handling::new(org(1), Tlp::Clear) };
    put(store, 150, vec![of(1, &id("note", 1), Policy::new([mark]))]).await;
    let released = async |now| store.custody().is_anything_released(at(now)).await.unwrap();
    assert_eq!((released(199).await, released(200).await, released(300).await), (false, true, true));
}
