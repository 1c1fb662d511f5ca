//! What expressions of literals come to: names that are put together from pieces.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::ast::{self, Expr, ExprKind, Op, StepKind, Stmt, StmtKind};

/// The longest text that is put together.
const LONGEST: usize = 64 << 10;
/// How much is put together for one template.
const WORK: usize = 64 << 20;

/// Functions that make objects of Jinja's own, and other such objects.
const MAKERS: [&str; 3] = ["namespace", "joiner", "cycler"];
const OBJECTS: [&str; 9] =
    ["self", "loop", "caller", "super", "range", "dict", "lipsum", "raise_exception", "strftime_now"];

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    List(Vec<Value>),
}

impl Value {
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::List(_) => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len().saturating_add(1),
            Self::Int(_) => 1,
            Self::List(items) => items.iter().fold(1, |sum, item| sum.saturating_add(item.size())),
        }
    }
}

/// The variables that always have one value, and the names that the template makes.
#[derive(Default)]
pub(super) struct Constants {
    values: BTreeMap<String, Value>,
    bound: BTreeSet<String>,
    captured: BTreeSet<String>,
    objects: BTreeSet<String>,
    work: Cell<usize>,
}

impl Constants {
    pub(super) fn of(template: &[Stmt]) -> Self {
        let mut constants = Self::default();
        let (mut captured, mut objects) = (BTreeSet::new(), BTreeSet::new());
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        let mut note = |key: String, by: u32| {
            let count = times.entry(key).or_default();
            *count = count.saturating_add(by);
        };
        // Twice stands for whatever has more than one value.
        ast::walk(template, &mut |stmt| match &stmt.kind {
            StmtKind::Set { target, value } => {
                let is_one = target.key().is_some();
                target.keys().into_iter().for_each(|key| note(key, if is_one { 1 } else { 2 }));
                for (key, _) in namespace(target, value) {
                    note(key, 1);
                }
                if value.called().is_some_and(|(name, _)| MAKERS.contains(&name)) {
                    objects.extend(target.key());
                }
            }
            StmtKind::SetBlock { target, filtered, .. } => {
                target.keys().into_iter().for_each(|key| note(key, if *filtered { 2 } else { 1 }));
                captured.extend(target.keys());
            }
            StmtKind::For { target, .. } => target.keys().into_iter().for_each(|key| note(key, 2)),
            StmtKind::With { pairs, .. } => {
                pairs.iter().flat_map(|(target, _)| target.keys()).for_each(|key| note(key, 2));
            }
            StmtKind::Macro { name, params, .. } => {
                note(name.clone(), 2);
                captured.insert(name.clone());
                objects.insert(name.clone());
                params.iter().for_each(|(param, _)| note(param.clone(), 2));
            }
            StmtKind::CallBlock { params, .. } => params.iter().for_each(|(param, _)| note(param.clone(), 2)),
            _ => {}
        });
        ast::walk(template, &mut |stmt| {
            if let StmtKind::SetBlock { target, body, .. } = &stmt.kind
                && let Some(key) = target.key().filter(|key| times.get(key) == Some(&1))
                && let Some(text) = constants.written(body)
            {
                constants.values.insert(key, Value::Text(text));
            }
            let StmtKind::Set { target, value } = &stmt.kind else { return };
            let own = target.key().map(|key| (key, value));
            for (key, value) in own.into_iter().chain(namespace(target, value)) {
                if times.get(&key) == Some(&1)
                    && let Some(value) = constants.fold(value)
                {
                    constants.values.insert(key, value);
                }
            }
        });
        constants.bound = times.into_keys().collect();
        constants.captured = captured;
        constants.objects = objects;
        constants
    }

    /// What statements write that only write.
    fn written(&self, body: &[Stmt]) -> Option<String> {
        let mut out = String::new();
        for stmt in body {
            match &stmt.kind {
                StmtKind::Raw(text) => out.push_str(text),
                StmtKind::Emit(expr) => out.push_str(&self.fold(expr)?.text()?),
                StmtKind::Group(body) => out.push_str(&self.written(body)?),
                _ => return None,
            }
            if out.len() > LONGEST {
                return None;
            }
        }
        Some(out)
    }

    /// Whether what goes by this name is a text that the template writes.
    pub(super) fn captures(&self, name: &str) -> bool {
        self.captured.contains(name)
    }

