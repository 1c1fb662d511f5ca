//! JSON as Python's `json` module reads it: UTF-8, -16 and -32, `NaN` and infinities, half surrogates; duplicate keys are
//! kept, since what a reader takes of them is up to it.
//!
//! Neither parsing nor what is parsed recurses deeper than [`DEPTH`]; there are never more than [`NODES`] values.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::trouble::Trouble;

/// How deep values may lie in one another.
const DEPTH: usize = 256;
/// How many values one document may have.
const NODES: usize = 1_000_000;

/// One value. Numbers and truth values are not kept: nothing asks for them.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'a> {
    Plain,
    Whole(u64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
}

/// An object, with all its members in the order of the text.
#[derive(Debug, PartialEq)]
pub(super) struct Object<'a> {
    /// Where it begins.
    pub(super) at: u64,
    pub(super) members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Object<'a> {
    /// Every value of this key.
    pub(super) fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Json<'a>> {
        self.members.iter().filter(move |(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value that Python takes: the last.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The last value of this key, if it is text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_text)
    }

    /// A key that stands here twice.
    pub(super) fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.members.iter().map(|(name, _)| name.as_ref()).find(|name| !seen.insert(*name))
    }
}

impl<'a> Json<'a> {
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

/// Bytes as text, in the encoding that Python's `json.loads` would take them to be in.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
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

/// Calls `seen` with each key of the outermost object, without keeping anything; ends where the text stops being
/// JSON. Whether a text is of a format is decided by this.
pub(super) fn outer_keys(text: &str, mut seen: impl FnMut(&str)) {
    let mut parser = Parser { text, at: 0 };
    parser.space();
    if parser.next() != Some(b'{') {
        return;
    }
    let (mut depth, mut key_comes) = (1_u64, true);
    while depth > 0 {
        parser.space();
        match parser.peek() {
            None => return,
            Some(b'"') => {
                let Ok(string) = parser.string() else { return };
                if std::mem::take(&mut key_comes) {
                    seen(&string);
                }
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') => depth -= 1,
            Some(b',') => key_comes = depth == 1,
            Some(_) => {}
        }
        parser.at += 1;
    }
}

/// Reads one document.
///
/// # Errors
/// If it is not one, lies deeper than [`DEPTH`] or has more than [`NODES`] values.
pub(super) fn parse(text: &str) -> Result<Json<'_>, Trouble> {
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
        outer_keys(text, |key| keys.push(key.to_owned()));
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
            outer_keys(&text, |_| ());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&decode(&bytes));
        }
    }
}
