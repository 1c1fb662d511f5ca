//! The state may be ahead of the log; nothing that leaves the guard is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use super::house::*;
use super::*;
use crate::flow::{Engine, Scope};
use crate::label::Label;
use crate::pin::FirstUse;
use crate::relay::FromServer;

type Hook = Box<dyn Fn(&Gateway) + Send + Sync>;

/// A log in memory that writes as late as it may, and can be full.
#[derive(Default)]
struct Late {
    events: Mutex<Vec<Event>>,
    written: AtomicUsize,
    full: AtomicBool,
    /// Done when somebody settles.
    settling: OnceLock<Hook>,
    gateway: OnceLock<std::sync::Weak<Gateway>>,
}

impl Late {
    /// Whether an event is there, and written.
    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        let events = self.events.lock().unwrap();
        events[..self.written.load(Ordering::SeqCst)].iter().any(wanted)
    }

    fn waits_for_writing(&self) -> usize {
        self.events.lock().unwrap().len() - self.written.load(Ordering::SeqCst)
    }
}

impl Journal for Late {
    fn open(&self, _opening: &Opening) -> Result<(), JournalError> {
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<u64, JournalError> {
        let mut events = self.events.lock().unwrap();
        events.push(event.clone());
        Ok(events.len() as u64 - 1)
    }

    fn record(&self, event: &Event) -> Result<u64, JournalError> {
        self.write_all()?;
        if self.full.load(Ordering::SeqCst) {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
        let number = self.append(event)?;
        self.write_all().map(|()| number)
    }

    fn write_all(&self) -> Result<(), JournalError> {
        let events = self.events.lock().unwrap();
        if self.written.load(Ordering::SeqCst) < events.len() && self.full.load(Ordering::SeqCst) {
            return Err(JournalError::new("no space left on device".to_owned()));
        }
        self.written.store(events.len(), Ordering::SeqCst);
        Ok(())
    }

    fn settle(&self, number: u64) -> Result<(), JournalError> {
        if let (Some(hook), Some(gateway)) = (self.settling.get(), self.gateway.get()) {
            hook(&gateway.upgrade().unwrap());
        }
        if self.written.load(Ordering::SeqCst) as u64 > number { Ok(()) } else { self.write_all() }
    }

    fn waits(&self) -> bool {
        false
    }
}

/// A server that looks, when a call arrives, whether the call is on record.
struct Witness {
    journal: Arc<Late>,
    inner: Arc<Fake>,
    /// Done when a call arrives.
    arrived: OnceLock<Hook>,
}

impl Upstream for Witness {
    fn request(
        self: Arc<Self>,
        capabilities: Map<String, Value>,
        method: &'static str,
        params: Map<String, Value>,
        relay: Relay,
        deadline: Duration,
    ) -> Boxed<'static, Result<Result<Map<String, Value>, RpcError>, Unanswered>> {
        Box::pin(async move {
            if method == "tools/call" {
                let tool = params["name"].as_str().unwrap().to_owned();
                assert!(
                    self.journal.has(|event| matches!(event, Event::Decided(call) if *call.tool == *tool && call.dispatched)),
                    "{tool} has left and its intent is not written"
                );
                if let Some(hook) = self.arrived.get() {
                    hook(&self.journal.gateway.get().unwrap().upgrade().unwrap());
                }
            }
            self.inner.clone().request(capabilities, method, params, relay, deadline).await
        })
    }

    fn info(&self) -> Map<String, Value> {
        self.inner.info()
    }

    fn changes(&self) -> broadcast::Receiver<Notification> {
        self.inner.changes()
    }

    fn watch<'a>(
        &'a self,
        uri: &'a str,
    ) -> Boxed<'a, Result<Box<dyn std::any::Any + Send + Sync>, Unanswered>> {
        self.inner.watch(uri)
    }
}

struct Watched {
    gateway: Arc<Gateway>,
    journal: Arc<Late>,
    witness: Arc<Witness>,
}

/// So many tools, each of which tells the words of strangers.
fn watched(tools: usize) -> Watched {
    watched_that_reveals(tools, "value")
}

fn watched_that_reveals(tools: usize, reveal: &str) -> Watched {
    let names: Vec<String> = (0..tools).map(|tool| format!("tool-{tool}")).collect();
    let rules: String = names
        .iter()
        .map(|name| {
            format!(
                "[servers.mail.tools.{name}]\ncritical = false\n\
                 result = {{ influencers = [\"outside\"], readers = \"everyone\", reveal = \"{reveal}\" }}\n"
            )
        })
        .collect();
    let journal = Arc::new(Late::default());
    let inner = Fake::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let witness = Arc::new(Witness { journal: journal.clone(), inner, arrived: OnceLock::new() });
    let rules = policy(&format!("[servers.mail]\ncommand = [\"x\"]\n{rules}"));
    let shared = Shared::new(Engine::default(), rules, journal.clone(), CAPACITY);
    let upstreams = BTreeMap::from([(Arc::from("mail"), witness.clone() as Arc<dyn Upstream>)]);
    let catalogue = Catalogue::new(None, FirstUse::TrustOnFirstUse).unwrap();
    let gateway = Gateway::new(shared, catalogue, upstreams, Duration::from_secs(5), Bounds::default());
    assert!(journal.gateway.set(Arc::downgrade(&gateway)).is_ok());
    Watched { gateway, journal, witness }
}

