//! A question in Cedar's terms.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use cedar_policy::{Context, Entities, Entity, Request, RestrictedExpression as Expression};
use serde_json::{Number, Value};

use super::model;
use super::needs::Wanted;
use super::question::{Action, Question, Used};
use crate::label::{Integrity, Label, Names, Readers};
use crate::policy::config::{ANYONE, EVERYONE};

/// Values among the arguments that policies may look at.
const MAX_VALUES: usize = 1_000;
/// Levels of nesting.
const MAX_DEPTH: usize = 32;
/// Bytes of texts.
const MAX_TEXT: usize = 1 << 20;

/// The request and the entities for `question`, as far as they are wanted.
pub(super) fn of<'a>(
    question: &Question<'a>,
    wanted: Wanted<'_>,
) -> Result<(Request, Cow<'a, Entities>), String> {
    let action = model::action(question.action);
    let context = context(question, wanted)?;
    let principal = model::principal(question.principal);
    let resource = question.target.uid.clone();
    let mut extra = Vec::new();
    if wanted.attribute("run")
        && let Some(run) = question.run
    {
        extra.push(Entity::new_no_attrs(model::run(run), [principal.clone()].into()));
    }
    if has_arguments(question.action) && wanted.attribute("arguments") {
        extra.push(arguments(question.arguments, wanted)?);
    }
    let target = question.target;
    let mut entities = Cow::Borrowed(if wanted.actions() { &target.with_actions } else { &target.entities });
    if !extra.is_empty() {
        let with = entities.into_owned().add_entities(extra, None);
        entities = Cow::Owned(with.map_err(|error| error.to_string())?);
    }
    let request =
        Request::new(principal, action, resource, context, None).map_err(|error| error.to_string())?;
    Ok((request, entities))
}

const fn has_arguments(action: Action) -> bool {
    matches!(action, Action::Call | Action::Read | Action::Get)
}

fn context(question: &Question<'_>, wanted: Wanted<'_>) -> Result<Context, String> {
    let mut pairs: Vec<(String, Expression)> = Vec::with_capacity(7);
    let mut add = |name: &str, make: &dyn Fn() -> Result<Option<Expression>, String>| -> Result<(), String> {
        if wanted.attribute(name)
            && let Some(value) = make()?
        {
            pairs.push((name.to_owned(), value));
        }
        Ok(())
    };
    add("run", &|| Ok(question.run.map(|run| Expression::new_entity_uid(model::run(run)))))?;
    add("time", &|| time(question.seconds).map(Some))?;
    add("used", &|| used(question.used).map(Some))?;
    if question.action != Action::List {
        add("control", &|| label(question.control).map(Some))?;
        add("data", &|| label(question.data).map(Some))?;
    }
    if has_arguments(question.action) {
        add("plan", &|| Ok(Some(Expression::new_bool(question.plan))))?;
        add("arguments", &|| Ok(Some(Expression::new_entity_uid(model::arguments()))))?;
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn record<const N: usize>(fields: [(&str, Expression); N]) -> Result<Expression, String> {
    Expression::new_record(fields.map(|(name, value)| (name.to_owned(), value)))
        .map_err(|error| error.to_string())
}

fn texts<'a>(names: impl IntoIterator<Item = &'a str>) -> Expression {
    Expression::new_set(names.into_iter().map(|name| Expression::new_string(name.to_owned())))
}

fn label(label: &Label) -> Result<Expression, String> {
    let of = |names: &Names| texts(names.iter().map(|name| &**name));
    let influencers = match &label.integrity {
        Integrity::Of(names) => of(names),
        Integrity::Anyone => texts([ANYONE]),
    };
    let readers = match &label.readers {
        Readers::Only(names) => of(names),
        Readers::Everyone => texts([EVERYONE]),
    };
    record([("influencers", influencers), ("readers", readers), ("origins", of(&label.provenance))])
}

fn used(used: Used) -> Result<Expression, String> {
    let long = |calls: u64| Expression::new_long(i64::try_from(calls).unwrap_or(i64::MAX));
    record([("run", long(used.run)), ("tool", long(used.tool)), ("hour", long(used.hour))])
}

const WEEKDAYS: [&str; 7] = ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];

/// 1 January 1970 was a Thursday.
fn time(seconds: i64) -> Result<Expression, String> {
    let day = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    let weekday =
        usize::try_from(day.rem_euclid(7)).ok().and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or("");
    record([
        ("seconds", Expression::new_long(seconds)),
        ("weekday", Expression::new_string(weekday.to_owned())),
        ("hour", Expression::new_long(second.div_euclid(3_600))),
        ("minute", Expression::new_long(second.div_euclid(60).rem_euclid(60))),
    ])
}

/// The entity whose tags are the arguments.
fn arguments(arguments: &BTreeMap<String, Value>, wanted: Wanted<'_>) -> Result<Entity, String> {
    let mut tags = Tags { wanted, found: HashMap::new(), text: 0 };
    let mut pointer = String::new();
    for (name, value) in arguments {
        tags.at(&mut pointer, name, value, MAX_DEPTH)?;
    }
    Entity::new_with_tags(model::arguments(), [], [], tags.found).map_err(|error| error.to_string())
}

