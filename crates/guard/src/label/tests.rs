use proptest::prelude::*;

use super::*;

fn names() -> impl Strategy<Value = Names> {
    proptest::collection::btree_set("[a-e]", 0..4).prop_map(|set| set.into_iter().collect())
}

fn label() -> impl Strategy<Value = Label> {
    (
        prop_oneof![9 => names().prop_map(Integrity::Of), 1 => Just(Integrity::Anyone)],
        prop_oneof![3 => names().prop_map(Readers::Only), 1 => Just(Readers::Everyone)],
        proptest::collection::btree_set("[st][/#][a-z]{2}", 0..3),
    )
        .prop_map(|(integrity, readers, provenance)| Label {
            integrity,
            readers,
            provenance: provenance.into_iter().collect(),
        })
}

proptest! {
    #[test]
    fn a_join_is_idempotent_commutative_and_associative(a in label(), b in label(), c in label()) {
        prop_assert_eq!(a.join(&a), a.clone());
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(Label::constant().join(&a), a);
    }

    #[test]
    fn a_join_only_restricts(a in label(), b in label(), allowed in label()) {
        let both = a.join(&b);
        prop_assert!(both.covers(&a) && both.covers(&b));
        if both.integrity.is_within(&allowed.integrity) {
            prop_assert!(a.integrity.is_within(&allowed.integrity));
        }
        if both.readers.include_all(&allowed.readers) {
            prop_assert!(a.readers.include_all(&allowed.readers));
        }
    }

    #[test]
    fn what_descends_from_a_source_still_does_after_any_join(a in label(), b in label()) {
        for origin in a.provenance.iter() {
            prop_assert!(a.join(&b).descends_from(origin));
            prop_assert!(a.join(&b).descends_from(server_of(origin)));
        }
    }

    #[test]
    fn a_label_survives_json(a in label()) {
        let text = serde_json::to_string(&a).unwrap();
        prop_assert_eq!(serde_json::from_str::<Label>(&text).unwrap(), a);
    }
}

#[test]
fn too_many_influencers_are_anyone() {
    let many: Names = (0..=MAX_INFLUENCERS).map(|n| n.to_string()).collect();
    let one = Integrity::by("x");
    assert_eq!(one.join(&Integrity::Of(many)), Integrity::Anyone);
    assert!(!Integrity::Anyone.is_within(&one));
}

#[test]
fn too_many_origins_become_servers_and_are_still_found() {
    let mut label = Label::constant();
    for n in 0..200 {
        let one: Names = [format!("mail#{n}")].into_iter().collect();
        label = label.join(&Label { provenance: one, ..Label::constant() });
    }
    assert!(label.provenance.len() <= MAX_ORIGINS);
    assert!(label.descends_from("mail#7") && label.descends_from("mail") && !label.descends_from("files"));
}

#[test]
fn nobody_may_read_what_two_strangers_share() {
    let a = Readers::Only(["a"].into_iter().collect());
    let b = Readers::Only(["b"].into_iter().collect());
    assert_eq!(a.join(&b), Readers::Only(Names::default()));
    assert!(!a.join(&b).includes("a"));
}

#[test]
fn names_read_like_a_sentence() {
    let names: Names = ["a", "b", "c"].into_iter().collect();
    assert_eq!(names.to_string(), "a, b and c");
}

#[test]
fn origins_of_more_servers_than_there_is_room_for_stand_for_all() {
    let of = |from: usize| {
        let names: Names = (from..from + 60).map(|at| format!("s{at}")).collect();
        Label { provenance: names, ..Label::constant() }
    };
    let both = of(0).join(&of(100));
    assert_eq!(both.provenance.len(), 1);
    assert!(both.descends_from("s7") && both.descends_from("anything/at-all"));
    assert_eq!(both.join(&of(200)), both);
}
