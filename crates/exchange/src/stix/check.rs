//! Does an object follow the specification?

use std::fmt;

use ostrom_core::{ObjectId, Timestamp};
use serde_json::{Map, Value};

use super::kinds::{self, Class, Holds};
use super::object::{Object, SpecVersion};

/// Where an object departs from the specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    path: String,
    what: String,
}

impl Defect {
    fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }

    /// Which property, `external_references[0].url`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// No more defects than these are gathered.
const MOST: usize = 50;
/// Words that STIX 2.1's schemas forbid as properties of an object.
const FORBIDDEN: [&str; 4] = ["severity", "action", "username", "phone_numbers"];
const EXTENSION_TYPES: [&str; 5] =
    ["new-sdo", "new-sco", "new-sro", "property-extension", "toplevel-property-extension"];

/// Where `object` departs from STIX 2.1 (or, if it says so, 2.0, of which only what is common to all objects is looked at). Open
/// vocabularies are not enforced, patterns not parsed. Empty: valid. At most 50 are told.
pub fn check(object: &Object) -> Vec<Defect> {
    let mut found = Checker { defects: Vec::new() };
    found.object(object);
    found.defects.truncate(MOST);
    found.defects
}

struct Checker {
    defects: Vec<Defect>,
}

impl Checker {
    fn add(&mut self, path: impl Into<String>, what: impl Into<String>) {
        if self.defects.len() < MOST {
            self.defects.push(Defect::new(path, what));
        }
    }

    fn object(&mut self, object: &Object) {
        let map = object.map();
        let facts = object.facts();
        let kind = kinds::find(object.kind());
        let class = kind.map_or(Class::Custom, |kind| kind.class);
        let is_new = facts.spec_version == SpecVersion::V21;
        self.id("id", facts.id.as_str());
        for (key, value) in map {
            self.name(key);
            self.not_empty(key, value, 0);
            if is_new && class != Class::Marking && FORBIDDEN.contains(&key.as_str()) {
                self.add(key, "this name is reserved: no object may have it");
            }
        }
        self.common(map, class);
        match class {
            Class::Versioned => self.times(map, true, true, is_new),
            Class::Marking => self.times(map, true, false, false),
            Class::Custom if map.contains_key("created") => self.times(map, true, true, is_new),
            Class::Observable | Class::Custom => {}
        }
        if let Some(kind) = kind.filter(|_| is_new) {
            self.kind(map, kind);
            if matches!(class, Class::Versioned | Class::Marking) && !map.contains_key("spec_version") {
                self.add("spec_version", "is missing");
            }
        }
        if class == Class::Marking {
            self.marking(map);
        }
    }

    fn kind(&mut self, map: &Map<String, Value>, kind: &kinds::Kind) {
        for name in kind.required {
            if !map.contains_key(*name) {
                self.add(*name, "is missing");
            }
        }
        if !kind.any_of.is_empty() && !kind.any_of.iter().any(|name| map.contains_key(*name)) {
            self.add(kind.any_of.first().copied().unwrap_or_default(), {
                let names: Vec<&str> = kind.any_of.iter().copied().take(4).collect();
                format!("at least one of these must be there: {}", names.join(", "))
            });
        }
        for (name, holds) in kind.properties {
            if let Some(value) = map.get(*name) {
                self.holds(name, value, *holds);
            }
        }
        for (first, second) in kind.order {
            if let (Some(a), Some(b)) = (time(map.get(*first)), time(map.get(*second)))
                && a > b
            {
                self.add(*second, format!("is earlier than {first}"));
            }
        }
        match kind.name {
            "location" => self.location(map),
            "extension-definition" => {
                let types = map.get("extension_types").and_then(Value::as_array).into_iter().flatten();
                if !types.filter_map(Value::as_str).all(|kind| EXTENSION_TYPES.contains(&kind)) {
                    self.add("extension_types", format!("must be of {}", EXTENSION_TYPES.join(", ")));
                }
            }
            "malware" if map.get("is_family") == Some(&Value::Bool(true)) && !map.contains_key("name") => {
                self.add("name", "is missing: a family of malware has one");
            }
            "relationship" => {
                let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let text = map.get("relationship_type").and_then(Value::as_str);
                if text.is_some_and(|text| text.is_empty() || !text.bytes().all(fine)) {
                    self.add("relationship_type", "is written with a-z, 0-9 and -");
                }
            }
            _ => {}
        }
    }

