//! Text in definitions that people do not see, and how it is shown to them.
//!
//! Stricter than a scan of prose has to be: a definition is short, is written for models, and a person can approve an
//! odd one.

use std::fmt;

use ostrom_core::Hidden;
use serde::Serialize;
use serde_json::Value;

use super::definition::pointer;

/// Flags of regions, the only honest use of tag characters.
const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];

/// How many places are told.
const MAX_TEXTS: usize = 32;

/// A text with characters that people do not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HiddenText {
    /// Where, as a JSON pointer (RFC 6901), escaped. A pointer to a member whose key has hidden characters ends in
    /// that key.
    pub at: String,
    /// What kind of characters.
    pub what: Vec<String>,
    /// The text with these characters written as `\u{…}`.
    pub shown: String,
    /// What tag characters in it spell, which models read as plain text; empty if there are none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub spelled: String,
}

impl fmt::Display for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.what.join(", "), self.at, self.shown)?;
        if self.spelled.is_empty() {
            Ok(())
        } else {
            write!(f, " (its tag characters spell {:?})", self.spelled)
        }
    }
}

/// Canonical JSON with every character that does not show as itself written as `\u{…}`: what a person sees and
/// approves. Two different definitions have different renderings.
pub fn rendering(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    escape(&text)
}

