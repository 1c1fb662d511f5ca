//! The leak test suite at the level of HTTP: for random worlds, every answer to an actor is byte for byte the one in the world without what
//! is hidden from that actor. TAXII's endpoints, the REST API's, the pages and feeds. And the same after somebody has written, to find out by it what is hidden.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use common::{Answer, Browser, TestNode};
use ostrom_core::handling::{Handling, Policy, Reader, Tlp};
use ostrom_core::{Digest, GroupId, OrgId, PersonId, Timestamp, TokenId, Uuid};
use ostrom_exchange::leak::{
    Place, Post, Question, Seen, Size, Taking, Target, World, compare, compare_writes,
};
use ostrom_exchange::service::Actor;
use ostrom_node::Clock;
use ostrom_node::sign_in::secret;
use ostrom_store::{Group, NewDue, Organisation, Person, Role, Session, Store, Token};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

/// A node over a world, reached under a name that does not depend on its port.
struct Server {
    node: TestNode,
    _folder: TempDir,
}

const HOST: &str = "localhost:7400";

/// A node over the world without some of it. `whose`: the organisations that keep duties to report about every incident of the world, hidden or not.
async fn server(world: &World, without: &BTreeSet<Place>, whose: &BTreeSet<OrgId>) -> Server {
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
    duties(world, &node.app.store, whose).await;
    // What happens by itself from time to time has happened on both.
    node.app.settle().await.unwrap();
    Server { node, _folder: folder }
}

/// All organisations of a world.
fn organisations(world: &World) -> BTreeSet<OrgId> {
    world.actors.iter().filter_map(|actor| actor.reader.organisation).collect()
}

async fn duties(world: &World, store: &Store, whose: &BTreeSet<OrgId>) {
    let situation = json!({"facts": {"effects": [{"harm": "health", "actual": true, "serious": true}]},
        "jurisdictions": ["EU"], "subjects": ["provider-of-high-risk-system"], "aware": "2026-11-01T00:00:00.000Z"});
    let detail = json!({"situation": situation, "clock": "eu-ai-act-article-73", "rule": "report", "to": "x", "reference": "x"});
    let mut writing = store.writing(world.now).await.unwrap();
    for id in world.ids().into_iter().filter(|id| id.kind() == "incident") {
        for organisation in whose {
            let due = NewDue {
                name: "a report, of somebody".to_owned(),
                due: world.now.plus_seconds(86_400),
                party: Some(*organisation),
                policy: Policy::new([Handling::new(*organisation, Tlp::AmberStrict)]),
                detail: detail.to_string(),
            };
            writing.set_due(&format!("{id}/{organisation}"), &[due]).await.unwrap();
        }
    }
    writing.commit().await.unwrap();
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
                let scopes = BTreeSet::from(["read".to_owned(), "write".to_owned()]);
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

async fn send(
    browser: &Browser,
    actor: &Actor,
    method: Method,
    target: &str,
    more: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut browser = browser.clone();
    let credential = credential(actor);
    let bearer = format!("Bearer {credential}");
    let mut headers = vec![("host", HOST)];
    headers.extend(more);
    if actor.reader.person.is_some() {
        browser.cookies.insert("ostrom".to_owned(), credential);
    } else {
        // Forms are bound to a visit, which would be another one each time.
        browser.cookies.insert("ostrom-visit".to_owned(), "A".repeat(24));
        if actor.reader.organisation.is_some() {
            headers.push(("authorization", &bearer));
        }
    }
    browser.send(method, target, &headers, body).await.undated()
}

async fn ask(browser: &Browser, actor: &Actor, target: &str) -> Answer {
    send(browser, actor, Method::GET, target, &[], Vec::new()).await
}

fn seen(answer: Answer) -> Seen {
    let headers = answer.headers.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
    Seen { status: answer.status, headers, body: answer.body }
}

/// A node over HTTP. It names what was posted at random, which must not count: `named` has what the suite calls it instead.
struct Http<'a> {
    node: &'a TestNode,
    browser: Browser,
    named: Mutex<Vec<(String, String)>>,
}

impl<'a> Http<'a> {
    fn at(node: &'a TestNode) -> Self {
        Self { node, browser: node.browser(), named: Mutex::default() }
    }

    /// Lets the node's clock come to this time, and what happens by itself happen.
    async fn until(&self, now: Timestamp) {
        let behind = (now.micros() - self.node.clock.now().micros()) / 1_000_000;
        self.node.clock.advance(behind.max(0));
        if behind > 100 {
            self.node.app.settle().await.unwrap();
        }
    }

    fn masked(&self, mut seen: Seen) -> Seen {
        let named = self.named.lock().unwrap().clone();
        if let Ok(text) = std::str::from_utf8(&seen.body) {
            let text = named.iter().fold(text.to_owned(), |text, (real, name)| text.replace(real, name));
            seen.body = text.into_bytes();
        }
        seen
    }
}

