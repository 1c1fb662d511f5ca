//! What the operators and steps mean, and what is refused with which words.

use super::*;

#[track_caller]
fn check(expression: Value, given: Value, wanted: Value) {
    assert_eq!(value_of(expression.clone(), given), Ok(wanted), "{expression}");
}

#[track_caller]
fn fails(expression: Value, given: Value, why: &str) {
    let problem = value_of(expression.clone(), given).unwrap_err();
    assert!(problem.contains(why), "{expression}: {problem}");
}

fn x() -> Value {
    json!({"ref": "x"})
}

#[test]
fn scalars_lists_and_objects_are_built() {
    check(json!([1, "a", null, {"object": {"k": x()}}]), json!(true), json!([1, "a", null, {"k": true}]));
    check(json!({"literal": {"ref": "x"}}), json!(1), json!({"ref": "x"}));
}

#[test]
fn members_are_reached_by_pointer_and_by_name() {
    let given = json!({"a/b": [{"c": 7}], "Le Marais": "4.5"});
    check(json!({"ref": "x/a~1b/0/c"}), given.clone(), json!(7));
    check(json!({"get": {"from": x(), "at": "/Le Marais"}}), given.clone(), json!("4.5"));
    check(
        json!({"lookup": [x(), {"template": {"text": "Le {m}", "values": {"m": "Marais"}}}]}),
        given.clone(),
        json!("4.5"),
    );
    check(
        json!({"map": {"list": {"entries": x()}, "to": {"ref": "item/key"}}}),
        given.clone(),
        json!(["Le Marais", "a/b"]),
    );
    fails(json!({"ref": "x/none"}), given, "no member \"none\"");
}

#[test]
fn a_get_without_its_pointer_is_told_what_is_missing() {
    let plan = json!({"plan": [{"let": "x", "be": {"get": {"from": [1]}}}, {"return": {"x": x()}}]});
    let problem = refused(plan);
    assert!(problem.contains("the key \"at\" is missing: it has a pointer"), "{problem}");
}

#[test]
fn numbers_are_exact() {
    check(json!({"+": [x(), 0.2]}), json!(0.1), json!(0.3));
    check(
        json!({"round": {"number": {"+": [{"*": [x(), 0.195]}, 5.29]}, "decimals": 2}}),
        json!(1050.0),
        json!(210.04),
    );
    check(json!({"-": [{"/": [10, x()]}, 0.5]}), json!(4), json!(2));
    check(json!({"sum": x()}), json!([1, 2.5]), json!(3.5));
    check(json!({"sum": x()}), json!([]), json!(0));
    check(json!([{"max": x()}, {"min": x()}]), json!([1, 3, 2]), json!([3, 1]));
    check(json!({"==": [x(), 4]}), json!(4.0), json!(true));
    fails(json!({"/": [1, x()]}), json!(0), "division by zero");
    fails(json!({"*": [x(), x()]}), json!(i64::MAX as u64 * 2), "too many digits");
    fails(json!({"number": x()}), json!("12 apples"), "not a number");
    check(json!({"number": x()}), json!(" -12.50\n"), json!(-12.5));
}

#[test]
fn texts_are_matched_and_made() {
    let text = json!("Rent increased by 100.50 EUR\nIBAN: DE12\nIBAN: FR34");
    check(
        json!({"number": {"match": {"in": x(), "pattern": "increased by ([0-9.]+)"}}}),
        text.clone(),
        json!(100.5),
    );
    check(
        json!({"match_all": {"in": x(), "pattern": "IBAN: (?P<iban>\\w+)", "group": "iban"}}),
        text.clone(),
        json!(["DE12", "FR34"]),
    );
    check(json!({"matches": {"in": x(), "pattern": "(?i)rent"}}), text.clone(), json!(true));
    fails(json!({"match": {"in": x(), "pattern": "BIC: (.*)"}}), text.clone(), "does not match");
    check(json!({"length": {"lines": x()}}), text, json!(3));
    check(
        json!({"join": {"in": {"split": {"in": {"upper": {"trim": x()}}, "by": ","}}, "by": "-"}}),
        json!(" a,b "),
        json!("A-B"),
    );
    check(
        json!({"template": {"text": "{{{x}}} = {y}", "values": {"y": 1.50}}}),
        json!("x"),
        json!("{x} = 1.5"),
    );
    check(json!({"contains_ignoring_case": [x(), "RENT"]}), json!("my rent"), json!(true));
    check(
        json!([{"starts_with": [x(), "a"]}, {"ends_with": [x(), "a"]}, {"contains": [x(), "b"]}]),
        json!("ab"),
        json!([true, false, true]),
    );
    check(json!({"get": {"from": {"parse_json": x()}, "at": "/a"}}), json!("{\"a\": 1}"), json!(1));
    fails(json!({"parse_json": x()}), json!("{\"a\": 1, \"a\": 2}"), "not JSON");
}

