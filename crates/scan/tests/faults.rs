//! Folders that are not as they should be: whatever stands in the way of an examination is named, and fails the scan.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use ostrom_core::Severity;
use ostrom_scan::{Options, Report, scan};

fn scanned(folder: &tempfile::TempDir, options: &Options) -> Report {
    scan(folder.path(), options, &()).unwrap()
}

/// Asserts that the scan fails whatever severity is asked for, with this rule at this place.
#[track_caller]
fn fails(report: &Report, rule: &str, place: &str) {
    assert!(report.fails_at(Severity::Critical), "{report:#?}");
    let found = report.findings().any(|one| one.rule.as_str() == rule && one.place == place);
    assert!(found, "{rule} at {place}: {report:#?}");
}

#[test]
fn a_file_of_the_kernels_that_says_it_is_empty_fails() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/proc/version", folder.path().join("weights.bin")).unwrap();
    fails(&scanned(&folder, &Options::default()), "unreadable", "weights.bin");
}

#[test]
fn a_file_that_cannot_be_read_fails() {
    // Opens, and gives an error at every read.
    let folder = tempfile::tempdir().unwrap();
    symlink("/proc/self/mem", folder.path().join("weights.bin")).unwrap();
    fails(&scanned(&folder, &Options::default()), "unreadable", "weights.bin");
}

#[test]
fn devices_pipes_and_broken_links_fail_and_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    symlink("/dev/zero", path("device")).unwrap();
    symlink("nowhere", path("broken")).unwrap();
    symlink("/etc", path("etc")).unwrap();
    symlink("circle", path("circle")).unwrap();
    let report = scanned(&folder, &Options::default());
    fails(&report, "special-file", "socket");
    fails(&report, "linked-folder", "device");
    fails(&report, "unreadable", "broken");
    fails(&report, "linked-folder", "etc");
    fails(&report, "unreadable", "circle");
    assert!(report.files.is_empty());
    assert!(scan(&path("socket"), &Options::default(), &()).is_err());
    assert!(scan(&path("nothing"), &Options::default(), &()).is_err());
}

#[test]
fn names_that_are_not_utf8_are_named_and_their_files_examined() {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"odd\xff.pkl");
    fs::write(folder.path().join(name), b"\x80\x04cos\nsystem\n(S'x'\ntR.").unwrap();
    let report = scanned(&folder, &Options::default());
    assert!(report.findings().any(|one| one.rule.as_str() == "name-not-utf8"), "{report:#?}");
    assert!(report.findings().any(|one| one.rule.as_str() == "pickle-dangerous-call"), "{report:#?}");
    assert!(report.files[0].path.starts_with("\"odd"), "{}", report.files[0].path);
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    File::create(&path).unwrap().set_len(200 << 20).unwrap();
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(&path).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
                std::thread::yield_now();
            }
        });
        // Taking the digest reads all of it.
        let report = scanned(&folder, &Options { digests: true, ..Options::default() });
        done.store(true, Ordering::Relaxed);
        report
    });
    fails(&report, "changed-while-read", "weights.bin");
}

#[test]
fn a_time_that_was_set_back_hides_no_change() {
    // The content is changed in place and the time of modification set back, all while the folder is scanned.
    struct Meddle(std::path::PathBuf, AtomicBool);
    impl ostrom_scan::Progress for Meddle {
        fn total(&self, _: usize, _: u64) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    File::create(&path).unwrap().set_len(200 << 20).unwrap();
    let meddle = Meddle(path, AtomicBool::new(false));
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().write(true).open(&meddle.0).unwrap();
            let times = fs::FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
            while !done.load(Ordering::Relaxed) {
                if meddle.1.load(Ordering::Relaxed) {
                    file.write_all(b"x").unwrap();
                    file.set_times(times).unwrap();
                }
                std::thread::yield_now();
            }
        });
        let report = scan(folder.path(), &Options { digests: true, ..Options::default() }, &meddle).unwrap();
        done.store(true, Ordering::Relaxed);
        report
    });
    fails(&report, "changed-while-read", "weights.bin");
}

#[test]
fn a_hundred_thousand_files_are_all_examined() {
    let folder = tempfile::tempdir().unwrap();
    for part in 0..100 {
        let part = folder.path().join(format!("part-{part:02}"));
        fs::create_dir(&part).unwrap();
        for number in 0..1000 {
            fs::write(part.join(format!("{number}.json")), "{\"a\": 1}").unwrap();
        }
    }
    fs::write(folder.path().join("part-57/777.json"), b"\x80\x04cos\nsystem\n(S'x'\ntR.").unwrap();
    let report = scanned(&folder, &Options::default());
    assert_eq!(report.files.len(), 100_000);
    fails(&report, "pickle-dangerous-call", "part-57/777.json");
    assert!(report.findings().all(|finding| finding.place == "part-57/777.json"));
}
