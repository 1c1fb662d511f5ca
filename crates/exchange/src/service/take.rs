//! Taking objects in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ostrom_core::handling::Policy;
use ostrom_core::{Digest, ObjectId, OrgId, PeerId, PersonId, Timestamp};
use ostrom_store::{Collection, Kept, NewObject, Outcome as Put, Reading};
use serde_json::json;

use super::outcome::{Outcome, Refusal, ServiceError, Took};
use super::{Actor, Deed, Exchange, Who, strictness};
use crate::commitment::{self, Kind, Salt};
use crate::stix::marking::{self, Definition, Marker};
use crate::stix::{Class, Defect, Envelope, Object, check, class};

/// What is done with objects that depart from the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// They are refused.
    Strict,
    /// They are kept, with their defects on record. What has no usable id or cannot be read is refused all the same.
    Lenient,
}

/// An object that comes in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// It, or why it could not be read.
    pub object: Result<Object, Refusal>,
    /// What holds for it besides its marks: what a peer lets us do with it. It only restricts.
    pub limit: Option<Policy>,
    /// Whose it is, if not the actor's organisation's: what a peer sends belongs to whoever shared it there.
    pub owner: Option<OrgId>,
    /// What to keep beside it: where it comes from.
    pub provenance: Option<serde_json::Value>,
}

impl From<Object> for Incoming {
    fn from(object: Object) -> Self {
        Self { object: Ok(object), limit: None, owner: None, provenance: None }
    }
}

/// Runs what waits for a disk away from those who serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    let failed = |error: tokio::task::JoinError| ServiceError::Internal(error.to_string());
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// How many objects go into one transaction.
const BATCH: usize = 1000;

/// An object on its way.
struct Coming {
    index: usize,
    object: Object,
    defects: Vec<Defect>,
    own: Policy,
    owner: OrgId,
    provenance: Option<serde_json::Value>,
    downgrade: bool,
    salt: Option<Salt>,
    leaf: Option<u64>,
}

