use ostrom_core::handling::{Embargo, Handling, Party, Tlp};
use ostrom_core::{Digest, ObjectId, OrgId, Timestamp, Uuid};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::stix::{Limits, Object, check, marking};

fn now() -> Timestamp {
    "2026-08-02T10:00:00.123456Z".parse().unwrap()
}

fn org() -> OrgId {
    "f431f809-377b-45e0-aa1c-6a4751cae5ff".parse().unwrap()
}

fn common(kind: &str) -> Common {
    Common::new(
        kind,
        "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".parse::<OrgId>().unwrap().uuid(),
        now(),
        Some(org()),
    )
    .unwrap()
}

fn some_id() -> ObjectId {
    "vulnerability--1c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".parse().unwrap()
}

/// Checks that writing and reading gives the same, and that what was written is valid.
fn check_round_trip(record: &Record) {
    let object = record.write().unwrap();
    assert_eq!(check(&object), []);
    assert_eq!(&Record::parse(&object).unwrap(), record);
}

fn full_ai() -> Ai {
    let mut ai = Ai::default();
    ai.affected = vec![Affected {
        version: Some("2026-07".to_owned()),
        valid_from: Some(now()),
        ..Affected::model("m-1")
    }];
    ai.attack_success = vec![Rate::wilson(42, 100).unwrap().of("indirect prompt injection")];
    ai.transfer = vec![Transfer { to: Affected::model("m-2"), success: Rate::wilson(0, 50).unwrap() }];
    ai.disclosure = Some(Disclosure { state: DisclosureState::FixReady, since: Some(now()), case: None });
    ai
}

#[test]
fn every_type_is_written_and_read_again() {
    let mut flaw = Flaw::new(common("vulnerability"), "A flaw");
    flaw.extensions.ai = full_ai();
    flaw.common.external_references =
        vec![Reference::id("cve", "CVE-2026-1234"), Reference::url("blog", "https://example.org/a")];
    check_round_trip(&Record::Flaw(flaw));
    let mut technique = Technique::new(common("attack-pattern"), "A technique");
    technique.kill_chain_phases =
        vec![Phase { kill_chain_name: "mitre-atlas".to_owned(), phase_name: "impact".to_owned() }];
    technique.extensions.ai = full_ai();
    check_round_trip(&Record::Technique(technique));
    let mut incident = Incident::new(common("incident"), "An incident");
    incident.extensions.ai.incident_severity = Some(Severity::SeriousHazard);
    incident.extensions.ai.occurred = Some(now());
    check_round_trip(&Record::Incident(incident));
    check_round_trip(&Record::Mitigation(Mitigation::new(common("course-of-action"), "A mitigation")));
    check_round_trip(&Record::Lesson(Lesson::new(common("note"), "A lesson", "Ask first.", vec![some_id()])));
    let draft = Advisory::draft(common("grouping"), "An advisory", vec![some_id()]);
    let report = draft.publish(now()).unwrap();
    assert_eq!((report.common.kind(), report.common.id().uuid()), ("report", draft.common.id().uuid()));
    check_round_trip(&Record::Advisory(draft));
    check_round_trip(&Record::Advisory(report));
    check_round_trip(&Record::Sighting(Sighting::new(common("sighting"), some_id())));
    check_round_trip(&Record::Relation(Relation::new(
        common("relationship"),
        some_id(),
        "related-to",
        some_id(),
    )));
    check_round_trip(&Record::Opinion(Opinion::new(common("opinion"), View::Agree, vec![some_id()])));
}

fn bundle() -> BundleFacts {
    BundleFacts {
        suite: Suite { name: "smoke".to_owned(), sha256: Digest::of(b"suite") },
        model: Affected { vendor: Some("v".to_owned()), ..Affected::model("m-1") },
        mechanisms: vec![Mechanism { name: "canary".to_owned(), success: Rate::wilson(3, 10).unwrap() }],
        benign_utility: Some(Rate::wilson(9, 10).unwrap()),
        utility_under_attack: Some(Rate::wilson(7, 10).unwrap()),
        bundle: Digest::of(b"bundle"),
        signer: "key".to_owned(),
        signed: now(),
    }
}

#[test]
fn a_bundle_becomes_the_same_evaluation_whenever_it_is_published() {
    let (first, software) = Evaluation::from_bundle(bundle(), now(), Some(org())).unwrap();
    let (second, _) = Evaluation::from_bundle(bundle(), now().plus_seconds(60), Some(org())).unwrap();
    assert_eq!(first.common.id(), second.common.id());
    assert_eq!(software["id"].as_str(), Some(first.object_refs[0].as_str()));
    assert_eq!(software["id"].as_str().unwrap().parse::<ObjectId>().unwrap().uuid().get_version_num(), 5);
    check_round_trip(&Record::Evaluation(first));
    let software = Object::read(software.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(check(&software), []);
    let nameless = BundleFacts { model: Affected::default(), ..bundle() };
    assert!(Evaluation::from_bundle(nameless, now(), None).is_err());
}

#[test]
fn what_others_put_in_stays() {
    let mut flaw = Flaw::new(common("vulnerability"), "A flaw");
    flaw.extensions.ai = full_ai();
    let mut value: Value = serde_json::from_slice(flaw.write().unwrap().bytes()).unwrap();
    value["x_theirs"] = json!({ "a": [1, 2.5, "x"] });
    value["extensions"]["extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"] =
        json!({ "extension_type": "property-extension", "x_y": 1 });
    value["extensions"][AI_EXTENSION]["later"] = json!({ "b": true });
    value["extensions"][AI_EXTENSION]["affected"][0]["later"] = json!(1);
    value["external_references"] =
        json!([{ "source_name": "x", "url": "https://example.org/", "x_theirs": "y" }]);
    let object = Object::read(value.to_string().as_bytes(), &Limits::default()).unwrap();
    let again = Flaw::parse(&object).unwrap().write().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(again.bytes()).unwrap(), value);
}