#[test]
fn lists_are_searched_sorted_and_counted() {
    let rows = json!([{"n": 2, "t": "b"}, {"n": 3, "t": "a"}, {"n": 2, "t": "a"}]);
    let n = |of: &str| json!({of: {"list": {"ref": "x"}, "by": "/n"}});
    check(n("max_by"), rows.clone(), json!({"n": 3, "t": "a"}));
    check(n("min_by"), rows.clone(), json!({"n": 2, "t": "b"}));
    let both = json!({"sort_by": {"list": x(), "by": [{"at": "/n", "order": "descending"}, {"key": {"ref": "item/t"}}]}});
    check(both, rows.clone(), json!([{"n": 3, "t": "a"}, {"n": 2, "t": "a"}, {"n": 2, "t": "b"}]));
    let twos = json!({"filter": {"list": x(), "as": "row", "where": {"<": [{"ref": "row/n"}, 3]}}});
    check(json!({"length": twos}), rows.clone(), json!(2));
    fails(json!({"only": twos}), rows.clone(), "exactly one");
    check(json!({"map": {"list": x(), "to": {"ref": "item/t"}}}), rows.clone(), json!(["b", "a", "a"]));
    check(json!({"any": {"list": x(), "where": {"==": [{"ref": "item/n"}, 3]}}}), rows.clone(), json!(true));
    check(json!({"all": {"list": x(), "where": {"==": [{"ref": "item/n"}, 3]}}}), rows.clone(), json!(false));
    check(
        json!({"count_by": {"list": x(), "key": {"ref": "item/t"}}}),
        rows.clone(),
        json!([{"key": "b", "count": 1}, {"key": "a", "count": 2}]),
    );
    fails(json!({"sort_by": {"list": x(), "by": "/n"}}), json!([{"n": 1}, {"n": "1"}]), "not all numbers");
    check(
        json!([{"first": x()}, {"last": x()}, {"slice": {"list": x(), "from": 1, "count": 1}}]),
        json!([1, 2, 3]),
        json!([1, 3, [2]]),
    );
    fails(json!({"first": x()}), json!([]), "empty");
    check(json!({"unique": {"flatten": x()}}), json!([[1, 2], [2, 3]]), json!([1, 2, 3]));
    check(json!({"difference": [{"concat": [x(), [4]]}, [1, 4]]}), json!([1, 2]), json!([2]));
    check(json!([{"in": [1, x()]}, {"is_empty": x()}]), json!([1]), json!([true, false]));
}

#[test]
fn dates_are_counted() {
    check(json!({"add_time": {"to": x(), "days": 1}}), json!("2024-02-28"), json!("2024-02-29"));
    check(
        json!({"add_time": {"to": x(), "hours": 1, "minutes": 30}}),
        json!("2024-05-15T23:00"),
        json!("2024-05-16T00:30"),
    );
    check(
        json!([{"date_part": {"of": x(), "part": "weekday"}}, {"days_between": ["2024-05-01", x()]}]),
        json!("2024-05-15"),
        json!([3, 14]),
    );
    check(json!({"<": [x(), "2024-06-01"]}), json!("2024-05-15"), json!(true));
    fails(json!({"add_time": {"to": x(), "days": 1}}), json!("tomorrow"), "not a date");
    fails(json!({"add_time": {"to": x(), "hours": 1}}), json!("2024-05-15"), "hours were added to a date");
}

