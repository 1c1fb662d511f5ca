//! What the endorsements of a plan, its number of calls and the refusals of rule 9 must not let through.

use serde_json::{Value, json};

use super::house::*;
use super::*;
use crate::flow::{Mutant, with};
use crate::pin::FirstUse;

const TOOLS: &str = "
[servers.mail.tools.look]
critical = false
result = { influencers = [], readers = \"everyone\", reveal = \"value\" }
[servers.mail.tools.letter]
critical = false
result = { influencers = [], readers = \"everyone\", fields = { \"/priority\" = { influencers = [\"outside\"], endorse = [{ one-of = [\"low\", \"high\"] }] }, \"/body\" = { influencers = [\"outside\"], readers = [\"user\"] } } }
[servers.mail.tools.ledger]
critical = false
result = { influencers = [\"bank\"], readers = \"everyone\", endorse = [{ one-of = [1, 2] }], fields = { \"/subject\" = { influencers = [\"payers\"] } } }
[servers.mail.tools.inbox]
critical = false
result = { influencers = [\"outside\"], readers = \"everyone\", reveal = \"reference\" }
[servers.mail.tools.private]
critical = false
result = { influencers = [\"outside\"], readers = [\"user\"], reveal = \"reference\" }
[servers.mail.tools.probe]
critical = false
result = { influencers = [], readers = \"everyone\" }
[servers.mail.tools.act]
critical = true
influencers = [\"user\"]
audience = [\"outside\"]
otherwise = \"deny\"
result = { influencers = [], readers = \"everyone\" }
";

fn a_house() -> (House, Arc<Fake>) {
    let mail = Fake::new(&["look", "letter", "ledger", "inbox", "private", "probe", "act"]);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["load"]))];
    (house_with(&format!("{POLICY}{TOOLS}"), &servers, FirstUse::TrustOnFirstUse), mail)
}

/// Runs `first`, endorses `value` as `shape`, and acts with it.
async fn endorsing(house: &House, (first, value, shape): (&str, Value, Value)) {
    let plan = json!({"plan": [
        {"id": "v", "call": first},
        {"endorse": "e", "be": value, "as": shape},
        {"call": "mail__act", "with": {"x": {"ref": "e"}}, "on_error": "continue"},
        {"return": {}},
    ]});
    house.call(&caller("ana", None), "run_plan", plan).await;
}

/// How often a plan acts with what it asked to be endorsed, of a result for which its server claims a label.
async fn acted(claimed: Option<&Value>) -> usize {
    let (house, mail) = a_house();
    let mut said = text("short");
    if let Some(claimed) = claimed {
        said["_meta"] = json!({ LABEL: claimed });
    }
    mail.answers("look", said);
    let shape = json!({"text": {"pattern": "(?s).*", "max_bytes": 60}});
    endorsing(&house, ("mail__look", json!({"ref": "v"}), shape)).await;
    mail.got("act").len()
}

#[test]
fn what_a_server_claims_of_its_result_is_endorsed_only_by_the_policy() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let outside = json!({"integrity": {"of": ["outside"]}, "readers": "everyone", "provenance": []});
    let private = json!({"integrity": {"of": []}, "readers": {"only": ["user"]}, "provenance": []});
    for (claimed, goes) in [(None, true), (Some(&outside), false), (Some(&private), false)] {
        assert_eq!(runtime.block_on(acted(claimed)), usize::from(goes), "{claimed:?}");
    }
    let careless = with(Mutant::ClaimsEndorsed, || runtime.block_on(acted(Some(&outside))));
    assert_eq!(careless, 1, "the mutant is noticed");
}

#[tokio::test]
async fn what_is_endorsed_of_a_result_is_endorsed_of_its_fields() {
    let (house, mail) = a_house();
    let chosen = json!({"choose": [{"contains": [{"ref": "v/subject"}, "Spotify"]}, 1, 2]});
    mail.answers("ledger", json!({"content": [], "structuredContent": {"subject": "Spotify"}}));
    endorsing(&house, ("mail__ledger", chosen, json!({"one_of": [1, 2]}))).await;
    assert_eq!(mail.got("act").len(), 1);
}

#[tokio::test]
async fn an_endorsed_field_is_none_of_the_fields_beside_it() {
    for (value, goes) in [
        (json!({"ref": "v/priority"}), true),
        (json!({"choose": [{"contains": [{"ref": "v/body"}, "4711"]}, "low", "high"]}), false),
    ] {
        let (house, mail) = a_house();
        let content = json!({"priority": "low", "body": "PIN 4711"});
        mail.answers("letter", json!({"content": [], "structuredContent": content}));
        endorsing(&house, ("mail__letter", value.clone(), json!({"one_of": ["low", "high"]}))).await;
        assert_eq!(mail.got("act").len(), usize::from(goes), "{value}");
    }
}

/// Whether the agent may still act after a plan has called `probe` once for each of `items` strangers' things, and it once more itself.
async fn probed(items: usize, budgets: &str, cedar: Option<&str>) -> bool {
    let mail = Fake::new(&["inbox", "probe", "act"]);
    let things: Vec<usize> = (0..items).collect();
    mail.answers("inbox", json!({"content": [], "structuredContent": {"items": things}}));
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["load"]))];
    let text = format!("{POLICY}{TOOLS}{budgets}");
    let house = house_under(policy_with(&text, cedar), &servers, FirstUse::TrustOnFirstUse);
    let ana = caller("ana", None);
    let plan = json!({"plan": [
        {"id": "i", "call": "mail__inbox"},
        {"for": "x", "in": {"ref": "i/items"}, "max": 10, "do": [{"call": "mail__probe", "on_error": "continue"}]},
        {"return": {}},
    ]});
    house.call(&ana, "run_plan", plan).await;
    house.call(&ana, "mail__probe", json!({})).await;
    house.call(&ana, "mail__act", json!({})).await;
    mail.got("act").len() == 1
}

#[tokio::test]
async fn how_many_calls_a_plan_made_is_told_by_budgets_and_taints() {
    let tool = "[budgets.tools]\n\"mail/probe\" = 5\n";
    let run = "[budgets]\ncalls-per-run = 7\n";
    let rule = "permit (principal, action, resource);\nforbid (principal, action, resource == Tool::\"mail/probe\") when { context.used.tool > 4 };";
    let with_rule = "[policy]\ncedar = [\"rules.cedar\"]\n";
    for items in [1, 6] {
        assert!(!probed(items, tool, None).await, "{items}");
        assert!(!probed(items, run, None).await, "{items}");
        assert!(!probed(items, with_rule, Some(rule)).await, "{items}");
        // Where nobody counts, nothing is told.
        assert!(probed(items, "", None).await, "{items}");
    }
}

#[tokio::test]
async fn a_refusal_for_what_was_seen_elsewhere_tells_who_wrote_that() {
    for (there, goes) in [(true, false), (false, true)] {
        let (house, mail) = a_house();
        let ana = caller("ana", None);
        mail.answers(
            "private",
            text(if there { "buy the blue elephant now" } else { "nothing of interest here" }),
        );
        house.call(&ana, "mail__private", json!({})).await;
        let said = house.call(&ana, "mail__act", json!({"x": "buy the blue elephant now"})).await;
        assert_eq!(said == "done", !there, "{said}");
        house.call(&ana, "mail__act", json!({"x": "y"})).await;
        assert_eq!(mail.got("act").iter().any(|got| got["x"] == "y"), goes);
    }
}

/// Whether the agent may still act after a plan has given back what a server claims to be strangers'.
async fn acts_after_a_claim() -> bool {
    let (house, mail) = a_house();
    let ana = caller("ana", None);
    let mut said = text("short");
    let outside = json!({"integrity": {"of": ["outside"]}, "readers": "everyone", "provenance": []});
    said["_meta"] = json!({ LABEL: outside });
    mail.answers("look", said);
    let plan = json!({"plan": [{"id": "v", "call": "mail__look"}, {"return": {"v": {"ref": "v"}}}]});
    let given = house.call(&ana, "run_plan", plan).await;
    assert!(given.contains(PREFIX) && !given.contains("short"), "{given}");
    house.call(&ana, "mail__act", json!({})).await;
    !mail.got("act").is_empty()
}

#[test]
fn that_an_output_is_kept_tells_what_its_server_has_claimed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(!runtime.block_on(acts_after_a_claim()));
    assert!(
        with(Mutant::ClaimsTellNothing, || runtime.block_on(acts_after_a_claim())),
        "the mutant is noticed"
    );
}
