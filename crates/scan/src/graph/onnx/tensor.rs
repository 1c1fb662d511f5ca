//! `TensorProto` and `SparseTensorProto`.

use super::external::{self, ExternalData};
use crate::examination::{Examination, escape};
use crate::graph::wire::{Span, Value, Wire};
use crate::graph::{ONNX_TENSOR_SIZE, payload};
use crate::trouble::Trouble;

/// More dimensions than any operator takes.
const DIMENSIONS: usize = 1024;

/// The most `external_data` entries that a tensor has.
const ENTRIES: usize = 256;

/// Bits of an element, by the number of the type; `None` for text and what is not known.
fn bits(kind: u64) -> Option<u128> {
    Some(match kind {
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        27 | 28 => 6,
        21..=23 => 4,
        25 | 26 => 2,
        _ => return None,
    })
}

/// Examines a tensor and gives its name.
pub(crate) fn examine(
    wire: &mut Wire,
    mut span: Span,
    external: &mut ExternalData,
    scan: &mut Examination<'_>,
) -> Result<String, Trouble> {
    let offset = span.start;
    let (mut name, mut dims, mut kind, mut raw) = (String::new(), Vec::new(), 0, None);
    let (mut outside, mut entries, mut segment) = (false, Vec::new(), false);
    while let Some(field) = wire.next(&mut span)? {
        match (field.number, field.value) {
            (1, Value::Varint(dim)) => push(&mut dims, dim, field.offset)?,
            (1, Value::Bytes(mut packed)) => {
                while packed.len() > 0 {
                    let dim = wire.varint(&mut packed)?;
                    push(&mut dims, dim, field.offset)?;
                }
            }
            (2, Value::Varint(number)) => kind = number,
            (3, Value::Bytes(_)) => segment = true,
            (6, Value::Bytes(text)) => payload::examine_span(wire, text, "string in a tensor", scan)?,
            (8, Value::Bytes(text)) => name = wire.name(text)?,
            (9, Value::Bytes(bytes)) => raw = Some(bytes),
            (12, Value::Bytes(text)) => {
                payload::examine_text(wire, text, "the doc_string of a tensor", scan)?
            }
            (13, Value::Bytes(_)) if entries.len() >= ENTRIES => {
                return Err(Trouble::Limit(format!(
                    "a tensor has more than {ENTRIES} external_data entries"
                )));
            }
            (13, Value::Bytes(entry)) => entries.push(entry),
            (14, Value::Varint(number)) => outside = number == 1,
            _ => {}
        }
    }
    if outside || !entries.is_empty() {
        external.tensor(wire, &entries, &name, scan)?;
    }
    if let Some(raw) = raw {
        payload::examine_span(wire, raw, &format!("tensor {}", escape(&name, 200)), scan)?;
    }
    if let Some(wrong) = wrong_size(&dims, kind, raw.map(Span::len), segment || outside) {
        scan.report(ONNX_TENSOR_SIZE, Some(offset), format!("tensor {}: {wrong}", escape(&name, 200)));
    }
    Ok(name)
}

fn push(dims: &mut Vec<u64>, dim: u64, offset: u64) -> Result<(), Trouble> {
    if dims.len() >= DIMENSIONS {
        return Err(Trouble::malformed(offset, format!("a tensor of more than {DIMENSIONS} dimensions")));
    }
    dims.push(dim);
    Ok(())
}

/// Whether shape, type and bytes contradict each other. Models that are published without weights have shapes and no bytes.
fn wrong_size(dims: &[u64], kind: u64, raw: Option<u64>, elsewhere: bool) -> Option<String> {
    if let Some(dim) = dims.iter().find(|dim| **dim > i64::MAX as u64) {
        return Some(format!("a dimension is {}", dim.cast_signed()));
    }
    let count = dims.iter().fold(1_u128, |count, dim| count.saturating_mul(u128::from(*dim)));
    let raw = u128::from(raw.filter(|len| *len > 0 && !elsewhere)?);
    let Some(bits) = bits(kind) else {
        return Some(match kind {
            8 => "texts do not lie in raw_data".to_owned(),
            _ => format!("the type {kind} is not known"),
        });
    };
    let expected = count.saturating_mul(bits).div_ceil(8);
    (expected != raw).then(|| format!("shape and type make {expected} bytes, there are {raw}"))
}

/// Examines a sparse tensor: two tensors. Gives the name of its values, which is its own.
pub(crate) fn examine_sparse(
    wire: &mut Wire,
    mut span: Span,
    external: &mut ExternalData,
    scan: &mut Examination<'_>,
) -> Result<String, Trouble> {
    let mut name = String::new();
    while let Some(field) = wire.next(&mut span)? {
        match (field.number, field.value) {
            (1, Value::Bytes(values)) => name = examine(wire, values, external, scan)?,
            (2, Value::Bytes(indices)) => {
                examine(wire, indices, external, scan)?;
            }
            _ => {}
        }
    }
    Ok(name)
}

/// Whether the message is one tensor.
pub(crate) fn is_tensor(wire: &mut Wire) -> Result<bool, Trouble> {
    let mut rest = wire.all();
    let (mut kind, mut data) = (false, false);
    while let Some(field) = wire.next(&mut rest)? {
        match (field.number, field.value) {
            (2, Value::Varint(number)) => kind = number == 8 || bits(number).is_some(),
            (4..=7 | 9..=11, Value::Bytes(_)) => data = true,
            (4 | 10, Value::Fixed) | (1 | 5 | 7 | 11, Value::Varint(_)) => {}
            (1 | 8 | 12 | 16, Value::Bytes(_)) => {}
            (13, Value::Bytes(entry)) => {
                external::pair(wire, entry)?;
                data = true;
            }
            (14, Value::Varint(_)) => {}
            _ => return Ok(false),
        }
    }
    Ok(kind && data)
}
