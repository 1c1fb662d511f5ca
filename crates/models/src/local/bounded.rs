//! Runs a chat template in bounded memory.
//!
//! minijinja counts instructions and not bytes: forty doublings of a string ask for a terabyte. So every instruction,
//! filter, function and method that makes a value of others is replaced here by one that first charges their size to a
//! budget. What has no replacement is refused. Literals are bounded by counting fewer instructions where they are long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::machinery::{
    CodeGenerator, Instruction, Instructions, Token, eval, make_string_output, parse, tokenize,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value, context, escape_formatter};

/// Instructions that a template may execute: some thousand times what real ones need.
const FUEL: u64 = 5_000_000;
/// Bytes that a rendering may make of other values, all intermediate ones together.
const BUDGET: u64 = 256 << 20;
/// Bytes that a rendering may write from the template's own text.
const MAX_LITERAL: u64 = 256 << 20;
/// What an entry of a list or map costs beside its content, in bytes.
const ENTRY: u64 = 32;
/// How deep values may be nested.
const MAX_DEPTH: usize = 48;
/// The widest indent.
const MAX_INDENT: usize = 16;

/// minijinja's filters whose result is at most so many times as large as what goes in. (A character that becomes an entry
/// of a list, or six characters, grows most.) `replace`, `join` and `indent` are this module's own; others are refused.
const FILTERS: [(&str, u64); 39] = [
    ("abs", 1),
    ("attr", 1),
    ("bool", 1),
    ("capitalize", 3),
    ("count", 1),
    ("d", 1),
    ("default", 1),
    ("dictsort", 4),
    ("e", 6),
    ("escape", 6),
    ("first", 1),
    ("float", 1),
    ("groupby", 4),
    ("int", 1),
    ("items", 4),
    ("last", 1),
    ("length", 1),
    ("lines", 32),
    ("list", 32),
    ("lower", 3),
    ("map", 64),
    ("max", 1),
    ("min", 1),
    ("reject", 4),
    ("rejectattr", 4),
    ("reverse", 4),
    ("round", 1),
    ("safe", 1),
    ("select", 4),
    ("selectattr", 4),
    ("sort", 4),
    ("split", 32),
    ("string", 8),
    ("sum", 16),
    ("title", 3),
    ("tojson", 32),
    ("trim", 1),
    ("unique", 4),
    ("upper", 3),
];

/// Filters that no chat template needs and that can make much of little.
const REFUSED: [&str; 7] = ["batch", "chain", "format", "pprint", "slice", "urlencode", "zip"];

/// Methods of texts, lists and maps, and how much larger than what goes in their result can be.
const METHODS: [(&str, u64); 27] = [
    ("capitalize", 3),
    ("count", 1),
    ("endswith", 1),
    ("find", 1),
    ("get", 1),
    ("isalnum", 1),
    ("isalpha", 1),
    ("isascii", 1),
    ("isdigit", 1),
    ("islower", 1),
    ("isnumeric", 1),
    ("isspace", 1),
    ("isupper", 1),
    ("items", 4),
    ("keys", 4),
    ("lower", 3),
    ("lstrip", 1),
    ("replace", 1),
    ("rfind", 1),
    ("rstrip", 1),
    ("split", 32),
    ("splitlines", 32),
    ("startswith", 1),
    ("strip", 1),
    ("title", 3),
    ("upper", 3),
    ("values", 4),
];

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What a rendering may still make.
struct Budget(AtomicU64);

impl Budget {
    fn charge(&self, bytes: u64) -> Result<(), Error> {
        let spent = self.0.load(Ordering::Relaxed).saturating_add(bytes);
        self.0.store(spent, Ordering::Relaxed);
        if spent > BUDGET {
            return Err(refused("it makes more text than any real template, and was stopped"));
        }
        Ok(())
    }

    /// Charges the whole of a value, so many times.
    fn charge_value(&self, value: &Value, times: u64) -> Result<(), Error> {
        self.walk(value, times, 0)
    }

    fn charge_all(&self, values: &[Value], times: u64) -> Result<(), Error> {
        values.iter().try_for_each(|value| self.charge_value(value, times))
    }

    /// Charges what a value is as text: what is none grows by its quotes and escapes.
    fn charge_shown(&self, value: &Value) -> Result<(), Error> {
        self.charge_value(value, if value.as_str().is_some() { 1 } else { 8 })
    }

