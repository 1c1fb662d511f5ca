//! Which labels arrive where.

use super::*;

fn influencers(label: &Label) -> String {
    match &label.integrity {
        Integrity::Of(names) => names.to_string(),
        Integrity::Anyone => "anyone".to_owned(),
    }
}

/// `get` of `rows` gives a list whose length is the bank's and whose texts are strangers'.
fn rows() -> Tree {
    let mut rows = Tree::new(&json!([{"n": 1, "t": "rent"}, {"n": 2, "t": "food"}]), by("bank"));
    assert_eq!(rows.join_at("/*/t", &by("payer")), 2);
    rows
}

#[track_caller]
fn check(steps: Value, wanted: &[&str]) {
    let mut plan = vec![json!({"call": "get", "with": {"as": "rows"}, "id": "rows"})];
    plan.extend(steps.as_array().unwrap().clone());
    let ran = run(json!({"plan": plan}), &[("rows", Ok(rows()))]);
    let seen = ran.calls.iter().skip(1).map(|(_, arguments, pc)| {
        let arguments =
            arguments.iter().map(|(name, value)| format!(" {name}: {}", influencers(&value.label)));
        format!("{}{}", influencers(pc), arguments.collect::<String>())
    });
    assert_eq!(seen.collect::<Vec<_>>(), wanted);
}

#[test]
fn fields_keep_their_own_labels() {
    check(
        json!([{"call": "send", "with": {"n": {"ref": "rows/0/n"}, "t": {"ref": "rows/0/t"}, "all": {"ref": "rows"}, "l": 1}}]),
        &["user all: bank, payer and user l: user n: bank and user t: bank, payer and user"],
    );
}

#[test]
fn a_selection_carries_what_it_looked_at() {
    check(
        json!([
            {"let": "rent", "be": {"first": {"filter": {"list": {"ref": "rows"}, "where": {"contains": [{"ref": "item/t"}, "rent"]}}}}},
            {"let": "one", "be": {"first": {"filter": {"list": {"ref": "rows"}, "where": {"==": [{"ref": "item/n"}, 1]}}}}},
            {"let": "most", "be": {"max_by": {"list": {"ref": "rows"}, "by": "/t"}}},
            {"call": "get", "with": {"most": {"ref": "most/n"}, "one": {"ref": "one/n"}, "rent": {"ref": "rent/n"}}}
        ]),
        &["user most: bank, payer and user one: bank and user rent: bank, payer and user"],
    );
}

#[test]
fn a_loop_runs_under_the_label_of_how_many_there_are() {
    check(
        json!([{"for": "row", "in": {"ref": "rows"}, "max": 9, "do": [
            {"call": "send", "with": {"t": {"ref": "row/t"}}, "on_error": "continue"}]}, {"call": "get"}]),
        &["bank and user t: bank, payer and user", "bank and user t: bank, payer and user", "user"],
    );
}

#[test]
fn a_branch_runs_under_the_label_of_its_condition_and_leaves_it_where_it_might_have_assigned() {
    check(
        json!([
            {"let": "a", "be": 1}, {"let": "b", "be": 1}, {"let": "c", "be": 1},
            {"if": {"==": [{"ref": "rows/0/t"}, "rent"]},
             "then": [{"let": "a", "be": 2}, {"call": "get"}], "else": [{"let": "b", "be": 2}]},
            {"call": "get", "with": {"a": {"ref": "a"}, "b": {"ref": "b"}, "c": {"ref": "c"}}}
        ]),
        &["bank, payer and user", "user a: bank, payer and user b: bank, payer and user c: user"],
    );
}

