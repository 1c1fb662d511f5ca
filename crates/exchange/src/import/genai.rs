//! The records of genai-incidents (PyPI), as they stand in `data/incidents.min.json`.

use ostrom_core::{Digest, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Found, Made, Manner, cut, date, is_cve, link, original, provenance, statement, unexpected};
use crate::stix::marking::tlp_id;
use crate::stix::{Limits, ReadError, derived_id, json};
use crate::types::{Affected, Common, Determination, Incident, Reference, Shared as _};

const SOURCE: &str = "genai-incidents";
const LICENCE: &str = "genai_incidents, Emmanuel G. Jr. and contributors, CC BY 4.0";

#[derive(Deserialize)]
struct File<'a> {
    version: String,
    generated: String,
    #[serde(borrow)]
    incidents: Vec<&'a RawValue>,
}

/// What counts of a record. Everything else is in the original, which its digest names.
#[derive(Deserialize)]
struct Record {
    id: String,
    title: String,
    #[serde(default)]
    description: String,
    date: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    attack_vector: String,
    #[serde(default)]
    affected: String,
    #[serde(default)]
    primary_reference: String,
    #[serde(default)]
    owasp_llm: Vec<String>,
    #[serde(default)]
    owasp_asi: Vec<String>,
    #[serde(default)]
    nist_ai_rmf: Vec<String>,
    #[serde(default)]
    mitre_atlas: Vec<String>,
    #[serde(default)]
    cve_ids: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    quality_tier: String,
    status: Option<String>,
    content_license: Option<Licence>,
}

#[derive(Deserialize)]
struct Licence {
    license: String,
    attribution: String,
    #[serde(default)]
    attribution_url: String,
}

/// Makes incidents of the records of `incidents.min.json` of genai-incidents 2.
///
/// The dataset's severity is not the OECD's and becomes a label. A record's `created` is the day on which the incident began, since the
/// dataset does not say when the record did; `modified` is the day of the dataset.
///
/// # Errors
/// If the file is not one of these.
pub fn genai_incidents(bytes: &[u8], manner: Manner, limits: &Limits) -> Result<Found, ReadError> {
    let file: File<'_> = serde_json::from_slice(bytes).map_err(|error| ReadError::Json(error.to_string()))?;
    let (generated, _) = date(&file.generated).ok_or_else(|| unexpected("the dataset's date is none"))?;
    let mut found = Found {
        source: format!("{SOURCE} {}", file.version),
        read: file.incidents.len(),
        ..Found::default()
    };
    let mut licences = std::collections::BTreeSet::new();
    for (index, raw) in file.incidents.iter().enumerate() {
        match record(raw.get().as_bytes(), &file.version, generated, manner, limits) {
            Ok((made, licence)) => {
                if let Some(licence) = licence.filter(|licence| licences.insert(licence.object.id().clone()))
                {
                    found.made.push(licence);
                }
                found.made.push(made);
            }
            Err((name, why)) => found.refuse(name.unwrap_or_else(|| format!("record {index}")), why),
        }
    }
    Ok(found)
}

type Refused = (Option<String>, String);

fn record(
    bytes: &[u8],
    version: &str,
    generated: Timestamp,
    manner: Manner,
    limits: &Limits,
) -> Result<(Made, Option<Made>), Refused> {
    let digest = Digest::of(bytes);
    let value = json(bytes, limits.depth).map_err(|error| (None, error.to_string()))?;
    let name = value.get("id").and_then(|id| id.as_str()).map(ToOwned::to_owned);
    let refuse = |why: String| (name.clone(), why);
    let record = Record::deserialize(value).map_err(|error| refuse(error.to_string()))?;
    let (occurred, precision) =
        date(&record.date).ok_or_else(|| refuse(format!("{:?} is no date", record.date)))?;
    let mut lost = Vec::new();

    let id = derived_id("incident", SOURCE, &record.id).map_err(|error| refuse(error.to_string()))?;
    let mut common = Common::with_id(id, occurred.min(generated), Some(manner.by));
    common.modified = generated;
    common.revoked = record.status.as_deref() == Some("retracted");
    common.labels = labels(&record);
    common.object_marking_refs = vec![tlp_id(manner.tlp)];
    let notice = match &record.content_license {
        Some(licence) => {
            format!(
                "{LICENCE}; content: {} {}, {}",
                licence.attribution, licence.attribution_url, licence.license
            )
        }
        None => LICENCE.to_owned(),
    };
    let notice = statement(&notice, manner.by);
    common.object_marking_refs.extend(notice.iter().map(|notice| notice.id().clone()));
    common.external_references = references(&record, &mut lost);
    common.external_references.push(original(
        SOURCE,
        &record.id,
        &format!("The record in version {version}"),
        digest,
    ));

    let mut incident = Incident::new(common, &cut(&record.title, 500));
    incident.description = Some(record.description.clone()).filter(|text| !text.trim().is_empty());
    let ai = &mut incident.extensions.ai;
    ai.occurred = Some(occurred);
    ai.occurred_precision = Some(precision.to_owned());
    if !record.affected.trim().is_empty() {
        ai.affected = vec![Affected::model(&cut(&record.affected, 1000))];
    }
    if let Some(core) = &mut incident.extensions.core {
        core.determination = match (record.status.as_deref(), record.quality_tier.as_str()) {
            (Some("retracted"), _) => Determination::FalsePositive,
            (Some(_), _) | (None, "auto") => Determination::Suspected,
            (None, _) => Determination::Confirmed,
        };
        core.investigation_status = "closed".to_owned();
    }
    let object = incident.write().map_err(|error| refuse(error.to_string()))?;
    let provenance = provenance(SOURCE, version, &record.id, digest);
    let notice = notice.map(|object| Made {
        record: object.id().to_string(),
        provenance: serde_json::json!({ "source": SOURCE }),
        object,
        lost: Vec::new(),
        is_record: false,
    });
    Ok((Made { object, record: record.id, provenance, lost, is_record: true }, notice))
}

fn labels(record: &Record) -> Vec<String> {
    let severity =
        (!record.severity.is_empty()).then(|| format!("severity-{}", record.severity.to_lowercase()));
    let vector = Some(record.attack_vector.clone());
    let mut labels: Vec<String> =
        severity.into_iter().chain(vector).chain(record.tags.iter().cloned()).collect();
    labels.retain(|label| !label.trim().is_empty());
    labels.sort();
    labels.dedup();
    labels
}

fn references(record: &Record, lost: &mut Vec<String>) -> Vec<Reference> {
    let mut all = Vec::new();
    if !record.primary_reference.is_empty() {
        all.push(link("primary reference", &record.primary_reference));
    }
    for id in &record.cve_ids {
        if is_cve(id) {
            all.push(Reference::id("cve", id));
        } else {
            lost.push(format!("{id:?} is no CVE id"));
        }
    }
    let lists = [
        ("mitre-atlas", &record.mitre_atlas),
        ("owasp-llm", &record.owasp_llm),
        ("owasp-asi", &record.owasp_asi),
        ("nist-ai-rmf", &record.nist_ai_rmf),
    ];
    for (source, ids) in lists {
        all.extend(ids.iter().filter(|id| !id.is_empty()).map(|id| Reference::id(source, id)));
    }
    all
}
