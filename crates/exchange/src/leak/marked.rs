//! The suite for servers whose insides are not ours: what it knows of their policy is that objects with some marks are for the reader and objects with others are not.
//!
//! A writer fills two collections of the server: one with everything, and one without what the reader must not see. The reader then asks of both the same,
//! and must be answered the same, byte for byte. What a server makes up for each collection is named alike before: the collection's id, the times at which it
//! took what the reader sees (each by its place among them), and the values of `next` and `error_id`, of which nothing is found out here.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use ostrom_core::{ObjectId, Timestamp};
use serde_json::{Value, json};

use super::random::Random;
use super::{Leak, Question, Seen};

/// How often a server is asked whether it has taken something.
const PATIENCE: usize = 120;
/// More pages than a list of all that is written here has.
const PAGES: usize = 2_000;
/// The second in which everything begins.
const BEGIN: i64 = 1_609_459_200;
/// Headers that are others at another time or for another request.
const VOLATILE: [&str; 13] = [
    "date",
    "content-length",
    "age",
    "expires",
    "last-modified",
    "set-cookie",
    "server-timing",
    "x-request-id",
    "x-correlation-id",
    "x-runtime",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "connection",
];

/// With whose credentials something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eyes {
    /// Who writes.
    Writer,
    /// Who must not see everything.
    Reader,
}

/// A TAXII 2.1 server that can be reached. Paths begin behind its API root: `collections/ID/objects/?limit=1`.
pub trait Remote: Sync {
    /// Asks.
    fn get(&self, eyes: Eyes, path: &str) -> impl Future<Output = Result<Seen, String>> + Send;
    /// Sends an envelope.
    fn post(
        &self,
        eyes: Eyes,
        path: &str,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Seen, String>> + Send;
    /// Waits a little.
    fn pause(&self) -> impl Future<Output = ()> + Send;
}

/// Two collections of a server, with the same policy. At the beginning the reader finds the same in both.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The id of the one into which everything goes.
    pub whole: String,
    /// The id of the one without what is hidden.
    pub without: String,
}

/// Which marks the server's policy understands, and how.
#[derive(Debug, Clone)]
pub struct Marks {
    /// Marking definitions of what the reader sees.
    pub shown: Vec<ObjectId>,
    /// Marking definitions of what is hidden from the reader.
    pub hidden: Vec<ObjectId>,
}

/// Why a world did not pass.
#[derive(Debug)]
pub enum Failing {
    /// An answer told of something hidden.
    Leak(Box<Leak>),
    /// It cannot be said: the server did not take what was written, or does not show the reader what it should.
    Inconclusive(String),
}

/// A version of an object.
#[derive(Debug, Clone)]
struct Thing {
    id: String,
    value: Value,
    hidden: bool,
}

/// Objects, some of which are hidden from the reader, in the order in which they are written.
#[derive(Debug, Clone)]
pub struct Marked {
    batches: Vec<Vec<Thing>>,
    unknown: String,
}

impl Marked {
    /// The world of this number, with about so many objects.
    ///
    /// Nothing that is shown refers to what is hidden or will be, since servers differ in what they make of it. And what is hidden is the last version of its
    /// object.
    pub fn random(seed: u64, objects: usize, marks: &Marks) -> Self {
        let mut random = Random::new(seed);
        let mut things: Vec<Thing> = Vec::new();
        let mut referred: BTreeSet<String> = BTreeSet::new();
        for number in 0..objects.max(2) {
            let hidden = number == 1 || (number > 1 && random.chance(40));
            let pool: Vec<String> =
                things.iter().filter(|thing| hidden || !thing.hidden).map(|thing| thing.id.clone()).collect();
            let kinds = ["vulnerability", "attack-pattern", "relationship", "note"];
            let kind = random.pick(&kinds).copied().filter(|_| !pool.is_empty()).unwrap_or("vulnerability");
            let id = format!("{kind}--{}", random.uuid());
            let rest = match kind {
                "relationship" | "note" => {
                    let (one, other) = (random.pick(&pool), random.pick(&pool));
                    referred.extend(one.into_iter().chain(other).cloned());
                    if kind == "note" {
                        json!({"content": format!("about {number}"), "object_refs": [one]})
                    } else {
                        json!({"relationship_type": "related-to", "source_ref": one, "target_ref": other})
                    }
                }
                _ => json!({"name": format!("{kind} {number}")}),
            };
            let mark = random.pick(if hidden { &marks.hidden } else { &marks.shown });
            things.push(thing(&id, number, mark, &rest, hidden));
        }
        let first: Vec<String> = things
            .iter()
            .filter(|thing| !thing.hidden && !referred.contains(&thing.id))
            .map(|thing| thing.id.clone())
            .collect();
        for (number, id) in (objects.max(2)..).zip(first) {
            if !random.chance(60) || !(id.starts_with("vulnerability") || id.starts_with("attack-pattern")) {
                continue;
            }
            let hidden = random.chance(60);
            let mark = random.pick(if hidden { &marks.hidden } else { &marks.shown });
            let rest = json!({"name": format!("anew {number}")});
            things.push(thing(&id, number, mark, &rest, hidden));
        }
        let mut batches = Vec::new();
        while !things.is_empty() {
            let rest = things.split_off(things.len().min(1 + random.below(4)));
            batches.push(std::mem::replace(&mut things, rest));
        }
        Self { batches, unknown: format!("vulnerability--{}", random.uuid()) }
    }

