//! Whose word counts for what.

use ostrom_core::handling::{Embargo, Handling, Iep, Obligation, Party, Policy, Tlp};
use ostrom_core::{ObjectId, PersonId, Uuid};

use super::world::*;
use crate::federation::*;
use crate::stix::marking::{self, IEP_EXTENSION};

fn clear(owner: usize) -> Policy {
    policy(owner, &[])
}

fn one(handling: Handling) -> Policy {
    Policy::new([handling])
}

/// The definitions of a handling's marks, and what an object has to carry for them.
fn marked(handling: &Handling) -> (Vec<serde_json::Value>, String) {
    let marks = marking::marks(handling).unwrap();
    (marks.definitions, format!(r#","object_marking_refs":{}"#, serde_json::to_string(&marks.refs).unwrap()))
}

async fn put(node: &Node, number: u128, own: &Policy, marks: &str) {
    node.write_raw(&id(number), at(1), own, Node::body(&id(number), at(1), marks), None, at(1)).await;
}

#[tokio::test]
async fn a_peer_does_not_speak_for_a_member_of_this_node() {
    let (evil, good) = (Node::new(0).await, Node::new(1).await);
    good.trust(&evil, None).await;
    // It says that good's own organisation shared it, decides on its marks, and that somebody of good wrote it.
    let author = PersonId::new(Uuid::from_u128(7));
    let own = one(Handling { author: Some(author), ..Handling::new(org(1), Tlp::Clear) });
    let body = Node::body(&id(1), at(1), "");
    evil.write_for(org(1), &id(1), at(1), &own, body, None, at(1)).await;
    evil.write(&id(2), at(1), &clear(0), at(1)).await;
    assert_eq!(good.pull(&evil.wire(1, at(2)), 0).await.unwrap().taken, 2);
    let kept = &good.kept(&id(1)).await[0];
    assert_ne!(kept.owner, org(1));
    let handling = kept.own.handlings().next().unwrap();
    assert_eq!((handling.owner, handling.author), (kept.owner, None));
    // In its own name it speaks.
    assert_eq!(good.kept(&id(2)).await[0].owner, org(0));
}

#[tokio::test]
async fn a_relay_does_not_speak_for_another_member_but_that_members_node_does() {
    let (origin, relay, far) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    relay.trust(&origin, None).await;
    far.trust(&relay, None).await;
    origin.write(&id(1), at(1), &clear(0), at(1)).await;
    relay.pull(&origin.wire(1, at(2)), 0).await.unwrap();
    // To the far node the origin is a member, and no peer: the relay's word is not that member's.
    let mut writing = far.store.writing(at(2)).await.unwrap();
    writing.put_organisation(&organisation(0)).await.unwrap();
    writing.commit().await.unwrap();
    far.pull(&relay.wire(2, at(3)), 1).await.unwrap();
    assert_ne!(far.kept(&id(1)).await[0].owner, org(0));
    // Signed by the member's node, which is a peer, it is.
    far.trust(&origin, None).await;
    origin.write(&id(2), at(1), &clear(0), at(4)).await;
    relay.pull(&origin.wire(1, at(5)), 0).await.unwrap();
    far.pull(&relay.wire(2, at(6)), 1).await.unwrap();
    let kept = &far.kept(&id(2)).await[0];
    assert_eq!(kept.owner, org(0));
    let provenance = Provenance::of(kept.aside.as_deref()).unwrap();
    assert_eq!(provenance.path, [name(0), name(1)]);
    let note = provenance.signed.unwrap().note;
    let note = ostrom_trust::log::Note::parse(note.as_bytes()).unwrap();
    note.verify(std::slice::from_ref(origin.peer_key().log())).unwrap();
    assert!(note.text().contains(&format!("object {}\n", id(2))), "{}", note.text());
}

/// A relay that keeps `signed` as the word of node 0.
async fn relayed(relay: &Node, number: u128, own: &Policy, body: Vec<u8>, signed: Option<Origin>) {
    let aside = serde_json::json!({ "federation": Provenance { path: vec![name(0)], signed } });
    relay.write_raw(&id(number), at(1), own, body, Some(aside.to_string()), at(2)).await;
}

#[tokio::test]
async fn what_a_relay_says_of_an_origin_is_checked_against_the_origins_signature() {
    let (origin, relay, far) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    relay.trust(&origin, None).await;
    far.trust(&relay, None).await;
    far.trust(&origin, None).await;
    origin.write(&id(9), at(1), &policy(0, &[1, 2]), at(1)).await;
    relay.pull(&origin.wire(1, at(2)), 0).await.unwrap();
    let signed = Provenance::of(relay.kept(&id(9)).await[0].aside.as_deref()).unwrap().signed.unwrap();
    let body = |number| Node::body(&id(number), at(1), "");
    // Made up, or the signature of something else, or of a handling that is not the one that was signed.
    relayed(&relay, 1, &clear(0), body(1), None).await;
    relayed(&relay, 2, &clear(0), body(2), Some(signed.clone())).await;
    let wider = Origin { own: clear(0), ..signed.clone() };
    relayed(&relay, 3, &clear(0), body(3), Some(wider)).await;
    let text = format!("ostrom-origin/v1\nnode {}\n", name(0));
    let forged = ostrom_trust::log::Note::sign(&text, &name(0), &relay.key).unwrap().to_string();
    relayed(&relay, 4, &clear(0), body(4), Some(Origin { note: forged, ..signed.clone() })).await;
    let pulled = far.pull(&relay.wire(2, at(3)), 1).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::Origin]), (1, 4));
    // The true one is taken, and no wider than the origin made it whatever the relay says.
    let kept = &far.kept(&id(9)).await[0];
    assert!(kept.own.allows(&reader(2), at(4)) && !kept.own.allows(&reader(3), at(4)));
}

