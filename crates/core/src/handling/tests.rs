use proptest::prelude::*;

use super::*;
use crate::{Timestamp, Uuid};

fn org(n: u128) -> OrgId {
    OrgId::new(Uuid::from_u128(n))
}

fn person(n: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(n))
}

fn group(n: u128) -> GroupId {
    GroupId::new(Uuid::from_u128(n))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(seconds)
}

/// Somebody of organisation `n`, who is person `n`.
fn member(n: u128) -> Reader {
    Reader {
        organisation: Some(org(n)),
        person: Some(person(n)),
        groups: BTreeSet::new(),
        client_of: BTreeSet::new(),
        encrypted: true,
    }
}

/// Checks who of the owner's colleague (1), a named organisation's person (2), its client (3), another member (4) and the public reads.
fn check(handling: &Handling, expect: [bool; 5]) {
    let client = Reader { client_of: [org(2)].into(), ..member(3) };
    let readers = [member(1), member(2), client, member(4), Reader::anonymous(true)];
    let policy = Policy::new([handling.clone()]);
    let found = readers.each_ref().map(|reader| policy.allows(reader, at(0)));
    assert_eq!(found, expect, "{handling:?}");
}

#[test]
fn what_each_mark_lets_whom_read() {
    let plain = |tlp| Handling::new(org(1), tlp);
    let named = |tlp| Handling { audience: [Party::Organisation(org(2))].into(), ..plain(tlp) };
    let to_person = |tlp| Handling { audience: [Party::Person(person(2))].into(), ..plain(tlp) };
    // owner, named, client of the named, member, public
    check(&plain(Tlp::Clear), [true, true, true, true, true]);
    check(&plain(Tlp::Green), [true, true, true, true, false]);
    check(&plain(Tlp::Amber), [true, false, false, false, false]);
    check(&plain(Tlp::AmberStrict), [true, false, false, false, false]);
    check(&plain(Tlp::Red), [false, false, false, false, false]);
    check(&named(Tlp::Clear), [true, true, true, false, false]);
    check(&named(Tlp::Green), [true, true, true, false, false]);
    check(&named(Tlp::Amber), [true, true, true, false, false]);
    check(&named(Tlp::AmberStrict), [true, true, false, false, false]);
    check(&named(Tlp::Red), [false, false, false, false, false]);
    check(&to_person(Tlp::Red), [false, true, false, false, false]);
    check(&to_person(Tlp::AmberStrict), [true, true, false, false, false]);
    check(&Handling::unreadable(org(1), "colour-of-magic"), [false; 5]);
}

#[test]
fn red_is_for_persons_and_its_author() {
    let red = Handling {
        author: Some(person(1)),
        audience: [Party::Group(group(9)), Party::Organisation(org(2)), Party::Person(person(3))].into(),
        ..Handling::new(org(1), Tlp::Red)
    };
    let in_group = Reader { groups: [group(9)].into(), ..member(4) };
    let policy = Policy::new([red]);
    let allowed = |reader: &Reader| policy.allows(reader, at(0));
    assert!(allowed(&member(1)), "its author");
    assert!(allowed(&member(3)), "a named person");
    assert!(!allowed(&member(2)), "somebody of a named organisation");
    assert!(!allowed(&in_group), "somebody of a named group");
    assert!(!allowed(&Reader { person: None, ..member(1) }), "a machine of the author's organisation");
}

#[test]
fn an_embargo_ends_by_itself() {
    let handling = Handling {
        embargo: Some(Embargo { until: at(100), parties: [Party::Organisation(org(2))].into() }),
        ..Handling::new(org(1), Tlp::Clear)
    };
    check(&handling, [true, true, false, false, false]);
    let policy = Policy::new([handling]);
    let public = Reader::anonymous(true);
    let before = policy.decide(&public, at(99));
    assert_eq!((before.allowed(), before.changes()), (false, Some(at(100))));
    assert_eq!(before.reasons().collect::<Vec<_>>(), [&Reason::Embargoed(at(100))]);
    let after = policy.decide(&public, at(100));
    assert_eq!((after.allowed(), after.changes()), (true, None));
}

#[test]
fn an_exchange_policy_holds_in_its_time_and_over_encryption() {
    let iep = Iep {
        name: "a policy".to_owned(),
        start: Some(at(10)),
        end: Some(at(20)),
        encrypt_in_transit: Obligation::Must,
        permitted_actions: "none".to_owned(),
        affected_party_notifications: Obligation::May,
        attribution: Obligation::MustNot,
        unmodified_resale: Obligation::MustNot,
    };
    let policy = Policy::new([Handling { iep: Some(iep), ..Handling::new(org(1), Tlp::Clear) }]);
    let open = Reader::anonymous(false);
    for (reader, second, expect) in [
        (&member(1), 9, false),
        (&member(1), 10, true),
        (&member(1), 19, true),
        (&member(1), 20, false),
        (&open, 15, false),
    ] {
        assert_eq!(policy.allows(reader, at(second)), expect, "{second}");
    }
    assert_eq!(policy.decide(&open, at(0)).changes(), Some(at(10)));
}

