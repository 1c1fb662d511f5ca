//! The leak test suite at the level of HTTP: for random worlds, every answer to an actor is byte for byte the one in the world without what
//! is hidden from that actor. TAXII's endpoints and the REST API's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Answer, Browser, TestNode};
use ostrom_core::handling::Reader;
use ostrom_core::{Digest, GroupId, OrgId, PersonId, Timestamp, TokenId, Uuid};
use ostrom_exchange::leak::{Place, Question, Seen, Size, Target, World, compare};
use ostrom_exchange::service::Actor;
use ostrom_node::Clock;
use ostrom_node::sign_in::secret;
use ostrom_store::{Group, Organisation, Person, Role, Session, Store, Token};
use reqwest::Method;
use tempfile::TempDir;

/// A node over a world, reached under a name that does not depend on its port.
struct Server {
    node: TestNode,
    _folder: TempDir,
}

const HOST: &str = "localhost:7400";

async fn server(world: &World, without: &BTreeSet<Place>) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    std::fs::create_dir_all(data.join("keys")).unwrap();
    // Cursors are sealed with this: two nodes have the same.
    std::fs::write(data.join("keys/forms.key"), [7; 32]).unwrap();
    let node = TestNode::with(|config| {
        config.data = data;
        config.base = Some(format!("http://{HOST}").parse().unwrap());
        config.clock = Clock::fixed(world.now);
    })
    .await;
    members(world, &node.app.store).await;
    world.fill(&node.app.store, without).await.unwrap();
    // What happens by itself from time to time has happened on both.
    node.app.settle().await.unwrap();
    Server { node, _folder: folder }
}

/// The token of an actor who is a machine or the cookie of one who is a person: made of the number alone.
fn credential(actor: &Actor) -> String {
    let bytes = secret::hash(&format!("{:?}", actor.reader));
    let text = data_encoding::BASE64URL_NOPAD.encode(&bytes);
    if actor.reader.person.is_some() { text } else { format!("ost_{text}") }
}

/// Makes everybody who asks a member, so that the node finds the same reader by itself.
async fn members(world: &World, store: &Store) {
    let created = Timestamp::EPOCH;
    let mut groups = BTreeMap::<GroupId, (BTreeSet<OrgId>, BTreeSet<PersonId>)>::new();
    let mut organisations = BTreeMap::<OrgId, BTreeSet<OrgId>>::new();
    for Reader { organisation, person, groups: of, client_of, .. } in
        world.actors.iter().map(|actor| &actor.reader)
    {
        let Some(organisation) = organisation else { continue };
        organisations.entry(*organisation).or_default().extend(client_of);
        for provider in client_of {
            organisations.entry(*provider).or_default();
        }
        for group in of {
            let members = groups.entry(*group).or_default();
            match person {
                Some(person) => members.1.insert(*person),
                None => members.0.insert(*organisation),
            };
        }
    }
    let mut writing = store.writing(world.now).await.unwrap();
    for id in organisations.keys() {
        let one =
            Organisation { id: *id, name: id.to_string(), sectors: BTreeSet::new(), active: true, created };
        writing.put_organisation(&one).await.unwrap();
    }
    for (id, providers) in &organisations {
        writing.set_providers(*id, providers).await.unwrap();
    }
    for actor in &world.actors {
        let Some(organisation) = actor.reader.organisation else { continue };
        let hash = Digest::from_bytes(secret::hash(&credential(actor)));
        let expires = world.now.plus_seconds(86_400);
        match actor.reader.person {
            Some(id) => {
                let roles = BTreeSet::from([Role::Contributor]);
                let (name, email) = (id.to_string(), format!("{id}@a.example"));
                let one = Person { id, organisation, name, email, roles, active: true, created };
                writing.put_person(&one).await.unwrap();
                let session = Session { hash, person: id, created: world.now, expires, csrf: Vec::new() };
                writing.add_session(&session).await.unwrap();
            }
            None => {
                // Cursors are for one reader: the machine is the same on both nodes.
                let id = TokenId::new(Uuid::from_bytes(*hash.as_bytes().first_chunk().unwrap()));
                let scopes = BTreeSet::from(["read".to_owned()]);
                let token = Token {
                    id,
                    hash,
                    organisation,
                    person: None,
                    name: "machine".to_owned(),
                    scopes,
                    collections: None,
                    created,
                    expires,
                    last_used: None,
                    revoked: None,
                };
                writing.add_token(&token).await.unwrap();
            }
        }
    }
    for (id, (organisations, persons)) in groups {
        let group =
            Group { id, name: id.to_string(), description: String::new(), organisations, persons, created };
        writing.put_group(&group).await.unwrap();
    }
    writing.commit().await.unwrap();
}

