use std::collections::BTreeMap;

use ostrom_core::Digest;
use serde_json::{Value, json};

use super::mutant::{Mutant, with};
use super::*;
use crate::label::{Integrity, Label, Names, Readers, USER};

fn ana() -> ContextKey {
    ContextKey { principal: "ana".into(), run: None }
}

fn ben() -> ContextKey {
    ContextKey { principal: "ben".into(), run: None }
}

fn outside() -> Label {
    Label {
        integrity: Integrity::by("outside"),
        readers: Readers::Everyone,
        provenance: ["mail/read".to_owned()].into_iter().collect(),
    }
}

fn sees(engine: &mut Engine, context: ContextKey, label: Label) {
    engine.apply(&Event::Revealed { context, what: "something".into(), label, handle: None, at: 1 }, None);
}

fn proposal(engine: &Engine, context: ContextKey, tool: &str, values: &Value) -> Decision {
    let arguments = values.as_object().unwrap().iter().map(|(name, value)| {
        let record = ArgumentRecord {
            commitment: ostrom_trust::digest_of(value).unwrap(),
            handles: Vec::new(),
            label: None,
            matched: engine.matched(value),
            matched_influencers: engine.matched_influencers(value),
        };
        (name.clone(), record)
    });
    let arguments = arguments.collect();
    Decision {
        call: engine.next_call(),
        context,
        server: "mail".into(),
        tool: tool.into(),
        prompt: None,
        plan: None,
        arguments,
        flow: Verdict::Allow { endorsed: Vec::new() },
        forbidden_by: Vec::new(),
        refusal: None,
        looked_at: Vec::new(),
        request: None,
        approval: None,
        dispatched: false,
        at: 1,
    }
}

fn judge(engine: &Engine, decision: &Decision, facts: &ToolFacts, values: &Value) -> Verdict {
    let values: BTreeMap<String, Value> = values.as_object().unwrap().clone().into_iter().collect();
    engine.decide(decision, facts, Some(&values))
}

fn verdict(engine: &Engine, facts: &ToolFacts, values: &Value) -> Verdict {
    judge(engine, &proposal(engine, ana(), "send", values), facts, values)
}

/// Dispatches a call, as if it had been allowed.
fn dispatch(engine: &mut Engine, context: ContextKey, tool: &str, facts: &ToolFacts) -> CallId {
    let decision = Decision { dispatched: true, ..proposal(engine, context, tool, &json!({})) };
    let call = decision.call;
    engine.apply(&Event::Decided(Box::new(decision)), Some(facts));
    call
}

fn outcome(call: CallId) -> Outcome {
    Outcome {
        call,
        commitment: Digest::of(b"result"),
        failed: false,
        label: Label::constant(),
        kept: Vec::new(),
        revealed: false,
        seen: Vec::new(),
        content: None,
        object: None,
    }
}

fn only(names: &[&str]) -> Readers {
    Readers::Only(names.iter().copied().collect())
}

#[test]
fn a_critical_tool_is_refused_once_an_outsider_was_read_and_says_why() {
    let mut engine = Engine::default();
    let facts = ToolFacts::unknown("mail");
    assert!(verdict(&engine, &facts, &json!({"to": "x"})).allows());
    sees(&mut engine, ana(), outside());
    let Verdict::Refuse { violations, askable } = verdict(&engine, &facts, &json!({"to": "x"})) else {
        panic!()
    };
    assert!(askable);
    assert_eq!(
        violations[0].to_string(),
        "mail/send may be influenced by user only, but outside may have influenced the call (from mail/read)"
    );
    // Another principal has not read it.
    let other = proposal(&engine, ben(), "send", &json!({}));
    assert!(judge(&engine, &other, &facts, &json!({})).allows());
}

#[test]
fn a_server_is_a_reader_of_what_it_is_sent() {
    let mut engine = Engine::default();
    let facts = ToolFacts { critical: false, ..ToolFacts::unknown("mail") };
    sees(&mut engine, ana(), Label { readers: only(&[USER, "server:files"]), ..Label::constant() });
    let refused = || !verdict(&engine, &facts, &json!({})).allows();
    assert!(refused());
    assert!(!with(Mutant::ServerReadsNothing, refused), "the mutant is noticed");
}

