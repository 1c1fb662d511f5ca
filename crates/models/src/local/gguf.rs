//! The GGUF container (versions 2 and 3): metadata and tensor directory.
//!
//! Source: the GGUF specification of the ggml project. Every length is checked against the bytes that are left
//! before anything is allocated, so a hostile header cannot ask for more memory than the file is long.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use super::quant::Format;

const MAGIC: [u8; 4] = *b"GGUF";
/// Limits on counts that no real file comes near.
const MAX_ENTRIES: u64 = 65_536;
const MAX_STRING: u64 = 8 << 20;
const MAX_DIMENSIONS: u32 = 4;
const MAX_ARRAY_DEPTH: u32 = 2;
const DEFAULT_ALIGNMENT: u64 = 32;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any of the unsigned integer types.
    Unsigned(u64),
    /// Any of the signed integer types.
    Signed(i64),
    /// `f32` or `f64`.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// UTF-8 text; invalid bytes are replaced.
    String(String),
    /// Values of one type.
    Array(Vec<Value>),
}

/// Where a tensor lies and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Extents, fastest-running first: for a matrix, inputs then outputs.
    pub dimensions: Vec<u64>,
    /// How the numbers are written.
    pub format: Format,
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// A parsed header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Metadata by key.
    pub metadata: HashMap<String, Value>,
    /// Tensors by name.
    pub tensors: HashMap<String, TensorInfo>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// Some other kind of file.
    #[error("not a GGUF file: it begins with {0:02x?}")]
    NotGguf([u8; 4]),
    /// A version that this reader does not know.
    #[error("GGUF version {0} is not known; versions 2 and 3 are read")]
    Version(u32),
    /// The file ends too early: a download that broke off, or a false length.
    #[error("the file is truncated or corrupt: {what} needs {needed} bytes, {left} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes asked for.
        needed: u64,
        /// Bytes left.
        left: u64,
    },
    /// A value that contradicts the format.
    #[error("the file is corrupt: {0}")]
    Corrupt(String),
    /// A tensor format that is not supported.
    #[error("tensor {name:?} is in ggml format {id}, which is not supported; supported: {}", Format::NAMES)]
    Format {
        /// The tensor.
        name: String,
        /// ggml's number of the format.
        id: u32,
    },
    /// A key that this architecture needs.
    #[error("the file has no usable metadata entry {0:?}")]
    Metadata(String),
    /// A tensor that this architecture needs.
    #[error("the file has no tensor {0:?}")]
    MissingTensor(String),
    /// The system could not read the file.
    #[error("reading the file failed: {0}")]
    Io(#[from] io::Error),
}

struct Reader<R> {
    inner: R,
    left: u64,
    position: u64,
}

