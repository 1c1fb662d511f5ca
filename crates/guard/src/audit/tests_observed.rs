//! The candidate of what was watched: what it says that it covers, it does, and it takes nothing back.

use serde_json::json;
use toml::{Table, Value};

use super::observed;
use super::tests::{POLICY, everything, log_of};
use crate::gateway::house::{Fake, caller, house_with, text};
use crate::pin::FirstUse;

/// What a person does who takes a candidate over.
fn merged(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merged(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[tokio::test]
async fn a_candidate_permits_what_it_says_and_takes_nothing_back() {
    let house = everything().await;
    let found = observed(log_of(&house, |_| {}).path()).unwrap();
    let candidate: Table = found.candidate.parse().unwrap();
    // What was not refused keeps what is said of it.
    let tables = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(tables(candidate["servers"].as_table().unwrap()), ["mail"], "{}", found.candidate);
    let tools = candidate["servers"]["mail"]["tools"].as_table().unwrap();
    assert_eq!(tables(tools), ["send"], "{}", found.candidate);
    assert_eq!(tools["send"]["influencers"], Value::from(vec!["outside", "server:mail", "user"]));

    let mut policy: Table = POLICY.parse().unwrap();
    merged(&mut policy, candidate.clone());
    let mail = Fake::new(&["fetch", "send"]);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&[]))];
    let second = house_with(&policy.to_string(), &servers, FirstUse::TrustOnFirstUse);
    let ana = caller("ana", None);
    mail.answers("fetch", text("a stranger's text"));
    let handle = second.call(&ana, "mail__fetch", json!({})).await.lines().next().unwrap().to_owned();
    second.call(&ana, "reveal", json!({"ref": handle})).await;
    assert_eq!(second.call(&ana, "mail__send", json!({"to": "eve"})).await, "The call succeeded.");
}

#[tokio::test]
async fn a_candidate_says_what_it_does_not_cover() {
    let policy = POLICY.replace(r#"readers = ["user", "server:notes"]"#, r#"readers = ["user"]"#);
    let (mail, notes) = (Fake::new(&["read"]), Fake::new(&["save"]));
    let servers = [("mail", mail.clone()), ("notes", notes)];
    let house = house_with(&policy, &servers, FirstUse::TrustOnFirstUse);
    let ana = caller("ana", None);
    mail.answers("read", text("the password"));
    house.call(&ana, "mail__read", json!({})).await;
    let said = house.call(&ana, "notes__save", json!({"name": "n", "text": "x"})).await;
    assert!(said.contains("would show"), "{said}");
    let candidate = observed(log_of(&house, |_| {}).path()).unwrap().candidate;
    assert!(
        candidate.contains("not covered: server:notes would read what may not be shown to them"),
        "{candidate}"
    );
    assert!(candidate.contains("1 would have been refused, 1 with this candidate"), "{candidate}");
    assert!(candidate.parse::<Table>().unwrap().is_empty(), "{candidate}");
    assert!(candidate.contains("a table may stand in a file only once"), "{candidate}");
}