#[test]
fn the_guard_itself_is_no_reader_of_a_plan() {
    let mut engine = Engine::default();
    sees(&mut engine, ana(), Label { readers: only(&[USER]), ..Label::constant() });
    let mut plan = proposal(&engine, ana(), "run_plan", &json!({"plan": []}));
    plan.server = "guard".into();
    assert!(judge(&engine, &plan, &ToolFacts::unknown("guard"), &json!({"plan": []})).allows());
}

#[test]
fn a_handle_is_worth_nothing_in_another_context() {
    let mut engine = Engine::default();
    let facts = ToolFacts { critical: false, ..ToolFacts::unknown("mail") };
    let call = dispatch(&mut engine, ana(), "read", &facts);
    let handle = Digest::of(b"handle");
    let kept = Outcome { kept: vec![KeptValue { handle, label: outside() }], ..outcome(call) };
    engine.apply(&Event::Finished(Box::new(kept)), Some(&facts));
    let with_handle = |context| {
        let mut decision = proposal(&engine, context, "send", &json!({"body": "x"}));
        decision.arguments.get_mut("body").unwrap().handles.push(handle);
        judge(&engine, &decision, &facts, &json!({"body": "x"}))
    };
    assert!(with_handle(ana()).allows());
    let refused = || matches!(with_handle(ben()), Verdict::Refuse { violations, askable: false } if matches!(violations[0], Violation::UnknownHandle { .. }));
    assert!(refused());
    assert!(!with(Mutant::HandlesOfOthers, refused), "the mutant is noticed");
}

#[test]
fn handles_end_with_a_restart_and_with_a_reset() {
    for end in [
        Event::Started {
            policy: Digest::of(b""),
            version: "1".into(),
            mode: "enforce".into(),
            readers: Readers::Everyone,
            at: 2,
        },
        Event::Reset { context: ana(), by: "ana".into(), at: 2 },
    ] {
        let mut engine = Engine::default();
        let facts = ToolFacts { critical: false, ..ToolFacts::unknown("mail") };
        let call = dispatch(&mut engine, ana(), "read", &facts);
        let kept =
            Outcome { kept: vec![KeptValue { handle: Digest::of(b"h"), label: outside() }], ..outcome(call) };
        engine.apply(&Event::Finished(Box::new(kept)), Some(&facts));
        assert!(engine.kept(&Digest::of(b"h"), &ana()).is_some());
        engine.apply(&end, None);
        assert!(engine.kept(&Digest::of(b"h"), &ana()).is_none(), "{end:?}");
    }
}

#[test]
fn only_a_reset_takes_a_context_back() {
    let mut engine = Engine::default();
    sees(&mut engine, ana(), outside());
    let before = engine.context(&ana()).clone();
    sees(&mut engine, ana(), Label::constant());
    assert_eq!(engine.context(&ana()), &before);
    engine.apply(&Event::Reset { context: ana(), by: "ana".into(), at: 2 }, None);
    assert_eq!(engine.context(&ana()), &Label::user(Readers::Everyone));
}

#[test]
fn an_endorsed_value_passes_and_its_residual_influence_is_on_record() {
    let mut engine = Engine::default();
    let mut facts = ToolFacts { influencers: Integrity::Anyone, ..ToolFacts::unknown("mail") };
    let range = ArgumentFacts {
        influencers: Some(Integrity::by(USER)),
        endorse: Some(Endorse::Range(1, 8)),
        audience: None,
    };
    facts.arguments.insert("days".into(), range);
    sees(&mut engine, ana(), outside());
    let Verdict::Allow { endorsed } = verdict(&engine, &facts, &json!({"days": 3})) else { panic!() };
    assert_eq!(endorsed, [Endorsed { argument: "days".into(), bits: 3.0 }]);
    assert!(!verdict(&engine, &facts, &json!({"days": 9})).allows());
    assert!(!verdict(&engine, &facts, &json!({"days": "3"})).allows());
}

#[test]
fn an_amount_is_endorsed_within_its_bounds_and_decimals() {
    let amount = Endorse::Number { min: 0, max: 2_500, decimals: 2 };
    for yes in [json!(0), json!(2_500), json!(19.99), json!(2_500.0), json!(0.5)] {
        assert!(amount.accepts(&yes), "{yes}");
    }
    for no in [json!(-1), json!(2_500.01), json!(1.999), json!("5"), json!(1e300), json!(-0.01), json!(null)]
    {
        assert!(!amount.accepts(&no), "{no}");
    }
    // 250,001 values, of which 2,501 are also written with `.0`, and zero as `-0.0`.
    assert!((amount.residual_bits(&json!(1)) - 252_503_f64.log2()).abs() < 1e-9);
}

