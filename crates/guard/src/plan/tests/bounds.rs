//! What is too much is refused, or ends the run.

use proptest::prelude::*;

use super::*;

fn nested(levels: usize) -> Value {
    let expression = (0..levels).fold(json!(1), |inner, _| json!([inner]));
    json!({"plan": [{"let": "x", "be": expression}]})
}

#[test]
fn a_plan_has_bounds_before_it_runs() {
    parsed(nested(20));
    assert!(refused(nested(40)).contains("32 levels"));
    let ifs = (0..40).fold(json!([]), |inner, _| json!([{"if": true, "then": inner}]));
    assert!(refused(json!({"plan": ifs})).contains("32 levels"));
    let steps = |count: usize| json!({"plan": vec![json!({"let": "x", "be": 1}); count]});
    parsed(steps(256));
    assert!(refused(steps(257)).contains("256 steps"));
    let wide = json!({"plan": [{"let": "x", "be": vec![json!(1); 5_000]}]});
    assert!(refused(wide).contains("4096 expressions"));
    let loops = |max: u64| json!({"plan": [{"for": "a", "in": [], "max": 100, "do": [{"for": "b", "in": [], "max": max, "do": [{"call": "get"}]}]}]});
    assert_eq!(parsed(loops(10)).steps_at_most(), 1 + 100 * (1 + 1 + 10 * 2));
    assert!(refused(loops(100)).contains("lower the \"max\""));
    let pattern =
        |pattern: &str| json!({"plan": [{"let": "x", "be": {"matches": {"in": "a", "pattern": pattern}}}]});
    assert!(refused(pattern(&"a".repeat(600))).contains("512"));
    let many = json!({"plan": vec![json!({"let": "x", "be": {"matches": {"in": "a", "pattern": "a"}}}); 65]});
    assert!(refused(many).contains("64 patterns"));
    assert!(refused(pattern("(\\w{200}){200}")).contains("not a regular expression"));
}

#[test]
fn a_text_that_would_grow_too_large_is_a_failure() {
    let ran = run(
        json!({"plan": [
            {"let": "t", "be": "0123456789abcdef"},
            {"for": "i", "in": (0..20).collect::<Vec<_>>(), "max": 20, "do": [{"let": "t", "be": {"template": {"text": "{t}{t}"}}}]},
            {"return": {"t": {"ref": "t"}}}
        ]}),
        &[],
    );
    assert!(ran.output("t").unwrap_err().value.as_str().unwrap().contains("bytes"));
}

#[test]
fn a_value_that_doubles_or_nests_in_every_round_ends_the_plan() {
    for grown in [json!([{"ref": "v"}, {"ref": "v"}]), json!([{"ref": "v"}])] {
        let rounds: Vec<u32> = (0..2_000).collect();
        let mut machine = Interpreter::new(
            parsed(json!({"plan": [
                {"let": "v", "be": 1},
                {"for": "i", "in": {"literal": rounds}, "max": 2_000, "do": [{"let": "v", "be": grown}]},
                {"call": "get"}
            ]})),
            user(),
        );
        let Next::Failed { why, .. } = machine.next() else { panic!("it went on") };
        assert!(why.value.as_str().unwrap().contains("used up"));
    }
}

#[test]
fn an_answer_beyond_the_work_of_a_run_fails_under_its_label_and_the_rest_goes_on() {
    let plan = json!({"plan": [
        {"call": "get", "with": {"as": "small"}, "id": "s"},
        {"call": "get", "with": {"as": "big"}, "id": "b"},
        {"call": "send", "with": {"text": {"ref": "b"}}, "on_error": "continue"},
        {"call": "send", "with": {"text": {"ref": "s"}}},
        {"return": {"s": {"ref": "s"}, "b": {"ref": "b"}}}
    ]});
    let big = Value::String("x".repeat(MAX_WORK as usize + 1));
    let answers =
        |label: Label| [("small", Ok(Tree::new(&json!("s"), user()))), ("big", Ok(Tree::new(&big, label)))];
    let ran = run(plan.clone(), &answers(by("web")));
    let why = ran.output("b").unwrap_err();
    assert!(why.value.as_str().unwrap().contains("used up"));
    assert!(!why.label.integrity.is_within(&user().integrity));
    assert_eq!(ran.output("s").unwrap().value, json!("s"));
    // What was asked before is not asked again.
    assert_eq!(ran.tools(), ["get", "get", "send"]);
    // Where the writer may know it, it ends.
    let ran = run(plan, &answers(user()));
    assert!(matches!(&ran.end, Next::Failed { why, .. } if why.value.as_str().unwrap().contains("used up")));
    assert_eq!(ran.tools(), ["get", "get"]);
}

