//! The walk through a SavedModel, a MetaGraph or a GraphDef: operators of nodes and of functions, their attributes, assets.

use std::collections::BTreeSet;

use super::reach::Operators;
use super::{keras, paths};
use crate::examination::{Examination, escape};
use crate::graph::wire::{DEPTH, Span, Value, Wire};
use crate::graph::{TF_ASSET, TF_READ, TF_REMOTE, TF_WRITE, location, payload};
use crate::source::View;
use crate::trouble::Trouble;

/// How many assets a model may have.
const ASSETS: usize = 20_000;

pub(super) struct Walk<'s, 'a> {
    pub(super) wire: Wire,
    pub(super) scan: &'s mut Examination<'a>,
    operators: Operators,
}

/// Examines a `SavedModel`.
pub(crate) fn examine_saved(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    walk(view, scan, |walk, mut rest| {
        let mut graphs = 0_u64;
        while let Some(field) = walk.wire.next(&mut rest)? {
            if let (2, Value::Bytes(span)) = (field.number, field.value) {
                graphs = graphs.saturating_add(1);
                walk.meta(span, true)?;
            }
        }
        if graphs == 0 {
            return Err(Trouble::malformed(0, "a SavedModel without a graph"));
        }
        Ok(())
    })
}

/// Examines a `MetaGraphDef`.
pub(crate) fn examine_meta(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    walk(view, scan, |walk, span| walk.meta(span, false))
}

/// Examines a `GraphDef`.
pub(crate) fn examine_graph(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    walk(view, scan, |walk, span| walk.graph(span, None))
}

fn walk(
    view: &View,
    scan: &mut Examination<'_>,
    work: impl FnOnce(&mut Walk<'_, '_>, Span) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut walk = Walk { wire: Wire::new(view), scan, operators: Operators::default() };
    let all = walk.wire.all();
    let result = work(&mut walk, all);
    // What was found before something broke is reported too.
    walk.operators.report(true, walk.scan);
    result
}

