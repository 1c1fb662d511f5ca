//! Models on disks and in folders that are not as they should be: scanning, signing and verifying name what stood in the way,
//! and fail.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::place::{Place, Ran};

/// A signed model of two files, with the key in `k.pem`.
fn signed() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("model")).unwrap();
    fs::write(place.path("model/config.json"), "{\"hidden_size\": 8}").unwrap();
    fs::write(place.path("model/notes.txt"), "some notes\n").unwrap();
    place.ostrom(&["key", "new", "k.pem"]).exits(0);
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    place
}

const VERIFY: [&str; 4] = ["verify", "model", "--key", "k.pub.pem"];

/// Runs the binary by a shell that first does `first`.
fn after(place: &Place, first: &str, args: &[&str]) -> Ran {
    let mut shell = place.command_of("sh".as_ref(), &["-c", &format!("{first}; exec \"$0\" \"$@\"")]);
    Ran::of(shell.arg(env!("CARGO_BIN_EXE_ostrom")).args(args))
}

/// Runs the binary as somebody whom permissions hold back. They do not hold root back, who runs tests in containers, unless
/// it gives up the right to pass over them.
fn held_back(place: &Place, args: &[&str]) -> Ran {
    let plain = place.ostrom(&["scan", "model"]);
    if plain.code != Some(0) {
        return place.ostrom(args);
    }
    let rights = "-dac_override,-dac_read_search";
    let mut command = place.command_of("setpriv".as_ref(), &["--bounding-set", rights, "--inh-caps", rights]);
    Ran::of(command.arg(env!("CARGO_BIN_EXE_ostrom")).args(args))
}

#[test]
fn what_may_not_be_read_is_named_and_fails() {
    let place = signed();
    fs::set_permissions(place.path("model/notes.txt"), fs::Permissions::from_mode(0o0)).unwrap();
    held_back(&place, &["scan", "model"]).exits(1).says("notes.txt").says("Permission denied");
    held_back(&place, &VERIFY).exits(1).complains("notes.txt").complains("Permission denied");
    held_back(&place, &["sign", "model", "--key", "k.pem"]).exits(1).complains("notes.txt");
    fs::set_permissions(place.path("model/notes.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(place.path("model/sub")).unwrap();
    fs::set_permissions(place.path("model/sub"), fs::Permissions::from_mode(0o0)).unwrap();
    held_back(&place, &["scan", "model"]).exits(1).says("sub").says("Permission denied");
    held_back(&place, &VERIFY).exits(1).complains("sub").complains("Permission denied");
    fs::set_permissions(place.path("model/sub"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_full_disk_is_said_and_leaves_what_was_there() {
    let place = signed();
    let before = place.read("model/model.sig");
    // Blocks of 512 bytes. The signal for a file that grows too large is ignored, so that writing fails instead.
    let full = "trap '' XFSZ; ulimit -f 0";
    fs::write(place.path("model/notes.txt"), "other notes\n").unwrap();
    after(&place, full, &["sign", "model", "--key", "k.pem"]).exits(1).complains("too large");
    assert_eq!(place.read("model/model.sig"), before, "the old signature stays whole");
    after(&place, full, &["passport", "model"]).exits(1);
    assert!(!place.path("model.passport.json").exists());
    after(&place, full, &["key", "new", "half.pem"]).exits(1).complains("too large");
    assert!(!place.path("half.pem").exists(), "half a key is left");
    // What is unpacked beyond some megabytes lies in a temporary file.
    let mut packed = Command::new("sh");
    let pack = "head -c 30000000 /dev/zero | tr '\\0' 'a' | gzip > model/notes.txt.gz";
    assert!(packed.args(["-c", pack]).current_dir(place.path("")).status().unwrap().success());
    place.ostrom(&["scan", "model"]).exits(0);
    let limited = "trap '' XFSZ; ulimit -f 100";
    after(&place, limited, &["scan", "model"]).exits(1).says("notes.txt.gz").says("temporary file");
}

#[test]
fn links_pipes_devices_and_odd_names_fail_everywhere() {
    let place = signed();
    let odd = place.path("model").join(std::ffi::OsStr::from_bytes(b"odd\xff.txt"));
    type Fault<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());
    let gone = |name: &'static str| {
        let path = place.path(name);
        move || fs::remove_file(&path).unwrap()
    };
    let pipe = || assert!(Command::new("mkfifo").arg(place.path("model/pipe")).status().unwrap().success());
    let faults: [Fault<'_>; 4] = [
        ("broken", &|| symlink("nowhere", place.path("model/broken")).unwrap(), &gone("model/broken")),
        ("device", &|| symlink("/dev/zero", place.path("model/device")).unwrap(), &gone("model/device")),
        ("pipe", &pipe, &gone("model/pipe")),
        ("odd", &|| fs::write(&odd, "x").unwrap(), &|| fs::remove_file(&odd).unwrap()),
    ];
    place.ostrom(&VERIFY).exits(0);
    for (name, make, undo) in faults {
        make();
        place.ostrom(&VERIFY).exits(1).complains(name);
        place.ostrom(&["sign", "model", "--key", "k.pem", "--out", "new.sig"]).exits(1).complains(name);
        assert!(!place.path("new.sig").exists());
        // An odd name is a finding; its file is examined all the same.
        let code = i32::from(name != "odd");
        place.ostrom(&["scan", "model"]).exits(code).says(name);
        undo();
    }
    place.ostrom(&VERIFY).exits(0);
    place.ostrom(&["scan", "/dev/zero"]).exits(1).complains("neither a file nor a folder");
}

#[test]
fn a_hundred_thousand_files_are_signed_and_verified() {
    let place = Place::new();
    for part in 0..100 {
        let part = place.path(&format!("model/{part:02}"));
        fs::create_dir_all(&part).unwrap();
        for number in 0..1000 {
            fs::write(part.join(format!("{number}.json")), "{\"a\": 1}").unwrap();
        }
    }
    place.ostrom(&["key", "new", "k.pem"]).exits(0);
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0).says("100000 files");
    fs::write(place.path("model/57/777.json"), "{\"a\": 2}").unwrap();
    place.ostrom(&VERIFY).exits(1).complains("changed: 57/777.json");
}
