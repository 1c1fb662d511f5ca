//! TFLite: a flatbuffer with the identifier `TFL3`, and at its end, if the model has metadata, a zip archive of files.

mod associated;
mod flat;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::flat::{Flat, Table};
use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::graph::ops::{self, Reach};
use crate::graph::{
    TF_NATIVE, TF_PYTHON, TF_READ, TF_REMOTE, TF_WRITE, TFLITE_CUSTOM, TFLITE_FLEX, TFLITE_UNKNOWN, payload,
};
use crate::source::View;
use crate::trouble::Trouble;

/// The builtin operator that says that another one is meant, by name.
const CUSTOM: i64 = 32;

/// Whether the bytes carry the identifier, or are named so.
pub(crate) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(if probe.head.get(4..8) == Some(b"TFL3") {
        Match::Strong
    } else if probe.extension() == "tflite" && probe.view.len() > 0 {
        Match::Weak
    } else {
        Match::No
    })
}

/// Examines a TFLite model.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.bytes(4, 4)? != b"TFL3" {
        return Err(Trouble::malformed(4, "not the identifier of a TFLite model"));
    }
    let result = Model { flat: Flat::new(view), scan }.examine();
    associated::examine(view, scan)?;
    result
}

struct Model<'s, 'a> {
    flat: Flat,
    scan: &'s mut Examination<'a>,
}

impl Model<'_, '_> {
    fn examine(&mut self) -> Result<(), Trouble> {
        let root = self.flat.root()?;
        let codes = self.operator_codes(&root)?;
        let buffers = self.buffers(&root)?;
        self.subgraphs(&root, codes, buffers)?;
        self.metadata(&root, buffers)
    }

    fn operator_codes(&mut self, root: &Table) -> Result<u64, Trouble> {
        let codes = self.flat.tables(root, 1)?;
        let mut custom: BTreeMap<String, u64> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for index in 0..codes.count {
            let code = self.flat.element(&codes, index)?;
            let old = self.flat.byte(&code, 0)?.cast_signed();
            let new = self.flat.word(&code, 3)?.cast_signed();
            // Writers of before there were more than 127 operators fill in the first only.
            let number = i64::from(old).max(i64::from(new));
            if number == CUSTOM {
                let name = self.flat.text(&code, 1)?.unwrap_or_default();
                custom.entry(name).or_insert(code.at);
            } else if !(0..=ops::tflite().last_builtin).contains(&number) && unknown.insert(number) {
                let what = format!("the builtin operator {number} is not known");
                self.scan.report(TFLITE_UNKNOWN, Some(code.at), what);
            }
        }
        for (name, offset) in &custom {
            self.custom(name, *offset);
        }
        Ok(codes.count)
    }

    fn custom(&mut self, name: &str, offset: u64) {
        let shown = escape(name, 200);
        let rule = match name.strip_prefix("Flex").map(ops::tensorflow) {
            None if ops::tflite().knows(name) => return,
            None | Some(Reach::Unknown) => TFLITE_CUSTOM,
            Some(Reach::Write | Reach::Save) => TF_WRITE,
            Some(Reach::Read) => TF_READ,
            Some(Reach::Python) => TF_PYTHON,
            Some(Reach::Remote) => TF_REMOTE,
            Some(Reach::Native) => TF_NATIVE,
            Some(Reach::Plain | Reach::Restore | Reach::Asset) => TFLITE_FLEX,
        };
        self.scan.report(rule, Some(offset), shown);
    }

    fn buffers(&mut self, root: &Table) -> Result<u64, Trouble> {
        let buffers = self.flat.tables(root, 4)?;
        for index in 0..buffers.count {
            let buffer = self.flat.element(&buffers, index)?;
            let name = format!("buffer {index}");
            if let Some(data) = self.flat.vector(&buffer, 0, 1)? {
                self.payload(data.start, data.count, &name)?;
            }
            let (offset, size) = (self.flat.long(&buffer, 1)?, self.flat.long(&buffer, 2)?);
            // 0 and 1 say that the bytes are not beyond the flatbuffer.
            if offset > 1 {
                self.payload(offset, size, &name)?;
            }
        }
        Ok(buffers.count)
    }

    fn payload(&mut self, offset: u64, len: u64, name: &str) -> Result<(), Trouble> {
        let part = self.flat.view().part(offset, len).ok_or_else(|| {
            Trouble::malformed(offset, format!("{name}: {len} bytes reach beyond the end of the file"))
        })?;
        if len < 8 {
            return Ok(());
        }
        payload::examine(&part, name, offset, self.scan)
    }

    fn subgraphs(&mut self, root: &Table, codes: u64, buffers: u64) -> Result<(), Trouble> {
        let subgraphs = self.flat.tables(root, 2)?;
        for index in 0..subgraphs.count {
            let subgraph = self.flat.element(&subgraphs, index)?;
            let tensors = self.flat.tables(&subgraph, 0)?;
            for index in 0..tensors.count {
                let tensor = self.flat.element(&tensors, index)?;
                self.flat.vector(&tensor, 0, 4)?;
                within(u64::from(self.flat.word(&tensor, 2)?), buffers, "buffer", tensor.at)?;
            }
            for field in [1, 2] {
                self.indices(&subgraph, field, tensors.count)?;
            }
            let operators = self.flat.tables(&subgraph, 3)?;
            for index in 0..operators.count {
                let operator = self.flat.element(&operators, index)?;
                within(u64::from(self.flat.word(&operator, 0)?), codes, "operator code", operator.at)?;
                for field in [1, 2, 8] {
                    self.indices(&operator, field, tensors.count)?;
                }
                self.flat.vector(&operator, 5, 1)?;
                let (offset, size) = (self.flat.long(&operator, 9)?, self.flat.long(&operator, 10)?);
                if offset > 1 {
                    self.payload(offset, size, "custom options")?;
                }
            }
        }
        Ok(())
    }

    /// Indices of tensors; -1 stands for an input that is left out.
    fn indices(&mut self, table: &Table, field: u16, tensors: u64) -> Result<(), Trouble> {
        let Some(indices) = self.flat.vector(table, field, 4)? else { return Ok(()) };
        self.flat.spend(indices.count)?;
        for index in 0..indices.count {
            let at = indices.start + index * 4;
            let tensor = self.flat.u32(at)?;
            if tensor != u32::MAX {
                within(u64::from(tensor), tensors, "tensor", at)?;
            }
        }
        Ok(())
    }

    fn metadata(&mut self, root: &Table, buffers: u64) -> Result<(), Trouble> {
        let entries = self.flat.tables(root, 6)?;
        for index in 0..entries.count {
            let entry = self.flat.element(&entries, index)?;
            self.flat.text(&entry, 0)?;
            within(u64::from(self.flat.word(&entry, 1)?), buffers, "buffer", entry.at)?;
        }
        Ok(())
    }
}

fn within(index: u64, count: u64, what: &str, at: u64) -> Result<(), Trouble> {
    if index < count {
        return Ok(());
    }
    Err(Trouble::malformed(at, format!("names {what} {index} of {count}")))
}
