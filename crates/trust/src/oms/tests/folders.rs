//! Folders: what was signed, and every way to differ from it.

use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;

use crate::oms::{
    Change, Changed, Curve, Differences, EcSecretKey, FastCache, HashAlgorithm, Method, OmsError, Problem,
    SignOptions, Signed, SignedBy, Signer, Trust, UNFINISHED, Verified, VerifyOptions, Why, authenticate,
    sign, verify, verify_fast,
};

struct World {
    folder: tempfile::TempDir,
    signer: Signer,
    trust: Trust,
}

impl World {
    fn new(curve: Curve) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = EcSecretKey::generate(curve).unwrap();
        let trust = Trust::Key(key.public());
        let world = Self { folder, signer: Signer::key(key), trust };
        world.write("weights/a.bin", &[1; 1000]);
        world.write("weights/b.bin", &[2; 2500]);
        world.write("weights.txt", b"text");
        world.write("empty", b"");
        world.write(".hidden", b"h");
        world
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.model().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn sign(&self, options: &SignOptions) -> Signed {
        sign(&self.model(), None, &self.signer, options, &|_| ()).unwrap()
    }

    fn verify(&self, signed: &Signed) -> Result<Verified, OmsError> {
        self.verify_with(signed, &VerifyOptions::default())
    }

    fn verify_with(&self, signed: &Signed, options: &VerifyOptions) -> Result<Verified, OmsError> {
        verify(&self.model(), None, &signed.bundle, &self.trust, options, &|_| ())
    }

    fn differences(&self, signed: &Signed) -> Differences {
        match self.verify(signed).unwrap_err() {
            OmsError::Differs(differences) => *differences,
            other => panic!("{other}"),
        }
    }
}

fn world() -> World {
    World::new(Curve::P256)
}

fn shards(size: u64) -> Method {
    Method::Shards(NonZeroU64::new(size).unwrap())
}

fn options(hash: HashAlgorithm, method: Method) -> SignOptions {
    SignOptions { hash, method, ..SignOptions::default() }
}

const HASHES: [HashAlgorithm; 3] = [HashAlgorithm::Sha256, HashAlgorithm::Blake2b, HashAlgorithm::Blake3];

#[test]
fn what_was_signed_verifies_with_every_curve_hash_and_method() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let world = World::new(curve);
        for hash in HASHES {
            for method in [Method::Files, shards(700), shards(1_000_000)] {
                let signed = world.sign(&options(hash, method));
                let verified = world.verify(&signed).unwrap();
                assert_eq!(verified.root, signed.root);
                assert_eq!(verified.hash, hash);
                assert_eq!(verified.model, "model");
                assert_eq!((verified.bytes, signed.bytes), (3505, 3505));
                assert!(matches!(verified.signer, SignedBy::Key { curve: found, .. } if found == curve));
                let names: Vec<&str> = verified.files.iter().map(|file| file.path.as_str()).collect();
                if verified.method == Method::Files {
                    assert_eq!(names, [".hidden", "empty", "weights/a.bin", "weights/b.bin", "weights.txt"]);
                } else {
                    assert_eq!(names, [".hidden", "weights/a.bin", "weights/b.bin", "weights.txt"]);
                    assert_eq!(verified.uncovered, ["empty"]);
                }
            }
        }
    }
}

#[test]
fn every_difference_is_named_at_once() {
    for (hash, method) in [(HashAlgorithm::Sha256, Method::Files), (HashAlgorithm::Blake2b, shards(700))] {
        let world = world();
        world.write("gone/1", b"1");
        let signed = world.sign(&options(hash, method));
        fs::remove_dir_all(world.path("gone")).unwrap();
        fs::rename(world.path("weights.txt"), world.path("renamed.txt")).unwrap();
        world.write("new", b"n");
        let mut bytes = vec![2; 2500];
        bytes[1500] = 3;
        world.write("weights/b.bin", &bytes);
        bytes.truncate(999);
        world.write("weights/a.bin", &bytes);

        let differences = world.differences(&signed);
        assert_eq!(differences.extra, ["new", "renamed.txt"]);
        assert_eq!(differences.missing, ["gone/1", "weights.txt"]);
        let names: Vec<&str> = differences.changed.iter().map(|changed| changed.path.as_str()).collect();
        assert_eq!(names, ["weights/a.bin", "weights/b.bin"]);
        if method != Method::Files {
            assert_eq!(
                differences.changed,
                [
                    Changed {
                        path: "weights/a.bin".to_owned(),
                        how: Change::Length { signed: 1000, found: 999 }
                    },
                    Changed { path: "weights/b.bin".to_owned(), how: Change::Shards(vec![(1400, 2100)]) },
                ]
            );
        }
        let message = OmsError::Differs(Box::new(differences)).to_string();
        for word in ["extra: new", "missing: gone/1", "missing: weights.txt", "changed: weights/b.bin"] {
            assert!(message.contains(word), "{word} is not in {message}");
        }
    }
}

