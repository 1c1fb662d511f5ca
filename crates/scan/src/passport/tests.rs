//! Passports of folders that are made here.

use ostrom_trust::{Envelope, SecretKey};

use super::*;
use crate::lineage::{Lineage, Record, Records};

fn folder() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    write("README.md", "---\nbase_model: org/base\nlicense: apache-2.0\ndatasets: [d/one]\n---\n");
    write("config.json", r#"{"_name_or_path":"org/base"}"#);
    std::fs::create_dir(place.path().join("sub")).unwrap();
    write("sub/data.txt", "text");
    place
}

fn passport(place: &std::path::Path) -> Passport {
    let artifact = Artifact::read(place).unwrap();
    let claims = Claims::read(place).unwrap();
    let key = SecretKey::generate().unwrap();
    let edge = |parent: &str, relation| Lineage {
        children: vec![(artifact.name.clone(), artifact.digest)],
        parents: vec![(parent.to_owned(), Digest::of(parent.as_bytes()))],
        relation,
        basis: Basis::signer_says(),
        recorded_unix: 5,
    };
    let record = |lineage: &Lineage| {
        let envelope = Envelope::sign(&lineage.to_statement().unwrap(), &key).unwrap();
        Record::from_slice(&envelope.to_json().unwrap(), &[key.public()]).unwrap()
    };
    let records =
        vec![record(&edge("base", Relation::FineTune)), record(&edge("corpus", Relation::TrainedOn))];
    let graph = Graph::new(&Records { records, problems: Vec::new() }).unwrap();
    let inputs = Inputs {
        formats: BTreeMap::from([("config.json".to_owned(), vec!["json".to_owned()])]),
        scan: Some(ScanSummary {
            scanner: "ostrom 0.1.0".to_owned(),
            rules: Digest::of(b"rules"),
            everything_examined: true,
            findings: BTreeMap::from([(Severity::Low, 2)]),
        }),
        signatures: vec![SignatureSeen {
            file: "model.sig".to_owned(),
            kind: "model-signing".to_owned(),
            signer: "ab12".to_owned(),
            verified: true,
            not_covered: not_covered(&artifact, ["README.md", "config.json"]),
        }],
        tool: "ostrom 0.1.0".to_owned(),
        created_unix: 1_700_000_000,
    };
    Passport::new(&artifact, claims, &graph, inputs)
}

#[test]
fn a_passport_survives_signing_and_fits_its_folder() {
    let place = folder();
    let passport = passport(place.path());
    let key = SecretKey::generate().unwrap();
    let envelope = Envelope::sign(&passport.to_statement().unwrap(), &key).unwrap();
    std::fs::write(place.path().join(FILE_NAME), envelope.to_json().unwrap()).unwrap();
    let verified = envelope.verify(&key.public()).unwrap();
    let read = Passport::from_statement(&verified.statement).unwrap();
    assert_eq!(read, passport);
    assert_eq!(read.recorded_parents.len(), 2);
    let checked = verify(&read, place.path()).unwrap();
    assert!(checked.differences.is_empty(), "{:?}", checked.differences);
    assert_eq!(checked.taken_on_trust.len(), 5);
}

#[test]
fn files_that_a_signature_does_not_cover_are_named() {
    let place = folder();
    let passport = passport(place.path());
    assert_eq!(passport.signatures[0].not_covered, ["sub/data.txt"]);
    let bom = cyclonedx(&passport).unwrap().to_string();
    assert!(bom.contains("verified, but 1 files are not covered"), "{bom}");
    let folder = Artifact::read(place.path()).unwrap();
    assert_eq!(not_covered(&folder, ["README.md", "config.json", "sub/data.txt"]), [""; 0]);
    assert_eq!(not_covered(&folder, ["."]).len(), 3);
    let file = Artifact::read(&place.path().join("sub/data.txt")).unwrap();
    assert_eq!(not_covered(&file, ["."]), [""; 0]);
    assert_eq!(not_covered(&file, []), ["data.txt"]);
}

#[test]
fn what_lies_beside_the_artifact_is_named() {
    let place = folder();
    let passport = passport(place.path());
    std::fs::create_dir(place.path().join(".git")).unwrap();
    std::fs::write(place.path().join(".git/run.py"), "anything").unwrap();
    std::fs::write(place.path().join("model.sig"), "anything").unwrap();
    let found = verify(&passport, place.path()).unwrap();
    assert_eq!(
        (found.differences, found.artifact.ignored),
        (vec![], vec![".git".into(), "model.sig".into()])
    );
}

