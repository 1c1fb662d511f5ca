//! Members, credentials, cases and all that is not an object.
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
use ostrom_core::handling::Tlp;
use ostrom_core::{CaseId, Digest, PeerId, TokenId, Uuid};
use ostrom_store::{
    Error, Group, Link, NewDue, NewEvent, NewMessage, NewNotification, OidcLink, Organisation, Passkey, Peer,
    PeerState, Person, Posting, Role, SavedView, Session, Store, Subject, Token,
};

on_both! {
    readers_follow_membership,
    names_that_must_be_unique_are,
    passkeys_whose_counter_goes_back_are_refused,
    tokens_end,
    a_link_is_used_once,
    sessions_end,
    cases_are_for_their_participants,
    an_event_on_an_older_state_is_refused,
    what_falls_due_is_told_in_order,
    what_is_late_of_one_kind_holds_up_nothing_of_another,
    notifications_do_not_outlive_the_right_to_see,
    peers_settings_views_and_statuses_are_kept,
    collections_are_shown_to_whom_they_are_for,
}

fn organisation(n: u128) -> Organisation {
    let sectors = ["energy".to_owned()].into();
    Organisation { id: org(n), name: format!("Organisation {n}"), sectors, active: true, created: at(1) }
}

fn somebody(n: u128, of: u128) -> Person {
    Person {
        id: person(n),
        organisation: org(of),
        name: format!("Person {n}"),
        email: format!("Person.{n}@Example.ORG"),
        roles: [Role::Coordinator, Role::Observer].into(),
        active: true,
        created: at(1),
    }
}

fn trust_group(n: u128, organisations: &[u128], persons: &[u128]) -> Group {
    Group {
        id: group(n),
        name: format!("Group {n}"),
        description: String::new(),
        organisations: organisations.iter().map(|n| org(*n)).collect(),
        persons: persons.iter().map(|n| person(*n)).collect(),
        created: at(1),
    }
}

async fn members(store: &Store) {
    let mut writing = store.writing(at(1)).await.unwrap();
    for n in 1..4 {
        writing.put_organisation(&organisation(n)).await.unwrap();
        writing.put_person(&somebody(n, n)).await.unwrap();
    }
    writing.commit().await.unwrap();
}

async fn readers_follow_membership(world: World) {
    let store = &world.store;
    members(store).await;
    let mut writing = store.writing(at(2)).await.unwrap();
    writing.put_group(&trust_group(1, &[1], &[2])).await.unwrap();
    writing.put_group(&trust_group(2, &[], &[1])).await.unwrap();
    writing.set_providers(org(1), &[org(2), org(3)].into()).await.unwrap();
    writing.commit().await.unwrap();
    let reader = store.reader_of_person(person(1), true).await.unwrap().unwrap();
    assert_eq!((reader.person, reader.organisation), (Some(person(1)), Some(org(1))));
    assert_eq!(reader.groups, [group(1), group(2)].into());
    assert_eq!(reader.client_of, [org(2), org(3)].into());
    let machine = store.reader_of_organisation(org(1), false).await.unwrap().unwrap();
    assert_eq!((machine.person, machine.encrypted), (None, false));
    assert_eq!(machine.groups, [group(1)].into());
    assert_eq!(store.reader_of_person(person(2), true).await.unwrap().unwrap().groups, [group(1)].into());
    assert_eq!(store.readers().await.unwrap().len(), 3);
    assert_eq!(store.group(group(1)).await.unwrap(), Some(trust_group(1, &[1], &[2])));

    let mut writing = store.writing(at(3)).await.unwrap();
    writing.put_organisation(&Organisation { active: false, ..organisation(2) }).await.unwrap();
    writing.put_person(&Person { active: false, ..somebody(3, 3) }).await.unwrap();
    assert!(writing.remove_group(group(2)).await.unwrap());
    writing.commit().await.unwrap();
    assert_eq!(store.reader_of_person(person(2), true).await.unwrap(), None, "of an inactive organisation");
    assert_eq!(store.reader_of_organisation(org(2), true).await.unwrap(), None);
    assert_eq!(store.reader_of_person(person(3), true).await.unwrap(), None, "inactive");
    let reader = store.reader_of_person(person(1), true).await.unwrap().unwrap();
    assert_eq!((reader.groups, reader.client_of), ([group(1)].into(), [org(3)].into()));
    assert_eq!(store.providers(org(1)).await.unwrap(), [org(2), org(3)].into());
}

