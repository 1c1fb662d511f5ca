//! Logs that somebody has changed: verifying names what is wrong, and opening refuses.

use std::fs;

use proptest::prelude::*;

use super::super::frame::encode;
use super::super::merkle::leaf_hash;
use super::super::{Checkpoint, Log, LogError, Problem, SignedCheckpoint, read, verify, verify_against};
use super::{Fixture, ORIGIN, offset, record, records};
use crate::SecretKey;

/// Three checkpoints, at 100, 300 and 520 entries, and ten entries more.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    for (from, to) in [(0, 100), (100, 300), (300, 520)] {
        fixture.fill(from, to);
    }
    let log = fixture.open();
    for index in 520..530 {
        log.append(&record(index)).unwrap();
    }
    log.close().unwrap();
    fixture
}

fn frame(record: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(record, &leaf_hash(record), &mut frame);
    frame
}

/// Puts other bytes of the same length, with the right checksum, in place of a record.
fn rewrite(fixture: &Fixture, index: u64) {
    let mut forged = record(index);
    forged[0] ^= 1;
    let forged = frame(&forged);
    fixture.change("entries", |bytes| {
        bytes[offset(index)..offset(index) + forged.len()].copy_from_slice(&forged)
    });
}

#[test]
fn a_whole_log_is_sound_and_its_unsigned_tail_is_counted() {
    let report = fixture().verify();
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.entries, report.signed, report.unsigned, report.checkpoints), (530, 520, 10, 3));
    assert_eq!(report.origin, ORIGIN);
    assert!(report.to_string().contains("unsigned: 10 entries"), "{report}");
}

#[test]
fn a_changed_entry_is_named_whatever_its_checksum_says() {
    for index in [1, 99, 100, 255, 256, 299, 519] {
        let fixture = fixture();
        rewrite(&fixture, index);
        let report = fixture.verify();
        assert_eq!(report.problems, [Problem::Changed { index }], "{report}");
        assert_eq!((report.signed, report.checkpoints), (520, 3), "later checkpoints were checked");

        // With its tile gone, only the checkpoints around it are known.
        fs::remove_dir_all(fixture.path("tile")).unwrap();
        let from = if index < 100 {
            0
        } else if index < 300 {
            100
        } else {
            300
        };
        let to = if index < 100 {
            100
        } else if index < 300 {
            300
        } else {
            520
        };
        let report = fixture.verify();
        assert!(report.problems.contains(&Problem::ChangedBetween { from, to }), "{report}");
    }
    let fixture = fixture();
    fixture.change("entries", |bytes| bytes[offset(3) + 12] ^= 1);
    assert_eq!(fixture.verify().problems, [Problem::Changed { index: 3 }]);
    // A changed checksum alone is a change too.
    fixture.change("entries", |bytes| {
        bytes[offset(3) + 12] ^= 1;
        bytes[offset(5) + 4] ^= 1;
    });
    assert_eq!(fixture.verify().problems, [Problem::Changed { index: 5 }]);
    assert!(read(&fixture.folder()).unwrap().any(|entry| matches!(entry, Err(LogError::Damaged { .. }))));
}

#[test]
fn a_changed_entry_and_its_changed_tile_are_still_noticed() {
    let fixture = fixture();
    rewrite(&fixture, 41);
    let mut forged = record(41);
    forged[0] ^= 1;
    fixture.change("tile/0/000", |tile| {
        tile[41 * 32..42 * 32].copy_from_slice(leaf_hash(&forged).as_bytes());
    });
    let report = fixture.verify();
    assert!(report.problems.contains(&Problem::ChangedBetween { from: 0, to: 100 }), "{report}");
}

#[test]
fn cut_entries_are_noticed() {
    for left in [0, 99, 100, 256, 519] {
        let fixture = fixture();
        fixture.change("entries", |bytes| bytes.truncate(offset(left)));
        let report = fixture.verify();
        assert!(report.problems.contains(&Problem::Cut { signed: 520, found: left }), "{report}");
        assert!(matches!(fixture.try_open(), Err(LogError::Damaged { .. })));
        // Without the mark too.
        fs::remove_file(fixture.path("synced")).unwrap();
        assert_eq!(fixture.verify().problems, [Problem::Cut { signed: 520, found: left }]);
        assert!(matches!(fixture.try_open(), Err(LogError::Damaged { .. })));
    }
    // Of the unsigned tail, the mark knows.
    let fixture = fixture();
    fixture.change("entries", |bytes| bytes.truncate(offset(525)));
    let (synced, found) = (offset(530) as u64, offset(525) as u64);
    assert_eq!(fixture.verify().problems, [Problem::Shorter { synced, found }]);
    assert!(matches!(fixture.try_open(), Err(LogError::Damaged { .. })));
}

