//! What was acknowledged is there, whatever happens to the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use common::*;
use ostrom_core::{CaseId, Uuid};
use ostrom_store::testing::Postgres;
use ostrom_store::{Config, Store};

const DATABASE: &str = "OSTROM_STORE_TEST_CRASH";

/// Not a test, but the process that the tests below kill: it writes batches and says so after each.
#[test]
#[ignore = "the child process of the tests below"]
fn the_writer() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let (database, round) = database.split_once(' ').unwrap();
    let config: Config = database.parse().unwrap();
    let round: u128 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&config).await.unwrap();
        for batch in 0_u128.. {
            let ids = (0..5).map(|n| (round << 40) + batch * 5 + n);
            let mut writing = store.writing(at(1000)).await.unwrap();
            writing.put(ids.map(|n| object(id("note", n), 1, clear())).collect()).await.unwrap();
            // Its marks before are nobody's then.
            writing.put_case(case(round), &amber_to(round << 40 | batch), "a case").await.unwrap();
            writing.commit().await.unwrap();
            let mut writing = store.writing(at(1000)).await.unwrap();
            writing.sweep().await.unwrap();
            writing.commit().await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nwritten {round} {batch}").unwrap();
            out.flush().unwrap();
        }
    });
}

fn case(n: u128) -> CaseId {
    CaseId::new(Uuid::from_u128(n))
}

fn start(database: &str, round: u128) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_writer", "--ignored", "--nocapture"])
        .env(DATABASE, format!("{database} {round}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn killed_again_and_again(database: &str, rounds: u128) {
    let config: Config = database.parse().unwrap();
    let store = Store::open(&config).await.unwrap();
    add_collections(&store, &[1]).await;
    store.close().await;
    let mut written = Vec::new();
    for round in 1..=rounds {
        let mut child = start(database, round);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut batches = 0;
        let enough = 3 + (round * 7) % 11;
        while let Some(Ok(line)) = lines.next() {
            let Some(batch) = line.strip_prefix(&format!("written {round} ")) else { continue };
            written.push((round << 40) + batch.parse::<u128>().unwrap() * 5);
            batches += 1;
            if batches == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(batches >= enough, "the writer ended by itself");
        let store = Store::open(&config).await.unwrap();
        let reading = store.reading(&anybody(), at(2000)).await.unwrap();
        for first in &written {
            let ids: Vec<_> = (0..5).map(|n| id("note", first + n)).collect();
            assert_eq!(reading.heads(&ids).await.unwrap().len(), 5, "round {round}");
        }
        // Batches are whole: one that was not acknowledged is there with all its objects or none.
        assert_eq!(reading.counts().await.unwrap()["note"] % 5, 0);
        let report = store.custody().check().await.unwrap();
        assert!(report.is_sound() && report.counted, "{report:?}");
        for round in 1..=round {
            assert!(store.custody().case(case(round)).await.unwrap().is_some(), "its marks are there");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    killed_again_and_again(&format!("sqlite:{}/ostrom.db", folder.path().display()), 12).await;
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_on_postgres() {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    killed_again_and_again(&postgres.url(), 6).await;
}
