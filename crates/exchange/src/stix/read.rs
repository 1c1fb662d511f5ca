//! Reading JSON that a stranger wrote.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one object.
    pub object: usize,
    /// Most bytes of a bundle or envelope.
    pub envelope: usize,
    /// Most objects in a bundle or envelope.
    pub objects: usize,
    /// Deepest nesting of lists and dictionaries in an object.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { object: 1 << 20, envelope: 32 << 20, objects: 20_000, depth: 32 }
    }
}

/// Why bytes are not something that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// More bytes than the limit.
    #[error("{what} of {found} bytes; this node takes at most {limit}: send less at once")]
    TooLong {
        /// `an object`, `a bundle`.
        what: &'static str,
        /// Bytes that came.
        found: usize,
        /// Bytes that are taken.
        limit: usize,
    },
    /// More objects than the limit.
    #[error("more than {0} objects: send them in several requests")]
    TooMany(usize),
    /// Not JSON in UTF-8, or JSON that two readers could take for two things.
    #[error("not JSON that can be taken: {0}")]
    Json(String),
    /// JSON, but not of the shape of what was asked for.
    #[error("{0}")]
    Shape(String),
}

/// The largest integer that every reader of JSON reads alike.
const LARGEST: u64 = (1 << 53) - 1;

/// Parses JSON in which nothing is said twice. Numbers lie within ±(2⁵³ - 1), as STIX's integers do.
///
/// # Errors
/// If it is not UTF-8 or JSON, is nested more than `depth` deep, has a key twice in one dictionary, or a number out of range.
pub fn json(bytes: &[u8], depth: usize) -> Result<Value, ReadError> {
    let wrong = |error: &dyn fmt::Display| ReadError::Json(error.to_string().chars().take(200).collect());
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth }.deserialize(&mut reader).map_err(|error| wrong(&error))?;
    reader.end().map_err(|error| wrong(&error))?;
    Ok(value)
}

/// Reads a value that may be nested `depth` deep.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > LARGEST {
            return Err(E::custom("a number is out of range"));
        }
        Ok(Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST {
            return Err(E::custom("a number is out of range"));
        }
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // An integer of more digits than 64 bits hold also comes as one of these.
        match Number::from_f64(value).filter(|_| value.abs() <= 9_007_199_254_740_991.0) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(E::custom("a number is out of range")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                let key: String = key.chars().take(40).collect();
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice")));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
