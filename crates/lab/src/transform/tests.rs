//! The library's examples, the published vectors of the encodings, and properties.

use std::collections::BTreeSet;

use data_encoding::{BASE32, BASE64, HEXLOWER};
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;

fn check(id: &str, input: &str, expected: &str) {
    assert_eq!(Transform::from_id(id).unwrap().apply(input), expected, "{id} of {input:?}");
}

#[test]
fn ids_are_unique_and_lead_back_to_their_transform() {
    let ids: BTreeSet<&str> = Transform::ALL.iter().map(|transform| transform.id()).collect();
    assert_eq!((ids.len(), Transform::ALL.len()), (34, 34));
    for transform in Transform::ALL {
        assert_eq!(Transform::from_id(transform.id()), Some(transform));
        assert!(
            transform.id().chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-')),
            "{}",
            transform.id()
        );
    }
    assert_eq!(Transform::from_id("Base64"), None);
}

#[test]
fn the_library_describes_every_transform_and_its_examples_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/library/transforms.toml");
    let library: toml::Table = std::fs::read_to_string(path).expect(path).parse().unwrap();
    let mut described = Vec::new();
    for entry in library["transform"].as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap();
        check(text("id"), text("example_in"), text("example_out"));
        described.push(text("id"));
    }
    described.sort_unstable();
    let mut implemented = Transform::ALL.map(Transform::id);
    implemented.sort_unstable();
    assert_eq!(described, implemented);
}

// RFC 4648 section 10; for Ascii85, Python's base64.a85encode.
#[test]
fn encodings_agree_with_their_specifications() {
    check("base64", "foobar", "Zm9vYmFy");
    check("base64", "foob", "Zm9vYg==");
    check("base32", "foob", "MZXW6YQ=");
    check("hex", "é", "c3a9");
    check("ascii85", "Man ", "9jqo^");
    check("ascii85", "\0\0\0\0a\0\0\0", "z@/p9-");
    check("ascii85", "\0\0", "!!!");
    check("url-encode", "a-b_c.d~e f/ü%", "a-b_c.d~e%20f%2F%C3%BC%25");
    check("html-entities", "<é", "&#60;&#233;");
    check("unicode-escape", "é😀", "\\u00e9\\ud83d\\ude00");
    check("binary", "", "");
}

#[test]
fn morse_covers_itu_punctuation_and_drops_the_rest() {
    check(
        "morse",
        "Why? (a@b: 1+1=2)",
        ".-- .... -.-- ..--.. / -.--. .- .--.-. -... ---... / .---- .-.-. .---- -...- ..--- -.--.-",
    );
    check("morse", "a ! b", ".- / -...");
    check("morse", "漢 é!", "..-..");
}

#[test]
fn words_are_changed_and_the_space_between_them_stays() {
    check("typo-noise", "hello\n  world\tok ", "hlelo\n  wrold\tok ");
    check("numbered-words", "  a\n\nb", "  1:a\n\n2:b");
    check("split-quotes", "four\nabc fives", "\"fo\" + \"ur\"\nabc \"fi\" + \"ves\"");
    check("vowel-drop", "Use \"apples\"  (often) Aeon 3am", "Us \"appls\"  (oftn) An 3m");
    check("reverse-words", " a  b\nc ", "c b a");
    check("vertical-lines", " a  b\nc ", "a\nb\nc");
    check("spaced-letters", "ab\ncd", "a b   c d");
}

#[test]
fn pig_latin_moves_the_cluster_and_keeps_punctuation() {
    check(
        "pig-latin",
        "String apple, \"why\" I'm -- 42 don't!",
        "ingstray appleway, \"whyay\" i'mway -- 42 on'tday!",
    );
    check("pig-latin", "HERON-4821.", "eron-4821hay.");
}

