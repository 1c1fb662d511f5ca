use std::collections::BTreeSet;

use ostrom_core::handling::Party;
use ostrom_core::{OrgId, PersonId, Severity, Timestamp, Uuid};
use proptest::prelude::*;

use super::*;

const REPORTER: Party = Party::Person(PersonId::new(Uuid::from_u128(0xaaaa_0001)));
const COORDINATOR: Party = Party::Organisation(OrgId::new(Uuid::from_u128(0xbbbb_0002)));
const VENDOR: Party = Party::Organisation(OrgId::new(Uuid::from_u128(0xcccc_0003)));
const OTHER: Party = Party::Organisation(OrgId::new(Uuid::from_u128(0xdddd_0004)));
const THIRD: Party = Party::Organisation(OrgId::new(Uuid::from_u128(0xeeee_0005)));
const ALL: [Party; 5] = [REPORTER, COORDINATOR, VENDOR, OTHER, THIRD];

fn at(hours: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(hours * 3_600)
}

fn event(hours: i64, by: Party, what: What) -> Event {
    Event { at: at(hours), by: Actor::Party(by), what }
}

fn received(anonymous: bool, automatic_release: bool) -> Event {
    let terms = Terms { automatic_release, embargo_days: 10, ..Terms::default() };
    let what = What::Received {
        title: "The model obeys web pages".to_owned(),
        reporter: Some(REPORTER),
        anonymous,
        coordinator: COORDINATOR,
        terms,
        commitment: None,
    };
    event(0, REPORTER, what)
}

fn triaged() -> What {
    What::Triaged { severity: Severity::High, note: "it is so".to_owned() }
}

fn invited(party: Party, role: Role) -> What {
    What::PartyInvited { party, role }
}

fn removed(party: Party) -> What {
    What::PartyRemoved { party, why: "by mistake".to_owned() }
}

fn notified(party: Party) -> What {
    What::Notified { party, embargo: None }
}

fn message(text: &str) -> What {
    What::Message { to: To::All, text: text.to_owned() }
}

fn message_to(parties: &[Party], text: &str) -> What {
    What::Message { to: To::Parties(parties.iter().copied().collect()), text: text.to_owned() }
}

/// A case with two vendors that were notified at hours 2 and 3.
fn case() -> State {
    let mut state = State::open(&received(false, true)).unwrap();
    for (hours, what) in [
        (1, triaged()),
        (1, invited(VENDOR, Role::Vendor)),
        (1, invited(OTHER, Role::OtherVendor)),
        (2, notified(VENDOR)),
        (3, notified(OTHER)),
    ] {
        state.apply(&event(hours, COORDINATOR, what)).unwrap();
    }
    state
}

#[test]
fn a_case_from_report_to_publication() {
    let mut state = State::open(&received(false, false)).unwrap();
    assert_eq!(state.phase(), Phase::Received);
    let mut step = |hours, by, what, phase| {
        state.apply(&event(hours, by, what)).unwrap();
        assert_eq!(state.phase(), phase);
    };
    step(1, COORDINATOR, triaged(), Phase::Triaged);
    step(1, COORDINATOR, invited(VENDOR, Role::Vendor), Phase::Triaged);
    step(2, COORDINATOR, notified(VENDOR), Phase::Notified);
    step(3, VENDOR, What::Acknowledged, Phase::Notified);
    step(4, VENDOR, What::FixReady { note: "2.1".to_owned() }, Phase::FixReady);
    step(5, VENDOR, What::ReleaseAgreed, Phase::FixReady);
    step(6, COORDINATOR, What::Published { advisory: None }, Phase::Published);
    step(7, REPORTER, message("thanks"), Phase::Published);
    let late = event(8, COORDINATOR, triaged());
    assert_eq!(state.apply(&late), Err(Refused::Closed));
}