    fn things(&self) -> impl Iterator<Item = &Thing> {
        self.batches.iter().flatten()
    }

    /// How many versions there are, and how many of them are hidden.
    pub fn counts(&self) -> (usize, usize) {
        (self.things().count(), self.things().filter(|thing| thing.hidden).count())
    }

    /// What is asked of a collection, whose id stands as `{collection}` and a time of it as `{time}`.
    fn questions(&self) -> Vec<String> {
        let ids: BTreeSet<&str> = self.things().map(|thing| thing.id.as_str()).collect();
        let some: Vec<&str> = ids.iter().copied().step_by(2).take(20).collect();
        let mut all = Vec::new();
        for list in ["objects", "manifest"] {
            for query in [
                "",
                "?limit=1",
                "?limit=2&match[version]=all",
                "?match[version]=first",
                "?limit=1&match[version]=first,last",
                "?match[type]=relationship,note&limit=1",
                "?match[spec_version]=2.1&match[type]=vulnerability",
                "?added_after={time}&limit=1",
                "?added_after={time}&match[version]=all",
            ] {
                all.push(format!("collections/{{collection}}/{list}/{query}"));
            }
            all.push(format!("collections/{{collection}}/{list}/?match[id]={}", some.join(",")));
        }
        for id in ids.into_iter().chain([self.unknown.as_str()]) {
            for rest in
                ["", "?match[version]=all&limit=1", "?match[version]=first", "versions/", "versions/?limit=1"]
            {
                all.push(format!("collections/{{collection}}/objects/{id}/{rest}"));
            }
        }
        all
    }
}

fn thing(id: &str, number: usize, mark: Option<&ObjectId>, rest: &Value, hidden: bool) -> Thing {
    let at = Timestamp::EPOCH.plus_seconds(BEGIN.saturating_add(i64::try_from(number).unwrap_or(0)));
    let created = Timestamp::EPOCH.plus_seconds(BEGIN);
    let kind = id.split("--").next();
    let mut value = json!({"type": kind, "spec_version": "2.1", "id": id, "created": created, "modified": at,
        "object_marking_refs": mark.into_iter().collect::<Vec<_>>()});
    if let (Value::Object(map), Value::Object(rest)) = (&mut value, rest) {
        map.extend(rest.clone());
    }
    Thing { id: id.to_owned(), value, hidden }
}

/// What a server calls things in one of the collections.
#[derive(Debug)]
struct Sheet<'a> {
    collection: &'a str,
    /// The times of what the reader sees, the first first.
    times: Vec<String>,
}

impl Sheet<'_> {
    fn path(&self, question: &str) -> String {
        let middle = self.times.get(self.times.len() / 2).map_or("2000-01-01T00:00:00Z", String::as_str);
        question.replace("{collection}", self.collection).replace("{time}", middle)
    }

    /// The answer with what the server made up named alike.
    fn masked(&self, seen: Seen) -> Seen {
        let kept = seen.headers.into_iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
        let mut headers: Vec<(String, String)> =
            kept.map(|(name, value)| (name, self.named(&self.timed(&value)))).collect();
        headers.sort();
        let body = match String::from_utf8(seen.body) {
            Ok(text) => {
                let text = ["next", "error_id"].iter().fold(self.named(&text), |text, key| mask(&text, key));
                text.into_bytes()
            }
            Err(other) => other.into_bytes(),
        };
        Seen { status: seen.status, headers, body }
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.replace(self.collection, "COLLECTION");
        for (number, time) in self.times.iter().enumerate() {
            text = text.replace(time.as_str(), &format!("TIME {number}"));
        }
        text
    }

    /// A header's time may be written in another way than the manifest's.
    fn timed(&self, value: &str) -> String {
        let Ok(time) = value.parse::<Timestamp>() else { return value.to_owned() };
        let same = |known: &&String| {
            known.parse::<Timestamp>().is_ok_and(|known| known == time || known.to_millis() == time)
        };
        self.times.iter().find(same).cloned().unwrap_or_else(|| value.to_owned())
    }
}

