//! Whose word counts for a model, and for what: nothing that was asked or that lies there is passed over.

use std::fs;

use ostrom_core::{Digest, PredicateType, Statement, Subject};
use ostrom_trust::{Envelope, SecretKey};

use crate::place::Place;

/// A folder `model`, and a key for signing it.
fn with_model() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.path("model/sub")).unwrap();
    let card = "---\nlicense: apache-2.0\nbase_model: example/base\n---\n# A model\n";
    fs::write(place.path("model/README.md"), card).unwrap();
    fs::write(place.path("model/config.json"), br#"{"model_type": "llama"}"#).unwrap();
    fs::write(place.path("model/sub/vocab.txt"), "a\nb\n").unwrap();
    place.ostrom(&["key", "new", "k.pem"]).exits(0);
    place
}

#[test]
fn an_identity_is_never_passed_over() {
    let place = with_model();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    let key = ["verify", "model", "--key", "k.pub.pem"];
    place.ostrom(&key).exits(0);
    let identity = ["--identity", "alice@example.org"];
    let issuer = ["--issuer", "https://issuer.example"];
    let root = ["verify", "model", "--root", "ca.pem"];
    let sigstore = ["verify", "model", "--trusted-root", "trusted_root.json"];
    for trust in [key, root] {
        place.ostrom(&[&trust[..], &identity].concat()).exits(2).complains("--identity");
        place.ostrom(&[&trust[..], &issuer].concat()).exits(2).complains("--issuer");
        place.ostrom(&[&trust[..], &identity, &issuer].concat()).exits(2).complains("cannot be used with");
    }
    place.ostrom(&[&sigstore[..], &identity].concat()).exits(2).complains("--issuer");
    place.ostrom(&[&["verify", "model"][..], &identity, &issuer].concat()).exits(2);
    for trust in [&key[..], &[&sigstore[..], &identity, &issuer].concat()] {
        place.ostrom(&[trust, &["--at", "issued"]].concat()).exits(2).complains("--at");
    }
}

