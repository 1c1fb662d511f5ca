//! Who gets in, who does not, and what they are told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::time::Duration;

use common::{PASSWORD, TestNode, clock};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn the_first_link_makes_one_administrator_and_holds_once() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let me = ada.get("/api/v1/me").await.json();
    assert_eq!(me["kind"], "person");
    assert!(me["roles"].as_array().unwrap().contains(&json!("administrator")));
    let secret = node.link.as_deref().unwrap().rsplit('/').next().unwrap().to_owned();
    let form = [
        ("secret", &*secret),
        ("organisation", "Evil"),
        ("name", "Eve"),
        ("email", "eve@evil.example"),
        ("password", PASSWORD),
    ];
    assert_eq!(node.browser().form("/auth/invitation", &form).await.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn the_first_link_is_over_after_a_day() {
    let node = TestNode::start().await;
    node.clock.advance(86_400);
    let secret = node.link.as_deref().unwrap().rsplit('/').next().unwrap().to_owned();
    let form = [
        ("secret", &*secret),
        ("organisation", "I"),
        ("name", "A"),
        ("email", "a@i.example"),
        ("password", PASSWORD),
    ];
    assert_eq!(node.browser().form("/auth/invitation", &form).await.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn an_answer_does_not_tell_whether_an_account_exists() {
    let node = TestNode::start().await;
    node.administrator().await;
    let mut answers = Vec::new();
    for email in ["ada@institute.example", "nobody@institute.example"] {
        let mut browser = node.browser();
        browser.csrf().await;
        let mut answer = browser.sign_in(email, "not the password").await;
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").unwrap().starts_with("/sign-in?failed=password"));
        answer.headers.remove("date");
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    let mut browser = node.browser();
    let answer = browser.sign_in(" ADA@institute.example", PASSWORD).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/flaws")));
    node.stop().await;
}

#[tokio::test]
async fn guesses_are_throttled_and_say_when_to_come_again() {
    let node = TestNode::with(|config| config.limits.guesses = 3).await;
    node.administrator().await;
    let mut browser = node.browser();
    for _ in 0..3 {
        assert_eq!(browser.sign_in("ada@institute.example", "wrong password").await.status, 303);
    }
    // The right password helps no more, and neither does a name that nobody has.
    let refused = browser.sign_in("ada@institute.example", PASSWORD).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    node.stop().await;
}

#[tokio::test]
async fn a_session_is_renewed_at_sign_in_and_ends_at_sign_out() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let old = ada.clone();
    assert_eq!(ada.sign_in("ada@institute.example", PASSWORD).await.status, 303);
    assert_ne!(old.cookies["ostrom"], ada.cookies["ostrom"]);
    assert_eq!(old.clone().get("/api/v1/me").await.json()["kind"], "anonymous");
    let stolen = ada.clone();
    assert_eq!(ada.form("/auth/sign-out", &[]).await.status, 303);
    assert_eq!(stolen.clone().get("/api/v1/me").await.json()["kind"], "anonymous");
    node.stop().await;
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_last_in_any_case() {
    let node = TestNode::with(|config| {
        config.clock = clock();
        config.limits.session_idle = Duration::from_secs(3600);
        config.limits.session = Duration::from_secs(4 * 3600);
    })
    .await;
    let mut ada = node.administrator().await;
    let idle = ada.clone();
    for _ in 0..5 {
        assert_eq!(ada.get("/api/v1/me").await.json()["kind"], "person");
        node.clock.advance(45 * 60);
    }
    assert_eq!(ada.get("/api/v1/me").await.json()["kind"], "person");
    node.clock.advance(30 * 60);
    assert_eq!(ada.get("/api/v1/me").await.json()["kind"], "anonymous");
    // A session that nobody uses ends after its idle time.
    let mut again = node.browser();
    again.sign_in("ada@institute.example", PASSWORD).await;
    node.clock.advance(3601);
    assert_eq!(again.get("/api/v1/me").await.json()["kind"], "anonymous");
    assert_eq!(idle.clone().get("/api/v1/me").await.json()["kind"], "anonymous");
    node.stop().await;
}

#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let token = ada.csrf().await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let body = |token: &str| format!("csrf={token}").into_bytes();
    let other = node.browser().csrf().await;
    for (headers, body) in [
        (vec![kind], b"".to_vec()),
        (vec![kind], body(&other)),
        (vec![kind], body("x")),
        (vec![kind, ("origin", "https://evil.example")], body(&token)),
        (vec![kind, ("origin", "null")], body(&token)),
        (vec![kind, ("sec-fetch-site", "cross-site")], body(&token)),
        (vec![kind, ("sec-fetch-site", "same-site")], body(&token)),
        (vec![kind], format!("csrf={token}&csrf={token}").into_bytes()),
    ] {
        let answer = ada.send(Method::POST, "/auth/sign-out", &headers, body).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(
        ada.send(Method::POST, "/auth/sign-out", &[("content-type", "text/plain")], body(&token))
            .await
            .status,
        415
    );
    // The same for JSON with a session's cookie.
    let json = ("content-type", "application/json");
    let form = json!({"name": "Evil"}).to_string().into_bytes();
    let answer = ada.send(Method::POST, "/api/v1/organisations", &[json], form).await;
    assert_eq!(answer.status, 403);
    assert_eq!(ada.get("/api/v1/me").await.json()["kind"], "person");
    node.stop().await;
}

#[tokio::test]
async fn a_person_who_is_made_inactive_is_out_at_once() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let organisation = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &organisation, "bob@vendor.example", &["contributor"]).await;
    assert_eq!(bob.get("/api/v1/me").await.json()["kind"], "person");
    assert_eq!(bob.get("/api/v1/peers").await.status, 403);
    let persons = ada.get("/api/v1/persons").await.json();
    let person =
        persons.as_array().unwrap().iter().find(|one| one["name"] == "bob@vendor.example").unwrap().clone();
    // Addresses are for administrators.
    assert!(person["email"].is_string());
    assert!(bob.get("/api/v1/persons").await.json()[0]["email"].is_null());
    let change = json!({"organisation": organisation, "name": "Bob", "email": "bob@vendor.example", "roles": ["contributor"], "active": false});
    let path = format!("/api/v1/persons/{}", person["id"].as_str().unwrap());
    assert_eq!(ada.api(Method::PUT, &path, &change).await.status, 200);
    assert_eq!(bob.get("/api/v1/me").await.json()["kind"], "anonymous");
    let answer = node.browser().sign_in("bob@vendor.example", PASSWORD).await;
    assert!(answer.header("location").unwrap().starts_with("/sign-in?failed=password"));
    node.stop().await;
}

#[tokio::test]
async fn tokens_have_scopes_expire_and_are_revoked() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let token = ada.token(&["read"]).await;
    assert!(token.starts_with("ost_") && token.len() == 47);
    let bearer = format!("Bearer {token}");
    let basic = format!("Basic {}", data_encoding::BASE64.encode(format!("x:{token}").as_bytes()));
    for header in [&bearer, &basic] {
        let me =
            node.browser().send(Method::GET, "/api/v1/me", &[("authorization", header)], Vec::new()).await;
        assert_eq!((me.status, me.json()["kind"].as_str()), (200, Some("machine")));
    }
    let mut machine = node.browser();
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let made = machine
        .send(
            Method::POST,
            "/api/v1/tokens",
            &headers,
            br#"{"name":"x","scopes":["read"],"days":1}"#.to_vec(),
        )
        .await;
    assert_eq!(made.status, 403);
    for bad in ["Bearer ost_", &format!("Bearer ost_{}", "a".repeat(43)), "Basic x", "Bearer", ""] {
        let answer = machine.send(Method::GET, "/api/v1/me", &[("authorization", bad)], Vec::new()).await;
        assert_eq!(answer.status, 401, "{bad}");
        assert!(answer.header("www-authenticate").is_some());
    }
    let id = ada.get("/api/v1/tokens").await.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ada.api(Method::DELETE, &format!("/api/v1/tokens/{id}"), &json!({})).await.status, 204);
    assert_eq!(machine.send(Method::GET, "/api/v1/me", &headers, Vec::new()).await.status, 401);
    let token = format!("Bearer {}", ada.token(&["read"]).await);
    node.clock.advance(30 * 86_400);
    assert_eq!(
        machine.send(Method::GET, "/api/v1/me", &[("authorization", &*token)], Vec::new()).await.status,
        401
    );
    node.stop().await;
}

