//! A damaged log. The first byte says which file of a whole log the rest of the input replaces, or is put behind, and of which log: one
//! in sixteen runs takes a log of 270 entries, which has a full tile, and the others one of 20, which is hashed a dozen times faster.
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
/// How many entries the logs have, and where their tiles are.
const SMALL: (u64, [&str; 3]) = (20, ["tile/0/000.p/7", "tile/0/000.p/20", "tile/0/000"]);
const LARGE: (u64, [&str; 3]) = (270, ["tile/0/000", "tile/0/001.p/14", "tile/1/000.p/1"]);
const FOLDERS: [&str; 3] = ["tile/0/000.p", "tile/0/001.p", "tile/1/000.p"];

struct Whole {
    key: Arc<SecretKey>,
    entries: u64,
    files: Vec<(&'static str, Vec<u8>)>,
    records: Vec<Vec<u8>>,
}

fn records(folder: &Path) -> Vec<Vec<u8>> {
    let entries = read(folder).into_iter().flatten();
    entries.map_while(Result::ok).map(|entry| entry.bytes).collect()
}

fn whole((entries, tiles): (u64, [&'static str; 3])) -> Whole {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = Arc::new(SecretKey::generate().expect("a key"));
    let log = Log::open(folder.path(), Arc::clone(&key), ORIGIN, &Options::default()).expect("a log");
    for number in 0..entries {
        log.append(number.to_string().as_bytes()).expect("a record");
        if number == 6 {
            log.checkpoint().expect("a checkpoint");
        }
    }
    log.checkpoint().expect("a checkpoint");
    drop(log);
    let names = ["entries", "history", "checkpoint", "synced", "offsets"].into_iter().chain(tiles);
    // A tile that this log does not have is empty: the input is all of it.
    let files = names.map(|name| (name, fs::read(folder.path().join(name)).unwrap_or_default())).collect();
    Whole { key, entries, files, records: records(folder.path()) }
}

static WHOLES: LazyLock<[Whole; 2]> = LazyLock::new(|| [whole(SMALL), whole(LARGE)]);

/// Where all runs lay their log out, one after the other: making and removing folders took a quarter of a run.
static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a temporary folder");
    for below in FOLDERS {
        fs::create_dir_all(place.path().join(below)).expect("a folder");
    }
    place
});

/// Removes the files that the run before has left, so that a run depends on its input alone.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        if entry.file_type().expect("it is there").is_dir() {
            clear(&entry.path());
        } else {
            fs::remove_file(entry.path()).expect("a file can be removed");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let folder = PLACE.path();
    clear(folder);
    let whole = &WHOLES[usize::from(*kind >= 0xf0)];
    let (which, is_behind) = (usize::from(kind & 7), kind & 8 != 0);
    for (number, (name, bytes)) in whole.files.iter().enumerate() {
        match (number == which, is_behind) {
            (true, true) => fs::write(folder.join(name), [bytes, rest].concat()),
            (true, false) => fs::write(folder.join(name), rest),
            (false, _) if bytes.is_empty() => Ok(()),
            (false, _) => fs::write(folder.join(name), bytes),
        }
        .expect("a file can be written");
    }
    if let Ok(report) = verify(folder, &whole.key.public()) {
        let _ = report.to_string();
        let signed = report.signed as usize;
        if report.is_sound() && signed > 0 {
            assert_eq!(records(folder)[..signed], whole.records[..signed], "a changed log is called sound");
        }
    }
    let open = || Log::open(folder, Arc::clone(&whole.key), ORIGIN, &Options::default());
    if let Ok(log) = open() {
        assert!(log.size() >= whole.entries, "acknowledged records were cut off");
        drop(log);
        assert_eq!(open().expect("it was just opened").recovery().cut_bytes, 0);
    }
});
