use ostrom_core::handling::Tlp;
use ostrom_core::{CollectionId, ObjectId, Timestamp};
use ostrom_store::Key;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::service::testing::{Node, at, contributor, envelope, flaw, uuid};
use crate::service::{Actor, Who};

struct Server {
    taxii: Taxii,
    node: Node,
}

impl Server {
    async fn start() -> Self {
        let node = Node::start().await;
        let settings = Settings {
            base: "https://node.example".to_owned(),
            most: 5,
            usual_limit: 3,
            ..Settings::default()
        };
        Self { taxii: Taxii::new(node.exchange.clone(), settings, CursorKey::new([1; 32])), node }
    }

    fn path(&self, rest: &str) -> String {
        format!("/taxii2/api/collections/{}/{rest}", self.node.collection.id)
    }

    async fn get(&self, actor: &Actor, path: &str, query: &str) -> (Answer, Value) {
        let answer = self.taxii.answer(actor, &Request::get(path, query), at(5000), uuid(1)).await;
        let value = serde_json::from_slice(&answer.body).unwrap();
        (answer, value)
    }

    async fn post(&self, actor: &Actor, objects: &[Value]) -> (Answer, Value) {
        let (path, body) = (self.path("objects/"), envelope(objects));
        let request = Request {
            method: Method::Post,
            content_type: Some(MEDIA_TYPE),
            body: &body,
            ..Request::get(&path, "")
        };
        let answer = self.taxii.answer(actor, &request, at(4000), uuid(2)).await;
        let value = serde_json::from_slice(&answer.body).unwrap();
        (answer, value)
    }

    async fn delete(&self, actor: &Actor, path: &str, query: &str) -> u16 {
        let request = Request { method: Method::Delete, ..Request::get(path, query) };
        self.taxii.answer(actor, &request, at(6000), uuid(3)).await.status
    }

    /// The names on each page, to the end.
    async fn pages(&self, actor: &Actor, query: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut next = String::new();
        loop {
            let (answer, value) = self.get(actor, &self.path("objects/"), &format!("{query}{next}")).await;
            assert_eq!(answer.status, 200, "{value}");
            let objects = value["objects"].as_array().cloned().unwrap_or_default();
            pages.push(objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect());
            match value["next"].as_str() {
                Some(text) => next = format!("&next={text}"),
                None => return pages,
            }
        }
    }
}

#[tokio::test]
async fn discovery_root_and_collections() {
    let server = Server::start().await;
    let nobody = Actor::nobody(true);
    let (_, found) = server.get(&nobody, "/taxii2/", "").await;
    assert_eq!(
        found,
        json!({ "title": "Ostrom", "default": "https://node.example/taxii2/api/", "api_roots": ["https://node.example/taxii2/api/"] })
    );
    let (_, found) = server.get(&nobody, "/taxii2/api/", "").await;
    assert_eq!(found["versions"], json!([MEDIA_TYPE]));
    let (_, found) = server.get(&contributor(1), "/taxii2/api/collections/", "").await;
    assert_eq!(found["collections"][0]["can_write"], true);
    assert_eq!(found["collections"][0]["media_types"], json!([STIX_MEDIA_TYPE]));
    let (_, found) = server.get(&nobody, &server.path(""), "").await;
    assert_eq!(
        (found["alias"].as_str(), found["can_read"].as_bool(), found["can_write"].as_bool()),
        (Some("all"), Some(true), Some(false))
    );
}

#[tokio::test]
async fn pages_follow_one_another_without_gaps() {
    let server = Server::start().await;
    let objects: Vec<Value> =
        (0..8).map(|n| flaw(n, 1, Some(if n % 3 == 0 { Tlp::Amber } else { Tlp::Green }))).collect();
    let (answer, status) = server.post(&contributor(1), &objects).await;
    assert_eq!(
        (answer.status, status["success_count"].as_u64(), status["status"].as_str()),
        (202, Some(8), Some("complete"))
    );
    let names = |numbers: &[u128]| numbers.iter().map(|n| format!("Flaw {n}")).collect::<Vec<_>>();
    assert_eq!(server.pages(&contributor(2), "limit=2").await, [names(&[1, 2]), names(&[4, 5]), names(&[7])]);
    assert_eq!(server.pages(&contributor(1), "").await.concat().len(), 8);
    assert_eq!(server.pages(&contributor(1), "limit=100").await[0].len(), 5, "the server's own limit");
    assert_eq!(server.pages(&Actor::nobody(true), "").await, [Vec::<String>::new()]);
}