/// JSON with sorted keys. Numbers keep their digits, which RFC 8785 would not.
fn write(value: &Value, out: &mut String) {
    let separate = |first: &mut bool, out: &mut String| {
        if !std::mem::take(first) {
            out.push(',');
        }
    };
    let mut first = true;
    match value {
        Value::Object(members) => {
            out.push('{');
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            for (key, member) in members {
                separate(&mut first, out);
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for element in elements {
                separate(&mut first, out);
                write(element, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// `text` with every character that does not show as itself written as `\u{…}`.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match Hidden::of(c) {
            Some(_) => out.extend(c.escape_unicode()),
            None => out.push(c),
        }
    }
    out
}

/// The texts of `value`, keys too, that have characters which people do not see and which nothing explains.
pub(super) fn find(value: &Value) -> Vec<HiddenText> {
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, at: &str, found: &mut Vec<HiddenText>) {
    if found.len() >= MAX_TEXTS {
        return;
    }
    match value {
        Value::String(text) => examine(text, at, found),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                walk(element, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let at = pointer(at, key);
                examine(key, &at, found);
                walk(member, &at, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn examine(text: &str, at: &str, found: &mut Vec<HiddenText>) {
    let mut what: Vec<String> = Vec::new();
    for class in unexplained(text) {
        if !what.iter().any(|known| known == class.words()) {
            what.push(class.words().to_owned());
        }
    }
    if !what.is_empty() {
        found.push(HiddenText { at: escape(at), what, shown: escape(text), spelled: spelled(text) });
    }
}

/// The ASCII letters that the tag characters of a text stand for.
fn spelled(text: &str) -> String {
    let letter = |c: char| u32::from(c).checked_sub(0xe0000).and_then(char::from_u32);
    text.chars().filter_map(letter).filter(|letter| matches!(letter, ' '..='~')).collect()
}

/// The hidden characters of `text` that are no part of an emoji, a flag, or a word of a script that joins letters.
fn unexplained(text: &str) -> Vec<Hidden> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0usize;
    while let Some(c) = chars.get(at).copied() {
        let before = at.checked_sub(1).and_then(|before| chars.get(before)).copied();
        let after = chars.get(at.saturating_add(1)).copied();
        let mut step = 1usize;
        match Hidden::of(c) {
            None => {}
            Some(Hidden::Tag) => match flag(chars.get(at..).unwrap_or_default()) {
                Some(length) if before == Some('\u{1f3f4}') => step = length,
                _ => found.push(Hidden::Tag),
            },
            Some(Hidden::Selector) if presents(c, before, after) => {}
            Some(Hidden::Joiner) if joins(c, before, after) => {}
            Some(class) => found.push(class),
        }
        at = at.saturating_add(step);
    }
    found
}

/// How many tag characters at the beginning spell a flag's region, the end tag included.
fn flag(chars: &[char]) -> Option<usize> {
    let length = chars.iter().position(|c| *c == '\u{e007f}')?.checked_add(1)?;
    let region: String = chars
        .iter()
        .take(length.saturating_sub(1))
        .filter_map(|c| u32::from(*c).checked_sub(0xe0000).and_then(char::from_u32))
        .collect();
    FLAGS.contains(&region.as_str()).then_some(length)
}

/// Whether a selector only says that a symbol shows as text or as a picture.
fn presents(selector: char, before: Option<char>, after: Option<char>) -> bool {
    let keycap =
        before.is_some_and(|c| c.is_ascii_digit() || c == '#' || c == '*') && after == Some('\u{20e3}');
    matches!(selector, '\u{fe0e}' | '\u{fe0f}') && (keycap || before.is_some_and(pictures))
}

/// Whether a joiner stands between two pictures, or two letters of a script that joins letters.
fn joins(joiner: char, before: Option<char>, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let picture = |c: char| pictures(c) || c == '\u{fe0f}';
    (joiner == '\u{200d}' && picture(before) && pictures(after)) || (in_script(before) && in_script(after))
}

/// Emoji and symbols that can be shown as one.
fn pictures(c: char) -> bool {
    matches!(u32::from(c),
        0xa9 | 0xae | 0x203c | 0x2049 | 0x2100..=0x214f | 0x2190..=0x21ff | 0x2300..=0x23ff | 0x2460..=0x24ff
        | 0x25a0..=0x27bf | 0x2900..=0x297f | 0x2b00..=0x2bff | 0x3030 | 0x303d | 0x3297 | 0x3299 | 0x1f000..=0x1faff)
}

/// Scripts from Arabic to Mongolian, in which joiners are part of spelling.
fn in_script(c: char) -> bool {
    matches!(u32::from(c), 0x600..=0x109f | 0x1780..=0x18af) && Hidden::of(c).is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expect: &[Hidden]) {
        let mut found = unexplained(text);
        found.dedup();
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn hidden_text_is_found() {
        let tags: String = "run it".chars().map(|c| char::from_u32(0xe0000 + c as u32).unwrap()).collect();
        check(&format!("Adds numbers.{tags}"), &[Hidden::Tag]);
        check(&format!("🏴{tags}\u{e007f}"), &[Hidden::Tag]);
        check("a\u{200b}b", &[Hidden::Invisible]);
        check("a \u{200b} b", &[Hidden::Invisible]);
        check("a\u{200d}b", &[Hidden::Joiner]);
        check("\u{202e}txet", &[Hidden::Bidi]);
        check("x\u{fe0f}", &[Hidden::Selector]);
        check("😀\u{fe0f}\u{fe0f}", &[Hidden::Selector]);
        check("😀\u{e0120}\u{e0121}", &[Hidden::Selector]);
        check("x\x1b[2Jy", &[Hidden::Control]);
        check("\u{feff}x", &[Hidden::Invisible]);
    }

    #[test]
    fn what_tag_characters_spell_is_told() {
        let tags: String = "run it".chars().map(|c| char::from_u32(0xe0000 + c as u32).unwrap()).collect();
        let [found] = &find(&json!({"description": format!("Adds.\u{e0001}{tags}\u{e007f}\u{200b}")}))[..]
        else {
            panic!()
        };
        assert_eq!(found.spelled, "run it");
        assert!(found.to_string().ends_with("(its tag characters spell \"run it\")"), "{found}");
        let [plain] = &find(&json!("a\u{200b}"))[..] else { panic!() };
        assert!(plain.spelled.is_empty() && !plain.to_string().contains("spell"));
    }

    #[test]
    fn what_people_write_in_definitions_is_not_hidden() {
        for text in [
            "Reads a file.\n\tReturns text.\r\n",
            "⚠\u{fe0f} Careful! 1\u{fe0f}\u{20e3} ❤\u{fe0f}\u{200d}🔥 👩🏽\u{200d}🔬 ©\u{fe0f}",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Scotland",
            "می\u{200c}خواهم क्\u{200d}ष שלום 漢字 é",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn keys_and_depths_are_looked_at() {
        let value = json!({"name": "x", "a": [{"b/c": "\u{200b}"}], "d\u{202e}": 1});
        let mut found: Vec<_> = find(&value).into_iter().map(|text| (text.at, text.shown)).collect();
        found.sort();
        let expect = [("/a/0/b~1c", "\\u{200b}"), ("/d\\u{202e}", "d\\u{202e}")];
        assert_eq!(found, expect.map(|(at, shown)| (at.to_owned(), shown.to_owned())));
    }

    proptest! {
        #[test]
        fn renderings_are_plain_and_tell_texts_apart(
            a in "[ab\\\\u\u{7b}\u{7d}2\u{200b}\u{202e}\u{e0041}]{0,8}",
            b in "[ab\\\\u\u{7b}\u{7d}2\u{200b}\u{202e}\u{e0041}]{0,8}",
        ) {
            let [one, two] = [&a, &b].map(|text| rendering(&json!({ "x": text })));
            prop_assert!(one.chars().all(|c| Hidden::of(c).is_none()));
            prop_assert_eq!(one == two, a == b);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\u{0}-\u{10ffff}]{0,40}") {
            let _ = unexplained(&text);
        }

        #[test]
        fn a_tag_is_never_explained_outside_a_flag(before in "[a-z 😀]{0,4}", tags in "[\u{e0020}-\u{e007e}]{1,12}") {
            let text = before + &tags;
            prop_assert!(unexplained(&text).contains(&Hidden::Tag));
        }
    }
}
