//! A packed bundle from a stranger: only a bundle's own files come out of it, below the folder, or an error.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use ostrom_lab::bundle::{unpack, verify};

fuzz_target!(|data: &[u8]| {
    let outer = tempfile::tempdir().expect("a temporary folder");
    let (archive, folder) = (outer.path().join("bundle.tar.zst"), outer.path().join("bundle"));
    fs::write(&archive, data).expect("the archive can be written");
    fs::create_dir(&folder).expect("the folder can be made");
    if unpack(&archive, &folder).is_ok() {
        let _ = verify(&folder, None);
    }
    let beside = fs::read_dir(outer.path()).expect("the folder can be read").count();
    assert_eq!(beside, 2, "something was written outside the folder");
});