#[test]
fn a_pattern_endorses_whole_strings_only() {
    let pattern: Endorse = serde_json::from_value(json!({"pattern": "[0-9]{4}|[a-z]"})).unwrap();
    assert!(pattern.accepts(&json!("1234")) && pattern.accepts(&json!("x")));
    for no in [json!("1234\n"), json!("12345"), json!("1234x"), json!(1234), json!("")] {
        assert!(!pattern.accepts(&no), "{no}");
    }
    assert!(serde_json::from_value::<Endorse>(json!({"pattern": "("})).is_err());
}

#[test]
fn a_refusal_that_depended_on_an_unseen_value_tells_something_about_it() {
    let mut engine = Engine::default();
    let mut facts = ToolFacts::unknown("mail");
    let endorse = Some(Endorse::OneOf(vec![json!("low")]));
    facts.arguments.insert("text".into(), ArgumentFacts { endorse, ..ArgumentFacts::default() });
    let call = dispatch(&mut engine, ana(), "read", &facts);
    let kept =
        Outcome { kept: vec![KeptValue { handle: Digest::of(b"h"), label: outside() }], ..outcome(call) };
    engine.apply(&Event::Finished(Box::new(kept)), Some(&facts));
    let mut decision = proposal(&engine, ana(), "send", &json!({"text": "x"}));
    decision.arguments.get_mut("text").unwrap().handles.push(Digest::of(b"h"));
    decision.flow = judge(&engine, &decision, &facts, &json!({"text": "x"}));
    assert!(!decision.flow.allows());
    engine.apply(&Event::Decided(Box::new(decision)), Some(&facts));
    assert_eq!(engine.context(&ana()).integrity, Label::user(Readers::Everyone).join(&outside()).integrity);
}

#[test]
fn whom_an_argument_names_reads_the_others() {
    let mut engine = Engine::default();
    let facts = ToolFacts { critical: false, audience_of: vec!["to".into()], ..ToolFacts::unknown("mail") };
    sees(&mut engine, ana(), Label { readers: only(&[USER, "server:mail", "bob"]), ..Label::constant() });
    let goes = |to: Value| verdict(&engine, &facts, &json!({ "to": to })).allows();
    assert!(goes(json!("bob")) && goes(json!(["bob"])) && goes(json!(null)));
    assert!(!goes(json!("eve")) && !goes(json!(["bob", "eve"])));
    // What names nobody that can be understood may name anybody.
    assert!(!goes(json!({"name": "bob"})) && !goes(json!([["bob"]])) && !goes(json!(7)));
}

#[test]
fn a_step_of_a_plan_has_its_plans_control_and_not_what_was_read_since() {
    let mut engine = Engine::default();
    let facts = ToolFacts::unknown("mail");
    let parent = dispatch(&mut engine, ana(), "run_plan", &facts);
    let under = engine.context(&ana()).clone();
    sees(&mut engine, ana(), outside());
    let step = |context, parent, pc| {
        let mut decision = proposal(&engine, context, "send", &json!({}));
        decision.plan = Some(PlanStep { parent, pc, counted: None });
        judge(&engine, &decision, &facts, &json!({}))
    };
    assert!(step(ana(), parent, under.clone()).allows());
    assert!(!step(ana(), parent, under.join(&outside())).allows());
    assert!(!step(ben(), parent, under.clone()).allows());
    assert!(!step(ana(), CallId(99), under).allows());
    let forgets = || !step(ana(), parent, Label::constant()).allows();
    assert!(forgets());
    assert!(!with(Mutant::PlanForgetsItsSubmission, forgets), "the mutant is noticed");
}

#[test]
fn a_value_of_a_plan_carries_its_own_label() {
    let engine = Engine::default();
    let facts = ToolFacts::unknown("mail");
    let mut decision = proposal(&engine, ana(), "send", &json!({"to": "x"}));
    decision.arguments.get_mut("to").unwrap().label = Some(outside());
    let refused = || !judge(&engine, &decision, &facts, &json!({"to": "x"})).allows();
    assert!(refused());
    assert!(!with(Mutant::PlanValuesWithoutLabel, refused), "the mutant is noticed");
}

