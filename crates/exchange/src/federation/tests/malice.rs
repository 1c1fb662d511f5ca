use std::sync::Arc;

use ostrom_core::handling::{Policy, Tlp};
use ostrom_store::PeerState;
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, Options};
use proptest::prelude::*;

use super::world::*;
use crate::federation::*;
use crate::stix::marking::tlp_id;

/// An evil node and the one that trusts it.
async fn pair() -> (Node, Node) {
    let (evil, good) = (Node::new(0).await, Node::new(1).await);
    good.trust(&evil, None).await;
    (evil, good)
}

fn everybody() -> Policy {
    policy(0, &[])
}

async fn distrusted(good: &Node, wire: &Wire) -> PageError {
    let error = good.pull(wire, 0).await.unwrap_err();
    let peer = good.peer(0).await;
    assert_eq!(peer.state, PeerState::Distrusted, "{error}");
    assert_eq!(peer.problem, Some(error.to_string()));
    assert!(matches!(good.pull(wire, 0).await, Err(PullError::NotActive(PeerState::Distrusted))));
    match error {
        PullError::Page(error) => error,
        other => panic!("{other}"),
    }
}

/// The page is refused, and the peer is not blamed for what anybody on the way can do.
async fn refused(good: &Node, wire: &Wire) -> PageError {
    let error = good.pull(wire, 0).await.unwrap_err();
    let peer = good.peer(0).await;
    assert_eq!((peer.state, peer.problem), (PeerState::Active, Some(error.to_string())));
    match error {
        PullError::Page(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_page_signed_by_another_key_is_not_believed() {
    let (evil, good) = pair().await;
    evil.write(&id(1), at(1), &everybody(), at(1)).await;
    let mut wire = evil.wire(1, at(2));
    let other = Arc::new(SecretKey::generate().unwrap());
    wire.server = Server::new(evil.store.clone(), Arc::clone(&evil.log), other);
    assert!(matches!(refused(&good, &wire).await, PageError::Signature(_)));
    assert!(good.kept(&id(1)).await.is_empty());
}

#[tokio::test]
async fn an_old_page_is_not_the_answer_to_a_new_request() {
    let (evil, good) = pair().await;
    evil.write(&id(1), at(1), &everybody(), at(1)).await;
    let mut wire = evil.wire(1, at(2));
    let first: Arc<std::sync::OnceLock<Vec<u8>>> = Arc::default();
    wire.change = Box::new(move |page| first.get_or_init(|| page).clone());
    good.pull(&wire, 0).await.unwrap();
    assert!(matches!(refused(&good, &wire).await, PageError::NotTheAnswer));
}

/// A server of the same name and key over another log.
fn other_log(evil: &Node, folder: &std::path::Path, entries: u8) -> Server {
    let log = Log::open(folder, Arc::clone(&evil.key), &name(0), &Options::default()).unwrap();
    for entry in 0..entries {
        log.append(&[entry; 32]).unwrap();
    }
    Server::new(evil.store.clone(), Arc::new(log), Arc::clone(&evil.key))
}

/// Lets a server serve as if it knew no more of its log than it has.
struct Liar(Wire);

impl Transport for Liar {
    async fn fetch(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
        let wire = &self.0;
        let reading = wire.store.reading(&reader(3), wire.now).await.unwrap();
        // The liar signs a page for the real request with the proof for an empty one.
        let unknowing = Request { known: 0, ..request.clone() };
        wire.server.serve(&reading, &unknowing).await.map_err(|error| TransportError(error.to_string()))
    }
}

async fn distrusts_log(entries: u8) -> PageError {
    let (evil, good) = pair().await;
    for number in 0..3 {
        evil.write(&id(number), at(1), &policy(0, &[1]), at(1)).await;
    }
    good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut wire = evil.wire(1, at(3));
    wire.server = other_log(&evil, folder.path(), entries);
    let puller = Puller::new(
        good.store.clone(),
        Arc::clone(&good.log),
        Arc::clone(&good.key),
        COLLECTION,
        Default::default(),
    );
    let error = puller.pull(peer_id(0), &Liar(wire), at(3)).await.unwrap_err();
    assert_eq!(good.peer(0).await.state, PeerState::Distrusted);
    match error {
        PullError::Page(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_older_checkpoint_is_a_broken_promise() {
    assert!(matches!(distrusts_log(2).await, PageError::RolledBack { known: 3, found: 2 }));
}

#[tokio::test]
async fn another_log_of_the_same_or_a_larger_size_is_a_split_view() {
    assert!(matches!(distrusts_log(3).await, PageError::SplitView(_)));
    assert!(matches!(distrusts_log(9).await, PageError::SplitView(_)));
}

#[tokio::test]
async fn an_object_that_is_not_in_the_log_is_a_broken_promise() {
    let (evil, good) = pair().await;
    evil.log.append(&[7; 32]).unwrap();
    evil.write(&id(1), at(1), &everybody(), at(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut wire = evil.wire(1, at(2));
    wire.server = other_log(&evil, folder.path(), 5);
    assert!(matches!(distrusted(&good, &wire).await, PageError::NotCommitted { .. }));
}

#[tokio::test]
async fn a_handling_wider_than_the_marks_is_not_taken() {
    let (evil, good) = pair().await;
    let marks = format!(r#","object_marking_refs":["{}"]"#, tlp_id(Tlp::Red));
    evil.write_raw(&id(1), at(1), &everybody(), Node::body(&id(1), at(1), &marks), None, at(1)).await;
    evil.write(&id(2), at(1), &everybody(), at(1)).await;
    let pulled = good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::Widened]), (1, 1));
    assert!(good.kept(&id(1)).await.is_empty());
}

#[tokio::test]
async fn nobody_else_decides_on_our_objects() {
    let (evil, good) = pair().await;
    good.write(&id(1), at(1), &policy(1, &[1]), at(1)).await;
    // A newer and wider version of it, another of the same version, and tombstones for all.
    evil.write(&id(1), at(2), &everybody(), at(1)).await;
    let pulled = good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::NotTheirs]), (0, 1));
    evil.write_raw(&id(1), at(1), &everybody(), Node::body(&id(1), at(1), r#","x":1"#), None, at(2)).await;
    let pulled = good.pull(&evil.wire(1, at(3)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::Conflict]), (0, 1));
    evil.remove(&id(1), at(4)).await;
    let pulled = good.pull(&evil.wire(1, at(5)), 0).await.unwrap();
    assert_eq!((pulled.removed, pulled.skipped[&Skipped::Ours]), (0, 1));
    assert_eq!(good.kept(&id(1)).await.len(), 1);
    assert_eq!(good.kept(&id(1)).await[0].own, policy(1, &[1]));
}

#[tokio::test]
async fn a_relay_does_not_decide_on_what_came_from_its_origin() {
    let (evil, good, origin) = (Node::new(0).await, Node::new(1).await, Node::new(2).await);
    good.trust(&evil, None).await;
    good.trust(&origin, None).await;
    origin.write(&id(1), at(1), &policy(2, &[]), at(1)).await;
    good.pull(&origin.wire(1, at(2)), 2).await.unwrap();
    // It says that a new version came from the origin, and that the old one was removed there.
    let relayed = Some(serde_json::json!({ "federation": { "path": [name(2)] } }).to_string());
    let body = |version| Node::body(&id(1), version, "");
    evil.write_raw(&id(1), at(2), &everybody(), body(at(2)), relayed.clone(), at(3)).await;
    evil.write_raw(&id(1), at(1), &everybody(), body(at(1)), relayed, at(3)).await;
    let pulled = good.pull(&evil.wire(1, at(4)), 0).await.unwrap();
    assert_eq!((pulled.taken, pulled.skipped[&Skipped::NotTheirs]), (0, 1));
    evil.remove(&id(1), at(5)).await;
    let pulled = good.pull(&evil.wire(1, at(6)), 0).await.unwrap();
    assert_eq!(pulled.removed, 0);
    // The origin does.
    origin.write(&id(1), at(3), &policy(2, &[]), at(7)).await;
    assert_eq!(good.pull(&origin.wire(1, at(8)), 2).await.unwrap().taken, 1);
    origin.remove(&id(1), at(9)).await;
    assert_eq!(good.pull(&origin.wire(1, at(10)), 2).await.unwrap().removed, 2);
}

#[tokio::test]
async fn paths_that_do_not_lead_here_and_what_is_no_object() {
    let (evil, good) = pair().await;
    let write = |number, path: Vec<String>| {
        let evil = &evil;
        async move {
            let aside = serde_json::json!({ "federation": { "path": path } }).to_string();
            let body = Node::body(&id(number), at(1), "");
            evil.write_raw(&id(number), at(1), &everybody(), body, Some(aside), at(1)).await;
        }
    };
    write(1, vec![name(3), name(2), name(3)]).await;
    write(2, vec![name(0)]).await;
    write(3, vec![name(2), name(1)]).await;
    write(4, (0..MAX_PATH).map(|n| format!("n{n}.example")).collect()).await;
    for (number, body) in
        [(5, b"{".to_vec()), (6, Node::body(&id(7), at(1), "")), (8, Node::body(&id(8), at(2), ""))]
    {
        evil.write_raw(&id(number), at(1), &everybody(), body, None, at(1)).await;
    }
    let pulled = good.pull(&evil.wire(1, at(2)), 0).await.unwrap();
    let expect = [(Skipped::Ours, 1), (Skipped::Path, 2), (Skipped::NotTheObject, 3)];
    assert_eq!(pulled.skipped.into_iter().collect::<Vec<_>>(), expect);
    assert_eq!(pulled.taken, 0);
}

#[tokio::test]
async fn giant_and_endless_answers_end() {
    let (evil, good) = pair().await;
    let mut wire = evil.wire(1, at(2));
    wire.change = Box::new(|_| vec![b'0'; MAX_PAGE + 1]);
    assert!(matches!(good.pull(&wire, 0).await, Err(PullError::Page(PageError::Malformed(_)))));
    assert_eq!(good.peer(0).await.state, PeerState::Active, "anybody on the way can do this");

    struct Endless(Wire, Arc<SecretKey>);
    impl Transport for Endless {
        async fn fetch(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
            let page = self.0.fetch(request).await?;
            let payload = page.splitn(2, |byte| *byte == b'{').nth(1).unwrap();
            let mut page: Page = serde_json::from_slice(&[b"{", payload].concat()).unwrap();
            page.more = true;
            let key = &self.1;
            Ok(SignedPage::sign(&page, &name(0), key, request).unwrap())
        }
    }
    let key = Arc::clone(&evil.key);
    let wire = Endless(evil.wire(1, at(2)), key);
    let puller = Puller::new(
        good.store.clone(),
        Arc::clone(&good.log),
        Arc::clone(&good.key),
        COLLECTION,
        Default::default(),
    );
    assert!(matches!(puller.pull(peer_id(0), &wire, at(2)).await, Err(PullError::NoProgress)));
}

#[tokio::test]
async fn requests_that_are_none_and_places_that_are_made_up_are_refused() {
    let (evil, _) = pair().await;
    let wire = evil.wire(1, at(2));
    let reading = evil.store.reading(&reader(1), at(2)).await.unwrap();
    let request = Request { from: name(1), after: None, known: 0, nonce: "0".repeat(32) };
    assert!(wire.server.serve(&reading, &request).await.is_ok());
    for bad in [
        Request { nonce: String::new(), ..request.clone() },
        Request { nonce: "\n".repeat(32), ..request.clone() },
        Request { from: String::new(), ..request.clone() },
        Request { from: "a\nnonce 1".to_owned(), ..request.clone() },
        Request { after: Some("x".to_owned()), ..request.clone() },
        Request { after: Some("x".repeat(4_000)), ..request.clone() },
        Request { known: 99, ..request.clone() },
        Request { known: u64::MAX, ..request },
    ] {
        assert!(wire.server.serve(&reading, &bad).await.is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_or_cut_pages_are_never_believed_and_never_panic(
        at_byte in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        static PAGE: std::sync::OnceLock<(Vec<u8>, PeerKey, Request)> = std::sync::OnceLock::new();
        let (page, key, request) = PAGE.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let (evil, _) = pair().await;
                evil.write(&id(1), at(1), &everybody(), at(1)).await;
                let request = Request { from: name(1), after: None, known: 0, nonce: "0".repeat(32) };
                let page = evil.wire(1, at(2)).fetch(&request).await.unwrap();
                (page, evil.peer_key(), request)
            })
        });
        prop_assert!(SignedPage::open(page, key, request, None).is_ok());
        let mut changed = page.clone();
        let place = at_byte.index(changed.len());
        if changed[place] != byte {
            changed[place] = byte;
            prop_assert!(SignedPage::open(&changed, key, request, None).is_err());
        }
        prop_assert!(SignedPage::open(&page[..cut.index(page.len())], key, request, None).is_err());
        prop_assert!(SignedPage::open(&noise, key, request, None).is_err());
    }
}