#[test]
fn the_embargo_of_one_vendor_holds_for_all() {
    let mut state = case();
    assert_eq!(state.embargo_end(), Some(at(3 + 240)));
    let publish = |hours| event(hours, COORDINATOR, What::Published { advisory: None });
    state.apply(&event(4, VENDOR, What::ReleaseAgreed)).unwrap();
    assert_eq!(state.apply(&publish(5)), Err(Refused::Embargoed(at(243))));
    let shorter = What::EmbargoExtended { party: OTHER, until: at(200), why: "sooner".to_owned() };
    let refused = state.apply(&event(5, COORDINATOR, shorter));
    assert_eq!(refused, Err(Refused::EmbargoShortened { agreed: at(243) }));
    let longer = What::EmbargoExtended { party: OTHER, until: at(300), why: "holidays".to_owned() };
    state.apply(&event(5, COORDINATOR, longer)).unwrap();
    assert_eq!(state.apply(&publish(299)), Err(Refused::Embargoed(at(300))));
    state.apply(&publish(300)).unwrap();
}

#[test]
fn the_clock_publishes_what_has_expired_if_the_case_says_so() {
    let mut state = case();
    assert_eq!(state.overdue_events(at(242)), []);
    for event in state.overdue_events(at(243)) {
        state.apply(&event).unwrap();
    }
    assert_eq!(state.phase(), Phase::Published);
    assert_eq!(state.overdue_events(at(500)), []);

    let mut manual = State::open(&received(false, false)).unwrap();
    for what in [triaged(), invited(VENDOR, Role::Vendor), notified(VENDOR)] {
        manual.apply(&event(1, COORDINATOR, what)).unwrap();
    }
    for event in manual.overdue_events(at(1_000)) {
        manual.apply(&event).unwrap();
    }
    assert!(manual.has_expired());
    assert_eq!(manual.phase(), Phase::Notified);
    assert_eq!(manual.overdue_events(at(1_001)), []);
    let by_clock = Event { at: at(1_002), by: Actor::Node, what: What::Published { advisory: None } };
    assert_eq!(manual.apply(&by_clock), Err(Refused::NotYours));
}

#[test]
fn an_early_break_ends_every_embargo() {
    let mut state = case();
    let broke = What::BrokeEarly { by: Some(OTHER), place: "a conference".to_owned() };
    state.apply(&event(5, COORDINATOR, broke)).unwrap();
    assert_eq!(state.embargo_end(), None);
    assert!(state.due().iter().any(|due| due.kind == DueKind::Publish && due.at == at(5)));
    // The vendor learns that it is public, and not who it was.
    let seen = state.seen_by(VENDOR).unwrap();
    assert!(seen.broken && !serde_json::to_string(&seen).unwrap().contains("dddd0004"));
    let extend = What::EmbargoExtended { party: OTHER, until: at(900), why: "please".to_owned() };
    assert!(matches!(state.apply(&event(6, COORDINATOR, extend)), Err(Refused::Already(_))));
    state.apply(&event(6, COORDINATOR, invited(THIRD, Role::OtherVendor))).unwrap();
    state.apply(&event(6, COORDINATOR, notified(THIRD))).unwrap();
    assert_eq!(state.embargo_end(), None);
    state.apply(&event(7, COORDINATOR, What::Published { advisory: None })).unwrap();
}

#[test]
fn a_removed_party_sees_and_does_nothing_more_and_its_embargo_stands() {
    let mut state = case();
    state.apply(&event(4, OTHER, message("still here"))).unwrap();
    state.apply(&event(5, COORDINATOR, removed(OTHER))).unwrap();
    assert!(state.seen_by(OTHER).is_none());
    let Party::Organisation(other) = OTHER else { panic!("an organisation") };
    let reader = ostrom_core::handling::Reader {
        organisation: Some(other),
        ..ostrom_core::handling::Reader::anonymous(true)
    };
    assert_eq!(state.party_of(&reader), None);
    assert!(!state.policy().decide(&reader, at(5)).allowed());
    assert_eq!(state.apply(&event(6, OTHER, message("and now?"))), Err(Refused::NotYours));
    assert_eq!(state.apply(&event(6, COORDINATOR, message_to(&[OTHER], "x"))), Err(Refused::NoSuchParty));
    assert_eq!(state.apply(&event(6, COORDINATOR, removed(OTHER))), Err(Refused::NoSuchParty));
    assert!(matches!(
        state.apply(&event(6, COORDINATOR, invited(OTHER, Role::Vendor))),
        Err(Refused::Already(_))
    ));
    // What it said stays said, and nobody publishes earlier for it.
    let view = serde_json::to_string(&state.seen_by(COORDINATOR).unwrap()).unwrap();
    assert!(view.contains("still here") && view.contains("by mistake"));
    assert!(!serde_json::to_string(&state.seen_by(REPORTER).unwrap()).unwrap().contains("by mistake"));
    assert_eq!(state.embargo_end(), Some(at(243)));
    assert!(!state.due().iter().any(|due| due.party == OTHER));
    // A vendor that did not know of it does not learn of it now.
    assert!(!serde_json::to_string(&state.seen_by(VENDOR).unwrap()).unwrap().contains("dddd0004"));
    for (by, party) in [(VENDOR, OTHER), (REPORTER, VENDOR)] {
        assert_eq!(state.clone().apply(&event(7, by, removed(party))), Err(Refused::NotYours));
    }
    for party in [COORDINATOR, REPORTER] {
        assert!(matches!(state.apply(&event(7, COORDINATOR, removed(party))), Err(Refused::NotYet(_))));
    }
}

