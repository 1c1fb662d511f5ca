//! Nodes in folders, and wires between them that can be cut.

use std::sync::{Arc, Mutex};

use ostrom_core::handling::{Handling, Party, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, Digest, ObjectId, OrgId, PeerId, Timestamp, Uuid};
use ostrom_store::testing::database;
use ostrom_store::{Collection, Kept, NewObject, Organisation, Peer, PeerState, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Log, Options};

use crate::commitment::{Kind, Salt, commit};
use crate::federation::*;
use crate::stix::Limits;

pub const COLLECTION: CollectionId = CollectionId::new(Uuid::from_u128(0xc0));

pub fn org(number: usize) -> OrgId {
    OrgId::new(Uuid::from_u128(0x100 + number as u128))
}

pub fn reader(number: usize) -> Reader {
    Reader { organisation: Some(org(number)), encrypted: true, ..Reader::default() }
}

pub fn at(hours: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(hours * 3_600)
}

pub fn peer_id(number: usize) -> PeerId {
    PeerId::new(Uuid::from_u128(0x200 + number as u128))
}

pub fn name(number: usize) -> String {
    format!("node{number}.example/log")
}

pub fn id(number: u128) -> ObjectId {
    ObjectId::new("vulnerability", Uuid::from_u128(number)).unwrap()
}

/// Owned by node `number`, for these organisations, or with none for everybody.
pub fn policy(number: usize, to: &[usize]) -> Policy {
    let tlp = if to.is_empty() { Tlp::Clear } else { Tlp::Amber };
    let audience = to.iter().map(|number| Party::Organisation(org(*number))).collect();
    Policy::new([Handling { audience, ..Handling::new(org(number), tlp) }])
}

pub struct Node {
    pub number: usize,
    pub store: Store,
    pub log: Arc<Log>,
    pub key: Arc<SecretKey>,
    folder: Arc<tempfile::TempDir>,
}