#[test]
fn what_may_end_the_plan_marks_all_that_follows() {
    let after = "bank, payer and user";
    check(json!([{"require": {"==": [{"ref": "rows/0/t"}, "rent"]}}, {"call": "get"}]), &[after]);
    check(
        json!([{"if": {"==": [{"ref": "rows/0/t"}, "food"]}, "then": [{"require": true}]}, {"call": "get"}]),
        &[after],
    );
    check(
        json!([{"call": "send", "with": {"t": {"ref": "rows/0/t"}}}, {"call": "get"}]),
        &["user t: bank, payer and user", after],
    );
    check(
        json!([{"call": "send", "with": {"t": {"ref": "rows/0/t"}}, "on_error": "continue"}, {"call": "get"}]),
        &["user t: bank, payer and user", "user"],
    );
}

#[test]
fn a_choice_between_values_marks_the_value_only() {
    check(
        json!([
            {"let": "v", "be": {"choose": [{"==": [{"ref": "rows/0/t"}, "rent"]}, 1, 2]}},
            {"call": "get", "with": {"v": {"ref": "v"}}}
        ]),
        &["user v: bank, payer and user"],
    );
}

#[test]
fn an_endorsed_condition_leaves_the_counter_clean() {
    let plan = parsed(json!({"plan": [
        {"call": "get", "with": {"as": "rows"}, "id": "rows"},
        {"endorse": "is_rent", "be": {"==": [{"ref": "rows/0/t"}, "rent"]}, "as": "boolean"},
        {"if": {"ref": "is_rent"}, "then": [{"call": "send"}]}
    ]}));
    let mut machine = Interpreter::new(plan, user());
    let Next::Call { step, .. } = machine.next() else { unreachable!() };
    machine.answer(&step, Answer { outcome: Ok(rows()), status: None }).unwrap();
    let Next::Endorse { step, value, shape, pc } = machine.next() else { unreachable!() };
    assert_eq!(
        (influencers(&value.label), influencers(&pc)),
        ("bank, payer and user".to_owned(), "user".to_owned())
    );
    assert!(shape.bits() < 1.6);
    machine.endorsed(&step, &by("user")).unwrap();
    let Next::Call { pc, .. } = machine.next() else { unreachable!() };
    assert_eq!(influencers(&pc), "user");
}

#[test]
fn a_status_label_says_less_than_the_result() {
    let plan = parsed(
        json!({"plan": [{"call": "send", "id": "page"}, {"call": "send", "with": {"t": {"ref": "page"}}}]}),
    );
    let mut machine = Interpreter::new(plan, user());
    let Next::Call { step, .. } = machine.next() else { unreachable!() };
    let outcome = Ok(Tree::new(&json!("words"), by("web")));
    machine.answer(&step, Answer { outcome, status: Some(by("server")) }).unwrap();
    let Next::Call { arguments, pc, .. } = machine.next() else { unreachable!() };
    assert_eq!(influencers(&pc), "server and user");
    assert_eq!(influencers(&arguments["t"].label), "server, user and web");
}

#[test]
fn an_error_tells_under_its_own_label() {
    let ran = run(
        json!({"plan": [{"call": "get", "with": {"as": "page"}, "id": "page"}, {"return": {"page": {"ref": "page"}}}]}),
        &[("page", Err(Tree::new(&json!("the page says: ignore"), by("web"))))],
    );
    let problem = ran.output("page").unwrap_err();
    assert_eq!(
        (problem.value, influencers(&problem.label)),
        (json!("the page says: ignore"), "user and web".to_owned())
    );
    let Next::Done { report, .. } = ran.end else { unreachable!() };
    assert_eq!(influencers(&report.label), "user and web");
}

#[test]
fn readers_shrink_as_influencers_grow() {
    let secret = Label { readers: Readers::Only(["user"].into_iter().collect()), ..Label::constant() };
    let ran = run(
        json!({"plan": [{"call": "get", "with": {"as": "s"}, "id": "s"}, {"call": "send", "with": {"s": {"template": {"text": "{s}!"}}}}]}),
        &[("s", Ok(Tree::new(&json!("pin"), secret)))],
    );
    let (_, arguments, pc) = &ran.calls[1];
    assert!(!arguments["s"].label.readers.includes("server:mail") && pc.readers.includes("server:mail"));
}
