//! CoreML: `Model`, as `.mlmodel` files and the packages of `.mlpackage` folders hold it, and the weights beside it. The format has no
//! mark; it is known by its structure. Field numbers are those of Apple's `Model.proto`, `NeuralNetwork.proto` and `MIL.proto`.

use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::graph::wire::{DEPTH, Span, Value, Wire};
use crate::graph::{COREML_CUSTOM, COREML_LINKED, COREML_PATH, location};
use crate::rules;
use crate::source::View;
use crate::trouble::Trouble;

/// The newest version of the specification is 10.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=99;

/// What stands where files of weights begin their first entry.
const SENTINEL: [u8; 4] = 0xdead_beef_u32.to_le_bytes();

/// Messages that others lie in, and what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Pipeline,
    /// A classifier or regressor that is a pipeline.
    Wrapped,
    Network,
    Layer,
    Branch,
    Loop,
    Program,
    Function,
    Block,
    Operation,
    Argument,
    Binding,
    Value,
    Immediate,
    /// Values in a tuple or list.
    Values,
    Dictionary,
    Pair,
    Blob,
    /// The second field of an entry of a map.
    Functions,
    Blocks,
    Inputs,
    Attributes,
    /// A layer or model that the loading program brings a class for, by its name.
    Custom,
    Linked,
    LinkedFile,
    LinkedName,
    /// The name of a file with weights.
    BlobName,
    OperationName,
}

/// What a field holds, if it is looked into.
fn part(kind: Kind, field: u32) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 200 | 201) => Kind::Wrapped,
        (Kind::Model, 202) | (Kind::Wrapped, 1) => Kind::Pipeline,
        (Kind::Pipeline, 1) => Kind::Model,
        (Kind::Model, 303 | 403 | 500) | (Kind::Branch, 1 | 2) | (Kind::Loop, 3 | 4) => Kind::Network,
        (Kind::Model, 502) => Kind::Program,
        (Kind::Model, 555) | (Kind::Layer, 500) => Kind::Custom,
        (Kind::Model, 556) => Kind::Linked,
        (Kind::Network, 1) => Kind::Layer,
        (Kind::Layer, 605) => Kind::Branch,
        (Kind::Layer, 615) => Kind::Loop,
        (Kind::Linked, 1) => Kind::LinkedFile,
        (Kind::LinkedFile, 1 | 2) => Kind::LinkedName,
        (Kind::Program, 2) => Kind::Functions,
        (Kind::Functions, 2) => Kind::Function,
        (Kind::Function, 3) => Kind::Blocks,
        (Kind::Blocks, 2) | (Kind::Operation, 4) => Kind::Block,
        (Kind::Block, 3) => Kind::Operation,
        (Kind::Operation, 1) => Kind::OperationName,
        (Kind::Operation, 2) => Kind::Inputs,
        (Kind::Inputs, 2) => Kind::Argument,
        (Kind::Argument, 1) => Kind::Binding,
        (Kind::Program | Kind::Function | Kind::Block, 4) | (Kind::Operation, 5) => Kind::Attributes,
        (Kind::Binding | Kind::Attributes, 2) | (Kind::Pair, 1 | 2) | (Kind::Values, 1) => Kind::Value,
        (Kind::Value, 3) => Kind::Immediate,
        (Kind::Value, 5) => Kind::Blob,
        (Kind::Immediate, 2 | 3) => Kind::Values,
        (Kind::Immediate, 4) => Kind::Dictionary,
        (Kind::Dictionary, 1) => Kind::Pair,
        (Kind::Blob, 1) => Kind::BlobName,
        _ => return None,
    })
}

/// Whether a field is one of the types that a model may be.
fn is_type(field: u32) -> bool {
    matches!(field, 200..=202 | 300..=304 | 400..=404 | 500..=502 | 555 | 556 | 560 | 600..=610 | 900 | 2000..=2006 | 3000)
}

/// Whether the bytes are a `Model`.
pub(crate) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    // The version comes first, wherever these files are written.
    if probe.head.first() != Some(&8) {
        return Ok(Match::No);
    }
    let mut wire = Wire::new(probe.view);
    let mut rest = wire.all();
    let (mut version, mut types) = (false, 0_u32);
    loop {
        let field = match wire.next(&mut rest) {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(Trouble::Malformed { .. } | Trouble::Limit(_)) => return Ok(Match::No),
            Err(other) => return Err(other),
        };
        match (field.number, field.value) {
            (1, Value::Varint(number)) if VERSIONS.contains(&number) => version = true,
            (2, Value::Bytes(_)) | (10, Value::Varint(0 | 1)) => {}
            (number, Value::Bytes(_)) if is_type(number) => types = types.saturating_add(1),
            _ => return Ok(Match::No),
        }
    }
    Ok((version && types == 1).into())
}

/// Examines a `Model`: what of it is not in the file.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut wire = Wire::new(view);
    let span = wire.all();
    walk(&mut wire, Kind::Model, span, 0, scan)
}

