//! safetensors: a length, a JSON header, the data.
//!
//! The reference implementation refuses whatever is a finding here; other readers of the format do not, and what they
//! make of such a file differs.
//!
//! Source: the format's description and the reference implementation of the safetensors project.

use std::collections::BTreeSet;
use std::fmt;
use std::io::BufReader;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

use super::layout::Layout;
use super::watch::{Watch, Watched};
use super::{DUPLICATE, NONSTANDARD, OUTSIDE, SIZE, TYPE, metadata};

/// The longest header that the reference implementation takes.
const MAX_HEADER: u64 = 100_000_000;
/// The most names of tensors or metadata entries.
const MAX_NAMES: usize = 300_000;

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let named = probe.extension() == "safetensors";
    let weak = if named { Match::Weak } else { Match::No };
    let (Some(length), Some(rest)) = (probe.head.first_chunk::<8>(), probe.head.get(8..)) else {
        return Ok(weak);
    };
    // A header of more than 2^40 bytes is no header; this also keeps text, which is never zero here, apart.
    if u64::from_le_bytes(*length) >> 40 != 0 {
        return Ok(weak);
    }
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let mut tokens = rest.iter().filter(|byte| !is_space(byte));
    let begins = tokens.next() == Some(&b'{') && matches!(tokens.next(), Some(b'"' | b'}'));
    Ok(if begins { Match::Strong } else { weak })
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let length = view.exactly(0, 8)?;
    let length = length.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let left = view.len().saturating_sub(8);
    if length > left {
        return Err(Trouble::malformed(0, format!("a header of {length} bytes where {left} are left")));
    }
    if length > MAX_HEADER {
        return Err(Trouble::Limit(format!("a header of {length} bytes; safetensors allows {MAX_HEADER}")));
    }
    let Some(header) = view.part(8, length) else { return Err(Trouble::Changed) };
    if header.bytes(0, 1)? != b"{" {
        scan.report(NONSTANDARD, Some(8), "the header does not begin with '{'");
    }
    let watched = Watched::default();
    let watch = Watch::new(header.reader(), watched.clone(), scan.limits().held / 2);
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, watch));
    let mut state = State {
        scan,
        layout: Layout::new(),
        names: BTreeSet::new(),
        entries: BTreeSet::new(),
        data: length.saturating_add(8),
        data_len: left.saturating_sub(length),
        trouble: None,
    };
    let result = Header(&mut state).deserialize(&mut json).and_then(|()| json.end());
    let State { layout, data, trouble, .. } = state;
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    if let Err(error) = result {
        if watched.too_long() {
            return Err(Trouble::Limit("a string in the header is too long to hold".to_owned()));
        }
        if error.is_io() {
            return Err(std::io::Error::from(error).into());
        }
        let column = if error.line() == 1 { error.column() as u64 } else { 0 };
        return Err(Trouble::malformed(column.saturating_add(8), format!("the header: {error}")));
    }
    if watched.odd_padding() {
        scan.report(NONSTANDARD, None, "the header is padded with something other than spaces");
    }
    layout.report(view, data, 1, scan)
}

/// What is known while the header is read.
struct State<'s, 'l> {
    scan: &'s mut Examination<'l>,
    layout: Layout,
    /// Digests of the names so far; names themselves may be long.
    names: BTreeSet<u64>,
    entries: BTreeSet<u64>,
    /// Where the data begin.
    data: u64,
    data_len: u64,
    /// What stopped the reading, if it was not the JSON.
    trouble: Option<Trouble>,
}

impl State<'_, '_> {
    fn stop<E: de::Error>(&mut self, trouble: Trouble) -> E {
        self.trouble = Some(trouble);
        E::custom("stopped")
    }

    fn tensor(&mut self, name: &str, info: &Info) -> Result<(), Trouble> {
        let quoted = format!("{:?}", escape(name, 100));
        let (Some(dtype), Some(shape), Some([begin, end])) = (&info.dtype, &info.shape, info.offsets) else {
            return Err(Trouble::malformed(
                8,
                format!("tensor {quoted} lacks its dtype, shape or data_offsets"),
            ));
        };
        if begin > end || end > self.data_len {
            let what = format!("tensor {quoted} lies at {begin}..{end} of {} bytes of data", self.data_len);
            self.scan.report(OUTSIDE, None, what);
            return Ok(());
        }
        match bits(dtype) {
            None => {
                self.scan.report(TYPE, None, format!("tensor {quoted} is of type {:?}", escape(dtype, 50)))
            }
            Some(bits) => {
                let total = shape.and_then(|elements| elements.checked_mul(bits));
                if total.is_none_or(|total| total % 8 != 0 || total / 8 != end - begin) {
                    let needs =
                        total.map_or("more than any file has".to_owned(), |bits| format!("{bits} bits"));
                    let what =
                        format!("tensor {quoted} has {} bytes; its shape and type need {needs}", end - begin);
                    self.scan.report(SIZE, None, what);
                }
            }
        }
        // INVARIANT: both are at most `data_len`, and `data + data_len` is the length of the file.
        self.layout.add(name, self.data.saturating_add(begin), self.data.saturating_add(end))
    }
}