#[test]
fn a_failure_can_be_asked_about_and_replaced() {
    check(
        json!([{"failed": {"first": x()}}, {"default": [{"first": x()}, 7]}, {"default": [1, 2]}]),
        json!([]),
        json!([true, 7, 1]),
    );
    check(json!({"choose": [{">": [{"length": x()}, 1]}, "many", "few"]}), json!([1]), json!("few"));
    fails(json!({"and": [true, {"==": [{"first": x()}, 1]}]}), json!([]), "empty");
}

#[test]
fn what_depends_on_a_failure_is_not_done_and_the_rest_is() {
    let ran = run(
        json!({"plan": [
            {"call": "get", "with": {"as": "page"}, "id": "page"},
            {"let": "link", "be": {"match": {"in": {"ref": "page"}, "pattern": "http(.*)"}}},
            {"call": "send", "with": {"to": {"ref": "link"}}, "on_error": "continue"},
            {"if": {"==": [{"ref": "link"}, "x"]}, "then": [{"call": "send", "with": {"n": 1}}], "else": [{"call": "send", "with": {"n": 2}}]},
            {"for": "one", "in": [1, 2], "max": 2, "index": "i", "do": [{"call": "get", "with": {"n": {"ref": "i"}}}]},
            {"return": {"link": {"ref": "link"}, "done": true}}
        ]}),
        &[("page", Ok(Tree::new(&json!("no link"), user())))],
    );
    assert_eq!(ran.tools(), ["get", "get", "get"]);
    assert!(ran.output("link").is_err() && ran.output("done").is_ok());
    let Next::Done { report, .. } = ran.end else { unreachable!() };
    assert_eq!(report.value["done"], 3);
    assert_eq!(report.value["undone"][0]["is"], "not called");
    assert_eq!(report.value["undone"][1]["is"], "neither branch");
}

#[test]
fn a_failed_read_goes_on_and_a_failed_action_ends_the_plan_unless_the_step_says_otherwise() {
    let failed = || Err(Tree::new(&json!("no such file"), user()));
    let plan = |tool: &str, extra: Value| {
        let mut step = json!({"call": tool, "with": {"as": "bad"}, "id": "r"});
        step.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"plan": [step, {"call": "get", "with": {"as": "next"}}]})
    };
    let calls = |tool, extra| run(plan(tool, extra), &[("bad", failed())]).tools().len();
    assert_eq!(calls("get", json!({})), 2);
    assert_eq!(calls("get", json!({"on_error": "stop"})), 1);
    assert_eq!(calls("send", json!({})), 1);
    assert_eq!(calls("send", json!({"on_error": "continue"})), 2);
    assert_eq!(calls("send", json!({"on_error": [{"call": "send"}, {"call": "send"}]})), 4);
    let Next::Failed { step, why, .. } = run(plan("send", json!({})), &[("bad", failed())]).end else {
        unreachable!()
    };
    assert_eq!((step.as_str(), why.value), ("plan[0]", json!("no such file")));
}

#[test]
fn a_loop_collects_and_assigns_and_is_bounded() {
    let plan = |max: u64| {
        json!({"plan": [
            {"let": "sum", "be": 0},
            {"for": "n", "in": [5, 6, 7], "max": max, "index": "i", "id": "all", "collect": {"*": [{"ref": "n"}, {"ref": "i"}]},
             "do": [{"let": "sum", "be": {"+": [{"ref": "sum"}, {"ref": "n"}]}}]},
            {"return": {"sum": {"ref": "sum"}, "all": {"ref": "all"}}}
        ]})
    };
    let ran = run(plan(3), &[]);
    assert_eq!(ran.output("sum").unwrap().value, json!(18));
    assert_eq!(ran.output("all").unwrap().value, json!([5, 12, 21]));
    let ran = run(plan(2), &[]);
    assert!(ran.output("sum").unwrap_err().value.as_str().unwrap().contains("more than 2"));
    assert!(ran.output("all").is_err());
}

#[test]
fn a_requirement_that_does_not_hold_ends_the_plan() {
    let ran =
        run(json!({"plan": [{"require": {"==": [1, 2]}, "else": "one is not two"}, {"call": "get"}]}), &[]);
    assert!(ran.calls.is_empty());
    let Next::Failed { why, .. } = ran.end else { unreachable!() };
    assert_eq!(why.value, json!("one is not two"));
}

