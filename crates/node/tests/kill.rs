//! A node that is killed under load: what it has acknowledged is there afterwards, once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::process::Process;
use ostrom_node::client::{Client, NewObject};
use serde_json::json;
use tokio::process::Command;

/// Writes one object after another until the node is gone, and notes what was acknowledged.
async fn load(url: String, token: String, worker: usize, acknowledged: Arc<Mutex<Vec<String>>>) {
    let client = Client::new(&url, &token).unwrap();
    for n in 0.. {
        let flaw = NewObject::new("flaws", "amber", json!({"name": format!("Flaw {worker} {n}")}));
        match client.report(&flaw).await {
            Ok(written) => acknowledged.lock().unwrap().push(written.id.to_string()),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9() {
    let rounds = std::env::var("OSTROM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_u64);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::start(&data, true).await;
    let mut ada = process.administrator().await;
    let collection = ada.collection("flaws").await;
    let token = ada.token(&["read", "write"]).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..rounds {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                tokio::spawn(load(process.url.clone(), token.clone(), worker, Arc::clone(&acknowledged)))
            })
            .collect();
        // At another moment each time.
        tokio::time::sleep(Duration::from_millis(150 + (round * 97) % 400)).await;
        process.child.start_kill().unwrap();
        process.child.wait().await.unwrap();
        for worker in workers {
            worker.await.unwrap();
        }
        process = Process::start(&data, false).await;
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() as u64 >= rounds, "nothing was written");
    let client = Client::new(&process.url, &token).unwrap();
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = client.sync(&collection, None, next.as_deref(), 100).await.unwrap();
        found.extend(page.objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()));
        next = page.next;
        if !page.more {
            break;
        }
    }
    let unique: BTreeSet<&String> = found.iter().collect();
    assert_eq!(unique.len(), found.len(), "something is there twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !unique.contains(id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged writes are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    println!("{rounds} kills, {} acknowledged writes, {} objects", acknowledged.len(), found.len());
    // Told to end, it signs what is not signed yet.
    let id = process.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(process.child.wait().await.unwrap().success());
    for (log, entries) in [("log", acknowledged.len() as u64), ("audit", 1)] {
        let key = ostrom_trust::SecretKey::load(&data.join("keys/node.pem")).unwrap().public();
        let report = ostrom_trust::log::verify(&data.join(log), &key).unwrap();
        assert!(report.is_sound(), "{log}: {report}");
        let count = ostrom_trust::log::read(&data.join(log)).unwrap().count() as u64;
        assert!(count >= entries, "{log} has {count} entries");
    }
}
