use std::collections::BTreeMap;

use cedar_policy::{Authorizer, Entities, Policy, PolicyId, PolicySet};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::model;
use super::needs::{Needs, Wanted};
use super::*;
use crate::label::{Integrity, Label, Names, Readers};
use crate::policy::config::{CedarText, DEFAULT_CEDAR};

fn text(name: &str, text: &str) -> CedarText {
    CedarText { name: name.to_owned(), text: text.to_owned() }
}

fn load(policies: &str) -> Policies {
    Policies::load(&[text("p.cedar", policies)], &["mail", "files"])
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(policies: &str) -> String {
    Policies::load(&[text("p.cedar", policies)], &["mail", "files"])
        .expect_err("it should be refused")
        .to_string()
}

/// A question with everything said, to be changed by the test.
struct Case {
    policies: Policies,
    principal: &'static str,
    run: Option<&'static str>,
    action: Action,
    target: Target,
    control: Label,
    data: Label,
    arguments: Value,
    seconds: i64,
    used: Used,
}

fn case(policies: &str) -> Case {
    Case {
        policies: load(policies),
        principal: "alice",
        run: Some("r1"),
        action: Action::Call,
        target: Target::tool("mail", "send_email", true),
        control: Label::user(Readers::Everyone),
        data: Label::user(Readers::Everyone),
        arguments: json!({}),
        seconds: 1_763_800_000,
        used: Used::default(),
    }
}

impl Case {
    fn decide(&self) -> Decision {
        self.policies.decide(&self.question(&self.arguments()))
    }

    fn question<'a>(&'a self, arguments: &'a BTreeMap<String, Value>) -> Question<'a> {
        Question {
            principal: self.principal,
            run: self.run,
            plan: false,
            action: self.action,
            target: &self.target,
            control: &self.control,
            data: &self.data,
            arguments,
            seconds: self.seconds,
            used: self.used,
        }
    }

    fn arguments(&self) -> BTreeMap<String, Value> {
        self.arguments.as_object().unwrap().clone().into_iter().collect()
    }

    fn permits(&self) -> bool {
        self.decide().permit
    }
}

/// Whether a policy with this condition permits `arguments`.
fn permits(condition: &str, arguments: Value) -> Decision {
    let mut case =
        case(&format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"));
    case.arguments = arguments;
    case.decide()
}

#[test]
fn the_shipped_policy_permits_everything_and_says_so() {
    let mut case = case(DEFAULT_CEDAR);
    for (action, target) in every_action() {
        (case.action, case.target) = (action, target);
        let decision = case.decide();
        assert!(decision.permit, "{action:?}");
        assert_eq!(decision.policies, ["what-the-flow-rules-allow"]);
    }
}

fn every_action() -> Vec<(Action, Target)> {
    vec![
        (Action::Call, Target::tool("mail", "send_email", true)),
        (Action::Read, Target::resource("files", "file:///a", false)),
        (Action::Get, Target::prompt("mail", "greet", false)),
        (Action::List, Target::tool("mail", "send_email", true)),
        (Action::List, Target::resource("mail", "send_email", true)),
        (Action::Reveal, Target::tool("mail", "read_email", false)),
    ]
}

#[test]
fn what_no_policy_permits_is_not_permitted() {
    let mut case = case(
        "@id(\"read\") permit (principal, action == Action::\"call\", resource == Tool::\"mail/read_email\");",
    );
    let decision = case.decide();
    assert!(!decision.permit && decision.policies.is_empty() && decision.errors.is_empty());
    assert_eq!(decision.to_string(), "no policy permits this");
    case.target = Target::tool("mail", "read_email", false);
    assert_eq!(case.decide().to_string(), "permitted by read");
    case.action = Action::List;
    assert!(!case.permits());
}

#[test]
fn an_action_that_is_not_done_to_such_a_target_is_refused() {
    let mut case = case(DEFAULT_CEDAR);
    case.action = Action::Read;
    assert!(!case.permits() && !case.decide().errors.is_empty());
}

#[test]
fn a_forbid_wins_wherever_its_scope_puts_it() {
    let scopes = [
        "resource",
        "resource in Server::\"mail\"",
        "resource == Tool::\"mail/send_email\"",
        "resource is Tool in Server::\"mail\"",
    ];
    for permit in scopes {
        for forbid in scopes {
            let text = format!(
                "@id(\"yes\") permit (principal, action, {permit}); @id(\"no\") forbid (principal, action in Action::\"use\", {forbid});"
            );
            assert_eq!(case(&text).decide().to_string(), "forbidden by no", "{text}");
        }
    }
}

#[test]
fn a_policy_that_cannot_be_evaluated_forbids() {
    let overflow = "context.used.run + 9223372036854775807 > 0";
    for effect in ["permit", "forbid"] {
        let mut case = case(&format!(
            "{DEFAULT_CEDAR} {effect} (principal, action, resource is Tool) when {{ {overflow} }};"
        ));
        case.used.run = 1;
        let decision = case.decide();
        assert!(!decision.permit && decision.errors.len() == 1, "{decision:?}");
        assert!(decision.errors[0].contains("overflow"), "{decision:?}");
    }
}

#[test]
fn an_error_of_a_policy_for_another_tool_does_not_matter() {
    let text = format!(
        "{DEFAULT_CEDAR} forbid (principal, action, resource == Tool::\"mail/other\") when {{ context.used.run + 9223372036854775807 > 0 }};"
    );
    let mut case = case(&text);
    case.used.run = 1;
    assert!(case.permits());
    case.target = Target::tool("mail", "other", true);
    assert!(!case.permits());
}

#[test]
fn arguments_are_found_by_their_json_pointers() {
    let has = |key: &str, rest: &str| {
        format!("context.arguments.hasTag(\"{key}\") && context.arguments.getTag(\"{key}\"){rest}")
    };
    let arguments = json!({
        "to": ["a@x", "b@x"], "urgent": true, "mixed": [1, "a"], "none": null,
        "deep": {"a/b": {"~": "found"}}, "amount": 12.5, "count": 3, "big": 100.0,
    });
    for (condition, expected) in [
        (has("/to/0", " == {kind: \"text\", text: \"a@x\"}"), None),
        (has("/to/1", " has text") + " && context.arguments.getTag(\"/to/1\").text like \"*@x\"", Some(true)),
        (
            has("/to", " has texts")
                + " && [\"a@x\", \"b@x\", \"c@x\"].containsAll(context.arguments.getTag(\"/to\").texts)",
            Some(true),
        ),
        (
            has("/to", " has texts") + " && [\"a@x\"].containsAll(context.arguments.getTag(\"/to\").texts)",
            Some(false),
        ),
        (has("/to", " has size") + " && context.arguments.getTag(\"/to\").size == 2", Some(true)),
        (has("/mixed", " has texts"), Some(false)),
        (
            has("/deep/a~1b/~0", " has text")
                + " && context.arguments.getTag(\"/deep/a~1b/~0\").text == \"found\"",
            Some(true),
        ),
        (has("/urgent", " has boolean") + " && context.arguments.getTag(\"/urgent\").boolean", Some(true)),
        (has("/none", ".kind == \"null\""), Some(true)),
        (
            has("/amount", " has decimal")
                + " && context.arguments.getTag(\"/amount\").decimal.lessThan(decimal(\"12.51\"))",
            Some(true),
        ),
        (
            has("/amount", " has decimal")
                + " && context.arguments.getTag(\"/amount\").decimal.lessThan(decimal(\"12.5\"))",
            Some(false),
        ),
        (has("/count", " has integer") + " && context.arguments.getTag(\"/count\").integer == 3", Some(true)),
        (
            has("/count", " has decimal")
                + " && context.arguments.getTag(\"/count\").decimal.greaterThan(decimal(\"2.9\"))",
            Some(true),
        ),
        (has("/big", " has integer") + " && context.arguments.getTag(\"/big\").integer == 100", Some(true)),
        ("context.arguments.hasTag(\"/absent\")".to_owned(), Some(false)),
        ("context.arguments.hasTag(resource.name)".to_owned(), Some(false)),
    ] {
        match expected {
            // A record of optional members is not compared with one that has two of them: the validator says so.
            None => assert!(
                Policies::load(
                    &[text(
                        "p.cedar",
                        &format!(
                            "permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"
                        )
                    )],
                    &["mail"]
                )
                .is_err()
            ),
            Some(expected) => {
                assert_eq!(permits(&condition, arguments.clone()).permit, expected, "{condition}")
            }
        }
    }
}

#[test]
fn a_computed_key_sees_all_arguments() {
    let mut case = case(
        "permit (principal, action == Action::\"call\", resource) when { context.arguments.hasTag(resource.name) };",
    );
    case.target = Target::tool("mail", "/a", true);
    case.arguments = json!({"a": 1});
    assert!(case.permits());
}

#[test]
fn a_number_that_policies_cannot_see_exactly_does_not_slip_past_them() {
    let forbid = |part: &str| {
        format!(
            "{DEFAULT_CEDAR} forbid (principal, action == Action::\"call\", resource) when {{
               context.arguments.hasTag(\"/n\") && context.arguments.getTag(\"/n\") has {part} }} unless {{ 1 == 2 }};"
        )
    };
    let decide = |policies: &str, n: Value| {
        let mut case = case(policies);
        case.arguments = json!({ "n": n });
        case.decide()
    };
    let over = |part: &str, limit: &str| {
        format!(
            "{DEFAULT_CEDAR} forbid (principal, action == Action::\"call\", resource) when {{
               context.arguments.hasTag(\"/n\") && context.arguments.getTag(\"/n\") has {part} && context.arguments.getTag(\"/n\").{limit} }};"
        )
    };
    let decimals = over("decimal", "decimal.greaterThan(decimal(\"100.0\"))");
    for n in [json!(1e300), json!(0.00001), json!(u64::MAX), json!(i64::MAX), json!(1e15)] {
        let decision = decide(&decimals, n.clone());
        assert!(!decision.permit && decision.errors.len() == 1, "{n}: {decision:?}");
    }
    assert!(decide(&decimals, json!(99.99)).permit && !decide(&decimals, json!(100.01)).permit);
    let integers = over("integer", "integer > 100");
    assert!(!decide(&integers, json!(100.5)).permit && !decide(&integers, json!(101)).permit);
    assert!(decide(&integers, json!(100)).permit);
    assert!(!decide(&forbid("integer"), json!(5)).permit);
}

#[test]
fn arguments_that_nobody_looks_at_may_be_of_any_size() {
    let deep = (0..100).fold(json!(1), |inside, _| json!([inside]));
    let many = json!({"path": "x", "deep": deep, "long": "x".repeat(2 << 20), "list": vec!["x"; 5_000]});
    let looks = |pointer: &str| permits(&format!("context.arguments.hasTag(\"{pointer}\")"), many.clone());
    assert!(looks("/path").permit);
    for pointer in ["/long", "/list"] {
        assert_eq!(looks(pointer).errors.len(), 1, "{pointer}");
    }
    assert_eq!(permits("context.arguments.hasTag(resource.name)", many.clone()).errors.len(), 1);
}

#[test]
fn labels_have_a_word_for_everybody_so_that_no_subset_test_is_true_by_accident() {
    let only_user = "[\"user\"].containsAll(context.control.influencers)";
    let public = "context.data.readers.contains(\"everyone\")";
    let mut case = case(&format!(
        "permit (principal, action == Action::\"call\", resource) when {{ {only_user} && {public} }};"
    ));
    assert!(case.permits());
    case.control.integrity = Integrity::Anyone;
    assert!(!case.permits());
    case.control.integrity = Integrity::Of(Names::default());
    assert!(case.permits());
    case.data.readers = Readers::Only(["everybody"].into_iter().collect());
    assert!(!case.permits());
}

#[test]
fn time_budgets_runs_and_principals_count() {
    let rule = |condition: &str| {
        case(&format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"))
    };
    // 2025-11-22, a Saturday, 08:26:40 UTC.
    assert!(
        rule("context.time == {seconds: 1763800000, weekday: \"saturday\", hour: 8, minute: 26}").permits()
    );
    let mut early =
        rule("context.time.weekday == \"wednesday\" && context.time.hour == 23 && context.time.minute == 59");
    early.seconds = -1;
    assert!(early.permits());
    early.seconds = i64::MIN;
    early.decide();
    let mut few = rule("context.used.tool < 3 && context.used.hour < 10");
    few.used = Used { run: 9, tool: 2, hour: 9 };
    assert!(few.permits());
    few.used.tool = u64::MAX;
    assert!(!few.permits());
    let mut run = rule(
        "context has run && context.run == Run::\"r1\" && context.run in principal && principal == Principal::\"alice\"",
    );
    assert!(run.permits());
    run.run = None;
    assert!(!run.permits());
    assert!(!rule("context.plan").permits());
    assert!(
        rule("resource.name == \"send_email\" && resource.server == \"mail\" && resource.critical").permits()
    );
}

#[test]
fn what_is_wrong_with_a_policy_is_said_with_its_line() {
    let permit = |scope: &str, condition: &str| format!("\n\npermit ({scope}) when {{ {condition} }};");
    let call = "principal, action == Action::\"call\", resource";
    for (policies, line, words) in [
        (permit(call, "context.contol == context.data"), 3, "`contol`"),
        (permit(call, "context.used.run < \"x\""), 3, "type"),
        (permit(call, "context.arguments.getTag(\"/a\").kind == \"text\""), 3, "/a"),
        (permit(call, "context.run == Run::\"x\""), 3, "run"),
        (permit(call, "true && false"), 3, "impossible"),
        (permit("principal, action == Action::\"cal\", resource", "true"), 3, "cal"),
        (permit("principal, action, resource == Tool::\"mial/send_email\"", "true"), 3, "did you mean `mail`?"),
        (permit("principal, action, resource == Tool::\"send_email\"", "true"), 3, "SERVER/NAME"),
        (permit("principal, action, resource in Server::\"m\"", "true"), 3, "no server `m`"),
        (permit("principal, action == Action::\"call\", resource is Prompt", "true"), 3, "action"),
        (permit("principal == ?principal, action, resource", "true"), 3, "template"),
        (permit(call, "resource.name == \"a\u{202e}b\""), 3, "BIDI"),
        (permit(call, "resource.nam == \"a\""), 3, "nam"),
        ("permit (principal, action, resource)\n".to_owned(), 1, "`;`"),
        ("permit (principal, action,\n resource) whem { true };".to_owned(), 2, "whem"),
        ("// nothing".to_owned(), 0, "nothing would be permitted"),
        ("@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);".to_owned(), 2, "another `@id`"),
        ("@id(\"\") permit (principal, action, resource);".to_owned(), 1, "`@id`"),
    ] {
        let said = problems(&policies);
        let place = if line == 0 { "p.cedar: ".to_owned() } else { format!("p.cedar:{line}: ") };
        assert!(said.contains(&place) && said.to_lowercase().contains(&words.to_lowercase()), "{policies}\n{said}");
    }
}

#[test]
fn problems_of_one_line_come_in_the_same_order_each_time() {
    // One for each action.
    let policies = "permit(principal, action, resource) when { context.nothing };";
    let first = problems(policies);
    assert!(first.lines().count() > 3, "{first}");
    for _ in 0..20 {
        assert_eq!(problems(policies), first);
    }
}

#[test]
fn all_problems_of_all_files_are_said_at_once() {
    let files = [
        text("a.cedar", "permit (principal, action, resource == Tool::\"x/y\");\npermit (;"),
        text("b.cedar", "forbid (principal, action, resource) when { context.nothing };"),
    ];
    let said = Policies::load(&files, &["mail"]).unwrap_err();
    for place in ["a.cedar:1:", "a.cedar:2:", "b.cedar:1:"] {
        assert!(said.to_string().contains(place), "{said}");
    }
}

#[test]
fn policies_without_an_id_are_named_by_their_place() {
    let decision = case("\n// first\n permit (principal, action, resource);").decide();
    assert_eq!(decision.policies, ["p.cedar:3"]);
}

/// Policies that nest as deep as `split` lets them.
fn deepest() -> Vec<String> {
    let units = [
        ("", "true||", "true"),
        ("", "true&&", "true"),
        ("", "1==", "1"),
        ("1==", "1+", "1"),
        ("1==", "1*", "1"),
        ("1==1", "-1", ""),
        ("true", ".a", ""),
        ("", "!", "true"),
        ("1==", "-", "1"),
        ("", "if true then true else ", "true"),
        ("true", "[\"a\"]", ""),
        ("true", ".contains(1)", ""),
        ("context", " has a.a", ""),
        ("context has a", ".a", ""),
    ];
    let brackets = [
        ("(", ")"),
        ("[", "]"),
        ("{a:", "}"),
        ("(if ", " then true else false)"),
        ("[1].contains(", ")"),
        ("!(", ")"),
    ];
    let wrap = |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
    let most = |make: &dyn Fn(usize) -> String| {
        (1..1_000)
            .map(|times| wrap(&make(times)))
            .take_while(|text| super::split::split(text).is_ok())
            .last()
            .unwrap()
    };
    units
        .iter()
        .map(|(before, unit, after)| most(&|times| format!("{before}{}{after}", unit.repeat(times))))
        .chain(
            brackets.iter().map(|(open, close)| {
                most(&|times| format!("{}true{}", open.repeat(times), close.repeat(times)))
            }),
        )
        .collect()
}

#[test]
fn policies_at_the_bounds_of_length_and_nesting_do_not_exhaust_the_stack() {
    for text in deepest() {
        // As small as the threads that serve calls.
        let file = CedarText { name: "p.cedar".to_owned(), text: text.clone() };
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || {
                eprintln!("{}", file.text.get(..60).unwrap_or(""));
                if let Ok(policies) = Policies::load(&[file], &[]) {
                    let mut case = case(DEFAULT_CEDAR);
                    case.policies = policies;
                    case.decide();
                }
            })
            .unwrap()
            .join()
            .unwrap();
    }
}

/// What Cedar says of all policies at once, told everything.
fn oracle(policies: &str, question: &Question<'_>) -> (bool, Vec<String>, usize) {
    let mut set = PolicySet::new();
    for (at, piece) in super::split::split(policies).unwrap().into_iter().enumerate() {
        set.add(Policy::parse(Some(PolicyId::new(format!("p{at}"))), piece.text).unwrap()).unwrap();
    }
    let everything =
        Needs { everything: true, all_arguments: true, decimals: true, actions: true, ..Needs::default() };
    let (request, entities) =
        super::facts::of(question, Wanted { told: &[&everything], all: &[&everything] }).unwrap();
    let actions = model::schema().action_entities().unwrap();
    let entities = entities.into_owned().add_entities(actions, None).unwrap();
    let response = Authorizer::new().is_authorized(&request, &set, &entities);
    let allowed = response.decision() == cedar_policy::Decision::Allow;
    let errors = response.diagnostics().errors().count();
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort();
    (allowed && errors == 0, reasons, errors)
}

fn policy() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("action".to_owned()),
        Just("action in Action::\"use\"".to_owned()),
        "(call|list|reveal)".prop_map(|name| format!("action == Action::\"{name}\"")),
        Just("action in [Action::\"call\", Action::\"list\"]".to_owned()),
    ];
    let resource = prop_oneof![
        Just("resource".to_owned()),
        Just("resource is Tool".to_owned()),
        "(mail|files)".prop_map(|server| format!("resource in Server::\"{server}\"")),
        "(mail|files)/(a|b)".prop_map(|tool| format!("resource == Tool::\"{tool}\"")),
        "(mail|files)/(a|b)".prop_map(|tool| format!("resource in Tool::\"{tool}\"")),
        "(mail|files)".prop_map(|server| format!("resource is Tool in Server::\"{server}\"")),
    ];
    let condition = prop_oneof![
        3 => Just(String::new()),
        1 => Just("when { context.used.run > 3 }".to_owned()),
        1 => Just("when { context.used.run + 9223372036854775805 > 0 }".to_owned()),
        1 => Just("unless { context has run }".to_owned()),
        1 => Just("when { context.time.hour > 11 }".to_owned()),
        1 => (0..7).prop_map(|limit| format!("when {{ context.used.run == {limit} || {limit} < context.used.tool }}")),
        1 => (0..7).prop_map(|limit| format!("unless {{ {limit} >= context.used.run && context.used.hour != {limit} }}")),
        1 => Just("when { context.time.seconds > 43200 }".to_owned()),
        1 => Just("unless { context.time.minute == 0 }".to_owned()),
        1 => Just("when { resource.server == \"mail\" }".to_owned()),
        1 => Just("when { principal == Principal::\"alice\" }".to_owned()),
        1 => Just("unless { action in Action::\"use\" }".to_owned()),
        1 => Just("when { context has run && context.run == Run::\"r\" }".to_owned()),
    ];
    (prop_oneof![2 => Just("permit"), 1 => Just("forbid")], action, resource, condition).prop_map(
        |(effect, action, resource, condition)| {
            format!("{effect} (principal, {action}, {resource}) {condition};\n")
        },
    )
}

proptest! {
    #[test]
    fn the_index_says_what_all_policies_say(
        policies in proptest::collection::vec(policy(), 1..8),
        server in "(mail|files)", tool in "(a|b|c)", action in 0..3_usize, used in 0..6_u64, hour in 0..24_i64, run in any::<bool>(),
    ) {
        let text = policies.concat();
        let named: String = policies.iter().enumerate().map(|(at, policy)| format!("@id(\"p{at}\") {policy}")).collect();
        let mut case = case(DEFAULT_CEDAR);
        // Some combinations can never apply, and are refused at load.
        let Ok(loaded) = Policies::load(&[super::tests::text("p.cedar", &named)], &["mail", "files"]) else { return Ok(()) };
        case.policies = loaded;
        case.target = Target::tool(&server, &tool, false);
        case.action = [Action::Call, Action::List, Action::Reveal][action];
        case.seconds = hour * 3_600;
        case.used = Used { run: used, tool: used.div_euclid(2), hour: used + 2 };
        case.run = run.then_some("r");
        let arguments = case.arguments();
        let question = case.question(&arguments);
        let (permit, reasons, errors) = oracle(&text, &question);
        let decision = case.decide();
        prop_assert_eq!(&case.decide(), &decision, "known now");
        prop_assert_eq!(decision.permit, permit);
        prop_assert_eq!(decision.errors.len(), errors);
        if errors == 0 {
            prop_assert_eq!(decision.policies, reasons);
        }
    }

    #[test]
    fn no_text_makes_the_loader_panic(noise in "[permitfobd (){};@=\"&|!.a-z\\\\/\n\u{202e}]{0,120}", cut in 0..600_usize, at in 0..600_usize, with in any::<u8>()) {
        let _ = Policies::load(&[text("p.cedar", &noise)], &["mail"]);
        let whole = format!("{DEFAULT_CEDAR}\npermit (principal, action == Action::\"call\", resource in Server::\"mail\") when {{ context.used.run < 3 }};");
        let mut bytes = whole.clone().into_bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        let _ = Policies::load(&[text("p.cedar", &String::from_utf8_lossy(&bytes))], &["mail"]);
        bytes.truncate(cut);
        let _ = Policies::load(&[text("p.cedar", &String::from_utf8_lossy(&bytes))], &["mail"]);
    }
}

#[test]
fn what_policies_are_told_is_what_the_schema_says() {
    let mut case = case(DEFAULT_CEDAR);
    case.arguments = json!({"a": [1, 2.5, "x", null, true, {"b": ["c"]}]});
    let everything =
        Needs { everything: true, all_arguments: true, decimals: true, actions: true, ..Needs::default() };
    let schema = model::schema();
    for (action, target) in every_action() {
        (case.action, case.target) = (action, target);
        let arguments = case.arguments();
        let question = case.question(&arguments);
        let (request, entities) =
            super::facts::of(&question, Wanted { told: &[&everything], all: &[&everything] }).unwrap();
        Entities::from_entities(entities.into_owned(), Some(schema)).unwrap();
        let context = request.context().unwrap().clone();
        cedar_policy::Request::new(
            request.principal().unwrap().clone(),
            request.action().unwrap().clone(),
            request.resource().unwrap().clone(),
            context,
            Some(schema),
        )
        .unwrap();
    }
}

#[test]
fn a_known_answer_is_given_only_where_nothing_that_the_policies_look_at_differs() {
    let rule = |condition: &str| {
        let mut case = case(&format!(
            "permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"
        ));
        case.arguments = json!({"a": "x", "b": {"c": 1}});
        case
    };
    let tag = |pointer: &str, kind: &str| {
        format!(
            "context.arguments.hasTag(\"{pointer}\") && context.arguments.getTag(\"{pointer}\").kind == \"{kind}\""
        )
    };
    type Change = (String, fn(&mut Case));
    let changes: [Change; 10] = [
        ("principal == Principal::\"alice\"".to_owned(), |case| case.principal = "bob"),
        ("context has run && context.run == Run::\"r1\"".to_owned(), |case| case.run = Some("r2")),
        ("context has run".to_owned(), |case| case.run = None),
        ("resource.critical".to_owned(), |case| case.target = Target::tool("mail", "send_email", false)),
        ("resource.name == \"send_email\"".to_owned(), |case| {
            case.target = Target::tool("mail", "other", true)
        }),
        ("context.control.influencers.contains(\"user\")".to_owned(), |case| {
            case.control.integrity = Integrity::Anyone
        }),
        ("context.data.origins.isEmpty()".to_owned(), |case| {
            case.data.provenance = ["x"].into_iter().collect()
        }),
        (tag("/a", "text"), |case| case.arguments = json!({"a": 1, "b": {"c": 1}})),
        (tag("/b/c", "integer"), |case| case.arguments = json!({"a": "x", "b": {"c": null}})),
        (tag("/a", "text"), |case| case.arguments = json!({"b": {"c": 1}})),
    ];
    for (condition, change) in changes {
        let mut case = rule(&condition);
        assert!(case.permits() && case.permits(), "{condition}");
        change(&mut case);
        assert!(!case.permits() && !case.permits(), "{condition}");
    }
    let mut hours = rule("context.time.hour == 8 && context.used.run == 0");
    assert!(hours.permits());
    hours.used.run = 1;
    assert!(!hours.permits());
    hours.used.run = 0;
    hours.seconds += 3_600;
    assert!(!hours.permits());
}

#[test]
fn a_known_answer_lasts_no_longer_than_what_is_looked_at_of_the_time() {
    let now = case(DEFAULT_CEDAR).seconds;
    let minute = now.div_euclid(60).rem_euclid(60);
    let whole = format!(
        "context.time == {{\"seconds\": {now}, \"weekday\": context.time.weekday, \"hour\": context.time.hour, \"minute\": context.time.minute}}"
    );
    for (condition, after) in [
        (format!("context.time.seconds == {now}"), 1),
        (
            format!(
                "(if principal == Principal::\"x\" then context.time else context.time).seconds == {now}"
            ),
            1,
        ),
        (whole, 1),
        (format!("context.time.minute == {minute}"), 60),
        (format!("context.time.minute == {minute} && context.used.run == 0"), 60),
    ] {
        let mut case = case(&format!(
            "permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"
        ));
        assert!(case.permits() && case.permits(), "{condition}");
        case.seconds += after;
        assert!(!case.permits() && !case.permits(), "{condition}");
        case.seconds -= after;
        assert!(case.permits(), "{condition}");
    }
}

#[test]
fn a_known_answer_lasts_until_a_budget_passes_a_limit_and_no_longer() {
    type Permitted = fn(u64) -> bool;
    let conditions: [(&str, Permitted); 8] = [
        ("context.used.run < 5", |run| run < 5),
        ("context.used.run <= 5", |run| run <= 5),
        ("5 < context.used.run", |run| run > 5),
        ("context.used.run >= 5", |run| run >= 5),
        ("context.used.run == 5", |run| run == 5),
        ("5 != context.used.run", |run| run != 5),
        ("context.used.run * 2 > 9", |run| run > 4),
        ("context.used == {\"run\": 5, \"tool\": 0, \"hour\": 0}", |run| run == 5),
    ];
    for (condition, permitted) in conditions {
        let mut case = case(&format!(
            "permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"
        ));
        for run in [0, 5, 4, 6, 5, 7, 1, u64::MAX, 0] {
            case.used = Used { run, ..Used::default() };
            let right = permitted(run) && !(condition.contains('*') && run == u64::MAX);
            assert_eq!((case.permits(), case.permits()), (right, right), "{condition} {run}");
        }
    }
}
