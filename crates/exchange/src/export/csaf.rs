//! CSAF 2.0 advisories in the profile `csaf_security_advisory` (OASIS standard, sections 3 and 4.4). The mandatory tests of section 6.1 are
//! run on what comes out here by bench/export/validate.sh.

use std::collections::BTreeMap;

use ostrom_core::Timestamp;
use ostrom_core::handling::Tlp;
use serde_json::{Value, json};

use super::{Export, ExportError, Ledger, export};
use crate::types::{Advisory, Affected, Flaw, Mitigation, Shared as _};

const FORM: &str = "a CSAF security advisory";

const WHY: &[(&str, &str)] = &[
    (
        "object_marking_refs",
        "CSAF has one label for the whole document: the one that was given for the export",
    ),
    ("ai.disclosure", "CSAF documents have their own status"),
    ("confidence", "CSAF has no place for how sure one is"),
    ("labels", "CSAF has no free labels"),
    ("external_references.hashes", "a reference of CSAF has no digest"),
    ("ai.attack_success", "of a mitigation: CSAF's remediations have no figures"),
];

/// What kind of publisher it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublisherCategory {
    /// Coordinates between others.
    Coordinator,
    /// Found it.
    Discoverer,
    /// Makes the product.
    Vendor,
    /// Any other.
    Other,
}

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The name.
    pub name: String,
    /// A URL that belongs to it.
    pub namespace: String,
    /// Its kind.
    pub category: PublisherCategory,
}

/// A version of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// When.
    pub date: Timestamp,
    /// What changed.
    pub summary: String,
}

/// What a security advisory is made of.
#[derive(Debug, Clone)]
pub struct SecurityAdvisory<'a> {
    /// The advisory.
    pub advisory: &'a Advisory,
    /// The flaws that it is about: at least one, each with what is affected.
    pub flaws: &'a [Flaw],
    /// What can be done about them.
    pub mitigations: &'a [Mitigation],
    /// Who publishes.
    pub publisher: &'a Publisher,
    /// What the publisher calls the document.
    pub tracking_id: &'a str,
    /// Its versions, the first first: at least one.
    pub revisions: &'a [Revision],
    /// Who may read it.
    pub tlp: Tlp,
}

/// The document.
///
/// # Errors
/// If there is no flaw, no version, or a flaw without affected products.
pub fn csaf(source: &SecurityAdvisory<'_>) -> Result<Export, ExportError> {
    let missing = |what: &str| ExportError::Missing { form: FORM, what: what.to_owned() };
    let (first, last) = match (source.revisions.first(), source.revisions.last()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Err(missing("a version")),
    };
    if source.flaws.is_empty() {
        return Err(missing("a flaw"));
    }
    if !source.revisions.is_sorted_by(|a, b| a.date < b.date) {
        return Err(missing("versions in the order of their dates"));
    }
    let tracking_id = source.tracking_id.trim();
    if tracking_id.is_empty() || source.publisher.name.trim().is_empty() {
        return Err(missing("a tracking id and a publisher's name"));
    }
    let mut ledger = Ledger::new(WHY);
    let mut products = Products::default();
    for flaw in source.flaws {
        if flaw.extensions.ai.affected.is_empty() {
            return Err(missing("what is affected, for every flaw"));
        }
        flaw.extensions.ai.affected.iter().for_each(|affected| drop(products.id(affected)));
    }
    let vulnerabilities: Vec<Value> = source
        .flaws
        .iter()
        .map(|flaw| vulnerability(flaw, source.mitigations, &mut products, &mut ledger))
        .collect();
    for mitigation in source.mitigations {
        let id = mitigation.common().id().to_string();
        ledger.add(&id, mitigation);
        ledger.carried_all(&id, &["name", "description", "created", "modified"]);
    }
    let revisions: Vec<Value> = source
        .revisions
        .iter()
        .enumerate()
        .map(|(number, revision)| {
            json!({
                "date": revision.date,
                "number": (number.saturating_add(1)).to_string(),
                "summary": revision.summary,
            })
        })
        .collect();
    let advisory = source.advisory;
    let id = advisory.common().id().to_string();
    ledger.add(&id, advisory);
    ledger.carried_all(
        &id,
        &[
            "name",
            "description",
            "lang",
            "published",
            "created",
            "modified",
            "object_refs",
            "report_types",
            "context",
        ],
    );
    let mut document = json!({
        "category": "csaf_security_advisory",
        "csaf_version": "2.0",
        "title": advisory.name,
        "distribution": distribution(source.tlp),
        "publisher": {
            "category": match source.publisher.category {
                PublisherCategory::Coordinator => "coordinator",
                PublisherCategory::Discoverer => "discoverer",
                PublisherCategory::Vendor => "vendor",
                PublisherCategory::Other => "other",
            },
            "name": source.publisher.name.trim(),
            "namespace": source.publisher.namespace,
        },
        "notes": [{
            "category": "summary",
            "title": "Summary",
            "text": advisory.description.as_deref().unwrap_or(&advisory.name),
        }],
        "tracking": {
            "id": tracking_id,
            "status": if advisory.published.is_some() { "final" } else { "draft" },
            "version": source.revisions.len().to_string(),
            "initial_release_date": first.date,
            "current_release_date": last.date,
            "revision_history": revisions,
            "generator": { "engine": { "name": "Ostrom", "version": env!("CARGO_PKG_VERSION") } },
        },
    });
    if let (Value::Object(map), Some(lang)) = (&mut document, &advisory.common().lang) {
        map.insert("lang".to_owned(), json!(lang));
    }
    let references = references(&advisory.common().external_references, &mut ledger, &id);
    if let (Value::Object(map), false) = (&mut document, references.is_empty()) {
        map.insert("references".to_owned(), Value::Array(references));
    }
    let value = json!({
        "document": document,
        "product_tree": { "branches": products.tree() },
        "vulnerabilities": vulnerabilities,
    });
    // Section 5.1: the file's name follows from the tracking id.
    let name: String = tracking_id
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-') { c } else { '_' })
        .collect();
    export(format!("{name}.json"), &value, ledger, Vec::new())
}