#[test]
fn two_files_that_change_places_are_noticed() {
    for method in [Method::Files, shards(300)] {
        let world = world();
        world.write("weights/a.bin", &[5; 900]);
        world.write("weights/b.bin", &[6; 900]);
        let signed = world.sign(&options(HashAlgorithm::Sha256, method));
        world.write("weights/a.bin", &[6; 900]);
        world.write("weights/b.bin", &[5; 900]);
        assert_eq!(world.differences(&signed).changed.len(), 2);
    }
}

#[test]
fn shards_cannot_be_moved_within_a_file() {
    let world = world();
    world.write("weights/b.bin", &[[1_u8; 700], [2; 700]].concat());
    let signed = world.sign(&options(HashAlgorithm::Sha256, shards(700)));
    world.write("weights/b.bin", &[[2_u8; 700], [1; 700]].concat());
    assert_eq!(world.differences(&signed).changed[0].how, Change::Shards(vec![(0, 700), (700, 1400)]));
}

#[test]
fn another_key_and_a_changed_bundle_are_refused() {
    let (ours, other) = (world(), world());
    let signed = ours.sign(&SignOptions::default());
    let result =
        verify(&ours.model(), None, &signed.bundle, &other.trust, &VerifyOptions::default(), &|_| ());
    assert!(matches!(result, Err(OmsError::Signature(_))));

    let whole = String::from_utf8(signed.bundle.clone()).unwrap();
    let mut changes = 0;
    for field in ["\"payload\":\"", "\"sig\":\"", "\"hint\":\"", "\"payloadType\":\""] {
        let start = whole.find(field).unwrap() + field.len();
        let len = whole.bytes().skip(start).position(|byte| byte == b'"').unwrap();
        for place in (start..start + len).step_by(1 + len / 40) {
            let mut bytes = signed.bundle.clone();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(authenticate(&bytes, &ours.trust).is_err(), "a change at {place} was not noticed");
            changes += 1;
        }
    }
    assert!(changes > 60);
    for cut in (0..signed.bundle.len() - 1).step_by(17) {
        assert!(authenticate(&signed.bundle[..cut], &ours.trust).is_err());
    }
}

#[test]
fn a_signature_of_one_method_does_not_pass_for_another() {
    let world = world();
    let signed = world.sign(&SignOptions::default());
    let chain = super::pki::Chain::new(Curve::P256, Curve::P256, Curve::P256);
    let root = super::pki::to_pem(&chain.root_der());
    let trust =
        crate::oms::CertificateTrust::from_pem([root.as_str()], crate::oms::CertificateTime::Issued).unwrap();
    let error = authenticate(&signed.bundle, &Trust::Certificates(trust)).unwrap_err();
    assert!(matches!(error, OmsError::Method { made_with: "a key", .. }), "{error}");
}

#[test]
fn the_signature_file_and_git_are_left_out_and_said_to_be() {
    let world = world();
    let place = world.path("model.sig");
    world.write(".git/HEAD", b"ref");
    world.write("sub/.gitignore", b"*");
    let signed = sign(&world.model(), Some(&place), &world.signer, &SignOptions::default(), &|_| ()).unwrap();
    assert_eq!(signed.ignored, [".git"]);
    fs::write(&place, &signed.bundle).unwrap();
    let verified = verify(
        &world.model(),
        Some(&place),
        &signed.bundle,
        &world.trust,
        &VerifyOptions::default(),
        &|_| (),
    )
    .unwrap();
    assert_eq!(verified.ignored, [".git", "model.sig"]);
    // The signer's list travels with the signature: a verifier that reads it from elsewhere finds the same.
    world.verify(&signed).unwrap();
    // Only at the top: a .gitignore further down is a file like any other.
    world.write("sub/.gitignore", b"#");
    assert_eq!(world.differences(&signed).changed[0].path, "sub/.gitignore");
}

