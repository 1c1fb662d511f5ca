//! The walk through a model: graphs, graphs in attributes, functions, tensors.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::external::{self, ExternalData};
use super::node::Operators;
use super::tensor;
use crate::examination::{Examination, escape};
use crate::graph::wire::{DEPTH, Span, Value, Wire};
use crate::graph::{ONNX_DUPLICATE, ONNX_TRAINING, payload};
use crate::rules;
use crate::source::View;
use crate::trouble::Trouble;

/// How deep graphs may lie in attributes of one another: each takes three messages of protobuf's bound.
const GRAPHS: usize = DEPTH / 3;

/// The longest path of a file that is looked at: no system takes a longer one.
const PATH: u64 = 4096;

/// How many names of initializers are kept to find doubles.
const NAMES: usize = 2_000_000;

struct Walk<'s, 'a> {
    wire: Wire,
    scan: &'s mut Examination<'a>,
    operators: Operators,
    external: ExternalData,
    names: usize,
    hasher: RandomState,
}

/// Examines a model.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut walk = Walk {
        wire: Wire::new(view),
        scan,
        operators: Operators::default(),
        external: ExternalData::default(),
        names: 0,
        hasher: RandomState::new(),
    };
    let result = walk.model();
    // What was found before something broke is reported too.
    walk.operators.report(walk.scan);
    walk.external.report(walk.scan);
    result
}

impl Walk<'_, '_> {
    fn model(&mut self) -> Result<(), Trouble> {
        let mut rest = self.wire.all();
        let mut graphs = 0_u64;
        while let Some(field) = self.wire.next(&mut rest)? {
            if !super::is_model_field(&field) {
                let what = format!("field {} has a wire type that it has in no ONNX model", field.number);
                self.scan.report(rules::MALFORMED, Some(field.offset), what);
            }
            let Value::Bytes(span) = field.value else { continue };
            match field.number {
                6 => payload::examine_text(&mut self.wire, span, "the model's doc_string", self.scan)?,
                7 => {
                    graphs = graphs.saturating_add(1);
                    if graphs == 2 {
                        let what = "a second graph; loaders merge the two, other tools show the first";
                        self.scan.report(ONNX_DUPLICATE, Some(field.offset), what);
                    }
                    self.graph(span, 0)?;
                }
                14 => self.metadata(span)?,
                20 => {
                    self.scan.report(ONNX_TRAINING, Some(field.offset), "the model has graphs for training");
                    self.training(span)?;
                }
                25 => self.function(span)?,
                _ => {}
            }
        }
        if graphs == 0 {
            return Err(Trouble::malformed(0, "no graph"));
        }
        Ok(())
    }

    fn metadata(&mut self, mut span: Span) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            if let (1 | 2, Value::Bytes(text)) = (field.number, field.value) {
                payload::examine_text(&mut self.wire, text, "metadata_props", self.scan)?;
                payload::examine_span(&mut self.wire, text, "metadata_props", self.scan)?;
            }
        }
        Ok(())
    }

    fn training(&mut self, mut span: Span) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            if let (1 | 2, Value::Bytes(graph)) = (field.number, field.value) {
                self.graph(graph, 0)?;
            }
        }
        Ok(())
    }

    fn graph(&mut self, mut span: Span, depth: usize) -> Result<(), Trouble> {
        if depth > GRAPHS {
            return Err(Trouble::Limit(format!("graphs lie more than {GRAPHS} deep in one another")));
        }
        let mut names = HashSet::new();
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(span) = field.value else { continue };
            match field.number {
                1 => self.node(span, depth)?,
                5 => {
                    let name = tensor::examine(&mut self.wire, span, &mut self.external, self.scan)?;
                    self.initializer(&mut names, &name, field.offset)?;
                }
                10 => payload::examine_text(&mut self.wire, span, "the doc_string of a graph", self.scan)?,
                15 => {
                    let name = tensor::examine_sparse(&mut self.wire, span, &mut self.external, self.scan)?;
                    self.initializer(&mut names, &name, field.offset)?;
                }
                16 => self.metadata(span)?,
                _ => {}
            }
        }
        self.names = self.names.saturating_sub(names.len());
        Ok(())
    }

    fn initializer(&mut self, names: &mut HashSet<u64>, name: &str, offset: u64) -> Result<(), Trouble> {
        if self.names >= NAMES {
            return Err(Trouble::Limit(format!("more than {NAMES} initializers")));
        }
        if names.insert(self.hasher.hash_one(name)) {
            self.names = self.names.saturating_add(1);
        } else if !name.is_empty() {
            let what =
                format!("a second initializer {}; loaders differ in which they take", escape(name, 200));
            self.scan.report(ONNX_DUPLICATE, Some(offset), what);
        }
        Ok(())
    }

    fn function(&mut self, mut span: Span) -> Result<(), Trouble> {
        let offset = span.start;
        let (mut name, mut domain) = (String::new(), String::new());
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(span) = field.value else { continue };
            match field.number {
                1 => name = self.wire.name(span)?,
                7 => self.node(span, 0)?,
                8 => payload::examine_text(&mut self.wire, span, "the doc_string of a function", self.scan)?,
                10 => domain = self.wire.name(span)?,
                11 => self.attribute(span, 0)?,
                14 => self.metadata(span)?,
                _ => {}
            }
        }
        self.operators.function(&domain, &name, offset)
    }

    fn node(&mut self, mut span: Span, depth: usize) -> Result<(), Trouble> {
        let offset = span.start;
        let (mut name, mut domain) = (String::new(), String::new());
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(span) = field.value else { continue };
            match field.number {
                4 => name = self.wire.name(span)?,
                5 => self.attribute(span, depth)?,
                6 => payload::examine_text(&mut self.wire, span, "the doc_string of a node", self.scan)?,
                7 => domain = self.wire.name(span)?,
                9 => self.metadata(span)?,
                _ => {}
            }
        }
        self.operators.node(&domain, &name, offset)
    }

    fn attribute(&mut self, mut span: Span, depth: usize) -> Result<(), Trouble> {
        let (mut name, mut text) = (String::new(), None);
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(span) = field.value else { continue };
            match field.number {
                1 => name = self.wire.name(span)?,
                4 | 9 => {
                    payload::examine_span(&mut self.wire, span, "string attribute", self.scan)?;
                    text = Some(span);
                }
                5 | 10 => {
                    tensor::examine(&mut self.wire, span, &mut self.external, self.scan)?;
                }
                6 | 11 => self.graph(span, depth.saturating_add(1))?,
                13 => {
                    payload::examine_text(&mut self.wire, span, "the doc_string of an attribute", self.scan)?
                }
                22 | 23 => {
                    tensor::examine_sparse(&mut self.wire, span, &mut self.external, self.scan)?;
                }
                _ => {}
            }
        }
        // EPContext keeps its program in another file; that name is a path as external data's is.
        if let ("ep_cache_context" | "onnx_model_filename", Some(span)) = (name.as_str(), text)
            && span.len() <= PATH
        {
            let path = self.wire.text(span, PATH as usize)?;
            if path.chars().all(|c| !c.is_control() && c != char::REPLACEMENT_CHARACTER) {
                external::check(&path, &name, span.start, self.scan);
            }
        }
        Ok(())
    }
}
