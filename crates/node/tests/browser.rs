//! What only a browser can show: passkeys by the pages' script, and the way to an OpenID provider and back. With Chromium and its driver
//! (Debian: `chromium-driver`); `OSTROM_NO_BROWSER=1` leaves these tests out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

#[path = "common/chromium.rs"]
mod chromium;
mod common;
#[path = "common/provider.rs"]
mod openid;

use chromium::Chromium;
use common::TestNode;
use openid::{Provider, node};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_passkey_is_added_and_signs_in_by_the_pages_alone() {
    let Some(chromium) = Chromium::start().await else { return };
    let node = TestNode::start().await;
    let origin = node.browser().origin;
    let authenticator = chromium.authenticator().await;
    chromium.go(node.link.as_deref().unwrap()).await;
    for (field, text) in [("organisation", "Institute"), ("name", "Ada"), ("email", "ada@institute.example")]
    {
        chromium.fill(&format!("[name={field}]"), text).await;
    }
    chromium.click("form[action='/auth/invitation'] button").await;
    chromium.until_at("/account?add=passkey").await;
    chromium.fill("[data-passkey] [name=name]", "Laptop").await;
    chromium.click("[data-passkey] button").await;
    chromium.until_at("done=passkey-added").await;
    chromium.until_says("Laptop").await;

    chromium.click("form[action='/auth/sign-out'] button").await;
    chromium.until_says("Sign in").await;
    chromium.go(&format!("{origin}/sign-in?next=/techniques")).await;
    // An authenticator that has not verified its user signs nobody in.
    let verified = format!("/webauthn/authenticator/{authenticator}/uv");
    chromium.ask(Method::POST, &verified, json!({"isUserVerified": false})).await;
    chromium.click("[data-passkey] button").await;
    chromium.until_says("It was stopped, or took too long").await;
    assert!(chromium.url().await.contains("/sign-in"));
    chromium.ask(Method::POST, &verified, json!({"isUserVerified": true})).await;
    chromium.click("[data-passkey] button").await;
    chromium.until_at("/techniques").await;
    chromium.until_says("Ada").await;

    // After a while the account page wants a sign-in, and the passkey is one.
    node.clock.advance(15 * 60);
    chromium.go(&format!("{origin}/account")).await;
    chromium.click("a[href^='/sign-in?again=1']").await;
    chromium.until_at("/sign-in?again=1").await;
    chromium.click("[data-passkey] button").await;
    chromium.until_at("/account").await;
    chromium.until_says("Add a passkey").await;
    chromium.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn the_providers_button_leads_there_and_back() {
    let Some(chromium) = Chromium::start().await else { return };
    let provider = Provider::start().await;
    let node = node(&provider).await;
    node.administrator().await;
    let origin = node.browser().origin;
    chromium.go(&format!("{origin}/sign-in?next=/techniques")).await;
    chromium.click("a[href^='/auth/provider']").await;
    chromium.until_at("/techniques").await;
    chromium.until_says("Ada").await;
    // Somebody whom nobody invited comes back to the sign-in page.
    provider.set("sub", json!("mallory"));
    provider.set("email", json!("mallory@evil.example"));
    chromium.click("form[action='/auth/sign-out'] button").await;
    // Going on at once could overtake the form.
    chromium.until_says("Sign in").await;
    chromium.go(&format!("{origin}/sign-in")).await;
    chromium.click("a[href^='/auth/provider']").await;
    chromium.until_at("failed=provider").await;
    chromium.until_says("You are not signed in").await;
    chromium.stop().await;
    node.stop().await;
}

/// What has run scripts elsewhere. Each would leave a mark: a dialog, or `window.ran`.
const VECTORS: [&str; 10] = [
    "<script>window.ran=1;alert(1)</script>",
    "\"><img src=x onerror=\"window.ran=1;alert(1)\">",
    "'\"--></style></script><svg onload=window.ran=1>",
    "[click](javascript:window.ran=1) <https://ok.example/> ![x](https://evil.example/x.png)",
    "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "<iframe srcdoc=\"<script>parent.ran=1</script>\"></iframe>",
    "<details open ontoggle=window.ran=1><summary>x</summary></details>",
    "<input autofocus onfocus=window.ran=1>",
    "<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example\"><base href=\"https://evil.example/\">",
    "```\n</code></pre><script>window.ran=1</script>\n```",
];

#[tokio::test]
async fn nothing_that_somebody_wrote_runs_in_the_browser_of_whoever_looks_at_it() {
    let Some(chromium) = Chromium::start().await else { return };
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let hostile = VECTORS.join("\n\n");
    let line = |n: usize| VECTORS[n % VECTORS.len()].replace('\n', " ");
    let collection = json!({"title": line(0), "alias": "hostile", "description": hostile});
    assert_eq!(ada.api(Method::POST, "/api/v1/collections", &collection).await.status, 201);
    let organisation =
        ada.api(Method::POST, "/api/v1/organisations", &json!({"name": line(1), "sectors": [line(2)]})).await;
    assert_eq!(organisation.status, 201, "{organisation:?}");
    let group = json!({"name": line(3), "description": hostile});
    assert_eq!(ada.api(Method::POST, "/api/v1/groups", &group).await.status, 201);
    let ai = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44";
    let affected = json!([{"vendor": line(4), "model": line(5), "version": line(6), "endpoint": line(7)}]);
    let extensions = json!({ai: {"extension_type": "property-extension", "affected": affected,
        "attack_success": [{"technique": line(1), "successes": 3, "trials": 4, "rate": 0.75, "low": 0.3, "high": 0.95}]}});
    let references = json!([{"source_name": line(8), "url": "javascript:window.ran=1", "description": line(2)},
        {"source_name": line(0), "url": "https://ok.example/?%22%3E%3Cscript%3Ewindow.ran=1"}]);
    let mut pages =
        ["/", "/search?q=window", "/flaws", "/members", "/collections", "/audit", "/account", "/views"]
            .map(str::to_owned)
            .to_vec();
    pages.push(format!(
        "/search?q={}",
        form_urlencoded::byte_serialize(line(1).as_bytes()).collect::<String>()
    ));
    for (list, kind) in [
        ("flaws", "vulnerability"),
        ("incidents", "incident"),
        ("techniques", "attack-pattern"),
        ("mitigations", "course-of-action"),
    ] {
        let object = json!({"name": line(pages.len()), "description": hostile, "labels": [line(2), "severity:high"],
            "external_references": references, "extensions": extensions, "x_other": line(3)});
        let form = json!({"collection": "shared", "handling": {"tlp": "clear"}, "object": object});
        let made = ada.api(Method::POST, &format!("/api/v1/{list}"), &form).await;
        assert_eq!(made.status, 201, "{list}: {made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(id.starts_with(kind));
        for rest in ["", "/access", "/export", "/edit"] {
            pages.push(format!("/{list}/{id}{rest}"));
        }
    }
    let case = json!({"title": line(1), "report": hostile});
    let case = ada.api(Method::POST, "/api/v1/cases", &case).await.json()["id"].as_str().unwrap().to_owned();
    let message = json!({"event": "message", "to": "all", "text": hostile});
    assert_eq!(ada.api(Method::POST, &format!("/api/v1/cases/{case}/events"), &message).await.status, 200);
    pages.extend(["/cases".to_owned(), format!("/cases/{case}")]);

    let origin = ada.origin.clone();
    chromium.go(&format!("{origin}/sign-in")).await;
    let cookie = json!({"cookie": {"name": "ostrom", "value": ada.cookies["ostrom"], "path": "/"}});
    chromium.ask(Method::POST, "/cookie", cookie).await;
    let script = "return [window.ran === undefined ? '' : 'a script ran', \
        document.querySelectorAll('iframe, object, embed, base, img, meta[http-equiv], [onerror], [onload], [onfocus], [ontoggle], [style]').length, \
        [...document.querySelectorAll('script')].filter((s) => !s.src.startsWith(location.origin + '/assets/')).length, \
        [...document.querySelectorAll('a[href]')].filter((a) => !/^(https?|mailto):/.test(a.href)).length, \
        document.body.innerText.includes('window.ran') ]";
    let mut shown = 0;
    for page in pages {
        chromium.go(&format!("{origin}{page}")).await;
        let dialog = chromium.try_ask(Method::GET, "/alert/text", Value::Null).await;
        assert!(dialog.is_err(), "{page}: a dialog came up");
        let found = chromium.ask(Method::POST, "/execute/sync", json!({"script": script, "args": []})).await;
        assert_eq!(json!(["", 0, 0, 0]), json!(found.as_array().unwrap()[..4]), "{page}: {found}");
        assert!(chromium.url().await.starts_with(&origin), "{page} led elsewhere");
        shown += usize::from(found[4] == true);
    }
    assert!(shown > 15, "the texts were shown on {shown} pages only");
    chromium.stop().await;
    node.stop().await;
}