async fn names_that_must_be_unique_are(world: World) {
    let store = &world.store;
    members(store).await;
    let found = store.person_by_email(" PERSON.2@example.org").await.unwrap().unwrap();
    assert_eq!((found.id, found.email.as_str()), (person(2), "person.2@example.org"));
    let other = Person { email: "PERSON.2@EXAMPLE.org".to_owned(), ..somebody(9, 1) };
    let error = store.writing(at(2)).await.unwrap().put_person(&other).await.unwrap_err();
    assert!(matches!(error, Error::Taken { what: "the e-mail address" }), "{error}");
    let error = store.writing(at(2)).await.unwrap().put_person(&somebody(9, 77)).await.unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    let mut changed = store.person(person(1)).await.unwrap().unwrap();
    changed.roles = [Role::Administrator].into();
    let mut writing = store.writing(at(2)).await.unwrap();
    writing.put_person(&changed).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(store.person(person(1)).await.unwrap(), Some(changed));
    assert_eq!(store.organisations().await.unwrap().len(), 3);
    assert_eq!(store.organisation(org(1)).await.unwrap(), Some(organisation(1)));
}

async fn passkeys_whose_counter_goes_back_are_refused(world: World) {
    let store = &world.store;
    members(store).await;
    let key = |n: u8, sign_count| Passkey {
        id: vec![n; 20],
        person: person(1),
        public_key: vec![0, n],
        sign_count,
        name: "blue".to_owned(),
        created: at(2),
        last_used: None,
    };
    let mut writing = store.writing(at(5)).await.unwrap();
    writing.add_passkey(&key(1, 7)).await.unwrap();
    writing.add_passkey(&key(2, 0)).await.unwrap();
    assert!(writing.use_passkey(&[1; 20], 8).await.unwrap());
    assert!(!writing.use_passkey(&[1; 20], 8).await.unwrap(), "the same counter again");
    assert!(!writing.use_passkey(&[1; 20], 0).await.unwrap(), "a counter that went back");
    assert!(writing.use_passkey(&[2; 20], 0).await.unwrap(), "an authenticator without a counter");
    assert!(!writing.remove_passkey(person(2), &[1; 20]).await.unwrap(), "somebody else's");
    writing.set_password(person(1), "$argon2id$1").await.unwrap();
    writing.set_password(person(1), "$argon2id$2").await.unwrap();
    let oidc = OidcLink {
        issuer: "https://id".to_owned(),
        subject: "s".to_owned(),
        person: person(1),
        created: at(5),
    };
    writing.add_oidc_link(&oidc).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(store.passkey(&[1; 20]).await.unwrap().unwrap().sign_count, 8);
    assert_eq!(store.passkeys(person(1)).await.unwrap().len(), 2);
    assert_eq!(store.password(person(1)).await.unwrap().as_deref(), Some("$argon2id$2"));
    assert_eq!(store.password(person(2)).await.unwrap(), None);
    assert_eq!(store.person_of_oidc("https://id", "s").await.unwrap(), Some(person(1)));
    assert_eq!(store.oidc_links(person(1)).await.unwrap(), [oidc]);
    let error = store.writing(at(6)).await.unwrap().add_passkey(&key(1, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Taken { .. }), "{error}");
}

