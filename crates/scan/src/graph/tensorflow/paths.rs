//! Where a graph writes checkpoints to, and reads tables from. Honest graphs do both: the place comes from the caller or is
//! an asset. So the place's way through the graph is followed backwards, from the operator to where it begins.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use ostrom_core::Severity;

use super::walk::function_name;
use crate::examination::{Examination, escape};
use crate::graph::ops::{self, Reach};
use crate::graph::wire::{Span, Value, Wire};
use crate::graph::{TF_SAVE, TF_TABLE, location};
use crate::trouble::Trouble;

/// How many nodes one graph or function may have for its paths to be followed.
const NODES: usize = 500_000;

/// How many inputs all of them may have together.
const INPUTS: usize = 4_000_000;

/// How many functions may lie between the operator and the place.
const ROUNDS: usize = 8;

/// How much of a text is looked at: no system takes a longer path.
const TEXT: usize = 4096;

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

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
    /// Where places are used: operators, and calls of functions that are given a place.
    uses: Vec<Use>,
    inputs: usize,
}

struct Use {
    kind: Kind,
    /// What the place comes in by; of some calls, everything that the function is given.
    inputs: Vec<u64>,
    /// Whether every input is a place.
    exact: bool,
    offset: u64,
}

struct Follow<'w> {
    wire: &'w mut Wire,
    assets: &'w BTreeSet<String>,
    hasher: RandomState,
    /// Functions that write or read at a place that they are given, and by which of their arguments.
    given: BTreeMap<(String, Kind), BTreeSet<usize>>,
    /// What a table that is read from elsewhere is.
    severity: Severity,
}