    fn walk(&self, value: &Value, times: u64, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(refused(format!("it nests values more than {MAX_DEPTH} deep")));
        }
        let bytes = value.as_bytes().map_or(0, |bytes| bytes.len() as u64);
        self.charge(bytes.saturating_add(ENTRY).saturating_mul(times))?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                value.try_iter()?.try_for_each(|item| self.walk(&item, times, depth + 1))
            }
            ValueKind::Map => value.try_iter()?.try_for_each(|key| {
                self.walk(&key, times, depth + 1)?;
                self.walk(&value.get_item(&key)?, times, depth + 1)
            }),
            _ => Ok(()),
        }
    }

    /// Charges what replacing every `from` in `text` by `to` can make at most.
    fn charge_replace(&self, args: &[Value]) -> Result<(), Error> {
        let length =
            |at: usize| args.get(at).and_then(Value::as_bytes).map_or(ENTRY, |bytes| bytes.len() as u64);
        let places = (length(0) / length(1).max(1)).saturating_add(1);
        self.charge(length(0).saturating_add(places.saturating_mul(length(2))))
    }
}

/// A function that minijinja calls for an instruction or a name.
type Native = fn(&Budget, &[Value]) -> Result<Value, Error>;

fn two(args: &[Value]) -> Result<(&Value, &Value), Error> {
    match args {
        [a, b, ..] => Ok((a, b)),
        _ => Err(refused("an argument is missing")),
    }
}

/// Runs an expression of minijinja's own over `a`, `b`, `c` and `d`.
fn plainly(expression: &'static str, args: &[Value]) -> Result<Value, Error> {
    let arg = |at: usize| args.get(at).cloned().unwrap_or_default();
    let plain = Environment::new();
    plain
        .compile_expression(expression)?
        .eval(context! { a => arg(0), b => arg(1), c => arg(2), d => arg(3) })
}

/// What stands for the instructions that make values. No template can write these names.
const OPERATORS: [(&str, Native); 7] = [
    ("+", add),
    ("~", concatenate),
    ("*", multiply),
    ("[:]", slice),
    ("[]", list),
    ("()", tuple),
    ("{}", map),
];

fn add(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_all(args, 1)?;
    let (a, b) = two(args)?;
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => Ok(Value::from([a, b].concat())),
        _ => plainly("a + b", args),
    }
}

fn concatenate(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (a, b) = two(args)?;
    budget.charge_shown(a)?;
    budget.charge_shown(b)?;
    Ok(Value::from(format!("{a}{b}")))
}

fn multiply(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (a, b) = two(args)?;
    for (value, times) in [(a, b), (b, a)] {
        if !value.is_number() {
            let times =
                times.as_usize().ok_or_else(|| refused("something is multiplied by what is no number"))?;
            budget.charge_value(value, (times as u64).max(1))?;
        }
    }
    plainly("a * b", args)
}

fn slice(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_all(args, 1)?;
    plainly("a[b:c:d]", args)
}

fn list(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_all(args, 1)?;
    Ok(Value::from(args.to_vec()))
}

fn tuple(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_all(args, 1)?;
    Ok(Value::from(Tuple::from(args)))
}

fn map(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_all(args, 1)?;
    let pairs = args.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.last()?.clone())));
    Ok(Value::from_object(pairs.collect::<BTreeMap<Value, Value>>()))
}

fn replace(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    budget.charge_replace(args)?;
    let text =
        |at: usize| args.get(at).and_then(Value::as_str).ok_or_else(|| refused("replace takes three texts"));
    Ok(Value::from(text(0)?.replace(text(1)?, text(2)?)))
}

fn join(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (list, between) =
        (args.first().cloned().unwrap_or_default(), args.get(1).cloned().unwrap_or_default());
    if args.len() > 2 {
        return Err(refused("join takes a list and a text"));
    }
    let between = between.as_str().unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in list.try_iter()?.enumerate() {
        budget.charge(between.len() as u64)?;
        budget.charge_shown(&item)?;
        if index > 0 {
            joined.push_str(between);
        }
        match item.as_str() {
            Some(text) => joined.push_str(text),
            None => joined.push_str(&item.to_string()),
        }
    }
    Ok(Value::from(joined))
}

