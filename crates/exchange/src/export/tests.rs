use std::collections::BTreeMap;

use ostrom_core::handling::Tlp;
use ostrom_core::{OrgId, Timestamp, Uuid};
use serde_json::Value;

use super::*;
use crate::incident::{Effect, Facts, Harm};
use crate::types::{
    Advisory, Affected, Common, Flaw, Incident, Mitigation, Rate, Reference, Shared as _, Transfer,
};

fn at(day: i64) -> Timestamp {
    "2026-09-01T10:00:00Z".parse::<Timestamp>().unwrap().plus_seconds(day * 86_400)
}

fn common(kind: &str, number: u128) -> Common {
    // Version 4.
    let uuid = Uuid::from_u128(number | 0x4000 << 64 | 0x8000 << 48);
    Common::new(kind, uuid, at(0), Some(OrgId::new(Uuid::from_u128(7 | 0x4000 << 64 | 0x8000 << 48))))
        .unwrap()
}

pub(super) fn flaw() -> Flaw {
    let mut flaw = Flaw::new(common("vulnerability", 1), "Obeys instructions in web pages");
    flaw.description = Some("Text in a page that the model reads is taken for its user's.".to_owned());
    flaw.common_mut().external_references = vec![
        Reference {
            url: Some("https://example.org/cve".to_owned()),
            ..Reference::id("cve", "CVE-2026-12345")
        },
        Reference {
            url: Some("https://atlas.mitre.org/techniques/AML.T0051".to_owned()),
            ..Reference::id("mitre-atlas", "AML.T0051")
        },
        Reference::url("example", "https://example.org/report"),
    ];
    flaw.common_mut().labels = vec!["avid:S0400".to_owned(), "avid:L06".to_owned()];
    flaw.common_mut().confidence = Some(80);
    let ai = &mut flaw.extensions.ai;
    let model = |version: &str| Affected {
        vendor: Some("Example AI".to_owned()),
        version: Some(version.to_owned()),
        ..Affected::model("Example 7B")
    };
    ai.affected = vec![
        Affected { weights_sha256: Some(ostrom_core::Digest::of(b"w")), ..model("1.0") },
        model("before 1.0"),
        Affected {
            endpoint: Some("https://api.example.org/v1".to_owned()),
            valid_from: Some(at(-30)),
            valid_until: Some(at(-1)),
            ..model("2026-08")
        },
    ];
    ai.attack_success = vec![Rate::wilson(37, 50).unwrap().of("indirect-injection")];
    ai.transfer = vec![Transfer { to: Affected::model("Other 8B"), success: Rate::wilson(5, 50).unwrap() }];
    flaw
}

fn advisory() -> Advisory {
    let mut advisory = Advisory::draft(
        common("grouping", 2),
        "Example 7B obeys web pages",
        vec![flaw().common().id().clone()],
    );
    advisory.description = Some("What it is and what to do.".to_owned());
    advisory.publish(at(1)).unwrap()
}

fn mitigation() -> Mitigation {
    let mut mitigation = Mitigation::new(common("course-of-action", 3), "Keep what comes from pages apart");
    mitigation.description = Some("Mark it, and let no tool be called because of it.".to_owned());
    mitigation
}

fn incident() -> Incident {
    let mut incident = Incident::new(common("incident", 4), "An assistant paid a stranger's invoice");
    incident.description = Some("An invoice told it to.".to_owned());
    incident.extensions.ai.occurred = Some(at(-2));
    incident.extensions.ai.affected = vec![Affected::model("Example 7B")];
    incident
}

fn publisher() -> Publisher {
    Publisher {
        name: "Example Institute".to_owned(),
        namespace: "https://institute.example.org".to_owned(),
        category: PublisherCategory::Coordinator,
    }
}

fn made_csaf(tlp: Tlp) -> Export {
    csaf(&SecurityAdvisory {
        advisory: &advisory(),
        flaws: &[flaw()],
        mitigations: &[mitigation()],
        publisher: &publisher(),
        tracking_id: "EXAMPLE-2026-0001",
        revisions: &[
            Revision { date: at(1), summary: "First".to_owned() },
            Revision { date: at(2), summary: "A mitigation".to_owned() },
        ],
        tlp,
    })
    .unwrap()
}

fn packaged() -> Flaw {
    let mut flaw = flaw();
    for purl in ["pkg:pypi/transformers@4.40.0", "pkg:npm/%40example/agent", "pkg:huggingface/example/7b@1"] {
        flaw.common_mut().external_references.push(Reference::id("purl", purl));
    }
    flaw
}

fn facts() -> Facts {
    Facts { effects: vec![Effect { persons: Some(1), ..Effect::actual(Harm::Property) }], ..Facts::default() }
}

