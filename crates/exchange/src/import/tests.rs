use ostrom_core::handling::Tlp;
use ostrom_core::{OrgId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::service::Actor;
use crate::service::testing::{self, Node};
use crate::stix::{Limits, check};
use crate::types::{Determination, Incident, Record, Shared as _};

fn manner() -> Manner {
    Manner { by: "f431f809-377b-45e0-aa1c-6a4751cae5ff".parse::<OrgId>().unwrap(), tlp: Tlp::Clear }
}

fn now() -> Timestamp {
    "2026-11-01T00:00:00.000Z".parse().unwrap()
}

fn incident(number: usize) -> Value {
    json!({
        "id": format!("INC-{number:05}"), "title": "A chatbot told a secret", "date": "2023-04", "year": 2023, "severity": "High",
        "attack_vector": "prompt-injection", "owasp_llm": ["LLM01"], "owasp_asi": [], "nist_ai_rmf": ["MAP-3.5"],
        "mitre_atlas": ["AML.T0051"], "cve_ids": ["CVE-2025-46059"], "primary_reference": "https://example.org/a",
        "description": "It was asked to…", "affected": "A chatbot", "tags": ["chat", "chat"], "quality_tier": "reviewed",
        "tier": "feed", "corpus": "security",
    })
}

fn dataset(incidents: &[Value]) -> Vec<u8> {
    json!({ "version": "2.13.0", "generated": "2026-10-09", "incident_count": incidents.len(), "incidents": incidents }).to_string().into_bytes()
}

fn one(record: Value) -> Incident {
    let found = genai_incidents(&dataset(&[record]), manner(), &Limits::default()).unwrap();
    assert_eq!(found.problems, []);
    let made = found.made.iter().find(|made| made.is_record).unwrap();
    assert_eq!(check(&made.object), []);
    Incident::parse(&made.object).unwrap()
}

#[test]
fn a_record_becomes_an_incident() {
    let made = one(incident(7));
    assert_eq!((made.name.as_str(), made.common.revoked), ("A chatbot told a secret", false));
    let ai = &made.extensions.ai;
    assert_eq!(
        (ai.occurred.unwrap().date().as_str(), ai.occurred_precision.as_deref()),
        ("2023-04-01", Some("month"))
    );
    assert_eq!(ai.incident_severity, None, "the dataset's severity is not the OECD's");
    assert_eq!(made.common.labels, ["chat", "prompt-injection", "severity-high"]);
    assert_eq!(made.extensions.core.unwrap().determination, Determination::Confirmed);
    let original = made.common.external_references.last().unwrap();
    let digest = ostrom_core::Digest::of(incident(7).to_string().as_bytes()).to_string();
    assert_eq!(
        (original.external_id.as_deref(), original.hashes["SHA-256"].as_str()),
        (Some("INC-00007"), Some(digest.as_str()))
    );
    assert_eq!(made.common.object_marking_refs.len(), 2, "TLP, and the licence");
    assert_eq!(one(incident(7)).common.id(), made.common.id());
}

#[test]
fn what_was_retracted_is_revoked() {
    let mut record = incident(1);
    record["status"] = json!("retracted");
    let made = one(record);
    assert!(made.common.revoked);
    assert_eq!(made.extensions.core.unwrap().determination, Determination::FalsePositive);
}

#[test]
fn what_cannot_be_taken_is_told() {
    let mut odd = incident(2);
    odd["date"] = json!("soon");
    let mut nameless = incident(3);
    nameless["title"] = json!(" ");
    let found =
        genai_incidents(&dataset(&[odd, nameless, json!(1), incident(4)]), manner(), &Limits::default())
            .unwrap();
    let records: Vec<&str> = found.problems.iter().map(|problem| problem.record.as_str()).collect();
    assert_eq!(records, ["INC-00002", "INC-00003", "record 2"]);
    assert_eq!((found.read, found.made.iter().filter(|made| made.is_record).count()), (4, 1));
    assert!(genai_incidents(b"{}", manner(), &Limits::default()).is_err());
}

/// A report as AVID writes it now, and one as it did in 2022.
fn avid_reports() -> [Value; 2] {
    [
        json!({
            "data_type": "AVID", "data_version": "0.3.3", "metadata": { "report_id": "AVID-2026-R9001" },
            "affects": { "developer": ["somebody"], "deployer": ["somebody"], "artifacts": [{ "type": "System", "name": "somebody/something" }] },
            "problemtype": { "classof": "CVE Entry", "type": "Advisory", "description": { "lang": "eng", "value": "It stops" } },
            "references": [{ "type": "source", "label": "NVD entry", "url": "https://www.cve.org/CVERecord?id=CVE-2024-99999" }, { "label": "odd", "url": "not a url" }],
            "description": { "lang": "eng", "value": "It stops when it is asked to." },
            "impact": { "avid": { "risk_domain": ["Security"], "sep_view": ["S0100: Software Vulnerability"], "lifecycle_view": ["L06: Deployment"], "taxonomy_version": "0.2" },
                "cvss": { "vectorString": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" }, "cwe": [{ "cweId": "CWE-835" }] },
            "reported_date": "2025-03-20",
        }),
        json!({
            "data_type": "AVID", "data_version": "0.1", "metadata": { "report_id": "AVID-2022-R9001" },
            "affects": { "developer": [], "deployer": ["Somebody"], "artifact": [{ "type": "Model", "name": "a-model" }] },
            "problemtype": { "class": "LLM evaluation", "type": "Detection", "description": { "lang": "eng", "value": "It is unfair" } },
            "metrics": [{ "name": "M" }], "credit": [{ "lang": "eng", "value": "Somebody" }],
            "impact": { "avid": { "vuln_id": "AVID-2022-V901", "risk_domain": ["Ethics"], "sep_view": [{ "id": "E0101", "name": "Group Fairness" }] } },
            "reported_date": "2022-11-09",
        }),
    ]
}

#[test]
fn avid_reports_become_flaws() {
    let text = Value::from(avid_reports().to_vec()).to_string();
    let found = avid(text.as_bytes(), manner(), &Limits::default(), now()).unwrap();
    assert_eq!((found.read, found.problems.len()), (2, 0));
    let flaws: Vec<_> =
        found.made.iter().map(|made| (Record::parse(&made.object).unwrap(), &made.lost)).collect();
    let (Record::Flaw(new), lost) = &flaws[0] else { panic!() };
    assert!(lost.is_empty());
    assert_eq!(
        (new.name.as_str(), new.extensions.ai.affected[0].vendor.as_deref()),
        ("It stops", Some("somebody"))
    );
    let ids: Vec<&str> = new
        .common
        .external_references
        .iter()
        .filter_map(|reference| reference.external_id.as_deref())
        .collect();
    assert_eq!(
        ids,
        [
            "CVE-2024-99999",
            "CWE-835",
            "S0100",
            "L06",
            "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
            "AVID-2026-R9001"
        ]
    );
    let (Record::Flaw(old), lost) = &flaws[1] else { panic!() };
    let lost: std::collections::BTreeSet<&str> = lost.iter().map(String::as_str).collect();
    assert_eq!(lost, ["metrics was not carried over", "credit was not carried over"].into());
    assert_eq!(old.extensions.ai.affected[0].model.as_deref(), Some("a-model"));
    let lines = avid_reports().map(|report| report.to_string()).join("\n");
    assert_eq!(avid(lines.as_bytes(), manner(), &Limits::default(), now()).unwrap().made.len(), 2);
    let bad =
        avid(b"[{\"metadata\":{\"report_id\":\"X\"}}, 1]", manner(), &Limits::default(), now()).unwrap();
    assert_eq!((bad.made.len(), bad.problems.len()), (0, 2));
}

/// A look-alike of the bundle of MITRE ATLAS: objects of STIX 2.0 without a `spec_version`, a type of its own, properties of its own, no `type` and `id` of
/// the bundle.
fn atlas() -> Value {
    let tactic = json!({ "name": "Reconnaissance", "description": "…", "external_references": [{ "source_name": "mitre-atlas",
        "url": "https://atlas.mitre.org/tactics/AML.TA0002", "external_id": "AML.TA0002" }], "x_mitre_shortname": "reconnaissance",
        "type": "x-mitre-tactic", "id": "x-mitre-tactic--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0001", "created": "2022-03-23T21:28:44.114Z", "modified": "2022-03-23T21:28:44.114Z" });
    let technique = json!({ "name": "Journals", "kill_chain_phases": [{ "kill_chain_name": "mitre-atlas", "phase_name": "reconnaissance" }],
        "x_mitre_platforms": ["ATLAS"], "x_mitre_is_subtechnique": true, "type": "attack-pattern",
        "id": "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0002", "created": "2022-03-23T21:28:44.099Z", "modified": "2022-03-23T21:28:44.099Z" });
    let relation = json!({ "relationship_type": "subtechnique-of", "source_ref": "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0002",
        "target_ref": "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0003", "type": "relationship",
        "id": "relationship--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0004", "created": "2022-03-23T21:28:44.099Z", "modified": "2022-03-23T21:28:44.099Z" });
    let defective = json!({ "name": null, "type": "course-of-action", "id": "course-of-action--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0005",
        "created": "2022-03-23T21:28:44.099Z", "modified": "2021-03-23T21:28:44.099Z", "x_mitre_list": [] });
    json!({ "objects": [tactic, technique, relation, defective, { "type": "attack-pattern", "name": "no id" }] })
}

#[tokio::test]
async fn a_bundle_with_defects_is_kept_with_them() {
    let node = Node::start().await;
    let text = atlas().to_string();
    let import = || bundle("mitre-atlas", text.as_bytes(), &Limits::default()).unwrap();
    let actor = Actor::node(manner().by);
    let report = import().into_collection(&node.exchange, &actor, &node.collection, now()).await.unwrap();
    assert_eq!((report.read, report.taken, report.same), (5, 4, 0));
    let told: Vec<(&str, bool)> =
        report.problems.iter().map(|problem| (problem.record.as_str(), problem.kept)).collect();
    assert_eq!(told, [("object 4", false), ("course-of-action--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0005", true)]);
    let again = import().into_collection(&node.exchange, &actor, &node.collection, now()).await.unwrap();
    assert_eq!((again.taken, again.same), (4, 4), "what is imported twice is there once");
    let reading = node.exchange.store().reading(&testing::member(1), now()).await.unwrap();
    let id = "course-of-action--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0005".parse().unwrap();
    let object = reading.get(&id, None).await.unwrap().unwrap();
    assert_eq!(object.body, atlas()["objects"][3].to_string().as_bytes());
    assert!(object.head.aside.unwrap().contains("earlier than created"));
}

/// The whole dataset: `OSTROM_GENAI=…/incidents.min.json cargo nextest run -p ostrom-exchange --run-ignored all the_whole_dataset`.
#[tokio::test]
#[ignore = "needs the dataset of genai-incidents 2.13.0 from PyPI, in OSTROM_GENAI"]
async fn the_whole_dataset_is_taken() {
    let bytes = std::fs::read(std::env::var_os("OSTROM_GENAI").unwrap()).unwrap();
    let found = genai_incidents(&bytes, manner(), &Limits::default()).unwrap();
    assert_eq!((found.read, found.problems.len()), (15_666, 0));
    let node = Node::start().await;
    let actor = Actor::node(manner().by);
    let begin = std::time::Instant::now();
    let report = found.into_collection(&node.exchange, &actor, &node.collection, now()).await.unwrap();
    println!("{report} in {:?}", begin.elapsed());
    assert_eq!((report.taken, report.problems.len()), (15_666, 0));
}

proptest! {
    #[test]
    fn no_damaged_file_panics(at in 0usize..2000, byte in any::<u8>(), cut in 0usize..2000) {
        for text in [dataset(&[incident(1)]), Value::from(avid_reports().to_vec()).to_string().into_bytes(), atlas().to_string().into_bytes()] {
            let mut bytes = text;
            if let Some(found) = bytes.get_mut(at) {
                *found = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = genai_incidents(&bytes, manner(), &Limits::default());
            let _ = avid(&bytes, manner(), &Limits::default(), now());
            let _ = bundle("x", &bytes, &Limits::default());
        }
    }
}
