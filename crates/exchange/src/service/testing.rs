//! A node to try things on.

use std::sync::Arc;
use std::time::Duration;

use ostrom_core::handling::{Handling, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, Digest, OrgId, PersonId, Timestamp, Uuid};
use ostrom_store::testing::Postgres;
use ostrom_store::{Collection, Config, Role, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Durability, Log, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Actor, Audit, Exchange};
use crate::commitment::Salt;
use crate::stix::Limits;
use crate::stix::marking::tlp_id;
use crate::taxii::STIX_MEDIA_TYPE;

pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n | (4 << 76) | (2 << 62))
}

pub(crate) fn org(n: u128) -> OrgId {
    OrgId::new(uuid(n))
}

pub(crate) fn person(n: u128) -> PersonId {
    PersonId::new(uuid(n))
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_700_000_000 + seconds)
}

/// Person `n` of organisation `n`.
pub(crate) fn member(n: u128) -> Reader {
    Reader { organisation: Some(org(n)), person: Some(person(n)), ..Reader::anonymous(true) }
}

/// Who writes for organisation `n`.
pub(crate) fn contributor(n: u128) -> Actor {
    Actor::person(person(n), [Role::Contributor].into(), member(n))
}

pub(crate) struct Node {
    pub(crate) exchange: Exchange,
    /// For everybody to read and all members to write, with GREEN for what has no marks.
    pub(crate) collection: Collection,
    pub(crate) folder: TempDir,
    _postgres: Option<Postgres>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ostrom_store::testing::database(folder.path()).unwrap();
        Self::start_on(folder, &config, None).await
    }

    pub(crate) async fn start_on_postgres() -> Self {
        let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
        let config = postgres.url().parse().unwrap();
        Self::start_on(tempfile::tempdir().unwrap(), &config, Some(postgres)).await
    }

    async fn start_on(folder: TempDir, config: &Config, postgres: Option<Postgres>) -> Self {
        let store = Store::open(config).await.unwrap();
        let green = Handling::new(org(99), Tlp::Green);
        let collection = Collection {
            id: CollectionId::new(uuid(77)),
            alias: Some("all".to_owned()),
            title: "All".to_owned(),
            description: String::new(),
            may_read: None,
            may_write: Some(Policy::new([green.clone()])),
            handling: Some(green),
            media_types: vec![STIX_MEDIA_TYPE.to_owned()],
            created: at(0),
        };
        let mut writing = store.writing(at(0)).await.unwrap();
        writing.put_collection(&collection).await.unwrap();
        writing.commit().await.unwrap();
        let log = |name: &str| {
            let durability = Durability::Buffered { sync_every: Duration::from_secs(3600) };
            let options = Options { durability, ..Options::default() };
            let key = SecretKey::generate().unwrap();
            Arc::new(Log::open(&folder.path().join(name), key, &format!("test/{name}"), &options).unwrap())
        };
        let exchange = Exchange::new(store, log("log"), Some(Audit::new(log("audit"))), Limits::default());
        let salts = |id: &ostrom_core::ObjectId, _: &Digest| {
            Ok(Salt::from_bytes(*Digest::of(id.as_str().as_bytes()).as_bytes()))
        };
        Self { exchange: exchange.with_salts(Arc::new(salts)), collection, folder, _postgres: postgres }
    }

    /// What the audit log says was done.
    pub(crate) fn deeds(&self) -> Vec<Value> {
        let audit = self.exchange.audit().unwrap().log();
        audit.sync().unwrap();
        let entries = ostrom_trust::log::read(&self.folder.path().join("audit")).unwrap();
        entries.map(|entry| serde_json::from_slice(&entry.unwrap().bytes).unwrap()).collect()
    }
}

/// A vulnerability with this mark, whose version was made at this second.
pub(crate) fn flaw(n: u128, second: i64, tlp: Option<Tlp>) -> Value {
    let mut value = json!({
        "type": "vulnerability", "spec_version": "2.1", "id": format!("vulnerability--{}", uuid(1000 + n)),
        "created": at(0), "modified": at(second), "name": format!("Flaw {n}"),
    });
    if let Some(tlp) = tlp {
        value["object_marking_refs"] = json!([tlp_id(tlp)]);
    }
    value
}

pub(crate) fn envelope(objects: &[Value]) -> Vec<u8> {
    json!({ "objects": objects }).to_string().into_bytes()
}
