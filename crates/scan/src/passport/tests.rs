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
