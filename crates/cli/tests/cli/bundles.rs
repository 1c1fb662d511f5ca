//! What becomes of a bundle: checked, changed, packed, exported.

use std::fs;

use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::place::Place;

const KEY: &str = "home/data/keys/default.pem";

/// A place with a bundle in `out`.
fn with_bundle() -> (Place, Endpoint) {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "out", &[]).exits(0);
    (place, endpoint)
}

#[test]
fn one_changed_byte_is_found_and_its_file_named() {
    let (place, _endpoint) = with_bundle();
    for name in
        ["trials.jsonl", "suite.json", "metrics.json", "manifest.json", "statement.dsse.json", "report.html"]
    {
        let file = format!("out/{name}");
        let before = place.read(&file);
        place.flip(&file);
        let ran = place.ostrom(&["eval", "verify", "out"]).exits(1);
        assert!(ran.out.is_empty(), "{name}: {}", ran.out);
        let ran = ran.complains("error: ");
        if !["manifest.json", "statement.dsse.json"].contains(&name) {
            ran.complains(name);
        }
        fs::write(place.path(&file), before).unwrap();
        place.ostrom(&["eval", "verify", "out"]).exits(0);
    }
}

#[test]
fn missing_and_foreign_files_are_named() {
    let (place, _endpoint) = with_bundle();
    fs::write(place.path("out/extra.txt"), "x").unwrap();
    place.ostrom(&["eval", "verify", "out"]).exits(1).complains("extra.txt");
    fs::remove_file(place.path("out/extra.txt")).unwrap();
    fs::remove_file(place.path("out/trials.jsonl")).unwrap();
    place.ostrom(&["eval", "verify", "out"]).exits(1).complains("trials.jsonl");
    place.ostrom(&["eval", "verify", "nothing"]).exits(1).complains("nothing");
}

#[test]
fn a_bundle_of_a_newer_version_says_to_update() {
    let (place, _endpoint) = with_bundle();
    let manifest = String::from_utf8(place.read("out/manifest.json")).unwrap();
    let newer =
        manifest.replace("ostrom.bundle/v1", "ostrom.bundle/v2").replacen('{', "{\"a_new_field\":1,", 1);
    assert_ne!(manifest, newer);
    fs::write(place.path("out/manifest.json"), newer).unwrap();
    for args in
        [&["eval", "verify", "out"][..], &["eval", "report", "out"], &["eval", "compare", "out", "out"]]
    {
        place.ostrom(args).exits(1).complains("ostrom.bundle/v2").complains("update ostrom");
    }
}

#[test]
fn only_the_key_that_signed_is_accepted() {
    let (place, endpoint) = with_bundle();
    place.run(&endpoint, "other", &["--sign-key", "other.pem"]).exits(0);
    for key in [KEY, "out/key.pub.pem"] {
        let verified = place.ostrom(&["eval", "verify", "out", "--key", key, "--json"]).exits(0).json();
        assert_eq!(verified["expectedSigner"], true);
    }
    let verified = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
    assert_eq!(verified["expectedSigner"], false);
    for key in ["other.pem", "other/key.pub.pem"] {
        place.ostrom(&["eval", "verify", "out", "--key", key]).exits(1).complains("not by the key given");
    }
    place.ostrom(&["eval", "verify", "out", "--key", "tiny/suite.toml"]).exits(1).complains("suite.toml");
    // A key put in the place of the one that signed does not help.
    fs::copy(place.path("other/key.pub.pem"), place.path("out/key.pub.pem")).unwrap();
    place.ostrom(&["eval", "verify", "out"]).exits(1);
}

#[test]
fn a_packed_bundle_is_the_same_evidence() {
    let (place, _endpoint) = with_bundle();
    for name in ["a.tar.zst", "b.tar.zst"] {
        place.ostrom(&["eval", "pack", "out", "--out", name]).exits(0).says(name);
    }
    assert_eq!(place.read("a.tar.zst"), place.read("b.tar.zst"), "packing twice made other bytes");
    let folder = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
    let packed = place.ostrom(&["eval", "verify", "a.tar.zst", "--key", KEY, "--json"]).exits(0).json();
    assert_eq!(folder["bundle"], packed["bundle"]);
    let whole = place.read("a.tar.zst");
    fs::write(place.path("a.tar.zst"), &whole[..whole.len() / 2]).unwrap();
    let ran = place.ostrom(&["eval", "verify", "a.tar.zst"]).exits(1);
    assert!(ran.out.is_empty(), "{}", ran.out);
    fs::write(place.path("c.tar.zst"), "no archive").unwrap();
    place.ostrom(&["eval", "verify", "c.tar.zst"]).exits(1).complains("c.tar.zst");
}

#[test]
fn a_changed_bundle_is_not_packed_compared_or_exported() {
    let (place, _endpoint) = with_bundle();
    place.flip("out/trials.jsonl");
    place.ostrom(&["eval", "pack", "out", "--out", "a.tar.zst"]).exits(1).complains("trials.jsonl");
    assert!(!place.path("a.tar.zst").exists());
    place.ostrom(&["eval", "compare", "out", "out"]).exits(1).complains("trials.jsonl");
    let exported = place.ostrom(&["eval", "export", "out", "--format", "csv"]).exits(1);
    assert!(exported.out.is_empty());
}

