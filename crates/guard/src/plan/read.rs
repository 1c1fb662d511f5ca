//! From JSON to a checked plan: the steps.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::decimal::Decimal;
use super::expr::{Expr, Name, Pattern};
use super::scope::{Scope, Type, listed};
use super::shape::{Kind, Shape};
use super::step::{Action, Block, Loop, OnError, Step};
use super::tree::Node;
use super::{MAX_EXPRESSIONS, MAX_LEVELS, MAX_LIST, MAX_PATTERNS, MAX_STEPS, PlanError, Tool, Tools};

pub(super) type Result<T> = std::result::Result<T, PlanError>;

const STEPS: &str =
    "\"call\", \"let\", \"if\", \"for\", \"require\", \"endorse\" or, at the very end, \"return\"";
/// Bytes of a text in an endorsement.
const MAX_ENDORSED_TEXT: u64 = 256;
/// Values of an endorsed set.
const MAX_ENDORSED_SET: usize = 256;

/// Reads a whole plan.
pub(super) fn plan(plan: &Value, tools: &dyn Tools) -> Result<(Block, Vec<(String, Expr)>)> {
    let whole = object("plan", plan, "a plan is an object {\"plan\": [STEP, …]}")?;
    known("plan", whole, &["plan", "note"])?;
    let steps = array("plan", whole.get("plan").unwrap_or(&Value::Null), "write {\"plan\": [STEP, …]}")?;
    let mut reader = Reader { tools, steps: 0, expressions: 0, patterns: 0 };
    let mut scope = Scope::default();
    let (steps, last) = match steps.split_last() {
        Some((last, first)) if last.get("return").is_some() => (first, Some(last)),
        _ => (steps.as_slice(), None),
    };
    let count = steps.len();
    let body = reader.block("plan", steps, &mut scope, 1)?;
    let mut outputs = Vec::new();
    if let Some(last) = last {
        let at = format!("plan[{count}]");
        let last = object(&at, last, STEPS)?;
        known(&at, last, &["return", "note"])?;
        let at = format!("{at}.return");
        let named = last.get("return").unwrap_or(&Value::Null);
        for (name, expression) in object(&at, named, "write {\"return\": {\"NAME\": EXPRESSION}}")? {
            let at = format!("{at}.{name}");
            let (expression, _) = reader.expression(&at, expression, &scope, 2)?;
            outputs.push((name.clone(), expression));
        }
    }
    Ok((body, outputs))
}

pub(super) struct Reader<'a> {
    pub tools: &'a dyn Tools,
    steps: usize,
    expressions: usize,
    patterns: usize,
}