fn indent(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (args, kwargs): (&[Value], Kwargs) = match args.split_last() {
        Some((last, rest)) if last.is_kwargs() => (rest, Kwargs::try_from(last.clone())?),
        _ => (args, Kwargs::from_iter(std::iter::empty::<(String, Value)>())),
    };
    let text = args.first().and_then(Value::as_str).ok_or_else(|| refused("indent takes a text"))?;
    let option = |at: usize, name: &str| match args.get(at) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let width = match option(1, "width")? {
        Some(width) => width.as_usize().filter(|width| *width <= MAX_INDENT),
        None => Some(4),
    };
    let width = width.ok_or_else(|| refused(format!("indent takes a width of 0 to {MAX_INDENT}")))?;
    let flag = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let (first, blank) = (flag(option(2, "first")?), flag(option(3, "blank")?));
    budget.charge((text.len() as u64).saturating_mul(1 + width as u64))?;
    let indent = " ".repeat(width);
    let lines = text.lines().enumerate().map(|(index, line)| {
        if (index == 0 && !first) || (line.is_empty() && !blank) {
            line.to_owned()
        } else {
            format!("{indent}{line}")
        }
    });
    Ok(Value::from(lines.collect::<Vec<_>>().join("\n")))
}

/// The indents that `tojson` is asked for, perhaps by `map`, stay small.
fn narrow(name: &str, args: &[Value]) -> Result<(), Error> {
    let wide = |value: &Value| value.is_number() && value.as_usize().is_none_or(|width| width > MAX_INDENT);
    let named = |value: &Value| value.is_kwargs() && value.get_attr("indent").is_ok_and(|value| wide(&value));
    let given = args.iter().skip(1).any(|value| wide(value) || named(value));
    if given && ["map", "tojson"].contains(&name) {
        return Err(refused(format!("tojson indents by at most {MAX_INDENT}")));
    }
    Ok(())
}

/// minijinja's own filters, without those whose result can be far larger than what goes in: `map` and its like find
/// filters only here.
fn plain_filters() -> Environment<'static> {
    let mut plain = Environment::new();
    for name in REFUSED.into_iter().chain(["indent", "join", "replace"]) {
        plain.remove_filter(name);
    }
    plain
}

/// The arguments of a call as minijinja passes them on: named ones in one value at the end.
fn whole(args: Rest<Value>, named: Kwargs) -> Vec<Value> {
    let any = named.args().next().is_some();
    args.0.into_iter().chain(any.then(|| named.into())).collect()
}

/// An environment whose values are charged to `budget`.
fn environment(budget: &Arc<Budget>) -> Environment<'static> {
    let mut bounded = Environment::new();
    for name in REFUSED {
        bounded.remove_filter(name);
    }
    let plain = Arc::new(plain_filters());
    for (name, times) in FILTERS {
        let (budget, plain) = (Arc::clone(budget), Arc::clone(&plain));
        bounded.add_filter(name, move |args: Rest<Value>, named: Kwargs| {
            let args = whole(args, named);
            narrow(name, &args)?;
            budget.charge_all(&args, times)?;
            plain.empty_state().apply_filter(name, &args)
        });
    }
    for (name, native) in [("replace", replace as Native), ("join", join), ("indent", indent)] {
        let budget = Arc::clone(budget);
        bounded
            .add_filter(name, move |args: Rest<Value>, named: Kwargs| native(&budget, &whole(args, named)));
    }
    for (name, native) in OPERATORS {
        let budget = Arc::clone(budget);
        bounded
            .add_function(name, move |args: Rest<Value>, named: Kwargs| native(&budget, &whole(args, named)));
    }
    let builders: Vec<(String, Value)> = bounded
        .globals()
        .filter(|(name, _)| ["dict", "namespace"].contains(name))
        .map(|(name, function)| (name.to_owned(), function))
        .collect();
    for (name, function) in builders {
        let budget = Arc::clone(budget);
        bounded.add_function(name, move |state: &mut State<'_, '_>, args: Rest<Value>, named: Kwargs| {
            let args = whole(args, named);
            budget.charge_all(&args, 1)?;
            function.call(state, &args)
        });
    }
    // It prints everything that there is.
    bounded.remove_global("debug");
    let methods = Arc::clone(budget);
    bounded.set_unknown_method_callback(move |state, value, method, args| {
        let whole: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
        match method {
            "join" => return join(&methods, &[args.first().cloned().unwrap_or_default(), value.clone()]),
            "replace" => methods.charge_replace(&whole)?,
            _ => {}
        }
        let Some((_, times)) = METHODS.iter().find(|(name, _)| *name == method) else {
            return Err(Error::from(ErrorKind::UnknownMethod));
        };
        methods.charge_all(&whole, *times)?;
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
    });
    let written = Arc::clone(budget);
    bounded.set_formatter(move |out, state, value| {
        written.charge_shown(value)?;
        escape_formatter(out, state, value)
    });
    bounded
}