#[test]
fn an_entry_that_was_taken_out_or_put_in_is_noticed() {
    let taken = fixture();
    taken.change("entries", |bytes| drop(bytes.drain(offset(40)..offset(41))));
    let report = taken.verify();
    assert_eq!(report.problems.first(), Some(&Problem::Changed { index: 40 }), "{report}");
    assert!(!report.to_string().contains("changed: entry 41"), "a run of entries is one line: {report}");

    let put = fixture();
    put.change("entries", |bytes| drop(bytes.splice(offset(40)..offset(40), frame(b"forged"))));
    assert_eq!(put.verify().problems.first(), Some(&Problem::Changed { index: 40 }));
}

#[test]
fn what_cannot_be_read_any_more_is_said() {
    let fixture = fixture();
    fixture.change("entries", |bytes| bytes[offset(7)] = 0xff);
    let report = fixture.verify();
    assert!(report.problems.contains(&Problem::Unreadable { index: 7 }), "{report}");
    assert!(!report.problems.iter().any(|problem| matches!(problem, Problem::Cut { .. })), "{report}");
}

#[test]
fn wrong_tiles_bundles_and_offsets_are_named_and_the_entries_are_not_blamed() {
    for name in ["tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/1/000.p/2", "offsets"] {
        let fixture = fixture();
        fixture.change(name, |bytes| *bytes.last_mut().unwrap() ^= 1);
        let derived = |path: &str| Problem::Derived { path: path.to_owned() };
        assert_eq!(fixture.verify().problems, [derived(name)]);
        fixture.change(name, Vec::clear);
        assert_eq!(fixture.verify().problems, [derived(name)]);
        fs::remove_file(fixture.path(name)).unwrap();
        assert_eq!(fixture.verify().problems, [derived(name)]);
    }
    let mut fixture = Fixture::new();
    fixture.options.bundles = true;
    fixture.options.max_record = 65_535;
    fixture.fill(0, 300);
    fixture.change("tile/entries/000", |bytes| bytes[100] ^= 1);
    assert_eq!(fixture.verify().problems, [Problem::Derived { path: "tile/entries/000".to_owned() }]);
}

#[test]
fn changed_and_missing_checkpoints_are_named() {
    let fixture = fixture();
    let history = fs::read_to_string(fixture.path("history")).unwrap();
    fixture.change("history", |bytes| bytes[history.find("\n300\n").unwrap() + 1] = b'4');
    let report = fixture.verify();
    assert!(matches!(report.problems.as_slice(), [Problem::Checkpoint { number: 1, .. }]), "{report}");
    assert_eq!((report.signed, report.checkpoints), (520, 2));

    fs::write(fixture.path("history"), &history).unwrap();
    let published = fs::read(fixture.path("checkpoint")).unwrap();
    fs::remove_file(fixture.path("checkpoint")).unwrap();
    assert!(matches!(fixture.verify().problems.as_slice(), [Problem::Published { .. }]));

    // The history gone: the published one must still fit.
    fs::write(fixture.path("checkpoint"), &published).unwrap();
    fs::remove_file(fixture.path("history")).unwrap();
    assert!(matches!(fixture.verify().problems.as_slice(), [Problem::Published { .. }]));
    assert!(matches!(fixture.try_open(), Err(LogError::Damaged { .. })));
    rewrite(&fixture, 1);
    let report = fixture.verify();
    assert!(report.problems.contains(&Problem::NotAContinuation { size: 520 }), "{report}");

    fs::remove_file(fixture.path("checkpoint")).unwrap();
    let report = fixture.verify();
    assert_eq!(report.problems, [Problem::NothingSigned]);
    assert_eq!((report.entries, report.signed, report.unsigned), (530, 0, 530));
}

#[test]
fn a_log_that_was_emptied_is_noticed_by_its_mark() {
    let fixture = fixture();
    for name in ["checkpoint", "history"] {
        fs::remove_file(fixture.path(name)).unwrap();
    }
    let entries = fs::read(fixture.path("entries")).unwrap();
    fs::write(fixture.path("entries"), &entries[..16]).unwrap();
    let report = fixture.verify();
    assert_eq!(report.problems, [Problem::Unreadable { index: 0 }]);
}

