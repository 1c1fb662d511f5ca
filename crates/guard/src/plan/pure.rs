//! Operations on whole values. They see no labels: their result is under those of all operands.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::label::Label;
use crate::wire::{Limits, parse_value};

use super::date::Moment;
use super::decimal::Decimal;
use super::eval::{Result, Work};
use super::expr::{Op, Part, Pattern};
use super::tree::{Node, Tree};
use super::{MAX_DEPTH, MAX_LIST, MAX_TEXT, MAX_WORK};

/// A value, or why there is none. The reason names no content.
pub(super) type Made = std::result::Result<Node, String>;

/// Applies `op`. The operands' sizes were paid for.
pub(super) fn apply(op: &Op, operands: &[Tree], work: &mut Work) -> Result<Made> {
    let made = match (op, operands) {
        (Op::Equal, [a, b]) => Ok(Node::Bool(equal(a, b))),
        (Op::NotEqual, [a, b]) => Ok(Node::Bool(!equal(a, b))),
        (Op::Less, [a, b]) => compared(a, b, Ordering::is_lt),
        (Op::LessOrEqual, [a, b]) => compared(a, b, Ordering::is_le),
        (Op::Greater, [a, b]) => compared(a, b, Ordering::is_gt),
        (Op::GreaterOrEqual, [a, b]) => compared(a, b, Ordering::is_ge),
        (Op::And, all) => truths(all).map(|all| Node::Bool(!all.contains(&false))),
        (Op::Or, all) => truths(all).map(|all| Node::Bool(all.contains(&true))),
        (Op::Not, [a]) => truth(a).map(|a| Node::Bool(!a)),
        (Op::Add, all) => folded(all, Decimal::add),
        (Op::Multiply, all) => folded(all, Decimal::mul),
        (Op::Subtract, all) => folded(all, Decimal::sub),
        (Op::Divide, [_, b]) if decimal(b) == Ok(Decimal::ZERO) => Err("a division by zero".to_owned()),
        (Op::Divide, all) => folded(all, Decimal::div),
        (Op::Round(decimals), [a]) => decimal(a).and_then(|a| number(a.round(*decimals))),
        (Op::Sum, [list]) => list_of(list).and_then(|items| {
            if items.is_empty() { number(Some(Decimal::ZERO)) } else { folded(items, Decimal::add) }
        }),
        (Op::Min, [list]) => extreme(list, Ordering::Less),
        (Op::Max, [list]) => extreme(list, Ordering::Greater),
        (Op::Contains, [a, b]) => contains(a, b),
        (Op::In, [a, b]) => contains(b, a),
        (Op::ContainsIgnoringCase, [a, b]) => {
            both(a, b).map(|(a, b)| Node::Bool(a.to_lowercase().contains(&b.to_lowercase())))
        }
        (Op::StartsWith, [a, b]) => both(a, b).map(|(a, b)| Node::Bool(a.starts_with(b))),
        (Op::EndsWith, [a, b]) => both(a, b).map(|(a, b)| Node::Bool(a.ends_with(b))),
        (Op::Unique, [list]) => return without(list, &[], work),
        (Op::Difference, [list, other]) => match list_of(other) {
            Ok(other) => return without(list, other, work),
            Err(problem) => Err(problem),
        },
        (Op::Lower, [a]) => text(a).map(|a| Node::text(&a.to_lowercase())),
        (Op::Upper, [a]) => text(a).map(|a| Node::text(&a.to_uppercase())),
        (Op::Trim, [a]) => text(a).map(|a| Node::text(a.trim())),
        (Op::Lines, [a]) => text(a).and_then(|a| pieces(a.lines())),
        (Op::Split(by), [a]) => text(a).and_then(|a| pieces(a.split(by.as_str()))),
        (Op::Join(by), [list]) => joined(list, by),
        (Op::Number, [a]) => match &a.node {
            Node::Text(text) => Decimal::parse(text.trim())
                .and_then(Decimal::to_number)
                .map(Node::Number)
                .ok_or_else(|| "the text is not a number such as -12.50".to_owned()),
            _ => decimal(a).and_then(|a| number(Some(a))),
        },
        (Op::Text, [a]) => Ok(Node::text(&written(a))),
        (Op::ParseJson, [a]) => text(a).and_then(|a| {
            let limits = Limits { bytes: MAX_TEXT, depth: MAX_DEPTH / 2, values: 1 << 17 };
            let value = parse_value(a.as_bytes(), &limits);
            value.map(|value| Node::of(&value)).map_err(|_| "the text is not JSON".to_owned())
        }),
        (Op::Matches(pattern), [a]) => match text(a) {
            Ok(a) => {
                search(pattern, a, work)?;
                Ok(Node::Bool(pattern.regex.is_match(a)))
            }
            Err(problem) => Err(problem),
        },
        (Op::Match(pattern, group), [a]) => match text(a) {
            Ok(a) => {
                search(pattern, a, work)?;
                let found = pattern.regex.captures(a).and_then(|found| found.get(*group));
                found
                    .map(|found| Node::text(found.as_str()))
                    .ok_or_else(|| "the pattern does not match".to_owned())
            }
            Err(problem) => Err(problem),
        },
        (Op::MatchAll(pattern, group), [a]) => match text(a) {
            Ok(a) => {
                search(pattern, a, work)?;
                let found = pattern.regex.captures_iter(a).take(MAX_LIST + 1);
                pieces(found.filter_map(|found| found.get(*group)).map(|found| found.as_str()))
            }
            Err(problem) => Err(problem),
        },
        (Op::Template(parts), operands) => template(parts, operands),
        (Op::DatePart(part), [a]) => moment(a).and_then(|moment| {
            let part = moment.part(part).ok_or_else(|| "there is no such part".to_owned());
            part.map(|part| Node::Number(part.into()))
        }),
        (Op::AddTime, [to, days, hours, minutes]) => {
            add_time(to, [(days, 86_400), (hours, 3_600), (minutes, 60)])
        }
        (Op::DaysBetween, [a, b]) => {
            moment(a).and_then(|a| moment(b).map(|b| Node::Number(b.days_since(a).into())))
        }
        // INVARIANT: the reader of plans counted the operands.
        _ => Err("another number of operands is wanted".to_owned()),
    };
    match made {
        Ok(node) => bounded(node, work),
        Err(problem) => Ok(Err(problem)),
    }
}

