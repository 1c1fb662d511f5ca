//! Where a graph writes checkpoints to, and reads tables from. Honest graphs do both: the place comes from the caller or is
//! an asset. So the place's way through the graph is followed backwards, from the operator to where it begins.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::walk::function_name;
use crate::examination::{Examination, escape};
use crate::graph::ops::{self, Reach};
use crate::graph::wire::{Span, Value, Wire};
use crate::graph::{TF_SAVE, TF_TABLE, location};
use crate::trouble::Trouble;

/// How many nodes one graph or function may have for its paths to be followed.
const NODES: usize = 1_000_000;

/// How many functions may lie between the operator and the place.
const ROUNDS: usize = 8;

/// How many texts of one constant are looked at, and how much of each.
const TEXTS: usize = 1024;
const TEXT: usize = 512;

/// Operators that hand a place on, or put it together from parts that are checked each.
const THROUGH: [&str; 20] = [
    "BroadcastTo",
    "Concat",
    "ConcatV2",
    "Enter",
    "Exit",
    "ExpandDims",
    "Identity",
    "IdentityN",
    "Merge",
    "Pack",
    "PlaceholderWithDefault",
    "Reshape",
    "Select",
    "SelectV2",
    "ShardedFilename",
    "ShardedFilespec",
    "Squeeze",
    "StringJoin",
    "Switch",
    "_Retval",
];

/// Operators whose output is the caller's, or is no text and cannot be a part of a place.
const CALLER: [&str; 6] =
    ["Placeholder", "PlaceholderV2", "RegexFullMatch", "StaticRegexFullMatch", "VarHandleOp", "_Arg"];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Save,
    Table,
}

enum Node {
    Through(Vec<u64>),
    /// A constant: the first text of it that is a place elsewhere.
    Place(Option<String>),
    Caller,
    /// Any other operator.
    Other(Box<str>),
}

/// One graph, or the body of one function.
#[derive(Default)]
struct Scope {
    nodes: HashMap<u64, Node>,
    /// The inputs that places come in by.
    sinks: Vec<(Kind, Vec<u64>, u64)>,
    /// Calls of functions that have such an operator.
    calls: Vec<(Kind, Vec<u64>, u64)>,
}

struct Follow<'w> {
    wire: &'w mut Wire,
    assets: &'w BTreeSet<String>,
    hasher: RandomState,
    /// Functions that write or read at a place that they are given.
    given: HashSet<(String, Kind)>,
}

/// Examines the places in a `GraphDef`.
pub(super) fn examine(
    wire: &mut Wire,
    graph: Span,
    assets: &BTreeSet<String>,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    let mut follow = Follow { wire, assets, hasher: RandomState::new(), given: HashSet::new() };
    for _ in 0..ROUNDS {
        if !follow.round(graph, scan)? {
            return Ok(());
        }
    }
    Err(Trouble::Limit(format!(
        "the place of a checkpoint or a table goes through more than {ROUNDS} functions"
    )))
}