#[test]
fn callers_may_ignore_more_but_not_everything() {
    let world = world();
    let signed = world.sign(&SignOptions { ignore: vec!["./notes/".to_owned()], ..SignOptions::default() });
    world.write("notes/a", b"anything");
    world.write("cache/x", b"anything");
    assert_eq!(world.differences(&signed).extra, ["cache/x"]);
    let ignore = |name: &str| VerifyOptions { ignore: vec![name.to_owned()], ..VerifyOptions::default() };
    assert_eq!(world.verify_with(&signed, &ignore("cache")).unwrap().ignored, ["cache", "notes"]);
    // What is ignored counts as missing if it was signed.
    let error = world
        .verify_with(
            &signed,
            &VerifyOptions {
                ignore: vec!["cache".to_owned(), "weights".to_owned()],
                ..VerifyOptions::default()
            },
        )
        .unwrap_err();
    assert!(error.to_string().contains("missing: weights/a.bin"), "{error}");
    for name in [".", "", "..", "../model", "/"] {
        assert!(matches!(world.verify_with(&signed, &ignore(name)), Err(OmsError::Options(_))), "{name:?}");
    }
}

#[test]
fn unsigned_files_are_accepted_only_on_request_and_listed() {
    let world = world();
    let signed = world.sign(&SignOptions::default());
    world.write("extra", b"e");
    assert!(world.verify(&signed).is_err());
    let options = VerifyOptions { ignore_unsigned: true, ..VerifyOptions::default() };
    assert_eq!(world.verify_with(&signed, &options).unwrap().unsigned, ["extra"]);
    world.write("weights.txt", b"TEXT");
    assert!(world.verify_with(&signed, &options).is_err());
}

#[test]
fn one_file_can_be_a_model() {
    let world = world();
    let file = world.path("weights/a.bin");
    for method in [Method::Files, shards(300)] {
        let signed =
            sign(&file, None, &world.signer, &options(HashAlgorithm::Sha256, method), &|_| ()).unwrap();
        let check = || verify(&file, None, &signed.bundle, &world.trust, &VerifyOptions::default(), &|_| ());
        assert_eq!(check().unwrap().files[0].path, ".");
        fs::write(&file, [9; 1000]).unwrap();
        assert!(check().is_err());
        fs::write(&file, [1; 1000]).unwrap();
    }
}

#[test]
fn nothing_cannot_be_signed() {
    let world = world();
    fs::remove_dir_all(world.model()).unwrap();
    let signs = |options| sign(&world.model(), None, &world.signer, &options, &|_| ());
    assert!(matches!(signs(SignOptions::default()), Err(OmsError::Unexamined { .. })));
    fs::create_dir(world.model()).unwrap();
    assert!(matches!(signs(SignOptions::default()), Err(OmsError::Nothing(_))));
    world.write("empty", b"");
    assert!(matches!(signs(options(HashAlgorithm::Sha256, shards(10))), Err(OmsError::Nothing(_))));
    assert!(signs(SignOptions::default()).is_ok());
}

#[test]
fn what_a_killed_command_left_behind_is_never_signed() {
    let world = world();
    let name = format!("weights/{UNFINISHED}a1b2");
    world.write(&name, b"half a signature");
    let error = sign(&world.model(), None, &world.signer, &SignOptions::default(), &|_| ()).unwrap_err();
    assert!(error.to_string().contains(&name) && error.to_string().contains("remove it"), "{error}");
    fs::remove_file(world.path(&name)).unwrap();
    let signed = world.sign(&SignOptions::default());
    world.write(&name, b"half a signature");
    assert_eq!(world.differences(&signed).extra, [name]);
}

#[test]
fn names_with_colons_have_no_shards() {
    let world = world();
    world.write("a:1:2", b"x");
    let error =
        sign(&world.model(), None, &world.signer, &options(HashAlgorithm::Sha256, shards(9)), &|_| ())
            .unwrap_err();
    assert!(error.to_string().contains("a:1:2: has a colon"), "{error}");
    let signed = world.sign(&SignOptions::default());
    world.verify(&signed).unwrap();
}

#[cfg(unix)]
#[test]
fn links_are_refused_unless_both_sides_want_them() {
    use std::os::unix::fs::symlink;
    let world = world();
    let signed = world.sign(&SignOptions::default());
    fs::rename(world.path("weights.txt"), world.folder.path().join("outside")).unwrap();
    symlink(world.folder.path().join("outside"), world.path("weights.txt")).unwrap();
    let link = Problem { path: "weights.txt".to_owned(), why: Why::Link };
    let differences = world.differences(&signed);
    assert_eq!(differences.unexamined, [link]);
    assert!(differences.missing.is_empty());
    let error = sign(&world.model(), None, &world.signer, &SignOptions::default(), &|_| ()).unwrap_err();
    assert!(error.to_string().contains("weights.txt: is a symbolic link"), "{error}");

    let with_links = VerifyOptions { allow_symlinks: true, ..VerifyOptions::default() };
    world.verify_with(&signed, &with_links).unwrap();
    let signed = world.sign(&SignOptions { allow_symlinks: true, ..SignOptions::default() });
    world.verify_with(&signed, &with_links).unwrap();
    assert!(world.verify(&signed).is_err(), "what the signer allowed was taken for what the verifier allows");
    // A link to a folder would bring in files that nobody signed.
    symlink(world.folder.path(), world.path("more")).unwrap();
    let error = world.verify_with(&signed, &with_links).unwrap_err();
    assert!(error.to_string().contains("more: is a symbolic link to a folder"), "{error}");
}

