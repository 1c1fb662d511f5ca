//! A damaged log. The first byte says which file of a whole log of 270 entries the rest of the input replaces, or is put behind.
//! Opening it refuses, or leaves at least what was acknowledged; verifying it says that it is sound only if its signed entries are
//! those that were appended.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use ostrom_fuzz::fuzz_target;
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, Options, read, verify};

const ORIGIN: &str = "example.com/log";
const FILES: [&str; 8] = [
    "entries",
    "history",
    "checkpoint",
    "synced",
    "offsets",
    "tile/0/000",
    "tile/0/001.p/14",
    "tile/1/000.p/1",
];
const ENTRIES: u64 = 270;

struct Whole {
    key: Arc<SecretKey>,
    files: Vec<(&'static str, Vec<u8>)>,
    records: Vec<Vec<u8>>,
}

fn records(folder: &Path) -> Vec<Vec<u8>> {
    let entries = read(folder).into_iter().flatten();
    entries.map_while(Result::ok).map(|entry| entry.bytes).collect()
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = Arc::new(SecretKey::generate().expect("a key"));
    let log = Log::open(folder.path(), Arc::clone(&key), ORIGIN, &Options::default()).expect("a log");
    for number in 0..ENTRIES {
        log.append(number.to_string().as_bytes()).expect("a record");
        if number == 20 {
            log.checkpoint().expect("a checkpoint");
        }
    }
    log.checkpoint().expect("a checkpoint");
    drop(log);
    let files = FILES.map(|name| (name, fs::read(folder.path().join(name)).expect("a file of the log")));
    Whole { key, files: files.into(), records: records(folder.path()) }
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let outer = tempfile::tempdir().expect("a temporary folder");
    let folder = outer.path();
    for below in ["tile/0/001.p", "tile/1/000.p"] {
        fs::create_dir_all(folder.join(below)).expect("a folder");
    }
    let (which, is_behind) = (usize::from(kind & 7), kind & 8 != 0);
    for (number, (name, bytes)) in WHOLE.files.iter().enumerate() {
        let bytes = match (number == which, is_behind) {
            (true, true) => [bytes, rest].concat(),
            (true, false) => rest.to_vec(),
            _ => bytes.clone(),
        };
        fs::write(folder.join(name), bytes).expect("a file can be written");
    }
    if let Ok(report) = verify(folder, &WHOLE.key.public()) {
        let _ = report.to_string();
        let signed = report.signed as usize;
        if report.is_sound() && signed > 0 {
            assert_eq!(records(folder)[..signed], WHOLE.records[..signed], "a changed log is called sound");
        }
    }
    let open = || Log::open(folder, Arc::clone(&WHOLE.key), ORIGIN, &Options::default());
    if let Ok(log) = open() {
        assert!(log.size() >= ENTRIES, "acknowledged records were cut off");
        drop(log);
        assert_eq!(open().expect("it was just opened").recovery().cut_bytes, 0);
    }
});