async fn tokens_end(world: World) {
    let store = &world.store;
    members(store).await;
    let token = Token {
        id: TokenId::new(Uuid::from_u128(1)),
        hash: Digest::of(b"secret"),
        organisation: org(1),
        person: Some(person(1)),
        name: "feed".to_owned(),
        scopes: ["read".to_owned()].into(),
        collections: Some([coll(1)].into()),
        created: at(1),
        expires: at(100),
        last_used: None,
        revoked: None,
    };
    let mut writing = store.writing(at(5)).await.unwrap();
    writing.add_token(&token).await.unwrap();
    writing.token_used(token.id).await.unwrap();
    writing.commit().await.unwrap();
    let found = store.token(&token.hash).await.unwrap().unwrap();
    assert_eq!(found, Token { last_used: Some(at(5)), ..token.clone() });
    assert!(found.is_valid(at(99)) && !found.is_valid(at(100)));
    assert_eq!(store.token(&Digest::of(b"other")).await.unwrap(), None);
    let mut writing = store.writing(at(6)).await.unwrap();
    assert!(!writing.revoke_token(org(2), token.id).await.unwrap(), "somebody else's");
    assert!(writing.revoke_token(org(1), token.id).await.unwrap());
    writing.commit().await.unwrap();
    assert!(!store.tokens(org(1)).await.unwrap()[0].is_valid(at(7)));
}

async fn a_link_is_used_once(world: World) {
    let store = &world.store;
    members(store).await;
    let link = |secret: &[u8], expires| Link {
        hash: Digest::of(secret),
        purpose: "invitation".to_owned(),
        person: None,
        data: "{}".to_owned(),
        created: at(1),
        expires,
        used: None,
    };
    let mut writing = store.writing(at(5)).await.unwrap();
    for (secret, expires) in [(b"a", at(100)), (b"b", at(10)), (b"c", at(100))] {
        writing.add_link(&link(secret, expires)).await.unwrap();
    }
    writing.commit().await.unwrap();
    let a = Digest::of(b"a");
    assert!(store.link(&a, at(20)).await.unwrap().is_some());
    // Many at once: one gets it.
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut writing = store.writing(at(20)).await.unwrap();
            let got = writing.use_link(&a, "invitation").await.unwrap().is_some();
            writing.commit().await.unwrap();
            got
        }));
    }
    let mut got = 0;
    for task in tasks {
        got += usize::from(task.await.unwrap());
    }
    assert_eq!(got, 1);
    assert_eq!(store.link(&a, at(20)).await.unwrap(), None);
    let mut writing = store.writing(at(20)).await.unwrap();
    assert_eq!(writing.use_link(&Digest::of(b"b"), "invitation").await.unwrap(), None, "expired");
    assert_eq!(writing.use_link(&Digest::of(b"c"), "password").await.unwrap(), None, "for something else");
    assert_eq!(writing.revoke_links("invitation", None).await.unwrap(), 2);
    writing.commit().await.unwrap();
    assert_eq!(store.link(&Digest::of(b"c"), at(20)).await.unwrap(), None);
}

async fn sessions_end(world: World) {
    let store = &world.store;
    members(store).await;
    let session = |secret: &[u8], expires| Session {
        hash: Digest::of(secret),
        person: person(1),
        created: at(1),
        expires,
        csrf: vec![4, 5],
    };
    let mut writing = store.writing(at(5)).await.unwrap();
    for (secret, expires) in [(b"a", at(100)), (b"b", at(10)), (b"c", at(100))] {
        writing.add_session(&session(secret, expires)).await.unwrap();
    }
    writing.commit().await.unwrap();
    let found = store.session(&Digest::of(b"a"), at(99)).await.unwrap();
    assert_eq!(found, Some(session(b"a", at(100))));
    assert_eq!(store.session(&Digest::of(b"a"), at(100)).await.unwrap(), None);
    let mut writing = store.writing(at(20)).await.unwrap();
    assert_eq!(writing.sweep().await.unwrap(), 1);
    assert!(writing.end_session(&Digest::of(b"a")).await.unwrap());
    assert_eq!(writing.end_sessions(person(1)).await.unwrap(), 1);
    writing.commit().await.unwrap();
    assert_eq!(store.session(&Digest::of(b"c"), at(21)).await.unwrap(), None);
}

fn case(n: u128) -> CaseId {
    CaseId::new(Uuid::from_u128(n))
}

