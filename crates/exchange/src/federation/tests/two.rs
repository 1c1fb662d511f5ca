use ostrom_core::handling::{Embargo, Handling, Policy, Tlp};

use super::world::*;
use crate::commitment::Opening;
use crate::federation::*;

#[tokio::test]
async fn a_node_takes_what_it_may_see_once_and_nothing_else() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    let objects = [(1, policy(0, &[])), (2, policy(0, &[1])), (3, policy(0, &[2])), (4, policy(0, &[1, 2]))];
    for (number, own) in &objects {
        a.write(&id(*number), at(1), own, at(1)).await;
    }
    let wire = a.wire(1, at(2));
    let pulled = b.pull(&wire, 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.complete), (3, true));
    let again = b.pull(&wire, 0).await.unwrap();
    assert_eq!((again.taken, again.pages), (0, 1));
    for (number, own) in &objects {
        let kept = b.kept(&id(*number)).await;
        assert_eq!(kept.len(), usize::from(*number != 3));
        for kept in kept {
            assert_eq!(&kept.own, own);
            assert_eq!(kept.digest, a.kept(&id(*number)).await[0].digest);
            assert_eq!(Provenance::of(kept.aside.as_deref()).unwrap().path, [name(0)]);
        }
    }
}

#[tokio::test]
async fn a_peers_limits_make_it_stricter_and_never_wider() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, Some(policy(0, &[2]))).await;
    a.write(&id(1), at(1), &policy(0, &[]), at(1)).await;
    a.write(&id(2), at(1), &policy(0, &[1]), at(1)).await;
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    let allowed = |policy: &Policy| [1, 2, 3].map(|number| policy.allows(&reader(number), at(3)));
    assert_eq!(allowed(&b.kept(&id(1)).await[0].effective), [false, true, false]);
    assert_eq!(allowed(&b.kept(&id(2)).await[0].effective), [false, false, false]);
}

#[tokio::test]
async fn what_refers_to_something_strict_is_as_strict_at_the_other_node() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    let (strict, refers) = (id(1), id(2));
    // What it refers to does not arrive: it is no object.
    a.write_raw(&strict, at(1), &policy(0, &[1]), b"{".to_vec(), None, at(1)).await;
    let body = Node::body(&refers, at(1), &format!(r#","x_ref":"{strict}""#));
    a.write_raw(&refers, at(1), &policy(0, &[]), body, None, at(1)).await;
    assert!(!a.kept(&refers).await[0].effective.allows(&reader(2), at(3)));
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    assert!(b.kept(&strict).await.is_empty());
    assert!(!b.kept(&refers).await[0].effective.allows(&reader(2), at(3)));
    assert!(b.kept(&refers).await[0].effective.allows(&reader(1), at(3)));
}

#[tokio::test]
async fn what_has_no_version_is_the_same_thing_on_every_node() {
    let (a, b, c) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    b.trust(&a, None).await;
    c.trust(&a, None).await;
    c.trust(&b, None).await;
    let software: ostrom_core::ObjectId = "software--11111111-1111-5111-8111-111111111111".parse().unwrap();
    let body = format!(r#"{{"type":"software","spec_version":"2.1","id":"{software}","name":"x"}}"#);
    a.write_raw(&software, at(1), &policy(0, &[]), body.clone().into_bytes(), None, at(1)).await;
    b.write_raw(&software, at(2), &policy(1, &[]), body.into_bytes(), None, at(2)).await;
    for (node, from) in [(&b, &a), (&c, &b), (&c, &a), (&b, &a), (&c, &b)] {
        node.pull(&from.wire(node.number, at(3)), from.number).await.unwrap();
    }
    for node in [&a, &b, &c] {
        assert_eq!(node.kept(&software).await.len(), 1, "node {}", node.number);
    }
    // What is our own stays what we said of it.
    assert_eq!(b.kept(&software).await[0].own, policy(1, &[]));
}

#[tokio::test]
async fn what_the_origin_removes_is_removed_and_does_not_come_back() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    a.write(&id(1), at(1), &policy(0, &[]), at(1)).await;
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    a.remove(&id(1), at(3)).await;
    let pulled = b.pull(&a.wire(1, at(4)), 0).await.unwrap();
    assert_eq!(pulled.removed, 1);
    assert!(b.kept(&id(1)).await.is_empty());
    // Somebody at the origin puts it back, as it was: here it was removed.
    a.write(&id(1), at(1), &policy(0, &[]), at(5)).await;
    let pulled = b.pull(&a.wire(1, at(30)), 0).await.unwrap();
    assert_eq!((pulled.taken, b.kept(&id(1)).await.len()), (0, 0));
}

#[tokio::test]
async fn what_becomes_visible_behind_the_cursor_is_found_by_the_next_look_at_everything() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    let embargo = Some(Embargo { until: at(10), parties: Default::default() });
    let own = Policy::new([Handling { embargo, ..Handling::new(org(0), Tlp::Clear) }]);
    a.write(&id(1), at(1), &own, at(1)).await;
    a.write(&id(2), at(1), &policy(0, &[]), at(1)).await;
    assert_eq!(b.pull(&a.wire(1, at(2)), 0).await.unwrap().taken, 1);
    assert_eq!(b.pull(&a.wire(1, at(11)), 0).await.unwrap().taken, 0, "it lies before the cursor");
    let pulled = b.pull(&a.wire(1, at(27)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::Known]), (1, 1));
}

