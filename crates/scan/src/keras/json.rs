//! JSON as Python's `json` module reads it: UTF-8, -16 and -32, `NaN` and infinities, half surrogates; duplicate keys are
//! kept, since what a reader takes of them is up to it.
//!
//! Neither parsing nor what is parsed recurses deeper than [`DEPTH`]; there are never more than [`NODES`] values.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use crate::trouble::Trouble;

/// How deep values may lie in one another.
const DEPTH: usize = 256;
/// How many values one document may have.
const NODES: usize = 1_000_000;
/// How many different texts of a key that comes again and again are looked at.
pub(super) const VALUES: usize = 8;

/// One value. Of numbers only those that count something are kept (skops writes its protocol as one), truth values are not.
#[derive(Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Plain,
    Whole(u64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
}

/// An object, with all its members in the order of the text.
#[derive(Debug, PartialEq)]
pub(crate) struct Object<'a> {
    /// Where it begins.
    pub(crate) at: u64,
    pub(crate) members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Object<'a> {
    /// Every value of this key.
    pub(crate) fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Json<'a>> {
        self.members.iter().filter(move |(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value that Python takes: the last.
    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The last value of this key, if it is text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_text)
    }

    /// The texts that stand under a key, each once: the first [`VALUES`] of them, and the one that Python takes. Whether there are
    /// more. Honest writers give a key once. Whoever judges what several keys say together has few combinations by this, however
    /// long the object is.
    pub(crate) fn texts<'s>(&'s self, key: &str) -> (BTreeSet<&'s str>, bool) {
        let (mut texts, mut more) = (BTreeSet::new(), false);
        for text in
            self.members.iter().filter(|(name, _)| name == key).filter_map(|(_, value)| value.as_text())
        {
            if texts.len() < VALUES {
                texts.insert(text);
            } else {
                more |= !texts.contains(text);
            }
        }
        texts.extend(self.text(key));
        (texts, more)
    }

    /// A key that stands here twice.
    pub(crate) fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.members.iter().map(|(name, _)| name.as_ref()).find(|name| !seen.insert(*name))
    }
}

impl<'a> Json<'a> {
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

/// Bytes as text, in the encoding that Python's `json.loads` would take them to be in.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let zero = |at: usize| bytes.get(at) == Some(&0);
    let (width, big) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => return String::from_utf8_lossy(rest),
        [0, 0, 0xfe, 0xff, ..] => (4, true),
        [0xff, 0xfe, 0, 0, ..] => (4, false),
        [0xfe, 0xff, ..] => (2, true),
        [0xff, 0xfe, ..] => (2, false),
        [_, _, ..] if zero(0) => (if zero(1) { 4 } else { 2 }, true),
        [_, _, _, _, ..] if zero(1) => (if zero(2) && zero(3) { 4 } else { 2 }, false),
        _ => return String::from_utf8_lossy(bytes),
    };
    let units = bytes.chunks_exact(width).map(|unit| {
        let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        if big { unit.iter().fold(0, fold) } else { unit.iter().rev().fold(0, fold) }
    });
    let text: String = if width == 4 {
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    } else {
        char::decode_utf16(units.map(|unit| u16::try_from(unit).unwrap_or_default()))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    Cow::Owned(text.trim_start_matches('\u{feff}').to_owned())
}

/// What a text has, for those who only want to know of which format it is.
enum Mark<'s> {
    Open,
    Close,
    Key(&'s str),
}

/// Calls `seen` with the beginning, the keys and the end of each object and list, without keeping anything; ends where the text
/// stops being JSON, or `seen` says that it has seen enough.
fn skim(text: &str, mut seen: impl FnMut(Mark<'_>) -> bool) {
    let mut parser = Parser { text, at: 0 };
    // Whether each of those that are open is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut key_comes = false;
    loop {
        parser.space();
        let enough = match parser.peek() {
            None => return,
            Some(b'"') => {
                let Ok(string) = parser.string() else { return };
                if std::mem::take(&mut key_comes) && seen(Mark::Key(&string)) {
                    return;
                }
                continue;
            }
            Some(byte @ (b'{' | b'[')) => {
                key_comes = byte == b'{';
                open.push(key_comes);
                seen(Mark::Open)
            }
            Some(b'}' | b']') => {
                key_comes = false;
                open.pop();
                seen(Mark::Close)
            }
            Some(b',') => {
                key_comes = open.last().copied().unwrap_or_default();
                false
            }
            Some(_) => false,
        };
        if enough || open.is_empty() {
            return;
        }
        parser.at += 1;
    }
}

/// Calls `seen` with each key of the outermost object, until it says that it has seen enough.
pub(super) fn outer_keys(text: &str, mut seen: impl FnMut(&str) -> bool) {
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return;
    }
    let mut depth = 0_u64;
    skim(text, |mark| {
        match mark {
            Mark::Open => depth = depth.saturating_add(1),
            Mark::Close => depth = depth.saturating_sub(1),
            Mark::Key(key) if depth == 1 => return seen(key),
            Mark::Key(_) => {}
        }
        false
    });
}

