//! Worlds for tests: both databases, members, objects.
#![allow(dead_code, reason = "not every test file uses all of it")]

pub mod model;

use ostrom_core::handling::{Handling, Party, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, GroupId, ObjectId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_store::testing::Postgres;
use ostrom_store::{Collection, Config, NewObject, Outcome, Store};
use tempfile::TempDir;

/// A store, and what it stands on.
pub struct World {
    pub store: Store,
    pub config: Config,
    _folder: Option<TempDir>,
    _postgres: Option<Postgres>,
}

pub async fn sqlite() -> World {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::folder(folder.path());
    let store = Store::open(&config).await.unwrap();
    World { store, config, _folder: Some(folder), _postgres: None }
}

pub async fn postgres() -> World {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let config: Config = postgres.url().parse().unwrap();
    let store = Store::open(&config).await.unwrap();
    World { store, config, _folder: None, _postgres: Some(postgres) }
}

/// Makes of each function of a module, which takes a world, two tests: one for each database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::common::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::common::postgres().await).await;
            })*
        }
    };
}

pub fn org(n: u128) -> OrgId {
    OrgId::new(Uuid::from_u128(n))
}

pub fn person(n: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(n))
}

pub fn group(n: u128) -> GroupId {
    GroupId::new(Uuid::from_u128(n))
}

pub fn coll(n: u128) -> CollectionId {
    CollectionId::new(Uuid::from_u128(n))
}

pub fn id(kind: &str, n: u128) -> ObjectId {
    ObjectId::new(kind, Uuid::from_u128(n)).unwrap()
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(seconds)
}

/// Somebody of organisation `n`, who is person `n`.
pub fn member(n: u128) -> Reader {
    Reader { organisation: Some(org(n)), person: Some(person(n)), ..Reader::anonymous(true) }
}

pub fn anybody() -> Reader {
    Reader::anonymous(true)
}

pub fn tlp(owner: u128, tlp: Tlp) -> Policy {
    Policy::new([Handling::new(org(owner), tlp)])
}

pub fn clear() -> Policy {
    tlp(1, Tlp::Clear)
}

/// For organisation `n` (and organisation 1, the owner).
pub fn amber_to(n: u128) -> Policy {
    Policy::new([Handling {
        audience: [Party::Organisation(org(n))].into(),
        ..Handling::new(org(1), Tlp::AmberStrict)
    }])
}

pub fn collection(n: u128) -> Collection {
    Collection {
        id: coll(n),
        alias: Some(format!("c{n}")),
        title: format!("Collection {n}"),
        description: String::new(),
        may_read: None,
        may_write: None,
        handling: None,
        media_types: vec!["application/stix+json;version=2.1".to_owned()],
        created: at(0),
    }
}

/// An object of collection 1.
pub fn object(id: ObjectId, version: i64, own: Policy) -> NewObject {
    NewObject {
        collection: coll(1),
        version: Some(at(version)),
        spec_version: "2.1".to_owned(),
        own,
        references: Vec::new(),
        shared: false,
        owner: org(1),
        person: None,
        peer: None,
        body: format!("{{\"id\":\"{id}\",\"v\":{version}}}").into_bytes(),
        title: format!("Title of {id}"),
        text: String::new(),
        salt: None,
        leaf: None,
        aside: None,
        id,
    }
}

pub async fn add_collections(store: &Store, numbers: &[u128]) {
    let mut writing = store.writing(at(0)).await.unwrap();
    for n in numbers {
        writing.put_collection(&collection(*n)).await.unwrap();
    }
    writing.commit().await.unwrap();
}

/// Releases what has become free, and says how much that was.
pub async fn release(store: &Store, now: i64) -> usize {
    let mut writing = store.writing(at(now)).await.unwrap();
    let count = writing.release().await.unwrap();
    writing.commit().await.unwrap();
    count
}

pub async fn put(store: &Store, now: i64, objects: Vec<NewObject>) -> Vec<Outcome> {
    let mut writing = store.writing(at(now)).await.unwrap();
    let outcomes = writing.put(objects).await.unwrap();
    writing.commit().await.unwrap();
    outcomes
}
