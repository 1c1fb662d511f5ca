//! AVID reports, in the data model of avidtools 0.3.

use serde_json::{Map, Value, json};

use super::{Export, ExportError, Ledger, export};
use crate::types::{Affected, Flaw, Rate, Reference, Shared as _};

const WHY: &[(&str, &str)] = &[
    ("object_marking_refs", "AVID reports are public and carry no marks: export only what may be published"),
    ("ai.disclosure", "AVID has no place for the state of a disclosure"),
    ("ai.affected.valid_from", "AVID names artifacts, not when they were affected"),
    ("ai.affected.valid_until", "AVID names artifacts, not when they were affected"),
    ("confidence", "AVID has no place for how sure one is"),
];

/// The report of a flaw. The taxonomy of AVID is taken from labels such as `avid:S0403`, `avid:L05` and `avid:security`, and left out where there are none: it
/// is a judgement.
///
/// # Errors
/// If the flaw names no affected model or system.
pub fn avid(flaw: &Flaw) -> Result<Export, ExportError> {
    let id = flaw.common().id().to_string();
    let ai = &flaw.extensions.ai;
    if ai.affected.is_empty() {
        let what = "at least one affected model or system".to_owned();
        return Err(ExportError::Missing { form: "an AVID report", what });
    }
    let mut ledger = Ledger::new(WHY);
    ledger.add(&id, flaw);
    let mut missing = Vec::new();
    let lang = match flaw.common().lang.as_deref() {
        None | Some("en") => "eng",
        Some(other) => other,
    };
    let value = |text: &str| json!({ "lang": lang, "value": text });
    let measured = !ai.attack_success.is_empty();
    let mut report = json!({
        "data_type": "AVID",
        "data_version": "0.3",
        "metadata": { "report_id": id },
        "affects": affects(&ai.affected),
        "problemtype": {
            "classof": if measured { "LLM Evaluation" } else { "Third-party Report" },
            "type": if measured { "Measurement" } else { "Issue" },
            "description": value(&flaw.name),
        },
        "references": references(&flaw.common().external_references),
        "description": value(flaw.description.as_deref().unwrap_or(&flaw.name)),
        "reported_date": flaw.common().created.date(),
    });
    ledger.carried_all(
        &id,
        &[
            "name",
            "description",
            "lang",
            "created",
            "ai.affected.vendor",
            "ai.affected.model",
            "ai.affected.version",
            "ai.affected.endpoint",
            "external_references.url",
            "external_references.source_name",
            "external_references.external_id",
            "external_references.description",
        ],
    );
    if measured {
        let metrics: Vec<Value> = ai.attack_success.iter().map(metric).collect();
        set(&mut report, "metrics", Value::Array(metrics));
        ledger.carried(&id, "ai.attack_success");
    }
    let mut impact = Map::new();
    match taxonomy(&flaw.common().labels) {
        Some(avid) => {
            impact.insert("avid".to_owned(), avid);
            ledger.carried(&id, "labels");
        }
        None => missing.push(
            "impact.avid: label the flaw with AVID's taxonomy, such as avid:S0403, avid:L05".to_owned(),
        ),
    }
    let ids = |source: &str| {
        let of = flaw.common().external_references.iter().filter(move |one| one.source_name == source);
        of.filter_map(|one| one.external_id.clone()).collect::<Vec<_>>()
    };
    let atlas: Vec<Value> = ids("mitre-atlas").iter().map(|id| json!({ "technique": id })).collect();
    let cwe: Vec<Value> = ids("cwe").iter().map(|id| json!({ "cweId": id })).collect();
    for (name, list) in [("atlas", atlas), ("cwe", cwe)] {
        if !list.is_empty() {
            impact.insert(name.to_owned(), Value::Array(list));
        }
    }
    if !impact.is_empty() {
        set(&mut report, "impact", Value::Object(impact));
    }
    missing.push("credit: who found it is not in a flaw".to_owned());
    export(format!("avid-{}.json", flaw.common().id().uuid()), &report, ledger, missing)
}

fn set(report: &mut Value, name: &str, value: Value) {
    if let Value::Object(map) = report {
        map.insert(name.to_owned(), value);
    }
}