/// Whether some object, however deep it lies, has both keys.
pub(crate) fn has_object_with(text: &str, first: &str, second: &str) -> bool {
    // One of each object and list that is open, with a bit for each key.
    let mut open: Vec<u8> = Vec::new();
    let mut found = false;
    skim(text, |mark| {
        match mark {
            Mark::Open => open.push(0),
            Mark::Close => {
                open.pop();
            }
            Mark::Key(key) => {
                if let Some(bits) = open.last_mut() {
                    *bits |= u8::from(key == first) | u8::from(key == second) << 1;
                    found = *bits == 3;
                }
            }
        }
        found
    });
    found
}

/// Reads one document.
///
/// # Errors
/// If it is not one, lies deeper than [`DEPTH`] or has more than [`NODES`] values.
pub(crate) fn parse(text: &str) -> Result<Json<'_>, Trouble> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.document()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.wrong("more after the end of the JSON"));
    }
    Ok(value)
}

enum Open<'a> {
    List(Vec<Json<'a>>),
    Object(Object<'a>, Cow<'a, str>),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<Json<'a>, Trouble> {
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut nodes = 0_usize;
        loop {
            nodes += 1;
            if nodes > NODES {
                return Err(Trouble::Limit(format!("JSON with more than {NODES} values")));
            }
            if open.len() >= DEPTH {
                return Err(Trouble::Limit(format!("JSON more than {DEPTH} deep")));
            }
            self.space();
            let at = self.at as u64;
            let mut value = match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    let object = Object { at, members: Vec::new() };
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        Json::Object(object)
                    } else {
                        open.push(Open::Object(object, self.key()?));
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        Json::List(Vec::new())
                    } else {
                        open.push(Open::List(Vec::new()));
                        continue;
                    }
                }
                Some(b'"') => Json::Text(self.string()?),
                _ => self.word()?,
            };
            // The value is whole: it goes where it belongs, and may make that whole.
            loop {
                let Some(outer) = open.pop() else { return Ok(value) };
                self.space();
                let next = self.next();
                match (outer, next) {
                    (Open::List(mut list), Some(b',')) => {
                        list.push(value);
                        open.push(Open::List(list));
                        break;
                    }
                    (Open::Object(mut object, key), Some(b',')) => {
                        object.members.push((key, value));
                        open.push(Open::Object(object, self.key()?));
                        break;
                    }
                    (Open::List(mut list), Some(b']')) => {
                        list.push(value);
                        value = Json::List(list);
                    }
                    (Open::Object(mut object, key), Some(b'}')) => {
                        object.members.push((key, value));
                        value = Json::Object(object);
                    }
                    _ => return Err(self.wrong("JSON that is not well formed")),
                }
            }
        }
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Trouble> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a JSON object without a key"));
        }
        let key = self.string()?;
        self.space();
        if self.next() != Some(b':') {
            return Err(self.wrong("a JSON key without a value"));
        }
        Ok(key)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Trouble> {
        self.at += 1;
        let mut owned: Option<String> = None;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
            let Some(plain) = plain else { return Err(self.wrong("a JSON string without an end")) };
            let piece = rest.get(..plain).unwrap_or_default();
            self.at += plain;
            match self.next() {
                Some(b'"') => {
                    return Ok(match owned {
                        None => Cow::Borrowed(piece),
                        Some(text) => Cow::Owned(text + piece),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(piece);
                    let c = self.escape()?;
                    owned.get_or_insert_default().push(c);
                }
                _ => return Err(self.wrong("a control character in a JSON string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Trouble> {
        Ok(match self.next() {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                let high = self.hex()?;
                if (0xd800..0xdc00).contains(&high)
                    && self.text.get(self.at..).is_some_and(|t| t.starts_with("\\u"))
                {
                    let before = self.at;
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = before;
                }
                char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.wrong("an unknown escape in a JSON string")),
        })
    }

    fn hex(&mut self) -> Result<u32, Trouble> {
        let digits = self.at.checked_add(4).and_then(|end| self.text.get(self.at..end));
        let code = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(code) = code else { return Err(self.wrong("a broken escape in a JSON string")) };
        self.at += 4;
        Ok(code)
    }

    fn word(&mut self) -> Result<Json<'a>, Trouble> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let constant = matches!(word, "null" | "true" | "false" | "NaN" | "Infinity" | "-Infinity");
        let number =
            word.starts_with(|c: char| c.is_ascii_digit() || c == '-') && word.parse::<f64>().is_ok();
        if !constant && !number {
            return Err(self.wrong("neither a JSON value nor a number"));
        }
        self.at += length;
        Ok(word.parse().map_or(Json::Plain, Json::Whole))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn wrong(&self, what: &str) -> Trouble {
        Trouble::malformed(self.at as u64, what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let mut keys = Vec::new();
        outer_keys(text, |key| {
            keys.push(key.to_owned());
            false
        });
        keys
    }

    #[test]
    fn reads_what_python_reads() {
        let text = r#" {"a": [1, -2.5e3, NaN, -Infinity, {}], "b\u0041": "\ud83d\ude00\ud800x", "a": null} "#;
        let Json::Object(object) = parse(text).unwrap() else { panic!() };
        assert_eq!(object.duplicate(), Some("a"));
        assert_eq!(object.get("a"), Some(&Json::Plain));
        assert_eq!(object.all("a").count(), 2);
        assert_eq!(object.text("bA"), Some("😀\u{fffd}x"));
        assert_eq!(keys(text), ["a", "bA", "a"]);
        assert_eq!(parse("7").unwrap(), Json::Whole(7));
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "[1] x",
            "\"\\x\"",
            "\"\n\"",
            "+1",
            "nul",
            "{1:2}",
            "[}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse(&"[".repeat(DEPTH + 1)), Err(Trouble::Limit(_))));
        assert!(matches!(parse(&format!("[{}1]", "1,".repeat(NODES))), Err(Trouble::Limit(_))));
    }

    #[test]
    fn keys_of_inner_objects_are_not_outer_keys() {
        assert_eq!(keys(r#"{"a":{"b":["c",{"d":1}]},"e":"f","g":["h"]}"#), ["a", "e", "g"]);
        assert!(keys(r#"["a",{"b":1}]"#).is_empty());
    }

    #[test]
    fn two_keys_of_one_object_are_found_at_any_depth() {
        let has = |text: &str| has_object_with(text, "a", "b");
        for text in [
            r#"{"a":1,"b":2}"#,
            r#" [{"x":{"b":{"a":[{}]},"a":["b"]}}]"#,
            r#"{"x":[[],{"a":{"c":[1]},"\u0062":0"#,
            &format!("{}{{\"b\":0,\"a\":0", "[".repeat(100_000)),
        ] {
            assert!(has(text), "{text:.60}");
        }
        for text in [
            r#"{"a":{"b":1}}"#,
            r#"["a","b"]"#,
            r#"{"a":"b","c":"b"}"#,
            r#"[{"a":1},{"b":1}]"#,
            "",
            "\"a\"",
            "[]{\"a\":1,\"b\":1}",
        ] {
            assert!(!has(text), "{text}");
        }
    }

    #[test]
    fn every_encoding_of_python_is_decoded() {
        let text = "{\"é\": 1}";
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = utf16.iter().flat_map(|u| u.to_le_bytes()).collect();
        let big: Vec<u8> = utf16.iter().flat_map(|u| u.to_be_bytes()).collect();
        let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let wide_big: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        for bytes in [text.as_bytes().to_vec(), little.clone(), big.clone(), wide, wide_big] {
            assert_eq!(decode(&bytes), text);
        }
        assert_eq!(decode(&[&[0xff, 0xfe], little.as_slice()].concat()), text);
        assert_eq!(decode(&[&[0xfe, 0xff], big.as_slice()].concat()), text);
        assert_eq!(decode(&[b"\xef\xbb\xbf", text.as_bytes()].concat()), text);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[\\[\\]{}:,\"\\\\a-f0-9 .ué-]{0,200}") {
            let _ = parse(&text);
            outer_keys(&text, |_| false);
            has_object_with(&text, "a", "b");
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&decode(&bytes));
        }
    }
}