fn made_oecd() -> Export {
    let answers = BTreeMap::from([(4, "Example Institute".to_owned()), (28, "Read the invoice.".to_owned())]);
    oecd(&IncidentReport { incident: &incident(), facts: Some(&facts()), answers: &answers }).unwrap()
}

fn json(export: &Export) -> Value {
    serde_json::from_slice(&export.bytes).unwrap()
}

fn left(export: &Export) -> Vec<&str> {
    export.not_carried.iter().map(|one| one.field.split_once(": ").unwrap().1).collect()
}

#[test]
fn an_avid_report_says_what_it_left_behind() {
    let export = avid(&flaw()).unwrap();
    let report = json(&export);
    assert_eq!(report["affects"]["artifacts"][2]["type"], "System");
    assert_eq!(report["metrics"][0]["results"]["trials"], 50);
    assert_eq!(report["impact"]["atlas"][0]["technique"], "AML.T0051");
    assert_eq!(report["impact"]["avid"]["sep_view"][0], "S0400: Model Bypass");
    assert_eq!(
        left(&export),
        [
            "ai.affected.valid_from",
            "ai.affected.valid_until",
            "ai.affected.weights_sha256",
            "ai.transfer.success.high",
            "ai.transfer.success.low",
            "ai.transfer.success.rate",
            "ai.transfer.success.successes",
            "ai.transfer.success.trials",
            "ai.transfer.to.model",
            "confidence",
            "modified",
        ]
    );
    let mut bare = flaw();
    bare.common_mut().labels.clear();
    let export = avid(&bare).unwrap();
    assert!(json(&export)["impact"].get("avid").is_none(), "a taxonomy was made up");
    assert!(export.missing.iter().any(|missing| missing.starts_with("impact.avid")));
    bare.extensions.ai.affected.clear();
    assert!(matches!(avid(&bare), Err(ExportError::Missing { .. })));
}

#[test]
fn a_csaf_advisory_has_what_its_profile_asks_for() {
    let export = made_csaf(Tlp::AmberStrict);
    assert_eq!(export.file_name, "example-2026-0001.json");
    let csaf = json(&export);
    let document = &csaf["document"];
    assert_eq!(document["category"], "csaf_security_advisory");
    assert_eq!(document["distribution"]["tlp"]["label"], "AMBER");
    assert_eq!(document["distribution"]["text"], "TLP:AMBER+STRICT");
    assert_eq!(document["tracking"]["version"], "2");
    assert_eq!(document["tracking"]["revision_history"][1]["number"], "2");
    assert_eq!(
        document["tracking"]["current_release_date"],
        document["tracking"]["revision_history"][1]["date"]
    );
    let vulnerability = &csaf["vulnerabilities"][0];
    assert_eq!(vulnerability["cve"], "CVE-2026-12345");
    // Every product that is named is defined, once.
    let mut defined = Vec::new();
    let versions = csaf["product_tree"]["branches"][0]["branches"][0]["branches"].as_array().unwrap();
    for branch in versions {
        defined.push(branch["product"]["product_id"].clone());
    }
    assert_eq!(vulnerability["product_status"]["known_affected"].as_array().unwrap(), &defined);
    assert_eq!(vulnerability["remediations"][0]["product_ids"].as_array().unwrap(), &defined);
    let categories: Vec<&str> = versions.iter().map(|branch| branch["category"].as_str().unwrap()).collect();
    assert_eq!(categories, ["product_version", "product_version_range", "product_version"]);
    assert_eq!(left(&export), ["confidence", "labels"]);
}

#[test]
fn a_csaf_advisory_without_what_it_needs_is_none() {
    let (advisory, flaw, publisher) = (advisory(), flaw(), publisher());
    let mut bare = flaw.clone();
    bare.extensions.ai.affected.clear();
    let now = [Revision { date: at(1), summary: "First".to_owned() }];
    let backwards = [
        Revision { date: at(1), summary: "x".to_owned() },
        Revision { date: at(0), summary: "y".to_owned() },
    ];
    let good = SecurityAdvisory {
        advisory: &advisory,
        flaws: std::slice::from_ref(&flaw),
        mitigations: &[],
        publisher: &publisher,
        tracking_id: "X-1",
        revisions: &now,
        tlp: Tlp::Clear,
    };
    assert!(csaf(&good).is_ok());
    assert!(csaf(&SecurityAdvisory { flaws: &[], ..good.clone() }).is_err());
    assert!(csaf(&SecurityAdvisory { flaws: &[bare], ..good.clone() }).is_err());
    assert!(csaf(&SecurityAdvisory { revisions: &[], ..good.clone() }).is_err());
    assert!(csaf(&SecurityAdvisory { revisions: &backwards, ..good.clone() }).is_err());
    assert!(csaf(&SecurityAdvisory { tracking_id: " ", ..good }).is_err());
}

