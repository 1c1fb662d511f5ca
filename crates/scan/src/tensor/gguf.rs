//! GGUF: metadata, a table of tensors, the data. Chat templates in it are examined as programs.
//!
//! Nothing but the places of the tensors is kept: vocabularies have hundreds of thousands of strings.
//!
//! Source: the GGUF specification of the ggml project, versions 1 to 3.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ostrom_core::Severity;

use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::template;
use crate::trouble::Trouble;

use super::input::Input;
use super::layout::{self, Layout};
use super::{ALIGNMENT, DUPLICATE, GGUF_TEXT, NONSTANDARD, OUTSIDE, SIZE, TYPE, ggml, metadata};

const MAGIC: &[u8] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
/// The most metadata entries, and the most tensors. The largest models have some 100,000, over all their files.
const MAX_ENTRIES: u64 = 300_000;
/// How deep arrays may lie in arrays. Loaders take one or two levels.
const MAX_DEPTH: usize = 4;
/// More extents than ggml has.
const MAX_EXTENTS: u32 = 16;
/// What ggml takes.
const GGML_EXTENTS: u32 = 4;
/// The longest name of a key or tensor. The specification allows 65,535 bytes.
const MAX_NAME: u64 = 65_535;
/// The longest string of an array that is looked at; longer ones are no tokens.
const MAX_TOKEN: u64 = 1 << 20;

const STRING: u32 = 8;
const ARRAY: u32 = 9;

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(probe.head.starts_with(MAGIC).into())
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut input = Input::new(view);
    input.skip(4, "the magic number")?;
    let mut version = input.u32("the version")?;
    // Files for big-endian machines have everything but the magic number the other way round.
    if version.trailing_zeros() >= 16 {
        version = version.swap_bytes();
        input.set_big_endian();
    }
    if !(1..=3).contains(&version) {
        return Err(Trouble::malformed(4, format!("GGUF version {version} is not known")));
    }
    let mut reader = Reader { input, narrow: version == 1, scan, bad_tokens: 0 };
    let tensors = reader.length("the number of tensors")?;
    let entries = reader.length("the number of metadata entries")?;
    // The shortest entry has an empty key and one byte; the shortest tensor has an empty name and no extents.
    reader.bound(entries, 9, "metadata entries")?;
    reader.bound(tensors, 20, "tensors")?;
    let alignment = reader.metadata(entries)?;
    if reader.bad_tokens > 0 {
        let what = format!("{} strings in arrays are not UTF-8", reader.bad_tokens);
        reader.scan.report_as(Severity::Info, GGUF_TEXT, None, what);
    }
    reader.tensors(view, tensors, alignment)
}

struct Reader<'a, 's, 'l> {
    input: Input<'a>,
    /// Version 1, whose lengths have 32 bits.
    narrow: bool,
    scan: &'s mut Examination<'l>,
    /// Strings of arrays that are not UTF-8.
    bad_tokens: u64,
}

/// A tensor as the table has it.
struct Tensor {
    name: String,
    at: u64,
    offset: u64,
    /// Bytes; `None` if its type is not known.
    len: Option<u64>,
}