#[tokio::test]
async fn dates_filters_and_versions() {
    let server = Server::start().await;
    server.post(&contributor(1), &[flaw(1, 1, Some(Tlp::Green))]).await;
    server.post(&contributor(1), &[flaw(1, 2, Some(Tlp::Green)), flaw(2, 1, Some(Tlp::Green))]).await;
    let actor = contributor(2);
    let (answer, found) = server.get(&actor, &server.path("manifest/"), "match[version]=all&limit=5").await;
    let added: Vec<&str> =
        found["objects"].as_array().unwrap().iter().map(|row| row["date_added"].as_str().unwrap()).collect();
    assert!(added[0] < added[1] && added[1] == added[2], "{added:?}");
    let dates: Vec<(&str, &str)> =
        answer.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(dates, [(DATE_FIRST, added[0]), (DATE_LAST, added[2])]);
    let count = |query: &str| {
        let (server, actor, query) = (&server, &actor, query.to_owned());
        async move {
            let (_, found) = server.get(actor, &server.path("objects/"), &query).await;
            found["objects"].as_array().map_or(0, Vec::len)
        }
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count(&format!("match[version]=all&added_after={}", added[0])).await, 2);
    assert_eq!(count(&format!("match[version]={}", at(1))).await, 2);
    assert_eq!(count(&format!("match[version]={}", at(2))).await, 1);
    assert_eq!(count("match[type]=malware").await, 0);
    assert_eq!(count("match[spec_version]=2.0").await, 0);
    assert_eq!(count("match[id]=nothing").await, 0);
    let flaw_1 = flaw(1, 1, None);
    let id = flaw_1["id"].as_str().unwrap();
    assert_eq!(count(&format!("match[id]={id}")).await, 1);
    let (_, found) = server.get(&actor, &server.path(&format!("objects/{id}/versions/")), "").await;
    assert_eq!(found["versions"], json!([at(1), at(2)]));
    let (_, found) =
        server.get(&actor, &server.path(&format!("objects/{id}/")), "match[version]=first").await;
    assert_eq!(found["objects"][0]["modified"], json!(at(1)));
}

#[tokio::test]
async fn what_is_hidden_and_what_is_not_there_have_the_same_answer() {
    let server = Server::start().await;
    server.post(&contributor(1), &[flaw(1, 1, Some(Tlp::Amber))]).await;
    let actor = contributor(2);
    for rest in ["", "versions/"] {
        let mut answers = Vec::new();
        for n in [1, 2] {
            let object = flaw(n, 1, None);
            let path = server.path(&format!("objects/{}/{rest}", object["id"].as_str().unwrap()));
            answers.push(server.get(&actor, &path, "").await.0);
            assert_eq!(server.delete(&actor, &path, "").await, if rest.is_empty() { 404 } else { 405 });
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].status, 404);
    }
    let restricted = Actor { collections: Some([].into()), ..contributor(1) };
    let hidden = server.get(&restricted, &server.path("objects/"), "").await.0;
    let nowhere = server.get(&actor, &format!("/taxii2/api/collections/{}/objects/", uuid(5)), "").await.0;
    assert_eq!(hidden, nowhere);
}

#[tokio::test]
async fn a_status_is_for_who_posted() {
    let server = Server::start().await;
    let mut bad = flaw(2, 1, None);
    bad["name"] = json!(7);
    let (_, posted) = server.post(&contributor(1), &[flaw(1, 1, None), bad]).await;
    assert_eq!(
        (posted["failure_count"].as_u64(), posted["failures"][0]["id"].as_str()),
        (Some(1), flaw(2, 1, None)["id"].as_str())
    );
    let path = format!("/taxii2/api/status/{}/", posted["id"].as_str().unwrap());
    assert_eq!(server.get(&contributor(1), &path, "").await.1, posted);
    assert_eq!(server.get(&contributor(2), &path, "").await.0.status, 404);
}

