//! JSON as it streams by: bounded in depth and in what is held, whatever the file's length.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};

use crate::source::{View, ViewReader};
use crate::trouble::Trouble;

/// How deep values may lie in one another.
const DEPTH: usize = 128;

/// The most keys of open objects that are held to find duplicates.
const KEYS: usize = 1 << 20;

/// A value that is held whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, with keys that come twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What `key` has, as Python reads it: the last one counts.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Map(pairs) => pairs.iter().rev().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn pairs(&self) -> &[(String, Node)] {
        match self {
            Self::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// All strings in it, depth first.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            match node {
                Self::Text(text) => found.push(text.as_str()),
                Self::List(items) => open.extend(items.iter().rev()),
                Self::Map(pairs) => open.extend(pairs.iter().rev().map(|(_, node)| node)),
                _ => {}
            }
        }
        found
    }
}

/// What kind of value is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Map,
    List,
    Text,
    Other,
}

pub(crate) struct Json {
    input: BufReader<ViewReader>,
    /// Keys of all open objects that are held.
    keys: usize,
    /// Of the byte that is next.
    position: u64,
    depth: usize,
    /// Bytes that may still be held.
    room: usize,
    duplicate: Option<(u64, String)>,
    duplicates: u64,
}

impl Json {
    /// A reader of `view` that holds at most about `room` bytes in nodes at any time.
    pub(crate) fn new(view: &View, room: usize) -> Result<Self, Trouble> {
        let mut json = Self {
            input: BufReader::with_capacity(64 << 10, view.reader()),
            keys: 0,
            position: 0,
            depth: 0,
            room,
            duplicate: None,
            duplicates: 0,
        };
        if view.bytes(0, 3)? == b"\xef\xbb\xbf" {
            for _ in 0..3 {
                json.take()?;
            }
        }
        Ok(json)
    }

    /// The first key that came twice in one object, and how many did.
    pub(crate) fn duplicates(&self) -> Option<(u64, &str, u64)> {
        self.duplicate.as_ref().map(|(offset, key)| (*offset, key.as_str(), self.duplicates))
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What is buffered of the bytes that come next; empty at the end.
    fn chunk(&mut self) -> Result<&[u8], Trouble> {
        while let Err(error) = self.input.fill_buf() {
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(error.into());
            }
        }
        Ok(self.input.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.position = self.position.saturating_add(count as u64);
    }

    fn fill(&mut self) -> Result<Option<u8>, Trouble> {
        Ok(self.chunk()?.first().copied())
    }

    fn take(&mut self) -> Result<Option<u8>, Trouble> {
        let byte = self.fill()?;
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Trouble> {
        Err(Trouble::malformed(self.position, format!("JSON: {what}")))
    }

    /// Skips white space and says whether anything follows.
    pub(crate) fn more(&mut self) -> Result<bool, Trouble> {
        loop {
            let chunk = self.chunk()?;
            let len = chunk.len();
            let blank = chunk.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            self.consume(blank.unwrap_or(len));
            if blank.is_some() || len == 0 {
                return Ok(len > 0);
            }
        }
    }

    pub(crate) fn next(&mut self) -> Result<Next, Trouble> {
        self.more()?;
        Ok(match self.fill()? {
            Some(b'{') => Next::Map,
            Some(b'[') => Next::List,
            Some(b'"') => Next::Text,
            Some(_) => Next::Other,
            None => return self.wrong("ends where a value should be"),
        })
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Trouble> {
        self.more()?;
        match self.take()? {
            Some(byte) if byte == wanted => Ok(()),
            _ => self.wrong(&format!("{:?} is missing", char::from(wanted))),
        }
    }

    fn enter(&mut self) -> Result<(), Trouble> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Trouble::Limit(format!("JSON values lie more than {DEPTH} deep in one another")));
        }
        Ok(())
    }

    /// Goes through the object that is next; `each` reads or skips each value.
    pub(crate) fn map(
        &mut self,
        mut each: impl FnMut(&mut Self, String) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.expect(b'{')?;
        self.enter()?;
        let mut seen = HashSet::new();
        self.more()?;
        if self.fill()? == Some(b'}') {
            self.take()?;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            self.more()?;
            let offset = self.position;
            let key = self.text()?;
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            if self.keys >= KEYS {
                // So many keys are data; a duplicate among them changes nothing that is loaded.
            } else if seen.insert(hasher.finish()) {
                self.keys += 1;
            } else {
                self.duplicates += 1;
                if self.duplicate.is_none() {
                    self.duplicate = Some((offset, key.clone()));
                }
            }
            self.expect(b':')?;
            each(self, key)?;
            self.more()?;
            match self.take()? {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return self.wrong("a comma or closing brace is missing"),
            }
        }
        self.keys = self.keys.saturating_sub(seen.len());
        self.depth -= 1;
        Ok(())
    }