/// CSAF 2.0 knows the labels of TLP 1.0.
fn distribution(tlp: Tlp) -> Value {
    let label = match tlp {
        Tlp::Clear => "WHITE",
        Tlp::Green => "GREEN",
        Tlp::Amber | Tlp::AmberStrict => "AMBER",
        Tlp::Red => "RED",
    };
    json!({ "text": tlp.label(), "tlp": { "label": label, "url": "https://www.first.org/tlp/" } })
}

fn vulnerability(
    flaw: &Flaw,
    mitigations: &[Mitigation],
    products: &mut Products,
    ledger: &mut Ledger,
) -> Value {
    let id = flaw.common().id().to_string();
    let ai = &flaw.extensions.ai;
    ledger.add(&id, flaw);
    ledger.carried_all(
        &id,
        &[
            "name",
            "description",
            "lang",
            "created",
            "modified",
            "ai.affected",
            "ai.attack_success",
            "ai.transfer",
        ],
    );
    let ids: Vec<String> = ai.affected.iter().map(|affected| products.id(affected)).collect();
    let mut notes = vec![json!({
        "category": "description",
        "title": flaw.name,
        "text": flaw.description.as_deref().unwrap_or(&flaw.name),
    })];
    let mut other = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            notes.push(json!({ "category": "other", "title": title, "text": lines.join("\n") }));
        }
    };
    let of = |technique: &Option<String>| technique.as_ref().map(|of| format!("{of}: ")).unwrap_or_default();
    other(
        "Attack success rate",
        ai.attack_success.iter().map(|rate| format!("{}{rate}", of(&rate.technique))).collect(),
    );
    other(
        "Transfer to other models",
        ai.transfer
            .iter()
            .map(|transfer| {
                format!("{}: {}{}", label(&transfer.to), of(&transfer.success.technique), transfer.success)
            })
            .collect(),
    );
    other("When it is affected", ai.affected.iter().filter_map(window).collect());
    let mut value = json!({
        "title": flaw.name,
        "notes": notes,
        "product_status": { "known_affected": ids },
        "ids": [{ "system_name": "STIX 2.1", "text": id }],
    });
    let Value::Object(map) = &mut value else { return value };
    let remediations: Vec<Value> = mitigations
        .iter()
        .map(|mitigation| {
            let details = match &mitigation.description {
                Some(description) => format!("{}: {description}", mitigation.name),
                None => mitigation.name.clone(),
            };
            json!({ "category": "mitigation", "details": details, "product_ids": ids })
        })
        .collect();
    if !remediations.is_empty() {
        map.insert("remediations".to_owned(), Value::Array(remediations));
    }
    let cve = flaw.common().external_references.iter().find_map(|reference| {
        let id = reference.external_id.as_deref().filter(|_| reference.source_name == "cve")?;
        is_cve(id).then_some(id)
    });
    if let Some(cve) = cve {
        map.insert("cve".to_owned(), json!(cve));
    }
    let references = references(&flaw.common().external_references, ledger, &id);
    if !references.is_empty() {
        map.insert("references".to_owned(), Value::Array(references));
    }
    value
}