#[tokio::test]
async fn deleting_takes_what_the_filters_name() {
    let server = Server::start().await;
    server.post(&contributor(1), &[flaw(1, 1, Some(Tlp::Green)), flaw(1, 2, Some(Tlp::Green))]).await;
    let object = flaw(1, 1, None);
    let path = server.path(&format!("objects/{}/", object["id"].as_str().unwrap()));
    assert_eq!(server.delete(&contributor(2), &path, "").await, 403);
    assert_eq!(server.delete(&contributor(1), &path, "match[version]=first").await, 200);
    let (_, found) = server.get(&contributor(1), &format!("{path}versions/"), "").await;
    assert_eq!(found["versions"], json!([at(2)]));
    assert_eq!(server.delete(&contributor(1), &path, "").await, 200);
    assert_eq!(server.delete(&contributor(1), &path, "").await, 404);
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let server = Server::start().await;
    let actor = contributor(1);
    for (query, status) in [
        ("limit=0", 400),
        ("limit=x", 400),
        ("limit=1&limit=2", 400),
        ("next=abc", 400),
        ("added_after=yesterday", 400),
        ("match[version]=newest", 400),
        ("unknown=1", 200),
    ] {
        let (answer, value) = server.get(&actor, &server.path("objects/"), query).await;
        assert_eq!(answer.status, status, "{query}");
        if status != 200 {
            assert_eq!(value["http_status"], status.to_string());
            assert!(value["title"].is_string());
        }
    }
    let path = server.path("objects/");
    let ask = |request: Request<'static>| {
        let (taxii, actor) = (&server.taxii, &actor);
        async move { taxii.answer(actor, &request, at(1), uuid(1)).await.status }
    };
    let path: &'static str = Box::leak(path.into_boxed_str());
    let get = || Request::get(path, "");
    assert_eq!(ask(Request { accept: Some("text/html"), ..get() }).await, 406);
    assert_eq!(ask(Request { accept: Some("application/taxii+json;version=2.0"), ..get() }).await, 406);
    assert_eq!(
        ask(Request { accept: Some("text/html, application/taxii+json; version=\"2.1\""), ..get() }).await,
        200
    );
    assert_eq!(
        ask(Request { method: Method::Post, content_type: Some("application/json"), ..get() }).await,
        415
    );
    assert_eq!(
        ask(Request { method: Method::Post, content_type: Some(MEDIA_TYPE), body: b"[", ..get() }).await,
        422
    );
    assert_eq!(ask(Request::get("/taxii2/api/collections", "")).await, 200);
    assert_eq!(ask(Request::get("/taxii2/other/", "")).await, 404);
    assert_eq!(ask(Request { method: Method::Delete, ..get() }).await, 405);
}

#[tokio::test]
async fn every_page_is_on_record() {
    let server = Server::start().await;
    server.post(&contributor(1), &[flaw(1, 1, Some(Tlp::Green))]).await;
    let (answer, _) = server.get(&contributor(2), &server.path("objects/"), "limit=1").await;
    let deeds = server.node.deeds();
    let page = deeds.last().unwrap();
    assert_eq!((page["did"].as_str(), page["count"].as_u64()), (Some("page"), Some(1)));
    assert_eq!(page["sha256"], json!(ostrom_core::Digest::of(&answer.body)));
    assert_eq!(page["first"], flaw(1, 1, None)["id"]);
}

fn key(micros: i64, collection: u128) -> Key {
    let id: ObjectId = format!("vulnerability--{}", uuid(9)).parse().unwrap();
    let time = Timestamp::from_micros(micros).unwrap();
    Key { added: time, version: time, id, collection: CollectionId::new(uuid(collection)) }
}

#[test]
fn a_cursor_is_for_one_reader_and_one_collection() {
    let keys = CursorKey::new([1; 32]);
    let sealed = keys.seal(&key(5, 1), "person:1");
    let collection = |n| CollectionId::new(uuid(n));
    assert_eq!(keys.open(&sealed, collection(1), "person:1"), Some(key(5, 1)));
    assert_eq!(keys.open(&sealed, collection(2), "person:1"), None);
    assert_eq!(keys.open(&sealed, collection(1), "person:2"), None);
    assert_eq!(CursorKey::new([2; 32]).open(&sealed, collection(1), "person:1"), None);
    assert!(Who::Nobody.to_string() != Who::Person(crate::service::testing::person(1)).to_string());
}

proptest! {
    #[test]
    fn no_cursor_is_made_up(micros in 0i64..1 << 50, at in 0usize..200, flip in 1u8..128) {
        let keys = CursorKey::new([1; 32]);
        let collection = CollectionId::new(uuid(1));
        let sealed = keys.seal(&key(micros, 1), "x");
        let mut bytes = sealed.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(keys.open(&text, collection, "x"), None);
        }
        prop_assert!(keys.open(&sealed, collection, "x").is_some());
    }

    #[test]
    fn no_query_panics(text in "\\PC{0,80}", value in "[ -~]{0,40}") {
        let _ = Query::parse(&text);
        for name in ["added_after", "limit", "next", "match[id]", "match[type]", "match[version]", "match[spec_version]"] {
            let _ = Query::parse(&format!("{name}={value}"));
        }
    }

    #[test]
    fn no_cursor_panics(text in "\\PC{0,80}") {
        prop_assert_eq!(CursorKey::new([1; 32]).open(&text, CollectionId::new(uuid(1)), "x"), None);
    }
}