#[test]
fn every_call_of_a_run_has_its_own_place_and_the_same_answers_give_the_same_run() {
    let plan = json!({"plan": [
        {"for": "a", "in": [1, 2], "max": 2, "do": [
            {"for": "b", "in": [1, 2], "max": 2, "do": [{"if": {"==": [1, 1]}, "then": [{"call": "get"}]}]}]}
    ]});
    let places = || {
        let mut machine = Interpreter::new(parsed(plan.clone()), user());
        let mut places = Vec::new();
        while let Next::Call { step, .. } = machine.next() {
            assert!(machine.answer("elsewhere", Ok(Labelled { value: Value::Null, label: user() })).is_err());
            machine.answer(&step, Ok(Labelled { value: Value::Null, label: user() })).unwrap();
            assert!(machine.answer(&step, Ok(Labelled { value: Value::Null, label: user() })).is_err());
            places.push(step);
        }
        places
    };
    let first = places();
    assert_eq!(first[0], "plan[0].do[0].do[0].then[0]@1.1");
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    assert_eq!(first, places());
}

#[test]
fn a_refusal_says_where_and_what_to_write_instead() {
    let step = |step: Value| json!({"plan": [step]});
    let be = |expression: Value| json!({"plan": [{"let": "v", "be": expression}]});
    let mail = |with: Value| step(json!({"call": "mail", "with": with}));
    for (plan, wanted) in [
        (json!([]), "a plan is an object {\"plan\": [STEP, …]}"),
        (json!({"plan": [], "then": 1}), "the key \"then\""),
        (
            step(json!({"call": "mial"})),
            "plan[0]: there is no tool \"mial\"; the tools are get, mail and send",
        ),
        (step(json!({"call": "get", "let": "x"})), "exactly one of the keys"),
        (
            step(json!({"call": "get", "args": {}})),
            "the key \"args\" has no meaning here; the keys are call, with",
        ),
        (mail(json!({})), "needs the argument \"to\""),
        (mail(json!({"to": 1})), "plan[0].with.to: the tool wants a text here, and this is a number"),
        (mail(json!({"to": "a", "cc": "b"})), "has no argument \"cc\", but all, count, how and to"),
        (mail(json!({"to": "a", "how": "soon"})), "one of [\"fast\",\"slow\"]"),
        (mail(json!({"to": "a", "all": [1]})), "wants a list here"),
        (be(json!({"ref": "nobody"})), "nothing earlier is named \"nobody\""),
        (be(json!({"a": 1, "b": 2})), "{\"object\": {…}}"),
        (be(json!({"eval": 1})), "there is no operator \"eval\""),
        (be(json!({"==": [1, "1"]})), "never equal: convert one"),
        (be(json!({"==": [1]})), "2 operands are wanted"),
        (be(json!({"<": [1, "1"]})), "two numbers are compared"),
        (be(json!({"+": [1, "1"]})), "use {\"number\": …}"),
        (be(json!({"first": "text"})), "\"lines\" or \"split\""),
        (be(json!({"match": {"in": "a", "pattern": "(a)\\1"}})), "not a regular expression"),
        (be(json!({"match": {"in": "a", "pattern": "a", "group": 1}})), "put ( ) around"),
        (be(json!({"get": {"from": {"object": {"a": 1}}, "at": "/b"}})), "no member \"b\", but a"),
        (be(json!({"get": {"from": [1], "at": "/x"}})), "not a place in a list"),
        (be(json!({"template": {"text": "{"}})), "a brace stands alone"),
        (be(json!({"sort_by": {"list": [], "by": "date"}})), "not a JSON pointer"),
        (step(json!({"let": "1st", "be": 1})), "not a name"),
        (step(json!({"if": 1, "then": []})), "a condition is true or false"),
        (step(json!({"for": "x", "in": [], "do": []})), "\"max\": a whole number"),
        (step(json!({"for": "x", "in": 1, "max": 1, "do": []})), "a list is wanted"),
        (step(json!({"for": "x", "in": [], "max": 1, "do": [], "collect": 1})), "go together"),
        (step(json!({"for": "x", "in": [], "max": 1, "do": [{"let": "x", "be": 1}]})), "item of a loop"),
        (step(json!({"call": "get", "on_error": "ignore"})), "\"stop\", \"continue\" or a list"),
        (step(json!({"endorse": "x", "be": 1, "as": "text"})), "\"boolean\", \"date\""),
        (json!({"plan": [{"return": {}}, {"call": "get"}]}), "the last step of the whole plan"),
        (
            json!({"plan": [{"if": true, "then": [{"let": "x", "be": 1}]}, {"return": {"x": {"ref": "x"}}}]}),
            "not only in one branch",
        ),
        (
            json!({"plan": [{"call": "mail", "with": {"to": "a"}, "id": "m"}, {"let": "v", "be": {"ref": "m/row"}}]}),
            "no member \"row\", but rows",
        ),
        (
            json!({"plan": [{"call": "mail", "with": {"to": "a"}, "id": "m"}, {"let": "v", "be": {"+": [{"ref": "m/rows/0/n"}, {"ref": "m/rows"}]}}]}),
            "a number is wanted here, and this is a list",
        ),
    ] {
        let problem = refused(plan.clone());
        assert!(problem.contains(wanted), "{plan}\nsays: {problem}\nnot:  {wanted}");
    }
}