#[tokio::test]
async fn a_relay_removes_nothing_that_the_origin_has_not_removed() {
    let (origin, relay, far) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    relay.trust(&origin, None).await;
    far.trust(&relay, None).await;
    far.trust(&origin, None).await;
    for number in [1, 2] {
        origin.write(&id(number), at(1), &clear(0), at(1)).await;
    }
    relay.pull(&origin.wire(1, at(2)), 0).await.unwrap();
    assert_eq!(far.pull(&relay.wire(2, at(3)), 1).await.unwrap().taken, 2);
    // The relay makes it up: it stays where the origin's key is known.
    relay.remove(&id(1), at(4)).await;
    let pulled = far.pull(&relay.wire(2, at(5)), 1).await.unwrap();
    assert_eq!((pulled.removed, pulled.skipped.get(&Skipped::Origin)), (0, Some(&1)));
    assert_eq!(far.kept(&id(1)).await.len(), 1);
    // What the origin removed, the relay passes on with the origin's signature, and the origin itself says so too.
    origin.remove(&id(2), at(6)).await;
    assert_eq!(relay.pull(&origin.wire(1, at(7)), 0).await.unwrap().removed, 1);
    assert_eq!(far.pull(&relay.wire(2, at(8)), 1).await.unwrap().removed, 1);
    assert_eq!((far.kept(&id(2)).await.len(), far.kept(&id(1)).await.len()), (0, 1));
    // One signature is good for one version of one object.
    let note = super::super::origin::sign_removal(&id(2), at(1), &name(0), &origin.key).unwrap();
    let about = |note: &str, number, version, key: &PeerKey| {
        super::super::origin::is_removal(note, &name(0), &id(number), version, Some(key))
    };
    let key = origin.peer_key();
    assert!(about(&note, 2, at(1), &key));
    assert!(!about(&note, 1, at(1), &key) && !about(&note, 2, at(2), &key));
    assert!(!about(&note, 2, at(1), &relay.peer_key()) && !about("", 2, at(1), &key));
    let forged = super::super::origin::sign_removal(&id(2), at(1), &name(0), &relay.key).unwrap();
    assert!(!about(&forged, 2, at(1), &key));
    // Where the origin's key is not known, the word of whoever gave it counts, as for the object itself.
    let stranger = Node::new(3).await;
    stranger.trust(&far, None).await;
    assert_eq!(stranger.pull(&far.wire(3, at(9)), 2).await.unwrap().taken, 1);
    origin.remove(&id(1), at(10)).await;
    assert_eq!(far.pull(&origin.wire(2, at(11)), 0).await.unwrap().removed, 1);
    assert_eq!(stranger.pull(&far.wire(3, at(12)), 2).await.unwrap().removed, 1);
}