/// Bits of one element.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

fn digest(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The whole header.
struct Header<'a, 's, 'l>(&'a mut State<'s, 'l>);

impl<'de> DeserializeSeed<'de> for Header<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Header<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(name) = map.next_key::<String>()? {
            if !state.names.insert(digest(&name)) {
                state.scan.report(DUPLICATE, None, format!("{:?} occurs twice", escape(&name, 100)));
            }
            if state.names.len() > MAX_NAMES {
                return Err(state.stop(Trouble::Limit(format!("more than {MAX_NAMES} names"))));
            }
            if name == "__metadata__" {
                map.next_value_seed(Metadata(state))?;
                continue;
            }
            metadata::name(&name, 8, state.scan);
            let mut info = Info::default();
            map.next_value_seed(InfoSeed { name: &name, info: &mut info, state })?;
            if let Err(trouble) = state.tensor(&name, &info) {
                return Err(state.stop(trouble));
            }
        }
        Ok(())
    }
}

/// `__metadata__`.
struct Metadata<'a, 's, 'l>(&'a mut State<'s, 'l>);

impl<'de> DeserializeSeed<'de> for Metadata<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings as __metadata__")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(key) = map.next_key::<String>()? {
            if !state.entries.insert(digest(&key)) {
                let what = format!("the metadata entry {:?} occurs twice", escape(&key, 100));
                state.scan.report(DUPLICATE, None, what);
            }
            if state.entries.len() > MAX_NAMES {
                return Err(state.stop(Trouble::Limit(format!("more than {MAX_NAMES} metadata entries"))));
            }
            metadata::name(&key, 8, state.scan);
            map.next_value_seed(Entry { key: &key, scan: state.scan })?;
        }
        Ok(())
    }
}

/// One entry of `__metadata__`: looked at where it was read to, never copied.
struct Entry<'a, 'l> {
    key: &'a str,
    scan: &'a mut Examination<'l>,
}

impl Entry<'_, '_> {
    fn not_text(self, what: &str) {
        let what = format!("the metadata entry {:?} is {what}, not text", escape(self.key, 100));
        self.scan.report(NONSTANDARD, None, what);
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        metadata::value(self.key, text, 8, self.scan);
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_text("a truth value");
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_text("a number");
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.not_text("a number");
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_text("a number");
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_text("null");
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.not_text("a list");
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.not_text("an object");
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// What the header says of a tensor.
#[derive(Default)]
struct Info {
    dtype: Option<String>,
    /// How many elements the shape has; the inner is `None` if there is no such number.
    shape: Option<Option<u64>>,
    offsets: Option<[u64; 2]>,
}

struct InfoSeed<'a, 's, 'l> {
    name: &'a str,
    info: &'a mut Info,
    state: &'a mut State<'s, 'l>,
}

impl<'de> DeserializeSeed<'de> for InfoSeed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for InfoSeed<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { name, info, state } = self;
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "dtype" => info.dtype.replace(map.next_value()?).is_some(),
                "shape" => info.shape.replace(map.next_value_seed(Elements)?).is_some(),
                "data_offsets" => info.offsets.replace(map.next_value()?).is_some(),
                _ => {
                    let what = format!(
                        "tensor {:?} has the unknown field {:?}",
                        escape(name, 100),
                        escape(&key, 100)
                    );
                    state.scan.report(NONSTANDARD, None, what);
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if twice {
                let what = format!("tensor {:?} has its {key} twice", escape(name, 100));
                state.scan.report(DUPLICATE, None, what);
            }
        }
        Ok(())
    }
}

/// A shape, as the number of its elements: a hostile one has more extents than could be held.
struct Elements;

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Option<u64>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Option<u64>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of extents")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<u64>, A::Error> {
        let mut elements = Some(1u64);
        while let Some(extent) = seq.next_element::<u64>()? {
            elements = elements.and_then(|elements| elements.checked_mul(extent));
        }
        Ok(elements)
    }
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
