use std::collections::BTreeSet;

use ostrom_core::handling::{Embargo, Handling, Iep, Obligation, Party, Policy, Reader, Tlp};
use ostrom_core::{GroupId, OrgId, PersonId, Timestamp, Uuid};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::stix::{Limits, Object, check};

fn org(n: u128) -> OrgId {
    OrgId::new(Uuid::from_u128(0x4000_8000_0000_0000_0000 + n))
}

fn person(n: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(n))
}

fn marker() -> Marker {
    Marker { owner: org(1), author: Some(person(1)) }
}

fn read(value: &Value) -> Object {
    Object::read(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn marked(marks: &[&str]) -> Object {
    let mut value = json!({
        "type": "vulnerability", "spec_version": "2.1", "id": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
        "created": "2016-05-12T08:17:27.000Z", "modified": "2016-05-12T08:17:27.000Z", "name": "A flaw",
    });
    if !marks.is_empty() {
        value["object_marking_refs"] = json!(marks);
    }
    read(&value)
}

fn default() -> Handling {
    Handling::new(org(9), Tlp::Amber)
}

fn policy_of(marks: &[&str], known: &BTreeMap<ObjectId, Definition>) -> Policy {
    policy(&marked(marks), marker(), &default(), known)
}

/// A policy with one handling, from the marker.
fn one(tlp: Tlp) -> Policy {
    Policy::new([Handling { author: Some(person(1)), ..Handling::new(org(1), tlp) }])
}

fn is_unreadable(policy: &Policy) -> bool {
    policy.handlings().any(|handling| handling.refused.is_some())
}

#[test]
fn marks_of_tlp_are_known_by_their_ids() {
    let none = BTreeMap::new();
    for tlp in Tlp::ALL {
        let id = tlp_id(tlp);
        assert_eq!(policy_of(&[id.as_str()], &none), one(tlp));
        let definition = tlp_definition(tlp);
        assert_eq!(check(&read(&definition)), []);
        assert_eq!(super::definition(&read(&definition)), Definition::Tlp(tlp));
    }
    let old = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82";
    assert_eq!(policy_of(&[old], &none), one(Tlp::Amber));
}

#[test]
fn what_is_not_known_nobody_reads() {
    let none = BTreeMap::new();
    let green = tlp_id(Tlp::Green);
    let other = "marking-definition--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    assert!(is_unreadable(&policy_of(&[green.as_str(), other], &none)));
    let known = BTreeMap::from([(other.parse().unwrap(), Definition::Unknown("x".to_owned()))]);
    assert!(is_unreadable(&policy_of(&[other], &known)));
    let mut odd =
        json!({ "type": "vulnerability", "id": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061" });
    odd["object_marking_refs"] = json!(green);
    assert!(is_unreadable(&policy(&read(&odd), marker(), &default(), &none)));
}

#[test]
fn without_marks_and_with_statements_only_the_collection_decides() {
    let statement = "marking-definition--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    let known = BTreeMap::from([(statement.parse().unwrap(), Definition::Statement)]);
    assert_eq!(policy_of(&[], &known), one(Tlp::Amber));
    assert_eq!(policy_of(&[statement], &known), one(Tlp::Amber));
    let green = tlp_id(Tlp::Green);
    assert_eq!(policy_of(&[statement, green.as_str()], &known), one(Tlp::Green));
}

#[test]
fn parts_count_for_the_whole() {
    let mut value =
        json!({ "type": "vulnerability", "id": "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061" });
    value["object_marking_refs"] = json!([tlp_id(Tlp::Clear)]);
    value["granular_markings"] = json!([{ "selectors": ["name"], "marking_ref": tlp_id(Tlp::Red) }]);
    let policy = policy(&read(&value), marker(), &default(), &BTreeMap::new());
    assert_eq!(policy.tlp(), Tlp::Red);
    assert!(!policy.allows(&Reader::anonymous(true), Timestamp::EPOCH));
}

fn definition_of(extensions: Value) -> Definition {
    definition(&read(
        &json!({ "type": "marking-definition", "spec_version": "2.1", "created": "2024-01-10T14:52:41.853Z",
        "id": "marking-definition--da05d443-ad8d-46fc-abf5-31d3d00290f1", "extensions": extensions }),
    ))
}

fn defined(kind: &str, content: Value) -> Definition {
    definition(&read(
        &json!({ "type": "marking-definition", "spec_version": "2.1", "created": "2024-01-10T14:52:41.853Z",
        "id": "marking-definition--da05d443-ad8d-46fc-abf5-31d3d00290f1", "definition_type": kind, "definition": content }),
    ))
}

fn iep_2() -> Value {
    json!({ "extension_type": "property-extension", "encrypt_in_transit": "must", "permitted_actions": "externally-visible-direct-actions",
        "affected_party_notifications": "may", "tlp": "white", "provider_attribution": "must-not", "unmodified_resale": "must-not",
        "iep_id": "0224bfdf-ea3a-49c3-96f6-66d908bb1845", "iep_version": 2.0, "description": "A policy", "start_date": "2022-10-01T00:00:00Z" })
}

#[test]
fn exchange_policies_of_both_versions() {
    let Definition::Iep(tlp, iep) = definition_of(json!({ IEP_EXTENSION: iep_2() })) else { panic!() };
    assert_eq!(
        (tlp, iep.encrypt_in_transit, iep.attribution),
        (Tlp::Clear, Obligation::Must, Obligation::MustNot)
    );
    assert_eq!(iep.start.unwrap().to_string(), "2022-10-01T00:00:00.000Z");
    let mut plain = iep_2();
    plain.as_object_mut().unwrap().remove("extension_type");
    assert_eq!(defined("iep", plain), Definition::Iep(tlp, iep));
    let old = json!({ "policy_id": "1", "policy_name": "Old", "tlp": "AMBER", "encrypt_in_transit": "MUST", "encrypt_at_rest": "MAY",
        "permitted_actions": "INTERNALLY VISIBLE ACTIONS", "unmodified_resale": "MUST NOT" });
    let Definition::Iep(tlp, iep) = defined("iep", old.clone()) else { panic!() };
    assert_eq!(
        (tlp, iep.permitted_actions.as_str(), iep.unmodified_resale),
        (Tlp::Amber, "internally-visible-actions", Obligation::MustNot)
    );
    let mut at_rest = old;
    at_rest["encrypt_at_rest"] = json!("MUST");
    assert!(matches!(defined("iep", at_rest), Definition::Unknown(_)), "what cannot be kept is refused");
}

#[test]
fn definitions_that_are_not_understood() {
    for name in
        ["encrypt_in_transit", "permitted_actions", "tlp", "start_date", "iep_version", "unmodified_resale"]
    {
        let mut iep = iep_2();
        iep[name] = json!("colour");
        assert!(matches!(definition_of(json!({ IEP_EXTENSION: iep })), Definition::Unknown(_)), "{name}");
    }
    let mut more = iep_2();
    more["must_burn"] = json!("must");
    for bad in [
        definition_of(json!({ IEP_EXTENSION: more })),
        definition_of(json!({ IEP_EXTENSION: iep_2(), HANDLING_EXTENSION: {} })),
        definition_of(
            json!({ "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": { "extension_type": "property-extension", "tlp_2_0": "clear" } }),
        ),
        definition_of(json!({})),
        defined("tlp", json!({ "tlp": "white" })),
        defined("colour", json!({})),
        defined("iep", json!({})),
    ] {
        assert!(matches!(bad, Definition::Unknown(_)), "{bad:?}");
    }
    assert_eq!(defined("statement", json!({ "statement": "Copyright" })), Definition::Statement);
}

#[test]
fn a_handling_in_anothers_id_is_not_understood() {
    let handling =
        Handling { audience: [Party::Organisation(org(2))].into(), ..Handling::new(org(1), Tlp::Amber) };
    let marks = marks(&handling).unwrap();
    let mut forged = marks.definitions[0].clone();
    assert!(matches!(definition(&read(&forged)), Definition::Handling(_)));
    forged["extensions"][HANDLING_EXTENSION]["tlp"] = json!("clear");
    assert!(matches!(definition(&read(&forged)), Definition::Unknown(_)));
}

#[test]
fn a_mark_of_tlp_beside_a_handling_does_not_take_away_its_recipients() {
    let handling =
        Handling { audience: [Party::Organisation(org(2))].into(), ..Handling::new(org(1), Tlp::Amber) };
    let marks = marks(&handling).unwrap();
    let known = BTreeMap::from([(marks.refs[1].clone(), definition(&read(&marks.definitions[0])))]);
    let named = Reader { organisation: Some(org(2)), ..Reader::anonymous(true) };
    let with = |tlp| {
        let tlp = tlp_id(tlp);
        policy_of(&[tlp.as_str(), marks.refs[1].as_str()], &known).allows(&named, Timestamp::EPOCH)
    };
    assert!(with(Tlp::Green) && with(Tlp::Amber));
    assert!(!with(Tlp::AmberStrict) && !with(Tlp::Red), "a stricter one counts");
}

#[test]
fn a_definition_is_as_secret_as_what_it_marks() {
    let handling =
        Handling { audience: [Party::Organisation(org(2))].into(), ..Handling::new(org(1), Tlp::Amber) };
    let marks = marks(&handling).unwrap();
    let own =
        policy(&read(&marks.definitions[0]), marker(), &Handling::new(org(1), Tlp::Clear), &BTreeMap::new());
    assert_eq!(own, Policy::new([Handling { author: Some(person(1)), ..handling }]));
    let fixed = policy(&read(&tlp_definition(Tlp::Red)), marker(), &default(), &BTreeMap::new());
    assert_eq!(fixed, one(Tlp::Clear), "that TLP:RED exists is no secret");
}

fn any_handling() -> impl Strategy<Value = Handling> {
    let parties = prop::collection::btree_set(
        prop_oneof![
            (1u128..4).prop_map(|n| Party::Organisation(org(n))),
            (1u128..4).prop_map(|n| Party::Person(person(n))),
            (1u128..4).prop_map(|n| Party::Group(GroupId::new(Uuid::from_u128(n)))),
        ],
        0..3,
    );
    let time = (0i64..4_000_000_000).prop_map(|s| Timestamp::EPOCH.plus_seconds(s));
    let iep = (prop::option::of(time.clone()), prop::option::of(time.clone()), any::<bool>()).prop_map(
        |(start, end, must)| Iep {
            name: "A policy".to_owned(),
            start,
            end,
            encrypt_in_transit: if must { Obligation::Must } else { Obligation::May },
            permitted_actions: "none".to_owned(),
            affected_party_notifications: Obligation::May,
            attribution: Obligation::MustNot,
            unmodified_resale: Obligation::MustNot,
        },
    );
    let embargo = (time, parties.clone()).prop_map(|(until, parties)| Embargo { until, parties });
    (0usize..5, parties, prop::option::of(embargo), prop::option::of(iep)).prop_map(
        |(tlp, audience, embargo, iep)| Handling {
            audience,
            embargo,
            iep,
            ..Handling::new(org(1), Tlp::ALL[tlp])
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(handling in any_handling()) {
        let marks = marks(&handling).unwrap();
        let known: BTreeMap<ObjectId, Definition> = marks.definitions.iter().map(|value| {
            let object = read(value);
            assert_eq!(check(&object), []);
            (object.id().clone(), definition(&object))
        }).collect();
        let refs: Vec<&str> = marks.refs.iter().map(|id| id.as_str()).collect();
        let expect = Policy::new([Handling { author: Some(person(1)), ..handling }]);
        prop_assert_eq!(policy_of(&refs, &known), expect);
        let ids: BTreeSet<&ObjectId> = marks.refs.iter().collect();
        prop_assert_eq!(ids.len(), marks.refs.len());
    }
}