impl Reader<'_> {
    /// Counts an expression.
    pub fn count(&mut self, at: &str, level: usize) -> Result<()> {
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS {
            return Err(PlanError::new(
                at,
                format!("more than {MAX_EXPRESSIONS} expressions: split the plan into several"),
            ));
        }
        too_deep(at, level)
    }

    /// Compiles a regular expression; `whole` makes it hold for whole texts only.
    pub fn pattern(&mut self, at: &str, source: Option<&Value>, whole: bool) -> Result<Pattern> {
        let at = &format!("{at}.pattern");
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(PlanError::new(
                at,
                format!("more than {MAX_PATTERNS} patterns: split the plan into several"),
            ));
        }
        let source = text(at, source.unwrap_or(&Value::Null))?;
        Pattern::new(source, whole).map_err(|problem| PlanError::new(at, problem))
    }

    fn block(&mut self, at: &str, steps: &[Value], scope: &mut Scope, level: usize) -> Result<Block> {
        too_deep(at, level)?;
        let mut read = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let at = format!("{at}[{number}]");
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(PlanError::new(
                    &at,
                    format!("more than {MAX_STEPS} steps: split the plan, or use \"for\""),
                ));
            }
            let action = self.step(&at, step, scope, level)?;
            read.push(Step { at: at.into(), action });
        }
        Ok(Block::new(read))
    }

    fn nested(&mut self, at: &str, steps: Option<&Value>, scope: &mut Scope, level: usize) -> Result<Block> {
        let Some(steps) = steps else { return Ok(Block::default()) };
        let steps = array(at, steps, "write a list of steps")?;
        self.block(at, steps, scope, level + 1)
    }

    fn step(&mut self, at: &str, step: &Value, scope: &mut Scope, level: usize) -> Result<Action> {
        let step = object(at, step, STEPS)?;
        if let Some(note) = step.get("note") {
            text(&format!("{at}.note"), note)?;
        }
        let is = |key: &str| step.contains_key(key);
        match (is("call"), is("let"), is("if"), is("for"), is("require"), is("endorse")) {
            (true, false, false, false, false, false) => self.call(at, step, scope, level),
            (false, true, false, false, false, false) => self.assign(at, step, scope, level),
            (false, false, true, false, false, false) => self.choice(at, step, scope, level),
            (false, false, false, true, false, false) => self.round(at, step, scope, level),
            (false, false, false, false, true, false) => self.require(at, step, scope, level),
            (false, false, false, false, false, true) => self.endorse(at, step, scope, level),
            _ if is("return") => {
                Err(PlanError::new(at, "\"return\" is the last step of the whole plan: move it to the end"))
            }
            _ => Err(PlanError::new(at, format!("a step has exactly one of the keys {STEPS}"))),
        }
    }

    fn call(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &mut Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["call", "with", "id", "on_error", "note"])?;
        let name = text(at, step.get("call").unwrap_or(&Value::Null))?;
        let Some(tool) = self.tools.tool(name) else {
            let names = self.tools.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(PlanError::new(
                at,
                format!("there is no tool {name:?}; the tools are {}", listed(&names)),
            ));
        };
        let mut with = Vec::new();
        if let Some(arguments) = step.get("with") {
            let place = format!("{at}.with");
            for (argument, value) in object(&place, arguments, "write {\"ARGUMENT\": EXPRESSION}")? {
                let place = format!("{place}.{argument}");
                let (value, kind) = self.expression(&place, value, scope, level + 1)?;
                fits(&place, &tool, argument, &value, &kind)?;
                with.push((argument.clone(), value));
            }
        }
        required(at, &tool, &with)?;
        let id = step.get("id").map(|id| assigned(&format!("{at}.id"), id, scope)).transpose()?;
        let result = tool.output.map_or(Type::Any, Type::of_schema);
        if let Some(id) = &id {
            scope.assign(id, result);
        }
        let on_error = match step.get("on_error") {
            None if tool.reads_only => OnError::Continue,
            None => OnError::Stop,
            Some(Value::String(word)) if word == "stop" => OnError::Stop,
            Some(Value::String(word)) if word == "continue" => OnError::Continue,
            Some(steps @ Value::Array(_)) => {
                let mut inner = scope.clone();
                let block = self.nested(&format!("{at}.on_error"), Some(steps), &mut inner, level)?;
                *scope = Scope::after_either(scope.clone(), inner);
                OnError::Do(block)
            }
            Some(_) => {
                return Err(PlanError::new(
                    &format!("{at}.on_error"),
                    "write \"stop\", \"continue\" or a list of steps to take if the call fails",
                ));
            }
        };
        Ok(Action::Call { tool: name.into(), with, id, on_error })
    }

    fn assign(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &mut Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["let", "be", "note"])?;
        let (be, kind) = self.wanted(at, step, "be", scope, level)?;
        let name = assigned(&format!("{at}.let"), step.get("let").unwrap_or(&Value::Null), scope)?;
        scope.assign(&name, kind);
        Ok(Action::Let { name, be })
    }

    fn endorse(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &mut Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["endorse", "be", "as", "note"])?;
        let (be, _) = self.wanted(at, step, "be", scope, level)?;
        let shape = self.shape(&format!("{at}.as"), step.get("as").unwrap_or(&Value::Null))?;
        let name = assigned(&format!("{at}.endorse"), step.get("endorse").unwrap_or(&Value::Null), scope)?;
        let kind = match &shape.0 {
            Kind::Boolean => Type::Bool,
            Kind::Number { .. } => Type::Number,
            Kind::Date | Kind::Text { .. } => Type::Text,
            Kind::OneOf(_) => Type::Any,
        };
        scope.assign(&name, kind);
        Ok(Action::Endorse { name, be, shape })
    }

    fn require(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["require", "else", "note"])?;
        let condition = self.condition(at, step, "require", scope, level)?;
        let otherwise = match step.get("else") {
            None => "a requirement of the plan does not hold",
            Some(otherwise) => text(&format!("{at}.else"), otherwise)?,
        };
        Ok(Action::Require { condition, otherwise: otherwise.into() })
    }

    fn choice(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &mut Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["if", "then", "else", "note"])?;
        let condition = self.condition(at, step, "if", scope, level)?;
        if !step.contains_key("then") {
            return Err(PlanError::new(at, "an \"if\" has steps in \"then\", and may have some in \"else\""));
        }
        let (mut one, mut other) = (scope.clone(), scope.clone());
        let then = self.nested(&format!("{at}.then"), step.get("then"), &mut one, level)?;
        let otherwise = self.nested(&format!("{at}.else"), step.get("else"), &mut other, level)?;
        *scope = Scope::after_either(one, other);
        Ok(Action::If { condition, then, otherwise })
    }

    fn round(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        scope: &mut Scope,
        level: usize,
    ) -> Result<Action> {
        known(at, step, &["for", "in", "max", "do", "index", "id", "collect", "note"])?;
        let (list, kind) = self.wanted(at, step, "in", scope, level)?;
        let kind = kind.items().map_err(|problem| PlanError::new(&format!("{at}.in"), problem))?;
        let max = step.get("max").and_then(Value::as_u64).and_then(|max| usize::try_from(max).ok());
        let Some(max) = max.filter(|max| (1..=MAX_LIST).contains(max)) else {
            return Err(PlanError::new(
                at,
                format!(
                    "say how many rounds there are at most: \"max\": a whole number from 1 to {MAX_LIST}"
                ),
            ));
        };
        let item = fresh(&format!("{at}.for"), step.get("for").unwrap_or(&Value::Null), scope)?;
        let mut inner = scope.with_item(&item, kind);
        let index = match step.get("index") {
            None => None,
            Some(index) => {
                let index = fresh(&format!("{at}.index"), index, &inner)?;
                inner = inner.with_item(&index, Type::Number);
                Some(index)
            }
        };
        // What a later round finds may be of the type that an earlier one left.
        let body = step.get("do").unwrap_or(&Value::Null);
        let mut names = BTreeSet::new();
        assigned_anywhere(body, &mut names, MAX_LEVELS);
        inner.forget(&names);
        scope.forget(&names);
        if body.is_null() && !step.contains_key("collect") {
            return Err(PlanError::new(at, "a \"for\" has steps in \"do\", or a value in \"collect\""));
        }
        let body = self.nested(&format!("{at}.do"), step.get("do"), &mut inner, level)?;
        let (id, collect) = match (step.get("id"), step.get("collect")) {
            (None, None) => (None, None),
            (Some(id), Some(_)) => {
                let (collect, kind) = self.wanted(at, step, "collect", &inner, level)?;
                let id = assigned(&format!("{at}.id"), id, scope)?;
                if id == item || index.as_ref() == Some(&id) {
                    return Err(PlanError::new(
                        &format!("{at}.id"),
                        "this is the name of the item: choose another",
                    ));
                }
                scope.assign(&id, Type::List(Box::new(kind)));
                (Some(id), Some(collect))
            }
            _ => {
                return Err(PlanError::new(
                    at,
                    "\"id\" and \"collect\" go together: \"id\" names the list of what \"collect\" is in each round",
                ));
            }
        };
        Ok(Action::For(Loop { item, index, list, max, body, id, collect }))
    }

    fn wanted(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        key: &str,
        scope: &Scope,
        level: usize,
    ) -> Result<(Expr, Type)> {
        let Some(expression) = step.get(key) else {
            return Err(PlanError::new(at, format!("the key \"{key}\" is missing: it has an expression")));
        };
        self.expression(&format!("{at}.{key}"), expression, scope, level + 1)
    }

    fn condition(
        &mut self,
        at: &str,
        step: &Map<String, Value>,
        key: &str,
        scope: &Scope,
        level: usize,
    ) -> Result<Expr> {
        let (condition, kind) = self.wanted(at, step, key, scope, level)?;
        if Type::Bool.accepts(&kind) {
            return Ok(condition);
        }
        let problem =
            format!("a condition is true or false, and this is {kind}: compare it, as in {{\"==\": [A, B]}}");
        Err(PlanError::new(&format!("{at}.{key}"), problem))
    }

    fn shape(&mut self, at: &str, shape: &Value) -> Result<Shape> {
        const FORMS: &str = "write \"boolean\", \"date\", {\"one_of\": [VALUE, …]}, {\"number\": {\"min\": 0, \"max\": 5, \"decimals\": 1}} or {\"text\": {\"pattern\": REGEX, \"max_bytes\": 10}}";
        let wrong = || PlanError::new(at, FORMS);
        match shape {
            Value::String(word) if word == "boolean" => return Ok(Shape(Kind::Boolean)),
            Value::String(word) if word == "date" => return Ok(Shape(Kind::Date)),
            _ => {}
        }
        let form = object(at, shape, FORMS)?;
        known(at, form, &["one_of", "number", "text"])?;
        let mut forms = form.iter();
        let (Some((name, details)), None) = (forms.next(), forms.next()) else { return Err(wrong()) };
        let kind = match (name.as_str(), details) {
            ("one_of", Value::Array(values)) if (1..=MAX_ENDORSED_SET).contains(&values.len()) => {
                Kind::OneOf(values.clone())
            }
            ("number", Value::Object(bounds)) => {
                known(at, bounds, &["min", "max", "decimals"])?;
                let bound = |key: &str| match bounds.get(key) {
                    Some(Value::Number(number)) => Decimal::of(number),
                    _ => None,
                };
                let decimals =
                    bounds.get("decimals").map_or(Some(0), Value::as_u64).filter(|digits| *digits <= 9);
                let decimals = decimals.and_then(|digits| u32::try_from(digits).ok()).ok_or_else(wrong)?;
                let (min, max) = bound("min").zip(bound("max")).ok_or_else(wrong)?;
                if min.steps(decimals).is_none() || max.steps(decimals).is_none() || max.compare(min).is_lt()
                {
                    return Err(wrong());
                }
                Kind::Number { min, max, decimals }
            }
            ("text", Value::Object(bounds)) => {
                known(at, bounds, &["pattern", "max_bytes"])?;
                let pattern = self.pattern(at, bounds.get("pattern"), true)?;
                let most =
                    bounds.get("max_bytes").and_then(Value::as_u64).filter(|most| *most <= MAX_ENDORSED_TEXT);
                let max_bytes = most.and_then(|most| u32::try_from(most).ok()).ok_or_else(wrong)?;
                Kind::Text { pattern, max_bytes }
            }
            _ => return Err(wrong()),
        };
        Ok(Shape(kind))
    }
}