/// Pays for what was made, and holds texts to their bound.
fn bounded(node: Node, work: &mut Work) -> Result<Made> {
    if let Node::Text(text) = &node
        && text.len() > MAX_TEXT
    {
        return Ok(Err(format!("a text of more than {MAX_TEXT} bytes")));
    }
    let tree = Tree { label: Label::constant(), node };
    work.visit(&tree)?;
    Ok(Ok(tree.node))
}

/// A search is linear in the text, with a factor that grows with the pattern.
fn search(pattern: &Pattern, text: &str, work: &mut Work) -> Result<()> {
    let factor = 1 + pattern.source.len() as u64 / 16;
    work.spend((text.len() as u64).saturating_mul(factor))
}

/// Equality of content; numbers are equal by value.
pub(super) fn equal(a: &Tree, b: &Tree) -> bool {
    match (&a.node, &b.node) {
        (Node::Number(x), Node::Number(y)) => match (Decimal::of(x), Decimal::of(y)) {
            (Some(x), Some(y)) => x == y,
            _ => x == y,
        },
        (Node::List(x), Node::List(y)) => {
            x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| equal(x, y))
        }
        (Node::Object(x), Node::Object(y)) => {
            x.len() == y.len() && x.iter().zip(y.iter()).all(|((a, x), (b, y))| a == b && equal(x, y))
        }
        (x, y) => x == y,
    }
}

