//! OSV records (OSV schema 1.6), where they fit: OSV is about packages of ecosystems, so a flaw must name one by its package URL
//! (an external reference of the source `purl`). A hosted model, or weights that are in no package manager, do not fit.

use serde_json::{Value, json};

use super::{Export, ExportError, Ledger, export};
use crate::types::{Flaw, Reference, Shared as _};

const WHY: &[(&str, &str)] = &[
    ("object_marking_refs", "OSV records are public and carry no marks: export only what may be published"),
    ("confidence", "OSV has no place for how sure one is"),
];

/// The ecosystems of OSV by the type of their package URLs.
const ECOSYSTEMS: [(&str, &str); 8] = [
    ("pypi", "PyPI"),
    ("npm", "npm"),
    ("cargo", "crates.io"),
    ("golang", "Go"),
    ("maven", "Maven"),
    ("nuget", "NuGet"),
    ("gem", "RubyGems"),
    ("composer", "Packagist"),
];

/// The record of a flaw.
///
/// # Errors
/// If the flaw names no package of an ecosystem that OSV knows.
pub fn osv(flaw: &Flaw) -> Result<Export, ExportError> {
    let common = flaw.common();
    let id = common.id().to_string();
    let packages: Vec<Value> = common.external_references.iter().filter_map(package).collect();
    if packages.is_empty() {
        let why =
            "it is about packages of package managers, and this flaw names none (an external reference \
                   `purl` such as pkg:pypi/transformers@4.40.0); models and services have no place in it"
                .to_owned();
        return Err(ExportError::DoesNotFit { form: "an OSV record", why });
    }
    let mut ledger = Ledger::new(WHY);
    ledger.add(&id, flaw);
    let aliases: Vec<&str> = common
        .external_references
        .iter()
        .filter(|reference| matches!(reference.source_name.as_str(), "cve" | "ghsa"))
        .filter_map(|reference| reference.external_id.as_deref())
        .collect();
    let references: Vec<Value> = common
        .external_references
        .iter()
        .filter_map(|reference| Some(json!({ "type": "WEB", "url": reference.url.as_ref()? })))
        .collect();
    let mut record = json!({
        "schema_version": "1.6.0",
        "id": format!("OSTROM-{}", common.id().uuid()),
        "modified": common.modified,
        "published": common.created,
        "aliases": aliases,
        "summary": flaw.name,
        "details": flaw.description.as_deref().unwrap_or(&flaw.name),
        "affected": packages,
        "references": references,
        // What OSV has no place for, as it is in STIX.
        "database_specific": { "stix_id": id, "ostrom_ai": flaw.extensions.ai, "labels": common.labels },
    });
    if let (Value::Object(map), true) = (&mut record, common.revoked) {
        map.insert("withdrawn".to_owned(), json!(common.modified));
    }
    ledger.carried_all(&id, &["name", "description", "created", "modified", "revoked", "labels", "ai"]);
    let whole = |reference: &Reference| {
        reference.url.is_some() || matches!(reference.source_name.as_str(), "purl" | "cve" | "ghsa")
    };
    if common.external_references.iter().all(whole) {
        for part in ["url", "source_name", "external_id"] {
            ledger.carried(&id, &format!("external_references.{part}"));
        }
    }
    let missing =
        vec!["an identifier of a database that OSV knows: OSTROM is no registered prefix".to_owned()];
    export(format!("OSTROM-{}.json", common.id().uuid()), &record, ledger, missing)
}

/// `pkg:TYPE/NAME@VERSION`, with the namespace in the name as the ecosystem writes it.
fn package(reference: &Reference) -> Option<Value> {
    let purl = reference.external_id.as_deref().filter(|_| reference.source_name == "purl")?;
    let (kind, rest) = purl.strip_prefix("pkg:")?.split_once('/')?;
    let (_, ecosystem) = ECOSYSTEMS.iter().find(|(known, _)| *known == kind)?;
    let rest = rest.split(['?', '#']).next()?;
    let (name, version) = match rest.rsplit_once('@') {
        Some((name, version)) if !name.is_empty() => (name, Some(version)),
        _ => (rest, None),
    };
    let name = name.replace("%40", "@");
    let name = if kind == "maven" { name.replacen('/', ":", 1) } else { name };
    if name.is_empty() {
        return None;
    }
    let bare = purl.split(['?', '#', '@']).next().filter(|_| version.is_some()).unwrap_or(purl);
    let mut value = json!({ "package": { "ecosystem": ecosystem, "name": name, "purl": bare } });
    if let Value::Object(map) = &mut value {
        match version {
            Some(version) => map.insert("versions".to_owned(), json!([version])),
            // Every version, as far as anybody knows.
            None => map.insert(
                "ranges".to_owned(),
                json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }]),
            ),
        };
    }
    Some(value)
}
