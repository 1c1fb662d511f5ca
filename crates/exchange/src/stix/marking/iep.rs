//! FIRST's Information Exchange Policy, in the three shapes in which it comes.

use ostrom_core::Timestamp;
use ostrom_core::handling::{Iep, Obligation, Tlp};
use serde_json::{Map, Value};

/// What a reader of version 2.0 may meet besides the statements that count.
const KNOWN: [&str; 16] = [
    "extension_type",
    "encrypt_in_transit",
    "permitted_actions",
    "affected_party_notifications",
    "tlp",
    "provider_attribution",
    "attribution",
    "unmodified_resale",
    "iep_id",
    "iep_version",
    "id",
    "version",
    "name",
    "description",
    "start_date",
    "end_date",
];

/// Reads a policy of version 2.0: the properties of OASIS's extension, or a `definition` with the same names.
///
/// # Errors
/// A text that says what is not understood.
pub fn version_2(map: &Map<String, Value>, name: Option<&str>) -> Result<(Tlp, Iep), String> {
    if let Some(unknown) =
        map.keys().find(|key| !KNOWN.contains(&key.as_str()) && *key != "external_references")
    {
        return Err(format!("an exchange policy with {:?}", short(unknown)));
    }
    for key in ["iep_version", "version"] {
        let fine = match map.get(key) {
            None => true,
            Some(Value::Number(number)) => number.as_f64() == Some(2.0),
            Some(value) => matches!(value.as_str(), Some("2" | "2.0")),
        };
        if !fine {
            return Err("an exchange policy that is not version 2.0".to_owned());
        }
    }
    let iep = Iep {
        name: text(map, "name").or(name).or_else(|| text(map, "description")).unwrap_or("IEP 2.0").to_owned(),
        start: time(map, "start_date")?,
        end: time(map, "end_date")?,
        encrypt_in_transit: obligation(map, "encrypt_in_transit", &[Obligation::Must, Obligation::May])?,
        permitted_actions: actions(map)?,
        affected_party_notifications: obligation(
            map,
            "affected_party_notifications",
            &[Obligation::May, Obligation::MustNot],
        )?,
        attribution: obligation(
            map,
            if map.contains_key("provider_attribution") { "provider_attribution" } else { "attribution" },
            &[Obligation::May, Obligation::Must, Obligation::MustNot],
        )?,
        unmodified_resale: obligation(map, "unmodified_resale", &[Obligation::May, Obligation::MustNot])?,
    };
    Ok((tlp(map, "tlp")?, iep))
}

/// Reads a policy of version 1.0. What it asks for beyond version 2.0 (encryption at rest, hiding affected parties) cannot be
/// kept: a policy that insists on it is not understood.
///
/// # Errors
/// A text that says what is not understood.
pub fn version_1(map: &Map<String, Value>) -> Result<(Tlp, Iep), String> {
    let known = [
        "policy_id",
        "policy_version",
        "policy_name",
        "policy_description",
        "policy_start_date",
        "policy_end_date",
        "policy_tlp",
        "policy_url",
        "external_references",
        "encrypt_in_transit",
        "encrypt_at_rest",
        "permitted_actions",
        "affected_party_notifications",
        "tlp",
        "provider_attribution",
        "attribution",
        "obfuscate_affected_parties",
        "unmodified_resale",
    ];
    if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("an exchange policy with {:?}", short(unknown)));
    }
    for name in ["encrypt_at_rest", "obfuscate_affected_parties"] {
        if map.contains_key(name) && obligation(map, name, &[Obligation::May, Obligation::MustNot]).is_err() {
            return Err(format!("an exchange policy that insists on {name}"));
        }
    }
    let or_may = |name: &str, allowed: &[Obligation]| {
        if map.contains_key(name) { obligation(map, name, allowed) } else { Ok(Obligation::May) }
    };
    let attribution =
        if map.contains_key("provider_attribution") { "provider_attribution" } else { "attribution" };
    let iep = Iep {
        name: text(map, "policy_name").unwrap_or("IEP 1.0").to_owned(),
        start: time(map, "policy_start_date")?,
        end: time(map, "policy_end_date")?,
        encrypt_in_transit: or_may("encrypt_in_transit", &[Obligation::Must, Obligation::May])?,
        permitted_actions: actions(map)?,
        affected_party_notifications: or_may(
            "affected_party_notifications",
            &[Obligation::May, Obligation::MustNot],
        )?,
        attribution: or_may(attribution, &[Obligation::May, Obligation::Must, Obligation::MustNot])?,
        unmodified_resale: or_may("unmodified_resale", &[Obligation::May, Obligation::MustNot])?,
    };
    Ok((tlp(map, if map.contains_key("policy_tlp") { "policy_tlp" } else { "tlp" })?, iep))
}

/// The properties of OASIS's extension.
pub fn extension(tlp: Tlp, iep: &Iep, id: &str) -> Option<Value> {
    // The extension knows TLP 1.0 only.
    let tlp = match tlp {
        Tlp::Clear => "white",
        Tlp::AmberStrict => return None,
        other => other.name(),
    };
    let word = |obligation: Obligation| match obligation {
        Obligation::Must => "must",
        Obligation::MustNot => "must-not",
        Obligation::May => "may",
    };
    let mut value = serde_json::json!({
        "extension_type": "property-extension",
        "encrypt_in_transit": word(iep.encrypt_in_transit),
        "permitted_actions": iep.permitted_actions,
        "affected_party_notifications": word(iep.affected_party_notifications),
        "tlp": tlp,
        "provider_attribution": word(iep.attribution),
        "unmodified_resale": word(iep.unmodified_resale),
        "iep_id": id,
        "iep_version": 2.0,
        "name": iep.name,
        "description": iep.name,
    });
    if let Value::Object(map) = &mut value {
        for (name, time) in [("start_date", iep.start), ("end_date", iep.end)] {
            if let Some(time) = time {
                map.insert(name.to_owned(), Value::String(time.to_string()));
            }
        }
    }
    Some(value)
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name)?.as_str()
}

/// `MUST NOT`, `must-not` and `must_not` are the same word.
fn word(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace([' ', '_'], "-")
}

fn obligation(map: &Map<String, Value>, name: &str, allowed: &[Obligation]) -> Result<Obligation, String> {
    let found = match text(map, name).map(word).as_deref() {
        Some("must") => Some(Obligation::Must),
        Some("must-not") => Some(Obligation::MustNot),
        Some("may") => Some(Obligation::May),
        _ => None,
    };
    found
        .filter(|found| allowed.contains(found))
        .ok_or_else(|| format!("an exchange policy whose {name} is not known"))
}

fn actions(map: &Map<String, Value>) -> Result<String, String> {
    let known = [
        "none",
        "contact-for-instruction",
        "internally-visible-actions",
        "externally-visible-indirect-actions",
        "externally-visible-direct-actions",
    ];
    let found = text(map, "permitted_actions").map(word);
    found
        .filter(|found| known.contains(&found.as_str()))
        .ok_or_else(|| "an exchange policy whose permitted_actions are not known".to_owned())
}

fn tlp(map: &Map<String, Value>, name: &str) -> Result<Tlp, String> {
    let found =
        text(map, name).and_then(|text| word(text).replace("amber-strict", "amber+strict").parse().ok());
    found.ok_or_else(|| "an exchange policy without a mark of TLP".to_owned())
}

fn time(map: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, String> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(|text| text.parse().ok()) {
            Some(time) => Ok(Some(time)),
            None => Err(format!("an exchange policy whose {name} is no time")),
        },
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