/// Whether the argument is one that the tool takes, as far as its schema tells.
fn fits(at: &str, tool: &Tool<'_>, argument: &str, value: &Expr, kind: &Type) -> Result<()> {
    let Some(schema) = tool.input else { return Ok(()) };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    let Some(property) = properties.get(argument) else {
        if schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false)) {
            return Ok(());
        }
        let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        return Err(PlanError::new(
            at,
            format!("the tool has no argument {argument:?}, but {}", listed(&names)),
        ));
    };
    // References start at the root of the whole schema, so the property is looked at from there.
    let wanted = Type::of_schema(schema).member(argument).unwrap_or(Type::Any);
    if !wanted.accepts(kind) {
        return Err(PlanError::new(at, format!("the tool wants {wanted} here, and this is {kind}")));
    }
    if let (Expr::Literal(node), Some(values)) = (value, property.get("enum").and_then(Value::as_array)) {
        let is_in = values.iter().any(|value| Node::of(value) == *node);
        if !is_in {
            let values = Value::Array(values.clone());
            return Err(PlanError::new(at, format!("the tool takes one of {values} here")));
        }
    }
    Ok(())
}

fn required(at: &str, tool: &Tool<'_>, with: &[(String, Expr)]) -> Result<()> {
    let names = tool.input.and_then(|schema| schema.get("required")).and_then(Value::as_array);
    for name in names.into_iter().flatten().filter_map(Value::as_str) {
        if !with.iter().any(|(argument, _)| argument == name) {
            return Err(PlanError::new(
                at,
                format!("the tool needs the argument {name:?}: write it in \"with\""),
            ));
        }
    }
    Ok(())
}

