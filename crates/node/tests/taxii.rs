//! The unmodified client of OASIS against a running node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::TestNode;
use reqwest::Method;
use serde_json::json;

/// The Python of a virtual environment with the client, made once in the target folder.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("taxii2-client-2.3.0");
    let python = folder.join("bin/python");
    let works = || {
        let asked = Command::new(&python).args(["-c", "import taxii2client.v21"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if !works() {
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .output()
            .expect("python3 is needed for this test");
        assert!(made.status.success(), "no virtual environment: {}", String::from_utf8_lossy(&made.stderr));
        let pip = folder.join("bin/pip");
        let got = Command::new(pip).args(["install", "--quiet", "taxii2-client==2.3.0"]).output().unwrap();
        assert!(
            got.status.success(),
            "taxii2-client cannot be had from PyPI: {}",
            String::from_utf8_lossy(&got.stderr)
        );
    }
    assert!(works(), "taxii2-client is there and cannot be imported: remove {}", folder.display());
    python
}

#[tokio::test]
async fn taxii2_client_reads_and_writes() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let made = ada
        .api(Method::POST, "/api/v1/collections", &json!({"title": "Flaws", "default_tlp": "amber"}))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let collection = made.json()["id"].as_str().unwrap().to_owned();
    let token = ada.token(&["read", "write"]).await;
    let url = format!("{}/taxii2/", ada.origin);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/taxii/client.py");
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let asked = tokio::process::Command::new(python)
        .arg(script)
        .args([&url, &token, &collection])
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    assert!(asked.status.success(), "{out}\n{err}");
    assert!(out.ends_with("done\n"), "{out}");
    node.stop().await;
}

#[tokio::test]
async fn a_token_for_one_collection_knows_of_no_other() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let mut ids = Vec::new();
    for title in ["One", "Two"] {
        let made = ada.api(Method::POST, "/api/v1/collections", &json!({"title": title})).await;
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let form = json!({"name": "m", "scopes": ["read"], "days": 1, "collections": [ids[0]]});
    let token =
        ada.api(Method::POST, "/api/v1/tokens", &form).await.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer)];
    let mut machine = node.browser();
    let listed = machine.send(Method::GET, "/taxii2/api/collections/", &headers, Vec::new()).await.json();
    assert_eq!(listed["collections"].as_array().unwrap().len(), 1);
    let mut answers = Vec::new();
    for id in [&*ids[1], "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"] {
        for rest in [
            "",
            "objects/",
            "manifest/",
            "objects/vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061/versions/",
        ] {
            let path = format!("/taxii2/api/collections/{id}/{rest}");
            let mut answer = machine.send(Method::GET, &path, &headers, Vec::new()).await;
            assert_eq!(answer.status, 404, "{path}");
            answer.headers.remove("date");
            answers.push(answer);
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let kept =
        machine.send(Method::GET, &format!("/api/v1/collections/{}", ids[1]), &headers, Vec::new()).await;
    assert_eq!(kept.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn a_session_alone_does_not_write_by_taxii() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let made = ada.api(Method::POST, "/api/v1/collections", &json!({"title": "Flaws"})).await.json();
    let path = format!("/taxii2/api/collections/{}/objects/", made["id"].as_str().unwrap());
    let kind = [("content-type", "application/taxii+json;version=2.1")];
    let answer = ada.send(Method::POST, &path, &kind, b"{\"objects\":[]}".to_vec()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.headers["www-authenticate"].iter().any(|one| one.starts_with("Basic")));
    node.stop().await;
}
