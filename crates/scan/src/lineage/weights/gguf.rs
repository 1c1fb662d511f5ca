//! The header of a GGUF file, bounded: entries that lineage has no use for are passed over, never held.
//!
//! `ostrom_models` has a reader too. It holds all metadata (a vocabulary takes tens of megabytes) and refuses files with a tensor
//! in a format that it cannot run; here such files must still say where they come from.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use ostrom_models::local::quant::Format;

use super::numbers::{Coding, OtherCoding};
use super::{Heads, Part};
use crate::examination::escape;
use crate::source::{View, ViewReader};
use crate::trouble::Trouble;

const MAX_ENTRIES: u64 = 65_536;
/// The longest key or tensor name.
const MAX_NAME: u64 = 256;
/// The longest text and the most elements of an array that are kept.
const MAX_KEPT: u64 = 64 << 10;
const MAX_KEPT_ELEMENTS: u64 = 256;
/// All kept text together, and what holding each text takes, which empty ones take too.
const MAX_KEPT_TOTAL: u64 = 4 << 20;
const HOLDING: u64 = size_of::<String>() as u64;
const MAX_EXTENTS: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The metadata that were kept.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    texts: BTreeMap<String, String>,
    numbers: BTreeMap<String, u64>,
    lists: BTreeMap<String, Vec<String>>,
}

impl Metadata {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.numbers.get(key).copied()
    }

    pub(crate) fn list(&self, key: &str) -> &[String] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }
}

struct Reader {
    inner: BufReader<ViewReader>,
    position: u64,
    length: u64,
}

impl Reader {
    fn claim(&mut self, count: u64) -> Result<(), Trouble> {
        if count > self.length.saturating_sub(self.position) {
            return Err(Trouble::malformed(self.position, "the header ends early"));
        }
        self.position += count;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Trouble> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Trouble> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, count: u64) -> Result<(), Trouble> {
        self.claim(count)?;
        let passed = std::io::copy(&mut self.inner.by_ref().take(count), &mut std::io::sink())?;
        if passed == count { Ok(()) } else { Err(Trouble::Changed) }
    }