/// Puts a function's call in the place of each instruction that makes values. Returns the longest literal text, in bytes.
fn bound(instructions: &mut Instructions<'_>) -> Result<u64, Error> {
    let (mut at, mut longest) = (0, 0);
    while let Some(instruction) = instructions.get_mut(at) {
        let count = |n: usize| u16::try_from(n).map_err(|_| refused("it has a list of over 65,535 entries"));
        let call = match instruction {
            Instruction::Add => Some(("+", Some(2))),
            Instruction::Mul => Some(("*", Some(2))),
            Instruction::StringConcat => Some(("~", Some(2))),
            Instruction::Slice => Some(("[:]", Some(4))),
            Instruction::BuildList(n) => Some(("[]", n.map(count).transpose()?)),
            Instruction::BuildTuple(n) => Some(("()", n.map(count).transpose()?)),
            Instruction::BuildMap(pairs) => Some(("{}", Some(count(pairs.saturating_mul(2))?))),
            Instruction::EmitRaw(text) => {
                longest = longest.max(text.len() as u64);
                None
            }
            _ => None,
        };
        if let Some((name, count)) = call {
            *instruction = Instruction::CallFunction(name, count);
        }
        at += 1;
    }
    Ok(longest)
}

/// Refuses products of constants other than numbers: they would be worked out while the template is compiled.
fn no_constant_products(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    let plain = |token: &Token<'_>| matches!(token, Token::Ident(_) | Token::Int(_) | Token::Float(_));
    let tokens: Vec<Token<'_>> = tokenize(source, false, syntax.clone())
        .map(|token| token.map(|(token, _)| token))
        .collect::<Result<_, _>>()?;
    let product = |around: &[Token<'_>]| match around {
        [before, Token::Mul, after] => !(plain(before) && plain(after)),
        _ => false,
    };
    if tokens.windows(3).any(product) {
        return Err(refused("a product of anything but names and numbers is not supported"));
    }
    Ok(())
}

/// Checks that a template can be compiled.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    no_constant_products(source, syntax)?;
    compiled(source, syntax).map(|_| ())
}

type Compiled<'a> = (Instructions<'a>, BTreeMap<&'a str, Instructions<'a>>, u64);

fn compiled<'a>(source: &'a str, syntax: &SyntaxConfig) -> Result<Compiled<'a>, Error> {
    let parsed = parse(source, "chat", syntax.clone())?;
    let mut generator = CodeGenerator::new("chat", source);
    generator.compile_stmt(&parsed);
    let (mut instructions, mut blocks) = generator.finish();
    let mut longest = bound(&mut instructions)?;
    for block in blocks.values_mut() {
        longest = longest.max(bound(block)?);
    }
    Ok((instructions, blocks, longest))
}

/// Renders a template that [`check`] has accepted. `prepare` adds functions to its environment.
pub(super) fn render(
    source: &str,
    syntax: &SyntaxConfig,
    values: Value,
    prepare: impl FnOnce(&mut Environment<'static>),
) -> Result<String, Error> {
    let (instructions, blocks, longest) = compiled(source, syntax)?;
    let budget = Arc::new(Budget(AtomicU64::new(0)));
    let mut environment = environment(&budget);
    environment.set_fuel(Some(FUEL.min(MAX_LITERAL / longest.max(1))));
    prepare(&mut environment);
    let mut rendered = String::new();
    {
        let mut output = make_string_output(&mut rendered);
        eval(&environment, &instructions, values, &blocks, &mut output, AutoEscape::None)?;
    }
    Ok(rendered)
}