impl Exchange {
    /// Takes what a bundle, an envelope or a single object holds.
    ///
    /// # Errors
    /// If it is none of these, or the actor may not write there.
    pub async fn take_bytes(
        &self,
        actor: &Actor,
        collection: &Collection,
        bytes: &[u8],
        strictness: Strictness,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, ServiceError> {
        self.may_take(actor, collection, now)?;
        let envelope = Envelope::read(bytes, &self.limits)?;
        let incoming = envelope.items(&self.limits).map(|item| Incoming {
            object: item.object.map_err(Refusal::Unreadable),
            limit: None,
            owner: None,
            provenance: None,
        });
        self.take(actor, collection, incoming.collect(), strictness, now).await
    }

    /// Takes objects: each is checked, its marks are understood, a salted commitment to it enters the transparency log, and it is kept.
    /// What is taken is durable when this returns. The outcomes stand in the order of the objects.
    ///
    /// # Errors
    /// If the actor may not write there, or the store or the log fails; then the objects of the transaction under way are not kept
    /// (at most 1,000 at once), though commitments to them may be in the log.
    pub async fn take(
        &self,
        actor: &Actor,
        collection: &Collection,
        incoming: Vec<Incoming>,
        strictness: Strictness,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, ServiceError> {
        let organisation = self.may_take(actor, collection, now)?;
        let reading = self.store.reading(&actor.reader, now).await?;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(incoming.len());
        let mut checked = Vec::with_capacity(incoming.len());
        for (index, incoming) in incoming.into_iter().enumerate() {
            match examine(&incoming, strictness) {
                Ok(defects) => checked.push((index, incoming, defects)),
                Err(refusal) => outcomes.push(refused(index, incoming.object.as_ref().ok(), refusal)),
            }
        }
        let known = self.definitions(actor, &reading, &checked).await?;
        let mut coming = Vec::with_capacity(checked.len());
        for (index, incoming, defects) in checked {
            let Ok(object) = incoming.object else { continue };
            let owner = incoming.owner.unwrap_or(organisation);
            let author = match actor.who {
                Who::Person(person) if owner == organisation => Some(person),
                _ => None,
            };
            let is_marked = !object.facts().marks.is_empty() || object.kind() == "marking-definition";
            let Some(default) = collection.handling.clone().or_else(|| is_marked.then(|| unmarked(owner)))
            else {
                outcomes.push(refused(index, Some(&object), Refusal::Unmarked));
                continue;
            };
            let marked = marking::policy(&object, Marker { owner, author }, &default, &known);
            let own = incoming.limit.as_ref().map_or_else(|| marked.clone(), |limit| marked.and(limit));
            coming.push(Coming {
                index,
                object,
                defects,
                own,
                owner,
                provenance: incoming.provenance,
                downgrade: false,
                salt: None,
                leaf: None,
            });
        }
        while !coming.is_empty() {
            let rest = coming.split_off(coming.len().min(BATCH));
            let batch = std::mem::replace(&mut coming, rest);
            self.take_batch(actor, collection, batch, now, &mut outcomes).await?;
        }
        outcomes.sort_by_key(|outcome| outcome.index);
        Ok(outcomes)
    }

    /// Whether the actor may write there, and for whom.
    fn may_take(
        &self,
        actor: &Actor,
        collection: &Collection,
        now: Timestamp,
    ) -> Result<OrgId, ServiceError> {
        if !collection.readable(&actor.reader, now) || !actor.is_for(collection.id) {
            return Err(ServiceError::NotFound("collection"));
        }
        let by_node = matches!(actor.who, Who::Node | Who::Peer(_));
        match actor.organisation {
            Some(organisation)
                if actor.may_write() && (by_node || collection.writable(&actor.reader, now)) =>
            {
                Ok(organisation)
            }
            _ => Err(ServiceError::Forbidden("you may not write to this collection: ask an administrator")),
        }
    }

    /// What the definitions say that the objects are marked with: those in the store first, so that nobody can put another in the place of one that is seen.
    async fn definitions(
        &self,
        actor: &Actor,
        reading: &Reading,
        checked: &[(usize, Incoming, Vec<Defect>)],
    ) -> Result<BTreeMap<ObjectId, Definition>, ServiceError> {
        let objects = || checked.iter().filter_map(|(_, incoming, _)| incoming.object.as_ref().ok());
        let wanted: BTreeSet<&ObjectId> = objects()
            .flat_map(|object| &object.facts().marks)
            .filter(|id| marking::fixed_tlp(id).is_none())
            .collect();
        let wanted: Vec<ObjectId> = wanted.into_iter().cloned().collect();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut known = BTreeMap::new();
        for found in reading.objects(&wanted).await? {
            if let Ok(object) = Object::read(&found.body, &self.limits) {
                known.insert(object.id().clone(), marking::definition(&object));
            }
        }
        for object in
            objects().filter(|object| object.kind() == "marking-definition" && wanted.contains(object.id()))
        {
            let said = marking::definition(object);
            // Such a mark proves itself: its id follows from what it says.
            if matches!(said, Definition::Handling(_)) {
                known.insert(object.id().clone(), said);
                continue;
            }
            if known.contains_key(object.id()) {
                continue;
            }
            // The node itself sees what nobody may read; another one makes that this one is refused below, so it must not count.
            let digest = object.digest();
            let here =
                if actor.is_node() { self.store.custody().versions(object.id()).await? } else { Vec::new() };
            if here.iter().all(|kept| kept.digest == digest) {
                known.insert(object.id().clone(), said);
            }
        }
        Ok(known)
    }

    /// The versions that are here, as far as the actor knows: what is hidden from the actor must not be felt. The node itself knows all.
    async fn before(
        &self,
        actor: &Actor,
        batch: &[Coming],
        now: Timestamp,
    ) -> Result<HashMap<ObjectId, Vec<Kept>>, ServiceError> {
        let ids: BTreeSet<ObjectId> = batch.iter().map(|coming| coming.object.id().clone()).collect();
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        let custody = self.store.custody();
        if actor.is_node() {
            return Ok(custody.versions_of(&ids).await?);
        }
        Ok(custody.known_to(&actor.reader, now, &ids).await?)
    }

    async fn take_batch(
        &self,
        actor: &Actor,
        collection: &Collection,
        batch: Vec<Coming>,
        now: Timestamp,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), ServiceError> {
        // From here on nobody else writes: what was before stays so until this is done.
        let mut writing = self.store.writing(now).await?;
        let before = self.before(actor, &batch, now).await?;
        let mut taken = Vec::with_capacity(batch.len());
        // What this batch itself brings counts as being before, too.
        let mut brought: HashMap<ObjectId, Policy> = HashMap::new();
        for mut coming in batch {
            let versions = before.get(coming.object.id()).map_or(&[][..], Vec::as_slice);
            let place = Place { actor, now, collection, versions };
            let earlier = brought.get(coming.object.id()).cloned();
            match place.decide(&mut coming, earlier.as_ref()) {
                Decided::Take => {
                    brought.insert(coming.object.id().clone(), coming.own.clone());
                    taken.push(coming);
                }
                Decided::Same(version) => outcomes.push(same(&coming, version)),
                Decided::Refuse(refusal) => {
                    outcomes.push(refused(coming.index, Some(&coming.object), refusal))
                }
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let taken = self.commit_to(taken).await?;
        let peer = match actor.who {
            Who::Peer(peer) => Some(peer),
            _ => None,
        };
        let new =
            taken.iter().map(|coming| new_object(coming, collection, actor.reader.person, peer)).collect();
        let put = if actor.is_node() {
            writing.put(new).await?
        } else {
            writing.put_for(&actor.reader, new).await?
        };
        let mut count = 0;
        for (coming, put) in taken.iter().zip(put) {
            match put {
                Put::Taken { added, version } => {
                    count += 1;
                    outcomes.push(took(coming, version, Some(added)));
                }
                Put::Same { version } => outcomes.push(same(coming, version)),
                Put::Conflict => {
                    outcomes.push(refused(coming.index, Some(&coming.object), Refusal::Conflict))
                }
            }
        }
        writing.commit().await?;
        let mut deed = Deed::new(actor, "take", format!("collection {}", collection.id), now);
        deed.count = count;
        deed.first = taken.first().map(|coming| coming.object.id().to_string());
        deed.last = taken.last().map(|coming| coming.object.id().to_string());
        self.note(deed).await?;
        for coming in taken.iter().filter(|coming| coming.downgrade) {
            let mut deed = Deed::new(actor, "downgrade", coming.object.id().to_string(), now);
            deed.count = 1;
            deed.sha256 = Some(coming.object.digest());
            self.note(deed).await?;
        }
        Ok(())
    }

    /// Commits to each object in the transparency log, durably.
    async fn commit_to(&self, mut taken: Vec<Coming>) -> Result<Vec<Coming>, ServiceError> {
        let (log, salts) = (Arc::clone(&self.log), Arc::clone(&self.salts));
        blocking(move || {
            // A batch has few policies.
            let mut handlings: BTreeMap<Policy, Digest> = BTreeMap::new();
            for coming in &mut taken {
                let body = coming.object.digest();
                let salt = salts(coming.object.id(), &body)?;
                let handling = match handlings.get(&coming.own) {
                    Some(known) => *known,
                    None => {
                        let digest = ostrom_trust::digest_of(&coming.own);
                        let digest = digest.map_err(|error| ServiceError::Internal(error.to_string()))?;
                        handlings.insert(coming.own.clone(), digest);
                        digest
                    }
                };
                let record = commitment::commit(Kind::Object, &salt, &[body, handling]);
                coming.leaf = Some(log.append(record.as_bytes())?);
                coming.salt = Some(salt);
            }
            log.sync()?;
            Ok(taken)
        })
        .await?
    }
}

/// Whether it may come in as it is.
fn examine(incoming: &Incoming, strictness: Strictness) -> Result<Vec<Defect>, Refusal> {
    let object = incoming.object.as_ref().map_err(Clone::clone)?;
    let defects = check(object);
    if strictness == Strictness::Strict && !defects.is_empty() {
        return Err(Refusal::Defects(defects));
    }
    Ok(defects)
}

/// Stands in for a collection's default where it has none, for objects that have marks: a statement is none that anybody could read by.
fn unmarked(owner: OrgId) -> ostrom_core::handling::Handling {
    ostrom_core::handling::Handling::unreadable(
        owner,
        "no mark says who may read it, and the collection has no default",
    )
}

enum Decided {
    Take,
    Same(Timestamp),
    Refuse(Refusal),
}

/// Where an object would go, and what is there as far as the actor knows.
struct Place<'a> {
    actor: &'a Actor,
    now: Timestamp,
    collection: &'a Collection,
    versions: &'a [Kept],
}

impl Place<'_> {
    fn knows(&self, kept: &Kept) -> bool {
        self.actor.is_node() || kept.is_known_to(&self.actor.reader, self.now)
    }

    fn decide(&self, coming: &mut Coming, brought: Option<&Policy>) -> Decided {
        let digest = coming.object.digest();
        let here = || self.versions.iter().filter(|kept| kept.collection == self.collection.id);
        if is_shared(&coming.object) {
            return match here().find(|kept| kept.digest == digest && self.knows(kept)) {
                Some(kept) => Decided::Same(kept.version),
                None => Decided::Take,
            };
        }
        if class(coming.object.kind()) == Class::Marking {
            // A marking definition never changes: what it marks would mean something else.
            let known = || self.versions.iter().filter(|kept| self.knows(kept));
            if known().any(|kept| kept.digest != digest) {
                return Decided::Refuse(Refusal::Conflict);
            }
            let same = known().find(|kept| kept.collection == self.collection.id);
            return same.map_or(Decided::Take, |kept| Decided::Same(kept.version));
        }
        if !self.versions.iter().all(|kept| self.knows(kept)) {
            // It is a colleague's, the only ones that are not left out: nobody opens what he cannot see.
            return Decided::Refuse(Refusal::NotOwner);
        }
        let Some(last) = self.versions.last() else {
            return self.compare(coming, brought);
        };
        if last.owner != coming.owner {
            return Decided::Refuse(Refusal::NotOwner);
        }
        let version = coming.object.facts().version();
        if let Some(kept) = here().find(|kept| Some(kept.version) == version) {
            return if kept.digest == digest {
                Decided::Same(kept.version)
            } else {
                Decided::Refuse(Refusal::Conflict)
            };
        }
        self.compare(coming, brought.or(Some(&last.own)))
    }

    /// Is it marked more openly than what was before?
    fn compare(&self, coming: &mut Coming, old: Option<&Policy>) -> Decided {
        let Some(old) = old else { return Decided::Take };
        let mut opened = strictness::opened(&coming.own, old).peekable();
        if opened.peek().is_none() {
            return Decided::Take;
        }
        if opened.any(|handling| handling.owner != coming.owner) {
            return Decided::Refuse(Refusal::Downgrade);
        }
        coming.downgrade = true;
        Decided::Take
    }
}

/// Whether its id follows from what it is, so that many may share it, each for itself.
pub(crate) fn is_shared(object: &Object) -> bool {
    class(object.kind()) == Class::Observable || object.facts().version().is_none()
}

fn new_object(
    coming: &Coming,
    collection: &Collection,
    person: Option<PersonId>,
    peer: Option<PeerId>,
) -> NewObject {
    let facts = coming.object.facts();
    let defects: Vec<String> = coming.defects.iter().map(ToString::to_string).collect();
    let aside = (!defects.is_empty() || coming.provenance.is_some()).then(|| {
        json!({ "defects": defects, "provenance": coming.provenance }).to_string().replace('\0', "")
    });
    NewObject {
        collection: collection.id,
        id: facts.id.clone(),
        version: facts.version(),
        spec_version: facts.spec_version.name().to_owned(),
        own: coming.own.clone(),
        references: facts.references.iter().cloned().collect(),
        shared: is_shared(&coming.object),
        owner: coming.owner,
        person,
        peer,
        body: coming.object.bytes().to_vec(),
        title: facts.title.clone(),
        text: facts.text.clone(),
        salt: coming.salt.map(|salt| salt.as_bytes().to_vec()),
        leaf: coming.leaf,
        aside,
    }
}

fn took(coming: &Coming, version: Timestamp, added: Option<Timestamp>) -> Outcome {
    let facts = coming.object.facts();
    Outcome {
        index: coming.index,
        id: Some(facts.id.clone()),
        version: facts.version(),
        result: Ok(Took {
            id: facts.id.clone(),
            version,
            added,
            leaf: added.and(coming.leaf),
            defects: coming.defects.clone(),
            unreadable: coming.own.handlings().find_map(|handling| handling.refused.clone()),
            downgrade: coming.downgrade,
        }),
    }
}

fn same(coming: &Coming, version: Timestamp) -> Outcome {
    took(coming, version, None)
}

fn refused(index: usize, object: Option<&Object>, refusal: Refusal) -> Outcome {
    Outcome {
        index,
        id: object.map(|object| object.id().clone()),
        version: object.and_then(|object| object.facts().version()),
        result: Err(refusal),
    }
}