    /// A text of at most `most` bytes; a longer one is passed over.
    fn text(&mut self, most: u64) -> Result<Option<String>, Trouble> {
        let length = self.u64()?;
        if length > most {
            return self.skip(length).map(|()| None);
        }
        self.claim(length)?;
        let mut bytes = Vec::new();
        self.inner.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(Trouble::Changed);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn skip_text(&mut self) -> Result<(), Trouble> {
        let length = self.u64()?;
        self.skip(length)
    }

    fn name(&mut self) -> Result<String, Trouble> {
        let at = self.position;
        let long = || Trouble::malformed(at, format!("a name of more than {MAX_NAME} bytes"));
        self.text(MAX_NAME)?.ok_or_else(long)
    }
}

/// Bytes of a metadata value of fixed size.
fn fixed_size(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

fn value(reader: &mut Reader, kept: &mut Metadata, key: String, budget: &mut u64) -> Result<(), Trouble> {
    let kind = reader.u32()?;
    let wanted = key.starts_with("general.") || key.contains(".attention.");
    match kind {
        STRING if wanted => {
            if let Some(text) = reader.text(MAX_KEPT.min(*budget))? {
                *budget = budget.saturating_sub(text.len() as u64);
                kept.texts.insert(key, text);
            }
            Ok(())
        }
        STRING => reader.skip_text(),
        ARRAY => array(reader, kept, key, wanted, budget),
        kind => match fixed_size(kind) {
            Some(size) if wanted && kind != 6 && kind != 12 => {
                let number = match size {
                    1 => u64::from(u8::from_le_bytes(reader.bytes()?)),
                    2 => u64::from(u16::from_le_bytes(reader.bytes()?)),
                    4 => u64::from(reader.u32()?),
                    _ => reader.u64()?,
                };
                kept.numbers.insert(key, number);
                Ok(())
            }
            Some(size) => reader.skip(size),
            None => {
                Err(Trouble::malformed(reader.position, format!("metadata value of unknown type {kind}")))
            }
        },
    }
}

fn array(
    reader: &mut Reader,
    kept: &mut Metadata,
    key: String,
    wanted: bool,
    budget: &mut u64,
) -> Result<(), Trouble> {
    let kind = reader.u32()?;
    let count = reader.u64()?;
    if let Some(size) = fixed_size(kind) {
        let length = count.checked_mul(size);
        return reader.skip(length.unwrap_or(u64::MAX));
    }
    // The format allows arrays in arrays; no writer makes them, and no reader of llama.cpp takes them.
    if kind != STRING {
        return Err(Trouble::malformed(reader.position, format!("an array of type {kind}")));
    }
    let mut list = Vec::new();
    for index in 0..count {
        if wanted && index < MAX_KEPT_ELEMENTS && *budget > 0 {
            if let Some(text) = reader.text(MAX_KEPT.min(*budget))? {
                *budget = budget.saturating_sub(HOLDING.saturating_add(text.len() as u64));
                list.push(text);
            }
        } else {
            reader.skip_text()?;
        }
    }
    if wanted {
        kept.lists.insert(key, list);
    }
    Ok(())
}

/// Reads the metadata and leaves the reader at the tensor entries; says how many there are.
fn begin(view: &View) -> Result<(Reader, Metadata, u64, u64), Trouble> {
    let mut reader = Reader { inner: BufReader::new(view.reader()), position: 0, length: view.len() };
    if reader.bytes::<4>()? != *b"GGUF" {
        return Err(Trouble::malformed(0, "not a GGUF file"));
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(Trouble::malformed(4, format!("GGUF version {version}; versions 2 and 3 are read")));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > MAX_ENTRIES || entries > MAX_ENTRIES {
        return Err(Trouble::malformed(8, format!("{tensors} tensors and {entries} metadata entries")));
    }
    let (mut kept, mut budget, mut alignment) = (Metadata::default(), MAX_KEPT_TOTAL, 32);
    for _ in 0..entries {
        let key = reader.name()?;
        value(&mut reader, &mut kept, key, &mut budget)?;
    }
    if let Some(number) = kept.number("general.alignment") {
        if !number.is_power_of_two() || number > 1 << 20 {
            return Err(Trouble::malformed(reader.position, format!("alignment {number}")));
        }
        alignment = number;
    }
    Ok((reader, kept, tensors, alignment))
}

/// What a file says about itself.
pub(crate) fn read_metadata(view: &View) -> Result<Metadata, Trouble> {
    Ok(begin(view)?.1)
}

/// Reads the header of a file.
pub(super) fn read(view: &View) -> Result<Part, Trouble> {
    let (mut reader, metadata, count, alignment) = begin(view)?;
    let mut listed = Vec::new();
    for _ in 0..count {
        let name = reader.name()?;
        let extents = reader.u32()?;
        if extents > MAX_EXTENTS {
            return Err(Trouble::malformed(reader.position, format!("a tensor with {extents} dimensions")));
        }
        let mut shape = (0..extents).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        shape.reverse();
        let (id, offset) = (reader.u32()?, reader.u64()?);
        let coding = Format::from_ggml(id)
            .map_or(Coding::Other(OtherCoding { ggml: Some(id), width: None }), Coding::Ggml);
        listed.push((name, offset, coding, shape));
    }
    let data = reader.position.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let mut tensors = Vec::with_capacity(listed.len());
    for (name, offset, coding, shape) in listed {
        let outside =
            || Trouble::malformed(data, format!("tensor {} lies outside the file", escape(&name, 200)));
        let numbers = shape.iter().try_fold(1_u64, |product, extent| product.checked_mul(*extent));
        let start = data.checked_add(offset).ok_or_else(outside)?;
        let numbers = numbers.ok_or_else(outside)?;
        if let Coding::Ggml(format) = coding {
            let dimensions: Vec<u64> = shape.iter().rev().copied().collect();
            let length = format.bytes_for(&dimensions).ok_or_else(outside)?;
            if start.checked_add(length).is_none_or(|end| end > view.len()) {
                return Err(outside());
            }
        } else if numbers > 0 && start >= view.len() {
            return Err(outside());
        }
        tensors.push((name, start, coding, shape));
    }
    let architecture = metadata.text("general.architecture").unwrap_or_default();
    let head = |key: &str| metadata.number(&format!("{architecture}.attention.{key}"));
    let heads =
        Heads { query: head("head_count"), key: head("head_count_kv").or_else(|| head("head_count")) };
    Ok(Part { tensors, heads, is_gguf: true })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A metadata value to be written.
    pub(crate) enum Value<'a> {
        Text(&'a str),
        Number(u32),
        Texts(&'a [&'a str]),
    }

    fn put(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    /// A GGUF file. Tensors: name, extents slowest first, ggml's format, bytes.
    pub(crate) fn file(
        metadata: &[(&str, Value<'_>)],
        tensors: &[(String, Vec<u64>, u32, Vec<u8>)],
    ) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((tensors.len() as u64).to_le_bytes());
        out.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata {
            put(&mut out, key);
            match value {
                Value::Text(text) => {
                    out.extend(8_u32.to_le_bytes());
                    put(&mut out, text);
                }
                Value::Number(number) => {
                    out.extend(4_u32.to_le_bytes());
                    out.extend(number.to_le_bytes());
                }
                Value::Texts(texts) => {
                    out.extend(9_u32.to_le_bytes());
                    out.extend(8_u32.to_le_bytes());
                    out.extend((texts.len() as u64).to_le_bytes());
                    texts.iter().for_each(|text| put(&mut out, text));
                }
            }
        }
        let mut offset = 0_usize;
        for (name, shape, format, bytes) in tensors {
            put(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|extent| out.extend(extent.to_le_bytes()));
            out.extend(format.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + bytes.len()).next_multiple_of(32);
        }
        for (_, _, _, bytes) in tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(bytes);
        }
        out
    }

    fn sample() -> Vec<u8> {
        file(
            &[
                ("general.architecture", Value::Text("llama")),
                ("general.license", Value::Text("apache-2.0")),
                ("llama.attention.head_count", Value::Number(4)),
                ("general.datasets", Value::Texts(&["a/b", "c/d"])),
                ("tokenizer.ggml.tokens", Value::Texts(&["x", "y"])),
            ],
            &[
                ("one".to_owned(), vec![2, 4], 0, vec![1; 32]),
                ("two".to_owned(), vec![1, 32], 8, vec![2; 34]),
            ],
        )
    }

    #[test]
    fn what_lineage_needs_is_kept_and_the_rest_passed_over() {
        let view = View::new(sample());
        let metadata = read_metadata(&view).unwrap();
        assert_eq!(metadata.text("general.license"), Some("apache-2.0"));
        assert_eq!(metadata.list("general.datasets"), ["a/b", "c/d"]);
        assert!(metadata.list("tokenizer.ggml.tokens").is_empty());
        let part = read(&view).unwrap();
        assert_eq!(part.heads, Heads { query: Some(4), key: Some(4) });
        let (name, offset, coding, shape) = &part.tensors[1];
        assert_eq!(
            (name.as_str(), *coding, shape.as_slice()),
            ("two", Coding::Ggml(Format::Q8_0), &[1, 32][..])
        );
        assert_eq!(view.exactly(*offset, 34).unwrap(), [2; 34]);
    }

    #[test]
    fn a_file_in_an_unknown_tensor_format_still_says_where_it_comes_from() {
        let bytes = file(
            &[("general.base_model.0.name", Value::Text("Base"))],
            &[("t".to_owned(), vec![256], 10, vec![0; 84])],
        );
        let part = read(&View::new(bytes)).unwrap();
        assert_eq!(part.tensors[0].2, Coding::Other(OtherCoding { ggml: Some(10), width: None }));
    }

    #[test]
    fn many_empty_texts_are_not_all_held() {
        let empty = [""; 300];
        let keys: Vec<String> = (0..1000).map(|number| format!("general.{number}")).collect();
        let lists: Vec<_> = keys.iter().map(|key| (key.as_str(), Value::Texts(&empty))).collect();
        let metadata = read_metadata(&View::new(file(&lists, &[]))).unwrap();
        let held: usize = keys.iter().map(|key| metadata.list(key).len()).sum();
        assert_eq!(metadata.list("general.0").len(), 256);
        assert!((100_000..=180_000).contains(&held), "{held} of 256,000 are held");
    }

    #[test]
    fn truncated_anywhere_is_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(read(&View::new(whole[..length].to_vec())).is_err(), "cut to {length} bytes and taken");
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(at: proptest::sample::Index, to: u8, also: proptest::sample::Index, too: u8) {
            let mut bytes = sample();
            let n = bytes.len();
            bytes[at.index(n)] = to;
            bytes[also.index(n)] = too;
            let _ = read(&View::new(bytes));
        }

        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            bytes.splice(0..0, b"GGUF\x03\0\0\0".iter().copied());
            let _ = read(&View::new(bytes));
        }
    }
}
