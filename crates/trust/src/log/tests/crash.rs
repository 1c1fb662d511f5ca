//! Killed processes and power cuts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::super::files::Medium;
use super::super::frame::encode_mark;
use super::super::{Durability, Log, LogError, Options};
use super::{Fixture, ORIGIN, offset, record, records};

#[test]
fn cut_anywhere_behind_what_was_synced_every_whole_record_stays() {
    let fixture = Fixture::new();
    fixture.fill(0, 12);
    let (entries, synced) = (fs::read(fixture.path("entries")).unwrap(), offset(12));
    fixture.fill(12, 16);
    let whole = fs::read(fixture.path("entries")).unwrap();
    assert_eq!((entries.len(), whole.len()), (synced, offset(16)));
    // As if the last four had not been synced, and no checkpoint made of them.
    for length in (0..synced).step_by(23).chain(synced - 1..=whole.len()) {
        let crashed = Fixture {
            outer: tempfile::tempdir().unwrap(),
            key: Arc::clone(&fixture.key),
            options: fixture.options.clone(),
        };
        crashed.fill(0, 12);
        fs::write(crashed.path("entries"), &whole[..length]).unwrap();
        let opened = crashed.try_open();
        if length < synced {
            assert!(matches!(opened, Err(LogError::Damaged { .. })), "{length}");
            assert_eq!(
                fs::read(crashed.path("entries")).unwrap().len(),
                length.max(16),
                "damage was touched"
            );
            continue;
        }
        let log = opened.unwrap();
        let left = (12..=16).rev().find(|index| offset(*index) <= length).unwrap();
        assert_eq!(log.size(), left);
        assert_eq!(log.recovery().cut_bytes, (length - offset(left)) as u64);
        assert_eq!(log.append(b"next").unwrap(), left);
        log.checkpoint().unwrap();
        log.close().unwrap();
        let report = crashed.verify();
        assert!(report.is_sound(), "{report}");
        assert_eq!(records(&crashed.folder()).len() as u64, left + 1);
    }
}

#[test]
fn a_tail_is_not_cut_off_if_nobody_knows_whether_it_was_acknowledged() {
    let fixture = Fixture::new();
    fixture.fill(0, 3);
    fixture.change("entries", |bytes| bytes.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3]));
    assert!(fixture.try_open().is_ok_and(|log| log.recovery().cut_bytes == 7));
    fixture.change("entries", |bytes| bytes.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3]));
    for mark in [None, Some(vec![]), Some(vec![0; 16]), Some(encode_mark(5)[..15].to_vec())] {
        match &mark {
            None => fs::remove_file(fixture.path("synced")).unwrap(),
            Some(mark) => fs::write(fixture.path("synced"), mark).unwrap(),
        }
        assert!(matches!(fixture.try_open(), Err(LogError::Damaged { .. })), "{mark:?}");
    }
    // With nothing to cut off, a copy without the mark will do.
    fixture.change("entries", |bytes| bytes.truncate(bytes.len() - 7));
    fixture.open();
}

#[test]
fn a_checkpoint_in_the_making_is_finished_or_cut_off() {
    let fixture = Fixture::new();
    fixture.fill(0, 5);
    let (published, short) =
        (fs::read(fixture.path("checkpoint")).unwrap(), fs::read(fixture.path("history")).unwrap());
    fixture.fill(5, 9);
    let whole = fs::read(fixture.path("history")).unwrap();
    for length in (0..whole.len())
        .step_by(7)
        .chain(short.len() - 2..short.len() + 3)
        .chain(whole.len() - 3..=whole.len())
    {
        fs::write(fixture.path("checkpoint"), &published).unwrap();
        fs::write(fixture.path("history"), &whole[..length]).unwrap();
        let opened = fixture.try_open();
        if length < short.len() {
            assert!(matches!(opened, Err(LogError::Damaged { .. })), "{length}");
            continue;
        }
        let log = opened.unwrap();
        let is_whole = length == whole.len();
        assert_eq!(log.latest().unwrap().checkpoint().size(), if is_whole { 9 } else { 5 });
        assert_eq!(log.recovery().cut_checkpoint, !is_whole && length > short.len());
        assert_eq!(log.checkpoint().unwrap().checkpoint().size(), 9);
        log.close().unwrap();
        // Ed25519 signs the same text in the same way.
        assert_eq!(fs::read(fixture.path("history")).unwrap(), whole);
        let report = fixture.verify();
        assert!(report.is_sound(), "{report}");
    }
    // The very first one, before anything was published.
    fs::remove_file(fixture.path("checkpoint")).unwrap();
    fs::write(fixture.path("history"), &short[..40]).unwrap();
    assert!(fixture.open().recovery().cut_checkpoint);
}

