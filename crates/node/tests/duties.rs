//! What the API has of duties to report, of opinions and of saved views: the same as the pages, for the same people.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use common::{Answer, Browser, TestNode};
use reqwest::Method;
use serde_json::{Value, json};

const AI: &str = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44";
const NOWHERE: &str = "incident--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
const ARTICLE_73: &str = "eu-ai-act-article-73";

/// A node, its administrator, and contributors of two other organisations.
struct World {
    node: TestNode,
    ada: Browser,
    partner: String,
    bo: Browser,
    cy: Browser,
}

async fn world() -> World {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let partner = ada.organisation("Partner").await;
    let stranger = ada.organisation("Stranger").await;
    let bo = ada.invite(&node, &partner, "bo@partner.example", &["contributor"]).await;
    let cy = ada.invite(&node, &stranger, "cy@stranger.example", &["contributor"]).await;
    World { node, ada, partner, bo, cy }
}

fn serious() -> Value {
    json!({"effects": [{"harm": "health", "actual": true, "serious": true, "persons": 3}]})
}

async fn incident(browser: &mut Browser, handling: Value) -> String {
    let extension = json!({AI: {"extension_type": "property-extension", "incident_facts": serious(),
        "affected": [{"vendor": "Fennec", "model": "Fennec 2"}]}});
    let object = json!({"name": "Wrong dose", "description": "It told them to.", "extensions": extension});
    let form = json!({"collection": "shared", "handling": handling, "object": object});
    let made = browser.api(Method::POST, "/api/v1/incidents", &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

fn provider() -> Value {
    json!({"subjects": ["provider-of-high-risk-system"], "aware": "2026-08-02T09:00:00Z"})
}

/// As a machine: with a token and no cookies.
async fn machine(node: &TestNode, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = if method == Method::GET { Vec::new() } else { body.to_string().into_bytes() };
    node.browser().send(method, path, &headers, body).await
}

#[tokio::test]
async fn duties_are_named_drafted_and_met_by_the_api_as_on_the_pages() {
    let World { node, mut ada, mut bo, .. } = world().await;
    let id = incident(&mut ada, json!({"tlp": "clear"})).await;
    let path = format!("/api/v1/incidents/{id}/duties");
    let nothing = json!({"items": []});
    assert_eq!(ada.get(&path).await.json(), nothing);
    for bad in [
        json!({"subjects": [], "aware": "2026-08-02T09:00:00Z"}),
        json!({"subjects": ["provider-of-high-risk-system"]}),
        json!({"subjects": ["emperor"], "aware": "2026-08-02T09:00:00Z"}),
        json!({"subjects": ["provider-of-high-risk-system"], "aware": "2026-08-02T09:00:00Z", "facts": {"effects": []}}),
    ] {
        let refused = ada.api(Method::PUT, &path, &bad).await;
        assert!([400, 422].contains(&refused.status), "{bad}: {refused:?}");
    }
    let named = ada.api(Method::PUT, &path, &provider()).await;
    assert_eq!(named.status, 200, "{named:?}");
    assert_eq!(ada.get(&path).await.json(), named.json());
    let due = named.json()["items"][0].clone();
    assert_eq!(
        (&due["clock"], &due["rule"], &due["due"], &due["standing"], &due["by_law"]),
        (
            &json!(ARTICLE_73),
            &json!("report"),
            &json!("2026-08-17T09:00:00.000Z"),
            &json!("running"),
            &json!(true)
        )
    );
    assert!(due["to"].as_str().unwrap().contains("market surveillance authority"), "{due}");

    // The draft is the one of the page, and says what is missing.
    let draft = ada.get(&format!("{path}/{ARTICLE_73}/report")).await;
    assert_eq!(draft.status, 200, "{draft:?}");
    let draft = draft.json();
    let answer = |field: &str| {
        let fields = draft["fields"].as_array().unwrap();
        fields.iter().find(|it| it["id"] == field).unwrap()["answer"].clone()
    };
    assert_eq!(
        (answer("description"), answer("system")),
        (json!("It told them to."), json!("Fennec Fennec 2"))
    );
    assert!(draft["missing"].as_array().unwrap().contains(&json!("causal-link")), "{draft}");
    let page = ada.get(&format!("/incidents/{id}/duties/{ARTICLE_73}/report")).await.text();
    for line in draft["text"].as_str().unwrap().lines().filter(|line| !line.contains(['\'', '"', '&', '('])) {
        assert!(page.contains(line.trim()), "{line} is not on the page");
    }
    assert!(ada.get(&format!("/incidents/{id}")).await.text().contains("Duties to report"));

    // It is nobody else's business, and others' duties for the same incident are theirs.
    assert_eq!(bo.get(&path).await.json(), nothing);
    assert!(!bo.get(&format!("/incidents/{id}")).await.text().contains("Duties to report"));
    assert_eq!(bo.get(&format!("{path}/{ARTICLE_73}/report")).await.status, 404);
    let own = json!({"subjects": ["provider-of-systemic-risk-model"], "aware": "2026-08-02T09:30:00Z"});
    let own = bo.api(Method::PUT, &path, &own).await;
    assert_eq!(own.json()["items"][0]["clock"], "eu-gpai-code-of-practice", "{own:?}");
    assert_eq!(ada.get(&path).await.json(), named.json());

    // What was sent stays sent, also when the duties are named anew.
    let told = ada
        .api(
            Method::POST,
            &format!("{path}/{ARTICLE_73}/report/sent"),
            &json!({"at": "2026-08-02T09:45:00Z"}),
        )
        .await;
    assert_eq!(told.status, 200, "{told:?}");
    let sent = |body: Value| body["items"][0]["done"].clone();
    let mut both = provider();
    both["subjects"] = json!(["provider-of-high-risk-system", "provider-of-systemic-risk-model"]);
    let id = incident(&mut ada, json!({"tlp": "clear"})).await;
    let path = format!("/api/v1/incidents/{id}/duties");
    assert_eq!(ada.api(Method::PUT, &path, &both).await.status, 200);
    let report = format!("{path}/{ARTICLE_73}/report/sent");
    ada.api(Method::POST, &report, &json!({"at": "2026-08-02T09:45:00Z"})).await;
    let done = |body: &Value| -> Vec<Value> {
        let items = body["items"].as_array().unwrap().iter();
        items.filter(|it| it["clock"] == ARTICLE_73).map(|it| it["done"].clone()).collect()
    };
    assert_eq!(done(&ada.get(&path).await.json()), [json!("2026-08-02T09:45:00.000Z")]);
    let again = ada.api(Method::PUT, &path, &both).await.json();
    assert_eq!(done(&again), [json!("2026-08-02T09:45:00.000Z")], "{again} {:?}", sent(again.clone()));
    assert_eq!(ada.api(Method::DELETE, &path, &json!({})).await.status, 204);
    assert_eq!(ada.get(&path).await.json(), nothing);
    node.stop().await;
}

#[tokio::test]
async fn a_report_that_was_sent_stays_sent_when_nothing_is_due_any_more() {
    let World { node, mut ada, mut bo, .. } = world().await;
    let id = incident(&mut ada, json!({"tlp": "clear"})).await;
    let path = format!("/api/v1/incidents/{id}/duties");
    let done = |answer: &Answer| answer.json()["items"][0]["done"].clone();
    assert_eq!(done(&ada.api(Method::PUT, &path, &provider()).await), Value::Null);
    let sent = format!("{path}/{ARTICLE_73}/report/sent");
    let time = "2026-08-02T09:45:00.000Z";
    assert_eq!(ada.api(Method::POST, &sent, &json!({"at": time})).await.status, 200);
    assert_eq!(done(&ada.get(&path).await), time);
    // Where nothing is due, and back again.
    let nowhere = json!({"subjects": ["provider-of-high-risk-system"], "aware": "2026-08-02T09:00:00Z", "jurisdictions": ["XX"]});
    assert_eq!(ada.api(Method::PUT, &path, &nowhere).await.json()["items"], json!([]));
    assert_eq!(done(&ada.api(Method::PUT, &path, &provider()).await), time);
    // It is no clock on anybody's overview, and still nobody else's affair.
    assert!(!ada.get("/").await.text().contains("nothing is due"));
    assert_eq!(bo.get(&path).await.json(), json!({"items": []}));
    node.stop().await;
}

#[tokio::test]
async fn duties_need_the_right_to_see_the_incident_and_a_token_for_it() {
    let World { node, mut ada, mut bo, .. } = world().await;
    let id = incident(&mut ada, json!({"tlp": "amber+strict"})).await;
    assert_eq!(
        ada.api(Method::PUT, &format!("/api/v1/incidents/{id}/duties"), &provider()).await.status,
        200
    );
    let flaw = bo.flaw("shared", "clear", "No incident").await;
    // Hidden, nowhere, and no incident: one answer.
    for rest in ["", "/eu-ai-act-article-73/report"] {
        let mut answers = Vec::new();
        for id in [&*id, NOWHERE, &*flaw, "x"] {
            answers.push(bo.get(&format!("/api/v1/incidents/{id}/duties{rest}")).await.undated());
        }
        assert_eq!(answers[0].status, 404);
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
    let sent = "/eu-ai-act-article-73/report/sent";
    for (method, rest, body) in
        [(Method::PUT, "", provider()), (Method::DELETE, "", json!({})), (Method::POST, sent, json!({}))]
    {
        let mut answers = Vec::new();
        for id in [&*id, NOWHERE] {
            let path = format!("/api/v1/incidents/{id}/duties{rest}");
            answers.push(bo.api(method.clone(), &path, &body).await.undated());
        }
        assert_eq!((answers[0].status, &answers[0]), (404, &answers[1]));
    }
    let path = format!("/api/v1/incidents/{id}/duties");
    assert_eq!(node.browser().get(&path).await.status, 401);
    assert_eq!(node.browser().get(&format!("/api/v1/incidents/{NOWHERE}/duties")).await.status, 401);
    // A page of another origin cannot use the session.
    let kind = [("content-type", "application/json")];
    let forged = ada.send(Method::PUT, &path, &kind, provider().to_string().into_bytes()).await;
    assert_eq!(forged.status, 403);
    for (scopes, reads, writes) in [
        (&["read"][..], 200, 403),
        (&["read", "report"], 200, 200),
        (&["read", "write"], 200, 200),
        (&["write"], 403, 403),
        (&["federate"], 403, 403),
    ] {
        let token = ada.token(scopes).await;
        assert_eq!(machine(&node, &token, Method::GET, &path, &json!({})).await.status, reads, "{scopes:?}");
        let named = machine(&node, &token, Method::PUT, &path, &provider()).await;
        assert_eq!(named.status, writes, "{scopes:?}: {named:?}");
    }
    let observer = ada.api(Method::GET, "/api/v1/me", &json!({})).await.json()["organisation"].clone();
    let mut olga =
        ada.invite(&node, observer.as_str().unwrap(), "olga@institute.example", &["observer"]).await;
    assert_eq!(olga.get(&path).await.json()["items"][0]["rule"], "report");
    assert_eq!(olga.api(Method::PUT, &path, &provider()).await.status, 403);
    node.stop().await;
}

#[tokio::test]
async fn two_organisations_that_use_one_id_do_not_touch_each_others_clocks() {
    let World { node, mut ada, mut bo, .. } = world().await;
    let collections = ada.get("/api/v1/collections").await.json();
    let shared = collections.as_array().or_else(|| collections["items"].as_array()).unwrap();
    let shared = shared.iter().find(|it| it["alias"] == "shared").unwrap()["id"].as_str().unwrap().to_owned();
    let extension = json!({AI: {"extension_type": "property-extension", "incident_facts": serious()}});
    let strict = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003";
    let object = json!({"type": "incident", "spec_version": "2.1", "id": NOWHERE, "name": "Mine",
        "created": "2026-08-02T09:00:00.000Z", "modified": "2026-08-02T09:00:00.000Z",
        "object_marking_refs": [strict], "extensions": extension});
    let taxii = "application/taxii+json;version=2.1";
    let path = format!("/api/v1/incidents/{NOWHERE}/duties");
    for browser in [&mut ada, &mut bo] {
        let bearer = format!("Bearer {}", browser.token(&["read", "write"]).await);
        let headers = [("authorization", &*bearer), ("content-type", taxii), ("accept", taxii)];
        let to = format!("/taxii2/api/collections/{shared}/objects/");
        let body = json!({"objects": [object]}).to_string().into_bytes();
        let sent = node.browser().send(Method::POST, &to, &headers, body).await;
        assert_eq!(sent.json()["success_count"], 1, "{sent:?}");
        let named = browser.api(Method::PUT, &path, &provider()).await;
        assert_eq!(named.status, 200, "{named:?}");
    }
    assert_eq!(bo.api(Method::DELETE, &path, &json!({})).await.status, 204);
    assert_eq!(bo.get(&path).await.json()["items"], json!([]));
    assert_eq!(
        ada.get(&path).await.json()["items"][0]["rule"],
        "report",
        "another organisation took it away"
    );
    node.stop().await;
}

#[tokio::test]
async fn what_runs_out_on_the_overview_leads_to_where_it_is() {
    let World { node, mut ada, .. } = world().await;
    let id = incident(&mut ada, json!({"tlp": "amber"})).await;
    assert_eq!(
        ada.api(Method::PUT, &format!("/api/v1/incidents/{id}/duties"), &provider()).await.status,
        200
    );
    let case = json!({"title": "Obeys invoices", "report": "It does."});
    let case = ada.api(Method::POST, "/api/v1/cases", &case).await.json()["id"].as_str().unwrap().to_owned();
    let page = ada.get("/").await.text();
    for href in [format!("/objects/{id}"), format!("/cases/{case}")] {
        assert!(page.contains(&format!("href=\"{href}\"")), "no {href} in {page}");
        assert!([200, 303].contains(&ada.get(&href).await.status), "{href}");
    }
    assert!(!page.contains("/cases/case/"), "{page}");
    // What it is of is said, and no id of a party.
    assert!(page.contains("Wrong dose ·") && page.contains("Obeys invoices ·"), "{page}");
    assert!(page.contains(">Triage<"), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn opinions_by_the_api_have_the_marks_of_what_they_are_about() {
    let World { node, mut ada, partner, mut bo, mut cy } = world().await;
    let form = json!({"collection": "shared",
        "handling": {"tlp": "amber", "audience": [{"organisation": partner}]}, "object": {"name": "Obeys invoices"}});
    let flaw = ada.api(Method::POST, "/api/v1/flaws", &form).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/objects/{flaw}/voices");
    for say in [json!({"say": "strongly-agree", "note": "With ours, too."}), json!({"say": "seen"})] {
        let said = bo.api(Method::POST, &path, &say).await;
        assert_eq!(said.status, 201, "{said:?}");
        node.clock.advance(1);
    }
    assert_eq!(bo.api(Method::POST, &path, &json!({"say": "perhaps"})).await.status, 422);
    let heard = ada.get(&path).await.json();
    let says: Vec<&Value> = heard["items"].as_array().unwrap().iter().map(|it| &it["says"]).collect();
    assert_eq!(says, ["seen", "strongly-agree"]);
    assert_eq!(
        (&heard["items"][1]["organisation"], &heard["items"][1]["note"]),
        (&json!(partner), &json!("With ours, too."))
    );
    let first = ada.get(&format!("{path}?limit=1")).await.json();
    let next = ada.get(&format!("{path}?limit=1&after={}", first["next"].as_str().unwrap())).await.json();
    assert_eq!(
        (&first["items"][0], &next["items"][0], &next["next"]),
        (&heard["items"][0], &heard["items"][1], &Value::Null)
    );
    let page = ada.get(&format!("/flaws/{flaw}")).await.text();
    assert!(page.contains("Strongly agree") && page.contains("With ours, too."), "{page}");
    // What the page takes, the API has.
    let said = bo.form(&format!("/flaws/{flaw}/voice"), &[("say", "neutral"), ("note", "")]).await;
    assert_eq!(said.status, 303, "{said:?}");
    assert_eq!(ada.get(&path).await.json()["items"][0]["says"], "neutral");
    // Whoever may not see the flaw hears nothing of it, and says nothing.
    let opinion = heard["items"][1]["id"].as_str().unwrap();
    assert_eq!(cy.get(&format!("/api/v1/objects/{opinion}")).await.status, 404);
    assert_eq!(cy.get("/api/v1/opinions").await.json()["items"], json!([]));
    assert_eq!(ada.get("/api/v1/opinions").await.json()["items"].as_array().unwrap().len(), 2);
    let nowhere = path.replace(&flaw, "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061");
    assert_eq!(cy.get(&path).await.undated(), cy.get(&nowhere).await.undated());
    let say = json!({"say": "agree"});
    let refused = cy.api(Method::POST, &path, &say).await.undated();
    assert_eq!((refused.status, refused), (404, cy.api(Method::POST, &nowhere, &say).await.undated()));
    assert_eq!(node.browser().api(Method::POST, &path, &say).await.status, 401);
    let (reads, writes) = (bo.token(&["read"]).await, bo.token(&["read", "write"]).await);
    assert_eq!(machine(&node, &reads, Method::POST, &path, &say).await.status, 403);
    assert_eq!(machine(&node, &reads, Method::GET, &path, &say).await.status, 200);
    assert_eq!(machine(&node, &writes, Method::POST, &path, &say).await.status, 201);
    // With marks of one's own, as any object.
    let object = json!({"opinion": "disagree", "object_refs": [flaw]});
    let form = json!({"collection": "shared", "handling": {"tlp": "clear"}, "object": object});
    assert_eq!(bo.api(Method::POST, "/api/v1/opinions", &form).await.status, 201);
    assert_eq!(ada.get(&path).await.json()["items"][0]["says"], "disagree");
    assert_eq!(
        cy.get("/api/v1/opinions").await.json()["items"],
        json!([]),
        "marked clear, about what is not"
    );
    node.stop().await;
}

#[tokio::test]
async fn saved_views_are_the_persons_own_in_the_api_and_on_the_page() {
    let World { node, mut ada, mut bo, .. } = world().await;
    let view = json!({"name": "Ours / theirs", "of": "/flaws?tlp=amber"});
    let saved = ada.api(Method::POST, "/api/v1/views", &view).await;
    assert_eq!(saved.status, 201, "{saved:?}");
    assert_eq!(saved.json()["link"], format!("{}/flaws?tlp=amber", ada.origin));
    assert!(ada.get("/views").await.text().contains("Ours / theirs"));
    assert_eq!(ada.form("/views/new", &[("name", "Mail"), ("of", "/search?q=mail")]).await.status, 303);
    let names = |answer: Answer| -> Vec<String> {
        answer.json().as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(ada.get("/api/v1/views").await), ["Mail", "Ours / theirs"]);
    assert_eq!(names(bo.get("/api/v1/views").await), [""; 0]);
    for (name, of) in [
        ("", "/flaws"),
        ("x", "https://evil.example/"),
        ("x", "//evil.example/"),
        ("x", "/\\evil.example"),
        ("a\nb", "/flaws"),
    ] {
        let refused = ada.api(Method::POST, "/api/v1/views", &json!({"name": name, "of": of})).await;
        assert_eq!(refused.status, 422, "{name} {of}");
    }
    let path = "/api/v1/views/Ours%20%2F%20theirs";
    assert_eq!(bo.api(Method::DELETE, path, &json!({})).await.status, 404);
    assert_eq!(ada.api(Method::DELETE, path, &json!({})).await.status, 204);
    assert_eq!(names(ada.get("/api/v1/views").await), ["Mail"]);
    assert_eq!(node.browser().get("/api/v1/views").await.status, 401);
    let token = ada.token(&["read", "write"]).await;
    assert_eq!(machine(&node, &token, Method::GET, "/api/v1/views", &json!({})).await.status, 403);
    assert_eq!(machine(&node, &token, Method::POST, "/api/v1/views", &view).await.status, 403);
    let document = node.browser().get("/api/v1/openapi.json").await.json();
    for path in
        ["/api/v1/views", "/api/v1/opinions", "/api/v1/objects/{id}/voices", "/api/v1/incidents/{id}/duties"]
    {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    node.stop().await;
}
