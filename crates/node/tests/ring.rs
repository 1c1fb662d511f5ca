//! Three nodes, each a process of its own, that pull from one another in a ring, while lines are cut and nodes are killed (kill -9). Afterwards everything
//! that should be there is there once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::process::{Process, program};
use common::{Browser, PASSWORD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// The line to a node: its address stays while the node's own port changes, and it can be cut.
struct Line {
    url: String,
    to: Arc<AtomicU16>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Line {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let (to, open) = (Arc::new(AtomicU16::new(0)), Arc::new(Mutex::new(Vec::new())));
        let line = Self { url, to: Arc::clone(&to), open: Arc::clone(&open) };
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let port = to.load(Ordering::SeqCst);
                let carry = tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                open.lock().unwrap().push(carry);
            }
        });
        line
    }

    /// Cuts whatever is on the way.
    fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|carry| carry.abort());
    }
}

struct Member {
    data: PathBuf,
    line: Line,
    process: Process,
    boss: Browser,
    /// Pulls from the node before: its address, and the token of forms.
    pull: Option<(String, String)>,
}

impl Member {
    async fn start(data: &std::path::Path, line: &Line, first: bool) -> Process {
        let mut command = Command::new(program());
        command.arg(data).arg("127.0.0.1:0").env("OSTROM_BASE", &line.url).env("OSTROM_PRIVATE_PEERS", "1");
        let process = Process::of(command, first).await;
        let port = process.url.rsplit(':').next().unwrap().parse().unwrap();
        line.to.store(port, Ordering::SeqCst);
        process
    }

    async fn new(data: PathBuf) -> Self {
        let line = Line::new().await;
        let mut process = Self::start(&data, &line, true).await;
        process.url.clone_from(&line.url);
        let mut boss = process.administrator().await;
        boss.collection("flaws").await;
        Self { data, line, process, boss, pull: None }
    }

    /// Kills it, and starts it again on what it left behind.
    async fn kill(&mut self) {
        self.process.child.start_kill().unwrap();
        self.process.child.wait().await.unwrap();
        self.line.cut();
        self.process = Self::start(&self.data, &self.line, false).await;
    }

    /// A token with which the node `for_whom` may pull from here.
    async fn token_for(&mut self, for_whom: usize) -> String {
        let member = self.boss.organisation(&format!("Node {for_whom}")).await;
        let person = json!({"organisation": member, "name": "Sync", "email": format!("sync{for_whom}@peer.example"),
            "roles": ["coordinator"]});
        let made = self.boss.api(Method::POST, "/api/v1/persons", &person).await;
        let path = format!("/api/v1/persons/{}/invitation", made.json()["id"].as_str().unwrap());
        let link =
            self.boss.api(Method::POST, &path, &json!({})).await.json()["link"].as_str().unwrap().to_owned();
        let mut sync = Browser::at(&self.line.url);
        let secret = link.rsplit('/').next().unwrap();
        let accepted = sync.form("/auth/invitation", &[("secret", secret), ("password", PASSWORD)]).await;
        assert_eq!(accepted.status, 303, "{accepted:?}");
        sync.token(&["federate"]).await
    }

    /// Pulls; what goes wrong on the way is no matter. Gives what it did, if it got through.
    fn pull(&self) -> JoinHandle<Option<Value>> {
        let (path, csrf) = self.pull.clone().unwrap();
        let cookie = format!("ostrom={}", self.boss.cookies["ostrom"]);
        let request = common::http()
            .post(format!("{}{path}", self.line.url))
            .header("cookie", cookie)
            .header("x-csrf-token", csrf)
            .header("content-type", "application/json")
            .body("{}");
        tokio::spawn(async move {
            let response = request.send().await.ok()?;
            let good = response.status() == 200;
            let body = response.bytes().await.ok()?;
            serde_json::from_slice(&body).ok().filter(|_| good)
        })
    }

    async fn write(&mut self, tlp: &str, name: &str) -> String {
        let object = json!({"name": name, "description": "x".repeat(30_000)});
        let flaw = json!({"collection": "flaws", "handling": {"tlp": tlp}, "object": object});
        let made = self.boss.api(Method::POST, "/api/v1/flaws", &flaw).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// The ids of all flaws that are here, as often as they are.
    async fn flaws(&mut self) -> Vec<String> {
        let (mut ids, mut path) = (Vec::new(), "/api/v1/flaws?limit=100".to_owned());
        loop {
            let page = self.boss.get(&path).await.json();
            ids.extend(
                page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => path = format!("/api/v1/flaws?limit=100&after={next}"),
                None => return ids,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_lines_cut_and_nodes_killed_everything_is_there_once() {
    let rounds = std::env::var("OSTROM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6_usize);
    let folder = tempfile::tempdir().unwrap();
    let mut ring = Vec::new();
    for number in 0..3 {
        ring.push(Member::new(folder.path().join(number.to_string())).await);
    }
    for number in 0..3 {
        let before = (number + 2) % 3;
        let token = ring[before].token_for(number).await;
        let url = ring[before].line.url.clone();
        let key = Browser::at(&url).get("/federation/v1/identity").await.json()["key"].clone();
        let form = json!({"url": url, "name": "Before", "public_key": key, "token": token});
        let made = ring[number].boss.api(Method::POST, "/api/v1/peers", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        let path = format!("/api/v1/peers/{}/pull", made.json()["id"].as_str().unwrap());
        let csrf = ring[number].boss.csrf().await;
        ring[number].pull = Some((path, csrf));
    }
    let (mut shared, mut own) = (BTreeSet::new(), vec![BTreeSet::new(); 3]);
    for round in 0..rounds {
        for (number, node) in ring.iter_mut().enumerate() {
            for n in 0..5 {
                shared.insert(node.write("clear", &format!("Flaw {number} {round} {n}")).await);
            }
            own[number].insert(node.write("amber", &format!("Own {number} {round}")).await);
        }
        let pulls: Vec<_> = ring.iter().map(Member::pull).collect();
        // At another moment each time.
        tokio::time::sleep(Duration::from_millis(5 + (round as u64 * 37) % 120)).await;
        let unlucky = round % 3;
        ring[(round + 1) % 3].line.cut();
        ring[unlucky].kill().await;
        for pull in pulls {
            let _whatever = pull.await.unwrap();
        }
    }
    // Whoever has waited longer after failures asks again when told to.
    for _ in 0..3 {
        for node in &ring {
            let pulled = node.pull().await.unwrap();
            assert!(pulled.is_some(), "a pull on a quiet line failed");
        }
    }
    for (number, node) in ring.iter_mut().enumerate() {
        let found = node.flaws().await;
        let unique: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "node {number} has something twice");
        let expected: BTreeSet<String> = shared.union(&own[number]).cloned().collect();
        let lost: Vec<_> = expected.difference(&unique).collect();
        let more: Vec<_> = unique.difference(&expected).collect();
        assert!(lost.is_empty() && more.is_empty(), "node {number}: lost {lost:?}, more {more:?}");
        for id in &expected {
            let versions = node.boss.get(&format!("/api/v1/objects/{id}/versions")).await.json();
            let versions = versions.as_array().or_else(|| versions["items"].as_array()).map_or(0, Vec::len);
            assert_eq!(versions, 1, "{id} at node {number}");
        }
    }
    println!("{rounds} kills and cuts, {} shared objects at three nodes", shared.len());
}
