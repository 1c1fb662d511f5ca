//! Bundles of `ostrom eval`, published by the pages alone: verified here, shown before anything is kept, and refused if anything of them was changed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{Answer, Browser, TestNode};
use ostrom_lab::bundle;
use ostrom_lab::plan::Settings;
use ostrom_lab::run::{Ended, Run, RunPlan, Watch};
use ostrom_lab::suite::Suite;
use ostrom_lab::trial::Trial;
use ostrom_models::{BoxFuture, Model, ModelError, ModelIdentity, Request, Response, StopReason, Usage};
use reqwest::Method;

/// A model that does no work and has a hostile name.
struct Idle;

impl Model for Idle {
    fn identity(&self) -> ModelIdentity {
        let (protocol, url) = ("openai".to_owned(), "http://localhost:1/v1".to_owned());
        ModelIdentity::Endpoint { protocol, url, model: "idle <b onclick=x>\"'".to_owned() }
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn generate(&self, _: Request) -> BoxFuture<'_, Result<Response, ModelError>> {
        Box::pin(async {
            Ok(Response {
                text: "No.".to_owned(),
                tool_calls: Vec::new(),
                usage: Usage::default(),
                stop: StopReason::EndOfTurn,
                logprobs: None,
                reported_model: None,
            })
        })
    }
}

struct Nobody;

impl Watch for Nobody {
    fn trial(&self, _: &Trial) {}
}

/// A bundle of the suite `starter`, in this folder.
async fn bundle_in(folder: &Path) {
    let suite = Suite::load("starter").unwrap();
    let plan = RunPlan {
        schema: ostrom_lab::run::SCHEMA.to_owned(),
        suite: suite.digest().unwrap(),
        target: Idle.identity(),
        reach: serde_json::Value::Null,
        settings: Settings {
            defences: Vec::new(),
            repeat: 1,
            seed: 7,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: 48,
        },
        started: 0,
    };
    let key = ostrom_trust::SecretKey::generate().unwrap();
    let mut run = Run::create(folder, plan, suite, &key).unwrap();
    let (model, nobody): (Arc<dyn Model>, Arc<dyn Watch>) = (Arc::new(Idle), Arc::new(Nobody));
    let ended = run.play(&model, &nobody, &AtomicBool::new(false), false).await.unwrap();
    assert_eq!(ended, Ended::Complete);
    bundle::finish(&run, &key, 1_780_000_000).unwrap();
}

fn packed(folder: &Path) -> Vec<u8> {
    let file = folder.with_extension("tar.zst");
    bundle::pack(folder, &file).unwrap();
    std::fs::read(file).unwrap()
}

/// Sends the form with a file, as a browser does.
async fn upload(browser: &mut Browser, token: &str, fields: &[(&str, &str)], file: &[u8]) -> Answer {
    let origin = browser.origin.clone();
    upload_from(&origin, browser, token, fields, file).await
}

/// The same from a page of this origin.
async fn upload_from(
    origin: &str,
    browser: &mut Browser,
    token: &str,
    fields: &[(&str, &str)],
    file: &[u8],
) -> Answer {
    let mut body = Vec::new();
    let pairs = fields.iter().copied().chain([("csrf", token)]);
    for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        body.extend(
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }
    let head = "--b\r\nContent-Disposition: form-data; name=\"bundle\"; filename=\"../../run.tar.zst\"\r\nContent-Type: application/zstd\r\n\r\n";
    body.extend(head.bytes());
    body.extend(file);
    body.extend(b"\r\n--b--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=b"), ("origin", origin)];
    browser.send(Method::POST, "/evaluations/new", &headers, body).await
}

/// What a hidden field of a page holds.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let value =
        page.split(&start).nth(1).unwrap_or_else(|| panic!("no {name}: {page}")).split('"').next().unwrap();
    let marks = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    marks.into_iter().fold(value.to_owned(), |text, (mark, letter)| text.replace(mark, letter))
}