#[test]
fn a_name_from_both_branches_or_from_before_may_be_used_after() {
    parsed(json!({"plan": [
        {"let": "a", "be": 1},
        {"if": true, "then": [{"let": "b", "be": 1}, {"let": "a", "be": "x"}], "else": [{"let": "b", "be": "y"}]},
        {"let": "c", "be": {"==": [{"ref": "a"}, {"ref": "b"}]}}
    ]}));
}

#[test]
fn an_endorsement_holds_for_values_of_its_set_only_and_writes_them_one_way() {
    let plan = |value: Value, shape: Value| json!({"plan": [{"endorse": "v", "be": value, "as": shape}, {"return": {"v": {"ref": "v"}}}]});
    let number = json!({"number": {"min": 0, "max": 5, "decimals": 1}});
    let given = |value, shape| run(plan(value, shape), &[]).output("v").map(|v| v.value.to_string()).ok();
    assert_eq!(given(json!(4.0), number.clone()), Some("4".to_owned()));
    assert_eq!(given(json!(4.5), number.clone()), Some("4.5".to_owned()));
    assert_eq!(given(json!(4.55), number.clone()), None);
    assert_eq!(given(json!(5.1), number.clone()), None);
    assert_eq!(given(json!("4"), number.clone()), None);
    assert_eq!(given(json!("b"), json!({"one_of": ["a", "b"]})), Some("\"b\"".to_owned()));
    assert_eq!(given(json!("ab1"), json!({"text": {"pattern": "[a-z]+", "max_bytes": 9}})), None);
    assert_eq!(given(json!("2024-05-15T10:00"), json!("date")), None);
    let mut machine = Interpreter::new(parsed(plan(json!(1), number)), user());
    let Next::Endorse { shape, step, .. } = machine.next() else { unreachable!() };
    assert!((shape.bits() - 52f64.log2()).abs() < 1e-9);
    machine.endorsed(&step, &by("guard")).unwrap();
    let Next::Done { outputs, .. } = machine.next() else { unreachable!() };
    assert_eq!(outputs["v"].as_ref().unwrap().label.integrity, by("guard").join(&user()).integrity);
}

#[test]
fn whoever_approves_a_plan_sees_its_calls_as_they_are_written() {
    let plan = parsed(json!({"plan": [
        {"call": "get", "id": "x"},
        {"for": "r", "in": {"ref": "x"}, "max": 3, "do": [
            {"call": "mail", "with": {"to": "a@b.c", "all": ["a", {"literal": "b"}], "count": {"length": {"ref": "x"}}}}]}
    ]}));
    let calls = plan.calls();
    assert_eq!((calls[1].at.as_str(), calls[1].tool.as_str()), ("plan[1].do[0]", "mail"));
    let wanted = [("all", Some(json!(["a", "b"]))), ("count", None), ("to", Some(json!("a@b.c")))];
    assert_eq!(
        calls[1].arguments,
        wanted.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    );
}
