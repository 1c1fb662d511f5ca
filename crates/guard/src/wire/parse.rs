//! From bytes to messages: no duplicate keys, no batches, nothing too large or too deep.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::{Id, Message, Notification, Request, Response, RpcError};

/// What a message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message.
    pub bytes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Values (members and elements) in all.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, depth: 64, values: 1 << 20 }
    }
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Larger than the limit.
    #[error("a message of more than {0} bytes (limits.message-bytes)")]
    TooLarge(usize),
    /// Not JSON, a duplicate key, too deep, too many values.
    #[error("not acceptable JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not a JSON-RPC message as MCP wants it.
    #[error("not a JSON-RPC message: {0}")]
    NotAMessage(&'static str),
}

impl WireError {
    /// The error to answer with.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        let code = match self {
            Self::TooLarge(_) | Self::NotAMessage(_) => RpcError::INVALID_REQUEST,
            Self::Json(_) => RpcError::PARSE,
        };
        RpcError::new(code, self.to_string())
    }
}

/// Reads one message.
///
/// # Errors
/// If it is not one, or not within `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Message, WireError> {
    let Value::Object(members) = parse_value(bytes, limits)? else {
        return Err(WireError::NotAMessage(
            "a message is a JSON object (the guard takes no batches, which ended with revision 2025-06-18)",
        ));
    };
    message(members)
}

/// Reads one JSON value, strictly.
///
/// # Errors
/// If it is not one, has a key twice, or is not within `limits`.
pub fn parse_value(bytes: &[u8], limits: &Limits) -> Result<Value, WireError> {
    if bytes.len() > limits.bytes {
        return Err(WireError::TooLarge(limits.bytes));
    }
    let mut left = limits.values;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: limits.depth, left: &mut left }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn message(mut members: Map<String, Value>) -> Result<Message, WireError> {
    use WireError::NotAMessage;
    if members.remove("jsonrpc") != Some(Value::String("2.0".to_owned())) {
        return Err(NotAMessage("the member jsonrpc must be \"2.0\""));
    }
    let id = members.remove("id").map(id).transpose()?;
    if let Some(method) = members.remove("method") {
        let Value::String(method) = method else { return Err(NotAMessage("method must be a string")) };
        if members.contains_key("result") || members.contains_key("error") {
            return Err(NotAMessage("a request has no result and no error"));
        }
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(NotAMessage("params must be an object")),
        };
        return match id {
            None => Ok(Message::Notification(Notification { method, params })),
            Some(Some(id)) => Ok(Message::Request(Request { id, method, params })),
            Some(None) => Err(NotAMessage("the id of a request must not be null")),
        };
    }
    let outcome = match (members.remove("result"), members.remove("error")) {
        (Some(Value::Object(result)), None) => Ok(result),
        (None, Some(error)) => Err(serde_json::from_value(error)?),
        (Some(_), None) => return Err(NotAMessage("a result must be an object")),
        (Some(_), Some(_)) => return Err(NotAMessage("a response has a result or an error, not both")),
        (None, None) => return Err(NotAMessage("neither a method nor a result nor an error")),
    };
    match id {
        Some(Some(id)) => Ok(Message::Response(Response { id: Some(id), outcome })),
        _ if outcome.is_err() => Ok(Message::Response(Response { id: None, outcome })),
        _ => Err(NotAMessage("a result needs the id of its request")),
    }
}

/// `None` inside is null.
fn id(value: Value) -> Result<Option<Id>, WireError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Id::Text(text))),
        Value::Number(number) => number
            .as_i64()
            .map(|number| Some(Id::Number(number)))
            .ok_or(WireError::NotAMessage("an id must be an integer of 64 bits or a string")),
        _ => Err(WireError::NotAMessage("an id must be an integer or a string")),
    }
}

/// Reads a value and refuses what two readers could understand differently.
struct Strict<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left =
            self.left.checked_sub(1).ok_or_else(|| D::Error::custom("more values than limits.values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let depth =
            self.depth.checked_sub(1).ok_or_else(|| A::Error::custom("nested deeper than limits.depth"))?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Strict { depth, left: &mut *self.left })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth =
            self.depth.checked_sub(1).ok_or_else(|| A::Error::custom("nested deeper than limits.depth"))?;
        let mut values = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict { depth, left: &mut *self.left })?;
            match values.entry(key) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(place) => {
                    return Err(A::Error::custom(format!("the key {:?} stands twice", place.key())));
                }
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes(), &Limits::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_message_survives_the_round_trip() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","later":[1,2.5,null]}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#,
        ] {
            let message = parse(text.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(String::from_utf8(message.to_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        assert!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#).contains("stands twice"));
        assert!(
            refused(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"to":1,"t\u006f":2}}"#)
                .contains("stands twice")
        );
        assert!(refused(r#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#).contains("batches"));
        assert!(refused(r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#).contains("null"));
        assert!(refused(r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#).contains("integer"));
        assert!(
            refused(r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#)
                .contains("not both")
        );
        assert!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#).contains("no result"));
        assert!(refused(r#"{"id":1,"method":"a"}"#).contains("jsonrpc"));
        assert!(refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} x").contains("trailing"));
        assert!(refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\u{0}\"}").contains("control"));
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { bytes: 200, depth: 4, values: 20 };
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{}1{}}}}}"#,
            "[".repeat(3),
            "]".repeat(3)
        );
        assert!(parse(deep.as_bytes(), &limits).unwrap_err().to_string().contains("depth"));
        let many =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":[{}0]}}}}"#, "0,".repeat(30));
        assert!(parse(many.as_bytes(), &limits).unwrap_err().to_string().contains("values"));
        assert!(matches!(parse(&[b' '; 201], &limits), Err(WireError::TooLarge(200))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = parse(&bytes, &Limits::default());
        }

        #[test]
        fn a_message_with_a_byte_changed_or_cut_is_read_or_refused(at in 0usize..80, to in any::<u8>()) {
            let mut bytes = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","l":[1,2.5]}}"#.to_vec();
            let _either = parse(&bytes[..at], &Limits::default());
            bytes[at] = to;
            if let Ok(message) = parse(&bytes, &Limits::default()) {
                prop_assert_eq!(parse(&message.to_bytes(), &Limits::default()).unwrap(), message);
            }
        }
    }
}
