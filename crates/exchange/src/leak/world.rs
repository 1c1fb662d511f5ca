//! Random worlds.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Embargo, Handling, Party, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, GroupId, ObjectId, OrgId, PersonId, Timestamp, TokenId};
use ostrom_store::{Collection, Error, NewObject, Role, Store, Token};
use serde_json::{Value, json};

use super::model::Place;
use super::random::Random;
use crate::service::{Actor, is_shared};
use crate::stix::marking::{self, Definition, Marker};
use crate::stix::{Limits, Object};
use crate::taxii::STIX_MEDIA_TYPE;

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Organisations, of two persons each.
    pub organisations: usize,
    /// Trust groups.
    pub groups: usize,
    /// Collections.
    pub collections: usize,
    /// Objects, of one to three versions each.
    pub objects: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { organisations: 3, groups: 2, collections: 2, objects: 18 }
    }
}

/// A version of an object in a collection.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) object: Object,
    pub(super) collection: CollectionId,
    pub(super) own: Policy,
    pub(super) owner: OrgId,
    pub(super) person: Option<PersonId>,
    pub(super) added: Timestamp,
}

impl Version {
    pub(super) fn version(&self) -> Timestamp {
        self.object.facts().version().unwrap_or(self.added)
    }

    pub(super) fn place(&self) -> Place {
        (self.collection, self.object.id().clone(), self.version())
    }
}

/// Members, and what they share.
#[derive(Debug, Clone)]
pub struct World {
    /// Who asks: somebody unknown, a person and a machine of every organisation, a client.
    pub actors: Vec<Actor>,
    /// The collections.
    pub collections: Vec<Collection>,
    /// The path of discovery.
    pub discovery: String,
    /// The path of the API root.
    pub root: String,
    /// A time at which some embargoes are over and others are not.
    pub now: Timestamp,
    versions: Vec<Version>,
}

/// Most times lie after this one.
const BEGIN: i64 = 1_700_000_000;

struct Members {
    organisations: Vec<OrgId>,
    persons: Vec<(OrgId, PersonId)>,
    groups: Vec<(GroupId, BTreeSet<OrgId>)>,
}

impl Members {
    fn parties(&self) -> Vec<Party> {
        let organisations = self.organisations.iter().copied().map(Party::Organisation);
        let persons = self.persons.iter().map(|(_, person)| Party::Person(*person));
        let groups = self.groups.iter().map(|(group, _)| Party::Group(*group));
        organisations.chain(persons).chain(groups).collect()
    }

    fn reader(&self, organisation: OrgId, person: Option<PersonId>, client_of: BTreeSet<OrgId>) -> Reader {
        let groups = self.groups.iter().filter(|(_, members)| members.contains(&organisation));
        Reader {
            organisation: Some(organisation),
            person,
            groups: groups.map(|(group, _)| *group).collect(),
            client_of,
            encrypted: true,
        }
    }
}

impl World {
    /// The world of this number.
    pub fn random(seed: u64, size: Size) -> Self {
        let mut random = Random::new(seed);
        let organisations: Vec<OrgId> = (0..size.organisations).map(|_| OrgId::new(random.uuid())).collect();
        let persons: Vec<(OrgId, PersonId)> = organisations
            .iter()
            .flat_map(|organisation| [*organisation, *organisation])
            .map(|organisation| (organisation, PersonId::new(random.uuid())))
            .collect();
        let groups = (0..size.groups)
            .map(|_| (GroupId::new(random.uuid()), random.some(&organisations, 50).into_iter().collect()))
            .collect();
        let members = Members { organisations, persons, groups };
        let collections = collections(&mut random, &members, size.collections);
        let now = Timestamp::EPOCH.plus_seconds(BEGIN + 500_000);
        let versions = versions(&mut random, &members, &collections, size.objects);
        let actors = actors(&mut random, &members);
        let (discovery, root) = ("/taxii2/".to_owned(), "/taxii2/api/".to_owned());
        Self { actors, collections, discovery, root, now, versions }
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter()
    }

    /// How many versions there are.
    pub const fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The ids of all objects.
    pub fn ids(&self) -> BTreeSet<&ObjectId> {
        self.versions.iter().map(|version| version.object.id()).collect()
    }

    /// Who wrote a version.
    pub(super) fn author(&self, version: &Version) -> Option<Reader> {
        let is_author =
            |reader: &&Reader| reader.organisation == Some(version.owner) && reader.person == version.person;
        self.actors.iter().map(|actor| &actor.reader).find(is_author).cloned()
    }