impl Reader<'_, '_, '_> {
    fn length(&mut self, what: &str) -> Result<u64, Trouble> {
        if self.narrow { self.input.u32(what).map(u64::from) } else { self.input.u64(what) }
    }

    /// Checks a count against the bytes that are left.
    fn bound(&self, count: u64, smallest: u64, what: &str) -> Result<(), Trouble> {
        let smallest = if self.narrow { smallest.saturating_sub(4).max(1) } else { smallest };
        if count.checked_mul(smallest).is_none_or(|needed| needed > self.input.left()) {
            let left = self.input.left();
            let what = format!("{count} {what} do not fit in the {left} bytes that are left");
            return Err(Trouble::malformed(self.input.position(), what));
        }
        if count > MAX_ENTRIES {
            return Err(Trouble::Limit(format!("{count} {what}")));
        }
        Ok(())
    }

    /// A string that is held.
    fn string(&mut self, most: u64, what: &str) -> Result<String, Trouble> {
        let at = self.input.position();
        let length = self.length(what)?;
        if length > self.input.left() {
            let what = format!("{what} of {length} bytes where {} are left", self.input.left());
            return Err(Trouble::malformed(at, what));
        }
        let held = usize::try_from(length).ok().filter(|_| length <= most);
        let Some(held) = held else { return Err(Trouble::Limit(format!("{what} of {length} bytes"))) };
        let bytes = self.input.bytes(held, what)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let what = format!("{what} is not UTF-8: {:?}", escape(&text, 100));
            self.scan.report(GGUF_TEXT, Some(at), what);
            text
        }))
    }

    /// Reads the metadata; gives the alignment, if it is one.
    fn metadata(&mut self, entries: u64) -> Result<Option<u64>, Trouble> {
        let mut seen = BTreeSet::new();
        let mut alignment = Some(DEFAULT_ALIGNMENT);
        for _ in 0..entries {
            let at = self.input.position();
            let key = self.string(MAX_NAME, "a key")?;
            metadata::name(&key, at, self.scan);
            if !seen.insert(digest(&key)) {
                let what = format!("the key {:?} occurs twice", escape(&key, 100));
                self.scan.report(DUPLICATE, Some(at), what);
            }
            let kind = self.input.u32("the type of a value")?;
            if key == "general.alignment" {
                alignment = self.alignment(kind)?;
            } else if kind == STRING {
                self.text(&key)?;
            } else {
                self.value(&key, kind, 0)?;
            }
        }
        Ok(alignment)
    }

    fn alignment(&mut self, kind: u32) -> Result<Option<u64>, Trouble> {
        let at = self.input.position();
        if kind != 4 {
            self.scan.report(ALIGNMENT, Some(at), format!("general.alignment is of type {kind}, not uint32"));
            self.value("general.alignment", kind, 0)?;
            return Ok(None);
        }
        let alignment = self.input.u32("the alignment")?;
        if !alignment.is_power_of_two() {
            self.scan.report(
                ALIGNMENT,
                Some(at),
                format!("general.alignment is {alignment}, not a power of two"),
            );
            return Ok(None);
        }
        Ok(Some(alignment.into()))
    }

    /// Looks at a string value.
    fn text(&mut self, key: &str) -> Result<(), Trouble> {
        let at = self.input.position();
        // Half of what may be held: a copy is made of text that is not UTF-8.
        let most = self.scan.limits().held as u64 / 2;
        let text = self.string(most, &format!("the value of {}", escape(key, 100)))?;
        if is_template(key) {
            self.scan.within(key, |scan| template::template(&text, scan));
        } else if !key.starts_with("tokenizer.") {
            // A tokenizer as a whole has whatever characters its vocabulary has.
            metadata::value(key, &text, at, self.scan);
        }
        Ok(())
    }

    /// Passes over a value that is not a string; looks at those of an array.
    fn value(&mut self, key: &str, kind: u32, depth: usize) -> Result<(), Trouble> {
        match (width(kind), kind) {
            (Some(width), _) => self.input.skip(width, "a value"),
            (None, STRING) => self.token(key),
            (None, ARRAY) => self.array(key, depth),
            (None, other) => {
                let what = format!("the value of {} is of the unknown type {other}", escape(key, 100));
                Err(Trouble::malformed(self.input.position(), what))
            }
        }
    }

    fn array(&mut self, key: &str, depth: usize) -> Result<(), Trouble> {
        if depth >= MAX_DEPTH {
            return Err(Trouble::Limit(format!(
                "arrays lie more than {MAX_DEPTH} deep in {}",
                escape(key, 100)
            )));
        }
        let kind = self.input.u32("the type of an array")?;
        let count = self.length("the length of an array")?;
        if let Some(width) = width(kind) {
            let what = format!("the array {}", escape(key, 100));
            let at = self.input.position();
            let len = count
                .checked_mul(width)
                .ok_or_else(|| Trouble::malformed(at, format!("{what} is too long")))?;
            return self.input.skip(len, &what);
        }
        let smallest = match (kind, self.narrow) {
            (STRING, false) => 8,
            (STRING, true) => 4,
            _ => 8,
        };
        if count.checked_mul(smallest).is_none_or(|needed| needed > self.input.left()) {
            let what = format!("{count} elements of {} do not fit", escape(key, 100));
            return Err(Trouble::malformed(self.input.position(), what));
        }
        for _ in 0..count {
            self.value(key, kind, depth.saturating_add(1))?;
        }
        Ok(())
    }

    /// Looks at a string of an array; passes over those of a vocabulary. Some loaders take an array of one string for the
    /// string, a chat template's as well.
    fn token(&mut self, key: &str) -> Result<(), Trouble> {
        if is_template(key) || !key.starts_with("tokenizer.") {
            return self.text(key);
        }
        let at = self.input.position();
        let length = self.length("the length of a string")?;
        if length > MAX_TOKEN {
            let what = format!("a string of {length} bytes in the array {}", escape(key, 100));
            self.input.skip(length, &what)?;
            self.scan.report(NONSTANDARD, Some(at), what);
            return Ok(());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.input.bytes(length, "a string")?;
        if std::str::from_utf8(&bytes).is_err() {
            self.bad_tokens = self.bad_tokens.saturating_add(1);
        }
        Ok(())
    }

    /// Reads the table of tensors and holds it against the file.
    fn tensors(mut self, view: &View, count: u64, alignment: Option<u64>) -> Result<(), Trouble> {
        let mut seen = BTreeSet::new();
        let mut table = Vec::new();
        for _ in 0..count {
            let mut tensor = self.tensor()?;
            if !seen.insert(digest(&tensor.name)) {
                let what = format!("the tensor {:?} occurs twice", escape(&tensor.name, 100));
                self.scan.report(DUPLICATE, Some(tensor.at), what);
            }
            tensor.name = if table.len() < layout::NAMED { escape(&tensor.name, 80) } else { String::new() };
            table.push(tensor);
        }
        // Without an alignment nobody knows where the data begin; that has been reported.
        let Some(alignment) = alignment else { return Ok(()) };
        let end = self.input.position();
        let data = end.checked_next_multiple_of(alignment).filter(|data| *data <= view.len());
        let Some(data) = data else {
            // A file of metadata alone need not be padded.
            if count == 0 {
                return Layout::new().report(view, end, alignment, self.scan);
            }
            return Err(Trouble::malformed(end, "the file ends before the data of its tensors"));
        };
        let mut layout = Layout::new();
        let mut sized = true;
        for tensor in table {
            let Tensor { name, at, offset, len } = tensor;
            if offset.checked_rem(alignment) != Some(0) {
                let what = format!("tensor {name:?} lies at {offset}, which is no multiple of {alignment}");
                self.scan.report(ALIGNMENT, Some(at), what);
            }
            let Some(len) = len else {
                sized = false;
                continue;
            };
            let begin = data.checked_add(offset);
            let end = begin.and_then(|begin| begin.checked_add(len)).filter(|end| *end <= view.len());
            match (begin, end) {
                (Some(begin), Some(end)) => layout.add(&name, begin, end)?,
                _ => {
                    sized = false;
                    let what = format!(
                        "tensor {name:?} of {len} bytes at {offset} of the data reaches beyond the end of the file"
                    );
                    self.scan.report(OUTSIDE, Some(at), what);
                }
            }
        }
        // Where a tensor could not be placed, what it leaves would be called a hole.
        if sized { layout.report(view, data, alignment, self.scan) } else { Ok(()) }
    }

    fn tensor(&mut self) -> Result<Tensor, Trouble> {
        let at = self.input.position();
        let name = self.string(MAX_NAME, "a tensor's name")?;
        metadata::name(&name, at, self.scan);
        let quoted = escape(&name, 100);
        let extents = self.input.u32("the number of extents")?;
        if extents > MAX_EXTENTS {
            return Err(Trouble::malformed(at, format!("tensor {quoted:?} has {extents} extents")));
        }
        if extents > GGML_EXTENTS {
            self.scan.report(NONSTANDARD, Some(at), format!("tensor {quoted:?} has {extents} extents"));
        }
        let mut row = 1u64;
        let mut elements = Some(1u64);
        for index in 0..extents {
            let extent = self.length("an extent")?;
            if index == 0 {
                row = extent;
            }
            elements = elements.and_then(|elements| elements.checked_mul(extent));
        }
        let kind = self.input.u32("the type of a tensor")?;
        let offset = self.input.u64("the offset of a tensor")?;
        let len = match ggml::get(kind) {
            None => {
                self.scan.report(TYPE, Some(at), format!("tensor {quoted:?} is of type {kind}"));
                None
            }
            Some(kind) => {
                // INVARIANT: no block of the table is empty.
                let whole = row.checked_rem(kind.elements) == Some(0);
                let len = elements
                    .and_then(|elements| elements.checked_div(kind.elements))
                    .and_then(|blocks| blocks.checked_mul(kind.bytes));
                if !whole || len.is_none() {
                    let what =
                        if whole { "more elements than any file has" } else { "rows of broken blocks" };
                    self.scan.report(SIZE, Some(at), format!("tensor {quoted:?} has {what}"));
                }
                len.filter(|_| whole)
            }
        };
        Ok(Tensor { name, at, offset, len })
    }
}

/// Bytes of a value of this type, where all have as many.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Whether loaders render the value of this key.
fn is_template(key: &str) -> bool {
    key.strip_prefix("tokenizer.chat_template").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn digest(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "gguf_tests.rs"]
mod tests;