#[cfg(unix)]
#[test]
fn whatever_cannot_be_read_fails_and_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = world();
    let signed = world.sign(&SignOptions::default());
    fs::write(world.path("x").with_file_name(std::ffi::OsStr::from_bytes(b"odd\xff")), "x").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    fs::remove_file(world.path("weights.txt")).unwrap();
    fs::create_dir(world.path("weights.txt")).unwrap();
    let differences = world.differences(&signed);
    assert_eq!(
        differences.unexamined,
        [
            Problem { path: "odd\u{fffd}".to_owned(), why: Why::NotUtf8 },
            Problem { path: "socket".to_owned(), why: Why::Special },
        ]
    );
    assert_eq!(differences.missing, ["weights.txt"]);
    let error =
        sign(&world.model(), None, &world.signer, &SignOptions::default(), &|_| ()).unwrap_err().to_string();
    assert!(error.contains("odd") && error.contains("socket"), "{error}");
}

#[test]
fn a_file_that_changes_during_signing_stops_it() {
    let world = world();
    let path = world.path("weights/b.bin");
    let result = sign(
        &world.model(),
        None,
        &world.signer,
        &SignOptions { threads: 1, ..SignOptions::default() },
        &|progress| {
            if progress.done == 2500 {
                fs::write(&path, [3; 2501]).unwrap();
            }
        },
    );
    let error = result.unwrap_err().to_string();
    assert!(error.contains("weights/b.bin: changed while it was read"), "{error}");
}

#[test]
fn the_fast_mode_reads_everything_and_says_what_it_did() {
    let world = world();
    let signed = world.sign(&options(HashAlgorithm::Sha256, shards(700)));
    let place = world.folder.path().join("cache/fast.json");
    let fast = |world: &World| {
        let mut cache = FastCache::open(&place).unwrap();
        verify_fast(
            &world.model(),
            None,
            &signed.bundle,
            &world.trust,
            &VerifyOptions::default(),
            &mut cache,
            &|_| (),
        )
    };
    let first = fast(&world).unwrap().fast.unwrap();
    assert_eq!((first.by_blake3, first.in_full), (0, 8));
    let second = fast(&world).unwrap().fast.unwrap();
    assert_eq!((second.by_blake3, second.in_full), (8, 0));

    // Same name, length and time: only the bytes differ.
    let path = world.path("weights/a.bin");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, [7; 1000]).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    let error = fast(&world).unwrap_err();
    assert!(error.to_string().contains("changed: weights/a.bin"), "{error}");
    assert_eq!(world.verify(&signed).unwrap_err().to_string(), error.to_string());
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let world = world();
    let signed = world.sign(&SignOptions::default());
    let inside = world.path("cache.json");
    let mut cache = FastCache::open(&inside).unwrap();
    let result = verify_fast(
        &world.model(),
        None,
        &signed.bundle,
        &world.trust,
        &VerifyOptions::default(),
        &mut cache,
        &|_| (),
    );
    assert!(matches!(result, Err(OmsError::Cache(_))));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let place = world.folder.path().join("fast.json");
        fs::write(&place, r#"{"version":1,"known":{}}"#).unwrap();
        FastCache::open(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(FastCache::open(&place).is_err());
        // Nor one that somebody else has put there. (Only root can give files away.)
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
        FastCache::open(&place).unwrap();
        if std::os::unix::fs::chown(&place, Some(12_345), None).is_ok() {
            assert!(FastCache::open(&place).is_err());
        }
    }
}

#[test]
fn thousands_of_files_are_all_compared() {
    let world = world();
    for number in 0..3000_u32 {
        fs::write(world.path(&format!("weights/{number}")), number.to_le_bytes()).unwrap();
    }
    let signed = world.sign(&SignOptions::default());
    assert_eq!(world.verify(&signed).unwrap().files.len(), 3005);
    for number in (0..3000_u32).step_by(3) {
        fs::write(world.path(&format!("weights/{number}")), b"oops").unwrap();
    }
    assert_eq!(world.differences(&signed).changed.len(), 1000);
}