/// The names that steps may assign, at any level.
fn assigned_anywhere(steps: &Value, names: &mut BTreeSet<String>, levels: usize) {
    let Some(levels) = levels.checked_sub(1) else { return };
    for step in steps.as_array().into_iter().flatten() {
        let assigned =
            ["id", "let", "endorse"].iter().filter_map(|key| step.get(key)).filter_map(Value::as_str);
        names.extend(assigned.map(str::to_owned));
        for key in ["then", "else", "do", "on_error"] {
            if let Some(inner) = step.get(key) {
                assigned_anywhere(inner, names, levels);
            }
        }
    }
}

fn too_deep(at: &str, level: usize) -> Result<()> {
    if level > MAX_LEVELS {
        let problem = format!("more than {MAX_LEVELS} levels: name a part with \"let\" and refer to it");
        return Err(PlanError::new(at, problem));
    }
    Ok(())
}

/// A name for a variable.
pub(super) fn name(at: &str, name: &Value) -> Result<Name> {
    let name = text(at, name)?;
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && name.len() <= 64 && characters.all(|other| other.is_ascii_alphanumeric() || other == '_') {
        return Ok(name.into());
    }
    Err(PlanError::new(
        at,
        format!("{name:?} is not a name: write up to 64 of a-z, A-Z, 0-9 and _, not a digit first"),
    ))
}