#[test]
fn who_may_do_what() {
    let state = case();
    let publish = || What::Published { advisory: None };
    let broke = || What::BrokeEarly { by: None, place: "a blog".to_owned() };
    for (by, what, refused) in [
        (REPORTER, triaged(), Refused::NotYours),
        (VENDOR, invited(THIRD, Role::Vendor), Refused::NotYours),
        (VENDOR, notified(OTHER), Refused::NotYours),
        (REPORTER, What::Acknowledged, Refused::NotYours),
        (REPORTER, What::FixReady { note: String::new() }, Refused::NotYours),
        (COORDINATOR, What::ReleaseAgreed, Refused::NotYours),
        (VENDOR, broke(), Refused::NotYours),
        (VENDOR, publish(), Refused::NotYours),
        (REPORTER, What::Withdrawn { why: "no".to_owned() }, Refused::NotYours),
        (COORDINATOR, What::Expired { end: at(243) }, Refused::NotYours),
        (THIRD, message("hello"), Refused::NotYours),
        (COORDINATOR, invited(THIRD, Role::Reporter), Refused::NotAParty),
        (COORDINATOR, invited(VENDOR, Role::Vendor), Refused::PartyAlready),
        (COORDINATOR, notified(THIRD), Refused::NoSuchParty),
        (COORDINATOR, What::Transferred { to: THIRD }, Refused::NoSuchParty),
    ] {
        let mut state = state.clone();
        assert_eq!(state.apply(&event(9, by, what.clone())), Err(refused), "{what:?}");
    }
}

#[test]
fn a_vendor_cannot_tell_another_vendor_from_nobody() {
    let state = case();
    let refuse = |what| state.clone().apply(&event(9, VENDOR, what)).unwrap_err();
    assert_eq!(refuse(message_to(&[OTHER], "hello")), refuse(message_to(&[THIRD], "hello")));
    let reveal = |party| What::NameRevealed { party: VENDOR, to: BTreeSet::from([party]) };
    assert_eq!(refuse(reveal(OTHER)), refuse(reveal(THIRD)));
}

#[test]
fn a_vendor_sees_another_only_once_it_is_named() {
    let mut state = case();
    for (by, what) in [
        (OTHER, message("from the other")),
        (COORDINATOR, message_to(&[VENDOR, OTHER], "to both")),
        (COORDINATOR, message_to(&[OTHER], "to the other")),
        (REPORTER, message("from the reporter")),
    ] {
        state.apply(&event(5, by, what)).unwrap();
    }
    let texts = |state: &State, party| {
        let view = state.seen_by(party).unwrap();
        let text = |event: SeenEvent| match event.what {
            What::Message { text, .. } => Some(text),
            _ => None,
        };
        view.events.into_iter().filter_map(text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&state, VENDOR), ["to both", "from the reporter"]);
    assert_eq!(texts(&state, COORDINATOR).len(), 4);
    let view = serde_json::to_string(&state.seen_by(VENDOR).unwrap()).unwrap();
    assert!(!view.contains("dddd0004"), "{view}");
    assert_eq!(state.seen_by(VENDOR).unwrap().embargo_end, Some(at(242)));

    let to = BTreeSet::from([VENDOR]);
    state.apply(&event(6, COORDINATOR, What::NameRevealed { party: OTHER, to })).unwrap();
    assert_eq!(texts(&state, VENDOR), ["from the other", "to both", "from the reporter"]);
    let parties = state.seen_by(VENDOR).unwrap().parties;
    let other = parties.iter().find(|seen| seen.party == Some(OTHER)).unwrap();
    assert_eq!(other.notified, None, "a vendor's progress is not for another vendor");
    // It works one way only.
    assert!(!serde_json::to_string(&state.seen_by(OTHER).unwrap()).unwrap().contains("cccc0003"));
}

