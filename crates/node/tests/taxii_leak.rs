//! The program that holds others' TAXII servers against the leak suite: our own node passes, servers that leak do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;
#[allow(dead_code, reason = "the program's own beginning is not used here")]
#[path = "../examples/taxii_leak.rs"]
mod program;

use std::path::Path;

use common::{Browser, TestNode};
use ostrom_core::ObjectId;
use ostrom_core::handling::Tlp;
use ostrom_exchange::leak::Seen;
use ostrom_exchange::leak::marked::{Eyes, Failing, Marked, Marks, Pair, Remote, play};
use ostrom_exchange::stix::marking::tlp_id;
use program::Http;
use serde_json::{Value, json};

/// A node with two collections, a writer, and a reader of another organisation.
struct Place {
    node: TestNode,
    ada: Browser,
    root: String,
    pair: Pair,
    writer: String,
    reader: String,
}

async fn place() -> Place {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let pair = Pair { whole: ada.collection("whole").await, without: ada.collection("without").await };
    let partner = ada.organisation("Partner").await;
    let mut pat = ada.invite(&node, &partner, "pat@partner.example", &["contributor"]).await;
    let writer = format!("Bearer {}", ada.token(&["read", "write"]).await);
    let reader = format!("Bearer {}", pat.token(&["read"]).await);
    let root = format!("{}/taxii2/api/", ada.origin);
    Place { node, ada, root, pair, writer, reader }
}

fn marks(shown: &[Tlp], hidden: &[Tlp]) -> Marks {
    let ids = |all: &[Tlp]| -> Vec<ObjectId> { all.iter().map(|tlp| tlp_id(*tlp)).collect() };
    Marks { shown: ids(shown), hidden: ids(hidden) }
}

const SHOWN: [Tlp; 2] = [Tlp::Clear, Tlp::Green];

#[tokio::test]
async fn our_own_node_passes() {
    let place = place().await;
    let server = Http::new(&place.root, &place.writer, &place.reader).unwrap();
    let marks = marks(&SHOWN, &[Tlp::Red, Tlp::AmberStrict, Tlp::Amber]);
    for seed in 0..3 {
        place.node.clock.advance(1);
        match play(&server, &place.pair, &Marked::random(seed, 12, &marks)).await {
            Ok(asked) => assert!(asked > 100, "{asked}"),
            Err(failing) => panic!("world {seed}: {failing:?}"),
        }
    }
    place.node.stop().await;
}

/// What servers get wrong.
#[derive(Debug, Clone, Copy)]
enum Mistake {
    /// Marks are ignored.
    Everything,
    /// What is hidden is forbidden, not missing.
    Forbidden,
    /// The time of the last object is that of a hidden one.
    Date,
    /// A header counts what is there.
    Count,
    /// There is said to be more.
    More,
}

struct Leaky {
    server: Http,
    mistake: Mistake,
}

impl Remote for Leaky {
    async fn get(&self, eyes: Eyes, path: &str) -> Result<Seen, String> {
        let mut seen = self.server.get(eyes, path).await?;
        let all = self.server.get(Eyes::Writer, path).await?;
        let json = |seen: &Seen| serde_json::from_slice::<Value>(&seen.body).unwrap_or_default();
        match self.mistake {
            Mistake::Everything => return Ok(all),
            Mistake::Forbidden if seen.status == 404 && all.status == 200 => seen.status = 403,
            Mistake::Date => {
                seen.headers.retain(|(name, _)| name != "x-taxii-date-added-last");
                seen.headers
                    .extend(all.headers.into_iter().filter(|(name, _)| name == "x-taxii-date-added-last"));
            }
            Mistake::Count => {
                let count = json(&all)["objects"].as_array().map_or(0, Vec::len);
                seen.headers.push(("x-total-count".to_owned(), count.to_string()));
            }
            Mistake::More if seen.status == 200 => {
                let (mut body, all) = (json(&seen), json(&all));
                // A page that says so leads to the same page.
                if all["more"] == true && body["more"] != true {
                    body["more"] = json!(true);
                    seen.body = body.to_string().into_bytes();
                }
            }
            _ => {}
        }
        Ok(seen)
    }

    async fn post(&self, eyes: Eyes, path: &str, body: Vec<u8>) -> Result<Seen, String> {
        self.server.post(eyes, path, body).await
    }

    async fn pause(&self) {
        self.server.pause().await;
    }
}

#[tokio::test]
async fn servers_that_leak_do_not_pass() {
    for mistake in [Mistake::Everything, Mistake::Forbidden, Mistake::Date, Mistake::Count, Mistake::More] {
        let place = place().await;
        let server = Http::new(&place.root, &place.writer, &place.reader).unwrap();
        let (server, mut played) = (Leaky { server, mistake }, Ok(0));
        // Not every world has what shows every mistake.
        for seed in 0..8 {
            let world = Marked::random(seed, 12, &marks(&SHOWN, &[Tlp::AmberStrict]));
            played = play(&server, &place.pair, &world).await;
            if played.is_err() {
                break;
            }
        }
        assert!(matches!(played, Err(Failing::Leak(_))), "{mistake:?}: {played:?}");
        place.node.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_shows_or_takes_nothing_has_passed_nothing() {
    let place = place().await;
    let inconclusive = async |writer: &str, marks: Marks| {
        let server = Http::new(&place.root, writer, &place.reader).unwrap();
        let played = play(&server, &place.pair, &Marked::random(1, 8, &marks)).await;
        let Err(Failing::Inconclusive(why)) = played else { panic!("{played:?}") };
        why
    };
    let why = inconclusive(&place.reader, marks(&SHOWN, &[Tlp::Red])).await;
    assert!(why.contains("not taken"), "{why}");
    let why = inconclusive(&place.writer, marks(&[Tlp::AmberStrict], &[Tlp::Red])).await;
    assert!(why.contains("does not see"), "{why}");
    // What the reader finds in one of them already would be taken for a leak.
    place.ada.clone().flaw(&place.pair.whole, "clear", "Here before").await;
    let why = inconclusive(&place.writer, marks(&SHOWN, &[Tlp::Red])).await;
    assert!(why.contains("take two new ones"), "{why}");
    place.node.stop().await;
}

#[tokio::test]
async fn the_program_ends_with_what_it_found() {
    let place = place().await;
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/taxii_leak");
    assert!(program.exists(), "cargo build -p ostrom-node --example taxii_leak");
    let run = async |place: &Place, reader: &str, args: &[&str]| {
        let mut command = tokio::process::Command::new(&program);
        command.args([&place.root, &place.pair.whole, &place.pair.without]).args(args);
        command.args(["--worlds", "1", "--objects", "8"]);
        let output =
            command.env("TAXII_WRITER", &place.writer).env("TAXII_READER", reader).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&place, &place.reader, &["--hidden", "red,amber+strict"]).await;
    assert!(code == Some(0) && out.contains("nothing shows"), "{out}{err}");
    let leaky = self::place().await;
    let (code, out, err) = run(&leaky, &leaky.writer, &["--hidden", "amber+strict"]).await;
    assert!(code == Some(1) && out.contains("A leak: collections/"), "{out}{err}");
    leaky.node.stop().await;
    assert!(!out.contains("ost_") && !err.contains("ost_"), "a credential is shown");
    let (code, _, err) = run(&place, &place.reader, &["--hidden", "purple"]).await;
    assert!(code == Some(2) && err.contains("purple"), "{err}");
    let (code, _, err) = run(&place, "Bearer nothing", &[]).await;
    assert!(code == Some(2) && err.contains("401"), "{err}");
    place.node.stop().await;
}
