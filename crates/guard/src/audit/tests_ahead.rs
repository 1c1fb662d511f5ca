//! What waits to be written: in its order, with what opens it, and when it cannot be.

use std::path::Path;
use std::sync::Arc;

use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, Options};
use serde_json::json;

use super::ahead::Ahead;
use super::openings::Writer;
use super::*;
use crate::flow::Engine;
use crate::gateway::house::{CAPACITY, Fake, POLICY, caller, gateway_of, policy};
use crate::gateway::{Commitments, Journal, Rules, Shared};
use crate::pin::FirstUse;
use crate::policy::read_snapshot;

fn log(folder: &Path) -> Log {
    Log::open(&folder.join("log"), SecretKey::generate().unwrap(), "test", &Options::default()).unwrap()
}

fn records(folder: &Path) -> Vec<Vec<u8>> {
    ostrom_trust::log::read(&folder.join("log")).unwrap().map(|entry| entry.unwrap().bytes).collect()
}

/// All lines that open something.
fn lines(folder: &Path) -> String {
    let files = std::fs::read_dir(folder.join("openings")).unwrap();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn many_threads_get_numbers_in_the_order_of_the_log_and_find_themselves_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    log.append(b"before").unwrap();
    let ahead = Ahead::new(Writer::new(folder.path(), None, 0).unwrap(), 1);
    let place = std::sync::Mutex::new(());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (log, ahead, place, folder) = (&log, &ahead, &place, folder.path());
            scope.spawn(move || {
                for round in 0..50 {
                    let mut commitments = Commitments::new().unwrap();
                    let value = format!("value-{thread}-{round}.");
                    commitments.commit("value", &value);
                    ahead.open(log, &commitments.opening()).unwrap();
                    let record = format!("{thread}-{round}").into_bytes();
                    let number = {
                        let _alone = place.lock().unwrap();
                        ahead.put(log, record.clone()).unwrap()
                    };
                    ahead.write(log, number).unwrap();
                    if round % 10 == 0 {
                        let here = records(folder);
                        assert_eq!(here.get(usize::try_from(number).unwrap()), Some(&record));
                        assert!(lines(folder).contains(&value), "written without what opens it");
                    }
                }
            });
        }
    });
    assert_eq!(records(folder.path()).len(), 201);
    assert_eq!(lines(folder.path()).lines().count(), 200);
}

#[test]
fn what_could_not_be_written_goes_first_later_and_nothing_is_queued_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let ahead = Ahead::new(Writer::new(folder.path(), None, 0).unwrap(), 0);
    let opening = || {
        let mut commitments = Commitments::new().unwrap();
        commitments.commit("to", &"ana");
        commitments.opening()
    };
    let (there, away) = (folder.path().join("openings"), folder.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    ahead.open(&log, &opening()).unwrap();
    let first = ahead.put(&log, b"first".to_vec()).unwrap();
    let second = ahead.put(&log, b"second".to_vec()).unwrap();
    assert!(ahead.write(&log, first).is_err());
    assert!(records(folder.path()).is_empty(), "a record without what opens it");
    // Who comes now is told, and leaves nothing behind.
    assert!(ahead.put(&log, b"lost".to_vec()).is_err());
    assert!(ahead.open(&log, &opening()).is_err());
    assert!(ahead.write(&log, second).is_err());
    // What takes effect only once it is written is not written later.
    assert!(ahead.put_now(&log, b"lost as well").is_err());
    std::fs::rename(&away, &there).unwrap();
    let third = ahead.put(&log, b"third".to_vec()).unwrap();
    assert_eq!((first, second, third), (0, 1, 2));
    ahead.write(&log, third).unwrap();
    assert_eq!(records(folder.path()), [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
    assert_eq!(lines(folder.path()).lines().count(), 1);
}

#[test]
fn what_must_be_written_at_once_is_in_the_log_or_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let ahead = Ahead::new(Writer::new(folder.path(), None, 0).unwrap(), 0);
    let (there, away) = (folder.path().join("openings"), folder.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let mut commitments = Commitments::new().unwrap();
    commitments.commit("to", &"ana");
    ahead.open(&log, &commitments.opening()).unwrap();
    assert!(ahead.put_now(&log, b"lost").is_err());
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(ahead.put_now(&log, b"first").unwrap(), 0);
    // One that the log does not take is not in the way of the next.
    assert!(ahead.put_now(&log, &vec![b'x'; 2 << 20]).is_err());
    assert_eq!(ahead.put_now(&log, b"second").unwrap(), 1);
    assert_eq!(records(folder.path()), [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn what_is_in_the_log_or_nowhere_keeps_its_number_whoever_writes_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let ahead = Ahead::new(Writer::new(folder.path(), None, 0).unwrap(), 0);
    let over = std::sync::atomic::AtomicBool::new(false);
    let too_long = vec![b'x'; 2 << 20];
    std::thread::scope(|scope| {
        // As a checkpoint does, without the lock under which records get their numbers.
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let _failed = ahead.write_all(&log);
            }
        });
        for round in 0..300_u64 {
            assert!(ahead.put_now(&log, &too_long).is_err());
            let number = ahead.put(&log, format!("queued {round}").into_bytes()).unwrap();
            assert_eq!(number, round * 2);
            let number = ahead.put_now(&log, format!("at once {round}").as_bytes()).unwrap();
            assert_eq!(number, round * 2 + 1);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let expected = (0..300)
        .flat_map(|round| [format!("queued {round}"), format!("at once {round}")].map(String::into_bytes));
    assert_eq!(records(folder.path()), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn after_a_full_disk_the_log_tells_what_the_guard_knows() {
    let folder = tempfile::tempdir().unwrap();
    let rules = policy(POLICY);
    let snapshot = rules.snapshot();
    let rules: Arc<dyn Rules> = rules;
    let mut policies = Policies::new(folder.path(), read_snapshot);
    let key = SecretKey::generate().unwrap();
    let opened = AuditLog::open(
        (folder.path(), "test"),
        key,
        Mode::Buffered,
        None,
        &mut policies,
        (&rules, &snapshot),
    )
    .unwrap();
    let journal: Arc<dyn Journal> = Arc::new(opened.log);
    let shared = Shared::new(opened.engine, rules, journal, CAPACITY);
    let mail = Fake::new(&["read", "fetch", "send", "pay"]);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["save", "load"]))];
    let gateway = gateway_of(shared, &servers, FirstUse::TrustOnFirstUse);
    let house = crate::gateway::house::House { gateway, journal: Arc::default() };
    let ana = caller("ana", None);
    let (there, away) = (folder.path().join("openings"), folder.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    for number in 0..3 {
        let answer = house.call(&ana, "mail__read", json!({"number": number})).await;
        assert!(answer.contains("cannot be written"), "{answer}");
    }
    assert!(mail.got("read").is_empty());
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(house.call(&ana, "mail__read", json!({"number": 3})).await, "done");
    assert_eq!(mail.got("read"), [json!({"number": 3})]);
    // The first was decided about before the guard knew, and came to nothing; the others were not.
    let found = replay(folder.path(), &mut policies).unwrap();
    assert!(found.differences.is_empty() && found.is_whole(), "{found:?}");
    assert_eq!((found.same, found.unresolved.len()), (2, 1), "{found:?}");
    let mut again = Engine::default();
    for event in events(folder.path()).unwrap() {
        let event = event.unwrap().1;
        again.apply(&event, None);
    }
    assert_eq!(again.next_call(), house.gateway.shared.lock().engine.next_call());
}
