use std::collections::BTreeMap;

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{ObjectId, Timestamp};
use proptest::prelude::*;

use super::world::*;
use crate::federation::*;

/// What can happen to a ring of nodes. Node `n` pulls from the one before it.
#[derive(Debug, Clone)]
enum Step {
    /// A node writes a new object, or a new version of one of its own.
    Write { node: usize, object: u128, to: Vec<usize> },
    /// A node removes one of its own objects.
    Remove { node: usize, object: u128 },
    /// A node pulls, and this becomes of its requests.
    Pull { node: usize, faults: Vec<Fault> },
    /// A node's process ends and begins again.
    Restart { node: usize },
}

fn steps(nodes: usize) -> impl Strategy<Value = Vec<Step>> {
    let fault = prop::sample::select(vec![Fault::None, Fault::None, Fault::Cut, Fault::Lost, Fault::Half]);
    let node = 0..nodes;
    let to = prop::collection::vec(0..nodes, 0..3);
    let step = prop_oneof![
        5 => (node.clone(), 0_u128..3, to).prop_map(|(node, object, to)| Step::Write { node, object, to }),
        1 => (node.clone(), 0_u128..3).prop_map(|(node, object)| Step::Remove { node, object }),
        5 => (node.clone(), prop::collection::vec(fault, 0..3)).prop_map(|(node, faults)| Step::Pull { node, faults }),
        1 => node.prop_map(|node| Step::Restart { node }),
    ];
    prop::collection::vec(step, 1..24)
}

/// What was written and not removed: where, and for whom.
type Written = BTreeMap<(ObjectId, Timestamp), (usize, Policy)>;

async fn play(nodes: usize, steps: Vec<Step>) {
    let mut ring = Vec::new();
    for number in 0..nodes {
        ring.push(Node::new(number).await);
    }
    let before = |node: usize| (node + nodes - 1) % nodes;
    for node in 0..nodes {
        ring[node].trust(&ring[before(node)], None).await;
    }
    let mut written = Written::new();
    let mut hours = 1;
    for step in steps {
        hours += 1;
        let now = at(hours);
        match step {
            Step::Write { node, object, to } => {
                let (object, own) = (id(100 * node as u128 + object), policy(node, &to));
                ring[node].write(&object, now, &own, now).await;
                written.insert((object, now), (node, own));
            }
            Step::Remove { node, object } => {
                let object = id(100 * node as u128 + object);
                ring[node].remove(&object, now).await;
                written.retain(|(id, _), _| *id != object);
            }
            Step::Pull { node, faults } => {
                let wire = ring[before(node)].wire(node, now);
                *wire.faults.lock().unwrap() = faults;
                let _ = ring[node].pull(&wire, before(node)).await;
            }
            Step::Restart { node } => {
                let old = ring.remove(node);
                ring.insert(node, old.restart().await);
            }
        }
    }
    for _ in 0..nodes {
        for node in 0..nodes {
            hours += 1;
            let wire = ring[before(node)].wire(node, at(hours));
            let pulled = ring[node].pull(&wire, before(node)).await.unwrap();
            assert!(pulled.complete);
            let harmless = |why: &Skipped| matches!(why, Skipped::Known | Skipped::Ours);
            assert!(pulled.skipped.keys().all(harmless), "{:?}", pulled.skipped);
        }
    }
    check(&ring, &written, at(hours)).await;
    // Nothing is left to do.
    for node in 0..nodes {
        let pulled = ring[node].pull(&ring[before(node)].wire(node, at(hours)), before(node)).await.unwrap();
        assert_eq!((pulled.taken, pulled.removed), (0, 0));
    }
}

async fn check(ring: &[Node], written: &Written, now: Timestamp) {
    let readers: Vec<Reader> = (0..4).map(reader).chain([Reader::anonymous(true)]).collect();
    for node in ring {
        let mut expected = 0;
        for ((id, version), (origin, own)) in written {
            // Every node on the way must have been allowed to see it.
            let way = (1..ring.len()).map(|step| (origin + step) % ring.len());
            let mut reached = node.number == *origin;
            for stop in way {
                if reached || !own.allows(&reader(stop), now) {
                    break;
                }
                reached = stop == node.number;
            }
            let kept = node.kept(id).await;
            let here: Vec<_> = kept.iter().filter(|kept| kept.version == *version).collect();
            assert_eq!(here.len(), usize::from(reached), "{id} of node {origin} at node {}", node.number);
            expected += here.len();
            for kept in here {
                for reader in &readers {
                    let wider = kept.effective.allows(reader, now) && !own.allows(reader, now);
                    assert!(!wider, "{id} is wider at node {}", node.number);
                }
            }
        }
        let all = node.store.custody().page(COLLECTION, None, 1_000).await.unwrap().rows;
        let ids: std::collections::BTreeSet<_> = all.into_iter().map(|entry| entry.key.id).collect();
        let mut total = 0;
        for id in &ids {
            total += node.kept(id).await.len();
        }
        assert_eq!(
            total, expected,
            "node {} has something that nobody wrote or that was removed",
            node.number
        );
    }
}

fn run(nodes: usize, steps: Vec<Step>) {
    tokio::runtime::Runtime::new().unwrap().block_on(play(nodes, steps));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_end_with_everything_once(steps in steps(2)) {
        run(2, steps);
    }

    #[test]
    fn three_nodes_in_a_ring_end_with_everything_once(steps in steps(3)) {
        run(3, steps);
    }
}

#[test]
fn an_object_goes_round_the_ring_and_stops_where_it_came_from() {
    let pull = |node| Step::Pull { node, faults: Vec::new() };
    let write = Step::Write { node: 0, object: 1, to: Vec::new() };
    run(3, vec![write, pull(1), pull(2), pull(0), pull(1), Step::Restart { node: 2 }, pull(2), pull(0)]);
}

#[test]
fn what_is_removed_at_its_origin_goes_from_the_whole_ring() {
    let pull = |node| Step::Pull { node, faults: Vec::new() };
    let write = Step::Write { node: 0, object: 1, to: Vec::new() };
    run(3, vec![write, pull(1), pull(2), Step::Remove { node: 0, object: 1 }, pull(1), pull(2), pull(0)]);
}