    fn location(&mut self, map: &Map<String, Value>) {
        let has = |name| map.contains_key(name);
        if has("latitude") != has("longitude") {
            self.add("latitude", "latitude and longitude go together");
        }
        if has("precision") && !has("latitude") {
            self.add("precision", "needs latitude and longitude");
        }
        if !["region", "country", "latitude"].into_iter().any(has) {
            self.add(
                "region",
                "at least one of these must be there: region, country, latitude and longitude",
            );
        }
    }

    fn marking(&mut self, map: &Map<String, Value>) {
        if map.contains_key("definition") != map.contains_key("definition_type") {
            self.add("definition", "definition and definition_type go together");
        }
        if map.get("definition_type").and_then(Value::as_str) == Some("statement")
            && !map.get("definition").and_then(|d| d.get("statement")).is_some_and(Value::is_string)
        {
            self.add("definition.statement", "is missing");
        }
        let tlp = map.get("definition_type").and_then(Value::as_str) == Some("tlp");
        let id = map.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        if tlp && id.is_none_or(|id| super::marking::fixed_tlp(&id).is_none()) {
            self.add("id", "marks of TLP have fixed ids");
        }
        for name in ["modified", "revoked", "labels", "confidence"] {
            if map.contains_key(name) {
                self.add(name, "a marking definition has none");
            }
        }
    }

    /// Common properties (section 3.2).
    fn common(&mut self, map: &Map<String, Value>, class: Class) {
        // What is common to one class is nobody's business in another.
        let of_class: &[(&str, Holds)] = match class {
            Class::Observable => &[("defanged", Holds::Flag)],
            Class::Versioned | Class::Marking | Class::Custom => &[
                ("created_by_ref", Holds::Ref(&["identity"])),
                ("revoked", Holds::Flag),
                ("labels", Holds::Texts),
                ("confidence", Holds::Integer(0, 100)),
                ("lang", Holds::Language),
            ],
        };
        for (name, holds) in
            [("object_marking_refs", Holds::Refs(&["marking-definition"]))].iter().chain(of_class)
        {
            if let Some(value) = map.get(*name) {
                self.holds(name, value, *holds);
            }
        }
        if let Some(value) = map.get("external_references") {
            self.each("external_references", value, Self::external_reference);
        }
        if let Some(value) = map.get("granular_markings") {
            self.each("granular_markings", value, Self::granular);
        }
        if let Some(value) = map.get("extensions") {
            self.extensions(value);
        }
    }

    fn times(&mut self, map: &Map<String, Value>, created: bool, modified: bool, millis: bool) {
        for (name, wanted) in [("created", created), ("modified", modified)] {
            match map.get(name) {
                None if wanted => self.add(name, "is missing"),
                None => {}
                Some(value) => {
                    self.holds(name, value, Holds::Time);
                    if millis && value.as_str().is_some_and(|text| !has_millis(text)) {
                        self.add(name, "needs at least three digits after the seconds' point");
                    }
                }
            }
        }
        if let (Some(a), Some(b)) = (time(map.get("created")), time(map.get("modified")))
            && a > b
        {
            self.add("modified", "is earlier than created");
        }
    }

    fn each(&mut self, path: &str, value: &Value, look: fn(&mut Self, &str, &Map<String, Value>)) {
        let Some(list) = value.as_array() else {
            self.add(path, "must be a list");
            return;
        };
        for (index, value) in list.iter().enumerate().take(MOST * 20) {
            let path = format!("{path}[{index}]");
            match value.as_object() {
                Some(map) => look(self, &path, map),
                None => self.add(path, "must be a dictionary"),
            }
        }
    }