impl<R: Read> Reader<R> {
    fn claim(&mut self, what: &'static str, needed: u64) -> Result<(), GgufError> {
        if needed > self.left {
            return Err(GgufError::Truncated { what, needed, left: self.left });
        }
        self.left -= needed;
        self.position += needed;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        self.claim(what, N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    fn string(&mut self, what: &'static str) -> Result<String, GgufError> {
        let length = self.u64(what)?;
        if length > MAX_STRING {
            return Err(GgufError::Corrupt(format!("a string of {length} bytes ({what})")));
        }
        self.claim(what, length)?;
        let mut bytes = Vec::new();
        self.inner.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, GgufError> {
        const WHAT: &str = "a metadata value";
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(self.bytes(WHAT)?))),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.bytes(WHAT)?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes(WHAT)?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.bytes(WHAT)?))),
            4 => Value::Unsigned(u64::from(self.u32(WHAT)?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.bytes(WHAT)?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.bytes(WHAT)?))),
            7 => Value::Bool(self.bytes::<1>(WHAT)? != [0]),
            8 => Value::String(self.string(WHAT)?),
            9 => self.array(depth)?,
            10 => Value::Unsigned(self.u64(WHAT)?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes(WHAT)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(WHAT)?)),
            other => return Err(GgufError::Corrupt(format!("metadata value of unknown type {other}"))),
        })
    }

    fn array(&mut self, depth: u32) -> Result<Value, GgufError> {
        const WHAT: &str = "a metadata array";
        if depth >= MAX_ARRAY_DEPTH {
            return Err(GgufError::Corrupt("metadata arrays nested too deeply".to_owned()));
        }
        let kind = self.u32(WHAT)?;
        let count = self.u64(WHAT)?;
        // The smallest element takes a byte (strings and arrays more), so a false count ends here.
        let smallest = match kind {
            8 => 8,
            9 => 12,
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            10..=12 => 8,
            _ => 4,
        };
        let needed = count.saturating_mul(smallest);
        if needed > self.left {
            return Err(GgufError::Truncated { what: WHAT, needed, left: self.left });
        }
        (0..count).map(|_| self.value(kind, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
    }
}

impl Header {
    /// Reads a header. `length` is the length of the whole file in bytes.
    ///
    /// # Errors
    /// If the bytes are not a GGUF file whose tensors lie inside it, without overlap.
    pub fn read(reader: impl Read, length: u64) -> Result<Self, GgufError> {
        let mut reader = Reader { inner: reader, left: length, position: 0 };
        let magic = reader.bytes("the magic number")?;
        if magic != MAGIC {
            return Err(GgufError::NotGguf(magic));
        }
        let version = reader.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version));
        }
        let tensor_count = reader.u64("the tensor count")?;
        let entry_count = reader.u64("the metadata count")?;
        if tensor_count > MAX_ENTRIES || entry_count > MAX_ENTRIES {
            return Err(GgufError::Corrupt(format!(
                "{tensor_count} tensors and {entry_count} metadata entries"
            )));
        }
        let mut metadata = HashMap::new();
        for _ in 0..entry_count {
            let key = reader.string("a metadata key")?;
            let kind = reader.u32("a metadata type")?;
            let value = reader.value(kind, 0)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(GgufError::Corrupt(format!("metadata key {key:?} occurs twice")));
            }
        }
        let mut listed = Vec::new();
        for _ in 0..tensor_count {
            listed.push(tensor_entry(&mut reader)?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= 1 << 20 => *n,
            Some(other) => return Err(GgufError::Corrupt(format!("alignment {other:?}"))),
        };
        let data = reader.position.next_multiple_of(alignment);
        let tensors = place_tensors(listed, data, length)?;
        Ok(Self { metadata, tensors })
    }

    /// A text entry.
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Value::Unsigned(n) => Some(*n),
            Value::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// An array.
    pub fn array(&self, key: &str) -> Option<&[Value]> {
        match self.metadata.get(key)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }
}

fn tensor_entry<R: Read>(reader: &mut Reader<R>) -> Result<(String, TensorInfo), GgufError> {
    const WHAT: &str = "a tensor entry";
    let name = reader.string(WHAT)?;
    let rank = reader.u32(WHAT)?;
    if rank > MAX_DIMENSIONS {
        return Err(GgufError::Corrupt(format!("tensor {name:?} has {rank} dimensions")));
    }
    let dimensions = (0..rank).map(|_| reader.u64(WHAT)).collect::<Result<Vec<_>, _>>()?;
    let id = reader.u32(WHAT)?;
    let offset = reader.u64(WHAT)?;
    let format = Format::from_ggml(id).ok_or_else(|| GgufError::Format { name: name.clone(), id })?;
    let length = format.bytes_for(&dimensions).ok_or_else(|| {
        GgufError::Corrupt(format!("tensor {name:?} has the impossible shape {dimensions:?}"))
    })?;
    Ok((name, TensorInfo { dimensions, format, offset, length }))
}