/// The order of two numbers, texts or booleans.
pub(super) fn order(a: &Tree, b: &Tree) -> Option<Ordering> {
    match (&a.node, &b.node) {
        (Node::Number(a), Node::Number(b)) => Some(Decimal::of(a)?.compare(Decimal::of(b)?)),
        (Node::Text(a), Node::Text(b)) => Some(a.cmp(b)),
        (Node::Bool(a), Node::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn compared(a: &Tree, b: &Tree, holds: fn(Ordering) -> bool) -> Made {
    let order = order(a, b).ok_or("only two numbers or two texts can be compared")?;
    Ok(Node::Bool(holds(order)))
}

fn wanted(what: &str, tree: &Tree) -> String {
    format!("{what} is wanted, and this is {}", tree.node.kind())
}

fn text(tree: &Tree) -> std::result::Result<&str, String> {
    if let Node::Text(text) = &tree.node { Ok(text) } else { Err(wanted("a text", tree)) }
}

fn both<'a>(a: &'a Tree, b: &'a Tree) -> std::result::Result<(&'a str, &'a str), String> {
    Ok((text(a)?, text(b)?))
}

fn truth(tree: &Tree) -> std::result::Result<bool, String> {
    if let Node::Bool(truth) = tree.node { Ok(truth) } else { Err(wanted("true or false", tree)) }
}

fn truths(trees: &[Tree]) -> std::result::Result<Vec<bool>, String> {
    trees.iter().map(truth).collect()
}

fn decimal(tree: &Tree) -> std::result::Result<Decimal, String> {
    let Node::Number(number) = &tree.node else { return Err(wanted("a number", tree)) };
    Decimal::of(number).ok_or_else(|| "the number has too many digits".to_owned())
}

fn number(value: Option<Decimal>) -> Made {
    let number = value.and_then(Decimal::to_number);
    number.map(Node::Number).ok_or_else(|| "the result has too many digits".to_owned())
}

fn folded(operands: &[Tree], with: fn(Decimal, Decimal) -> Option<Decimal>) -> Made {
    let mut numbers = operands.iter().map(decimal);
    let first = numbers.next().ok_or("there are no numbers")??;
    let mut result = Some(first);
    for next in numbers {
        let next = next?;
        result = result.and_then(|result| with(result, next));
    }
    number(result)
}

fn list_of(tree: &Tree) -> std::result::Result<&[Tree], String> {
    match &tree.node {
        Node::List(items) if items.len() <= MAX_LIST => Ok(items),
        Node::List(_) => Err(format!("a list of more than {MAX_LIST} elements")),
        _ => Err(wanted("a list", tree)),
    }
}

fn extreme(list: &Tree, side: Ordering) -> Made {
    let mut items = list_of(list)?.iter();
    let mut best = items.next().ok_or("the list is empty")?;
    for item in items {
        if order(item, best).ok_or("only numbers or only texts can be compared")? == side {
            best = item;
        }
    }
    Ok(best.node.clone())
}

fn contains(whole: &Tree, part: &Tree) -> Made {
    match (&whole.node, &part.node) {
        (Node::Text(whole), Node::Text(part)) => Ok(Node::Bool(whole.contains(&**part))),
        (Node::List(items), _) => Ok(Node::Bool(items.iter().any(|item| equal(item, part)))),
        (Node::Object(members), Node::Text(name)) => Ok(Node::Bool(members.contains_key(name))),
        _ => Err(format!("{} cannot contain {}", whole.node.kind(), part.node.kind())),
    }
}

/// The elements once each, without those of `others`.
fn without(list: &Tree, others: &[Tree], work: &mut Work) -> Result<Made> {
    let items = match list_of(list) {
        Ok(items) => items,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut kept: Vec<Tree> = Vec::new();
    for item in items {
        work.spend(comparisons(item, kept.len() + others.len()))?;
        if !kept.iter().chain(others).any(|known| equal(known, item)) {
            kept.push(item.clone());
        }
    }
    Ok(Ok(Node::List(Arc::new(kept))))
}

/// What it costs to compare `tree` with `count` others.
pub(super) fn comparisons(tree: &Tree, count: usize) -> u64 {
    let size = tree.size(MAX_WORK, MAX_DEPTH).unwrap_or(MAX_WORK);
    (1 + size / 32).saturating_mul(count as u64)
}

fn pieces<'a>(parts: impl Iterator<Item = &'a str>) -> Made {
    let parts = parts.take(MAX_LIST + 1);
    let parts: Vec<_> = parts.map(|part| Tree { label: Label::constant(), node: Node::text(part) }).collect();
    if parts.len() > MAX_LIST {
        return Err(format!("more than {MAX_LIST} parts"));
    }
    Ok(Node::List(Arc::new(parts)))
}

/// A value as text: texts as they are, everything else as JSON.
fn written(tree: &Tree) -> String {
    match &tree.node {
        Node::Text(text) => (**text).to_owned(),
        Node::Number(number) => {
            Decimal::of(number).map_or_else(|| number.to_string(), |number| number.to_string())
        }
        _ => tree.to_value().to_string(),
    }
}

fn joined(list: &Tree, by: &str) -> Made {
    let mut text = String::new();
    for (at, item) in list_of(list)?.iter().enumerate() {
        if at > 0 {
            text.push_str(by);
        }
        text.push_str(&written(item));
        if text.len() > MAX_TEXT {
            return Err(format!("a text of more than {MAX_TEXT} bytes"));
        }
    }
    Ok(Node::text(&text))
}

fn template(parts: &[Part], operands: &[Tree]) -> Made {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Operand(at) => text.push_str(&operands.get(*at).map(written).unwrap_or_default()),
        }
        if text.len() > MAX_TEXT {
            return Err(format!("a text of more than {MAX_TEXT} bytes"));
        }
    }
    Ok(Node::text(&text))
}

fn moment(tree: &Tree) -> std::result::Result<Moment, String> {
    Moment::parse(text(tree)?)
        .ok_or_else(|| "the text is not a date such as 2024-05-15 or 2024-05-15T10:00".to_owned())
}

fn add_time(to: &Tree, parts: [(&Tree, i64); 3]) -> Made {
    let mut seconds = Some(0i64);
    for (part, unit) in parts {
        let part = decimal(part)?.to_i64().ok_or("days, hours and minutes are whole numbers")?;
        seconds = seconds.zip(part.checked_mul(unit)).and_then(|(sum, part)| sum.checked_add(part));
    }
    let later = seconds.and_then(|seconds| moment(to).map(|moment| moment.later(seconds)).transpose());
    match later {
        Some(later) => later.map(|later| Node::text(&later.to_string())),
        None => Err("there is no such day in the years 1 to 9999, or hours were added to a date".to_owned()),
    }
}