#[test]
fn a_passport_of_a_list_of_files_is_none_of_the_folder() {
    let place = with_model();
    fs::create_dir(place.path("other")).unwrap();
    fs::write(place.path("other/model.bin"), "anything").unwrap();
    let digest = Digest::of(b"anything");
    let list = format!(r#"[{{"path":"model.bin","sha256":"{digest}"}}]"#);
    fs::write(place.path("listing.json"), list).unwrap();
    place.ostrom(&["passport", "listing.json"]).exits(0);
    place.ostrom(&["passport", "listing.json", "--verify"]).exits(0).says("holds");
    fs::copy(place.path("listing.json.passport.json"), place.path("other/ostrom-passport.json")).unwrap();
    place.ostrom(&["passport", "other", "--verify"]).exits(1).complains("it is a folder");
}

#[test]
fn records_of_unknown_kinds_are_not_taken_in_and_stand_in_the_way() {
    let place = with_model();
    let subject = Subject::new("model", Digest::of(b"x"));
    let kind = PredicateType::ostrom("revocation", 2);
    let statement = Statement::new(vec![subject], kind, serde_json::json!({})).unwrap();
    let record = Envelope::sign(&statement, &SecretKey::generate().unwrap()).unwrap().to_json().unwrap();
    fs::write(place.path("record.json"), &record).unwrap();
    place
        .ostrom(&["lineage", "import", "record.json"])
        .exits(1)
        .complains("urn:ostrom:predicate:revocation:v2");
    place.ostrom(&["scan", "model"]).exits(0);
    fs::create_dir_all(place.path("home/data/lineage")).unwrap();
    fs::write(place.path(&format!("home/data/lineage/{}.json", Digest::of(&record))), &record).unwrap();
    place.ostrom(&["scan", "model"]).exits(1).says("record-unusable");
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    let file = format!("lineage/{}.json", Digest::of(&record));
    let refused = place.ostrom(&["verify", "model", "--key", "k.pub.pem"]).exits(1);
    refused.complains("may be a revocation").complains(&file).complains("take the file away");
    fs::remove_file(place.path("home/data").join(file)).unwrap();
    // What is known to say nothing against anything stands in nobody's way.
    let result = Statement::new(
        vec![Subject::new("manifest.json", Digest::of(b"x"))],
        PredicateType::evaluation(),
        serde_json::json!({"failed": 0}),
    );
    let record =
        Envelope::sign(&result.unwrap(), &SecretKey::generate().unwrap()).unwrap().to_json().unwrap();
    fs::write(place.path("result.json"), &record).unwrap();
    place.ostrom(&["lineage", "import", "result.json"]).exits(0);
    place.ostrom(&["verify", "model", "--key", "k.pub.pem"]).exits(0);
    place.ostrom(&["scan", "model"]).exits(0);
}

#[test]
fn what_descends_from_a_part_is_told_and_what_nobody_knows_is_an_error() {
    let place = with_model();
    fs::write(place.path("tuned.bin"), "tuned").unwrap();
    place
        .ostrom(&["lineage", "add", "tuned.bin", "--from", "model/config.json", "--relation", "adapter"])
        .exits(0);
    place.ostrom(&["lineage", "affected-by", "model"]).exits(0).says("1 artifact descends").says("tuned.bin");
    let json = place.ostrom(&["lineage", "affected-by", "model", "--json"]).exits(0).json();
    assert_eq!((&json["known"], &json["affected"][0]["name"]), (&true.into(), &"tuned.bin".into()));
    place.ostrom(&["lineage", "affected-by", "tuned.bin"]).exits(0).says("0 artifacts descend");
    let unknown = Digest::of(b"unknown").to_string();
    for artifact in ["model/README.md", &unknown] {
        let found =
            place.ostrom(&["lineage", "affected-by", artifact]).exits(1).complains("no lineage is on record");
        assert_eq!(found.out, "");
        let json = place.ostrom(&["lineage", "affected-by", artifact, "--json"]).exits(1).json();
        assert_eq!((&json["known"], &json["affected"]), (&false.into(), &serde_json::json!([])));
    }
}

#[test]
fn a_key_beside_a_passport_is_used() {
    let place = with_model();
    place.ostrom(&["key", "new", "other.pem"]).exits(0);
    place.ostrom(&["sign", "model", "--key", "k.pem", "--ignore", "sub"]).exits(0);
    place
        .ostrom(&["passport", "model", "--key", "k.pub.pem"])
        .exits(0)
        .says("model.sig: holds, but does not cover sub/vocab.txt");
    let read = place.ostrom(&["passport", "model", "--verify"]).exits(0);
    assert!(!read.out.contains("model.sig: holds"), "nobody has checked it now:\n{}", read.out);
    read.says("held when the passport was made, says its signer, but does not cover sub/vocab.txt");

    let with = |key: &str| place.ostrom(&["passport", "model", "--verify", "--key", key]);
    with("k.pub.pem").exits(0).says("model.sig: holds, but does not cover sub/vocab.txt, checked now");
    with("other.pub.pem").exits(1).complains("the passport does not hold");
    let json =
        place.ostrom(&["passport", "model", "--verify", "--key", "other.pub.pem", "--json"]).exits(1).json();
    assert_eq!((&json["holds"], &json["signature"]["holds"]), (&false.into(), &false.into()));
    let json =
        place.ostrom(&["passport", "model", "--verify", "--key", "k.pub.pem", "--json"]).exits(0).json();
    assert_eq!(
        (&json["signature"]["holds"], &json["signature"]["notCovered"]),
        (&true.into(), &serde_json::json!(["sub/vocab.txt"]))
    );

    // A passport of a folder with something in it that nobody signed.
    fs::write(place.path("model/extra.txt"), "extra").unwrap();
    place.ostrom(&["passport", "model", "--key", "k.pub.pem"]).exits(1).complains("extra: extra.txt");
    fs::remove_file(place.path("model/extra.txt")).unwrap();
    with("k.pub.pem").exits(0);
    fs::remove_file(place.path("model/model.sig")).unwrap();
    with("k.pub.pem").exits(1).complains("there is no");
}

#[test]
fn what_a_passport_passes_over_is_named_and_looked_up() {
    let place = with_model();
    fs::create_dir(place.path("model/.git")).unwrap();
    fs::write(place.path("model/.git/run.py"), "pass\n").unwrap();
    place.ostrom(&["sign", "model", "--key", "k.pem"]).exits(0);
    place.ostrom(&["passport", "model"]).exits(0);
    let verify = ["passport", "model", "--verify"];
    place.ostrom(&verify).exits(0).says("left out  .git, model.sig (no part");
    let json = place.ostrom(&["passport", "model", "--verify", "--json"]).exits(0).json();
    assert_eq!(json["ignored"], serde_json::json!([".git", "model.sig"]));

    place.ostrom(&["revoke", "model/.git/run.py", "--reason", "poisoned"]).exits(0);
    place.ostrom(&verify).exits(1).complains("must not be used");
    place.ostrom(&["verify", "model", "--key", "k.pub.pem"]).exits(1).complains("must not be used");
}
