use std::collections::BTreeSet;
use std::sync::Arc;

use ostrom_core::handling::{Party, Reader};
use ostrom_core::{CaseId, OrgId, PersonId, Severity, Timestamp, Uuid};
use ostrom_store::testing::database;
use ostrom_store::{Organisation, Person, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, Options};

use super::*;

const COORDINATOR: u128 = 0xb;
const VENDOR: u128 = 0xc;
const OTHER: u128 = 0xd;
const REPORTERS: u128 = 0xa;
const REPORT: &[u8] = br#"{"name":"The model obeys web pages"}"#;

fn org(number: u128) -> OrgId {
    OrgId::new(Uuid::from_u128(number))
}

fn person(number: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(0x1000 + number))
}

fn party(number: u128) -> Party {
    Party::Organisation(org(number))
}

fn reader(number: u128) -> Reader {
    Reader {
        organisation: Some(org(number)),
        person: Some(person(number)),
        encrypted: true,
        ..Reader::default()
    }
}

fn at(hours: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(hours * 3_600)
}

struct World {
    cases: Cases,
    store: Store,
    log: Arc<Log>,
    folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&database(folder.path()).unwrap()).await.unwrap();
    let mut writing = store.writing(at(0)).await.unwrap();
    for number in [REPORTERS, COORDINATOR, VENDOR, OTHER] {
        let organisation = Organisation {
            id: org(number),
            name: format!("organisation {number}"),
            sectors: BTreeSet::new(),
            active: true,
            created: at(0),
        };
        writing.put_organisation(&organisation).await.unwrap();
        let member = Person {
            id: person(number),
            organisation: org(number),
            name: format!("person {number}"),
            email: format!("p{number}@example.org"),
            roles: BTreeSet::new(),
            active: true,
            created: at(0),
        };
        writing.put_person(&member).await.unwrap();
    }
    writing.commit().await.unwrap();
    let key = SecretKey::generate().unwrap();
    let log = Log::open(&folder.path().join("log"), key, "node.example/log", &Options::default()).unwrap();
    let log = Arc::new(log);
    World { cases: Cases::new(store.clone(), Arc::clone(&log)), store, log, folder }
}

impl World {
    async fn open(&self, automatic_release: bool) -> CaseId {
        let new = NewCase {
            title: "The model obeys web pages".to_owned(),
            report: REPORT.to_vec(),
            reporter: Party::Person(person(REPORTERS)),
            anonymous: false,
            coordinator: org(COORDINATOR),
            terms: Terms { automatic_release, embargo_days: 10, ..Terms::default() },
        };
        self.cases.open(&reader(REPORTERS), &new, at(1)).await.unwrap()
    }

    async fn act(&self, by: u128, case: CaseId, what: What, hours: i64) -> Result<View, CaseError> {
        self.cases.act(&reader(by), case, &what, at(hours)).await
    }

    /// A case whose two vendors were notified at hour 3.
    async fn notified(&self, automatic_release: bool) -> CaseId {
        let case = self.open(automatic_release).await;
        let triaged = What::Triaged { severity: Severity::High, note: String::new() };
        self.act(COORDINATOR, case, triaged, 2).await.unwrap();
        for (number, role) in [(VENDOR, Role::Vendor), (OTHER, Role::OtherVendor)] {
            let invited = What::PartyInvited { party: party(number), role };
            self.act(COORDINATOR, case, invited, 3).await.unwrap();
            let notified = What::Notified { party: party(number), embargo: None };
            self.act(COORDINATOR, case, notified, 3).await.unwrap();
        }
        case
    }

    async fn told(&self, number: u128, hours: i64) -> Vec<String> {
        let reading = self.store.reading(&reader(number), at(hours)).await.unwrap();
        let mut kinds: Vec<String> =
            reading.notifications(None, 100).await.unwrap().into_iter().map(|note| note.kind).collect();
        kinds.reverse();
        kinds
    }
}

#[tokio::test]
async fn a_case_is_for_its_parties_only() {
    let world = world().await;
    let case = world.open(false).await;
    assert!(world.cases.get(&reader(REPORTERS), case, at(2)).await.unwrap().is_some());
    assert_eq!(world.cases.get(&reader(VENDOR), case, at(2)).await.unwrap(), None);
    assert_eq!(world.cases.list(&reader(VENDOR), at(2)).await.unwrap(), []);
    let none = CaseId::new(Uuid::from_u128(1));
    let refused = |case| {
        let world = &world;
        async move { world.act(VENDOR, case, What::Acknowledged, 2).await.unwrap_err().to_string() }
    };
    assert_eq!(refused(case).await, refused(none).await);
}

#[tokio::test]
async fn vendors_do_not_see_each_other_and_hear_only_what_is_for_them() {
    let world = world().await;
    let case = world.notified(false).await;
    let message = |to: To| What::Message { to, text: "we are on it".to_owned() };
    world.act(OTHER, case, message(To::All), 5).await.unwrap();
    world.act(COORDINATOR, case, message(To::Parties(BTreeSet::from([party(OTHER)]))), 6).await.unwrap();
    let seen = world.cases.get(&reader(VENDOR), case, at(7)).await.unwrap().unwrap();
    assert_eq!(seen.changed, at(3));
    assert!(!serde_json::to_string(&seen).unwrap().contains("00000000000d"));
    assert_eq!(world.told(VENDOR, 7).await, ["case-party-invited", "case-notified"]);
    assert_eq!(world.told(OTHER, 7).await, ["case-party-invited", "case-notified", "case-message"]);
    // The list shows the time of what the vendor sees.
    assert_eq!(world.cases.list(&reader(VENDOR), at(7)).await.unwrap()[0].1.changed, at(3));
    // What is due is for whom it concerns.
    let due = |number| {
        let world = &world;
        async move {
            let reading = world.store.reading(&reader(number), at(7)).await.unwrap();
            reading.due_of(&format!("case/{case}")).await.unwrap().len()
        }
    };
    assert_eq!((due(VENDOR).await, due(COORDINATOR).await, due(REPORTERS).await), (2, 5, 0));
}

