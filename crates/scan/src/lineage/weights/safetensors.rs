//! The header of a safetensors file: names, types, places, and what its maker wrote about it.

use std::collections::BTreeMap;
use std::fmt;

use ostrom_models::local::quant::Format;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::numbers::{Coding, OtherCoding};
use super::{Heads, Part};
use crate::examination::escape;
use crate::source::View;
use crate::trouble::Trouble;

/// The longest header that is read. Real ones of the largest models take about 10 MB.
const MAX_HEADER: u64 = 32 << 20;
const MAX_EXTENTS: usize = 8;

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

struct Header {
    metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, Entry>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { metadata: BTreeMap::new(), entries: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.metadata = map.next_value()?;
                    } else {
                        let entry = map.next_value()?;
                        if header.entries.insert(name, entry).is_some() {
                            return Err(de::Error::custom("a tensor is listed twice"));
                        }
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// The header, and where the data begin.
fn header(view: &View) -> Result<(Header, u64), Trouble> {
    let bytes = view.exactly(0, 8)?;
    let length = bytes.try_into().map_or(u64::MAX, u64::from_le_bytes);
    if length > MAX_HEADER || length.saturating_add(8) > view.len() {
        return Err(Trouble::malformed(
            0,
            "not a safetensors file: its header would be longer than the file",
        ));
    }
    // INVARIANT: at most `MAX_HEADER`.
    let bytes = view.exactly(8, usize::try_from(length).unwrap_or(usize::MAX))?;
    let header = serde_json::from_slice(&bytes)
        .map_err(|error| Trouble::malformed(8, escape(&error.to_string(), 300)))?;
    Ok((header, length + 8))
}

/// What the maker of the file wrote into `__metadata__`.
pub(crate) fn metadata(view: &View) -> Result<BTreeMap<String, String>, Trouble> {
    Ok(header(view)?.0.metadata)
}

fn coding(dtype: &str) -> Coding {
    let other = |width| Coding::Other(OtherCoding { ggml: None, width });
    match dtype {
        "F64" => Coding::F64,
        "F32" => Coding::Ggml(Format::F32),
        "F16" => Coding::Ggml(Format::F16),
        "BF16" => Coding::Ggml(Format::BF16),
        "I64" | "U64" => other(Some(8)),
        "I32" | "U32" => other(Some(4)),
        "I16" | "U16" => other(Some(2)),
        "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => other(Some(1)),
        _ => other(None),
    }
}

/// Reads the header of a file.
pub(super) fn read(view: &View) -> Result<Part, Trouble> {
    let (header, data) = header(view)?;
    let mut tensors = Vec::with_capacity(header.entries.len());
    for (name, entry) in header.entries {
        let shown = || escape(&name, 200);
        let coding = coding(&entry.dtype);
        let count = entry.shape.iter().try_fold(1_u64, |product, extent| product.checked_mul(*extent));
        let (begin, end) = entry.data_offsets;
        let length = end.checked_sub(begin);
        let place =
            data.checked_add(begin).filter(|_| data.checked_add(end).is_some_and(|end| end <= view.len()));
        let (Some(offset), Some(length), Some(count), true) =
            (place, length, count, entry.shape.len() <= MAX_EXTENTS)
        else {
            return Err(Trouble::malformed(8, format!("tensor {} lies outside the file", shown())));
        };
        let fits = match coding {
            Coding::Other(OtherCoding { width: None, .. }) => true,
            coding => coding.bytes_for(count) == Some(length),
        };
        if !fits {
            return Err(Trouble::malformed(8, format!("tensor {} has not the length of its shape", shown())));
        }
        tensors.push((name, offset, coding, entry.shape));
    }
    Ok(Part { tensors, heads: Heads::default(), is_gguf: false })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of F32 tensors.
    pub(crate) fn file(tensors: &[(&str, &[u64], &[f32])], metadata: &[(&str, &str)]) -> Vec<u8> {
        let bytes: Vec<(String, &str, Vec<u64>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, shape, numbers)| {
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                ((*name).to_owned(), "F32", shape.to_vec(), bytes)
            })
            .collect();
        typed(&bytes, metadata)
    }

    /// A file of tensors of any type.
    pub(crate) fn typed(tensors: &[(String, &str, Vec<u64>, Vec<u8>)], metadata: &[(&str, &str)]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        if !metadata.is_empty() {
            let metadata: BTreeMap<_, _> = metadata.iter().copied().collect();
            header.insert("__metadata__".to_owned(), serde_json::to_value(metadata).unwrap());
        }
        let mut data: Vec<u8> = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            let begin = data.len();
            data.extend(bytes);
            let entry =
                serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]});
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header);
        out.extend(data);
        out
    }

    fn sample() -> Vec<u8> {
        file(&[("a", &[2, 3], &[1.0; 6]), ("b", &[1], &[2.0])], &[("format", "pt")])
    }

    #[test]
    fn tensors_and_metadata_are_read() {
        let view = View::new(sample());
        let part = read(&view).unwrap();
        assert_eq!(part.tensors.len(), 2);
        assert_eq!(part.tensors[0].3, [2, 3]);
        assert_eq!(metadata(&view).unwrap()["format"], "pt");
    }

    #[test]
    fn truncated_anywhere_is_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(read(&View::new(whole[..length].to_vec())).is_err(), "cut to {length} bytes and taken");
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        for entry in [
            r#"{"a":{"dtype":"F32","shape":[18446744073709551615,9],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        ] {
            let mut bytes = (entry.len() as u64).to_le_bytes().to_vec();
            bytes.extend(entry.as_bytes());
            bytes.extend([0; 4]);
            assert!(read(&View::new(bytes)).is_err(), "{entry}");
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
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&View::new(bytes));
        }
    }
}
