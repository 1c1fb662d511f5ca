//! Messages that are not quite as they should be: what can be made of them without reading them in two ways.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::parse::{Limits, WireError, parse};
use super::{Id, Message};

/// Reads one message of a server. Halves of characters (`\\ud83d` alone, where a program has cut a text in the middle of an emoji and written it
/// out all the same) become U+FFFD, as wherever Unicode has to be made of what is none.
///
/// # Errors
/// If it is no message, or not within `limits`.
pub fn parse_from_server(bytes: &[u8], limits: &Limits) -> Result<Message, WireError> {
    match whole_characters(bytes) {
        Cow::Borrowed(bytes) => parse(bytes, limits),
        Cow::Owned(bytes) => parse(&bytes, limits),
    }
}

/// Which request these bytes answer, though they are no acceptable message: what is in `id`, if it stands there once and no method does.
#[must_use]
pub fn answered(bytes: &[u8]) -> Option<Id> {
    let head: Head = serde_json::from_slice(bytes).ok()?;
    head.id.filter(|_| head.method.is_none())
}

/// Which request these bytes are, though they are no acceptable message: whoever waits for its answer can be told.
#[must_use]
pub fn asked(bytes: &[u8]) -> Option<Id> {
    let head: Head = serde_json::from_slice(bytes).ok()?;
    head.id.filter(|_| head.method.is_some())
}

/// Which request a message answers that is too long to be read, by its first and last bytes: the number where programs put it, before or behind
/// all of a result or an error.
#[must_use]
pub fn answered_at_length((head, tail): (&[u8], &[u8])) -> Option<Id> {
    static HEAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*([0-9]{1,18})\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"\s*:"#).ok()
    });
    static TAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let version = r#"\s*,\s*"jsonrpc"\s*:\s*"2\.0""#;
        Regex::new(&format!(r#"\}}(?:{version})?\s*,\s*"id"\s*:\s*([0-9]{{1,18}})(?:{version})?\s*\}}\s*$"#))
            .ok()
    });
    let found = |pattern: &Option<Regex>, bytes: &[u8]| {
        let number = pattern.as_ref()?.captures(bytes)?.get(1)?.as_bytes().to_vec();
        String::from_utf8(number).ok()?.parse().ok().map(Id::Number)
    };
    found(&HEAD, head).or_else(|| found(&TAIL, tail))
}

#[derive(Deserialize)]
struct Head {
    id: Option<Id>,
    method: Option<IgnoredAny>,
}

/// The same JSON with `\\ufffd` for every half of a surrogate pair without the other. Escapes stand in strings only, and all of these are as long.
fn whole_characters(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(bytes);
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += found;
        let unit = unit(bytes, at);
        at += match unit {
            Some(0xd800..=0xdbff) if matches!(self::unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                if let Some(digits) = mended.to_mut().get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                6
            }
            Some(_) => 6,
            // Another escape, of which a backslash may be the second byte.
            None => 2,
        };
    }
    mended
}

