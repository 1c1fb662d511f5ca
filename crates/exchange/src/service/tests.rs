use ostrom_core::handling::{Handling, Party, Reader, Tlp};
use ostrom_core::{Digest, ObjectId, Timestamp};
use serde_json::{Value, json};

use super::testing::{Node, at, contributor, envelope, flaw, member, org, person, uuid};
use super::*;
use crate::commitment::{self, Kind, Salt};
use crate::stix::marking;
use crate::types::{Common, Flaw, Record};

/// Makes of each function two tests: one for each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Node::start().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Node::start_on_postgres().await).await;
            })*
        }
    };
}

on_both! {
    what_is_taken_is_kept_and_committed_to,
    each_object_has_its_own_outcome,
    only_who_may_write_writes,
    an_object_is_its_organisations,
    opening_a_mark_is_for_its_owner_and_on_record,
    what_is_not_understood_is_kept_for_nobody,
    a_definition_never_changes,
    many_may_share_the_same_observable,
    what_is_written_here_is_for_whom_it_says,
    removing_is_for_the_owner_and_says_nothing_of_what_is_hidden,
    why_and_who_else,
    a_relation_is_as_strict_as_its_ends,
}

async fn take(node: &Node, actor: &Actor, objects: &[Value]) -> Vec<Outcome> {
    let bytes = envelope(objects);
    node.exchange.take_bytes(actor, &node.collection, &bytes, Strictness::Strict, at(1000)).await.unwrap()
}

fn refusal(outcome: &Outcome) -> &Refusal {
    outcome.result.as_ref().unwrap_err()
}

async fn sees(node: &Node, reader: &Reader, id: &str) -> bool {
    let reading = node.exchange.store().reading(reader, at(2000)).await.unwrap();
    reading.get(&id.parse().unwrap(), None).await.unwrap().is_some()
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

async fn what_is_taken_is_kept_and_committed_to(node: Node) {
    let object = flaw(1, 1, Some(Tlp::Green));
    let outcomes = take(&node, &contributor(1), std::slice::from_ref(&object)).await;
    let took = outcomes[0].result.as_ref().unwrap();
    assert_eq!((took.leaf, took.downgrade, took.unreadable.as_deref()), (Some(0), false, None));
    let reading = node.exchange.store().reading(&member(2), at(2000)).await.unwrap();
    let kept = reading.get(&took.id, None).await.unwrap().unwrap();
    assert_eq!(kept.body, object.to_string().as_bytes());
    // What is in the log is what the opening of the object leads to.
    let salt = Salt::from_bytes(kept.head.salt.clone().unwrap().try_into().unwrap());
    let parts = [Digest::of(&kept.body), ostrom_trust::digest_of(&kept.own).unwrap()];
    let record = commitment::commit(Kind::Object, &salt, &parts);
    let entries: Vec<_> =
        ostrom_trust::log::read(node.exchange.log().folder()).unwrap().map(Result::unwrap).collect();
    assert_eq!((entries.len(), entries[0].bytes.as_slice()), (1, record.as_bytes().as_slice()));
    let again = take(&node, &contributor(1), &[object]).await;
    assert_eq!(again[0].result.as_ref().unwrap().added, None);
    assert_eq!(node.exchange.log().size(), 1, "the same again is nothing new");
    assert_eq!(node.deeds()[0]["did"], "take");
}

async fn each_object_has_its_own_outcome(node: Node) {
    let mut bad = flaw(2, 1, None);
    bad["confidence"] = json!(200);
    let outcomes =
        take(&node, &contributor(1), &[flaw(1, 1, None), bad, json!({ "type": "x" }), flaw(3, 1, None)])
            .await;
    let fine: Vec<bool> = outcomes.iter().map(|outcome| outcome.result.is_ok()).collect();
    assert_eq!(fine, [true, false, false, true]);
    assert!(matches!(refusal(&outcomes[1]), Refusal::Defects(_)));
    assert!(matches!(refusal(&outcomes[2]), Refusal::Unreadable(_)));
}

async fn only_who_may_write_writes(node: Node) {
    let observer = Actor { roles: [ostrom_store::Role::Observer].into(), ..contributor(1) };
    let administrator = Actor { roles: [ostrom_store::Role::Administrator].into(), ..contributor(1) };
    for actor in [Actor::nobody(true), observer, administrator] {
        let bytes = envelope(&[flaw(1, 1, None)]);
        let done =
            node.exchange.take_bytes(&actor, &node.collection, &bytes, Strictness::Strict, at(1)).await;
        assert!(matches!(done, Err(ServiceError::Forbidden(_))), "{actor:?}");
    }
    let elsewhere = Actor { collections: Some([].into()), ..contributor(1) };
    let done = node.exchange.take_bytes(&elsewhere, &node.collection, b"{}", Strictness::Strict, at(1)).await;
    assert!(matches!(done, Err(ServiceError::NotFound(_))));
}

async fn an_object_is_its_organisations(node: Node) {
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Green))]).await;
    let outcomes = take(&node, &contributor(2), &[flaw(1, 2, Some(Tlp::Green))]).await;
    assert_eq!(refusal(&outcomes[0]), &Refusal::NotOwner);
    let colleague = Actor {
        who: Who::Person(person(5)),
        reader: Reader { person: Some(person(5)), ..member(1) },
        ..contributor(1)
    };
    assert!(take(&node, &colleague, &[flaw(1, 2, Some(Tlp::Green))]).await[0].result.is_ok());
    // A colleague does not see what is RED, and so cannot put something open in its place.
    take(&node, &contributor(1), &[flaw(2, 1, Some(Tlp::Red))]).await;
    let outcomes = take(&node, &colleague, &[flaw(2, 2, Some(Tlp::Clear))]).await;
    assert_eq!(refusal(&outcomes[0]), &Refusal::NotOwner);
    let mut other = flaw(1, 1, Some(Tlp::Green));
    other["name"] = json!("Another name");
    assert_eq!(refusal(&take(&node, &contributor(1), &[other]).await[0]), &Refusal::Conflict);
}

