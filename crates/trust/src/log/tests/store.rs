//! Appending, reading, checkpoints and tiles.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use ostrom_core::Digest;

use super::super::files::Medium;
use super::super::frame::encode;
use super::super::merkle::{Tree, leaf_hash, verify_consistency, verify_inclusion};
use super::super::tiles::{Builder, Kind, path, width};
use super::super::{Durability, Log, LogError, Options, SignedCheckpoint, Tiles, read_from};
use super::{Fixture, ORIGIN, offset, record, records};
use crate::SecretKey;

#[test]
fn what_is_appended_is_read_verified_and_found_again_by_the_next_process() {
    let fixture = Fixture::new();
    let mut size = 0;
    for to in [0, 1, 255, 256, 257, 511, 700, 768, 769] {
        fixture.fill(size, to);
        size = to;
        let log = fixture.open();
        assert!(log.recovery().is_clean(), "{}", log.recovery());
        assert_eq!((log.size(), log.recovery().entries), (to, to));
        let report = fixture.verify();
        assert!(report.is_sound(), "{report}");
        assert_eq!((report.entries, report.signed, report.unsigned), (to, to, 0));
    }
    assert_eq!(records(&fixture.folder()), (0..size).map(record).collect::<Vec<_>>());
    for from in [0, 1, 255, 256, 400, 512, 768, 769, 5000] {
        let found: Vec<_> =
            read_from(&fixture.folder(), from).unwrap().map(|entry| entry.unwrap().index).collect();
        assert_eq!(found, (from..size).collect::<Vec<_>>());
    }
}

#[test]
fn proofs_from_tiles_verify_against_the_checkpoint() {
    let fixture = Fixture::new();
    fixture.fill(0, 100);
    let old = fixture.open().latest().unwrap();
    fixture.fill(100, 600);
    let signed = fixture.open().latest().unwrap();
    let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
    let mut tiles = Tiles::new(&fixture.folder(), &signed);
    for index in (0..size).step_by(37).chain([255, 256, 511, 512, 599]) {
        let proof = tiles.inclusion_proof(index).unwrap();
        verify_inclusion(&leaf_hash(&record(index)), index, size, &proof, &root).unwrap();
    }
    for earlier in [0, 1, 99, 100, 256, 257, 512, 599, 600] {
        let (old_root, proof) = tiles.consistency_proof(earlier).unwrap();
        verify_consistency(earlier, size, &proof, &old_root, &root).unwrap();
        if earlier == 100 {
            assert_eq!(old_root, old.checkpoint().root());
        }
    }
    assert!(tiles.inclusion_proof(600).is_err());
    assert!(tiles.consistency_proof(601).is_err());

    fixture.change("tile/0/001", |tile| tile[40] ^= 1);
    let mut tiles = Tiles::new(&fixture.folder(), &signed);
    assert!(tiles.inclusion_proof(300).is_err(), "a proof that leads elsewhere was handed out");
}

#[test]
fn tiles_lie_where_the_specification_says() {
    assert_eq!(path(Kind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(Kind::Hashes(3), 5, 17), "tile/3/005.p/17");
    assert_eq!(path(Kind::Entries, 999, 256), "tile/entries/999");
    assert_eq!(path(Kind::Entries, 1000, 1), "tile/entries/x001/000.p/1");

    // The example of tlog-tiles, section "Partial Tiles".
    let (mut builder, mut tree, mut full) = (Builder::default(), Tree::new(), BTreeMap::new());
    for number in 0..70_000_u64 {
        let leaf = leaf_hash(&number.to_be_bytes());
        tree.push(leaf);
        let mut count = |level: u8, index: u64, hashes: &[Digest]| {
            assert_eq!(hashes.len(), 256);
            let tiles: &mut u64 = full.entry(level).or_default();
            assert_eq!(*tiles, index);
            *tiles += 1;
            Ok::<_, Infallible>(())
        };
        builder.push(leaf, &mut count).unwrap();
    }
    assert_eq!(full, BTreeMap::from([(0, 273), (1, 1)]));
    let partial: Vec<_> =
        builder.partial().map(|(level, index, hashes)| (level, index, hashes.len())).collect();
    assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    for (level, index, hashes) in partial {
        assert_eq!(width(level, index, 70_000), hashes as u64);
    }
    assert_eq!((width(0, 272, 70_000), width(0, 274, 70_000), width(9, 0, 70_000)), (256, 0, 0));
    assert_eq!((builder.tree().size(), builder.tree().root()), (tree.size(), tree.root()));
}

#[test]
fn full_tiles_replace_partial_ones() {
    let fixture = Fixture::new();
    fixture.fill(0, 100);
    assert!(fixture.path("tile/0/000.p/100").is_file());
    fixture.fill(100, 300);
    assert!(!fixture.path("tile/0/000.p").exists());
    assert_eq!(fs::metadata(fixture.path("tile/0/000")).unwrap().len(), 8192);
    assert_eq!(fs::metadata(fixture.path("tile/0/001.p/44")).unwrap().len(), 44 * 32);
    assert_eq!(fs::metadata(fixture.path("tile/1/000.p/1")).unwrap().len(), 32);
}

#[test]
fn bundles_hold_the_entries_with_lengths_of_two_bytes() {
    let mut fixture = Fixture::new();
    fixture.options = Options { bundles: true, max_record: 65_535, ..fixture.options };
    fixture.fill(0, 200);
    fixture.fill(200, 300);
    let mut found = Vec::new();
    for name in ["tile/entries/000", "tile/entries/001.p/44"] {
        let bytes = fs::read(fixture.path(name)).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let (record, after) = after.split_at(u16::from_be_bytes(*length).into());
            found.push(record.to_vec());
            rest = after;
        }
    }
    assert_eq!(found, (0..300).map(record).collect::<Vec<_>>());
    assert!(!fixture.path("tile/entries/000.p").exists());
    assert!(fixture.verify().is_sound());
}

