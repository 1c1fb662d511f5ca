//! What is written, to find out by it what is hidden: ids that are taken, ids that are guessed, references to what cannot be seen.

use std::collections::BTreeSet;

use ostrom_core::handling::{Reader, Tlp};
use ostrom_core::{ObjectId, Timestamp, TokenId, Uuid};
use ostrom_store::{Role, Token};
use serde_json::{Value, json};

use super::Question;
use super::random::Random;
use super::world::World;
use crate::service::{Actor, is_shared};
use crate::stix::marking;

/// Something that is sent to a server: where, and what.
#[derive(Debug, Clone)]
pub struct Post {
    /// The path.
    pub path: String,
    /// The envelope.
    pub body: Vec<u8>,
    /// What the server names the status after.
    pub id: Uuid,
}

impl World {
    /// Those of the actors who are persons of a member or its machines, with the right to write.
    pub fn writers(&self) -> Vec<Actor> {
        let mut writers = Vec::new();
        for actor in self.actors.iter().filter(|actor| actor.organisation.is_some()) {
            let reader: &Reader = &actor.reader;
            writers.push(match (reader.person, reader.organisation) {
                (None, Some(organisation)) => Actor::machine(
                    &Token {
                        id: TokenId::new(organisation.uuid()),
                        hash: ostrom_core::Digest::of(b""),
                        organisation,
                        person: None,
                        name: "a machine that writes".to_owned(),
                        scopes: ["read".to_owned(), "write".to_owned()].into(),
                        collections: None,
                        created: Timestamp::EPOCH,
                        expires: Timestamp::MAX,
                        last_used: None,
                        revoked: None,
                    },
                    reader.clone(),
                ),
                _ => Actor { roles: [Role::Contributor].into(), ..actor.clone() },
            });
        }
        writers
    }

    /// What a writer posts: under new ids and under each that is taken, referring to each and to some that are not there, and observables that others may have. What
    /// colleagues have is left out: within an organisation more is told.
    pub fn posts(&self, writer: &Actor) -> Vec<Post> {
        let number = |n: u64| Random::new(n).uuid();
        let marks = |n: u64| {
            let all = [Tlp::Clear, Tlp::Clear, Tlp::Green, Tlp::Amber];
            let tlp = Random::new(n).pick(&all).copied().unwrap_or(Tlp::Clear);
            json!([marking::tlp_id(tlp)])
        };
        let thing = |id: &str, modified: Timestamp, n: u64| {
            json!({ "type": id.split("--").next(), "spec_version": "2.1", "id": id, "created": Timestamp::EPOCH, "modified": modified,
                "name": format!("posted {n}"), "object_marking_refs": marks(n) })
        };
        let mut objects: Vec<Value> = Vec::new();
        let mut n = 0_u64;
        let own: BTreeSet<&ObjectId> = self
            .versions()
            .filter(|version| Some(version.owner) == writer.organisation && !is_shared(&version.object))
            .map(|version| version.object.id())
            .collect();
        for version in self.versions().filter(|version| !own.contains(version.object.id())) {
            n = n.saturating_add(1);
            let id = version.object.id();
            let relation = json!({ "type": "relationship", "spec_version": "2.1", "id": format!("relationship--{}", number(n)),
                "created": self.now, "modified": self.now, "relationship_type": "related-to", "source_ref": id,
                "target_ref": format!("vulnerability--{}", number(n.saturating_add(1_000_000))), "object_marking_refs": marks(n) });
            objects.push(relation);
            if is_shared(&version.object) {
                objects.push(
                    json!({ "type": id.kind(), "spec_version": "2.1", "id": id, "name": format!("posted {n}"),
                    "object_marking_refs": marks(n) }),
                );
                objects.push(serde_json::from_slice(version.object.bytes()).unwrap_or_default());
            } else if ["vulnerability", "attack-pattern"].contains(&id.kind()) {
                // Exactly where something is, and after everything.
                objects.push(thing(id.as_str(), version.version(), n));
                objects.push(thing(id.as_str(), self.now.plus_seconds(1), n));
            }
            objects.push(thing(
                &format!("vulnerability--{}", number(n.saturating_add(2_000_000))),
                self.now,
                n,
            ));
        }
        let collections = self.collections.iter().cycle();
        let mut posts = Vec::new();
        for (part, collection) in objects.chunks(7).zip(collections) {
            posts.push(Post {
                path: format!("{}collections/{}/objects/", self.root, collection.id),
                body: json!({ "objects": part }).to_string().into_bytes(),
                id: number(3_000_000_u64.saturating_add(posts.len() as u64)),
            });
        }
        posts
    }

    /// The ids under which an organisation has something.
    pub fn ids_of(&self, organisation: Option<ostrom_core::OrgId>) -> BTreeSet<&ObjectId> {
        let own = self.versions().filter(|version| Some(version.owner) == organisation);
        own.map(|version| version.object.id()).collect()
    }

    /// What is asked about posts afterwards.
    pub fn statuses(&self, writer: &Actor) -> Vec<Question> {
        let path = |post: Post| format!("{}status/{}/", self.root, post.id);
        self.posts(writer).into_iter().map(|post| Question::new(path(post), "")).collect()
    }
}
