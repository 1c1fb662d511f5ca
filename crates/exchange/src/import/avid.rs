//! Reports and vulnerabilities of the AI Vulnerability Database, in the shape of `avidtools` and its predecessors.

use ostrom_core::{Digest, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Found, Made, Manner, cut, date, is_cve, link, original, provenance};
use crate::stix::marking::tlp_id;
use crate::stix::{Limits, ReadError, derived_id, json};
use crate::types::{Affected, Common, Flaw, Reference, Shared as _};

const SOURCE: &str = "avid";
/// What is read of a report; anything else is told as lost.
const KNOWN: [&str; 11] = [
    "data_type",
    "data_version",
    "metadata",
    "affects",
    "problemtype",
    "references",
    "description",
    "impact",
    "reported_date",
    "published_date",
    "last_modified_date",
];

/// Makes flaws of AVID's records: a file with one of them, with a list of them, or with one on each line. `now` is when records without
/// a date are said to have been made.
///
/// # Errors
/// If it is none of these.
pub fn avid(bytes: &[u8], manner: Manner, limits: &Limits, now: Timestamp) -> Result<Found, ReadError> {
    let wrong = |error: serde_json::Error| ReadError::Json(error.to_string());
    let text = std::str::from_utf8(bytes).map_err(|error| ReadError::Json(error.to_string()))?;
    let records: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(wrong)?
    } else {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(wrong)?
    };
    let mut found = Found { source: SOURCE.to_owned(), read: records.len(), ..Found::default() };
    for (index, raw) in records.iter().enumerate() {
        match record(raw.get().as_bytes(), manner, limits, now) {
            Ok(made) => found.made.push(made),
            Err((name, why)) => found.refuse(name.unwrap_or_else(|| format!("record {index}")), why),
        }
    }
    Ok(found)
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(value, |value, name| value.get(name))?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

fn list<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_array).into_iter().flatten()
}

fn record(
    bytes: &[u8],
    manner: Manner,
    limits: &Limits,
    now: Timestamp,
) -> Result<Made, (Option<String>, String)> {
    let digest = Digest::of(bytes);
    let value = json(bytes, limits.depth).map_err(|error| (None, error.to_string()))?;
    let name = text(&value, &["metadata", "report_id"]).or_else(|| text(&value, &["metadata", "vuln_id"]));
    let name = name.map(ToOwned::to_owned);
    let refuse = |why: &str| (name.clone(), why.to_owned());
    let Some(name) = name.clone().filter(|name| name.starts_with("AVID-")) else {
        return Err(refuse("it has no id of AVID in its metadata"));
    };
    let title = text(&value, &["problemtype", "description", "value"]);
    let title = title.ok_or_else(|| refuse("its problemtype has no description"))?;
    let day = |name: &str| text(&value, &[name]).and_then(date).map(|(time, _)| time);
    let created = day("reported_date").or_else(|| day("published_date"));
    let created = created.unwrap_or(now);

    let id = derived_id("vulnerability", SOURCE, &name).map_err(|error| refuse(&error.to_string()))?;
    let mut common = Common::with_id(id, created, Some(manner.by));
    common.modified = day("last_modified_date").unwrap_or(created).max(created).to_millis();
    common.object_marking_refs = vec![tlp_id(manner.tlp)];
    let domains = list(&value, &["impact", "avid", "risk_domain"]).filter_map(Value::as_str);
    common.labels = domains.filter(|text| !text.is_empty()).map(str::to_lowercase).collect();
    common.labels.dedup();
    let version = text(&value, &["data_version"]).unwrap_or("unknown");
    common.external_references = references(&value);
    common.external_references.push(original(
        SOURCE,
        &name,
        &format!("The record, data version {version}"),
        digest,
    ));

    let mut flaw = Flaw::new(common, &cut(title, 500));
    flaw.description = text(&value, &["description", "value"]).map(|text| cut(text, 100_000));
    flaw.extensions.ai.affected = affected(&value);
    let object = flaw.write().map_err(|error| refuse(&error.to_string()))?;
    let mut lost: Vec<String> = Vec::new();
    if let Value::Object(map) = &value {
        let others = map.iter().filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !value.is_null());
        lost.extend(others.map(|(key, _)| format!("{} was not carried over", cut(key, 40))));
    }
    let provenance = provenance(SOURCE, version, &name, digest);
    Ok(Made { object, record: name, provenance, lost, is_record: true })
}

fn affected(value: &Value) -> Vec<Affected> {
    let names =
        |name: &str| list(value, &["affects", name]).filter_map(Value::as_str).find(|text| !text.is_empty());
    let vendor = names("developer").or_else(|| names("deployer")).map(|text| cut(text, 1000));
    // Older records have `artifact`.
    let artifacts = list(value, &["affects", "artifacts"]).chain(list(value, &["affects", "artifact"]));
    let models = artifacts.filter_map(|artifact| text(artifact, &["name"])).map(|name| cut(name, 1000));
    let mut all: Vec<Affected> =
        models.map(|model| Affected { vendor: vendor.clone(), ..Affected::model(&model) }).collect();
    if all.is_empty() && vendor.is_some() {
        all.push(Affected { vendor, ..Affected::default() });
    }
    all
}

fn references(value: &Value) -> Vec<Reference> {
    let mut all = Vec::new();
    let mut cves = std::collections::BTreeSet::new();
    for reference in list(value, &["references"]) {
        let label = text(reference, &["label"]).unwrap_or("reference");
        let Some(url) = text(reference, &["url"]) else { continue };
        let mut link = link(text(reference, &["type"]).unwrap_or("reference"), url);
        link.description.get_or_insert_with(|| cut(label, 1000));
        all.push(link);
        let words = url.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        cves.extend(words.filter(|word| is_cve(word)).map(ToOwned::to_owned));
    }
    all.extend(cves.iter().map(|id| Reference::id("cve", id)));
    for cwe in list(value, &["impact", "cwe"]) {
        all.extend(text(cwe, &["cweId"]).map(|id| Reference::id("cwe", id)));
    }
    for view in ["sep_view", "lifecycle_view", "vuln_id"] {
        let one = value.get("impact").and_then(|impact| impact.get("avid")).and_then(|avid| avid.get(view));
        for item in list(value, &["impact", "avid", view]).chain(one.filter(|one| one.is_string())) {
            // `S0100: Software Vulnerability`, or, in older records, a dictionary.
            let id = item.as_str().or_else(|| text(item, &["id"])).and_then(|text| text.split(':').next());
            all.extend(
                id.map(str::trim).filter(|id| !id.is_empty()).map(|id| Reference::id("avid-taxonomy", id)),
            );
        }
    }
    let vector = text(value, &["impact", "cvss", "vectorString"]);
    all.extend(vector.map(|vector| Reference::id("cvss", vector)));
    all
}
