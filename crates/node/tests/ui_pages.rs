//! The pages of a node that listens: who sees what, through HTML alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Answer, Browser, TestNode};

/// A page as text.
fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The page at a path, which must be there.
async fn page(browser: &mut Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", text(&answer));
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{path}");
    text(&answer)
}

/// The value of the first hidden field of this name.
fn hidden<'a>(html: &'a str, name: &str) -> &'a str {
    let at = html.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name} in {html}"));
    html.split_at(at).1.split('"').nth(3).unwrap()
}

/// A node, an administrator of the institute, and contributors of two other organisations.
struct World {
    node: TestNode,
    ada: Browser,
    norrland: String,
    bo: Browser,
    cy: Browser,
}

async fn world() -> World {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let norrland = ada.organisation("Norrland CERT").await;
    let fennec = ada.organisation("Fennec Labs").await;
    let bo = ada.invite(&node, &norrland, "bo@norrland.example", &["contributor", "coordinator"]).await;
    let cy = ada.invite(&node, &fennec, "cy@fennec.example", &["contributor"]).await;
    World { node, ada, norrland, bo, cy }
}

/// The fields of a flaw, with these marks.
fn flaw<'a>(title: &'a str, collection: &'a str, marks: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("title", title),
        ("description", "It reads **invitations** as instructions."),
        ("model", "Meridian Assistant"),
        ("model-version", "4.2"),
        ("trials", "120"),
        ("successes", "87"),
        ("severity", "high"),
        ("collection", collection),
    ];
    fields.extend_from_slice(marks);
    fields
}