#[tokio::test]
async fn many_pages_with_cuts_between_them_are_taken_once() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    let big = format!(r#","description":"{}""#, "x".repeat(900_000));
    for number in 0..12 {
        let body = Node::body(&id(number), at(1), &big);
        a.write_raw(&id(number), at(1), &policy(0, &[]), body, None, at(1)).await;
    }
    let wire = a.wire(1, at(2));
    // The last comes first.
    *wire.faults.lock().unwrap() = vec![Fault::Half, Fault::Lost, Fault::None, Fault::Cut, Fault::None];
    let mut rounds = 0;
    while !b.pull(&wire, 0).await.is_ok_and(|pulled| pulled.complete) {
        rounds += 1;
        assert!(rounds < 10);
    }
    assert_eq!(rounds, 3, "each fault but one ended a pull");
    for number in 0..12 {
        assert_eq!(b.kept(&id(number)).await.len(), 1);
    }
}

#[tokio::test]
async fn nodes_witness_each_others_logs() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    a.trust(&b, None).await;
    b.trust(&a, None).await;
    a.write(&id(1), at(1), &policy(0, &[]), at(1)).await;
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    let pulled = a.pull(&b.wire(0, at(3)), 1).await.unwrap();
    let note = pulled.cosigned.unwrap();
    let checkpoint = ostrom_trust::log::SignedCheckpoint::open(note.as_bytes(), a.log.verifier()).unwrap();
    let witness = b.peer_key().witness().clone();
    let signed = checkpoint.cosigned(std::slice::from_ref(&witness)).unwrap();
    assert_eq!(signed[0].time, Some(2 * 3_600));
    a.log.publish(&checkpoint).unwrap();
    // A member who is not that peer does not get it.
    let other = a.pull(&b.wire(2, at(4)), 1).await.unwrap();
    assert_eq!(other.cosigned, None);
}

#[tokio::test]
async fn what_was_taken_has_a_commitment_of_its_own_here() {
    let (a, b) = (Node::new(0).await, Node::new(1).await);
    b.trust(&a, None).await;
    a.write(&id(1), at(1), &policy(0, &[]), at(1)).await;
    b.pull(&a.wire(1, at(2)), 0).await.unwrap();
    let reading = b.store.reading(&reader(3), at(3)).await.unwrap();
    let object = reading.get(&id(1), None).await.unwrap().unwrap();
    let salt = crate::commitment::Salt::from_bytes(object.head.salt.unwrap().try_into().unwrap());
    let own = ostrom_trust::canonical_json(&object.own).unwrap();
    let parts = vec![ostrom_core::Digest::of(&object.body), ostrom_core::Digest::of(&own)];
    let checkpoint = b.log.checkpoint().unwrap();
    let mut tiles = ostrom_trust::log::Tiles::new(b.log.folder(), &checkpoint);
    let leaf = object.head.leaf.unwrap();
    let kind = crate::commitment::Kind::Object;
    let opening = Opening::new(kind, parts, salt, leaf, &checkpoint, b.log.verifier(), &mut tiles).unwrap();
    opening.verify(&[&object.body, &own], b.log.verifier()).unwrap();
}