#[test]
fn a_stop_holds_for_what_it_names_until_it_is_lifted() {
    let facts = ToolFacts::unknown("mail");
    let run = ContextKey { principal: "ana".into(), run: Some("r1".into()) };
    for (scope, hit, spared) in [
        (Scope::All, ana(), None),
        (Scope::Principal("ana".into()), run.clone(), Some(ben())),
        (Scope::Run("r1".into()), run.clone(), Some(ana())),
        (Scope::Server("mail".into()), ben(), None),
        (Scope::Tool("mail/send".into()), ben(), None),
    ] {
        let mut engine = Engine::default();
        engine.apply(&Event::Opened { context: run.clone(), token: None, at: 0 }, None);
        let goes = |engine: &Engine, context| {
            judge(engine, &proposal(engine, context, "send", &json!({})), &facts, &json!({})).allows()
        };
        engine.apply(&Event::Stopped { scope: scope.clone(), by: "ana".into(), at: 1 }, None);
        assert!(!goes(&engine, hit.clone()), "{scope}");
        assert!(spared.is_none_or(|spared| goes(&engine, spared)), "{scope}");
        assert!(with(Mutant::StopsIgnored, || goes(&engine, hit.clone())), "the mutant is noticed");
        engine.apply(&Event::Lifted { scope: scope.clone(), by: "ana".into(), at: 2 }, None);
        assert!(goes(&engine, hit), "{scope}");
    }
}

#[test]
fn what_descends_from_a_revoked_source_is_quarantined_across_contexts() {
    let mut engine = Engine::default();
    let facts = ToolFacts { critical: false, ..ToolFacts::unknown("mail") };
    sees(&mut engine, ana(), outside());
    engine.apply(&Event::Revoked { source: "mail/read".into(), by: "ana".into(), at: 1 }, None);
    let refused = || !verdict(&engine, &facts, &json!({})).allows();
    assert!(refused());
    assert!(!with(Mutant::RevocationIgnored, refused), "the mutant is noticed");
    let other = proposal(&engine, ben(), "send", &json!({}));
    assert!(judge(&engine, &other, &facts, &json!({})).allows());
}

fn memory(access: MemoryAccess) -> ToolFacts {
    let memory = MemoryFacts { access, object: Some("path".into()), content: Some("text".into()) };
    ToolFacts { critical: false, memory: Some(memory), ..ToolFacts::unknown("mail") }
}

fn write(engine: &mut Engine, context: ContextKey, object: &str, content: &[u8], failed: bool) {
    let call = dispatch(engine, context, "write", &memory(MemoryAccess::Write));
    let done =
        Outcome { object: Some(object.into()), content: Some(Digest::of(content)), failed, ..outcome(call) };
    engine.apply(&Event::Finished(Box::new(done)), Some(&memory(MemoryAccess::Write)));
}

fn read(engine: &mut Engine, context: ContextKey, object: &str, content: &[u8]) -> Label {
    let facts = memory(MemoryAccess::Read);
    let call = dispatch(engine, context, "read", &facts);
    let shown = Outcome { object: Some(object.into()), content: Some(Digest::of(content)), ..outcome(call) };
    engine.result(&shown, &facts, None)
}

#[test]
fn what_was_written_through_the_guard_is_read_with_the_label_that_it_was_written_with() {
    let mut engine = Engine::default();
    write(&mut engine, ana(), "notes", b"mine", false);
    let clean = read(&mut engine, ana(), "notes", b"mine");
    assert_eq!(clean.integrity, Integrity::by(USER));
    // Changed behind the guard's back; another object; a write that the server calls failed.
    assert_ne!(read(&mut engine, ana(), "notes", b"changed").integrity, Integrity::by(USER));
    assert_ne!(read(&mut engine, ana(), "others", b"mine").integrity, Integrity::by(USER));
    write(&mut engine, ana(), "notes", b"again", true);
    assert_ne!(read(&mut engine, ana(), "notes", b"again").integrity, Integrity::by(USER));
}