#[test]
fn what_contradicts_itself_is_not_written() {
    for (successes, trials, rate, low, high) in [
        (1, 0, 0.5, 0.1, 0.9),
        (2, 1, 0.5, 0.1, 0.9),
        (1, 2, 0.5, 0.6, 0.9),
        (1, 2, 0.5, 0.1, 1.1),
        (1, 2, f64::NAN, 0.1, 0.9),
    ] {
        assert!(
            Rate::new(successes, trials, rate, low, high).is_err(),
            "{successes} {trials} {rate} {low} {high}"
        );
    }
    let mut flaw = Flaw::new(common("vulnerability"), " ");
    assert!(flaw.write().is_err());
    flaw.name = "A flaw".to_owned();
    flaw.extensions.ai.affected = vec![Affected::default()];
    assert!(flaw.write().is_err());
    flaw.extensions.ai.affected = Vec::new();
    flaw.common.modified = flaw.common.created.plus_seconds(-1);
    assert!(matches!(flaw.write(), Err(TypeError::Defect(_))));
    assert!(Lesson::new(common("note"), "A", "B", Vec::new()).write().is_err());
    let sighting = Sighting::new(common("vulnerability"), some_id());
    assert!(Sighting::parse(&Flaw::new(common("vulnerability"), "A").write().unwrap()).is_err());
    drop(sighting);
}

#[test]
fn a_next_version_is_later() {
    let first = common("vulnerability");
    let second = first.clone().next_version(now().plus_seconds(-5));
    assert!(second.modified > first.modified);
    assert_eq!(second.created, first.created);
}

#[test]
fn the_interval_is_wilsons() {
    // Computed with statsmodels 0.14: proportion_confint(42, 100, method="wilson").
    let rate = Rate::wilson(42, 100).unwrap();
    assert!((rate.low - 0.327_993).abs() < 1e-4 && (rate.high - 0.517_868).abs() < 1e-4, "{rate:?}");
    assert_eq!((Rate::wilson(0, 5).unwrap().low, Rate::wilson(5, 5).unwrap().high), (0.0, 1.0));
}

#[test]
fn the_definitions_are_valid_and_say_their_ids() {
    for value in definitions() {
        let object = Object::read(value.to_string().as_bytes(), &Limits::default()).unwrap();
        assert_eq!(check(&object), []);
    }
    let schema: Value = serde_json::from_str(include_str!("../../schemas/ostrom-ai.json")).unwrap();
    assert!(schema["description"].as_str().unwrap().contains(AI_EXTENSION));
    let states: Vec<Value> = DisclosureState::ALL.iter().map(|state| json!(state)).collect();
    assert_eq!(schema["properties"]["disclosure"]["properties"]["state"]["enum"], json!(states));
    let severities: Vec<Value> = Severity::ALL.iter().map(|severity| json!(severity)).collect();
    assert_eq!(schema["properties"]["incident_severity"]["enum"], json!(severities));
    let marks: Value = serde_json::from_str(include_str!("../../schemas/ostrom-handling.json")).unwrap();
    assert!(marks["description"].as_str().unwrap().contains(marking::HANDLING_EXTENSION));
    assert!(marks["description"].as_str().unwrap().contains(&crate::stix::NAMESPACE.to_string()));
    // Serde's names in the code are literals.
    let mut flaw = Flaw::new(common("vulnerability"), "A flaw");
    flaw.extensions.ai = full_ai();
    assert!(flaw.write().unwrap().get("extensions").unwrap().get(AI_EXTENSION).is_some());
    let incident = Incident::new(common("incident"), "A").write().unwrap();
    assert!(incident.get("extensions").unwrap().get(INCIDENT_EXTENSION).is_some());
}

#[test]
fn marks_go_onto_what_is_written() {
    let handling = Handling {
        audience: [Party::Organisation(org())].into(),
        embargo: Some(Embargo { until: now(), parties: [Party::Organisation(org())].into() }),
        ..Handling::new(org(), Tlp::AmberStrict)
    };
    let marks = marking::marks(&handling).unwrap();
    let mut flaw = Flaw::new(common("vulnerability"), "A flaw");
    flaw.common.mark(&marks);
    assert_eq!(flaw.write().unwrap().facts().marks.len(), 2);
}

proptest! {
    #[test]
    fn any_flaw_is_written_and_read_again(
        name in "\\PC{1,40}", description in prop::option::of("\\PC{1,80}"), rate in (0u64..50, 50u64..100), model in "\\PC{1,20}",
        labels in prop::collection::vec("[a-z-]{1,10}", 0..3), confidence in prop::option::of(0u8..=100), uuid in any::<u128>(),
    ) {
        let uuid = Uuid::from_u128((uuid & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62));
        let mut flaw = Flaw::new(Common::new("vulnerability", uuid, now(), Some(org())).unwrap(), &name);
        flaw.description = description;
        flaw.common.labels = labels;
        flaw.common.confidence = confidence;
        flaw.extensions.ai.affected = vec![Affected::model(&model)];
        flaw.extensions.ai.attack_success = vec![Rate::wilson(rate.0, rate.1).unwrap()];
        match flaw.write() {
            Ok(object) => prop_assert_eq!(Flaw::parse(&object).unwrap(), flaw),
            Err(_) => prop_assert!(name.trim().is_empty() || model.trim().is_empty() || flaw.description.is_some_and(|text| text.trim().is_empty())),
        }
    }
}
