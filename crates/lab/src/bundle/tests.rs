//! Whatever is done to a bundle, it verifies as it was or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use ostrom_core::Digest;
use ostrom_models::{BoxFuture, Model, ModelError, ModelIdentity, Request, Response};

use super::{
    BundleError, FILES, KEY, MANIFEST, Rerun, STATEMENT, Verification, finish, pack, unpack, verify,
};
use crate::rule::Rule;
use crate::scripted::{Scripted, bundle, play, run};
use crate::suite::Suite;

/// The files of one bundle, made once.
static WHOLE: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let suite = short_suite();
    bundle(folder.path(), suite, &[], Scripted(|messages| Ok(format!("{} answers", messages.len()))));
    let read = |name: &'static str| (name, fs::read(folder.path().join(name)).unwrap());
    FILES.into_iter().chain([MANIFEST, STATEMENT, KEY]).map(read).collect()
});

fn short_suite() -> Suite {
    let mut suite = Suite::load("starter").unwrap();
    suite.id = "short".parse().unwrap();
    suite.cases.truncate(6);
    let used = |id: &str| suite.cases.iter().any(|case| case.twin == id);
    let twins = suite.twins.iter().filter(|twin| used(&twin.id)).cloned().collect();
    suite.twins = twins;
    suite
}

/// What verifying a bundle says whose suite was doctored before it was run and signed.
fn verified(change: impl Fn(&mut Suite)) -> Result<Verification, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut suite = short_suite();
    change(&mut suite);
    let mut run = run(folder.path(), suite, &[]);
    play(&mut run, Scripted(|_| Ok("Fine.".to_owned())), false);
    finish(&run, &ostrom_trust::SecretKey::generate().unwrap(), 0).unwrap();
    verify(folder.path(), None).map(|(_, verification)| verification).map_err(|error| error.to_string())
}

#[test]
fn a_bundle_cannot_bring_its_own_rules_under_a_builtin_name() {
    assert!(!verified(|_| {}).unwrap().builtin_suite);
    let error = verified(|suite| suite.id = "starter".parse().unwrap()).unwrap_err();
    assert!(error.contains("calls itself starter") && error.contains("is another one"), "{error}");
}

#[test]
fn a_rule_that_cannot_decide_is_an_error_and_not_a_failed_attack() {
    let broken = || Rule::Regex { pattern: "(".to_owned(), exact: false };
    let error = verified(|suite| suite.cases[1].success = broken()).unwrap_err();
    assert!(error.contains("suite.json") && error.contains("pattern"), "{error}");
    let nested = || Rule::Any { rules: vec![Rule::Not { of: Box::new(broken()) }] };
    assert!(verified(|suite| suite.twins[0].utility = nested()).unwrap_err().contains("pattern"));
}

#[test]
fn the_key_beside_a_bundle_has_one_form() {
    let pem = String::from_utf8(WHOLE[KEY].clone()).unwrap();
    for other in [format!("{pem}\n"), format!("note: trust me\n{pem}"), pem.replace('\n', "\r\n")] {
        let folder = tempfile::tempdir().unwrap();
        let mut files = WHOLE.clone();
        files.insert(KEY, other.clone().into_bytes());
        put(folder.path(), &files);
        assert!(verify(folder.path(), None).is_err(), "{other}");
    }
}

/// The scripted model as if it were a file, so that it can be replayed.
struct Local(Scripted);

impl Model for Local {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity::Local { name: "m".to_owned(), digest: Digest::of(b"m"), architecture: "a".to_owned() }
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn generate(&self, request: Request) -> BoxFuture<'_, Result<Response, ModelError>> {
        self.0.generate(request)
    }
}

#[test]
fn a_rerun_plays_as_many_trials_as_were_asked_for_or_is_an_error() {
    let rerun = |recorded: Scripted, limit| {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = bundle(folder.path(), short_suite(), &[], recorded);
        opened.manifest.target = Local(Scripted(|_| Ok(String::new()))).identity();
        let model = Local(Scripted(|_| Ok("Fine.".to_owned())));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Rerun { model: &model, limit }.play(&opened)).map_err(|error| error.to_string())
    };
    let fine = || Scripted(|_| Ok("Fine.".to_owned()));
    let all = rerun(fine(), usize::MAX).unwrap();
    assert_eq!((rerun(fine(), 1), rerun(fine(), 5)), (Ok(1), Ok(5)));
    assert!(all > 5);
    assert!(rerun(fine(), 0).unwrap_err().contains("no trial"));
    let broken = Scripted(|_| Err(ModelError::Unsupported("no".to_owned())));
    assert!(rerun(broken, 5).unwrap_err().contains("no trial"));
    assert!(rerun(Scripted(|_| Ok("Other.".to_owned())), 1).unwrap_err().contains("another answer"));
}

#[test]
fn what_a_stranger_calls_a_trial_moves_no_terminal() {
    let error =
        BundleError::Trial { line: 1, id: "a\u{1b}[2J\n".to_owned(), arm: "twin", message: String::new() };
    assert!(!error.to_string().contains(['\u{1b}', '\n']), "{error}");
    let error = BundleError::Rerun { id: "\u{1b}c".to_owned(), arm: "twin" };
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

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