    /// Puts all but these versions into an empty store, at the same times whatever is left out, and releases those whose embargoes end before [`now`](Self::now).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn fill(&self, store: &Store, without: &BTreeSet<Place>) -> Result<(), Error> {
        let mut writing = store.writing(Timestamp::EPOCH).await?;
        for collection in &self.collections {
            writing.put_collection(collection).await?;
        }
        writing.commit().await?;
        let mut batches: BTreeMap<Timestamp, Vec<NewObject>> = BTreeMap::new();
        for version in self.versions().filter(|version| !without.contains(&version.place())) {
            let facts = version.object.facts();
            batches.entry(version.added).or_default().push(NewObject {
                collection: version.collection,
                id: facts.id.clone(),
                version: facts.version(),
                spec_version: facts.spec_version.name().to_owned(),
                own: version.own.clone(),
                references: facts.references.iter().cloned().collect(),
                shared: is_shared(&version.object),
                owner: version.owner,
                person: version.person,
                peer: None,
                body: version.object.bytes().to_vec(),
                title: facts.title.clone(),
                text: facts.text.clone(),
                salt: None,
                leaf: None,
                aside: None,
            });
        }
        for (added, objects) in batches {
            let mut writing = store.writing(added).await?;
            // A batch has one author.
            let author = self.versions().find(|version| version.added == added);
            match author.and_then(|version| self.author(version)) {
                Some(author) => writing.put_for(&author, objects).await?,
                None => writing.put(objects).await?,
            };
            writing.commit().await?;
        }
        // Some embargoes end one by one, others together.
        for seconds in [-450_000, -400_000, -200_000, 0] {
            let mut writing = store.writing(self.now.plus_seconds(seconds)).await?;
            writing.release().await?;
            writing.commit().await?;
        }
        Ok(())
    }
}

fn collections(random: &mut Random, members: &Members, count: usize) -> Vec<Collection> {
    (0..count)
        .map(|number| {
            // The first is for all; the others may be for some.
            let owner = random.pick(&members.organisations).copied().unwrap_or(OrgId::new(random.uuid()));
            let some = Handling {
                audience: random.some(&members.parties(), 40).into_iter().collect(),
                ..Handling::new(owner, Tlp::Amber)
            };
            Collection {
                id: CollectionId::new(random.uuid()),
                alias: Some(format!("collection-{number}")),
                title: format!("Collection {number}"),
                description: String::new(),
                may_read: (number > 0 && random.chance(60)).then(|| Policy::new([some])),
                may_write: Some(Policy::new([Handling::new(owner, Tlp::Green)])),
                handling: random.chance(70).then(|| Handling::new(owner, Tlp::Green)),
                media_types: vec![STIX_MEDIA_TYPE.to_owned()],
                created: Timestamp::EPOCH.plus_seconds(BEGIN),
            }
        })
        .collect()
}

/// Who writes, and how it is marked.
struct Author {
    owner: OrgId,
    person: PersonId,
}

fn handling(random: &mut Random, members: &Members, author: &Author) -> Handling {
    let parties = members.parties();
    let tlp = random.pick(&Tlp::ALL).copied().unwrap_or(Tlp::Red);
    let embargo = random.chance(30).then(|| Embargo {
        until: Timestamp::EPOCH.plus_seconds(BEGIN + i64::try_from(random.below(1_000_000)).unwrap_or(0)),
        parties: random.some(&parties, 20).into_iter().collect(),
    });
    let audience =
        if random.chance(50) { random.some(&parties, 30).into_iter().collect() } else { BTreeSet::new() };
    Handling { audience, embargo, ..Handling::new(author.owner, tlp) }
}

/// Marks for an object, and the definitions that they need.
fn marks(random: &mut Random, members: &Members, author: &Author) -> (Value, Vec<Value>) {
    let unknown = format!("marking-definition--{}", random.uuid());
    match random.below(10) {
        0 => (json!({}), Vec::new()),
        1 => (json!({ "object_marking_refs": [unknown] }), Vec::new()),
        2 => {
            let tlp = random.pick(&Tlp::ALL).copied().unwrap_or(Tlp::Red);
            let granular = json!([{ "selectors": ["name"], "marking_ref": marking::tlp_id(tlp) }]);
            (
                json!({ "object_marking_refs": [marking::tlp_id(Tlp::Clear)], "granular_markings": granular }),
                Vec::new(),
            )
        }
        3..=5 => {
            let tlp = random.pick(&Tlp::ALL[..4]).copied().unwrap_or(Tlp::Red);
            (json!({ "object_marking_refs": [marking::tlp_id(tlp)] }), Vec::new())
        }
        _ => match marking::marks(&handling(random, members, author)) {
            Ok(marks) => (json!({ "object_marking_refs": marks.refs }), marks.definitions),
            Err(_) => (json!({ "object_marking_refs": [unknown] }), Vec::new()),
        },
    }
}

