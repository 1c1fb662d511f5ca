//! Expressions of a plan that was checked, and the table of operators.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::label::Label;

use super::scope::Type;
use super::tree::{Node, Tree};
use super::{MAX_PATTERN, MAX_PATTERN_SIZE};

/// The name of a variable or a tool.
pub(crate) type Name = Arc<str>;

/// Something that has a value.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Literal(Node),
    Ref(Name),
    /// A member or element, by the tokens of a JSON pointer.
    Get(Box<Expr>, Vec<String>),
    /// A member whose name is computed.
    Lookup(Box<Expr>, Box<Expr>),
    /// The members of an object as a list of `{key, value}`.
    Entries(Box<Expr>),
    List(Vec<Expr>),
    Object(Vec<(Name, Expr)>),
    /// An operation that looks at the whole of its operands.
    Pure(Op, Vec<Expr>),
    Pick(Pick, Box<Expr>),
    Slice {
        list: Box<Expr>,
        from: usize,
        count: usize,
    },
    Concat(Vec<Expr>),
    Flatten(Box<Expr>),
    /// Something for each element of a list.
    Each {
        what: Each,
        list: Box<Expr>,
        item: Name,
        body: Box<Expr>,
    },
    Sort {
        list: Box<Expr>,
        item: Name,
        keys: Vec<Key>,
        first: bool,
    },
    /// The second if the first has failed.
    Default(Box<Expr>, Box<Expr>),
    /// Whether it has failed.
    Failed(Box<Expr>),
    /// The second if the first is true, or else the third.
    Choose(Box<[Expr; 3]>),
}

impl Expr {
    /// The value, if nothing has to be run to know it.
    pub fn written(&self) -> Option<Value> {
        match self {
            Self::Literal(node) => Some(Tree { label: Label::constant(), node: node.clone() }.to_value()),
            Self::List(items) => items.iter().map(Self::written).collect::<Option<_>>().map(Value::Array),
            Self::Object(members) => {
                let members =
                    members.iter().map(|(name, member)| Some(((**name).to_owned(), member.written()?)));
                members.collect::<Option<_>>().map(Value::Object)
            }
            _ => None,
        }
    }
}

/// What of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    First,
    Last,
    Only,
    Length,
    IsEmpty,
}

/// What is done for each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Each {
    Filter,
    Map,
    Any,
    All,
    CountBy,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub by: Expr,
    pub descending: bool,
}

/// An operation that looks at the whole of its operands.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
    Add,
    Subtract,
    Multiply,
    Divide,
    Round(u32),
    Sum,
    Min,
    Max,
    Contains,
    ContainsIgnoringCase,
    StartsWith,
    EndsWith,
    In,
    Unique,
    Difference,
    Lower,
    Upper,
    Trim,
    Lines,
    Split(String),
    Join(String),
    Number,
    Text,
    ParseJson,
    Matches(Pattern),
    Match(Pattern, Group),
    MatchAll(Pattern, Group),
    Template(Vec<Part>),
    DatePart(&'static str),
    AddTime,
    DaysBetween,
}

/// What a template is made of.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    /// The operand of this number.
    Operand(usize),
}

/// Which part of a match is wanted; 0 is all of it.
pub(crate) type Group = usize;

/// A regular expression, as it was written and compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub source: String,
    pub regex: Regex,
}

impl Pattern {
    /// Compiles `source`; `whole` makes it hold for whole texts only.
    pub fn new(source: &str, whole: bool) -> Result<Self, String> {
        if source.len() > MAX_PATTERN {
            return Err(format!("the pattern is longer than {MAX_PATTERN} bytes: write a shorter one"));
        }
        let text = if whole { format!(r"\A(?:{source})\z") } else { source.to_owned() };
        let regex = RegexBuilder::new(&text)
            .size_limit(MAX_PATTERN_SIZE)
            .dfa_size_limit(MAX_PATTERN_SIZE)
            .nest_limit(32)
            .build()
            .map_err(|error| {
                format!(
                    "not a regular expression of the RE2 kind (no look-around, no back-references): {error}"
                )
            })?;
        Ok(Self { source: source.to_owned(), regex })
    }
}