async fn opening_a_mark_is_for_its_owner_and_on_record(node: Node) {
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Amber))]).await;
    assert!(!sees(&node, &member(2), id(&flaw(1, 1, None))).await);
    let outcomes = take(&node, &contributor(1), &[flaw(1, 2, Some(Tlp::Clear))]).await;
    assert!(outcomes[0].result.as_ref().unwrap().downgrade);
    assert!(sees(&node, &member(2), id(&flaw(1, 1, None))).await);
    let deeds: Vec<Value> = node.deeds();
    let last = deeds.last().unwrap();
    assert_eq!(
        (last["did"].as_str(), last["what"].as_str()),
        (Some("downgrade"), Some(id(&flaw(1, 1, None))))
    );
    let stricter = take(&node, &contributor(1), &[flaw(1, 3, Some(Tlp::Red))]).await;
    assert!(!stricter[0].result.as_ref().unwrap().downgrade);
    // Somebody else's mark on my object is not mine to take off.
    let handling =
        Handling { audience: [Party::Organisation(org(1))].into(), ..Handling::new(org(9), Tlp::Amber) };
    let marks = marking::marks(&handling).unwrap();
    let mut marked = flaw(4, 1, None);
    marked["object_marking_refs"] = json!(marks.refs);
    let outcomes = take(&node, &contributor(1), &[marks.definitions[0].clone(), marked]).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    let outcomes = take(&node, &contributor(1), &[flaw(4, 2, Some(Tlp::Clear))]).await;
    assert_eq!(refusal(&outcomes[0]), &Refusal::Downgrade);
}

async fn what_is_not_understood_is_kept_for_nobody(node: Node) {
    let mut object = flaw(1, 1, None);
    object["object_marking_refs"] = json!([format!("marking-definition--{}", uuid(5))]);
    let outcomes = take(&node, &contributor(1), &[object.clone()]).await;
    assert!(outcomes[0].result.as_ref().unwrap().unreadable.is_some());
    assert!(!sees(&node, &member(1), id(&object)).await);
    // Who brings the definition later does not open what came before.
    let late = json!({ "type": "marking-definition", "spec_version": "2.1", "id": format!("marking-definition--{}", uuid(5)),
        "created": at(0), "definition_type": "statement", "definition": { "statement": "Free for all" } });
    take(&node, &contributor(2), &[late]).await;
    assert!(!sees(&node, &member(1), id(&object)).await && !sees(&node, &member(2), id(&object)).await);
}

async fn a_definition_never_changes(node: Node) {
    let definition = |text: &str| {
        json!({ "type": "marking-definition", "spec_version": "2.1", "id": format!("marking-definition--{}", uuid(5)), "created": at(0),
            "definition_type": "statement", "definition": { "statement": text } })
    };
    take(&node, &contributor(1), &[definition("a")]).await;
    assert_eq!(refusal(&take(&node, &contributor(1), &[definition("b")]).await[0]), &Refusal::Conflict);
    assert!(take(&node, &contributor(1), &[definition("a")]).await[0].result.is_ok());
}

async fn many_may_share_the_same_observable(node: Node) {
    let address = |tlp| {
        json!({ "type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4", "value": "198.51.100.3",
            "object_marking_refs": [marking::tlp_id(tlp)] })
    };
    take(&node, &contributor(1), &[address(Tlp::Amber)]).await;
    // Nothing tells the second that there is a first: neither the outcome nor what can be read afterwards.
    let outcomes = take(&node, &contributor(2), &[address(Tlp::Amber)]).await;
    assert!(outcomes[0].result.as_ref().unwrap().added.is_some());
    assert!(sees(&node, &member(2), id(&address(Tlp::Amber))).await);
    assert!(sees(&node, &member(1), id(&address(Tlp::Amber))).await);
    assert!(!sees(&node, &member(3), id(&address(Tlp::Amber))).await);
    let again = take(&node, &contributor(2), &[address(Tlp::Amber)]).await;
    assert_eq!(again[0].result.as_ref().unwrap().added, None);
}