/// Turns offsets into file positions and refuses tensors that lie outside the file or over one another.
fn place_tensors(
    listed: Vec<(String, TensorInfo)>,
    data: u64,
    file_length: u64,
) -> Result<HashMap<String, TensorInfo>, GgufError> {
    let mut tensors = HashMap::new();
    let mut spans = Vec::new();
    for (name, mut info) in listed {
        let end = data.checked_add(info.offset).and_then(|start| {
            info.offset = start;
            start.checked_add(info.length)
        });
        match end {
            Some(end) if end <= file_length => spans.push((info.offset, end)),
            _ => {
                let needed = end.unwrap_or(u64::MAX);
                return Err(GgufError::Truncated { what: "the tensor data", needed, left: file_length });
            }
        }
        if tensors.contains_key(&name) {
            return Err(GgufError::Corrupt(format!("tensor {name:?} occurs twice")));
        }
        tensors.insert(name, info);
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| matches!(pair, [(_, end), (start, _)] if start < end)) {
        return Err(GgufError::Corrupt("tensors overlap".to_owned()));
    }
    Ok(tensors)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Float(x) => x.fmt(f),
            Self::Bool(b) => b.fmt(f),
            Self::String(text) => text.fmt(f),
            Self::Array(values) => write!(f, "[{} values]", values.len()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A small valid file: one entry of each interesting kind and two tensors.
    pub(crate) fn sample() -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(MAGIC);
        b.extend(3_u32.to_le_bytes());
        b.extend(2_u64.to_le_bytes());
        b.extend(3_u64.to_le_bytes());
        let string = |b: &mut Vec<u8>, s: &str| {
            b.extend((s.len() as u64).to_le_bytes());
            b.extend(s.as_bytes());
        };
        string(&mut b, "general.architecture");
        b.extend(8_u32.to_le_bytes());
        string(&mut b, "llama");
        string(&mut b, "a.number");
        b.extend(4_u32.to_le_bytes());
        b.extend(7_u32.to_le_bytes());
        string(&mut b, "a.list");
        b.extend(9_u32.to_le_bytes());
        b.extend(8_u32.to_le_bytes());
        b.extend(2_u64.to_le_bytes());
        string(&mut b, "x");
        string(&mut b, "yz");
        for (name, format, offset) in [("one", 0_u32, 0_u64), ("two", 8, 128)] {
            string(&mut b, name);
            b.extend(1_u32.to_le_bytes());
            b.extend(32_u64.to_le_bytes());
            b.extend(format.to_le_bytes());
            b.extend(offset.to_le_bytes());
        }
        b.resize(b.len().next_multiple_of(32), 0);
        b.resize(b.len() + 128 + 34, 1);
        b
    }

    fn read(bytes: &[u8]) -> Result<Header, GgufError> {
        Header::read(bytes, bytes.len() as u64)
    }

    #[test]
    fn a_valid_file() {
        let header = read(&sample()).unwrap();
        assert_eq!(header.string("general.architecture"), Some("llama"));
        assert_eq!(header.unsigned("a.number"), Some(7));
        assert_eq!(header.array("a.list").unwrap().len(), 2);
        assert_eq!(header.tensors["two"].length, 34);
    }

    #[test]
    fn truncated_anywhere_is_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length} bytes and taken");
        }
    }

    #[test]
    fn overlapping_tensors_are_refused() {
        let mut bytes = sample();
        let at = bytes.windows(8).rposition(|w| w == 128_u64.to_le_bytes()).unwrap();
        bytes[at..at + 8].copy_from_slice(&64_u64.to_le_bytes());
        assert!(read(&bytes).unwrap_err().to_string().contains("overlap"));
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(at in 0..1000_usize, to: u8, again in 0..1000_usize, too: u8) {
            let mut bytes = sample();
            let n = bytes.len();
            bytes[at % n] = to;
            bytes[again % n] = too;
            let _ = read(&bytes);
        }

        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            bytes.splice(0..0, b"GGUF\x03\0\0\0".iter().copied());
            let _ = read(&bytes);
        }
    }
}
