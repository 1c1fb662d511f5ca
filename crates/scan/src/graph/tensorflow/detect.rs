//! Which TensorFlow message the bytes are. None has a mark, and their fields have the same numbers; what tells them apart
//! is what a node is: a name and an operator's name, both plain text.

use crate::detect::{Match, Probe};
use crate::graph::wire::{Field, Span, Value, Wire};
use crate::trouble::Trouble;

/// How many fields of a nested message detection looks at.
const LOOK: usize = 64;

fn file_name<'a>(probe: &Probe<'a>) -> &'a str {
    probe.name.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// A structure is sure; a name alone makes a file that is broken be looked at.
fn decide(structure: Result<bool, Trouble>, named: bool) -> Result<Match, Trouble> {
    match structure {
        Ok(true) => Ok(Match::Strong),
        Ok(false) | Err(Trouble::Malformed { .. } | Trouble::Limit(_)) if named => Ok(Match::Weak),
        Ok(false) | Err(Trouble::Malformed { .. } | Trouble::Limit(_)) => Ok(Match::No),
        Err(other) => Err(other),
    }
}

/// Whether the bytes are a `SavedModel`.
pub(crate) fn detect_saved(probe: &Probe<'_>) -> Result<Match, Trouble> {
    decide(is_saved(&mut Wire::new(probe.view)), file_name(probe) == "saved_model.pb")
}

/// Whether the bytes are a `MetaGraphDef`.
pub(crate) fn detect_meta(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let mut wire = Wire::new(probe.view);
    let all = wire.all();
    decide(is_meta(&mut wire, all, true), false)
}

/// Whether the bytes are a `GraphDef`.
pub(crate) fn detect_graph(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let mut wire = Wire::new(probe.view);
    let all = wire.all();
    decide(is_graph(&mut wire, all, true), false)
}

/// Whether the file is what Keras writes beside a SavedModel.
pub(crate) fn detect_keras(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(if file_name(probe) == "keras_metadata.pb" { Match::Weak } else { Match::No })
}

/// Whether the file is a SavedModel's fingerprint: numbers, a version and an identifier.
pub(crate) fn detect_fingerprint(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if file_name(probe) != "fingerprint.pb" {
        return Ok(Match::No);
    }
    let mut wire = Wire::new(probe.view);
    let all = wire.all();
    let is = every(&mut wire, all, usize::MAX, |field| {
        matches!((field.number, field.value), (1..=5, Value::Varint(_)) | (6 | 7, Value::Bytes(_)))
    });
    Ok(if decide(is, false)? == Match::Strong { Match::Weak } else { Match::No })
}

fn is_saved(wire: &mut Wire) -> Result<bool, Trouble> {
    let mut rest = wire.all();
    let mut graphs = 0_u64;
    while let Some(field) = wire.next(&mut rest)? {
        match (field.number, field.value) {
            (1, Value::Varint(_)) => {}
            (2, Value::Bytes(graph)) if graphs > 0 || is_meta(wire, graph, false)? => {
                graphs = graphs.saturating_add(1);
            }
            (1 | 2, _) => return Ok(false),
            _ => {}
        }
    }
    Ok(graphs > 0)
}

fn is_meta(wire: &mut Wire, mut rest: Span, whole: bool) -> Result<bool, Trouble> {
    let mut graph = false;
    for _ in 0..if whole { usize::MAX } else { LOOK } {
        let Some(field) = wire.next(&mut rest)? else { break };
        match (field.number, field.value) {
            (2, Value::Bytes(span)) if !graph => {
                if !is_graph(wire, span, false)? {
                    return Ok(false);
                }
                graph = true;
            }
            (1..=7, Value::Bytes(_)) => {}
            (1..=7, _) => return Ok(false),
            _ => {}
        }
    }
    Ok(graph)
}

fn is_graph(wire: &mut Wire, mut rest: Span, whole: bool) -> Result<bool, Trouble> {
    let mut nodes = 0_usize;
    for _ in 0..if whole { usize::MAX } else { LOOK } {
        let Some(field) = wire.next(&mut rest)? else { break };
        match (field.number, field.value) {
            (1, Value::Bytes(node)) => {
                if nodes < 4 && !is_node(wire, node)? {
                    return Ok(false);
                }
                nodes = nodes.saturating_add(1);
            }
            (2 | 4 | 5, Value::Bytes(_)) | (3, Value::Varint(_)) => {}
            (1..=5, _) => return Ok(false),
            _ => {}
        }
    }
    Ok(nodes > 0)
}

fn is_node(wire: &mut Wire, mut rest: Span) -> Result<bool, Trouble> {
    let mut op = false;
    for _ in 0..LOOK {
        let Some(field) = wire.next(&mut rest)? else { break };
        match (field.number, field.value) {
            (1, Value::Bytes(name)) => {
                let name = wire.bytes(name, 256)?;
                if name.iter().any(|byte| !(0x20..0x7f).contains(byte)) {
                    return Ok(false);
                }
            }
            (2, Value::Bytes(name)) => {
                let name = wire.bytes(name, 256)?;
                op = !name.is_empty()
                    && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.>-/".contains(byte));
                if !op {
                    return Ok(false);
                }
            }
            (3..=7, Value::Bytes(_)) => {}
            (1..=7, _) => return Ok(false),
            _ => {}
        }
    }
    Ok(op)
}

/// Whether all fields are as `right` says, of the first `most`.
fn every(
    wire: &mut Wire,
    mut rest: Span,
    most: usize,
    right: impl Fn(&Field) -> bool,
) -> Result<bool, Trouble> {
    for _ in 0..most {
        match wire.next(&mut rest)? {
            Some(field) if right(&field) => {}
            Some(_) => return Ok(false),
            None => break,
        }
    }
    Ok(true)
}
