//! Full disks and disks that fail.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::super::files::Medium;
use super::super::{Durability, Log, LogError, Options};
use super::{Fixture, ORIGIN, record, records};

/// A disk with room for so many more bytes. What does not fit is written in part.
#[derive(Default)]
struct Disk {
    room: AtomicI64,
    cannot_cut: AtomicBool,
    cannot_sync: AtomicBool,
}

struct Faulty(File, Arc<Disk>);

impl Medium for Faulty {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.1.room.fetch_sub(bytes.len() as i64, Ordering::SeqCst);
        let fits = usize::try_from(room).unwrap_or(0).min(bytes.len());
        self.0.write_at(&bytes[..fits], offset)?;
        if fits == bytes.len() { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.1.cannot_cut.load(Ordering::SeqCst) {
            return Err(ErrorKind::Other.into());
        }
        Medium::set_len(&self.0, length)
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.cannot_sync.load(Ordering::SeqCst) {
            return Err(ErrorKind::Other.into());
        }
        self.0.sync()
    }
}

/// The log with `broken` of its files on a faulty disk.
fn open(fixture: &Fixture, options: &Options, broken: &str) -> (Log, Arc<Disk>) {
    let disk = Arc::new(Disk { room: AtomicI64::new(1 << 40), ..Disk::default() });
    let mediums = |name: &'static str, file: File| -> Box<dyn Medium> {
        if name == broken { Box::new(Faulty(file, Arc::clone(&disk))) } else { Box::new(file) }
    };
    let log = Log::open_on(&fixture.folder(), Arc::clone(&fixture.key), ORIGIN, options, &mediums).unwrap();
    (log, disk)
}

#[test]
fn a_full_disk_fails_the_append_and_nothing_else() {
    for room in (0..62).step_by(6) {
        let fixture = Fixture::new();
        let (log, disk) = open(&fixture, &fixture.options, "entries");
        log.append(&record(0)).unwrap();
        log.append(&record(1)).unwrap();
        disk.room.store(room, Ordering::SeqCst);
        let error = log.append(&[b'x'; 50]).unwrap_err();
        assert!(error.to_string().contains("make room"), "{error}");
        assert_eq!(records(&fixture.folder()), [record(0), record(1)]);

        // Room again: the log goes on where it was.
        disk.room.store(1 << 40, Ordering::SeqCst);
        assert_eq!(log.append(&record(2)).unwrap(), 2);
        log.checkpoint().unwrap();
        log.close().unwrap();
        assert!(fixture.open().recovery().is_clean());
        assert_eq!(records(&fixture.folder()), [record(0), record(1), record(2)]);
        assert!(fixture.verify().is_sound());
    }
}

#[test]
fn of_records_that_are_appended_together_all_are_in_the_log_or_none() {
    for room in (0..140).step_by(7) {
        let fixture = Fixture::new();
        let (log, disk) = open(&fixture, &fixture.options, "entries");
        log.append(&record(0)).unwrap();
        disk.room.store(room, Ordering::SeqCst);
        let together = [[b'x'; 50], [b'y'; 50]];
        let appended = log.append_all(&together);
        let whole = room >= 2 * (50 + 12);
        assert_eq!(appended.is_ok(), whole, "{room}");
        disk.room.store(1 << 40, Ordering::SeqCst);
        assert_eq!(log.append_all::<&[u8]>(&[]).unwrap(), if whole { 3 } else { 1 });
        let mut wanted = vec![record(0)];
        wanted.extend(together.iter().filter(|_| whole).map(|record| record.to_vec()));
        assert_eq!(records(&fixture.folder()), wanted);
        // The tree knows no more than the file.
        log.append_all(&[record(1), record(2)]).unwrap();
        log.checkpoint().unwrap();
        log.close().unwrap();
        assert!(fixture.open().recovery().is_clean());
        assert!(fixture.verify().is_sound());
    }
}