/// The text with the values of a key that are texts left out.
fn mask(text: &str, key: &str) -> String {
    let quoted = format!("\"{key}\"");
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(&quoted) {
        masked.push_str(before);
        masked.push_str(&quoted);
        let value =
            after.trim_start().strip_prefix(':').and_then(|value| value.trim_start().strip_prefix('"'));
        rest = match value.and_then(|value| value.get(end_of_text(value)?..)) {
            Some(rest) => {
                masked.push_str(":\"…\"");
                rest
            }
            None => after,
        };
    }
    masked.push_str(rest);
    masked
}

/// Where a JSON text ends that has begun: behind its quotation mark.
fn end_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at.checked_add(1),
            _ => {}
        }
    }
    None
}

/// Plays a world: writes it into both collections, and has the reader ask everything of both. Gives how many questions were asked.
///
/// # Errors
/// The first answer that differs, or why nothing can be said.
pub async fn play(remote: &impl Remote, pair: &Pair, world: &Marked) -> Result<usize, Failing> {
    let (left, right) = (sheet(remote, &pair.whole).await?.0, sheet(remote, &pair.without).await?.0);
    let list = "collections/{collection}/objects/?match[version]=all";
    if let Err(difference) = compare(remote, list, &left, &right, &mut 0).await? {
        return Err(Failing::Inconclusive(format!(
            "the reader does not find the same in both collections to begin with, so take two new ones: {difference:?}"
        )));
    }
    for batch in &world.batches {
        let all: Vec<&Thing> = batch.iter().collect();
        let shown: Vec<&Thing> = batch.iter().filter(|thing| !thing.hidden).collect();
        write(remote, &pair.whole, &all).await?;
        write(remote, &pair.without, &shown).await?;
    }
    let (left, _) = sheet(remote, &pair.whole).await?;
    let (right, seen) = sheet(remote, &pair.without).await?;
    for thing in world.things().filter(|thing| !thing.hidden) {
        if !seen.contains(&thing.id) {
            return Err(Failing::Inconclusive(format!(
                "the reader does not see {}, whose mark is one of those that are to be shown: {}",
                thing.id, thing.value
            )));
        }
    }
    let mut asked = 0;
    for question in world.questions() {
        if let Err(leak) = compare(remote, &question, &left, &right, &mut asked).await? {
            return Err(Failing::Leak(leak));
        }
    }
    Ok(asked)
}

/// Asks one question of both collections, and follows its pages to their end.
async fn compare(
    remote: &impl Remote,
    question: &str,
    left: &Sheet<'_>,
    right: &Sheet<'_>,
    asked: &mut usize,
) -> Result<Result<(), Box<Leak>>, Failing> {
    let (mut one, mut other) = (left.path(question), right.path(question));
    for _ in 0..PAGES {
        let (whole, without) = (get(remote, &one).await?, get(remote, &other).await?);
        *asked = asked.saturating_add(1);
        let next = [(left.path(question), &whole), (right.path(question), &without)]
            .map(|(first, seen)| next_page(&first, &seen.body));
        let (whole, without) = (left.masked(whole), right.masked(without));
        if whole != without {
            return Ok(Err(Box::new(Leak { question: Question::new(one, ""), whole, without })));
        }
        let [Some(next), Some(next_other)] = next else { return Ok(Ok(())) };
        (one, other) = (next, next_other);
    }
    Err(Failing::Inconclusive(format!("{one} has no end")))
}

async fn get(remote: &impl Remote, path: &str) -> Result<Seen, Failing> {
    let seen = remote.get(Eyes::Reader, path).await.map_err(Failing::Inconclusive)?;
    // Neither is an answer about what is there.
    if seen.status == 401 || seen.status == 429 || seen.status >= 500 {
        return Err(Failing::Inconclusive(format!("{path} is answered {seen:?}")));
    }
    Ok(seen)
}

fn next_page(first: &str, body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("more").and_then(Value::as_bool).filter(|more| *more)?;
    let next: String = form_urlencoded::byte_serialize(value.get("next")?.as_str()?.as_bytes()).collect();
    Some(format!("{first}{}next={next}", if first.contains('?') { '&' } else { '?' }))
}