impl Follow<'_> {
    /// Goes through the graph and all functions; says whether a function was found that is given a place.
    fn round(&mut self, graph: Span, scan: &mut Examination<'_>) -> Result<bool, Trouble> {
        let known = self.given.len();
        // The nodes of the graph itself, field 1; then those of each function, field 3.
        self.scope(graph, 1, None, scan)?;
        let mut rest = graph;
        while let Some(field) = self.wire.next(&mut rest)? {
            let (2, Value::Bytes(mut library)) = (field.number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut library)? {
                if let (1, Value::Bytes(function)) = (field.number, field.value) {
                    let name = function_name(self.wire, function)?;
                    self.scope(function, 3, Some(&name), scan)?;
                }
            }
        }
        Ok(self.given.len() > known)
    }

    fn scope(
        &mut self,
        mut span: Span,
        number: u32,
        function: Option<&str>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        let whole = span;
        if !self.has_places(span, number)? {
            return Ok(());
        }
        let mut scope = Scope::default();
        while let Some(field) = self.wire.next(&mut span)? {
            if let (true, Value::Bytes(node)) = (field.number == number, field.value) {
                if scope.nodes.len() >= NODES {
                    return Err(Trouble::Limit(format!(
                        "a graph that writes files has more than {NODES} nodes"
                    )));
                }
                self.node(node, &mut scope)?;
            }
        }
        for kind in [Kind::Save, Kind::Table] {
            let found = scope.follow(kind);
            if let Some((offset, what)) = found.wrong {
                let place = function
                    .map_or_else(String::new, |name| format!("in the function {}: ", escape(name, 200)));
                let rule = if kind == Kind::Save { TF_SAVE } else { TF_TABLE };
                scan.report(rule, Some(offset.max(whole.start)), format!("{place}{what}"));
            }
            if let (true, Some(name)) = (found.given, function) {
                self.given.insert((name.to_owned(), kind));
            }
        }
        Ok(())
    }

    /// Most graphs have no such operator, and need no table of their nodes.
    fn has_places(&mut self, mut span: Span, number: u32) -> Result<bool, Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            let (true, Value::Bytes(mut node)) = (field.number == number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut node)? {
                match (field.number, field.value) {
                    (2, Value::Bytes(op)) => {
                        let op = self.wire.text(op, 1024)?;
                        if kind(&op).is_some() || self.is_given(&op).is_some() {
                            return Ok(true);
                        }
                    }
                    (5, Value::Bytes(attribute)) if !self.given.is_empty() => {
                        let (_, called) = self.attribute(attribute)?;
                        if called.iter().any(|name| self.is_given(name).is_some()) {
                            return Ok(true);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    fn is_given(&self, name: &str) -> Option<Kind> {
        [Kind::Save, Kind::Table].into_iter().find(|kind| self.given.contains(&(name.to_owned(), *kind)))
    }

    fn node(&mut self, mut span: Span, scope: &mut Scope) -> Result<(), Trouble> {
        let offset = span.start;
        let (mut name, mut op, mut inputs) = (String::new(), String::new(), Vec::new());
        let (mut place, mut called) = (None, Vec::new());
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(value) = field.value else { continue };
            match field.number {
                1 => name = self.wire.text(value, 1024)?,
                2 => op = self.wire.text(value, 1024)?,
                3 => {
                    let input = self.wire.text(value, 1024)?;
                    if !input.starts_with('^') && inputs.len() < NODES {
                        inputs.push(self.key(input.split(':').next().unwrap_or_default()));
                    }
                }
                5 => {
                    let (text, names) = self.attribute(value)?;
                    place = place.or(text);
                    called.extend(names);
                }
                _ => {}
            }
        }
        called.push(op.clone());
        if let Some(kind) = kind(&op) {
            // Save(filename, …), SaveV2(prefix, …), MergeV2Checkpoints(prefixes, destination);
            // InitializeTableFromTextFile(table, filename).
            let inputs = match op.as_str() {
                "MergeV2Checkpoints" => inputs,
                _ if kind == Kind::Table => inputs.into_iter().skip(1).take(1).collect(),
                _ => inputs.into_iter().take(1).collect(),
            };
            scope.sinks.push((kind, inputs, offset));
            return Ok(());
        }
        for kind in called.iter().filter_map(|name| self.is_given(name)) {
            scope.calls.push((kind, inputs.clone(), offset));
        }
        let node = match op.as_str() {
            "Const" => Node::Place(place.filter(|_| !self.assets.contains(&name))),
            through if THROUGH.contains(&through) => Node::Through(inputs),
            caller if CALLER.contains(&caller) => Node::Caller,
            other => Node::Other(other.into()),
        };
        let key = self.key(&name);
        scope.nodes.insert(key, node);
        Ok(())
    }

    fn key(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// From an entry of the map of attributes: a text that is a place elsewhere, and the functions that it names.
    fn attribute(&mut self, mut entry: Span) -> Result<(Option<String>, Vec<String>), Trouble> {
        let (mut place, mut called) = (None, Vec::new());
        while let Some(field) = self.wire.next(&mut entry)? {
            let (2, Value::Bytes(mut value)) = (field.number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut value)? {
                match (field.number, field.value) {
                    (1, Value::Bytes(mut list)) => {
                        while let Some(field) = self.wire.next(&mut list)? {
                            if let (9, Value::Bytes(callee)) = (field.number, field.value) {
                                called.push(self.callee(callee)?);
                            }
                        }
                    }
                    (8, Value::Bytes(tensor)) => place = place.or(self.place(tensor)?),
                    (10, Value::Bytes(callee)) => called.push(self.callee(callee)?),
                    _ => {}
                }
            }
        }
        Ok((place, called))
    }

    fn callee(&mut self, mut span: Span) -> Result<String, Trouble> {
        let mut name = String::new();
        while let Some(field) = self.wire.next(&mut span)? {
            if let (1, Value::Bytes(text)) = (field.number, field.value) {
                name = self.wire.text(text, 1024)?;
            }
        }
        Ok(name)
    }

    fn place(&mut self, mut tensor: Span) -> Result<Option<String>, Trouble> {
        let mut left = TEXTS;
        while let Some(field) = self.wire.next(&mut tensor)? {
            let (8, Value::Bytes(text)) = (field.number, field.value) else { continue };
            let text = self.wire.text(text, TEXT)?;
            if location::outside(&text).is_some() {
                return Ok(Some(text));
            }
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
        Ok(None)
    }
}

fn kind(op: &str) -> Option<Kind> {
    match ops::tensorflow(op) {
        Reach::Save => Some(Kind::Save),
        Reach::Asset => Some(Kind::Table),
        _ => None,
    }
}

/// Where places of one kind come from in a scope.
#[derive(Default)]
struct Found {
    given: bool,
    wrong: Option<(u64, String)>,
}

impl Scope {
    /// Goes backwards from all operators of the kind at once, so that each node is looked at once.
    fn follow(&self, kind: Kind) -> Found {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        // Of a call it is not known which input is the place; others are no texts, so their operators say nothing.
        for (starts, direct) in [(&self.sinks, true), (&self.calls, false)] {
            for (_, inputs, offset) in starts.iter().filter(|(of, ..)| *of == kind) {
                let mut left = inputs.clone();
                while let Some(key) = left.pop() {
                    if !seen.insert((key, direct)) {
                        continue;
                    }
                    let wrong = match self.nodes.get(&key) {
                        // What no node makes is an argument of the function.
                        None | Some(Node::Caller) => {
                            found.given = true;
                            continue;
                        }
                        Some(Node::Through(inputs)) => {
                            left.extend(inputs);
                            continue;
                        }
                        Some(Node::Place(None)) => continue,
                        Some(Node::Place(Some(text))) => format!("`{}`", escape(text, 500)),
                        Some(Node::Other(op)) if direct && kind == Kind::Save => {
                            format!("the place is computed by {}", escape(op, 200))
                        }
                        Some(Node::Other(_)) => continue,
                    };
                    if found.wrong.is_none() {
                        found.wrong = Some((*offset, wrong));
                    }
                }
            }
        }
        found
    }
}