#[test]
fn an_anonymous_reporter_is_a_role_to_vendors() {
    let mut state = State::open(&received(true, false)).unwrap();
    for what in [triaged(), invited(VENDOR, Role::Vendor), notified(VENDOR)] {
        state.apply(&event(1, COORDINATOR, what)).unwrap();
    }
    state.apply(&event(2, REPORTER, message("it is bad"))).unwrap();
    let view = state.seen_by(VENDOR).unwrap();
    assert!(view.events.iter().any(|seen| seen.by == SeenActor::Role(Role::Reporter)));
    assert!(!serde_json::to_string(&view).unwrap().contains("aaaa0001"));
    let reveal = What::NameRevealed { party: REPORTER, to: BTreeSet::from([VENDOR]) };
    assert_eq!(state.apply(&event(3, COORDINATOR, reveal.clone())), Err(Refused::NotYours));
    state.apply(&event(3, REPORTER, reveal)).unwrap();
    assert!(serde_json::to_string(&state.seen_by(VENDOR).unwrap()).unwrap().contains("aaaa0001"));
}

#[test]
fn what_is_due() {
    let state = State::open(&received(false, false)).unwrap();
    assert_eq!(state.due(), [Due { kind: DueKind::Triage, party: COORDINATOR, at: at(5 * 24) }]);
    let due: Vec<_> = case().due().into_iter().map(|due| (due.kind, due.party, due.at)).collect();
    let expect = [
        (DueKind::Acknowledge, VENDOR, at(2 + 7 * 24)),
        (DueKind::Embargo, VENDOR, at(242)),
        (DueKind::Acknowledge, OTHER, at(3 + 7 * 24)),
        (DueKind::Embargo, OTHER, at(243)),
        (DueKind::Publish, COORDINATOR, at(243)),
    ];
    assert_eq!(due, expect);
}

#[test]
fn a_transferred_case_is_led_by_another_coordinator() {
    let mut state = case();
    state.apply(&event(5, COORDINATOR, invited(THIRD, Role::Coordinator))).unwrap();
    state.apply(&event(6, COORDINATOR, What::Transferred { to: THIRD })).unwrap();
    assert_eq!(state.lead(), THIRD);
    let back = What::Transferred { to: COORDINATOR };
    assert_eq!(state.apply(&event(7, COORDINATOR, back.clone())), Err(Refused::NotYours));
    state.apply(&event(7, THIRD, back)).unwrap();
}

fn party() -> impl Strategy<Value = Party> {
    prop::sample::select(ALL.to_vec())
}

fn parties() -> impl Strategy<Value = BTreeSet<Party>> {
    prop::collection::btree_set(party(), 1..4)
}

fn what() -> impl Strategy<Value = What> {
    let roles = vec![Role::Coordinator, Role::Vendor, Role::OtherVendor];
    let text = "[a-z]{1,8}";
    prop_oneof![
        1 => Just(triaged()),
        3 => (party(), prop::sample::select(roles)).prop_map(|(party, role)| What::PartyInvited { party, role }),
        3 => (party(), prop::option::of(1_i64..600)).prop_map(|(party, end)| What::Notified { party, embargo: end.map(at) }),
        2 => Just(What::Acknowledged),
        8 => text.prop_map(|text| What::FixReady { note: text }),
        1 => Just(What::ReleaseAgreed),
        4 => (prop::option::of(parties()), text).prop_map(|(to, text)| What::Message {
            to: to.map_or(To::All, To::Parties),
            text,
        }),
        2 => (party(), 1_i64..900).prop_map(|(party, until)| What::EmbargoExtended {
            party,
            until: at(until),
            why: "more time".to_owned(),
        }),
        3 => (party(), parties()).prop_map(|(party, to)| What::NameRevealed { party, to }),
        1 => (prop::option::of(party()), Just("a blog".to_owned())).prop_map(|(by, place)| What::BrokeEarly { by, place }),
        1 => Just(What::Published { advisory: None }),
        1 => Just(What::Withdrawn { why: "a mistake".to_owned() }),
        1 => party().prop_map(|to| What::Transferred { to }),
        1 => prop::sample::select(vec![OTHER, THIRD]).prop_map(removed),
    ]
}