/// The number in the escape that begins at `at`, if it is one of a code unit.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at.checked_add(6)?)?.strip_prefix(b"\\u")?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn mended(text: &str) -> String {
        String::from_utf8(whole_characters(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn half_a_character_is_one_that_cannot_be_shown() {
        for (half, whole) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00 x""#, r#""\ufffd x""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
            (r#""\ud83d\ude00 \u00e9""#, r#""\ud83d\ude00 \u00e9""#),
            (r#""\ud8""#, r#""\ud8""#),
            (r#""\u+83d""#, r#""\u+83d""#),
        ] {
            assert_eq!(mended(half), whole);
        }
        let message = br#"{"jsonrpc":"2.0","id":1,"result":{"\ud83d":"a\udc00"}}"#;
        assert!(parse(message, &Limits::default()).is_err());
        let Message::Response(read) = parse_from_server(message, &Limits::default()).unwrap() else {
            panic!()
        };
        assert_eq!(read.outcome.unwrap()["\u{fffd}"], "a\u{fffd}");
        // Two names that are one then are refused, as ever.
        let twice = br#"{"jsonrpc":"2.0","id":1,"result":{"\ud83d":1,"\udc00":2}}"#;
        assert!(
            parse_from_server(twice, &Limits::default()).unwrap_err().to_string().contains("stands twice")
        );
    }

    #[test]
    fn whose_answer_a_broken_line_is_can_mostly_be_told() {
        let of = |text: &str| answered(text.as_bytes());
        assert_eq!(of(r#"{"result":{"a":1,"a":2},"jsonrpc":"2.0","id":7}"#), Some(Id::Number(7)));
        assert_eq!(of(r#"{"id":7,"result":["\ud83d"]}"#), Some(Id::Number(7)));
        assert_eq!(
            of(&format!(r#"{{"id":7,"result":{}1{}}}"#, "[".repeat(9_999), "]".repeat(9_999))),
            Some(Id::Number(7))
        );
        for nobodys in [
            r#"{"id":7,"id":8,"result":{}}"#,
            r#"{"id":7,"method":"ping","params":3}"#,
            r#"{"id":7.5,"result":{}}"#,
            r#"{"id":7,"result":{}"#,
            r#"{"result":{"id":7}}"#,
            "no JSON",
            "",
        ] {
            assert_eq!(of(nobodys), None, "{nobodys}");
        }
        assert_eq!(asked(br#"{"id":7,"method":"ping","params":null}"#), Some(Id::Number(7)));
        assert_eq!(
            asked(br#"{"id":"a","method":"ping","params":{"a":1,"a":2}}"#),
            Some(Id::Text("a".to_owned()))
        );
        for nobodys in
            [r#"{"id":7.0,"method":"ping"}"#, r#"{"id":7,"result":{}}"#, r#"[{"id":7,"method":"ping"}]"#]
        {
            assert_eq!(asked(nobodys.as_bytes()), None, "{nobodys}");
        }
    }

    #[test]
    fn whose_answer_a_message_is_that_is_too_long_is_told_by_its_ends() {
        let of = |text: &str| {
            let cut = text.len().min(80);
            answered_at_length((&text.as_bytes()[..cut], &text.as_bytes()[text.len() - cut..]))
        };
        let long = "x".repeat(1_000);
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":"{long}"}}}}"#),
            format!(r#"{{ "id": 7, "jsonrpc": "2.0", "error": {{"message": "{long}"}} }}"#),
            format!(r#"{{"result":{{"a":"{long}"}},"jsonrpc":"2.0","id":7}}"#),
            format!("{{\"result\": {{\"a\": \"{long}\"}}, \"id\": 7, \"jsonrpc\": \"2.0\"}}\r"),
        ] {
            assert_eq!(of(&text), Some(Id::Number(7)), "{text}");
        }
        for nobodys in [
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{{"a":"{long}"}}}}"#
            ),
            format!(r#"{{"jsonrpc":"2.0","result":{{"a":"{long}","b":{{"id":7}}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","result":{{"a":"{long}{{}},\"id\":7}}"}}}}"#),
            long,
        ] {
            assert_eq!(of(&nobodys), None, "{nobodys}");
        }
    }

    proptest! {
        /// Whatever JSON can be read keeps its meaning.
        #[test]
        fn whole_texts_stay_as_they_are(texts in proptest::collection::vec(any::<String>(), 0..5)) {
            let escaped: String = serde_json::to_string(&texts).unwrap().chars().map(|one| match one {
                ' '..='~' => one.to_string(),
                _ => one.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            }).collect();
            let read: Value = serde_json::from_slice(&whole_characters(escaped.as_bytes())).unwrap();
            prop_assert_eq!(read, serde_json::json!(texts));
        }

        #[test]
        fn any_text_of_units_can_be_read(units in proptest::collection::vec(any::<u16>(), 0..40)) {
            let text: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let read: String = serde_json::from_slice(&whole_characters(format!("\"{text}\"").as_bytes())).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _either = parse_from_server(&bytes, &Limits::default());
            let _any = (answered(&bytes), asked(&bytes));
        }
    }
}