#[test]
fn a_log_of_another_key_is_not_sound() {
    let fixture = fixture();
    let other = SecretKey::generate().unwrap().public();
    let report = verify(&fixture.folder(), &other).unwrap();
    assert!(!report.is_sound());
    assert_eq!((report.signed, report.checkpoints), (0, 0));
    assert!(report.problems.contains(&Problem::NothingSigned), "{report}");
}

#[test]
fn a_log_that_was_cut_and_signed_again_is_noticed_with_an_older_checkpoint() {
    let fixture = fixture();
    let kept = fs::read(fixture.path("checkpoint")).unwrap();
    let key = fixture.key.public();
    let against = |notes: &[&[u8]]| verify_against(&fixture.folder(), &key, notes).unwrap();
    assert!(against(&[&kept]).is_sound());

    // Whoever has the key makes a log that is whole in itself.
    fs::remove_dir_all(fixture.folder()).unwrap();
    fixture.fill(0, 100);
    assert!(against(&[]).is_sound());
    assert_eq!(against(&[&kept]).problems, [Problem::NotAContinuation { size: 520 }]);
    // Longer again, with one entry other than it was.
    let log = fixture.open();
    log.append(b"something else").unwrap();
    for index in 101..600 {
        log.append(&record(index)).unwrap();
    }
    log.checkpoint().unwrap();
    log.close().unwrap();
    assert!(against(&[]).is_sound());
    assert_eq!(against(&[&kept]).problems, [Problem::NotAContinuation { size: 520 }]);

    let forged = Checkpoint::new(ORIGIN, 1, leaf_hash(b"x")).unwrap();
    let forged = SignedCheckpoint::sign(forged, &SecretKey::generate().unwrap()).unwrap().to_string();
    assert!(verify_against(&fixture.folder(), &key, &[forged.as_bytes()]).is_err());
    assert!(verify_against(&fixture.folder(), &key, &[b"nonsense"]).is_err());
}

#[test]
fn a_record_that_looks_like_records_stays_one_record() {
    let fixture = Fixture::new();
    let sly = [frame(b"forged"), frame(b"another")].concat();
    let log = fixture.open();
    log.append(&sly).unwrap();
    log.append(b"last").unwrap();
    log.close().unwrap();
    assert_eq!(records(&fixture.folder()), [sly.as_slice(), b"last"]);
    // Nor does the rest of it become one when its beginning is torn.
    fixture.change("entries", |bytes| bytes.truncate(16 + 12 + 25));
    fs::write(fixture.path("synced"), super::super::frame::encode_mark(16)).unwrap();
    assert_eq!(fixture.open().size(), 0);
}

#[test]
fn an_empty_folder_is_no_log() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.folder()).unwrap();
    assert!(verify(&fixture.folder(), &fixture.key.public()).is_err());
    assert!(read(&fixture.folder()).is_err());
}

const FILES: [&str; 7] =
    ["entries", "history", "checkpoint", "synced", "offsets", "tile/0/000", "tile/1/000.p/1"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_damage_makes_opening_or_verifying_panic_or_lie(
        file in prop::sample::select(&FILES[..]),
        at in any::<prop::sample::Index>(),
        how in 0..4,
        bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let fixture = Fixture::new();
        fixture.fill(0, 20);
        fixture.fill(20, 270);
        let before = records(&fixture.folder());
        fixture.change(file, |file| {
            let at = at.index(file.len());
            match how {
                0 => file.truncate(at),
                1 => file[at] ^= bytes[0] | 1,
                2 => drop(file.splice(at..at, bytes.iter().copied())),
                _ => file.extend_from_slice(&bytes),
            }
        });
        let key = fixture.key.public();
        let report = verify(&fixture.folder(), &key).unwrap_or_default();
        if report.is_sound() && report.signed > 0 {
            let found: Vec<_> = read(&fixture.folder()).unwrap().map_while(Result::ok).map(|entry| entry.bytes).collect();
            prop_assert_eq!(&found[..report.signed as usize], &before[..report.signed as usize]);
        }
        if let Ok(log) = Log::open(&fixture.folder(), std::sync::Arc::clone(&fixture.key), ORIGIN, &fixture.options) {
            prop_assert!(log.size() >= 270, "acknowledged records were cut off");
            drop(log);
            prop_assert!(fixture.open().recovery().cut_bytes == 0);
        }
    }
}