fn event(body: &str) -> NewEvent {
    NewEvent { organisation: Some(org(1)), person: Some(person(1)), body: body.to_owned() }
}

async fn cases_are_for_their_participants(world: World) {
    let store = &world.store;
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.put_case(case(1), &amber_to(2), "one").await.unwrap();
    writing.append_event(case(1), 0, &event("opened")).await.unwrap();
    writing.put_case(case(2), &amber_to(3), "two").await.unwrap();
    writing.commit().await.unwrap();
    let mut writing = store.writing(at(11)).await.unwrap();
    let message = |policy, body: &str| NewMessage {
        organisation: Some(org(1)),
        person: None,
        policy,
        body: body.to_owned(),
    };
    writing.append_message(case(1), &message(None, "to all")).await.unwrap();
    writing.commit().await.unwrap();
    let two = store.reading(&member(2), at(20)).await.unwrap();
    let before = two.cases(None, 10).await.unwrap();
    let mut writing = store.writing(at(12)).await.unwrap();
    writing.append_message(case(1), &message(Some(tlp(1, Tlp::Amber)), "among us")).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(two.cases(None, 10).await.unwrap(), before, "a message to others shows in the list");
    assert_eq!(before.iter().map(|case| case.summary.as_str()).collect::<Vec<_>>(), ["one"]);
    assert_eq!(two.case(case(2)).await.unwrap(), None);
    assert_eq!(two.case_events(case(2)).await.unwrap(), []);
    assert_eq!(two.case_events(case(1)).await.unwrap()[0].body, "opened");
    let bodies = async |reader| {
        let reading = store.reading(&reader, at(20)).await.unwrap();
        let messages = reading.case_messages(case(1), 0, 10).await.unwrap();
        messages.into_iter().map(|message| message.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(member(2)).await, ["to all"]);
    assert_eq!(bodies(member(1)).await, ["to all", "among us"]);
    assert_eq!(bodies(member(3)).await, [""; 0]);
    let one = store.reading(&member(1), at(20)).await.unwrap();
    let first = one.cases(None, 1).await.unwrap();
    let second = one.cases(first.first(), 1).await.unwrap();
    assert_eq!((first[0].id, second[0].id), (case(1), case(2)));
    assert_eq!(one.cases(second.first(), 1).await.unwrap(), []);
    assert_eq!(store.custody().case_events(case(1)).await.unwrap().len(), 1);
}

async fn an_event_on_an_older_state_is_refused(world: World) {
    let store = &world.store;
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.put_case(case(1), &amber_to(2), "one").await.unwrap();
    assert_eq!(writing.append_event(case(1), 0, &event("a")).await.unwrap(), 1);
    assert_eq!(writing.append_event(case(1), 1, &event("b")).await.unwrap(), 2);
    let error = writing.append_event(case(1), 1, &event("c")).await.unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    let error = writing.append_event(case(9), 0, &event("c")).await.unwrap_err();
    assert!(matches!(error, Error::Missing { what: "case" }), "{error}");
    writing.commit().await.unwrap();
    let events = store.custody().case_events(case(1)).await.unwrap();
    assert_eq!(
        events.iter().map(|event| (event.number, event.body.as_str())).collect::<Vec<_>>(),
        [(1, "a"), (2, "b")]
    );
}

async fn what_falls_due_is_told_in_order(world: World) {
    let store = &world.store;
    let due = |name: &str, seconds, policy| NewDue {
        name: name.to_owned(),
        due: at(seconds),
        party: Some(org(2)),
        policy,
        detail: "{}".to_owned(),
    };
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.set_due("case 1", &[due("old", 1, amber_to(2))]).await.unwrap();
    writing.set_due("case 1", &[due("late", 300, amber_to(2)), due("soon", 100, amber_to(2))]).await.unwrap();
    writing.set_due("case 2", &[due("first", 50, amber_to(3)), due("far", 9000, amber_to(2))]).await.unwrap();
    writing.commit().await.unwrap();
    let reading = store.reading(&member(2), at(20)).await.unwrap();
    let names = |all: Vec<ostrom_store::Due>| all.into_iter().map(|due| due.name).collect::<Vec<_>>();
    assert_eq!(names(reading.due_before(at(1000), 10).await.unwrap()), ["soon", "late"]);
    assert_eq!(names(reading.due_before(at(300), 10).await.unwrap()), ["soon"]);
    assert_eq!(names(reading.due_of("case 2").await.unwrap()), ["far"]);
    assert_eq!(names(store.custody().due_of("case 1").await.unwrap()), ["soon", "late"]);
}

async fn what_is_late_of_one_kind_holds_up_nothing_of_another(world: World) {
    let store = &world.store;
    let mut writing = store.writing(at(10)).await.unwrap();
    let due = |seconds| NewDue {
        name: "x".to_owned(),
        due: at(seconds),
        party: Some(org(2)),
        policy: amber_to(2),
        detail: String::new(),
    };
    // Somebody else's clock may have stood at the beginning of all times.
    for number in 0..20 {
        writing.set_due(&format!("incident--{number}/2"), &[due(-1_000_000)]).await.unwrap();
    }
    for (number, seconds) in [(1, 100), (2, 50), (3, 9000), (4, 70)] {
        writing.set_due(&format!("case/{number}"), &[due(seconds)]).await.unwrap();
    }
    writing.commit().await.unwrap();
    let custody = store.custody();
    let first = custody.due_subjects("case/", at(1000), None, 2).await.unwrap();
    assert_eq!(first, ["case/1", "case/2"]);
    assert_eq!(custody.due_subjects("case/", at(1000), Some("case/2"), 2).await.unwrap(), ["case/4"]);
    assert_eq!(custody.due_subjects("case/", at(1000), Some("case/4"), 2).await.unwrap(), [""; 0]);
}

async fn notifications_do_not_outlive_the_right_to_see(world: World) {
    let store = &world.store;
    members(store).await;
    add_collections(store, &[1]).await;
    put(store, 5, vec![object(id("note", 1), 1, amber_to(2)), object(id("note", 2), 1, amber_to(3))]).await;
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.put_case(case(1), &amber_to(2), "one").await.unwrap();
    for (subject, text) in [
        (Subject::Object(id("note", 1)), "seen"),
        (Subject::Object(id("note", 2)), "hidden"),
        (Subject::Case(case(1)), "case"),
        (Subject::Membership, "welcome"),
    ] {
        let new =
            NewNotification { person: person(2), kind: "new".to_owned(), subject, text: text.to_owned() };
        writing.notify(&new).await.unwrap();
    }
    writing.commit().await.unwrap();
    let texts = async || {
        let reading = store.reading(&member(2), at(20)).await.unwrap();
        let all = reading.notifications(None, 10).await.unwrap();
        assert_eq!(
            reading.unseen().await.unwrap(),
            all.iter().filter(|one| one.seen.is_none()).count() as u64
        );
        all.into_iter().map(|one| (one.text, one.number)).collect::<Vec<_>>()
    };
    let found = texts().await;
    assert_eq!(found.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["welcome", "case", "seen"]);
    let mut writing = store.writing(at(11)).await.unwrap();
    writing.put_case(case(1), &amber_to(3), "one").await.unwrap();
    writing.remove(coll(1), &id("note", 1), None, None).await.unwrap();
    assert_eq!(writing.seen(person(2), found[0].1).await.unwrap(), 4);
    writing.commit().await.unwrap();
    assert_eq!(texts().await, [("welcome".to_owned(), found[0].1)]);
    let machine = ostrom_core::handling::Reader { person: None, ..member(2) };
    assert_eq!(store.reading(&machine, at(20)).await.unwrap().notifications(None, 10).await.unwrap(), []);
}

async fn peers_settings_views_and_statuses_are_kept(world: World) {
    let store = &world.store;
    members(store).await;
    let mut peer = Peer {
        id: PeerId::new(Uuid::from_u128(1)),
        url: "https://node.example".to_owned(),
        name: "Node".to_owned(),
        public_key: "key".to_owned(),
        organisation: Some(org(1)),
        limits: Some(tlp(1, Tlp::Green)),
        cursor: None,
        checkpoint: None,
        state: PeerState::Active,
        tried: None,
        succeeded: None,
        problem: None,
        created: at(1),
    };
    let posting = Posting {
        id: Uuid::from_u128(5),
        owner: "token 1".to_owned(),
        requested: at(4),
        body: "pending".to_owned(),
    };
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.put_peer(&peer).await.unwrap();
    peer.cursor = Some("17".to_owned());
    peer.state = PeerState::Distrusted;
    peer.succeeded = Some(at(9));
    writing.put_peer(&peer).await.unwrap();
    writing.set_setting("b", Some("1")).await.unwrap();
    writing.set_setting("a", Some("2")).await.unwrap();
    writing.set_setting("b", Some("3")).await.unwrap();
    writing.set_setting("a", None).await.unwrap();
    writing.save_view(person(1), "mine", "kind=note").await.unwrap();
    writing.save_view(person(1), "mine", "kind=report").await.unwrap();
    writing.put_posting(&posting).await.unwrap();
    writing
        .put_posting(&Posting { body: "complete".to_owned(), owner: "other".to_owned(), ..posting.clone() })
        .await
        .unwrap();
    writing.commit().await.unwrap();
    assert_eq!(store.peer(peer.id).await.unwrap(), Some(peer.clone()));
    assert_eq!(store.peers().await.unwrap(), [peer.clone()]);
    assert_eq!(store.setting("b").await.unwrap().as_deref(), Some("3"));
    assert_eq!(store.settings().await.unwrap(), [("b".to_owned(), "3".to_owned())]);
    let view = SavedView { name: "mine".to_owned(), query: "kind=report".to_owned(), created: at(10) };
    assert_eq!(store.saved_views(person(1)).await.unwrap(), [view]);
    assert_eq!(store.posting(posting.id, "other").await.unwrap(), None, "an owner changed");
    assert_eq!(store.posting(posting.id, "token 1").await.unwrap().unwrap().body, "complete");
    let mut writing = store.writing(at(11)).await.unwrap();
    assert_eq!(writing.forget_postings(at(5)).await.unwrap(), 1);
    assert!(writing.remove_peer(peer.id).await.unwrap());
    assert!(writing.remove_view(person(1), "mine").await.unwrap());
    writing.commit().await.unwrap();
    assert_eq!(store.peers().await.unwrap(), []);
}

async fn collections_are_shown_to_whom_they_are_for(world: World) {
    let store = &world.store;
    let mut writing = store.writing(at(1)).await.unwrap();
    writing.put_collection(&collection(1)).await.unwrap();
    let mut second = collection(2);
    second.may_read = Some(amber_to(2));
    second.may_write = Some(amber_to(2));
    second.handling = clear().handlings().next().cloned();
    writing.put_collection(&second).await.unwrap();
    writing.commit().await.unwrap();
    let mut third = collection(3);
    third.alias = Some("c1".to_owned());
    let error = store.writing(at(2)).await.unwrap().put_collection(&third).await.unwrap_err();
    assert!(matches!(error, Error::Taken { what: "the collection's alias" }), "{error}");
    let names = async |reader| {
        let reading = store.reading(&reader, at(10)).await.unwrap();
        assert_eq!(
            reading.collection("c2").await.unwrap(),
            reading.collection(&coll(2).to_string()).await.unwrap()
        );
        let all = reading.collections().await.unwrap();
        all.into_iter().map(|collection| collection.id).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(member(2)).await, [coll(1), coll(2)].into());
    assert_eq!(names(anybody()).await, [coll(1)].into());
    let found = store.reading(&member(2), at(10)).await.unwrap().collection("c2").await.unwrap().unwrap();
    assert_eq!(found, second);
    assert!(found.writable(&member(2), at(10)) && !found.writable(&member(3), at(10)));
    assert!(!collection(1).writable(&member(2), at(10)), "where nobody is named, somebody writes");
}