struct Place {
    node: TestNode,
    ada: Browser,
    collection: String,
    folder: tempfile::TempDir,
}

async fn place() -> Place {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let collection = ada.collection("evaluations").await;
    let folder = tempfile::tempdir().unwrap();
    bundle_in(&folder.path().join("run")).await;
    Place { node, ada, collection, folder }
}

#[tokio::test]
async fn a_bundle_is_verified_shown_and_published_once_by_the_pages_alone() {
    let Place { node, mut ada, collection, folder } = place().await;
    let archive = packed(&folder.path().join("run"));
    assert!(ada.get("/evaluations").await.text().contains("href=\"/evaluations/new\""));
    let form = ada.get("/evaluations/new").await.text();
    assert!(form.contains("enctype=\"multipart/form-data\"") && form.contains("type=\"file\""), "{form}");
    let fields = [("tlp", "green"), ("collection", &*collection)];
    let token = ada.csrf().await;
    let review = upload(&mut ada, &token, &fields, &archive).await;
    let page = review.text();
    assert_eq!(review.status, 200, "{page}");
    assert!(page.contains("idle &#60;b onclick=x&#62;") && !page.contains("<b onclick"), "{page}");
    assert!(page.contains("Benign utility") && page.contains("every outcome and figure"), "{page}");
    let mut nobody = node.browser();
    assert!(nobody.get("/api/v1/evaluations").await.json()["items"].as_array().unwrap().is_empty());
    assert!(
        ada.get("/api/v1/evaluations").await.json()["items"].as_array().unwrap().is_empty(),
        "kept before it was shown"
    );

    let (verified, tag) = (hidden(&page, "verified"), hidden(&page, "tag"));
    let all = [("tlp", "green"), ("collection", &*collection), ("verified", &*verified), ("tag", &*tag)];
    let published = ada.form("/evaluations/publish", &all).await;
    assert_eq!(published.status, 303, "{}", published.text());
    let at = published.header("location").unwrap().to_owned();
    let page = ada.get(&at).await.text();
    assert!(page.contains("Attack success rate") && page.contains("TLP:GREEN"), "{page}");
    // The same bundle again is the same evaluation, whether by a page or by the API.
    assert_eq!(ada.form("/evaluations/publish", &all).await.header("location").unwrap(), at);
    assert_eq!(ada.get("/api/v1/evaluations").await.json()["items"].as_array().unwrap().len(), 1);
    let id = at.trim_start_matches("/evaluations/").split('?').next().unwrap();
    let kept = ada.get(&format!("/api/v1/objects/{id}")).await.json();
    let ai = kept["extensions"].as_object().unwrap().values().next().unwrap();
    let (bundle, _) = bundle::verify(&folder.path().join("run"), None).unwrap();
    assert_eq!(ai["evaluation"]["bundle_sha256"], bundle.digest.to_string());
    assert_eq!(ai["evaluation"]["mechanisms"].as_array().unwrap().len(), bundle.metrics.by_mechanism.len());
    let audit = ada.get("/api/v1/audit").await.json().to_string();
    assert!(audit.contains("take") && audit.contains(id), "{audit}");
    // What was verified is good for the person who uploaded it, and as it was.
    let other = ada.organisation("Other").await;
    let mut bo = ada.invite(&node, &other, "bo@other.example", &["contributor"]).await;
    assert_eq!(bo.form("/evaluations/publish", &all).await.status, 422);
    let better = verified.replacen("\"successes\":0", "\"successes\":1", 1);
    assert_ne!(better, verified);
    let forged = [("tlp", "green"), ("collection", &*collection), ("verified", &*better), ("tag", &*tag)];
    assert_eq!(ada.form("/evaluations/publish", &forged).await.status, 422);
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_whole_bundle_is_refused_with_a_reason_and_leaves_nothing() {
    let Place { node, mut ada, collection, folder } = place().await;
    let run = folder.path().join("run");
    let good = packed(&run);
    let fields = [("tlp", "green"), ("collection", &*collection)];
    let token = ada.csrf().await;
    let trials = std::fs::read_to_string(run.join("trials.jsonl")).unwrap();
    std::fs::write(run.join("trials.jsonl"), trials.replacen("No.", "So.", 1)).unwrap();
    let changed = packed(&run);
    // An archive of other things, and one of a thing that lies elsewhere.
    let archive = |name: &str| compressed(&tar_with(name));
    for (what, file, says) in [
        ("nothing", Vec::new(), "Choose the bundle"),
        ("no archive", b"<script>alert(1)</script>".to_vec(), "the file"),
        ("cut", good[..good.len() / 2].to_vec(), "the file"),
        ("changed", changed, "trials.jsonl was changed"),
        ("another file", archive("evil.txt"), "no part of a bundle"),
        ("a path", archive("../evil.txt"), "no part of a bundle"),
        ("an absolute path", archive("/etc/evil.txt"), "no part of a bundle"),
        ("an unfinished one", archive("suite.json"), "is no bundle"),
    ] {
        let answer = upload(&mut ada, &token, &fields, &file).await;
        let page = answer.text();
        assert_eq!(answer.status, 422, "{what}: {page}");
        assert!(page.contains(says), "{what}: {page}");
        assert!(
            !page.contains("<script>alert") && !page.contains(&*std::env::temp_dir().to_string_lossy()),
            "{what}: {page}"
        );
    }
    for at in [0, 9, good.len() / 3, good.len() - 3] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        let answer = upload(&mut ada, &token, &fields, &bytes).await;
        assert!(answer.status == 422 || answer.status == 200, "{at}: {answer:?}");
        // A changed byte that changes nothing of what is packed is no change.
        assert!(answer.status == 422 || answer.text().contains("every outcome and figure"));
    }
    // Marks that will not do come back with the form, before anything is verified.
    let answer = upload(&mut ada, &token, &[("tlp", "ultra"), ("collection", &collection)], &good).await;
    assert!(answer.status == 422 && answer.text().contains("Choose a mark"));
    // Without the form's token, from somewhere else, or by who may not write.
    assert_eq!(upload(&mut ada, "", &fields, &good).await.status, 403);
    assert_eq!(upload(&mut ada, &"A".repeat(43), &fields, &good).await.status, 403);
    assert_eq!(upload_from("https://evil.example", &mut ada, &token, &fields, &good).await.status, 403);
    assert!(matches!(upload(&mut node.browser(), &token, &fields, &good).await.status, 303 | 401));
    let other = ada.organisation("Other").await;
    let mut reader = ada.invite(&node, &other, "reader@other.example", &["observer"]).await;
    let theirs = reader.csrf().await;
    assert_eq!(upload(&mut reader, &theirs, &fields, &good).await.status, 403);
    assert_eq!(reader.get("/evaluations/new").await.status, 403);
    assert!(ada.get("/api/v1/evaluations").await.json()["items"].as_array().unwrap().is_empty());
    node.stop().await;

    let small = TestNode::with(|config| config.limits.objects_body = 1000).await;
    let mut ada = small.administrator().await;
    let token = ada.csrf().await;
    assert_eq!(upload(&mut ada, &token, &fields, &good).await.status, 413);
    small.stop().await;
}

/// A tar with one file of this name, whatever it is.
fn tar_with(name: &str) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000004");
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = block.to_vec();
    tar.extend(b"evil");
    tar.resize(512 * 4, 0);
    tar
}

/// As a frame of raw blocks (RFC 8878): what it holds is what counts here.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd];
    // One segment, with a content size of four bytes.
    out.push(0b1010_0000);
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let head = (u32::try_from(bytes.len()).unwrap() << 3) | 1;
    out.extend(&head.to_le_bytes()[..3]);
    out.extend(bytes);
    out
}