impl Walk<'_, '_> {
    fn meta(&mut self, span: Span, saved: bool) -> Result<(), Trouble> {
        let assets = self.assets(span)?;
        let mut rest = span;
        while let Some(field) = self.wire.next(&mut rest)? {
            match (field.number, field.value) {
                (2, Value::Bytes(graph)) => self.graph(graph, saved.then_some(&assets))?,
                (7, Value::Bytes(objects)) => self.objects(objects)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the names of assets, and gives the nodes that loaders set to where the assets are.
    fn assets(&mut self, mut span: Span) -> Result<BTreeSet<String>, Trouble> {
        let mut nodes = BTreeSet::new();
        while let Some(field) = self.wire.next(&mut span)? {
            match (field.number, field.value) {
                (4, Value::Bytes(collection)) => self.collection(collection, &mut nodes)?,
                (6, Value::Bytes(asset)) => self.asset(asset, &mut nodes)?,
                _ => {}
            }
        }
        Ok(nodes)
    }

    /// TensorFlow 1 keeps assets in a collection: an entry of a map, a list of `Any`, in each of them an asset.
    fn collection(&mut self, mut entry: Span, nodes: &mut BTreeSet<String>) -> Result<(), Trouble> {
        let (mut key, mut collection) = (String::new(), Span { start: 0, end: 0 });
        while let Some(field) = self.wire.next(&mut entry)? {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => key = self.wire.text(text, 100)?,
                (2, Value::Bytes(value)) => collection = value,
                _ => {}
            }
        }
        if key != "saved_model_assets" {
            return Ok(());
        }
        while let Some(field) = self.wire.next(&mut collection)? {
            let (5, Value::Bytes(mut list)) = (field.number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut list)? {
                let (1, Value::Bytes(mut any)) = (field.number, field.value) else { continue };
                while let Some(field) = self.wire.next(&mut any)? {
                    if let (2, Value::Bytes(asset)) = (field.number, field.value) {
                        self.asset(asset, nodes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `AssetFileDef`.
    fn asset(&mut self, mut asset: Span, nodes: &mut BTreeSet<String>) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut asset)? {
            match (field.number, field.value) {
                (1, Value::Bytes(mut info)) => {
                    while let Some(field) = self.wire.next(&mut info)? {
                        if let (1, Value::Bytes(name)) = (field.number, field.value) {
                            let name = self.wire.name(name)?;
                            if nodes.len() >= ASSETS {
                                return Err(Trouble::Limit(format!("more than {ASSETS} assets")));
                            }
                            nodes.insert(name.split(':').next().unwrap_or_default().to_owned());
                        }
                    }
                }
                (2, Value::Bytes(name)) => {
                    let name = self.wire.text(name, 4096)?;
                    if let Some(reason) = location::outside(&name) {
                        let what = format!("asset `{}` {reason}", escape(&name, 1000));
                        self.scan.report(TF_ASSET, Some(field.offset), what);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `SavedObjectGraph`: Keras before 2.5 kept the configuration of layers here.
    fn objects(&mut self, mut span: Span) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            let (1, Value::Bytes(mut object)) = (field.number, field.value) else { continue };
            while let Some(field) = self.wire.next(&mut object)? {
                let (4, Value::Bytes(mut user)) = (field.number, field.value) else { continue };
                while let Some(field) = self.wire.next(&mut user)? {
                    if let (3, Value::Bytes(metadata)) = (field.number, field.value) {
                        keras::layer(&mut self.wire, metadata, self.scan)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn graph(&mut self, span: Span, assets: Option<&BTreeSet<String>>) -> Result<(), Trouble> {
        let mut rest = span;
        while let Some(field) = self.wire.next(&mut rest)? {
            match (field.number, field.value) {
                (1, Value::Bytes(node)) => self.node(node, "")?,
                (2, Value::Bytes(mut library)) => {
                    while let Some(field) = self.wire.next(&mut library)? {
                        if let (1, Value::Bytes(function)) = (field.number, field.value) {
                            self.function(function)?;
                        }
                    }
                }
                _ => {}
            }
        }
        paths::examine(&mut self.wire, span, assets, self.scan)
    }

    fn function(&mut self, span: Span) -> Result<(), Trouble> {
        let name = function_name(&mut self.wire, span)?;
        self.operators.function(&name)?;
        let mut rest = span;
        while let Some(field) = self.wire.next(&mut rest)? {
            if let (3, Value::Bytes(node)) = (field.number, field.value) {
                self.node(node, &name)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, mut span: Span, function: &str) -> Result<(), Trouble> {
        let offset = span.start;
        let (mut name, mut op) = (String::new(), String::new());
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(value) = field.value else { continue };
            match field.number {
                1 => {
                    name = self.wire.text(value, 300)?;
                    if !function.is_empty() {
                        name = format!("{function}/{name}");
                    }
                }
                2 => op = self.wire.name(value)?,
                5 => self.attribute(value, &name)?,
                _ => {}
            }
        }
        self.operators.node(&op, &name, offset)
    }

    /// An entry of a node's map of attributes.
    fn attribute(&mut self, mut span: Span, node: &str) -> Result<(), Trouble> {
        let mut key = String::new();
        while let Some(field) = self.wire.next(&mut span)? {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => key = self.wire.text(text, 300)?,
                (2, Value::Bytes(value)) => self.value(value, &key, node, 0)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// An `AttrValue`, or the list in one: they number texts, tensors and functions nearly alike.
    fn value(&mut self, mut span: Span, key: &str, node: &str, depth: usize) -> Result<(), Trouble> {
        if depth > DEPTH / 4 {
            return Err(Trouble::Limit("attributes lie too deep in one another".to_owned()));
        }
        let is_list = depth % 2 == 1;
        while let Some(field) = self.wire.next(&mut span)? {
            let Value::Bytes(value) = field.value else { continue };
            match field.number {
                1 if !is_list => self.value(value, key, node, depth + 1)?,
                2 => self.text(value, key, node)?,
                8 => self.tensor(value)?,
                9 if is_list => self.callee(value, node, depth + 1)?,
                10 if !is_list => self.callee(value, node, depth + 2)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `NameAttrList`: a function and what is bound to it. `depth` is even: an attribute's value comes next.
    fn callee(&mut self, mut span: Span, node: &str, depth: usize) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => {
                    let name = self.wire.name(name)?;
                    self.operators.call(&name, node, field.offset)?;
                }
                (2, Value::Bytes(mut entry)) => {
                    while let Some(field) = self.wire.next(&mut entry)? {
                        if let (2, Value::Bytes(value)) = (field.number, field.value) {
                            self.value(value, "", node, depth)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn text(&mut self, span: Span, key: &str, node: &str) -> Result<(), Trouble> {
        payload::examine_span(&mut self.wire, span, "string attribute", self.scan)?;
        let rule = match key {
            "output_stream" => TF_WRITE,
            "debug_urls" => TF_REMOTE,
            "descriptor_source" | "vocab_file" => TF_READ,
            _ => return Ok(()),
        };
        let text = self.wire.text(span, 1024)?;
        let honest = match key {
            "output_stream" => !text.starts_with("file:"),
            "descriptor_source" => text.is_empty() || text == "local://" || text.starts_with("bytes://"),
            _ => text.is_empty(),
        };
        if !honest {
            let what = format!("{key} of the node {} is `{}`", escape(node, 300), escape(&text, 500));
            self.scan.report(rule, Some(span.start), what);
        }
        Ok(())
    }

    fn tensor(&mut self, mut span: Span) -> Result<(), Trouble> {
        while let Some(field) = self.wire.next(&mut span)? {
            if let (8, Value::Bytes(text)) = (field.number, field.value) {
                payload::examine_span(&mut self.wire, text, "string in a tensor", self.scan)?;
            }
        }
        Ok(())
    }
}

/// The name in the signature of a `FunctionDef`.
pub(super) fn function_name(wire: &mut Wire, mut function: Span) -> Result<String, Trouble> {
    let mut name = String::new();
    while let Some(field) = wire.next(&mut function)? {
        let (1, Value::Bytes(mut signature)) = (field.number, field.value) else { continue };
        while let Some(field) = wire.next(&mut signature)? {
            if let (1, Value::Bytes(text)) = (field.number, field.value) {
                name = wire.name(text)?;
            }
        }
    }
    Ok(name)
}
