//! A node whose disk is full: it says so, and keeps what it has acknowledged.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::path::Path;

use common::process::{Process, program};
use ostrom_node::client::{Client, ClientError, NewObject};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

/// Starts a node on a small disk that only it sees, a part of which something else takes up.
async fn start(folder: &Path) -> Process {
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\" && head -c 2000000 /dev/zero > \"$1/ballast\" && exec \"$2\" \"$1/data\" 127.0.0.1:0";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(folder).arg(program());
    Process::of(command, true).await
}

fn status(error: &ClientError) -> u16 {
    match error {
        ClientError::Refused { status, .. } => *status,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_what_was_acknowledged_is_there_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path()).await;
    let mut ada = process.administrator().await;
    let made =
        ada.api(Method::POST, "/api/v1/collections", &json!({"title": "Flaws", "alias": "flaws"})).await;
    let collection = made.json()["id"].as_str().unwrap().to_owned();
    let client = Client::new(&process.url, &ada.token(&["read", "write"]).await).unwrap();
    let mut acknowledged = Vec::new();
    let error = loop {
        let text = "x".repeat(20_000);
        let flaw = json!({"name": format!("Flaw {}", acknowledged.len()), "description": text});
        match client.report(&NewObject::new("flaws", "amber", flaw)).await {
            Ok(written) => acknowledged.push(written.id.to_string()),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1000, "6 MB hold 20 MB");
    };
    assert_eq!(status(&error), 507, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(acknowledged.len() > 5, "{}", acknowledged.len());
    // It goes on listening, and what needs no record is there.
    assert_eq!(common::Browser::at(&process.url).get("/").await.status, 200);
    let ballast = format!("/proc/{}/root{}/ballast", process.child.id().unwrap(), folder.path().display());
    std::fs::remove_file(ballast).unwrap();
    let page = client.sync(&collection, None, None, 1000).await.unwrap();
    let found: Vec<&str> = page.objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!(found, acknowledged, "in the order in which they were taken");
    client.report(&NewObject::new("flaws", "amber", json!({"name": "There is room again"}))).await.unwrap();
}
