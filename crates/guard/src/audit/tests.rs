//! A log of everything that the gateway does is replayed; then the same log with one lie in it.

use std::path::Path;
use std::sync::Arc;

use ostrom_trust::SecretKey;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::flow::{Decision, Event, Outcome, Reply, Scope, Verdict};
use crate::front::{Caller, Handler as _};
use crate::gateway::house::{Fake, House, caller, given_up, house_with, policy, text};
use crate::gateway::{Journal as _, Rules, now};
use crate::label::{Label, Readers};
use crate::pin::FirstUse;
use crate::policy::read_snapshot;
use crate::relay::{FromServer, Relay};
use crate::wire::{Id, Request};

pub(super) const POLICY: &str = r#"
[servers.mail]
command = ["x"]
[servers.mail.tools.read]
critical = false
result = { influencers = ["outside"], readers = ["user", "server:notes"], reveal = "value" }
[servers.mail.tools.fetch]
critical = false
result = { influencers = ["outside"], readers = "everyone", reveal = "reference" }
[servers.mail.tools.list]
critical = false
[servers.mail.tools.list.result]
influencers = []
readers = "everyone"
reveal = "value"
fields = { "/*/subject" = { influencers = ["outside"] } }
[servers.mail.tools.send]
critical = true
influencers = ["user"]
result = { influencers = [], readers = "everyone", reveal = "status" }
[servers.mail.tools.send.arguments.body]
influencers = "anyone"
[servers.mail.tools.ask]
critical = false
result = { influencers = [], readers = "everyone", reveal = "value" }
[servers.notes]
command = ["y"]
[servers.notes.tools.save]
critical = false
memory = { access = "write", object = "name", content = "text" }
result = { influencers = [], readers = "everyone", reveal = "status" }
[servers.notes.tools.load]
critical = false
memory = { access = "read", object = "name" }
result = { influencers = ["outside"], readers = "everyone", reveal = "reference" }
"#;