/// A case to which random things happened, as far as they may, with its clock ticking; and what was refused.
fn cases() -> impl Strategy<Value = (State, usize)> {
    let steps = prop::collection::vec((0_i64..40, party(), what(), any::<bool>()), 0..60);
    (any::<[bool; 2]>(), steps).prop_map(|([anonymous, automatic], steps)| {
        let mut state = State::open(&received(anonymous, automatic)).unwrap();
        let (mut hours, mut refused) = (0, 0);
        for (pass, by, what, tick) in steps {
            hours += pass;
            if tick {
                for event in state.overdue_events(at(hours)) {
                    state.apply(&event).expect("what the clock adds may happen");
                }
            }
            // Coordinators do most of it.
            let by = if matches!(what, What::Message { .. }) || hours % 3 == 0 { by } else { COORDINATOR };
            let by = match what {
                What::Acknowledged | What::FixReady { .. } | What::ReleaseAgreed if by == COORDINATOR => {
                    VENDOR
                }
                _ => by,
            };
            let before = state.clone();
            if state.apply(&event(hours, by, what)).is_err() {
                assert_eq!(state, before, "a refused event left something behind");
                refused += 1;
            }
        }
        (state, refused)
    })
}

/// The case as it would be if what `viewer` does not see had never happened.
fn without_hidden(state: &State, viewer: Party) -> State {
    let mut events = state.log().iter();
    let mut reduced = State::open(events.next().unwrap()).unwrap();
    let unknown = |party: &Party| {
        let view = state.seen_by(viewer).unwrap();
        let named = |seen: &SeenParty| seen.party == Some(*party);
        !view.parties.iter().any(named)
    };
    for event in events.filter(|event| state.sees(viewer, event)) {
        let mut event = event.clone();
        match &mut event.what {
            What::Message { to: To::Parties(to), .. } | What::NameRevealed { to, .. } => {
                to.retain(|party| !unknown(party))
            }
            What::BrokeEarly { by, .. } => *by = by.filter(|party| !unknown(party)),
            What::Published { .. } if event.by == Actor::Node => {
                // The end of the embargo is hidden, and in this case it may be another.
                if reduced.has_expired() {
                } else if let Some(end) = reduced.embargo_end() {
                    let expired = Event { what: What::Expired { end }, ..event.clone() };
                    reduced.apply(&expired).unwrap();
                } else {
                    event.by = Actor::Party(reduced.lead());
                }
            }
            _ => {}
        }
        reduced.apply(&event).unwrap_or_else(|error| panic!("{event:?} depends on what is hidden: {error}"));
    }
    reduced
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_view_is_the_same_without_what_is_hidden((state, _) in cases()) {
        for viewer in ALL {
            let Some(view) = state.seen_by(viewer) else { continue };
            let reduced = without_hidden(&state, viewer);
            // Without any embargo left, the coordinator had to publish in the node's place.
            let bytes = |mut view: View| {
                for seen in &mut view.events {
                    if matches!(seen.what, What::Published { .. }) {
                        seen.by = SeenActor::Node;
                    }
                }
                serde_json::to_string(&view).unwrap()
            };
            let (bytes, again) = (bytes(view), bytes(reduced.seen_by(viewer).unwrap()));
            prop_assert_eq!(bytes, again);
        }
    }

    #[test]
    fn a_view_names_only_those_whom_the_viewer_is_to_know((state, _) in cases()) {
        for viewer in ALL {
            let Some(view) = state.seen_by(viewer) else { continue };
            let json = serde_json::to_string(&view).unwrap();
            for party in ALL {
                let id = match party {
                    Party::Organisation(id) => id.to_string(),
                    Party::Person(id) => id.to_string(),
                    Party::Group(id) => id.to_string(),
                };
                if state.members().contains_key(&party) && json.contains(&id) {
                    let coordinator = |party| state.members()[&party].role == Role::Coordinator;
                    let named = state.log().iter().any(|event| matches!(&event.what,
                        What::NameRevealed { party: named, to } if *named == party && to.contains(&viewer)));
                    let roles = (state.members()[&viewer].role, state.members()[&party].role);
                    let by_role = matches!(roles, (Role::Reporter, Role::Vendor))
                        || (roles.0.is_vendor() && roles.1 == Role::Reporter);
                    prop_assert!(party == viewer || coordinator(viewer) || coordinator(party) || named || by_role);
                }
            }
        }
    }

    #[test]
    fn nothing_but_messages_and_names_after_the_end((state, _) in cases()) {
        let mut log = state.log().iter().skip_while(|event| {
            !matches!(event.what, What::Published { .. } | What::Withdrawn { .. })
        });
        log.next();
        for event in log {
            prop_assert!(matches!(event.what, What::Message { .. } | What::NameRevealed { .. }), "{event:?}");
        }
    }

    #[test]
    fn nobody_publishes_before_the_longest_embargo_unless_it_was_broken_or_released((state, _) in cases()) {
        let mut embargoes = std::collections::BTreeMap::new();
        let mut broken = false;
        for event in state.log() {
            match (&event.what, event.by) {
                (What::Notified { party, embargo }, _) if !broken => {
                    embargoes.insert(*party, embargo.unwrap_or(event.at.plus_seconds(10 * 86_400)));
                }
                (What::EmbargoExtended { party, until, .. }, _) => {
                    let before = embargoes.insert(*party, *until);
                    prop_assert!(before.is_some_and(|before| before < *until), "an embargo was shortened");
                }
                (What::ReleaseAgreed, Actor::Party(party)) => drop(embargoes.remove(&party)),
                (What::BrokeEarly { .. }, _) => broken = true,
                (What::Published { .. }, _) => {
                    prop_assert!(broken || embargoes.values().all(|end| event.at >= *end));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_replay_gives_the_same_case_and_a_second_one_changes_nothing((state, _) in cases(), changed in any::<prop::sample::Index>()) {
        let mut again = State::replay(state.log()).unwrap();
        prop_assert_eq!(&again, &state);
        for (number, event) in state.log().iter().enumerate() {
            let event = Event::from_slice(event.to_json().unwrap().as_bytes()).unwrap();
            again.catch_up(number + 1, &event).unwrap();
        }
        prop_assert_eq!(&again, &state);
        let number = changed.index(state.log().len());
        let other = Event { at: state.log()[number].at.plus_seconds(1), ..state.log()[number].clone() };
        prop_assert_eq!(again.catch_up(number + 1, &other), Err(Refused::Diverged(number + 1)));
        prop_assert!(again.catch_up(state.log().len() + 2, &other).is_err());
    }

    #[test]
    fn what_the_clock_adds_may_happen_and_is_added_once((state, _) in cases(), hours in 0_i64..5_000) {
        let mut state = state;
        let now = state.log().last().unwrap().at.plus_seconds(hours * 3_600);
        for event in state.overdue_events(now) {
            state.apply(&event).unwrap();
        }
        prop_assert_eq!(state.overdue_events(now.plus_seconds(1)), []);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), flip in any::<(prop::sample::Index, u8)>()) {
        let _ = Event::from_slice(&bytes);
        let mut good = received(false, true).to_json().unwrap().into_bytes();
        prop_assert!(Event::from_slice(&good[..cut.index(good.len())]).is_err());
        let at = flip.0.index(good.len());
        good[at] = flip.1;
        if let Ok(event) = Event::from_slice(&good) {
            let _ = State::open(&event);
        }
    }
}

#[test]
fn the_random_cases_go_all_the_way() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let (state, _) = cases().new_tree(&mut runner).unwrap().current();
        seen.insert(state.phase());
        if state.log().iter().any(|event| event.by == Actor::Node) {
            seen.insert(Phase::Received);
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}