#[test]
fn records_that_are_too_long_are_refused() {
    let mut fixture = Fixture::new();
    fixture.options.max_record = 100;
    let log = fixture.open();
    assert!(matches!(log.append(&[0; 101]), Err(LogError::TooLong { length: 101, limit: 100 })));
    assert_eq!(log.append(&[0; 100]).unwrap(), 0);
    drop(log);
    fixture.options.max_record = (16 << 20) + 1;
    assert!(matches!(fixture.try_open(), Err(LogError::Options(_))));
    fixture.options = Options { max_record: 65_536, bundles: true, ..fixture.options };
    assert!(matches!(fixture.try_open(), Err(LogError::Options(_))));
    // The limit is for new records; longer ones that are there stay readable.
    fixture.options = Options { max_record: 10, ..Options::default() };
    assert_eq!(fixture.open().size(), 1);
}

#[test]
fn only_one_writer_at_a_time() {
    let fixture = Fixture::new();
    let log = fixture.open();
    assert!(matches!(fixture.try_open(), Err(LogError::Busy(_))));
    drop(log);
    fixture.open();
}

#[test]
fn a_log_of_another_key_or_origin_is_not_continued() {
    let fixture = Fixture::new();
    fixture.fill(0, 3);
    let other = SecretKey::generate().unwrap();
    assert!(matches!(
        Log::open(&fixture.folder(), other, ORIGIN, &fixture.options),
        Err(LogError::Damaged { .. })
    ));
    let opened = Log::open(&fixture.folder(), Arc::clone(&fixture.key), "other.example", &fixture.options);
    assert!(matches!(opened, Err(LogError::Damaged { .. })));
    let opened = Log::open(&fixture.folder(), Arc::clone(&fixture.key), "two words", &fixture.options);
    assert!(matches!(opened, Err(LogError::Note(_))));
    fixture.open();
}

#[test]
fn a_checkpoint_without_new_records_is_the_one_before() {
    let fixture = Fixture::new();
    let log = fixture.open();
    assert_eq!(log.latest(), None);
    assert_eq!(log.checkpoint().unwrap().checkpoint().size(), 0);
    log.append(b"x").unwrap();
    let first = log.checkpoint().unwrap();
    let history = fs::read(fixture.path("history")).unwrap();
    assert_eq!(log.checkpoint().unwrap(), first);
    assert_eq!(fs::read(fixture.path("history")).unwrap(), history);
    drop(log);
    let log = fixture.open();
    assert_eq!(log.latest(), Some(first.clone()));
    let published = fs::read(fixture.path("checkpoint")).unwrap();
    assert_eq!(SignedCheckpoint::open(&published, log.verifier()).unwrap(), first);
}

#[test]
fn the_latest_checkpoint_is_published_again_with_cosignatures() {
    let fixture = Fixture::new();
    fixture.fill(0, 3);
    let (log, witness) = (fixture.open(), SecretKey::generate().unwrap());
    let mut signed = log.latest().unwrap();
    signed.cosign("witness.example", &witness, 1_700_000_000).unwrap();
    log.publish(&signed).unwrap();
    assert_eq!(fs::read_to_string(fixture.path("checkpoint")).unwrap(), signed.to_string());
    drop(log);
    let log = fixture.open();
    assert!(log.recovery().is_clean());
    assert_eq!(log.latest(), Some(signed.clone()));
    assert!(fixture.verify().is_sound());
    log.append(b"more").unwrap();
    log.checkpoint().unwrap();
    assert!(matches!(log.publish(&signed), Err(LogError::Options(_))), "an old checkpoint was published");
}