    fn external_reference(&mut self, path: &str, map: &Map<String, Value>) {
        let source = map.get("source_name").and_then(Value::as_str);
        if source.is_none_or(str::is_empty) {
            self.add(format!("{path}.source_name"), "is missing");
        }
        if !["description", "url", "external_id"].into_iter().any(|name| map.contains_key(name)) {
            self.add(path, "at least one of these must be there: description, url, external_id");
        }
        for (name, holds) in [
            ("description", Holds::Text),
            ("external_id", Holds::Text),
            ("url", Holds::Url),
            ("hashes", Holds::Hashes),
        ] {
            if let Some(value) = map.get(name) {
                self.holds(&format!("{path}.{name}"), value, holds);
            }
        }
        let id = map.get("external_id").and_then(Value::as_str);
        match source {
            Some("cve") if !id.is_some_and(is_cve) => {
                self.add(format!("{path}.external_id"), "is not a CVE id")
            }
            Some("capec") if !id.is_some_and(|id| id.strip_prefix("CAPEC-").is_some_and(all_digits)) => {
                self.add(format!("{path}.external_id"), "is not a CAPEC id");
            }
            Some("cve" | "capec") => {}
            _ if id.is_some_and(is_cve) => {
                self.add(format!("{path}.source_name"), "must be cve for a CVE id")
            }
            _ => {}
        }
    }

    fn granular(&mut self, path: &str, map: &Map<String, Value>) {
        match map.get("selectors") {
            Some(value) => self.holds(&format!("{path}.selectors"), value, Holds::Texts),
            None => self.add(format!("{path}.selectors"), "is missing"),
        }
        match (map.get("marking_ref"), map.get("lang")) {
            (Some(mark), None) => {
                self.holds(&format!("{path}.marking_ref"), mark, Holds::Ref(&["marking-definition"]));
            }
            (None, Some(lang)) => self.holds(&format!("{path}.lang"), lang, Holds::Language),
            _ => self.add(path, "exactly one of marking_ref and lang must be there"),
        }
    }

    fn extensions(&mut self, value: &Value) {
        let Some(map) = value.as_object().filter(|map| !map.is_empty()) else {
            self.add("extensions", "must be a dictionary that is not empty");
            return;
        };
        for (key, value) in map {
            let path = format!("extensions.{}", short(key));
            let Some(inner) = value.as_object().filter(|inner| !inner.is_empty()) else {
                self.add(path, "must be a dictionary that is not empty");
                continue;
            };
            if key.starts_with("extension-definition--") {
                self.id(&path, key);
                match inner.get("extension_type") {
                    Some(Value::String(kind)) if EXTENSION_TYPES.contains(&kind.as_str()) => {}
                    Some(_) => self.add(format!("{path}.extension_type"), "is not a type of extension"),
                    None => self.add(format!("{path}.extension_type"), "is missing"),
                }
            } else if !key.ends_with("-ext") {
                self.add(path, "is neither the id of an extension definition nor a name that ends in -ext");
            }
        }
    }

    fn holds(&mut self, path: &str, value: &Value, holds: Holds) {
        match (holds, value) {
            // Told already.
            (_, Value::Null) => {}
            (Holds::Text, Value::String(_)) | (Holds::Flag, Value::Bool(_)) => {}
            (Holds::Text, _) => self.add(path, "must be a text"),
            (Holds::Language, value) => {
                if !value.as_str().is_some_and(is_language) {
                    self.add(path, "must be a language of RFC 5646 such as en or pt-BR");
                }
            }
            (Holds::Flag, _) => self.add(path, "must be true or false"),
            (Holds::Integer(least, most), value) => {
                if !value.as_i64().is_some_and(|n| (least..=most).contains(&n)) {
                    self.add(path, format!("must be an integer from {least} to {most}"));
                }
            }
            (Holds::Number(least, most), value) => {
                if !value.as_f64().is_some_and(|n| (least..=most).contains(&n)) {
                    self.add(path, "must be a number in its range");
                }
            }
            (Holds::Time, value) => {
                if time(Some(value)).is_none() {
                    self.add(path, "must be a time such as 2026-08-02T10:00:00.000Z");
                }
            }
            (Holds::Ref(kinds), Value::String(text)) => self.reference(path, text, kinds),
            (Holds::Ref(_), _) => self.add(path, "must be the id of an object"),
            (Holds::Refs(kinds), Value::Array(list)) => {
                for (index, value) in list.iter().enumerate() {
                    self.holds(&format!("{path}[{index}]"), value, Holds::Ref(kinds));
                }
            }
            (Holds::Texts, Value::Array(list)) => {
                if !list.iter().all(Value::is_string) {
                    self.add(path, "must be a list of texts");
                }
            }
            (Holds::Phases, value) => self.each(path, value, |found, path, map| {
                for name in ["kill_chain_name", "phase_name"] {
                    if !map.get(name).is_some_and(Value::is_string) {
                        found.add(format!("{path}.{name}"), "is missing");
                    }
                }
            }),
            (Holds::Hashes, Value::Object(map)) => {
                if map.is_empty() || !map.values().all(Value::is_string) {
                    self.add(path, "must be a dictionary of hashes");
                }
            }
            (Holds::Dictionary, Value::Object(map)) if !map.is_empty() => {}
            (Holds::Dictionary | Holds::Hashes, _) => {
                self.add(path, "must be a dictionary that is not empty")
            }
            (Holds::Word(words), value) => {
                if !value.as_str().is_some_and(|text| words.contains(&text)) {
                    self.add(path, format!("must be one of {}", words.join(", ")));
                }
            }
            (Holds::List, Value::Array(_)) => {}
            (Holds::List | Holds::Refs(_) | Holds::Texts, _) => self.add(path, "must be a list"),
            (Holds::Url, value) => {
                if !value.as_str().is_some_and(is_url) {
                    self.add(path, "must be a URL");
                }
            }
        }
    }