impl Target for Http<'_> {
    async fn ask(&self, actor: &Actor, question: &Question, now: Timestamp) -> Seen {
        self.until(now).await;
        let mut target = if question.query.is_empty() {
            question.path.clone()
        } else {
            format!("{}?{}", question.path, question.query)
        };
        for (real, name) in self.named.lock().unwrap().iter() {
            target = target.replace(&format!("/status/{name}/"), &format!("/status/{real}/"));
        }
        self.masked(seen(ask(&self.browser, actor, &target).await))
    }
}

impl Taking for Http<'_> {
    async fn post(&self, actor: &Actor, post: &Post, now: Timestamp) -> Seen {
        self.until(now).await;
        let kind = ostrom_exchange::taxii::MEDIA_TYPE;
        let headers = [("content-type", kind), ("accept", kind)];
        let answer = send(&self.browser, actor, Method::POST, &post.path, &headers, post.body.clone()).await;
        let status: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        if let Some(real) = status.as_ref().and_then(|status| status["id"].as_str()) {
            self.named.lock().unwrap().push((real.to_owned(), post.id.to_string()));
        }
        self.masked(seen(answer))
    }
}

/// What a person sends to the REST API to find out what is hidden: new versions, removals. Each makes nothing, or the same in both worlds.
fn changes(world: &World, writer: &Actor) -> Vec<(Method, String, Vec<u8>)> {
    let own = world.ids_of(writer.organisation);
    let mut all = Vec::new();
    for id in world.ids().into_iter().filter(|id| !own.contains(id)) {
        for collection in &world.collections {
            let form = json!({"collection": collection.id, "handling": {"tlp": "clear"}, "object": {"name": "mine"}});
            all.push((Method::PUT, format!("/api/v1/objects/{id}"), form.to_string().into_bytes()));
            all.push((
                Method::DELETE,
                format!("/api/v1/objects/{id}?collection={}", collection.id),
                Vec::new(),
            ));
        }
    }
    all
}

/// What a person says about everything: a relation from it to what is nowhere, and that it was seen.
fn sayings(world: &World) -> Vec<(Method, String, Vec<u8>)> {
    let nowhere = "vulnerability--00000000-0000-4000-8000-000000000001";
    let mut all = Vec::new();
    for (id, collection) in world.ids().into_iter().zip(world.collections.iter().cycle()) {
        let path = format!("/api/v1/objects/{id}/voices");
        all.push((Method::POST, path, json!({"say": "agree", "note": "mine"}).to_string().into_bytes()));
        let form = |object: serde_json::Value| {
            json!({"collection": collection.id, "handling": {"tlp": "clear"}, "object": object})
                .to_string()
                .into_bytes()
        };
        let relation = json!({"relationship_type": "related-to", "source_ref": id, "target_ref": nowhere});
        all.push((Method::POST, "/api/v1/relations".to_owned(), form(relation)));
        all.push((Method::POST, "/api/v1/sightings".to_owned(), form(json!({"sighting_of_ref": id}))));
    }
    all
}

/// An answer without the names that the node makes up, and without the place in the log, which counts what everybody may count.
fn nameless(answer: Answer) -> Seen {
    let mut seen = seen(answer);
    if let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(&seen.body)
        && let Some(body) = body.as_object_mut()
    {
        body.retain(|name, _| !["id", "link", "leaf"].contains(&name.as_str()));
        seen.body = json!(body).to_string().into_bytes();
        seen.headers.retain(|(name, _)| name != "content-length");
    }
    seen
}

/// Everything that pages and feeds say about objects.
fn pages(world: &World) -> Vec<String> {
    let kinds = ["flaws", "incidents", "techniques", "mitigations", "lessons", "advisories", "evaluations"];
    let mut all: Vec<String> =
        ["/", "/collections", "/search.atom", "/search?tlp=amber", "/search?since=2020-01-01"]
            .map(str::to_owned)
            .to_vec();
    for kind in kinds {
        all.extend([format!("/{kind}"), format!("/{kind}.atom")]);
    }
    for words in ["a", "thing", "note"] {
        all.push(format!("/search?q={words}"));
    }
    for id in world.ids() {
        all.push(format!("/objects/{id}"));
        let kind = match id.kind() {
            "vulnerability" => "flaws",
            "attack-pattern" => "techniques",
            "report" => "advisories",
            "incident" => "incidents",
            _ => "lessons",
        };
        for rest in ["", "/access", "/export", "/stix", "/export/avid", "/duties/eu-ai-act-article-73/report"]
        {
            all.push(format!("/{kind}/{id}{rest}"));
        }
    }
    all
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
        "opinions",
        "relations",
        "objects",
    ] {
        all.push(format!("/api/v1/{list}?limit=2"));
        all.push(format!("/api/v1/{list}"));
    }
    for words in ["a", "thing", "x", "note", "object"] {
        all.push(format!("/api/v1/search?q={words}&limit=2"));
    }
    all.extend(["/api/v1/collections", "/api/v1/views"].map(str::to_owned));
    for collection in &world.collections {
        all.push(format!("/api/v1/collections/{}", collection.id));
    }
    for id in world.ids() {
        let exports =
            ["/export", "/export/stix", "/export/avid", "/export/csaf", "/export/osv", "/export/oecd"];
        let voices = ["/voices", "/voices?limit=1"];
        for rest in ["", "/versions", "/why", "/readers"].into_iter().chain(exports).chain(voices) {
            all.push(format!("/api/v1/objects/{id}{rest}"));
        }
        for rest in ["", "/eu-ai-act-article-73/report"] {
            all.push(format!("/api/v1/incidents/{id}/duties{rest}"));
        }
    }
    all
}

