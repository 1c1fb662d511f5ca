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
    an_id_that_is_taken_by_something_hidden_is_free,
    somebody_elses_observable_hides_nothing,
    a_reference_to_something_hidden_is_one_to_nothing,
    what_somebody_wrote_does_not_vanish_for_that_person,
    the_second_thousand_says_nothing_either,
    nobody_takes_the_place_of_a_derived_mark,
    an_ended_embargo_is_new_to_who_polls,
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

fn relation(n: u128, source: &str, target: &str) -> Value {
    json!({ "type": "relationship", "spec_version": "2.1", "id": format!("relationship--{}", uuid(n)), "created": at(0), "modified": at(0),
        "relationship_type": "related-to", "source_ref": source, "target_ref": target, "object_marking_refs": [marking::tlp_id(Tlp::Clear)] })
}

async fn name_of(node: &Node, reader: &Reader, id: &str) -> Option<String> {
    let reading = node.exchange.store().reading(reader, at(2000)).await.unwrap();
    let found = reading.get(&id.parse().unwrap(), None).await.unwrap()?;
    serde_json::from_slice::<Value>(&found.body).unwrap()["name"].as_str().map(ToOwned::to_owned)
}

async fn an_id_that_is_taken_by_something_hidden_is_free(node: Node) {
    let strict = flaw(1, 1, Some(Tlp::Amber));
    take(&node, &contributor(1), std::slice::from_ref(&strict)).await;
    // Exactly the same id and version, and a later one: as if nothing were there.
    for second in [1, 5] {
        let mut other = flaw(1, second, Some(Tlp::Clear));
        other["name"] = json!("Something else");
        let outcomes = take(&node, &contributor(2), &[other]).await;
        let took = outcomes[0].result.as_ref().unwrap();
        assert!(took.added.is_some() && !took.downgrade, "{took:?}");
    }
    assert_eq!(name_of(&node, &member(2), id(&strict)).await.unwrap(), "Something else");
    assert_eq!(name_of(&node, &Reader::anonymous(true), id(&strict)).await.unwrap(), "Something else");
    // Nobody takes the place of what somebody sees.
    assert_eq!(name_of(&node, &member(1), id(&strict)).await.unwrap(), "Flaw 1");
    let reading = node.exchange.store().reading(&member(1), at(2000)).await.unwrap();
    let strict_id: ObjectId = id(&strict).parse().unwrap();
    assert_eq!(reading.history(&strict_id).await.unwrap().len(), 1);
    assert_eq!(reading.counts().await.unwrap()["vulnerability"], 1);
    let page = reading.page(node.collection.id, &ostrom_store::Filter::default(), None, 10).await.unwrap();
    assert_eq!((page.rows.len(), page.rows[0].body.as_ref()), (1, strict.to_string().as_bytes()));
    assert_eq!(reading.search("else", &[], None, 10).await.unwrap().rows.len(), 0);
    // Each goes on with its own, and removes its own.
    assert!(take(&node, &contributor(1), &[flaw(1, 9, Some(Tlp::Amber))]).await[0].result.is_ok());
    let removed =
        node.exchange.remove(&contributor(2), &node.collection, &strict_id, None, None, at(3000)).await;
    assert_eq!(removed.unwrap(), 2);
    assert_eq!(name_of(&node, &member(2), id(&strict)).await, None);
    assert_eq!(name_of(&node, &member(1), id(&strict)).await.unwrap(), "Flaw 1");
    assert!(node.exchange.store().custody().check().await.unwrap().is_sound());
}

fn software(name: &str, tlp: Tlp) -> Value {
    json!({ "type": "software", "spec_version": "2.1", "id": "software--a1827f6d-ca53-5605-9e93-4316cd22a00a", "name": name,
        "object_marking_refs": [marking::tlp_id(tlp)] })
}

