//! How fast pages come: fills a store with objects under many policies, then walks through them, with and without the question who may see them.
//!
//!     cargo run --release -p ostrom-store --example pages -- [OBJECTS] [DATABASE] [SECONDS]
//!
//! `DATABASE` is `sqlite:PATH` or `postgres://…`; without, SQLite in a temporary folder. One that is filled already is used as it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an example may fail loudly"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ostrom_core::handling::{Handling, Party, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, GroupId, ObjectId, OrgId, Timestamp, Uuid};
use ostrom_store::{Collection, Config, Filter, Key, NewObject, Store};

const BATCH: u64 = 1000;
/// So many policies there are: each for a group and for an organisation of its own.
const POLICIES: u64 = 400;
const GROUPS: u64 = 40;
/// One object in so many is for another group alone.
const SELDOM: u64 = 10_000;
const LIMIT: usize = 100;
const WORDS: [&str; 24] = [
    "prompt",
    "injection",
    "model",
    "endpoint",
    "agent",
    "tool",
    "exfiltration",
    "jailbreak",
    "transfer",
    "suffix",
    "memory",
    "retrieval",
    "poisoning",
    "weights",
    "backdoor",
    "trigger",
    "classifier",
    "evasion",
    "gateway",
    "credential",
    "sandbox",
    "report",
    "vendor",
    "release",
];

fn group(n: u64) -> GroupId {
    GroupId::new(Uuid::from_u128(u128::from(n) + 1))
}

/// An organisation that one policy names.
fn named(policy: u64) -> OrgId {
    OrgId::new(Uuid::from_u128(u128::from(policy) + 1000))
}

fn collection() -> CollectionId {
    CollectionId::new(Uuid::from_u128(1))
}

/// A number that looks like chance and is the same each time.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn object(n: u64) -> NewObject {
    let owner = OrgId::new(Uuid::from_u128(7));
    let of = mix(n) % POLICIES;
    let audience = if n % SELDOM == SELDOM / 2 {
        [Party::Group(group(GROUPS))].into()
    } else {
        [Party::Group(group(of % GROUPS)), Party::Organisation(named(of))].into()
    };
    let own = Policy::new([Handling { audience, ..Handling::new(owner, Tlp::Amber) }]);
    let uuid = Uuid::from_u128(u128::from(mix(n)) << 64 | u128::from(n));
    let id = ObjectId::new("indicator", uuid).unwrap();
    let text: Vec<&str> = (0..12).map(|at| WORDS[(mix(n * 31 + at) % 24) as usize]).collect();
    let text = text.join(" ");
    let body = format!(
        "{{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"{id}\",\"created_by_ref\":\"identity--{uuid}\",\"created\":\"2026-01-01T00:00:00.000Z\",\
         \"modified\":\"2026-01-01T00:00:00.000Z\",\"name\":\"Indicator {n}\",\"description\":\"{text} {text} {text}\",\"indicator_types\":[\"malicious-activity\"],\
         \"pattern\":\"[url:value = 'https://host-{n}.example/{uuid}']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\"}}"
    );
    NewObject {
        collection: collection(),
        version: Some(Timestamp::EPOCH.plus_seconds(1_700_000_000)),
        spec_version: "2.1".to_owned(),
        own,
        references: Vec::new(),
        shared: false,
        owner,
        person: None,
        peer: None,
        body: body.into_bytes(),
        title: format!("Indicator {n}"),
        text,
        salt: Some(mix(n).to_be_bytes().repeat(4)),
        leaf: Some(n),
        aside: None,
        id,
    }
}

/// A line of /proc/self/status in MiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// The processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(100_000, |text| text.parse().expect("a number of objects"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config =
        args.next().map_or_else(|| Config::folder(folder.path()), |text| text.parse().expect("a database"));
    let seconds: u64 = args.next().map_or(10, |text| text.parse().expect("a number of seconds"));
    let store = Store::open(&config).await.expect("the database opens");
    let now = Timestamp::EPOCH.plus_seconds(1_800_000_000);
    fill(&store, count, now).await;
    walk(&store, now, Duration::from_secs(seconds)).await;
    store.close().await;
}

async fn fill(store: &Store, count: u64, now: Timestamp) {
    if !store.collections().await.expect("collections").is_empty() {
        return;
    }
    let mut writing = store.writing(now).await.expect("a transaction");
    let new = Collection {
        id: collection(),
        alias: None,
        title: "Indicators".to_owned(),
        description: String::new(),
        may_read: None,
        may_write: None,
        handling: None,
        media_types: Vec::new(),
        created: now,
    };
    writing.put_collection(&new).await.expect("a collection");
    writing.commit().await.expect("a commit");
    let (started, before) = (Instant::now(), cpu());
    let mut mark = (Instant::now(), 0);
    for first in (0..count).step_by(BATCH as usize) {
        let objects = (first..count.min(first + BATCH)).map(object).collect();
        let mut writing = store.writing(now).await.expect("a transaction");
        writing.put(objects).await.expect("a batch");
        writing.commit().await.expect("a commit");
        if first + BATCH - mark.1 >= 100_000 {
            let rate = (first + BATCH - mark.1) as f64 / mark.0.elapsed().as_secs_f64();
            println!("  {:>9} objects: {rate:.0} objects/s", first + BATCH);
            mark = (Instant::now(), first + BATCH);
        }
    }
    let took = started.elapsed();
    let spent = cpu() - before;
    println!(
        "ingest: {count} objects in batches of {BATCH}: {:.0} objects/s, {:.1} µs of processor each, {} MiB resident",
        count as f64 / took.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / count as f64,
        memory("VmRSS"),
    );
}