async fn check_world(seed: u64) -> (usize, usize) {
    let world = World::random(seed, Size { objects: 12, ..Size::default() });
    let whole = server(&world, &BTreeSet::new(), &organisations(&world)).await;
    let (mut asked, mut kept_out) = (0, 0);
    for actor in &world.actors {
        let hidden = world.hidden(&actor.reader, world.now);
        if hidden.is_empty() || !is_same(&whole.node.app.store, actor).await {
            continue;
        }
        let own = actor.reader.organisation.into_iter().collect();
        let without = server(&world, &hidden, &own).await;
        let (left, right) = (whole.node.browser(), without.node.browser());
        match compare(&world, actor, &Http::at(&whole.node), &Http::at(&without.node), world.now).await {
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
        for page in pages(&world) {
            let (one, other) = (ask(&left, actor, &page).await, ask(&right, actor, &page).await);
            asked += 1;
            assert_eq!(one, other, "world {seed}, {:?}: {page}", actor.reader);
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

/// Writes into a world and what is left of it for two of the writers: a machine by TAXII, a person by the API.
async fn check_writes(seed: u64) -> usize {
    let world = World::random(seed, Size { objects: 8, ..Size::default() });
    let mut asked = 0;
    let hides = |writer: &Actor| !world.hidden_from_writer(&writer.reader, world.now).is_empty();
    for is_person in [false, true] {
        let writers = world.writers();
        let mut writers = writers.iter().filter(|writer| writer.reader.person.is_some() == is_person);
        let Some(writer) = writers.find(|writer| hides(writer)) else { continue };
        let hidden = world.hidden_from_writer(&writer.reader, world.now);
        let (all, own) = (organisations(&world), writer.reader.organisation.into_iter().collect());
        let (whole, without) =
            (server(&world, &BTreeSet::new(), &all).await, server(&world, &hidden, &own).await);
        if !is_same(&whole.node.app.store, writer).await {
            continue;
        }
        let (left, right) = (Http::at(&whole.node), Http::at(&without.node));
        if is_person {
            let csrf =
                ask(&left.browser, writer, "/auth/session").await.json()["csrf"].as_str().unwrap().to_owned();
            let headers = [("content-type", "application/json"), ("x-csrf-token", &*csrf)];
            let sent = changes(&world, writer).into_iter().map(|it| (it, false));
            let said = sayings(&world).into_iter().map(|it| (it, true));
            let mut looked = false;
            for ((method, target, body), makes) in sent.chain(said) {
                if makes && !looked {
                    looked = true;
                    for actor in [writer, &Actor::nobody(true)] {
                        asked += compare(&world, actor, &left, &right, world.now).await.unwrap();
                    }
                }
                let mut answers = Vec::new();
                for http in [&left, &right] {
                    let answer =
                        send(&http.browser, writer, method.clone(), &target, &headers, body.clone()).await;
                    assert!(answer.status != 401 && (!makes || answer.status != 403), "{answer:?}");
                    answers.push(nameless(answer));
                }
                asked += 1;
                assert_eq!(answers[0], answers[1], "world {seed}, {:?}: {method} {target}", writer.reader);
            }
        } else {
            match compare_writes(&world, writer, &left, &right, world.now).await {
                Ok(count) => asked += count,
                Err(leak) => panic!("world {seed}, {:?}: {leak:#?}", writer.reader),
            }
            for target in api(&world) {
                let (one, other) =
                    (ask(&left.browser, writer, &target).await, ask(&right.browser, writer, &target).await);
                asked += 1;
                assert_eq!(one, other, "world {seed}, after writing, {:?}: {target}", writer.reader);
            }
            let taken =
                whole.node.app.store.reading(&writer.reader, world.now.plus_seconds(20_000)).await.unwrap();
            assert!(!taken.counts().await.unwrap().is_empty(), "nothing was written");
        }
        whole.node.stop().await;
        without.node.stop().await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hidden_shows_to_who_writes_over_http() {
    let seeds = std::env::var("OSTROM_LEAK_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    for seed in 200..200 + seeds {
        let asked = check_writes(seed).await;
        assert!(asked > 500, "world {seed} shows nothing: {asked}");
    }
}