/// A name that a step assigns.
fn assigned(at: &str, value: &Value, scope: &Scope) -> Result<Name> {
    let name = name(at, value)?;
    if scope.is_fixed(&name) {
        return Err(PlanError::new(
            at,
            format!("{name} is the item of a loop around this: choose another name"),
        ));
    }
    Ok(name)
}

/// A name that nothing has yet.
pub(super) fn fresh(at: &str, value: &Value, scope: &Scope) -> Result<Name> {
    let name = name(at, value)?;
    if scope.get(&name).is_some() {
        return Err(PlanError::new(
            at,
            format!("there is a {name} already: choose another name for the item"),
        ));
    }
    Ok(name)
}

pub(super) fn text<'a>(at: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| PlanError::new(at, "write a text here"))
}

pub(super) fn object<'a>(at: &str, value: &'a Value, instead: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| PlanError::new(at, format!("an object is wanted here: {instead}")))
}

pub(super) fn array<'a>(at: &str, value: &'a Value, instead: &str) -> Result<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| PlanError::new(at, format!("a list is wanted here: {instead}")))
}

pub(super) fn known(at: &str, object: &Map<String, Value>, keys: &[&str]) -> Result<()> {
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(PlanError::new(
            at,
            format!("the key {key:?} has no meaning here; the keys are {}", listed(keys)),
        )),
    }
}