fn affects(affected: &[Affected]) -> Value {
    let mut developer: Vec<&str> = affected.iter().filter_map(|one| one.vendor.as_deref()).collect();
    let mut deployer: Vec<&str> = affected
        .iter()
        .filter(|one| one.endpoint.is_some())
        .filter_map(|one| one.vendor.as_deref())
        .collect();
    developer.dedup();
    deployer.dedup();
    let artifact = |one: &Affected| {
        let words = [&one.model, &one.version].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
        let name = match (&one.endpoint, words.as_slice()) {
            (Some(endpoint), []) => endpoint.clone(),
            (Some(endpoint), words) => format!("{} at {endpoint}", words.join(" ")),
            (None, []) => one.vendor.clone().unwrap_or_default(),
            (None, words) => words.join(" "),
        };
        json!({ "type": if one.endpoint.is_some() { "System" } else { "Model" }, "name": name })
    };
    let artifacts: Vec<Value> = affected.iter().map(artifact).collect();
    json!({ "developer": developer, "deployer": deployer, "artifacts": artifacts })
}

fn metric(rate: &Rate) -> Value {
    json!({
        "name": rate.technique.as_ref().map_or_else(
            || "attack success rate".to_owned(),
            |technique| format!("attack success rate: {technique}"),
        ),
        // Of the two methods that AVID knows, the nearer: an interval at 95 %.
        "detection_method": { "type": "Significance Test", "name": "95 % confidence interval" },
        "results": {
            "rate": rate.rate,
            "low": rate.low,
            "high": rate.high,
            "successes": rate.successes,
            "trials": rate.trials,
        },
    })
}

fn references(references: &[Reference]) -> Value {
    let one = |reference: &Reference| {
        let url = reference.url.as_ref()?;
        let words =
            [Some(&reference.source_name), reference.external_id.as_ref(), reference.description.as_ref()];
        let label = words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(": ");
        Some(json!({ "type": "source", "label": label, "url": url }))
    };
    Value::Array(references.iter().filter_map(one).collect())
}

/// The views of AVID's taxonomy that are known here, of avidtools 0.3.
const VIEWS: [&str; 51] = [
    "S0100: Software Vulnerability",
    "S0200: Supply Chain Compromise",
    "S0201: Model Compromise",
    "S0202: Software Compromise",
    "S0300: Over-permissive API",
    "S0301: Information Leak",
    "S0302: Excessive Queries",
    "S0400: Model Bypass",
    "S0401: Bad Features",
    "S0402: Insufficient Training Data",
    "S0403: Adversarial Example",
    "S0500: Exfiltration",
    "S0501: Model inversion",
    "S0502: Model theft",
    "S0600: Data Poisoning",
    "S0601: Ingest Poisoning",
    "E0100: Bias/ Discrimination",
    "E0101: Group fairness",
    "E0102: Individual fairness",
    "E0200: Explainability",
    "E0201: Global explanations",
    "E0202: Local explanations",
    "E0300: User actions",
    "E0301: Toxicity",
    "E0302: Polarization/ Exclusion",
    "E0400: Misinformation",
    "E0401: Deliberative Misinformation",
    "E0402: Generative Misinformation",
    "P0100: Data issues",
    "P0101: Data drift",
    "P0102: Concept drift",
    "P0103: Data entanglement",
    "P0104: Data quality issues",
    "P0105: Feedback loops",
    "P0200: Model issues",
    "P0201: Resilience/ Stability",
    "P0202: OOD generalization",
    "P0203: Scaling",
    "P0204: Accuracy",
    "P0300: Privacy",
    "P0301: Anonymization",
    "P0302: Randomization",
    "P0303: Encryption",
    "P0400: Safety",
    "P0401: Psychological Safety",
    "P0402: Physical safety",
    "P0403: Socioeconomic safety",
    "P0404: Environmental safety",
    "L04: Model Development",
    "L05: Evaluation",
    "L06: Deployment",
];

/// `None` unless the labels name both views.
fn taxonomy(labels: &[String]) -> Option<Value> {
    let named = || labels.iter().filter_map(|label| label.strip_prefix("avid:"));
    let of = |lifecycle: bool| {
        let found = named().filter_map(|code| VIEWS.iter().find(|view| view.split(':').next() == Some(code)));
        found.filter(|view| view.starts_with('L') == lifecycle).collect::<Vec<_>>()
    };
    let (sep, lifecycle) = (of(false), of(true));
    if sep.is_empty() || lifecycle.is_empty() {
        return None;
    }
    let domain = |view: &&&str| match view.chars().next() {
        Some('S') => "Security",
        Some('E') => "Ethics",
        _ => "Performance",
    };
    let mut domains: Vec<&str> = sep.iter().map(domain).collect();
    domains.sort_unstable();
    domains.dedup();
    Some(json!({
        "risk_domain": domains,
        "sep_view": sep,
        "lifecycle_view": lifecycle,
        "taxonomy_version": "0.2",
    }))
}
