//! Signatures, passports and records of a model over its life: in the order of the documents, with keys of several people, and
//! what must fail although it looks harmless.

use std::fs;

use crate::place::{Place, Ran};

/// A folder `model`, a file `base.bin`, and a key for signing models.
fn with_model() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.path("model/sub")).unwrap();
    fs::write(place.path("model/config.json"), br#"{"model_type": "llama"}"#).unwrap();
    fs::write(place.path("model/sub/vocab.txt"), "a\nb\n").unwrap();
    fs::write(place.path("base.txt"), "base\n").unwrap();
    place.ostrom(&["key", "new", "k.pem"]).exits(0);
    place
}

/// As somebody else, with a home of their own.
fn elsewhere(place: &Place, args: &[&str]) -> Ran {
    Ran::of(place.command(args).env("OSTROM_HOME", place.path("elsewhere")))
}

const VERIFY: [&str; 4] = ["verify", "model", "--key", "k.pub.pem"];

#[test]
fn a_passport_leaves_a_signature_whole() {
    let place = with_model();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    place.ostrom(&["passport", "model/"]).exits(0).says("model.passport.json");
    assert!(place.path("model.passport.json").exists() && !place.path("model/ostrom-passport.json").exists());
    place.ostrom(&VERIFY).exits(0).says("holds");
    place.ostrom(&["passport", "model", "--verify"]).exits(0).says("holds");
    let here = Ran::of(place.command(&["passport", ".", "--verify"]).current_dir(place.path("model")));
    here.exits(0).says("holds");

    // Into the signed folder only with a warning, and `verify` says what to do.
    let inside = ["passport", "model", "--out", "model/ostrom-passport.json"];
    place.ostrom(&inside).exits(0).complains("warning");
    place.ostrom(&VERIFY).exits(1).complains("extra: ostrom-passport.json").complains("--out");
    place.ostrom(&[&VERIFY[..], &["--ignore", "ostrom-passport.json"]].concat()).exits(0);
    // One that came with a folder is found there.
    fs::remove_file(place.path("model.passport.json")).unwrap();
    place.ostrom(&["passport", "model", "--verify"]).exits(0).says("holds");
}

#[test]
fn a_revocation_is_told_though_files_differ() {
    let place = with_model();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    place.ostrom(&["revoke", "model/sub/vocab.txt", "--reason", "poisoned"]).exits(0);
    fs::write(place.path("model/more"), "more").unwrap();
    place
        .ostrom(&VERIFY)
        .exits(1)
        .complains("extra: more")
        .complains("must not be used")
        .complains("poisoned");
    let json = place.ostrom(&[&VERIFY[..], &["--json"]].concat()).exits(1).json();
    assert_eq!(
        (&json["holds"], &json["differences"]["extra"][0], &json["revocation"]["standing"]),
        (&false.into(), &"more".into(), &"revoked".into())
    );
    place.ostrom(&["key", "new", "other.pem"]).exits(0);
    let other = place.ostrom(&["verify", "model", "--key", "other.pub.pem", "--json"]).exits(1).json();
    assert!(other["differences"].is_null() && other["error"].as_str().unwrap().contains("does not hold"));
}

#[test]
fn every_file_among_the_trusted_keys_counts_or_is_an_error() {
    let place = with_model();
    let revoked = elsewhere(&place, &["revoke", "model/config.json", "--reason", "poisoned"]).exits(0);
    let record = revoked.out.lines().find_map(|line| line.strip_prefix("file    ")).unwrap().to_owned();
    assert!(revoked.out.contains("record  sha256:"), "{}", revoked.out);
    place.ostrom(&["lineage", "import", &record]).exits(0).says("of an unknown key");
    // Somebody whose key is not trusted has said something: neither command passes over that.
    place.ostrom(&["scan", "model"]).exits(1).says("revocation-by-unknown-key");

    let public = elsewhere(&place, &["key", "public"]).exits(0);
    fs::create_dir_all(place.path("home/data/keys/trusted")).unwrap();
    fs::write(place.path("home/data/keys/trusted/alice.pub"), &public.out).unwrap();
    place.ostrom(&["scan", "model"]).exits(1).says("[revoked]");
    fs::copy(place.path("k.pub.pem"), place.path("home/data/keys/trusted/nist")).unwrap();
    place.ostrom(&["scan", "model"]).exits(1).complains("nist").complains("NIST curve");
}

#[test]
fn a_mild_revocation_fails_too() {
    let place = with_model();
    place.ostrom(&["revoke", "model/config.json", "--reason", "old", "--severity", "info"]).exits(0);
    place.ostrom(&["scan", "model", "--quiet", "--fail-on", "critical"]).exits(1).says("[revoked]");
    place
        .ostrom(&["passport", "model"])
        .exits(1)
        .complains("no passport was made")
        .complains("must not be used");
    assert!(!place.path("model.passport.json").exists());
}

#[test]
fn evidence_is_of_the_relation_that_is_named() {
    let place = with_model();
    fs::copy(place.path("base.txt"), place.path("model/copied.txt")).unwrap();
    let add = |child: &str, from: &str, relation: &str| {
        place.ostrom(&[
            "lineage",
            "add",
            child,
            "--from",
            from,
            "--relation",
            relation,
            "--evidence",
            "--json",
        ])
    };
    let added = add("model", "base.txt", "copy").exits(0).json();
    assert_eq!(added["basis"]["evidence"]["method"], "digest");
    add("base.txt", "model/copied.txt", "copy").exits(1).complains("one artifact");
    add("model/sub", "base.txt", "copy").exits(1).complains("nothing was recorded");

    let tensors = |name: &str, fill: u8| {
        let header = br#"{"w":{"dtype":"F32","shape":[8,8],"data_offsets":[0,256]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend((0..64_u8).flat_map(|n| f32::from(n.wrapping_mul(37) ^ fill).to_le_bytes()));
        fs::write(place.path(name), bytes).unwrap();
    };
    tensors("a.safetensors", 0);
    tensors("b.safetensors", 1);
    for relation in ["copy", "conversion", "quantisation"] {
        add("b.safetensors", "a.safetensors", relation).exits(1).complains("nothing was recorded");
    }
}