struct Tags<'a> {
    wanted: Wanted<'a>,
    found: HashMap<String, Expression>,
    text: usize,
}

impl Tags<'_> {
    /// The member `key` of what `pointer` points to.
    fn at(&mut self, pointer: &mut String, key: &str, value: &Value, depth: usize) -> Result<(), String> {
        let before = pointer.len();
        pointer.push('/');
        push_escaped(pointer, key);
        let result = self.value(pointer, value, depth);
        pointer.truncate(before);
        result
    }

    fn value(&mut self, pointer: &mut String, value: &Value, depth: usize) -> Result<(), String> {
        if self.wanted.argument(pointer) {
            if self.found.len() >= MAX_VALUES {
                return Err(format!("more than the {MAX_VALUES} arguments that policies can look at"));
            }
            let described = self.describe(pointer, value)?;
            self.found.insert(pointer.clone(), described);
        }
        let before = pointer.len();
        pointer.push('/');
        let inside = self.wanted.inside(pointer);
        pointer.truncate(before);
        if !inside || !matches!(value, Value::Array(_) | Value::Object(_)) {
            return Ok(());
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!(
                "the arguments nest deeper than the {MAX_DEPTH} levels that policies can look at"
            ));
        };
        match value {
            Value::Array(values) => {
                for (at, value) in values.iter().enumerate() {
                    self.at(pointer, &at.to_string(), value, depth)?;
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    self.at(pointer, key, value, depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn describe(&mut self, pointer: &str, value: &Value) -> Result<Expression, String> {
        let kind = |kind: &str| ("kind", Expression::new_string(kind.to_owned()));
        let size = |size: usize| ("size", Expression::new_long(i64::try_from(size).unwrap_or(i64::MAX)));
        match value {
            Value::Null => record([kind("null")]),
            Value::Bool(value) => record([kind("boolean"), ("boolean", Expression::new_bool(*value))]),
            Value::Number(number) => self.number(pointer, number),
            Value::String(text) => record([kind("text"), ("text", self.take(text)?)]),
            Value::Array(values) => {
                let all_texts: Option<Vec<&String>> = values
                    .iter()
                    .map(|value| match value {
                        Value::String(text) => Some(text),
                        _ => None,
                    })
                    .collect();
                match all_texts {
                    Some(texts) if texts.len() <= MAX_VALUES => {
                        let mut set = Vec::with_capacity(texts.len());
                        for text in texts {
                            set.push(self.take(text)?);
                        }
                        record([kind("list"), size(values.len()), ("texts", Expression::new_set(set))])
                    }
                    Some(_) => Err(format!(
                        "the list at {pointer} has more than the {MAX_VALUES} texts that policies can look at"
                    )),
                    None => record([kind("list"), size(values.len())]),
                }
            }
            Value::Object(members) => record([kind("object"), size(members.len())]),
        }
    }

    fn take(&mut self, text: &str) -> Result<Expression, String> {
        self.text = self.text.saturating_add(text.len());
        if self.text > MAX_TEXT {
            return Err(format!(
                "the arguments are longer than the {MAX_TEXT} bytes that policies can look at"
            ));
        }
        Ok(Expression::new_string(text.to_owned()))
    }

    /// A number, exactly or not at all: a policy that compares it must not be led past by one that it cannot see.
    fn number(&self, pointer: &str, number: &Number) -> Result<Expression, String> {
        let integer = number.as_i64().or_else(|| number.as_f64().and_then(whole));
        let text = match integer {
            Some(integer) => format!("{integer}.0"),
            // The shortest text that reads back as the same number, as JSON writes it.
            None => number.as_f64().map(|float| float.to_string()).unwrap_or_default(),
        };
        // Making one costs more than everything else here.
        let decimal = if self.wanted.decimals() { decimal(&text) } else { None };
        if decimal.is_none() && self.wanted.decimals() {
            return Err(format!(
                "policies cannot compare the number at {pointer} exactly (four decimals, 14 digits)"
            ));
        }
        if integer.is_none() && self.wanted.integers() && !self.wanted.decimals() {
            return Err(format!("policies look at whole numbers only, and the number at {pointer} is none"));
        }
        let kind = if integer.is_some() { "integer" } else { "number" };
        let fields = [
            Some(("kind", Expression::new_string(kind.to_owned()))),
            integer.map(|integer| ("integer", Expression::new_long(integer))),
            decimal.map(|decimal| ("decimal", decimal)),
        ];
        Expression::new_record(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)))
            .map_err(|error| error.to_string())
    }
}

/// `1.0` is the same number as `1`, for whoever counts money.
fn whole(float: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    let whole = (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    whole
}

/// Cedar's decimal: up to four digits after the point, the whole within 64 bits.
fn decimal(text: &str) -> Option<Expression> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // 2^63 / 10^4 has 15 digits; one fewer is surely within.
    (plain(digits) && plain(fraction) && fraction.len() <= 4 && digits.len() <= 14)
        .then(|| Expression::new_decimal(text))
}

/// RFC 6901.
fn push_escaped(pointer: &mut String, key: &str) {
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