/// What one way of walking took.
#[derive(Default)]
struct Times {
    each: Vec<Duration>,
    cpu: Duration,
    objects: usize,
    after: Option<Key>,
}

impl Times {
    fn show(&mut self, name: &str) {
        self.each.sort();
        let total: Duration = self.each.iter().sum();
        let at = |share: f64| self.each[((self.each.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{name}: {:.0} pages/s, p50 {:.3} ms, p99 {:.3} ms, {:.3} ms of processor each, {:.1} objects each",
            self.each.len() as f64 / total.as_secs_f64(),
            at(0.5),
            at(0.99),
            self.cpu.as_secs_f64() * 1e3 / self.each.len() as f64,
            self.objects as f64 / self.each.len() as f64,
        );
    }

    async fn page(&mut self, store: &Store, reader: Option<&Reader>, now: Timestamp) {
        let start = Instant::now();
        let page = match reader {
            Some(reader) => {
                let reading = store.reading(reader, now).await.expect("a reading");
                reading.page(collection(), &Filter::default(), self.after.as_ref(), LIMIT).await
            }
            None => store.custody().page(collection(), self.after.as_ref(), LIMIT).await,
        };
        let page = page.expect("a page");
        self.each.push(start.elapsed());
        self.objects += page.rows.len();
        self.after = page.next;
    }

    fn mean(&self) -> f64 {
        self.each.iter().sum::<Duration>().as_secs_f64() / self.each.len() as f64
    }
}

/// Somebody in these groups.
fn reader(groups: impl Iterator<Item = u64>) -> Reader {
    let groups: BTreeSet<GroupId> = groups.map(group).collect();
    Reader { organisation: Some(OrgId::new(Uuid::from_u128(9))), groups, ..Reader::anonymous(true) }
}

async fn walk(store: &Store, now: Timestamp, long: Duration) {
    // Who sees everything gets the same pages as the question that does not ask: the difference is what asking costs.
    let (all, most) = (reader(0..=GROUPS), reader((0..=GROUPS).filter(|n| n % 10 != 3)));
    let seldom = reader(GROUPS..=GROUPS);
    let policy = Reader { organisation: Some(named(5)), ..reader(0..0) };
    let asked = [
        ("a reader who may see all", Some(&all)),
        ("a reader who may see nine of ten", Some(&most)),
        ("a reader who may see one of 400", Some(&policy)),
        ("a reader who may see one of 10,000", Some(&seldom)),
        ("nobody asked", None),
    ];
    let mut times: Vec<Times> = asked.iter().map(|_| Times::default()).collect();
    let started = Instant::now();
    // In turns, so that all see the same weather.
    while started.elapsed() < long {
        for (times, (_, reader)) in times.iter_mut().zip(asked) {
            let (began, before) = (Instant::now(), cpu());
            while began.elapsed() < Duration::from_millis(300) {
                times.page(store, reader, now).await;
            }
            times.cpu += cpu() - before;
        }
    }
    for (times, (name, _)) in times.iter_mut().zip(asked) {
        times.show(name);
    }
    println!("asking costs {:.1} %", (times[0].mean() / times[4].mean() - 1.0) * 100.0);
    println!("memory: {} MiB resident, {} MiB at most", memory("VmRSS"), memory("VmHWM"));
    for (name, reader) in &asked[..4] {
        others(store, name, reader.expect("a reader"), now).await;
    }
}

/// What else is asked for: once without anything in memory, then once more.
async fn others(store: &Store, name: &str, reader: &Reader, now: Timestamp) {
    let reading = store.reading(reader, now).await.expect("a reading");
    let mut took = Vec::new();
    for _ in 0..2 {
        for what in 0..5 {
            let start = Instant::now();
            let found = match what {
                0 => reading.list(&[], None, LIMIT).await.expect("a list").rows.len(),
                1 => reading.list(&["indicator"], None, LIMIT).await.expect("a list").rows.len(),
                2 => reading.search("sandbox vendor", &[], None, LIMIT).await.expect("found").rows.len(),
                3 => reading.changes(None, LIMIT).await.expect("changes").rows.len(),
                _ => reading.counts().await.expect("counts").len(),
            };
            took.push(format!("{:.1} ms ({found})", start.elapsed().as_secs_f64() * 1e3));
        }
    }
    let (first, second) = took.split_at(5);
    println!(
        "{name}: list, list of a type, search, changes, counts: {}; again {}",
        first.join(", "),
        second.join(", ")
    );
}