fn draft(handling: Handling) -> Draft {
    let common = Common::new("vulnerability", uuid(42), at(5), handling.owner.into()).unwrap();
    Draft { record: Record::Flaw(Flaw::new(common, "A flaw")), handling, along: Vec::new() }
}

async fn what_is_written_here_is_for_whom_it_says(node: Node) {
    let handling = Handling {
        audience: [Party::Organisation(org(2)), Party::Person(person(3))].into(),
        ..Handling::new(org(1), Tlp::AmberStrict)
    };
    let write = |actor, draft| node.exchange.write(actor, &node.collection, draft, at(6));
    let actor = contributor(1);
    let outcomes = write(&actor, draft(handling.clone())).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    let id = outcomes.last().unwrap().id.clone().unwrap();
    for (reader, expect) in [
        (member(1), true),
        (member(2), true),
        (member(3), true),
        (member(4), false),
        (Reader::anonymous(true), false),
    ] {
        assert_eq!(sees(&node, &reader, id.as_str()).await, expect, "{reader:?}");
    }
    // A colleague who uses marks that somebody else has used before, and cannot see, can all the same.
    let mut red = draft(Handling { tlp: Tlp::Red, ..handling.clone() });
    write(&actor, red.clone()).await.unwrap();
    let common = Common::new("vulnerability", uuid(43), at(5), org(1).into()).unwrap();
    red.record = Record::Flaw(Flaw::new(common, "Another flaw"));
    let reader = Reader { person: Some(person(5)), ..member(1) };
    let colleague = Actor { who: Who::Person(person(5)), reader: reader.clone(), ..contributor(1) };
    let outcomes = write(&colleague, red).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    let id = outcomes.last().unwrap().id.clone().unwrap();
    assert!(sees(&node, &reader, id.as_str()).await && sees(&node, &member(3), id.as_str()).await);
    assert!(!sees(&node, &member(1), id.as_str()).await);
    let other = write(&contributor(2), draft(handling)).await;
    assert!(matches!(other, Err(ServiceError::Forbidden(_))));
}

async fn removing_is_for_the_owner_and_says_nothing_of_what_is_hidden(node: Node) {
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Green)), flaw(2, 1, Some(Tlp::Amber))]).await;
    let remove = |actor: Actor, n: u128| {
        let node = &node;
        async move {
            let id: ObjectId = id(&flaw(n, 1, None)).parse().unwrap();
            node.exchange.remove(&actor, &node.collection, &id, None, None, at(3000)).await
        }
    };
    assert!(matches!(remove(contributor(2), 1).await, Err(ServiceError::Forbidden(_))));
    assert_eq!(remove(contributor(2), 2).await.unwrap(), 0, "as if it were not there");
    assert_eq!(remove(contributor(2), 9).await.unwrap(), 0);
    assert_eq!(remove(contributor(1), 1).await.unwrap(), 1);
    assert!(!sees(&node, &member(1), id(&flaw(1, 1, None))).await);
}

async fn why_and_who_else(node: Node) {
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Green)), flaw(2, 1, Some(Tlp::Amber))]).await;
    let object: ObjectId = id(&flaw(1, 1, None)).parse().unwrap();
    let hidden: ObjectId = id(&flaw(2, 1, None)).parse().unwrap();
    let now: Timestamp = at(2000);
    let found = node.exchange.explain(&contributor(2), &object, now).await.unwrap().unwrap();
    assert!(found.decision.allowed() && found.policy.tlp() == Tlp::Green);
    assert_eq!(node.exchange.explain(&contributor(2), &hidden, now).await.unwrap(), None);
    assert_eq!(
        node.exchange.who_could_see(&contributor(2), &object, now).await.unwrap(),
        None,
        "not its owner"
    );
    assert!(node.exchange.who_could_see(&contributor(1), &object, now).await.unwrap().is_some());
}

async fn a_relation_is_as_strict_as_its_ends(node: Node) {
    let relation = json!({ "type": "relationship", "spec_version": "2.1", "id": format!("relationship--{}", uuid(8)), "created": at(0), "modified": at(0),
        "relationship_type": "related-to", "source_ref": id(&flaw(1, 1, None)), "target_ref": id(&flaw(2, 1, None)),
        "object_marking_refs": [marking::tlp_id(Tlp::Clear)] });
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Clear)), relation.clone()]).await;
    assert!(sees(&node, &member(2), id(&relation)).await);
    take(&node, &contributor(1), &[flaw(2, 1, Some(Tlp::Amber))]).await;
    assert!(!sees(&node, &member(2), id(&relation)).await);
    assert!(sees(&node, &member(1), id(&relation)).await);
}