/// Reports a flaw through both pages, and gives its address.
async fn report(browser: &mut Browser, title: &str, marks: &[(&str, &str)]) -> String {
    let form = page(browser, "/flaws/new").await;
    let collection = hidden(&form, "collection").to_owned();
    let mut fields = flaw(title, &collection, marks);
    fields.push(("step", "review"));
    let review = browser.form("/flaws/new", &fields).await;
    assert_eq!(review.status, 200, "{}", text(&review));
    assert!(text(&review).contains("Who will be able to read it"));
    fields.pop();
    fields.push(("step", "save"));
    let saved = browser.form("/flaws/new", &fields).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    saved.header("location").unwrap().split('?').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_for_one_organisation_is_for_others_as_if_it_did_not_exist() {
    let mut world = world().await;
    let to = format!("organisation:{}", world.norrland);
    let href = report(&mut world.ada, "Steered invitations", &[("tlp", "amber+strict"), ("to", &to)]).await;

    let shown = page(&mut world.bo, &href).await;
    assert!(shown.contains("Steered invitations") && shown.contains("TLP:AMBER+STRICT"));
    assert!(shown.contains("your organisation is a named recipient"));
    assert!(shown.contains("<strong>invitations</strong>") && shown.contains("72.5 %"));
    assert!(page(&mut world.bo, "/flaws").await.contains("Steered invitations"));
    assert!(page(&mut world.bo, "/search?q=steered").await.contains("Steered invitations"));

    let never = "/flaws/vulnerability--00000000-0000-4000-8000-000000000000";
    for rest in ["", "/access", "/export", "/stix", "/edit"] {
        let hidden = world.cy.get(&format!("{href}{rest}")).await.undated();
        let missing = world.cy.get(&format!("{never}{rest}")).await.undated();
        assert_eq!(hidden.status, 404, "{rest}");
        assert_eq!(hidden, missing, "{rest}");
    }
    let mut nobody = world.node.browser();
    nobody.get("/").await;
    assert_eq!(nobody.get(&href).await.undated(), nobody.get(never).await.undated());
    for path in ["/", "/flaws", "/search?q=steered", "/flaws.atom", "/search.atom?q=steered"] {
        let seen = text(&world.cy.get(path).await);
        assert!(!seen.contains("Steered") && !seen.contains("steered-"), "{path}");
    }
    assert!(text(&world.bo.get("/flaws.atom").await).contains("Steered invitations"));
    world.node.stop().await;
}

#[tokio::test]
async fn the_page_before_saving_says_who_will_read_and_saves_nothing() {
    let mut world = world().await;
    let form = page(&mut world.ada, "/flaws/new").await;
    let collection = hidden(&form, "collection").to_owned();
    let to = format!("organisation:{}", world.norrland);
    let mut fields =
        flaw("Not yet", &collection, &[("tlp", "amber"), ("to", &to), ("embargo", "2026-12-24T12:00")]);
    fields.push(("step", "review"));
    let review = text(&world.ada.form("/flaws/new", &fields).await);
    assert!(review.contains("Everybody at Institute, which owns it, and Norrland CERT"), "{review}");
    assert!(review.contains("Until 24 Dec 2026, 12:00 UTC, only Institute."));
    assert!(!page(&mut world.ada, "/flaws").await.contains("Not yet"));

    let wrong = world
        .ada
        .form("/flaws/new", &[("title", ""), ("description", "x"), ("collection", &collection)])
        .await;
    assert_eq!(wrong.status, 422);
    let wrong = text(&wrong);
    assert!(
        wrong.contains("There is a problem")
            && wrong.contains("href=\"#f-title\"")
            && wrong.contains("Choose a mark")
    );
    world.node.stop().await;
}

#[tokio::test]
async fn only_the_owner_edits_and_only_the_owner_sees_who_can_read() {
    let mut world = world().await;
    let href = report(&mut world.ada, "For members", &[("tlp", "green")]).await;
    assert!(
        page(&mut world.ada, &format!("{href}/access")).await.contains("bo@norrland.example, Norrland CERT")
    );
    let seen = page(&mut world.bo, &format!("{href}/access")).await;
    assert!(!seen.contains("cy@fennec.example") && seen.contains("Only the owner sees the list"));
    assert_eq!(world.bo.get(&format!("{href}/edit")).await.status, 403);

    let form = page(&mut world.ada, &format!("{href}/edit")).await;
    assert!(form.contains("value=\"For members\"") && form.contains("value=\"87\""));
    let collection = hidden(&form, "collection").to_owned();
    let mut fields = flaw("For all members", &collection, &[("tlp", "green")]);
    fields.push(("step", "save"));
    world.node.clock.advance(60);
    assert_eq!(world.bo.form(&format!("{href}/edit"), &fields).await.status, 403);
    assert_eq!(world.ada.form(&format!("{href}/edit"), &fields).await.status, 303);
    let after = page(&mut world.bo, &href).await;
    assert!(after.contains("For all members") && after.contains("Version of"));
    world.node.stop().await;
}

#[tokio::test]
async fn a_sighting_is_seen_by_whoever_sees_the_flaw() {
    let mut world = world().await;
    let to = format!("organisation:{}", world.norrland);
    let href = report(&mut world.ada, "Seen twice", &[("tlp", "amber"), ("to", &to)]).await;
    let said =
        world.bo.form(&format!("{href}/voice"), &[("say", "seen"), ("note", "in <b>our</b> logs")]).await;
    assert_eq!(said.status, 303, "{}", text(&said));
    let shown = page(&mut world.ada, &href).await;
    assert!(shown.contains("in &#60;b&#62;our&#60;/b&#62; logs"), "{shown}");
    assert_eq!(world.cy.form(&format!("{href}/voice"), &[("say", "seen")]).await.status, 404);
    world.node.stop().await;
}

#[tokio::test]
async fn a_case_goes_from_report_to_publication() {
    let mut world = world().await;
    let me = world.ada.get("/api/v1/me").await.json();
    let institute = format!(
        "organisation:{}",
        me["organisation"].as_str().unwrap_or_else(|| me["organisation"]["id"].as_str().unwrap())
    );
    let fields = [
        ("title", "Steered invitations"),
        ("report", "All the details"),
        ("coordinator", &*institute),
        ("triage", "5"),
        ("acknowledge", "7"),
        ("embargo", "90"),
    ];
    let opened = world.bo.form("/cases/new", &fields).await;
    assert_eq!(opened.status, 303, "{}", text(&opened));
    let href = opened.header("location").unwrap().split('?').next().unwrap().to_owned();
    assert!(page(&mut world.ada, "/cases").await.contains("Steered invitations"));
    assert_eq!(world.cy.get(&href).await.status, 404);
    assert_eq!(
        world.cy.form(&format!("{href}/act"), &[("event", "message"), ("text", "x")]).await.status,
        404
    );

    let act = format!("{href}/act");
    let triaged =
        world.ada.form(&act, &[("event", "triaged"), ("severity", "high"), ("note", "holds")]).await;
    assert_eq!(triaged.status, 303, "{}", text(&triaged));
    let early = world.bo.form(&act, &[("event", "published")]).await;
    assert_eq!(early.status, 422);
    assert!(text(&early).contains("This was not done."));
    let said = world.bo.form(&act, &[("event", "message"), ("text", "*Thank* you")]).await;
    assert_eq!(said.status, 303);
    let shown = page(&mut world.ada, &href).await;
    assert!(shown.contains("<em>Thank</em> you") && shown.contains("All the details"));
    assert!(page(&mut world.ada, &format!("{href}/publish")).await.contains("It cannot be taken back"));
    assert_eq!(world.ada.form(&act, &[("event", "published")]).await.status, 303);
    assert!(page(&mut world.bo, &href).await.contains("Published"));
    let opening = world.bo.get(&format!("{href}/opening")).await;
    assert_eq!(opening.status, 200);
    assert!(opening.json().get("salt").is_some(), "{opening:?}");
    world.node.stop().await;
}

#[tokio::test]
async fn pages_that_need_somebody_lead_to_the_sign_in_page_and_back() {
    let node = TestNode::start().await;
    let mut nobody = node.browser();
    for path in ["/members", "/account", "/cases", "/flaws/new", "/views", "/peers", "/settings"] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        assert_eq!(answer.header("location").unwrap(), format!("/sign-in?next={next}"));
    }
    for path in [
        "/",
        "/sign-in",
        "/flaws",
        "/incidents",
        "/techniques",
        "/mitigations",
        "/lessons",
        "/advisories",
        "/evaluations",
        "/search",
        "/collections",
    ] {
        page(&mut nobody, path).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn no_page_has_anything_inline_and_every_file_that_it_loads_is_there() {
    let mut world = world().await;
    let href = report(&mut world.ada, "x", &[("tlp", "clear")]).await;
    for path in [
        "/",
        "/flaws",
        "/flaws/new",
        "/incidents/new",
        "/members",
        "/account",
        "/settings",
        "/peers",
        "/views",
        "/collections",
        &href,
    ] {
        let html = page(&mut world.ada, path).await;
        assert!(
            !html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick"),
            "{path}"
        );
        assert!(!html.contains("<script>") && html.matches("<script").count() == 1, "{path}");
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
    }
    let html = page(&mut world.ada, "/").await;
    for part in html.split("/assets/").skip(1) {
        let name = part.split('"').next().unwrap();
        let file = world.ada.get(&format!("/assets/{name}")).await;
        assert_eq!(file.status, 200, "{name}");
        assert!(file.header("cache-control").unwrap().contains("immutable"));
    }
    assert_eq!(world.ada.get("/assets/style.css").await.status, 404);
    world.node.stop().await;
}

#[tokio::test]
async fn colours_stay_and_lead_nowhere_else() {
    let node = TestNode::start().await;
    let mut nobody = node.browser();
    let set = nobody.form("/theme", &[("theme", "dark"), ("back", "/flaws?q=a")]).await;
    assert_eq!((set.status, set.header("location").unwrap()), (303, "/flaws?q=a"));
    assert!(page(&mut nobody, "/").await.contains("data-theme=\"dark\""));
    let evil = nobody.form("/theme", &[("theme", "\"><script>"), ("back", "//evil.example")]).await;
    assert_eq!(evil.header("location").unwrap(), "/");
    assert!(page(&mut nobody, "/").await.contains("data-theme=\"system\""));
    node.stop().await;
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_before_ended() {
    let mut world = world().await;
    for n in 0..30 {
        report(
            &mut world.ada,
            &format!("Flaw number {n}."),
            &[("tlp", if n % 2 == 0 { "green" } else { "amber" })],
        )
        .await;
    }
    let count = |html: &str| html.matches("Flaw number ").count();
    let first = page(&mut world.ada, "/flaws").await;
    assert_eq!(count(&first), 25);
    let next = first.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    let second = page(&mut world.ada, &next).await;
    assert_eq!(count(&second), 5);
    assert!(!second.contains("rel=\"next\""));
    // Of another organisation's things, only what is for members: one page, and nothing that says that there is more.
    let seen = page(&mut world.cy, "/flaws").await;
    assert_eq!(count(&seen), 15);
    assert!(!seen.contains("rel=\"next\""));
    assert_eq!(count(&page(&mut world.ada, "/flaws?tlp=green").await), 15);
    world.node.stop().await;
}

#[tokio::test]
async fn a_view_is_saved_under_a_name_and_is_nobody_elses() {
    let mut world = world().await;
    let saved = world.ada.form("/views/new", &[("name", "Mail"), ("of", "/search?q=mail")]).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    let views = page(&mut world.ada, "/views").await;
    assert!(views.contains("href=\"/search?q=mail\"") && views.contains("href=\"/search.atom?q=mail\""));
    assert!(!page(&mut world.bo, "/views").await.contains("Mail"));
    world.node.stop().await;
}

#[tokio::test]
async fn members_are_made_by_administrators_and_secrets_are_shown_once() {
    let mut world = world().await;
    for path in ["/members/organisations", "/members/persons", "/members/groups", "/peers", "/collections"] {
        let refused =
            world.bo.form(path, &[("name", "x"), ("title", "x"), ("url", "https://a.example")]).await;
        assert!(refused.status == 403 || refused.status == 422, "{path}: {}", refused.status);
    }
    assert_eq!(world.bo.get("/settings").await.status, 403);
    let to = world.norrland.clone();
    let group = [("name", "Nordic"), ("description", "d"), ("organisations", &*to)];
    assert_eq!(world.ada.form("/members/groups", &group).await.status, 303);
    assert!(page(&mut world.bo, "/members").await.contains("Nordic"));
    assert!(!page(&mut world.cy, "/members").await.contains("Nordic"));

    let made =
        world.bo.form("/account/tokens", &[("name", "reader"), ("days", "3"), ("scopes", "read")]).await;
    let token = text(&made).split("ost_").nth(1).unwrap().chars().take(43).collect::<String>();
    assert!(!page(&mut world.bo, "/account").await.contains(&token));
    let mut machine = world.node.browser();
    let bearer = format!("Bearer ost_{token}");
    let feed =
        machine.send(reqwest::Method::GET, "/flaws.atom", &[("authorization", &bearer)], Vec::new()).await;
    assert_eq!(feed.status, 200);
    world.node.stop().await;
}

/// Shares STIX objects by TAXII.
async fn share(browser: &mut Browser, node: &TestNode, objects: serde_json::Value) {
    let token = format!("Bearer {}", browser.token(&["read", "write"]).await);
    let collections = browser.get("/api/v1/collections").await.json();
    let shared = collections.as_array().unwrap().iter().find(|it| it["alias"] == "shared").unwrap();
    let path = format!("/taxii2/api/collections/{}/objects/", shared["id"].as_str().unwrap());
    let kind = "application/taxii+json;version=2.1";
    let headers = [("authorization", &*token), ("content-type", kind), ("accept", kind)];
    let body = serde_json::json!({"objects": objects}).to_string().into_bytes();
    let answer = node.browser().send(reqwest::Method::POST, &path, &headers, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["failure_count"], 0, "{answer:?}");
}

#[tokio::test]
async fn the_edit_form_drops_no_mark_that_it_cannot_show() {
    use serde_json::json;

    let mut world = world().await;
    const GREEN: &str = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";
    const STATEMENT: &str = "marking-definition--5f2c2b9a-6c1e-4d6e-9c39-3f4f0f1c7a11";
    let statement = json!({"type": "marking-definition", "spec_version": "2.1", "id": STATEMENT, "created": "2026-01-01T00:00:00.000Z",
        "definition_type": "statement", "definition": {"statement": "Ask before you print it."}});
    let flaw_of = |id: &str, more: serde_json::Value| {
        let mut flaw = json!({"type": "vulnerability", "spec_version": "2.1", "id": id, "name": "Two marks", "description": "x",
            "created": "2026-01-02T00:00:00.000Z", "modified": "2026-01-02T00:00:00.000Z", "object_marking_refs": [GREEN, STATEMENT],
            "external_references": [{"source_name": "cve", "external_id": "CVE-2026-0001"}]});
        flaw.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        flaw
    };
    let (two, parts) = (
        "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
        "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0062",
    );
    let granular = json!({"granular_markings": [{"marking_ref": GREEN, "selectors": ["description"]}]});
    share(&mut world.ada, &world.node, json!([statement, flaw_of(two, json!({})), flaw_of(parts, granular)]))
        .await;

    let form = page(&mut world.ada, &format!("/flaws/{two}/edit")).await;
    assert!(form.contains("All of them stay as they are") && !form.contains("name=\"tlp\""), "{form}");
    let collection = hidden(&form, "collection").to_owned();
    // What somebody sends who changes the form does not count either.
    let mut fields = flaw("Two marks, again", &collection, &[("tlp", "clear")]);
    fields.push(("step", "review"));
    let review = text(&world.ada.form(&format!("/flaws/{two}/edit"), &fields).await);
    assert!(review.contains("Its marks stay as they are"), "{review}");
    fields.pop();
    fields.push(("step", "save"));
    let saved = world.ada.form(&format!("/flaws/{two}/edit"), &fields).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    let after = world.ada.get(&format!("/api/v1/objects/{two}")).await.json();
    assert_eq!(
        (&after["name"], &after["object_marking_refs"]),
        (&json!("Two marks, again"), &json!([GREEN, STATEMENT]))
    );
    assert_eq!(after["external_references"][0]["external_id"], "CVE-2026-0001");

    // Marks on parts say where they stand: the form would not know.
    let refused = world.ada.get(&format!("/flaws/{parts}/edit")).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("marks of their own"));
    assert_eq!(world.ada.form(&format!("/flaws/{parts}/edit"), &fields).await.status, 422);
    let after = world.ada.get(&format!("/api/v1/objects/{parts}")).await.json();
    assert_eq!(after["granular_markings"][0]["marking_ref"], GREEN);
    world.node.stop().await;
}

#[tokio::test]
async fn an_advisory_is_drafted_and_changed_in_pages() {
    let mut world = world().await;
    let about = report(&mut world.ada, "Steered invitations", &[("tlp", "green")]).await;
    let form = page(&mut world.ada, "/advisories/new").await;
    assert!(page(&mut world.ada, "/advisories").await.contains("Draft an advisory"));
    let collection = hidden(&form, "collection").to_owned();
    let mut fields = vec![
        ("title", "Update Meridian"),
        ("description", "Install *4.3*."),
        ("about", &*about),
        ("tlp", "amber"),
        ("collection", &*collection),
        ("step", "save"),
    ];
    let saved = world.ada.form("/advisories/new", &fields).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    let href = saved.header("location").unwrap().split('?').next().unwrap().to_owned();
    assert!(href.starts_with("/advisories/grouping--"));
    let shown = page(&mut world.ada, &href).await;
    assert!(shown.contains("Install <em>4.3</em>") && shown.contains("Steered invitations"));
    assert_eq!(world.cy.get(&href).await.status, 404);
    let form = page(&mut world.ada, &format!("{href}/edit")).await;
    assert!(form.contains("value=\"Update Meridian\"") && form.contains("vulnerability--"));
    world.node.clock.advance(60);
    fields[0].1 = "Update Meridian now";
    let saved = world.ada.form(&format!("{href}/edit"), &fields).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    assert!(page(&mut world.ada, &href).await.contains("Update Meridian now"));
    let empty =
        world.ada.form("/advisories/new", &[("title", "x"), ("description", "x"), ("tlp", "amber")]).await;
    assert!(empty.status == 422 && text(&empty).contains("Name at least one thing"));
    world.node.stop().await;
}

#[tokio::test]
async fn a_feeds_address_reads_that_feed_and_nothing_else_and_is_written_nowhere() {
    let mut world = world().await;
    report(&mut world.ada, "Ours", &[("tlp", "amber")]).await;
    report(&mut world.ada, "Hers alone", &[("tlp", "red")]).await;
    world.ada.form("/views/new", &[("name", "Flaws"), ("of", "/flaws?tlp=amber")]).await;
    assert!(page(&mut world.ada, "/views").await.contains("Make a feed address"));
    let made = text(&world.ada.form("/views/feed", &[("name", "Flaws")]).await);
    let token = made.split("/feeds/ost_").nth(1).unwrap().chars().take(43).collect::<String>();
    let token = format!("ost_{token}");
    assert!(!page(&mut world.ada, "/views").await.contains(&token));
    assert!(!page(&mut world.ada, "/account").await.contains(&token));

    let mut reader = world.node.browser();
    let feed = reader.get(&format!("/feeds/{token}/flaws.atom?tlp=amber")).await;
    assert_eq!(feed.status, 200);
    assert_eq!(feed.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(feed.header("cache-control"), Some("no-store"));
    assert!(feed.header("set-cookie").is_none());
    let xml = text(&feed);
    assert!(xml.contains("Ours") && !xml.contains(&token), "{xml}");
    assert!(!text(&reader.get(&format!("/feeds/{token}/flaws.atom")).await).contains("Hers alone"));
    // It is good for no page, no API and no other token's place.
    let bearer = format!("Bearer {token}");
    for path in ["/flaws", "/flaws.atom", "/api/v1/flaws", "/taxii2/api/collections/"] {
        let answer = reader.send(reqwest::Method::GET, path, &[("authorization", &bearer)], Vec::new()).await;
        assert!(answer.status == 403 || !text(&answer).contains("Ours"), "{path}: {answer:?}");
    }
    let reads = world.ada.token(&["read"]).await;
    for path in [
        format!("/feeds/{reads}/flaws.atom"),
        format!("/feeds/ost_{}/flaws.atom", "a".repeat(43)),
        format!("/feeds/{token}/nothing.atom"),
        format!("/feeds/{token}/flaws"),
    ] {
        let answer = reader.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // Who asked for what is on record, the address is not.
    let deeds = world.ada.get("/api/v1/audit?limit=500").await;
    assert!(
        text(&deeds).contains("feed /flaws?") && !text(&deeds).contains(token.strip_prefix("ost_").unwrap())
    );
    fn holds(folder: &std::path::Path, secret: &[u8]) -> bool {
        std::fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return holds(&path, secret);
            }
            // A socket holds nothing.
            path.is_file()
                && std::fs::read(&path).unwrap().windows(secret.len()).any(|window| window == secret)
        })
    }
    assert!(!holds(world.node.app.data(), token.as_bytes()));
    // And it ends when somebody says so.
    let tokens = world.ada.get("/api/v1/tokens").await.json();
    let id = tokens.as_array().unwrap().iter().find(|it| it["name"] == "Feed: Flaws").unwrap()["id"].clone();
    let revoked = world.ada.form("/account/tokens/revoke", &[("id", id.as_str().unwrap())]).await;
    assert_eq!(revoked.status, 303);
    assert_eq!(reader.get(&format!("/feeds/{token}/flaws.atom?tlp=amber")).await.status, 404);
    let mixed = serde_json::json!({"name": "m", "scopes": ["feed", "read"], "days": 1});
    assert_eq!(world.ada.api(reqwest::Method::POST, "/api/v1/tokens", &mixed).await.status, 422);
    world.node.stop().await;
}