#[tokio::test]
async fn a_relay_cannot_open_what_the_origin_closed() {
    let (origin, relay, far) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    relay.trust(&origin, None).await;
    far.trust(&relay, None).await;
    far.trust(&origin, None).await;
    origin.write(&id(1), at(1), &policy(0, &[1, 2]), at(1)).await;
    relay.pull(&origin.wire(1, at(2)), 0).await.unwrap();
    // Another relay has the same, with the origin's signature, and says that it is for everybody.
    let aside = relay.kept(&id(1)).await[0].aside.clone();
    let liar = Node::new(3).await;
    far.trust(&liar, None).await;
    liar.write_raw(&id(1), at(1), &clear(0), Node::body(&id(1), at(1), ""), aside, at(2)).await;
    assert_eq!(far.pull(&liar.wire(2, at(5)), 3).await.unwrap().taken, 1);
    let kept = &far.kept(&id(1)).await[0];
    assert!(kept.own.allows(&reader(2), at(6)) && !kept.own.allows(&reader(3), at(6)));
}

#[tokio::test]
async fn recipients_embargoes_and_groups_in_the_marks_count_whatever_the_peer_says() {
    let (evil, good) = (Node::new(0).await, Node::new(1).await);
    good.trust(&evil, None).await;
    let named =
        Handling { audience: [Party::Organisation(org(1))].into(), ..Handling::new(org(0), Tlp::Amber) };
    let group = ostrom_core::GroupId::new(Uuid::from_u128(5));
    let grouped = Handling { audience: [Party::Group(group)].into(), ..Handling::new(org(0), Tlp::Green) };
    let embargo = Some(Embargo { until: at(100), parties: Default::default() });
    let embargoed = Handling { embargo, ..Handling::new(org(0), Tlp::Clear) };
    let amber =
        one(Handling { audience: [1, 2, 3].map(|n| Party::Organisation(org(n))).into(), ..named.clone() });
    for (number, handling) in [(1, &named), (2, &grouped), (3, &embargoed)] {
        let (definitions, marks) = marked(handling);
        for definition in definitions {
            let definition_id: ObjectId = definition["id"].as_str().unwrap().parse().unwrap();
            let version = definition["created"].as_str().unwrap().parse().unwrap();
            let body = definition.to_string().into_bytes();
            evil.write_raw(&definition_id, version, &clear(0), body, None, at(1)).await;
        }
        put(&evil, number, &amber, &marks).await;
    }
    assert_eq!(good.pull(&evil.wire(1, at(2)), 0).await.unwrap().taken, 6);
    let readable = |kept: &ostrom_store::Kept| [1, 2, 3].map(|n| kept.effective.allows(&reader(n), at(3)));
    assert_eq!(readable(&good.kept(&id(1)).await[0]), [true, false, false]);
    assert_eq!(readable(&good.kept(&id(2)).await[0]), [false; 3]);
    assert_eq!(readable(&good.kept(&id(3)).await[0]), [false; 3]);
    assert!(good.kept(&id(3)).await[0].effective.allows(&reader(3), at(101)));
}

#[tokio::test]
async fn an_exchange_policy_in_the_marks_counts_and_a_mark_that_is_not_here_is_waited_for() {
    let (evil, good) = (Node::new(0).await, Node::new(1).await);
    good.trust(&evil, None).await;
    let mark = "marking-definition--ffffffff-8ff7-4a4d-aa9d-feb398cd0061";
    let definition = serde_json::json!({
        "type": "marking-definition", "spec_version": "2.1", "id": mark, "created": at(0), "name": "Encrypted",
        "extensions": { IEP_EXTENSION: { "extension_type": "property-extension", "encrypt_in_transit": "must",
            "permitted_actions": "none", "affected_party_notifications": "may", "tlp": "white",
            "provider_attribution": "may", "unmodified_resale": "may", "iep_id": "x", "iep_version": 2.0, "name": "x" } },
    });
    put(&evil, 1, &clear(0), &format!(r#","object_marking_refs":["{mark}"]"#)).await;
    let pulled = good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::Marks]), (0, 1));
    // Its definition comes: the object lies before the cursor, and is found by the next look at everything.
    let body = definition.to_string().into_bytes();
    evil.write_raw(&mark.parse().unwrap(), at(0), &clear(0), body, None, at(3)).await;
    assert_eq!(good.pull(&evil.wire(1, at(30)), 0).await.unwrap().taken, 2);
    let kept = &good.kept(&id(1)).await[0];
    let open = ostrom_core::handling::Reader { encrypted: false, ..reader(1) };
    assert!(kept.effective.allows(&reader(1), at(31)) && !kept.effective.allows(&open, at(31)));
    let iep = |handling: &Handling| {
        handling.iep.as_ref().is_some_and(|it: &Iep| it.encrypt_in_transit == Obligation::Must)
    };
    assert!(kept.own.handlings().any(iep));
}