/// What an operator of fixed operands takes and gives.
#[derive(Debug)]
pub(crate) struct Signature {
    pub name: &'static str,
    pub op: Op,
    pub least: usize,
    pub most: usize,
    pub takes: Type,
    pub gives: Type,
}

/// The operator of this name that takes an array of operands, or just one.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    use Type::{Any, Bool, List, Number, Text};
    let list = || List(Box::new(Any));
    let texts = || List(Box::new(Text));
    let (name, op, least, most, takes, gives) = match name {
        "==" => ("==", Op::Equal, 2, 2, Any, Bool),
        "!=" => ("!=", Op::NotEqual, 2, 2, Any, Bool),
        "<" => ("<", Op::Less, 2, 2, Any, Bool),
        "<=" => ("<=", Op::LessOrEqual, 2, 2, Any, Bool),
        ">" => (">", Op::Greater, 2, 2, Any, Bool),
        ">=" => (">=", Op::GreaterOrEqual, 2, 2, Any, Bool),
        "and" => ("and", Op::And, 1, 32, Bool, Bool),
        "or" => ("or", Op::Or, 1, 32, Bool, Bool),
        "not" => ("not", Op::Not, 1, 1, Bool, Bool),
        "+" => ("+", Op::Add, 2, 32, Number, Number),
        "-" => ("-", Op::Subtract, 2, 2, Number, Number),
        "*" => ("*", Op::Multiply, 2, 32, Number, Number),
        "/" => ("/", Op::Divide, 2, 2, Number, Number),
        "sum" => ("sum", Op::Sum, 1, 1, list(), Number),
        "min" => ("min", Op::Min, 1, 1, list(), Any),
        "max" => ("max", Op::Max, 1, 1, list(), Any),
        "contains" => ("contains", Op::Contains, 2, 2, Any, Bool),
        "contains_ignoring_case" => ("contains_ignoring_case", Op::ContainsIgnoringCase, 2, 2, Text, Bool),
        "starts_with" => ("starts_with", Op::StartsWith, 2, 2, Text, Bool),
        "ends_with" => ("ends_with", Op::EndsWith, 2, 2, Text, Bool),
        "in" => ("in", Op::In, 2, 2, Any, Bool),
        "unique" => ("unique", Op::Unique, 1, 1, list(), list()),
        "difference" => ("difference", Op::Difference, 2, 2, list(), list()),
        "lower" => ("lower", Op::Lower, 1, 1, Text, Text),
        "upper" => ("upper", Op::Upper, 1, 1, Text, Text),
        "trim" => ("trim", Op::Trim, 1, 1, Text, Text),
        "lines" => ("lines", Op::Lines, 1, 1, Text, texts()),
        "number" => ("number", Op::Number, 1, 1, Any, Number),
        "text" => ("text", Op::Text, 1, 1, Any, Text),
        "parse_json" => ("parse_json", Op::ParseJson, 1, 1, Text, Any),
        "days_between" => ("days_between", Op::DaysBetween, 2, 2, Text, Number),
        _ => return None,
    };
    Some(Signature { name, op, least, most, takes, gives })
}

/// Every operator, for messages and for the test of the schema.
pub(crate) const OPERATORS: &[&str] = &[
    "!=",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "add_time",
    "all",
    "and",
    "any",
    "choose",
    "concat",
    "contains",
    "contains_ignoring_case",
    "count_by",
    "date_part",
    "days_between",
    "default",
    "difference",
    "ends_with",
    "entries",
    "failed",
    "filter",
    "first",
    "flatten",
    "get",
    "in",
    "is_empty",
    "join",
    "last",
    "length",
    "lines",
    "literal",
    "lookup",
    "lower",
    "map",
    "match",
    "match_all",
    "matches",
    "max",
    "max_by",
    "min",
    "min_by",
    "not",
    "number",
    "object",
    "only",
    "or",
    "parse_json",
    "ref",
    "round",
    "slice",
    "sort_by",
    "split",
    "starts_with",
    "sum",
    "template",
    "text",
    "trim",
    "unique",
    "upper",
];