/// What the reader sees in a collection: the times at which it was taken, and the ids.
async fn sheet<'a>(
    remote: &impl Remote,
    collection: &'a str,
) -> Result<(Sheet<'a>, BTreeSet<String>), Failing> {
    let first = format!("collections/{collection}/manifest/?match[version]=all");
    let (mut times, mut ids) = (Vec::new(), BTreeSet::new());
    let mut path = Some(first.clone());
    for _ in 0..PAGES {
        let Some(this) = path.take() else { break };
        let seen = get(remote, &this).await?;
        if seen.status != 200 {
            return Err(Failing::Inconclusive(format!("{this} is answered {seen:?}")));
        }
        let page: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        for row in page.get("objects").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
            ids.extend(text("id"));
            let time = text("date_added");
            times.extend(time.filter(|time| !times.contains(time)));
        }
        path = next_page(&first, &seen.body);
    }
    Ok((Sheet { collection, times }, ids))
}

/// Has the writer put things into a collection, and waits until they are there.
async fn write(remote: &impl Remote, collection: &str, things: &[&Thing]) -> Result<(), Failing> {
    if things.is_empty() {
        return Ok(());
    }
    let objects: Vec<&Value> = things.iter().map(|thing| &thing.value).collect();
    let body = json!({ "objects": objects }).to_string().into_bytes();
    let path = format!("collections/{collection}/objects/");
    let mut seen = remote.post(Eyes::Writer, &path, body).await.map_err(Failing::Inconclusive)?;
    for _ in 0..PATIENCE {
        let status: BTreeMap<String, Value> = serde_json::from_slice(&seen.body).unwrap_or_default();
        let number = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or(0);
        let is = |word: &str| status.get("status").and_then(Value::as_str) == Some(word);
        if is("complete") && number("failure_count") == 0 && number("success_count") == things.len() as u64 {
            return Ok(());
        }
        let (Some(id), true) = (status.get("id").and_then(Value::as_str), is("pending")) else { break };
        remote.pause().await;
        let path = format!("status/{id}/");
        seen = remote.get(Eyes::Writer, &path).await.map_err(Failing::Inconclusive)?;
    }
    Err(Failing::Inconclusive(format!("the writer's objects are not taken: {seen:?}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_server_makes_up_is_masked_and_nothing_beside_it() {
        assert_eq!(
            mask(r#"{"more":true,"next": "a\"b","x":1}"#, "next"),
            r#"{"more":true,"next":"…","x":1}"#
        );
        assert_eq!(mask(r#"{"next":7}"#, "next"), r#"{"next":7}"#);
        assert_eq!(mask(r#"{"a":"next","next":"open"#, "next"), r#"{"a":"next","next":"open"#);
        let times = vec!["2026-01-01T00:00:00.000001Z".to_owned()];
        let sheet = Sheet { collection: "abc", times };
        let header = |value: &str| ("x-taxii-date-added-last".to_owned(), value.to_owned());
        let seen = |value: &str| Seen { status: 200, headers: vec![header(value)], body: b"abc".to_vec() };
        let same = sheet.masked(seen("2026-01-01T00:00:00.000001Z"));
        assert_eq!((&*same.headers[0].1, &*same.body), ("TIME 0", &b"COLLECTION"[..]));
        // The time of something that the reader does not see stays, and is found by it.
        assert_eq!(sheet.masked(seen("2026-01-01T00:00:01Z")).headers[0].1, "2026-01-01T00:00:01Z");
    }

    #[test]
    fn worlds_hide_something_show_something_and_refer_to_nothing_hidden() {
        let mark = |n: u128| ObjectId::new("marking-definition", ostrom_core::Uuid::from_u128(n)).unwrap();
        let marks = Marks { shown: vec![mark(1)], hidden: vec![mark(2)] };
        for seed in 0..50 {
            let world = Marked::random(seed, 12, &marks);
            let (all, hidden) = world.counts();
            assert!(hidden > 0 && hidden < all, "{seed}");
            let secret: BTreeSet<&str> =
                world.things().filter(|thing| thing.hidden).map(|thing| thing.id.as_str()).collect();
            for thing in world.things().filter(|thing| !thing.hidden) {
                let mut rest = thing.value.clone();
                rest.as_object_mut().unwrap().remove("id");
                assert!(secret.iter().all(|id| !rest.to_string().contains(id)), "{seed}: {rest}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", key in "[a-z]{1,3}") {
            let _ = mask(&text, &key);
            let _ = mask(&format!("\"{key}\":\"{text}"), &key);
        }
    }
}