impl Node {
    pub async fn new(number: usize) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let key = Arc::new(SecretKey::generate().unwrap());
        let node = Self::open(number, folder, key).await;
        let mut writing = node.store.writing(at(0)).await.unwrap();
        for number in 0..4 {
            let organisation = Organisation {
                id: org(number),
                name: format!("organisation {number}"),
                sectors: Default::default(),
                active: true,
                created: at(0),
            };
            writing.put_organisation(&organisation).await.unwrap();
        }
        let collection = Collection {
            id: COLLECTION,
            alias: None,
            title: "shared".to_owned(),
            description: String::new(),
            may_read: None,
            may_write: None,
            handling: None,
            media_types: Vec::new(),
            created: at(0),
        };
        writing.put_collection(&collection).await.unwrap();
        writing.commit().await.unwrap();
        node
    }

    async fn open(number: usize, folder: Arc<tempfile::TempDir>, key: Arc<SecretKey>) -> Self {
        let store = Store::open(&database(folder.path()).unwrap()).await.unwrap();
        let log = Log::open(&folder.path().join("log"), Arc::clone(&key), &name(number), &Options::default());
        Self { number, store, log: Arc::new(log.unwrap()), key, folder }
    }

    /// The same node after its process has ended.
    pub async fn restart(self) -> Self {
        let Self { number, store, log, key, folder } = self;
        store.close().await;
        drop(log);
        Self::open(number, folder, key).await
    }

    pub fn peer_key(&self) -> PeerKey {
        PeerKey::new(&name(self.number), &self.key.public()).unwrap()
    }

    /// Makes `other` a peer of this node, within these limits.
    pub async fn trust(&self, other: &Self, limits: Option<Policy>) {
        let peer = Peer {
            id: peer_id(other.number),
            url: format!("https://node{}.example", other.number),
            name: name(other.number),
            public_key: other.peer_key().to_string(),
            organisation: Some(org(other.number)),
            limits,
            cursor: None,
            checkpoint: None,
            state: PeerState::Active,
            tried: None,
            succeeded: None,
            problem: None,
            created: at(0),
        };
        let mut writing = self.store.writing(at(0)).await.unwrap();
        writing.put_peer(&peer).await.unwrap();
        writing.commit().await.unwrap();
    }

    pub fn body(id: &ObjectId, version: Timestamp, marks: &str) -> Vec<u8> {
        format!(
            r#"{{"type":"vulnerability","spec_version":"2.1","id":"{id}","created":"{}","modified":"{version}","name":"v"{marks}}}"#,
            at(0)
        )
        .into_bytes()
    }

    /// Puts an object of the node's own here.
    pub async fn write(&self, id: &ObjectId, version: Timestamp, own: &Policy, now: Timestamp) {
        self.write_raw(id, version, own, Self::body(id, version, ""), None, now).await;
    }

    pub async fn write_raw(
        &self,
        id: &ObjectId,
        version: Timestamp,
        own: &Policy,
        body: Vec<u8>,
        aside: Option<String>,
        now: Timestamp,
    ) {
        let salt = Salt::generate().unwrap();
        let parts = [Digest::of(&body), ostrom_trust::digest_of(own).unwrap()];
        let leaf = self.log.append(commit(Kind::Object, &salt, &parts).as_bytes()).unwrap();
        let read = crate::stix::Object::read(&body, &Limits::default());
        let references =
            read.map_or_else(|_| Vec::new(), |read| read.facts().references.iter().cloned().collect());
        let object = NewObject {
            collection: COLLECTION,
            id: id.clone(),
            version: Some(version),
            spec_version: "2.1".to_owned(),
            own: own.clone(),
            references,
            shared: false,
            owner: org(self.number),
            person: None,
            peer: None,
            body,
            title: "v".to_owned(),
            text: String::new(),
            salt: Some(salt.as_bytes().to_vec()),
            leaf: Some(leaf),
            aside,
        };
        let mut writing = self.store.writing(now).await.unwrap();
        writing.put(vec![object]).await.unwrap();
        writing.commit().await.unwrap();
    }

    pub async fn remove(&self, id: &ObjectId, now: Timestamp) {
        let mut writing = self.store.writing(now).await.unwrap();
        writing.remove(COLLECTION, id, None, Some("a mistake")).await.unwrap();
        writing.commit().await.unwrap();
    }

    pub async fn kept(&self, id: &ObjectId) -> Vec<Kept> {
        self.store.custody().versions(id).await.unwrap()
    }

    /// A wire over which node `to` reaches this one.
    pub fn wire(&self, to: usize, now: Timestamp) -> Wire {
        let server = Server::new(self.store.clone(), Arc::clone(&self.log), Arc::clone(&self.key));
        let store = self.store.clone();
        Wire { server, store, to, now, faults: Mutex::default(), change: Box::new(|page| page) }
    }

    pub async fn pull(&self, wire: &Wire, from: usize) -> Result<Pulled, PullError> {
        let (store, log, key) = (self.store.clone(), Arc::clone(&self.log), Arc::clone(&self.key));
        let puller = Puller::new(store, log, key, COLLECTION, Limits::default());
        puller.pull(peer_id(from), wire, wire.now).await
    }

    pub async fn peer(&self, from: usize) -> Peer {
        self.store.peer(peer_id(from)).await.unwrap().unwrap()
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered.
    None,
    /// It does not arrive.
    Cut,
    /// Its answer does not arrive.
    Lost,
    /// Half of its answer arrives.
    Half,
}

pub struct Wire {
    pub server: Server,
    pub store: Store,
    pub to: usize,
    pub now: Timestamp,
    /// What becomes of the next requests, the last first.
    pub faults: Mutex<Vec<Fault>>,
    /// What somebody in between does to answers.
    pub change: Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>,
}

impl Transport for Wire {
    async fn fetch(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
        let fault = self.faults.lock().unwrap().pop().unwrap_or(Fault::None);
        let cut = || TransportError("cut".to_owned());
        if fault == Fault::Cut {
            return Err(cut());
        }
        let reading = self.store.reading(&reader(self.to), self.now).await.unwrap();
        let mut page =
            self.server.serve(&reading, request).await.map_err(|error| TransportError(error.to_string()))?;
        match fault {
            Fault::Lost => Err(cut()),
            Fault::Half => {
                page.truncate(page.len() / 2);
                Ok(page)
            }
            _ => Ok((self.change)(page)),
        }
    }
}