#[test]
fn letters_outside_ascii_survive() {
    check("rot13", "Zürich 7", "Müevpu 7");
    check("nato-alphabet", "x1 é!", "X-ray 1 / é !");
    check("alternate-case", "straße Éa", "sTrAßE éA");
    check("soft-hyphen", "né3e a", "n\u{AD}é3e a");
    check("combining-marks", "é1", "é\u{336}1");
    check("tag-characters", "é\n", "");
    check("variation-selectors", "\u{f}\u{10}", ".\u{FE0F}\u{E0100}");
    check("homoglyphs", "aceiopsxyABCEHIKMOPSTX", "асеіорѕхуАВСЕНІКМОРЅТХ");
}

#[test]
fn a_chain_applies_from_left_to_right() {
    let chain = [Transform::ReverseWords, Transform::Rot13, Transform::Base64];
    assert_eq!(apply_chain(&chain, "say hi"), BASE64.encode(b"uv fnl"));
    assert_eq!(apply_chain(&[], "as is"), "as is");
}

/// The inverse of a transform whose every output can be read back.
fn decoded(transform: Transform, text: &str) -> String {
    let again = || transform.apply(text);
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    match transform {
        Transform::Base64 => utf8(BASE64.decode(text.as_bytes()).unwrap()),
        Transform::Base32 => utf8(BASE32.decode(text.as_bytes()).unwrap()),
        Transform::Hex => utf8(HEXLOWER.decode(text.as_bytes()).unwrap()),
        Transform::Binary => {
            utf8(text.split_whitespace().map(|b| u8::from_str_radix(b, 2).unwrap()).collect())
        }
        Transform::Ascii85 => utf8(ascii85_decoded(text)),
        Transform::UrlEncode => utf8(percent_decoded(text)),
        Transform::HtmlEntities => text
            .split_terminator(';')
            .map(|entity| char::from_u32(entity.strip_prefix("&#").unwrap().parse().unwrap()).unwrap())
            .collect(),
        Transform::UnicodeEscape => {
            let units = text.split("\\u").skip(1).map(|unit| u16::from_str_radix(unit, 16).unwrap());
            String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
        }
        Transform::VariationSelectors => utf8(
            text.chars()
                .skip(1)
                .map(|c| match u32::from(c) {
                    low @ 0xFE00..=0xFE0F => low - 0xFE00,
                    high => high - 0xE0100 + 16,
                })
                .map(|byte| u8::try_from(byte).unwrap())
                .collect(),
        ),
        Transform::BidiOverride => {
            let inner = text.strip_prefix('\u{202E}').unwrap().strip_suffix('\u{202C}').unwrap();
            inner.chars().rev().collect()
        }
        // 26 applications of a shift are the identity.
        Transform::Caesar5 => apply_chain(&[Transform::Caesar5; 25], text),
        Transform::ZeroWidth => text.chars().step_by(2).collect(),
        Transform::Rot13 | Transform::Atbash | Transform::ReverseChars | Transform::TypoNoise => again(),
        other => panic!("{other:?} has no inverse here"),
    }
}

fn ascii85_decoded(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.replace('z', "!!!!!").bytes().map(|b| b - b'!').collect();
    let group = |digits: &[u8]| {
        let value = (0..5).fold(0_u64, |v, i| v * 85 + u64::from(*digits.get(i).unwrap_or(&84)));
        u32::try_from(value).unwrap().to_be_bytes().into_iter().take(digits.len() - 1).collect::<Vec<u8>>()
    };
    digits.chunks(5).flat_map(group).collect()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        out.push(u8::from_str_radix(code, 16).unwrap());
        out.extend(rest.bytes());
    }
    out
}