#[test]
fn laundering_through_memory_and_summaries_keeps_the_label() {
    let mut engine = Engine::default();
    sees(&mut engine, ana(), outside());
    write(&mut engine, ana(), "summary", b"all is well", false);
    let label = read(&mut engine, ben(), "summary", b"all is well");
    assert!(label.integrity == Integrity::Of([USER, "outside"].into_iter().collect()), "{label:?}");
    assert!(label.descends_from("mail/read") && label.descends_from("mail#summary"));
    sees(&mut engine, ben(), label);
    write(&mut engine, ben(), "summary of the summary", b"fine", false);
    assert!(read(&mut engine, ana(), "summary of the summary", b"fine").descends_from("mail/read"));
}

#[test]
fn a_call_cut_off_by_a_crash_stays_unresolved_and_may_have_written_anything() {
    let mut engine = Engine::default();
    write(&mut engine, ana(), "notes", b"mine", false);
    sees(&mut engine, ben(), outside());
    let cut = dispatch(&mut engine, ben(), "write", &memory(MemoryAccess::Write));
    let started = Event::Started {
        policy: Digest::of(b""),
        version: "1".into(),
        mode: "enforce".into(),
        readers: Readers::Everyone,
        at: 2,
    };
    engine.apply(&started, None);
    assert_eq!(engine.unresolved().collect::<Vec<_>>(), [cut]);
    assert!(!read(&mut engine, ana(), "notes", b"mine").integrity.is_within(&Integrity::by(USER)));
}

#[test]
fn a_secret_string_that_turns_up_elsewhere_keeps_its_readers() {
    let mut engine = Engine::default();
    let facts = ToolFacts { critical: false, audience: Readers::Everyone, ..ToolFacts::unknown("mail") };
    let call = dispatch(&mut engine, ana(), "read", &facts);
    let secret = json!({"text": "the password is hunter2 hunter2"});
    let seen = Outcome {
        label: Label { readers: only(&[USER]), ..Label::constant() },
        seen: Engine::strings(&secret),
        ..outcome(call)
    };
    engine.apply(&Event::Finished(Box::new(seen)), Some(&facts));
    assert!(!verdict(&engine, &facts, &json!({"body": " The password is hunter2 HUNTER2 "})).allows());
    assert!(verdict(&engine, &facts, &json!({"body": "nothing of the kind at all"})).allows());
}

#[test]
fn an_event_survives_json() {
    let engine = Engine::default();
    let facts = ToolFacts::unknown("mail");
    let mut decision = proposal(&engine, ana(), "send", &json!({"to": "x"}));
    decision.flow = judge(&engine, &decision, &facts, &json!({"to": "x"}));
    decision.plan = Some(PlanStep { parent: CallId(1), pc: outside(), counted: None });
    for event in [Event::Decided(Box::new(decision)), Event::Finished(Box::new(outcome(CallId(3))))] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
    }
}

#[test]
fn a_result_of_no_call_is_trusted_by_nobody() {
    let engine = Engine::default();
    let label = engine.result(&outcome(CallId(7)), &ToolFacts::unknown("mail"), None);
    assert_eq!(label.integrity, Integrity::Anyone);
    assert!(!Names::default().contains("x"));
}

/// A write or read that is under way.
fn begin(engine: &mut Engine, context: ContextKey, access: MemoryAccess) -> CallId {
    dispatch(engine, context, "store", &memory(access))
}

fn end(engine: &mut Engine, call: CallId, access: MemoryAccess, content: &[u8]) -> Label {
    let facts = memory(access);
    let mut done =
        Outcome { object: Some("notes".into()), content: Some(Digest::of(content)), ..outcome(call) };
    done.label = engine.result(&done, &facts, None);
    let label = done.label.clone();
    engine.apply(&Event::Finished(Box::new(done)), Some(&facts));
    label
}

#[test]
fn a_read_may_show_what_a_write_that_has_not_come_back_has_stored() {
    let launders = || {
        let mut engine = Engine::default();
        write(&mut engine, ben(), "notes", b"mine", false);
        sees(&mut engine, ana(), outside());
        let _write = begin(&mut engine, ana(), MemoryAccess::Write);
        let read = begin(&mut engine, ben(), MemoryAccess::Read);
        let label = end(&mut engine, read, MemoryAccess::Read, b"mine");
        !label.descends_from("mail/read")
    };
    assert!(!launders());
    assert!(with(Mutant::WritesUnderWayForgotten, launders), "the mutant is noticed");
}

