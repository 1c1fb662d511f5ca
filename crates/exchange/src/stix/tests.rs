use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LIMITS: Limits = Limits { object: 1 << 16, envelope: 1 << 18, objects: 100, depth: 16 };

fn vulnerability() -> Value {
    json!({
        "type": "vulnerability",
        "spec_version": "2.1",
        "id": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
        "created": "2016-05-12T08:17:27.000Z",
        "modified": "2016-05-12T08:17:27.100Z",
        "created_by_ref": "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff",
        "name": "A flaw",
        "external_references": [{ "source_name": "cve", "external_id": "CVE-2016-1234" }],
        "object_marking_refs": ["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"],
    })
}

fn read(value: &Value) -> Result<Object, ReadError> {
    Object::read(value.to_string().as_bytes(), &LIMITS)
}

fn with(name: &str, value: Value) -> Value {
    let mut object = vulnerability();
    object[name] = value;
    object
}

/// Checks which properties are told to be wrong.
fn check_defects(object: &Value, expect: &[&str]) {
    let object = read(object).unwrap();
    let defects = check(&object);
    let paths: Vec<&str> = defects.iter().map(Defect::path).collect();
    assert_eq!(paths, expect, "{defects:?}");
}

#[test]
fn what_is_to_be_known_of_an_object() {
    let mut value = with(
        "x_deep",
        json!([{ "inner": { "pattern_refs": ["url--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062"] } }]),
    );
    value["granular_markings"] = json!([{ "selectors": ["name"], "marking_ref": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed" }]);
    value["extensions"] = json!({ "extension-definition--ef765651-680c-498d-9894-99799f2fa126": {
        "extension_type": "property-extension", "marking_ref": "file--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0063" } });
    let object = read(&value).unwrap();
    let facts = object.facts();
    let references: Vec<&str> = facts.references.iter().map(|id| id.as_str()).collect();
    let hidden_in_extensions = "file--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0063";
    assert_eq!(references, [hidden_in_extensions, "url--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062"]);
    assert_eq!((facts.marks.len(), facts.granular, facts.marks_malformed), (2, true, false));
    assert_eq!(facts.version().unwrap().to_string(), "2016-05-12T08:17:27.100Z");
    assert_eq!((facts.title.as_str(), facts.text.as_str()), ("A flaw", "CVE-2016-1234"));
    assert_eq!(facts.spec_version, SpecVersion::V21);
}

#[test]
fn what_is_no_mark_where_a_mark_should_be_is_noticed() {
    for marks in [
        json!("x"),
        json!([]),
        json!([1]),
        json!(["vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"]),
        json!(null),
    ] {
        assert!(
            read(&with("object_marking_refs", marks.clone())).unwrap().facts().marks_malformed,
            "{marks}"
        );
    }
    for parts in [json!([]), json!([1]), json!([{}]), json!({}), json!([{ "marking_ref": 1, "lang": "en" }])]
    {
        assert!(read(&with("granular_markings", parts.clone())).unwrap().facts().marks_malformed, "{parts}");
    }
    let language = with("granular_markings", json!([{ "selectors": ["name"], "lang": "fr" }]));
    assert!(!read(&language).unwrap().facts().marks_malformed);
}

#[test]
fn the_bytes_of_every_object_in_a_bundle_stay_as_they_are() {
    let first = "{ \"type\" : \"vulnerability\",\n\t\"id\":\"vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061\", \"x_y_z\": 1.50, \"name\":\"\\u00e9\" }";
    let text = format!(" {{\"type\":\"bundle\",\"id\":\"bundle--1\",\"objects\":[ {first} ,{{\"a\":1}}]}} ");
    let bundle = Envelope::read(text.as_bytes(), &LIMITS).unwrap();
    assert_eq!(bundle.objects, [first.as_bytes(), b"{\"a\":1}"]);
    let items: Vec<Item> = bundle.items(&LIMITS).collect();
    assert_eq!(items[0].object.as_ref().unwrap().bytes(), first.as_bytes());
    assert!(items[1].object.is_err());
    let alone = Envelope::read(first.as_bytes(), &LIMITS).unwrap();
    assert_eq!(alone.objects, [first.as_bytes()]);
    assert!(Envelope::read(b"{}", &LIMITS).unwrap().objects.is_empty());
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    let id = "\"id\":\"vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061\",\"type\":\"vulnerability\"";
    for bad in [
        format!("{{{id},\"name\":1,\"name\":2}}"),
        format!("{{{id},\"x_a\":{{\"b\":1,\"\\u0062\":2}}}}"),
        format!("{{{id},\"x_a\":9007199254740992}}"),
        format!("{{{id},\"x_a\":123456789012345678901234567890}}"),
        format!("{{{id},\"x_a\":1e400}}"),
        format!("{{{id},\"x_a\":\"\\ud800\"}}"),
        format!("{{{id},\"x_a\":{}1{}}}", "[".repeat(20), "]".repeat(20)),
        format!("{{{id}}} x"),
        format!("{{{id},}}"),
        format!("[{{{id}}}]"),
    ] {
        assert!(Object::read(bad.as_bytes(), &LIMITS).is_err(), "{bad}");
    }
    assert!(Object::read(b"{\"id\":\"\xff\"}", &LIMITS).is_err());
    for bad in [
        "{\"objects\":[],\"objects\":[]}",
        "{\"objects\":{}}",
        "{\"type\":\"bundle\",\"objects\":{}}",
        "{\"x\":1}",
        "[]",
        "1",
        "",
    ] {
        assert!(Envelope::read(bad.as_bytes(), &LIMITS).is_err(), "{bad}");
    }
}

#[test]
fn too_much_is_refused() {
    let many = format!("{{\"objects\":[{}{{}}]}}", "{},".repeat(100));
    assert_eq!(Envelope::read(many.as_bytes(), &LIMITS).unwrap_err(), ReadError::TooMany(100));
    let long = with("description", json!("x".repeat(1 << 16)));
    assert!(matches!(read(&long), Err(ReadError::TooLong { .. })));
    let refs: Vec<String> = (0..5000).map(|n| format!("url--0c7b5b88-8ff7-4a4d-aa9d-{n:012}")).collect();
    let wide = Limits { object: 1 << 20, ..LIMITS };
    let many = with("object_refs", json!(refs)).to_string();
    assert!(Object::read(many.as_bytes(), &wide).is_err());
}

#[test]
fn a_valid_object_has_no_defects() {
    check_defects(&vulnerability(), &[]);
    let address = json!({ "type": "ipv4-addr", "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd", "value": "198.51.100.3" });
    check_defects(&address, &[]);
    // STIX 2.0 says less.
    let old = json!({ "type": "indicator", "id": "indicator--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061", "labels": ["x"],
        "created": "2016-05-12T08:17:27Z", "modified": "2016-05-12T08:17:27Z", "pattern": "[x:y = 1]", "valid_from": "2016-05-12T08:17:27Z" });
    check_defects(&old, &[]);
    assert_eq!(read(&old).unwrap().facts().spec_version, SpecVersion::V20);
}

#[test]
fn every_departure_is_told() {
    for (name, value, path) in [
        ("modified", json!("2016-05-12T08:17:26.000Z"), "modified"),
        ("created", json!("2016-05-12T08:17:27Z"), "created"),
        ("name", json!(1), "name"),
        ("description", json!(null), "description"),
        ("labels", json!([]), "labels"),
        ("confidence", json!(101), "confidence"),
        ("revoked", json!("yes"), "revoked"),
        ("created_by_ref", json!("url--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062"), "created_by_ref"),
        (
            "external_references",
            json!([{ "source_name": "cve", "external_id": "CVE-1" }]),
            "external_references[0].external_id",
        ),
        ("external_references", json!([{ "source_name": "x" }]), "external_references[0]"),
        (
            "external_references",
            json!([{ "source_name": "x", "url": "no url" }]),
            "external_references[0].url",
        ),
        ("granular_markings", json!([{ "selectors": ["name"] }]), "granular_markings[0]"),
        ("extensions", json!({ "mine": { "a": 1 } }), "extensions.mine"),
        (
            "extensions",
            json!({ "extension-definition--ef765651-680c-498d-9894-99799f2fa126": { "a": 1 } }),
            "extensions.extension-definition--ef765651-680c-498d-9894-99799f2fa126.extension_type",
        ),
        ("Upper", json!(1), "Upper"),
        ("lang", json!("2020"), "lang"),
        ("lang", json!("en--x"), "lang"),
        ("extensions", json!({}), "extensions"),
        ("severity", json!(1), "severity"),
    ] {
        check_defects(&with(name, value), &[path]);
    }
    let mut missing = vulnerability();
    for name in ["name", "modified", "spec_version"] {
        missing.as_object_mut().unwrap().remove(name);
    }
    missing["spec_version"] = json!("2.1");
    check_defects(&missing, &["modified", "name"]);
    let late = json!({ "type": "sighting", "spec_version": "2.1", "id": "sighting--0c7b5b88-8ff7-7a4d-aa9d-feb398cd0061",
        "created": "2016-05-12T08:17:27.000Z", "modified": "2016-05-12T08:17:27.000Z",
        "sighting_of_ref": "x", "first_seen": "2016-05-13T00:00:00Z", "last_seen": "2016-05-12T00:00:00Z", "count": -1 });
    check_defects(&late, &["id", "count", "sighting_of_ref", "last_seen"]);
}

#[test]
fn the_id_and_the_type_must_agree() {
    assert!(read(&with("type", json!("malware"))).is_err());
    assert!(read(&with("id", json!("vulnerability--1"))).is_err());
    assert!(read(&with("spec_version", json!("3.0"))).is_err());
    assert!(read(&with("spec_version", json!(2.1))).is_err());
}

#[test]
fn ids_of_observables_follow_from_what_they_are() {
    // An example of the OASIS committee's FAQ.
    let address = json!({ "type": "ipv4-addr", "value": "198.51.100.3" });
    let id = observable_id(address.as_object().unwrap()).unwrap();
    assert_eq!(id.as_str(), "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4");
    let file = |hashes: Value| {
        observable_id(json!({ "type": "file", "hashes": hashes, "size": 1 }).as_object().unwrap())
    };
    assert_eq!(file(json!({ "SHA-256": "aa", "MD5": "bb" })), file(json!({ "MD5": "bb" })));
    assert_eq!(observable_id(json!({ "type": "process", "pid": 1 }).as_object().unwrap()), None);
    assert_eq!(observable_id(json!({ "type": "malware", "name": "x" }).as_object().unwrap()), None);
}

#[test]
fn titles_and_texts_are_bounded_and_without_nul() {
    let long = with("name", json!(format!("a\u{0}\n{}", "é".repeat(1000))));
    let facts = read(&long).unwrap().facts().clone();
    assert_eq!(facts.title.chars().count(), 300);
    assert!(!facts.title.contains(['\0', '\n']));
    let long = with("description", json!(format!("\u{0}{}", "é".repeat(20000))));
    let text = read(&long).unwrap().facts().text.clone();
    assert!(text.len() <= 16 << 10 && !text.contains('\0'));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "[a-z]{3,6}--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-z]{0,8}(_ref|_refs|_markings)?", inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_panics(name in "(object_marking_refs|granular_markings|extensions|external_references|name|created|definition|x_any)", value in any_json()) {
        for kind in ["vulnerability", "marking-definition", "location", "x-any"] {
            let mut object = with(&name, value.clone());
            object["type"] = json!(kind);
            object["id"] = json!(format!("{kind}--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"));
            if let Ok(object) = read(&object) {
                let _ = check(&object);
                let _ = marking::definition(&object);
                let _ = observable_id(object.map());
            }
        }
    }

    #[test]
    fn a_damaged_bundle_does_not_panic(at in 0usize..600, byte in any::<u8>(), cut in 0usize..600) {
        let mut bytes = json!({ "type": "bundle", "id": "bundle--1", "objects": [vulnerability()] }).to_string().into_bytes();
        if let Some(found) = bytes.get_mut(at) {
            *found = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(bundle) = Envelope::read(&bytes, &LIMITS) {
            for item in bundle.items(&LIMITS) {
                if let Ok(object) = item.object {
                    let _ = check(&object);
                }
            }
        }
    }

    #[test]
    fn what_was_read_has_the_bytes_that_came(value in any_json()) {
        let text = with("x_any", value).to_string();
        if let Ok(object) = Object::read(text.as_bytes(), &LIMITS) {
            prop_assert_eq!(object.bytes(), text.as_bytes());
            prop_assert_eq!(Value::Object(object.map().clone()), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