#[tokio::test]
async fn guessing_tokens_is_throttled() {
    let node = TestNode::with(|config| config.limits.guesses = 2).await;
    let mut machine = node.browser();
    let mut last = 0;
    for n in 0..12 {
        let token = format!("Bearer ost_{n:0>43}");
        last =
            machine.send(Method::GET, "/api/v1/me", &[("authorization", &*token)], Vec::new()).await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(machine.get("/api/v1/me").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_session_of_long_ago_does_not_change_how_anybody_signs_in() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let organisation = ada.organisation("Vendor").await;
    let person =
        json!({"organisation": organisation, "name": "Bob", "email": "bob@vendor.example", "roles": []});
    let bob =
        ada.api(Method::POST, "/api/v1/persons", &person).await.json()["id"].as_str().unwrap().to_owned();
    let token = json!({"name": "m", "scopes": ["read"], "days": 1});
    assert_eq!(ada.api(Method::POST, "/api/v1/tokens", &token).await.status, 201);
    node.clock.advance(15 * 60);
    // It still reads, but this is not what it is for.
    assert_eq!(ada.get("/account").await.status, 200);
    let invite = format!("/api/v1/persons/{bob}/invitation");
    for path in ["/api/v1/tokens", "/auth/passkey/register/begin", &invite] {
        let refused = ada.api(Method::POST, path, &token).await;
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("sign in again"), "{path}");
    }
    let led = ada.form("/account/tokens", &[("name", "m"), ("days", "1"), ("scopes", "read")]).await;
    assert_eq!((led.status, led.header("location")), (303, Some("/sign-in?again=1&next=%2Faccount")));
    let account = String::from_utf8(ada.get("/account").await.body).unwrap();
    assert!(
        account.contains("Sign in again to make a token") && !account.contains("action=\"/account/tokens\"")
    );
    // Somebody with a password proves with it who they are.
    let changed =
        ada.form("/auth/password/change", &[("old", PASSWORD), ("new", "another horse battery")]).await;
    assert_eq!(changed.header("location"), Some("/account?done=password"));
    assert_eq!(ada.api(Method::POST, "/api/v1/tokens", &token).await.status, 201);
    node.clock.advance(15 * 60);
    let page = String::from_utf8(ada.get("/sign-in?again=1&next=/account").await.body).unwrap();
    assert!(page.contains("Sign in again") && page.contains("ada@institute.example"), "{page}");
    let signed_in =
        [("email", "ada@institute.example"), ("password", "another horse battery"), ("next", "/account")];
    assert_eq!(ada.form("/auth/password", &signed_in).await.header("location"), Some("/account"));
    for path in ["/api/v1/tokens", &invite] {
        assert_eq!(ada.api(Method::POST, path, &token).await.status, 201, "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_first_password_needs_a_recent_sign_in() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let organisation = ada.organisation("Vendor").await;
    let person =
        json!({"organisation": organisation, "name": "Bob", "email": "bob@vendor.example", "roles": []});
    let id =
        ada.api(Method::POST, "/api/v1/persons", &person).await.json()["id"].as_str().unwrap().to_owned();
    let link = ada.api(Method::POST, &format!("/api/v1/persons/{id}/invitation"), &json!({})).await.json();
    let secret = link["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut bob = node.browser();
    assert_eq!(bob.form("/auth/invitation", &[("secret", &secret)]).await.status, 303);
    node.clock.advance(15 * 60);
    let refused = bob.form("/auth/password/change", &[("new", "another horse battery")]).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(node.app.store.password(id.parse().unwrap()).await.unwrap().is_none());
    node.stop().await;
}

#[tokio::test]
async fn pages_are_for_tokens_that_read_everything() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let made = ada.api(Method::POST, "/api/v1/collections", &json!({"title": "One"})).await.json();
    let one = json!({"name": "m", "scopes": ["read"], "days": 1, "collections": [made["id"]]});
    let one =
        ada.api(Method::POST, "/api/v1/tokens", &one).await.json()["token"].as_str().unwrap().to_owned();
    let mut tokens = vec![(one, 403), (ada.token(&["read"]).await, 200)];
    for scope in ["write", "report", "federate", "feed"] {
        tokens.push((ada.token(&[scope]).await, 403));
    }
    let form = json!({"collection": "shared", "handling": {"tlp": "amber"}, "object": {"name": "Ours"}});
    let id = ada.api(Method::POST, "/api/v1/flaws", &form).await.json()["id"].as_str().unwrap().to_owned();
    let mut machine = node.browser();
    for (token, expected) in tokens {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        for path in [
            "/",
            "/flaws",
            "/search?q=ours",
            "/flaws.atom",
            "/collections",
            &format!("/flaws/{id}"),
            &format!("/flaws/{id}/stix"),
        ] {
            let answer = machine.send(Method::GET, path, &headers, Vec::new()).await;
            assert_eq!(answer.status, expected, "{path} {token}");
            assert!(expected == 200 || !String::from_utf8_lossy(&answer.body).contains("Ours"), "{path}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_token_of_somebody_who_has_left_does_not_hold() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let organisation = ada.organisation("Vendor").await;
    let mut bob = ada.invite(&node, &organisation, "bob@vendor.example", &["contributor"]).await;
    let bearer = format!("Bearer {}", bob.token(&["read"]).await);
    let feed = bob.token(&["feed"]).await;
    let mut machine = node.browser();
    let headers = [("authorization", &*bearer)];
    assert_eq!(machine.send(Method::GET, "/api/v1/me", &headers, Vec::new()).await.status, 200);
    assert_eq!(machine.get(&format!("/feeds/{feed}/flaws.atom")).await.status, 200);
    let persons = ada.get("/api/v1/persons").await.json();
    let person = persons.as_array().unwrap().iter().find(|one| one["email"] == "bob@vendor.example").unwrap();
    let path = format!("/api/v1/persons/{}", person["id"].as_str().unwrap());
    let mut form = json!({"organisation": organisation, "name": "Bob", "email": "bob@vendor.example", "roles": [], "active": false});
    assert_eq!(ada.api(Method::PUT, &path, &form).await.status, 200);
    assert_eq!(machine.send(Method::GET, "/api/v1/me", &headers, Vec::new()).await.status, 401);
    assert_eq!(machine.get(&format!("/feeds/{feed}/flaws.atom")).await.status, 404);
    form["active"] = json!(true);
    assert_eq!(ada.api(Method::PUT, &path, &form).await.status, 200);
    assert_eq!(machine.send(Method::GET, "/api/v1/me", &headers, Vec::new()).await.status, 200);
    node.stop().await;
}