    /// Whether what goes by this name is an object of Jinja's own: its attributes lead inside, and no others are asked for by names that
    /// are not written out.
    pub(super) fn is_object(&self, name: &str) -> bool {
        self.objects.contains(name)
            || !self.binds(name) && (MAKERS.contains(&name) || OBJECTS.contains(&name))
    }

    /// Whether the template itself makes what goes by this name.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.bound.contains(name)
    }

    /// Whether so much had to be put together that it was given up.
    pub(super) fn exhausted(&self) -> bool {
        self.work.get() > WORK
    }

    /// What `expr` comes to, if it is made of literals.
    pub(super) fn fold(&self, expr: &Expr) -> Option<Value> {
        if self.exhausted() {
            return None;
        }
        let value = self.value(expr)?;
        let size = value.size();
        self.work.set(self.work.get().saturating_add(size));
        (size <= LONGEST).then_some(value)
    }

    /// The text that `expr` comes to.
    pub(super) fn text(&self, expr: &Expr) -> Option<String> {
        match self.fold(expr)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn value(&self, expr: &Expr) -> Option<Value> {
        match &expr.kind {
            ExprKind::Text(text) => Some(Value::Text(text.clone())),
            ExprKind::Int(number) => number.map(Value::Int),
            ExprKind::Name(name) => self.values.get(name).cloned(),
            ExprKind::List(items) => {
                items.iter().map(|item| self.fold(item)).collect::<Option<_>>().map(Value::List)
            }
            ExprKind::Sign(inner) => match self.fold(inner)? {
                // Whether it was minus does not matter for what is looked for.
                Value::Int(number) => Some(Value::Int(number.checked_neg()?)),
                _ => None,
            },
            ExprKind::Chain(first, rest) => {
                let mut value = self.fold(first)?;
                let mut size = value.size();
                for (op, right) in rest {
                    let right = self.fold(right)?;
                    size = size.saturating_add(right.size());
                    value = operate(*op, value, right)?;
                    if !matches!(value, Value::List(_)) {
                        size = value.size();
                    }
                    if size > LONGEST {
                        return None;
                    }
                }
                Some(value)
            }
            ExprKind::Postfix(base, steps) => {
                if let Some(value) = expr.key().and_then(|key| self.values.get(&key)) {
                    return Some(value.clone());
                }
                let mut value = self.fold(base)?;
                let mut steps = steps.iter();
                while let Some(step) = steps.next() {
                    let (name, args) = match &step.kind {
                        StepKind::Filter(name, args) => (name, args),
                        StepKind::Attr(name) => match &steps.next()?.kind {
                            StepKind::Call(args) => (name, args),
                            _ => return None,
                        },
                        StepKind::Item(item) => {
                            value = index(&value, &self.fold(item)?)?;
                            continue;
                        }
                        _ => return None,
                    };
                    let is_method = matches!(step.kind, StepKind::Attr(_));
                    let args = args.all().map(|arg| self.fold(arg)).collect::<Option<Vec<_>>>()?;
                    value = apply(name, is_method, value, &args)?;
                    if value.size() > LONGEST {
                        return None;
                    }
                }
                Some(value)
            }
            _ => None,
        }
    }
}

/// What `{% set ns = namespace(a=1) %}` sets.
fn namespace<'t>(target: &Expr, value: &'t Expr) -> Vec<(String, &'t Expr)> {
    let (Some(key), Some(("namespace", args))) = (target.key(), value.called()) else { return Vec::new() };
    args.names.iter().map(|(name, value)| (format!("{key}.{name}"), value)).collect()
}

