//! ONNX: `ModelProto`, and single tensors as test data has them. The format has no mark; it is known by its structure.

mod external;
mod model;
mod node;
mod tensor;
#[cfg(test)]
mod tests;

use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::graph::wire::{Field, Span, Value, Wire};
use crate::source::View;
use crate::trouble::Trouble;

/// How many fields of a graph detection looks at.
const LOOK: usize = 64;

/// Whether the bytes are a `ModelProto`, or are named so.
pub(crate) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let sure = structure(&mut Wire::new(probe.view)).or_else(no_message)?;
    Ok(if sure == Match::No && probe.view.len() > 0 && probe.extension() == "onnx" {
        Match::Weak
    } else {
        sure
    })
}

/// Bytes that are no message are no model; what could not be read is an error all the same.
fn no_message(trouble: Trouble) -> Result<Match, Trouble> {
    match trouble {
        Trouble::Malformed { .. } | Trouble::Limit(_) => Ok(Match::No),
        other => Err(other),
    }
}

fn structure(wire: &mut Wire) -> Result<Match, Trouble> {
    let mut rest = wire.all();
    let (mut graph, mut version, mut exact) = (false, false, true);
    while let Some(field) = wire.next(&mut rest)? {
        exact &= is_model_field(&field);
        match (field.number, field.value) {
            (1, Value::Varint(number)) => version |= (1..=1000).contains(&number),
            (7, Value::Bytes(span)) => {
                if !is_graph(wire, span)? {
                    return Ok(Match::No);
                }
                graph = true;
            }
            (8, Value::Bytes(_)) => version = true,
            // A format that has something else where ONNX has its numbers and its graph.
            (1 | 7, _) => return Ok(Match::No),
            _ => {}
        }
    }
    Ok(match (graph && version, exact) {
        (false, _) => Match::No,
        (true, false) => Match::Weak,
        (true, true) => Match::Strong,
    })
}

/// Whether a field that ONNX knows has the wire type that it has there. Fields that it does not know are of later versions.
fn is_model_field(field: &Field) -> bool {
    match field.number {
        1 | 5 => matches!(field.value, Value::Varint(_)),
        2 | 3 | 4 | 6 | 7 | 8 | 14 | 20 | 25 | 26 => matches!(field.value, Value::Bytes(_)),
        _ => true,
    }
}

/// Whether the first fields are a graph's.
fn is_graph(wire: &mut Wire, mut span: Span) -> Result<bool, Trouble> {
    for _ in 0..LOOK {
        let Some(field) = wire.next(&mut span)? else { break };
        let known = matches!(field.number, 1 | 2 | 5 | 10..=16);
        if known && !matches!(field.value, Value::Bytes(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Examines a `ModelProto`.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    model::examine(view, scan)
}

/// Whether the bytes are one tensor in a `.pb` file, as ONNX's test data are.
pub(crate) fn detect_tensor(probe: &Probe<'_>) -> Result<Match, Trouble> {
    // A fingerprint of TensorFlow is as plain a message as a tensor is.
    if probe.extension() != "pb" || probe.name.ends_with("fingerprint.pb") {
        return Ok(Match::No);
    }
    let mut wire = Wire::new(probe.view);
    tensor::is_tensor(&mut wire).map(|is| if is { Match::Weak } else { Match::No }).or_else(no_message)
}

/// Examines one tensor.
pub(crate) fn examine_tensor(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut wire = Wire::new(view);
    let span = wire.all();
    let mut external = external::ExternalData::default();
    tensor::examine(&mut wire, span, &mut external, scan)?;
    external.report(scan);
    Ok(())
}
