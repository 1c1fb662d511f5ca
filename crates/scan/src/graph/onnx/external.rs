//! Tensors whose bytes lie in other files: which files, and whether they are where they may be.

use std::collections::BTreeMap;

use crate::examination::{Examination, escape};
use crate::folder::fact;
use crate::graph::wire::{Span, Value, Wire};
use crate::graph::{ONNX_EXTERNAL_DATA, ONNX_EXTERNAL_KEY, ONNX_EXTERNAL_PATH, location};
use crate::trouble::Trouble;

/// How many files beside the model are kept apart.
const FILES: usize = 10_000;

/// Keys that the standard has, or that versions of onnx and onnxruntime write.
const KEYS: [&str; 5] = ["location", "offset", "length", "checksum", "basepath"];

/// What is known of one file.
#[derive(Default)]
struct External {
    tensors: u64,
    /// The first byte that no tensor needs, as far as lengths are given.
    end: u64,
    offset: u64,
}

/// The files that the tensors of a model lie in.
#[derive(Default)]
pub(crate) struct ExternalData {
    files: BTreeMap<String, External>,
    unkept: u64,
}

impl ExternalData {
    /// Takes in one tensor: the `external_data` entries that it has.
    pub(crate) fn tensor(
        &mut self,
        wire: &mut Wire,
        entries: &[Span],
        tensor: &str,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        let (mut place, mut start, mut len, mut at) = (None, 0, 0, 0);
        for entry in entries {
            let (key, value) = pair(wire, *entry)?;
            at = entry.start;
            match key.as_str() {
                "location" | "basepath" => {
                    check(&value, tensor, at, scan);
                    if key == "location" {
                        place = Some(value);
                    }
                }
                "offset" | "length" => match value.parse::<u64>() {
                    Ok(number) if key == "offset" => start = number,
                    Ok(number) => len = number,
                    Err(_) => {
                        let what = format!("tensor {}: {key} is no number: {value}", escape(tensor, 200));
                        scan.report(ONNX_EXTERNAL_KEY, Some(at), what);
                    }
                },
                other if KEYS.contains(&other) || other.starts_with("prepacked_") => {}
                other => {
                    let what = format!(
                        "tensor {}: the key {} is none of the format; onnx sets it as an attribute of its own object",
                        escape(tensor, 200),
                        escape(other, 200)
                    );
                    scan.report(ONNX_EXTERNAL_KEY, Some(at), what);
                }
            }
        }
        let Some(place) = place else {
            let what = format!("tensor {} lies in another file that is not named", escape(tensor, 200));
            scan.report(ONNX_EXTERNAL_KEY, Some(at), what);
            return Ok(());
        };
        if self.files.len() >= FILES && !self.files.contains_key(&place) {
            self.unkept = self.unkept.saturating_add(1);
            return Ok(());
        }
        let file = self.files.entry(place).or_insert(External { offset: at, ..External::default() });
        file.tensors = file.tensors.saturating_add(1);
        file.end = file.end.max(start.saturating_add(len));
        Ok(())
    }

    /// Says which files the model needs.
    pub(crate) fn report(self, scan: &mut Examination<'_>) {
        for (place, file) in &self.files {
            let what = format!(
                "{} tensors lie in the file `{}`, up to its byte {}",
                file.tensors,
                escape(place, 1000),
                file.end
            );
            scan.report(ONNX_EXTERNAL_DATA, Some(file.offset), what);
            scan.note(fact::RAW_TENSORS, place);
        }
        if self.unkept > 0 {
            let what = format!("{} tensors lie in files beyond the first {FILES}", self.unkept);
            scan.settle(Err(Trouble::Limit(what)));
        }
    }
}

/// Reports a name that reaches out of the model's folder.
pub(crate) fn check(name: &str, what: &str, offset: u64, scan: &mut Examination<'_>) {
    if let Some(reason) = location::outside(name) {
        let message = format!("{}: `{}` {reason}", escape(what, 200), escape(name, 1000));
        scan.report(ONNX_EXTERNAL_PATH, Some(offset), message);
    }
}

/// A `StringStringEntryProto`.
pub(crate) fn pair(wire: &mut Wire, mut span: Span) -> Result<(String, String), Trouble> {
    let mut pair = (String::new(), String::new());
    while let Some(field) = wire.next(&mut span)? {
        match (field.number, field.value) {
            (1, Value::Bytes(text)) => pair.0 = wire.text(text, 4096)?,
            (2, Value::Bytes(text)) => pair.1 = wire.text(text, 4096)?,
            _ => {}
        }
    }
    Ok(pair)
}