fn walk(
    wire: &mut Wire,
    kind: Kind,
    mut rest: Span,
    depth: usize,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    if depth > DEPTH {
        return Err(Trouble::Limit(format!("messages more than {DEPTH} deep")));
    }
    let at = Some(rest.start);
    match kind {
        Kind::Custom => {
            let mut name = String::new();
            while let Some(field) = wire.next(&mut rest)? {
                if let (10, Value::Bytes(span)) = (field.number, field.value) {
                    name = wire.name(span)?;
                }
            }
            scan.report(COREML_CUSTOM, at, format!("is done by the class {}", escape(&name, 200)));
            return Ok(());
        }
        Kind::LinkedName => {
            while let Some(field) = wire.next(&mut rest)? {
                let Value::Bytes(span) = field.value else { continue };
                let name = wire.name(span)?;
                scan.report(
                    COREML_LINKED,
                    at,
                    format!("another model does the work: {}", escape(&name, 200)),
                );
            }
            return Ok(());
        }
        Kind::BlobName => {
            let name = wire.name(rest)?;
            if let Some(why) = location::outside(name.strip_prefix("@model_path/").unwrap_or(&name)) {
                scan.report(COREML_PATH, at, format!("{} {why}", escape(&name, 200)));
            }
            return Ok(());
        }
        Kind::OperationName => {
            let name = wire.name(rest)?;
            if name.starts_with("custom") {
                scan.report(COREML_CUSTOM, at, format!("has the operator {}", escape(&name, 200)));
            }
            return Ok(());
        }
        _ => {}
    }
    let mut types = 0_u32;
    while let Some(field) = wire.next(&mut rest)? {
        if kind == Kind::Model && is_type(field.number) {
            types = types.saturating_add(1);
            if types == 2 {
                let what = "a second type of model, of which loaders take the last";
                scan.report(rules::MALFORMED, Some(field.offset), what.to_owned());
            }
        }
        let (Some(inner), Value::Bytes(span)) = (part(kind, field.number), field.value) else { continue };
        walk(wire, inner, span, depth.saturating_add(1), scan)?;
    }
    Ok(())
}

/// Whether the bytes are the weights of a package: a count, the version 2, zeros, and the mark of the first entry.
pub(crate) fn detect_weights(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let at = |from: usize, to: usize| probe.head.get(from..to).unwrap_or_default();
    let marked = at(4, 8) == [2, 0, 0, 0] && at(8, 64) == [0; 56] && at(64, 68) == SENTINEL;
    Ok(marked.into())
}

#[cfg(test)]
mod tests {
    use crate::graph::testing::{Proto, findings};

    fn model(kind: u64, inner: Proto) -> Vec<u8> {
        let described = Proto::new().message(1, Proto::new().text(1, "x"));
        Proto::new().number(1, 4).message(2, described).message(kind, inner).end()
    }

    #[track_caller]
    fn check(bytes: &[u8], expect: &[&str]) {
        let (formats, found) = findings("model.mlmodel", bytes);
        assert_eq!(formats, ["coreml"]);
        assert_eq!(found, expect);
    }

    fn custom() -> Proto {
        Proto::new().message(500, Proto::new().text(10, "Evil"))
    }

    #[test]
    fn models_are_known_and_hold_nothing_that_acts() {
        let layer = Proto::new().text(1, "dense").message(140, Proto::new().number(1, 3));
        check(&model(500, Proto::new().message(1, layer)), &[]);
        check(&model(302, Proto::new().number(1, 1)), &[]);
        check(&model(560, Proto::new().message(1, Proto::new())), &[]);
        let weights =
            [&[3, 0, 0, 0, 2, 0, 0, 0][..], &[0; 56], &0xdead_beef_u32.to_le_bytes(), &[0; 60]].concat();
        assert_eq!(findings("weight.bin", &weights), (vec!["coreml-weights"], vec![]));
    }

    #[test]
    fn what_needs_code_from_elsewhere_is_found_however_deep_it_lies() {
        let expect = ["Medium coreml-custom-layer: is done by the class Evil"];
        let network = || Proto::new().message(1, custom());
        check(&model(500, network()), &expect);
        check(&model(403, network()), &expect);
        let branch = Proto::new().message(605, Proto::new().message(2, network()));
        check(&model(303, Proto::new().message(1, branch)), &expect);
        let pipeline = Proto::new().bytes(1, model(500, network()));
        check(&model(202, pipeline.clone()), &expect);
        check(&model(200, Proto::new().message(1, pipeline)), &expect);
        check(&model(555, Proto::new().text(10, "Evil")), &expect);
        let linked = Proto::new().message(1, Proto::new().message(1, Proto::new().text(1, "Other.mlmodelc")));
        check(
            &model(556, linked),
            &["Medium coreml-linked-model: another model does the work: Other.mlmodelc"],
        );
    }

    #[test]
    fn programs_are_followed_to_their_operators_and_files() {
        let program = |name: &str, file: &str| {
            let value = Proto::new().message(5, Proto::new().text(1, file).number(2, 64));
            let entry = Proto::new().text(1, "val").message(2, value);
            let operation = Proto::new().text(1, name).message(5, entry);
            let block = Proto::new().message(3, operation);
            let function = Proto::new().message(3, Proto::new().text(1, "CoreML6").message(2, block));
            model(
                502,
                Proto::new().number(1, 1).message(2, Proto::new().text(1, "main").message(2, function)),
            )
        };
        check(&program("const", "@model_path/weights/weight.bin"), &[]);
        check(
            &program("custom_layer", "@model_path/../../secret"),
            &[
                "High coreml-weights-path: @model_path/../../secret leaves the folder by `..`",
                "Medium coreml-custom-layer: has the operator custom_layer",
            ],
        );
    }
}