/// Whether the node finds this very reader.
async fn is_same(store: &Store, actor: &Actor) -> bool {
    let found = match (actor.reader.person, actor.reader.organisation) {
        (Some(person), _) => store.reader_of_person(person, true).await.unwrap(),
        (None, Some(organisation)) => store.reader_of_organisation(organisation, true).await.unwrap(),
        (None, None) => Some(Reader::anonymous(true)),
    };
    found.as_ref() == Some(&actor.reader)
}

async fn ask(browser: &Browser, actor: &Actor, target: &str) -> Answer {
    let mut browser = browser.clone();
    let credential = credential(actor);
    let bearer = format!("Bearer {credential}");
    let mut headers = vec![("host", HOST)];
    if actor.reader.person.is_some() {
        browser.cookies.insert("ostrom".to_owned(), credential);
    } else if actor.reader.organisation.is_some() {
        headers.push(("authorization", &bearer));
    }
    let mut answer = browser.send(Method::GET, target, &headers, Vec::new()).await;
    answer.headers.remove("date");
    answer
}

struct Http(Browser);

impl Target for Http {
    async fn ask(&self, actor: &Actor, question: &Question, _now: Timestamp) -> Seen {
        let target = if question.query.is_empty() {
            question.path.clone()
        } else {
            format!("{}?{}", question.path, question.query)
        };
        let answer = ask(&self.0, actor, &target).await;
        let headers = answer.headers.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
        Seen { status: answer.status, headers, body: answer.body }
    }
}

/// Everything that the REST API says about objects.
fn api(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for list in [
        "flaws",
        "incidents",
        "techniques",
        "mitigations",
        "advisories",
        "evaluations",
        "sightings",
        "relations",
        "objects",
    ] {
        all.push(format!("/api/v1/{list}?limit=2"));
        all.push(format!("/api/v1/{list}"));
    }
    for words in ["a", "thing", "x", "note", "object"] {
        all.push(format!("/api/v1/search?q={words}&limit=2"));
    }
    all.push("/api/v1/collections".to_owned());
    for collection in &world.collections {
        all.push(format!("/api/v1/collections/{}", collection.id));
    }
    for id in world.ids() {
        let exports =
            ["/export", "/export/stix", "/export/avid", "/export/csaf", "/export/osv", "/export/oecd"];
        for rest in ["", "/versions", "/why", "/readers"].into_iter().chain(exports) {
            all.push(format!("/api/v1/objects/{id}{rest}"));
        }
    }
    all
}

async fn check_world(seed: u64) -> (usize, usize) {
    let world = World::random(seed, Size { objects: 12, ..Size::default() });
    let whole = server(&world, &BTreeSet::new()).await;
    let (mut asked, mut kept_out) = (0, 0);
    for actor in &world.actors {
        let hidden = world.hidden(&actor.reader, world.now);
        if hidden.is_empty() || !is_same(&whole.node.app.store, actor).await {
            continue;
        }
        let without = server(&world, &hidden).await;
        let (left, right) = (whole.node.browser(), without.node.browser());
        match compare(&world, actor, &Http(left.clone()), &Http(right.clone()), world.now).await {
            Ok(count) => asked += count,
            Err(leak) => panic!("world {seed}, {:?}: {leak:#?}", actor.reader),
        }
        for first in api(&world) {
            let mut target = Some(first.clone());
            while let Some(this) = target.take() {
                let (one, other) = (ask(&left, actor, &this).await, ask(&right, actor, &this).await);
                asked += 1;
                assert_eq!(one, other, "world {seed}, {:?}: {this}", actor.reader);
                let body: Option<serde_json::Value> = serde_json::from_slice(&one.body).ok();
                let next = body.as_ref().and_then(|body| body["next"].as_str());
                target = next.map(|next| {
                    format!("{first}{}after={next}", if first.contains('?') { "&" } else { "?" })
                });
            }
        }
        kept_out += usize::from(hidden.len() < world.len());
        without.node.stop().await;
    }
    whole.node.stop().await;
    (asked, kept_out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hidden_shows_over_http() {
    let seeds = std::env::var("OSTROM_LEAK_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    for seed in 100..100 + seeds {
        let (asked, kept_out) = check_world(seed).await;
        assert!(asked > 500 && kept_out >= 2, "a world that shows nothing: {asked} {kept_out}");
    }
}