async fn call(
    gateway: &Gateway,
    who: &str,
    tool: &str,
    relay: Relay,
) -> Result<Map<String, Value>, RpcError> {
    call_with(gateway, who, tool, json!({}), relay).await
}

async fn call_with(
    gateway: &Gateway,
    who: &str,
    tool: &str,
    arguments: Value,
    relay: Relay,
) -> Result<Map<String, Value>, RpcError> {
    let request = RpcRequest {
        id: crate::wire::Id::Number(1),
        method: "tools/call".into(),
        params: params(json!({"name": tool, "arguments": arguments})),
    };
    gateway.handle(caller(who, None), request, relay).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_calls_at_once_none_leaves_before_its_intent_is_written_or_is_shown_before_its_outcome_is() {
    let Watched { gateway, journal, .. } = watched(200);
    let calls = (0..200).map(|number| {
        let (gateway, journal) = (gateway.clone(), journal.clone());
        tokio::spawn(async move {
            let tool = format!("tool-{number}");
            // Some share a context, some have their own.
            call(&gateway, &format!("ana-{}", number % 7), &tool, Relay::nowhere()).await.unwrap();
            let intent = |event: &Event| match event {
                Event::Decided(decision) if *decision.tool == *tool => Some(decision.call),
                _ => None,
            };
            let of_it = journal.events.lock().unwrap().iter().find_map(intent).unwrap();
            assert!(
                journal.has(|event| matches!(event, Event::Finished(outcome) if outcome.call == of_it)),
                "{tool} was shown and its outcome is not written"
            );
        })
    });
    for done in join_all(calls.collect::<Vec<_>>()).await {
        done.unwrap();
    }
    // In the order in which they took effect: each call has the label that its context had then.
    let state = gateway.shared.lock();
    let mut again = Engine::default();
    for event in journal.events.lock().unwrap().iter() {
        let facts = match event {
            Event::Decided(decision) => Some(gateway.shared.rules.facts(&decision.server, &decision.tool)),
            Event::Finished(outcome) => {
                let (server, tool) = again.place(outcome.call).unwrap();
                let facts = gateway.shared.rules.facts(&server, &tool);
                assert_eq!(again.result(outcome, &facts, None), outcome.label);
                Some(facts)
            }
            _ => None,
        };
        again.apply(event, facts.as_deref());
    }
    let labels = |engine: &Engine| -> BTreeMap<ContextKey, Label> {
        engine.contexts().map(|(key, label)| (key.clone(), label.clone())).collect()
    };
    assert_eq!(labels(&again), labels(&state.engine));
    assert_eq!(labels(&again).len(), 7);
    assert!(
        labels(&again).values().all(|label| !label.integrity.is_within(&crate::label::Integrity::by("user")))
    );
}

#[tokio::test]
async fn a_call_whose_intent_cannot_be_written_does_not_leave() {
    let Watched { gateway, journal, witness } = watched(2);
    call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap();
    journal.full.store(true, Ordering::SeqCst);
    let error = call(&gateway, "ana", "tool-1", Relay::nowhere()).await.unwrap_err();
    assert!(
        error.message.contains("cannot be written") && !error.message.contains("may have run"),
        "{error}"
    );
    assert!(witness.inner.got("tool-1").is_empty());
    // With room again, what it had been decided about stays on record.
    journal.full.store(false, Ordering::SeqCst);
    call(&gateway, "ana", "tool-1", Relay::nowhere()).await.unwrap();
    assert_eq!(journal.waits_for_writing(), 0);
    assert_eq!(witness.inner.got("tool-1").len(), 1);
}

#[tokio::test]
async fn a_result_whose_outcome_cannot_be_written_is_not_shown() {
    let Watched { gateway, journal, witness } = watched(1);
    witness.inner.answers("tool-0", text("the words of a stranger"));
    let full = journal.clone();
    assert!(witness.arrived.set(Box::new(move |_| full.full.store(true, Ordering::SeqCst))).is_ok());
    let error = call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap_err();
    assert!(error.message.contains("cannot be written") && !error.message.contains("stranger"), "{error}");
    // Nor is it told as a refusal, after which an agent would make the call again.
    assert!(error.message.contains("under way and may have run"), "{error}");
}

#[tokio::test]
async fn a_plan_that_cannot_be_written_down_any_more_says_that_its_calls_may_have_run() {
    let Watched { gateway, journal, witness } = watched(1);
    call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap();
    let full = journal.clone();
    assert!(witness.arrived.set(Box::new(move |_| full.full.store(true, Ordering::SeqCst))).is_ok());
    let plan = json!({"plan": [{"call": "tool-0", "id": "m"}, {"return": {"m": {"ref": "m"}}}]});
    let error = call_with(&gateway, "ben", "run_plan", plan, Relay::nowhere()).await.unwrap_err();
    assert_eq!(witness.inner.got("tool-0").len(), 2);
    assert!(error.message.contains("under way and may have run"), "{error}");
}

#[tokio::test]
async fn what_a_context_has_seen_is_written_before_more_is_shown_because_of_it() {
    let Watched { gateway, journal, witness } = watched(1);
    *witness.inner.says.lock().unwrap() = Some("the words of a stranger".to_owned());
    let full = journal.clone();
    // Another call's outcome takes the context as far as this server's words would, and then nothing can be written.
    let ahead = move |gateway: &Gateway| {
        let mut state = gateway.shared.lock_ahead();
        let facts = gateway.shared.rules.facts("mail", "tool-0");
        let call = state.engine.unresolved().next().unwrap();
        let label = state.engine.result(&super::flight::empty_outcome(call), &facts, None);
        let context = ContextKey { principal: "ana".into(), run: None };
        let event = Event::Revealed { context, what: "a result".into(), label, handle: None, at: 1 };
        let _unsettled = gateway.shared.stage(&mut state, &event, None).unwrap();
        full.full.store(true, Ordering::SeqCst);
    };
    assert!(witness.arrived.set(Box::new(ahead)).is_ok());
    let (relay, mut said) = Relay::new();
    assert!(call(&gateway, "ana", "tool-0", relay).await.is_err());
    while let Some(FromServer::Notification(notification)) = said.try_recv() {
        let text = json!(notification.params).to_string();
        assert!(!text.contains("stranger"), "shown, and a killed guard would not know: {text}");
    }
}

#[tokio::test]
async fn who_looks_at_the_state_finds_all_of_it_written() {
    let Watched { gateway, journal, .. } = watched(1);
    {
        let mut state = gateway.shared.lock_ahead();
        let event = Event::Stopped { scope: Scope::Run("r".into()), by: "ana".into(), at: 1 };
        let _unsettled = gateway.shared.stage(&mut state, &event, None).unwrap();
    }
    assert_eq!(journal.waits_for_writing(), 1);
    assert_eq!(gateway.shared.lock().engine.stopped().count(), 1);
    assert_eq!(journal.waits_for_writing(), 0);
}

#[tokio::test]
async fn a_stop_that_comes_while_an_intent_is_written_holds() {
    let Watched { gateway, journal, witness } = watched(2);
    call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap();
    let stop = |gateway: &Gateway| {
        let event = Event::Stopped { scope: Scope::All, by: "ana".into(), at: 1 };
        let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
    };
    assert!(journal.settling.set(Box::new(stop)).is_ok());
    let error = call(&gateway, "ana", "tool-1", Relay::nowhere()).await.unwrap_err();
    assert!(error.message.contains("stopped"), "{error:?}");
    assert!(witness.inner.got("tool-1").is_empty());
    // The record says that it came to nothing.
    assert_eq!(gateway.shared.lock().engine.unresolved().count(), 0);
}

#[tokio::test]
async fn a_result_of_what_was_revoked_while_its_call_was_under_way_is_not_shown() {
    let Watched { gateway, witness, .. } = watched(1);
    witness.inner.answers("tool-0", text("the words of a stranger"));
    let revoke = |gateway: &Gateway| {
        let event = Event::Revoked { source: "mail/tool-0".into(), by: "ana".into(), at: 1 };
        let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
    };
    assert!(witness.arrived.set(Box::new(revoke)).is_ok());
    let answer = json!(call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap()).to_string();
    assert!(answer.contains("has gone out") && answer.contains("was revoked"), "{answer}");
    assert!(!answer.contains("stranger"), "{answer}");
}

#[tokio::test]
async fn a_revocation_that_comes_while_an_intent_is_written_reaches_what_is_passed_by_reference() {
    let Watched { gateway, journal, witness } = watched_that_reveals(2, "reference");
    let answer = call(&gateway, "ana", "tool-0", Relay::nowhere()).await.unwrap();
    let reference = handle(answer["content"][0]["text"].as_str().unwrap());
    let revoke = |gateway: &Gateway| {
        let event = Event::Revoked { source: "mail/tool-0".into(), by: "ana".into(), at: 1 };
        let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
    };
    assert!(journal.settling.set(Box::new(revoke)).is_ok());
    let arguments = json!({"text": reference});
    let answer = call_with(&gateway, "ana", "tool-1", arguments, Relay::nowhere()).await;
    assert!(answer.is_err(), "the context has not seen it, but the call carries it: {answer:?}");
    assert!(witness.inner.got("tool-1").is_empty());
}