async fn somebody_elses_observable_hides_nothing(node: Node) {
    let model = software("model", Tlp::Clear);
    let mine = relation(8, id(&flaw(1, 1, None)), id(&model));
    take(&node, &contributor(1), &[flaw(1, 1, Some(Tlp::Clear)), model.clone(), mine.clone()]).await;
    let anybody = Reader::anonymous(true);
    assert!(sees(&node, &anybody, id(&mine)).await);
    // Another one posts it as strictly as can be: before, and after.
    take(&node, &contributor(2), &[software("model of another", Tlp::Red)]).await;
    assert!(sees(&node, &anybody, id(&mine)).await);
    let later = relation(9, id(&flaw(1, 1, None)), id(&model));
    take(&node, &contributor(1), std::slice::from_ref(&later)).await;
    assert!(sees(&node, &anybody, id(&later)).await);
    // One's own counts.
    take(&node, &contributor(1), &[software("my model", Tlp::Amber)]).await;
    assert!(!sees(&node, &anybody, id(&mine)).await && sees(&node, &member(1), id(&mine)).await);
}

async fn a_reference_to_something_hidden_is_one_to_nothing(node: Node) {
    let hidden = flaw(1, 1, Some(Tlp::Amber));
    take(&node, &contributor(1), std::slice::from_ref(&hidden)).await;
    let guess = relation(8, id(&hidden), id(&flaw(2, 1, None)));
    take(&node, &contributor(2), std::slice::from_ref(&guess)).await;
    for reader in [member(2), member(3), Reader::anonymous(true)] {
        assert!(sees(&node, &reader, id(&guess)).await, "{reader:?}");
    }
    // What could be seen counts, and goes on to count.
    take(&node, &contributor(1), &[flaw(3, 1, Some(Tlp::Green))]).await;
    let about = relation(9, id(&flaw(3, 1, None)), id(&flaw(2, 1, None)));
    take(&node, &contributor(2), std::slice::from_ref(&about)).await;
    assert!(
        sees(&node, &member(3), id(&about)).await && !sees(&node, &Reader::anonymous(true), id(&about)).await
    );
    // But what its owner does later changes nothing about what others wrote.
    take(&node, &contributor(1), &[flaw(3, 2, Some(Tlp::Red))]).await;
    assert!(sees(&node, &member(3), id(&about)).await);
}