#[tokio::test]
async fn a_removal_is_in_the_log_of_every_node_that_removes() {
    let (a, b, c) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    b.trust(&a, None).await;
    c.trust(&b, None).await;
    a.write(&id(1), at(1), &clear(0), at(1)).await;
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    c.pull(&b.wire(2, at(3)), 1).await.unwrap();
    a.remove(&id(1), at(4)).await;
    let before = [a.log.size(), b.log.size(), c.log.size()];
    assert_eq!(before, [2, 1, 1]);
    assert_eq!(b.pull(&a.wire(1, at(5)), 0).await.unwrap().removed, 1);
    assert_eq!(c.pull(&b.wire(2, at(6)), 1).await.unwrap().removed, 1);
    assert_eq!([b.log.size(), c.log.size()], [2, 2]);
}

#[tokio::test]
async fn a_removal_that_is_not_in_the_log_is_a_broken_promise() {
    let (evil, good) = (Node::new(0).await, Node::new(1).await);
    good.trust(&evil, None).await;
    evil.write(&id(1), at(1), &clear(0), at(1)).await;
    good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    // The entry is of another reason than the one that is given.
    let logged = crate::commitment::enter_removal(&evil.log, &id(1), at(1), Some("this")).unwrap();
    let mut writing = evil.store.writing(at(3)).await.unwrap();
    writing.remove_logged(COLLECTION, &id(1), Some(at(1)), Some("that"), Some(&logged)).await.unwrap();
    writing.commit().await.unwrap();
    let error = good.pull(&evil.wire(1, at(4)), 0).await.unwrap_err();
    assert!(matches!(error, PullError::Page(PageError::NotCommitted { .. })), "{error}");
    assert_eq!(good.kept(&id(1)).await.len(), 1);
}

#[tokio::test]
async fn pages_that_end_within_one_batch_lose_nothing_and_a_second_pull_finds_nothing() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    // All in one batch, and so at the same time: more than are read at once, and than fit into a page.
    let big = format!(r#","description":"{}""#, "x".repeat(60_000));
    let object = |number| a.object(&id(number), at(1), &clear(0), Node::body(&id(number), at(1), &big));
    a.put((0..100).map(object).collect(), at(1)).await;
    let pulled = b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    assert!(pulled.pages > 1, "{pulled:?}");
    assert_eq!((pulled.taken, pulled.skipped.len()), (100, 0));
    let again = b.pull(&a.wire(1, at(3)), 0).await.unwrap();
    assert_eq!((again.taken, again.skipped.len(), again.pages), (0, 0, 1));
}

/// A wire on which an administrator of the pulling node does something while it waits.
struct Meanwhile<'a>(Wire, &'a Node, bool, bool);

impl Transport for Meanwhile<'_> {
    async fn fetch(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
        let Self(wire, puller, remove, cut) = self;
        let mut writing = puller.store.writing(at(2)).await.unwrap();
        if *remove {
            writing.remove_peer(peer_id(0)).await.unwrap();
        } else {
            let paused =
                ostrom_store::Peer { state: ostrom_store::PeerState::Paused, ..puller.peer(0).await };
            writing.put_peer(&paused).await.unwrap();
        }
        writing.commit().await.unwrap();
        if *cut { Err(TransportError("cut".to_owned())) } else { wire.fetch(request).await }
    }
}

#[tokio::test]
async fn a_peer_that_is_paused_or_removed_while_it_is_pulled_from_stays_so() {
    for (remove, cut) in [(false, false), (false, true), (true, false), (true, true)] {
        let (a, b) = (Node::new(0).await, Node::new(1).await);
        b.trust(&a, None).await;
        a.write(&id(1), at(1), &clear(0), at(1)).await;
        let (store, log, key) = (b.store.clone(), b.log.clone(), b.key.clone());
        let puller = Puller::new(store, log, key, COLLECTION, Default::default());
        let pulled = puller.pull(peer_id(0), &Meanwhile(a.wire(1, at(2)), &b, remove, cut), at(2)).await;
        assert_eq!(pulled.is_ok(), !remove && !cut, "{pulled:?}");
        let state = b.store.peer(peer_id(0)).await.unwrap().map(|peer| peer.state);
        assert_eq!(state, (!remove).then_some(ostrom_store::PeerState::Paused), "{remove} {cut}");
    }
}
