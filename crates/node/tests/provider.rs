//! Sign-in with an OpenID provider, which these tests play.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;
#[path = "common/provider.rs"]
mod openid;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Answer, Browser, TestNode};
use openid::{Provider, node};
use reqwest::Method;
use serde_json::{Value, json};

fn parameters(location: &str) -> HashMap<String, String> {
    let query = location.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The way to the provider and back. `nonce` is what the provider puts into the token, if not the right one.
async fn sign_in(provider: &Provider, browser: &mut Browser, nonce: Option<&str>) -> Answer {
    sign_in_by(provider, browser, nonce, "/auth/provider?next=/flaws").await
}

async fn sign_in_by(provider: &Provider, browser: &mut Browser, nonce: Option<&str>, path: &str) -> Answer {
    let begun = browser.get(path).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let sent = parameters(begun.header("location").unwrap());
    assert_eq!(
        (&*sent["response_type"], &*sent["code_challenge_method"], &*sent["client_id"]),
        ("code", "S256", "node")
    );
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(nonce.unwrap_or(&sent["nonce"])));
    browser.get(&format!("/auth/provider/callback?code=code-1&state={}", sent["state"])).await
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 303 && answer.header("location").unwrap().starts_with("/sign-in?failed=provider")
}

#[tokio::test]
async fn an_invited_person_comes_in_and_is_known_by_the_subject_from_then_on() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let mut browser = node.browser();
    let answer = sign_in(&provider, &mut browser, None).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/flaws")));
    assert_eq!(browser.get("/api/v1/me").await.json()["name"], "Ada");
    // The provider's address has changed: the subject counts.
    provider.set("email", json!("ada@elsewhere.example"));
    let mut browser = node.browser();
    assert!(!is_refused(&sign_in(&provider, &mut browser, None).await));
    // Another subject with the same address is somebody else.
    provider.set("email", json!("ada@institute.example"));
    provider.set("sub", json!("mallory"));
    let mut browser = node.browser();
    assert!(is_refused(&sign_in(&provider, &mut browser, None).await));
    assert_eq!(browser.get("/api/v1/me").await.json()["kind"], "anonymous");
    node.stop().await;
}

#[tokio::test]
async fn tokens_that_are_not_for_this_sign_in_are_refused() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(is_refused(&sign_in(&provider, &mut node.browser(), Some("another")).await));
    for (name, wrong) in [
        ("aud", json!("other")),
        ("aud", json!(["node", "other"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now - 3600)),
        ("sub", json!("")),
        ("email_verified", json!(false)),
        ("email_verified", json!("true")),
        ("email", json!("nobody@institute.example")),
    ] {
        let right = provider.claims.lock().unwrap()[name].clone();
        provider.set(name, wrong.clone());
        assert!(is_refused(&sign_in(&provider, &mut node.browser(), None).await), "{name}: {wrong}");
        provider.set(name, right);
    }
    for signed in ["other", "secret"] {
        *provider.signed.lock().unwrap() = signed;
        assert!(is_refused(&sign_in(&provider, &mut node.browser(), None).await), "{signed}");
    }
    *provider.signed.lock().unwrap() = "good";
    assert!(!is_refused(&sign_in(&provider, &mut node.browser(), None).await));
    node.stop().await;
}

#[tokio::test]
async fn only_the_browser_that_went_comes_back_and_once() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let mut browser = node.browser();
    let begun = browser.get("/auth/provider?next=//evil.example").await;
    let sent = parameters(begun.header("location").unwrap());
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(sent["nonce"]));
    let back = format!("/auth/provider/callback?code=code-1&state={}", sent["state"]);
    // Somebody else's browser, which was sent the link.
    assert!(is_refused(&node.browser().get(&back).await));
    // And then it is used up.
    assert!(is_refused(&browser.get(&back).await));
    for bad in [
        "?code=code-1",
        "?state=x",
        "",
        "?error=access_denied&state=x",
        "?code=code-1&state=x&iss=https://evil.example",
    ] {
        let answer = browser.get(&format!("/auth/provider/callback{bad}")).await;
        assert!(is_refused(&answer), "{bad}: {answer:?}");
    }
    // Sign-in goes on within this site only.
    let begun = browser.get("/auth/provider?next=//evil.example").await;
    let sent = parameters(begun.header("location").unwrap());
    *provider.challenge.lock().unwrap() = sent["code_challenge"].clone();
    provider.set("nonce", json!(sent["nonce"]));
    let answer = browser.get(&format!("/auth/provider/callback?code=code-1&state={}", sent["state"])).await;
    assert_eq!(answer.header("location"), Some("/"));
    // Without a provider there is no such way.
    let plain = TestNode::start().await;
    let answer = plain.browser().send(Method::GET, "/auth/provider", &[], Vec::new()).await;
    assert_eq!(answer.status, 404);
    plain.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn a_providers_word_alone_is_no_recent_sign_in() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let token = json!({"name": "m", "scopes": ["read"], "days": 1});
    let mut browser = node.browser();
    let again = "/auth/provider?again=1&next=/account";
    // Somebody who was signed in to the provider already comes in, and changes nothing.
    sign_in(&provider, &mut browser, None).await;
    assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 403);
    let begun = browser.get(again).await;
    let sent = parameters(begun.header("location").unwrap());
    assert_eq!((&*sent["prompt"], &*sent["max_age"]), ("login", "0"));
    // A provider that does not say when it asked them has not, and neither has one that says that it was long ago.
    let now = provider.claims.lock().unwrap()["iat"].as_u64().unwrap();
    for asked in [Value::Null, json!(now - 3600)] {
        provider.set("auth_time", asked);
        sign_in_by(&provider, &mut browser, None, again).await;
        assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 403);
    }
    provider.set("auth_time", json!(now - 5));
    let back = sign_in_by(&provider, &mut browser, None, again).await;
    assert_eq!(back.header("location"), Some("/account"));
    assert_eq!(browser.api(Method::POST, "/api/v1/tokens", &token).await.status, 201);
    node.stop().await;
}