    /// Goes through the array that is next.
    pub(crate) fn list(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.expect(b'[')?;
        self.enter()?;
        self.more()?;
        if self.fill()? == Some(b']') {
            self.take()?;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            each(self)?;
            self.more()?;
            match self.take()? {
                Some(b',') => {}
                Some(b']') => break,
                _ => return self.wrong("a comma or closing bracket is missing"),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The string that is next.
    pub(crate) fn text(&mut self) -> Result<String, Trouble> {
        self.expect(b'"')?;
        let mut out = Vec::new();
        loop {
            if out.len() > self.room {
                return Err(Trouble::Limit(format!("a JSON string longer than {} bytes", self.room)));
            }
            match self.take()? {
                None => return self.wrong("a string does not end"),
                Some(b'"') => break,
                Some(b'\\') => {
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => {
                    out.push(byte);
                    let chunk = self.chunk()?;
                    let plain =
                        chunk.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(chunk.len());
                    out.extend_from_slice(chunk.get(..plain).unwrap_or_default());
                    self.consume(plain);
                }
            }
        }
        String::from_utf8(out).or_else(|_| self.wrong("a string is not UTF-8"))
    }

    fn escape(&mut self) -> Result<char, Trouble> {
        Ok(match self.take()? {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'u') => {
                let first = self.unit()?;
                if (0xd800..0xdc00).contains(&first) && self.fill()? == Some(b'\\') {
                    self.take()?;
                    if self.fill()? != Some(b'u') {
                        // A half of a pair alone, and an escape of its own: Python takes both.
                        return self.escape();
                    }
                    self.take()?;
                    let second = self.unit()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    return Ok(char::from_u32(second).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return self.wrong("an escape that JSON does not have"),
        })
    }

    fn unit(&mut self) -> Result<u32, Trouble> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.take()?.and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.wrong("four hexadecimal digits are missing") };
            value = value * 16 + digit;
        }
        Ok(value)
    }

    /// A number, true, false or null; Python's NaN and Infinity too.
    fn word(&mut self) -> Result<Node, Trouble> {
        let mut word = String::new();
        while let Some(byte) = self.fill()? {
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) || word.len() > 4096 {
                break;
            }
            word.push(char::from(byte));
            self.take()?;
        }
        Ok(match word.as_str() {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            "null" => Node::Null,
            "NaN" => Node::Number(f64::NAN),
            "Infinity" => Node::Number(f64::INFINITY),
            "-Infinity" => Node::Number(f64::NEG_INFINITY),
            number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => match number.parse() {
                Ok(number) => Node::Number(number),
                Err(_) => return self.wrong("a number that is none"),
            },
            _ => return self.wrong("no value"),
        })
    }

    /// Skips the value that is next, checking it.
    pub(crate) fn skip(&mut self) -> Result<(), Trouble> {
        match self.next()? {
            Next::Map => self.map(|json, _| json.skip()),
            Next::List => self.list(Self::skip),
            Next::Text => self.text().map(drop),
            Next::Other => self.word().map(drop),
        }
    }

    /// The value that is next, whole.
    ///
    /// # Errors
    /// If there is no room for it, and as reading does.
    pub(crate) fn node(&mut self) -> Result<Node, Trouble> {
        let room = self.room;
        let node = self.held();
        self.room = room;
        node
    }

    fn held(&mut self) -> Result<Node, Trouble> {
        let cost = |json: &mut Self, bytes: usize| -> Result<(), Trouble> {
            json.room = json
                .room
                .checked_sub(bytes.saturating_add(size_of::<(String, Node)>()))
                .ok_or_else(|| Trouble::Limit("a JSON value takes too much memory".to_owned()))?;
            Ok(())
        };
        match self.next()? {
            Next::Map => {
                let mut pairs = Vec::new();
                self.map(|json, key| {
                    cost(json, key.len())?;
                    let node = json.held()?;
                    pairs.push((key, node));
                    Ok(())
                })?;
                Ok(Node::Map(pairs))
            }
            Next::List => {
                let mut items = Vec::new();
                self.list(|json| {
                    cost(json, 0)?;
                    items.push(json.held()?);
                    Ok(())
                })?;
                Ok(Node::List(items))
            }
            Next::Text => {
                let text = self.text()?;
                cost(self, text.len())?;
                Ok(Node::Text(text))
            }
            Next::Other => self.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Node, Trouble> {
        Json::new(&View::new(text.to_vec()), 1 << 16)?.node()
    }

    #[test]
    fn values_are_those_of_json() {
        let node =
            read(br#"  {"a": [1, -2.5e3, true, null, "x\n\u00e9\ud83d\ude00\ud800"], "b": {}, "a": NaN}"#)
                .unwrap();
        assert_eq!(node.pairs().len(), 3);
        assert_eq!(node.pairs()[0].1.items()[4].as_text(), Some("x\n\u{e9}\u{1f600}\u{fffd}"));
        assert!(matches!(node.get("a"), Some(Node::Number(number)) if number.is_nan()));
        assert_eq!(read("\u{feff}[]".as_bytes()).unwrap(), Node::List(Vec::new()));
    }

    #[test]
    fn duplicates_depth_and_size_are_noticed() {
        let view = View::new(br#"{"a": {"b": 1, "b": 2}, "a": 3}"#.to_vec());
        let mut json = Json::new(&view, 1 << 16).unwrap();
        json.skip().unwrap();
        assert_eq!(json.duplicates(), Some((15, "b", 2)));
        assert!(matches!(read(&b"[".repeat(200)), Err(Trouble::Limit(_))));
        assert!(matches!(read(format!("[{}0]", "0,".repeat(100_000)).as_bytes()), Err(Trouble::Limit(_))));
        assert!(matches!(read(format!("\"{}\"", "x".repeat(100_000)).as_bytes()), Err(Trouble::Limit(_))));
    }

    proptest! {
        #[test]
        fn agrees_with_a_strict_reader(text in r#"[\[\]{}:,"\\a0-9\-.eu \n]{0,40}"#) {
            let strict = serde_json::from_str::<serde_json::Value>(&text);
            if strict.is_ok() {
                prop_assert!(read(text.as_bytes()).is_ok());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