/// Examines the places in a `GraphDef`. Without `assets` it is no part of a saved model: then a table's file is where it was
/// when the model was trained.
pub(super) fn examine(
    wire: &mut Wire,
    graph: Span,
    assets: Option<&BTreeSet<String>>,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    let severity = if assets.is_some() { Severity::High } else { Severity::Medium };
    let none = BTreeSet::new();
    let assets = assets.unwrap_or(&none);
    let mut follow = Follow { wire, assets, hasher: RandomState::new(), given: BTreeMap::new(), severity };
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
        let known: usize = self.given.values().map(BTreeSet::len).sum();
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
        Ok(self.given.values().map(BTreeSet::len).sum::<usize>() > known)
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
                match kind {
                    Kind::Save => scan.report(TF_SAVE, Some(offset), format!("{place}{what}")),
                    Kind::Table => {
                        scan.report_as(self.severity, TF_TABLE, Some(offset), format!("{place}{what}"));
                    }
                }
            }
            if let Some(name) = function {
                let given = self.arguments(whole)?.into_iter().enumerate();
                let given: BTreeSet<_> =
                    given.filter(|(_, key)| found.given.contains(key)).map(|(index, _)| index).collect();
                if !given.is_empty() {
                    self.given.entry((name.to_owned(), kind)).or_default().extend(given);
                }
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
                        let op = self.wire.name(op)?;
                        if kind(&op).is_some() || !self.is_given(&op).is_empty() {
                            return Ok(true);
                        }
                    }
                    (5, Value::Bytes(attribute)) if !self.given.is_empty() => {
                        let (_, called) = self.attribute(attribute)?;
                        if called.iter().any(|name| !self.is_given(name).is_empty()) {
                            return Ok(true);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    fn is_given(&self, name: &str) -> Vec<(Kind, &BTreeSet<usize>)> {
        let kinds = [Kind::Save, Kind::Table].into_iter();
        kinds.filter_map(|kind| Some((kind, self.given.get(&(name.to_owned(), kind))?))).collect()
    }

    /// The arguments of a function, in their order.
    fn arguments(&mut self, mut function: Span) -> Result<Vec<u64>, Trouble> {
        let mut arguments = Vec::new();
        while let Some(field) = self.wire.next(&mut function)? {
            let (1, Value::Bytes(mut signature)) = (field.number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut signature)? {
                let (2, Value::Bytes(mut argument)) = (field.number, field.value) else { continue };
                while let Some(field) = self.wire.next(&mut argument)? {
                    if let (1, Value::Bytes(name)) = (field.number, field.value) {
                        let name = self.wire.name(name)?;
                        arguments.push(self.key(&name));
                    }
                }
            }
        }
        Ok(arguments)
    }

    fn node(&mut self, mut span: Span, scope: &mut Scope) -> Result<(), Trouble> {
        let offset = span.start;
        let (mut name, mut op, mut inputs) = (String::new(), String::new(), Vec::new());
        let (mut place, mut called) = (None, Vec::new());
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(value) = field.value else { continue };
            match field.number {
                1 => name = self.wire.name(value)?,
                2 => op = self.wire.name(value)?,
                3 => {
                    let input = self.wire.name(value)?;
                    if !input.starts_with('^') {
                        scope.keep(1)?;
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
            scope.uses.push(Use { kind, inputs, exact: true, offset });
            return Ok(());
        }
        // These give a function exactly their inputs; others (loops, data sets) put something before, or leave some out.
        let plain = matches!(op.as_str(), "PartitionedCall" | "StatefulPartitionedCall");
        for (index, name) in called.iter().enumerate() {
            let exact = plain || index + 1 == called.len();
            for (kind, given) in self.is_given(name) {
                let inputs: Vec<_> = match exact {
                    true => given.iter().filter_map(|index| inputs.get(*index).copied()).collect(),
                    false => inputs.clone(),
                };
                scope.keep(inputs.len().saturating_add(1))?;
                scope.uses.push(Use { kind, inputs, exact, offset });
            }
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
                name = self.wire.name(text)?;
            }
        }
        Ok(name)
    }

    fn place(&mut self, mut tensor: Span) -> Result<Option<String>, Trouble> {
        while let Some(field) = self.wire.next(&mut tensor)? {
            let (8, Value::Bytes(text)) = (field.number, field.value) else { continue };
            let text = self.wire.text(text, TEXT)?;
            if location::outside(&text).is_some() {
                return Ok(Some(text));
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
    /// What no node makes: an argument of the function.
    given: HashSet<u64>,
    wrong: Option<(u64, String)>,
}

impl Scope {
    /// Counts inputs that are kept.
    fn keep(&mut self, inputs: usize) -> Result<(), Trouble> {
        self.inputs = self.inputs.saturating_add(inputs);
        if self.inputs > INPUTS {
            return Err(Trouble::Limit(format!(
                "a graph that writes files has more than {INPUTS} inputs of nodes"
            )));
        }
        Ok(())
    }

    /// Goes backwards from all uses of the kind at once, so that each node is looked at once.
    fn follow(&self, kind: Kind) -> Found {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        for found_at in self.uses.iter().filter(|found_at| found_at.kind == kind) {
            let mut left = found_at.inputs.clone();
            while let Some(key) = left.pop() {
                if !seen.insert((key, found_at.exact)) {
                    continue;
                }
                let Some(node) = self.nodes.get(&key) else {
                    found.given.insert(key);
                    continue;
                };
                if let Node::Through(inputs) = node {
                    left.extend(inputs);
                } else if let (Some(what), None) = (wrong(node, kind, found_at.exact), &found.wrong) {
                    found.wrong = Some((found_at.offset, what));
                }
            }
        }
        found
    }
}

/// Why a place may not begin at this node.
fn wrong(node: &Node, kind: Kind, exact: bool) -> Option<String> {
    match node {
        // Among all that a function is given are messages, which are no places though they may have `/..` in them.
        Node::Place(Some(text)) if exact || !text.starts_with(char::is_control) => {
            Some(format!("`{}`", escape(text, 500)))
        }
        Node::Other(op) if exact && kind == Kind::Save => {
            Some(format!("the place is computed by {}", escape(op, 200)))
        }
        _ => None,
    }
}