#[test]
fn half_a_record_that_cannot_be_cut_off_closes_the_log_and_is_cut_when_it_is_opened() {
    let fixture = Fixture::new();
    let (log, disk) = open(&fixture, &fixture.options, "entries");
    log.append(&record(0)).unwrap();
    disk.cannot_cut.store(true, Ordering::SeqCst);
    disk.room.store(30, Ordering::SeqCst);
    assert!(log.append(&[b'x'; 50]).is_err());
    disk.room.store(1 << 40, Ordering::SeqCst);
    assert!(matches!(log.append(b"y"), Err(LogError::Closed(_))));
    assert!(matches!(log.checkpoint(), Err(LogError::Closed(_))));
    assert_eq!(records(&fixture.folder()), [record(0)]);
    drop(log);
    let log = fixture.open();
    assert_eq!(log.recovery().cut_bytes, 30);
    assert_eq!(log.append(b"y").unwrap(), 1);
}

#[test]
fn a_disk_that_cannot_make_records_durable_closes_the_log() {
    for durability in [Durability::Durable, Fixture::new().options.durability] {
        let fixture = Fixture::new();
        let (log, disk) = open(&fixture, &Options { durability, ..Options::default() }, "entries");
        log.append(&record(0)).unwrap();
        log.sync().unwrap();
        disk.cannot_sync.store(true, Ordering::SeqCst);
        let appended = log.append(&record(1));
        assert_eq!(appended.is_err(), durability == Durability::Durable);
        assert!(matches!(log.sync(), Err(LogError::Closed(_))));
        // Even when the disk says that all is well again: what it lost before, it has forgotten.
        disk.cannot_sync.store(false, Ordering::SeqCst);
        assert!(matches!(log.append(&record(2)), Err(LogError::Closed(_))));
        assert!(log.close().is_err());
        let found = records(&fixture.folder());
        assert_eq!(found.len(), if durability == Durability::Durable { 1 } else { 2 });
        fixture.open();
    }
}

#[test]
fn a_checkpoint_that_finds_the_disk_full_leaves_the_log_as_it_was() {
    for broken in ["history", "offsets"] {
        let fixture = Fixture::new();
        fixture.fill(0, 10);
        let (log, disk) = open(&fixture, &fixture.options, broken);
        let before = log.latest();
        for index in 10..300 {
            log.append(&record(index)).unwrap();
        }
        for room in [0, 5, 150] {
            disk.room.store(if broken == "offsets" { 0 } else { room }, Ordering::SeqCst);
            assert!(log.checkpoint().is_err());
            assert_eq!(log.latest(), before);
        }
        log.append(&record(300)).unwrap();
        disk.room.store(1 << 40, Ordering::SeqCst);
        assert_eq!(log.checkpoint().unwrap().checkpoint().size(), 301);
        log.close().unwrap();
        assert!(fixture.open().recovery().is_clean());
        let report = fixture.verify();
        assert!(report.is_sound(), "{report}");
        assert_eq!((report.signed, report.checkpoints), (301, 2));
    }
}

const CHILD: &str = "OSTROM_TEST_LOG_WITH_LITTLE_ROOM";

/// Does its work only as the child of the test below: appends until the file must not grow any more.
#[test]
fn child_with_little_room() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let key = crate::SecretKey::load(&Path::new(&folder).join("key.pem")).unwrap();
    let log = Log::open(&Path::new(&folder).join("log"), key, ORIGIN, &Options::default()).unwrap();
    let mut appended = 0;
    while let Ok(index) = log.append(&[b'x'; 1000]) {
        assert_eq!(index, appended);
        appended += 1;
    }
    assert!(appended > 0);
    assert!(log.append(&[b'y'; 1000]).is_err());
    assert_eq!(records(log.folder()).len() as u64, appended);
    // A shorter one still fits, if the first did not go to the last byte.
    log.append(b"").unwrap();
    assert_eq!(records(log.folder()).len() as u64, appended + 1);
    std::process::exit(42);
}

#[test]
#[cfg(unix)]
fn a_limit_of_the_system_fails_the_append_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.key.save(&fixture.outer.path().join("key.pem")).unwrap();
    // 8 blocks of 512 or 1024 bytes; the signal that comes with the limit is ignored, so writes fail instead.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact log::tests::faults::child_with_little_room --nocapture";
    let test = std::env::current_exe().unwrap();
    let status =
        Command::new("sh").arg("-c").arg(script).arg(test).env(CHILD, fixture.outer.path()).status().unwrap();
    assert_eq!(status.code(), Some(42), "the child failed");
    assert!(fixture.open().recovery().is_clean());
}