#[test]
fn what_is_signed_is_what_lies_on_the_disk() {
    let fixture = Fixture::new();
    fixture.fill(0, 3);
    let log = fixture.open();
    log.append(b"true").unwrap();
    log.sync().unwrap();
    let entries = fs::read(fixture.path("entries")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(fixture.path("entries")).unwrap();
    let mut forged = Vec::new();
    encode(b"fake", &leaf_hash(b"fake"), &mut forged);
    file.write_at(&forged, offset(3) as u64).unwrap();
    assert!(matches!(log.checkpoint(), Err(LogError::Damaged { .. })));
    assert_eq!(log.latest().unwrap().checkpoint().size(), 3);
    file.write_at(&entries, 0).unwrap();
    assert_eq!(log.checkpoint().unwrap().checkpoint().size(), 4);
}

#[test]
fn threads_append_sign_and_verify_at_the_same_time() {
    for durability in [Durability::Durable, Durability::Buffered { sync_every: Duration::from_millis(1) }] {
        let mut fixture = Fixture::new();
        fixture.options.durability = durability;
        let (log, threads, each) = (fixture.open(), 4_u64, 150_u64);
        thread::scope(|scope| {
            for thread in 0..threads {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..each {
                        let record = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                        log.append(&record).unwrap();
                    }
                });
            }
            let mut older = Vec::new();
            while log.size() < threads * each {
                older.push(log.checkpoint().unwrap().to_string());
                let report = fixture.verify();
                assert!(report.is_sound(), "{report}");
            }
            let older: Vec<_> = older.iter().map(String::as_bytes).collect();
            let report =
                super::super::verify_against(&fixture.folder(), &fixture.key.public(), &older).unwrap();
            assert!(report.is_sound(), "{report}");
        });
        log.checkpoint().unwrap();
        log.close().unwrap();
        let mut found: Vec<Vec<u8>> = records(&fixture.folder());
        // Every thread's records are in its order, and each once.
        found.sort_by_key(|record| record[7]);
        let expected = (0..threads).flat_map(|thread| {
            (0..each).map(move |number| [thread.to_be_bytes(), number.to_be_bytes()].concat())
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(fixture.verify().signed, threads * each);
    }
}

/// Counts writes and syncs of the entries; a sync waits until `wait_for` records were written.
#[derive(Default)]
struct Counted {
    writes: Mutex<u64>,
    written: Condvar,
    syncs: AtomicU64,
    wait_for: AtomicU64,
    told: Mutex<Option<Sender<()>>>,
}

struct Counting(File, Arc<Counted>);

impl Medium for Counting {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)?;
        *self.1.writes.lock().unwrap() += 1;
        self.1.written.notify_all();
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Medium::set_len(&self.0, length)
    }

    fn sync(&self) -> io::Result<()> {
        let wait_for = self.1.wait_for.load(Ordering::SeqCst);
        drop(self.1.written.wait_while(self.1.writes.lock().unwrap(), |writes| *writes < wait_for).unwrap());
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if let Some(told) = &*self.1.told.lock().unwrap() {
            let _ = told.send(());
        }
        self.0.sync()
    }
}

fn counted(fixture: &Fixture, options: &Options) -> (Log, Arc<Counted>) {
    let counted = Arc::new(Counted::default());
    let mediums = |name: &'static str, file: File| -> Box<dyn Medium> {
        if name == "entries" { Box::new(Counting(file, Arc::clone(&counted))) } else { Box::new(file) }
    };
    let log = Log::open_on(&fixture.folder(), Arc::clone(&fixture.key), ORIGIN, options, &mediums).unwrap();
    (log, counted)
}

#[test]
fn appends_that_wait_at_the_same_time_share_one_fsync() {
    let fixture = Fixture::new();
    let (log, counted) = counted(&fixture, &Options::default());
    let before = counted.syncs.load(Ordering::SeqCst);
    counted.wait_for.store(8, Ordering::SeqCst);
    thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| log.append(b"record").unwrap())));
    });
    // The first waits for the disk alone; whatever the others wrote meanwhile needs at most one more.
    let syncs = counted.syncs.load(Ordering::SeqCst) - before;
    assert!((1..=2).contains(&syncs), "{syncs} fsyncs for 8 records");
}

#[test]
fn a_durable_append_waits_for_the_disk_each_time() {
    let fixture = Fixture::new();
    let (log, counted) = counted(&fixture, &Options::default());
    let before = counted.syncs.load(Ordering::SeqCst);
    for _ in 0..5 {
        log.append(b"record").unwrap();
    }
    assert_eq!(counted.syncs.load(Ordering::SeqCst) - before, 5);
}

#[test]
fn buffered_records_reach_the_disk_without_anybody_asking() {
    let fixture = Fixture::new();
    let (log, counted) = counted(&fixture, &fixture.options);
    let (sender, told) = channel();
    *counted.told.lock().unwrap() = Some(sender);
    for _ in 0..3 {
        log.append(b"record").unwrap();
        told.recv().unwrap();
    }
}

#[test]
fn closing_makes_buffered_records_durable() {
    let fixture = Fixture::new();
    let durability = Durability::Buffered { sync_every: Duration::from_secs(100_000) };
    let (log, counted) = counted(&fixture, &Options { durability, ..Options::default() });
    let before = counted.syncs.load(Ordering::SeqCst);
    log.append(b"record").unwrap();
    assert_eq!(counted.syncs.load(Ordering::SeqCst), before);
    log.close().unwrap();
    assert_eq!(counted.syncs.load(Ordering::SeqCst), before + 1);
}