#[test]
fn csv_has_one_record_a_trial() {
    let (place, _endpoint) = with_bundle();
    let text = place.ostrom(&["eval", "export", "out", "--format", "csv"]).exits(0).out;
    let records = csv(&text);
    let trials = place.read("out/trials.jsonl").iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(records.len(), trials + 1);
    assert_eq!(records[0][..3], ["id", "arm", "repeat"]);
    assert!(records.iter().all(|record| record.len() == records[0].len()));
    let attacks = records.iter().filter(|record| record[1] == "attack").count();
    assert_eq!(attacks, 6);
}

/// Records and fields, after RFC 4180.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            c => field.push(c),
        }
    }
    assert!(!quoted && field.is_empty() && record.is_empty(), "the last record has no end");
    records
}

#[test]
fn avid_is_a_report() {
    let (place, _endpoint) = with_bundle();
    let report = place.ostrom(&["eval", "export", "out", "--format", "avid"]).exits(0).json();
    assert_eq!(
        (&report["data_type"], &report["affects"]["artifacts"][0]["name"]),
        (&"AVID".into(), &"mock".into())
    );
    assert_eq!(report["metrics"][0]["results"]["attack_success"]["trials"], 6);
    // AVID's own data model takes no null here, and wants the key there (bench/export/lab.sh).
    assert!(report.get("metadata").is_none() && report.get("reported_date").is_none());
    assert!(report["impact"]["avid"].as_object().unwrap().contains_key("vuln_id"));
}

#[test]
fn garak_lines_agree_with_themselves() {
    let (place, _endpoint) = with_bundle();
    place.ostrom(&["eval", "export", "out", "--format", "garak", "--out", "garak.jsonl"]).exits(0);
    let text = String::from_utf8(place.read("garak.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["entry_type"] == kind).collect::<Vec<_>>();
    // garak's own tools take the first two lines for these.
    assert_eq!(
        (&lines[0]["entry_type"], &lines[1]["entry_type"]),
        (&"start_run setup".into(), &"init".into())
    );
    // Every attempt begins, and every one ends.
    assert_eq!((of("attempt").len(), of("completion").len()), (12, 1));
    assert_eq!(of("attempt").iter().filter(|line| line["status"] == 2).count(), 6);
    let total: u64 = of("eval").iter().map(|line| line["total_evaluated"].as_u64().unwrap()).sum();
    assert_eq!(total, 6);
    let described = &of("plugin_cache")[0]["plugin_cache"]["probes"];
    assert!(
        of("eval")
            .iter()
            .all(|line| described[format!("probes.{}", line["probe"].as_str().unwrap())].is_object())
    );
}

#[test]
fn parquet_is_a_file_and_not_for_terminals() {
    let (place, _endpoint) = with_bundle();
    place.ostrom(&["eval", "export", "out", "--format", "parquet"]).exits(1).complains("--out");
    place.ostrom(&["eval", "export", "out", "--format", "parquet", "--out", "t.parquet"]).exits(0);
    let bytes = place.read("t.parquet");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[test]
fn a_rerun_needs_a_model_that_answers_the_same_twice() {
    let (place, _endpoint) = with_bundle();
    place.ostrom(&["eval", "verify", "out", "--rerun", "3"]).exits(1).complains("local model");
}

#[test]
fn verify_says_what_was_tested_with_what() {
    let (place, _endpoint) = with_bundle();
    let json = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
    assert_eq!((&json["suite"], &json["suiteVersion"]), (&"tiny".into(), &"1".into()));
    assert_eq!((&json["builtinSuite"], &json["target"]["model"]), (&false.into(), &"mock".into()));
    let digest = json["suiteDigest"].as_str().unwrap();
    let said = place.ostrom(&["eval", "verify", "out"]).exits(0);
    said.says("tiny 1 (not built in").says(digest).says("mock at http://127.0.0.1");
}

#[test]
fn a_report_is_made_of_what_verifies_only_and_replaces_an_old_one() {
    let (place, _endpoint) = with_bundle();
    let whole = place.read("out/report.html");
    place.flip("out/report.html");
    let json = place.ostrom(&["eval", "report", "out", "--json"]).exits(0).json();
    assert!(json["report"].as_str().unwrap().ends_with("report.html"));
    assert_eq!(place.read("out/report.html"), whole);
    // The statement is not covered by any digest: only its signature tells.
    place.flip("out/statement.dsse.json");
    let ran = place.ostrom(&["eval", "report", "out", "--out", "new.html"]).exits(1);
    assert!(ran.out.is_empty() && !place.path("new.html").exists());
}

#[test]
fn packing_tells_programs_where() {
    let (place, _endpoint) = with_bundle();
    let json = place.ostrom(&["eval", "pack", "out", "--out", "a.tar.zst", "--json"]).exits(0).json();
    assert_eq!(json["archive"], "a.tar.zst");
    assert_eq!(json["bundle"], place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json()["bundle"]);
}

#[cfg(target_os = "linux")]
#[test]
fn packing_onto_a_full_disk_is_an_error() {
    let (place, _endpoint) = with_bundle();
    std::os::unix::fs::symlink("/dev/full", place.path("a.tar.part")).unwrap();
    place.ostrom(&["eval", "pack", "out", "--out", "a.tar.zst"]).exits(1).complains("a.tar.zst");
    assert!(!place.path("a.tar.zst").exists());
}

#[test]
fn a_rerun_of_nothing_is_an_error() {
    let (place, _endpoint) = with_bundle();
    place.ostrom(&["eval", "verify", "out", "--rerun", "0"]).exits(1).complains("at least 1");
}
