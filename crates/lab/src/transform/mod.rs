//! Transforms: ways to write a text so that a filter misses it and a model may still read it.
//!
//! Each is a total, deterministic function from text to text. Definitions, examples and references are data,
//! in `library/transforms.toml`; a test holds the code to the examples. Throughout, a *character* is a
//! Unicode scalar value, a *word* is a run of characters other than white space, and a transform that changes
//! single words keeps the white space between them unless its purpose is to change it.

mod encode;
mod invisible;
mod layout;
mod substitute;

/// Declares the enum, its ids and the functions behind them in one table, so that none can be forgotten.
macro_rules! transforms {
    ($($(#[$doc:meta])+ $variant:ident, $id:literal, $function:path;)+) => {
        /// A transform of a text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Transform {
            $($(#[$doc])+ $variant,)+
        }

        impl Transform {
            /// Every transform, in the order of the library file.
            pub const ALL: [Self; [$($id),+].len()] = [$(Self::$variant),+];

            /// The id in kebab-case, e.g. `url-encode`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)+
                }
            }

            /// The transformed text. Never fails; characters that a transform has no form for stay unless
            /// said otherwise.
            #[must_use]
            pub fn apply(&self, text: &str) -> String {
                match self {
                    $(Self::$variant => $function(text),)+
                }
            }
        }
    };
}

transforms! {
    /// Base64 of the UTF-8 bytes (RFC 4648 section 4, padded).
    Base64, "base64", encode::base64;
    /// Base32 of the UTF-8 bytes (RFC 4648 section 6, upper case, padded).
    Base32, "base32", encode::base32;
    /// Two lower-case hexadecimal digits per UTF-8 byte.
    Hex, "hex", encode::hex;
    /// Eight binary digits per UTF-8 byte, bytes separated by a space.
    Binary, "binary", encode::binary;
    /// Ascii85 of the UTF-8 bytes (btoa alphabet, `z` for four zero bytes, no markers).
    Ascii85, "ascii85", encode::ascii85;
    /// Percent-encoding of all bytes but the unreserved ones (RFC 3986 section 2).
    UrlEncode, "url-encode", encode::url_encode;
    /// A decimal character reference per character.
    HtmlEntities, "html-entities", encode::html_entities;
    /// `\uXXXX` in lower case per UTF-16 unit.
    UnicodeEscape, "unicode-escape", encode::unicode_escape;
    /// Morse code (ITU-R M.1677-1), ` / ` between words; characters without a code are dropped.
    Morse, "morse", encode::morse;
    /// Latin letters moved 13 places along the alphabet.
    Rot13, "rot13", substitute::rot13;
    /// Latin letters moved 5 places along the alphabet.
    Caesar5, "caesar-5", substitute::caesar_5;
    /// Latin letters mirrored in the alphabet.
    Atbash, "atbash", substitute::atbash;
    /// The characters in reverse order.
    ReverseChars, "reverse-chars", layout::reverse_chars;
    /// The words in reverse order, joined by one space.
    ReverseWords, "reverse-words", layout::reverse_words;
    /// Digits for the letters a, e, i, o, s and t.
    Leetspeak, "leetspeak", substitute::leetspeak;
    /// Cyrillic doubles for Latin letters that have one.
    Homoglyphs, "homoglyphs", substitute::homoglyphs;
    /// Fullwidth forms of printable ASCII.
    Fullwidth, "fullwidth", substitute::fullwidth;
    /// Mathematical sans-serif bold letters and digits.
    MathAlphanumeric, "math-alphanumeric", substitute::math_alphanumeric;
    /// Small capitals for Latin letters; upper case is lowered first.
    SmallCaps, "small-caps", substitute::small_caps;
    /// A zero-width space between every two characters.
    ZeroWidth, "zero-width", invisible::zero_width;
    /// Printable ASCII as invisible tag characters; other characters are dropped.
    TagCharacters, "tag-characters", invisible::tag_characters;
    /// The UTF-8 bytes as variation selectors behind a full stop.
    VariationSelectors, "variation-selectors", invisible::variation_selectors;
    /// The characters reversed within a right-to-left override.
    BidiOverride, "bidi-override", invisible::bidi_override;
    /// A soft hyphen between every two adjacent letters.
    SoftHyphen, "soft-hyphen", invisible::soft_hyphen;
    /// A combining long stroke after every letter.
    CombiningMarks, "combining-marks", invisible::combining_marks;
    /// One space between the characters of a word, three between words.
    SpacedLetters, "spaced-letters", layout::spaced_letters;
    /// One word per line.
    VerticalLines, "vertical-lines", layout::vertical_lines;
    /// Letters in lower and upper case in turn, beginning with lower case.
    AlternateCase, "alternate-case", substitute::alternate_case;
    /// Pig Latin, in lower case.
    PigLatin, "pig-latin", substitute::pig_latin;
    /// The words of the NATO spelling alphabet for Latin letters, ` / ` between words.
    NatoAlphabet, "nato-alphabet", substitute::nato_alphabet;
    /// Vowels left out except at the start of a word.
    VowelDrop, "vowel-drop", layout::vowel_drop;
    /// The second and third character exchanged in words of five or more characters.
    TypoNoise, "typo-noise", layout::typo_noise;
    /// Words of four or more characters cut into two quoted parts joined by a plus sign.
    SplitQuotes, "split-quotes", layout::split_quotes;
    /// The position and a colon before each word.
    NumberedWords, "numbered-words", layout::numbered_words;
}

impl Transform {
    /// The transform with this id; `None` if there is none. Ids are compared exactly.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transform| transform.id() == id)
    }
}

/// Applies the transforms from left to right: the first one sees `text`, each other one the result so far.
#[must_use]
pub fn apply_chain(transforms: &[Transform], text: &str) -> String {
    transforms.iter().fold(text.to_owned(), |current, transform| transform.apply(&current))
}

/// Changes each word and keeps the white space between them as it is.
fn map_words(text: &str, mut change: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    // A piece is a possibly empty word and the white-space character that ends it, which the last piece may
    // lack.
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if !word.is_empty() {
            out.push_str(&change(word));
        }
        out.extend(piece.chars().next_back().filter(|last| last.is_whitespace()));
    }
    out
}

#[cfg(test)]
mod tests;