#[test]
fn every_change_of_the_folder_is_named() {
    let place = folder();
    let passport = passport(place.path());
    std::fs::write(place.path().join("extra.bin"), "x").unwrap();
    std::fs::write(place.path().join("config.json"), "{}").unwrap();
    std::fs::write(place.path().join("README.md"), "---\nlicense: mit\n---\n").unwrap();
    std::fs::remove_file(place.path().join("sub/data.txt")).unwrap();
    let found = verify(&passport, place.path()).unwrap().differences;
    let expected = [
        Difference::Changed("README.md".to_owned()),
        Difference::Changed("config.json".to_owned()),
        Difference::Missing("sub/data.txt".to_owned()),
        Difference::Extra("extra.bin".to_owned()),
        Difference::Digest,
        Difference::Licences,
        Difference::ClaimedParents,
        Difference::DataSets,
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_passport_that_contradicts_itself_is_refused() {
    let place = folder();
    let passport = passport(place.path());
    let statement = passport.to_statement().unwrap();
    let mut predicate = statement.predicate().clone();
    predicate["files"][0]["sha256"] = Digest::of(b"other").to_string().into();
    let forged = Statement::new(statement.subjects().to_vec(), predicate_type(), predicate).unwrap();
    assert!(matches!(Passport::from_statement(&forged), Err(PassportError::Contradiction)));
    let other = Statement::new(
        statement.subjects().to_vec(),
        PredicateType::ostrom("lineage", 1),
        statement.predicate().clone(),
    )
    .unwrap();
    assert!(matches!(Passport::from_statement(&other), Err(PassportError::Kind(_))));
}

#[test]
fn a_single_file_has_a_passport_too() {
    let place = folder();
    let path = place.path().join("sub/data.txt");
    let passport = passport(&path);
    assert_eq!((passport.kind, passport.digest), (Kind::File, Digest::of(b"text")));
    let passport = Passport::from_statement(&passport.to_statement().unwrap()).unwrap();
    let renamed = place.path().join("renamed.txt");
    std::fs::rename(&path, &renamed).unwrap();
    assert!(verify(&passport, &renamed).unwrap().differences.is_empty());
    std::fs::write(&renamed, "other").unwrap();
    assert!(verify(&passport, &renamed).unwrap().differences.contains(&Difference::Digest));
}

/// A folder's digest is that of a list of its files, and such a list is a file as good as any.
#[test]
fn a_passport_of_a_file_says_nothing_of_a_folder_with_the_same_digest() {
    let place = tempfile::tempdir().unwrap();
    let (folder, list) = (place.path().join("model"), place.path().join("listing.json"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model.pkl"), "evil").unwrap();
    let listing = format!(r#"[{{"path":"model.pkl","sha256":"{}"}}]"#, Digest::of(b"evil"));
    std::fs::write(&list, listing).unwrap();
    let of_list = passport(&list);
    assert_eq!((of_list.kind, of_list.digest), (Kind::File, Artifact::read(&folder).unwrap().digest));
    assert!(verify(&of_list, &list).unwrap().differences.is_empty());
    let expected = [
        Difference::Kind(Kind::Folder),
        Difference::Missing("listing.json".to_owned()),
        Difference::Extra("model.pkl".to_owned()),
    ];
    assert_eq!(verify(&of_list, &folder).unwrap().differences, expected);

    let of_folder = passport(&folder);
    assert!(verify(&of_folder, &folder).unwrap().differences.is_empty());
    assert!(verify(&of_folder, &list).unwrap().differences.contains(&Difference::Kind(Kind::File)));
}

#[test]
fn what_a_single_file_claims_is_compared_whatever_its_name_is_now() {
    let place = folder();
    let card = place.path().join("README.md");
    let said = passport(&card);
    assert_eq!((said.licences.len(), said.claimed_parents.len(), said.data_sets.len()), (1, 1, 1));
    let renamed = place.path().join("card");
    std::fs::rename(&card, &renamed).unwrap();
    assert!(verify(&said, &renamed).unwrap().differences.is_empty(), "only the name is another");
    let differs = |change: fn(&mut Passport)| {
        let mut lying = said.clone();
        change(&mut lying);
        verify(&lying, &renamed).unwrap().differences
    };
    assert_eq!(differs(|it| it.licences.clear()), [Difference::Licences]);
    assert_eq!(differs(|it| it.claimed_parents[0].name.push('x')), [Difference::ClaimedParents]);
    assert_eq!(differs(|it| it.data_sets.clear()), [Difference::DataSets]);
    assert_eq!(differs(|it| it.files[0].size += 1), [Difference::Changed("README.md".to_owned())]);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_has_a_passport_by_its_own_name() {
    let place = folder();
    let (blob, link) = (place.path().join("5f1d"), place.path().join("README.md"));
    std::fs::rename(&link, &blob).unwrap();
    std::os::unix::fs::symlink("5f1d", &link).unwrap();
    let passport = passport(&link);
    assert_eq!((passport.files[0].path.as_str(), passport.licences.len()), ("README.md", 1));
    for path in [link, blob] {
        assert_eq!(verify(&passport, &path).unwrap().differences, []);
    }
}

#[test]
fn claims_that_cannot_be_read_are_told_although_nothing_changed() {
    let place = folder();
    std::fs::write(place.path().join("README.md"), "---\nlicense: &anchor mit\n---\n").unwrap();
    let unread = [Difference::Unreadable("README.md".to_owned())];
    for path in [place.path().to_owned(), place.path().join("README.md")] {
        assert_eq!(verify(&passport(&path), &path).unwrap().differences, unread);
    }
}

#[test]
fn a_bill_of_materials_says_the_same() {
    let place = folder();
    let passport = passport(place.path());
    let bom = cyclonedx(&passport).unwrap();
    assert_eq!(bom, cyclonedx(&passport).unwrap());
    let model = &bom["metadata"]["component"];
    assert_eq!(model["type"], "machine-learning-model");
    assert_eq!(model["hashes"][0]["content"], passport.digest.to_string());
    assert_eq!(model["licenses"][0]["license"]["id"], "Apache-2.0");
    let ancestors: Vec<_> =
        model["pedigree"]["ancestors"].as_array().unwrap().iter().map(|parent| &parent["name"]).collect();
    assert_eq!(ancestors, ["base", "org/base", "org/base"]);
    let kinds: Vec<_> = bom["components"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
    assert_eq!(kinds, ["file", "file", "file", "data", "data"]);
    assert_eq!(model["modelCard"]["modelParameters"]["datasets"].as_array().unwrap().len(), 2);
    assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
}
