//! Models as a supply chain: scanned, signed, verified, described, revoked.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::place::Place;

/// A folder with a small honest model in it.
fn with_model() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.path("model/sub")).unwrap();
    fs::write(place.path("model/model.safetensors"), safetensors(7)).unwrap();
    fs::write(place.path("model/config.json"), br#"{"model_type": "llama", "hidden_size": 8}"#).unwrap();
    let card =
        "---\nlicense: apache-2.0\nbase_model: example/base\ndatasets:\n- example/set\n---\n# A model\n";
    fs::write(place.path("model/README.md"), card).unwrap();
    fs::write(place.path("model/sub/vocab.txt"), "a\nb\n").unwrap();
    place
}

fn safetensors(fill: u8) -> Vec<u8> {
    let header = br#"{"w":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend([fill; 16]);
    bytes
}

/// A pickle that names `os.system`. It is never loaded.
const EVIL: &[u8] = b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00echo inert\x85R.";

fn key(place: &Place) {
    place.ostrom(&["key", "new", "k.pem"]).exits(0).says("k.pub.pem");
}

#[test]
fn a_clean_model_passes_and_a_pickle_with_a_call_does_not() {
    let place = with_model();
    place.ostrom(&["scan", "model"]).exits(0).says("no findings");
    fs::write(place.path("model/weights.txt"), EVIL).unwrap();
    let found = place.ostrom(&["scan", "model"]).exits(1).says("critical").says("os.system").says("CWE-502");
    assert!(found.out.contains("echo inert"), "the arguments are told:\n{}", found.out);
    let json = place.ostrom(&["scan", "model", "--json"]).exits(1).json();
    assert_eq!((&json["fails"], json["report"]["files"].as_array().unwrap().len()), (&true.into(), 5));
    let first =
        json["report"]["files"].as_array().unwrap().iter().find_map(|file| file["findings"].get(0)).unwrap();
    let rule = &json["rules"][first["rule"].as_str().unwrap()];
    assert!(rule["gain"].is_string() && rule["advice"].is_string() && rule["atlas"].is_array(), "{rule}");
    assert!(json["rules"].as_object().unwrap().values().any(|rule| rule["cwe"] == 502), "{}", json["rules"]);
    let sarif = place.ostrom(&["scan", "model", "--sarif"]).exits(1).json();
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
    place.ostrom(&["scan", "nothing"]).exits(1).complains("nothing");
    place.ostrom(&["scan", "model", "--fail-on", "terrible"]).exits(2).complains("not a severity");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_examined_fails_the_scan() {
    let place = with_model();
    std::os::unix::fs::symlink("nowhere", place.path("model/broken")).unwrap();
    place.ostrom(&["scan", "model"]).exits(1).says("leads nowhere").says("could not be decided");
    fs::remove_file(place.path("model/broken")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("model/pipe")).status().unwrap().success());
    place.ostrom(&["scan", "model"]).exits(1).says("special-file");
    fs::remove_file(place.path("model/pipe")).unwrap();
    // Download caches keep files elsewhere and link to them.
    fs::write(place.path("blob"), EVIL).unwrap();
    std::os::unix::fs::symlink("../blob", place.path("model/linked.bin")).unwrap();
    place.ostrom(&["scan", "model"]).exits(1).says("linked.bin").says("os.system");
}

/// The corpus is written by a script that needs only Python; it holds some 670 malicious and 330 harmless files.
#[test]
fn the_corpus_is_judged_right() {
    let place = Place::new();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/scan");
    let python = |script: &str, args: &[&str]| {
        let mut command = Command::new("python3");
        command
            .arg(scripts.join(script))
            .arg(place.path("corpus"))
            .args(args)
            .env("OSTROM_HOME", place.path("home"));
        command.output().expect("python3 is needed for this test")
    };
    let written = python("corpus.py", &[]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let judged = python("check.py", &["--ostrom", env!("CARGO_BIN_EXE_ostrom")]);
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}\n{}", String::from_utf8_lossy(&judged.stderr));
    assert!(said.contains("malicious: ") && said.contains("benign: "), "{said}");
}

#[test]
fn a_signed_model_verifies_and_every_change_is_named() {
    let place = with_model();
    key(&place);
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0).says("model.sig").says("4 files");
    let verify = ["verify", "model", "--key", "k.pub.pem"];
    place.ostrom(&verify).exits(0).says("holds");
    let fast = place.ostrom(&["verify", "model", "--key", "k.pub.pem", "--fast"]).exits(0).says("4 in full");
    assert!(fast.out.contains("0 compared by BLAKE3"), "{}", fast.out);
    place.ostrom(&["verify", "model", "--key", "k.pub.pem", "--fast"]).exits(0).says("4 compared by BLAKE3");

    fs::write(place.path("model/extra.bin"), "x").unwrap();
    fs::remove_file(place.path("model/config.json")).unwrap();
    place.flip("model/model.safetensors");
    place
        .ostrom(&verify)
        .exits(1)
        .complains("extra: extra.bin")
        .complains("missing: config.json")
        .complains("changed: model.safetensors");
    place.ostrom(&["verify", "model", "--key", "k.pub.pem", "--fast"]).exits(1).complains("changed");
    place.ostrom(&["key", "new", "other.pem", "--curve", "p384"]).exits(0);
    place.ostrom(&["verify", "model", "--key", "other.pub.pem"]).exits(1).complains("does not hold");
    place.ostrom(&["verify", "model"]).exits(2);
    place.ostrom(&["key", "new", "k.pem"]).exits(1);
}

