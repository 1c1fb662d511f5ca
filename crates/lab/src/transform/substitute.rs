//! Letters exchanged for other letters, symbols or words.

use super::map_words;

pub(super) fn rot13(text: &str) -> String {
    text.chars().map(|c| rotated(c, 13)).collect()
}

pub(super) fn caesar_5(text: &str) -> String {
    text.chars().map(|c| rotated(c, 5)).collect()
}

fn rotated(c: char, places: u8) -> char {
    match c {
        'a'..='z' => moved(c, 'a', |place| (place + u32::from(places)) % 26),
        'A'..='Z' => moved(c, 'A', |place| (place + u32::from(places)) % 26),
        _ => c,
    }
}

pub(super) fn atbash(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'a'..='z' => moved(c, 'a', |place| 25 - place),
            'A'..='Z' => moved(c, 'A', |place| 25 - place),
            _ => c,
        })
        .collect()
}

/// The letter at the place that `to` gives for the place of `c`, both counted from `first`.
fn moved(c: char, first: char, to: impl Fn(u32) -> u32) -> char {
    let first = u32::from(first);
    char::from_u32(first + to(u32::from(c) - first)).unwrap_or(c)
}

pub(super) fn leetspeak(text: &str) -> String {
    exchanged(text, "aAeEiIoOsStT", "443311005577")
}

pub(super) fn homoglyphs(text: &str) -> String {
    // Written as escapes, since the two alphabets look alike in an editor too.
    const CYRILLIC: &str = "\u{430}\u{441}\u{435}\u{456}\u{43e}\u{440}\u{455}\u{445}\u{443}\
        \u{410}\u{412}\u{421}\u{415}\u{41d}\u{406}\u{41a}\u{41c}\u{41e}\u{420}\u{405}\u{422}\u{425}";
    exchanged(text, "aceiopsxyABCEHIKMOPSTX", CYRILLIC)
}

pub(super) fn small_caps(text: &str) -> String {
    exchanged(&text.to_lowercase(), "abcdefghijklmnopqrstuvwxyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡxʏᴢ")
}

/// Each character of `from` becomes the one at the same place in `to`.
fn exchanged(text: &str, from: &str, to: &str) -> String {
    let other = |c| from.chars().zip(to.chars()).find_map(|(old, new)| (old == c).then_some(new));
    text.chars().map(|c| other(c).unwrap_or(c)).collect()
}

pub(super) fn fullwidth(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' => '\u{3000}',
            '!'..='~' => rebased(c, '!', 0xFF01),
            _ => c,
        })
        .collect()
}

pub(super) fn math_alphanumeric(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'A'..='Z' => rebased(c, 'A', 0x1D5D4),
            'a'..='z' => rebased(c, 'a', 0x1D5EE),
            '0'..='9' => rebased(c, '0', 0x1D7EC),
            _ => c,
        })
        .collect()
}

/// The character as far behind `base` as `c` is behind `first`.
fn rebased(c: char, first: char, base: u32) -> char {
    char::from_u32(base + u32::from(c) - u32::from(first)).unwrap_or(c)
}

pub(super) fn alternate_case(text: &str) -> String {
    let mut upper = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphabetic() {
            out.push(c);
            continue;
        }
        upper = !upper;
        if upper {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

pub(super) fn pig_latin(text: &str) -> String {
    map_words(&text.to_lowercase(), |word| {
        let outside = |c: char| !c.is_alphanumeric();
        let core = word.trim_matches(outside);
        // Numbers and bare punctuation have no consonants to move.
        if !core.starts_with(char::is_alphabetic) {
            return word.to_owned();
        }
        let (before, after) = word.split_once(core).unwrap_or_default();
        let start = core.find(|c| is_vowel(c) || !c.is_alphabetic()).unwrap_or(core.len());
        let (cluster, rest) = core.split_at_checked(start).unwrap_or((core, ""));
        let ending = if cluster.is_empty() { "way" } else { "ay" };
        format!("{before}{rest}{cluster}{ending}{after}")
    })
}

/// The five vowel letters, in either case; y counts as a consonant.
pub(super) fn is_vowel(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u')
}

pub(super) fn nato_alphabet(text: &str) -> String {
    // The spellings of the ICAO and NATO standard: Alfa and Juliett.
    const WORDS: [&str; 26] = [
        "Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India", "Juliett", "Kilo",
        "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango", "Uniform",
        "Victor", "Whiskey", "X-ray", "Yankee", "Zulu",
    ];
    let item = |c: char| {
        // A code word is known by its initial.
        let word = WORDS.into_iter().find(|word| word.starts_with(c.to_ascii_uppercase()));
        word.map_or_else(|| c.to_string(), str::to_owned)
    };
    text.split_whitespace()
        .map(|word| word.chars().map(item).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(" / ")
}