#[tokio::test]
async fn the_commitment_proves_the_report_and_is_opened_to_all_at_publication() {
    let world = world().await;
    let case = world.notified(false).await;
    let opening = world.cases.opening(&reader(COORDINATOR), case, at(4)).await.unwrap().unwrap();
    assert_eq!(opening.verify(&[REPORT], world.log.verifier()).unwrap(), 1);
    assert_eq!(world.cases.opening(&reader(VENDOR), case, at(4)).await.unwrap(), None);
    let report = |number| {
        let world = &world;
        async move { world.cases.report(&reader(number), case, at(4)).await.unwrap() }
    };
    assert_eq!(report(REPORTERS).await.unwrap().as_bytes(), REPORT);
    assert_eq!(report(VENDOR).await, None);

    for number in [VENDOR, OTHER] {
        world.act(number, case, What::ReleaseAgreed, 5).await.unwrap();
    }
    world.act(COORDINATOR, case, What::Published { advisory: None }, 6).await.unwrap();
    let opening = world.cases.opening(&reader(VENDOR), case, at(7)).await.unwrap().unwrap();
    let read = crate::commitment::Opening::from_slice(&opening.to_json().unwrap()).unwrap();
    read.verify(&[REPORT], world.log.verifier()).unwrap();
}

#[tokio::test]
async fn the_clock_releases_and_reminds_once() {
    let world = world().await;
    let case = world.notified(true).await;
    assert_eq!(world.cases.tick(at(4)).await.unwrap(), []);
    // Seven days after the notification, both are late.
    assert_eq!(world.cases.tick(at(3 + 7 * 24)).await.unwrap(), []);
    assert_eq!(world.cases.tick(at(4 + 7 * 24)).await.unwrap(), []);
    let told = world.told(VENDOR, 200).await;
    assert_eq!(told.iter().filter(|kind| *kind == "case-late-acknowledge").count(), 1, "{told:?}");

    assert_eq!(world.cases.tick(at(242)).await.unwrap(), []);
    let ticked = world.cases.tick(at(243)).await.unwrap();
    let kinds: Vec<_> = ticked.iter().flat_map(|ticked| &ticked.events).map(|event| &event.what).collect();
    assert!(matches!(kinds[..], [What::Expired { .. }, What::Published { .. }]), "{kinds:?}");
    assert_eq!(world.cases.tick(at(244)).await.unwrap(), []);
    let seen = world.cases.get(&reader(VENDOR), case, at(245)).await.unwrap().unwrap();
    assert_eq!(seen.phase, Phase::Published);
    assert!(world.store.custody().due_subjects("case/", at(9_999), None, 10).await.unwrap().is_empty());
    assert_eq!(world.told(VENDOR, 245).await.last().unwrap(), "case-published");
}

#[tokio::test]
async fn those_who_write_at_once_all_get_their_turn() {
    let world = Arc::new(world().await);
    let case = world.notified(false).await;
    let tasks: Vec<_> = (0..12_u32)
        .map(|number| {
            let world = Arc::clone(&world);
            let by = if number % 2 == 0 { VENDOR } else { COORDINATOR };
            tokio::spawn(async move {
                let what = What::Message { to: To::All, text: format!("message {number}") };
                world.act(by, case, what, 5).await.map(drop)
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let seen = world.cases.get(&reader(COORDINATOR), case, at(6)).await.unwrap().unwrap();
    assert_eq!(seen.events.iter().filter(|event| matches!(event.what, What::Message { .. })).count(), 12);
}

#[tokio::test]
async fn a_case_is_the_same_after_a_restart() {
    let world = world().await;
    let case = world.notified(false).await;
    let before = world.cases.get(&reader(COORDINATOR), case, at(9)).await.unwrap();
    world.store.close().await;
    let store = Store::open(&database(world.folder.path()).unwrap()).await.unwrap();
    let again = Cases::new(store, Arc::clone(&world.log));
    assert_eq!(again.get(&reader(COORDINATOR), case, at(9)).await.unwrap(), before);
}

#[tokio::test]
async fn strangers_open_no_cases_and_reports_have_bounds() {
    let world = world().await;
    let new = NewCase {
        title: "x".to_owned(),
        report: vec![b'x'; (256 << 10) + 1],
        reporter: Party::Person(person(REPORTERS)),
        anonymous: false,
        coordinator: org(COORDINATOR),
        terms: Terms::default(),
    };
    let long = world.cases.open(&reader(REPORTERS), &new, at(1)).await;
    assert!(matches!(long, Err(CaseError::Report)));
    let new = NewCase { report: b"{}".to_vec(), ..new };
    let stranger = world.cases.open(&reader(VENDOR), &new, at(1)).await;
    assert!(matches!(stranger, Err(CaseError::Refused(Refused::NotYours))));
    assert_eq!(world.log.size(), 0, "a case that was not opened left something in the log");
}
