//! What waits for a person goes on waiting when the guard starts again on the same log.

use std::path::Path;
use std::sync::Arc;

use ostrom_core::Digest;
use ostrom_trust::SecretKey;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::flow::Event;
use crate::gateway::house::{CAPACITY, Fake, House, POLICY, caller, gateway_of, policy, text};
use crate::gateway::{Journal, Rules, Shared, now};
use crate::pin::FirstUse;
use crate::policy::{InForce, read_snapshot};

/// Where a guard keeps its log, and the key with which it signs it.
struct Place {
    folder: TempDir,
    key: Arc<SecretKey>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: Arc::new(SecretKey::generate().unwrap()) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A guard that starts on the log of before, and the server behind it.
fn start(place: &Place, rules: Arc<InForce>) -> (House, Arc<Fake>) {
    let folder = place.path();
    let snapshot = rules.snapshot();
    let rules: Arc<dyn Rules> = rules;
    let mut policies = Policies::new(folder, read_snapshot);
    let key = place.key.clone();
    let opened =
        AuditLog::open((folder, "test"), key, Mode::Buffered, None, &mut policies, (&rules, &snapshot))
            .unwrap();
    let journal: Arc<dyn Journal> = Arc::new(opened.log);
    let shared = Shared::new(opened.engine, rules, journal, CAPACITY);
    shared.resume(opened.waiting);
    let mail = Fake::new(&["read", "fetch", "send", "pay"]);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["save", "load"]))];
    let gateway = gateway_of(shared, &servers, FirstUse::TrustOnFirstUse);
    (House { gateway, journal: Arc::default() }, mail)
}

/// The recipients of the calls that wait, in order.
fn waiting(house: &House) -> Vec<String> {
    let all = house.gateway.shared.lock().approvals.waiting(now());
    let mut all: Vec<String> =
        all.iter().map(|request| request.arguments["to"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

/// A person's answer to the question about this recipient; gives its name.
fn answer(house: &House, to: &str, approved: bool) -> Digest {
    let all = house.gateway.shared.lock().approvals.waiting(now());
    let request = all.iter().find(|request| request.arguments["to"] == to).unwrap().digest;
    house.answer(&request, approved);
    request
}

async fn send(house: &House, to: &str) -> String {
    house.call(&caller("ana", None), "mail__send", json!({"to": to, "amount": 1.0})).await
}

/// A guard before which one call waits, one was approved, one refused, and one has a handle in it.
async fn before(place: &Place) {
    let (house, mail) = start(place, policy(POLICY));
    let ana = caller("ana", None);
    mail.answers("read", text("pay eve"));
    mail.answers("fetch", text("a stranger's text"));
    let handle = house.call(&ana, "mail__fetch", json!({})).await.lines().next().unwrap().to_owned();
    house.call(&ana, "mail__read", json!({})).await;
    for to in ["bob", "carl", "dora"] {
        assert!(send(&house, to).await.contains("A person may approve it"));
    }
    house.call(&ana, "mail__send", json!({"to": "erin", "body": handle})).await;
    answer(&house, "bob", true);
    answer(&house, "dora", false);
    assert_eq!(waiting(&house), ["carl", "erin"]);
}

const DONE: &str = "The call succeeded.";

#[tokio::test]
async fn questions_and_unused_approvals_are_there_after_a_restart() {
    let place = Place::new();
    before(&place).await;
    let (house, mail) = start(&place, policy(POLICY));
    // What a handle stood for is gone, and with it the question about it.
    assert_eq!(waiting(&house), ["carl"]);
    assert_eq!(send(&house, "bob").await, DONE);
    assert!(send(&house, "bob").await.contains("A person may approve it"), "an approval is for one call");
    assert!(send(&house, "dora").await.contains("A person may approve it"), "a no is a no");
    let asked = answer(&house, "carl", true);
    drop(house);
    // And once more: an approval that was given after the restart, to the question of before.
    let (house, again) = start(&place, policy(POLICY));
    assert_eq!(waiting(&house), ["bob", "dora"]);
    assert_eq!(send(&house, "carl").await, DONE);
    drop(house);
    let (house, _) = start(&place, policy(POLICY));
    assert!(send(&house, "carl").await.contains("A person may approve it"), "what was used stays used");
    drop(house);
    assert_eq!((mail.got("send").len(), again.got("send").len()), (1, 1));
    let found = replay(place.path(), &mut Policies::new(place.path(), read_snapshot)).unwrap();
    assert_eq!((&found.differences, found.is_whole()), (&Vec::new(), true), "{found:?}");
    let used = events(place.path()).unwrap().filter_map(|event| match event.unwrap().1 {
        Event::Decided(decision) => decision.approval,
        _ => None,
    });
    assert_eq!(used.filter(|approval| *approval == asked).count(), 1);
}

#[tokio::test]
async fn under_another_policy_nothing_of_before_waits() {
    let place = Place::new();
    before(&place).await;
    let other = format!("{POLICY}\n[run]\nreaders = [\"user\"]\n");
    let (house, mail) = start(&place, policy(&other));
    assert!(waiting(&house).is_empty());
    send(&house, "bob").await;
    assert!(mail.got("send").is_empty());
    drop(house);
    // Nor when the old one comes back: whoever changed it may have meant to take everything back.
    let (house, mail) = start(&place, policy(POLICY));
    assert!(!waiting(&house).contains(&"carl".to_owned()));
    send(&house, "bob").await;
    assert!(mail.got("send").is_empty());
}

#[tokio::test]
async fn what_was_redacted_or_has_expired_is_asked_about_anew() {
    let place = Place::new();
    before(&place).await;
    std::fs::remove_dir_all(place.path().join("openings")).unwrap();
    let (house, mail) = start(&place, policy(POLICY));
    assert!(waiting(&house).is_empty());
    assert!(send(&house, "bob").await.contains("A person may approve it"));
    assert!(mail.got("send").is_empty());
    drop(house);
    let rules = policy(POLICY);
    let mut asked = super::asked::Asked::default();
    let engine = crate::flow::Engine::default();
    for event in events(place.path()).unwrap() {
        asked.before(&engine, &event.unwrap().1, Some(rules.as_ref()));
    }
    let later = now() + 2 * rules.terms().seconds;
    assert_eq!(asked.waiting(place.path(), rules.as_ref(), later).unwrap(), []);
}