#[test]
fn osv_fits_packages_only() {
    assert!(matches!(osv(&flaw()), Err(ExportError::DoesNotFit { .. })));
    let export = osv(&packaged()).unwrap();
    let record = json(&export);
    let affected = record["affected"].as_array().unwrap();
    let names: Vec<_> = affected.iter().map(|one| one["package"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["transformers", "@example/agent"]);
    assert_eq!(affected[0]["versions"][0], "4.40.0");
    assert_eq!(affected[0]["package"]["purl"], "pkg:pypi/transformers");
    assert_eq!(record["aliases"][0], "CVE-2026-12345");
    assert_eq!(left(&export), ["confidence"]);
}

#[test]
fn an_incident_report_has_every_criterion_and_lists_what_is_missing() {
    let export = made_oecd();
    let report = json(&export);
    let criteria = report["criteria"].as_array().unwrap();
    assert_eq!(criteria.len(), 29);
    let mandatory: Vec<u64> = criteria
        .iter()
        .filter(|criterion| criterion["mandatory"] == true)
        .map(|criterion| criterion["number"].as_u64().unwrap())
        .collect();
    assert_eq!(mandatory, [1, 2, 3, 4, 7, 10, 11]);
    assert_eq!(criteria[9]["answer"], "incident");
    assert_eq!(criteria[11]["answer"][0]["persons"], 1);
    assert_eq!(criteria[24]["answer"], Value::Null);
    assert_eq!(export.missing.len(), 2, "{:?}", export.missing);
    let none = BTreeMap::from([(30, "x".to_owned())]);
    assert!(oecd(&IncidentReport { incident: &incident(), facts: None, answers: &none }).is_err());
}

#[test]
fn an_incident_report_knows_the_facts_that_stand_in_the_incident() {
    let mut incident = incident();
    let facts = Facts { cybersecurity_breach: true, ..facts() };
    incident.extensions.ai.incident_severity = None;
    incident.extensions.ai.other.insert("incident_facts".to_owned(), serde_json::to_value(&facts).unwrap());
    let export =
        oecd(&IncidentReport { incident: &incident, facts: None, answers: &BTreeMap::new() }).unwrap();
    let criteria = json(&export)["criteria"].clone();
    assert_eq!(criteria[9]["answer"], "incident");
    assert_eq!(criteria[10]["answer"][0]["harm"], "property");
    assert_eq!(criteria[11]["answer"][0]["persons"], 1);
    let lost: Vec<&str> =
        left(&export).into_iter().filter(|field| field.contains("incident_facts")).collect();
    assert!(lost.contains(&"ai.incident_facts.cybersecurity_breach"), "{lost:?}");
    assert!(!lost.iter().any(|field| field.contains("harm") || field.contains("persons")), "{lost:?}");
}

#[test]
fn a_stix_bundle_carries_bytes_as_they_are() {
    let objects = [flaw().write().unwrap(), incident().write().unwrap()];
    let export = stix(Uuid::from_u128(9), &objects).unwrap();
    for object in &objects {
        let found = export.bytes.windows(object.bytes().len()).any(|window| window == object.bytes());
        assert!(found);
    }
    assert_eq!(json(&export)["objects"].as_array().unwrap().len(), 2);
}

#[test]
fn whatever_is_not_carried_is_listed() {
    // A property that no exporter knows, in every object.
    let mut flaw = packaged();
    flaw.common_mut().other.insert("x_strange".to_owned(), Value::Bool(true));
    flaw.extensions
        .other
        .insert("extension-definition--x".to_owned(), serde_json::json!({ "deep": [{ "thing": 1 }] }));
    for export in [avid(&flaw).unwrap(), osv(&flaw).unwrap()] {
        let left = left(&export);
        assert!(
            left.contains(&"x_strange") && left.contains(&"extensions.extension-definition--x.deep.thing")
        );
    }
}

#[test]
#[ignore = "writes one of each into the folder OSTROM_EXPORTS, for bench/export/validate.sh"]
fn exports_for_the_validators_of_others() {
    let folder = std::env::var_os("OSTROM_EXPORTS").expect("OSTROM_EXPORTS names a folder");
    let folder = std::path::Path::new(&folder);
    for (kind, export) in [
        ("avid", avid(&flaw()).unwrap()),
        ("csaf", made_csaf(Tlp::Clear)),
        ("osv", osv(&packaged()).unwrap()),
        ("oecd", made_oecd()),
    ] {
        std::fs::create_dir_all(folder.join(kind)).unwrap();
        std::fs::write(folder.join(kind).join(&export.file_name), &export.bytes).unwrap();
    }
}