async fn what_somebody_wrote_does_not_vanish_for_that_person(node: Node) {
    let mine = relation(8, id(&flaw(1, 1, None)), id(&flaw(2, 1, None)));
    take(&node, &contributor(1), std::slice::from_ref(&mine)).await;
    let reader = Reader { person: Some(person(5)), ..member(1) };
    let colleague = Actor { who: Who::Person(person(5)), reader: reader.clone(), ..contributor(1) };
    take(&node, &colleague, &[flaw(2, 1, Some(Tlp::Red))]).await;
    let relation: ObjectId = id(&mine).parse().unwrap();
    assert!(sees(&node, &member(1), id(&mine)).await && !sees(&node, &member(2), id(&mine)).await);
    // It is found everywhere, and nothing says what else there is.
    let reading = node.exchange.store().reading(&member(1), at(2000)).await.unwrap();
    assert_eq!(reading.counts().await.unwrap().get("relationship"), Some(&1));
    assert_eq!(
        reading.search("related", &["relationship"], None, 9).await.unwrap().rows.len(),
        reading.list(&["relationship"], None, 9).await.unwrap().rows.len()
    );
    assert_eq!(
        reading
            .manifest(node.collection.id, &ostrom_store::Filter::default(), None, 9)
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    assert_eq!(reading.history(&relation).await.unwrap().len(), 1);
    let found = node.exchange.explain(&contributor(1), &relation, at(2000)).await.unwrap().unwrap();
    assert!(found.decision.allowed() && found.policy.tlp() == Tlp::Clear, "{found:?}");
    let who = node.exchange.who_could_see(&contributor(1), &relation, at(2000)).await.unwrap().unwrap();
    assert!(who.iter().all(|(_, decision)| decision.allowed()));
}

async fn the_second_thousand_says_nothing_either(node: Node) {
    let model = |name: &str| {
        json!({ "type": "software", "spec_version": "2.1", "id": format!("software--{}", uuid(5000)), "name": name,
        "object_marking_refs": [marking::tlp_id(Tlp::Amber)] })
    };
    let definition = json!({ "type": "marking-definition", "spec_version": "2.1", "id": format!("marking-definition--{}", uuid(5001)), "created": at(0),
        "definition_type": "statement", "definition": { "statement": "x" }, "object_marking_refs": [marking::tlp_id(Tlp::Amber)] });
    take(&node, &contributor(1), &[model("a"), definition.clone()]).await;
    let mut batch: Vec<Value> = (0..1000).map(|n| flaw(10_000 + n, 1, Some(Tlp::Green))).collect();
    let mut free = model("free");
    free["id"] = json!(format!("software--{}", uuid(5002)));
    batch.extend([free, model("b"), definition]);
    let outcomes = take(&node, &contributor(2), &batch).await;
    let took = |at: usize| outcomes[at].result.as_ref().unwrap();
    assert_eq!((took(1000).version, took(1000).added), (took(1001).version, took(1001).added));
    assert_eq!(took(1000).added, took(1002).added, "as if it were not there");
}

async fn nobody_takes_the_place_of_a_derived_mark(node: Node) {
    // The id that a mark of organisation 2 is going to have, with something that everybody reads by.
    let handling =
        Handling { audience: [Party::Organisation(org(3))].into(), ..Handling::new(org(2), Tlp::Amber) };
    let marks = marking::marks(&handling).unwrap();
    let squat = json!({ "type": "marking-definition", "spec_version": "2.1", "id": marks.definitions[0]["id"], "created": at(0),
        "definition_type": "statement", "definition": { "statement": "Free for all" } });
    take(&node, &contributor(1), &[squat]).await;
    let mut marked = flaw(1, 1, None);
    marked["object_marking_refs"] = json!(marks.refs);
    // With its definition beside it, or without.
    take(&node, &contributor(2), &[marks.definitions[0].clone(), marked.clone()]).await;
    let mut alone = flaw(2, 1, None);
    alone["object_marking_refs"] = json!(marks.refs);
    take(&node, &contributor(2), &[alone.clone()]).await;
    for (reader, object, expect) in [
        (member(3), &marked, true),
        (member(4), &marked, false),
        (Reader::anonymous(true), &marked, false),
        (member(4), &alone, false),
        (Reader::anonymous(true), &alone, false),
    ] {
        assert_eq!(sees(&node, &reader, id(object)).await, expect, "{reader:?} {object}");
    }
}

async fn an_ended_embargo_is_new_to_who_polls(node: Node) {
    let embargo = Some(ostrom_core::handling::Embargo { until: at(5000), parties: [].into() });
    let handling = Handling { embargo, ..Handling::new(org(1), Tlp::Clear) };
    let mut waits = draft(handling);
    let common = Common::new("vulnerability", uuid(44), at(5), org(1).into()).unwrap();
    waits.record = Record::Flaw(Flaw::new(common, "Under embargo"));
    node.exchange.write(&contributor(1), &node.collection, waits, at(6)).await.unwrap();
    let new = async |since, now| {
        let filter = ostrom_store::Filter {
            added_after: Some(since),
            kinds: vec!["vulnerability".to_owned()],
            ..Default::default()
        };
        let reading = node.exchange.store().reading(&member(2), now).await.unwrap();
        reading.page(node.collection.id, &filter, None, 10).await.unwrap().rows.len()
    };
    assert_eq!(node.exchange.let_go(at(4999)).await.unwrap(), 0);
    assert_eq!(new(at(4000), at(5001)).await, 0, "it can be seen, but nobody who polls would hear of it");
    // The marking definition is under the same embargo.
    assert_eq!(node.exchange.let_go(at(5001)).await.unwrap(), 2);
    assert_eq!(new(at(4000), at(5002)).await, 1);
    assert_eq!(node.exchange.let_go(at(5003)).await.unwrap(), 0);
}