#[test]
fn of_two_writes_at_a_time_either_may_have_been_the_last() {
    let launders = |tainted_first: bool| {
        let mut engine = Engine::default();
        sees(&mut engine, ana(), outside());
        let (tainted, clean) =
            (begin(&mut engine, ana(), MemoryAccess::Write), begin(&mut engine, ben(), MemoryAccess::Write));
        let mut order = [(tainted, b"planted"), (clean, b"my note")];
        if !tainted_first {
            order.reverse();
        }
        for (call, content) in order {
            end(&mut engine, call, MemoryAccess::Write, content);
        }
        let read = begin(&mut engine, ben(), MemoryAccess::Read);
        !end(&mut engine, read, MemoryAccess::Read, b"my note").descends_from("mail/read")
    };
    assert!(!launders(true) && !launders(false));
    assert!(with(Mutant::WritesUnderWayForgotten, || launders(true)), "the mutant is noticed");
}

#[test]
fn a_read_may_show_what_a_write_has_replaced_before_it_came_back() {
    let mut engine = Engine::default();
    sees(&mut engine, ana(), outside());
    write(&mut engine, ana(), "notes", b"planted", false);
    let read = begin(&mut engine, ben(), MemoryAccess::Read);
    write(&mut engine, ben(), "notes", b"mine", false);
    assert!(end(&mut engine, read, MemoryAccess::Read, b"planted").descends_from("mail/read"));
    // Once it has come back, what was replaced is gone.
    let read = begin(&mut engine, ben(), MemoryAccess::Read);
    assert!(!end(&mut engine, read, MemoryAccess::Read, b"mine").descends_from("mail/read"));
}

#[test]
fn whoever_leaves_the_token_of_a_run_out_has_seen_what_the_run_has() {
    let run = ContextKey { principal: "ana".into(), run: Some("r".into()) };
    let clean = || {
        let mut engine = Engine::default();
        engine.apply(&Event::Opened { context: run.clone(), token: None, at: 0 }, None);
        sees(&mut engine, run.clone(), outside());
        engine.apply(&Event::Closed { context: run.clone(), at: 0 }, None);
        verdict(&engine, &ToolFacts::unknown("mail"), &json!({})).allows()
    };
    assert!(!clean());
    assert!(with(Mutant::RunsLeftOutAreClean, clean), "the mutant is noticed");
}

#[test]
fn that_a_string_was_seen_elsewhere_tells_who_could_read_it() {
    let facts = ToolFacts { critical: false, audience: Readers::Everyone, ..ToolFacts::unknown("mail") };
    let goes_on = || {
        let mut engine = Engine::default();
        let call = dispatch(&mut engine, ana(), "read", &facts);
        let secret = json!("the password is hunter2 hunter2");
        let label = Label { readers: only(&[USER]), ..Label::constant() };
        let seen = Outcome { label, seen: Engine::strings(&secret), ..outcome(call) };
        engine.apply(&Event::Finished(Box::new(seen)), Some(&facts));
        // Ben knows the string from elsewhere: that he may not send it tells him that ana has read it.
        let mut told = proposal(&engine, ben(), "send", &json!({"body": secret}));
        told.flow = judge(&engine, &told, &facts, &json!({"body": secret}));
        assert!(!told.flow.allows());
        engine.apply(&Event::Decided(Box::new(told)), Some(&facts));
        let next = proposal(&engine, ben(), "send", &json!({"body": "yes"}));
        judge(&engine, &next, &facts, &json!({"body": "yes"})).allows()
    };
    assert!(!goes_on());
    assert!(with(Mutant::MatchesTellNothing, goes_on), "the mutant is noticed");
}

#[test]
fn handles_past_any_use_are_forgotten_oldest_first() {
    let mut engine = Engine::default();
    let facts = ToolFacts::unknown("mail");
    let handle = |number: u32| Digest::of(&number.to_be_bytes());
    for batch in 0..40_u32 {
        let call = dispatch(&mut engine, ana(), "read", &facts);
        let kept = (0..500)
            .map(|at| KeptValue { handle: handle(batch * 500 + at), label: Label::constant() })
            .collect();
        engine.apply(&Event::Finished(Box::new(Outcome { kept, ..outcome(call) })), Some(&facts));
    }
    assert!(engine.kept(&handle(0), &ana()).is_none() && engine.kept(&handle(19_999), &ana()).is_some());
    engine.apply(&Event::Reset { context: ana(), by: "ana".into(), at: 1 }, None);
    assert!(engine.kept(&handle(19_999), &ana()).is_none());
}