#[test]
fn a_beginning_in_the_making_is_made_again() {
    for left in [b"".as_slice(), b"ostrom", &[0; 7], &[0; 16]] {
        let fixture = Fixture::new();
        fs::create_dir(fixture.folder()).unwrap();
        fs::write(fixture.path("entries"), left).unwrap();
        assert_eq!(fixture.open().append(b"x").unwrap(), 0);
    }
    let fixture = Fixture::new();
    fs::create_dir(fixture.folder()).unwrap();
    fs::write(fixture.path("entries"), b"something else").unwrap();
    assert!(matches!(fixture.try_open(), Err(LogError::NotALog { .. })));
    assert_eq!(fs::read(fixture.path("entries")).unwrap(), b"something else");
}

#[test]
fn missing_tiles_are_made_again() {
    let fixture = Fixture::new();
    fixture.fill(0, 600);
    for name in ["tile", "offsets"] {
        let path = fixture.path(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        assert!(!fixture.verify().is_sound());
        let log = fixture.open();
        assert!(log.recovery().rebuilt_tiles);
        log.checkpoint().unwrap();
        log.close().unwrap();
        assert!(fixture.open().recovery().is_clean());
        let report = fixture.verify();
        assert!(report.is_sound(), "{report}");
        assert_eq!((report.signed, report.checkpoints), (600, 1));
    }
}

const CHILD: &str = "OSTROM_TEST_LOG_TO_BE_KILLED";

/// Does its work only as the child of the test below: appends and says so until it is killed.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let key = crate::SecretKey::load(&Path::new(&folder).join("key.pem")).unwrap();
    let durability = Durability::Buffered { sync_every: Duration::from_millis(1) };
    let options = Options { durability, ..Options::default() };
    let log = Log::open(&Path::new(&folder).join("log"), key, ORIGIN, &options).unwrap();
    for index in log.size().. {
        assert_eq!(log.append(&record(index)).unwrap(), index);
        println!("appended {index}");
        if index % 97 == 96 {
            log.checkpoint().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let fixture = Fixture::new();
    fixture.key.save(&fixture.outer.path().join("key.pem")).unwrap();
    let mut before = 0;
    for lines in [1, 50, 400, 97, 300] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "log::tests::crash::child_that_is_killed", "--nocapture"])
            .env(CHILD, fixture.outer.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        // The test runner writes into the same line.
        let mut appended =
            output.by_ref().filter_map(|line| Some(line.unwrap().split_once("appended ")?.1.to_owned()));
        let last: u64 = appended.by_ref().nth(lines).unwrap().parse().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let last = appended.last().map_or(last, |last| last.parse().unwrap_or(last_number(&last)));
        let log = fixture.open();
        assert!(log.size() > last, "record {last} was acknowledged, {} are there", log.size());
        assert!(log.size() > before);
        before = log.size();
        drop(log);
        assert_eq!(records(&fixture.folder()), (0..before).map(record).collect::<Vec<_>>());
        let report = fixture.verify();
        assert!(report.is_sound() || report.signed == 0, "{report}");
    }
}