#[cfg(unix)]
#[test]
fn secret_keys_are_for_their_owner_and_never_printed() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = with_model();
    let ran = crate::place::Ran::of(
        place.command(&["key", "new", "k.pem", "--passphrase-env", "PASS"]).env("PASS", "correct horse"),
    )
    .exits(0);
    assert!(!ran.out.contains("PRIVATE") && !ran.out.contains("horse"));
    assert_eq!(fs::metadata(place.path("k.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(String::from_utf8(place.read("k.pem")).unwrap().contains("ENCRYPTED PRIVATE KEY"));
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(1).complains("passphrase");
    let signed = |pass: &str| {
        crate::place::Ran::of(
            place.command(&["sign", "model", "--key", "k.pem", "--passphrase-env", "PASS"]).env("PASS", pass),
        )
    };
    signed("wrong").exits(1);
    signed("correct horse").exits(0);
}

#[test]
fn a_passport_says_what_the_model_is_and_is_checked_again() {
    let place = with_model();
    place
        .ostrom(&["passport", "model", "--cyclonedx", "bom.json"])
        .exits(0)
        .says("apache-2.0")
        .says("example/base")
        .says("everything examined");
    let bom: Value = serde_json::from_slice(&place.read("bom.json")).unwrap();
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    place.ostrom(&["passport", "model", "--verify"]).exits(0).says("holds");
    let revoked = place.ostrom(&["revoke", "model/sub", "--reason", "poisoned corpus"]).exits(0);
    place.ostrom(&["passport", "model", "--verify"]).exits(1).complains("must not be used");
    let json = place.ostrom(&["passport", "model", "--verify", "--json"]).exits(1).json();
    assert_eq!((&json["holds"], &json["revocation"]["standing"]), (&false.into(), &"revoked".into()));
    let lift =
        revoked.out.split("--reinstate ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    place.ostrom(&["revoke", "model/sub", "--reinstate", &lift, "--reason", "false alarm"]).exits(0);
    place.ostrom(&["passport", "model", "--verify"]).exits(0).says("holds");
    place.flip("model/sub/vocab.txt");
    place.ostrom(&["passport", "model", "--verify"]).exits(1).complains("sub/vocab.txt has changed");
}

#[test]
fn a_revocation_reaches_what_descends_from_the_revoked() {
    let place = with_model();
    key(&place);
    fs::create_dir(place.path("base")).unwrap();
    fs::write(place.path("base/model.safetensors"), safetensors(1)).unwrap();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    place
        .ostrom(&["lineage", "add", "model", "--from", "base", "--relation", "fine-tune"])
        .exits(0)
        .says("fine-tune of base");
    place.ostrom(&["lineage", "show", "model"]).exits(0).says("base");
    place.ostrom(&["lineage", "affected-by", "base"]).exits(0).says("1 artifact descends");
    place.ostrom(&["lineage", "show", "model", "--svg", "tree.svg"]).exits(0);
    assert!(String::from_utf8(place.read("tree.svg")).unwrap().starts_with("<svg"));
    place.ostrom(&["verify", "model", "--key", "k.pub.pem"]).exits(0);

    let revoked = place
        .ostrom(&["revoke", "base", "--reason", "poisoned corpus"])
        .exits(0)
        .says("1 artifact on record");
    assert!(
        revoked.out.contains("revoke the files"),
        "a folder's digest is not its files':\n{}",
        revoked.out
    );
    place
        .ostrom(&["verify", "model", "--key", "k.pub.pem"])
        .exits(1)
        .complains("descends from something revoked")
        .complains("poisoned corpus");
    place.ostrom(&["scan", "model"]).exits(1).says("descends-from-revoked");
    place.ostrom(&["scan", "base"]).exits(1).says("[revoked]");
    place.ostrom(&["lineage", "show", "model"]).exits(0).says("REVOKED");

    let statement =
        revoked.out.split("--reinstate ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    place.ostrom(&["revoke", "base", "--reinstate", &statement, "--reason", "false alarm"]).exits(0);
    place.ostrom(&["verify", "model", "--key", "k.pub.pem"]).exits(0);
    place.ostrom(&["scan", "model"]).exits(0);

    // The same for programs.
    let revoked = place.ostrom(&["revoke", "base", "--reason", "poisoned", "--json"]).exits(0).json();
    assert_eq!(
        (&revoked["artifact"]["name"], &revoked["revoked"], &revoked["reinstated"], &revoked["affected"]),
        (&"base".into(), &true.into(), &false.into(), &1.into())
    );
    let shown = place.ostrom(&["lineage", "show", "model", "--json"]).exits(0).json();
    assert_eq!(shown["artifacts"][1]["mark"], "revoked");
    let statement = revoked["revocation"].as_str().unwrap();
    let lifted = place
        .ostrom(&["revoke", "base", "--reinstate", statement, "--reason", "false alarm", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&lifted["revoked"], &lifted["reinstated"], &lifted["revocation"]),
        (&false.into(), &true.into(), &statement.into())
    );
    assert_ne!(lifted["record"], revoked["record"]);
    // What was lifted before is not lifted again, and the JSON comes all the same.
    let again = place.ostrom(&["revoke", "base", "--reason", "again", "--json"]).exits(0).json();
    let still = place
        .ostrom(&["revoke", "base", "--reinstate", statement, "--reason", "no", "--json"])
        .exits(1)
        .complains("still revoked")
        .json();
    assert_eq!(still["revoked"], true);
    let statement = again["revocation"].as_str().unwrap();
    place.ostrom(&["revoke", "base", "--reinstate", statement, "--reason", "false alarm too"]).exits(0);

    // A file whose name stands for what is said about a model is verified, and looked up, all the same.
    fs::write(place.path("model/model.sig"), "a payload").unwrap();
    place.ostrom(&["sign", "model", "--key", "k.pem", "--out", "elsewhere.sig"]).exits(0);
    place.ostrom(&["revoke", "model/model.sig", "--reason", "poisoned corpus"]).exits(0);
    place
        .ostrom(&["verify", "model", "--key", "k.pub.pem", "--signature", "elsewhere.sig"])
        .exits(1)
        .complains("must not be used");

    // A broken record may have been a revocation.
    fs::write(place.path("home/data/lineage/x.json"), "{}").unwrap();
    let verify = ["verify", "model", "--key", "k.pub.pem", "--signature", "elsewhere.sig"];
    fs::remove_file(place.path("model/model.sig")).unwrap();
    place.ostrom(&["sign", "model", "--key", "k.pem", "--out", "elsewhere.sig"]).exits(0);
    place.ostrom(&verify).exits(1).complains("could not be read");
    place.ostrom(&["scan", "model"]).exits(1).says("record-unusable");
}

#[test]
fn keys_and_records_of_lineage_are_told_as_json() {
    let place = with_model();
    let made = place.ostrom(&["key", "new", "k.pem", "--curve", "p521", "--json"]).exits(0);
    assert!(!made.out.contains("PRIVATE"));
    let made = made.json();
    assert_eq!(
        (&made["secret"], &made["public"], &made["curve"]),
        (&"k.pem".into(), &"k.pub.pem".into(), &"P-521".into())
    );
    let signed = place.ostrom(&["sign", "model", "--key", "k.pem", "--json"]).exits(0).json();
    assert_eq!(signed["key"], made["key"], "the id under which signatures name the key");

    fs::create_dir(place.path("base")).unwrap();
    fs::write(place.path("base/model.safetensors"), safetensors(7)).unwrap();
    let added = place
        .ostrom(&["lineage", "add", "model", "--from", "base", "--relation", "copy", "--evidence", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&added["relation"], &added["children"][0]["name"], &added["parents"][0]["name"]),
        (&"copy".into(), &"model".into(), &"base".into())
    );
    assert!(added["basis"]["evidence"]["result"].is_string(), "{added}");

    let shown = place.ostrom(&["lineage", "show", "model", "--json", "--svg", "tree.svg"]).exits(0).json();
    assert_eq!(
        (&shown["direction"], &shown["known"], &shown["svg"]),
        (&"ancestors".into(), &true.into(), &"tree.svg".into())
    );
    assert!(place.path("tree.svg").exists());
    assert_eq!(shown["edges"][0]["record"], added["record"]);
    let reached: Vec<_> = shown["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["distance"], &one["mark"]))
        .collect();
    assert_eq!(
        reached,
        [(&"model".into(), &0.into(), &Value::Null), (&"base".into(), &1.into(), &Value::Null)]
    );
    assert_eq!(shown["artifacts"][1]["digest"], added["parents"][0]["digest"]);
    let down = place.ostrom(&["lineage", "show", "base", "--descendants", "--json"]).exits(0).json();
    assert_eq!((&down["direction"], &down["artifacts"][1]["name"]), (&"descendants".into(), &"model".into()));

    // Somebody else takes the record in: first as of an unknown key, and whatever came before a broken file is told.
    let name = format!("home/data/lineage/{}.json", added["record"].as_str().unwrap());
    fs::copy(place.path(&name), place.path("record.json")).unwrap();
    fs::write(place.path("broken.json"), "{}").unwrap();
    let import = |files: &[&str]| {
        let args = [&["lineage", "import", "--json"], files].concat();
        crate::place::Ran::of(place.command(&args).env("OSTROM_HOME", place.path("elsewhere")))
    };
    let taken = import(&["record.json", "broken.json"]).exits(1).complains("broken.json").json();
    assert_eq!(taken["records"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&taken["records"][0]["record"], &taken["records"][0]["trusted"], &taken["records"][0]["file"]),
        (&added["record"], &false.into(), &"record.json".into())
    );
}