fn is_cve(id: &str) -> bool {
    let mut parts = id.split('-');
    let digits = |part: Option<&str>, least: usize| {
        part.is_some_and(|part| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts.next() == Some("CVE")
        && digits(parts.next(), 4)
        && digits(parts.next(), 4)
        && parts.next().is_none()
}

fn references(references: &[crate::types::Reference], ledger: &mut Ledger, id: &str) -> Vec<Value> {
    let with_url = references.iter().filter_map(|reference| Some((reference, reference.url.as_ref()?)));
    let list: Vec<Value> = with_url
        .map(|(reference, url)| {
            let words = [
                Some(&reference.source_name),
                reference.external_id.as_ref(),
                reference.description.as_ref(),
            ];
            let summary = words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(": ");
            json!({ "category": "external", "summary": summary, "url": url })
        })
        .collect();
    // What has no URL is carried only if it is the CVE.
    if references.iter().all(|reference| reference.url.is_some() || reference.source_name == "cve") {
        for part in ["url", "source_name", "external_id", "description"] {
            ledger.carried(id, &format!("external_references.{part}"));
        }
    }
    list
}

fn window(affected: &Affected) -> Option<String> {
    let when = match (affected.valid_from, affected.valid_until) {
        (None, None) => return None,
        (Some(from), None) => format!("from {from} on"),
        (None, Some(until)) => format!("until {until}"),
        (Some(from), Some(until)) => format!("from {from} until {until}"),
    };
    Some(format!("{}: {when}", label(affected)))
}

fn label(affected: &Affected) -> String {
    let words = [&affected.vendor, &affected.model, &affected.version];
    let mut label = words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    if let Some(endpoint) = &affected.endpoint {
        label = if label.is_empty() { endpoint.clone() } else { format!("{label} at {endpoint}") };
    }
    label
}

/// The products, each with its id, once.
#[derive(Default)]
struct Products(Vec<(Affected, String)>);

impl Products {
    fn id(&mut self, affected: &Affected) -> String {
        let key = Affected { valid_from: None, valid_until: None, ..affected.clone() };
        if let Some((_, id)) = self.0.iter().find(|(known, _)| *known == key) {
            return id.clone();
        }
        let id = format!("OSTROM-{:04}", self.0.len().saturating_add(1));
        self.0.push((key, id.clone()));
        id
    }

    /// Vendors, their products, and the versions of these.
    fn tree(&self) -> Vec<Value> {
        let mut vendors: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
        for (affected, id) in &self.0 {
            let vendor = affected.vendor.as_deref().unwrap_or("unknown vendor");
            let product =
                affected.model.as_deref().or(affected.endpoint.as_deref()).unwrap_or("all products");
            let version = affected.version.as_deref().unwrap_or("all versions");
            let mut leaf = json!({ "product_id": id, "name": label(affected) });
            if let (Value::Object(map), Some(digest)) = (&mut leaf, affected.weights_sha256) {
                let hash = json!({ "algorithm": "sha256", "value": digest });
                let helper = json!({ "hashes": [{ "file_hashes": [hash], "filename": "weights" }] });
                map.insert("product_identification_helper".to_owned(), helper);
            }
            let category = if is_range(affected.version.as_deref()) {
                "product_version_range"
            } else {
                "product_version"
            };
            let branch = json!({ "category": category, "name": version, "product": leaf });
            vendors.entry(vendor).or_default().entry(product).or_default().push(branch);
        }
        let product = |(name, versions): (&str, Vec<Value>)| json!({ "category": "product_name", "name": name, "branches": versions });
        vendors
            .into_iter()
            .map(|(name, products)| {
                let branches: Vec<Value> = products.into_iter().map(product).collect();
                json!({ "category": "vendor", "name": name, "branches": branches })
            })
            .collect()
    }
}

/// Whether a version is in truth a range (the words of test 6.1.31).
fn is_range(version: Option<&str>) -> bool {
    let Some(version) = version else { return true };
    let lower = version.to_lowercase();
    let signs = ['<', '>', '=', '*', ' '];
    signs.iter().any(|sign| lower.contains(*sign))
        || ["after", "all", "before", "earlier", "later", "prior", "versions"]
            .iter()
            .any(|word| lower.contains(word))
}