/// The number at the beginning of a line that a kill has cut short: it is smaller than the whole one.
fn last_number(text: &str) -> u64 {
    text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// What was done to the files, in order.
#[derive(Debug, Clone)]
enum Op {
    Write(&'static str, u64, Vec<u8>),
    Length(&'static str, u64),
    Sync(&'static str),
    Acknowledged,
}

struct Recorder {
    file: File,
    name: &'static str,
    ops: Arc<Mutex<Vec<Op>>>,
}

impl Medium for Recorder {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.ops.lock().unwrap().push(Op::Write(self.name, offset, bytes.to_vec()));
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.ops.lock().unwrap().push(Op::Length(self.name, length));
        Medium::set_len(&self.file, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.ops.lock().unwrap().push(Op::Sync(self.name));
        self.file.sync()
    }
}

/// Sectors of the simulated disk: small, so that records are torn in many places.
const SECTOR: usize = 32;

fn write(image: &mut Vec<u8>, offset: u64, bytes: &[u8], mut keep: impl FnMut() -> bool) {
    let offset = offset as usize;
    if image.len() < offset + bytes.len() {
        image.resize(offset + bytes.len(), 0);
    }
    let mut at = 0;
    while at < bytes.len() {
        let next = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
        if keep() {
            image[offset + at..offset + next].copy_from_slice(&bytes[at..next]);
        }
        at = next;
    }
}

/// The file `name` after a power cut: everything up to its last sync, and of what came after, whatever sectors the disk liked.
fn survived(initial: &[u8], name: &str, ops: &[Op], random: &mut impl FnMut() -> u64) -> Vec<u8> {
    let mine =
        |op: &&Op| matches!(op, Op::Write(file, ..) | Op::Length(file, _) | Op::Sync(file) if *file == name);
    let ops: Vec<&Op> = ops.iter().filter(mine).collect();
    let synced = ops.iter().rposition(|op| matches!(op, Op::Sync(_))).map_or(0, |at| at + 1);
    let (mut image, mut lengths) = (initial.to_vec(), Vec::new());
    for (at, op) in ops.iter().enumerate() {
        if at == synced {
            lengths.push(image.len());
        }
        match op {
            Op::Write(_, offset, bytes) => {
                write(&mut image, *offset, bytes, || at < synced || random().is_multiple_of(2))
            }
            Op::Length(_, length) => image.resize(*length as usize, 0),
            _ => {}
        }
        if at >= synced {
            lengths.push(image.len());
        }
    }
    if !lengths.is_empty() {
        image.resize(lengths[random() as usize % lengths.len()], 0);
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_power_cut_takes_only_what_was_not_promised(
        lengths in prop::collection::vec(0_usize..150, 1..20),
        durable in any::<bool>(),
        sync_at in prop::collection::vec(0_usize..20, 0..4),
        cut in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let fixture = Fixture::new();
        fixture.fill(0, 3);
        let initial: BTreeMap<_, _> =
            ["entries", "synced"].map(|name| (name, fs::read(fixture.path(name)).unwrap())).into();
        let ops = Arc::new(Mutex::new(Vec::new()));
        let mediums = |name: &'static str, file: File| -> Box<dyn Medium> {
            Box::new(Recorder { file, name, ops: Arc::clone(&ops) })
        };
        let durability = if durable { Durability::Durable } else { Durability::Buffered { sync_every: Duration::from_secs(100_000) } };
        let options = Options { durability, ..Options::default() };
        let log = Log::open_on(&fixture.folder(), Arc::clone(&fixture.key), ORIGIN, &options, &mediums).unwrap();
        let mut expected: Vec<_> = (0..3).map(record).collect();
        for (at, length) in lengths.iter().enumerate() {
            // Zeros look most like what a disk leaves.
            let record = vec![if length % 3 == 0 { 0 } else { at as u8 }; *length];
            log.append(&record).unwrap();
            expected.push(record);
            if durable {
                ops.lock().unwrap().push(Op::Acknowledged);
            } else if sync_at.contains(&at) {
                log.sync().unwrap();
                ops.lock().unwrap().extend((0..=at).map(|_| Op::Acknowledged));
            }
        }
        let recorded = ops.lock().unwrap().clone();
        drop(log);

        let before = &recorded[..=cut.index(recorded.len())];
        let mut acknowledged = before.iter().filter(|op| matches!(op, Op::Acknowledged)).count();
        if !durable {
            // Each sync acknowledges everything before it.
            let runs = before.split(|op| !matches!(op, Op::Acknowledged));
            acknowledged = runs.map(<[Op]>::len).max().unwrap_or(0);
        }
        let mut state = seed | 1;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        for (name, bytes) in &initial {
            fs::write(fixture.path(name), survived(bytes, name, before, &mut random)).unwrap();
        }
        let log = fixture.try_open().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let size = log.size() as usize;
        prop_assert!(size >= 3 + acknowledged, "{acknowledged} were promised, {size} are there");
        prop_assert_eq!(records(&fixture.folder()), &expected[..size]);
        log.append(b"goes on").unwrap();
        log.checkpoint().unwrap();
        log.close().unwrap();
        prop_assert!(fixture.verify().is_sound());
    }
}