    fn reference(&mut self, path: &str, text: &str, kinds: &[&str]) {
        match text.parse::<ObjectId>() {
            Ok(id) if kinds.is_empty() || kinds.contains(&id.kind()) => self.id(path, text),
            Ok(_) => self.add(path, format!("must be the id of {}", kinds.join(" or "))),
            Err(error) => self.add(path, error.to_string()),
        }
    }

    /// An id whose UUID is one of RFC 4122, as the schemas want it.
    fn id(&mut self, path: &str, text: &str) {
        let Ok(id) = text.parse::<ObjectId>() else {
            self.add(path, "is not an id");
            return;
        };
        let uuid = id.uuid();
        let fine =
            (1..=5).contains(&uuid.get_version_num()) && uuid.as_bytes().get(8).is_some_and(|b| b >> 6 == 2);
        if !fine {
            self.add(path, "its UUID is not one of RFC 4122");
        }
    }

    fn name(&mut self, key: &str) {
        let fine = (3..=250).contains(&key.len())
            && key.starts_with(|c: char| c.is_ascii_lowercase())
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fine && key != "id" {
            self.add(short(key), "is not a property's name: 3 to 250 of a-z, 0-9 and _");
        }
    }

    /// Nothing is null, and no list is empty (section 2.4 and 3.1).
    fn not_empty(&mut self, path: &str, value: &Value, depth: usize) {
        match value {
            Value::Null => self.add(path, "must not be null"),
            Value::Array(list) if list.is_empty() => self.add(path, "must not be an empty list"),
            Value::Array(list) if depth < 8 => {
                list.iter().for_each(|value| self.not_empty(path, value, depth + 1));
            }
            Value::Object(map) if depth < 8 => {
                map.values().for_each(|value| self.not_empty(path, value, depth + 1));
            }
            _ => {}
        }
    }
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

fn has_millis(text: &str) -> bool {
    text.split_once('.').is_some_and(|(_, rest)| rest.len() >= 4)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The shape of RFC 5646: subtags of at most eight letters and digits, of which the first is the language's. Whether there is such a
/// language is not looked at.
fn is_language(text: &str) -> bool {
    let mut tags = text.split('-');
    let first = tags.next().unwrap_or_default();
    let private = matches!(first, "x" | "i" | "X" | "I") && text.len() > 2;
    let fine = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    (private || ((2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic())))
        && tags.all(fine)
}

/// `CVE-2024-10829`.
fn is_cve(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["CVE", year, number] => {
            year.len() == 4 && all_digits(year) && number.len() >= 4 && all_digits(number)
        }
        _ => false,
    }
}

/// Has a scheme and nothing that a URI may not hold. What it leads to is not looked at.
fn is_url(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b))
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
