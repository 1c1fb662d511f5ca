//! Tests of the log as callers use it.

mod crash;
mod damage;
mod faults;
mod merkle;
mod notes;
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Durability, Log, LogError, Options, Report, read, verify};
use crate::SecretKey;

const ORIGIN: &str = "test.example/log";

/// A log in a temporary folder.
struct Fixture {
    outer: tempfile::TempDir,
    key: Arc<SecretKey>,
    options: Options,
}

impl Fixture {
    fn new() -> Self {
        let options = Options {
            durability: Durability::Buffered { sync_every: Duration::from_millis(5) },
            ..Options::default()
        };
        Self { outer: tempfile::tempdir().unwrap(), key: Arc::new(SecretKey::generate().unwrap()), options }
    }

    fn folder(&self) -> PathBuf {
        self.outer.path().join("log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn try_open(&self) -> Result<Log, LogError> {
        Log::open(&self.folder(), Arc::clone(&self.key), ORIGIN, &self.options)
    }

    fn open(&self) -> Log {
        self.try_open().unwrap()
    }

    fn verify(&self) -> Report {
        verify(&self.folder(), &self.key.public()).unwrap()
    }

    /// Appends records `from..to`, with a checkpoint at the end.
    fn fill(&self, from: u64, to: u64) {
        let log = self.open();
        for index in from..to {
            assert_eq!(log.append(&record(index)).unwrap(), index);
        }
        log.checkpoint().unwrap();
        log.close().unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
    }
}

/// What record `index` says in these tests. Some are empty, some long.
fn record(index: u64) -> Vec<u8> {
    let length = if index % 50 == 49 { 3000 } else { (index * 7 % 40) as usize };
    let mut record = index.to_string().into_bytes();
    record.resize(length, b'.');
    record
}

fn records(folder: &Path) -> Vec<Vec<u8>> {
    let entries: Result<Vec<_>, _> = read(folder).unwrap().collect();
    let entries = entries.unwrap();
    assert!(entries.iter().enumerate().all(|(at, entry)| entry.index == at as u64));
    entries.into_iter().map(|entry| entry.bytes).collect()
}

/// Where the frame of record `index` begins in the file of entries.
fn offset(index: u64) -> usize {
    16 + (0..index).map(|index| 12 + record(index).len()).sum::<usize>()
}