#[test]
fn what_a_killed_command_left_is_not_signed_and_nothing_is_left_out_by_mistake() {
    let place = with_model();
    fs::write(place.path("model/.ostrom-unfinished-a1b2"), "half").unwrap();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(1).complains("left behind");
    fs::remove_file(place.path("model/.ostrom-unfinished-a1b2")).unwrap();
    for wrong in ["model/config.json", "nosuch"] {
        place.ostrom(&["sign", "model", "--key", "k.pem", "--ignore", wrong]).exits(1).complains("relative");
    }
    place.ostrom(&["sign", "model", "--key", "k.pem", "--ignore", "sub"]).exits(0);
    place.ostrom(&[&VERIFY[..], &["--ignore", "nosuch"]].concat()).exits(0).complains("warning");
}

#[cfg(unix)]
#[test]
fn names_of_files_cannot_forge_lines() {
    let place = with_model();
    let name = "x\nrecord  sha256:forged\u{1b}[2J\u{202e}";
    fs::write(place.path(name), "x").unwrap();
    for args in [
        &["lineage", "add", name, "--from", "base.txt", "--relation", "fine-tune"][..],
        &["revoke", name, "--reason", "bad"],
        &["lineage", "show", name],
        &["lineage", "affected-by", name],
        &["passport", "model"],
    ] {
        let ran = place.ostrom(args).exits(0);
        assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{}", ran.out);
        assert!(!ran.out.lines().any(|line| line.starts_with("record  sha256:forged")), "{}", ran.out);
    }
}

#[test]
fn keys_that_sign_records_are_made_and_shown() {
    let place = with_model();
    place.ostrom(&["key", "new", "r.pem", "--curve", "ed25519"]).exits(0).says("Ed25519 key");
    let public = place.ostrom(&["key", "public", "r.pem"]).exits(0);
    assert_eq!(public.out.as_bytes(), place.read("r.pub.pem"));
    assert!(!public.out.contains("PRIVATE"));
    let json = place.ostrom(&["key", "public", "r.pub.pem", "--json"]).exits(0).json();
    assert_eq!((&json["pem"], &json["curve"]), (&public.out.as_str().into(), &"Ed25519".into()));
    place.ostrom(&["key", "public", "k.pem"]).exits(1).complains("k.pem");
    let with_pass = ["key", "new", "p.pem", "--curve", "ed25519", "--passphrase-env", "PASS"];
    place.ostrom(&with_pass).exits(1).complains("PASS is not set");
    assert!(!place.path("p.pem").exists());
    Ran::of(place.command(&with_pass).env("PASS", "correct horse")).exits(0);
    for (words, code) in [(None, 1), (Some("wrong"), 1), (Some("correct horse"), 0)] {
        for line in [
            ["key", "public", "p.pem"].as_slice(),
            &["passport", "model", "--out", "p", "--sign-key", "p.pem"],
        ] {
            let mut command = place.command(line);
            words.map(|words| command.env("OSTROM_KEY_PASSPHRASE", words));
            let done = Ran::of(&mut command).exits(code);
            match words {
                None => drop(done.complains("OSTROM_KEY_PASSPHRASE")),
                Some("wrong") => drop(done.complains("the passphrase does not open p.pem")),
                Some(_) => {}
            }
        }
    }
    place.ostrom(&["passport", "model", "--out", "p", "--verify", "--trust", "p.pub.pem"]).exits(0);

    // A passport that such a key signed is checked with its public half by somebody else.
    place.ostrom(&["passport", "model", "--sign-key", "r.pem"]).exits(0);
    elsewhere(&place, &["passport", "model", "--verify"])
        .exits(1)
        .complains("not signed by a key that is trusted");
    elsewhere(&place, &["passport", "model", "--verify", "--trust", "r.pub.pem"]).exits(0);
    let text = String::from_utf8(place.read("model.passport.json")).unwrap();
    let damaged = text.replacen("\"payload\":\"ey", "\"payload\":\"eY", 1);
    assert_ne!(text, damaged);
    fs::write(place.path("model.passport.json"), damaged).unwrap();
    let verify = ["passport", "model", "--verify", "--trust", "r.pub.pem"];
    place.ostrom(&verify).exits(1).complains("the signature does not hold");
}

#[test]
fn a_reinstatement_that_lifts_nothing_says_so() {
    let place = with_model();
    let revoked = place.ostrom(&["revoke", "base.txt", "--reason", "bad", "--json"]).exits(0).json();
    let statement = revoked["revocation"].as_str().unwrap();
    let lift =
        |what: &str| place.ostrom(&["revoke", what, "--reinstate", statement, "--reason", "false alarm"]);
    lift("model").exits(1).complains("nothing to lift");
    lift("base.txt").exits(0);
    assert!(fs::exists(revoked["file"].as_str().unwrap()).unwrap());
    place.ostrom(&["lineage", "import"]).exits(2);
}