fn versions(
    random: &mut Random,
    members: &Members,
    collections: &[Collection],
    count: usize,
) -> Vec<Version> {
    let kinds = ["vulnerability", "attack-pattern", "relationship", "report", "note", "x-thing", "software"];
    let mut ids: Vec<String> = Vec::new();
    for number in 0..count {
        // What not every world would have by chance comes first.
        let kind = ["incident", "sighting", "opinion"].get(number).or_else(|| random.pick(&kinds));
        let kind = kind.copied().unwrap_or("note");
        ids.push(format!("{kind}--{}", random.uuid()));
    }
    let mut values: Vec<(Author, CollectionId, Timestamp, Value)> = Vec::new();
    let mut definitions: BTreeMap<ObjectId, Definition> = BTreeMap::new();
    let mut added = BEGIN;
    let mut last = None;
    for id in &ids {
        let Some((mut owner, mut person)) = random.pick(&members.persons).copied() else { continue };
        let mut modified = BEGIN - 1_000_000;
        for _ in 0..=random.below(3) {
            let Some(collection) = random.pick(collections) else { continue };
            if random.chance(60) {
                added += 1 + i64::try_from(random.below(1000)).unwrap_or(0);
            }
            modified += 1 + i64::try_from(random.below(1000)).unwrap_or(0);
            // What many may share is shared by many.
            let another = random.pick(&members.persons).copied();
            if let (Some(another), true) = (another, id.starts_with("software")) {
                (owner, person) = another;
            }
            // A batch has one author.
            if last.replace(person) != Some(person) {
                added += 1;
            }
            let author = Author { owner, person };
            let (marks, needed) = marks(random, members, &author);
            let time = Timestamp::EPOCH.plus_seconds(added);
            for definition in needed {
                if let Some(object) = read(&definition) {
                    definitions.insert(object.id().clone(), marking::definition(&object));
                }
                let author = Author { owner, person };
                values.push((author, collection.id, time, definition));
            }
            let value = object(random, id, modified, &ids, marks);
            values.push((author, collection.id, time, value));
        }
    }
    let mut seen: BTreeSet<Place> = BTreeSet::new();
    let mut versions = Vec::new();
    for (author, collection, added, value) in values {
        let Some(object) = read(&value) else { continue };
        let default =
            collections.iter().find(|known| known.id == collection).and_then(|known| known.handling.clone());
        let default = default.unwrap_or_else(|| Handling::unreadable(author.owner, "no marks"));
        let marker = Marker { owner: author.owner, author: Some(author.person) };
        let own = marking::policy(&object, marker, &default, &definitions);
        let Author { owner, person } = author;
        let version = Version { object, collection, own, owner, person: Some(person), added };
        // A definition that several objects need is there once.
        if seen.insert(version.place()) {
            versions.push(version);
        }
    }
    versions
}

fn read(value: &Value) -> Option<Object> {
    Object::read(value.to_string().as_bytes(), &Limits::default()).ok()
}

fn object(random: &mut Random, id: &str, modified: i64, ids: &[String], marks: Value) -> Value {
    let at = |seconds: i64| Timestamp::EPOCH.plus_seconds(seconds);
    let mut other = || random.pick(ids).cloned().unwrap_or_default();
    let kind = id.split("--").next().unwrap_or_default();
    let mut value = json!({
        "type": kind, "spec_version": "2.1", "id": id, "created": at(BEGIN - 2_000_000), "modified": at(modified),
        "name": format!("{kind} {modified}"),
    });
    if let (Value::Object(map), "software") = (&mut value, kind) {
        map.retain(|name, _| name != "created" && name != "modified");
    }
    let rest = match kind {
        "relationship" => {
            json!({ "relationship_type": "related-to", "source_ref": other(), "target_ref": other() })
        }
        "sighting" => json!({ "sighting_of_ref": other(), "count": 2 }),
        "opinion" => json!({ "opinion": "agree", "explanation": "x", "object_refs": [other()] }),
        "report" | "note" => {
            json!({ "object_refs": [other(), other()], "content": "x", "published": at(modified) })
        }
        _ => json!({}),
    };
    if let Value::Object(map) = &mut value {
        for extra in [rest, marks] {
            if let Value::Object(extra) = extra {
                map.extend(extra);
            }
        }
    }
    value
}

fn actors(random: &mut Random, members: &Members) -> Vec<Actor> {
    let mut actors = vec![Actor::nobody(true), Actor::nobody(false)];
    for (organisation, person) in &members.persons {
        let reader = members.reader(*organisation, Some(*person), BTreeSet::new());
        actors.push(Actor::person(*person, [Role::Observer].into(), reader));
    }
    for organisation in &members.organisations {
        let token = Token {
            id: TokenId::new(random.uuid()),
            hash: ostrom_core::Digest::of(b""),
            organisation: *organisation,
            person: None,
            name: "a machine".to_owned(),
            scopes: ["read".to_owned()].into(),
            collections: None,
            created: Timestamp::EPOCH,
            expires: Timestamp::MAX,
            last_used: None,
            revoked: None,
        };
        actors.push(Actor::machine(&token, members.reader(*organisation, None, BTreeSet::new())));
    }
    // A member who has shared nothing, but is somebody's client.
    let (organisation, person) = (OrgId::new(random.uuid()), PersonId::new(random.uuid()));
    let client_of = members.organisations.iter().take(1).copied().collect();
    let reader = members.reader(organisation, Some(person), client_of);
    actors.push(Actor::person(person, [Role::Administrator].into(), reader));
    actors
}