fn operate(op: Op, left: Value, right: Value) -> Option<Value> {
    Some(match (op, left, right) {
        (Op::Add, Value::Int(left), Value::Int(right)) => Value::Int(left.checked_add(right)?),
        (Op::Subtract, Value::Int(left), Value::Int(right)) => Value::Int(left.checked_sub(right)?),
        (Op::Multiply, Value::Int(left), Value::Int(right)) => Value::Int(left.checked_mul(right)?),
        (Op::Power, Value::Int(left), Value::Int(right)) => {
            Value::Int(left.checked_pow(u32::try_from(right).ok()?)?)
        }
        (Op::Multiply, Value::Text(text), Value::Int(times))
        | (Op::Multiply, Value::Int(times), Value::Text(text)) => {
            let times = usize::try_from(times).unwrap_or(0);
            let fits = text.len().checked_mul(times).is_some_and(|len| len <= LONGEST);
            Value::Text(if fits { text.repeat(times) } else { return None })
        }
        (Op::Add, Value::List(mut left), Value::List(right)) => {
            left.extend(right);
            Value::List(left)
        }
        (Op::Modulo, Value::Text(pattern), right) => {
            let args = if let Value::List(items) = right { items } else { vec![right] };
            Value::Text(percent(&pattern, &args)?)
        }
        (Op::Add, Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
        (Op::Concat, Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
        (Op::Concat, left, right) => Value::Text(left.text()? + &right.text()?),
        _ => return None,
    })
}

fn index(value: &Value, at: &Value) -> Option<Value> {
    let Value::Int(at) = at else { return None };
    let pick = |len: usize| if *at < 0 { i64::try_from(len).ok()?.checked_add(*at) } else { Some(*at) };
    match value {
        Value::Text(text) => {
            let at = usize::try_from(pick(text.chars().count())?).ok()?;
            text.chars().nth(at).map(|c| Value::Text(c.to_string()))
        }
        Value::List(items) => items.get(usize::try_from(pick(items.len())?).ok()?).cloned(),
        Value::Int(_) => None,
    }
}

/// A filter or method.
fn apply(name: &str, is_method: bool, value: Value, args: &[Value]) -> Option<Value> {
    Some(match (name, value, args) {
        ("reverse", Value::Text(text), []) => Value::Text(text.chars().rev().collect()),
        ("reverse", Value::List(items), []) => Value::List(items.into_iter().rev().collect()),
        ("lower", Value::Text(text), []) => Value::Text(text.to_lowercase()),
        ("upper", Value::Text(text), []) => Value::Text(text.to_uppercase()),
        ("trim" | "strip" | "lstrip" | "rstrip", Value::Text(text), []) => {
            Value::Text(text.trim().to_owned())
        }
        ("string" | "safe" | "escape" | "e", value, []) => Value::Text(value.text()?),
        ("list", Value::Text(text), []) => Value::List(text.chars().map(|c| Value::Text(c.into())).collect()),
        ("list", Value::List(items), []) => Value::List(items),
        ("first", value, []) => index(&value, &Value::Int(0))?,
        ("last", value, []) => index(&value, &Value::Int(-1))?,
        ("replace", Value::Text(text), [Value::Text(from), Value::Text(to), ..]) => {
            let most = text.len().saturating_add(1).checked_mul(to.len().saturating_add(1))?;
            if most > LONGEST.saturating_mul(16) {
                return None;
            }
            Value::Text(text.replace(from.as_str(), to))
        }
        ("join", Value::Text(separator), [items]) if is_method => Value::Text(join(items, &separator)?),
        ("join", items, []) => Value::Text(join(&items, "")?),
        ("join", items, [Value::Text(separator)]) => Value::Text(join(&items, separator)?),
        ("format", Value::Text(pattern), args) if is_method => Value::Text(braces(&pattern, args)?),
        ("format", Value::Text(pattern), args) => Value::Text(percent(&pattern, args)?),
        _ => return None,
    })
}

fn join(items: &Value, separator: &str) -> Option<String> {
    let items: Vec<String> = match items {
        Value::List(items) => items.iter().map(Value::text).collect::<Option<_>>()?,
        Value::Text(text) => text.chars().map(String::from).collect(),
        Value::Int(_) => return None,
    };
    let most = separator.len().checked_mul(items.len())?;
    (most <= LONGEST).then(|| items.join(separator))
}

/// `'%s%s' % (a, b)`, with `%s`, `%d` and `%c`.
fn percent(pattern: &str, args: &[Value]) -> Option<String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            's' | 'd' => out.push_str(&args.next()?.text()?),
            'c' => match args.next()? {
                Value::Int(code) => out.push(char::from_u32(u32::try_from(*code).ok()?)?),
                value => out.push_str(&value.text()?),
            },
            _ => return None,
        }
        if out.len() > LONGEST {
            return None;
        }
    }
    Some(out)
}

/// `'{}{}'.format(a, b)`, with `{}` and `{0}`.
fn braces(pattern: &str, args: &[Value]) -> Option<String> {
    let mut out = String::new();
    let mut next = 0usize;
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, tail) = after.split_once('}')?;
        out.push_str(before);
        let at = if field.is_empty() { next } else { field.parse().ok()? };
        next = next.saturating_add(1);
        out.push_str(&args.get(at)?.text()?);
        rest = tail;
        if out.len() > LONGEST {
            return None;
        }
    }
    out.push_str(rest);
    Some(out)
}