#[test]
fn how_large_a_strangers_field_is_tells_nothing_wherever_the_work_ends() {
    let plan = json!({"plan": [
        {"call": "get", "id": "m"},
        {"call": "send", "with": {"text": {"ref": "m/x"}}, "on_error": "continue"},
        {"call": "send", "with": {"text": "mine"}},
        {"return": {"own": 1, "x": {"ref": "m/x"}}}
    ]});
    let seen = |length: usize, work: u64| {
        let mut machine = Interpreter::new(parsed(plan.clone()), user()).with_work(work);
        let mut calls = Vec::new();
        loop {
            match machine.next() {
                Next::Call { step, tool, arguments, .. } => {
                    let open = arguments.values().all(|argument| argument.label == user());
                    calls.extend(open.then(|| (tool.clone(), arguments.len())));
                    let mut tree = Tree::new(&json!({"id": 1, "x": "y".repeat(length)}), user());
                    tree.join_at("/x", &by("web"));
                    machine.answer(&step, Answer { outcome: Ok(tree), status: None }).unwrap();
                }
                Next::Endorse { .. } => panic!("nothing is endorsed"),
                end => {
                    let given = machine.given(end).unwrap();
                    let shown = |value: &crate::label::Labelled| {
                        given.shows(&value.label).then(|| value.value.clone())
                    };
                    let outputs: Vec<_> =
                        given.outputs.iter().map(|(name, output)| (name.clone(), shown(output))).collect();
                    return (calls, outputs, shown(&given.report));
                }
            }
        }
    };
    let mut differing = 0;
    for work in 1..400 {
        let (small, large) = (seen(3, work), seen(250, work));
        assert_eq!(small, large, "work {work}");
        differing += usize::from(small.0.len() < 2);
    }
    assert!(differing > 0, "the work never ran out");
}

#[test]
fn what_was_called_stays_in_the_report_of_a_run_that_began_again() {
    let plan = json!({"plan": [
        {"call": "get", "id": "m"},
        {"call": "send", "with": {"text": {"ref": "m"}}, "on_error": "continue"},
        {"call": "get", "with": {"as": "big"}, "id": "b"},
        {"return": {"m": {"ref": "m"}}}
    ]});
    let big = Value::String("x".repeat(MAX_WORK as usize + 1));
    let answers = [("get", Ok(Tree::new(&json!("s"), by("web")))), ("big", Ok(Tree::new(&big, by("web"))))];
    let ran = run(plan, &answers);
    assert_eq!(ran.tools(), ["get", "send", "get"]);
    let (Next::Done { report, .. } | Next::Failed { report, .. }) = &ran.end else { panic!() };
    assert!(!report.label.integrity.is_within(&user().integrity));
    let undone = report.value["undone"].as_array().unwrap();
    let before = &undone.last().unwrap()["before"];
    assert_eq!(before["done"], 2, "{}", report.value);
}

#[test]
fn a_long_list_is_not_gone_through() {
    let long = json!(vec![1; MAX_LIST + 1]);
    let problem = value_of(json!({"map": {"list": {"ref": "x"}, "to": 1}}), long.clone()).unwrap_err();
    assert!(problem.contains("more than 10000"));
    assert_eq!(value_of(json!({"length": {"ref": "x"}}), long), Ok(json!(MAX_LIST + 1)));
}

/// JSON that looks like a plan here and there.
fn likely() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        proptest::sample::select(expr::OPERATORS).prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "call", "with", "id", "let", "be", "if", "then", "else", "for", "in", "max", "do", "collect",
                "index", "return", "require", "endorse", "as", "on_error", "list", "where", "to", "by",
                "pattern", "group", "from", "at", "values", "text", "get", "send", "x", "item", "/0",
                "boolean", "stop"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        word.clone().prop_map(Value::String),
        any::<i32>().prop_map(Value::from),
        Just(json!({"ref": "x"})),
        Just(json!(true)),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::btree_map(word.clone(), inner.clone(), 0..4).prop_map(|map| json!(map)),
            (word.clone(), inner).prop_map(|(key, value)| json!({key: value})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_looks_like_a_plan_makes_the_parser_panic(steps in proptest::collection::vec(likely(), 0..6)) {
        let _either = Plan::parse(&json!({"plan": steps}), &Known::new());
    }

    #[test]
    fn no_operator_panics_on_any_values(operator in proptest::sample::select(expr::OPERATORS), operand in likely(), x in likely()) {
        let plan = json!({"plan": [
            {"call": "get", "with": {"as": "x"}, "id": "x"},
            {"let": "y", "be": {operator: operand}},
            {"let": "z", "be": {operator: [{"ref": "x"}, {"ref": "x"}]}},
            {"return": {"y": {"ref": "y"}}}
        ]});
        if Plan::parse(&plan, &Known::new()).is_ok() {
            run(plan, &[("x", Ok(Tree::new(&x, user())))]);
        }
    }

    #[test]
    fn a_plan_with_a_byte_changed_or_cut_is_read_or_refused(at in 0usize..400, to in any::<u8>()) {
        let plan = json!({"plan": [
            {"call": "get", "with": {"as": "x"}, "id": "x", "on_error": [{"let": "y", "be": 1}]},
            {"for": "r", "in": {"filter": {"list": {"ref": "x"}, "where": {"==": [{"ref": "item/n"}, 1]}}}, "max": 9, "do": [
                {"if": {"matches": {"in": {"ref": "r/t"}, "pattern": "^a(b|c)*"}}, "then": [{"call": "send", "with": {"t": {"ref": "r/t"}}}]}]},
            {"return": {"n": {"sum": {"map": {"list": {"ref": "x"}, "to": {"ref": "item/n"}}}}}}
        ]});
        let mut bytes = plan.to_string().into_bytes();
        let at = at % bytes.len();
        let _cut = serde_json::from_slice::<Value>(&bytes[..at]).map(|plan| Plan::parse(&plan, &Known::new()));
        bytes[at] = to;
        if let Ok(plan) = serde_json::from_slice::<Value>(&bytes)
            && Plan::parse(&plan, &Known::new()).is_ok() {
            run(plan, &[("x", Ok(Tree::new(&json!([{"n": 1, "t": "abc"}, {"n": 2}]), user())))]);
        }
    }
}
