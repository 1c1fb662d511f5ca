//! A passport as a CycloneDX 1.6 bill of materials (ML-BOM).

use ostrom_core::Digest;
use ostrom_trust::digest_of;
use serde_json::{Map, Value, json};

use super::{FILE_NAME, Kind, Passport, PassportError};
use crate::lineage::{Licence, Relation};

/// SPDX's spelling of the licence ids that model cards use. Others are given as names.
const SPDX: [(&str, &str); 26] = [
    ("afl-3.0", "AFL-3.0"),
    ("agpl-3.0", "AGPL-3.0-only"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic-2.0", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-3-clause-clear", "BSD-3-Clause-Clear"),
    ("bsl-1.0", "BSL-1.0"),
    ("cc-by-2.0", "CC-BY-2.0"),
    ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
    ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
    ("cc-by-nd-4.0", "CC-BY-ND-4.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("isc", "ISC"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("mit", "MIT"),
    ("mpl-2.0", "MPL-2.0"),
    ("unlicense", "Unlicense"),
    ("wtfpl", "WTFPL"),
];

fn property(name: &str, value: impl Into<String>) -> Value {
    json!({"name": format!("ostrom:{name}"), "value": value.into()})
}

fn hashes(digest: Digest) -> Value {
    json!([{"alg": "SHA-256", "content": digest.to_string()}])
}

/// An address that is surely a valid IRI reference; claims may hold anything.
fn safe_url(url: Option<&str>) -> Option<&str> {
    url.filter(|url| {
        (url.starts_with("https://") || url.starts_with("http://"))
            && url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&()*+,;=".contains(&b))
            && url.matches('#').count() <= 1
    })
}

fn licence(licence: &Licence) -> Value {
    let lower = licence.name.to_ascii_lowercase();
    let mut out = Map::new();
    match SPDX.iter().find(|(id, _)| *id == lower) {
        Some((_, spdx)) => out.insert("id".to_owned(), (*spdx).into()),
        None => out.insert("name".to_owned(), licence.name.as_str().into()),
    };
    out.insert("acknowledgement".to_owned(), "declared".into());
    if let Some(url) = safe_url(licence.url.as_deref()) {
        out.insert("url".to_owned(), url.into());
    }
    json!({"license": out})
}

/// RFC 3339, in UTC. Days to dates after Hinnant, "chrono-compatible low-level date algorithms".
fn timestamp(unix: u64) -> String {
    // Year 9999 is as far as four digits go.
    let unix = unix.min(253_402_300_799);
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A UUID (version 8, RFC 9562) of the digest's first bits.
fn serial_number(digest: Digest) -> String {
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    let mut value = u128::from_be_bytes(bytes);
    value = value & !(0xf << 76) | 8 << 76;
    value = value & !(3 << 62) | 2 << 62;
    let hex = format!("{value:032x}");
    let mut out = "urn:uuid:".to_owned();
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// The bill of materials. The same passport gives the same one; its serial number is derived from the statement's digest.
///
/// # Errors
/// Never in practice: a passport always has canonical JSON.
pub fn cyclonedx(passport: &Passport) -> Result<Value, PassportError> {
    let statement = passport.to_statement()?;
    // INVARIANT: a statement made of strings, numbers and digests has canonical JSON.
    let serial = digest_of(&statement).unwrap_or(passport.digest);
    let reference = format!("sha256:{}", passport.digest);
    let data_sets: Vec<Value> = data_sets(passport);
    let data_references: Vec<Value> =
        data_sets.iter().filter_map(|set| Some(json!({"ref": set.get("bom-ref")?}))).collect();
    let mut components: Vec<Value> = Vec::new();
    if passport.kind == Kind::Folder {
        components.extend(passport.files.iter().enumerate().map(|(index, file)| {
            let mut properties = vec![property("size", file.size.to_string())];
            properties.extend(file.formats.iter().map(|format| property("format", format.as_str())));
            json!({
                "type": "file", "bom-ref": format!("file:{index}"), "name": file.path,
                "hashes": hashes(file.sha256), "properties": properties,
            })
        }));
    }
    components.extend(data_sets);
    let depends: Vec<&Value> = components.iter().filter_map(|component| component.get("bom-ref")).collect();
    let dependencies = json!([{"ref": reference, "dependsOn": depends}]);
    let (tool, version) = passport.tool.rsplit_once(' ').unwrap_or((&passport.tool, ""));
    let mut tool = json!({"type": "application", "name": tool});
    if let (Some(tool), false) = (tool.as_object_mut(), version.is_empty()) {
        tool.insert("version".to_owned(), version.into());
    }
    let model = model(passport, &reference, &data_references);
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(serial),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(passport.created_unix),
            "tools": {"components": [tool]},
            "component": model,
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn model(passport: &Passport, reference: &str, data: &[Value]) -> Value {
    let mut properties = vec![property(
        "digest-method",
        match passport.kind {
            Kind::Folder => "SHA-256 of the RFC 8785 JSON of the sorted list of path and sha256 of all files",
            Kind::File => "SHA-256 of the file",
        },
    )];
    if let Some(scan) = &passport.scan {
        properties.push(property("scan:scanner", scan.scanner.as_str()));
        properties.push(property("scan:rules", scan.rules.to_string()));
        properties.push(property("scan:everything-examined", scan.everything_examined.to_string()));
        properties.extend(
            scan.findings
                .iter()
                .map(|(severity, count)| property(&format!("scan:findings:{severity}"), count.to_string())),
        );
    }
    properties.extend(passport.signatures.iter().map(|seen| {
        let state = match (seen.verified, seen.not_covered.len()) {
            (false, _) => "not verified".to_owned(),
            (true, 0) => "verified".to_owned(),
            (true, count) => format!("verified, but {count} files are not covered"),
        };
        property("signature", format!("{} {} by {}: {state}", seen.kind, seen.file, seen.signer))
    }));
    let mut out = json!({
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": passport.name,
        "hashes": hashes(passport.digest),
        "modelCard": {"modelParameters": {"datasets": data}},
        "externalReferences": [{"type": "attestation", "url": FILE_NAME, "comment": "the signed passport"}],
        "properties": properties,
    });
    if let Some(out) = out.as_object_mut() {
        if !passport.licences.is_empty() {
            out.insert("licenses".to_owned(), passport.licences.iter().map(licence).collect());
        }
        let ancestors = ancestors(passport);
        if !ancestors.is_empty() {
            out.insert("pedigree".to_owned(), json!({"ancestors": ancestors}));
        }
    }
    out
}

fn ancestors(passport: &Passport) -> Vec<Value> {
    let recorded = passport.recorded_parents.iter().filter(|parent| parent.relation != Relation::TrainedOn);
    let mut out: Vec<Value> = recorded
        .enumerate()
        .map(|(index, parent)| {
            json!({
                "type": "machine-learning-model", "bom-ref": format!("parent:recorded:{index}"), "name": parent.name,
                "hashes": hashes(parent.sha256),
                "properties": [
                    property("relation", parent.relation.name()),
                    property("basis", parent.basis.describe()),
                    property("trusted", parent.trusted.to_string()),
                ],
            })
        })
        .collect();
    out.extend(passport.claimed_parents.iter().enumerate().map(|(index, parent)| {
        let mut properties = vec![property("basis", parent.basis().describe())];
        properties.extend(parent.relation.map(|relation| property("relation", relation.name())));
        let mut component = json!({
            "type": "machine-learning-model", "bom-ref": format!("parent:claimed:{index}"), "name": parent.name,
            "properties": properties,
        });
        if let Some(component) = component.as_object_mut() {
            if let Some(digest) = parent.digest {
                component.insert("hashes".to_owned(), hashes(digest));
            }
            if let Some(revision) = &parent.revision {
                component.insert("version".to_owned(), revision.as_str().into());
            }
            if let Some(url) = safe_url(parent.url.as_deref()) {
                let references = json!([{"type": "website", "url": url}]);
                component.insert("externalReferences".to_owned(), references);
            }
        }
        component
    }));
    out
}

fn data_sets(passport: &Passport) -> Vec<Value> {
    let recorded = passport.recorded_parents.iter().filter(|parent| parent.relation == Relation::TrainedOn);
    let mut out: Vec<Value> = recorded
        .enumerate()
        .map(|(index, parent)| {
            json!({
                "type": "data", "bom-ref": format!("data:recorded:{index}"), "name": parent.name,
                "hashes": hashes(parent.sha256),
                "data": [{"type": "dataset", "name": parent.name}],
                "properties": [property("basis", parent.basis.describe()), property("trusted", parent.trusted.to_string())],
            })
        })
        .collect();
    out.extend(passport.data_sets.iter().enumerate().map(|(index, set)| {
        let mut data = json!({"type": "dataset", "name": set.name});
        if let (Some(data), Some(url)) = (data.as_object_mut(), safe_url(set.url.as_deref())) {
            data.insert("contents".to_owned(), json!({"url": url}));
        }
        json!({
            "type": "data", "bom-ref": format!("data:claimed:{index}"), "name": set.name, "data": [data],
            "properties": [property("basis", format!("claimed in {}", set.source))],
        })
    }));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(unix), text);
        }
    }

    #[test]
    fn serial_numbers_are_uuids_of_version_8() {
        let serial = serial_number(Digest::from_bytes([0xff; 32]));
        assert_eq!(serial, "urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff");
    }

    #[test]
    fn only_sound_addresses_pass() {
        assert!(safe_url(Some("https://example.org/a?b=c#d")).is_some());
        for bad in ["javascript:alert(1)", "https://a b", "https://a/%zz", "https://a#b#c", "ftp://a"] {
            assert!(safe_url(Some(bad)).is_none(), "{bad}");
        }
    }
}