#[test]
fn what_carries_no_mark_is_for_nobody() {
    assert!(!Policy::default().allows(&member(1), at(0)));
    assert_eq!(Policy::default().tlp(), Tlp::Red);
}

#[test]
fn marks_of_both_versions() {
    for (text, tlp) in [
        ("TLP:CLEAR", Tlp::Clear),
        ("white", Tlp::Clear),
        ("amber", Tlp::Amber),
        ("TLP:AMBER+STRICT", Tlp::AmberStrict),
    ] {
        assert_eq!(text.parse::<Tlp>().unwrap(), tlp);
    }
    for bad in ["", "tlp:", "amber strict", "black", "TLP:TLP:RED"] {
        assert!(bad.parse::<Tlp>().is_err(), "{bad:?} was taken");
    }
}

fn any_party() -> impl Strategy<Value = Party> {
    prop_oneof![
        (0u128..4).prop_map(|n| Party::Organisation(org(n))),
        (0u128..4).prop_map(|n| Party::Person(person(n))),
        (0u128..3).prop_map(|n| Party::Group(group(n))),
    ]
}

fn any_parties() -> impl Strategy<Value = BTreeSet<Party>> {
    proptest::collection::btree_set(any_party(), 0..4)
}

fn any_iep() -> impl Strategy<Value = Iep> {
    let time = || proptest::option::of((0i64..6).prop_map(at));
    (time(), time(), any::<bool>()).prop_map(|(start, end, must)| Iep {
        name: String::new(),
        start,
        end,
        encrypt_in_transit: if must { Obligation::Must } else { Obligation::May },
        permitted_actions: String::new(),
        affected_party_notifications: Obligation::May,
        attribution: Obligation::May,
        unmodified_resale: Obligation::May,
    })
}

fn any_handling() -> impl Strategy<Value = Handling> {
    let embargo =
        ((0i64..6).prop_map(at), any_parties()).prop_map(|(until, parties)| Embargo { until, parties });
    (
        0u128..4,
        proptest::option::of(0u128..4),
        proptest::sample::select(&Tlp::ALL[..]),
        any_parties(),
        proptest::option::of(embargo),
        proptest::option::weighted(0.2, any_iep()),
        proptest::option::weighted(0.1, Just("unknown".to_owned())),
    )
        .prop_map(|(owner, author, tlp, audience, embargo, iep, refused)| Handling {
            owner: org(owner),
            author: author.map(person),
            tlp,
            audience,
            embargo,
            iep,
            refused,
        })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::collection::vec(any_handling(), 0..4).prop_map(Policy::new)
}

fn any_reader() -> impl Strategy<Value = Reader> {
    (
        proptest::option::of(0u128..5),
        proptest::option::of(0u128..5),
        proptest::collection::btree_set((0u128..3).prop_map(group), 0..3),
        proptest::collection::btree_set((0u128..4).prop_map(org), 0..3),
        any::<bool>(),
    )
        .prop_map(|(organisation, person_, groups, client_of, encrypted)| Reader {
            organisation: organisation.map(org),
            person: person_.map(person),
            groups,
            client_of,
            encrypted,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn more_handlings_never_let_more_people_read(
        a in any_policy(), b in any_policy(), reader in any_reader(), now in 0i64..7
    ) {
        let both = a.and(&b).allows(&reader, at(now));
        prop_assert_eq!(both, a.allows(&reader, at(now)) && b.allows(&reader, at(now)));
    }

    #[test]
    fn a_decision_holds_until_it_says_it_may_change(policy in any_policy(), reader in any_reader(), now in 0i64..7) {
        let decision = policy.decide(&reader, at(now));
        let later = (now..8).map(at).find(|time| policy.allows(&reader, *time) != decision.allowed());
        if let Some(later) = later {
            prop_assert!(decision.changes().is_some_and(|changes| changes <= later));
        }
        prop_assert!(decision.changes().is_none_or(|changes| changes > at(now)));
    }

    #[test]
    fn the_reasons_agree_with_the_answer(policy in any_policy(), reader in any_reader(), now in 0i64..7) {
        let decision = policy.decide(&reader, at(now));
        prop_assert!(decision.reasons().next().is_some());
        prop_assert!(decision.reasons().all(|reason| reason.allows() == decision.allowed()));
    }

    #[test]
    fn a_stricter_mark_never_lets_more_people_read(handling in any_handling(), reader in any_reader(), now in 0i64..7) {
        let mut before = true;
        for tlp in Tlp::ALL {
            let allows = Policy::new([Handling { tlp, ..handling.clone() }]).allows(&reader, at(now));
            prop_assert!(before || !allows, "{tlp} lets read what a more open mark did not");
            before = allows;
        }
    }

    #[test]
    fn what_is_written_is_read_again(policy in any_policy()) {
        let text = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
}