/// Lower-case words with single spaces between them.
fn plain_words() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z]{1,9}", 0..6).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_a_transform_or_a_chain_panic(
        text in any::<String>(),
        picks in prop::collection::vec(prop::sample::select(Transform::ALL.to_vec()), 0..3),
    ) {
        let one_by_one = picks.iter().fold(text.clone(), |t, pick| pick.apply(&t));
        prop_assert_eq!(apply_chain(&picks, &text), one_by_one);
        for transform in Transform::ALL {
            let _ = transform.apply(&text);
        }
    }

    #[test]
    fn what_can_be_read_back_is_read_back_for_any_text(text in any::<String>()) {
        use Transform::*;
        for transform in [
            Base64, Base32, Hex, Binary, Ascii85, UrlEncode, HtmlEntities, UnicodeEscape, VariationSelectors,
            BidiOverride, Rot13, Caesar5, Atbash, ReverseChars, ZeroWidth, TypoNoise,
        ] {
            prop_assert_eq!(decoded(transform, &transform.apply(&text)), text.as_str(), "{:?}", transform);
        }
    }

    #[test]
    fn encodings_are_pure_ascii(text in any::<String>()) {
        use Transform::*;
        let encodings = [Base64, Base32, Hex, Binary, Ascii85, UrlEncode, HtmlEntities, UnicodeEscape, Morse];
        for transform in encodings {
            prop_assert!(transform.apply(&text).is_ascii());
        }
    }

    #[test]
    fn ascii_symbols_are_read_back(text in "[ -~]{0,40}") {
        let folded = |transform: Transform| transform.apply(&text).nfkc().collect::<String>();
        prop_assert_eq!(folded(Transform::Fullwidth), text.as_str());
        prop_assert_eq!(folded(Transform::MathAlphanumeric), text.as_str());
        let tags = Transform::TagCharacters.apply(&text);
        let seen: String = tags.chars().map(|c| char::from_u32(u32::from(c) - 0xE0000).unwrap()).collect();
        prop_assert_eq!(seen, text.as_str());
        prop_assert_eq!(Transform::AlternateCase.apply(&text).to_lowercase(), text.to_lowercase());
        prop_assert_eq!(Transform::SoftHyphen.apply(&text).replace('\u{AD}', ""), text.as_str());
        prop_assert_eq!(Transform::CombiningMarks.apply(&text).replace('\u{336}', ""), text.as_str());
        let cyrillic = Transform::Homoglyphs.apply(&text);
        prop_assert!(!cyrillic.contains(['a', 'o', 'T']));
        prop_assert_eq!(cyrillic.chars().count(), text.chars().count());
    }

    #[test]
    fn plain_words_are_read_back(text in plain_words()) {
        let same = text.as_str();
        prop_assert_eq!(Transform::ReverseWords.apply(&Transform::ReverseWords.apply(same)), same);
        prop_assert_eq!(Transform::VerticalLines.apply(same).replace('\n', " "), same);
        prop_assert_eq!(Transform::SplitQuotes.apply(same).replace("\" + \"", "").replace('"', ""), same);
        let wide = Transform::SpacedLetters.apply(same);
        prop_assert_eq!(wide.replace("   ", "|").replace(' ', "").replace('|', " "), same);
        let numbered = Transform::NumberedWords.apply(same);
        let plain = numbered.split_whitespace().map(|word| word.split_once(':').unwrap().1);
        prop_assert_eq!(plain.collect::<Vec<_>>().join(" "), same);
        let spelt = Transform::NatoAlphabet.apply(same).to_lowercase();
        let initial = |item: &str| item.chars().next();
        let initials = |word: &str| word.split(' ').filter_map(initial).collect::<String>();
        prop_assert_eq!(spelt.split(" / ").map(initials).collect::<Vec<_>>().join(" "), same);
        // Each Morse word has as many codes as the word has letters, and the codes of two letters differ.
        let coded = Transform::Morse.apply(same);
        let codes: Vec<&str> = coded.split([' ', '/']).filter(|code| !code.is_empty()).collect();
        let letters: Vec<char> = same.chars().filter(|c| *c != ' ').collect();
        prop_assert_eq!(codes.len(), letters.len());
        for (code, letter) in codes.iter().zip(&letters) {
            prop_assert!(codes.iter().zip(&letters).all(|(c, l)| (c == code) == (l == letter)));
        }
    }
}
