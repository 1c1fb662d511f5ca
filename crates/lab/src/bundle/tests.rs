//! Whatever is done to a bundle, it verifies as it was or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::{FILES, KEY, MANIFEST, STATEMENT, pack, unpack, verify};
use crate::scripted::{Scripted, bundle};
use crate::suite::Suite;

/// The files of one bundle, made once.
static WHOLE: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut suite = Suite::load("starter").unwrap();
    suite.cases.truncate(6);
    let used = |id: &str| suite.cases.iter().any(|case| case.twin == id);
    let twins = suite.twins.iter().filter(|twin| used(&twin.id)).cloned().collect();
    suite.twins = twins;
    bundle(folder.path(), suite, &[], Scripted(|messages| Ok(format!("{} answers", messages.len()))));
    let read = |name: &'static str| (name, fs::read(folder.path().join(name)).unwrap());
    FILES.into_iter().chain([MANIFEST, STATEMENT, KEY]).map(read).collect()
});

fn put(folder: &Path, files: &BTreeMap<&str, Vec<u8>>) {
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Flip(u8),
    Insert(u8),
    Cut,
    Remove(usize),
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (1..=255_u8).prop_map(Edit::Flip),
        any::<u8>().prop_map(Edit::Insert),
        Just(Edit::Cut),
        (1..200_usize).prop_map(Edit::Remove),
        (1..200_usize).prop_map(Edit::Repeat),
    ]
}

fn apply(bytes: &mut Vec<u8>, at: usize, edit: &Edit) {
    let to = |count: usize| (at + count).min(bytes.len());
    match *edit {
        Edit::Flip(mask) => bytes[at] ^= mask,
        Edit::Insert(byte) => bytes.insert(at, byte),
        Edit::Cut => bytes.truncate(at),
        Edit::Remove(count) => drop(bytes.drain(at..to(count))),
        Edit::Repeat(count) => {
            let again = bytes[at..to(count)].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

#[test]
fn a_change_around_the_signed_payload_is_noticed() {
    let whole = String::from_utf8(WHOLE[STATEMENT].clone()).unwrap();
    for (before, after) in [
        ("\"keyid\":\"", "\"jeyid\":\""),
        ("\"keyid\":\"", "\"keyid\":\"0"),
        ("{", "{ "),
        ("{", "{\"more\":1,"),
    ] {
        assert!(whole.contains(before));
        let folder = tempfile::tempdir().unwrap();
        let mut files = WHOLE.clone();
        files.insert(STATEMENT, whole.replacen(before, after, 1).into_bytes());
        put(folder.path(), &files);
        let error = verify(folder.path(), None).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("surrounds"), "{after}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_bundle_never_verifies(name in 0..5_usize, at in any::<prop::sample::Index>(), edit in edit()) {
        let folder = tempfile::tempdir().unwrap();
        let mut files = WHOLE.clone();
        let name = FILES.into_iter().chain([MANIFEST, STATEMENT]).nth(name).unwrap();
        let bytes = files.get_mut(name).unwrap();
        let at = at.index(bytes.len());
        apply(bytes, at, &edit);
        let same = files == *WHOLE;
        put(folder.path(), &files);
        prop_assert_eq!(verify(folder.path(), None).is_ok(), same, "{} at {}", name, at);
    }

    #[test]
    fn a_changed_archive_is_the_same_bundle_or_none(at in any::<prop::sample::Index>(), edit in edit()) {
        let outer = tempfile::tempdir().unwrap();
        let (folder, archive, out) = (outer.path().join("a"), outer.path().join("a.tar.zst"), outer.path().join("b"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&out).unwrap();
        put(&folder, &WHOLE);
        let (whole, _) = verify(&folder, None).unwrap();
        pack(&folder, &archive).unwrap();
        let mut bytes = fs::read(&archive).unwrap();
        let at = at.index(bytes.len());
        apply(&mut bytes, at, &edit);
        fs::write(&archive, bytes).unwrap();
        if unpack(&archive, &out).is_ok() && let Ok((bundle, _)) = verify(&out, None) {
            prop_assert_eq!(bundle.digest, whole.digest);
        }
        prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 3, "something lies outside the folder");
    }
}