/// Everything that can be in a log, once.
pub(super) async fn everything() -> House {
    let mail = Fake::new(&["read", "fetch", "list", "send", "ask"]);
    let notes = Fake::new(&["save", "load"]);
    let servers = [("mail", mail.clone()), ("notes", notes.clone())];
    let house = house_with(POLICY, &servers, FirstUse::TrustOnFirstUse);
    let (_, token) = house.gateway.mint("ana").unwrap();
    let run = house.gateway.open("ana", Some(&token)).unwrap().unwrap();
    let ana = caller("ana", Some(&run));
    mail.answers("fetch", text("a stranger's text"));
    mail.answers("list", text(r#"[{"subject": "hello", "id": 7}]"#));
    mail.answers("read", text("the password is correct horse battery staple"));
    notes.answers("load", text("mine"));
    let handle = house.call(&ana, "mail__fetch", json!({})).await.lines().next().unwrap().to_owned();
    house.call(&ana, "mail__list", json!({})).await;
    // Errors, by reference, of a tool with fields of strangers, and as they are.
    for tool in ["fetch", "list", "ask"] {
        let before = mail.answers.lock().unwrap().insert(tool.to_owned(), json!(-32_603));
        house.call(&ana, &format!("mail__{tool}"), json!({})).await;
        let mut answers = mail.answers.lock().unwrap();
        match before {
            Some(before) => answers.insert(tool.to_owned(), before),
            None => answers.remove(tool),
        };
    }
    house.call(&ana, "mail__send", json!({"to": "bob", "body": handle})).await;
    house.call(&ana, "notes__save", json!({"name": "n", "text": "mine"})).await;
    house.call(&ana, "notes__load", json!({"name": "n"})).await;
    let plan = json!({"plan": [
        {"id": "m", "call": "mail__list", "with": {}},
        {"id": "s", "call": "mail__send", "with": {"to": "carl", "body": {"ref": "m/0/subject"}}},
        {"id": "r", "call": "mail__send", "with": {"to": {"ref": "m/0/subject"}, "body": "x"}, "on_error": "continue"},
        {"return": {"subject": {"ref": "m/0/subject"}, "id": {"ref": "m/0/id"}}},
    ]});
    let said = house.call(&ana, "run_plan", plan).await;
    assert!(said.contains("ostrom:ref:"), "{said}");
    house.gateway.watch(ana.clone(), "ostrom+mail:file:///a".into()).await.map(|_| ()).unwrap();
    question(&house, &mail, &ana).await;
    house.call(&ana, "reveal", json!({"ref": handle})).await;
    for to in ["eve", "bob"] {
        house.call(&ana, "mail__send", json!({"to": to})).await;
    }
    // A person lets one of the two through.
    let waiting = house.gateway.shared.lock().approvals.waiting(now());
    let request = waiting.iter().find(|request| request.arguments["to"] == "bob").unwrap().digest;
    house.answer(&request, true);
    assert_eq!(house.call(&ana, "mail__send", json!({"to": "bob"})).await, "The call succeeded.");
    house.call(&ana, "mail__read", json!({})).await;
    house
}

async fn question(house: &House, mail: &Fake, ana: &Arc<Caller>) {
    *mail.asks.lock().unwrap() = Some("which one?".into());
    let (relay, mut client) = Relay::new();
    let params = json!({"name": "mail__ask", "arguments": {}}).as_object().unwrap().clone();
    let request = Request { id: Id::Number(1), method: "tools/call".into(), params };
    let call = house.gateway.handle(ana.clone(), request, relay);
    let person = async {
        let Some(FromServer::Question(question)) = client.recv().await else { panic!() };
        question.answer.send(Ok(json!({"it": 1}).as_object().unwrap().clone())).unwrap();
    };
    let (result, ()) = tokio::join!(call, person);
    result.unwrap();
    *mail.asks.lock().unwrap() = None;
}

/// The name of these logs.
const ORIGIN: &str = "ostrom/guard/test";

/// The log of a house, with `lie` told about its events.
pub(super) fn log_of(house: &House, lie: impl FnOnce(&mut Vec<Event>)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let inner = policy(POLICY);
    let snapshot = inner.snapshot();
    let rules: Arc<dyn Rules> = inner;
    let mut policies = Policies::new(folder.path(), read_snapshot);
    let opened = AuditLog::open(
        (folder.path(), ORIGIN),
        SecretKey::generate().unwrap(),
        Mode::Buffered,
        None,
        &mut policies,
        (&rules, &snapshot),
    )
    .unwrap();
    let mut events = house.journal.events.lock().unwrap().clone();
    let openings = house.journal.openings.lock().unwrap().clone();
    lie(&mut events);
    openings.iter().for_each(|opening| opened.log.open(opening).unwrap());
    for event in &events {
        opened.log.append(event).unwrap();
    }
    drop(opened);
    folder
}

fn replayed(folder: &Path) -> Replay {
    replay(folder, &mut Policies::new(folder, read_snapshot)).unwrap()
}

#[tokio::test]
async fn everything_that_the_gateway_does_is_derived_again_and_nothing_is_taken_from_the_record() {
    let house = everything().await;
    let folder = log_of(&house, |_| {});
    let found = replayed(folder.path());
    assert_eq!((&found.differences, found.is_whole()), (&Vec::new(), true), "{found:?}");
    assert!(found.unresolved.is_empty() && found.same == 18 && found.outcomes == 15, "{found:?}");
    // Without what opens the commitments, it says so.
    std::fs::remove_dir_all(folder.path().join("openings")).unwrap();
    let redacted = replayed(folder.path());
    assert_eq!(redacted.differences, []);
    assert!(!redacted.is_whole() && redacted.without_values > 0 && redacted.without_results > 0);
    assert_eq!(redacted.plans_not_followed, 1);
}

#[tokio::test]
async fn plans_that_end_before_their_end_are_derived_too() {
    let mail = Fake::new(&["fetch", "list", "send"]);
    let servers = [("mail", mail.clone()), ("notes", Fake::new(&["save"]))];
    let house = house_with(POLICY, &servers, FirstUse::TrustOnFirstUse);
    let ana = caller("ana", None);
    mail.answers("fetch", text("apple"));
    let rounds: Vec<u32> = (0..40).collect();
    let doubled = json!({"let": "t", "be": {"template": {"text": "{t}{t}"}}});
    for steps in [
        json!([{"require": {"starts_with": [{"ref": "m"}, "b"]}}]),
        json!([{"require": false}]),
        // More work than a run may do.
        json!([
            {"if": {"starts_with": [{"ref": "m"}, "a"]}, "then": [
                {"let": "t", "be": "0123456789abcdef"},
                {"for": "i", "in": {"literal": &rounds[..16]}, "max": 16, "do": [doubled]},
                {"for": "i", "in": {"literal": rounds}, "max": 40, "do": [{"let": "u", "be": {"ref": "t"}}]},
            ]},
            {"call": "mail__send", "with": {"to": "bob"}},
        ]),
    ] {
        let mut plan = vec![json!({"call": "mail__fetch", "id": "m"})];
        plan.extend(steps.as_array().unwrap().clone());
        plan.push(json!({"return": {"m": {"ref": "m"}, "own": 1}}));
        house.call(&ana, "run_plan", json!({"plan": plan})).await;
    }
    assert_eq!((mail.got("fetch").len(), mail.got("send").len()), (3, 1));
    // One that its client gives up.
    *mail.hangs.lock().unwrap() = Some("list".to_owned());
    let plan = json!({"plan": [{"call": "mail__fetch"}, {"call": "mail__list"}, {"return": {"own": 1}}]});
    let call = json!({"name": "run_plan", "arguments": plan});
    given_up(&house, &ana, call, || !mail.got("list").is_empty()).await;
    let found = replayed(log_of(&house, |_| {}).path());
    assert_eq!((&found.differences, found.is_whole()), (&Vec::new(), true), "{found:?}");
    assert!(found.unresolved.is_empty());
    // That a plan gave out less than it does is noticed.
    let lied = replayed(
        log_of(&house, |events| {
            outcome(events, |outcome| outcome.kept.len() == 3).kept.pop();
        })
        .path(),
    );
    assert_eq!(lied.differences.len(), 1, "{lied:?}");
}

fn decision(events: &mut [Event], which: impl Fn(&Decision) -> bool) -> &mut Decision {
    let found = events.iter_mut().find_map(|event| match event {
        Event::Decided(decision) if which(decision) => Some(decision),
        _ => None,
    });
    found.unwrap()
}

fn outcome(events: &mut [Event], which: impl Fn(&Outcome) -> bool) -> &mut Outcome {
    let found = events.iter_mut().find_map(|event| match event {
        Event::Finished(outcome) if which(outcome) => Some(outcome),
        _ => None,
    });
    found.unwrap()
}

fn reply(events: &mut [Event]) -> &mut Reply {
    let found = events.iter_mut().find_map(|event| match event {
        Event::Replied(reply) => Some(reply),
        _ => None,
    });
    found.unwrap()
}

type Lie = (&'static str, fn(&mut Vec<Event>));

/// A guard that starts.
fn started(mode: &str) -> Event {
    Event::Started {
        policy: policy(POLICY).version(),
        version: "1".into(),
        mode: mode.into(),
        readers: Readers::Everyone,
        at: 1,
    }
}

const LIES: &[Lie] = &[
    ("a refused call went out", |events| {
        decision(events, |decision| decision.request.is_some()).dispatched = true;
    }),
    ("a refused call was permitted", |events| {
        let refused = decision(events, |decision| decision.request.is_some());
        (refused.flow, refused.request) = (Verdict::Allow { endorsed: Vec::new() }, None);
        refused.dispatched = true;
    }),
    ("a permitted call did not go out", |events| {
        decision(events, |decision| &*decision.tool == "read").dispatched = false;
    }),
    ("another call's approval was used", |events| {
        let requests: Vec<_> = events
            .iter()
            .filter_map(|event| if let Event::Decided(decision) = event { decision.request } else { None })
            .collect();
        // The answer was about the last: say that the question before had its name.
        let [.., other, answered] = requests.as_slice() else { panic!() };
        decision(events, |decision| decision.request == Some(*answered)).request = None;
        decision(events, |decision| decision.request == Some(*other)).request = Some(*answered);
    }),
    ("an approval that nobody gave was used", |events| {
        for event in events.iter_mut() {
            if let Event::Answered { approved, .. } = event {
                *approved = false;
            }
        }
    }),
    ("a person answered what was not asked", |events| {
        for event in events.iter_mut() {
            if let Event::Answered { request, .. } = event {
                *request = ostrom_core::Digest::of(b"other");
            }
        }
    }),
    ("a policy forbade it", |events| {
        decision(events, |decision| &*decision.tool == "read").forbidden_by = vec!["policy0".into()];
    }),
    ("a policy looked at an argument", |events| {
        decision(events, |decision| &*decision.tool == "send").looked_at = vec!["to".into()];
    }),
    ("a step's argument was clean", |events| {
        let step = decision(events, |decision| {
            decision.plan.is_some() && decision.dispatched && &*decision.tool == "send"
        });
        step.arguments.get_mut("body").unwrap().label = Some(Label::user(Readers::Everyone));
    }),
    ("a step had another program counter", |events| {
        let step = decision(events, |decision| decision.plan.is_some() && &*decision.tool == "send");
        let pc = &mut step.plan.as_mut().unwrap().pc;
        *pc = pc.join(&Label { provenance: ["x/y"].into_iter().collect(), ..Label::constant() });
    }),
    ("a plan made no such step", |events| {
        let at = events.iter().position(
            |event| matches!(event, Event::Decided(decision) if decision.plan.is_some() && &*decision.tool == "send"),
        );
        let Event::Decided(step) = &mut events[at.unwrap()] else { panic!() };
        step.tool = "list".into();
    }),
    ("what a plan keeps was clean", |events| {
        outcome(events, |outcome| outcome.kept.len() > 1).kept[0].label = Label::user(Readers::Everyone);
    }),
    ("what is kept was clean", |events| {
        outcome(events, |outcome| outcome.kept.len() == 1).kept[0].label = Label::user(Readers::Everyone);
    }),
    ("nothing was kept", |events| {
        outcome(events, |outcome| outcome.kept.len() == 1).kept.clear();
    }),
    ("what was shown was not", |events| {
        let last = events.len() - 1;
        outcome(&mut events[last..], |outcome| outcome.revealed).revealed = false;
    }),
    ("a result was clean", |events| {
        let last = events.len() - 1;
        outcome(&mut events[last..], |_| true).label = Label::user(Readers::Everyone);
    }),
    ("a result had fewer labels than its call", |events| {
        outcome(events, |outcome| !outcome.revealed && outcome.kept.is_empty()).label = Label::constant();
    }),
    ("no secret was seen", |events| {
        outcome(events, |outcome| !outcome.seen.is_empty()).seen.clear();
    }),
    ("another object was written", |events| {
        outcome(events, |outcome| outcome.object.is_some()).object = Some("other".into());
    }),
    ("another content was written", |events| {
        outcome(events, |outcome| outcome.content.is_some()).content = None;
    }),
    ("a call failed that did not", |events| outcome(events, |outcome| !outcome.failed).failed = true),
    ("what was revealed was clean", |events| {
        for event in events.iter_mut() {
            if let Event::Revealed { label, handle: Some(_), .. } = event {
                *label = Label::user(Readers::Everyone);
            }
        }
    }),
    ("what was revealed was endorsed", |events| {
        for event in events.iter_mut() {
            if let Event::Revealed { context, what, handle: Some(_), at, .. } = event {
                let (context, what, at) = (context.clone(), what.clone(), *at);
                *event = Event::Endorsed { context, what, bits: 0.0, at };
            }
        }
    }),
    ("an approval was used late", |events| {
        let approved = decision(events, |decision| decision.approval.is_some());
        approved.at += 24 * 3_600;
    }),
    ("a question was answered late", |events| {
        for event in events.iter_mut() {
            if let Event::Answered { at, .. } = event {
                *at += 24 * 3_600;
            }
        }
    }),
    ("an answer was not passed on", |events| reply(events).passed = false),
    ("an answer was not permitted", |events| {
        reply(events).flow = Verdict::Refuse { violations: Vec::new(), askable: false };
    }),
    ("an answer showed what others had seen", |events| {
        reply(events).matched = Readers::Only(["x"].into_iter().collect());
    }),
    ("the guard only watched", |events| {
        events.push(started("observe"));
    }),
];

#[tokio::test]
async fn a_log_with_a_lie_in_it_does_not_come_out_as_it_is_on_record() {
    let house = everything().await;
    let mut believed = Vec::new();
    for (name, lie) in LIES {
        let folder = log_of(&house, lie);
        if replayed(folder.path()).differences.is_empty() {
            believed.push(*name);
        }
    }
    assert_eq!(believed, [""; 0], "these lies were believed");
}

#[tokio::test]
async fn an_explanation_names_every_way_out() {
    let house = everything().await;
    let refused = {
        let events = house.journal.events.lock().unwrap();
        let found = events.iter().find_map(|event| match event {
            Event::Decided(decision) if decision.request.is_some() => Some(decision.call),
            _ => None,
        });
        found.unwrap()
    };
    let folder = log_of(&house, |_| {});
    let ways = explain(folder.path(), &refused.into()).unwrap().ways.join("\n");
    for way in [
        "guard approve",
        "reference",
        "run_plan",
        "guard reset",
        "guard mint",
        "influencers in [servers.mail.tools.\"send\"]",
        "behind ostrom guard wrap has none yet",
    ] {
        assert!(ways.contains(way), "{way}: {ways}");
    }
    let of_step = {
        let events = house.journal.events.lock().unwrap();
        let found = events.iter().find_map(|event| match event {
            Event::Decided(decision) if decision.plan.is_some() && !decision.flow.allows() => {
                Some(decision.call)
            }
            _ => None,
        });
        found.unwrap()
    };
    let ways = explain(folder.path(), &of_step.into()).unwrap().ways.join("\n");
    assert!(ways.contains("arguments.to.influencers") && ways.contains("arguments.to.endorse"), "{ways}");
}

#[tokio::test]
async fn results_that_were_not_shown_since_they_descend_from_what_was_revoked_are_derived_too() {
    let mail = Fake::new(&["read"]);
    let notes = Fake::new(&["save", "load"]);
    mail.answers("read", text("the words of a stranger"));
    notes.answers("load", text("a summary"));
    let servers = [("mail", mail), ("notes", notes.clone())];
    let house = house_with(POLICY, &servers, FirstUse::TrustOnFirstUse);
    let (ana, ben) = (caller("ana", None), caller("ben", None));
    house.call(&ana, "mail__read", json!({})).await;
    house.call(&ana, "notes__save", json!({"name": "n", "text": "a summary"})).await;
    let event = Event::Revoked { source: "mail/read".into(), by: "ana".into(), at: 1 };
    let _written = house.gateway.shared.record(&mut house.gateway.shared.lock(), &event, None).unwrap();
    for answer in [text("a summary"), json!(-32_000)] {
        notes.answers("load", answer);
        let answer = house.call(&ben, "notes__load", json!({"name": "n"})).await;
        assert!(answer.contains("was revoked"), "{answer}");
    }
    let plan = json!({"plan": [{"id": "m", "call": "notes__load", "with": {"name": "n"}}, {"return": {"m": {"ref": "m"}}}]});
    house.call(&ben, "run_plan", plan).await;
    let replay = replayed(log_of(&house, |_| {}).path());
    assert!(replay.differences.is_empty() && replay.is_whole(), "{replay:?}");
    let lie = log_of(&house, |events| {
        outcome(events, |outcome| {
            outcome.label.descends_from("mail/read") && !outcome.revealed && outcome.call.0 == 2
        })
        .revealed = true
    });
    assert!(!replayed(lie.path()).differences.is_empty());
}

#[tokio::test]
async fn an_explanation_says_when_nobody_knows_what_came_of_a_call_or_what_its_arguments_were() {
    let house = everything().await;
    let index = {
        let events = house.journal.events.lock().unwrap();
        let is_call = |event: &Event| matches!(event, Event::Decided(decision) if decision.dispatched && !decision.arguments.is_empty());
        events.iter().position(is_call).unwrap()
    };
    let Event::Decided(decision) = house.journal.events.lock().unwrap()[index].clone() else { panic!() };
    let said = |folder: &TempDir| {
        let found = explain(folder.path(), &decision.call.into()).unwrap();
        (found.sentence, found.ways.join("\n"))
    };
    let whole = log_of(&house, |_| {});
    let (sentence, ways) = said(&whole);
    assert!(
        !sentence.contains("nobody knows") && !sentence.contains("deleted") && ways.starts_with("none"),
        "{sentence}"
    );
    // A plan that came to its end did, too.
    let plan = house.journal.events.lock().unwrap().iter().find_map(|event| match event {
        Event::Decided(decision) if &*decision.tool == "run_plan" => Some(decision.call),
        _ => None,
    });
    let ended = explain(whole.path(), &plan.unwrap().into()).unwrap().sentence;
    assert!(!ended.contains("nobody knows"), "{ended}");
    let given_up = log_of(&house, |events| {
        let of_call = |outcome: &Outcome| outcome.call == decision.call;
        let outcome = outcome(events, of_call);
        (outcome.commitment, outcome.failed) = (ostrom_core::Digest::of(b""), true);
    });
    let (sentence, _) = said(&given_up);
    assert!(sentence.contains("nobody knows, since it was given up"), "{sentence}");
    let cut = log_of(&house, |events| events.truncate(index + 1));
    let (sentence, ways) = said(&cut);
    assert!(sentence.contains("nobody knows, since no outcome is on record"), "{sentence}");
    assert!(ways.starts_with("look at what"), "{ways}");
    let restarted = log_of(&house, |events| {
        events.truncate(index + 1);
        events.push(started("enforce"));
    });
    let (sentence, _) = said(&restarted);
    assert!(sentence.contains("nobody knows, since the guard ended"), "{sentence}");
    std::fs::remove_dir_all(whole.path().join("openings")).unwrap();
    let (sentence, _) = said(&whole);
    assert!(sentence.contains("values were deleted"), "{sentence}");
}

/// A log that has begun, under this name.
fn begun(folder: &Path, origin: &str, key: &Arc<SecretKey>) {
    let inner = policy(POLICY);
    let snapshot = inner.snapshot();
    let rules: Arc<dyn Rules> = inner;
    let mut policies = Policies::new(folder, read_snapshot);
    AuditLog::open((folder, origin), key.clone(), Mode::Buffered, None, &mut policies, (&rules, &snapshot))
        .unwrap();
}

#[tokio::test]
async fn two_logs_by_one_key_are_not_taken_for_one_another() {
    let place = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::generate().unwrap());
    let [one, two] = ["one", "two"].map(|name| place.path().join(name));
    let names = [&one, &two].map(|state| {
        let folder = state.join("audit");
        let name = origin(&folder, state).unwrap();
        begun(&folder, &name, &key);
        assert_eq!(origin(&folder, state).unwrap(), name, "it was minted again");
        name
    });
    assert!(names[0] != names[1] && names.iter().all(|name| name.len() == "ostrom/guard/".len() + 32));
    let kept = std::fs::read(one.join("audit/log/checkpoint")).unwrap();
    let verify = |older: &[&[u8]], origins: &[&str]| {
        verify(&one.join("audit"), &key.public(), older, origins).unwrap()
    };
    let whole = verify(&[&kept], &[&names[0]]);
    assert!(whole.sound && whole.text.contains(&names[0]) && whole.origin.as_ref() == Some(&names[0]));
    // Somebody puts the other guard's log in its place. It is whole, and by the same key.
    std::fs::remove_dir_all(one.join("audit")).unwrap();
    std::fs::rename(two.join("audit"), one.join("audit")).unwrap();
    assert!(verify(&[], &[]).sound);
    let found = verify(&[], &[&names[0]]);
    assert!(!found.sound && found.text.contains("another guard's"), "{}", found.text);
    let found = verify(&[&kept], &[]);
    assert!(!found.sound && found.text.contains("none of this log"), "{}", found.text);
    let error = origin(&one.join("audit"), &one).unwrap_err().to_string();
    assert!(
        error.contains(&names[0]) && error.contains(&names[1]) && error.contains("another guard"),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_of_before_goes_on_under_the_name_that_all_had() {
    let place = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::generate().unwrap());
    let folder = place.path().join("audit");
    begun(&folder, "ostrom-guard", &key);
    assert_eq!(kept_origin(place.path()).unwrap(), None);
    let name = origin(&folder, place.path()).unwrap();
    assert_eq!((name.as_str(), kept_origin(place.path()).unwrap().as_ref()), ("ostrom-guard", Some(&name)));
    begun(&folder, &name, &key);
    let found = verify(&folder, &key.public(), &[], &[&name]).unwrap();
    assert!(
        found.sound && found.text.contains("Older versions called every guard's log so"),
        "{}",
        found.text
    );
}

#[tokio::test]
async fn a_log_that_was_cut_back_is_noticed_with_a_checkpoint_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::generate().unwrap());
    let inner = policy(POLICY);
    let snapshot = inner.snapshot();
    let rules: Arc<dyn Rules> = inner;
    let mut policies = Policies::new(folder.path(), read_snapshot);
    let opened = AuditLog::open(
        (folder.path(), ORIGIN),
        key.clone(),
        Mode::Buffered,
        None,
        &mut policies,
        (&rules, &snapshot),
    )
    .unwrap();
    opened.log.checkpoint().unwrap();
    let log = folder.path().join("log");
    let files = ["entries", "checkpoint", "history"];
    let before = files.map(|name| std::fs::read(log.join(name)).unwrap());
    for at in 0..3 {
        let stopped = Event::Stopped { scope: Scope::All, by: "ana".into(), at };
        opened.log.append(&stopped).unwrap();
    }
    opened.log.checkpoint().unwrap();
    let kept = std::fs::read(log.join("checkpoint")).unwrap();
    drop(opened);
    let verify = |older: &[&[u8]]| verify(folder.path(), &key.public(), older, &[ORIGIN]).unwrap();
    assert!(verify(&[&before[1], &kept]).sound);
    // Whoever can write to the folder puts it back to what was signed then.
    for (name, bytes) in files.iter().zip(&before) {
        std::fs::write(log.join(name), bytes).unwrap();
    }
    std::fs::remove_file(log.join("synced")).unwrap();
    assert!(verify(&[&before[1]]).sound);
    let found = verify(&[&kept]);
    assert!(!found.sound && found.text.contains("no continuation"), "{}", found.text);
    // And then to nothing.
    for name in ["checkpoint", "history"] {
        std::fs::remove_file(log.join(name)).unwrap();
    }
    std::fs::write(log.join("entries"), &before[0][..16]).unwrap();
    assert!(!verify(&[]).sound);
}
