//! The JSON Schema of the language and the examples of its page against the parser.

use std::collections::BTreeSet;

use regex::Regex;

use super::random::{Tooling, plan};
use super::*;

/// As much of JSON Schema as the schema uses; panics at what it does not know.
fn holds(schema: &Value, value: &Value, root: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(key, rule)| match key.as_str() {
        "$schema" | "title" | "description" | "$defs" => true,
        "$ref" => {
            holds(root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), value, root)
        }
        "anyOf" => rule.as_array().unwrap().iter().any(|one| holds(one, value, root)),
        "enum" => rule.as_array().unwrap().contains(value),
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap(), value)),
            kind => is(kind.as_str().unwrap(), value),
        },
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            rule.as_object()
                .unwrap()
                .iter()
                .all(|(key, rule)| object.get(key).is_none_or(|member| holds(rule, member, root)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let named = schema.get("properties").and_then(Value::as_object);
            let mut others =
                object.iter().filter(|(key, _)| named.is_none_or(|named| !named.contains_key(*key)));
            if rule.is_boolean() {
                others.next().is_none()
            } else {
                others.all(|(_, member)| holds(rule, member, root))
            }
        }),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| holds(rule, item, root))),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "maxLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap())
        }
        "pattern" => {
            value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
        }
        other => panic!("the test does not know {other}"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know {other}"),
    }
}

fn schema() -> Value {
    serde_json::from_str(INPUT_SCHEMA).unwrap()
}

/// The plans of the page, each a fenced block of JSON.
fn examples() -> Vec<Value> {
    let page = include_str!("../../../../../docs/plans.md");
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}\n{block}")))
        .collect()
}

/// Any tool, about which nothing is known.
struct Anything;

impl Tools for Anything {
    fn tool(&self, _name: &str) -> Option<Tool<'_>> {
        Some(Tool::default())
    }
}

#[test]
fn the_examples_of_the_page_are_plans() {
    let examples = examples();
    assert!(examples.len() >= 5);
    for example in examples {
        assert!(holds(&schema(), &example, &schema()), "{example:#}");
        Plan::parse(&example, &Anything).unwrap_or_else(|error| panic!("{error}\n{example:#}"));
    }
}

#[test]
fn the_schema_and_the_page_have_every_operator_and_no_other() {
    let schema = schema();
    let forms = schema.pointer("/$defs/expression/anyOf").and_then(Value::as_array).unwrap();
    let named: BTreeSet<&str> =
        forms.iter().filter_map(|form| form.get("required")?.get(0)?.as_str()).collect();
    assert_eq!(named, expr::OPERATORS.iter().copied().collect());
    let page = include_str!("../../../../../docs/plans.md");
    for operator in expr::OPERATORS {
        assert!(
            page.contains(&format!("`{operator}`")) || page.contains(&format!("`{{\"{operator}\":")),
            "docs/plans.md lacks {operator}"
        );
    }
}

#[test]
fn every_random_plan_holds_to_the_schema() {
    let schema = schema();
    for seed in 0..500 {
        let plan = plan(seed);
        assert!(Plan::parse(&plan, &Tooling).is_ok() && holds(&schema, &plan, &schema), "{plan:#}");
    }
}

#[test]
fn what_the_schema_refuses_the_parser_refuses_too() {
    let schema = schema();
    for seed in 0..500 {
        let mut plan = plan(seed);
        damage(&mut plan, &mut super::random::Dice(seed));
        if !holds(&schema, &plan, &schema) {
            assert!(
                Plan::parse(&plan, &Tooling).is_err(),
                "the schema refuses this, and the parser does not: {plan:#}"
            );
        }
    }
}

/// Renames a key or changes a value, somewhere.
fn damage(value: &mut Value, dice: &mut super::random::Dice) {
    match value {
        Value::Array(items) if !items.is_empty() && dice.roll(5) > 0 => {
            let at = dice.roll(items.len() as u64) as usize;
            damage(&mut items[at], dice);
        }
        Value::Object(members) if !members.is_empty() => {
            let at = dice.roll(members.len() as u64) as usize;
            let key = members.keys().nth(at).unwrap().clone();
            let mut member = members.remove(&key).unwrap();
            if dice.roll(8) == 0 {
                members.insert("other".to_owned(), member);
            } else {
                damage(&mut member, dice);
                members.insert(key, member);
            }
        }
        other => {
            *other =
                [json!(null), json!("first"), json!(-1.5), json!([]), json!({}), json!({"ref": "m", "at": 1})]
                    [dice.roll(6) as usize]
                    .clone()
        }
    }
}
